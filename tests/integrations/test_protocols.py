"""What each trainer calls, in its order, beside a library that has only the base class: for every run of CI.

The other tests of this folder train with the libraries themselves.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import trainlog
from trainlog.media import media_file

Imported = Callable[..., Any]


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Imported]:
    """Imports a module of ours beside a library of these members, by module."""
    ours: list[str] = []

    def imported(name: str, **modules: dict[str, Any]) -> Any:
        for dotted, members in modules.items():
            parts = dotted.split("__")
            for i in range(1, len(parts) + 1):
                module = types.ModuleType(".".join(parts[:i]))
                if i == len(parts):
                    vars(module).update(members)
                if i == len(parts) or module.__name__ not in sys.modules:
                    monkeypatch.setitem(sys.modules, module.__name__, module)
        ours.append(f"trainlog.integrations.{name}")
        monkeypatch.delitem(sys.modules, ours[-1], raising=False)
        return importlib.import_module(ours[-1])

    yield imported
    for name in ours:
        sys.modules.pop(name, None)


def rows(path: Path) -> list[dict[str, Any]]:
    return [dict(frame.data) for frame in trainlog.open(path).frames("stats")]


def state(path: Path) -> str:
    end = trainlog.open(path).end
    assert end is not None
    return end.state


def test_keras(imported: Imported, tmp_path: Path) -> None:
    module = imported("keras", keras__callbacks={"Callback": type("Callback", (), {})})
    callback = module.TrainlogCallback(tmp_path / "run.flog", every=2)
    callback.model = SimpleNamespace(name="line", optimizer=SimpleNamespace(get_config=lambda: {"lr": np.float32(0.5)}))
    callback.params = {"epochs": 2, "steps": 2}
    for _ in range(2):  # two calls of fit
        callback.on_train_begin()
        for batch in range(2):
            callback.on_train_batch_end(batch, {"loss": np.float32(batch)})
        callback.on_epoch_end(0, {"loss": 0.25, "val_loss": 0.5})
        callback.on_train_end()
    epoch = {"epoch": 0, "loss": 0.25, "val_loss": 0.5}
    assert rows(tmp_path / "run.flog") == [
        *({"step": 2, "batch/loss": 1.0}, {"step": 2, **epoch}),
        *({"step": 4, "batch/loss": 1.0}, {"step": 4, **epoch}),
    ]
    meta = trainlog.open(tmp_path / "run.flog").header.meta
    assert (meta["model"], meta["optimizer"], meta["epochs"]) == ("line", {"lr": 0.5}, 2)


def test_metadata_that_are_given_precede_those_of_the_library(imported: Imported, tmp_path: Path) -> None:
    module = imported("keras", keras__callbacks={"Callback": type("Callback", (), {})})
    for name, given in (("run", {"model": "mine"}), ("other", None)):
        callback = module.TrainlogCallback(tmp_path / f"{name}.flog", metadata=given)
        callback.model = SimpleNamespace(name="line")
        for epochs in (1, 2):  # two calls of fit
            callback.params = {"epochs": epochs}
            callback.on_train_begin()
            callback.on_train_end()
        meta = trainlog.open(tmp_path / f"{name}.flog").header.meta
        assert (meta["model"], meta["epochs"]) == ("mine" if given else "line", 2)


def test_transformers(imported: Imported, tmp_path: Path) -> None:
    module = imported("transformers", transformers={"TrainerCallback": type("TrainerCallback", (), {})})
    arguments = SimpleNamespace(output_dir="out", to_sanitized_dict=lambda: {"lr": 0.1, "hub_token": "<HUB_TOKEN>"})
    for rank in (0, 1):
        callback = module.TrainlogCallback(tmp_path / f"{rank}.flog", task="bert")
        here = SimpleNamespace(is_world_process_zero=rank == 0, global_step=0)
        callback.on_train_begin(arguments, here, None, model=None)
        here.global_step = 1
        callback.on_log(arguments, here, None, logs={"loss": 0.5, "epoch": 0.1})
        callback.on_save(arguments, here, None)
        callback.on_train_end(arguments, here, None)
        callback.on_log(arguments, here, None, logs={"eval_loss": 0.25})  # an evaluation behind it
    assert rows(tmp_path / "0.flog") == [{"step": 1, "loss": 0.5, "epoch": 0.1}, {"step": 1, "eval_loss": 0.25}]
    log = trainlog.open(tmp_path / "0.flog")
    assert (log.header.meta["lr"], log.header.meta["task"], state(log.path)) == (0.1, "bert", "finished")
    assert next(log.frames("event")).data == {"type": "checkpoint", "step": 1, "file": "out/checkpoint-1"}
    assert not (tmp_path / "1.flog").exists()


def test_lightning(imported: Imported, tmp_path: Path) -> None:
    def always(function: Any) -> Any:
        return function

    logger = {"Logger": type("Logger", (), {}), "rank_zero_experiment": always}
    module = imported(
        "lightning",
        lightning__pytorch__loggers__logger=logger,
        lightning__pytorch__utilities={"rank_zero_only": always},
    )
    ours = module.TrainlogLogger(tmp_path / "run.flog")
    assert (ours.name, ours.version, ours.save_dir) == ("run", 0, str(tmp_path))
    ours.log_hyperparams(SimpleNamespace(lr=0.1))
    ours.log_metrics({"loss": np.float32(0.5), "epoch": 0}, step=1)
    ours.log_hyperparams({"seed": 3})
    ours.finalize("success")
    ours.log_metrics({"test_loss": 0.25}, step=2)
    try:
        raise ValueError("it diverges")
    except ValueError:
        ours.finalize("failed")
    log = trainlog.open(tmp_path / "run.flog")
    assert rows(log.path) == [{"step": 1, "loss": 0.5, "epoch": 0}, {"step": 2, "test_loss": 0.25}]
    assert (log.header.meta["lr"], log.header.meta["seed"]) == (0.1, 3)
    assert log.end is not None
    assert (log.end.state, log.end.reason) == ("failed", "ValueError: it diverges")


def test_ray_tune(imported: Imported, tmp_path: Path) -> None:
    class Trial(SimpleNamespace):
        __hash__ = object.__hash__

        def __str__(self) -> str:
            return f"train_{self.trial_id}"

    module = imported("ray", ray__tune__logger={"LoggerCallback": type("LoggerCallback", (), {})})
    callback = module.TrainlogLoggerCallback()
    trials = []
    for n, lr in enumerate([0.5, 1.0]):
        folder = tmp_path / str(n)
        trials.append(Trial(trial_id=str(n), local_path=str(folder), config={"lr": lr, "act": len}, trainable_name="t"))
    for trial in trials:
        callback.log_trial_start(trial)
    for iteration in (1, 2):
        for trial in trials:
            result = {"loss": np.float64(iteration), "training_iteration": iteration, "config": trial.config}
            callback.log_trial_result(iteration, trial, {**result, "node": object, "info": {"acc": 0.5}})
    for trial, failed in zip(trials, (False, True), strict=True):
        callback.log_trial_end(trial, failed)
        callback.log_trial_end(trial, failed)
    callback.log_trial_result(3, trials[0], {"loss": 3.0, "training_iteration": 3})  # of a trial that is restored
    callback.log_trial_end(trials[0])
    paths = [tmp_path / str(n) / "run.flog" for n in range(2)]
    assert [row["step"] for row in rows(paths[0])] == [1, 2, 3]
    assert rows(paths[1])[0] == {
        "step": 1,
        "loss": 1.0,
        "training_iteration": 1,
        "node": "builtins.object",
        "info": {"acc": 0.5},
    }
    assert [trainlog.open(path).header.meta["lr"] for path in paths] == [0.5, 1.0]
    assert trainlog.open(paths[0]).header.meta["act"] == "builtins.len"
    assert [state(path) for path in paths] == ["finished", "failed"]
    callback = module.TrainlogLoggerCallback(overwrite=True)
    for iteration in (1, 2):  # after an error the trial is started again
        callback.log_trial_result(iteration, trials[0], {"loss": 4.0, "training_iteration": iteration})
        callback.log_trial_end(trials[0], failed=iteration == 1)
    assert [(row["step"], row["loss"]) for row in rows(paths[0])] == [(1, 4.0), (2, 4.0)]


def test_torchrl(imported: Imported, tmp_path: Path) -> None:
    class Logger:
        def __init__(self, exp_name: str, log_dir: str) -> None:
            self.exp_name, self.log_dir = exp_name, log_dir
            self.experiment = self._create_experiment()  # type: ignore[attr-defined]

    module = imported("torchrl", torchrl__record__loggers__common={"Logger": Logger})
    logger = module.TrainlogLogger("ppo", tmp_path, metadata={"task": "walk"})
    logger.log_hparams({"lr": 0.1, "act": len})
    logger.log_scalar("reward", np.float32(0.5), 3)
    logger.log_scalar("joints", np.arange(2.0), 3)
    logger.log_video("view", np.zeros((1, 2, 3, 4, 5), np.uint8), 3)
    logger.log_histogram("weights", np.arange(10.0), step=3)
    logger.experiment.close()
    log = trainlog.open(tmp_path / "ppo" / "run.flog")
    assert rows(log.path) == [{"step": 3, "reward": 0.5}, {"step": 3, "joints": [0.0, 1.0]}]
    assert [log.header.meta[key] for key in ("task", "lr", "act")] == ["walk", 0.1, "builtins.len"]
    video, histogram = (frame.data for frame in log.frames("event"))
    assert media_file(log.path, video).exists()
    assert histogram["num"] == 10


def test_skrl(imported: Imported, tmp_path: Path) -> None:
    theirs = type("SummaryWriter", (), {})
    module = imported(
        "skrl", skrl__utils__tensorboard={"SummaryWriter": theirs}, skrl__agents={"SummaryWriter": theirs, "Agent": 1}
    )
    module.record_agents(metadata={"task": "walk"})
    module.record_agents(metadata={"task": "run"})
    agents, library = sys.modules["skrl.agents"], sys.modules["skrl.utils.tensorboard"]
    writer = vars(agents)["SummaryWriter"](log_dir=str(tmp_path))
    assert vars(library)["SummaryWriter"] is type(writer) is module.TrainlogWriter
    writer.add_scalar(tag="Loss / Policy loss", value=np.float64(0.5), timestep=16)
    writer.flush()
    writer.close()
    assert rows(tmp_path / "run.flog") == [{"step": 16, "Loss / Policy loss": 0.5}]
    assert trainlog.open(tmp_path / "run.flog").header.meta["task"] == "run"


@pytest.fixture
def sb3(imported: Imported, tmp_path: Path) -> SimpleNamespace:
    class BaseCallback:
        num_timesteps = 0

        @property
        def logger(self) -> Any:
            return self.model.logger  # type: ignore[attr-defined]

        @property
        def training_env(self) -> Any:
            return self.model.env  # type: ignore[attr-defined]

    kinds = {name: type(name, (SimpleNamespace,), {}) for name in ("Figure", "HParam", "Image", "Video")}
    logger = {"KVWriter": type("KVWriter", (), {}), **kinds}
    callbacks = {"BaseCallback": BaseCallback}
    module = imported("sb3", stable_baselines3__common__callbacks=callbacks, stable_baselines3__common__logger=logger)
    env = SimpleNamespace(num_envs=2, get_attr=lambda _: [SimpleNamespace(id="CartPole-v1")])
    model = SimpleNamespace(logger=SimpleNamespace(output_formats=[]), env=env, gamma=0.9, policy=object(), _seed=1)
    callback = module.TrainlogCallback(tmp_path / "run.flog")
    callback.model = model
    return SimpleNamespace(callback=callback, model=model, kinds=kinds)


def test_stable_baselines3(sb3: SimpleNamespace, tmp_path: Path) -> None:
    callback, model, kinds = sb3.callback, sb3.model, sb3.kinds
    for _ in range(2):  # two calls of learn
        callback._on_training_start()
        (ours,) = model.logger.output_formats
        for done in ([False, False], [True, True]):
            callback.num_timesteps += 2
            infos = [{"TimeLimit.truncated": True}, {}] if done[0] else [{}, {}]
            callback.locals = {"infos": infos, "dones": np.array(done), "rewards": np.ones(2), "actions": np.zeros(2)}
            callback.locals["new_obs"] = np.zeros((2, 4))
            assert callback._on_step()
        values = {"rollout/ep_rew_mean": np.float64(2.0), "time/fps": 60, "hidden": 1}
        kept = {"camera": kinds["Image"](image=np.zeros((4, 5, 3), np.uint8), dataformats="HWC")}
        kept["hparams"] = kinds["HParam"](hparam_dict={"lr": len}, metric_dict={"score": 0})
        ours.write(values | kept, {"hidden": ("trainlog",)}, callback.num_timesteps)
        callback._on_training_end()
        assert not model.logger.output_formats
    log = trainlog.open(tmp_path / "run.flog")
    dumps = [row for row in rows(log.path) if "rollout/ep_rew_mean" in row]
    assert dumps == [{"step": n, "rollout/ep_rew_mean": 2.0, "time/fps": 60, "score": 0} for n in (4, 8)]
    episodes = [row for row in rows(log.path) if "return" in row]
    assert [(row["env"], row["return"], row["length"]) for row in episodes] == [(0, 2.0, 2), (1, 2.0, 2)] * 2
    table = log.table("creature")
    assert table["truncated"].tolist() == [[False, False], [True, False]] * 2
    assert table["terminated"].tolist() == [[False, False], [False, True]] * 2
    assert [log.header.meta[key] for key in ("env", "gamma", "lr")] == ["CartPole-v1", 0.9, "builtins.len"]
    assert state(log.path) == "finished"


def test_training_with_stable_baselines3_that_is_interrupted_goes_on(sb3: SimpleNamespace, tmp_path: Path) -> None:
    callback, model = sb3.callback, sb3.model
    for interrupted in (True, False):  # nobody is told of the end of a training that Ctrl-C ended
        callback._on_training_start()
        (ours,) = model.logger.output_formats
        callback.num_timesteps += 2
        zeros = np.zeros(2)
        callback.locals = {"infos": [{}, {}], "dones": np.zeros(2, bool), "rewards": zeros, "actions": zeros}
        callback._on_step()
        ours.write({"time/fps": 60}, {}, callback.num_timesteps)
        if not interrupted:
            callback._on_training_end()
    assert rows(tmp_path / "run.flog") == [{"step": 2, "time/fps": 60}, {"step": 4, "time/fps": 60}]
    assert trainlog.open(tmp_path / "run.flog").table("creature")["step"].tolist() == [2, 4]
