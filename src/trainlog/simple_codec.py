"""A codec made from two methods, for the many formats that are one file: a header, then one record after another."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

from trainlog.codec import Codec, Reader, Writer
from trainlog.errors import DamagedLog, TruncatedLog
from trainlog.model import Frame, Header, Kind, KindLike
from trainlog.scan import Batch, Gap, OnDamage, Place, Scan, batches_of, damage_handler
from trainlog.storage.append import AppendFile
from trainlog.storage.source import Source, Wait, never

__all__ = ["SimpleCodec"]


class SimpleCodec(Codec):
    """A codec for logs of one file, from two methods: ``decode`` bytes to records, ``encode`` a record to bytes.

    This class follows growing files, handles torn tails, writes unbuffered, and refuses to overwrite.
    """

    @abstractmethod
    def decode(self, source: Source) -> Iterator[Header | Frame]:
        """Yield the header, then the frames, reading bytes with ``source.take(n)`` or ``source.line()``.

        Both return ``b""`` at the end of the file, and raise `TruncatedLog` when the file ends inside the requested
        bytes. Read the bytes of a record right before yielding it, not earlier. Keep no state from one record to the
        next, as reading can continue at any record: a live dashboard does so.

        Raises:
            CorruptLog: when the bytes are not a record. Readers report it as their *on_damage* says, and end there; a
                codec that knows where the next record begins may continue with that one instead.

        """

    @abstractmethod
    def encode(self, record: Header | Frame) -> bytes:
        """Return the bytes of the header, which comes first, or of a frame.

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
        """Create a new log at *path*."""
        return _SimpleWriter(path, header, self)


class _SimpleReader(Reader):
    def __init__(self, path: Path, header: Header, codec: SimpleCodec) -> None:
        super().__init__(path, header)
        self._codec = codec

    def frames(
        self, kind: KindLike | None = None, *, wait: Wait = never, on_damage: OnDamage = "warn"
    ) -> Iterator[Frame]:
        wanted = None if kind is None else Kind.of(kind)
        with Source(self.path, wait) as source:
            for _, _, frame in self._frames(source, 0, on_damage):
                if wanted is None or frame.kind == wanted:
                    yield frame

    def _frames(self, source: Source, start: int, on_damage: OnDamage) -> Iterator[tuple[int, int, Frame]]:
        """Yield the frames from byte *start* on, or from the first, each with the bytes where it begins and ends."""
        records = self._codec.decode(source)
        end = start
        try:
            if next(records, None) is None:
                return
            end = source.offset = max(start, source.offset)
            for record in records:
                if isinstance(record, Frame):
                    yield end, source.offset, record
                end = source.offset
        except DamagedLog as error:
            is_torn = isinstance(error, TruncatedLog)
            if on_damage == "raise" and not is_torn:
                raise  # it says what is wrong
            # Only the codec could tell where the next record begins, so nothing after the damage is read.
            damage_handler(on_damage, self.path)(Gap(end, source.size - end, torn=is_torn))

    def scan(self, scan: Scan = Scan()) -> Iterator[Batch]:  # noqa: B008 - it is frozen
        place = Place.parse(scan.after)
        with Source(self.path) as source:
            source.check(place.ahead, place.check)
            yield from batches_of(self._frames(source, place.start, scan.on_damage), scan, place, source.checksum)

    def take(self, orders: Iterable[int]) -> Iterator[Frame]:
        with Source(self.path) as source:
            records = self._codec.decode(source)
            if next(records, None) is None:
                return
            for order in orders:
                source.offset = order
                frame = next(records, None)
                if isinstance(frame, Frame):
                    yield frame


class _SimpleWriter(Writer):
    def __init__(self, path: Path, header: Header, codec: SimpleCodec) -> None:
        self._encode = codec.encode
        self._file = AppendFile(path, codec.encode(header))
        self.lock = self._file.lock

    def write(self, frame: Frame) -> None:
        self._file.append(self._encode(frame))

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()
