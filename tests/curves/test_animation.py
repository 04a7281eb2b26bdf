"""Animations of episodes: names, frames of all types, schedules, and what is said when there is nothing to show."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainlog import EpisodeAnimationRecorder, TrainlogWarning
from trainlog.curves import EpisodeCaptureSchedule, to_images


@dataclass
class Step:
    action: Any
    active_option_id: int


@dataclass
class Trace:
    frames: list[Any]
    episode: int = 7
    episode_reward: float = 12.4
    avg_reward: float = 9.6
    step_count: int = 2
    solved: bool = True
    steps: list[Step] = field(default_factory=lambda: [Step(np.int64(1), 3), Step(np.array([0.5, np.nan]), 4)])
    metadata: dict[str, Any] = field(default_factory=lambda: {"seed": np.int64(5)})


def squares(count: int) -> list[np.ndarray]:
    """Frames that differ, so that no two of them are merged."""
    return [np.full((8, 12, 3), 20 * n, np.uint8) for n in range(count)]


def test_names_and_metadata_are_those_of_the_original(tmp_path: Path) -> None:
    path = EpisodeAnimationRecorder(tmp_path / "films", prefix="train", fps=10)(Trace(squares(3)))
    assert path == tmp_path / "films" / "train_episode_0007_reward_12_avg_10.gif"
    with Image.open(path) as film:
        assert (film.n_frames, film.size, film.info["duration"], film.info["loop"]) == (3, (12, 8), 100, 0)
    told = json.loads(path.with_suffix(".json").read_text(), parse_constant=pytest.fail)
    assert told == {
        "episode": 7,
        "episode_reward": 12.4,
        "avg_reward": 9.6,
        "frame_count": 3,
        "frames_saved": 3,
        "step_count": 2,
        "solved": True,
        "actions": [1, [0.5, None]],
        "active_option_ids": [3, 4],
        "metadata": {"seed": 5},
    }


def test_plain_values_need_no_trace(tmp_path: Path) -> None:
    recorder = EpisodeAnimationRecorder(tmp_path, save_metadata=False)
    path = recorder.save(iter(squares(2)), episode=3, reward=-1.6, avg_reward=0.2)
    assert [path.name for path in tmp_path.iterdir()] == ["training_episode_0003_reward_-2_avg_0.gif"]
    assert path is not None
    path = recorder.save(squares(2), episode=12345, reward=float("nan"), env="ant")
    assert path is not None
    assert path.name == "training_episode_12345_reward_nan.gif"


def test_only_the_first_frames_are_kept(tmp_path: Path) -> None:
    path = EpisodeAnimationRecorder(tmp_path, max_frames=4)(Trace(squares(9)))
    assert path is not None
    with Image.open(path) as film:
        assert film.n_frames == 4
    told = json.loads(path.with_suffix(".json").read_text())
    assert (told["frame_count"], told["frames_saved"]) == (9, 4)
    unlimited = EpisodeAnimationRecorder(tmp_path, max_frames=0)(Trace(squares(9)))
    assert unlimited is not None
    with Image.open(unlimited) as film:
        assert film.n_frames == 9


def test_an_episode_without_frames_warns(tmp_path: Path) -> None:
    with pytest.warns(TrainlogWarning, match="No frames were captured.*render_mode='rgb_array'"):
        assert EpisodeAnimationRecorder(tmp_path)(Trace([])) is None
    told = json.loads((tmp_path / "training_episode_0007_reward_12_avg_10.json").read_text())
    assert told["warning"].startswith("No frames were captured")
    assert list(tmp_path.glob("*.gif")) == []


@pytest.mark.parametrize(
    ("frame", "pixel"),
    [
        (np.full((2, 3), 100, np.uint8), (100, 100, 100)),
        (np.full((2, 3, 1), 100, np.int64), (100, 100, 100)),
        (np.full((2, 3, 3), 300, np.int32), (255, 255, 255)),
        (np.full((2, 3, 3), -5, np.int16), (0, 0, 0)),
        (np.full((2, 3, 3), 0.5, np.float32), (128, 128, 128)),
        (np.full((2, 3), 1.0), (255, 255, 255)),
        (np.full((2, 3), 100.7), (100, 100, 100)),
        (np.full((2, 3), True), (255, 255, 255)),
        (np.full((2, 3), np.nan), (0, 0, 0)),
        (np.full((2, 3), np.float16(200)), (200, 200, 200)),
        (np.broadcast_to(np.array([255, 0, 0, 128], np.uint8), (2, 3, 4)), (255, 127, 127)),
        (np.broadcast_to(np.array([0.0, 0.0, 1.0, 1.0]), (2, 3, 4)), (0, 0, 255)),
        (Image.new("L", (3, 2), 40), (40, 40, 40)),
        (Image.new("RGBA", (3, 2), (0, 0, 0, 0)), (255, 255, 255)),
        ([[0, 50, 100], [0, 50, 100]], (0, 0, 0)),
    ],
)
def test_frames_of_every_type(frame: Any, pixel: tuple[int, int, int]) -> None:
    (image,) = to_images([frame])
    assert (image.mode, image.size) == ("RGB", (3, 2))
    assert image.getpixel((0, 0)) == pytest.approx(pixel, abs=1)


def test_a_dark_frame_does_not_flash_in_a_film_of_levels() -> None:
    dark, bright = to_images([np.full((2, 2), 0.9), np.full((2, 2), 200.0)])
    assert dark.getpixel((0, 0)) == (0, 0, 0)
    assert bright.getpixel((0, 0)) == (200, 200, 200)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([np.zeros((3, 2, 2))], r"frame 0 has the shape \(3, 2, 2\)"),
        ([np.zeros(5)], r"frame 0 has the shape \(5,\)"),
        ([np.zeros((2, 2)), np.zeros((0, 2))], "frame 1 is not a picture"),
        ([np.zeros((2, 2), complex)], "frame 0 is not a picture: it holds complex128"),
        ([["a", "b"]], "frame 0 is not a picture"),
        ([np.zeros((2, 2)), np.zeros((3, 4))], "frame 1 and frame 0 are 4 x 3 and 2 x 2 pixels"),
    ],
)
def test_what_is_no_picture_is_refused(frames: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_images(frames)


def test_schedule() -> None:
    def chosen(schedule: EpisodeCaptureSchedule) -> list[int]:
        return [episode for episode in range(12) if schedule.should_capture(episode, 12)]

    assert chosen(EpisodeCaptureSchedule()) == []
    assert chosen(EpisodeCaptureSchedule((1, 5, 99))) == [1, 5]
    assert chosen(EpisodeCaptureSchedule(every_n_episodes=5)) == [0, 5, 10]
    assert chosen(EpisodeCaptureSchedule(every_n_episodes=0)) == []
    assert chosen(EpisodeCaptureSchedule(last_n_episodes=2)) == [10, 11]
    assert chosen(EpisodeCaptureSchedule(last_n_episodes=99)) == list(range(12))
    assert chosen(EpisodeCaptureSchedule((3,), 6, 1)) == [0, 3, 6, 11]
    assert EpisodeAnimationRecorder(Path("x"), EpisodeCaptureSchedule((3,))).should_capture(3, 10)


def test_a_huge_reward_is_a_short_name(tmp_path: Path) -> None:
    for reward, name in ((1e300, "1e+300"), (-1e15, "-1e+15"), (999.6, "1000"), (float("inf"), "inf")):
        path = EpisodeAnimationRecorder(tmp_path).save(squares(2), episode=7, reward=reward)
        assert path is not None
        assert path.name == f"training_episode_0007_reward_{name}.gif"
