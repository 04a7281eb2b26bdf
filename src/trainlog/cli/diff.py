"""``trainlog diff``: show what differs between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from trainlog import registry
from trainlog.cli.output import LogPath, OutputPath, aligned, echo, strict_json
from trainlog.cli.plot import FormatsType
from trainlog.diff import Change, Diff, MetricDiff, diff
from trainlog.model import Kind
from trainlog.plot import Format, PlotOptions, Run, pictures, runs_of, save_picture
from trainlog.report.facts import human

_SAME, _DIFFERENT = 0, 1
_MAX_LINES = 20  # per section
_MAX_VALUE = 60  # characters of a value


@click.command
@click.argument("a", type=LogPath())
@click.argument("b", type=LogPath())
@click.option("--exact", is_flag=True, help="Compare each value of each frame, to check whether a run is reproducible.")
@click.option("--ignore", multiple=True, metavar="PATTERN", help="Leave out keys, such as 'time/*'. Can be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-o", "--output", type=OutputPath(file_okay=False), help="Draw what differs, in this folder.")
@click.option(
    "--format", "formats", type=FormatsType(), default="svg", show_default=True, help="The formats of the figures."
)
def command(
    a: Path,
    b: Path,
    exact: bool,
    ignore: tuple[str, ...],
    as_json: bool,
    output: Path | None,
    formats: tuple[Format, ...],
) -> int:
    """Compare two runs: metadata, frames, keys, last values, and the first step at which a metric differs.

    A metric differs if the runs are further apart than its noise, if one of them is NaN or infinite, or if they have no
    steps in common. The exit code is 0 if no metric and no key differs (with --exact: no value and no number of
    frames), 1 if one does, 2 for wrong use or a log that cannot be read.
    """
    runs = runs_of([registry.open(a), registry.open(b)])
    found = diff(runs[0], runs[1], exact=exact, ignore=ignore)
    if as_json:
        click.echo(strict_json(_facts(found)))
    else:
        _show(found)
    if output is not None and (drawn := _drawable(found, runs)):
        for picture in pictures(runs, PlotOptions(y=drawn)):
            for path in save_picture(picture, output, formats=formats):
                echo(path, err=as_json)
    return _SAME if found.same else _DIFFERENT


def _drawable(found: Diff, runs: Sequence[Run]) -> tuple[str, ...]:
    """The names of the metrics that differ and are numbers over the course of training."""
    metrics = dict.fromkeys(one.metric for one in found.differing if one.metric.kind != Kind.EVENT)
    return tuple(
        str(metric) for metric in metrics if all(run.columns(metric.kind).is_number(metric.key) for run in runs)
    )


def _facts(found: Diff) -> dict[str, Any]:
    facts = ("a", "b", "axis", "differs", "first", "noise", "largest", "note")
    return {
        **{name: getattr(found, name) for name in ("a", "b", "exact", "same")},
        **{name: [one._asdict() for one in getattr(found, name)] for name in ("meta", "run", "frames", "keys")},
        "metrics": [{"metric": one.name, **{name: getattr(one, name) for name in facts}} for one in found.metrics],
        "left_out": [one._asdict() for one in found.left_out],
    }


def _show(found: Diff) -> None:
    echo(f"a: {found.a}")
    echo(f"b: {found.b}")
    _show_changes("metadata", found.meta)
    _show_changes("provenance", found.run)
    _show_changes("frames", found.frames)
    _show_changes("keys", found.keys)
    how = "in a value" if found.exact else "by more than their noise"
    echo(f"metrics: {len(found.differing)} of {len(found.metrics)} differ {how}")
    shown = found.metrics[:_MAX_LINES] if not found.exact else found.differing[:_MAX_LINES]
    rows = [("", "last of a", "last of b", "differs from", "noise"), *map(_row, shown)]
    for line in aligned(rows, [False, True, True, True, True]) if shown else ():
        echo(f"  {line}")
    left = (len(found.differing) if found.exact else len(found.metrics)) - len(shown)
    if left:
        echo(f"  and {left:,} more (--json has all)")
    for one in found.left_out[:_MAX_LINES]:
        echo(f"not compared: {one.name}: {one.reason}")
    if len(found.left_out) > _MAX_LINES:
        echo(f"not compared: {len(found.left_out) - _MAX_LINES:,} more (--json has all)")


def _row(one: MetricDiff) -> tuple[str, str, str, str, str]:
    first = "–" if one.first is None else f"{one.axis} {human(one.first)}"
    if one.note:
        first = one.note if one.first is None else f"{first} {one.note}"
    last = ["–" if value is None else human(value) for value in (one.a, one.b)]
    return one.name, last[0], last[1], first, human(one.noise)


def _show_changes(title: str, changes: Sequence[Change]) -> None:
    if not changes:
        echo(f"{title}: the same")
        return
    echo(f"{title}: {len(changes)} differ")
    for one in changes[:_MAX_LINES]:
        if one.only and title == "keys":
            text = f"only in {one.only}"
        elif one.only:
            text = f"only in {one.only}: {_value(one.a if one.only == 'a' else one.b)}"
        else:
            text = f"{_value(one.a)} → {_value(one.b)}"
        echo(f"  {one.name}: {text}" if title != "keys" else f"  {one.name} {text}")
    if len(changes) > _MAX_LINES:
        echo(f"  and {len(changes) - _MAX_LINES:,} more (--json has all)")


def _value(value: Any) -> str:
    text = strict_json(value)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}…"
