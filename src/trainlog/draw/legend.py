"""The legend: rows of symbols and labels between the title and the plot, where they cover no data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from trainlog.draw.color import Color
from trainlog.draw.drawing import Dots, FloatArray, Mark, Polyline, Rect, Text
from trainlog.draw.text import CAP_HEIGHT, clean, shorten, text_width
from trainlog.draw.theme import Theme

__all__ = ["LegendEntry", "LegendRow", "legend_marks", "legend_rows", "ring_marks", "unique_entries"]

_LABEL_GAP = 6.0
_ENTRY_GAP = 18.0
_SYMBOL_WIDTHS = {"line": 22.0, "event": 6.0, "dot": 9.0, "ring": 10.0, "block": 13.0}


class LegendEntry(NamedTuple):
    """A label, and the symbol of its mark."""

    label: str
    kind: Literal["line", "event", "dot", "ring", "block", "more"]
    color: Color
    width: float = 2.0
    opacity: float = 1.0
    dash: tuple[float, ...] = ()

    def label_offset(self) -> float:
        """Where the label begins, in pixels."""
        return _SYMBOL_WIDTHS[self.kind] + _LABEL_GAP if self.kind in _SYMBOL_WIDTHS else 0.0


LegendRow = list[tuple[float, LegendEntry]]
"""Entries, each with the x at which it begins."""


def unique_entries(entries: Sequence[LegendEntry]) -> list[LegendEntry]:
    """The entries that have a label, each once."""
    cleaned = (entry._replace(label=clean(entry.label)) for entry in entries)
    return list(dict.fromkeys(entry for entry in cleaned if entry.label))


def legend_rows(
    entries: Sequence[LegendEntry], width: float, limit: int, theme: Theme, more: int = 0, *, whole: bool = False
) -> list[LegendRow]:
    """Arrange the entries in at most ``limit`` rows, and in columns if there is more than one row.

    If columns do not fit, rows are filled as far as possible, provided that ``more`` rows than the limit show all
    entries. The last entry says how many others do not fit. With ``whole``, labels are shortened only if they are wider
    than a row.
    """
    if not entries or limit < 1:
        return []
    size = theme.font_size
    longest = max(width if whole else min(width, max(width / 3, 160.0)), 1.0)
    shown = [entry._replace(label=shorten(entry.label, size, longest - entry.label_offset())) for entry in entries]
    widths = [entry.label_offset() + text_width(entry.label, size) for entry in shown]
    columns = next(
        count
        for count in range(len(shown), 0, -1)
        if count == 1 or float(_column_widths(widths, count).sum()) + _ENTRY_GAP * (count - 1) <= width
    )
    enough = 1 if whole and columns == 1 else limit  # otherwise a single long label would cause many rows
    if len(shown) > columns * enough and len(rows := _flowing_rows(shown, widths, width)) <= limit + more:
        return rows
    if len(shown) > columns * limit:
        count = columns * limit - 1
        rest = LegendEntry(f"+{len(shown) - count} more", "more", theme.muted)
        shown, widths = [*shown[:count], rest], [*widths[:count], text_width(rest.label, size)]
    column_starts = np.concatenate(([0.0], np.cumsum(_column_widths(widths, columns)[:-1] + _ENTRY_GAP))).tolist()
    return [
        list(zip(column_starts, shown[first : first + columns], strict=False))
        for first in range(0, len(shown), columns)
    ]


def _flowing_rows(entries: Sequence[LegendEntry], widths: Sequence[float], width: float) -> list[LegendRow]:
    """Rows filled as far as possible, without columns."""
    rows: list[LegendRow] = []
    end = math.inf
    for entry, own in zip(entries, widths, strict=True):
        if end + own > width:
            rows.append([])
            end = 0.0
        rows[-1].append((end, entry))
        end += own + _ENTRY_GAP
    return rows


def _column_widths(widths: Sequence[float], columns: int) -> FloatArray:
    return np.array([max(widths[n::columns], default=0.0) for n in range(columns)])


def legend_marks(rows: Sequence[LegendRow], x: float, y: float, theme: Theme) -> list[Mark]:
    """The rows as marks; (x, y) is the upper left corner."""
    marks: list[Mark] = []
    size = theme.font_size
    for row in rows:
        middle = y + theme.legend_row_height / 2
        for start, entry in row:
            color = theme.muted if entry.kind == "more" else theme.text
            marks += _symbol(entry, x + start, middle, theme)
            marks.append(
                Text(x + start + entry.label_offset(), middle + CAP_HEIGHT * size / 2, entry.label, size, color)
            )
        y += theme.legend_row_height
    return marks


def ring_marks(center: FloatArray, radius: float, color: Color, inside: Color) -> list[Mark]:
    """A circle around ``center`` (1, 2), two pixels wide."""
    return [Dots(center, radius, color), Dots(center, radius - 2.0, inside)]


def _symbol(entry: LegendEntry, left: float, middle: float, theme: Theme) -> list[Mark]:
    width = _SYMBOL_WIDTHS.get(entry.kind, 0.0)
    center = np.array([[left + width / 2, middle]])
    match entry.kind:
        case "line":
            ends = np.array([[left + 1, middle], [left + width - 1, middle]])
            return [Polyline(ends, entry.color, min(max(entry.width, 2.0), 6.0), entry.opacity, entry.dash)]
        case "event":
            ends = np.array([[left + 3, middle - 6], [left + 3, middle + 6]])
            return [Polyline(ends, entry.color, entry.width, entry.opacity, entry.dash)]
        case "dot":
            return [Dots(center, min(max(entry.width / 2, 2.5), 6), entry.color)]
        case "ring":
            return ring_marks(center, 4.0, entry.color, theme.background)
        case "block":
            return [Rect(left, middle - 5.5, width, 11.0, entry.color, entry.opacity)]
        case "more":
            return []
