"""A place in a log that a client can come back to: the reader's positions, and how to find the rows after them."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from typing import Final, NamedTuple, Self

__all__ = ["START", "Cursor", "Mark"]

_TEXT: Final = re.compile(r"[0-9a-f]{8}(?:\.\d{1,18}\.[A-Za-z0-9_-]*){1,4}", re.ASCII)


class Mark(NamedTuple):
    """How far some kinds of frames were read.

    Attributes:
        end: all their rows whose order is below it.
        position: the reader's, behind them; empty before the first.

    """

    end: int
    position: str


START: Final = Mark(0, "")


class Cursor(NamedTuple):
    """Everything before ``marks`` has been seen.

    Attributes:
        identity: of the files; see `trainlog.live_log.log.Log`.
        marks: one for each group of kinds that is read together.

    """

    identity: str
    marks: tuple[Mark, ...]

    def __str__(self) -> str:
        parts = (f"{end}.{base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}" for end, text in self.marks)
        return ".".join((self.identity, *parts))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of ``str``.

        Raises:
            ValueError: for anything else.

        """
        if _TEXT.fullmatch(text) is not None:
            identity, *parts = text.split(".")
            with suppress(ValueError):  # of what is no base64, or no UTF-8
                marks = [
                    Mark(int(end), base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)).decode())
                    for end, code in zip(parts[::2], parts[1::2], strict=True)
                ]
                cursor = cls(identity, tuple(marks))
                if str(cursor) == text:
                    return cursor
        raise ValueError("it is no cursor of this server")

    def advanced(self, other: Cursor) -> Cursor:
        """The same cursor, or *other* of the same log where that is further on."""
        pairs = zip(self.marks, other.marks, strict=True)
        return Cursor(self.identity, tuple(its if its.end >= mine.end else mine for mine, its in pairs))
