from __future__ import annotations

import json
import random
import struct
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.handmade import Flog
from tests.strategies import frame_data

import trainlog
from trainlog import Kind
from trainlog.errors import DamagedLogWarning
from trainlog.scan import Scan
from trainlog.table.builder import table_of
from trainlog.table.table import Table

pytestmark = pytest.mark.usefixtures("sizes")

Make = Callable[[Sequence[bytes] | bytes], Path]


def generic(path: Path, kind: int, keys: Sequence[str] | None = None) -> Table:
    reader = trainlog.open(path, codec="flog")
    return table_of(Kind(kind), ((frame.time, frame.data) for frame in reader.frames(kind)), keys=keys)


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other or (one != one and other != other))


def assert_same(table: Table, expected: Table) -> None:
    assert list(table) == list(expected)
    assert table.time.tobytes() == expected.time.tobytes()
    for key, column in expected.items():
        given = table[key].astype(np.float64) if table[key].dtype == np.float32 else table[key]
        assert given.dtype == column.dtype, key
        assert given.shape == column.shape, key
        np.testing.assert_array_equal(table.valid(key), expected.valid(key), key)
        np.testing.assert_array_equal(table.column(key).present, expected.column(key).present, key)
        if column.dtype == object:
            assert same(given.tolist(), column.tolist()), key
        else:
            np.testing.assert_array_equal(given, column)


def check(path: Path, kinds: Sequence[int] = (1, 2, 3, 4, 9)) -> None:
    """Every kind's table is that of the generic path, and warns of the same."""
    reader = trainlog.open(path, codec="flog")
    for kind in kinds:
        with warnings.catch_warnings(record=True) as expected_warnings:
            warnings.simplefilter("always")
            expected = generic(path, kind)
        with warnings.catch_warnings(record=True) as given_warnings:
            warnings.simplefilter("always")
            table = reader.table(kind)
        assert_same(table, expected)
        assert [str(one.message) for one in given_warnings] == [str(one.message) for one in expected_warnings]
        if len(table) > 1:
            some = list(table)[::-2]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert_same(reader.table(kind, keys=some), generic(path, kind, some))


def creature(step: int, n: int = 3) -> dict[str, Any]:
    numbers = np.random.default_rng(step).normal(size=2 * n).tolist()
    return {"step": step, "pos": numbers[:n], "vel": numbers[n:], "heading": -step / 7, "on": step % 2 == 0}


def log_of(frames: Sequence[Any], kind: int = 4) -> list[bytes]:
    return [Flog.header(), *(Flog.frame(i / 10, kind, data) for i, data in enumerate(frames))]


def test_frames_that_are_alike(make: Make) -> None:
    path = make(log_of([creature(step) for step in range(0, 70_000, 97)]))
    check(path)
    table = trainlog.open(path).table("creature")
    assert table["pos"].shape == (722, 3)
    assert table["step"].tolist() == list(range(0, 70_000, 97))
    assert table["pos"].flags.owndata


def test_stats_between_creature_frames(make: Make) -> None:
    parts = [Flog.header()]
    for step in range(1500):
        parts.append(Flog.frame(step / 100, 4, creature(step)))
        if step % 40 == 39:
            stats = {f"metric_{i}": i * step / 3 for i in range(20 + step // 100)}
            parts.append(Flog.frame(step / 100, 2, {"step": step, "mode": "run" if step % 3 else "stand", **stats}))
    check(make(parts))


@pytest.mark.parametrize(
    "values",
    [
        [1, 200, 70_000, 2**40, -1, -100, -1000, -(2**40), 2**31, -(2**31), 255, 256, -32, -33, 127, 128],
        [0, 0.5, -3, 7.25, 1000],
        [1, None, 3],
        [1.5, None, 2.5],
        [None, None],
        [True, False, True],
        [True, None],
        [True, 1, 1.0],
        [2**63, 1, 2**64 - 1],
        [2**63, -1],
        [2**63, -1, 0.5],
        [2**63, 0.5],
        ["run", "walk", "run", "stand still", "", "\u00e9\u00e8", "x" * 40, "y" * 300, "z" * 70_000],
        ["a", 1, None, 2.5, True, b"a", b"", b"x" * 300],
        [[1.0, 2.0], [3.0, 4.0]],
        [[1.0, 2.0], [3, 4.0], [5, 6]],
        [[1, 2], [300, 4], [-5, 2**40]],
        [[1, 2], [3, 4], None],
        [[1.0], [2.0, 3.0], []],
        [[1.0, 2.0], 3.0],
        [[], []],
        [[], [1.0]],
        [[True, False], [False, True]],
        [[True, False], [1, 0]],
        [[2**63, 1], [1, 2]],
        [[-1, 2**63], [1, 2]],
        [[1.0, None], [1.0, 2.0]],
        [[1.0, "a"], [1.0, 2.0]],
        [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]] * 5,
        [[[1, 2, 3], [4.5, 5, 6]]] * 5,
        [[[1.0], [2.0, 3.0]]] * 3,
        [[[], []], [[], []]],
        [list(range(100))] * 4,
        [list(range(200, 300))] * 4,
        [[0.5] * 100, [1.5] * 100, [0.5] * 99 + [1]],
        [[[0.5] * 100, [1.5] * 100]] * 3,
        [{"a": 1, "b": {"c": 2.5}}, {"a": 2, "b": {"c": 3.5}}],
        [{}, {"a": 1}, {}],
        [{}, {}],
        [{"a": {}}, {"a": {}}],
        [{1: 2.0, -7: 3, 1000: 4, "x": 5}] * 3,
        [{1: 2.0, "1": 3.0}] * 3,
        [{b"a": 2.0, None: 1, 1.5: 2, True: 3}] * 3,
        [msgpack.ExtType(5, b"abc"), 1],
        [msgpack.Timestamp(5, 6), 1],
        [float("nan"), float("inf"), -0.0],
        [[{"a": 1}], [{"a": 2}]],
        [["a", "b"], ["c", "d"]],
    ],
)
def test_any_column(make: Make, values: list[Any]) -> None:
    """Alone, repeated, in blocks, and with frames that lack the key."""
    for frames in (
        [{"x": value} for value in values],
        [{"step": i, "x": values[i % len(values)], "y": 0.5} for i in range(60)],
        [{"step": i, "x": values[i * len(values) // 300], "y": 0.5} for i in range(300)],
        [{"y": i} if i % 3 == 0 else {"x": values[i % len(values)], "y": i / 2} for i in range(60)],
        [{f"k{i % 7}": i, "x": values[i % len(values)], f"k{i * 3 % 5 + 7}": "y" * i} for i in range(60)],
    ):
        check(make(log_of(frames, 2)), [2])


def test_float32_and_other_widths(make: Make) -> None:
    def payload(i: int) -> bytes:
        return (
            b"\x84\xa1a\xca"
            + struct.pack(">f", i / 3)
            + b"\xa1b\xd1"
            + struct.pack(">h", -i)
            + b"\xda\x00\x01c\xd2"
            + struct.pack(">i", i)
            + b"\xd9\x01d\xdc\x00\x02\xca"
            + struct.pack(">f", i)
            + b"\xca"
            + struct.pack(">f", -i)
        )

    check(make(log_of([payload(i) for i in range(200)])))


@pytest.mark.parametrize("ragged", [True, False])
def test_lists_of_float32_without_a_shape(make: Make, ragged: bool) -> None:
    """Of unlike lengths, or deeper than an array can be: lists, as floats of eight bytes are."""
    number = b"\xca" + struct.pack(">f", 0.5)
    odd = b"\x92\x91" + number + b"\x92" + number * 2 if ragged else b"\x91" * 70 + number
    even = b"\x92" + number * 2
    frames = [b"\x81\xa4legs" + (odd if i % 3 else even) for i in range(60)]
    check(make(log_of(frames)))
    varying = [b"\x82\xa2k" + b"%d" % (i % 7) + b"\x01" + one[1:] for i, one in enumerate(frames * 5)]
    path = make(log_of(varying, 2))
    check(path, [2])
    table = trainlog.open(path).table("stats", keys=["legs"])
    assert table["legs"].dtype == object
    assert table["legs"][0] == [0.5, 0.5]
    assert table["legs"][1] == ([[0.5], [0.5, 0.5]] if ragged else msgpack.unpackb(odd))


def test_keys_twice_in_a_map(make: Make) -> None:
    check(make(log_of([b"\x82\xa1a" + bytes([i]) + b"\xa1a\x05" for i in range(100)])))
    one, other = b"\x81\xa1b\x01", b"\x81\xa1c\x02"
    for first, last in ((one, other), (one, b"\x05"), (b"\x05", other)):
        twice = b"\xa1a" + first + b"\xa1a" + last
        for prefix, head in (("", b"\x83"), ("m/", b"\x82\xa1m\x82")):
            path = make(log_of([head + twice + b"\xa2k%d\x01" % (i % 7) for i in range(400)], 2))
            check(path, [2])
            expected = generic(path, 2)
            for key in (f"{prefix}a", f"{prefix}a/b", f"{prefix}a/c"):
                batch = next(trainlog.open(path).scan(Scan(kinds="stats", columns=[key])))
                assert_same(batch.table, expected.select([key] if key in expected else []))


def test_text_that_is_not_utf8(make: Make) -> None:
    check(make(log_of([b"\x82\xa1a\xa2\xff" + bytes([i]) + b"\xa1\xfe\x05" for i in range(100)])))


def test_json_payloads(make: Make) -> None:
    frames = [json.dumps({"step": i, "x": [i / 2, 1]}).encode() for i in range(100)]
    check(make(log_of(frames)))
    check(make(log_of([frame if i % 3 else msgpack.packb(json.loads(frame)) for i, frame in enumerate(frames)])))


def test_keys_that_change_from_frame_to_frame(make: Make) -> None:
    """Some hundred frames, each with keys of its own choice, of all lengths, nested ones among them."""
    choice = random.Random(1)
    keys = [f"{i}/" + "key" * (i % 30) + "x" * (i * 7 % 256) for i in range(40)]
    values = [1.5, -3, "text", True, None, [0.5] * 3, [1, 2.5], [], {}, {"a": 1, "b": {"c": "d"}}, {"deep": {}}]

    def data(i: int) -> dict[Any, Any]:
        some = {key: choice.choice(values) for key in choice.sample(keys, 12)}
        return {"step": i, **some, "last": i / 3} if i % 7 else {i: 1, **some}

    path = make(log_of([data(i) for i in range(600)], 2))
    check(path, [2])
    reader = trainlog.open(path)
    for some in (["step"], [keys[3]], ["last", keys[0], "absent"], [f"{keys[7]}/b/c", f"{keys[7]}/a"]):
        batch = next(reader.scan(Scan(kinds="stats", columns=some)))
        expected = generic(path, 2)
        assert_same(batch.table, expected.select([name for name in some if name in expected]))
    steps = generic(path, 2).numbers("step")
    assert reader.table("stats", keys=["last"], steps=(100, 200)).rows == ((steps >= 100) & (steps < 200)).sum()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"": -1.0}, {"step": 2}),
        ({"": {"reward": -99.0}}, {"reward": 1.0}),
        ({"": {"": 1.0}}, {"": 2.0}),
        ({b"reward__reward__": 1.0}, {b"reward_\xdfreward_\xdf": -99.0}),  # differ in the first bits of two words
        ({b"m_______": {b"reward__": 1.0}}, {b"m______\xdf": {b"reward_\xdf": 2.0}}),
        ({b"reward": 1.0}, {b"attacker\xe1\xee\xa7\xd9\x07\xd4\xf6\xb6": -99.0}),  # made for a hash known before
    ],
)
def test_no_key_takes_the_place_of_another(make: Make, one: dict[Any, Any], other: dict[Any, Any]) -> None:
    def packed(data: Any) -> Any:
        text = {key.decode("utf-8", "surrogateescape") if type(key) is bytes else key: data[key] for key in data}
        return {key: packed(value) if type(value) is dict else value for key, value in text.items()}

    choice = random.Random(1)
    frames = [
        {**{f"k{k}": float(k) for k in choice.sample(range(40), 8)}, **packed(one if i % 2 else other)}
        for i in range(400)
    ]
    path = make(log_of([msgpack.packb(data, unicode_errors="surrogateescape") for data in frames], 2))
    check(path, [2])
    for key in generic(path, 2):
        assert_same(trainlog.open(path).table("stats", keys=[key]), generic(path, 2, [key]))


@pytest.mark.parametrize("keys", [None, ["a/b"], ["a/b#2"], ["a/b#2", "a/b"], ["a"]])
def test_columns_of_one_name_from_different_maps(make: Make, keys: list[str] | None) -> None:
    shapes = [{"a/b": 1}, {"a": {"b": 2}}, {"a/b": 3, "a": {"b": 4}}, {"a": {"b": 5}, "a/b": 6}, {"a": 7}]
    path = make(log_of([{**shapes[i % 5], f"x{i % 9}": i} for i in range(400)], 2))
    expected = generic(path, 2)
    assert_same(trainlog.open(path).table("stats", keys=keys), expected if keys is None else expected.select(keys))


def test_maps_in_maps_in_maps(make: Make) -> None:
    def nested(depth: int) -> Any:
        return {"in": nested(depth - 1), f"k{depth}": depth} if depth else {}

    check(make(log_of([{f"x{i % 5}": nested(i % 12), "y": i} for i in range(300)], 2)))


def test_the_keys_that_are_asked_for(make: Make) -> None:
    path = make(log_of([{"a": i, "b": i / 2, "c": "x"} for i in range(100)], 2))
    reader = trainlog.open(path)
    assert list(reader.table("stats", keys=["c", "a"])) == ["c", "a"]
    assert list(reader.table("stats", keys=[])) == []
    assert reader.table("stats", keys=[]).rows == 100
    with pytest.raises(KeyError, match="no stats frame has the key 'bb'; near it: b"):
        reader.table("stats", keys=["bb"])
    assert reader.table("event", keys=["msg"])["msg"].shape == (0,)


def test_empty_and_headless(make: Make) -> None:
    check(make(b""))
    check(make(Flog.header()))
    check(make(Flog.header() + b"\0" * 5))


def test_every_cut(make: Make) -> None:
    """A file that ends anywhere: whole frames only, as the walk says."""
    frames = [creature(step) for step in range(12)]
    raw = b"".join(log_of(frames)) + Flog.frame(2.0, 2, {"a": 1, "b": "text"})
    for cut in range(len(raw) - 200, len(raw)):
        check(make(raw[:cut]), [2, 4])


def test_every_byte_broken(make: Make) -> None:
    raw = b"".join(log_of([creature(step, 1) for step in range(8)]))
    start = len(Flog.header())
    for at in range(start, len(raw) - 60, 3):
        for value in (0, 0x7F, 0xFF):
            check(make(raw[:at] + bytes([value]) + raw[at + 1 :]), [4, 2])


def test_hole_in_the_middle(make: Make) -> None:
    good = [Flog.frame(i / 10, 4, creature(i)) for i in range(400)]
    orphans = [Flog.frame(20.0, 2, {"a": 1})[:13]] * 6
    path = make([Flog.header(), *good[:150], *orphans, *good[150:]])
    with pytest.warns(DamagedLogWarning):
        assert trainlog.open(path).table("creature").rows == 400
    check(path)


def test_damage_in_frames_of_another_kind(make: Make) -> None:
    """A broken frame of another kind, that leads astray: the walk goes back, and so must we."""
    parts = [Flog.header()]
    for i in range(200):
        parts.append(Flog.frame(i / 10, 4, creature(i)))
        stats = Flog.frame(i / 10, 2, {"a": i, "b": "text" * 5})
        if i in (70, 140):
            stats = stats[:9] + struct.pack("<I", len(stats) + 40) + stats[13:]
        parts.append(stats)
    check(make(parts))


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Frames that mostly are like others of the file, with some that are not, and some damage."""
    shapes = draw(st.lists(frame_data, min_size=1, max_size=4))
    parts = [Flog.header()]
    for i, which in enumerate(draw(st.lists(st.integers(0, 5), max_size=40))):
        data = shapes[which % len(shapes)]
        if which == 5:
            data = draw(frame_data)
        elif which > 2:
            data = {**data, "step": draw(st.integers(0, 70_000)), "x": draw(st.floats())}
        kind = draw(st.sampled_from([2, 2, 2, 4, 200]))
        if draw(st.integers(0, 30)) == 0:
            parts.append(Flog.frame(i, kind, json.dumps({"x": i}).encode()))
        else:
            parts.append(Flog.frame(i, kind, data))
    raw = b"".join(parts)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        at = draw(st.integers(len(parts[0]), len(raw)))
        match draw(st.sampled_from(["cut", "insert", "change", "remove"])):
            case "cut":
                raw = raw[:at]
            case "insert":
                raw = raw[:at] + draw(st.binary(max_size=20)) + raw[at:]
            case "change":
                raw = raw[:at] + draw(st.binary(min_size=1, max_size=2)) + raw[at + 1 :]
            case "remove":
                raw = raw[:at] + raw[at + draw(st.integers(1, 30)) :]
    return raw


@given(raw=files())
@settings(max_examples=300)
def test_any_file(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.flog"
    path.write_bytes(raw)
    check(path, [2, 4, 200])


def test_real_logs(real_logs: Path) -> None:
    logs = sorted((real_logs / "flog").glob("*.bin"))
    assert logs
    for path in logs:
        check(path)


@pytest.mark.parametrize("size", [62, 63, 64, 65, 255, 256, 510, 513, 3000])
@pytest.mark.parametrize("depth", [1, 3, 9])
@pytest.mark.parametrize("vary", [False, True])
def test_long_names_of_maps(make: Make, size: int, depth: int, vary: bool) -> None:
    frames = []
    for n in range(8):
        data: dict[str, Any] = {"a": n, "b": [1.0, 2.0], **({f"v{n}": n} if vary else {})}
        for level in range(depth):
            data = {f"{level}" + "x" * (size - 1): data}
        frames.append(Flog.frame(float(n), 2, data))
    path = make([Flog.header(), *frames])
    expected = generic(path, 2)
    assert_same(trainlog.open(path).table("stats"), expected)
    keys = list(expected)[1::-1]
    assert_same(trainlog.open(path).table("stats", keys=keys), generic(path, 2, keys))
    assert max(map(len, expected)) < 512 + size + 20
    assert all(("…" in key) == (size * depth + depth - 1 > 512) for key in expected)
