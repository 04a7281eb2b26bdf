"""Which codec for which file: ``open``, ``create``, ``convert``, and the codecs that are installed."""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

from trainlog.codec import Codec, Gap, Reader, Writer
from trainlog.errors import (
    CodecClash,
    CodecError,
    LogExists,
    LogNotFound,
    LogWriteError,
    TrainlogWarning,
    UnknownFormat,
)
from trainlog.model import Frame, Header, Variable
from trainlog.table import Table

__all__ = ["Conversion", "Installed", "convert", "create", "list_codecs", "open"]

GROUP: Final = "trainlog.codecs"
_OURS: Final = "trainlog"

# Where our own are; imported when they are asked for, as a plug-in is.
_BUILT_IN: Final = {
    "flog": "trainlog.codecs.flog:FlogCodec",
    "simion": "trainlog.codecs.simion:SimionCodec",
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
    ours = [(codec, _OURS) for codec in _built_in()]
    theirs = [(codec, _distribution(entry)) for entry, codec in _plug_ins()]
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
        path: the log.
        codec: the name of the format, where the bytes do not tell.

    Raises:
        LogNotFound: when there is nothing at *path*.
        UnknownFormat: when no codec takes it.
        DamagedLog: when its header is cut or broken.

    """
    path = Path(path)
    head = _head(path)
    if codec is not None:
        return _by_name(codec).read(path)
    for candidate in _candidates(path):
        if candidate.accepts(path, head):
            return candidate.read(path)
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
        UnknownFormat: when no codec has that suffix.
        LogWriteError: when the file cannot be made.

    """
    path = Path(path)
    chosen = _for_writing(path, codec)
    if overwrite:
        for file in chosen.files(path):
            if file.is_file():
                file.unlink()
    return chosen.write(path, Header(dict(meta or {}), phase, tuple(variables)))


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
    header = chosen.suited(header, reader)
    gaps: list[Gap] = []
    with _folder_beside(target) as aside:
        with chosen.write(aside / target.name, header) as writer:
            count = _copy(reader.blocks(gaps.append), writer, progress)
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
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise LogNotFound("there is no such file", path=path) from error
    except IsADirectoryError as error:
        raise UnknownFormat("this is a folder, not a log", path=path) from error
    except OSError as error:
        raise UnknownFormat(f"cannot read it: {error.strerror}", path=path) from error


def _built_in() -> list[Codec]:
    return [_import(where) for where in _BUILT_IN.values()]


def _import(where: str) -> Codec:
    module, _, name = where.partition(":")
    codec: Codec = getattr(importlib.import_module(module), name)()
    return codec


def _candidates(path: Path) -> Iterator[Codec]:
    """Ours, and only when nobody stops at one of them those of plug-ins; the best fitting suffix first in each."""
    for group in (_built_in, _plug_in_codecs):
        yield from sorted(group(), key=lambda codec: -_fit(path, codec))


def _fit(path: Path, codec: Codec) -> int:
    """The length of the longest suffix of *codec* that *path* has, 0 for none."""
    name = path.name.lower()
    return max((len(suffix) for suffix in codec.suffixes if name.endswith(suffix)), default=0)


def _for_writing(path: Path, name: str | None) -> Codec:
    if name is not None:
        return _by_name(name)
    best = next((codec for codec in _candidates(path) if _fit(path, codec)), None)
    if best is not None:
        return best
    known = ", ".join(suffix for codec in list_codecs() for suffix in codec.codec.suffixes)
    raise UnknownFormat(f"no codec writes files of this name; suffixes are {known}", path=path)


def _by_name(name: str) -> Codec:
    if name in _BUILT_IN:
        return _import(_BUILT_IN[name])
    known = list(_BUILT_IN)
    for entry in _entries():
        if entry.name == name:
            return _load(entry)
        known.append(entry.name)
    raise UnknownFormat(f"there is no codec called {name!r}; installed are {', '.join(known)}")


def _entries() -> list[EntryPoint]:
    """The entry points of all plug-ins.

    Raises:
        CodecClash: when two codecs have one name.

    """
    whose = dict.fromkeys(_BUILT_IN, _OURS)
    entries = [entry for entry in entry_points(group=GROUP) if _distribution(entry) != _OURS]
    for entry in entries:
        distribution = _distribution(entry)
        if entry.name in whose:
            raise CodecClash(
                f"two installed distributions bring a codec called {entry.name!r}: "
                f"{whose[entry.name]} and {distribution}; uninstall one of them"
            )
        whose[entry.name] = distribution
    return entries


def _plug_ins() -> Iterator[tuple[EntryPoint, Codec]]:
    for entry in _entries():
        try:
            yield entry, _load(entry)
        except CodecError as error:
            warnings.warn(TrainlogWarning(str(error)), stacklevel=3)


def _plug_in_codecs() -> list[Codec]:
    return [codec for _, codec in _plug_ins()]


def _load(entry: EntryPoint) -> Codec:
    whose = f"the codec {entry.name!r} of {_distribution(entry)}"
    try:
        codec = entry.load()()
    except Exception as error:
        raise CodecError(f"{whose} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(codec, Codec):
        raise CodecError(f"{whose} is no trainlog.Codec but a {type(codec).__name__}")
    if codec.name != entry.name:
        raise CodecError(f"{whose} calls itself {codec.name!r}; the two names must be the same")
    return codec


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value
