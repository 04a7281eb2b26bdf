"""The API of the first FLOG dashboard, with its field names, for programs that know it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from trainlog.model import Frame, Kind
from trainlog.server.api import state_of
from trainlog.server.app_state import State
from trainlog.server.log import Log
from trainlog.server.query import Query
from trainlog.server.responses import ApiError, Room, json_response

__all__ = ["analyze", "list_logs", "reset", "watch"]

MOST: Final = 5000  # frames of a kind in one answer
_LETTERS: Final = 4000  # of a word of the metadata
_PLACES: Final = 100  # of a trajectory
_SPEEDS: Final = 2000  # creature frames that the mean speed is taken over


def _named(state: State, path: str) -> Log:
    place = PurePosixPath(path)
    if place.is_absolute() or ".." in place.parts or "\\" in path:
        raise ApiError(400, "path", "path is a place below the served folder, as /api/flog/list tells it")
    entry = state.catalog.named(path)
    if entry is None:
        raise ApiError(404, "path", "there is no such log; /api/flog/list tells which there are")
    if entry.facts.error:
        raise ApiError(422, "damaged", state.redact(entry.facts.error))
    return state.log(entry)


def list_logs(request: Request) -> Response:
    """Every log that was found."""
    Query(request, ())
    entries = sorted(state_of(request).catalog.entries.values(), key=lambda entry: entry.name)
    return json_response(
        [
            {
                "path": entry.name,
                **{name: _word(entry.facts.meta, name) for name in ("creature", "version", "task")},
                "size_kb": round(entry.facts.size / 1024, 1),
            }
            for entry in entries
            if not entry.facts.error
        ]
    )


def analyze(request: Request) -> Response:
    """All that a log tells; of more frames than an answer can hold, those at equal distances."""
    state = state_of(request)
    log = _named(state, Query(request, ("path",)).text("path"))
    with state.reading(log, {Kind.STATS, Kind.EVOLUTION, Kind.EVENT}, times={Kind.CREATURE}, patience=60.0):
        counts = {kind: len(rows) for kind, rows in log.rows.items()}
        parts = {kind: _some(log, kind, MOST) for kind in (Kind.STATS, Kind.EVOLUTION, Kind.EVENT)}
        physics = _physics(log)
    room = Room()
    return json_response(
        {
            **_about(log),
            "skill": _word(log.meta, "skill"),
            "duration_s": round(log.duration(), 1),
            "total_frames": sum(counts.values()),
            "n_physics": counts.get(Kind.CREATURE, 0),
            "n_stats": counts.get(Kind.STATS, 0),
            "n_evolution": counts.get(Kind.EVOLUTION, 0),
            "n_events": counts.get(Kind.EVENT, 0),
            "meta": room.short(log.meta),
            "stats": [_row(frame, room) for frame in parts[Kind.STATS]],
            "evolution": [_row(frame, room) for frame in parts[Kind.EVOLUTION]],
            "events": [{"timestamp": frame.time, **room.short(frame.data)} for frame in parts[Kind.EVENT]],
            "physics_summary": physics,
        }
    )


def watch(request: Request) -> Response:
    """The stats frames from index ``since`` on."""
    state = state_of(request)
    query = Query(request, ("path", "since"))
    since = query.parse_int("since", 0, 0, 2**53)
    log = _named(state, query.text("path"))
    with state.reading(log, {Kind.STATS}):
        total = _count(log, Kind.STATS)
        frames = log.frames(Kind.STATS, list(range(since, min(total, since + MOST)))) if since < total else []
    room = Room()
    return json_response({**_about(log), "stats": [_row(frame, room) for frame in frames], "total": total})


def reset(request: Request) -> Response:
    """Forget what is known of a log, and read it afresh; of all logs without ``path``."""
    state = state_of(request)
    path = Query(request, ("path",)).text("path", "")
    for id in [_named(state, path).id] if path else list(state.catalog.entries):
        state.poller.drop(id)
    return json_response({"ok": True})


def _about(log: Log) -> dict[str, Any]:
    return {"creature": _word(log.meta, "creature"), "task": _word(log.meta, "task")}


def _word(meta: Mapping[str, Any], name: str) -> str:
    return str(meta.get(name, ""))[:_LETTERS]


def _count(log: Log, kind: Kind) -> int:
    return len(log.rows[kind]) if kind in log.rows else 0


def _some(log: Log, kind: Kind, most: int) -> list[Frame]:
    total = _count(log, kind)
    chosen = np.unique(np.linspace(0, total - 1, min(most, total)).astype(np.int64)) if total else np.empty(0, np.int64)
    return log.frames(kind, chosen.tolist())


def _row(frame: Frame, room: Room) -> dict[str, Any]:
    """The time, and every number, bool and string."""
    flat = {key: value for key, value in frame.data.items() if isinstance(value, int | float | bool | str)}
    return {"timestamp": frame.time, **room.short(flat)}


def _physics(log: Log) -> dict[str, Any]:
    frames = _some(log, Kind.CREATURE, _SPEEDS)
    speeds = [frame.data["speed"] for frame in frames if isinstance(frame.data.get("speed"), int | float)]
    places = frames[:: max(len(frames) // _PLACES, 1)]
    return {
        "count": _count(log, Kind.CREATURE),
        "avg_speed": round(float(np.mean(speeds)), 4) if speeds else 0.0,
        "max_speed": round(float(np.max(speeds)), 4) if speeds else 0.0,
        "trajectory": [place for frame in places if (place := _place(frame)) is not None],
    }


def _place(frame: Frame) -> dict[str, float] | None:
    for key in ("com", "pos"):
        value = frame.data.get(key)
        if isinstance(value, list) and len(value) >= 3 and all(isinstance(one, int | float) for one in value[:3]):
            return {"t": round(frame.time, 1), **{name: round(value[i], 3) for i, name in enumerate("xyz")}}
    return None
