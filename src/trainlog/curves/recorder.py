"""TrainingCurveRecorder: the curves of a training run, episode by episode."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from trainlog import registry
from trainlog.codec import Reader, Writer
from trainlog.conventions import Conventions
from trainlog.curves.agent import agent_metrics, to_float, to_whole
from trainlog.draw import Chart, Line, moving_average
from trainlog.draw.color import mix, parse_color, with_contrast
from trainlog.draw.theme import ThemeName, find_theme
from trainlog.errors import EmptyLog
from trainlog.model import Frame, Kind
from trainlog.plot.save import save_figure
from trainlog.storage.file_names import file_names
from trainlog.storage.location import local_path
from trainlog.storage.replace import atomic_write
from trainlog.strictjson import strict_json
from trainlog.table.table import Table

__all__ = ["StatsLog", "TrainingCurveRecorder"]

_RAW_CONTRAST: Final = 3.0  # contrast of the raw values to the background
_RAW_WIDTH: Final = 1.0
_AVERAGE_WIDTH: Final = 2.75
_DEFAULT_METRIC_COLOR: Final = "#6b7280"
_METRIC_COLORS: Final = {
    "perception_encoder_loss": "#8a5cf6",
    "value_q_omega_loss": "#c0392b",
    "value_gvf_loss": "#d35400",
    "policy_q_loss": "#2980b9",
    "policy_termination_loss": "#16a085",
    "model_loss": "#7f8c8d",
    "model_done_loss": "#34495e",
}
_RESERVED_NAMES: Final = ("reward_curve", "training_state", "reward_history", "reward_history_checkpoint")

# The keys of a stats frame that the recorder writes through to a log. `curve` holds its prefix and marks such a frame.
_OWN_KEYS: Final = ("curve", "average_window", "episode", "reward", "avg_reward", "epsilon", "options")
_ASIDE: Final = "metrics/"  # prefix of a metric that has the name of one of those
_TAKEN: Final = re.compile(rf"(?:{_ASIDE})*(?:{'|'.join(_OWN_KEYS)})")


class StatsLog(Protocol):
    """A log that the recorder can write to, such as `trainlog.TrainingRecorder`."""

    def record_stats_frame(self, timestamp: float | None, stats: Mapping[str, Any]) -> None:
        """Record statistics at a time; None is the current time."""
        ...


class _Episode(NamedTuple):
    """The results of an episode; None if unknown."""

    episode: int
    reward: float
    average: float
    epsilon: float | None
    options: float | None
    metrics: Mapping[str, float]


@dataclass(slots=True)
class TrainingCurveRecorder:
    """Collects reward, moving average, training state and metrics of every episode; ``save()`` draws them.

    ::

        with trainlog.TrainingRecorder("runs/7/run.flog") as log:
            curves = trainlog.TrainingCurveRecorder("runs/7", "ant", log=log)
            for episode in range(1000):
                ...
                curves.log_episode(episode, reward, avg_reward, agent)
            curves.save()

    With a ``log``, nothing is lost when the process is killed: ``TrainingCurveRecorder.from_log("runs/7/run.flog")``
    draws the same figures with ``save()``.

    Attributes:
        output_dir: folder of the figures; created when it is needed.
        prefix: the beginning of every file name.
        average_window: number of episodes in the moving averages.
        reward_color, average_color, epsilon_color, option_color: ``#rrggbb``, ``#rgb`` or a CSS name.
        reward_history, average_history, epsilon_history, option_history: a value for each episode; NaN for none.
        metric_histories: the same for each metric, by name.
        checkpoint_every: number of episodes between calls to ``save_checkpoint``; 0 for never.
        metric_colors: colours by name of the metric.
        episode_history: the number of each episode.
        log: a `trainlog.TrainingRecorder` or `trainlog.Writer`; every episode is written to it at once.
        width, height: the size of a figure, in pixels; its PNG is twice as large.
        theme: ``"light"`` or ``"dark"``.

    """

    output_dir: str | os.PathLike[str]
    prefix: str = "training"
    average_window: int = 100
    reward_color: str = "#264653"
    average_color: str = "#2a9d8f"
    epsilon_color: str = "#e76f51"
    option_color: str = "#457b9d"
    reward_history: list[float] = field(default_factory=list)
    average_history: list[float] = field(default_factory=list)
    epsilon_history: list[float] = field(default_factory=list)
    option_history: list[float] = field(default_factory=list)
    metric_histories: dict[str, list[float]] = field(default_factory=dict)
    checkpoint_every: int = 0
    metric_colors: dict[str, str] = field(default_factory=lambda: dict(_METRIC_COLORS))
    episode_history: list[int] = field(default_factory=list)
    log: StatsLog | Writer | None = None
    width: int = 960
    height: int = 540
    theme: ThemeName = "light"
    _start_time: float = field(default_factory=time.monotonic, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.output_dir = Path(self.output_dir)
        self.average_window = max(int(self.average_window), 1)

    def log_episode(
        self,
        episode: int,
        reward: float,
        avg_reward: float | None = None,
        agent: Any = None,
        *,
        epsilon: float | None = None,
        options: float | None = None,
        **metrics: float,
    ) -> None:
        """Record the results of an episode.

        Args:
            episode: the number of the episode.
            reward: the return of the episode.
            avg_reward: the trainer's own average; None for the mean of the last ``average_window`` returns.
            agent: its metrics are recorded, see `trainlog.curves.SupportsTrainingMetrics`; None for none.
            epsilon: how often the agent explored; overrides the value of the agent.
            options: how many options (skills) the agent has; overrides the value of the agent.
            metrics: more numbers by name; they override those of the agent.

        Raises:
            UnsupportedFrame: when a value is not a number; then nothing is recorded.
            ClosedLog, LogWriteError: from the log, if there is one.

        """
        known = agent_metrics(agent)
        numbers = known.metrics | {name: to_float(name, value) for name, value in metrics.items()}
        epsilon = known.epsilon if epsilon is None else to_float("epsilon", epsilon)
        options = known.options if options is None else to_float("options", options)
        reward = to_float("reward", reward)
        if avg_reward is None:
            # Only the window is copied: a copy of the whole history would make a long training quadratic.
            first = max(len(self.reward_history) + 1 - self.average_window, 0)
            avg_reward = _mean(list(filter(math.isfinite, [*self.reward_history[first:], reward])))
        number = to_whole("episode", episode)
        results = _Episode(number, reward, to_float("avg_reward", avg_reward), epsilon, options, numbers)
        self._write_to_log(results)
        self._append(results)
        if self.checkpoint_every > 0 and (results.episode + 1) % self.checkpoint_every == 0:
            self.save_checkpoint()

    def _append(self, results: _Episode) -> None:
        """Add an episode to all histories, or to none if Ctrl-C or the like interrupts."""
        histories: list[list[Any]] = [self.episode_history, self.reward_history, self.average_history]
        histories += [self.epsilon_history, self.option_history, *self.metric_histories.values()]
        before = [(history, len(history)) for history in histories]
        names = [*self.metric_histories]
        try:
            self._append_each(results)
        except BaseException:
            for history, length in before:
                del history[length:]
            for name in [name for name in self.metric_histories if name not in names]:
                del self.metric_histories[name]
            raise

    def _append_each(self, results: _Episode) -> None:
        earlier = len(self.reward_history)
        self.episode_history.append(results.episode)
        self.reward_history.append(results.reward)
        self.average_history.append(results.average)
        self.epsilon_history.append(math.nan if results.epsilon is None else results.epsilon)
        self.option_history.append(math.nan if results.options is None else results.options)
        for name in results.metrics:
            self.metric_histories.setdefault(name, [math.nan] * earlier)
        for name, history in self.metric_histories.items():
            history.append(results.metrics.get(name, math.nan))

    def _write_to_log(self, results: _Episode) -> None:
        if self.log is None:
            return
        values = (self.prefix, self.average_window, *results[:-1])
        stats = {key: value for key, value in zip(_OWN_KEYS, values, strict=True) if value is not None}
        stats |= {_ASIDE + name if _TAKEN.fullmatch(name) else name: value for name, value in results.metrics.items()}
        if isinstance(self.log, Writer):
            self.log.write(Frame(time.monotonic() - self._start_time, Kind.STATS, stats))
        else:
            self.log.record_stats_frame(None, stats)

    @classmethod
    def from_log(
        cls, path: str | os.PathLike[str], output_dir: str | os.PathLike[str] | None = None, **fields: Any
    ) -> TrainingCurveRecorder:
        """Restore the recorder as it was when the log ended, for whatever reason; ``save()`` draws its figures.

        It is restored from the stats frames that a recorder wrote through to the log. A log without such frames is
        also read as a log of episodes: `trainlog.conventions` determines which columns are the reward and the episode,
        and every other number except clocks is a metric.

        Args:
            path: a log of any format.
            output_dir: folder of the figures; by default that of the log.
            fields: other fields of the recorder. ``prefix`` selects one if several recorders wrote to the log.

        Raises:
            LogNotFound, UnknownFormat, DamagedLog: as `trainlog.open`.
            EmptyLog: when there are no stats frames with a reward, or none of that ``prefix``.

        """
        reader = registry.open(path)
        path = reader.path
        folder = local_path(path.parent if output_dir is None else output_dir)
        if (replayed := cls._replayed(reader, folder, fields)) is not None:
            return replayed
        recorder = cls(folder, **fields)
        recorder._take(reader.table(Kind.STATS), Conventions.of(reader.header), path)
        return recorder

    @classmethod
    def _replayed(cls, reader: Reader, folder: Path, fields: Mapping[str, Any]) -> TrainingCurveRecorder | None:
        """Restore from the frames of a recorder, each as ``log_episode`` received it; None when there are none."""
        recorder: TrainingCurveRecorder | None = None
        prefix, has_own = fields.get("prefix"), False
        for frame in reader.frames(Kind.STATS) if _has_curve(reader) else ():
            if not _is_own(frame.data):
                continue
            has_own = True
            curve, window, *values = (frame.data.get(key) for key in _OWN_KEYS)
            if prefix is None:
                prefix = curve
            if curve != prefix:
                continue
            if recorder is None:
                name = re.sub(r"[/\\\0]", "_", str(curve))  # a log must not choose the folder that is written to
                recorder = cls(folder, **{"prefix": name, "average_window": window, **fields})
            metrics = {
                key.removeprefix(_ASIDE) if _TAKEN.fullmatch(key) else key: float(value)
                for key, value in frame.data.items()
                if key not in _OWN_KEYS and isinstance(value, int | float)
            }
            recorder._append(_Episode._make([*values, metrics]))
        if recorder is None and has_own:
            raise EmptyLog(f"no curve recorder with the prefix {prefix!r} wrote to it", path=reader.path)
        return recorder

    def _take(self, table: Table, conventions: Conventions, path: Path) -> None:
        """Fill the histories from the statistics of any trainer."""
        numbers = {key: table.numbers(key) for key in table if table[key].ndim == 1}
        rewards = conventions.reward(numbers, lambda key: bool(np.isfinite(numbers[key]).any()))
        if rewards is None:
            raise EmptyLog("there are no stats frames with a reward", path=path)
        episodes = conventions.axis("episode", numbers)
        places = np.arange(table.rows, dtype=np.float64)
        episode = places if episodes is None else numbers[episodes.key]
        reward = numbers.pop(rewards)
        nothing = np.full(table.rows, np.nan)
        self.episode_history += np.where(np.isfinite(episode), episode, places).astype(np.int64).tolist()
        self.reward_history += reward.tolist()
        average = numbers.pop("avg_reward", None)
        self.average_history += (moving_average(reward, self.average_window) if average is None else average).tolist()
        self.epsilon_history += numbers.pop("epsilon", nothing).tolist()
        self.option_history += numbers.pop("options", nothing).tolist()
        for key, values in numbers.items():
            if not conventions.is_clock(key) and (table[key].dtype != object or np.isfinite(values).any()):
                self.metric_histories[key] = values.tolist()

    def save(self) -> list[Path]:
        """Draw all figures, as SVG and PNG, and write the history. Nothing is written before the first episode.

        Returns:
            The files: ``{prefix}_reward_curve``, ``{prefix}_training_state`` (if epsilon or options are known),
            ``{prefix}_{metric}`` for each metric, and ``{prefix}_reward_history.json``.

        Raises:
            LogWriteError: when a file cannot be written.

        """
        if not self.reward_history:
            return []
        written: list[Path] = []
        history = self._write_history("reward_history", self._history())  # first: a figure might fail
        for name, chart in self._charts():
            stem = Path(self.output_dir, f"{self.prefix}_{name}")
            written += save_figure(chart, stem, width=self.width, height=self.height, theme=self.theme)
        return [*written, history]

    def save_checkpoint(self) -> None:
        """Write only the histories, as ``{prefix}_reward_history_checkpoint.json``.

        Raises:
            LogWriteError: when the file cannot be written.

        """
        if self.reward_history:
            self._write_history("reward_history_checkpoint", {**self._history(), "checkpoint": True})

    def _write_history(self, name: str, payload: Mapping[str, Any]) -> Path:
        path = Path(self.output_dir, f"{self.prefix}_{name}.json")
        with atomic_write(path) as file:
            file.write(f"{strict_json(payload, indent=2)}\n".encode())
        return path

    def _history(self) -> dict[str, Any]:
        finite = [reward for reward in self.reward_history if math.isfinite(reward)]
        return {
            "average_window": self.average_window,
            "episodes": len(self.reward_history),
            "episode_history": self.episode_history,
            "reward_history": self.reward_history,
            "average_history": self.average_history,
            "epsilon_history": self.epsilon_history,
            "option_history": self.option_history,
            "metric_histories": self.metric_histories,
            "best_reward": max(finite, default=None),
            "final_reward": self.reward_history[-1],
            "final_average": self.average_history[-1],
        }

    def _charts(self) -> Iterator[tuple[str, Chart]]:
        def chart(title: str, y_label: str, lines: Sequence[Line]) -> Chart:
            return Chart(title=f"{self.prefix} {title}", x_label="Episode", y_label=y_label, marks=lines)

        def smoothed(label: str, values: Sequence[float], color: str, average_color: str, raw: str) -> list[Line]:
            mean = moving_average(values, self.average_window)
            pale = with_contrast(color, find_theme(self.theme).background, _RAW_CONTRAST, fade=color == average_color)
            name = f"{label}mean of {self.average_window}, trailing"
            return [
                Line(self._x(values), values, raw, pale, _RAW_WIDTH),
                Line(self._x(values), mean, name, average_color, _AVERAGE_WIDTH),
            ]

        colors = self._color(self.reward_color), self._color(self.average_color)
        reward = smoothed("", self.reward_history, *colors, "reward")
        yield "reward_curve", chart("reward over episodes", "Reward", reward)

        state = [
            Line(self._x(values), values, label, self._color(color), width=2.5)
            for label, values, color in (
                ("epsilon", self.epsilon_history, self.epsilon_color),
                ("options", self.option_history, self.option_color),
            )
            if not all(map(math.isnan, values))
        ]
        if state:
            yield "training_state", chart("exploration and option count", "Value", state)

        stems = file_names(sorted(self.metric_histories), _RESERVED_NAMES)
        for name, stem in stems.items():
            label, values = name.replace("_", " "), self.metric_histories[name]
            color = self._color(self.metric_colors.get(name, _DEFAULT_METRIC_COLOR))
            lines = smoothed(f"{label} ", values, color, color, f"{label} raw")
            yield stem, chart(f"{label} over episodes", label, lines)

    def _color(self, color: str) -> str:
        """The colour, lightened for a dark background."""
        return mix(parse_color(color), "#ffffff", 0.45) if self.theme == "dark" else parse_color(color)

    def _x(self, values: Sequence[float]) -> Sequence[int] | None:
        """The numbers of the episodes; None when the caller filled the histories without them."""
        return self.episode_history if len(self.episode_history) == len(values) else None


def _has_curve(reader: Reader) -> bool:
    try:
        return bool(reader.table(Kind.STATS, keys=["curve"]).rows)
    except KeyError:
        return False


def _is_own(data: Mapping[str, Any]) -> bool:
    """Whether a recorder wrote this frame; another trainer can have a metric named ``curve``."""
    whole, numbers = ("average_window", "episode"), ("reward", "avg_reward")
    return (
        isinstance(data.get("curve"), str)
        and all(isinstance(data.get(key), int) for key in whole)
        and all(isinstance(data.get(key), int | float) for key in numbers)
        and all(isinstance(data.get(key, 0.0), int | float) for key in ("epsilon", "options"))
    )


def _mean(values: Sequence[float]) -> float:
    """The mean of finite values; NaN for none."""
    if not values:
        return math.nan
    try:
        return math.fsum(values) / len(values)
    except OverflowError:  # only the sum is too large for a float, not the mean
        return math.fsum(value / len(values) for value in values)
