"""A writer that fails for a while costs no frame that there is memory for, and no error in the training loop."""

from __future__ import annotations

import decimal
import errno
import itertools
import os
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from trainlog import Frame, Header, Kind, TrainingRecorder, Writer
from trainlog.errors import ClosedLog, LogWriteError, LogWriteWarning, UnsupportedFrame
from trainlog.storage.source import Source
from trainlog.writers.retrying import RetryingWriter


class Disk(Writer):
    """A writer that fails while it is told to, and keeps what it is given otherwise."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.full = False
        self.closed = self.synced = 0

    def write(self, frame: Frame) -> None:
        if "bad" in frame.data:
            raise UnsupportedFrame("bad")
        if self.full:
            raise LogWriteError("cannot write: No space left on device")
        self.frames.append(frame)

    def sync(self) -> None:
        self.synced += 1

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call tries again at once."""
    monkeypatch.setattr("trainlog.writers.retrying._FIRST_PAUSE", 0.0)


def stats(n: float) -> Frame:
    return Frame(n, Kind.STATS, {"n": n})


def test_frames_wait_in_order_and_as_they_were(no_pause: None) -> None:
    disk = Disk()
    spool = RetryingWriter(disk)
    state = np.zeros(3)
    spool.write(stats(0))
    disk.full = True
    with pytest.warns(LogWriteWarning, match="No space left on device; frames wait in memory"):
        spool.write(Frame(1, Kind.CREATURE, {"pos": state}))
    state += 1  # as simulators do
    for n in range(2, 50):
        spool.write(stats(n))
    assert len(disk.frames) == 1
    disk.full = False
    with pytest.warns(LogWriteWarning, match="written again; nothing was lost"):
        spool.flush()
    spool.write(stats(50))
    spool.close()
    assert [frame.time for frame in disk.frames] == list(range(51))
    assert disk.frames[1].data["pos"].tolist() == [0, 0, 0]
    assert disk.closed == 1


def test_keys_that_are_not_text_wait_as_well(no_pause: None) -> None:
    disk = Disk()
    spool = RetryingWriter(disk)
    rewards = Frame(0.0, Kind.STATS, {"reward": {0: 1.5, np.int64(1): 2.5, None: 0.0, (1, 2): 0.0}})
    disk.full = True
    with pytest.warns(LogWriteWarning, match="wait in memory"):
        spool.write(rewards)
    disk.full = False
    with pytest.warns(LogWriteWarning, match="nothing was lost"):
        spool.close()
    assert disk.frames == [rewards]


def test_the_next_call_finds_that_there_is_room_again(no_pause: None) -> None:
    disk = Disk()
    spool = RetryingWriter(disk)
    disk.full = True
    with pytest.warns(LogWriteWarning):
        spool.write(stats(0))
    disk.full = False
    with pytest.warns(LogWriteWarning, match="nothing was lost"):
        spool.write(stats(1))
    assert [frame.time for frame in disk.frames] == [0, 1]


def test_memory_is_bounded_and_what_was_dropped_is_an_event() -> None:
    disk = Disk()
    spool = RetryingWriter(disk, limit_bytes=1_000_000)
    disk.full = True
    with pytest.warns(LogWriteWarning, match="at most 1 MB"):
        spool.write(stats(0))
    for n in range(1, 300):
        spool.write(Frame(n, Kind.CREATURE, {"pos": np.zeros(1000)}))
    assert sum(size for _, size in spool._waiting) == spool._held <= 1_000_000
    disk.full = False
    with pytest.warns(LogWriteWarning, match=r"written again; \d+ frames were dropped"):
        spool.sync()
    account, *kept = disk.frames
    first = int(kept[0].time)
    assert [frame.time for frame in kept] == list(range(first, 300))
    assert account.kind == Kind.EVENT
    assert account.data["type"] == "dropped"
    assert account.data["frames"] == {"stats": 1, "creature": first - 1}
    assert (account.data["from"], account.data["to"]) == (0, first - 1)
    assert "No space" in account.data["why"]
    assert spool.lost.total() == first > 100
    assert disk.synced == 1


def test_a_rewind_waits_longer_than_other_frames() -> None:
    disk = Disk()
    spool = RetryingWriter(disk, limit_bytes=100_000)
    disk.full = True
    with pytest.warns(LogWriteWarning):
        spool.write(Frame(0, Kind.EVENT, {"type": "rewind", "by": "trainlog", "step": 3}))
    for n in range(1, 300):
        spool.write(Frame(n, Kind.CREATURE, {"pos": np.zeros(100)}))
    disk.full = False
    with pytest.warns(LogWriteWarning, match="frames were dropped"):
        spool.close()
    assert [frame.data.get("type") for frame in disk.frames[:3]] == ["dropped", "rewind", None]


def test_a_frame_larger_than_the_limit_is_accounted_for() -> None:
    disk = Disk()
    spool = RetryingWriter(disk, limit_bytes=1000)
    disk.full = True
    with pytest.warns(LogWriteWarning):
        spool.write(Frame(7, Kind.STATS, {"text": "x" * 5000}))
    disk.full = False
    with pytest.warns(LogWriteWarning, match="1 frames were dropped"):
        spool.close()
    (account,) = disk.frames
    assert account.data["frames"] == {"stats": 1}


def test_what_cannot_be_written_even_at_the_end_is_told() -> None:
    disk = Disk()
    spool = RetryingWriter(disk)
    disk.full = True
    with pytest.warns(LogWriteWarning, match="wait in memory"):
        spool.write(stats(0))
    spool.write(stats(1))
    with pytest.warns(LogWriteWarning, match="2 frames could not be written and are lost"):
        spool.close()
    assert spool.lost == {Kind.STATS: 2}
    spool.close()


def test_mistakes_of_the_caller_are_raised(no_pause: None) -> None:
    disk = Disk()
    spool = RetryingWriter(disk)
    with pytest.raises(UnsupportedFrame):
        spool.write(Frame(0, Kind.STATS, {"bad": 1}))
    disk.full = True
    with pytest.warns(LogWriteWarning):
        spool.write(stats(0))
    disk.full = False
    with pytest.warns(LogWriteWarning) as warned:
        spool.write(Frame(1, Kind.STATS, {"bad": 1}))  # nobody could know at once
    assert ["dropped: bad" in str(one.message) for one in warned] == [True, False]
    spool.write(stats(2))
    spool.close()
    assert [frame.data.get("type", frame.time) for frame in disk.frames] == [0, "dropped", 2]


@pytest.mark.parametrize("time", [decimal.Decimal("0.5"), np.float32(0.5), np.array(0.5)])
def test_odd_times_of_dropped_frames(time: Any) -> None:
    disk = Disk()
    disk.full = True
    log = RetryingWriter(disk, limit_bytes=3000)
    with pytest.warns(LogWriteWarning, match="frames wait in memory"):
        log.write(Frame(time, Kind.STATS, {"n": 0}))
    for n in range(10):
        log.write(Frame(1.0, Kind.STATS, {"n": n}))
    disk.full = False
    with pytest.warns(LogWriteWarning, match="can be written again"):
        log.flush()
    event = disk.frames[0].data
    assert (event["type"], type(event["from"]), event["from"]) == ("dropped", float, 0.5)
    assert disk.frames[-1].data["n"] == 9


def test_nonsense_is_raised_at_once_and_harms_nothing_that_waits(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    log = TrainingRecorder(path, sync_every=None)
    assert isinstance(log._writer, RetryingWriter)
    with pytest.warns(LogWriteWarning, match="wait in"), pytest.MonkeyPatch.context() as patch:  # noqa: PT031
        patch.setattr(os, "write", lambda fd, data: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        log.record_stats_frame(1.0, {"n": 1})
        for bad in ({"a": object()}, {"a": 2**70}):
            with pytest.raises(UnsupportedFrame):
                log.record_stats_frame(1.0, bad)
        with pytest.raises(UnsupportedFrame):
            log.record_stats_frame("soon", {"a": 1})  # type: ignore[arg-type]
        log.record_stats_frame(2.0, {"n": 2})
    with pytest.warns(LogWriteWarning, match="nothing was lost"):
        log.close()
    assert [frame.data["n"] for frame in trainlog.open(path)] == [1, 2]


def test_several_threads_while_the_disk_comes_and_goes(no_pause: None) -> None:
    disk = Disk()
    spool = RetryingWriter(disk)

    def work(worker: int) -> None:
        for n in range(500):
            disk.full = n % 7 == worker
            spool.write(Frame(n, Kind.of(worker + 10), {}))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LogWriteWarning)
        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        disk.full = False
        spool.close()
    for worker in range(4):
        assert [frame.time for frame in disk.frames if frame.kind == worker + 10] == list(range(500))


def test_a_forked_child_has_nothing_to_do_with_it(tmp_path: Path) -> None:
    disk = Disk()
    spool = RetryingWriter(disk)
    disk.full = True
    with pytest.warns(LogWriteWarning):
        spool.write(stats(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
        child = os.fork()
    if not child:
        try:
            spool.write(stats(1))
        except ClosedLog:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    disk.full = False
    with pytest.warns(LogWriteWarning, match="nothing was lost"):
        spool.close()
    assert disk.frames == [stats(0)]


def test_it_costs_no_copy_while_all_is_well() -> None:
    disk = Disk()
    frame = Frame(0, Kind.CREATURE, {"pos": np.zeros(3)})
    RetryingWriter(disk).write(frame)
    assert disk.frames[0].data is frame.data


def test_the_recorder_waits_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_pause: None) -> None:
    log = trainlog.TrainingRecorder(tmp_path / "a.flog", sync_every=None)
    real = os.write

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    log.record_event(0.0, "before")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.warns(LogWriteWarning, match=r"a\.flog: cannot write: No space left on device"):
            log.record_event(1.0, "meanwhile")
    assert os.write is real
    with pytest.warns(LogWriteWarning, match="written again"):
        log.record_event(2.0, "after")
    log.close()
    assert [frame.data["type"] for frame in trainlog.open(log.path)] == ["before", "meanwhile", "after"]


@pytest.mark.parametrize("suffix", [".flog", ".parquet", ".tfevents"])
def test_a_disk_that_is_full_in_the_middle_of_many_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_pause: None, suffix: str
) -> None:
    log = TrainingRecorder(tmp_path / f"a{suffix}", sync_every=None)
    log.stats({"step": 0, "x": 0})
    real, calls = os.write, itertools.count()

    def full(fd: int, data: bytes) -> int:
        if next(calls) in (2, 3):
            raise OSError(28, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", full)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LogWriteWarning)
        log.record_many([(float(n), Kind.STATS, {"step": n, "x": n}) for n in range(1, 6)])
        log.close()
    assert trainlog.open(log.path).table("stats")["step"].tolist() == list(range(6))


class Lines(trainlog.SimpleCodec):
    """A format of a third party: one line for each record."""

    name, suffixes = "lines", (".lines",)

    def decode(self, source: Source) -> Iterator[Header | Frame]:
        raise NotImplementedError

    def encode(self, record: Header | Frame) -> bytes:
        return b"header\n" if isinstance(record, Header) else f"{record.time}\n".encode()


def test_a_frame_from_a_signal_handler_and_a_thread_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_pause: None
) -> None:
    path = tmp_path / "run.lines"
    spool = RetryingWriter(Lines().write(path, Header()))
    write, dup, full = os.write, os.dup, [True]

    def refuse(fd: int, data: bytes) -> int:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    def interrupted(fd: int) -> int:
        """What runs inside of a sync: a thread that records a frame, then a signal handler that records one."""
        other.start()
        began.wait()
        time.sleep(0.2)  # until the thread waits for a lock
        spool.write(stats(3))
        return dup(fd)

    def record() -> None:
        began.set()
        spool.write(stats(2))

    began, other = threading.Event(), threading.Thread(target=record, daemon=True)
    monkeypatch.setattr(os, "write", refuse)
    with pytest.warns(LogWriteWarning, match="No space left"):
        spool.write(stats(1))
    monkeypatch.setattr(os, "dup", interrupted)
    syncing = threading.Thread(target=spool.sync, daemon=True)
    syncing.start()
    syncing.join(5)
    assert not syncing.is_alive()
    other.join(5)
    full[0] = False
    with pytest.warns(LogWriteWarning, match="nothing was lost"):
        spool.close()
    assert sorted(path.read_bytes().splitlines()) == [b"1.0", b"2.0", b"3.0", b"header"]
