"""The command line as a shell sees it: what is printed where, and exit codes."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import trainlog
from trainlog import Frame, Kind
from trainlog.cli import info
from trainlog.cli.output import output_console

COMMAND = [sys.executable, "-m", "trainlog"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def no_constants(text: str) -> Any:
    """JSON as the standard has it: NaN and Infinity are refused."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "run.flog"
    with trainlog.create(path, {"creature": "ant [bold]", "seed": 7, "nan": math.nan}, phase=1) as writer:
        writer.write(Frame(0.0, Kind.EVENT, {"type": "start"}))
        for n in range(20):
            data = {"step": n * 10, "reward": n * 0.5, "gait": {"phase": n}, "bad": math.inf}
            writer.write(Frame(n * 0.5, Kind.STATS, data if n else {**data, "once": b"\x00\xff"}))
        writer.write(Frame(10.0, Kind(9), {"x": [math.nan, -math.inf, 1]}))
    return path


def test_info(log: Path) -> None:
    done = run("info", log)
    assert (done.returncode, done.stderr) == (0, "")
    for fact in ("ant [bold]", "22 frames", "stats", "kind_9", "gait", "once (1)", "9.50 s"):
        assert fact in done.stdout


def test_info_tells_times_before_the_start_of_the_run(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "run.flog") as writer:
        writer.write(Frame(-7290.0, Kind.STATS, {"step": 1}))
        writer.write(Frame(-500.0, Kind.STATS, {"step": 2}))
    assert "-2 h 01 min  -8 min 20 s" in re.sub(r" {3,}", "  ", run("info", tmp_path / "run.flog").stdout)


def test_info_on_a_narrow_terminal(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(info, "output_console", lambda: output_console(30))
    info.command.main([str(log)], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert re.search(r"stats +20 +5 +0\.00 s +9\.50 s +2 +\d+ B\n", shown)


def test_info_as_json(log: Path) -> None:
    done = run("info", "--json", log, log)
    first, second = map(no_constants, done.stdout.splitlines())
    assert first == second
    assert first["codec"] == "flog"
    assert first["frames"] == 22
    assert first["meta"] == {"creature": "ant [bold]", "seed": 7, "nan": None}
    assert first["phase"] == 1
    stats = first["kinds"]["stats"]
    assert (stats["type"], stats["frames"], stats["first"], stats["last"]) == (2, 20, 0.0, 9.5)
    assert stats["rate"] == pytest.approx(2.0)
    assert stats["keys"] == {"step": 20, "reward": 20, "gait/phase": 20, "bad": 20, "once": 1}
    assert first["damage"] == []


def test_names_that_are_not_utf8_are_told_apart_in_json(log: Path, tmp_path: Path) -> None:
    paths = [tmp_path / os.fsdecode(b"a\xff.flog"), tmp_path / os.fsdecode(b"a\xfe.flog")]
    for path in paths:
        path.write_bytes(log.read_bytes())
    done = run("verify", "--json", *paths)
    names = [Path(no_constants(line)["path"]).name for line in done.stdout.splitlines()]
    assert names == ["a\\udcff.flog", "a\\udcfe.flog"]


def test_info_tells_of_damage(log: Path, tmp_path: Path) -> None:
    whole = log.read_bytes()
    torn = tmp_path / "torn.flog"
    torn.write_bytes(whole[:-5])
    assert "unfinished record at the end" in run("info", torn).stdout
    (gap,) = no_constants(run("info", "--json", torn).stdout)["damage"]
    assert gap["torn"] is True
    assert gap["offset"] + gap["size"] == len(whole) - 5


def test_dump_is_strict_json(log: Path) -> None:
    done = run("dump", log)
    lines = [no_constants(line) for line in done.stdout.splitlines()]
    assert len(lines) == 22
    assert lines[0] == {"time": 0.0, "kind": "event", "data": {"type": "start"}}
    assert lines[1]["data"]["once"] == "AP8="
    assert lines[1]["data"]["bad"] is None
    assert lines[-1] == {"time": 10.0, "kind": "kind_9", "data": {"x": [None, None, 1]}}


def test_dump_of_one_kind_and_some_keys(log: Path) -> None:
    for kind in ("stats", "2", "STATS"):
        done = run("dump", log, "--kind", kind, "--keys", "gait/phase, reward")
        lines = [no_constants(line)["data"] for line in done.stdout.splitlines()]
        assert lines == [{"gait/phase": n, "reward": n * 0.5} for n in range(20)]


def test_dump_into_a_pipe_that_closes(log: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m trainlog dump {log} | head -n 1", shell=True, capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


@pytest.mark.parametrize("verb", ["info", "dump", "verify", "codecs", "--help", "info --help", "watch --once"])
def test_a_reader_of_the_output_that_leaves(log: Path, verb: str) -> None:
    source, target = os.pipe()
    os.close(source)
    arguments = verb.split() + [str(log)] * (verb in ("info", "dump", "verify", "watch --once"))
    with open(target, "wb") as pipe:
        done = subprocess.run([*COMMAND, *arguments], stdout=pipe, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (141, b"")  # 1 would say of verify that the log is damaged


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(log: Path, tmp_path: Path, closed: str) -> None:
    parquet = tmp_path / "a.parquet"
    verbs = ["codecs", *(f"{verb} {log}" for verb in ("info", "dump", "verify", "watch --once"))]
    for verb in [*verbs, f"list {log.parent}", f"convert {log} {parquet}"]:
        command = f"{shlex.join(COMMAND)} {verb} {closed}"
        done = subprocess.run(command, shell=True, capture_output=True, timeout=60, check=False)
        assert (verb, done.returncode, done.stderr) == (verb, 0, b"")
    assert len(list(trainlog.open(parquet))) == 22


def test_ctrl_c_while_the_commands_are_imported() -> None:
    code = """
import sys
class Pressed:
    def find_spec(self, name, *where):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Pressed())
import runpy
runpy.run_module("trainlog", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "trainlog: stopped\n")


def test_what_compact_cannot_compress_is_said_as_by_other_commands(log: Path, tmp_path: Path) -> None:
    text, folder, parquet = (tmp_path / name for name in ("text.flog", "folder", "log.parquet"))
    text.write_text("hello")
    folder.mkdir()
    (tmp_path / "folder.flog.zst").write_bytes(b"of another log")
    trainlog.convert(log, parquet)
    for path, why in (
        (text, "no codec accepts this file"),
        (folder, "this is a folder"),
        (parquet, "a log of the format parquet cannot be compressed"),
    ):
        done = run("compact", path)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{path}: {why}" in done.stderr


def test_tail(log: Path) -> None:
    lines = run("tail", log, "-n", 3, "--kind", "stats", "--keys", "step").stdout.splitlines()
    assert [no_constants(line)["data"]["step"] for line in lines] == [170, 180, 190]
    assert run("tail", log, "-n", 0).stdout == ""


def test_tail_follows(tmp_path: Path) -> None:
    path = tmp_path / "live.flog"
    with trainlog.create(path) as writer:
        writer.write(Frame(0.0, Kind.STATS, {"n": 0}))
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen([*COMMAND, "tail", "-f", str(path)], **pipes) as tail:
            assert tail.stdout is not None
            assert tail.stderr is not None
            for n in range(1, 4):
                assert no_constants(tail.stdout.readline())["data"] == {"n": n - 1}
                writer.write(Frame(n, Kind.STATS, {"n": n}))
            assert no_constants(tail.stdout.readline())["data"] == {"n": 3}
            time.sleep(0.2)
            tail.send_signal(signal.SIGINT)
            assert tail.wait(20) == 0
            assert tail.stderr.read() == ""


def test_codecs() -> None:
    done = run("codecs")
    assert done.returncode == 0
    assert "flog" in done.stdout
    rows = no_constants(run("codecs", "--json").stdout)
    assert {"name": "flog", "reads": True, "writes": True}.items() <= rows[0].items()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["info", "nowhere.flog"], "nowhere.flog: there is no such file"),
        (["dump", "nowhere.flog"], "nowhere.flog: there is no such file"),
        (["tail", "nowhere.flog"], "nowhere.flog: there is no such file"),
        (["info", "."], "this is a folder, not a log"),
        (["info", "png"], "no codec accepts this file"),
        (["info", "cut.flog"], "ends inside"),
        (["info"], "Missing argument"),
        (["dump", "--kind", "walk", "png"], "'walk' is not a kind of frame"),
        (["tail", "-n", "-1", "png"], "-1"),
        (["fly"], "No such command 'fly'"),
        (["--wings"], "No such option"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    arguments: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "png").write_bytes(b"PNG")
    (tmp_path / "cut.flog").write_bytes(b"FLOG\x01\x00")
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("trainlog: ")
    assert why in line


def test_damage_is_a_note_not_a_traceback(log: Path, tmp_path: Path) -> None:
    hole = tmp_path / "hole.flog"
    raw = log.read_bytes()
    hole.write_bytes(raw + b"\x00" * 50)
    done = run("dump", hole)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 22
    assert done.stderr.startswith("trainlog: note: ")
    assert "50 bytes" in done.stderr


def test_help_and_version() -> None:
    assert trainlog.__version__ in run("--version").stdout
    done = run("--help")
    for verb in ("info", "dump", "tail", "codecs", "convert", "demo"):
        assert f"  {verb} " in done.stdout
        assert run(verb, "--help").returncode == 0
    for verb, example in (
        ("compact", "trainlog compact runs/ all/ "),
        ("sync", "trainlog sync runs/ s3://bucket/runs "),
    ):
        text = run(verb, "--help").stdout
        assert any(line.startswith(f"  {example}") for line in text.splitlines())
        assert "\\b" not in text
