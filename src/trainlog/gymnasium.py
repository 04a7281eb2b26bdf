"""Wrappers for Gymnasium that record every step and episode of an environment, or of a vector of environments.

::

    env = RecordRun(gymnasium.make("HalfCheetah-v5"), log)
    envs = RecordVectorRun(gymnasium.make_vec("HalfCheetah-v5", num_envs=64), log)

They do not change what the environments return. `trainlog.episodes` reads the episodes back; ``docs/environments.md``
lists the keys.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final, SupportsFloat, Unpack

from trainlog.environments import EnvironmentRecorder, Log, Settings, VectorRecorder, leaves, of_row
from trainlog.errors import MissingExtra, TrainlogWarning

try:
    import gymnasium
    from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
except ImportError as error:
    raise MissingExtra(f'the wrappers need their extra: pip install "trainlog[gymnasium]" ({error})') from error

__all__ = ["RecordRun", "RecordVectorRun"]

LARGE: Final = 4096
"""Bytes of one observation, or of a part of it, above which it is recorded only on request."""

Extra = Callable[[Any], Mapping[str, Any]]


class RecordRun(gymnasium.Wrapper[Any, Any, Any, Any], gymnasium.utils.RecordConstructorArgs):
    """Records each step of an environment as a creature frame, and where its episodes begin and end.

    A frame has ``step`` (of all episodes together), ``env``, ``reward``, ``terminated``, ``truncated``, ``obs`` (the
    observation after the step) and ``action``.

    Attributes:
        recorder: counts the ``steps`` and ``episodes``.

    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        log: Log,
        *,
        observations: bool | None = None,
        actions: bool = True,
        extra: Extra | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """Wrap *env*.

        Args:
            env: the environment.
            log: a `trainlog.TrainingRecorder`.
            observations: whether to record observations. None records the parts of at most 4096 bytes, with a warning
                for other parts, such as images.
            actions: whether to record the actions.
            extra: called with *env* for each recorded step; returns more keys for the frame, such as the state of a
                simulator.
            **settings: ``every``, ``env_id``, ``step``, ``episode``, ``episode_type``, ``stats``: see
                `trainlog.environments.Settings`.

        Raises:
            ValueError: for a number below its minimum.

        """
        gymnasium.utils.RecordConstructorArgs.__init__(
            self,
            _disable_deepcopy=True,
            log=log,
            observations=observations,
            actions=actions,
            extra=extra,
            **settings,
        )
        gymnasium.Wrapper.__init__(self, env)
        self.recorder = EnvironmentRecorder(log, **settings)
        self._observed = _observed(env.observation_space, observations)
        self._actions = actions
        self._extra = extra

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; an open episode stays without an end."""
        obs, info = super().reset(seed=seed, options=options)
        self.recorder.reset(self._observed(obs))
        return obs, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Make a step of the environment and record it; raises as the environment and the log do."""
        obs, reward, terminated, truncated, info = super().step(action)
        data: dict[str, Any] = {}
        if self.recorder.is_due or terminated or truncated:
            if (seen := self._observed(obs)) is not None:
                data["obs"] = leaves(seen)
            if self._actions:
                data["action"] = leaves(action)
            if self._extra is not None:
                data |= self._extra(self.env)
        self.recorder.step(float(reward), terminated, truncated, data)
        return obs, reward, terminated, truncated, info


class RecordVectorRun(VectorWrapper[Any, Any, Any, Any, Any]):
    """Records each step of a vector environment as one creature frame, and where the episodes begin and end.

    All autoreset modes are supported. A frame has ``step`` (of all environments together), and by environment, in
    arrays with num_envs rows: ``env``, its number, or -1 if the row is not a step; ``reward``, ``terminated``,
    ``truncated``, ``obs`` (the observation after the step, even if the environment was reset at once) and ``action``.

    Attributes:
        recorder: counts the ``steps`` and ``episodes`` of all environments.

    """

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        log: Log,
        *,
        observations: bool | None = None,
        actions: bool = True,
        extra: Extra | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """Wrap *envs*; see `RecordRun` for the arguments.

        The keys that *extra* returns are recorded with every frame; arrays with num_envs rows are by environment.

        A vector environment without an autoreset mode in its metadata is assumed to use ``NEXT_STEP``, with a warning,
        as in Gymnasium's own wrappers.

        Raises:
            ValueError: for a number below its minimum.

        """
        super().__init__(envs)
        mode = envs.metadata.get("autoreset_mode")
        if mode is None:
            mode = AutoresetMode.NEXT_STEP
            _warn(f"{envs} has no autoreset_mode in its metadata; it is assumed to be NEXT_STEP")
        self.recorder = VectorRecorder(log, envs.num_envs, mode, **settings)
        self._seen_space, self._done_space = envs.single_observation_space, envs.single_action_space
        self._observed = _observed(self._seen_space, observations)
        self._actions = actions
        self._extra = extra

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environments, or those of ``options["reset_mask"]``; open episodes stay without an end."""
        mask = (options or {}).get("reset_mask")
        # A copy, because Gymnasium's vector environments remove the mask, which wrappers around this one need.
        obs, info = self.env.reset(seed=seed, options=None if options is None else dict(options))
        self.recorder.reset(self._seen(obs), mask)
        return obs, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Make a step of all environments and record it; raises as the environments and the log do."""
        obs, reward, terminated, truncated, info = self.env.step(actions)
        final = info.get("final_obs")
        if isinstance(final, Mapping):  # from a custom environment, which has the parts by environment
            final = leaves(final)
            final = [of_row(final, row) for row in range(self.num_envs)]
        if final is not None:
            final = [None if one is None else self._observed(one) for one in final]
        data: dict[str, Any] = {"action": _by_part(self._done_space, actions)} if self._actions else {}
        if self._extra is not None:
            data |= self._extra(self.env)
        self.recorder.step(reward, terminated, truncated, obs=self._seen(obs), final_obs=final, data=data)
        return obs, reward, terminated, truncated, info

    def _seen(self, obs: Any) -> Any:
        """The recorded part of the observations of all environments."""
        return self._observed(_by_part(self._seen_space, obs))


def _by_part(space: Any, values: Any) -> Any:
    """Observations or actions of all environments, with rows by environment in each part of *space*.

    Gymnasium has a tuple instead if a space has no arrays: for text, graphs and sequences.
    """
    if isinstance(space, gymnasium.spaces.Dict) and isinstance(values, Mapping):
        return {str(key): _by_part(space.get(key), one) for key, one in values.items()}
    if isinstance(space, gymnasium.spaces.Tuple) and isinstance(values, tuple):
        parts = dict(enumerate(space))
        return {str(n): _by_part(parts.get(n), one) for n, one in enumerate(values)}
    if isinstance(values, tuple) and space is not None:
        return [leaves(one) for one in values]
    return leaves(values)


def _observed(space: Any, observations: bool | None) -> Callable[[Any], Any]:
    """A function that returns the recorded part of an observation, or of the observations of a vector environment."""
    if observations is False:
        return lambda obs: None
    large: dict[str, int] = {} if observations else _large(space, "obs")
    if not large:
        return lambda obs: obs
    sizes = ", ".join(f"{name} ({size:,} bytes)" for name, size in large.items())
    _warn(f"not recorded, as it is large: {sizes}; observations=True records it, observations=False hides this warning")
    return lambda obs: _without(leaves(obs), large, "obs")


def _large(space: Any, name: str) -> dict[str, int]:
    if isinstance(space, gymnasium.spaces.Dict | gymnasium.spaces.Tuple):
        parts = space.items() if isinstance(space, gymnasium.spaces.Dict) else enumerate(space)
        return {where: size for key, one in parts for where, size in _large(one, f"{name}/{key}").items()}
    size = math.prod(space.shape or ()) * (space.dtype.itemsize if space.dtype is not None else 1)
    return {name: size} if size > LARGE else {}


def _without(value: Any, large: Mapping[str, int], name: str) -> Any:
    """*value* without its large parts; None if nothing is left."""
    if name in large:
        return None
    if not isinstance(value, dict):
        return value
    parts = {key: _without(one, large, f"{name}/{key}") for key, one in value.items()}
    return {key: one for key, one in parts.items() if one is not None} or None


def _warn(message: str) -> None:
    warnings.warn(TrainlogWarning(message), stacklevel=4)
