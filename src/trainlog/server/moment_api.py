"""The state at one moment: the whole frame, the functions learned up to then, and the 3-D page at that frame."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from math import inf, isfinite
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from trainlog.axis_values import GUIDES
from trainlog.conventions import FUNCTION_SAMPLE, SIMULATED_MODEL
from trainlog.functions import function_axes, grid_of
from trainlog.live_log.columns import MOST_LETTERS, MOST_TEXTS, Rows
from trainlog.live_log.log import Log
from trainlog.model import Frame, Kind
from trainlog.server.app_state import opened
from trainlog.server.cards import FUNCTION
from trainlog.server.curves import axes_of, rows_of_events
from trainlog.server.places import Places
from trainlog.server.query import Query, takes
from trainlog.server.responses import ApiError, Room, json_response
from trainlog.server.security import is_loopback, refuse_other_sites
from trainlog.table.values import column_name, flatten, number

if TYPE_CHECKING:
    from trainlog.mujoco.stored_model import Names

__all__ = ["frame", "function", "functions", "replay", "rows_of"]

_ITEMS: Final = 20_000  # of one list of a frame
# By log: the number of frames with models, and the names in them.
_NAMED: Final[WeakKeyDictionary[Log, tuple[int, dict[str, Names]]]] = WeakKeyDictionary()
_LETTERS: Final = 10_000  # of one text of a frame
_MOST_LINES: Final = 512  # of a grid
_FUNCTIONS: Final[WeakKeyDictionary[Log, _Functions]] = WeakKeyDictionary()
_COUNTS: Final = ("episode", "step", "experiment_step")  # of a sample


@takes("{id}", "kind", "x", "span", "at", "nearest", "row")
def frame(request: Request) -> Response:
    """The whole frame at a moment (the last one not after it) or with a number, and its place on every axis.

    Of frames at the same place, as several environments have them, it is the one with the number, if there is one.
    """
    query = Query(request)
    state, _, log = opened(request)
    kind = query.kind("creature")
    axis = query.axis()
    at, span = query.number("at"), query.pair("span")
    nearest = query.parse_int("nearest", 0, 0, 1)
    with state.reading(log, {Kind.STATS}, times={kind, *GUIDES}):
        mine = rows_of(log, kind)
        among = Places(log, kind, axis, span)
        row = query.parse_int("row", 0 if at is None else 2**53, 0, 2**53)
        if at is None:
            row = min(row, len(mine) - 1)
        else:
            there = among.nearest(at) if nearest else among.last_before(at)
            is_there = row < len(mine) and among.of([row])[0] == among.of([there])[0]
            row = row if is_there else there
        (found,) = log.frames(kind, [row])
        x = float(among.of([row])[0])
        axes = _axes(log, kind, row)
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
            "data": Room().short(found.data, _LETTERS, _ITEMS),
            "no_numbers": {key: str(one) for key, one in keys.items() if isinstance(one, float) and not isfinite(one)},
        }
    )


def _axes(log: Log, kind: Kind, row: int) -> dict[str, float]:
    """The place of a frame on every axis on which it can be shown."""
    found: dict[str, float] = {}
    for axis in axes_of(log):
        with suppress(ApiError):
            found[axis] = float(Places(log, kind, axis).of([row])[0])
    return found


def _elements(log: Log, frame: Frame) -> dict[str, Any]:
    """The names and units of the elements of each key of *frame*, as far as the log has a model with them."""
    from trainlog.mujoco.state import MODEL
    from trainlog.mujoco.stored_model import element_names_of

    models = log.rows.get(SIMULATED_MODEL)
    if models is None or not isinstance(frame.data.get(MODEL), str):
        return {}
    known, named = _NAMED.get(log, (0, {}))
    if known < len(models):
        named = element_names_of(log.frames(SIMULATED_MODEL, range(len(models))))
        _NAMED[log] = len(models), named
    names, units = named.get(frame.data[MODEL], ({}, {}))
    return {key: {"names": names[key], "units": units.get(key, [])} for key in names if key in frame.data}


def rows_of(log: Log, kind: Kind) -> Rows:
    """The rows of *kind*.

    Raises:
        ApiError: if there are none, or none are known yet.

    """
    rows = log.rows.get(kind)
    if rows is not None and len(rows):
        return rows
    if not log.is_complete((), times={kind}):
        raise ApiError(503, "reading", "this log is still being read; try again")
    raise ApiError(404, "kind", f"this log has no {kind} frames")


@takes("{id}")
def functions(request: Request) -> Response:
    """The learned functions: when they were sampled, over which variables, and the range of all samples."""
    Query(request)
    state, _, log = opened(request)
    with state.reading(log, {Kind.EVENT}):
        known = _FUNCTIONS.setdefault(log, _Functions())
        with known.lock:
            for row in rows_of_events(log, FUNCTION_SAMPLE).tolist()[known.looked :]:
                known.add(row, log)
            found = [one.as_json() for one in known.by_name.values()]
        return json_response({"run": log.id, "functions": found})


class _Functions:
    """The learned functions of a log, by name and id, from the samples that were read so far."""

    def __init__(self) -> None:
        self.by_name: dict[tuple[str, str], _Function] = {}
        self.looked = 0
        self.lock = Lock()

    def add(self, row: int, log: Log) -> None:
        self.looked += 1
        (sample,) = log.frames(Kind.EVENT, [row])
        name, id = (str(sample.data.get(key, ""))[:MOST_LETTERS] for key in (FUNCTION, "id"))
        if (name, id) not in self.by_name and len(self.by_name) < MOST_TEXTS:  # two functions can have the same name
            shown = column_name(name, [one.name for one in self.by_name.values()])
            self.by_name[name, id] = _Function(shown, name, log)
        if (name, id) in self.by_name:
            self.by_name[name, id].add(row, sample)


class _Function:
    """What all samples of a learned function have in common, and the row of each."""

    def __init__(self, shown: str, name: str, log: Log) -> None:
        axes = function_axes(name, log.reader.header.variables)
        fields = ("name", "unit", "low", "high")
        self.name = shown
        self._about = {"name": shown, "axes": [{field: getattr(one, field) for field in fields} for one in axes]}
        self.samples: dict[str, list[Any]] = {name: [] for name in ("row", "time", *_COUNTS)}
        self._shape: list[int] = []
        self._low, self._high = inf, -inf

    def add(self, row: int, sample: Frame) -> None:
        self.samples["row"].append(row)
        self.samples["time"].append(sample.time)
        for name in _COUNTS:
            count = number(sample.data.get(name))
            self.samples[name].append(count if isfinite(count) else -1)
        with suppress(ApiError):
            values = _grid(sample.data)
            self._shape = [max(pair) for pair in zip(values.shape, self._shape or values.shape, strict=True)]
            good = values[np.isfinite(values)]
            self._low = min(self._low, float(good.min(initial=inf)))
            self._high = max(self._high, float(good.max(initial=-inf)))

    def as_json(self) -> dict[str, Any]:
        span = [self._low, self._high] if self._low <= self._high else None
        return {**self._about, "samples": self.samples, "shape": self._shape, "range": span}


def _grid(data: Mapping[Any, Any]) -> npt.NDArray[np.float64]:
    """The values of a sample, shape (z, y, x)."""
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        values = grid_of(data)
        if values.size:
            return values
    raise ApiError(422, "damaged", "this sample has no grid of values")


@takes("{id}", "row!", "z")
def function(request: Request) -> Response:
    """One sample of a function as a grid, y by x, in one slice of z."""
    query = Query(request)
    state, _, log = opened(request)
    with state.reading(log, {Kind.EVENT}):
        row = query.parse_int("row", 0, 0, 2**53)
        if row not in rows_of_events(log, FUNCTION_SAMPLE):
            raise ApiError(404, "row", "this row has no sample of a function")
        data = log.frames(Kind.EVENT, [row])[0].data
    values = _grid(data)
    z = query.parse_int("z", 0, 0, len(values) - 1)
    grid = values[z, :_MOST_LINES, :_MOST_LINES].tolist()
    name = str(data.get(FUNCTION, ""))
    return json_response({"run": log.id, "row": row, "name": name, "shape": values.shape, "z": z, "grid": grid})


@takes("{id}", "row")
def replay(request: Request) -> Response:
    """Redirect to the 3-D page of a log, at a creature frame; only on the machine of this server."""
    query = Query(request)
    refuse_other_sites(request)
    client = request.client.host if request.client else ""
    state, entry, log = opened(request)
    if not is_loopback(client):
        raise ApiError(
            403, "machine", f"the 3-D page is for the server's own machine; run there: trainlog replay {entry.name}"
        )
    with state.reading(log, (), times={Kind.CREATURE}):
        rows = rows_of(log, Kind.CREATURE)
        row = min(query.parse_int("row", 0, 0, 2**53), len(rows) - 1)
        order = int(rows.order.pick(np.array([row]))[0])
    return RedirectResponse(state.replay_pages.open(log.id, log.reader.path, order), 303)
