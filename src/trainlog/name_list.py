"""Several names in one text, as people type them: with commas, or as JSON if a name contains a comma."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

__all__ = ["parse_names"]


def parse_names(text: str) -> list[str]:
    """The names in *text*, each once: separated by commas, or a JSON list of names that can contain commas.

    Blanks around a comma, and empty names, are left out. Text that is not a JSON list is read as names separated by
    commas, because a name can begin with a bracket.
    """
    found: Any = [one.strip() for one in text.split(",")]
    if text.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            found = json.loads(text)
    return list(dict.fromkeys(one for one in found if one and isinstance(one, str)))
