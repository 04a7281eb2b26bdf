"""Recorders that leave pictures behind: curves over episodes, and films of episodes. See docs/curves.md."""

from __future__ import annotations

from trainlog.curves.agent import Measured
from trainlog.curves.animation import EpisodeAnimationRecorder, EpisodeCaptureSchedule, EpisodeTrace
from trainlog.curves.images import images_of
from trainlog.curves.recorder import StatsLog, TrainingCurveRecorder
from trainlog.curves.settings import animation_recorder_from_env, curve_recorder_from_env

__all__ = [
    "EpisodeAnimationRecorder",
    "EpisodeCaptureSchedule",
    "EpisodeTrace",
    "Measured",
    "StatsLog",
    "TrainingCurveRecorder",
    "animation_recorder_from_env",
    "curve_recorder_from_env",
    "images_of",
]
