"""Recording the complete state of a simulation, so that it can be simulated again bit for bit."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainlog.environments import whole_number
from trainlog.mujoco.state import CLOCK, CRC, INPUTS, MODEL, STATE_STEP, Floats, StateLayout, import_mujoco
from trainlog.mujoco.stored_model import store_model
from trainlog.recorder import TrainingRecorder

__all__ = ["StateRecorder"]


class StateRecorder:
    """Records the state of a MuJoCo simulation into a log, and the compiled model once.

    Every recorded state is a creature frame: ``pos`` (qpos), ``vel`` (qvel), ``episode_sim_time`` (s), ``ctrl``,
    ``act``, ``warmstart`` and whatever else of ``mjSTATE_INTEGRATION`` the model has, with a checksum. The frame also
    has the inputs that the user set at the steps in between, so that with ``every=10`` `Replay` can simulate the rest.

    Call ``step`` after each step of the environment, however many ``mj_step`` calls it makes, and ``reset`` after each
    reset. Controls, applied forces and mocap poses must not change within a step.
    """

    def __init__(self, log: TrainingRecorder, model: Any, data: Any, *, every: int = 1, env: int = 0) -> None:
        """Store the model in *log*.

        Args:
            log: the log.
            model: the ``MjModel``.
            data: the ``MjData`` that is simulated.
            every: record a state every N steps, and the last one of an episode.
            env: the number of the environment in the log.

        Raises:
            MissingExtra: when MuJoCo is not installed.
            ValueError: when *every* or *env* is too small, or *data* belongs to another model.
            TypeError: when an argument has the wrong type.
            As `trainlog.TrainingRecorder.record`.

        """
        mujoco = import_mujoco()
        env = whole_number(env, 0, "env is the number of an environment, 0 or more")
        every = whole_number(every, 1, "every is a number of steps, 1 or more")
        for name, value, wanted in (("model", model, mujoco.MjModel), ("data", data, mujoco.MjData)):
            if not isinstance(value, wanted):
                raise TypeError(f"{name} is an {wanted.__name__}, not {type(value).__name__}")
        self._log, self._model, self._data, self._every, self._env = log, model, data, every, env
        self._layout = StateLayout(model)
        if StateLayout(data.model).parts != self._layout.parts:  # reading its state would leave its memory
            raise ValueError("data belongs to another model: its state has other sizes")
        parts = self._layout.parts
        self._always = [(part.key, part.place) for part in parts if not part.optional]
        self._unless_zero = [
            (part.key, part.place, 8 * part.place.start, bytes(8 * part.size)) for part in parts if part.optional
        ]
        self._get_state = mujoco.mj_getState
        self._keys_of_state = {part.key for part in parts} | {"env", STATE_STEP, MODEL, INPUTS, CRC}
        self._pending: list[Floats] = []  # states since the last recorded one, with that of now
        self._step = self._total = 0
        self._counts = True
        self._time = np.inf  # time of the last state; infinite before the first one
        self._recorded = 0.0  # time of the last recorded state
        self._model_id = store_model(log, model)

    def model_changed(self) -> None:
        """Store the model again after the user changed it: other masses, other friction. A new episode begins."""
        self.close()
        self._model_id = store_model(self._log, self._model)

    def reset(self, more: Mapping[str, Any] | None = None) -> None:
        """Record the current state as the first one of an episode; *more* as in ``step``."""
        self.close()
        self.step(more)

    def step(self, more: Mapping[str, Any] | None = None) -> None:
        """Record the current state, with the keys of *more* in the same frame: ``step``, ``reward``, ...

        The *more* of a step that is not recorded is not recorded either. If it has no ``step``, the frame has the
        number of steps so far. When the clock of the simulation does not advance, a new episode begins.

        Raises:
            ValueError: when *more* has a key of the state, such as ``pos``.
            As `trainlog.TrainingRecorder.record_creature_frame`.

        """
        self._note()
        if self._step % self._every == 0:
            self._record(more)

    def close(self) -> None:
        """Record the last state if *every* left it out. Call it after the last step; the next one begins an episode."""
        if self._pending:
            self._record()
        self._time = np.inf

    def wrap(self, env: Any) -> Any:
        """A Gymnasium environment that behaves like *env*, and informs `state` of every step.

        It is for `trainlog.gymnasium.RecordRun`, which already records a frame for each step::

            env = RecordRun(states.wrap(env), log, every=10, extra=states.state)

        The first state of each episode is a frame of its own. The *every* and the step count of this recorder are not
        used.
        """
        import gymnasium

        recorder, self._counts = self, False

        class RecordStates(gymnasium.Wrapper):
            def reset(self, **options: Any) -> Any:
                result = self.env.reset(**options)
                recorder.reset()
                return result

            def step(self, action: Any) -> Any:
                result = self.env.step(action)
                recorder._note()
                return result

        return RecordStates(env)

    def state(self, env: Any = None) -> dict[str, Any]:
        """The keys of the last state, for a frame that another recorder writes; see `wrap`.

        Raises:
            ValueError: when there was no step since the last state.

        """
        if not self._pending:
            raise ValueError("there was no step since the last state")
        return self._keys(self._pending.pop())

    def _record(self, more: Mapping[str, Any] | None = None) -> None:
        if more and not self._keys_of_state.isdisjoint(more):
            taken = ", ".join(map(repr, sorted(self._keys_of_state.intersection(more))))
            raise ValueError(f"{taken}: the state has these keys; record other values under other names")
        step = {"step": self._total} if self._counts else {}
        self._log.record_creature_frame(None, {**step, **self.state(), **(more or {})})

    def _note(self) -> None:
        vector = np.empty(self._layout.size)
        self._get_state(self._model, self._data, vector, self._layout.whole)
        now = self._data.time
        if now <= self._time:
            self.close()
            self._step = 0
        else:
            if self._step == 0 and self._pending:  # another recorder left out the first state of the episode
                self._record()
            self._step += 1
            self._total += 1
        self._time = now
        self._pending.append(vector)

    def _keys(self, vector: Floats) -> dict[str, Any]:
        state: dict[str, Any] = {"env": self._env, STATE_STEP: self._step, MODEL: self._model_id}
        raw = vector.astype("<f8", copy=False).tobytes()
        for key, place in self._always:
            state[key] = vector[place]
        for key, place, start, zeros in self._unless_zero:
            if not raw.startswith(zeros, start):  # -0.0 does not count as zero
                state[key] = vector[place]
        state[CLOCK] = vector[0]
        if self._pending:
            state[INPUTS] = self._inputs_between(vector)
        self._recorded = vector[0]
        state[CRC] = zlib.crc32(raw)
        return state

    def _inputs_between(self, vector: Floats) -> dict[str, Floats]:
        """The inputs of the steps between the last state and *vector*, by part; without parts that do not change.

        The clock is among them if the steps took different times, or if otherwise nothing shows how many there were.
        """
        rows, self._pending = np.array(self._pending), []
        bits, now = rows.view(np.int64), vector.view(np.int64)
        inputs = {
            part.key: np.ascontiguousarray(rows[:, part.place])  # contiguous arrays are stored far faster
            for part in self._layout.parts
            if part.is_input and (bits[:, part.place] != now[part.place]).any()
        }
        clock = np.array([self._recorded, *rows[:, 0].tolist(), vector[0]])
        seconds = clock[1:] - clock[:-1]  # np.diff takes several times as long
        if not inputs or seconds.max() - seconds.min() > self._model.opt.timestep / 2:
            inputs[CLOCK] = np.ascontiguousarray(rows[:, :1])
        return inputs
