"""What the records of an RLSimion log are as frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from trainlog.codec import Gap
from trainlog.codecs.simion.functions import Cursor, Sample
from trainlog.codecs.simion.layout import CLOCKS, HEAD_WORDS, STEP_CLOCKS, STEP_INDEX, STEP_KEYS, STEP_PADDING
from trainlog.codecs.simion.walk import EpisodeEnd, EpisodeStart, Record, Steps
from trainlog.episode import END, MOST_STEPS, START, EpisodeType, Tally, is_averaged
from trainlog.model import Frame, Header, Kind

__all__ = [
    "FUNCTION_SAMPLE",
    "UNFINISHED",
    "Spare",
    "FrameConverter",
    "frames_of_steps",
    "keys_for",
    "spare_of",
    "unfinished",
]

FUNCTION_SAMPLE: Final = "function_sample"
UNFINISHED: Final = "unfinished"

_BATCH: Final = 1024
# More than this is no record that was being written, but something else.
_MAX_UNFINISHED: Final = 1 << 20


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


def unfinished(path: Path, gap: Gap, time: float, part: str) -> Frame:
    """The event that tells of, and keeps, the unfinished record at the end of a file."""
    with path.open("rb") as file:
        file.seek(gap.offset)
        tail = file.read(gap.size) if gap.size <= _MAX_UNFINISHED else b""
    data = {"type": UNFINISHED, "msg": str(gap), "part": part, "hex": tail.hex()}
    return Frame(time, Kind.EVENT, data)


@dataclass(frozen=True, slots=True)
class Spare(Gap):
    """Padding that is not zero, which no other format carries."""

    records: int = 0

    def __str__(self) -> str:
        return f"the padding of {self.records:,} records is not zero, the first at byte {self.offset:,}"


def spare_of(record: Record) -> int:
    """How many of the headers in *record* are padded with something else than zeros."""
    if isinstance(record, Steps):
        padding = record.words[:, STEP_PADDING]
        return int(padding.any(axis=1).sum()) if np.count_nonzero(padding) else 0
    return int(not record.is_padded)


class FrameConverter:
    """Tells the frames that come between the steps: starts and ends of episodes, what they come to, functions.

    Attributes:
        time: of the last record, seconds since the experiment began.

    """

    def __init__(self, header: Header, functions: Cursor | None, *, tallied: bool) -> None:
        self.time = 0.0
        self._header = header
        self._functions = functions
        self._tallied = tallied
        self._by_evaluation = list(header.meta["episode_types"]) == ["0"]
        self._start: EpisodeStart | None = None
        self._number = 0
        self._evaluation = 0
        self._steps_before = 0  # of all episodes before this one
        self._last_step = 0
        self._tally: Tally | None = None
        self._clocks: list[float] = []

    def after(self, record: Record) -> Iterator[Frame]:
        """The frames that *record* makes; none for steps, which are told by themselves."""
        match record:
            case Steps():
                self._add(record)
            case EpisodeStart():
                self._abandon()
                self._start = record
                self._number += 1
                if record.type == EpisodeType.EVALUATION:
                    self._evaluation = max(self._evaluation, record.number)
                if self._tallied:
                    self._tally = Tally(self._header.variables, averaged=is_averaged(self._header))
                yield self._event(START)
                yield from self._samples()
            case EpisodeEnd():
                if self._tallied:
                    yield self._summary(complete=True)
                yield self._event(END)
                self._abandon()

    def rest(self) -> Iterator[Frame]:
        """The samples of functions that were not told yet."""
        if self._functions is not None:
            for sample in self._functions:
                yield function_frame(sample, self.time)

    def closing(self) -> Iterator[Frame]:
        """The summary of an episode that has no end."""
        if self._start is not None:
            yield self._summary(complete=False)

    def _add(self, steps: Steps) -> None:
        doubles = steps.doubles
        self._clocks = doubles[-1, STEP_CLOCKS].tolist()
        self.time = self._clocks[0]
        self._last_step = int(steps.words[-1, STEP_INDEX])
        if self._tally is not None:
            values = doubles[:, HEAD_WORDS : HEAD_WORDS + len(self._header.variables)]
            self._tally.add(steps.words[:, STEP_INDEX], values)

    def _abandon(self) -> None:
        """Forget the episode that is open."""
        if self._start is not None:
            self._steps_before += self._last_step if 0 <= self._last_step < MOST_STEPS else 0
        self._start = None
        self._last_step = 0
        self._clocks = []

    def _event(self, what: str) -> Frame:
        which = self._which()
        part = f".{which['sub_index']}" if which["sub_index"] > 1 else ""
        return Frame(
            self.time, Kind.EVENT, {"type": what, "msg": f"{which['episode_type']} {which['index']}{part}", **which}
        )

    def _which(self) -> dict[str, Any]:
        assert self._start is not None
        kind = EpisodeType.of(self._start.type)
        which = {
            "episode": self._number,
            "episode_type": str(kind),
            "index": self._start.number,
            "sub_index": self._start.sub_number,
        }
        if self._start.variables != len(self._header.variables):
            which["variables"] = self._start.variables
        return which

    def _summary(self, *, complete: bool) -> Frame:
        assert self._tally is not None
        data = {
            "step": self._steps_before + self._tally.length,
            **self._which(),
            "complete": complete,
            **self._tally.summary(),
            **dict(zip(CLOCKS, self._clocks, strict=False)),
        }
        return Frame(self.time, Kind.STATS, data)

    def _samples(self) -> Iterator[Frame]:
        """The samples that were taken until now; the original takes them at the first step of an episode."""
        if self._functions is None:
            return

        def is_due(sample: Sample) -> bool:
            if self._by_evaluation:
                return sample.episode <= self._evaluation
            # The original counts one step more for each episode, and the first as 1.
            return sample.experiment_step <= self._steps_before + self._number

        for sample in self._functions.until(is_due):
            yield function_frame(sample, self.time)
