"""The filter language: both spellings mean the same, and every error points at its place."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainlog.catalog.filter import Filter, resolve
from trainlog.errors import ExpressionError

ROW: dict[str, Any] = {
    "run": "sac/ant/3.flog",
    "state": "running",
    "task": "ant: run forward",
    "size": 1500,
    "algo": "sac",
    "lr": 0.0003,
    "seed": 3,
    "cuda": True,
    "args/gamma": 0.99,
    "scale": 1234567.25,
    "note": "it's a first try",
    "hidden": [64, 64],
    "nothing": None,
    "last/reward": 151.5,
    "last/loss": -0.25,
    "last/lr": 0.5,
    "last/nan": float("nan"),
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        # the short form
        *(
            "sac",
            "SAC",
            "ant/3",
            "forward",
            "algo:sac",
            "algo:SA",
            "lr=0.0003",
            "lr=3e-4",
            "lr:0.0003",
            "scale:1234567.25",
            "-td3",
            "reward>150",
        ),
        *(
            "state:running",
            "/^sac.ant/",
            "algo:/^s.c$/",
            "-algo:td3",
            "reward>150 loss<0 -ppo",
            "loss=-0.25",
            "loss>-1",
        ),
        *("seed=3", "seed:3", "seed<=3", "seed>=3", "args/gamma=0.99", "gamma=.99", "cuda:true", "cuda=1", "loss>-1"),
        *("run:3.flog", "'first try'", """note:"it's\"""", """note="it's a first try\""""),
        *("hidden:64", "nothing=null", "absent=null", "nan=nan", "--sac", "(td3 or sac) ant"),
        # the long form
        *("lr == 3e-4 and task ~ 'ant'", "lr == 0.0003 and not algo == 'td3'", "task !~ 'hopper'", "not (algo = td3)"),
        *("algo == td3 or algo == sac", "reward > 100 and reward < 200", "task ~ /^ANT: .*d$/", "last/reward > 150"),
        *("algo == td3 or algo == sac and lr < 1", "algo != 'td3' AND ant", "task ~ 'a.t'"),
    ],
)
def test_what_fits(text: str) -> None:
    assert Filter.of(text)(ROW)


@pytest.mark.parametrize(
    "text",
    [
        *("td3", "151.5", "1500", "0.25", "algo:td3", "algo=sa", "lr=0.5", "-sac", "reward<150", "state=run", "/^hop/"),
        *("absent=3", "absent>3", "absent:x", "absent~''", "nan>0", "nan<0", "nothing>0", "note>1", "-(sac ant)"),
        *(
            "lr == 3e-3 and task ~ 'ant'",
            "not sac",
            "task ~ '^run'",
            "(algo == sac or algo == td3) and lr > 1",
            "cuda=0",
        ),
    ],
)
def test_what_does_not_fit(text: str) -> None:
    assert not Filter.of(text)(ROW)


def test_a_minus_belongs_to_a_word_or_to_a_number_unless_a_term_begins_with_it() -> None:
    assert Filter.of("run-3")({"run": "run-3.flog"})
    assert Filter.of("x>-5")({"x": -4})
    assert not Filter.of("-run")({"run": "run-3.flog"})
    assert Filter.of("- run")({"run": "x"})


def test_names_are_the_metadata_before_the_metrics() -> None:
    assert resolve("lr", ROW) == "lr"
    assert resolve("reward", ROW) == "last/reward"
    assert resolve("gamma", ROW) == "args/gamma"
    assert resolve("best/reward", ROW) is None
    assert Filter.of("lr=3 gamma>1 x or 'a b'<2").keys == {"lr", "gamma", "a b"}


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("lr=", 4, "a value is missing after '='"),
        ("lr = = 3", 6, "a value is missing after '='"),
        ("a and", 6, "the filter ends too early"),
        ("and a", 1, "'and' does not belong here"),
        ("a or or b", 6, "'or' does not belong here"),
        ("(a", 3, "')' is missing"),
        ("a)", 2, "')' does not belong here"),
        ("= 3", 1, "'=' does not belong here"),
        ("reward > high", 10, "'high' is not a number"),
        ("task ~ '('", 8, "this is not a regular expression"),
        ("a 'b", 3, "this quotation mark has no partner"),
        ("(" * 60 + "a", 51, "nested more than 50 deep"),
        ("-" * 60 + "a", 51, "nested more than 50 deep"),
        ("not " * 60 + "a", 201, "nested more than 50 deep"),
        ("a" * 2001, 1, "at most 2,000 letters"),
    ],
)
def test_errors_point_at_their_place(text: str, column: int, words: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(words)) as caught:
        Filter.of(text)
    assert caught.value.column == column
    assert caught.value.expression == text


WORDS = st.text(st.characters(codec="ascii", exclude_characters="\"'\n"), max_size=12)


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_a_typed_error(text: str) -> None:
    try:
        Filter.of(text)(ROW)
    except ExpressionError as error:
        column = error.column
    else:
        column = 1
    assert 1 <= column <= len(text) + 1


PARTS = ["a", "b", "lr=3", "-sac", "(", ")", "and", "or", "not", ":", "=", ">", "~", "/x/", "'q'", "3e-4"]


@given(st.lists(st.sampled_from(PARTS), max_size=14))
def test_any_words_are_a_filter_or_a_typed_error(words: list[str]) -> None:
    with contextlib.suppress(ExpressionError):
        Filter.of(" ".join(words))(ROW)


@given(WORDS, WORDS)
def test_quoted_text_is_equal_to_itself_and_to_nothing_else(one: str, other: str) -> None:
    wanted = Filter.of(f"x = '{one}'")
    assert wanted({"x": one})
    assert wanted({"x": other}) == (one.lower() == other.lower())
    assert Filter.of(f"x != '{one}'")({"x": other}) == (one.lower() != other.lower())


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.sampled_from(["<", "<=", ">", ">=", "=", "==", "!="]))
def test_numbers_compare_as_numbers(value: float, limit: float, sign: str) -> None:
    python = "==" if sign == "=" else sign
    assert Filter.of(f"x{sign}{limit!r}")({"x": value}) == eval(f"a {python} b", {"a": value, "b": limit})


def test_an_integer_beyond_all_floats_is_larger_than_any_number() -> None:
    assert Filter.of("x>1e308 x!=3 -x<0")({"x": 10**400})
    assert Filter.of("x<-1e308")({"x": -(10**400)})


TERMS = st.sampled_from(["sac", "td3", "lr=3e-4", "lr>1", "algo:sac", "state:ended", "reward>150"])


@given(st.lists(TERMS, min_size=1, max_size=4), st.lists(TERMS, min_size=1, max_size=4))
def test_words_side_by_side_are_and_which_binds_closer_than_or(left: list[str], right: list[str]) -> None:
    def fits(terms: list[str]) -> bool:
        return all(Filter.of(term)(ROW) for term in terms)

    expected = fits(left) or fits(right)
    assert Filter.of(f"{' '.join(left)} or {' '.join(right)}")(ROW) == expected
    assert Filter.of(f"({' and '.join(left)}) or {' and '.join(right)}")(ROW) == expected
    assert Filter.of(f"-({' '.join(left)})")(ROW) == (not fits(left)) == Filter.of(f"not ({' '.join(left)})")(ROW)
