"""The codecs that are installed, and ``open``, ``create`` and ``resume``, which find one for a path."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from trainlog.codec import Codec, Reader, Writer
from trainlog.errors import LogNotFound, TrainlogError, TruncatedLog, UnknownFormat
from trainlog.model import Header, Variable
from trainlog.storage.location import RemotePath, in_parts, is_folder, is_url, location, written_path
from trainlog.storage.replace import check_replaceable
from trainlog.storage.source import Source

__all__ = [
    "Installed",
    "codec_for_writing",
    "codec_of",
    "create",
    "find_codec",
    "frame_end",
    "list_codecs",
    "open",
    "resume",
    "suffix_of",
]


class _BuiltIn(NamedTuple):
    """A built-in codec, imported on demand: its class, its suffixes, and the codec that it depends on."""

    location: str
    suffixes: tuple[str, ...]
    depends_on: str | None = None

    def load(self) -> Codec:
        module, _, name = self.location.partition(":")
        arguments = () if self.depends_on is None else (_BUILT_IN[self.depends_on].load(),)
        codec: Codec = getattr(importlib.import_module(module), name)(*arguments)
        return codec


_BUILT_IN: Final = {
    "flog": _BuiltIn("trainlog.codecs.flog:FlogCodec", (".flog", ".bin")),
    "flog_zst": _BuiltIn("trainlog.codecs.flog.archive:FlogArchiveCodec", (".flog.zst",), depends_on="flog"),
    "simion": _BuiltIn(
        "trainlog.codecs.simion:SimionCodec", (".simion.log", ".simion.log.bin", ".simion.log.functions")
    ),
    "parquet": _BuiltIn("trainlog.codecs.parquet:ParquetCodec", (".parquet",), depends_on="flog"),
    "tensorboard": _BuiltIn("trainlog.codecs.tensorboard:TensorBoardCodec", (".tfevents",)),
    "svg": _BuiltIn("trainlog.plot.codec:SvgCodec", (".svg",)),
    "png": _BuiltIn("trainlog.plot.codec:PngCodec", (".png",)),
    "gif": _BuiltIn("trainlog.plot.codec:GifCodec", (".gif",)),
}

_LONGEST_FIRST: Final = sorted(
    ((suffix, built_in) for built_in in _BUILT_IN.values() for suffix in built_in.suffixes),
    key=lambda pair: -len(pair[0]),
)
_HEAD_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed codec.

    Attributes:
        codec: the codec.
        distribution: the distribution that installed it.
        reads: whether it can read logs.
        writes: whether it can write logs.

    """

    codec: Codec
    distribution: str
    reads: bool
    writes: bool


def list_codecs() -> list[Installed]:
    """List every usable codec, built-ins first; a `TrainlogWarning` names each plug-in that cannot be used."""
    from trainlog.plugins import BUILT_IN, distribution_of, plug_ins

    built_in = [(codec.load(), BUILT_IN) for codec in _BUILT_IN.values()]
    others = [(codec, distribution_of(entry)) for entry, codec in plug_ins(_BUILT_IN)]
    return [
        Installed(codec, distribution, type(codec).read is not Codec.read, type(codec).write is not Codec.write)
        for codec, distribution in built_in + others
    ]


def open(path: str | os.PathLike[str], *, codec: str | None = None) -> Reader:
    """Open a log of any installed format; its content decides the format, not its name.

    Args:
        path: the log, on this machine or in object storage (``s3://bucket/run.flog``, any URL of fsspec, a path of
            universal_pathlib). A folder named like a log (``run.flog/``), or a pattern (``run-*.flog``), is one log of
            several files, merged by time.
        codec: the name of the format, to skip the detection.

    Raises:
        LogNotFound: when *path* does not exist.
        LogReadError: when the object storage does not return it.
        MissingExtra: for a URL, without fsspec or the package of that storage.
        UnknownFormat: when no codec accepts it.
        DamagedLog: when its header is truncated or corrupt.

    """
    path = location(path)
    try:
        chosen = codec_of(path, codec)
    except LogNotFound:
        parts = in_parts(path)
        if parts is None:
            raise
        path, chosen = parts, codec_of(parts, codec)
    reader = chosen.read(path)
    reader.codec_name = chosen.name
    return reader


def codec_of(path: Path, name: str | None) -> Codec:
    """The codec called *name*, or the one that accepts the log at *path* if it is None; raises as `open`."""
    head = _read_head(path)
    if name is not None:
        return find_codec(name)
    for codec, accepts in _by_suffix(path):
        if accepts(path, head):
            return codec
    if is_folder(path):
        raise UnknownFormat("this is a folder, not a log", path=path)
    content = "it is empty" if not head else f"it begins with {head[:8]!r}"
    raise UnknownFormat(
        f"no codec accepts this file ({content}); `trainlog codecs` lists those that are installed", path=path
    )


def create(
    path: str | os.PathLike[str],
    meta: Mapping[str, Any] | None = None,
    *,
    phase: int = 0,
    variables: Iterable[Variable] = (),
    codec: str | None = None,
    overwrite: bool = False,
    run: Mapping[str, Any] | None = None,
) -> Writer:
    """Create a new log; the suffix of *path* decides the format.

    Args:
        path: the log; missing folders are created. For a URL (``s3://bucket/run.flog``), the log is written to a local
            file and uploaded by a thread; see docs/remote.md and `trainlog.writers.uploading.UploadingWriter`.
        meta: metadata of the run: creature, task, seed, arguments, ...
        phase: a tag of the training phase, 0 to 255.
        variables: declared columns, for formats that have them.
        codec: the name of the format, where the suffix does not decide it.
        overwrite: replace an existing log; it is unchanged when the new one cannot be created. Otherwise an existing
            log is an error.
        run: where the run comes from, see `trainlog.model.Header`.

    Raises:
        LogExists: when there is already a file at *path*.
        LogInUse: when a process is writing the log that would be replaced; the message names the process.
        UnknownFormat: when no codec has that suffix.
        UnsupportedFrame: when the metadata cannot be stored.
        LogWriteError: when the file cannot be created, *path* is not a regular file, or a bucket cannot be reached.
        MissingExtra: when the file system of a URL is not installed.

    """
    if is_url(path):
        from trainlog.writers.uploading import UploadingWriter, begin_upload, local_file

        local = local_file(str(path))
        upload = begin_upload(str(path), local, frame_end, overwrite=overwrite)
        writer = create(local, meta, phase=phase, variables=variables, codec=codec, overwrite=overwrite)
        return UploadingWriter(writer, upload)
    path = written_path(path)
    chosen = codec_for_writing(path, codec)
    header = Header(dict(meta or {}), phase, tuple(variables), dict(run or {}))
    if overwrite:
        for file in chosen.files(path):
            check_replaceable(file)
    return chosen.replace(path, header) if overwrite else chosen.write(path, header)


def frame_end(path: Path) -> Callable[[int, int], int | None] | None:
    """`Reader.frame_end` of the log at *path*; None for a file that is not a log, or can only be copied as a whole."""
    try:
        codec = codec_of(path, None)
        find = codec.read(path).frame_end
        return None if find(0, 0) is None else find
    except TruncatedLog:  # inside its header, which may be continued if the format can be resumed
        return None if type(codec).resume is Codec.resume else lambda start, most: start
    except TrainlogError:
        return None


def resume(path: str | os.PathLike[str], *, codec: str | None = None, note: Mapping[str, Any] | None = None) -> Writer:
    """Resume a log whose writer was killed or closed, in the same file, after the last whole frame.

    A torn tail is cut off. An event of the type ``resume`` records it: ``cut`` (how many bytes), ``wall`` (seconds
    since 1970), ``host``, ``pid``.

    Args:
        path: the log; for a URL, any part that the local file lacks is fetched first.
        codec: the name of the format, to skip the detection.
        note: more keys for that event.

    Returns:
        A writer. Its ``resumed_at`` is the time of the last frame in the log.

    Raises:
        LogNotFound: when *path* does not exist.
        LogInUse: when another process is writing it; the message names the process.
        UnknownFormat: when no codec accepts it.
        CodecError: when logs of its format cannot be resumed.
        DamagedLog: when its header is truncated or corrupt.
        LogWriteError: when it cannot be written.

    """
    if is_url(path):
        from trainlog.writers.uploading import UploadingWriter, begin_upload, local_file

        local = local_file(str(path))
        upload = begin_upload(str(path), local, frame_end, resume=True)
        return UploadingWriter(resume(local, codec=codec, note=note), upload)
    path = written_path(path)
    return codec_of(path, codec).resume(path, note or {})


def _read_head(path: Path) -> bytes:
    if is_folder(path) or ("*" in path.name and not _exists(path)):
        return b""  # several files may form one log, which only the name shows
    with Source(path) as source:
        return source.read(0, _HEAD_BYTES)


def _exists(path: Path) -> bool:
    return path.exists() if isinstance(path, RemotePath) else os.path.lexists(path)


def suffix_of(path: Path) -> str:
    """The suffix of *path* that belongs to a format, as spelled there; plug-ins are loaded if no built-in has it."""
    length = _suffix_length(path.name, (suffix for codec in _BUILT_IN.values() for suffix in codec.suffixes))
    if not length and "." in path.name:
        length = _suffix_length(path.name, (suffix for one in list_codecs() for suffix in one.codec.suffixes))
    return path.name[len(path.name) - length :]


def _by_suffix(path: Path) -> Iterator[tuple[Codec, Callable[[Path, bytes], bool]]]:
    """Yield every codec, and what says whether it accepts a file: built-ins first, then plug-ins.

    Among both, those whose suffix matches *path* longest come first.
    """
    name = path.name.lower()
    matching = [built_in for suffix, built_in in _LONGEST_FIRST if name.endswith(suffix)]
    for built_in in dict.fromkeys([*matching, *_BUILT_IN.values()]):
        codec = built_in.load()
        yield codec, codec.accepts
    from trainlog.plugins import accepts, distribution_of, plug_ins

    for entry, codec in sorted(plug_ins(_BUILT_IN), key=lambda pair: -_suffix_length(name, pair[1].suffixes)):
        yield codec, partial(accepts, codec, distribution_of(entry))


def _suffix_length(name: str, suffixes: Iterable[str]) -> int:
    """The length of the longest of *suffixes* that the *name* of a file has, 0 for none."""
    name = name.lower()
    return max((len(suffix) for suffix in suffixes if name.endswith(suffix)), default=0)


def codec_for_writing(path: Path, name: str | None) -> Codec:
    """The codec called *name*, or the one for the suffix of *path* if it is None; raises UnknownFormat for none."""
    if name is not None:
        return find_codec(name)
    for codec, _ in _by_suffix(path):
        if _suffix_length(path.name, codec.suffixes):
            return codec
    known = ", ".join(suffix for installed in list_codecs() for suffix in installed.codec.suffixes)
    raise UnknownFormat(f"no codec writes files of this name; suffixes are {known}", path=path)


def find_codec(name: str) -> Codec:
    """Return the codec called *name*.

    Raises:
        UnknownFormat: when none is installed.
        CodecClash: when two distributions provide a codec of that name.
        CodecError: when it is a plug-in that cannot be loaded.

    """
    if name in _BUILT_IN:
        return _BUILT_IN[name].load()
    from trainlog.plugins import find, names

    found = find(name)
    if found is None:
        raise UnknownFormat(f"there is no codec called {name!r}; installed are {', '.join([*_BUILT_IN, *names()])}")
    return found


def is_accepted(path: Path) -> bool:
    """Whether the file is named like a log, and a codec accepts its content, whatever its version."""
    if not suffix_of(path):
        return False
    try:
        codec_of(path, None)
    except TrainlogError:
        return False
    return True
