"""The table of results: the center of each metric of each group of logs, as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Final

import numpy as np

from trainlog.plot import Group, Metric, PlotOptions, Run
from trainlog.plot.options import normalized
from trainlog.printable import printable
from trainlog.report.facts import MetricFacts, human, values_of
from trainlog.statistics import CenterName, interval

__all__ = ["NORMALISED", "Result", "csv_table", "csv_text", "latex_table", "markdown_cell", "results_of"]

NORMALISED: Final = " (normalised)"  # at the end of the name of a metric
_LATEX: Final = {**{sign: f"\\{sign}" for sign in "&%$#_{}"}, "\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
_LATEX_MORE: Final = {
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": "$-$",
    "∞": r"$\infty$",
}


@dataclass(frozen=True, slots=True)
class Result:
    """A metric of a group of logs.

    Attributes:
        metric: the name of the metric, with the type of the episodes if there are several.
        group: the name of the group, as in legends; empty for all logs.
        runs: how many logs have a finite value.
        tasks: how many tasks these logs have, see `trainlog.plot.options.tasks_note`.
        center: how the logs are combined.
        value: the center of the means of the last tenth of each log.
        low, high: the 95 % interval of the center; NaN with a single run of a task.

    """

    metric: str
    group: str
    runs: int
    tasks: int
    center: CenterName
    value: float
    low: float
    high: float


def results_of(groups: Sequence[Group], metrics: Sequence[Metric], options: PlotOptions) -> tuple[Result, ...]:
    """The results of *groups* of logs; a log that lacks a metric is left out, and not counted.

    If the options normalise scores, this applies to the reward, or else to the first metric, whose name says so.

    Raises:
        PlotError: when the options have no scores for a task.

    """
    found = []
    center = options.center or "mean"
    runs = [run for group in groups for run in group.runs]
    rewards = [metric for metric in metrics if any(_is_reward(run, metric) for run in runs)] or metrics[:1]
    for metric in metrics:
        units = options if metric in rewards else replace(options, normalize=None)
        ending = "" if units.normalize is None else NORMALISED
        for name in dict.fromkeys(name for run in runs for name in values_of(run, metric)):
            for group in groups:
                by_task: dict[str, list[float]] = {}
                for run in group.runs:
                    values = values_of(run, metric).get(name)
                    final = math.nan if values is None else MetricFacts.of(values).final
                    if math.isfinite(final):
                        by_task.setdefault(run.task, []).append(float(normalized(np.array(final), run, units)))
                if by_task:
                    tasks = [np.array(values) for values in by_task.values()]
                    one = interval(tasks, center)
                    count = sum(map(len, tasks))
                    numbers = (float(one.value), float(one.low), float(one.high))
                    found.append(Result(name + ending, group.label, count, len(tasks), center, *numbers))
    return tuple(found)


def _is_reward(run: Run, metric: Metric) -> bool:
    return metric.key == run.conventions.reward(run.columns(metric.kind).table)


def markdown_cell(result: Result) -> str:
    """The center, its interval and the number of runs as text."""
    many = f"n={result.runs}" + (f", {result.tasks} tasks" if result.tasks > 1 else "")
    if math.isnan(result.low):
        return f"{human(result.value)} ({many})"
    return f"{human(result.value)} [{human(result.low)}, {human(result.high)}] ({many})"


def csv_table(results: Sequence[Result]) -> str:
    """One line for each metric and group, with all digits; empty for a missing interval."""
    rows = (
        ["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in astuple(result)] for result in results
    )
    return csv_text([Result.__slots__, *rows])


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """*rows* as lines of CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def latex_table(results: Sequence[Result], caption: str) -> str:
    """A ``table`` environment with booktabs rules: a row for each metric, a column for each group."""
    groups = list(dict.fromkeys(result.group for result in results))
    cells = {(result.metric, result.group): result for result in results}
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{_latex(caption)}}}",
        f"  \\begin{{tabular}}{{l{'r' * len(groups)}}}",
        "    \\toprule",
        "    " + " & ".join(["metric", *(_latex(group or "all logs") for group in groups)]) + " \\\\",
        "    \\midrule",
    ]
    for metric in dict.fromkeys(result.metric for result in results):
        row = [cells.get((metric, group)) for group in groups]
        texts = ["--" if result is None else _latex(markdown_cell(result)) for result in row]
        lines.append("    " + " & ".join([_latex(metric), *texts]) + " \\\\")
    return "\n".join([*lines, "    \\bottomrule", "  \\end{tabular}", "\\end{table}", ""])


def _latex(text: str) -> str:
    plain = printable(" ".join(text.split()))
    escaped = re.sub(r"[&%$#_{}\\~^<>|−∞]", lambda match: (_LATEX | _LATEX_MORE)[match[0]], plain)
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped  # an argument of the \\\\ before it
