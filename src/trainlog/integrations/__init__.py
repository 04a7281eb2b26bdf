"""Integrations with third-party trainers and loggers: one module for each, imported only by its users.

This package has their shared code: extracting numbers from the values of a library, and answering calls whose data a
log cannot hold.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainlog.codecs.frame_payload import storable
from trainlog.codecs.plain_object import as_array
from trainlog.errors import TrainlogWarning

__all__ = ["NotKept", "configuration", "is_number", "number", "numbered", "settings_with", "stats"]


class NotKept:
    """Warns once about each thing that the log does not keep."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, what: str, stacklevel: int = 3) -> None:
        """Warn that *what* is not kept, the first time."""
        if what not in self._said:
            self._said.add(what)
            warnings.warn(TrainlogWarning(f"a log of trainlog does not keep {what}"), stacklevel=stacklevel)


def numbered(path: Path) -> Iterator[Path]:
    """Yield *path*, then names next to it for when it is taken: ``run-2.flog``, ``run-3.flog``, ..."""
    yield path
    for n in itertools.count(2):
        yield path.with_stem(f"{path.stem}-{n}")


def number(value: Any) -> Any:
    """The number in a tensor or array with one element; any other value as it is."""
    if hasattr(value, "__array__") and not isinstance(value, str):
        array = as_array(value)
        return array.reshape(()).item() if array.size == 1 else array
    return value


def is_number(value: Any) -> bool:
    """Whether *value*, a result of `number`, is a number."""
    return isinstance(value, int | float)


def stats(values: Mapping[str, Any], step: Any = None) -> dict[str, Any]:
    """The stats frame of *values*, with their step as ``step``; a value of that name becomes ``step#2``."""
    if step is None:
        return {key: number(value) for key, value in values.items()}
    return {"step": number(step), **{"step#2" if key == "step" else key: number(one) for key, one in values.items()}}


def configuration(values: Mapping[Any, Any]) -> dict[str, Any]:
    """A configuration with text keys; values that a log cannot hold become text, functions and classes their name."""
    return {str(key): storable(one, _name) for key, one in values.items()}


def settings_with(facts: Mapping[str, Any], given: Mapping[str, Any], *, again: bool) -> dict[str, Any]:
    """The arguments of a recorder: those that were *given*, and *facts* of the library as metadata.

    Metadata that were given precede *facts*. A log that was started before is continued *again*.
    """
    merged = {**given, "metadata": {**facts, **(given.get("metadata") or {})}}
    return merged | ({"resume": True, "overwrite": False} if again else {})


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else str(value)
