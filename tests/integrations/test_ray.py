"""Ray Tune itself runs trials; their logs have what its own files have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import trainlog
from trainlog.table.values import flatten

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(300)]

SCRIPT = """
import sys
from ray import tune

def train(config):
    for n in range(3):
        tune.report({"loss": config["lr"] / (n + 1), "nested": {"score": n}})
    if config["lr"] == 1:
        raise ValueError("it diverges")

storage = tune.RunConfig(name="exp", storage_path=sys.argv[1], verbose=0)
tune.Tuner(train, param_space={"lr": tune.grid_search([0.5, 1.0])}, run_config=storage).fit()
"""


def test_an_unchanged_script_logs_by_an_environment_variable(tmp_path: Path) -> None:
    pytest.importorskip("ray.tune")
    environment = {**os.environ, "RAY_TUNE_CALLBACKS": "trainlog.integrations.ray.TrainlogLoggerCallback"}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "0"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    results = sorted(tmp_path.rglob("result.json"))
    assert len(results) == 2
    endings = {}
    for result in results:
        (path,) = Path(json.loads(result.read_text().splitlines()[0])["config"].get("log", result.parent)).glob(
            "*.flog"
        )
        reader = trainlog.open(path)
        theirs = [json.loads(line) for line in result.read_text().splitlines()]
        ours = [flatten(frame.data) for frame in reader.frames("stats")]
        assert len(ours) == 3
        for own, other in zip(ours, theirs, strict=True):
            lr = other.pop("config")["lr"]
            flat = flatten(other)
            assert {key: own[key] for key in flat} == flat
            assert own["step"] == other["training_iteration"]
        assert reader.header.meta["lr"] == lr
        endings[lr] = reader.end.state
    assert endings == {0.5: "finished", 1.0: "failed"}
