"""EnvironmentRecorder and VectorRecorder: the steps and episodes of one environment, or of many in a shared frame.

``docs/environments.md`` lists the keys. `trainlog.episodes` separates the environments again.
"""

from __future__ import annotations

import enum
import operator
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from trainlog.codecs.plain_object import as_array
from trainlog.conventions import EPISODE_END, EPISODE_START
from trainlog.episode_summary import EpisodeType
from trainlog.errors import TrainlogWarning
from trainlog.writers.combine import snapshot

__all__ = ["EnvironmentRecorder", "Settings", "VectorRecorder", "leaves", "of_row", "whole_number"]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

Autoreset = Literal["next_step", "same_step", "disabled"] | enum.Enum  # or Gymnasium's AutoresetMode

# What the next row of an environment is: a step of its episode, the first step of an episode, its reset, or nothing.
_OPEN, _BEGINS, _RESETS, _ENDED = range(4)
_AFTER_END: Final = {"next_step": _RESETS, "same_step": _BEGINS, "disabled": _ENDED}


class Log(Protocol):
    """The methods of a recorder that are used here."""

    def record_creature_frame(self, timestamp: float | None, data: Mapping[str, Any], /) -> None: ...
    def record_stats_frame(self, timestamp: float | None, stats: Mapping[str, Any], /) -> None: ...
    def record_event(
        self, timestamp: float | None, event_type: str, data: Mapping[str, Any] | str | None = None, /
    ) -> None: ...


def leaves(value: Any) -> Any:
    """An observation or action as a frame holds it: a tuple becomes a map with the keys "0", "1", and so on."""
    if isinstance(value, Mapping):
        return {str(key): leaves(one) for key, one in value.items()}
    if isinstance(value, tuple):
        names = getattr(value, "_fields", range(len(value)))
        return {str(name): leaves(one) for name, one in zip(names, value, strict=True)}
    return value


class Settings(TypedDict, total=False):
    """The settings of every environment recorder and every wrapper; all are keyword arguments.

    Attributes:
        every: record only every n-th step of an episode, and always the first and the last. The end of each episode
            records its full length and return. 1 by default.
        env_id: the number of the environment in the log, or of the first of several; 0 by default. Other environments
            in the same log need other numbers.
        step: how many steps a resumed run had before; 0 by default.
        episode: how many of its episodes had ended; 0 by default.
        episode_type: what the episodes are for, ``training`` (by default) or ``evaluation``.
        stats: also record a stats frame at the end of each episode: ``step``, ``episode``, ``env``, ``return``,
            ``length``. True by default.

    """

    every: int
    env_id: int
    step: int
    episode: int
    episode_type: str
    stats: bool


class _Recorder:
    """The part that both recorders share: the settings, and writing the events of an episode."""

    def __init__(
        self,
        log: Log,
        *,
        every: int = 1,
        env_id: int = 0,
        step: int = 0,
        episode: int = 0,
        episode_type: str = "training",
        stats: bool = True,
    ) -> None:
        if not hasattr(log, "record_creature_frame"):
            raise TypeError(f"log is a trainlog.TrainingRecorder, not {log!r}")
        every = whole_number(every, 1, "every is a number of steps, 1 or more")
        env_id = whole_number(env_id, 0, "env_id is the number of an environment, 0 or more")
        self.steps = whole_number(step, 0, "step is a number of steps, 0 or more")
        self.episodes = whole_number(episode, 0, "episode is a number of episodes, 0 or more")
        self.log = log
        self._every = every
        self._env_id = env_id
        self._stats = stats
        try:
            EpisodeType.of(episode_type)
        except (AttributeError, TypeError, ValueError):  # readers would take it for training
            raise ValueError(f"episode_type is training or evaluation, not {episode_type!r}") from None
        self._about: dict[str, Any] = {"episode_type": episode_type}
        if every > 1:
            self._about["every"] = every

    def _started(self, env: Any, obs: Any) -> None:
        # The step is that of the first frame, so that going back to an earlier step takes back both.
        event = {"env": env, "step": self.steps, **self._about}
        if obs is not None:
            event["obs"] = obs
        self.log.record_event(None, EPISODE_START, event)

    def _finished(self, env: int, length: int, total: float, episode: int) -> None:
        if self._stats:
            row = {"step": self.steps, "episode": episode, "env": env, "return": total, "length": length}
            self.log.record_stats_frame(None, row)


class EnvironmentRecorder(_Recorder):
    """Records the steps of one environment, one creature frame per step, and the events of its episodes.

    Attributes:
        log: where the frames are recorded; it can be replaced, when a log is continued by another recorder.
        steps: how many steps there were, including those that were not recorded.
        episodes: how many episodes ended, including those before the run was resumed.

    """

    def __init__(self, log: Log, **settings: Unpack[Settings]) -> None:
        """Create a recorder that writes to *log*.

        Args:
            log: a `trainlog.TrainingRecorder`.
            **settings: see `Settings`.

        Raises:
            TypeError: for a setting that must be an integer and is not.
            ValueError: for a number below its minimum.

        """
        super().__init__(log, **settings)
        self._begins = True
        self._start: Any = None
        self._length = 0
        self._return = 0.0

    def reset(self, obs: Any = None) -> None:
        """Begin an episode with the next step. An open episode stays without an end."""
        self._begins, self._start = True, snapshot(leaves(obs))

    @property
    def is_due(self) -> bool:
        """Whether the next step is recorded in any case."""
        return self._every == 1 or self._begins or self._length % self._every == 0

    def step(self, reward: float, terminated: bool, truncated: bool, data: Mapping[str, Any] | None = None) -> None:
        """Record a step.

        Args:
            reward: the reward of the step.
            terminated: whether the episode reached a terminal state.
            truncated: whether the episode was cut off.
            data: more keys for the frame.

        Raises:
            As `trainlog.TrainingRecorder.record_creature_frame`.

        """
        reward, terminated, truncated = float(reward), bool(terminated), bool(truncated)
        is_due, begins, start = self.is_due, self._begins, self._start
        done = terminated or truncated
        # Everything is counted before anything is recorded, so that an error of the log costs only frames.
        if begins:
            self._start, self._length, self._return = None, 0, 0.0
        self._begins = done
        self.steps += 1
        self.episodes += done
        self._length += 1
        self._return += reward
        if begins:
            self._started(self._env_id, start)
        if is_due or done:
            frame: dict[str, Any] = {"step": self.steps, "env": self._env_id, "reward": reward}
            frame |= {"terminated": terminated, "truncated": truncated}
            self.log.record_creature_frame(None, {**frame, **(data or {})})
        if done:
            event = {"env": self._env_id, "step": self.steps, "terminated": terminated, "truncated": truncated}
            self.log.record_event(None, EPISODE_END, event | {"length": self._length, "return": self._return})
            self._finished(self._env_id, self._length, self._return, self.episodes)


class VectorRecorder(_Recorder):
    """Records the steps of several environments that step together, one creature frame for all of them.

    Attributes:
        log: where the frames are recorded; it can be replaced, when a log is continued by another recorder.
        steps: how many steps all environments made in total, including those that were not recorded.
        episodes: how many episodes ended, including those before the run was resumed.

    """

    def __init__(
        self, log: Log, num_envs: int, autoreset: Autoreset = "next_step", **settings: Unpack[Settings]
    ) -> None:
        """Create a recorder that writes to *log*.

        Args:
            log: a `trainlog.TrainingRecorder`.
            num_envs: the number of environments.
            autoreset: how an environment is reset after the end of its episode, as in Gymnasium: a string or its
                ``AutoresetMode``. ``next_step``: by the next step, which belongs to no episode. ``same_step``: at
                once. ``disabled``: by a call to `reset`.
            **settings: see `Settings`.

        Raises:
            TypeError: for an argument that must be an integer and is not.
            ValueError: for an unknown mode, and for a number below its minimum.

        """
        super().__init__(log, **settings)
        mode = str(getattr(autoreset, "name", autoreset)).lower()
        if mode not in _AFTER_END:
            raise ValueError(f"autoreset is one of {', '.join(_AFTER_END)}, not {autoreset!r}")
        num_envs = whole_number(num_envs, 1, "num_envs is 1 or more")
        self._num_envs = num_envs
        self._after_end = _AFTER_END[mode]
        self._ids: Ints = np.arange(self._env_id, self._env_id + num_envs)
        self._state = np.full(num_envs, _BEGINS, np.int8)
        self._all_open = False
        self._starts: dict[int, Any] = {}
        self._length = np.zeros(num_envs, np.int64)
        self._return = np.zeros(num_envs)
        self._warned = False

    def reset(self, obs: Any = None, mask: Any = None) -> None:
        """Begin episodes with the next step. Open episodes stay without an end.

        Args:
            obs: the observations after the reset: an array of shape (num_envs, ...), or maps of such arrays.
            mask: bools, shape (num_envs,): reset only these environments.

        Raises:
            ValueError: when *mask* or *obs* has another shape.

        """
        rows = range(self._num_envs) if mask is None else np.flatnonzero(self._row("mask", mask, np.bool_)).tolist()
        self._begin(rows, self._by_row("obs", obs))

    def step(
        self,
        reward: Any,
        terminated: Any,
        truncated: Any,
        *,
        obs: Any = None,
        final_obs: Any = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a step of all environments.

        Args:
            reward: numbers, shape (num_envs,).
            terminated: bools, shape (num_envs,): which episodes reached a terminal state.
            truncated: bools, shape (num_envs,): which were cut off.
            obs: the observations by environment: an array of shape (num_envs, ...), or maps and tuples of such arrays.
            final_obs: with the mode ``same_step``, the last observation of each episode that ends, because ``obs``
                holds the one after the reset. A sequence of length num_envs; rows of other episodes are ignored.
                Without it the frames of such steps have no ``obs``.
            data: more keys for the frame; arrays with num_envs rows are by environment.

        Raises:
            TypeError: when *data* is not a map; nothing is recorded.
            ValueError: when an array has another shape; nothing is recorded.
            As `trainlog.TrainingRecorder.record_creature_frame`.

        """
        rewards = self._row("reward", reward, np.float64)
        terminations = self._row("terminated", terminated, np.bool_)
        truncations = self._row("truncated", truncated, np.bool_)
        done = terminations | truncations
        obs = self._by_row("obs", obs)
        self._check(data, final_obs)
        env, real, begun = self._ids, None, None
        # Everything is counted before anything is recorded, so that an error of the log costs only frames.
        if not self._all_open:
            real, begun = self._advance(obs)
            if real.all():
                real = None
            else:
                done &= real
                env = np.where(real, env, -1)
        if real is None:
            self.steps += self._num_envs
            self._length += 1
            self._return += rewards
        else:
            self.steps += int(np.count_nonzero(real))
            self._length += real
            self._return[real] += rewards[real]
        if self._every > 1:
            due = (self._length % self._every == 1) | done
            env = np.where(due, env, -1)
        ended = np.flatnonzero(done) if done.any() else None
        if ended is not None:
            self._end(ended, obs)
        if begun is not None:
            self._started(*begun)
        if (self._every == 1 and real is None) or (env >= 0).any():
            frame: dict[str, Any] = {"step": self.steps, "env": env, "reward": rewards}
            frame |= {"terminated": terminations, "truncated": truncations}
            if data is not None:
                frame |= data
            if obs is not None:
                last = obs
                if ended is not None and self._after_end == _BEGINS:
                    last = _with_final(obs, final_obs, ended)
                if last is not None:
                    frame["obs"] = last
                elif not self._warned:
                    self._warn("the final observations were not given, so the frames of last steps have no obs")
            self.log.record_creature_frame(None, frame)
        if ended is not None:
            self._record_ends(ended, terminations, truncations)

    def _row(self, name: str, values: Any, dtype: Any) -> npt.NDArray[Any]:
        if type(values) is not np.ndarray and hasattr(values, "__array__"):  # a tensor, perhaps on a device
            values = as_array(values)
        row = np.asarray(values, dtype)
        if row.shape != (self._num_envs,):
            raise ValueError(f"{name} has the shape {row.shape}, not ({self._num_envs},): one for each environment")
        return row

    def _check(self, data: Any, final_obs: Any) -> None:
        if not (data is None or isinstance(data, Mapping)):
            raise TypeError(f"data is a map of more keys of the frame, not {type(data).__name__}")
        if final_obs is None:
            return
        count = -1 if isinstance(final_obs, Mapping | str) else _count(final_obs)
        if count != self._num_envs:
            found = f"a {type(final_obs).__name__}" + (f" of {count}" if count >= 0 else "")
            raise ValueError(f"final_obs is a sequence of {self._num_envs}, one for each environment, not {found}")

    def _by_row(self, name: str, values: Any) -> Any:
        """*values* as a frame holds them; they must have one row per environment."""
        values = leaves(values)
        if isinstance(values, dict):
            return {key: self._by_row(f"{name}/{key}", one) for key, one in values.items()}
        if values is None:
            return None
        count = max(0, _count(values))
        if count != self._num_envs:
            raise ValueError(f"{name} has {count} rows, not {self._num_envs}: one for each environment")
        return values

    def _begin(self, rows: Sequence[int], obs: Any) -> None:
        """Let the episodes of *rows* begin with their next step."""
        for row in rows:
            self._state[row] = _BEGINS
            if obs is None:
                self._starts.pop(row, None)
            else:
                self._starts[row] = snapshot(of_row(obs, row))
        self._all_open = False

    def _advance(self, obs: Any) -> tuple[Bools, tuple[Ints, Any] | None]:
        """Begin the episodes that start with this step.

        Returns:
            Which rows are steps: bools, shape (num_envs,). The environments that begin, and their first observations.

        """
        state = self._state
        resets = np.flatnonzero(state == _RESETS).tolist()
        real: Bools = state < _RESETS
        begins = np.flatnonzero(state == _BEGINS)
        begun = None
        if (state == _ENDED).any() and not self._warned:
            self._warn("environments whose episode had ended made a step without a reset; it is in no episode")
        if len(begins):
            starts = [self._starts.pop(row, None) for row in begins.tolist()]
            begun = self._ids[begins], None if any(one is None for one in starts) else _stacked(starts)
            state[begins] = _OPEN
            self._length[begins] = 0
            self._return[begins] = 0.0
        if resets:
            self._begin(resets, obs)
        else:
            self._all_open = bool((state == _OPEN).all())
        return real, begun

    def _end(self, rows: Ints, obs: Any) -> None:
        """End the episodes of *rows*; their lengths and returns stay until the next ones begin."""
        self.episodes += len(rows)
        if self._after_end == _BEGINS:
            self._begin(rows.tolist(), obs)
        self._state[rows] = self._after_end
        self._all_open = False

    def _record_ends(self, rows: Ints, terminated: Bools, truncated: Bools) -> None:
        lengths, returns = self._length[rows], self._return[rows]
        event = {"env": self._ids[rows], "step": self.steps, "terminated": terminated[rows]}
        event |= {"truncated": truncated[rows], "length": lengths, "return": returns}
        self.log.record_event(None, EPISODE_END, event)
        ends = zip(self._ids[rows].tolist(), lengths.tolist(), returns.tolist(), strict=True)
        for episode, (env, length, total) in enumerate(ends, self.episodes - len(rows) + 1):
            self._finished(env, length, total, episode)

    def _warn(self, message: str) -> None:
        self._warned = True
        warnings.warn(TrainlogWarning(message), stacklevel=4)


def whole_number(value: Any, least: int, what: str) -> int:
    """*value* as an integer of at least *least*; the error says *what* it must be."""
    try:
        number = operator.index(int(value) if isinstance(value, float | np.floating) and value.is_integer() else value)
    except TypeError:
        raise TypeError(f"{what}, a whole number, not {value!r}") from None
    if number < least:
        raise ValueError(f"{what}, not {value!r}")
    return number


def _count(values: Any) -> int:
    try:
        return len(values)
    except TypeError:  # a single number
        return -1


def of_row(values: Any, row: int) -> Any:
    """The values of one environment, taken from those of all."""
    return {key: of_row(one, row) for key, one in values.items()} if isinstance(values, dict) else values[row]


def _stacked(values: Sequence[Any]) -> Any:
    """The values of several environments as those of one frame."""
    if isinstance(values[0], dict):
        if any(one.keys() != values[0].keys() for one in values):  # sequences of different lengths
            return list(values)
        return {key: _stacked([one[key] for one in values]) for key in values[0]}
    try:
        return (
            np.stack([np.asarray(one) for one in values])
            if isinstance(values[0], np.ndarray | np.generic)
            else [*values]
        )
    except ValueError:  # of different shapes
        return list(values)


def _with_final(obs: Any, final: Any, rows: Ints) -> Any:
    """*obs* with the final observations in *rows*; None when those are not given."""
    if final is None or any(final[row] is None for row in rows.tolist()):
        return None
    return _replaced(obs, {row: leaves(final[row]) for row in rows.tolist()})


def _replaced(values: Any, rows: Mapping[int, Any]) -> Any:
    """A copy of *values*, by environment, with *rows* replaced."""
    if isinstance(values, dict):
        return {key: _replaced(one, {row: new[key] for row, new in rows.items()}) for key, one in values.items()}
    copy = np.array(values) if isinstance(values, np.ndarray) else list(values)
    for row, new in rows.items():
        copy[row] = new
    return copy
