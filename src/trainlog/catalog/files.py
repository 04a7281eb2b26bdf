"""The files of a tree, and the stamps that show whether a file has changed."""

from __future__ import annotations

import fnmatch
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from trainlog.storage.location import RemotePath

if TYPE_CHECKING:
    from trainlog.storage.filesystem import Info

__all__ = ["Files", "Stamp", "is_below", "is_longer", "leads_out", "stamp_of", "stamp_of_info", "walk"]

_DEPTH: Final = 64


class Stamp(NamedTuple):
    """What shows whether a file has changed: its size, when its content and its status last changed, and its inode.

    Stamps are kept as text: there is one for each of many thousand files, and few are ever parsed.
    """

    size: int
    changed: int
    touched: int
    inode: int

    @classmethod
    def of(cls, stamp: str) -> Stamp:
        """The inverse of `stamp_of`."""
        return cls(*map(int, stamp.split(":")))


def stamp_of(status: os.stat_result) -> str:
    """The stamp of a file, as text."""
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"


def stamp_of_info(info: Info) -> str:
    """The stamp of an object in an object storage, with its version in place of the inode."""
    changed = int(info.modified * 1e9)
    return f"{info.size}:{changed}:{changed}:{zlib.crc32(info.version.encode())}"


def is_longer(old: str, new: str) -> bool:
    """Whether both stamps belong to the same files, none of which has become shorter."""
    pairs = [
        (one.rsplit("=", 1), two.rsplit("=", 1)) for one, two in zip(old.split("\n"), new.split("\n"), strict=False)
    ]
    if old.count("\n") != new.count("\n") or not all(one[:-1] == two[:-1] for one, two in pairs):
        return False
    places = [(one[-1].split(":"), two[-1].split(":")) for one, two in pairs]
    return all(len(one) == len(two) == 4 and one[3] == two[3] and int(one[0]) <= int(two[0]) for one, two in places)


class Files:
    """The files that may be logs: their stamps by name, and the names in each folder."""

    def __init__(self, stamps: dict[str, str]) -> None:
        self.stamps = stamps
        self._folders: dict[str, list[str]] | None = None

    def in_folder(self, name: str) -> list[str]:
        """The names of the files of a folder."""
        if self._folders is None:
            self._folders = {}
            for one in self.stamps:
                self._folders.setdefault(one.rpartition("/")[0], []).append(one)
        return self._folders.get(name, [])

    def members(self, name: str, files: Iterable[str]) -> list[str]:
        """The files of the log *name*, which has several *files* in one folder, or is a folder or a pattern."""
        folder, slash, last = name.rpartition("/")
        if name in self.stamps:
            return [folder + slash + one for one in files] or [name]
        inside = self.in_folder(name)
        return inside or [one for one in self.in_folder(folder) if fnmatch.fnmatchcase(one.rpartition("/")[2], last)]

    def stamp(self, name: str, files: list[str]) -> str:
        """The stamp of the log, as text."""
        if len(files) < 2 and name in self.stamps:
            return self.stamps[name]
        return "\n".join(f"{one}={self.stamps.get(one, '')}" for one in sorted(self.members(name, files)))

    def size(self, name: str) -> int:
        """The bytes of the log's file or files."""
        return sum(one.size for one in self.of_log(name, ()))

    def of_log(self, name: str, files: Iterable[str]) -> list[Stamp]:
        """The stamps of the files of the log."""
        return [Stamp.of(self.stamps[one]) for one in self.members(name, files) if one in self.stamps]

    def changed(self, name: str, files: Iterable[str]) -> int:
        """When the newest of its files was changed in any way, in nanoseconds since 1970."""
        return max((max(one.changed, one.touched) for one in self.of_log(name, files)), default=0)


def walk(folder: Path, prefix: str, within: Path | None = None) -> Iterator[tuple[str, str]]:
    """The regular files below *folder* with their stamps, without hidden files and links to folders.

    With *within*, links to files outside that folder are left out, too.
    """
    folders = [(os.fspath(folder), prefix, 0)]
    while folders:
        path, prefix, depth = folders.pop()
        try:
            found = list(os.scandir(path))
        except OSError:
            continue
        for one in found:
            name = one.name
            if name[0] == ".":
                continue
            try:
                if one.is_dir(follow_symlinks=False):
                    if depth < _DEPTH:
                        folders.append((one.path, f"{prefix}{name}/", depth + 1))
                elif one.is_file() and (within is None or not one.is_symlink() or is_below(one.path, within)):
                    yield prefix + name, stamp_of(one.stat())
            except OSError:
                continue


def is_below(path: str, folder: Path) -> bool:
    """Whether *path*, with all symbolic links resolved, is in *folder*, whose own path has none."""
    return folder in Path(os.path.realpath(path)).parents


def leads_out(folder: Path, root: Path) -> bool:
    """Whether a link in *folder* leads to a file outside *root*, which a log of several files would read."""
    if isinstance(folder, RemotePath):
        return False
    with suppress(OSError), os.scandir(folder) as found:
        return any(one.is_symlink() and one.is_file() and not is_below(one.path, root) for one in found)
    return False
