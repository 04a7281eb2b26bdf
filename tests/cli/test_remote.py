"""The commands on URLs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import pytest

from made_logs import training
from made_runs import log_bytes, sweep
from trainlog.cli import main

if TYPE_CHECKING:
    from faulty_storage import FaultyStorage

URL = "faulty://bucket/run.flog"


@pytest.fixture
def log(storage: type[FaultyStorage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    path = training(tmp_path / "own.flog").path
    storage.put("bucket/run.flog", path.read_bytes())
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize(
    "command",
    [
        ["info"],
        ["info", "--json"],
        ["verify"],
        ["verify", "--json"],
        ["dump"],
        ["tail"],
        ["tail", "-n", "3", "--kind", "event"],
        ["watch", "--once"],
    ],
    ids=" ".join,
)
def test_a_command_says_the_same_of_a_url(log: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    os.utime(log, (0, 0))  # what has grown just now is said to be running
    code, near, _ = run(capsys, *command, log.name)
    again, far, err = run(capsys, *command, URL)
    assert (code, again, err) == (0, 0, "")

    def plain(text: str, name: str) -> str:
        return text.replace(name, "LOG").replace(name.rpartition("/")[2], "LOG")

    assert plain(far, URL).split() == plain(near, "own.flog").split()


def test_plots_reports_and_conversions_are_written_here(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "plot", URL, "-o", "figures", "--format", "svg")[0] == 0
    assert list(Path("figures").glob("*.svg"))
    assert run(capsys, "report", URL, "-o", "report")[0] == 0
    assert "whole" in Path("report/report.md").read_text()
    assert run(capsys, "convert", URL, "copy.flog")[0] == 0
    assert run(capsys, "diff", URL, "copy.flog")[0] in (0, 1)
    assert run(capsys, "convert", "faulty://bucket/*.flog", "--out", "all", "--to", "flog")[0] == 0
    assert [one.name for one in Path("all").iterdir()] == ["run.flog"]
    assert run(capsys, "repair", URL, "whole.flog")[0] == 0
    assert not Path("faulty:").exists()


def test_trees(storage: type[FaultyStorage], log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(Path("sweep"))
    for file in Path("sweep").rglob("*.flog"):
        storage.put(f"bucket/{file.as_posix()}", file.read_bytes())
    near = run(capsys, "list", "sweep", "--columns", "run,seed,reward")
    far = run(capsys, "list", "faulty://bucket/sweep", "--columns", "run,seed,reward")
    assert near == far
    assert far[0] == 0
    compared = run(capsys, "compare", "faulty://bucket/sweep", "--by", "algo")
    assert compared == run(capsys, "compare", "sweep", "--by", "algo")
    code, out, _ = run(capsys, "list", "faulty://bucket/sweep/sac/*.flog", "--json")
    assert (code, len([json.loads(line) for line in out.splitlines()])) == (0, 3)
    assert run(capsys, "compact", "faulty://bucket/sweep", "all")[0] == 0
    assert Path("all/runs.parquet").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["plot", "own.flog", "-o", "s3://bucket/figures"],
        ["report", "own.flog", "-o", "s3://bucket/report"],
        ["convert", "own.flog", "s3://bucket/copy.flog"],
        ["convert", "own.flog", "--out", "s3://bucket/all"],
        ["repair", "own.flog", "s3://bucket/whole.flog"],
        ["compact", "own.flog", "--out", "s3://bucket/all"],
        ["compact", ".", "s3://bucket/all"],
        ["diff", "own.flog", "own.flog", "-o", "s3://bucket/figures"],
    ],
    ids=" ".join,
)
def test_no_command_writes_to_a_url(log: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    code, _, err = run(capsys, *command)
    assert code == 2
    assert "is a URL, and this is only written to a local file" in err
    assert "Traceback" not in err
    assert not Path("s3:").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["plot", "own.flog", "-o", ""],
        ["report", "own.flog", "-o", ""],
        ["convert", "own.flog", "", "--to", "simion"],
        ["convert", "own.flog", "--out", "", "--to", "simion"],
        ["compact", "own.flog", "--out", ""],
        ["diff", "own.flog", "own.flog", "-o", ""],
        ["replay", "own.flog", "--video", ""],
    ],
    ids=" ".join,
)
def test_an_empty_path_is_not_the_current_folder(
    log: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    before = sorted(Path().iterdir())
    code, _, err = run(capsys, *command)
    assert code == 2
    assert "the path is empty; the current folder is '.'" in err
    assert sorted(Path().iterdir()) == before


def test_no_password_is_shown(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "memory://me:secret@host/a"
    fsspec.filesystem("memory").pipe_file(url, log.read_bytes())
    for command in (["info", url], ["verify", url], ["tail", f"{url}b"], ["sync", url, "memory://b"]):
        _, out, err = run(capsys, *command)
        assert "memory://host/a" in out + err
        assert "secret" not in out + err


def test_what_goes_wrong_is_one_line(
    storage: type[FaultyStorage], log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "info", "faulty://bucket/none.flog")[::2] == (
        2,
        "trainlog: faulty://bucket/none.flog: there is no such file\n",
    )
    storage.put("bucket/other.flog", log_bytes({}, [{"reward": 1.0}]))

    def fail(what: str, path: str) -> None:
        raise OSError("500\nInternal \x1b[31mError")

    storage.hook = fail
    code, _, err = run(capsys, "tail", "faulty://bucket/other.flog")
    assert code == 2
    assert "cannot read it (OSError: 500" in err
    assert "\x1b" not in err
    assert len(err.splitlines()) == 1
