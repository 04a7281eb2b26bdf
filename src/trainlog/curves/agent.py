"""What the curve recorder asks of an agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from trainlog.errors import UnsupportedFrame

__all__ = ["COMPONENTS", "Measured", "Snapshot", "number", "snapshot"]

# The parts of an agent that are asked for metrics besides the agent itself, in this order.
COMPONENTS: Final = ("perception", "value_function", "reactive_policy", "transition_model")


class Measured(Protocol):
    """An agent, or a part of one, that can say how its learning goes.

    An agent needs nothing at all: what it does not have is not recorded. Looked at are

    - ``agent.training_metrics()``, and that of each of the parts ``agent.perception``, ``agent.value_function``,
      ``agent.reactive_policy`` and ``agent.transition_model`` that there are. Of two of one name the later counts.
    - ``agent.reactive_policy.epsilon``, or else ``agent.epsilon``: how often the agent explores.
    - ``agent.reactive_policy.options``, or ``._options``, or else ``agent.options``: how many options (skills) it
      has; a number, or a collection of them.
    """

    def training_metrics(self) -> Mapping[str, float]:
        """Numbers by name, as they are now: losses, entropies, ... They may change from call to call."""
        ...


class Snapshot(NamedTuple):
    """What an agent said of itself; None is what it did not say."""

    epsilon: float | None
    options: float | None
    metrics: dict[str, float]


def number(name: str, value: Any) -> float:
    """*value* as a float.

    Raises:
        UnsupportedFrame: when it is no number.

    """
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UnsupportedFrame(f"{name} must be a number, not {value!r}") from error


def snapshot(agent: Any) -> Snapshot:
    """Ask *agent*, which may be None.

    Raises:
        UnsupportedFrame: when a metric is no number.

    """
    metrics: dict[str, float] = {}
    for part in (agent, *(getattr(agent, name, None) for name in COMPONENTS)):
        measure = getattr(part, "training_metrics", None)
        if callable(measure):
            metrics |= {str(name): number(str(name), value) for name, value in measure().items()}
    policy = getattr(agent, "reactive_policy", None)
    if policy is None:
        return Snapshot(_number_of(agent, "epsilon"), _number_of(agent, "options"), metrics)
    epsilon = _number_of(policy, "epsilon", _number_of(agent, "epsilon", 0.0))
    options = _number_of(policy, "options", _number_of(policy, "_options", _number_of(agent, "options", 0.0)))
    return Snapshot(epsilon, options, metrics)


def _number_of(thing: Any, name: str, otherwise: float | None = None) -> float | None:
    """An attribute that is a number, or how many there are in one that is a collection."""
    value = getattr(thing, name, None)
    if value is None or callable(value):
        return otherwise
    try:
        return float(len(value))
    except TypeError:
        return number(name, value)
