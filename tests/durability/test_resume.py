"""Runs that were killed and go on, and runs that went back to a checkpoint."""

from __future__ import annotations

import math
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import trainlog
from handmade import Flog
from trainlog import Frame, Kind, TrainingRecorder
from trainlog.cli import main
from trainlog.errors import CodecError, DamagedLogWarning, LogInUse, LogNotFound, TruncatedLog
from trainlog.storage.source import Source
from trainlog.table.builder import table_of
from trainlog.testing import same


def steps(log: trainlog.Reader) -> list[int]:
    return [frame.data["step"] for frame in log.frames("stats")]


def test_a_run_goes_on_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path, "ant", metadata={"seed": 1}, resume=True) as log:  # there is none yet
        log.record_stats_frame(5.0, {"step": 1})
    with TrainingRecorder(path, "ant", metadata={"seed": 2, "host": "b"}, resume=True) as log:
        assert 5.0 <= log.now() < 60.0
        log.record_stats_frame(None, {"step": 2})
    reader = trainlog.open(path)
    assert reader.header.meta["seed"] == 2
    first, event, second = reader.frames(on_damage="raise")
    assert [first.data["step"], second.data["step"]] == [1, 2]
    assert first.time <= event.time <= second.time
    assert event.kind == Kind.EVENT
    assert event.data["type"] == "resume"
    assert event.data["cut"] == 0
    assert event.data["pid"] == os.getpid()
    assert event.data["metadata"] == {"seed": 2, "host": "b"}
    verdict = trainlog.verify(path)
    assert (verdict.problems, verdict.sealed) == ([], path.stat().st_size)


def test_defaults_replace_nothing_and_are_not_told(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    where = {"out": Path("a"), "sizes": (1, 2)}
    with TrainingRecorder(path, "ant", "walk", metadata=where) as log:
        log.record_stats_frame(None, {"step": 1})
    with TrainingRecorder(path, metadata=where, resume=True):
        pass
    (event,) = trainlog.open(path).frames("event")
    assert "metadata" not in event.data
    with TrainingRecorder(path, metadata={"sizes": (1, 3)}, resume=True):
        pass
    assert [frame.data.get("metadata") for frame in trainlog.open(path).frames("event")] == [None, {"sizes": [1, 3]}]
    meta = trainlog.open(path).header.meta
    assert meta == {"creature": "ant", "task": "walk", "out": "a", "sizes": [1, 3]}


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("time", [math.nan, math.inf])
def test_the_clock_continues_from_a_time_that_is_finite(tmp_path: Path, time: float, closed: bool) -> None:
    path, copy = tmp_path / "a.flog", tmp_path / "b.flog"
    with TrainingRecorder(path) as log:
        log.state({"step": 1}, time=5.0)
        log.state({"step": 2}, time=time)
        log.update_metadata({"a": 1})
        shutil.copy(path, copy)
    with TrainingRecorder(path if closed else copy, resume=True) as log:
        assert 5.0 <= log.now() < 60.0
        log.stats({"step": 3})
        reader = trainlog.open(log.path)
    assert 5.0 <= reader.table("stats").time[0] < 60.0
    assert not any(problem.damage for problem in trainlog.verify(reader.path).problems)


def test_a_log_without_checksums_gets_none(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    for start in (0, 1000, 2000):
        with trainlog.resume(path) if start else trainlog.create(path, {"checksums": False}) as log:
            for step in range(start, start + 1000):
                log.write(Frame(float(step), Kind.STATS, {"step": step, "text": "a" * 100}))
            log.sync()
    reader = trainlog.open(path)
    assert list(reader.frames(kind=67)) == []
    assert steps(reader) == list(range(3000))
    assert [frame.kind for frame in reader].count(Kind.EVENT) == 2


def test_a_torn_tail_is_cut_at_every_byte(tmp_path: Path) -> None:
    frames = [Flog.frame(1.0, 2, {"step": 1}), Flog.frame(2.0, 2, {"step": 2})]
    head = Flog.header() + frames[0]
    for size in range(1, len(frames[1])):
        path = tmp_path / f"{size}.flog"
        path.write_bytes(head + frames[1][:size])
        with trainlog.resume(path, note={"why": "preempted"}) as log:
            assert log.resumed_at == 1.0
            log.write(Frame(3.0, Kind.STATS, {"step": 3}))
        one, event, three = trainlog.open(path).frames(on_damage="raise")
        assert (one.data["step"], three.data["step"]) == (1, 3)
        assert (event.data["cut"], event.data["why"], event.time) == (size, "preempted", 1.0)
        assert trainlog.verify(path).sealed == path.stat().st_size


TRAINER = """
import sys, trainlog
with trainlog.TrainingRecorder(sys.argv[1], resume=True, sync_every=0.005) as log:
    first = sum(1 for frame in trainlog.open(sys.argv[1]).frames("stats"))
    for n in range(first, 10**9):
        log.record_stats_frame(None, {"step": n, "pad": b"x" * (n % 400)})
        sys.stdout.buffer.raw.write(b".")
"""


def test_killed_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    told = 0
    for turn in range(6):
        with subprocess.Popen([sys.executable, "-c", TRAINER, str(path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            told += len(child.stdout.read(300 + 150 * turn))
            child.send_signal(signal.SIGKILL)
            told += len(child.stdout.read())
    reader = trainlog.open(path)
    assert steps(reader) == list(range(len(steps(reader))))
    assert told <= len(steps(reader)) <= told + 6
    times = [frame.time for frame in reader]
    assert times == sorted(times)
    assert [frame.data["type"] for frame in reader.frames("event")] == ["resume"] * 5
    assert trainlog.verify(path).whole


def test_what_cannot_be_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with pytest.raises(LogNotFound):
        trainlog.resume(path)
    with TrainingRecorder(path), pytest.raises(LogInUse, match=r"process \d+ .*is writing this log"):
        TrainingRecorder(path, resume=True)
    assert trainlog.verify(path).whole
    with pytest.raises(ValueError, match="not both"):
        TrainingRecorder(path, resume=True, overwrite=True)
    path.write_bytes(Flog.header()[:9])
    with pytest.raises(TruncatedLog):
        trainlog.resume(path)
    assert path.read_bytes() == Flog.header()[:9]
    (tmp_path / "b.simion.log").write_text("")
    with pytest.raises(CodecError, match="simion cannot be resumed"):
        trainlog.resume(tmp_path / "b.simion.log", codec="simion")


def test_a_file_that_was_killed_before_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    path.touch()
    with trainlog.resume(path, codec="flog") as log:
        log.write(Frame(1.0, Kind.STATS, {"step": 1}))
    assert trainlog.verify(path).whole
    path.write_bytes(b"")
    with TrainingRecorder(path, "ant", resume=True) as recorder:
        recorder.record_event(None, "a")
    assert trainlog.open(path).header.meta["creature"] == "ant"


def test_logs_of_other_writers_and_damaged_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    raw = [Flog.header({"creature": "go2"}), *(Flog.frame(n, 2, {"step": n}) for n in range(50))]
    raw.insert(20, b"a hole")
    path.write_bytes(b"".join(raw))
    with trainlog.resume(path) as log:
        assert log.resumed_at == 49
        log.write(Frame(50.0, Kind.STATS, {"step": 50}))
    with pytest.warns(DamagedLogWarning):
        assert steps(trainlog.open(path)) == list(range(51))
    verdict = trainlog.verify(path)
    assert [problem.what for problem in verdict.problems] == ["hole"]
    assert verdict.sealed == path.stat().st_size


def recorded(path: Path) -> trainlog.Reader:
    """A run that went back twice: from step 9 to 4, from 7 to 5."""
    with TrainingRecorder(path, sync_every=None) as log:
        for turn, (first, last) in enumerate([(0, 9), (5, 7), (6, 8)]):
            if turn:
                log.rewind(first - 1)
            for n in range(first, last + 1):
                log.record_creature_frame(None, {"step": n, "pos": np.full(3, float(turn))})
                log.record_stats_frame(None, {"step": n, "turn": turn, "only": {turn: n}})
                log.record_event(None, f"turn {turn}")
    return trainlog.open(path)


def test_superseded_frames_are_hidden(tmp_path: Path) -> None:
    log = recorded(tmp_path / "a.flog")
    assert steps(log) == list(range(9))
    assert [frame.data["turn"] for frame in log.frames("stats")] == [0] * 5 + [1] + [2] * 3
    table = log.table("stats")
    assert table["step"].tolist() == list(range(9))
    assert [key for key in table if key.startswith("only")] == ["only/0", "only/1", "only/2"]
    assert log.table("creature")["pos"][:, 0].tolist() == [0] * 5 + [1] + [2] * 3
    assert [frame.data["type"] for frame in log.frames("event")] == [
        *["turn 0"] * 5,
        "rewind",
        "turn 1",
        "rewind",
        *["turn 2"] * 3,
    ]
    assert log.summary().kinds[Kind.STATS].frames == 9
    assert log.summary().superseded > 0
    assert log.table("stats", last=4)["step"].tolist() == [5, 6, 7, 8]
    assert log.table("stats", steps=(3, 7))["step"].tolist() == [3, 4, 5, 6]
    assert log.at(1e9, "stats").data["step"] == 8
    assert [frame.data["step"] for frame in log.slice(kind="stats")] == list(range(9))
    assert trainlog.FlogReplay(log.path).n_stats == 9
    assert steps(pickle.loads(pickle.dumps(log))) == list(range(9))


def test_superseded_frames_can_be_shown(tmp_path: Path) -> None:
    log = recorded(tmp_path / "a.flog").with_superseded()
    everything = [*range(10), 5, 6, 7, 6, 7, 8]
    assert steps(log) == everything
    assert log.table("stats")["step"].tolist() == everything
    assert log.summary().superseded == 0
    assert trainlog.verify(log.path).kinds[Kind.STATS] == len(everything)


def test_tables_of_a_rewound_log_are_those_of_its_frames(tmp_path: Path) -> None:
    log = recorded(tmp_path / "a.flog")
    for kind in (Kind.CREATURE, Kind.STATS, Kind.EVENT):
        fast = log.table(kind)
        plain = table_of(kind, ((frame.time, frame.data) for frame in log.frames(kind)))
        assert list(fast) == list(plain)
        assert same(fast.time, plain.time)
        assert all(same(fast[key], plain[key]) for key in plain)


def test_a_copy_holds_what_is_shown(tmp_path: Path) -> None:
    log = recorded(tmp_path / "a.flog")
    trainlog.convert(log, tmp_path / "b.flog")
    assert [tuple(frame) for frame in trainlog.open(tmp_path / "b.flog")] == [tuple(frame) for frame in log]
    trainlog.convert(log.with_superseded(), tmp_path / "c.flog")
    copy = trainlog.open(tmp_path / "c.flog")
    assert list(map(tuple, copy.with_superseded())) == list(map(tuple, log.with_superseded()))
    assert list(map(tuple, copy)) == list(map(tuple, log))


def test_a_reader_that_was_open_before(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path, sync_every=None) as log:
        reader = trainlog.open(path)
        for n in range(5):
            log.record_stats_frame(None, {"step": n})
        assert steps(reader) == [0, 1, 2, 3, 4]
        log.rewind(2)
        assert steps(reader) == [0, 1, 2]
        log.record_stats_frame(None, {"step": 3})
        log.sync()
        assert steps(reader) == [0, 1, 2, 3]
        log.rewind(0)
        log.record_stats_frame(None, {"step": 1})
        assert steps(reader) == [0, 1]
    path.unlink()
    path.write_bytes(Flog.header() + Flog.frame(0.0, 2, {"step": 7}))
    assert steps(reader) == [7], "another file, with a history of its own"


def test_damage_is_told_by_its_place_in_the_file(tmp_path: Path) -> None:
    log = recorded(tmp_path / "a.flog")
    raw = log.path.read_bytes()
    hole = len(raw) - 64
    log.path.write_bytes(raw[:hole] + b"a hole" + raw[hole:])
    with pytest.warns(DamagedLogWarning, match=f"from byte {hole:,} to {hole + 6:,}"):
        assert steps(log) == list(range(9))


@pytest.mark.parametrize("event", [{"type": "rewind", "step": 1}, {"type": "rewind", "by": "trainlog", "step": "1"}])
def test_events_of_others_hide_nothing(tmp_path: Path, event: dict[str, object]) -> None:
    path = tmp_path / "a.flog"
    frames = [Flog.frame(n, 2, {"step": n}) for n in range(5)]
    path.write_bytes(b"".join([Flog.header(), *frames, Flog.frame(5.0, 3, event)]))
    assert steps(trainlog.open(path)) == [0, 1, 2, 3, 4]


def test_frames_without_a_step_and_a_rewind_to_the_future(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path, sync_every=None) as log:
        log.rewind(10)
        log.record_stats_frame(None, {"loss": 1.0})
        log.rewind(0)
        log.record_stats_frame(None, {"step": 5})
        log.rewind(5)
    assert [frame.kind.name for frame in trainlog.open(path)] == ["EVENT", "STATS", "EVENT", "STATS", "EVENT"]


def test_large_logs_with_and_without(tmp_path: Path) -> None:
    """Above 16 MB the checksums tell whether all of it is to be searched."""
    path = tmp_path / "a.flog"
    with TrainingRecorder(path, sync_every=None) as log:
        for n in range(400):
            log.record_stats_frame(None, {"step": n, "pad": bytes(50_000)})
            if n == 50:
                log.rewind(40)
    expected = [*range(41), *range(51, 400)]
    assert steps(trainlog.open(path)) == expected
    assert trainlog.open(path).table("stats", keys=["step"])["step"].tolist() == expected
    path.unlink()
    plain = [Flog.header(), *(Flog.frame(n, 2, {"step": n, "pad": bytes(50_000)}) for n in range(400))]
    path.write_bytes(b"".join(plain))
    assert steps(trainlog.open(path)) == list(range(400))


@pytest.mark.parametrize("pad", [10, 1000, 50_000, 300_000])
def test_large_logs_that_end_in_the_middle_of_a_frame(tmp_path: Path, pad: int) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path, sync_every=None) as log:
        for n in range(3_000_000 // pad if pad > 100 else 4000):
            log.record_stats_frame(None, {"step": n, "pad": bytes(pad)})
            if n == 5:
                log.rewind(2)
    whole = path.read_bytes()
    shown = steps(trainlog.open(path))
    assert shown[:5] == [0, 1, 2, 6, 7]
    for torn in (Flog.frame(1.0, 2, {"step": 0, "pad": bytes(250_000)}), Flog.frame(1.0, 2, {"pad": bytes(9)})):
        path.write_bytes(whole + torn[:-1])
        assert steps(trainlog.open(path)) == shown


def test_a_log_that_was_killed_before_the_checksum_of_a_whole_table(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path, sync_every=None) as log:
        for n in range(20_000):
            log.record_stats_frame(None, {"step": n, "pad": bytes(100)})
            if n == 5:
                log.rewind(2)
    shown = steps(trainlog.open(path))
    assert shown[:5] == [0, 1, 2, 6, 7]
    more = [Flog.frame(1.0, 2, {"step": n, "pad": bytes(100)}) for n in range(20_000, 23_950)]
    assert 500_000 < len(b"".join(more)) < 1 << 19
    with path.open("ab") as file:
        file.write(b"".join(more))
    assert steps(trainlog.open(path)) == [*shown, *range(20_000, 23_950)]


def test_opening_a_large_log_of_another_program_reads_little_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.flog"
    path.write_bytes(Flog.header() + b"".join(Flog.frame(n, 2, {"step": n, "pad": bytes(200)}) for n in range(200_000)))
    read = 0
    block = Source.block

    def counted(source: Source, *arguments: int, **named: int) -> bytes:
        nonlocal read
        found = block(source, *arguments, **named)
        read += len(found)
        return found

    monkeypatch.setattr(Source, "block", counted)
    assert next(trainlog.open(path).frames()).data["step"] == 0
    assert read < path.stat().st_size / 4


def test_the_command_line_hides_them_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded(tmp_path / "a.flog").path
    for arguments, count in (["dump"], 9), (["dump", "--superseded"], 16):
        with pytest.raises(SystemExit):
            main([*arguments, str(path), "--kind", "stats"])
        assert len(capsys.readouterr().out.splitlines()) == count
    with pytest.raises(SystemExit):
        main(["info", str(path)])
    assert "of frames are superseded" in capsys.readouterr().out
