"""Stable-Baselines3 itself trains; the log has what its own CSV, event file and monitor have."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

import trainlog
from trainlog.media import media_file

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def sb3() -> Any:
    pytest.importorskip("torch")
    return pytest.importorskip("stable_baselines3")


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def configured(folder: Path, formats: list[str], closing: ExitStack) -> Any:
    from stable_baselines3.common.logger import configure

    logger = configure(str(folder), formats)
    closing.callback(logger.close)
    return logger


def monitored(folder: Path, count: int, closing: ExitStack) -> Any:
    from stable_baselines3.common.env_util import make_vec_env

    env = make_vec_env("CartPole-v1", count, seed=1, monitor_dir=str(folder))
    closing.callback(env.close)
    return env


def dumped(path: Path) -> list[dict[str, Any]]:
    """The frames of the logger; those of the episodes have no such key."""
    frames = [dict(frame.data) for frame in trainlog.open(path).frames("stats")]
    return [row for row in frames if "time/total_timesteps" in row or "custom/value" in row]


@pytest.mark.parametrize(("algorithm", "envs"), [("PPO", 4), ("DQN", 1), ("A2C", 2)])
def test_the_log_has_the_values_of_the_csv_file(
    sb3: Any, tmp_path: Path, closing: ExitStack, algorithm: str, envs: int
) -> None:
    from trainlog.integrations.sb3 import TrainlogCallback

    settings: dict[str, Any] = {"PPO": {"n_steps": 64}, "DQN": {"learning_starts": 50}, "A2C": {}}[algorithm]
    model = getattr(sb3, algorithm)("MlpPolicy", monitored(tmp_path, envs, closing), seed=1, device="cpu", **settings)
    model.set_logger(configured(tmp_path, ["csv", "tensorboard"], closing))
    model.learn(1200, callback=TrainlogCallback(tmp_path / "run.flog"), log_interval=4 if algorithm == "DQN" else 1)
    with open(tmp_path / "progress.csv", newline="") as file:
        theirs = [{key: cell for key, cell in row.items() if cell} for row in csv.DictReader(file)]
    ours = [{key: one for key, one in row.items() if key != "step"} for row in dumped(tmp_path / "run.flog")]
    assert len(ours) > 1
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    for own, other in zip(ours, theirs, strict=True):
        for key, cell in other.items():  # a number of single precision has fewer digits in the CSV file
            assert own[key] in (float(cell), float(np.float32(cell))), key
    pytest.importorskip("crc32c")
    (event_file,) = tmp_path.glob("events.out.tfevents.*")
    rows: dict[int, dict[str, float]] = {}
    for frame in trainlog.open(event_file).frames("stats"):
        rows.setdefault(frame.data["step"], {}).update(frame.data)
    for row in dumped(tmp_path / "run.flog"):
        its = rows[row["step"]]
        assert {key: float(np.float32(row[key])) for key in its} == its


@pytest.mark.parametrize("envs", [1, 3])
def test_the_episodes_are_those_of_the_monitor(sb3: Any, tmp_path: Path, closing: ExitStack, envs: int) -> None:
    from trainlog.integrations.sb3 import TrainlogCallback

    model = sb3.PPO("MlpPolicy", monitored(tmp_path, envs, closing), n_steps=64, seed=1, device="cpu")
    model.learn(600, callback=TrainlogCallback(tmp_path / "run.flog", observations=True))
    model.learn(300, callback=TrainlogCallback(tmp_path / "second.flog"), reset_num_timesteps=False)
    found = list(trainlog.episodes(tmp_path / "run.flog"))
    for env in range(envs):
        with open(tmp_path / f"{env}.monitor.csv") as file:
            file.readline()
            theirs = [(float(row["r"]), int(row["l"])) for row in csv.DictReader(file)]
        ended = [one for one in found if one.env == env and one.terminated is not None]
        ours = [(one.total_reward, one.length) for one in ended]
        assert ours == theirs[: len(ours)]
        assert len(ours) > 3
    meta = trainlog.open(tmp_path / "run.flog").header.meta
    assert (meta["algorithm"], meta["env"], meta["n_steps"], meta["seed"]) == ("PPO", "CartPole-v1", 64, 1)
    assert trainlog.open(tmp_path / "run.flog").table("creature")["obs"].shape[1:] == (envs, 4)


def test_training_that_goes_on_goes_on_in_the_log(sb3: Any, tmp_path: Path, closing: ExitStack) -> None:
    from trainlog.integrations.sb3 import TrainlogCallback

    model = sb3.PPO("MlpPolicy", monitored(tmp_path, 2, closing), n_steps=64, seed=1, device="cpu")
    callback = TrainlogCallback(tmp_path / "run.flog")
    model.learn(256, callback=callback)
    model.learn(256, callback=callback, reset_num_timesteps=False)
    steps = trainlog.open(tmp_path / "run.flog").table("creature")["step"]
    assert steps.tolist() == list(range(2, 513, 2))
    for env in range(2):
        with open(tmp_path / f"{env}.monitor.csv") as file:
            file.readline()
            theirs = [int(row["l"]) for row in csv.DictReader(file)]
        episodes = [one for one in trainlog.episodes(tmp_path / "run.flog") if one.env == env]
        assert [one.length for one in episodes][: len(theirs)] == theirs


def test_the_metadata_are_arguments_so_runs_differ_only_in_their_seed(sb3: Any, tmp_path: Path) -> None:
    from trainlog.catalog.groups import varying
    from trainlog.integrations.sb3 import TrainlogCallback

    for seed in (1, 2):
        model = sb3.DQN("MlpPolicy", "CartPole-v1", learning_starts=5, seed=seed, device="cpu")
        for again in range(seed):  # the second run is continued, with a new callback
            callback = TrainlogCallback(tmp_path / f"{seed}.flog", recorder={"resume": again > 0})
            model.learn(20, callback=callback, reset_num_timesteps=False)
    rows = [trainlog.open(tmp_path / f"{seed}.flog").header.meta for seed in (1, 2)]
    assert varying(rows) == ["seed"]
    assert (rows[0]["learning_starts"], rows[0]["exploration_fraction"], rows[0]["n_envs"]) == (5, 0.1, 1)


def test_the_task_is_the_environment(sb3: Any, tmp_path: Path) -> None:
    from trainlog.integrations.sb3 import TrainlogCallback

    runs = [("PPO", "CartPole-v1", 1), ("PPO", "CartPole-v1", 2), ("A2C", "CartPole-v1", 1), ("PPO", "Acrobot-v1", 1)]
    for algorithm, env, seed in runs:
        model = getattr(sb3, algorithm)("MlpPolicy", env, n_steps=64, seed=seed, device="cpu")
        model.learn(600, callback=TrainlogCallback(tmp_path / f"{algorithm}-{env}-{seed}.flog"))
    found = trainlog.runs(tmp_path)
    assert {run.task for run in found} == {"CartPole-v1", "Acrobot-v1"}
    chosen = (found, found.filter("CartPole"))
    captions = [one.plot(y=("return",), by="algorithm")[0].figure.caption for one in chosen]
    assert ["different tasks are not averaged" in caption for caption in captions] == [True, False]


def test_steps_go_on_when_training_counts_them_from_zero_again(sb3: Any, tmp_path: Path) -> None:
    from trainlog.integrations.sb3 import TrainlogCallback

    model = sb3.PPO("MlpPolicy", "CartPole-v1", n_steps=64, seed=1, device="cpu")
    callback = TrainlogCallback(tmp_path / "run.flog")
    model.learn(128, callback=callback)
    model.learn(128, callback=callback)
    model.learn(64, callback=callback, reset_num_timesteps=False)
    rows = dumped(tmp_path / "run.flog")
    assert [row["time/total_timesteps"] for row in rows] == [64, 128, 64, 128, 192]
    assert [row["step"] for row in rows] == [64, 128, 192, 256, 320]
    steps = trainlog.open(tmp_path / "run.flog").table("stats")["step"]
    assert (np.diff(steps) >= 0).all()


def test_environments_need_no_specification(sb3: Any, tmp_path: Path) -> None:
    from stable_baselines3.common.vec_env import VecEnvWrapper

    from trainlog.integrations.sb3 import TrainlogCallback

    class Plain(VecEnvWrapper):
        """Like an adapter of a simulator that has no attributes to be asked for."""

        def reset(self) -> Any:
            return self.venv.reset()

        def step_wait(self) -> Any:
            return self.venv.step_wait()

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            if attr_name == "spec":
                raise AttributeError(attr_name)
            return self.venv.get_attr(attr_name, indices)

    made = sb3.PPO("MlpPolicy", "CartPole-v1", n_steps=64, device="cpu").env
    model = sb3.PPO("MlpPolicy", Plain(made), n_steps=64, device="cpu")
    model.learn(64, callback=TrainlogCallback(tmp_path / "run.flog"))
    assert trainlog.open(tmp_path / "run.flog").header.meta["env"] == ""
    assert trainlog.open(tmp_path / "run.flog").table("creature").rows == 64


def test_media_hyperparameters_and_excluded_keys(sb3: Any, tmp_path: Path) -> None:
    from stable_baselines3.common.logger import Figure, HParam, Image, Logger, Video

    from trainlog.integrations.sb3 import TrainlogOutputFormat

    torch = pytest.importorskip("torch")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    figure = pyplot.figure()
    logger = Logger(str(tmp_path), [TrainlogOutputFormat(tmp_path / "run.flog")])
    logger.record("custom/value", np.float32(1.5))
    logger.record("custom/text", "words", exclude="tensorboard")
    logger.record("custom/tensor", torch.ones(2, requires_grad=True))
    logger.record("custom/hidden", 1, exclude="trainlog")
    logger.record("camera", Image(picture, "HWC"))
    logger.record("walk", Video(torch.from_numpy(picture.transpose(2, 0, 1)[None, None].repeat(3, 1)), fps=20))
    logger.record("curve", Figure(figure, close=True))
    logger.record("hparams", HParam({"lr": 0.1}, {"custom/score": 2.0}))
    logger.dump(7)
    logger.close()
    reader = trainlog.open(tmp_path / "run.flog")
    (row,) = dumped(tmp_path / "run.flog")
    assert row == {
        "step": 7,
        "custom/value": 1.5,
        "custom/text": "words",
        "custom/tensor": [1.0, 1.0],
        "custom/score": 2.0,
    }
    events = {frame.data.get("tag", ""): frame.data for frame in reader.frames("event")}
    with Picture.open(media_file(reader.path, events["camera"])) as image:
        np.testing.assert_array_equal(np.asarray(image), picture)
    assert (events["walk/0"]["frames"], events["walk/0"]["fps"]) == (3, 20)
    assert media_file(reader.path, events["curve"]).stat().st_size > 100
    assert not pyplot.fignum_exists(figure.number)
    assert reader.header.meta["lr"] == 0.1


def test_a_recorder_that_is_given_stays_open(sb3: Any, tmp_path: Path) -> None:
    from trainlog.integrations.sb3 import TrainlogCallback

    with trainlog.TrainingRecorder(tmp_path / "run.flog", "cartpole") as log:
        model = sb3.PPO("MlpPolicy", "CartPole-v1", n_steps=64, device="cpu")
        model.learn(64, callback=TrainlogCallback(log, every=10, stats=False))
        log.record_event(None, "after")
    assert [frame.data["type"] for frame in trainlog.open(tmp_path / "run.flog").frames("event")][-1] == "after"
    assert trainlog.open(tmp_path / "run.flog").header.meta["creature"] == "cartpole"


def test_without_the_library_it_says_what_to_install() -> None:
    code = """
import sys
sys.modules["stable_baselines3"] = None
from trainlog.errors import MissingExtra
try:
    import trainlog.integrations.sb3
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "trainlog[sb3]"' in done.stdout
