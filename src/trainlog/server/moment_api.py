"""What was at one moment: the whole frame, the way there, the functions learned until then, the way to the 3-D page."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from math import inf, isfinite
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from trainlog.conventions import FUNCTION_SAMPLE, SIMULATED_MODEL, Conventions
from trainlog.episode_summary import period_of
from trainlog.functions import function_axes
from trainlog.model import Frame, Kind
from trainlog.mujoco.state import MODEL
from trainlog.mujoco.stored_model import Names, element_names_of
from trainlog.server.api import opened
from trainlog.server.cards import FUNCTION
from trainlog.server.columns import Rows
from trainlog.server.curves import axes_of
from trainlog.server.log import Log
from trainlog.server.places import Places
from trainlog.server.query import Query
from trainlog.server.responses import ApiError, Room, json_response
from trainlog.server.security import is_loopback, refuse_other_sites
from trainlog.table.values import flatten

__all__ = ["frame", "function", "functions", "path", "replay"]

_ITEMS: Final = 20_000
# By log: of how many frames of models, and what they say.
_NAMED: Final[WeakKeyDictionary[Log, tuple[int, dict[str, Names]]]] = WeakKeyDictionary()
_LETTERS: Final = 10_000
_MOST_LINES: Final = 512  # of a grid
# By log: the learned functions by name.
_SCALES: Final[WeakKeyDictionary[Log, dict[str, _Scale]]] = WeakKeyDictionary()


def frame(request: Request) -> Response:
    """The frame of a kind at a moment: the last one that is not after it, or the nearest one; or one by its number."""
    query = Query(request, ("kind", "x", "at", "row", "nearest", "span"))
    state, _, log = opened(request)
    kind = query.kind("kind", "creature")
    axis = query.axis()
    at, span = query.number("at"), query.pair("span")
    nearest = query.parse_int("nearest", 0, 0, 1)
    with state.reading(log, {Kind.STATS}, times={kind}):
        mine = _rows(log, kind)
        among = Places(log, kind, axis, span)
        if at is None:
            row = min(query.parse_int("row", 0, 0, 2**53), len(mine) - 1)
        else:
            row = among.nearest(at) if nearest else among.last_before(at)
        (found,) = log.frames(kind, [row])
        x = float(among.of([row], [found])[0])
        axes = _axes(log, kind, row, found)
    keys = flatten(found.data)
    step = log.conventions.find("step", keys)
    names = {log.conventions.qpos(keys): "qpos", log.conventions.qvel(keys): "qvel"}
    return json_response(
        {
            "run": log.id,
            "kind": str(kind),
            "row": row,
            "rows": len(mine),
            "time": found.time,
            "x": x,
            "axes": axes,
            "step": None if step is None else keys[step],
            "names": {key: f"{key} ({name})" for key, name in names.items() if key is not None and key != name},
            "elements": _elements(log, found),
            "has_model": SIMULATED_MODEL in log.rows,
            "data": _cut(found),
            "no_numbers": {key: str(one) for key, one in keys.items() if isinstance(one, float) and not isfinite(one)},
        }
    )


def _axes(log: Log, kind: Kind, row: int, frame: Frame) -> dict[str, float]:
    """Where a frame is on every axis that it can be shown on."""
    found: dict[str, float] = {}
    for axis in axes_of(log):
        with suppress(ApiError):
            found[axis] = float(Places(log, kind, axis).of([row], [frame])[0])
    return found


def _elements(log: Log, frame: Frame) -> dict[str, Any]:
    """By key of *frame*: the names and units of its elements, as far as the log has a model that says them."""
    models = log.rows.get(SIMULATED_MODEL)
    if models is None or not isinstance(frame.data.get(MODEL), str):
        return {}
    known, named = _NAMED.get(log, (0, {}))
    if known < len(models):
        named = element_names_of(log.frames(SIMULATED_MODEL, range(len(models))))
        _NAMED[log] = len(models), named
    names, units = named.get(frame.data[MODEL], ({}, {}))
    return {key: {"names": names[key], "units": units.get(key, [])} for key in names if key in frame.data}


def _rows(log: Log, kind: Kind) -> Rows:
    """The rows of *kind*.

    Raises:
        ApiError: when there are none, or none are known yet.

    """
    rows = log.rows.get(kind)
    if rows is not None and len(rows):
        return rows
    if not log.is_complete((), times={kind}):
        raise ApiError(503, "reading", "this log is still being read; ask again")
    raise ApiError(404, "kind", f"this log has no {kind} frames")


def _cut(frame: Frame) -> dict[str, Any]:
    """The frame's data, without the lists and texts that no page could show."""
    short: dict[str, Any] = Room().short(frame.data, _LETTERS, _ITEMS)
    return short


def path(request: Request) -> Response:
    """Where the creature was, from above: at most ``points`` places at equal distances of its frames."""
    query = Query(request, ("from", "to", "points", "x"))
    state, _, log = opened(request)
    axis = query.axis()
    points = query.parse_int("points", 1500, 2, 5000)
    low, high = query.number("from"), query.number("to")
    with state.reading(log, {Kind.STATS}, times={Kind.CREATURE}):
        mine = _rows(log, Kind.CREATURE)
        first = 0 if low is None else mine.at(low)
        last = len(mine) - 1 if high is None else mine.at(high)
        chosen = np.unique(np.linspace(first, max(last, first), points).astype(np.int64)).tolist()
        frames = log.frames(Kind.CREATURE, chosen)
        x = Places(log, Kind.CREATURE, axis).of(chosen, frames)
    more = {"row": chosen, "axis": x.tolist(), **_places(log, frames)}
    return json_response({"run": log.id, "rows": len(mine), "from": first, "to": last, **more})


def _places(log: Log, frames: list[Frame]) -> dict[str, Any]:
    """Places of the creature and of other things, as columns; those that no frame has are left out.

    Frames without a position have none of these; then the first two declared states are drawn against each other.
    """
    conventions = log.conventions
    states = [variable for variable in log.reader.header.variables if variable.role == "state"][:2]
    samples = [flatten(frame.data) for frame in frames]
    position = next(filter(None, map(conventions.position, samples)), ())
    objects: dict[str, str] = {}
    for sample in samples:
        objects = {**conventions.objects(sample), **objects}
    columns: dict[str, list[Any]] = {"time": [frame.time for frame in frames]}
    for meaning in ("step", "heading", "speed"):
        columns[meaning] = [_value(sample, conventions.find(meaning, sample)) for sample in samples]
    labels = ["x (m)", "y (m)"]
    periods: list[float | None] = [None, None]
    if position:
        _put_places(columns, "", position, samples)
    elif len(states) == 2:
        labels = [f"{one.name} ({one.unit})" if one.unit else one.name for one in states]
        periods = [period_of(one) if one.circular else None for one in states]
        _put_places(columns, "", (states[0].key, states[1].key), samples)
    for name, key in objects.items():
        _put_places(columns, f"{name}_", (key,), samples)
    known = {name: column for name, column in columns.items() if any(value is not None for value in column)}
    return {"labels": labels, "periods": periods, "position": bool(position), "objects": list(objects), **known}


def _value(sample: dict[str, Any], key: str | None) -> Any:
    return None if key is None else sample[key]


def _put_places(
    columns: dict[str, list[Any]], prefix: str, keys: tuple[str, ...], samples: list[dict[str, Any]]
) -> None:
    """Add the columns x and y of what *keys* say."""
    places = [Conventions.coordinates(sample, keys) for sample in samples]
    for i, axis in enumerate("xy"):
        columns[prefix + axis] = [None if place is None else place[i] for place in places]


def functions(request: Request) -> Response:
    """The functions that were logged: when, over which variables, and in which range all their samples are."""
    Query(request, ())
    state, _, log = opened(request)
    with state.reading(log, {Kind.EVENT}):
        return json_response({"run": log.id, "functions": [_about(log, one) for one in _functions(log)]})


def _functions(log: Log) -> list[dict[str, Any]]:
    mine = log.rows.get(Kind.EVENT)
    series = {} if mine is None else mine.columns.series
    key = log.conventions.event_type(series)
    if mine is None or key is None or FUNCTION not in series:
        return []
    rows = mine.columns.rows
    is_sample = mine.columns.codes(key, 0, rows) == series[key].texts.get(FUNCTION_SAMPLE, -2)
    codes = mine.columns.codes(FUNCTION, 0, rows)
    ids = mine.columns.numbers("id", 0, rows) if "id" in series else np.zeros(rows)
    found = []
    for name, code in series[FUNCTION].texts.items():
        mine_all = is_sample & (codes == code)
        for number, id in enumerate(np.unique(ids[mine_all]), 1):  # two functions may have one name
            at = np.flatnonzero(mine_all & ((ids == id) | np.isnan(id)))
            columns = {"row": at.tolist(), "time": mine.time.read(0, rows)[at].tolist()}
            for each in ("episode", "step", "experiment_step"):
                if each in series:
                    values = mine.columns.numbers(each, 0, rows)[at]
                    columns[each] = np.where(np.isfinite(values), values, -1).tolist()
            found.append({"name": name if number == 1 else f"{name}#{number}", "samples": columns})
    return found


def _about(log: Log, one: dict[str, Any]) -> dict[str, Any]:
    """A function with its shape, variables and range; of samples that were not looked at yet, as they do not change."""
    known = _SCALES.setdefault(log, {}).setdefault(one["name"], _Scale())
    for row in one["samples"]["row"][known.samples :]:
        known.add(log.frames(Kind.EVENT, [row])[0].data)
    axes = [
        {"name": axis.name, "unit": axis.unit, "low": axis.low, "high": axis.high}
        for axis in function_axes(one["name"].partition("#")[0], log.reader.header.variables)
    ]
    span = [known.low, known.high] if known.low <= known.high else None
    return {**one, "shape": known.shape, "axes": axes, "range": span}


class _Scale:
    """What all samples of a function have in common."""

    def __init__(self) -> None:
        self.samples = 0
        self.shape: list[int] = []
        self.low, self.high = inf, -inf

    def add(self, data: Mapping[Any, Any]) -> None:
        self.samples += 1
        try:
            shape, values = _grid(data)
        except ApiError:
            return
        self.shape = [max(pair) for pair in zip(shape, self.shape or shape, strict=True)]
        good = values[np.isfinite(values)]
        self.low = min(self.low, float(good.min(initial=inf)))
        self.high = max(self.high, float(good.max(initial=-inf)))


def _grid(data: Mapping[Any, Any]) -> tuple[list[int], npt.NDArray[np.float64]]:
    """The shape (z, y, x) of a sample, and its values in it."""
    try:
        values = np.array(data["values"], np.float64).reshape(data["shape"])
    except (KeyError, TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.ndim != 3 or not values.size:
        raise ApiError(422, "damaged", "this sample has no grid of values")
    return list(values.shape), values


def function(request: Request) -> Response:
    """One sample of a function: its values, y by x, of one slice in z."""
    query = Query(request, ("row", "z"))
    state, _, log = opened(request)
    with state.reading(log, {Kind.EVENT}):
        row = query.parse_int("row", 0, 0, 2**53)
        if not any(row in each["samples"]["row"] for each in _functions(log)):
            raise ApiError(404, "row", "there is no sample of a function in that row")
        data = log.frames(Kind.EVENT, [row])[0].data
    shape, values = _grid(data)
    z = query.parse_int("z", 0, 0, shape[0] - 1)
    grid = values[z, :_MOST_LINES, :_MOST_LINES].tolist()
    return json_response(
        {"run": log.id, "row": row, "name": str(data.get(FUNCTION, "")), "shape": shape, "z": z, "grid": grid}
    )


def replay(request: Request) -> Response:
    """Lead to the 3-D page of a log, at a creature frame; only on the machine that this server runs on."""
    query = Query(request, ("row",))
    refuse_other_sites(request)
    client = request.client.host if request.client else ""
    state, entry, log = opened(request)
    if not is_loopback(client):
        raise ApiError(
            403, "machine", f"the 3-D page is for this server's own machine; run there: trainlog replay {entry.name}"
        )
    with state.reading(log, (), times={Kind.CREATURE}):
        rows = _rows(log, Kind.CREATURE)
        row = min(query.parse_int("row", 0, 0, 2**53), len(rows) - 1)
        order = int(rows.order.pick(np.array([row]))[0])
    return RedirectResponse(state.replay_pages.open(log.id, log.reader.path, order), 303)
