"""The frames of one file of a log of several files, read repeatedly (ShardCursor)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from trainlog.codecs.flog.integrity.seals import SEAL, is_seal
from trainlog.codecs.flog.scanning.walk import Record, walk
from trainlog.codecs.flog.shards.files import Shard
from trainlog.codecs.flog.shards.rows import Floats, latest_times
from trainlog.codecs.flog.wire.run_state import STATE, is_about_run
from trainlog.model import Frame, Kind
from trainlog.scan import Gap, Ints, OnDamage, Scan
from trainlog.storage.source import growing, never

__all__ = ["ShardCursor"]


class ShardCursor:
    """Reads one of the files again and again, as far as it goes."""

    def __init__(self, shard: Shard, zero: float, kind: Kind | None, on_damage: OnDamage, *, follows: bool) -> None:
        self._shard = shard
        self._shift = shard.began - zero
        self._kind = kind
        self._follows = follows
        self._source, self._at = shard.reader._open(growing if follows else never)
        self._before = self._source.checksum(self._at)
        self._tell = shard.reader._on_gap(self._source, on_damage)
        self._latest = float("-inf")
        # The order depends on the times of all frames, so the times of skipped frames of other kinds count too.
        self._until: tuple[Ints, Floats] | None = None
        if kind is not None and not follows:
            _, frames = shard.reader.scan_with_frames(Scan(kinds=(), on_damage="ignore", batch_rows=None))
            self._until = frames.offset, latest_times(frames.time, self._shift)
        self._gaps: dict[int, Gap] = {}

    def available(self) -> Iterator[tuple[float, Frame]]:
        """Yield the frames that were written since the last call, each with a time that never steps back.

        Raises:
            InvalidPosition: when the file was replaced or cut meanwhile.

        """
        if self._follows:
            self._source.renew(self._at, self._before)
        self._gaps = {offset: gap for offset, gap in self._gaps.items() if offset < self._at}
        # When following, everything is decoded, so that the same frames of other kinds are not skipped again each time.
        for record in walk(self._source, self._at, kind=None if self._follows else self._kind, on_gap=self._on_gap):
            self._at = record.offset + record.size
            if self._kind != SEAL and is_seal(record.kind, record.data, record.size):
                continue
            if record.kind == STATE != self._kind and is_about_run(record.kind, record.data):
                continue
            frame = self._frame(record)
            self._latest = max(self._latest, frame.time, self._latest_at(record.offset))
            if self._kind in (None, record.kind):
                yield self._latest, frame
        self._before = self._source.checksum(self._at)

    def _frame(self, record: Record) -> Frame:
        return Frame(record.time + self._shift, Kind(record.kind), self._shard.with_rank(record.data))

    def _latest_at(self, at: int) -> float:
        """The latest time of any frame up to the one at byte *at*; -inf where only the wanted frames are known."""
        if self._until is None:
            return -math.inf
        offset, latest = self._until
        i = int(np.searchsorted(offset, self._source.to_file_offset(at), "right"))
        return float(latest[i - 1]) if i else -math.inf

    def _on_gap(self, gap: Gap) -> None:
        # The end of a file that is being written may look damaged until the rest has arrived.
        self._gaps[gap.offset] = gap

    def end(self) -> None:
        """Report the damage.

        Raises:
            DamagedLog: with ``on_damage="raise"``.

        """
        for gap in self._gaps.values():
            self._tell(gap)

    def close(self) -> None:
        """Close the file."""
        self._source.close()
