"""``trainlog convert``: logs in another format, one or many."""

from __future__ import annotations

import glob
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from trainlog import registry
from trainlog.cli.output import progress, strict_json
from trainlog.codec import Codec
from trainlog.errors import TrainlogError, UnknownFormat
from trainlog.model import Role, Variable

__all__ = ["command"]

_ROLES: Final[tuple[Role, ...]] = ("state", "action", "reward", "stat")


@dataclass(frozen=True, slots=True)
class _Job:
    """One log that is to be converted; picklable, for other processes."""

    source: Path
    target: Path
    codec: str | None
    variables: tuple[Variable, ...]
    overwrite: bool


@dataclass(slots=True)
class _Result:
    """How it went: an error, or what was written."""

    job: _Job
    frames: int = 0
    losses: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"source": str(self.job.source), "target": str(self.job.target)}
        if self.error is not None:
            return {**facts, "error": self.error}
        return {**facts, "frames": self.frames, "losses": self.losses, "notes": self.notes}


def _run(job: _Job, progress: Callable[[int], object] | None = None) -> _Result:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = _Result(job)
        try:
            done = registry.convert(
                job.source,
                job.target,
                codec=job.codec,
                variables=job.variables,
                overwrite=job.overwrite,
                progress=progress,
            )
            result.frames, result.losses = done.frames, dict(done.losses)
        except (TrainlogError, OSError) as error:
            result.error = str(error)
    result.notes = [str(warning.message) for warning in caught]
    return result


def _role_options(function: Any) -> Any:
    for role in reversed(_ROLES):
        function = click.option(
            f"--{role}", role, multiple=True, metavar="KEY", help=f"A key to be a column of the new log: {role}."
        )(function)
    return function


@click.command
@click.argument("paths", nargs=-1, required=True, metavar="SOURCE... [TARGET]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Convert all sources into this folder.")
@click.option("--to", "codec", metavar="CODEC", help="The format to convert to, where TARGET does not tell.")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Logs to convert at a time.")
@click.option("--overwrite", is_flag=True, help="Replace logs that are there.")
@click.option("--report", type=click.Choice(["json"]), help="Say on standard output what was written and lost.")
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

    SOURCE is a log of any format, TARGET a file whose suffix says the new one. With --out, or a TARGET that is a
    folder, there may be several sources, and patterns: 'runs/**/*.log', in quotes.

    What the new format cannot hold is listed. A format of declared columns (simion) needs to be told which keys they
    are, by --state, --action, --reward and --stat, of a log that declares none.

    The new log is complete or absent. The exit code is 2 when one could not be converted.
    """
    variables = tuple(Variable(key, role, key=key) for role in _ROLES for key in roles[role])
    plan = list(_plan(paths, out, codec))
    _refuse_clashes(plan)
    todo = [_Job(source, target, codec, variables, overwrite) for source, target in plan]
    results: list[_Result] = []
    alone = len(todo) == 1
    with progress(todo[0].source.name if alone else "converting", None if alone else len(todo)) as update:
        for result in [_run(todo[0], update)] if alone else _results(todo, jobs):
            results.append(result)
            if report is None:
                _show(result, many=len(todo) > 1)
            elif result.error is not None:
                _complain(result.error)
            if not alone:
                update(len(results))
    if report == "json":
        click.echo(strict_json([result.as_json() for result in results]))
    return 2 if any(result.error is not None for result in results) else 0


def _plan(paths: tuple[str, ...], out: Path | None, codec: str | None) -> Iterator[tuple[Path, Path]]:
    """What is to become what."""
    if out is None:
        if len(paths) < 2:
            raise click.UsageError("say where to: a TARGET after the source, or --out and a folder")
        *paths_from, last = paths
        target = Path(last)
        if not target.is_dir():
            sources = list(itertools.chain.from_iterable(map(_matching, paths_from)))
            if len(sources) > 1:
                raise click.UsageError(f"{len(sources)} logs cannot become one file; give --out and a folder")
            yield sources[0][0], target
            return
        paths, out = tuple(paths_from), target
    for source, inner in dict(itertools.chain.from_iterable(map(_matching, paths))).items():
        yield source, _target(source, out / inner.parent, codec)


def _matching(pattern: str) -> list[tuple[Path, Path]]:
    """The files that *pattern* stands for, each with its path below the folder where the pattern begins."""
    path = Path(pattern)
    if path.exists() or not glob.has_magic(pattern):
        return [(path, Path(path.name))]
    base = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
    found = sorted(base.glob(str(path.relative_to(base))))
    files = [(file, file.relative_to(base)) for file in found if file.is_file()]
    if not files:
        raise click.UsageError(f"no file matches {pattern!r}")
    return files


def _target(source: Path, folder: Path, name: str | None) -> Path:
    """The file in *folder* that *source* becomes: its name with another suffix."""
    codecs = [installed.codec for installed in registry.list_codecs()]
    suffixes = sorted((suffix for codec in codecs for suffix in codec.suffixes), key=len, reverse=True)
    lower = source.name.lower()
    old = next((suffix for suffix in [*suffixes, source.suffix] if suffix and lower.endswith(suffix)), "")
    new = _chosen(codecs, name or "flog").suffixes[0]
    if name is None and old == new:
        raise click.UsageError(f"{source} is a {new} file already; say what it is to become: --to CODEC")
    return folder / (source.name[: len(source.name) - len(old)] + new)


def _chosen(codecs: Iterable[Codec], name: str) -> Codec:
    for codec in codecs:
        if codec.name == name:
            return codec
    raise UnknownFormat(f"there is no codec called {name!r}; `trainlog codecs` lists those that are installed")


def _refuse_clashes(plan: list[tuple[Path, Path]]) -> None:
    sources: dict[Path, Path] = {}
    for source, target in plan:
        if target in sources:
            raise click.UsageError(f"{sources[target]} and {source} would both become {target}")
        sources[target] = source


def _results(todo: list[_Job], jobs: int) -> Iterator[_Result]:
    if jobs == 1:
        yield from map(_run, todo)
        return
    import multiprocessing

    # Spawned, not forked: a fork of a process that draws a progress bar in a thread may hang.
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(todo))) as pool:
        yield from pool.imap(_run, todo)


def _show(result: _Result, *, many: bool) -> None:
    if result.error is not None:
        _complain(result.error)
        return
    for note in result.notes:
        click.echo(f"trainlog: note: {note}", err=True)
    click.echo(f"{result.job.target}: {result.frames:,} frames")
    if result.losses:
        lost = sum(result.losses.values())
        if many:
            click.echo(f"  {lost:,} values or records could not be carried; --report json lists them")
            return
        click.echo("  what could not be carried:")
        for what, count in result.losses.items():
            click.echo(f"    {count:>9,} × {what}")


def _complain(error: str) -> None:
    click.echo(f"trainlog: {error}", err=True)
