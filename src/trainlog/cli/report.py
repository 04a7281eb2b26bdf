"""``trainlog report``: figures, tables and gates for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trainlog import registry
from trainlog.cli.plot import FormatsType, figure_options, wish_of
from trainlog.plot import Format, runs_of
from trainlog.report import Content, gather, write_report
from trainlog.report.tables import baseline_sentence, gate_rows

__all__ = ["command"]


@click.command
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LOG...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("report"),
    show_default=True,
    help="Folder.",
)
@click.option(
    "--require",
    "requirements",
    multiple=True,
    metavar="GATE",
    help="As 'mean(reward[-100:]) >= 200'; for each log. Again for more.",
)
@click.option(
    "--baseline",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="LOG",
    help="An older log to be as good as. Again for more seeds.",
)
@click.option("--tolerance", default="5%", show_default=True, help="How much worse is good enough: a share, or points.")
@click.option(
    "--score", metavar="EXPRESSION", help="What is compared, higher is better.  [default: mean(reward[-10%:])]"
)
@click.option("--title", help="Of the report.")
@click.option("--images", metavar="URL", help="Where the folder will be found; report.md then shows figures.")
@figure_options
@click.option(
    "--format", "formats", type=FormatsType(), default="svg", show_default=True, help="Of the figures; with commas."
)
def command(
    logs: tuple[Path, ...],
    output: Path,
    requirements: tuple[str, ...],
    baseline: tuple[Path, ...],
    tolerance: str,
    score: str | None,
    title: str | None,
    images: str | None,
    formats: tuple[Format, ...],
    **options: Any,
) -> int:
    """Write report.md, report.html, summary.json, junit.xml, figures and their CSV; two runs write the same bytes.

    Exit code 0 when all gates are passed, 1 when one is not, 2 for wrong use or a log that cannot be read.
    """
    wish, size = wish_of(options)
    content = gather(
        runs_of([registry.open(path) for path in logs]),
        wish,
        requirements=requirements,
        baseline=runs_of([registry.open(path) for path in baseline]),
        tolerance=tolerance,
        score=score,
        title=title,
        size=size,
    )
    written = write_report(content, output, formats=formats, images=images)
    _say(content)
    click.echo(f"{len(written)} files in {output}, {len(content.pictures)} figures: {output / 'report.html'}")
    return 0 if content.passed else 1


def _say(content: Content) -> None:
    for row in gate_rows(content):
        gate, log, measured = row.cells
        click.echo(f"{'passed' if row.passed else 'FAILED'}: {gate} in {log}" + (f": {measured}" if measured else ""))
    if content.comparison is not None:
        outcome = "passed" if content.comparison.passed else "FAILED"
        click.echo(f"{outcome}: baseline, {content.comparison.score}: {baseline_sentence(content.comparison)}")
