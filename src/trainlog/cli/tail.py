"""``trainlog tail``: the last frames of a log, and new ones while it is written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from trainlog import registry
from trainlog.cli.dump import frame_options, json_line
from trainlog.cli.output import LogPath, echo
from trainlog.codec import Reader
from trainlog.errors import DamagedLog, InvalidPosition, LogNotFound, UnknownFormat
from trainlog.model import Frame, Kind
from trainlog.storage.source import Wait, follow

__all__ = ["command", "frames_of"]

_PAUSE: Final = 0.1  # seconds


@click.command
@click.argument("log", type=LogPath())
@click.option("-n", "--lines", default=10, show_default=True, type=click.IntRange(0), help="How many frames.")
@click.option("-f", "--follow", "following", is_flag=True, help="Print new frames, until Ctrl-C.")
@frame_options
def command(log: Path, lines: int, following: bool, kind: Kind | None, keys: tuple[str, ...] | None) -> None:
    """Print the last frames of a log as JSON lines; with -f also new ones, and those of a log that takes its place."""
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

    def begin(_: Reader, why: str) -> None:
        if why:
            echo(f"trainlog: note: {why}; its frames follow from the beginning", err=True)

    try:
        for frame in frames_of(log, kind, wait, begin):
            if caught_up:
                click.echo(json_line(frame, keys))
            else:
                last.append(frame)
        show()
    except KeyboardInterrupt:
        return  # Ctrl-C ends -f


def frames_of(log: Path, kind: Kind | None, wait: Wait, begin: Callable[[Reader, str], object]) -> Iterator[Frame]:
    """Yield the frames of a log, and then of each one that takes its place while it is followed.

    Args:
        log: its path.
        kind: of the frames; None for all.
        wait: as of `trainlog.codec.Reader.frames`.
        begin: called with each reader, before its first frame, and why it is another one.

    """
    reader, why = registry.open(log), ""
    while True:
        begin(reader, why)
        try:
            yield from reader.frames(kind, wait=wait)
            return
        except InvalidPosition as error:
            why = error.message
        while True:
            try:
                reader = registry.open(log)
                break
            except (LogNotFound, DamagedLog, UnknownFormat):
                time.sleep(_PAUSE)  # it has no whole header yet
