"""What every picture has to keep to, and a few pictures to try it on."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lxml import etree

from trainlog.draw import (
    Band,
    Chart,
    Drawing,
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
    svg,
)
from trainlog.draw.drawing import Box, Clip, Mark, Text
from trainlog.draw.text import text_width

SVG = "{http://www.w3.org/2000/svg}"
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")
_PATH = re.compile(rf"(?:[Mlhvz]|{_NUMBER.pattern}| )*")
_NUMERIC = {"x", "y", "width", "height", "font-size", "stroke-width", "fill-opacity", "stroke-opacity"}


def all_marks(marks: tuple[Mark, ...]) -> Iterator[Mark]:
    for mark in marks:
        yield mark
        if isinstance(mark, Clip):
            yield from all_marks(mark.marks)


def text_boxes(drawing: Drawing) -> list[tuple[str, Box]]:
    """Where every text stands, from its base line to the height of its capitals."""
    boxes = []
    for mark in all_marks(drawing.marks):
        if isinstance(mark, Text):
            width, height = text_width(mark.text, mark.size), mark.size * 0.7
            back = {"start": 0.0, "middle": width / 2, "end": width}[mark.anchor]
            if mark.vertical:
                boxes.append((mark.text, Box(mark.x - height, mark.y + back - width, height, width)))
            else:
                boxes.append((mark.text, Box(mark.x - back, mark.y - height, width, height)))
    return boxes


def check_texts(drawing: Drawing) -> None:
    """No text leaves the picture and no two overlap."""
    boxes = text_boxes(drawing)
    for text, box in boxes:
        assert -1 <= box.x <= box.right <= drawing.width + 1, (text, box)
        assert -1 <= box.y <= box.bottom <= drawing.height + 1, (text, box)
    for n, (text, box) in enumerate(boxes):
        for other, place in boxes[:n]:
            assert not box.overlaps(place), (text, box, other, place)


def check_svg(drawing: Drawing) -> etree._Element:
    """The SVG is XML that names itself, and every coordinate in it is a number. Returns its root."""
    root = etree.fromstring(svg(drawing).encode("utf-8"))
    assert root.tag == SVG + "svg"
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert root[0].tag == SVG + "title"
    for element in root.iter():
        for name, value in element.attrib.items():
            if name in _NUMERIC and not value.endswith("%"):
                assert _NUMBER.fullmatch(value), (name, value)
                assert math.isfinite(float(value))
            elif name in ("d", "viewBox", "transform"):
                assert "n" not in value.replace("rotate(-90", ""), (name, value[:200])
            if name == "d":
                assert _PATH.fullmatch(value), value[:200]
    return root


def samples() -> dict[str, Figure]:
    """One picture of each kind, with round data."""
    # Nothing but sums, products and quotients, which are the same to the last bit everywhere.
    x = np.arange(200)
    wave = 100 - 2.5 * np.abs(x % 80 - 40)
    holes = wave - x % 7
    holes[25:30], holes[50], holes[100] = np.nan, np.inf, -np.inf
    chart = Chart(
        title="Reward & <loss>",
        x_label="step",
        y_label="reward",
        caption="Seed 7.",
        marks=[
            Band(x * 10_000, wave - 20, wave + 20, "min–max"),
            Line(x * 10_000, holes, "reward", opacity=0.6),
            Line(x * 10_000, wave / 2, "half", width=2.5),
            HLine(80, "solved"),
            VLine([500_000, 1_500_000], "checkpoint"),
            StateTimeline(np.array([0, 500_000, 1_200_000]), ["stand", "walk", "run"], label="gait"),
        ],
    )
    log = Chart(
        title="log",
        x_label="time",
        x_unit="s",
        y_label="loss",
        y_log=True,
        marks=[Line(x * 30, np.abs(wave), "loss"), Scatter(x[::20] * 30, np.full(10, 5.0), "evaluation")],
    )
    turn = np.linspace(-3, 3, 120)
    circle = (1 - turn**2) / (1 + turn**2), 2 * turn / (1 + turn**2)
    scene = Scene(
        circle[0] * (turn + 9),
        circle[1] * (turn + 9),
        title="top view",
        x_unit="m",
        y_unit="m",
        label="path",
        highlight=80,
        marks=[Scatter([2, 4], [3, -3], "goals"), Line([-2, -2], [-6, 6], "wall", width=4)],
    )
    rows, columns = np.mgrid[0:12, 0:20]
    heat = (columns - 9.5) * rows / 4
    heat[3, 4] = np.nan
    heatmap = Heatmap(heat, title="values", x_label="position", y_label="velocity", label="Q", color_map="diverging")
    strips = Chart(title="strips", x_label="step", marks=[StateTimeline(None, list("aabbccab"), label="gait")])
    grid = Grid([chart, log, scene, heatmap], columns=2, title="all of them")
    return {
        "chart": chart,
        "log": log,
        "scene": scene,
        "heatmap": heatmap,
        "strips": strips,
        "grid": grid,
        "empty": Chart(title="empty", marks=[Line([], [], "nothing")]),
    }


def write_goldens(folder: Path) -> None:
    """Write the pictures that the golden test compares with; to be done by hand, and looked at."""
    for name, figure in samples().items():
        for theme in ("light", "dark"):
            if theme == "light" or name == "chart":
                (folder / f"{name}-{theme}.svg").write_text(svg(layout(figure, 640, 400, theme)), encoding="utf-8")


if __name__ == "__main__":
    write_goldens(Path(sys.argv[1]))
