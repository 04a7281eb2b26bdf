"""A log that somebody deletes, moves, replaces or cuts while it is written."""

from __future__ import annotations

import itertools
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trainlog
from trainlog import Frame, Kind, TrainingRecorder
from trainlog.errors import LogWriteError, LogWriteWarning

PAD = bytes(1000)


def unlink(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("old.flog"))


def copytruncate(path: Path) -> None:
    shutil.copy(path, path.with_name("old.flog"))
    with path.open("r+b") as file:
        file.truncate(0)


@pytest.mark.parametrize("frames", [3, 200])
@pytest.mark.parametrize(("happens", "what"), [(unlink, "was deleted"), (move, "was moved"), (copytruncate, "was cut")])
def test_it_is_noticed_without_a_sync(tmp_path: Path, frames: int, happens: Callable[[Path], None], what: str) -> None:
    path = tmp_path / "a.flog"
    log = trainlog.create(path, {"creature": "ant"})
    for n in range(frames):
        log.write(Frame(n, Kind.STATS, {"n": n, "pad": PAD}))
    happens(path)
    with pytest.warns(LogWriteWarning, match=f"{what}.*written again"):  # noqa: PT031 - any of the calls may notice
        for n in range(frames, 2 * frames):
            log.write(Frame(n, Kind.STATS, {"n": n, "pad": PAD}))
        log.close()
    reader = trainlog.open(path)
    assert reader.header.meta == {"creature": "ant"}
    found = [frame.data["n"] for frame in reader.frames("stats", on_damage="raise")]
    if happens is copytruncate:
        before = trainlog.open(tmp_path / "old.flog").frames("stats", on_damage="raise")
        found = [frame.data["n"] for frame in before] + found
    assert found == list(range(2 * frames))
    verdict = trainlog.verify(path)
    assert (verdict.whole, verdict.closed) == (True, True)


def test_a_log_that_was_cut_in_the_middle_of_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path, "ant", sync_every=None) as log:
        for n in range(100):
            log.record_stats_frame(n, {"n": n, "pad": PAD})
        with path.open("r+b") as file:
            file.truncate(20_500)
        with pytest.warns(LogWriteWarning, match="was cut"):
            log.sync()
        log.rewind(5)
        log.record_stats_frame(100, {"n": 100, "pad": PAD})
    with pytest.warns(trainlog.errors.DamagedLogWarning):
        found = [frame.data["n"] for frame in trainlog.open(path).frames("stats")]
    assert found == [*range(19), 100]


def test_a_resumed_log_is_written_anew_with_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    trainlog.create(path, {"creature": "ant"}).close()
    log = trainlog.resume(path)
    copytruncate(path)
    log.write(Frame(1.0, Kind.STATS, {"n": 1}))
    with pytest.warns(LogWriteWarning, match="was cut"):
        log.sync()
    log.close()
    assert trainlog.open(path).header.meta == {"creature": "ant"}
    assert trainlog.verify(path).whole


@pytest.mark.parametrize("call", ["fstat", "pread", "write", "fsync", "dup", "dup2", "close", "path.samestat"])
@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize("happens", [None, unlink, move, copytruncate])
def test_a_signal_handler_logs_while_it_is_noticed(
    tmp_path: Path,
    call: str,
    is_before: bool,
    happens: Callable[[Path], None] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one does that comes before or behind one of the system calls."""
    path = tmp_path / "a.flog"
    log = trainlog.create(path, {"creature": "ant"})
    count = itertools.count()

    def write() -> None:
        n = next(count)
        log.write(Frame(n, Kind.STATS, {"n": n, "pad": PAD}))

    for _ in range(3):
        write()
    if happens is not None:
        happens(path)
    module = os.path if call.startswith("path.") else os
    name = call.removeprefix("path.")
    real, due = getattr(module, name), iter([True] * 3)  # a handler comes at the first three calls

    def interrupted(*arguments: Any, **options: Any) -> Any:
        is_due = next(due, False)
        if is_due and is_before:
            write()
        result = real(*arguments, **options)
        if is_due and not is_before:
            write()
        return result

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", LogWriteWarning)
        with monkeypatch.context() as patch:
            patch.setattr(module, name, interrupted)
            log.sync()
        write()
        log.close()
    assert len(told) == (happens is not None)
    found = [frame.data["n"] for frame in trainlog.open(path).frames("stats", on_damage="raise")]
    if happens is copytruncate:
        before = trainlog.open(tmp_path / "old.flog").frames("stats", on_damage="raise")
        found = [frame.data["n"] for frame in before] + found
    assert sorted(found) == list(range(next(count)))
    verdict = trainlog.verify(path)
    assert (verdict.whole, verdict.closed) == (True, True)


@pytest.mark.parametrize("settings", [{}, {"resume": True}, {"shard": 0}, {"background": 5}])
def test_a_program_that_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "b")
    with TrainingRecorder("run.flog", "other", shard=settings.get("shard")):
        pass
    other = {path: path.read_bytes() for path in (tmp_path / "b").rglob("*.flog") if path.is_file()}
    monkeypatch.chdir(tmp_path / "a")
    if "resume" in settings:
        trainlog.create("run.flog").close()
    with TrainingRecorder("run.flog", sync_every=None, **settings) as log:
        monkeypatch.chdir(tmp_path / "b")
        for n in range(200):
            log.stats({"n": n, "pad": PAD})
        log.sync()
    found = [frame.data["n"] for frame in trainlog.open(tmp_path / "a" / "run.flog").frames("stats")]
    assert found == list(range(200))
    assert {path: path.read_bytes() for path in (tmp_path / "b").rglob("*.flog") if path.is_file()} == other


@pytest.mark.parametrize("suffix", [".flog", ".parquet", ".tfevents"])
def test_a_writer_whose_program_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "a")
    with trainlog.create(f"run{suffix}") as log:
        monkeypatch.chdir(tmp_path / "b")
        for n in range(200):
            log.write(Frame(n, Kind.STATS, {"n": n}))
    assert len(list(trainlog.open(tmp_path / "a" / f"run{suffix}").frames())) == 200
    assert list((tmp_path / "b").iterdir()) == []


def test_another_folder_has_another_log_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "a")
    with TrainingRecorder("run.flog") as first:
        monkeypatch.chdir(tmp_path / "b")
        with TrainingRecorder("run.flog", overwrite=True):
            first.stats({"n": 1})


def test_a_working_folder_that_was_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    (tmp_path / "a").rmdir()
    with pytest.raises(LogWriteError, match="the working folder was deleted"):
        TrainingRecorder("run.flog")
