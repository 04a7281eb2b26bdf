"""The stateless API described for programs, as an OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

import trainlog
from trainlog.conventions import AXES, AXIS_ALIASES
from trainlog.plot.seeds import BANDS
from trainlog.statistics import CENTERS

__all__ = ["document"]

_KINDS: Final = "evolution, stats, event, creature, or kind_N"


def _parameter(name: str, what: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    place = "path" if name == "id" else "query"
    return {"name": name, "in": place, "required": required, "description": what, "schema": schema}


_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "number"}
_ID: Final = _parameter("id", "of the run, from /api/v1/runs", _TEXT, required=True)
_KIND: Final = _parameter("kind", f"of frames: {_KINDS}", {"type": "string", "default": "stats"})
_KEYS: Final = _parameter("keys", "with commas, or a JSON list; nested ones as outer/inner; at most 200", _TEXT)
_X: Final = _parameter("x", "the axis", {"type": "string", "enum": [*AXES, *AXIS_ALIASES], "default": "time"})
_FROM: Final = _parameter("from", "from where on the axis; one row more is given", _NUMBER)
_TO: Final = _parameter("to", "to where on the axis; one row more is given", _NUMBER)
_WHERE: Final = _parameter("where", "key:text: only rows whose key has that text", _TEXT)

_SPAN: Final = _parameter("span", "time:time: only rows between these times, for an episode", _TEXT)

_WHICH: Final = [
    _parameter("filter", "in the language of docs/runs.md", _TEXT),
    _parameter("sort", "a column; backwards behind a minus", {"type": "string", "default": "-changed"}),
]
_CHOSEN: Final = [*_WHICH, _parameter("runs", "ids with commas, at most 1000, instead of a filter", _TEXT)]
_PAGE: Final = [
    _parameter("offset", "of the first", {"type": "integer", "minimum": 0, "default": 0}),
    _parameter("limit", "of how many", {"type": "integer", "minimum": 0, "default": 100_000}),
]


_SMOOTH: Final = _parameter("smooth", "window of a centred mean, weight of the past below 1, or auto", _TEXT)


def _points(most: int, default: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return _parameter("points", "the most that is wanted", schema)


_PATHS: Final[list[tuple[str, str, list[dict[str, Any]], str]]] = [
    (
        "/api/v1/runs",
        "The runs that fit a filter, in an order: a page of them.",
        [*_CHOSEN, *_PAGE, _parameter("columns", "with commas: their values in this order", _TEXT)],
        "application/json",
    ),
    ("/api/v1/ids", "The ids of the runs that fit a filter, in an order.", [*_WHICH, *_PAGE], "application/json"),
    ("/api/v1/columns", "The columns of the table of runs, and in which they differ.", _WHICH[:1], "application/json"),
    (
        "/api/v1/groups",
        "Curves of groups of runs, by the statistics of the figures: a center, a band, how many runs at each point.",
        [
            *_CHOSEN,
            _parameter("by", "keys with commas; * for all but the seed", {"type": "string", "default": "*"}),
            *[_KIND, {**_KEYS, "required": True}, _X, _WHERE],
            _parameter("center", "of the runs", {"type": "string", "enum": [*CENTERS], "default": "mean"}),
            _parameter("band", "around it", {"type": "string", "enum": [*BANDS], "default": "ci"}),
            _parameter("smooth", "of each run: a window of values, or a weight of the past below 1", _NUMBER),
            _parameter("at", "a place of the axis: the value of each run there, instead of curves", _NUMBER),
        ],
        "application/json",
    ),
    (
        "/api/v1/notes",
        "Saved views, whether anything can be kept, and the token that a POST needs in the header X-Trainlog-Token: "
        '{"run": id, "fields": {"name": text, "tags": [text], "note": text}} or {"view": name, "query": text}.',
        [],
        "application/json",
    ),
    ("/api/v1/runs/{id}", "Metadata, kinds, keys, units, axes, damage, cursor.", [_ID], "application/json"),
    (
        "/api/v1/runs/{id}/series",
        "Curves for a screen. Of more rows than points the first, last, lowest and highest of each part remain.",
        [
            *[_ID, _KIND, {**_KEYS, "required": True}, _X, _FROM, _TO, _WHERE, _SPAN, _points(20_000, 1600)],
            _SMOOTH,
        ],
        "application/json",
    ),
    (
        "/api/v1/figure",
        "Keys of runs as trainlog plot draws them, one chart; together is values or normalised for several keys.",
        [
            *[_parameter("runs", "ids with commas", _TEXT, required=True), _KIND, {**_KEYS, "required": True}],
            *[_X, _FROM, _TO, _SMOOTH, _parameter("format", "svg or png", {"type": "string", "default": "svg"})],
            *(_parameter(name, "see trainlog plot", _TEXT) for name in ("log", "lines", "together", "theme")),
            *(_parameter(name, "see trainlog plot", _TEXT) for name in ("by", "center", "band")),
            *(_parameter(name, "pixels", {"type": "integer"}) for name in ("width", "height")),
        ],
        "image/svg+xml",
    ),
    (
        "/api/v1/runs/{id}/rows",
        "Whole rows; of more than points those at equal distances.",
        [_ID, _KIND, _KEYS, _X, _FROM, _TO, _WHERE, _SPAN, _points(20_000, 1000)],
        "application/json",
    ),
    ("/api/v1/runs/{id}/rows.csv", "All rows as CSV.", [_ID, _KIND, _KEYS, _X, _FROM, _TO, _WHERE, _SPAN], "text/csv"),
    (
        "/api/v1/runs/{id}/events",
        "Events, their message, and where they are on the axis.",
        [_ID, _X, _FROM, _TO, _points(2000, 500)],
        "application/json",
    ),
    (
        "/api/v1/runs/{id}/frame",
        "The whole frame at a moment, the last one that is not after it, and where it is on every axis.",
        [
            *[_ID, _KIND, _X, _SPAN, _parameter("at", "where on the axis", _NUMBER)],
            _parameter("nearest", "1 for the frame that is nearest to at", {"type": "integer", "enum": [0, 1]}),
            _parameter("row", "its number, instead of at", {"type": "integer", "minimum": 0}),
        ],
        "application/json",
    ),
    (
        "/api/v1/runs/{id}/path",
        "Where the creature was, seen from above, and on the axis; from and to are times.",
        [_ID, _X, _FROM, _TO, _points(5000, 1500)],
        "application/json",
    ),
    (
        "/api/v1/runs/{id}/functions",
        "The learned functions: samples, shape, variables, range.",
        [_ID],
        "application/json",
    ),
    (
        "/api/v1/runs/{id}/function",
        "One sample of a function as a grid, y by x, in one slice of z.",
        [
            *[_ID, _parameter("row", "from /functions", {"type": "integer", "minimum": 0}, required=True)],
            _parameter("z", "the slice", {"type": "integer", "minimum": 0, "default": 0}),
        ],
        "application/json",
    ),
    (
        "/api/v1/runs/{id}/replay",
        "Redirects to the 3-D page of the run, which the server's own machine alone can open.",
        [_ID, _parameter("row", "of the creature frame to show", {"type": "integer", "minimum": 0})],
        "text/html",
    ),
    (
        "/api/v1/stream",
        "New rows as they are written: server-sent events hello, rows, cursor, reset, gone, runs. A row message has "
        "the numbers of its rows (from, to), so that one that comes again is known. A cursor that does not belong to "
        "the file any more is answered by reset, and then by all rows from the first.",
        [
            _parameter(
                "runs", "ids with commas, at most 1000; a POST has them as {'runs': {id: cursor or null}}", _TEXT
            ),
            _parameter("cursors", "id:cursor, with commas; also taken from the header Last-Event-ID", _TEXT),
            _parameter("kinds", "with commas", {"type": "string", "default": "stats,evolution,event"}),
            _KEYS,
        ],
        "text/event-stream",
    ),
]


def document() -> dict[str, Any]:
    """The description."""
    error = {
        "description": "What is wrong with the request.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    paths = {}
    for path, summary, parameters, media in _PATHS:
        content = {media: {"schema": {"type": "object"} if media == "application/json" else _TEXT}}
        paths[path] = {
            "get": {
                "summary": summary,
                "parameters": parameters,
                "responses": {"200": {"description": summary, "content": content}, "4XX": error},
            }
        }
    fields = {"code": _TEXT, "message": _TEXT}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "trainlog",
            "version": trainlog.__version__,
            "description": "NaN and infinities are null; series and rows count them.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "properties": {"error": {"type": "object", "properties": fields, "required": list(fields)}},
                    "required": ["error"],
                }
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
