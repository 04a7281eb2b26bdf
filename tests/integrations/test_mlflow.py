"""The calls of MLflow's tracking: one script, run with MLflow and with ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import trainlog
import trainlog.integrations.mlflow as mlflow
from trainlog.errors import LogNotFound, TrainlogWarning
from trainlog.media import media_file

SCRIPT = """
mlflow.set_tracking_uri("runs")
mlflow.set_experiment("ant")
with mlflow.start_run(run_name="first", tags={"who": "me"}) as run:
    mlflow.log_param("lr", 0.1)
    mlflow.log_params({"n": 3, "device": "cpu"})
    mlflow.set_tag("stage", "test")
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"acc": step / 7, "time": 2.0}, step=step)
    with mlflow.start_run(run_name="inner", nested=True):
        mlflow.log_metric("loss", 0.5)
    mlflow.log_metric("last", 1)
print(run.info.run_id)
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_experiment()
    mlflow.set_tracking_uri("")


def said(path: str) -> str:
    """Everything that a log holds, as text; where a configuration stands in it is `integrations.wandb`'s."""
    log = trainlog.open(path)
    return repr([dict(log.header.meta), [frame.data for frame in log.frames("event")]])


def test_a_script_runs_with_only_its_import_changed() -> None:
    exec(SCRIPT, {"mlflow": mlflow})
    table = trainlog.open("runs/ant/first.flog").table("stats")
    assert table["loss"][table.valid("loss")].tolist() == [1 / n for n in range(1, 6)]
    assert table["acc"][table.valid("acc")].tolist() == [n / 7 for n in range(5)]
    assert table["step"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 0]
    assert table["last"][-1] == 1
    text = said("runs/ant/first.flog")
    assert all(word in text for word in ("'lr': 0.1", "'n': 3", "'device': 'cpu'", "'who': 'me'", "'stage': 'test'"))
    inner = trainlog.open("runs/ant/inner.flog")
    assert (inner.header.meta["parent"], inner.table("stats")["loss"].tolist()) == ("first", [0.5])


@pytest.mark.nightly
def test_the_log_has_the_values_that_mlflow_stores(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    show = """
import json
client = mlflow.MlflowClient()
run_id = run.info.run_id
metrics = client.get_run(run_id).data.metrics
found = {key: [(one.step, one.value) for one in client.get_metric_history(run_id, key)] for key in metrics}
print(json.dumps([found, client.get_run(run_id).data.params]))
"""
    script = f"import mlflow\n{SCRIPT}{show}".replace('"runs"', '"theirs"')
    allowed = os.environ | {"MLFLOW_ALLOW_FILE_STORE": "true"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=allowed)
    assert done.returncode == 0, done.stderr
    metrics, params = json.loads(done.stdout.splitlines()[-1])
    exec(SCRIPT, {"mlflow": mlflow})
    table = trainlog.open("runs/ant/first.flog").table("stats")
    assert set(metrics) == {"loss", "acc", "time", "last"}
    for key, history in metrics.items():
        known = table.valid(key)
        found = zip(table["step"][known].tolist(), table[key][known].tolist(), strict=True)
        assert [list(pair) for pair in found] == history
    assert params == {"lr": "0.1", "n": "3", "device": "cpu"}


def test_files_and_tables_are_events() -> None:
    mlflow.log_text("hello", "notes/a.txt")  # begins a run
    run = mlflow.active_run()
    assert run is not None
    assert run.run.log_file is not None
    mlflow.log_dict({"a": 1}, "b.json")
    mlflow.log_image(np.zeros((4, 5, 3), np.uint8), "view.png")
    mlflow.log_image(np.zeros((4, 5), np.uint8), key="camera", step=3)
    mlflow.log_table({"q": [1, 2], "a": ["x", "y"]}, "table.json")
    mlflow.log_table({"q": 3}, "row.json")
    with pytest.warns(TrainlogWarning, match="log_artifact"):
        mlflow.log_artifact("model.pt")
    with pytest.warns(TrainlogWarning, match="autolog"):
        mlflow.autolog()
    mlflow.end_run()
    path = run.run.log_file
    events = {frame.data["tag"]: frame.data for frame in trainlog.open(path).frames("event") if "tag" in frame.data}
    assert media_file(path, events["notes/a.txt"]).read_text() == "hello"
    assert json.loads(media_file(path, events["b.json"]).read_text()) == {"a": 1}
    assert (events["view.png"]["type"], events["camera"]["step"]) == ("image", 3)
    assert (events["table.json"]["columns"], events["table.json"]["rows"]) == (["q", "a"], [[1, "x"], [2, "y"]])
    assert events["row.json"]["rows"] == [[3]]


def test_runs_one_after_another_and_again() -> None:
    mlflow.set_tracking_uri(Path.cwd().as_uri())
    with mlflow.start_run(run_name="a"):
        mlflow.log_metric("x", 1.0)
        with pytest.raises(RuntimeError, match="run a is active"):
            mlflow.start_run()
    assert mlflow.active_run() is None
    with mlflow.start_run(run_id="a"):
        mlflow.log_metric("x", 2.0, step=1)
    assert trainlog.open("a.flog").table("stats")["x"].tolist() == [1.0, 2.0]
    with pytest.raises(LogNotFound):
        mlflow.start_run(run_id="none")
    with pytest.raises(ZeroDivisionError), mlflow.start_run(run_name="b") as run:
        1 / 0  # noqa: B018
    assert run.info.status == "FAILED"
    mlflow.end_run()  # of none
    with mlflow.start_run(run_name="a") as run:
        mlflow.log_metric("x", 3.0)
    assert (run.info.run_id, run.info.run_name) == ("a-2", "a")
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_metric("x", 4.0)
    assert trainlog.open("a-2.flog").table("stats")["x"].tolist() == [3.0, 4.0]


def test_a_run_that_is_continued_keeps_its_tags() -> None:
    mlflow.set_tracking_uri(Path.cwd().as_uri())
    with mlflow.start_run(run_name="a", tags={"a": 1, "b": 1}):
        mlflow.set_tag("c", 1)
    with mlflow.start_run(run_id="a", tags={"b": 2}) as run:
        assert run.tags == {"a": 1, "b": 2, "c": 1}
        mlflow.set_tag("d", 2)
    with mlflow.start_run(run_id="a"):
        pass
    assert trainlog.open("a.flog").header.meta["tags"] == {"a": 1, "b": 2, "c": 1, "d": 2}


@pytest.mark.parametrize(
    ("status", "end"),
    [("FINISHED", ("finished", "")), ("KILLED", ("interrupted", "KILLED")), ("FAILED", ("failed", "FAILED"))],
)
def test_the_status_of_a_run_is_how_its_log_ends(status: str, end: tuple[str, str]) -> None:
    mlflow.start_run(run_name="a")
    mlflow.end_run(status)
    found = trainlog.open("runs/a.flog").end
    assert found is not None
    assert (found.state, found.reason) == end
