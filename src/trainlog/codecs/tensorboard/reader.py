"""Reading event files: a single one, or all in a folder, one after another."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trainlog.codec import Batch, Reader, Scan
from trainlog.codecs.tensorboard.events import Event, EventParser, packed_event, wall_of
from trainlog.codecs.tensorboard.wire import Records, is_event_file, packed_record
from trainlog.conventions import WALL, hyperparameters_in
from trainlog.errors import InvalidPosition, LogNotFound, UnknownFormat
from trainlog.model import Frame, Header, Kind, KindLike
from trainlog.scan import Gap, OnDamage, Place, batches_of, damage_handler
from trainlog.storage.append import AppendFile
from trainlog.storage.source import Source, Wait, never

if TYPE_CHECKING:
    from trainlog.verify_report import Repair

__all__ = ["TensorBoardReader", "event_files"]

_FILE: Final = 1 << 44  # offsets in the n-th file start at n times this
_HEAD: Final = 4096
_HPARAMS_WITHIN: Final = 1 << 16  # bytes at the start of a file; hyperparameters in them belong to the header
_MOST_VALUES: Final = 1 << 12  # of an event; a frame's record may begin that many bytes before the frame

Located = tuple[int, int, Frame]
"""Where a frame begins, where it ends, and the frame."""


def event_files(folder: Path) -> list[Path]:
    """The event files in *folder*, in the order of their creation."""
    with suppress(OSError):
        return sorted((one for one in folder.iterdir() if "tfevents" in one.name and one.is_file()), key=_began)
    return []


def _began(path: Path) -> tuple[int, str]:
    parts = path.name.partition("tfevents")[2].split(".")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdecimal() and len(parts[1]) < 19 else 0, path.name


class TensorBoardReader(Reader):
    """A log of TensorBoard's event files; see `trainlog.codec.Reader` for the methods.

    Scalars are stats frames. Consecutive events with the same step are one frame, until a tag repeats; its time is that
    of the first event. Text, images, histograms, tensors and hyperparameters are event frames. Times are in seconds
    since the first event. The files of a folder come one after another.

    While a file grows, a step that was read before it was complete comes as two frames.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, Header())
        self._began = 0.0
        if not self.files:
            raise UnknownFormat("there are no event files in this folder", path=path)
        meta: dict[str, Any] = {}
        is_log, others = False, list[Path]()
        for file in self.files:
            with Source(file) as source:
                if source.size and not is_event_file(source.read(0, _HEAD)):
                    others.append(file)
                elif source.size:
                    is_log = True
                parser = EventParser()
                for at, message in Records(source, lambda _: None).read():
                    if at > _HPARAMS_WITHIN:
                        break
                    with suppress(ValueError):
                        event = parser.parse(message)
                        self._began = self._began or (event.wall if math.isfinite(event.wall) else 0.0)
                        for other in event.others:
                            meta |= other.get("hparams", {})
                            if other["type"] == "text":
                                meta |= hyperparameters_in(other["tag"], other["msg"])
        if others and not is_log:  # next to an event file, a damaged one costs only its own records
            raise UnknownFormat("this is not an event file of TensorBoard", path=others[0])
        if self._began:
            meta.setdefault(WALL, self._began)
        self.header = Header(meta)

    @property
    def files(self) -> tuple[Path, ...]:
        """The event files, in the order of their creation."""
        return tuple(event_files(self.path)) if self.path.is_dir() else (self.path,)

    def frames(
        self, kind: KindLike | None = None, *, wait: Wait = never, on_damage: OnDamage = "warn"
    ) -> Iterator[Frame]:
        """Yield the frames in the order of the files; see `trainlog.codec.Reader.frames`."""
        wanted = None if kind is None else Kind.of(kind)
        for _, _, frame in self._frames(0, wait, on_damage):
            if wanted is None or frame.kind == wanted:
                yield frame

    def scan(self, scan: Scan = Scan()) -> Iterator[Batch]:  # noqa: B008 - it is frozen
        """Yield the rows that *scan* asks for; see `trainlog.codec.Reader.scan`."""
        place = Place.parse(scan.after)
        if place.ahead and self._checksum(place.ahead) != place.check:
            raise InvalidPosition("the log is not the one that was read; read it again", path=self.path)
        frames = self._frames(self._record_before(place.start), never, scan.on_damage)
        rest = (frame for frame in frames if frame[0] >= place.start)
        yield from batches_of(rest, scan, place, self._checksum)

    def take(self, orders: Iterable[int]) -> Iterator[Frame]:
        """Yield the frames at *orders*, which must be ascending; see `trainlog.codec.Reader.take`."""
        frames: Iterator[Located] = iter(())
        after = -1
        for order in orders:
            if order != after:
                frames = self._frames(self._record_before(order), never, "ignore")
            for at, end, frame in frames:
                if at == order:
                    yield frame
                    after = end
                if at >= order:
                    break

    def salvage(self, target: Path) -> Repair:
        """Copy every whole record, unchanged, into the new event file *target*."""
        from trainlog.verify_report import Repair

        gaps: list[Gap] = []
        output = AppendFile(target, packed_record(packed_event(self._began, version=True)))
        try:
            for file in self.files:
                with Source(file) as source:
                    records = Records(source, gaps.append)
                    for _, message in records.read():
                        output.append(packed_record(message))
                    records.finish()
            output.sync()
        finally:
            output.close()
        kept = Counter(frame.kind for frame in self.frames(on_damage="ignore"))
        return Repair(target, kept, {"unknown": len(gaps)} if gaps else {}, sum(gap.size for gap in gaps))

    def _record_before(self, order: int) -> int:
        """Where the record that holds byte *order* begins, as it may hold many frames; *order* itself if none does."""
        index, at = divmod(order, _FILE)
        files = self.files
        if index < len(files):
            with Source(files[index]) as source:
                records = Records(source, lambda _: None)
                for n in range(min(_MOST_VALUES, at) + 1):
                    if size := records.size_at(at - n):
                        return order - n if n < size else order
        return order

    def _checksum(self, end: int) -> str:
        """A checksum of everything before *end*: the files before, and the last file up to there."""
        index, at = divmod(end, _FILE)
        files = self.files
        if index >= len(files):
            return ""
        known = "".join(f"{file.name}{file.stat().st_size}" for file in files[:index])
        with Source(files[index]) as source:
            known += source.checksum(at) if at <= source.size else "shorter"
        return f"{zlib.crc32(known.encode('utf-8', 'surrogateescape')):08x}"

    def _frames(self, start: int, wait: Wait, on_damage: OnDamage) -> Iterator[Located]:
        """Yield the frames from *start* on."""
        index, at = divmod(start, _FILE)
        ends: dict[Path, int] = {}
        while index < len(files := self.files):
            is_last = index == len(files) - 1
            with Source(files[index], wait if is_last else never) as source:
                name = files[index].name if self.path.is_dir() else ""
                records = Records(source, damage_handler(on_damage, files[index]), name)
                records.at = at
                yield from self._frames_of(records, index * _FILE)
                while is_last and source.wait(records.at):
                    yield from self._frames_behind(ends, on_damage)
                    yield from self._frames_of(records, index * _FILE)
                    is_last = len(self.files) == len(files)
                records.finish()
                ends[files[index]] = records.at
            index, at = index + 1, 0

    def _frames_behind(self, ends: dict[Path, int], on_damage: OnDamage) -> Iterator[Located]:
        """Yield what other writers have added behind the *ends* of earlier files, and move these."""
        for index, (file, end) in enumerate(ends.items()):
            with suppress(LogNotFound), Source(file) as source:
                records = Records(source, damage_handler(on_damage, file), file.name)
                records.at = end
                yield from self._frames_of(records, index * _FILE)
                ends[file] = records.at

    def _frames_of(self, records: Records, base: int) -> Iterator[Located]:
        """Yield the frames of one file; *base* is added to their offsets."""
        parse = EventParser().parse
        row: dict[str, Any] = {}
        begin, wall, end = 0, 0.0, 0
        for at, message in records.read():
            try:
                event = parse(message)
            except ValueError as error:
                msg = f"an event that cannot be read ({error})"
                event = Event(wall_of(message, self._began), 0, [], [], [{"type": "not kept", "msg": msg}])
            _, step, tags, numbers, others = event
            if others and at <= _HPARAMS_WITHIN:
                others = [other for other in others if "hparams" not in other]  # they are in the header
            if row and (others or step != row["step"] or not row.keys().isdisjoint(tags)):
                yield begin, base + at, Frame(wall, Kind.STATS, row)
                row = {}
            if tags:
                if not row:
                    begin, wall, row = base + at, event.wall - self._began, {"step": step}
                for i, tag in enumerate(tags):  # takes a third of the time of ``zip``
                    row[tag if tag != "step" else "step#2"] = numbers[i]
            if others:
                yield from self._others(event._replace(others=others), row, base + at, base + records.at)
                row = {}
            end = records.at
        if row:
            yield begin, base + end, Frame(wall, Kind.STATS, row)

    def _others(self, event: Event, row: dict[str, Any], at: int, end: int) -> Iterator[Located]:
        """The frames of one event that holds more than numbers."""
        time = event.wall - self._began
        frames = [Frame(time, Kind.STATS, row)] if row else []
        frames += [Frame(time, Kind.EVENT, other) for other in event.others]
        for i, frame in enumerate(frames):
            yield at + i, at + i + 1 if i + 1 < len(frames) else end, frame
