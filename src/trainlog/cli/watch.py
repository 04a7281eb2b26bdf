"""``trainlog watch``: show the numbers of the dashboard, with small curves, in the terminal."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np
import numpy.typing as npt

from trainlog.cli.dump import KeysType
from trainlog.cli.output import LogPath, human_size, markup, output_console
from trainlog.conventions import AxisName
from trainlog.errors import DamagedLog, InvalidPosition, LogNotFound, LogReadError, TrainlogWarning, UnknownFormat
from trainlog.live_log.column_file import codes_of, is_nan
from trainlog.live_log.columns import Series
from trainlog.live_log.log import FileState, Log
from trainlog.model import Kind
from trainlog.printable import human_time
from trainlog.storage.location import named

if TYPE_CHECKING:
    from rich.console import RenderableType

_MAX_MEANS: Final = 256  # of a curve; beyond that, neighbours are averaged
_REFRESH: Final = 0.25  # seconds


class _Curve:
    """One key: its range, and a curve of fewer than ``_MAX_MEANS`` means, each over the same number of values."""

    def __init__(self) -> None:
        self.low = math.inf
        self.high = -math.inf
        self.is_nan = False  # whether the latest value is NaN
        self._means = self._rest = np.empty(0)
        self._per_mean = 1

    def extend(self, values: npt.NDArray[np.float64]) -> None:
        nan = is_nan(values)
        there = np.flatnonzero(nan | ~np.isnan(values) | (codes_of(values) >= 0))
        if len(there):
            self.is_nan = bool(nan[there[-1]])
        values = values[np.isfinite(values)]
        self.low, self.high = float(values.min(initial=self.low)), float(values.max(initial=self.high))
        rest = np.concatenate((self._rest, values))
        whole = len(rest) - len(rest) % self._per_mean
        self._means = np.concatenate((self._means, rest[:whole].reshape(-1, self._per_mean).mean(axis=1)))
        self._rest = rest[whole:]
        while len(self._means) >= _MAX_MEANS:
            if len(self._means) % 2:
                self._rest = np.concatenate((np.full(self._per_mean, self._means[-1]), self._rest))
            self._means = self._means[: len(self._means) // 2 * 2].reshape(-1, 2).mean(axis=1)
            self._per_mean *= 2

    def bars(self, width: int) -> str:
        """The curve as at most *width* characters."""
        from trainlog.report.facts import sparkline

        rest = [self._rest.mean()] if len(self._rest) else []
        return sparkline(np.append(self._means, rest), width)


@click.command
@click.argument("log", type=LogPath())
@click.option("--keys", type=KeysType(), help="Only these keys, separated by commas; nested keys as outer/inner.")
@click.option("--once", is_flag=True, help="Show the log as it is now, and exit.")
@click.option("--kind", type=click.Choice(["stats", "evolution", "creature"]), default="stats", show_default=True)
def command(log: Path, keys: tuple[str, ...] | None, once: bool, kind: str) -> None:
    """Show the latest numbers of a log, their ranges, and small curves, until Ctrl-C.

    If the output is not a terminal, or one that cannot move its cursor (TERM=dumb), they are shown once.
    """
    from rich.live import Live

    console = output_console(120, 50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainlogWarning)
        view = _View(log, Kind.of(kind), keys)
        if once or not console.is_terminal or console.is_dumb_terminal:  # rich would draw nothing there
            view.look(math.inf)
            console.print(view.render(console.width, 1000))
            return
        with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False, screen=True) as live:  # Ctrl-C ends
            while True:
                is_more = view.look(time.monotonic() + _REFRESH)
                live.update(view.render(console.width, console.height), refresh=True)
                if not is_more:
                    time.sleep(_REFRESH)


class _View:
    """The frames of a log so far, as a table for the terminal."""

    def __init__(self, path: Path, kind: Kind, keys: tuple[str, ...] | None) -> None:
        self._path = path
        self._kind = kind
        self._keys = keys
        self._begin()

    def _begin(self, note: str = "") -> None:
        self._log = Log("", self._path.name, self._path)
        self._log.want({self._kind})
        self._curves: dict[str, _Curve] = {}
        self._frames = 0
        self._note = note
        self._is_lost = False

    def look(self, deadline: float) -> bool:
        """Continue reading until *deadline* (monotonic seconds); True if there is more to read immediately."""
        try:
            if self._is_lost:
                self._begin()
            is_more = self._log.advance(deadline)
        except (LogReadError, LogNotFound, DamagedLog, UnknownFormat) as error:
            if not self._frames:
                raise
            self._is_lost, self._note = True, error.message  # a permission can be given back, a network can recover
            return False
        except InvalidPosition:
            with suppress(LogNotFound, DamagedLog, UnknownFormat):  # it has no whole header yet
                self._begin("the log was replaced by this one")
            return False
        rows = self._log.rows.get(self._kind)
        frames = 0 if rows is None else rows.columns.rows
        for key, series in self._series().items():
            self._curves.setdefault(key, _Curve()).extend(series.numbers(self._frames, frames))
        self._frames = frames
        return is_more

    def _series(self) -> dict[str, Series]:
        """The columns that can be shown, by key."""
        rows = self._log.rows.get(self._kind)
        series = {} if rows is None else rows.columns.series
        return {
            key: one for key, one in series.items() if one.shape != "list" and (self._keys is None or key in self._keys)
        }

    def render(self, width: int, height: int) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        meta = self._log.meta
        subject = " · ".join(markup(meta[key]) for key in ("creature", "task") if meta.get(key))
        sizes = [state.size for file in self._log.reader.files if (state := FileState.of(file)).size >= 0]
        size = human_size(sum(sizes)) if sizes else "deleted"
        facts = [
            *self._progress(),
            f"{self._frames:,} frames",
            human_time(self._log.duration()),
            size,
            *filter(None, [self._note]),
        ]
        name, told = markup(named(self._path).name), markup("  ".join(facts))
        head = Text.from_markup(f"[bold]{name}[/]  {subject}  [dim]{told}[/]")
        table = Table(box=None, padding=(0, 1), header_style="dim", expand=False)
        table.add_column("key", no_wrap=True, max_width=28)
        for title in ("now", "low", "high"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("curve", no_wrap=True)
        curve_width = min(max(width - 28 - 3 * 11 - 8, 10), 80)
        series, limit = self._series(), max(height - 4, 1)
        keys = self._shown_keys(series)
        for key in keys[:limit]:
            curve, last = self._curves[key], series[key].last
            limits = [""] * 2
            if curve.low <= curve.high:
                is_whole = isinstance(last, int) and curve.low.is_integer() and curve.high.is_integer()
                limits = [_short(int(one) if is_whole else one) for one in (curve.low, curve.high)]
            now = "nan" if curve.is_nan else _short(last)
            table.add_row(markup(key), markup(now), *limits, f"[cyan]{curve.bars(curve_width)}[/]")
        more = Text(f"{len(keys) - limit} more keys; choose with --keys" if len(keys) > limit else "", style="dim")
        return Group(head, table, more)

    def _shown_keys(self, series: Collection[str]) -> list[str]:
        if self._keys is not None:
            return [key for key in self._keys if key in series]
        conventions = self._log.conventions
        behavior = conventions.behavior(series)
        shown = [key for key in series if not conventions.is_clock(key)]
        return sorted(shown, key=lambda key: (1,) if key == behavior else conventions.rank(self._kind, key))

    def _progress(self) -> Iterator[str]:
        """The latest step, and the latest episode, generation or epoch, under the log's own name."""
        names: tuple[AxisName, ...] = ("step", "episode")
        series = self._series()
        for name in names:
            axis = self._log.conventions.axis(name, series)
            if axis is not None and isinstance(last := series[axis.key].last, int):
                yield f"{name if name == 'step' else axis.key.rpartition('/')[2]} {last:,}"


def _short(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)[:24]
    if isinstance(value, int) and abs(value) < 10**7:
        return f"{value:,}"
    return f"{value:.4g}"
