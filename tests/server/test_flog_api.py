"""The page of the original FLOG program on our server: by the calls that it makes, and the numbers that it shows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handmade import Flog

EVOLUTION, STATS, EVENT, CREATURE = 1, 2, 3, 4


def stats_row(n: int) -> dict[str, Any]:
    return {
        "step": 10 * n,
        "reward": math.sin(n / 50),
        "max_distance": 3.0 + (9.5 if n == 4321 else 0.0),
        "ball_dist": -1.0 if n % 3 else 0.25 + (n - 6000) ** 2 / 1e7,
        "falls": n // 100,
        "actor_competence": n / 9000,
        "cpg_weight": 1 - n / 9000,
        "pci": 0.3 + n / 1e5,
        "behavior": "walk" if n % 2 else "trot",
        "genome": [1.0, 2.0],
    }


class Client:
    """What the original page does: it takes the last log of the list, all of it, and then what is new."""

    def __init__(self, site: Any) -> None:
        self.site = site
        self.path = site.get("/api/flog/list").json[-1]["path"]
        self.data = site.get("/api/flog/analyze", path=self.path).json
        self.stats: list[dict[str, Any]] = self.data["stats"]
        self.since = len(self.stats)

    def poll(self) -> None:
        answer = self.site.get("/api/flog/watch", path=self.path, since=self.since).json
        if answer["stats"]:
            self.stats += answer["stats"]
            self.since = answer["total"]

    def shown(self) -> dict[str, Any]:
        last = self.stats[-1]
        balls = [row["ball_dist"] for row in self.stats if row["ball_dist"] > 0]
        return {
            "longest": max(row["max_distance"] for row in self.stats),
            "nearest": min(balls) if balls else None,
            "falls": last["falls"],
            "competence": last["actor_competence"],
            "weight": last["cpg_weight"],
            "pci": last["pci"],
            "step": last["step"],
            "behaviors": [row["behavior"] for row in self.stats],
        }


def expected(rows: list[dict[str, Any]]) -> dict[str, Any]:
    client = Client.__new__(Client)
    client.stats = rows
    return client.shown()


def test_the_original_page_shows_the_same_numbers_above_5000_rows(serve: Callable[..., Any], runs: Path) -> None:
    path = runs / "training_log.bin"
    rows = [stats_row(n) for n in range(8000)]
    frames = [Flog.frame(n / 10, STATS, row) for n, row in enumerate(rows)]
    path.write_bytes(Flog.header({"creature": "go2", "task": "ball"}) + b"".join(frames[:6500]))
    site = serve(runs)
    (listed,) = site.get("/api/flog/list").json
    assert listed["size_kb"] == round(path.stat().st_size / 1024)
    client = Client(site)
    assert client.data["n_stats"] == len(client.stats) == client.data["total_frames"] == 6500
    assert (client.data["creature"], client.data["task"], client.data["n_physics"]) == ("go2", "ball", 0)
    assert client.shown() == expected(rows[:6500])
    with path.open("ab") as file:
        file.write(b"".join(frames[6500:]))

    def has_all() -> bool:
        client.poll()
        return client.since >= 8000

    site.until(has_all)
    assert [row["step"] for row in client.stats] == [row["step"] for row in rows]
    assert client.shown() == expected(rows)
    again = site.get("/api/flog/watch", path=client.path, since=0).json
    assert (again["total"], len(again["stats"])) == (8000, 8000)


def test_every_real_log_is_told_whole(serve: Callable[..., Any], real_logs: Path) -> None:
    site = serve(real_logs / "flog")
    for log in sorted((real_logs / "flog").glob("*.bin")):
        truth = json.loads(log.with_suffix(".truth.json").read_text())
        answer = site.get("/api/flog/analyze", path=log.name).json
        for name in ("n_stats", "n_physics", "n_events", "n_evolution", "total_frames"):
            if name in truth:
                assert answer[name] == truth[name], name
        assert len(answer["stats"]) == answer["n_stats"]
        assert answer["physics_summary"]["count"] == answer["n_physics"]


def test_the_summary_of_the_physics_is_of_all_frames(serve: Callable[..., Any], runs: Path) -> None:
    frames = [
        Flog.frame(n / 10, CREATURE, {"step": n, "speed": 5.0 if n == 4567 else 0.1, "com": [n, -n, 0.3]})
        for n in range(6001)
    ]
    frames.append(Flog.frame(601, CREATURE, {"step": 6001, "pos": [1.0, 2.0, 3.0, 4.0]}))  # it says no speed
    (runs / "x.bin").write_bytes(Flog.header({}) + b"".join(frames))
    answer = serve(runs).get("/api/flog/analyze", path="x.bin").json
    summary = answer["physics_summary"]
    assert (answer["creature"], summary["count"]) == ("unknown", 6002)
    assert summary["max_speed"] == 5.0
    assert summary["avg_speed"] == pytest.approx((6000 * 0.1 + 5.0) / 6002, abs=1e-4)
    assert [place["x"] for place in summary["trajectory"]] == list(range(0, 6002, 50))
    assert summary["trajectory"][1] == {"t": 5.0, "x": 50, "y": -50, "z": 0.3}


def test_speeds_that_are_no_numbers(serve: Callable[..., Any], runs: Path) -> None:
    speeds: list[Any] = [1.5, "fast", None, [1, 2], math.nan, True]
    frames = [Flog.frame(n, CREATURE, {"speed": speed}) for n, speed in enumerate(speeds)]
    (runs / "x.bin").write_bytes(Flog.header({}) + b"".join(frames))
    (runs / "y.bin").write_bytes(Flog.header({}) + Flog.frame(0, STATS, {"step": 1}))
    site = serve(runs)
    assert site.get("/api/flog/analyze", path="x.bin").json["physics_summary"]["max_speed"] == 1.5
    assert site.get("/api/flog/analyze", path="y.bin").json["physics_summary"] == {"count": 0}


def test_generations_have_the_original_names(serve: Callable[..., Any], runs: Path) -> None:
    frames = [
        Flog.frame(1, EVOLUTION, {"gen": 3, "best": 1.5, "avg": 0.5, "dist": 2.25, "up": 0.75, "genome": [1]}),
        Flog.frame(2, EVOLUTION, {"generation": 4, "best_fitness": 2.5, "best_distance": None, "stood": True}),
        Flog.frame(3, EVENT, {"extra": 1}),
    ]
    (runs / "x.bin").write_bytes(Flog.header({}) + b"".join(frames))
    answer = serve(runs).get("/api/flog/analyze", path="x.bin").json
    names = ("timestamp", "gen", "best_fitness", "avg_fitness", "best_distance", "upright", "stood")
    assert [tuple(row) for row in answer["evolution"]] == [names, names]
    assert list(answer["evolution"][0].values()) == [1.0, 3, 1.5, 0.5, 2.25, 0.75, False]
    assert list(answer["evolution"][1].values()) == [2.0, 4, 2.5, 0, 0, 0, True]
    assert answer["events"] == [{"timestamp": 3.0, "type": "unknown", "msg": "", "extra": 1}]


def test_a_log_with_names_of_its_own_is_told_under_the_original_ones(serve: Callable[..., Any], runs: Path) -> None:
    meta = {"conventions": {"event_type": "what", "event_message": "text", "position": "base"}}
    frames = [
        Flog.frame(n / 10, CREATURE, {"base": [n, -n, 1.0], "com": [0.0] * 3, "vel_mps": n / 4, "velocity": [1.0]})
        for n in range(101)
    ]
    frames.append(Flog.frame(11, EVENT, {"what": "fall", "text": "it fell", "type": "x"}))
    (runs / "x.bin").write_bytes(Flog.header(meta) + b"".join(frames))
    answer = serve(runs).get("/api/flog/analyze", path="x.bin").json
    event = {"timestamp": 11.0, "type": "fall", "msg": "it fell", "what": "fall", "text": "it fell"}
    assert answer["events"] == [event]
    summary = answer["physics_summary"]
    assert (summary["avg_speed"], summary["max_speed"]) == (12.5, 25.0)
    assert summary["trajectory"] == [{"t": n / 10, "x": n, "y": -n, "z": 1.0} for n in (0, 50, 100)]


def test_what_the_original_takes(serve: Callable[..., Any], runs: Path) -> None:
    frames = [Flog.frame(n, STATS, {"step": n}) for n in range(5)]
    (runs / "x.bin").write_bytes(Flog.header({}) + b"".join(frames))
    site = serve(runs)

    def steps(since: int) -> list[int]:
        answer = site.get("/api/flog/watch", path="x.bin", since=since, _=123).json
        assert answer["total"] == 5
        return [row["step"] for row in answer["stats"]]

    assert (steps(-2), steps(-99), steps(4), steps(5), steps(99)) == ([3, 4], [0, 1, 2, 3, 4], [4], [], [])
    assert site.get("/api/flog/list", nocache=1).status == 200
    for path in ("nothing.bin", "", "/etc/passwd", "../x.bin"):
        assert site.get("/api/flog/watch/reset", path=path).json == {"ok": True}
    assert site.get("/api/flog/watch", path="x.bin", since="x").status == 400
