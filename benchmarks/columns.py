"""Columns of a FLOG file, compared with the plain loop over its frames and with `np.fromfile`.

``python -m benchmarks.columns`` measures only this topic, on a file with any number of frames.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

import trainlog
from benchmarks.measure import FULL, Scale, Unmeasured, held_memory, in_child, peak_memory, scratch, settle
from benchmarks.report import Table, ratio

__all__ = ["checked", "make", "plain", "profiled", "tables", "timed", "works"]

EVERY = 100  # creature frames between two stats frames
STAGES = 8  # of training, each with more keys than the one before, from 20 to 130
MODES = ("walk", "run", "stand still")
CREATURE, STATS = 4, 2
NUMBERS = ("heading", "speed", "x", "y")

_ENOUGH = 1.0  # seconds of repeated readings after which a process stops
_LOOP, _RAW, _FULL_READ = "plain loop, dicts kept", "np.fromfile", "creature and stats, opened anew"

Rows = list[dict[str, Any]]


def _rows(frames: int) -> Iterator[tuple[float, int, dict[str, Any]]]:
    """What is logged: the seconds, the kind and the data of each frame, the same in every process."""
    rng = np.random.default_rng(0)
    for step in range(frames):
        values = rng.standard_normal(57).tolist()
        vectors = {"pos": values[:26], "vel": values[26:50], "com": values[50:53]}
        yield step / 100, CREATURE, {"step": step} | vectors | dict(zip(NUMBERS, values[53:], strict=True))
        if step % EVERY == EVERY - 1:
            keys = 20 + 110 * (STAGES * step // frames) // (STAGES - 1)
            stats: dict[str, Any] = {"step": step, "reward": values[0], "mode": MODES[step // EVERY % 3]}
            stats["fallen"] = values[1] > 1.5
            stats |= {f"metric_{i:03d}": value for i, value in enumerate(rng.standard_normal(keys - 4).tolist())}
            yield step / 100, STATS, stats


def make(path: str, frames: int) -> int:
    """Write the file and return its size; its bytes come from msgpack and struct, not from trainlog."""
    with open(path, "wb") as file:
        file.write(struct.pack("<4sHBI", b"FLOG", 1, 0, 2) + b"{}")
        for seconds, kind, data in _rows(frames):
            payload = msgpack.packb(data)
            file.write(struct.pack("<dBI", seconds, kind, len(payload)) + payload)
        settle(file)
        return file.tell()


def plain(path: str, *, keep: bool = True) -> Rows:
    """The loop in the format's note: every frame as a dict."""
    frames = []
    with open(path, "rb") as file:
        size = struct.unpack("<4sHBI", file.read(11))[3]
        file.read(size)
        while len(head := file.read(13)) == 13:
            seconds, kind, size = struct.unpack("<dBI", head)
            data = msgpack.unpackb(file.read(size), raw=False)
            data["timestamp"], data["kind"] = seconds, kind
            if keep:
                frames.append(data)
    return frames


def least(path: str, frames: int) -> np.ndarray:
    """The lower bound for a table of creatures in one thread: all bytes are read, in blocks that fit into the cache,
    and as many numbers as the table has are copied from them. Their places are known; nothing is inspected."""
    result = np.empty((frames, 57))
    block = np.empty(2 << 20, np.uint8)
    with open(path, "rb", buffering=0) as file:
        pitch = os.fstat(file.fileno()).st_size // frames
        numbers = np.ndarray((len(block) // pitch, 57), ">f8", block, 30, (pitch, 9))
        row = 0
        while count := file.readinto(block.data):
            some = result[row : row + count // pitch]
            some[...] = numbers[: len(some)]
            row += len(some)
    return result


@dataclass(frozen=True, slots=True)
class Work:
    """One way to read the file.

    Attributes:
        start: opens whatever is kept open, and returns the function to be timed.
        check: raises unless the result agrees with the rows of the file; returns what it compared.
        whole: whether it must look at the whole file; otherwise MB/s would count bytes that it never saw.

    """

    start: Callable[[str], Callable[[], Any]]
    check: Callable[[Any, Rows], str]
    whole: bool = True


def works(frames: int) -> dict[str, Work]:
    """Everything that is measured on a file with this many creature frames."""
    end = frames / 100
    return {
        _LOOP: Work(lambda path: partial(plain, path), _check_dicts),
        "plain loop, dicts dropped": Work(lambda path: partial(plain, path, keep=False), lambda *_: "nothing is kept"),
        _RAW: Work(lambda path: partial(np.fromfile, path, np.uint8), lambda *_: "the bytes alone"),
        "read and copied, nothing else": Work(lambda path: partial(least, path, frames), lambda *_: "as many numbers"),
        "creature, reader kept": _tables_of(CREATURE),
        "creature, opened anew": _tables_of(CREATURE, anew=True),
        "creature, one key": _tables_of(CREATURE, keys=["speed"]),
        _FULL_READ: _tables_of(CREATURE, STATS, anew=True),
        "stats, opened anew": _tables_of(STATS, anew=True),
        "stats, two keys, opened anew": _tables_of(STATS, anew=True, keys=["reward", "step"]),
        "stats, index known": _tables_of(STATS, indexed=True, whole=False),
        "stats, two keys, index known": _tables_of(STATS, indexed=True, whole=False, keys=["reward", "step"]),
        "last 1,000, opened anew": _tables_of(CREATURE, anew=True, last=1000),
        "one second, index known": _tables_of(CREATURE, indexed=True, whole=False, time=(end / 2, end / 2 + 1)),
        "state at a time, index known": Work(partial(_state, end / 3), partial(_check_state, end / 3), whole=False),
    }


def _tables_of(*kinds: int, anew: bool = False, indexed: bool = False, whole: bool = True, **options: Any) -> Work:
    def start(path: str) -> Callable[[], Any]:
        reader = _indexed(path) if indexed else trainlog.open(path)

        def read() -> list[trainlog.Table]:
            one = trainlog.open(path) if anew else reader
            return [one.table(kind, **options) for kind in kinds]

        return read

    def check(result: Any, rows: Rows) -> str:
        values = 0
        for kind, table in zip(kinds, result, strict=True):
            values += _check_table(table, _chosen(rows, kind, **options), options.get("keys"))
        return f"{values:,} values"

    return Work(start, check, whole)


def _indexed(path: str) -> trainlog.Reader:
    """A reader that has answered a query for a time before, and so has an index."""
    reader = trainlog.open(path)
    reader.at(0.0)
    return reader


def _state(when: float, path: str) -> Callable[[], Any]:
    return partial(_indexed(path).at, when)


def _chosen(
    rows: Rows,
    kind: int,
    *,
    keys: Sequence[str] | None = None,
    time: tuple[float, float] | None = None,
    last: int | None = None,
) -> Rows:
    """The rows that a table with these options must have."""
    found = [row for row in rows if row["kind"] == kind and (time is None or time[0] <= row["timestamp"] < time[1])]
    return found if last is None else found[-last:]


def _check_table(table: trainlog.Table, rows: Rows, keys: Sequence[str] | None) -> int:
    """Compare every value of every column, and return how many there are; a key that a row lacks must be NaN."""
    _same("time", table.time.tolist(), [row["timestamp"] for row in rows])
    if keys is None:
        keys = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in ("timestamp", "kind")]
    _same("the names of the columns", list(table), list(keys))
    for key, column in table.items():
        for value, row in zip(column.tolist(), rows, strict=True):
            if not (value == row[key] if key in row else value != value):
                _same(key, value, row.get(key))
    return sum(column.size for column in table.values())


def _check_dicts(result: Any, rows: Rows) -> str:
    for one, row in zip(result, rows, strict=True):
        _same("a frame", one, row)
    return f"{len(rows):,} dicts"


def _check_state(when: float, result: Any, rows: Rows) -> str:
    (row,) = [row for row in rows if row["kind"] == CREATURE and row["timestamp"] <= when][-1:]
    _same("the state", {**result.data, "timestamp": result.time, "kind": int(result.kind)}, row)
    return "1 frame"


def _same(what: str, got: Any, truth: Any) -> None:
    if got != truth:
        raise AssertionError(f"{what}: {str(got)[:80]} instead of {str(truth)[:80]}")


def checked(path: str, frames: int) -> dict[str, str]:
    """Compare the result of each work with what was logged, and return what was compared."""
    rows = [data | {"timestamp": seconds, "kind": kind} for seconds, kind, data in _rows(frames)]
    notes = {}
    for name, work in works(frames).items():
        try:
            notes[name] = work.check(work.start(path)(), rows)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    return notes


def timed(name: str, path: str, frames: int, repeats: int) -> dict[str, float]:
    """Do one work once, for its memory and to warm up, and then several times for the median time."""
    work = works(frames)[name]
    with scratch() as folder:
        tiny = str(folder / "tiny.flog")
        make(tiny, EVERY)
        works(EVERY)[name].start(tiny)()  # imports and first uses do not count
    before = held_memory()
    do = work.start(path)
    result = do()
    peak = peak_memory() - before
    held = _held(result)
    taken: list[float] = []
    while len(taken) < repeats and sum(taken) < _ENOUGH:
        del result  # not timed: it takes long for dicts
        began = time.perf_counter()
        result = do()
        taken.append(time.perf_counter() - began)
    return {"seconds": statistics.median(taken), "peak": peak, "held": held}


def _held(result: Any) -> int:
    """Bytes of the arrays of a result; 0 if it has none."""
    if isinstance(result, np.ndarray):
        return result.nbytes
    arrays = [[one.time, *one.values()] for one in result if isinstance(one, trainlog.Table)] if result else []
    return sum(array.nbytes for one in arrays for array in one)


def profiled(name: str, path: str, frames: int) -> dict[str, Any]:
    """The number of function calls of one reading, and the most called function."""
    do = works(frames)[name].start(path)
    do()  # imports do not count
    profiler = cProfile.Profile()
    profiler.runcall(do)
    # The type stubs lack this dict: (file, line, name) -> (calls that are not recursive, calls, ...).
    stats: dict[tuple[str, int, str], tuple[int, int]] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    calls = {_named(*place): entry[1] for place, entry in stats.items()}
    most = max(calls, key=calls.__getitem__)
    return {"calls": sum(entry[1] for entry in stats.values()), "most": most, "times": calls[most]}


def _named(file: str, line: int, name: str) -> str:
    return name.strip("<>") if file == "~" else f"{name}, line {line} of {Path(file).name}"


def tables(scale: Scale) -> Iterator[Table]:
    """One table of all ways to read the file, and one of the calls that the columns take."""
    return _measured(10 * scale.rows, scale.passes, 3 * scale.repeats)


def _measured(frames: int, passes: int, repeats: int) -> Iterator[Table]:
    with scratch() as folder:
        path = str(folder / "run.flog")
        size = in_child(make, path=path, frames=frames)
        yield _times(path, frames, size, passes, repeats)
        yield _calls(path, frames)


def _times(path: str, frames: int, size: int, passes: int, repeats: int) -> Table:
    table = Table(
        "Columns of a FLOG file",
        f"A file of {size / 1e6:,.0f} MB in the page cache, made by msgpack and struct: {frames:,} creature frames of "
        f"58 numbers, 26 + 24 of them in two vectors, and {frames // EVERY:,} stats frames in between, of 20 keys at "
        f"first and 130 at last. Each work is done in its own fresh processes, {passes} of each, in turns; once to "
        f"warm up, then {repeats} times (fewer if that takes {_ENOUGH:g} s); the median of the medians. The reader is "
        "kept if the file is not opened anew. *Speed of the loop*: above 1 it takes less time than the loop that "
        "keeps dicts. *Of a full read*: the share of the time that the columns of both kinds take. *MB/s*, and *of "
        "np.fromfile*, the share of its speed: if the whole file must be looked at. *Peak*: the memory that the first "
        "time added to a process that had read a small file before, including the result and the building of the "
        "index. *Checked*: every value, before anything was timed, equal to what was logged.",
        [
            *("work", "ms", "MB/s", "speed of the loop", "of a full read", "of np.fromfile"),
            *("peak MB", "result MB", "checked"),
        ],
        words=frozenset([8]),
    )
    todo = works(frames)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in todo}
    try:
        notes = in_child(checked, path=path, frames=frames)
        for _ in range(passes):
            for name, taken in runs.items():
                taken.append(in_child(timed, name=name, path=path, frames=frames, repeats=repeats))
    except Unmeasured as error:
        table.rows.append(["all", *["—"] * 7, f"failed: {error}"])
        return table
    figures = {
        name: {key: statistics.median(run[key] for run in taken) for key in taken[0]} for name, taken in runs.items()
    }
    loop, raw, full = (figures[name]["seconds"] if name in figures else nan for name in (_LOOP, _RAW, _FULL_READ))
    for name, work in todo.items():
        seconds, peak, held = (figures[name][key] for key in ("seconds", "peak", "held"))
        table.rows.append(
            [
                *(name, f"{seconds * 1e3:,.2f}", f"{size / seconds / 1e6:,.0f}" if work.whole else ""),
                *(ratio(loop, seconds), f"{seconds / full:.1%}", f"{raw / seconds:.1%}" if work.whole else ""),
                *(f"{peak / 1e6:,.1f}", f"{held / 1e6:,.1f}" if held else "", notes[name]),
            ]
        )
    return table


def _calls(path: str, frames: int) -> Table:
    table = Table(
        "Columns of a FLOG file: calls of functions",
        "Function calls, counted by `cProfile`, including those of Python's built-in types, while all creature columns "
        "of the same file are read, and while the loop reads it. If something is done for each frame, the most "
        "frequent function is called at least as often as there are frames.",
        ["work", "creature frames", "calls", "the most frequent", "its calls", "for each frame"],
        words=frozenset([3]),
    )
    for name in ("creature, opened anew", "plain loop, dicts dropped"):
        try:
            found = in_child(profiled, name=name, path=path, frames=frames)
        except Unmeasured as error:
            table.rows.append([name, f"{frames:,}", "—", f"failed: {error}"])
            continue
        times = found["times"]
        table.rows.append(
            [
                *(name, f"{frames:,}", f"{found['calls']:,}"),
                *(f"`{found['most']}`", f"{times:,}", f"{times / frames:.2f}"),
            ]
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.columns", description=__doc__)
    parser.add_argument("--frames", type=int, default=10 * FULL.rows)
    parser.add_argument("--passes", type=int, default=FULL.passes, help="fresh processes for each figure")
    parser.add_argument("--repeats", type=int, default=3 * FULL.repeats, help="within one process")
    options = parser.parse_args()
    for table in _measured(options.frames, options.passes, options.repeats):
        print(table, flush=True)


if __name__ == "__main__":
    # The measuring processes import the functions by the name of their module, and ``__main__`` is not that name.
    from benchmarks import columns

    columns.main()
