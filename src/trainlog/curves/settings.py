"""Recorders from environment variables, so that recording needs no change of code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trainlog.curves.animation import EpisodeAnimationRecorder, EpisodeCaptureSchedule
from trainlog.curves.recorder import TrainingCurveRecorder
from trainlog.errors import SettingError

__all__ = ["SETTINGS", "Setting", "animation_recorder_from_env", "curve_recorder_from_env"]


@dataclass(frozen=True, slots=True)
class Setting:
    """An environment variable.

    Attributes:
        name: of the variable.
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


def curve_recorder_from_env(
    mode: str, *, average_window: int = 100, environment: Mapping[str, str] | None = None
) -> TrainingCurveRecorder | None:
    """A curve recorder with the settings of the environment, see docs/curves.md; None when it is disabled.

    Args:
        mode: of the run (``train``, ``eval``): the prefix of the files, and the name of their subfolder.
        average_window: number of episodes in the moving averages.
        environment: used instead of ``os.environ``.

    Raises:
        SettingError: for a variable with a wrong value; it names the variable.

    """
    variables = os.environ if environment is None else environment
    if _is_on(_NO_CURVES, variables):
        return None
    folder = variables.get(_CURVE_DIR.name, "").strip() or variables.get(_PLOT_DIR.name, "").strip()
    return TrainingCurveRecorder(
        output_dir=Path(folder or _CURVE_DIR.default) / mode,
        prefix=mode,
        average_window=average_window,
        checkpoint_every=_number(_CHECKPOINT, variables),
    )


def animation_recorder_from_env(
    mode: str, *, environment: Mapping[str, str] | None = None
) -> EpisodeAnimationRecorder | None:
    """An animation recorder with the settings of the environment, see docs/curves.md; None when it is disabled.

    Args:
        mode: of the run (``train``, ``eval``): the prefix of the files, and the name of their subfolder.
        environment: used instead of ``os.environ``.

    Raises:
        SettingError: for a variable with a wrong value; it names the variable.

    """
    variables = os.environ if environment is None else environment
    if _is_on(_NO_ANIMATIONS, variables):
        return None
    return EpisodeAnimationRecorder(
        output_dir=Path(_text(_ANIMATION_DIR, variables)) / mode,
        schedule=EpisodeCaptureSchedule(
            episode_indices=tuple(
                _parse_number(_EPISODES, part) for part in _text(_EPISODES, variables).split(",") if part.strip()
            ),
            every_n_episodes=_number(_EVERY, variables) or None,
            last_n_episodes=_number(_LAST, variables),
        ),
        prefix=mode,
        fps=_number(_FPS, variables),
        max_frames=_number(_MAX_FRAMES, variables) or None,
    )


def _text(setting: Setting, variables: Mapping[str, str]) -> str:
    return variables.get(setting.name, "").strip() or setting.default


def _is_on(setting: Setting, variables: Mapping[str, str]) -> bool:
    word = _text(setting, variables).lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise SettingError(f"{setting.name} must be 1 (true, yes, on) or 0 (false, no, off), not {word!r}")


def _number(setting: Setting, variables: Mapping[str, str]) -> int:
    return _parse_number(setting, _text(setting, variables))


def _parse_number(setting: Setting, text: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdecimal()):
        raise SettingError(f"{setting.name} must be a whole number that is not negative, not {text!r}")
    return int(text)
