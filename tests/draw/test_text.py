from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from trainlog.draw import fonts
from trainlog.draw.fonts import _has, arimo, font_runs, load_font
from trainlog.draw.text import clean, shorten, text_width, visual_order, wrap

FONT = load_font(arimo(), 1000.0)
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


@given(st.text(st.characters(max_codepoint=0x24F), max_size=40))
def test_letters_are_as_wide_as_in_the_font(text: str) -> None:
    text = clean(text)
    for letter in text:
        if _has(arimo(), letter) and not unicodedata.combining(letter) and unicodedata.category(letter) != "Cf":
            assert text_width(letter, 1000) == pytest.approx(FONT.getlength(letter), abs=2)


@pytest.mark.parametrize("text", ["Größenmaßstäbe", "Ωμέγα ανταμοιβή", "Награда", "α → ∞, x² ≤ ½ ± 3 µm − √2"])
def test_text_is_in_the_font_as_written(text: str) -> None:
    assert list(font_runs(text)) == [(arimo(), text)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("שלום", "םולש"),
        ("reward שלום עולם", "reward םלוע םולש"),
        ("שלום עולם 123 abc (x)", "123 םלוע םולש abc (x)"),
        ("שלום 1.5% (רע)", "(ער) 1.5% םולש"),
        ("שלום (a)", "םולש (a)"),
        ("(שלום)", "(םולש)"),
        ("שָׁלוֹם", "םוֹלשָׁ"),
        ("α 1.5 Größe", "α 1.5 Größe"),
        ("שלום: 3", "3 :םולש"),
        ("5 שלום", "5 םולש"),
    ],
)
def test_words_of_right_to_left_scripts_are_drawn_from_right_to_left(text: str, shown: str) -> None:
    assert visual_order(text) == shown
    assert "".join(run for _, run in font_runs(text)) == shown


@given(TEXT)
def test_a_text_keeps_its_letters_in_visual_order(text: str) -> None:
    mirrored = str.maketrans("()[]{}<>«»", "x" * 10)
    assert sorted(visual_order(text).translate(mirrored)) == sorted(text.translate(mirrored))


def test_other_letters_are_drawn_in_the_fonts_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_system_fonts", lambda: ())
    fonts._font_of.cache_clear()
    assert list(font_runs("a奖")) == [(arimo(), "a□")]  # for what is missing, and no other letters
    fonts._font_of.cache_clear()


def test_joiners_and_variants_of_emoji_are_no_boxes() -> None:
    assert "".join(run for _, run in font_runs("\u2764\ufe0f a")) == "\u2764 a"
