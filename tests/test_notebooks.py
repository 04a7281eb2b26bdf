"""How values show themselves in notebooks."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

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


def test_a_reader_shows_the_run_and_a_summary_its_frames(tmp_path: Path) -> None:
    with trainlog.TrainingRecorder(tmp_path / "run.flog", metadata={"lr": 0.1, "<b>": "a & b"}) as log:
        log.stats({"step": 1, "reward": 0.5})
        log.close("failed", "no <more>")
    reader = trainlog.open(tmp_path / "run.flog")
    tree = ET.fromstring(reader._repr_html_())
    facts = {row.findtext("th"): row.findtext("td") for row in tree.findall("tr")}
    assert tree.findtext("caption") == str(tmp_path / "run.flog")
    assert (facts["lr"], facts["<b>"], facts["failed"]) == ("0.1", "a & b", "no <more>")
    assert "host" in facts
    tree = ET.fromstring(reader.summary()._repr_html_())
    assert [cell.text for cell in tree.findall("tr")[1]][:4] == ["0", "stats", "1", "2"]


def test_a_reader_plots_a_metric(tmp_path: Path) -> None:
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        for step in range(10):
            log.stats({"step": step, "reward": step * 2, "loss": 1 / (step + 1)}, time=step)
    reader = trainlog.open(tmp_path / "run.flog")
    picture = reader.plot("reward")
    assert "reward" in picture.title
    assert "loss" not in picture._repr_svg_()
    assert ET.fromstring(reader.plot()._repr_svg_()).tag.endswith("svg")
    with pytest.raises(trainlog.errors.PlotError, match="nothing"):
        reader.plot("nothing")


def test_runs_and_episodes_show_themselves(tmp_path: Path) -> None:
    for n in range(12):
        with trainlog.TrainingRecorder(tmp_path / f"{n}.flog", metadata={"lr": n}) as log:
            log.event("episode_start", {"index": 1}, time=0)
            log.state({"step": 1, "reward": 1.0}, time=1)
            log.event("episode_end", {"return": 1.0}, time=2)
    runs = trainlog.runs(tmp_path)
    for html in (runs._repr_html_(), runs.config._repr_html_()):
        head, *rows = ET.fromstring(html).findall("tr")
        assert [cell.text for cell in head][1:3] == ["run", "state"]
        assert len(rows) == 11
        assert [cell.text for cell in rows[0]][1:3] == ["0.flog", "finished"]
    (episode,) = trainlog.episodes(tmp_path / "0.flog")
    tree = ET.fromstring(episode._repr_html_())
    assert "Episode" in str(tree.findtext("caption"))
