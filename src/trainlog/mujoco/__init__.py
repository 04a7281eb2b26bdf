"""The physics of a MuJoCo run: recorded bit for bit, and replayed (extra ``mujoco``).

::

    with trainlog.TrainingRecorder("ant.flog", "Ant", "walk") as log:
        recorder = StateRecorder(log, model, data)
        for action in policy:
            data.ctrl[:] = action
            mujoco.mj_step(model, data, nstep=5)
            recorder.step()

    Replay("ant.flog").at(step=100)  # an MjData
"""

from __future__ import annotations

from trainlog.mujoco.check import Divergence, check
from trainlog.mujoco.recorder import StateRecorder
from trainlog.mujoco.replay import Episode, Replay

__all__ = ["Divergence", "Episode", "Replay", "StateRecorder", "check"]
