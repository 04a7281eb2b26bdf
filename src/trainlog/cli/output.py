"""Helpers for the commands: sizes as text, the console, a progress bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from trainlog.catalog.progress import terminal_bar
from trainlog.errors import CodecError
from trainlog.printable import printable
from trainlog.storage.location import local_path, location
from trainlog.strictjson import strict_json

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "LogPath",
    "OutputPath",
    "aligned",
    "echo",
    "human_size",
    "markup",
    "output_console",
    "progress",
    "strict_json",
]


class LogPath(click.Path):
    """The path or URL of a log, a folder or a pattern."""

    def coerce_path_result(self, value: Any) -> Any:
        """A path as readers accept it."""
        return location(os.fsdecode(value))


class OutputPath(click.Path):
    """A file or folder on this machine, to write to."""

    def coerce_path_result(self, value: Any) -> Any:
        """A local path; a URL is a usage error, and so is an empty text, which `Path` takes for the current folder."""
        if not value:
            self.fail("the path is empty; the current folder is '.'")
        try:
            return local_path(os.fsdecode(value))
        except CodecError as error:
            self.fail(error.message)


def echo(text: object, *, err: bool = False) -> None:
    """Print *text*, which can come from a log, on one line."""
    click.echo(printable(str(text)), err=err)


def markup(text: object) -> str:
    """*text*, which can come from a log, as rich markup."""
    from rich.markup import escape

    return escape(printable(str(text)))


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> Iterator[str]:
    """Yield the lines of a table; *right* says which columns are aligned on the right. Letters may be wide."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = []
        for cell, width, to_right in zip(row, widths, right, strict=True):
            blanks = " " * (width - cell_len(cell))
            cells.append(blanks + cell if to_right else cell + blanks)
        yield "  ".join(cells).rstrip()


def human_size(size: float) -> str:
    """Format a number of bytes with a unit."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


def output_console(width: int = 160, height: int | None = None) -> Console:
    """The console for standard output; it has this size if standard output is not a terminal."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise  # `main` sets the exit code of all commands; rich would exit with a different one

    return Output() if sys.stdout.isatty() else Output(width=width, height=height)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """Yield a function to call with the amount of *total* that is done; a terminal shows a bar after a second."""
    with terminal_bar(what) as update:
        yield lambda done: update(done, total)
