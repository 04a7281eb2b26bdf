"""The figures that a person gets: which, of what, and that every one of them is a picture."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import trainlog
from made_logs import training, write_log
from trainlog import Kind
from trainlog.draw import LIGHT, Band, Grid, Line, Scene, StateTimeline, VLine, layout, svg
from trainlog.errors import DamagedLogWarning, PlotError
from trainlog.model import Frame, Header
from trainlog.plot import Picture, PlotOptions, Run, pictures, runs_of, save_picture
from trainlog.plot.codec import _MemoryReader


def drawn(picture: Picture) -> str:
    """The figure as SVG: XML, without a coordinate that is no number."""
    text = svg(layout(picture.figure, *picture.size(960, 540)))
    for element in ElementTree.fromstring(text).iter():
        for name, value in element.attrib.items():
            if name not in ("aria-label", "font-family"):
                assert not re.search(r"\b(nan|inf)", value), (name, value)
    return text


def by_name(found: list[Picture]) -> dict[str, Picture]:
    names = {picture.name: picture for picture in found}
    assert len({name.casefold() for name in names}) == len(found)
    return names


def marks(picture: Picture, kind: type) -> list[Any]:
    return [mark for mark in picture.figure.marks if isinstance(mark, kind)]  # type: ignore[union-attr]


def test_without_a_wish_all_that_varies_is_there(tmp_path: Path) -> None:
    found = by_name(pictures([Run(training(tmp_path / "run.flog"))]))
    assert list(found) == ["overview", "reward", "policy_loss", "value_loss", "states"]
    assert isinstance(found["overview"].figure, Grid)
    text = drawn(found["reward"])
    for word in ("ant: run forward", ">reward<", ">step<", ">centred mean of 11<", ">new_best<", ">fall<", ">walk<"):
        assert word in text
    assert all(color in text for color in LIGHT.events[:2])
    for picture in found.values():
        drawn(picture)


def test_metrics_of_one_prefix_are_together(tmp_path: Path) -> None:
    rows = [
        {"step": n, **{f"gait_{part}": n * k for k, part in enumerate("abcd", 1)}, "reward": n, "gait": n}
        for n in range(5)
    ]
    found = by_name(pictures([Run(write_log(tmp_path / "run.flog", rows))]))
    assert {"overview", "reward", "gait"} <= set(found)
    assert [name for name in found if name.startswith("gait/")] == [
        *(f"gait/gait_{part}" for part in "abcd"),
        "gait/overview",
    ]
    assert {picture.group for name, picture in found.items() if name.startswith("gait/")} == {"gait"}


def test_a_trainer_groups_its_metrics_by_slash(tmp_path: Path) -> None:
    names = ["time/total_timesteps", "rollout/ep_rew_mean", "train/loss", "train_loss", "train_kl", "train/train_kl"]
    rows = [{name: n * k for k, name in enumerate([*names, "train_std"], 1)} for n in range(3)]
    found = by_name(pictures([Run(write_log(tmp_path / "run.flog", rows))]))
    assert list(found)[:2] == ["overview", "rollout/ep_rew_mean"]
    assert {"train/loss", "train/train_loss", "train/train_kl", "train/train_train_kl", "train/train_std"} <= set(found)
    assert found["rollout/ep_rew_mean"].figure.x_label == "total timesteps"  # type: ignore[union-attr]


def test_odd_names_have_files_of_their_own(tmp_path: Path) -> None:
    names = ["overview", "Overview", "a b", "a_b", "a/b", "../up", "ä", "states", "x" * 300]
    rows = [{name: n * k for k, name in enumerate(names, 1)} for n in range(3)]
    found = by_name(pictures([Run(write_log(tmp_path / "run.flog", rows))]))
    for picture in found.values():
        (written,) = save_picture(picture, tmp_path / "out", formats=["svg"])
        assert written.resolve().is_relative_to((tmp_path / "out").resolve())


def test_the_goal_comes_first(tmp_path: Path) -> None:
    names = ["pci", "policy_loss", "curiosity_reward", "max_distance", "distance", "da_reward", "reward", "falls"]
    rows = [dict.fromkeys(names, n) for n in range(3)]
    found = [picture.title for picture in pictures([Run(write_log(tmp_path / "run.flog", rows))])][1:]
    assert found == [
        "reward",
        "distance",
        "falls",
        "max_distance",
        "curiosity_reward",
        "da_reward",
        "policy_loss",
        "pci",
    ]


def test_events_that_happen_all_the_time_are_a_rug(tmp_path: Path) -> None:
    rows = [{"step": n, "reward": n % 3} for n in range(100)]
    events = {n / 2: {"type": "step"} for n in range(100)} | {0.25: {"type": "start"}}
    found = by_name(pictures([Run(write_log(tmp_path / "run.flog", rows, events=events))]))
    assert [(mark.label, len(mark.x)) for mark in marks(found["reward"], VLine)] == [("step", 100), ("start", 1)]
    assert found["reward"].figure.caption == ""


def test_events_stand_where_they_happened(tmp_path: Path) -> None:
    run = Run(training(tmp_path / "run.flog"))
    for axis, places in (("step", [200, 500]), ("episode", [20, 50]), ("time", [20, 50])):
        (picture,) = pictures([run], PlotOptions(y=("reward",), x=axis))
        assert [mark.x.tolist() for mark in marks(picture, VLine)] == [[place] for place in places]


def test_an_event_knows_better_than_the_clock_where_it_happened(tmp_path: Path) -> None:
    rows = [{"step": n * 100, "reward": n} for n in range(5)]
    late = {0.5: {"type": "best", "step": 100}, 2.5: {"type": "best", "step": 300}, 3.5: {"type": "other"}}
    (picture,) = pictures([Run(write_log(tmp_path / "late.flog", rows, events=late))])
    assert [mark.x.tolist() for mark in marks(picture, VLine)] == [[100, 300], [350]]
    anew = {0.5: {"type": "fall", "step": 60}, 2.5: {"type": "fall", "step": 20}}  # steps of its own episode
    (picture,) = pictures([Run(write_log(tmp_path / "anew.flog", rows, events=anew))])
    assert [mark.x.tolist() for mark in marks(picture, VLine)] == [[50, 250]]


def test_what_a_creature_did_while_nobody_looked_is_not_made_up(tmp_path: Path) -> None:
    creature = [{"step": n + 1000 * (n // 10), "speed": float(n % 10)} for n in range(30)]
    (picture,) = pictures([Run(write_log(tmp_path / "run.flog", [], creature=creature))])
    assert [len(line.x) for line in marks(picture, Line)] == [10, 10, 10]
    assert "NaN" not in drawn(picture)


def test_words_are_strips_of_one_color_each(tmp_path: Path) -> None:
    rows = [{"step": n, "left": "up" if n % 2 else "down", "right": "down", "behavior": f"b{n // 2}"} for n in range(6)]
    rows[3]["right"] = "up"
    del rows[2]["left"]
    found = by_name(pictures([Run(write_log(tmp_path / "run.flog", rows))]))
    assert list(found) == ["states"]
    strips = marks(found["states"], StateTimeline)
    assert [strip.label for strip in strips] == ["behavior", "left", "right"]
    colors = [dict(zip(strip.names, strip.colors, strict=True)) for strip in strips]
    assert colors[1]["up"] == colors[2]["up"]
    drawn(found["states"])


def test_the_path_is_seen_from_above(tmp_path: Path) -> None:
    turn = np.linspace(0, 6, 60)
    creature = [{"pos": [np.cos(t), np.sin(t), 0.3], "ball_pos": [2.0, 0, 0]} for t in turn]
    found = by_name(pictures([Run(write_log(tmp_path / "run.flog", [{"r": 1}, {"r": 2}], creature=creature))]))
    scene = found["trajectory"].figure
    assert isinstance(scene, Scene)
    assert np.asarray(scene.x).tolist() == np.cos(turn).tolist()
    assert [mark.label for mark in scene.marks] == ["ball"]
    drawn(found["trajectory"])


def test_the_path_is_that_of_the_best_key(tmp_path: Path) -> None:
    rows = [
        {"pos": [9.0 * n, n * n, 0.3, 1, 0, 0, 0], "base": [5.0 + n, n * n], "com": [3.0 + n, n * n, 0.3]}
        for n in range(9)
    ]
    with_xy = [{**row, "x": 1.0 + n, "y": float(n * n)} for n, row in enumerate(rows)]
    own = {"conventions": {"position": "base"}}
    for name, creature, meta, first in (("com", rows, {}, 3.0), ("xy", with_xy, {}, 1.0), ("own", with_xy, own, 5.0)):
        found = by_name(pictures([Run(write_log(tmp_path / f"{name}.flog", [], meta, creature=creature))]))
        scene = found["trajectory"].figure
        assert isinstance(scene, Scene)
        assert np.asarray(scene.x)[0] == first


def test_the_angles_of_joints_are_no_path(tmp_path: Path) -> None:
    creature = [{"qpos": [math.sin(n), math.cos(n)]} for n in range(20)]
    run = Run(write_log(tmp_path / "run.flog", [{"r": 1}, {"r": 2}], creature=creature))
    assert "trajectory" not in by_name(pictures([run]))


def test_a_creature_that_was_put_back_did_not_fly_there(tmp_path: Path) -> None:
    creature = [{"x": float(n % 20), "y": 0.1 * (n % 20) ** 2} for n in range(60)]
    found = by_name(pictures([Run(write_log(tmp_path / "run.flog", [], creature=creature))]))
    scene = found["trajectory"].figure
    assert isinstance(scene, Scene)
    assert len(np.asarray(scene.x)) == 20
    assert [len(mark.x) for mark in scene.marks] == [20, 20]
    assert "the last of 3 episodes" in drawn(found["trajectory"])


def test_a_creature_on_a_line_has_a_path(tmp_path: Path) -> None:
    creature = [{"com": [0.5, float(n), 0.2], "speed": n % 7} for n in range(20)]
    found = by_name(pictures([Run(write_log(tmp_path / "run.flog", [], creature=creature))]))
    scene = found["trajectory"].figure
    assert isinstance(scene, Scene)
    assert np.asarray(scene.x).tolist() == [0.5] * 20
    assert np.asarray(scene.y).tolist() == list(range(20))


def test_a_sampled_motion_is_not_averaged(tmp_path: Path) -> None:
    creature = [{"angle": math.sin(n)} for n in range(300)]
    (picture,) = pictures([Run(write_log(tmp_path / "run.flog", [], creature=creature))])
    assert len(marks(picture, Line)) == 1
    (picture,) = pictures([Run(trainlog.open(tmp_path / "run.flog"))], PlotOptions(y=("angle",), smooth=10))
    assert len(marks(picture, Line)) == 2


@pytest.fixture
def seeds(tmp_path: Path) -> list[Run]:
    kinds = {"ppo": 100, "sac": 140}
    return runs_of(
        training(tmp_path / algo / str(seed) / "run.flog", seed, 100 + 20 * seed, goal, {"algo": algo})
        for algo, goal in kinds.items()
        for seed in range(4)
    )


def test_several_logs_are_laid_over_each_other(seeds: list[Run]) -> None:
    (picture,) = pictures(seeds[:3], PlotOptions(y=("reward",)))
    text = drawn(picture)
    assert [block.label for block in picture.blocks] == ["ppo/0", "ppo/1", "ppo/2"]
    assert ">ppo/1<" in text
    assert "new_best" not in text


def test_more_logs_than_colors_have_dashes(tmp_path: Path) -> None:
    runs = runs_of(training(tmp_path / f"{n}.flog", n, 30) for n in range(12))
    (picture,) = pictures(runs, PlotOptions(y=("reward",)))
    assert len({(line.color, line.dash) for line in marks(picture, Line)}) == 12


def test_seeds_are_one_curve_and_the_legend_says_what_the_band_is(seeds: list[Run]) -> None:
    (picture,) = pictures(seeds, PlotOptions(y=("reward",), by="algo", center="iqm"))
    text = drawn(picture)
    assert ">ppo<" in text
    assert ">sac<" in text
    assert "IQM of n=4 seeds" in text
    assert "band: 95 % interval of the IQM" in text
    assert "dashed: not all seeds reach so far" in text
    block = picture.blocks[0]
    assert list(block.columns) == ["step", "IQM", "low", "high", "runs"]
    assert (block.columns["runs"].max(), block.columns["runs"].min()) == (4, 1)
    assert np.isnan(block.columns["low"][block.columns["runs"] == 1]).all()
    assert "NaN" not in text


def test_the_interval_of_the_last_two_seeds_leaves_the_scale_to_the_others(tmp_path: Path) -> None:
    def seed(n: int, steps: int) -> Run:
        rows = [{"step": i, "reward": 100.0 + n} for i in range(steps)]
        return Run(write_log(tmp_path / f"{n}.flog", rows, {"task": "walk", "seed": n}))

    few = "where few seeds reach, the axis may cut it off"
    runs = [seed(n, 30 if n < 2 else 20) for n in range(10)]
    (picture,) = pictures(runs, PlotOptions(y=("reward",), by="task"))
    assert few in drawn(picture)
    ((band,), (block,)) = marks(picture, Band), picture.blocks
    assert block.columns["high"].max() == band.high.max() > 106  # 12.7 / sqrt(2) times a deviation of 0.7
    assert band.high[band.fit].max() < 108
    (picture,) = pictures(runs[2:], PlotOptions(y=("reward",), by="task"))
    assert few not in drawn(picture)


@pytest.mark.parametrize(
    ("band", "words"), [("std", "mean ± standard deviation"), ("minmax", "lowest to highest value"), ("none", None)]
)
def test_bands(seeds: list[Run], band: Any, words: str | None) -> None:
    (picture,) = pictures(seeds[:4], PlotOptions(y=("reward",), band=band))
    text = drawn(picture)
    assert ">mean of 4 seeds<" in text
    assert ("band: " in text) == (words is not None)
    assert words is None or f"band: {words}" in text


def test_a_band_around_one_log_is_that_of_a_window(seeds: list[Run]) -> None:
    (picture,) = pictures(seeds[:1], PlotOptions(y=("reward",), band="minmax", smooth=7))
    assert ">lowest to highest value of 7<" in drawn(picture)
    block = picture.blocks[0].columns
    assert (block["low"] <= block["value"]).all()
    assert (block["high"] >= block["value"]).all()
    with pytest.raises(PlotError, match="a 95 % interval is one over several logs"):
        pictures(seeds[:1], PlotOptions(y=("reward",), band="ci"))


def test_what_cannot_be_granted_says_why(seeds: list[Run], tmp_path: Path) -> None:
    with pytest.raises(PlotError, match="no log has the metric 'rewrad'; near it: reward"):
        pictures(seeds, PlotOptions(y=("rewrad",)))
    with pytest.raises(PlotError, match="the metadata of ppo/0 has no 'size'; it has creature, task, seed, algo"):
        pictures(seeds, PlotOptions(by="size"))
    with pytest.raises(PlotError, match="have no sim_time"):
        pictures(seeds, PlotOptions(x="sim_time"))
    with pytest.raises(PlotError, match="nothing to draw"):
        pictures([Run(write_log(tmp_path / "empty.flog", []))])
    with pytest.raises(PlotError, match="nothing to draw"):
        pictures([Run(write_log(tmp_path / "still.flog", [{"reward": 1.0}, {"reward": 1.0}]))])


ANY = st.one_of(st.floats(), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.none(), st.text(max_size=3))


@given(
    st.lists(st.dictionaries(st.sampled_from(["step", "reward", "a/b", "behavior"]), ANY, max_size=4), max_size=8),
    st.booleans(),
)
def test_no_values_make_a_figure_fail(rows: list[dict[str, Any]], log_y: bool) -> None:
    reader = _MemoryReader(Path("run.flog"), Header())
    for n, row in enumerate(rows):
        reader.add(Frame(float(n), Kind.STATS, row))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found: list[Picture] = []
        with contextlib.suppress(PlotError):  # when nothing varies
            found = pictures([Run(reader)], PlotOptions(log_y=log_y))
        for picture in found:
            drawn(picture)


REAL = [
    "flog/a_go2_ball.bin",
    "flog/c_go2_hilly_sigkill.bin",
    "flog/d_go2_readme.bin",
    "flog/recorder_json.bin",
    "simion/01-double-pendulum-cacla/double-pendulum-cacla.simion.log",
    "simion/02-swingup-sarsa/swingup-pendulum-sarsa-tile-coding.simion.log",
    "simion/09-raincar-special-name/rain car & <é>.simion.log",
    "simion/10d-sigkill-swingup-sarsa/killed.simion.log",
]


@pytest.mark.parametrize("name", REAL)
def test_real_logs(real_logs: Path, name: str) -> None:
    path = real_logs / name
    if not path.exists():
        pytest.skip(f"{name} is not there")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedLogWarning)  # one of them has a broken descriptor
        found = by_name(pictures([Run(trainlog.open(path))]))
    first, second, *_ = found
    assert first == "overview"
    assert second in ("reward", "return")
    if name.startswith("flog"):
        assert {"trajectory", "states", "creature/speed"} <= set(found)
    if "sarsa-tile" in name:
        assert [block.label for block in found["return"].blocks] == ["evaluation", "training"]
        assert found["return"].figure.x_label == "episode"  # type: ignore[union-attr]
        assert len(marks(found["creature/state/angle"], StateTimeline)) == 1
    for picture in found.values():
        drawn(picture)
