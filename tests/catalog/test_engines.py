"""The same rows as the plain loop from Polars, DuckDB, Ray Data, Dask and Spark, on damaged logs too."""

from __future__ import annotations

import json
import math
import operator
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trainlog
from handmade import Flog
from made_runs import STATS, damage, make_run, sweep
from trainlog.catalog.fragments import Fragment
from trainlog.errors import DamagedLogWarning, ExpressionError, MissingExtra

pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Runs of which one has other columns, one is damaged, and one cannot be read."""
    sweep(tmp_path, seeds=10)
    odd = [{"step": 7, "reward": 1, "pos": [1.0, 2.0], "nan": math.nan}, {"step": None, "mode": None}]
    make_run(tmp_path / "odd.flog", {"seed": 4, "task": "hop"}, odd)
    damage(tmp_path / "ppo" / "3.flog")
    (tmp_path / "sac" / "0.flog").write_bytes(b"FLOG\x01")
    return tmp_path


@pytest.fixture(autouse=True)
def small_fragments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainlog.catalog.runs._FRAGMENT", 1 << 12)


def plain_rows(folder: Path) -> list[tuple[Any, ...]]:
    rows = []
    for run in trainlog.runs(folder):
        if run.state != "unreadable":
            for frame in run.open().frames("stats", on_damage="ignore"):
                values = [frame.data.get(key) for key in ("step", "reward", "mode", "pos", "nan")]
                rows.append((run.name, run.task, run.meta.get("seed"), frame.time, *values))
    return rows


def comparable(rows: Any) -> list[str]:
    return sorted(repr(tuple(float(one) if isinstance(one, int) else one for one in row)) for row in rows)


def plain(value: Any) -> Any:
    """A value of pandas or numpy as Python has it; None for what is missing."""
    if str(value) == "<NA>":
        return None
    return [*map(float, value)] if hasattr(value, "__len__") and not isinstance(value, str) else value


COLUMNS = ("run", "task", "seed", "time", "step", "reward", "mode", "pos", "nan")


def test_polars_has_the_rows_in_the_order_of_the_plain_loop(folder: Path) -> None:
    import trainlog.polars

    with pytest.warns(DamagedLogWarning, match="2 of 21 logs are damaged"):
        lazy = trainlog.polars.scan_runs(folder)
    found = lazy.collect()
    rows = found.with_columns(pl.col("pos").arr.to_list()).select(COLUMNS).rows()
    assert [row[:4] for row in rows] == [row[:4] for row in plain_rows(folder)]
    assert comparable(rows) == comparable(plain_rows(folder))
    assert found.schema == lazy.collect_schema()


QUERIES = [
    pl.col("run") == "sac/2.flog",
    pl.col("task").str.contains("hop"),
    pl.col("task").is_null() | (pl.col("seed") > 7),
    (pl.col("seed") < 3) & (pl.col("step") >= 10) & (pl.col("step") < 30),
    (pl.col("time") < 2) & (pl.col("time") > 0.5),
    pl.col("time") >= 3,
    pl.col("time") < 2,
    pl.col("step") == 10,
    pl.col("step") > 5.5,
    (pl.col("step") > 20) | (pl.col("run") == "odd.flog"),
    ~(pl.col("step") > 20),
    pl.col("step").is_null(),
    pl.col("reward") > pl.col("step"),
    pl.col("time").is_between(1, 2),
    pl.col("nan") > 3,
]


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_what_polars_pushes_down_changes_no_result(folder: Path, query: Any) -> None:
    import trainlog.polars

    lazy = trainlog.polars.scan_runs(folder)
    whole = lazy.collect()
    assert lazy.filter(query).collect().equals(whole.filter(query))
    assert lazy.filter(query).select("reward", "run").collect().equals(whole.filter(query).select("reward", "run"))
    assert lazy.filter(query).head(4).collect().equals(whole.filter(query).head(4))
    assert lazy.filter(query).select(pl.len()).collect().item() == whole.filter(query).height


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
def test_polars_reads_only_what_it_needs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import trainlog.polars

    lazy = trainlog.polars.scan_runs(folder)
    asked: list[Fragment] = []
    real = Fragment.tables
    monkeypatch.setattr(Fragment, "tables", lambda self: (asked.append(self), real(self))[1])
    lazy.filter((pl.col("seed") == 5) & (pl.col("step") < 30)).select("reward").collect()
    assert [member.run for one in asked for member in one.members] == ["ppo/5.flog", "sac/5.flog"]
    assert asked[0].scan.columns == ["step", "reward"]
    assert asked[0].scan.steps == (-math.inf, 30.0)
    asked.clear()
    lazy.head(3).collect()
    assert len(asked) == 1


def test_times_that_are_no_numbers_are_where_polars_has_them(tmp_path: Path) -> None:
    import trainlog.polars

    frames = [Flog.frame(time, STATS, {"x": 1}) for time in (0.0, math.nan, 2.0, math.inf)]
    (tmp_path / "a.flog").write_bytes(Flog.header({}) + b"".join(frames))
    lazy = trainlog.polars.scan_runs(tmp_path)
    whole = lazy.collect()
    for query in (
        pl.col("time") > 1,
        pl.col("time") < 1,
        pl.col("time") <= math.inf,
        (pl.col("time") > 1) & (pl.col("time") < 9),
    ):
        assert lazy.filter(query).collect().equals(whole.filter(query), null_equal=True)


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
def test_a_lazy_frame_of_chosen_runs(folder: Path) -> None:
    import trainlog.polars

    lazy = trainlog.polars.scan_runs(folder, filter="algo:sac seed>7")
    assert lazy.select(pl.col("run").unique(maintain_order=True)).collect()["run"].to_list() == [
        "sac/8.flog",
        "sac/9.flog",
    ]
    assert trainlog.polars.scan_runs(trainlog.runs(folder).filter("algo:td3")).collect().is_empty()
    with pytest.raises(ExpressionError):
        trainlog.polars.scan_runs(folder, filter="=")
    skipping = trainlog.polars.scan_runs(folder, on_error="skip")
    assert "ppo/3.flog" not in skipping.collect()["run"].to_list()


def test_other_processes_read_for_polars_without_a_fork(tmp_path: Path) -> None:
    sweep(tmp_path / "runs", seeds=20)
    script = tmp_path / "script.py"
    script.write_text(
        "import polars as pl, trainlog.polars, trainlog.catalog.workers as workers, trainlog.catalog.runs as many\n"
        "workers._WORTH, many._FRAGMENT = 0, 512\n"
        f"lazy = trainlog.polars.scan_runs({str(tmp_path / 'runs')!r}, workers=3)\n"
        "print(lazy.group_by('run').agg(pl.col('reward').sum()).collect().height)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "40\n", "")


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
def test_duckdb_queries_a_lazy_frame(folder: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    import trainlog.polars

    lazy = trainlog.polars.scan_runs(folder)  # noqa: F841 - DuckDB finds it by its name
    found = duckdb.sql("SELECT run, count(*) FROM lazy WHERE seed = 5 GROUP BY run ORDER BY run").fetchall()
    assert found == [("ppo/5.flog", 5), ("sac/5.flog", 5)]


def test_an_old_pyarrow_is_refused_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow

    make_run(tmp_path / "a.flog", {}, [{"x": 1}])
    monkeypatch.setattr(pyarrow, "__version__", "25.0.1")
    with pytest.raises(MissingExtra, match=r"pyarrow 25\.0\.1 cannot read vectors that some rows lack"):
        trainlog.runs(tmp_path).to_arrow()


@pytest.mark.parametrize("other", [[1.5], [-1], [2**64 - 1, -5]])
def test_integers_beside_floats_are_rounded_as_in_one_log(tmp_path: Path, other: list[float]) -> None:
    for name, values in (("a", [2**63, 2**64 - 1]), ("b", other)):
        make_run(tmp_path / f"{name}.flog", {}, [{"v": value} for value in values])
    found = trainlog.runs(tmp_path)
    assert found.to_arrow()["v"].to_pylist() == [float(value) for value in found.table()["v"]]
    assert found.to_parquet(tmp_path / "all").rows == 2 + len(other)


@pytest.mark.parametrize(
    ("one", "two", "read"),
    [
        (2**60 + 1, 0.5, [2.0**60, 0.5]),
        (2**64 - 1, 0.5, [2.0**64, 0.5]),
        ([1, 2], [0.5, 1.0], [[1.0, 2.0], [0.5, 1.0]]),
        ([[2**60 + 1], [2]], [[0.5], [1.0]], [[[2.0**60], [2.0]], [[0.5], [1.0]]]),
        (2**63, 2**64 - 1, [2**63, 2**64 - 1]),
    ],
)
def test_numbers_that_differ_in_type_between_runs(tmp_path: Path, one: Any, two: Any, read: list[Any]) -> None:
    import trainlog.polars

    make_run(tmp_path / "runs" / "a.flog", {}, [{"x": one}])
    make_run(tmp_path / "runs" / "b.flog", {}, [{"x": two}])
    assert trainlog.runs(tmp_path / "runs").to_arrow()["x"].to_pylist() == read
    assert trainlog.polars.scan_runs(tmp_path / "runs").collect()["x"].to_list() == read
    trainlog.runs(tmp_path / "runs").to_parquet(tmp_path / "all")
    assert pl.read_parquet(tmp_path / "all" / "stats" / "*.parquet").sort("run")["x"].to_list() == read


def test_a_limit_of_steps_that_no_float_holds(tmp_path: Path) -> None:
    import trainlog.polars

    make_run(tmp_path / "a.flog", {}, [{"step": 2**53 + n} for n in range(5)])
    lazy, rows = trainlog.polars.scan_runs(tmp_path), range(2**53, 2**53 + 5)
    for limit in rows:
        for compare in (operator.lt, operator.le, operator.eq, operator.ge, operator.gt):
            found = lazy.filter(compare(pl.col("step"), limit)).collect()["step"].to_list()
            assert found == [step for step in rows if compare(step, limit)], (compare, limit)


def test_ints_that_no_type_of_64_bits_holds_are_text(tmp_path: Path) -> None:
    payload = json.dumps({"x": 2**64, "y": 1}).encode()
    (tmp_path / "a.flog").write_bytes(Flog.header({}) + Flog.frame(0.0, 2, payload))
    make_run(tmp_path / "b.flog", {}, [{"x": 2**64 - 1, "y": 2}, {"x": -1}])
    table = trainlog.runs(tmp_path).to_arrow()
    assert table["x"].to_pylist() == ["18446744073709551616", "18446744073709551615", "-1"]
    assert table["y"].to_pylist() == [1, 2, None]


def test_a_log_that_becomes_something_else_after_the_plan_is_an_error(tmp_path: Path) -> None:
    make_run(tmp_path / "a.flog", {}, [{"x": 1}])
    (fragment,) = trainlog.runs(tmp_path).plan().fragments(1 << 20)
    make_run(tmp_path / "a.flog", {}, [{"x": 1.5}])
    with pytest.raises(trainlog.TrainlogError, match="column 'x' has other values than when the runs were looked at"):
        fragment.arrow()


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
@pytest.mark.nightly
def test_dask_has_the_same_rows(folder: Path) -> None:
    pytest.importorskip("dask.dataframe")
    import trainlog.dask

    frame = trainlog.dask.read_runs(folder, partition_bytes=1 << 12)
    assert frame.npartitions > 2
    found = frame.compute(scheduler="threads")
    rows = [tuple(map(plain, row)) for row in found[[*COLUMNS]].itertuples(index=False)]
    assert comparable(rows) == comparable(plain_rows(folder))
    lean = trainlog.dask.read_runs(folder)[["run", "reward"]].groupby("run").reward.max().compute(scheduler="threads")
    assert lean["sac/9.flog"] == 190.0
    assert trainlog.dask.read_runs(folder, keys=["reward"], steps=(10, 20)).compute(scheduler="threads").shape == (
        18,
        5,
    )


@pytest.fixture(scope="module")
def ray_session() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    paths = os.pathsep.join([str(Path(trainlog.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        environment = {"env_vars": {"PYTHONPATH": paths}}
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=environment)
        yield ray
        ray.shutdown()


@pytest.mark.nightly
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore")
def test_ray_data_has_the_same_rows(folder: Path, ray_session: Any) -> None:
    import trainlog.ray

    data = trainlog.ray.read_runs(folder, override_num_blocks=4)
    assert data.schema().names == list(trainlog.runs(folder).to_arrow().column_names)
    rows = [tuple(plain(row[name]) for name in COLUMNS) for row in data.take_all()]
    assert comparable(rows) == comparable(plain_rows(folder))
    lean = trainlog.ray.read_runs(folder, keys=["reward"], steps=(10, 20), on_error="skip")
    assert lean.count() == 18
    assert trainlog.ray.read_runs(folder, filter="algo:sac").max("reward") == 190.0


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    from pyspark.sql import SparkSession

    paths = os.pathsep.join([str(Path(trainlog.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2", "spark.log.level": "OFF"}
    settings |= dict.fromkeys(("spark.driver.host", "spark.driver.bindAddress"), "127.0.0.1")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("PYTHONPATH", paths)
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
        yield session
        session.stop()


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_spark_has_the_same_rows(folder: Path, spark: Any) -> None:
    import trainlog.spark

    make_run(folder / "types.flog", {}, [{"large": 2**63 + 1, "raw": b"\x00", "flag": True, "grid": [[1, 2], [3, 4]]}])
    frame = trainlog.spark.read_runs(spark, folder, partition_bytes=1 << 12)
    assert frame.columns == list(trainlog.runs(folder).to_arrow().column_names)
    rows = [tuple(map(plain, row)) for row in frame.filter("run != 'types.flog'").select(*COLUMNS).collect()]
    assert comparable(rows) == comparable(row for row in plain_rows(folder) if row[0] != "types.flog")
    ((large, raw, flag, grid),) = frame.filter("run = 'types.flog'").select("large", "raw", "flag", "grid").collect()
    assert (int(large), bytes(raw), flag, grid) == (2**63 + 1, b"\x00", True, [[1, 2], [3, 4]])
    lean = trainlog.spark.read_runs(spark, [folder / "ppo", folder / "sac"], keys=["reward"], steps=(10, 20))
    assert lean.columns == ["run", "task", "seed", "time", "reward"]
    assert lean.count() == 18
    named = spark.read.format("trainlog").option("filter", "algo:sac").load(str(folder))
    assert named.agg({"reward": "max"}).collect()[0][0] == 190.0
    alone = trainlog.spark.read_runs(spark, folder / "sac" / "9.flog", trainlog.Kind.STATS, last=2)
    assert alone.count() == 2
    with pytest.raises(KeyError, match="nothing"):
        trainlog.spark.read_runs(spark, folder, keys=["nothing"])


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_a_stream_of_spark_has_each_row_once(tmp_path: Path, spark: Any) -> None:
    import trainlog.spark

    def rows(first: int, count: int, size: int) -> list[dict[str, Any]]:
        return [{"step": n, "pad": "x" * size} for n in range(first, first + count)]

    folder = tmp_path / "runs"
    small, large = folder / "small.flog", folder / "large.flog"
    make_run(small, {}, rows(0, 5, 1))
    make_run(large, {}, rows(0, 100, 2000))  # of which only what is new is read
    stream = trainlog.spark.read_stream(spark, folder, keys=["step"])
    writer = stream.writeStream.format("memory").queryName("logged").option("checkpointLocation", tmp_path / "kept")

    def logged(query: Any) -> dict[str, list[int]]:
        query.processAllAvailable()
        found: dict[str, list[int]] = {}
        for run, step in spark.table("logged").select("run", "step").orderBy("run", "step").collect():
            found.setdefault(run, []).append(step)
        return found

    query = writer.start()
    try:
        assert logged(query) == {"small.flog": [*range(5)], "large.flog": [*range(100)]}
        for path, first, count, size in ((small, 5, 3, 1), (large, 100, 50, 2000)):
            with path.open("ab") as file:
                frames = [Flog.frame(float(n), STATS, row) for n, row in enumerate(rows(first, count, size), first)]
                file.write(b"".join(frames))
        make_run(folder / "new.flog", {}, rows(0, 2, 1))
        assert logged(query) == {"small.flog": [*range(8)], "large.flog": [*range(150)], "new.flog": [0, 1]}
        make_run(small, {}, rows(0, 3, 1))
        with pytest.raises(Exception, match="its rows cannot be taken back; start a new stream"):
            logged(query)
    finally:
        query.stop()


def test_images_of_one_run_beside_scalars_of_another_cost_what_they_hold(tmp_path: Path) -> None:
    """A null of a list of fixed size takes as much memory as the list."""
    import numpy as np

    image = np.arange(84 * 84 * 3, dtype=np.float32).reshape(84, 84, 3)
    make_run(tmp_path / "a.flog", {}, [{"step": 0, "image": image.tolist()}])
    make_run(tmp_path / "b.flog", {}, [{"step": step} for step in range(4000)])
    found = trainlog.runs(tmp_path).to_arrow()
    assert found.nbytes < 1_000_000
    assert found["image"].null_count == 4000
    assert found["image"][0].as_py() == image.tolist()
