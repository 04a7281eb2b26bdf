"""The colours of the themes, as people with colour blindness see them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from trainlog.draw.color import rgb
from trainlog.draw.theme import DARK, LIGHT, Theme

# How linear RGB is seen without the long, the medium and the short cones (Machado, Oliveira & Fernandes 2009).
_SEEN = {
    "all": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(color: str) -> NDArray[np.float64]:
    levels = np.array(rgb(color)) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def lab(color: str, seen: str) -> NDArray[np.float64]:
    """The colour in CIELAB, in which a distance of 2 is just visible."""
    xyz = _XYZ @ np.clip(np.array(_SEEN[seen]) @ linear(color), 0, 1) / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("seen", _SEEN)
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_all_colours_of_a_palette_are_distinguishable(theme: Theme, seen: str) -> None:
    for one, other in itertools.combinations(theme.palette, 2):
        assert np.linalg.norm(lab(one, seen) - lab(other, seen)) > 9, (one, other)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_texts_of_a_theme_can_be_read(theme: Theme) -> None:
    for color in (theme.text, theme.muted):
        dark, light = sorted(float(_XYZ[1] @ linear(one)) for one in (color, theme.background))
        assert (light + 0.05) / (dark + 0.05) >= 4.5
