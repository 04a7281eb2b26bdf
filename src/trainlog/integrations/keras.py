"""A callback of Keras 3, on any of its backends.

::

    model.fit(x, y, callbacks=[TrainlogCallback("runs/mnist.flog")])
"""

from __future__ import annotations

import os
from typing import Any

from trainlog.errors import MissingExtra
from trainlog.integrations import stats
from trainlog.integrations.late_log import LateLog
from trainlog.recorder import TrainingRecorder

try:
    from keras.callbacks import Callback
except ImportError as error:
    raise MissingExtra(f'this needs Keras 3 and a backend: pip install "trainlog[keras]" jax ({error})') from error

__all__ = ["TrainlogCallback"]


class TrainlogCallback(Callback):
    """Records each epoch as a stats frame: ``step``, the batches so far, ``epoch`` from 0, and Keras' own names.

    The model's name, its optimizer and the arguments of ``fit`` are metadata. The log is closed when ``fit`` returns,
    and is continued by the next call.
    """

    def __init__(self, log: str | os.PathLike[str] | TrainingRecorder, *, every: int = 0, **settings: Any) -> None:
        """Create the callback; the log starts with the training.

        Args:
            log: a path, or a recorder, which stays open.
            every: also record every N-th batch, as ``batch/loss`` and the like; 0 for none.
            **settings: arguments of `trainlog.TrainingRecorder`, for a path.

        Raises:
            ValueError: when *every* is negative.

        """
        super().__init__()
        if every < 0:
            raise ValueError(f"every is a number of batches, 0 for none, not {every!r}")
        self._log = LateLog(log, settings)
        self._every = every
        self._batches = self._before_epoch = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the log."""
        self._before_epoch = self._batches
        optimizer = getattr(self.model, "optimizer", None)
        facts = {"model": self.model.name, "optimizer": None if optimizer is None else optimizer.get_config()}
        self._log.hyperparameters({**facts, **(self.params or {})})

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count a batch, or several that Keras runs as one (``steps_per_execution``), and record it if requested."""
        before, in_epoch = self._batches, (self.params or {}).get("steps")
        # The last execution of an epoch has the number of a batch that may not exist.
        self._batches = self._before_epoch + (batch + 1 if in_epoch is None else min(batch + 1, in_epoch))
        if self._every and self._batches // self._every > before // self._every:
            values = {f"batch/{key}": value for key, value in (logs or {}).items()}
            self._log.recorder().record_stats_frame(None, stats(values, self._batches))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record an epoch."""
        self._before_epoch = self._batches
        self._log.recorder().record_stats_frame(None, stats({"epoch": epoch, **(logs or {})}, self._batches))

    def on_train_end(self, logs: Any = None) -> None:
        """Close the log."""
        self._log.close()
