"""A task for skrl: PPO on CartPole, for a moment."""

from __future__ import annotations

from typing import Any

import gymnasium
from skrl.envs.wrappers.torch import wrap_env

network = [{"name": "net", "input": "OBSERVATIONS", "layers": [8], "activations": "elu"}]
env = wrap_env(gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync"), verbose=False)
config: dict[str, Any] = {
    "seed": 1,
    "models": {
        "separate": True,
        "policy": {"class": "CategoricalMixin", "network": network, "output": "ACTIONS"},
        "value": {"class": "DeterministicMixin", "network": network, "output": "ONE"},
    },
    "memory": {"class": "RandomMemory", "memory_size": -1},
    "agent": {
        "class": "PPO",
        "rollouts": 16,
        "experiment": {
            "directory": "runs",
            "experiment_name": "cartpole",
            "write_interval": 16,
            "checkpoint_interval": 0,
        },
    },
    "trainer": {
        "class": "SequentialTrainer",
        "timesteps": 128,
        "disable_progressbar": True,
        "headless": True,
        "close_environment_at_exit": False,
    },
}
