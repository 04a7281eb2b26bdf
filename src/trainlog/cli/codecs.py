"""``trainlog codecs``: the supported formats."""

from __future__ import annotations

import click

from trainlog import registry
from trainlog.cli.output import markup, output_console, strict_json


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def command(as_json: bool) -> None:
    """List the installed formats, and the distribution that provides each."""
    installed = registry.list_codecs()
    if as_json:
        rows = [
            {
                "name": one.codec.name,
                "suffixes": one.codec.suffixes,
                "reads": one.reads,
                "writes": one.writes,
                "description": one.codec.description,
                "distribution": one.distribution,
            }
            for one in installed
        ]
        click.echo(strict_json(rows, indent=2))
        return
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), header_style="dim")
    for title in ("name", "suffixes", "reads", "writes", "from", "description"):
        table.add_column(title)
    for one in installed:
        support = ["yes" if supported else "" for supported in (one.reads, one.writes)]
        texts = [one.codec.name, " ".join(one.codec.suffixes), *support, one.distribution, one.codec.description]
        table.add_row(*map(markup, texts))
    output_console().print(table)
