"""Gymnasium's wrappers: what is read back of a run is what the environments themselves kept of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from trainlog.episode import Episode, episode_table
from trainlog.errors import TrainlogWarning

gymnasium = pytest.importorskip("gymnasium")

from gymnasium import spaces  # noqa: E402
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv  # noqa: E402
from gymnasium.wrappers.vector import RecordEpisodeStatistics  # noqa: E402

from trainlog.environments import leaves  # noqa: E402
from trainlog.gymnasium import RecordRun, RecordVectorRun  # noqa: E402

ENVS = 4
BOX = spaces.Box(-np.inf, np.inf, (3,), np.float64)
DICT = spaces.Dict({"place": spaces.Box(-np.inf, np.inf, (3,)), "rest": spaces.Tuple([spaces.Discrete(100), BOX])})


def length_of(env: int, episode: int) -> int:
    return 1 + (7 * env + 5 * episode) % 12


def reward_of(env: int, episode: int, step: int) -> float:
    return math.sin(env + 0.1 * episode + step)


def obs_of(space: Any, env: int, episode: int, step: int) -> Any:
    if space is DICT or isinstance(space, spaces.Dict):
        return {
            "place": np.array([env, episode, step], np.float32),
            "rest": (np.int64(step), np.array([env, episode, step], np.float64)),
        }
    if space.shape and len(space.shape) == 3:
        return np.full(space.shape, step, np.uint8)
    return np.array([env, episode, step], np.float64)


class Keeper(gymnasium.Env[Any, Any]):
    """An environment that keeps the truth of its episodes in a file of its own, also in another process."""

    def __init__(self, folder: Path, env: int, space: Any = BOX, length: int | None = None) -> None:
        self.observation_space, self.action_space = space, spaces.Discrete(3)
        self.file, self.env, self.length = folder / f"truth-{env}.jsonl", env, length
        self.episode, self.t = -1, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode, self.t, self.total = self.episode + 1, 0, 0.0
        return obs_of(self.observation_space, self.env, self.episode, 0), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        reward = reward_of(self.env, self.episode, self.t)
        self.total += reward
        done = self.t >= (self.length or length_of(self.env, self.episode))
        ends = (done and self.episode % 3 != 1, done and self.episode % 3 != 0)
        if done:
            with self.file.open("a") as file:
                truth = {"episode": self.episode, "length": self.t, "return": self.total, "ends": ends}
                file.write(json.dumps(truth) + "\n")
        return obs_of(self.observation_space, self.env, self.episode, self.t), reward, *ends, {"t": self.t}


class Batched(VectorEnv[Any, Any, Any]):
    """A vector environment of its own kind, which fills the same arrays again and again."""

    def __init__(self, makers: list[Callable[[], Keeper]], autoreset_mode: AutoresetMode) -> None:
        self.envs = [make() for make in makers]
        self.num_envs, self.mode = len(self.envs), autoreset_mode
        self.metadata = {"autoreset_mode": autoreset_mode}
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, self.num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, self.num_envs)
        self.obs = gymnasium.vector.utils.create_empty_array(self.single_observation_space, self.num_envs)
        self.reward = np.zeros(self.num_envs, np.float32)
        self.ends = np.zeros((2, self.num_envs), bool)

    def _fill(self, seen: list[Any]) -> None:
        gymnasium.vector.utils.concatenate(self.single_observation_space, seen, self.obs)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        self.ends[:, mask] = False
        old = deepcopy(list(gymnasium.vector.utils.iterate(self.observation_space, self.obs)))
        self._fill([env.reset()[0] if mask[i] else old[i] for i, env in enumerate(self.envs)])
        return self.obs, {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        done = self.ends.any(axis=0)
        seen, final = [], np.full(self.num_envs, None)
        for i, env in enumerate(self.envs):
            if self.mode is AutoresetMode.NEXT_STEP and done[i]:
                obs, self.reward[i], self.ends[:, i] = env.reset()[0], 0.0, False
            else:
                obs, self.reward[i], self.ends[0, i], self.ends[1, i], _ = env.step(0)
                if self.mode is AutoresetMode.SAME_STEP and self.ends[:, i].any():
                    final[i], obs = obs, env.reset()[0]
            seen.append(obs)
        self._fill(seen)
        info = {} if self.mode is not AutoresetMode.SAME_STEP else {"final_obs": final}
        return self.obs, self.reward, self.ends[0], self.ends[1], info


def truth(folder: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """By environment and episode, what the environments kept."""
    lines = [
        (int(file.stem.partition("-")[2]), json.loads(line))
        for file in folder.glob("truth-*.jsonl")
        for line in file.read_text().splitlines()
    ]
    return {(env, line["episode"]): line for env, line in lines}


def run(envs: Any, steps: int, mode: AutoresetMode) -> list[tuple[int, float, int]]:
    """Step *envs*; the environment, return and length that Gymnasium's own wrapper tells of each episode."""
    said = []
    envs.reset(seed=1)
    envs.action_space.seed(1)
    for _ in range(steps):
        _, _, terminated, truncated, info = envs.step(envs.action_space.sample())
        done = np.array(terminated | truncated)
        ended = np.flatnonzero(done).tolist()
        said += [(env, info["episode"]["r"][env], info["episode"]["l"][env]) for env in ended]
        if mode is AutoresetMode.DISABLED and done.any():
            envs.reset(options={"reset_mask": done})
    envs.close()
    return said


def nth(found: list[Episode]) -> dict[tuple[int, int], Episode]:
    """By environment and the how-manieth of it."""
    by: dict[int, list[Episode]] = {}
    for one in sorted(found, key=lambda one: one.number):
        by.setdefault(one.env, []).append(one)
    return {(env, n): one for env, several in by.items() for n, one in enumerate(several)}


MODES = list(AutoresetMode)
CLASSES = [SyncVectorEnv, AsyncVectorEnv, Batched]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("space", [BOX, DICT], ids=["box", "dict"])
def test_episodes_of_every_vector_class_and_mode(tmp_path: Path, cls: Any, mode: AutoresetMode, space: Any) -> None:
    envs = cls([partial(Keeper, tmp_path, env, space) for env in range(ENVS)], autoreset_mode=mode)
    with trainlog.TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log:
        steps = 160
        said = run(RecordEpisodeStatistics(RecordVectorRun(envs, log)), steps, mode)
    reader = trainlog.open(tmp_path / "a.flog")
    found = list(trainlog.episodes(reader))
    kept, read = truth(tmp_path), nth(found)
    assert len(kept) >= 80
    whole = {key: one for key, one in read.items() if one.complete}
    assert whole.keys() == kept.keys()
    for (env, n), one in whole.items():
        own = kept[env, n]
        assert (one.length, [one.terminated, one.truncated]) == (own["length"], own["ends"])
        rewards = [reward_of(env, n, t) for t in range(1, one.length + 1)]
        if cls is Batched:  # whose rewards are of single precision
            rewards = np.float32(rewards).astype(float).tolist()
        else:
            assert one.total_reward == own["return"]
        assert one.steps["reward"].tolist() == rewards
        assert one.problems == ()
        vector = one.steps["obs" if space is BOX else "obs/rest/1"]
        assert vector.tolist() == [[env, n, t] for t in range(1, one.length + 1)]
        first = one.start["obs" if space is BOX else "obs/place"]
        assert first == [env, n, 0]
        last = one.final_obs if space is BOX else one.final_obs["place"]
        assert last.tolist() == [env, n, one.length]
        if space is DICT:
            assert one.final_obs["rest/0"] == one.length
    same = [(env, one.total_reward, one.length) for (env, _), one in whole.items()]
    assert sorted(same) == sorted(said)
    opened = [one for one in found if not one.complete]
    assert {one.problems for one in opened} <= {("it has no end: the log ends before one",)}
    assert sum(one.length for one in found) == reader.table("creature")["step"][-1]
    returns = reader.table("stats")
    assert len(returns["return"]) == len(kept)
    table = episode_table(reader)
    assert table["length"].tolist() == [one.length for one in sorted(found, key=lambda one: one.number)]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_eighty_episodes_of_200_steps(tmp_path: Path, cls: Any, mode: AutoresetMode) -> None:
    envs = cls([partial(Keeper, tmp_path, env, BOX, 200) for env in range(ENVS)], autoreset_mode=mode)
    with trainlog.TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log:
        run(
            RecordEpisodeStatistics(RecordVectorRun(envs, log)), 20 * 200 + 19 * (mode is AutoresetMode.NEXT_STEP), mode
        )
    found = list(trainlog.episodes(trainlog.open(tmp_path / "a.flog")))
    assert [(one.length, one.complete, one.problems) for one in found] == [(200, True, ())] * 80
    totals = {key: one["return"] for key, one in truth(tmp_path).items()}
    exact = 1e-4 if cls is Batched else 0
    assert {key: one.total_reward for key, one in nth(found).items()} == pytest.approx(totals, rel=exact, abs=exact)
    assert [one.env for one in trainlog.episodes(trainlog.open(tmp_path / "a.flog"), env=2)] == [2] * 20


class Totals(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps the return of each episode of an environment in a file of its own, also in another process."""

    def __init__(self, env: Any, file: Path) -> None:
        super().__init__(env)
        self.file, self.total, self.t = file, 0.0, 0

    def reset(self, **options: Any) -> Any:
        self.total, self.t = 0.0, 0
        return self.env.reset(**options)

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = self.env.step(action)
        self.total, self.t = self.total + float(reward), self.t + 1
        if terminated or truncated:
            with self.file.open("a") as file:
                file.write(f"{self.t} {self.total!r}\n")
        return obs, reward, terminated, truncated, info


def cheetah(file: Path) -> Any:
    return Totals(gymnasium.make("HalfCheetah-v5", max_episode_steps=200), file)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=lambda mode: mode.name)
@pytest.mark.parametrize("cls", [SyncVectorEnv, AsyncVectorEnv], ids=lambda cls: cls.__name__)
def test_eighty_episodes_of_half_cheetah(tmp_path: Path, cls: Any, mode: AutoresetMode) -> None:
    pytest.importorskip("mujoco")
    envs = cls([partial(cheetah, tmp_path / f"{env}.txt") for env in range(ENVS)], autoreset_mode=mode)
    with trainlog.TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log:
        resets = 19 if mode is AutoresetMode.NEXT_STEP else 0
        run(RecordEpisodeStatistics(RecordVectorRun(envs, log)), 20 * 200 + resets, mode)
    found = list(trainlog.episodes(trainlog.open(tmp_path / "a.flog")))
    assert [(one.length, one.complete, one.truncated, one.problems) for one in found] == [(200, True, True, ())] * 80
    kept = {
        (env, n): float(line.split()[1])
        for env in range(ENVS)
        for n, line in enumerate((tmp_path / f"{env}.txt").read_text().splitlines())
    }
    assert {key: one.total_reward for key, one in nth(found).items()} == kept


@pytest.mark.parametrize("space", [BOX, DICT], ids=["box", "dict"])
def test_one_environment(tmp_path: Path, space: Any) -> None:
    with trainlog.TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log:
        env = RecordRun(Keeper(tmp_path, 3, space), log, extra=lambda env: {"t": env.t}, env_id=3)
        for _ in range(10):
            env.reset()
            done = False
            while not done:
                *_, terminated, truncated, _ = env.step(1)
                done = terminated or truncated
        env.reset()
        env.step(2)
        env.reset()
        env.step(2)
    assert length_of(3, 10) > 1
    assert length_of(3, 11) > 1
    found = list(trainlog.episodes(trainlog.open(tmp_path / "a.flog")))
    kept = truth(tmp_path)
    for n, one in enumerate(found[:10]):
        own = kept[3, n]
        assert (one.env, one.complete, one.length, one.total_reward) == (3, True, own["length"], own["return"])
        assert [one.terminated, one.truncated] == own["ends"]
        assert one.steps["t"].tolist() == list(range(1, one.length + 1))
        assert one.steps["action"].tolist() == [1] * one.length
    assert [one.problems for one in found[10:]] == [
        ("it has no end: the next episode began before one",),
        ("it has no end: the log ends before one",),
    ]


@pytest.mark.parametrize("vector", [False, True])
def test_every_tenth_step_says_that_it_is_so(tmp_path: Path, vector: bool) -> None:
    with trainlog.TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log:
        if vector:
            envs = SyncVectorEnv([partial(Keeper, tmp_path, n, BOX, 25) for n in range(2)])
            run(RecordEpisodeStatistics(RecordVectorRun(envs, log, every=10)), 40, AutoresetMode.NEXT_STEP)
        else:
            env = RecordRun(Keeper(tmp_path, 0, BOX, 25), log, every=10)
            for _ in range(2):
                env.reset()
                for _ in range(25 if env.unwrapped.episode == 0 else 12):
                    env.step(0)
    found = list(trainlog.episodes(trainlog.open(tmp_path / "a.flog")))
    whole = [one for one in found if one.complete]
    assert len(whole) == (2 if vector else 1)
    for one in whole:
        assert [obs[2] for obs in one.steps["obs"].tolist()] == [1, 11, 21, 25]
        assert one.length == 25
        assert one.total_reward == truth(tmp_path)[one.env, 0]["return"]
        assert one.problems == ("one step in 10 was recorded",)
    open_ones = [one for one in found if not one.complete]
    assert open_ones
    for one in open_ones:
        assert one.length is None
        assert math.isnan(one.total_reward)
        assert one.problems[1] == "one step in 10 was recorded, so that its length and return are not known"
        assert "length" not in one.summary() or one.summary()["length"] is None
    table = episode_table(trainlog.open(tmp_path / "a.flog"))
    assert table["length"][: len(whole)].tolist() == [25] * len(whole)


def test_images_are_recorded_on_demand(tmp_path: Path) -> None:
    image = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    with trainlog.TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log:
        with pytest.warns(TrainlogWarning, match=r"not recorded, as it is large: obs \(12,288 bytes\)"):
            RecordRun(Keeper(tmp_path, 0, image, 2), log)
        for n, choice in enumerate([False, True]):
            env = RecordRun(Keeper(tmp_path, n, image, 2), log, observations=choice, env_id=n)
            env.reset()
            env.step(0)
            env.step(0)
    without, with_images = trainlog.episodes(trainlog.open(tmp_path / "a.flog"))
    assert without.final_obs is None
    assert with_images.steps["obs"].shape == (2, 64, 64, 3)
    assert (with_images.final_obs == 2).all()


def test_only_the_large_part_of_an_observation_is_left_out(tmp_path: Path) -> None:
    space = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), np.uint8), "joints": BOX})

    class Camera(gymnasium.Env[Any, Any]):
        observation_space, action_space = space, spaces.Discrete(2)

        def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
            return self.observation_space.sample(), {}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            return self.observation_space.sample(), 1.0, True, False, {}

    with trainlog.TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log:
        with pytest.warns(TrainlogWarning, match=r"obs/image \(12,288 bytes\)"):
            env = RecordRun(Camera(), log)
        env.reset()
        env.step(0)
    (one,) = trainlog.episodes(trainlog.open(tmp_path / "a.flog"))
    assert list(one.final_obs) == ["joints"]


OTHERS = {
    "text": spaces.Text(5),
    "graph": spaces.Graph(spaces.Box(-1, 1, (2,)), spaces.Discrete(3)),
    "sequence": spaces.Sequence(spaces.Box(-1, 1, (2,), np.float64)),
    "one of": spaces.OneOf([spaces.Discrete(3), spaces.Box(-1, 1, (2,), np.float64)]),
    "in a map": spaces.Dict({"text": spaces.Text(4), "number": spaces.Discrete(3)}),
    "in a tuple": spaces.Tuple([spaces.Text(4), spaces.Discrete(3)]),
}


class Sampled(gymnasium.Env[Any, Any]):
    """Observes and takes what is in the space; its episodes have three steps."""

    def __init__(self, space: Any, kept: list[Any]) -> None:
        self.observation_space, self.action_space = deepcopy(space), deepcopy(space)
        self.kept = kept

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        obs = self.observation_space.sample()
        self.kept.append({"obs": obs, "action": action})
        return obs, 1.0, self.steps == 3, False, {}


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("space", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_spaces_without_arrays(tmp_path: Path, space: Any, mode: AutoresetMode, count: int) -> None:
    kept: list[list[Any]] = [[] for _ in range(count)]
    with trainlog.TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log:
        made = SyncVectorEnv([partial(Sampled, space, one) for one in kept], autoreset_mode=mode)
        envs = RecordVectorRun(made, log)
        envs.reset(seed=1)
        envs.action_space.seed(2)
        for _ in range(3):
            _, _, ended, _, _ = envs.step(envs.action_space.sample())
        assert ended.all()
    with trainlog.TrainingRecorder(tmp_path / "b.flog", sync_every=None) as log:
        for one in kept:
            for frame in one:
                log.state({key: leaves(value) for key, value in frame.items()})
    expected = trainlog.open(tmp_path / "b.flog").frames("creature")
    for episode in trainlog.episodes(tmp_path / "a.flog"):
        assert (episode.length, episode.terminated, episode.problems) == (3, True, ())
        for step in episode.steps.frames():
            found = {key: value for key, value in step.data.items() if key.partition("/")[0] in ("obs", "action")}
            assert _flat(found) == _flat(next(expected).data)
    assert next(expected, None) is None


def _flat(data: Any) -> dict[str, Any]:
    """The values of a frame by their place in it, and nothing of what is absent."""
    if isinstance(data, dict):
        parts = ((f"{key}/{inner}", one) for key, value in data.items() for inner, one in _flat(value).items())
        return {key.replace("//", "/").rstrip("/"): one for key, one in parts}
    return {} if data is None else {"": data}


def test_a_vector_environment_that_does_not_say_how_it_resets(tmp_path: Path) -> None:
    envs = SyncVectorEnv([partial(Keeper, tmp_path, 0)])
    envs.metadata = {}
    with (
        trainlog.TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log,
        pytest.warns(TrainlogWarning, match="assumed to be NEXT_STEP"),
    ):
        RecordVectorRun(envs, log)


def test_training_and_evaluation_in_one_log(tmp_path: Path) -> None:
    with trainlog.TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log:
        train = RecordVectorRun(SyncVectorEnv([partial(Keeper, tmp_path, n, BOX, 3) for n in range(2)]), log)
        test = RecordRun(Keeper(tmp_path, 2, BOX, 4), log, env_id=2, episode_type="evaluation")
        train.reset()
        test.reset()
        for _ in range(4):
            train.step(np.zeros(2, int))
            test.step(0)
    found = list(trainlog.episodes(trainlog.open(tmp_path / "a.flog")))
    assert [(one.env, str(one.type), one.length) for one in found] == [
        (0, "training", 3),
        (1, "training", 3),
        (2, "evaluation", 4),
    ]
    assert found[2].steps["obs"].tolist() == [[2, 0, t] for t in range(1, 5)]
    assert (train.recorder.steps, train.recorder.episodes) == (6, 2)
    assert (test.recorder.steps, test.recorder.episodes) == (4, 1)


def test_the_wrapper_can_be_asked_for_its_spec(tmp_path: Path) -> None:
    with trainlog.TrainingRecorder(tmp_path / "a.flog", sync_every=None) as log:
        env = RecordRun(gymnasium.make("CartPole-v1"), log, every=2)
        assert env.spec.id == "CartPole-v1"
        assert env.spec.additional_wrappers[-1].kwargs["every"] == 2
        env.close()
