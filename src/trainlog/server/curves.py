"""Curves for a screen: rows of a log against an axis, thinned so that what is left out could not have been seen."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.conventions import AXES, AxisKey, AxisName
from trainlog.draw import downsample, ema
from trainlog.episode_summary import is_summary
from trainlog.model import Kind
from trainlog.server.column_file import codes_of, is_nan
from trainlog.server.episode_axis import continued
from trainlog.server.log import Log
from trainlog.server.responses import ApiError

__all__ = ["Window", "axes_of", "axis_values", "curve", "has_episodes", "own_axis", "window_of"]

# Kinds whose rows tell where the others are on an axis, in the order of trust.
_GUIDES: Final = (Kind.STATS, Kind.CREATURE, Kind.EVOLUTION)

Floats = npt.NDArray[np.float64]


def axes_of(log: Log) -> list[AxisName]:
    """The axes that rows of any kind can be shown on."""
    return [axis for axis in AXES if axis == "time" or any(own_axis(log, kind, axis) for kind in _GUIDES)]


def own_axis(log: Log, kind: Kind, axis: AxisName, *, within_episode: bool = False) -> AxisKey | None:
    """The key that holds the values of *axis* in frames of *kind*, and their factor.

    In a log of episodes the steps begin anew with each one, so that they are an axis only within one.
    """
    rows = log.rows.get(kind)
    if rows is None:
        return None
    series = rows.columns.series
    keys = [key for key, one in series.items() if one.shape == "number"]
    if has_episodes(log) and not within_episode:
        if kind == Kind.CREATURE:
            return None
        keys = [key for key in keys if not log.conventions.restarts(key)]
    return log.conventions.axis(axis, keys)


def has_episodes(log: Log) -> bool:
    """Whether the log's stats are what whole episodes came to."""
    rows = log.rows.get(Kind.STATS)
    return rows is not None and is_summary(rows.columns.series)


def axis_values(log: Log, kind: Kind, axis: AxisName, start: int, stop: int, *, within_episode: bool = False) -> Floats:
    """Where rows *start* to *stop* are on *axis*; through the time of other frames where they do not say so."""
    rows = log.rows[kind]
    time: Floats = rows.time.read(start, stop)
    if axis == "time":
        return time
    if within_episode and axis == "episode" and has_episodes(log):
        axis = "step"  # it is one episode, all along
    own = own_axis(log, kind, axis, within_episode=within_episode)
    if kind != Kind.STATS and not within_episode and has_episodes(log) and own_axis(log, Kind.STATS, axis):
        order, value = rows.order.read(start, stop), None
        inside = own_axis(log, kind, "step" if axis == "episode" else axis, within_episode=True)
        if inside is not None and kind == Kind.CREATURE:
            value = rows.columns.numbers(inside.key, start, stop) * inside.factor
        return continued(log, axis, order, value)
    if own is not None and kind != Kind.EVENT:
        return rows.columns.numbers(own.key, start, stop) * own.factor
    for guide in _GUIDES:
        found = own_axis(log, guide, axis)
        other = log.rows.get(guide)
        if found is None or other is None or not other.columns.rows:
            continue
        known = other.time.read(0, other.columns.rows)
        values = other.columns.numbers(found.key, 0, other.columns.rows) * found.factor
        good = np.isfinite(values)
        if good.any():
            order = np.argsort(known[good], kind="stable")
            return np.interp(time, known[good][order], values[good][order])
    raise ApiError(400, "axis", f"this log has no {axis} that its {kind} frames could be shown on")


class Window(NamedTuple):
    """Rows of one kind that are asked for: those between two places of an axis, with one more on each side.

    Attributes:
        rows: their numbers.
        x: where each row is on the axis.

    """

    rows: npt.NDArray[np.intp]
    x: Floats

    @property
    def span(self) -> tuple[int, int]:
        """From the first row to after the last."""
        return (int(self.rows[0]), int(self.rows[-1]) + 1) if len(self.rows) else (0, 0)

    def numbers(self, log: Log, kind: Kind, key: str) -> Floats:
        """The values of *key* in these rows."""
        rows = log.rows[kind]
        start, stop = self.span
        values = rows.time.read(start, stop) if key == "time" else rows.columns.numbers(key, start, stop)
        return values if len(values) == len(self.rows) else values[self.rows - start]

    def codes(self, log: Log, kind: Kind, key: str) -> npt.NDArray[np.int32]:
        """The texts of *key* in these rows, by number."""
        return codes_of(self.numbers(log, kind, key))


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

    With *where* = (key, text) only those that have that text; with *span* only those between two times, an episode.
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
    inside = chosen.copy()
    if low is not None:
        inside &= x >= low
    if high is not None:
        inside &= x <= high
    among = np.flatnonzero(chosen)
    picked = np.flatnonzero(inside)
    if len(picked) < len(among):
        if len(picked):
            first, last = np.searchsorted(among, [picked[0], picked[-1]])
        else:
            first = last = int(np.searchsorted(x[among], low if low is not None else -np.inf))
        around = among[[max(int(first) - 1, 0), min(int(last) + (1 if len(picked) else 0), len(among) - 1)]]
        picked = np.union1d(picked, around) if len(among) else picked
    return Window(picked, x[picked])


def curve(log: Log, kind: Kind, key: str, window: Window, points: int, smooth: float) -> dict[str, Any]:
    """One key over *window* as at most about *points* points."""
    series = log.rows[kind].columns.series.get(key)
    if series is None:
        raise ApiError(404, "key", f"no {kind} frame has the key {key!r}")
    if series.texts:
        return _strip(window.codes(log, kind, key), window.x, list(series.texts), points)
    values = window.numbers(log, kind, key)
    finite = np.isfinite(values)
    thinned = int(finite.sum()) > points
    columns = max(points // 4, 1)
    x, y = downsample(window.x, values, columns) if thinned else (window.x[finite], values[finite])
    out: dict[str, Any] = {
        "x": x.tolist(),
        "y": y.tolist(),
        "rows": len(values),
        "thinned": thinned,
        "nan": int(is_nan(values).sum()),
        "infinite": int(np.isinf(values).sum()),
    }
    if thinned and smooth > 0:
        smoothed = ema(values, 1 - smooth)
        sx, sy = downsample(window.x, smoothed, columns)
        out["smooth"] = {"x": sx.tolist(), "y": sy.tolist(), "last": float(smoothed[-1]), "count": int(finite.sum())}
    return out


def _strip(codes: npt.NDArray[np.int32], x: Floats, texts: list[str], points: int) -> dict[str, Any]:
    """Where a text begins to hold; of more changes than *points*, only those that are far enough apart to be seen."""
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
