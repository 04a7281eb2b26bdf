"""The evaluation of gates and scores in a log."""

from __future__ import annotations

import ast
import difflib
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.draw import moving_average
from trainlog.errors import ExpressionError
from trainlog.model import Kind
from trainlog.plot import Run
from trainlog.plot.columns import Columns
from trainlog.printable import counted, printable
from trainlog.report.language import Share, fail, parse
from trainlog.statistics import iqm

__all__ = ["FUNCTIONS", "Gate", "GateResult", "judge", "measure"]

Floats = npt.NDArray[np.float64]
Value = float | bool | Floats

_KINDS: Final = (Kind.STATS, Kind.EVOLUTION, Kind.CREATURE)
# The id of a name as `parse` returns it: an optional kind, and a name with or without quotes.
_COLUMN: Final = re.compile(r"(?:(\w+)\s*\.\s*)?(?:(\w+)|.(.*).)", re.DOTALL)
_OPERATORS: Final[dict[type[ast.AST], Callable[[Any, Any], Any]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def _nan_if_empty(function: Callable[[Floats], Any]) -> Callable[[Floats], float]:
    """Make *function* return NaN for a column without values."""
    return lambda values: float(function(values.astype(np.float64))) if len(values) else math.nan


def _nan_if_nan(function: Callable[[Floats], Any]) -> Callable[[Floats], float]:
    """Make *function* return NaN for a column with a NaN, because NaN is neither true nor false."""
    return lambda values: math.nan if np.isnan(values).any() else float(function(values))


def _smooth(values: Floats, window: int) -> Floats:
    """The moving average, including values that are not finite: a window with a NaN has no mean."""
    means = np.nan_to_num(moving_average(values, window))
    for odd, places in ((math.nan, np.isnan(values)), (math.inf, values == math.inf), (-math.inf, values == -math.inf)):
        if places.any():
            means = np.where(moving_average(places, window) > 0, means + odd, means)
    return means


def _quantile(values: Floats, share: float) -> float:
    found = float(np.quantile(values, share))
    if math.isnan(found):  # NumPy subtracts infinite neighbours, even where it is the one or the other
        low, high = (float(np.quantile(values, share, method=end)) for end in ("lower", "higher"))
        found = low if low == high else low + high
    return found


FUNCTIONS: Final[dict[str, tuple[Callable[..., float], str]]] = {
    "mean": (_nan_if_empty(np.mean), "the mean"),
    "median": (_nan_if_empty(np.median), "the median"),
    "iqm": (_nan_if_empty(iqm), "the interquartile mean: the mean of the middle half"),
    "min": (_nan_if_empty(np.min), "the lowest value"),
    "max": (_nan_if_empty(np.max), "the highest value"),
    "sum": (lambda values: float(np.sum(values)), "the sum"),
    "std": (_nan_if_empty(np.std), "the standard deviation"),
    "count": (
        lambda values: float(np.count_nonzero(values) if values.dtype == np.bool_ else len(values)),
        "the number of values; for a comparison, how often it is true",
    ),
    "first": (_nan_if_empty(lambda values: values[0]), "the first value"),
    "last": (_nan_if_empty(lambda values: values[-1]), "the last value, like `[-1]`"),
    "any": (_nan_if_nan(np.any), "1 if `x` is true at least once, else 0"),
    "all": (_nan_if_nan(np.all), "1 if `x` is always true, else 0"),
}
"""Functions of one column, with the descriptions of docs/ci.md; further functions are ``abs``, ``quantile``, ``smooth``
and ``events``."""

_ARGUMENTS: Final = {"abs": 1, "quantile": 2, "smooth": 2, "events": 1}


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of a gate in a log.

    Attributes:
        gate: the expression.
        log: the log's name.
        passed: whether it is true; False when a compared value is NaN, even a single one in a column.
        measured: the compared expressions with their values.
        error: why it cannot be evaluated in this log, such as a column that the log lacks.

    """

    gate: str
    log: str
    passed: bool
    measured: tuple[tuple[str, float], ...]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition for logs, or a score.

    Attributes:
        text: as the user wrote it.
        tree: the result of `parse`.

    """

    text: str
    tree: ast.expr = field(compare=False)

    @classmethod
    def of(cls, text: str) -> Gate:
        """Parse *text*.

        Raises:
            ExpressionError: when it is not an expression, or has an unknown function.

        """
        tree = parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                _check_call(text, node, node.func.id)
        return cls(text, tree)


def _check_call(text: str, node: ast.Call, name: str) -> None:
    if name not in FUNCTIONS and name not in _ARGUMENTS:
        names = [*FUNCTIONS, *_ARGUMENTS]
        near = difflib.get_close_matches(name, names, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names))}"
        raise fail(text, node.col_offset, f"there is no function {name!r}; {hint}")
    wanted = _ARGUMENTS.get(name, 1)
    if len(node.args) != wanted:
        raise fail(text, node.col_offset, f"{name} takes {counted(wanted, 'argument')}, not {len(node.args)}")


def judge(gate: Gate, run: Run) -> GateResult:
    """Evaluate a condition in a log.

    Raises:
        ExpressionError: for an unknown column, when it cannot be computed, and when it is not a condition.

    """
    evaluation = _Evaluation(gate.text, run)
    with np.errstate(all="ignore"):
        passed = evaluation.truth(gate.tree, "a gate")
    return GateResult(gate.text, run.label, passed and not evaluation.nan, tuple(evaluation.measured.items()))


def measure(score: Gate, run: Run) -> float:
    """Evaluate a score in a log.

    Raises:
        ExpressionError: for an unknown column, when it cannot be computed, and when it is not a number.

    """
    evaluation = _Evaluation(score.text, run)
    with np.errstate(all="ignore"):
        value = evaluation.value(score.tree)
    if isinstance(value, np.ndarray):
        raise evaluation.fail(score.tree, "a score must be one number, and this is a column; take its mean(...)")
    return float(value)


@dataclass(slots=True)
class _Evaluation:
    """The evaluation of one expression; a column is an array, every other value a number or a truth value."""

    text: str
    run: Run
    nan: bool = False
    measured: dict[str, float] = field(default_factory=dict)

    def fail(self, node: ast.expr, message: str) -> ExpressionError:
        return fail(self.text, node.col_offset, message)

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=float(number)):
                return number
            case ast.Name():
                return self._column(node)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, arguments)
            case ast.Subscript():
                return self._part(node)
            case ast.UnaryOp(op=ast.Not()):
                return not self.truth(node.operand)
            case ast.UnaryOp():
                value = self.value(node.operand)
                return value if isinstance(node.op, ast.UAdd) else 0.0 - value
            case ast.BinOp(left=left, op=sign, right=right):
                one, two = self._operands(node, self.value(left), self.value(right))
                return self._as_value(_OPERATORS[type(sign)](one, two))
            case ast.Compare():
                return self._compare(node)
            case ast.BoolOp():
                truths = [self.truth(value) for value in node.values]  # all, for `measured`
                return all(truths) if isinstance(node.op, ast.And) else any(truths)
            case _:
                raise self.fail(node, "a number or a column must stand here")

    @staticmethod
    def _as_value(value: Any) -> Value:
        return value if isinstance(value, np.ndarray) else float(value)

    def _operands(self, node: ast.expr, one: Value, two: Value) -> tuple[Any, Any]:
        """Both values as numbers; two columns must have the same length."""
        if isinstance(one, np.ndarray) and isinstance(two, np.ndarray) and len(one) != len(two):
            raise self.fail(node, f"these columns have {len(one):,} and {len(two):,} values")
        return np.float64(one), np.float64(two)  # also for columns: NumPy does not subtract truth values

    def _compare(self, node: ast.Compare) -> Value:
        result: Value = True
        sides = [node.left, *node.comparators]
        values = [self.value(side) for side in sides]
        for side, value in zip(sides, values, strict=True):
            self.nan |= bool(np.isnan(value).any())
            if not isinstance(value, np.ndarray) and any(isinstance(part, ast.Name) for part in ast.walk(side)):
                self.measured[self.text[side.col_offset : side.end_col_offset]] = float(value)
        for sign, left, right in zip(node.ops, values[:-1], values[1:], strict=True):
            one, two = self._operands(node, left, right)
            result = np.logical_and(*self._operands(node, result, _OPERATORS[type(sign)](one, two)))
        return result if isinstance(result, np.ndarray) else bool(result)

    def truth(self, node: ast.expr, subject: str = "this") -> bool:
        value = self.value(node)
        if isinstance(value, bool | np.bool_):
            return bool(value)
        found = "a column" if isinstance(value, np.ndarray) else "a number"
        raise self.fail(node, f"{subject} must be true or false, as mean(reward) >= 200 is; this is {found}")

    def _column(self, node: ast.Name) -> Floats:
        [(kind, word, quoted)] = _COLUMN.findall(node.id)
        name = word or quoted
        kinds = [Kind.of(kind)] if kind else list(_KINDS)
        for columns in map(self.run.columns, kinds):
            if name in columns.table:
                return self._numbers(node, name, columns)
        if name == "time" and not kind:
            return self.run.columns(Kind.STATS).table.time
        known = [key for one in kinds for key in self.run.columns(one).table]
        near = difflib.get_close_matches(name, dict.fromkeys(known), 3, 0.5)
        hint = f"; near it: {', '.join(map(printable, near))}" if near else ""
        raise self.fail(node, f"{printable(self.run.label)} has no column {name!r}{hint}")

    def _numbers(self, node: ast.Name, name: str, columns: Columns) -> Floats:
        """The logged values of a column, including NaN, without the frames that lack it."""
        if columns.parts(name):
            raise self.fail(node, f"the values of {name!r} are lists, which cannot be compared")
        if not columns.is_number(name):
            raise self.fail(node, f"{name!r} is not a column of numbers")
        return columns.numbers(name)[columns.present(name)]

    def _call(self, name: str, arguments: list[ast.expr]) -> Value:
        if name == "events":
            return self._events(arguments[0])
        value = self.value(arguments[0])
        if name == "abs":
            return self._as_value(np.abs(value))
        if not isinstance(value, np.ndarray):
            raise self.fail(arguments[0], f"{name} takes a column, and this is one value")
        if name in FUNCTIONS:
            return FUNCTIONS[name][0](value)
        value = value.astype(np.float64)  # NumPy has no quantile of truth values
        number = self._one_number(arguments[1])
        if name == "smooth":
            if not (number >= 1 and number.is_integer()):
                raise self.fail(arguments[1], "the window is a whole number, at least 1")
            return _smooth(value, int(number))
        if not 0 <= number <= 1:
            raise self.fail(arguments[1], "a quantile lies between 0 and 1")
        return _quantile(value, number) if len(value) else math.nan

    def _events(self, node: ast.expr) -> Floats:
        """The times of the events of a type, such as falls; no events is not an error."""
        if not isinstance(node, ast.Name) or node.id[0] not in "\"'`":
            raise self.fail(node, 'events takes the type of the events in quotes, as in events("fall")')
        return self.run.event_times(node.id[1:-1])

    def _part(self, node: ast.Subscript) -> Value:
        value = self.value(node.value)
        if not isinstance(value, np.ndarray):
            raise self.fail(node.value, "only a column has parts, and this is one value")
        if isinstance(node.slice, ast.Slice):
            bounds = (node.slice.lower, node.slice.upper)
            return value[slice(*(bound and self._place(bound, len(value)) for bound in bounds))]
        place = self._place(node.slice, len(value))
        return float(value[place]) if -len(value) <= place < len(value) else math.nan

    def _place(self, node: ast.expr, length: int) -> int:
        share = node.value if isinstance(node, ast.Constant) and isinstance(node.value, Share) else None
        number = self._one_number(node) if share is None else share * length / 100
        if share is not None and math.isfinite(number):
            # At least one value, so that the last 10 % of a short column are not empty.
            return int(math.copysign(math.ceil(abs(number)), number))
        if not number.is_integer():  # nor are NaN and infinities
            raise self.fail(node, "a place in a column is a whole number, or a share such as 10%")
        return int(number)

    def _one_number(self, node: ast.expr) -> float:
        value = self.value(node)
        if not isinstance(value, float):
            raise self.fail(node, "one number must stand here, not a column or a condition")
        return value
