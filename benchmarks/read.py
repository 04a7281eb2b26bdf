"""The cost of reading: from the file to numpy columns."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import frames
from benchmarks.frames import Kind
from benchmarks.measure import Scale, Unmeasured, held_memory, in_child, median_time, peak_memory, scratch
from benchmarks.peers import PEERS, Peer, peer
from benchmarks.report import Table, ratio
from benchmarks.write import written

__all__ = ["bytes_alone", "read", "tables"]

_WHAT: dict[Kind, str] = {
    "creature": "Creature frames to numpy columns",
    "scalars": "Steps of 20 scalars to numpy columns",
}


def read(name: str, kind: Kind, folder: str, count: int, logged: int, repeats: int) -> dict[str, Any]:
    """Read all columns of the log that *written* left in *folder*, several times."""
    one = peer(name, folder)
    truth = {key: column[:logged] for key, column in frames.columns(kind, count).items()}
    result: list[frames.Columns] = []

    def once() -> None:
        result[:] = [one.read(kind)]

    before = held_memory()
    once()
    after = peak_memory()
    note = frames.same(truth, result[0], one.precision)
    taken = median_time(once, repeats)
    return {"seconds": taken, "peak": after - before, "size": one.size(), "note": note}


def bytes_alone(folder: str, repeats: int) -> float:
    """Seconds to read only the bytes of the FLOG files in *folder*."""
    files = [str(path) for path in peer("trainlog", folder).folder.rglob("*.flog")]
    return median_time(lambda: [np.fromfile(path, np.uint8) for path in files], repeats)


def tables(scale: Scale) -> Iterator[Table]:
    """One table per kind of row."""
    for kind, what in _WHAT.items():
        yield _table(kind, what, scale)


def _table(kind: Kind, what: str, scale: Scale) -> Table:
    table = Table(
        f"Reading: {what}",
        f"Logs of {scale.rows:,} rows (fewer if a peer takes more than {4 * scale.seconds:g} s to write them), in "
        f"the page cache. Each is read in a fresh process, once to warm up, then {scale.repeats} times (fewer if that "
        f"takes long); the median of {scale.passes} such medians. *Peak*: the most memory that the first reading added "
        "to the process, including the columns and its imports. The numbers are random, so a compressor "
        "leaves 8 bytes of each. *Checked*: all columns, equal to what was logged.",
        ["peer", "ms", "µs per row", "to trainlog", "MB/s", "peak MB", "bytes per row", "rows", "checked"],
        words=frozenset([8]),
    )
    base = float("nan")
    for one in PEERS.values():
        if kind not in one.reads:
            continue
        if one.missing():
            table.rows.append([one.name, *["—"] * 7, f"not installed: {one.missing()}"])
            continue
        try:
            runs, rows, floor = _runs(one, kind, scale)
        except Unmeasured as error:
            table.rows.append([one.name, *["—"] * 7, f"failed: {error}"])
            continue
        seconds = statistics.median(run["seconds"] for run in runs)
        each = seconds / rows * 1e6
        if one.name == "trainlog":
            base = each
        size = runs[0]["size"]
        peak = statistics.median(run["peak"] for run in runs)
        table.rows.append(
            [
                *(one.name, f"{seconds * 1e3:,.1f}", f"{each:,.2f}", ratio(each, base), f"{size / seconds / 1e6:,.0f}"),
                *(f"{peak / 1e6:,.0f}", f"{size / rows:,.0f}", f"{rows:,}", runs[0]["note"]),
            ]
        )
        if floor is not None:
            each = floor / rows * 1e6
            table.rows.append(
                [
                    *("np.fromfile", f"{floor * 1e3:,.1f}", f"{each:,.2f}", ratio(each, base)),
                    *(f"{size / floor / 1e6:,.0f}", "", "", f"{rows:,}", "the bytes alone"),
                ]
            )
    return table


def _runs(one: type[Peer], kind: Kind, scale: Scale) -> tuple[list[dict[str, Any]], int, float | None]:
    with scratch() as folder:
        where: dict[str, Any] = {"name": one.name, "kind": kind, "folder": str(folder), "count": scale.rows}
        rows = int(in_child(written, **where, seconds=4 * scale.seconds)["rows"])
        runs = [in_child(read, **where, logged=rows, repeats=scale.repeats) for _ in range(scale.passes)]
        floor = in_child(bytes_alone, folder=str(folder), repeats=scale.repeats) if one.name == "trainlog" else None
    return runs, rows, floor
