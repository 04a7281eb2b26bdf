"""Models to simulate, and a way to record them beside a truth that is kept apart."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("MUJOCO_GL", "egl")
pytest.importorskip("mujoco")

import mujoco

import trainlog
from trainlog.mujoco import StateRecorder

mujoco.set_mju_user_warning(lambda message: None)  # warnings would go to a file in the present folder

MESHES = """
<mujoco>
  <asset>
    <mesh name="wedge" file="wedge.obj"/>
    <mesh name="drop" vertex="0 0 .2  .1 0 0  -.05 .09 0  -.05 -.09 0  0 0 -.1"/>
    <texture name="grid" type="2d" builtin="checker" rgb1=".1 .2 .3" rgb2=".2 .3 .4" width="64" height="64"/>
    <material name="grid" texture="grid"/>
  </asset>
  <worldbody>
    <light pos="0 0 3"/>
    <geom type="plane" size="5 5 .1" material="grid"/>
    <body name="wedge" pos="0 0 .6"><freejoint name="root"/><geom type="mesh" mesh="wedge" rgba=".8 .3 .1 1"/>
      <body name="arm" pos=".2 0 0"><joint name="elbow" type="hinge" axis="0 1 0"/>
        <geom type="capsule" size=".03 .2"/></body>
    </body>
    <body name="drop" pos=".3 .2 1.2"><joint type="ball" name="spin"/><geom type="mesh" mesh="drop"/></body>
  </worldbody>
  <actuator><motor name="bend" joint="elbow" gear="2"/></actuator>
</mujoco>
"""
WEDGE = b"v 0 0 0\nv .3 0 0\nv 0 .3 0\nv 0 0 .3\nv .3 .3 0\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 5\nf 3 4 5\nf 4 2 5\n"

MOCAP = """
<mujoco>
  <size nuserdata="3"/>
  <option timestep=".004" integrator="implicitfast"/>
  <worldbody>
    <geom type="plane" size="5 5 .1"/>
    <body name="hand" mocap="true" pos="0 0 1"><geom type="sphere" size=".05" contype="0" conaffinity="0"/></body>
    <body name="held" pos="0 0 1"><freejoint/><geom type="box" size=".1 .1 .1" mass=".5"/></body>
    <body name="leg" pos="1 0 1"><joint name="hip" type="hinge" axis="0 1 0" damping=".1"/>
      <geom name="bone" type="capsule" size=".04 .3"/>
      <body pos="0 0 -.4"><joint name="knee" type="slide" axis="0 0 1" range="-.2 .2"/>
        <geom type="capsule" size=".03 .2"/></body>
    </body>
  </worldbody>
  <tendon><fixed name="string"><joint joint="hip" coef=".5"/></fixed></tendon>
  <equality><weld name="grip" body1="hand" body2="held"/></equality>
  <actuator>
    <general name="slow" joint="hip" dyntype="filter" dynprm=".05" gainprm="3"/>
    <general name="sum" joint="knee" dyntype="integrator" gainprm="2" biastype="affine"
      biasprm="0 -5 -1" actlimited="true" actrange="-1 1"/>
    <muscle name="muscle" tendon="string" lengthrange=".1 1.2"/>
  </actuator>
</mujoco>
"""


class Run:
    """A simulation of which every state is kept, and recorded into *log*."""

    def __init__(self, model: Any, every: int = 1, nstep: int = 2) -> None:
        self.model, self.data, self.every, self.nstep = model, mujoco.MjData(model), every, nstep
        self.rng = np.random.default_rng(3)
        self.truth: list[Any] = []

    def state(self) -> Any:
        whole = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(self.model, whole))
        mujoco.mj_getState(self.model, self.data, state, whole)
        return state

    def act(self) -> None:
        """Set whatever a user can set; some of it at some steps only."""
        data, rng = self.data, self.rng
        data.ctrl[:] = rng.uniform(-1, 1, len(data.ctrl))
        if self.model.nmocap:
            data.mocap_pos[0] = data.mocap_pos[0] + rng.normal(0, 0.01, 3)
            data.userdata[:] = rng.normal(size=3)
            data.eq_active[0] = rng.random() > 0.1
            data.xfrc_applied[3, 0] = rng.normal() if rng.random() < 0.2 else 0.0

    def record(self, path: Path, steps: int, resets: int = 0, **settings: Any) -> Path:
        with trainlog.TrainingRecorder(path, "robot", "move", **settings) as log:
            recorder = StateRecorder(log, self.model, self.data, every=self.every)
            for n in range(steps):
                if n == 0 or (resets and n % resets == 0):
                    mujoco.mj_resetData(self.model, self.data)
                    self.data.qvel[:] = self.rng.normal(0, 0.1, self.model.nv)
                    recorder.reset({"reward": 0.0})
                    self.truth.append(self.state())
                self.act()
                mujoco.mj_step(self.model, self.data, nstep=self.nstep)
                recorder.step({"reward": float(n % 7)})
                self.truth.append(self.state())
            recorder.close()
        return path


def gym_model(name: str) -> Any:
    gymnasium = pytest.importorskip("gymnasium")
    return mujoco.MjModel.from_xml_path(str(Path(gymnasium.__file__).parent / f"envs/mujoco/assets/{name}.xml"))


def record_vector(path: Path, steps: int, length: int = 10, clock: bool = False) -> dict[tuple[int, int], float]:
    """Two cheetahs in frames of both, with their positions; the returns by environment and episode."""
    gymnasium = pytest.importorskip("gymnasium")
    from trainlog.gymnasium import RecordVectorRun

    make = partial(gymnasium.make, "HalfCheetah-v5", max_episode_steps=length)
    envs = gymnasium.vector.SyncVectorEnv([make] * 2)
    simulations = [env.unwrapped.data for env in envs.envs]

    def positions(_: Any) -> dict[str, Any]:
        states = {key: np.stack([getattr(one, key) for one in simulations]) for key in ("qpos", "qvel")}
        return states | ({"episode_sim_time": np.array([one.time for one in simulations])} if clock else {})

    returns: dict[tuple[int, int], float] = {}
    with trainlog.TrainingRecorder(path, metadata={"dt": 0.05}) as log:
        wrapped = RecordVectorRun(envs, log, extra=positions)
        wrapped.action_space.seed(1)
        wrapped.reset(seed=1)
        episode, resets = 0, False
        for _ in range(steps):
            _, rewards, _, truncated, _ = wrapped.step(wrapped.action_space.sample())
            episode += resets
            for env, reward in enumerate(rewards.tolist() if not resets else ()):
                returns[env, episode] = returns.get((env, episode), 0.0) + reward
            resets = bool(truncated.all())
        wrapped.close()
    return returns


MODELS: dict[str, Callable[[], Any]] = {
    "ant": lambda: gym_model("ant"),
    "humanoid": lambda: gym_model("humanoid"),
    "half_cheetah": lambda: gym_model("half_cheetah"),
    "meshes": lambda: mujoco.MjModel.from_xml_string(MESHES, {"wedge.obj": WEDGE}),
    "mocap": lambda: mujoco.MjModel.from_xml_string(MOCAP),
}
