"""What a log says of where its run comes from, and what it never says."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import trainlog
from trainlog import TrainingRecorder, provenance

SCRIPT = """
import sys, trainlog
with trainlog.TrainingRecorder(sys.argv[1]) as log:
    log.record_stats_frame(None, {"step": 1})
"""


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINLOG_PROVENANCE", "on")
    monkeypatch.setattr(provenance, "_looked_up", {})


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    (folder / "train.py").write_text("lr = 1\n")
    (folder / "data.bin").write_bytes(bytes(range(256)))
    (folder / ".env").write_text("A=1\n")
    git("init", "-q", "-b", "walk")
    git("add", "-A")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x")
    return folder


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def run_of(path: Path, **settings: Any) -> dict[str, Any]:
    TrainingRecorder(path, overwrite=True, **settings).close()
    return dict(trainlog.open(path).header.run)


def test_when_where_and_how_it_began(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    before = time.time()
    command = [sys.executable, "train.py", "run.flog", "--seed", "7", "--api-key=hidden"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    run = trainlog.open(tmp_path / "run.flog").header.run
    began = datetime.datetime.fromisoformat(run["began"])
    assert began.tzinfo is not None
    assert before - 0.001 <= began.timestamp() <= time.time()
    assert run["wall"] == pytest.approx(began.timestamp(), abs=0.001)
    assert (run["host"], run["folder"]) == (socket.gethostname(), str(tmp_path))
    assert run["command"].endswith("train.py run.flog --seed 7 '--api-key=[redacted]'")
    assert (run["seed"], run["trainlog"], run["versions"]["numpy"]) == (
        7,
        trainlog.__version__,
        __import__("numpy").__version__,
    )
    assert run["python"] == ".".join(map(str, sys.version_info[:3]))


def test_no_variable_of_the_environment_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "never-to-be-seen")
    TrainingRecorder(tmp_path / "a.flog").close()
    assert b"never-to-be-seen" not in (tmp_path / "a.flog").read_bytes()


def test_code_on_the_command_line_is_left_out(tmp_path: Path) -> None:
    code = f"hidden = 1; {SCRIPT}"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.flog")], check=True, timeout=60)
    assert "hidden" not in (command := trainlog.open(tmp_path / "a.flog").header.run["command"])
    assert " -c ... " in command


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("{python} train.py -c ant.yaml {log}", "train.py -c ant.yaml {log}"),
        ("{python} -B -W ignore -X dev train.py -c ant.yaml {log}", "-B -W ignore -X dev train.py -c ant.yaml {log}"),
        ("{python} -Wignore -m train -c ant.yaml {log}", "-Wignore -m train -c ant.yaml {log}"),
        ("{python} -Bc {code} -c ant.yaml {log}", "-Bc ... -c ant.yaml {log}"),
        ("{python} -c{code} {log}", "-c ... {log}"),
        (
            "{python} --check-hash-based-pycs default -I -c {code} {log}",
            "--check-hash-based-pycs default -I -c ... {log}",
        ),
    ],
)
def test_code_is_told_from_options_of_a_script(tmp_path: Path, command: str, kept: str) -> None:
    (tmp_path / "train.py").write_text(SCRIPT.replace("argv[1]", "argv[-1]"))
    code = f"import sys; sys.path[:0] = {sys.path!r}; " + SCRIPT.replace("argv[1]", "argv[-1]").replace(
        "import sys, ", "import "
    )
    words = [word.format(python=sys.executable, code=code, log="run.flog") for word in command.split()]
    subprocess.run(words, cwd=tmp_path, check=True, timeout=60)
    found = trainlog.open(tmp_path / "run.flog").header.run["command"]
    assert found == f"{sys.executable} {kept.format(log='run.flog')}"


def test_a_seed_is_a_word_of_its_own() -> None:
    for option, seed in [
        ("--seed 3", "3"),
        ("env.seed=3", "3"),
        ("--env-seed=3", "3"),
        ("+seed=3", "3"),
        ("seed=3", "3"),
    ]:
        assert (match := provenance._SEED.search(f"train.py {option}")) is not None
        assert match[1] == seed
    for option in ("--reseed 3", "--noseed 3", "--seeds 3", "--seed-3", "--seed 3.5"):
        assert provenance._SEED.search(f"train.py {option}") is None


def test_the_commit_and_what_differs_from_it(repository: Path) -> None:
    commit = git("rev-parse", "HEAD")
    assert run_of(repository / "a.flog")["git"] == {"commit": commit, "branch": "walk", "dirty": False}
    provenance._looked_up.clear()
    (repository / "train.py").write_text("lr = 2\n")
    (repository / "data.bin").write_bytes(bytes(range(255, -1, -1)))
    (repository / ".env").write_text("A=hidden\n")
    found = run_of(repository / "a.flog")["git"]
    assert (found["commit"], found["dirty"]) == (commit, True)
    assert "-lr = 1\n+lr = 2\n" in found["patch"]
    assert "Binary files a/data.bin and b/data.bin differ" in found["patch"]
    assert "hidden" not in found["patch"]
    git("checkout", "-q", "train.py", "data.bin", ".env")
    of_script = "diff --git a/train.py" + found["patch"].split("diff --git a/train.py")[1]
    (repository / "again.patch").write_text(of_script)
    git("apply", "again.patch")
    assert (repository / "train.py").read_text() == "lr = 2\n"


def test_the_index_is_not_written(repository: Path) -> None:
    """A git that is killed while it writes the index leaves it locked: no commit would be possible any more."""
    os.utime(repository / "train.py", (1, 1))  # the same content at another time, which git notes in its index
    before = (repository / ".git" / "index").read_bytes()
    assert run_of(repository / "a.flog")["git"]["dirty"] is False
    assert (repository / ".git" / "index").read_bytes() == before


def test_of_a_folder_below_it_is_the_same(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "train.py").write_text("lr = 2\n")
    (repository / "below").mkdir()
    monkeypatch.chdir(repository / "below")
    assert "+lr = 2" in run_of(repository / "a.flog")["git"]["patch"]


def test_a_large_patch_and_secrets_are_left_out(repository: Path) -> None:
    (repository / "train.py").write_text("x = 'abc'\n" * 10_000)
    found = run_of(repository / "a.flog")["git"]
    assert "patch" not in found
    assert (found["dirty"], "more than 65,536 bytes" in found["note"]) == (True, True)
    provenance._looked_up.clear()
    (repository / "train.py").write_text("api_key = 'abcdefgh1234'\n")
    found = run_of(repository / "a.flog")["git"]
    assert "+api_key = '[redacted]'" in found["patch"]
    assert "secret" in found["note"]


@pytest.mark.parametrize("how", ["argument", "variable"])
@pytest.mark.parametrize("level", ["no-patch", "off"])
def test_it_can_be_left_out(repository: Path, monkeypatch: pytest.MonkeyPatch, how: str, level: str) -> None:
    (repository / "train.py").write_text("lr = 2\n")
    settings: dict[str, Any] = {"provenance": level} if how == "argument" else {}
    if how == "variable":
        monkeypatch.setenv("TRAINLOG_PROVENANCE", level)
    run = run_of(repository / "a.flog", **settings)
    if level == "off":
        assert run == {"trainlog": trainlog.__version__}
        assert run_of(repository / "a.flog", provenance=False) == run
    else:
        assert (run["git"]["dirty"], "patch" in run["git"]) == (True, False)
    assert trainlog.open(repository / "a.flog").end is not None


def test_a_variable_that_forbids_it_goes_before_an_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINLOG_PROVENANCE", "off")
    assert "host" not in run_of(tmp_path / "a.flog", provenance="on")


def test_other_words_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="provenance is one of 'on', 'no-patch', 'off', not 'some'"):
        run_of(tmp_path / "a.flog", provenance="some")
    monkeypatch.setenv("TRAINLOG_PROVENANCE", "maybe")
    with pytest.raises(ValueError, match="TRAINLOG_PROVENANCE is one of"):
        run_of(tmp_path / "a.flog")
    assert not (tmp_path / "a.flog").exists()


def test_without_git_and_without_a_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "git" not in run_of(repository / "a.flog")
    monkeypatch.undo()
    monkeypatch.setenv("TRAINLOG_PROVENANCE", "on")
    monkeypatch.chdir(repository.parent)
    provenance._looked_up.clear()
    assert "git" not in run_of(repository / "a.flog")


def test_a_repository_without_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    assert "git" not in run_of(tmp_path / "a.flog")


def test_a_git_that_hangs_is_not_waited_for(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = repository.parent / "bin" / "git"
    slow.parent.mkdir()
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    slow.write_text(f'#!/bin/sh\ncase "$*" in *" diff "*) exec sleep 600;; esac\nexec {real} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(provenance, "_SECONDS", 0.5)
    found = run_of(repository / "a.flog")["git"]
    assert "not found within 0.5 s" in found["note"]
    assert "dirty" not in found


def test_git_is_asked_by_a_process_with_many_open_files(repository: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < 2000:
        pytest.skip("this system allows no more than a thousand open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], 2000), limits[1]))
    with contextlib.ExitStack() as files:
        files.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        for _ in range(1024):
            files.enter_context(open(os.devnull))
        found = run_of(repository / "a.flog")
    assert found["git"]["commit"] == git("rev-parse", "HEAD")


def test_the_clock_of_a_run_goes_while_git_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of frames count from the moment that the header says, however long it took to open the log."""
    monkeypatch.setattr(provenance, "_git", lambda *_, **__: time.sleep(0.2) or {})
    with TrainingRecorder(tmp_path / "a.flog") as log:
        assert log.now() >= 0.2


def test_nothing_that_a_repository_names_is_run(repository: Path) -> None:
    ran = repository.parent / "ran"
    script = repository.parent / "evil"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    for key in ("core.fsmonitor", "diff.external", "diff.evil.textconv", "diff.evil.command", "core.pager"):
        git("config", key, str(script))
    (repository / ".gitattributes").write_text("* diff=evil\n")
    (repository / "train.py").write_text("lr = 2\n")
    assert run_of(repository / "a.flog")["git"]["dirty"] is True
    assert not ran.exists()


def test_a_working_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    run = run_of(tmp_path / "a.flog")
    assert "folder" not in run
    assert "command" in run


def test_one_process_does_not_ask_git_for_each_log(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(repository / "a.flog")
    monkeypatch.setattr(provenance, "_asked", None)
    assert "commit" in run_of(repository / "b.flog")["git"]


def test_users_metadata_are_their_own(tmp_path: Path) -> None:
    mine = {"run": {"host": "mine"}, "git": 1, "host": "x"}
    with TrainingRecorder(tmp_path / "a.flog", "ant", "walk", metadata=mine):
        pass
    header = trainlog.open(tmp_path / "a.flog").header
    assert header.meta == {"creature": "ant", "task": "walk", **mine}
    raw, _ = json.JSONDecoder().raw_decode((tmp_path / "a.flog").read_bytes()[11:].decode("latin-1"))
    assert raw["trainlog"]["run"]["host"] == header.run["host"] != "x"


def test_the_resumption_of_another_process_is_told(tmp_path: Path) -> None:
    run_of(tmp_path / "a.flog")
    TrainingRecorder(tmp_path / "a.flog", resume=True).close()
    (event,) = trainlog.open(tmp_path / "a.flog").frames("event")
    assert event.data["run"]["command"]
    assert "patch" not in event.data["run"].get("git", {})
