"""``trainlog list``: list the runs of folders as a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from trainlog.catalog.filter import resolve
from trainlog.catalog.groups import sorted_by, varying
from trainlog.catalog.runs import Runs, runs
from trainlog.cli.output import LogPath, aligned, echo, human_size, strict_json
from trainlog.name_list import parse_names
from trainlog.printable import human_time, printable
from trainlog.report.facts import human

__all__ = ["command", "print_table", "short_text", "where_arguments"]

_MOST_VARYING: Final = 6  # metadata columns that are shown by default
_MOST_LETTERS: Final = 40  # maximum length of a cell
_NUMBER: Final = re.compile(r"[-−]?\d[\d,.]*(e[-+]?\d+)?(?!\S)")

where_arguments = click.argument("where", nargs=-1, type=LogPath(), metavar="[WHERE...]")


@click.command
@where_arguments
@click.option(
    "--filter", "text", default="", metavar="FILTER", help="Which runs, such as 'algo:sac lr=3e-4 reward>150'."
)
@click.option(
    "--columns",
    default="",
    metavar="KEYS",
    help="Which columns, separated by commas, such as 'run,lr,reward,best/reward'.",
)
@click.option("--sort", metavar="KEY", help="Sort by this column; '-reward' for the highest first.")
@click.option("--limit", type=click.IntRange(0), help="Show at most this many runs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per run, each on its own line.")
def command(
    where: tuple[Path, ...], text: str, columns: str, sort: str | None, limit: int | None, as_json: bool
) -> None:
    """List the runs of folders and patterns: state, the metadata that differ, and the last reward.

    WHERE is the current folder by default. The facts about the logs are stored in a catalog, so that the next call
    looks only at what has changed. A column is a key of the metadata or a metric: reward is its last value; others are
    best/reward, mean/reward, first/reward, min/reward and max/reward. Columns whose names contain commas are given as a
    JSON list.
    """
    chosen = runs(where or (Path(),)).filter(text)
    wanted = parse_names(columns)
    keys = [*wanted, *([sort.removeprefix("-")] if sort else [])]
    rows, known = chosen.known.rows_for(keys, read=not wanted)
    names = wanted or _default_columns(rows, chosen.known.steps_and_rewards())
    if sort:
        values = [_value(row, known, sort.removeprefix("-")) for row in rows]
        rows = sorted_by(values, rows, backwards=sort.startswith("-"))
    left = len(rows) - limit if limit is not None and len(rows) > limit else 0
    rows = rows[:limit]
    if as_json:
        for row in rows:
            shown = {key: _value(row, known, key) for key in wanted} if wanted else row
            click.echo(strict_json(shown))
        return
    print_table(
        [name.removeprefix("last/") for name in names],
        [[_cell(name, _value(row, known, name)) for name in names] for row in rows],
    )
    if left:
        echo(f"and {left:,} more", err=True)
    _tell_of_damage(chosen)


def _tell_of_damage(chosen: Runs) -> None:
    damaged = chosen.damaged if chosen.known.is_read else {}
    for name, problem in list(damaged.items())[:3]:
        echo(f"trainlog: note: {name}: {problem}", err=True)
    if len(damaged) > 3:
        echo(f"trainlog: note: and {len(damaged) - 3:,} more damaged logs (--filter 'damage>0')", err=True)


def _value(row: Mapping[str, Any], known: Mapping[str, Any], key: str) -> Any:
    name = resolve(key, known)
    return None if name is None else row.get(name)


def _default_columns(rows: Sequence[Mapping[str, Any]], measures: Iterable[tuple[str, str]]) -> list[str]:
    metrics = dict.fromkeys(f"last/{key}" for pair in measures for key in pair if key)
    differing = varying(rows)[:_MOST_VARYING]
    reason = ["reason"] if any("reason" in row for row in rows) else []
    return ["run", "state", *differing, *metrics, "duration", "size", *reason]


def short_text(value: Any) -> str:
    """A value of the metadata, cut if it is long; empty for None."""
    text = "" if value is None else printable(str(value) if isinstance(value, str | float) else strict_json(value))
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "size":
        return human_size(value)
    if name == "duration":
        return human_time(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return printable(str(value)) if name == "run" else short_text(value)
    if isinstance(value, int):
        return str(value)
    return human(value) if "/" in name else f"{value:g}"


def _is_number(cell: str) -> bool:
    """Whether a cell is empty or begins with a number, such as ``8.0 KB``; a name such as ``1.flog`` does not."""
    return not cell or _NUMBER.match(cell) is not None


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns; columns of numbers are right-aligned."""
    table = [list(titles), *map(list, rows)]
    right = [all(_is_number(row[column]) for row in table[1:]) for column in range(len(titles))]
    for line in aligned(table, right):
        echo(line)
