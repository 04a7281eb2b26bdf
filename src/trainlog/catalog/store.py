"""The file of a catalog: SQLite, next to the logs or in the user's cache, never where others could have created it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import ormsgpack

from trainlog.catalog.digest import Digest
from trainlog.catalog.facts import Facts
from trainlog.storage.location import RemotePath
from trainlog.table.arrow import utf8

__all__ = ["NAME", "Entry", "Store", "location"]

NAME: Final = ".trainlog-catalog.sqlite"

_VERSION: Final = zlib.crc32(f"7 {Facts.__slots__}".encode()) >> 1  # facts are stored as lists, by field order
_ID: Final = 0x54724C67  # SQLite's `application_id`: a file of that name without it is not touched
_WAIT: Final = 10.0  # seconds that a process waits for another one
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS log (
    path TEXT PRIMARY KEY, stamp TEXT NOT NULL, looked REAL NOT NULL, is_run INTEGER NOT NULL,
    facts BLOB NOT NULL, digest BLOB, position TEXT
)
"""


class Entry(NamedTuple):
    """A row of the catalog.

    Attributes:
        path: the path relative to the folder, with ``/``.
        stamp: size, times and inode of the files when they were looked at.
        is_run: whether it is a log of its own, not a shard, the second file of a log, or a file that is not a log.
        facts: what is known about it.
        looked: when it was looked at, in seconds since 1970; 0 if its files had changed too recently for a reliable
            stamp.

    """

    path: str
    stamp: str
    is_run: bool
    facts: Facts
    looked: float

    def is_fresh(self, stamp: str, *, read: bool) -> bool:
        """Whether the files with this *stamp* were looked at, and with *read* also read."""
        if stamp != self.stamp or not self.looked:
            return False
        return not read or self.facts.read or not self.is_run or bool(self.facts.error)


def location(folder: Path) -> Path | None:
    """The path of the catalog of *folder*, or None if it cannot be written anywhere.

    It is next to the logs if only this user can write there, otherwise (and for an object storage) in the user's cache.
    So a catalog or a journal that somebody else has put there is never opened.
    """
    if not isinstance(folder, RemotePath):
        folder = Path(os.path.realpath(folder))
        if _is_ours_alone(folder):
            return folder / NAME
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trainlog" / "catalogs"
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):  # there may be no home directory
        return None
    name = hashlib.sha256(os.fsencode(str(folder))).hexdigest()[:32]
    return base / f"{name}.sqlite" if _is_ours_alone(base) else None


def _is_ours_alone(folder: Path) -> bool:
    try:
        status = folder.stat()
    except OSError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022 and os.access(folder, os.W_OK | os.X_OK)


class Store:
    """The rows of a catalog. It never raises to a caller: what cannot be stored is found again the next time."""

    def __init__(self, path: Path | None, *, keep: bool = False) -> None:
        """Use the catalog at *path*, which is created at the first write; with None, nothing is stored.

        With *keep*, digests that cannot be stored are kept in memory.
        """
        self.path = path
        self._keep = keep
        self._unstored: dict[str, tuple[Facts, Digest, str]] = {}

    @contextmanager
    def _open(self, *, create: bool = False) -> Iterator[sqlite3.Connection | None]:
        """A connection; None if there is no usable catalog."""
        connection = None
        try:
            if self.path is not None and (create or self.path.exists()) and _is_safe(self.path):
                connection = self._connect(self.path)
        except (sqlite3.Error, OSError):  # such as a folder that is gone
            connection = None
        try:
            yield connection
        finally:
            if connection is not None:
                connection.close()

    def _connect(self, path: Path) -> sqlite3.Connection | None:
        try:
            return _opened(path)
        except sqlite3.OperationalError:
            return None  # locked for too long, or a disk without locks
        except sqlite3.DatabaseError:  # damaged, or of another version
            _remove(path)
            return _opened(path)

    def entries(self) -> dict[str, Entry]:
        """All rows by path; those that cannot be decoded are left out."""
        found: dict[str, Entry] = {}
        with self._open() as connection:
            if connection is None:
                return found
            try:
                for path, stamp, looked, is_run, packed in connection.execute(
                    "SELECT path, stamp, looked, is_run, facts FROM log"
                ):
                    try:
                        found[path] = Entry(path, stamp, bool(is_run), Facts(*ormsgpack.unpackb(packed)), looked)
                    except _UNREADABLE:
                        continue
            except sqlite3.OperationalError:
                return {}
            except sqlite3.DatabaseError:  # damaged inside, so that it could not be written either
                assert self.path is not None
                _remove(self.path)
                return {}
        return found

    def digests(self, paths: Iterable[str]) -> Iterator[tuple[str, Facts, Digest, str]]:
        """Yield path, facts, digest and position, which belong together, for those of *paths* that were read."""
        every = set(paths)
        kept = {path: found for path in every if (found := self._unstored.get(path)) is not None}
        for path, found in kept.items():
            yield path, *found
        wanted = {path for path in every - kept.keys() if utf8(path) == path}  # SQLite accepts no other names
        with self._open() as connection:
            if connection is None:
                return
            few = len(wanted) < 500
            where = f" WHERE path IN ({', '.join('?' * len(wanted))})" if few else ""
            try:
                rows = connection.execute(
                    f"SELECT path, facts, digest, position FROM log{where}", sorted(wanted) if few else ()
                )
                for path, facts, packed, position in rows:
                    if path in wanted and packed is not None:
                        with suppress(*_UNREADABLE):
                            digest = Digest.unpacked(ormsgpack.unpackb(packed))
                            yield path, Facts(*ormsgpack.unpackb(facts)), digest, str(position or "")
            except sqlite3.DatabaseError:
                return

    def update(self, looked: Iterable[tuple[Entry, Digest, str]]) -> None:
        """Store what was found: rows, each with its digest and position."""
        rows = []
        for entry, digest, position in looked:
            self._unstored.pop(entry.path, None)
            if self._keep and entry.facts.read:
                self._unstored[entry.path] = entry.facts, digest, position
            with suppress(*_UNPACKABLE):
                kept = (_pack(digest.packed()), position) if entry.facts.read else (None, None)
                rows.append((*_packed(entry), *kept))
        is_written = self._write(["INSERT OR REPLACE INTO log VALUES (?, ?, ?, ?, ?, ?, ?)"], [rows])
        for path, *_ in rows if is_written else ():
            self._unstored.pop(path, None)

    def mark(self, entries: Iterable[Entry], gone: Iterable[str] = ()) -> None:
        """Store which of *entries* are runs and what is known about them, and delete the rows of those that are *gone*.

        If another process has stored a newer row of a run that has changed, that row stays.
        """
        rows = []
        for entry in entries:
            with suppress(*_UNPACKABLE):
                rows.append(_packed(entry))
        insert = """INSERT INTO log (path, stamp, looked, is_run, facts) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (path) DO UPDATE SET is_run = excluded.is_run, facts = excluded.facts, stamp = excluded.stamp
            WHERE log.stamp = excluded.stamp OR NOT log.is_run"""
        gone = list(gone)
        for path in gone:
            self._unstored.pop(path, None)
        missing = [(path,) for path in gone if utf8(path) == path]
        self._write([insert, "DELETE FROM log WHERE path = ?"], [rows, missing])

    def _write(self, statements: list[str], rows: list[list[tuple[Any, ...]]]) -> bool:
        """Write *rows* in one transaction, and return whether that was done; if not, they are found again."""
        if any(rows):
            with self._open(create=True) as connection, suppress(sqlite3.Error):
                if connection is not None:
                    with connection:
                        for statement, some in zip(statements, rows, strict=True):
                            connection.executemany(statement, some)
                    return True
        return False


_UNREADABLE: Final = (ValueError, TypeError, KeyError, AttributeError)


# Text that UTF-8 cannot encode, integers of more than 64 bits, deep maps: such a log is looked at again each time.
_UNPACKABLE: Final = (TypeError, ValueError, RecursionError)


def _packed(entry: Entry) -> tuple[Any, ...]:
    entry.path.encode()  # SQLite accepts no other names
    return entry.path, entry.stamp, entry.looked, entry.is_run, _pack(entry.facts.packed())


def _pack(value: Any) -> bytes:
    return ormsgpack.packb(value, default=str, option=ormsgpack.OPT_NON_STR_KEYS)


def _is_safe(path: Path) -> bool:
    """Whether the file and those that SQLite would read with it are regular files of this user, or do not exist."""
    for one in (path, *(path.with_name(path.name + end) for end in ("-journal", "-wal", "-shm"))):
        try:
            status = one.lstat()
        except FileNotFoundError:
            continue
        except OSError:
            return False
        if not (stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022):
            return False
    return True


def _opened(path: Path) -> sqlite3.Connection:
    if not path.exists():
        with suppress(FileExistsError):  # accessible to this user alone, whatever the umask
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=_WAIT)
    try:
        (known,), (version,) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
        )
        empty = not known and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if empty:
            with connection:
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA application_id = {_ID}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
        elif known != _ID:
            raise sqlite3.OperationalError("this is not a catalog")
        elif version != _VERSION:
            raise sqlite3.DatabaseError("this is a catalog of another version")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _remove(path: Path) -> None:
    for one in (path, path.with_name(f"{path.name}-journal")):
        with suppress(OSError):
            one.unlink()
