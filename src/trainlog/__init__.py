"""trainlog: the flight recorder of reinforcement learning and robotics.

::

    with trainlog.TrainingRecorder("run.flog", "HalfCheetah", "run forward") as log:
        log.record_stats_frame(None, {"step": 1000, "reward": 12.5})

    trainlog.open("run.flog").table("stats")["reward"]

Names are imported when they are first used, so that ``import trainlog`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from trainlog.codec import Codec as Codec
    from trainlog.codec import Gap as Gap
    from trainlog.codec import Reader as Reader
    from trainlog.codec import Summary as Summary
    from trainlog.codec import Writer as Writer
    from trainlog.curves import EpisodeAnimationRecorder as EpisodeAnimationRecorder
    from trainlog.curves import EpisodeCaptureSchedule as EpisodeCaptureSchedule
    from trainlog.curves import TrainingCurveRecorder as TrainingCurveRecorder
    from trainlog.curves import animation_recorder_from_env as animation_recorder_from_env
    from trainlog.curves import curve_recorder_from_env as curve_recorder_from_env
    from trainlog.episode import Episode as Episode
    from trainlog.episode import EpisodeType as EpisodeType
    from trainlog.episode import episodes as episodes
    from trainlog.errors import ClosedLog as ClosedLog
    from trainlog.errors import CodecClash as CodecClash
    from trainlog.errors import CodecError as CodecError
    from trainlog.errors import CorruptLog as CorruptLog
    from trainlog.errors import DamagedLog as DamagedLog
    from trainlog.errors import DamagedLogWarning as DamagedLogWarning
    from trainlog.errors import EmptyLog as EmptyLog
    from trainlog.errors import ExpressionError as ExpressionError
    from trainlog.errors import LogExists as LogExists
    from trainlog.errors import LogInUse as LogInUse
    from trainlog.errors import LogNotFound as LogNotFound
    from trainlog.errors import LogWriteError as LogWriteError
    from trainlog.errors import LogWriteWarning as LogWriteWarning
    from trainlog.errors import MissingExtra as MissingExtra
    from trainlog.errors import PlotError as PlotError
    from trainlog.errors import SettingError as SettingError
    from trainlog.errors import TrainlogError as TrainlogError
    from trainlog.errors import TrainlogWarning as TrainlogWarning
    from trainlog.errors import TruncatedLog as TruncatedLog
    from trainlog.errors import UnknownFormat as UnknownFormat
    from trainlog.errors import UnsupportedFrame as UnsupportedFrame
    from trainlog.functions import LearnedFunction as LearnedFunction
    from trainlog.functions import learned_functions as learned_functions
    from trainlog.model import Frame as Frame
    from trainlog.model import Header as Header
    from trainlog.model import Kind as Kind
    from trainlog.model import Variable as Variable
    from trainlog.recorder import TrainingRecorder as TrainingRecorder
    from trainlog.registry import convert as convert
    from trainlog.registry import create as create
    from trainlog.registry import list_codecs as list_codecs
    from trainlog.registry import open as open
    from trainlog.registry import resume as resume
    from trainlog.replay import FlogReplay as FlogReplay
    from trainlog.simple_codec import SimpleCodec as SimpleCodec
    from trainlog.storage.source import Source as Source
    from trainlog.storage.source import follow as follow
    from trainlog.storage.source import never as never
    from trainlog.table.table import Table as Table
    from trainlog.verification import repair as repair
    from trainlog.verification import repair_in_place as repair_in_place
    from trainlog.verification import verify as verify
    from trainlog.verify_report import Problem as Problem
    from trainlog.verify_report import Repair as Repair
    from trainlog.verify_report import Verdict as Verdict
    from trainlog.writers.background import Background as Background
    from trainlog.writers.combine import Every as Every
    from trainlog.writers.combine import Tee as Tee
    from trainlog.writers.retrying import RetryingWriter as RetryingWriter

_ROOMS = {
    "writers.background": ["Background"],
    "codec": ["Codec", "Gap", "Reader", "Summary", "Writer"],
    "curves": [
        *["EpisodeAnimationRecorder", "EpisodeCaptureSchedule", "TrainingCurveRecorder"],
        *["animation_recorder_from_env", "curve_recorder_from_env"],
    ],
    "episode": ["Episode", "EpisodeType", "episodes"],
    "errors": [
        *[
            "ClosedLog",
            "CodecClash",
            "CodecError",
            "CorruptLog",
            "DamagedLog",
            "DamagedLogWarning",
            "EmptyLog",
        ],
        *[
            "LogExists",
            "LogInUse",
            "LogNotFound",
            "LogWriteError",
            "LogWriteWarning",
            "MissingExtra",
            "TrainlogError",
            "TrainlogWarning",
            "TruncatedLog",
        ],
        *["ExpressionError", "PlotError", "SettingError", "UnknownFormat", "UnsupportedFrame"],
    ],
    "storage.source": ["Source", "follow", "never"],
    "functions": ["LearnedFunction", "learned_functions"],
    "model": ["Frame", "Header", "Kind", "Variable"],
    "writers.combine": ["Every", "Tee"],
    "recorder": ["TrainingRecorder"],
    "registry": ["convert", "create", "list_codecs", "open", "resume"],
    "replay": ["FlogReplay"],
    "verification": ["repair", "repair_in_place", "verify"],
    "writers.retrying": ["RetryingWriter"],
    "simple_codec": ["SimpleCodec"],
    "table.table": ["Table"],
    "verify_report": ["Problem", "Repair", "Verdict"],
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = ["__version__", *sorted(_ROOM_OF)]


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'trainlog' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"trainlog.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
