"""Ticker: a thread that calls a method at a fixed interval."""

from __future__ import annotations

import math
import os
import queue
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, SupportsFloat

__all__ = ["Ticker", "check_interval", "interrupts", "wait_until"]


class Ticker:
    """Calls a method at a fixed interval in a thread of its own, until ``stop``, or until its object is deleted.

    It does not keep the object alive.
    """

    def __init__(self, seconds: float, method: Callable[[], object], name: str) -> None:
        """Start the thread.

        Args:
            seconds: the time between two calls, greater than 0.
            method: a bound method, which must not raise.
            name: the name of the thread.

        Raises:
            ValueError: when *seconds* is not a valid interval.

        """
        check_interval(seconds)
        self._pid = os.getpid()  # a forked child has no such thread
        # Not an Event or Condition: their methods are Python code, and an exception from a signal handler would leave
        # them locked.
        self._stop: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._ended = threading.Lock()  # an interrupted Thread.join marks a running thread as ended
        arguments = (self._stop, self._ended, seconds, weakref.WeakMethod(method))
        self._thread = threading.Thread(target=_run, args=arguments, name=name, daemon=True)
        self._thread.start()

    def stop(self, *, wait: bool = True) -> None:
        """End the thread, and wait for it; can be called again, even if an exception interrupted the first call."""
        self._stop.put(None)
        if wait and self._thread is not threading.current_thread() and self._pid == os.getpid():
            wait_until(self._ended.locked)


def check_interval(seconds: float) -> None:
    """Raise ValueError or TypeError when *seconds* is not a valid interval."""
    if not isinstance(seconds, SupportsFloat):
        raise TypeError(f"the interval is a number of seconds, not {seconds!r}")
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        most = f"{threading.TIMEOUT_MAX:.0f}"  # some hundred years
        raise ValueError(f"the interval is more than 0 seconds, and {most} at most, not {seconds!r}")


def interrupts(lock: threading.RLock | None) -> bool:
    """Whether this code runs in a signal handler or finalizer that interrupted code which holds *lock*.

    It must not wait for another thread then, which may be waiting for that lock. The caller must not hold the lock
    itself.
    """
    return lock is not None and lock._is_owned()  # type: ignore[attr-defined]  # as Condition does


def wait_until(condition: Callable[[], bool], seconds: float = math.inf) -> None:
    """Wait until *condition* holds, for at most *seconds*; an exception from a signal handler leaves nothing locked.

    It does not wait once the interpreter has ended its daemon threads, because their work is never done.
    """
    pause, until = 1e-4, time.monotonic() + seconds
    while not condition() and time.monotonic() < until and not sys.is_finalizing():
        time.sleep(pause)
        pause = min(2 * pause, 0.01)


def _run(stop: queue.SimpleQueue[None], ended: threading.Lock, seconds: float, method: weakref.WeakMethod[Any]) -> None:
    try:
        while True:
            try:
                stop.get(timeout=seconds)
            except queue.Empty:
                call = method()
                if call is None:
                    return
                call()
                del call
            else:
                return
    finally:
        ended.acquire()
