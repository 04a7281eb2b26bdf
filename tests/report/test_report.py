"""A report as files, the baseline, and that two reports of the same logs are the same bytes."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import trainlog
from made_logs import training, write_log
from trainlog import Frame, Kind
from trainlog.draw.theme import find_theme
from trainlog.errors import ExpressionError, StatisticsError
from trainlog.plot import PlotOptions, runs_of
from trainlog.report import Content, gather, write_report
from trainlog.report.baseline import Score, Tolerance, compare
from trainlog.report.facts import human, sparkline
from trainlog.report.html import html
from trainlog.report.junit import junit
from trainlog.report.markdown import markdown
from trainlog.report.tables import baseline_sentence
from trainlog.statistics import CENTERS, CenterName, interval


def content_of(tmp_path: Path, count: int = 1, options: PlotOptions | None = None, **more: Any) -> Content:
    runs = runs_of(training(tmp_path / f"seed-{seed}.flog", seed, 60 + 10 * seed) for seed in range(count))
    return gather(runs, options or PlotOptions(), **more)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_files(tmp_path: Path) -> None:
    content = content_of(tmp_path, requirements=["mean(reward) > 0"])
    written = write_report(content, tmp_path / "out")
    found = files(tmp_path / "out")
    assert {path.relative_to(tmp_path / "out").as_posix() for path in written} == set(found)
    assert set(found) == {
        *("report.md", "report.html", "summary.json", "junit.xml", "results.csv", "results.tex"),
        "figures/overview.svg",
        *(
            f"figures/{name}.{suffix}"
            for name in ("reward", "policy_loss", "value_loss", "states")
            for suffix in ("svg", "csv")
        ),
    }
    for name, text in found.items():
        assert b"\0" not in text
        if name.endswith((".svg", ".xml")):
            ElementTree.fromstring(text)
        assert str(tmp_path).encode() not in text


def test_two_reports_of_the_same_logs_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        # Made anew in another folder: neither place nor time may show.
        folder = tmp_path / name
        content = content_of(folder, 3, PlotOptions(band="ci"), requirements=["mean(reward) > 50"])
        write_report(content, folder / "out", formats=["svg", "png"])
    one, two = files(tmp_path / "one" / "out"), files(tmp_path / "two" / "out")
    assert one == two


def test_the_numbers_behind_a_figure_are_exact(tmp_path: Path) -> None:
    rows = [{"step": n, "reward": value} for n, value in enumerate([0.1, 1 / 3, math.nan, math.inf, 1e-300])]
    rows.append({"step": 5, "loss": 1.0})
    content = gather(runs_of([write_log(tmp_path / "run.flog", rows)]), PlotOptions())
    write_report(content, tmp_path / "out")
    with (tmp_path / "out" / "figures" / "reward.csv").open(newline="") as file:
        found = list(csv.reader(file))
    assert found[0] == ["curve", "step", "value"]
    assert [row[0] for row in found[1:]] == ["reward"] * 5
    assert [float(row[2]) for row in found[1:]] == pytest.approx(
        [0.1, 1 / 3, math.nan, math.inf, 1e-300], rel=0, nan_ok=True
    )


def test_csv_of_several_seeds(tmp_path: Path) -> None:
    content = content_of(tmp_path, 3, PlotOptions(y=("reward",), band="std"))
    write_report(content, tmp_path / "out")
    with (tmp_path / "out" / "figures" / "reward.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == ["curve", "step", "mean", "low", "high", "runs"]
    assert found[0]["runs"] == "3"
    assert found[-1]["runs"] == "1"
    assert found[-1]["low"] == "nan"


def test_csv_of_scores_names_each_column_once(tmp_path: Path) -> None:
    content = content_of(tmp_path, 3, PlotOptions(y=("reward",), kind="intervals", by="seed"))
    write_report(content, tmp_path / "out")
    with (tmp_path / "out" / "figures" / "reward-intervals.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["curve"], row["group"]) for row in found[:2]] == [("median", "seed 0"), ("median", "seed 1")]


def test_markdown(tmp_path: Path) -> None:
    content = content_of(tmp_path, requirements=["mean(reward) > 1000", 'count(events("fall")) == 1 or 1 > 2'])
    text = markdown(content, [])
    assert text.startswith("## ant: run forward: failed\n")
    assert text.index("❌ | `mean(reward) > 1000`") < text.index("✅ | `count(")
    assert "| `reward` | ▁" in text
    assert "![" not in text
    shown = markdown(content, ["figures/overview.svg", "figures/reward.svg"], "https://example.org/7/")
    assert "![figures/overview.svg](https://example.org/7/figures/overview.svg)" in shown


def test_markdown_fits_a_comment_whatever_the_names(tmp_path: Path) -> None:
    rows = [{f"a|b`{k}_{'x' * 50}": n * k for k in range(1, 200)} for n in range(3)]
    readers = [write_log(tmp_path / f"{n}<b>_*.flog", rows) for n in range(3)]
    requirements = [f"count(time) > {n}" for n in range(60)]
    text = markdown(gather(runs_of(readers), PlotOptions(y=("a|b`1_*",)), requirements=requirements), [])
    assert len(text) < 65_000
    assert "more rows are in report.html" in text
    for line in text.splitlines():
        if line.startswith("|") and "a\\|b" in line:
            assert len(re.findall(r"(?<!\\)\|", line)) == 7
    assert "<b>" not in text


def test_a_long_report_keeps_its_verdict_and_closes_what_it_opened(tmp_path: Path) -> None:
    runs = runs_of([write_log(tmp_path / f"{n}.flog", [{"a": 1}, {"a": 2}], {"steps": "x" * 2000}) for n in range(50)])
    text = markdown(gather(runs, PlotOptions(), requirements=["max(a) > 3"], title="t" * 70_000), [])
    assert len(text) < 65_000
    assert text.partition("\n")[0].endswith("t…: failed")
    assert text.count("<details>") == text.count("</details>") == 1
    assert text.endswith("</details>\n\nThe rest is in report.html.\n")


@pytest.mark.parametrize(("passed", "are_folded"), [(12, False), (13, True)])
def test_many_gates_that_passed_do_not_hide_those_that_failed(tmp_path: Path, passed: int, are_folded: bool) -> None:
    runs = runs_of([write_log(tmp_path / f"{n}.flog", [{"a": n}, {"a": n + 1}]) for n in range(passed + 2)])
    content = gather(runs, PlotOptions(), requirements=["last(a) >= 3"])
    text = markdown(content, [])
    assert ("<summary>✅ 13 passed</summary>" in text) == are_folded
    assert (text.count("✅ |"), text.count("❌ |")) == (passed, 2)
    assert text.index("❌ |") < text.index("✅")
    page = html(content)
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))
    assert ("13 passed</summary>" in page) == are_folded
    assert (page.count('"passed">passed<'), page.count('"failed">failed<')) == (passed, 2)


def test_a_report_that_is_cut_after_folded_gates_is_closed_once(tmp_path: Path) -> None:
    runs = runs_of([write_log(tmp_path / f"{n}.flog", [{"a": 1}, {"a": 2}], {"steps": "x" * 2000}) for n in range(50)])
    text = markdown(gather(runs, PlotOptions(), requirements=["max(a) > 1"]), [])
    assert text.endswith("</details>\n\nThe rest is in report.html.\n")
    assert text.count("<details>") == text.count("</details>") == 2


def test_names_do_not_break_a_table_of_latex(tmp_path: Path) -> None:
    names = ["[x]", "*", "a|b<c>", "\x1b"]
    runs = runs_of(write_log(tmp_path / f"{n}.flog", [dict.fromkeys(names, k) for k in range(9)]) for n in range(2))
    write_report(gather(runs, PlotOptions(y=tuple(names[:1] + names[2:]))), tmp_path / "out")
    text = (tmp_path / "out" / "results.tex").read_text()
    assert "    {}[x] & " in text
    assert r"    a\textbar{}b\textless{}c\textgreater{} & " in text
    assert r"    \textbackslash{}x1b & " in text


def test_html_is_one_well_formed_file(tmp_path: Path) -> None:
    meta = {"creature": "<script>alert('ä')</script>\x01", "task": "&"}
    reader = write_log(tmp_path / "run.flog", [{"<y>": 1, "z": 2}, {"<y>": 2, "z": 3}], meta)
    for theme in ("light", "dark"):
        text = html(gather(runs_of([reader]), PlotOptions(theme=theme), requirements=["count(z) < 2"]))
        ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))
        assert "<script" not in text
        for outside in ("http://", "https://", "src=", "href=", "@import", "url("):
            assert outside not in text.replace("http://www.w3.org/", "")
        assert text.count('role="img"') == 3


def test_junit(tmp_path: Path) -> None:
    content = content_of(tmp_path, 2, requirements=["mean(reward) > 0", "max(reward) > 1e9"])
    suites = ElementTree.fromstring(junit(content))
    assert (suites.get("tests"), suites.get("failures")) == ("6", "2")
    cases = {(case.get("classname"), case.get("name")): case.find("failure") for case in suites.iter("testcase")}
    assert cases["gate.seed-0", "mean(reward) > 0"] is None
    failure = cases["gate.seed-1", "max(reward) > 1e9"]
    assert failure is not None
    assert str(failure.get("message")).startswith("max(reward) = ")
    without = ElementTree.fromstring(junit(content_of(tmp_path / "other")))
    assert [case.get("name") for case in without.iter("testcase")] == ["seed-0"]


def test_summary(tmp_path: Path) -> None:
    rows = [{"step": n, "reward": n if n != 4 else math.nan} for n in range(20)]
    reader = write_log(tmp_path / "run.flog", rows, {"creature": "ant", "lists": [1], "nan": math.nan})
    write_report(gather(runs_of([reader]), PlotOptions(), requirements=["last(reward) == 19"]), tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["passed"] is True
    assert summary["gates"] == [
        {
            "gate": "last(reward) == 19",
            "log": "run",
            "passed": True,
            "measured": [{"what": "last(reward)", "value": 19.0}],
            "error": None,
        }
    ]
    assert summary["checks"] == [{"log": "run", "verdict": "whole", "problems": []}]
    (result,) = summary["results"]
    assert (result["metric"], result["runs"], result["value"], result["low"]) == ("reward", 1, 18.5, None)
    (log,) = summary["logs"]
    assert log["meta"] == {"creature": "ant", "nan": None}
    assert (log["frames"], log["duration"]) == ({"stats": 20}, 19.0)
    reward = log["metrics"]["reward"]
    assert (reward["count"], reward["odd"], reward["first"], reward["last"]) == (20, 1, 0, 19)
    assert (reward["lowest"], reward["highest"], reward["final"]) == (0, 19, 18.5)
    assert summary["figures"][0]["files"] == ["figures/reward.svg", "figures/reward.csv"]


@pytest.mark.parametrize(("time", "text"), [(math.nan, "nan s"), (math.inf, "inf s"), (-500.0, "-8 min 20 s")])
def test_a_log_ends_at_any_time(tmp_path: Path, time: float, text: str) -> None:
    with trainlog.create(tmp_path / "run.flog") as log:
        log.write(Frame(time, Kind.STATS, {"step": 1, "reward": 2.0}))
    content = gather(runs_of([trainlog.open(tmp_path / "run.flog")]), PlotOptions())
    write_report(content, tmp_path / "out")
    assert f"| {text} |" in (tmp_path / "out" / "report.md").read_text()


def scores(*values: float, seeds: str = "", task: str = "") -> list[Score]:
    return [Score(str(n), value, seeds[n : n + 1], task) for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("new", "old", "tolerance", "outcome"),
    [
        ([100, 101, 99], [100, 99, 101], "5", "as good"),
        ([-104, -104.1, -103.9], [-100, -100.1, -99.9], "5%", "as good"),
        ([-106, -106.1, -105.9], [-100, -100.1, -99.9], "5%", "worse"),
        ([93, 93.1, 92.9], [100, 100.1, 99.9], "7.5", "as good"),
        ([100, 101, 99, 100, 102], [100, 99, 101, 100, 98], "5%", "as good"),
        ([80, 81, 79, 80, 82], [100, 99, 101, 100, 98], "5%", "worse"),
        ([60, 95, 130, 70, 120], [100, 70, 140, 90, 110], "5%", "unclear"),
        ([math.nan, 100], [100, 100], "5%", "worse"),
    ],
)
def test_baseline(new: list[float], old: list[float], tolerance: str, outcome: str) -> None:
    found = compare("score", scores(*new), scores(*old), Tolerance.of(tolerance))
    assert found.outcome == outcome
    assert found.passed is (outcome != "worse")
    assert np.isnan(found.low) == bool(np.isnan(new).any())
    strict = compare("score", scores(*new), scores(*old), Tolerance.of(tolerance), fail_on="unclear")
    assert strict.passed is (outcome == "as good")


@pytest.mark.parametrize("center", CENTERS)
@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_one_score_that_is_not_finite_fails_with_any_center(center: CenterName, odd: float) -> None:
    few, many = scores(100, 101, 99, 100, odd, seeds="12345"), scores(100, 99, 101, 100, 98, seeds="12345")
    for new, old in ((few, many), (many, few), (few, few)):
        for paired in (False, True):
            found = compare("score", new, old, Tolerance.of("5%"), center, paired=paired)
            assert (found.outcome, found.passed) == ("worse", False)
            assert baseline_sentence(found).startswith("It fails, as a score is not finite.")


@pytest.mark.parametrize("center", CENTERS)
@pytest.mark.parametrize("score", [0.1, 0.7, 123.456])
def test_the_same_score_in_every_run_is_as_good(center: CenterName, score: float) -> None:
    for new, old in ((2, 3), (3, 2), (5, 5), (20, 7)):
        found = compare("score", scores(*[score] * new), scores(*[score] * old), Tolerance.of("0"), center)
        assert (found.outcome, found.difference) == ("as good", 0)


@pytest.mark.parametrize(("new", "old"), [([50], [100]), ([50], [100, 101, 99]), ([50, 51, 49], [100]), ([200], [1])])
def test_one_run_has_no_interval_and_no_verdict(new: list[float], old: list[float]) -> None:
    found = compare("score", scores(*new), scores(*old), Tolerance.of("5%"))
    assert (found.outcome, found.passed) == ("unclear", True)
    assert "One log is too few to decide whether it is worse: an interval needs two of each side." in baseline_sentence(
        found
    )
    assert "confidence interval" not in baseline_sentence(found)
    assert not compare("score", scores(*new), scores(*old), Tolerance.of("5%"), fail_on="unclear").passed


def test_the_sentence_names_n_and_coverage_percent_and_seeds() -> None:
    new, old = scores(95, 96, 97, seeds="123"), scores(100, 101, 102, seeds="213")
    assert baseline_sentence(compare("score", new, old, Tolerance.of("10%"))) == (
        "It is worse than it was, by 2.7 to 7.2 %, within the tolerance of 10 %. The mean is 96 now and was 101 before "
        "(n = 3 now and 3 before, same seeds, not paired): "
        "a difference of −5 (−4.95 %), 95 % confidence interval −7.267 (−7.195 %) to −2.733 (−2.706 %); "
        "10 % may be lost (10.1)."
    )
    others = compare("score", new, scores(100, 101, 102, seeds="456"), Tolerance.of("10%"))
    assert "n = 3 now and 3 before, other seeds)" in baseline_sentence(others)


@pytest.mark.parametrize(
    ("new", "tolerance", "verdict"),
    [
        (
            (97.0, 97.3, 97.6, 96.9, 97.6),
            "5%",
            "It is worse than it was, by 2.2 to 3.2 %, within the tolerance of 5 %.",
        ),
        (
            (93, 98, 95, 91, 97),
            "5%",
            "It is worse than it was, by 1.7 to 8.7 %; these logs are too few to decide whether by more than the "
            "tolerance of 5 %.",
        ),
        ((80, 81, 79, 80, 81), "5%", "It is worse than it was, by more than the tolerance of 5 %."),
        ((80, 81, 79, 80, 81), "0", "It is worse than it was."),
        ((80, 120, 79, 120, 81), "5%", "These logs are too few to decide whether it is worse."),
        ((100.1, 99.8, 100.1, 99.9, 100), "5%", "It is as good as it was."),
        ((110, 111, 110, 109, 110), "5%", "It is better than it was."),
        ((110, math.nan, 110, 109, 110), "5%", "It fails, as a score is not finite."),
    ],
)
def test_a_verdict_is_what_the_interval_shows(new: tuple[float, ...], tolerance: str, verdict: str) -> None:
    found = compare("score", scores(*new), scores(100.0, 100.4, 99.6, 99.7, 100.3), Tolerance.of(tolerance))
    said = baseline_sentence(found)
    assert said.partition(" The mean is")[0] == verdict
    assert not found.low <= 0 <= found.high or "than it was" not in verdict


def test_pairs_are_of_the_same_seed() -> None:
    new, old = scores(11, 22, 33, seeds="123"), scores(30, 10, 20, seeds="312")
    paired = compare("score", new, old, Tolerance.of("0"), paired=True)
    assert (paired.difference, paired.matched) == (2, True)
    assert (paired.low, paired.high) == pytest.approx((2 - 2.484, 2 + 2.484), abs=1e-3)
    assert "in pairs" in baseline_sentence(paired)
    for other in (scores(1, 2, 3, seeds="124"), scores(1, 2, 3), scores(1, 2, 3, seeds="112")):
        with pytest.raises(StatisticsError, match="pairs need logs of the same seeds"):
            compare("score", new, other, Tolerance.of("0"), paired=True)


def test_tasks_are_compared_one_by_one() -> None:
    walker, hopper = (10, 11, 12), (1000, 1100, 1200)
    new, old = ([*scores(*walker, task="walker"), *scores(*hopper, task="hopper")] for _ in range(2))
    found = compare("score", new, old, Tolerance.of("5%"))
    assert (found.tasks, found.new) == (2, (11 + 1100) / 2)
    assert "averaged over 2 tasks with equal weight" in baseline_sentence(found)
    together = baseline_sentence(compare("score", new, old, Tolerance.of("5%"), "iqm"))
    assert "the IQM of all runs of 2 tasks together, in their own units" in together
    assert "a task with more runs weighs more" in together
    assert "equal weight" not in together
    pooled = compare("score", [*scores(*walker, *hopper)], [*scores(*walker, *hopper)], Tolerance.of("5%"))
    assert found.high - found.low < (pooled.high - pooled.low) / 3
    with pytest.raises(StatisticsError, match="have different tasks: hopper"):
        compare("score", new, scores(*walker, task="walker"), Tolerance.of("5%"))


@pytest.mark.parametrize(
    ("key", "score"),
    [
        ("rollout/ep_rew_mean", 'mean("rollout/ep_rew_mean"[-10%:])'),
        ("ep_rew_mean", "mean(ep_rew_mean[-10%:])"),
        ("val_loss", "-mean(val_loss[-10%:])"),
        ('reward "a"', "mean('reward \"a\"'[-10%:])"),
    ],
)
def test_the_score_of_a_trainer(tmp_path: Path, key: str, score: str) -> None:
    rows = [{"epoch": n, "lr": 1 / (n + 1), key: float(n)} for n in range(20)]
    runs = [runs_of([write_log(tmp_path / name, rows)]) for name in ("new.flog", "old.flog")]
    content = gather(runs[0], PlotOptions(), baseline=runs[1])
    assert content.comparison is not None
    assert content.comparison.score == score


@pytest.mark.parametrize("key", ["a'b`\"c", "x" * 3000])
def test_a_metric_that_no_expression_can_name_needs_a_score(tmp_path: Path, key: str) -> None:
    runs = [runs_of([write_log(tmp_path / name, [{key: n} for n in range(20)])]) for name in ("new.flog", "old.flog")]
    content = gather(runs[0], PlotOptions(), baseline=runs[1])
    assert [one.reason.partition(";")[0] for one in content.failures] == ["give a score to compare"]
    assert not content.passed
    assert content.pictures


def test_a_reward_that_never_changes_is_compared(tmp_path: Path) -> None:
    rows = [{"step": n, "success_rate": 1.0, "reward": 1.0, "loss": 1 / (n + 1)} for n in range(20)]
    alike = [{"step": n, "reward": 1.0} for n in range(20)]
    for name, own, pictures in (("varying", rows, ["baseline", "loss"]), ("alike", alike, ["baseline"])):
        new, old = (
            runs_of([write_log(tmp_path / name / side / f"{seed}.flog", own, {"seed": seed}) for seed in range(3)])
            for side in ("new", "old")
        )
        content = gather(new, PlotOptions(), baseline=old, requirements=["mean(reward) >= 1"])
        assert content.comparison is not None
        assert (content.comparison.score, content.comparison.outcome) == ("mean(reward[-10%:])", "as good")
        assert content.passed
        assert [picture.name for picture in content.pictures if picture.blocks] == pictures


@pytest.mark.parametrize("rows", [[{"reward": 1.0}], [{"reward": 1.0}] * 9, [{"reward": math.nan}] * 9])
def test_logs_without_a_figure_are_no_failure(tmp_path: Path, rows: list[dict[str, float]]) -> None:
    new, old = (runs_of([write_log(tmp_path / name / f"{n}.flog", rows) for n in (0, 1)]) for name in ("new", "old"))
    content = gather(new, PlotOptions(), requirements=["count(reward) > 0"])
    write_report(content, tmp_path / "out")
    assert (content.failures, content.pictures, content.passed) == ((), (), True)
    content = gather(new, PlotOptions(), baseline=old)
    assert content.comparison is not None
    assert content.passed is (content.comparison.outcome == "as good") is math.isfinite(rows[0]["reward"])


def test_a_baseline_is_drawn_and_told(tmp_path: Path) -> None:
    old = runs_of(training(tmp_path / "old" / f"{seed}.flog", seed + 9, 80, 150) for seed in range(2))
    content = content_of(tmp_path, 2, baseline=old)
    assert content.comparison is not None
    assert (content.comparison.score, content.comparison.outcome) == ("mean(reward[-10%:])", "worse")
    assert content.comparison.matched is False
    assert not content.passed
    assert content.pictures[0].name == "baseline"
    assert [block.label for block in content.pictures[0].blocks] == ["now", "baseline"]
    assert "It is worse than it was, by more than the tolerance of 5 %." in markdown(content, [])
    better = content_of(tmp_path / "again", 2, baseline=old, score="-mean(reward[-10:])", tolerance="3")
    assert better.passed


@pytest.mark.parametrize("side", ["new", "old"])
def test_a_log_without_the_column_is_left_out_of_the_comparison(tmp_path: Path, side: str) -> None:
    sides = {
        name: [training(tmp_path / name / f"{seed}.flog", seed, 80) for seed in range(3)] for name in ("new", "old")
    }
    sides[side].append(write_log(tmp_path / side / "bare.flog", [{"step": n, "loss": 1 / (n + 1)} for n in range(9)]))
    content = gather(runs_of(sides["new"]), PlotOptions(), baseline=runs_of(sides["old"]))
    assert content.comparison is not None
    assert content.comparison.outcome == "as good"
    assert content.passed is (side == "old")
    said = baseline_sentence(content.comparison)
    assert "(n = 3 now and 3 before" in said
    assert f"Left out: {'baseline: ' if side == 'old' else ''}bare: column 6: bare has no column 'reward'" in said
    assert [(one.log, one.passed) for one in content.results] == ([("bare", False)] if side == "new" else [])
    assert content.failures == ()


def test_a_side_without_any_score_is_told(tmp_path: Path) -> None:
    old = runs_of([write_log(tmp_path / "bare.flog", [{"step": n, "loss": 1 / (n + 1)} for n in range(9)])])
    content = content_of(tmp_path, 2, baseline=old)
    assert [one.reason.partition(":")[0] for one in content.failures] == ["no older log has a score"]


def test_an_undecided_baseline_is_not_shown_as_a_passed_one(tmp_path: Path) -> None:
    old = runs_of([training(tmp_path / "old" / "0.flog", 9, 80)])
    content = content_of(tmp_path, 2, baseline=old)
    assert content.comparison is not None
    assert content.passed
    assert content.comparison.outcome == "unclear"
    page = html(content)
    assert '<span class="undecided">Baseline</span>' in page


def test_a_title_counts_the_new_logs(tmp_path: Path) -> None:
    new = runs_of(write_log(tmp_path / f"{n}.flog", [{"step": 1, "reward": n}], {"task": str(n)}) for n in range(2))
    old = runs_of(write_log(tmp_path / f"old{n}.flog", [{"step": 1, "reward": n}], {"task": str(n)}) for n in range(2))
    assert gather(new, PlotOptions(), baseline=old).title == "2 logs"


@pytest.mark.parametrize("text", ["", "five", "-5%", "nan", "inf", "5 %%"])
def test_what_is_no_tolerance(text: str) -> None:
    with pytest.raises(ExpressionError, match="a tolerance is"):
        Tolerance.of(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(0, "0"), (1.5, "1.5"), (-2.25, "−2.25"), (12345, "12,345"), (1234.56, "1,234.6"), (1e9, "1e+09")],
        *[(1e-9, "1e-09"), (math.nan, "NaN"), (math.inf, "∞"), (-math.inf, "−∞")],
    ],
)
def test_numbers_for_people(value: float, text: str) -> None:
    assert human(value) == text


def test_sparklines() -> None:
    assert sparkline(np.arange(8.0)) == "▁▂▃▄▅▆▇█"
    assert len(sparkline(np.arange(1000.0))) == 16
    assert sparkline(np.full(3, 2.0)) == "▄▄▄"
    assert sparkline(np.array([np.nan])) == ""
    assert len(sparkline(np.array([1e308, -1e308, np.inf]))) == 2


def test_the_table_of_results(tmp_path: Path) -> None:
    runs = runs_of(
        training(tmp_path / algo / f"{seed}.flog", seed, 60, goal, {"algo": algo})
        for algo, goal in (("ppo_2", 100), ("sac", 200))
        for seed in range(4 if algo == "sac" else 1)
    )
    content = gather(runs, PlotOptions(y=("reward",), by="algo", center="iqm"))
    write_report(content, tmp_path / "out")
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        one, two = csv.DictReader(file)
    assert (one["metric"], one["group"], one["runs"], one["center"], one["low"]) == ("reward", "ppo_2", "1", "iqm", "")
    finals = [log.metrics["reward"].final for log in content.logs[1:]]
    expected = interval(finals, "iqm")
    assert [float(two[name]) for name in ("value", "low", "high")] == pytest.approx([float(part) for part in expected])
    text = (tmp_path / "out" / "report.md").read_text()
    assert r"Last tenth: IQM \[95 % confidence interval\] (n logs)" in text
    assert "| metric | ppo\\_2 | sac |" in text
    assert "(n=4) |" in text
    latex = (tmp_path / "out" / "results.tex").read_text()
    assert "metric & ppo\\_2 & sac \\\\" in latex
    assert latex.count("{") == latex.count("}")
    assert "(n=4)" in html(content)


def test_types_of_episodes_are_not_mixed(tmp_path: Path) -> None:
    types = ("training", "evaluation")
    rows = [{"step": n, "return": n % 2 * 100.0 + n / 100, "episode_type": types[n % 2]} for n in range(100)]
    runs = runs_of(write_log(tmp_path / f"{seed}.flog", rows, {"seed": seed}) for seed in range(2))
    content = gather(runs, PlotOptions(center="mean"))
    finals = {name: facts.final for name, facts in content.logs[0].metrics.items()}
    assert finals == pytest.approx({"return (training)": 0.94, "return (evaluation)": 100.95})
    assert [result.metric for result in content.groups] == list(content.metrics) == list(finals)
    assert "`return (evaluation)`" in markdown(content, [])


def test_results_are_normalised_and_say_so(tmp_path: Path) -> None:
    runs = runs_of(training(tmp_path / f"{seed}.flog", seed, 60) for seed in range(2))
    raw = {result.metric: result.value for result in gather(runs, PlotOptions(center="mean")).groups}
    content = gather(runs, PlotOptions(center="mean", normalize={"": (0.0, 200.0)}))
    found = {result.metric: result.value for result in content.groups}
    assert found.pop("reward (normalised)") == pytest.approx(raw.pop("reward") / 200)
    assert found == raw
    write_report(content, tmp_path / "out")
    for name in ("report.md", "results.csv", "results.tex", "report.html"):
        assert "reward (normalised)" in (tmp_path / "out" / name).read_text()
    unknown = gather(runs, PlotOptions(center="mean", normalize={"pong": (0.0, 1.0)}))
    assert not unknown.passed
    assert "no scores to normalise" in unknown.failures[0].reason


def test_a_metric_without_any_finite_value_is_told_of_first(tmp_path: Path) -> None:
    rows = [{"step": n, "reward": float(n), "loss": math.nan, "constant": 1.0} for n in range(30)]
    content = gather(runs_of([write_log(tmp_path / "run.flog", rows)]), PlotOptions())
    assert content.metrics == ("loss", "reward")
    assert "| `loss` |  | NaN | NaN | NaN | NaN (30 not finite) |" in markdown(content, [])
    assert gather(runs_of([write_log(tmp_path / "no.flog", rows)]), PlotOptions(y=("reward",))).metrics == ("reward",)


@pytest.mark.parametrize("diverged", [0, 1])
def test_a_log_that_diverged_hides_no_numbers_of_the_others(tmp_path: Path, diverged: int) -> None:
    values = [[float(n) for n in range(30)] for _ in range(2)]
    values[diverged] = [math.nan] * 30
    logs = [
        write_log(tmp_path / f"{name}.flog", [{"step": n, "loss": value} for n, value in enumerate(own)])
        for name, own in zip("ab", values, strict=True)
    ]
    text = markdown(gather(runs_of(logs), PlotOptions()), [])
    assert "| NaN (28 to 28) | 0 | 29 (30 not finite) |" in text
    assert "curve (first log)" in text


def test_a_page_has_the_colours_of_both_themes(tmp_path: Path) -> None:
    for theme, other in (("light", "dark"), ("dark", "light")):
        text = html(content_of(tmp_path / theme, options=PlotOptions(theme=theme)))
        assert f"@media (prefers-color-scheme: {other})" in text
        drawn, wanted = find_theme(theme), find_theme(other)
        rules = dict(re.findall(r'figure svg \[stroke="(#\w+)"\] \{ stroke: (#\w+); \}', text))
        names = ("background", "text", "muted", "grid", "axis")
        assert [rules[getattr(drawn, name)] for name in names] == [getattr(wanted, name) for name in names]
        assert [rules[color] for color in drawn.palette] == list(wanted.palette)
        assert text.count(f'stroke="{drawn.palette[0]}"') > 1


def test_what_a_band_means_is_below_a_narrow_figure(tmp_path: Path) -> None:
    content = content_of(tmp_path, 3, PlotOptions(y=("reward",), band="ci"), size=(300, 200))
    (caption,) = re.findall("<figcaption>(.*?)</figcaption>", html(content))
    assert "band: 95 % interval of the mean" in caption


def test_what_a_band_means_is_below_the_figures_of_several_tasks(tmp_path: Path) -> None:
    rows = [[{"step": n, "reward": float(n + seed)} for n in range(9)] for seed in range(4)]
    runs = runs_of(write_log(tmp_path / f"{n}.flog", rows[n], {"task": "ab"[n // 2], "algo": "x"}) for n in range(4))
    text = html(gather(runs, PlotOptions(y=("reward",), by="algo")))
    (caption,) = re.findall("<figcaption>(.*?)</figcaption>", text)
    assert "band: 95 % interval of the mean" in caption
    assert text.count("band: 95 % interval of the mean") == 1
