"""``trainlog tail``: print the last frames of a log, and new ones while it is being written."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
import numpy as np

from trainlog import registry
from trainlog.cli.dump import frame_options, json_line
from trainlog.cli.output import LogPath, echo
from trainlog.codec import Reader
from trainlog.errors import DamagedLog, InvalidPosition, LogNotFound, LogReadError, UnknownFormat
from trainlog.model import Frame, Kind
from trainlog.scan import Batch, Gap, Scan, damage_handler, stretches
from trainlog.storage.location import RemotePath
from trainlog.storage.source import follow

__all__ = ["command"]

_PAUSE: Final = 0.1  # seconds

Show = Callable[[Frame], object]


@click.command
@click.argument("log", type=LogPath())
@click.option(
    "-n", "--lines", default=10, show_default=True, type=click.IntRange(0, sys.maxsize), help="The number of frames."
)
@click.option("-f", "--follow", "following", is_flag=True, help="Print new frames, until Ctrl-C.")
@frame_options
def command(log: Path, lines: int, following: bool, kind: Kind | None, keys: tuple[str, ...] | None) -> None:
    """Print the last frames of a log as JSON lines; with -f also new ones, and those of a log that replaces it."""

    def show(frame: Frame) -> None:
        click.echo(json_line(frame, keys))

    reader = registry.open(log)
    if following:
        with suppress(KeyboardInterrupt):  # Ctrl-C ends it
            _follow(reader, kind, lines, show)
        return
    for stretch in stretches(reader.scan(Scan(kinds=kind, columns=(), last=lines))):
        for frame in _taken(reader, stretch, lines):
            show(frame)


def _taken(reader: Reader, stretch: dict[Kind, Batch], last: int | None) -> Iterator[Frame]:
    """Yield the frames of all kinds in a *stretch*, in the order of the log; only the *last* ones if it is a number."""
    orders = np.sort(np.concatenate([batch.order for batch in stretch.values()]))
    return reader.take(orders.tolist() if last is None else orders[max(len(orders) - last, 0) :].tolist())


def _follow(reader: Reader, kind: Kind | None, last: int | None, show: Show) -> None:
    """Show the *last* frames and then new ones, and all frames of a log that replaces it."""
    while True:
        try:
            if not _grows(reader):
                _follow_by_frames(reader, kind, last, show)
                return
            _follow_by_scans(reader, kind, last, show)
        except InvalidPosition as error:
            reader, last = _opened_again(reader.path), None
            echo(f"trainlog: note: {error.message}; its frames follow from the beginning", err=True)


def _grows(reader: Reader) -> bool:
    """Whether the log is one file to which frames are only appended, so that a scan can continue after the last one.

    In other logs, positions and orders change while they grow, or can be found only by reading everything.
    """
    return not isinstance(reader.path, RemotePath) and reader.frame_end(0, 0) is not None


def _follow_by_scans(reader: Reader, kind: Kind | None, last: int | None, show: Show) -> None:
    """Show the *last* frames (None means all) and then new ones, by one scan after another; never returns.

    Raises:
        InvalidPosition: if another log replaces it.

    """
    tell, told = damage_handler("warn", reader.path), set[int]()

    def tell_once(gap: Gap) -> None:
        if not gap.torn and gap.offset not in told:  # each scan comes across damage at the end of the log
            told.add(gap.offset)
            tell(gap)

    scan = Scan(kinds=kind, columns=(), last=last, on_damage=tell_once)
    is_told = False
    while True:
        try:
            for stretch in stretches(reader.scan(scan)):
                for frame in _taken(reader, stretch, scan.last):
                    show(frame)
                scan = replace(scan, last=None, after=[*stretch.values()][-1].position)
            is_told = False
        except (LogNotFound, DamagedLog):
            pass  # deleted, or without a whole header yet; the next look will show
        except (LogReadError, UnknownFormat) as error:
            if scan.after is None:
                raise
            if not is_told:  # a permission can be given back, a network can recover
                echo(f"trainlog: note: {error.message}; waiting until it can be read again", err=True)
            is_told = True
        if scan.after is not None:
            reader = reader.with_superseded()  # a rewind is shown as an event, and takes nothing back
        time.sleep(_PAUSE)


def _follow_by_frames(reader: Reader, kind: Kind | None, last: int | None, show: Show) -> None:
    """The same for logs that must be read from the beginning; returns when there cannot be new frames."""
    held: deque[Frame] | None = None if last is None else deque(maxlen=last)
    sleep = follow(_PAUSE)

    def catch_up() -> None:
        nonlocal held
        for frame in held or ():
            show(frame)
        held = None

    def wait() -> bool:
        catch_up()
        return sleep()

    for frame in reader.frames(kind, wait=wait):
        if held is None:
            show(frame)
        else:
            held.append(frame)
    catch_up()


def _opened_again(log: Path) -> Reader:
    while True:
        try:
            return registry.open(log)
        except (LogNotFound, DamagedLog, UnknownFormat):
            time.sleep(_PAUSE)  # it has no whole header yet
