"""The way of measuring: each measurement in a fresh process, so that no peer pays for the memory, the threads or the
garbage of another."""

from __future__ import annotations

import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

__all__ = [
    *("FULL", "QUICK", "Killed", "Scale", "Unmeasured"),
    *("held_memory", "in_child", "median_time", "peak_memory", "scratch", "settle"),
]

_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Attributes:
        rows: frames that each peer writes and reads.
        seconds: a peer that needs more than this for all *rows* is measured on as many as it handles in that time.
        passes: fresh processes for each figure; their median counts.
        repeats: repetitions within one process, if its state does not matter.
        killed: rows that are logged before the process is killed.
        pace: seconds between these rows.
        sizes: bytes of the files that are opened.

    """

    rows: int
    seconds: float
    passes: int
    repeats: int
    killed: int
    pace: float
    sizes: tuple[int, ...]


_MB = 10**6

# The number of rows before the kill is not a multiple of 100, so that the loss of a buffer of 100 rows shows.
FULL = Scale(rows=20_000, seconds=1.5, passes=3, repeats=5, killed=1_850, pace=1e-3, sizes=(_MB, 16 * _MB, 256 * _MB))
QUICK = Scale(rows=2_000, seconds=0.3, passes=1, repeats=3, killed=350, pace=0.0, sizes=(_MB, 8 * _MB))


class Unmeasured(Exception):
    """A child failed; the text says why in one line."""


class Killed(Exception):
    """A child was killed by a signal, as the benchmark intended."""


def in_child(function: Callable[..., Any], **arguments: Any) -> Any:
    """What *function*, of a module of this package, returns in a fresh process; arguments and result are JSON.

    Raises:
        Killed: when the process died of SIGKILL.
        Unmeasured: when it failed.

    """
    with scratch() as folder:
        answer = folder / "answer.json"
        paths = filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])
        call = json.dumps([function.__module__, function.__name__, arguments, str(answer)])
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.measure", call],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                "PYTHONWARNINGS": "",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _, errors = process.communicate(timeout=600)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode == -signal.SIGKILL:
            raise Killed
        if process.returncode or not answer.exists():
            raise Unmeasured((errors.strip().splitlines() or ["no answer"])[-1])
        return json.loads(answer.read_text())


def _answer(call: str) -> None:
    module, name, arguments, answer = json.loads(call)
    result = getattr(importlib.import_module(module), name)(**arguments)
    Path(answer).write_text(json.dumps(result))


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="trainlog-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def median_time(function: Callable[[], object], repeats: int, enough: float = 2.0) -> float:
    """Seconds that *function* takes: the median of *repeats*, or of fewer once they took *enough* seconds."""
    taken: list[float] = []
    while len(taken) < repeats and sum(taken) < enough:
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def peak_memory() -> int:
    """The most bytes that this process ever held in memory.

    ``ru_maxrss`` would be inherited from the parent, which is larger than many of the children.
    """
    return _status("VmHWM")


def settle(file: BinaryIO) -> None:
    """Sync *file* to the disk, so that nothing is measured while the system is still writing it."""
    file.flush()
    os.fsync(file.fileno())


def held_memory() -> int:
    """Bytes that this process currently holds in memory."""
    return _status("VmRSS")


def _status(field: str) -> int:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    _answer(sys.argv[1])
