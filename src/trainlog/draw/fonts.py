"""The fonts of pictures: Arimo, and system fonts for letters that Arimo lacks.

Arimo has the metrics of Arial, Helvetica and Liberation Sans, one of which nearly every SVG viewer has. It comes from
the package ``fontpkg-arimo``, so that text in Latin, Greek, Cyrillic or Hebrew letters has the same pixels on every
machine. For other letters, such as Chinese and emoji, the first font of `_SYSTEM_FONTS` in the folders of
`font_folders` that has the letter is used.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trainlog.draw.text import visual_order

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

__all__ = [
    "EMOJI_SIZE",
    "advance",
    "arimo",
    "font_folders",
    "font_runs",
    "is_emoji_font",
    "load_font",
    "missing_kinds",
    "outline",
]

EMOJI_SIZE: Final = 109
"""The only size, in pixels, of the bitmaps in Noto Color Emoji."""

# Files of common fonts, the best first: letters that an earlier font has are drawn better in it than in later ones.
_SYSTEM_FONTS: Final = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansMath-Regular.ttf", "NotoSansSymbols2-Regular.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansSC-Regular.otf", "SourceHanSansSC-Regular.otf"),
    *("PingFang.ttc", "Hiragino Sans GB.ttc", "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf"),
    *("NotoColorEmoji.ttf", "Apple Color Emoji.ttc", "NotoEmoji-Regular.ttf", "Symbola.ttf", "Arial Unicode.ttf"),
    *("NotoSansArabic-Regular.ttf", "NotoSansDevanagari-Regular.ttf", "NotoSansThai-Regular.ttf", "unifont.otf"),
)
_BITMAP_FONTS: Final = ("NotoColorEmoji.ttf", "Apple Color Emoji.ttc")
_BOX: Final = "\u25a1"  # for a letter that no font has
_JOINED: Final = frozenset("\u200d\ufe0f\ufe0e")  # they belong to the previous letter


@cache
def arimo() -> Path:
    """The file of Arimo Regular."""
    import fontpkg_arimo

    return Path(fontpkg_arimo.ROOT, "files", "Arimo[wght].ttf")


def font_folders() -> tuple[Path, ...]:
    """The folders that are searched for system fonts, in this order."""
    home = Path.home()
    data = os.environ.get("XDG_DATA_HOME") or home / ".local/share"
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    linux = [Path(folder, "fonts") for folder in (data, *shared.split(":"))]
    return (*linux, home / ".fonts", home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts"))


@cache
def _system_fonts() -> tuple[Path, ...]:
    found: dict[str, Path] = {}
    for folder in font_folders():
        for place, _, names in os.walk(folder):
            for name in names:
                if name in _SYSTEM_FONTS:
                    found.setdefault(name, Path(place, name))
    return tuple(found[name] for name in _SYSTEM_FONTS if name in found)


def is_emoji_font(path: Path) -> bool:
    """Whether a font holds coloured bitmaps of `EMOJI_SIZE`."""
    return path.name in _BITMAP_FONTS


@lru_cache(maxsize=64)
def load_font(path: Path, size: float) -> FreeTypeFont:
    """A font at a size in pixels; a font of bitmaps at its own size."""
    from PIL import ImageFont

    size = EMOJI_SIZE if is_emoji_font(path) else size
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=65536)
def _has(path: Path, letter: str) -> bool:
    """Whether a font has a letter: whether its glyph differs from the one for missing letters."""
    return _glyph(path, letter) != _missing(path)


@cache
def _missing(path: Path) -> tuple[tuple[int, int], bytes]:
    return _glyph(path, "\uffff")


def _glyph(path: Path, letter: str) -> tuple[tuple[int, int], bytes]:
    """The size and the pixels of a letter."""
    glyph, _ = load_font(path, 24.0).getmask2(letter, mode="L")
    return glyph.size, bytes(glyph)


@lru_cache(maxsize=4096)
def _font_of(letter: str) -> Path | None:
    """The first font that has a letter; None if none has it."""
    if letter.isascii() or _has(arimo(), letter):
        return arimo()
    return next((path for path in _system_fonts() if _has(path, letter)), None)


def missing_kinds(text: str) -> Iterator[tuple[str, str]]:
    """The kinds of letters that no font has, such as emoji, and a file that has them and would be found."""
    for letter in "" if text.isascii() else text:
        if letter in _JOINED or _font_of(letter) is not None:
            continue
        script = unicodedata.name(letter, "rare").partition(" ")[0].capitalize()
        if script in ("Cjk", "Hiragana", "Katakana", "Hangul"):
            yield "Chinese, Japanese and Korean letters", "NotoSansCJK-Regular.ttc"
        elif unicodedata.category(letter) == "So":
            yield "emoji", "NotoColorEmoji.ttf"
        else:
            file = f"NotoSans{script}-Regular.ttf"
            yield f"{script} letters", file if file in _SYSTEM_FONTS else "unifont.otf"


def font_runs(text: str) -> Iterator[tuple[Path, str]]:
    """The parts of a text from left to right with the font that draws each; letters that no font has are boxes."""
    if text.isascii():
        yield arimo(), text
        return
    # Without a text shaper, joiners and variation selectors of emoji would be drawn as boxes.
    letters = (letter for letter in visual_order(text) if letter not in _JOINED)
    drawn = ((font, letter) if (font := _font_of(letter)) else (arimo(), _BOX) for letter in letters)
    for font, pairs in groupby(drawn, key=itemgetter(0)):
        yield font, "".join(letter for _, letter in pairs)


def advance(letter: str) -> int | None:
    """The width of a letter in thousandths of the font size; None if Arimo lacks it."""
    return round(load_font(arimo(), 1000.0).getlength(letter)) if _has(arimo(), letter) else None


@lru_cache(maxsize=8)
def _glyphs(path: Path) -> Any:
    """The characters, glyphs and units of a font."""
    from fontTools.ttLib import TTFont

    font = TTFont(path, fontNumber=0, lazy=True)
    return font.getBestCmap(), font.getGlyphSet(), font["head"].unitsPerEm


@lru_cache(maxsize=4096)
def outline(path: Path, text: str) -> tuple[str, float]:
    """The shape of a text for an SVG, with y upwards, and its width, both in thousandths of the font size.

    Raises:
        ModuleNotFoundError: when fontTools, of the extra ``paper``, is not installed.

    """
    from fontTools.pens.svgPathPen import SVGPathPen
    from fontTools.pens.transformPen import TransformPen

    if is_emoji_font(path):
        return "", 0.0
    names, glyphs, units = _glyphs(path)
    pen = SVGPathPen(glyphs, ntos=lambda value: f"{value:.4g}")
    place, scale = 0.0, 1000 / units
    for letter in text:
        glyph = glyphs[names.get(ord(letter), ".notdef")]
        glyph.draw(TransformPen(pen, (scale, 0, 0, scale, place, 0)))
        place += glyph.width * scale
    return pen.getCommands(), place
