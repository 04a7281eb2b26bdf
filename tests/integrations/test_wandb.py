"""The calls of W&B and Trackio: one script, run with theirs and with ours."""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import trainlog
import trainlog.integrations.wandb as wandb
from trainlog.errors import ClosedLog, LogNotFound, TrainlogWarning
from trainlog.media import media_file
from trainlog.table.values import flatten

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    wandb.finish()


SCRIPT = """
run = wandb.init(project="ant", name="first", config={"lr": 0.1, "layers": [64, 64]})
wandb.config.update({"seed": 3})
for step in range(5):
    wandb.log({"loss": 1 / (step + 1), "nested": {"acc": step / 10}})
wandb.log({"late": 7}, step=20)
wandb.log({"later": 8}, step=20)
wandb.log({"after": 9})
"""


def logged(path: Path) -> dict[int, dict[str, Any]]:
    """Rows by step, as W&B and Trackio merge them."""
    rows: dict[int, dict[str, Any]] = {}
    for frame in trainlog.open(path).frames("stats"):
        data = dict(frame.data)
        rows.setdefault(data.pop("step"), {}).update(data)
    return rows


def run_script(module: Any) -> None:
    exec(SCRIPT, {"wandb": module})


@pytest.mark.parametrize("module", [wandb, trainlog], ids=["trainlog.integrations.wandb", "trainlog"])
def test_a_script_runs_with_only_its_import_changed(module: Any) -> None:
    run_script(module)
    wandb = module
    assert dict(wandb.config) == {"lr": 0.1, "layers": [64, 64], "seed": 3}
    assert (wandb.config.lr, wandb.config["seed"], wandb.summary["loss"], wandb.summary.late) == (0.1, 3, 0.2, 7)
    wandb.finish()
    path = Path("runs/ant/first.flog")
    reader = trainlog.open(path)
    assert [reader.header.meta[key] for key in ("lr", "layers", "project", "name")] == [0.1, [64, 64], "ant", "first"]
    assert (reader.header.meta["seed"], reader.end and reader.end.state) == (3, "finished")
    expected: dict[int, dict[str, Any]] = {n: {"loss": 1 / (n + 1), "nested": {"acc": n / 10}} for n in range(5)}
    assert logged(path) == {**expected, 20: {"late": 7, "later": 8, "after": 9}}


def flat(rows: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {step: flatten(row) for step, row in rows.items()}


def records_of(data: bytes) -> Iterator[bytes]:
    """The records of W&B's own file: blocks of 32 KiB; each piece has a checksum, its length, and which piece it is."""
    at, whole = 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        size, piece = struct.unpack_from("<HB", data, at + 4)
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if piece in (1, 4):  # the only one, or the last
            yield whole
            whole = b""


@pytest.mark.nightly
def test_the_log_has_the_values_that_wandb_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    proto = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    code = f"import wandb\n{SCRIPT}\nwandb.finish()"  # in a process of its own, as W&B starts one beside it
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = Path("wandb").glob("offline-run-*/*.wandb")
    theirs: dict[int, dict[str, Any]] = {}
    for data in records_of(file.read_bytes()):
        record = proto.Record.FromString(data)
        if record.WhichOneof("record_type") == "history":
            items = {"/".join(one.nested_key) or one.key: json.loads(one.value_json) for one in record.history.item}
            row = {key: value for key, value in items.items() if not key.startswith("_")}
            theirs[items.get("_step", record.history.step.num)] = row
    run_script(wandb)
    wandb.finish()
    assert len(theirs) == 6
    assert flat(logged(Path("runs/ant/first.flog"))) == flat(theirs)


@pytest.mark.nightly
def test_the_log_has_the_values_that_trackio_stores(tmp_path: Path) -> None:
    """In a process of its own, as Trackio starts a server."""
    pytest.importorskip("trackio")
    script = SCRIPT.replace("wandb.config.update", "run.config.update").replace('"layers": [64, 64]', '"layers": 64')
    code = f"""
import json, sys
import trackio as wandb
{script}
wandb.finish()
from trackio.sqlite_storage import SQLiteStorage
json.dump(SQLiteStorage.get_logs("ant", "first"), open(sys.argv[1], "w"))
"""
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, "logs.json"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    theirs: dict[int, dict[str, Any]] = {}
    for row in json.loads(Path("logs.json").read_text()):
        theirs.setdefault(row["step"], {}).update({k: v for k, v in row.items() if k not in ("step", "timestamp")})
    run_script(wandb)
    wandb.finish()
    ours = flat(logged(Path("runs/ant/first.flog")))
    # Trackio goes on with the step after the one that was given; W&B, and this module, stay at it.
    assert [*flat(theirs).values()][:5] == [*ours.values()][:5]
    assert {key: one for row in flat(theirs).values() for key, one in row.items()} == {
        key: one for row in ours.values() for key, one in row.items()
    }


def test_steps_and_commits() -> None:
    with wandb.init() as run:
        run.log({"a": 1}, commit=False)
        run.log({"b": 2})
        run.log({"c": 3})
        run.log({"d": 4}, step=10, commit=True)
        run.log({"e": 5})
        run.log({"f": 6}, step=2)
        run.log({"g": 7, "step": 500})
    assert run.log_file is not None
    rows = [dict(frame.data) for frame in trainlog.open(run.log_file).frames("stats")]
    assert [row["step"] for row in rows] == [0, 0, 1, 10, 11, 2, 500]
    assert rows[-1] == {"_step": 12, "g": 7, "step": 500}


def test_config_and_summary() -> None:
    args = argparse.Namespace(lr=0.1, out=Path("models"))
    run = wandb.init(project="p", config=args, tags=["a"], group="g", notes="n", entity="me")
    run.config.batch = 4
    run.config.update({"lr": 0.2}, allow_val_change=True)
    run.config.setdefault("gamma", 0.9)
    run.log({"score": np.float32(1.5)})
    run.summary["best"] = 2
    run.summary.update({"score": 3})
    assert run.summary.as_dict() == {"score": 3, "best": 2}
    assert run.config.as_dict() == {"lr": 0.2, "out": Path("models"), "batch": 4, "gamma": 0.9}
    with pytest.raises(AttributeError, match="no 'nothing' in the config"):
        run.config.nothing  # noqa: B018
    run.finish(exit_code=3)
    reader = trainlog.open(run.log_file)
    meta = reader.header.meta
    assert (meta["out"], meta["tags"], meta["group"], meta["notes"], meta["entity"]) == (
        "models",
        ["a"],
        "g",
        "n",
        "me",
    )
    assert (meta["batch"], meta["lr"], meta["gamma"], meta["summary"]) == (4, 0.2, 0.9, {"best": 2, "score": 3})
    assert reader.end is not None
    assert (reader.end.state, reader.end.reason) == ("failed", "SystemExit: 3")
    assert not list(reader.frames("event"))


def test_what_is_no_number_is_an_event_beside_the_numbers() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Path("clip.mp4").write_bytes(b"a film")
    table = wandb.Table(columns=["a", "b"], data=[[1, "x"]])
    table.add_data(2, "y")
    with wandb.init() as run:
        run.log(
            {
                "loss": 1,
                "camera": wandb.Image(picture, caption="a caption"),
                "shots": [wandb.Image(Image.fromarray(picture)), wandb.Image(picture.astype(float))],
                "clip": wandb.Video("clip.mp4"),
                "walk": wandb.Video(rng.integers(0, 256, (3, 3, 4, 5), dtype=np.uint8), fps=10),
                "weights": wandb.Histogram([1.0, 2.0, 3.0], num_bins=2),
                "counted": wandb.Histogram(np_histogram=np.histogram([1.0, 2.0], 2)),
                "page": wandb.Html("<p>hello</p>"),
                "rows": table,
                "inner": {"acc": 2, "camera": wandb.Image(picture)},
            }
        )
    path = run.log_file
    assert path is not None
    reader = trainlog.open(path)
    (row,) = [dict(frame.data) for frame in reader.frames("stats")]
    assert row == {"step": 0, "loss": 1, "inner": {"acc": 2}}
    events = {event["tag"]: event for event in (frame.data for frame in reader.frames("event"))}
    assert [*events] == [
        *("camera", "camera/caption", "shots/0", "shots/1", "clip", "walk", "weights", "counted", "page", "rows"),
        "inner/camera",
    ]
    assert {events[tag]["file"] for tag in ("camera", "shots/0", "shots/1", "inner/camera")} == {
        events["camera"]["file"]
    }
    with Image.open(media_file(path, events["camera"])) as image:
        np.testing.assert_array_equal(np.asarray(image), picture)
    assert media_file(path, events["clip"]).read_bytes() == b"a film"
    assert (events["walk"]["frames"], events["walk"]["fps"]) == (3, 10)
    assert events["weights"]["counts"] == [0, 1, 2]
    assert events["counted"]["counts"] == [0, 1, 1]
    assert media_file(path, events["page"]).read_text() == "<p>hello</p>"
    assert (events["rows"]["columns"], events["rows"]["rows"]) == (["a", "b"], [[1, "x"], [2, "y"]])


def test_runs_that_are_named_the_same_have_a_log_each() -> None:
    for n in range(3):
        with wandb.init(project="p", name="a/b") as run:
            run.log({"n": n})
    assert sorted(path.name for path in Path("runs/p").glob("*.flog")) == ["a-b-2.flog", "a-b-3.flog", "a-b.flog"]


def test_a_run_is_resumed_by_its_id() -> None:
    with pytest.raises(LogNotFound, match="to resume"):
        wandb.init(id="x1", resume="must")
    for n in range(2):
        with wandb.init(id="x1", name="named", resume="allow") as run:
            run.log({"n": n})
    assert trainlog.open("runs/x1.flog").table("stats")["n"].tolist() == [0, 1]
    assert trainlog.open("runs/x1.flog").table("stats")["step"].tolist() == [0, 1]


def test_a_resumed_run_has_its_configuration_summary_and_name() -> None:
    with wandb.init(project="p", id="x", name="named", config={"lr": 0.1, "layers": {"a": 1}}, tags=["t"]) as run:
        run.summary["best"] = 3
    with wandb.init(project="p", id="x", resume="must", config={"lr": 0.2, "batch": 4}) as run:
        assert dict(run.config) == {"lr": 0.2, "layers": {"a": 1}, "batch": 4}
        assert (run.summary["best"], run.name, run.id) == (3, "named", "x")
        run.config.seed = 1
    meta = trainlog.open("runs/p/x.flog").header.meta
    assert [meta[key] for key in ("lr", "batch", "seed", "tags")] == [0.2, 4, 1, ["t"]]
    assert (meta["name"], meta["task"], meta["summary"]) == ("named", "", {"best": 3})


def test_a_task_of_the_configuration_stays_in_it() -> None:
    for _ in range(2):
        with wandb.init(id="x", name="first", resume="allow", config={"task": "walk"}) as run:
            assert dict(run.config) == {"task": "walk"}
    with wandb.init(id="x", resume="must") as run:
        assert dict(run.config) == {"task": "walk"}


def test_seeds_are_compared_as_one_group() -> None:
    for seed in range(4):
        config = {"algo": "ppo", "env_id": "Ant-v5", "seed": seed}
        with wandb.init(project="ant", name=f"ppo-{seed}", config=config) as run:
            run.log({"reward": seed})
    command = [sys.executable, "-m", "trainlog", "compare", "runs", "--by", "algo", "--json"]
    group = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert (group["runs"], group["tasks"]) == (4, 1)


def test_a_resumed_run_counts_its_own_steps_on() -> None:
    for values in ([{"step": 1000}, {"step": 2000}], [{"loss": 0.1}], [{"step": "late"}, {}]):
        with wandb.init(id="x2", resume="allow") as run:
            for one in values:
                run.log(one)
    frames = [frame.data for frame in trainlog.open("runs/x2.flog").frames("stats")]
    assert [frame.get("_step", frame["step"]) for frame in frames] == [0, 1, 2, 3, 4]


def test_a_run_that_is_disabled_leaves_nothing() -> None:
    with wandb.init(mode="disabled", config={"lr": 1}) as run:
        run.log({"a": 1, "b": wandb.Image(np.zeros((2, 2)))})
        run.summary["c"] = 1
        run.alert("a")
    assert run.config.lr == 1
    assert not Path("runs").exists()


def test_before_init_and_after_finish() -> None:
    assert wandb.run is None
    wandb.finish()
    with pytest.raises(ClosedLog, match=r"call init\(\) before log"):
        wandb.log({"a": 1})
    with pytest.raises(ClosedLog, match="call init"):
        wandb.config  # noqa: B018
    first = wandb.init()
    assert wandb.run is first is wandb.init()
    second = wandb.init(reinit=True)
    assert second is not first
    with pytest.raises(ClosedLog):
        first.log({"a": 1})


def test_what_is_not_kept_is_said_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        wandb.init(sync_tensorboard=True, settings=wandb.Settings(x_disable_stats=True))
        for _ in range(2):
            wandb.define_metric("loss", step_metric="step")
            wandb.watch(object())
            wandb.save("model.pt")
            artifact = wandb.Artifact("model", type="model")
            artifact.add_file("model.pt")
            wandb.log_artifact(artifact)
    kept = [str(one.message).removeprefix("a log of trainlog does not keep ") for one in caught]
    assert kept == [
        "what the argument sync_tensorboard of init asks for",
        "what the argument settings of init asks for",
        "what define_metric says",
        "what watch gives",
        "the files that save names",
        "the files of log_artifact",
    ]
    assert {(one.category, one.filename) for one in caught} == {(TrainlogWarning, __file__)}
    assert wandb.login()
    wandb.alert("reward", text="is low", level="WARN")
    wandb.finish()
    (path,) = Path("runs").glob("*.flog")
    (event,) = trainlog.open(path).frames("event")
    assert event.data == {"type": "alert", "title": "reward", "msg": "is low", "level": "WARN", "step": 0}


@pytest.mark.parametrize("config", [3, "config.yaml", range(3), [1], {1}])
def test_a_configuration_without_keys_is_refused(config: Any) -> None:
    with pytest.raises(TypeError, match="a configuration is a map"):
        wandb.init(config=config)
    assert not Path("runs").exists()


def test_a_configuration_may_hold_what_is_no_number(tmp_path: Path) -> None:
    """Devices, classes and functions are text in it, as in W&B's."""

    class Device:
        def __str__(self) -> str:
            return "cuda:0"

    run = wandb.init(project="p", name="odd", dir=tmp_path, config={"device": Device(), "act": [len], 1: Path("a")})
    wandb.config.update({"dtype": Device})
    wandb.summary["device"] = Device()
    wandb.finish()
    log = trainlog.open(tmp_path / "p" / "odd.flog")
    assert (log.header.meta["device"], log.header.meta["act"], log.header.meta["1"]) == (
        "cuda:0",
        ["builtins.len"],
        "a",
    )
    assert run.config["dtype"].endswith("Device")
    assert run.summary["device"] == "cuda:0"
