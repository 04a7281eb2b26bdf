"""File names for metrics and functions."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["file_names", "file_safe"]

_MAX_LENGTH = 100  # characters; file systems accept 255 bytes, including the suffix
_UNSAFE = re.compile(r"[^\w.+-]+")


def file_safe(name: str) -> str:
    """Replace characters that are special to file systems or shells; the result is never empty."""
    safe = _UNSAFE.sub("_", name).strip("._")[:_MAX_LENGTH]
    return safe or "unnamed"


def file_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Choose a file name for each of *names*, unique regardless of case, and different from those *taken*."""
    used = {name.casefold() for name in taken}
    found: dict[str, str] = {}
    for name in names:
        safe = candidate = file_safe(name)
        n = 1
        while candidate.casefold() in used:
            n += 1
            candidate = f"{safe}-{n}"
        used.add(candidate.casefold())
        found[name] = candidate
    return found
