"""Finds the last state of a run in its log, without reading the whole log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trainlog.codecs.flog.integrity.seals import Seal
from trainlog.codecs.flog.scanning.walk import ignore_gap, walk
from trainlog.codecs.flog.wire.layout import FRAME, MAX_PAYLOAD
from trainlog.codecs.flog.wire.run_state import MARK, STATE, is_state
from trainlog.codecs.frame_payload import decode
from trainlog.storage.source import Source

__all__ = ["last_state"]

_END: Final = 256 << 10  # bytes that are searched for a state where there is no checksum

_State = Mapping[Any, Any]


def last_state(source: Source, start: int, seal: Seal | None) -> _State | None:
    """The last state in *source*; None where there is none.

    It is after the last checksum, or the pointer before that checksum leads to it. Where the pointer is wrong, as in a
    log that was cut while it was written, the whole log is searched.

    Args:
        source: the file, with nothing hidden.
        start: where its first frame begins.
        seal: its newest seal; None for a log that this library wrote without checksums: then only a state at the end of
            the file is found.

    """
    if seal is None:
        return _at_the_end(source, start)
    if not seal.end:
        return None
    found = None if seal.end == source.size else _behind(source, seal.end)
    if found is None and seal.state_at:
        found = _state_at(source, seal.state_at)
        return _behind(source, start) if found is None else found
    return found


def _behind(source: Source, start: int) -> _State | None:
    found = None
    for record in walk(source, start, kind=STATE, on_gap=ignore_gap):
        if is_state(record.kind, record.data):
            found = record.data
    return found


def _state_at(source: Source, at: int) -> _State | None:
    """The state that begins at byte *at*, if there is one."""
    head = source.read(at, FRAME.size)
    if len(head) < FRAME.size:
        return None
    _, kind, size = FRAME.unpack(head)
    if kind != STATE or size > min(MAX_PAYLOAD, source.size - at - FRAME.size):
        return None
    try:
        data = decode(source.read(at + FRAME.size, size))
    except ValueError:
        return None
    return data if is_state(kind, data) else None


def _at_the_end(source: Source, start: int) -> _State | None:
    """The last state near the end of the file."""
    begin = max(source.size - _END, start)
    block = source.read(begin, source.size - begin)
    place = block.rfind(MARK + b"\x01") - 1 - FRAME.size
    return _state_at(source, begin + place) if place >= 0 else None
