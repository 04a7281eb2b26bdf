"""The API of the first FLOG dashboard, with its field names, for programs that know it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import PurePosixPath
from typing import Any, Final
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response

from trainlog.catalog.digest import Digest, Metric
from trainlog.catalog.live import LiveRun
from trainlog.conventions import EVOLUTION_NAMES, Conventions
from trainlog.live_log.log import Log
from trainlog.model import Frame, Kind
from trainlog.scan import Scan
from trainlog.server.app_state import State, state_of
from trainlog.server.path_api import data_of, walker_of
from trainlog.server.query import Query, takes
from trainlog.server.responses import ApiError, Download, Room, json_pieces, json_response
from trainlog.server.security import refuse_other_sites
from trainlog.table.values import flatten, number

__all__ = ["analyze", "list_logs", "reset", "watch"]

_LETTERS: Final = 4000  # characters of a text of the metadata
_BLOCK: Final = 16  # frames read at a time; a client that stops reading keeps no more of them in memory
_EVERY: Final = 50  # creature frames between places of the trajectory
# By log: the number of creature frames, and their mean and largest speed.
_SPEEDS: Final[WeakKeyDictionary[Log, tuple[int, float, float]]] = WeakKeyDictionary()
# The fields of an evolution frame: the names under which they are looked up, and the default.
_EVOLUTION: Final[Mapping[str, tuple[tuple[str, ...], Any]]] = {
    "gen": (("gen", "generation"), 0),
    **{name: ((name, first), 0) for name, first in EVOLUTION_NAMES.items()},
    "upright": (("upright", "up"), 0),
    "stood": (("stood",), False),
}

Row = Callable[[Frame], Any]


def _entry(state: State, path: str) -> LiveRun:
    place = PurePosixPath(path)
    if place.is_absolute() or ".." in place.parts or "\\" in path:
        raise ApiError(400, "path", "path must be a path below the served folder, as /api/flog/list reports it")
    entry = state.catalog.named(path)
    if entry is None:
        raise ApiError(404, "path", "there is no such log; /api/flog/list lists the logs")
    return entry


def _named(state: State, path: str) -> Log:
    entry = _entry(state, path)
    if entry.facts.error:
        raise ApiError(422, "damaged", state.redact(entry.facts.error))
    return state.log(entry)


def list_logs(request: Request) -> Response:
    """Every log that was found."""
    entries = sorted(state_of(request).catalog.entries.values(), key=lambda entry: entry.name)
    return json_response(
        [
            {
                "path": entry.name,
                **{name: _word(entry.facts.meta, name) for name in ("creature", "version", "task")},
                "size_kb": round(entry.facts.size / 1024),
            }
            for entry in entries
            if not entry.facts.error
        ]
    )


@takes("path!")
def analyze(request: Request) -> Response:
    """Everything in a log except its creature frames, which are summarised."""
    state = state_of(request)
    log = _named(state, Query(request, others=True).text("path"))
    with state.reading(log, {Kind.STATS, Kind.EVOLUTION, Kind.EVENT}, times={Kind.CREATURE}, patience=60.0):
        counts = {kind: len(rows) for kind, rows in log.rows.items()}
        mean, largest = _speeds(log)
        places = _places(log) if counts.get(Kind.CREATURE) else iter(())
        duration = log.duration()

    def all_of(kind: Kind, row: Row) -> Iterator[Any]:
        return _rows(log, kind, range(counts.get(kind, 0)), row)

    physics = {"avg_speed": round(mean, 4), "max_speed": round(largest, 4), "trajectory": places}
    return Download(
        json_pieces(
            {
                "creature": _word(log.meta, "creature", "unknown"),
                "task": _word(log.meta, "task"),
                "skill": _word(log.meta, "skill"),
                "duration_s": round(duration, 1),
                "total_frames": sum(counts.values()),
                "n_physics": counts.get(Kind.CREATURE, 0),
                "n_stats": counts.get(Kind.STATS, 0),
                "n_evolution": counts.get(Kind.EVOLUTION, 0),
                "n_events": counts.get(Kind.EVENT, 0),
                "meta": Room().short(log.meta),
                "stats": all_of(Kind.STATS, _row),
                "evolution": all_of(Kind.EVOLUTION, _generation),
                "events": all_of(Kind.EVENT, partial(_event, log.conventions)),
                "physics_summary": {
                    "count": counts.get(Kind.CREATURE, 0),
                    **(physics if counts.get(Kind.CREATURE) else {}),
                },
            }
        ),
        media_type="application/json",
    )


@takes("path!", "since")
def watch(request: Request) -> Response:
    """The stats frames from index ``since`` on (from the end if negative); ``total`` is the next ``since``."""
    state = state_of(request)
    query = Query(request, others=True)
    since = query.parse_int("since", 0, -(2**63), 2**63)
    log = _named(state, query.text("path"))
    with state.reading(log, {Kind.STATS}):
        total = len(log.rows[Kind.STATS]) if Kind.STATS in log.rows else 0
    head = {"total": total, "creature": _word(log.meta, "creature"), "task": _word(log.meta, "task")}
    rows = _rows(log, Kind.STATS, range(total)[since:], _row)
    return Download(json_pieces({**head, "stats": rows}), media_type="application/json")


@takes("path")
def reset(request: Request) -> Response:
    """Forget what is known about a log, so that it is read again."""
    refuse_other_sites(request)
    state = state_of(request)
    try:
        state.poller.drop(_entry(state, Query(request, others=True).text("path")).id)
    except ApiError as error:
        if error.code != "path":  # nothing is known about a missing log, which is the wanted result
            raise
    return json_response({"ok": True})


def _word(meta: Mapping[str, Any], name: str, default: str = "") -> str:
    return str(meta.get(name, default))[:_LETTERS]


def _rows(log: Log, kind: Kind, which: Sequence[int], row: Row) -> Iterator[Any]:
    """Frames by number, each converted by *row*; read as the client reads."""
    for start in range(0, len(which), _BLOCK):
        yield from map(row, log.frames(kind, which[start : start + _BLOCK]))


def _row(frame: Frame) -> dict[str, Any]:
    """The time, and every number, bool and string."""
    flat = {key: value for key, value in frame.data.items() if isinstance(value, int | float | bool | str)}
    return {"timestamp": frame.time, **Room().short(flat)}


def _generation(frame: Frame) -> dict[str, Any]:
    fields = {}
    for name, (keys, default) in _EVOLUTION.items():
        value = next((frame.data[key] for key in keys if key in frame.data), default)
        fields[name] = Room().short(value) if value is not None else default
    return {"timestamp": frame.time, **fields}


def _event(conventions: Conventions, frame: Frame) -> dict[str, Any]:
    """The whole event, with its type and message under the names that clients know."""
    data = Room().short(frame.data)
    kind, message = conventions.event_type(data), conventions.find("event_message", data)
    named = {name: data[key] for name, key in (("type", kind), ("msg", message)) if key is not None}
    return {"timestamp": frame.time, "type": "unknown", "msg": "", **data, **named}


def _speeds(log: Log) -> tuple[float, float]:
    """The mean and the largest speed of all creature frames; a frame without a speed counts as 0."""
    count = len(log.rows[Kind.CREATURE]) if Kind.CREATURE in log.rows else 0
    known, mean, largest = _SPEEDS.get(log, (-1, 0.0, 0.0))
    if known != count:
        digest, keys = Digest(), log.conventions.keys["speed"]
        for batch in log.reader.scan(Scan(kinds=Kind.CREATURE, columns=keys, on_damage="ignore")):
            if batch.table.rows:
                digest.add(batch.table)
        metrics = digest.kinds.get(Kind.CREATURE, {})
        key = log.conventions.find("speed", metrics, lambda key: metrics[key].numbers > 0)
        speed = Metric() if key is None else metrics[key]
        mean = speed.total / max(count, 1)
        largest = speed.high if speed.numbers else 0.0
        if speed.numbers < count:
            largest = max(largest, 0.0)
        _SPEEDS[log] = count, mean, largest
    return mean, largest


def _places(log: Log) -> Iterator[dict[str, float]]:
    """The position of the creature, in every ``_EVERY``-th frame.

    It is what the log itself declares as the position, else ``com`` or ``pos`` as in the original, else what the
    dashboard draws.
    """
    with walker_of(log) as walker:
        rows, environment = walker.rows.read()[::_EVERY].tolist(), walker.environment
        candidates = dict.fromkeys((*log.conventions.positions, ("com",), ("pos",), walker.position(log)))

    def place(frame: Frame) -> dict[str, float] | None:
        data = flatten(data_of(frame, environment, log))
        for keys in candidates:
            values = data.get(keys[0]) if len(keys) == 1 else [data.get(key) for key in keys]
            known = list(itertools.takewhile(isfinite, map(number, values[:3]))) if isinstance(values, list) else []
            if len(known) > 1:
                named = zip("xyz", known, strict=False)
                return {"t": round(frame.time, 1), **{name: round(value, 3) for name, value in named}}
        return None

    return (one for one in _rows(log, Kind.CREATURE, rows, place) if one is not None)
