"""The tables of a report as text, for all formats."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from trainlog.plot.options import tasks_note
from trainlog.printable import human_time
from trainlog.report.baseline import Comparison
from trainlog.report.content import Content
from trainlog.report.facts import human, sparkline
from trainlog.report.results import NORMALISED, markdown_cell
from trainlog.statistics import CenterName

__all__ = [
    *("Row", "baseline_sentence", "failure_rows", "gate_rows", "log_rows", "metric_rows", "metric_titles"),
    *("outcome_word", "result_rows", "result_titles", "results_note"),
]


_MAX_NAMED: Final = 3  # logs in a sentence
_MAX_PASSED: Final = 12  # gates, before the figures
_CENTERS: Final[dict[CenterName, str]] = {"mean": "mean", "iqm": "IQM", "median": "median"}


class Row(NamedTuple):
    """Cells of plain text; the first is the name of the row."""

    cells: tuple[str, ...]
    passed: bool | None = None


def outcome_word(content: Content) -> str:
    """The outcome of all gates and the baseline."""
    if not content.gated:
        return "no gates"
    return "passed" if content.passed else "failed"


def failure_rows(content: Content) -> Iterator[Row]:
    """Yield the logs that are not whole, and the parts of the report that could not be made, each with the reason."""
    for one in content.checks:
        if not one.passed:
            yield Row((one.log, one.verdict, "; ".join(one.problems)), False)
    for failure in content.failures:
        yield Row((failure.part, "missing", failure.reason), False)


def gate_rows(content: Content) -> tuple[list[Row], list[Row]]:
    """Gate, log and measured values, or why there are none: the rows to show, and those to fold.

    Failed gates come first. Passed ones are folded if they are many, as a gate has a row for each log.
    """
    rows: dict[bool, list[Row]] = {False: [], True: []}
    for result in content.results:
        measured = ", ".join(f"{what} = {human(value)}" for what, value in result.measured)
        rows[result.passed].append(Row((result.gate, result.log, result.error or measured), result.passed))
    failed, passed = rows[False], rows[True]
    return (failed + passed, []) if len(passed) <= _MAX_PASSED else (failed, passed)


def baseline_sentence(one: Comparison) -> str:
    """Describe the result of the comparison."""
    several = not np.isnan(one.low)
    outcome = _verdict(one)
    counts = f"n = {len(one.new_scores)} now and {len(one.old_scores)} before"
    if one.matched:
        counts += ", same seeds, " + ("in pairs" if one.paired else "not paired")
    else:
        counts += ", other seeds" if all(score.seed for score in one.new_scores + one.old_scores) else ""
    if one.tasks > 1:
        counts += f", {tasks_note(one.tasks, center=one.center)}"
    center = _CENTERS[one.center]
    parts = [f"{outcome} The {center} is {human(one.new)} now and was {human(one.old)} before ({counts}):"]
    parts.append(f"a difference of {_points(one, one.difference)}")
    if several:
        parts[-1] += f", 95 % confidence interval {_points(one, one.low)} to {_points(one, one.high)}"
    parts[-1] += f"; {one.tolerance} may be lost ({human(one.allowed)})."
    missing = [score for score in one.new_scores + one.old_scores if not np.isfinite(score.value)]
    parts += [f"{score.log} has no finite score." for score in missing[:_MAX_NAMED]]
    for side, left in zip(("", "baseline: "), one.left_out, strict=True):
        parts += [f"Left out: {side}{score.log}: {score.error}." for score in left[:_MAX_NAMED]]
        parts += [f"Left out: {len(left) - _MAX_NAMED} more of these logs."] * (len(left) > _MAX_NAMED)
    return " ".join(parts)


def _verdict(one: Comparison) -> str:
    """The outcome as a sentence that claims only what the interval shows."""
    tolerance = f"the tolerance of {one.tolerance}"
    if one.outcome == "worse":
        if not one.finite:
            return "It fails, as a score is not finite."
        return "It is worse than it was" + (f", by more than {tolerance}." if one.allowed else ".")
    if np.isnan(one.low):
        few = "One log is too few to decide whether it is worse: an interval needs two of each side"
        return few + (" and task." if one.tasks > 1 else ".")
    if one.high < 0:
        worse = f"It is worse than it was, by {_span(one, -one.high, -one.low)}"
        if one.outcome == "as good":
            return f"{worse}, within {tolerance}."
        return f"{worse}; these logs are too few to decide whether by more than {tolerance}."
    if one.outcome == "unclear":
        return "These logs are too few to decide whether it is worse."
    return "It is better than it was." if one.low > 0 else "It is as good as it was."


def _span(one: Comparison, low: float, high: float) -> str:
    """Two amounts in percent, or in points if the old score is 0."""
    low_percent, high_percent = one.percent(low), one.percent(high)
    if np.isnan(low_percent):
        return f"{human(low)} to {human(high)}"
    return f"{low_percent:.2g} to {high_percent:.2g} %"


def _points(one: Comparison, points: float) -> str:
    percent = one.percent(points)
    return human(points) if np.isnan(percent) else f"{human(points)} ({human(percent)} %)"


def results_note(content: Content) -> str:
    """What the cells of `result_rows` are."""
    tasks = max((result.tasks for result in content.groups), default=1)
    center: CenterName = content.groups[0].center if content.groups else "mean"
    note = f"Last tenth: {_CENTERS[center]} [95 % confidence interval] (n logs)"
    normalized = bool(content.groups) and all(result.metric.endswith(NORMALISED) for result in content.groups)
    return f"{note}; {tasks_note(tasks, center=center, normalized=normalized)}" if tasks > 1 else note


def result_titles(content: Content) -> tuple[str, ...]:
    """The heads of `result_rows`."""
    groups = dict.fromkeys(result.group for result in content.groups)
    return ("metric", *(group or "all logs" for group in groups))


def result_rows(content: Content) -> Iterator[Row]:
    """Yield metric, and its center, interval and number of logs for each group; nothing for a single log."""
    groups = list(dict.fromkeys(result.group for result in content.groups))
    cells = {(result.metric, result.group): markdown_cell(result) for result in content.groups}
    if all(result.runs == 1 for result in content.groups):
        return
    for metric in dict.fromkeys(result.metric for result in content.groups):
        yield Row((metric, *(cells.get((metric, group), "–") for group in groups)))


def log_rows(content: Content) -> Iterator[Row]:
    """Yield log, verdict, frames, duration, metadata and how the run ended."""
    verdicts = {check.log: check.verdict for check in content.checks}
    for log in content.logs:
        frames = ", ".join(f"{count:,} {kind}" for kind, count in log.frames.items())
        meta = [f"{key} {log.meta[key]}" for key in ("seed", "steps", "scene", "difficulty") if key in log.meta]
        end = [log.end] if log.end else []
        yield Row((log.name, verdicts[log.name], frames, human_time(log.duration, 1), ", ".join([*meta, *end])))


def metric_titles(content: Content) -> tuple[str, ...]:
    """The heads of `metric_rows`."""
    curve = "curve" if len(content.logs) < 2 else "curve (first log)"
    return ("metric", curve, "first", "last tenth", "lowest", "highest")


def metric_rows(content: Content) -> Iterator[Row]:
    """Yield metric, curve, first, last tenth, lowest, highest; the means and the range for several logs."""
    for name in content.metrics:
        found = [log.metrics[name] for log in content.logs if name in log.metrics]
        if not found:
            continue
        curve = sparkline(found[0].values)
        odd = sum(one.odd for one in found)
        note = f" ({odd:,} not finite)" if odd else ""
        known = [one for one in found if math.isfinite(one.first)] or found  # the note counts the others
        first = float(np.mean([one.first for one in known]))
        finals = [one.final for one in found]  # a log that ends as NaN makes the mean NaN
        final = human(float(np.mean(finals)))
        ends = [value for value in finals if math.isfinite(value)]
        if len(found) > 1 and ends:
            final += f" ({human(min(ends))} to {human(max(ends))})"
        lowest, highest = min(one.lowest for one in known), max(one.highest for one in known)
        cells = (human(first), final, human(lowest), human(highest) + note)
        yield Row((name, curve, *cells))
