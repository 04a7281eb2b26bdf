"""A drawing as SVG."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from functools import lru_cache
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trainlog.draw.drawing import Cells, Clip, Dots, Drawing, FloatArray, Mark, Polygon, Polyline, Rect, Text, pieces
from trainlog.draw.fonts import font_runs
from trainlog.draw.pixels import png_file
from trainlog.draw.text import clean

__all__ = ["svg"]

_MAX_CELL_PATHS = 3000
# Halves of hundredths with different last bits on different machines must be rounded in the same direction.
_NUDGE = 1e-5
# All of these have the same metrics.
_FONTS = "Arimo, 'Liberation Sans', Arial, Helvetica, sans-serif"


def svg(drawing: Drawing, *, outlines: bool = False) -> str:
    """The drawing as an SVG document; the same drawing gives the same text on every machine.

    Text stays text, in a font with the metrics of Arial. With *outlines*, letters of Arimo and of other fonts with
    outlines become shapes, which look the same in every viewer but cannot be searched; this needs fontTools. There are
    no ids, so that several documents can be in one page.
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
    lines += _elements(drawing.marks, outlines)
    lines.append("</svg>\n")
    return "\n".join(lines)


def _elements(marks: Iterable[Mark], outlines: bool) -> Iterable[str]:
    for mark in marks:
        match mark:
            case Polyline():
                if len(mark.points):
                    dash = f' stroke-dasharray="{" ".join(map(_number, mark.dash))}"' if mark.dash else ""
                    cap = "" if mark.dash else ' stroke-linecap="round"'
                    data = "".join(map(_path, pieces(mark)))
                    yield _stroke(data, mark, mark.width, f' stroke-linejoin="round"{cap}{dash}')
            case Polygon():
                if len(mark.points):
                    data = "".join(_path(piece) + "z" for piece in pieces(mark))
                    yield f'<path d="{data}" fill="{mark.color}"{_opacity("fill-opacity", mark.opacity)}/>'
            case Rect():
                place = _box(mark.x, mark.y, mark.width, mark.height)
                yield f'<rect {place} fill="{mark.color}"{_opacity("fill-opacity", mark.opacity)}/>'
            case Dots():
                if len(mark.points):
                    # A dot is a stroke of zero length with round ends: all dots are one path, which is blended once.
                    data = "".join(f"M{_decimal(x)} {_decimal(y)}h0" for x, y in _hundredths(mark.points).tolist())
                    yield _stroke(data, mark, 2 * mark.radius, ' stroke-linecap="round"')
            case Text() if outlines:
                yield from _outlined(mark)
            case Text():
                x, y = _number(mark.x), _number(mark.y)
                anchor = "" if mark.anchor == "start" else f' text-anchor="{mark.anchor}"'
                turned = f' transform="rotate(-90 {x} {y})"' if mark.vertical else ""
                yield (
                    f'<text x="{x}" y="{y}" font-size="{_number(mark.size)}" fill="{mark.color}"{anchor}{turned}>'
                    f"{escape(mark.text, quote=False)}</text>"
                )
            case Cells():
                yield from _cells(mark)
            case Clip():
                # A nested viewport clips without an id; two pictures in one page could have the same id.
                numbers = " ".join(map(_number, mark.box))
                yield f'<svg {_box(*mark.box)} viewBox="{numbers}" overflow="hidden">'
                yield from _elements(mark.marks, outlines)
                yield "</svg>"


def _outlined(mark: Text) -> Iterable[str]:
    """A text as one shape per font; emoji, which have no outlines, stay text."""
    from trainlog.draw.fonts import is_emoji_font, outline

    runs = [(path, run, outline(path, run)) for path, run in font_runs(mark.text)]
    units = [1000 * len(run) if is_emoji_font(path) else width for path, run, (_, width) in runs]
    along = {"start": 0.0, "middle": 0.5, "end": 1.0}[mark.anchor]
    place = -along * sum(units)
    turn = " rotate(-90)" if mark.vertical else ""
    size = mark.size / 1000
    for (path, run, (data, _)), width in zip(runs, units, strict=True):
        start = f'transform="translate({_number(mark.x)} {_number(mark.y)}){turn}'
        if is_emoji_font(path):
            place_text = f'x="{_number(place * size)}" font-size="{_number(mark.size)}"'
            yield f'<text {start}" {place_text}>{escape(run)}</text>'
        elif data:
            read = mark.text if len(runs) == 1 else run  # a run is in the order of its shapes, not of reading
            yield (
                f'<path {start} scale({size:.5g} {-size:.5g}) translate({_number(place)} 0)" fill="{mark.color}" '
                f'd="{data}" aria-label="{escape(read, quote=True)}"/>'
            )
        place += width


def _stroke(data: str, mark: Polyline | Dots, width: float, style: str) -> str:
    return (
        f'<path d="{data}" fill="none" stroke="{mark.color}" stroke-width="{_number(width)}"'
        f"{style}{_opacity('stroke-opacity', mark.opacity)}/>"
    )


def _box(x: float, y: float, width: float, height: float) -> str:
    return f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'


def _opacity(name: str, value: float) -> str:
    return "" if value >= 1 else f' {name}="{_number(value)}"'


def _cells(mark: Cells) -> Iterable[str]:
    """One path per colour, or an image if there are many cells.

    Paths are preferred because some viewers blur the pixels of an enlarged image.
    """
    box = mark.box
    if min(mark.color_index.shape) == 1 or mark.color_index.size > _MAX_CELL_PATHS:
        data = base64.b64encode(png_file(mark.color_index, mark.palette, compress=False)).decode()
        yield (
            f'<image {_box(*box)} preserveAspectRatio="none" '
            f'image-rendering="optimizeSpeed" style="image-rendering:pixelated" '
            f'href="data:image/png;base64,{data}"/>'
        )
        return
    rows, columns = mark.color_index.shape
    x = _hundredths(np.linspace(box.x, box.right, columns + 1)).tolist()
    y = _hundredths(np.linspace(box.y, box.bottom, rows + 1)).tolist()
    paths: dict[int, list[str]] = {}
    for row, line in enumerate(mark.color_index):
        starts = [0, *(np.flatnonzero(np.diff(line)) + 1).tolist(), columns]
        height = _decimal(y[row + 1] - y[row])
        for first, last in pairwise(starts):
            width = x[last] - x[first]
            path = f"M{_decimal(x[first])} {_decimal(y[row])}h{_decimal(width)}v{height}h{_decimal(-width)}z"
            paths.setdefault(int(line[first]), []).append(path)
    for color, parts in sorted(paths.items()):
        yield f'<path d="{"".join(parts)}" fill="{mark.palette[color]}" shape-rendering="crispEdges"/>'


def _hundredths(values: FloatArray) -> NDArray[np.int64]:
    """Pixels as whole hundredths."""
    return np.floor(values * 100 + (0.5 + _NUDGE)).astype(np.int64)


@lru_cache(maxsize=65536)
def _decimal(hundredths: int) -> str:
    """A number of hundredths in decimals, as short as possible."""
    text = f"{hundredths / 100:.2f}".rstrip("0").rstrip(".")
    if text.startswith("0."):
        return text[1:]
    return "-" + text[2:] if text.startswith("-0.") else text


def _number(value: float) -> str:
    return _decimal(math.floor(value * 100 + (0.5 + _NUDGE)))


def _path(points: FloatArray) -> str:
    """``M`` to the first point, then relative steps from point to point; points that coincide are left out."""
    grid = _hundredths(points)
    steps = np.diff(grid, axis=0)
    steps = steps[steps.any(axis=1)]
    start = f"M{_decimal(int(grid[0, 0]))} {_decimal(int(grid[0, 1]))}"
    if not len(steps):
        return start + "h0"
    numbers = map(_decimal, steps.reshape(-1).tolist())
    first = next(numbers)
    # A minus sign separates numbers just as a space does.
    return start + "l" + first + "".join(text if text[0] == "-" else " " + text for text in numbers)
