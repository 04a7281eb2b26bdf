"""``trainlog sync``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainlog
from buckets import FaultyFileSystem, log_in, new_bucket, objects
from handmade import Flog
from trainlog.cli import main
from trainlog.errors import CodecError
from trainlog.storage.append import AppendFile

LOG = Flog.header({"creature": "ant"}) + b"".join(Flog.frame(i + 0.5, 2, {"step": i}) for i in range(100))


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "runs"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.flog").write_bytes(LOG)
    (folder / "deep" / "b.flog").write_bytes(LOG[:-3])
    (folder / "deep" / "note.txt").write_text("hello")
    yield folder
    FaultyFileSystem.heal()


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["sync", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_a_tree_is_sent_once(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = new_bucket()
    assert run(capsys, runs, url, "--dry-run") == (0, f"{url}: 3 files would be sent, 3 objects, 4.0 KB\n", "")
    assert objects(url) == {}
    assert run(capsys, runs, f"{url}/") == (0, f"{url}: 3 files sent, 3 objects, 4.0 KB\n", "")
    assert log_in(url, "a.flog") == LOG
    assert LOG.startswith(log_in(url, "deep/b.flog"))
    assert objects(url)["deep/note.txt"] == b"hello"
    assert run(capsys, runs, url) == (0, f"{url}: 0 files sent, 0 objects, 0 B\n", "")


def test_one_log_and_what_belongs_to_it(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = new_bucket()
    (runs / "a.flog.media").mkdir()
    (runs / "a.flog.media" / "picture.png").write_bytes(b"png")
    (runs / "another.flog").write_bytes(LOG)
    code, out, _ = run(capsys, runs / "a.flog", url, "--json")
    assert code == 0
    assert json.loads(out) == {
        "source": str(runs),
        "dest": url,
        "dry_run": False,
        "sent": [
            {"file": "a.flog", "objects": 1, "size": len(LOG)},
            {"file": "a.flog.media/picture.png", "objects": 1, "size": 3},
        ],
        "waiting": [],
        "left_out": [],
    }
    assert sorted(objects(url)) == [f"a.flog.parts/{0:020d}", "a.flog.media/picture.png"][::-1]


def test_what_waits_is_said_and_the_exit_code_is_1(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = new_bucket("failing")

    def fail(what: str, path: str) -> None:
        if what == "write" and "b.flog" in path:
            raise ConnectionError("the cable is cut")

    FaultyFileSystem.before = staticmethod(fail)
    held = AppendFile(runs / "held.bin", b"no log")
    code, out, err = run(capsys, runs, url)
    held.close()
    assert code == 1
    assert out == f"{url}: 2 files sent, 2 objects, 2.0 KB\n"
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("trainlog: deep/b.flog: 2.0 KB wait: cannot write")
    assert lines[0].endswith("the cable is cut")
    assert lines[1].startswith(f"trainlog: held.bin: 6 B wait: process {os.getpid()}")
    FaultyFileSystem.heal()
    assert run(capsys, runs, url)[0] == 0
    assert LOG.startswith(log_in(url, "deep/b.flog"))


def test_a_log_that_was_replaced_needs_overwrite(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = new_bucket()
    run(capsys, runs, url)
    (runs / "a.flog").write_bytes(new := Flog.header({"creature": "go2"}) + LOG[100:])
    code, _, err = run(capsys, runs, url)
    assert code == 1
    assert "is not the beginning of this one" in err
    assert log_in(url, "a.flog") == LOG
    assert run(capsys, runs, url, "--overwrite")[0] == 0
    kept = log_in(url, "a.flog")
    assert kept
    assert new.startswith(kept)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["runs", "nothing://bucket"], "an unknown file system"),
        (["runs", "https://host/a"], "can only be read"),
        (["nothing", "memory://a"], "does not exist"),
        (["runs", "runs"], "is inside runs"),
        (["runs", "runs/deep/er"], "is inside runs"),
        (["runs", "file://{here}/runs/x"], "is inside runs"),
        (["runs", "link"], "is inside runs"),
        (["runs/a.flog", "runs"], "would be sent into itself"),
        (["runs", "memory://a", "--watch", "--dry-run"], "cannot be combined"),
        (["runs", "memory://a", "--every", "0"], "--every"),
        (["runs", "s3:/bucket/runs"], "one slash"),
        (["runs", ""], "the address is empty"),
    ],
)
def test_wrong_arguments_are_one_sentence_and_exit_code_2(
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    text: str,
) -> None:
    monkeypatch.chdir(runs.parent)
    (runs.parent / "link").symlink_to("runs")
    code, out, err = run(capsys, *[one.replace("{here}", str(runs.parent)) for one in arguments])
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert text in err


def test_convert_makes_no_folder_of_an_address(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    before = sorted(runs.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        main(["convert", "a.flog", "s3://bucket/b.flog"])
    assert ended.value.code == 2
    assert "trainlog sync" in capsys.readouterr().err
    with pytest.raises(CodecError, match="trainlog sync"):
        trainlog.convert("a.flog", "s3://bucket/b.flog")
    assert sorted(runs.rglob("*")) == before


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (PermissionError("no credentials"), 2, "no credentials"),
        (FileNotFoundError("no such bucket"), 2, "no such bucket"),
        (type("ProfileNotFound", (Exception,), {})("no such profile"), 2, "no such profile"),
        (ConnectionError("wrong:\n the name"), 1, "wrong: the name; all of it waits"),
        (ConnectionError("no route"), 1, "no route; all of it waits"),
    ],
)
def test_a_bucket_that_cannot_be_listed(
    runs: Path, capsys: pytest.CaptureFixture[str], error: Exception, code: int, text: str
) -> None:
    def fail(what: str, path: str) -> None:
        raise error

    FaultyFileSystem.before = staticmethod(fail)
    found, out, err = run(capsys, runs, new_bucket("failing"))
    assert (found, out) == (code, "")
    assert len(err.splitlines()) == 1
    assert text in err


def test_watch_sends_what_is_new_until_ctrl_c(runs: Path) -> None:
    url = f"file://{runs.parent}/away"
    environment = {**os.environ, "PYTHONPATH": str(Path(trainlog.__file__).parents[1])}
    command = [sys.executable, "-m", "trainlog", "sync", str(runs), url, "--watch", "--every", "0.1", "--json"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert {one["file"] for one in json.loads(process.stdout.readline())["sent"]} >= {"a.flog", "deep/b.flog"}
        with (runs / "a.flog").open("ab") as file:
            file.write(Flog.frame(500.0, 2, {"step": 500}))
        (runs / "new.flog").write_bytes(LOG)
        until = time.monotonic() + 30
        while log_in(url, "new.flog") != LOG or len(log_in(url, "a.flog")) == len(LOG):
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert log_in(url, "a.flog") == (runs / "a.flog").read_bytes()
    assert objects(url)["deep/note.txt"] == b"hello"
