"""TrainingCurveRecorder: what it writes, what it keeps, and that a kill takes nothing from it."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import FrameType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import trainlog
from trainlog import Frame, Kind, TrainingCurveRecorder, TrainingRecorder
from trainlog.errors import EmptyLog, UnsupportedFrame


class Part:
    def __init__(self, **metrics: float) -> None:
        self.metrics = metrics

    def training_metrics(self) -> dict[str, float]:
        return self.metrics


class Policy(Part):
    epsilon = 0.25

    def __init__(self, **metrics: float) -> None:
        super().__init__(**metrics)
        self._options = {"run": 1, "turn": 2}


class Agent:
    """As the original trainer has it: parts that tell their metrics."""

    def __init__(self) -> None:
        self.perception = Part(perception_encoder_loss=3.0)
        self.value_function = Part(value_q_omega_loss=2.0, shared=1.0)
        self.reactive_policy = Policy(policy_q_loss=0.5, shared=2.0)


def strict(path: Path) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_writes_the_files_that_the_original_wrote(tmp_path: Path) -> None:
    recorder = TrainingCurveRecorder(tmp_path / "out", prefix="train", average_window=2)
    for episode, reward in enumerate([1.0, 3.0, 2.0]):
        recorder.log_episode(episode, reward, reward / 2, Agent())
    written = recorder.save()
    figures = [
        "reward_curve",
        "training_state",
        "perception_encoder_loss",
        "policy_q_loss",
        "shared",
        "value_q_omega_loss",
    ]
    assert names(tmp_path / "out") == {
        "train_reward_history.json",
        *(f"train_{figure}.{suffix}" for figure in figures for suffix in ("svg", "png")),
    }
    assert {path.name for path in written} == names(tmp_path / "out")
    history = strict(tmp_path / "out" / "train_reward_history.json")
    assert history["reward_history"] == [1.0, 3.0, 2.0]
    assert history["average_history"] == [0.5, 1.5, 1.0]
    assert history["epsilon_history"] == [0.25] * 3
    assert history["option_history"] == [2.0] * 3
    assert history["metric_histories"]["shared"] == [2.0] * 3
    assert (history["episodes"], history["best_reward"], history["final_reward"], history["final_average"]) == (
        3,
        3,
        2,
        1,
    )
    svg = (tmp_path / "out" / "train_reward_curve.svg").read_text()
    for text in ("train reward over episodes", "Episode", "Reward", ">mean of 2, trailing<"):
        assert text in svg
    for path in (tmp_path / "out").glob("*.svg"):
        ElementTree.parse(path)


def test_plain_values_need_no_agent(tmp_path: Path) -> None:
    recorder = TrainingCurveRecorder(tmp_path, average_window=2)
    for episode, reward in enumerate([2.0, 4.0, 9.0]):
        recorder.log_episode(episode, reward, epsilon=0.5, policy_loss=episode)
    recorder.save()
    assert recorder.average_history == [2.0, 3.0, 6.5]
    assert recorder.metric_histories == {"policy_loss": [0.0, 1.0, 2.0]}
    assert {"training_policy_loss.svg", "training_training_state.png"} <= names(tmp_path)


def test_what_nobody_said_is_not_drawn(tmp_path: Path) -> None:
    recorder = TrainingCurveRecorder(tmp_path)
    recorder.log_episode(0, 1.0)
    recorder.save()
    assert names(tmp_path) == {"training_reward_curve.svg", "training_reward_curve.png", "training_reward_history.json"}
    assert strict(tmp_path / "training_reward_history.json")["epsilon_history"] == [None]


def test_an_agent_may_say_it_all_itself() -> None:
    class Small(Part):
        epsilon = 0.1
        options = 3

    recorder = TrainingCurveRecorder(Path("unused"))
    recorder.log_episode(0, 1.0, 1.0, Small(loss=7.0))
    assert (recorder.epsilon_history, recorder.option_history) == ([0.1], [3.0])
    assert recorder.metric_histories == {"loss": [7.0]}


def test_a_metric_that_comes_and_goes_keeps_its_place() -> None:
    recorder = TrainingCurveRecorder(Path("unused"))
    recorder.log_episode(0, 1.0)
    recorder.log_episode(1, 1.0, loss=5.0)
    recorder.log_episode(2, 1.0)
    assert [str(value) for value in recorder.metric_histories["loss"]] == ["nan", "5.0", "nan"]


def test_not_a_number_is_shown_and_is_null_in_json(tmp_path: Path) -> None:
    recorder = TrainingCurveRecorder(tmp_path)
    for episode, reward in enumerate([1.0, math.nan, math.inf]):
        recorder.log_episode(episode, reward, 1.0)
    recorder.save()
    history = strict(tmp_path / "training_reward_history.json")
    assert history["reward_history"] == [1.0, None, None]
    assert history["best_reward"] == 1.0
    assert "1 NaN, 1 +inf" in (tmp_path / "training_reward_curve.svg").read_text()


def test_ctrl_c_at_every_bytecode_leaves_an_episode_whole_or_out() -> None:
    recorder = TrainingCurveRecorder(Path("unused"))

    def lengths() -> set[int]:
        histories = (recorder.episode_history, recorder.reward_history, recorder.average_history)
        more = (recorder.epsilon_history, recorder.option_history, *recorder.metric_histories.values())
        return set(map(len, (*histories, *more)))

    for place in itertools.count(1):
        before, places = len(recorder.reward_history), itertools.count(1)

        def trace(frame: FrameType, event: str, _: Any, place: int = place, places: Any = places) -> Any:
            frame.f_trace_opcodes = frame.f_code.co_filename == TrainingCurveRecorder.log_episode.__code__.co_filename
            if event == "opcode" and next(places) == place:
                raise KeyboardInterrupt
            return trace

        tracing = sys.gettrace()
        try:
            sys.settrace(trace)
            recorder.log_episode(place, 1.0, epsilon=0.1, other_loss=2.0)
            break
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(tracing)
        assert lengths() in ({before}, {before + 1})
        recorder.log_episode(place, 1.0, loss=1.0)
        assert len(lengths()) == 1
    assert place > 50


def test_what_is_no_number_is_refused_and_leaves_no_trace() -> None:
    recorder = TrainingCurveRecorder(Path("unused"))
    with pytest.raises(UnsupportedFrame, match="loss must be a number, not 'high'"):
        recorder.log_episode(0, 1.0, loss="high")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedFrame, match="episode must be a whole number, not 'first'"):
        recorder.log_episode("first", 1.0)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedFrame, match="reward must be a number, not None"):
        recorder.log_episode(0, None)  # type: ignore[arg-type]
    assert recorder.reward_history == []


def test_metrics_of_odd_names_have_files_of_their_own(tmp_path: Path) -> None:
    recorder = TrainingCurveRecorder(tmp_path)
    odd = {"loss/policy": 1.0, "loss_policy": 2.0, "../up": 3.0, "reward_curve": 4.0, "Loss_Policy": 5.0}
    recorder.log_episode(0, 1.0, 1.0, Part(**odd))
    written = recorder.save()
    assert len({path.name.casefold() for path in written}) == len(written) == 2 * (1 + len(odd)) + 1
    assert {path.parent for path in written} == {tmp_path}


def test_nothing_is_written_before_the_first_episode(tmp_path: Path) -> None:
    recorder = TrainingCurveRecorder(tmp_path / "out")
    assert recorder.save() == []
    recorder.save_checkpoint()
    assert not (tmp_path / "out").exists()


class NeverReadAsAWhole(list[float]):
    def __iter__(self) -> Any:
        raise AssertionError("an episode must not read the whole history")


@pytest.mark.parametrize("episode", [2**53 + 1, np.int64(2**53 + 1), np.float32(3), "3"])
def test_whole_numbers_are_episodes_also_if_no_float_is_equal(tmp_path: Path, episode: Any) -> None:
    recorder = TrainingCurveRecorder(tmp_path)
    recorder.log_episode(episode, 1.0)
    assert recorder.episode_history == [int(episode)]


def test_an_episode_costs_the_same_however_many_there_were(tmp_path: Path) -> None:
    recorder = TrainingCurveRecorder(tmp_path, average_window=2, reward_history=NeverReadAsAWhole())
    for episode in range(4):
        recorder.log_episode(episode, float(episode))
    assert recorder.average_history == [0.0, 0.5, 1.5, 2.5]


@pytest.mark.parametrize("window", [1, 2, 100])
def test_the_average_of_rewards_whose_sum_is_too_large_for_a_float(tmp_path: Path, window: int) -> None:
    recorder = TrainingCurveRecorder(tmp_path, average_window=window)
    for episode in range(3):
        recorder.log_episode(episode, 1.5e308)
    assert recorder.average_history == pytest.approx([1.5e308] * 3)


def test_checkpoints(tmp_path: Path) -> None:
    recorder = TrainingCurveRecorder(tmp_path, checkpoint_every=2)
    path = tmp_path / "training_reward_history_checkpoint.json"
    recorder.log_episode(0, 1.0)
    assert not path.exists()
    recorder.log_episode(1, 2.0)
    recorder.log_episode(2, 3.0)
    checkpoint = strict(path)
    assert checkpoint["checkpoint"] is True
    assert checkpoint["reward_history"] == [1.0, 2.0]
    assert names(tmp_path) == {path.name}


def test_colors_are_those_of_the_fields(tmp_path: Path) -> None:
    recorder = TrainingCurveRecorder(tmp_path, reward_color="#112233", metric_colors={"loss": "#445566"})
    recorder.log_episode(0, 1.0, loss=1.0)
    recorder.log_episode(1, 2.0, loss=2.0)
    recorder.save()
    assert "#112233" in (tmp_path / "training_reward_curve.svg").read_text()
    assert "#445566" in (tmp_path / "training_loss.svg").read_text()


def test_numbers_of_episodes_are_the_axis(tmp_path: Path) -> None:
    recorder = TrainingCurveRecorder(tmp_path)
    for episode in range(5000, 5003):  # a run that was resumed
        recorder.log_episode(episode, 1.0)
    recorder.save()
    assert ">5000<" in (tmp_path / "training_reward_curve.svg").read_text()


def test_a_log_holds_it_all(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "run.flog") as log:
        log.record_stats_frame(0.0, {"step": 1, "reward": 99.0})  # the trainer's own
        recorder = TrainingCurveRecorder(tmp_path / "live", "ant", 3, log=log)
        for episode in range(6):
            metrics = {"loss": episode, "reward": -1.0} if episode != 3 else {}
            recorder.log_episode(episode, float(episode), 0.5, Part(**metrics), epsilon=1.0 / (episode + 1))
    live = recorder.save()
    again = TrainingCurveRecorder.from_log(tmp_path / "run.flog", tmp_path / "again")
    assert (again.prefix, again.average_window) == ("ant", 3)
    assert [path.name for path in again.save()] == [path.name for path in live]
    for path in live:
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_several_recorders_share_a_log(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    with trainlog.create(path) as writer:
        train, evaluate = (TrainingCurveRecorder(tmp_path, prefix, log=writer) for prefix in ("train", "eval"))
        train.log_episode(0, 1.0)
        evaluate.log_episode(0, 5.0)
        train.log_episode(1, 2.0)
    assert TrainingCurveRecorder.from_log(path).reward_history == [1.0, 2.0]
    assert TrainingCurveRecorder.from_log(path, prefix="eval").reward_history == [5.0]
    with pytest.raises(EmptyLog, match="no curve recorder with the prefix 'test'"):
        TrainingCurveRecorder.from_log(path, prefix="test")


def test_any_log_of_episodes_will_do(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    with trainlog.create(path) as writer:
        for n in range(4):
            writer.write(Frame(n, Kind.STATS, {"episode": n, "return": n * 2.0, "loss": 1.0 / (n + 1), "mode": "walk"}))
    recorder = TrainingCurveRecorder.from_log(path, average_window=2)
    assert recorder.reward_history == [0.0, 2.0, 4.0, 6.0]
    assert recorder.average_history == [0.0, 1.0, 3.0, 5.0]
    assert list(recorder.metric_histories) == ["loss"]
    assert recorder.output_dir == tmp_path


@pytest.mark.parametrize(
    ("keys", "meta"),
    [
        (("time/iterations", "rollout/ep_rew_mean", "train/loss"), {}),
        (("training_iteration", "env_runners/episode_return_mean", "loss"), {}),
        (("epoch", "profit", "reward"), {"conventions": {"reward": "profit"}}),
    ],
)
def test_logs_of_other_trainers(tmp_path: Path, keys: tuple[str, str, str], meta: dict[str, object]) -> None:
    path = tmp_path / "run.flog"
    with trainlog.create(path, meta) as writer:
        for n in range(4):
            row = dict(zip(keys, (n + 5, n * 2.0, 1.0 / (n + 1)), strict=True))
            writer.write(Frame(n, Kind.STATS, {"timesteps": n * 2048, **row}))
    recorder = TrainingCurveRecorder.from_log(path)
    assert recorder.episode_history == [5, 6, 7, 8]
    assert recorder.reward_history == [0.0, 2.0, 4.0, 6.0]
    assert list(recorder.metric_histories) == [keys[2]]


def test_a_log_without_rewards_says_so(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    with trainlog.create(path) as writer:
        writer.write(Frame(0, Kind.EVENT, {"type": "start"}))
    with pytest.raises(EmptyLog, match="no stats frames with a reward"):
        TrainingCurveRecorder.from_log(path)


KILLED = """
    import sys, time
    from trainlog import TrainingCurveRecorder, TrainingRecorder

    log = TrainingRecorder(sys.argv[1])
    recorder = TrainingCurveRecorder(sys.argv[2], "ant", 10, log=log)
    for episode in range(10**9):
        recorder.log_episode(episode, episode ** 0.5, None, epsilon=1 / (1 + episode), loss=float(episode % 7))
        if episode == 300:
            print("go on", flush=True)
"""


def test_a_killed_process_loses_no_figure(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), path, tmp_path / "never"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "go on\n"
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "never").exists()
    recorder = TrainingCurveRecorder.from_log(path, tmp_path / "out")
    count = len(recorder.reward_history)
    assert count > 300
    assert recorder.reward_history == [episode**0.5 for episode in range(count)]
    assert recorder.metric_histories == {"loss": [float(episode % 7) for episode in range(count)]}
    assert {path.name for path in recorder.save()} == {
        *(f"ant_{name}.{suffix}" for name in ("reward_curve", "training_state", "loss") for suffix in ("svg", "png")),
        "ant_reward_history.json",
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colors_have_names_in_both_themes(tmp_path: Path, theme: Any) -> None:
    recorder = TrainingCurveRecorder(tmp_path, reward_color="steelblue", average_color="#123", theme=theme)
    recorder.log_episode(0, 1.0)
    recorder.save()
    recorder.reward_color = "stealblue"
    recorder.log_episode(1, 2.0)
    with pytest.raises(ValueError, match="'stealblue' is not a colour"):
        recorder.save()
    (history,) = tmp_path.glob("*_reward_history.json")
    assert json.loads(history.read_text())["episodes"] == 2  # the figure failed, not the history


def test_a_dark_theme_lightens_the_colors(tmp_path: Path) -> None:
    recorder = TrainingCurveRecorder(tmp_path, theme="dark")
    recorder.log_episode(0, 1.0)
    recorder.log_episode(1, 2.0)
    recorder.save()
    svg = (tmp_path / "training_reward_curve.svg").read_text()
    assert recorder.reward_color not in svg


def test_metrics_of_any_name_are_the_same_in_the_log(tmp_path: Path) -> None:
    class Agent:
        def training_metrics(self) -> dict[str, float]:
            names = ("episode", "metrics/episode", "metrics/metrics/reward", "metrics/x", "curve", "reward")
            return {name: float(n) for n, name in enumerate(names)}

    with TrainingRecorder(tmp_path / "run.flog") as log:
        curves = TrainingCurveRecorder(tmp_path, log=log)
        curves.log_episode(0, 1.5, agent=Agent())
    found = TrainingCurveRecorder.from_log(tmp_path / "run.flog")
    assert found.metric_histories == curves.metric_histories
    assert (found.episode_history, found.reward_history) == ([0], [1.5])


@pytest.mark.parametrize("prefix", ["../out", "/tmp/out", "a\\b", "a\0b"])
def test_a_log_does_not_choose_the_folder(tmp_path: Path, prefix: str) -> None:
    frame = {"curve": prefix, "average_window": 3, "episode": 0, "reward": 1.0, "avg_reward": 1.0}
    with trainlog.create(tmp_path / "logs" / "run.flog") as writer:
        writer.write(Frame(0.0, Kind.STATS, frame))
    written = TrainingCurveRecorder.from_log(tmp_path / "logs" / "run.flog").save()
    assert {path.parent for path in written} == {tmp_path / "logs"}


@pytest.mark.parametrize("odd", [{"curve": 0.5}, {"curve": "ant"}, {"curve": "ant", "average_window": "3"}])
def test_a_metric_called_curve_is_none_of_a_recorder(tmp_path: Path, odd: dict[str, Any]) -> None:
    with trainlog.create(tmp_path / "run.flog") as writer:
        for n in range(3):
            writer.write(Frame(float(n), Kind.STATS, {"episode": n, "reward": float(n), "avg_reward": 1.0, **odd}))
    assert TrainingCurveRecorder.from_log(tmp_path / "run.flog").reward_history == [0, 1, 2]


@pytest.mark.parametrize("episode", [1.5, math.nan, "x", None])
def test_an_episode_that_is_no_whole_number_is_refused(tmp_path: Path, episode: Any) -> None:
    with pytest.raises(UnsupportedFrame, match="episode must be a whole number"):
        TrainingCurveRecorder(tmp_path).log_episode(episode, 1.0)
    with pytest.raises(UnsupportedFrame, match="episode must be a whole number"):
        trainlog.EpisodeAnimationRecorder(tmp_path).save([], episode=episode, reward=1.0)
