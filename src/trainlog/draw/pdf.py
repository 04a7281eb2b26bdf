"""A drawing as a PDF, by the fpdf2 library: vectors, and text in embedded fonts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trainlog.draw.color import rgb
from trainlog.draw.drawing import Cells, Clip, Dots, Drawing, Mark, Polygon, Polyline, Rect, Text, pieces
from trainlog.draw.fonts import font_runs

if TYPE_CHECKING:
    from fpdf import FPDF

__all__ = ["pdf"]

_POINT: Final = 0.75  # per CSS pixel
_DATE: Final = datetime(2000, 1, 1, tzinfo=UTC)  # fixed, so that equal drawings give equal files


def pdf(drawing: Drawing) -> bytes:
    """The drawing as a PDF of one page, at 96 pixels per inch. Only the letters in use are embedded.

    The same drawing gives the same bytes with the same versions of fpdf2, fontTools and zlib, and the same fonts.

    Raises:
        ModuleNotFoundError: when fpdf2, of the extra ``paper``, is not installed.

    """
    from fpdf import FPDF
    from fpdf.fonts import TTFFont

    document = FPDF(unit="pt", format=(drawing.width * _POINT, drawing.height * _POINT))
    document.set_creation_date(_DATE)
    document.set_auto_page_break(False)
    document.set_margin(0)
    document.set_title(drawing.title or "chart")
    document.set_subject(drawing.description)
    document.add_page()
    with document.local_context():
        _Page(document).draw([Rect(0, 0, drawing.width, drawing.height, drawing.background), *drawing.marks])
    content = bytes(document.output())
    for font in document.fonts.values():
        if isinstance(font, TTFFont):
            font.ttfont.close()
    return content


class _Page:
    """A page on which marks are drawn one after another."""

    def __init__(self, document: FPDF) -> None:
        self._document = document

    def draw(self, marks: Iterable[Mark]) -> None:
        for mark in marks:
            match mark:
                case Polyline():
                    lines = [piece for piece in pieces(mark) if len(piece) > 1]
                    self._paths(lines, stroke=mark.color, width=mark.width, opacity=mark.opacity, dash=mark.dash)
                case Polygon():
                    self._paths(pieces(mark), fill=mark.color, opacity=mark.opacity)
                case Rect():
                    right, bottom = mark.x + mark.width, mark.y + mark.height
                    corners = np.array([[mark.x, mark.y], [right, mark.y], [right, bottom], [mark.x, bottom]])
                    self._paths([corners], fill=mark.color, opacity=mark.opacity)
                case Dots():
                    dots = [np.stack((point, point)) for point in mark.points]
                    self._paths(dots, stroke=mark.color, width=2 * mark.radius, opacity=mark.opacity)
                case Text():
                    self._text(mark)
                case Cells():
                    self._cells(mark)
                case Clip():
                    with self._document.rect_clip(*(side * _POINT for side in mark.box)):
                        self.draw(mark.marks)

    def _paths(
        self,
        lines: Iterable[Any],
        *,
        fill: str | None = None,
        stroke: str | None = None,
        width: float = 1.0,
        opacity: float = 1.0,
        dash: tuple[float, ...] = (),
    ) -> None:
        from fpdf.drawing import PaintedPath
        from fpdf.drawing_primitives import DeviceRGB
        from fpdf.enums import PathPaintRule

        rule = PathPaintRule.STROKE if fill is None else PathPaintRule.FILL_NONZERO
        color = DeviceRGB(*(channel / 255 for channel in rgb(fill or stroke or "#000000")))
        with self._document.drawing_context() as context:
            path = PaintedPath()
            path.style.paint_rule = rule
            path.style.auto_close = fill is not None
            if fill is not None:
                path.style.fill_color, path.style.fill_opacity = color, opacity
            else:
                path.style.stroke_color, path.style.stroke_opacity = color, opacity
                path.style.stroke_width = width * _POINT
                path.style.stroke_join_style = "round"
                path.style.stroke_cap_style = "butt" if dash else "round"
                path.style.stroke_dash_pattern = tuple(length * _POINT for length in dash) or None
            for line in lines:
                points = np.round(line * _POINT, 3).tolist()
                path.move_to(*points[0])
                for x, y in points[1:]:
                    path.line_to(x, y)
                if fill is not None:
                    path.close()
            context.add_item(path)

    def _text(self, mark: Text) -> None:
        document, size = self._document, mark.size * _POINT
        x, y = mark.x * _POINT, mark.y * _POINT
        runs = []
        for path, run in font_runs(mark.text):
            family = path.stem.lower()
            if family not in document.fonts:
                document.add_font(family, fname=path)
            document.set_font(family, size=size)
            runs.append((family, run, document.get_string_width(run)))
        length = sum(width for _, _, width in runs)
        document.set_text_color(*rgb(mark.color))
        with document.rotation(90 if mark.vertical else 0, x, y):
            x -= {"start": 0.0, "middle": length / 2, "end": length}[mark.anchor]
            for family, run, width in runs:
                document.set_font(family, size=size)
                document.text(x, y, run)
                x += width

    def _cells(self, mark: Cells) -> None:
        from PIL import Image

        colors = np.array([rgb(color) for color in mark.palette], dtype=np.uint8)
        image = Image.fromarray(colors[mark.color_index])
        x, y, width, height = (side * _POINT for side in mark.box)
        self._document.image(image, x, y, width, height)
