"""Logs that are written while somebody looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trainlog
from handmade import Flog
from trainlog.live_log.cursor import START, Cursor
from trainlog.live_log.log import Log
from trainlog.model import Frame, Kind


def frame(n: int, **more: Any) -> bytes:
    return Flog.frame(n / 10, 2, {"step": n, "reward": float(n), **more})


def rows_of(events: Any, count: int) -> list[float]:
    """Rewards by row number, until there are *count* of them."""
    got: dict[int, float] = {}
    for _, name, data in events:
        if name == "rows" and data["kind"] == "stats":
            got |= dict(zip(range(data["from"], data["to"]), data["columns"]["reward"], strict=True))
        if len(got) == count:
            return [got[n] for n in sorted(got)]
    raise AssertionError("the stream ended")


def test_new_rows_come_by_themselves_with_a_cursor(serve: Callable[..., Any], runs: Path) -> None:
    site = serve(runs)
    with trainlog.TrainingRecorder(runs / "x.flog", "go2") as log:
        log.record_stats_frame(None, {"step": 0, "reward": 1.0})
        id = site.id("x.flog")
        with site.stream(runs=id) as stream:
            stream.until("hello")
            site.until(lambda: site.run("x.flog")["progress"] == 1)
            time.sleep(0.3)
            log.record_stats_frame(None, {"step": 1, "reward": 2.0, "behavior": "trot"})
            log.record_event(None, "fall", "it fell")
            _, rows = stream.until("rows", lambda data: data["kind"] == "stats" and data["to"] == 2)
            assert rows["columns"] == {"step": [1.0], "reward": [2.0], "behavior": ["trot"]}
            _, event = stream.until("rows", lambda data: data["kind"] == "event")
            assert event["columns"] == {"type": ["fall"], "msg": ["it fell"]}
            place, cursor = stream.until("cursor")
        assert place == f"{id}:{cursor['cursor']}"
        log.record_stats_frame(None, {"step": 2, "reward": 3.0})
        with site.stream({"Last-Event-ID": place}, runs=id) as stream:  # as a browser comes back
            _, rows = stream.until("rows")
            assert (rows["from"], rows["columns"]["reward"]) == (2, [3.0])


def test_a_client_that_was_away_gets_what_it_missed_and_no_more(serve: Callable[..., Any], runs: Path) -> None:
    path = runs / "x.flog"
    path.write_bytes(Flog.header() + b"".join(map(frame, range(50))))
    site = serve(runs)
    id = site.id("x.flog")
    site.until(lambda: site.run("x.flog")["progress"] == 1)
    cursor = site.run("x.flog")["cursor"]
    with path.open("ab") as file:
        file.write(b"".join(map(frame, range(50, 80))))
    with site.stream(runs=id, cursors=f"{id}:{cursor}", keys="reward") as stream:
        assert rows_of(stream, 30) == [float(n) for n in range(50, 80)]


@pytest.mark.parametrize("how", ["replaced", "cut", "written anew"])
def test_a_file_that_is_another_one_is_noticed(serve: Callable[..., Any], runs: Path, how: str) -> None:
    path = runs / "x.flog"
    path.write_bytes(Flog.header({"creature": "one"}) + b"".join(map(frame, range(20))))
    site = serve(runs)
    id = site.id("x.flog")
    site.until(lambda: site.run("x.flog")["progress"] == 1)
    cursor = site.run("x.flog")["cursor"]
    new = Flog.header({"creature": "two"}) + b"".join(frame(n, more=1) for n in range(3))
    with site.stream(runs=id, cursors=f"{id}:{cursor}") as stream:
        stream.until("hello")
        time.sleep(0.2)
        if how == "replaced":
            (runs / "aside").write_bytes(new + b"".join(frame(n) for n in range(3, 40)))
            (runs / "aside").rename(path)
        elif how == "cut":
            path.write_bytes(new)
        else:
            with path.open("r+b") as file:
                file.write(new + b"".join(frame(n) for n in range(3, 40)))
        stream.until("reset", lambda data: data["run"] == id)
        assert rows_of(stream, 3 if how == "cut" else 40)[:3] == [0, 1, 2]
    site.until(lambda: site.run("x.flog")["meta"] == {"creature": "two"})
    with site.stream(runs=id, cursors=f"{id}:{cursor}") as stream:
        stream.until("reset")


def test_a_browser_that_comes_back_misses_nothing_of_the_other_runs(serve: Callable[..., Any], runs: Path) -> None:
    """It sends the address that it has, and the id of the last message, which is about one run."""
    site = serve(runs)
    cursors = {}
    for name in ("x.flog", "y.flog"):
        (runs / name).write_bytes(Flog.header() + frame(0))
        cursors[site.id(name)] = site.run(name)["cursor"]
        with (runs / name).open("ab") as file:
            file.write(frame(1))
    x, y = cursors
    place = f"{x}:{site.run('x.flog')['cursor']}"
    given = ",".join(f"{id}:{cursor}" for id, cursor in cursors.items())
    with site.stream({"Last-Event-ID": place}, runs=f"{x},{y}", cursors=given) as stream:
        _, data = stream.until("rows")
        assert (data["run"], data["from"], data["columns"]["reward"]) == (y, 1, [1.0])


def test_a_run_that_went_meanwhile_costs_the_others_nothing(serve: Callable[..., Any], runs: Path) -> None:
    """As when a window was hidden, or the server was restarted."""
    for name in ("x.flog", "y.flog"):
        (runs / name).write_bytes(Flog.header() + frame(0))
    site = serve(runs)
    x, y = site.id("x.flog"), site.id("y.flog")
    cursors = f"{x}:{site.run('x.flog')['cursor']},{y}:{site.run('y.flog')['cursor']}"
    (runs / "x.flog").unlink()
    site.until(lambda: site.get("/api/v1/runs").json["total"] == 1)
    with (runs / "y.flog").open("ab") as file:
        file.write(frame(1))
    with site.stream(runs=f"{x},{y}", cursors=cursors) as stream:
        assert stream.status == 200
        stream.until("gone", lambda data: data["run"] == x)
        assert rows_of(stream, 1) == [1.0]
        (runs / "x.flog").write_bytes(Flog.header() + frame(5))
        stream.until("reset", lambda data: data["run"] == x)


def test_many_clients_lose_nothing(serve: Callable[..., Any], runs: Path) -> None:
    site = serve(runs)
    count, clients = 300, 12
    got: list[list[float]] = []
    with trainlog.TrainingRecorder(runs / "x.flog") as log:
        log.record_stats_frame(None, {"step": 0, "reward": 0.0})
        id = site.id("x.flog")
        cursor = str(Cursor.parse(site.run("x.flog")["cursor"])._replace(marks=(START, START)))

        def look() -> None:
            with site.stream(runs=id, cursors=f"{id}:{cursor}") as stream:
                got.append(rows_of(stream, count))

        threads = [threading.Thread(target=look) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for n in range(1, count):
            log.record_stats_frame(None, {"step": n, "reward": float(n)})
            time.sleep(0.003)
        for thread in threads:
            thread.join(30)
    assert got == [[float(n) for n in range(count)]] * clients


def test_a_file_that_is_cut_while_it_is_asked_for_is_a_4xx(
    serve: Callable[..., Any], runs: Path, monkeypatch: Any
) -> None:
    from trainlog.errors import CorruptLog

    (runs / "x.flog").write_bytes(Flog.header() + frame(1))
    site = serve(runs)
    id = site.id("x.flog")

    def cut(self: Any, kind: Any, rows: Any) -> Any:
        raise CorruptLog("the file became shorter while it was read", path=runs / "x.flog")

    monkeypatch.setattr(Log, "frames", cut)
    answer = site.get(f"/api/v1/runs/{id}/frame", kind="stats", row=0)
    assert (answer.status, answer.json["error"]["code"]) == (409, "changed")
    assert str(runs) not in answer.json["error"]["message"]


def test_a_folder_that_goes_and_comes_back(serve: Callable[..., Any], runs: Path) -> None:
    (runs / "x.flog").write_bytes(Flog.header() + frame(1))
    site = serve(runs)
    id = site.id("x.flog")
    token = {"x-trainlog-token": site.get("/api/v1/notes").json["token"], "content-type": "application/json"}
    runs.rename(runs.with_name("elsewhere"))
    site.until(lambda: not site.get("/api/v1/runs").json["runs"])
    answers = [site.get(f"/api/v1/runs/{id}{what}") for what in ("", "/series?keys=reward", "/rows.csv", "/frame")]
    assert [answer.status for answer in answers] == [404] * 4
    kept = site.get("/api/v1/notes", token, "POST", '{"view": "v", "query": "q"}')
    assert (kept.status, "does not exist" in kept.json["error"]["message"]) == (403, True)
    runs.with_name("elsewhere").rename(runs)
    assert site.id("x.flog") == id
    assert site.run("x.flog", "series", keys="reward")["series"]["reward"]["y"] == [1]


def test_a_run_that_appears_is_announced(serve: Callable[..., Any], runs: Path) -> None:
    site = serve(runs)
    with site.stream() as stream:
        _, hello = stream.until("hello")
        (runs / "x.flog").write_bytes(Flog.header() + frame(1))
        _, news = stream.until("runs")
        assert news["version"] > hello["version"]


def test_a_simion_log_that_grows(serve: Callable[..., Any], runs: Path, simion: str) -> None:
    data = runs / f"{simion}.bin"
    raw = data.read_bytes()
    data.write_bytes(raw[: len(raw) // 2 + 11])
    site = serve(runs)
    id = site.id(simion)
    site.until(lambda: site.run(simion)["progress"] == 1)
    before = site.run(simion)["kinds"]["creature"]["rows"]
    with site.stream(runs=id, kinds="creature,stats", keys="reward") as stream:
        stream.until("hello")
        time.sleep(0.2)
        with data.open("ab") as file:
            file.write(raw[len(raw) // 2 + 11 :])
        stream.until("rows", lambda message: message["kind"] == "stats" and message["to"] == 34)
    assert before < site.run(simion)["kinds"]["creature"]["rows"] == 1394


def test_nothing_is_kept_for_ever(runs: Path, monkeypatch: Any) -> None:
    from trainlog.server import log_poller as module

    monkeypatch.setattr(module, "MOST", 3)
    poller = module.LogPoller(pause=0.01)
    for n in range(6):
        (runs / f"{n}.flog").write_bytes(Flog.header() + frame(n))
        poller.open(str(n), f"{n}.flog", runs / f"{n}.flog").wait_for({Kind.STATS}, 5)
    assert [n for n in range(6) if poller.get(str(n)) is not None] == [3, 4, 5]
    monkeypatch.setattr(module, "KEPT", 0.05)
    time.sleep(0.2)
    end = time.monotonic() + 10
    while poller._logs and time.monotonic() < end:
        time.sleep(0.01)
    assert not poller._logs
    poller.close()


def test_a_plug_ins_reader_that_fails_is_told_and_others_go_on(
    serve: Callable[..., Any], runs: Path, monkeypatch: Any
) -> None:
    from trainlog import registry
    from trainlog.codec import Reader
    from trainlog.codecs.flog.reader import FlogReader

    class Broken(FlogReader):
        scan = Reader.scan

        def frames(self, *arguments: Any, **options: Any) -> Any:
            yield next(super().frames(*arguments, **options))
            raise RuntimeError("a mistake in a plug-in")

    (runs / "bad.flog").write_bytes(Flog.header() + frame(1) + frame(2))
    (runs / "good.flog").write_bytes(Flog.header() + frame(1))
    real = registry.open
    monkeypatch.setattr(registry, "open", lambda path: Broken(path) if path.name == "bad.flog" else real(path))
    site = serve(runs)
    id = site.id("bad.flog")
    site.until(lambda: "a mistake in a plug-in" in site.get("/api/v1/runs").json["runs"][0]["error"] or True)
    answer = site.get(f"/api/v1/runs/{id}")
    assert answer.status == 409
    assert "a mistake in a plug-in" in answer.json["error"]["message"]
    assert site.run("good.flog")["kinds"]["stats"]["rows"] == 1


def test_what_training_went_back_over_is_hidden(serve: Callable[..., Any], runs: Path) -> None:
    """Afterwards as well as for those who were looking."""
    site = serve(runs)
    with trainlog.TrainingRecorder(runs / "x.flog", "go2") as log:
        for n in range(10):
            log.record_stats_frame(float(n), {"step": n, "reward": float(n)})
        id = site.id("x.flog")
        with site.stream(runs=id, kinds="stats") as stream:
            stream.until("hello")
            site.until(lambda: site.run("x.flog")["progress"] == 1)
            time.sleep(0.3)  # the stream has begun behind the tenth row
            log.rewind(step=4)
            for n in range(5, 8):
                log.record_stats_frame(float(10 + n), {"step": n, "reward": 10.0 * n})
            stream.until("reset")
            assert rows_of(stream, 8) == [0.0, 1.0, 2.0, 3.0, 4.0, 50.0, 60.0, 70.0]
        site.until(lambda: site.run("x.flog")["frames"] == 9)
    time.sleep(0.3)
    assert site.run("x.flog")["frames"] == 9, "a checksum was counted, or what was superseded"


def test_the_rows_of_shards_as_csv_are_in_the_order_of_times(serve: Callable[..., Any], runs: Path) -> None:
    def write_shard(rank: int, steps: range) -> None:
        with trainlog.create(runs / "run.flog" / f"{rank}.flog", {"shard": {"rank": rank, "began": 1000.0}}) as log:
            for step in steps:
                log.write(Frame(float(step), Kind.STATS, {"step": step, "mine": rank}))

    write_shard(0, range(5, 8))
    site = serve(runs)
    site.until(lambda: site.run("run.flog")["kinds"]["stats"]["read"] == 3)
    write_shard(1, range(4, 7))
    site.until(lambda: site.run("run.flog")["kinds"]["stats"]["read"] == 6)
    text = site.get(f"/api/v1/runs/{site.id('run.flog')}/rows.csv", keys="mine", x="step").body.decode()
    assert text.split() == [
        "time,step,mine",
        "4.0,4.0,1",
        "5.0,5.0,0",
        "5.0,5.0,1",
        "6.0,6.0,0",
        "6.0,6.0,1",
        "7.0,7.0,0",
    ]
    last = site.run("run.flog", "frame", kind="stats", row=5)
    assert (last["time"], last["x"], last["data"]["step"]) == (6, 6, 6)
