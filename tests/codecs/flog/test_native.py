"""The native extractor gives the tables that the generic path gives; skipped where it is not installed."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import frame_data

import trainlog
from trainlog.codecs.flog.columns import native
from trainlog.model import Kind
from trainlog.scan import Scan
from trainlog.testing import same

if importlib.util.find_spec("trainlog_speed") is None or native._extract is None:
    pytest.skip("trainlog-speed is not installed", allow_module_level=True)

HEADER = struct.pack("<4sHBI", b"FLOG", 1, 0, 2) + b"{}"


def frame(payload: bytes, kind: int = 2, time: float = 0.0) -> bytes:
    return struct.pack("<dBI", time, kind, len(payload)) + payload


def check(path: Path, payloads: list[bytes], keys: list[str] | None = None) -> None:
    """The tables, and the order of columns in batches of several kinds, with the extractor and without it."""
    path.write_bytes(HEADER + b"".join(frame(one, 2 + i % 2, i / 8) for i, one in enumerate(payloads)))
    scans = [Scan(), Scan(columns=keys), Scan(kinds=frozenset([Kind(2)]), columns=keys, steps=(1, 9)), Scan(last=3)]
    fast = [batch for scan in scans for batch in trainlog.open(path).scan(scan)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "_extract", None)
        plain = [batch for scan in scans for batch in trainlog.open(path).scan(scan)]
    for one, other in zip(fast, plain, strict=True):
        assert one.position == other.position
        assert list(one.table) == list(other.table)
        assert same(one.table.time, other.table.time)
        for key in one.table:
            (values, state), (expected, expected_state) = one.table.column(key), other.table.column(key)
            assert values.dtype == expected.dtype
            assert same(values, expected)
            assert same(state, expected_state)


def packed(data: dict[str, Any], single: bool) -> bytes:
    try:
        return msgpack.packb(data, use_single_float=single)
    except OverflowError:  # a float that is too large for four bytes
        return msgpack.packb(data)


def extracted(payloads: list[bytes], names: list[str] | None = None) -> list[int]:
    """Which of the frames were taken."""
    block = b"".join(map(frame, payloads))
    length = np.array([13 + len(one) for one in payloads])
    offset = np.cumsum(length) - length
    found = native.extract(np.frombuffer(block + bytes(8), np.uint8), offset, length, names)
    assert found is not None
    return np.flatnonzero(found[1]).tolist()


@settings(deadline=None)
@given(st.lists(frame_data, min_size=1, max_size=20), st.booleans(), st.none() | st.just(["reward", "pos/a", "x"]))
def test_any_frames(tmp_path_factory: Any, frames: list[dict[str, Any]], single: bool, keys: list[str] | None) -> None:
    payloads = [packed(one, single) for one in frames]
    check(tmp_path_factory.mktemp("any") / "a.flog", payloads, keys)


PLAIN = {
    "numbers": [b"\x81\xa1a\xca\x3f\x80\x00\x00", b"\x81\xa1a\xcb" + struct.pack(">d", 0.1)],
    "ints": [b"\x81\xa1a\xff", b"\x81\xa1a\xd0\x80", b"\x81\xa1a\xd3" + b"\x80" + bytes(7), b"\x81\xa1a\xcd\x01\x00"],
    "beyond 63 bits": [b"\x81\xa1a\xcf" + b"\xff" * 8, b"\x81\xa1a\x01"],
    "nil and bools": [b"\x81\xa1a\xc0", b"\x81\xa1a\xc3", b"\x81\xa1a\xc2"],
    "strings": [
        b"\x81\xa1a\xa2hi",
        b"\x81\xa1a\xd9\x02hi",
        b"\x81\xa1a\xa1\xff",
        b"\x81\xa1a\xc4\x01\xff",
        b"\x81\xa1a\xa0",
    ],
    "lists": [b"\x81\xa1a\x92\x01\xff", b"\x81\xa1a\x92\xca" + bytes(4) + b"\xca" + bytes(4), b"\x81\xa1a\x91\xc3"],
    "a list of ints and floats": [b"\x81\xa1a\x92\x01\xcb" + struct.pack(">d", 0.1)],
    "nested": [b"\x81\xa1a\x81\xa1b\x01", b"\x82\xa1c\x02\xa1a\x81\xa1b\x03"],
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_frames_are_taken(name: str, tmp_path: Path) -> None:
    assert extracted(PLAIN[name]) == list(range(len(PLAIN[name])))
    check(tmp_path / "a.flog", PLAIN[name])


LEFT = {
    "the same key twice": b"\x82\xa1a\x01\xa1a\x02",
    "a nested column that is there already": b"\x82\xa3a/b\x01\xa1a\x81\xa1b\x02",
    "a map twice": b"\x82\xa1a\x81\xa1b\x01\xa1a\x81\xa1c\x02",
    "a key that is no string": b"\x81\x05\x01",
    "an ext type": b"\x81\xa1a\xd4\x05\x00",
    "an empty list": b"\x81\xa1a\x90",
    "an empty map": b"\x81\xa1a\x80",
    "a list of lists": b"\x81\xa1a\x91\x91\x01",
    "JSON": b'{"a": 1}',
}
NO_FRAMES = {
    "bytes left over": b"\x81\xa1a\x01\x00",
    "a byte that is never used": b"\x81\xa1a\xc1",
    "ends in a number": b"\x81\xa1a\xcb\x00",
    "claims more than there is": b"\xdf\xff\xff\xff\xff\xa1a\x01",
    "a list that claims too much": b"\x81\xa1a\xdd\xff\xff\xff\xff\x01",
    "a string that claims too much": b"\x81\xa1a\xdb\xff\xff\xff\xff\x01",
    "nested without end": b"\x81\xa1a" * 200 + b"\x01",
}


@pytest.mark.parametrize("name", LEFT | NO_FRAMES)
def test_all_else_is_left_to_the_generic_path(name: str, tmp_path: Path) -> None:
    payload = (LEFT | NO_FRAMES)[name]
    taken = extracted([b"\x81\xa1a\x01", payload, b"\x81\xa1a\x02"])
    assert taken == [0, 2]
    if name in LEFT:
        check(tmp_path / "a.flog", [b"\x81\xa1a\x01", b"\x81\xa1a\x01", payload, payload, b"\x81\xa1a\x02"])


def test_frames_outside_of_the_block_are_left() -> None:
    block = np.frombuffer(frame(b"\x81\xa1a\x01") + bytes(8), np.uint8)
    ends = [(0, 17), (0, 10_000), (-5, 17), (2**62, 17), (0, -1), (0, 2**62), (25, 17)]
    offset, length = np.array([one for one, _ in ends]), np.array([one for _, one in ends])
    _, left = native._extract(block, offset, length, None)
    assert np.frombuffer(left, np.int64).tolist() == [1, 2, 3, 4, 5, 6]


def test_a_frame_of_too_many_columns_is_left_and_later_ones_are_taken() -> None:
    many = {f"k{i}": i for i in range(10_000)}
    taken = extracted([msgpack.packb({"a": 1}), msgpack.packb(many), msgpack.packb({"a": 2})])
    assert taken == [0, 2]


def test_wrong_arguments_are_refused() -> None:
    block = bytes(30)
    for arguments in ((block, bytes(8), bytes(16), None), (block, bytes(7), bytes(7), None), (block, b"", b"", ["a"])):
        with pytest.raises(TypeError):
            native._extract(*arguments)
    with pytest.raises(TypeError):
        native._extract(block, bytes(8), bytes(8), (1,))
