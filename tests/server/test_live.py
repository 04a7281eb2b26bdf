"""Logs that are written while somebody looks."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from handmade import Flog
from trainlog.errors import DamagedLogWarning
from trainlog.model import Kind
from trainlog.server.column_file import ROWS, ColumnFile, StoredColumn, codes_of, is_nan, no_numbers
from trainlog.server.columns import Columns
from trainlog.server.cursor import START, Cursor, Mark
from trainlog.server.log import Log
from trainlog.storage.source import Source
from trainlog.table.builder import table_of


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


# --- the parts ---


@pytest.fixture
def eager(monkeypatch: Any) -> None:
    """Every look at a log costs all of it here, as these are small: none waits for another."""
    monkeypatch.setattr("trainlog.server.log._REST", 0)


def read_all(log: Log) -> None:
    while log.advance(time.monotonic() + 1):
        pass


def taken(log: Log) -> dict[str, list[Any]]:
    read_all(log)
    return {str(kind): log.frames(kind, list(range(len(rows)))) for kind, rows in log.rows.items()}


GOLDENS = ["plain", "json", "hole", "torn_header", "torn_payload", "unknown_kinds", "values", "header_only", "phase"]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("name", GOLDENS)
def test_a_log_is_what_its_reader_says_however_it_grew(goldens: Path, runs: Path, name: str) -> None:
    """A torn tail that is completed later loses no row, wherever it was torn."""
    raw = (goldens / "flog" / f"{name}.flog").read_bytes()
    path = runs / "x.flog"
    header = 11 + int.from_bytes(raw[7:11], "little")
    for step in (1, 37):
        path.write_bytes(raw[:header])
        log = Log("x", "x", path)
        log.want(Kind.__members__.values())
        for end in range(header, len(raw) + step, step):
            with path.open("r+b") as file:
                file.write(raw[:end])
            read_all(log)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DamagedLogWarning)
            frames = list(trainlog.open(path).frames())
            tables = {kind: trainlog.open(path).table(kind) for kind in {one.kind for one in frames}}
        found = taken(log)
        assert {kind: len(each) for kind, each in found.items()} == {
            kind: len([one for one in frames if str(one.kind) == kind]) for kind in {str(one.kind) for one in frames}
        }
        for kind, each in found.items():
            assert repr(each) == repr([one for one in frames if str(one.kind) == kind])
        for kind, table in tables.items():
            rows = log.rows[kind]
            assert rows.columns.rows == table.rows
            assert rows.time.read().tolist() == table.time.tolist()
            assert set(table) == set(rows.columns.series)


def test_a_hole_that_the_disk_made(runs: Path) -> None:
    """Six orphan headers, as the original writer left them when the disk was full."""
    orphan = frame(1, note="x" * 300)[:13]
    before, after = [frame(n) for n in range(60)], [frame(n) for n in range(100, 200)]
    path = runs / "x.flog"
    path.write_bytes(Flog.header() + b"".join(before) + 6 * orphan + b"".join(after))
    log = Log("x", "x", path)
    assert len(taken(log)["stats"]) == 160
    assert log.damage


def test_a_long_file_costs_what_is_new_in_it(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = runs / "x.flog"
    path.write_bytes(Flog.header() + b"".join(frame(n, note="x" * 1500) for n in range(20_000)))
    log = Log("x", "x", path)
    read_all(log)
    read: list[int] = []
    block, fill = Source.block, Source.fill

    def counted_block(self: Source, *arguments: int, **named: int) -> bytes:
        found = block(self, *arguments, **named)
        read.append(len(found))
        return found

    def counted_fill(self: Source, buffer: memoryview, offset: int) -> int:
        read.append(fill(self, buffer, offset))
        return read[-1]

    monkeypatch.setattr(Source, "block", counted_block)
    monkeypatch.setattr(Source, "fill", counted_fill)
    for n in range(2):  # the first time the reader makes sure of all that is before
        read.clear()
        with path.open("ab") as file:
            file.write(frame(20_000 + n))
        read_all(log)
        log._parts[0]._not_before = log._parts[1]._not_before = 0
    assert log.rows[Kind.STATS].columns.rows == 20_002
    assert 0 < sum(read) < path.stat().st_size / 5  # a block at its beginning, for the header, and what is new
    read.clear()
    assert not log.advance(time.monotonic() + 1)
    assert not read


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


def test_what_a_log_knows_of_a_long_run_is_on_disk() -> None:
    file = ColumnFile()
    column = StoredColumn(file, start=5)
    values = np.arange(3 * ROWS + 17, dtype=float)
    for part in np.array_split(values, 13):
        column.extend(part)
    assert file.size == 3 * ROWS * 8
    assert len(column) == len(values) + 5
    assert np.isnan(column.read(0, 5)).all()
    assert (column.read(5) == values).all()
    assert (column.read(ROWS - 3, 2 * ROWS + 9) == values[ROWS - 8 : 2 * ROWS + 4]).all()
    assert column.search(ROWS + 7.5) == ROWS + 8 + 5
    assert column.search(-1) == 5
    assert column.search(1e9) == len(column)


def test_columns_of_frames_that_differ() -> None:
    columns = Columns(ColumnFile())
    for some in (
        [{"a": 1, "b": "x"}, {"a": 2.5, "c": {"d": True}}],
        [{"a": "1.5", "e": [1, 2, 3], "b": "y"}, {}, {"a": 10**400}],
        [{"a": math.nan, "f": None}, {"a": None, "b": "x", "f": math.nan}, {"b": 7, "f": "nan", "e": [1, [2]]}],
    ):
        columns.extend(table_of(Kind.STATS, [(0.0, data) for data in some]))
    assert columns.rows == 8
    nothing = math.nan
    np.testing.assert_equal(columns.numbers("a", 0, 8), [1, 2.5, 1.5, nothing, math.inf, nothing, nothing, nothing])
    np.testing.assert_equal(columns.numbers("c/d", 0, 8), [nothing, 1, *[nothing] * 6])
    assert columns.codes("b", 0, 8).tolist() == [0, -1, 1, -1, -1, -1, 0, -1]
    assert columns.numbers("b", 7, 8).tolist() == [7]
    assert columns.series["e"].shape == "list"
    # Absent, null and NaN are three things: only the last of them is a value.
    assert is_nan(columns.numbers("a", 0, 8)).tolist() == [False] * 5 + [True, False, False]
    assert is_nan(columns.numbers("f", 0, 8)).tolist() == [False] * 6 + [True, True]
    assert (columns.series["a"].last, columns.series["b"].last, columns.series["f"].last) == (math.inf, 7, None)


def test_what_is_missing_is_told_from_nan_on_disk_too() -> None:
    column = StoredColumn(ColumnFile(), start=3)
    column.extend(np.where(np.arange(2 * ROWS) % 2, math.nan, no_numbers(-1)))
    column.pad_to(2 * ROWS + 10)
    assert is_nan(column.read()).sum() == ROWS
    column.extend(no_numbers([0, -1, 255]))
    column.extend(np.array([1.5, -math.inf, math.nan]))
    assert codes_of(column.read())[-6:].tolist() == [0, -1, 255, -1, -1, -1]
    assert (codes_of(column.read())[:-6] == -1).all()
    rows = np.arange(0, len(column), 97)
    np.testing.assert_equal(column.pick(rows), column.read()[rows])


def test_a_cursor_is_text_and_back() -> None:
    cursor = Cursor("0123abcd", (Mark(2**40, "12-a+b:c,d e/ü"), START))
    assert Cursor.parse(str(cursor)) == cursor
    assert not set(str(cursor)) & set(",: \n")
    for wrong in ("", "0123abcd", "0123abcd.1", "0123abcg.1.", "0123abcd.-1.", "0123abcd.1.==", "0123abcd.1.__"):
        with pytest.raises(ValueError, match=r"cursor|codec"):
            Cursor.parse(wrong)
    further = Cursor("0123abcd", (Mark(2, "x"), Mark(7, "y")))
    assert cursor.advanced(further).marks == (cursor.marks[0], further.marks[1])


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
