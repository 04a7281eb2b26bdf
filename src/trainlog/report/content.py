"""The content of a report, before it is written in any form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainlog.conventions import Conventions
from trainlog.plot import Group, Metric, Picture, PlotOptions, Run, main_metric, metrics_of, pictures
from trainlog.plot.figures import figure_of, title_of
from trainlog.plot.seeds import CenterName
from trainlog.report.baseline import Comparison, Tolerance, compare
from trainlog.report.evaluate import Gate, GateResult, judge, measure
from trainlog.report.facts import LogFacts, facts_of

__all__ = ["Content", "gather"]


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The content of a report.

    Attributes:
        title: who learned what.
        logs: the facts of each.
        metrics: the names of all metrics, the most important first.
        results: of every gate in every log.
        comparison: with the baseline, if there is one.
        pictures: the figures, in the order of importance.
        theme: how they look.
        width: of a figure, in pixels.
        height: of a figure.

    """

    title: str
    logs: tuple[LogFacts, ...]
    metrics: tuple[str, ...]
    results: tuple[GateResult, ...]
    comparison: Comparison | None
    pictures: tuple[Picture, ...]
    theme: str
    width: int
    height: int

    @property
    def passed(self) -> bool:
        """Whether all gates are met, and the baseline is."""
        return all(result.passed for result in self.results) and (self.comparison is None or self.comparison.passed)

    @property
    def gated(self) -> bool:
        """Whether there was anything to pass."""
        return bool(self.results) or self.comparison is not None


def gather(
    runs: Sequence[Run],
    options: PlotOptions,
    *,
    requirements: Sequence[str] = (),
    baseline: Sequence[Run] = (),
    tolerance: str = "5%",
    score: str | None = None,
    title: str | None = None,
    size: tuple[int, int] = (960, 540),
) -> Content:
    """Judge, measure and draw.

    Args:
        runs: the logs.
        options: which figures, and how.
        requirements: expressions that every log must meet.
        baseline: older logs.
        tolerance: how much worse than those they may be: ``5%`` of the old score, or a number of points.
        score: the expression whose value is compared, higher is better; when it is left out, the mean of the last
            tenth of the most important metric, negative for a loss.
        title: of the report.
        size: pixels of a figure.

    Raises:
        ExpressionError: for an expression that cannot be read or computed.
        PlotError: when the logs hold nothing that can be drawn.

    """
    gates = [Gate.of(text) for text in requirements]
    allowed = Tolerance.of(tolerance)
    scoring = Gate.of(score) if score is not None else None
    results = tuple(judge(gate, run) for gate in gates for run in runs)
    figures = pictures(runs, options)
    metrics = metrics_of(runs, options)
    comparison = None
    if baseline:
        main = main_metric(runs)
        scoring = scoring or Gate.of(_default_score(main))
        new, old = ({run.label: measure(scoring, run) for run in side} for side in (runs, baseline))
        center: CenterName = options.center or "mean"
        comparison = compare(scoring.text, new, old, allowed, center)
        figures.insert(0, _with_baseline(main, runs, baseline, options))
    return Content(
        title or title_of(runs, f"{len(runs)} logs"),
        tuple(facts_of(run, metrics) for run in runs),
        tuple(map(str, metrics)),
        results,
        comparison,
        tuple(figures),
        options.theme,
        *size,
    )


def _default_score(metric: Metric) -> str:
    name = metric.key if metric.key.isidentifier() else f'"{metric.key}"'
    kind = "" if str(metric) == metric.key else f"{metric.kind}."
    sign = "-" if Conventions.lower_is_better(metric.key) else ""
    return f"{sign}mean({kind}{name}[-10%:])"


def _with_baseline(metric: Metric, new: Sequence[Run], old: Sequence[Run], options: PlotOptions) -> Picture:
    groups = [Group("now", tuple(new)), Group("baseline", tuple(old))]
    return figure_of(metric, groups, options, "baseline", f"{metric}, now and before")
