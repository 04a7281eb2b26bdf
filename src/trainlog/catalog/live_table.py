"""Followed runs as a table: filtering, sorting, the available columns, and their values."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Final

from trainlog.catalog.filter import FACTS, PREFIXES, SEARCHED, Filter, check_keys, resolve
from trainlog.catalog.filter import matching as matching_rows
from trainlog.catalog.groups import sorted_by
from trainlog.catalog.live import LiveCatalog, LiveRun
from trainlog.catalog.notes import PREFIX
from trainlog.catalog.run_info import of_metric
from trainlog.catalog.workers import run_bounded
from trainlog.errors import ExpressionError

__all__ = ["LiveTable", "is_metric"]

_KEPT: Final = 16  # cached answers
_SECONDS: Final = 3.0  # time limit of a regular expression
_VALUES: Final = 12  # at most this many values of a column are listed
_OWN: Final = frozenset(["run", "state", "error", *FACTS])


def is_metric(column: str) -> bool:
    """Whether *column* is a number of a metric, such as ``last/reward``."""
    return column.partition("/")[0] in PREFIXES


class _Known:
    """What is derived from the runs as they are now."""

    def __init__(self, catalog: LiveCatalog) -> None:
        self.version = catalog.version
        self.entries = list(catalog.entries.values())
        self.answers: dict[Any, Any] = {}
        self.orders: dict[str, list[LiveRun]] = {}

    @cached_property
    def columns(self) -> dict[str, None]:
        """All columns, metrics last."""
        every = dict.fromkeys(chain.from_iterable(entry.row for entry in self.entries))
        return dict.fromkeys(sorted(every, key=is_metric))


class LiveTable:
    """The table of the runs of a catalog; safe to use from several threads."""

    def __init__(self, catalog: LiveCatalog) -> None:
        self._catalog = catalog
        self._now = _Known(catalog)
        self._measured: dict[str, dict[str, tuple[object, float | None]]] = {}
        self._lock = threading.Lock()  # one at a time, as the next caller mostly wants the same
        self._patterns = threading.Lock()

    def _known(self) -> _Known:
        if self._now.version != self._catalog.version:
            self._now = _Known(self._catalog)
        return self._now

    def select(self, text: str, sort: str = "-changed") -> list[LiveRun]:
        """The runs that match the filter *text*, sorted by the column *sort*; a leading minus reverses the order.

        Raises:
            ExpressionError: for an invalid filter, a key that no run has, or a regular expression that takes too long.

        """
        wanted = Filter.of(text)
        with self._lock:
            known = self._known()
            if (text, sort) not in known.answers:
                if len(known.answers) >= _KEPT:
                    known.answers.clear()
                known.answers[text, sort] = self._selected(known, wanted, sort)
            found: list[LiveRun] = known.answers[text, sort]
            return found

    def _selected(self, known: _Known, wanted: Filter, sort: str) -> list[LiveRun]:
        if sort not in known.orders:
            values = self._values(known, known.entries, sort.removeprefix("-"))
            order = sorted_by(values, known.entries, backwards=sort.startswith("-"))
            known.orders = {sort: order}  # the next filter mostly has the same
        if not wanted.text.strip():
            return known.orders[sort]
        chosen = {entry.id for entry in self._chosen(known, wanted)}
        return [entry for entry in known.orders[sort] if entry.id in chosen]

    def _chosen(self, known: _Known, wanted: Filter) -> list[LiveRun]:
        if known.entries:
            check_keys((key for key in wanted.keys if not is_metric(key)), known.columns)
        values = {key: self._values(known, known.entries, key) for key in wanted.keys}
        rows: list[dict[str, Any]] = [{key: own[n] for key, own in values.items()} for n in range(len(known.entries))]
        if wanted.has_words:
            for row, entry in zip(rows, known.entries, strict=True):
                if wanted.has_patterns:
                    row.update((key, value) for key, value in entry.row.items() if not is_metric(key))
                else:
                    row[SEARCHED] = entry.searched
        if not wanted.has_patterns:
            return [entry for entry, row in zip(known.entries, rows, strict=True) if wanted(row)]
        with self._patterns:  # in another process, as a regular expression in this one cannot be interrupted
            try:
                fit = run_bounded(matching_rows, (wanted.text, rows), seconds=_SECONDS)
            except TimeoutError:
                raise ExpressionError("the regular expression takes too long on these runs") from None
        return [known.entries[n] for n in fit]

    def values(self, entries: Sequence[LiveRun], column: str) -> list[Any]:
        """The values of runs in a column; None for a run without one."""
        with self._lock:
            return self._values(self._known(), entries, column)

    def _values(self, known: _Known, entries: Sequence[LiveRun], column: str) -> list[Any]:
        if column == "changed":  # the default order; the first list need not wait for the rows
            return [entry.facts.changed for entry in entries]
        if column in known.columns:
            return [entry.row.get(column) for entry in entries]
        if is_metric(column):
            return self._numbers(known, entries, column)
        name = resolve(column, known.columns)
        return [None] * len(entries) if name is None else [entry.row.get(name) for entry in entries]

    def _numbers(self, known: _Known, entries: Sequence[LiveRun], column: str) -> list[float | None]:
        """The numbers of a metric other than last values, from the digests; cached until a log changes."""
        prefix, _, metric = column.partition("/")
        kept = self._measured.setdefault(column, {})
        missing = [one for one in known.entries if one.facts.read and kept.get(one.id, (None,))[0] is not one.known]
        kept.update((entry.id, (entry.known, None)) for entry in missing)
        for entry, digest in self._catalog.digests(missing) if missing else ():
            kept[entry.id] = entry.known, of_metric(digest, prefix, metric)
        while len(self._measured) > _KEPT:
            del self._measured[next(iter(self._measured))]
        return [kept.get(entry.id, (None, None))[1] for entry in entries]

    def column(self, key: str) -> str:
        """The column that *key* refers to.

        Raises:
            ExpressionError: if no run has it.

        """
        with self._lock:
            known = self._known()
            check_keys([key], known.columns)
            return resolve(key, known.columns) or key

    def columns(self, text: str) -> list[dict[str, Any]]:
        """A description of each column, over the runs that match *text*.

        Raises:
            ExpressionError: as `select`.

        """
        entries = self.select(text)
        with self._lock:
            known = self._known()
            if ("columns", text) not in known.answers:
                known.answers["columns", text] = [_column(name, entries) for name in known.columns]
            found: list[dict[str, Any]] = known.answers["columns", text]
            return found


def _column(name: str, entries: Iterable[LiveRun]) -> dict[str, Any]:
    if is_metric(name):
        return {"name": name, "of": "metric", "differs": True, "values": []}
    of = "fact" if name in _OWN else "my" if name.startswith(f"{PREFIX}/") else "metadata"
    if name in ("run", *FACTS):
        return {"name": name, "of": of, "differs": True, "values": []}
    seen = {repr(entry.row[name]) if name in entry.row else None: entry.row.get(name) for entry in entries}
    texts = [value if isinstance(value, str) else shown for shown, value in seen.items() if shown is not None]
    few = texts if len(texts) <= _VALUES else []
    return {"name": name, "of": of, "differs": len(seen) > 1, "values": sorted(one for one in few if len(one) <= 60)}
