"""The tables of a report as text, for all of its formats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from trainlog.report.baseline import Comparison
from trainlog.report.content import Content
from trainlog.report.facts import human, sparkline

__all__ = ["Row", "baseline_sentence", "gate_rows", "log_rows", "metric_rows", "outcome_word"]


class Row(NamedTuple):
    """Cells of plain text; the first is the name of the row."""

    cells: tuple[str, ...]
    passed: bool | None = None


def outcome_word(content: Content) -> str:
    """The outcome of all gates and the baseline."""
    if not content.gated:
        return "no gates"
    return "passed" if content.passed else "failed"


def gate_rows(content: Content) -> Iterator[Row]:
    """Yield gate, log and measured values; failed gates come first."""
    for result in sorted(content.results, key=lambda result: result.passed):
        measured = ", ".join(f"{what} = {human(value)}" for what, value in result.measured)
        yield Row((result.gate, result.log, measured), result.passed)


def baseline_sentence(one: Comparison) -> str:
    """Describe the result of the comparison."""
    numbers = f"{human(one.new)} now, {human(one.old)} before: {human(one.difference)}"
    if not np.isnan(one.low):
        numbers += f", 95 % interval {human(one.low)} to {human(one.high)}"
    numbers += f"; {one.tolerance} may be lost ({human(one.allowed)})."
    seeds = f"{len(one.new_scores)} against {len(one.old_scores)} logs"
    center = {"iqm": "IQM", "median": "median"}.get(one.center, "mean")
    outcome = {
        "as good": "It is as good as it was.",
        "unclear": "These logs are too few to decide whether it is worse.",
        "worse": "It is worse than it was.",
    }[one.outcome]
    lone = " One log on each side leaves no interval." if np.isnan(one.low) else ""
    return f"{outcome} {center} of {seeds}: {numbers}{lone}"


def log_rows(content: Content) -> Iterator[Row]:
    """Yield log, frames, duration and metadata."""
    for log in content.logs:
        frames = ", ".join(f"{count:,} {kind}" for kind, count in log.frames.items())
        meta = [f"{key} {log.meta[key]}" for key in ("seed", "steps", "scene", "difficulty") if key in log.meta]
        yield Row((log.name, frames, _duration(log.duration), ", ".join(meta)))


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def metric_rows(content: Content) -> Iterator[Row]:
    """Yield metric, curve, first, last tenth, lowest, highest; the means and the range for several logs."""
    for name in content.metrics:
        found = [log.metrics[name] for log in content.logs if name in log.metrics]
        if not found:
            continue
        curve = sparkline(found[0].values)
        odd = sum(one.odd for one in found)
        note = f" ({odd:,} not finite)" if odd else ""
        first = float(np.mean([one.first for one in found]))
        finals = [one.final for one in found]
        final = human(float(np.mean(finals)))
        if len(found) > 1:
            final += f" ({human(min(finals))} to {human(max(finals))})"
        lowest, highest = min(one.lowest for one in found), max(one.highest for one in found)
        cells = (human(first), final, human(lowest), human(highest) + note)
        yield Row((name, curve, *cells))
