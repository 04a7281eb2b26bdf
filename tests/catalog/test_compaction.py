"""A tree of runs as Parquet: the same rows, only of what has changed, and no log is ever lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import trainlog
from made_runs import damage, make_run, sweep
from trainlog.errors import CodecError, DamagedLogWarning, ExpressionError, LogExists, LogInUse, LogWriteError

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.compute")
pl = pytest.importorskip("polars")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sweep(tmp_path / "runs")
    return tmp_path / "runs"


def rows(target: Path) -> list[tuple[object, ...]]:
    found = pl.read_parquet(target / "stats" / "**" / "*.parquet", hive_partitioning=False)
    return sorted(found.select("run", "time", "reward").rows())


def expected(folder: Path) -> list[tuple[object, ...]]:
    table = trainlog.runs(folder).table(keys=["reward"])
    return sorted(zip(*(table[name].tolist() for name in ("run", "time", "reward")), strict=True))


@pytest.mark.parametrize("by", [(), "algo", ("algo", "seed")])
def test_the_rows_are_those_of_the_logs(folder: Path, tmp_path: Path, by: str | tuple[str, ...]) -> None:
    target = tmp_path / "all"
    done = trainlog.runs(folder).to_parquet(target, partition_by=by)
    assert (done.runs, done.written, done.kept, done.rows) == ({"stats": 6}, 6, 0, 30)
    assert rows(target) == expected(folder)
    assert pl.read_parquet(target / "runs.parquet")["run"].to_list() == [run.name for run in trainlog.runs(folder)]
    parts = sorted(path.parent.relative_to(target).as_posix() for path in target.glob("stats/**/*.parquet"))
    assert (
        parts
        == {
            (): ["stats"],
            "algo": ["stats/algo=ppo", "stats/algo=sac"],
            ("algo", "seed"): [f"stats/algo={algo}/seed={n}" for algo in ("ppo", "sac") for n in range(3)],
        }[by]
    )
    if by == "algo":
        mean = pl.scan_parquet(target / "stats").group_by("algo").agg(pl.col("reward").max()).sort("algo").collect()
        assert mean.rows() == [("ppo", 20.0), ("sac", 120.0)]


def test_metadata_of_any_kind_are_kept(tmp_path: Path) -> None:
    meta = {"kwargs": {}, "layers": [64, {"skip": {}}], "odd": [1, "a", None], "none": None, "empty": []}
    make_run(tmp_path / "runs" / "a.flog", meta, [{"reward": 1.0}])
    make_run(tmp_path / "runs" / "b.flog", {"wrappers": [{"kwargs": {}}]}, [{"reward": 2.0}])
    for _ in range(2):
        assert trainlog.runs(tmp_path / "runs").to_parquet(tmp_path / "all").runs == {"stats": 2}
    config = pl.read_parquet(tmp_path / "all" / "runs.parquet")
    assert config["kwargs"].to_list() == ["{}", None]
    assert config["wrappers"].to_list() == [None, '[{"kwargs": {}}]']


def test_keys_of_partitions_are_those_of_the_runs(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "a.flog", {"args": {"seed": 3}, "note": "x" * 300}, [{"reward": 1.0}])
    make_run(tmp_path / "runs" / "b.flog", {"args": {"seed": 4}, "algo": "sac"}, [{"reward": 1.0}])
    found, target = trainlog.runs(tmp_path / "runs"), tmp_path / "all"
    with pytest.raises(ExpressionError, match="no run has the key 'alog'"):
        found.to_parquet(target, partition_by=["algo", "alog"])
    with pytest.raises(LogWriteError, match="a value of 'note' is too long"):
        found.to_parquet(target, partition_by="note")
    assert not target.exists()
    found.to_parquet(target, partition_by=["algo", "seed"])
    assert sorted(path.parent.relative_to(target).as_posix() for path in target.glob("stats/**/*.parquet")) == [
        "stats/algo=__HIVE_DEFAULT_PARTITION__/seed=3",
        "stats/algo=sac/seed=4",
    ]


def test_only_what_has_changed_is_written(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "all"
    trainlog.runs(folder).to_parquet(target, partition_by="algo")
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*.parquet")}
    again = trainlog.runs(folder).to_parquet(target, partition_by="algo")
    assert (again.written, again.kept) == (0, 6)
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*.parquet")} == before

    make_run(folder / "sac" / "9.flog", {"algo": "sac", "seed": 9}, [{"step": 1, "reward": 9.0, "mode": "run"}])
    make_run(folder / "ppo" / "1.flog", {"algo": "ppo", "seed": 1}, [{"step": 1, "reward": 1.0, "mode": "run"}])
    again = trainlog.runs(folder).to_parquet(target, partition_by="algo")
    assert (again.written, again.kept, again.runs) == (2, 5, {"stats": 7})
    assert rows(target) == expected(folder)
    after = {path: path.stat().st_mtime_ns for path in target.rglob("*.parquet")}
    assert len([path for path, time in before.items() if after.get(path) == time]) == 1  # the part of sac's old runs


def test_rows_of_logs_that_are_gone_are_kept(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "all"
    trainlog.runs(folder).to_parquet(target)
    before = expected(folder)
    (folder / "ppo" / "0.flog").unlink()
    make_run(folder / "sac" / "0.flog", {"algo": "sac"}, [{"step": 1, "reward": 5.0, "mode": "x"}])
    trainlog.runs(folder).to_parquet(target)
    assert rows(target) == sorted([row for row in before if row[0] != "sac/0.flog"] + [("sac/0.flog", 0.0, 5.0)])


def test_new_columns_come_into_all_parts(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "all"
    trainlog.runs(folder).to_parquet(target, partition_by="algo")
    make_run(folder / "td3" / "0.flog", {"algo": "td3"}, [{"step": 1.5, "reward": 5, "loss": 0.5, "pos": [1, 2]}])
    done = trainlog.runs(folder).to_parquet(target, partition_by="algo")
    assert done.runs == {"stats": 7}
    found = pl.read_parquet(target / "stats" / "**" / "*.parquet", hive_partitioning=False)
    assert found.schema["step"] == pl.Float64
    assert found["loss"].drop_nulls().to_list() == [0.5]
    assert rows(target) == expected(folder)
    make_run(folder / "td3" / "1.flog", {"algo": "td3"}, [{"step": "first", "reward": 5}])  # a number no more
    trainlog.runs(folder).to_parquet(target, partition_by="algo")
    found = pl.read_parquet(target / "stats" / "**" / "*.parquet", hive_partitioning=False)
    assert set(found["step"].to_list()) >= {"0", "40", "1.5", '"first"'}
    (folder / "ppo" / "0.flog").unlink()
    make_run(folder / "td3" / "2.flog", {"algo": "td3"}, [{"step": 1, "reward": [1]}])
    with pytest.raises(CodecError, match=r"the logs of 1 runs are gone, such as ppo/0\.flog"):
        trainlog.runs(folder).to_parquet(target, partition_by="algo")


def test_a_run_that_moves_to_another_partition_is_there_once(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "all"
    trainlog.runs(folder).to_parquet(target, partition_by="algo")
    made = [{"step": 1, "reward": 5.0, "mode": "x"}]
    for seed in range(3):
        make_run(folder / "ppo" / f"{seed}.flog", {"algo": "sac", "seed": seed}, made)
    trainlog.runs(folder).to_parquet(target, partition_by="algo")
    assert rows(target) == expected(folder)
    assert [path.parent.name for path in target.glob("stats/*/*.parquet")] == ["algo=sac", "algo=sac"]


def test_values_of_partitions_are_quoted(tmp_path: Path) -> None:
    for n, name in enumerate(["a/../b", "x=y", None, 3]):
        make_run(tmp_path / "runs" / f"{n}.flog", {"name": name}, [{"reward": float(n)}])
    trainlog.runs(tmp_path / "runs").to_parquet(tmp_path / "all", partition_by="name")
    parts = {path.parent.name for path in (tmp_path / "all" / "stats").rglob("*.parquet")}
    assert parts == {"name=a%2F..%2Fb", "name=x%3Dy", "name=__HIVE_DEFAULT_PARTITION__", "name=3"}


def test_an_interrupted_call_leaves_nothing_twice(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainlog.catalog import compaction

    target = tmp_path / "all"
    monkeypatch.setattr(compaction, "_write_table", lambda table, path: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        trainlog.runs(folder).to_parquet(target, partition_by="algo")
    monkeypatch.undo()
    trainlog.runs(folder).filter("seed<2").to_parquet(target, partition_by="algo")
    assert rows(target) == [row for row in expected(folder) if not str(row[0]).endswith("2.flog")]


def test_what_reads_back_otherwise_is_not_said_to_be_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainlog.catalog import fragments

    real = fragments._array

    def wrong(module: object, wanted: object, column: object, *, is_json: bool) -> object:
        array = real(module, wanted, column, is_json=is_json)
        return pa.compute.add(array, 1e-9) if str(wanted) == "double" else array

    monkeypatch.setattr(fragments, "_array", wrong)
    with pytest.raises(LogWriteError, match="read back differently from the log in 'reward'"):
        trainlog.runs(folder).to_parquet(tmp_path / "all")
    assert not list((tmp_path / "all").rglob("*.parquet"))


def test_one_call_at_a_time_writes_to_a_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainlog.catalog import compaction

    target, real = tmp_path / "all", compaction._write_table

    def meanwhile(table: object, path: Path) -> None:
        make_run(folder / "new.flog", {"algo": "sac"}, [{"reward": 1.0}])
        with pytest.raises(LogInUse, match="is writing to this folder"):
            trainlog.runs(folder).to_parquet(target, partition_by="algo")
        (folder / "new.flog").unlink()
        real(table, path)

    monkeypatch.setattr(compaction, "_write_table", meanwhile)
    trainlog.runs(folder).to_parquet(target, partition_by="algo")
    assert rows(target) == expected(folder)
    assert {one.name for one in target.iterdir()} == {"stats", "runs.parquet", "trainlog-compact.json"}


def test_a_part_that_was_deleted_is_written_again(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "all"
    trainlog.runs(folder).to_parquet(target, partition_by="algo")
    next((target / "stats" / "algo=sac").glob("*.parquet")).unlink()
    assert trainlog.runs(folder).to_parquet(target, partition_by="algo").written == 3
    assert rows(target) == expected(folder)


def test_other_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LogExists, match="holds other files"):
        trainlog.runs(folder).to_parquet(folder)
    with pytest.raises(ExpressionError):
        trainlog.runs(folder).to_parquet(tmp_path / "all", partition_by="none")
    assert not (tmp_path / "all").exists()
    trainlog.runs(folder).to_parquet(tmp_path / "all")
    with pytest.raises(LogExists, match="partitioned by nothing"):
        trainlog.runs(folder).to_parquet(tmp_path / "all", partition_by="algo")
    (tmp_path / "all" / "trainlog-compact.json").write_text(json.dumps([]))
    with pytest.raises(LogExists, match="cannot be understood"):
        trainlog.runs(folder).to_parquet(tmp_path / "all")


def test_damaged_logs_are_counted(folder: Path, tmp_path: Path) -> None:
    damage(folder / "ppo" / "1.flog")
    (folder / "sac" / "0.flog").write_bytes(b"FLOG\x01")
    for _ in range(2):
        with pytest.warns(DamagedLogWarning):
            done = trainlog.runs(folder).to_parquet(tmp_path / "all")
        assert "ppo/1.flog" in done.damaged
        assert done.runs == {"stats": 5}
    with pytest.warns(DamagedLogWarning):
        assert rows(tmp_path / "all") == expected(folder)


def test_a_column_called_time_and_text_that_is_no_utf8(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "a.flog", {}, [{"step": 0, "loss": 1.0}])
    with trainlog.TrainingRecorder(tmp_path / "runs" / "b.flog") as log:
        log.record_stats_frame(0.0, {"step": 0, "time": 2.5, "word": b"\xff".decode("utf-8", "surrogateescape")})
    done = trainlog.runs(tmp_path / "runs").to_parquet(tmp_path / "all")
    assert done.rows == 2
    (found,) = (tmp_path / "all" / "stats").glob("*.parquet")
    assert pl.read_parquet(found).sort("run").select("time#2", "word").rows() == [(None, None), (2.5, "\\udcff")]
