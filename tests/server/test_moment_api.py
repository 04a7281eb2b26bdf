"""The exact frame at a place of a chart, and what the page has to know to draw learned functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from handmade import Flog
from trainlog import Frame, Kind, Variable

STATS, CREATURE = 2, 4


def sparse_stats(path: Path, steps: int = 30_000, *, own: bool = True) -> None:
    """A creature frame each ten steps, statistics each thousand; the clock is slow at the start and then fast."""
    frames = [Flog.header({"creature": "go2"})]
    for n in range(0, steps, 10):
        time = n / 1000 if n < steps / 2 else steps / 2000 + (n - steps / 2) / 50
        frames.append(Flog.frame(time, CREATURE, {**({"step": n} if own else {}), "x": n / 7, "y": 0.0}))
        if n % 1000 == 0:
            frames.append(Flog.frame(time, STATS, {"step": n, "episode": n // 5000, "reward": n / 3}))
    path.write_bytes(b"".join(frames))


@pytest.mark.parametrize("at", [0, 4, 6, 1234, 1235.1, 15_004, 15_006, 22_222, 29_986, 29_990, 40_000])
def test_the_nearest_creature_frame_not_that_of_the_statistics(
    serve: Callable[..., Any], runs: Path, at: float
) -> None:
    sparse_stats(runs / "x.flog")
    frame = serve(runs).run("x.flog", "frame", x="step", at=at, nearest=1)
    nearest = min(range(0, 30_000, 10), key=lambda step: abs(step - at))
    assert (frame["step"], frame["x"], frame["data"]["x"]) == (nearest, nearest, nearest / 7)


def test_frames_without_a_step_are_placed_by_the_time_between_statistics(serve: Callable[..., Any], runs: Path) -> None:
    sparse_stats(runs / "x.flog", own=False)
    site = serve(runs)
    for at in (1230, 17_000, 25_555):
        frame = site.run("x.flog", "frame", x="step", at=at, nearest=1)
        assert abs(frame["data"]["x"] * 7 - at) <= 10
        assert abs(frame["x"] - at) <= 10


def test_of_frames_at_the_same_time_the_one_with_the_number(serve: Callable[..., Any], runs: Path) -> None:
    """As several environments have them, or one whose clock starts again."""
    frames = [Flog.frame(n * 0.5, CREATURE, {"step": n, "env": env, "x": 0.0}) for n in range(9) for env in range(4)]
    (runs / "x.flog").write_bytes(Flog.header({}) + b"".join(frames))
    site = serve(runs)
    for nearest in (0, 1):
        for row in range(12, 16):
            frame = site.run("x.flog", "frame", at=1.5, nearest=nearest, row=row)
            assert (frame["row"], frame["data"]["env"]) == (row, row - 12)
        for row in (3, 16, 99):  # the log has been replaced
            frame = site.run("x.flog", "frame", at=1.5, nearest=nearest, row=row)
            assert frame == site.run("x.flog", "frame", at=1.5, nearest=nearest)
            assert frame["time"] == 1.5


def test_a_frame_by_time_by_number_and_the_last_one_before(serve: Callable[..., Any], runs: Path) -> None:
    sparse_stats(runs / "x.flog")
    site = serve(runs)
    assert site.run("x.flog", "frame", at=1.239)["step"] == 1230
    assert site.run("x.flog", "frame", at=1.239, nearest=1)["step"] == 1240
    assert site.run("x.flog", "frame", x="step", at=1239)["step"] == 1230
    assert site.run("x.flog", "frame", x="step", row=77)["x"] == 770
    path = site.run("x.flog", "path", x="step", points=50)
    assert path["axis"] == [10 * row for row in path["row"]]


def test_a_frame_by_time_where_the_clock_starts_again(serve: Callable[..., Any], runs: Path) -> None:
    """As that of a simulation does with each episode."""
    times = [*range(1000), *[*range(11)] * 200]
    frames = [Flog.frame(float(time), CREATURE, {"step": n}) for n, time in enumerate(times)]
    (runs / "x.flog").write_bytes(Flog.header({}) + b"".join(frames))
    site, log = serve(runs), trainlog.open(runs / "x.flog")
    for at in (5, 500, 999):
        assert site.run("x.flog", "frame", at=at, nearest=1)["step"] == at
        assert site.run("x.flog", "frame", at=at)["step"] == log.at(at).data["step"]


def test_numbers_are_told_exactly(serve: Callable[..., Any], runs: Path) -> None:
    data = {"step": 2**53 + 1, "u": 2**64 - 1, "bad": math.inf, "deep": {"nan": math.nan, "none": None}, "v": 0.1}
    (runs / "x.flog").write_bytes(Flog.header({}) + Flog.frame(0.0, CREATURE, data))
    site = serve(runs)
    answer = site.get(f"/api/v1/runs/{site.id('x.flog')}/frame", row=0)
    assert b'"step": 9007199254740993' in answer.body
    assert answer.json["data"]["u"] == 2**64 - 1
    assert answer.json["no_numbers"] == {"bad": "inf", "deep/nan": "nan"}


def test_an_axis_without_numbers_does_not_hide_the_frame(serve: Callable[..., Any], runs: Path) -> None:
    frames = [Flog.frame(n, kind, {"episode": math.nan, "x": n}) for n in range(3) for kind in (STATS, CREATURE)]
    (runs / "x.flog").write_bytes(Flog.header({}) + b"".join(frames))
    frame = serve(runs).run("x.flog", "frame", at=1.9)
    assert (frame["row"], frame["axes"]) == (1, {"time": 1.0})


def simion_logs(real_logs: Path) -> list[Path]:
    return sorted((real_logs / "simion").rglob("*.simion.log"))


def true_steps(log: trainlog.Reader) -> list[tuple[float, float]]:
    """Of each step its cumulative number, and its episode and part of it, counted by hand."""
    found, before, number = [], 0, 0
    episode: list[int] = []
    length = 0
    for frame in log.frames():
        if frame.kind == Kind.CREATURE:
            episode.append(frame.data["step"])
        if frame.kind == Kind.STATS:
            length = frame.data["length"]
            found += [(before + step, number + step / length) for step in episode]
            before, number, episode = before + length, number + 1, []
    return found + [(before + step, number + min(step / length, 1)) for step in episode]


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")  # one of them has a malformed descriptor
def test_every_step_of_a_simion_log_is_at_its_true_place(serve: Callable[..., Any], real_logs: Path) -> None:
    site = serve(real_logs / "simion")
    for path in simion_logs(real_logs):
        name = path.relative_to(real_logs / "simion").as_posix()
        log = trainlog.open(path)
        truth = true_steps(log)
        about = site.run(name)
        assert about["axis_order"][0] == "episode"
        key = next(key for key in about["kinds"]["creature"]["keys"] if key.startswith("state/"))
        values = [frame.data[key] for frame in log.frames(Kind.CREATURE)]
        for place, axis in enumerate(("step", "episode")):
            curve = site.run(name, "series", kind="creature", keys=key, x=axis, points=20_000)["series"][key]
            assert curve["x"] == pytest.approx([each[place] for each in truth], abs=1e-9)
            assert curve["y"] == values
            for row in (0, 1, len(truth) // 2, len(truth) - 1):
                frame = site.run(name, "frame", x=axis, at=truth[row][place], nearest=1)
                assert (frame["row"], frame["x"]) == (row, pytest.approx(truth[row][place]))
        ends = site.run(name, "series", keys="return", x="step")["series"]["return"]["x"]
        assert set(ends) <= {step for step, _ in truth}


def test_within_an_episode_the_step_is_that_of_the_episode(serve: Callable[..., Any], runs: Path, simion: str) -> None:
    site = serve(runs)
    rows = site.run(simion, "rows", keys="step")
    begin, end = rows["time"][2], rows["time"][3]
    steps = [
        frame.data["step"] for frame in trainlog.open(runs / simion).frames("creature") if begin < frame.time <= end
    ]
    nearest = min(steps, key=lambda step: abs(step - 480))
    frame = site.run(simion, "frame", x="step", at=480, nearest=1, span=f"{begin + 1e-9}:{end}")
    assert (frame["step"], frame["x"]) == (nearest, nearest)
    assert site.run(simion, "frame", x="step", at=480, nearest=1, span=f"{end}:{begin + 1e-9}")["row"] == frame["row"]
    whole = site.run(simion, "frame", x="step", row=frame["row"])
    assert whole["x"] == rows["columns"]["step"][2] + nearest


def test_a_path_in_states_says_where_an_angle_goes_around(serve: Callable[..., Any], runs: Path, simion: str) -> None:
    path = serve(runs).run(simion, "path")
    assert path["labels"] == ["angle (rad)", "angular-velocity (rad/s)"]
    assert path["periods"] == [pytest.approx(2 * math.pi), None]


def function_log(path: Path) -> np.ndarray:
    """A function of two variables, in three slices, sampled four times; another one of the same name."""
    values = np.arange(4 * 3 * 2 * 5, dtype=float).reshape(4, 3, 2, 5) - 17
    values[1, 0, 0, 0] = math.nan
    variables = (
        Variable("a", "state", key="state/a", unit="rad", low=-2.0, high=2.0),
        Variable("b", "state", key="state/b", unit="m", low=0.0, high=1.0),
    )
    with trainlog.create(path, {}, variables=variables) as log:
        for n, sample in enumerate(values):
            common = {"type": "function_sample", "function": "V(a,b)", "step": n, "experiment_step": 100 * n}
            own = {"id": 0, "shape": list(sample.shape), "values": sample.ravel().tolist()}
            log.write(Frame(float(n), Kind.EVENT, {**common, **own}))
            log.write(Frame(float(n), Kind.EVENT, {**common, "id": 7, "shape": [1, 1, 2], "values": [5.0, float(n)]}))
    return values


def test_functions_have_different_names(serve: Callable[..., Any], runs: Path) -> None:
    names = ["V#2", "V", "V"]
    with trainlog.create(runs / "x.flog", {}) as log:
        for id, name in enumerate(names):
            data = {"type": "function_sample", "function": name, "id": id, "shape": [1, 1, 1], "values": [0.0]}
            log.write(Frame(0.0, Kind.EVENT, data))
    found = serve(runs).run("x.flog", "functions")["functions"]
    assert [one["name"] for one in found] == ["V#2", "V", "V#3"]


def test_functions_are_told_with_variables_slices_and_one_range(serve: Callable[..., Any], runs: Path) -> None:
    values = function_log(runs / "x.flog")
    site = serve(runs)
    first, second = site.run("x.flog", "functions")["functions"]
    assert (first["name"], first["shape"], second["name"], second["shape"]) == (
        "V(a,b)",
        [3, 2, 5],
        "V(a,b)#2",
        [1, 1, 2],
    )
    assert first["axes"] == [
        {"name": "a", "unit": "rad", "low": -2.0, "high": 2.0},
        {"name": "b", "unit": "m", "low": 0.0, "high": 1.0},
    ]
    assert (first["range"], second["range"]) == ([np.nanmin(values), np.nanmax(values)], [0.0, 5.0])
    for z in range(3):
        sample = site.run("x.flog", "function", row=first["samples"]["row"][2], z=z)
        assert (sample["shape"], sample["z"], sample["grid"]) == ([3, 2, 5], z, values[2, z].tolist())
    address = f"/api/v1/runs/{site.id('x.flog')}/function"
    assert site.get(address, row=first["samples"]["row"][0], z=3).status == 400
    assert site.run("x.flog", "function", row=first["samples"]["row"][1])["grid"][0][0] is None


def test_the_range_grows_with_the_samples(serve: Callable[..., Any], runs: Path) -> None:
    def sample(value: float) -> bytes:
        data = {"type": "function_sample", "function": "V(a)", "id": 0, "shape": [1, 1, 2], "values": [0.0, value]}
        return Flog.frame(value, 3, data)

    path = runs / "x.flog"
    path.write_bytes(Flog.header({}) + sample(1.0))
    site = serve(runs)
    assert site.run("x.flog", "functions")["functions"][0]["range"] == [0.0, 1.0]
    with path.open("ab") as file:
        file.write(sample(9.0))
    site.until(lambda: site.run("x.flog", "functions")["functions"][0]["range"] == [0.0, 9.0])


SIX = {
    "ball": ["ball_dist"],
    "actor": ["actor_competence", "cpg_weight"],
    "learning": ["reward", "task_pe", "pred_error"],
    "cerebellum": ["pf_pkc_weight", "correction_mag", "grc_sparseness"],
    "stability": ["upright", "vel_mps"],
    "behavior": ["behavior"],
}


def test_the_six_charts_are_right_on_every_real_log(serve: Callable[..., Any], real_logs: Path) -> None:
    folder = real_logs / "flog"
    site = serve(folder)
    for path in sorted(folder.glob("*.bin")):
        rows = [frame.data for frame in trainlog.open(path).frames(Kind.STATS)]
        site.until(lambda path=path: site.run(path.name)["progress"] == 1)
        cards = {card["id"]: card for card in site.run(path.name)["cards"]}
        for id, keys in SIX.items():
            there = [key for key in keys if any(isinstance(row.get(key), int | float | str) for row in rows)]
            shown = [one["key"] for one in cards.get(id, {"series": []})["series"]]
            assert shown == there or (id, shown) == ("behavior", ["phase"]), (path.name, id)
            for key in there:
                curve = site.run(path.name, "series", keys=key, x="step", points=20_000)["series"][key]
                if "texts" in curve:
                    code = [curve["texts"][one] for one in curve["code"]]
                    steps = [row["step"] for row in rows]
                    whole = [code[int(np.searchsorted(curve["x"], step, side="right")) - 1] for step in steps]
                    assert whole == [row[key] for row in rows]
                else:
                    assert curve["y"] == [row[key] for row in rows if key in row]
                    assert curve["x"] == [row["step"] for row in rows if key in row]
