"""Colours: parsing, mixing, contrast."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

__all__ = ["Color", "contrast", "contrasting", "is_light", "mix", "parse_color", "rgb", "with_contrast"]

Color = str
"""A colour as ``"#rrggbb"``, in lower case when `parse_color` made it."""

_HEX: Final = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def parse_color(text: object) -> Color:
    """``"#rgb"``, ``"#rrggbb"`` or a CSS name, as ``"#rrggbb"``.

    Raises:
        ValueError: for anything else.

    """
    word = text.strip().lower() if isinstance(text, str) else ""
    if _HEX.fullmatch(word):
        return word if len(word) == 7 else "#" + "".join(digit * 2 for digit in word[1:])
    if word.isalpha():
        from PIL import ImageColor  # few pictures need it

        with suppress(ValueError):
            return "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(word))
    raise ValueError(f"{text!r} is not a colour: give '#rrggbb', '#rgb' or a CSS name such as 'steelblue'")


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


def is_light(color: Color) -> bool:
    """Whether black is easier to read on ``color`` than white."""
    return contrasting(color) == "#000000"


def contrast(color: Color, other: Color) -> float:
    """The contrast ratio of two colours, from 1 to 21, by the formula of WCAG 2.1."""
    light, dark = sorted(map(_luminance, (color, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: Color) -> float:
    shares = (channel / 255 for channel in rgb(color))
    linear = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def with_contrast(color: Color, background: Color, ratio: float, *, fade: bool = False) -> Color:
    """The colour, changed as little as a contrast of *ratio* needs; with *fade* it is made paler if possible."""
    if contrast(color, background) < ratio:
        target = contrasting(background)
    elif fade:
        color, target = background, color
    else:
        return color
    return next(
        mixed for n in range(41) if contrast(mixed := mix(color, target, n / 40), background) >= ratio or n == 40
    )
