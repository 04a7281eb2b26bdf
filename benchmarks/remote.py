"""Logs in an object storage: a large log compared with fetching its bytes, and small logs by the requests they take.

The storage is moto's S3 server, a separate process on this machine: it shows the requests and their local cost, not the
cost of a network. It reads the whole object for each request, so many small requests are expensive.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import trainlog
from benchmarks.measure import Scale, Unmeasured, in_child, scratch
from benchmarks.report import Table, ratio
from benchmarks.s3_server import counted_requests, missing, s3_server
from trainlog import Frame, Kind

__all__ = ["DISTRIBUTIONS", "large", "small", "tables"]

DISTRIBUTIONS = {"fsspec", "moto", "s3fs"}

_LARGE = 110_000_000
_SMALL = 20  # logs
_ROWS = 200  # of each


def tables(scale: Scale) -> Iterator[Table]:
    """The large log, and the small ones."""
    size = min(_LARGE, max(scale.sizes) // 2)
    about = (
        f"A log of {size / 1e6:,.0f} MB with 15 keys in S3 (moto, a process on this machine): its bytes by s3fs, and "
        "its rows by trainlog, in turns, without a cache. The rows are compared with those of the local file."
    )
    heads = ["what", "seconds", "to the bytes", "requests"]
    yield Table("In object storage: a large log", about, heads, _rows(large, size=size, repeats=scale.repeats))
    about = (
        f"{_SMALL} logs of {_ROWS} rows, without a cache: their bytes one after the other by s3fs, the logs "
        "opened one after the other, and `trainlog.runs` of the folder, which lists it and reads them together. "
        "Requests are per log."
    )
    yield Table("In object storage: small logs", about, heads, _rows(small, count=_SMALL, repeats=scale.repeats))


def _rows(function: Callable[..., Any], **arguments: int) -> list[list[str]]:
    if lacking := missing():
        return [[f"not installed: {', '.join(lacking)}"]]
    try:
        measured: dict[str, tuple[float, float]] = in_child(function, **arguments)
    except Unmeasured as error:
        return [[f"failed: {error}"]]
    base = next(iter(measured.values()))[0]
    return [
        [what, f"{seconds:.2f}", ratio(seconds, base), f"{requests:g}"]
        for what, (seconds, requests) in measured.items()
    ]


@contextmanager
def _bucket() -> Iterator[Any]:
    """The file system of an S3 server with an empty bucket."""
    import fsspec

    with s3_server():
        fs = fsspec.filesystem("s3")
        fs.mkdir("bucket")
        yield fs


def _measured(
    fs: Any, ways: dict[str, Callable[[], object]], repeats: int, per: int = 1
) -> dict[str, tuple[float, float]]:
    """Seconds, and requests per log (of *per* logs), of each way; in turns, each with empty caches."""
    from trainlog.storage.remote import forget

    taken: dict[str, list[float]] = {what: [] for what in ways}
    asked: dict[str, float] = {}
    with counted_requests(fs) as count:
        for turn in range(repeats + 1):  # the first turn connects and does not count
            for what, way in ways.items():
                forget()
                fs.invalidate_cache()
                count.clear()
                start = time.perf_counter()
                way()
                if turn:
                    taken[what].append(time.perf_counter() - start)
                asked[what] = count.total() / per
    return {what: (statistics.median(taken[what]), asked[what]) for what in ways}


def large(size: int, repeats: int) -> dict[str, tuple[float, float]]:
    """One log of about *size* bytes."""
    with scratch() as folder, _bucket() as fs:
        path = folder / "run.flog"
        _write(path, size)
        fs.put_file(str(path), "bucket/run.flog")
        near = trainlog.open(path).table("stats")

        def read() -> None:
            far = trainlog.open("s3://bucket/run.flog").table("stats")
            if not all(np.array_equal(near[name], far[name]) for name in near):
                raise Unmeasured("the rows are others than those of the file")

        def fetch() -> None:
            if len(fs.cat_file("bucket/run.flog")) != path.stat().st_size:
                raise Unmeasured("these are not all bytes")

        return _measured(fs, {"the bytes, by s3fs": fetch, "the rows, by trainlog": read}, repeats)


def small(count: int, repeats: int) -> dict[str, tuple[float, float]]:
    """*count* logs in one folder."""
    with scratch() as folder, _bucket() as fs:
        for n in range(count):
            _write(folder / f"{n}.flog", rows=_ROWS, seed=n)
            fs.put_file(str(folder / f"{n}.flog"), f"bucket/runs/{n}.flog")

        def fetch() -> None:
            for n in range(count):
                fs.cat_file(f"bucket/runs/{n}.flog", start=0, end=1 << 20)

        def read() -> None:
            tables = [trainlog.open(f"s3://bucket/runs/{n}.flog").table("stats") for n in range(count)]
            if [table.rows for table in tables] != [_ROWS] * count:
                raise Unmeasured("these are not all rows")

        def runs() -> None:
            with tempfile.TemporaryDirectory() as cache:  # without a catalog from the last time
                os.environ["XDG_CACHE_HOME"] = cache
                config = trainlog.runs("s3://bucket/runs", progress=False).config
            if config["seed"].tolist() != list(range(count)):
                raise Unmeasured("these are not all runs")

        ways = {"the bytes, by s3fs": fetch, "open and table of each": read, "runs().config": runs}
        return _measured(fs, ways, repeats, per=count)


def _write(path: Path, size: int = 0, rows: int = 0, seed: int = 0) -> None:
    """Write a log of *rows* rows, or of as many as fit into *size* bytes."""
    rng = np.random.default_rng(seed)
    done = 0
    with trainlog.create(path, {"creature": "ant", "seed": seed}) as writer:
        while done < rows or path.stat().st_size < size:
            some = rng.normal(size=(min(rows, 2000) or 2000, 12)).tolist()
            frames = []
            for n, row in enumerate(some, done):
                values = {f"k{i}": value for i, value in enumerate(row)}
                frames.append(Frame(n / 10, Kind.STATS, {"step": n, "episode": n // 10, "reward": n / 7, **values}))
            writer.put_many(frames)
            done += len(some)
