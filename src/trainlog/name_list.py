"""Several names in one text, as people type them: with commas, or as JSON where a name has a comma in it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

__all__ = ["parse_names"]


def parse_names(text: str) -> list[str]:
    """The names in *text*, each once: with commas between them, or a JSON list of names that may have commas.

    Blanks around a comma, and empty names, are left out. What is no JSON list is taken as names with commas: a name may
    begin with a bracket.
    """
    found: Any = [one.strip() for one in text.split(",")]
    if text.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            found = json.loads(text)
    return list(dict.fromkeys(one for one in found if one and isinstance(one, str)))
