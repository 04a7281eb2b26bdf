"""``trainlog report``: figures, tables and gates for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trainlog import registry
from trainlog.cli.output import echo
from trainlog.cli.plot import FormatsType, figure_options, output_options, plot_options
from trainlog.plot import Format, runs_of
from trainlog.report import gather, write_report
from trainlog.report.tables import baseline_sentence, gate_rows

__all__ = ["command"]


@click.command
@output_options("report")
@click.option(
    "--require",
    "requirements",
    multiple=True,
    metavar="GATE",
    help="A condition for each log, as 'mean(reward[-100:]) >= 200'. May be repeated.",
)
@click.option(
    "--baseline",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="LOG",
    help="An older log to compare with. May be repeated, for several seeds.",
)
@click.option("--tolerance", default="5%", show_default=True, help="The loss that is accepted: a share, or points.")
@click.option(
    "--score", metavar="EXPRESSION", help="What is compared, higher is better.  [default: mean(reward[-10%:])]"
)
@click.option("--title", help="Of the report.")
@click.option("--images", metavar="URL", help="The address of the published folder; report.md then shows figures.")
@figure_options
@click.option(
    "--format", "formats", type=FormatsType(), default="svg", show_default=True, help="Of the figures; with commas."
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

    Exit code 0 when all gates are passed, 1 when one is not, 2 for wrong use or a log that cannot be read.
    """
    plot, size = plot_options(options)
    new, old = (runs_of([registry.open(path) for path in paths]) for paths in (logs, baseline))
    content = gather(new, plot, baseline=old, size=size, **options)
    written = write_report(content, output, formats=formats, images=images)
    for row in gate_rows(content):
        gate, log, measured = row.cells
        echo(f"{'passed' if row.passed else 'FAILED'}: {gate} in {log}" + (f": {measured}" if measured else ""))
    if content.comparison is not None:
        outcome = "passed" if content.comparison.passed else "FAILED"
        echo(f"{outcome}: baseline, {content.comparison.score}: {baseline_sentence(content.comparison)}")
    echo(f"{len(written)} files in {output}, {len(content.pictures)} figures: {output / 'report.html'}")
    return 0 if content.passed else 1
