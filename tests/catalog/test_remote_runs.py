"""Many runs in an object storage: the same as in a folder, with few requests, and only what has changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import trainlog
from made_runs import damage, log_bytes, sweep
from trainlog.errors import LogNotFound, LogReadError
from trainlog.find_logs import find_logs
from trainlog.storage.remote import forget

if TYPE_CHECKING:
    from faulty_storage import FaultyStorage

URL = "faulty://bucket/sweep"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(storage: type[FaultyStorage], tmp_path: Path) -> Path:
    """The same runs in a folder and in the storage."""
    sweep(tmp_path / "sweep")
    for file in (tmp_path / "sweep").rglob("*.flog"):
        storage.put(f"bucket/sweep/{file.relative_to(tmp_path / 'sweep').as_posix()}", file.read_bytes())
    return tmp_path / "sweep"


def test_runs_are_those_of_the_folder(folder: Path) -> None:
    near, far = trainlog.runs(folder), trainlog.runs(URL)
    for name in ("run", "task", "algo", "seed", "frames", "size", "last/reward"):
        assert far.config[name].tolist() == near.config[name].tolist()
    assert far.table("stats")["reward"].tolist() == near.table("stats")["reward"].tolist()
    assert len(far.filter("algo:sac")) == 3
    assert [str(one.path) for one in far[:1]] == [f"{URL}/ppo/0.flog"]
    assert far[0].open().table("stats").rows == 5


@pytest.mark.parametrize("pattern", ["*/1.flog", "s*/*.flog", "**/*.flog"])
def test_patterns_are_those_of_the_folder(folder: Path, pattern: str) -> None:
    near, far = trainlog.runs(folder / pattern), trainlog.runs(f"{URL}/{pattern}")
    assert far.config["run"].tolist() == near.config["run"].tolist()
    assert [one.name for one in find_logs([f"{URL}/{pattern}"])] == [one.name for one in find_logs([folder / pattern])]


def test_one_log_and_several_places(folder: Path) -> None:
    assert trainlog.runs(f"{URL}/ppo/0.flog").config["seed"].tolist() == [0]
    both = trainlog.runs([f"{URL}/ppo", folder / "sac"])
    assert both.config["algo"].tolist() == ["ppo"] * 3 + ["sac"] * 3


@pytest.mark.parametrize("inside", ["", "/*.flog"])
def test_a_log_of_several_processes_is_one_run(storage: type[FaultyStorage], inside: str) -> None:
    for rank in range(2):
        storage.put(f"bucket/run.flog/{rank}.flog", log_bytes({"shard": {"rank": rank}}, [{"step": 1}] * 3))
    runs = trainlog.runs(f"faulty://bucket/run.flog{inside}")
    assert runs.config["run"].tolist() == ["run.flog"]
    assert runs.table("stats").rows == 6


def test_what_is_beside_a_single_log_is_not_listed(folder: Path, storage: type[FaultyStorage]) -> None:
    storage.requests.clear()
    assert trainlog.runs(f"{URL}/ppo/0.flog").config["run"].tolist() == ["0.flog"]
    assert storage.requests["list"] == 0


def test_the_catalog_is_in_the_users_cache_and_only_what_has_changed_is_read(
    folder: Path, storage: type[FaultyStorage], cache: Path
) -> None:
    assert trainlog.runs(URL).config.rows == 6
    (kept,) = (cache / "trainlog" / "catalogs").iterdir()
    assert kept.suffix == ".sqlite"
    assert kept.stat().st_mode & 0o077 == 0
    forget()
    storage.requests.clear()
    assert trainlog.runs(URL).config.rows == 6
    assert storage.requests["get"] == 0
    storage.put("bucket/sweep/ppo/1.flog", log_bytes({"seed": 7}, [{"reward": 1.0}]))
    storage.put("bucket/sweep/new.flog", log_bytes({"seed": 8}, [{"reward": 2.0}]))
    del storage.objects["bucket/sweep/sac/0.flog"]
    forget()
    storage.requests.clear()
    assert trainlog.runs(URL).config["seed"].tolist() == [8, 0, 7, 2, 1, 2]
    assert storage.requests["get"] == 2


def test_a_change_that_keeps_the_size_is_noticed(folder: Path, storage: type[FaultyStorage]) -> None:
    before = storage.objects["bucket/sweep/ppo/1.flog"][0]
    after = before.replace(b'"seed": 1', b'"seed": 5').replace(b'"seed":1', b'"seed":5')
    assert after != before
    assert trainlog.runs(URL).config["seed"].tolist() == [0, 1, 2, 0, 1, 2]
    storage.put("bucket/sweep/ppo/1.flog", after)
    assert trainlog.runs(URL).config["seed"].tolist() == [0, 5, 2, 0, 1, 2]


def test_headers_of_large_logs_are_read_without_the_rest(storage: type[FaultyStorage], tmp_path: Path) -> None:
    """And their ends, where they say how the run ended."""
    path = tmp_path / "large.flog"
    with trainlog.TrainingRecorder(path, metadata={"seed": 3}) as log:
        for n in range(2000):
            log.record_stats_frame(None, {"reward": float(n), "pad": "x" * 3000})
    for n in range(10):
        storage.put(f"bucket/sweep/{n}.flog", path.read_bytes())
    assert [run.state for run in trainlog.runs(URL)] == ["finished"] * 10
    assert sum(stop - start for _, start, stop in storage.read) <= 10 * (5 << 16)


def test_small_logs_are_fetched_together(
    folder: Path, storage: type[FaultyStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = trainlog.runs(URL, workers=1)
    assert len(runs) == 6
    forget()
    together: list[int] = []
    real = storage.cat_ranges

    def cat_ranges(self: FaultyStorage, paths: list[str], *args: object, **settings: object) -> list[bytes]:
        together.append(len(paths))
        return real(self, paths, *args, **settings)

    monkeypatch.setattr(storage, "cat_ranges", cat_ranges)
    storage.requests.clear()
    assert runs.table("stats").rows == 30
    assert sum(together) == 6
    assert storage.requests["get"] == 6


def test_two_storages_with_the_same_names_are_two(folder: Path, storage: type[FaultyStorage]) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bucket/sweep/ppo/0.flog", log_bytes({"seed": 70}, [{"reward": 7.0}]))
    try:
        runs = trainlog.runs([f"{URL}/ppo", "memory://bucket/sweep/ppo"], workers=1)
        assert sorted(runs.config["seed"].tolist()) == [0, 1, 2, 70]
        forget()
        assert runs.table("stats")["reward"].tolist()[-1] == 7.0
        assert runs.table("stats").rows == 16
    finally:
        memory.rm("/bucket", recursive=True)


def test_damage_is_counted(folder: Path, storage: type[FaultyStorage]) -> None:
    damage(folder / "ppo" / "1.flog")
    storage.put("bucket/sweep/ppo/1.flog", (folder / "ppo" / "1.flog").read_bytes())
    with pytest.warns(trainlog.errors.DamagedLogWarning):
        assert trainlog.runs(URL).config.rows == 6
    assert list(trainlog.runs(URL).damaged) == ["ppo/1.flog"]


def test_shards_are_one_run(storage: type[FaultyStorage]) -> None:
    for rank in range(3):
        meta = {"shard": {"rank": rank, "began": 0.0}}
        storage.put(f"bucket/sweep/run/{rank}.flog", log_bytes(meta, [{"reward": 1.0}]))
    storage.put("bucket/sweep/other.flog", log_bytes({}, [{"reward": 1.0}]))
    assert trainlog.runs(URL).config["run"].tolist() == ["other.flog", "run/*.flog"]
    assert trainlog.runs(URL).config["frames"].tolist() == [1, 3]


def test_a_storage_that_fails_is_a_typed_error(folder: Path, storage: type[FaultyStorage]) -> None:
    def fail(what: str, path: str) -> None:
        raise OSError("503 Slow Down")

    storage.hook = fail
    with pytest.raises(LogReadError, match="503 Slow Down"):
        trainlog.runs(URL)
    storage.hook = None
    runs = trainlog.runs(URL)
    storage.hook = lambda what, path: fail(what, path) if what == "list" else None
    with pytest.raises(LogReadError, match="503 Slow Down"):
        len(runs)


def test_a_run_that_cannot_be_read_is_said_with_the_others(folder: Path, storage: type[FaultyStorage]) -> None:
    def fail(what: str, path: str) -> None:
        if path.endswith("sac/1.flog"):
            raise OSError("500 Internal Error")

    storage.hook = fail
    runs = trainlog.runs(URL)
    with pytest.warns(trainlog.errors.DamagedLogWarning, match="500 Internal Error"):
        assert runs.config.rows == 6
    storage.hook = None
    forget()
    again = trainlog.runs(URL)
    assert again.config["seed"].tolist() == [0, 1, 2, 0, 1, 2]


def test_nothing_there(storage: type[FaultyStorage]) -> None:
    with pytest.raises(LogNotFound):
        trainlog.runs(URL)
    with pytest.raises(LogNotFound):
        len(trainlog.runs(f"{URL}/*.flog"))
    storage.put("bucket/sweep/readme.txt", b"nothing")
    with pytest.raises(LogNotFound):
        len(trainlog.runs(URL))
    assert os.environ["XDG_CACHE_HOME"]


def test_keys_with_two_slashes_in_a_row_are_runs(storage: type[FaultyStorage]) -> None:
    """A prefix that ends with a slash, and a name behind another one, are common in buckets."""
    keys = ["/top.flog", "one//deep/x.flog", "one//x.flog", "one/x.flog"]
    for n, key in enumerate(keys):
        storage.put(f"bucket/sweep/{key}", log_bytes({"seed": n}, [{"step": 1, "reward": float(n)}]))
    config = trainlog.runs(URL).config
    assert dict(zip(config["run"], config["last/reward"], strict=True)) == {key: n for n, key in enumerate(keys)}
    assert [run.open().header.meta["seed"] for run in trainlog.runs(URL)] == config["seed"].tolist()
    assert trainlog.runs(f"{URL}/one").config["run"].tolist() == ["/deep/x.flog", "/x.flog", "x.flog"]
    assert sorted(map(str, find_logs([URL]))) == [f"{URL}/{key}" for key in keys]
