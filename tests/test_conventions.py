"""What keys mean: the names of trainers, and what a log says of its own."""

from __future__ import annotations

import dataclasses
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from trainlog.conventions import AXES, AXIS_ALIASES, Conventions, hyperparameters_in
from trainlog.errors import TrainlogWarning
from trainlog.model import Header, Kind, Variable

KNOWN = Conventions()


def of(conventions: Any = None, *variables: Variable, **meta: Any) -> Conventions:
    return Conventions.of(Header(meta | ({} if conventions is None else {"conventions": conventions}), 0, variables))


@dataclasses.dataclass(frozen=True)
class Trainer:
    keys: str
    step: str | None
    episode: str | None
    reward: str | None
    length: str | None = None
    clocks: str = ""
    groups: str = ""
    kind: Kind = Kind.STATS


TRAINERS = {
    "sb3-ppo": Trainer(
        "rollout/ep_len_mean rollout/ep_rew_mean time/fps time/iterations time/time_elapsed time/total_timesteps "
        "train/approx_kl train/clip_fraction train/entropy_loss train/explained_variance train/learning_rate "
        "train/loss train/n_updates train/policy_gradient_loss train/std train/value_loss",
        step="time/total_timesteps",
        episode="time/iterations",
        reward="rollout/ep_rew_mean",
        length="rollout/ep_len_mean",
        clocks="time/iterations time/time_elapsed time/total_timesteps train/n_updates",
        groups="rollout time train",
    ),
    "sb3-sac-with-evaluation": Trainer(
        "eval/mean_ep_length eval/mean_reward eval/success_rate time/episodes time/fps time/time_elapsed "
        "time/total_timesteps train/actor_loss train/critic_loss train/ent_coef train/n_updates",
        step="time/total_timesteps",
        episode="time/episodes",
        reward="eval/mean_reward",
        length="eval/mean_ep_length",
        clocks="time/episodes time/time_elapsed time/total_timesteps train/n_updates",
        groups="eval time train",
    ),
    "sb3-bare": Trainer(
        "timesteps iteration ep_rew_mean ep_len_mean value_loss",
        step="timesteps",
        episode="iteration",
        reward="ep_rew_mean",
        length="ep_len_mean",
        clocks="timesteps iteration",
    ),
    "cleanrl": Trainer(
        "global_step charts/episodic_return charts/episodic_length charts/learning_rate charts/SPS losses/value_loss "
        "losses/policy_loss losses/entropy losses/old_approx_kl losses/approx_kl losses/clipfrac "
        "losses/explained_variance",
        step="global_step",
        episode=None,
        reward="charts/episodic_return",
        length="charts/episodic_length",
        clocks="global_step",
        groups="charts losses",
    ),
    "rllib-old": Trainer(
        "episode_reward_max episode_reward_min episode_reward_mean episode_len_mean episodes_this_iter "
        "timesteps_total agent_timesteps_total episodes_total training_iteration time_this_iter_s time_total_s "
        "timestamp iterations_since_restore timesteps_since_restore time_since_restore",
        step="timesteps_total",
        episode="episodes_total",
        reward="episode_reward_mean",
        length="episode_len_mean",
        clocks="timesteps_total agent_timesteps_total episodes_total training_iteration time_total_s timestamp "
        "iterations_since_restore timesteps_since_restore time_since_restore",
        groups="episode",
    ),
    "rllib-new": Trainer(
        "env_runners/episode_return_mean env_runners/episode_return_max env_runners/episode_len_mean "
        "env_runners/num_env_steps_sampled_lifetime learners/default_policy/policy_loss "
        "num_env_steps_sampled_lifetime training_iteration time_total_s",
        step="num_env_steps_sampled_lifetime",
        episode="training_iteration",
        reward="env_runners/episode_return_mean",
        length="env_runners/episode_len_mean",
        clocks="env_runners/num_env_steps_sampled_lifetime num_env_steps_sampled_lifetime training_iteration "
        "time_total_s",
        groups="env_runners learners",
    ),
    "lightning-csv": Trainer(
        "epoch step train_loss val_loss val_acc lr-Adam",
        step="step",
        episode="epoch",
        reward=None,
        clocks="epoch step",
    ),
    "lightning-wandb": Trainer(
        "epoch trainer/global_step train/loss val/loss val/acc",
        step="trainer/global_step",
        episode="epoch",
        reward=None,
        clocks="epoch trainer/global_step",
        groups="train val",
    ),
    "brax": Trainer(
        "num_steps eval/walltime training/sps training/walltime training/total_loss training/policy_loss "
        "training/v_loss training/entropy_loss eval/episode_reward eval/episode_reward_std eval/episode_reward_ctrl "
        "eval/avg_episode_length eval/epoch_eval_time eval/sps",
        step="num_steps",
        episode=None,
        reward="eval/episode_reward",
        length="eval/avg_episode_length",
        clocks="num_steps eval/walltime training/walltime",
        groups="eval training",
    ),
    "brax-training-metrics": Trainer(
        "num_steps episode/sum_reward episode/length episode/reward_forward training/sps",
        step="num_steps",
        episode=None,
        reward="episode/sum_reward",
        length="episode/length",
        clocks="num_steps",
        groups="episode training",
    ),
    "rsl_rl-and-mjlab": Trainer(
        "it tot_timesteps tot_time Train/mean_reward Train/mean_episode_length Train/mean_reward/time Loss/value "
        "Loss/surrogate Loss/entropy Loss/learning_rate Policy/mean_std Perf/total_fps Perf/collection_time "
        "Perf/learning_time Episode_Reward/track_linear_velocity Episode_Reward/alive Episode_Termination/time_out "
        "Episode_Termination/fell_over Curriculum/terrain_levels Metrics/landing_force_mean",
        step="tot_timesteps",
        episode="it",
        reward="Train/mean_reward",
        length="Train/mean_episode_length",
        clocks="it tot_timesteps tot_time",
        groups="Curriculum Episode_Reward Episode_Termination Loss Metrics Perf Policy Train",
    ),
    "flog": Trainer(
        "step reward da_reward distance max_distance falls upright vel_mps behavior phase ball_dist ball_episode "
        "actor_competence cpg_weight task_pe pred_error gait_quality gait_height_ratio gait_jitter foot_FL foot_FR",
        step="step",
        episode="ball_episode",
        reward="reward",
        clocks="step ball_episode",
        groups="gait",
    ),
    "flog-evolution": Trainer(
        "gen best avg dist pop diversity genome/freq",
        step=None,
        episode="gen",
        reward="best",
        clocks="gen",
        groups="genome",
        kind=Kind.EVOLUTION,
    ),
    "flog-evolution-as-the-format-has-it": Trainer(
        "generation best_fitness avg_fitness best_distance",
        step=None,
        episode="generation",
        reward="best_fitness",
        clocks="generation",
        kind=Kind.EVOLUTION,
    ),
    "simion": Trainer(
        "step episode episode_type index sub_index complete length records return reward mean/state/angle "
        "mean/reward/reward experiment_real_time episode_sim_time episode_real_time",
        step="step",
        episode="episode",
        reward="return",
        length="length",
        clocks="step episode index sub_index experiment_real_time episode_sim_time episode_real_time",
        groups="mean",
    ),
}


@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=TRAINERS)
def test_trainers_are_understood(trainer: Trainer) -> None:
    keys = trainer.keys.split()
    step, episode = KNOWN.axis("step", keys), KNOWN.axis("episode", keys)
    assert (step and step.key) == trainer.step
    assert (episode and episode.key) == trainer.episode
    assert KNOWN.reward(keys) == trainer.reward
    assert KNOWN.find("length", keys) == trainer.length
    assert {key for key in keys if KNOWN.is_clock(key)} == set(trainer.clocks.split())
    shown = [key for key in keys if not KNOWN.is_clock(key)]
    assert set(KNOWN.groups(shown).values()) - {""} == set(trainer.groups.split())
    first = min(shown, key=lambda key: KNOWN.rank(trainer.kind, key))
    if trainer.reward is not None:
        assert first == trainer.reward
        assert KNOWN.tier(trainer.kind, first) == 0


@pytest.mark.parametrize(
    ("tier", "keys"),
    [
        (0, "reward return avg_reward success_rate score mean_fitness"),
        (1, "distance ep_len_mean rollout/ep_len_mean Train/mean_episode_length max_distance ball_dist vel_mps falls"),
        (2, "da_reward eval/episode_reward_ctrl Episode_Reward/alive episode_reward_max eval/success_rate"),
        (3, "losses/td Loss/value train/approx_kl val_loss actor_competence train/learning_rate"),
        (4, "charts/SPS time/fps Perf/total_fps pop neuromod/da"),
    ],
)
def test_tiers(tier: int, keys: str) -> None:
    assert {key: KNOWN.tier(Kind.STATS, key) for key in keys.split()} == dict.fromkeys(keys.split(), tier)


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ("lr-Adam train_loss val_loss", "val_loss train_loss lr-Adam"),
        ("reward return falls avg_reward success_rate", "return reward avg_reward success_rate falls"),
        ("max_distance distance", "distance max_distance"),
    ],
)
def test_ranks(keys: str, order: str) -> None:
    assert sorted(keys.split(), key=lambda key: KNOWN.rank(Kind.STATS, key)) == order.split()
    assert len({KNOWN.rank(Kind.CREATURE, key) for key in keys.split()}) == 1


@pytest.mark.parametrize("name", ["AverageTestEpRet", "TestEpRet", "testing/ret", "eval_return", "x evaluation"])
def test_evaluations_are_known_by_a_word(name: str) -> None:
    assert Conventions.is_evaluation(name)
    assert not Conventions.is_evaluation("AverageEpRet latest value")


def test_losses_are_better_when_lower() -> None:
    assert [KNOWN.lower_is_better(key) for key in ("val_loss", "losses/value", "pred_error", "reward")] == [
        *(True, True, True, False)
    ]


def test_the_physical_state_comes_last() -> None:
    assert KNOWN.tier(Kind.CREATURE, "reward") == 5


def test_a_reward_of_unknown_name_is_found_by_its_words() -> None:
    assert KNOWN.reward(["loss", "reward_weight", "agent/total_reward"]) == "agent/total_reward"
    assert KNOWN.reward(["curiosity_reward", "loss"]) is None


def test_what_is_not_usable_is_passed_over() -> None:
    assert KNOWN.reward(["return", "reward"], lambda key: key != "return") == "reward"
    axis = KNOWN.axis("step", ["step", "global_step"], lambda key: key != "step")
    assert axis is not None
    assert axis.key == "global_step"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("-3", -3), ("1e-3", 1e-3), ("True", True), ("None", None), ("nan", "nan"), ("inf", "inf"), ("1_0", "1_0")),
        *(("", ""), ("9" * 5000, "9" * 5000), ("1e999", "1e999"), ("a|b", "a|b")),
    ],
)
def test_values_of_a_table_of_hyperparameters(text: str, value: Any) -> None:
    found = hyperparameters_in("hyperparameters/text_summary", f"|param|value|\n|-|-|\n|key|{text}|\ncut off|")
    assert found == {"key": value}
    assert type(found["key"]) is type(value)


def test_axes_have_one_vocabulary() -> None:
    assert AXES == ("step", "episode", "time", "sim_time")
    assert AXIS_ALIASES["sim"] == "sim_time"
    assert KNOWN.axis("time", ["time", "step"]) is None
    assert KNOWN.axis("sim_time", ["episode_sim_time"]) == ("episode_sim_time", 1.0)
    assert KNOWN.restarts("episode_sim_time")
    assert KNOWN.axis_order() == ("step", "episode", "time")
    assert KNOWN.axis_order(summaries=True)[0] == "episode"


@pytest.mark.parametrize(("dt", "expected"), [(0.02, ("step", 0.02)), (0, None), ("0.02", None), (True, None)])
def test_simulated_time_from_the_length_of_a_step(dt: Any, expected: tuple[str, float] | None) -> None:
    assert of(dt=dt).axis("sim_time", ["step", "reward"]) == expected
    assert of(dt=dt).axis("sim_time", ["step", "sim_time"]) == ("sim_time", 1.0)


FREE = [1.0, 2.0, 0.3, 1.0, 0.0, 0.0, 0.0, 0.1, 0.2]  # a place, a unit quaternion, two joints


@pytest.mark.parametrize(
    ("sample", "keys", "place"),
    [
        ({"x": 1, "y": 2, "com": [3.0, 4.0, 5.0], "pos": FREE}, ("x", "y"), (1.0, 2.0)),
        ({"x": 1, "com": [3.0, 4.0, 5.0], "pos": FREE}, ("com",), (3.0, 4.0)),
        ({"com": None, "pos": FREE}, ("pos",), (1.0, 2.0)),
        ({"qpos": FREE, "qvel": [0.0] * 8}, ("qpos",), (1.0, 2.0)),
        ({"pos": [1.0, 2.0, 3.0]}, ("pos",), (1.0, 2.0)),
        ({"qpos": [0.1, -0.2]}, (), None),  # the angles of an Acrobot
        ({"pos": [0.1] * 9}, (), None),  # a HalfCheetah, which has no free joint
        ({"x": "1", "y": True, "pos": "there", "com": [1.0]}, (), None),
    ],
)
def test_the_place_of_the_robot(sample: Any, keys: tuple[str, ...], place: tuple[float, float] | None) -> None:
    assert KNOWN.position(sample) == keys
    assert KNOWN.coordinates(sample, keys) == place


def test_declared_states_are_known_by_their_name() -> None:
    declared = [Variable(name, "state", key=f"state/{name}") for name in ("x", "y", "heading", "angle")]
    log = of(None, *declared)
    sample = {"state/x": 1.0, "state/y": 2.0, "state/heading": 0.5, "com": [0.0, 0.0, 0.0]}
    assert log.position(sample) == ("state/x", "state/y")
    assert log.find("heading", sample) == "state/heading"


def test_a_declared_reward_is_one() -> None:
    log = of(None, Variable("progress", "reward", key="reward/progress"))
    assert log.reward(["step", "reward", "reward/progress"]) == "reward/progress"
    assert log.reward(["return", "reward/progress"]) == "return"
    assert log.tier(Kind.STATS, "reward/progress") == 0


def test_other_objects_and_the_state() -> None:
    sample = {"ball_pos": [1.0, 2.0, 0.1], "joint_pos": [0.0, 1.0], "pos": FREE, "vel": [0.0] * 8, "goal_pos": "left"}
    assert KNOWN.objects(sample) == {"ball": "ball_pos"}
    assert of({"objects": "cube"}).objects({"cube": [1.0, 2.0], "ball_pos": [1, 2]}) == {
        "cube": "cube",
        "ball": "ball_pos",
    }
    assert (KNOWN.qpos(sample), KNOWN.qvel(sample), KNOWN.qpos(["qpos"])) == ("pos", "vel", "qpos")
    assert (KNOWN.find("speed", ["vel_mps"]), KNOWN.behavior(["phase", "behavior"])) == ("vel_mps", "behavior")


def test_events() -> None:
    assert KNOWN.event({"type": "fall", "msg": "fell over", "step": 3}) == ("fall", "fell over", {"step": 3})
    assert KNOWN.event({"message": "hello", 5: 1}) == ("", "hello", {"5": 1})
    assert KNOWN.event_type(["msg", "type"]) == "type"
    assert [KNOWN.is_quiet(name) for name in ("episode_start", "episode_end", "function_sample", "fall")] == [
        *(True, True, True, False)
    ]


def test_a_log_says_what_its_keys_mean() -> None:
    log = of(
        {
            "reward": "my_return",
            "step": ["env_frames"],
            "position": ["base_x", "base_y"],
            "clock": "tick",
            "event_type": "what",
            "quiet_events": "heartbeat",
            "important": "slip",
        }
    )
    assert log.reward(["return", "my_return"]) == "my_return"
    assert log.axis("step", ["step", "env_frames"]) == ("env_frames", 1.0)
    assert log.position({"x": 0, "y": 0, "base_x": 3, "base_y": 4}) == ("base_x", "base_y")
    assert log.position({"x": 0, "y": 0}) == ("x", "y")
    assert log.is_clock("tick")
    assert log.is_clock("env_frames")
    assert log.event({"what": "fall", "type": 3}) == ("fall", "", {"type": 3})
    assert log.is_quiet("heartbeat")
    assert log.is_quiet("episode_start")
    assert log.tier(Kind.STATS, "slip") == 0
    assert of({"position": "pos"}).position({"pos": [0.1] * 6}) == ("pos",)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("reward", "a mapping"),
        ({"rewrad": "my_return"}, "'rewrad' is not a meaning"),
        ({"reward": 3}, "a name or a list of names, not 3"),
        ({"reward": []}, "a name or a list of names"),
        ({"step": ["a", None]}, "a name or a list of names"),
        ({"position": ["x", "y", "z"]}, "the two keys of x and y"),
        ({3: "x"}, "3 is not a meaning"),
    ],
)
def test_wrong_metadata_is_left_out_with_a_warning(said: Any, message: str) -> None:
    with pytest.warns(TrainlogWarning, match=message):
        log = of(said)
    assert log.keys == KNOWN.keys
    assert log.positions == ()


def test_what_is_right_beside_what_is_wrong_counts() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainlogWarning)
        assert of({"reward": 3, "step": "frame"}).axis("step", ["frame", "step"]) == ("frame", 1.0)


def test_a_page_gets_it_as_json() -> None:
    said = json.loads(json.dumps(of({"step": "frames", "position": "base"}, dt=0.5).as_json()))
    assert said["axes"] == list(AXES)
    assert said["keys"]["step"][:2] == ["frames", "step"]
    assert said["positions"][:2] == [["base"], ["x", "y"]]
    assert said["keys"]["quiet_events"] == ["episode_start", "episode_end", "function_sample"]
    assert said["dt"] == 0.5
    known = KNOWN.describe(Kind.STATS, ["losses/value", "step", "rollout/ep_rew_mean"])
    assert list(known) == ["rollout/ep_rew_mean", "losses/value", "step"]
    assert known["step"]["clock"]
    assert known["losses/value"] == {"clock": False, "tier": 3, "group": "losses"}


def test_the_document_has_the_same_table() -> None:
    text = (Path(__file__).parents[1] / "docs" / "conventions.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", text, re.MULTILINE))
    for meaning, keys in KNOWN.keys.items():
        assert re.findall(r"`([^`]+)`", rows[meaning].rpartition("|")[2]) == list(keys), f"the row of {meaning}"
