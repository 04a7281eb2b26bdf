"""Scans of an RLSimion log, and the positions after their batches."""

from __future__ import annotations

import dataclasses
import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codec import Gap
from trainlog.codecs.simion.columns import FrameColumns, Rows, StepColumns
from trainlog.codecs.simion.functions import FunctionSamples
from trainlog.codecs.simion.layout import EPISODES_AT, STEP_CLOCKS, STEP_INDEX, WORD
from trainlog.codecs.simion.reading import Mark, Reading, State
from trainlog.codecs.simion.walk import Steps
from trainlog.errors import InvalidPosition
from trainlog.model import Header, Kind
from trainlog.scan import Batch, Position, Scan, stretch
from trainlog.storage.source import Source
from trainlog.table.values import in_range

__all__ = ["LogPosition", "LogScan"]

_CHECKED: Final = 4096  # bytes at each end of the part that was read


class LogPosition(NamedTuple):
    """The contents of a `Position` in an RLSimion log, as `trainlog.scan.Place` is for other formats.

    Attributes:
        state: where to begin reading.
        start: up to here, all rows were returned.
        ahead: up to here, the rows of the kinds in ``done`` were returned.
        done: kinds; empty when no rows of other kinds of the same stretch are left.
        check: checksums of both files up to ``ahead``.

    """

    state: State = State()
    start: Mark = Mark()
    ahead: Mark = Mark()
    done: frozenset[int] = frozenset()
    check: str = ""

    @classmethod
    def parse(cls, position: str) -> LogPosition:
        """The inverse of `position`.

        Raises:
            InvalidPosition: when the text is not a position.

        """
        if match := _POSITION.fullmatch(position):
            state = State(*map(int, match[1].split(".")), *struct.unpack("<d", bytes.fromhex(match[2])))
            start, ahead = (Mark(*map(int, match[i].split("."))) for i in (3, 4))
            if state.data <= start.data <= ahead.data and state.functions <= start.functions <= ahead.functions:
                return cls(state, start, ahead, frozenset(map(int, filter(None, match[5].split(".")))), match[6])
        raise InvalidPosition(f"{position[:80]!r} is not a position in an RLSimion log")

    @property
    def position(self) -> Position:
        """The position as text."""
        *numbers, time = dataclasses.astuple(self.state)
        parts = (numbers, [struct.pack("<d", time).hex()], self.start, self.ahead, sorted(self.done))
        return Position("-".join([*(".".join(map(str, part)) for part in parts), self.check]))

    def verify(self, source: Source, functions: Source | None) -> None:
        """Make sure that the files still hold what was read from them.

        Raises:
            InvalidPosition: when one of them is shorter by now, or is another file.

        """
        if self.ahead.data > source.size or self.ahead.functions > (functions.size if functions else 0):
            raise InvalidPosition("the log is shorter than what was read of it; read it again", path=source.path)
        if self.check != _checksum(source, functions, self.ahead):
            raise InvalidPosition("the log is not the one that was read; read it again", path=source.path)


_POSITION: Final = re.compile(
    r"(\d{1,18}(?:\.\d{1,18}){4})-([0-9a-f]{16})-(\d{1,18}\.\d{1,18})-(\d{1,18}\.\d{1,18})"
    r"-((?:\d{1,3}(?:\.\d{1,3}){0,9})?)-([0-9a-f]{16})",
    re.ASCII,
)


def _checksum(data: Source, functions: Source | None, mark: Mark) -> str:
    """A checksum of the first and the last bytes of each file before *mark*.

    It leaves out the first words, because the writer of a data file changes the number of episodes there.
    """
    crcs = [0, 0]
    first = EPISODES_AT + WORD
    for i, (source, end) in enumerate(((data, mark.data), (functions, mark.functions))):
        for start in (first, max(end - _CHECKED, first)):
            if source is not None and start < end:
                crcs[i] = zlib.crc32(source.read(start, min(end - start, _CHECKED)), crcs[i])
    return "".join(f"{crc:08x}" for crc in crcs)


class LogScan:
    """One pass that answers a `Scan`."""

    def __init__(
        self, header: Header, keys: Sequence[str], source: Source, functions: FunctionSamples | None, scan: Scan
    ) -> None:
        """Begin; *keys* are the keys of the variables, *source* is the data file.

        Raises:
            InvalidPosition: when ``scan.after`` does not fit the log, or no longer does.

        """
        self._scan = scan
        self._source = source
        self._functions = None if functions is None else functions.source
        self._place = LogPosition()
        if scan.after is not None:
            self._place = LogPosition.parse(scan.after)
            self._place.verify(source, self._functions)
        state, start, ahead, *_ = self._place
        self._reading = Reading(header, source, functions, wants=scan.wants, state=state, marks=(start, ahead))
        self._marks_left = 2  # up to the first, all rows were returned; up to the second, the done kinds
        self._steps = StepColumns(keys, scan.columns, scan.last)
        self._others: dict[Kind, FrameColumns] = {}
        self._rows = 0  # of all kinds since the last batch
        is_bounded = scan.batch_rows is not None and scan.last is None
        self._most = max(scan.batch_rows or 0, 1) if is_bounded else sys.maxsize

    def batches(self, on_gap: Callable[[Gap], object]) -> Iterator[Batch]:
        """The batches of the scan; *on_gap* is called with the bytes that are not a record."""
        reading = self._reading
        only_steps = self._scan.wanted == frozenset([Kind.CREATURE])
        for number, item in reading.items(on_gap, self._at_once if only_steps else None):
            if item is None:
                self._marks_left -= 1
                if self._rows:  # a stretch that was returned in part ends where it ended before
                    yield from self._flush(reading.mark)
                if not self._marks_left:
                    self._place = LogPosition(reading.resumable(), reading.mark, reading.mark)
            elif isinstance(item, Steps):
                if self._is_new(Kind.CREATURE):
                    yield from self._add_steps(number, item)
            elif self._is_new(item.kind) and self._scan.selects(item):
                columns = self._others.get(item.kind)
                if columns is None:
                    columns = self._others[item.kind] = FrameColumns(item.kind, self._scan.columns, self._scan.last)
                columns.add(number, item)
                self._rows += 1
            if self._rows >= self._most and not self._marks_left and reading.is_whole:
                yield from self._flush(reading.mark)
        yield from self._flush(reading.mark)

    def _is_new(self, kind: Kind) -> bool:
        """Whether the rows of *kind* are requested and were not returned before."""
        return self._scan.wants(kind) and self._marks_left < (1 if kind in self._place.done else 2)

    def _at_once(self, episodes: Steps) -> int:
        """How many of these whole *episodes* fit into the batch."""
        return (self._most - self._rows) // int(episodes.words.shape[1])

    def _add_steps(self, number: int, steps: Steps) -> Iterator[Batch]:
        """Add the requested steps, at most a batch of them at a time."""
        order, chosen = steps.orders(number), self._chosen(steps)
        left = (self._source.size - steps.offset) // steps.step_size + 1
        while True:
            count, room = order.shape[1], self._most - self._rows
            if steps.starts is None and not self._marks_left:
                if chosen is None:
                    count = min(count, room)
                elif len(rows := np.flatnonzero(chosen)) > room:
                    count = int(rows[room - 1]) + 1
            before = self._steps.rows
            some = None if chosen is None else chosen[:, :count]
            self._steps.add(steps.words[:, :count], order[:, :count], some, min(room, left))
            self._rows += self._steps.rows - before
            if count == order.shape[1]:
                return
            _, steps = steps.split(count)
            order, chosen = order[:, count:], None if chosen is None else chosen[:, count:]
            yield from self._flush(Mark(steps.offset, self._reading.state.functions))

    def _chosen(self, steps: Steps) -> npt.NDArray[np.bool_] | None:
        """Which of the steps are in the requested ranges; None when there are no ranges."""
        if not self._scan.has_ranges:
            return None
        found = np.ones(steps.words.shape[:2], np.bool_)
        if self._scan.time is not None:
            found &= in_range(steps.doubles[..., STEP_CLOCKS.start], self._scan.time)
        if self._scan.steps is not None:
            found &= in_range(steps.words[..., STEP_INDEX], self._scan.steps)
        return found

    def _flush(self, mark: Mark) -> Iterator[Batch]:
        """The batches of the rows since the last flush, up to *mark*, where the next batches begin."""
        tables: dict[Kind, Rows] = {kind: columns.finish() for kind, columns in self._others.items()}
        if self._steps.rows:
            tables[Kind.CREATURE] = self._steps.finish()
        self._others, self._rows = {}, 0
        check = _checksum(self._source, self._functions, mark)
        before = self._place
        after = self._place = LogPosition(self._reading.resumable(), mark, mark, check=check)

        def behind(done: frozenset[int]) -> Position:
            return (before._replace(ahead=mark, done=done, check=check) if done else after).position

        yield from stretch(tables, self._scan, behind, before.done)
