"""Width, shortening and wrapping of text.

Widths are those of Arimo, and thus of Arial, Helvetica and Liberation Sans. Letters that Arimo lacks count as one width
on every machine, whichever font draws them, so that the same figure is laid out identically everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["CAP_HEIGHT", "clean", "shorten", "text_width", "visual_order", "wrap"]

_ELLIPSIS: Final = "…"
CAP_HEIGHT: Final = 0.7
"""The height of capital letters and digits, as a fraction of the font size."""

# In thousandths of the font size. With these, layout opens no font for most figures.
# fmt: off
_ADVANCES: Final = dict(zip(map(chr, range(32, 127)), (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667,
    556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556,
    556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722,
    500, 500, 500, 334, 260, 334, 584,
), strict=True)) | {"−": 584, "–": 556, "…": 1000, "±": 549, "°": 400} | dict.fromkeys("ìíîï", 278)
# fmt: on

# Everything that XML 1.0 forbids, other control characters, and characters that change the writing direction.
_FORBIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_SPACES: Final = re.compile(r"\s+")

# The classes of the Unicode bidirectional algorithm (UAX 9) that order words of both directions in one line.
_DIRECTIONS: Final = {"L": "L", "R": "R", "AL": "R", "EN": "1", "AN": "A", "ES": ".", "CS": ".", "ET": "%"}
_MIRRORED: Final = str.maketrans("()[]{}<>«»", ")(][}{><»«")


def clean(text: object) -> str:
    """One line of text that XML can hold: without control characters, and with each run of white space as one space."""
    return _SPACES.sub(" ", _FORBIDDEN.sub("", str(text))).strip()


@lru_cache(maxsize=4096)
def _advance(letter: str) -> int:
    """The width of one letter in thousandths of the font size."""
    if letter in _ADVANCES:
        return _ADVANCES[letter]
    if letter < "\u0100" and (base := unicodedata.normalize("NFD", letter)[0]) in _ADVANCES:
        return _ADVANCES[base]  # as wide with an accent as without
    from trainlog.draw.fonts import advance

    if (known := advance(letter)) is not None:
        return known
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Cf", "Mn"):
        return 0
    return 1000 if unicodedata.east_asian_width(letter) in "WF" else 620


def text_width(text: str, size: float) -> float:
    """The width of the text in pixels when its font size is ``size`` pixels."""
    return sum(map(_advance, text)) * size / 1000


def shorten(text: str, size: float, width: float) -> str:
    """The text, or as much of it as fits into ``width`` pixels with an ellipsis; empty if nothing fits."""
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


def visual_order(text: str) -> str:
    """The letters from left to right, as a viewer of an SVG orders them, for back ends that draw letter after letter.

    Words of right-to-left scripts are reversed, and the numbers in them are not. This is UAX 9 for one line whose own
    direction is left to right, without explicit marks. Letters are not joined.
    """
    if text.isascii():
        return text
    clusters: list[str] = []
    for letter in text:
        if clusters and unicodedata.combining(letter):
            clusters[-1] += letter  # an accent stays after its letter
        else:
            clusters.append(letter)
    codes = "".join(_DIRECTIONS.get(unicodedata.bidirectional(cluster[0]), " ") for cluster in clusters)
    if "R" not in codes and "A" not in codes:
        return text
    codes = re.sub(r"(?<=1)\.(?=1)", "1", codes)
    codes = re.sub(r"[1%]+", lambda found: "1" * len(found[0]) if "1" in found[0] else found[0], codes)
    codes = re.sub(r"(?:^|L)[^R]*", lambda found: found[0].replace("1", "L"), codes)
    codes = _with_brackets(clusters, codes)
    codes = re.sub(r"(?<=[R1A])[ .%]+(?=[R1A])", lambda found: "R" * len(found[0]), codes)
    parts: list[str] = []
    for part in re.finditer(r"[R1A]+|[^R1A]+", codes):
        shown = clusters[part.start() : part.end()]
        if part[0][0] in "R1A":
            numbers = re.finditer(r"[1A]+|R", part[0])
            units = ["".join(shown[unit.start() : unit.end()]) for unit in numbers]
            shown = [unit.translate(_MIRRORED) for unit in reversed(units)]
        parts += shown
    return "".join(parts)


def _with_brackets(clusters: list[str], codes: str) -> str:
    """The codes with each bracket in the direction of its pair (rule N0)."""
    resolved = list(codes)
    opened: list[tuple[int, str, str, int, int]] = []
    before, lefts, rights = "L", 0, 0
    for place, (cluster, code) in enumerate(zip(clusters, codes, strict=True)):
        if code in "LR1A":
            before, lefts, rights = code, lefts + (code == "L"), rights + (code != "L")
        elif cluster in ("(", "[", "{"):
            opened.append((place, cluster.translate(_MIRRORED), before, lefts, rights))
        elif opened and cluster == opened[-1][1]:
            first, _, earlier, lefts_before, rights_before = opened.pop()
            if lefts > lefts_before or rights > rights_before:
                is_reversed = lefts == lefts_before and earlier != "L"
                resolved[first] = resolved[place] = "R" if is_reversed else "L"
    return "".join(resolved)


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
