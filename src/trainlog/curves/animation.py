"""EpisodeAnimationRecorder: films of chosen episodes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from trainlog.curves.images import images_of
from trainlog.errors import TrainlogWarning
from trainlog.storage.source import written_aside
from trainlog.strictjson import strict_json

__all__ = ["EpisodeAnimationRecorder", "EpisodeCaptureSchedule", "EpisodeTrace"]

_NO_FRAMES: Final = (
    "No frames were captured for this episode. Ensure that the environment was created with render_mode='rgb_array' "
    "and that its rendering dependencies are installed."
)


class EpisodeTrace(Protocol):
    """What the recorder reads of an episode; steps and metadata may be missing."""

    @property
    def episode(self) -> int:
        """Its number."""

    @property
    def frames(self) -> Sequence[Any]:
        """Arrays or PIL images, see `trainlog.curves.images_of`."""

    @property
    def episode_reward(self) -> float:
        """Its return."""

    @property
    def avg_reward(self) -> float:
        """The trainer's average of the last returns."""


@dataclass(slots=True, frozen=True)
class EpisodeCaptureSchedule:
    """Which episodes are captured: those of a list, every so many, and the last ones.

    Attributes:
        episode_indices: these episodes, counted from 0.
        every_n_episodes: every episode that this number divides, 0 among them; None or 0 for none.
        last_n_episodes: so many at the end of the training.

    """

    episode_indices: tuple[int, ...] = ()
    every_n_episodes: int | None = None
    last_n_episodes: int = 0

    def should_capture(self, episode: int, total_episodes: int) -> bool:
        """Whether *episode*, from 0, of *total_episodes* is one of them."""
        if episode in self.episode_indices:
            return True
        if self.every_n_episodes is not None and self.every_n_episodes > 0 and episode % self.every_n_episodes == 0:
            return True
        return self.last_n_episodes > 0 and episode >= max(total_episodes - self.last_n_episodes, 0)


@dataclass(slots=True)
class EpisodeAnimationRecorder:
    """Saves the frames of an episode as a GIF, and what it came to as JSON beside it.

    ::

        film = trainlog.EpisodeAnimationRecorder("runs/7/films", EpisodeCaptureSchedule(every_n_episodes=100))
        if film.should_capture(episode, total_episodes):
            film.save(frames, episode=episode, reward=reward, avg_reward=average)

    Called with an episode's trace, it reads frames, rewards, steps and metadata off it.

    Attributes:
        output_dir: folder of the files; made when it is needed.
        schedule: which episodes ``should_capture`` chooses.
        prefix: begins the name of every file.
        fps: frames per second. A GIF counts in hundredths of a second, and viewers show 50 a second at most.
        max_frames: only so many, from the beginning; None or 0 for all.
        save_metadata: whether to write the JSON.

    """

    output_dir: Path
    schedule: EpisodeCaptureSchedule = field(default_factory=EpisodeCaptureSchedule)
    prefix: str = "training"
    fps: int = 30
    max_frames: int | None = None
    save_metadata: bool = True

    def __post_init__(self) -> None:
        self.output_dir = Path(self.output_dir)

    def should_capture(self, episode: int, total_episodes: int) -> bool:
        """Whether the schedule chooses *episode*, from 0, of *total_episodes*."""
        return self.schedule.should_capture(episode, total_episodes)

    def __call__(self, trace: EpisodeTrace) -> Path | None:
        """Save the episode *trace*; returns and raises as ``save``.

        Besides what an `EpisodeTrace` has, its ``step_count``, ``solved``, ``steps`` (each with an ``action`` and an
        ``active_option_id``) and ``metadata`` are written to the JSON, where there are any.
        """
        steps = list(getattr(trace, "steps", ()))
        told = {
            "step_count": getattr(trace, "step_count", len(steps)),
            "solved": getattr(trace, "solved", None),
            "actions": [getattr(step, "action", None) for step in steps],
            "active_option_ids": [getattr(step, "active_option_id", None) for step in steps],
            "metadata": dict(getattr(trace, "metadata", {})),
        }
        return self._save(trace.frames, trace.episode, trace.episode_reward, trace.avg_reward, told)

    def save(
        self, frames: Iterable[Any], *, episode: int, reward: float, avg_reward: float | None = None, **metadata: Any
    ) -> Path | None:
        """Save the frames of an episode, as ``{prefix}_episode_0007_reward_12_avg_10.gif`` and ``.json``.

        Args:
            frames: arrays of any numeric type, or PIL images; see `trainlog.curves.images_of`.
            episode: its number.
            reward: its return.
            avg_reward: the average of the last returns; left out of the name where it is None.
            metadata: anything else that the JSON shall hold.

        Returns:
            The path of the GIF; None when there are no frames, of which the JSON and a `TrainlogWarning` then speak.

        Raises:
            ValueError: for a frame that is no picture, or of another size than the first.
            LogWriteError: when a file cannot be written.

        """
        return self._save(list(frames), episode, reward, avg_reward, {"metadata": metadata})

    def _save(
        self, frames: Sequence[Any], episode: int, reward: float, average: float | None, told: Mapping[str, Any]
    ) -> Path | None:
        stem = f"{self.prefix}_episode_{episode:04d}_reward_{_whole(reward)}"
        if average is not None:
            stem += f"_avg_{_whole(average)}"
        facts = {"episode": episode, "episode_reward": reward, "avg_reward": average, "frame_count": len(frames)}
        shown = frames[: self.max_frames] if self.max_frames is not None and self.max_frames > 0 else frames
        path = self.output_dir / f"{stem}.gif"
        metadata = {**facts, "frames_saved": len(shown), **told}
        if shown:
            self._write_gif(path, shown)
        else:
            metadata["warning"] = _NO_FRAMES
            warnings.warn(TrainlogWarning(f"{stem}: {_NO_FRAMES}"), stacklevel=3)
        if self.save_metadata:
            with written_aside(path.with_suffix(".json")) as file:
                file.write(f"{strict_json(metadata, indent=2)}\n".encode())
        return path if shown else None

    def _write_gif(self, path: Path, frames: Sequence[Any]) -> None:
        first, *others = images_of(frames)
        hundredths = max(round(100 / max(self.fps, 1)), 2)
        # In memory first: Pillow goes back and forth in the file that it writes.
        pixels = io.BytesIO()
        first.save(pixels, "GIF", save_all=True, append_images=others, duration=10 * hundredths, loop=0)
        with written_aside(path) as file:
            file.write(pixels.getvalue())


def _whole(value: float) -> str:
    """A reward as it stands in a file's name; ``nan`` and ``inf`` are words there."""
    value = float(value)
    return str(round(value)) if value - value == 0 else str(value)
