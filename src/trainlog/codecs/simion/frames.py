"""What the records of an RLSimion log are as frames."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.codec import Gap
from trainlog.codecs.simion.functions import FunctionSamples, Sample
from trainlog.codecs.simion.layout import (
    CLOCKS,
    HEAD,
    HEAD_WORDS,
    STEP_CLOCKS,
    STEP_INDEX,
    STEP_KEYS,
    STEP_PADDING,
    WORD,
)
from trainlog.codecs.simion.walk import (
    EpisodeEnd,
    EpisodeStart,
    EqualEpisodes,
    Record,
    Steps,
    read_start,
    walk,
)
from trainlog.episode import END, MOST_STEPS, START, EpisodeType, Tally, is_averaged
from trainlog.errors import InvalidPosition
from trainlog.model import Frame, Header, Kind
from trainlog.storage.source import Source

__all__ = [
    "FUNCTION_SAMPLE",
    "UNFINISHED",
    "FrameConverter",
    "NonZeroPadding",
    "ReadState",
    "count_non_zero_padding",
    "frames_of_steps",
    "keys_for",
    "unfinished_record",
]

FUNCTION_SAMPLE: Final = "function_sample"
UNFINISHED: Final = "unfinished"

_BATCH: Final = 1024
# More than this is no record that was being written, but something else.
_MAX_UNFINISHED: Final = 1 << 20
_TALLY_BYTES: Final = 1 << 20
_MAX_SUM: Final = 1 << 61  # so that sums with it are int64; no log has as many steps


def keys_for(keys: Sequence[str], width: int) -> tuple[str, ...]:
    """The keys of a step that has *width* values; those that the descriptor does not name are numbered."""
    return (*keys[:width], *(f"stat/column {i}" for i in range(len(keys) + 1, width + 1)))


def frames_of_steps(steps: Steps, keys: Sequence[str]) -> Iterator[Frame]:
    """The steps of a run as frames."""
    names = (*STEP_KEYS, *keys_for(keys, steps.words.shape[1] - HEAD_WORDS))
    for start in range(0, len(steps.words), _BATCH):
        words = steps.words[start : start + _BATCH]
        doubles = words.view("<f8")
        rows = np.concatenate((doubles[:, STEP_CLOCKS], doubles[:, HEAD_WORDS:]), axis=1)
        for step, row in zip(words[:, STEP_INDEX].tolist(), rows.tolist(), strict=True):
            yield Frame(row[0], Kind.CREATURE, dict(zip(names, (step, *row), strict=True)))


def function_frame(sample: Sample, time: float) -> Frame:
    """A sample of a function as an event; ``values`` are flat, x fastest, ``shape`` is (z, y, x)."""
    data = {
        "type": FUNCTION_SAMPLE,
        "msg": sample.function.name,
        "function": sample.function.name,
        "id": sample.function.id,
        "episode": sample.episode,
        "step": sample.step,
        "experiment_step": sample.experiment_step,
        "shape": list(sample.function.shape[::-1]),
        "values": sample.values.tolist(),
    }
    return Frame(time, Kind.EVENT, data)


def unfinished_record(path: Path, gap: Gap, time: float, part: str) -> Frame:
    """The event that holds the unfinished record at the end of a file."""
    with path.open("rb") as file:
        file.seek(gap.offset)
        tail = file.read(gap.size) if gap.size <= _MAX_UNFINISHED else b""
    data = {"type": UNFINISHED, "msg": str(gap), "part": part, "hex": tail.hex()}
    return Frame(time, Kind.EVENT, data)


@dataclass(frozen=True, slots=True)
class NonZeroPadding(Gap):
    """Padding that is not zero, which no other format carries."""

    records: int = 0

    def __str__(self) -> str:
        return f"the padding of {self.records:,} records is not zero, the first at byte {self.offset:,}"


def count_non_zero_padding(record: Record) -> int:
    """How many of the headers in *record* are padded with something else than zeros."""
    if isinstance(record, EpisodeStart | EpisodeEnd):
        return int(not record.is_padded)
    padding = record.words[:, STEP_PADDING]
    return int(padding.any(axis=1).sum()) if np.count_nonzero(padding) else 0


@dataclass(slots=True)
class ReadState:
    """How far a log was read, and what must be known of the records before it to resume there.

    Attributes:
        data, functions: offsets of the next record and of the next sample.
        frames: how many frames the records before are, those of kinds that were not asked for included.
        episodes: how many episodes began.
        open: offset of the header of the episode that is open; 0 when none is.
        due: samples up to this evaluation, or to this step of the experiment, come before the next record.
        steps_before: steps of all episodes before the open one.
        last_step: of the open episode.
        time: of the last step, seconds since the experiment began.

    """

    data: int = 0
    functions: int = 0
    frames: int = 0
    episodes: int = 0
    open: int = 0
    due: int = 0
    steps_before: int = 0
    last_step: int = 0
    time: float = 0.0


class _EpisodeTally:
    """The tally of one episode.

    Sums of floats depend on where the blocks begin that are added up. Here that depends on the number of variables
    alone, so that a summary is the same however the steps were read.
    """

    def __init__(self, header: Header, variables: int) -> None:
        self._tally = Tally(header.variables, averaged=is_averaged(header))
        self._values = slice(HEAD_WORDS, HEAD_WORDS + len(header.variables))
        self._block = max(_TALLY_BYTES // (HEAD + WORD * variables), 1)
        self._pending: list[npt.NDArray[Any]] = []
        self._rows = 0
        self.clocks: list[float] = []

    def add(self, steps: Steps) -> None:
        words = steps.words
        self.clocks = steps.doubles[-1, STEP_CLOCKS].tolist()
        while len(words):
            room = self._block - self._rows
            part, words = words[:room], words[room:]
            self._pending.append(part if len(part) == self._block else part.copy())
            self._rows += len(part)
            if self._rows == self._block:
                self.finish()

    def finish(self) -> Tally:
        if self._pending:
            words = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
            self._tally.add(words[:, STEP_INDEX], words.view("<f8")[:, self._values])
            self._pending, self._rows = [], 0
        return self._tally


class FrameConverter:
    """Makes frames of the records between the steps: starts and ends of episodes, their summaries, functions.

    Attributes:
        state: of the reading; it is changed in place.

    """

    def __init__(
        self,
        header: Header,
        source: Source,
        functions: FunctionSamples | None,
        state: ReadState | None = None,
        *,
        wants: Callable[[Kind], bool] = lambda _: True,
    ) -> None:
        """Begin, or resume from *state*.

        Args:
            header: of the log.
            source: the data file.
            functions: the function log, where there is one.
            state: of an earlier reading.
            wants: whether frames of a kind are to be made; those that are not are counted all the same.

        Raises:
            InvalidPosition: when *state* is none of this log.

        """
        self.state = replace(state or ReadState())
        self._header = header
        self._source = source
        self._functions = functions
        self._wants = wants
        self._by_evaluation = list(header.meta["episode_types"]) == ["0"]
        self._tally: _EpisodeTally | None = None
        self._start: EpisodeStart | None = None
        if self.state.open:
            self._start = read_start(source, self.state.open)
            if self._start is None:
                raise InvalidPosition("the log is another than the one that was read; read it anew", path=source.path)

    def records(
        self, on_gap: Callable[[Gap], object], at_once: Callable[[EqualEpisodes], int] | None = None
    ) -> Iterator[Record]:
        """Yield the records that follow; each is to be converted before the next is asked for.

        Args:
            on_gap: called with the bytes that are no record.
            at_once: says how many of some equal episodes may come at once, as their frames are not asked for. None
                where all records are to come one by one, each in memory of its own.

        """
        variables = None if self._start is None else self._start.variables
        together = at_once is not None
        for record in walk(self._source, on_gap, self.state.data, variables, together=together):
            if at_once is not None and isinstance(record, EqualEpisodes):
                yield from self._split(record, at_once)
            else:
                yield record

    def items(self, records: Iterable[Record], on_gap: Callable[[Gap], object]) -> Iterator[tuple[int, Frame | Steps]]:
        """Yield all that *records* make, and the samples of functions between: frames, and the steps as they come.

        Each with its number, or that of its first frame. *on_gap* is called with what is no sample.
        """
        for record in records:
            if isinstance(record, Steps):
                yield self.state.frames, record
            yield from self.convert(record)
            if isinstance(record, EpisodeStart):
                yield from self.samples()
        yield from self.samples(are_due=False)
        if self._functions is not None and (gap := self._functions.gap()) is not None:
            on_gap(gap)

    def convert(self, record: Record) -> list[tuple[int, Frame]]:
        """The frames that *record* makes, with their numbers. Steps, and equal episodes, are only counted."""
        state, frames = self.state, []
        match record:
            case Steps():
                self._count_steps(record)
            case EqualEpisodes():
                self._count_episodes(record)
            case EpisodeStart():
                self._close()
                self._start = record
                state.open, state.data = record.offset, record.offset + HEAD
                state.episodes += 1
                if not self._by_evaluation:
                    # The original counts one step more for each episode, and the first as 1.
                    state.due = state.steps_before + state.episodes
                elif record.type == EpisodeType.EVALUATION:
                    state.due = max(state.due, record.number)
                if self._wants(Kind.STATS):
                    self._tally = _EpisodeTally(self._header, record.variables)
                if self._wants(Kind.EVENT):
                    frames.append((state.frames, self._event(START)))
                state.frames += 1
            case EpisodeEnd():
                if self._wants(Kind.STATS):
                    frames.append((state.frames, self._summary(record.offset, complete=True)))
                if self._wants(Kind.EVENT):
                    frames.append((state.frames + 1, self._event(END)))
                state.frames += 2
                state.data = record.offset + HEAD
                self._close()
        return frames

    def samples(self, until: int = sys.maxsize, *, are_due: bool = True) -> Iterator[tuple[int, Frame]]:
        """The samples of functions before byte *until* of their file, with their numbers.

        Of those only the ones that come before the next record, when they must be due; the original takes them at the
        first step of an episode.
        """
        state, functions = self.state, self._functions
        if functions is None:
            return

        def is_wanted(sample: Sample) -> bool:
            is_due = state.episodes > 0 and self._due_of(sample) <= state.due
            return functions.offset < until and (is_due or not are_due)

        for sample in functions.until(is_wanted):
            state.frames += 1
            state.functions = functions.offset
            if self._wants(Kind.EVENT):
                yield state.frames - 1, function_frame(sample, state.time)

    def finish(self) -> Iterator[Frame]:
        """The summary of an episode that has no end."""
        if self._start is not None:
            yield self._summary(self.state.data, complete=False)

    def _count_steps(self, steps: Steps) -> None:
        state = self.state
        state.frames += len(steps.words)
        state.data = steps.offset + steps.words.nbytes
        state.last_step = int(steps.words[-1, STEP_INDEX])
        state.time = float(steps.doubles[-1, STEP_CLOCKS.start])
        if self._tally is not None:
            self._tally.add(steps)

    def _count_episodes(self, episodes: EqualEpisodes) -> None:
        state, count = self.state, len(episodes.words)
        steps = episodes.steps
        self._close()
        due, steps_before = self._due_at(episodes)
        state.due, state.steps_before = int(due[-1]), int(steps_before[-1])
        state.episodes += count
        state.frames += count * (steps.shape[1] + 3)
        state.time = float(steps[-1, -1, STEP_CLOCKS.start].view("<f8"))
        state.data = episodes.offset + episodes.words.nbytes

    def _split(self, episodes: EqualEpisodes, most: Callable[[EqualEpisodes], int]) -> Iterator[Record]:
        """Yield *episodes*: up to *most* of them at once, and record by record those that samples belong to."""
        while len(episodes.words):
            count = min(most(episodes), len(episodes.words))
            if count > 0 and self._functions is not None and (sample := self._functions.next()) is not None:
                due, _ = self._due_at(episodes.split(count)[0])
                count = int(np.searchsorted(due, self._due_of(sample)))
            if count > 0:
                first, episodes = episodes.split(count)
                yield first
            else:
                first, episodes = episodes.split(1)
                yield from first.records()

    def _close(self) -> None:
        """Forget the episode that is open."""
        state = self.state
        state.steps_before = self._steps_so_far()
        self._start = self._tally = None
        state.open = state.last_step = 0

    def _steps_so_far(self) -> int:
        last = self.state.last_step
        return self.state.steps_before + (last if self._start is not None and 0 <= last < MOST_STEPS else 0)

    def _due_of(self, sample: Sample) -> int:
        return sample.episode if self._by_evaluation else sample.experiment_step

    def _due_at(self, episodes: EqualEpisodes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """What `ReadState.due` is at the start of each of *episodes*, and ``steps_before`` after its end: rising."""
        state, starts = self.state, episodes.starts
        last = episodes.words[:, 1 - 2 * HEAD_WORDS - episodes.variables]
        steps = np.where((last >= 0) & (last < MOST_STEPS), last, 0)
        after = min(self._steps_so_far(), _MAX_SUM) + np.cumsum(steps)
        if self._by_evaluation:
            numbers = np.where(starts[:, 1] == EpisodeType.EVALUATION, starts[:, 2], state.due)
            return np.maximum(np.maximum.accumulate(numbers), state.due), after
        return after - steps + np.arange(state.episodes + 1, state.episodes + 1 + len(starts)), after

    def _event(self, what: str) -> Frame:
        which = self._which()
        part = f".{which['sub_index']}" if which["sub_index"] > 1 else ""
        data = {"type": what, "msg": f"{which['episode_type']} {which['index']}{part}", **which}
        return Frame(self.state.time, Kind.EVENT, data)

    def _which(self) -> dict[str, Any]:
        assert self._start is not None
        kind = EpisodeType.of(self._start.type)
        which = {
            "episode": self.state.episodes,
            "episode_type": str(kind),
            "index": self._start.number,
            "sub_index": self._start.sub_number,
        }
        if self._start.variables != len(self._header.variables):
            which["variables"] = self._start.variables
        return which

    def _summary(self, end: int, *, complete: bool) -> Frame:
        """The summary of the open episode, which ends at byte *end*."""
        episode = self._tally or self._read_again(end)
        tally = episode.finish()
        data = {
            "step": self.state.steps_before + tally.length,
            **self._which(),
            "complete": complete,
            **tally.summary(),
            **dict(zip(CLOCKS, episode.clocks, strict=False)),
        }
        return Frame(self.state.time, Kind.STATS, data)

    def _read_again(self, end: int) -> _EpisodeTally:
        """The tally of the open episode, of which an earlier reading had the beginning."""
        assert self._start is not None
        tally = _EpisodeTally(self._header, self._start.variables)
        for record in walk(self._source, lambda _: None, self._start.offset + HEAD, self._start.variables):
            if not isinstance(record, Steps) or record.offset >= end:
                break
            tally.add(record)
        return tally
