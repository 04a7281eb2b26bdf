"""``trainlog watch``: the numbers of the dashboard, with small curves, in the terminal."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from trainlog import registry
from trainlog.cli.dump import KeysType
from trainlog.cli.output import LogPath, human_size, human_time, markup
from trainlog.cli.tail import frames_of
from trainlog.codec import Reader
from trainlog.conventions import AxisName, Conventions
from trainlog.errors import TrainlogWarning
from trainlog.model import Kind
from trainlog.table.values import flatten

if TYPE_CHECKING:
    from rich.console import RenderableType

_MAX_MEANS: Final = 256  # of a curve; above it, neighbours are averaged
_REFRESH: Final = 0.25  # seconds


class _Curve:
    """One key: its newest value, its range, and a curve of fewer than ``_MAX_MEANS`` means of equally many values."""

    def __init__(self) -> None:
        self.last: Any = None
        self.low = math.inf
        self.high = -math.inf
        self._means: list[float] = []
        self._per_mean = 1
        self._sum, self._count = 0.0, 0

    def add(self, value: Any) -> None:
        self.last = value
        if not isinstance(value, int | float) or not math.isfinite(value):
            return
        self.low, self.high = min(self.low, value), max(self.high, value)
        self._sum += value
        self._count += 1
        if self._count == self._per_mean:
            self._means.append(self._sum / self._count)
            self._sum, self._count = 0.0, 0
        if len(self._means) >= _MAX_MEANS:
            self._means = [(a + b) / 2 for a, b in zip(self._means[::2], self._means[1::2], strict=True)]
            self._per_mean *= 2

    def bars(self, width: int) -> str:
        """The curve as at most *width* characters."""
        from trainlog.report.facts import sparkline

        rest = [self._sum / self._count] if self._count else []
        return sparkline(np.array(self._means + rest, np.float64), width)


@click.command
@click.argument("log", type=LogPath())
@click.option("--keys", type=KeysType(), help="Only these keys, separated by commas; nested keys as outer/inner.")
@click.option("--once", is_flag=True, help="Show the log as it is now, and exit.")
@click.option("--kind", type=click.Choice(["stats", "evolution", "creature"]), default="stats", show_default=True)
def command(log: Path, keys: tuple[str, ...] | None, once: bool, kind: str) -> None:
    """Show the newest numbers of a log, their range, and small curves, until Ctrl-C."""
    from rich.console import Console
    from rich.live import Live

    console = Console() if Console().is_terminal else Console(width=120, height=50)
    if once or not console.is_terminal:
        reader = registry.open(log)
        view = _View(reader, Kind.of(kind), keys)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainlogWarning)
            for frame in reader.frames(kind):
                view.add(frame.time, frame.data)
        console.print(view.render(console.width, 1000))
        return
    try:
        with warnings.catch_warnings(), Live(console=console, auto_refresh=False, screen=True) as live:
            warnings.simplefilter("ignore", TrainlogWarning)

            def begin(reader: Reader, why: str) -> None:
                nonlocal view
                view = _View(
                    reader, Kind.of(kind), keys, "another log is in its place, which is this one" if why else ""
                )

            def wait() -> bool:
                live.update(view.render(console.width, console.height), refresh=True)
                time.sleep(_REFRESH)
                return True

            shown = time.monotonic()
            for frame in frames_of(log, Kind.of(kind), wait, begin):
                view.add(frame.time, frame.data)
                if time.monotonic() - shown > _REFRESH:
                    shown = time.monotonic()
                    live.update(view.render(console.width, console.height), refresh=True)
    except KeyboardInterrupt:
        return  # Ctrl-C ends it


class _View:
    """The frames of a log so far, as a table for the terminal."""

    def __init__(self, reader: Reader, kind: Kind, keys: tuple[str, ...] | None, note: str = "") -> None:
        self._note = note
        self._reader = reader
        self._conventions = Conventions.of(reader.header)
        self._kind = kind
        self._keys = keys
        self._curves: dict[str, _Curve] = {}
        self._frames = 0
        self._time = 0.0

    def add(self, moment: float, data: Mapping[Any, Any]) -> None:
        self._frames += 1
        self._time = moment
        for key, value in flatten(data).items():
            if isinstance(value, int | float | str) and (self._keys is None or key in self._keys):
                self._curves.setdefault(key, _Curve()).add(value)

    def render(self, width: int, height: int) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        meta = self._reader.header.meta
        subject = " · ".join(markup(meta[key]) for key in ("creature", "task") if meta.get(key))
        size = human_size(self._reader.path.stat().st_size) if self._reader.path.exists() else "deleted"
        facts = [
            *self._progress(),
            f"{self._frames:,} frames",
            human_time(self._time),
            size,
            *filter(None, [self._note]),
        ]
        name, told = markup(self._reader.path.name), markup("  ".join(facts))
        head = Text.from_markup(f"[bold]{name}[/]  {subject}  [dim]{told}[/]")
        table = Table(box=None, padding=(0, 1), header_style="dim", expand=False)
        table.add_column("key", no_wrap=True, max_width=28)
        for title in ("now", "low", "high"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("curve", no_wrap=True)
        curve_width = min(max(width - 28 - 3 * 11 - 8, 10), 80)
        keys, limit = self._shown_keys(), max(height - 4, 1)
        for key in keys[:limit]:
            curve = self._curves[key]
            limits = [_short(curve.low), _short(curve.high)] if curve.low <= curve.high else ["", ""]
            table.add_row(markup(key), markup(_short(curve.last)), *limits, f"[cyan]{curve.bars(curve_width)}[/]")
        more = Text(f"{len(keys) - limit} more keys; choose with --keys" if len(keys) > limit else "", style="dim")
        return Group(head, table, more)

    def _shown_keys(self) -> list[str]:
        if self._keys is not None:
            return [key for key in self._keys if key in self._curves]
        conventions, behavior = self._conventions, self._conventions.behavior(self._curves)
        shown = [key for key in self._curves if not conventions.is_clock(key)]
        return sorted(shown, key=lambda key: (1,) if key == behavior else conventions.rank(self._kind, key))

    def _progress(self) -> Iterator[str]:
        """The newest step, and the newest episode, generation or epoch, under the log's own name."""
        names: tuple[AxisName, ...] = ("step", "episode")
        for name in names:
            axis = self._conventions.axis(name, self._curves)
            if axis is not None and isinstance(last := self._curves[axis.key].last, int):
                yield f"{name if name == 'step' else axis.key.rpartition('/')[2]} {last:,}"


def _short(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)[:24]
    if isinstance(value, int) and abs(value) < 10**7:
        return f"{value:,}"
    return f"{value:.4g}"
