"""Pictures as formats that can only be written."""

from __future__ import annotations

import io
import os
import signal
import warnings
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

import trainlog
from made_logs import training, write_log
from trainlog import Frame, Kind
from trainlog.draw import Chart, Grid, Line, fonts
from trainlog.errors import ClosedLog, CodecError, LogExists, LogWriteError, PlotError, TrainlogWarning
from trainlog.plot import Picture, Run, Style, paged, pictures, runs_of, save_picture, save_pictures


def test_a_sheet_of_the_smallest_figures(tmp_path: Path) -> None:
    charts = [Chart(title=name, marks=[Line(range(9), range(9))]) for name in "ab"]
    sheet = Picture("sheet", "sheet", Grid(charts, columns=2), columns=2, rows=1)
    (path,) = save_picture(sheet, tmp_path, formats=["svg"], width=120, height=80)
    assert path.stat().st_size


def test_convert_to_a_sheet(tmp_path: Path) -> None:
    reader = training(tmp_path / "run.flog")
    trainlog.convert(reader, tmp_path / "run.svg")
    text = (tmp_path / "run.svg").read_text()
    ElementTree.fromstring(text)
    assert ">reward<" in text
    sheet = pictures([Run(reader)])[0]
    (same,) = save_picture(sheet, tmp_path / "same", formats=["svg"])
    assert same.read_text() == text
    trainlog.convert(reader, tmp_path / "run.png")
    with Image.open(tmp_path / "run.png") as image:
        assert image.size == tuple(2 * side for side in sheet.size(960, 540))


def test_convert_to_a_growing_curve_on_axes_that_stand_still(tmp_path: Path) -> None:
    trainlog.convert(training(tmp_path / "run.flog"), tmp_path / "run.gif")
    frames = []
    with Image.open(tmp_path / "run.gif") as film:
        assert film.size == (960, 540)
        for n in range(film.n_frames):
            film.seek(n)
            frames.append(film.convert("RGB"))
    assert len(frames) == 60
    axis = (0, 490, 960, 540)
    assert len({frame.crop(axis).tobytes() for frame in frames}) == 1
    assert len({frame.tobytes() for frame in frames}) == 60

    def colored(frame: Image.Image) -> int:
        pixels = frame.crop((0, 60, 960, 430)).tobytes()
        return sum(pixels[n] + 60 < pixels[n + 2] for n in range(0, len(pixels), 3))

    blue = [colored(frame) for frame in (frames[10], frames[30], frames[59])]
    assert 0 < blue[0] < blue[1] < blue[2]


def test_a_picture_is_there_when_its_writer_is_closed_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "live.svg"
    with trainlog.create(path, {"creature": "ant"}) as writer:
        for n in range(5):
            writer.write(Frame(n, Kind.STATS, {"step": n, "reward": n} if n % 2 else {"step": n, "loss": -n}))
        assert not path.exists()
    assert "NaN" not in path.read_text()  # a key that a frame lacks is no NaN
    with pytest.raises(ClosedLog):
        writer.write(Frame(9, Kind.STATS, {}))
    with pytest.raises(LogExists):
        trainlog.create(path)
    with pytest.raises(CodecError, match="can only be written"):
        trainlog.open(path)


def test_nothing_to_draw_leaves_no_file(tmp_path: Path) -> None:
    reader = write_log(tmp_path / "empty.flog", [])
    for suffix in ("svg", "png", "gif"):
        with pytest.raises(PlotError, match="nothing to draw"):
            trainlog.convert(reader, tmp_path / f"empty.{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == ["empty.flog"]


def test_saved_figures_are_the_formats_that_were_asked_for(tmp_path: Path) -> None:
    picture = pictures([Run(training(tmp_path / "run.flog"))])[1]
    written = save_picture(picture, tmp_path / "out", width=400, height=300, theme="dark", scale=1)
    assert [path.name for path in written] == ["reward.svg", "reward.png"]
    with Image.open(io.BytesIO(written[1].read_bytes())) as image:
        assert image.size == (400, 300)
        assert image.getpixel((1, 1)) == (0x14, 0x18, 0x1D)


def many(path: Path) -> list[Picture]:
    rows = [{"step": n, **{f"key{k}": float(n * k) for k in range(1, 31)}} for n in range(5)]
    return pictures([Run(write_log(path / "run.flog", rows))])


def test_many_figures_are_the_same_as_one_by_one_and_in_order(tmp_path: Path) -> None:
    found = many(tmp_path)
    written = list(save_pictures(found, tmp_path / "shared", style=Style(240, 160)))
    assert [paths[0].stem for paths in written] == [Path(picture.name).name for picture in found]
    for picture, paths in zip(found, written, strict=True):
        alone = save_picture(picture, tmp_path / "alone", width=240, height=160)
        assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in alone]


def test_what_fails_in_another_process_is_said_here(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(LogWriteError, match="cannot write") as failed:
        list(save_pictures(many(tmp_path), tmp_path / "file", formats=["svg"], style=Style(240, 160)))
    assert failed.value.path is not None


def test_figures_of_a_process_that_was_killed_are_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.getpid()

    def kill(*_: object) -> None:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr("trainlog.plot.save.signal.signal", kill)
    found = many(tmp_path)
    written = list(save_pictures(found, tmp_path / "out", formats=["svg"], style=Style(240, 160)))
    assert all(path.exists() for paths in written for path in paths)
    assert len(written) == len(found)


@pytest.mark.parametrize("count", [1, 20])
def test_letters_that_no_font_has_are_boxes_and_a_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fonts, "_system_fonts", lambda: ())
    fonts._font_of.cache_clear()
    rows = [{f"奖{key}": n * key, "🚀": n, "step": n} for n in range(5) for key in range(1, count + 1)]
    run = Run(write_log(tmp_path / "run.flog", rows))
    found = pictures([run])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        list(save_pictures(found, tmp_path, formats=["png", "pdf"]))
    fonts._font_of.cache_clear()
    told = {str(one.message) for one in caught}
    assert len(told) == 2
    assert any("Chinese, Japanese and Korean letters" in text and "NotoSansCJK-Regular.ttc" in text for text in told)
    assert any("emoji" in text and "NotoColorEmoji.ttf" in text for text in told)
    assert {one.category for one in caught} == {TrainlogWarning}
    assert capfd.readouterr() == ("", "")  # nor does the library of PDFs tell of it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_picture(found[0], tmp_path, formats=["svg"])  # its viewer may have the font


def _wide(folder: Path, count: int) -> list[Run]:
    keys = ("reward", "length", "speed", "overview-2", "loss/policy", "loss/value", "loss/kl")
    rows = [{"step": 1000 * n, **{key: (n % 7) * (k + 1.5) for k, key in enumerate(keys)}} for n in range(30)]
    return runs_of([write_log(folder / f"run-{number}.flog", rows) for number in range(count)])


@pytest.mark.parametrize("count", [1, 20, 30])
def test_a_sheet_fits_on_slides(count: int, tmp_path: Path) -> None:
    """It is as many files as it takes; no figure is lost, and no file takes the place of another."""
    made = pictures(_wide(tmp_path, count))
    sheets = {picture.name: picture.figure for picture in made if isinstance(picture.figure, Grid)}
    assert len(sheets["overview"].figures) == 7
    style = Style.of(preset="slide", dpi=96)
    written = [path for paths in save_pictures(made, tmp_path / "out", formats=["png"], style=style) for path in paths]
    assert len(set(written)) == len(written)
    for path in written:
        with Image.open(path) as image:
            assert image.size == (960, 540), path.name
    pages = [page for page in paged(made, style) if isinstance(page.figure, Grid)]
    for name, sheet in sheets.items():
        own = [page.figure for page in pages if page.name.startswith(name)]
        assert [figure for page in own if isinstance(page, Grid) for figure in page.figures] == [*sheet.figures]
    assert "(2 of 4)" in str(pages[1].figure.title)  # type: ignore[union-attr]
    assert paged(made, Style()) == made


def test_a_sheet_that_fits_on_a_slide_is_one_file(tmp_path: Path) -> None:
    made = pictures(runs_of([write_log(tmp_path / "a.flog", [{"reward": n, "loss": -n} for n in range(9)])]))
    found = paged(made, Style.of(preset="slide"))
    assert [page.name for page in found] == ["overview", "reward", "loss"]
    assert found[0].size(960, 540) == (960, 540)
    assert "of" not in found[0].figure.title.split()
