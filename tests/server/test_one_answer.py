"""Figures and dashboard say the same of one log: axes, curves, rewards, the path of the robot."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from made_logs import write_log
from served import Site
from trainlog import Kind, TrainingCurveRecorder, Variable
from trainlog.conventions import AXES, AxisName
from trainlog.plot import Metric, PlotOptions, Run, pictures, save_picture
from trainlog.plot.behavior import words_over
from trainlog.plot.figures import main_metric

_NAN = math.nan


def _turn(n: int) -> tuple[float, float]:
    return math.cos(n / 9) * n, math.sin(n / 9) * n


def _com(n: int) -> dict[str, Any]:
    return {"com": [*_turn(n), 0.3]}


def _arc(n: int) -> dict[str, Any]:
    return {"pos": [n * 2.0, -1.0 * n * n, 0.5]}


_PATH = [{"com": [*_turn(n), 0.3], "pos": [n * 2.0, -1.0, 0.5], "step": n * 10} for n in range(60)]
_FREE = [{"qpos": [*_turn(n), 0.3, 1.0, 0.0, 0.0, 0.0, 0.1 * n], "step": n} for n in range(60)]
_OWN = [{"base": list(_turn(n)), "com": [0.0, float(n), 0.0], "x": 1.0} for n in range(60)]
_XY = [{"x": _turn(n)[0], "y": _turn(n)[1], "com": [float(n), 1.0, 0.0]} for n in range(60)]
_JOINTS = [{"qpos": [0.1 * n, math.sin(n)], "step": n} for n in range(60)]

LOGS: dict[str, dict[str, Any]] = {
    "timesteps and iteration": {
        "stats": [{"timesteps": n * 2048, "iteration": n, "ep_rew_mean": n * 1.5} for n in range(40)],
        "creature": _PATH,
    },
    "stable-baselines": {
        "stats": [
            {"time/total_timesteps": n * 64, "rollout/ep_rew_mean": -n / 3, "train/loss": 1 / (n + 1)}
            for n in range(40)
        ],
    },
    "cleanrl": {
        "stats": [
            {"global_step": n * 4, "charts/episodic_return": n % 7, "losses/value_loss": n / 9} for n in range(40)
        ],
        "creature": _FREE,
    },
    "rewards with gaps": {
        "stats": [{"step": n, **({"reward": n / 2} if n % 3 else {}), "loss": _NAN if n % 4 else n} for n in range(40)],
    },
    "null and nan": {
        "stats": [{"step": n, "reward": [None, _NAN, n, float(n)][n % 4], "speed": n / 4} for n in range(40)],
        "creature": _XY,
    },
    "nested, and strings for numbers": {
        "stats": [{"step": str(n * 5), "reward": str(n / 4), "gait": {"phase": n % 5}} for n in range(40)],
    },
    "no axis at all": {"stats": [{"reward": n * n, "mode": "walk" if n % 9 else "run"} for n in range(40)]},
    "conventions of its own": {
        "meta": {"conventions": {"reward": "profit", "step": "env_frames", "position": "base"}},
        "stats": [{"env_frames": n * 8, "profit": n - 20, "reward": 0.5 * n, "step": n} for n in range(40)],
        "creature": _OWN,
    },
    "infinite, large and simulated": {
        "stats": [{"step": 2**40 + n, "sim_time": n / 50, "reward": math.inf if n == 5 else n} for n in range(40)],
        "creature": _JOINTS,
    },
    "generations, and bools that come late": {
        "stats": [{"generation": n, "return": n / 7, **({"solved": n > 30} if n > 10 else {})} for n in range(40)],
    },
    "events of starts, and no counter of episodes": {
        "stats": [{"step": n, "reward": n / 3} for n in range(40)],
        "events": {time: {"type": "episode_start"} for time in (0.5, 3.5, 20.5)},
        "creature": [{"x": _turn(n)[0], "y": _turn(n)[1]} for n in range(60)],
    },
    "a counter and events of starts": {
        "stats": [{"step": n, "episode": n // 5, "reward": n / 3} for n in range(40)],
        "events": {time: {"type": "episode_start"} for time in (0.5, 3.5)},
        "creature": [{"episode": n // 9, "step": n % 9, "speed": n / 3} for n in range(60)],
    },
    "a step that never changes": {
        "stats": [{"step": 0, "global_step": n * 4, "epoch": 1, "episode": _NAN, "reward": n / 3} for n in range(40)],
    },
    "a return that is a bool": {"stats": [{"step": n, "return": n > 10, "reward": n / 3} for n in range(40)]},
    "a return that is NaN": {"stats": [{"step": n, "return": _NAN, "reward": n / 3} for n in range(40)]},
    "an unusual name of the reward": {"stats": [{"step": n, "agent/total_reward": n / 3} for n in range(40)]},
    "an epoch that never changes": {"stats": [{"epoch": 1, "reward": n / 3} for n in range(40)]},
    "a reward that is n/a at times": {
        "stats": [{"step": n, "reward": "n/a" if n % 10 == 3 else n / 2, "loss": 1 / (n + 1)} for n in range(40)],
        "creature": [{**_XY[n], "speed": "n/a" if n % 7 else n / 3} for n in range(60)],
    },
    "a reward that is n/a mostly, and at the end": {
        "stats": [{"step": n, "reward": n / 2 if n % 10 == 0 else "n/a", "loss": 1 / (n + 1)} for n in range(40)],
    },
    "a reward in words, and numbers as often": {
        "stats": [{"step": n, "reward": n / 2 if n % 2 else "low" if n % 3 else "high"} for n in range(40)],
    },
    "a reward with empty texts, spaces, lists and the text nan": {
        "stats": [
            {"step": n, "reward": ["", f" {n} ", [1.0, 2.0], "nan", n / 2][n % 5], "loss": 1 / (n + 1)}
            for n in range(40)
        ],
    },
    "a step in words at times": {
        "stats": [{"step": "n/a" if n == 4 else n, "global_step": n * 2, "reward": n / 3} for n in range(40)],
    },
    "summaries of episodes, of which few steps were recorded": {
        "meta": {"dt": 0.02},
        "stats": [
            {
                "step": 100 * (n + 1),
                "episode": n + 1,
                "episode_type": "training",
                "index": n,
                "sub_index": 0,
                "complete": n != 4,
                "length": 100,
                "return": n / 7,
                "reward": n / 9,
            }
            for n in range(40)
        ],
        "creature": [{"step": n % 10 * 7 + 1, "speed": n / 3} for n in range(420)],
        "events": {0.05: {"type": "fall"}, 2.55: {"type": "fall", "step": 270}, 50.0: {"type": "fall"}},
    },
    "environments that are out of step": {
        "stats": [{"step": n, "reward": n / 3} for n in range(40)],
        "creature": [{"env": n % 3, "step": (n // 3 + 5 * (n % 3)) % 9, "speed": n / 3} for n in range(60)],
    },
    "environments with names, and steps that never restart": {
        "stats": [{"step": n, "reward": n / 3} for n in range(40)],
        "creature": [{"env": "ab"[n % 2], "step": n // 2 + 7 * (n % 2), "speed": n / 3} for n in range(60)],
    },
    "processes with environments of one number": {
        "stats": [{"step": n, "reward": n / 3} for n in range(40)],
        "creature": [
            {"rank": n % 2, "env": n // 2 % 2, "step": n // 4 + 5 * (n % 4), "speed": n / 3} for n in range(60)
        ],
    },
    "frames of several environments": {
        "stats": [{"step": n, "reward": n / 3} for n in range(40)],
        "creature": [{"env": [0, 1], "step": 2 * (n % 30), "speed": n / 3} for n in range(60)],
    },
    "steps of an episode": {
        "meta": {"conventions": {"step": "episode_step"}, "dt": 0.5},
        "stats": [{"episode_step": n % 10, "reward": n / 3} for n in range(40)],
        "creature": [{"step": n % 7, "speed": n / 3} for n in range(60)],
    },
}


@pytest.fixture(params=LOGS)
def log(request: pytest.FixtureRequest, runs: Path) -> Path:
    path = runs / "run.flog"
    write_log(path, **LOGS[request.param])
    return path


def test_the_axes_and_the_curves(log: Path, runs: Path, serve: Callable[..., Site]) -> None:
    """Both show every number over the same axes, at the same places, with the same values left out."""
    run = Run(trainlog.open(log))
    site = serve(runs)
    info = site.run("run.flog")
    drawn_over: dict[Kind, list[AxisName]] = {}
    for kind in (Kind.STATS, Kind.CREATURE):
        if run.columns(kind).table.rows:
            drawn_over[kind] = [axis for axis in AXES if run.has_axis(kind, axis)]
            assert ["time", *info["kinds"][str(kind)]["axes"]] == sorted(drawn_over[kind], key=["time", *AXES].index)
    assert next(axis for axis in info["axis_order"] if axis in info["axes"]) == run.default_axes(Kind.STATS)[0]
    for metric in run.metrics():
        for axis in drawn_over[metric.kind]:
            ((x, y),) = run.points(metric, axis).values()
            query = {"kind": metric.kind, "keys": metric.key, "x": axis, "points": 5000}
            curve = site.run("run.flog", "series", **query)["series"][metric.key]
            finite = np.isfinite(y)
            assert curve["x"] == x[finite].tolist()
            assert curve["y"] == y[finite].tolist()
            assert curve["nan"] == int(np.isnan(y).sum()), "a NaN is a value that was logged, an absent one is not"


@pytest.mark.parametrize("name", [name for name, said in LOGS.items() if "creature" in said])
def test_the_moments(name: str, runs: Path, serve: Callable[..., Site]) -> None:
    """A frame of the creature is where the figures have it, whether its other values were read or not."""
    write_log(runs / "run.flog", **LOGS[name])
    run = Run(trainlog.open(runs / "run.flog"))
    site = serve(runs)
    for axis in [axis for axis in AXES if run.has_axis(Kind.CREATURE, axis)]:
        places = run.axis_values(Kind.CREATURE, axis).tolist()
        path = run.one_environment.axis_values(Kind.CREATURE, axis).tolist()
        assert site.run("run.flog", "path", x=axis, points=5000)["axis"] == path
        for row in (0, 31, len(places) - 1):
            frame = site.run("run.flog", "frame", x=axis, at=places[row], nearest=1)
            assert frame["axes"][axis] == frame["x"] == places[row]


# Events of a log whose stats have the steps 0, 100, ... 3,900 at the seconds 0, 1, ... 39, and where each of them is.
_EVENTS: dict[str, tuple[dict[float, dict[str, Any]], list[float]]] = {
    "without a step, between frames": ({0.25: {}, 3.5: {}, 38.75: {}}, [25, 350, 3875]),
    "before the first and after the last frame": ({-3.0: {}, 99.0: {}}, [0, 3900]),
    "with a step of their own": ({0.25: {"step": 40}, 3.5: {"step": 301}}, [40, 301]),
    "some with a step": ({0.25: {"step": 40}, 3.5: {}, 7.5: {"step": 777}}, [40, 350, 777]),
    "steps that begin anew": ({0.25: {"step": 40}, 3.5: {"step": 3}}, [25, 350]),
    "steps that count something else": ({0.25: {"step": 40}, 3.5: {"step": 900_000}}, [25, 350]),
    "two keys of a step": ({0.25: {"global_step": 39, "step": 40}, 3.5: {"global_step": 301}}, [40, 301]),
    "a step in words": ({0.25: {"step": "early"}, 3.5: {"step": "301"}}, [25, 301]),
}


@pytest.mark.parametrize("name", _EVENTS)
def test_the_places_of_events(name: str, runs: Path, serve: Callable[..., Site]) -> None:
    """An event is where it says, if that fits the axis, and otherwise where frames of its time are."""
    events, places = _EVENTS[name]
    write_log(
        runs / "run.flog",
        [{"step": n * 100, "episode": n // 5, "reward": n / 3} for n in range(40)],
        events={time: {"type": "fall", **data} for time, data in events.items()},
        creature=[{"step": n * 10 + 7, "speed": n / 3} for n in range(390)],
    )
    run = Run(trainlog.open(runs / "run.flog"))
    site = serve(runs)
    assert run.events_at(Kind.STATS, "step")["fall"].tolist() == places
    for axis in AXES:
        told = site.run("run.flog", "events", x=axis)["events"] if run.has_axis(Kind.STATS, axis) else []
        for kind in (Kind.STATS, Kind.CREATURE):
            if told and run.has_axis(kind, axis):
                drawn = run.events_at(kind, axis)["fall"].tolist()
                assert [event["among"].get(str(kind), event["x"]) for event in told] == drawn
                assert kind != Kind.STATS or [event["x"] for event in told] == drawn


def test_events_between_frames_whose_clock_goes_back(runs: Path, serve: Callable[..., Site]) -> None:
    with trainlog.create(runs / "run.flog") as writer:
        for n, time in enumerate((0.0, 1.0, 5.0, 2.0, 3.0, 4.0)):
            writer.write(trainlog.Frame(time, Kind.STATS, {"step": n * 10, "reward": n / 3}))
        writer.write(trainlog.Frame(1.5, Kind.EVENT, {"type": "fall"}))
    run = Run(trainlog.open(runs / "run.flog"))
    (event,) = serve(runs).run("run.flog", "events", x="step")["events"]
    assert run.events_at(Kind.STATS, "step")["fall"].tolist() == [event["x"]] == [20.0]


def test_steps_of_episodes_end_where_their_summary_says(runs: Path, serve: Callable[..., Site]) -> None:
    """However few of their steps were recorded, and whatever clocks say."""
    said = LOGS["summaries of episodes, of which few steps were recorded"]["stats"]
    with trainlog.create(runs / "run.flog") as writer:
        for n, summary in enumerate(said):
            for step in (1, 26, 51):
                writer.write(trainlog.Frame(1.0, Kind.CREATURE, {"step": step, "speed": step + n}))
            writer.write(trainlog.Frame(1.0, Kind.STATS, summary))
    run = Run(trainlog.open(runs / "run.flog"))
    drawn = run.axis_values(Kind.CREATURE, "step").tolist()
    assert drawn == [100.0 * n + step for n in range(len(said)) for step in (1, 26, 51)]
    assert not run.is_added_up(Kind.CREATURE, "step")
    curve = serve(runs).run("run.flog", "series", kind="creature", keys="speed", x="step")["series"]["speed"]
    assert curve["x"] == drawn
    trainlog.convert(runs / "run.flog", runs / "run.svg")
    overview = pictures([run], PlotOptions())[0]
    (saved,) = save_picture(overview, runs, formats=["svg"])
    assert (runs / "run.svg").read_bytes() == saved.read_bytes(), "a conversion keeps the order of the frames"


def test_the_reward(log: Path, runs: Path, serve: Callable[..., Site]) -> None:
    """The list of runs, the first chart, the figures and the curves made of a log mean the same by its reward."""
    run = Run(trainlog.open(log))
    site = serve(runs)
    table = run.columns(Kind.STATS).table
    key = run.conventions.reward(table, lambda key: bool(np.isfinite(table.numbers(key)).any()))
    assert key is not None
    numbers = table.numbers(key)
    site.until(lambda: site.get("/api/v1/runs").json["runs"][0]["reward"] is not None)
    listed = site.get("/api/v1/runs").json["runs"][0]["reward"]
    assert listed == numbers[np.isfinite(numbers)][-1]
    shown = {
        each["key"]
        for card in site.run("run.flog")["cards"]
        for each in card["series"]
        if each["label"] == "reward" or card["id"] == "episodes-return"
    }
    assert shown == {key}
    assert str(main_metric([run])) == key
    recorder = TrainingCurveRecorder.from_log(log)
    np.testing.assert_array_equal(recorder.reward_history, numbers)


def test_the_path(log: Path, runs: Path, serve: Callable[..., Site]) -> None:
    """The trajectory is drawn from the same key."""
    run = Run(trainlog.open(log))
    found = [one for one in pictures([run], PlotOptions()) if one.name == "trajectory"]
    if not run.columns(Kind.CREATURE).table.rows:
        assert not found
        return
    places = serve(runs).run("run.flog", "path", points=5000)
    if not found:
        assert "x" not in places
        return
    (picture,) = found
    for name in ("x", "y"):
        drawn = picture.blocks[0].columns[name].tolist()
        assert places[name] == [value if math.isfinite(value) else None for value in drawn]


_WALK = ("walk", "run")
_STRIPS: dict[str, list[dict[str, Any]]] = {
    "absent at times": [{"behavior": _WALK[n // 5 % 2]} if n % 3 else {} for n in range(40)],
    "null at times": [{"behavior": _WALK[n // 5 % 2] if n % 3 else None} for n in range(40)],
    "empty at times": [{"behavior": _WALK[n // 5 % 2] if n % 3 else ""} for n in range(40)],
    "NaN at times": [{"behavior": _WALK[n // 5 % 2] if n % 3 else _NAN} for n in range(40)],
    "a number at times": [{"behavior": _WALK[n // 5 % 2] if n % 3 else n} for n in range(40)],
    "a list at times": [{"behavior": _WALK[n // 5 % 2] if n % 3 else [n, 1]} for n in range(40)],
}


@pytest.mark.parametrize("name", _STRIPS)
def test_the_words(name: str, runs: Path, serve: Callable[..., Site]) -> None:
    """A frame without a word goes on with that before it, also at the beginning of a range; a number is a gap."""
    run = Run(write_log(runs / "run.flog", [{"step": n, **row} for n, row in enumerate(_STRIPS[name])]))
    x, words = words_over(run, Kind.STATS, "behavior", run.axis(Kind.STATS, "step"))
    drawn = [(x[n], words[n]) for n in range(len(x)) if not n or words[n] != words[n - 1]]
    site = serve(runs)
    strip = site.run("run.flog", "series", keys="behavior", x="step")["series"]["behavior"]
    texts = [*strip["texts"], None]
    assert list(zip(strip["x"], [texts[code] for code in strip["code"]], strict=True)) == drawn
    for low in range(2, 30):
        part = site.run("run.flog", "series", keys="behavior", x="step", **{"from": low, "to": 35})["series"][
            "behavior"
        ]
        assert texts[part["code"][0]] == [word for place, word in drawn if place <= low - 1][-1]


def test_words_with_some_numbers_are_words(runs: Path, serve: Callable[..., Site]) -> None:
    """They name states: a strip in both, and no reward."""
    rows = [{"step": n, "reward": ("low", "high", 1.5)[n % 3], "loss": 1 / (n + 1)} for n in range(40)]
    run = Run(write_log(runs / "run.flog", rows))
    site = serve(runs)
    assert "states" in [picture.name for picture in pictures([run], PlotOptions())]
    assert str(main_metric([run])) == "loss"
    assert site.run("run.flog")["kinds"]["stats"]["keys"]["reward"]["shape"] == "text"
    strip = site.run("run.flog", "series", keys="reward", x="step")["series"]["reward"]
    assert strip["texts"] == ["low", "high"]


# Creature frames, and the environment that the path is of where there are several.
_MOVES: dict[str, tuple[list[dict[str, Any]], str | None]] = {
    "com from the second frame on": ([{**_arc(n), **(_com(n) if n else {})} for n in range(60)], None),
    "com null at first": ([{**_arc(n), **(_com(n) if n > 4 else {"com": None})} for n in range(60)], None),
    "com with two elements, then three": (
        [{**_arc(n), "com": [*_turn(n), 0.3][: 2 if n < 5 else 3]} for n in range(60)],
        None,
    ),
    "x and y in the last frames": (
        [{**_com(n), **({"x": n * 1.0, "y": math.sin(n)} if n > 40 else {})} for n in range(60)],
        None,
    ),
    "along x": ([{"x": n * 0.1, "y": 2.0} for n in range(60)], None),
    "along y, of com": ([{"com": [0.5, n * n * 0.1, 0.3]} for n in range(60)], None),
    "a free joint that moves along a line, at last": (
        [{"qpos": [max(0.0, n - 50.0), 0.0, 0.3, 1.0, 0.0, 0.0, 0.0]} for n in range(60)],
        None,
    ),
    "environments by turns": ([{"env": n % 2, "x": _turn(n)[0] + n % 2, "y": _turn(n)[1]} for n in range(60)], "1"),
    "environments in each frame": (
        [{"env": [4, 7], "x": [_turn(n)[0], 9.0], "y": [_turn(n)[1], n]} for n in range(60)],
        "4",
    ),
    "environments that log other keys": ([{"env": n % 2, **(_arc(n) if n % 2 else _com(n))} for n in range(60)], "1"),
}


@pytest.mark.parametrize("name", _MOVES)
def test_the_path_is_by_the_whole_log(name: str, runs: Path, serve: Callable[..., Site]) -> None:
    """It is of one key and one environment, whichever frames are asked for, and whatever the first of them lacks."""
    creature, environment = _MOVES[name]
    write_log(runs / "run.flog", [{"step": n} for n in range(7)], creature=creature)
    (picture,) = [
        one for one in pictures([Run(trainlog.open(runs / "run.flog"))], PlotOptions()) if one.name == "trajectory"
    ]
    columns = picture.blocks[0].columns
    drawn = {
        time: (x, y) if math.isfinite(x) else (None, None)
        for time, x, y in zip(columns["time"].tolist(), columns["x"].tolist(), columns["y"].tolist(), strict=True)
    }
    site = serve(runs)
    for query in ({}, {"from": 0.1, "to": 5.9}, {"points": 7}):
        places = site.run("run.flog", "path", **{"points": 5000, **query})
        assert all(drawn[time] == (x, y) for time, x, y in zip(places["time"], places["x"], places["y"], strict=True))
        asked = [time for time in drawn if not query or 0.1 <= time <= 5.9]
        assert len(places["x"]) == (7 if "points" in query else len(asked))
        assert places.get("environment") == environment


@pytest.mark.parametrize(
    "creature",
    [
        [{"x": 1.0, "y": 2.0, "step": n} for n in range(60)],
        [{"x": n * 1.0, "step": n} for n in range(60)],
        [{"com": [1.0, 2.0, n * 0.1]} for n in range(60)],
        [{"x": 1.0, "y": 2.0}],
        [{"x": n * 1.0, "y": _NAN} for n in range(60)],
        [{"env": n % 2, "x": n % 2 or n * 1.0, "y": 0.0} for n in range(60)],
    ],
)
def test_no_path_without_two_places(creature: list[dict[str, Any]], runs: Path, serve: Callable[..., Site]) -> None:
    """Of a robot that never moves, or of which one coordinate is known."""
    write_log(runs / "run.flog", [{"step": n, "reward": n / 2} for n in range(9)], creature=creature)
    drawn = pictures([Run(trainlog.open(runs / "run.flog"))], PlotOptions())
    assert "trajectory" not in [picture.name for picture in drawn]
    assert not {"x", "y"} & serve(runs).run("run.flog", "path").keys()


def test_the_rows_as_csv(runs: Path, serve: Callable[..., Site]) -> None:
    """The dashboard's file is that of the replay: no value that was logged is lost, whatever its type."""
    values = [1, None, _NAN, math.inf, -math.inf, 2.5, True, "walk", "x" * 300, [1, 2.0], 2**60]
    rows = [{"step": n, "a": value} for n, value in enumerate(values)]
    texts = [{"step": n, "a": f"state {n}"} for n in range(300)]  # more than a chart could tell apart
    write_log(runs / "run.flog", [*rows, {"step": 99}, *texts])
    trainlog.FlogReplay(runs / "run.flog").export_stats_csv(runs / "run.csv", ["step", "a"])
    site = serve(runs)
    answer = site.get(f"/api/v1/runs/{site.id('run.flog')}/rows.csv", keys="step,a", x="step")
    mine, other = answer.body.decode().splitlines(), (runs / "run.csv").read_text("utf-8").splitlines()
    assert mine[0] == "time,step,a"
    assert mine[1:] == other[1:]
    assert [line.partition(",")[2] for line in mine[1:6]] == ["0,1", "1,", "2,nan", "3,inf", "4,-inf"]


def test_a_declared_reward_is_the_reward(runs: Path, serve: Callable[..., Site]) -> None:
    path = runs / "run.flog"
    with trainlog.create(path, variables=[Variable("gain", "reward")]) as writer:
        writer.write_all(
            trainlog.Frame(float(n), Kind.STATS, {"step": n, "gain": n / 2, "loss": 1.0}) for n in range(20)
        )
    run = Run(trainlog.open(path))
    assert run.metrics()[0] == Metric(Kind.STATS, "gain")
    site = serve(runs)
    site.until(lambda: site.get("/api/v1/runs").json["runs"][0]["reward"] is not None)
    assert site.get("/api/v1/runs").json["runs"][0]["reward"] == 9.5
    assert TrainingCurveRecorder.from_log(path).reward_history == [n / 2 for n in range(20)]
