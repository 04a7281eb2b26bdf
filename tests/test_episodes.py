"""Episodes of any log, and what they come to."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trainlog
from trainlog import Frame, Kind, Variable
from trainlog.episode import Episode, episode_table
from trainlog.episode_summary import EpisodeType, Tally, period_of, weights_of
from trainlog.errors import LogNotFound, TrainlogWarning
from trainlog.table.builder import table_of


def log_of(path: Path, frames: list[Frame], **more: object) -> trainlog.Reader:
    with trainlog.create(path, more.pop("meta", None), overwrite=True, **more) as log:  # type: ignore[arg-type]
        log.write_all(frames)
    return trainlog.open(path)


def event(what: str, **more: object) -> Frame:
    return Frame(0.0, Kind.EVENT, {"type": what, **more})


def creature(step: int, reward: float, **more: object) -> Frame:
    return Frame(step / 10, Kind.CREATURE, {"step": step, "reward": reward, **more})


def test_a_log_without_episodes(tmp_path: Path) -> None:
    log = log_of(tmp_path / "a.flog", [creature(1, 0.5), event("fall")])
    assert list(trainlog.episodes(log)) == []


def test_episodes_of_another_trainer(tmp_path: Path) -> None:
    """Only the two events are asked for; all else is counted."""
    frames = [
        creature(0, 9.0),
        event("episode_start"),
        creature(1, 0.5, name="x"),
        Frame(0.1, Kind.STATS, {"loss": 1.0}),
        creature(2, 1.0, pos=[1.0, 2.0]),
        event("episode_end"),
        creature(3, 9.0),
        event("episode_end"),
        event("episode_start", episode_type="evaluation", index=5, sub_index=2),
        event("episode_start", episode_type="warm-up"),
        creature(4, -1.0),
    ]
    with pytest.warns(TrainlogWarning, match="the end of an episode at 0 s has no start"):
        first, second, third = trainlog.episodes(log_of(tmp_path / "a.flog", frames))
    assert [(one.number, str(one.type), one.index, one.sub_index, one.complete) for one in (first, second, third)] == [
        (1, "training", 1, 1, True),
        (2, "evaluation", 5, 2, False),
        (3, "training", 3, 1, False),
    ]
    assert first.steps["step"].tolist() == [1, 2]
    assert (first.length, first.reward, first.total_reward) == (2, 0.75, 1.5)
    assert first.means() == {"reward": 0.75}
    assert (second.steps.rows, second.length) == (0, 0)
    assert math.isnan(second.reward)
    assert second.summary()["records"] == 0
    assert third.summary()["episode_type"] == "training"
    assert repr(first) == "<Episode 1: training 1, 2 records>"
    assert repr(second) == "<Episode 2: evaluation 5.2, 0 records, incomplete>"


def test_a_path_is_opened(tmp_path: Path) -> None:
    log_of(tmp_path / "a.flog", [event("episode_start"), creature(1, 0.5), event("episode_end")])
    assert [one.total_reward for one in trainlog.episodes(tmp_path / "a.flog")] == [0.5]
    assert episode_table(str(tmp_path / "a.flog"))["return"].tolist() == [0.5]
    with pytest.raises(LogNotFound):  # at once, and not with the first episode
        trainlog.episodes(tmp_path / "none.flog")


def test_an_episode_longer_than_a_batch(tmp_path: Path) -> None:
    frames = [event("episode_start"), *(creature(i, i) for i in range(1, 10_001)), event("episode_end")]
    (episode,) = trainlog.episodes(log_of(tmp_path / "a.flog", frames))
    assert episode.steps["step"].tolist() == list(range(1, 10_001))
    assert episode.reward == 5000.5


def test_types_of_episodes() -> None:
    given = (0, 1, "training", "Evaluation", "type_7", 7, -1)
    assert [EpisodeType.of(value) for value in given] == [0, 1, 1, 0, 7, 7, -1]
    assert [str(EpisodeType.of(value)) for value in (0, 1, 7)] == ["evaluation", "training", "type_7"]
    for wrong in ("warm-up", "type_x"):
        with pytest.raises(ValueError):
            EpisodeType.of(wrong)


ANGLE = Variable("angle", "state", "rad", -3.14, 3.14, circular=True)
REWARDS = (Variable("a", "reward"), Variable("b", "reward"))


def test_records_weigh_as_much_as_the_steps_that_they_tell_of() -> None:
    step = np.array([1, 3, 10])
    assert weights_of(step).tolist() == [1, 2, 7]
    assert weights_of(np.array([5, 5, 3, 4])).tolist() == [5, 1, 1, 1]
    values = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 1.0]])
    for averaged, means in ((True, (2.6, 0.7)), (False, (2.0, 1 / 3))):
        tally = Tally(REWARDS, averaged=averaged)
        for i in range(3):
            tally.add(step[i : i + 1], values[i : i + 1])
        assert list(tally.means().values()) == pytest.approx(means)
        assert tally.reward == pytest.approx(sum(means))
        assert tally.summary()["return"] == pytest.approx(sum(means) * 10)
        assert (tally.length, tally.records) == (10, 3)


@pytest.mark.parametrize(
    ("angles", "mean"),
    [([3.1, -3.1], math.pi), ([0.1, -0.1], 0.0), ([3.0, -2.9], math.pi + 0.05), ([1.0, 1.2, 1.4], 1.2)],
)
def test_angles_have_a_circular_mean(angles: list[float], mean: float) -> None:
    tally = Tally((ANGLE,), averaged=False)
    tally.add(np.arange(1, len(angles) + 1), np.array(angles)[:, None])
    found = tally.means()["angle"]
    assert math.cos(found - mean) == pytest.approx(1)
    assert -math.pi - 1e-9 <= found <= math.pi + 1e-9
    assert tally.means(circular=False)["angle"] == pytest.approx(np.mean(angles))


def test_angles_in_other_units() -> None:
    degrees = Variable("heading", "state", "deg", 0.0, 360.0, circular=True)
    assert [period_of(one) for one in (degrees, ANGLE, Variable("x", "state"))] == [360.0, 2 * math.pi, 2 * math.pi]
    tally = Tally((degrees,), averaged=False)
    tally.add(np.arange(1, 3), np.array([[350.0], [30.0]]))
    assert tally.means()["heading"] == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("low", "high"),
    [(-1e308, 1e308), (-math.inf, 3.14), (0.0, math.inf), (math.nan, 3.14), (-3.14, math.nan), (math.inf, math.inf)],
)
def test_angles_whose_range_is_no_number(low: float, high: float) -> None:
    """They are radians then."""
    tally = Tally((Variable("angle", "state", "rad", low, high, circular=True),), averaged=False)
    tally.add(np.arange(1, 3), np.array([[0.1], [0.3]]))
    assert tally.means()["angle"] == pytest.approx(0.2)


def test_steps_at_the_limits_of_ints() -> None:
    assert weights_of(np.array([-(2**63)]), 5).tolist() == [1]
    assert weights_of(np.array([5, -(2**63), 1])).tolist() == [5, 1, 2.0**63]


def test_rewards_that_overflow_when_they_are_added_up() -> None:
    tally = Tally(REWARDS, averaged=False)
    tally.add(np.arange(1, 2), np.array([[1e308, 1e308]]))
    assert tally.reward == math.inf


def test_nothing_and_numbers_that_are_none() -> None:
    tally = Tally((ANGLE, *REWARDS), averaged=True)
    assert all(math.isnan(mean) for mean in tally.means().values())
    assert (tally.length, tally.records) == (0, 0)
    tally.add(np.arange(0), np.empty((0, 3)))
    tally.add(np.array([2**62]), np.array([[math.inf, math.nan, 1.0]]))
    assert tally.length == 1
    assert list(map(math.isnan, tally.means().values())) == [True, True, False]


def test_values_that_only_some_records_have() -> None:
    tally = Tally(REWARDS, averaged=False)
    tally.add(np.array([1]), np.array([[1.0, 4.0]]))
    tally.add(np.array([2]), np.array([[3.0]]))
    assert tally.means() == {"a": 2.0, "b": 4.0}


def of_env(env: object, step: int, reward: float, **more: object) -> Frame:
    return Frame(step / 10, Kind.CREATURE, {"env": env, "step": step, "reward": reward, **more})


def test_steps_that_count_all_environments_do_not_make_the_length(tmp_path: Path) -> None:
    frames = [event("episode_start"), *(creature(step, 1.0) for step in (4, 8, 12)), event("episode_end")]
    (one,) = trainlog.episodes(log_of(tmp_path / "a.flog", frames))
    assert (one.length, one.total_reward, one.reward, one.complete) == (3, 3.0, 1.0, True)


@pytest.mark.parametrize("names", [(0, 1), ("left", "right"), (0, "other")])
def test_environments_in_turns(tmp_path: Path, names: tuple[object, object]) -> None:
    a, b = names
    frames = [
        event("episode_start", env=a),
        of_env(a, 1, 1.0),
        event("episode_start", env=b),
        of_env(b, 2, 10.0),
        of_env(a, 3, 2.0),
        of_env(b, 4, 20.0),
        event("episode_end", env=b, terminated=False, truncated=True),
        of_env(a, 5, 4.0, terminated=True, truncated=False),
        event("episode_end", env=a),
        event("episode_start", env=b),
        of_env(b, 6, 30.0),
    ]
    log = log_of(tmp_path / "a.flog", frames)
    second, first, third = trainlog.episodes(log)
    assert [(one.env, one.number, one.steps["reward"].tolist()) for one in (first, second, third)] == [
        (a, 1, [1.0, 2.0, 4.0]),
        (b, 2, [10.0, 20.0]),
        (b, 3, [30.0]),
    ]
    assert (first.terminated, first.truncated, second.terminated, second.truncated) == (True, False, False, True)
    assert (third.complete, third.terminated) == (False, None)
    assert [one.number for one in trainlog.episodes(log, env=b)] == [2, 3]
    assert repr(second) == f"<Episode 2: training 2, env {b}, 2 records>"
    table = episode_table(log)
    assert table["episode"].tolist() == [1, 2, 3]
    assert table["env"].tolist() == [a, b, b]
    assert table["length"].tolist() == [3, 2, 1]
    assert table["return"].tolist() == [7.0, 30.0, 30.0]
    assert table["problems"].tolist() == ["", "", "it has no end: the log ends before one"]
    assert episode_table(log, env=a).rows == 1


def test_what_is_wrong_with_an_episode_is_told(tmp_path: Path) -> None:
    frames = [
        event("episode_start"),
        creature(1, 1.0),
        event("episode_start"),
        creature(2, 1.0),
        event("episode_end", length=5),
        event("episode_end"),
        event("episode_start", every=10),
        creature(3, 1.0),
    ]
    with pytest.warns(TrainlogWarning, match="the end of an episode at 0 s has no start; it is left out"):
        found = list(trainlog.episodes(log_of(tmp_path / "a.flog", frames)))
    assert [(one.complete, one.length, one.problems) for one in found] == [
        (False, 1, ("it has no end: the next episode began before one",)),
        (True, 1, ("its end reports 5 steps, but 1 are recorded",)),
        (
            False,
            None,
            (
                "it has no end: the log ends before one",
                "one step in 10 was recorded, so that its length and return are not known",
            ),
        ),
    ]
    assert math.isnan(found[2].total_reward)


def test_a_state_without_a_reward_is_no_step(tmp_path: Path) -> None:
    state = Frame(0.0, Kind.CREATURE, {"qpos": [1.0, 2.0]})
    frames = [event("episode_start"), state, creature(1, 2.0), state, creature(2, 4.0), event("episode_end")]
    (one,) = trainlog.episodes(log_of(tmp_path / "a.flog", frames))
    assert (one.steps.rows, one.length, one.total_reward, one.means()["reward"]) == (4, 2, 6.0, 3.0)


def test_vectors_of_several_sizes_and_single_frames_of_one_environment(tmp_path: Path) -> None:
    """The frames of all shapes are put in their order again."""
    frames = [
        event("episode_start", env=[0, 1, 2]),
        Frame(0.0, Kind.CREATURE, {"env": [0, 1, 2], "reward": [1.0, 2.0, 3.0], "v": [[1, 1], [2, 2], [3, 3]]}),
        Frame(0.1, Kind.CREATURE, {"env": [1, 0], "reward": [20.0, 10.0], "v": [[4, 4], [5, 5]], "lr": 0.5}),
        of_env(0, 3, 100.0),
        Frame(0.4, Kind.CREATURE, {"env": [0, -1, 2], "reward": [1000.0, 0.0, 30.0], "v": [[6, 6], [7, 7], [8, 8]]}),
        event("episode_end", env=[2, 0, 1], truncated=[True, False, False]),
    ]
    found = {one.env: one for one in trainlog.episodes(log_of(tmp_path / "a.flog", frames))}
    assert {env: one.steps["reward"].tolist() for env, one in found.items()} == {
        0: [1.0, 10.0, 100.0, 1000.0],
        1: [2.0, 20.0],
        2: [3.0, 30.0],
    }
    assert found[2].steps["v"].tolist() == [[3, 3], [8, 8]]
    assert found[1].steps["lr"].tolist()[1] == 0.5
    assert [one.truncated for one in found.values()] == [True, False, False]


def test_the_log_names_its_environments_and_rewards(tmp_path: Path) -> None:
    frames = [
        event("episode_start", robot=[3, 4]),
        Frame(0.0, Kind.CREATURE, {"robot": [3, 4], "gain": [1.0, 2.0]}),
        event("episode_end", robot=[3, 4]),
    ]
    log = log_of(tmp_path / "a.flog", frames, meta={"conventions": {"env": "robot", "reward": "gain"}})
    assert [(one.env, one.total_reward) for one in trainlog.episodes(log)] == [(3, 1.0), (4, 2.0)]
    assert episode_table(log)["return"].tolist() == [1.0, 2.0]


def test_episodes_of_vectors_longer_than_a_batch(tmp_path: Path) -> None:
    count = 9000
    frames = [
        event("episode_start", env=[0, 1]),
        *(Frame(0.0, Kind.CREATURE, {"env": [0, 1], "reward": [float(i), 1.0]}) for i in range(count)),
        event("episode_end", env=[0, 1]),
    ]
    first, second = trainlog.episodes(log_of(tmp_path / "a.flog", frames))
    assert first.steps["reward"].tolist() == list(range(count))
    assert (second.length, second.total_reward) == (count, count)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=1), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["episode_start", "episode_end", "step"]), ODD, ODD), max_size=12))
def test_whatever_stands_for_an_environment_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, object, object]]
) -> None:
    frames = [
        Frame(0.0, Kind.CREATURE, {"env": env, "reward": more, "rank": 1})
        if what == "step"
        else event(what, env=env, length=more, every=more, index=more)
        for what, env, more in rows
    ]
    log = log_of(tmp_path_factory.mktemp("odd") / "a.flog", frames)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainlogWarning)
        found = list(trainlog.episodes(log))
        assert episode_table(log).rows == len(found)
    for one in found:
        assert isinstance(one.summary(), dict)
        assert isinstance(one.problems, tuple)


def test_one_environment_beside_a_vector_keeps_its_arrays(tmp_path: Path) -> None:
    frames = [
        event("episode_start", env=[0, 1, 2]),
        Frame(0.0, Kind.CREATURE, {"env": [0, 1], "reward": [1.0, 2.0], "v": [[1.0, 1.5], [2.0, 2.5]]}),
        Frame(0.0, Kind.CREATURE, {"env": 2, "reward": 3.0, "v": [3.0, 3.5], "null": None}),
        Frame(0.0, Kind.CREATURE, {"env": 2, "reward": 4.0, "v": [4.0, 4.5]}),
    ]
    found = list(trainlog.episodes(log_of(tmp_path / "a.flog", frames)))
    assert [one.steps["v"].tolist() for one in found] == [[[1.0, 1.5]], [[2.0, 2.5]], [[3.0, 3.5], [4.0, 4.5]]]
    assert all(one.steps["reward"].dtype == np.float64 for one in found)


def sampled(**more: Any) -> Episode:
    """An episode of 10 steps of 0.5 s, of which the records 1, 4, 8 and 10 are the means."""
    steps = table_of(
        Kind.CREATURE,
        (
            (0.0, {"step": n, "episode_sim_time": n / 2, "reward": x})
            for n, x in ((1, 8.0), (4, 2.0), (8, 4.0), (10, 0.0))
        ),
    )
    variables = (Variable("reward", "reward"),)
    given = {"averaged": True, "by_step": True, **more}
    return Episode(1, EpisodeType.EVALUATION, 1, 1, True, steps, variables, **given)


def test_means_of_steps_of_records_and_behind_an_offset() -> None:
    episode = sampled()
    assert episode.means() == {"reward": (8 + 3 * 2 + 4 * 4 + 0) / 10}
    assert episode.means(weighted=False) == {"reward": (8 + 2 + 4 + 0) / 4}
    assert sampled(averaged=False).means() == episode.means(weighted=False)
    assert episode.means(between=(2.0, None)) == {"reward": (3 * 2 + 4 * 4 + 0) / 9}
    assert episode.means(between=(None, 4.0)) == {"reward": (8 + 3 * 2) / 4}
    assert episode.means(between=(2.0, 4.5), weighted=False) == {"reward": 3.0}
    assert episode.means(clock="step", between=(8, 9)) == {"reward": 4.0}
    assert math.isnan(episode.means(between=(9.0, None))["reward"])
    with pytest.raises(KeyError, match="has no 'time'"):
        episode.means(clock="time", between=(0, 1))
    with pytest.raises(ValueError, match="between is a pair"):
        episode.means(between=2.0)  # type: ignore[arg-type]


def test_an_episode_at_equal_distances() -> None:
    found = sampled().resampled(4)
    assert list(found) == ["episode_sim_time", "reward"]
    assert found["episode_sim_time"].tolist() == [0.5, 2.0, 3.5, 5.0]
    assert found["reward"].tolist() == [8.0, 2.0, 3.5, 0.0]
    assert sampled().resampled(2, clock="step", between=(4, None))["reward"].tolist() == [2.0, 0.0]
    for count, between in ((1, None), (5, (90.0, None))):
        with pytest.raises(ValueError, match="cannot be resampled"):
            sampled().resampled(count, between=between)


def test_a_mean_is_of_the_records_that_have_a_value(tmp_path: Path) -> None:
    """A sensor that fails for a moment takes no mean away; a NaN that was logged does."""
    path = tmp_path / "run.flog"
    with trainlog.TrainingRecorder(path, sync_every=None) as log:
        log.record_event(0.0, "episode_start")
        for step in range(10):
            speed = {} if step == 5 else {"speed": 2.0}
            angle = None if step == 7 else 1.0
            noise = math.nan if step == 3 else 1.0
            log.record_creature_frame(
                step + 1.0, {"step": step + 1, "reward": 1.0, "angle": angle, "noise": noise, **speed}
            )
        log.record_event(11.0, "episode_end")
    (episode,) = trainlog.episodes(path)
    means = episode.means()
    assert (means["speed"], means["angle"]) == (2.0, 1.0)
    assert math.isnan(means["noise"])
    assert episode.summary()["mean"]["speed"] == 2.0
    assert episode.resampled(3, clock="step")["speed"].tolist() == [2.0, 2.0, 2.0]
