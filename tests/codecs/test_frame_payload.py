"""What goes into a frame, and what comes out."""

from __future__ import annotations

import collections
import decimal
import enum
import fractions
import math
import struct
import types
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainlog.codecs.frame_payload import decode, decode_flat, encode
from trainlog.errors import UnsupportedFrame
from trainlog.testing import same


def stored(value: Any) -> Any:
    """What an independent decoder finds for *value* in a frame."""
    return msgpack.unpackb(encode({"x": value}), strict_map_key=False, timestamp=0)["x"]


class Gait(enum.IntEnum):
    TROT = 2


class Pair(collections.namedtuple("Pair", "a b")):
    __slots__ = ()


class Tensor:
    """As frameworks have them: no number, but it gives an array."""

    def __init__(self, value: Any, error: str = "") -> None:
        self.value, self.error = value, error

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if self.error:
            raise RuntimeError(self.error)
        return np.asarray(self.value, dtype)


NUMBER_DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g", "longlong", "ulonglong"]


@pytest.mark.parametrize("dtype", NUMBER_DTYPES + [f">{code}" for code in ("i2", "i4", "i8", "u2", "u8", "f4", "f8")])
def test_numpy_numbers_of_every_dtype_are_numbers(dtype: str) -> None:
    array = np.array([[0, 1], [2, 3]]).astype(dtype)
    expected = [[False, True], [True, True]] if dtype == "?" else [[0, 1], [2, 3]]
    assert same(stored(array), expected)
    assert same(stored(array[1, 1]), expected[1][1])
    assert same(stored({"deep": [array]}), {"deep": [expected]})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.arange(6.0).reshape(2, 3).T, [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]),
        (np.arange(6)[::-2], [5, 3, 1]),
        (np.float64(0.1), 0.1),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.array(3.5), 3.5),
        (np.zeros((0,)), []),
        (np.zeros((2, 0)), [[], []]),
        (np.array(["a", "bc"]), ["a", "bc"]),
        (np.array([b"a"]), [b"a"]),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), b"a"),
        (np.array([1, None, "a"], object), [1, None, "a"]),
        (np.array([1 + 2j]), [[1.0, 2.0]]),
        (np.complex64(1j), [0.0, 1.0]),
        (np.datetime64("1970-01-02"), 86400.0),
        (np.array(["1970-01-01T00:00:01.5", "NaT"], "M8[ms]"), [1.5, math.nan]),
        (np.timedelta64(1500, "ms"), 1.5),
        (np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]), [{"a": 1, "b": 2.5}]),
        (np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")])[0], {"a": 1, "b": 2.5}),
        (np.ma.array([1.0, 2.0], mask=[False, True]), [1.0, None]),
        (np.ma.array(np.array([1, 0], "M8[ns]"), mask=[False, True]), [1e-9, None]),
        (np.ma.array([(1, 2.5)], [("a", "i4"), ("b", "f8")], mask=[(False, True)]), [{"a": 1, "b": None}]),
        (np.ma.array([1 + 2j, 0], mask=[False, True]), [[1.0, 2.0], None]),
        (np.clongdouble(1 + 2j), [1.0, 2.0]),
        (Tensor([1.0, 2.0]), [1.0, 2.0]),
        (Tensor(1.5), 1.5),
        ((1, (2, 3)), [1, [2, 3]]),
        (Pair(1, 2), [1, 2]),
        (Gait.TROT, 2),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(int, a=1), {"a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        ({1: {2.5: "a"}, None: 1, b"k": 2}, {1: {2.5: "a"}, None: 1, b"k": 2}),
        ({np.int64(3): 1, np.str_("a"): 2}, {3: 1, "a": 2}),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (msgpack.ExtType(5, b"x"), msgpack.ExtType(5, b"x")),
        (msgpack.Timestamp(5, 6), msgpack.Timestamp(5, 6)),
    ],
)
def test_what_is_stored(value: Any, expected: Any) -> None:
    assert same(stored(value), expected)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        decimal.Decimal("sNaN"),
        decimal.Decimal("1e400"),
        fractions.Fraction(10**400),
        range(10**30),
        2**64,
        -(2**63) - 1,
        "\ud800",
        (item for item in ()),
        {(1, object()): 1},
        {frozenset(): 1},
        np.array([object()]),
        np.longdouble("1e400"),
        np.array([1, np.longdouble("-1e400") * 1j]),
        Tensor(0, "a tensor that requires grad"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_stored_names_its_key(value: Any) -> None:
    with pytest.raises(UnsupportedFrame, match="outer/list/1") as caught:
        encode({"fine": 1, "outer": {"list": [0, value]}})
    assert caught.value.key.startswith("outer/list/1")


def test_endless_and_deep_nesting_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UnsupportedFrame, match="nested deeper than 254") as caught:
        encode({"loop": endless})
    assert caught.value.key.startswith("loop")


def test_memory_that_was_released_is_not_said_to_be_deep() -> None:
    view = memoryview(b"a")
    view.release()
    with pytest.raises(UnsupportedFrame, match="released memoryview"):
        encode({"x": view})


def test_an_ext_type_of_nonsense_is_refused() -> None:
    with pytest.raises(UnsupportedFrame, match="cannot be stored"):
        encode({"x": tuple.__new__(msgpack.ExtType, (5, None))})


def test_only_a_mapping_is_a_frame() -> None:
    with pytest.raises(UnsupportedFrame, match="not list"):
        encode([1])  # type: ignore[arg-type]


scalars = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4)),
)
keys = st.one_of(st.text(max_size=4), st.integers(-9, 2**64 - 1), st.binary(max_size=3), st.none())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(keys, values, max_size=6))
def test_every_frame_comes_back(data: dict[Any, Any]) -> None:
    assert same(decode(encode(data)), data)
    assert same(decode(msgpack.packb(data)), data)


@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=3, max_side=3)), st.booleans())
def test_arrays_of_every_dtype_are_stored_as_what_they_are(array: np.ndarray[Any, Any], turned: bool) -> None:
    array = array.T if turned else array
    if array.dtype.kind == "m" and np.datetime_data(array.dtype)[0] in ("Y", "M", "generic"):
        with pytest.raises(UnsupportedFrame, match="not a length of time"):
            stored(array)
        return
    match array.dtype.kind:
        case "c":
            expected: Any = np.stack([array.real, array.imag], -1)
        case "M":
            expected = np.where(np.isnat(array), np.nan, (array - np.datetime64(0, "s")) / np.timedelta64(1, "s"))
        case "m":
            expected = np.where(np.isnat(array), np.nan, array / np.timedelta64(1, "s"))
        case _:
            expected = array
    assert same(stored(array), np.asarray(expected).tolist())


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x80", {}),
        (b"\x81\xa1a\xca" + struct.pack(">f", 0.5), {"a": 0.5}),
        (b"\x81\xa1a\xa1\xff", {"a": "\udcff"}),
        (b"\x81\xa1a\xc7\x01\x05x", {"a": msgpack.ExtType(5, b"x")}),
        (b"\x81\xa1a\xd6\xff\x00\x00\x00\x05", {"a": msgpack.Timestamp(5)}),
        (b"\x81\x92\x01\x02\x03", {(1, 2): 3}),
        (b"\x81\x81\x01\x02\x03", {((1, 2),): 3}),
        (b"\xde\x00\x01\xa1a\x01", {"a": 1}),
        (b"\xdf\x00\x00\x00\x01\xa1a\x01", {"a": 1}),
        (b'{"a": NaN, "b": [Infinity, "\\u00fc"]}', {"a": math.nan, "b": [math.inf, "ü"]}),
        (b'{"deep": {"5": 1}}', {"deep": {"5": 1}}),
    ],
)
def test_payloads_by_hand(payload: bytes, expected: dict[Any, Any]) -> None:
    assert same(decode(payload), expected)
    assert same(decode(memoryview(payload)), expected)


def test_ext_codes_that_msgpack_reserves_survive() -> None:
    data = decode(b"\x81\xa1a\xc7\x01\xfex")
    assert data["a"] == (-2, b"x")
    assert same(decode(encode(data)), data)


def test_a_string_that_is_no_utf8_survives() -> None:
    payload = b"\x81\xa1a\xa2\xffz"
    assert encode(decode(payload)) == payload


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x81",
        b"\x81\xa1a",
        b"\x80\x00",  # a map, and a byte too many
        b"\x81\xa1a\x01\x92",
        b"\x90",
        b"\x01",
        b"\xc1",
        b"{",
        b"{}x",
        b"[1]",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa1a\xdd\xff\xff\xff\xff",
        b"\x81\xa1a\xc6\xff\xff\xff\xff",
        b"\x81\xa1a" + b"\x91" * 5000,
        b'{"a":' * 100_000,
        b"\x00trainlog",
    ],
    ids=lambda payload: repr(payload[:12]),
)
def test_what_is_no_payload(payload: bytes) -> None:
    with pytest.raises(ValueError):
        decode(payload)


@pytest.mark.parametrize("size", [100, 70_000, 5_000_000])
def test_nested_lists_that_all_claim_to_be_long(size: int) -> None:
    bomb = b"\x81\xa1a" + (b"\xdd" + (size - 8).to_bytes(4, "big")) * (size // 5)
    with pytest.raises(ValueError):
        decode(bomb)


@given(st.dictionaries(keys, values, max_size=6))
def test_large_payloads_are_decoded_like_small_ones(data: dict[Any, Any]) -> None:
    data["pad"] = [0.5] * 10_000
    for payload in (encode(data), msgpack.packb(data)):
        assert len(payload) > 65536
        assert same(decode(payload), data)
        with pytest.raises(ValueError):
            decode(payload[:-1])
        with pytest.raises(ValueError):
            decode(payload + b"\x00")


@given(st.binary(max_size=40))
def test_no_bytes_do_harm(payload: bytes) -> None:
    try:
        data = decode(payload)
    except ValueError:
        return
    assert isinstance(data, dict)


@pytest.mark.parametrize(
    "beside", [{}, {"pos": np.arange(2.0)}, {"speed": np.float32(1.5)}, {"name": "x", "to": [1.5]}]
)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([1.5, -2.0], ">f8"), [1.5, -2.0]),
        (np.array([3, 4], ">i4"), [3, 4]),
        (np.datetime64("1970-01-02"), 86400.0),
        (np.array(["1970-01-02"], "datetime64[s]"), [86400.0]),
        (np.arange(6.0)[::2], [0.0, 2.0, 4.0]),
        (np.float32(0.5), 0.5),
        (np.int16(-7), -7),
    ],
)
def test_what_is_of_numpy_is_a_number_wherever_it_stands(beside: dict[str, Any], value: Any, expected: Any) -> None:
    for data, found in (
        ({"x": value}, lambda frame: frame["x"]),
        ({"x": [1, value]}, lambda frame: frame["x"][1]),
        ({"x": {"y": (value,)}}, lambda frame: frame["x"]["y"][0]),
    ):
        for whole in ({**beside, **data}, {**data, **beside}):
            assert found(msgpack.unpackb(encode(whole))) == expected


def test_float32_of_one_key_makes_none_of_another_that_is_spelled_the_same() -> None:
    exact = [0.1, 1e300]
    payload = b"\x82" + b"\x01" + b"\x91\xca" + struct.pack(">f", 0.5) + b"\xa11" + bytes(msgpack.packb(exact))
    found = list(decode_flat(payload).values())
    assert found[0].dtype == np.float32
    assert found[1] == exact
