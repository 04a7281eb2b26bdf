"""What is known about a file in an object storage, and those of its bytes that are in memory."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from trainlog.storage.filesystem import Info, Range

__all__ = ["Chunks", "Snapshot", "forget_bytes", "lock"]

_KEPT: Final = 128 << 20  # bytes of all files kept in memory
_REQUEST: Final = 32 << 20  # bytes of one request; the requests of one read are concurrent
_SAMPLE: Final = 4096

lock: Final = threading.RLock()
"""Held for a moment while kept bytes are read or changed."""


class _Memory:
    """The order in which the chunks of all files were last used."""

    def __init__(self) -> None:
        self._used: OrderedDict[tuple[int, int], tuple[Chunks, int]] = OrderedDict()
        self._bytes = 0

    def add(self, chunks: Chunks, start: int, size: int) -> None:
        self._used[id(chunks), start] = chunks, size
        self._bytes += size
        while self._bytes > _KEPT and len(self._used) > 1:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        (_, start), (owner, size) = self._used.popitem(last=False)
        owner.drop(start)
        self._bytes -= size

    def touch(self, chunks: Chunks, start: int) -> None:
        self._used.move_to_end((id(chunks), start))

    def clear(self) -> None:
        while self._used:
            self.drop_oldest()


_memory: Final = _Memory()


def forget_bytes() -> None:
    """Drop the bytes of all files."""
    with lock:
        _memory.clear()


class Chunks:
    """Bytes of a file that are in memory, as pieces that do not overlap. The least recently used ones are dropped."""

    __slots__ = ("_data", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._data: dict[int, bytes] = {}

    def add(self, start: int, data: bytes) -> None:
        """Keep *data*, unless another reader has added some of it meanwhile."""
        with lock:
            if data and self.cover(start, start + len(data))[1] == [(start, start + len(data))]:
                self._starts.insert(bisect_left(self._starts, start), start)
                self._data[start] = data
                _memory.add(self, start, len(data))

    def drop(self, start: int) -> None:
        """Forget the piece that begins at *start*."""
        self._starts.remove(start)
        del self._data[start]

    def cover(self, start: int, stop: int) -> tuple[list[tuple[int, bytes]], list[tuple[int, int]]]:
        """The pieces that have bytes from *start* to *stop*, and the ranges that are missing between them."""
        with lock:
            found, missing, at = [], [], start
            first = max(bisect_right(self._starts, start) - 1, 0)
            for begin in self._starts[first : bisect_left(self._starts, stop)]:
                end = begin + len(self._data[begin])
                if end <= start:
                    continue
                if begin > at:
                    missing.append((at, begin))
                found.append((begin, self._data[begin]))
                _memory.touch(self, begin)
                at = end
            if at < stop:
                missing.append((at, stop))
            if self._starts:
                _memory.touch(self, self._starts[-1])  # a footer or a seek table is requested again and again
            return found, missing

    def next_after(self, start: int) -> int:
        """Where the next piece begins."""
        with lock:
            n = bisect_left(self._starts, start)
            return self._starts[n] if n < len(self._starts) else sys.maxsize

    def end_before(self, stop: int) -> int:
        """Where the last piece that begins before *stop* ends; 0 if there is none."""
        with lock:
            n = bisect_left(self._starts, stop) - 1
            return self._starts[n] + len(self._data[self._starts[n]]) if n >= 0 else 0

    def has_end_at(self, stop: int) -> bool:
        """Whether a piece ends at *stop*, or *stop* is the beginning of the file."""
        return self.end_before(stop) == stop

    def run_from(self, start: int) -> int:
        """How many bytes from *start* on are in memory, if a piece begins there."""
        with lock:
            end = start
            while end in self._data:
                end += len(self._data[end])
            return end - start

    def __bool__(self) -> bool:
        return bool(self._starts)


_lineages: Final = itertools.count(1)


class Snapshot:
    """A file as it was at one time.

    Attributes:
        parts: the objects that it consists of, in order.
        starts: the offset of each of them.
        size: the bytes of all objects together.
        version: the version of the content; None if the storage was not asked, and all bytes are in memory.
        modified: seconds since 1970; 0.0 if unknown.
        is_immutable: whether the objects never change while the log is the same: additions are new objects.
        lineage: a number that stays the same when the file grows.
        taken: when the storage was asked, by the monotonic clock.
        chunks: the bytes that are in memory.
        sample: the last of the bytes that were read, with their offset.

    """

    __slots__ = (
        *("chunks", "is_immutable", "lineage", "modified", "parts", "sample", "size", "starts", "taken", "version"),
    )

    def __init__(self, parts: Sequence[Info], version: str | None, *, is_immutable: bool = False) -> None:
        self.parts = tuple(parts)
        self.version = version
        self.is_immutable = is_immutable
        self.starts = list(itertools.accumulate((part.size for part in self.parts), initial=0))
        self.size = self.starts.pop()
        self.modified = max((part.modified for part in self.parts), default=0.0)
        self.lineage = next(_lineages)
        self.taken = time.monotonic()
        self.chunks = Chunks()
        self.sample = 0, b""

    def keep(self, start: int, data: bytes) -> None:
        """Keep bytes that were read."""
        self.chunks.add(start, data)
        if start + len(data) > self.sample[0] + len(self.sample[1]):
            self.sample = max(start, start + len(data) - _SAMPLE), data[-_SAMPLE:]

    def is_same(self, other: Snapshot) -> bool:
        """Whether nothing has changed."""
        return self.version is not None and (self.size, self.version) == (other.size, other.version)

    def follow(self, old: Snapshot) -> None:
        """Become the continuation of *old*, a file that has grown; its bytes are reused if their version is known."""
        self.sample, self.lineage = old.sample, old.lineage
        if old.version is not None:
            self.chunks = old.chunks

    def ranges(self, start: int, stop: int) -> Iterator[tuple[int, Range]]:
        """Yield the ranges to read for the bytes from *start* to *stop*, each with its offset in the file."""
        for n in range(max(bisect_right(self.starts, start) - 1, 0), len(self.parts)):
            begin, part = self.starts[n], self.parts[n]
            at, end = max(start - begin, 0), min(stop - begin, part.size)
            while at < end:
                next_ = min(at + _REQUEST, end)
                yield begin + at, (part.name, at, next_)
                at = next_
            if begin >= stop:
                return
