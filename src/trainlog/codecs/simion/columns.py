"""Steps as columns: from blocks of the file to numpy arrays, without a Python loop per step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainlog.codec import Gap
from trainlog.codecs.simion.frames import keys_for
from trainlog.codecs.simion.layout import CLOCKS, HEAD, HEAD_WORDS, STEP_CLOCKS, STEP_INDEX, STEP_KEYS, WORD
from trainlog.codecs.simion.walk import EpisodeEnd, EpisodeStart, Steps, walk_steps
from trainlog.model import Kind
from trainlog.storage.source import Source
from trainlog.table.rows import Rows, inside
from trainlog.table.table import Table, unknown_key

__all__ = ["read_columns", "table_of_steps"]


def table_of_steps(steps: Steps, keys: Sequence[str]) -> Table:
    """The steps of one run as a table; its columns are views of the run."""
    keys = keys_for(keys, steps.words.shape[1] - HEAD_WORDS)
    doubles = steps.doubles
    columns: dict[str, npt.NDArray[Any]] = {"step": steps.words[:, STEP_INDEX]}
    columns |= {key: doubles[:, STEP_CLOCKS.start + i] for i, key in enumerate(CLOCKS)}
    columns |= {key: doubles[:, HEAD_WORDS + i] for i, key in enumerate(keys)}
    return Table(Kind.CREATURE, doubles[:, STEP_CLOCKS.start], columns)


def read_columns(
    source: Source, keys: Sequence[str], wanted: Sequence[str] | None, rows: Rows, on_gap: Callable[[Gap], object]
) -> Table | None:
    """Steps of a data file as a table; None when its episodes differ in their number of variables.

    The file is read in blocks of some megabytes, which stay in the processor's cache while what is wanted of them is
    taken out. Memory is asked for according to the size of the file, never to what the file says, and the system
    gives only the part that is filled. The columns are views of one array, which has a row for each step.

    Args:
        source: the data file.
        keys: of the variables.
        wanted: only these columns, in this order; None for all.
        rows: only these steps.
        on_gap: told of bytes that are no record.

    Raises:
        KeyError: for a key that there is none of, if there are such steps.

    """
    places = _places(keys)
    names = list(places) if wanted is None else list(wanted)
    width = len(keys)
    most = source.size // (HEAD + WORD * width)
    pieces = [(slice(0, 4), slice(STEP_INDEX, STEP_CLOCKS.stop)), (slice(4, 4 + width), slice(HEAD_WORDS, None))]
    if wanted is not None:
        some = [STEP_CLOCKS.start, *(places[name] for name in names if name in places)]
        pieces = [(slice(i, i + 1), slice(place, place + 1)) for i, place in enumerate(some)]
    words = np.empty((most, pieces[-1][0].stop), np.int64)
    done = 0
    for record in walk_steps(source, on_gap):
        if isinstance(record, EpisodeStart):
            if record.variables != width:
                return None
        elif not isinstance(record, EpisodeEnd):
            chosen = _chosen(record.words, rows)
            shape = record.words.shape[:-1] if chosen is None else (int(np.count_nonzero(chosen)),)
            stop = done + math.prod(shape)
            if stop > most:  # the file has grown since
                break
            block = words[done:stop].reshape(*shape, words.shape[1])
            for target, piece in pieces if stop > done else ():
                values = record.words[..., piece]
                block[..., target] = values if chosen is None else values[chosen]
            done = stop
    words = words[:done]
    if rows.last is not None and rows.last < done:
        words = words[done - rows.last :].copy()  # so that the others are not kept
    if not len(words):
        return Table(Kind.CREATURE, np.empty(0), {name: np.empty(0) for name in wanted or ()})
    if unknown := [name for name in names if name not in places]:
        raise KeyError(unknown_key(unknown[0], places, Kind.CREATURE))
    doubles = words.view(np.float64)
    first = 1 if wanted is not None else 0
    columns = {name: (words if name == "step" else doubles)[:, first + i] for i, name in enumerate(names)}
    return Table(Kind.CREATURE, doubles[:, 1 - first], columns)


def _places(keys: Sequence[str]) -> dict[str, int]:
    """Which word of a step is which column."""
    places = {key: STEP_INDEX + i for i, key in enumerate(STEP_KEYS)}
    return places | {key: HEAD_WORDS + i for i, key in enumerate(keys)}


def _chosen(words: npt.NDArray[Any], rows: Rows) -> npt.NDArray[np.bool_] | None:
    """Which of the steps are in the ranges of *rows*; None when there are no ranges."""
    if rows.time is None and rows.steps is None:
        return None
    found = np.ones(words.shape[:-1], np.bool_)
    if rows.time is not None:
        found &= inside(words[..., STEP_CLOCKS.start].view("<f8"), rows.time)
    if rows.steps is not None:
        found &= inside(words[..., STEP_INDEX], rows.steps)
    return found
