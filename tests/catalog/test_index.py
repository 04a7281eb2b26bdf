"""The catalog: it never says what is not so any more, whoever changes files, deletes it, or plants another."""

from __future__ import annotations

import itertools
import os
import pwd
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trainlog
from handmade import Flog
from made_runs import STATS, log_bytes, make_run, sweep
from strategies import json_values
from trainlog.catalog import inspection, states, store
from trainlog.catalog.digest import Digest
from trainlog.catalog.store import NAME, location
from trainlog.table.builder import TableBuilder


def settle(folder: Path) -> None:
    """Make the logs old enough to be trusted: a file that changed just now may change again within a tick."""
    for path in folder.rglob("*.flog"):
        if path.is_file():
            os.utime(path, (1e9, 1e9))


VALUES = st.one_of(json_values, st.text(max_size=3), st.sampled_from(["1.5", "nan", "True", " 2", "inf", "١"]))
FRAMES = st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), min_size=1, max_size=6)


@given(FRAMES)
def test_the_digest_of_frames_is_that_of_their_table(frames: list[dict[str, object]]) -> None:
    times = [float(n) for n in range(len(frames))]
    quick, whole = Digest(), Digest()
    quick.add_frames(trainlog.Kind.STATS, times, frames)
    builder = TableBuilder(trainlog.Kind.STATS)
    builder.add_frames(times, frames)
    whole.add(builder.finish())
    for key, one in whole.kinds[STATS].items():
        same = quick.kinds[STATS][key]
        assert str(same.packed()[:6]) == str(one.packed()[:6])
        assert same.numbers == one.numbers
        assert same.total == pytest.approx(one.total, nan_ok=True)
    assert quick.kinds[STATS].keys() == whole.kinds[STATS].keys()
    assert quick.spans == whole.spans


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree whose files are trusted at once, although their inodes were touched just now."""
    monkeypatch.setattr("trainlog.catalog.index._RACE", -1)
    path = tmp_path / "runs"
    sweep(path)
    settle(path)
    return path


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The logs that are opened, by name."""
    opened: list[str] = []
    real = inspection.log_of

    def log_of(path: Path) -> object:
        opened.append(path.name)
        return real(path)

    monkeypatch.setattr(inspection, "log_of", log_of)
    return opened


def rewards(folder: Path) -> dict[str, float]:
    config = trainlog.runs(folder).config
    return dict(zip(config["run"].tolist(), config["last/reward"].tolist(), strict=True))


def test_what_has_not_changed_is_not_opened_again(folder: Path, looked: list[str]) -> None:
    first = trainlog.runs(folder).config
    assert (folder / NAME).stat().st_mode & 0o777 == 0o600
    assert len(looked) == 6
    again = trainlog.runs(folder).config
    assert len(looked) == 6
    assert list(again) == list(first)
    assert all(again[name].tolist() == first[name].tolist() for name in first)
    assert len(trainlog.runs(folder / "*" / "*.flog")) == 6
    make_run(folder / "ppo" / "new.flog", {"algo": "ppo"}, [{"reward": 5.0}])
    assert rewards(folder)["ppo/new.flog"] == 5.0
    assert looked[-1] == "new.flog"
    (folder / "ppo" / "new.flog").unlink()
    (folder / "ppo" / "0.flog").unlink()
    assert sorted(rewards(folder)) == ["ppo/1.flog", "ppo/2.flog", "sac/0.flog", "sac/1.flog", "sac/2.flog"]


def test_only_what_was_appended_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_SMALL", 0)
    trainlog.runs(folder).config  # noqa: B018
    counted: list[int] = []
    real = Digest.add
    monkeypatch.setattr(Digest, "add", lambda self, table: (counted.append(table.rows), real(self, table))[1])
    path = folder / "sac" / "2.flog"
    with path.open("ab") as file:
        file.write(Flog.frame(9.0, STATS, {"step": 99, "reward": 7.0}))
    config = trainlog.runs(folder).config
    assert counted == [1]
    assert config["last/reward"].tolist()[-1] == 7.0
    assert config["frames"].tolist()[-1] == 6
    (digest,) = (trainlog.runs(folder / "sac" / "2.flog").schema("stats"),)
    assert set(digest.types) == {"step", "reward", "mode"}


@pytest.mark.parametrize("how", ["longer", "shorter", "same size", "same size and time"])
def test_a_log_that_was_replaced_is_read_anew(folder: Path, how: str) -> None:
    assert rewards(folder)["ppo/1.flog"] == 10.0
    path = folder / "ppo" / "1.flog"
    before = path.stat()
    rows = {"longer": 9, "shorter": 2}.get(how, 5)
    made = [{"step": 10 * n, "reward": 77.0 if n else 0.0, "mode": "walk"} for n in range(rows)]
    meta = {"creature": "ant", "task": "run", "algo": "ppo", "seed": 1, "args": {"lr": 3e-4}}
    path.write_bytes(log_bytes(meta, made))
    if how.startswith("same"):
        assert path.stat().st_size == before.st_size
    if how.endswith("time"):
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert rewards(folder)["ppo/1.flog"] == 77.0
    config = trainlog.runs(folder).config
    assert config["frames"].tolist()[1] == rows


def test_a_file_that_changed_just_now_is_not_trusted(tmp_path: Path, looked: list[str]) -> None:
    make_run(tmp_path / "a.flog", {}, [{"reward": 1.0}])
    settle(tmp_path)  # its content is old, but not its inode
    trainlog.runs(tmp_path).config  # noqa: B018
    trainlog.runs(tmp_path).config  # noqa: B018
    assert len(looked) == 2


def test_a_long_look_ends_with_what_changed_last(
    tmp_path: Path, looked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainlog.catalog.index._CHUNK", 1)
    begin = time.time_ns()
    for name in ("new", "old"):
        make_run(tmp_path / f"{name}.flog", {}, [{"reward": 1.0}])
    os.utime(tmp_path / "new.flog", ns=(0, begin + 1_000_000_000))  # only its content counts as changed so late
    seconds = itertools.count(1, 3)
    monkeypatch.setattr("trainlog.catalog.index.time.time_ns", lambda: begin + next(seconds) * 1_000_000_000)
    trainlog.runs(tmp_path).config.rows  # noqa: B018 - the first look takes three seconds for each log
    assert looked == ["old.flog", "new.flog"]
    trainlog.runs(tmp_path).config.rows  # noqa: B018
    assert looked == ["old.flog", "new.flog", "old.flog"]  # which was looked at one second after its change


def test_a_file_that_becomes_a_log_is_found(folder: Path) -> None:
    (folder / "later.flog").write_bytes(b"")
    (folder / "notes.txt").write_text("no log")
    count = len(trainlog.runs(folder))
    (folder / "notes.txt").write_bytes(log_bytes({"algo": "x"}, [{"reward": 1.0}]))
    assert [run.name for run in trainlog.runs(folder)] == sorted(
        [*(run.name for run in trainlog.runs(folder) if run.name != "notes.txt"), "notes.txt"]
    )
    assert len(trainlog.runs(folder)) == count + 1


def test_it_may_be_deleted_damaged_or_of_another_version(folder: Path) -> None:
    expected = rewards(folder)
    catalog = folder / NAME
    catalog.unlink()
    assert rewards(folder) == expected
    for content in (b"", b"nonsense" * 1000, catalog.read_bytes()[:5000], b"SQLite format 3\0" + b"\xff" * 4096):
        catalog.write_bytes(content)
        assert rewards(folder) == expected
    with sqlite3.connect(catalog) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert rewards(folder) == expected
    with sqlite3.connect(catalog) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (store._VERSION,)
        connection.execute("UPDATE log SET facts = x'c1'")
        connection.execute("UPDATE log SET digest = x'80'")
    connection.close()
    assert rewards(folder) == expected
    with sqlite3.connect(catalog) as connection:
        connection.execute("DROP TABLE log")
    connection.close()
    assert rewards(folder) == expected


def test_one_that_is_damaged_inside_is_made_anew(folder: Path, looked: list[str]) -> None:
    expected = rewards(folder)
    catalog = folder / NAME
    raw = catalog.read_bytes()
    catalog.write_bytes(raw[:4096] + b"\xff" * (len(raw) - 4096))
    assert rewards(folder) == expected
    count = len(looked)
    assert rewards(folder) == expected
    assert len(looked) == count


def test_a_user_without_a_home_needs_no_catalog(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is run by any number of a user."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    folder.chmod(0o777)
    assert len(rewards(folder)) == 6


def test_a_database_of_somebody_else_is_left_alone(folder: Path) -> None:
    with sqlite3.connect(folder / NAME) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    (folder / NAME).chmod(0o600)
    before = (folder / NAME).read_bytes()
    assert len(rewards(folder)) == 6
    assert (folder / NAME).read_bytes() == before


@pytest.mark.parametrize("how", ["link", "writable", "journal"])
def test_a_catalog_that_others_can_have_made_is_not_opened(folder: Path, tmp_path: Path, how: str) -> None:
    trainlog.runs(folder).config  # noqa: B018
    catalog = folder / NAME
    with sqlite3.connect(catalog) as connection:  # it lies
        connection.execute("UPDATE log SET is_run = 0 WHERE path = 'ppo/0.flog'")
    connection.close()
    assert len(trainlog.runs(folder)) == 5
    if how == "link":
        catalog.rename(tmp_path / "elsewhere")
        catalog.symlink_to(tmp_path / "elsewhere")
    elif how == "writable":
        catalog.chmod(0o666)
    else:
        (folder / f"{NAME}-journal").write_bytes(b"")
        (folder / f"{NAME}-journal").chmod(0o666)
    assert len(trainlog.runs(folder)) == 6


def test_where_others_can_write_it_is_in_the_users_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    folder.chmod(0o777)
    (folder / NAME).write_bytes(b"planted")
    expected = rewards(folder)
    assert len(expected) == 6
    assert (folder / NAME).read_bytes() == b"planted"
    (kept,) = (cache / "trainlog" / "catalogs").glob("*.sqlite")
    assert kept == location(folder)
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    cache.joinpath("trainlog", "catalogs").chmod(0o777)
    assert location(folder) is None
    assert rewards(folder) == expected


def test_several_processes_at_once_see_all_runs(folder: Path) -> None:
    code = f"import trainlog; c = trainlog.runs({str(folder)!r}).config; print(c.rows, sum(c['last/reward']))"
    for _ in range(2):
        (folder / NAME).unlink(missing_ok=True)
        processes = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for _ in range(4)
        ]
        for process in processes:
            out, err = process.communicate(timeout=100)
            assert (out.decode().split(), err) == (["6", "360.0"], b"")


def test_a_process_that_is_late_puts_nothing_old_back(folder: Path) -> None:
    trainlog.runs(folder).config  # noqa: B018
    late = store.Store(folder / NAME).entries()["ppo/0.flog"]
    with (folder / "ppo" / "0.flog").open("ab") as file:
        file.write(Flog.frame(9.0, STATS, {"step": 99, "reward": 7.0}))
    assert rewards(folder)["ppo/0.flog"] == 7.0
    store.Store(folder / NAME).mark([late])  # it has looked at the state before
    assert rewards(folder)["ppo/0.flog"] == 7.0


def test_one_that_holds_it_for_long_does_not_stop_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainlog.catalog.store._WAIT", 0.05)
    trainlog.runs(folder).config  # noqa: B018
    holder = sqlite3.connect(folder / NAME, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert len(rewards(folder)) == 6
    finally:
        holder.close()


def test_single_logs_leave_no_catalog(folder: Path) -> None:
    assert trainlog.runs(folder / "ppo" / "1.flog").config["last/reward"].tolist() == [10.0]
    assert not list(folder.rglob(f"{NAME}*"))
    assert [run.name for run in trainlog.runs([folder / "ppo" / "1.flog"])] == ["1.flog"]


def test_a_run_that_ends_is_seen_without_a_read(
    folder: Path, looked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "ppo" / "0.flog"
    path.touch()
    config = trainlog.runs(folder).config
    assert config["state"].tolist() == ["running"] + ["ended"] * 5
    count = len(looked)
    monkeypatch.setattr(states, "LIVE", 0.0)
    assert set(trainlog.runs(folder).config["state"]) == {"ended"}
    assert set(trainlog.runs(folder).config["state"]) == {"ended"}
    assert len(looked) == count


def test_logs_that_no_catalog_can_keep_are_read_each_time(folder: Path, looked: list[str]) -> None:
    pytest.importorskip("polars")
    deep: object = 1
    for _ in range(300):
        deep = {"in": deep}
    header = b'{"note": "\\ud800", "task": "\\udfff", "seed": 100000000000000000000, "\\udead": [1]}'
    make_run(folder / "a.flog", header, [{"reward": 1.0}])
    make_run(folder / "b.flog", {"deep": deep, "seed": {"x": 1}}, [{"reward": 2.0}])
    (folder / "c.flog").write_bytes(log_bytes({}, [{"reward": 3.0}]))
    (folder / "c.flog").rename(folder / os.fsdecode(b"c\xff.flog"))
    for _ in range(2):
        found = trainlog.runs(folder)
        assert found.config.rows == 9
        assert found.table(keys=["reward"]).rows == 33
        assert len(found.filter("reward<4")) == 4
        assert found.to_polars(keys=["reward"]).height == 33
        assert found.config.to_polars().height == 9


def test_shards_that_only_patterns_have_met_are_one_run_of_the_tree(folder: Path) -> None:
    for rank in range(2):
        meta = {"shard": {"rank": rank, "began": 1.0}}
        make_run(folder / "many" / f"run-{rank}.flog", meta, [{"reward": 1.0}])
    settle(folder)
    (folder / "ppo").rename(folder / "many" / "ppo")
    for pattern in ("run-0*", "run-1*", "ppo/*"):
        assert trainlog.runs(folder / "many" / pattern).config.rows
    assert trainlog.runs(folder / "many")[0].name == "*.flog"
    assert trainlog.runs(folder / "many").config["frames"].tolist() == [2, 5, 5, 5]


def test_digests_add_up_over_batches(tmp_path: Path) -> None:
    rows = [
        {"a": float(n), "b": n % 3, "c": n > 3, "d": "word", "e": [1.0, 2.0], "f": None, "g": float("nan")}
        for n in range(9)
    ]
    make_run(tmp_path / "a.flog", {}, rows)
    table = trainlog.open(tmp_path / "a.flog").table("stats")
    whole, parts = Digest(), Digest()
    whole.add(table)
    for start in range(0, 9, 2):
        parts.add(table.rows_where(slice(start, start + 2)))
    metrics = whole.kinds[STATS]
    assert parts.packed()["kinds"].keys() == whole.packed()["kinds"].keys()
    for key, one in metrics.items():
        assert str(parts.kinds[STATS][key].packed()) == str(one.packed())
    assert (metrics["a"].first, metrics["a"].last, metrics["a"].low, metrics["a"].high, metrics["a"].mean) == (
        0,
        8,
        0,
        8,
        4,
    )
    assert {key: one.types for key, one in metrics.items()} == {
        "a": {"f"},
        "b": {"i"},
        "c": {"b"},
        "d": {"U"},
        "e": {"f8(2,)"},
        "f": set(),
        "g": {"f"},
    }
    assert metrics["g"].numbers == 0
    assert str(Digest.unpacked(whole.packed()).packed()) == str(whole.packed())


def test_rows_of_a_shard_that_come_late_are_where_their_times_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_SMALL", 0)
    folder = tmp_path / "runs" / "run.flog"
    for rank in range(2):
        rows = [{"reward": 10.0 * rank + n} for n in range(2)]
        make_run(folder / f"{rank}.flog", {"shard": {"rank": rank, "began": 1.0}}, rows)
    for rank, time_ in [(0, 9.0), (1, 5.0), (1, 9.5)]:
        with (folder / f"{rank}.flog").open("ab") as file:
            file.write(Flog.frame(time_, STATS, {"reward": 100.0 * time_, f"only{rank}": time_}))
        known = trainlog.runs(tmp_path / "runs").config
        table = trainlog.open(folder).table("stats")
        assert known["duration"].tolist() == [table.time[-1]]
        assert known["last/reward"].tolist() == [table["reward"][-1]]
    digests = {path: digest for path, _, digest, _ in store.Store(tmp_path / "runs" / NAME).digests(["run.flog"])}
    assert (digests["run.flog"].kinds[STATS]["only1"].first, digests["run.flog"].spans[STATS]) == (5.0, [7, 0.0, 9.5])


def test_links_that_lead_nowhere_or_back_and_shut_folders_are_passed(folder: Path) -> None:
    (folder / "itself").symlink_to(folder / "itself")
    (folder / "ppo" / "up").symlink_to(folder)
    assert len(trainlog.runs(folder)) == 6


def test_a_log_and_a_link_to_it_are_one_run(folder: Path, tmp_path: Path) -> None:
    (folder / "latest.flog").symlink_to(folder / "sac" / "0.flog")
    (tmp_path / "else.flog").write_bytes((folder / "sac" / "0.flog").read_bytes())
    (folder / "other.flog").symlink_to(tmp_path / "else.flog")
    names = ["other.flog", *(f"{algo}/{seed}.flog" for algo in ("ppo", "sac") for seed in range(3))]
    assert trainlog.runs(folder).config["run"].tolist() == names


def test_a_log_that_may_not_be_read_is_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shut = str(folder / "ppo" / "1.flog")
    real = os.open

    def refuse(path: object, *args: object, **settings: object) -> int:
        if str(path) == shut:
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    runs = trainlog.runs(folder, workers=1)
    assert runs.damaged == {"ppo/1.flog": "cannot read it: Permission denied"}
    assert [run.state for run in runs].count("unreadable") == 1
