"""Removes text that looks like a secret from command lines, source code and addresses."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["redacted_arguments", "redacted_source", "without_passwords"]

_REDACTED: Final = "[redacted]"
# Patterns are text that `re` compiles on use: compiling them here would take a tenth of the recorder's import time.
_WORD: Final = r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+"
_NAMES: Final = frozenset(
    {"password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "credential", "credentials", "auth"}
    | {"authorization", "bearer", "cookie"}
)
_KEYS: Final = frozenset({"api", "access", "private", "secret", "account", "license", "signing", "encryption", "ssh"})

# Tokens of known form: of OpenAI, GitHub, Hugging Face, GitLab, Slack, AWS, Google, and JWT.
_TOKEN: Final = (
    r"\b(?:[spr]k-[\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|hf_\w{20,}|glpat-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}"
    r"|A[KS]IA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
_IN_ADDRESS: Final = r"""(?<=://)[^/\s"']+(?=@)"""
# A name alone is no secret, and in abfs://container@account it is not a user's.
_USER: Final = r"(?<=//)[^/\s:]*+:[^/\s]*@"
_BEARER: Final = r"(?i)\b(bearer|basic)\s+\S+"
# A name and what is in front of its value. The patterns start at the first letter of a word and take all of it, as a
# patch can hold a word of 64 KB.
_PAIR: Final = r"""(?<![\w.-])(?P<name>[\w.-]++)["']?\s*+[=:]\s*+(?P<quote>["']?)"""
_TYPE: Final = r"(?:\s*+:\s*+[\w.]++(?:\[[^\]\n]{0,60}\]++)?(?:\s*+\|\s*+[\w.]++){0,3})?"
_LITERAL: Final = (
    rf"""(?<!\w)(?P<name>\w++)["']?\]?{_TYPE}\s*+[=:]=?\s*+[bBfFrRuU]{{0,2}}(?P<quote>"{{3}}|'{{3}}|["'])"""
)
_ARGUMENT: Final = r"(?s)(?P<name>[\w.+-]+)\s*[=:]\s*(?=.)"
_PRIVATE_KEY: Final = r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"


def redacted_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line without its secrets: ``--api-key=…``, ``--password …``, ``TOKEN=…``, and tokens of known form."""
    found: list[str] = []
    is_value = False
    for one in arguments:
        if is_value and not one.startswith("-"):
            found.append(_REDACTED)
            is_value = False
            continue
        is_value = one.startswith("-") and "=" not in one and _is_secret(one)
        named = re.match(_ARGUMENT, one)
        if named is not None and _is_secret(named["name"]):
            found.append(named[0] + _REDACTED)
        else:
            found.append(_pairs(_tokens(re.sub(_BEARER, rf"\1 {_REDACTED}", one))))
    return found


def redacted_source(text: str) -> tuple[str, bool]:
    """Source code without its secrets, and whether there were any: literals with such a name, and known tokens.

    A name alone is not enough there: ``token = next(tokens)`` stays.
    """
    source = _tokens(re.sub(_PRIVATE_KEY, _REDACTED, text))
    found = _without_values(source, _LITERAL, lambda quote: rf"(?:(?!{quote})\S){{8,}}(?={quote})")
    return found, found != text


def without_passwords(text: str) -> str:
    """*text* whose addresses have no password, and no user name before it."""
    return re.sub(_USER, "", text)


def _tokens(text: str) -> str:
    return re.sub(_IN_ADDRESS, _REDACTED, re.sub(_TOKEN, _REDACTED, text))


def _pairs(text: str) -> str:
    return _without_values(text, _PAIR, lambda quote: f"[^{quote}]+" if quote else r"""[^\s"',;&}]+""")


def _without_values(text: str, named: str, value_of: Callable[[str], str]) -> str:
    """*text* without the values behind the secret names that *named* finds; *value_of* a quote is their pattern."""
    found, end = [], 0
    for match in re.finditer(named, text):
        if match.start() >= end and _is_secret(match["name"]):
            value = re.compile(value_of(match["quote"])).match(text, match.end())
            if value is not None:
                found += [text[end : match.end()], _REDACTED]
                end = value.end()
    return "".join([*found, text[end:]])


def _is_secret(name: str) -> bool:
    words = [word.lower() for word in re.findall(_WORD, name)]
    is_key = any(word == "key" and before in _KEYS for before, word in itertools.pairwise(words))
    return is_key or not _NAMES.isdisjoint(words)
