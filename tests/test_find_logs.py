"""A folder, a pattern and several folders mean runs; shards are one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import trainlog
from made_logs import write_log
from trainlog.errors import LogNotFound, TrainlogError
from trainlog.find_logs import find_logs

STATS = [{"step": n, "reward": float(n)} for n in range(3)]


def make(*paths: Path) -> None:
    for seed, path in enumerate(paths):
        write_log(path, STATS, {"seed": seed})


def shards(folder: Path, *names: str) -> None:
    for rank, name in enumerate(names):
        write_log(folder / name, STATS, {"shard": {"rank": rank, "began": 1.0}})


def test_each_log_of_a_folder_is_a_run(tmp_path: Path) -> None:
    make(tmp_path / "2.flog", tmp_path / "10.flog", tmp_path / "more" / "a" / "run.flog", tmp_path / "more" / ".b.flog")
    (tmp_path / "args.json").write_text("{}")
    (tmp_path / "policy.bin").write_bytes(b"weights")
    (tmp_path / "reward.svg").write_text("<svg/>")
    assert find_logs([tmp_path]) == [tmp_path / "more/a/run.flog", tmp_path / "2.flog", tmp_path / "10.flog"]
    assert find_logs([tmp_path / "more", tmp_path / "2.flog", tmp_path]) == [
        *(tmp_path / "more/a/run.flog", tmp_path / "2.flog", tmp_path / "10.flog")
    ]


@pytest.mark.parametrize("pattern", ["*.flog", "?.flog", "[0-9].flog"])
def test_each_log_of_a_pattern_is_a_run(tmp_path: Path, pattern: str) -> None:
    make(*(tmp_path / f"{seed}.flog" for seed in range(10)))
    assert find_logs([tmp_path / pattern]) == [tmp_path / f"{seed}.flog" for seed in range(10)]


def test_a_pattern_may_name_folders(tmp_path: Path) -> None:
    make(*(tmp_path / algo / f"{seed}.flog" for algo in ("ppo", "sac") for seed in range(2)))
    expected = [tmp_path / algo / f"{seed}.flog" for algo in ("ppo", "sac") for seed in range(2)]
    for pattern in ("*", "*/", "*/*.flog", "**/*.flog"):
        assert find_logs([f"{tmp_path}/{pattern}"]) == expected


def test_shards_are_one_log(tmp_path: Path) -> None:
    shards(tmp_path / "one" / "run.flog", "0.flog", "1.flog")
    shards(tmp_path / "two", "run-0.flog", "run-1.flog")
    make(tmp_path / "three" / "run.flog")
    expected = [tmp_path / "one/run.flog", tmp_path / "three/run.flog", tmp_path / "two/*.flog"]
    assert find_logs([tmp_path]) == expected
    assert find_logs([f"{tmp_path}/*"]) == expected
    assert set(find_logs([f"{tmp_path}/**/*.flog"])) == set(expected)
    assert [trainlog.open(path).table("stats").rows for path in expected] == [6, 3, 6]


def test_first_shards_of_several_runs_are_several_runs(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_log(tmp_path / f"{name}.flog", STATS, {"shard": {"rank": 0, "began": 1.0}})
    assert find_logs([tmp_path]) == [tmp_path / "a.flog", tmp_path / "b.flog"]


def test_a_log_of_several_files_is_one(tmp_path: Path) -> None:
    trainlog.convert(
        write_log(tmp_path / "run.flog", STATS, events={0.0: {"type": "episode_start"}}),
        tmp_path / "runs" / "run.simion.log",
        variables=[trainlog.Variable("step"), trainlog.Variable("reward")],
    )
    assert find_logs([tmp_path / "runs"]) == [tmp_path / "runs" / "run.simion.log"]


def test_event_files_hide_no_other_logs(tmp_path: Path) -> None:
    pytest.importorskip("crc32c")
    root = tmp_path / "runs"
    shards(root / "ppo", "run-0.flog", "run-1.flog")
    make(root / "run.flog", root / "ppo" / "deep" / "run.flog", root / "runs" / "run.flog")
    for folder in (root, root / "ppo", root / "runs"):
        for n in range(2):
            trainlog.convert(root / "run.flog", folder / f"{n}.tfevents")
    logs = ["", "runs", "runs/run.flog", "ppo", "ppo/deep/run.flog", "ppo/*.flog", "run.flog"]
    assert set(find_logs([root])) == {root / one for one in logs}
    assert set(find_logs([f"{root}/*"])) == {root / one for one in logs}
    assert set(find_logs([root / "ppo"])) == {root / one for one in logs if one.startswith("ppo")}
    for _ in range(2):  # the second time from the catalog
        assert {one.name for one in trainlog.runs(root)} == {".", *logs[1:]}


def test_damaged_logs_are_logs(tmp_path: Path) -> None:
    make(tmp_path / "whole.flog")
    (tmp_path / "torn.flog").write_bytes((tmp_path / "whole.flog").read_bytes()[:9])
    (tmp_path / "odd.flog").write_bytes(b"no log at all")
    (tmp_path / "empty.flog").write_bytes(b"")
    assert [path.name for path in find_logs([tmp_path])] == ["empty.flog", "odd.flog", "torn.flog", "whole.flog"]
    for name in ("torn", "odd"):
        with pytest.raises(TrainlogError):
            trainlog.open(tmp_path / f"{name}.flog")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    assert find_logs([tmp_path / "missing.flog"]) == [tmp_path / "missing.flog"]
    with pytest.raises(LogNotFound, match="no log matches this pattern"):
        find_logs([tmp_path / "*.flog"])
    with pytest.raises(LogNotFound, match="no logs in this folder"):
        find_logs([tmp_path])
    (tmp_path / "[1].flog").touch()  # a name, as it exists
    assert find_logs([tmp_path / "[1].flog"]) == [tmp_path / "[1].flog"]
