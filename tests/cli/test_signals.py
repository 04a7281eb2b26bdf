"""What a command leaves that is ended from outside: nothing, and after SIGKILL until the next one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import trainlog
from handmade import Flog
from trainlog.storage.replace import atomic_write, temporary_beside, temporary_name

COMMAND = [sys.executable, "-m", "trainlog"]
# The command with signals as a shell has them, also where the tests are run by nohup.
_USUAL = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execv(sys.executable, sys.argv[1:])"
HEEDING = [sys.executable, "-c", _USUAL, *COMMAND]


@pytest.fixture
def long_log(tmp_path: Path) -> Path:
    """So long that no conversion of it ends before its signal."""
    path = tmp_path / "long.flog"
    frame = Flog.frame(1.0, 2, {"step": 1, "a": 1.5, "b": "text"})
    path.write_bytes(Flog.header() + frame * 1_000_000)
    return path


@contextmanager
def converting(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A conversion into the folder ``out``, which has begun to write."""
    (*_, out) = (Path(str(one)) for one in arguments)
    folder = out if out.is_dir() else out.parent
    command = [*HEEDING, "convert", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not any(file.is_file() for file in folder.rglob("*")):
            time.sleep(0.02)
        try:
            yield process
        finally:
            process.kill()


def workers(out: Path) -> list[int]:
    """The two processes of a conversion into the folder *out*, once both have begun to write."""
    while len(begun := [one.name for one in out.iterdir()]) < 2:
        time.sleep(0.02)
    return [int(name.split("-")[-2]) for name in begun]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("several", [False, True])
def test_a_signal_ends_a_conversion_without_a_trace(
    long_log: Path, tmp_path: Path, number: signal.Signals, several: bool
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    other = tmp_path / "other.flog"
    os.link(long_log, other)
    many = ["--jobs", 2, "--to", "tensorboard", long_log, other, out]
    with converting(*(many if several else [long_log, out / "a.tfevents"])) as process:
        process.send_signal(number)
        printed, error = process.communicate(timeout=60)
    assert (process.returncode, printed, error.strip()) == (128 + number, "", "trainlog: stopped")
    assert list(out.iterdir()) == []


def test_ctrl_c_reaches_the_processes_of_a_conversion_as_well(long_log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    other = tmp_path / "other.flog"
    os.link(long_log, other)
    command = [*COMMAND, "convert", "--jobs", "2", "--to", "tensorboard", str(long_log), str(other), str(out)]
    pipes = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipes, stderr=pipes, text=True, start_new_session=True) as process:
        while len([file for file in out.rglob("*") if file.is_file()]) < 2:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        printed, error = process.communicate(timeout=60)
    assert (process.returncode, printed, error.strip()) == (130, "", "trainlog: stopped")
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("which", [min, max])
def test_a_process_of_a_conversion_that_is_killed_ends_all_of_it(
    long_log: Path, tmp_path: Path, which: Callable[[list[int]], int]
) -> None:
    """As the kernel does when memory runs out; whether it is the first process or the last one."""
    out = tmp_path / "out"
    out.mkdir()
    other = tmp_path / "other.flog"
    os.link(long_log, other)
    with converting("--jobs", 2, "--to", "tensorboard", long_log, other, out) as process:
        os.kill(which(workers(out)), signal.SIGKILL)
        printed, error = process.communicate(timeout=60)
    assert (process.returncode, printed) == (2, "")
    assert error.strip().startswith("trainlog: a process of the conversion was killed")
    assert error.strip().count("\n") == 0
    assert list(out.iterdir()) == []


def test_the_processes_of_a_killed_conversion_end(long_log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    other = tmp_path / "other.flog"
    os.link(long_log, other)
    with converting("--jobs", 2, "--to", "tensorboard", long_log, other, out) as process:
        workers(out)
        process.kill()
        process.communicate(timeout=10)  # it returns when none of them can print any more
    assert not list(out.glob("*.tfevents"))


def test_what_sigkill_leaves_goes_with_the_next_conversion(long_log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with converting(long_log, out / "a.tfevents") as process:
        process.kill()
        process.wait()
        assert [one.name[:12] for one in out.iterdir()] == [".a.tfevents."]
    short = tmp_path / "short.flog"
    short.write_bytes(Flog.header() + Flog.frame(1.0, 2, {"step": 1}))
    done = subprocess.run([*COMMAND, "convert", short, out / "a.tfevents"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert [one.name for one in out.iterdir()] == ["a.tfevents"]


def test_what_is_no_leftover_stays(tmp_path: Path) -> None:
    """Files of running processes, of other machines and containers, logs that were not closed, and of the user."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    own = temporary_name("run.flog")
    space = own.split(".")[-1].split("-")[0]
    left = f".run.flog.{space}-{ended.pid}-0"
    kept = [own, f".run.flog.{space}-{os.getppid()}-0", f".run.flog.{'0' * 8}-{ended.pid}-0", f"{left}.flog"]
    kept += [".backup.2024-05-01", f"run.{space}-{ended.pid}-0", f".run.{space}-0-0", "run.flog"]
    for name in [*kept, left]:
        (tmp_path / name).write_bytes(b"something")
    (tmp_path / f"{left}1").mkdir()
    (tmp_path / f"{left}1" / "part").touch()
    (tmp_path / f"{left}2").symlink_to(tmp_path / "run.flog")
    assert temporary_beside(tmp_path / "run.flog").parent == tmp_path
    assert {one.name for one in tmp_path.iterdir()} == set(kept)


def test_names_of_a_process_that_had_the_same_number_are_not_taken(tmp_path: Path) -> None:
    stem, _, number = temporary_name("a").rpartition("-")
    for later in range(1, 4):
        (tmp_path / f"{stem}-{int(number) + later}").write_bytes(b"of another")
    with atomic_write(tmp_path / "a") as file:
        file.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 4


def test_a_command_that_is_run_in_a_program_leaves_its_handlers(tmp_path: Path) -> None:
    from trainlog.cli import main

    trainlog.create(tmp_path / "a.flog").close()
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(SystemExit):
        main(["info", str(tmp_path / "a.flog")])
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)] == before


def test_nohup_is_heeded(tmp_path: Path) -> None:
    code = "import os, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(os.sys.executable, "
    command = [sys.executable, "-c", f"{code}[os.sys.executable, '-m', 'trainlog', 'tail', '-f', os.sys.argv[1]])"]
    path = tmp_path / "a.flog"
    with (
        trainlog.create(path) as log,
        subprocess.Popen([*command, str(path)], stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        log.write(trainlog.Frame(0.0, trainlog.Kind.STATS, {"n": 0}))
        assert json.loads(process.stdout.readline())["data"] == {"n": 0}
        process.send_signal(signal.SIGHUP)
        log.write(trainlog.Frame(1.0, trainlog.Kind.STATS, {"n": 1}))
        assert json.loads(process.stdout.readline())["data"] == {"n": 1}
        process.terminate()
        assert process.wait(30) == 143
