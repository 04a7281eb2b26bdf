"""A run beside another, on logs whose differences are known."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_logs import write_log
from trainlog.diff import Diff, MetricDiff, diff
from trainlog.plot import runs_of

COUNT = 400


def rows(seed: int, reward: Callable[[int], float] = lambda n: 100 * (1 - math.exp(-n / 40))) -> list[dict[str, Any]]:
    noise = np.random.default_rng(seed).normal(size=COUNT) * 5
    return [
        {
            "step": 10 * n,
            "reward": reward(n) + float(noise[n]),
            "loss": math.exp(-n / 50),
            "word": "walk",
            "com": [n, 0.0],
        }
        for n in range(COUNT)
    ]


def compared(tmp_path: Path, a: list[dict[str, Any]], b: list[dict[str, Any]], **options: Any) -> Diff:
    logs = [
        write_log(tmp_path / f"{name}.flog", stats, {"name": name, "args": {"lr": 0.1, name: 1}})
        for name, stats in (("a", a), ("b", b))
    ]
    one, two = runs_of(logs)
    return diff(one, two, **options)


def by_name(found: Diff) -> dict[str, MetricDiff]:
    return {one.name: one for one in found.metrics}


def test_two_seeds_differ_in_noise_only(tmp_path: Path) -> None:
    found = compared(tmp_path, rows(0), rows(1))
    assert found.same
    assert set(by_name(found)) == {"reward", "loss", "word", "com"}
    reward = by_name(found)["reward"]
    assert reward.noise == pytest.approx(5 * math.sqrt(2), rel=0.15)
    assert (reward.a, reward.b) == (rows(0)[-1]["reward"], rows(1)[-1]["reward"])


NOISES: dict[str, Callable[[np.random.Generator, int], Any]] = {
    "normal": lambda generator, count: generator.normal(size=count),
    "heavy tails": lambda generator, count: generator.lognormal(0, 1.5, count),
    "rare events": lambda generator, count: (generator.random(count) < 0.05).astype(np.float64),
    "less and less": lambda generator, count: generator.normal(size=count) * np.exp(-np.arange(count) / count * 4),
    "correlated": lambda generator, count: np.convolve(generator.normal(size=count + 4), np.ones(5), "valid"),
}


@pytest.mark.parametrize("count", [2, 3, 4, 20, 200, 1000])
@pytest.mark.parametrize("noise", ["normal", "heavy tails", "rare events", "less and less"])
def test_independent_noise_is_seldom_a_difference(noise: str, count: int) -> None:
    assert alarms(noise, count) < 0.08


def test_noise_that_is_correlated_over_a_part_is_seldom_a_difference() -> None:
    assert alarms("correlated", 1000) < 0.08


def alarms(noise: str, count: int) -> float:
    from trainlog.diff import _part_ways

    x = np.arange(float(count))
    generator = np.random.default_rng(1)
    found = [_part_ways(x, NOISES[noise](generator, count), x, NOISES[noise](generator, count))[0] for _ in range(300)]
    return sum(first is not None for first in found) / 300


@pytest.mark.parametrize("odd", [math.nan, math.inf])
@pytest.mark.parametrize("begin", [0, 100, COUNT - 1])
def test_a_run_that_is_not_finite_differs_from_one_that_is(tmp_path: Path, odd: float, begin: int) -> None:
    other = [row | {"loss": odd if n >= begin else row["loss"]} for n, row in enumerate(rows(0))]
    found = compared(tmp_path, rows(0), other)
    assert [(one.name, one.first, one.note) for one in found.differing] == [("loss", 10 * begin, "not finite in b")]
    assert repr(by_name(found)["loss"].b) == repr(odd)
    assert not found.same


def test_gaps_of_both_runs_are_no_difference(tmp_path: Path) -> None:
    sides = []
    for seed in (0, 1):
        gaps = np.random.default_rng(seed).random(COUNT) < 0.05
        sides.append([row | {"loss": math.nan if gaps[n] else row["loss"]} for n, row in enumerate(rows(seed))])
    assert compared(tmp_path, *sides).same


def test_runs_without_common_steps_are_not_the_same(tmp_path: Path) -> None:
    found = compared(tmp_path, rows(0), [row | {"step": row["step"] + 10 * COUNT} for row in rows(0)])
    assert {one.name: one.note for one in found.metrics} == dict.fromkeys(("reward", "loss", "com"), "no common steps")
    assert [one.name for one in found.left_out] == ["word"]
    assert not found.same


def test_a_run_without_frames_lacks_the_keys_of_the_other(tmp_path: Path) -> None:
    found = compared(tmp_path, rows(0), [])
    assert [(one.name, one.only) for one in found.keys] == [
        (f"stats:{key}", "a") for key in ("step", "reward", "loss", "word", "com")
    ]
    assert not found.same


def test_two_values_say_nothing_about_noise(tmp_path: Path) -> None:
    one, two = [{"step": n, "x": float(n)} for n in range(2)], [{"step": n, "x": 5.0} for n in range(2)]
    found = compared(tmp_path, one, two)
    assert (found.same, [(each.name, each.reason) for each in found.left_out]) == (
        True,
        [("x", "a difference of 4.5, and too few values to know the noise")],
    )


def test_a_rounding_of_few_values_is_no_difference(tmp_path: Path) -> None:
    found = compared(tmp_path, [{"step": 0, "x": 0.3}], [{"step": 0, "x": 0.1 + 0.2}])
    assert (found.same, found.left_out) == (True, ())


def test_types_of_episodes_that_one_run_lacks(tmp_path: Path) -> None:
    typed = [row | {"episode_type": "training" if n % 2 else "evaluation"} for n, row in enumerate(rows(0))]
    found = compared(tmp_path, typed, [row | {"episode_type": "training"} for row in rows(0)])
    notes = {one.name: one.note for one in found.differing}
    assert notes["reward (evaluation)"] == "only in a"


def test_vectors_and_words(tmp_path: Path) -> None:
    other = [row | {"com": [row["com"][0], 1.0], "word": "run" if n >= 7 else "walk"} for n, row in enumerate(rows(0))]
    found = compared(tmp_path, rows(0), other)
    assert {(one.name, one.first, one.note) for one in found.differing} == {("com", 0, "in [1]"), ("word", 70, "")}
    assert by_name(found)["com"].largest == 1


def test_the_first_step_at_which_a_metric_differs(tmp_path: Path) -> None:
    learned = rows(1, lambda n: 100 * (1 - math.exp(-n / 40)) - (30 if n >= 200 else 0))
    found = compared(tmp_path, rows(0), learned)
    assert [one.name for one in found.differing] == ["reward"]
    assert found.differing[0].first == pytest.approx(2000, abs=3990 / 50)
    assert found.differing[0].largest == pytest.approx(30, abs=8)
    assert not found.same


@pytest.mark.parametrize("power", [-1000, -300, 300, 1010])
def test_noise_is_noise_in_any_units(tmp_path: Path, power: int) -> None:
    def in_units(seed: int, fall: float = 0.0) -> list[dict[str, Any]]:
        noise = np.random.default_rng(seed).normal(size=COUNT)
        values = [float(noise[n]) + 50 - fall * (n >= COUNT // 2) for n in range(COUNT)]
        return [{"step": n, "reward": math.ldexp(value, power)} for n, value in enumerate(values)]

    same = by_name(compared(tmp_path, in_units(0), in_units(1)))["reward"]
    assert same.first is None
    assert math.ldexp(same.noise, -power) == pytest.approx(math.sqrt(2), rel=0.15)
    other = by_name(compared(tmp_path / "fallen", in_units(0), in_units(1, 20.0)))["reward"]
    assert other.first == pytest.approx(COUNT // 2, abs=COUNT // 50)
    assert math.ldexp(other.largest, -power) == pytest.approx(20, abs=2)


def test_a_metric_without_noise_differs_by_any_amount(tmp_path: Path) -> None:
    other = [row | {"loss": row["loss"] + (1e-3 if n >= 100 else 0)} for n, row in enumerate(rows(0))]
    found = compared(tmp_path, rows(0), other)
    assert [one.name for one in found.differing] == ["loss"]
    assert found.differing[0].first == pytest.approx(1000, abs=3990 / 50)


def test_metadata_frames_and_keys(tmp_path: Path) -> None:
    found = compared(tmp_path, rows(0), [row | {"entropy": 1.0} for row in rows(0)[:300]])
    assert {(one.name, one.a, one.b, one.only) for one in found.meta} == {
        *(("name", "a", "b", ""), ("args/a", 1, None, "a"), ("args/b", None, 1, "b"))
    }
    assert [(one.name, one.a, one.b) for one in found.frames] == [("stats", 400, 300)]
    assert [(one.name, one.only) for one in found.keys] == [("stats:entropy", "b")]
    assert not found.same
    assert compared(tmp_path / "again", rows(0), [row | {"x": 1} for row in rows(0)], ignore=["x*"]).same


def test_an_exact_comparison_finds_one_bit(tmp_path: Path) -> None:
    same = compared(tmp_path, rows(0), rows(0), exact=True)
    assert same.same
    assert set(by_name(same)) == {"step", "reward", "loss", "word", "com"}
    other = rows(0)
    other[7]["reward"] = np.nextafter(other[7]["reward"], 1e9)
    other[9]["word"] = "run"
    other[11]["com"] = [11, 1.0]
    found = compared(tmp_path / "other", rows(0), other, exact=True)
    assert [(one.name, one.first) for one in found.differing] == [("reward", 70), ("word", 90), ("com", 110)]
    by_noise = compared(tmp_path / "noise", rows(0), other)
    assert {one.name for one in by_noise.differing} == {"word"}  # one odd value of com is noise


def test_an_exact_comparison_knows_nan_null_and_absent(tmp_path: Path) -> None:
    values = [1.0, math.nan, None, 2.0]
    one = [{"step": n, "x": value} for n, value in enumerate(values)]
    assert compared(tmp_path, one, [dict(row) for row in one], exact=True).same
    other = [dict(row) for row in one]
    other[2]["x"] = math.nan
    found = compared(tmp_path / "other", one, other, exact=True)
    assert [(each.name, each.first) for each in found.differing] == [("x", 2)]


def test_an_exact_comparison_of_infinite_numbers_does_not_warn(tmp_path: Path) -> None:
    one, two = ([{"a": math.inf, "b": sign * 1e308, "c": 1.0 + sign}] * 2 for sign in (1, -1))
    found = compared(tmp_path, one, two, exact=True)
    assert [(metric.name, metric.differs) for metric in found.metrics] == [("b", True), ("c", True), ("a", False)]


def test_an_exact_comparison_counts_frames(tmp_path: Path) -> None:
    found = compared(tmp_path, rows(0), rows(0)[:-1], exact=True)
    assert (found.differing, found.same) == ((), False)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainlog", "diff", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command(tmp_path: Path) -> None:
    write_log(tmp_path / "a.flog", rows(0), {"seed": 0, "note": "\x1b[31mred"})
    write_log(tmp_path / "b.flog", rows(1, lambda n: 50.0), {"seed": 1})
    done = run(tmp_path / "a.flog", tmp_path / "b.flog", "-o", tmp_path / "out")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[:4] == ["a: a", "b: b", "metadata: 2 differ", "  seed: 0 → 1"]
    assert "metrics: 1 of 4 differ by more than their noise" in lines
    assert "\x1b" not in done.stdout
    assert lines[-1] == str(tmp_path / "out" / "reward.svg")
    assert "<svg" in (tmp_path / "out" / "reward.svg").read_text()
    assert run(tmp_path / "a.flog", tmp_path / "a.flog", "--exact").returncode == 0
    facts = json.loads(run(tmp_path / "a.flog", tmp_path / "b.flog", "--json").stdout, parse_constant=pytest.fail)
    assert (facts["same"], facts["metrics"][0]["metric"], facts["metrics"][0]["axis"]) == (False, "reward", "step")
    write_log(tmp_path / "late.flog", [{**row, "step": row["step"] + 10 * COUNT} for row in rows(0)])
    late = run(tmp_path / "a.flog", tmp_path / "late.flog")
    assert late.returncode == 1
    assert "no common steps" in late.stdout
    assert late.stdout.splitlines()[-1].startswith("not compared: word: ")
    missing = run(tmp_path / "a.flog", tmp_path / "missing.flog")
    assert (missing.returncode, len(missing.stderr.splitlines())) == (2, 1)


def test_logs_without_frames_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.flog").write_bytes(b"")
    (tmp_path / "b.flog").write_bytes(b"")
    for option in ([], ["--exact"], ["--json"], ["-o", tmp_path / "out"]):
        assert run(tmp_path / "a.flog", tmp_path / "b.flog", *option).returncode == 0


def test_an_exact_comparison_tells_null_from_absent(tmp_path: Path) -> None:
    one = [{"step": 0, "x": 1.0}, {"step": 1, "x": None}]
    found = compared(tmp_path, one, [{"step": 0, "x": 1.0}, {"step": 1}], exact=True)
    assert [(each.name, each.first) for each in found.differing] == [("x", 1)]
