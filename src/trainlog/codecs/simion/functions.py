"""The function log: what an agent has learned, sampled from time to time on a grid. See docs/formats/simion.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from trainlog.codec import Gap
from trainlog.codecs.simion.layout import (
    DECLARATION,
    FUNCTIONS,
    MAX_FUNCTION_VALUES,
    SAMPLE,
    WORD,
    FunctionMagic,
)
from trainlog.errors import CorruptLog, DamagedLog, TruncatedLog, UnknownFormat
from trainlog.storage.source import Source, growing

__all__ = ["Declaration", "FunctionSamples", "FunctionsHead", "Sample", "SampleHead", "take_head"]

NAME_SIZE: Final = 128
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Declaration:
    """A sampled function.

    Attributes:
        id: the id in its samples.
        name: for example ``V(angle,angular-velocity)``.
        shape: the number of values along x, y and z.
        rest: the bytes of the name field after its NUL; the original leaves whatever was in memory there.

    """

    id: int
    name: str
    shape: tuple[int, int, int]
    rest: bytes = b""

    @property
    def size(self) -> int:
        """The number of values in a sample."""
        x, y, z = self.shape
        return x * y * z

    def pack(self) -> bytes:
        """The record."""
        name = self.name.encode("utf-8", "surrogateescape")
        field = (name + b"\0" + self.rest)[:NAME_SIZE] if len(name) < NAME_SIZE else name[:NAME_SIZE]
        return DECLARATION.pack(FunctionMagic.DECLARATION, self.id, field, *self.shape)

    def as_json(self) -> dict[str, Any]:
        """The JSON form that the metadata of other formats carries."""
        return {"id": self.id, "name": self.name, "shape": list(self.shape), "rest": self.rest.hex()}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Declaration:
        """The inverse of `as_json`.

        Raises:
            KeyError, TypeError, ValueError: when the entry is something else.

        """
        x, y, z = map(int, entry["shape"])
        return cls(int(entry.get("id", 0)), str(entry["name"]), (x, y, z), bytes.fromhex(entry.get("rest", "")))


@dataclass(frozen=True, slots=True)
class FunctionsHead:
    """The header of a function log.

    Attributes:
        count: the number of functions that the header states; None for an empty log.
        declared: the functions; fewer than *count* when the log ends too early.

    """

    count: int | None
    declared: tuple[Declaration, ...] = ()

    def pack(self) -> bytes:
        """The header and the declarations."""
        if self.count is None:
            return b""
        head = FUNCTIONS.pack(FunctionMagic.HEADER, VERSION, self.count)
        return head + b"".join(declaration.pack() for declaration in self.declared)

    def as_json(self) -> dict[str, Any]:
        """The JSON form that the metadata of other formats carries."""
        return {"count": self.count, "declared": [declaration.as_json() for declaration in self.declared]}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> FunctionsHead:
        """The inverse of `as_json`.

        Raises:
            KeyError, TypeError, ValueError, struct.error: when the entry is something else.

        """
        declared = tuple(Declaration.from_json({"id": i, **one}) for i, one in enumerate(entry["declared"]))
        count = entry.get("count", len(declared))
        head = cls(None if count is None else int(count), declared)
        head.pack()
        return head


class SampleHead(NamedTuple):
    """Which function was sampled, and when.

    Attributes:
        function: the function that was sampled.
        episode: index of the evaluation that it belongs to; 0 when the run has none.
        step: the step within the episode.
        experiment_step: steps of all episodes since the experiment began.

    """

    function: Declaration
    episode: int
    step: int
    experiment_step: int

    @property
    def record_size(self) -> int:
        """The size of the whole sample in bytes."""
        return SAMPLE.size + self.function.size * WORD


class Sample(NamedTuple):
    """One function at one moment.

    Attributes:
        head: which function, and when.
        values: float64, shape (x * y * z,), x fastest.

    """

    head: SampleHead
    values: npt.NDArray[np.float64]

    def pack(self) -> bytes:
        """The record."""
        function, *when = self.head
        values = np.ascontiguousarray(self.values, "<f8")
        return SAMPLE.pack(FunctionMagic.SAMPLE, *when, function.id) + values.tobytes()


def take_head(source: Source) -> FunctionsHead:
    """Read the header of a function log, and all the declarations that are present.

    Raises:
        CorruptLog: when it is something else, or a function's size cannot be right.
        TruncatedLog: when it ends inside the header.
        UnknownFormat: for a version that this library does not know.

    """
    head = source.take(FUNCTIONS.size)
    if not head:
        return FunctionsHead(None)
    magic, version, count = FUNCTIONS.unpack(head)
    if magic != FunctionMagic.HEADER:
        raise CorruptLog(f"this is not a function log: it begins with {head[:8]!r}", path=source.path, offset=0)
    if version != VERSION:
        raise UnknownFormat(f"this is a function log of version {version}; only {VERSION} is known", path=source.path)
    declarations: list[Declaration] = []
    while len(declarations) < count:
        at = source.offset
        try:
            record = source.take(DECLARATION.size)
        except TruncatedLog:
            break
        if not record:
            break
        if int.from_bytes(record[:WORD], "little") != FunctionMagic.DECLARATION:
            raise CorruptLog("expected the declaration of a function here", path=source.path, offset=at)
        declarations.append(_declaration(record, source, at))
    return FunctionsHead(count, tuple(declarations))


def _declaration(record: bytes, source: Source, at: int) -> Declaration:
    _, number, field, x, y, z = DECLARATION.unpack(record)
    if min(x, y, z) < 0 or x * y * z > MAX_FUNCTION_VALUES:
        raise CorruptLog(
            f"a function claims {x:,} by {y:,} by {z:,} values; the most possible is {MAX_FUNCTION_VALUES:,}",
            path=source.path,
            offset=at,
        )
    name, _, rest = field.partition(b"\0")
    return Declaration(number, name.decode("utf-8", "surrogateescape"), (x, y, z), rest.rstrip(b"\0"))


class FunctionSamples:
    """The samples of a function log, in the file's order; the caller takes as many at a time as it wants.

    Holds an open file: close it, or use it in a ``with`` statement. The file may still be growing.

    Attributes:
        source: the file.
        offset: the offset of the next sample, 0 for the first; set it to resume there.

    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open *path*."""
        self.source = Source(path, growing)
        self.offset = 0
        self._by_id: dict[int, Declaration] | None = None  # when all functions are declared
        self._block, self._from = b"", 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.source.close()

    def until(self, wanted: Callable[[SampleHead], bool]) -> Iterator[Sample]:
        """Yield whole samples up to the first that is not *wanted*; that one stays the next sample."""
        while (head := self.next()) is not None and wanted(head):
            first = self.offset - self._from + SAMPLE.size
            values = np.frombuffer(self._block, "<f8", head.function.size, first)
            self.skip(head)
            yield Sample(head, values)

    def skip(self, head: SampleHead) -> None:
        """Skip the next sample, whose head is *head*."""
        self.offset += head.record_size

    def next(self) -> SampleHead | None:
        """The head of the sample at ``offset``; None when there is no complete sample."""
        if self._by_id is None:
            self._begin()
        if self._by_id is None or (at := self._find(SAMPLE.size)) < 0:
            return None
        magic, episode, step, experiment_step, number = SAMPLE.unpack_from(self._block, at)
        function = self._by_id.get(number)
        if magic != FunctionMagic.SAMPLE or function is None:
            return None
        head = SampleHead(function, episode, step, experiment_step)
        return head if self._find(head.record_size) >= 0 else None

    def gap(self) -> Gap | None:
        """The bytes after the last sample that was taken: once all are taken, those that are not a complete sample."""
        left = self.source.size - self.offset
        if left <= 0:
            return None
        first = self.source.read(self.offset, WORD)
        due = (FunctionMagic.HEADER, FunctionMagic.DECLARATION, FunctionMagic.SAMPLE)
        torn = len(first) < WORD or int.from_bytes(first, "little") in due
        return Gap(self.offset, left, torn=torn, file=self.source.path.name)

    def _begin(self) -> None:
        """Read the declarations. A file that is something else has no samples and is one gap."""
        try:
            self.source.offset = 0
            head = take_head(self.source)
            self.offset = max(self.offset, self.source.offset)
        except (DamagedLog, UnknownFormat):
            return
        if head.count is not None and len(head.declared) >= head.count:
            self._by_id = {declaration.id: declaration for declaration in head.declared}

    def _find(self, size: int) -> int:
        """Where in the block the *size* bytes at ``offset`` are; -1 when the file does not have that many."""
        at = self.offset - self._from
        if not 0 <= at <= len(self._block) - size:
            self._block, self._from = self.source.block(self.offset, size), self.offset
            at = 0 if len(self._block) >= size else -1
        return at
