"""The API for many runs: the table, its columns, curves of groups, and users' notes."""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from trainlog.catalog.groups import all_but_seed, grouped, label_of
from trainlog.catalog.live import LiveRun
from trainlog.errors import ExpressionError, LogNotFound, LogWriteError, PlotError
from trainlog.server.api import about
from trainlog.server.app_state import State, state_of
from trainlog.server.query import LETTERS, Query, json_body, takes, wrong
from trainlog.server.responses import ApiError, Room, json_response
from trainlog.server.security import refuse_other_sites
from trainlog.statistics import CENTERS

if TYPE_CHECKING:
    from trainlog.catalog.group_curves import Member

__all__ = ["annotate", "columns", "groups", "ids", "notes", "runs"]

_MOST_ROWS: Final = 100_000
_MOST_COLUMNS: Final = 5000
_SEED: Final = "*"  # in place of keys: runs that differ only in the seed are one group


def _selected(query: Query, state: State) -> list[LiveRun]:
    """The runs that a request names, or that match its filter."""
    ids = query.names("runs", most=LETTERS)
    if ids is not None:
        state.check_count(len(ids))
        return [entry for id in ids if (entry := state.catalog.entries.get(id)) is not None]
    return state.table.select(query.text("filter", most=2000), query.text("sort", "-changed", most=512))


@takes("filter", "sort", "runs", "offset", "limit", "columns")
def runs(request: Request) -> Response:
    """The runs that match a filter, sorted; one page of them."""
    query, state = Query(request), state_of(request)
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


@takes("filter", "sort", "offset", "limit")
def ids(request: Request) -> Response:
    """The ids of the runs that match a filter, sorted; all of them, or a range."""
    query = Query(request)
    offset, limit = query.parse_int("offset", 0, 0, 2**53), query.parse_int("limit", _MOST_ROWS, 0, _MOST_ROWS)
    found = _selected(query, state_of(request))
    return json_response({"matching": len(found), "ids": [entry.id for entry in found[offset : offset + limit]]})


@takes("filter")
def columns(request: Request) -> Response:
    """The columns of the table of runs, and whether the runs that match a filter differ in them."""
    query, state = Query(request), state_of(request)
    found = state.table.columns(query.text("filter", most=2000))
    return json_response({"columns": found[:_MOST_COLUMNS], "left_out": max(len(found) - _MOST_COLUMNS, 0)})


@takes("filter", "sort", "runs", "by", "kind", "keys", "x", "where", "center", "band", "smooth", "at")
def groups(request: Request) -> Response:
    """Curves of groups of runs: the center of each, a band around it, and the number of runs at each point.

    They are the same as in the figures. Without keys, the answer is only which runs form a group; with ``at``, it has
    the value of each run at that place on the axis instead of curves.
    """
    from trainlog.catalog.group_curves import GroupCurves
    from trainlog.plot.seeds import BANDS

    query, state = Query(request), state_of(request)
    kind, axis, place = query.kind("stats"), query.axis(), query.number("at")
    smooth = query.smoothing()
    center, band = query.one_of("center", CENTERS, "mean"), query.one_of("band", BANDS, "ci")
    where = query.text("where", most=300)
    part = where.removeprefix("episode_type:")
    if where and part in ("", where):
        raise wrong("where must be episode_type:text for groups")
    curves = GroupCurves(kind, axis, center, band, smooth, part)
    keys, chosen, by = query.names("keys", most=30) or [], _selected(query, state), query.names("by")
    state.check_count(len(chosen))
    rows, room = [entry.row for entry in chosen], Room()
    try:
        names = all_but_seed(rows) if by in (None, [_SEED]) else [state.table.column(key) for key in by or [""]]
        groups = grouped(rows, names)
        with state.queries:
            every = [_member(state, entry) for entry in chosen]
            found = curves.of(every, keys, groups) if place is None else {}
            values = {} if place is None else curves.values_at(every, keys, place)
    except (ExpressionError, PlotError) as error:
        raise wrong(str(error)) from error
    shown = [
        {
            "label": room.short(label_of(rows[members[0]], names), 300),
            "values": room.short({name: rows[members[0]].get(name) for name in names}, 200),
            "members": [chosen[n].id for n in members],
            "curves": {key: per_group[number] for key, per_group in found.items()},
            "at": {key: [one[n] for n in members] for key, one in values.items()},
        }
        for number, members in enumerate(groups)
    ]
    return json_response({"by": names, "x": axis, "center": center, "band": band, "groups": shown})


def _member(state: State, entry: LiveRun) -> Member | None:
    from trainlog.catalog.group_curves import Member

    try:
        return Member(state.catalog.path_of(entry), entry.known.stamp, entry.facts.task)
    except LogNotFound:
        return None


@takes()
def notes(request: Request) -> Response:
    """Saved views, whether notes can be stored, and the token that a POST needs in the header X-Trainlog-Token.

    The body of the POST is {"run": id, "fields": {"name": text, "tags": [text], "note": text}} or
    {"view": name, "query": text}.
    """
    Query(request)
    state = state_of(request)
    mine = state.catalog.notes[state.catalog.roots[0]]
    why = mine.refusal()
    return json_response(
        {"views": mine.views, "read_only": state.redact(why) if why else "", "token": "" if why else state.write_token}
    )


async def annotate(request: Request) -> Response:
    """Store the name, tags and note of a run, or a view."""
    state = state_of(request)
    refuse_other_sites(request)
    token = request.headers.get("x-trainlog-token", "")
    if not hmac.compare_digest(token.encode(), state.write_token.encode()):
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
        raise ApiError(400, "body", 'the body must be {"run": id, "fields": {...}} or {"view": name, "query": text}')
