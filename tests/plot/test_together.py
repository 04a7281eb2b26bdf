"""Several metrics in one chart, words of several logs, and horizontal lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from made_logs import write_log
from trainlog.draw import Chart, HLine, Line, StateTimeline
from trainlog.errors import PlotError
from trainlog.plot import PlotOptions, pictures, runs_of
from trainlog.plot.run import Run


def runs(folder: Path, count: int = 2) -> list[Run]:
    for number in range(count):
        with trainlog.create(folder / f"{number}.flog", {}) as log:
            for n in range(50):
                data = {"step": n, "small": n / 1000 + number, "large": 5000.0 - n, "mode": "walk" if n < 25 else "run"}
                log.write(trainlog.Frame(n / 10, trainlog.Kind.STATS, data))
    return runs_of([trainlog.open(folder / f"{number}.flog") for number in range(count)])


def chart_of(made: list[Run], **options: object) -> Chart:
    (picture,) = pictures(made, PlotOptions(**options))  # type: ignore[arg-type]
    assert isinstance(picture.figure, Chart)
    return picture.figure


def test_metrics_in_one_chart_have_names_and_colors_of_their_own(tmp_path: Path) -> None:
    chart = chart_of(runs(tmp_path), y=("small", "large"), together="values", lines=(3.0,))
    lines = [mark for mark in chart.marks if isinstance(mark, Line)]
    assert [line.label for line in lines] == ["0, small", "1, small", "0, large", "1, large"]
    assert len({line.color for line in lines}) == 4
    assert [mark.value for mark in chart.marks if isinstance(mark, HLine)] == [3.0], "once, not for each metric"
    assert lines[3].y.max() == 5000


def test_normalised_metrics_go_from_0_to_1_and_the_caption_says_of_what(tmp_path: Path) -> None:
    chart = chart_of(runs(tmp_path), y=("small", "large"), together="normalised", lines=(3.0,))
    lines = [mark for mark in chart.marks if isinstance(mark, Line)]
    for pair in (lines[:2], lines[2:]):
        values = np.concatenate([line.y for line in pair])
        assert (values.min(), values.max()) == (0, 1)
    assert "small: 0 is 0, 1.049 is 1; large: 4951 is 0, 5000 is 1" in chart.caption
    assert not [mark for mark in chart.marks if isinstance(mark, HLine)], "a line at a value stands nowhere"


def test_normalised_values_can_be_as_far_apart_as_floats_can(tmp_path: Path) -> None:
    rows = [{"step": n, "y": y} for n, y in enumerate([-1.5e308, 0.0, 1.5e308])]
    made = runs_of([write_log(tmp_path / "a.flog", rows)])
    (line,) = (one for one in chart_of(made, y=("y",), together="normalised").marks if isinstance(one, Line))
    assert line.y.tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("count", [1, 2])
def test_the_caption_says_which_metric_is_smoothed(tmp_path: Path, count: int) -> None:
    noise = np.random.default_rng(0).normal(size=150)
    for number in range(count):
        with trainlog.create(tmp_path / f"{number}.flog", {}) as log:
            for n in range(150):
                data = {"step": n, "noisy": float(noise[n]) + number, "even": n / 10}
                log.write(trainlog.Frame(n, trainlog.Kind.STATS, data))
    made = runs_of([trainlog.open(tmp_path / f"{number}.flog") for number in range(count)])
    chart = chart_of(made, y=("noisy", "even"), together="values")
    labels = [mark.label for mark in chart.marks if isinstance(mark, Line) and mark.label]
    assert len(set(labels)) == len(labels) == 2 * count, "each curve is named once"
    assert "noisy: centred mean of 5; thin: every value" in chart.caption
    assert "even: centred" not in chart.caption
    grouped = chart_of(made, y=("noisy", "even"), together="values", center="mean", band="minmax")
    assert ("noisy: each run smoothed, centred mean of 5" in grouped.caption) == (count == 2)


def test_words_are_a_strip_for_each_log(tmp_path: Path) -> None:
    chart = chart_of(runs(tmp_path), y=("mode",))
    strips = [mark for mark in chart.marks if isinstance(mark, StateTimeline)]
    assert [strip.label for strip in strips] == ["0", "1"]
    assert strips[0].names == ("walk", "run")
    assert strips[0].colors == strips[1].colors


def test_a_strip_ends_where_its_run_does(tmp_path: Path) -> None:
    for name, count in (("long", 90), ("short", 30)):
        with trainlog.create(tmp_path / f"{name}.flog", {}) as log:
            for n in range(count):
                log.write(trainlog.Frame(n, trainlog.Kind.STATS, {"step": n, "mode": "walk" if n < 20 else "run"}))
    made = runs_of([trainlog.open(tmp_path / f"{name}.flog") for name in ("long", "short")])
    _, short = (mark for mark in chart_of(made, y=("mode",)).marks if isinstance(mark, StateTimeline))
    assert short.category.tolist() == [0, 1, -1]
    assert short.x.tolist() == [0, 20, 29, 29]


def test_lines_are_drawn(tmp_path: Path) -> None:
    chart = chart_of(runs(tmp_path, 1), y=("small",), lines=(0.5, -1.0))
    assert [(mark.value, mark.label) for mark in chart.marks if isinstance(mark, HLine)] == [(0.5, "0.5"), (-1, "-1")]


@pytest.mark.parametrize("name", ["mode", "stats:mode"])
def test_words_beside_numbers_are_two_figures(tmp_path: Path, name: str) -> None:
    made = pictures(runs(tmp_path), PlotOptions(y=("small", name)))
    assert [picture.name for picture in made] == ["small", "mode"]


def typed(folder: Path) -> list[Run]:
    """Three logs of two algorithms, with a curve for each type of episodes."""
    rows = [
        {"step": n, "episode_type": "training" if n % 4 else "evaluation", "reward": n**1.5, "loss": 1 / (n + 1)}
        for n in range(40)
    ]
    named = (("a", "ppo"), ("b", "sac"), ("c", "sac"))
    return runs_of([write_log(folder / f"{name}.flog", rows, {"algo": algo, "lr": name}) for name, algo in named])


def styles_of(made: list[Run], **options: object) -> dict[str, set[object]]:
    """By name in the legend: the color and dash of each line."""
    found: dict[str, set[object]] = {}
    for mark in chart_of(made, **options).marks:
        if isinstance(mark, Line):
            found.setdefault(mark.label, set()).add((mark.color, mark.dash is None))
    return found


def test_a_color_is_of_all_curves_with_that_name(tmp_path: Path) -> None:
    """Also where curves are split by type, or by metric; they have dashes of their own in it."""
    made = typed(tmp_path)
    red = "#cc0000"
    found = styles_of(made, y=("reward",), by="algo", center="mean", band="none", colors={"sac": red})
    assert found["sac, training"] | found["sac, evaluation"] == {(red, True), (red, False)}
    assert red not in {color for name in ("ppo, training", "ppo, evaluation") for color, _ in found[name]}  # type: ignore[misc]
    found = styles_of(made, y=("reward",), colors={"evaluation": red, "a, evaluation": "#00cc00"})
    assert [name for name, own in found.items() if red in str(own)] == ["b, evaluation", "c, evaluation"]
    assert found["a, evaluation"] == {("#00cc00", True)}
    found = styles_of(made, y=("reward", "loss"), together="values", colors={"loss": red}, labels={"a": "Ours"})
    assert {name for name, own in found.items() if red in str(own)} == {
        f"{name}, loss, {part}" for name in ("Ours", "b", "c") for part in ("training", "evaluation")
    }
    found = styles_of(made, y=("reward", "loss"), together="values", colors={"a": red}, labels={"a": "Ours"})
    assert {name for name, own in found.items() if red in str(own)} == {name for name in found if "Ours" in name}


def test_colors_tell_of_a_key_of_the_metadata(tmp_path: Path) -> None:
    """Single runs have its name; runs of a group must agree on it."""
    made = typed(tmp_path)
    found = styles_of(made, y=("loss",), color_by="algo")
    assert found.keys() == {f"{algo}, {part}" for algo in ("ppo", "sac") for part in ("training", "evaluation")}
    colors = {name: {color for color, _ in own} for name, own in found.items()}  # type: ignore[misc]
    assert colors["ppo, training"] == colors["ppo, evaluation"] != colors["sac, training"] == colors["sac, evaluation"]
    assert {name: {plain for _, plain in own} for name, own in found.items() if "training" in name} != {  # type: ignore[misc]
        name: {plain for _, plain in own}  # type: ignore[misc]
        for name, own in found.items()
        if "evaluation" in name
    }
    both = styles_of(made, y=("reward", "loss"), together="values", color_by="algo", colors={"sac": "#cc0000"})
    assert all(("#cc0000" in str(own)) == name.startswith("sac") for name, own in both.items())
    grouped = styles_of(made, y=("loss",), by="lr", color_by="algo")
    assert {name.partition(",")[0] for name in grouped} == {"a", "b", "c"}, "groups keep their names"
    crowd = styles_of([run for _ in range(9) for run in made], y=("loss",), color_by="algo")
    assert {"ppo, training", "sac, training", "ppo, evaluation", "sac, evaluation"} < crowd.keys()
    scores = pictures(made, PlotOptions(y=("reward",), by="lr", color_by="algo", kind="profile"))[0].figure
    assert isinstance(scores, Chart)
    colored = {mark.label: mark.color for mark in scores.marks if isinstance(mark, Line) and mark.label}
    assert colored["a"] != colored["b"] == colored["c"]
    (one,) = pictures(made[:1], PlotOptions(y=("reward",), color_by="algo", kind="profile"))
    assert isinstance(one.figure, Chart)
    assert {mark.color for mark in one.figure.marks if isinstance(mark, Line)} == {colored["a"]}


@pytest.mark.parametrize("value", [1.8e18, -1e300, np.finfo(np.float64).max, np.finfo(np.float64).min])
def test_a_large_constant_is_drawn_between_its_limits(value: float, tmp_path: Path) -> None:
    write_log(tmp_path / "a.flog", [{"step": n, "reward": n, "clock": value} for n in range(9)])
    chart = chart_of(
        runs_of([trainlog.open(tmp_path / "a.flog")]), y=("reward", "clock"), together="normalised", smooth=0
    )
    *_, drawn = [mark.y for mark in chart.marks if isinstance(mark, Line)]
    assert ((drawn >= 0) & (drawn <= 1)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"y": ("reward",), "colors": {"reward": "#f00"}},
            "no curve 'reward'; there are a, b, c, evaluation, training",
        ),
        ({"y": ("reward",), "color_by": "red"}, "the metadata of a has no 'red'; it has algo, lr"),
        ({"y": ("reward",), "by": "algo", "color_by": "lr"}, "the curve 'sac' is of runs with 'b' and 'c'"),
        ({"y": ("reward",), "band": "ci", "color_by": "lr"}, "the only curve is of runs with 'a' and 'b' and 'c'"),
        ({"y": ("episode_type",), "color_by": "algo"}, "a column of words has a color for each word"),
        (
            {"y": ("reward",), "kind": "intervals", "colors": {"evaluation": "#f00"}},
            "no curve 'evaluation'; there are a, b, c",
        ),
    ],
)
def test_a_color_that_means_nothing_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(PlotError, match=re.escape(message)):
        pictures(typed(tmp_path), PlotOptions(**options))
