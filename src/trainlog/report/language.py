"""The gate language, such as ``mean(reward[-100:]) >= 200``: its parser. docs/ci.md describes the language.

The standard library's `ast` parses it. Nothing is compiled or executed, and only a white list of nodes is accepted.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Final

from trainlog.errors import ExpressionError

__all__ = ["Share", "fail", "name_of", "parse"]

_MAX_LENGTH: Final = 2000
_MAX_DEPTH: Final = 50
_MAX_TOKENS: Final = 250
_NUMBER: Final = r"(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?"
_KEYWORDS: Final = ("and", "or", "not")
_WORD: Final = r"[^\W\d]\w*"
_QUOTED: Final = r"""(?:"[^"]*"|'[^']*'|`[^`]*`)"""
_TOKENS: Final = re.compile(
    rf"""(?P<space>\s+)
    |(?P<share>-?\s*{_NUMBER}\s*%(?=\s*[:\]]))
    |(?P<number>{_NUMBER})
    |(?P<keyword>(?:{"|".join(_KEYWORDS)})\b)
    |(?P<column>(?:(?:stats|evolution|creature|event)\s*\.\s*(?:{_WORD}|{_QUOTED}))|{_QUOTED})
    |(?P<name>{_WORD})
    |(?P<operator>\*\*|<=|>=|==|!=|[-+*/()\[\]:,<>])
    |(?P<other>.)""",
    re.VERBOSE,
)
# Groups of _TOKENS that are a value, and the text that Python parses in their place.
_OPERANDS: Final = {"share": "0", "number": "0", "column": "_", "name": "_"}
# Kinds of open brackets: "call" is a "(" after a name, and ":" is a "[" that has its colon.
_CLOSING: Final = {"(": ")", "call": ")", "[": "]", ":": "]"}
# Tokens that must stand directly within one of these brackets.
_INSIDE: Final = {",": ("call",), ":": ("[",), ")": ("(", "call"), "]": ("[", ":")}
# Pairs of tokens that need no value between them.
_PAIRS: Final = {("call", ")"), ("[", ":"), (":", "]")}
_NODES: Final = (
    *(ast.Name, ast.Constant, ast.Call, ast.Subscript, ast.Slice, ast.UnaryOp, ast.BinOp, ast.Compare, ast.BoolOp),
)
_HINTS: Final = {
    "=": "; to compare, write ==",
    "%": "; only a plain number can have a % after it, between brackets as in reward[-10%:]",
    "]": "; brackets contain a number, or two with ':' between them",
    ":": "; one ':' can stand between brackets, as in reward[10:20]",
}


class Share(float):
    """The value of ``10%``: 10 hundredths of the length of a column."""


def fail(expression: str, at: int, message: str) -> ExpressionError:
    """Make the error for the character *at* (from 0) of *expression*; the caller raises it."""
    shown = re.sub(r"\s", " ", expression)
    error = ExpressionError(f"column {at + 1}: {message}\n    {shown}\n    {' ' * at}^")
    error.expression, error.column = expression, at + 1
    return error


def name_of(key: str) -> str:
    """The name of a column in an expression: with quotation marks, unless it is a plain word.

    Raises:
        ExpressionError: for a name that has all three quotation marks.

    """
    if re.fullmatch(_WORD, key) and key not in _KEYWORDS:
        return key
    for mark in "\"'`":
        if mark not in key:
            return f"{mark}{key}{mark}"
    raise ExpressionError(f"an expression cannot name the column {key!r}, which has all quotation marks")


def parse(expression: str) -> ast.expr:
    """Parse an expression.

    Returns:
        The tree. ``col_offset`` and ``end_col_offset`` of each node count the characters of *expression*, from 0;
        line numbers are meaningless. The ``id`` of a name is as written, with quotes if it has any. The ``value`` of a
        constant is a float, or a `Share`, which occurs only as a bound of a part of a column.

    Raises:
        ExpressionError: when it is not an expression of the language; it has the column.

    """
    if len(expression) > _MAX_LENGTH:
        raise fail(expression[:60], 0, f"an expression has at most {_MAX_LENGTH:,} letters, not {len(expression):,}")
    tokens = [token for token in _TOKENS.finditer(expression) if token.lastgroup != "space"]
    _check(expression, tokens)
    # Each token has a line of its own, so that a line number identifies the token, and so that two tokens never become
    # one, such as the number and the keyword of "1or 2". Names and numbers are replaced, so that they are never a
    # keyword of Python, nor a literal that Python limits or warns about.
    python = "\n".join(_OPERANDS.get(str(token.lastgroup), token[0]) for token in tokens)
    try:
        tree = ast.parse(f"(\n{python}\n)", mode="eval").body
    except SyntaxError as error:
        index = (error.lineno or 0) - 2
        raise _misplaced(expression, tokens[index] if 0 <= index < len(tokens) else None) from None
    except (MemoryError, RecursionError):  # when the stack of the caller is almost full
        raise fail(expression, 0, "this is nested too deep") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.keyword):  # the other nodes are operators, and those are in _TOKENS
            first, last = tokens[node.lineno - 2], tokens[(node.end_lineno or node.lineno) - 2]
            node.col_offset, node.end_col_offset = first.start(), last.end()
            if not isinstance(node, _NODES):
                raise _misplaced(expression, first)
            if isinstance(node, ast.Name):
                node.id = first[0]
            elif isinstance(node, ast.Constant):
                node.value = _number(expression, first)
    return tree


def _check(expression: str, tokens: Sequence[re.Match[str]]) -> None:
    """Check the limits, and that each token can follow the previous one.

    `ast.parse` would find most of these errors as well. But its messages, and the places that they point at, differ
    between versions of Python; and it accepts tuples, lists, and steps of slices.

    Raises:
        ExpressionError: at the first token that is wrong.

    """
    if len(tokens) > _MAX_TOKENS:
        message = f"an expression has at most {_MAX_TOKENS} names, numbers and signs"
        raise fail(expression, tokens[_MAX_TOKENS].start(), message)
    brackets: list[str] = []  # the open ones
    prefixes = 0  # how many prefix operators are directly before this token
    before, after_name, after_value = "", False, False
    for token in tokens:
        text = "call" if token[0] == "(" and after_name else token[0]
        if len(brackets) + prefixes > _MAX_DEPTH:
            raise fail(expression, token.start(), f"this is nested more than {_MAX_DEPTH} deep")
        inner = brackets[-1] if brackets else ""
        is_operand = token.lastgroup in _OPERANDS
        if is_operand or text in ("(", "not"):
            fits = not after_value and (token.lastgroup != "share" or before in ("[", ":"))
        else:
            fits = token.lastgroup != "other" and (after_value or text in ("+", "-") or (before, text) in _PAIRS)
        closes = text in (")", "]")
        if closes and after_value and inner and text != _CLOSING[inner]:
            raise fail(expression, token.start(), f"{_CLOSING[inner]!r} is missing before {text!r}")
        if not fits or inner not in _INSIDE.get(text, (inner,)):
            raise _misplaced(expression, token)
        if closes:
            brackets.pop()
        elif text == ":":
            brackets[-1] = ":"
        elif text in _CLOSING:
            brackets.append(text)
        prefixes = prefixes + 1 if text in ("+", "-", "not") and not after_value else 0
        before, after_name, after_value = text, token.lastgroup == "name", is_operand or closes
    if not after_value:
        raise _misplaced(expression, None)
    if brackets:
        raise fail(expression, len(expression), f"{_CLOSING[brackets[-1]]!r} is missing, and here the expression ends")


def _misplaced(expression: str, token: re.Match[str] | None) -> ExpressionError:
    """Make the error for a token that cannot stand where it does; without a token, for an early end."""
    if token is None:
        return fail(expression, len(expression), "the expression ends too early")
    hint = _HINTS.get("%" if token.lastgroup == "share" else token[0], "")
    message = f"{token[0]!r} does not belong here{hint}"
    return fail(expression, token.start(), message if token[0] not in "\"'`" else "this quotation mark has no partner")


def _number(expression: str, token: re.Match[str]) -> float:
    try:
        return Share(re.sub(r"[\s%]", "", token[0])) if token.lastgroup == "share" else float(token[0])
    except ValueError:
        raise fail(expression, token.start(), f"{token[0]!r} is not a number") from None
