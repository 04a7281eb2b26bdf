"""A callback for Ray Tune and Ray Train: a log for each trial.

::

    RunConfig(callbacks=[TrainlogLoggerCallback("runs")])

or, without changing the script, ``RAY_TUNE_CALLBACKS=trainlog.integrations.ray.TrainlogLoggerCallback``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from trainlog.errors import MissingExtra
from trainlog.integrations import configuration, settings_with, stats
from trainlog.recorder import TrainingRecorder

try:
    from ray.tune.logger import LoggerCallback
except ImportError as error:
    raise MissingExtra(f'this needs Ray Tune: pip install "trainlog[tune]" ({error})') from error

__all__ = ["TrainlogLoggerCallback"]


class TrainlogLoggerCallback(LoggerCallback):
    """Records each result of a trial as a stats frame, with ``training_iteration`` as ``step``.

    The metadata are the trial's name, its identifier and its configuration. The log records how the trial ended.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, **settings: Any) -> None:
        """Create the callback, which starts a log with each trial.

        Args:
            folder: the folder of the logs, ``<experiment>/<trial>.flog``; by default each log is ``run.flog`` in its
                trial's folder.
            **settings: arguments of `trainlog.TrainingRecorder`.

        """
        self._folder = None if folder is None else Path(folder)
        self._settings = settings
        self._logs: dict[Any, TrainingRecorder] = {}
        self._started: set[Path] = set()

    def log_trial_start(self, trial: Any) -> None:
        """Start the log of a trial; the log of a restored trial is continued."""
        if trial in self._logs:
            return
        path = Path(trial.local_path, "run.flog")
        if self._folder is not None:
            path = self._folder / trial.storage.experiment_dir_name / f"{trial}.flog"
        facts = {"trial": str(trial), "trial_id": trial.trial_id, **configuration(trial.config)}
        resume = not self._settings.get("overwrite", False)
        given = {"task": str(trial.trainable_name), "resume": resume, **self._settings}
        settings = settings_with(facts, given, again=path in self._started)  # a trial that failed is started again
        self._started.add(path)
        self._logs[trial] = TrainingRecorder(path, **settings)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Record a result; values that a log cannot hold become text, as in Ray's own files."""
        self.log_trial_start(trial)
        values = configuration({key: one for key, one in result.items() if key != "config"})
        self._logs[trial].record_stats_frame(None, stats(values, values.get("training_iteration")))

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Record how a trial ended, and close its log."""
        log = self._logs.pop(trial, None)
        if log is not None:
            log.close("failed" if failed else "finished")
