"""What the report says in tables, whichever form it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from trainlog.report.baseline import Comparison
from trainlog.report.content import Content
from trainlog.report.facts import human, sparkline

__all__ = ["Row", "baseline_sentence", "gate_rows", "log_rows", "metric_rows", "outcome_word"]


class Row(NamedTuple):
    """Cells of plain text; the first one names the row."""

    cells: tuple[str, ...]
    passed: bool | None = None


def outcome_word(content: Content) -> str:
    """The outcome of all, in a word or two."""
    if not content.gated:
        return "no gates"
    return "passed" if content.passed else "failed"


def gate_rows(content: Content) -> Iterator[Row]:
    """Gate, log, what was measured; what failed comes first."""
    for result in sorted(content.results, key=lambda result: result.passed):
        measured = ", ".join(f"{what} = {human(value)}" for what, value in result.measured)
        yield Row((result.gate, result.log, measured), result.passed)


def baseline_sentence(one: Comparison) -> str:
    """What the comparison came to."""
    said = f"{human(one.new)} now, {human(one.old)} before: {human(one.difference)}"
    if not np.isnan(one.low):
        said += f", 95 % interval {human(one.low)} to {human(one.high)}"
    said += f"; {one.tolerance} may be lost ({human(one.allowed)})."
    seeds = f"{len(one.new_scores)} against {len(one.old_scores)} logs"
    center = {"iqm": "IQM", "median": "median"}.get(one.center, "mean")
    outcome = {
        "as good": "It is as good as it was.",
        "unclear": "Whether it is worse cannot be told from so few logs.",
        "worse": "It is worse than it was.",
    }[one.outcome]
    lone = " One log on each side leaves no interval." if np.isnan(one.low) else ""
    return f"{outcome} {center} of {seeds}: {said}{lone}"


def log_rows(content: Content) -> Iterator[Row]:
    """Log, frames, duration, and what the trainer said of it."""
    for log in content.logs:
        frames = ", ".join(f"{count:,} {kind}" for kind, count in log.frames.items())
        said = [f"{key} {log.meta[key]}" for key in ("seed", "steps", "scene", "difficulty") if key in log.meta]
        yield Row((log.name, frames, _duration(log.duration), ", ".join(said)))


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def metric_rows(content: Content) -> Iterator[Row]:
    """Metric, its curve, first, last tenth, lowest, highest; of several logs the means, and how last tenths range."""
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
