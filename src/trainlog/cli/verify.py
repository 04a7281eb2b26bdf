"""``trainlog verify``: check logs for damage."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from trainlog import verification
from trainlog.cli.output import LogPath, echo, human_size, progress, strict_json
from trainlog.errors import TrainlogError
from trainlog.redaction import without_passwords
from trainlog.verify_report import Verdict

_WHOLE, _DAMAGED, _NO_LOG = 0, 1, 2


@click.command
@click.argument("logs", nargs=-1, required=True, type=LogPath(), metavar="LOG...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per log, each on its own line.")
def command(logs: tuple[Path, ...], as_json: bool) -> int:
    """Check whether logs are whole: torn tails, holes, payloads, lengths, checksums, times that go backwards.

    Nothing is written. The exit code is 0 if all are whole, 1 if one is damaged, 2 if one is not a log.
    """
    return max(_verify(path, as_json) for path in logs)


def _verify(path: Path, as_json: bool) -> int:
    try:
        with progress(path.name, path.stat().st_size if path.is_file() else None) as update:
            verdict = verification.verify(path, update)
    except TrainlogError as error:
        if as_json:
            click.echo(strict_json({"path": str(path), "verdict": "no log", "why": str(error)}))
        else:
            echo(f"trainlog: {error}", err=True)
        return _NO_LOG
    if as_json:
        click.echo(strict_json(_facts(verdict)))
    else:
        _show(verdict)
    return _WHOLE if verdict.whole else _DAMAGED


def _facts(verdict: Verdict) -> dict[str, Any]:
    return {
        "path": str(verdict.path),
        "verdict": "whole" if verdict.whole else "damaged",
        "size": verdict.size,
        "sealed": verdict.sealed,
        "closed": verdict.closed,
        "kinds": {str(kind): count for kind, count in verdict.kinds.items()},
        "problems": [asdict(problem) for problem in verdict.problems],
    }


def _show(verdict: Verdict) -> None:
    word = "whole" if verdict.whole else "damaged"
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in verdict.kinds.items()) or "no frames"
    sealed = f"correct checksums of {verdict.sealed / verdict.size:.1%}" if verdict.sealed else "without checksums"
    echo(f"{without_passwords(str(verdict.path))}: {word}: {kinds}; {human_size(verdict.size)}, {sealed}")
    for problem in verdict.problems:
        where = f"{problem.file}: " if problem.file else ""
        echo(f"  {'' if problem.damage else 'note: '}{problem.what}: {where}{problem.text}")
