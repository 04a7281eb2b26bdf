"""rsl_rl itself trains on a small task; the log has what its own event file has."""

from __future__ import annotations

import copy
import importlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from trainlog.media import media_file

WRITER = {"class_name": "trainlog.integrations.rsl_rl.TrainlogWriter"}


@pytest.mark.nightly
def test_the_log_has_the_values_of_the_event_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("crc32c")
    torch = pytest.importorskip("torch")
    rsl_rl = pytest.importorskip("rsl_rl.runners")
    task = importlib.import_module("rsl_rl_task")

    class Both:
        """One training, two writers: the times that are among the values differ from run to run."""

        def __init__(self, log_dir: str, **settings: Any) -> None:
            from torch.utils.tensorboard import SummaryWriter

            from trainlog.integrations.rsl_rl import TrainlogWriter

            self.theirs, self.ours = SummaryWriter(log_dir), TrainlogWriter(log_dir, **settings)

        def add_scalar(self, *args: Any) -> None:
            self.theirs.add_scalar(*args)
            self.ours.add_scalar(*args)

        def close(self) -> None:
            self.theirs.close()
            self.ours.stop()

    both: list[Both] = []
    config = {
        **copy.deepcopy(task.config),
        "logger": {"class_name": lambda **given: both.append(Both(**given)) or both[0]},
    }
    torch.manual_seed(0)
    rsl_rl.OnPolicyRunner(task.env, config, str(tmp_path / "both"), "cpu").learn(4)
    both[0].close()
    (file,) = (tmp_path / "both").glob("events.out.tfevents.*")
    theirs = [dict(frame.data) for frame in trainlog.open(file).frames("stats")]
    rows = [(row["step"], key, one) for row in theirs for key, one in row.items() if key != "step"]
    ours = [dict(frame.data) for frame in trainlog.open(tmp_path / "both" / "run.flog").frames("stats")]
    found = [(row["step"], key, float(np.float32(one))) for row in ours for key, one in row.items() if key != "step"]
    assert len(rows) > 30
    assert found == rows

    config = {**copy.deepcopy(task.config), "logger": WRITER}
    rsl_rl.OnPolicyRunner(task.env, config, str(tmp_path / "alone"), "cpu").learn(4)
    reader = trainlog.open(tmp_path / "alone" / "run.flog")
    events = [frame.data for frame in reader.frames("event")]
    assert reader.header.meta["train_cfg"]["num_steps_per_env"] == 8
    assert reader.header.meta["env_cfg"]["dt"] == 0.02
    assert [event["step"] for event in events if event["type"] == "checkpoint"] == [0, 2, 3]


class Env_term:  # noqa: N801
    """A class in a configuration."""


def test_the_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a library that has only the base class."""
    library, utils = types.ModuleType("rsl_rl"), types.ModuleType("rsl_rl.utils")
    utils.LogWriter = type("LogWriter", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rsl_rl", library)
    monkeypatch.setitem(sys.modules, "rsl_rl.utils", utils)
    monkeypatch.delitem(sys.modules, "trainlog.integrations.rsl_rl", raising=False)
    from trainlog.integrations.rsl_rl import TrainlogWriter

    monkeypatch.delitem(sys.modules, "trainlog.integrations.rsl_rl")
    (tmp_path / "code.diff").write_text("a change")
    (tmp_path / "film.mp4").write_bytes(b"a film")
    writer = TrainlogWriter(log_dir=str(tmp_path / "log"), metadata={"task": "walk"})
    assert isinstance(writer, utils.LogWriter)
    writer.store_config(types.SimpleNamespace(term=Env_term, fn=len, path=tmp_path), {"a": [1, object]})
    writer.save_file(str(tmp_path / "code.diff"))
    writer.add_scalar("Loss/value", 0.1, 3)
    writer.save_model("model_3.pt", 3)
    writer.save_video(tmp_path / "film.mp4", 3)
    writer.stop()
    path = tmp_path / "log" / "run.flog"
    reader = trainlog.open(path)
    assert reader.header.meta["task"] == "walk"
    assert next(reader.frames("stats")).data == {"step": 3, "Loss/value": 0.1}
    diff, model, film = (frame.data for frame in reader.frames("event"))
    assert {key: reader.header.meta[key] for key in ("train_cfg", "env_cfg")} == {
        "train_cfg": {"a": [1, "builtins.object"]},
        "env_cfg": {"term": f"{__name__}.Env_term", "fn": "builtins.len", "path": str(tmp_path)},
    }
    assert media_file(path, diff).read_text() == "a change"
    assert (model["type"], model["file"], model["step"]) == ("checkpoint", "model_3.pt", 3)
    assert media_file(path, film).read_bytes() == b"a film"
