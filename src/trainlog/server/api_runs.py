"""The API of many runs: the table, its columns, curves of groups, and what people say of runs."""

from __future__ import annotations

import hmac
import time
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from trainlog import registry
from trainlog.catalog.groups import all_but_seed, grouped
from trainlog.conventions import AxisName, task_of
from trainlog.errors import ExpressionError, LogWriteError, PlotError, TrainlogError
from trainlog.model import Kind
from trainlog.plot.axes import Floats
from trainlog.plot.run import Metric, Run
from trainlog.plot.seeds import BANDS, BandName, aggregate
from trainlog.plot.smoothing import smoothed
from trainlog.server.api import state_of
from trainlog.server.app_state import State
from trainlog.server.catalog import Entry
from trainlog.server.query import Query, json_body
from trainlog.server.responses import ApiError, Room, json_response
from trainlog.server.run_table import about
from trainlog.statistics import CENTERS, CenterName
from trainlog.strictjson import strict_json

__all__ = ["annotate", "columns", "groups", "ids", "notes", "runs"]

_MOST_ROWS: Final = 100_000
_MOST_MEMBERS: Final = 1000  # of all groups of one answer
_CACHED: Final = 32 << 20  # bytes of curves
_SEED: Final = "*"  # instead of keys: runs that differ in the seed alone are one group

_Points = dict[str, tuple[Floats, Floats]]
_cache: OrderedDict[tuple[Any, ...], _Points] = OrderedDict()
_cached = [0]
_lock = Lock()


def _selected(query: Query, state: State) -> list[Entry]:
    """The runs that a request names, or that fit its filter."""
    ids = query.names("runs", most=_MOST_MEMBERS)
    if ids is not None:
        return [entry for id in ids if (entry := state.catalog.find(id)) is not None]
    try:
        return state.table.select(query.text("filter", "", most=2000), query.text("sort", "-changed", most=512))
    except ExpressionError as error:
        raise ApiError(400, "filter", str(error)) from error


def runs(request: Request) -> Response:
    """The runs that fit a filter, in an order, a page of them."""
    query = Query(request, ("filter", "sort", "offset", "limit", "columns", "runs"))
    state = state_of(request)
    offset = query.parse_int("offset", 0, 0, 2**53)
    limit = query.parse_int("limit", _MOST_ROWS, 0, _MOST_ROWS)
    version, found = state.catalog.version, _selected(query, state)
    page, room = found[offset : offset + limit], Room()
    shown = [state.table.values(page, name) for name in query.names("columns") or []]
    lines: list[dict[str, Any]] = [about(entry, state.redact) for entry in page]
    for number, line in enumerate(lines if shown else []):
        line["values"] = [room.short(column[number], 200) for column in shown]
    every = list(state.catalog.entries.values())
    return json_response(
        {
            "version": version,
            "now": time.time(),
            "left_out": state.catalog.left_out,
            "looking": not state.catalog.is_complete,
            "total": len(every),
            "live": sum(entry.facts.state == "running" for entry in every),
            "unread": sum(not (entry.facts.read or entry.facts.error) for entry in every),
            "matching": len(found),
            "offset": offset,
            "runs": lines,
        }
    )


def ids(request: Request) -> Response:
    """The ids of the runs that fit a filter, in an order: of all of them, or of a range."""
    query = Query(request, ("filter", "sort", "offset", "limit"))
    offset, limit = query.parse_int("offset", 0, 0, 2**53), query.parse_int("limit", _MOST_MEMBERS, 0, _MOST_ROWS)
    found = _selected(query, state_of(request))
    return json_response({"matching": len(found), "ids": [entry.id for entry in found[offset : offset + limit]]})


def columns(request: Request) -> Response:
    """The columns that there are, and whether the runs that fit a filter differ in them."""
    query, state = Query(request, ("filter",)), state_of(request)
    try:
        found = state.table.columns(query.text("filter", "", most=2000))
    except ExpressionError as error:
        raise ApiError(400, "filter", str(error)) from error
    return json_response({"columns": found[:5000], "left_out": max(len(found) - 5000, 0)})


def groups(request: Request) -> Response:
    """Curves of groups of runs: the center of each, a band around it, and how many runs there are at each point."""
    query = Query(request, ("runs", "filter", "by", "keys", "kind", "x", "center", "band", "smooth", "where"))
    state, kind, axis = state_of(request), query.kind("kind", "stats"), query.axis()
    center: CenterName = query.one_of("center", CENTERS, "mean")
    band: BandName = query.one_of("band", BANDS, "ci")
    keys, smooth = query.names("keys", most=30) or [], query.number("smooth") or 0.0
    part = query.text("where", "", most=300).partition(":")[2]
    chosen = _selected(query, state)
    if len(chosen) > _MOST_MEMBERS:
        raise ApiError(400, "runs", f"at most {_MOST_MEMBERS:,} runs are drawn; these are {len(chosen):,}")
    rows = [entry.row for entry in chosen]
    by = query.text("by", _SEED)
    try:
        names = all_but_seed(rows) if by == _SEED else [state.table.column(key) for key in by.split(",")]
        with state.querying():
            curves = {key: [_curve_of(state, entry, kind, key, axis, smooth, part) for entry in chosen] for key in keys}
            found = [
                _group(state, [chosen[n] for n in members], names)
                | {"curves": {key: _aggregated(curves[key], chosen, members, center, band) for key in keys}}
                for members in grouped(rows, names)
            ]
    except (ExpressionError, PlotError) as error:
        raise ApiError(400, "parameter", str(error)) from error
    return json_response({"by": names, "x": axis, "center": center, "band": band, "groups": found})


def _group(state: State, members: Sequence[Entry], names: Sequence[str]) -> dict[str, Any]:
    values = {name: members[0].row.get(name) for name in names}
    words = {name: one if isinstance(one, str) else strict_json(one) for name, one in values.items() if one is not None}
    label = ", ".join(
        one if isinstance(values[name], str) else f"{name.rpartition('/')[2]} {one}" for name, one in words.items()
    )
    return {
        "label": label[:300] or "all runs",
        "values": Room().short(values, 200),
        "members": [one.id for one in members],
    }


def _aggregated(
    curves: Sequence[tuple[Floats, Floats] | None],
    chosen: Sequence[Entry],
    members: Sequence[int],
    center: CenterName,
    band: BandName,
) -> dict[str, Any] | None:
    mine = [(one, task_of(chosen[n].facts.meta)) for n in members if (one := curves[n]) is not None]
    if not mine:
        return None
    found = aggregate([one for one, _ in mine], center, band, [task for _, task in mine])
    return {
        **{name: getattr(found, name).tolist() for name in ("x", "center", "low", "high", "runs")},
        "bins": found.bins,
        "n": len(mine),
        "tasks": len({task for _, task in mine}),
    }


def _curve_of(
    state: State, entry: Entry, kind: Kind, key: str, axis: AxisName, smooth: float, part: str
) -> tuple[Floats, Floats] | None:
    """A metric of a run as (x, y), smoothed; None where it does not have it."""
    points = _points_of(state, entry, kind, key, axis)
    found = points.get(part, points.get("", None) if part else next(iter(points.values()), None))
    if found is None or not smooth:
        return found
    y = smoothed(found[1], smooth)
    return found if y is None else (found[0], y.values)


def _points_of(state: State, entry: Entry, kind: Kind, key: str, axis: AxisName) -> _Points:
    place = (entry.id, entry.known.stamp, kind, key, axis)
    with _lock:
        if place in _cache:
            _cache.move_to_end(place)
            return _cache[place]
    try:
        run = Run(registry.open(state.catalog.opened(entry)), only=[key])
        table = run.columns(kind).table
        points = run.points(Metric(kind, key), axis) if key in table and run.columns(kind).is_number(key) else {}
    except (TrainlogError, OSError):  # it has gone, or has no such axis
        points = {}
    with _lock:
        _cache[place] = points
        _cached[0] += _size(points)
        while _cached[0] > _CACHED and len(_cache) > 1:
            _cached[0] -= _size(_cache.popitem(last=False)[1])
    return points


def _size(points: _Points) -> int:
    return 1000 + sum(x.nbytes + y.nbytes for x, y in points.values())


def notes(request: Request) -> Response:
    """The saved views, whether anything can be kept, and what is needed for it."""
    Query(request, ())
    state = state_of(request)
    mine = state.catalog.notes[state.catalog.roots[0]]
    why = mine.refusal()
    return json_response(
        {"views": mine.views, "read_only": state.redact(why), "token": "" if why else state.write_token}
    )


async def annotate(request: Request) -> Response:
    """Keep the name, tags and note of a run, or a view."""
    state = state_of(request)
    site, origin = request.headers.get("sec-fetch-site", "same-origin"), request.headers.get("origin")
    is_ours = origin is None or origin.partition("://")[2] == request.headers.get("host")
    token = request.headers.get("x-trainlog-token", "")
    if site != "same-origin" or not is_ours or not hmac.compare_digest(token.encode(), state.write_token.encode()):
        raise ApiError(403, "token", "only the page of this server may do that, with its token")
    body = await json_body(request)
    try:
        await run_in_threadpool(_keep, state, body)
    except LogWriteError as error:
        raise ApiError(403, "read-only", state.redact(error)) from error
    except (ValueError, TypeError) as error:
        raise ApiError(400, "body", str(error)) from error
    return json_response({"ok": True})


def _keep(state: State, body: dict[str, Any]) -> None:
    if body.keys() == {"view", "query"}:
        state.catalog.notes[state.catalog.roots[0]].keep_view(body["view"], body["query"])
    elif body.keys() == {"run", "fields"} and isinstance(body["fields"], dict):
        state.catalog.annotate(state.entry(str(body["run"])), body["fields"])
    else:
        raise ApiError(400, "body", 'it is {"run": id, "fields": {...}}, or {"view": name, "query": text}')
