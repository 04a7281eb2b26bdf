"""``trainlog tail``: the last frames of a log, and new ones while it is written."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import click

from trainlog import registry
from trainlog.cli.dump import frame_options, json_line
from trainlog.model import Frame, Kind
from trainlog.storage.source import follow


@click.command
@click.argument("log", type=click.Path(path_type=Path))
@click.option("-n", "--lines", default=10, show_default=True, type=click.IntRange(0), help="How many frames.")
@click.option("-f", "--follow", "following", is_flag=True, help="Print new frames, until Ctrl-C.")
@frame_options
def command(log: Path, lines: int, following: bool, kind: Kind | None, keys: tuple[str, ...] | None) -> None:
    """Print the last frames of a log as JSON lines; with -f also new ones."""
    last: deque[Frame] = deque(maxlen=lines)
    caught_up = False
    sleep = follow(0.1)

    def show() -> None:
        while last:
            click.echo(json_line(last.popleft(), keys))

    def wait() -> bool:
        nonlocal caught_up
        show()
        caught_up = True
        return following and sleep()

    try:
        for frame in registry.open(log).frames(kind, wait=wait):
            if caught_up:
                click.echo(json_line(frame, keys))
            else:
                last.append(frame)
        show()
    except KeyboardInterrupt:
        return  # Ctrl-C ends -f
