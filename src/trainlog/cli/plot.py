"""``trainlog plot``: the curves of logs as pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from trainlog import registry
from trainlog.cli.learned import draw_functions
from trainlog.cli.output import progress
from trainlog.plot import AXES, BANDS, CENTERS, Format, PlotOptions, Run, pictures, runs_of, save_picture

__all__ = ["FormatsType", "command", "figure_options", "wish_of"]

_FORMATS: Final[tuple[Format, ...]] = ("svg", "png", "gif")


class SizeType(click.ParamType[tuple[int, int]]):
    """Pixels, as ``960x540``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, _, height = str(value).lower().partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            self.fail(f"{value!r} is no size; write it like 960x540", param, ctx)
        size = int(width), int(height)
        if not (120 <= size[0] <= 8192 and 80 <= size[1] <= 8192):
            self.fail(f"a picture is 120x80 to 8192x8192 pixels large, not {value}", param, ctx)
        return size


class FormatsType(click.ParamType[tuple[str, ...]]):
    """Formats with commas between them."""

    name = "formats"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The formats that *value* names."""
        if isinstance(value, tuple):
            return value
        formats = tuple(filter(None, (part.strip().lower().lstrip(".") for part in str(value).split(","))))
        if unknown := [part for part in formats if part not in _FORMATS] or ([] if formats else [value]):
            self.fail(f"there is no format {unknown[0]!r}; there are {', '.join(_FORMATS)}", param, ctx)
        return formats


def figure_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose figures and how they look; `wish_of` takes what they give."""
    options = [
        click.option("-y", "--y", multiple=True, help="Draw this metric: reward, creature:speed, com[2], 'gait_*'."),
        click.option("-x", "--x", type=click.Choice(list(AXES)), help="What the curves are drawn over."),
        click.option(
            "--smooth",
            type=float,
            help="A window (100) or the weight of the past (0.9); 0 for none. Restless curves are smoothed unasked.",
        ),
        click.option("--log-y", is_flag=True, help="A logarithmic y axis."),
        click.option(
            "--by", metavar="KEY", help="One curve for the logs of one seed, task, ... ; log keeps all apart."
        ),
        click.option("--center", type=click.Choice(CENTERS), help="The middle of several logs."),
        click.option("--band", type=click.Choice(BANDS), help="What is shown around it, or around one smoothed log."),
        click.option("--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True),
        click.option("--size", type=SizeType(), default="960x540", show_default=True, help="Pixels of a figure."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def wish_of(options: dict[str, Any]) -> tuple[PlotOptions, tuple[int, int]]:
    """What the options of `figure_options` say, taken out of *options*."""
    size: tuple[int, int] = options.pop("size")
    names = ("y", "x", "smooth", "log_y", "by", "center", "band", "theme")
    return PlotOptions(**{name: options.pop(name) for name in names}), size


@click.command
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LOG...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("figures"),
    show_default=True,
    help="Folder.",
)
@figure_options
@click.option(
    "--format", "formats", type=FormatsType(), default="svg,png", show_default=True, help="Also gif: growing."
)
@click.option(
    "--function",
    "functions",
    multiple=True,
    metavar="NAME",
    help="Instead: what was learned, a heat map of the last sample and a GIF of all. 'all' for each function.",
)
def command(
    logs: tuple[Path, ...], output: Path, formats: tuple[Format, ...], functions: tuple[str, ...], **options: Any
) -> None:
    """Draw the curves of logs: an overview, one figure for each metric that varies, words, the path from above.

    Several logs are laid over each other; --by and --band make one curve of several seeds.
    """
    if functions:
        for log in logs:
            for path in draw_functions(registry.open(log), functions, output, theme=options["theme"]):
                click.echo(path)
        return
    wish, size = wish_of(options)
    runs = runs_of([registry.open(path) for path in logs], only=wish.y)
    figures = pictures(runs, wish)
    written: list[Path] = []
    width, height = size
    with progress("figures", len(figures)) as update:
        for done, picture in enumerate(figures):
            update(done)
            written += save_picture(picture, output, formats=formats, width=width, height=height, theme=wish.theme)
    for path in written:
        click.echo(path)
    _say_what_is_missing(runs, wish)


def _say_what_is_missing(runs: Sequence[Run], wish: PlotOptions) -> None:
    constant = list(dict.fromkeys(str(metric) for run in runs for metric in run.constants())) if not wish.y else []
    if constant:
        shown = ", ".join(constant[:8]) + (f" and {len(constant) - 8} more" if len(constant) > 8 else "")
        click.echo(f"never changes, so not drawn: {shown}", err=True)
