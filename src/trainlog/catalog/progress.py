"""A progress bar for slow calls."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from trainlog.printable import printable

__all__ = ["progress_bar", "terminal_bar"]

_DELAY: Final = 1.0  # seconds before the bar appears


@contextmanager
def progress_bar(what: str, shown: bool | Callable[[int, int], object]) -> Iterator[Callable[[int, int], object]]:
    """Yield a function to call with the number of items done and the total.

    Args:
        what: the label of the bar.
        shown: whether to show a bar on a terminal, after a second; or the function to yield instead.

    """
    if callable(shown):
        yield shown
        return
    with terminal_bar(what, is_wanted=shown) as update:
        yield update


@contextmanager
def terminal_bar(what: str, *, is_wanted: bool = True) -> Iterator[Callable[[int, int | None], object]]:
    """Yield a function to call with the amount done and the total; a terminal shows a bar after a second."""
    is_shown = is_wanted and sys.stderr.isatty()
    begun = time.monotonic()
    bar: Any = None

    def update(done: int, total: int | None) -> None:
        nonlocal bar
        if bar is None and is_shown and time.monotonic() - begun > _DELAY:
            bar = _bar(what, total)
        if bar is not None:
            bar.update(bar.task_ids[0], completed=done, total=total)

    try:
        yield update
    finally:
        if bar is not None:
            bar.stop()


def _bar(what: str, total: int | None) -> Any:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    bar.add_task(escape(printable(what)), total=total)
    bar.start()
    return bar
