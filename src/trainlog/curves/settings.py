"""Recorders configured by environment variables, so that recording needs no code changes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trainlog.curves.animation import EpisodeAnimationRecorder, EpisodeCaptureSchedule
from trainlog.curves.recorder import TrainingCurveRecorder
from trainlog.errors import SettingError

__all__ = ["PREFIX", "SETTINGS", "Setting", "animation_recorder_from_env", "curve_recorder_from_env"]

PREFIX: Final = "TRAINLOG_"


@dataclass(frozen=True, slots=True)
class Setting:
    """An environment variable.

    Attributes:
        name: the name of the variable; ``TRAINLOG_`` can be replaced by another prefix.
        default: the value when the variable is unset or empty.
        meaning: one line of the table in docs/curves.md.

    """

    name: str
    default: str
    meaning: str


_NO_CURVES: Final = Setting("TRAINLOG_DISABLE_CURVES", "0", "`1`, `true`, `yes` or `on`: no curves")
_CURVE_DIR: Final = Setting(
    "TRAINLOG_CURVE_DIR", "results/training_curves", "folder of the curves; each mode has a subfolder"
)
_PLOT_DIR: Final = Setting("TRAINLOG_PLOT_DIR", "", "the same, used when `TRAINLOG_CURVE_DIR` is not set")
_CHECKPOINT: Final = Setting("TRAINLOG_CURVE_CHECKPOINT_EVERY", "10", "episodes between checkpoints; 0 for none")
_NO_ANIMATIONS: Final = Setting("TRAINLOG_DISABLE_ANIMATIONS", "0", "`1`, `true`, `yes` or `on`: no animations")
_ANIMATION_DIR: Final = Setting(
    "TRAINLOG_ANIMATION_DIR", "results/animations", "folder of the animations; each mode has a subfolder"
)
_EPISODES: Final = Setting("TRAINLOG_ANIMATION_EPISODES", "", "episodes to record, separated by commas")
_EVERY: Final = Setting("TRAINLOG_ANIMATION_EVERY", "100", "record every n-th episode; 0 for none")
_LAST: Final = Setting("TRAINLOG_ANIMATION_LAST", "1", "episodes to record at the end of the training")
_FPS: Final = Setting("TRAINLOG_ANIMATION_FPS", "30", "frames per second of the animations")
_MAX_FRAMES: Final = Setting("TRAINLOG_ANIMATION_MAX_FRAMES", "400", "maximum number of frames; 0 for all")

SETTINGS: Final = (
    *(_NO_CURVES, _CURVE_DIR, _PLOT_DIR, _CHECKPOINT),
    *(_NO_ANIMATIONS, _ANIMATION_DIR, _EPISODES, _EVERY, _LAST, _FPS, _MAX_FRAMES),
)


class _Environment:
    """The settings, read from environment variables."""

    def __init__(self, variables: Mapping[str, str] | None, prefix: str) -> None:
        self._variables = os.environ if variables is None else variables
        self._prefix = prefix

    def _name(self, setting: Setting) -> str:
        return self._prefix + setting.name.removeprefix(PREFIX)

    def given(self, setting: Setting) -> str:
        return self._variables.get(self._name(setting), "").strip()

    def text(self, setting: Setting) -> str:
        return self.given(setting) or setting.default

    def is_on(self, setting: Setting) -> bool:
        word = self.text(setting).lower()
        if word in ("1", "true", "yes", "on"):
            return True
        if word in ("0", "false", "no", "off"):
            return False
        raise SettingError(f"{self._name(setting)} must be 1 (true, yes, on) or 0 (false, no, off), not {word!r}")

    def number(self, setting: Setting) -> int:
        return self._parsed(setting, self.text(setting))

    def numbers(self, setting: Setting) -> tuple[int, ...]:
        return tuple(self._parsed(setting, part) for part in self.text(setting).split(",") if part.strip())

    def _parsed(self, setting: Setting, text: str) -> int:
        text = text.strip()
        if not (text.isascii() and text.isdecimal()):
            raise SettingError(f"{self._name(setting)} must be a whole number that is not negative, not {text!r}")
        return int(text)


def curve_recorder_from_env(
    mode: str,
    *,
    average_window: int = 100,
    environment: Mapping[str, str] | None = None,
    prefix: str = PREFIX,
    root: str | os.PathLike[str] = "",
) -> TrainingCurveRecorder | None:
    """A curve recorder with the settings of the environment, see docs/curves.md; None when it is disabled.

    Args:
        mode: the mode of the run (``train``, ``eval``): the prefix of the files, and the name of their subfolder.
        average_window: number of episodes in the moving averages.
        environment: used instead of ``os.environ``.
        prefix: the prefix of the variables' names, in place of ``TRAINLOG_``.
        root: the folder that the default folder is in.

    Raises:
        SettingError: for a variable with a wrong value; it names the variable.

    """
    settings = _Environment(environment, prefix)
    if settings.is_on(_NO_CURVES):
        return None
    folder = settings.given(_CURVE_DIR) or settings.given(_PLOT_DIR) or Path(root, _CURVE_DIR.default)
    return TrainingCurveRecorder(
        output_dir=Path(folder) / mode,
        prefix=mode,
        average_window=average_window,
        checkpoint_every=settings.number(_CHECKPOINT),
    )


def animation_recorder_from_env(
    mode: str,
    *,
    environment: Mapping[str, str] | None = None,
    prefix: str = PREFIX,
    root: str | os.PathLike[str] = "",
) -> EpisodeAnimationRecorder | None:
    """An animation recorder with the settings of the environment, see docs/curves.md; None when it is disabled.

    Args:
        mode: the mode of the run (``train``, ``eval``): the prefix of the files, and the name of their subfolder.
        environment: used instead of ``os.environ``.
        prefix: the prefix of the variables' names, in place of ``TRAINLOG_``.
        root: the folder that the default folder is in.

    Raises:
        SettingError: for a variable with a wrong value; it names the variable.

    """
    settings = _Environment(environment, prefix)
    if settings.is_on(_NO_ANIMATIONS):
        return None
    return EpisodeAnimationRecorder(
        output_dir=Path(settings.given(_ANIMATION_DIR) or Path(root, _ANIMATION_DIR.default)) / mode,
        schedule=EpisodeCaptureSchedule(
            episode_indices=settings.numbers(_EPISODES),
            every_n_episodes=settings.number(_EVERY) or None,
            last_n_episodes=settings.number(_LAST),
        ),
        prefix=mode,
        fps=settings.number(_FPS),
        max_frames=settings.number(_MAX_FRAMES) or None,
    )
