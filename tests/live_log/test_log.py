"""A log that is followed while it is written: its rows, columns on disk, cursors."""

from __future__ import annotations

import json
import math
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import by_hand_simion
import trainlog
from handmade import Flog
from trainlog.errors import DamagedLogWarning, InvalidPosition
from trainlog.live_log.column_file import ROWS, ColumnFile, StoredColumn, codes_of, is_nan, no_numbers
from trainlog.live_log.columns import Columns
from trainlog.live_log.cursor import START, Cursor, Mark
from trainlog.live_log.log import Log
from trainlog.model import Frame, Kind
from trainlog.storage.source import Source
from trainlog.table.builder import table_of


def frame(n: int, **more: Any) -> bytes:
    return Flog.frame(n / 10, 2, {"step": n, "reward": float(n), **more})


@pytest.fixture
def eager(monkeypatch: Any) -> None:
    """Every look at a log costs all of it here, as these are small: none waits for another."""
    monkeypatch.setattr("trainlog.live_log.log._REST", 0)


def read_all(log: Log) -> None:
    while log.advance(time.monotonic() + 1):
        pass


def taken(log: Log) -> dict[str, list[Any]]:
    read_all(log)
    return {str(kind): log.frames(kind, list(range(len(rows)))) for kind, rows in log.rows.items()}


GOLDENS = ["plain", "json", "hole", "torn_header", "torn_payload", "unknown_kinds", "values", "header_only", "phase"]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("name", GOLDENS)
def test_a_log_is_what_its_reader_says_however_it_grew(goldens: Path, tmp_path: Path, name: str) -> None:
    """A torn tail that is completed later loses no row, wherever it was torn."""
    raw = (goldens / "flog" / f"{name}.flog").read_bytes()
    path = tmp_path / "x.flog"
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


def test_a_hole_that_the_disk_made(tmp_path: Path) -> None:
    """Six orphan headers, as the original writer left them when the disk was full."""
    orphan = frame(1, note="x" * 300)[:13]
    before, after = [frame(n) for n in range(60)], [frame(n) for n in range(100, 200)]
    path = tmp_path / "x.flog"
    path.write_bytes(Flog.header() + b"".join(before) + 6 * orphan + b"".join(after))
    log = Log("x", "x", path)
    assert len(taken(log)["stats"]) == 160
    assert log.damage


def test_a_long_file_costs_what_is_new_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.flog"
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
        with pytest.raises(ValueError, match="not a cursor of this server"):
            Cursor.parse(wrong)
    many = Cursor("0123abcd", (Mark(9, json.dumps([9, {f"{n}.flog": f"{n}-0123456789" for n in range(1000)}])), START))
    assert Cursor.parse(str(many)) == many, "of a run of many processes"
    further = Cursor("0123abcd", (Mark(2, "x"), Mark(7, "y")))
    assert cursor.advanced(further).marks == (cursor.marks[0], further.marks[1])


def test_images_of_few_frames_are_lists_and_no_numbers() -> None:
    """Of many frames that lack one, the table holds them as arrays of their own."""
    image = np.zeros((84, 84, 3), np.uint8)
    columns = Columns(ColumnFile())
    columns.extend(
        table_of(Kind.STATS, [(float(n), {"step": n, **({"image": image} if n == 3 else {})}) for n in range(3000)])
    )
    assert {key: one.shape for key, one in columns.series.items()} == {"step": "number", "image": "list"}


def test_each_file_of_a_log_is_watched(tmp_path: Path) -> None:
    """Also where nobody said which these are: of an RLSimion log, the path is that of the descriptor."""
    data = by_hand_simion.experiment() + by_hand_simion.episode_of([(1.0, 2.0)] * 4)
    path = by_hand_simion.log(tmp_path, data)
    log = Log("x", "x", path)
    read_all(log)
    (binary,) = tmp_path.glob("*.bin")
    assert log.size == path.stat().st_size + binary.stat().st_size
    binary.write_bytes(data[:-8])
    with pytest.raises(InvalidPosition, match="replaced or cut"):
        log.advance(time.monotonic() + 1)


def write_shard(run: Path, rank: int, times: list[float], flags: str = "x") -> None:
    meta = {"shard": {"rank": rank, "began": 1000.0}}
    path = run / f"{rank}.flog"
    with trainlog.create(path, meta) if flags == "x" else trainlog.resume(path) as log:
        for time in times:
            for kind in (Kind.STATS, Kind.CREATURE):
                log.write(Frame(time, kind, {"step": int(time), "value": rank * 1000 + time}))


def test_shards_that_bring_older_frames_at_a_later_look(tmp_path: Path, eager: None) -> None:
    run = tmp_path / "run.flog"
    write_shard(run, 0, [10.0, 11.0, 12.0])
    log = Log("", "", run)
    read_all(log)
    cursor = log.cursor()
    write_shard(run, 1, [5.0, 11.0, 20.0])
    read_all(log)
    write_shard(run, 0, [13.0, 14.0], "a")
    read_all(log)
    for kind in (Kind.STATS, Kind.CREATURE):
        frames = log.frames(kind, range(8))
        assert [frame.time for frame in frames] == log.rows[kind].time.read().tolist()
        assert log.frames(kind, [3, 6])[0].data == frames[3].data
    values = log.rows[Kind.STATS].columns.numbers("value", 0, 8).tolist()
    assert values == [10, 11, 12, 1005, 1011, 1020, 13, 14]
    assert [frame.data["value"] for frame in log.frames(Kind.STATS, range(8))] == values
    log.want({Kind.CREATURE})  # the times of these were known already
    read_all(log)
    rows = log.rows[Kind.CREATURE]
    values = rows.columns.numbers("value", 0, 8).tolist()
    assert rows.time.read().tolist() == [value % 1000 for value in values] == [5, 10, 11, 11, 12, 13, 14, 20]
    assert log.holds(log.cursor())
    assert not Log("", "", run).holds(cursor), "to another reader these are other rows"
    (run / "1.flog").write_bytes((run / "0.flog").read_bytes())
    with pytest.raises(InvalidPosition):
        log.frames(Kind.STATS, range(8))
