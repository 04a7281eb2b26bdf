"""Stable-Baselines3: its logger's values, and the episodes.

::

    model.learn(100_000, callback=TrainlogCallback("run.flog"))
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, Unpack

import numpy as np

from trainlog.environments import Settings, VectorRecorder
from trainlog.errors import MissingExtra
from trainlog.integrations import configuration, settings_with, stats
from trainlog.media import MediaRecorder
from trainlog.recorder import TrainingRecorder

try:
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.logger import Figure, HParam, Image, KVWriter, Video
except ImportError as error:
    raise MissingExtra(f'this needs Stable-Baselines3: pip install "trainlog[sb3]" ({error})') from error

__all__ = ["TrainlogCallback", "TrainlogOutputFormat"]

NAME = "trainlog"
"""The name for excluding keys: ``logger.record("time/fps", fps, exclude="trainlog")``."""

_PROGRESS: Final = ("start_time", "num_timesteps", "exploration_rate")  # attributes of algorithms, not arguments


class TrainlogOutputFormat(KVWriter):
    """An output format for the logger: ``Logger(None, [TrainlogOutputFormat("run.flog")])``.

    Each dump is a stats frame: ``step``, and the values as they were recorded. Videos, figures and images are events,
    see `trainlog.media`; hyperparameters are metadata.
    """

    def __init__(self, log: str | os.PathLike[str] | TrainingRecorder, **settings: Any) -> None:
        """Create the log.

        Args:
            log: a path, where a log is created, or a recorder, which stays open.
            **settings: arguments of `trainlog.TrainingRecorder`, for a path.

        Raises:
            As `trainlog.TrainingRecorder`.

        """
        self._is_own = not isinstance(log, TrainingRecorder)
        self.log = log if isinstance(log, TrainingRecorder) else TrainingRecorder(log, **settings)
        self._media = MediaRecorder(self.log)
        self._before = 0

    def count_from(self, step: int) -> None:
        """Add *step* to the steps of all dumps: those that were made before the logger's count began."""
        self._before = step

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Record one dump of the logger; raises as `trainlog.TrainingRecorder.record_stats_frame`."""
        now, step = self.log.now(), self._before + step
        values: dict[str, Any] = {}
        for key, value in key_values.items():
            match value:
                case _ if NAME in (key_excluded.get(key) or ()):
                    pass
                case Video():
                    self._media.video(now, key, value.frames, fps=value.fps, axes="NTCHW", step=step)
                case Image(image=str() | os.PathLike() as path):
                    with open(path, "rb") as file:
                        self._media.file(now, "image", key, file.read(), os.path.splitext(path)[1], step)  # noqa: PTH122
                case Image():
                    self._media.image(now, key, value.image, axes=value.dataformats, step=step)
                case Figure():
                    self._media.figure(now, key, value.figure, step=step)
                    if value.close:
                        from matplotlib import pyplot

                        pyplot.close(value.figure)
                case HParam():
                    self.log.update_metadata(configuration(value.hparam_dict))
                    values.update(value.metric_dict)
                case _:
                    values[key] = value
        if values:
            self.log.record_stats_frame(now, stats(values, step))

    def close(self) -> None:
        """Close the log, unless it was given as a recorder."""
        if self._is_own:
            self.log.close()


class TrainlogCallback(BaseCallback):
    """Records what the logger dumps, every step of the environments as a creature frame, and the episodes.

    The metadata are the algorithm, its arguments and the environment. A log at a path is created when training starts,
    closed when it ends, and resumed when ``learn`` is called again.
    """

    def __init__(
        self,
        log: str | os.PathLike[str] | TrainingRecorder,
        *,
        observations: bool = False,
        actions: bool = True,
        recorder: Mapping[str, Any] | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """Create the callback; the log starts with the training.

        Args:
            log: a path, or a recorder, which stays open.
            observations: whether to record the observation after each step.
            actions: whether to record the actions.
            recorder: arguments of `trainlog.TrainingRecorder`, for a path.
            **settings: settings for steps and episodes; see `trainlog.environments.Settings`.

        """
        super().__init__()
        self._to = log
        self._observations = observations
        self._actions = actions
        self._arguments = dict(recorder or {})
        self._settings = settings
        self._format: TrainlogOutputFormat | None = None
        self._steps: VectorRecorder | None = None
        self._before = 0  # the steps of earlier calls of ``learn``, which the algorithm does not count any more

    @property
    def log(self) -> TrainingRecorder:
        """The recorder, during training."""
        if self._format is None:
            raise RuntimeError("there is no log before the training starts")
        return self._format.log

    def _on_training_start(self) -> None:
        self._leave()  # no callback is called when Ctrl-C or an error ends a training
        if isinstance(self._to, TrainingRecorder):
            self._format = TrainlogOutputFormat(self._to)
        else:
            facts = _facts(self.model)
            given = {"task": facts["env"], **self._arguments}
            settings = settings_with(facts, given, again=self._steps is not None)
            self._format = TrainlogOutputFormat(self._to, **settings)
        self.logger.output_formats.append(self._format)
        last = self.model._last_obs if self._observations else None
        is_new = self._steps is None
        if self._steps is None:
            begun: Settings = {"step": self.num_timesteps, **self._settings}
            self._steps = VectorRecorder(self.log, self.training_env.num_envs, "same_step", **begun)
        self._steps.log = self.log
        counts_anew = self.num_timesteps == 0  # and the environments were reset
        if is_new or counts_anew:
            self._steps.reset(last)
        if counts_anew:
            self._before = self._steps.steps
        self._format.count_from(self._before)

    def _on_step(self) -> bool:
        infos, dones = self.locals["infos"], np.asarray(self.locals["dones"], np.bool_)
        truncated = dones & [bool(info.get("TimeLimit.truncated")) for info in infos]
        assert self._steps is not None
        self._steps.step(
            self.locals["rewards"],
            dones & ~truncated,
            truncated,
            obs=self.locals["new_obs"] if self._observations else None,
            final_obs=[info.get("terminal_observation") for info in infos] if self._observations else None,
            data={"action": self.locals["actions"]} if self._actions else None,
        )
        return True

    def _on_training_end(self) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._format is not None:
            if self._format in self.logger.output_formats:
                self.logger.output_formats.remove(self._format)
            self._format.close()


def _facts(model: Any) -> dict[str, Any]:
    """The algorithm, its arguments that are numbers or text, and the environment."""
    values = {key: one for key, one in vars(model).items() if not key.startswith("_") and key not in _PROGRESS}
    facts = {key: one for key, one in values.items() if isinstance(one, str | int | float)}
    try:
        name = getattr(model.env.get_attr("spec")[0], "id", "")
    except AttributeError:  # the environment of an adapter has no such attribute, or is missing
        name = ""
    return {"algorithm": type(model).__name__, "policy": type(model.policy).__name__, "env": name, **facts}
