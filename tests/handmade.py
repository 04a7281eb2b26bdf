"""FLOG bytes made by hand, from the format's table."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import msgpack


class Flog:
    """Independent of our reader and our writer, so that these two cannot share a mistake."""

    @staticmethod
    def header(meta: Any = None, *, version: int = 1, phase: int = 0) -> bytes:
        text = meta if isinstance(meta, bytes) else json.dumps(meta if meta is not None else {}).encode()
        return b"FLOG" + struct.pack("<HBI", version, phase, len(text)) + text

    @staticmethod
    def frame(time: float, kind: int, data: Any) -> bytes:
        payload = data if isinstance(data, bytes) else msgpack.packb(data)
        return struct.pack("<dBI", time, kind, len(payload)) + payload

    @staticmethod
    def seal(time: float, before: bytes, start: int = 0) -> bytes:
        """The checksum frame behind the file's bytes *before*, of those from *start* on."""
        to = len(before) + 13 + 47
        payload = b"\x84\xa4from\xcf" + start.to_bytes(8, "big") + b"\xa2to\xcf" + to.to_bytes(8, "big")
        payload += b"\xa7rewinds\xce" + bytes(4) + b"\xa5crc32\xce"
        head = struct.pack("<dBI", time, 67, len(payload) + 4) + payload
        return head + zlib.crc32(before[start:] + head).to_bytes(4, "big")

    @staticmethod
    def read(raw: bytes) -> tuple[dict[str, Any], list[tuple[float, int, Any]]]:
        """The plain loop of the format's note, as the original reader has it."""
        assert raw[:4] == b"FLOG"
        (size,) = struct.unpack_from("<I", raw, 7)
        meta = json.loads(raw[11 : 11 + size])
        at = 11 + size
        frames = []
        while at + 13 <= len(raw):
            time, kind, size = struct.unpack_from("<dBI", raw, at)
            if at + 13 + size > len(raw):
                break
            frames.append((time, kind, msgpack.unpackb(raw[at + 13 : at + 13 + size], raw=False)))
            at += 13 + size
        return meta, frames
