"""The choice of figures for logs."""

from __future__ import annotations

import dataclasses
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from trainlog.conventions import Conventions
from trainlog.draw import Chart, Grid, Scene, StateTimeline
from trainlog.errors import NothingToDraw, PlotError, TrainlogWarning
from trainlog.model import Kind
from trainlog.plot.axes import Axis
from trainlog.plot.behavior import behavior_strip, episode_strip, path_picture, states_picture, word_colors
from trainlog.plot.curve import MetricChart
from trainlog.plot.options import Group, PlotOptions, facets_of, groups_of
from trainlog.plot.picture import Picture
from trainlog.plot.robotics import motion_pictures
from trainlog.plot.run import Metric, Run
from trainlog.plot.scores import scores_picture
from trainlog.plot.styles import Styles, checked_colors
from trainlog.plot.together import together_picture, words_of, words_picture
from trainlog.storage.file_names import file_names, file_safe

__all__ = ["figure_of", "main_metric", "metrics_of", "pictures", "title_of", "undrawn_metrics"]

_RESERVED: Final = (
    "overview",
    "trajectory",
    "states",
    "footfalls",
    "joints",
    "phases",
    "approach",
)  # file names that metrics must not have
_COLUMNS: Final = 3
_IMPORTANT_TIER: Final = 3  # the overview begins with the metrics up to this tier; see docs/conventions.md
_MAX_OVERVIEW: Final = 12  # figures in the overview
_OF_GROUP: Final = 2  # metrics of one group in the overview while there are others
_MAX_NAMED_EVENTS: Final = 4  # figures on a sheet that each name the events
_MAX_SHEET: Final = 24  # figures on the sheet of a group
_MAX_METRICS: Final = 256  # drawn when none are named; a log may have thousands


def pictures(runs: Sequence[Run], options: PlotOptions | None = None) -> list[Picture]:
    """Make the figures of *runs*: an overview, each metric, the path, states in words, and a sheet for each group.

    Args:
        runs: one or more logs; see `trainlog.plot.runs_of`.
        options: the options of the figures. Without ``y``, every metric that varies is drawn, the most important
            first; metrics beyond 256 are left out with a `TrainlogWarning`.

    Raises:
        PlotError: when the logs lack what the options name, or have nothing to draw.

    """
    options = options or PlotOptions()
    words = {name: found for name in options.y if (found := words_of(runs, name)) is not None}
    worded = [_strip_picture(runs, *found, options) for found in words.values()]
    options = dataclasses.replace(options, y=tuple(name for name in options.y if name not in words))
    if worded and not options.y:
        if options.colors or options.color_by:
            raise PlotError("a column of words has a color for each word, and no curve to color")
        return worded
    metrics = metrics_of(runs, options)
    axes = _axes(runs, {metric.kind for metric in metrics}, options)
    metrics = [metric for metric in metrics if metric.kind in axes]
    limited = ""
    if not options.y and len(metrics) > _MAX_METRICS:
        limited = f"the {_MAX_METRICS} most important of {len(metrics):,} metrics are drawn; name others to draw them"
        warnings.warn(limited, TrainlogWarning, stacklevel=2)
        metrics = metrics[:_MAX_METRICS]
    if options.kind == "efficiency":  # the curves of the IQM over all tasks, unchanged
        options = dataclasses.replace(
            options, center=options.center or "iqm", band=options.band or "ci", smooth=options.smooth or 0, facet=""
        )
    groups = groups_of(runs, options)
    if options.colors:
        named = map(str, metrics) if options.together is not None and options.y else ()
        are_curves = options.kind in ("curves", "efficiency")
        parts = dict.fromkeys(part for run in runs for part in run.episode_parts if are_curves)
        options = dataclasses.replace(options, colors=checked_colors(options, groups, named, parts))
    if options.together is not None and options.y:
        return [*_together(metrics, groups, axes, options), *worded]
    folders = _folders(metrics)
    names = _file_names(folders)
    if options.kind not in ("curves", "efficiency"):
        metrics = metrics if options.y else metrics[:1]
        return [scores_picture(options.kind, one, groups, axes[one.kind], options, names[one]) for one in metrics]
    colors = word_colors(runs[0], options.theme) if len(runs) == 1 else {}
    single: list[Picture] = []
    panels: dict[Metric, Chart] = {}
    for metric in metrics:
        axis, own = axes[metric.kind], options
        if not options.y and _tier(runs, metric) > 0:  # scores are of returns, not of a loss
            own = dataclasses.replace(options, normalize=None)
        if (facets := _faceted(metric, groups, axis, own, names[metric], folders[metric])) is not None:
            single.append(facets)
            continue
        curve = MetricChart(metric, groups, axis, own)
        if curve.is_empty:
            continue
        extra, notes = _strips(runs, metric, axis, colors)
        chart = curve.chart(title_of(runs, str(metric)), extra, notes)
        single.append(Picture(names[metric], str(metric), chart, folders[metric], tuple(curve.blocks)))
        strips = extra if _tier(runs, metric) == 0 else ()
        panels[metric] = curve.panel(strips, events=len(metrics) <= _MAX_NAMED_EVENTS or not panels)
    if options.y:
        return [*single, *worded]
    of_one = list(_pictures_of(runs[0], axes, options, colors)) if len(runs) == 1 else []
    if not single and not of_one:
        raise NothingToDraw("there is nothing to draw: no number in these logs varies")
    path = next((one.figure for one in of_one if isinstance(one.figure, Scene)), None)
    sheets = [*_overview(runs, panels, path, folders, limited), *_sheets(runs, panels, folders)]
    return [*sheets[:1], *single, *of_one, *sheets[1:]]


def _strip_picture(runs: Sequence[Run], kind: Kind, key: str, options: PlotOptions) -> Picture:
    """The figure of a column of words."""
    axis = _axes(runs, [kind], options)[kind]
    return words_picture(runs, kind, key, axis, options, title_of(runs, key))


def _together(
    metrics: Sequence[Metric], groups: Sequence[Group], axes: Mapping[Kind, Axis], options: PlotOptions
) -> Iterator[Picture]:
    """One figure of all metrics for each kind of frames, as each kind may have its own axis."""
    runs = [run for group in groups for run in group.runs]
    for kind in dict.fromkeys(metric.kind for metric in metrics):
        own = [metric for metric in metrics if metric.kind == kind]
        title = title_of(runs, ", ".join(map(str, own)))
        if (picture := together_picture(own, groups, axes[kind], options, title)) is not None:
            yield picture


def _faceted(
    metric: Metric, groups: Sequence[Group], axis: Axis, options: PlotOptions, name: str, folder: str
) -> Picture | None:
    """The figure of a metric with a chart for each task or other value; None if it is not divided."""
    runs = [run for group in groups for run in group.runs]
    facets = facets_of(runs, groups, options)
    if len(facets) < 2 and not options.facet:
        return None
    styles = Styles(options, groups, [""])
    curves: dict[str, MetricChart] = {}
    blocks = []
    for title, members in facets.items():
        inside = [group._replace(runs=tuple(run for run in group.runs if run in members)) for group in groups]
        curve = MetricChart(metric, [group for group in inside if group.runs], axis, options, styles)
        if not curve.is_empty:
            curves[title] = curve
            blocks += [block._replace(label=f"{title}, {block.label}") for block in curve.blocks]
    if not curves:
        return None
    every = dict.fromkeys(note for curve in curves.values() for note in curve.notes)
    notes = [note for note in every if all(note in curve.notes for curve in curves.values())]
    charts = []
    for title, curve in curves.items():  # notes that do not hold for all charts are below their own chart
        own = "; ".join(note for note in curve.notes if note not in notes)
        charts.append(dataclasses.replace(curve.panel(title=title), caption=own))
    if options.facet is None:
        notes.append("returns of different tasks are not averaged")
    columns = min(_COLUMNS, len(charts)) if len(charts) != 4 else 2
    grid = Grid(charts, columns, f"{metric}{curve.units}", caption="; ".join(notes), one_legend=True)
    return Picture(name, str(metric), grid, folder, tuple(blocks), columns, -(-len(charts) // columns))


def figure_of(metric: Metric, groups: Sequence[Group], options: PlotOptions, name: str, title: str) -> Picture:
    """Make the figure of one metric of *groups*.

    Raises:
        NothingToDraw: when no group has a finite value of the metric.

    """
    runs = [run for group in groups for run in group.runs]
    axis = _axes(runs, [metric.kind], options)[metric.kind]
    curve = MetricChart(metric, groups, axis, options)
    if curve.is_empty:
        raise NothingToDraw(f"there is nothing to draw: no value of {metric} is finite")
    return Picture(name, title, curve.chart(title_of(runs, title)), "", tuple(curve.blocks))


def metrics_of(runs: Sequence[Run], options: PlotOptions) -> list[Metric]:
    """The metrics that the options name, in their order; by default all that vary, the most important first.

    Raises:
        PlotError: for a name that no log has, or one that is not a number.

    """
    if not options.y:
        found = dict.fromkeys(metric for run in runs for metric in run.metrics())
        return sorted(found, key=lambda metric: _rank(runs, metric))
    chosen: dict[Metric, None] = {}
    for name in options.y:
        matching = dict.fromkeys(metric for run in runs for metric in run.find(name))
        if not matching:
            raise PlotError(_unknown(name, runs))
        chosen |= matching
    return list(chosen)


def main_metric(runs: Sequence[Run]) -> Metric:
    """The reward, or else the most important metric.

    Raises:
        NothingToDraw: when nothing varies.

    """
    metrics = metrics_of(runs, PlotOptions())
    if not metrics:
        raise NothingToDraw("there is nothing to draw: no number in these logs varies")
    return metrics[0]


def score_metric(runs: Sequence[Run]) -> Metric:
    """The reward, even if it never changes or is never finite, or else the most important metric.

    Raises:
        NothingToDraw: when the logs hold no number.

    """
    varying = metrics_of(runs, PlotOptions())
    others = [metric for found in undrawn_metrics(runs) for metric in found]
    found = [*varying, *sorted(others, key=lambda metric: _rank(runs, metric))]
    if not found:
        raise NothingToDraw("there is no number in these logs")
    return next((metric for metric in found if _tier(runs, metric) == 0), found[0])


def _rank(runs: Sequence[Run], metric: Metric) -> tuple[int, ...]:
    """The sort key of a metric; its first number is the tier."""
    return min(run.conventions.rank(metric.kind, metric.key) for run in runs)


def _tier(runs: Sequence[Run], metric: Metric) -> int:
    return _rank(runs, metric)[0]


def undrawn_metrics(runs: Sequence[Run]) -> tuple[list[Metric], list[Metric]]:
    """The metrics that no figure shows: those that never change, and those without any finite value."""
    drawn = {metric for run in runs for metric in run.metrics()}
    is_finite: dict[Metric, bool] = {}
    for run in runs:
        for metric in run.constants():
            if metric not in drawn:
                known = is_finite.get(metric, False)
                is_finite[metric] = known or bool(np.isfinite(run.columns(metric.kind).numbers(metric.key)).any())
    constant, odd = ([metric for metric, known in is_finite.items() if known is wanted] for wanted in (True, False))
    return constant, odd


def _unknown(name: str, runs: Sequence[Run]) -> str:
    import difflib

    known = [str(metric) for run in runs for metric in (*run.metrics(), *run.constants())]
    near = difflib.get_close_matches(name, dict.fromkeys(known), 3, 0.5)
    return f"no log has the metric {name!r}" + (f"; near it: {', '.join(near)}" if near else "")


def _axes(runs: Sequence[Run], kinds: Iterable[Kind], options: PlotOptions) -> dict[Kind, Axis]:
    """The axis of each kind of frame; kinds that lack the axis of the options are left out."""
    axes: dict[Kind, Axis] = {}
    for kind in kinds:
        present = [run for run in runs if run.columns(kind).table.rows]
        order = [options.x] if options.x is not None else present[0].default_axes(kind)
        for name in order:
            if all(run.has_axis(kind, name) for run in present):
                axes[kind] = present[0].axis(kind, name)
                break
    if options.x is not None and not axes:
        for kind in kinds:
            for run in runs:
                run.axis_values(kind, options.x)  # raises PlotError
    return axes


def title_of(runs: Sequence[Run], otherwise: str) -> str:
    """The creature and task of all logs; if they differ, the name of the only log, or else *otherwise*."""
    subjects = {run.task for run in runs}
    if len(subjects) != 1:
        return otherwise
    return subjects.pop() or (runs[0].label if len(runs) == 1 else otherwise)


def _folders(metrics: Sequence[Metric]) -> dict[Metric, str]:
    """The folder for the picture of each metric: its kind (unless that is stats) and its group."""
    folders: dict[Metric, str] = {}
    for kind in dict.fromkeys(metric.kind for metric in metrics):
        own = [metric for metric in metrics if metric.kind == kind]
        groups = Conventions.groups(metric.key for metric in own)
        outer = "" if kind == Kind.STATS else str(kind)
        folders |= {metric: "/".join(filter(None, (outer, groups[metric.key]))) for metric in own}
    return folders


def _file_names(folders: Mapping[Metric, str]) -> dict[Metric, str]:
    """The path for the picture of each metric, from the folders."""
    names: dict[Metric, str] = {}
    for folder in dict.fromkeys(folders.values()):
        keys: dict[str, Metric] = {}
        for metric in (metric for metric, own in folders.items() if own == folder):
            key = str(metric._replace(kind=Kind.STATS))
            short = key.removeprefix(f"{folder.rpartition('/')[2]}/")  # the folder says this already
            keys[key if short in keys else short] = metric
        for key, safe in file_names(keys, _RESERVED).items():
            names[keys[key]] = "/".join([*_safe_path(folder), safe])
    return names


def _safe_path(folder: str) -> list[str]:
    return [file_safe(part) for part in folder.split("/") if part]


def _strips(
    runs: Sequence[Run], metric: Metric, axis: Axis, colors: Mapping[str, str]
) -> tuple[list[StateTimeline], list[str]]:
    """The strips below a metric of a single log, and notes about their words."""
    if len(runs) != 1:
        return [], []
    run, notes = runs[0], list[str]()
    if metric.kind == Kind.CREATURE:
        strip = episode_strip(run, metric.kind, axis, colors)
    else:
        strip, note = behavior_strip(run, metric.kind, axis, colors) if _tier(runs, metric) <= 1 else (None, "")
        notes = [note] if note else []
    return [strip] if strip is not None else [], notes


def _pictures_of(
    run: Run, axes: Mapping[Kind, Axis], options: PlotOptions, colors: Mapping[str, str]
) -> Iterator[Picture]:
    """The path, the states in words and the motion of a single log, as far as it has them."""
    title = title_of([run], run.label)
    if (path := path_picture(run, title, options.theme)) is not None:
        yield path
    axis = axes.get(Kind.STATS)
    if axis is None and (names := run.default_axes(Kind.STATS)):
        axis = run.axis(Kind.STATS, names[0])
    if axis is not None and (states := states_picture(run, axis, title, colors)) is not None:
        yield states
    yield from motion_pictures(run, title, options.theme)


def _overview(
    runs: Sequence[Run],
    panels: dict[Metric, Chart],
    path: Scene | None,
    folders: Mapping[Metric, str],
    caption: str,
) -> Iterator[Picture]:
    """The most important metrics on one sheet; no group has more than two while another has none."""
    taken: Counter[str] = Counter()
    turns: dict[Metric, tuple[int, bool]] = {}
    for metric in panels:  # the most important first
        group = folders[metric] or str(metric)
        turns[metric] = taken[group] // _OF_GROUP, _tier(runs, metric) > _IMPORTANT_TIER
        taken[group] += 1
    chosen = sorted(panels, key=lambda metric: turns[metric])[: _MAX_OVERVIEW - (path is not None)]
    figures: list[Chart | Scene] = [panels[metric] for metric in panels if metric in chosen]
    if path is not None:
        panel = dataclasses.replace(path, title="path seen from above", caption="")
        figures.insert(min(len(figures), _COLUMNS - 1), panel)
    if len(figures) > 1:
        yield _sheet("overview", title_of(runs, "overview"), figures, "", caption)


def _sheets(runs: Sequence[Run], panels: dict[Metric, Chart], folders: dict[Metric, str]) -> Iterator[Picture]:
    for folder in dict.fromkeys(folder for folder in folders.values() if folder):
        members = [chart for metric, chart in panels.items() if folders[metric] == folder]
        for start in range(0, len(members), _MAX_SHEET):
            name = "/".join([*_safe_path(folder), "overview" + (f"-{start // _MAX_SHEET + 1}" if start else "")])
            if len(members) > 1:
                yield _sheet(name, f"{title_of(runs, folder)}: {folder}", members[start : start + _MAX_SHEET], folder)


def _sheet(name: str, title: str, figures: Sequence[Chart | Scene], group: str, caption: str = "") -> Picture:
    columns = min(_COLUMNS, len(figures)) if len(figures) != 4 else 2
    grid = Grid(figures, columns, title, caption=caption)
    return Picture(name, f"{len(figures)} figures", grid, group, (), columns, -(-len(figures) // columns))
