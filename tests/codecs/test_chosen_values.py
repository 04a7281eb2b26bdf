"""A few values of a frame: what is read by the fast way is what reading all of the frame gives."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import frame_data

from trainlog.codecs.chosen_values import chooser
from trainlog.codecs.frame_payload import decode_flat, encode
from trainlog.testing import same

pytest.importorskip("msgspec")
WANTED = frozenset(["step", "reward", "x"])


def choose(payload: bytes, names: frozenset[str] = WANTED) -> dict[str, Any] | None:
    found = chooser(names)
    assert found is not None
    return found.values(payload)


@given(
    st.lists(frame_data, min_size=1, max_size=5),
    st.sets(st.sampled_from(["step", "reward", "pos", "x", "absent", "x/a", "x/a/b", "pos/b", "x/a#2"])),
    st.floats(allow_nan=False),
)
def test_it_is_what_the_whole_frame_has(frames: list[dict[str, Any]], wanted: set[str], more: float) -> None:
    payloads = [encode({**data, "more": more}) for data in frames]
    parts = []
    for payload in payloads:
        whole = decode_flat(payload)
        parts.append({name: whole[name] for name in wanted if name in whole})
        assert same(decode_flat(payload, frozenset(wanted)), parts[-1])
    if (together := chooser(frozenset(wanted))) is None:
        assert "x/a#2" in wanted or not wanted
        return
    taken, columns = together.columns(payloads)
    found: list[dict[str, Any]] = [{} for _ in taken]
    for name, (which, values) in columns.items():
        for row, value in zip(range(len(taken)) if which is None else which, values, strict=True):
            found[row][name] = value
    assert same(found, [parts[number] for number in taken])


def test_it_is_used_for_numbers_text_and_null() -> None:
    found = choose(encode({"step": 2**64 - 1, "pos": [1.0, 2.0], "reward": None, "x": "é"}))
    assert found == {"step": 2**64 - 1, "reward": None, "x": "é"}


def test_values_of_maps() -> None:
    names = frozenset(["gait/phase", "gait/left/on", "loss/pi"])
    payload = encode({"gait": {"phase": 1, "left": {"on": True, "at": 2}}, "loss/pi": 3.0, "loss": 4.0})
    assert choose(payload, names) == {"gait/phase": 1, "gait/left/on": True, "loss/pi": 3.0}
    assert choose(encode({"gait": {"phase": 1}, "gait/phase": 2}), names) is None  # which of the two is "gait/phase#2"?
    assert choose(encode({"gait": {"phase": 1, "at": [1.0]}}), names) is None


def test_many_frames_at_once() -> None:
    together = chooser(frozenset(["a", "m/b"]))
    assert together is not None
    payloads = [{"a": 1, "m/b": 2.0}, {"c": 1}, {"a": [1]}, {"m": {"b": 1}}, {"m": 5, "a": None}]
    taken, columns = together.columns([*map(encode, payloads), b"{}", b""])
    assert taken == [0, 1, 4]
    assert columns == {"a": ([0, 2], [1, None]), "m/b": ([0], [2.0])}
    assert together.columns([encode({"m": {"b": 1}}), encode({"a": 1})]) == ([], {})  # the others are like the first
    assert together.columns([]) == ([], {})


@pytest.mark.parametrize(
    "names",
    [[], ["a#2"], [f"v{n}" for n in range(100)], ["a" * 600], ["\udcff"]],
    ids=["none", "number", "many", "long", "bytes"],
)
def test_columns_that_cannot_be_chosen(names: list[str]) -> None:
    assert chooser(frozenset(names)) is None


@pytest.mark.parametrize(
    "payload",
    [
        b'{"step": 1}',
        b"\x81\xa1x\x91\x01",  # a list
        b"\x81\xa1x\xd4\x05\x00",  # an extension
        b"\x81\xa1x\xa1\xff",  # text that is not UTF-8
        b"\x82\xa1x\x01\x05\x02",  # a key that is no text
        b"\x82\xa1x\x01",  # cut
        b"\x81\xa1x\x01\x00",  # followed by a byte too many
        b"\x81\xa1y" + 10**6 * b"\x91" + b"\x90",  # Python 3.12 and later skip some thousand lists
        b"\xdf\xff\xff\xff\xff\xa1x\x01",
        b"\x01",
        b"",
    ],
)
def test_other_payloads_need_a_full_look(payload: bytes) -> None:
    assert choose(payload) is None


def test_errors_of_an_older_msgspec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 0.21, they are no ValueErrors."""

    class OlderError(Exception):
        pass

    class Decoder:
        def __init__(self, _: type) -> None: ...

        def decode(self, _: bytes) -> None:
            raise OlderError

    monkeypatch.setattr("msgspec.MsgspecError", OlderError)
    monkeypatch.setattr("msgspec.msgpack.Decoder", Decoder)
    choose = chooser.__wrapped__(WANTED)
    assert choose is not None
    assert choose.values(b'{"step": 1}') is None
    assert choose.columns([b'{"step": 1}']) == ([], {})


def test_what_is_not_wanted_is_only_passed() -> None:
    payload = b"\x82\xa1x\x01\xa1y\xd4\xff\x00"  # a timestamp of one byte, which there is not
    assert decode_flat(payload, WANTED) == {"x": 1}
    for more in (None, frozenset[str]()):  # frames that are counted are looked at
        with pytest.raises(ValueError, match="not msgpack"):
            decode_flat(payload, more)


def test_the_last_of_two_values_of_one_key_counts() -> None:
    payload = b"\x82\xa1x\x01\xa1x\x02"
    assert choose(payload) == msgpack.unpackb(payload) == {"x": 2}
