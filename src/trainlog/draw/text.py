"""Width, shortening and transliteration of text.

Widths come from a table, so that layout opens no font and gives the same picture on every machine. For every letter
the table holds the larger of two widths: that in Aileron, the font of Pillow and of the PNG, and that in Helvetica,
the kind of font that a browser uses for the SVG.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["CAP_HEIGHT", "MISSING_GLYPH", "clean", "shorten", "text_width", "transliterate", "wrap"]

_ELLIPSIS: Final = "…"
CAP_HEIGHT: Final = 0.71
"""Height of capital letters and digits, as a fraction of the font size."""
MISSING_GLYPH: Final = "□"
"""Replaces a letter that the raster font lacks. The font lacks it as well: it is drawn as a rectangle."""

# fmt: off
_ADVANCES: Final = dict(zip(map(chr, range(32, 127)), (
    278, 278, 355, 580, 580, 889, 667, 191, 333, 333, 560, 584, 278, 333, 278, 303, 580, 580, 580, 580, 580, 580,
    580, 580, 580, 580, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 730, 278, 544, 667,
    575, 866, 722, 778, 667, 778, 722, 667, 612, 722, 667, 952, 667, 667, 611, 307, 303, 295, 580, 556, 333, 556,
    611, 529, 615, 556, 290, 615, 593, 238, 233, 522, 247, 855, 593, 586, 611, 615, 333, 500, 313, 592, 514, 785,
    500, 513, 500, 334, 260, 334, 584,
), strict=True)) | {"−": 584, "–": 560, "…": 1000, "°": 400, "·": 333, "±": 584, "«": 556, "»": 556, MISSING_GLYPH: 620}
# fmt: on

# What the raster font has beyond ASCII, and the minus, the dash and the box that are drawn.
_AVAILABLE: Final = frozenset(_ADVANCES) | frozenset("‘’“”‹›™´")
_TRANSLITERATIONS: Final = {
    "—": "–", "‐": "-", "‑": "-", "×": "x", "⋅": "·", "•": "·", "→": "->", "←": "<-", "↔": "<->",
    "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "∞": "inf", "∆": "Delta", "√": "sqrt", "∑": "sum", "ß": "ss",
    "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L", "đ": "d", "ð": "d",
    "þ": "th", "ı": "i", "µ": "u", "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon",
    "ζ": "zeta", "η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu",
    "ξ": "xi", "ο": "o", "π": "pi", "ρ": "rho", "σ": "sigma", "ς": "s", "τ": "tau", "υ": "upsilon", "φ": "phi",
    "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi",
    "²": "^2", "³": "^3", "¹": "^1", "⁻": "^-", "∂": "d", "∈": "in", "∙": "·",
    "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega", "\N{NO-BREAK SPACE}": " ", "€": "EUR",
}  # fmt: skip

# Everything that XML 1.0 forbids, the other control characters, and those that change the writing direction.
_FORBIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_SPACES: Final = re.compile(r"\s+")


def clean(text: object) -> str:
    """One line of text that XML can hold: without control characters, each run of white space as one space."""
    return _SPACES.sub(" ", _FORBIDDEN.sub("", str(text))).strip()


@lru_cache(maxsize=4096)
def _transliterate_letter(letter: str) -> str:
    if letter in _AVAILABLE:
        return letter
    if letter in _TRANSLITERATIONS:
        return _TRANSLITERATIONS[letter]
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Cf", "Mn"):
        return ""
    parts = unicodedata.normalize("NFKD", letter)
    if parts == letter:
        return MISSING_GLYPH
    return "".join(_transliterate_letter(part) for part in parts)


def transliterate(text: str) -> str:
    """The text in letters that the raster font has: é as e, α as alpha, and a box for all others."""
    return text if text.isascii() else "".join(map(_transliterate_letter, text))


@lru_cache(maxsize=4096)
def _advance(letter: str) -> int:
    """The width of one letter in thousandths of the font size: in the SVG, or transliterated in the PNG if larger."""
    if letter in _ADVANCES:
        return _ADVANCES[letter]
    transliterated = sum(_ADVANCES.get(part, 600) for part in _transliterate_letter(letter))
    if unicodedata.combining(letter):
        return transliterated
    return max(1000 if unicodedata.east_asian_width(letter) in "WF" else 620, transliterated)


def text_width(text: str, size: float) -> float:
    """The width of the text in pixels when its font size is ``size`` pixels."""
    return sum(map(_advance, text)) * size / 1000


def shorten(text: str, size: float, width: float) -> str:
    """The text, or as much of it as fits into ``width`` pixels with an ellipsis; empty when none does."""
    if text_width(text, size) <= width:
        return text
    remaining = width * 1000 / size - _ADVANCES[_ELLIPSIS]
    if remaining < 0:
        return ""
    for count, letter in enumerate(text):
        remaining -= _advance(letter)
        if remaining < 0:
            return text[:count].rstrip() + _ELLIPSIS
    return text


def wrap(text: str, size: float, width: float, limit: int) -> list[str]:
    """The text broken between words into at most ``limit`` lines; an ellipsis replaces what does not fit."""
    lines: list[str] = []
    words = text.split()
    while words:
        count = 1
        while count < len(words) and text_width(" ".join(words[: count + 1]), size) <= width:
            count += 1
        if len(lines) == limit - 1:
            count = len(words)
        lines.append(shorten(" ".join(words[:count]), size, width))
        words = words[count:]
    return lines
