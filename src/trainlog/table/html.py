"""Tables as HTML for notebooks: their first and last rows, and their first columns."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from trainlog.table.table import Table

__all__ = ["facts_html", "html_of", "rows_html"]

_ROWS: Final = 5  # rows shown at the beginning, and at the end
_COLUMNS: Final = 20
_LETTERS: Final = 60


def html_of(table: Table) -> str:
    """*table* as HTML, with a note of what is left out. A cell without a value is empty."""
    names = list(table)[:_COLUMNS]
    valid = [table.valid(name) for name in names]

    def row(number: int) -> Iterable[Any]:
        yield f"{table.time[number]:.6g}"
        for name, ok in zip(names, valid, strict=True):
            yield table[name][number] if ok[number] else None

    return rows_html(f"{table.kind}: ", ["time", *names], table.rows, row, columns=len(table))


def rows_html(
    title: str, names: Sequence[str], rows: int, row: Callable[[int], Iterable[Any]], *, columns: int | None = None
) -> str:
    """The first and the last rows as HTML.

    Args:
        title: the text before the size.
        names: the names of the columns that are shown.
        rows: the number of rows.
        row: called with the number of each row that is shown; returns its cells, with None for an empty one.
        columns: the number of columns, by default those that are shown.

    """
    shown = list(range(rows))
    if rows > 2 * _ROWS:
        shown = [*range(_ROWS), *range(rows - _ROWS, rows)]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    lines = []
    for i, number in enumerate(shown):
        if i and number > shown[i - 1] + 1:
            lines.append(f"<tr><td colspan='{len(names) + 1}'>… {number - shown[i - 1] - 1:,} rows …</td></tr>")
        cells = "".join(f"<td>{_cell(value)}</td>" for value in row(number))
        lines.append(f"<tr><th>{number}</th>{cells}</tr>")
    total = len(names) if columns is None else columns
    more = f", of which {_COLUMNS} are shown" if total > _COLUMNS else ""
    size = f"{html.escape(title)}{rows:,} rows × {total:,} columns{more}"
    return f"<table><caption>{size}</caption><tr><th></th>{head}</tr>{''.join(lines)}</table>"


def facts_html(title: str, facts: Iterable[tuple[str, Any]]) -> str:
    """Names and values as HTML, one pair per line; pairs after the twentieth are only counted."""
    every = list(facts)
    lines = [f"<tr><th>{html.escape(str(name))}</th><td>{_cell(value)}</td></tr>" for name, value in every[:_COLUMNS]]
    if len(every) > _COLUMNS:
        lines.append(f"<tr><td colspan='2'>… {len(every) - _COLUMNS:,} more</td></tr>")
    return f"<table><caption>{html.escape(title)}</caption>{''.join(lines)}</table>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, np.ndarray) and value.size > 8:
        text = f"array of shape {value.shape}"
    elif isinstance(value, float | np.floating):
        text = f"{value:.6g}"
    else:
        text = str(value)
    return html.escape(text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…")
