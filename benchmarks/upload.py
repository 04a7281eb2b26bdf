"""Logs in a bucket: the cost of a call while a thread uploads the log, compared with the same log without an upload."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec

import trainlog
from benchmarks import frames
from benchmarks.measure import Scale, Unmeasured, in_child, scratch
from benchmarks.report import Table, ratio
from benchmarks.s3_server import missing, s3_server

__all__ = ["DISTRIBUTIONS", "recorded", "tables"]

DISTRIBUTIONS = {"numpy", "trainlog", "fsspec", "s3fs", "moto"}

_EVERY = 0.05  # seconds between two parts: a hundred times as often as by default
_PACE = 2e-4  # seconds of the training between two calls


def recorded(folder: str, count: int, turns: int, bucket: str) -> dict[str, Any]:
    """Microseconds of a call with and without an upload to *bucket*, in turns, and what was checked."""
    rows = frames.rows(frames.columns("creature", count))
    taken: dict[str, list[float]] = {"without": [], "with": []}
    parts = size = 0
    for turn in range(turns):
        for name in taken:
            path = Path(folder, f"{turn}", name, "run.flog")
            if name == "with":
                url = f"{bucket}/{turn}/run.flog"
                log = trainlog.TrainingRecorder(url, "benchmark", local=path)
                assert log.uploader is not None
                log.uploader._every = _EVERY
                log.uploader.wait(30)
            else:
                log = trainlog.TrainingRecorder(path, "benchmark")
            taken[name] += _calls(log, rows)
            log.close()
            if name == "with":
                found = _parts(url)
                assert b"".join(found) == path.read_bytes(), "the bucket does not hold what was logged"
                parts, size = parts + len(found), size + path.stat().st_size
    return {
        **{name: statistics.median(some) * 1e6 for name, some in taken.items()},
        **{f"{name} p99": statistics.quantiles(some, n=100)[-1] * 1e6 for name, some in taken.items()},
        "note": f"{size:,} bytes in {parts:,} parts, equal to the local files",
    }


def _calls(log: trainlog.TrainingRecorder, rows: list[dict[str, Any]]) -> list[float]:
    taken = []
    for row in rows:
        began = time.perf_counter()
        log.record_creature_frame(None, row)
        ended = time.perf_counter()
        taken.append(ended - began)
        while time.perf_counter() - ended < _PACE:  # stands for the training, which holds the interpreter
            pass
    return taken


def _parts(url: str) -> list[bytes]:
    fs, root = fsspec.core.url_to_fs(f"{url}.parts")
    fs.invalidate_cache()
    return [fs.cat_file(name) for name in sorted(fs.find(root))]


def tables(scale: Scale) -> Iterator[Table]:
    """One table."""
    count, turns = max(scale.rows // 4, 100), scale.passes
    table = Table(
        "Logs in a bucket: a call while the log is uploaded",
        f"µs for one creature frame, {_PACE * 1e6:.0f} µs of computing in Python after each; {turns} turns of "
        f"{count:,} calls with an upload and without, one after the other in one process. The thread sends a part "
        f"every {_EVERY * 1e3:.0f} ms here; by default every 5 s. S3 is a moto server on the same two cores. "
        "*Checked*: all parts together are the bytes of the local log.",
        ["to", "median without", "median with", "ratio", "99 % without", "99 % with", "checked"],
        words=frozenset([6]),
    )
    with scratch() as folder:
        _add(table, "another folder", folder, count, turns, f"file://{folder}/away")
        if not missing():
            with s3_server():
                fsspec.filesystem("s3").mkdir("bucket")
                _add(table, "S3", folder / "s3", count, turns, "s3://bucket")
    yield table


def _add(table: Table, name: str, folder: Path, count: int, turns: int, bucket: str) -> None:
    try:
        one = in_child(recorded, folder=str(folder), count=count, turns=turns, bucket=bucket)
    except Unmeasured as error:
        table.rows.append([name, *["—"] * 5, f"failed: {error}"])
        return
    figures = [f"{one['without']:.2f}", f"{one['with']:.2f}", ratio(one["with"], one["without"])]
    table.rows.append([name, *figures, f"{one['without p99']:.1f}", f"{one['with p99']:.1f}", one["note"]])
