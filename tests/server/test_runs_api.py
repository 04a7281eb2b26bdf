"""The API of many runs: the table, its filter, groups, and what people say of runs."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trainlog
from handmade import Flog
from made_runs import log_bytes, make_run, sweep
from trainlog.catalog.notes import NAME


def settled(site: Any) -> Any:
    """The list, when everything was read."""
    site.until(lambda: site.get("/api/v1/runs", limit=0).json["unread"] == 0)
    return site.get("/api/v1/runs").json


def names(site: Any, **query: Any) -> list[str]:
    answer = site.get("/api/v1/runs", **query)
    assert answer.status == 200, answer.body
    return [run["path"] for run in answer.json["runs"]]


def send(site: Any, body: Any, headers: dict[str, str] | None = None, path: str = "/api/v1/notes") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    try:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, text, {"content-type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("algo:sac", ["sac/0.flog", "sac/1.flog", "sac/2.flog"]),
        ("algo=sac seed=1", ["sac/1.flog"]),
        ("-sac reward>5", ["ppo/1.flog", "ppo/2.flog"]),
        ("lr=0.0003 seed>=2", ["ppo/2.flog", "sac/2.flog"]),
        ("best/reward>=120", ["sac/2.flog"]),
        ("mean/reward>=60", ["sac/2.flog"]),
        ("/^sac.*[02].flog$/", ["sac/0.flog", "sac/2.flog"]),
        ("run:/[01]/ -ppo", ["sac/0.flog", "sac/1.flog"]),
        ("SAC state:running seed:1 or algo:ppo seed:2", ["ppo/2.flog", "sac/1.flog"]),
        ("nothing-like-that", []),
    ],
)
def test_the_filter_language_is_the_catalogs(
    serve: Callable[..., Any], runs: Path, text: str, expected: list[str]
) -> None:
    sweep(runs)
    site = serve(runs)
    settled(site)
    assert names(site, filter=text, sort="run") == expected
    assert sorted(one.name for one in trainlog.runs(runs, progress=False).filter(text)) == expected


@pytest.mark.parametrize("text", ["lr=", "no_such_key=1", "(a", "/(/", "reward>much"])
def test_a_wrong_filter_is_a_sentence(serve: Callable[..., Any], runs: Path, text: str) -> None:
    sweep(runs)
    site = serve(runs)
    settled(site)
    answer = site.get("/api/v1/runs", filter=text)
    assert (answer.status, answer.json["error"]["code"]) == (400, "filter")
    assert len(answer.json["error"]["message"]) > 10


def test_a_regular_expression_that_would_take_for_ever_is_refused(serve: Callable[..., Any], runs: Path) -> None:
    make_run(runs / "a.flog", {"note": "a" * 60 + "!"}, [{"reward": 1.0}])
    make_run(runs / "b.flog", {"note": "b"}, [{"reward": 1.0}])
    site = serve(runs)
    settled(site)
    answer = site.get("/api/v1/runs", filter="note:/^(a+)+$/")
    assert (answer.status, answer.json["error"]["code"]) == (400, "filter")
    assert "too long" in answer.json["error"]["message"]
    assert names(site, filter="note:/^b+$/") == ["b.flog"]


def test_pages_sorts_and_columns(serve: Callable[..., Any], runs: Path) -> None:
    sweep(runs)
    site = serve(runs)
    settled(site)
    query = {"sort": "-reward", "columns": "seed,lr,best/reward,mean/loss", "limit": 2, "offset": 1}
    answer = site.get("/api/v1/runs", **query).json
    assert (answer["total"], answer["matching"], answer["offset"]) == (6, 6, 1)
    assert [run["path"] for run in answer["runs"]] == ["sac/1.flog", "sac/0.flog"]
    assert [run["values"] for run in answer["runs"]] == [[1, 3e-4, 110.0, None], [0, 3e-4, 100.0, None]]
    assert names(site, sort="reward")[0] == "ppo/0.flog"
    ids = site.get("/api/v1/ids", sort="-reward", offset=1, limit=2).json
    assert ids == {"matching": 6, "ids": [run["id"] for run in answer["runs"]]}
    columns = {one["name"]: one for one in site.get("/api/v1/columns").json["columns"]}
    assert columns["algo"] == {"name": "algo", "of": "metadata", "differs": True, "values": ["ppo", "sac"]}
    assert not columns["args/lr"]["differs"]
    assert columns["last/reward"]["of"] == "metric"
    only = {one["name"]: one for one in site.get("/api/v1/columns", filter="algo:sac").json["columns"]}
    assert not only["algo"]["differs"]


def test_an_integer_beyond_all_floats_is_sorted_and_filtered(serve: Callable[..., Any], runs: Path) -> None:
    for name, n in (("a", 1), ("b", 10**400), ("c", 2)):
        make_run(runs / f"{name}.flog", {"n": n}, [])
    assert names(serve(runs), filter="n>1", sort="-n") == ["b.flog", "c.flog"]


@pytest.mark.parametrize("why", ["the seed has 67 bits", "there is no place for a catalog"])
def test_runs_that_no_catalog_can_keep_have_all_columns(
    serve: Callable[..., Any], runs: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    seed = 1
    if "seed" in why:
        seed = 10**20
    else:
        monkeypatch.setattr("trainlog.catalog.follow.location", lambda root: None)
        monkeypatch.setattr("trainlog.catalog.index.location", lambda root: None)
    for name, best in (("a", 5.0), ("b", 9.0)):
        make_run(runs / f"{name}.flog", {"seed": seed}, [{"reward": best}, {"reward": 1.0}])
    site = serve(runs)
    site.until(lambda: not site.get("/api/v1/runs").json["unread"])
    answer = site.get("/api/v1/runs", columns="best/reward,mean/reward", sort="run").json
    assert [run["values"] for run in answer["runs"]] == [[5.0, 3.0], [9.0, 5.0]]
    with (runs / "a.flog").open("ab") as file:
        file.write(Flog.frame(9.0, 2, {"reward": 77.0}))
    site.until(lambda: names(site, filter="best/reward>10") == ["a.flog"])
    (runs / "b.flog").unlink()
    site.until(lambda: names(site, filter="best/reward>2") == ["a.flog"])


def test_a_catalog_that_is_deleted_costs_no_column(
    serve: Callable[..., Any], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainlog.catalog.index._RACE", -1)  # the logs are not so new that they are read again
    sweep(runs, seeds=1)
    site = serve(runs)
    site.until(lambda: not site.get("/api/v1/runs").json["unread"])
    (runs / ".trainlog-catalog.sqlite").unlink()
    site.until(lambda: names(site, filter="best/reward>50") == ["sac/0.flog"])


def test_what_is_written_is_in_the_list(serve: Callable[..., Any], runs: Path) -> None:
    site = serve(runs)

    def fit(text: str) -> bool:
        answer = site.get("/api/v1/runs", filter=text)  # 400 while no run has such keys
        return answer.status == 200 and [run["path"] for run in answer.json["runs"]] == ["x.flog"]

    with trainlog.TrainingRecorder(runs / "x.flog", "go2", metadata={"lr": 0.1}) as log:
        log.record_stats_frame(0.0, {"step": 1, "reward": 2.0})
        site.until(lambda: fit("lr=0.1 state:running reward=2"))
        log.record_stats_frame(1.0, {"step": 2, "reward": 7.0})
        site.until(lambda: fit("reward>5"))


def test_states_are_told_apart_and_pushed(
    serve: Callable[..., Any], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainlog.catalog.states.LIVE", 0.5)
    monkeypatch.setattr("trainlog.catalog.states._SILENT", 1.5)
    raw = log_bytes({}, [{"reward": 1.0}] * 5)
    (runs / "killed.flog").write_bytes(raw[:-3])
    (runs / "ended.flog").write_bytes(raw)
    for name in ("killed", "ended"):
        os.utime(runs / f"{name}.flog", (1e9, 1e9))
    (runs / "unreadable.flog").write_bytes(b"FLOG\x01\x00\x00\xff\x00\x00\x00{")
    site = serve(runs)

    def states() -> dict[str, str]:
        return {run["path"].removesuffix(".flog"): run["state"] for run in site.get("/api/v1/runs").json["runs"]}

    writer = trainlog.create(runs / "stalled.flog", {})
    writer.write(trainlog.Frame(0.0, trainlog.Kind.STATS, {"reward": 1.0}))
    site.until(lambda: states().get("stalled") == "running")
    with site.stream() as stream:
        _, hello = stream.until("hello")
        site.until(lambda: states()["stalled"] == "stalled")  # its writer holds it open, and is silent
        stream.until("runs", lambda data: data["version"] > hello["version"])
    site.until(
        lambda: states() == {"stalled": "stalled", "killed": "killed", "ended": "ended", "unreadable": "unreadable"}
    )
    writer.close()
    site.until(lambda: states()["stalled"] == "ended")


def test_values_that_are_named_are_found_by_a_filter(serve: Callable[..., Any], runs: Path) -> None:
    values = ["it's", "'quoted'", "back\\slash", "plain", 0.5, True]
    for number, value in enumerate(values):
        make_run(runs / f"{number}.flog", {"note": value}, [{"reward": 1.0}])
    site = serve(runs)
    settled(site)
    (note,) = [one for one in site.get("/api/v1/columns").json["columns"] if one["name"] == "note"]
    assert note["values"] == sorted(map(str, values))
    for value in note["values"]:
        assert site.get("/api/v1/runs", filter=f'note="{value}"').json["matching"] == 1


def test_groups_by_a_key_that_has_a_comma(serve: Callable[..., Any], runs: Path) -> None:
    for number, layers in enumerate(("64,64", "256")):
        make_run(runs / f"{number}.flog", {"layers,units": layers, "algo": "sac"}, [{"reward": 1.0}])
    site = serve(runs)
    settled(site)
    answer = site.get("/api/v1/groups", by='["layers,units", "algo"]').json
    assert answer["by"] == ["layers,units", "algo"]
    assert {group["label"] for group in answer["groups"]} == {"64,64, sac", "256, sac"}


def test_groups_of_infinite_and_nan_values(serve: Callable[..., Any], runs: Path) -> None:
    for seed, clip in enumerate([float("inf"), float("nan"), None, float("inf")]):
        make_run(runs / f"{seed}.flog", {"seed": seed, "clip": clip}, [{"reward": 1.0}])
    groups = settled(site := serve(runs)) and site.get("/api/v1/groups", by="clip").json["groups"]
    assert {group["label"]: len(group["members"]) for group in groups} == {"clip inf": 2, "clip nan": 1, "all runs": 1}


def test_curves_of_groups_are_those_of_the_figures(serve: Callable[..., Any], runs: Path) -> None:
    sweep(runs, seeds=4)
    site = serve(runs)
    settled(site)
    answer = site.get("/api/v1/groups", by="algo", keys="reward,none", x="step", center="iqm", band="ci").json
    assert {group["label"] for group in answer["groups"]} == {"ppo", "sac"}
    table = trainlog.runs(runs, progress=False).aggregate("reward", by="algo", x="step", center="iqm", band="ci")
    for group in answer["groups"]:
        rows = table["curve"] == group["label"]
        curve = group["curves"]["reward"]
        assert curve["center"] == table["IQM"][rows].tolist()
        assert curve["low"] == table["low"][rows].tolist()
        assert (curve["n"], len(group["members"]), curve["runs"]) == (4, 4, [4] * 5)
        assert group["curves"]["none"] is None
    alone = site.get("/api/v1/groups", by="algo").json["groups"]
    assert [(group["members"], group["curves"]) for group in alone] == [
        (one["members"], {}) for one in answer["groups"]
    ]
    every = site.get("/api/v1/groups", keys="reward", x="step").json
    assert every["by"] == ["algo"]  # all but the seed
    one = site.get("/api/v1/groups", keys="reward", x="step", filter="algo:sac seed=1").json["groups"]
    assert [group["label"] for group in one] == ["all runs"]
    assert one[0]["curves"]["reward"]["low"] == [None] * 5  # one run has no band
    values = {}
    for group in site.get("/api/v1/groups", by="algo", keys="reward,none", x="step", at=39).json["groups"]:
        values[group["label"]] = sorted(group["at"]["reward"])
        assert group["at"]["none"] == [None] * 4
    assert values == {"ppo": [0, 10, 20, 30], "sac": [100, 110, 120, 130]}
    beyond = site.get("/api/v1/groups", by="algo", keys="reward", x="step", at=41).json["groups"]
    assert [group["at"]["reward"] for group in beyond] == [[None] * 4] * 2
    assert site.get("/api/v1/groups", by="nothing", keys="reward").status == 400
    long = site.get("/api/v1/groups", by="nothing" * 3000, keys="reward")
    assert (long.status, len(long.json["error"]["message"]) < 200) == (400, True)
    assert site.get("/api/v1/groups", by="", keys="reward").status == 400
    assert site.get("/api/v1/groups", by="algo", keys="reward", center="mode").status == 400


def test_notes_are_kept_beside_the_logs(serve: Callable[..., Any], runs: Path) -> None:
    sweep(runs)
    site = serve(runs)
    settled(site)
    known = site.get("/api/v1/notes").json
    assert known["views"] == {}
    assert known["read_only"] == ""
    token = {"x-trainlog-token": known["token"]}
    id = site.id("sac/1.flog")
    fields = {"name": "the good one", "tags": ["keep", "paper"], "note": "seed 1"}
    assert send(site, {"run": id, "fields": fields}, token) == (200, {"ok": True})
    assert names(site, filter="tags:paper") == ["sac/1.flog"]
    assert next(run["my"] for run in site.get("/api/v1/runs").json["runs"] if run["id"] == id) == fields
    assert send(site, {"view": "mine", "query": "filter=algo:sac"}, token)[0] == 200
    assert site.get("/api/v1/notes").json["views"] == {"mine": "filter=algo:sac"}
    kept = json.loads((runs / NAME).read_text())
    assert kept == {"runs": {"sac/1.flog": fields}, "views": {"mine": "filter=algo:sac"}}
    other = serve(runs)  # another server has them, too, and its changes are seen
    assert other.get("/api/v1/notes").json["views"] == {"mine": "filter=algo:sac"}
    assert (
        send(
            other, {"run": id, "fields": {"tags": []}}, {"x-trainlog-token": other.get("/api/v1/notes").json["token"]}
        )[0]
        == 200
    )

    def is_gone() -> bool:  # and with the last run that has it the key
        answer = site.get("/api/v1/runs", filter="my/tags:paper")
        return answer.status == 400 or not answer.json["runs"]

    site.until(is_gone)
    assert send(site, {"view": "mine", "query": ""}, token)[0] == 200
    assert site.get("/api/v1/notes").json["views"] == {}


def test_groups_of_a_kind_of_ones_own(serve: Callable[..., Any], runs: Path) -> None:
    for seed in range(2):
        rows = [{"step": 10 * n, "temperature": float(n + seed)} for n in range(5)]
        (runs / f"{seed}.flog").write_bytes(log_bytes({"seed": seed}, rows, kind=100))
    site = serve(runs)
    settled(site)
    (group,) = site.get("/api/v1/groups", kind="kind_100", keys="temperature", x="time").json["groups"]
    assert group["curves"]["temperature"]["center"] == [0.5, 1.5, 2.5, 3.5, 4.5]
    (group,) = site.get("/api/v1/groups", kind="kind_101", keys="temperature").json["groups"]
    assert group["curves"]["temperature"] is None


def test_nobody_else_can_write_notes(serve: Callable[..., Any], runs: Path) -> None:
    sweep(runs)
    site = serve(runs)
    settled(site)
    token = {"x-trainlog-token": site.get("/api/v1/notes").json["token"]}
    body = {"view": "x", "query": "y"}
    assert send(site, body)[0] == 403
    assert send(site, body, {"x-trainlog-token": "wrong"})[0] == 403
    assert send(site, body, {**token, "origin": "http://evil.example"})[0] == 403
    assert send(site, body, {**token, "sec-fetch-site": "cross-site"})[0] == 403
    assert send(site, body, {**token, "content-type": "text/plain"})[0] == 415
    for wrong in (
        b"{",
        [],
        {"run": "nothing", "fields": {}},
        {"view": "x"},
        {"view": 3, "query": "y"},
        {"view": "x" * 101, "query": "y"},
    ):
        assert send(site, wrong, token)[0] in (400, 404), wrong
    id = site.id("sac/1.flog")
    for fields in ({"name": 3}, {"tags": "a"}, {"tags": ["x" * 61]}, {"note": "n" * 4001}, {"path": "x"}):
        assert send(site, {"run": id, "fields": fields}, token)[0] == 400, fields
    assert send(site, b"x" * (5 << 20), token)[0] == 413
    assert site.get("/api/v1/notes", method="DELETE").status == 405
    assert not (runs / NAME).exists()


def test_nothing_is_written_when_that_is_not_wanted(serve: Callable[..., Any], runs: Path) -> None:
    sweep(runs)
    site = serve(runs, read_only=True)
    settled(site)
    known = site.get("/api/v1/notes").json
    assert "--read-only" in known["read_only"]
    assert known["token"] == ""
    assert send(site, {"view": "x", "query": "y"}, {"x-trainlog-token": ""})[0] == 403
    assert not (runs / NAME).exists()


def test_damaged_notes_are_not_overwritten(serve: Callable[..., Any], runs: Path) -> None:
    sweep(runs)
    (runs / NAME).write_text("{nothing")
    site = serve(runs)
    known = site.get("/api/v1/notes").json
    assert NAME in known["read_only"]
    assert (runs / NAME).read_text() == "{nothing"


def test_any_number_of_runs_is_followed(serve: Callable[..., Any], runs: Path) -> None:
    for n in range(300):
        make_run(runs / f"{n}.flog", {}, [{"step": 1, "reward": 1.0}])
    site = serve(runs)
    settled(site)
    found = {run["path"]: run["id"] for run in site.get("/api/v1/runs").json["runs"]}
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    body = json.dumps({"runs": dict.fromkeys(found.values())})
    connection.request("POST", "/api/v1/stream", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.readline().startswith(b"retry")
    seen = threading.Event()

    def write() -> None:  # until all of them are open, as a stream without cursors tells what is new
        for n in range(100):
            with (runs / "41.flog").open("ab") as file:
                file.write(Flog.frame(9.0, 2, {"step": n, "reward": 5.0}))
            if seen.wait(0.2):
                return

    writer = threading.Thread(target=write)
    writer.start()
    for line in iter(answer.readline, b""):
        if line.startswith(b"data: ") and b'"columns"' in line and json.loads(line[6:])["run"] == found["41.flog"]:
            seen.set()
        if seen.is_set() or not writer.is_alive():
            break
    connection.close()
    writer.join()
    assert seen.is_set()
    assert send(site, {"runs": {"nothing": None}}, path="/api/v1/stream")[0] == 404
    assert send(site, {"runs": [1]}, path="/api/v1/stream")[0] == 400


def test_shards_are_one_run(serve: Callable[..., Any], runs: Path) -> None:
    for rank in range(2):
        make_run(
            runs / "many" / f"{rank}.flog",
            {"shard": {"rank": rank, "world_size": 2}},
            [{"step": n, "reward": 1.0} for n in range(3)],
        )
    site = serve(runs)
    (run,) = settled(site)["runs"]
    assert run["frames"] == 6
    about = site.get(f"/api/v1/runs/{run['id']}").json
    assert about["kinds"]["stats"]["rows"] == 6
