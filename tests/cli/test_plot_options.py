"""``trainlog plot`` for papers, as a person types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from made_logs import training
from trainlog.cli.plot import command


def plot(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(command, list(map(str, arguments)))
    return result.exit_code, result.output


def test_a_figure_for_a_column(tmp_path: Path) -> None:
    training(tmp_path / "run.flog")
    code, output = plot(
        tmp_path / "run.flog", "-y", "reward", "-o", tmp_path, "--preset", "column", "--format", "svg,png,pdf"
    )
    assert code == 0, output
    text = (tmp_path / "reward.svg").read_text()
    assert 'width="312" height="230"' in text  # 3.25 inches of 96 pixels
    assert 'font-size="10.67"' in text  # 8 points
    with Image.open(tmp_path / "reward.png") as image:
        assert image.width == 975
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    data = (tmp_path / "reward.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert b"/FontFile2" in data
    assert b"/MediaBox [0 0 234.00 172.50]" in data


def test_a_figure_is_higher_where_its_texts_need_it(tmp_path: Path) -> None:
    for task in ("run", "walk"):
        for seed in range(3):
            training(tmp_path / f"{task}{seed}.flog", seed, meta={"task": task, "algo": "sac"})
    code, output = plot(
        tmp_path, "-y", "reward", "--by", "algo", "-o", tmp_path, "--preset", "column", "--format", "svg"
    )
    assert code == 0, output
    text = (tmp_path / "reward.svg").read_text()
    assert 'width="312"' in text
    for words in (">reward<", ">ant: run<", ">step<", "95 % interval of the mean", "centred mean of 11"):
        assert words in text


def test_a_folder_that_is_named_like_a_picture_is_a_mistake(tmp_path: Path) -> None:
    training(tmp_path / "run.flog")
    code, output = plot(tmp_path / "run.flog", "-o", tmp_path / "reward.PNG")
    assert (code, (tmp_path / "reward.PNG").exists()) == (2, False)
    assert "'reward.PNG' is named like a file, but the output is a folder" in output
    (tmp_path / "reward.PNG").mkdir()
    assert plot(tmp_path / "run.flog", "-y", "reward", "-o", tmp_path / "reward.PNG")[0] == 0


def test_outlines_need_no_font(tmp_path: Path) -> None:
    training(tmp_path / "run.flog")
    code, output = plot(tmp_path / "run.flog", "-y", "reward", "-o", tmp_path, "--format", "svg", "--outlines")
    assert code == 0, output
    text = (tmp_path / "reward.svg").read_text()
    assert "<text" not in text
    assert 'aria-label="reward"' in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ylim", "3,1"], "the lower limit comes first"),
        (["--ylim", "a"], "are not limits"),
        (["--label", "a"], "is not a pair"),
        (["--color", "a=nothing"], "is not a colour"),
        (["--color", "algo", "--color", "seed"], "are colored by one metadata key, not by algo and seed"),
        (["--format", "eps"], "there is no format"),
    ],
)
def test_wrong_options_are_one_clear_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    training(tmp_path / "run.flog")
    code, output = plot(tmp_path / "run.flog", *arguments)
    assert code == 2
    assert words in output


def test_limits_of_the_axes(tmp_path: Path) -> None:
    training(tmp_path / "run.flog")
    code, _ = plot(
        tmp_path / "run.flog", "-y", "reward", "--ylim", "0,1000", "--xlim", "0,", "-o", tmp_path, "--format", "svg"
    )
    assert code == 0
    assert ">1000<" in (tmp_path / "reward.svg").read_text()
