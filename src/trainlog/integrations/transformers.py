"""A callback for the trainers of Transformers and TRL.

::

    Trainer(..., callbacks=[TrainlogCallback("runs/bert.flog")])
"""

from __future__ import annotations

import os
from typing import Any

from trainlog.errors import MissingExtra
from trainlog.integrations import stats
from trainlog.integrations.late_log import LateLog
from trainlog.recorder import TrainingRecorder

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise MissingExtra(f'this needs Transformers: pip install "trainlog[transformers]" ({error})') from error

__all__ = ["TrainlogCallback"]


class TrainlogCallback(TrainerCallback):
    """Records what a trainer logs, under its own names, one stats frame each time; its arguments are metadata.

    Checkpoints are events. Only the process of rank 0 writes. The log is closed when the training ends; an evaluation
    after it continues the log.
    """

    def __init__(self, log: str | os.PathLike[str] | TrainingRecorder, **settings: Any) -> None:
        """Create the callback; the log starts with the training.

        Args:
            log: a path, or a recorder, which stays open.
            **settings: arguments of `trainlog.TrainingRecorder`, for a path.

        """
        self._log = LateLog(log, settings)
        self._is_training = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the log."""
        self._is_training = True
        if state.is_world_process_zero:
            self._log.hyperparameters(args.to_sanitized_dict())

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Record what was logged."""
        if state.is_world_process_zero and logs:
            self._log.recorder().record_stats_frame(None, stats(logs, state.global_step))
        if not self._is_training:  # no callback marks the last evaluation
            self._log.close()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Record a checkpoint."""
        if state.is_world_process_zero:
            file = f"{args.output_dir}/checkpoint-{state.global_step}"
            self._log.recorder().record_event(None, "checkpoint", {"step": state.global_step, "file": file})

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the log."""
        self._is_training = False
        self._log.close()
