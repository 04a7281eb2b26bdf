"""Checks whether the simulation reproduces the recording, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainlog.errors import CodecError
from trainlog.mujoco.replay import Replay
from trainlog.mujoco.state import CRC, STATE_STEP, Floats, crc_of, flipped_bit, import_mujoco

__all__ = ["Check", "Divergence", "check"]


@dataclass(frozen=True, slots=True)
class Divergence:
    """A recorded state that differs from the simulation of the previous state.

    Attributes:
        environment: its environment; empty if the log has only one.
        frame: the number of the state in its environment, from 0.
        time: when it was logged, s.
        step: its ``step``; NaN if there is none.
        element: the name of the first element that differs; empty when it is not known which one does.
        recorded, expected: the values of that element.
        elements: how many elements differ.
        is_damage: whether the state was changed after it was recorded: its checksum is wrong. Otherwise the physics
            differs.

    """

    environment: str
    frame: int
    time: float
    step: float
    element: str
    recorded: float
    expected: float
    elements: int
    is_damage: bool

    @property
    def size(self) -> float:
        """How far apart the two values are."""
        return abs(self.recorded - self.expected)

    def __str__(self) -> str:
        where = f"environment {self.environment}, " if self.environment else ""
        step = f", step {self.step:,.0f}" if np.isfinite(self.step) else ""
        place = f"{where}frame {self.frame:,} ({self.time:.3f} s{step})"
        if not self.element:
            return f"{place}: the state is not the one that was recorded: its checksum is wrong"
        more = f", and {self.elements - 1:,} more elements differ" if self.elements > 1 else ""
        what = "the state was changed since it was recorded, its checksum is wrong: " if self.is_damage else ""
        values = f"{'is' if self.is_damage else 'recorded'} {self.recorded!r}, expected {self.expected!r}"
        return f"{place}: {what}{self.element}: {values}, a difference of {self.size:.3g}{more}"


@dataclass(slots=True)
class Check:
    """The result of a check.

    Attributes:
        states: how many states were compared with their checksums.
        simulated: how many of them were also simulated from the previous state.
        episodes: the number of episodes; the first state of each has no previous state.
        gaps: states that could not be simulated, because the log lacks frames before them.
        divergences: the first divergence of each environment that has one.

    """

    states: int = 0
    simulated: int = 0
    episodes: int = 0
    gaps: int = 0
    divergences: list[Divergence] = field(default_factory=list)


def check(replay: Replay, env: str | None = None, progress: Callable[[int], object] | None = None) -> Check:
    """Simulate from each recorded state to the next, up to the first state of an environment that differs in any bit.

    Args:
        replay: the log.
        env: the environment; by default all of them.
        progress: called with the number of states that are done.

    Raises:
        CodecError: when the log holds no complete states, or something else than the state can be why one differs.
        CorruptLog: when a state does not fit its model.
        EmptyLog: when there is no environment *env*.

    """
    if not replay.is_complete:
        raise CodecError(
            "this log has only positions, which cannot be simulated again; "
            "trainlog.mujoco.StateRecorder records the complete state",
            path=replay.reader.path,
        )
    result, shown = Check(), replay.environment
    try:
        for environment in replay.environments if env is None else [env]:
            replay.environment = environment
            result.episodes += len(replay.episodes)
            found = _first_divergence(replay, result, progress)
            if found is not None:
                result.divergences.append(found)
    finally:
        replay.environment = shown
    return result


def _first_divergence(replay: Replay, result: Check, progress: Callable[[int], object] | None) -> Divergence | None:
    mujoco = import_mujoco()
    data: Any = None
    data_model: Any = None
    for frame in range(replay.frames):
        state, model, layout = replay.state(frame), replay.model(frame), replay.layout(frame)
        result.states += 1
        crc = state.frame.data.get(CRC)
        is_damage = isinstance(crc, int) and crc_of(state.vector) != crc
        if isinstance(crc, int) and is_damage and (flipped := flipped_bit(state.vector, crc)) is not None:
            return _divergence(replay, frame, [flipped[0]], flipped[1], is_damage=True)
        different: list[int] = []
        simulated = state.vector
        has_previous = frame > 0 and state.frame.data.get(STATE_STEP) != 0
        if has_previous and replay.has_gap(frame - 1):
            result.gaps += 1
        elif has_previous:
            if data_model is not model:
                data, data_model = mujoco.MjData(model), model
            mujoco.mj_setState(model, data, replay.state(frame - 1).vector, layout.whole)
            replay.simulate(data, frame - 1)
            simulated = np.empty(layout.size)
            mujoco.mj_getState(model, data, simulated, layout.whole)
            result.simulated += 1
            different = np.flatnonzero(simulated.view(np.int64) != state.vector.view(np.int64)).tolist()
        if different and not is_damage and (hidden := _beside_the_state(model)):
            raise CodecError(
                f"the simulation differs at frame {frame:,}, but {hidden} is not a part of the state that MuJoCo "
                "gives, so whether this run is the same cannot be known",
                path=replay.reader.path,
            )
        if different or is_damage:
            return _divergence(replay, frame, different, simulated, is_damage=is_damage)
        if progress is not None and frame % 64 == 0:
            progress(result.states)
    return None


def _beside_the_state(model: Any) -> str:
    """What the next step of *model* depends on besides ``mjSTATE_INTEGRATION``, if there is anything."""
    bits = import_mujoco().mjtEnableBit  # older versions lack these
    features = {"mjENBL_SLEEP": "sleeping", "mjENBL_IPC": "the contact state of flexes (ipc)"}
    enabled = (name for bit, name in features.items() if model.opt.enableflags & int(getattr(bits, bit, 0)))
    return " and ".join(enabled)


def _divergence(
    replay: Replay, frame: int, different: Sequence[int], expected: Floats, *, is_damage: bool
) -> Divergence:
    at = different[0] if different else -1
    return Divergence(
        replay.environment if len(replay.environments) > 1 else "",
        frame,
        float(replay.times[frame]),
        float(replay.steps[frame]),
        replay.element(frame, at) if at >= 0 else "",
        float(replay.state(frame).vector[at]) if at >= 0 else np.nan,
        float(expected[at]) if at >= 0 else np.nan,
        len(different),
        is_damage,
    )
