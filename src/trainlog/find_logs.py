"""Finds the logs that a path, a folder or a pattern stands for."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from trainlog import registry
from trainlog.errors import CodecError, LogNotFound, TrainlogError, UnknownFormat
from trainlog.model import Header
from trainlog.storage.location import RemotePath, fixed_part, location

__all__ = ["Look", "distinct_ends", "find_logs", "matching", "natural", "real_path", "shard_rank", "without_repeats"]

Look = Callable[[Path], tuple[tuple[Path, ...], int | None] | None]
"""The files of the log that a file belongs to, none if it is not a log, and its rank among shards; None if this is not
known."""


def find_logs(paths: Iterable[str | os.PathLike[str]], look: Look = lambda path: None) -> list[Path]:
    """The logs that *paths* stand for: files, folders, and patterns (``runs/*/run.flog``, ``**`` for nested folders).

    Each log in a folder, or in the folders below it, is one run; so is each log that matches a pattern. Files are
    shards of one log only if they were created so: a folder that is named like a log (``run.flog/``), or files in one
    folder whose metadata say that they are shards with different ranks. That log is the folder, or a pattern for these
    files. The event files of a folder are one log, which is the folder; logs of other formats can be next to them.

    Args:
        paths: paths of logs of any format, or URLs. A path that does not exist and is not a pattern is returned as it
            is.
        look: returns what is known about a file, which is not opened then.

    Returns:
        The paths for `trainlog.open`, each once; those of a folder or a pattern in natural order (2 before 10). They
        include damaged logs, but not files that are not logs, hidden files, or linked folders in a folder.

    Raises:
        LogNotFound: when there are no logs in a folder, or none matches a pattern.

    """
    found: dict[Path, None] = {}
    for path in map(location, paths):
        if path.is_dir():
            files, problem = (
                [path.listed() if isinstance(path, RemotePath) else path],
                "there are no logs in this folder that can be read",
            )
        elif glob.has_magic(str(path)) and not path.exists():
            files, problem = matching(path), "no log matches this pattern"
        else:
            found[path] = None
            continue
        logs = list(_logs(sorted(files, key=_by_name), look))
        if not logs:
            raise LogNotFound(problem, path=path)
        found |= dict.fromkeys(logs)
    return list(found)


def without_repeats(paths: Iterable[Path]) -> list[Path]:
    """The logs *paths*, each once, whether it is named by a relative path, an absolute one, or a link."""
    found: dict[Path | str, Path] = {}
    for path in paths:
        found.setdefault(real_path(path), path)
    return list(found.values())


def real_path(path: Path) -> Path | str:
    """What is the same for all paths of a file on this machine: its path without links."""
    return path if isinstance(path, RemotePath) else os.path.realpath(path)


def distinct_ends(parts: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The ends of paths, all of one length, that distinguish them as the whole *parts* do: names, and folders above."""
    whole = [tuple(one) for one in parts]
    depth, different = 1, len(set(whole))
    while len({one[-depth:] for one in whole}) < different:
        depth += 1
    return [one[-depth:] for one in whole]


def _logs(paths: Iterable[Path], look: Look) -> Iterator[Path]:
    """Yield the logs among *paths*, files and folders; shards as one."""
    folders: dict[Path, dict[Path, int | None]] = {}
    known: set[Path] = set()  # files of the logs found so far
    for path in paths:
        if path in known:
            continue
        seen = look(path)
        files, rank = seen or _log_of(path)
        known.update(files)
        if (seen and files[:1] == (path,)) or path.is_file():  # the first test does not ask the file system
            folders.setdefault(path.parent, {}).update(dict.fromkeys(files[:1], rank))
        elif files:
            yield path
            if inner := _files_inside(path):
                yield from _logs(sorted((one for one in _inside(path) if one not in inner), key=_by_name), look)
        else:
            yield from _logs(sorted(_inside(path), key=_by_name), look)
    for folder, ranks in folders.items():
        if not ranks:
            continue
        if (look(folder) or _log_of(folder))[0]:
            yield folder
            inner = _files_inside(folder)
            ranks = {path: rank for path, rank in ranks.items() if inner and path not in inner}
        if _are_shards(folder, ranks):
            yield folder / f"*{next(iter(ranks)).suffix}"
        else:
            yield from ranks


def _are_shards(folder: Path, ranks: Mapping[Path, int | None]) -> bool:
    """Whether these logs are shards with different *ranks*, and the only files in *folder* with their suffix."""
    if len(ranks) < 2 or None in ranks.values() or len(set(ranks.values())) < len(ranks):
        return False
    suffix = next(iter(ranks)).suffix
    return len(ranks) == sum(path.name[0] != "." and path.suffix == suffix for path in folder.iterdir())


def _files_inside(folder: Path) -> tuple[Path, ...]:
    """The files of the log *folder*, next to which other logs can be: a folder named like a log has no other logs."""
    try:
        files = () if registry.suffix_of(folder) else registry.open(folder).files
    except TrainlogError:
        return ()
    return files if all(file.parent == folder for file in files) else ()


def _inside(folder: Path) -> Iterator[Path]:
    """The possible logs in *folder*; none if it cannot be listed, or is a link that leads to itself."""
    try:
        found = list(folder.iterdir())
    except TrainlogError:  # from an object storage
        raise
    except OSError:
        return
    for one in found:
        if one.name[0] != "." and not (one.is_symlink() and one.is_dir()):  # a link could lead back to this folder
            yield one


def _log_of(path: Path) -> tuple[tuple[Path, ...], int | None]:
    """The files of the log that *path* belongs to, and its rank among shards; no files if it is not a log."""
    try:
        reader = registry.open(path)
    except (UnknownFormat, CodecError):  # not a log, or a picture
        return ((path,) if path.is_file() and _is_named_as_a_log(path) else ()), None
    except TrainlogError:
        return (path,), None  # a log that cannot be read
    return ((path,) if path.is_dir() else reader.files or (path,)), shard_rank(reader.header)


def shard_rank(header: Header) -> int | None:
    """The rank of a shard, as its metadata declare it; None for any other log."""
    shard = header.meta.get("shard")
    rank = shard.get("rank") if isinstance(shard, dict) else None
    return rank if isinstance(rank, int) else None


def _is_named_as_a_log(path: Path) -> bool:
    """Whether the file has the suffix of a format whose codec does not reject it as something else."""
    for installed in registry.list_codecs():
        if installed.reads and path.name.lower().endswith(installed.codec.suffixes[0]):
            try:
                installed.codec.read(path)
            except UnknownFormat:
                continue
            except TrainlogError:
                pass
            return True
    return False


def matching(pattern: Path) -> list[Path]:
    """The files and folders that match *pattern*."""
    if isinstance(pattern, RemotePath):
        folder = fixed_part(pattern)
        return list(folder.glob(pattern.relative_to(folder).as_posix()))
    return [Path(name) for name in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207 - it may be absolute


_numbers: Final = re.compile(r"\d+")


def natural(name: str) -> str:
    """The sort key of a name in natural order: 2 before 10, and ``a`` and its numbers before ``a-b``."""
    return _numbers.sub(lambda number: "\0" + number[0].zfill(32), name)


def _by_name(path: Path) -> str:
    return natural(str(path))
