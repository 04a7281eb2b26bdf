"""``trainlog report`` as a CI system sees it: exit codes, what is printed, what is there afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from made_logs import training

COMMAND = [sys.executable, "-m", "trainlog"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "run.flog"
    training(path, 0, 60)
    return path


def test_passed(log: Path, tmp_path: Path) -> None:
    done = run(log, "-o", tmp_path / "out", "--require", "mean(reward[-10:]) >= 50", "--require", "count(time) == 60")
    assert (done.returncode, done.stderr) == (0, "")
    assert "passed: mean(reward[-10:]) >= 50 in run: mean(reward[-10:]) = " in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("report.md", "report.html", "summary.json", "junit.xml", "figures")
    }


def test_a_gate_failed(log: Path, tmp_path: Path) -> None:
    done = run(log, "-o", tmp_path / "out", "--require", "mean(reward[-10:]) >= 5000")
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAILED: mean(reward[-10:]) >= 5000 in run: mean(reward[-10:]) = " in done.stdout
    assert "❌" in (tmp_path / "out" / "report.md").read_text()


def test_baseline(log: Path, tmp_path: Path) -> None:
    better = tmp_path / "better.flog"
    training(better, 1, 60, goal=200)
    assert run(better, "-o", tmp_path / "out", "--baseline", log).returncode == 0
    done = run(log, "-o", tmp_path / "out", "--baseline", better, "--tolerance", "10%")
    assert done.returncode == 1
    assert "FAILED: baseline, mean(reward[-10%:]): It is worse than it was." in done.stdout


def test_an_expression_that_cannot_be_read_is_pointed_at(log: Path, tmp_path: Path) -> None:
    done = run(log, "-o", tmp_path / "out", "--require", "mean(rewrd[-100:]) >= 200")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "trainlog: column 6: run has no column 'rewrd'; near it: reward",
        "    mean(rewrd[-100:]) >= 200",
        "         ^",
    ]
    assert not (tmp_path / "out").exists()


def test_a_log_that_cannot_be_read(log: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.flog").write_bytes(b"no log at all")
    for path in (tmp_path / "missing.flog", tmp_path / "odd.flog"):
        done = run(log, path, "-o", tmp_path / "out")
        assert done.returncode == 2
        assert path.name in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_killed_trainings_log_is_reported(log: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.flog"
    whole = log.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    done = run(cut, "-o", tmp_path / "out", "--require", "5 < count(reward) < 55")
    assert done.returncode == 0, done.stderr
