"""A logger for TorchRL.

::

    logger = TrainlogLogger("ppo", "runs")      # was: CSVLogger("ppo", "runs")
"""

from __future__ import annotations

import os
from typing import Any

from trainlog.errors import MissingExtra
from trainlog.integrations import configuration
from trainlog.integrations.torch import SummaryWriter

try:
    from torchrl.record.loggers.common import Logger
except ImportError as error:
    raise MissingExtra(f'this needs TorchRL: pip install "trainlog[torchrl]" ({error})') from error

__all__ = ["TrainlogLogger"]


class TrainlogLogger(Logger):
    """Writes ``<log_dir>/<exp_name>/run.flog``: each number is a stats frame, with its ``step`` if it has one.

    Hyperparameters are metadata; videos and histograms are events, see `trainlog.media`. An existing log is continued.

    Attributes:
        experiment: a `trainlog.integrations.torch.SummaryWriter`.

    """

    experiment: SummaryWriter

    def __init__(self, exp_name: str, log_dir: str | os.PathLike[str] | None = None, **settings: Any) -> None:
        """Create or continue the log.

        Args:
            exp_name: the folder of the log.
            log_dir: the parent of that folder; ``runs`` by default.
            **settings: arguments of `trainlog.TrainingRecorder`.

        Raises:
            LogWriteError: when the log cannot be created.

        """
        self._settings = settings
        super().__init__(exp_name=exp_name, log_dir=os.fspath("runs" if log_dir is None else log_dir))

    def _create_experiment(self) -> SummaryWriter:
        return SummaryWriter(os.path.join(self.log_dir, self.exp_name), **self._settings)  # noqa: PTH118

    def log_scalar(self, name: str, value: Any, step: int | None = None) -> None:
        """Record a number, or an array; raises as `trainlog.TrainingRecorder.record_stats_frame`."""
        self.experiment.add_tensor(name, value, step)

    def log_video(self, name: str, video: Any, step: int | None = None, *, fps: float = 30, **_: Any) -> None:
        """Record videos, shape (N, T, C, H, W), as animated PNG."""
        self.experiment.add_video(name, video, step, fps)

    def log_hparams(self, cfg: Any) -> None:
        """Record hyperparameters; values that a log cannot hold become text."""
        self.experiment.add_hparams(configuration(cfg), {})

    def log_histogram(
        self, name: str, data: Any, *, step: int | None = None, bins: Any = "tensorflow", **_: Any
    ) -> None:
        """Record the distribution of numbers."""
        self.experiment.add_histogram(name, data, step, bins)

    def __repr__(self) -> str:
        return f"TrainlogLogger({self.exp_name!r}, {self.log_dir!r})"
