"""A script of OaK-Architecture, of which only the import is changed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from trainlog.errors import SettingError
from trainlog.oak import animation_recorder_from_env, curve_recorder_from_env


class Learner(SimpleNamespace):
    def training_metrics(self) -> dict[str, float]:
        return {"policy_q_loss": 0.25}


def test_the_calls_of_its_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINLOG_DISABLE_CURVES", "1")  # is not its variable
    monkeypatch.setenv("OAK_EXAMPLE_CURVE_CHECKPOINT_EVERY", "2")
    monkeypatch.setenv("OAK_EXAMPLE_ANIMATION_EVERY", "2")
    agent = SimpleNamespace(reactive_policy=Learner(epsilon=0.5, _options={1: "a", 2: "b"}))
    curves = curve_recorder_from_env("train", average_window=3)
    films = animation_recorder_from_env("train")
    assert curves is not None
    assert films is not None
    for episode in range(3):
        curves.log_episode(episode, 1.0 + episode, 1.0, agent)
        if films.should_capture(episode, 3):
            frames = [np.full((8, 8, 3), 40 * n, np.uint8) for n in range(3)]
            steps = [SimpleNamespace(action=1, active_option_id=None)]
            facts = {"step_count": 3, "solved": False, "steps": steps, "metadata": {"seed": 7}}
            films(
                SimpleNamespace(episode=episode, frames=frames, episode_reward=1.0 + episode, avg_reward=1.0, **facts)
            )
    curves.save()
    results = tmp_path / "tests" / "results"
    names = sorted(path.name for path in (results / "training_curves" / "train").iterdir())
    assert names[-2:] == ["train_training_state.png", "train_training_state.svg"]
    assert "train_reward_history_checkpoint.json" in names
    history = json.loads((results / "training_curves" / "train" / "train_reward_history.json").read_text())
    said = {key: history[key] for key in ("average_window", "episodes", "best_reward", "final_reward", "final_average")}
    assert list(said.values()) == [3, 3, 3.0, 3.0, 1.0]
    assert (history["epsilon_history"], history["option_history"]) == ([0.5] * 3, [2.0] * 3)
    assert history["metric_histories"] == {"policy_q_loss": [0.25] * 3}
    assert sorted(path.name for path in (results / "animations" / "train").glob("*.gif")) == [
        "train_episode_0000_reward_1_avg_1.gif",
        "train_episode_0002_reward_3_avg_1.gif",
    ]
    facts = json.loads((results / "animations" / "train" / "train_episode_0000_reward_1_avg_1.json").read_text())
    assert (facts["actions"], facts["metadata"], facts["frame_count"]) == ([1], {"seed": 7}, 3)


def test_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAK_EXAMPLE_PLOT_DIR", "plots")
    monkeypatch.setenv("OAK_EXAMPLE_ANIMATION_DIR", "films")
    curves, films = curve_recorder_from_env("eval", average_window=5), animation_recorder_from_env("eval")
    assert curves is not None
    assert films is not None
    assert (curves.output_dir, films.output_dir) == (Path("plots/eval"), Path("films/eval"))
    monkeypatch.setenv("OAK_EXAMPLE_DISABLE_CURVES", "1")
    assert curve_recorder_from_env("eval", average_window=5) is None
    monkeypatch.setenv("OAK_EXAMPLE_ANIMATION_FPS", "thirty")
    with pytest.raises(SettingError, match="OAK_EXAMPLE_ANIMATION_FPS"):
        animation_recorder_from_env("eval")
