"""report.html: the report as one file that needs no network."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from trainlog.draw import Band, Chart, Grid, layout, svg
from trainlog.draw.theme import Theme, find_theme
from trainlog.plot import Picture
from trainlog.report.content import Content
from trainlog.report.tables import (
    Row,
    baseline_sentence,
    failure_rows,
    gate_rows,
    log_rows,
    metric_rows,
    metric_titles,
    outcome_word,
    result_rows,
    result_titles,
    results_note,
)

__all__ = ["html", "xml_text"]

_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STYLE: Final = """
:root { color-scheme: light dark; %(colors)s }
@media (prefers-color-scheme: %(other)s) {
:root { %(other_colors)s }
%(other_figures)s
}
body { margin: 0 auto; padding: 1.5rem; max-width: 90rem; background: var(--background); color: var(--text);
  font: 1rem/1.5 system-ui, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; font-size: .9rem; }
.wide { overflow-x: auto; }
th, td { padding: .25rem .75rem; text-align: left; border-bottom: 1px solid var(--grid); vertical-align: top; }
th { color: var(--muted); font-weight: normal; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .95em; }
.passed { color: var(--good); } .failed { color: var(--bad); }
.undecided { font-weight: 600; }
.word { font-weight: 600; padding: .1rem .6rem; border: 1px solid currentColor; border-radius: 1rem; font-size: .9rem; }
figure { margin: 1rem 0; }
figure svg { max-width: 100%%; height: auto; display: block; }
figcaption, .muted { color: var(--muted); font-size: .85rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(32rem, 100%%), 1fr)); gap: 0 1rem; }
details { margin: 1rem 0; } summary { cursor: pointer; font-size: 1.05rem; }
"""
_COLORS: Final = {"light": ("#00794d", "#b3261e"), "dark": ("#2fc79a", "#ff8a7a")}
_SHARE: Final = 2 / 3
_BEHAVIOR: Final = ("trajectory", "states")  # names of figures
_MAX_OPEN: Final = 8  # single figures that are not collapsed


def html(content: Content) -> str:
    """Render the page as HTML that is well-formed XML too."""
    other = "light" if content.theme == "dark" else "dark"
    style = _STYLE % {
        "colors": _colors(content.theme),
        "other": other,
        "other_colors": _colors(other),
        "other_figures": _recolor(find_theme(content.theme), find_theme(other)),
    }
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en" xmlns="http://www.w3.org/1999/xhtml">',
        '<head><meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>',
        f"<title>{xml_text(content.title)}</title><style>{style}</style></head>",
        "<body>",
        f"<h1>{xml_text(content.title)}</h1>",
        *_gates(content),
        *_figures(content),
        *_numbers(content),
        "</body>",
        "</html>",
        "",
    ]
    return "\n".join(lines)


def _colors(theme: str) -> str:
    """The colours of the page as CSS variables."""
    own = find_theme(theme)
    colors = {name: getattr(own, name) for name in ("background", "text", "muted", "grid")}
    colors |= dict(zip(("good", "bad"), _COLORS[theme], strict=True))
    return " ".join(f"--{name}: {color};" for name, color in colors.items())


def _recolor(drawn: Theme, wanted: Theme) -> str:
    """Rules that give figures the colours of another theme: CSS overrides the attributes of SVG."""
    names = ("background", "text", "muted", "grid", "axis", "missing")
    pairs = [(getattr(drawn, name), getattr(wanted, name)) for name in names]
    pairs += list(zip(drawn.palette, wanted.palette, strict=True))
    return "\n".join(
        f'figure svg [{attribute}="{old}"] {{ {attribute}: {new}; }}'
        for old, new in dict(pairs).items()
        for attribute in ("fill", "stroke")
    )


def xml_text(text: str) -> str:
    """Escape *text* for XML, and replace characters that XML does not have."""
    return escape(_NOT_XML.sub("�", text), quote=True)


def _gates(content: Content) -> Iterator[str]:
    if not content.gated:
        return
    word = outcome_word(content)
    yield f'<p><span class="word {word}">{word}</span></p>'
    failures = list(failure_rows(content))
    if failures:
        yield from _table(("log", "verdict", "reason"), failures)
    shown, passed = gate_rows(content)
    yield from _gate_table(shown)
    if passed:
        yield f'<details><summary class="passed">{len(passed):,} passed</summary>'
        yield from _gate_table(passed)
        yield "</details>"
    if (one := content.comparison) is not None:
        outcome = "failed" if not one.passed else "undecided" if one.outcome == "unclear" else "passed"
        score, said = xml_text(one.score), xml_text(baseline_sentence(one))
        yield f'<p><span class="{outcome}">Baseline</span>, <code>{score}</code>: {said}</p>'


def _gate_table(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    yield '<div class="wide"><table>'
    yield "<thead><tr><th></th><th>gate</th><th>log</th><th>measured</th></tr></thead><tbody>"
    for row in rows:
        outcome = "passed" if row.passed else "failed"
        gate, log, measured = map(xml_text, row.cells)
        yield (
            f'<tr><td class="{outcome}">{outcome}</td><td><code>{gate}</code></td>'
            f"<td>{log}</td><td>{measured}</td></tr>"
        )
    yield "</tbody></table></div>"


def _figures(content: Content) -> Iterator[str]:
    """The sheet and the most important figures; the others are collapsed, by group."""
    loose = [picture for picture in content.pictures if not picture.group]
    sheets = [picture for picture in loose if not picture.blocks]
    behavior = [picture for picture in loose if picture.name in _BEHAVIOR]
    metrics = [picture for picture in loose if picture.blocks and picture.name not in _BEHAVIOR]
    count = _MAX_OPEN - len(behavior)
    for picture in sheets:
        yield _figure(picture, content)
    yield '<div class="pair">'
    yield from (_figure(picture, content) for picture in (*metrics[:count], *behavior))
    yield "</div>"
    yield from _folded("more metrics", metrics[count:], content)
    for group in dict.fromkeys(picture.group for picture in content.pictures if picture.group):
        members = [picture for picture in content.pictures if picture.group == group and picture.blocks]
        yield from _folded(group, members, content)


def _folded(title: str, members: Sequence[Picture], content: Content) -> Iterator[str]:
    if members:
        count = f'<span class="muted">{len(members)}</span>'
        yield f'<details><summary>{xml_text(title)} {count}</summary><div class="pair">'
        yield from (_figure(picture, content) for picture in members)
        yield "</div></details>"


def _figure(picture: Picture, content: Content) -> str:
    # Two figures share the width of the page, so they are laid out smaller to keep their text readable.
    share = 1.0 if not picture.blocks else _SHARE
    figure, texts = picture.figure, [picture.title]
    if picture.blocks and isinstance(figure, Chart | Grid):
        # Below the figure there is room for text that its legend and its caption would cut.
        marks = figure.marks if isinstance(figure, Chart) else ()
        bands = [mark.label for mark in marks if isinstance(mark, Band) and mark.label]
        texts += [f"band: {label}" for label in dict.fromkeys(bands)]
        texts += [figure.caption] if figure.caption else []
        figure = dataclasses.replace(figure, caption="")
    across, down = picture.size(max(round(content.width * share), 120), max(round(content.height * share), 80))
    drawing = svg(layout(figure, width=across, height=down, theme=content.theme, whole=True))
    caption = f"<figcaption>{xml_text('; '.join(texts))}</figcaption>" if picture.blocks else ""
    return f"<figure>{drawing}{caption}</figure>"


def _numbers(content: Content) -> Iterator[str]:
    if results := list(result_rows(content)):
        yield "<h2>Results</h2>"
        yield f'<p class="muted">{xml_text(results_note(content))}</p>'
        yield from _table(result_titles(content), results)
    yield "<h2>Metrics</h2>"
    yield from _table(metric_titles(content), metric_rows(content), code=True)
    yield "<h2>Logs</h2>"
    yield from _table(("log", "verdict", "frames", "duration", ""), log_rows(content))


def _table(titles: Sequence[str], rows: Iterable[Row], code: bool = False) -> Iterator[str]:
    """Render a table; with *code*, the first column is code, and the third and later columns are numbers."""
    head = "".join(f"<th>{xml_text(title)}</th>" for title in titles)
    yield f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>'
    for row in rows:
        cells = [f"<td>{xml_text(cell)}</td>" for cell in row.cells]
        if code:
            cells[0] = f"<td><code>{xml_text(row.cells[0])}</code></td>"
            cells[2:] = [f'<td class="number">{xml_text(cell)}</td>' for cell in row.cells[2:]]
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"
