"""A codec out of two functions, for the many formats that are one file: a header, then one record after another."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

from trainlog.codec import Codec, Reader, Writer
from trainlog.errors import TruncatedLog
from trainlog.model import Frame, Header, Kind, KindLike
from trainlog.storage.append import AppendFile
from trainlog.storage.source import Source, Wait, never

__all__ = ["SimpleCodec"]


class SimpleCodec(Codec):
    """A codec of single files, from two methods: ``decode`` bytes to records, ``encode`` a record to bytes.

    Following a growing file, torn tails, unbuffered writes and the refusal to overwrite come with it.
    """

    @abstractmethod
    def decode(self, source: Source) -> Iterator[Header | Frame]:
        """Yield the header, then the frames, taking bytes by ``source.take(n)`` or ``source.line()``.

        Both return ``b""`` at the end of the file, and raise `TruncatedLog` when it ends inside of what was asked.

        Raises:
            CorruptLog: when the bytes are no record.

        """

    @abstractmethod
    def encode(self, record: Header | Frame) -> bytes:
        """The bytes of the header, which comes first, or of a frame.

        Raises:
            UnsupportedFrame: for a value that the format cannot hold.

        """

    def read(self, path: Path) -> Reader:
        """Open the log at *path*; an empty file is a log without frames."""
        with Source(path) as source:
            header = next(self.decode(source), Header())
        if not isinstance(header, Header):
            raise TypeError(f"{type(self).__name__}.decode must yield the header first, not {header!r}")
        return _SimpleReader(path, header, self)

    def write(self, path: Path, header: Header) -> Writer:
        """Begin a new log at *path*."""
        return _SimpleWriter(path, header, self)


class _SimpleReader(Reader):
    def __init__(self, path: Path, header: Header, codec: SimpleCodec) -> None:
        super().__init__(path, header)
        self._codec = codec

    def frames(self, kind: KindLike | None = None, *, wait: Wait = never, strict: bool = False) -> Iterator[Frame]:
        wanted = None if kind is None else Kind.of(kind)
        with Source(self.path, wait) as source:
            try:
                for record in self._codec.decode(source):
                    if isinstance(record, Frame) and (wanted is None or record.kind == wanted):
                        yield record
            except TruncatedLog:
                if strict:
                    raise


class _SimpleWriter(Writer):
    def __init__(self, path: Path, header: Header, codec: SimpleCodec) -> None:
        self._encode = codec.encode
        first = codec.encode(header)
        self._file = AppendFile(path)
        self._file.append(first)

    def write(self, frame: Frame) -> None:
        self._file.append(self._encode(frame))

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()
