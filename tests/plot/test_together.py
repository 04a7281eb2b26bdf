"""Several metrics in one chart, words of several logs, and horizontal lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import trainlog
from trainlog.draw import Chart, HLine, Line, StateTimeline
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
