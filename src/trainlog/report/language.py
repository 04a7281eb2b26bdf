"""The language of gates: ``mean(reward[-100:]) >= 200``. Read into a tree here; docs/ci.md has all of it.

Nothing of it is ever given to Python to execute.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from trainlog.errors import ExpressionError

__all__ = [
    *("Binary", "Call", "Column", "Compare", "Item", "Logic", "Node", "Number", "Part", "Share", "Unary", "Word"),
    *("fail", "parse"),
]

_LONGEST: Final = 2000
_DEEPEST: Final = 50
_MOST_TOKENS: Final = 250
_TOKENS: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)
    |(?P<name>[^\W\d]\w*)
    |(?P<quoted>"[^"]*"|'[^']*'|`[^`]*`)
    |(?P<sign>\*\*|<=|>=|==|!=|[-+*/()\[\]:,.<>%])
    |(?P<other>.)""",
    re.VERBOSE,
)
_COMPARISONS: Final = ("<", "<=", ">", ">=", "==", "!=")
_KINDS: Final = ("stats", "evolution", "creature", "event")


class Token(NamedTuple):
    """A piece of an expression, and the place of its first letter, from 0."""

    what: str
    text: str
    at: int
    end: int


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression; *at* and *end* say which."""

    at: int
    end: int


@dataclass(frozen=True, slots=True)
class Number(Node):
    """``200``."""

    value: float


@dataclass(frozen=True, slots=True)
class Share(Node):
    """``10%``, of the length of a column; only between brackets."""

    value: float


@dataclass(frozen=True, slots=True)
class Word(Node):
    """``"fall"``, as the argument of ``events``."""

    text: str


@dataclass(frozen=True, slots=True)
class Column(Node):
    """``reward``, ``creature.speed`` or ``"loss/policy"``."""

    name: str
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Call(Node):
    """``mean(reward)``."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Item(Node):
    """``reward[-1]``."""

    value: Node
    index: Node


@dataclass(frozen=True, slots=True)
class Part(Node):
    """``reward[-100:]``."""

    value: Node
    start: Node | None
    stop: Node | None


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``-x`` or ``not x``."""

    sign: str
    value: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """``x + y``."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """``x < y <= z``: values, and the signs between them."""

    values: tuple[Node, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """``x and y``."""

    sign: str
    left: Node
    right: Node


def fail(expression: str, at: int, message: str) -> ExpressionError:
    """An error that points at the letter *at*, from 0, of *expression*."""
    shown = re.sub(r"\s", " ", expression)
    error = ExpressionError(f"column {at + 1}: {message}\n    {shown}\n    {' ' * at}^")
    error.expression, error.column = expression, at + 1
    return error


def parse(expression: str) -> Node:
    """The tree of *expression*.

    Raises:
        ExpressionError: when it is none; it points at the place.

    """
    if len(expression) > _LONGEST:
        raise fail(expression[:60], 0, f"an expression has at most {_LONGEST:,} letters, not {len(expression):,}")
    return _Parser(expression).whole()


def _tokens(expression: str) -> list[Token]:
    found = []
    for match in _TOKENS.finditer(expression):
        what = str(match.lastgroup)
        if what == "other":
            hint = "; to compare, write ==" if match[0] == "=" else ""
            what_is_wrong = (
                "this quotation mark has no partner" if match[0] in "\"'`" else f"what is {match[0]!r}?{hint}"
            )
            raise fail(expression, match.start(), what_is_wrong)
        if what != "space":
            found.append(Token(what, match[0], match.start(), match.end()))
    if len(found) > _MOST_TOKENS:
        raise fail(
            expression, found[_MOST_TOKENS].at, f"an expression has at most {_MOST_TOKENS} names, numbers and signs"
        )
    return [*found, Token("end", "", len(expression), len(expression))]


class _Parser:
    """By recursive descent: each method takes what binds at least as tightly as its name says."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = _tokens(expression)
        self._next = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._either()
        if self._token.what != "end":
            raise self._fail(f"{self._token.text!r} does not belong here")
        return node

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _fail(self, message: str) -> ExpressionError:
        return fail(self._expression, self._token.at, message)

    def _take(self, *texts: str) -> Token | None:
        """The next token if it is one of *texts*."""
        token = self._token
        if token.text in texts and token.what in ("sign", "name"):
            self._next += 1
            return token
        return None

    def _need(self, text: str, after: str) -> Token:
        token = self._take(text)
        if token is None:
            here = f"not {self._token.text!r}" if self._token.text else "and here it ends"
            raise self._fail(f"{text!r} is missing after {after}, {here}")
        return token

    def _either(self) -> Node:
        node = self._both()
        while self._take("or"):
            right = self._both()
            node = Logic(node.at, right.end, "or", node, right)
        return node

    def _both(self) -> Node:
        node = self._negation()
        while self._take("and"):
            right = self._negation()
            node = Logic(node.at, right.end, "and", node, right)
        return node

    def _negation(self) -> Node:
        if (sign := self._take("not")) is None:
            return self._comparison()
        with self:
            value = self._negation()
        return Unary(sign.at, value.end, "not", value)

    def _comparison(self) -> Node:
        values, signs = [self._sum()], []
        while sign := self._take(*_COMPARISONS):
            signs.append(sign.text)
            values.append(self._sum())
        return Compare(values[0].at, values[-1].end, tuple(values), tuple(signs)) if signs else values[0]

    def _sum(self) -> Node:
        node = self._product()
        while sign := self._take("+", "-"):
            right = self._product()
            node = Binary(node.at, right.end, sign.text, node, right)
        return node

    def _product(self) -> Node:
        node = self._signed()
        while sign := self._take("*", "/"):
            right = self._signed()
            node = Binary(node.at, right.end, sign.text, node, right)
        return node

    def _signed(self) -> Node:
        if (sign := self._take("-", "+")) is not None:
            with self:
                value = self._signed()
            return Unary(sign.at, value.end, sign.text, value)
        node = self._with_brackets()
        if self._take("**"):
            with self:
                right = self._signed()
            return Binary(node.at, right.end, "**", node, right)
        return node

    def _with_brackets(self) -> Node:
        node = self._atom()
        while self._take("["):
            with self:
                node = self._brackets(node)
        return node

    def _brackets(self, node: Node) -> Node:
        start = None if self._token.text == ":" else self._bound()
        if self._take(":"):
            stop = None if self._token.text == "]" else self._bound()
            return Part(node.at, self._need("]", "a part of a column").end, node, start, stop)
        if start is None:
            raise self._fail("between brackets stands a number, or two with ':' between them")
        return Item(node.at, self._need("]", "an index").end, node, start)

    def _bound(self) -> Node:
        if self._token.text == "]":
            raise self._fail("between brackets stands a number, or two with ':' between them")
        node = self._sum()
        if (percent := self._take("%")) is not None:
            value = node.value if isinstance(node, Unary) and node.sign == "-" else node
            if not isinstance(value, Number):
                raise fail(self._expression, node.at, "only a plain number can have a % after it")
            share = -value.value if value is not node else value.value
            return Share(node.at, percent.end, share / 100)
        return node

    def _atom(self) -> Node:
        token = self._token
        self._next += token.what != "end"
        match token.what:
            case "number":
                return Number(token.at, token.end, self._number(token))
            case "quoted":
                return Column(token.at, token.end, token.text[1:-1])
            case "name" if token.text not in ("and", "or", "not"):
                return self._named(token)
            case "sign" if token.text == "(":
                with self:
                    node = self._either()
                    self._need(")", "the expression in parentheses")
                return node
            case _:
                self._next -= token.what != "end"
                raise self._fail("the expression ends too early" if token.what == "end" else self._misplaced(token))

    @staticmethod
    def _misplaced(token: Token) -> str:
        hint = "; a % belongs to a number between brackets, as in reward[-10%:]" if token.text == "%" else ""
        return f"a number, a column or a function must stand here, not {token.text!r}{hint}"

    def _number(self, token: Token) -> float:
        try:
            return float(token.text)
        except ValueError:
            raise fail(self._expression, token.at, f"{token.text!r} is no number") from None

    def _named(self, token: Token) -> Node:
        if self._take("("):
            with self:
                arguments = self._arguments(token)
            end = self._need(")", f"the arguments of {token.text}").end
            return Call(token.at, end, token.text, tuple(arguments))
        if token.text in _KINDS and self._take("."):
            key = self._token
            if key.what not in ("name", "quoted"):
                raise self._fail(f"the name of a column must stand after '{token.text}.'")
            self._next += 1
            return Column(token.at, key.end, key.text.strip("\"'`") if key.what == "quoted" else key.text, token.text)
        return Column(token.at, token.end, token.text)

    def _arguments(self, token: Token) -> Sequence[Node]:
        if self._token.text == ")":
            return []
        if token.text == "events" and self._token.what == "quoted":
            word = self._token
            self._next += 1
            return [Word(word.at, word.end, word.text[1:-1])]
        arguments = [self._either()]
        while self._take(","):
            arguments.append(self._either())
        return arguments

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._fail(f"this is nested more than {_DEEPEST} deep")

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
