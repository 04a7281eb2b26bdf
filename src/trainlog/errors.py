"""Every error that trainlog raises, and every warning that it gives.

::

    TrainlogError
    ├── LogNotFound        (FileNotFoundError)   there is nothing at that path
    ├── LogExists          (FileExistsError)     a log is never overwritten unless the caller says so
    ├── UnknownFormat      (ValueError)          no codec accepts this file
    ├── CodecError         (ValueError)          a codec cannot do what was asked of it
    │   └── CodecClash                           two codecs of one name
    ├── DamagedLog         (ValueError)          the bytes are not what the format says
    │   ├── TruncatedLog   (EOFError)            ... because they end too early
    │   └── CorruptLog                           ... because they are something else
    ├── InvalidPosition    (ValueError)          a position that is not in this log, or not any more
    ├── EmptyLog           (ValueError)          there are no frames of the kind that was asked for
    ├── UnsupportedFrame   (TypeError)           a value that the format cannot hold
    ├── ClosedLog          (ValueError)          the writer was closed, or belongs to another process
    ├── LogInUse           (BlockingIOError)     another process is writing this log
    ├── LogReadError       (OSError)             the system, or a storage, did not give the bytes
    ├── LogWriteError      (OSError)             the system did not take the bytes
    ├── SettingError       (ValueError)          an environment variable holds what it cannot mean
    ├── PlotError          (ValueError)          these logs do not hold what a figure was asked to show
    │   └── NothingToDraw                        no number in these logs varies
    ├── ExpressionError    (ValueError)          a gate or score that cannot be read, or cannot be computed
    ├── StatisticsError    (ValueError)          scores that an estimator cannot use
    └── MissingExtra       (ImportError)         an optional dependency is not installed

    TrainlogWarning        (UserWarning)
    ├── DamagedLogWarning                        bytes were skipped; says which
    └── LogWriteWarning                          a log cannot be written at present; says what is done about it

Each one is also the builtin that it resembles, so that ``except FileNotFoundError`` works as expected, and
knows the ``path`` and the byte ``offset`` that it speaks of (``None`` where there is none).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

__all__ = [
    "ClosedLog",
    "CodecClash",
    "CodecError",
    "CorruptLog",
    "DamagedLog",
    "DamagedLogWarning",
    "EmptyLog",
    "ExpressionError",
    "InvalidPosition",
    "LogExists",
    "LogInUse",
    "LogNotFound",
    "LogReadError",
    "LogWriteError",
    "LogWriteWarning",
    "MissingExtra",
    "NothingToDraw",
    "PlotError",
    "SettingError",
    "StatisticsError",
    "TrainlogError",
    "TrainlogWarning",
    "TruncatedLog",
    "UnknownFormat",
    "UnsupportedFrame",
    "raise_together",
]


class TrainlogError(Exception):
    """The root of all errors of this library.

    Attributes:
        message: one sentence: what, where, what to do.
        path: the file that it speaks of, or None.
        offset: the byte in that file, or None.

    """

    def __init__(self, message: str, *, path: str | os.PathLike[str] | None = None, offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        # A URL is no `Path`, and has what messages need.
        self.path: Path | None = path if path is None or hasattr(path, "as_uri") else Path(path)  # type: ignore[assignment]
        self.offset = offset

    def __str__(self) -> str:
        where = ""
        if self.path is not None and str(self.path) not in self.message:
            where += f"{self.path}: "
        at = "" if self.offset is None else f" (at byte {self.offset:,})"
        return f"{where}{self.message}{at}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process borders (pools, queues) by pickle; the default forgets the keywords.
        return _rebuild, (type(self), self.message, {**vars(self), "path": self.path})


def _rebuild(cls: type[TrainlogError], message: str, state: dict[str, Any]) -> TrainlogError:
    error = cls(message)
    for name, value in state.items():
        setattr(error, name, value)  # not by vars(): ImportError keeps its path elsewhere
    return error


class LogNotFound(TrainlogError, FileNotFoundError):
    """There is no log at that path."""


class LogExists(TrainlogError, FileExistsError):
    """A log is there already, and a log is never overwritten unless the caller says so."""


class UnknownFormat(TrainlogError, ValueError):
    """No codec takes this file."""


class CodecError(TrainlogError, ValueError):
    """A codec cannot do what was asked of it, or a plug-in's codec cannot be used."""


class CodecClash(CodecError):
    """Two distributions bring a codec of the same name."""


class DamagedLog(TrainlogError, ValueError):
    """The bytes of the file are not what its format says."""


class TruncatedLog(DamagedLog, EOFError):
    """The file ends inside a record: its writer was killed, or is still writing."""


class CorruptLog(DamagedLog):
    """There are bytes in the file that are no record."""


class InvalidPosition(TrainlogError, ValueError):
    """A position that does not fit the log: it was replaced or cut since, or training went back."""


class EmptyLog(TrainlogError, ValueError):
    """The log is whole, and has no frame of the kind that was asked for."""


class UnsupportedFrame(TrainlogError, TypeError):
    """A value that the format cannot hold.

    Attributes:
        key: where in the frame's data it stands, nested keys joined by ``/``.

    """

    key: str = ""


class ClosedLog(TrainlogError, ValueError):
    """The writer was closed, or belongs to the process that this one was forked from."""


FORKED: Final = "this log belongs to the process that this one was forked from; open one of its own"


class LogInUse(TrainlogError, BlockingIOError):
    """Another process, or another writer of this one, is writing the log; the message names it."""


class LogReadError(TrainlogError, OSError):
    """The operating system, or an object storage, did not give the bytes of a log that is there."""


class LogWriteError(TrainlogError, OSError):
    """The operating system did not take the bytes; what was written before is whole."""


class SettingError(TrainlogError, ValueError):
    """An environment variable holds what it cannot mean; the message names it."""


class PlotError(TrainlogError, ValueError):
    """These logs do not hold what a figure was asked to show."""


class NothingToDraw(PlotError):
    """There is no figure, as no number in these logs varies, or none is finite."""


class ExpressionError(TrainlogError, ValueError):
    """An expression that cannot be read, or cannot be computed from a log; the message points at the place.

    Attributes:
        expression: all of it.
        column: the letter where it goes wrong, from 1.

    """

    expression: str = ""
    column: int = 1


class StatisticsError(TrainlogError, ValueError):
    """Scores that an estimator cannot use, such as a task without runs."""


class MissingExtra(TrainlogError, ImportError):  # type: ignore[misc]  # both have a path
    """An optional dependency is not installed; the message names the extra that brings it."""


class TrainlogWarning(UserWarning):
    """The root of all warnings of this library."""


class DamagedLogWarning(TrainlogWarning):
    """Bytes that are no record were skipped; the records before and after them were read."""


class LogWriteWarning(TrainlogWarning):
    """A log cannot be written as it should be at present; says what becomes of the frames."""


def raise_together(errors: Sequence[BaseException], message: str) -> None:
    """Raise the only one of *errors*, or several of them as a group with *message*; without any, do nothing."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup(message, errors)  # an ExceptionGroup, where each is an Exception
