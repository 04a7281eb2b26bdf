"""``trainlog report``: write figures, tables and gates for CI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import click

from trainlog.cli.output import LogPath, echo
from trainlog.cli.plot import FormatsType, figure_options, output_options, plot_options
from trainlog.errors import LogNotFound
from trainlog.find_logs import find_logs, without_repeats
from trainlog.plot import Format, Run
from trainlog.printable import counted
from trainlog.report import gather, write_report
from trainlog.report.baseline import FailOn
from trainlog.report.logs import LogCheck, open_runs
from trainlog.report.tables import baseline_sentence, failure_rows, gate_rows

__all__ = ["command"]


class _Command(click.Command):
    """Takes all words after ``--baseline`` up to the next option, as the shell expands a pattern to several words."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread: list[str] = []
        olds = -1  # how many words have followed the option; -1 outside of it
        for word, following in zip(args, [*args, "--"][1:], strict=True):
            if word.startswith("-") and word != "-":
                olds = 0 if word == "--baseline" else -1
            elif olds >= 0:
                olds += 1
                if olds > 1:
                    spread.append("--baseline")
            # Click would take the next option for a log, and an empty word (an unset variable) for the current folder.
            lacking = olds >= 0 and (not following or (olds == 0 and following.startswith("-")))
            if lacking or word == "--baseline=":
                raise click.UsageError("--baseline needs logs: a word after it is missing or empty", ctx)
            spread.append(word)
        return super().parse_args(ctx, spread)


@click.command(cls=_Command)
@output_options("report")
@click.option(
    "--require",
    "requirements",
    multiple=True,
    metavar="GATE",
    help="A condition for each log, such as 'mean(reward[-100:]) >= 200'. Can be repeated.",
)
@click.option(
    "--baseline",
    multiple=True,
    type=LogPath(),
    metavar="LOG...",
    help="Older logs to compare with, up to the next option; also folders and patterns.",
)
@click.option("--tolerance", default="5%", show_default=True, help="The accepted loss, in percent or in points.")
@click.option(
    "--fail-on",
    type=click.Choice(get_args(FailOn)),
    default="worse",
    show_default=True,
    help="The mildest outcome of the comparison that counts as a failure.",
)
@click.option("--paired", is_flag=True, help="Compare logs with the same seed pairwise.")
@click.option(
    "--score", metavar="EXPRESSION", help="The value to compare; higher is better.  [default: mean(reward[-10%:])]"
)
@click.option("--title", help="The title of the report.")
@click.option("--images", metavar="URL", help="The URL of the published folder; report.md then shows figures.")
@figure_options
@click.option(
    "--format",
    "formats",
    type=FormatsType(),
    default="svg",
    show_default=True,
    help="The formats of the figures, separated by commas.",
)
def command(
    logs: tuple[Path, ...],
    output: Path,
    baseline: tuple[Path, ...],
    images: str | None,
    formats: tuple[Format, ...],
    **options: Any,
) -> int:
    """Write report.md, report.html, summary.json, junit.xml, figures and their CSV; the output is reproducible.

    Give the logs before --baseline. Folders and patterns stand for the runs in them. The exit code is 0 if all logs are
    whole and all gates are passed, 1 if one is not, 2 for wrong use. The report is written in the first two cases.
    """
    plot, size = plot_options(options)
    new, unreadable = _runs(logs)
    old, older_unreadable = _runs(baseline)
    unreadable += [LogCheck(f"baseline: {one.log}", one.verdict, one.problems) for one in older_unreadable]
    content = gather(new, plot, unreadable=unreadable, baseline=old if baseline else None, size=size, **options)
    written = write_report(content, output, formats=formats, images=images)
    for row in failure_rows(content):
        log, verdict, reason = row.cells
        echo(f"FAILED: {log} is {verdict}: {reason}")
    shown, passed = gate_rows(content)
    for row in shown:
        gate, log, measured = row.cells
        echo(f"{'passed' if row.passed else 'FAILED'}: {gate} in {log}" + (f": {measured}" if measured else ""))
    if passed:
        echo(f"passed: {len(passed):,} more, which the report lists")
    if content.comparison is not None:
        outcome = "passed" if content.comparison.passed else "FAILED"
        echo(f"{outcome}: baseline, {content.comparison.score}: {baseline_sentence(content.comparison)}")
    figures = counted(len(content.pictures), "figure")
    echo(f"{len(written)} files in {output}, {figures}: {output / 'report.html'}")
    return 0 if content.passed else 1


def _runs(paths: Sequence[Path]) -> tuple[list[Run], list[LogCheck]]:
    """The logs of all paths that can be opened, and the others, which include patterns without logs."""
    found: list[Path] = []
    missing = []
    for path in paths:
        try:
            found += find_logs([path])
        except LogNotFound as error:
            # Not an absolute path, which would differ between machines.
            name = "/".join(path.parts[-2:]) if path.is_absolute() else str(path)
            missing.append(LogCheck(name, "unreadable", (error.message,)))
    runs, unreadable = open_runs(without_repeats(found))
    return runs, unreadable + missing
