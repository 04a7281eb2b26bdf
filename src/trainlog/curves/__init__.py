"""Recorders that write pictures: curves over episodes, and animations of episodes. See docs/curves.md."""

from __future__ import annotations

from trainlog.curves.agent import SupportsTrainingMetrics
from trainlog.curves.animation import EpisodeAnimationRecorder, EpisodeCaptureSchedule, EpisodeTrace
from trainlog.curves.images import to_images
from trainlog.curves.recorder import StatsLog, TrainingCurveRecorder
from trainlog.curves.settings import animation_recorder_from_env, curve_recorder_from_env

__all__ = [
    "EpisodeAnimationRecorder",
    "EpisodeCaptureSchedule",
    "EpisodeTrace",
    "StatsLog",
    "SupportsTrainingMetrics",
    "TrainingCurveRecorder",
    "animation_recorder_from_env",
    "curve_recorder_from_env",
    "to_images",
]
