"""What a shape covers of each pixel, beside areas that are known and beside shapes drawn 32 times as fine."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from trainlog.draw.coverage import FULL, polygon_tiles, stroke_tiles
from trainlog.draw.drawing import Box, Drawing, Polygon
from trainlog.draw.raster import png

CLIP = Box(0, 0, 40, 30)
FINE = 32
POINTS = st.lists(st.tuples(st.floats(-10, 50), st.floats(-10, 40)), min_size=3, max_size=12)


def covered(tiles: object) -> np.ndarray:
    """The share of each pixel of the clip that is covered."""
    found = np.zeros((30, 40))
    for x, y, coverage in tiles:  # type: ignore[attr-defined]
        place = found[y : y + coverage.shape[0], x : x + coverage.shape[1]]
        assert place.shape == coverage.shape
        assert not place.any()  # no pixel is in two tiles
        place[...] = coverage / FULL
    return found


def test_areas_are_exact() -> None:
    square = np.array([[5.25, 5.5], [15.25, 5.5], [15.25, 10.5], [5.25, 10.5]])
    assert covered(polygon_tiles([square], CLIP, 4)).sum() == pytest.approx(50, abs=0.1)
    disc = covered(stroke_tiles([np.array([[20.3, 15.2]])], 8, CLIP, 8))
    assert disc.sum() == pytest.approx(np.pi * 16, rel=0.01)
    line = covered(stroke_tiles([np.array([[5.0, 5.0], [35.0, 25.0]])], 3, CLIP, 8))
    assert line.sum() == pytest.approx(np.hypot(30, 20) * 3 + np.pi * 1.5**2, rel=0.01)
    flat = covered(stroke_tiles([np.array([[5.0, 5.0], [35.0, 25.0]])], 3, CLIP, 8, is_round=False))
    assert flat.sum() == pytest.approx(np.hypot(30, 20) * 3, rel=0.01)


@pytest.mark.parametrize(("low", "high"), [(-9, -1), (-3, 0), (0, 0), (12, 12), (30, 30), (30, 45)])
def test_what_is_not_seen_makes_no_tile(low: float, high: float) -> None:
    ring = np.array([[5.0, low], [15.0, low], [15.0, high], [5.0, high]])
    assert list(polygon_tiles([ring], CLIP, 4)) == []
    assert png(Drawing(40, 30, "#ffffff", (Polygon(ring, "#000000"),)), 1).startswith(b"\x89PNG")


@given(POINTS, st.sampled_from([1.0, 2.5, 6.0]))
def test_a_stroke_covers_what_a_finer_picture_of_it_does(points: list[tuple[float, float]], width: float) -> None:
    line = np.array(points)
    image = Image.new("L", (40 * FINE, 30 * FINE))
    pen = ImageDraw.Draw(image)
    for begin, end in itertools.pairwise(line):  # segments are rectangles, and points are discs
        along = end - begin
        if length := np.hypot(*along):
            across = np.array([-along[1], along[0]]) / length * width / 2
            corners = np.array([begin + across, end + across, end - across, begin - across]) * FINE - 0.5
            pen.polygon(corners.reshape(-1).tolist(), fill=1)
    for x, y in line * FINE:
        radius = width * FINE / 2
        pen.ellipse([x - radius, y - radius, x + radius - 1, y + radius - 1], fill=1)
    fine = np.asarray(image).reshape(30, FINE, 40, FINE).mean(axis=(1, 3))
    found = covered(stroke_tiles([line], width, CLIP, 8))
    assert np.abs(found - fine).max() < 0.35
    assert found.sum() == pytest.approx(fine.sum(), abs=0.03 * fine.sum() + 3)


@given(POINTS)
def test_nothing_is_covered_twice(points: list[tuple[float, float]]) -> None:
    """A line that goes there and back covers what it covers once."""
    line = np.array(points)
    there = covered(stroke_tiles([line], 2, CLIP, 4))
    back = covered(stroke_tiles([np.concatenate((line, line[::-1]))], 2, CLIP, 4))
    assert np.abs(there - back).max() <= 2 / FULL
