"""Steps as columns: from blocks of the file to numpy arrays, without a Python loop per step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainlog.codec import Gap
from trainlog.codecs.simion.layout import CLOCKS, HEAD, HEAD_WORDS, STEP_CLOCKS, STEP_INDEX, STEP_KEYS, WORD
from trainlog.codecs.simion.walk import EpisodeStart, Steps, walk
from trainlog.files import Source
from trainlog.model import Kind
from trainlog.table import Table, unknown_key

__all__ = ["read_columns", "table_of_steps"]


def table_of_steps(steps: Steps, keys: Sequence[str]) -> Table:
    """The steps of one run as a table; its columns are views of the run."""
    width = min(steps.words.shape[1] - HEAD_WORDS, len(keys))
    doubles = steps.doubles
    columns: dict[str, npt.NDArray[Any]] = {"step": steps.words[:, STEP_INDEX]}
    columns |= {key: doubles[:, STEP_CLOCKS.start + i] for i, key in enumerate(CLOCKS)}
    columns |= {key: doubles[:, HEAD_WORDS + i] for i, key in enumerate(keys[:width])}
    return Table(Kind.CREATURE, doubles[:, STEP_CLOCKS.start], columns)


def read_columns(
    source: Source, keys: Sequence[str], wanted: Sequence[str] | None, on_gap: Callable[[Gap], object]
) -> Table | None:
    """All steps of a data file as a table; None when its episodes differ in their number of variables.

    The file is read in blocks of a megabyte, which stay in the processor's cache while their columns are taken out.
    Memory is asked for according to the size of the file, never to what the file says, and the system gives only
    the part that is filled.

    Args:
        source: the data file.
        keys: of the variables.
        wanted: only these columns, in this order; None for all.
        on_gap: told of bytes that are no record.

    Raises:
        KeyError: for a key that there is none of, if there are steps.

    """
    places: dict[str, int] = dict(zip(STEP_KEYS, range(STEP_INDEX, STEP_CLOCKS.stop), strict=True))
    places |= {key: HEAD_WORDS + i for i, key in enumerate(keys)}
    columns: list[npt.NDArray[Any]] | None = None
    names = list(places) if wanted is None else list(wanted)
    width = len(keys)
    rows = 0
    for record in walk(source, on_gap):
        if isinstance(record, EpisodeStart):
            if record.variables != width:
                return None
        elif isinstance(record, Steps):
            if columns is None:
                for name in names:
                    if name not in places:
                        raise KeyError(unknown_key(name, places, Kind.CREATURE))
                most = source.size // (HEAD + WORD * width)
                columns = [np.empty(most, np.int64 if name == "step" else np.float64) for name in ("", *names)]
                indices = [STEP_CLOCKS.start, *(places[name] for name in names)]
            words = record.words
            stop = rows + len(words)
            if stop > len(columns[0]):  # the file has grown since
                return read_columns(source, keys, wanted, on_gap)
            doubles = record.doubles
            for column, index in zip(columns, indices, strict=True):
                column[rows:stop] = (words if index == STEP_INDEX else doubles)[:, index]
            rows = stop
    if columns is None:
        return Table(Kind.CREATURE, np.empty(0), {name: np.empty(0) for name in wanted or ()})
    time, *rest = (column[:rows] for column in columns)
    return Table(Kind.CREATURE, time, dict(zip(names, rest, strict=True)))
