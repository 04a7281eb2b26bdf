"""The cost of RLSimion logs: reading them as columns, and converting them to FLOG."""

from __future__ import annotations

import os
import statistics
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ormsgpack

from benchmarks.measure import Scale, Unmeasured, held_memory, in_child, median_time, peak_memory, scratch
from benchmarks.report import Table, ratio

__all__ = ["CONVERTERS", "READERS", "converted", "make", "read", "tables"]

_VARIABLES = 11  # as in the logs of a double pendulum
_LENGTHS = (40, 1000)  # steps of an episode
_SIZE = 500_000_000
_QUICK_SIZE = 3_000_000
_BIN = ".bin"


def make(path: str, size: int, length: int) -> int:
    """Write a log of about *size* bytes with episodes of *length* steps, and return its number of steps."""
    words = 16 + _VARIABLES
    episodes = max(size // (8 * (length * words + 32)), 1)
    chance = np.random.default_rng(0)
    roles = ["State"] * 4 + ["Action"] * 2 + ["Reward"] + ["Stat"] * 4
    lines = [f"  <{role}-variable>v{i}</{role}-variable>" for i, role in enumerate(roles)]
    opening = f'<ExperimentLogDescriptor BinaryDataFile="{Path(path).name}.bin" SceneFile="Double-pendulum.scene">'
    Path(path).write_text("\n".join([opening, *lines, "</ExperimentLogDescriptor>"]))
    with open(path + _BIN, "wb") as file:
        file.write(struct.pack("<3q104x", 1, 2, episodes))
        for episode in range(episodes):
            steps = np.zeros((length, words))
            ints = steps.view(np.int64)
            ints[:, 0], ints[:, 1] = 3, np.arange(1, length + 1)
            steps[:, 2:5] = (np.arange(length) * 0.01)[:, None] + [episode * 10, 0.0, 0.0]
            steps[:, 16:] = chance.standard_normal((length, _VARIABLES))
            file.write(struct.pack("<5q88x", 2, episode % 2, episode // 2 + 1, _VARIABLES, 1))
            file.write(steps.tobytes())
            file.write(struct.pack("<q120x", 4))
    return episodes * length


def _steps(path: str, most: int = 1 << 62) -> Iterator[tuple[Any, ...]]:
    """The steps by a plain loop: the index, the clocks and the values of each."""
    head, values = struct.Struct("<2q3d88x"), struct.Struct(f"<{_VARIABLES}d")
    with open(path + _BIN, "rb") as file:
        file.seek(128)
        done = 0
        while done < most and len(record := file.read(128)) == 128:
            magic, step, *clocks = head.unpack(record)
            if magic == 3:
                yield (step, *clocks, *values.unpack(file.read(values.size)))
                done += 1


def _by_loop(path: str) -> Any:
    return np.array(list(_steps(path)))


def _by_trainlog(path: str) -> Any:
    import trainlog

    return trainlog.open(path).table("creature")


READERS: dict[str, Callable[[str], Any]] = {
    "trainlog": _by_trainlog,
    "np.fromfile": lambda path: np.fromfile(path + _BIN, np.float64),
    "struct loop": _by_loop,
}


def read(name: str, path: str, steps: int, repeats: int) -> dict[str, Any]:
    """Read the log several times by the reader *name*, and compare the first steps with the plain loop's."""
    reader = READERS[name]
    before = held_memory()
    result = reader(path)
    peak = peak_memory() - before
    note = "the bytes alone"
    if name != "np.fromfile":
        some = np.array(list(_steps(path, 5000)))
        columns = np.stack(list(result.values()), axis=1) if name == "trainlog" else result
        if len(columns) != steps or not np.array_equal(columns[: len(some)], some):
            raise AssertionError(f"{name} read other values")
        note = f"{steps:,} steps, {some.size:,} values"
    del result
    return {"seconds": median_time(lambda: reader(path), repeats, 10.0), "peak": peak, "note": note}


def _bulk(path: str, target: str) -> None:
    import trainlog

    trainlog.convert(path, target)


def _frame_by_frame(path: str, target: str) -> None:
    """trainlog's own reader and writer, one frame at a time."""
    import trainlog

    log = trainlog.open(path)
    with trainlog.create(target, log.header.meta, variables=log.header.variables) as writer:
        writer.write_all(log.frames())
        writer.sync()


def _packing_loop(path: str, target: str) -> None:
    """The least that a loop over the steps can do: one dict, one payload and one write per step."""
    import trainlog

    keys = list(trainlog.open(path).table("creature", last=1))
    frame, pack = struct.Struct("<dBI").pack, ormsgpack.packb
    with open(target, "wb", buffering=0) as file:
        file.write(b"FLOG" + struct.pack("<HBI", 1, 0, 2) + b"{}")
        for row in _steps(path):
            payload = pack(dict(zip(keys, row, strict=True)))
            file.write(frame(row[1], 4, len(payload)) + payload)
        os.fsync(file.fileno())


CONVERTERS: dict[str, Callable[[str, str], None]] = {
    "trainlog.convert": _bulk,
    "frame by frame": _frame_by_frame,
    "loop that packs": _packing_loop,
}


def converted(name: str, path: str, target: str, repeats: int) -> dict[str, Any]:
    """Convert the log several times, and compare the contents of the new log with the old one."""
    import trainlog

    convert = CONVERTERS[name]
    Path(target).unlink(missing_ok=True)  # from the previous process
    before = held_memory()
    convert(path, target)
    peak = peak_memory() - before
    old, new = trainlog.open(path).table("creature"), trainlog.open(target).table("creature")
    if list(old) != list(new) or not all(np.array_equal(old[key], new[key]) for key in old):
        raise AssertionError(f"{name} wrote other values")
    taken = []
    for _ in range(repeats):
        Path(target).unlink()
        taken.append(median_time(lambda: convert(path, target), 1))
    return {"seconds": statistics.median(taken), "peak": peak, "note": f"{old.rows * len(old):,} values"}


def tables(scale: Scale) -> Iterator[Table]:
    """Reading, for short and for long episodes, and converting."""
    size = _SIZE if scale.passes > 1 else _QUICK_SIZE
    for length in _LENGTHS:
        about = (
            f"A log of {size / 1e6:,.0f} MB in episodes of {length:,} steps of {_VARIABLES} variables, in the page "
            f"cache; the median of {scale.passes} fresh processes. *Peak*: the memory that the first reading added to "
            "the process. The struct loop reads a tenth of the file, and is scaled up."
        )
        columns = ["reader", "ms", "MB/s", "speed of np.fromfile", "peak MB", "checked"]
        yield _reading(
            Table(f"RLSimion: steps to columns, episodes of {length:,}", about, columns), scale, size, length
        )
    yield _converting(scale, size // 10)


def _reading(table: Table, scale: Scale, size: int, length: int) -> Table:
    base = float("nan")
    with scratch() as folder:
        for name in ("np.fromfile", "trainlog", "struct loop"):
            share = 10 if name == "struct loop" else 1
            path = str(folder / f"{share}.simion.log")
            if share == 10 or not Path(path).exists():
                steps = make(path, size // share, length)
            run = _median(read, scale, "seconds", name=name, path=path, steps=steps, repeats=scale.repeats)
            if isinstance(run, str):
                table.rows.append([name, "—", "—", "—", "—", run])
                continue
            seconds = run["seconds"] * share
            base = seconds if name == "np.fromfile" else base
            cells = [f"{seconds * 1e3:,.0f}", f"{size / seconds / 1e6:,.0f}", ratio(base, seconds)]
            table.rows.append([name, *cells, f"{run['peak'] * share / 1e6:,.0f}", run["note"]])
    return table


def _converting(scale: Scale, size: int) -> Table:
    table = Table(
        "RLSimion: conversion to FLOG",
        f"A log of {size / 1e6:,.1f} MB in episodes of 1,000 steps. The loop that packs does the least that a loop "
        "can: it reads with struct, packs each step with ormsgpack and writes it; no events, no statistics, no file "
        "written aside. All wait until the new log is on the disk.",
        ["converter", "ms", "µs per step", "to trainlog.convert", "peak MB", "checked"],
        words=frozenset([5]),
    )
    base = float("nan")
    with scratch() as folder:
        path = str(folder / "a.simion.log")
        steps = make(path, size, 1000)
        for name in CONVERTERS:
            target = str(folder / "a.flog")
            run = _median(converted, scale, "seconds", name=name, path=path, target=target, repeats=scale.repeats)
            if isinstance(run, str):
                table.rows.append([name, "—", "—", "—", "—", run])
                continue
            seconds = run["seconds"]
            base = seconds if name == "trainlog.convert" else base
            cells = [f"{seconds * 1e3:,.1f}", f"{seconds / steps * 1e6:,.2f}", ratio(seconds, base)]
            table.rows.append([name, *cells, f"{run['peak'] / 1e6:,.0f}", run["note"]])
    return table


def _median(function: Callable[..., Any], scale: Scale, key: str, **arguments: Any) -> dict[str, Any] | str:
    """The median run of several fresh processes, or why there is none."""
    try:
        runs = [in_child(function, **arguments) for _ in range(scale.passes)]
    except Unmeasured as error:
        return f"failed: {error}"
    middle = statistics.median_low(run[key] for run in runs)
    return next(run for run in runs if run[key] == middle)
