"""``trainlog plot``: pictures of a log."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from trainlog import registry
from trainlog.codec import Reader
from trainlog.functions import draw_function, learned_functions

__all__ = ["command"]


@click.command
@click.argument("log", type=click.Path(path_type=Path))
@click.option(
    "--function",
    "names",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A learned function: a heat map (SVG, PNG) of its last sample, and a GIF of all. 'all' for each.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), default=".", help="Into this folder.")
def command(log: Path, names: tuple[str, ...], out: Path) -> None:
    """Draw what an agent has learned, and how: the functions that a log holds samples of."""
    draw_functions(registry.open(log), names, out)


def draw_functions(log: Reader, names: tuple[str, ...], out: Path) -> None:
    """Draw the functions of *log* with these names, which may be shortened to what is before the bracket."""
    functions = learned_functions(log)
    if not functions:
        raise click.UsageError(f"{log.path} holds no learned functions")
    for name in functions if names == ("all",) else names:
        fitting = [key for key in functions if name in (key, key.partition("(")[0])]
        if len(fitting) != 1:
            near = fitting or difflib.get_close_matches(name, functions, 3, 0.3) or list(functions)
            raise click.UsageError(f"which function is {name!r}? There are {', '.join(near)}")
        for path in draw_function(functions[fitting[0]], out):
            click.echo(path)
