"""The dashboard of logs in an object storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from made_runs import log_bytes
from served import Site
from trainlog.catalog import live
from trainlog.storage import remote

if TYPE_CHECKING:
    from faulty_storage import FaultyStorage

URL = "faulty://bucket/runs"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "REMOTE_PAUSE", 0.05)
    monkeypatch.setattr(remote, "_FRESH", 0.05)


def content(count: int, **meta: Any) -> bytes:
    return log_bytes(meta, [{"step": n, "reward": n / 2} for n in range(count)])


def test_a_storage_is_listed_and_its_logs_are_shown(serve: Callable[..., Site], storage: type[FaultyStorage]) -> None:
    storage.put("bucket/runs/a.flog", content(30, task="walk"))
    storage.put("bucket/runs/deep/b.flog", content(20, task="run"))
    storage.put("bucket/runs/notes.txt", b"no log")
    storage.put("bucket/runs/.hidden/c.flog", content(5))
    storage.put("bucket/other/d.flog", content(5))
    raw = content(40, task="up")
    for start, stop in ((0, 100), (100, len(raw))):
        storage.put(f"bucket/runs/p.flog.parts/{start:020d}", raw[start:stop])
    site = serve(URL)
    assert site.run("a.flog")["meta"]["task"] == "walk"
    listed = site.get("/api/v1/runs").json["runs"]
    assert {run["path"] for run in listed} == {"a.flog", "deep/b.flog", "p.flog"}
    for path, count in (("a.flog", 30), ("deep/b.flog", 20), ("p.flog", 40)):
        assert site.run(path, "series", kind="stats", keys="reward")
        assert site.run(path)["kinds"]["stats"]["rows"] == count


def test_several_buckets_have_their_names_before_the_paths(
    serve: Callable[..., Site], storage: type[FaultyStorage]
) -> None:
    for place in ("one", "two", "two/runs", "three/runs"):
        storage.put(f"{place}/a.flog", content(5))
    for roots, names in {
        ("one", "two/runs"): {"one/a.flog", "runs/a.flog"},
        ("two/runs", "three/runs"): {"two/runs/a.flog", "three/runs/a.flog"},
    }.items():
        site = serve(*(f"faulty://{root}" for root in roots))
        assert {run["path"] for run in site.get("/api/v1/runs").json["runs"]} == names


def test_a_log_that_grows_is_followed_and_one_that_comes_is_found(
    serve: Callable[..., Site], storage: type[FaultyStorage]
) -> None:
    storage.put("bucket/runs/a.flog", content(10))
    site = serve(URL)

    def rows() -> int:
        return int(site.run("a.flog")["kinds"]["stats"]["rows"])

    site.until(lambda: rows() == 10)
    storage.put("bucket/runs/a.flog", content(25))
    site.until(lambda: rows() == 25)
    storage.put("bucket/runs/b.flog", content(3))
    assert site.run("b.flog")
    del storage.objects["bucket/runs/b.flog"]
    site.until(lambda: len(site.get("/api/v1/runs").json["runs"]) == 1)


def test_a_run_of_several_processes_is_followed(serve: Callable[..., Site], storage: type[FaultyStorage]) -> None:
    for rank in range(2):
        storage.put(f"bucket/runs/run.flog/{rank}.flog", content(10, shard={"rank": rank, "began": 1.0}))
    site = serve(URL)
    site.until(lambda: site.run("run.flog")["kinds"]["stats"]["rows"] == 20)
    storage.put("bucket/runs/run.flog/1.flog", content(25, shard={"rank": 1, "began": 1.0}))
    site.until(lambda: site.run("run.flog")["kinds"]["stats"]["rows"] == 35)


def test_a_log_that_is_replaced_is_read_afresh(serve: Callable[..., Site], storage: type[FaultyStorage]) -> None:
    storage.put("bucket/runs/a.flog", content(10, task="old"))
    site = serve(URL)
    site.until(lambda: site.run("a.flog")["kinds"]["stats"]["rows"] == 10)
    storage.put("bucket/runs/a.flog", content(50, task="new"))
    site.until(lambda: site.get(f"/api/v1/runs/{site.id('a.flog')}").json.get("meta", {}).get("task") == "new")
    site.until(lambda: site.run("a.flog")["kinds"]["stats"]["rows"] == 50)


def test_a_network_that_fails_for_a_while_loses_no_run(
    serve: Callable[..., Site], storage: type[FaultyStorage]
) -> None:
    storage.put("bucket/runs/a.flog", content(10))
    site = serve(URL)
    site.until(lambda: site.run("a.flog")["kinds"]["stats"]["rows"] == 10)

    def fail(what: str, path: str) -> None:
        raise OSError("503 Slow Down")

    storage.hook = fail
    storage.requests.clear()
    site.until(lambda: storage.requests.total() > 5)
    assert [run["path"] for run in site.get("/api/v1/runs").json["runs"]] == ["a.flog"]
    storage.hook = None
    storage.put("bucket/runs/a.flog", content(20))
    site.until(
        lambda: site.get(f"/api/v1/runs/{site.id('a.flog')}").json.get("kinds", {}).get("stats", {}).get("rows") == 20
    )


def test_one_log_is_served(serve: Callable[..., Site], storage: type[FaultyStorage]) -> None:
    storage.put("bucket/runs/a.flog", content(10))
    storage.put("bucket/runs/b.flog", content(10))
    site = serve(f"{URL}/a.flog")
    assert [run["path"] for run in site.get("/api/v1/runs").json["runs"]] == ["a.flog"]


def test_a_storage_that_is_not_asked_more_than_it_needs(
    serve: Callable[..., Site], storage: type[FaultyStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_FRESH", 2.0)
    for n in range(20):
        storage.put(f"bucket/runs/{n}.flog", content(10, seed=n))
    site = serve(URL)
    site.until(lambda: all(run["frames"] is not None for run in site.get("/api/v1/runs").json["runs"]))
    lists = storage.requests["list"]
    site.until(lambda: storage.requests["list"] > lists + 3)
    before = storage.requests.copy()
    site.until(lambda: storage.requests["list"] > before["list"] + 5)
    assert storage.requests["get"] == before["get"]  # nothing has changed
    assert storage.requests["info"] == before["info"]
