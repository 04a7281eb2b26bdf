"""The parameters of a request, each with a limit; what is wrong is refused with a sentence that names it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from starlette.requests import Request

from trainlog.conventions import AXES, AXIS_ALIASES, AxisName
from trainlog.model import Kind
from trainlog.server.responses import ApiError

__all__ = ["Query", "json_body"]

LETTERS: Final = 32_768  # of one parameter
NAMES: Final = 200  # keys in one request
BODY: Final = 4 << 20  # bytes

Word = TypeVar("Word", bound=str)


async def json_body(request: Request) -> dict[str, Any]:
    """The body of a request, a JSON object.

    Raises:
        ApiError: when it is none, or too long.

    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise ApiError(415, "body", "the body is JSON")
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > BODY:
            raise ApiError(413, "body", "the body is too long")
    try:
        body = json.loads(parts)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ApiError(400, "body", "the body is no JSON object")
    return body


class Query:
    """The parameters of *request*.

    Every method raises `ApiError` (400) for what it cannot take.
    """

    def __init__(self, request: Request, known: Sequence[str], *, others: bool = False) -> None:
        """Take the *known* parameters; *others* are refused, or left out where a program may send what it likes."""
        self._values: dict[str, str] = {}
        for name, value in request.query_params.multi_items():
            if name == "token":
                continue
            if name not in known and others:
                continue
            if name not in known:
                raise ApiError(400, "parameter", f"there is no parameter {name[:40]!r}; there are {', '.join(known)}")
            if name in self._values:
                raise ApiError(400, "parameter", f"{name} is given twice")
            if len(value) > LETTERS or "\0" in value:
                raise ApiError(400, "parameter", f"{name} is too long, or no text")
            self._values[name] = value

    def text(self, name: str, default: str | None = None, *, most: int = 1024) -> str:
        """A text of at most *most* letters."""
        value = self._values.get(name, default)
        if value is None:
            raise ApiError(400, "parameter", f"the parameter {name} is missing")
        if len(value) > most:
            raise ApiError(400, "parameter", f"{name} is longer than {most} letters")
        return value

    def names(self, name: str, *, most: int = NAMES) -> list[str] | None:
        """Names with commas between them, or a JSON list of names that may have some; None without the parameter."""
        if name not in self._values:
            return None
        found: Any = self._values[name].split(",")
        if self._values[name].startswith("["):
            with suppress(ValueError):  # a name that begins so
                found = json.loads(self._values[name])
        names = list(dict.fromkeys(one for one in found if one and isinstance(one, str)))
        if len(names) > most:
            raise ApiError(400, "parameter", f"{name} has more than {most} names")
        return names

    def one_of(self, name: str, known: Sequence[Word], default: Word) -> Word:
        """One of the *known* words."""
        value = self._values.get(name, default)
        for word in known:
            if value == word:
                return word
        raise ApiError(400, "parameter", f"{name} is one of {', '.join(known)}")

    def axis(self, name: str = "x") -> AxisName:
        """An axis by its name, or by one that it had before."""
        value = self._values.get(name, "time")
        value = AXIS_ALIASES.get(value, value)
        for axis in AXES:
            if value == axis:
                return axis
        raise ApiError(400, "parameter", f"{name} is one of {', '.join(AXES)}")

    def parse_int(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number from *low* to *high*."""
        value = self._values.get(name, str(default))
        if not (value.isascii() and value.removeprefix("-").isdecimal() and len(value) < 19):
            raise ApiError(400, "parameter", f"{name} is a whole number")
        number = int(value)
        if not low <= number <= high:
            raise ApiError(400, "parameter", f"{name} is from {low} to {high}")
        return number

    def number(self, name: str) -> float | None:
        """A finite number, None when the parameter is missing."""
        if not self._values.get(name):
            return None
        try:
            number = float(self._values[name])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ApiError(400, "parameter", f"{name} is a number")
        return number

    def smoothing(self) -> float | None:
        """What `trainlog.plot.smoothing.smoothed` takes: None for ``auto``, 0 when the parameter is missing."""
        if self._values.get("smooth") == "auto":
            return None
        number = self.number("smooth") or 0.0
        if not (0 <= number < 1 or (2 <= number < 2**53 and number.is_integer())):
            raise ApiError(400, "parameter", "smooth is auto, a window of values, or a weight between 0 and 1")
        return number

    def pair(self, name: str) -> tuple[float, float] | None:
        """Two finite numbers with a colon between them, None when the parameter is missing."""
        if not self._values.get(name):
            return None
        try:
            low, high = map(float, self._values[name].split(":"))
        except ValueError:
            low = high = math.nan
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ApiError(400, "parameter", f"{name} is two numbers with a colon between them")
        return low, high

    def kind(self, name: str, default: str) -> Kind:
        """A kind of frame by its name."""
        try:
            return Kind.of(self.text(name, default, most=16).lower())
        except ValueError as error:
            raise ApiError(400, "parameter", str(error)) from error
