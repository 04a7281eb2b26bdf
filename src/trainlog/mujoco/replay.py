"""Reading back recorded physics: an ``MjData`` at any moment of a log."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog import registry
from trainlog.codec import Reader
from trainlog.conventions import RANK, Conventions
from trainlog.environment_rows import EnvironmentKey, by_environment, steps_by_environment, together
from trainlog.episode import episode_table
from trainlog.errors import CodecError, CorruptLog, EmptyLog, InvalidPosition, LogNotFound, MissingExtra
from trainlog.model import Frame, Kind
from trainlog.mujoco.state import CLOCK, INPUTS, MODEL, STATE_STEP, Floats, StateLayout, element_names, import_mujoco
from trainlog.mujoco.state_index import Episode, StateIndex, States
from trainlog.mujoco.stored_model import StoredModel, stored_models
from trainlog.scan import Scan
from trainlog.table.table import Table

__all__ = ["Episode", "Replay", "State", "load_model"]

_BLOCK: Final = 256  # states that are read at once
_MODELS: Final = 8  # models in memory; a run that changes its model in each episode has thousands
_MOST_STEPS: Final = 100_000  # of the environment, between two states; more steps mean damage
_MOST_SUBSTEPS: Final = 10_000_000  # of MuJoCo, likewise

Ints = npt.NDArray[np.int64]


class State(NamedTuple):
    """One recorded state.

    Attributes:
        frame: the frame as it was logged.
        vector: the state that ``mj_setState`` takes.
        inputs: the inputs at the steps before it, by part, shape (steps - 1, size of the part).

    """

    frame: Frame
    vector: Floats
    inputs: Mapping[str, Floats]


class Replay:
    """The physics of a log, one environment at a time. It holds an index in memory, 40 bytes per state.

    Attributes:
        reader: the log.
        is_complete: whether `StateRecorder` wrote it. Otherwise its frames have ``pos`` and perhaps ``vel``, which is
            enough to show the robot, but not to simulate it.

    """

    def __init__(self, log: str | os.PathLike[str], *, model: Any = None, env: str | None = None) -> None:
        """Open *log*.

        Args:
            log: a log of any format.
            model: an ``MjModel`` in place of the recorded one; required if none was recorded. See `load_model`.
            env: the environment; by default the first.

        Raises:
            TrainlogError: as `trainlog.open`.
            MissingExtra: when MuJoCo is not installed.
            EmptyLog: when no frame holds a state, or there is no environment *env*.
            CodecError: when the log has no model and none is given.

        """
        import_mujoco()
        self.reader: Reader = registry.open(log)
        self._conventions = Conventions.of(self.reader.header)
        self._given = model
        self._stored: dict[str, StoredModel] = stored_models(self.reader)
        self.is_complete = bool(self._stored)
        self._loaded: dict[str, Any] = {}  # the models used last
        self._layouts: dict[str, StateLayout] = {}
        self._blocks: dict[tuple[int, str, int], list[State]] = {}
        self._index = StateIndex(self.reader, is_complete=self.is_complete)
        self._index.refresh()
        if not self.environments:
            raise EmptyLog("no creature frame holds a state (pos, or qpos)", path=self.reader.path)
        self.environment = self.environments[0] if env is None else env
        if model is None and not self.is_complete:
            scene = self.reader.header.meta.get("scene")
            such = f"--env-id {scene}" if isinstance(scene, str) and re.fullmatch(r"[\w/]+-v\d+", scene) else "--env-id"
            raise CodecError(
                f"the log holds no model; give one with --model model.xml or {such}", path=self.reader.path
            )

    def refresh(self) -> bool:
        """Read the frames written since; returns whether there are any."""
        return self._index.refresh()

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments in the log; one without a number is ``""``."""
        return self._index.environments()

    @property
    def environment(self) -> str:
        """The current environment, which all other methods refer to.

        Raises:
            EmptyLog: when it is set, and there is no such environment.

        """
        return self._environment

    @environment.setter
    def environment(self, name: str) -> None:
        if name not in self.environments:
            there = ", ".join(map(repr, self.environments))
            raise EmptyLog(f"there is no environment {name!r}; there are {there}", path=self.reader.path)
        self._environment = name

    @property
    def _states(self) -> States:
        return self._index.by_name[self.environment]

    @property
    def frames(self) -> int:
        """How many states there are."""
        return len(self._states.order)

    @property
    def times(self) -> Floats:
        """When each state was logged: float64, shape (frames,); seconds since the run began."""
        return self._states.time

    @property
    def clock(self) -> Floats:
        """Simulated time of each state: float64, shape (frames,); seconds. Without one, the time of the log."""
        return self._states.clock

    @property
    def steps(self) -> Floats:
        """The ``step`` of each state: float64, shape (frames,); NaN if there is none."""
        return self._states.step

    @property
    def orders(self) -> Ints:
        """The order of each state in the log, as in `trainlog.scan.Batch`: int64, shape (frames,)."""
        return self._states.order

    @property
    def episodes(self) -> list[Episode]:
        """The episodes, in the order of the log."""
        return self._index.episodes(self.environment)

    def frame_at(self, *, time: float | None = None, step: float | None = None) -> int:
        """The number of the last state that is not after a time (s, of the log) or a step; the first one if all are."""
        values, wanted = (self.times, time) if time is not None else (self.steps, step)
        if wanted is None:
            raise ValueError("give a time or a step")
        before = np.flatnonzero(values <= wanted)
        return int(before[-1]) if len(before) else 0

    def locate(self, order: int) -> tuple[str, int]:
        """The environment and the number of the state at *order* in the log, or else of the last state before it."""
        return self._index.locate(order)

    # --- states ---

    def state(self, frame: int) -> State:
        """The recorded state with that number; its neighbours are read along with it.

        Raises:
            IndexError: when there is no such state.
            CorruptLog: when the frame does not fit the model.

        """
        if not 0 <= frame < self.frames:
            raise IndexError(f"there is no state {frame}; there are {self.frames}")
        block = self._index.reads, self.environment, frame // _BLOCK
        if block not in self._blocks or frame % _BLOCK >= len(self._blocks[block]):
            orders = self.orders[frame // _BLOCK * _BLOCK :][:_BLOCK].tolist()
            states = [self._parse(self._own(found)) for found in self.reader.take(orders)]
            if len(states) != len(orders):
                raise InvalidPosition("the log was replaced or cut", path=self.reader.path)
            self._blocks.pop(block, None)
            while len(self._blocks) > 3:
                self._blocks.pop(next(iter(self._blocks)))
            self._blocks[block] = states
        return self._blocks[block][frame % _BLOCK]

    def _own(self, frame: Frame) -> Frame:
        """The part of *frame* for this environment, if it holds several."""
        parts = by_environment(frame.data, self._conventions.find("env", frame.data))
        named = (data for env, data in parts if str(EnvironmentKey(data.get(RANK), env)) == self.environment)
        return Frame(frame.time, frame.kind, next(named, frame.data))

    def _parse(self, frame: Frame) -> State:
        layout = self._layout(frame)
        if not self.is_complete:
            return State(frame, self._pose(frame, self._model(frame), layout), {})
        where = f"{self.reader.path}: the state at {frame.time:.3f} s"
        data = {**frame.data, CLOCK: frame.data.get(CLOCK, 0.0)}
        inputs: Mapping[str, Any] = frame.data.get(INPUTS) or {}
        try:
            rows = {
                part.key: np.asarray(inputs[part.key], np.float64).reshape(-1, part.size)
                for part in layout.parts
                if part.key in inputs
            }
        except (TypeError, ValueError):
            raise CorruptLog(f"{where}: its inputs are not numbers, or not as many as the model has") from None
        return State(frame, layout.vector(data, where), rows)

    def _pose(self, frame: Frame, model: Any, layout: StateLayout) -> Floats:
        """The state of a frame that has a position, and perhaps a velocity; everything else has its initial value."""
        mujoco = import_mujoco()
        data = mujoco.MjData(model)
        for meaning, there in (("qpos", data.qpos), ("qvel", data.qvel)):
            key = self._conventions.find(meaning, frame.data)  # type: ignore[arg-type]  # both are meanings
            if key is None:
                continue
            try:
                there[:] = np.asarray(frame.data[key], np.float64)
            except (TypeError, ValueError):
                size = len(frame.data[key]) if isinstance(frame.data[key], list) else "no list of"
                message = f"{key!r} is {size} numbers and the model has {len(there)}: it is another model"
                raise CorruptLog(message, path=self.reader.path) from None
        vector = np.empty(layout.size)
        mujoco.mj_getState(model, data, vector, layout.whole)
        return vector

    def model(self, frame: int = 0) -> Any:
        """The ``MjModel`` of a state.

        Raises:
            CorruptLog, CodecError: when it cannot be loaded.

        """
        return self._model(self.state(frame).frame)

    def _model(self, frame: Frame) -> Any:
        if self._given is not None:
            return self._given
        id = str(frame.data.get(MODEL, ""))
        model = self._loaded.pop(id, None)
        if model is None:
            if id not in self._stored:
                self._stored |= stored_models(self.reader)
                if id not in self._stored:
                    raise CorruptLog(f"the model {id!r} is not in the log", path=self.reader.path)
            model = self._stored[id].load(self.reader.path)
            while len(self._loaded) >= _MODELS:
                self._loaded.pop(next(iter(self._loaded)))
        self._loaded[id] = model
        return model

    def _layout(self, frame: Frame) -> StateLayout:
        id = str(frame.data.get(MODEL, "")) if self._given is None else ""
        if id not in self._layouts:
            self._layouts[id] = StateLayout(self._model(frame))
        return self._layouts[id]

    def names(self, frame: int = 0) -> tuple[Mapping[str, list[str]], Mapping[str, list[str]]]:
        """By key of the state with that number: the names of its elements, and their units."""
        state = self.state(frame)
        stored = self._stored.get(str(state.frame.data.get(MODEL)))
        if stored is not None and self._given is None:
            return stored.names, stored.units
        return element_names(self._model(state.frame))

    def at(self, frame: int | None = None, *, time: float | None = None, step: float | None = None) -> Any:
        """An ``MjData`` with the state of that number, or the last one not after a time (s, of the log) or a step.

        A step between two recorded ones is simulated from the previous one, bit for bit. Everything that follows
        from the state (positions of bodies, contacts, sensors) is computed as by ``mj_forward``.
        """
        if frame is not None:
            return self._simulated(frame)
        found = self.frame_at(time=time, step=step)
        return self._simulated(found, 0 if step is None else self._steps_to(found, step))

    def at_second(self, episode: Episode, seconds: float) -> Any:
        """An ``MjData`` *seconds* of simulated time after the first state of *episode*; steps in between as in `at`."""
        clock = self.clock[episode.first : episode.stop]
        moment = clock[0] + seconds + 1e-9
        found = episode.first + max(int(np.searchsorted(clock, moment, "right")) - 1, 0)
        if not self._continues(found):
            return self._simulated(found)
        return self._simulated(found, int(np.searchsorted(self._clock_between(found), moment, "right")) - 1)

    def _steps_to(self, frame: int, wanted: float) -> int:
        """How many steps of the environment there are from a state to the step *wanted*, before the next state."""
        now, following = self.steps[frame : frame + 2].tolist() if self._continues(frame) else (0.0, 0.0)
        part = min(max((wanted - now) / (following - now), 0.0), 1.0) if following > now else 0.0
        return int(part * self._steps_between(frame) + 1e-6) if part else 0

    def _simulated(self, frame: int, steps: int = 0) -> Any:
        mujoco = import_mujoco()
        state = self.state(frame)
        model, layout = self._model(state.frame), self._layout(state.frame)
        data = mujoco.MjData(model)
        mujoco.mj_setState(model, data, state.vector, layout.whole)
        if steps > 0:
            self.simulate(data, frame, steps)
        self.forward(model, data, layout)
        return data

    @staticmethod
    def forward(model: Any, data: Any, layout: StateLayout) -> None:
        """Compute everything that follows from the state, which stays as it is."""
        mujoco = import_mujoco()
        vector = np.empty(layout.size)
        mujoco.mj_getState(model, data, vector, layout.whole)
        mujoco.mj_forward(model, data)
        mujoco.mj_setState(model, data, vector, layout.whole)  # mj_forward changed the warm start

    # --- simulation ---

    def _steps_between(self, frame: int) -> int:
        """Steps from a state to the next one; 0 or less if the next one begins an episode."""
        now, following = (self.state(one).frame.data.get(STATE_STEP, 0) for one in (frame, frame + 1))
        return following - now if isinstance(now, int) and isinstance(following, int) else 0

    def _continues(self, frame: int) -> bool:
        """Whether the next state can be simulated from this one."""
        if not self.is_complete or frame + 1 >= self.frames:
            return False
        return bool(self._states.counter[frame + 1] != 0) and not self.has_gap(frame)

    def _clock_between(self, frame: int) -> Floats:
        """Simulated time at each step from a state to the next one: float64, shape (steps + 1,); s."""
        now, target = self.state(frame).vector[0], self.state(frame + 1)
        if CLOCK in target.inputs:
            return np.concatenate(([now], target.inputs[CLOCK][:, 0], [target.vector[0]]))
        return np.linspace(now, target.vector[0], self._steps_between(frame) + 1)

    def has_gap(self, frame: int) -> bool:
        """Whether states are missing between a state and the next one of its episode: the log is damaged there."""
        steps, following = self._steps_between(frame), self.state(frame + 1)
        if not 1 <= steps <= _MOST_STEPS:
            return True
        if steps > 1 and not following.inputs:  # none of them changed
            return INPUTS not in following.frame.data
        return any(len(rows) != steps - 1 for rows in following.inputs.values())

    def simulate(self, data: Any, frame: int, steps: int | None = None) -> None:
        """Advance *data*, which has the state *frame*, by *steps* towards the next state; by default all of them."""
        mujoco = import_mujoco()
        target = self.state(frame + 1)
        model, layout = self._model(target.frame), self._layout(target.frame)
        between = self._steps_between(frame)
        clock, timestep = self._clock_between(frame), float(model.opt.timestep)
        seconds = np.diff(clock)
        ends = [0] * (between + 1)  # of a clock that no simulation has
        if timestep > 0 and (seconds >= 0).all() and seconds.sum() < _MOST_SUBSTEPS * timestep:
            ends = np.rint((clock - clock[0]) / timestep).astype(np.int64).tolist()
        vector = target.vector.copy()
        for n in range(between if steps is None else min(steps, between)):
            vector[:] = target.vector
            if n < between - 1:
                for part in layout.parts:
                    if part.key in target.inputs:
                        vector[part.place] = target.inputs[part.key][n]
            mujoco.mj_setState(model, data, vector[layout.input_places], layout.inputs)
            mujoco.mj_step(model, data, nstep=ends[n + 1] - ends[n])

    def layout(self, frame: int) -> StateLayout:
        """The layout of the state with that number."""
        return self._layout(self.state(frame).frame)

    def element(self, frame: int, place: int) -> str:
        """The name of an element of the state: ``vel of bthigh``."""
        part = self.layout(frame).part_of(place)
        names = self.names(frame)[0].get(part.key, [])
        n = place - part.place.start
        if part.key == CLOCK:
            return CLOCK
        return f"{part.key}[{n}] ({names[n]})" if n < len(names) else f"{part.key}[{n}]"

    def subject(self, frame: int = 0) -> tuple[int, float]:
        """The first body that moves, for a camera to follow, and how far (m) from it any moving geometry reaches.

        The body is 0 if nothing moves.
        """
        model, data = self.model(frame), self.at(frame)
        body = int(next(iter(np.flatnonzero(model.body_weldid)), 0))
        moves = model.body_weldid[model.geom_bodyid] > 0
        reach = np.linalg.norm(data.geom_xpos - data.xpos[body], axis=1) + model.geom_rbound
        return body, float(max(reach[moves], default=1.0))

    # --- curves ---

    def curve(self, name: str, episode: Episode) -> tuple[Floats, Floats]:
        """A key over an episode: seconds since its first state, and the values; both float64, shape (n,).

        Args:
            name: a key of the creature frames, or else of the statistics; for a list ``pos[2]`` or ``pos[bthigh]``.
            episode: the episode.

        Raises:
            KeyError: when there is no such key.

        """
        key, element = _parse_name(name)
        first, last = self.times[episode.first], self.times[episode.stop - 1]
        window = (float(first), float(np.nextafter(last, np.inf)))
        began = self.clock[episode.first]
        for kind in (Kind.CREATURE, Kind.STATS):
            x, y = [], []
            columns = [key, *self._conventions.keys["env"], RANK]
            for batch in self.reader.scan(Scan(kinds=kind, columns=columns, time=window)):
                if key not in batch.table:
                    continue
                there = np.flatnonzero(batch.table.valid(key))  # a state after a reset has no reward
                grouped = steps_by_environment(batch.table.rows_where(there), batch.order[there], self._conventions)
                names = {self.environment}
                if kind == Kind.STATS:  # which may also be those of all environments
                    names |= {str(one) for one in grouped} - {*self.environments}
                found = together([part for one in grouped if str(one) in names for part in grouped[one]])
                if found is None:
                    continue
                order, table = found
                rows = states = np.empty(0, np.int64)
                if kind == Kind.CREATURE:
                    mine = self.orders[episode.first : episode.stop]
                    _, rows, states = np.intersect1d(order, mine, return_indices=True)
                values = self._column(table, key, element, episode.first)
                if len(rows):
                    x.append(self.clock[episode.first + states] - began)
                    y.append(values[rows])
                else:  # separate frames, such as those of a vector recorder next to the states of its environments
                    times = self.times[episode.first : episode.stop]
                    x.append(np.interp(table.time, times, self.clock[episode.first : episode.stop]) - began)
                    y.append(values)
            if x:
                return np.concatenate(x), np.concatenate(y)
        raise KeyError(f"no frame of the episode has the key {key!r}")

    def reward_key(self) -> str:
        """The key of the reward of a step, in the frames of the states or in other creature frames.

        Raises:
            KeyError: when they have none.

        """
        for frame in range(self.frames - 1, max(self.frames - 3, -1), -1):  # a state after a reset has none
            if (key := self._conventions.reward(self.state(frame).frame.data)) is not None:
                return key
        window = float(self.times[self.episodes[-2:][0].first]), float(np.nextafter(self.times[-1], np.inf))
        beside = Scan(kinds=Kind.CREATURE, columns=self._conventions.keys["reward"], time=window)
        for batch in self.reader.scan(beside):
            if (key := self._conventions.reward(batch.table)) is not None:
                return key
        raise KeyError("the creature frames have no reward")

    def returns(self) -> Floats:
        """The return of each episode: float64, shape (episodes,); NaN if it cannot be known.

        It is that of `trainlog.episodes` if the log has events of episodes, or else the sum of the rewards; with
        ``StateRecorder(every=10)`` alone the log does not hold all of them.
        """
        key, found = self.reward_key(), np.full(len(self.episodes), np.nan)
        firsts = np.array([episode.first for episode in self.episodes])
        counted = np.zeros(len(found), np.bool_)
        for row in episode_table(self.reader).frames():
            own = (
                str(EnvironmentKey(row.data.get(RANK), row.data.get("env"))) == self.environment and row.data["records"]
            )
            if own and (row.data["return"] == row.data["return"] or "length" not in row.data):
                inside = (self.times >= row.data["began"]) & (self.times <= row.time)
                if self.is_complete:
                    inside &= self._states.counter != 0  # the next one can begin before its last record
                state = int(inside.argmax()) if inside.any() else self.frame_at(time=row.data["began"])
                place = int(np.searchsorted(firsts, state, "right")) - 1
                found[place], counted[place] = row.data["return"], True
        for episode in (self.episodes[place] for place in np.flatnonzero(~counted).tolist()):
            with suppress(KeyError):
                rewards = self.curve(key, episode)[1]
                counter = self._states.counter[episode.first : episode.stop]
                if len(rewards) > len(counter) or (np.diff(counter) <= 1).all():  # no step was left out
                    found[episode.number - 1] = np.nansum(rewards)
        return found

    def _column(self, table: Table, key: str, element: str, frame: int) -> Floats:
        if not element:
            if table[key].ndim > 1:
                raise KeyError(f"{key!r} is a list; choose one of its elements, for example {key}[0]")
            return table.numbers(key)
        names = self.names(frame)[0].get(key, [])
        place = names.index(element) if element in names else int(element) if element.isdecimal() else -1
        values = table.column(key).values
        if place < 0 or (values.ndim > 1 and place >= values.shape[1]):
            raise KeyError(f"{key!r} has no element {element!r}")
        if values.ndim > 1:
            return values[:, place].astype(np.float64)
        return np.array([_item(value, place) for value in values.tolist()])


def _item(value: Any, place: int) -> float:
    return float(value[place]) if isinstance(value, list) and place < len(value) else np.nan


def _parse_name(name: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.+)\[([^\[\]]+)\]", name)
    return (match[1], match[2]) if match else (name, "")


def load_model(path: str | os.PathLike[str] | None = None, env_id: str | None = None) -> Any:
    """A model from a file (MJCF, URDF or MJB), or that of a Gymnasium environment.

    Raises:
        LogNotFound: when there is no such file.
        CodecError: when it is not a model, or the environment has none.
        MissingExtra: when Gymnasium or MuJoCo is not installed.

    """
    mujoco = import_mujoco()
    if path is not None:
        if not Path(path).is_file():
            raise LogNotFound("there is no such model", path=path)
        try:
            if Path(path).suffix == ".mjb":
                return mujoco.MjModel.from_binary_path(os.fspath(path))
            return mujoco.MjModel.from_xml_path(os.fspath(path))
        except (ValueError, mujoco.FatalError) as error:
            raise CodecError(f"MuJoCo cannot load it: {error}", path=path) from error
    try:
        import gymnasium
    except ImportError as error:
        raise MissingExtra(f'this needs Gymnasium: pip install "trainlog[mujoco]" ({error})') from error
    try:
        env = gymnasium.make(str(env_id), disable_env_checker=True)
    except (gymnasium.error.Error, ImportError) as error:
        raise CodecError(f"{env_id}: {error}") from error
    model = getattr(env.unwrapped, "model", None)
    env.close()
    if not isinstance(model, mujoco.MjModel):
        raise CodecError(f"{env_id}: this environment has no MuJoCo model")
    return model
