"""report.md: for a comment on a pull request, or the summary of a CI step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from trainlog.printable import counted, markdown_code, markdown_text
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

__all__ = ["markdown"]

_MAX_LENGTH: Final = 60_000  # characters; GitHub accepts 65,536 in a comment
_MAX_TITLE: Final = 200
_MAX_METRICS: Final = 25
_MAX_ROWS: Final = 100
_SIGNS: Final = {True: "✅", False: "❌", None: ""}
_MAX_PICTURES: Final = 4


def markdown(content: Content, files: Sequence[str], images: str | None = None) -> str:
    """Render the report as GitHub-flavoured Markdown.

    Args:
        content: the content of the report.
        files: paths of the figures, relative to the folder of the report.
        images: the address of the published folder, to show the most important figures; a comment cannot contain
            pictures itself.

    """
    parts = [f"## {markdown_text(_shortened(content.title))}: {outcome_word(content) if content.gated else 'report'}"]
    failures = [(_SIGNS[False], *map(markdown_text, row.cells)) for row in failure_rows(content)]
    parts.append(_table(("", "log", "verdict", "reason"), failures))
    shown_gates, passed = gate_rows(content)
    parts.append(_gates(shown_gates))
    if passed:
        parts.append(_folded(f"{_SIGNS[True]} {len(passed):,} passed", _gates(passed)))
    if content.comparison is not None:
        one = content.comparison
        sign = _SIGNS[one.passed] if one.outcome != "unclear" else "❔"
        parts.append(f"{sign} **Baseline**, {markdown_code(one.score)}: {markdown_text(baseline_sentence(one))}")
    if images is not None:
        shown = [file for file in files if file.endswith(".png")] or [file for file in files if file.endswith(".svg")]
        parts += [f"![{file}]({images.rstrip('/')}/{file})" for file in shown[:_MAX_PICTURES]]
    results = [(markdown_code(row.cells[0]), *map(markdown_text, row.cells[1:])) for row in result_rows(content)]
    if results:
        parts.append(markdown_text(results_note(content)))
        parts.append(_table(tuple(map(markdown_text, result_titles(content))), results[:_MAX_METRICS]))
    metrics = [(markdown_code(row.cells[0]), *row.cells[1:]) for row in metric_rows(content)]
    left = len(metrics) - _MAX_METRICS
    parts.append(_table(metric_titles(content), metrics[:_MAX_METRICS]))
    if left > 0:
        parts.append(f"{left} more metrics are in summary.json and report.html.")
    logs = [tuple(map(markdown_text, row.cells)) for row in log_rows(content)]
    parts.append(
        _folded(
            counted(len(content.logs), "log"),
            _table(("log", "verdict", "frames", "duration", ""), logs),
        )
    )
    text = "\n\n".join(part for part in parts if part) + "\n"
    if len(text) <= _MAX_LENGTH:
        return text
    cut = text[: text.rindex("\n", 0, _MAX_LENGTH)]
    still_open = cut.count("<details>") - cut.count("</details>")
    return cut + "\n\n</details>" * still_open + "\n\nThe rest is in report.html.\n"


def _gates(rows: Iterable[Row]) -> str:
    cells = [(_SIGNS[row.passed], markdown_code(row.cells[0]), *map(markdown_text, row.cells[1:])) for row in rows]
    return _table(("", "gate", "log", "measured"), cells)


def _shortened(title: str) -> str:
    return title if len(title) <= _MAX_TITLE else f"{title[:_MAX_TITLE]}…"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [_line(titles), _line(["---"] * len(titles)), *map(_line, rows[:_MAX_ROWS])]
    if len(rows) > _MAX_ROWS:
        lines += ["", f"{len(rows) - _MAX_ROWS:,} more rows are in report.html."]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
