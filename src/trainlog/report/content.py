"""The content of a report, independent of its format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainlog.conventions import Conventions, seed_of
from trainlog.errors import ExpressionError, NothingToDraw, PlotError, StatisticsError
from trainlog.plot import Group, Metric, Picture, PlotOptions, Run, groups_of, metrics_of, pictures
from trainlog.plot.figures import figure_of, score_metric, title_of, undrawn_metrics
from trainlog.printable import counted
from trainlog.report.baseline import Comparison, FailOn, Score, Tolerance, compare
from trainlog.report.evaluate import Gate, GateResult, judge, measure
from trainlog.report.facts import LogFacts, facts_of
from trainlog.report.language import name_of
from trainlog.report.logs import LogCheck, check
from trainlog.report.results import Result, results_of

if TYPE_CHECKING:
    from trainlog.draw.theme import ThemeName

__all__ = ["Content", "Failure", "gather"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A part of the report that could not be made.

    Attributes:
        part: ``figures`` or ``baseline``.
        reason: one sentence.

    """

    part: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The content of a report.

    Attributes:
        title: the creature and the task.
        checks: the verdict on each log; those of the baseline come last.
        logs: the facts of each new log that can be read.
        metrics: the names of all metrics, the most important first.
        results: the result of every gate in every log that can be read, and of the score in new logs without one.
        comparison: the comparison with the baseline, if there is one.
        failures: parts of the report that could not be made.
        groups: the table of results: each metric of each group of logs.
        pictures: the figures, the most important first.
        theme: the theme of the figures.
        width, height: the size of a figure, in pixels.

    """

    title: str
    checks: tuple[LogCheck, ...]
    logs: tuple[LogFacts, ...]
    metrics: tuple[str, ...]
    results: tuple[GateResult, ...]
    comparison: Comparison | None
    failures: tuple[Failure, ...]
    groups: tuple[Result, ...]
    pictures: tuple[Picture, ...]
    theme: ThemeName
    width: int
    height: int

    @property
    def passed(self) -> bool:
        """Whether all logs are whole, all gates and the baseline passed, and no part of the report is missing."""
        compared = self.comparison is None or self.comparison.passed
        logs = all(check.passed for check in self.checks)
        return compared and logs and not self.failures and all(result.passed for result in self.results)

    @property
    def gated(self) -> bool:
        """Whether there is a gate, a baseline, or anything wrong."""
        return bool(self.results) or self.comparison is not None or not self.passed


def gather(
    runs: Sequence[Run],
    options: PlotOptions,
    *,
    unreadable: Sequence[LogCheck] = (),
    requirements: Sequence[str] = (),
    baseline: Sequence[Run] | None = None,
    tolerance: str = "5%",
    score: str | None = None,
    paired: bool = False,
    fail_on: FailOn = "worse",
    title: str | None = None,
    size: tuple[int, int] = (960, 540),
) -> Content:
    """Verify the logs, evaluate the gates, compare with the baseline, and make the figures.

    A log that is damaged, empty, or lacks a column fails; the rest of the report is made from the other logs.

    Args:
        runs: the logs.
        options: the options of the figures.
        unreadable: logs that could not be opened, see `trainlog.report.logs.open_runs`.
        requirements: conditions for every log.
        baseline: older logs to compare with; None for no comparison.
        tolerance: the accepted loss: ``5%`` of the old score, or a number of points.
        score: the expression to compare, higher is better; by default the mean of the last tenth of the most
            important metric, negative for a loss.
        paired: compare logs of the same seed with each other.
        fail_on: the mildest outcome of the comparison that fails.
        title: the title of the report.
        size: the size of a figure in pixels.

    Raises:
        ExpressionError: for an expression that cannot be parsed.

    """
    gates = [Gate.of(text) for text in requirements]
    allowed = Tolerance.of(tolerance)
    scoring = Gate.of(score) if score is not None else None
    checks = [check(run) for run in runs]
    new = [run for run, found in zip(runs, checks, strict=True) if found.verdict in ("whole", "damaged")]
    old_checks = [check(run) for run in baseline or ()]
    old = [run for run, found in zip(baseline or (), old_checks, strict=True) if found.verdict in ("whole", "damaged")]
    checks += [*unreadable, *(LogCheck(f"baseline: {one.log}", one.verdict, one.problems) for one in old_checks)]
    failures: list[Failure] = []
    figures: list[Picture] = []
    metrics: list[Metric] = []
    comparison = None
    results = [_judge(gate, run) for gate in gates for run in new]
    groups: tuple[Result, ...] = ()
    try:
        if new:
            metrics = metrics_of(new, options)
            groups = results_of(groups_of(new, options), metrics, options)
            figures = pictures(new, options)
    except NothingToDraw:  # not a fault of the logs
        pass
    except PlotError as error:
        failures.append(Failure("figures", error.message))
    if baseline is not None:
        try:
            if not new or not old:
                raise StatisticsError(f"there is no {'older' if new else 'new'} log that can be read")
            main = score_metric([*new, *old])
            scoring = scoring or _default_score(main)
            scores = [[_score(scoring, run) for run in side] for side in (new, old)]
            # A new log without a score is left out of the comparison, and has failed.
            results += [GateResult(scoring.text, one.log, False, (), one.error) for one in scores[0] if one.error]
            center = options.center or "mean"
            comparison = compare(scoring.text, scores[0], scores[1], allowed, center, paired=paired, fail_on=fail_on)
            figures[:0] = _with_baseline(main, new, old, options)
        except (PlotError, StatisticsError) as error:
            failures.append(Failure("baseline", error.message))
    # A metric without finite values is in no figure, but is the first that the reader must see.
    facts = tuple(facts_of(run, [*([] if options.y else undrawn_metrics(new)[1]), *metrics]) for run in new)
    return Content(
        title=title or title_of(new, counted(len(checks) - len(old_checks), "log")),
        checks=tuple(checks),
        logs=facts,
        metrics=_names(facts),
        results=tuple(results),
        comparison=comparison,
        failures=tuple(failures),
        groups=groups,
        pictures=tuple(figures),
        theme=options.theme,
        width=size[0],
        height=size[1],
    )


def _names(logs: Sequence[LogFacts]) -> tuple[str, ...]:
    """The names of the metrics of all logs, in an order that agrees with that of each log."""
    names: list[str] = []
    for log in logs:
        place = 0
        for name in log.metrics:
            if name in names:
                place = names.index(name) + 1
            else:
                names.insert(place, name)
                place += 1
    return tuple(names)


def _judge(gate: Gate, run: Run) -> GateResult:
    """The result of a gate, which fails if it cannot be evaluated in this log, for example without its column."""
    try:
        return judge(gate, run)
    except ExpressionError as error:
        return GateResult(gate.text, run.label, False, (), _first_line(error))


def _first_line(error: ExpressionError) -> str:
    """The message without the lines that show the position."""
    return str(error).partition("\n")[0]


def _score(score: Gate, run: Run) -> Score:
    seed = seed_of(run.reader.header.meta, run.reader.header.run)
    facts = ("" if seed is None else str(seed), run.task)
    try:
        return Score(run.label, measure(score, run), *facts)
    except ExpressionError as error:
        return Score(run.label, float("nan"), *facts, _first_line(error))


def _default_score(metric: Metric) -> Gate:
    kind = "" if str(metric) == metric.key else f"{metric.kind}."
    sign = "-" if Conventions.lower_is_better(metric.key) else ""
    try:
        return Gate.of(f"{sign}mean({kind}{name_of(metric.key)}[-10%:])")
    except ExpressionError as error:
        raise StatisticsError(f"give a score to compare; the main metric has none: {_first_line(error)}") from None


def _with_baseline(metric: Metric, new: Sequence[Run], old: Sequence[Run], options: PlotOptions) -> list[Picture]:
    groups = [Group("now", tuple(new)), Group("baseline", tuple(old))]
    try:
        return [figure_of(metric, groups, options, "baseline", f"{metric}, now and before")]
    except NothingToDraw:
        return []
