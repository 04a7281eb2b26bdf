"""``trainlog dump``: print the frames of a log as JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from trainlog import registry
from trainlog.cli.output import LogPath, strict_json
from trainlog.model import Frame, Kind
from trainlog.table.values import flatten

__all__ = ["command", "frame_options", "json_line"]


class KindType(click.ParamType[Kind]):
    """A kind of frame by name or number."""

    name = "kind"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Kind:
        try:
            return Kind.of(int(value) if str(value).isdecimal() else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class KeysType(click.ParamType[tuple[str, ...]]):
    """Keys, separated by commas."""

    name = "keys"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        return value if isinstance(value, tuple) else tuple(filter(None, map(str.strip, value.split(","))))


def frame_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select frames and keys."""
    kind = click.option("--kind", type=KindType(), help="Only frames of this kind: stats, event, creature, ...")
    keys = click.option(
        "--keys", type=KeysType(), help="Only these keys, separated by commas; nested keys as outer/inner."
    )
    return kind(keys(command))


def json_line(frame: Frame, keys: tuple[str, ...] | None) -> str:
    """Encode *frame* as one line of JSON; with *keys*, only those, flattened."""
    data: Any = frame.data
    if keys is not None:
        flat = flatten(frame.data)
        data = {key: flat[key] for key in keys if key in flat}
    return strict_json({"time": frame.time, "kind": str(frame.kind), "data": data})


@click.command
@click.argument("log", type=LogPath())
@frame_options
@click.option("--superseded", is_flag=True, help="Include frames that a rewind superseded.")
def command(log: Path, kind: Kind | None, keys: tuple[str, ...] | None, superseded: bool) -> None:
    """Print the frames of a log, one JSON object per line: time, kind, data.

    NaN and infinities are null, bytes are base64.
    """
    reader = registry.open(log)
    for frame in (reader.with_superseded() if superseded else reader).frames(kind):
        sys.stdout.write(json_line(frame, keys) + "\n")
    sys.stdout.flush()
