"""``trainlog info``: summarise logs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from trainlog import registry
from trainlog.catalog.inspection import facts_of
from trainlog.catalog.states import state_of
from trainlog.cli.output import LogPath, aligned, echo, human_size, markup, output_console, progress, strict_json
from trainlog.codec import Reader, Summary
from trainlog.model import Frame
from trainlog.printable import human_time
from trainlog.redaction import without_passwords

if TYPE_CHECKING:
    from rich.console import Console

_MOST_KEYS: Final = 1000  # listed at most per kind, and of anything else that can be numerous


@click.command
@click.argument("logs", nargs=-1, required=True, type=LogPath(), metavar="LOG...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per log, each on its own line.")
def command(logs: tuple[Path, ...], as_json: bool) -> None:
    """Summarise logs: frames, keys, time span, rate and size of each kind, and damage."""
    for path in logs:
        reader = registry.open(path)
        with progress(path.name, path.stat().st_size if path.is_file() else None) as update:
            summary = reader.summary(update)
        # Events of the recorder itself: restarts, rewinds, dropped frames, the duration of its calls.
        events = [{"time": frame.time, **frame.data} for frame in reader.frames("event") if _is_of_recorder(frame)]
        if as_json:
            click.echo(strict_json({**_facts(reader, summary), "recorder": events}))
        else:
            _show(reader, summary)
            for event in events:
                click.echo()
                echo(f"  {_sentence(event)}")


def _is_of_recorder(frame: Frame) -> bool:
    return frame.data.get("by") == "trainlog" and "type" in frame.data


def _sentence(event: Mapping[str, Any]) -> str:
    """An event of the recorder as a sentence; an event with unexpected content is only named."""
    try:
        return _known_sentence(event)
    except (AttributeError, KeyError, TypeError, ValueError):
        return f"{event['type']}: an event that lacks what such an event must have"


def _known_sentence(event: Mapping[str, Any]) -> str:
    kinds = event.get("dropped") or event.get("frames") or event.get("lost") or {}
    dropped = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()) or "nothing"
    match event["type"]:
        case "background":
            mean = f"mean {event['mean_us']:,.1f} µs, " if "mean_us" in event else ""  # older logs have quantiles
            times = f"{mean}max {event['max_us']:,.1f} µs"
            return f"background: {event['calls']:,} log calls, {times}; dropped {dropped}"
        case "dropped":
            return f"dropped: {dropped} from {event['from']:.2f} s to {event['to']:.2f} s: {event['why']}"
        case "resume":
            return f"resumed at {event['time']:.2f} s on {event['host']}, {event['cut']:,} bytes cut off"
        case "rewind":
            return f"went back to step {event['step']:,} at {event['time']:.2f} s"
        case "repaired":
            return f"repaired: lost {dropped}"
    return f"{event['type']} at {event['time']:.2f} s"


def _facts(reader: Reader, summary: Summary) -> dict[str, Any]:
    return {
        "path": str(reader.path),
        "codec": reader.codec_name,
        "size": summary.size,
        "frames": summary.frames,
        "duration": summary.duration,
        "superseded": summary.superseded,
        "phase": reader.header.phase,
        "meta": reader.header.meta,
        "run": reader.header.run,
        "state": _state(reader, summary),
        "end": None if reader.end is None else asdict(reader.end),
        "variables": [asdict(variable) for variable in reader.header.variables],
        "kinds": {
            str(kind): {
                "type": int(kind),
                "frames": span.frames,
                "first": span.first,
                "last": span.last,
                "rate": _rate(span.frames, span.last - span.first),
                "size": span.size,
                "keys": dict(span.keys),
            }
            for kind, span in summary.kinds.items()
        },
        "damage": [{"offset": gap.offset, "size": gap.size, "torn": gap.torn} for gap in summary.gaps],
    }


def _state(reader: Reader, summary: Summary) -> str:
    facts = facts_of(reader.path, read=False)[0]
    facts.torn = any(gap.torn for gap in summary.gaps)
    return state_of(facts, reader.files)


def _provenance(reader: Reader, summary: Summary) -> dict[str, Any]:
    """What the log records about its origin and its end, one entry per line."""
    run = reader.header.run
    reason = f": {reader.end.reason}" if reader.end is not None and reader.end.reason else ""
    found = {"state": _state(reader, summary) + reason}
    found |= {key: run[key] for key in ("began", "host", "folder", "command") if key in run}
    if isinstance(git := run.get("git"), Mapping):
        patch = f", with a patch of {len(str(git['patch'])):,} letters" if "patch" in git else ""
        note = f" ({git['note']})" if "note" in git else ""
        dirty = f", changed{patch}" if git.get("dirty") else ""
        found["commit"] = f"{git.get('commit')} {git.get('branch', '')}".strip() + dirty + note
    versions = run.get("versions")
    if isinstance(versions, Mapping) or "python" in run:
        libraries = versions if isinstance(versions, Mapping) else {}
        known = {"python": run.get("python"), "trainlog": run.get("trainlog"), **libraries}
        found["versions"] = ", ".join(f"{name} {version}" for name, version in known.items() if version)
    return found


def _rate(frames: int, seconds: float) -> float | None:
    """Frames per second; None without two frames at different times."""
    return (frames - 1) / seconds if frames > 1 and seconds > 0 else None


def _show(reader: Reader, summary: Summary) -> None:
    from rich.table import Table

    console = output_console()
    console.print(f"[bold]{markup(without_passwords(str(reader.path)))}[/]", soft_wrap=True)
    phase = {"phase": reader.header.phase} if reader.header.phase else {}
    grid = Table.grid(padding=(0, 2))
    for _ in ("name", "value"):
        grid.add_column(overflow="fold")
    meta = {**reader.header.meta, **phase}
    for name, value in itertools.islice(meta.items(), _MOST_KEYS):
        grid.add_row(f"  {markup(_short(name, 80))}", markup(_short(value)))
    for name, value in _provenance(reader, summary).items():
        grid.add_row(f"  [dim]{markup(name)}[/]", markup(_short(value)))
    console.print(grid)
    _tell_more(console, len(meta), "of the metadata")
    size, duration = human_size(summary.size), human_time(summary.duration)
    console.print(f"\n  {summary.frames:,} frames, {size}, {duration}\n")
    if summary.superseded:
        hidden = human_size(summary.superseded)
        console.print(f"  {hidden} of frames are superseded by a rewind; `dump --superseded` shows them\n")
    if summary.kinds:
        rows = [("kind", "frames", "keys", "from", "to", "per second", "size")]
        for kind, span in summary.kinds.items():
            rate = _rate(span.frames, span.last - span.first)
            rows.append(
                (
                    str(kind),
                    f"{span.frames:,}",
                    f"{len(span.keys):,}",
                    human_time(span.first),
                    human_time(span.last),
                    "" if rate is None else f"{rate:.3g}",
                    human_size(span.size),
                )
            )
        title, *lines = aligned(rows, [False] + [True] * 6)
        console.print(f"  [dim]{title}[/]", *(f"\n  {line}" for line in lines), sep="", soft_wrap=True, highlight=False)
        for kind, span in summary.kinds.items():
            shown = list(itertools.islice(span.keys.items(), _MOST_KEYS))
            names = ", ".join(
                _short(name, 80) if count == span.frames else f"{_short(name, 80)} ({count:,})" for name, count in shown
            )
            if len(span.keys) > len(shown):
                names += f" and {len(span.keys) - len(shown):,} more, which --json lists"
            console.print(f"\n  [dim]{kind}:[/] {markup(names)}")
    for variable in reader.header.variables[:_MOST_KEYS]:
        unit = f" [{variable.unit}]" if variable.unit else ""
        console.print(f"  [dim]{variable.role}:[/] {markup(_short(variable.name, 80) + _short(unit, 80))}")
    _tell_more(console, len(reader.header.variables), "variables")
    for gap in summary.gaps[:_MOST_KEYS]:
        console.print(f"\n  [red]damaged:[/] {markup(gap)}")
    _tell_more(console, len(summary.gaps), "damaged places")


def _tell_more(console: Console, count: int, what: str) -> None:
    if count > _MOST_KEYS:
        console.print(f"  and {count - _MOST_KEYS:,} more {what}, which --json lists")


def _short(value: Any, most: int = 200) -> str:
    text = value if isinstance(value, str) else strict_json(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"
