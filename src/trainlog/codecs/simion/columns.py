"""Steps as columns: from blocks of the file to numpy arrays, without a Python loop per step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from trainlog.codecs.simion.frames import keys_for
from trainlog.codecs.simion.layout import CLOCKS, HEAD_WORDS, STEP_CLOCKS, STEP_INDEX
from trainlog.codecs.simion.walk import Steps
from trainlog.model import Kind
from trainlog.table.table import Table

__all__ = ["table_of_steps"]


def table_of_steps(steps: Steps, keys: Sequence[str]) -> Table:
    """The steps of one run as a table; its columns are views of the run."""
    keys = keys_for(keys, steps.words.shape[1] - HEAD_WORDS)
    doubles = steps.doubles
    columns: dict[str, npt.NDArray[Any]] = {"step": steps.words[:, STEP_INDEX]}
    columns |= {key: doubles[:, STEP_CLOCKS.start + i] for i, key in enumerate(CLOCKS)}
    columns |= {key: doubles[:, HEAD_WORDS + i] for i, key in enumerate(keys)}
    return Table(Kind.CREATURE, doubles[:, STEP_CLOCKS.start], columns)
