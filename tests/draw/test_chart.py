from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from draw.figures import all_marks, check_svg, check_texts, samples, text_boxes
from trainlog.draw import (
    DARK,
    LIGHT,
    Band,
    Chart,
    Drawing,
    Grid,
    Heatmap,
    HLine,
    Line,
    Scatter,
    Scene,
    StateTimeline,
    Theme,
    VLine,
    layout,
    svg,
)
from trainlog.draw.color import contrast
from trainlog.draw.drawing import Box, Cells, Clip, Dots, Polygon, Polyline, Rect, Text, pieces
from trainlog.draw.raster import rasterize


def texts(drawing: Drawing) -> list[str]:
    return [mark.text for mark in all_marks(drawing.marks) if isinstance(mark, Text)]


def data_marks(drawing: Drawing) -> list[Any]:
    (clip,) = [mark for mark in drawing.marks if isinstance(mark, Clip)]
    return list(clip.marks)


def plot_of(drawing: Drawing) -> Box:
    (clip,) = [mark for mark in drawing.marks if isinstance(mark, Clip)]
    return clip.box.expanded(-2.0)


def curves(drawing: Drawing) -> list[Polyline]:
    return [mark for mark in data_marks(drawing) if isinstance(mark, Polyline)]


@pytest.mark.parametrize("name", list(samples()))
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(960, 540), (640, 400), (300, 200), (120, 80)])
def test_every_kind_of_picture_is_sound(name: str, theme: str, size: tuple[int, int]) -> None:
    drawing = layout(samples()[name], *size, theme)
    check_svg(drawing)
    check_texts(drawing)


def test_title_labels_units_legend_and_caption_are_there() -> None:
    found = texts(layout(samples()["chart"]))
    assert {"Reward & <loss>", "step", "reward", "half", "min–max", "solved", "checkpoint", "gait"} <= set(found)
    assert "Seed 7." in found
    assert "Not drawn: 5 NaN, 1 +inf, 1 −inf (marked at the edge)." in found
    chart = Chart(y_label="torque", y_unit="N m", x_label="time", x_unit="s", marks=[Line([0, 7200], [0, 1])])
    found = texts(layout(chart))
    assert "torque (N m)" in found
    assert "time" in found
    assert "2h" in found


def test_nan_is_a_gap() -> None:
    (curve, *_) = curves(layout(Chart(marks=[Line(None, [1, 2, math.nan, 3, 4, 5])])))
    assert [len(piece) for piece in pieces(curve)] == [2, 3]


def test_lone_points_can_be_seen() -> None:
    marks = data_marks(layout(Chart(marks=[Line(None, [1, math.nan, 3, math.nan])])))
    (dots,) = [mark for mark in marks if isinstance(mark, Dots)]
    assert len(dots.points) == 2


def test_what_is_no_number_is_marked_at_the_edge() -> None:
    drawing = layout(Chart(marks=[Line(None, [0, math.nan, math.inf, -math.inf, 4])]))
    plot = plot_of(drawing)
    quarter = plot.width / 4
    ticks = [mark for mark in curves(drawing) if len(mark.points) == 2 and mark.points[0, 1] == plot.bottom]
    assert abs(ticks[-1].points[0, 0] - plot.x - quarter) <= 1
    up, down = [mark for mark in data_marks(drawing) if isinstance(mark, Polygon)]
    assert up.points[:, 1].min() == plot.y
    assert abs(up.points[1, 0] - plot.x - 2 * quarter) <= 1
    assert down.points[:, 1].max() == plot.bottom


def test_points_without_a_place_are_counted() -> None:
    found = texts(layout(Chart(y_log=True, marks=[Line([0, 1, math.nan, 3], [1, -1, 5, 0])])))
    assert "Not drawn: 2 not above zero (log axis); 1 without a finite x." in found


def test_a_band_on_a_log_axis_reaches_down_to_the_edge() -> None:
    drawing = layout(Chart(y_log=True, marks=[Band(None, [-1, 2], [10, 20])]))
    (area,) = [mark for mark in data_marks(drawing) if isinstance(mark, Polygon)]
    assert area.points[:, 1].max() > plot_of(drawing).bottom


@pytest.mark.parametrize(("theme", "points"), [("light", 500), ("dark", 500), ("light", 100_000)])
def test_a_spike_of_a_band_can_be_seen_to_its_tip(theme: str, points: int) -> None:
    low, high = np.full(points, -1.0), np.full(points, 1.0)
    high[points // 4], low[points // 2] = 50, -50
    drawing = layout(Chart(marks=[Band(None, low, high), HLine(-60), HLine(60)]), theme=theme)
    box = plot_of(drawing)
    pixels = rasterize(drawing).astype(int)
    for share, value in ((0.25, 48.0), (0.5, -48.0)):
        x, y = int(box.x + share * box.width), int(box.bottom - (value + 66) / 132 * box.height)
        around = pixels[y, x - 4 : x + 5]
        colors = ["#{:02x}{:02x}{:02x}".format(*pixel[:3]) for pixel in around]
        assert max(contrast(color, drawing.background) for color in colors) >= 2


def test_the_axis_is_not_made_for_a_band_that_does_not_fit() -> None:
    low, high = np.full(50, -1.0), np.full(50, 1.0)
    low[40:], high[40:] = -1000.0, 1000.0
    high[45] = 5000.0
    drawing = layout(Chart(marks=[Band(None, low, high, fit=np.arange(50) < 40)]))
    assert "1" in texts(drawing)
    assert not {"1k", "1,000"} & set(texts(drawing))
    (area,) = data_marks(drawing)  # without a stroke for its spike
    assert isinstance(area, Polygon)
    assert area.points[:, 1].min() < plot_of(drawing).y


def test_a_noisy_band_has_no_strokes() -> None:
    noise = np.random.default_rng(0).normal(size=(2, 500)) / 10
    drawing = layout(Chart(marks=[Band(None, noise[0] - 1, noise[1] + 1)]))
    assert [type(mark) for mark in data_marks(drawing)] == [Polygon]


def test_the_extremes_of_a_million_points_are_drawn() -> None:
    y = np.zeros(1_000_000)
    y[123_456], y[654_321] = 50, -50
    drawing = layout(Chart(marks=[Line(None, y)]))
    (curve,) = curves(drawing)
    plot = plot_of(drawing)
    assert len(curve.points) <= 4 * plot.width
    for index in (123_456, 654_321):
        x = plot.x + index / 999_999 * plot.width
        height = curve.points[:, 1].min() if y[index] > 0 else curve.points[:, 1].max()
        assert np.abs(curve.points[curve.points[:, 1] == height, 0] - x).min() <= 1


def test_ten_million_points_are_drawn() -> None:
    y = np.tile(np.arange(100, dtype=np.int8), 100_000)
    (curve,) = curves(layout(Chart(marks=[Line(None, y)])))
    assert len(curve.points) < 4000


def test_an_svg_of_a_million_points_is_small() -> None:
    rng = np.random.default_rng(0)
    noise, x = rng.normal(0, 1, 1_000_000), rng.uniform(0, 1, 1_000_000)
    holes = np.where(noise > 0.5, math.nan, noise)
    figures = [
        Chart(marks=[Line(None, noise, "a"), Line(None, holes, "b"), Band(None, noise - 1, noise + 1)]),
        Chart(marks=[Line(x, noise)]),
        Chart(marks=[Scatter(x, noise)]),
        Scene(np.cumsum(noise), np.cumsum(x - 0.5)),
        Heatmap(noise.reshape(1000, 1000)),
        Chart(marks=[StateTimeline(None, rng.integers(0, 4, 1_000_000))]),
    ]
    for figure in figures:
        assert len(svg(layout(figure))) < 200_000


def test_a_line_that_leaves_the_range_keeps_its_slope() -> None:
    drawing = layout(Chart(y_range=(0, 1), marks=[Line([0, 1], [0, 1e6])]))
    (curve,) = curves(drawing)
    plot = plot_of(drawing)
    assert curve.points[:, 1].min() >= plot.y - 2000
    start, second = curve.points[:2]
    assert (second - start)[0] < 0.01  # a million times steeper than the plot is high


def test_the_y_axis_shows_what_the_x_range_shows() -> None:
    found = texts(layout(Chart(x_range=(0, 10), marks=[Line(None, [*range(11), 1e6])])))
    assert "10" in found
    assert not any("M" in text for text in found)


def test_axes_need_not_begin_at_zero_but_do_not_pass_it_for_nothing() -> None:
    assert "0" not in texts(layout(Chart(marks=[Line([5, 6], [500, 501])])))
    assert not any(text.startswith("−") for text in texts(layout(Chart(marks=[Line(None, [0, 1])]))))


@pytest.mark.parametrize("name", ["chart", "log", "scene"])
def test_the_legend_covers_no_data(name: str) -> None:
    drawing = layout(samples()[name])
    plot = plot_of(drawing)
    labels = {"reward", "half", "min–max", "solved", "checkpoint", "walk", "loss", "evaluation", "path", "goals", "end"}
    found = [(text, box) for text, box in text_boxes(drawing) if text in labels and box.height < box.width]
    legend = [box for text, box in found if box.bottom < plot.y]
    assert len(legend) >= 2
    assert not any(box.overlaps(plot) for box in legend)


def test_twelve_entries_all_have_room_and_differ() -> None:
    marks = [Line(None, [n, n + 1], f"run number {n}") for n in range(12)]
    drawing = layout(Chart(title="t", marks=marks))
    assert {f"run number {n}" for n in range(12)} <= set(texts(drawing))
    assert len({(curve.color, curve.dash) for curve in curves(drawing)}) == 12


def test_a_legend_that_is_too_long_counts_what_it_leaves_out() -> None:
    marks = [Line(None, [n, n + 1], f"run number {n}") for n in range(300)]
    found = texts(layout(Chart(marks=marks)))
    (more,) = [text for text in found if text.endswith(" more")]
    assert int(more[1:-5]) + sum(text.startswith("run") for text in found) == 300


def test_a_band_takes_the_colour_of_its_line() -> None:
    for order in ([0, 1, 2, 3], [1, 0, 3, 2]):
        marks = [Line(None, [1, 2]), Band(None, [0, 1], [2, 3]), Line(None, [3, 4]), Band(None, [2, 3], [4, 5])]
        drawing = layout(Chart(marks=[marks[n] for n in order]))
        areas = [mark.color for mark in data_marks(drawing) if isinstance(mark, Polygon)]
        assert areas == [curve.color for curve in curves(drawing)]


def test_colours_and_theme_are_obeyed() -> None:
    theme = Theme(background="#000", palette=("#abcdef",))
    drawing = layout(Chart(marks=[Line(None, [1, 2]), Line(None, [2, 3], color="Tomato")]), theme=theme)
    assert drawing.background == "#000000"
    assert [curve.color for curve in curves(drawing)] == ["#abcdef", "#ff6347"]
    assert [Line(None, [1], color=name).color for name in ("grey", "RebeccaPurple ")] == ["#808080", "#663399"]


def test_a_timeline_shows_which_state_held_when() -> None:
    timeline = StateTimeline([0, 10, 30], ["stand", "walk", "stand"], colors={"walk": "#ff0000"}, label="gait")
    drawing = layout(Chart(x_range=(0, 40), marks=[timeline]))
    stretches = [mark for mark in all_marks(drawing.marks) if isinstance(mark, Rect) and mark.color == "#ff0000"]
    swatch, walk = sorted(stretches, key=lambda mark: mark.width)
    whole = max(mark.width for mark in all_marks(drawing.marks) if isinstance(mark, Rect))
    assert swatch.width < 20
    assert walk.width == pytest.approx(whole / 2)
    assert texts(drawing).count("stand") == 3  # twice in the row, once in the legend


@pytest.mark.parametrize("many", [199_999, 2_000])
def test_a_timeline_of_many_changes_shows_how_long_each_state_held(many: int) -> None:
    names = np.array(["a", "b", "a", "c", "a", "b", "b", "a", "b", "a"])[np.arange(many) % 10]
    names[many // 2 :] = "d"
    colors = ["#ff0000", "#00ff00", "#0000ff", "#ff00ff"]
    drawing = layout(Chart(marks=[StateTimeline(None, names, colors=colors)]))
    widths = dict.fromkeys(colors, 0.0)
    for mark in all_marks(drawing.marks):
        if isinstance(mark, Rect) and mark.color in widths:
            widths[mark.color] += mark.width - 13 * (mark.height == 11)  # the symbols of the legend
    shares = [width / sum(widths.values()) for width in widths.values()]
    assert shares == pytest.approx([0.25, 0.2, 0.05, 0.5], abs=0.005)


def test_none_leaves_a_timeline_empty() -> None:
    timeline = StateTimeline([0, 1, 2], ["a", None, "a"])
    assert timeline.names == ("a",)
    assert timeline.category.tolist() == [0, -1, 0]
    assert StateTimeline(None, [1.0, math.nan, math.nan, 2.0]).names == ("1.0", "2.0")


def test_a_scene_has_one_scale() -> None:
    drawing = layout(Scene([0, 10, 10, 0], [0, 0, 5, 5]), 800, 400)
    (path,) = [mark for mark in curves(drawing) if len(mark.points) == 4]
    across, up = np.ptp(path.points, axis=0)
    assert across == pytest.approx(2 * up)


def test_a_highlight_parts_the_path_into_past_and_future() -> None:
    drawing = layout(Scene(range(10), range(10), highlight=3))
    faint, strong = curves(drawing)
    assert faint.opacity < strong.opacity
    assert len(strong.points) == 4


def test_a_dashed_path_of_a_scene_is_dashed_in_the_legend() -> None:
    drawing = layout(Scene([0, 1], [0, 1], marks=[Line([0, 1], [1, 0], "wall", dash=(3, 2))]))
    dashed = [mark for mark in all_marks(drawing.marks) if isinstance(mark, Polyline) and mark.dash == (3, 2)]
    assert len(dashed) == 2


def test_the_first_row_of_a_heat_map_is_at_the_bottom() -> None:
    drawing = layout(Heatmap([[0, 0], [0, 1]], label="v"))
    cells, bar = sorted(
        (mark for mark in all_marks(drawing.marks) if isinstance(mark, Cells)), key=lambda mark: -mark.box.width
    )
    assert cells.color_index.tolist() == [[0, 254], [0, 0]]
    assert bar.color_index[0, 0] == 254


def test_missing_cells_are_grey_and_counted() -> None:
    drawing = layout(Heatmap([[1, math.nan], [math.inf, 3]]))
    found = (mark for mark in all_marks(drawing.marks) if isinstance(mark, Cells))
    cells = next(mark for mark in found if mark.color_index.shape == (2, 2))
    assert (cells.color_index == 255).sum() == 2
    assert "Not drawn: 1 NaN, 1 +inf (grey)." in texts(drawing)


def test_a_heat_map_finer_than_the_picture_is_averaged() -> None:
    checks = np.indices((3000, 3000)).sum(axis=0) % 2 * 1e308
    drawing = layout(Heatmap(checks))
    found = [mark for mark in all_marks(drawing.marks) if isinstance(mark, Cells)]
    cells = max(found, key=lambda mark: mark.color_index.size)
    assert cells.color_index.size <= 120_000
    assert abs(int(np.median(cells.color_index)) - 127) <= 3


def test_a_diverging_map_has_zero_in_the_middle() -> None:
    drawing = layout(Heatmap([[-1, 0, 3]], color_map="diverging"))
    cells = max((mark for mark in all_marks(drawing.marks) if isinstance(mark, Cells)), key=lambda m: m.box.width)
    assert cells.color_index[0, 1] == 127


def test_the_edges_of_a_heat_map_may_be_whole_numbers() -> None:
    whole, real = (layout(Heatmap([[1, 2]], x_range=edges, y_range=edges)) for edges in ((0, 4), (0.0, 4.0)))
    assert svg(whole) == svg(real)


def test_small_multiples_share_their_legend_and_line_up() -> None:
    charts = [Chart(title=f"t{n}", marks=[Line(None, [0, 10**n], "raw"), Line(None, [1, 2], "mean")]) for n in range(4)]
    drawing = layout(Grid(charts, columns=2))
    assert texts(drawing).count("raw") == 1
    left = [mark.box.x for mark in drawing.marks if isinstance(mark, Clip)]
    assert left[0] == left[1] or left[0] == left[2]
    assert len(set(left)) == 2


def test_long_texts_are_shortened() -> None:
    long = "a very long text " * 30
    chart = Chart(title=long, x_label=long, y_label=long, caption=long, marks=[Line(None, [1, 2], long)])
    drawing = layout(chart, 500, 300)
    check_texts(drawing)
    assert sum(text.endswith("…") for text in texts(drawing)) >= 4


def test_an_empty_chart_says_so() -> None:
    for figure in (Chart(), Chart(marks=[Line([], [])]), Scene([], []), Heatmap(np.zeros((0, 3)))):
        assert "no data" in texts(layout(figure))


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: Line([1], [1, 2]), "x has 1 values and y has 2"),
    (lambda: Line(None, [[1, 2]]), "one-dimensional"),
    (lambda: Line(None, ["one"]), "real numbers"),
    (lambda: Line(None, [1j]), "real numbers"),
    (lambda: Line(None, [1], color="bleu"), "'bleu' is not a colour"),
    (lambda: Line(None, [1], color="#12345"), "is not a colour"),
    (lambda: Line(None, [1], width=0), "width must be a positive"),
    (lambda: Line(None, [1], opacity=2), "opacity"),
    (lambda: Line(None, [1], dash=(1, -1)), "dash"),
    (lambda: Band(None, [1], [1, 2]), "low has 1 values and high has 2"),
    (lambda: Band(None, [1], [1], fit=[True, False]), "low has 1 values and fit has 2"),
    (lambda: StateTimeline([1], ["a", "b"]), "x has 1 values"),
    (lambda: Chart(marks=[7]), "not int"),  # type: ignore[list-item]
    (lambda: Chart(y_range=(1, 0)), "y_range must hold two finite numbers"),
    (lambda: Chart(x_log=True, x_range=(0, 1)), "x_range must be positive"),
    (lambda: Scene([1], [1], highlight=1), "highlight 1 is not an index"),
    (lambda: Scene([1], [1], marks=[HLine(1)]), "not HLine"),  # type: ignore[list-item]
    (lambda: Heatmap([1, 2]), "needs a matrix"),
    (lambda: Heatmap([[1]], color_map="jet"), "no colour map 'jet'"),
    (lambda: Heatmap([[1]], color_map=["red"]), "at least two colours"),
    (lambda: Grid([], columns=0), "at least one column"),
    (lambda: Grid([3]), "not int"),  # type: ignore[list-item]
    (lambda: layout(Chart(), theme="sepia"), "no theme 'sepia'"),
    (lambda: layout(Chart(), width=10), "120 x 80"),
    (lambda: Theme(text="nope"), "is not a colour"),
    (lambda: Theme(palette=()), "at least one colour"),
    (lambda: Theme(font_size=0), "font_size"),
]


@pytest.mark.parametrize(("make", "reason"), BAD)
def test_wrong_use_is_one_clear_sentence(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_any_numeric_type_is_drawn() -> None:
    for kind in (bool, np.int8, np.uint64, np.float16, np.longdouble):
        check_svg(layout(Chart(marks=[Line(None, np.array([0, 1, 1], dtype=kind))])))
    masked = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
    for values in ([1, None, 3], masked, [10**400, 1], range(5)):
        check_svg(layout(Chart(marks=[Line(None, values), Scatter(None, values)])))  # type: ignore[arg-type]
    assert Line(None, [10**400, -(10**400)]).y.tolist() == [math.inf, -math.inf]


@pytest.mark.parametrize("kind", [bool, int, float])
def test_a_masked_value_of_any_type_is_not_drawn(kind: type) -> None:
    masked = np.ma.array([[1, 1], [0, 1]], mask=[[False, True], [False, False]], dtype=kind)
    assert np.array_equal(Heatmap(masked).values, [[1, math.nan], [0, 1]], equal_nan=True)
    assert np.array_equal(VLine(masked[0]).x, [1, math.nan], equal_nan=True)


def test_frequent_events_are_a_rug() -> None:
    often, seldom = np.linspace(0, 1, 5000), [0.25, 0.5]
    drawing = layout(Chart(marks=[Line(None, [0, 1]), VLine(often, "best"), VLine(seldom, "fall")]))
    plot, (rug, lines) = plot_of(drawing), [mark for mark in curves(drawing) if mark.starts is not None]
    assert len(rug.points) <= 2 * plot.width + 2
    assert np.ptp(rug.points[:, 1]) < 0.05 * plot.height
    assert np.ptp(lines.points[:, 1]) >= plot.height - 1
    assert rug.color != lines.color


def test_stairs_hold_each_value_and_end_at_a_gap() -> None:
    y = [0, 1, np.nan, 1, 0]
    drawing = layout(Chart(marks=[Line(None, y, stairs=True)], x_range=(0, 4)))
    plot, line = plot_of(drawing), curves(drawing)[0]
    places = np.round((line.points[:, 0] - plot.x) / plot.width * 4, 6).tolist()
    pieces = np.split(np.array(places), line.starts[1:]) if line.starts is not None else [np.array(places)]
    assert [piece.tolist() for piece in pieces] == [[0, 1, 1, 1], [3, 4, 4]]


def test_names_stand_at_the_values_of_an_axis() -> None:
    chart = Chart(marks=[Scatter([1, 2], [0, 1])], y_ticks=[(0, "PPO"), (1, "SAC")])
    assert {"PPO", "SAC"} <= {mark.text for mark in layout(chart).marks if isinstance(mark, Text)}


@pytest.mark.parametrize(("width", "height"), [(312, 230), (312, 90), (960, 540)])
def test_a_name_that_is_too_long_is_shown_in_part(width: int, height: int) -> None:
    names = ["an algorithm with a very long name > ours", "SAC", "another one that is as long > ours"]
    caption = "bars: 95 % intervals"
    chart = Chart(marks=[Scatter([1, 2, 3], [0, 1, 2])], y_ticks=list(enumerate(names)), caption=caption)
    texts = [mark.text for mark in layout(chart, width, height).marks if isinstance(mark, Text)]
    for name in names:
        assert any(len(text) > 2 and name.startswith(text.rstrip("…")) for text in texts), (name, texts)
    assert width < 960 or set(names) <= set(texts)


def test_strips_and_events_have_colors_of_their_own() -> None:
    strip = StateTimeline([0, 0.5], ["walk", "run"], label="gait")
    drawing = layout(Chart(marks=[Line(None, [0, 1], "reward"), VLine([0.5], "fall"), VLine([0.7], "best"), strip]))
    (entries,) = [[mark.text for mark in drawing.marks if isinstance(mark, Text)]]
    rows = {mark.text: mark.y for mark in drawing.marks if isinstance(mark, Text) and mark.text in ("reward", "walk")}
    assert rows["reward"] < rows["walk"], entries
    for theme in (LIGHT, DARK):
        assert not set(theme.events) & set(theme.palette)
        assert all(contrast(color, theme.background) >= 3 for color in theme.events)


@pytest.mark.parametrize(("height", "shown"), [(230, 4), (90, 0)])
def test_a_narrow_legend_names_all_curves_or_shrinks(height: int, shown: int) -> None:
    names = ["Größenmaßstab (PPO)", "ελληνικά SAC", "奖励 TD3", "ours"]
    chart = Chart(title="a", marks=[Line(None, [0, n], name) for n, name in enumerate(names)])
    found = texts(layout(chart, 312, height, replace(LIGHT, font_size=10.67)))
    assert len(set(names) & set(found)) >= shown
