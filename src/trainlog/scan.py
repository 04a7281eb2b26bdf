"""The one way to read columns: a query (`Scan`), answered in pieces (`Batch`), each with the position after it.

Everything that reads columns uses this. A live dashboard, ``trainlog watch`` and a resumed query are the same thing:
repeated scans, each from the position where the last one ended.
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
    """Bytes of a file that are not a record.

    Attributes:
        offset: the first such byte.
        size: the number of bytes up to the next record, or up to the end of the file.
        torn: True for an unfinished record at the end of the file: its writer was killed, or is still writing.
        file: the name of the file, for a log of several files.

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
        return f"{self.size:,} bytes that are not a record, from byte {self.offset:,} to {end:,}{where}"


OnDamage = Literal["warn", "raise", "ignore"] | Callable[[Gap], object]
"""What to do on damage.

``warn``: a `DamagedLogWarning` says which bytes are not a record; an unfinished record at the end, which every live
log has, is skipped silently. ``raise``: `TruncatedLog` for an unfinished record, `CorruptLog` for anything else.
``ignore``: nothing. A function is called with every gap.
"""


def damage_handler(on_damage: OnDamage, path: Path) -> Callable[[Gap], object]:
    """*on_damage* as a function that a reader of *path* calls for each gap.

    Raises:
        ValueError: when it is neither one of the three words nor a callable.

    """
    if callable(on_damage):
        return on_damage
    if on_damage not in ("warn", "raise", "ignore"):
        raise ValueError(f"on_damage is 'warn', 'raise', 'ignore' or a function, not {on_damage!r}")

    def handle(gap: Gap) -> None:
        where = path.with_name(gap.file) if gap.file else path
        if on_damage == "raise" and gap.torn:
            raise TruncatedLog(
                f"the last record is incomplete ({gap.size:,} bytes of it)", path=where, offset=gap.offset
            )
        if on_damage == "raise":
            raise CorruptLog(f"{gap.size:,} bytes are not a record", path=where, offset=gap.offset)
        if on_damage == "warn" and not gap.torn:
            warnings.warn(DamagedLogWarning(f"{path}: skipped {gap}"), stacklevel=2)

    return handle


class Position(str):
    """A place in a log, as text that outlives the process: everything requested before it has been read.

    It is opaque: only the format that made it can interpret it. It is refused with `InvalidPosition` when the log was
    replaced or cut, or when training went back to a checkpoint before it.
    """

    __slots__ = ()


class Place(NamedTuple):
    """The content of a `Position`, for formats whose log is one file, or one sequence of frames.

    A batch holds rows of one kind, so that rows of other kinds from the same stretch of the log may still follow it.
    Those kinds are read from ``start`` on, and the kinds that are ``done`` from ``ahead`` on.

    Attributes:
        start: where to continue: a byte, or the number of a frame.
        ahead: the end of the stretch.
        done: kinds whose rows before ``ahead`` were all returned; empty when this is true of every kind.
        check: a checksum of the log before ``ahead``, or of samples of it.

    """

    start: int
    ahead: int
    done: frozenset[int] = frozenset()
    check: str = ""

    @classmethod
    def parse(cls, position: str | None) -> Place:
        """The inverse of `position`; the beginning of the log for None.

        Raises:
            InvalidPosition: when the text is not a position.

        """
        if position is None:
            return cls(0, 0)
        match = _POSITION.fullmatch(position)
        if match is None:
            raise InvalidPosition(f"{position[:80]!r} is not a position in a log of this format")
        start, ahead, done, check = match.groups()
        kinds = frozenset(map(int, filter(None, (done or "").split("."))))
        return cls(int(start), int(ahead or start), kinds, check)

    @staticmethod
    def behind(start: int, end: int, check: str, proven: int | None = None) -> Callable[[frozenset[int]], Position]:
        """The *behind* of `stretch` for bytes *start* to *end*; the next begins at *proven*, by default at *end*."""
        next_start = end if proven is None else proven
        return lambda done: Place(start if done else next_start, end, done, check).position

    @property
    def position(self) -> Position:
        """The place as text."""
        ahead = f"+{self.ahead}:{'.'.join(map(str, sorted(self.done)))}" if self.ahead != self.start else ""
        return Position(f"{self.start}{ahead}-{self.check}")

    def skips(self, kind: int, order: int) -> bool:
        """Whether the row of *kind* at *order* was returned already."""
        return order < self.ahead and (not self.done or kind in self.done)


_POSITION: Final = re.compile(r"(\d{1,18})(?:\+(\d{1,18}):([\d.]{0,1023}))?-([0-9a-f]{0,64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A query for frames of a log; an attribute that is None does not restrict it.

    Attributes:
        kinds: only frames of these kinds, by any of their names.
        columns: only these columns, in this order; a nested one by its flattened name (``gait/phase``). A batch leaves
            out the columns that none of its rows has. ``()`` selects the times alone.
        time: only frames in this range of seconds, a pair (from, to): *from* is included, *to* is not, and None leaves
            that end open.
        steps: the same for the frames' ``step``; a frame without a step, or whose step is not a number, is left out.
        last: of those, at most the last N of each kind. Anything before them may stay unread, and damage there
            unreported, unless *on_damage* is ``raise`` or a function.
        after: continue after this position, which an earlier batch of the same log had.
        superseded: include the frames that are hidden because training went back to a checkpoint before them.
        on_damage: what to do about bytes that are not a record.
        batch_rows: about how many rows of all kinds a batch may have; None puts all rows in one batch.

    Raises:
        ValueError: for an unknown kind, a range that is not a pair of numbers, or *last* below 0.

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
            raise ValueError(f"last is a number of rows, 0 or more, not {self.last}")

    @property
    def wanted(self) -> frozenset[Kind] | None:
        """The requested kinds; None means all."""
        return self.kinds  # type: ignore[return-value]  # converted by __post_init__

    def wants(self, kind: int) -> bool:
        """Whether frames of *kind* are requested."""
        return self.kinds is None or kind in self.kinds  # type: ignore[operator]

    @property
    def has_ranges(self) -> bool:
        """Whether the rows are restricted by their time or step."""
        return self.time is not None or self.steps is not None

    def selects(self, frame: Frame) -> bool:
        """Whether *frame* is of a requested kind and in the ranges."""
        return (
            self.wants(frame.kind)
            and (self.time is None or bool(in_range(frame.time, self.time)))
            and (self.steps is None or bool(in_range(number(frame.data.get(STEP)), self.steps)))
        )


class Batch(NamedTuple):
    """A piece of the answer to a scan: rows of one kind.

    The rows of each kind come in the log's order. Several batches, one per kind, may cover the same stretch of the log;
    then ``more`` is True for all but the last of them. A scan that finds no row yields one batch without rows and
    columns, whose position says how far the log was read.

    Attributes:
        table: the rows.
        position: the place after the last row; a scan after it yields the rest.
        order: int64, shape (rows,), ascending: the place of each row among those of all kinds. `Reader.take` finds the
            frames by it.
        size: bytes of the rows' payloads in the log, 0 where the format does not record it.
        more: whether batches of other kinds from the same stretch follow.

    """

    table: Table
    position: Position
    order: Ints
    size: int = 0
    more: bool = False


def batches_of(
    frames: Iterable[tuple[int, int, Frame]], scan: Scan, place: Place, check: Callable[[int], str]
) -> Iterator[Batch]:
    """Answer *scan* from frames, for formats that have nothing faster.

    Args:
        frames: in the log's order, from ``place.start`` on: for each, where it begins, where it ends, and the frame.
        scan: the query; its ``kinds`` and ranges are applied here.
        place: where the scan begins.
        check: returns the checksum of a position at the end of a frame.

    """
    start = end = place.start
    done = place.done  # a partly returned stretch ends where it ended before
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
    """Yield the batches of one stretch of the log, from the table, the order and the size of each kind.

    Without any row this is one empty batch. *behind* makes the position from the kinds whose rows were all returned; an
    empty set stands for every kind. The kinds in *done* were returned before.
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
    """*value* with the bytes of its arrays, since their ``repr`` drops elements and digits."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, Mapping):
        return [(key, _in_full(one)) for key, one in value.items()]
    if isinstance(value, np.ndarray | list | tuple):
        return [_in_full(one) for one in value]
    return value


class FrameCounter:
    """Numbers frames, and keeps a checksum of those before each: positions for formats that have no others.

    A scan after a position reads the log from its beginning and skips the frames before the position.
    """

    def __init__(self, frames: Iterable[Frame], place: Place, path: Path) -> None:
        self._frames = frames
        self._place = place
        self._path = path
        self._crc = 0

    def __iter__(self) -> Iterator[tuple[int, int, Frame]]:
        """Yield the frames from the place on, with their numbers.

        Raises:
            InvalidPosition: when the frames before it differ from those that the position was made from.

        """
        start, ahead = self._place.start, self._place.ahead
        count = 0
        held: list[tuple[int, int, Frame]] = []  # frames before ``ahead`` wait until its checksum is verified
        for frame in self._frames:
            number, count = count, count + 1
            # The data is included, as two runs may have the same times and kinds.
            text = repr((frame.time, int(frame.kind), _in_full(frame.data)))
            self._crc = zlib.crc32(text.encode("utf-8", "surrogatepass"), self._crc)
            if count == ahead and self.check(count) != self._place.check:
                raise InvalidPosition("the log is not the one that was read; read it again", path=self._path)
            if number >= start:
                held.append((number, count, frame))
            if count >= ahead:
                yield from held
                held.clear()
        if count < ahead:
            raise InvalidPosition("the log has fewer frames than were read before; read it again", path=self._path)

    def check(self, count: int) -> str:
        """The checksum of the frames so far."""
        return f"{self._crc:08x}"
