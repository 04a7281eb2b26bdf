"""Names of files for names of metrics."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["file_names", "file_safe"]

_LONGEST = 100  # letters; file systems take 255 bytes, and a suffix comes after it
_UNSAFE = re.compile(r"[^\w.+-]+")


def file_safe(name: str) -> str:
    """*name* without what a file system or a shell might stumble over; never empty."""
    safe = _UNSAFE.sub("_", name).strip("._")[:_LONGEST]
    return safe or "unnamed"


def file_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """A file name for each of *names*, unlike each other and those that are *taken*, also where case does not count."""
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
