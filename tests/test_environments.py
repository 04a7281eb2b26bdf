"""Recorders of environments for loops without wrappers."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trainlog
from test_background import Tensor
from trainlog.environments import EnvironmentRecorder, VectorRecorder
from trainlog.episode import episode_table
from trainlog.errors import LogWriteError, MissingExtra, TrainlogWarning, UnsupportedFrame

NO = np.zeros(2, bool)


class Traced:
    """As an array of JAX is while a function is compiled."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("traced")


def recorder(folder: Path) -> trainlog.TrainingRecorder:
    return trainlog.TrainingRecorder(folder / "a.flog", overwrite=True, sync_every=None)


def read(folder: Path) -> list[trainlog.episode.Episode]:  # type: ignore[name-defined]
    return list(trainlog.episodes(trainlog.open(folder / "a.flog")))


def test_the_frames_of_a_vector(tmp_path: Path) -> None:
    with recorder(tmp_path) as log:
        vector = log.vector(2)
        vector.reset(np.array([[0.5], [1.5]]))
        vector.step([1.0, 2.0], [False, True], NO, obs=np.array([[1.0], [2.0]]), data={"lr": 0.1, "x": [7, 8]})
        vector.step([3.0, 0.0], NO, NO, obs=np.array([[3.0], [4.0]]))
        vector.step([5.0, 6.0], NO, [True, False], obs=np.array([[5.0], [6.0]]))
    frames = [(frame.kind.name, frame.data) for frame in trainlog.open(tmp_path / "a.flog")]
    no = [False, False]
    start = {"type": "episode_start", "episode_type": "training"}
    assert frames == [
        ("EVENT", {**start, "env": [0, 1], "step": 2, "obs": [[0.5], [1.5]]}),
        (
            "CREATURE",
            {"step": 2, "env": [0, 1], "reward": [1.0, 2.0], "terminated": [False, True], "truncated": no}
            | {"lr": 0.1, "x": [7, 8], "obs": [[1.0], [2.0]]},
        ),
        (
            "EVENT",
            {"type": "episode_end", "env": [1], "step": 2, "terminated": [True], "truncated": [False]}
            | {"length": [1], "return": [2.0]},
        ),
        ("STATS", {"step": 2, "episode": 1, "env": 1, "return": 2.0, "length": 1}),
        (
            "CREATURE",
            {"step": 3, "env": [0, -1], "reward": [3.0, 0.0], "terminated": no, "truncated": no}
            | {"obs": [[3.0], [4.0]]},
        ),
        ("EVENT", {**start, "env": [1], "step": 5, "obs": [[4.0]]}),
        (
            "CREATURE",
            {"step": 5, "env": [0, 1], "reward": [5.0, 6.0], "terminated": no, "truncated": [True, False]}
            | {"obs": [[5.0], [6.0]]},
        ),
        (
            "EVENT",
            {"type": "episode_end", "env": [0], "step": 5, "terminated": [False], "truncated": [True]}
            | {"length": [3], "return": [9.0]},
        ),
        ("STATS", {"step": 5, "episode": 2, "env": 0, "return": 9.0, "length": 3}),
    ]
    second, first, third = read(tmp_path)
    assert (first.env, first.number, first.total_reward, first.steps["x"].tolist()[:1]) == (0, 1, 9.0, [7])
    assert (second.env, second.number, second.total_reward, second.terminated) == (1, 2, 2.0, True)
    assert (third.env, third.complete, third.steps["reward"].tolist()) == (1, False, [6.0])


def test_final_observations_of_same_step(tmp_path: Path) -> None:
    with recorder(tmp_path) as log:
        vector = log.vector(2, autoreset="same_step")
        vector.step([1, 1], [True, False], NO, obs=np.array([10, 2]), final_obs=[1, None])
        with pytest.warns(TrainlogWarning, match="final observations were not given"):
            vector.step([1, 1], [False, True], NO, obs=np.array([11, 20]))
    first, second, third = read(tmp_path)
    assert (first.final_obs, first.start.get("obs")) == (1, None)
    assert (second.length, second.final_obs) == (2, None)
    assert third.start["obs"] == 10
    assert "obs" not in third.steps


def test_a_step_after_the_end_without_a_reset_is_told(tmp_path: Path) -> None:
    with recorder(tmp_path) as log:
        vector = log.vector(2, autoreset="disabled", env_id=5, step=100, episode_type="evaluation")
        vector.step([1, 1], [True, False], NO)
        with pytest.warns(TrainlogWarning, match="without a reset"):
            vector.step([9, 1], NO, NO)
        vector.reset(mask=[True, False])
        vector.step([1, 1], [True, True], NO)
        assert (vector.steps, vector.episodes) == (105, 3)
    found = read(tmp_path)
    assert [(one.env, one.total_reward, str(one.type)) for one in found] == [
        (5, 1.0, "evaluation"),
        (5, 1.0, "evaluation"),
        (6, 3.0, "evaluation"),
    ]


def test_a_resumed_run_counts_on_from_its_checkpoint(tmp_path: Path) -> None:
    begun = {"step": 0, "episode": 0}
    for _ in range(2):
        with trainlog.TrainingRecorder(tmp_path / "run.flog", "point", resume=True) as log:
            one, vector = EnvironmentRecorder(log, **begun), log.vector(2, "same_step", env_id=1, **begun)  # type: ignore[arg-type]
            for _ in range(3):
                one.step(1.0, True, False)
            vector.step([1, 1], [True, True], NO)
            begun = {"step": one.steps, "episode": one.episodes}
    ends = trainlog.open(tmp_path / "run.flog").table("stats")
    alone = ends["env"] == 0
    assert ends["episode"][alone].tolist() == ends["step"][alone].tolist() == [1, 2, 3, 4, 5, 6]
    assert ends["episode"][~alone].tolist() == [1, 2, 4, 5]


@pytest.mark.parametrize("is_vector", [False, True])
def test_nothing_is_left_of_an_episode_that_began_after_the_checkpoint(is_vector: bool, tmp_path: Path) -> None:
    begun = {"step": 0, "episode": 0}
    for _ in range(2):
        with trainlog.TrainingRecorder(tmp_path / "run.flog", resume=True) as log:
            log.rewind(begun["step"])
            one: Any = log.vector(2, "same_step", **begun) if is_vector else EnvironmentRecorder(log, **begun)  # type: ignore[arg-type]
            for is_end in (False, True, False):
                one.step(*(([1, 1], [is_end] * 2, NO) if is_vector else (1.0, is_end, False)))
                if is_end:
                    begun = {"step": one.steps, "episode": one.episodes}
    found = list(trainlog.episodes(tmp_path / "run.flog"))
    assert [episode.length for episode in found] == ([2, 2, 2, 2, 1, 1] if is_vector else [2, 2, 1])


def test_settings_and_shapes_that_make_no_sense(tmp_path: Path) -> None:
    with recorder(tmp_path) as log:
        for wrong, message in (
            ({"autoreset": "sometimes"}, "autoreset is one of next_step, same_step, disabled, not 'sometimes'"),
            ({"every": 0}, "every is"),
            ({"env_id": -1}, "env_id is"),
            ({"episode_type": "eval"}, "episode_type is training or evaluation, not 'eval'"),
        ):
            with pytest.raises(ValueError, match=message):
                log.vector(2, **wrong)
        with pytest.raises(TypeError, match=r"log is a trainlog\.TrainingRecorder, not 'run\.flog'"):
            EnvironmentRecorder("run.flog")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="num_envs"):
            log.vector(0)
        for name, value in (("every", 2.5), ("every", float("nan")), ("env_id", "0"), ("step", None)):
            with pytest.raises(TypeError, match=f"{name} is .*, a whole number, not {value!r}"):
                log.vector(2, **{name: value})  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="num_envs is 1 or more, a whole number, not '2'"):
            log.vector("2")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="episode is a number of episodes, 0 or more, not -1"):
            log.vector(2, episode=-1)
        assert log.vector(2, step=1e6).steps == 1_000_000  # type: ignore[arg-type]
        vector = log.vector(2)
        with pytest.raises(ValueError, match=r"reward has the shape \(3,\), not \(2,\): one for each environment"):
            vector.step([1, 2, 3], NO, NO)
        with pytest.raises(ValueError, match="mask"):
            vector.reset(mask=[True])
        with pytest.raises(ValueError, match="obs has 3 rows, not 2: one for each environment"):
            vector.reset(np.zeros((3, 4)))
        with pytest.raises(ValueError, match="obs/left/0 has 1 rows, not 2: one for each environment"):
            vector.step([1, 2], NO, NO, obs={"left": (np.zeros((1, 4)), np.zeros((2, 4)))})
        with pytest.raises(TypeError, match="data is a map of more keys of the frame, not list"):
            vector.step([1, 2], NO, NO, data=[1, 2])  # type: ignore[arg-type]
        same = log.vector(2, "same_step")
        for final, found in ((np.zeros((3, 1)), "ndarray of 3"), ({"left": np.zeros((2, 1))}, "dict"), (5, "int")):
            with pytest.raises(ValueError, match=f"final_obs is a sequence of 2, .*, not a {found}"):
                same.step([1, 2], [True, False], NO, obs=np.zeros((2, 1)), final_obs=final)
        with pytest.raises(UnsupportedFrame, match="no array"):
            same.step(Traced(), NO, NO)
        assert vector.steps == same.steps == 0
    assert list(trainlog.open(tmp_path / "a.flog")) == []


def test_without_stats_there_are_none(tmp_path: Path) -> None:
    with recorder(tmp_path) as log:
        one = EnvironmentRecorder(log, stats=False)
        one.reset()
        one.step(1.0, True, False)
    assert trainlog.open(tmp_path / "a.flog").table("stats").rows == 0


def test_the_wrappers_without_gymnasium(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "trainlog.gymnasium", raising=False)
    with pytest.raises(MissingExtra, match=r'pip install "trainlog\[gymnasium\]"'):
        importlib.import_module("trainlog.gymnasium")


def test_several_processes(tmp_path: Path) -> None:
    for rank in range(2):
        with trainlog.TrainingRecorder(tmp_path / "run.flog", shard=rank, sync_every=None) as log:
            vector = log.vector(2)
            for step in range(3):
                vector.step(np.array([1.0, 2.0]) + 10 * rank, [step == 2] * 2, NO)
    found = list(trainlog.episodes(trainlog.open(tmp_path / "run.flog")))
    assert {(one.rank, one.env, one.length, one.total_reward, one.complete) for one in found} == {
        (rank, env, 3, 3 * (1.0 + env + 10 * rank), True) for rank in range(2) for env in range(2)
    }
    assert len(list(trainlog.episodes(trainlog.open(tmp_path / "run.flog"), env=1))) == 2


def test_processes_with_different_numbers_of_environments(tmp_path: Path) -> None:
    for rank in (0, 1):
        with trainlog.TrainingRecorder(tmp_path / "a.flog", shard=rank, sync_every=None) as log:
            count = 2 + rank
            vector = log.vector(count)
            for n in range(3):
                vector.step(np.full(count, 0.5), [n == 2] * count, [False] * count, obs=np.full((count, 1), n))
    found = read(tmp_path)
    assert [(one.rank, one.env) for one in found] == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    assert [(one.length, one.total_reward, one.terminated) for one in found] == [(3, 1.5, True)] * 5
    assert all(one.steps["reward"].dtype == float and one.steps["obs"].shape == (3, 1) for one in found)
    table = episode_table(tmp_path / "a.flog")
    assert table["return"].tolist() == [1.5] * 5


def test_observations_of_different_sizes(tmp_path: Path) -> None:
    with recorder(tmp_path) as log:
        several = [EnvironmentRecorder(log, env_id=env) for env in range(2)]
        for n in range(3):
            for env, one in enumerate(several):
                one.step(1.0, n == 2, False, {"obs": np.full(2 + env, n)})
    assert [one.steps["obs"].shape for one in read(tmp_path)] == [(3, 2), (3, 3)]
    assert [one.final_obs.tolist() for one in read(tmp_path)] == [[2, 2], [2, 2, 2]]


RUNS = st.lists(
    st.lists(
        st.tuples(st.floats(-1e3, 1e3), st.sampled_from([None, None, None, "terminated", "truncated"])),
        min_size=3,
        max_size=3,
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(RUNS, st.sampled_from(["next_step", "same_step"]), st.integers(1, 4))
def test_what_is_read_is_what_was_done(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], mode: str, every: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    truth: dict[int, list[list[float]]] = {env: [[]] for env in range(3)}
    waits = [False] * 3
    ended: dict[int, int] = dict.fromkeys(range(3), 0)
    with recorder(folder) as log:
        vector = log.vector(3, autoreset=mode, every=every)
        for rows in steps:
            ends = [None if waits[env] else end for env, (_, end) in enumerate(rows)]
            vector.step(
                [reward for reward, _ in rows],
                [end == "terminated" for end in ends],
                [end == "truncated" for end in ends],
            )
            for env, (reward, _) in enumerate(rows):
                if waits[env]:
                    waits[env] = False
                    continue
                truth[env][-1].append(reward)
                if ends[env]:
                    truth[env].append([])
                    ended[env] += 1
                    waits[env] = mode == "next_step"
    found = sorted(read(folder), key=lambda one: one.number)
    for env, expected in truth.items():
        own = [one for one in found if one.env == env]
        assert len(own) == sum(map(bool, expected))
        assert sum(one.complete for one in own) == ended[env]
        for one, rewards in zip(own, expected, strict=False):
            kept = [x for n, x in enumerate(rewards) if n % every == 0 or (one.complete and n == len(rewards) - 1)]
            assert one.steps["reward"].tolist() == kept
            if one.complete or every == 1:
                assert (one.length, one.total_reward) == (len(rewards), float(np.cumsum(rewards)[-1]))
            else:
                assert one.length is None


def test_tensors_that_the_simulator_fills_again(tmp_path: Path) -> None:
    with recorder(tmp_path) as log:
        vector, single = log.vector(2, "same_step"), EnvironmentRecorder(log, env_id=2)
        obs = Tensor([[1.0], [2.0]])
        vector.reset({"state": obs})
        single.reset(obs)
        obs.values += 10
        reward, ends, no = Tensor([1.0, 2.0]), Tensor([False, True]), Tensor(NO)
        final = [{"state": row} for row in Tensor([[3.0], [4.0]])]
        vector.step(reward, ends, no, obs={"state": obs}, final_obs=final)
        obs.values += 10
        vector.step(reward, no, ends, obs={"state": obs}, final_obs=final)
        vector.reset({"state": Tensor([[5.0], [6.0]])}, mask=ends)
        vector.step(reward, no, no)
        single.step(1.0, False, False)
    starts = {(one.env, one.number): one.start for one in read(tmp_path)}
    first, second, third, fourth, other = (starts[key] for key in sorted(starts))
    assert [one["obs/state"] for one in (first, second, third, fourth)] == [[1.0], [2.0], [12.0], [6.0]]
    assert other["obs"] == [[1.0], [2.0]]


@pytest.mark.parametrize("mode", ["next_step", "same_step", "disabled"])
def test_an_error_of_the_log_costs_its_frame_alone(mode: str) -> None:
    def run(refused: range) -> tuple[list[str], tuple[int, ...]]:
        calls: list[tuple[str, Any]] = []
        count = itertools.count()

        def record(*call: Any) -> None:
            if next(count) in refused:
                raise LogWriteError("the disk is full")
            calls.append(call)

        log: Any = SimpleNamespace(record_creature_frame=record, record_stats_frame=record, record_event=record)
        vector, single = VectorRecorder(log, 3, mode), EnvironmentRecorder(log, env_id=3)
        vector.reset(np.zeros((3, 1)))
        draw = np.random.default_rng(1)
        for _ in range(40):
            ends, reward, obs = draw.random(3) < 0.2, draw.normal(size=3), draw.normal(size=(3, 1))
            with contextlib.suppress(LogWriteError):
                vector.step(reward, ends, np.zeros(3, bool), obs=obs, final_obs=obs)
            with contextlib.suppress(LogWriteError):
                single.step(reward[0], ends[0], False)
            if mode == "disabled":
                vector.reset(obs, mask=ends)
        return [*map(repr, calls)], (vector.steps, vector.episodes, single.steps, single.episodes)

    whole, counts = run(range(0))
    for first in range(0, 60, 3):
        found, counts_then = run(range(first, first + 2))
        assert counts_then == counts
        assert set(found) < set(whole), "other frames than without the error"
