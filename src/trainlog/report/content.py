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
        title: the creature and the task.
        logs: the facts of each log.
        metrics: the names of all metrics, the most important first.
        results: of every gate in every log.
        comparison: with the baseline, if there is one.
        pictures: the figures, the most important first.
        theme: of the figures.
        width, height: of a figure, in pixels.

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
        """Whether all gates and the baseline are passed."""
        return all(result.passed for result in self.results) and (self.comparison is None or self.comparison.passed)

    @property
    def gated(self) -> bool:
        """Whether there is a gate or a baseline."""
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
    """Evaluate the gates, compare with the baseline, and make the figures.

    Args:
        runs: the logs.
        options: of the figures.
        requirements: conditions for every log.
        baseline: older logs to compare with.
        tolerance: the accepted loss: ``5%`` of the old score, or a number of points.
        score: the expression to compare, higher is better; by default the mean of the last tenth of the most
            important metric, negative for a loss.
        title: of the report.
        size: pixels of a figure.

    Raises:
        ExpressionError: for an expression that cannot be parsed or evaluated.
        PlotError: when the logs have nothing to draw.

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
