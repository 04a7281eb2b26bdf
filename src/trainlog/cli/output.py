"""What the verbs share: strict JSON, sizes and times for people, a progress bar."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from trainlog.strictjson import strict_json

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["human_size", "human_time", "output_console", "progress", "strict_json"]

_PATIENCE: Final = 1.0  # seconds of work before a progress bar appears


def human_size(size: float) -> str:
    """A number of bytes in the unit that keeps it short."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


def human_time(seconds: float) -> str:
    """A number of seconds as a person would say it."""
    if not math.isfinite(seconds) or abs(seconds) < 100:
        return f"{seconds:.2f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def output_console() -> Console:
    """Standard output for text and tables; as wide as the terminal, and wide enough for all where there is none."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=160)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A function to call with what is done of *total*; shows a bar on a terminal, after a second of work."""
    shown = sys.stderr.isatty()
    began = time.monotonic()
    bar: Any = None

    def update(done: int) -> None:
        nonlocal bar
        if bar is None and shown and time.monotonic() - began > _PATIENCE:
            from rich.console import Console
            from rich.progress import Progress

            bar = Progress(console=Console(stderr=True), transient=True)
            bar.add_task(what, total=total)
            bar.start()
        if bar is not None:
            bar.update(bar.task_ids[0], completed=done)

    try:
        yield update
    finally:
        if bar is not None:
            bar.stop()
