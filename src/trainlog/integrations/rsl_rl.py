"""rsl_rl's protocol of log writers, for Isaac Lab, mjlab and others that train with it.

::

    train_cfg["logger"] = {"class_name": "trainlog.integrations.rsl_rl.TrainlogWriter"}
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from trainlog.codecs.plain_object import plain_object
from trainlog.errors import MissingExtra
from trainlog.integrations.torch import SummaryWriter

try:
    from rsl_rl.utils import LogWriter
except ImportError as error:
    raise MissingExtra(f"this needs rsl_rl from version 5 on: pip install rsl-rl-lib ({error})") from error

__all__ = ["TrainlogWriter"]


class TrainlogWriter(SummaryWriter, LogWriter):
    """Writes ``<log_dir>/run.flog``: the numbers that rsl_rl logs, its configurations, checkpoints by name, and videos.

    The runner gives ``log_dir``; every other key of ``cfg["logger"]`` is an argument of `trainlog.TrainingRecorder`.
    """

    def store_config(self, env_cfg: Any, train_cfg: dict[str, Any]) -> None:
        """Add both configurations to the metadata; what cannot be stored of them is there as text."""
        self.log.update_metadata({"train_cfg": _plain(train_cfg), "env_cfg": _plain(env_cfg)})

    def save_model(self, model_path: str, it: int) -> None:
        """Record that there is a checkpoint, as an event ``checkpoint``."""
        self._event(None, "checkpoint", it, {"file": os.fspath(model_path)})

    def save_file(self, path: str) -> None:
        """Copy a file, such as the difference to the last commit, beside the log."""
        self._media.file(None, "file", Path(path).name, Path(path).read_bytes(), Path(path).suffix)

    def save_video(self, video: Path, it: int) -> None:
        """Copy a video beside the log."""
        self._media.file(None, "video", Path(video).name, Path(video).read_bytes(), Path(video).suffix, it)

    def stop(self) -> None:
        """Close the log."""
        self.close()


def _plain(value: Any) -> Any:
    """A configuration with text in place of functions, classes and other objects."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | int | float) or hasattr(value, "__array__"):
        return value
    if hasattr(value, "to_dict"):
        return _plain(value.to_dict())
    try:
        return _plain(plain_object(value))
    except TypeError:
        return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else repr(value)
