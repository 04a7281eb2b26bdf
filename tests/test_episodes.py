"""Episodes of any log, and what they come to."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import trainlog
from trainlog import Frame, Kind, Variable
from trainlog.episode import EpisodeType, Tally, period_of, weights_of
from trainlog.errors import TrainlogWarning


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
