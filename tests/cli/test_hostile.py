"""Mistakes of the user, and of two users at once: one clear sentence, exit code 2, and nothing is lost."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import by_hand_simion
import trainlog
from trainlog import Frame, Kind
from trainlog.cli import main
from trainlog.errors import LogExists, LogInUse, LogWriteError


def created(path: Path, count: int = 5) -> Path:
    with trainlog.create(path, {"creature": "ant"}) as writer:
        writer.write_all(Frame(float(n), Kind.STATS, {"step": n, "reward": n / 2}) for n in range(count))
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What is said of it on one line."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("trainlog: ")
    return line.removeprefix("trainlog: ")


@pytest.mark.parametrize("verb", ["info", "dump", "tail", "convert", "compact", "plot", "diff", "report", "verify"])
def test_a_command_without_arguments(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"(see trainlog {verb} --help)" in refused(capsys, verb)


@pytest.mark.parametrize("verb", ["repair", "convert"])
def test_targets_that_cannot_be(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = created(tmp_path / "a.flog")
    (tmp_path / "gone.flog").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.iterdir())
    why = refused(capsys, verb, log, log / "b.flog")
    assert why.startswith(f"{log / 'b.flog'}: cannot ")
    assert (
        refused(capsys, verb, log, log) == f"{log}: there is a file already, and a log is never overwritten by default"
    )
    assert "there is a file already" in refused(capsys, verb, log, tmp_path / "gone.flog")
    long = tmp_path / f"{'x' * 300}.flog"
    assert refused(capsys, verb, log, long).removeprefix(f"{long}: ").endswith("File name too long")
    assert sorted(tmp_path.iterdir()) == before


def test_a_log_that_is_being_written_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = created(tmp_path / "a.flog")
    with trainlog.create(tmp_path / "live.flog") as writer:
        writer.write(Frame(0.0, Kind.STATS, {"step": 7}))
        why = refused(capsys, "convert", "--overwrite", log, tmp_path / "live.flog")
        assert "is writing this log; it is not replaced" in why
        assert f"process {os.getpid()}" in why
        writer.write(Frame(1.0, Kind.STATS, {"step": 8}))
    assert trainlog.open(tmp_path / "live.flog").table("stats")["step"].tolist() == [7, 8]


def test_nor_one_that_somebody_begins_to_write_meanwhile(tmp_path: Path) -> None:
    log, writers = created(tmp_path / "a.flog"), list[trainlog.Writer]()
    with pytest.raises(LogInUse):
        trainlog.convert(
            log,
            tmp_path / "b.flog",
            overwrite=True,
            progress=lambda _: writers.append(trainlog.create(tmp_path / "b.flog")),
        )
    writers[0].close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.flog", "b.flog"]


@pytest.mark.parametrize("has_links", [True, False])
def test_of_two_conversions_to_one_place_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    def refuse(*paths: object) -> None:
        raise PermissionError(1, "this file system has no hard links")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    data = by_hand_simion.experiment() + by_hand_simion.episode_of([(1.0, 2.0)] * 4)
    log = by_hand_simion.log(tmp_path, data)
    out = tmp_path / "out"
    for name in ("b.parquet", "b.simion.log.bin"):
        taken = out / name
        target = out / name.removesuffix(".bin")
        with pytest.raises(LogExists) as refused:
            trainlog.convert(log, target, progress=lambda _, taken=taken: taken.write_bytes(b"of another"))
        assert refused.value.path == taken
        assert taken.read_bytes() == b"of another"
        assert list(out.iterdir()) == [taken]
        taken.unlink()
        trainlog.convert(log, target)
        assert trainlog.verify(target).whole
        for file in out.iterdir():
            file.unlink()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error")])
def test_a_conversion_that_ends_between_two_files_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    data = by_hand_simion.experiment() + by_hand_simion.episode_of([(1.0, 2.0)] * 4)
    log = by_hand_simion.log(tmp_path, data)
    link, calls = os.link, itertools.count()

    def fail_once(source: Path, target: Path) -> None:
        if next(calls):
            raise error
        link(source, target)

    monkeypatch.setattr(os, "link", fail_once)
    monkeypatch.setattr(Path, "replace", fail_once)
    with pytest.raises((KeyboardInterrupt, LogWriteError)):
        trainlog.convert(log, tmp_path / "out" / "b.simion.log")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_system_without_links_can_hold_a_repaired_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: object) -> None:
        raise PermissionError(1, "this file system has no hard links")

    log = created(tmp_path / "a.flog")
    monkeypatch.setattr(os, "link", refuse)
    trainlog.repair(log, tmp_path / "b.flog")
    assert list(trainlog.open(tmp_path / "b.flog").frames("stats")) == list(trainlog.open(log))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.flog", "b.flog"]


def test_a_full_disk_names_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not the temporary file, which is gone when the message is read."""

    def full(*arguments: object) -> int:
        raise OSError(28, os.strerror(28))

    log = created(tmp_path / "a.flog")
    monkeypatch.setattr(os, "write", full)
    for verb, name in (("convert", "b.flog"), ("repair", "b.flog"), ("convert", "b.tfevents")):
        why = refused(capsys, verb, log, tmp_path / name)
        assert why.startswith(f"{tmp_path / name}: cannot ")
        assert why.endswith(": No space left on device")
    assert list(tmp_path.iterdir()) == [log]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_letters_that_the_encoding_of_the_output_does_not_have(tmp_path: Path, encoding: str) -> None:
    log = tmp_path / "größe ☃.flog"
    data = {"step": 1, "reward": 1.5, "☃ ü 😀": 2, "text": "ü ☃ 😀"}
    with trainlog.create(log, {"creature": "ü ☃ 😀"}) as writer:
        writer.write_all(Frame(float(n), Kind.STATS, data) for n in range(9))
    environment = {**os.environ, "COLUMNS": "20", "PYTHONIOENCODING": encoding, "NO_COLOR": "1"}
    for verb in (["info"], ["info", "--json"], ["dump"], ["tail"], ["verify"], ["watch", "--once"], ["list"]):
        command = [sys.executable, "-m", "trainlog", *verb, str(log)]
        done = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
        assert (verb, done.returncode, done.stderr) == (verb, 0, b"")
        assert b"\x1b" not in done.stdout
        if verb in (["dump"], ["info", "--json"]):
            first = json.loads(done.stdout.decode("utf-8" if encoding == "ascii" else encoding).splitlines()[0])
            assert first.get("data", data) == data
            assert first.get("meta", {"creature": "ü ☃ 😀"})["creature"] == "ü ☃ 😀"


def test_a_name_that_the_locale_does_not_have(tmp_path: Path) -> None:
    log = tmp_path / "a.flog"
    with trainlog.create(log) as writer:
        writer.write_all(Frame(float(n), Kind.STATS, {"step": n, "☃": n}) for n in range(9))
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "trainlog", "plot", str(log), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, env=environment, text=True, timeout=60, check=False)
    assert done.returncode in (0, 2)  # 0 where the system has names of UTF-8 only
    assert "Traceback" not in done.stderr
    assert not done.returncode or "set LC_ALL=C.UTF-8" in done.stderr
