"""What an agent has learned, for ``trainlog plot --function``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

import click

from trainlog.codec import Reader
from trainlog.functions import draw_function, learned_functions

__all__ = ["draw_functions"]


def draw_functions(log: Reader, names: Iterable[str], folder: Path, *, theme: str) -> list[Path]:
    """Draw the functions of *log* with these names, which may end before the bracket; ``all`` is each of them.

    Returns:
        The files that were written.

    """
    functions = learned_functions(log)
    if not functions:
        raise click.UsageError(f"{log.path} holds no samples of learned functions")
    written: list[Path] = []
    for name in functions if "all" in names else dict.fromkeys(names):
        fitting = [key for key in functions if name == key] or [key for key in functions if name == _short(key)]
        if len(fitting) != 1:
            near = fitting or difflib.get_close_matches(name, functions, 3, 0.3) or list(functions)
            raise click.UsageError(f"which function is {name!r}? There are {', '.join(near)}")
        written += draw_function(functions[fitting[0]], folder, theme=theme)
    return written


def _short(name: str) -> str:
    return name.partition("(")[0]
