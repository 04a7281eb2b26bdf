"""Colours: parsing, mixing, contrast."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Color", "contrasting", "mix", "parse_color", "rgb"]

Color = str
"""A colour as ``"#rrggbb"``, in lower case when `parse_color` made it."""

_NAMES: Final = {
    "black": "#000000",
    "white": "#ffffff",
    "gray": "#808080",
    "grey": "#808080",
    "silver": "#c0c0c0",
    "red": "#ff0000",
    "green": "#008000",
    "blue": "#0000ff",
    "yellow": "#ffff00",
    "orange": "#ffa500",
    "purple": "#800080",
    "magenta": "#ff00ff",
    "cyan": "#00ffff",
    "brown": "#a52a2a",
    "pink": "#ffc0cb",
    "navy": "#000080",
    "teal": "#008080",
    "olive": "#808000",
    "maroon": "#800000",
    "lime": "#00ff00",
    "gold": "#ffd700",
    "crimson": "#dc143c",
    "tomato": "#ff6347",
    "steelblue": "#4682b4",
    "royalblue": "#4169e1",
    "darkgreen": "#006400",
    "darkorange": "#ff8c00",
    "darkred": "#8b0000",
    "indigo": "#4b0082",
    "violet": "#ee82ee",
}
_HEX: Final = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def parse_color(text: object) -> Color:
    """``"#rgb"``, ``"#rrggbb"`` or one of thirty CSS names, as ``"#rrggbb"``.

    Raises:
        ValueError: for anything else.

    """
    if isinstance(text, str):
        word = text.strip().lower()
        if word in _NAMES:
            return _NAMES[word]
        if _HEX.fullmatch(word):
            return word if len(word) == 7 else "#" + "".join(digit * 2 for digit in word[1:])
    raise ValueError(f"{text!r} is no colour: give '#rrggbb', '#rgb' or a CSS name such as 'steelblue'")


def rgb(color: Color) -> tuple[int, int, int]:
    """The three bytes of a colour."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def mix(color: Color, other: Color, fraction: float) -> Color:
    """``color`` with ``fraction`` (0 … 1) of ``other`` blended in, channel by channel in sRGB."""
    blended = (a + (b - a) * fraction for a, b in zip(rgb(color), rgb(other), strict=True))
    return "#" + "".join(f"{int(channel + 0.5):02x}" for channel in blended)


def contrasting(color: Color) -> Color:
    """Black or white, whichever is easier to read on ``color``."""
    red, green, blue = rgb(color)
    return "#000000" if 299 * red + 587 * green + 114 * blue > 140_000 else "#ffffff"
