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


@given(frame_data, st.sets(st.sampled_from(["step", "reward", "pos", "x", "absent"])), st.floats(allow_nan=False))
def test_it_is_what_the_whole_frame_has(data: dict[str, Any], wanted: set[str], more: float) -> None:
    payload = encode({**data, "more": more})
    whole = decode_flat(payload)
    assert same(decode_flat(payload, frozenset(wanted)), {name: whole[name] for name in wanted if name in whole})


def test_it_is_used_for_numbers_text_and_null() -> None:
    found = chooser(WANTED)(encode({"step": 2**64 - 1, "pos": [1.0, 2.0], "reward": None, "x": "é"}))
    assert found == {"step": 2**64 - 1, "reward": None, "x": "é"}


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
        b"\x81\xa1y" + 2000 * b"\x91" + b"\x90",
        b"\xdf\xff\xff\xff\xff\xa1x\x01",
        b"\x01",
        b"",
    ],
)
def test_other_payloads_need_a_full_look(payload: bytes) -> None:
    assert chooser(WANTED)(payload) is None


def test_what_is_not_wanted_is_only_passed() -> None:
    payload = b"\x82\xa1x\x01\xa1y\xd4\xff\x00"  # a timestamp of one byte, which there is not
    assert decode_flat(payload, WANTED) == {"x": 1}
    with pytest.raises(ValueError, match="timestamp"):
        decode_flat(payload)


def test_the_last_of_two_values_of_one_key_counts() -> None:
    payload = b"\x82\xa1x\x01\xa1x\x02"
    assert chooser(WANTED)(payload) == msgpack.unpackb(payload) == {"x": 2}
