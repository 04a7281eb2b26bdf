"""Many logs as one value, beside the plain loop over them."""

from __future__ import annotations

import math
import os
import pickle
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import trainlog
from handmade import Flog
from made_runs import damage, log_bytes, make_run, sweep
from trainlog.catalog.run_table import RunTable
from trainlog.catalog.workers import run_all
from trainlog.errors import (
    CorruptLog,
    DamagedLog,
    DamagedLogWarning,
    ExpressionError,
    LogNotFound,
    PlotError,
    TrainlogError,
)
from trainlog.find_logs import natural


def test_runs_are_counted_named_and_opened_in_natural_order(tmp_path: Path) -> None:
    made = sweep(tmp_path, seeds=12)
    (tmp_path / "notes.txt").write_text("no log")
    (tmp_path / ".hidden.flog").write_bytes(log_bytes({}, []))
    found = trainlog.runs(tmp_path)
    assert repr(found) == "<Runs: not looked at yet>"
    assert len(found) == 24
    assert [run.name for run in found] == [f"{algo}/{seed}.flog" for algo in ("ppo", "sac") for seed in range(12)]
    assert found[-1].meta["algo"] == "sac"
    assert found[3].open().table("stats")["step"].tolist() == [row["step"] for row in made["ppo/3.flog"]]
    assert [run.name for run in found[1:3]] == ["ppo/1.flog", "ppo/2.flog"]
    assert (found[0].task, found[0].state) == ("ant: run", "running")  # it grew less than 20 s ago


@pytest.mark.parametrize("pattern", ["*/1.flog", "**/1.flog", "[ps]*/1.flog"])
def test_a_pattern_and_several_places_mean_runs(tmp_path: Path, pattern: str) -> None:
    sweep(tmp_path)
    assert [run.name for run in trainlog.runs(tmp_path / pattern)] == ["ppo/1.flog", "sac/1.flog"]
    several = trainlog.runs([tmp_path / "ppo", tmp_path / "sac" / "2.flog"])
    assert [run.path.name for run in several] == ["0.flog", "1.flog", "2.flog", "2.flog"]
    assert len({run.name for run in several}) == 4


def test_a_log_to_which_several_places_lead_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep(tmp_path / "runs")
    make_run(tmp_path / "runs" / "one" / "run.flog" / "0.flog", {"shard": {"rank": 0, "began": 1.0}}, [{"step": 0}])
    (tmp_path / "best.flog").symlink_to("runs/sac/2.flog")
    (tmp_path / "again").symlink_to("runs")
    monkeypatch.chdir(tmp_path)
    names = [*(f"{algo}/{seed}.flog" for algo in ("ppo", "sac") for seed in range(3)), "one/run.flog"]
    several = trainlog.runs(["runs", tmp_path / "runs", "again", "runs/../runs/*/*.flog", "best.flog"])
    assert sorted(run.name for run in several) == sorted(f"runs/{name}" for name in names)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LogNotFound, match="no such file or folder"):
        trainlog.runs(tmp_path / "nothing")
    with pytest.raises(LogNotFound, match="there are no logs in this folder"):
        len(trainlog.runs(tmp_path))
    with pytest.raises(LogNotFound, match="no log matches this pattern"):
        len(trainlog.runs(tmp_path / "*.flog"))
    with pytest.raises(ValueError, match="on_error is"):
        trainlog.runs(tmp_path, on_error="ignore")  # type: ignore[arg-type]


def test_shards_are_one_run(tmp_path: Path) -> None:
    for rank in range(2):
        meta = {"algo": "ppo", "shard": {"rank": rank, "began": 1.0}}
        make_run(tmp_path / "one" / f"run-{rank}.flog", meta, [{"step": rank}])
        make_run(tmp_path / "two" / "run.flog" / f"{rank}.flog", meta, [{"step": rank}])
    make_run(tmp_path / "three.flog", {"algo": "sac"}, [{"step": 5}])
    for _ in range(2):  # the second time from the catalog
        found = trainlog.runs(tmp_path)
        assert [run.name for run in found] == ["one/*.flog", "three.flog", "two/run.flog"]
        assert found.config["frames"].tolist() == [2, 1, 2]
        assert sorted(found.table()["step"].tolist()) == [0, 0, 1, 1, 5]
        for path in tmp_path.rglob("*.flog"):
            if path.is_file():
                os.utime(path, (1e9, 1e9))


def test_config_has_a_row_for_each_run(tmp_path: Path) -> None:
    sweep(tmp_path, seeds=2)
    make_run(tmp_path / "other.flog", {"state": "of the trainer", "algo": 7}, [{"loss": 0.5, "step": None}])
    config = trainlog.runs(tmp_path).config
    assert config["run"].tolist() == ["other.flog", "ppo/0.flog", "ppo/1.flog", "sac/0.flog", "sac/1.flog"]
    assert config["frames"].tolist() == [1, 5, 5, 5, 5]
    assert config["duration"].tolist() == [0, 4, 4, 4, 4]
    assert config["algo"].tolist() == [7, "ppo", "ppo", "sac", "sac"]
    assert config["state#2"].tolist()[0] == "of the trainer"  # nothing of the metadata is lost
    np.testing.assert_array_equal(config["args/lr"], [np.nan, 3e-4, 3e-4, 3e-4, 3e-4])
    np.testing.assert_array_equal(config["last/reward"], [np.nan, 0, 10, 100, 110])
    np.testing.assert_array_equal(config["last/loss"], [0.5, np.nan, np.nan, np.nan, np.nan])
    assert config["size"].tolist() == [run.path.stat().st_size for run in trainlog.runs(tmp_path)]


def test_filter_goes_by_metadata_state_and_metrics(tmp_path: Path) -> None:
    sweep(tmp_path)
    found = trainlog.runs(tmp_path)
    assert [run.name for run in found.filter("lr == 3e-4 and algo ~ '^s'")] == [f"sac/{n}.flog" for n in range(3)]
    assert [run.name for run in found.filter("reward>100 -seed=1")] == ["sac/2.flog"]
    assert [run.name for run in found.filter("best/reward>=20 ppo")] == ["ppo/2.flog"]
    assert [run.name for run in found.filter("mean/reward=55")] == ["sac/1.flog"]
    assert len(found.filter("algo:sac").filter("seed>0")) == 2
    assert len(found.filter("")) == 6
    assert len(found.filter("algo:td3")) == 0
    assert found.filter("algo:td3").config.rows == 0
    with pytest.raises(ExpressionError, match=r"no run has the key 'sede'; near it: seed"):
        found.filter("sede=1")


def test_filters_that_the_metadata_answer_read_no_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep(tmp_path)
    monkeypatch.setattr("trainlog.catalog.inspection._read", None)
    assert len(trainlog.runs(tmp_path).filter("algo:sac seed<2")) == 2
    with pytest.raises(TypeError):
        trainlog.runs(tmp_path).filter("reward>2")


def test_a_metric_comes_before_the_end_of_a_nested_key_whatever_was_read(tmp_path: Path) -> None:
    make_run(tmp_path / "a.flog", {"args": {"loss": "mse"}}, [{"loss": 0.5}])
    make_run(tmp_path / "b.flog", {"args": {"loss": "l1"}}, [{"loss": 1.5}])
    found = trainlog.runs(tmp_path)
    assert [run.name for run in found.filter("loss<1")] == ["a.flog"]
    assert [run.name for run in found.filter("args/loss:mse loss<1")] == ["a.flog"]
    assert len(found.filter("loss:mse")) == 0


@pytest.mark.parametrize("text", ["frames>3", "duration=4", "damage=0", "last/reward>=0"])
def test_runs_that_the_catalog_has_not_read_are_read_for_what_is_in_their_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr("trainlog.catalog.index._RACE", 0)  # the catalog trusts new files at once
    sweep(tmp_path, seeds=1)
    assert len(trainlog.runs(tmp_path).filter(text)) == 2
    make_run(tmp_path / "new.flog", {}, [{"reward": n} for n in range(5)])
    assert len(trainlog.runs(tmp_path)) == 3  # looks at the new one, but not at its frames
    assert [run.name for run in trainlog.runs(tmp_path).filter(text)] == ["new.flog", "ppo/0.flog", "sac/0.flog"]


def test_all_values_of_metrics_are_known_where_no_catalog_is_kept(tmp_path: Path) -> None:
    sweep(tmp_path)
    paths = [tmp_path / "ppo" / "2.flog", tmp_path / "sac" / "1.flog"]
    assert [run.path for run in trainlog.runs(paths).filter("best/reward>100")] == paths[1:]
    assert len(trainlog.runs(paths[0]).filter("mean/reward=10")) == 1


def test_columns_of_the_catalog_are_called_alike_before_and_after_a_read(tmp_path: Path) -> None:
    meta = {"frames": "many", "reason": "why", "last": {"reward": 8}, "my": {"name": "x"}}
    make_run(tmp_path / "a.flog", meta, [{"reward": 1.0}])
    make_run(tmp_path / "b.flog", {"frames": "few"}, [{"reward": 2.0}, {"reward": 3.0}])
    for text, names in {"frames=1": ["a.flog"], "frames>1": ["b.flog"], "last/reward>2": ["b.flog"]}.items():
        assert [run.name for run in trainlog.runs(tmp_path).filter(text)] == names
    config = trainlog.runs(tmp_path).config
    assert config["frames"].tolist() == [1, 2]
    assert config["last/reward"].tolist() == [1.0, 3.0]
    assert config["frames#2"].tolist() == ["many", "few"]  # nothing of the metadata is lost
    assert (config["meta/last/reward"][0], config["reason#2"][0], config["meta/my/name"][0]) == (8, "why", "x")


def plain_rows(folder: Path) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for path in sorted(folder.rglob("*.flog"), key=lambda path: natural(str(path))):
        reader = trainlog.open(path)
        name, seed = path.relative_to(folder).as_posix(), reader.header.meta["seed"]
        frames = reader.frames("stats", on_damage="ignore")
        rows += [(name, seed, frame.time, frame.data["reward"]) for frame in frames]
    return rows


def rows_of(table: RunTable) -> list[tuple[object, ...]]:
    return list(zip(*(table[name].tolist() for name in ("run", "seed", "time", "reward")), strict=True))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_table_has_the_rows_of_the_plain_loop(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainlog.catalog.workers._WORTH", 0)
    monkeypatch.setattr("trainlog.catalog.runs._FRAGMENT", 1 << 9)
    sweep(tmp_path, seeds=20)
    found = trainlog.runs(tmp_path, workers=workers)
    table = found.table("stats", keys=["reward"])
    assert list(table) == ["run", "task", "seed", "time", "reward"]
    assert rows_of(table) == plain_rows(tmp_path)
    assert set(table["task"]) == {"ant: run"}
    every = found.table()
    assert list(every) == ["run", "task", "seed", "time", "step", "reward", "mode"]
    assert found.table(steps=(10, 30), keys=["step"])["step"].tolist() == [10, 20] * 40
    assert found.table(last=1, keys=["step"])["step"].tolist() == [40] * 40
    assert found.table(time=(3, None), keys=["step"]).rows == 80


def test_columns_that_not_all_runs_have_are_absent_there(tmp_path: Path) -> None:
    make_run(tmp_path / "a.flog", {"seed": "x"}, [{"reward": 1, "run": 5, "time": 9}])
    make_run(tmp_path / "b.flog", {}, [{"reward": 2.5, "pos": [1.0, 2.0]}])
    make_run(tmp_path / "c.flog", {"seed": 3}, [])
    found = trainlog.runs(tmp_path)
    table = found.table()
    assert list(table) == ["run", "task", "seed", "time", "reward", "run#2", "time#2", "pos"]
    assert table["reward"].tolist() == [1, 2.5]
    assert table.column("run#2").valid.tolist() == [True, False]
    assert found.table(keys=["reward", "run"])["run#2"][0] == 5
    with pytest.raises(KeyError, match="no run has 'rewrad'"):
        found.table(keys=["rewrad"])
    with pytest.raises(KeyError):
        found.to_arrow(keys=["rewrad"])


def test_damaged_logs_are_reported_skipped_or_raised_and_always_counted(tmp_path: Path) -> None:
    sweep(tmp_path)
    damage(tmp_path / "ppo" / "1.flog")
    (tmp_path / "sac" / "0.flog").write_bytes(b"FLOG\x01")
    bad = {"ppo/1.flog", "sac/0.flog"}

    found = trainlog.runs(tmp_path)
    with pytest.warns(DamagedLogWarning, match="2 of 6 logs are damaged: ppo/1.flog"):
        config = found.config
    assert config["state"].tolist().count("unreadable") == 1
    assert config["size"].tolist() == [(tmp_path / name).stat().st_size for name in config["run"].tolist()]
    assert set(found.damaged) == bad
    assert "all damaged" in repr(found)
    with pytest.warns(DamagedLogWarning, match="1 of 5 logs are damaged"):
        table = found.table(keys=["reward"])
    assert rows_of(table) == plain_rows_without(tmp_path, "sac/0.flog")
    with pytest.warns(DamagedLogWarning):
        assert found.to_arrow(keys=["reward"]).num_rows == table.rows

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        skipping = trainlog.runs(tmp_path, on_error="skip")
        assert set(skipping.damaged) == bad
        assert set(skipping.table()["run"]).isdisjoint(bad)
        assert set(skipping.config["run"]).isdisjoint(bad)

    raising = trainlog.runs(tmp_path, on_error="raise")
    with pytest.raises(DamagedLog):
        raising.config  # noqa: B018
    with pytest.raises((CorruptLog, DamagedLog)):
        trainlog.runs(tmp_path / "ppo", on_error="raise").table()
    assert set(raising.damaged) == bad


def plain_rows_without(folder: Path, name: str) -> list[tuple[object, ...]]:
    (folder / name).rename(folder / "aside.bytes")
    try:
        return plain_rows(folder)
    finally:
        (folder / "aside.bytes").rename(folder / name)


def test_an_unfinished_record_is_how_a_killed_run_ends(tmp_path: Path) -> None:
    path = make_run(tmp_path / "a.flog", {}, [{"reward": n} for n in range(4)])
    path.write_bytes(path.read_bytes()[:-3])
    os.utime(path, (1e9, 1e9))
    found = trainlog.runs(tmp_path, on_error="raise")
    assert found[0].state == "ended"  # its frames were not read
    assert len(found.filter("state:ended")) == 0
    assert [run.name for run in trainlog.runs(tmp_path).filter("state:killed")] == ["a.flog"]
    assert found.config["state"].tolist() == ["killed"]
    assert found.config["frames"].tolist() == [3]
    assert not found.damaged


def test_a_log_that_is_being_written_is_running(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "a.flog", {}) as writer:
        writer.write(trainlog.Frame(0.0, trainlog.Kind.STATS, {"reward": 1.0}))
        a_minute_ago = time.time() - 60
        os.utime(tmp_path / "a.flog", (a_minute_ago, a_minute_ago))
        assert trainlog.runs(tmp_path).config["state"].tolist() == ["running"]
        os.utime(tmp_path / "a.flog", (1e9, 1e9))
        assert trainlog.runs(tmp_path).config["state"].tolist() == ["stalled"]
    os.utime(tmp_path / "a.flog", (1e9, 1e9))
    assert trainlog.runs(tmp_path).config["state"].tolist() == ["ended"]


def test_episodes_of_all_runs(tmp_path: Path) -> None:
    for seed in range(2):
        frames = []
        for n in range(2):
            frames.append(Flog.frame(3.0 * n, 3, {"type": "episode_start", "episode_type": "training"}))
            frames += [Flog.frame(3.0 * n + k, 4, {"step": k, "reward": float(seed + 1)}) for k in (1, 2)]
            frames.append(Flog.frame(3.0 * n + 2.5, 3, {"type": "episode_end"}))
        (tmp_path / f"{seed}.flog").write_bytes(Flog.header({"seed": seed}) + b"".join(frames))
    table = trainlog.runs(tmp_path).episodes()
    assert table["run"].tolist() == ["0.flog", "0.flog", "1.flog", "1.flog"]
    assert table["seed"].tolist() == [0, 0, 1, 1]
    assert table["return"].tolist() == [2.0, 2.0, 4.0, 4.0]


def test_aggregates_are_those_of_the_figures(tmp_path: Path) -> None:
    sweep(tmp_path, seeds=5)
    found = trainlog.runs(tmp_path)
    table = found.aggregate("reward", by="algo", center="iqm", band="ci")
    assert list(table) == ["curve", "step", "IQM", "low", "high", "runs"]
    last = dict(zip(table["curve"], table["IQM"], strict=True))
    assert last == pytest.approx({"ppo": 20, "sac": 120})
    assert set(table["runs"]) == {5}
    assert set(found.aggregate("reward", center="mean", band="none")["curve"]) == {"reward"}
    with pytest.raises(PlotError, match="no log has the metric"):
        found.aggregate("nothing")
    (picture,) = found.plot(y=("reward",), by="algo")
    assert picture.name == "reward"


def test_other_programs_get_the_same_rows(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pl = pytest.importorskip("polars")
    sweep(tmp_path)
    make_run(tmp_path / "x.flog", {"seed": 9}, [{"reward": 1, "step": 1.5, "pos": [1.0, 2.0], "mode": 3}])
    found = trainlog.runs(tmp_path)
    arrow = found.to_arrow()
    assert {field.name: str(field.type) for field in arrow.schema} == {
        "run": "string",
        "task": "string",
        "seed": "int64",
        "time": "double",
        "step": "double",
        "reward": "double",
        "mode": "string",
        "pos": "fixed_size_list<item: double>[2]",
    }
    assert arrow["mode"].to_pylist()[-1] == "3"  # unlike values are JSON text
    assert arrow["mode"].to_pylist()[0] == '"walk"'
    keys = ["step", "reward"]
    table = found.table(keys=keys)
    frame = found.to_polars(keys=keys)
    assert frame.equals(table.to_polars().with_columns(pl.col("step").cast(pl.Float64)))
    assert found.to_pandas(keys=keys)["reward"].tolist() == table["reward"].tolist()
    assert found.config.to_polars()["run"].to_list() == found.config["run"].tolist()
    duckdb = pytest.importorskip("duckdb")
    relation = found.to_duckdb(keys=keys)
    assert isinstance(relation, duckdb.DuckDBPyRelation)
    assert relation.aggregate("sum(reward)").fetchall() == [(pytest.approx(table["reward"].sum()),)]


def test_a_script_needs_no_guard_for_its_processes(tmp_path: Path) -> None:
    sweep(tmp_path / "runs", seeds=20)
    script = tmp_path / "script.py"
    script.write_text(
        "import trainlog, trainlog.catalog.workers as workers, trainlog.catalog.runs as many\n"
        "workers._WORTH, many._FRAGMENT = 0, 512\n"
        f"print(trainlog.runs({str(tmp_path / 'runs')!r}, workers=3).table().rows)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")


@pytest.mark.parametrize(("processes", "is_elsewhere"), [(2, False), (3, False), (2, True)])
def test_as_many_tasks_as_processes_are_one_for_each(processes: int, is_elsewhere: bool) -> None:
    tasks = [0] * processes  # each is the group of the process itself, which a worker has for itself
    groups = [group for _, group in run_all(os.getpgid, tasks, seconds=9, workers=processes, elsewhere=is_elsewhere)]
    assert len(set(groups)) == processes
    assert (os.getpgid(0) in groups) is not is_elsewhere


def test_a_process_whose_caller_has_ended_ends_without_a_word() -> None:
    read, write = os.pipe()
    os.close(read)
    task = pickle.dumps((0, "", bytes, 1 << 16))
    command = [sys.executable, "-c", "from trainlog.catalog.workers import serve; serve()"]
    done = subprocess.run(command, input=task, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_process_ends_with_its_caller_in_the_middle_of_a_task() -> None:
    command = [sys.executable, "-c", "from trainlog.catalog.workers import serve; serve()"]
    task = pickle.dumps((0, "", time.sleep, 1000))
    done = subprocess.run(command, input=task, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_value_keeps_what_it_found_until_it_is_refreshed(tmp_path: Path) -> None:
    sweep(tmp_path)
    found = trainlog.runs(tmp_path)
    assert len(found) == 6
    make_run(tmp_path / "new.flog", {}, [])
    assert len(found) == 6
    assert len(found.refresh()) == 7


@pytest.mark.parametrize("where", ["", "sac/1.flog"])
def test_a_place_that_has_gone_holds_no_run(tmp_path: Path, where: str) -> None:
    folder = tmp_path / "runs"
    sweep(folder)
    found = trainlog.runs(folder / where)
    assert found.config.rows
    shutil.rmtree(folder)
    with pytest.raises(LogNotFound, match="there is no such file or folder any more"):
        found.refresh().config  # noqa: B018


def test_progress_is_told(tmp_path: Path) -> None:
    sweep(tmp_path)
    told: list[tuple[int, int]] = []
    found = trainlog.runs(tmp_path, progress=lambda done, total: told.append((done, total)))
    found.config  # noqa: B018
    assert told[-1] == (6, 6)
    found.table()
    assert told[-1][0] == told[-1][1] > 0


def test_no_error_of_a_worker_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainlog.catalog.workers._WORTH", 0)
    monkeypatch.setattr("trainlog.catalog.runs._FRAGMENT", 1)
    sweep(tmp_path, seeds=30, rows=50)
    for path in tmp_path.rglob("*.flog"):
        damage(path)
    with pytest.raises(TrainlogError):
        trainlog.runs(tmp_path, workers=3, on_error="raise").table()


@pytest.mark.parametrize("where", ["", "sac/2.flog"])
def test_how_far_runs_have_come(tmp_path: Path, where: str) -> None:
    """Also where no catalog is kept, as for a single log."""
    sweep(tmp_path)
    reached = trainlog.runs(tmp_path / where).reached()
    assert {one.rows for one in reached.values()} == {5}
    assert {one.time for one in reached.values()} == {4.0}
    assert list(reached) == [run.name for run in trainlog.runs(tmp_path / where)]
    assert not trainlog.runs(tmp_path / where).reached("creature")


def test_a_wrong_name_of_an_argument_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    sweep(tmp_path)
    with pytest.raises(TypeError, match="step"):
        trainlog.runs(tmp_path).to_arrow(step=(0, 10))  # type: ignore[call-arg]


@pytest.mark.parametrize("values", [[math.inf, -math.inf], [1e308, 1e308, 1e308]])
def test_numbers_whose_sum_is_none_hide_no_run(tmp_path: Path, values: list[float]) -> None:
    make_run(tmp_path / "good.flog", {}, [{"step": 0, "reward": 1.0}])
    make_run(tmp_path / "odd.flog", {}, [{"step": n, "gap": value} for n, value in enumerate(values)])
    assert [run.name for run in trainlog.runs(tmp_path)] == ["good.flog", "odd.flog"]
    assert trainlog.runs(tmp_path).config.rows == 2


def test_bools_among_numbers_are_1_and_0_as_in_a_table(tmp_path: Path) -> None:
    made = make_run(tmp_path / "a.flog", {}, [{"done": value} for value in (True, 2.5, None, False, True)])
    (row,) = trainlog.runs(tmp_path).known.rows_for(["mean/done", "min/done"])[0]
    assert (row["last/done"], row["mean/done"], row["min/done"]) == (1.0, 1.125, 0.0)
    assert row["mean/done"] == np.nanmean(trainlog.open(made).table("stats").numbers("done"))


def test_tables_of_runs_with_the_same_content_are_equal(tmp_path: Path) -> None:
    sweep(tmp_path, seeds=2)
    found = trainlog.runs(tmp_path)
    table = found.table("stats")
    assert table == pickle.loads(pickle.dumps(table)) == table.select(list(table)[::-1])
    assert table != table.take(slice(1, None))
    assert table != found.config
    assert ("reward" in table, "nothing" in table) == (True, False)


def test_a_slice_has_the_order_of_a_list(tmp_path: Path) -> None:
    sweep(tmp_path, seeds=3)
    found = trainlog.runs(tmp_path)
    names = [run.name for run in found]
    for part in (slice(None, None, -1), slice(4, 1, -2), slice(-3, None), slice(0, None, 2), slice(2, 2)):
        assert [run.name for run in found[part]] == names[part]
    backwards = found[::-1]
    assert backwards.config["run"].tolist() == names[::-1]
    assert list(dict.fromkeys(backwards.table("stats")["run"].tolist())) == names[::-1]
    assert [run.name for run in backwards.filter("seed<2")] == [name for name in names[::-1] if "2" not in name]
