from __future__ import annotations

import base64
import io
import math
import mmap
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from lxml import etree
from PIL import Image

from draw.figures import SVG, check_svg, samples
from trainlog.draw import Band, Chart, Drawing, HLine, Line, gif, layout, png, svg
from trainlog.draw.color import rgb
from trainlog.draw.drawing import Box, Cells, Clip, Dots, Mark, Polygon, Polyline, Rect, Text
from trainlog.draw.paths import dashed
from trainlog.draw.pixels import png_file
from trainlog.draw.raster import rasterize
from trainlog.draw.text import text_width
from trainlog.draw.theme import ThemeName

GOLDENS = Path(__file__).parent / "golden"


def pixels(drawing: Drawing, scale: float = 1) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png(drawing, scale))).convert("RGB"))


def picture(*marks: Mark) -> Drawing:
    return Drawing(60, 40, "#ffffff", marks)


@pytest.mark.parametrize("name", [*(f"{name}-light" for name in samples()), "chart-dark"])
def test_svg_is_the_golden_one(name: str) -> None:
    """The goldens are written by hand, with ``python tests/draw/figures.py tests/draw/golden``, and looked at."""
    figure, theme = name.rsplit("-", 1)
    expected = (GOLDENS / f"{name}.svg").read_text(encoding="utf-8")
    assert svg(layout(samples()[figure], 640, 400, theme)) == expected


def test_no_golden_is_left_over() -> None:
    assert len(list(GOLDENS.iterdir())) == len(samples()) + 1


_HASHES = """
import hashlib
from draw.figures import samples
from trainlog.draw import gif, layout, png, svg
for name, figure in samples().items():
    drawing = layout(figure, 480, 300)
    parts = svg(drawing).encode(), png(drawing, 1), gif([drawing, drawing], 10) if name == "chart" else b""
    print(name, *(hashlib.sha256(part).hexdigest() for part in parts))
"""


def test_two_processes_write_the_same_bytes() -> None:
    found = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", _HASHES]
        found.add(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)
    assert len(found) == 1


def test_a_png_is_the_same_wherever_its_compressor_is_in_memory() -> None:
    image = rasterize(layout(samples()["scene"], 960, 540), 1)
    held: list[mmap.mmap | bytearray] = []  # so that the stack and the heap of each thread are somewhere else
    found = set()

    def compress() -> None:
        held.append(bytearray(1 << 17))
        found.add(png_file(image))

    before = threading.stack_size()
    try:
        for i in range(1000):
            held.append(mmap.mmap(-1, 1 << 16))
            threading.stack_size((1 << 18) + (i << 12))
            thread = threading.Thread(target=compress)
            thread.start()
            thread.join()
    finally:
        threading.stack_size(before)
    assert len(found) == 1


def test_pillow_is_loaded_by_the_first_png_only() -> None:
    script = "import sys, trainlog.draw as d; d.svg(d.layout(d.Chart(title='é')))\nsys.exit('PIL' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", script], env=environment).returncode == 0


def test_svg_text_is_text() -> None:
    root = check_svg(layout(samples()["chart"]))
    found = [element.text for element in root.iter(SVG + "text")]
    assert "Reward & <loss>" in found
    assert root.get("aria-label") == "Reward & <loss>"
    assert not root.xpath("//@id")
    (said,) = root.iterchildren(SVG + "desc")
    assert said.text is not None
    assert "reward, half" in said.text
    assert "Seed 7." in said.text


@pytest.mark.parametrize("size", [20, 200])
def test_svg_holds_every_cell(size: int) -> None:
    index = np.arange(size * size).reshape(size, size) % 3
    drawing = picture(Cells(Box(10, 10, 40, 20), index.astype(np.uint8), ("#ff0000", "#00ff00", "#0000ff")))
    root = check_svg(drawing)
    if size == 20:
        assert sum(path.get("d", "").count("M") for path in root.iter(SVG + "path")) == 400
    else:
        (image,) = root.iter(SVG + "image")
        data = base64.b64decode(image.get("href", "").partition(",")[2])
        pixels = np.asarray(Image.open(io.BytesIO(data)))
        assert np.array_equal(pixels, index)


def test_svg_drops_what_xml_forbids() -> None:
    chart = Chart(title='a\x00\x1b"<b>&\ud800\ufffe', caption="c\x07", marks=[Line(None, [1], "\x01d")])
    root = check_svg(layout(chart))
    assert root.get("aria-label") == 'a"<b>&'
    assert "d" in [element.text for element in root.iter(SVG + "text")]


def test_an_svg_that_stands_in_a_page_shares_no_names_with_others() -> None:
    page = "<html>" + svg(layout(samples()["chart"])) * 2 + "</html>"
    assert not etree.fromstring(page.encode()).xpath("//@id | //@class")


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_scale_multiplies_the_size(scale: int) -> None:
    image = Image.open(io.BytesIO(png(layout(samples()["chart"], 200, 120), scale)))
    assert image.size == (200 * scale, 120 * scale)


def test_scale_is_checked() -> None:
    with pytest.raises(ValueError, match="scaled by"):
        png(picture(), 100)


def test_a_stroke_that_crosses_itself_is_blended_once() -> None:
    zigzag = np.array([[10.0, 10], [50, 30], [10, 30], [50, 10], [10.2, 10.1], [50, 30]])
    image = pixels(picture(Polyline(zigzag, "#000000", 6, 0.5)))
    assert 126 <= image.min() <= 129


def test_opacity_blends_with_what_is_below() -> None:
    image = pixels(picture(Rect(0, 0, 60, 40, "#ff0000"), Rect(10, 10, 20, 20, "#0000ff", 0.25)))
    assert image[20, 20].tolist() == pytest.approx([191, 0, 64], abs=1)
    assert image[5, 5].tolist() == [255, 0, 0]


def test_edges_are_smooth_and_widths_true() -> None:
    image = pixels(picture(Polyline(np.array([[5.0, 5], [55, 35]]), "#000000", 3)))
    levels = np.unique(image)
    assert len(levels) > 8
    covered = (255 - image[:, :, 0].astype(float)).sum() / 255
    length = np.hypot(50, 30)
    assert covered == pytest.approx(length * 3 + np.pi * 1.5**2, rel=0.06)


def test_one_pixel_is_one_pixel() -> None:
    image = pixels(picture(Rect(10, 20, 30, 1, "#000000")))
    assert (image[20, 10:40] == 0).all()
    assert (image != 255).any(axis=2).sum() == 30


def test_clipping_hides_what_is_outside() -> None:
    line = Polyline(np.array([[0.0, 20], [60, 20]]), "#000000", 4)
    image = pixels(picture(Clip(Box(20, 0, 10, 40), (line, Dots(np.array([[35.0, 30]]), 3, "#ff0000")))))
    dark = np.flatnonzero((image != 255).any(axis=(0, 2)))
    assert (dark[0], dark[-1]) == (20, 29)


def test_a_polygon_of_several_rings() -> None:
    rings = np.array([[5.0, 5], [15, 5], [15, 15], [5, 15], [40, 20], [50, 20], [50, 30], [40, 30]])
    image = pixels(picture(Polygon(rings, "#00ff00", starts=np.array([0, 4]))))
    assert image[10, 10].tolist() == [0, 255, 0]
    assert image[25, 45].tolist() == [0, 255, 0]
    assert image[15, 30].tolist() == [255, 255, 255]


def test_cells_fill_their_box_row_by_row() -> None:
    cells = Cells(Box(10, 10, 40, 20), np.array([[0, 1], [1, 0]], dtype=np.uint8), ("#ff0000", "#0000ff"))
    image = pixels(picture(cells))
    assert image[12, 12].tolist() == [255, 0, 0]
    assert image[12, 48].tolist() == [0, 0, 255]
    assert image[28, 12].tolist() == [0, 0, 255]


@pytest.mark.parametrize("text", ["Wide", "−5", "Ω", "fg–|"])
@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("anchor", ["start", "middle", "end"])
def test_text_is_where_it_belongs(text: str, vertical: bool, anchor: str) -> None:
    mark = Text(30, 20, text, 10, "#000000", anchor, vertical)  # type: ignore[arg-type]
    ink = np.argwhere((pixels(picture(mark), 2) < 128).any(axis=2)) / 2
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0)
    along = (20 - bottom, 20 - top) if vertical else (left - 30, right - 30)
    expected = {"start": along[0], "middle": sum(along) / 2, "end": along[1]}[anchor]
    assert abs(expected) <= 2
    across = right - 30 if vertical else bottom - 20
    assert -5 <= across <= 3


def test_dashes_are_as_long_as_they_should_be() -> None:
    parts = dashed(np.array([[0.0, 0], [10, 0], [10, 10]]), (4, 2))
    assert [part.tolist() for part in parts] == [
        [[0, 0], [4, 0]],
        [[6, 0], [10, 0]],
        [[10, 2], [10, 6]],
        [[10, 8], [10, 10]],
    ]
    around_the_corner = dashed(np.array([[0.0, 0], [10, 0], [10, 10]]), (15, 2))
    assert around_the_corner[0].tolist() == [[0, 0], [10, 0], [10, 5]]


def frames(count: int) -> list[Drawing]:
    y = np.arange(40.0) % 7
    return [
        layout(
            Chart(
                title="growing",
                x_range=(0, 40),
                y_range=(0, 8),
                marks=[Line(None, y[: n * 10], "reward"), Band(None, y[: n * 10] - 1, y[: n * 10] + 1), HLine(6)],
            ),
            240,
            160,
            "dark",
        )
        for n in range(1, count + 1)
    ]


def test_gif_has_all_frames_at_their_pace() -> None:
    image = Image.open(io.BytesIO(gif(frames(4), fps=10)))
    assert image.size == (240, 160)
    assert image.n_frames == 4  # type: ignore[attr-defined]
    assert image.info["duration"] == 100
    assert image.info["loop"] == 0


def test_gif_colours_are_close_to_those_of_the_png() -> None:
    shown = frames(3)
    image = Image.open(io.BytesIO(gif(shown)))
    for n, drawing in enumerate(shown):
        image.seek(n)
        difference = np.abs(np.asarray(image.convert("RGB")).astype(int) - pixels(drawing))
        assert difference.mean() < 2
        assert np.quantile(difference, 0.99) < 30


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_gif_has_the_background_and_the_plain_colours_of_its_drawings(theme: ThemeName) -> None:
    drawing = layout(samples()["chart"], 480, 300, theme)
    shown = np.asarray(Image.open(io.BytesIO(gif([drawing]))).convert("RGB"))
    expected = pixels(drawing)
    for color in (drawing.background, "#0072b2" if theme == "light" else "#4ea6e6"):
        plain = (expected == rgb(color)).all(axis=2)
        assert plain.any()
        assert (shown[plain] == rgb(color)).all()


def test_gif_of_a_heat_map_keeps_its_colours() -> None:
    drawing = layout(samples()["heatmap"], 240, 160)
    shown = np.asarray(Image.open(io.BytesIO(gif([drawing]))).convert("RGB")).astype(int)
    assert np.abs(shown - pixels(drawing)).mean() < 3


def test_gif_refuses_what_is_no_animation() -> None:
    with pytest.raises(ValueError, match="at least one drawing"):
        gif([])
    with pytest.raises(ValueError, match="the same size"):
        gif([picture(), Drawing(61, 40, "#ffffff", ())])
    with pytest.raises(ValueError, match="fps"):
        gif([picture()], fps=0)


@pytest.mark.parametrize("size", [9.0, 12.0, 24.0])
def test_text_of_a_png_is_as_wide_as_the_layout_expects(size: float) -> None:
    words = "bars: 95 % intervals; score: mean of the last 10 % of reward; n=5 runs on each of 2 tasks"
    width = math.ceil(text_width(words, size)) + 20
    drawing = Drawing(width, 40, "#ffffff", (Text(5, 30, words, size, "#000000"),))
    columns = np.flatnonzero((pixels(drawing, 2) < 128).any(axis=(0, 2)))
    assert columns[-1] / 2 - 5 == pytest.approx(text_width(words, size), abs=size / 4)
