"""A drawing as SVG."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from html import escape
from itertools import pairwise

import numpy as np

from trainlog.draw.drawing import Cells, Clip, Dots, Drawing, FloatArray, Mark, Polygon, Polyline, Rect, Text, pieces
from trainlog.draw.pixels import cells_as_png
from trainlog.draw.text import clean

__all__ = ["svg"]

_MOST_DRAWN_CELLS = 3000
# Keeps what is half a hundredth but for the last bits from falling to either side on different machines.
_NUDGE = 1e-5
_FONTS = "Aileron, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"


def svg(drawing: Drawing) -> str:
    """The drawing as an SVG document; the same drawing is the same text on every machine.

    Text stays text, and there are no ids in it, so that several can stand in one page.
    """
    title = escape(clean(drawing.title) or "chart", quote=True)
    description = escape(clean(drawing.description), quote=False)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{drawing.width}" height="{drawing.height}" '
        f'viewBox="0 0 {drawing.width} {drawing.height}" role="img" aria-label="{title}" font-family="{_FONTS}">',
        f"<title>{title}</title>",
    ]
    if description:
        lines.append(f"<desc>{description}</desc>")
    lines.append(f'<rect width="100%" height="100%" fill="{drawing.background}"/>')
    lines += _written(drawing.marks)
    lines.append("</svg>\n")
    return "\n".join(lines)


def _written(marks: Iterable[Mark]) -> Iterable[str]:
    for mark in marks:
        match mark:
            case Polyline():
                if len(mark.points):
                    yield _polyline(mark)
            case Polygon():
                if len(mark.points):
                    data = "".join(_path(piece) + "z" for piece in pieces(mark))
                    yield f'<path d="{data}" fill="{mark.color}"{_opacity("fill-opacity", mark.opacity)}/>'
            case Rect():
                yield (
                    f'<rect x="{_number(mark.x)}" y="{_number(mark.y)}" width="{_number(mark.width)}" '
                    f'height="{_number(mark.height)}" fill="{mark.color}"{_opacity("fill-opacity", mark.opacity)}/>'
                )
            case Dots():
                if len(mark.points):
                    yield _dots(mark)
            case Text():
                yield _text(mark)
            case Cells():
                yield _cells(mark)
            case Clip():
                # A nested viewport clips without needing an id, which two pictures in one page could share.
                x, y, width, height = map(_number, (mark.box.x, mark.box.y, mark.box.width, mark.box.height))
                yield (
                    f'<svg x="{x}" y="{y}" width="{width}" height="{height}" '
                    f'viewBox="{x} {y} {width} {height}" overflow="hidden">'
                )
                yield from _written(mark.marks)
                yield "</svg>"


def _polyline(mark: Polyline) -> str:
    data = "".join(map(_path, pieces(mark)))
    dash = f' stroke-dasharray="{" ".join(map(_number, mark.dash))}"' if mark.dash else ""
    cap = "" if mark.dash else ' stroke-linecap="round"'
    return (
        f'<path d="{data}" fill="none" stroke="{mark.color}" stroke-width="{_number(mark.width)}" '
        f'stroke-linejoin="round"{cap}{dash}{_opacity("stroke-opacity", mark.opacity)}/>'
    )


def _dots(mark: Dots) -> str:
    # A dot is a stroke of no length with round ends: all of them are one path, which blends once.
    data = "".join(f"M{_fixed(x)} {_fixed(y)}h0" for x, y in _hundredths(mark.points).tolist())
    return (
        f'<path d="{data}" fill="none" stroke="{mark.color}" stroke-width="{_number(2 * mark.radius)}" '
        f'stroke-linecap="round"{_opacity("stroke-opacity", mark.opacity)}/>'
    )


def _text(mark: Text) -> str:
    x, y = _number(mark.x), _number(mark.y)
    anchor = "" if mark.anchor == "start" else f' text-anchor="{mark.anchor}"'
    turned = f' transform="rotate(-90 {x} {y})"' if mark.vertical else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{_number(mark.size)}" fill="{mark.color}"{anchor}{turned}>'
        f"{escape(mark.text, quote=False)}</text>"
    )


def _cells(mark: Cells) -> str:
    if min(mark.index.shape) > 1 and mark.index.size <= _MOST_DRAWN_CELLS:
        return "\n".join(_drawn_cells(mark))
    box = mark.box
    return (
        f'<image x="{_number(box.x)}" y="{_number(box.y)}" width="{_number(box.width)}" '
        f'height="{_number(box.height)}" preserveAspectRatio="none" image-rendering="optimizeSpeed" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{cells_as_png(mark)}"/>'
    )


def _drawn_cells(mark: Cells) -> Iterable[str]:
    """One path for each colour. Not every viewer leaves the pixels of an image sharp when it enlarges them."""
    rows, columns = mark.index.shape
    box = mark.box
    x, y = (
        np.floor(edges * 100 + 0.5 + _NUDGE).astype(np.int64).tolist()
        for edges in (np.linspace(box.x, box.right, columns + 1), np.linspace(box.y, box.bottom, rows + 1))
    )
    paths: dict[int, list[str]] = {}
    for row, line in enumerate(mark.index):
        starts = [0, *(np.flatnonzero(np.diff(line)) + 1).tolist(), columns]
        for first, last in pairwise(starts):
            width = x[last] - x[first]
            path = (
                f"M{_fixed(x[first])} {_fixed(y[row])}h{_fixed(width)}v{_fixed(y[row + 1] - y[row])}h{_fixed(-width)}z"
            )
            paths.setdefault(int(line[first]), []).append(path)
    for color, parts in sorted(paths.items()):
        yield f'<path d="{"".join(parts)}" fill="{mark.palette[color]}" shape-rendering="crispEdges"/>'


def _opacity(name: str, value: float) -> str:
    return "" if value >= 1 else f' {name}="{_number(value)}"'


def _hundredths(points: FloatArray) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Points in whole hundredths of a pixel."""
    return np.floor(points * 100 + (0.5 + _NUDGE)).astype(np.int64)


@lru_cache(maxsize=65536)
def _fixed(hundredths: int) -> str:
    """A number of hundredths in decimals, as short as it goes."""
    text = f"{hundredths / 100:.2f}".rstrip("0").rstrip(".")
    if text.startswith("0."):
        return text[1:]
    return "-" + text[2:] if text.startswith("-0.") else text


def _number(value: float) -> str:
    return _fixed(int(np.floor(value * 100 + (0.5 + _NUDGE))))


def _path(points: FloatArray) -> str:
    """``M`` to the first point and then steps relative to the point before; points that coincide are left out."""
    grid = _hundredths(points)
    steps = np.diff(grid, axis=0)
    steps = steps[steps.any(axis=1)]
    start = f"M{_fixed(int(grid[0, 0]))} {_fixed(int(grid[0, 1]))}"
    if not len(steps):
        return start + "h0"
    numbers = map(_fixed, steps.reshape(-1).tolist())
    first = next(numbers)
    # A minus sign parts numbers as well as a space does.
    return start + "l" + first + "".join(text if text[0] == "-" else " " + text for text in numbers)
