"""A place in a log from which a client can resume: the reader's positions, and how to find the rows after them."""

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
        end: all their rows with an order below it were read.
        position: the reader's position after them; empty before the first.

    """

    end: int
    position: str


START: Final = Mark(0, "")


class Cursor(NamedTuple):
    """Everything before ``marks`` has been seen.

    Attributes:
        identity: the identity of the files; see `trainlog.live_log.log.Log`.
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
            with suppress(ValueError):  # not base64, or not UTF-8
                marks = [
                    Mark(int(end), base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)).decode())
                    for end, code in zip(parts[::2], parts[1::2], strict=True)
                ]
                cursor = cls(identity, tuple(marks))
                if str(cursor) == text:
                    return cursor
        raise ValueError("it is not a cursor of this server")

    def advanced(self, other: Cursor) -> Cursor:
        """The cursor with those marks of *other*, a cursor of the same log, that are further on."""
        pairs = zip(self.marks, other.marks, strict=True)
        return Cursor(self.identity, tuple(its if its.end >= mine.end else mine for mine, its in pairs))
