"""Ticker: a thread that calls a method at a fixed interval."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["Ticker"]


class Ticker:
    """Calls a method at a fixed interval in a thread of its own, until ``stop``, or until its object is deleted.

    It does not keep the object alive.
    """

    def __init__(self, seconds: float, method: Callable[[], object], name: str) -> None:
        """Start the thread.

        Args:
            seconds: between two calls, more than 0.
            method: a bound method, which must not raise.
            name: of the thread.

        Raises:
            ValueError: when *seconds* is not more than 0.

        """
        if not seconds > 0:
            raise ValueError(f"the interval is more than 0 seconds, not {seconds!r}")
        self._stop = threading.Event()
        arguments = (self._stop, seconds, weakref.WeakMethod(method))
        self._thread = threading.Thread(target=_run, args=arguments, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait until it has; may be called again."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()


def _run(stop: threading.Event, seconds: float, method: weakref.WeakMethod[Any]) -> None:
    while not stop.wait(seconds):
        call = method()
        if call is None:
            return
        call()
        del call
