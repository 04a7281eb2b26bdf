"""What the documents show is run."""

from __future__ import annotations

import pydoc
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import trainlog
from made_logs import write_log
from trainlog.cli import cli

ROOT = Path(__file__).parents[1]
CHANGES = ROOT / "CHANGELOG.md"
DOCUMENTS = sorted([ROOT / "README.md", CHANGES, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_codec_of_the_document_passes_its_own_tests(tmp_path: Path) -> None:
    codec, test = blocks(ROOT / "docs" / "writing-a-codec.md", "python")
    (tmp_path / "test_lines.py").write_text(f"{codec}\n\n{test}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "test_lines.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed, 2 skipped" in done.stdout  # frames that come live, and what a run says later


def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "README.md", "python")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert trainlog.open(tmp_path / "runs" / "ant.flog").summary().frames > 0


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("environments.md", ["4 evaluation ", "it has no end: the log ends before one"]),
        ("mujoco.md", ["['swing']", "30 states are the same again, bit for bit"]),
        ("replay.md", []),
        ("provenance.md", ["12034 {'best': 0.5}", "End(state='finished'"]),
        ("migrating.md", ["304\n300 2990 0.5\n", "stats.csv", "tests/results/training_curves/train 100"]),
    ],
)
def test_the_examples_of_a_page_run(tmp_path: Path, page: str, says: list[str]) -> None:
    if page not in ("migrating.md", "provenance.md"):
        pytest.importorskip("mujoco")
        pytest.importorskip("gymnasium")
    command = [sys.executable, "-W", "error", "-c", "\n".join(blocks(ROOT / "docs" / page, "python"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [words for words in says if words not in done.stdout] == []


def test_the_page_about_buckets_is_true(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    _, code = blocks(ROOT / "docs" / "remote.md", "python")
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == [f"{tmp_path}/disk/ant.flog memory://bucket/ant.flog", "True"]
    write_log(tmp_path / "runs" / "a.flog", [{"step": 1}], {})
    _, lines = blocks(ROOT / "docs" / "remote.md", "sh")
    for line in lines.replace("s3://bucket", str(tmp_path / "bucket")).splitlines():
        arguments = shlex.split(line, comments=True)[1:]
        if "--watch" not in arguments:
            command = [sys.executable, "-m", "trainlog", *arguments]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "bucket" / "runs" / "a.flog.parts" / f"{0:020d}").exists()


def test_the_page_about_many_runs_is_true(tmp_path: Path) -> None:
    pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    for seed in range(12):
        rows = [{"step": 100 * n, "reward": 20.0 * n + seed} for n in range(10)]
        algo = "sac" if seed % 2 else "ppo"
        write_log(tmp_path / "sweep" / algo / f"{seed}.flog", rows, {"algo": algo, "lr": 3e-4, "seed": seed})
    code = "\n".join(blocks(ROOT / "docs" / "runs.md", "python"))
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("12 ['ppo/0.flog', 'ppo/2.flog', 'ppo/4.flog']")
    assert "sac/1.flog 1 96.0" in done.stdout
    (lines,) = blocks(ROOT / "docs" / "runs.md", "sh")
    for line in lines.splitlines():
        arguments = shlex.split(line, comments=True)[1:]
        command = [sys.executable, "-m", "trainlog", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_page_about_object_storage_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("run.flog", "sweep/0.flog", "sweep/1.flog", "sweep/a/run.flog", "runs/run.flog"):
        rows = [{"step": 100 * n, "reward": 20.0 * n} for n in range(10)]
        path = write_log(tmp_path / "logs" / name, rows, {"algo": "sac"}).path
        memory.pipe_file(f"/lab/{name}", path.read_bytes())
    code, _ = blocks(ROOT / "docs" / "remote.md", "python")
    exec(code, {})
    assert capsys.readouterr().out.splitlines()[-2:] == ["[180. 180. 180.]", "['sweep/1.flog']"]
    lines, _ = blocks(ROOT / "docs" / "remote.md", "sh")
    for line in lines.splitlines():
        arguments = shlex.split(re.sub(r"(s3|gs|hf):/(/datasets)?/", "memory://", line))[1:]
        if arguments[0] != "serve":
            assert cli.main([one for one in arguments if one != "-f"], standalone_mode=False) in (0, None)
    assert list((tmp_path / "figures").iterdir())


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", path.read_text("utf-8")):
        if "://" not in target:
            page = path.parent / target if target else path
            assert page.exists(), f"{path.name} links to {target}"
            assert not anchor or anchor in anchors(page), f"{path.name} links to {target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub makes anchors of them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_names_of_trainlog_and_its_files_exist() -> None:
    for path in [*(page for page in DOCUMENTS if page != CHANGES), *(ROOT / "src").rglob("*.py")]:
        text = path.read_text("utf-8")
        for name in re.findall(r"`(trainlog(?:\.\w+)+)[`(]", text):
            assert name == "trainlog.inexact" or is_there(name), f"{path} speaks of {name}"
        for file in re.findall(r"`((?:src|tests|docs|examples)/[\w/.-]+\.\w+)`", text):
            assert (ROOT / file).exists(), f"{path} speaks of {file}"


def is_there(name: str) -> bool:
    try:
        return pydoc.locate(name) is not None
    except pydoc.ErrorDuringImport as error:
        return isinstance(error.value, ImportError)  # it needs an extra


def test_every_verb_is_in_the_documents() -> None:
    text = "\n".join(path.read_text("utf-8") for path in DOCUMENTS)
    for verb in cli.commands or cli.list_commands(None):  # type: ignore[arg-type]
        assert f"trainlog {verb}" in text, f"no document tells of `trainlog {verb}`"


def test_the_version_is_in_the_changelog() -> None:
    assert f"## [{trainlog.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8") or "## [Unreleased]" in (
        ROOT / "CHANGELOG.md"
    ).read_text("utf-8")


def test_every_package_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for path in (ROOT / "src" / "trainlog").iterdir():
        package = path.stem
        if not package.startswith("_") and path.suffix in ("", ".py"):
            assert f"`{package}`" in text or f"`{package}/`" in text, f"the architecture does not tell of {path.name}"


def test_each_test_that_the_contract_names_is_there() -> None:
    text = (ROOT / "docs" / "durability.md").read_text("utf-8")
    named = re.findall(r"`([\w/]+\.py)?((?:::\w+)?)`", text)
    file, found = "", 0
    for name, test in named:
        if "test_" not in name + test:
            continue
        file = name or file
        place = next(
            (
                path
                for path in (ROOT / file, ROOT / "tests" / "durability" / file, ROOT / "tests" / file)
                if path.is_file()
            ),
            None,
        )
        assert place is not None, f"there is no {file}"
        if test:
            found += 1
            assert re.search(rf"^ *def {test[2:]}\(", place.read_text("utf-8"), re.MULTILINE), f"{place} has no {test}"
    assert found > 50
