"""The legend: rows of swatches and names between title and plot, where there is no data to cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainlog.draw.color import Color
from trainlog.draw.drawing import Dots, FloatArray, Mark, Polyline, Rect, Text
from trainlog.draw.text import CAP_HEIGHT, clean, measure, shorten
from trainlog.draw.theme import Theme

__all__ = ["Entry", "legend_marks", "legend_rows", "ring", "row_height", "unique_entries"]

_GAP = 6.0  # between swatch and name
_BETWEEN = 18.0  # between two entries
_SWATCH = {"line": 22.0, "event": 6.0, "dot": 9.0, "ring": 10.0, "block": 13.0}


@dataclass(frozen=True, slots=True)
class Entry:
    """One name and how the mark that has it looks."""

    label: str
    kind: Literal["line", "event", "dot", "ring", "block", "more"]
    color: Color
    width: float = 2.0
    opacity: float = 1.0
    dash: tuple[float, ...] = ()

    def swatch_width(self) -> float:
        """The room for the swatch and the gap after it, in pixels."""
        return _SWATCH[self.kind] + _GAP if self.kind in _SWATCH else 0.0


def unique_entries(entries: Sequence[Entry]) -> list[Entry]:
    """The entries that have a name, each once."""
    named = [Entry(clean(e.label), e.kind, e.color, e.width, e.opacity, e.dash) for e in entries]
    return list(dict.fromkeys(entry for entry in named if entry.label))


def row_height(theme: Theme) -> float:
    """Of one row of a legend, in pixels."""
    return round(theme.font_size * 1.55)


def legend_rows(entries: Sequence[Entry], width: float, most: int, theme: Theme) -> list[list[tuple[float, Entry]]]:
    """Entries with the x at which they begin, in at most ``most`` rows; what has no room is counted at the end.

    When there are more rows than one, the entries stand in columns.
    """
    if not entries or most < 1:
        return []
    size = theme.font_size
    longest = max(min(width, max(width / 3, 160.0)), 1.0)
    fitted = [
        Entry(shorten(e.label, size, longest - e.swatch_width()), e.kind, e.color, e.width, e.opacity, e.dash)
        for e in entries
    ]
    widths = [entry.swatch_width() + measure(entry.label, size) for entry in fitted]
    if sum(widths) + _BETWEEN * (len(widths) - 1) <= width:
        xs = np.concatenate(([0.0], np.cumsum(np.array(widths[:-1]) + _BETWEEN)))
        return [list(zip(xs.tolist(), fitted, strict=True))]
    columns = next(n for n in range(len(fitted), 0, -1) if n == 1 or _columns_width(widths, n) <= width)
    if len(fitted) > columns * most:
        shown = columns * most - 1
        more = Entry(f"+{len(fitted) - shown} more", "more", theme.muted)
        fitted = [*fitted[:shown], more]
        widths = [*widths[:shown], measure(more.label, size)]
    starts = np.concatenate(([0.0], np.cumsum(_column_widths(widths, columns) + _BETWEEN)))
    return [
        [(float(starts[n]), entry) for n, entry in enumerate(fitted[row : row + columns])]
        for row in range(0, len(fitted), columns)
    ]


def _column_widths(widths: Sequence[float], columns: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([max(widths[n::columns], default=0.0) for n in range(columns)], dtype=np.float64)


def _columns_width(widths: Sequence[float], columns: int) -> float:
    return float(_column_widths(widths, columns).sum()) + _BETWEEN * (columns - 1)


def legend_marks(rows: Sequence[Sequence[tuple[float, Entry]]], x: float, y: float, theme: Theme) -> list[Mark]:
    """The rows as marks; (x, y) is the upper left corner."""
    marks: list[Mark] = []
    size = theme.font_size
    for row in rows:
        middle = y + row_height(theme) / 2
        for start, entry in row:
            left = x + start
            marks += _swatch(entry, left, middle, theme)
            marks.append(
                Text(
                    left + entry.swatch_width(),
                    middle + CAP_HEIGHT * size / 2,
                    entry.label,
                    size,
                    theme.muted if entry.kind == "more" else theme.text,
                )
            )
        y += row_height(theme)
    return marks


def ring(center: FloatArray, radius: float, color: Color, inside: Color) -> list[Mark]:
    """A circle around ``center`` (1, 2), two pixels wide."""
    return [Dots(center, radius, color), Dots(center, radius - 2.0, inside)]


def _swatch(entry: Entry, left: float, middle: float, theme: Theme) -> list[Mark]:
    width = _SWATCH.get(entry.kind, 0.0)
    match entry.kind:
        case "line":
            ends = np.array([[left + 1, middle], [left + width - 1, middle]])
            return [Polyline(ends, entry.color, min(max(entry.width, 2.0), 6.0), entry.opacity, entry.dash)]
        case "event":
            ends = np.array([[left + 3, middle - 6], [left + 3, middle + 6]])
            return [Polyline(ends, entry.color, entry.width, entry.opacity, entry.dash)]
        case "dot":
            return [Dots(np.array([[left + width / 2, middle]]), min(max(entry.width / 2, 2.5), 6), entry.color)]
        case "ring":
            return ring(np.array([[left + width / 2, middle]]), 4.0, entry.color, theme.background)
        case "block":
            return [Rect(left, middle - 5.5, width, 11.0, entry.color, entry.opacity)]
        case "more":
            return []
