"""One way to read: a question (`Scan`), and the answer in pieces (`Batch`), each with the position behind it.

Every consumer of columns asks this. A live dashboard, ``trainlog watch`` and a query that is resumed are the same
thing: a scan after a position, again and again.
"""

from __future__ import annotations

import re
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.errors import CorruptLog, DamagedLogWarning, InvalidPosition, TruncatedLog
from trainlog.model import Frame, Kind, KindLike
from trainlog.table.builder import TableBuilder, batched
from trainlog.table.table import Table
from trainlog.table.values import BATCH, STEP, Range, check_range, in_range, number

__all__ = [
    "Batch",
    "FrameCounter",
    "Gap",
    "OnDamage",
    "Place",
    "Position",
    "Scan",
    "batches_of",
    "damage_handler",
    "stretch",
    "stretches",
]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a file that are no record.

    Attributes:
        offset: the first such byte.
        size: how many bytes until the next record, or until the end of the file.
        torn: True for an unfinished record at the end of the file: a killed writer, or one that is still writing.
        file: the name of the file, where a log has several.

    """

    offset: int
    size: int
    torn: bool = False
    file: str = ""

    def __str__(self) -> str:
        where = f" of {self.file}" if self.file else ""
        if self.torn:
            return f"{self.size:,} bytes of an unfinished record at the end{where}, from byte {self.offset:,}"
        end = self.offset + self.size
        return f"{self.size:,} bytes that are no record, from byte {self.offset:,} to {end:,}{where}"


OnDamage = Literal["warn", "raise", "ignore"] | Callable[[Gap], object]
"""What to do on damage.

``warn``: a `DamagedLogWarning` says which bytes are no record; an unfinished record at the end, which every live log
has, is passed in silence. ``raise``: `TruncatedLog` for that, `CorruptLog` for all else. ``ignore``: nothing. A
function is called with every gap.
"""


def damage_handler(on_damage: OnDamage, path: Path) -> Callable[[Gap], object]:
    """*on_damage* as a function that a reader of *path* calls for each gap.

    Raises:
        ValueError: when it is neither one of the three words nor a function.

    """
    if callable(on_damage):
        return on_damage
    if on_damage not in ("warn", "raise", "ignore"):
        raise ValueError(f"on_damage is 'warn', 'raise', 'ignore' or a function, not {on_damage!r}")

    def handle(gap: Gap) -> None:
        where = path.with_name(gap.file) if gap.file else path
        if on_damage == "raise" and gap.torn:
            raise TruncatedLog(
                f"the last record is not all there ({gap.size:,} bytes of it)", path=where, offset=gap.offset
            )
        if on_damage == "raise":
            raise CorruptLog(f"{gap.size:,} bytes are no record", path=where, offset=gap.offset)
        if on_damage == "warn" and not gap.torn:
            warnings.warn(DamagedLogWarning(f"{path}: skipped {gap}"), stacklevel=2)

    return handle


class Position(str):
    """A place in a log, as text that outlives the process: all that was asked for before it has been read.

    It is opaque: only the format that made it reads it. A log that was replaced, cut, or that went back to a
    checkpoint before it, refuses it with `InvalidPosition`.
    """

    __slots__ = ()


class Place(NamedTuple):
    """What a `Position` says, for formats whose log is one file, or one sequence of frames.

    A batch holds rows of one kind, so that behind it the rows of other kinds of the same stretch may be still to come:
    these are read from ``start`` on, and the kinds that are ``done`` from ``ahead`` on.

    Attributes:
        start: where to go on: a byte, or the number of a frame.
        ahead: the end of the stretch.
        done: kinds of which all rows before ``ahead`` were given; empty when those of all kinds were.
        check: a checksum of what is before ``ahead``, or of samples of it.

    """

    start: int
    ahead: int
    done: frozenset[int] = frozenset()
    check: str = ""

    @classmethod
    def parse(cls, position: str) -> Place:
        """The inverse of `position`.

        Raises:
            InvalidPosition: for a text that is none.

        """
        match = _POSITION.fullmatch(position)
        if match is None:
            raise InvalidPosition(f"{position[:80]!r} is no position in a log of this format")
        start, ahead, done, check = match.groups()
        kinds = frozenset(map(int, filter(None, (done or "").split("."))))
        return cls(int(start), int(ahead or start), kinds, check)

    @staticmethod
    def behind(start: int, end: int, check: str, proven: int | None = None) -> Callable[[frozenset[int]], Position]:
        """What `stretch` takes, for one from *start* to *end*; the next begins at *proven*, by default at its end."""
        next_start = end if proven is None else proven
        return lambda done: Place(start if done else next_start, end, done, check).position

    @property
    def position(self) -> Position:
        """As text."""
        ahead = f"+{self.ahead}:{'.'.join(map(str, sorted(self.done)))}" if self.ahead != self.start else ""
        return Position(f"{self.start}{ahead}-{self.check}")

    def skips(self, kind: int, order: int) -> bool:
        """Whether the row of *kind* at *order* was given already."""
        return order < self.ahead and (not self.done or kind in self.done)


_POSITION: Final = re.compile(r"(\d{1,18})(?:\+(\d{1,18}):([\d.]{0,1023}))?-([0-9a-f]{0,64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What is asked of a log; what is None does not restrict it.

    Attributes:
        kinds: of which kinds of frames, by any of their names.
        columns: only these columns, in this order; a nested one by its flattened name (``gait/phase``). Those that no
            row of a batch has are left out of it. ``()`` for the times alone.
        time: only frames from the first to before the second, in seconds; None in it for an open end.
        steps: the same for the frames' ``step``; a frame without one, or whose step is no number, is left out.
        last: of those, only so many of each kind from the end of the log. What is before them may stay unread, and
            damage there untold, unless *on_damage* is ``raise`` or a function.
        after: go on from there; a position of an earlier batch of the same log.
        superseded: frames that are hidden because training went back to a checkpoint before them, too.
        on_damage: what to do about bytes that are no record.
        batch_rows: about how many rows of all kinds a batch may have; None for all that there are in one.

    Raises:
        ValueError: for an unknown kind, a range that is no pair of numbers, or *last* below 0.

    """

    kinds: Collection[KindLike] | KindLike | None = None
    columns: Sequence[str] | None = None
    time: Range | None = None
    steps: Range | None = None
    last: int | None = None
    after: Position | str | None = None
    superseded: bool = False
    on_damage: OnDamage = "warn"
    batch_rows: int | None = 1 << 16

    def __post_init__(self) -> None:
        if self.kinds is not None:
            kinds = (self.kinds,) if isinstance(self.kinds, int | str) else self.kinds
            object.__setattr__(self, "kinds", frozenset(map(Kind.of, kinds)))
        check_range("time", self.time)
        check_range("steps", self.steps)
        if self.last is not None and self.last < 0:
            raise ValueError(f"last is how many rows, 0 or more, not {self.last}")

    @property
    def wanted(self) -> frozenset[Kind] | None:
        """The kinds that are asked for; None for all."""
        return self.kinds  # type: ignore[return-value]  # what __post_init__ made of it

    def wants(self, kind: int) -> bool:
        """Whether frames of *kind* are asked for."""
        return self.kinds is None or kind in self.kinds  # type: ignore[operator]

    @property
    def has_ranges(self) -> bool:
        """Whether only some rows are asked for, by their time or step."""
        return self.time is not None or self.steps is not None

    def selects(self, frame: Frame) -> bool:
        """Whether *frame* is of a wanted kind, and in the ranges."""
        return (
            self.wants(frame.kind)
            and (self.time is None or bool(in_range(frame.time, self.time)))
            and (self.steps is None or bool(in_range(number(frame.data.get(STEP)), self.steps)))
        )


class Batch(NamedTuple):
    """A piece of the answer: rows of one kind.

    The rows of each kind come in the log's order. Batches of several kinds may tell of one stretch of the log; then
    ``more`` is True for all but the last of them. A scan that finds no row is one batch without rows and columns, whose
    position says how far the log was read.

    Attributes:
        table: the rows.
        position: behind the last of them; a scan after it yields the rest.
        order: int64, shape (rows,), rising: where each row stands among those of all kinds. `Reader.take` finds the
            frames by it.
        size: bytes of the rows' payloads in the log, 0 where the format does not tell.
        more: whether batches of other kinds of the same stretch follow.

    """

    table: Table
    position: Position
    order: Ints
    size: int = 0
    more: bool = False


def batches_of(
    frames: Iterable[tuple[int, int, Frame]], scan: Scan, place: Place, check: Callable[[int], str]
) -> Iterator[Batch]:
    """The answer to *scan* made of frames, for formats that have nothing faster.

    Args:
        frames: in the log's order, from ``place.start`` on: where each stands, where it ends, and the frame.
        scan: the question; its ``kinds`` and ranges are applied here.
        place: where the scan begins.
        check: the checksum of a position at the end of a frame.

    """
    start = end = place.start
    done = place.done  # a stretch that was given in part ends where it ended before
    rows, given = 0, False
    pending: dict[Kind, deque[tuple[int, Frame]]] = {}
    for order, behind, frame in frames:
        if done and order >= place.ahead:
            yield from _flushed(pending, scan, start, place.ahead, place.check, done)
            pending, rows, start, done, given = {}, 0, place.ahead, frozenset(), True
        if scan.selects(frame) and not place.skips(frame.kind, order):
            pending.setdefault(frame.kind, deque(maxlen=scan.last)).append((order, frame))
            rows += 1
        end = behind
        if not done and scan.last is None and scan.batch_rows is not None and rows >= scan.batch_rows:
            yield from _flushed(pending, scan, start, end, check(end))
            pending, rows, start, given = {}, 0, end, True
    if done:
        yield from _flushed(pending, scan, start, place.ahead, place.check, done)
    elif pending or not given:
        yield from _flushed(pending, scan, start, end, check(end))


def _flushed(
    pending: dict[Kind, deque[tuple[int, Frame]]],
    scan: Scan,
    start: int,
    end: int,
    check: str,
    done: frozenset[int] = frozenset(),
) -> Iterator[Batch]:
    found = {}
    for kind, frames in pending.items():
        builder = TableBuilder(kind, scan.columns)
        for some in batched((frame for _, frame in frames), BATCH):
            builder.add_frames([frame.time for frame in some], [frame.data for frame in some])
        found[kind] = builder.finish(), np.fromiter((order for order, _ in frames), np.int64, len(frames)), 0
    yield from stretch(found, scan, Place.behind(start, end, check), done)


def stretch(
    tables: dict[Kind, tuple[Table, Ints, int]],
    scan: Scan,
    behind: Callable[[frozenset[int]], Position],
    done: frozenset[int] = frozenset(),
) -> Iterator[Batch]:
    """The batches of one stretch of the log: the table, the order and the size of each kind.

    Without any row that is one batch. *behind* makes the position from the kinds of which all rows were given, none
    for all kinds; those that are *done* were given before.
    """
    tables = {kind: found for kind, found in sorted(tables.items()) if found[0].rows}
    if not tables:
        kinds = sorted(scan.wanted or (Kind.STATS,))
        tables = {kinds[0]: (Table(kinds[0], np.empty(0), {}), np.empty(0, np.int64), 0)}
    last = list(tables)[-1]
    for kind, (table, order, size) in tables.items():
        done |= {int(kind)}
        more = kind is not last
        yield Batch(table, behind(done if more else frozenset()), order, size, more)


def stretches(batches: Iterable[Batch]) -> Iterator[dict[Kind, Batch]]:
    """Yield the batches of a scan by kind, those of one stretch of the log together."""
    found: dict[Kind, Batch] = {}
    for batch in batches:
        found[batch.table.kind] = batch
        if not batch.more:
            yield found
            found = {}


def _in_full(value: Any) -> Any:
    """*value* with the bytes of its arrays, of which ``repr`` leaves out what it finds too long or too exact."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, Mapping):
        return [(key, _in_full(one)) for key, one in value.items()]
    if isinstance(value, np.ndarray | list | tuple):
        return [_in_full(one) for one in value]
    return value


class FrameCounter:
    """Frames by their number, with a checksum of those before any of them: positions for formats that have no others.

    A scan after a position reads the log from its beginning and passes what comes before.
    """

    def __init__(self, frames: Iterable[Frame], place: Place, path: Path) -> None:
        self._frames = frames
        self._place = place
        self._path = path
        self._crc = 0

    def __iter__(self) -> Iterator[tuple[int, int, Frame]]:
        """Yield the frames from the place on, with their numbers.

        Raises:
            InvalidPosition: when the frames before it are others than those that it was made of.

        """
        start, ahead = self._place.start, self._place.ahead
        count = 0
        held: list[tuple[int, int, Frame]] = []  # those before ``ahead`` are given when its checksum is right
        for frame in self._frames:
            number, count = count, count + 1
            # With the data, as two runs may have the same times and kinds.
            text = repr((frame.time, int(frame.kind), _in_full(frame.data)))
            self._crc = zlib.crc32(text.encode("utf-8", "surrogatepass"), self._crc)
            if count == ahead and self.check(count) != self._place.check:
                raise InvalidPosition("the log is another than the one that was read; read it anew", path=self._path)
            if number >= start:
                held.append((number, count, frame))
            if count >= ahead:
                yield from held
                held.clear()
        if count < ahead:
            raise InvalidPosition("the log has fewer frames than were read of it; read it anew", path=self._path)

    def check(self, count: int) -> str:
        """The checksum of the frames so far."""
        return f"{self._crc:08x}"
