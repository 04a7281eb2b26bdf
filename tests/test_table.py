from __future__ import annotations

import copy
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainlog import Kind, Table
from trainlog.table.builder import joined, table_of
from trainlog.table.values import flatten
from trainlog.testing import same


def table(*rows: dict[Any, Any]) -> Table:
    return table_of(Kind.STATS, enumerate(rows))


def column(*values: Any) -> np.ndarray[Any, Any]:
    """The column of these values; an ellipsis is a frame that lacks the key."""
    return table(*({} if value is ... else {"x": value} for value in values))["x"]


def test_times_and_rows() -> None:
    got = table({"a": 1}, {"a": 2})
    assert got.time.tolist() == [0.0, 1.0]
    assert got.rows == 2
    assert list(got) == ["a"]
    assert repr(got) == "<Table stats: 2 rows × 1 columns>"


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ((1, 2), np.int64, [1, 2]),
        ((1, 2.5), np.float64, [1.0, 2.5]),
        ((1, ...), np.float64, [1.0, np.nan]),
        ((1.5, None), np.float64, [1.5, np.nan]),
        ((2**64 - 1, 0), np.uint64, [2**64 - 1, 0]),
        ((2**63, -1), object, [2**63, -1]),
        ((2**70, 1), object, [2**70, 1]),
        ((True, False), np.bool_, [True, False]),
        ((True, ...), object, [True, np.nan]),
        ((True, None), object, [True, None]),
        ((True, 1), object, [True, 1]),
        (("walk", "trot"), object, ["walk", "trot"]),
        (("walk", ...), object, ["walk", np.nan]),
        (("walk", None), object, ["walk", None]),
        (("walk", 1), object, ["walk", 1]),
        ((None, None), object, [None, None]),
        ((b"\x00", b"\xff"), object, [b"\x00", b"\xff"]),
        (([1, 2], [3, 4]), np.int64, [[1, 2], [3, 4]]),
        (([1.5, 2], [3, 4]), np.float64, [[1.5, 2.0], [3.0, 4.0]]),
        (([1.5, 2.5], ...), np.float64, [[1.5, 2.5], [np.nan, np.nan]]),
        (([1.5, 2.5], None), np.float64, [[1.5, 2.5], [np.nan, np.nan]]),
        (([[1], [2]], [[3], [4]]), np.int64, [[[1], [2]], [[3], [4]]]),
        (([1, 2], [3]), object, [[1, 2], [3]]),
        (([1, 2], 3), object, [[1, 2], 3]),
        (([True], [False]), np.bool_, [[True], [False]]),
        (([True], [1]), object, [[True], [1]]),
        ((["a"], ["b"]), object, [["a"], ["b"]]),
        (([1, None], [2, 3]), object, [[1, None], [2, 3]]),
        (([], []), np.float64, [[], []]),
        (([2**63], [-1]), object, [[2**63], [-1]]),
        (({}, {}), object, [{}, {}]),
    ],
)
def test_what_becomes_of_values(values: tuple[Any, ...], dtype: Any, expected: list[Any]) -> None:
    got = column(*values)
    assert got.dtype == dtype
    assert same(got.tolist(), expected)


def test_nested_maps_are_flattened() -> None:
    got = table({"gait": {"phase": {"left": 1, "right": 2}, "name": "trot"}}, {"gait": {"name": "walk"}})
    assert list(got) == ["gait/phase/left", "gait/phase/right", "gait/name"]
    assert got["gait/name"].tolist() == ["trot", "walk"]
    assert same(got["gait/phase/left"].tolist(), [1.0, np.nan])


def test_names_that_meet_are_numbered() -> None:
    assert flatten({"a": {"b": 1}, "a/b": 2, 1: 3, "1": 4}) == {"a/b": 1, "a/b#2": 2, "1": 3, "1#2": 4}


def test_chosen_keys_in_the_order_asked_for() -> None:
    rows = [(0.0, {"a": 1, "b": {"c": 2}, "d": 3})]
    got = table_of(Kind.STATS, rows, keys=["b/c", "a"])
    assert list(got) == ["b/c", "a"]
    with pytest.raises(KeyError, match=r"no stats frame has the key 'reword'; near it: reward"):
        table_of(Kind.STATS, [(0.0, {"reward": 1})], keys=["reword"])
    with pytest.raises(KeyError, match="reword"):
        table({"reward": 1})["reword"]


def test_chosen_keys_of_nothing_are_empty() -> None:
    got = table_of(Kind.STATS, [], keys=["a"])
    assert got.rows == 0
    assert got["a"].shape == (0,)


def test_numbers_of_anything() -> None:
    got = table({"x": "1.5"}, {"x": "True"}, {"x": "walk"}, {"x": 2}, {"x": None}, {"x": [1]})
    assert same(got.numbers("x").tolist(), [1.5, 1.0, np.nan, 2.0, np.nan, np.nan])
    assert got.numbers("x").dtype == np.float64
    assert table({"x": True}).numbers("x").tolist() == [1.0]


def test_rows_where() -> None:
    got = table({"a": 1}, {"a": 2}, {"a": 3})
    assert got.rows_where(got["a"] > 1)["a"].tolist() == [2, 3]
    assert got.rows_where(slice(0, 1)).time.tolist() == [0.0]


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="column 'a' has 2 rows, the table 1"):
        Table(Kind.STATS, np.zeros(1), {"a": np.zeros(2)})


def test_does_not_depend_on_how_many_rows_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [1, 2.5, True, None, "a", [1], [1, 2], 2**63, -1, [True], [1.5]]

    @given(st.lists(st.dictionaries(st.sampled_from("ab"), st.sampled_from(values), max_size=2), max_size=12))
    def check(rows: list[dict[str, Any]]) -> None:
        monkeypatch.setattr("trainlog.table.builder.BATCH", 4096)
        whole = table(*rows)
        monkeypatch.setattr("trainlog.table.builder.BATCH", 2)
        parts = table(*rows)
        assert list(whole) == list(parts)
        for key in whole:
            assert whole[key].dtype == parts[key].dtype
            assert same(whole[key].tolist(), parts[key].tolist())

    check()


numbers = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats())
anything = st.recursive(
    st.one_of(numbers, st.booleans(), st.none(), st.text(max_size=3), st.binary(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=2), anything, max_size=4), max_size=8))
def test_every_value_is_where_it_belongs(rows: list[dict[str, Any]]) -> None:
    got = table(*rows)
    flat = [flatten(row) for row in rows]
    assert list(got) == list(dict.fromkeys(key for row in flat for key in row))
    for key in got:
        for there, row in zip(got[key].tolist(), flat, strict=True):
            if key not in row:
                assert np.all(np.isnan(np.asarray(there, float)))
            elif got[key].dtype == np.float64:
                expected = np.nan if row[key] is None else row[key]
                assert np.array_equal(
                    np.asarray(there, float), np.broadcast_to(np.asarray(expected, float), np.shape(there)), True
                )
            else:
                assert same(there, row[key])


def test_a_column_that_few_rows_have_takes_what_it_holds() -> None:
    rows = [
        (float(n), {"step": n, f"k{n}": n, f"t{n}": None if n % 2 else "x", f"v{n}": [1.0, n]}) for n in range(5000)
    ]
    tracemalloc.start()
    table = table_of(Kind.STATS, rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120 << 20, "rows times columns are 600 MB"
    assert len(table) == 15_001
    for n in (0, 17, 4999):
        expected = np.full(5000, np.nan)
        expected[n] = n
        assert np.array_equal(table[f"k{n}"], expected, equal_nan=True)
        assert table.column(f"k{n}").values.dtype == np.int64
        assert np.flatnonzero(table.column(f"t{n}").present).tolist() == [n]
        assert table.column(f"t{n}").valid.any() == (n % 2 == 0)
        assert table[f"v{n}"].shape == (5000, 2)
    some = table.rows_where(np.arange(5000) % 2 == 0)
    assert some["k4"].tolist()[2] == 4.0
    assert [frame.data for frame in table.frames()] == [data for _, data in rows]
    both = joined(Kind.STATS, [table, table])
    assert np.flatnonzero(both.valid("k3")).tolist() == [3, 5003]


def test_tables_with_the_same_content_are_equal() -> None:
    rows = [{"a": 1, "b": [1.5, float("nan")], "c": "x"}, {"a": None, "b": [2.5, 3.5]}, {"c": {"d": [1, [2]]}}]
    one = table(*rows)
    assert one == table(*rows)
    assert one == copy.deepcopy(one) == pickle.loads(pickle.dumps(one))
    assert one == one.select(["c/d", "c", "b", "a"])
    assert one != table(*rows[:2], {"c": {"d": [1, [3]]}})
    assert one != table(rows[0], {"b": [2.5, 3.5]}, rows[2])  # absent is not null
    assert one != one.select(["a"])
    assert one != one.rows_where(slice(2))
    assert one != table_of(Kind.EVENT, enumerate(rows))
    assert one != table_of(Kind.STATS, ((n + 1, row) for n, row in enumerate(rows)))
    assert one != dict(one)
    assert table() == table()
    assert one.rows_where(slice(0)) == one.rows_where(slice(0))
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@pytest.mark.parametrize("key", [3, None, ("a", "b"), 1.5])
def test_a_key_that_is_not_text_is_a_missing_key(key: Any) -> None:
    one = table({"a": 1})
    assert one.get(key) is None
    with pytest.raises(KeyError, match="no stats frame has the key"):
        one[key]
