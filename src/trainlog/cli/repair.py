"""``trainlog repair``: write the whole frames of a damaged log to a new one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from trainlog import verification
from trainlog.cli.output import LogPath, OutputPath, echo, strict_json
from trainlog.verify_report import Repair

_COMPLETE, _LOST = 0, 3


@click.command
@click.argument("log", type=LogPath())
@click.argument("target", required=False, type=OutputPath())
@click.option("--in-place", is_flag=True, help="Cut off the torn tail of LOG itself; other damage needs a TARGET.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(log: Path, target: Path | None, in_place: bool, as_json: bool) -> int:
    """Write every whole frame of LOG to the new log TARGET, and report what was lost.

    LOG is not changed. The exit code is 0 if nothing was lost, 3 if something was.
    """
    if in_place == (target is not None):
        raise click.UsageError("give either a TARGET or --in-place")
    done = verification.repair_in_place(log) if target is None else verification.repair(log, target)
    if as_json:
        facts = {
            "path": str(done.target),
            "kept": {str(kind): count for kind, count in done.kept.items()},
            "lost": done.lost,
            "lost_bytes": done.lost_bytes,
            "header": done.header,
            "doubtful": [{"offset": offset, "size": size} for offset, size in done.doubtful],
        }
        click.echo(strict_json(facts))
    else:
        _show(done)
    return _COMPLETE if done.complete else _LOST


def _show(done: Repair) -> None:
    echo(f"{done.target}: kept {_counts(done.kept)}")
    if done.lost:
        echo(f"  lost {_counts(done.lost)}: {done.lost_bytes:,} bytes that are not a whole frame")
    if done.header:
        echo(f"  header: {done.header}")
    for offset, size in done.doubtful:
        echo(f"  doubtful: {size:,} bytes from byte {offset:,} have a wrong checksum; kept")


def _counts(kinds: Mapping[Any, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()) or "no frames"
