"""The cost of a log besides its frames: creating it with its provenance, adding metadata later, and ending it."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Scale, Unmeasured, in_child, scratch
from benchmarks.report import Table

__all__ = ["DISTRIBUTIONS", "begun", "repository", "tables"]

DISTRIBUTIONS = {"msgpack", "numpy", "ormsgpack", "trainlog"}

_FILES = 1000
_LOGS = 50  # after the first log of a process
_PROVENANCE = {
    "everything, with a patch": "on",
    "without the patch": "no-patch",
    "nothing but the version of trainlog": "off",
}


def repository(folder: str) -> None:
    """Create a git repository in which one file differs from the commit."""
    for n in range(_FILES):
        path = Path(folder, f"part_{n // 100}", f"module_{n}.py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"value = {n}\n" * 50)
    name = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "-A"], [*name, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    path.write_text("value = 1\n" * 50)


def begun(folder: str, provenance: str) -> dict[str, Any]:
    """Create and end logs in *folder*: milliseconds of the first one, median microseconds of the others."""
    os.environ.pop("TRAINLOG_PROVENANCE", None)
    os.chdir(folder)
    import trainlog
    from trainlog import TrainingRecorder

    TrainingRecorder("warm.flog", provenance=False).close()  # imports have their own benchmark
    opened, closed, updated, summed = [], [], [], []
    clock = time.perf_counter
    for n in range(1 + _LOGS):
        times = [clock()]
        log = TrainingRecorder(f"{n}.flog", provenance=provenance)
        times.append(clock())
        log.record_stats_frame(None, {"step": 1})
        times.append(clock())
        log.update_metadata({"parameters": n})
        times.append(clock())
        log.update_summary({"best": n})
        times.append(clock())
        log.close()
        times.append(clock())
        for list_, i in ((opened, 0), (updated, 2), (summed, 3), (closed, 4)):
            list_.append(times[i + 1] - times[i])
    header = trainlog.open(f"{_LOGS}.flog").header
    expected = {"on": {"commit", "dirty", "patch"}, "no-patch": {"commit", "dirty"}, "off": set()}[provenance]
    if not set(header.run.get("git", {})) - {"branch"} == expected:
        raise AssertionError(f"the log says {sorted(header.run.get('git', {}))} of its commit")
    if (header.meta["parameters"], header.meta["summary"]) != (_LOGS, {"best": _LOGS}):
        raise AssertionError("the log has other metadata")
    others = {"open": opened, "update": updated, "summary": summed, "close": closed}
    found = {name: statistics.median(times[1:]) * 1e6 for name, times in others.items()}
    return {"first": opened[0] * 1e3, **found}


def tables(scale: Scale) -> Iterator[Table]:
    """One table."""
    table = Table(
        "A log beside its frames: beginning, late metadata, the end",
        f"A recorder in a repository of {_FILES:,} files, of which one was changed; the median of {scale.passes} fresh "
        f"processes. *First*: the first log of a process with that much provenance, for which git is asked; *others*: "
        f"the median of {_LOGS} more. The end waits for the disk. *Checked*: the commit that the log records, and its "
        "metadata.",
        ["provenance", "first, ms", "others, µs", "update_metadata, µs", "update_summary, µs", "close, µs", "checked"],
        words=frozenset([6]),
    )
    with scratch() as folder:
        try:
            repository(str(folder))
        except (OSError, subprocess.SubprocessError) as error:
            table.rows = [[name, *["—"] * 5, f"no git: {error}"] for name in _PROVENANCE]
            yield table
            return
        for name, provenance in _PROVENANCE.items():
            try:
                runs = []
                for turn in range(scale.passes):
                    (place := folder / f"{provenance}{turn}").mkdir()
                    runs.append(in_child(begun, folder=str(place), provenance=provenance))
            except Unmeasured as error:
                table.rows.append([name, *["—"] * 5, f"failed: {error}"])
                continue
            cells = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            table.rows.append(
                [name, f"{cells.pop('first'):,.1f}", *(f"{value:,.0f}" for value in cells.values()), "equal"]
            )
    yield table
