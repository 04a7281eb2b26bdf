"""The cost of figures: from a log to SVG + PNG, each in a fresh process, including imports and reading."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import trainlog
from benchmarks.measure import FULL, Scale, scratch
from benchmarks.report import Table, ratio
from trainlog import Kind

__all__ = ["tables"]

_POINTS = {True: 1_000_000, False: 50_000}
_WINDOW = 1000
_OURS = ("-y", "reward", "--smooth", str(_WINDOW))
# What a matplotlib user writes for the same figure: every value drawn faintly, and the moving average.
_THEIRS = """
import sys
import numpy as np
import matplotlib
matplotlib.use("agg")
from matplotlib.figure import Figure
import trainlog

log, window, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
table = trainlog.open(log).table("stats", keys=["step", "reward"])
step, reward = table["step"], table["reward"]
sums = np.cumsum(np.insert(reward, 0, 0.0))
mean = (sums[window:] - sums[:-window]) / window
figure = Figure(figsize=(9.6, 5.4), dpi=200)
axes = figure.subplots()
axes.plot(step, reward, alpha=0.3, linewidth=1.25, label="reward")
axes.plot(step[window - 1 :], mean, linewidth=2.25, label=f"mean of {window}")
axes.set(title="ant: run", xlabel="step", ylabel="reward")
axes.legend()
figure.savefig(f"{folder}/reward.svg")
figure.savefig(f"{folder}/reward.png")
"""


# The same for each metric of a log.
_THEIRS_EACH = """
import sys
import matplotlib
matplotlib.use("agg")
from matplotlib.figure import Figure
import trainlog

log, folder = sys.argv[1], sys.argv[2]
table = trainlog.open(log).table("stats")
for name in table:
    if name != "step":
        figure = Figure(figsize=(9.6, 5.4), dpi=200)
        axes = figure.subplots()
        axes.plot(table["step"], table[name], label=name)
        axes.set(title="ant: run", xlabel="step", ylabel=name)
        axes.grid()
        figure.savefig(f"{folder}/{name}.svg")
        figure.savefig(f"{folder}/{name}.png")
"""
_METRICS = {True: 120, False: 20}

# What the script ``trainlog`` that pip installs does.
_CLI = ["-c", "from trainlog.__main__ import main; main()"]


def tables(scale: Scale) -> Iterator[Table]:
    """Noisy returns, a walk, which matplotlib simplifies, and noise, which it cannot; then many figures of one log."""
    yield _points(scale)
    yield _figures(scale)


def _figures(scale: Scale) -> Table:
    count = _METRICS[scale.rows >= FULL.rows]
    table = Table(
        "Plotting: all figures of a log",
        f"A log of 45 stats frames with {count} metrics; `trainlog plot` compared with a script that draws each of "
        "them with matplotlib, at the same size, as SVG and PNG; trainlog also draws sheets of several metrics. The "
        f"whole process, the median of {scale.repeats}, in turns.",
        ["peer", "s", "to trainlog", "CPU s", "to trainlog", "figures"],
        words=frozenset([0]),
    )
    with scratch() as folder:
        log, walks = folder / "metrics.flog", np.random.default_rng(0).normal(size=(count, 45)).cumsum(axis=1)
        with trainlog.create(log, {"creature": "ant", "task": "run"}) as writer:
            columns = {f"metric{n}": walk for n, walk in enumerate(walks)}
            writer.write_table(trainlog.Table(Kind.STATS, np.arange(45.0), {"step": np.arange(45) * 1000, **columns}))
        commands = {"trainlog": [*_CLI, "plot", str(log), "-o", str(folder / "trainlog")]}
        if find_spec("matplotlib") is not None:
            commands["matplotlib"] = ["-c", _THEIRS_EACH, str(log), str(folder / "matplotlib")]
        taken = _taken(commands, scale)
        for name, times in taken.items():
            ratios = [ratio(mine, ours) for mine, ours in zip(times, taken["trainlog"], strict=True)]
            pngs = list((folder / name).rglob("*.png"))
            assert len(pngs) >= count
            table.rows.append([name, f"{times[0]:.2f}", ratios[0], f"{times[1]:.2f}", ratios[1], str(len(pngs))])
    return table


def _points(scale: Scale) -> Table:
    points = _POINTS[scale.rows >= FULL.rows]
    table = Table(
        "Plotting: from a log to SVG and PNG",
        f"A log of {points:,} stats frames; `trainlog plot -y reward` compared with a script that reads the same log "
        "with trainlog and draws the same two curves, every value and their moving average, with matplotlib, at the "
        f"same size. The whole process, the median of {scale.repeats}; the two take turns, after one of each to warm "
        "up. *CPU s*: processor time, which other work of the machine does not lengthen.",
        ["peer", "data", "s", "to trainlog", "CPU s", "to trainlog", "SVG kB", "PNG kB"],
        words=frozenset([1]),
    )
    with scratch() as folder:
        for data in ("curve", "walk", "noise"):
            log = written(folder / f"{data}.flog", data, points)
            commands = {"trainlog": [*_CLI, "plot", str(log), *_OURS, "-o"]}
            if find_spec("matplotlib") is not None:
                commands["matplotlib"] = ["-c", _THEIRS, str(log), str(_WINDOW)]
            taken = _taken(
                {name: [*command, str(folder / f"{data}-{name}")] for name, command in commands.items()}, scale
            )
            for name, (seconds, computed) in taken.items():
                files = [folder / f"{data}-{name}" / f"reward.{suffix}" for suffix in ("svg", "png")]
                sizes = [f"{file.stat().st_size / 1000:,.0f}" for file in files]
                ratios = [ratio(mine, ours) for mine, ours in zip((seconds, computed), taken["trainlog"], strict=True)]
                table.rows.append([name, data, f"{seconds:.2f}", ratios[0], f"{computed:.2f}", ratios[1], *sizes])
    return table


def _taken(commands: dict[str, list[str]], scale: Scale) -> dict[str, tuple[float, float]]:
    """Seconds and CPU seconds of each command; they take turns, so that a busy machine affects all alike."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for command in commands.values():
        Path(command[-1]).mkdir()
    with scratch() as compiled:
        # Modules are compiled once, as in an installed package.
        environment = {**os.environ, "PYTHONWARNINGS": "", "PYTHONPYCACHEPREFIX": str(compiled)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(scale.repeats + 1):
            for name, command in commands.items():
                began, computed = time.perf_counter(), _computed()
                subprocess.run([sys.executable, *command], check=True, capture_output=True, env=environment)
                runs[name].append((time.perf_counter() - began, _computed() - computed))
    medians = {
        name: [statistics.median(column) for column in zip(*taken[1:], strict=True)] for name, taken in runs.items()
    }
    return {name: (seconds, computed) for name, (seconds, computed) in medians.items()}


def _computed() -> float:
    """CPU seconds of all children so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def written(path: Path, data: str, points: int) -> Path:
    """A log of *points* stats frames."""
    reward = np.random.default_rng(0).normal(0, 1, points)
    if data == "walk":
        reward = reward.cumsum()
    elif data == "curve":
        reward = 2000 * (1 - np.exp(np.linspace(0, -5, points))) + 250 * reward
    with trainlog.create(path, {"creature": "ant", "task": "run"}) as writer:
        time_ = np.arange(points) * 0.01
        writer.write_table(trainlog.Table(Kind.STATS, time_, {"step": np.arange(points), "reward": reward}))
    return path
