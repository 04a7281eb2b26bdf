"""The stateless API described for programs, as an OpenAPI document: the endpoints and their parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Final

import trainlog
from trainlog.conventions import AXES, AXIS_ALIASES
from trainlog.plot.seeds import BANDS
from trainlog.server.query import PARAMETERS
from trainlog.statistics import CENTERS

__all__ = ["document"]

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "number"}
_WHOLE: Final = {"type": "integer", "minimum": 0}
_DESCRIBED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "{id}": ("the id of the run, from /api/v1/runs", _TEXT),
    "at": ("the place on the axis", _NUMBER),
    "band": ("the band around the center", {**_TEXT, "enum": [*BANDS], "default": "ci"}),
    "by": ("keys separated by commas, or a JSON list; * for all except the seed", {**_TEXT, "default": "*"}),
    "center": ("the center of the runs", {**_TEXT, "enum": [*CENTERS], "default": "mean"}),
    "columns": ("columns separated by commas, or a JSON list; their values come in this order", _TEXT),
    "cursors": ("id:cursor, separated by commas; that in the header Last-Event-ID comes first", _TEXT),
    "filter": ("a filter in the language of docs/runs.md", _TEXT),
    "format": ("svg or png", {**_TEXT, "default": "svg"}),
    "from": ("the start on the axis, or in time for a path; the row before it is included", _NUMBER),
    "height": ("pixels", _WHOLE),
    "keys": ("keys separated by commas, or a JSON list; nested ones as outer/inner; at most 200", _TEXT),
    "kind": (
        "the kind of frames: evolution, stats (mostly the default), event, creature (default of a frame), or kind_N",
        _TEXT,
    ),
    "kinds": ("kinds separated by commas", {**_TEXT, "default": "stats,evolution,event"}),
    "limit": ("the number of runs", {**_WHOLE, "default": 100_000}),
    "lines": ("see trainlog plot", _TEXT),
    "log": ("1 for a logarithmic y", {**_WHOLE, "enum": [0, 1], "default": 0}),
    "nearest": ("1 for the frame nearest to at, instead of the last one before it", {**_WHOLE, "enum": [0, 1]}),
    "offset": ("the index of the first run", {**_WHOLE, "default": 0}),
    "points": ("the maximum number; at most 20,000 for curves and rows, 5,000 for paths, 2,000 for events", _WHOLE),
    "row": ("the number of a frame of that kind; with at, of one of those at the same place", _WHOLE),
    "runs": ("ids separated by commas, at most 1,000, instead of a filter", _TEXT),
    "smooth": ("the window of a centred mean, the weight of the past below 1, or auto", _TEXT),
    "sort": ("a column; in descending order after a minus", {**_TEXT, "default": "-changed"}),
    "span": ("time:time, for an episode: only rows between these times", _TEXT),
    "theme": ("see trainlog plot", _TEXT),
    "to": ("the end on the axis, or in time for a path; the row after it is included", _NUMBER),
    "together": ("values or normalised, for several keys in one chart; see trainlog plot", _TEXT),
    "where": ("key:text, only rows in which the key has that text; of groups only episode_type:text", _TEXT),
    "width": ("pixels", _WHOLE),
    "x": ("the axis", {**_TEXT, "enum": [*AXES, *AXIS_ALIASES], "default": "time"}),
    "z": ("the slice", {**_WHOLE, "default": 0}),
}
_MEDIA: Final = {
    "figure": "image/svg+xml",
    "rows.csv": "text/csv",
    "replay": "text/html",
    "stream": "text/event-stream",
}


def document(routes: Iterable[tuple[str, Callable[..., Any]]]) -> dict[str, Any]:
    """The description of *routes*: addresses and their endpoints."""
    error = {
        "description": "What is wrong with the request.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    paths = {}
    for path, endpoint in routes:
        if path.startswith("/api/v1/") and endpoint in PARAMETERS:
            summary, _, more = (inspect.getdoc(endpoint) or "").partition("\n")
            media = _MEDIA.get(path.rpartition("/")[2], "application/json")
            content = {media: {"schema": {"type": "object"} if media == "application/json" else _TEXT}}
            paths[path] = {
                "get": {
                    "summary": summary,
                    "description": " ".join(more.split()),
                    "parameters": [_parameter(name) for name in PARAMETERS[endpoint]],
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


def _parameter(declared: str) -> dict[str, Any]:
    """The description of one parameter, as declared with `trainlog.server.query.takes`."""
    what, schema = _DESCRIBED[declared.rstrip("!")]
    is_part, is_needed = declared[0] == "{", declared[-1] in "!}"
    place = "path" if is_part else "query"
    return {"name": declared.strip("{}!"), "in": place, "required": is_needed, "description": what, "schema": schema}
