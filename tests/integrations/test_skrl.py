"""skrl itself trains on a small task; the log has what its own event file has."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog


@pytest.mark.nightly
@pytest.mark.filterwarnings("default")
def test_the_log_has_the_values_of_the_event_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("crc32c")
    pytest.importorskip("torch")
    library = pytest.importorskip("skrl.utils.tensorboard")
    runner = pytest.importorskip("skrl.utils.runner.torch")
    task = importlib.import_module("skrl_task")
    from trainlog.integrations.skrl import TrainlogWriter

    class Both:
        """One training, two writers: the times that are among the values differ from run to run."""

        def __init__(self, log_dir: str) -> None:
            self.writers = library.SummaryWriter(log_dir), TrainlogWriter(log_dir)
            made.append(self)

        def add_scalar(self, **values: Any) -> None:
            for writer in self.writers:
                writer.add_scalar(**values)

    made: list[Both] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.import_module("skrl.agents.torch.base"), "SummaryWriter", Both)
    runner.Runner(task.env, task.config).run()
    for writer in made[0].writers:
        writer.close()
    folder = tmp_path / "runs" / "cartpole"
    (file,) = folder.glob("events.out.tfevents.*")
    theirs = [dict(frame.data) for frame in trainlog.open(file).frames("stats")]
    expected = [(row["step"], key, one) for row in theirs for key, one in row.items() if key != "step"]
    ours = [dict(frame.data) for frame in trainlog.open(folder / "run.flog").frames("stats")]
    found = [(row["step"], key, float(np.float32(one))) for row in ours for key, one in row.items() if key != "step"]
    assert len(expected) > 50
    assert repr(found) == repr(expected)  # among them are NaN
