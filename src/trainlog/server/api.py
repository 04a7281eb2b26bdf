"""The stateless API: the description of a log, its curves, rows and events."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response

from trainlog.catalog.live import LiveRun
from trainlog.conventions import AXES, AXIS_ALIASES, AxisName
from trainlog.csv_rows import NOT_UTF8, cells_of
from trainlog.errors import InvalidPosition
from trainlog.live_log.column_file import codes_of
from trainlog.live_log.log import Log
from trainlog.model import Kind
from trainlog.server.app_state import opened
from trainlog.server.cards import cards_of, episode_keys, has_functions, keys_of
from trainlog.server.curves import (
    Window,
    axes_of,
    curve,
    damage_of,
    event_places,
    event_types,
    guides_of,
    has_episodes,
    is_of_one_column,
    own_axis,
    places_of,
    series_of,
    smooth_curve,
    window_of,
)
from trainlog.server.query import Query, takes, wrong
from trainlog.server.responses import ApiError, Download, Room, json_response
from trainlog.table.values import flatten

__all__ = ["RowsQuery", "about", "csv_rows", "events", "rows", "run", "series"]

_READ_FIRST: Final = frozenset([Kind.STATS, Kind.EVOLUTION, Kind.EVENT])
_LONG: Final = 4000  # characters of a text in the metadata or an event
_LETTERS: Final = 1 << 15  # characters of a CSV file sent at once; what a client has not taken yet stays in memory
_BLOCK: Final = 4096  # rows looked up at a time


def about(run: LiveRun, redact: Callable[[str], str]) -> dict[str, Any]:
    """One row of the list of runs."""
    facts = run.facts
    creature, task = (
        str(facts.meta[key])[:200] if facts.meta.get(key) is not None else "" for key in ("creature", "task")
    )
    return {
        "id": run.id,
        "path": run.name,
        "codec": facts.format,
        "creature": creature,
        "task": task,
        "size": facts.size,
        "modified": facts.changed,
        "state": facts.state,
        "live": facts.state == "running",
        "frames": facts.frames,
        "duration": facts.duration,
        "reward": facts.last_of(facts.reward),
        "step": facts.last_of(facts.step),
        "error": redact(facts.error) if facts.error else "",
        **({"my": dict(run.notes)} if run.notes else {}),
    }


@takes("{id}")
def run(request: Request) -> Response:
    """The description of one log: its metadata, kinds, keys, units, axes, and which charts come first."""
    Query(request)
    state, entry, log = opened(request)
    with state.reading(log, _READ_FIRST, times={Kind.CREATURE}):
        kinds = {}
        for kind, rows in log.rows.items():
            shapes: dict[str, Any] = {
                key: {"shape": one.shape, "last": one.last, **({"texts": list(one.texts)} if one.texts else {})}
                for key, one in rows.columns.series.items()
            }
            if not shapes and len(rows):
                shapes = _shapes_of_one(log, kind)
            own = {axis: own_axis(log, kind, axis) for axis in AXES}
            kinds[str(kind)] = {
                "rows": len(rows),
                "read": rows.columns.rows,
                "keys": keys_of(log, kind, shapes),
                "left_out": list(rows.columns.left_out),
                "all_keys": not rows.columns.left_out and not rows.columns.leaves_out,
                # The key is empty if a place cannot be computed from one column of its row.
                "axes": {
                    axis: {**one._asdict(), "key": one.key if is_of_one_column(log, kind, one) else ""}
                    for axis, one in own.items()
                    if one is not None
                },
            }
        header, room = log.reader.header, Room()
        return json_response(
            {
                **about(entry, state.redact),
                "meta": room.short(dict(header.meta)),
                "phase": header.phase,
                "variables": room.short(
                    [{field: getattr(variable, field) for field in variable.__slots__} for variable in header.variables]
                ),
                "kinds": kinds,
                "axes": axes_of(log),
                "all_axes": AXES,
                "axis_order": log.conventions.axis_order(summaries=has_episodes(log)),
                "axis_aliases": dict(AXIS_ALIASES),
                "cards": cards_of(log),
                "episodes": episode_keys(log),
                "functions": has_functions(log),
                "progress": log.progress(_READ_FIRST),
                "duration": log.duration(),
                "damage": [state.redact(one) for one in log.damage[:20]],
                "cursor": str(log.cursor()),
            }
        )


def _shapes_of_one(log: Log, kind: Kind) -> dict[str, Any]:
    """The keys of frames whose values were not read yet, taken from the first frame."""
    (frame,) = log.frames(kind, [0])
    found = {}
    for key, value in flatten(frame.data).items():
        shape = "text" if isinstance(value, str) else "list" if isinstance(value, list) else "number"
        found[key] = {"shape": shape, "last": None}
    return found


class RowsQuery:
    """The parameters that select rows."""

    def __init__(self, request: Request) -> None:
        query = self.query = Query(request)
        self.kind = query.kind("stats")
        self.axis = query.axis()
        self.low, self.high = query.number("from"), query.number("to")
        where = query.text("where", most=300)
        key, colon, text = where.partition(":")
        if where and not (key and colon):
            raise wrong("where must be a key, a colon and a text")
        self._where = (key, text) if where else None
        self.part = text  # the text that the rows share, such as the type of their episodes
        self._span = query.pair("span")
        self.guides = guides_of(self.axis)

    def progress(self, log: Log) -> float:
        """The part of the rows that is read, and, if these do not have the axis themselves, of the frames that do."""
        is_own = own_axis(log, self.kind, self.axis) is not None and self.kind != Kind.EVENT
        return log.progress({self.kind}, times=() if is_own else self.guides)

    def window(self, log: Log, *, whole: bool = False) -> Window:
        """The rows in the range, or with *whole* all rows that match the other parameters."""
        low, high = (None, None) if whole else (self.low, self.high)
        return window_of(log, self.kind, self.axis, low, high, self._where, self._span)


@takes("{id}", "kind", "keys!", "x", "from", "to", "where", "span", "points", "smooth")
def series(request: Request) -> Response:
    """Curves for a screen; if there are more rows than points, each part keeps its first, last, lowest and highest."""
    rows_query = RowsQuery(request)
    query, kind = rows_query.query, rows_query.kind
    state, _, log = opened(request)
    keys = query.names("keys") or []
    points = query.parse_int("points", 1600, 1, state.limits.points)
    if points * len(keys) > state.limits.values:
        raise wrong(f"keys times points is more than {state.limits.values:,}")
    smooth = query.smoothing()
    with state.reading(log, {kind, *_READ_FIRST}, times=rows_query.guides):
        cursor = log.settled()
        window = rows_query.window(log)
        rows = log.rows.get(kind)
        known = [key for key in keys if rows is not None and key in rows.columns]
        places = places_of(log, kind, rows_query.axis, window) if known else {}
        curves = {key: curve(log, kind, key, window, points, places) for key in known}
        if smooth != 0 and known:
            whole, part = rows_query.window(log, whole=True), rows_query.part
            for key, one in curves.items():
                if "y" in one:
                    one["smooth"] = smooth_curve(log, kind, key, window, whole, points, smooth, part)
        if rows is not None and rows.columns.rows and not curves:
            raise ApiError(404, "key", f"no {kind} frame has the key {keys[0][:80]!r}")
        return json_response(
            {
                "run": log.id,
                "kind": str(kind),
                "x": rows_query.axis,
                "rows": rows.columns.rows if rows is not None else 0,
                "progress": rows_query.progress(log),
                "cursor": str(cursor),
                "damage": damage_of(log, kind, rows_query.axis) if known else [],
                "series": curves,
            }
        )


@takes("{id}", "kind", "keys", "x", "from", "to", "where", "span", "points")
def rows(request: Request) -> Response:
    """Whole rows of chosen keys; if there are more than points, those at equal distances."""
    rows_query = RowsQuery(request)
    query, kind = rows_query.query, rows_query.kind
    state, _, log = opened(request)
    points = query.parse_int("points", 1000, 1, state.limits.points)
    with state.reading(log, {kind, *_READ_FIRST}, times=rows_query.guides):
        keys = _known(log, kind, query.names("keys"))
        if points * max(len(keys), 1) > state.limits.values:
            points = max(state.limits.values // len(keys), 1)
        window = rows_query.window(log)
        total = len(window.rows)
        chosen = np.unique(np.linspace(0, total - 1, min(points, total)).astype(np.intp)) if total else window.rows
        columns = {}
        for key in keys:
            series = series_of(log, kind, key)
            columns[key] = series.plain(window.numbers(series)[chosen])
        mine = log.rows.get(kind)
        times = mine.time.read(*window.span)[window.rows - window.span[0]][chosen] if mine and total else np.empty(0)
        return json_response(
            {
                "run": log.id,
                "kind": str(kind),
                "x": rows_query.axis,
                "total": total,
                "row": window.rows[chosen].tolist(),
                "time": times.tolist(),
                "axis": window.x[chosen].tolist(),
                "columns": columns,
                "progress": rows_query.progress(log),
                "cursor": str(log.settled()),
            }
        )


def _known(log: Log, kind: Kind, keys: list[str] | None) -> list[str]:
    mine = log.rows.get(kind)
    if mine is None:
        return []
    if keys is None:
        return [key for key, one in mine.columns.series.items() if one.shape != "list"][:200]
    return [key for key in keys if series_of(log, kind, key) is not None]


@takes("{id}", "kind", "keys", "x", "from", "to", "where", "span")
def csv_rows(request: Request) -> Response:
    """All rows of chosen keys, at full resolution, as CSV; values are written as by `trainlog.csv_rows`."""
    rows_query = RowsQuery(request)
    kind, axis = rows_query.kind, rows_query.axis
    state, entry, log = opened(request)
    with state.reading(log, {kind, *_READ_FIRST}, times=rows_query.guides, patience=60.0):
        keys = _known(log, kind, rows_query.query.names("keys"))
        window = rows_query.window(log)
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in entry.name)[-80:]
    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    first, last = window.span
    is_whole = axis == "time" and last - first == len(window.rows)  # then the window need not be kept
    held = 0 if is_whole else window.rows.nbytes + window.x.nbytes
    pieces = _csv(log, kind, axis, keys, range(first, last) if is_whole else window)
    return Download(pieces, held=held, headers=headers, media_type="text/csv; charset=utf-8")


def _csv(log: Log, kind: Kind, axis: AxisName, keys: list[str], window: Window | range) -> Iterator[bytes]:
    """The frames as they were logged, with their places on an axis that is not a column; read as the client reads."""
    rows, x = (window, window) if isinstance(window, range) else window
    own = [axis] if axis != "time" and axis not in keys else []
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["time", *own, *map(_harmless, keys)])
    if log.reader.keeps_order:
        orders = _orders(log, kind, rows)
    else:
        unsorted = log.orders(kind, np.asarray(rows))
        rising = np.argsort(unsorted)
        orders, x = iter(unsorted[rising].tolist()), np.asarray(x)[rising]
    found = cells_of(log.reader.take(orders), keys)
    for place in x:
        row = next(found, None)
        if row is None:
            raise InvalidPosition("it was cut or replaced", path=log.reader.path)
        cells = [row[0], *([float(place)] if own else []), *row[1:]]
        writer.writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in cells])
        if buffer.tell() > _LETTERS:
            yield buffer.getvalue().encode("utf-8", NOT_UTF8)
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode("utf-8", NOT_UTF8)


def _orders(log: Log, kind: Kind, rows: range | npt.NDArray[np.intp]) -> Iterator[int]:
    """The orders (positions in the log) of the frames with these row numbers."""
    for start in range(0, len(rows), _BLOCK):
        yield from log.rows[kind].order.pick(np.asarray(rows[start : start + _BLOCK])).tolist()


def _harmless(text: str) -> str:
    """Quote a text that a spreadsheet would run as a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


@takes("{id}", "x", "from", "to", "points")
def events(request: Request) -> Response:
    """Events, their messages, and their places on the axis; if there are more than points, those at equal distances.

    An event is at its own value of the axis, or else where frames of the same time are: stats, or frames of another
    kind if stats do not have the axis. ``among`` has the places by kind, as in the figures of its metrics.
    """
    query = Query(request)
    state, _, log = opened(request)
    axis = query.axis()
    points = query.parse_int("points", 500, 1, 2000)
    with state.reading(log, {Kind.EVENT, Kind.STATS}, times=guides_of(axis)):
        window = window_of(log, Kind.EVENT, axis, query.number("from"), query.number("to"))
        total, room = len(window.rows), Room()
        found: list[dict[str, Any]] = []
        counts: dict[str, int] = {}
        if total:
            types = event_types(log)
            names = ["", *(types.texts if types is not None else ())]
            codes = codes_of(window.numbers(types)) if types is not None else np.full(total, -1)
            for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
                counts[names[code + 1]] = int(count)
            quiet = [code - 1 for code, name in enumerate(names) if log.conventions.is_quiet(name)]
            chosen = np.flatnonzero(~np.isin(codes, quiet))
            if len(chosen) > points:
                chosen = chosen[np.linspace(0, len(chosen) - 1, points).astype(np.intp)]
            frames = log.frames(Kind.EVENT, window.rows[chosen].tolist())
            among = {str(kind): x[window.rows[chosen]].tolist() for kind, x in event_places(log, axis)}
            for n, (x, frame) in enumerate(zip(window.x[chosen].tolist(), frames, strict=True)):
                event = log.conventions.event(frame.data)
                found.append(
                    {
                        "x": x,
                        "among": {kind: places[n] for kind, places in among.items()},
                        "time": frame.time,
                        "type": event.type[:200],
                        "message": event.message[:_LONG],
                        "data": room.short(dict(list(event.data.items())[:50])),
                    }
                )
        return json_response({"run": log.id, "x": axis, "total": total, "types": counts, "events": found})
