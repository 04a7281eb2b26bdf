"""``trainlog watch``: the numbers of the dashboard, and small curves, in the terminal."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from trainlog import registry
from trainlog.cli.dump import KeysType
from trainlog.cli.output import human_size, human_time
from trainlog.codec import Reader
from trainlog.conventions import AxisName, Conventions
from trainlog.errors import TrainlogWarning
from trainlog.model import Kind
from trainlog.table.values import flatten

if TYPE_CHECKING:
    from rich.console import RenderableType

_BARS: Final = "▁▂▃▄▅▆▇█"
_KEPT: Final = 256  # values of a curve; of more, neighbours are averaged


class _Curve:
    """One key: its newest value, its range, and its past in at most ``_KEPT`` means of equally many values."""

    def __init__(self) -> None:
        self.last: Any = None
        self.low = math.inf
        self.high = -math.inf
        self._means: list[float] = []
        self._each = 1
        self._sum, self._count = 0.0, 0

    def add(self, value: Any) -> None:
        self.last = value
        if not isinstance(value, int | float) or not math.isfinite(value):
            return
        number = float(value)
        self.low, self.high = min(self.low, number), max(self.high, number)
        self._sum += number
        self._count += 1
        if self._count == self._each:
            self._means.append(self._sum / self._count)
            self._sum, self._count = 0.0, 0
        if len(self._means) >= _KEPT:
            self._means = [(a + b) / 2 for a, b in zip(self._means[::2], self._means[1::2], strict=True)]
            self._each *= 2

    def bars(self, width: int) -> str:
        """The curve in *width* letters."""
        means = self._means + ([self._sum / self._count] if self._count else [])
        if not means:
            return ""
        parts = (
            [
                means[i * len(means) // width : max((i + 1) * len(means) // width, i * len(means) // width + 1)]
                for i in range(min(width, len(means)))
            ]
            if len(means) > width
            else [[mean] for mean in means]
        )
        low, high = min(means), max(means)
        span = high - low
        return "".join(_BARS[int((sum(part) / len(part) - low) / span * 7.99) if span > 0 else 3] for part in parts)


@click.command
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--keys", type=KeysType(), help="Only these keys, with commas; nested ones as outer/inner.")
@click.option("--once", is_flag=True, help="Show what is there, and do not wait for more.")
@click.option("--kind", type=click.Choice(["stats", "evolution", "creature"]), default="stats", show_default=True)
def command(log: Path, keys: tuple[str, ...] | None, once: bool, kind: str) -> None:
    """Watch a log grow: the newest numbers, their range, and small curves. Ctrl-C ends it."""
    from rich.console import Console
    from rich.live import Live

    console = Console() if Console().is_terminal else Console(width=120, height=50)
    reader = registry.open(log)
    watched = _Watched(reader, Kind.of(kind), keys)
    if once or not console.is_terminal:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainlogWarning)
            for frame in reader.frames(kind):
                watched.add(frame.time, frame.data)
        console.print(watched.picture(console.width, 10_000))
        return
    try:
        with warnings.catch_warnings(), Live(console=console, auto_refresh=False, screen=True) as live:
            warnings.simplefilter("ignore", TrainlogWarning)

            def wait() -> bool:
                live.update(watched.picture(console.width, console.height), refresh=True)
                time.sleep(0.25)
                return True

            shown = time.monotonic()
            for frame in reader.frames(Kind.of(kind), wait=wait):
                watched.add(frame.time, frame.data)
                if time.monotonic() - shown > 0.25:
                    shown = time.monotonic()
                    live.update(watched.picture(console.width, console.height), refresh=True)
    except KeyboardInterrupt:
        return  # this is how one stops looking


class _Watched:
    """What was seen of a log, and how it is shown."""

    def __init__(self, reader: Reader, kind: Kind, keys: tuple[str, ...] | None) -> None:
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

    def picture(self, width: int, height: int) -> RenderableType:
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table
        from rich.text import Text

        meta = self._reader.header.meta
        who = " · ".join(escape(str(meta[key])) for key in ("creature", "task") if meta.get(key))
        size = human_size(self._reader.path.stat().st_size) if self._reader.path.exists() else "gone"
        facts = [*self._places(), f"{self._frames:,} frames", human_time(self._time), size]
        head = Text.from_markup(f"[bold]{escape(self._reader.path.name)}[/]  {who}  [dim]{'  '.join(facts)}[/]")
        table = Table(box=None, padding=(0, 1), header_style="dim", expand=False)
        table.add_column("key", no_wrap=True, max_width=28)
        for title in ("now", "low", "high"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("curve", no_wrap=True)
        room = max(width - 28 - 3 * 11 - 8, 10)
        shown = self._chosen()
        for key in shown[: max(height - 4, 1)]:
            curve = self._curves[key]
            limits = [_short(curve.low), _short(curve.high)] if curve.low <= curve.high else ["", ""]
            table.add_row(escape(key), escape(_short(curve.last)), *limits, f"[cyan]{curve.bars(min(room, 80))}[/]")
        left = len(shown) - max(height - 4, 1)
        more = Text(f"and {left} keys more; --keys chooses", style="dim") if left > 0 else Text("")
        return Group(head, table, more)

    def _chosen(self) -> list[str]:
        if self._keys is not None:
            return [key for key in self._keys if key in self._curves]
        conventions, behavior = self._conventions, self._conventions.behavior(self._curves)
        shown = [key for key in self._curves if not conventions.is_clock(key)]
        return sorted(shown, key=lambda key: (1,) if key == behavior else conventions.rank(self._kind, key))

    def _places(self) -> list[str]:
        """The newest step, and the newest episode, generation or epoch, under the log's own name."""
        found = []
        names: tuple[AxisName, ...] = ("step", "episode")
        for name in names:
            if (axis := self._conventions.axis(name, self._curves)) is not None:
                last = self._curves[axis.key].last
                label = name if name == "step" else axis.key.rpartition("/")[2]
                found += [f"{label} {last:,}"] if isinstance(last, int) else []
        return found


def _short(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)[:24]
    if isinstance(value, int) and abs(value) < 10**7:
        return f"{value:,}"
    return f"{value:.4g}"
