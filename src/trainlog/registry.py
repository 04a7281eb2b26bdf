"""Which codec for which file: ``open``, ``create``, ``convert``, and the codecs that are installed."""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from trainlog.codec import Codec, Gap, Reader, Writer
from trainlog.errors import (
    LogExists,
    LogInUse,
    LogNotFound,
    LogWriteError,
    UnknownFormat,
)
from trainlog.model import Frame, Header, Variable
from trainlog.storage.append import lock_owner
from trainlog.table.table import Table

__all__ = ["Conversion", "Installed", "convert", "create", "list_codecs", "open", "resume"]


class _Ours(NamedTuple):
    """Where a codec of ours is, its suffixes, and the codec that it keeps frames in: known without importing it."""

    where: str
    suffixes: tuple[str, ...]
    spool: str | None = None

    def load(self) -> Codec:
        module, _, name = self.where.partition(":")
        made_of = () if self.spool is None else (_BUILT_IN[self.spool].load(),)
        codec: Codec = getattr(importlib.import_module(module), name)(*made_of)
        return codec


_BUILT_IN: Final = {
    "flog": _Ours("trainlog.codecs.flog:FlogCodec", (".flog", ".bin")),
    "simion": _Ours("trainlog.codecs.simion:SimionCodec", (".simion.log", ".simion.log.bin", ".simion.log.functions")),
    "parquet": _Ours("trainlog.codecs.parquet:ParquetCodec", (".parquet",), spool="flog"),
    "svg": _Ours("trainlog.plot.codec:SvgCodec", (".svg",)),
    "png": _Ours("trainlog.plot.codec:PngCodec", (".png",)),
    "gif": _Ours("trainlog.plot.codec:GifCodec", (".gif",)),
}

_HEAD: Final = 4096
_REPORTED: Final = 1024  # frames between two calls of `progress`


@dataclass(frozen=True, slots=True)
class Installed:
    """A codec that can be used, and where it comes from.

    Attributes:
        codec: the codec.
        distribution: the name of the installed distribution that brings it.
        reads, writes: what it can do.

    """

    codec: Codec
    distribution: str
    reads: bool
    writes: bool


def list_codecs() -> list[Installed]:
    """Every codec that is installed, our own first.

    Raises:
        CodecClash: when two have the same name.

    """
    from trainlog.plugins import OURS, plug_ins, whose

    ours = [(codec.load(), OURS) for codec in _BUILT_IN.values()]
    theirs = [(codec, whose(entry)) for entry, codec in plug_ins(_BUILT_IN)]
    return [
        Installed(
            codec,
            distribution,
            reads=type(codec).read is not Codec.read,
            writes=type(codec).write is not Codec.write,
        )
        for codec, distribution in ours + theirs
    ]


def open(path: str | os.PathLike[str], *, codec: str | None = None) -> Reader:
    """Open a log of any format that is installed; the bytes decide, not the name.

    Args:
        path: the log. A folder that is named like one (``run.flog/``), or a pattern (``run-*.flog``), is one log of
            all the files in it, in the order of their times.
        codec: the name of the format, where the bytes do not tell.

    Raises:
        LogNotFound: when there is nothing at *path*.
        UnknownFormat: when no codec takes it.
        DamagedLog: when its header is cut or broken.

    """
    path = Path(path)
    return _codec_of(path, codec).read(path)


def _codec_of(path: Path, name: str | None) -> Codec:
    head = _head(path)
    if name is not None:
        return _by_name(name)
    for candidate in _candidates(path):
        if candidate.accepts(path, head):
            return candidate
    if path.is_dir():
        raise UnknownFormat("this is a folder, not a log", path=path)
    what = "it is empty" if not head else f"it begins with {head[:8]!r}"
    raise UnknownFormat(
        f"no codec takes this file ({what}); `trainlog codecs` lists those that are installed", path=path
    )


def create(
    path: str | os.PathLike[str],
    meta: Mapping[str, Any] | None = None,
    *,
    phase: int = 0,
    variables: Iterable[Variable] = (),
    codec: str | None = None,
    overwrite: bool = False,
) -> Writer:
    """Begin a new log; the suffix of *path* decides the format.

    Args:
        path: the log; folders above it are made.
        meta: what is true of the whole run: creature, task, seed, arguments, ...
        phase: a tag of the training phase, 0 to 255.
        variables: declared columns, for formats that have them.
        codec: the name of the format, where the suffix does not tell.
        overwrite: remove the log that is there. Otherwise that is an error.

    Raises:
        LogExists: when there is a file at *path* already.
        LogInUse: when it is to be removed while it is being written; the message says by whom.
        UnknownFormat: when no codec has that suffix.
        LogWriteError: when the file cannot be made.

    """
    path = Path(path)
    chosen = _for_writing(path, codec)
    if overwrite:
        for file in chosen.files(path):
            if file.is_file():
                _must_not_be_written(file)
                file.unlink()
    return chosen.write(path, Header(dict(meta or {}), phase, tuple(variables)))


def resume(path: str | os.PathLike[str], *, codec: str | None = None, note: Mapping[str, Any] | None = None) -> Writer:
    """Go on with a log whose writer was killed, or closed it; in the same file, behind the last whole frame.

    A torn tail is cut off. An event of the type ``resume`` tells of it: ``cut`` (how many bytes that were), ``wall``
    (seconds since 1970), ``host``, ``pid``.

    Args:
        path: the log.
        codec: the name of the format, where the bytes do not tell.
        note: what that event is to say beside.

    Returns:
        A writer. Its ``resumed_at`` is the time of the last frame that is there, to go on from.

    Raises:
        LogNotFound: when there is nothing at *path*.
        LogInUse: when another process is writing it; the message says which.
        UnknownFormat: when no codec takes it.
        CodecError: when logs of its format cannot be resumed.
        DamagedLog: when its header is cut or broken.
        LogWriteError: when it may not be written.

    """
    path = Path(path)
    return _codec_of(path, codec).resume(path, note or {})


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion did.

    Attributes:
        target: the new log.
        frames: how many frames it was given.
        losses: what its format could not hold, by a short description, with how often that was so.

    """

    target: Path
    frames: int
    losses: Mapping[str, int] = field(default_factory=dict)


def convert(
    source: str | os.PathLike[str] | Reader,
    target: str | os.PathLike[str],
    *,
    codec: str | None = None,
    variables: Iterable[Variable] = (),
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Conversion:
    """Write the log *source* anew as *target*, in the format of its suffix.

    The target is complete or absent: it is written aside, in a folder beside it, and renamed at the end.

    Args:
        source: a log of any format, or its reader.
        target: where to; for a format of several files the one that names the others.
        codec: the name of the target's format, where the suffix does not tell.
        variables: which keys are to be declared columns, for a target that has only such, of a source that
            declares none.
        overwrite: replace a log that is there. Otherwise that is an error.
        progress: called with the number of frames that are done, now and then.

    Raises:
        LogNotFound, UnknownFormat, DamagedLog: for the source.
        LogExists, UnknownFormat, LogWriteError: for the target.
        CodecError: when the target's format needs to be told more, for example *variables*.
        UnsupportedFrame: when the target's format cannot hold a frame at all.

    """
    reader = source if isinstance(source, Reader) else open(source)
    target = Path(target)
    chosen = _for_writing(target, codec)
    if not overwrite:
        _must_be_free(chosen.files(target))
    header = reader.header
    if variables := tuple(variables):
        header = dataclasses.replace(header, variables=variables)
    header = chosen.declare_columns(header, reader)
    gaps: list[Gap] = []
    with _folder_beside(target) as aside:
        with chosen.write(aside / target.name, header) as writer:
            count = _copy(reader.contents(gaps.append), writer, progress)
        _move_all(aside, chosen.files(target), overwrite=overwrite)
    return Conversion(target, count, Counter(map(str, gaps)) + Counter(writer.losses))


def _copy(blocks: Iterable[Frame | Table], writer: Writer, progress: Callable[[int], object] | None) -> int:
    """Write all of *blocks*, and return how many frames they were."""
    count = reported = 0
    for block in blocks:
        if isinstance(block, Table):
            writer.write_table(block)
            count += block.rows
        else:
            writer.write(block)
            count += 1
        if progress is not None and count - reported >= _REPORTED:
            progress(count)
            reported = count
    if progress is not None:
        progress(count)
    return count


@contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """A folder on the same disk as *target*, which is gone in the end."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".converting-", dir=target.parent))
    except OSError as error:
        raise LogWriteError(f"cannot write in its folder: {error.strerror}", path=target) from error
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _must_be_free(files: Iterable[Path]) -> None:
    for file in files:
        if file.exists():
            raise LogExists("there is a file already, and a log is never overwritten unasked", path=file)


def _must_not_be_written(file: Path) -> None:
    if who := lock_owner(file):
        raise LogInUse(f"{who} is writing this log; it is not replaced", path=file)


def _move_all(aside: Path, files: Sequence[Path], *, overwrite: bool) -> None:
    """Move what was written in *aside* to its place; the first of *files* last, as it names the others."""
    if not overwrite:
        _must_be_free(files)
    written = sorted(aside.iterdir(), key=lambda path: path.name == files[0].name)
    for path in written:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for old in files:
        if not (aside / old.name).exists():
            old.unlink(missing_ok=True)  # a part of the old log that the new one does not have
    for path in written:
        path.replace(files[0].parent / path.name)


def _head(path: Path) -> bytes:
    if path.is_dir() or ("*" in path.name and not path.exists()):
        return b""  # perhaps several files that are one log, which only its name can tell
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise LogNotFound("there is no such file", path=path) from error
    except OSError as error:
        raise UnknownFormat(f"cannot read it: {error.strerror}", path=path) from error


def _candidates(path: Path) -> Iterator[Codec]:
    """Ours, and only when nobody stops at one of them those of plug-ins; the best fitting suffix first in each."""
    for ours in sorted(_BUILT_IN.values(), key=lambda ours: -_fit(path, ours.suffixes)):
        yield ours.load()
    from trainlog.plugins import plug_ins

    theirs = [codec for _, codec in plug_ins(_BUILT_IN)]
    yield from sorted(theirs, key=lambda codec: -_fit(path, codec.suffixes))


def _fit(path: Path, suffixes: Iterable[str]) -> int:
    """The length of the longest of *suffixes* that *path* has, 0 for none."""
    name = path.name.lower()
    return max((len(suffix) for suffix in suffixes if name.endswith(suffix)), default=0)


def _for_writing(path: Path, name: str | None) -> Codec:
    if name is not None:
        return _by_name(name)
    best = next((codec for codec in _candidates(path) if _fit(path, codec.suffixes)), None)
    if best is not None:
        return best
    known = ", ".join(suffix for codec in list_codecs() for suffix in codec.codec.suffixes)
    raise UnknownFormat(f"no codec writes files of this name; suffixes are {known}", path=path)


def _by_name(name: str) -> Codec:
    if name in _BUILT_IN:
        return _BUILT_IN[name].load()
    from trainlog.plugins import load, registered

    entries = {entry.name: entry for entry in registered(_BUILT_IN)}
    if name in entries:
        return load(entries[name])
    raise UnknownFormat(f"there is no codec called {name!r}; installed are {', '.join([*_BUILT_IN, *entries])}")
