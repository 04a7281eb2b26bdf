"""The pass over the records and the function samples of an RLSimion log that turns them into frames."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np

from trainlog.codec import Gap
from trainlog.codecs.simion.frames import function_frame
from trainlog.codecs.simion.functions import FunctionSamples, SampleHead
from trainlog.codecs.simion.layout import CLOCKS, HEAD, HEAD_WORDS, STEP_CLOCKS, STEP_INDEX, WORD
from trainlog.codecs.simion.walk import EpisodeEnd, EpisodeStart, Ints, Record, Steps, walk
from trainlog.conventions import EPISODE_END, EPISODE_START
from trainlog.episode_summary import MOST_STEPS, EpisodeType, Tally, is_averaged
from trainlog.errors import InvalidPosition
from trainlog.model import Frame, Header, Kind
from trainlog.storage.source import Source

__all__ = ["Mark", "Reading", "State"]

_TALLY_BYTES: Final = 1 << 20
_MOST_TOTAL: Final = 1 << 59  # steps of all episodes; no log has that many


class Mark(NamedTuple):
    """How far the two files were read: offsets in the data file and in the function log."""

    data: int = 0
    functions: int = 0


@dataclass(slots=True)
class State:
    """What must be known about everything before a record that is not inside an episode.

    Attributes:
        frames: how many frames come before, including those of kinds that were not requested.
        data, functions: offsets of the next record and of the next sample.
        episodes: how many episodes began.
        steps: the steps of all episodes.
        time: the time of the last step, in seconds since the experiment began.

    """

    frames: int = 0
    data: int = 0
    functions: int = 0
    episodes: int = 0
    steps: int = 0
    time: float = 0.0


class _EpisodeTally:
    """The tally of one episode.

    Sums of floats depend on how the steps are split into blocks. Here the split depends only on the number of
    variables, so that a summary is the same however the steps were read.
    """

    def __init__(self, header: Header, variables: int) -> None:
        self._tally = Tally(header.variables, averaged=is_averaged(header))
        self._values = slice(HEAD_WORDS, HEAD_WORDS + len(header.variables))
        self._block = max(_TALLY_BYTES // (HEAD + WORD * variables), 1)
        self._pending: list[Ints] = []
        self._rows = 0
        self.clocks: list[float] = []

    def add(self, words: Ints) -> None:
        self.clocks = words[-1, STEP_CLOCKS].view(np.float64).tolist()
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
            self._tally.add(words[:, STEP_INDEX], words.view(np.float64)[:, self._values])
            self._pending, self._rows = [], 0
        return self._tally


class Reading:
    """One pass over a log, from its beginning or from a `State`.

    Attributes:
        state: the state after the last item. Inside an episode its ``steps`` are those of the episodes before.
        is_whole: whether no other frame of the same record follows.

    """

    def __init__(
        self,
        header: Header,
        source: Source,
        functions: FunctionSamples | None,
        *,
        wants: Callable[[Kind], bool] = lambda _: True,
        state: State | None = None,
        marks: tuple[Mark, Mark] = (Mark(), Mark()),
    ) -> None:
        """Begin.

        Args:
            header: the header of the log.
            source: the data file.
            functions: the function log, if there is one.
            wants: whether to make frames of a kind; the others are still counted.
            state: where to begin.
            marks: how far earlier passes came. No block of steps crosses a mark, and each sample stays on the side of
                a mark where it was before. Gaps before the first mark are not reported again.

        """
        self.state = replace(state or State())
        self._header = header
        self._source = source
        self._functions = functions
        if functions is not None:
            functions.offset = self.state.functions
        self._wants = wants
        self._marks = marks
        self._until = marks[0].functions
        self._by_evaluation = list(header.meta["episode_types"]) == ["0"]
        self._due = -1  # samples up to this evaluation, or this step of the experiment, come before the next record
        # The open episode: the state before it, its header, the tally of its steps, and its last step.
        self._before: State | None = None
        self._start: EpisodeStart | None = None
        self._tally: _EpisodeTally | None = None
        self._last_step = 0
        self.is_whole = True

    @property
    def mark(self) -> Mark:
        """How far the files were read."""
        return Mark(self.state.data, self.state.functions)

    def resumable(self) -> State:
        """The state from which a later pass can continue: the one before the open episode."""
        return replace(self._before or self.state)

    def items(
        self,
        on_gap: Callable[[Gap], object],
        at_once: Callable[[Steps], int] | None = None,
        seen: Callable[[Record], object] = lambda _: None,
    ) -> Iterator[tuple[int, Frame | Steps | None]]:
        """Yield the frames, and steps as blocks, each with the number of its (first) frame.

        None comes at each of the two marks, once everything before the mark has been yielded.

        Args:
            on_gap: called with the bytes that are neither a record nor a sample.
            at_once: returns how many of the given whole episodes may come as one block, because no other frames of
                them are requested; None means that no episodes come as a block.
            seen: called with every record.

        """
        marks = [*self._marks]
        for record in itertools.chain(self._records(on_gap, at_once), [None]):
            while marks and (record is None or record.offset >= marks[0].data):
                yield from self._samples(sys.maxsize)
                del marks[0]
                self._until = marks[0].functions if marks else sys.maxsize
                yield self.state.frames, None
                yield from self._samples(self._due)
            if record is not None:
                seen(record)
                yield from self._items_of(record)
        yield from self._samples(sys.maxsize)
        if self._functions is not None and (gap := self._functions.gap()) is not None:
            on_gap(gap)

    def unfinished(self) -> Iterator[Frame]:
        """The summary of an episode that has no end."""
        if self._start is not None:
            yield self._summary(complete=False)

    def _records(self, on_gap: Callable[[Gap], object], at_once: Callable[[Steps], int] | None) -> Iterator[Record]:
        first = self.state.data
        marks = self._marks

        def tell(gap: Gap) -> None:
            if gap.offset == first < marks[0].data:
                message = "the log is not the one that was read; read it again"
                raise InvalidPosition(message, path=self._source.path)
            if gap.offset >= marks[0].data:
                on_gap(gap)

        def fitting(episodes: Steps) -> int:
            count = 0 if at_once is None or episodes.offset < marks[1].data else at_once(episodes)
            sample = self._functions.next() if self._functions is not None and self._wants(Kind.EVENT) else None
            if count > 0 and sample is not None:
                are_due = self._due_at(episodes) >= self._due_of(sample)
                count = min(count, int(are_due.argmax()) if are_due.any() else count)
            return min(max(count, 0), len(episodes.words))

        for record in walk(self._source, tell, first, at_once and fitting):
            for mark in marks:
                if isinstance(record, Steps):
                    before = (mark.data - record.offset) // record.step_size
                    if 0 < before < record.words.shape[1]:
                        part, record = record.split(before)
                        yield part
            yield record

    def _items_of(self, record: Record) -> Iterator[tuple[int, Frame | Steps]]:
        """The items made from *record*."""
        state, number = self.state, self.state.frames
        match record:
            case Steps():
                if record.starts is not None and self._functions is not None:
                    record = record._replace(samples=self._samples_within(record, self._functions))
                state.frames += record.frames
                state.data = record.end
                state.time = float(record.doubles[-1, -1, STEP_CLOCKS.start])
                if record.starts is None:
                    self._last_step = int(record.words[0, -1, STEP_INDEX])
                    if self._tally is not None:
                        self._tally.add(record.words[0])
                else:
                    self._close()
                    state.steps = int(self._totals(record)[-1])
                    state.episodes += len(record.starts)
                yield number, record
            case EpisodeStart():
                self._close()
                state.data = record.offset
                self._before, self._start = replace(state), record
                state.data += HEAD
                state.frames += 1
                state.episodes += 1
                # The original counts one extra step for each episode, and numbers the first step 1.
                self._due = state.steps + state.episodes
                if self._by_evaluation:
                    self._due = record.number if record.type == EpisodeType.EVALUATION else -1
                if self._wants(Kind.STATS):
                    self._tally = _EpisodeTally(self._header, record.variables)
                if self._wants(Kind.EVENT):
                    yield number, self._event(EPISODE_START)
                yield from self._samples(self._due)
            case EpisodeEnd():
                summary = self._summary(complete=True) if self._wants(Kind.STATS) else None
                event = self._event(EPISODE_END) if self._wants(Kind.EVENT) else None
                self._close()
                state.data = record.offset + HEAD
                self.is_whole = event is None
                state.frames = number + (1 if event else 2)
                if summary is not None:
                    yield number, summary
                self.is_whole = True
                state.frames = number + 2
                if event is not None:
                    yield number + 1, event

    def _samples(self, due: int) -> Iterator[tuple[int, Frame]]:
        """The function samples that come before the next record: those that are *due* by then.

        The original takes the samples at the first step of an episode.
        """
        state, functions = self.state, self._functions
        if functions is None:
            return

        def is_wanted(sample: SampleHead) -> bool:
            return functions.offset < self._until and self._due_of(sample) <= due

        for sample in functions.until(is_wanted):
            state.frames += 1
            state.functions = functions.offset
            if self._wants(Kind.EVENT):
                yield state.frames - 1, function_frame(sample, state.time)

    def _samples_within(self, episodes: Steps, functions: FunctionSamples) -> Ints:
        """Skip the samples that are due at each of these whole *episodes*, and return how many there are for each."""
        due: list[int] = self._due_at(episodes).tolist()
        counts = np.zeros(len(due), np.int64)
        first = 0
        while functions.offset < self._until and (head := functions.next()) is not None:
            of_head = self._due_of(head)
            while first < len(due) and due[first] < of_head:
                first += 1
            if first == len(due):
                break
            counts[first] += 1
            functions.skip(head)
            self.state.functions = functions.offset
        return counts

    def _close(self) -> None:
        """Forget the open episode."""
        self.state.steps = self._steps_so_far()
        self._before = self._start = self._tally = None
        self._last_step = 0

    def _steps_so_far(self) -> int:
        last = self._last_step  # 0 when no episode is open
        return min(self.state.steps + (last if 0 <= last < MOST_STEPS else 0), _MOST_TOTAL)

    def _due_of(self, sample: SampleHead) -> int:
        return sample.episode if self._by_evaluation else sample.experiment_step

    def _due_at(self, episodes: Steps) -> Ints:
        """The number up to which samples are due at each of these whole *episodes*."""
        assert episodes.starts is not None
        if self._by_evaluation:
            return np.where(episodes.starts[:, 1] == EpisodeType.EVALUATION, episodes.starts[:, 2], -1)
        due: Ints = np.concatenate(([self._steps_so_far()], self._totals(episodes)[:-1]))
        due += np.arange(1, len(due) + 1) + self.state.episodes
        return due

    def _totals(self, episodes: Steps) -> Ints:
        """The steps of all episodes up to the end of each of these whole *episodes*."""
        last = episodes.words[:, -1, STEP_INDEX]
        steps = np.where((last >= 0) & (last < MOST_STEPS), last, 0)
        totals: Ints = np.minimum(self._steps_so_far() + np.cumsum(steps), _MOST_TOTAL)
        return totals

    def _event(self, what: str) -> Frame:
        which = self._which()
        part = f".{which['sub_index']}" if which["sub_index"] > 1 else ""
        data = {"type": what, "msg": f"{which['episode_type']} {which['index']}{part}", **which}
        return Frame(self.state.time, Kind.EVENT, data)

    def _which(self) -> dict[str, Any]:
        assert self._start is not None
        which = {
            "episode": self.state.episodes,
            "episode_type": str(EpisodeType.of(self._start.type)),
            "index": self._start.number,
            "sub_index": self._start.sub_number,
        }
        if self._start.variables != len(self._header.variables):
            which["variables"] = self._start.variables
        return which

    def _summary(self, *, complete: bool) -> Frame:
        """The summary of the open episode."""
        assert self._tally is not None
        tally = self._tally.finish()
        data = {
            "step": self.state.steps + tally.length,
            **self._which(),
            "complete": complete,
            **tally.summary(),
            **dict(zip(CLOCKS, self._tally.clocks, strict=False)),
        }
        return Frame(self.state.time, Kind.STATS, data)
