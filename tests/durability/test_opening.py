"""Creating, replacing and resuming: one writer, and never without a log that was there."""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import signal
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trainlog
from handmade import Flog
from trainlog import Frame, Kind, TrainingRecorder
from trainlog.errors import (
    LogExists,
    LogInUse,
    LogWriteError,
    LogWriteWarning,
    TrainlogError,
    UnknownFormat,
    UnsupportedFrame,
)
from trainlog.storage.replace import atomic_write
from trainlog.writers.background import Background

ROUNDS = int(os.environ.get("TRAINLOG_OPEN_ROUNDS", "4"))


def old(path: Path) -> bytes:
    with trainlog.create(path, {"run": "old"}) as log:
        log.write(Frame(0.0, Kind.STATS, {"a": 1}))
    return path.read_bytes()


@pytest.mark.parametrize(
    "wrong",
    [
        {"phase": 256},
        {"phase": "x"},
        {"metadata": {"a": object()}},
        {"sync_every": 0},
        {"background": 0},
        {"background": 5, "when_full": "never"},
        {"on_error": "ignore"},
        {"resume": True},
    ],
)
def test_a_wrong_argument_leaves_the_old_log(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = tmp_path / "a.flog"
    before = old(path)
    with pytest.raises((ValueError, UnsupportedFrame)):
        TrainingRecorder(path, overwrite=True, **wrong)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.flog"]
    TrainingRecorder(path, overwrite=True).close()


def test_a_full_disk_leaves_the_old_log(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    before = old(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(LogWriteError, match="File too large"):
            trainlog.create(path, {"pad": "x" * 5000}, overwrite=True)
        with pytest.raises(LogWriteError, match="File too large"):
            trainlog.create(tmp_path / "b.flog", {"pad": "x" * 5000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.flog"]


def test_other_formats_are_replaced_as_carefully(tmp_path: Path) -> None:
    path = tmp_path / "a.simion.log"
    variables = [trainlog.Variable("x", "state")]
    trainlog.create(path, variables=variables).close()
    files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(UnsupportedFrame):
        trainlog.create(path, overwrite=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == files
    trainlog.create(path, variables=variables, overwrite=True).close()
    assert {file.name for file in tmp_path.iterdir()} == files.keys()


def _open_at_once(path: str, mode: dict[str, Any], begin: Any, end: Any, told: Any) -> None:
    begin.wait()
    try:
        log = TrainingRecorder(path, sync_every=None, **mode)
    except (LogInUse, LogExists) as error:
        told.put(type(error).__name__)
        end.wait()
        return
    log.record_stats_frame(0.0, {"pid": os.getpid()})
    told.put("writer")
    end.wait()
    log.close()


@pytest.mark.parametrize("mode", [{"resume": True}, {"overwrite": True}, {}])
@pytest.mark.parametrize("before", ["none", "empty", "closed"])
def test_of_several_at_once_one_writes(tmp_path: Path, mode: dict[str, Any], before: str) -> None:
    context = multiprocessing.get_context("fork")
    for n in range(ROUNDS):
        path = tmp_path / f"{n}.flog"
        if before == "closed":
            old(path)
        elif before == "empty":
            path.touch()
        begin, end, told = context.Barrier(4), context.Barrier(4), context.SimpleQueue()
        processes = [context.Process(target=_open_at_once, args=(str(path), mode, begin, end, told)) for _ in range(4)]
        for process in processes:
            process.start()
        found = sorted(told.get() for _ in processes)
        for process in processes:
            process.join()
            assert process.exitcode == 0
        there = before != "none" and not mode
        assert found.count("writer") == (not there), found
        if mode:
            assert found == ["LogInUse"] * 3 + ["writer"], found
        assert len(list(trainlog.open(path).frames("stats", on_damage="raise"))) == (
            (not there) + (before == "closed" and "overwrite" not in mode)
        )


@pytest.mark.parametrize("exists", [False, True])
def test_a_name_without_a_format_is_not_resumed(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "run"
    if exists:
        path.touch()
    with pytest.raises(UnknownFormat, match="no codec writes files of this name"):
        TrainingRecorder(path, resume=True)
    assert [*tmp_path.iterdir()] == [path][:exists]


@pytest.mark.parametrize("head", [bytes(5000), b"FLOG\x01\x00", b"FLOG\x01\x00\x00" + b"\xff" * 4 + bytes(100)])
def test_a_log_without_a_whole_header_is_begun_anew(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "a.flog"
    path.write_bytes(head)
    with pytest.warns(LogWriteWarning, match=r"the file is a\.flog\.damaged now, and a new log was started"):
        log = TrainingRecorder(path, "ant", resume=True)
    log.record_stats_frame(1.0, {"a": 1})
    log.close()
    assert (tmp_path / "a.flog.damaged").read_bytes() == head
    reader = trainlog.open(path)
    assert [frame.data.get("type") for frame in reader] == ["begun_anew", None]
    assert reader.header.meta["creature"] == "ant"


def test_a_file_that_is_no_log_is_not_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    path.write_text("notes")
    with pytest.raises(TrainlogError):
        TrainingRecorder(path, resume=True)
    assert path.read_text() == "notes"


def test_a_damaged_log_that_is_written_is_not_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with trainlog.create(path):
        path.write_bytes(bytes(100))
        with pytest.raises(LogInUse):
            TrainingRecorder(path, resume=True)
        path.write_bytes(Flog.header())


@pytest.mark.parametrize("make", [TrainingRecorder, trainlog.create])
def test_a_log_that_is_dropped_closes_itself(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    path = tmp_path / "a.flog"
    gc.collect()
    descriptors = list(Path("/proc/self/fd").iterdir())
    log = make(path)
    if isinstance(log, TrainingRecorder):
        log.record_event(0.0, "a")
    else:
        log.write(Frame(0.0, Kind.EVENT, {"type": "a"}))
    with pytest.warns(ResourceWarning, match=r"a\.flog.* was not closed"):  # noqa: PT031
        del log
        gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == len(descriptors)
    assert trainlog.verify(path).closed
    trainlog.resume(path).close()


def test_what_waits_in_a_dropped_recorder_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    log = TrainingRecorder(path, background=1000)
    for n in range(500):
        log.record_stats_frame(n, {"n": n})
    assert isinstance(log._writer, Background)
    with pytest.warns(ResourceWarning):  # noqa: PT031
        del log
        gc.collect()
    assert len(list(trainlog.open(path).frames("stats"))) == 500


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_modes_are_kept(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.flog", tmp_path / "b.flog"
    old(path)
    path.chmod(0o600)
    trainlog.repair(path, copy)
    assert mode_of(copy) == 0o600
    trainlog.convert(path, copy, overwrite=True)
    assert mode_of(copy) == 0o600
    log = trainlog.create(path, overwrite=True)
    assert mode_of(path) == 0o600
    path.unlink()
    with pytest.warns(LogWriteWarning, match="was written again"):
        log.close()
    assert mode_of(path) == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_owners_are_kept(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.flog", tmp_path / "b.flog"
    old(path)
    os.chown(path, 1234, 1234)
    trainlog.repair(path, copy)
    trainlog.create(path, overwrite=True).close()
    for file in (path, copy):
        assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1234)


def test_new_folders_are_synced_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("trainlog.storage.append.sync_folder", synced.append)
    with trainlog.create(tmp_path / "a" / "b" / "c.flog") as log:
        log.sync()
        log.sync()
    assert synced == [tmp_path / "a" / "b", tmp_path / "a", tmp_path]


def test_what_a_link_leads_to_is_resumed_but_never_replaced(tmp_path: Path) -> None:
    path, link = tmp_path / "a.flog", tmp_path / "link.flog"
    with TrainingRecorder(path) as log:
        log.record_stats_frame(None, {"n": 1})
    link.symlink_to(path)
    with TrainingRecorder(link, resume=True) as log:
        log.record_stats_frame(None, {"n": 2})
    before = path.read_bytes()
    with TrainingRecorder(link, overwrite=True) as log:
        log.record_stats_frame(None, {"n": 3})
    assert [frame.data["n"] for frame in trainlog.open(path).frames("stats")] == [1, 2]
    assert [frame.data["n"] for frame in trainlog.open(link).frames("stats")] == [3]
    assert path.read_bytes() == before


@pytest.mark.parametrize(("name", "shards"), [("a.flog", 0), ("a.flog", 2), ("a", 0)])
def test_a_folder_is_not_resumed(tmp_path: Path, name: str, shards: int) -> None:
    (tmp_path / name).mkdir()
    for rank in range(shards):
        TrainingRecorder(tmp_path / name, shard=rank).close()
    with pytest.raises(LogWriteError, match=r"this is a folder; .* is resumed by shard="):
        TrainingRecorder(tmp_path / name, resume=True)
    assert len(list((tmp_path / name).iterdir())) == shards


@pytest.mark.parametrize("suffix", [".flog", ".tfevents", ".parquet", ".simion.log"])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, suffix: str) -> None:
    pipe, link, nowhere = (tmp_path / f"{name}{suffix}" for name in ("pipe", "link", "nowhere"))
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    nowhere.symlink_to(tmp_path / "gone")
    old(tmp_path / "a.flog")
    variables = [trainlog.Variable("a", "stat", key="a")]
    ways: list[Callable[[Path], Any]] = [
        lambda path: trainlog.create(path, variables=variables, overwrite=True),
        lambda path: trainlog.convert(tmp_path / "a.flog", path, variables=variables, overwrite=True),
        lambda path: TrainingRecorder(path, overwrite=True),
    ]
    for way in ways:
        for path, why in ((pipe, "not a regular file"), (link, "not a regular file"), (nowhere, "leads to nothing")):
            with pytest.raises(LogWriteError, match=why):
                way(path)
    for path in (pipe, link):
        with pytest.raises(LogWriteError, match="not a regular file"):
            TrainingRecorder(path, resume=True)
    assert pipe.is_fifo()
    assert (link.readlink(), nowhere.readlink()) == (pipe, tmp_path / "gone")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.flog", pipe, link, nowhere])


def test_an_output_that_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "output").symlink_to("/proc/self/fd/1")  # as /dev/stdout is
    for name in ("pipe", "output"):
        with pytest.raises(LogWriteError, match="not a regular file"), atomic_write(tmp_path / name):
            pass
    assert len(list(tmp_path.iterdir())) == 2


def test_a_log_that_may_not_be_read_is_not_resumed() -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # that of pytest is closed to others
        Path(folder).chmod(0o755)
        path = Path(folder, "a.flog")
        before = old(path)
        TrainingRecorder(Path(folder, "b.flog"), resume=True).close()  # imports what may be closed to others
        path.chmod(0)
        if user == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(UnknownFormat, match="cannot read it: Permission denied"):
                TrainingRecorder(path, resume=True)
        finally:
            os.seteuid(user)
        path.chmod(0o600)
        assert path.read_bytes() == before
