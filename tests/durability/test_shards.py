"""A run of several processes: a file for each, one log for the reader."""

from __future__ import annotations

import itertools
import math
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trainlog
from handmade import Flog
from trainlog import Frame, Kind, Reader, Scan, TrainingRecorder
from trainlog.cli import main
from trainlog.codecs.flog.reader import FlogReader
from trainlog.errors import InvalidPosition, LogExists, LogNotFound, TruncatedLog, UnknownFormat
from trainlog.storage.source import Source
from trainlog.table.builder import table_of
from trainlog.testing import FramesOnly, assert_same_table, same


def shard(path: Path, rank: int, began: float, times: list[float], /, **more: object) -> None:
    with trainlog.create(path / f"{rank}.flog", {"creature": "ant", "shard": {"rank": rank, "began": began}}) as log:
        for n, time in enumerate(times):
            log.write(Frame(time, Kind.STATS, {"n": n, **more}))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run.flog"
    shard(path, 0, 1000.0, [0.0, 1.0, 2.0, 3.0])
    shard(path, 2, 1000.5, [0.0, 1.0, 2.0])
    shard(path, 10, 1001.0, [0.0, 2.5])
    return path


def test_a_scan_of_one_kind_leads_to_its_frames_when_the_runs_have_ended(tmp_path: Path) -> None:
    for rank in range(2):
        with TrainingRecorder(tmp_path / "run.flog", shard=rank) as log:
            log.event("start")
            log.record_stats_frame(None, {"n": rank})
    log = trainlog.open(tmp_path / "run.flog")
    for kind in (Kind.EVENT, Kind.STATS):
        (batch,) = log.scan(Scan(kinds=kind))
        assert [frame.kind for frame in log.take(batch.order.tolist())] == [kind, kind]


def test_one_log_in_the_order_of_times(run: Path) -> None:
    log = trainlog.open(run)
    assert log.header.meta == {"creature": "ant", "shards": 3}
    assert [(frame.time, frame.data["rank"], frame.data["n"]) for frame in log.frames(on_damage="raise")] == [
        *[(0.0, 0, 0), (0.5, 2, 0), (1.0, 0, 1), (1.0, 10, 0), (1.5, 2, 1)],
        *[(2.0, 0, 2), (2.5, 2, 2), (3.0, 0, 3), (3.5, 10, 1)],
    ]
    table = log.table("stats")
    assert table.time.tolist() == [0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    assert table["rank"].tolist() == [0, 2, 0, 10, 2, 0, 2, 0, 10]
    assert log.table("stats", last=2)["n"].tolist() == [3, 1]
    assert log.at(2.2, "stats").data == {"n": 2, "rank": 0}
    summary = log.summary()
    assert (summary.frames, summary.duration, summary.kinds[Kind.STATS].keys["n"]) == (9, 3.5, 9)
    assert summary.size == sum(file.stat().st_size for file in run.iterdir())
    assert list(pickle.loads(pickle.dumps(log))) == list(log)


def test_a_shard_that_was_restarted_after_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("time.time", lambda: clock[0])
    monkeypatch.setattr("time.monotonic", lambda: clock[0] - 900)
    path = tmp_path / "run.flog"
    logs = [TrainingRecorder(path, shard=rank, sync_every=None, resume=True) for rank in range(2)]
    for step in range(6):
        clock[0] += 10
        if step == 1:
            logs[1].close()
        if step == 4:
            logs[1] = TrainingRecorder(path, shard=1, sync_every=None, resume=True)
        for rank in range(2) if step in (0, 4, 5) else [0]:
            logs[rank].record_stats_frame(None, {"step": step, "mine": rank})
    for log in logs:
        log.close()
    assert [(frame.data["step"], frame.data["mine"]) for frame in trainlog.open(path).frames("stats")] == [
        *[(0, 0), (0, 1), (1, 0), (2, 0), (3, 0), (4, 0), (4, 1), (5, 0), (5, 1)]
    ]
    assert trainlog.open(path).table("stats").time.tolist() == [10, 10, 20, 30, 40, 50, 50, 60, 60]


def test_a_pattern(tmp_path: Path) -> None:
    for rank in (0, 1):
        (tmp_path / f"run-{rank}.flog").write_bytes(Flog.header() + Flog.frame(1.0 - rank, 2, {"n": rank}))
    log = trainlog.open(tmp_path / "run-*.flog")
    assert [(frame.data["n"], frame.data["rank"]) for frame in log] == [(1, 1), (0, 0)]
    assert log.files == (tmp_path / "run-0.flog", tmp_path / "run-1.flog")
    assert log.summary().size == sum(file.stat().st_size for file in log.files)
    with pytest.raises(LogNotFound, match="no file has this name"):
        trainlog.open(tmp_path / "walk-*.flog")


def test_folders_that_are_no_log(tmp_path: Path) -> None:
    (tmp_path / "a.flog").mkdir()
    (tmp_path / "a.flog" / ".hidden.flog").write_bytes(Flog.header())
    with pytest.raises(LogNotFound, match="no FLOG files in it"):
        trainlog.open(tmp_path / "a.flog")
    with pytest.raises(UnknownFormat, match="folder, not a log"):
        trainlog.open(tmp_path)


@pytest.mark.parametrize("more", [[{}, {}, {}], [{"a": 1}, {}, {"b": "x"}], [{"rank": "mine"}] * 3])
@pytest.mark.parametrize("times", [[0.0, 1.0, 2.0], [5.0, 1.0, 3.0]])
def test_tables_are_those_of_the_frames(tmp_path: Path, more: list[dict[str, object]], times: list[float]) -> None:
    path = tmp_path / "run.flog"
    for rank in range(3):
        shard(path, rank, 100.0 + 0.3 * rank, times, **more[rank])
    log = trainlog.open(path)
    plain = table_of(Kind.STATS, ((frame.time, frame.data) for frame in log.frames("stats")))
    fast = log.table("stats")
    assert list(fast) == list(plain)
    assert same(fast.time, plain.time)
    assert all(same(fast[key], plain[key]) for key in plain)


def test_one_order_where_times_step_back(tmp_path: Path) -> None:
    """The frames of one kind stand as they do among all, whatever asks for them."""
    for rank, frames in enumerate([[(10, 4), (2, 2), (4, 2)], [(3, 2), (5, 2)]]):
        with trainlog.create(tmp_path / f"{rank}.flog") as log:
            log.write_all(Frame(float(time), Kind(kind), {"t": time}) for time, kind in frames)
    log = trainlog.open(tmp_path / "*.flog")
    looks = iter([True])
    assert [frame.data["t"] for frame in log if frame.kind == Kind.STATS] == [3, 5, 2, 4]
    assert [frame.data["t"] for frame in log.frames("stats")] == [3, 5, 2, 4]
    assert [frame.data["t"] for frame in log.frames("stats", wait=lambda: next(looks, False))] == [3, 5, 2, 4]
    assert log.table("stats")["t"].tolist() == [3, 5, 2, 4]


def test_a_scan_that_is_stopped_after_each_batch(tmp_path: Path) -> None:
    """It gives each row once, at its place, also when files grow and others begin meanwhile."""
    path = tmp_path / "run.flog"
    kinds = (Kind.STATS, Kind.CREATURE, Kind.EVENT)

    def write(rank: int, first: int, last: int) -> None:
        if not path.exists() or not (path / f"{rank}.flog").exists():
            shard(path, rank, 100.0, [])
        with (path / f"{rank}.flog").open("ab") as file:
            for n in range(first, last):
                file.write(b"".join(Flog.frame(n + rank / 8, kind, {"n": n}) for kind in kinds))

    path.mkdir()
    write(0, 0, 3)
    write(1, 0, 2)
    position, seen = None, []
    for look in itertools.count():
        batch = next(trainlog.open(path).scan(Scan(after=position)))
        if not batch.table.rows:
            break
        rows = zip(batch.order.tolist(), batch.table["rank"].tolist(), batch.table["n"].tolist(), strict=True)
        seen += [(order, batch.table.kind, rank, n) for order, rank, n in rows]
        position = batch.position
        if look == 0:
            write(1, 2, 4)
            write(2, 0, 1)
    assert look == 6
    assert sorted((kind, rank, n) for _, kind, rank, n in seen) == sorted(
        (kind, rank, n) for kind in kinds for rank, count in ((0, 3), (1, 4), (2, 1)) for n in range(count)
    )
    first = [order for order, *_ in seen[:15]]
    assert sorted(first) == list(range(15))


VALUES = st.sampled_from([1, 2.0, 0.5, -1, 2**63, None, "a", True, [1.0, 2.0], [1], {"a": 0.5}, math.nan])
DATA = st.fixed_dictionaries(
    {"step": st.integers(0, 5) | st.floats(0, 5)},
    optional={"x": st.floats() | st.integers(-3, 3), "y": VALUES, "z": st.just(1.5)},
)
ODD = st.fixed_dictionaries(
    {}, optional={"step": VALUES, "y": VALUES, "rank": st.sampled_from([7, 0.5, None, "a"]), "w": st.just(1)}
)
TIMES = st.sampled_from([0.0, 0.1, 0.2, 0.3, 1.0, 2.5, -1.0, math.nan, math.inf])
LIMITS = st.none() | st.tuples(*[st.none() | st.sampled_from([-1.0, 0, 0.1, 0.3, 0.4, 1, 2.5, 3, math.inf])] * 2)
KEYS = st.none() | st.lists(st.sampled_from(["step", "x", "y", "z", "y/a", "rank"]), max_size=3)


@st.composite
def shards(draw: st.DrawFn) -> list[tuple[float, list[bytes]]]:
    """Files that mostly are alike: when each began, and its frames."""
    one = draw(st.sampled_from([DATA, DATA, DATA | ODD, st.just({"step": 1, "x": 0.5}), st.just({"step": 2, "x": 3})]))
    times = draw(st.sampled_from([TIMES, st.floats(0, 3)]))
    frame = st.builds(Flog.frame, times, st.sampled_from([2, 2, 2, 4]), one)
    return draw(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.3, 1e9 / 3]), st.lists(frame, max_size=8)), min_size=1))


@given(files=shards(), choices=st.lists(st.tuples(LIMITS, LIMITS, st.none() | st.integers(0, 9), KEYS), min_size=4))
@settings(max_examples=150)
def test_any_rows_and_columns(
    files: list[tuple[float, list[bytes]]],
    choices: list[tuple[Any, ...]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("any") / "run.flog"
    path.mkdir()
    for n, (began, frames) in enumerate(files):
        meta = {"creature": "ant", "shard": {"rank": n, "began": began}}
        (path / f"{n}.flog").write_bytes(Flog.header(meta) + b"".join(frames))
    log = trainlog.open(path)
    for time, steps, last, keys in [(None, None, None, None), *choices]:
        which = {"time": time, "steps": steps, "last": last, "keys": keys}
        try:
            expected = FramesOnly(log).table("stats", **which)
        except KeyError:
            with pytest.raises(KeyError):
                log.table("stats", **which)
        else:
            assert_same_table(log.table("stats", **which), expected)


@pytest.mark.parametrize(
    "which", [{}, {"keys": ["n", "rank"]}, {"last": 3}, {"time": (0.5, 2.5)}, {"steps": (1, None)}]
)
def test_files_that_are_alike_are_read_as_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: dict[str, Any]
) -> None:
    """Also where a key comes later, and where only one of them has it but it is named."""
    path = tmp_path / "run.flog"
    for rank in range(3):
        meta = {"creature": "ant", "shard": {"rank": rank, "began": 100.0 + 0.3 * rank}}
        with trainlog.create(path / f"{rank}.flog", meta) as log:
            log.write(Frame(0.0, Kind.STATS, {"n": 0, "step": 0}))
            log.write_all(Frame(n, Kind.STATS, {"n": n, "step": n, "loss": n / 3}) for n in (1.0, 2.0, 3.0))
    read = trainlog.open(path)
    expected = Reader.table(read, "stats", **which)
    monkeypatch.setattr(type(read), "frames", None)
    assert_same_table(read.table("stats", **which), expected)


@pytest.mark.parametrize("which", [{}, {"kinds": "stats"}, {"last": 3}, {"time": (0.5, 2.5)}, {"steps": (1, None)}])
def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: dict[str, Any]) -> None:
    path = tmp_path / "run.flog"
    path.mkdir()
    for rank in range(3):
        frames = [Flog.frame(n / 10, (2, 4)[n % 2], {"step": n, "x": "a" * 2000}) for n in range(200)]
        meta = {"creature": "ant", "shard": {"rank": rank, "began": 100.0}}
        (path / f"{rank}.flog").write_bytes(Flog.header(meta) + b"".join(frames))
    log = trainlog.open(path)
    size, read = sum(file.stat().st_size for file in log.files), 0
    fill = Source.fill

    def counted(source: Source, buffer: memoryview, offset: int) -> int:
        nonlocal read
        read += (count := fill(source, buffer, offset))
        return count

    monkeypatch.setattr(Source, "fill", counted)
    list(log.scan(Scan(**which)))
    assert size <= read < 1.1 * size


def test_orders_lead_to_the_frames_of_a_kind(tmp_path: Path) -> None:
    """Checksums and late metadata, which are in the files as well, do not count."""
    for rank in range(2):
        with TrainingRecorder(tmp_path / "run.flog", shard=rank) as log:
            for n in range(5):
                log.record_stats_frame(n, {"n": n})
                log.record_creature_frame(n, {"n": n})
                log.update_metadata({"n": n})
    read = trainlog.open(tmp_path / "run.flog")
    for kind in ("stats", "creature"):
        (batch,) = read.scan(Scan(kinds=kind))
        assert list(read.take(batch.order.tolist())) == list(read.frames(kind))


def test_checksums_as_rows(run: Path) -> None:
    """They are no frames of the run, and have places only where they alone are asked for."""
    with TrainingRecorder(run / "log_2.flog") as log:
        log.record_stats_frame(1.0, {"step": 1})
    seals = trainlog.open(run).table(67)
    assert 67 not in {batch.table.kind for batch in trainlog.open(run).scan()}
    assert seals.rows == sum(trainlog.open(file).table(67).rows for file in run.iterdir()) > 0


PROCESS = """
import sys, trainlog
path, rank = sys.argv[1], int(sys.argv[2])
with trainlog.TrainingRecorder(path, "ant", shard=rank) as log:
    for n in range(300):
        log.record_stats_frame(None, {"n": n})
"""


def test_several_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.flog"
    command = [sys.executable, "-c", PROCESS, str(path)]
    children = [subprocess.Popen([*command, str(rank)]) for rank in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4
    frames = list(trainlog.open(path).frames(on_damage="raise"))
    assert [frame.time for frame in frames] == sorted(frame.time for frame in frames)
    for rank in range(4):
        assert [frame.data["n"] for frame in frames if frame.data["rank"] == rank] == list(range(300))
    for verb in ("info", "verify"):
        with pytest.raises(SystemExit) as ended:
            main([verb, str(path)])
        assert not ended.value.code
        assert "1,200" in capsys.readouterr().out
    with pytest.raises(LogExists):
        TrainingRecorder(path, shard=2)
    with TrainingRecorder(path, shard=2, resume=True) as log:
        assert log.now() > 0


@pytest.mark.parametrize("suffix", [".parquet", ".flog.zst", ".simion.log", ".svg"])
def test_a_format_whose_folders_are_no_log_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UnknownFormat, match=r"several processes cannot record one \w+ log; record run\.flog"):
        TrainingRecorder(tmp_path / f"run{suffix}", shard=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("last", [None, 3])
def test_files_that_grow_while_they_are_scanned(run: Path, last: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    log = trainlog.open(run)
    before = log.table("stats", last=last)
    plain = FlogReader._open

    def opened(reader: FlogReader, *args: Any, **options: Any) -> Any:
        found = plain(reader, *args, **options)
        with reader.path.open("ab") as file:  # its writer continues
            file.write(Flog.frame(9.0, 2, {"n": 9}) * 4)
        return found

    monkeypatch.setattr(FlogReader, "_open", opened)
    assert_same_table(log.table("stats", last=last), before)
    (batch,) = log.scan(Scan(kinds="stats"))
    assert batch.table.rows == 9 + 3 * 4
    (batch,) = log.scan(Scan(kinds="stats", after=batch.position))
    assert batch.table["n"].tolist() == [9] * 3 * 4


def test_damage_is_told_with_its_file(run: Path) -> None:
    with (run / "2.flog").open("ab") as file:
        file.write(b"half")
    (problem,) = (one for one in trainlog.verify(run).problems if one.damage)
    assert (problem.what, problem.file, problem.size) == ("torn tail", "2.flog", 4)
    assert len(list(trainlog.open(run))) == 9
    with pytest.raises(TruncatedLog, match=r"2\.flog"):
        list(trainlog.open(run).frames(on_damage="raise"))
    done = trainlog.repair(run, run.parent / "one.flog")
    assert (done.complete, done.kept) == (False, {Kind.STATS: 9})
    assert len(list(trainlog.open(run.parent / "one.flog").frames("stats", on_damage="raise"))) == 9


def test_a_shard_that_ends_inside_its_header(run: Path) -> None:
    """A process that is killed at its start leaves no frame, and costs none of the others."""
    header = Flog.header({"shard": {"rank": 3}})
    file = run / "3.flog"
    for cut in range(1, len(header)):
        file.write_bytes(header[:cut])
        log = trainlog.open(run)
        assert log.table("stats").rows == len(list(log.frames(on_damage="warn"))) == 9
        assert [gap.file for gap in log.summary().gaps] == ["3.flog"]
        (problem,) = (one for one in trainlog.verify(run).problems if one.damage)
        assert (problem.what, problem.file, problem.size) == ("torn tail", "3.flog", cut)
        for rows in (log.frames(on_damage="raise"), log.scan(Scan(on_damage="raise"))):
            with pytest.raises(TruncatedLog, match=r"3\.flog"):
                list(rows)
    file.write_bytes(header + Flog.frame(1.0, 2, {"n": 1}))
    assert log.table("stats").rows == 10
    for other in (0, 2, 10):
        (run / f"{other}.flog").unlink()
    file.write_bytes(header[:-1])
    with pytest.raises(TruncatedLog, match=r"3\.flog"):
        trainlog.open(run)


def test_live_with_a_shard_that_comes_later(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    logs = [TrainingRecorder(path, shard=0, sync_every=None)]
    logs[0].record_stats_frame(0.0, {"n": 0})
    log = trainlog.open(path)
    turns = iter(range(4))
    seen: list[list[tuple[int, int]]] = [[]]

    def wait() -> bool:
        turn = next(turns)
        seen.append([])
        if turn == 0:
            logs.append(TrainingRecorder(path, shard=1, sync_every=None))
            logs[1].record_stats_frame(2.0, {"n": 1})
            logs[0].record_stats_frame(1.0, {"n": 1})
        elif turn == 1:
            with (path / "0.flog").open("ab") as file:
                file.write(Flog.frame(3.0, 2, {"n": 2})[:15])
        elif turn == 2:
            with (path / "0.flog").open("ab") as file:
                file.write(Flog.frame(3.0, 2, {"n": 2})[15:])
        return turn < 3

    for frame in log.frames("stats", wait=wait):
        seen[-1].append((frame.data["rank"], frame.data["n"]))
    assert seen == [[(0, 0)], [(0, 1), (1, 1)], [], [(0, 2)], []]
    for one in logs:
        one.close()


def test_rewinds_are_each_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    for rank in (0, 1):
        with TrainingRecorder(path, shard=rank, sync_every=None) as log:
            for step in range(4):
                log.record_stats_frame(None, {"step": step})
            log.rewind(rank)
    log = trainlog.open(path)
    assert sorted((frame.data["rank"], frame.data["step"]) for frame in log.frames("stats")) == [(0, 0), (1, 0), (1, 1)]
    assert len(list(log.with_superseded().frames("stats"))) == 8
    assert log.summary().superseded > 0


def test_ten_readers_follow_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    done = threading.Event()
    seen: list[list[int]] = [[] for _ in range(10)]
    with TrainingRecorder(path, sync_every=0.01) as log:

        def follow(mine: list[int]) -> None:
            wait = trainlog.follow(0.001, until=done.is_set)
            frames: Iterator[Frame] = trainlog.open(path).frames("stats", wait=wait)
            mine.extend(frame.data["n"] for frame in frames)

        threads = [threading.Thread(target=follow, args=(mine,)) for mine in seen]
        for thread in threads:
            thread.start()
        for n in range(2000):
            log.record_stats_frame(None, {"n": n, "pad": b"x" * (n % 500)})
    done.set()
    for thread in threads:
        thread.join(60)
    assert seen == [list(range(2000))] * 10


def test_a_position_of_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run.flog"
    for rank in range(2):
        with trainlog.TrainingRecorder(folder, shard=rank) as log:
            log.record_stats_frame(0.0, {"step": rank})
    position = list(trainlog.open(folder).scan(Scan()))[-1].position
    gone = trainlog.open(folder).files[1]
    gone.unlink()
    with pytest.raises(InvalidPosition, match=f"{gone.name} is gone"):
        list(trainlog.open(folder).scan(Scan(after=position)))
