"""How runs ended and where they come from: in the catalog, in filters, and in the verbs."""

from __future__ import annotations

import json
import os
import struct
import time
from pathlib import Path
from typing import Any

import pytest

import trainlog
from trainlog import TrainingRecorder
from trainlog.catalog.inspection import facts_of
from trainlog.catalog.states import HERE, STATES
from trainlog.cli import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Runs of each state: those of recorders, one of another program, and one that cannot be read."""
    for state, reason in (("finished", ""), ("failed", "ValueError: the <loss> is NaN"), ("interrupted", "Ctrl-C")):
        with TrainingRecorder(tmp_path / f"{state}.flog", metadata={"algo": "sac", "seed": len(state)}) as log:
            log.stats({"step": 1, "reward": 2.0}, time=1.0)
            log.close(state, reason)  # type: ignore[arg-type]
    with TrainingRecorder(tmp_path / "killed.flog", metadata={"algo": "sac"}, sync_every=None) as log:
        log.stats({"step": 1, "reward": 2.0}, time=1.0)
        killed = (tmp_path / "killed.flog").read_bytes()
    (tmp_path / "killed.flog").write_bytes(killed)
    header = json.dumps({"algo": "ppo"}).encode()
    (tmp_path / "ended.flog").write_bytes(b"FLOG" + struct.pack("<HBI", 1, 0, len(header)) + header)
    (tmp_path / "unreadable.flog").write_bytes(b"FLOG\1\0\0\xff")
    age(tmp_path, 60)
    return tmp_path


def age(folder: Path, seconds: float) -> None:
    for file in folder.glob("*.flog"):
        os.utime(file, (time.time() - seconds,) * 2)


def states(folder: Path) -> dict[str, str]:
    return {run.name.removesuffix(".flog"): run.state for run in trainlog.runs(folder)}


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(list(map(str, arguments)))
    return int(str(left.value.code or 0)), capsys.readouterr().out


def test_each_state_is_told(folder: Path) -> None:
    with TrainingRecorder(folder / "running.flog"):
        found = states(folder)
    assert found == {state: state for state in sorted(STATES) if state != "stalled"}  # which takes minutes
    runs = {run.name: run for run in trainlog.runs(folder)}
    assert runs["failed.flog"].reason == "ValueError: the <loss> is NaN"
    assert runs["failed.flog"].run["host"] == HERE
    with pytest.warns(trainlog.errors.DamagedLogWarning, match="unreadable"):
        config = trainlog.runs(folder).config
    assert dict(zip(config["run"], config["reason"], strict=True))["interrupted.flog"] == "Ctrl-C"
    assert not [name for name in config if name.startswith("run/")]


def test_a_run_that_just_ended_is_not_running(folder: Path) -> None:
    age(folder, 0)
    assert states(folder)["finished"] == "finished"
    assert states(folder)["killed"] == "running"  # its machine may be another one, whose locks are not seen


def test_a_run_of_another_machine_is_given_more_time(folder: Path) -> None:
    raw = (folder / "killed.flog").read_bytes()
    other = raw.replace(f'"host": "{HERE}"'.encode(), f'"host": "{"x" * len(HERE)}"'.encode())
    (folder / "killed.flog").write_bytes(other)
    age(folder, 60)
    assert states(folder)["killed"] == "running"
    age(folder, 3600)
    assert facts_of(folder / "killed.flog", read=False)[0].state == "killed"


def test_a_run_that_is_resumed_runs_again(folder: Path) -> None:
    assert states(folder)["failed"] == "failed"
    with TrainingRecorder(folder / "failed.flog", resume=True):
        assert states(folder)["failed"] == "running"
    assert states(folder)["failed"] == "finished"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("state:finished", ["finished"]),
        ("-state:finished -state:unreadable algo:sac", ["failed", "interrupted", "killed"]),
        ("NaN", ["failed"]),
        ("reason~'^Ctrl'", ["interrupted"]),
        (f"run/host={HERE} state:killed", ["killed"]),
        (f"host:{HERE}", ["failed", "finished", "interrupted", "killed"]),
        (f"-host:{HERE}", ["ended", "unreadable"]),
        ("run/pid>0 reward>1 state:failed", ["failed"]),
    ],
)
def test_filters(folder: Path, text: str, expected: list[str]) -> None:
    assert [run.name.removesuffix(".flog") for run in trainlog.runs(folder).filter(text)] == expected


def test_where_runs_come_from_is_no_metadata(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = run(capsys, "list", folder)
    head = out.splitlines()[0].split()
    assert "host" not in out.splitlines()[0]
    assert (head[:2], head[-1]) == (["run", "state"], "reason")
    _, out = run(capsys, "list", folder, "--columns", "run,state,host")
    assert [HERE in line for line in out.splitlines()] == [False, False, True, True, True, True, False]
    _, out = run(capsys, "list", folder, "--json")
    assert not [key for line in out.splitlines() for key in json.loads(line) if key.startswith("run/")]


def test_compare_counts_those_that_did_not_finish(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = run(capsys, "compare", folder, "--by", "algo", "--metrics", "reward", "--filter", "-state:unreadable")
    assert "4 (1 failed, 1 interrupted, 1 killed)" in out
    _, out = run(capsys, "compare", folder, "--by", "run/host", "--metrics", "reward", "--json")
    groups = [json.loads(line) for line in out.splitlines()]
    assert {group["group"]["run/host"]: group["runs"] for group in groups}[HERE] == 4
    assert groups[0]["states"] == {"failed": 1, "finished": 1, "interrupted": 1, "killed": 1}


def test_info_diff_and_report_tell_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = run(capsys, "info", folder / "failed.flog")
    assert "failed: ValueError: the <loss> is NaN" in out
    assert "command" in out
    _, out = run(capsys, "info", folder / "failed.flog", folder / "killed.flog", folder / "ended.flog", "--json")
    facts = [json.loads(line) for line in out.splitlines()]
    assert [one["state"] for one in facts] == ["failed", "killed", "ended"]
    assert (facts[0]["end"]["reason"], facts[1]["end"]) == ("ValueError: the <loss> is NaN", None)
    assert facts[0]["run"]["host"] == HERE
    code, out = run(capsys, "diff", folder / "failed.flog", folder / "finished.flog")
    assert 'end: "failed" → "finished"' in out
    assert code == 0
    run(capsys, "report", folder / "failed.flog", folder / "finished.flog", "-o", folder / "report")
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert [log["end"] for log in summary["logs"]] == ["failed: ValueError: the <loss> is NaN", "finished"]


def test_seeds_of_the_command_line_are_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for n, arguments in enumerate((["--seed", "7"], ["seed=8"], ["--env-seed=9"], [])):
        monkeypatch.setattr(sys, "orig_argv", ["python", "train.py", *arguments])
        with TrainingRecorder(tmp_path / f"{n}.flog", metadata={"seed": 1} if n == 1 else {}) as log:
            log.stats({"step": 1})
    table = trainlog.runs(tmp_path).table("stats")
    seeds: list[Any] = [one if ok else None for one, ok in zip(table["seed"], table.column("seed").valid, strict=True)]
    assert seeds == [7, 1, 9, None]


@pytest.mark.parametrize(
    "run_", [{"host": [1]}, {"git": 3, "versions": [1]}, {"git": {"commit": {}, "patch": 3}}, {"began": {"a": 1}}]
)
def test_what_others_wrote_there_harms_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run_: dict[str, Any]
) -> None:
    trainlog.create(tmp_path / "a.flog", run=run_).close()
    assert run(capsys, "info", tmp_path / "a.flog")[0] == 0
    assert run(capsys, "list", tmp_path)[0] == 0
    assert run(capsys, "diff", tmp_path / "a.flog", tmp_path / "a.flog")[0] == 0
    assert trainlog.open(tmp_path / "a.flog")._repr_html_()
