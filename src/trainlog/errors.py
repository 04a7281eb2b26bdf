"""Every error and warning of trainlog.

::

    TrainlogError
    ├── LogNotFound        (FileNotFoundError)   there is nothing at that path
    ├── LogExists          (FileExistsError)     a log is never overwritten unless the caller says so
    ├── UnknownFormat      (ValueError)          no codec accepts this file
    ├── CodecError         (ValueError)          a codec does not support the operation
    │   └── CodecClash                           two codecs have the same name
    ├── DamagedLog         (ValueError)          the bytes do not follow the format
    │   ├── TruncatedLog   (EOFError)            ... because they end too early
    │   └── CorruptLog                           ... because they are something else
    ├── InvalidPosition    (ValueError)          a position that is not, or no longer, in this log
    ├── EmptyLog           (ValueError)          there are no frames of the requested kind
    ├── UnsupportedFrame   (TypeError)           a value that the format cannot hold
    ├── ClosedLog          (ValueError)          the writer was closed, or belongs to another process
    ├── LogInUse           (BlockingIOError)     another process is writing this log
    ├── LogReadError       (OSError)             the system or a storage failed to read
    ├── LogWriteError      (OSError)             the system failed to write
    ├── SettingError       (ValueError)          an environment variable has an invalid value
    ├── PlotError          (ValueError)          these logs do not hold what a figure should show
    │   └── NothingToDraw                        no number in these logs varies
    ├── ExpressionError    (ValueError)          a gate or score that cannot be parsed or computed
    ├── StatisticsError    (ValueError)          scores that an estimator cannot use
    └── MissingExtra       (ImportError)         an optional dependency is not installed

    TrainlogWarning        (UserWarning)
    ├── DamagedLogWarning                        bytes were skipped; says which
    └── LogWriteWarning                          a log cannot be written at present; says what is done about it

Each one is also a subclass of the builtin that it resembles, so that ``except FileNotFoundError`` works as expected.
It has the ``path`` and the byte ``offset`` that it refers to (``None`` if there is none).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from trainlog.redaction import without_passwords

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
    """The base class of all errors of this library.

    Attributes:
        message: one sentence: what, where, what to do.
        path: the file that it refers to, or None.
        offset: the byte in that file, or None.

    """

    def __init__(self, message: str, *, path: str | os.PathLike[str] | None = None, offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        # A URL is not a `Path`, but has everything that messages need.
        self.path: Path | None = path if path is None or hasattr(path, "as_uri") else Path(path)  # type: ignore[assignment]
        self.offset = offset

    def __str__(self) -> str:
        where = ""
        if self.path is not None and str(self.path) not in self.message:
            where += f"{self.path}: "
        at = "" if self.offset is None else f" (at byte {self.offset:,})"
        return without_passwords(f"{where}{self.message}{at}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process boundaries (pools, queues) by pickle, which drops keyword arguments by default.
        return _rebuild, (type(self), self.message, {**vars(self), "path": self.path})


def _rebuild(cls: type[TrainlogError], message: str, state: dict[str, Any]) -> TrainlogError:
    error = cls(message)
    for name, value in state.items():
        setattr(error, name, value)  # not by vars(): ImportError keeps its path elsewhere
    return error


class LogNotFound(TrainlogError, FileNotFoundError):
    """There is no log at that path."""


class LogExists(TrainlogError, FileExistsError):
    """The log already exists, and a log is never overwritten unless the caller says so."""


class UnknownFormat(TrainlogError, ValueError):
    """No codec accepts this file."""


class CodecError(TrainlogError, ValueError):
    """A codec does not support the operation, or a plug-in's codec cannot be used."""


class CodecClash(CodecError):
    """Two distributions provide a codec of the same name."""


class DamagedLog(TrainlogError, ValueError):
    """The bytes of the file do not follow its format."""


class TruncatedLog(DamagedLog, EOFError):
    """The file ends inside a record: its writer was killed, or is still writing."""


class CorruptLog(DamagedLog):
    """The file contains bytes that are not a record."""


class InvalidPosition(TrainlogError, ValueError):
    """A position that does not fit the log: the log was replaced or cut since, or training went back."""


class EmptyLog(TrainlogError, ValueError):
    """The log is intact, but has no frame of the requested kind."""


class UnsupportedFrame(TrainlogError, TypeError):
    """A value that the format cannot hold.

    Attributes:
        key: its key in the frame's data, nested keys joined by ``/``.

    """

    key: str = ""


class ClosedLog(TrainlogError, ValueError):
    """The writer was closed, or belongs to the process that this one was forked from."""


FORKED: Final = "this log belongs to the process that this one was forked from; open one of its own"


class LogInUse(TrainlogError, BlockingIOError):
    """Another process, or another writer in this process, is writing the log; the message names it."""


class LogReadError(TrainlogError, OSError):
    """The operating system or an object storage failed to read a log that exists."""


class LogWriteError(TrainlogError, OSError):
    """The operating system failed to write; everything written before is intact."""


class SettingError(TrainlogError, ValueError):
    """An environment variable has an invalid value; the message names it."""


class PlotError(TrainlogError, ValueError):
    """These logs do not hold what a figure should show."""


class NothingToDraw(PlotError):
    """There is no figure, because no number in these logs varies, or none is finite."""


class ExpressionError(TrainlogError, ValueError):
    """An expression that cannot be parsed, or cannot be computed from a log; the message points at the place.

    Attributes:
        expression: the full text.
        column: the position of the character where it goes wrong, from 1.

    """

    expression: str = ""
    column: int = 1


class StatisticsError(TrainlogError, ValueError):
    """Scores that an estimator cannot use, such as a task without runs."""


class MissingExtra(TrainlogError, ImportError):  # type: ignore[misc]  # both have a path
    """An optional dependency is not installed; the message names the extra that provides it."""


class TrainlogWarning(UserWarning):
    """The base class of all warnings of this library."""

    def __str__(self) -> str:
        return without_passwords(super().__str__())


class DamagedLogWarning(TrainlogWarning):
    """Bytes that are not a record were skipped; the records before and after them were read."""


class LogWriteWarning(TrainlogWarning):
    """A log cannot be written as it should be at present; the message says what happens to the frames."""


def raise_together(errors: Sequence[BaseException], message: str) -> None:
    """Raise a single error of *errors*, or several as a group with *message*; without any, do nothing."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup(message, errors)  # an ExceptionGroup, if each is an Exception
