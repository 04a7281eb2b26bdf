"""``trainlog plot``: draw the curves of logs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from trainlog import registry
from trainlog.cli.output import LogPath, OutputPath, echo, progress
from trainlog.codec import Reader
from trainlog.find_logs import find_logs, without_repeats
from trainlog.plot import (
    AXES,
    BANDS,
    CENTERS,
    PRESETS,
    Format,
    Group,
    PlotOptions,
    Run,
    Style,
    groups_of,
    paged,
    pictures,
    runs_of,
    save_pictures,
)
from trainlog.plot.figures import undrawn_metrics
from trainlog.plot.options import KINDS, TOGETHER, normalization_of, tasks_note
from trainlog.statistics import CenterName

if TYPE_CHECKING:
    from trainlog.draw.theme import ThemeName

__all__ = ["FormatsType", "command", "figure_options", "output_options", "plot_options"]

_FORMATS: Final[tuple[Format, ...]] = ("svg", "png", "pdf", "gif")


class SizeType(click.ParamType[tuple[int, int]]):
    """A size in pixels, such as ``960x540``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, _, height = str(value).lower().partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            self.fail(f"{value!r} is not a size; write it like 960x540", param, ctx)
        size = int(width), int(height)
        if not (120 <= size[0] <= 8192 and 80 <= size[1] <= 8192):
            self.fail(f"the size of a picture is 120x80 to 8192x8192 pixels, not {value}", param, ctx)
        return size


class FolderPath(OutputPath):
    """A folder to write to."""

    def coerce_path_result(self, value: Any) -> Any:
        """A local path; a new one that is named like a picture or a page is a usage error."""
        folder = super().coerce_path_result(value)
        if folder.suffix[1:].lower() in (*_FORMATS, "html", "md") and not folder.is_dir():
            self.fail(f"{folder.name!r} is named like a file, but the output is a folder")
        return folder


class FormatsType(click.ParamType[tuple[str, ...]]):
    """Formats, separated by commas."""

    name = "formats"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Parse *value*."""
        if isinstance(value, tuple):
            return value
        formats = tuple(filter(None, (part.strip().lower().lstrip(".") for part in str(value).split(","))))
        if unknown := [part for part in formats if part not in _FORMATS] or ([] if formats else [value]):
            self.fail(f"there is no format {unknown[0]!r}; there are {', '.join(_FORMATS)}", param, ctx)
        return formats


class RangeType(click.ParamType[tuple[float | None, float | None]]):
    """The limits of an axis, such as ``0,100``; one of them can be empty."""

    name = "low,high"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float | None, float | None]:
        """Parse *value*."""
        if isinstance(value, tuple):
            return value
        try:
            low, high = (float(part) if part.strip() else None for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} are not limits; write them like 0,100 or 0,", param, ctx)
        if (low is not None and not math.isfinite(low)) or (high is not None and not math.isfinite(high)):
            self.fail(f"limits are finite numbers, not {value}", param, ctx)
        if low is not None and high is not None and not low < high:
            self.fail(f"the lower limit comes first, not {value}", param, ctx)
        return low, high


class PairType(click.ParamType[tuple[str, str]]):
    """A name and its replacement, such as ``sac=SAC``."""

    name = "curve=text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Parse *value*."""
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).rpartition("=")
        if not (name and equals and text):
            self.fail(f"{value!r} is not a pair; write it like {self.name}", param, ctx)
        return name, text


class ColorType(PairType):
    """The color of a curve, such as ``sac=#d55e00`` or ``sac=steelblue``; or a metadata key, with an empty color."""

    name = "key|curve=color"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Parse *value*."""
        from trainlog.draw.color import parse_color

        if isinstance(value, str) and value and "=" not in value:
            return value, ""
        name, text = super().convert(value, param, ctx)
        try:
            return name, parse_color(text) if text else ""
        except ValueError as error:
            self.fail(str(error), param, ctx)


def output_options(folder: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the argument LOG... and the option ``--output``, *folder* by default."""
    logs = click.argument("logs", nargs=-1, required=True, type=LogPath(), metavar="LOG...")
    path = FolderPath(file_okay=False)
    output = click.option("-o", "--output", type=path, default=Path(folder), show_default=True, help="Output folder.")
    return lambda command: logs(output(command))


def figure_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select and style figures; `plot_options` reads them."""
    smooth = "A window (100) or the weight of the past (0.9); 0 for none. By default, noisy curves are smoothed."
    by = "Combine the logs with the same value of this key (seed, task, ...) into one curve; log: one curve per log."
    options = [
        click.option("-y", "--y", multiple=True, help="Draw this metric: reward, creature:speed, com[2], 'gait_*'."),
        click.option("-x", "--x", type=click.Choice(list(AXES)), help="The x axis."),
        click.option("--smooth", type=float, help=smooth),
        click.option("--log-y", is_flag=True, help="A logarithmic y axis."),
        click.option("--by", metavar="KEY", help=by),
        click.option("--center", type=click.Choice(CENTERS), help="The center of several logs."),
        click.option("--band", type=click.Choice(BANDS), help="The band around it, or around one smoothed log."),
        click.option(
            "--kind", type=click.Choice(KINDS), default="curves", help="Curves, or scores of runs across tasks."
        ),
        click.option(
            "--facet", metavar="KEY", help="One chart for each value of this key (task, ...), with a common legend."
        ),
        click.option(
            "--normalize",
            metavar="LOW,HIGH",
            help="The scores that become 0 and 1; or 'human', or a JSON file by task.",
        ),
        click.option("--together", type=click.Choice(TOGETHER), help="Draw all metrics of -y in one chart."),
        click.option("--line", "lines", type=float, multiple=True, help="Draw a horizontal line at this value."),
        click.option("--until", type=click.Choice(["common"]), help="Cut all logs where the shortest ends."),
        click.option("--xlim", type=RangeType(), help="The limits of the x axis, such as 0,1e6; one can be empty."),
        click.option("--ylim", type=RangeType(), help="The limits of the y axis."),
        click.option("--label", "labels", type=PairType(), multiple=True, help="Rename a curve."),
        click.option("--order", metavar="A,B", help="Draw these curves first, in this order."),
        click.option(
            "--color",
            "colors",
            type=ColorType(),
            multiple=True,
            help="Color curves by a metadata key, or set the color of one curve.",
        ),
        click.option("--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True),
        click.option(
            "--size", type=SizeType(), default="960x540", show_default=True, help="The size of a figure in pixels."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def plot_options(options: dict[str, Any]) -> tuple[PlotOptions, tuple[int, int]]:
    """Remove the options of `figure_options` from *options*, and return them with the size of a figure."""
    size: tuple[int, int] = options.pop("size")
    names = ("y", "x", "smooth", "log_y", "by", "center", "band", "theme", "kind", "facet", "until", "xlim", "ylim")
    chosen = {name: options.pop(name) for name in (*names, "together", "lines")}
    scores, order = options.pop("normalize"), options.pop("order") or ""
    colors = dict(options.pop("colors"))
    keys = [name for name, color in colors.items() if not color]
    if len(keys) > 1:
        raise click.UsageError(f"curves are colored by one metadata key, not by {' and '.join(keys)}")
    return PlotOptions(
        **chosen,
        normalize=None if scores is None else normalization_of(scores),
        labels=dict(options.pop("labels")),
        order=tuple(filter(None, map(str.strip, order.split(",")))),
        colors={name: color for name, color in colors.items() if color},
        color_by=keys[0] if keys else None,
    ), size


@click.command
@output_options("figures")
@figure_options
@click.option(
    "--format",
    "formats",
    type=FormatsType(),
    default="svg,png",
    show_default=True,
    help="Formats, separated by commas; also pdf, and gif for an animation.",
)
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Size and fonts for a column, a page or a slide.")
@click.option("--dpi", type=click.IntRange(24, 768), help="Pixels per inch of a PNG.  [default: 192; preset: 300]")
@click.option("--outlines", is_flag=True, help="Draw the text of an SVG as outlines: the same in every viewer.")
@click.option(
    "--function",
    "functions",
    multiple=True,
    metavar="NAME",
    help="Draw a learned function instead: a heat map of its last sample, a GIF of all samples. 'all' draws each one.",
)
def command(
    logs: tuple[Path, ...],
    output: Path,
    formats: tuple[Format, ...],
    functions: tuple[str, ...],
    preset: str | None,
    dpi: int | None,
    outlines: bool,
    **options: Any,
) -> None:
    """Draw logs: an overview, one figure per varying metric, states that are words, the path from above.

    Several logs are drawn in one figure; --by and --band combine several seeds into one curve.
    """
    if functions:
        for log in find_logs(logs):
            for path in _draw_functions(registry.open(log), functions, output, options["theme"]):
                echo(path)
        return
    given = click.get_current_context().get_parameter_source("size") is not ParameterSource.DEFAULT
    plot, size = plot_options(options)
    style = Style.of(plot.theme, preset, size if given or preset is None else None, dpi, outlines)
    runs = runs_of([registry.open(path) for path in without_repeats(find_logs(logs))], only=plot.y)
    figures = paged(pictures(runs, plot), style)
    written: list[Path] = []
    with progress("figures", len(figures)) as update:
        for done, paths in enumerate(save_pictures(figures, output, formats=formats, style=style)):
            update(done)
            written += paths
    for path in written:
        echo(path)
    if plot.normalize is None and plot.facet == "":
        _echo_tasks(groups_of(runs, plot), plot.center)
    if not plot.y and plot.kind == "curves":
        _echo_undrawn(runs)


def _echo_undrawn(runs: Sequence[Run]) -> None:
    """Say which metrics have no figure, and why."""
    constant, odd = undrawn_metrics(runs)
    for metrics, reason in ((constant, "never changes"), (odd, "has no finite value")):
        if names := list(map(str, metrics)):
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            echo(f"{reason}, so not drawn: {', '.join(names[:8])}{more}", err=True)


def _echo_tasks(groups: Iterable[Group], center: CenterName | None) -> None:
    """Say which curves are averages over several tasks."""
    for group in groups:
        if (count := len(set(group.tasks))) > 1:
            echo(f"trainlog: note: {group.label or 'all logs'}: {tasks_note(count, center=center)}", err=True)


def _draw_functions(log: Reader, names: Iterable[str], folder: Path, theme: ThemeName) -> list[Path]:
    """Draw the learned functions with these names; ``V`` is enough for ``V(x,u)``, ``all`` means every function."""
    from trainlog.functions import draw_function, learned_functions
    from trainlog.storage.file_names import file_names

    functions = learned_functions(log)
    if not functions:
        raise click.UsageError(f"{log.path} has no samples of learned functions")
    written: list[Path] = []
    files = file_names(functions)
    for name in functions if "all" in names else dict.fromkeys(names):
        matching = [name] if name in functions else [key for key in functions if name == key.partition("(")[0]]
        if len(matching) != 1:
            import difflib

            near = matching or difflib.get_close_matches(name, functions, 3, 0.3) or list(functions)
            raise click.UsageError(f"which function is {name!r}? There are {', '.join(near)}")
        written += draw_function(functions[matching[0]], folder, theme=theme, name=files[matching[0]])
    return written
