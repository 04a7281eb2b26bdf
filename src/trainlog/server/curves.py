"""Curves for a screen: rows of a log against an axis, thinned so that what is left out would not be visible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.axis_values import (
    COMPUTED,
    GUIDES,
    axis_key,
    continued,
    episodes_by_starts,
    is_added_up,
    owners_of,
    places_by_time,
    places_of_events,
    without_restarts,
)
from trainlog.conventions import AXES, EPISODE_START, RANK, AxisKey, AxisName, Conventions
from trainlog.episode_summary import is_summary
from trainlog.live_log.column_file import ColumnFile, codes_of, is_nan
from trainlog.live_log.columns import MOST_TEXTS, Series
from trainlog.live_log.log import Log
from trainlog.model import Kind
from trainlog.scan import Scan
from trainlog.server.responses import ApiError

__all__ = [
    *[
        "Window",
        "axes_of",
        "axis_values",
        "curve",
        "damage_of",
        "event_places",
        "event_types",
        "guides_of",
        "has_episodes",
        "own_axis",
        "places_of",
        "series_of",
    ],
    *["is_of_one_column", "is_rising", "rows_of_events", "smooth_curve", "window_of"],
]

_FRAME: Final = 8  # bytes of the smallest frame
_MOST_DAMAGED: Final = 200
_MOST_ASIDE: Final = 64
_BEFORE: Final = 1 << 16  # rows before a range in which its first text is searched

Floats = npt.NDArray[np.float64]


def axes_of(log: Log) -> list[AxisName]:
    """The axes that rows of any kind can be shown on."""
    return [axis for axis in AXES if axis == "time" or any(own_axis(log, kind, axis) for kind in GUIDES)]


def guides_of(axis: AxisName) -> tuple[Kind, ...]:
    """The kinds of frames that may determine the places of others on *axis*; only their times and clocks are needed."""
    return () if axis == "time" else GUIDES


def own_axis(log: Log, kind: Kind, axis: AxisName, *, within_episode: bool = False) -> AxisKey | None:
    """The key with the values of *axis* in frames of *kind*, and their factor; see `trainlog.axis_values`."""
    rows = log.rows.get(kind)
    if rows is None or axis == "time":
        return None
    has_summaries = has_episodes(log) and not within_episode
    if has_summaries and kind in GUIDES and kind != Kind.STATS and own_axis(log, Kind.STATS, axis) is not None:
        return COMPUTED
    series, types = rows.clocks.series, event_types(log)
    return axis_key(
        log.conventions,
        kind,
        axis,
        [key for key, one in series.items() if one.shape == "number"],
        lambda key: series[key].varies or rows.clocks.rows == 1,
        has_starts=not has_episodes(log) and kind in GUIDES and types is not None and EPISODE_START in types.texts,
        has_summaries=has_summaries,
    )


def is_of_one_column(log: Log, kind: Kind, key: AxisKey) -> bool:
    """Whether the place of each row, also of future ones, is the value of that key in the same row."""
    return key != COMPUTED and not is_added_up(log.conventions, kind, key)


def is_rising(log: Log, kind: Kind, axis: AxisName) -> bool:
    """Whether rows have their own values of *axis*, and these never decrease."""
    if axis == "time":
        return log.rows[kind].is_in_time
    own = own_axis(log, kind, axis)
    return (
        own is not None and own != COMPUTED and kind != Kind.EVENT and not log.rows[kind].clocks.series[own.key].falls
    )


def event_types(log: Log) -> Series | None:
    """The types of the events; None if no event has one."""
    events = log.rows.get(Kind.EVENT)
    key = None if events is None else log.conventions.event_type(events.columns.series)
    return None if events is None or key is None else events.columns.series[key]


def rows_of_events(log: Log, event_type: str) -> npt.NDArray[np.intp]:
    """The row numbers of the events of that type."""
    types = event_types(log)
    if types is None:
        return np.empty(0, np.intp)
    codes = codes_of(types.numbers(0, log.rows[Kind.EVENT].columns.rows))
    return np.flatnonzero(codes == types.texts.get(event_type, -2))


def has_episodes(log: Log) -> bool:
    """Whether the stats of the log are summaries of whole episodes."""
    rows = log.rows.get(Kind.STATS)
    return rows is not None and is_summary(rows.columns.series)


def axis_values(log: Log, kind: Kind, axis: AxisName, start: int, stop: int, *, within_episode: bool = False) -> Floats:
    """The places of rows *start* to *stop* on *axis*, by frames of another kind if they have no values of their own."""
    rows = log.rows[kind]
    time: Floats = rows.time.read(start, stop)
    if axis == "time":
        return time
    if within_episode and axis == "episode" and has_episodes(log):
        axis = "step"  # the episode number is constant within one episode
    if kind == Kind.EVENT:
        for _, places in event_places(log, axis):
            return places[start:stop]
    own = own_axis(log, kind, axis, within_episode=within_episode)
    if own is not None and kind != Kind.EVENT:
        return _own_values(log, kind, own, axis, start, stop, within_episode=within_episode)
    for guide in GUIDES:
        if (known := _known_places(log, guide, axis)) is not None:
            return places_by_time(time, *known)
    raise ApiError(400, "axis", f"this log has no {axis} on which its {kind} frames can be shown")


def event_places(log: Log, axis: AxisName) -> Iterator[tuple[Kind, Floats]]:
    """Yield the places of all events on *axis*, for each kind of frames that has it, in the order of `GUIDES`."""
    if axis == "time":
        return
    rows = log.rows[Kind.EVENT]
    time, series = rows.time.read(0, rows.columns.rows), rows.columns.series
    own = [series[key].numbers(0, len(time)) for key in log.conventions.keys[axis] if key in series]
    is_continued = _is_continued(log, Kind.EVENT, axis)
    for guide in GUIDES:
        if (known := _known_places(log, guide, axis)) is not None:
            places = _continued(log, Kind.EVENT, axis, 0, len(time)) if is_continued else places_by_time(time, *known)
            yield guide, places_of_events(places, own, known[1])


def _known_places(log: Log, kind: Kind, axis: AxisName) -> tuple[Floats, Floats] | None:
    """The times and the places of all frames of *kind* that are on *axis*; None if there are none."""
    own, rows = own_axis(log, kind, axis), log.rows.get(kind)
    if own is None or rows is None or not (count := rows.clocks.rows):
        return None
    values = _own_values(log, kind, own, axis, 0, count)
    good = np.isfinite(values)
    return (rows.time.read(0, count)[good], values[good]) if good.any() else None


def _is_continued(log: Log, kind: Kind, axis: AxisName) -> bool:
    """Whether summaries of episodes determine the places of *kind*, see `trainlog.axis_values.continued`."""
    return kind != Kind.STATS and has_episodes(log) and own_axis(log, Kind.STATS, axis) is not None


def _continued(log: Log, kind: Kind, axis: AxisName, start: int, stop: int) -> Floats:
    rows, summaries = log.rows[kind], log.rows[Kind.STATS]
    count = summaries.columns.rows
    end, value, length = own_axis(log, Kind.STATS, axis), None, None
    ends = np.full(count, np.nan) if end is None else summaries.columns.numbers(end.key, 0, count) * end.factor
    inside = own_axis(log, kind, "step" if axis == "episode" else axis, within_episode=True)
    if inside is not None and kind == Kind.CREATURE:
        value = rows.clocks.numbers(inside.key, start, stop) * inside.factor
    if axis == "episode":
        length = summaries.columns.numbers("length", 0, count)
    return continued(rows.order.read(start, stop), summaries.order.read(0, count), ends, value, length)


def _own_values(
    log: Log, kind: Kind, own: AxisKey, axis: AxisName, start: int, stop: int, *, within_episode: bool = False
) -> Floats:
    """The places of rows *start* to *stop* on an axis for which they have their own values."""
    rows = log.rows[kind]
    if own == COMPUTED and not within_episode and _is_continued(log, kind, axis):
        return _continued(log, kind, axis, start, stop)
    if own == COMPUTED:
        starts = log.rows[Kind.EVENT].time.read()[rows_of_events(log, EPISODE_START)]
        return episodes_by_starts(starts, rows.time.read())[start:stop]
    if within_episode or not rows.clocks.series[own.key].falls or is_of_one_column(log, kind, own):
        return rows.clocks.numbers(own.key, start, stop) * own.factor
    keys = [key for key in (*log.conventions.keys["env"], RANK) if key in rows.clocks.series]
    owners = owners_of(rows.clocks.numbers(key, 0, stop).view(np.int64) for key in keys)
    return without_restarts(rows.clocks.numbers(own.key, 0, stop) * own.factor, owners)[start:]


class Window(NamedTuple):
    """The requested rows of one kind: those between two places on an axis, and one more on each side.

    Attributes:
        rows: the row numbers.
        x: the place of each row on the axis.

    """

    rows: npt.NDArray[np.intp]
    x: Floats

    @property
    def span(self) -> tuple[int, int]:
        """The first row, and the one after the last."""
        return (int(self.rows[0]), int(self.rows[-1]) + 1) if len(self.rows) else (0, 0)

    def numbers(self, series: Series) -> Floats:
        """The values of *series* in these rows."""
        start, stop = self.span
        values = series.numbers(start, stop)
        return values if len(values) == len(self.rows) else values[self.rows - start]


def window_of(
    log: Log,
    kind: Kind,
    axis: AxisName,
    low: float | None,
    high: float | None,
    where: tuple[str, str] | None = None,
    span: tuple[float, float] | None = None,
) -> Window:
    """The rows of *kind* from *low* to *high* on *axis*.

    With *where* = (key, text), only rows with that text; with *span*, only rows between two times, such as an episode.
    """
    rows = log.rows.get(kind)
    total = rows.columns.rows if rows is not None else 0
    if rows is None or not total:
        return Window(np.empty(0, np.intp), np.empty(0))
    x = axis_values(log, kind, axis, 0, total, within_episode=span is not None)
    chosen = np.isfinite(x)
    if span is not None:
        time = rows.time.read(0, total)
        chosen &= (time >= span[0]) & (time <= span[1])
    if where is not None:
        key, text = where
        if key not in rows.columns.series:
            raise ApiError(400, "key", f"no {kind} frame has the key {key!r}")
        code = rows.columns.series[key].texts.get(text, -2)
        chosen &= rows.columns.codes(key, 0, total) == code
    low, high = -np.inf if low is None else low, np.inf if high is None else high
    among = np.flatnonzero(chosen)
    inside = np.flatnonzero((x[among] >= low) & (x[among] <= high))
    if len(inside) < len(among):
        behind = np.searchsorted(x[among], low)
        first, last = (inside[0], inside[-1]) if len(inside) else (behind, behind - 1)
        inside = np.union1d(inside, np.clip([first - 1, last + 1], 0, len(among) - 1))
    return Window(among[inside], x[among[inside]])


def places_of(log: Log, kind: Kind, axis: AxisName, window: Window) -> dict[str, Floats]:
    """The places of the rows of *window* on all axes other than *axis* for which they have values."""
    start, stop = window.span
    found: dict[str, Floats] = {}
    for name in AXES:
        if name != axis and (name == "time" or own_axis(log, kind, name) is not None):
            with suppress(ApiError):  # an event with a step has no place among frames without
                found[name] = axis_values(log, kind, name, start, stop)[window.rows - start]
    return found


def curve(
    log: Log, kind: Kind, key: str, window: Window, points: int, places: Mapping[str, Floats] | None = None
) -> dict[str, Any]:
    """One key over *window* as at most about *points* points, with their *places* on other axes.

    ``breaks`` are the points before which NaNs or infinities leave a gap that is wide enough to be visible.
    """
    from trainlog.draw.downsample import kept_points, visible_gaps

    series = series_of(log, kind, key)
    if series.shape == "text":
        return _strip(*_states(series, window), list(series.texts), points)
    values = window.numbers(series)
    known, infinite = np.isfinite(values), np.isinf(values)
    is_lost = is_nan(values) | infinite | (codes_of(values) >= 0)  # in a column of numbers, a text counts as NaN
    thinned = int(known.sum()) > points
    columns = max(points // 4, 1)
    kept = kept_points(window.x, values, columns) if thinned else np.flatnonzero(known)
    return {
        "x": window.x[kept].tolist(),
        "y": values[kept].tolist(),
        "breaks": visible_gaps(window.x, known, is_lost, kept, columns if thinned else None).tolist(),
        "at": {name: place[kept].tolist() for name, place in (places or {}).items()},
        "rows": len(values),
        "thinned": thinned,
        "nan": int((is_lost & ~infinite).sum()),
        "infinite": int(infinite.sum()),
    }


def smooth_curve(
    log: Log, kind: Kind, key: str, window: Window, whole: Window, points: int, smooth: float | None, part: str
) -> dict[str, Any] | None:
    """*window* of the *whole* curve of *key*, smoothed as in the figures, see `trainlog.plot.smoothing.smoothed`.

    By default, sampled states and evaluations (by the name of the key or of the *part* of the rows) are not smoothed.
    """
    from trainlog.draw.downsample import downsample
    from trainlog.plot.run import Metric, Run
    from trainlog.plot.smoothing import smoothed

    if smooth is None and (Conventions.is_evaluation(f"{key} {part}") or Run(log.reader).is_sampled(Metric(kind, key))):
        return None
    values = whole.numbers(series_of(log, kind, key))
    known = _is_there(values)
    found = smoothed(values[known], smooth)
    if found is None:
        return None
    values[known], values[~known] = found.values, np.nan
    x, y = downsample(window.x, values[np.searchsorted(whole.rows, window.rows)], max(points // 4, 1))
    return {"x": x.tolist(), "y": y.tolist(), "label": found.label, "window": found.window}


def series_of(log: Log, kind: Kind, key: str) -> Series:
    """The series of *key*; it is read now if there are too many keys to keep this one.

    Raises:
        ApiError: if no frame has it.

    """
    columns = log.rows[kind].columns
    if key not in columns.left_out:
        if key not in columns.series:
            raise ApiError(404, "key", f"no {kind} frame has the key {key[:80]!r}")
        return columns.series[key]
    known, found = columns.aside.get(key, (-1, None))
    if found is None or known < columns.rows:
        found, known = Series(ColumnFile(), 0), 0
        for batch in log.reader.scan(Scan(kinds=kind, columns=(key,), on_damage="ignore")):
            if key in batch.table:
                found.extend(known, batch.table.column(key))
            known += batch.table.rows
        columns.aside = dict([*columns.aside.items(), (key, (known, found))][-_MOST_ASIDE:])
    return found


def damage_of(log: Log, kind: Kind, axis: AxisName) -> list[tuple[float, float]]:
    """The ranges of an axis in which bytes were lost; only for formats in which the order of a row is its byte."""
    if not log.gaps:
        return []
    orders = log.rows[kind].order.read(0, log.rows[kind].columns.rows)
    if len(orders) < 2 or orders[-1] < _FRAME * sum(map(len, log.rows.values())):
        return []
    x = axis_values(log, kind, axis, 0, len(orders))
    found = set()
    for gap in [*log.gaps.values()][:_MOST_DAMAGED]:
        behind = int(np.clip(np.searchsorted(orders, gap.offset), 1, len(orders) - 1))
        found.add((float(x[behind - 1]), float(x[behind])))
    return sorted(one for one in found if np.isfinite(one).all())


def _states(series: Series, window: Window) -> tuple[npt.NDArray[np.int32], Floats]:
    """The texts of *series* by number, and where they start; a frame without a value continues the previous text."""
    values, x = window.numbers(series), window.x
    if len(series.texts) >= MOST_TEXTS:  # then a missing value may be one of the texts beyond the limit
        return codes_of(values), x
    kept = _is_there(values)
    if len(kept) and not kept[0]:
        before = series.numbers(max(int(window.rows[0]) - _BEFORE, 0), int(window.rows[0]))
        if len(known := np.flatnonzero(_is_there(before))):
            values[0], kept[0] = before[known[-1]], True
    return codes_of(values[kept]), x[kept]


def _is_there(values: Floats) -> npt.NDArray[np.bool_]:
    """Which rows have a value: a text, a number or NaN."""
    there: npt.NDArray[np.bool_] = ~np.isnan(values) | is_nan(values) | (codes_of(values) >= 0)
    return there


def _strip(codes: npt.NDArray[np.int32], x: Floats, texts: list[str], points: int) -> dict[str, Any]:
    """The places where a text starts; with more than *points* changes, only those far enough apart to be visible."""
    if not len(codes):
        return {"texts": texts, "x": [], "code": [], "end": None, "rows": 0, "thinned": False}
    starts = np.concatenate(([0], np.flatnonzero(codes[1:] != codes[:-1]) + 1))
    thinned = len(starts) > points
    if thinned:
        span = float(x[-1] - x[0]) or 1.0
        column = ((x[starts] - x[0]) / span * points).astype(np.int64)
        starts = starts[np.concatenate(([True], column[1:] != column[:-1]))]
    return {
        "texts": texts,
        "x": x[starts].tolist(),
        "code": codes[starts].tolist(),
        "end": float(x[-1]),
        "rows": len(codes),
        "thinned": thinned,
    }
