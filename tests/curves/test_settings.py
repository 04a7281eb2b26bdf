"""Recorders from environment variables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trainlog.curves import animation_recorder_from_env, curve_recorder_from_env
from trainlog.curves.settings import SETTINGS
from trainlog.errors import SettingError

DOCS = Path(__file__).parents[2] / "docs" / "curves.md"


def test_defaults() -> None:
    curves = curve_recorder_from_env("train", average_window=50, environment={})
    assert curves is not None
    assert (curves.output_dir, curves.prefix) == (Path("results/training_curves/train"), "train")
    assert (curves.average_window, curves.checkpoint_every) == (50, 10)
    films = animation_recorder_from_env("train", environment={})
    assert films is not None
    assert (films.output_dir, films.prefix) == (Path("results/animations/train"), "train")
    assert (films.fps, films.max_frames) == (30, 400)
    assert (films.schedule.episode_indices, films.schedule.every_n_episodes) == ((), 100)
    assert films.schedule.last_n_episodes == 1


def test_every_variable_has_an_effect() -> None:
    films = animation_recorder_from_env(
        "eval",
        environment={
            "TRAINLOG_ANIMATION_DIR": " films ",
            "TRAINLOG_ANIMATION_EPISODES": "1, 5,,9",
            "TRAINLOG_ANIMATION_EVERY": "0",
            "TRAINLOG_ANIMATION_LAST": "0",
            "TRAINLOG_ANIMATION_FPS": "12",
            "TRAINLOG_ANIMATION_MAX_FRAMES": "0",
        },
    )
    assert films is not None
    assert films.output_dir == Path("films/eval")
    assert films.schedule.episode_indices == (1, 5, 9)
    assert films.schedule.every_n_episodes is None
    assert films.schedule.last_n_episodes == 0
    assert (films.fps, films.max_frames) == (12, None)
    curves = curve_recorder_from_env(
        "eval", environment={"TRAINLOG_PLOT_DIR": "plots", "TRAINLOG_CURVE_CHECKPOINT_EVERY": "0"}
    )
    assert curves is not None
    assert (curves.output_dir, curves.checkpoint_every) == (Path("plots/eval"), 0)
    both = {"TRAINLOG_PLOT_DIR": "plots", "TRAINLOG_CURVE_DIR": "curves"}
    curves = curve_recorder_from_env("eval", environment=both)
    assert curves is not None
    assert curves.output_dir == Path("curves/eval")


@pytest.mark.parametrize("word", ["1", "true", "YES", " on "])
def test_turned_off(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINLOG_DISABLE_CURVES", word)
    monkeypatch.setenv("TRAINLOG_DISABLE_ANIMATIONS", word)
    assert curve_recorder_from_env("train") is None
    assert animation_recorder_from_env("train") is None


@pytest.mark.parametrize("word", ["0", "false", "no", "off", "", " "])
def test_not_turned_off(word: str) -> None:
    assert curve_recorder_from_env("train", environment={"TRAINLOG_DISABLE_CURVES": word}) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRAINLOG_CURVE_CHECKPOINT_EVERY", "often"),
        ("TRAINLOG_ANIMATION_EVERY", "1.5"),
        ("TRAINLOG_ANIMATION_LAST", "-1"),
        ("TRAINLOG_ANIMATION_FPS", "thirty"),
        ("TRAINLOG_ANIMATION_MAX_FRAMES", "²"),
        ("TRAINLOG_ANIMATION_EPISODES", "1,last"),
        ("TRAINLOG_DISABLE_CURVES", "maybe"),
        ("TRAINLOG_DISABLE_ANIMATIONS", "2"),
    ],
)
def test_a_wrong_value_names_the_variable(name: str, value: str) -> None:
    make = animation_recorder_from_env if "ANIMATION" in name else curve_recorder_from_env
    with pytest.raises(SettingError, match=name) as caught:
        make("train", environment={name: value})
    assert isinstance(caught.value, ValueError)
    assert repr(value.rpartition(",")[2]) in str(caught.value)


def test_the_documented_table_is_the_one_in_the_code() -> None:
    rows = re.findall(r"^\| `(TRAINLOG_\w+)` \| (.*?) \| (.*?) \|$", DOCS.read_text(), re.MULTILINE)
    assert rows == [(one.name, f"`{one.default}`" if one.default else "", one.meaning) for one in SETTINGS]
