"""The figure of a chart, as ``trainlog plot`` draws it."""

from __future__ import annotations

import math
import threading
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response

from trainlog.errors import PlotError
from trainlog.server.api import RowsQuery
from trainlog.server.app_state import state_of
from trainlog.server.query import LETTERS, takes
from trainlog.server.responses import ApiError
from trainlog.statistics import CENTERS

__all__ = ["figure"]

_DRAWING: Final = threading.Lock()  # one figure at a time, as each reads whole logs
_TYPES: Final[dict[Literal["svg", "png"], str]] = {"svg": "image/svg+xml", "png": "image/png"}


@takes(
    *("runs!", "kind", "keys!", "x", "from", "to", "smooth"),
    *("format", "log", "lines", "together", "theme", "width", "height", "by", "center", "band"),
)
def figure(request: Request) -> Response:
    """Keys of runs as ``trainlog plot`` draws them, one chart."""
    from trainlog.draw import layout
    from trainlog.draw.theme import THEMES
    from trainlog.plot import PlotOptions, pictures, runs_of
    from trainlog.plot.options import TOGETHER
    from trainlog.plot.save import encode
    from trainlog.plot.seeds import BANDS

    rows = RowsQuery(request)
    query, state = rows.query, state_of(request)
    ids = query.names("runs", most=LETTERS) or []
    state.check_count(len(ids))
    format, theme = query.one_of("format", [*_TYPES], "svg"), query.one_of("theme", THEMES, "light")
    size = query.parse_int("width", 960, 120, 4096), query.parse_int("height", 540, 80, 4096)
    readers = [state.log(state.entry(id)).reader for id in ids]
    try:
        options = PlotOptions(
            y=tuple(f"{rows.kind}:{key}" for key in query.names("keys") or []),
            x=rows.axis,
            smooth=query.smoothing(),
            log_y=bool(query.parse_int("log", 0, 0, 1)),
            theme=theme,
            xlim=None if rows.low is rows.high is None else (rows.low, rows.high),
            together=query.one_of("together", TOGETHER, TOGETHER[0]) if query.text("together") else None,
            by=query.text("by") or None,
            center=query.one_of("center", CENTERS, "mean") if query.text("center") else None,
            band=query.one_of("band", BANDS, "ci") if query.text("band") else None,
            lines=tuple(filter(math.isfinite, map(float, query.names("lines") or []))),
        )
        with _DRAWING:
            found = pictures(runs_of(readers, only=options.y), options)
            if len(found) != 1:
                raise PlotError("these keys cannot be one figure: nothing to draw, or texts mixed with numbers")
            content = encode(layout(found[0].figure, *size, theme, whole=True), format)
    except (PlotError, ValueError) as error:
        raise ApiError(400, "figure", state.redact(error)) from error
    return Response(content, media_type=_TYPES[format])
