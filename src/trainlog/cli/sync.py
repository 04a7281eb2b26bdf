"""``trainlog sync``: upload the files of a folder to a bucket, logs as parts."""

from __future__ import annotations

import errno
import time
from pathlib import Path
from typing import Any, Final

import click

from trainlog import registry
from trainlog.cli.output import echo, human_size, strict_json
from trainlog.errors import LogWriteError
from trainlog.storage.parts import RemoteFolder
from trainlog.storage.upload import Upload

__all__ = ["command"]

_JOBS: Final = 8  # parallel uploads
_SHOWN: Final = 20  # files that are listed; --json lists all


@click.command
@click.argument("source", type=click.Path(exists=True, path_type=Path), metavar="SRC")
@click.argument("dest", metavar="DEST")
@click.option("--watch", is_flag=True, help="Keep sending new data until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    help="The interval of --watch, in seconds.",
)
@click.option("--dry-run", is_flag=True, help="Only print what would be sent.")
@click.option("--overwrite", is_flag=True, help="Replace logs in DEST that differ from those in SRC.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print what was sent and what is waiting, as JSON; with --watch, one line each time.",
)
def command(source: Path, dest: str, watch: bool, every: float, dry_run: bool, overwrite: bool, as_json: bool) -> int:
    """Upload the logs of a folder to a bucket; the next call continues where the last one stopped.

    \b
    trainlog sync runs/ s3://bucket/runs          all files below runs/
    trainlog sync runs/a.flog s3://bucket/runs    one log, and the files that belong to it

    A log becomes a folder of parts, a.flog.parts/, each of which ends at a frame; other files are copied as they are.
    Nothing is deleted in DEST, and a log there is only ever continued, except with --overwrite.

    The exit code is 1 if something is still waiting.
    """  # noqa: D301 - click wants the character
    if watch and dry_run:
        raise click.UsageError("--watch and --dry-run cannot be combined")
    target = RemoteFolder(dest)
    folder, only = (source, None) if source.is_dir() else (source.parent, source.name)
    if target.local is not None and _holds(source.resolve(), target.local.resolve()):
        raise click.UsageError(f"{dest} is inside {source}, and would be sent into itself")
    upload = Upload(folder, target, registry.frame_end, only, overwrite, _JOBS)
    if watch:
        return _watch(upload, every, as_json=as_json)
    try:
        upload.step(dry=dry_run)
    except LogWriteError as error:
        if _is_final(error):
            raise
        echo(f"trainlog: {error}; all of it waits", err=True)
        return 1
    _say(upload, as_json=as_json, dry=dry_run)
    return 1 if upload.waiting else 0


def _holds(source: Path, target: Path) -> bool:
    return target.is_relative_to(source) if source.is_dir() else target == source.parent


def _watch(upload: Upload, every: float, *, as_json: bool) -> int:
    said: Any = None
    try:
        while True:
            said = _round(upload, said, as_json=as_json, finish=False)
            time.sleep(every)
    except KeyboardInterrupt:
        _round(upload, said, as_json=as_json, finish=True)
    return 1 if upload.waiting else 0


def _round(upload: Upload, said: Any, *, as_json: bool, finish: bool) -> Any:
    """Send new data, and report if something is sent or the failures change; return what is waiting, and why."""
    try:
        upload.step(finish=finish)
    except LogWriteError as error:
        if _is_final(error):
            raise
        if str(error) != said:
            echo(f"trainlog: {error}; all of it waits", err=True)
        return str(error)
    failed = {name: waiting.why for name, waiting in upload.waiting.items() if waiting.failed}
    if upload.sent or failed != said or finish:
        _say(upload, as_json=as_json)
    return failed


def _is_final(error: LogWriteError) -> bool:
    """Whether waiting is useless: there is no such bucket, or these credentials have no access to it."""
    return error.errno in (errno.EACCES, errno.ENOENT)


def _say(upload: Upload, *, as_json: bool, dry: bool = False) -> None:
    if as_json:
        click.echo(strict_json(_facts(upload, dry=dry)))
        return
    objects = sum(sent.objects for sent in upload.sent.values())
    size = human_size(sum(sent.size for sent in upload.sent.values()))
    what = "would be sent" if dry else "sent"
    echo(f"{upload.target.url}: {len(upload.sent):,} files {what}, {objects:,} objects, {size}")
    for name, waiting in list(upload.waiting.items())[:_SHOWN]:
        echo(f"trainlog: {name}: {human_size(waiting.size)} wait: {waiting.why}", err=True)
    if (more := len(upload.waiting) - _SHOWN) > 0:
        echo(f"trainlog: {more:,} more files wait; --json lists them", err=True)
    if upload.left_out:
        names = ", ".join(upload.left_out[:3])
        echo(f"trainlog: note: {len(upload.left_out):,} links and the like are left out: {names}", err=True)


def _facts(upload: Upload, *, dry: bool) -> dict[str, Any]:
    return {
        "source": str(upload.source),
        "dest": upload.target.url,
        "dry_run": dry,
        "sent": [{"file": name, "objects": sent.objects, "size": sent.size} for name, sent in upload.sent.items()],
        "waiting": [
            {"file": name, "size": waiting.size, "why": waiting.why} for name, waiting in upload.waiting.items()
        ],
        "left_out": upload.left_out,
    }
