"""The cost of logging: one creature frame, and one step of 20 scalars."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import frames
from benchmarks.frames import Kind
from benchmarks.measure import Scale, Unmeasured, in_child, scratch
from benchmarks.peers import PEERS, Peer, peer
from benchmarks.report import Table, ratio

__all__ = ["checked", "tables", "written"]

_WARM_UP = 100  # calls that are not counted: the first ones open connections, threads and files

_WHAT: dict[Kind, str] = {
    "creature": "One creature frame: qpos 26, qvel 24, com 3 as numpy vectors; heading, speed, step",
    "scalars": "One step of 20 scalars, Python numbers",
}


def written(name: str, kind: Kind, folder: str, count: int, seconds: float) -> dict[str, float]:
    """Log *count* rows by the peer *name*, or as many as it handles in *seconds*, and time each call."""
    one = peer(name, folder)
    rows, times = frames.rows(frames.columns(kind, count)), frames.times(count)
    one.open(kind)
    log = getattr(one, kind)
    clock = time.perf_counter_ns
    taken: list[int] = []
    done = taken.append
    began = clock()
    for now, row in zip(times, rows, strict=True):
        start = clock()
        log(now, row)
        done(clock() - start)
        if start - began > seconds * 1e9 and len(taken) >= 2 * _WARM_UP:
            break
    one.close()
    whole = (clock() - began) / len(taken)
    calls = np.array(taken[min(_WARM_UP, len(taken) // 2) :])
    return {
        "rows": len(taken),
        "mean": calls.mean() / 1e3,
        "p99": float(np.percentile(calls, 99)) / 1e3,
        "maximum": calls.max() / 1e3,
        "to close": whole / 1e3,
        "size": one.size() / len(taken),
    }


def checked(name: str, kind: Kind, folder: str, count: int, logged: int) -> str:
    """Compare the contents of the log with the first *logged* of the *count* rows."""
    one = peer(name, folder)
    truth = {key: column[:logged] for key, column in frames.columns(kind, count).items()}
    return frames.same(truth, one.read(kind), one.precision)


def tables(scale: Scale) -> Iterator[Table]:
    """One table per kind of row."""
    for kind, what in _WHAT.items():
        yield _table(kind, what, scale)


def _table(kind: Kind, what: str, scale: Scale) -> Table:
    table = Table(
        f"Writing: {what}",
        f"µs per call, {scale.rows:,} rows (fewer if a run would take more than {scale.seconds:g} s), each run in a "
        f"fresh process, the first {_WARM_UP} calls to warm up; the median of {scale.passes} runs. *To close*: from "
        "the first call to the closed log, per row, including the work of threads and other processes. "
        "*Checked*: what the peer's own reader read back, equal to what was logged.",
        ["peer", "mean", "to trainlog", "p99", "maximum", "to close", "bytes per row", "rows", "checked"],
        words=frozenset([8]),
    )
    peers = [one for one in PEERS.values() if kind in one.writes]
    runs: dict[str, list[dict[str, float]]] = {one.name: [] for one in peers}
    notes: dict[str, str] = {}
    for turn in range(scale.passes):
        for one in peers:
            if one.missing():
                notes[one.name] = f"not installed: {one.missing()}"
            elif one.name not in notes or turn:
                _run(one, kind, scale, runs[one.name], notes, check=turn == 0)
    base = _median(runs["trainlog"], "mean") if runs["trainlog"] else float("nan")
    for one in peers:
        if not runs[one.name]:
            table.rows.append([one.name, *["—"] * 7, notes[one.name]])
            continue
        figures = {key: _median(runs[one.name], key) for key in runs[one.name][0]}
        figures["rows"] = runs[one.name][0]["rows"]  # the checked ones
        table.rows.append(
            [
                one.name,
                f"{figures['mean']:,.2f}",
                ratio(figures["mean"], base),
                *(f"{figures[key]:,.1f}" for key in ("p99", "maximum", "to close")),
                f"{figures['size']:,.0f}",
                f"{figures['rows']:,.0f}",
                notes[one.name],
            ]
        )
    return table


def _run(
    one: type[Peer], kind: Kind, scale: Scale, runs: list[dict[str, float]], notes: dict[str, str], *, check: bool
) -> None:
    try:
        with scratch() as folder:
            where: dict[str, Any] = {"name": one.name, "kind": kind, "folder": str(folder), "count": scale.rows}
            runs.append(in_child(written, **where, seconds=scale.seconds))
            if check:
                notes[one.name] = in_child(checked, **where, logged=int(runs[-1]["rows"]))
    except Unmeasured as error:
        notes[one.name] = f"failed: {error}"
        runs.clear()


def _median(runs: list[dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)
