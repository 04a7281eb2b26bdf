"""A table as HTML, for notebooks: its first and last rows, and its first columns."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from trainlog.table.table import Table

__all__ = ["html_of"]

_ROWS: Final = 5  # at the beginning, and at the end
_COLUMNS: Final = 20
_LETTERS: Final = 60


def html_of(table: Table) -> str:
    """*table* as HTML; what is left out is said. A cell without a value is empty."""
    names = list(table)[:_COLUMNS]
    shown = list(range(table.rows))
    if table.rows > 2 * _ROWS:
        shown = [*range(_ROWS), *range(table.rows - _ROWS, table.rows)]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    valid = [table.valid(name) for name in names]
    lines = []
    for i, row in enumerate(shown):
        if i and row > shown[i - 1] + 1:
            lines.append(f"<tr><td colspan='{len(names) + 2}'>… {row - shown[i - 1] - 1:,} rows …</td></tr>")
        cells = [_cell(table[name][row]) if ok[row] else "" for name, ok in zip(names, valid, strict=True)]
        lines.append(
            f"<tr><th>{row}</th><td>{table.time[row]:.6g}</td>"
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    more = f", of which {_COLUMNS} are shown" if len(table) > _COLUMNS else ""
    size = f"{table.kind}: {table.rows:,} rows × {len(table):,} columns{more}"
    return f"<table><caption>{size}</caption><tr><th></th><th>time</th>{head}</tr>{''.join(lines)}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 8:
        text = f"array of shape {value.shape}"
    elif isinstance(value, float | np.floating):
        text = f"{value:.6g}"
    else:
        text = str(value)
    return html.escape(text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…")
