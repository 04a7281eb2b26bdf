"""The recorders of OaK-Architecture's example, for its scripts, which need only a changed import.

::

    from trainlog.oak import animation_recorder_from_env, curve_recorder_from_env
    # was: from examples.example_01.training_logging import animation_recorder_from_env, curve_recorder_from_env

They are those of `trainlog.curves`, with OaK's own environment variables (``OAK_EXAMPLE_CURVE_DIR``, ...) and its own
folder, ``tests/results``.
"""

from __future__ import annotations

from typing import Final

from trainlog import curves
from trainlog.curves import EpisodeAnimationRecorder, EpisodeCaptureSchedule, TrainingCurveRecorder

__all__ = [
    "PREFIX",
    "EpisodeAnimationRecorder",
    "EpisodeCaptureSchedule",
    "TrainingCurveRecorder",
    "animation_recorder_from_env",
    "curve_recorder_from_env",
]

PREFIX: Final = "OAK_EXAMPLE_"
"""The prefix of the variables' names, in place of ``TRAINLOG_``."""

_ROOT: Final = "tests"


def curve_recorder_from_env(mode: str, *, average_window: int) -> TrainingCurveRecorder | None:
    """As `trainlog.curves.curve_recorder_from_env`."""
    return curves.curve_recorder_from_env(mode, average_window=average_window, prefix=PREFIX, root=_ROOT)


def animation_recorder_from_env(mode: str) -> EpisodeAnimationRecorder | None:
    """As `trainlog.curves.animation_recorder_from_env`."""
    return curves.animation_recorder_from_env(mode, prefix=PREFIX, root=_ROOT)
