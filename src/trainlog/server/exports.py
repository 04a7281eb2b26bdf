"""The figure of a chart: what ``trainlog plot`` draws of the same logs."""

from __future__ import annotations

import math
import threading
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from trainlog.draw import layout
from trainlog.errors import PlotError
from trainlog.plot import PlotOptions, pictures, runs_of
from trainlog.plot.options import TOGETHER
from trainlog.plot.save import encode
from trainlog.plot.seeds import BANDS
from trainlog.server.api import RowsQuery, state_of
from trainlog.server.responses import ApiError
from trainlog.statistics import CENTERS

__all__ = ["figure"]

_LOOK: Final = (
    *("runs", "smooth", "log", "lines", "together", "theme", "width", "height", "format"),
    *("by", "center", "band"),
)
_DRAWING: Final = threading.Lock()  # one at a time, as each reads whole logs
_TYPES: Final = {"svg": "image/svg+xml", "png": "image/png"}


def figure(request: Request) -> Response:
    """Some keys of some runs as ``trainlog plot`` draws them."""
    rows = RowsQuery(request, _LOOK)
    query, state = rows.query, state_of(request)
    logs = [state.log(state.entry(id)) for id in query.names("runs") or []]
    keys = query.names("keys")
    format = query.text("format", "svg")
    if not logs or not keys or format not in _TYPES:
        raise ApiError(400, "parameter", "a figure needs runs, keys, and a format that is svg or png")
    size = query.parse_int("width", 960, 120, 4096), query.parse_int("height", 540, 80, 4096)
    theme = "dark" if query.text("theme", "light") == "dark" else "light"
    together = query.text("together", "")
    try:
        options = PlotOptions(
            y=tuple(f"{rows.kind}:{key}" for key in keys),
            x=rows.axis,
            smooth=query.smoothing(),
            log_y=query.text("log", "") == "1",
            theme=theme,
            xlim=None if rows.low is rows.high is None else (rows.low, rows.high),
            together=next((name for name in TOGETHER if name == together), None),
            by=query.text("by", "") or None,
            center=query.one_of("center", CENTERS, "mean") if query.text("center", "") else None,
            band=query.one_of("band", BANDS, "ci") if query.text("band", "") else None,
            lines=tuple(filter(math.isfinite, map(float, query.names("lines") or []))),
        )
        with _DRAWING:
            found = pictures(runs_of([log.reader for log in logs], only=options.y), options)
            if len(found) != 1:
                raise PlotError("these keys are not one figure: there is nothing to draw, or words beside numbers")
            content = encode(layout(found[0].figure, *size, theme), "png" if format == "png" else "svg")
    except (PlotError, ValueError) as error:
        raise ApiError(400, "figure", state.redact(error)) from error
    return Response(content, media_type=_TYPES[format])
