"""Whatever the data are, there is a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from draw.figures import check_svg, check_texts
from trainlog.draw import (
    Band,
    Chart,
    Figure,
    Grid,
    Heatmap,
    HLine,
    Line,
    Scatter,
    Scene,
    StateTimeline,
    VLine,
    layout,
    png,
)

ODD = [0.0, -0.0, 1.0, 5e-324, 1e-300, -1e-300, 1e300, -1e300, 1.7976931348623157e308, 1e6, 1e6 + 1e-3, np.inf, np.nan]
VALUE = st.one_of(st.floats(), st.sampled_from(ODD), st.floats(width=16))
LABEL = st.one_of(
    st.sampled_from(["", "step", "reward (Nm) " * 9, "日本語 α \x00\x0b <&>\ud800", "x" * 200]),
    st.text(st.characters(codec=None), max_size=20),
)
UNIT = st.sampled_from([None, "s", "m"])


@st.composite
def points(draw: st.DrawFn) -> tuple[list[float] | None, list[float]]:
    y = draw(st.lists(VALUE, max_size=12)) * draw(st.sampled_from([1, 1, 1, 300]))
    x = draw(st.one_of(st.none(), st.lists(VALUE, min_size=len(y), max_size=len(y)))) if len(y) <= 12 else None
    return x, y


@st.composite
def marks(draw: st.DrawFn) -> Any:
    x, y = draw(points())
    label = draw(LABEL)
    match draw(st.integers(0, 5)):
        case 0:
            return Line(x, y, label, dash=draw(st.sampled_from([None, (3, 2)])))
        case 1:
            return Scatter(x, y, label)
        case 2:
            return Band(x, y, y[::-1], label)
        case 3:
            return HLine(draw(VALUE), label)
        case 4:
            return VLine(y, label)
        case _:
            return StateTimeline(x, ["abcdefghijk"[n % 11] for n in range(len(y))], label=label)


@st.composite
def panels(draw: st.DrawFn) -> Any:
    match draw(st.integers(0, 5)):
        case 0:
            x, y = draw(points())
            highlight = draw(st.integers(0, len(y) - 1)) if y else None
            return Scene(y[::-1] if x is None else x, y, title=draw(LABEL), label=draw(LABEL), highlight=highlight)
        case 1:
            rows, columns = draw(st.integers(0, 4)), draw(st.integers(0, 4))
            cells = draw(st.lists(VALUE, min_size=rows * columns, max_size=rows * columns))
            matrix = np.array(cells, dtype=float).reshape(rows, columns)
            return Heatmap(matrix, label=draw(LABEL), unit=draw(UNIT), value_log=draw(st.booleans()))
        case _:
            return Chart(
                title=draw(LABEL),
                x_label=draw(LABEL),
                y_label=draw(LABEL),
                x_unit=draw(UNIT),
                y_unit=draw(UNIT),
                x_log=draw(st.booleans()),
                y_log=draw(st.booleans()),
                caption=draw(LABEL),
                marks=draw(st.lists(marks(), max_size=4)),
            )


FIGURES = st.one_of(
    panels(), panels(), panels(), st.builds(Grid, st.lists(panels(), max_size=4), st.integers(1, 3), LABEL)
)
SIZES = st.sampled_from([(960, 540), (480, 300), (120, 80), (200, 900)])


@settings(max_examples=300)
@given(FIGURES, SIZES, st.sampled_from(["light", "dark"]))
def test_no_figure_fails(figure: Figure, size: tuple[int, int], theme: str) -> None:
    drawing = layout(figure, *size, theme)
    check_svg(drawing)
    check_texts(drawing)


@given(FIGURES)
def test_no_picture_fails(figure: Figure) -> None:
    assert png(layout(figure, 160, 100), 1).startswith(b"\x89PNG")
