"""What the server answers about logs that lie still."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from handmade import Flog
from trainlog.draw import centered_average, ema
from trainlog.errors import LogNotFound


def stats(count: int, **more: Any) -> list[bytes]:
    return [Flog.frame(n / 10, 2, {"step": 10 * n, "reward": math.sin(n / 9), **more}) for n in range(count)]


def write(path: Path, frames: list[bytes], meta: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(Flog.header(meta) + b"".join(frames))
    return path


def test_logs_are_found_by_content_in_a_tree(serve: Callable[..., Any], runs: Path, simion: str) -> None:
    write(runs / "a" / "b" / "training_log.bin", stats(3), {"creature": "go2", "task": "walk"})
    write(runs / "without_suffix", stats(4))
    write(runs / ".hidden" / "x.flog", stats(1))
    (runs / "notes.bin").write_bytes(b"FLOC no log at all")
    (runs / "empty.flog").write_bytes(b"")
    site = serve(runs)
    site.until(lambda: all(run["frames"] is not None for run in site.get("/api/v1/runs").json["runs"]))
    found = {run["path"]: run for run in site.get("/api/v1/runs").json["runs"]}
    assert found.keys() == {"a/b/training_log.bin", "without_suffix", "empty.flog", simion}
    one = found["a/b/training_log.bin"]
    assert (one["creature"], one["task"], one["frames"], one["step"]) == ("go2", "walk", 3, 20)
    assert one["reward"] == pytest.approx(math.sin(2 / 9))
    assert found["empty.flog"]["frames"] == 0
    assert found[simion]["frames"] == 1508


def test_an_answer_has_a_bound_whatever_the_log_says(serve: Callable[..., Any], runs: Path) -> None:
    long = {f"k{n}" + "x" * 8_000: n for n in range(200)}
    frames = [Flog.frame(n / 10, kind, {"type": "t" * 9000, "step": n, **long}) for n in range(3) for kind in (2, 3)]
    meta = {"creature": "c" * 20_000, "deep": {"a": ["b" * 5_000] * 10_000}}
    site = serve(runs)
    write(runs / "a.flog", frames, meta)
    site.until(lambda: site.run("a.flog")["progress"] == 1)
    about = site.run("a.flog")
    assert not about["kinds"]["stats"]["all_keys"]
    assert "step" in about["kinds"]["stats"]["keys"]
    assert len(about["meta"]["creature"]) == 4001
    assert about["meta"]["creature"].endswith("…")
    for answer in (about, site.run("a.flog", "events"), site.get("/api/flog/analyze", path="a.flog").json):
        assert len(str(answer)) < 64 << 20
    write(runs / "b.flog", stats(3), {"creature": "go2"})
    assert site.run("b.flog")["kinds"]["stats"]["all_keys"]
    assert site.run("b.flog")["meta"] == {"creature": "go2"}


def test_new_logs_appear_and_lost_ones_go(serve: Callable[..., Any], runs: Path) -> None:
    site = serve(runs)
    assert site.get("/api/v1/runs").json["runs"] == []
    path = write(runs / "new.flog", stats(2))
    id = site.id("new.flog")
    path.unlink()
    site.until(lambda: site.get("/api/v1/runs").json["runs"] == [])
    assert site.get(f"/api/v1/runs/{id}").status == 404


def test_a_damaged_file_is_listed_with_what_is_wrong(serve: Callable[..., Any], runs: Path) -> None:
    (runs / "cut.flog").write_bytes(Flog.header({"creature": "x"})[:-3])
    site = serve(runs)
    (run,) = site.get("/api/v1/runs").json["runs"]
    assert "metadata" in run["error"] or "record" in run["error"]


def test_several_roots_have_their_names_before_the_paths(serve: Callable[..., Any], runs: Path) -> None:
    write(runs / "one" / "x.flog", stats(1))
    write(runs / "two" / "x.flog", stats(1))
    site = serve(runs / "one", runs / "two")
    assert {run["path"] for run in site.get("/api/v1/runs").json["runs"]} == {"one/x.flog", "two/x.flog"}


def test_roots_of_one_name_are_told_apart(serve: Callable[..., Any], runs: Path) -> None:
    for place in ("a/runs", "b/runs", "c"):
        write(runs / place / "x.flog", stats(1))
    for roots, names in {
        ("a/runs", "b/runs"): ["a/runs/x.flog", "b/runs/x.flog"],
        ("a/runs/x.flog", "c/x.flog"): ["c/x.flog", "runs/x.flog"],
        ("c", "a/runs/x.flog"): ["c/x.flog", "x.flog"],
    }.items():
        site = serve(*map(runs.joinpath, roots))
        assert sorted(run["path"] for run in site.get("/api/v1/runs").json["runs"]) == names
        assert [site.get("/api/flog/analyze", path=name).json["n_stats"] for name in names] == [1, 1]


def test_a_root_that_is_a_folder_of_shards_has_its_name(serve: Callable[..., Any], runs: Path) -> None:
    folder = runs / "run.flog"
    for rank in range(2):
        with trainlog.TrainingRecorder(folder, "ant", "run", shard=rank) as log:
            log.stats({"reward": 1.0})
    for roots in ([folder], [folder, runs]):
        site = serve(*roots)
        assert "run.flog" in {run["path"] for run in site.get("/api/v1/runs").json["runs"]}
        assert site.get("/api/flog/analyze", path="run.flog").json["n_stats"] == 2


def test_a_missing_root_is_an_error(serve: Callable[..., Any], runs: Path) -> None:
    with pytest.raises(LogNotFound):
        serve(runs / "nothing")


def test_what_a_run_is(serve: Callable[..., Any], runs: Path) -> None:
    frames = [*stats(4, behavior="walk", flag=True), Flog.frame(0.5, 4, {"step": 1, "pos": [1.0, 2.0], "speed": 0.5})]
    write(runs / "x.flog", frames, {"dt": 0.01, "bad": math.inf})
    run = serve(runs).run("x.flog")
    assert run["meta"] == {"dt": 0.01, "bad": None}
    assert run["axes"] == ["step", "time", "sim_time"]
    assert run["progress"] == 1
    behavior = run["kinds"]["stats"]["keys"]["behavior"]
    assert behavior == {"shape": "text", "last": "walk", "texts": ["walk"], "clock": False, "tier": 4, "group": ""}
    assert run["kinds"]["stats"]["keys"]["step"]["clock"]
    assert run["kinds"]["stats"]["axes"]["sim_time"] == {"key": "step", "factor": 0.01}
    assert [(card["id"], [one["key"] for one in card["series"]]) for card in run["cards"]] == [
        ("learning", ["reward"]),
        ("behavior", ["behavior"]),
    ]
    assert run["kinds"]["creature"]["keys"]["pos"]["shape"] == "list"
    assert run["kinds"]["creature"]["read"] == 0  # nobody asked for their values


def test_a_curve_is_every_point_or_honestly_thinned(serve: Callable[..., Any], runs: Path) -> None:
    frames = stats(3000)
    frames[1717] = Flog.frame(171.7, 2, {"step": 17170, "reward": 99.0})
    write(runs / "x.flog", frames)
    site = serve(runs)
    site.until(lambda: site.run("x.flog")["progress"] == 1)
    whole = site.run("x.flog", "series", keys="reward", x="step", points=5000)["series"]["reward"]
    assert len(whole["y"]) == 3000
    assert not whole["thinned"]
    few = site.run("x.flog", "series", keys="reward", x="step", points=100)["series"]["reward"]
    assert few["thinned"]
    assert len(few["y"]) <= 100
    assert 99.0 in few["y"]
    assert (few["x"][0], few["x"][-1]) == (0, 29990)
    near = site.run("x.flog", "series", keys="reward", x="step", points=100, from_=17000, to=17100)["series"]["reward"]
    assert near["x"] == [16990 + 10 * n for n in range(13)]  # full resolution, and one more on each side


def test_smoothing_of_a_thinned_curve_is_that_of_all_its_rows(serve: Callable[..., Any], runs: Path) -> None:
    write(runs / "x.flog", stats(3000))
    site = serve(runs)
    site.until(lambda: site.run("x.flog")["progress"] == 1)
    smooth = site.run("x.flog", "series", keys="reward", points=40, smooth=0.9)["series"]["reward"]["smooth"]
    expected = ema([math.sin(n / 9) for n in range(3000)], 0.1)
    assert smooth["y"][-1] == pytest.approx(expected[-1])
    assert smooth["y"][0] == pytest.approx(expected[0])  # no bias at the start
    assert smooth["label"] == "exponential mean, 0.9, trailing"
    centred = site.run("x.flog", "series", keys="reward", points=40, smooth=101, from_=10, to=12)["series"]["reward"]
    values = centered_average([math.sin(n / 9) for n in range(3000)], 101)
    shown = dict(zip(centred["smooth"]["x"], centred["smooth"]["y"], strict=True))
    assert shown[11] == pytest.approx(values[110])  # that of the whole curve, of which a part is shown
    assert (centred["smooth"]["label"], centred["smooth"]["window"]) == ("centred mean of 101", 101)


@pytest.mark.parametrize(
    ("axis", "last"), [("step", 90), ("time", 0.9), ("episode", 4), ("sim_time", 0.9), ("sim", 0.9)]
)
def test_each_axis(serve: Callable[..., Any], runs: Path, axis: str, last: float) -> None:
    frames = [Flog.frame(n / 10, 2, {"step": 10 * n, "episode": n // 2, "r": n}) for n in range(10)]
    frames.append(Flog.frame(0.45, 3, {"type": "fall", "msg": "it fell"}))
    write(runs / "x.flog", frames, {"dt": 0.01})
    site = serve(runs)
    assert site.run("x.flog", "series", keys="r", x=axis)["series"]["r"]["x"][-1] == pytest.approx(last)
    (event,) = site.run("x.flog", "events", x=axis)["events"]
    assert event["message"] == "it fell"
    assert 0 < event["x"] < last


def test_numbers_that_json_cannot_hold_are_null_and_counted_in_curves(serve: Callable[..., Any], runs: Path) -> None:
    values = [1.0, math.nan, math.inf, -math.inf, "2.5", True, None, "walk", 2**80 % 2**64]
    write(runs / "x.flog", [Flog.frame(n, 2, {"v": value}) for n, value in enumerate(values)])
    site = serve(runs)
    rows = site.run("x.flog", "rows", keys="v")
    assert rows["columns"]["v"] == [1.0, None, None, None, 2.5, 1.0, None, "walk", float(2**80 % 2**64)]
    write(runs / "y.flog", [Flog.frame(n, 2, {"v": value}) for n, value in enumerate(values[:6])])
    with (runs / "y.flog").open("ab") as file:
        file.write(Flog.frame(9, 2, {"v": None}) + Flog.frame(10, 2, {"other": 1}))
    curve = site.run("y.flog", "series", keys="v")["series"]["v"]
    assert curve["y"] == [1.0, 2.5, 1.0]
    assert (curve["nan"], curve["infinite"]) == (1, 2)
    assert site.run("x.flog", "frame", kind="stats", row=2)["data"] == {"v": None}


def test_csv_has_every_row_and_no_formula(serve: Callable[..., Any], runs: Path) -> None:
    write(runs / "x.flog", stats(5000, note="=cmd()"))
    site = serve(runs)
    answer = site.get(f"/api/v1/runs/{site.id('x.flog')}/rows.csv", keys="reward,note")
    rows = list(csv.reader(io.StringIO(answer.body.decode())))
    assert rows[0] == ["time", "reward", "note"]
    assert len(rows) == 5001
    assert float(rows[4321][1]) == math.sin(4320 / 9)
    assert rows[1][2] == "'=cmd()"
    assert "attachment" in answer.headers["content-disposition"]


def test_csv_of_text_that_is_no_utf8(serve: Callable[..., Any], runs: Path) -> None:
    write(runs / "x.flog", [Flog.frame(0, 2, b"\x82\xa4step\x01\xa4note\xa2a\xff")])
    site = serve(runs)
    answer = site.get(f"/api/v1/runs/{site.id('x.flog')}/rows.csv", keys="note")
    assert list(csv.reader(io.StringIO(answer.body.decode())))[1] == ["0.0", "a\\udcff"]


def test_the_frame_at_a_moment_is_the_last_one_before_it(serve: Callable[..., Any], runs: Path) -> None:
    frames = []
    for n in range(100):
        frames.append(Flog.frame(n, 4, {"step": 10 * n, "pos": [n, -n, 0.3], "vel": [0.5] * 6}))
        frames.append(Flog.frame(n, 2, {"step": 10 * n}))
    write(runs / "x.flog", frames)
    site = serve(runs)
    assert site.run("x.flog", "frame", at=41.9)["data"] == {"step": 410, "pos": [41, -41, 0.3], "vel": [0.5] * 6}
    assert site.run("x.flog", "frame", x="step", at=402)["row"] == 40
    assert site.run("x.flog", "frame", at=-5)["row"] == 0
    path = site.run("x.flog", "path", points=10, from_=10, to=60)
    assert (path["from"], path["to"], len(path["x"])) == (10, 60, 10)
    assert path["x"][0] == 10


def test_the_way_of_a_real_log(serve: Callable[..., Any], real_logs: Path) -> None:
    site = serve(real_logs / "flog")
    path = site.run("a_go2_ball.bin", "path", points=500)
    frames = list(trainlog.open(real_logs / "flog" / "a_go2_ball.bin").frames("creature"))
    chosen = np.unique(np.linspace(0, len(frames) - 1, 500).astype(int))
    assert path["x"] == [frames[n].data["x"] for n in chosen]
    assert path["ball_x"] == [frames[n].data["ball_pos"][0] for n in chosen]


def test_curves_of_a_real_log_are_its_columns(serve: Callable[..., Any], real_logs: Path) -> None:
    site = serve(real_logs / "flog")
    table = trainlog.open(real_logs / "flog" / "c_go2_hilly_sigkill.bin").table("stats")
    numbers = [key for key, column in table.items() if column.dtype.kind in "fi"]
    series = site.run("c_go2_hilly_sigkill.bin", "series", keys=",".join(numbers), x="step")["series"]
    for key in numbers:
        finite = np.isfinite(table[key].astype(float))
        assert series[key]["y"] == table[key][finite].astype(float).tolist(), key
    creature = trainlog.open(real_logs / "flog" / "c_go2_hilly_sigkill.bin").table("creature", keys=["speed"])
    speed = site.run("c_go2_hilly_sigkill.bin", "series", kind="creature", keys="speed")["series"]["speed"]
    assert speed["y"] == creature["speed"].tolist()


def test_simion_episodes_functions_and_units(serve: Callable[..., Any], runs: Path, simion: str) -> None:
    site = serve(runs)
    run = site.run(simion)
    assert run["episodes"]
    assert {variable["key"]: variable["unit"] for variable in run["variables"]}["state/angle"] == "rad"
    returns = {}
    for which in ("evaluation", "training"):
        returns[which] = site.run(simion, "series", keys="return", where=f"episode_type:{which}")["series"]["return"][
            "y"
        ]
    assert (len(returns["evaluation"]), len(returns["training"])) == (4, 30)
    whole = site.run(simion, "series", kind="creature", keys="state/angle", x="step")["series"]["state/angle"]
    assert whole["x"] == sorted(whole["x"])  # steps of the experiment, though each episode counts anew
    ends = site.run(simion, "rows", keys="episode")["time"]
    one = site.run(simion, "series", kind="creature", keys="state/angle", x="sim", span=f"{ends[3] + 1e-9}:{ends[4]}")[
        "series"
    ]["state/angle"]
    episode = list(trainlog.episodes(trainlog.open(runs / simion)))[4]
    assert one["x"] == episode.steps["episode_sim_time"].tolist()
    assert one["y"] == episode.steps["state/angle"].tolist()
    (function,) = site.run(simion, "functions")["functions"]
    sample = site.run(simion, "function", row=function["samples"]["row"][-1])
    events = [
        frame for frame in trainlog.open(runs / simion).frames("event") if frame.data["type"] == "function_sample"
    ]
    assert np.array(sample["grid"]).reshape(-1).tolist() == events[-1].data["values"]
    path = site.run(simion, "path")
    assert not path["position"]
    assert path["labels"] == ["angle (rad)", "angular-velocity (rad/s)"]


def test_the_description_names_every_address_and_parameter(serve: Callable[..., Any], runs: Path) -> None:
    from trainlog.server.app import _ROUTES

    document = serve(runs).get("/api/v1/openapi.json").json
    assert document["openapi"].startswith("3.1")
    described = set(document["paths"]) | {"/api/v1/openapi.json"}
    assert described == {path for path, _ in _ROUTES if path.startswith("/api/v1")}
    for path, item in document["paths"].items():
        named = [parameter["name"] for parameter in item["get"]["parameters"]]
        assert len(named) == len(set(named))
        assert ("{id}" in path) == ("id" in named)


def test_the_first_dashboards_answers(serve: Callable[..., Any], real_logs: Path) -> None:
    site = serve(real_logs / "flog")
    (listed,) = [one for one in site.get("/api/flog/list").json if one["path"] == "a_go2_ball.bin"]
    assert listed == {
        "path": "a_go2_ball.bin",
        "creature": "go2",
        "version": "v0.4.3",
        "task": "dog plays with ball on grass",
        "size_kb": 2793,
    }
    ours = site.get("/api/flog/analyze", path="a_go2_ball.bin").json
    theirs = json.loads((real_logs / "flog" / "a_go2_ball.analyze.json").read_text())
    assert ours.keys() == theirs.keys()
    for key in set(theirs) - {"stats", "physics_summary"}:
        assert ours[key] == theirs[key], key
    assert len(ours["stats"]) == len(theirs["stats"])
    for mine, other in zip(ours["stats"], theirs["stats"], strict=True):
        assert mine.keys() == other.keys()
        for key, value in other.items():  # the first server rounds to four digits
            assert mine[key] == (pytest.approx(value, abs=6e-5) if isinstance(value, float) else value), key
    summary, other = ours["physics_summary"], theirs["physics_summary"]
    assert summary.keys() == other.keys()
    assert (summary["count"], summary["trajectory"][0]) == (other["count"], other["trajectory"][0])
    assert summary["max_speed"] == pytest.approx(other["max_speed"], rel=0.1)


def test_watching_as_the_first_dashboard_did(serve: Callable[..., Any], runs: Path) -> None:
    path = write(runs / "x.flog", stats(5, note="é", nothing=None, bad=math.inf), {"creature": "go2", "task": "walk"})
    site = serve(runs)
    first = site.get("/api/flog/watch", path="x.flog", since=3).json
    assert (first["total"], first["creature"], first["task"]) == (5, "go2", "walk")
    assert [row["step"] for row in first["stats"]] == [30, 40]
    assert first["stats"][0] == {"timestamp": 0.3, "step": 30, "reward": math.sin(3 / 9), "note": "é", "bad": None}
    with path.open("ab") as file:
        file.write(b"".join(stats(7)[5:]))
    site.until(lambda: site.get("/api/flog/watch", path="x.flog", since=5).json["total"] == 7)
    assert site.get("/api/flog/watch/reset", path="x.flog").json == {"ok": True}
    assert len(site.get("/api/flog/watch", path="x.flog", since=0).json["stats"]) == 7
    assert site.get("/api/flog/watch", path="x.flog", since=99).json["stats"] == []


def test_any_codec_can_be_looked_at(serve: Callable[..., Any], runs: Path, real_logs: Path) -> None:
    source = real_logs / "simion" / "01-double-pendulum-cacla"
    for file in source.glob("*.simion.log*"):
        shutil.copyfile(file, runs / file.name)
    site = serve(runs)
    name = "double-pendulum-cacla.simion.log"
    assert site.get("/api/flog/watch", path=name, since=0).json["total"] == 11
    assert site.run(name, "frame", row=7)["data"]["step"] == 8
