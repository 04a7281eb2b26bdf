from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from PIL import ImageFont

from trainlog.draw.text import MISSING_GLYPH, clean, shorten, text_width, transliterate, wrap

FONT = ImageFont.load_default(100)
TEXT = st.text(st.characters(codec=None), max_size=60)


@given(TEXT)
def test_clean_text_can_stand_in_xml(text: str) -> None:
    element = etree.Element("a")
    element.text = clean(text)  # lxml refuses what XML forbids
    assert "\n" not in clean(text)


@given(TEXT, st.floats(0, 500))
def test_a_shortened_text_fits(text: str, width: float) -> None:
    short = shorten(clean(text), 12, width)
    assert text_width(short, 12) <= width or short == ""
    assert short in ("", clean(text)) or short.endswith("…")


@given(TEXT, st.floats(30, 500), st.integers(1, 4))
def test_wrapped_lines_fit_and_are_few(text: str, width: float, most: int) -> None:
    lines = wrap(clean(text), 12, width, most)
    assert len(lines) <= most
    assert all(text_width(line, 12) <= width for line in lines)


@given(st.text(max_size=40))
def test_the_font_has_every_letter_that_is_spelt(text: str) -> None:
    assert isinstance(FONT, ImageFont.FreeTypeFont)
    absent = bytes(FONT.getmask("\uffff"))
    for letter in set(transliterate(clean(text))) - {MISSING_GLYPH, "−", "–", " "}:
        assert bytes(FONT.getmask(letter)) != absent


def test_the_letters_of_the_png_are_no_wider_than_their_room() -> None:
    assert isinstance(FONT, ImageFont.FreeTypeFont)
    for letter in map(chr, range(32, 127)):
        assert FONT.getlength(letter) <= text_width(letter, 100) + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("café", "cafe"),
        ("α = 0.1", "alpha = 0.1"),
        ("µm, m²", "um, m^2"),
        ("日", MISSING_GLYPH),
        ("−5 … 3 °", "−5 … 3 °"),
        ("Straße → Øst", "Strasse -> Ost"),
    ],
)
def test_other_letters_are_spelt_or_boxed(text: str, expected: str) -> None:
    assert transliterate(text) == expected
    assert text_width(text, 10) >= 0.9 * text_width(expected, 10)
