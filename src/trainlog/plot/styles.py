"""The colors and dashes of curves."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from trainlog.draw.color import Color, with_contrast
from trainlog.draw.theme import find_theme
from trainlog.errors import PlotError
from trainlog.plot.options import Group, PlotOptions, value_of

__all__ = ["Style", "Styles", "checked_colors", "values_of"]

_DASHES: Final = (None, (7.0, 4.0), (2.0, 4.0))
_CONTRAST: Final = 3.0  # of a curve against the background


class Style(NamedTuple):
    """The look of a curve.

    Attributes:
        color, dash: the color and dash of its line.
        is_chosen: whether the options determine it, not only the order of the curves.
        legend: its name in the legend.

    """

    color: Color
    dash: tuple[float, ...] | None
    is_chosen: bool
    legend: str


class Styles:
    """The styles of the curves of a figure, the same in all of its charts."""

    def __init__(self, options: PlotOptions, groups: Sequence[Group], metrics: Sequence[str] = ()) -> None:
        """Prepare styles for the curves of *groups*, in this order for each of *metrics*; without these, by first use.

        Raises:
            PlotError: when a group has several values of the key that determines colors.

        """
        self._options = options
        self._theme = find_theme(options.theme)
        self._values = values_of(groups, options)
        self._places = {value: n for n, value in enumerate(dict.fromkeys(self._values.values()))}
        labels = (_joined((group.label, metric)) for metric in metrics for group in groups)
        self._numbers = {label: n for n, label in enumerate(labels)}
        self._alike: dict[Color, dict[str, int]] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def of(self, group: str, metric: str = "", part: str = "") -> Style:
        """The style of the curve of a group, for one *metric* of several and for the type of its episodes.

        A color applies to all curves with that name, whether it names the whole curve or a part of it. Curves of one
        color have different dashes, except single runs that are colored by a value and named after it.
        """
        names, label = (group, metric, part), _joined((group, metric, part))
        number = self._numbers.setdefault(label, len(self._numbers))
        turn, index = divmod(number, len(self._theme.palette))
        colors, value = self._options.colors, self._values.get(group)
        chosen = next((colors[name] for name in (label, *filter(None, (*names, value))) if name in colors), None)
        if chosen is None and value is None:
            return Style(self._palette(index), _DASHES[turn % len(_DASHES)], False, label)
        color = self._palette(self._places[value or ""]) if chosen is None else chosen
        is_named = value is not None and self._options.by in (None, "log")
        legend = _joined((value or "", metric, part)) if is_named else label
        alike = self._alike.setdefault(color, {})
        return Style(color, _DASHES[alike.setdefault(legend, len(alike)) % len(_DASHES)], True, legend)

    def _palette(self, index: int) -> Color:
        palette = self._theme.palette
        return with_contrast(palette[index % len(palette)], self._theme.background, _CONTRAST)


def values_of(groups: Sequence[Group], options: PlotOptions) -> dict[str, str]:
    """The value that determines the color of each group, by its label; empty without ``color_by``.

    Raises:
        PlotError: when a log has no such key in its metadata, and when a group has several values.

    """
    if options.color_by is None:
        return {}
    found = {}
    for group in groups:
        values = list(dict.fromkeys(value_of(run, options.color_by) for run in group.runs))
        if len(values) > 1:
            name = f"the curve {group.label!r}" if group.label else "the only curve"
            several = " and ".join(map(repr, values[:3]))
            raise PlotError(f"{name} is of runs with {several}, and has no one color by {options.color_by!r}")
        found[group.label] = values[0]
    return found


def checked_colors(
    options: PlotOptions, groups: Sequence[Group], metrics: Iterable[str], parts: Iterable[str]
) -> Mapping[str, Color]:
    """The colors of the options, by names as they are shown.

    Args:
        options: the options of the figure.
        groups: the groups of its curves, named as they are shown.
        metrics: the names of metrics that are part of the names of curves.
        parts: the types of episodes, which may also be part of them.

    Raises:
        PlotError: for a color of a name that is neither a curve nor a part of the name of one.

    """
    shown = {group.label: group.label for group in groups}
    shown |= {name: label for name, label in options.labels.items() if label in shown}
    own, types = ["", *metrics], ["", *parts]
    rests = [*itertools.product(own, types)]
    known = {_joined((name, *rest)): _joined((shown[name], *rest)) for name in shown for rest in rests}
    known |= {name: name for name in (*own, *types, *values_of(groups, options).values())}
    known.pop("", None)
    for name in options.colors:
        if name not in known:
            curves = [*filter(None, [*(group.label for group in groups), *own, *types])]
            raise PlotError(f"there is no curve {name!r}; there are {', '.join(curves) or 'none with a name'}")
    return {known[name]: color for name, color in options.colors.items()}


def _joined(names: Iterable[str]) -> str:
    return ", ".join(filter(None, names))
