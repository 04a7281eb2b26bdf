"""The vocabulary that every format is read into and written from: Kind, Frame, Variable, Header."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

__all__ = ["End", "EndState", "Frame", "Header", "Kind", "KindLike", "Role", "Variable"]

Role = Literal["state", "action", "reward", "stat"]

EndState = Literal["finished", "failed", "interrupted"]
"""How a run ended, according to its log: it completed, an exception ended it, or somebody stopped it."""


class Kind(enum.IntEnum):
    """What a frame describes. A number other than the four is kept as it is: ``Kind(7).name == "KIND_7"``.

    ``Kind("stats")``, ``Kind(2)`` and ``Kind.STATS`` are the same.

    Raises:
        ValueError: for an unknown name, or a number outside of 0 to 255.

    """

    EVOLUTION = 1
    STATS = 2
    EVENT = 3
    CREATURE = 4

    @classmethod
    def of(cls, kind: KindLike) -> Kind:
        """``Kind(kind)``, for type checkers, which do not know that it takes a name as well."""
        return kind if type(kind) is cls else cls(kind)  # type: ignore[arg-type]

    @classmethod
    def _missing_(cls, value: object) -> Kind | None:
        if isinstance(value, str):
            name = value.upper()
            if name in cls.__members__:
                return cls.__members__[name]
            number = name.removeprefix("KIND_")
            if number.isdecimal():
                return cls(int(number))
            raise ValueError(f"{value!r} is not a kind of frame; kinds are {', '.join(map(str, cls))}")
        if isinstance(value, int) and 0 <= value <= 255:
            member = int.__new__(cls, value)
            member._name_ = f"KIND_{value}"
            member._value_ = value
            return cls._value2member_map_.setdefault(value, member)  # type: ignore[return-value]
        return None

    def __reduce_ex__(self, protocol: object) -> tuple[type[Kind], tuple[int]]:
        """By number: some versions of Python 3.11 pickle by name, and only the four kinds have a name."""
        return Kind, (int(self),)

    def __str__(self) -> str:
        return self.name.lower()


KindLike = Kind | int | str


class Frame(NamedTuple):
    """One timestamped record.

    Attributes:
        time: seconds since the run began.
        kind: what it describes.
        data: the values by name; whatever the format can hold.

    """

    time: float
    kind: Kind
    data: Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Variable:
    """A declared column of a log.

    Attributes:
        name: its name in the experiment; not always unique.
        role: state, action, reward or stat.
        unit: for example ``m/s``; empty if none is declared.
        low, high: the declared range, or None.
        circular: True for an angle: ``low`` and ``high`` are the same point.
        key: the column's name in frames and tables, unique in its log.

    """

    name: str
    role: Role = "stat"
    unit: str = ""
    low: float | None = None
    high: float | None = None
    circular: bool = False
    key: str = ""

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", self.name)


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended.

    Attributes:
        state: see `EndState`.
        reason: what ended it, such as ``ValueError: the loss is NaN``; empty if there is nothing to say.
        time: when, in seconds since the run began.
        wall: when, in seconds since 1970.

    """

    state: EndState
    reason: str = ""
    time: float = 0.0
    wall: float = 0.0

    @classmethod
    def of(cls, said: Any) -> End | None:
        """The end in the map *said*, as a log stores it; None if it is not one."""
        if not isinstance(said, Mapping) or said.get("state") not in get_args(EndState):
            return None
        time, wall = (_finite(said.get(key)) for key in ("time", "wall"))
        return cls(said["state"], str(said.get("reason", "")), time, wall)


def _finite(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


@dataclass(frozen=True, slots=True)
class Header:
    """The facts that apply to the whole run.

    Attributes:
        meta: the metadata from the trainer: creature, task, scene, steps, device, seed, ...; including those that it
            added later.
        phase: a tag for the training phase, 0 to 255.
        variables: the declared columns, in the log's own order; empty if the format declares none.
        run: the facts that the recorder collected: when and where the run began, with which command, from which commit,
            with which versions; see docs/provenance.md. Empty for logs that no recorder wrote.
        end: how it ended; None while it is running, when it was killed, and for logs that do not say.

    """

    meta: Mapping[str, Any] = field(default_factory=dict)
    phase: int = 0
    variables: tuple[Variable, ...] = ()
    run: Mapping[str, Any] = field(default_factory=dict)
    end: End | None = None
