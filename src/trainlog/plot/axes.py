"""The x axes of figures."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.conventions import AxisName

__all__ = ["Axis", "Floats"]

Floats = npt.NDArray[np.float64]

_LABELS: Final = {"gen": "generation", "it": "iteration"}


class Axis(NamedTuple):
    """The x axis of a figure.

    Attributes:
        name: one of `trainlog.conventions.AXES`.
        label: the text below the axis.
        unit: ``s`` for times.

    """

    name: AxisName
    label: str
    unit: str | None = None

    @classmethod
    def of(cls, name: AxisName, key: str) -> Axis:
        """Make the axis *name* with the values of the column *key*; an empty key means computed values."""
        if name == "time":
            return cls(name, "time", "s")
        if name == "sim_time":
            return cls(name, "simulated time", "s")
        label = key.rpartition("/")[2] or name
        return cls(name, _LABELS.get(label, label).replace("_", " "))
