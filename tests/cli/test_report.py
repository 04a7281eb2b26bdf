"""``trainlog report`` as a CI system sees it: exit codes, what is printed, what is there afterwards."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from made_logs import training, write_log

COMMAND = [sys.executable, "-m", "trainlog"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "run.flog"
    training(path, 0, 60)
    return path


def test_passed(log: Path, tmp_path: Path) -> None:
    done = run(log, "-o", tmp_path / "out", "--require", "mean(reward[-10:]) >= 50", "--require", "count(time) == 60")
    assert (done.returncode, done.stderr) == (0, "")
    assert "passed: mean(reward[-10:]) >= 50 in run: mean(reward[-10:]) = " in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("report.md", "report.html", "summary.json", "junit.xml", "results.csv", "results.tex", "figures")
    }


def test_a_gate_failed(log: Path, tmp_path: Path) -> None:
    done = run(log, "-o", tmp_path / "out", "--require", "mean(reward[-10:]) >= 5000")
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAILED: mean(reward[-10:]) >= 5000 in run: mean(reward[-10:]) = " in done.stdout
    assert "❌" in (tmp_path / "out" / "report.md").read_text()


def test_many_gates_that_passed_are_counted(log: Path, tmp_path: Path) -> None:
    gates = [word for n in range(13) for word in ("--require", f"count(time) > {n}")]
    done = run(log, "-o", tmp_path / "out", "-y", "reward", *gates, "--require", "count(time) > 99")
    first, second, _ = done.stdout.splitlines()
    assert first.startswith("FAILED: count(time) > 99 in run: ")
    assert second == "passed: 13 more, which the report lists"


def test_one_log_and_one_figure_are_not_plural(log: Path, tmp_path: Path) -> None:
    done = run(log, "-o", tmp_path / "out", "-y", "reward")
    assert ", 1 figure: " in done.stdout
    (tmp_path / "empty.flog").touch()
    run(tmp_path / "empty.flog", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "report.md").read_text().startswith("## 1 log: failed")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three logs in ``old``, three that are as good in ``new``, three that are worse in ``worse``."""
    folder = tmp_path_factory.mktemp("seeds")
    for seed in range(3):
        training(folder / "old" / f"{seed}.flog", seed, 60)
        training(folder / "new" / f"{seed}.flog", seed + 3, 60)
        training(folder / "worse" / f"{seed}.flog", seed, 60, goal=50)
    return folder


def logs_of(folder: Path) -> list[Path]:
    """As a shell expands ``folder/*.flog``."""
    return sorted(folder.glob("*.flog"))


@pytest.mark.parametrize("kind", ["shell", "quoted", "folder", "repeated", "equals", "two folders"])
def test_every_old_log_is_the_baseline(seeds: Path, tmp_path: Path, kind: str) -> None:
    new, old = logs_of(seeds / "new"), logs_of(seeds / "old")
    arguments: list[object] = {
        "shell": [*new, "--baseline", *old],
        "quoted": [seeds / "new" / "*.flog", "--baseline", seeds / "old" / "*.flog"],
        "folder": [seeds / "new", "--baseline", seeds / "old"],
        "repeated": [*new, *(word for path in old for word in ("--baseline", path))],
        "equals": [*new, f"--baseline={seeds / 'old' / '*.flog'}"],
        "two folders": [seeds / "new", "--baseline", seeds / "old", seeds / "worse"],
    }[kind]
    done = run(*arguments, "-o", tmp_path / "out", "-y", "reward", "--tolerance", "20%")
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [log["name"] for log in summary["logs"]] == ["0", "1", "2"]
    assert len(summary["baseline"]["scores"]["before"]) == (6 if kind == "two folders" else 3)
    assert summary["baseline"]["outcome"] == "as good"


def test_a_log_counts_once_however_it_is_named(seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(seeds)
    link = tmp_path / "link.flog"
    link.symlink_to(seeds / "old" / "0.flog")
    new, old = Path("new", "0.flog"), Path("old", "0.flog")
    done = run(
        *(new, new.resolve(), seeds / "new"),
        *("--baseline", old, f"./{old}", old.resolve(), seeds / "worse" / ".." / old, link),
        *("-o", tmp_path / "out", "-y", "reward"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {side: len(logs) for side, logs in summary["baseline"]["scores"].items()} == {"now": 3, "before": 1}
    assert len(summary["logs"]) == 3


@pytest.mark.parametrize(
    "words",
    [["--baseline"], ["--baseline", ""], ["--baseline", "old", ""], ["--baseline="], ["-y", "reward", "--baseline"]],
)
def test_a_baseline_without_logs_is_wrong_use(log: Path, tmp_path: Path, words: list[str]) -> None:
    for more in ([], ["--title", "x"]):
        done = run(log, "-o", tmp_path / "out", *words, *more)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--baseline needs logs" in done.stderr
        assert not (tmp_path / "out").exists()


def test_a_baseline_before_the_logs_is_refused(seeds: Path, tmp_path: Path) -> None:
    done = run("-o", tmp_path / "out", "--baseline", *logs_of(seeds / "old"), *logs_of(seeds / "new"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "LOG..." in done.stderr
    assert run("--baseline", seeds / "old", "-o", tmp_path / "out", seeds / "new", "-y", "reward").returncode == 0


def test_a_worse_baseline(seeds: Path, tmp_path: Path) -> None:
    done = run(seeds / "worse", "-o", tmp_path / "out", "-y", "reward", "--baseline", *logs_of(seeds / "old"))
    assert done.returncode == 1
    assert "FAILED: baseline, mean(reward[-10%:]): It is worse than it was, by more than the tol" in done.stdout
    assert "(n = 3 now and 3 before, same seeds, not paired)" in done.stdout


@pytest.mark.parametrize(("fail_on", "code"), [("worse", 0), ("unclear", 1)])
def test_one_run_is_never_called_worse(seeds: Path, tmp_path: Path, fail_on: str, code: int) -> None:
    old, worse = seeds / "old" / "0.flog", seeds / "worse" / "0.flog"
    done = run(worse, "-o", tmp_path / "out", "-y", "reward", "--baseline", old, "--fail-on", fail_on)
    assert done.returncode == code
    assert "One log is too few to decide" in done.stdout


def test_an_expression_that_cannot_be_read_is_pointed_at(log: Path, tmp_path: Path) -> None:
    done = run(log, "-o", tmp_path / "out", "--require", "maen(reward[-100:]) >= 200")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "trainlog: column 1: there is no function 'maen'; did you mean mean?",
        "    maen(reward[-100:]) >= 200",
        "    ^",
    ]
    assert not (tmp_path / "out").exists()


def outcomes(folder: Path) -> dict[tuple[str | None, str | None], str | None]:
    """The tests of junit.xml, and the message of those that failed."""
    suites = ElementTree.parse(folder / "junit.xml").getroot()
    found = {}
    for case in suites.iter("testcase"):
        failure = case.find("failure")
        found[case.get("classname"), case.get("name")] = None if failure is None else failure.get("message")
    return found


def test_a_column_that_one_log_lacks_fails_that_log(seeds: Path, log: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.flog"
    write_log(other, [{"step": n, "return": float(n)} for n in range(20)])
    done = run(log, other, "-o", tmp_path / "out", "--require", "mean(reward) > 1")
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAILED: mean(reward) > 1 in other: column 6: other has no column 'reward'" in done.stdout
    found = outcomes(tmp_path / "out")
    assert found["gate.run", "mean(reward) > 1"] is None
    assert "other has no column 'reward'" in str(found["gate.other", "mean(reward) > 1"])
    assert (tmp_path / "out" / "report.md").exists()


def test_logs_that_cannot_be_used_fail_and_the_report_is_written(log: Path, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    whole = log.read_bytes()
    (folder / "whole.flog").write_bytes(whole)
    (folder / "odd.flog").write_bytes(b"no log at all")
    (folder / "empty.flog").write_bytes(b"")
    (folder / "torn.flog").write_bytes(whole[: len(whole) // 2])
    (folder / "header.flog").write_bytes(whole[:9])
    done = run(folder, tmp_path / "missing.flog", tmp_path / "*.none", "-o", tmp_path / "out", "--baseline", folder)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    found = outcomes(tmp_path / "out")
    verdicts = {name: str(message).partition(":")[0] for (group, name), message in found.items() if group == "log"}
    assert {str(name).rpartition("/")[2]: verdict for name, verdict in verdicts.items() if "base" not in str(name)} == {
        "whole": "None",
        "odd": "unreadable",
        "empty": "empty",
        "torn": "damaged",
        "header": "unreadable",
        "missing": "unreadable",
        "*.none": "unreadable",
    }
    assert "baseline: torn" in verdicts
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["passed"] is False
    assert {log["name"].rpartition("/")[2] for log in summary["logs"]} == {"whole", "torn"}
    assert "| ❌ | " in (tmp_path / "out" / "report.md").read_text()


def test_no_absolute_path_is_in_a_report(log: Path, tmp_path: Path) -> None:
    run(log, tmp_path / "gone" / "*.flog", tmp_path / "no.flog", "-o", tmp_path / "out", "--baseline", tmp_path / "old")
    texts = [path.read_text() for path in (tmp_path / "out").iterdir() if path.is_file()]
    assert any("gone/" in text for text in texts)
    assert not [text for text in texts if str(tmp_path) in text]


def test_a_report_without_any_log_is_written(tmp_path: Path) -> None:
    gates = ["--require", "mean(reward) > 1", "--baseline", tmp_path / "old"]
    done = run(tmp_path / "*.flog", "-o", tmp_path / "out", *gates)
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAILED: baseline is missing: there is no new log that can be read" in done.stdout
    for name in ("report.md", "summary.json", "junit.xml", "report.html"):
        assert (tmp_path / "out" / name).stat().st_size


@pytest.mark.parametrize("more", [["-y", "rewrd"], ["--by", "algo"], ["-x", "episode", "-y", "value"]])
def test_figures_that_cannot_be_drawn_fail_and_the_report_is_written(tmp_path: Path, more: list[str]) -> None:
    write_log(tmp_path / "run.flog", [{"step": n, "value": float(n)} for n in range(20)])
    done = run(tmp_path / "run.flog", "-o", tmp_path / "out", "--require", "last(value) == 19", *more)
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAILED: figures is missing: " in done.stdout
    found = outcomes(tmp_path / "out")
    assert found["gate.run", "last(value) == 19"] is None
    assert found["report", "figures"]


def test_a_killed_trainings_log_is_reported_and_fails(log: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.flog"
    whole = log.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    done = run(cut, "-o", tmp_path / "out", "--require", "5 < count(reward) < 55")
    assert done.returncode == 1
    assert "passed: 5 < count(reward) < 55 in cut" in done.stdout
    assert "FAILED: cut is damaged: " in done.stdout


# What the schemas of Jenkins' xUnit plugin (junit-10.xsd) and of GitLab's parser have in common, as far as reports use
# it: of each element the attributes that must be there, those that may be, and the elements inside, in this order.
JUNIT: dict[str, tuple[set[str], set[str], list[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "disabled", "errors"}, ["testsuite"]),
    "testsuite": (
        {"name", "tests"},
        {"failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id", "package", "file"},
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "testcase": (
        {"name", "classname"},
        {"time", "group", "assertions", "status", "file"},
        ["skipped", "error", "failure", "system-out", "system-err"],
    ),
    "failure": (set(), {"type", "message"}, []),
}
COUNTS = {"tests", "failures", "errors", "skipped", "disabled"}


def check_junit(element: ElementTree.Element) -> None:
    """Assert that an element and all inside are as the schemas have it."""
    needed, allowed, inside = JUNIT[element.tag]
    assert needed <= set(element.attrib) <= needed | allowed, (element.tag, element.attrib)
    for name, value in element.attrib.items():
        if name in COUNTS:
            assert re.fullmatch(r"\d+", value), (name, value)
        elif name == "time":
            assert re.fullmatch(r"\d+(\.\d+)?", value), value
    if element.tag != "failure":
        assert not (element.text or "").strip()
    order = [inside.index(child.tag) for child in element]
    assert order == sorted(order), [child.tag for child in element]
    for child in element:
        assert not (child.tail or "").strip()
        check_junit(child)


def test_junit_has_only_what_ci_systems_accept(log: Path, tmp_path: Path) -> None:
    strange = tmp_path / 'a <b> & "c" \x1b[31m.flog'
    strange.write_bytes(log.read_bytes()[:200])
    gates = ["mean(reward) > 1e9", "last('no <column> & \"this\"') < 1"]
    options = [part for gate in gates for part in ("--require", gate)]
    run(log, strange, tmp_path / "missing.flog", "-o", tmp_path / "out", "--baseline", log, *options)
    text = (tmp_path / "out" / "junit.xml").read_bytes()
    assert text.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    check_junit(root)
    (suite,) = root
    for whole in (root, suite):
        assert int(str(whole.get("tests"))) == len(suite.findall("testcase")) > 3
        assert int(str(whole.get("failures"))) == len(suite.findall("testcase/failure")) > 2
    assert all(case.get("message") == case.text for case in suite.iter("failure"))
