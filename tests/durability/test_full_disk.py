"""Disks that are full, and then are not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainlog
from trainlog.errors import LogWriteWarning

FULL_THEN_NOT = """
import resource, sys, warnings, trainlog
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 1_000_000))
log = trainlog.TrainingRecorder(sys.argv[1], sync_every=float(sys.argv[2]) or None)
for n in range(1000):
    log.record_stats_frame(float(n), {"n": n, "pad": "x" * (n % 100)})
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
log.close()
"""


@pytest.mark.parametrize("sync_every", [0.01, 0])
def test_nothing_is_lost_when_there_is_room_again(tmp_path: Path, sync_every: float) -> None:
    """The limit on a file's size stands for the disk: the system takes a part of a frame, then none of it."""
    path = tmp_path / "a.flog"
    command = [sys.executable, "-c", FULL_THEN_NOT, str(path), str(sync_every)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "File too large; frames wait in memory" in done.stderr
    assert "can be written again; nothing was lost" in done.stderr
    assert [frame.time for frame in trainlog.open(path).frames(on_damage="raise")] == list(range(1000))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_others_fill_and_clear(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with trainlog.TrainingRecorder(small_disk / "a.flog", sync_every=None) as log:
        log.record_event(0.0, "before")
        with pytest.raises(OSError, match="No space"):
            ballast.write_bytes(bytes(1 << 20))
        with pytest.warns(LogWriteWarning, match="No space left on device; frames wait in memory"):
            record_a_hundred(log)
        assert len(list(trainlog.open(log.path).frames(on_damage="raise"))) < 100
        ballast.unlink()
        with pytest.warns(LogWriteWarning, match="nothing was lost"):
            log.flush()
    assert [frame.time for frame in trainlog.open(log.path).frames(on_damage="raise")] == list(range(101))


def record_a_hundred(log: trainlog.TrainingRecorder) -> None:
    for n in range(1, 101):
        log.record_stats_frame(float(n), {"n": n, "pad": "x" * 500})
