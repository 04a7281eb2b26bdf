"""The filter language for runs, such as ``algo:sac lr=0.001 -td3 reward>150``; described in docs/runs.md.

One grammar accepts both the short form of a search box and the long form of a program::

    filter   = all {"or" all}
    all      = one {["and"] one}              side by side means "and"
    one      = ("not" | "-") one | "(" filter ")" | key operator value | value
    operator = ":" | "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"
    value    = word | 'text' | "text" | /regular expression/

A "-" at the start of a term negates it. After an operator it is the sign of a number (``reward>-5``), and inside a word
it is a part of the word (``run-3``). So whatever is written in one form means the same in the other.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from trainlog.errors import ExpressionError
from trainlog.strictjson import strict_json
from trainlog.table.values import number

__all__ = ["FACTS", "PREFIXES", "SEARCHED", "Filter", "check_keys", "matching", "resolve", "searched"]

Row = Mapping[str, Any]
_Test = Callable[[Row], bool]

PREFIXES: Final = ("last", "best", "mean", "first", "min", "max")
"""The prefixes of metric names in the row of a run; a name without a prefix means the first one that is present."""

SEARCHED: Final = "\0searched"
"""The key under which a row can hold its `searched` text, so that it is built once and not for each filter."""

_MAX_LENGTH: Final = 2000
_MAX_DEPTH: Final = 50
_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<text>"[^"]*"|'[^']*'|/(?:[^/\\]|\\.)+/(?=[\s()]|$))
    |(?P<operator>==|!=|<=|>=|!~|[:=<>~])
    |(?P<bracket>[()])
    |(?P<word>(?:[^\s()"':=<>~!]|!(?![=~]))+)
    |(?P<other>\S)
    )""",
    re.VERBOSE,
)
_ORDERS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TEXTS: Final = (
    "run",
    "path",
    "state",
    "reason",
    "task",
)  # the columns besides the metadata in which a single word is searched


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on runs.

    Attributes:
        text: the filter as the user wrote it; empty for all runs.
        keys: the keys that it names.
        has_words: whether it searches all texts of a run for something.
        has_patterns: whether it has regular expressions, which can take forever.

    """

    text: str
    keys: frozenset[str] = field(compare=False)
    has_words: bool = field(compare=False)
    has_patterns: bool = field(compare=False)
    _test: _Test = field(compare=False, repr=False)

    @classmethod
    def of(cls, text: str) -> Filter:
        """Parse *text*.

        Raises:
            ExpressionError: if it is not a filter; the error has the column.

        """
        parser = _Parser(text)
        return cls(text, frozenset(parser.keys), parser.has_words, parser.has_patterns, parser.test)

    def __call__(self, row: Row) -> bool:
        """Whether a run matches.

        Args:
            row: values by name: ``run``, ``state``, each key of the metadata (nested ones flattened), and metrics such
                as ``last/reward``. None means that the run does not have the value.

        """
        return self._test(row)


def resolve(key: str, row: Row) -> str | None:
    """The name in *row* that *key* refers to: the key itself, a metric with a prefix, or the end of a nested key."""
    if key in row:
        return key
    for prefix in PREFIXES:
        if (name := f"{prefix}/{key}") in row:
            return name
    end = f"/{key}"
    return next((name for name in row if name.endswith(end)), None)


def matching(task: tuple[str, Sequence[Row]]) -> list[int]:
    """The numbers of the rows that match a filter, given as (text, rows); runs in another process."""
    wanted = Filter.of(task[0])
    return [number for number, row in enumerate(task[1]) if wanted(row)]


def check_keys(keys: Iterable[str], columns: Row) -> None:
    """Raise ExpressionError for a key that is not among *columns*, with the closest matches."""
    for key in sorted(set(keys)):
        if resolve(key, columns) is None:
            names = dict.fromkeys(name.rpartition("/")[2] for name in columns)
            near = difflib.get_close_matches(key.rpartition("/")[2], names, 3, 0.5)
            raise ExpressionError(
                f"no run has the key {key[:80]!r}" + (f"; near it: {', '.join(near)}" if near else "")
            )


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


class _Parser:
    """One pass over the text, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.keys: set[str] = set()
        self.has_words = self.has_patterns = False
        if len(text) > _MAX_LENGTH:
            raise self._fail(f"a filter has at most {_MAX_LENGTH:,} letters, not {len(text):,}", 0)
        self._at = 0
        self._depth = 0
        self._next: _Token | None = None
        self._advance()
        self.test: _Test = self._any() if text.strip() else lambda row: True
        if (left := self._peek()) is not None:
            raise self._fail(f"{left.text!r} does not belong here", left.at)

    def _peek(self) -> _Token | None:
        return self._next

    def _advance(self) -> _Token | None:
        """Take the next token, and look at the one after it."""
        taken = self._next
        match = _TOKEN.match(self._text, self._at)
        if match is None:  # only blanks are left
            self._next = None
            return taken
        kind = str(match.lastgroup)
        self._next = _Token(kind, match[kind], match.start(kind))
        if kind == "other":
            quoted = match[kind] in "\"'"
            why = "this quotation mark has no partner" if quoted else f"{match[kind]!r} does not belong here"
            raise self._fail(why, match.start(kind))
        self._at = match.end()
        return taken

    def _is(self, *words: str) -> bool:
        return self._next is not None and self._next.kind != "text" and self._next.text.lower() in words

    def _any(self) -> _Test:
        tests = [self._all()]
        while self._is("or"):
            self._advance()
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _all(self) -> _Test:
        tests = [self._one()]
        while self._next is not None and not self._is("or", ")"):
            if self._is("and"):
                self._advance()
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _one(self) -> _Test:
        token = self._advance()
        if token is None:
            raise self._fail("the filter ends too early", len(self._text))
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._fail(f"this is nested more than {_MAX_DEPTH} deep", token.at)
        try:
            return self._of(token)
        finally:
            self._depth -= 1

    def _of(self, token: _Token) -> _Test:
        if token.kind == "bracket" and token.text == "(":
            inner = self._any()
            if not self._is(")"):
                raise self._fail("')' is missing", self._next.at if self._next else len(self._text))
            self._advance()
            return inner
        if token.kind == "word" and token.text.lower() == "not":
            return _negated(self._one())
        if token.kind == "word" and token.text.startswith("-"):
            if len(token.text) > 1:  # the rest of the word is read again
                self._at = token.at + 1
                self._advance()
            return _negated(self._one())
        if token.kind in ("operator", "bracket") or token.text.lower() in ("and", "or"):
            raise self._fail(f"{token.text!r} does not belong here", token.at)
        if self._next is not None and self._next.kind == "operator" and not _is_regex(token.text):
            return self._comparison(token)
        self.has_words = True
        if _is_regex(token.text):
            return _anywhere(self._pattern(token))
        return _with_word(_plain(token.text).lower())

    def _comparison(self, key: _Token) -> _Test:
        sign = self._advance()
        assert sign is not None
        value = self._advance()
        if value is None or value.kind in ("operator", "bracket"):
            where = len(self._text) if value is None else value.at
            raise self._fail(f"a value is missing after {sign.text!r}", where)
        name = _plain(key.text)
        self.keys.add(name)
        if sign.text in _ORDERS:
            return _ordered(name, _ORDERS[sign.text], self._number(value))
        if sign.text in ("~", "!~") or _is_regex(value.text):
            test = _found(name, self._pattern(value, regex=True))
        elif sign.text == ":":
            test = _found(name, self._pattern(value))
        else:
            test = _equal(name, _plain(value.text))
        return _negated(test) if sign.text.startswith("!") else test

    def _number(self, token: _Token) -> float:
        found = number(_plain(token.text))
        if math.isnan(found):
            raise self._fail(f"{token.text!r} is not a number", token.at)
        return found

    def _pattern(self, token: _Token, *, regex: bool = False) -> re.Pattern[str]:
        """The regular expression in slashes, or without them with *regex*; otherwise the literal text; ignores case."""
        text = token.text
        if _is_regex(text):
            text, regex = text[1:-1].replace(r"\/", "/"), True
        else:
            text = _plain(text)
        self.has_patterns |= regex
        try:
            return re.compile(text if regex else re.escape(text), re.IGNORECASE)
        except (re.error, RecursionError, OverflowError) as error:
            raise self._fail(f"this is not a regular expression: {error}", token.at) from None

    def _fail(self, message: str, at: int) -> ExpressionError:
        shown = re.sub(r"\s", " ", self._text[:_MAX_LENGTH])
        error = ExpressionError(f"column {at + 1}: {message}\n    {shown}\n    {' ' * at}^")
        error.expression, error.column = self._text, at + 1
        return error


def _is_regex(text: str) -> bool:
    return len(text) > 2 and text[0] == text[-1] == "/"


def _plain(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _negated(test: _Test) -> _Test:
    return lambda row: not test(row)


def _value(row: Row, key: str) -> Any:
    name = resolve(key, row)
    return None if name is None else row[name]


def _words(value: Any) -> str:
    """A value as searchable text: ``True`` as in a program, a float as it was typed, with all its digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value) if value is None or isinstance(value, bool | int) else strict_json(value)


def _equal(key: str, wanted: str) -> _Test:
    as_number = number(wanted)

    def test(row: Row) -> bool:
        value = _value(row, key)
        if value is None:
            return wanted.lower() in ("null", "none")
        if isinstance(value, bool):
            return str(value).lower() == wanted.lower() or float(value) == as_number
        if isinstance(value, int | float):
            return number(value) == as_number or (value != value and wanted.lower() == "nan")
        return _words(value).lower() == wanted.lower()

    return test


def _ordered(key: str, compare: Callable[[float, float], bool], limit: float) -> _Test:
    def test(row: Row) -> bool:
        value = _value(row, key)
        return isinstance(value, int | float) and compare(number(value), limit)

    return test


def _found(key: str, pattern: re.Pattern[str]) -> _Test:
    def test(row: Row) -> bool:
        value = _value(row, key)
        return value is not None and pattern.search(_words(value)) is not None

    return test


def searched(row: Row) -> str:
    """The path, the state, the task and the metadata values, one per line, without the numbers of metrics."""
    return "\n".join(_texts(row)).lower()


def _with_word(word: str) -> _Test:
    def test(row: Row) -> bool:
        known = row.get(SEARCHED)
        return word in (searched(row) if known is None else known)

    return test


def _anywhere(pattern: re.Pattern[str]) -> _Test:
    """A test that searches each of the texts of `searched` with *pattern*."""

    def test(row: Row) -> bool:
        return any(pattern.search(text) for text in _texts(row))

    return test


def _texts(row: Row) -> Iterator[str]:
    for key, value in row.items():
        if value is not None and (key in _TEXTS or (key.partition("/")[0] not in PREFIXES and key not in FACTS)):
            yield _words(value)


FACTS: Final = ("changed", "duration", "frames", "size", "damage")
"""The columns of a run that the catalog measures, which are neither text nor metadata."""
