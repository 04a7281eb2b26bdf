"""Reading a log in Parquet."""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from trainlog.codec import OnDamage, Reader
from trainlog.codecs.frame_payload import decode
from trainlog.codecs.parquet.layout import FRAME, header_of, pyarrow_modules, typed
from trainlog.codecs.parquet.row_groups import Ints, LogFile, RowGroup, split
from trainlog.errors import InvalidPosition
from trainlog.model import Frame, Kind, KindLike
from trainlog.scan import Batch, Place, Scan, stretch
from trainlog.storage.location import RemotePath
from trainlog.storage.source import Source, SourceFile, Wait, never
from trainlog.table.builder import TableBuilder
from trainlog.table.table import Table
from trainlog.table.values import BATCH

__all__ = ["ParquetReader"]


class ParquetReader(Reader):
    """A log in Parquet; see `trainlog.codec.Reader` for the methods."""

    def __init__(self, path: Path) -> None:
        pa, parquet = pyarrow_modules()
        with typed(pa, path), _file(pa, path) as source:
            schema = parquet.read_schema(source)
        super().__init__(path, header_of(schema, path))

    @contextmanager
    def _open(self) -> Iterator[LogFile]:
        pa, parquet = pyarrow_modules()
        with typed(pa, self.path), _file(pa, self.path) as source, parquet.ParquetFile(source) as file:
            yield LogFile(file, source)

    def frames(
        self, kind: KindLike | None = None, *, wait: Wait = never, on_damage: OnDamage = "warn"
    ) -> Iterator[Frame]:
        """Yield the frames; the file is complete, so there is nothing to wait for."""
        wanted = None if kind is None else Kind.of(kind)
        with self._open() as log:
            names = ["time", "kind", FRAME, *log.columns(None if wanted is None else [wanted])]
            for batch in log.file.iter_batches(BATCH, columns=names):
                yield from _frames_of(batch, wanted)

    def take(self, orders: Iterable[int]) -> Iterator[Frame]:
        """Yield the frames at *orders*; only the row groups that hold them are read."""
        with self._open() as log:
            for group, some in itertools.groupby(orders, lambda order: bisect.bisect(log.starts, order) - 1):
                if 0 <= group < len(log.starts) - 1:
                    rows = np.fromiter(some, np.int64) - log.starts[group]
                    kinds = log.file.read_row_group(group, columns=["kind"])["kind"].take(rows).unique()
                    names = ["time", "kind", FRAME, *log.columns([Kind.of(kind) for kind in kinds.to_pylist()])]
                    table = log.file.read_row_group(group, columns=names)
                    for start in range(0, len(rows), BATCH):
                        yield from _frames_of(table.take(rows[start : start + BATCH]))

    def scan(self, scan: Scan = Scan()) -> Iterator[Batch]:  # noqa: B008 - it is frozen
        """Yield the rows that *scan* asks for; `Batch.order` is the number of the row in the file.

        Only the requested columns are read, and only from the row groups that may hold requested rows.
        """
        with self._open() as log:
            check, total = log.checksum(), log.starts[-1]
            place = Place.parse(scan.after)
            if scan.after is not None and (place.check != check or not place.start <= place.ahead <= total):
                raise InvalidPosition("the log is not the one that was read; read it again", path=self.path)
            size = total + 1 if scan.batch_rows is None or scan.last is not None else max(scan.batch_rows, 1)
            pending, left, start = _Pending(), size, place.start
            done, given = place.done, False
            for group, chosen in _chosen(log, scan, place):
                if done:  # a stretch that was returned in part ends where it ended before
                    before = {kind: rows[rows + group.start < place.ahead] for kind, rows in chosen.items()}
                    pending.add(group, before, scan, 0)
                    chosen = {kind: rows[len(before[kind]) :] for kind, rows in chosen.items()}
                    if group.end < place.ahead:
                        continue
                    yield from stretch(pending.tables(), scan, Place.behind(start, place.ahead, check), done)
                    pending, start, done, given = _Pending(), place.ahead, frozenset(), True
                for rows, cut in split(chosen, left, size):
                    left -= pending.add(group, rows, scan, min(size, total))
                    if cut is not None:
                        end = group.start + cut
                        yield from stretch(pending.tables(), scan, Place.behind(start, end, check))
                        pending, left, start, given = _Pending(), size, end, True
            if pending or not given:
                behind = Place.behind(start, place.ahead if done else total, check)
                yield from stretch(pending.tables(), scan, behind, done)


def _file(pa: Any, path: Path) -> Any:
    """The file in a form that pyarrow reads."""
    if isinstance(path, RemotePath):
        return pa.PythonFile(SourceFile(Source(path)), mode="r")
    return pa.OSFile(os.fsencode(path))  # as text, pyarrow takes only names in UTF-8


def _chosen(log: LogFile, scan: Scan, place: Place) -> Iterable[tuple[RowGroup, dict[Kind, Ints]]]:
    """The row groups, each with the rows that *scan* asks for, by their kind."""
    numbers = log.groups(scan, place)
    if scan.last is None:
        groups = (RowGroup(log, number, scan) for number in numbers)
        return ((group, group.select(place)) for group in groups)
    # Row groups are read from the end until there are enough rows; only all of them show which kinds there are.
    found = []
    missing: dict[Kind, int] = dict.fromkeys(scan.wanted or (), scan.last)
    while numbers and scan.last and (scan.wanted is None or any(missing.values())):
        group = RowGroup(log, numbers.pop(), scan)
        chosen = group.select(place)
        for kind, rows in chosen.items():
            chosen[kind] = rows[max(len(rows) - missing.setdefault(kind, scan.last), 0) :]
            missing[kind] -= len(chosen[kind])
        found.append((group, chosen))
    return reversed(found)


class _Pending(dict[Kind, tuple[TableBuilder, list[Ints]]]):
    """The rows of the next batches: for each kind the growing table, and the numbers of its rows in the file."""

    def add(self, group: RowGroup, rows: dict[Kind, Ints], scan: Scan, expected: int) -> int:
        """Add *rows* of *group*, and return their number."""
        for kind, some in rows.items():
            if len(some):
                if kind not in self:
                    self[kind] = TableBuilder(kind, scan.columns), []
                    self[kind][0].expected = 0 if scan.has_ranges or scan.last is not None else expected
                group.put(self[kind][0], some, scan.columns)
                self[kind][1].append(some + group.start)
        return sum(map(len, rows.values()))

    def tables(self) -> dict[Kind, tuple[Table, Ints, int]]:
        """The tables and the numbers of their rows, in the form that `stretch` takes."""
        return {kind: (builder.finish(), np.concatenate(rows), 0) for kind, (builder, rows) in self.items()}


def _frames_of(rows: Any, wanted: Kind | None = None) -> Iterator[Frame]:
    """Yield the frames of *rows*, an Arrow table or record batch: those of the *wanted* kind, or all."""
    times = np.asarray(rows.column("time"), np.float64).tolist()  # a null is NaN, as in tables
    kinds, raw = (rows.column(name).to_pylist() for name in ("kind", FRAME))
    data: list[dict[Any, Any]] = [{} for _ in times]
    places = {kind: [row for row, one in enumerate(kinds) if one == kind] for kind in set(kinds)}
    for name in rows.schema.names:
        kind, is_key, key = name.partition("/")
        if is_key and kind in places:
            values = rows.column(name).take(places[kind]).to_pylist()
            for row, value in zip(places[kind], values, strict=True):
                if value is not None:
                    data[row][key] = value
    for time, kind, packed, one in zip(times, kinds, raw, data, strict=True):
        if wanted is None or kind == str(wanted):
            yield Frame(time, Kind.of(kind), one if packed is None else decode(packed))
