"""What an expression comes to in a log."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.draw import moving_average
from trainlog.model import Kind
from trainlog.plot import Run
from trainlog.plot.columns import Columns
from trainlog.plot.seeds import center_of
from trainlog.report.language import (
    Binary,
    Call,
    Column,
    Compare,
    Item,
    Logic,
    Node,
    Number,
    Part,
    Share,
    Unary,
    Word,
    fail,
    parse,
)

__all__ = ["FUNCTIONS", "Gate", "GateResult", "judge", "measure"]

Floats = npt.NDArray[np.float64]
Value = float | bool | Floats

_KINDS: Final = (Kind.STATS, Kind.EVOLUTION, Kind.CREATURE)
_SIGNS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def _of_some(function: Callable[[Floats], Any]) -> Callable[[Floats], float]:
    """*function*, NaN for a column without values."""
    return lambda values: float(function(values)) if len(values) else math.nan


def _iqm(values: Floats) -> float:
    return float(center_of(values, "iqm")) if not np.isnan(values).any() else math.nan


FUNCTIONS: Final[dict[str, tuple[Callable[..., float], str]]] = {
    "mean": (_of_some(np.mean), "the mean"),
    "median": (_of_some(np.median), "the median"),
    "iqm": (_of_some(_iqm), "the interquartile mean: of the middle half"),
    "min": (_of_some(np.min), "the lowest value"),
    "max": (_of_some(np.max), "the highest value"),
    "sum": (lambda values: float(np.sum(values)), "the sum"),
    "std": (_of_some(np.std), "the standard deviation"),
    "count": (
        lambda values: float(np.count_nonzero(values) if values.dtype == np.bool_ else len(values)),
        "how many values; of a comparison, how often it is true",
    ),
    "first": (_of_some(lambda values: values[0]), "the first value"),
    "last": (_of_some(lambda values: values[-1]), "the last value, as `[-1]`"),
    "any": (lambda values: float(np.any(values)), "1 when it is true at least once, else 0"),
    "all": (lambda values: float(np.all(values)), "1 when it is true always, else 0"),
}
"""Functions of one column, and what they are: docs/ci.md has the same table. Besides them there are ``abs``,
``quantile``, ``smooth`` and ``events``."""

_ARGUMENTS: Final = {"abs": 1, "quantile": 2, "smooth": 2, "events": 1}


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of a gate in a log.

    Attributes:
        gate: the expression.
        log: the log's name.
        passed: whether it is true; never where NaN had a part in it.
        measured: what was compared, and the number that it came to.

    """

    gate: str
    log: str
    passed: bool
    measured: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition that logs must meet.

    Attributes:
        text: as the user wrote it.
        tree: as it was read.

    """

    text: str
    tree: Node

    @classmethod
    def of(cls, text: str) -> Gate:
        """Read *text*.

        Raises:
            ExpressionError: when it is no expression.

        """
        return cls(text, parse(text))


def judge(gate: Gate, run: Run) -> GateResult:
    """Whether *run* meets the condition.

    Raises:
        ExpressionError: for a column that the log does not have, and for what cannot be computed, or is no condition.

    """
    work = _Work(gate.text, run)
    value = work.value(gate.tree)
    if not isinstance(value, bool | np.bool_):
        what = "a column" if isinstance(value, np.ndarray) else "a number"
        raise fail(gate.text, gate.tree.at, f"a gate must be true or false, as mean(reward) >= 200 is; this is {what}")
    return GateResult(gate.text, run.label, bool(value) and not work.nan, tuple(work.measured.items()))


def measure(score: Gate, run: Run) -> float:
    """The number that *score* comes to in *run*.

    Raises:
        ExpressionError: for a column that the log does not have, and for what cannot be computed, or is no number.

    """
    value = _Work(score.text, run).value(score.tree)
    if isinstance(value, np.ndarray):
        raise fail(score.text, score.tree.at, "a score must be one number, and this is a column; take its mean(...)")
    return float(value)


@dataclass(slots=True)
class _Work:
    """Walks a tree; columns are arrays, all else is a number or a truth."""

    text: str
    run: Run
    nan: bool = False
    measured: dict[str, float] = field(default_factory=dict)

    def value(self, node: Node) -> Value:
        with np.errstate(all="ignore"):
            return self._value(node)

    def _value(self, node: Node) -> Value:
        match node:
            case Number():
                return node.value
            case Column():
                return self._column(node)
            case Call():
                return self._call(node)
            case Item() | Part():
                return self._part(node)
            case Unary(sign="not"):
                return not self._truth(node.value)
            case Unary():
                value = self._value(node.value)
                return value if node.sign == "+" else 0.0 - value
            case Binary():
                return self._plain(_SIGNS[node.sign](*self._matching(node, node.left, node.right)))
            case Compare():
                return self._compare(node)
            case Logic():
                left, right = self._truth(node.left), self._truth(node.right)  # both, so that both are told of
                return (left and right) if node.sign == "and" else (left or right)
            case _:
                raise fail(self.text, node.at, "a number or a column must stand here")

    @staticmethod
    def _plain(value: Any) -> Value:
        return value if isinstance(value, np.ndarray) else float(value)

    def _matching(self, node: Node, left: Node, right: Node) -> tuple[Any, Any]:
        """Both values; two columns must be of one length."""
        one, two = self._value(left), self._value(right)
        if isinstance(one, np.ndarray) and isinstance(two, np.ndarray) and len(one) != len(two):
            raise fail(self.text, node.at, f"these columns have {len(one):,} and {len(two):,} values")
        one, two = (value if isinstance(value, np.ndarray) else np.float64(value) for value in (one, two))
        return one, two

    def _compare(self, node: Compare) -> Value:
        result: Any = True
        for sign, left, right in zip(node.signs, node.values[:-1], node.values[1:], strict=True):
            one, two = self._matching(node, left, right)
            for side, value in ((left, one), (right, two)):
                if not isinstance(value, np.ndarray):
                    self.nan |= bool(np.isnan(value))
                    if not _is_constant(side):
                        self.measured[self.text[side.at : side.end]] = float(value)
            result = np.logical_and(result, _SIGNS[sign](one, two))
        return result if isinstance(result, np.ndarray) else bool(result)

    def _truth(self, node: Node) -> bool:
        value = self._value(node)
        if isinstance(value, bool | np.bool_):
            return bool(value)
        what = "a column" if isinstance(value, np.ndarray) else "a number"
        raise fail(self.text, node.at, f"this must be true or false, as a comparison of two numbers is, and is {what}")

    def _column(self, node: Column) -> Floats:
        kinds = [Kind.of(node.kind)] if node.kind else list(_KINDS)
        for kind in kinds:
            columns = self.run.columns(kind)
            if node.name in columns.table:
                return self._numbers(node, columns)
        if node.name == "time" and node.kind is None:
            return self.run.columns(Kind.STATS).table.time
        known = [key for kind in kinds for key in self.run.columns(kind).table]
        near = difflib.get_close_matches(node.name, dict.fromkeys(known), 3, 0.5)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise fail(self.text, node.at, f"{self.run.label} has no column {node.name!r}{hint}")

    def _numbers(self, node: Column, columns: Columns) -> Floats:
        """What was logged under that name: frames that lack it do not count, a NaN that was logged does."""
        if columns.parts(node.name):
            raise fail(self.text, node.at, f"the values of {node.name!r} are lists, which cannot be compared")
        if not columns.is_number(node.name):
            raise fail(self.text, node.at, f"{node.name!r} is no column of numbers")
        return columns.numbers(node.name)[columns.present(node.name)]

    def _call(self, node: Call) -> Value:
        if node.name not in FUNCTIONS and node.name not in _ARGUMENTS:
            names = [*FUNCTIONS, *_ARGUMENTS]
            near = difflib.get_close_matches(node.name, names, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names))}"
            raise fail(self.text, node.at, f"there is no function {node.name!r}; {hint}")
        wanted = _ARGUMENTS.get(node.name, 1)
        if len(node.arguments) != wanted:
            count = f"{wanted} argument{'s' if wanted > 1 else ''}"
            raise fail(self.text, node.at, f"{node.name} takes {count}, not {len(node.arguments)}")
        if node.name == "events":
            return self._events(node)
        value = self._value(node.arguments[0])
        if node.name == "abs":
            return self._plain(np.abs(value))
        if not isinstance(value, np.ndarray):
            raise fail(self.text, node.arguments[0].at, f"{node.name} takes a column, and this is one value")
        if node.name in FUNCTIONS:
            return FUNCTIONS[node.name][0](value)
        number = self._one_number(node.arguments[1])
        if node.name == "smooth":
            if not (number >= 1 and number == int(number)):
                raise fail(self.text, node.arguments[1].at, "the window is a whole number, at least 1")
            return moving_average(value, int(number))
        if not 0 <= number <= 1:
            raise fail(self.text, node.arguments[1].at, "a quantile lies between 0 and 1")
        return float(np.quantile(value, number)) if len(value) else math.nan

    def _events(self, node: Call) -> Floats:
        """Times when events of a type happened; none is no error, as that is what one wants of falls."""
        word = node.arguments[0]
        if not isinstance(word, Word):
            raise fail(self.text, word.at, 'events takes the type of the events in quotes, as in events("fall")')
        return self.run.events().get(word.text, np.empty(0))

    def _part(self, node: Item | Part) -> Value:
        value = self._value(node.value)
        if not isinstance(value, np.ndarray):
            raise fail(self.text, node.value.at, "only a column has parts, and this is one value")
        if isinstance(node, Part):
            start = None if node.start is None else self._place(node.start, len(value))
            stop = None if node.stop is None else self._place(node.stop, len(value))
            return value[start:stop]
        place = self._place(node.index, len(value))
        return float(value[place]) if -len(value) <= place < len(value) else math.nan

    def _place(self, node: Node, length: int) -> int:
        if isinstance(node, Share):
            # At least one value, so that the last 10 % of a short column are not nothing.
            return int(math.copysign(math.ceil(abs(node.value) * length), node.value))
        number = self._one_number(node)
        if not math.isfinite(number) or number != int(number):
            raise fail(self.text, node.at, "a place in a column is a whole number, or a share such as 10%")
        return int(number)

    def _one_number(self, node: Node) -> float:
        value = self._value(node)
        if isinstance(value, np.ndarray):
            raise fail(self.text, node.at, "one number must stand here, and this is a column")
        return float(value)


def _is_constant(node: Node) -> bool:
    match node:
        case Number():
            return True
        case Unary():
            return _is_constant(node.value)
        case Binary():
            return _is_constant(node.left) and _is_constant(node.right)
        case _:
            return False
