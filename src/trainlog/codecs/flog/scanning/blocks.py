"""Blocks of a FLOG file with the frames in them, of large files read one block ahead in a thread."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np

from trainlog.codecs.flog.scanning.chain import SLACK, Chain, Links, Octets
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.storage.source import Source

__all__ = ["Block", "BlockReader"]

_HEAD: Final = FRAME.size

_BLOCK: Final = 2 << 20  # a block should fit into the processor's cache
_LARGEST: Final = 16 << 20
_WORTH_A_THREAD: Final = 16 << 20  # bytes that are still to be read


class Block(NamedTuple):
    """A block.

    Attributes:
        at: where in the file it begins.
        data: its bytes, with at least `SLACK` behind them; valid until the next block is read.
        size: how many of them are the file's.
        links: the frames from its first byte on.

    """

    at: int
    data: Octets
    size: int
    links: Links


class BlockReader:
    """Reads blocks, and follows the chain of frames in them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._chain = Chain()
        self._size = _BLOCK
        self._data = np.empty(0, np.uint8), np.empty(0, np.uint8)  # of the block that is in use, and of the next one
        self._pool: ThreadPoolExecutor | None = None
        self._next: tuple[tuple[int, int, int], Future[Block]] | None = None

    def read(self, at: int, stop: int) -> Block:
        """The block that begins at byte *at*; of the file until byte *stop*.

        Raises:
            CorruptLog: when the file has become shorter than *at*.

        """
        begun, self._next = self._next, None
        if begun is not None and begun[1].exception() is None and begun[0] == (at, stop, self._size):
            block = begun[1].result()
        else:
            block = self._read(at, stop)
        self._data = block.data, self._data[0]
        return block

    def begin(self, at: int, stop: int) -> None:
        """Begin to read the block that is probably asked for next, when there is enough left and a second core."""
        if stop - at < _WORTH_A_THREAD or self._next is not None or (os.cpu_count() or 1) < 2:
            return
        try:
            self._pool = self._pool or ThreadPoolExecutor(1, "trainlog read")
            self._next = (at, stop, self._size), self._pool.submit(self._read, at, stop)
        except RuntimeError:  # the interpreter is shutting down
            return

    def _read(self, at: int, stop: int) -> Block:
        data = self._data[1]
        if len(data) < self._size + SLACK:
            data = np.empty(self._size + SLACK, np.uint8)
        count = self._source.fill(data.data[: min(self._size, stop - at)], at)
        return Block(at, data, count, self._chain.follow(data, count))

    def enlarge(self, links: Links) -> bool:
        """Make blocks large enough for the first frame, and the head of the next one; False if that changes nothing."""
        need = int(links.length[0]) + _HEAD + 1 if len(links.length) else 0
        if not self._size < need <= _LARGEST:
            return False
        self._size = min(_LARGEST, 2 * need)
        return True

    def close(self) -> None:
        """Wait for the thread; must be called before the file is closed."""
        if self._pool is not None:
            self._pool.shutdown()
