"""Two writers of one file are refused, and told of each other."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainlog
from trainlog.errors import LogExists, LogInUse, LogNotFound
from trainlog.storage.append import AppendFile
from trainlog.storage.locks import lock_owner

HOLDER = """
import sys, trainlog
log = trainlog.create(sys.argv[1])
log.write(trainlog.Frame(0.0, trainlog.Kind.EVENT, {"type": "a"}))
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A log that another process is writing, and the number of that process."""
    path = tmp_path / "a.flog"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        yield path, child.pid
        child.communicate("")


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells who holds a lock")
def test_the_error_names_the_holder(held: tuple[Path, int]) -> None:
    path, pid = held
    who = rf"process {pid} \(.*python.*\) is writing"
    with pytest.raises(LogExists, match=who):
        trainlog.create(path)
    with pytest.raises(LogInUse, match=who):
        trainlog.create(path, overwrite=True)
    with pytest.raises(LogInUse, match=who):
        AppendFile.reopen(path)
    assert len(list(trainlog.open(path))) == 1


def test_a_writer_that_was_killed_holds_nothing(held: tuple[Path, int]) -> None:
    path, pid = held
    os.kill(pid, 9)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert lock_owner(path) == ""
    AppendFile.reopen(path).close()


def test_within_one_process(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with trainlog.create(path):
        with pytest.raises(LogInUse, match=r"\(this one\) is writing"):
            AppendFile.reopen(path)
        assert lock_owner(path)
    assert lock_owner(path) == lock_owner(tmp_path / "none") == ""
    with pytest.raises(LogNotFound):
        AppendFile.reopen(tmp_path / "none")


def test_file_systems_without_locks_are_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    path = tmp_path / "a.flog"
    trainlog.create(path).close()
    AppendFile.reopen(path).close()
    assert lock_owner(path) == ""
