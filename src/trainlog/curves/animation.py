"""EpisodeAnimationRecorder: animations of chosen episodes."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from trainlog.curves.agent import to_float, to_whole
from trainlog.curves.images import to_images
from trainlog.errors import TrainlogWarning
from trainlog.storage.replace import atomic_write
from trainlog.strictjson import strict_json

__all__ = ["EpisodeAnimationRecorder", "EpisodeCaptureSchedule", "EpisodeTrace"]

_LARGE: Final = 1e15  # a larger number is left out of the file name
_NO_FRAMES: Final = (
    "No frames were captured for this episode. Ensure that the environment was created with render_mode='rgb_array' "
    "and that its rendering dependencies are installed."
)


class EpisodeTrace(Protocol):
    """The attributes of an episode that the recorder reads."""

    @property
    def episode(self) -> int:
        """The number of the episode."""

    @property
    def frames(self) -> Sequence[Any]:
        """Arrays or PIL images, see `trainlog.curves.to_images`."""

    @property
    def episode_reward(self) -> float:
        """The return of the episode."""

    @property
    def avg_reward(self) -> float:
        """The trainer's average of the last returns."""


@dataclass(slots=True, frozen=True)
class EpisodeCaptureSchedule:
    """Which episodes are captured: those of a list, every n-th, and the last ones.

    Attributes:
        episode_indices: episodes, counted from 0.
        every_n_episodes: captures every multiple of this number, including episode 0; None or 0 for none.
        last_n_episodes: how many episodes are captured at the end of the training.

    """

    episode_indices: tuple[int, ...] = ()
    every_n_episodes: int | None = None
    last_n_episodes: int = 0

    def should_capture(self, episode: int, total_episodes: int) -> bool:
        """Whether *episode*, counted from 0, of *total_episodes* is captured."""
        every, last = self.every_n_episodes or 0, self.last_n_episodes
        return (
            episode in self.episode_indices
            or (every > 0 and episode % every == 0)
            or (last > 0 and episode >= max(total_episodes - last, 0))
        )


@dataclass(slots=True)
class EpisodeAnimationRecorder:
    """Saves the frames of an episode as a GIF, and its results as JSON next to it.

    ::

        recorder = trainlog.EpisodeAnimationRecorder("runs/7", EpisodeCaptureSchedule(every_n_episodes=100))
        if recorder.should_capture(episode, total_episodes):
            recorder.save(frames, episode=episode, reward=reward, avg_reward=average)

    Called with an episode's trace, the recorder takes frames, rewards, steps and metadata from it.

    Attributes:
        output_dir: folder of the files; created when it is needed.
        schedule: which episodes ``should_capture`` chooses.
        prefix: the beginning of every file name.
        fps: frames per second. A GIF counts in hundredths of a second, and viewers show at most 50 per second.
        max_frames: how many frames are saved, from the first one; None or 0 for all.
        save_metadata: whether to write the JSON.

    """

    output_dir: str | os.PathLike[str]
    schedule: EpisodeCaptureSchedule = field(default_factory=EpisodeCaptureSchedule)
    prefix: str = "training"
    fps: int = 30
    max_frames: int | None = None
    save_metadata: bool = True

    def __post_init__(self) -> None:
        self.output_dir = Path(self.output_dir)

    def should_capture(self, episode: int, total_episodes: int) -> bool:
        """Whether the schedule chooses *episode*, counted from 0, of *total_episodes*."""
        return self.schedule.should_capture(episode, total_episodes)

    def __call__(self, trace: EpisodeTrace) -> Path | None:
        """Save the episode *trace*; returns and raises as ``save``.

        The JSON also holds its ``step_count``, ``solved``, ``steps`` (each with an ``action`` and an
        ``active_option_id``) and ``metadata``, if the trace has them.
        """
        steps = list(getattr(trace, "steps", ()))
        details = {
            "step_count": getattr(trace, "step_count", len(steps)),
            "solved": getattr(trace, "solved", None),
            "actions": [getattr(step, "action", None) for step in steps],
            "active_option_ids": [getattr(step, "active_option_id", None) for step in steps],
            "metadata": dict(getattr(trace, "metadata", {})),
        }
        return self._save(trace.frames, trace.episode, trace.episode_reward, trace.avg_reward, details)

    def save(
        self, frames: Iterable[Any], *, episode: int, reward: float, avg_reward: float | None = None, **metadata: Any
    ) -> Path | None:
        """Save the frames of an episode, as ``{prefix}_episode_0007_reward_12_avg_10.gif`` and ``.json``.

        Args:
            frames: arrays of any numeric type, or PIL images; see `trainlog.curves.to_images`.
            episode: the number of the episode.
            reward: the return of the episode.
            avg_reward: the average of the last returns; not in the name when it is None.
            metadata: anything else that the JSON should hold.

        Returns:
            The path of the GIF; None when there are no frames, which the JSON and a `TrainlogWarning` report.

        Raises:
            ValueError: for a frame that is not an image, or has another size than the first.
            UnsupportedFrame: for an episode that is not an integer, and a reward that is not a number.
            LogWriteError: when a file cannot be written.

        """
        return self._save(list(frames), episode, reward, avg_reward, {"metadata": metadata})

    def _save(
        self, frames: Sequence[Any], episode: int, reward: float, average: float | None, details: Mapping[str, Any]
    ) -> Path | None:
        episode = to_whole("episode", episode)
        stem = f"{self.prefix}_episode_{episode:04d}_reward_{_rounded(to_float('reward', reward))}"
        if average is not None:
            stem += f"_avg_{_rounded(to_float('avg_reward', average))}"
        saved = frames[: self.max_frames] if self.max_frames is not None and self.max_frames > 0 else frames
        path = Path(self.output_dir, f"{stem}.gif")
        results = {"episode": episode, "episode_reward": reward, "avg_reward": average, "frame_count": len(frames)}
        metadata = {**results, "frames_saved": len(saved), **details}
        if saved:
            self._write_gif(path, saved)
        else:
            metadata["warning"] = _NO_FRAMES
            warnings.warn(TrainlogWarning(f"{stem}: {_NO_FRAMES}"), stacklevel=3)
        if self.save_metadata:
            with atomic_write(path.with_suffix(".json")) as file:
                file.write(f"{strict_json(metadata, indent=2)}\n".encode())
        return path if saved else None

    def _write_gif(self, path: Path, frames: Sequence[Any]) -> None:
        first, *others = to_images(frames)
        hundredths = max(round(100 / max(self.fps, 1)), 2)
        # To memory first, because Pillow seeks in the file that it writes.
        buffer = io.BytesIO()
        first.save(buffer, "GIF", save_all=True, append_images=others, duration=10 * hundredths, loop=0)
        with atomic_write(path) as file:
            file.write(buffer.getvalue())


def _rounded(value: float) -> str:
    """A reward as a part of a file name; it can be ``nan`` or ``inf``."""
    return str(round(value)) if abs(value) < _LARGE else f"{value:g}"
