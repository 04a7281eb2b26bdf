"""Scans of an RLSimion log, and the positions behind their batches."""

from __future__ import annotations

import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codec import Gap
from trainlog.codecs.simion.columns import FrameColumns, Rows, StepColumns
from trainlog.codecs.simion.frames import FrameConverter, ReadState
from trainlog.codecs.simion.functions import FunctionSamples
from trainlog.codecs.simion.layout import EPISODES_AT, STEP_CLOCKS, STEP_INDEX, WORD
from trainlog.codecs.simion.walk import EpisodeStart, EqualEpisodes, Steps
from trainlog.errors import InvalidPosition
from trainlog.model import Frame, Header, Kind
from trainlog.scan import Batch, Position, Scan
from trainlog.storage.source import Source
from trainlog.table.table import Table
from trainlog.table.values import in_range

__all__ = ["LogPosition", "LogScan"]

_CHECKED: Final = 4096  # bytes at each end of what was read
_STEPS_ALONE: Final = frozenset([Kind.CREATURE])


class LogPosition(NamedTuple):
    """What a `Position` in an RLSimion log says.

    Attributes:
        state: where to resume.
        data, functions: offsets in the files, until which all rows of the kinds that are ``done`` were given.
        done: kinds, while batches of others of the same stretch of the log are still to come.
        check: checksums of both files until there.

    """

    state: ReadState
    data: int
    functions: int
    done: frozenset[int]
    check: str

    @classmethod
    def parse(cls, position: str) -> LogPosition:
        """The inverse of `position`.

        Raises:
            InvalidPosition: for a text that is none.

        """
        match = _POSITION.fullmatch(position)
        if match is None:
            raise InvalidPosition(f"{position[:80]!r} is no position in an RLSimion log")
        numbers = list(map(int, match[1].split(".")))
        state = ReadState(*numbers, *struct.unpack("<d", bytes.fromhex(match[2])))
        data, functions = (int(match[3]), int(match[4])) if match[3] else (state.data, state.functions)
        if not (state.open <= state.data <= data and state.functions <= functions):
            raise InvalidPosition(f"{position[:80]!r} is no position in an RLSimion log")
        return cls(state, data, functions, frozenset(map(int, filter(None, (match[5] or "").split(".")))), match[6])

    @property
    def position(self) -> Position:
        """As text."""
        *numbers, time = (getattr(self.state, name) for name in ReadState.__slots__)
        done = f"+{self.data}.{self.functions}:{'.'.join(map(str, sorted(self.done)))}" if self.done else ""
        return Position(f"{'.'.join(map(str, numbers))}.{struct.pack('<d', time).hex()}{done}-{self.check}")

    def verify(self, source: Source, functions: FunctionSamples | None) -> None:
        """Make sure that the files still hold what was read of them.

        Raises:
            InvalidPosition: when one of them is shorter by now, or another file.

        """
        learned = functions.source if functions is not None else None
        if self.data > source.size or self.functions > (0 if learned is None else learned.size):
            raise InvalidPosition("the log is shorter than what was read of it; read it anew", path=source.path)
        if self.check != _checksum(source, self.data) + _checksum(learned, self.functions):
            raise InvalidPosition("the log is another than the one that was read; read it anew", path=source.path)


_POSITION: Final = re.compile(
    r"(\d{1,18}(?:\.\d{1,30}){6}\.-?\d{1,19})\.([0-9a-f]{16})"
    r"(?:\+(\d{1,18})\.(\d{1,18}):(\d{1,3}(?:\.\d{1,3}){0,9}))?-([0-9a-f]{16})",
    re.ASCII,
)


def _checksum(source: Source | None, end: int) -> str:
    """A checksum of the first and of the last bytes before *end*, but for the number of episodes.

    That is the only thing in a data file that its writer changes.
    """
    size = min(_CHECKED, end)
    crc = 0
    for offset in (0, end - size):
        if source is None or not size:
            break
        sample = bytearray(size)
        source.fill(memoryview(sample), offset)
        for i in range(max(EPISODES_AT - offset, 0), min(max(EPISODES_AT + WORD - offset, 0), size)):
            sample[i] = 0
        crc = zlib.crc32(sample, crc)
    return f"{crc:08x}"


class LogScan:
    """One answer to a `Scan`."""

    def __init__(
        self, header: Header, keys: Sequence[str], source: Source, functions: FunctionSamples | None, scan: Scan
    ) -> None:
        """Begin.

        Args:
            header: of the log.
            keys: of the variables.
            source: the data file.
            functions: the function log, where there is one.
            scan: the question.

        Raises:
            InvalidPosition: when ``scan.after`` does not fit the log, or does not any more.

        """
        self._scan = scan
        self._source = source
        self._functions = functions
        self._place: LogPosition | None = None  # until the end of the stretch that it is in
        state = ReadState()
        if scan.after is not None:
            place = LogPosition.parse(scan.after)
            place.verify(source, functions)
            state = place.state
            if functions is not None:
                functions.offset = state.functions
            self._place = place if place.done else None
        self._converter = FrameConverter(header, source, functions, state, wants=scan.wants)
        self._state = self._converter.state
        self._steps = StepColumns(keys, scan.columns, scan.last)
        self._others: dict[Kind, FrameColumns] = {}
        self._rows = 0  # of all kinds since the last batch
        is_bounded = scan.batch_rows is not None and scan.last is None
        self._most = max(scan.batch_rows or 0, 1) if is_bounded else sys.maxsize

    def batches(self, on_gap: Callable[[Gap], object]) -> Iterator[Batch]:
        """The answer; *on_gap* is called with the bytes that are no record."""
        start = replace(self._state)
        for _ in self._read(on_gap):
            is_full = self._rows >= self._most
            if place := self._place:
                if self._state.data < place.data:
                    continue
                for _ in self._samples(are_due=False):  # it may have been the end of the log
                    pass
                is_full = self._scan.last is None and len(self._scan.wanted or Kind) > 1
            if is_full:
                if self._rows:
                    yield from self._flush(start)
                start = replace(self._state)
            self._place = None
        yield from self._flush(start)

    def _read(self, on_gap: Callable[[Gap], object]) -> Iterator[None]:
        """Read the log, and stop wherever a batch may end."""
        yield
        yield from self._samples()
        for record in self._converter.records(on_gap, self._episodes_at_once):
            if isinstance(record, Steps):
                yield from self._add_steps(record)
                continue
            if isinstance(record, EqualEpisodes):
                self._add_episodes(record)
            for number, frame in self._converter.convert(record):
                if not self._was_given(frame.kind):
                    self._add(number, frame)
            yield
            if isinstance(record, EpisodeStart):
                yield from self._samples()
        yield from self._samples(are_due=False)
        if self._functions is not None and (gap := self._functions.gap()) is not None:
            on_gap(gap)

    def _samples(self, *, are_due: bool = True) -> Iterator[None]:
        until = self._place.functions if self._place else sys.maxsize
        for number, frame in self._converter.samples(until, are_due=are_due):
            if not self._was_given(Kind.EVENT):
                self._add(number, frame)
            yield

    def _was_given(self, kind: Kind) -> bool:
        """Whether the rows of *kind* were given before, in a stretch of which others were not."""
        return self._place is not None and kind in self._place.done

    def _add(self, number: int, frame: Frame) -> None:
        if self._scan.selects(frame):
            if frame.kind not in self._others:
                self._others[frame.kind] = FrameColumns(frame.kind, self._scan.columns, self._scan.last)
            self._others[frame.kind].add(number, frame)
            self._rows += 1

    def _add_steps(self, steps: Steps) -> Iterator[None]:
        """Add the steps that are asked for, as many at a time as a batch may have."""
        while count := len(steps.words):
            room = self._most - self._rows
            if self._place:  # such a stretch is one batch of each kind
                count = room = min(max((self._place.data - steps.offset) // steps.words[0].nbytes, 1), count)
            if self._scan.wants(Kind.CREATURE) and not self._was_given(Kind.CREATURE):
                chosen = self._chosen(steps.words[:count])
                if chosen is None:
                    count = min(count, room)
                elif len(rows := np.flatnonzero(chosen)) > room:
                    count = int(rows[room - 1]) + 1
                order = np.arange(self._state.frames, self._state.frames + count)
                self._add_columns(steps.words[:count], order, None if chosen is None else chosen[:count])
            first, steps = steps.split(count)
            self._converter.convert(first)
            yield

    def _episodes_at_once(self, episodes: EqualEpisodes) -> int:
        """How many of *episodes* the batch has room for; 0 when other kinds of frames are asked for, too."""
        if self._scan.wanted != _STEPS_ALONE or self._place:
            return 0
        return int((self._most - self._rows) // episodes.steps.shape[1])

    def _add_episodes(self, episodes: EqualEpisodes) -> None:
        count, steps, _ = episodes.steps.shape
        starts = self._state.frames + (steps + 3) * np.arange(count)
        self._add_columns(episodes.steps, np.add.outer(starts + 1, np.arange(steps)), self._chosen(episodes.steps))

    def _add_columns(
        self, words: npt.NDArray[Any], order: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_] | None
    ) -> None:
        def expected() -> int:
            bytes_left = self._source.size - self._state.data
            return int(min(self._most - self._rows, bytes_left // (words.shape[-1] * WORD) + 1))

        before = self._steps.rows
        self._steps.add(words, order, chosen, expected)
        self._rows += self._steps.rows - before

    def _chosen(self, words: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
        """Which of the steps are in the ranges that are asked for; None when there are no ranges."""
        if not self._scan.has_ranges:
            return None
        found = np.ones(words.shape[:-1], np.bool_)
        if self._scan.time is not None:
            found &= in_range(words[..., STEP_CLOCKS.start].view("<f8"), self._scan.time)
        if self._scan.steps is not None:
            found &= in_range(words[..., STEP_INDEX], self._scan.steps)
        return found

    def _flush(self, start: ReadState) -> Iterator[Batch]:
        """The batches of the rows since *start*."""
        end = replace(self._state)
        tables: dict[Kind, Rows] = {kind: columns.finish() for kind, columns in self._others.items()}
        if self._steps.rows:
            tables[Kind.CREATURE] = self._steps.finish()
        self._others, self._rows = {}, 0
        if not tables:
            kind = min(self._scan.wanted or (), default=Kind.STATS)
            tables[kind] = Table(kind, np.empty(0), {}), np.empty(0, np.int64), 0
        learned = None if self._functions is None else self._functions.source
        check = _checksum(self._source, end.data) + _checksum(learned, end.functions)
        done = set(self._place.done if self._place else ())
        for n, (kind, (table, order, size)) in enumerate(sorted(tables.items()), 1):
            done.add(int(kind))
            more = n < len(tables)
            state, kinds = (start, frozenset(done)) if more else (end, frozenset[int]())
            place = LogPosition(state, end.data, end.functions, kinds, check)
            yield Batch(table, place.position, order, size, more)
