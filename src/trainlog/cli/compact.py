"""``trainlog compact``: compressed copies of finished logs."""

from __future__ import annotations

from pathlib import Path

import click

from trainlog.cli.output import human_size, progress
from trainlog.errors import TrainlogError


@click.command
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="LOG...")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="The folder; that of each log otherwise.")
@click.option("--level", type=click.IntRange(1, 22), default=3, show_default=True, help="Of zstd: fast to small.")
@click.option("--overwrite", is_flag=True, help="Replace existing archives.")
def command(logs: tuple[Path, ...], out: Path | None, level: int, overwrite: bool) -> int:
    """Compress finished FLOG files to .flog.zst, which is read as any log; `zstd -d` gives the same bytes back.

    Each archive is compared with its log before it is said to be made. No log is deleted.
    """
    from trainlog.codecs.flog.archive import compact

    failed = False
    for log in logs:
        target = (out or log.parent) / f"{log.stem}.flog.zst"
        try:
            with progress(log.name, log.stat().st_size if log.is_file() else None) as update:
                done = compact(log, target, level=level, overwrite=overwrite, progress=update)
        except TrainlogError as error:
            click.echo(f"trainlog: {error}", err=True)
            failed = True
            continue
        ratio = done.size / done.packed
        sizes = f"{human_size(done.size)} to {human_size(done.packed)}, {ratio:.1f} times smaller"
        click.echo(f"{done.path}: {sizes}; compared with the log, which is kept")
    return 2 if failed else 0
