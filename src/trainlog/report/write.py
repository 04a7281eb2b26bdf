"""The files of a report; they are reproducible byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainlog.plot import Format, Picture, save_picture
from trainlog.report.content import Content
from trainlog.report.html import html
from trainlog.report.junit import junit
from trainlog.report.markdown import markdown
from trainlog.report.results import csv_table, csv_text, latex_table
from trainlog.report.tables import results_note
from trainlog.storage.replace import atomic_write
from trainlog.strictjson import strict_json

__all__ = ["as_json", "csv_of", "write_report"]


def write_report(
    content: Content, folder: Path, *, formats: Sequence[Format] = ("svg",), images: str | None = None
) -> list[Path]:
    """Write the report in all its forms, the table of results and the figures; see docs/ci.md for the files.

    Args:
        content: the content of the report.
        folder: the folder for the files; it is created.
        formats: the formats of the figures.
        images: see `trainlog.report.markdown.markdown`.

    Returns:
        The paths of the files.

    Raises:
        LogWriteError: when a file cannot be written.

    """
    figures: dict[str, list[str]] = {}
    written: list[Path] = []
    for picture in content.pictures:
        saved = save_picture(
            picture,
            folder / "figures",
            formats=formats,
            width=content.width,
            height=content.height,
            theme=content.theme,
        )
        if picture.blocks:
            path = folder / "figures" / f"{picture.name}.csv"
            with atomic_write(path) as file:
                for part in csv_of(picture):
                    file.write(part)
            saved.append(path)
        figures[picture.name] = [path.relative_to(folder).as_posix() for path in saved]
        written += saved
    files = [file for names in figures.values() for file in names]
    caption = f"{content.title}. {results_note(content)}."
    texts = {
        "results.csv": csv_table(content.groups),
        "results.tex": latex_table(content.groups, caption),
        "report.md": markdown(content, files, images),
        "report.html": html(content),
        "summary.json": f"{strict_json(as_json(content, figures), indent=2)}\n",
        "junit.xml": junit(content),
    }
    for name, text in texts.items():
        with atomic_write(folder / name) as file:
            file.write(text.encode("utf-8", "replace"))
    return [*(folder / name for name in texts), *written]


def csv_of(picture: Picture) -> Iterator[bytes]:
    """Yield the numbers of *picture* as CSV in UTF-8: the curve, its x values, its y values.

    Columns that a curve does not have are empty; NaN is written as ``nan``.
    """
    columns = dict.fromkeys(name for block in picture.blocks for name in block.columns)
    yield csv_text([["curve", *columns]]).encode("utf-8", "replace")
    for block in picture.blocks:
        count = len(next(iter(block.columns.values())))
        empty = np.full(count, "", object)
        cells = [_cells(block.columns.get(name, empty)) for name in columns]
        yield csv_text(zip([block.label] * count, *cells, strict=True)).encode("utf-8", "replace")


def _cells(column: npt.NDArray[Any]) -> list[Any]:
    return ["" if value is None else value for value in np.asarray(column).tolist()]


def as_json(content: Content, figures: dict[str, list[str]]) -> dict[str, Any]:
    """The content of summary.json, see docs/ci.md; *figures* are the files of each figure, by its name."""
    one = content.comparison
    return {
        "title": content.title,
        "passed": content.passed,
        "gates": [
            {
                "gate": result.gate,
                "log": result.log,
                "passed": result.passed,
                "measured": [{"what": what, "value": value} for what, value in result.measured],
                "error": result.error or None,
            }
            for result in content.results
        ],
        "baseline": None
        if one is None
        else {
            "score": one.score,
            "center": one.center,
            "tolerance": one.tolerance,
            "allowed": one.allowed,
            "now": one.new,
            "before": one.old,
            "difference": one.difference,
            "interval": [one.low, one.high],
            "percent": {
                "difference": one.percent(one.difference),
                "interval": [one.percent(one.low), one.percent(one.high)],
            },
            "seeds": {"matched": one.matched, "paired": one.paired},
            "tasks": one.tasks,
            "fail_on": one.fail_on,
            "outcome": one.outcome,
            "passed": one.passed,
            "scores": {
                side: {score.log: score.value for score in scores}
                for side, scores in (("now", one.new_scores), ("before", one.old_scores))
            },
            "left_out": {
                side: {score.log: score.error for score in scores}
                for side, scores in zip(("now", "before"), one.left_out, strict=True)
            },
        },
        "checks": [asdict(check) for check in content.checks],
        "failures": [asdict(failure) for failure in content.failures],
        "results": [asdict(result) for result in content.groups],
        "logs": [log.as_json() for log in content.logs],
        "figures": [
            {"name": picture.name, "title": picture.title, "group": picture.group, "files": figures[picture.name]}
            for picture in content.pictures
        ],
    }
