"""``trainlog convert``: convert one or many logs to another format."""

from __future__ import annotations

import glob
import itertools
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from trainlog import conversion, registry
from trainlog.catalog.workers import in_order, run_all
from trainlog.cli.output import OutputPath, echo, progress, strict_json
from trainlog.errors import CodecError, TrainlogError
from trainlog.model import Role, Variable
from trainlog.storage.location import fixed_part, is_folder, location, named
from trainlog.storage.replace import delete_leftovers

__all__ = ["command"]

_ROLES: Final[tuple[Role, ...]] = ("state", "action", "reward", "stat")


@dataclass(slots=True)
class _Result:
    """The result of one conversion; picklable, for worker processes."""

    source: Path
    target: Path
    frames: int = 0
    losses: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        paths = {"source": str(self.source), "target": str(self.target)}
        if self.error is not None:
            return {**paths, "error": self.error}
        return {**paths, "frames": self.frames, "losses": self.losses, "notes": self.notes}


def _convert(paths: tuple[Path, Path], **options: Any) -> _Result:
    """Convert one log with the *options* of `conversion.convert`; an error becomes a part of the result."""
    result = _Result(*paths)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            done = conversion.convert(*paths, **options)
            result.frames, result.losses = done.frames, dict(done.losses)
        except (TrainlogError, OSError) as error:
            result.error = str(error)
    result.notes = [str(warning.message) for warning in caught]
    return result


def _role_options(function: Any) -> Any:
    for role in reversed(_ROLES):
        function = click.option(
            f"--{role}", role, multiple=True, metavar="KEY", help=f"A key to declare in the new log, as {role}."
        )(function)
    return function


@click.command
@click.argument("paths", nargs=-1, required=True, metavar="SOURCE... [TARGET]")
@click.option("--out", type=OutputPath(file_okay=False), help="Convert all sources into this folder.")
@click.option("--to", "codec", metavar="CODEC", help="The new format, if the suffix of TARGET does not determine it.")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Logs to convert in parallel.")
@click.option("--overwrite", is_flag=True, help="Replace existing logs.")
@click.option("--report", type=click.Choice(["json"]), help="Print what was written and what was lost.")
@_role_options
def command(
    paths: tuple[str, ...],
    out: Path | None,
    codec: str | None,
    jobs: int,
    overwrite: bool,
    report: str | None,
    **roles: tuple[str, ...],
) -> int:
    """Convert a log to another format.

    SOURCE is a log of any format. The suffix of TARGET determines the new format. With --out, or with a folder as
    TARGET, there can be several sources, and patterns in quotes: 'runs/**/*.log'.

    Values that the new format cannot hold are listed. A format with declared columns (simion) needs --state,
    --action, --reward and --stat for a log that declares none.

    The new log is complete or absent. The exit code is 2 when a log could not be converted.
    """
    variables = tuple(Variable(key, role, key=key) for role in _ROLES for key in roles[role])
    plan = list(_plan(paths, out, codec))
    _check_targets_differ(plan)
    convert = partial(_convert, codec=codec, variables=variables, overwrite=overwrite)
    single = len(plan) == 1
    results: list[_Result] = []
    with progress(plan[0][0].name if single else "converting", None if single else len(plan)) as update:
        for result in [convert(plan[0], progress=update)] if single else _map(convert, plan, jobs):
            results.append(result)
            if report is None and result.error is None:
                _print(result, single=single)
            elif result.error is not None:
                echo(f"trainlog: {result.error}", err=True)
            if not single:
                update(len(results))
    if report == "json":
        click.echo(strict_json([result.as_json() for result in results]))
    return 2 if any(result.error is not None for result in results) else 0


def _plan(paths: tuple[str, ...], out: Path | None, codec: str | None) -> Iterator[tuple[Path, Path]]:
    """Yield each source with its target."""
    if out is None:
        if len(paths) < 2:
            raise click.UsageError("say where to: a TARGET after the source, or --out and a folder")
        *patterns, last = paths
        target = OutputPath().coerce_path_result(last)
        if not target.is_dir() and not last.endswith(("/", os.sep)):
            sources = list(itertools.chain.from_iterable(map(_matching, patterns)))
            if len(sources) > 1:
                raise click.UsageError(f"{len(sources)} logs cannot become one file; give --out and a folder")
            yield sources[0][0], target
            return
        paths, out = tuple(patterns), target
    for source, inner in dict(itertools.chain.from_iterable(map(_matching, paths))).items():
        yield source, _target(source, out / inner.parent, codec)


def _matching(pattern: str) -> list[tuple[Path, Path]]:
    """The files that match *pattern*, each with its path relative to the folder where the pattern starts."""
    path = location(pattern)
    if not glob.has_magic(pattern) or path.exists():
        return [(path, Path(path.name))]
    base = fixed_part(path)
    found = sorted(base.glob(path.relative_to(base).as_posix()))
    files = [(file, Path(file.relative_to(base))) for file in found if file.is_file()]
    if not files:
        raise click.UsageError(f"no file matches {pattern!r}")
    return files


def _target(source: Path, folder: Path, codec: str | None) -> Path:
    """The path in *folder* for the conversion of *source*: its name with another suffix."""
    # The end of a name such as lr_0.001, or that of an event file, is not the suffix of a format.
    other = source.suffix if re.fullmatch(r"\.[A-Za-z]\w*", source.suffix) and not is_folder(source) else ""
    old = registry.suffix_of(source) or other
    new = registry.find_codec(codec or "flog").suffixes[0]
    if codec is None and old.lower() == new:
        raise click.UsageError(f"{source} is already a {new} file; choose another format with --to CODEC")
    return folder / (named(source).name.removesuffix(old) + new)


def _check_targets_differ(plan: list[tuple[Path, Path]]) -> None:
    sources: dict[Path, Path] = {}
    for source, target in plan:
        if target in sources:
            raise click.UsageError(f"{sources[target]} and {source} would both become {target}")
        sources[target] = source


def _map(
    convert: Callable[[tuple[Path, Path]], _Result], plan: list[tuple[Path, Path]], jobs: int
) -> Iterator[_Result]:
    if jobs == 1:
        yield from map(convert, plan)
        return
    try:
        yield from in_order(run_all(convert, plan, seconds=math.inf, workers=jobs, elsewhere=True, is_repeated=False))
    except BaseException as error:
        for folder in {target.parent for _, target in plan}:
            delete_leftovers(folder)
        if isinstance(error, ChildProcessError):
            reason = "a process of the conversion was killed, perhaps for lack of memory; try fewer --jobs"
            raise CodecError(reason) from None
        raise


def _print(result: _Result, *, single: bool) -> None:
    for note in result.notes:
        echo(f"trainlog: note: {note}", err=True)
    echo(f"{result.target}: {result.frames:,} frames")
    if result.losses and single:
        echo("  not converted:")
        for description, count in result.losses.items():
            echo(f"    {count:>9,} × {description}")
    elif result.losses:
        lost = sum(result.losses.values())
        echo(f"  {lost:,} values or records were not converted; --report json lists them")
