"""What is found in a log: metrics, axes, parts, and gaps that are not NaN."""

from __future__ import annotations

import math
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import trainlog
from made_logs import training, write_log
from trainlog import Kind, Reader
from trainlog.axis_values import owners_of, without_restarts
from trainlog.errors import PlotError
from trainlog.plot import Metric, PlotOptions, Run, pictures, runs_of


def run_of(tmp_path: Path, *rows: dict, **more) -> Run:
    return Run(write_log(tmp_path / "run.flog", rows, **more))


def points(run: Run, name: str, axis: str = "step") -> tuple[list[float], list[float]]:
    (metric,) = run.find(name)
    ((x, y),) = run.points(metric, axis).values()
    return x.tolist(), y.tolist()


def test_metrics_are_the_numbers_that_vary(tmp_path: Path) -> None:
    run = Run(training(tmp_path / "run.flog"))
    assert [str(metric) for metric in run.metrics()] == ["reward", "policy_loss", "value_loss"]
    assert [str(metric) for metric in run.constants()] == ["loss_scale"]


def test_numbers_of_every_type_are_metrics(tmp_path: Path) -> None:
    rows = [
        {"flag": n % 2 == 0, "text": str(n / 2), "huge": 2**60 * n, "word": "run", "nan": math.nan, "list": [n, n]}
        for n in range(4)
    ]
    run = run_of(tmp_path, *rows)
    assert {str(metric) for metric in run.metrics()} == {"flag", "text", "huge"}
    assert points(run, "flag", "time")[1] == [1, 0, 1, 0]
    assert points(run, "text", "time")[1] == [0, 0.5, 1, 1.5]


def test_a_key_that_a_frame_lacks_is_no_gap_but_a_nan_is(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        {"step": 0, "reward": 1.0},
        {"step": 1, "loss": 2.0},
        {"step": 2, "reward": math.nan},
        {"step": 3, "loss": 3.0},
        {"step": 4, "reward": None},
    )
    x, y = points(run, "reward")
    assert x == [0, 2]
    assert y == [1.0, pytest.approx(math.nan, nan_ok=True)]
    assert points(run, "loss") == ([1, 3], [2.0, 3.0])


def test_names_choose_kind_part_and_pattern(tmp_path: Path) -> None:
    creature = [{"speed": n / 2, "com": [n, 2 * n, 3], "pos": [0.0] * 12} for n in range(3)]
    run = run_of(
        tmp_path, {"speed": 1, "gait/a": 1, "gait/b": 2}, {"speed": 2, "gait/a": 2, "gait/b": 3}, creature=creature
    )
    assert run.find("speed") == [Metric(Kind.STATS, "speed")]
    assert run.find("creature:speed") == [Metric(Kind.CREATURE, "speed")]
    assert run.find("gait/*") == [Metric(Kind.STATS, "gait/a"), Metric(Kind.STATS, "gait/b")]
    assert run.find("com") == [Metric(Kind.CREATURE, "com", part) for part in range(3)]
    assert run.find("com[-2]") == [Metric(Kind.CREATURE, "com", 1)]
    assert points(run, "com[1]", "time")[1] == [0, 2, 4]
    assert run.find("nothing") == []
    with pytest.raises(PlotError, match=r"'pos' has 12 parts: choose some, pos\[0\] to pos\[11\]"):
        run.find("pos")
    with pytest.raises(PlotError, match=r"there is no com\[3\]"):
        run.find("com[3]")
    with pytest.raises(PlotError, match="'speed' has no parts"):
        run.find("speed[0]")


@pytest.mark.parametrize("name", ["action[0]", "stats:x", "creature:y", "stats:action[0]"])
def test_a_column_whose_name_looks_like_a_part_or_a_kind_is_found(tmp_path: Path, name: str) -> None:
    keys = ("action[0]", "action[1]", "stats:x", "creature:y")
    log = write_log(tmp_path / "run.flog", [dict.fromkeys(keys, n) for n in range(3)], creature=[{"y": 1}])
    assert Run(log, only=[name]).find(name) == [Metric(Kind.STATS, name.replace("stats:action", "action"))]


def test_metrics_of_any_kind_are_found_with_its_name(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "run.flog", {}) as log:
        for n in range(3):
            log.put(n, Kind(42), {"v": n / 2})
            log.put(n, Kind.EVENT, {"type": "fall", "height": n})
    run = Run(trainlog.open(tmp_path / "run.flog"), only=["kind_42:v"])
    assert run.find("v") == run.find("kind_43:v") == run.find("kind_999:v") == []
    assert run.find("kind_42:v") == [Metric(Kind(42), "v")]
    assert run.find("event:heigh*") == [Metric(Kind.EVENT, "height")]
    assert points(run, "kind_42:v", "time") == ([0, 1, 2], [0, 0.5, 1])


def test_what_is_no_number_says_so(tmp_path: Path) -> None:
    with pytest.raises(PlotError, match="'behavior' of the stats frames is not a number"):
        Run(training(tmp_path / "run.flog")).find("behavior")


def test_axes(tmp_path: Path) -> None:
    run = Run(training(tmp_path / "run.flog", episodes=3))
    assert [points(run, "reward", axis)[0] for axis in ("step", "episode", "time")] == [
        [0, 10, 20],
        [0, 1, 2],
        [0, 1, 2],
    ]
    assert run.default_axes(Kind.STATS) == ["step", "episode", "time"]
    with pytest.raises(
        PlotError, match="run: its stats frames have no sim_time; they can be drawn over step, episode, time"
    ):
        run.axis_values(Kind.STATS, "sim_time")


def test_other_names_of_axes(tmp_path: Path) -> None:
    run = run_of(tmp_path, *({"global_step": n * 5, "iteration": n, "sim_time": n / 4, "y": n} for n in range(3)))
    assert points(run, "y", "step")[0] == [0, 5, 10]
    assert points(run, "y", "episode")[0] == [0, 1, 2]
    assert points(run, "y", "sim_time")[0] == [0, 0.25, 0.5]
    assert run.axis(Kind.STATS, "step").label == "global step"
    assert run.axis(Kind.STATS, "sim_time").unit == "s"
    assert [str(metric) for metric in run.metrics()] == ["y"]


def test_axes_of_a_log_of_stable_baselines(tmp_path: Path) -> None:
    run = run_of(tmp_path, *({"timesteps": n * 2048, "iteration": n, "ep_rew_mean": n} for n in range(3)))
    assert run.default_axes(Kind.STATS) == ["step", "episode", "time"]
    assert points(run, "ep_rew_mean")[0] == [0, 2048, 4096]
    assert points(run, "ep_rew_mean", "episode")[0] == [0, 1, 2]
    assert [str(metric) for metric in run.metrics()] == ["ep_rew_mean"]


def test_a_log_says_its_own_names(tmp_path: Path) -> None:
    own = {"conventions": {"step": "frames", "event_type": "what", "quiet_events": ["heartbeat"]}}
    events = {0.5: {"what": "heartbeat"}, 1.0: {"what": "fall"}}
    run = run_of(tmp_path, *({"step": n, "frames": n * 7, "r": n} for n in range(3)), meta=own, events=events)
    assert points(run, "r")[0] == [0, 7, 14]
    assert list(run.events_at(Kind.STATS, "time")) == ["fall"]


def test_simulated_time_from_the_length_of_a_step(tmp_path: Path) -> None:
    run = run_of(tmp_path, *({"step": n * 10, "r": n} for n in range(3)), meta={"dt": 0.02})
    assert points(run, "r", "sim_time")[0] == pytest.approx([0, 0.2, 0.4])


def test_steps_that_begin_anew_with_each_episode_are_added_up(tmp_path: Path) -> None:
    creature = [{"step": step, "speed": n} for n, step in enumerate([1, 2, 3, 1, 2, 1, 2])]
    events = {time: {"type": "episode_start"} for time in (0.0, 0.25, 0.45)}
    run = run_of(tmp_path, {"r": 1}, creature=creature, events=events)
    assert points(run, "creature:speed", "step")[0] == [1, 2, 3, 4, 5, 6, 7]
    assert points(run, "creature:speed", "episode")[0] == pytest.approx([1, 4 / 3, 5 / 3, 2, 2.5, 3, 3.5])


def test_evaluation_and_training_are_apart(tmp_path: Path) -> None:
    rows = [{"episode": n, "return": n, "episode_type": "evaluation" if n % 3 == 0 else "training"} for n in range(6)]
    run = run_of(tmp_path, *rows)
    (metric,) = run.find("return")
    found = run.points(metric, "episode")
    assert {name: y.tolist() for name, (_, y) in found.items()} == {"evaluation": [0, 3], "training": [1, 2, 4, 5]}


def test_rows_without_a_type_of_episode_are_a_curve_of_their_own(tmp_path: Path) -> None:
    types = ["training", "evaluation", None]
    rows = [
        {"step": n, **({"return": n, "episode_type": types[n % 3]} if types[n % 3] else {"loss": n})} for n in range(9)
    ]
    run = run_of(tmp_path, *rows, {"step": 9, "return": 9})
    found = {str(metric): run.points(metric, "step") for name in ("loss", "return") for metric in run.find(name)}
    assert {name: y.tolist() for name, (_, y) in found["loss"].items()} == {"": [2, 5, 8]}
    assert {name: y.tolist() for name, (_, y) in found["return"].items()} == {
        "training": [0, 3, 6],
        "evaluation": [1, 4, 7],
        "": [9],
    }
    assert {"loss", "return"} <= {picture.name for picture in pictures([run])}
    (scores,) = pictures([run], PlotOptions(y=("loss",), kind="intervals"))
    assert "type" not in scores.figure.caption  # type: ignore[union-attr]


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    reader = training(tmp_path / "run.flog")
    assert set(Run(reader, only=["reward"]).columns(Kind.STATS).table) == {"reward", "step", "episode"}
    assert "behavior" in Run(reader, only=["reward", "unknown"]).columns(Kind.STATS).table
    assert "behavior" in Run(reader, only=["re*"]).columns(Kind.STATS).table


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["a.flog", "b.flog"], ["a", "b"]),
        (["x/run.flog", "y/run.flog"], ["x", "y"]),
        (["ppo/0/run.flog", "ppo/1/run.flog", "sac/0/run.flog"], ["ppo/0", "ppo/1", "sac/0"]),
        (["x/a.flog", "y/a.flog", "y/b.flog"], ["x/a", "y/a", "y/b"]),
        (["killed.simion.log"], ["killed"]),
        (["v1.2-run.flog"], ["v1.2-run"]),
        (["a.flog", "a.flog"], ["a", "a #2"]),
        (["x/run.flog", "y/run.flog", "y/run.flog"], ["x", "y", "y #2"]),
        (["/run.flog", "/y/x/run.flog"], ["run", "x"]),
    ],
)
def test_labels_tell_logs_apart(tmp_path: Path, paths: list[str], labels: list[str]) -> None:
    class Named(Reader):
        def frames(self, kind=None, **_):
            return iter(())

    from trainlog import Header

    found = [run.label for run in runs_of([Named(tmp_path / path, Header()) for path in paths])]
    assert found == labels


def test_an_empty_log_has_no_metrics(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    assert run.metrics() == run.constants() == []
    assert run.find("reward") == []
    assert run.events_at(Kind.STATS, "time") == {}
    assert np.size(run.episode_starts) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, 2.0, 5.0, math.nan, math.inf])), max_size=40))
def test_the_counters_of_environments_are_continued_one_by_one(rows: list[tuple[int, float]]) -> None:
    expected, added, last = [], dict[int, float](), dict[int, float]()
    for owner, value in rows:
        if math.isfinite(value):
            added[owner] = added.get(owner, 0.0) + (last[owner] if value < last.get(owner, 0.0) else 0.0)
            last[owner] = value
        expected.append(value + added.get(owner, 0.0) if math.isfinite(value) else value)
    owners, values = (np.array(column) for column in (zip(*rows, strict=True) if rows else ((), ())))
    found = without_restarts(values.astype(float), owners_of([owners % 2, owners // 2]))
    np.testing.assert_array_equal(found, expected)


def test_steps_of_environments_that_are_out_of_step_are_not_added_up(tmp_path: Path) -> None:
    rows = [{"env": env, "step": (n + 7 * env) % 50, "speed": n / 3} for n in range(200) for env in range(3)]
    run = Run(write_log(tmp_path / "run.flog", [], creature=rows))
    places = run.axis_values(Kind.CREATURE, "step").reshape(200, 3)
    # The last step of an episode is that after which the next one counts on.
    steps = (np.arange(200)[:, None] + 7 * np.arange(3)) % 50
    assert (places == steps + 49 * (np.cumsum(np.diff(steps, axis=0, prepend=0) < 0, axis=0))).all()
    assert run.is_added_up(Kind.CREATURE, "step")
