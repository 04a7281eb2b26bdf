"""How a run ends: what ended the process, or the block, in which its log was open.

The interpreter stores an uncaught exception in ``sys.last_value``, and passes one of a thread to
``threading.excepthook``, which is wrapped. It does not store the argument of ``sys.exit``, so ``sys.exit`` is wrapped,
too. Both are wrapped when the first recorder is opened. No signal handler is installed: a process that is killed by a
signal without a handler records no end.
"""

from __future__ import annotations

import atexit
import builtins
import functools
import os
import signal
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from trainlog.errors import raise_together
from trainlog.model import EndState

__all__ = ["ClosedByBlock", "Ending", "all_open", "close_first", "ending_of", "open_logs", "stay_informed"]

_LETTERS: Final = 500

Ending = tuple[EndState, str]
"""The state, and the reason."""

FINISHED: Final[Ending] = ("finished", "")
_NO_END: Final[Ending] = ("interrupted", "the session ended while the log was open")
# The exit codes that a shell reports for a process killed by one of these signals.
_BY_SIGNAL: Final = {128 + number: number.name for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}


class ClosedByBlock(ABC):
    """Closed at the end of its ``with`` block, with the way in which the block ended."""

    @abstractmethod
    def close(self, state: EndState | None = None, reason: str = "") -> None:
        """Close it; see `trainlog.TrainingRecorder.close`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(*ending_of(value))


open_logs: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""The open `trainlog.TrainingRecorder`s of this process by their ``id``; they are informed of its end."""

_known_error: BaseException | None = None  # the last uncaught error from before the first log was opened
_informed = 0  # the process that was informed last


def all_open() -> list[Any]:
    """The recorders in `open_logs`, also while other threads open and close some."""
    return [log for found in open_logs.valuerefs() if (log := found()) is not None]


def ending_of(error: BaseException | None) -> Ending:
    """The ending of a run that *error* ended.

    Errors, and exit codes that signal one, are failures; an exit code of 0 is not. Ctrl-C and other exceptions that are
    not errors (a cancelled task) are interruptions, as are the exit codes that stand for SIGINT, SIGTERM and SIGHUP.
    """
    match error:
        case None:
            return FINISHED
        case SystemExit(code=code):
            return _exited(code)
        case Exception():
            return "failed", _words(error)
    return "interrupted", _words(error)


def _exited(code: Any) -> Ending:
    """The ending of a run that left by ``sys.exit(code)``."""
    if code is None or code == 0:
        return FINISHED
    if isinstance(code, int) and code in _BY_SIGNAL:
        return "interrupted", _BY_SIGNAL[code]
    return "failed", f"SystemExit: {code}"[:_LETTERS]


def _words(error: BaseException) -> str:
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - third-party code, which can fail in any way
        said = ""
    name = type(error).__name__
    return (f"{name}: {said}" if said else name)[:_LETTERS]


def stay_informed() -> None:
    """Install the hooks that detect the end of the process; can be called again."""
    global _informed, _known_error
    before, _informed = _informed, os.getpid()
    if before == _informed:
        return
    if not before:  # a forked child has the hooks of its parent
        _known_error = getattr(sys, "last_value", None)
        sys.exit = _calling_through(sys.exit)
        threading.excepthook = _telling_first(threading.excepthook)
    if "multiprocessing.process" in sys.modules:
        _at_the_end_of_a_child()


def _calling_through(leave: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(leave)
    def exit(status: Any = None, /) -> Any:
        ending = _exited(status)
        for log in all_open():
            log.note(ending)
        return leave(status)

    return exit


def _telling_first(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def excepthook(args: Any, /) -> Any:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            state, reason = ending_of(args.exc_value)
            name = "" if args.thread is None else f" in the thread {args.thread.name}"
            for log in all_open():
                log.note((state, reason + name))
        return hook(args)

    return excepthook


def _at_the_end_of_a_child() -> None:
    """Close the logs of a `multiprocessing` child, which skips `atexit` and ends while its exception propagates.

    From Python 3.13 on, its exception is gone when it ends: the logs are closed when the child prints it.
    """
    import traceback
    from multiprocessing import process, util

    if process.parent_process() is not None:
        util.Finalize(None, _close_all, exitpriority=100)
        traceback.print_exc = _closing_first(traceback.print_exc, vars(process))


def _closing_first(print_exc: Callable[..., None], module: dict[str, Any]) -> Callable[..., None]:
    @functools.wraps(print_exc)
    def closing_first(*args: Any, **options: Any) -> None:
        try:
            if sys._getframe(1).f_globals is module:
                _close_all()
        finally:
            print_exc(*args, **options)

    return closing_first


def close_first() -> None:
    """Close the logs before everything else that is registered so far for the end of the process."""
    atexit.unregister(_close_all)
    atexit.register(_close_all)


@atexit.register
def _close_all() -> None:
    """Close every log, even if others fail to close; raises their errors."""
    ending = _ending_of_the_process()
    errors: list[BaseException] = []
    for log in all_open():
        try:
            log.close_at_exit(ending)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)
    raise_together(errors, "several logs could not be closed")


def _ending_of_the_process() -> Ending | None:
    """How the process ends; None when no exception in its main thread says so."""
    if hasattr(sys, "ps1") or hasattr(builtins, "__IPYTHON__"):
        return _NO_END  # an interactive session shows errors and continues
    if (error := sys.exc_info()[1]) is not None:
        return ending_of(error)
    last = getattr(sys, "last_value", None)
    return ending_of(last) if last is not None and last is not _known_error else None
