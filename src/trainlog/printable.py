"""Makes text from a log, which is untrusted, safe for a terminal or for Markdown; and times and counts readable."""

from __future__ import annotations

import math
import re
from typing import Final

__all__ = ["UNPRINTABLE", "counted", "human_time", "markdown_code", "markdown_text", "printable"]

UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, which terminals interpret
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\U000e0000-\U000e007f"  # reorder or hide letters
    "\ud800-\udfff]"  # surrogates, which UTF-8 cannot encode
)
_MARKDOWN: Final = re.compile(r"([\\`*_\[\]<>|#~&])")
# Words that become links, mentions, issues or formulas, even if they are escaped.
_REFERENCE: Final = re.compile(r"://|www\.|[@$]|#\d", re.IGNORECASE)


def printable(text: str) -> str:
    r"""*text* on one line, with escapes such as ``\x1b`` for characters that a terminal interprets, or cannot show.

    These are control characters, characters that change the direction of writing, and lone surrogates.
    """
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def markdown_text(text: str) -> str:
    """*text* on one line of Markdown, verbatim; a word that would be a link or a mention becomes code."""
    return " ".join(
        markdown_code(word) if _REFERENCE.search(word) else _MARKDOWN.sub(r"\\\1", printable(word))
        for word in text.split()
    )


def markdown_code(text: str) -> str:
    """*text* as code in one cell of a table; a bar, which would end the cell, is escaped."""
    plain = printable(" ".join(text.split())).replace("|", "\\|")
    if "`" not in plain:
        return f"`{plain}`"
    fence = "`" * (max(map(len, re.findall("`+", plain))) + 1)
    return f"{fence} {plain} {fence}"


def counted(count: int, noun: str) -> str:
    """``1 log``, ``2,000 logs``."""
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def human_time(seconds: float, decimals: int = 2) -> str:
    """A number of seconds with this many *decimals*, or with minutes and hours above 100 s."""
    if not math.isfinite(seconds) or abs(seconds) < 100:
        return f"{seconds:.{decimals}f} s"
    sign = "-" if seconds < 0 else ""
    minutes, seconds = divmod(round(abs(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours} h {minutes:02} min" if hours else f"{sign}{minutes} min {seconds:02} s"
