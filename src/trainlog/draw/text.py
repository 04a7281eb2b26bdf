"""How wide a text is, how it is shortened, and what may stand in it.

Widths come from a table, so that layout opens no font and gives the same picture on every machine. The table
holds for every letter the wider of Aileron, which Pillow brings along and which the PNG is written with, and
of the Helvetica kind, which a browser will take for the SVG.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["CAP_HEIGHT", "ELLIPSIS", "MISSING", "clean", "measure", "shorten", "spell", "wrap"]

ELLIPSIS: Final = "…"
CAP_HEIGHT: Final = 0.71
"""Of the capital letters and digits, in parts of the font size."""
MISSING: Final = "□"
"""Stands for a letter that the raster font lacks. It is drawn, not written."""

# fmt: off
_ADVANCES: Final = dict(zip(map(chr, range(32, 127)), (
    278, 278, 355, 580, 580, 889, 667, 191, 333, 333, 560, 584, 278, 333, 278, 303, 580, 580, 580, 580, 580, 580,
    580, 580, 580, 580, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 730, 278, 544, 667,
    575, 866, 722, 778, 667, 778, 722, 667, 612, 722, 667, 952, 667, 667, 611, 307, 303, 295, 580, 556, 333, 556,
    611, 529, 615, 556, 290, 615, 593, 238, 233, 522, 247, 855, 593, 586, 611, 615, 333, 500, 313, 592, 514, 785,
    500, 513, 500, 334, 260, 334, 584,
), strict=True)) | {"−": 584, "–": 560, "…": 1000, "°": 400, "·": 333, "±": 584, "«": 556, "»": 556, MISSING: 620}
# fmt: on

# What the raster font has beyond ASCII, and the minus, the dash and the box that are drawn.
_WRITABLE: Final = frozenset(_ADVANCES) | frozenset("‘’“”‹›™´")
_SPELLINGS: Final = {
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

# Everything that XML 1.0 forbids, the other control characters, and those that turn the writing direction.
_UNWRITABLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_SPACES: Final = re.compile(r"\s+")


def clean(text: object) -> str:
    """One line of text that XML can hold: control characters are dropped, white space is made single."""
    return _SPACES.sub(" ", _UNWRITABLE.sub("", str(text))).strip()


@lru_cache(maxsize=4096)
def _spell_letter(letter: str) -> str:
    if letter in _WRITABLE:
        return letter
    if letter in _SPELLINGS:
        return _SPELLINGS[letter]
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Cf", "Mn"):
        return ""
    parts = unicodedata.normalize("NFKD", letter)
    if parts == letter:
        return MISSING
    return "".join(_spell_letter(part) for part in parts)


def spell(text: str) -> str:
    """The text in letters that the raster font has: é as e, α as alpha, and a box where nothing will do."""
    return text if text.isascii() else "".join(map(_spell_letter, text))


@lru_cache(maxsize=4096)
def _advance(letter: str) -> int:
    """The room for one letter in thousandths of the font size, in the SVG as well as spelt in the PNG."""
    if letter in _ADVANCES:
        return _ADVANCES[letter]
    spelt = sum(_ADVANCES.get(part, 600) for part in _spell_letter(letter))
    if unicodedata.combining(letter):
        return spelt
    own = 1000 if unicodedata.east_asian_width(letter) in "WF" else 620
    return max(own, spelt)


def measure(text: str, size: float) -> float:
    """The width of the text in pixels when its font size is ``size`` pixels."""
    return sum(map(_advance, text)) * size / 1000


def shorten(text: str, size: float, width: float) -> str:
    """The text, or as much of it as fits into ``width`` pixels with an ellipsis; empty when none does."""
    if measure(text, size) <= width:
        return text
    room = width * 1000 / size - _ADVANCES[ELLIPSIS]
    if room < 0:
        return ""
    for count, letter in enumerate(text):
        room -= _advance(letter)
        if room < 0:
            return text[:count].rstrip() + ELLIPSIS
    return text


def wrap(text: str, size: float, width: float, lines: int) -> list[str]:
    """The text broken between words into at most ``lines`` lines; what is left over ends in an ellipsis."""
    found: list[str] = []
    words = text.split()
    while words:
        if len(found) == lines - 1:
            found.append(shorten(" ".join(words), size, width))
            break
        count = 1
        while count < len(words) and measure(" ".join(words[: count + 1]), size) <= width:
            count += 1
        found.append(shorten(" ".join(words[:count]), size, width))
        words = words[count:]
    return found
