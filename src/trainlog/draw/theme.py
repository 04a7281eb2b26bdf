"""The look of a picture: its colours and its font size."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal, get_args

from trainlog.draw.color import Color, parse_color

__all__ = ["DARK", "LIGHT", "THEMES", "Theme", "ThemeName", "find_theme"]

ThemeName = Literal["light", "dark"]
THEMES: Final[tuple[ThemeName, ...]] = get_args(ThemeName)

_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#6b6b6b")


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours and font size of a picture.

    Attributes:
        background: the colour of the background.
        text: the colour of title, labels and legend.
        muted: the colour of tick labels, caption, thresholds and events.
        grid: the colour of grid lines.
        axis: the colour of axes and ticks.
        missing: the colour of heat map cells without a value.
        palette: colours for marks without a colour, in order, then again with dashes. The colours of the two built-in
            palettes are distinguishable with any of the common kinds of colour blindness; they are based on those that
            M. Okabe and K. Ito published.
        events: colours for events without a colour; lines and strips use none of them.
        font_size: the size of labels and legend in pixels. The title is larger and the tick labels are smaller.

    Raises:
        ValueError: for a wrong colour, an empty palette, or a font size that is not between 4 and 200.

    """

    background: Color = "#ffffff"
    text: Color = "#1b1f24"
    muted: Color = "#59636e"
    grid: Color = "#e4e7eb"
    axis: Color = "#8b949e"
    missing: Color = "#c9ced4"
    palette: tuple[Color, ...] = _PALETTE
    events: tuple[Color, ...] = ("#59636e", "#8f1d5b", "#4a6b0a", "#7a3b12", "#123a7a", "#0b6470")
    font_size: float = 13.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name not in ("palette", "events", "font_size"):
                object.__setattr__(self, field.name, parse_color(getattr(self, field.name)))
        for name in ("palette", "events"):
            colors = tuple(parse_color(color) for color in getattr(self, name))
            if not colors:
                raise ValueError(f"a theme needs at least one colour in its {name}")
            object.__setattr__(self, name, colors)
        if not 4 <= self.font_size <= 200:
            raise ValueError(f"a theme's font_size must lie between 4 and 200 pixels, not {self.font_size!r}")

    @property
    def title_size(self) -> float:
        """Font size of the title, in pixels."""
        return round(self.font_size * 1.25, 1)

    @property
    def tick_size(self) -> float:
        """Font size of tick labels and caption, in pixels."""
        return round(self.font_size * 0.92, 1)

    @property
    def padding(self) -> float:
        """Distance between the border of the picture and its contents, in pixels."""
        return round(self.font_size)

    @property
    def legend_row_height(self) -> float:
        """Height of one row of the legend, in pixels."""
        return round(self.font_size * 1.55)


LIGHT: Final = Theme()
DARK: Final = Theme(
    background="#14181d",
    text="#e8ecf1",
    muted="#a3adb8",
    grid="#2a3038",
    axis="#6b7682",
    missing="#3d4650",
    palette=("#4ea6e6", "#ff8a4c", "#2fc79a", "#e893c4", "#f0b73a", "#9fd6ff", "#9966dd", "#7f8790"),
    events=("#a3adb8", "#e0559f", "#9dc44d", "#c98a5c", "#7d9be0", "#45b7c4"),
)
_BY_NAME: Final = {"light": LIGHT, "dark": DARK}


def find_theme(theme: object) -> Theme:
    """The theme with that name, or the theme itself.

    Raises:
        ValueError: when there is no such theme.

    """
    if isinstance(theme, Theme):
        return theme
    if isinstance(theme, str) and theme in _BY_NAME:
        return _BY_NAME[theme]
    raise ValueError(f"there is no theme {theme!r}: choose 'light', 'dark' or give a Theme")
