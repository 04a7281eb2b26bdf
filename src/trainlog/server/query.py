"""The parameters of a request, each with a limit; a wrong one is refused with a sentence that names it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request

from trainlog.conventions import AXES, AXIS_ALIASES, AxisName
from trainlog.model import Kind
from trainlog.name_list import parse_names
from trainlog.server.responses import ApiError

__all__ = ["LETTERS", "PARAMETERS", "Query", "json_body", "takes", "wrong"]

LETTERS: Final = 32_768  # maximum length of one parameter
NAMES: Final = 200  # keys in one request
BODY: Final = 4 << 20  # bytes
PARAMETERS: Final[dict[Callable[..., Any], tuple[str, ...]]] = {}
"""By endpoint, see `takes`."""

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Word = TypeVar("Word", bound=str)


def takes(*names: str) -> Callable[[Endpoint], Endpoint]:
    """Declare the parameters of an endpoint, for validation and documentation; required ones end with ``!``.

    A name that starts with ``{`` is a part of the address.
    """

    def declare(endpoint: Endpoint) -> Endpoint:
        PARAMETERS[endpoint] = names
        return endpoint

    return declare


async def json_body(request: Request) -> dict[str, Any]:
    """The body of a request, a JSON object.

    Raises:
        ApiError: if it is not, or is too long.

    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise ApiError(415, "body", "the body must be JSON")
    parts = bytearray()
    try:
        async for part in request.stream():
            parts += part
            if len(parts) > BODY:
                raise ApiError(413, "body", "the body is too long")
    except ClientDisconnect:
        raise ApiError(400, "body", "the body ends too early") from None
    try:
        body = json.loads(parts)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ApiError(400, "body", "the body is not a JSON object")
    return body


def wrong(message: str) -> ApiError:
    """The error for an invalid parameter."""
    return ApiError(400, "parameter", message)


class Query:
    """The parameters of *request*.

    Every method raises `ApiError` (400) for invalid values.
    """

    def __init__(self, request: Request, *, others: bool = False) -> None:
        """Parse the parameters that the endpoint `takes`; all others are ignored with *others*, otherwise refused."""
        declared = PARAMETERS[request.scope["endpoint"]]
        known = [name.rstrip("!") for name in declared if name[0] != "{"]
        self._needed = {name[:-1] for name in declared if name[-1] == "!"}
        self._values: dict[str, str] = {}
        for name, value in request.query_params.multi_items():
            if name == "token" or (others and name not in known):
                continue
            if name not in known:
                there_are = f"there are {', '.join(known)}" if known else "there are none"
                raise wrong(f"there is no parameter {name[:40]!r}; {there_are}")
            if name in self._values:
                raise wrong(f"{name} is given twice")
            if len(value) > LETTERS or "\0" in value:
                raise wrong(f"{name} is too long, or not a text")
            self._values[name] = value
        for name in sorted(self._needed):
            if not self._values.get(name):
                raise wrong(f"the parameter {name} is missing")

    def text(self, name: str, default: str = "", *, most: int = 1024) -> str:
        """A text of at most *most* characters."""
        value = self._values.get(name, default)
        if len(value) > most:
            raise wrong(f"{name} is longer than {most} characters")
        return value

    def names(self, name: str, *, most: int = NAMES) -> list[str] | None:
        """Names, as parsed by `parse_names`; None without the parameter. A required one has at least one name."""
        if name not in self._values:
            return None
        names = parse_names(self._values[name])
        if not names and name in self._needed:
            raise wrong(f"{name} contains no name")
        if len(names) > most:
            raise wrong(f"{name} has {len(names):,} names; at most {most:,} are allowed at a time")
        return names

    def one_of(self, name: str, known: Sequence[Word], default: Word) -> Word:
        """One of the *known* words."""
        value = self._values.get(name, default)
        for word in known:
            if value == word:
                return word
        raise wrong(f"{name} must be one of {', '.join(known)}")

    def axis(self) -> AxisName:
        """An axis by its name, or by a former name."""
        value = self._values.get("x", "time")
        self._values["x"] = AXIS_ALIASES.get(value, value)
        return self.one_of("x", AXES, "time")

    def parse_int(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number from *low* to *high*."""
        value = self._values.get(name, str(default))
        if not (value.isascii() and value.removeprefix("-").isdecimal() and len(value) < 19):
            raise wrong(f"{name} must be a whole number")
        if not low <= int(value) <= high:
            raise wrong(f"{name} must be from {low} to {high}")
        return int(value)

    def number(self, name: str) -> float | None:
        """A finite number; None if the parameter is missing."""
        found = self._numbers(name, 1, "a number")
        return found[0] if found else None

    def pair(self, name: str) -> tuple[float, float] | None:
        """Two finite numbers with a colon between them; None if the parameter is missing."""
        found = self._numbers(name, 2, "two numbers with a colon between them")
        return (found[0], found[1]) if found else None

    def _numbers(self, name: str, count: int, what: str) -> list[float]:
        text = self._values.get(name)
        if not text:
            return []
        with suppress(ValueError):
            found = [float(part) for part in text.split(":")]
            if len(found) == count and all(map(math.isfinite, found)):
                return found
        raise wrong(f"{name} must be {what}")

    def smoothing(self) -> float | None:
        """An argument for `trainlog.plot.smoothing.smoothed`: None for ``auto``, 0 if the parameter is missing."""
        if self._values.get("smooth") == "auto":
            return None
        number = self.number("smooth") or 0.0
        if not (0 <= number < 1 or (2 <= number < 2**53 and number.is_integer())):
            raise wrong("smooth must be auto, a window of values, or a weight between 0 and 1")
        return number

    def kind(self, default: str) -> Kind:
        """A kind of frame by its name."""
        try:
            return Kind.of(self.text("kind", default, most=16).lower())
        except ValueError as error:
            raise wrong(str(error)) from error
