"""rsl_rl's protocol of log writers, for Isaac Lab, mjlab and others that train with it.

::

    train_cfg["logger"] = {"class_name": "trainlog.integrations.rsl_rl.TrainlogWriter"}
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from trainlog.errors import MissingExtra
from trainlog.integrations import configuration
from trainlog.integrations.torch import SummaryWriter

try:
    from rsl_rl.utils import LogWriter
except ImportError as error:
    raise MissingExtra(f'this needs rsl_rl from version 5 on: pip install "trainlog[rsl-rl]" ({error})') from error

__all__ = ["TrainlogWriter"]


class TrainlogWriter(SummaryWriter, LogWriter):
    """Writes ``<log_dir>/run.flog``: the numbers that rsl_rl logs, configurations, names of checkpoints, and videos.

    The runner passes ``log_dir``; every other key of ``cfg["logger"]`` is an argument of `trainlog.TrainingRecorder`.
    """

    def store_config(self, env_cfg: Any, train_cfg: dict[str, Any]) -> None:
        """Add both configurations to the metadata; values that cannot be stored become text."""
        env_cfg = env_cfg.to_dict() if hasattr(env_cfg, "to_dict") else env_cfg
        self.log.update_metadata(configuration({"train_cfg": train_cfg, "env_cfg": env_cfg}))

    def save_model(self, model_path: str, it: int) -> None:
        """Record a checkpoint, as an event ``checkpoint``."""
        self._event(None, "checkpoint", it, {"file": os.fspath(model_path)})

    def save_file(self, path: str) -> None:
        """Copy a file, such as the diff to the last commit, next to the log."""
        self._media.file(None, "file", Path(path).name, Path(path).read_bytes(), Path(path).suffix)

    def save_video(self, video: Path, it: int) -> None:
        """Copy a video next to the log."""
        self._media.file(None, "video", Path(video).name, Path(video).read_bytes(), Path(video).suffix, it)

    def stop(self) -> None:
        """Close the log."""
        self.close()
