"""The language of gates: what it comes to, and that its errors point at the place."""

from __future__ import annotations

import contextlib
import math
import re
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from made_logs import write_log
from trainlog.errors import ExpressionError
from trainlog.plot import Run
from trainlog.report import Gate, judge, language, measure
from trainlog.report.evaluate import FUNCTIONS

DOCS = Path(__file__).parents[2] / "docs" / "ci.md"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    rows = [
        {"step": n * 10, "reward": float(n), "loss/policy": 1.0 / (n + 1), "word": "run", "stats": n} for n in range(10)
    ]
    rows[3]["rare"] = 7.0
    rows[8]["rare"] = 9.0
    for n, row in enumerate(rows):
        row["broken"] = math.nan if n == 5 else 1.0
    creature = [{"speed": n / 2, "com": [n, n, n]} for n in range(4)]
    events = {1.0: {"type": "fall"}, 2.5: {"type": "fall"}, 3.0: {"type": "best"}, 9.0: {"type": "episode_end"}}
    for key in ("lambda", "None", "is"):
        rows[0][key] = 2
    rows[0] |= {"def\\d": 4, "a.b": 5}
    path = tmp_path_factory.mktemp("log") / "run.flog"
    return Run(write_log(path, rows, creature=creature, events=events))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("2 ** 3 ** 2", 512),
        ("10 - 4 - 3", 3),
        ("8 / 4 / 2", 1),
        ("1_000 + .5 + 1e2", 1100.5),
        ("--3", 3),
        ("mean(reward)", 4.5),
        ("mean(reward[-2:])", 8.5),
        ("mean(reward[:2])", 0.5),
        ("mean(reward[2:4])", 2.5),
        ("mean(reward[-10%:])", 9),
        ("mean(reward[:-50%])", 2),
        ("count(reward[-1%:])", 1),
        ("sum(reward[50%:])", 35),
        ("reward[-1]", 9),
        ("reward[3] + last(reward)", 12),
        ("median(reward)", 4.5),
        ("iqm(reward)", 4.5),
        ("min(reward) + max(reward)", 9),
        ("std(reward[:2])", 0.5),
        ("first(step[1:])", 10),
        ("quantile(reward, 0.5)", 4.5),
        ("quantile(1 / reward, 1)", math.inf),  # the first reward is 0
        ("quantile(1 / reward, 8 / 9)", 1),
        ("quantile(-1 / reward, 0.05)", -math.inf),
        ("max(smooth(reward, 4))", 7.5),
        ("count(reward > 5)", 4),
        ("count(reward)", 10),
        ("any(reward > 8)", 1),
        ("all(reward > 8)", 0),
        ("abs(-3)", 3),
        ("max(abs(reward - 9))", 9),
        ('last("loss/policy")', 0.1),
        ("last(`loss/policy`)", 0.1),
        ("max(creature.speed)", 1.5),
        ("max(speed)", 1.5),
        ("stats.reward[1]", 1),
        ("max(stats)", 9),
        ('count(events("fall"))', 2),
        ("count(events('never'))", 0),
        ("last(events('episode_end'))", 9),  # charts leave it out
        ("last(time)", 9),
        ("mean(rare)", 8),
        ("count(rare)", 2),
        ("rare[-1]", 9),
        ("lambda[0] + None[0] + is[0]", 6),
        ('"def\\d"[0] + "a.b"[0]', 9),
        ("stats . reward[1]", 1),
        ("stats.'loss/policy'[0]", 1),
        ("007 + .5", 7.5),
        ("\n count ( reward [ - 10 % : ] ) \t", 1),
        ("count(reward[-200%:])", 10),
        ("sum((reward > 5) - (reward > 7))", 2),
        ("median(reward > 2) + quantile(reward > 5, 0.5)", 1),
        ("max(smooth(reward > 5, 2)) + iqm(reward > 8)", 1),
        ("first(reward > 5) + last(-(reward > 5))", -1),
    ],
)
def test_what_an_expression_comes_to(run: Run, text: str, expected: float) -> None:
    assert measure(Gate.of(text), run) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("mean(reward) >= 4.5", True),
        ("mean(reward) > 4.5", False),
        ("1 < 2 <= 2 == 2 != 3", True),
        ("1 < 2 < 2", False),
        ("1 < 2 and not 2 < 1", True),
        ("1 > 2 or 2 > 1 and 1 > 3", False),
        ("not (1 > 2)", True),
        ("all(reward >= 0) == 1", True),
        ("mean(broken) < 5", False),
        ("not mean(broken) > 5", False),
        ("mean(broken) != 1", False),
        ("max(broken[6:]) == 1", True),
        ("reward[99] < 5", False),
        ("count(broken > 5) == 0", False),
        ("count(broken[6:] > 5) == 0", True),
        ("not any(broken > 5) == 1", False),
        ("count(broken != 1) <= 1", False),
        ("all(broken) == 1", False),
        ("any(broken) == 1", False),
        ("all(broken[:5]) == any(broken[6:])", True),
        ("last(smooth(broken, 4)) == 1", True),
        ("last(smooth(broken, 5)) == 1", False),
        ("first(smooth(broken[5:], 3)) == 1", False),
        ("count(smooth(broken, 2)) == 10", True),
        ("last(smooth(1 / (reward - 6), 3)) < 1", True),
        ("last(smooth(1 / (reward - 6), 4)) == 1 / 0", True),
        ("first(smooth(-1 / reward, 3)) == -1 / 0", True),
        ("max(smooth(1 / (reward * (reward - 1) - 0 * reward), 1)) == 1 / 0", True),
        ("mean(reward[20:]) < 5", False),
        ("1 / 0 > 5", True),
        ("0 / 0 == 0 / 0", False),
        ("2 ** 5000 > 1", True),
        ("9 ** 9 ** 9 > 1", True),
        ("9" * 1900 + " > 1", True),
        ("-1e999 < 1e999", True),
        ("1e999 - 1e999 < 1", False),
        ("1 > 2or 2 > 1and 3 > 2", True),
        ("not not 1 > 0 and (1 > 0) == (2 > 1)", True),
    ],
)
def test_gates(run: Run, text: str, passed: bool) -> None:
    assert judge(Gate.of(text), run).passed is passed


def test_a_result_tells_what_was_measured(run: Run) -> None:
    result = judge(Gate.of("200 <= mean(reward[-2:]) or max(reward) - 1 > 2 * 3"), run)
    assert result.passed
    assert result.measured == (("mean(reward[-2:])", 8.5), ("max(reward) - 1", 8.0))


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "the expression ends too early"),
        ("mean(reward) >=", 16, "the expression ends too early"),
        ("mean(rewrd) > 1", 6, "run has no column 'rewrd'; near it: reward"),
        ("maen(reward) > 1", 1, "there is no function 'maen'; did you mean mean?"),
        ("frobnicate(reward) > 1", 1, "there is no function 'frobnicate'; there are abs, all, any"),
        ("mean(reward) = 200", 14, "'=' does not belong here; to compare, write =="),
        ("mean(reward > 1", 16, "')' is missing, and here the expression ends"),
        ("mean(reward) > 1)", 17, "')' does not belong here"),
        (
            "mean(reward[1:2:3]) > 1",
            16,
            "':' does not belong here; one ':' can stand between brackets, as in reward[10:20]",
        ),
        ("mean(reward[]) > 1", 13, "brackets contain a number"),
        ("mean(reward[0.5:]) > 1", 13, "a place in a column is a whole number"),
        ("mean(reward[-10 % :]) > 5 % 2", 27, "'%' does not belong here"),
        ("reward[mean(reward)%:] > 1", 20, "only a plain number can have a % after it"),
        ("quantile(reward) > 1", 1, "quantile takes 2 arguments, not 1"),
        ("quantile(reward, 50) > 1", 18, "a quantile lies between 0 and 1"),
        ("max(smooth(reward, 0)) > 1", 20, "the window is a whole number"),
        ("mean(3) > 1", 6, "mean takes a column, and this is one value"),
        ("reward > 1", 1, "this is a column"),
        ("mean(reward)", 1, "a gate must be true or false, as mean(reward) >= 200 is; this is a number"),
        ("1 > 0 and 3", 11, "this must be true or false"),
        ("mean(word) > 1", 6, "'word' is not a column of numbers"),
        ("mean(com) > 1", 6, "the values of 'com' are lists"),
        ("mean(creature.reward) > 1", 6, "run has no column 'reward'"),
        ("mean(reward + speed) > 1", 6, "these columns have 10 and 4 values"),
        ("events(fall) > 1", 8, "events takes the type of the events in quotes"),
        ('mean("reward) > 1', 6, "this quotation mark has no partner"),
        ("mean(reward) > 1e", 17, "'e' does not belong here"),
        ("1.2.3 > 1", 4, "'.3' does not belong here"),
        ("__import__('os').system('true')", 17, "'.' does not belong here"),
        ("__import__('os') > 1", 1, "there is no function '__import__'"),
        ("reward.__class__ > 1", 7, "'.' does not belong here"),
        ("(" * 60 + "1" + ")" * 60 + " > 0", 52, "nested more than 50 deep"),
        ("not " * 60 + "1 > 0", 205, "nested more than 50 deep"),
        ("+".join(["1"] * 300) + " > 0", 251, "at most 250 names, numbers and signs"),
        ("1 > 0 " + " " * 3000, 1, "at most 2,000 letters"),
        ("mean(reward[1:2:]) > 1", 16, "':' does not belong here"),
        ("mean(reward[:::]) > 1", 14, "':' does not belong here"),
        ("mean((1:2)) > 1", 8, "':' does not belong here"),
        ("mean(reward[1, 2]) > 1", 14, "',' does not belong here"),
        ("mean(reward,) > 1", 13, "')' does not belong here"),
        ("mean(*reward) > 1", 6, "'*' does not belong here"),
        ("mean(**reward) > 1", 6, "'**' does not belong here"),
        ("1, 2", 2, "',' does not belong here"),
        ("()", 2, "')' does not belong here"),
        ("[1] > 0", 1, "'[' does not belong here"),
        ("{1} > 0", 1, "'{' does not belong here"),
        ("mean(reward] > 1", 12, "')' is missing before ']'"),
        ("mean(x for x in reward) > 1", 8, "'for' does not belong here"),
        ("1 if reward else 2", 3, "'if' does not belong here"),
        ("(a := 1) > 0", 4, "':' does not belong here"),
        ("lambda: 1", 7, "':' does not belong here"),
        ("f'{reward}' > 1", 2, """"'{reward}'" does not belong here"""),
        ("'a' 'b' > 1", 5, """"'b'" does not belong here"""),
        ("'mean'(reward) > 1", 7, "'(' does not belong here"),
        ("7 // 2 > 1", 4, "'/' does not belong here"),
        ("7 <> 2", 4, "'>' does not belong here"),
        ("1 << 2 > 1", 4, "'<' does not belong here"),
        ("~1 > 0", 1, "'~' does not belong here"),
        ("1 + not 2", 5, "'not' does not belong here"),
        ("1 not in reward", 3, "'not' does not belong here"),
        ("reward > 0 # more", 12, "'#' does not belong here"),
        ("reward > \\\n 0", 10, "does not belong here"),
        ("\0 > 1", 1, "does not belong here"),
        ("0x10 > 1", 2, "'x10' does not belong here"),
        ("1__0 > 1", 1, "'1__0' is not a number"),
        ("1j > 1", 2, "'j' does not belong here"),
        ("10% > 1", 3, "'%' does not belong here"),
        ("mean(reward[5 + 10%:]) > 1", 17, "'10%' does not belong here"),
        ("mean(reward[5 -10%:]) > 1", 15, "'-10%' does not belong here"),
        ("mean(reward[--10%:]) > 1", 14, "'-10%' does not belong here"),
        ("mean(reward[reward:]) > 1", 13, "one number must stand here, not a column"),
        ("reward[1 > 0] > 1", 8, "one number must stand here, not a column or a condition"),
        ("    mean(rewrd) > 1", 10, "run has no column 'rewrd'"),
        ("mean(größe) + mean(rewrd) > 1", 6, "run has no column 'größe'"),
        ("'größe €'[0] > 1", 1, "run has no column 'größe €'"),
        ("'größe' > 1 1", 13, "'1' does not belong here"),
        ("reward < 1 < speed", 1, "these columns have 10 and 4 values"),
        ("1 > \n $", 7, "'$' does not belong here"),
    ],
)
def test_errors_point_at_the_place(run: Run, text: str, column: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        judge(Gate.of(text), run)
    error = caught.value
    assert error.column == column
    first, shown, caret = str(error).split("\n")
    assert first.startswith(f"column {column}: ")
    assert message in first
    assert len(caret) == 4 + column
    assert shown.startswith("    ")


@pytest.mark.parametrize(
    "text",
    [
        "reward[1e999%:]",
        "reward[:-1e999%]",
        "reward[1e999:]",
        "reward[1e999]",
        "reward[-9 ** 9 ** 9]",
        "reward[0 / 0:]",
        "smooth(reward, 1e999)",
        "smooth(reward, 0 / 0)",
        "quantile(reward, 1e999)",
        "(" * 1000 + "1" + ")" * 1000,
        "(" * 1000,
        "[" * 1000,
        "reward[" * 250,
        "abs(" * 400,
        "-" * 1000 + "1",
        "not " * 400 + "1",
        "9 ** " * 300 + "9",
        "1_" * 500,
        "9" * 10_000,
        "'" * 1999,
        "\ud800",
    ],
)
def test_hostile_text_is_an_error(run: Run, text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        measure(Gate.of(text), run)
    assert 1 <= caught.value.column <= len(text) + 1


@pytest.mark.parametrize(
    "text",
    [
        "(" * 50 + "1" + ")" * 50,
        "(---" * 40 + "1" + ")" * 40,
        "abs(" * 50 + "1" + ")" * 50,
        "-9 ** " * 80 + "1",
        "+".join("1" * 125),
        "reward" + "[:]" * 49 + "[0]",
        "reward[reward[" * 25 + "0" + "]]" * 25,
    ],
)
def test_what_is_within_the_limits_is_computed(run: Run, text: str) -> None:
    measure(Gate.of(text), run)


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_a_parser_without_memory_is_an_error(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def parse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("ast.parse", parse)
    with pytest.raises(ExpressionError, match="nested too deep"):
        Gate.of("1 > 0")


@pytest.mark.parametrize(
    ("text", "column"),
    [("1 + (1, 2)", 5), ("mean([1])", 6), ("mean(*x)", 6), ("mean(**x)", 6), ("x[1, 2]", 3), ("1 (", 4), ("x : 1", 3)],
)
def test_the_white_list_holds_without_the_check_of_tokens(
    monkeypatch: pytest.MonkeyPatch, text: str, column: int
) -> None:
    monkeypatch.setattr(language, "_check", lambda expression, tokens: None)
    with pytest.raises(ExpressionError) as caught:
        Gate.of(text)
    assert caught.value.column == column


@pytest.mark.parametrize("key", ["reward", "and", "not", "stats", "a b", 'a"b', "a\"b'c", "`", "℘", "a·b", "größe", ""])
def test_every_column_has_a_name(tmp_path: Path, key: str) -> None:
    run = Run(write_log(tmp_path / "run.flog", [{key: 1}, {key: 2}]))
    for kind in ("", "stats."):
        assert measure(Gate.of(f"mean({kind}{language.name_of(key)})"), run) == 1.5


def test_a_column_that_has_no_name_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="which has all quotation marks"):
        language.name_of("a'b`\"c")


def test_gates_of_the_same_text_are_equal() -> None:
    assert Gate.of("1 > 0") == Gate.of("1 > 0") != Gate.of("1 > 1")


def test_a_share_is_rounded_up_to_whole_values_only(tmp_path: Path) -> None:
    run = Run(write_log(tmp_path / "run.flog", [{"reward": float(n)} for n in range(100)]))
    for percent in range(1, 101):
        assert measure(Gate.of(f"count(reward[-{percent}%:])"), run) == percent


def test_a_score_is_one_number(run: Run) -> None:
    with pytest.raises(ExpressionError, match="a score must be one number"):
        measure(Gate.of("reward"), run)


@given(st.text(alphabet="mean(reward)[]:-10%.*/<>=!\"'` andornot,23e_", max_size=40))
def test_no_text_is_more_than_an_error(run: Run, text: str) -> None:
    with contextlib.suppress(ExpressionError):
        judge(Gate.of(text), run)


def test_every_function_is_documented() -> None:
    rows = dict(re.findall(r"^\| `(\w+)\(x\)` \| (.*?) \|$", DOCS.read_text(), re.MULTILINE))
    assert {name: what for name, (_, what) in FUNCTIONS.items()} == {name: rows.get(name) for name in FUNCTIONS}
    for name in ("abs", "quantile", "smooth", "events"):
        assert f"`{name}(" in DOCS.read_text()
