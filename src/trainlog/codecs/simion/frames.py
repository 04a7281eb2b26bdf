"""The records of an RLSimion log as frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from trainlog.codec import Gap
from trainlog.codecs.simion.functions import Sample
from trainlog.codecs.simion.layout import HEAD_WORDS, STEP_CLOCKS, STEP_INDEX, STEP_KEYS, STEP_PADDING
from trainlog.codecs.simion.walk import Ints, Record, Steps
from trainlog.model import Frame, Kind
from trainlog.storage.source import Source

__all__ = [
    "FUNCTION_SAMPLE",
    "UNFINISHED",
    "NonZeroPadding",
    "count_non_zero_padding",
    "frames_of_steps",
    "function_frame",
    "keys_for",
    "unfinished_record",
]

FUNCTION_SAMPLE: Final = "function_sample"
UNFINISHED: Final = "unfinished"

_BATCH: Final = 1024
# Anything longer is not an unfinished record but something else.
_MAX_UNFINISHED: Final = 1 << 20


def keys_for(keys: Sequence[str], width: int) -> tuple[str, ...]:
    """The keys of a step that has *width* values; those that the descriptor does not name are numbered."""
    return (*keys[:width], *(f"stat/column {i}" for i in range(len(keys) + 1, width + 1)))


def frames_of_steps(words: Ints, keys: Sequence[str]) -> Iterator[Frame]:
    """Steps, shape (steps, 16 + variables), as frames."""
    names = (*STEP_KEYS, *keys_for(keys, words.shape[1] - HEAD_WORDS))
    for start in range(0, len(words), _BATCH):
        some = words[start : start + _BATCH]
        doubles = some.view(np.float64)
        rows = np.concatenate((doubles[:, STEP_CLOCKS], doubles[:, HEAD_WORDS:]), axis=1)
        for step, row in zip(some[:, STEP_INDEX].tolist(), rows.tolist(), strict=True):
            yield Frame(row[0], Kind.CREATURE, dict(zip(names, (step, *row), strict=True)))


def function_frame(sample: Sample, time: float) -> Frame:
    """A sample of a function as an event; ``values`` are flat, x fastest, ``shape`` is (z, y, x)."""
    function, episode, step, experiment_step = sample.head
    data = {
        "type": FUNCTION_SAMPLE,
        "msg": function.name,
        "function": function.name,
        "id": function.id,
        "episode": episode,
        "step": step,
        "experiment_step": experiment_step,
        "shape": list(function.shape[::-1]),
        "values": sample.values.tolist(),
    }
    return Frame(time, Kind.EVENT, data)


def unfinished_record(path: Path, gap: Gap, time: float, part: str) -> Frame:
    """An event that holds the unfinished record at the end of a file."""
    with Source(path) as source:
        tail = source.read(gap.offset, gap.size) if gap.size <= _MAX_UNFINISHED else b""
    data = {"type": UNFINISHED, "msg": str(gap), "part": part, "hex": tail.hex()}
    return Frame(time, Kind.EVENT, data)


@dataclass(frozen=True, slots=True)
class NonZeroPadding(Gap):
    """Padding that is not zero, which no other format carries."""

    records: int = 0

    def __str__(self) -> str:
        return f"the padding of {self.records:,} records is not zero, the first at byte {self.offset:,}"


def count_non_zero_padding(record: Record) -> int:
    """How many of the headers in *record* have padding other than zeros."""
    if not isinstance(record, Steps):
        return int(not record.is_padded)
    padding = record.words[..., STEP_PADDING]
    return int(padding.any(axis=-1).sum()) if np.count_nonzero(padding) else 0
