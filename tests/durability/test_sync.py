"""What is on the disk, and who waits for it."""

from __future__ import annotations

import gc
import os
import shutil
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

import trainlog
from trainlog import Frame, Kind, TrainingRecorder
from trainlog.errors import LogWriteError, LogWriteWarning
from trainlog.storage.append import AppendFile
from trainlog.writers.ticker import Ticker


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[tuple[threading.Thread, int]]:
    """Every time that something is brought to the disk: by which thread, and how large the file was."""
    synced: list[tuple[threading.Thread, int]] = []
    real = os.fdatasync

    def fdatasync(fd: int) -> None:
        size = os.fstat(fd).st_size
        real(fd)
        synced.append((threading.current_thread(), size))

    monkeypatch.setattr("trainlog.storage.append._fdatasync", fdatasync)
    return synced


def test_a_thread_brings_frames_to_the_disk_and_never_the_training_loop(
    tmp_path: Path, disk: list[tuple[threading.Thread, int]]
) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path, sync_every=0.01) as log:
        for n in range(5):
            log.record_stats_frame(None, {"n": n})
            size = path.stat().st_size
            eventually(lambda size=size: bool(disk) and disk[-1][1] >= size)  # type: ignore[misc]
        assert threading.current_thread() not in {thread for thread, _ in disk}
        count = len(disk)
        time.sleep(0.1)
        assert len(disk) == count, "nothing was written, so there is nothing to do"
        log.record_stats_frame(None, {"n": 5})
    assert disk[-1][1] == path.stat().st_size, "all of it is on the disk when the log is closed"
    assert not any(thread.name == "trainlog sync" for thread in threading.enumerate())


def test_it_can_be_switched_off(tmp_path: Path, disk: list[tuple[threading.Thread, int]]) -> None:
    before = threading.active_count()
    with TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log:
        log.record_event(0.0, "a")
        assert threading.active_count() == before
    assert disk == []


def test_by_hand(tmp_path: Path, disk: list[tuple[threading.Thread, int]]) -> None:
    with TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log:
        log.record_event(0.0, "checkpoint")
        log.sync()
        assert disk == [(threading.current_thread(), Path(log.path).stat().st_size)]
    assert disk[-1][1] == Path(log.path).stat().st_size, "what close put behind it, too"
    with trainlog.create(tmp_path / "b.flog") as writer:
        count = len(disk)
        writer.sync()
        writer.sync()
        assert len(disk) == count + 1


def test_frames_are_written_while_the_disk_takes_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(fd: int) -> None:
        began.set()
        assert go_on.wait(20)

    monkeypatch.setattr("trainlog.storage.append._fdatasync", slow)
    with trainlog.create(tmp_path / "a.flog") as log:
        thread = threading.Thread(target=log.sync)
        thread.start()
        assert began.wait(20)
        log.write(Frame(0.0, Kind.EVENT, {"type": "a"}))
        assert thread.is_alive()
        go_on.set()
        thread.join()


def fail(fd: int) -> None:
    raise OSError(5, "Input/output error")


def test_a_disk_that_fails_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainlog.storage.append._fdatasync", fail)
    log = TrainingRecorder(tmp_path / "a.flog", sync_every=None)
    with pytest.warns(LogWriteWarning, match="cannot bring it to the disk: Input/output error"):
        log.sync()
    log.record_event(0.0, "goes on")
    log.sync()
    log.close()
    assert len(list(trainlog.open(log.path))) == 1


def test_or_comes_back_with_the_next_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainlog.storage.append._fdatasync", fail)
    log = TrainingRecorder(tmp_path / "a.flog", sync_every=0.01, on_error="raise")
    eventually(lambda: log._sync_error is not None)
    with pytest.raises(LogWriteError, match="Input/output error"):
        log.record_event(0.0, "a")
    monkeypatch.undo()
    log.record_event(1.0, "b")
    log.close()
    assert [frame.data["type"] for frame in trainlog.open(log.path)] == ["b"]
    with pytest.raises(ValueError, match="'warn' or 'raise'"):
        TrainingRecorder(tmp_path / "b.flog", on_error="ignore")  # type: ignore[arg-type]
    assert not (tmp_path / "b.flog").exists()


def test_warnings_that_are_errors_end_no_thread(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log = TrainingRecorder(path, sync_every=0.01)
        log.record_event(0.0, "a")
        for _ in range(2):
            path.unlink()
            eventually(path.exists)
            eventually(lambda: log._sync_error is not None)
            with pytest.raises(LogWriteWarning, match="was deleted"):
                log.record_event(1.0, "the call that raises")
        log.record_event(2.0, "b")
        log.close()
    assert [frame.data["type"] for frame in trainlog.open(path)] == ["a", "b"]


def test_a_folder_that_is_removed_under_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "1" / "a.flog"
    log = TrainingRecorder(path, "ant", sync_every=None)
    log.record_event(0.0, "before")
    shutil.rmtree(tmp_path / "runs")
    log.record_event(1.0, "meanwhile")
    message = "was deleted while it was written; it was written again, with everything it held"
    with pytest.warns(LogWriteWarning, match=message):
        log.sync()
    log.record_event(2.0, "after")
    log.close()
    reader = trainlog.open(path)
    assert reader.header.meta["creature"] == "ant"
    assert [frame.data["type"] for frame in reader.frames(on_damage="raise")] == ["before", "meanwhile", "after"]


def test_a_file_that_is_removed_and_another_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    log = TrainingRecorder(path, sync_every=None)
    log.record_event(0.0, "mine")
    path.unlink()
    path.write_text("yours")
    with pytest.warns(LogWriteWarning, match=r"another file is in its place, and it is a\.1\.flog now"):
        log.sync()
    log.record_event(1.0, "mine")
    log.close()
    assert path.read_text() == "yours"
    assert len(list(trainlog.open(tmp_path / "a.1.flog").frames(on_damage="raise"))) == 2


def test_a_removed_file_for_which_there_is_no_place(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "a.flog"
    file = AppendFile(path)
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "runs").write_text("a file where the folder was")
    with pytest.raises(LogWriteError, match="was deleted while it was written, and cannot be written again"):
        file.sync()
    file.append(b"the file that is open takes it all the same")
    with pytest.raises(LogWriteError, match="cannot be written again"):
        file.close()
    file.close()


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def tick(self) -> None:
        self.count += 1


def test_a_ticker_ends_with_its_object() -> None:
    counters = [Counter()]
    ticker = Ticker(0.002, counters[0].tick, "test ticker")
    eventually(lambda: counters[0].count > 2)
    alive = weakref.ref(counters[0])
    counters.clear()
    gc.collect()
    eventually(lambda: alive() is None and not ticker._thread.is_alive())
    ticker.stop()
    ticker.stop()
    with pytest.raises(ValueError, match="more than 0"):
        Ticker(0, Counter().tick, "never")
