"""A file that is cut while it is read: nobody takes what is left of it for all of it, and nobody waits for the rest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from handmade import Flog
from trainlog.codecs.flog.reader import FlogReader
from trainlog.codecs.flog.scanning.walk import next_frame
from trainlog.errors import CorruptLog
from trainlog.storage.source import Source

READS: dict[str, Callable[[Source], object]] = {
    "block": lambda source: source.block(5_000),
    "block of so many bytes": lambda source: source.block(5_000, 2_000),
    "read": lambda source: source.read(5_000, 100),
    "fill": lambda source: source.fill(memoryview(bytearray(100)), 5_000),
    "take": lambda source: source.take(5_000),
    "line": lambda source: source.line(),
    "search": lambda source: next_frame(source, 5_000),
}


@pytest.mark.parametrize("left", [0, 4_000])
@pytest.mark.parametrize("way", READS)
def test_a_file_that_is_cut_while_it_is_read(tmp_path: Path, way: str, left: int) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"\1" * 10_000)
    with Source(path) as source:
        os.truncate(path, left)
        with pytest.raises(CorruptLog, match="became shorter"):
            READS[way](source)


def test_a_log_that_is_cut_at_a_frame_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    frames = [Flog.frame(n, 2, {"n": n, "text": "x" * 1_000}) for n in range(5_000)]
    path.write_bytes(Flog.header() + b"".join(frames))
    rows = FlogReader(path).frames()
    assert next(rows).data["n"] == 0
    os.truncate(path, len(Flog.header()) + sum(map(len, frames[:2_000])))
    with pytest.raises(CorruptLog, match="became shorter"):
        list(rows)
