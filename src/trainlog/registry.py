"""The codecs that are installed, and ``open``, ``create``, ``resume`` and ``convert``, which find one for a path."""

from __future__ import annotations

import dataclasses
import errno
import importlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from trainlog.codec import Archive, Codec, Gap, Reader, Writer
from trainlog.errors import LogExists, LogInUse, LogNotFound, LogWriteError, TrainlogError, UnknownFormat
from trainlog.model import Frame, Header, Kind, Variable
from trainlog.storage.append import keep_owner
from trainlog.storage.location import PARTS, RemotePath, is_folder, is_url, local_path, location, written_path
from trainlog.storage.locks import lock_owner
from trainlog.storage.media_files import media_folder, with_image
from trainlog.storage.replace import check_replaceable, errors_name, sync_folder, temporary_beside
from trainlog.storage.source import Source
from trainlog.table.table import Table

__all__ = [
    "Conversion",
    "Installed",
    "compact",
    "convert",
    "create",
    "find_codec",
    "frame_end",
    "list_codecs",
    "open",
    "resume",
    "suffix_of",
]


class _BuiltIn(NamedTuple):
    """A built-in codec, which is imported when it is needed: its class, its suffixes, and the codec it depends on."""

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

_HEAD_BYTES: Final = 4096
_NEVER_OVERWRITTEN: Final = "there is a file already, and a log is never overwritten by default"
_PROGRESS_FRAMES: Final = 1024  # frames between two calls of `progress`


@dataclass(frozen=True, slots=True)
class Installed:
    """A codec that is installed.

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
    """List every codec that can be used, built-ins first; a `TrainlogWarning` names each plug-in that cannot."""
    from trainlog.plugins import BUILT_IN, distribution_of, plug_ins

    built_in = [(codec.load(), BUILT_IN) for codec in _BUILT_IN.values()]
    others = [(codec, distribution_of(entry)) for entry, codec in plug_ins(_BUILT_IN)]
    return [
        Installed(codec, distribution, type(codec).read is not Codec.read, type(codec).write is not Codec.write)
        for codec, distribution in built_in + others
    ]


def open(path: str | os.PathLike[str], *, codec: str | None = None) -> Reader:
    """Open a log of any installed format; its content decides, not its name.

    Args:
        path: the log, on this machine or in an object storage (``s3://bucket/run.flog``, any URL of fsspec, a path of
            universal_pathlib). A folder named like one (``run.flog/``), or a pattern (``run-*.flog``), is one log of
            several files, merged by time.
        codec: the name of the format, to skip the detection.

    Raises:
        LogNotFound: when *path* does not exist.
        LogReadError: when an object storage does not give it.
        MissingExtra: for a URL, without fsspec or the package of that storage.
        UnknownFormat: when no codec accepts it.
        DamagedLog: when its header is truncated or corrupt.

    """
    path = location(path)
    try:
        chosen = _codec_of(path, codec)
    except LogNotFound:
        parts = location(path.with_name(path.name + PARTS))
        if not isinstance(parts, RemotePath) or isinstance(path, RemotePath):
            raise
        path, chosen = parts, _codec_of(parts, codec)
    reader = chosen.read(path)
    reader.codec_name = chosen.name
    return reader


def _codec_of(path: Path, name: str | None) -> Codec:
    head = _read_head(path)
    if name is not None:
        return find_codec(name)
    for codec in _built_in_by_suffix(path):
        if codec.accepts(path, head):
            return codec
    from trainlog.plugins import accepts, distribution_of, plug_ins

    for entry, codec in sorted(plug_ins(_BUILT_IN), key=lambda pair: -_suffix_length(path.name, pair[1].suffixes)):
        if accepts(codec, distribution_of(entry), path, head):
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
        path: the log; missing folders are created. A URL (``s3://bucket/run.flog``) is a log that is written to a local
            file, and uploaded by a thread; see docs/remote.md and `trainlog.writers.uploading.UploadingWriter`.
        meta: metadata of the run: creature, task, seed, arguments, ...
        phase: a tag of the training phase, 0 to 255.
        variables: declared columns, for formats that have them.
        codec: the name of the format, where the suffix does not decide it.
        overwrite: replace an existing log, which is as it was when the new one cannot be begun. Otherwise an existing
            log is an error.
        run: where the run comes from, see `trainlog.model.Header`.

    Raises:
        LogExists: when there is a file at *path* already.
        LogInUse: when a process is writing the log that would be replaced; the message names the process.
        UnknownFormat: when no codec has that suffix.
        UnsupportedFrame: when the metadata cannot be stored.
        LogWriteError: when the file cannot be created, what is there is no regular file, or a bucket cannot be reached.
        MissingExtra: when the file system of a URL is not installed.

    """
    if is_url(path):
        from trainlog.writers.uploading import UploadingWriter, begin_upload, local_file

        local = local_file(str(path))
        upload = begin_upload(str(path), local, frame_end, overwrite=overwrite)
        writer = create(local, meta, phase=phase, variables=variables, codec=codec, overwrite=overwrite)
        return UploadingWriter(writer, upload)
    path = written_path(path)
    chosen = _codec_for_writing(path, codec)
    header = Header(dict(meta or {}), phase, tuple(variables), dict(run or {}))
    if overwrite:
        for file in chosen.files(path):
            check_replaceable(file)
    return chosen.replace(path, header) if overwrite else chosen.write(path, header)


def frame_end(path: Path) -> Callable[[int, int], int | None] | None:
    """`Reader.frame_end` of the log at *path*; None for what is no log, or can only be copied as a whole."""
    try:
        find = open(path).frame_end
        return None if find(0, 0) is None else find
    except TrainlogError:
        return None


def resume(path: str | os.PathLike[str], *, codec: str | None = None, note: Mapping[str, Any] | None = None) -> Writer:
    """Resume a log after its writer was killed or closed, in the same file, after the last whole frame.

    A torn tail is cut off. An event of the type ``resume`` records it: ``cut`` (how many bytes), ``wall`` (seconds
    since 1970), ``host``, ``pid``.

    Args:
        path: the log; one at a URL is fetched first where the local file lacks some of it.
        codec: the name of the format, to skip the detection.
        note: more keys of that event.

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
    return _codec_of(path, codec).resume(path, note or {})


@dataclass(frozen=True, slots=True)
class Conversion:
    """The result of a conversion.

    Attributes:
        target: the new log.
        frames: how many frames were written.
        losses: what the new format could not hold: counts by description.

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
    """Convert the log *source* to the format of *target*.

    The target is complete or absent: it is written in a temporary folder beside it, and renamed at the end.

    Args:
        source: a log of any format, or its reader.
        target: the new log; for a format of several files, the main file.
        codec: the name of the target's format, where the suffix does not decide it.
        variables: the columns to declare, for a target that requires them and a source that declares none.
        overwrite: replace an existing log. Otherwise that is an error.
        progress: called with the number of frames written so far.

    Raises:
        LogNotFound, UnknownFormat, DamagedLog: for the source.
        LogExists, LogInUse, UnknownFormat, LogWriteError: for the target.
        CodecError: when the target's format needs more, for example *variables*, or it is a URL.
        UnsupportedFrame: when the target's format cannot hold a frame.

    """
    from shutil import rmtree  # which loads much, and every program imports this module

    reader = source if isinstance(source, Reader) else open(source)
    target = local_path(target)
    chosen = _codec_for_writing(target, codec)
    files = chosen.files(target)
    for file in files:
        if is_folder(file):
            raise LogExists("there is a folder of that name, which a log does not replace", path=file)
    for file in files:
        if not overwrite and os.path.lexists(file):
            raise LogExists(_NEVER_OVERWRITTEN, path=file)
        check_replaceable(file)
    _check_unused(files)
    header = reader.header
    if variables := tuple(variables):
        header = dataclasses.replace(header, variables=variables)
    header = chosen.declare_columns(header, reader)
    gaps: list[Gap] = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = temporary_beside(target)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise LogWriteError(f"cannot write in its folder: {error.strerror}", path=target) from error
    try:
        blocks, files_left = _with_media(reader, reader.contents(gaps.append), chosen, target)
        with errors_name(target, folder), chosen.write(folder / target.name, header) as writer:
            count = _copy(blocks, writer, progress)
        if overwrite:
            _check_unused(files)
        try:
            _move_all(folder, files, overwrite=overwrite)
        except FileExistsError as error:
            raise LogExists(_NEVER_OVERWRITTEN, path=error.filename2 or target) from error
        except OSError as error:
            raise LogWriteError(f"cannot write it: {error.strerror}", path=target) from error
    finally:
        rmtree(folder, ignore_errors=True)
    return Conversion(target, count, Counter(map(str, gaps)) + files_left + Counter(writer.losses))


def _with_media(
    reader: Reader, blocks: Iterable[Frame | Table], codec: Codec, target: Path
) -> tuple[Iterable[Frame | Table], Counter[str]]:
    """*blocks* with the images beside the log where *codec* takes them; what stays there otherwise, counted."""
    folder = media_folder(reader.path)
    if not is_folder(folder) or folder == media_folder(target):
        return blocks, Counter()
    if not codec.embeds_images:
        return blocks, Counter({f"files in {folder.name}, which stay there": sum(1 for _ in folder.iterdir())})
    return (_with_image(reader.path, block) for block in blocks), Counter()


def _with_image(log: Path, block: Frame | Table) -> Frame | Table:
    if isinstance(block, Table) or block.kind != Kind.EVENT:
        return block
    return block._replace(data=with_image(log, block.data))


def _copy(blocks: Iterable[Frame | Table], writer: Writer, progress: Callable[[int], object] | None) -> int:
    """Write all of *blocks*, and return the number of frames."""
    count = reported = 0
    for block in blocks:
        if isinstance(block, Table):
            writer.write_table(block)
            count += block.rows
        else:
            writer.write(block)
            count += 1
        if progress is not None and count - reported >= _PROGRESS_FRAMES:
            progress(count)
            reported = count
    if progress is not None:
        progress(count)
    return count


def _check_unused(files: Iterable[Path]) -> None:
    for file in files:
        if owner := lock_owner(file):
            raise LogInUse(f"{owner} is writing this log; it is not replaced", path=file)


def _move_all(folder: Path, files: Sequence[Path], *, overwrite: bool) -> None:
    """Move the new log from *folder* to *files*; the first file last, as it refers to the others.

    Raises:
        FileExistsError: when one of them is there by now, and is not to be replaced; then none is moved.

    """
    written = sorted(folder.iterdir(), key=lambda path: path.name == files[0].name)
    for path in written:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for old in files:
        if overwrite and not (folder / old.name).exists():
            old.unlink(missing_ok=True)  # a file of the old log that the new one does not have
    moved: list[Path] = []
    try:
        for path in written:
            target = files[0].parent / path.name
            if overwrite and target.exists():
                keep_owner(path, target.stat())
            if overwrite or not _linked(path, target):
                path.replace(target)
            moved.append(target)
    except FileExistsError:
        for target in moved:
            target.unlink()
        raise
    sync_folder(files[0].parent)


def compact(
    log: str | os.PathLike[str],
    folder: Path | None = None,
    *,
    level: int = 3,
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Archive:
    """Compress a finished log, and compare what was written with it. The log stays as it is.

    Args:
        log: a log of a format that can be compressed, damaged or not.
        folder: where the archive is made, under the log's name with another suffix; by default beside the log.
        level: 1 (fast) to 22 (small).
        overwrite: replace an existing archive. Otherwise that is an error.
        progress: called with the number of bytes compressed so far.

    Raises:
        LogNotFound, UnknownFormat, DamagedLog: for the log.
        CodecError: when its format cannot be compressed.
        LogInUse, LogExists, LogWriteError, MissingExtra: see `trainlog.codec.Codec.compact`.

    """
    log = location(log)
    codec = _codec_of(log, None)
    target = (folder or log.parent) / f"{log.stem}{codec.archive_suffix}"
    return codec.compact(log, target, level=level, overwrite=overwrite, progress=progress)


def _linked(path: Path, target: Path) -> bool:
    """Give *path* the name *target* as well, which nothing has; False where the file system cannot.

    Raises:
        FileExistsError: when there is something, be it since a moment ago: a rename would replace it.

    """
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path), None, str(target)) from None
        return False
    return True


def _read_head(path: Path) -> bytes:
    if is_folder(path) or ("*" in path.name and not _exists(path)):
        return b""  # several files may be one log, which only their name shows
    with Source(path) as source:
        return source.read(0, _HEAD_BYTES)


def _exists(path: Path) -> bool:
    return path.exists() if isinstance(path, RemotePath) else os.path.lexists(path)


def suffix_of(path: Path) -> str:
    """The suffix of *path* that belongs to a format, as it is spelt there; plug-ins are loaded only for want of one."""
    length = _suffix_length(path.name, (suffix for codec in _BUILT_IN.values() for suffix in codec.suffixes))
    if not length and "." in path.name:
        length = _suffix_length(path.name, (suffix for one in list_codecs() for suffix in one.codec.suffixes))
    return path.name[len(path.name) - length :]


def _built_in_by_suffix(path: Path) -> Iterator[Codec]:
    """Yield the built-in codecs, those with the longest suffix of *path* first."""
    name = path.name
    for built_in in sorted(_BUILT_IN.values(), key=lambda codec: -_suffix_length(name, codec.suffixes)):
        yield built_in.load()


def _suffix_length(name: str, suffixes: Iterable[str]) -> int:
    """The length of the longest of *suffixes* that the *name* of a file has, 0 for none."""
    name = name.lower()
    return max((len(suffix) for suffix in suffixes if name.endswith(suffix)), default=0)


def _codec_for_writing(path: Path, name: str | None) -> Codec:
    if name is not None:
        return find_codec(name)
    for codec in _built_in_by_suffix(path):
        if _suffix_length(path.name, codec.suffixes):
            return codec
    from trainlog.plugins import plug_ins

    for _, codec in sorted(plug_ins(_BUILT_IN), key=lambda pair: -_suffix_length(path.name, pair[1].suffixes)):
        if _suffix_length(path.name, codec.suffixes):
            return codec
    known = ", ".join(suffix for installed in list_codecs() for suffix in installed.codec.suffixes)
    raise UnknownFormat(f"no codec writes files of this name; suffixes are {known}", path=path)


def find_codec(name: str) -> Codec:
    """Return the codec called *name*.

    Raises:
        UnknownFormat: when none is installed.
        CodecClash: when two distributions have one of that name.
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
    """Whether the file is named like a log, and a codec takes its content for one of its own, of whatever version."""
    if not suffix_of(path):
        return False
    try:
        _codec_of(path, None)
    except TrainlogError:
        return False
    return True
