"""A log that is kept in another format, next to its target, until it is closed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trainlog.codec import Codec
from trainlog.errors import LogExists
from trainlog.model import Header
from trainlog.storage.replace import temporary_beside, write_errors
from trainlog.writers.combine import ForwardingWriter

__all__ = ["SpooledWriter"]


class SpooledWriter(ForwardingWriter):
    """Writes to the spool, and makes the log from it on close. A killed process leaves the spool behind."""

    def __init__(self, path: Path, header: Header, spool: Codec, finish: Callable[[Path, Path], object]) -> None:
        """Begin.

        Args:
            path: the log.
            header: its header.
            spool: the other format.
            finish: makes the log from the spool, which is complete; called with the paths of the spool and the log.

        """
        with write_errors("cannot create it", path):  # such as a name that is too long
            exists = path.exists()
        if exists:
            raise LogExists("there is a file already, and an existing log is never overwritten by default", path=path)
        self._path = path
        self._finish = finish
        self._spool = temporary_beside(path, spool.suffixes[0])
        super().__init__(spool.write(self._spool, header))
        self._done = False

    def close(self) -> None:
        """Make the log from the spool; can be called more than once.

        Raises:
            LogExists: when a file was created at its path meanwhile; that file is unchanged, and the spool is kept.

        """
        self._writer.close()
        if not self._done:
            try:
                self._finish(self._spool, self._path)
            except LogExists as error:
                raise LogExists(f"{error.message}; these frames are in {self._spool.name}", path=self._path) from error
            self._done = True
            self._spool.unlink()
