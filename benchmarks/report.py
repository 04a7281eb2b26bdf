"""Tables, and the facts without which figures mean nothing: the machine, the versions, the day."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import trainlog

__all__ = ["Table", "facts", "ratio"]


@dataclass(slots=True)
class Table:
    """One table of the report.

    Attributes:
        title: its heading.
        about: a paragraph above it about what was measured and how.
        columns: the heads; the first column names what was measured and is left-aligned, as are *words*.
        rows: the cells.
        words: the indices of further columns that hold words.

    """

    title: str
    about: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    words: frozenset[int] = frozenset()

    def __str__(self) -> str:
        """The table in Markdown, aligned so that it is also readable in a terminal."""
        lines = [list(self.columns), *([*row, *[""] * (len(self.columns) - len(row))] for row in self.rows)]
        widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(self.columns))]
        left = [i == 0 or i in self.words for i in range(len(widths))]
        rule = ["-" * width if flush else "-" * (width - 1) + ":" for width, flush in zip(widths, left, strict=True)]
        body = "\n".join(
            "| "
            + " | ".join(
                cell.ljust(width) if flush else cell.rjust(width)
                for cell, width, flush in zip(line, widths, left, strict=True)
            )
            + " |"
            for line in [lines[0], rule, *lines[1:]]
        )
        return "\n\n".join(filter(None, [f"## {self.title}", self.about, body])) + "\n"


def ratio(value: float, base: float) -> str:
    """*value* as a multiple of *base*."""
    times = value / base
    if times != times:
        return "—"
    return f"{times:,.0f} ×" if times >= 9.95 else f"{times:.2f} ×" if times >= 0.1 else f"{times:.1g} ×"


def facts(distributions: Iterable[str]) -> str:
    """The machine, the versions of Python and of *distributions*, the day, and how busy the machine was."""
    names = sorted(set(distributions), key=str.lower)
    return "\n".join(
        [
            f"- **Machine**: {os.cpu_count()} cores, {_processor()}, {_memory()}, "
            f"{platform.system()} {platform.machine()}",
            f"- **Python**: {platform.python_implementation()} {platform.python_version()}",
            f"- **Libraries**: {', '.join(f'{name} {_version(name)}' for name in names)}",
            f"- **Day**: {datetime.date.today().isoformat()}; load of the machine at the end {os.getloadavg()[0]:.1f}",
        ]
    )


def _version(distribution: str) -> str:
    try:
        return trainlog.__version__ if distribution == "trainlog" else version(distribution)
    except PackageNotFoundError:
        return "(not installed)"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _memory() -> str:
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GB of memory"
