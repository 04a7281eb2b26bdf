"""trainlog: the flight recorder of reinforcement learning and robotics.

::

    with trainlog.TrainingRecorder("run.flog", "HalfCheetah", "run forward") as log:
        log.record_stats_frame(None, {"step": 1000, "reward": 12.5})

    trainlog.open("run.flog").table("stats")["reward"]

Errors are imported from `trainlog.errors`, and everything else that is not here from its module. Names are imported on
first use, so that ``import trainlog`` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:  # the names of _MODULE_OF again, because type checkers do not run __getattr__; a test compares them
    from trainlog import errors as errors  # pyright does not see submodules that only other modules import
    from trainlog.catalog.runs import runs as runs
    from trainlog.codec import Codec as Codec
    from trainlog.codec import Reader as Reader
    from trainlog.codec import Writer as Writer
    from trainlog.conversion import convert as convert
    from trainlog.curves import EpisodeAnimationRecorder as EpisodeAnimationRecorder
    from trainlog.curves import TrainingCurveRecorder as TrainingCurveRecorder
    from trainlog.episode import episodes as episodes
    from trainlog.errors import TrainlogError as TrainlogError
    from trainlog.errors import TrainlogWarning as TrainlogWarning
    from trainlog.integrations.wandb import config as config
    from trainlog.integrations.wandb import finish as finish
    from trainlog.integrations.wandb import init as init
    from trainlog.integrations.wandb import log as log
    from trainlog.integrations.wandb import summary as summary
    from trainlog.model import Frame as Frame
    from trainlog.model import Header as Header
    from trainlog.model import Kind as Kind
    from trainlog.model import Variable as Variable
    from trainlog.notebook import show as show
    from trainlog.recorder import TrainingRecorder as TrainingRecorder
    from trainlog.registry import create as create
    from trainlog.registry import list_codecs as list_codecs
    from trainlog.registry import open as open
    from trainlog.registry import resume as resume
    from trainlog.replay import FlogReplay as FlogReplay
    from trainlog.scan import Scan as Scan
    from trainlog.simple_codec import SimpleCodec as SimpleCodec
    from trainlog.storage.source import follow as follow
    from trainlog.table.table import Table as Table
    from trainlog.verification import repair as repair
    from trainlog.verification import verify as verify
else:  # hidden from type checkers, for which a module with a __getattr__ has every name, misspelt ones too
    _MODULE_OF = {
        "Codec": "codec",
        "EpisodeAnimationRecorder": "curves",
        "FlogReplay": "replay",
        "Frame": "model",
        "Header": "model",
        "Kind": "model",
        "Reader": "codec",
        "Scan": "scan",
        "SimpleCodec": "simple_codec",
        "Table": "table.table",
        "TrainingCurveRecorder": "curves",
        "TrainingRecorder": "recorder",
        "TrainlogError": "errors",
        "TrainlogWarning": "errors",
        "Variable": "model",
        "Writer": "codec",
        "convert": "conversion",
        "create": "registry",
        "episodes": "episode",
        "finish": "integrations.wandb",
        "follow": "storage.source",
        "init": "integrations.wandb",
        "list_codecs": "registry",
        "log": "integrations.wandb",
        "open": "registry",
        "repair": "verification",
        "resume": "registry",
        "runs": "catalog.runs",
        "show": "notebook",
        "verify": "verification",
    }
    _OF_THE_RUN = {"config": "integrations.wandb", "summary": "integrations.wandb"}  # each `init` replaces them
    # Names that used to be here, and where they are now; each use warns. Remove them in version 0.2.
    _DEPRECATED = {
        "Background": "writers.background.Background",
        "ClosedLog": "errors.ClosedLog",
        "CodecClash": "errors.CodecClash",
        "CodecError": "errors.CodecError",
        "CorruptLog": "errors.CorruptLog",
        "DamagedLog": "errors.DamagedLog",
        "DamagedLogWarning": "errors.DamagedLogWarning",
        "EmptyLog": "errors.EmptyLog",
        "Episode": "episode.Episode",
        "EpisodeCaptureSchedule": "curves.EpisodeCaptureSchedule",
        "EpisodeType": "episode_summary.EpisodeType",
        "Every": "writers.combine.Every",
        "ExpressionError": "errors.ExpressionError",
        "Gap": "scan.Gap",
        "LearnedFunction": "functions.LearnedFunction",
        "LogExists": "errors.LogExists",
        "LogInUse": "errors.LogInUse",
        "LogNotFound": "errors.LogNotFound",
        "LogWriteError": "errors.LogWriteError",
        "LogWriteWarning": "errors.LogWriteWarning",
        "MissingExtra": "errors.MissingExtra",
        "NothingToDraw": "errors.NothingToDraw",
        "PlotError": "errors.PlotError",
        "Problem": "verify_report.Problem",
        "Repair": "verify_report.Repair",
        "RetryingWriter": "writers.retrying.RetryingWriter",
        "SettingError": "errors.SettingError",
        "Source": "storage.source.Source",
        "Spool": "writers.retrying.RetryingWriter",
        "StreamCodec": "simple_codec.SimpleCodec",
        "Summary": "codec.Summary",
        "Tee": "writers.combine.Tee",
        "TruncatedLog": "errors.TruncatedLog",
        "UnknownFormat": "errors.UnknownFormat",
        "UnsupportedFrame": "errors.UnsupportedFrame",
        "Verdict": "verify_report.Verdict",
        "animation_recorder_from_env": "curves.animation_recorder_from_env",
        "curve_recorder_from_env": "curves.curve_recorder_from_env",
        "learned_functions": "functions.learned_functions",
        "never": "storage.source.never",
        "repair_in_place": "verification.repair_in_place",
    }

    __all__ = ["__version__", *_MODULE_OF]

    def __getattr__(name: str) -> object:
        import importlib
        import warnings

        if name in _MODULE_OF:
            value = getattr(importlib.import_module(f"trainlog.{_MODULE_OF[name]}"), name)
            globals()[name] = value
            return value
        if name in _OF_THE_RUN:
            return getattr(importlib.import_module(f"trainlog.{_OF_THE_RUN[name]}"), name)
        if name in _MODULE_OF.values():  # trainlog.errors and the like, which mypy sees here too
            return importlib.import_module(f"trainlog.{name}")
        if name in _DEPRECATED:
            module, _, new = f"trainlog.{_DEPRECATED[name]}".rpartition(".")
            public = "trainlog" if new in _MODULE_OF else module
            warnings.warn(
                f"trainlog.{name} will be removed in trainlog 0.2: use `from {public} import {new}`",
                DeprecationWarning,
                stacklevel=2,
            )
            return getattr(importlib.import_module(module), new)  # not kept, so that each use warns
        raise AttributeError(f"module 'trainlog' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return __all__
