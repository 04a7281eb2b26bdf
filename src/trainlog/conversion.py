"""``convert`` a log to another format, and ``compact`` one into a compressed file."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from trainlog import registry
from trainlog.codec import Archive, Codec, Gap, Reader, Writer
from trainlog.errors import LogExists
from trainlog.model import Frame, Kind, Variable
from trainlog.storage.append import keep_owner
from trainlog.storage.location import is_folder, local_path, location
from trainlog.storage.locks import check_unused
from trainlog.storage.media_files import media_folder, media_folders, with_image
from trainlog.storage.replace import (
    NEVER_OVERWRITTEN,
    check_replaceable,
    errors_name,
    put_new,
    sync_folder,
    temporary_beside,
    write_errors,
)
from trainlog.table.table import Table

__all__ = ["Conversion", "compact", "convert"]

_PROGRESS_FRAMES: Final = 1024  # frames between two calls to `progress`


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

    The target is complete or absent: it is written in a temporary folder next to it, and renamed at the end.

    Args:
        source: a log of any format, or its reader.
        target: the new log; for a format of several files, the main file.
        codec: the name of the target's format, where the suffix does not decide it.
        variables: the columns to declare, for a target that requires them and a source that declares none.
        overwrite: replace an existing log. Otherwise an existing log is an error.
        progress: called with the number of frames written so far.

    Raises:
        LogNotFound, UnknownFormat, DamagedLog: for the source.
        LogExists, LogInUse, UnknownFormat, LogWriteError: for the target.
        CodecError: when the target's format needs more, for example *variables*, or the target is a URL.
        UnsupportedFrame: when the target's format cannot hold a frame.

    """
    from shutil import rmtree  # loads many modules, and every program imports this one

    reader = source if isinstance(source, Reader) else registry.open(source)
    target = local_path(target)
    chosen = registry.codec_for_writing(target, codec)
    files = chosen.files(target)
    for file in files:
        if is_folder(file):
            raise LogExists("there is a folder of that name, and a log never replaces a folder", path=file)
    for file in files:
        if not overwrite and os.path.lexists(file):
            raise LogExists(NEVER_OVERWRITTEN, path=file)
        check_replaceable(file)
    check_unused(files)
    header = reader.header
    if variables := tuple(variables):
        header = dataclasses.replace(header, variables=variables)
    header = chosen.declare_columns(header, reader)
    gaps: list[Gap] = []
    with write_errors("cannot write in its folder", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = temporary_beside(target)
        folder.mkdir(mode=0o700)
    try:
        blocks, files_left = _with_media(reader, reader.contents(gaps.append), chosen, target)
        with errors_name(target, folder), chosen.write(folder / target.name, header) as writer:
            count = _copy(blocks, writer, progress)
        if overwrite:
            check_unused(files)
        with write_errors("cannot write it", target):
            _move_all(folder, files, overwrite=overwrite)
    finally:
        rmtree(folder, ignore_errors=True)
    return Conversion(target, count, Counter(map(str, gaps)) + files_left + Counter(writer.losses))


def compact(
    log: str | os.PathLike[str],
    folder: Path | None = None,
    *,
    level: int = 3,
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Archive:
    """Compress a finished log, and verify the result against it. The log is not changed.

    Args:
        log: a log of a format that can be compressed, damaged or not.
        folder: where the archive is written, under the log's name with another suffix; by default next to the log.
        level: 1 (fast) to 22 (small).
        overwrite: replace an existing archive. Otherwise an existing archive is an error.
        progress: called with the number of bytes compressed so far.

    Raises:
        LogNotFound, UnknownFormat, DamagedLog: for the log.
        CodecError: when its format cannot be compressed.
        LogInUse, LogExists, LogWriteError, MissingExtra: see `trainlog.codec.Codec.compact`.

    """
    log = location(log)
    codec = registry.codec_of(log, None)
    target = (folder or log.parent) / f"{log.stem}{codec.archive_suffix}"
    return codec.compact(log, target, level=level, overwrite=overwrite, progress=progress)


def _with_media(
    reader: Reader, blocks: Iterable[Frame | Table], codec: Codec, target: Path
) -> tuple[Iterable[Frame | Table], Counter[str]]:
    """*blocks* with the images next to the log if *codec* embeds them; otherwise count the files that stay there."""
    folders = list(filter(is_folder, media_folders(reader.path)))
    if not folders or media_folder(target) in folders:
        return blocks, Counter()
    if not codec.embeds_images:
        left = {f"files in {folder.name}, which stay there": sum(1 for _ in folder.iterdir()) for folder in folders}
        return blocks, Counter(left)
    return (_with_image(reader.path, block) for block in blocks), Counter()


def _with_image(log: Path, block: Frame | Table) -> Frame | Table:
    if isinstance(block, Table) or block.kind != Kind.EVENT:
        return block
    return block._replace(data=with_image(log, block.data))


def _copy(blocks: Iterable[Frame | Table], writer: Writer, progress: Callable[[int], object] | None) -> int:
    """Write all *blocks*, and return the number of frames."""
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


def _move_all(folder: Path, files: Sequence[Path], *, overwrite: bool) -> None:
    """Move the new log from *folder* to *files*; the first file last, as it refers to the others.

    Raises:
        LogExists: when one of them exists by now and must not be replaced.
        OSError: when the file system refuses. Unless old files are replaced, none is moved then.

    """
    written = sorted(folder.iterdir(), key=lambda path: path.name == files[0].name)
    for path in written:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for old in files:
        if overwrite and not (folder / old.name).exists():
            old.unlink(missing_ok=True)  # a file of the old log that the new log does not have
    moved: list[Path] = []
    try:
        for path in written:
            target = files[0].parent / path.name
            if overwrite and target.exists():
                keep_owner(path, target.stat())
            if overwrite:
                path.replace(target)
            else:
                put_new(path, target)
                moved.append(target)
    except BaseException:
        for target in moved:
            target.unlink(missing_ok=True)
        raise
    sync_folder(files[0].parent)
