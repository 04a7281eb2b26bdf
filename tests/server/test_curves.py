"""What the page draws curves of: gaps, places on other axes, keys of any name, damage; and figures of them."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import trainlog
from handmade import Flog
from trainlog.draw import layout, svg
from trainlog.live_log.log import _Part
from trainlog.model import Kind
from trainlog.plot import PlotOptions, pictures, runs_of


def write(path: Path, values: list[Any], key: str = "v", **more: Any) -> Path:
    frames = [Flog.frame(n / 10, 2, {"step": n * 10, "episode": n // 4, key: v, **more}) for n, v in enumerate(values)]
    path.write_bytes(Flog.header({"dt": 0.5}) + b"".join(frames))
    return path


def test_gaps_and_the_places_of_each_point(serve: Callable[..., Any], runs: Path) -> None:
    write(runs / "x.flog", [1.0, math.nan, math.inf, 2.0, None, 3.0, math.nan])
    curve = serve(runs).run("x.flog", "series", keys="v", x="step")["series"]["v"]
    assert (curve["x"], curve["y"]) == ([0, 30, 50], [1, 2, 3])
    assert curve["breaks"] == [1], "a null is no gap, and after the last value there is none to be seen"
    assert curve["at"] == {"time": [0, 0.3, 0.5], "episode": [0, 0, 1], "sim_time": [0, 15, 25]}


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("series?keys=v&x=step", lambda answer: answer.json["series"]["v"]["x"]),
        ("rows?keys=v&x=step", lambda answer: answer.json["axis"]),
        ("rows.csv?keys=v&x=step", lambda answer: [float(row.split(b",")[1]) for row in answer.body.split()[1:]]),
        ("events?x=step", lambda answer: [event["x"] for event in answer.json["events"]]),
        ("frame?kind=evolution&row=1", lambda answer: [0, answer.json["axes"]["step"]]),
    ],
)
def test_the_first_answer_waits_for_the_frames_that_have_the_axis(
    serve: Callable[..., Any], runs: Path, monkeypatch: pytest.MonkeyPatch, query: str, places: Callable[[Any], Any]
) -> None:
    """The steps are in the creature frames, which are read after all others."""
    advance, turns = _Part.advance, count()

    def advance_late(part: _Part, *rest: Any) -> bool:
        return advance(part, *rest) if Kind.CREATURE not in part.kinds or next(turns) > 5 else True

    monkeypatch.setattr(_Part, "advance", advance_late)
    frames = [Flog.frame(n / 10, 4, {"step": n}) for n in range(40)]
    frames += [Flog.frame(n / 10, kind, {"v": float(n), "type": "fall"}) for n in (0, 39) for kind in (1, 2, 3)]
    (runs / "x.flog").write_bytes(Flog.header({}) + b"".join(frames))
    site = serve(runs)
    assert places(site.get(f"/api/v1/runs/{site.id('x.flog')}/{query}")) == [0, 39]


def test_steps_of_processes_that_write_in_turns_are_not_added_up(serve: Callable[..., Any], runs: Path) -> None:
    """Frames of a process that come later are not the next episode."""
    logs = [trainlog.TrainingRecorder(runs / "run.flog", "ant", "run", shard=rank) for rank in range(2)]
    site, told = serve(runs), 0
    for begin in (0, 10, 20):
        for rank, log in enumerate(logs):
            for step in range(begin, begin + 10):
                log.record_creature_frame(step + rank / 10, {"step": step, "speed": 1.0})
            told += 10
            query = {"kind": "creature", "keys": "speed", "x": "step"}
            site.until(lambda: site.run("run.flog")["kinds"].get("creature", {}).get("rows") == told)  # noqa: B023
            axis = site.run("run.flog", "rows", **query)["axis"]
    assert sorted(axis) == sorted([*range(30), *range(30)])
    for log in logs:
        log.close()


def test_gaps_of_a_thinned_curve_are_those_that_can_be_seen(serve: Callable[..., Any], runs: Path) -> None:
    every_second = [math.nan if n % 2 else math.sin(n) for n in range(8000)]
    write(runs / "x.flog", [*every_second, *[math.nan] * 2000, *[1.0] * 2000])
    site = serve(runs)
    site.until(lambda: site.run("x.flog")["progress"] == 1)
    curve = site.run("x.flog", "series", keys="v", x="step", points=400)["series"]["v"]
    assert curve["thinned"]
    assert [curve["x"][i] for i in curve["breaks"]] == [100_000]
    assert [curve["x"][i - 1] for i in curve["breaks"]] == [79_980]


@pytest.mark.parametrize("key", ["a,b", "[x]", "[1]", "__proto__"])
def test_a_key_of_any_name(serve: Callable[..., Any], runs: Path, key: str) -> None:
    write(runs / "x.flog", [1.0, 2.0], key)
    site = serve(runs)
    keys = json.dumps([key, "step"])
    assert site.run("x.flog", "series", keys=keys)["series"][key]["y"] == [1, 2]
    assert site.run("x.flog", "rows", keys=keys)["columns"][key] == [1, 2]


def test_a_key_called_time_has_the_values_that_were_logged(serve: Callable[..., Any], runs: Path) -> None:
    write(runs / "x.flog", [1000.5, 1001.0], "time")
    site = serve(runs)
    assert site.run("x.flog", "series", keys="time")["series"]["time"]["y"] == [1000.5, 1001.0]
    rows = site.run("x.flog", "rows", keys="time")
    assert (rows["time"], rows["columns"]["time"]) == ([0, 0.1], [1000.5, 1001.0])


def test_values_of_events_that_say_a_step_where_nothing_else_does(serve: Callable[..., Any], runs: Path) -> None:
    frames = [Flog.frame(n / 10, 3, {"type": "fall", "step": n * 7, "height": n / 2}) for n in range(4)]
    (runs / "x.flog").write_bytes(Flog.header() + b"".join(frames))
    curve = serve(runs).run("x.flog", "series", kind="event", keys="height")["series"]["height"]
    assert curve["y"] == [0, 0.5, 1, 1.5]
    assert "step" not in curve["at"]


def test_keys_beyond_the_limit_are_read_when_they_are_asked_for(serve: Callable[..., Any], runs: Path) -> None:
    many = {f"k{n:05}": float(n) for n in range(4200)}
    frames = [Flog.frame(n / 10, 2, {"step": n, **many, "k04199": "some" if n else "none"}) for n in range(3)]
    (runs / "x.flog").write_bytes(Flog.header() + b"".join(frames))
    site = serve(runs)
    about = site.run("x.flog")["kinds"]["stats"]
    assert (len(about["keys"]), len(about["left_out"]), about["all_keys"]) == (4096, 105, False)
    assert site.run("x.flog", "series", keys="k04198")["series"]["k04198"]["y"] == [4198] * 3
    words = site.run("x.flog", "series", keys="k04199")["series"]["k04199"]
    assert words["texts"] == ["none", "some"]
    with (runs / "x.flog").open("ab") as file:
        file.write(Flog.frame(0.3, 2, {"step": 3, "k04198": 7}))
    site.until(lambda: site.run("x.flog", "series", keys="k04198")["rows"] == 4)
    assert site.run("x.flog", "series", keys="k04198")["series"]["k04198"]["y"] == [4198, 4198, 4198, 7]


def test_where_bytes_were_lost(serve: Callable[..., Any], runs: Path) -> None:
    path = write(runs / "x.flog", [float(n) for n in range(100)])
    content = path.read_bytes()
    frame = len(Flog.frame(5.0, 2, {"step": 500, "episode": 12, "v": 50.0}))
    at = content.index(Flog.frame(5.0, 2, {"step": 500, "episode": 12, "v": 50.0}))
    path.write_bytes(content[:at] + b"\xff" * frame + content[at + frame :])
    site = serve(runs)
    site.until(lambda: site.run("x.flog")["progress"] == 1)
    assert site.run("x.flog", "series", keys="v", x="step")["damage"] == [[490, 510]]


# --- figures ---


def test_a_figure_is_what_the_program_draws(serve: Callable[..., Any], runs: Path) -> None:
    for name in ("a", "b"):
        write(runs / f"{name}.flog", [math.sin(n * n) for n in range(150)], "reward", loss=2.0)
    site = serve(runs)
    ids = ",".join(site.id(f"{name}.flog") for name in ("a", "b"))
    answer = site.get(
        "/api/v1/figure", runs=ids, keys="reward", x="step", smooth=11, lines="0.5", width=800, height=400
    )
    assert answer.headers["content-type"] == "image/svg+xml"
    readers = [trainlog.open(runs / f"{name}.flog") for name in ("a", "b")]
    options = PlotOptions(y=("reward",), x="step", smooth=11, lines=(0.5,))
    (picture,) = pictures(runs_of(readers), options)
    assert answer.body.decode() == svg(layout(picture.figure, 800, 400, "light"))
    ElementTree.fromstring(answer.body)
    png = site.get("/api/v1/figure", runs=ids, keys="reward", format="png")
    assert png.body.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ("keys=v", 400, "runs"),
        ("runs={id}", 400, "keys"),
        ("runs={id}&keys=v&format=exe", 400, "svg"),
        ("runs=000000000000&keys=v", 404, "run"),
        ("runs={id}&keys=nothing", 400, "nothing"),
        ("runs={id}&keys=v&lines=x", 400, "float"),
        ("runs={id}&keys=v&width=100000", 400, "width"),
        ("runs={id}&keys=v&smooth=-3", 400, "smooth"),
        ("runs={id}&keys=v&from=5&to=1", 400, ""),
        ("runs={id}&keys=v&x=nonsense", 400, "x"),
        ("runs={id}&keys=v&by=nothing", 400, "nothing"),
        ("runs={id}&keys=v&center=mode", 400, "center"),
    ],
)
def test_wrong_figures_are_refused(serve: Callable[..., Any], runs: Path, query: str, status: int, word: str) -> None:
    write(runs / "x.flog", [1.0, 2.0])
    site = serve(runs)
    answer = site.get("/api/v1/figure?" + quote(query.format(id=site.id("x.flog")), safe="=&"))
    assert answer.status == status, answer.body
    assert word in answer.json["error"]["message"]
