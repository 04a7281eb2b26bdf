"""``trainlog compact``: compress finished logs, or copy a tree of runs to Parquet."""

from __future__ import annotations

from pathlib import Path

import click

from trainlog import conversion, registry
from trainlog.cli.output import LogPath, OutputPath, echo, human_size, progress
from trainlog.errors import TrainlogError, UnknownFormat
from trainlog.model import Kind
from trainlog.name_list import parse_names
from trainlog.storage.location import is_folder


@click.command
@click.argument("logs", nargs=-1, required=True, type=LogPath(), metavar="LOG...")
@click.option("--out", type=OutputPath(file_okay=False), help="The output folder.  [default: that of each log]")
@click.option(
    "--level",
    type=click.IntRange(1, 22),
    default=3,
    show_default=True,
    help="The level of zstd: low is fast, high is small.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing archives.")
@click.option(
    "--filter", "text", default="", metavar="FILTER", help="For a tree: which runs, such as 'algo:sac lr=3e-4'."
)
@click.option(
    "--by",
    default="",
    metavar="KEYS",
    help="For a tree: one folder for each value of these keys, separated by commas or as a JSON list.",
)
@click.option("--kinds", default="stats", show_default=True, metavar="KINDS", help="For a tree: which frames.")
def command(
    logs: tuple[Path, ...],
    out: Path | None,
    level: int,
    overwrite: bool,
    text: str,
    by: str,
    kinds: str,
) -> int:
    """Compress finished FLOG files to .flog.zst, or copy the rows of all runs of a tree to Parquet.

    \b
    trainlog compact run.flog ...      writes run.flog.zst, which can be read like any log;
                                       `zstd -d` restores the same bytes
    trainlog compact runs/ all/        writes all/stats/...parquet and all/runs.parquet;
                                       the next call writes only what has changed

    The new files are compared with the logs before they are reported. No log is deleted.
    """  # noqa: D301 - click wants the character
    if len(logs) == 2 and logs[0].is_dir() and not registry.suffix_of(logs[0]):
        return _tree(logs[0], logs[1], text, parse_names(by), kinds)
    if text or by:
        raise click.UsageError("--filter and --by are for a tree: trainlog compact runs/ all/")
    return _archives(logs, out, level, overwrite)


def _tree(where: Path, target: Path, text: str, by: list[str], names: str) -> int:
    from trainlog.catalog.runs import runs

    try:
        kinds = [Kind.of(name) for name in parse_names(names)]
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    done = runs(where).filter(text).to_parquet(target, partition_by=by, kinds=kinds)
    held = ", ".join(f"{kind} of {count:,} runs" for kind, count in done.runs.items())
    echo(f"{done.target}: {held}, {human_size(done.size)}")
    written = f"{done.written:,} written ({done.rows:,} rows) and compared with their logs, which are kept"
    echo(f"{written}; {done.kept:,} unchanged")
    return 1 if done.damaged else 0


def _archives(logs: tuple[Path, ...], out: Path | None, level: int, overwrite: bool) -> int:
    failed = False
    for log in logs:
        try:
            if is_folder(log):
                raise UnknownFormat("this is a folder; name its files, or a target folder to copy a tree to", path=log)
            with progress(log.name, log.stat().st_size if log.is_file() else None) as update:
                done = conversion.compact(log, out, level=level, overwrite=overwrite, progress=update)
        except TrainlogError as error:
            echo(f"trainlog: {error}", err=True)
            failed = True
            continue
        ratio = done.size / done.packed
        sizes = f"{human_size(done.size)} to {human_size(done.packed)}, {ratio:.1f} times smaller"
        echo(f"{done.path}: {sizes}; compared with the log, which is kept")
    return 2 if failed else 0
