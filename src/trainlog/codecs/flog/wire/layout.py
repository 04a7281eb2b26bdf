"""The bytes of FLOG; all numbers little-endian. See docs/formats/flog.md."""

from __future__ import annotations

import struct
from typing import Final

MAGIC: Final = b"FLOG"
VERSION: Final = 2  # the version that is written
VERSIONS: Final = (1, 2)  # the versions that are read: in 2, stats may have more keys; the bytes are the same

#                        offset  size
HEADER: Final = struct.Struct(
    "<"
    "4s"  # magic         0       4     FLOG
    "H"  # version        4       2     2, or 1
    "B"  # phase          6       1     a tag of the training phase, 0 in every file seen
    "I"  # meta_len       7       4     bytes of the JSON object that follows
)  #                     11

FRAME: Final = struct.Struct(
    "<"
    "d"  # time           0       8     seconds since the run began
    "B"  # kind           8       1     1 evolution, 2 stats, 3 event, 4 creature
    "I"  # data_len       9       4     bytes of the msgpack map that follows
)  #                     13

# A payload begins with one of these: a msgpack map (fixmap, map 16, map 32), or the brace of a JSON object,
# which writers without msgpack stored instead.
FIRST_BYTES: Final = frozenset([*range(0x80, 0x90), 0xDE, 0xDF, ord("{")])

# The most bytes that a payload, or the metadata, may have. A larger length is damage or malice, and never allocated.
MAX_PAYLOAD: Final = 1 << 28
