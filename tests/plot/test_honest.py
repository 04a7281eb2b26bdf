"""Figures that do not mislead: what is drawn by default, and what a figure says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_logs import training, write_log
from trainlog.draw import Band, Chart, Grid, Line, Scatter, StateTimeline, VLine, layout
from trainlog.draw.color import contrast
from trainlog.draw.drawing import Text
from trainlog.draw.theme import find_theme
from trainlog.errors import PlotError, TrainlogWarning
from trainlog.model import Header, Variable
from trainlog.plot import PRESETS, Picture, PlotOptions, Run, Style, pictures, runs_of
from trainlog.plot.codec import _MemoryReader
from trainlog.plot.options import normalization_of
from trainlog.report.content import gather

NOISE = np.random.default_rng(0).normal(size=400)


def drawn(run: Run, metric: str, **options: Any) -> Chart:
    (picture,) = pictures([run], PlotOptions(y=(metric,), **options))
    assert isinstance(picture.figure, Chart)
    return picture.figure


def lines(chart: Chart) -> list[Line]:
    return [mark for mark in chart.marks if isinstance(mark, Line)]


def noisy(path: Path, **columns: Any) -> Run:
    rows = [{"step": n, **{key: values[n] for key, values in columns.items()}} for n in range(400)]
    return Run(write_log(path / "run.flog", rows))


@pytest.mark.parametrize("key", ["eval/return", "return_test", "validation_loss", "AverageTestEpRet", "testing/ret"])
def test_evaluations_are_not_smoothed(tmp_path: Path, key: str) -> None:
    assert [line.label for line in lines(drawn(noisy(tmp_path, **{key: NOISE.tolist()}), key))] == [key]


def test_few_evaluations_are_dots(tmp_path: Path) -> None:
    rows = [{"episode": n, "return": n, "episode_type": "training" if n % 10 else "evaluation"} for n in range(100)]
    chart = drawn(Run(write_log(tmp_path / "run.flog", rows)), "return")
    (dots,) = [mark for mark in chart.marks if isinstance(mark, Scatter)]
    assert dots.x.tolist() == list(range(0, 100, 10))
    assert {line.label for line in lines(chart)} == {"evaluation", "training"}


def test_an_angle_that_wraps_is_no_line_across_the_figure(tmp_path: Path) -> None:
    turn = (np.arange(100) / 5 + np.pi) % (2 * np.pi) - np.pi
    reader = write_log(tmp_path / "run.flog", [], creature=[{"step": n, "yaw": a, "x": a} for n, a in enumerate(turn)])
    header = Header(reader.header.meta, variables=(Variable("yaw", "state", "rad", -np.pi, np.pi, circular=True),))
    memory = _MemoryReader(reader.path, header)
    for frame in reader.frames():
        memory.add(frame)
    run = Run(memory)
    pieces = lines(drawn(run, "creature:yaw"))
    assert len(pieces) == 1 + np.count_nonzero(np.diff(turn) < 0)
    assert max(np.abs(np.diff(piece.y)).max(initial=0) for piece in pieces) < 1
    assert len(lines(drawn(run, "creature:x"))) == 1  # which is not declared as an angle


@pytest.mark.parametrize(
    ("steps", "note"), [([1, 2, 3, 1, 2, 3], "step: of the logged episodes, added up"), ([1, 2, 3, 4, 5, 6], "")]
)
def test_an_axis_of_added_steps_says_so(tmp_path: Path, steps: list[int], note: str) -> None:
    rows = [{"step": step, "speed": float(n)} for n, step in enumerate(steps)]
    chart = drawn(Run(write_log(tmp_path / "run.flog", [], creature=rows)), "creature:speed")
    assert chart.caption == note


@pytest.mark.parametrize("by", [None, "algo"])
@pytest.mark.parametrize("noisy_runs", [1, 3])
def test_runs_that_are_compared_are_smoothed_alike(tmp_path: Path, by: str | None, noisy_runs: int) -> None:
    """Of four runs, as the caption tells of all."""
    runs = []
    for n in range(4):
        values = NOISE if n < noisy_runs else np.linspace(0, 1, 400)
        rows = [{"step": step, "loss": float(values[step])} for step in range(400)]
        runs.append(Run(write_log(tmp_path / f"{n}.flog", rows, {"algo": "ppo", "seed": n})))
    (picture,) = pictures(runs, PlotOptions(y=("loss",), by=by))
    assert isinstance(picture.figure, Chart)
    assert ("centred mean" in picture.figure.caption) == (noisy_runs == 3)
    if by is None:
        assert sum("smoothed" in block.columns for block in picture.blocks) == (4 if noisy_runs == 3 else 0)


def test_few_values_are_not_smoothed(tmp_path: Path) -> None:
    run = Run(write_log(tmp_path / "run.flog", [{"step": n, "loss": float(NOISE[n])} for n in range(99)]))
    assert len(lines(drawn(run, "loss"))) == 1


@pytest.mark.parametrize("values", [NOISE > 0, np.cumsum(NOISE > 0), np.arange(400) // 100 % 3])
def test_flags_and_counters_are_stairs(tmp_path: Path, values: np.ndarray) -> None:
    (line,) = lines(drawn(noisy(tmp_path, fallen=values.tolist()), "fallen"))
    assert line.stairs


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_value_can_be_seen_behind_its_mean(tmp_path: Path, theme: str) -> None:
    raw, mean = lines(drawn(noisy(tmp_path, loss=NOISE.tolist()), "loss", theme=theme))
    background = find_theme(theme).background
    assert raw.color is not None
    assert mean.color is not None
    assert contrast(raw.color, background) >= 3
    assert contrast(mean.color, background) >= 4.5
    assert raw.opacity == 1
    assert mean.label == "centred mean of 21"


@pytest.mark.parametrize("smooth", [None, 5])
def test_a_smoothed_curve_has_the_gaps_of_its_values(tmp_path: Path, smooth: float | None) -> None:
    values = np.where((np.arange(400) >= 100) & (np.arange(400) < 300), np.nan, NOISE)
    _, *pieces = lines(drawn(noisy(tmp_path, reward=values.tolist()), "reward", smooth=smooth))
    assert [bool((piece.x < 200).all()) for piece in pieces] == [True, False]
    assert all(np.isfinite(piece.y).all() for piece in pieces)  # the gap is counted once


@pytest.mark.parametrize("options", [{"band": "ci"}, {"center": "iqm", "smooth": 0}, {"smooth": 5}, {}])
@pytest.mark.parametrize("count", [2, 5, 30])
def test_values_that_a_figure_leaves_out_are_counted(tmp_path: Path, count: int, options: dict[str, Any]) -> None:
    values = [float("nan") if n in (70, 200) else value for n, value in enumerate(NOISE)]
    logs = [noisy(tmp_path / str(n), reward=values if n == 0 else NOISE) for n in range(count)]
    (picture,) = pictures(runs_of([run.reader for run in logs]), PlotOptions(y=("reward",), **options))
    assert isinstance(picture.figure, Chart)
    texts = [mark.text for mark in layout(picture.figure, 960, 540).marks if isinstance(mark, Text)]
    assert any("left out: 2 NaN" in text or "Not drawn: 2 NaN" in text for text in texts)


def test_each_panel_names_its_window(tmp_path: Path) -> None:
    found = {
        picture.name: picture for picture in pictures([noisy(tmp_path, loss=NOISE.tolist(), other=NOISE.tolist())])
    }
    sheet = found["overview"].figure
    assert isinstance(sheet, Grid)
    for panel in sheet.figures:
        assert "centred mean of 21" in [line.label for line in lines(panel)]  # type: ignore[arg-type]


@pytest.mark.parametrize("preset", list(PRESETS))
def test_nothing_is_left_out_of_a_small_figure(tmp_path: Path, preset: str) -> None:
    """Facets for a paper, and an overview: titles, axes, windows, strips, events and the caption."""
    style = Style.of("light", preset)
    runs = [
        Run(training(tmp_path / f"{task}{seed}.flog", seed, meta={"task": task, "algo": f"a {'long ' * 8}name"}))
        for task in ("walk", "run", "jump", "stand")
        for seed in range(3)
    ]
    (facets,) = pictures(runs, PlotOptions(y=("reward",), by="algo"))
    found = texts(facets, style)
    assert {"reward", "ant: walk", "ant: run", "ant: jump", "ant: stand", f"a {'long ' * 8}name"} <= set(found)
    assert found.count("step") == 4
    assert facets.figure.caption in " ".join(found)  # type: ignore[union-attr]
    rows = [
        {"step": n, "behavior": f"gait {n // 50}", "reward": y if n % 90 else np.nan, **dict.fromkeys("abcd", y)}
        for n, y in enumerate(NOISE.tolist())
    ]
    log = write_log(tmp_path / "run.flog", rows, events={9.0: {"type": "new best"}})
    found = texts(pictures([Run(log)])[0], style)
    assert found.count("centred mean of 21") == 5
    assert {"new best", "behavior", *(f"gait {n}" for n in range(8))} <= set(found)
    assert "Not drawn: 5 NaN (marked at the edge)." in " ".join(found)


def texts(picture: Picture, style: Style) -> list[str]:
    size = picture.size(style.width, style.height)
    drawing = layout(picture.figure, *size, style.theme, whole=True)
    return [mark.text for mark in drawing.marks if isinstance(mark, Text)]


def test_a_trailing_mean_says_so(tmp_path: Path) -> None:
    assert lines(drawn(noisy(tmp_path, loss=NOISE.tolist()), "loss", smooth=0.9))[1].label.endswith("trailing")


def test_the_band_of_seeds_from_lowest_to_highest_is_that_of_all_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    runs = []
    for seed in range(3):
        values = rng.normal(size=2000)
        values[700 * seed + 11] = 50 if seed else -40
        rows = [{"step": n, "reward": float(value)} for n, value in enumerate(values)]
        runs.append(write_log(tmp_path / f"{seed}.flog", rows, {"seed": seed}))
    for smooth in (0, None):
        (picture,) = pictures(runs_of(runs), PlotOptions(y=("reward",), band="minmax", smooth=smooth))
        bands = [mark for mark in picture.figure.marks if isinstance(mark, Band)]  # type: ignore[union-attr]
        assert (min(band.low.min() for band in bands), max(band.high.max() for band in bands)) == (-40, 50)


def of_tasks(folder: Path, tasks: int = 3) -> list[Run]:
    return runs_of(
        training(folder / f"{algo}-{task}-{seed}.flog", seed, 30, 10.0**task, {"algo": algo, "task": f"T{task}"})
        for algo in ("a", "b")
        for task in range(1, tasks + 1)
        for seed in range(2)
    )


def test_returns_of_several_tasks_are_not_averaged_unasked(tmp_path: Path) -> None:
    (picture,) = pictures(of_tasks(tmp_path), PlotOptions(y=("reward",), by="algo"))
    grid = picture.figure
    assert isinstance(grid, Grid)
    assert [panel.title for panel in grid.figures] == ["ant: T1", "ant: T2", "ant: T3"]
    assert grid.one_legend
    assert "not averaged" in grid.caption
    colors = [[line.color for line in lines(panel)] for panel in grid.figures]  # type: ignore[arg-type]
    assert colors[0] == colors[1] == colors[2]


@pytest.mark.parametrize("option", ["by", "facet"])
def test_a_task_is_the_creature_and_its_task(tmp_path: Path, option: str) -> None:
    runs = [
        Run(training(tmp_path / f"{creature}{seed}.flog", seed, meta={"creature": creature, "task": "v5"}))
        for creature in ("Ant", "Hopper")
        for seed in range(2)
    ]
    options = PlotOptions(y=("reward",), **{"by": "log", option: "task"})
    (picture,) = pictures(runs, options)
    figures = picture.figure.figures if isinstance(picture.figure, Grid) else [picture.figure]
    names = [line.label for line in lines(figures[0]) if line.label] if option == "by" else [f.title for f in figures]  # type: ignore[arg-type]
    assert list(dict.fromkeys(names)) == ["Ant: v5", "Hopper: v5"]


def test_a_chart_that_is_not_smoothed_as_the_others_says_so(tmp_path: Path) -> None:
    runs = []
    for task, values in (("noise", NOISE), ("line", np.linspace(0, 1, 400))):
        rows = [{"step": n, "reward": y} for n, y in enumerate(values.tolist())]
        runs += [Run(write_log(tmp_path / f"{task}{n}.flog", rows, {"task": task, "algo": "a"})) for n in range(2)]
    (picture,) = pictures(runs, PlotOptions(y=("reward",), by="algo"))
    assert isinstance(picture.figure, Grid)
    assert "smoothed" not in picture.figure.caption
    captions = {chart.title: chart.caption for chart in picture.figure.figures}
    assert captions == {"noise": "each run smoothed, centred mean of 21", "line": ""}


def test_normalised_scores_of_several_tasks_are_one_curve(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_text(json.dumps({f"ant: T{n}": [0, 10.0**n] for n in (1, 2, 3)}))
    options = PlotOptions(y=("reward",), by="algo", normalize=normalization_of(str(file)))
    (picture,) = pictures(of_tasks(tmp_path), options)
    assert isinstance(picture.figure, Chart)
    assert "averaged over 3 tasks" in picture.figure.caption
    assert max(block.columns["mean"].max() for block in picture.blocks) < 2


def test_a_loss_is_not_normalised_by_the_scores_of_returns(tmp_path: Path) -> None:
    run = Run(training(tmp_path / "run.flog"))
    found = {picture.name: picture.figure for picture in pictures([run], PlotOptions(normalize={"": (0, 200)}))}
    assert found["reward"].y_label == "reward (normalised)"  # type: ignore[union-attr]
    assert found["policy_loss"].y_label == "policy_loss"  # type: ignore[union-attr]
    assert lines(found["policy_loss"])[0].y[0] == 1  # type: ignore[arg-type]
    titles = [panel.title for panel in found["overview"].figures]  # type: ignore[union-attr]
    assert "reward (normalised)" in titles
    named = drawn(run, "policy_loss", normalize={"": (0, 200)})
    assert named.y_label == "policy_loss (normalised)"


def test_scores_that_become_0_and_1(tmp_path: Path) -> None:
    assert normalization_of("-20,30") == {"": (-20, 30)}
    assert normalization_of("human")["pong"] == (-20.7, 14.6)
    for wrong in ("1,1", "nan,3", "a,b", "missing.json"):
        with pytest.raises(PlotError):
            normalization_of(wrong)
    with pytest.raises(PlotError, match="no scores to normalise the task 'ant: T1'"):
        pictures(of_tasks(tmp_path), PlotOptions(y=("reward",), by="algo", normalize=normalization_of("human")))


@pytest.mark.parametrize("kind", ["intervals", "profile", "improvement", "efficiency"])
def test_figures_of_scores(tmp_path: Path, kind: Any) -> None:
    options = PlotOptions(y=("reward",), by="algo", kind=kind, normalize={"": (0, 1000)})
    (picture,) = pictures(of_tasks(tmp_path), options)
    assert picture.blocks
    assert "95 %" in picture.figure.caption  # type: ignore[union-attr]


def test_a_bar_of_an_interval_is_as_long_as_the_interval_and_its_meaning_is_not_cut(tmp_path: Path) -> None:
    runs = [
        Run(training(tmp_path / f"{algo}{seed}.flog", seed, meta={"algo": algo})) for algo in "ab" for seed in range(3)
    ]
    (picture,) = pictures(runs, PlotOptions(y=("reward",), by="algo", kind="intervals"))
    columns = picture.blocks[0].columns
    bars = [mark for mark in picture.figure.figures[0].marks if isinstance(mark, Band)]  # type: ignore[union-attr]
    assert [bar.x.tolist() for bar in bars] == [list(row) for row in zip(columns["low"], columns["high"], strict=True)]
    column = layout(picture.figure, *picture.size(312, 230))
    assert any("bars: 95 % intervals" in mark.text for mark in column.marks if isinstance(mark, Text))


@pytest.mark.parametrize("kind", ["intervals", "profile", "improvement"])
def test_scores_are_of_one_type_of_episodes(tmp_path: Path, kind: Any) -> None:
    types = ("training", "evaluation")
    runs = runs_of(
        write_log(
            tmp_path / f"{algo}{seed}.flog",
            [
                {"step": n, "reward": n % 2 * 100.0 + seed + (algo == "b"), "episode_type": types[n % 2]}
                for n in range(40)
            ],
            {"algo": algo, "seed": seed},
        )
        for algo in "ab"
        for seed in range(3)
    )
    (picture,) = pictures(runs, PlotOptions(y=("reward",), by="algo", kind=kind))
    assert "of the episodes of type evaluation; n=3 runs" in picture.figure.caption  # type: ignore[union-attr]
    if kind == "intervals":
        assert picture.blocks[2].columns["value"].tolist() == [101, 102]


def levels(folder: Path, values: dict[str, list[float]]) -> list[Run]:
    return runs_of(
        write_log(folder / f"{algo}{n}.flog", [{"step": i, "reward": value, "x": i} for i in range(20)], {"algo": algo})
        for algo, own in values.items()
        for n, value in enumerate(own)
    )


@pytest.mark.parametrize(
    ("values", "bars", "caption"),
    [
        ({"a": [1.0], "b": [2.0]}, 0, "no bars: there is an interval only where each task has two runs or more"),
        ({"a": [1.0], "b": [2.0, 3.0]}, 1, "bars: 95 % intervals, where each task has two runs or more"),
        ({"a": [1.0, 1.0], "b": [2.0, 3.0]}, 1, "bars: 95 % intervals, where the scores are not all alike"),
        ({"a": [1.0, 2.0], "b": [2.0, 3.0]}, 2, "bars: 95 % intervals"),
    ],
)
def test_a_caption_tells_of_no_bars_that_are_not_there(
    tmp_path: Path, values: dict[str, list[float]], bars: int, caption: str
) -> None:
    runs = levels(tmp_path, values)
    (picture,) = pictures(runs, PlotOptions(y=("reward",), by="algo", kind="intervals"))
    assert sum(isinstance(mark, Band) for mark in picture.figure.figures[2].marks) == bars  # type: ignore[union-attr]
    assert picture.figure.caption.startswith(f"{caption}; score")  # type: ignore[union-attr]
    (profile,) = pictures(runs, PlotOptions(y=("reward",), by="algo", kind="profile"))
    drawn = sum(isinstance(mark, Band) for mark in profile.figure.marks)  # type: ignore[union-attr]
    assert drawn == sum(len(own) > 1 for own in values.values())
    assert ("no band" in profile.figure.caption) is (drawn == 0)  # type: ignore[union-attr]


def test_a_run_without_a_score_is_counted(tmp_path: Path) -> None:
    runs = levels(tmp_path, {"a": [1.0, 2.0, np.nan]})
    (picture,) = pictures(runs, PlotOptions(y=("reward",), by="algo", kind="intervals"))
    assert "n=2 runs; 1 without a finite score left out" in picture.figure.caption  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["a", "Ours"])
def test_names_order_and_colors_of_curves(tmp_path: Path, name: str) -> None:
    options = PlotOptions(
        y=("reward",), by="algo", facet="task", labels={"a": "Ours"}, order=("b",), colors={name: "#ff0000"}
    )
    runs = of_tasks(tmp_path)
    (picture,) = pictures(runs, options)
    panel = picture.figure.figures[0]  # type: ignore[union-attr]
    found = {line.label: line.color for line in lines(panel) if line.label}  # type: ignore[arg-type]
    assert list(found) == ["b", "Ours"]
    assert found["Ours"] == "#ff0000"
    with pytest.raises(PlotError, match="there is no curve 'c'; there are a, b"):
        pictures(runs, PlotOptions(by="algo", order=("c",)))
    with pytest.raises(PlotError, match="there is no curve 'c'; there are none with a name"):
        pictures(runs, PlotOptions(band="ci", order=("c",)))
    with pytest.raises(PlotError, match="a and b would all be called 'Ours'"):
        pictures(runs, PlotOptions(by="algo", labels={"a": "Ours", "b": "Ours"}))


def test_runs_end_together(tmp_path: Path) -> None:
    runs = runs_of(training(tmp_path / f"{n}.flog", n, 50 + 50 * n) for n in range(3))
    (picture,) = pictures(runs, PlotOptions(y=("reward",), until="common"))
    assert {block.columns["step"].max() for block in picture.blocks} == {490}
    assert "cut where the shortest run ends, at 490" in picture.figure.caption  # type: ignore[union-attr]


def test_more_runs_than_can_be_told_apart_have_one_name(tmp_path: Path) -> None:
    runs = runs_of(training(tmp_path / f"{n}.flog", n, 20) for n in range(30))
    chart = pictures(runs, PlotOptions(y=("reward",)))[0].figure
    assert isinstance(chart, Chart)
    assert [line.label for line in lines(chart) if line.label] == ["median of 30 runs"]
    assert "30 runs" in chart.caption


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_of_many_runs_can_be_seen_and_their_median_is_that_of_what_is_drawn(tmp_path: Path, theme: str) -> None:
    rng = np.random.default_rng(2)
    runs = [
        Run(write_log(tmp_path / f"{n}.flog", [{"step": step, "reward": rng.normal()} for step in range(200)]), str(n))
        for n in range(25)
    ]
    (picture,) = pictures(runs, PlotOptions(y=("reward",), theme=theme))
    *thin, median = lines(picture.figure)  # type: ignore[arg-type]
    assert len(thin) == 25
    assert all(contrast(line.color or "", find_theme(theme).background) >= 3 and line.width >= 1 for line in thin)
    assert median.y.tolist() == np.median([line.y for line in thin], axis=0).tolist()
    assert "each run: centred mean of 11" in picture.figure.caption  # type: ignore[union-attr]


@pytest.mark.parametrize(("count", "told"), [(24, False), (25, True)])
def test_more_groups_than_styles_are_not_told_apart_and_it_is_said(tmp_path: Path, count: int, told: bool) -> None:
    runs = [
        Run(training(tmp_path / f"{n}-{seed}.flog", seed, 20, meta={"algo": f"Algo{n:02d}"}))
        for n in range(count)
        for seed in range(2)
    ]
    (picture,) = pictures(runs, PlotOptions(y=("reward",), by="algo"))
    styles = {(line.color, line.dash) for line in lines(picture.figure) if line.label}  # type: ignore[arg-type]
    assert len(styles) == 24
    assert ("25 curves, of which those" in picture.figure.caption) == told  # type: ignore[union-attr]


def test_of_many_words_the_rare_ones_are_others(tmp_path: Path) -> None:
    words = [f"w{min(n % 40, 13 + n % 3)}" if n % 2 else f"w{n % 10}" for n in range(400)]
    run = noisy(tmp_path, phase=words, message=[f"text {n}" for n in range(400)], loss=NOISE.tolist())
    found = {picture.name: picture.figure for picture in pictures([run])}["states"]
    assert isinstance(found, Chart)
    (strip,) = [mark for mark in found.marks if isinstance(mark, StateTimeline)]
    assert len(strip.names) == 12
    assert "other values" in strip.names
    assert "other" not in strip.names
    assert "phase: the 11 most frequent of" in found.caption
    assert "not shown: message" in found.caption


def test_a_word_other_is_not_one_of_the_rare_words(tmp_path: Path) -> None:
    words = ["other" if n % 2 else f"w{n // 2 % 14}" for n in range(400)]
    figure = {picture.name: picture.figure for picture in pictures([noisy(tmp_path, phase=words)])}["states"]
    (strip,) = [mark for mark in figure.marks if isinstance(mark, StateTimeline)]  # type: ignore[union-attr]
    found = dict(zip(strip.names, strip.colors, strict=True))
    assert {"other", "other values"} <= set(found)
    assert found["other"] != found["other values"]


def test_a_behavior_has_one_color_in_all_figures(tmp_path: Path) -> None:
    found = pictures([Run(training(tmp_path / "run.flog"))])
    colors: dict[str, set[str | None]] = {}
    for picture in found:
        charts = picture.figure.figures if isinstance(picture.figure, Grid) else [picture.figure]
        for chart in charts:
            for mark in getattr(chart, "marks", ()):
                if isinstance(mark, StateTimeline):
                    for name, color in zip(mark.names, mark.colors, strict=True):
                        colors.setdefault(name, set()).add(color)
    assert {name: len(own) for name, own in colors.items()} == {"walk": 1, "run": 1}
    theme = find_theme("light")
    assert not {color for own in colors.values() for color in own} & {*theme.events, *theme.palette}


def test_curves_and_behaviors_keep_their_colors_over_several_logs(tmp_path: Path) -> None:
    logs = [Run(training(tmp_path / f"{n}.flog", seed=n), label=f"run {n}") for n in range(3)]
    content = gather(logs, PlotOptions())
    colors: dict[str, set[str | None]] = {}
    for picture in content.pictures:
        charts = picture.figure.figures if isinstance(picture.figure, Grid) else [picture.figure]
        for mark in (mark for chart in charts for mark in getattr(chart, "marks", ())):
            if isinstance(mark, StateTimeline):
                for name, color in zip(mark.names, mark.colors, strict=True):
                    colors.setdefault(name, set()).add(color)
            elif isinstance(mark, Line) and mark.label:
                colors.setdefault(mark.label, set()).add(mark.color)
    assert {"run 0", "run 1", "run 2"} <= colors.keys()
    assert {len(own) for own in colors.values()} == {1}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_strips_events_and_lines_have_no_color_in_common(tmp_path: Path, theme: str) -> None:
    """Also with more words and types of events than colors."""
    rows = [{"step": n, "reward": float(NOISE[n]), "behavior": f"word {n // 30}"} for n in range(360)]
    events = {n + 0.5: {"type": f"event {n}", "step": n} for n in range(6)}
    run = Run(write_log(tmp_path / "run.flog", rows, events=events))
    chart = drawn(run, "reward", theme=theme)
    strips = {color for mark in chart.marks if isinstance(mark, StateTimeline) for color in mark.colors}
    look = find_theme(theme)
    assert len(strips) == 12
    assert sum(isinstance(mark, VLine) for mark in chart.marks) == 6
    assert not strips & {*look.events, *look.palette}
    assert not set(look.events) & set(look.palette)


def test_figures_of_thousands_of_metrics_are_limited_and_it_is_said(tmp_path: Path) -> None:
    names = ["reward", *(f"key{n}" for n in range(600))]
    run = Run(write_log(tmp_path / "run.flog", [dict.fromkeys(names, float(n)) for n in range(3)]))
    with pytest.warns(TrainlogWarning, match="the 256 most important of 601 metrics are drawn"):
        found = pictures([run])
    assert len([picture for picture in found if picture.blocks]) == 256
    overview = next(picture.figure for picture in found if picture.name == "overview")
    assert isinstance(overview, Grid)
    assert "256 most important of 601" in overview.caption
    assert "reward" in {picture.title for picture in found}
    assert len(pictures([run], PlotOptions(y=("key599",)))) == 1


def test_no_line_is_drawn_back_in_time(tmp_path: Path) -> None:
    """Where steps begin anew, the line does too, and the caption says so."""
    steps = [*range(50), *range(40)]
    run = Run(write_log(tmp_path / "run.flog", [{"step": n, "loss": 1.0 / (n + 1)} for n in steps]))
    chart = drawn(run, "loss")
    assert [len(np.asarray(line.y)) for line in lines(chart)] == [50, 40]
    assert "step goes back once" in chart.caption


def test_the_overview_has_metrics_of_all_groups(tmp_path: Path) -> None:
    names = ["reward", *(f"grad_norm/layer{n}" for n in range(11)), "loss", "entropy", "lr", "speed"]
    run = noisy(tmp_path, **{name: NOISE.tolist() for name in names})
    sheet = pictures([run])[0].figure
    assert isinstance(sheet, Grid)
    titles = [panel.title for panel in sheet.figures]
    assert {"reward", "loss", "entropy", "lr", "speed"} <= set(titles)


def test_events_at_every_new_best_do_not_cover_the_curve(tmp_path: Path) -> None:
    rows = [{"step": n, "reward": float(n)} for n in range(100)]
    events = {float(n): {"type": "new_best"} for n in range(1, 41)}
    (mark,) = [
        mark
        for mark in drawn(Run(write_log(tmp_path / "run.flog", rows, events=events)), "reward").marks
        if isinstance(mark, VLine)
    ]
    assert (mark.label, len(mark.x), mark.color) == ("new_best", 40, None)


def test_the_caption_says_where_bars_of_the_optimality_gap_are_too_short(tmp_path: Path) -> None:
    for runs, said in ((3, True), (20, False)):
        logs = levels(tmp_path / str(runs), {"a": [0.5 + n / 20 for n in range(runs)]})
        options = PlotOptions(y=("reward",), by="algo", kind="intervals", normalize={"": (0.0, 1.0)})
        (picture,) = pictures(logs, options)
        assert ("bars of fewer than 20 runs are too short" in picture.figure.caption) is said  # type: ignore[union-attr]
