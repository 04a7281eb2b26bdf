"""A few values of one frame without the others, by msgspec where it is installed (``trainlog[speed]``).

A frame with 130 keys of which two are wanted takes an eighth of the time that all of them take. What is not wanted is
only passed: a timestamp that is none, or lists nested too deep, are not noticed in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

__all__ = ["chooser"]

Chooser = Callable[[bytes | memoryview], dict[str, Any] | None]

_MOST: Final = 32  # keys: msgspec compares each key of a frame with them, one by one
_PLAIN: Final = frozenset([float, int, bool, str, type(None)])


@lru_cache(maxsize=64)
def chooser(names: frozenset[str]) -> Chooser:
    """A function that gives the values of *names* in a payload, as far as it has them.

    It gives None where that needs a full look: the payload is no msgpack map of text keys, or a value is no number,
    text, bool or null.
    """
    try:
        import msgspec
    except ImportError:
        return _none
    if len(names) > _MOST:
        return _none
    unset = msgspec.UNSET
    ordered = sorted(names)
    fields = [(f"_{place}", Any, msgspec.field(name=name, default=unset)) for place, name in enumerate(ordered)]
    decode = msgspec.msgpack.Decoder(msgspec.defstruct("Chosen", fields)).decode
    values_of = msgspec.structs.astuple

    def choose(payload: bytes | memoryview) -> dict[str, Any] | None:
        try:
            values = values_of(decode(payload))
        except (msgspec.MsgspecError, RecursionError):
            return None
        chosen = {name: value for name, value in zip(ordered, values, strict=True) if value is not unset}
        return chosen if _PLAIN.issuperset(map(type, chosen.values())) else None

    return choose


def _none(payload: bytes | memoryview) -> None:
    return None
