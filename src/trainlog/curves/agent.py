"""The metrics that the curve recorder reads from an agent."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from trainlog.errors import UnsupportedFrame

__all__ = ["AgentMetrics", "SupportsTrainingMetrics", "agent_metrics", "to_float", "to_whole"]

# The parts of an agent whose metrics are read after those of the agent itself, in this order.
_PARTS: Final = ("perception", "value_function", "reactive_policy", "transition_model")


class SupportsTrainingMetrics(Protocol):
    """An agent, or a part of one, that has metrics of its learning.

    All of this is optional: attributes that an agent does not have are not recorded. The recorder reads

    - ``agent.training_metrics()``, and those of the parts ``agent.perception``, ``agent.value_function``,
      ``agent.reactive_policy`` and ``agent.transition_model``. Of two metrics with the same name the later one counts.
    - ``agent.reactive_policy.epsilon``, or else ``agent.epsilon``: how often the agent explores.
    - ``agent.reactive_policy.options``, or ``._options``, or else ``agent.options``: how many options (skills) it
      has; a number, or a collection of options.
    """

    def training_metrics(self) -> Mapping[str, float]:
        """The current numbers by name: losses, entropies, ... The names can change from call to call."""
        ...


class AgentMetrics(NamedTuple):
    """The current metrics of an agent; None for what it does not have."""

    epsilon: float | None
    options: float | None
    metrics: dict[str, float]


def to_float(name: str, value: Any) -> float:
    """*value* as a float.

    Raises:
        UnsupportedFrame: when it is not a number; the message calls the value *name*.

    """
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UnsupportedFrame(f"{name} must be a number, not {value!r}") from error


def to_whole(name: str, value: Any) -> int:
    """*value* as an int.

    Raises:
        UnsupportedFrame: when it is not an integer; the message calls the value *name*.

    """
    try:
        return operator.index(value)  # exact, also where no float is
    except TypeError:
        pass
    try:
        number = int(value)
        if number == float(value):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise UnsupportedFrame(f"{name} must be a whole number, not {value!r}")


def agent_metrics(agent: Any) -> AgentMetrics:
    """The current metrics of *agent*, which can be None.

    Raises:
        UnsupportedFrame: when a metric is not a number.

    """
    metrics: dict[str, float] = {}
    for part in (agent, *(getattr(agent, name, None) for name in _PARTS)):
        read_metrics = getattr(part, "training_metrics", None)
        if callable(read_metrics):
            metrics |= {str(name): to_float(str(name), value) for name, value in read_metrics().items()}
    epsilon, options = _number_or_size(agent, "epsilon"), _number_or_size(agent, "options")
    policy = getattr(agent, "reactive_policy", None)
    if policy is not None:
        epsilon = _number_or_size(policy, "epsilon", epsilon or 0.0)
        options = _number_or_size(policy, "options", _number_or_size(policy, "_options", options or 0.0))
    return AgentMetrics(epsilon, options, metrics)


def _number_or_size(owner: Any, name: str, default: float | None = None) -> float | None:
    """The value of an attribute that is a number, or the size of one that is a collection."""
    value = getattr(owner, name, None)
    if value is None or callable(value):
        return default
    try:
        return float(len(value))
    except TypeError:
        return to_float(name, value)
