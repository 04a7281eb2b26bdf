"""Coloured cells as a PNG that is the same on every machine, without an image library.

It goes into an SVG. What a compressor makes of the same bytes differs between its versions, so these are
stored uncompressed, with one byte for a cell.
"""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from trainlog.draw.color import rgb
from trainlog.draw.drawing import Cells

__all__ = ["cells_as_png"]

_LARGEST_BLOCK = 65535


def cells_as_png(cells: Cells) -> str:
    """The cells as a paletted PNG, one pixel for each, in base 64."""
    rows, columns = cells.index.shape
    scan = np.zeros((rows, columns + 1), dtype=np.uint8)  # every row begins with its filter, which is none
    scan[:, 1:] = cells.index
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    palette = b"".join(bytes(rgb(color)) for color in cells.palette)
    chunks = [(b"IHDR", header), (b"PLTE", palette), (b"IDAT", _stored(scan.tobytes())), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return base64.b64encode(data).decode("ascii")


def _stored(data: bytes) -> bytes:
    """A zlib stream of stored blocks."""
    blocks = []
    for start in range(0, len(data), _LARGEST_BLOCK):
        block = data[start : start + _LARGEST_BLOCK]
        last = start + _LARGEST_BLOCK >= len(data)
        blocks.append(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block)
    return b"\x78\x01" + b"".join(blocks) + struct.pack(">I", zlib.adler32(data))
