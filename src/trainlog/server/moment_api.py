"""What was at one moment: the whole frame, the way there, and the functions that were learned until then."""

from __future__ import annotations

import bisect
from typing import Any, Final

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from trainlog.model import Frame, Kind
from trainlog.server.api import opened
from trainlog.server.curves import AXES, axis_values
from trainlog.server.log import Log
from trainlog.server.query import Query
from trainlog.server.responses import ApiError, json_response

__all__ = ["frame", "function", "functions", "path"]

_SAMPLE: Final = "function_sample"
_ITEMS: Final = 20_000
_LETTERS: Final = 10_000


def frame(request: Request) -> Response:
    """The frame of a kind at a moment: the last one that is not after it."""
    query = Query(request, ("kind", "x", "at", "row"))
    state, _, log = opened(request)
    kind = query.kind("kind", "creature")
    axis = query.choice("x", AXES, "time")
    at = query.number("at")
    with state.reading(log, {Kind.STATS}):
        mine = log.rows(kind)
        if mine is None or not len(mine):
            raise ApiError(404, "kind", f"this log has no {kind} frames")
        if at is None:
            row = min(query.parse_int("row", 0, 0, 2**53), len(mine) - 1)
        else:
            row = mine.at(at if axis == "time" else _time_of(log, axis, at))
        found = log.frames(kind, [row])
    if not found:
        raise ApiError(404, "row", "that frame is not there any more")
    return json_response(
        {"run": log.id, "kind": str(kind), "row": row, "rows": len(mine), "time": found[0].time, "data": _cut(found[0])}
    )


def _time_of(log: Log, axis: str, at: float) -> float:
    """The time when the run was at that place of an axis: that of the nearest row of the stats."""
    for kind in (Kind.STATS, Kind.CREATURE, Kind.EVOLUTION):
        rows = log.rows(kind)
        if rows is None or not rows.columns.rows:
            continue
        try:
            x = axis_values(log, kind, axis, 0, rows.columns.rows)
        except ApiError:
            continue
        if np.isfinite(x).any():
            row = int(np.nanargmin(np.abs(x - at)))
            return float(rows.time.read(row, row + 1)[0])
    raise ApiError(400, "axis", f"this log has no {axis}")


def _cut(frame: Frame) -> dict[str, Any]:
    """The frame's data, without the lists and texts that no page could show."""

    def short(value: Any) -> Any:
        if isinstance(value, str | bytes):
            return value[:_LETTERS]
        if isinstance(value, list):
            return value[:_ITEMS]
        return value

    return {str(key): short(value) for key, value in frame.data.items()}


def path(request: Request) -> Response:
    """Where the creature was, from above: at most ``points`` places at equal distances of its frames."""
    query = Query(request, ("from", "to", "points"))
    state, _, log = opened(request)
    points = query.parse_int("points", 1500, 2, 5000)
    low, high = query.number("from"), query.number("to")
    with state.reading(log, {Kind.STATS}):
        mine = log.rows(Kind.CREATURE)
        if mine is None or not len(mine):
            raise ApiError(404, "kind", "this log has no creature frames")
        first = 0 if low is None else mine.at(low)
        last = len(mine) - 1 if high is None else mine.at(high)
        chosen = np.unique(np.linspace(first, max(last, first), points).astype(np.int64)).tolist()
        frames = log.frames(Kind.CREATURE, chosen)
    places = _Places(log)
    for each in frames:
        places.add(each)
    return json_response({"run": log.id, "rows": len(mine), "from": first, "to": last, **places.columns()})


class _Places:
    """Gathers x and y of creature frames, and what is drawn with them.

    A frame without a position has none of these; then the first two declared states are drawn against each other.
    """

    def __init__(self, log: Log) -> None:
        states = [variable for variable in log.reader.header.variables if variable.role == "state"]
        self._states = states[:2] if len(states) >= 2 else []
        self._position = True
        self._columns: dict[str, list[Any]] = {
            name: [] for name in ("time", "step", "x", "y", "heading", "speed", "ball_x", "ball_y")
        }

    def add(self, frame: Frame) -> None:
        data = frame.data
        place = _pair(data, "x", "y") or _front(data.get("com")) or _front(data.get("pos")) or _front(data.get("qpos"))
        if place is None and self._states:
            self._position = False
            place = _pair(data, self._states[0].key, self._states[1].key)
        ball = _front(data.get("ball_pos"))
        row = (frame.time, data.get("step"), *(place or (None, None)), data.get("heading"), data.get("speed"))
        for column, value in zip(self._columns.values(), (*row, *(ball or (None, None))), strict=True):
            column.append(value)

    def columns(self) -> dict[str, Any]:
        names = ["x (m)", "y (m)"]
        if not self._position:
            names = [f"{one.name} ({one.unit})" if one.unit else one.name for one in self._states]
        known = {name: column for name, column in self._columns.items() if any(value is not None for value in column)}
        return {"labels": names, "position": self._position, **known}


def _pair(data: Any, first: str, second: str) -> tuple[float, float] | None:
    x, y = data.get(first), data.get(second)
    return (float(x), float(y)) if isinstance(x, int | float) and isinstance(y, int | float) else None


def _front(value: Any) -> tuple[float, float] | None:
    if isinstance(value, list) and len(value) >= 2 and all(isinstance(one, int | float) for one in value[:2]):
        return float(value[0]), float(value[1])
    return None


def functions(request: Request) -> Response:
    """The functions that were logged, and when."""
    Query(request, ())
    state, _, log = opened(request)
    with state.reading(log, {Kind.EVENT}):
        return json_response({"run": log.id, "functions": _functions(log)})


def _functions(log: Log) -> list[dict[str, Any]]:
    mine = log.rows(Kind.EVENT)
    if mine is None or "function" not in mine.columns.series or "type" not in mine.columns.series:
        return []
    rows = mine.columns.rows
    types = mine.columns.series["type"].texts
    is_sample = mine.columns.codes("type", 0, rows) == types.get(_SAMPLE, -2)
    codes = mine.columns.codes("function", 0, rows)
    found = []
    for name, code in mine.columns.series["function"].texts.items():
        at = np.flatnonzero(is_sample & (codes == code))
        if not len(at):
            continue
        columns = {"row": at.tolist(), "time": mine.time.read(0, rows)[at].tolist()}
        for key in ("episode", "step", "experiment_step"):
            if key in mine.columns.series:
                values = mine.columns.numbers(key, 0, rows)[at]
                columns[key] = np.where(np.isfinite(values), values, -1).tolist()
        found.append({"name": name, "samples": columns})
    return found


def function(request: Request) -> Response:
    """One sample of a function: its values, y by x, of the first slice in z."""
    query = Query(request, ("row",))
    state, _, log = opened(request)
    with state.reading(log, {Kind.EVENT}):
        row = query.parse_int("row", 0, 0, 2**53)
        rows = [one for each in _functions(log) for one in each["samples"]["row"]]
        place = bisect.bisect_left(sorted(rows), row)
        if place >= len(rows) or sorted(rows)[place] != row:
            raise ApiError(404, "row", "there is no sample of a function in that row")
        data = log.frames(Kind.EVENT, [row])[0].data
    shape = [int(size) for size in data.get("shape", ())]
    values = data.get("values", [])
    if len(shape) != 3 or not isinstance(values, list) or len(values) < shape[1] * shape[2]:
        raise ApiError(422, "damaged", "this sample has no grid of values")
    _, height, width = shape
    grid = [values[y * width : (y + 1) * width] for y in range(min(height, 512))]
    return json_response(
        {"run": log.id, "row": row, "name": str(data.get("function", "")), "shape": shape, "grid": grid}
    )
