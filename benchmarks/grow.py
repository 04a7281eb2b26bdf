"""How the cost of opening a log and of its first table grows with the size of the file."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path

import numpy as np

from benchmarks import frames
from benchmarks.measure import Scale, Unmeasured, held_memory, in_child, peak_memory, scratch, settle
from benchmarks.peers import PlainFlog
from benchmarks.report import Table, ratio

__all__ = ["READERS", "make", "measured", "tables"]

# Distinct rows; a longer log repeats them with other steps and times, so that its table can be checked.
_ROWS = 4096
_STATS_EVERY = 100

_PLAIN = "plain FLOG loop, np.array"
_PLAIN_AT_MOST = 10**9  # its dicts take about six times the file
_SLOW = 10**8  # files of this size are read once; that takes long enough to be timed


def make(path: str, size: int) -> int:
    """Write a FLOG file of about *size* bytes, only by the format's note: creature frames, with stats in between.

    Returns the number of creature frames.
    """
    import msgpack

    truth = frames.columns("creature", _ROWS)
    stats = msgpack.packb(frames.rows(frames.columns("scalars", 1))[0])
    # The step is first in the map, so that it can be set in each copy without packing the row again.
    head = bytes([0x80 | len(truth)]) + msgpack.packb("step")
    tails = []
    for row in frames.rows(truth):
        del row["step"]
        lists = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in row.items()}
        tails.append(msgpack.packb(lists)[1:])
    frame = struct.Struct("<dBI")
    count = written = 0
    with open(path, "wb") as file:
        file.write(struct.pack("<4sHBI", b"FLOG", 1, 0, 2) + b"{}")
        while written < size:
            payload = head + msgpack.packb(count * 10) + tails[count % _ROWS]
            written += file.write(frame.pack(count / 512, 4, len(payload)) + payload)
            count += 1
            if count % _STATS_EVERY == 0:
                written += file.write(frame.pack(count / 512, 2, len(stats)) + stats)
        settle(file)
    return count


def _trainlog(path: str) -> frames.Columns:
    import trainlog

    return dict(trainlog.open(path).table("creature"))


def _stats_anew(path: str) -> None:
    from trainlog.codecs.flog.index.index_file import cache_path

    cache_path(Path(path)).unlink(missing_ok=True)
    _stats(path)


def _stats(path: str) -> None:
    import trainlog

    table = trainlog.open(path).table("stats", keys=["step", "reward"])
    # All stats frames are copies of one row.
    row = frames.columns("scalars", 1)
    frames.same({key: row[key].repeat(table.rows) for key in table}, table)


def _plain(path: str) -> frames.Columns:
    rows = [row for row in PlainFlog.frames(Path(path)) if "pos" in row]
    return {name: np.array([row[name] for row in rows]) for name in frames.WIDTHS}


def _header(path: str) -> None:
    import trainlog

    trainlog.open(path)


def _first_frame(path: str) -> None:
    import trainlog

    next(trainlog.open(path).frames())


def _bytes(path: str) -> None:
    np.fromfile(path, np.uint8)


READERS: dict[str, Callable[[str], frames.Columns | None]] = {
    "trainlog: open": _header,
    "trainlog: open, first frame": _first_frame,
    "trainlog: open, two stats": _stats_anew,
    "trainlog: open, two stats again": _stats,
    "trainlog: open, table of creatures": _trainlog,
    _PLAIN: _plain,
    "np.fromfile, the bytes alone": _bytes,
}


def measured(name: str, path: str, count: int) -> dict[str, float | str]:
    """Time the reader *name* once on the file that ``make`` wrote, as a person waits for it."""
    tiny = f"{path}.tiny"
    make(tiny, 200_000)
    READERS[name](tiny)  # imports and first uses do not grow
    before = held_memory()
    start = time.perf_counter()
    table = READERS[name](path)
    seconds = time.perf_counter() - start
    peak = peak_memory() - before
    note = ""
    if table is not None:
        truth = frames.columns("creature", _ROWS)
        step = np.arange(count) * 10
        if not np.array_equal(table["step"], step):
            raise AssertionError("the steps came back with other values")
        for start in range(0, count, _ROWS):
            part = slice(start, min(start + _ROWS, count))
            expected = {key: column[: part.stop - start] for key, column in truth.items()} | {"step": step[part]}
            frames.same(expected, {key: table[key][part] for key in truth})
        note = f"{count * sum(frames.WIDTHS.values()):,} values"
    return {"seconds": seconds, "peak": peak, "note": note}


def tables(scale: Scale) -> Iterator[Table]:
    """One table: each reader on files of each size."""
    table = Table(
        "How it grows: opening a log, and its first table",
        f"FLOG files of creature frames as above, with a stats frame after every {_STATS_EVERY}, written from the "
        "format's description alone; in the page cache. Each is read once, in a fresh process that has read a small "
        f"one before; the median of {scale.passes} processes after one that does not count, above "
        f"{_SLOW / 1e6:,.0f} MB of one. The index that the first table builds of the largest files is next to them for "
        "the next process. *Peak*: the most memory that the read added to the process. *Checked*: every value of every "
        "column.",
        ["reader", "file MB", "ms", "MB/s", "to trainlog's table", "peak MB", "checked"],
        words=frozenset([6]),
    )
    for size in scale.sizes:
        names = [name for name in READERS if name != _PLAIN or size <= _PLAIN_AT_MOST]
        results: dict[str, dict[str, float | str]] = {}
        with scratch() as folder:
            path = str(folder / "log.flog")
            count = in_child(make, path=path, size=size)
            runs: dict[str, list[dict[str, float | str]]] = {name: [] for name in names}
            # The first use of memory in a virtual machine is slow; the turns spread that over all readers.
            for turn in range(scale.passes + 1 if size < _SLOW else 2):
                for name in names:
                    try:
                        run = in_child(measured, name=name, path=path, count=count)
                    except Unmeasured as error:
                        run = {"seconds": nan, "peak": nan, "note": f"failed: {error}"}
                    if turn:
                        runs[name].append(run)
        for name, some in runs.items():
            results[name] = sorted(some, key=lambda run: run["seconds"])[len(some) // 2]
        base = results["trainlog: open, table of creatures"]["seconds"]
        for name, result in results.items():
            seconds, whole = float(result["seconds"]), "open" not in name or "table" in name
            table.rows.append(
                [
                    *(name, f"{size / 1e6:,.0f}", f"{seconds * 1e3:,.1f}"),
                    *(f"{size / seconds / 1e6:,.0f}" if whole else "", ratio(seconds, float(base)) if whole else ""),
                    *(f"{float(result['peak']) / 1e6:,.1f}", str(result["note"])),
                ]
            )
    yield table
