"""Many runs: one query over hundreds of logs in every available way, and how the catalog of thousands grows."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import trainlog
from benchmarks.measure import Scale, Unmeasured, in_child, peak_memory, scratch
from benchmarks.report import Table, ratio
from trainlog import Frame, Kind
from trainlog.catalog import workers
from trainlog.catalog.runs import runs
from trainlog.catalog.store import NAME

__all__ = ["WAYS", "asked", "first_look", "make", "tables"]

_ROWS = 2_200  # of a queried log: 380 KB
_SMALL = 20  # rows of a log of thousands
_MOST = 100_000
_LONG_AGO = 1e9
_TWO = 2  # processes
_PLAIN = "two plain processes"

Means = dict[str, float]


def tables(scale: Scale) -> Iterator[Table]:
    """The query, and the catalog."""
    with scratch() as folder:
        yield _question(folder, max(scale.rows // 40, 4), min(_ROWS, scale.rows), scale.passes)
    counts = [scale.rows // 2, scale.rows] + ([_MOST] if max(scale.sizes) >= 10**9 else [])
    yield _catalog(counts)


def make(folder: str, count: int, rows: int) -> int:
    """Write *count* logs of *rows* stats frames with eleven keys, and return their total size."""
    noise = np.random.default_rng(0).normal(size=(rows, 8)).tolist()
    total = 0
    for n in range(count):
        algo, task, lr = ("ppo", "sac", "td3")[n % 3], ("ant", "hopper")[n // 3 % 2], (1e-4, 3e-4)[n // 6 % 2]
        path = Path(folder, algo, task, f"{lr:g}-{n}.flog")
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = {"creature": task, "task": "run", "algo": algo, "lr": lr, "seed": n // 12, "args": {"gamma": 0.99}}
        frames = []
        for i, some in enumerate(noise):
            loss, value, entropy, kl, norm, fps, own, _ = some
            data = {"step": 1000 * i, "episode": i, "reward": 10 * i / rows + own + n, "loss": loss, "value": value}
            data |= {"entropy": entropy, "kl": kl, "norm": norm, "fps": fps, "lr": lr, "behavior": "walk"}
            frames.append(Frame(float(i), Kind.STATS, data))
        with trainlog.create(path, meta) as writer:
            writer.put_many(frames)
        total += path.stat().st_size
        os.utime(path, (_LONG_AGO, _LONG_AGO))  # nobody writes it anymore
    return total


# --- one query: the mean reward of each run ---


def _mean_of(path: Path) -> tuple[str, float]:
    return str(path), float(trainlog.open(path).table("stats", keys=["reward"])["reward"].mean())


def _paths(folder: str) -> list[Path]:
    return sorted(Path(folder, "runs").rglob("*.flog"))


def _serial(folder: str) -> Callable[[], Means]:
    return lambda: dict(map(_mean_of, _paths(folder)))


def _two_processes(folder: str) -> Callable[[], Means]:
    def ask() -> Means:
        with multiprocessing.get_context("fork").Pool(_TWO) as pool:
            return dict(pool.map(_mean_of, _paths(folder), chunksize=16))

    return ask


def _runs(folder: str) -> Callable[[], Means]:
    def ask() -> Means:
        table = runs(Path(folder, "runs"), workers=_TWO).table("stats", keys=["reward"])
        run, reward = table["run"], table["reward"]
        starts = np.flatnonzero(np.concatenate(([True], run[1:] != run[:-1])))  # rows of one run are contiguous
        counts = np.diff(np.append(starts, len(run)))
        return dict(zip(run[starts], np.add.reduceat(reward, starts) / counts, strict=True))

    return ask


def _named(rows: Any) -> Means:
    return {str(run): float(value) for run, value in rows}


def _polars(folder: str) -> Callable[[], Means]:
    import polars as pl
    import polars.io.plugins

    import trainlog.polars

    def ask() -> Means:
        lazy = trainlog.polars.scan_runs(Path(folder, "runs"), workers=_TWO)
        return _named(lazy.group_by("run").agg(pl.col("reward").mean()).collect().rows())

    return ask


def _duckdb(folder: str) -> Callable[[], Means]:
    import duckdb

    import trainlog.polars

    def ask() -> Means:
        lazy = trainlog.polars.scan_runs(Path(folder, "runs"), workers=_TWO)  # noqa: F841 - found by its name
        return _named(duckdb.sql("SELECT run, avg(reward) FROM lazy GROUP BY run").fetchall())

    return ask


def _dask(folder: str) -> Callable[[], Means]:
    import trainlog.dask

    def ask() -> Means:
        frame = trainlog.dask.read_runs(Path(folder, "runs"), keys=["reward"])
        return _named(frame.groupby("run").reward.mean().compute(scheduler="processes", num_workers=_TWO).items())

    return ask


def _ray(folder: str) -> Callable[[], Means]:
    import ray

    import trainlog.ray

    warnings.simplefilter("ignore")
    environment = {"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}}
    ray.init(num_cpus=_TWO, include_dashboard=False, log_to_driver=False, runtime_env=environment)
    ray.data.DataContext.get_current().enable_progress_bars = False

    def ask() -> Means:
        data = trainlog.ray.read_runs(Path(folder, "runs"), keys=["reward"], override_num_blocks=2 * _TWO)
        sums = data.map_batches(_sums, batch_format="pyarrow", batch_size=None).to_pandas().groupby("run").sum()
        return _named((sums.reward_sum / sums.reward_count).items())

    return ask


def _sums(batch: Any) -> Any:
    return batch.group_by("run").aggregate([("reward", "sum"), ("reward", "count")])


def _spark(folder: str) -> Callable[[], Means]:
    from pyspark.sql import SparkSession

    import trainlog.spark

    warnings.simplefilter("ignore")
    os.environ.update(PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": str(_TWO), "spark.log.level": "OFF"}
    session = SparkSession.builder.master(f"local[{_TWO}]").config(map=settings).getOrCreate()

    def ask() -> Means:
        frame = trainlog.spark.read_runs(session, Path(folder, "runs"), keys=["reward"])
        return _named(frame.groupBy("run").avg("reward").collect())

    return ask


def _compacted(folder: str) -> Callable[[], Means]:
    import polars as pl

    files = Path(folder, "all", "stats", "**", "*.parquet")
    return lambda: _named(pl.scan_parquet(files).group_by("run").agg(pl.col("reward").mean()).collect().rows())


WAYS: dict[str, tuple[Callable[[str], Callable[[], Means]], str]] = {
    "the plain loop": (_serial, ""),
    _PLAIN: (_two_processes, ""),
    "`trainlog.runs(…).table`": (_runs, ""),
    "`trainlog.polars.scan_runs`": (_polars, "polars"),
    "DuckDB over it": (_duckdb, "duckdb"),
    "`trainlog.dask.read_runs`, processes": (_dask, "dask"),
    "`trainlog.ray.read_runs`": (_ray, "ray"),
    "`trainlog.spark.read_runs`": (_spark, "pyspark"),
    "Polars on compacted Parquet": (_compacted, "polars"),
}


def asked(way: str, folder: str) -> dict[str, Any]:
    """Seconds of the query, run twice in this process; core seconds of both; its answer by run."""

    ask = WAYS[way][0](folder)
    _mean_of(_paths(folder)[0])  # imports what reading needs
    with suppress(ImportError):
        importlib.import_module("pyarrow").array([])  # makes Arrow import what it needs: pandas, if installed
    taken, used = [], _core_seconds()
    for _ in range(2):
        begun = time.perf_counter()
        means = ask()
        taken.append(time.perf_counter() - begun)
    workers.close_idle()
    answer = {"first": taken[0], "second": taken[1], "core": _core_seconds() - used}
    root = f"{Path(folder, 'runs')}/"
    return {**answer, "means": {run.removeprefix(root): one for run, one in means.items()}}


def _core_seconds() -> float:
    """CPU seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def compacted(folder: str) -> dict[str, Any]:
    """Seconds of the compaction including its comparison, and bytes of the result."""
    begun = time.perf_counter()
    done = runs(Path(folder, "runs"), workers=_TWO).to_parquet(Path(folder, "all"))
    return {"seconds": time.perf_counter() - begun, "size": done.size, "runs": done.runs["stats"]}


def _question(folder: Path, count: int, rows: int, passes: int) -> Table:
    size = in_child(make, folder=str(folder / "runs"), count=count, rows=rows)
    in_child(first_look, folder=str(folder / "runs"))  # creates the catalog; its cost is in the next table
    packed = in_child(compacted, folder=str(folder)) if find_spec("pyarrow") else None
    note = (
        f" Compaction with its comparison took {packed['seconds']:.1f} s once; {packed['size'] / 1e6:,.1f} MB."
        if packed
        else ""
    )
    table = Table(
        f"The mean reward of each of {count:,} runs",
        f"{count:,} FLOG files of {rows:,} stats frames with eleven keys, {size / 1e6:,.0f} MB, in the page cache; "
        "the catalog is warm. Two processes each; their start is counted, imports are not, nor is the start of Ray "
        "and Spark. "
        "*First* and *again*: in the same process; *core*: seconds of a core for both, of all processes together but "
        f"theirs. The median of {passes} fresh processes each; all answers are the "
        f"same.{note}",
        ["way", "first", "again", "core", "to two plain processes", "again"],
    )
    truth: Means = {}
    base = {"first": np.nan, "second": np.nan}
    for way, (_, module) in WAYS.items():
        if (module and not find_spec(module)) or (way.startswith("Polars on") and packed is None):
            table.rows.append([way, "not installed"])
            continue
        try:
            answers = [in_child(asked, way=way, folder=str(folder)) for _ in range(passes)]
            truth = truth or answers[0]["means"]
            _check(answers[0]["means"], truth)
        except Unmeasured as error:
            table.rows.append([way, f"failed: {error}"])
            continue
        taken = {which: statistics.median(one[which] for one in answers) for which in base}
        base = taken if way == _PLAIN else base
        table.rows.append(
            [
                *(way, *(f"{one:,.3f} s" for one in taken.values())),
                "" if module in ("ray", "pyspark") else f"{statistics.median(one['core'] for one in answers):,.2f} s",
                *(ratio(taken[which], base[which]) for which in base),
            ]
        )
    return table


def _check(means: Means, truth: Means) -> None:
    if means.keys() != truth.keys() or not all(np.isclose(means[run], truth[run]) for run in truth):
        raise Unmeasured("the answer is another than that of the plain loop")


# --- the catalog of thousands of runs ---


def first_look(folder: str) -> dict[str, Any]:
    """`runs(…).config` in this process: seconds, core seconds of all processes, rows, memory, bytes of the catalog."""
    begun = time.perf_counter()
    config = runs(folder).config
    seconds = time.perf_counter() - begun
    workers.close_idle()
    return {
        "seconds": seconds,
        "core": _core_seconds(),
        "rows": config.rows,
        "reward": float(np.sum(config["last/reward"])),
        "memory": peak_memory(),
        "size": Path(folder, NAME).stat().st_size,
    }


def headers(folder: str) -> dict[str, Any]:
    """The plain loop over only the headers, the least that a list of names, states and metadata takes."""
    begun = time.perf_counter()
    count = sum(len(trainlog.open(path).header.meta) > 0 for path in Path(folder).rglob("*.flog"))
    return {"seconds": time.perf_counter() - begun, "rows": count}


def last_rewards(folder: str) -> dict[str, Any]:
    """The plain loop for the metadata and the last reward of each run."""
    begun = time.perf_counter()
    rewards = [
        float(trainlog.open(path).table("stats", keys=["reward"], last=1)["reward"][0])
        for path in Path(folder).rglob("*.flog")
    ]
    return {"seconds": time.perf_counter() - begun, "rows": len(rewards), "reward": sum(rewards)}


def _catalog(counts: list[int]) -> Table:
    table = Table(
        "The catalog",
        f"Runs of {_SMALL} stats frames with eleven keys. *First*: `runs(folder).config` without a catalog, which "
        "reads every log; *core*: seconds of a core, of all processes together; *again*: in a new process, with the "
        "catalog; *one new*: after one more run. *Headers* and *rewards*: one plain loop over `open(path).header`, and "
        "one for the last reward. Rows and the sum of the last rewards are those of the plain loop. *Memory* is that "
        "of the process that has the table.",
        ["runs", "first", "core", "again", "one new", "headers", "rewards", "catalog", "of a run", "memory"],
    )
    for count in counts:
        with scratch() as place:
            folder = str(place / "runs")
            in_child(make, folder=folder, count=count, rows=_SMALL)
            time.sleep(2.5)  # files that were written just now are not trusted
            plain, rewards = in_child(headers, folder=folder), in_child(last_rewards, folder=folder)
            first, again = in_child(first_look, folder=folder), in_child(first_look, folder=folder)
            in_child(make, folder=f"{folder}/new", count=1, rows=_SMALL)
            new = in_child(first_look, folder=folder)
        if not first["rows"] == again["rows"] == plain["rows"] == new["rows"] - 1:
            raise Unmeasured("the number of runs is another than that of the plain loop")
        if not np.isclose([first["reward"], again["reward"]], rewards["reward"]).all():
            raise Unmeasured("the rewards are others than those of the plain loop")
        table.rows.append(
            [
                f"{count:,}",
                *(f"{one:,.2f} s" for one in (first["seconds"], first["core"], again["seconds"], new["seconds"])),
                *(f"{one['seconds']:,.2f} s" for one in (plain, rewards)),
                f"{again['size'] / 1e6:,.1f} MB",
                f"{again['size'] / count / 1e3:,.2f} KB",
                f"{again['memory'] / 1e6:,.0f} MB",
            ]
        )
    return table
