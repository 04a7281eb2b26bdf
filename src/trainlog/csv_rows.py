"""CSV: how the values of a frame are written in cells, and a file of them."""

from __future__ import annotations

import csv
import io
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from trainlog.model import Frame
from trainlog.storage.replace import atomic_write
from trainlog.strictjson import lenient_json
from trainlog.table.values import flatten

__all__ = ["NOT_UTF8", "cells_of", "save_csv"]

NOT_UTF8: Final = "backslashreplace"
"""The error handler for text that is not valid UTF-8: the file stays valid, and nothing is lost."""


def cells_of(frames: Iterable[Frame], keys: Sequence[str]) -> Iterator[list[Any]]:
    """Yield the time of each frame and its values of *keys*, for `csv.writer`.

    The values are those that were logged: numbers with all digits, ``nan``, ``inf`` and ``-inf`` among them, lists as
    JSON. Absent and null values are empty.
    """
    places: dict[str, list[int]] = {}
    for place, key in enumerate(keys, 1):
        places.setdefault(key, []).append(place)
    empty: list[Any] = [""] * (1 + len(keys))
    for frame in frames:
        row = empty.copy()  # a log with many keys fills few cells
        row[0] = frame.time
        for key, value in flatten(frame.data).items():
            for place in places.get(key, ()):
                row[place] = _cell(value)
        yield row


def save_csv(path: str | os.PathLike[str], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write *rows* below the *names* of their columns to a file, in UTF-8.

    Raises:
        LogWriteError: when the file cannot be written.

    """
    with atomic_write(path) as file:
        text = io.TextIOWrapper(file, "utf-8", NOT_UTF8, newline="", write_through=True)
        csv.writer(text).writerows(itertools.chain([names], rows))
        text.detach()


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple | dict):
        return lenient_json(value)
    return "" if value is None else value
