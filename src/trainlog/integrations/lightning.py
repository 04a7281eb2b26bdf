"""A logger for Lightning.

::

    Trainer(logger=TrainlogLogger("runs/mnist.flog"))
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainlog.codecs.plain_object import plain_object
from trainlog.errors import MissingExtra
from trainlog.integrations import stats
from trainlog.integrations.late_log import LateLog
from trainlog.media import MediaRecorder
from trainlog.recorder import TrainingRecorder

# One library under two names, whose trainers accept only their own loggers: use the one that is already imported.
if TYPE_CHECKING:
    from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
    from pytorch_lightning.utilities import rank_zero_only
else:
    try:
        if "pytorch_lightning" in sys.modules and "lightning" not in sys.modules:
            raise ImportError
        from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
        from lightning.pytorch.utilities import rank_zero_only
    except ImportError:
        try:
            from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
            from pytorch_lightning.utilities import rank_zero_only
        except ImportError as error:
            raise MissingExtra(f'this needs Lightning: pip install "trainlog[lightning]" ({error})') from error

__all__ = ["TrainlogLogger"]


class TrainlogLogger(Logger):
    """Records what a ``LightningModule`` logs: one stats frame for each call of the trainer, with its ``step``.

    Hyperparameters are metadata, including late ones. Only the process of rank 0 writes. When the trainer is done, the
    log records how it ended and is closed; the next call of the trainer continues it.
    """

    def __init__(self, log: str | os.PathLike[str] | TrainingRecorder, **settings: Any) -> None:
        """Create the logger; the log starts with the first hyperparameters or numbers.

        Args:
            log: a path, or a recorder, which stays open.
            **settings: arguments of `trainlog.TrainingRecorder`, for a path.

        """
        super().__init__()
        self._path = Path(log.path if isinstance(log, TrainingRecorder) else log)
        self._log = LateLog(log, settings)

    @property
    def name(self) -> str:
        """The name of the log without its suffix; checkpoints are in a folder of that name next to it."""
        return self._path.stem

    @property
    def version(self) -> int:
        """Always 0."""
        return 0

    @property
    def save_dir(self) -> str:
        """The folder of the log."""
        return str(self._path.parent)

    @property
    @rank_zero_experiment  # type: ignore[untyped-decorator]
    def experiment(self) -> Any:
        """An object with the methods of the recorder; in processes of other ranks it ignores every call."""
        return _Recorder(self._log)

    @property
    def media(self) -> MediaRecorder:
        """A recorder for images, videos and the like: ``logger.media.image(None, "digits", pixels, step=step)``."""
        return MediaRecorder(self._log.recorder())

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Record hyperparameters: a map, a namespace or a dataclass."""
        values = params if hasattr(params, "items") else plain_object(params)
        self._log.hyperparameters(dict(values.items()))

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Record numbers."""
        self._log.recorder().record_stats_frame(None, stats(metrics, step))

    @rank_zero_only  # type: ignore[untyped-decorator]
    def finalize(self, status: str) -> None:
        """Close the log, with how the trainer ended: a propagating exception says more than *status*."""
        self._log.recorder()
        if status in ("success", "finished"):
            self._log.close("finished")
        else:
            self._log.close(*(("failed", status) if sys.exc_info()[1] is None else ()))


class _Recorder:
    """The recorder, opened on first use: the trainer asks for it before it passes the hyperparameters."""

    def __init__(self, log: LateLog) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log.recorder(), name)
