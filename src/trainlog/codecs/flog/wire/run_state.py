"""Frames of kind 82: what a run recorded about itself after its header was written. See docs/formats/flog.md.

A *state* is a frame with the map ``{"trainlog": 1, "meta": {...}, "end": {...}}``: all metadata that came after the
header, merged, and how the run ended. The last state in the file counts. A *pointer*, ``{"trainlog": 2, "state":
u64}``, precedes a checksum and says where in the file the last state begins, so that a reader need not search for it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.conventions import RUN_STATE
from trainlog.model import End, Header

__all__ = [
    *("MARK", "POINTER_SIZE", "STATE", "is_about_run", "is_state", "merged", "pack_pointer", "pointed_state"),
]

STATE: Final = int(RUN_STATE)
MARK: Final = b"\xa8trainlog"  # after the first payload byte of both

_POINTER: Final = struct.Struct(">18sQ")
_POINTER_KEYS: Final = b"\x82" + MARK + b"\x02\xa5state\xcf"
POINTER_SIZE: Final = FRAME.size + _POINTER.size
_POINTER_HEAD: Final = FRAME.pack(0.0, STATE, _POINTER.size)[8:] + _POINTER_KEYS  # all but the time and the offset


def is_about_run(kind: int, data: Mapping[Any, Any]) -> bool:
    """Whether a frame is a state or a pointer, not a frame of the run. Other programs may also use kind 82."""
    return kind == STATE and data.get("trainlog") in (1, 2)


def is_state(kind: int, data: Mapping[Any, Any]) -> bool:
    """Whether a frame is a state."""
    return kind == STATE and data.get("trainlog") == 1


def pack_pointer(time: bytes, state_at: int) -> bytes:
    """The pointer to the last state, as a frame with the *time* of the frame before it."""
    return time.ljust(8, b"\0") + _POINTER_HEAD + state_at.to_bytes(8, "big")


def pointed_state(raw: bytes) -> int:
    """Where the last state begins, according to the pointer *raw*; 0 when *raw* is not a pointer."""
    if len(raw) != POINTER_SIZE or raw[8:-8] != _POINTER_HEAD:
        return 0
    return int.from_bytes(raw[-8:], "big")


def merged(header: Header, state: Mapping[Any, Any]) -> Header:
    """*header* updated by *state*; invalid values in the state are ignored."""
    meta = {**header.meta, **_texts(state.get("meta"))}
    end = End.of(state["end"]) if "end" in state else header.end
    return replace(header, meta=meta, end=end)


def _texts(values: Any) -> dict[str, Any]:
    return {key: one for key, one in values.items() if isinstance(key, str)} if isinstance(values, dict) else {}
