"""A task for rsl_rl: three environments that are paid for small actions."""

from __future__ import annotations

import types
from typing import Any

import torch
from tensordict import TensorDict


class Term:
    """A class, as configurations hold them."""


class Env:
    num_envs, num_actions, max_episode_length, device = 3, 1, 5, "cpu"
    cfg: Any = types.SimpleNamespace(dt=0.02, terms=[print, Term])
    episode_length_buf = torch.zeros(3, dtype=torch.long)

    def get_observations(self) -> Any:
        return TensorDict({"policy": torch.ones(3, 2)}, batch_size=3)

    def step(self, actions: Any) -> tuple[Any, Any, Any, dict[str, Any]]:
        self.episode_length_buf = (self.episode_length_buf + 1) % 5
        extras = {"log": {"/height": actions.mean().detach()}}
        return self.get_observations(), -(actions**2).sum(1), self.episode_length_buf == 0, extras


env = Env()
config: dict[str, Any] = {
    "num_steps_per_env": 8,
    "save_interval": 2,
    "obs_groups": {"actor": ["policy"], "critic": ["policy"]},
    "algorithm": {"class_name": "PPO"},
    "actor": {
        "class_name": "MLPModel",
        "hidden_dims": [8],
        "distribution_cfg": {"class_name": "GaussianDistribution", "init_std": 1.0},
    },
    "critic": {"class_name": "MLPModel", "hidden_dims": [8]},
}
