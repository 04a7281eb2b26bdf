"""The cost of importing, each in fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from benchmarks.measure import Scale, scratch
from benchmarks.report import Table, ratio

__all__ = ["tables"]

# The timed statement, and the module that it needs.
_STATEMENTS = {
    "import numpy": "numpy",
    "import trainlog": "trainlog",
    "import trainlog; trainlog.open": "trainlog",
    "import trainlog; trainlog.TrainingRecorder": "trainlog",
    "import trainlog; trainlog.TrainingRecorder('a.flog').record_event(None, 'first')": "trainlog",
    "import msgpack": "msgpack",
    "import mpacklog": "mpacklog",
    "import mcap.writer": "mcap",
    "import h5py": "h5py",
    "import tensorboardX": "tensorboardX",
    "import trackio": "trackio",
    "import wandb": "wandb",
}

_PROGRAM = """
import sys, time
start = time.perf_counter()
{statement}
print(time.perf_counter() - start, len(sys.modules), "numpy" in sys.modules)
"""


def tables(scale: Scale) -> Iterator[Table]:
    """One table, against numpy."""
    repeats = 5 * scale.passes
    table = Table(
        "Importing",
        f"ms until the statement has run, in an interpreter that has imported nothing yet; the median of {repeats} "
        "fresh processes after one that warms the file cache. *Modules*: how many are loaded then.",
        ["statement", "ms", "to numpy", "modules", "numpy among them"],
    )
    taken: dict[str, list[float]] = {statement: [] for statement in _STATEMENTS}
    facts: dict[str, list[str]] = {}
    for turn in range(repeats + 1):
        for statement, module in _STATEMENTS.items():
            if find_spec(module) is None:
                continue
            with scratch() as folder:
                program = _PROGRAM.format(statement=statement)
                answer = subprocess.run(
                    [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
                )
            seconds, modules, numpy = answer.stdout.split()[-3:]
            facts[statement] = [modules, {"True": "yes", "False": "no"}[numpy]]
            if turn:
                taken[statement].append(float(seconds))
    base = statistics.median(taken["import numpy"])
    for statement, times in taken.items():
        if not times:
            table.rows.append([f"`{statement}`", "—", "not installed"])
            continue
        middle = statistics.median(times)
        table.rows.append([f"`{statement}`", f"{middle * 1e3:,.1f}", ratio(middle, base), *facts[statement]])
    yield table
