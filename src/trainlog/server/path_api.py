"""The path of the creature, seen from above: of the same key and environment as in the figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from trainlog.conventions import RANK
from trainlog.environment_rows import EnvironmentKey, by_environment, last_environment, steps_by_environment, together
from trainlog.episode_summary import period_of
from trainlog.live_log.column_file import ColumnFile, StoredColumn
from trainlog.live_log.log import Log
from trainlog.model import Frame, Kind
from trainlog.scan import Scan
from trainlog.server.app_state import opened
from trainlog.server.moment_api import rows_of
from trainlog.server.places import Places
from trainlog.server.query import Query, takes
from trainlog.server.responses import json_response
from trainlog.table.builder import table_of
from trainlog.table.values import flatten
from trainlog.trajectory import Extent, coordinates_of, sample_of

__all__ = ["Walker", "data_of", "path", "walker_of"]


class Walker:
    """The source of a path: the environment of the last frame, its rows, and the keys of its position."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.environment: EnvironmentKey | None = None
        self.has_others = False
        self.rows = StoredColumn(ColumnFile(), np.int64)
        self._sample: dict[str, float | list[float]] = {}
        self._extents: dict[tuple[str, ...], Extent] = {}  # by candidate for the position
        self._position = ""
        self._seen = 0

    def follow(self, log: Log) -> None:
        """Read what was appended; read everything again if the last frame is from another environment."""
        conventions = log.conventions
        (frame,) = log.frames(Kind.CREATURE, [len(log.rows[Kind.CREATURE]) - 1])
        table = table_of(Kind.CREATURE, [(frame.time, frame.data)])
        own = last_environment(steps_by_environment(table, np.arange(1), conventions))
        if own != self.environment:
            self.environment, self.has_others, self._seen, self._position, self._sample = own, False, 0, "", {}
            self.rows = StoredColumn(ColumnFile(), np.int64)
            self._extents = {}
        columns = (*conventions.position_keys, *conventions.keys["env"], RANK)
        scan = Scan(kinds=Kind.CREATURE, columns=columns, after=self._position or None, on_damage="ignore")
        for batch in log.reader.scan(scan):
            table, self._position = batch.table, batch.position
            numbers = np.arange(self._seen, self._seen + table.rows)
            self._seen += table.rows
            by_key = steps_by_environment(table, numbers, conventions) if table.rows else {}
            self.has_others |= any(key != own for key in by_key)
            if own is not None and (found := together(by_key.get(own, ()))) is not None:
                self.rows.extend(found[0])
                self._sample = {**sample_of(found[1]), **self._sample}
                for keys in conventions.all_positions:
                    self._extents.setdefault(keys, Extent()).add(*coordinates_of(found[1], keys))

    def position(self, log: Log) -> tuple[str, ...]:
        """The keys of the position; empty if no frame has one."""
        return log.conventions.position(self._sample)

    def moves(self, log: Log) -> bool:
        """Whether the position changes anywhere in the log."""
        position = self.position(log)
        return position in self._extents and self._extents[position].is_path


def data_of(frame: Frame, own: EnvironmentKey | None, log: Log) -> Mapping[Any, Any]:
    """The data of the environment *own* in *frame*."""
    key = log.conventions.find("env", (one for one in frame.data if isinstance(one, str)))
    env = None if own is None else own.env
    return next((data for one, data in by_environment(frame.data, key) if one == env), frame.data)


_WALKERS: Final[WeakKeyDictionary[Log, Walker]] = WeakKeyDictionary()


@contextmanager
def walker_of(log: Log) -> Iterator[Walker]:
    """The `Walker` of *log*, which has creature frames, up to date with what is read so far."""
    walker = _WALKERS.setdefault(log, Walker())
    with walker.lock:
        walker.follow(log)
        yield walker


@takes("{id}", "x", "from", "to", "points")
def path(request: Request) -> Response:
    """The path of the creature, seen from above, with places on the axis: frames at equal distances.

    If there are several environments, it is the one of the last frame, as in the figures, and the answer names it.
    """
    query = Query(request)
    state, _, log = opened(request)
    axis = query.axis()
    points = query.parse_int("points", 1500, 2, 5000)
    low, high = query.number("from"), query.number("to")
    with state.reading(log, {Kind.STATS}, times={Kind.CREATURE}):
        mine = rows_of(log, Kind.CREATURE)
        first = 0 if low is None else mine.at(low)
        last = max(len(mine) - 1 if high is None else mine.at(high), first)
        with walker_of(log) as walker:
            begin, end = walker.rows.search(first - 1), walker.rows.search(last)
            places = (
                np.unique(np.linspace(begin, end - 1, points).astype(np.int64)) if begin < end else np.empty(0, int)
            )
            chosen = walker.rows.pick(places).tolist()
            position, moves = walker.position(log), walker.moves(log)
            frames = log.frames(Kind.CREATURE, chosen)
            times = [frame.time for frame in frames]
            samples = [flatten(data_of(frame, walker.environment, log)) for frame in frames]
            name = str(walker.environment) if walker.has_others else ""
        x = Places(log, Kind.CREATURE, axis).of(chosen)
    more = {"row": chosen, "axis": x.tolist(), "time": times, **_places(log, times, samples, position, moves)}
    return json_response(
        {"run": log.id, "rows": len(mine), "from": first, "to": last, **({"environment": name} if name else {}), **more}
    )


def _places(
    log: Log, times: Sequence[float], samples: Sequence[dict[str, Any]], position: tuple[str, ...], moves: bool
) -> dict[str, Any]:
    """Positions of the creature and of other things, as columns; those that no frame has are left out.

    A creature that never *moves* has no path. If frames have no position, the first two declared states are drawn
    against each other instead.
    """
    conventions = log.conventions
    states = [variable for variable in log.reader.header.variables if variable.role == "state"][:2]
    objects: dict[str, str] = {}
    for sample in samples:
        objects = {**conventions.objects(sample), **objects}
    columns: dict[str, list[Any]] = {}
    for meaning in ("step", "heading", "speed"):
        columns[meaning] = [_value(sample, conventions.find(meaning, sample)) for sample in samples]
    labels = ["x (m)", "y (m)"]
    periods: list[float | None] = [None, None]
    drawn: dict[str, tuple[str, ...]] = {f"{name}_": (key,) for name, key in objects.items()}
    if moves:
        drawn[""] = position
    elif not position and len(states) == 2:
        labels = [f"{one.name} ({one.unit})" if one.unit else one.name for one in states]
        periods = [period_of(one) if one.circular else None for one in states]
        drawn[""] = states[0].key, states[1].key
    keys = {key for own in drawn.values() for key in own}
    parts = [{key: sample[key] for key in keys if key in sample} for sample in samples]
    table = table_of(Kind.CREATURE, zip(times, parts, strict=True))
    for prefix, own in drawn.items():
        columns.update(zip((f"{prefix}x", f"{prefix}y"), map(_finite, coordinates_of(table, own)), strict=True))
    known = {name: column for name, column in columns.items() if any(value is not None for value in column)}
    return {"labels": labels, "periods": periods, "position": bool(position), "objects": list(objects), **known}


def _value(sample: dict[str, Any], key: str | None) -> Any:
    return None if key is None else sample[key]


def _finite(values: Any) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
