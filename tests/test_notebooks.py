"""How values show themselves in notebooks."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import trainlog
from trainlog.plot import Run, pictures


def test_a_table_shows_its_first_and_last_rows(tmp_path: Path) -> None:
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        for step in range(1, 101):
            log.record_stats_frame(step, {"step": step, "<b>": "a & b", "vector": [0.5] * 20})
        log.record_stats_frame(101, {"step": 101, "late": None})
    tree = ET.fromstring(trainlog.open(tmp_path / "run.flog").table("stats")._repr_html_())
    assert tree.findtext("caption") == "stats: 101 rows × 4 columns"
    head, *rows = tree.findall("tr")
    assert [cell.text for cell in head] == [None, "time", "step", "<b>", "vector", "late"]
    assert len(rows) == 11
    assert rows[5].findtext("td") == "… 91 rows …"
    assert [cell.text for cell in rows[0]] == ["0", "1", "1", "a & b", "array of shape (20,)", None]
    assert [cell.text for cell in rows[-1]] == ["100", "101", "101", None, None, None]


def test_an_empty_table_and_one_of_many_columns(tmp_path: Path) -> None:
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        log.record_stats_frame(0, {f"key{n}": n for n in range(50)})
    reader = trainlog.open(tmp_path / "run.flog")
    assert "0 rows" in reader.table("event")._repr_html_()
    assert "of which 20 are shown" in reader.table("stats")._repr_html_()


def test_a_picture_is_svg(tmp_path: Path) -> None:
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        for step in range(10):
            log.record_stats_frame(step, {"step": step, "reward": step * 2})
    picture = pictures([Run(trainlog.open(tmp_path / "run.flog"))])[0]
    assert ET.fromstring(picture._repr_svg_()).tag.endswith("svg")
