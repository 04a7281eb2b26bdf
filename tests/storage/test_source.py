"""A file that is cut while it is read: nobody takes what is left of it for all of it, and nobody waits for the rest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from handmade import Flog
from trainlog.codecs.flog.reader import FlogReader
from trainlog.codecs.flog.scanning.chain import Block, BlockReader
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


FRAMES = [Flog.frame(n, 2, {"n": n, "text": "x" * 1_000}) for n in range(5_000)]
LEFT = len(Flog.header()) + sum(map(len, FRAMES[:3_000]))


@pytest.fixture
def log(tmp_path: Path) -> FlogReader:
    path = tmp_path / "a.flog"
    path.write_bytes(Flog.header() + b"".join(FRAMES))
    return FlogReader(path)


@pytest.mark.parametrize("more", [-1, 0, 5, 13, 400])
def test_frames_of_a_log_that_is_cut(log: FlogReader, more: int) -> None:
    rows = log.frames()
    assert next(rows).data["n"] == 0
    os.truncate(log.path, LEFT + more)
    with pytest.raises(CorruptLog, match="became shorter"):
        list(rows)


@pytest.mark.parametrize("more", [-1, 0, 5, 13, 400])
def test_a_table_of_a_log_that_is_cut(log: FlogReader, more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    read = BlockReader.read

    def read_and_cut(reader: BlockReader, at: int, stop: int) -> Block:
        block = read(reader, at, stop)
        os.truncate(log.path, LEFT + more)
        return block

    monkeypatch.setattr(BlockReader, "read", read_and_cut)
    with pytest.raises(CorruptLog, match="became shorter"):
        log.table("stats")
