"""Compressed logs: zstd frames of bounded size followed by a seek table, read as if they were not compressed.

``zstd -d`` restores the log. The seek table is that of zstd's seekable format. Needs the extra ``zstd``.
"""

from __future__ import annotations

import os
import struct
import sys
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO, Final, NamedTuple

from trainlog.errors import CorruptLog, MissingExtra, UnknownFormat
from trainlog.storage.source import Source, Wait, never

__all__ = ["LARGEST", "MAGIC", "CompressedSource", "CompressedWriter", "open_source"]

MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""The bytes that a zstd frame begins with."""

LARGEST: Final = 16 << 20
"""The most bytes that one zstd frame may hold, because it is decompressed at once."""

_MOST_TOTAL: Final = 1 << 30  # bytes that any archive may claim to hold,
_MOST_RATIO: Final = 1000  # or this many times its own size if that is more
_KEPT: Final = 4  # decompressed frames
_HEAD: Final = 18  # the longest header of a zstd frame
_LEAST: Final = 9  # bytes of the shortest zstd frame
_MOST_IN_BLOCK: Final = 128 << 10  # bytes that a block of a zstd frame holds
_TABLE: Final = struct.Struct("<4sI")
_ENTRY: Final = struct.Struct("<II")
_FOOTER: Final = struct.Struct("<IBI")
_SKIPPABLE: Final = b"\x5e\x2a\x4d\x18"
_SEEKABLE: Final = 0x8F92EAB1


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtra(f'compressed logs need an extra: pip install "trainlog[zstd]" ({error})') from error
    return zstandard


def open_source(path: str | os.PathLike[str], wait: Wait = never) -> Source:
    """The bytes of the log at *path*, which may be compressed.

    Raises:
        LogNotFound: when there is no such file.
        MissingExtra: when it is compressed and zstandard is not installed.
        CorruptLog: when it is compressed and claims more than it can hold.
        UnknownFormat: when its zstd frames are too large to be read one by one.

    """
    source = Source(path, wait)
    try:
        return CompressedSource(source) if source.read(0, len(MAGIC)) == MAGIC else source
    except BaseException:
        source.close()
        raise


class _Part(NamedTuple):
    """A zstd frame: its offset and size in the file, the size of its content, and whether it is known to be broken."""

    offset: int
    size: int
    content: int
    broken: bool = False


class CompressedSource(Source):
    """A compressed file, read as the original log. Parts that cannot be decompressed are zeros, which no format takes.

    Offsets are offsets in the log, not in the compressed file.
    """

    def __init__(self, whole: Source) -> None:
        """Take ownership of *whole*."""
        self._zstd = _zstandard()
        self.whole = whole
        self.path = whole.path
        self.offset = 0
        self._ahead, self._ahead_from = b"", 0
        self._looks = 100_000 + whole.size // 256  # for blocks in a search: hostile bytes would take quadratic time
        self._decompressor = self._zstd.ZstdDecompressor()
        self._parts = self._by_table() or list(self._by_search())
        self._at = [0]
        for part in self._parts:
            self._at.append(self._at[-1] + part.content)
        if self._at[-1] > max(_MOST_TOTAL, _MOST_RATIO * whole.size):
            text = f"it claims to hold {self._at[-1]:,} bytes in {whole.size:,}, which no log does"
            raise CorruptLog(text, path=self.path)
        self._kept: OrderedDict[int, bytes | None] = OrderedDict()

    def close(self) -> None:
        """Close the file; can be called more than once."""
        self.whole.close()

    @property
    def size(self) -> int:
        """The size of the log in bytes."""
        return self._at[-1]

    @property
    def status(self) -> os.stat_result:
        """The status of the compressed file."""
        return self.whole.status

    def wait(self, at: int) -> bool:
        """False: a compressed log does not grow."""
        return False

    def renew(self, at: int, before: str) -> None:
        """Do nothing: a compressed log does not grow."""

    def is_readable(self, start: int, stop: int) -> bool:
        """True; unreadable parts are zeros, which are not a frame."""
        return True

    def block(self, offset: int, need: int = 1, most: int = sys.maxsize) -> bytes:
        """The bytes from *offset* on; see `Source.block`."""
        left = self.left(offset)
        chunk = min(most, self.CHUNK)
        buffer = bytearray(min(left, chunk if need > left else max(need, chunk)))
        self.fill(memoryview(buffer), offset)
        return bytes(buffer)

    def fill(self, buffer: memoryview, offset: int) -> int:
        """Put the bytes from *offset* on into *buffer*; see `Source.fill`."""
        done = 0
        while done < len(buffer) and offset + done < self.size:
            i = self._part_at(offset + done)
            begin = offset + done - self._at[i]
            count = min(len(buffer) - done, self._parts[i].content - begin)
            content = self._content(i)
            buffer[done : done + count] = bytes(count) if content is None else content[begin : begin + count]
            done += count
        return done

    def data_from(self, offset: int) -> int:
        """The first offset from *offset* on that can be decompressed."""
        while offset < self.size and self._content(i := self._part_at(offset)) is None:
            offset = self._at[i + 1]
        return offset

    def _part_at(self, offset: int) -> int:
        return bisect_right(self._at, offset) - 1

    def _content(self, i: int) -> bytes | None:
        """The content of one zstd frame; None if it cannot be decompressed."""
        if i in self._kept:
            self._kept.move_to_end(i)
            return self._kept[i]
        part = self._parts[i]
        raw = b"" if part.broken else self.whole.read(part.offset, part.size)
        found = None if part.broken else self._decompressed(raw, part.content)
        self._kept[i] = found
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found

    def _claimed(self, head: bytes) -> int | None:
        """How many bytes a zstd frame claims to hold; -1 if it does not say, None if it is not a zstd frame."""
        try:
            claimed = int(self._zstd.get_frame_parameters(head[:_HEAD]).content_size)
        except self._zstd.ZstdError:
            return None
        return -1 if claimed == self._zstd.CONTENTSIZE_UNKNOWN else claimed

    def _by_table(self) -> list[_Part] | None:
        """The zstd frames by the seek table; None if there is no table, or it is not the table of this file."""
        whole, end = self.whole, self.whole.size
        tail = whole.read(max(end - _FOOTER.size, 0), _FOOTER.size)
        if len(tail) < _FOOTER.size:
            return None
        count, flags, magic = _FOOTER.unpack(tail)
        entry = _ENTRY.size + (4 if flags & 0x80 else 0)
        begin = end - _FOOTER.size - count * entry - _TABLE.size
        if magic != _SEEKABLE or begin < count * _LEAST:
            return None
        table = whole.read(begin, end - begin)
        if _TABLE.unpack_from(table) != (_SKIPPABLE, len(table) - _TABLE.size):
            return None
        parts, at, wrong = [], 0, 0
        for i in range(count):
            size, content = _ENTRY.unpack_from(table, _TABLE.size + i * entry)
            if size < _LEAST or content > LARGEST or size > content + (content >> 7) + 512:
                return None
            # Reading a header that is not at hand would cost a request; `_decompressed` checks that one.
            claimed = self._claimed(whole.read(at, _HEAD)) if whole.is_at_hand(at, at + _HEAD) else content
            wrong += claimed not in (None, content)
            parts.append(_Part(at, size, content, claimed != content))
            at += size
        # If only a few frames disagree with the table, these are the damaged ones.
        return parts if at == begin and 2 * wrong <= count else None

    def _by_search(self) -> Iterator[_Part]:
        """The zstd frames by their own headers, one after another; other bytes are searched for the next frame."""
        whole, at, size = self.whole, 0, self.whole.size
        is_first = True
        while at < size:
            head = whole.read(at, _HEAD)
            if len(head) >= _TABLE.size and head[:4] == _SKIPPABLE and at + 8 + _TABLE.unpack(head[:8])[1] <= size:
                at += 8 + _TABLE.unpack(head[:8])[1]
                continue
            claimed, (end, most) = self._claimed(head), self._end_of(at, head)
            if end and claimed is not None:
                is_usual = 0 <= claimed <= LARGEST
                if is_usual and self._is_frame(at, end, claimed):
                    yield _Part(at, end - at, claimed)
                    at, is_first = end, False
                    continue
                if not is_usual and (is_first or 0 < claimed <= most):  # otherwise its header is damaged
                    text = f"it holds a zstd frame of more than {LARGEST:,} bytes; decompress it with `zstd -d`"
                    raise UnknownFormat(text, path=self.path, offset=at)
            is_first = False
            found = self._next(at + 1)
            # One byte stands for an end that was cut off: every format takes that as a torn tail.
            yield _Part(at, found - at, found - at if found < size else 1, broken=True)
            at = found

    def _end_of(self, at: int, head: bytes) -> tuple[int, int]:
        """Where the zstd frame at byte *at* ends, by the headers of its blocks, and the most bytes that these hold.

        Both are 0 if the frame is incomplete.
        """
        try:
            has_checksum = self._zstd.get_frame_parameters(head).has_checksum
            at += int(self._zstd.frame_header_size(head))
        except self._zstd.ZstdError:
            return 0, 0
        last, most = False, 0
        while not last:
            raw = self.whole.read(at, 3) if at < self.whole.size else b""
            word = int.from_bytes(raw, "little")
            last, kind = bool(word & 1), word >> 1 & 3
            self._looks -= 1
            if len(raw) < 3 or kind == 3 or self._looks < 0:
                return 0, 0
            most += _MOST_IN_BLOCK
            at += 3 + (1 if kind == 1 else word >> 3)
        at += 4 if has_checksum else 0
        return (at, most) if at <= self.whole.size else (0, 0)

    def _is_frame(self, at: int, end: int, content: int) -> bool:
        """Whether the bytes from *at* to *end* really are a zstd frame, judging by what follows or else by its content.

        A damaged header can point anywhere.
        """
        if self.whole.read(end, 4) in (MAGIC, _SKIPPABLE, b""):
            return True
        self._looks -= (end - at) // 256
        return self._looks > 0 and self._decompressed(self.whole.read(at, end - at), content) is not None

    def _decompressed(self, raw: bytes, content: int) -> bytes | None:
        """The content of the zstd frame *raw*; None unless it both claims and has *content* bytes."""
        with suppress(self._zstd.ZstdError):  # a gap, which the reader of the log reports
            found: bytes = self._decompressor.decompress(raw) if self._claimed(raw) == content else b""
            return found if len(found) == content else None
        return None

    def _next(self, at: int) -> int:
        """Where the next zstd frame may begin from byte *at* on; otherwise the end of the file.

        Raises:
            CorruptLog: when the file has become shorter than *at* meanwhile.

        """
        while self.whole.left(at):
            block = self.whole.block(at)
            found = min((i for i in (block.find(MAGIC), block.find(_SKIPPABLE)) if i >= 0), default=-1)
            if found >= 0:
                return at + found
            at += max(len(block) - 3, 1)
        return at


class CompressedWriter:
    """Writes a compressed file, one zstd frame after another."""

    def __init__(self, file: BinaryIO, level: int) -> None:
        """Write to *file* from its beginning; *level* is zstd's compression level."""
        self._compress = _zstandard().ZstdCompressor(level=level, write_checksum=True, write_content_size=True).compress
        self._file = file
        self._entries: list[bytes] = []

    def write(self, content: memoryview | bytes) -> None:
        """Write *content*, at most `LARGEST` bytes, as one zstd frame."""
        packed = self._compress(content)
        self._file.write(packed)
        self._entries.append(_ENTRY.pack(len(packed), len(content)))

    def finish(self) -> None:
        """Write the seek table."""
        entries = b"".join(self._entries)
        footer = _FOOTER.pack(len(self._entries), 0, _SEEKABLE)
        self._file.write(_TABLE.pack(_SKIPPABLE, len(entries) + len(footer)) + entries + footer)
