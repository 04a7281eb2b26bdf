"""The columns of one kind of frame, and how they can be drawn."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.axis_values import owners_of
from trainlog.codec import Reader
from trainlog.conventions import RANK, Conventions
from trainlog.environment_rows import environment_numbers
from trainlog.model import Kind
from trainlog.plot.axes import Floats
from trainlog.scan import Scan
from trainlog.table.column import Column, SparseColumn
from trainlog.table.table import Table
from trainlog.table.values import is_word
from trainlog.trajectory import sample_of

__all__ = ["OTHER", "Columns", "Words", "matches"]

Bools = npt.NDArray[np.bool_]

_MAX_WORDS: Final = 12  # distinct words in a strip; of more words, the most frequent ones and `OTHER`
_FIRST: Final = 1000  # rows; most columns that vary do so within these
_MAX_TEXTS: Final = 0.5  # of the frames; a column with more rare words than this is text, not states

_SINGLE: Final = (str, float, int, np.generic)

OTHER: Final = "other values"
"""Stands for the rare words of a strip; ``other`` alone is a word that logs use."""


class Words(NamedTuple):
    """A column of words.

    Attributes:
        values: the word of each frame; None if it has none. If there are many words, the rare ones are `OTHER`.
        different: how many distinct words the log has.

    """

    values: list[str | None]
    different: int

    @property
    def note(self) -> str:
        """A note on words that were merged; empty if none were."""
        shown = _MAX_WORDS - 1
        return f"the {shown} most frequent of {self.different:,} values" if self.different > _MAX_WORDS else ""


class Columns:
    """The frames of one kind, read at the first access.

    Attributes:
        kind: the kind of the frames.

    """

    def __init__(
        self, reader: Reader, kind: Kind, conventions: Conventions, only: frozenset[str] = frozenset()
    ) -> None:
        """Prepare to read the frames of *kind*; only the columns *only* are read if the first frame has all of them."""
        self.kind = kind
        self._reader = reader
        self._conventions = conventions
        self._only = only
        self._numbers: dict[str, Floats | None] = {}
        self._varies: dict[str, bool] = {}
        self._words: dict[str, Words | None] = {}

    @cached_property
    def table(self) -> Table:
        """The columns as they were logged."""
        if self._only and self.kind != Kind.EVENT:
            first = next(self._reader.scan(Scan(kinds=self.kind, batch_rows=1)), None)
            if first is None or not first.table.rows:
                return Table(self.kind, np.empty(0), {})
            if self._only <= set(keys := list(first.table)):
                wanted = self._only | {"episode_type", RANK}
                chosen = [key for key in keys if key in wanted or self._conventions.is_clock(key)]
                return self._reader.table(self.kind, keys=chosen)
        return self._reader.table(self.kind)

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """The position of each frame among those of all kinds: int64, shape (rows,)."""
        batches = self._reader.scan(Scan(kinds=self.kind, columns=(), on_damage="ignore"))
        return np.concatenate([batch.order for batch in batches])[: self.table.rows]

    @cached_property
    def owners(self) -> npt.NDArray[np.int64] | None:
        """The environment of each frame as a number; None if it is the same in all, see `without_restarts`."""
        keys = [key for key in (*self._conventions.keys["env"], RANK) if key in self.table]
        return owners_of(environment_numbers(self.table[key]) for key in keys)

    def is_number(self, key: str) -> bool:
        """Whether the column holds single numbers; see `Conventions.is_numeric`."""
        return self._held_numbers(key) is not None

    def parts(self, key: str) -> int:
        """The length of the vectors of a column; 0 for other columns."""
        values = self._held(key).values
        return values.shape[1] if values.ndim == 2 and self._held(key).array().dtype != object else 0

    def numbers(self, key: str, part: int | None = None) -> Floats:
        """A column as float64, shape (rows,); NaN where there is no number."""
        if part is not None:
            return self.table[key][:, part].astype(np.float64)
        numbers, one = self._held_numbers(key), self.table.stored(key)
        if numbers is not None and not isinstance(one, SparseColumn):
            return numbers
        found = np.full(self.table.rows, np.nan)
        if numbers is not None and isinstance(one, SparseColumn):
            found[one.rows] = numbers
        return found

    def varies(self, key: str) -> bool:
        """Whether the column has two distinct finite numbers."""
        if key not in self._varies:
            numbers = self._held_numbers(key)
            parts = () if numbers is None else (numbers[:_FIRST], numbers)
            finite = (part[np.isfinite(part)] for part in parts)
            self._varies[key] = any(len(part) and part.min() < part.max() for part in finite)
        return self._varies[key]

    @cached_property
    def sample(self) -> dict[str, float | list[float]]:
        """An example frame; see `trainlog.trajectory.sample_of`."""
        return sample_of(self.table)

    def words(self, key: str) -> Words | None:
        """A column of words that name states; None for other columns."""
        if isinstance(self.table.stored(key), SparseColumn):
            return self._read_words(key)  # including the gaps, it is too large to be kept for each of many columns
        if key not in self._words:
            self._words[key] = self._read_words(key)
        return self._words[key]

    def is_text(self, key: str) -> bool:
        """Whether a column holds words, but too many distinct ones to name states."""
        values = self._held(key).values
        if self.words(key) is not None or self.is_number(key):
            return False
        return values.ndim == 1 and len({v for v in values if isinstance(v, str)}) > 1

    def _read_words(self, key: str) -> Words | None:
        values = self._held(key).values
        if values.dtype != object or values.ndim != 1 or self.is_number(key):
            return None
        column = self.table[key]
        words = [value if isinstance(value, str) and value else None for value in column.tolist()]
        counts = Counter(word for word in words if word is not None)
        if not counts or len(counts) + (None in words) < 2:
            return None
        if len(counts) <= _MAX_WORDS:
            return Words(words, len(counts))
        kept = {word for word, _ in counts.most_common(_MAX_WORDS - 1)}
        rare = counts.total() - sum(counts[word] for word in kept)
        if rare > _MAX_TEXTS * counts.total():
            return None
        return Words([word if word is None or word in kept else OTHER for word in words], len(counts))

    def present(self, key: str) -> Bools:
        """Which frames have a value: NaN is a value, null is not. Bools of shape (rows,).

        In a column of numbers, a word counts as NaN; an empty text, a list or a map is not a value.
        """
        valid = self.table.valid(key)
        column = self.table.stored(key)
        if isinstance(column, SparseColumn) or column.values.dtype != object:
            return valid
        single = [isinstance(value, _SINGLE) and value != "" for value in column.values.tolist()]
        return valid & np.array(single, np.bool_)

    def _held(self, key: str) -> Column:
        """The column; if only few rows have it, only those rows."""
        one = self.table.stored(key)
        return one.held if isinstance(one, SparseColumn) else one

    def _held_numbers(self, key: str) -> Floats | None:
        if key not in self._numbers:
            one = self.table.stored(key)
            time = self.table.time[one.rows] if isinstance(one, SparseColumn) else self.table.time
            self._numbers[key] = self._read_numbers(key, Table(self.kind, time, {key: self._held(key)}))
        return self._numbers[key]

    def _read_numbers(self, key: str, table: Table) -> Floats | None:
        column = table.column(key)
        values = column.values
        if values.ndim != 1 or values.dtype.kind not in "biufO":
            return None
        if values.dtype == object:
            texts = Counter(value for value in values.tolist() if isinstance(value, str))
            counts = [count for text, count in texts.items() if is_word(text)]
            words, different = sum(counts), len(counts)
            if not self._conventions.is_numeric(len(values) - words, words, different):
                return None  # at most this many are numbers: parsing each word would take long
            known = int(np.count_nonzero(~np.isnan(table.numbers(key))))
            if not self._conventions.is_numeric(known, words, different):
                return None
        return table.numbers(key)


def matches(column: npt.NDArray[Any], word: str) -> Bools:
    """Where the column holds *word*; bools, shape (rows,)."""
    return np.fromiter((isinstance(value, str) and value == word for value in column), np.bool_, len(column))
