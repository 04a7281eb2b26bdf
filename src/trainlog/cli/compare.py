"""``trainlog compare``: compare groups of runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from trainlog.catalog.filter import PREFIXES
from trainlog.catalog.groups import all_but_seed, grouped, varying
from trainlog.catalog.runs import runs
from trainlog.cli.list_runs import print_table, short_text, where_arguments
from trainlog.cli.output import echo, strict_json
from trainlog.conventions import Conventions
from trainlog.errors import ExpressionError, LogNotFound
from trainlog.name_list import parse_names
from trainlog.plot.options import tasks_note
from trainlog.report.facts import human
from trainlog.statistics import CENTERS, CenterName, interval

__all__ = ["command"]


@click.command
@where_arguments
@click.option("--filter", "text", default="", metavar="FILTER", help="Which runs, such as 'algo:sac lr=3e-4'.")
@click.option(
    "--by",
    default="",
    metavar="KEYS",
    help="Group by these keys, separated by commas.  [default: all that differ, except the seed]",
)
@click.option("--metrics", default="", metavar="KEYS", help="Metrics, separated by commas.  [default: the reward]")
@click.option("--of", type=click.Choice(PREFIXES), default="last", show_default=True, help="Which value of each run.")
@click.option(
    "--center", type=click.Choice(CENTERS), default="iqm", show_default=True, help="The center of the runs of a group."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per group, each on its own line.")
def command(
    where: tuple[Path, ...],
    text: str,
    by: str,
    metrics: str,
    of: str,
    center: CenterName,
    as_json: bool,
) -> None:
    """Compare groups of runs: the number of runs, and the center of a metric with its 95 % interval.

    Runs that differ in nothing but the seed are one group. The groups are sorted by the first metric, best first. For
    a group with several tasks, the mean and the median give each task the same weight, while the IQM is that of all
    runs together, so that a task with more runs has more weight. Keys that contain commas are given as a JSON list.
    """
    chosen = runs(where or (Path(),)).filter(text)
    if not len(chosen):
        raise LogNotFound("no run matches this filter")
    wanted = parse_names(metrics)
    provenance = [key for key in parse_names(by) if key.startswith("run/")]
    rows, _ = chosen.known.rows_for([*(f"{of}/{key}" for key in wanted), *provenance], read=True)
    if not wanted:
        rewards = Counter(reward for _, reward in chosen.known.steps_and_rewards() if reward)
        if not rewards:
            raise ExpressionError("these runs have no reward; name the metrics to compare with --metrics")
        wanted = [key for key, _ in rewards.most_common(1)]
        rows, _ = chosen.known.rows_for([f"{of}/{wanted[0]}", *provenance], read=True)
    keys = parse_names(by) or all_but_seed(rows)
    if not keys and len(rows) > 1 and not varying(rows):
        note = f"nothing in the metadata distinguishes these {len(rows):,} runs: they are one group"
        echo(f"trainlog: note: {note}; --by run makes each a group", err=True)
    for key in keys:
        if not any(key in row for row in rows):
            raise ExpressionError(f"no run has the key {key!r} in its metadata")
    found = _groups(rows, keys, [f"{of}/{key}" for key in wanted], center)
    sign = 1 if Conventions.lower_is_better(wanted[0]) else -1
    found.sort(key=lambda group: sign * group["metrics"][0]["value"] if group["metrics"][0]["runs"] else math.inf)
    if as_json:
        for group in found:
            click.echo(strict_json(group))
        return
    titles = [*keys, "runs", *(f"{of} {key} ({center})" for key in wanted)]
    print_table(
        titles,
        [
            [
                *map(short_text, one["group"].values()),
                _counted(one),
                *(_cell(metric, one["runs"]) for metric in one["metrics"]),
            ]
            for one in found
        ],
    )
    echo(f"in brackets: the 95 % interval of the {center}, where each task has two runs", err=True)
    if (tasks := max(one["tasks"] for one in found)) > 1:
        echo(tasks_note(tasks, center=center), err=True)


def _groups(
    rows: Sequence[dict[str, Any]], keys: Sequence[str], metrics: Sequence[str], center: CenterName
) -> list[dict[str, Any]]:
    return [
        {
            "group": {key: group[0].get(key) for key in keys},
            "runs": len(group),
            "states": dict(Counter(row["state"] for row in group)),
            "tasks": len({row["task"] for row in group}),
            "metrics": [_measured(group, metric, center) for metric in metrics],
        }
        for group in ([rows[n] for n in members] for members in grouped(rows, keys))
    ]


def _measured(group: Sequence[dict[str, Any]], metric: str, center: CenterName) -> dict[str, Any]:
    tasks: dict[str, list[float]] = {}
    for row in group:
        if metric in row:
            tasks.setdefault(row["task"], []).append(row[metric])
    count = sum(map(len, tasks.values()))
    facts: dict[str, Any] = {"metric": metric, "runs": count, "center": center}
    if not count:
        return {**facts, "value": None, "low": None, "high": None}
    one = interval(list(tasks.values()), center)
    has_band = min(map(len, tasks.values())) > 1
    return {
        **facts,
        "value": float(one.value),
        "low": float(one.low) if has_band else None,
        "high": float(one.high) if has_band else None,
    }


def _counted(group: dict[str, Any]) -> str:
    """The number of runs, and how many of them failed, were interrupted, or were killed."""
    states = group["states"]
    left = [f"{states[state]} {state}" for state in ("failed", "interrupted", "killed") if state in states]
    return f"{group['runs']} ({', '.join(left)})" if left else str(group["runs"])


def _cell(measured: dict[str, Any], runs: int) -> str:
    """The center and its interval, and the number of runs if some have no finite value."""
    if not measured["runs"]:
        return ""
    few = f" (of {measured['runs']})" if measured["runs"] < runs else ""
    band = "" if measured["low"] is None else f" [{human(measured['low'])}, {human(measured['high'])}]"
    return human(measured["value"]) + band + few
