from __future__ import annotations

import math
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from trainlog import Kind, TrainingRecorder
from trainlog.errors import ClosedLog, LogExists, UnknownFormat, UnsupportedFrame


def test_the_four_kinds_of_frame(tmp_path: Path) -> None:
    path = tmp_path / "run" / "a.flog"
    with TrainingRecorder(path, "go2", "walk", 1, {"seed": 7}) as log:
        log.record_creature_frame(0.5, {"step": 1})
        log.record_stats_frame(1.0, {"reward": 2.0})
        log.record_event(1.5, "fall", {"msg": "oops", "height": 0.1})
        log.record_event(2.0, "note", "text")
        log.record_event(2.5, "bare")
        log.record_evolution_frame(3.0, {"gen": 0})
        log.flush()
    log = trainlog.open(path)
    assert (log.header.meta, log.header.phase) == ({"creature": "go2", "task": "walk", "seed": 7}, 1)
    assert [tuple(frame) for frame in log] == [
        (0.5, Kind.CREATURE, {"step": 1}),
        (1.0, Kind.STATS, {"reward": 2.0}),
        (1.5, Kind.EVENT, {"type": "fall", "msg": "oops", "height": 0.1}),
        (2.0, Kind.EVENT, {"type": "note", "msg": "text"}),
        (2.5, Kind.EVENT, {"type": "bare"}),
        (3.0, Kind.EVOLUTION, {"gen": 0}),
    ]


def test_no_time_means_now(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path) as log:
        log.record_event(None, "first")
        time.sleep(0.02)
        log.record_event(None, "second")
        assert log.now() >= 0.02
    first, second = (frame.time for frame in trainlog.open(path))
    assert 0 <= first < 5
    assert 0.02 <= second - first < 5


def test_an_event_has_one_type(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path) as log:
        with pytest.raises(UnsupportedFrame, match=r"'fall'.*'forward'") as caught:
            log.record_event(0.0, "fall", {"type": "forward"})
        log.record_event(0.0, "fall", {"type": "fall", "msg": "oops"})
    assert caught.value.key == "type"
    assert [frame.data for frame in trainlog.open(path)] == [{"type": "fall", "msg": "oops"}]


def test_any_format_with_a_suffix(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "training_log.bin") as log:
        log.record_event(0.0, "a")
    assert (tmp_path / "training_log.bin").read_bytes()[:4] == b"FLOG"
    with pytest.raises(UnknownFormat):
        TrainingRecorder(tmp_path / "training.log")
    assert repr(log) == f"TrainingRecorder({str(tmp_path / 'training_log.bin')!r})"


def test_replaces_a_log_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    TrainingRecorder(path, "first").close()
    with pytest.raises(LogExists):
        TrainingRecorder(path, "second")
    TrainingRecorder(path, "second", overwrite=True).close()
    assert trainlog.FlogReplay(path).creature == "second"


def test_an_event_without_a_type_is_refused(tmp_path: Path) -> None:
    with (
        trainlog.TrainingRecorder(tmp_path / "a.flog") as log,
        pytest.raises(TypeError, match="type of an event is text"),
    ):
        log.record_event(None, {"type": "fall"})  # type: ignore[arg-type]
    assert not list(trainlog.open(tmp_path / "a.flog").frames())


@pytest.mark.parametrize("given", [{"creature_name": {"creature": "go2"}}, {"task": {"a": 1}}, {"creature_name": None}])
def test_a_map_as_a_name_is_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="metadata="):
        trainlog.TrainingRecorder(tmp_path / "a.flog", **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["https://host/a.flog", Path("s3://bucket/a.flog"), "s3:/bucket/a.flog"])
def test_an_address_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"can only be read|give a local path"):
        trainlog.TrainingRecorder(path)
    assert list(tmp_path.iterdir()) == []


def test_a_recorder_of_the_same_process_that_is_replaced_is_closed(tmp_path: Path) -> None:
    """As where a notebook's cell is run again."""
    path = tmp_path / "run.flog"
    first = TrainingRecorder(path)
    first.record_event(None, "first")
    with TrainingRecorder(tmp_path / "." / "run.flog", overwrite=True) as second:
        second.record_event(None, "second")
        with pytest.raises(ClosedLog):
            first.record_event(None, "lost")
    assert [frame.data["type"] for frame in trainlog.open(path).frames("event")] == ["second"]
    with TrainingRecorder(path, overwrite=True), pytest.raises(LogExists):
        TrainingRecorder(path)


def test_short_calls_need_no_time(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "a.flog") as log:
        log.stats({"loss": 0.5})
        log.state({"x": 1}, time=2.0)
        log.event("checkpoint", {"step": 3})
        log.event("note", "words", time=4.0)
    frames = list(trainlog.open(tmp_path / "a.flog"))
    assert [(frame.kind, dict(frame.data)) for frame in frames] == [
        (Kind.STATS, {"loss": 0.5}),
        (Kind.CREATURE, {"x": 1}),
        (Kind.EVENT, {"type": "checkpoint", "step": 3}),
        (Kind.EVENT, {"type": "note", "msg": "words"}),
    ]
    assert 0 <= frames[0].time <= frames[2].time < 60
    assert [frames[1].time, frames[3].time] == [2.0, 4.0]


def test_mistakes_are_errors(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "a.flog") as log:
        with pytest.raises(TypeError, match="a map or a text, not list"):
            log.record_event(None, "fall", [1])  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="metadata are a map, not str"):
            log.update_metadata("lr")  # type: ignore[arg-type]
        for step in (None, "5", 1.5, float("nan"), float("inf")):
            with pytest.raises(TypeError, match="step is that of the checkpoint, a whole number, not"):
                log.rewind(step)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="a run is finished, failed, interrupted, not 'well'"):
            log.close("well")  # type: ignore[arg-type]
    reader = trainlog.open(tmp_path / "a.flog")
    assert (list(reader), reader.end and reader.end.state) == ([], "finished")


def test_a_recorder_goes_to_no_other_process(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "a.flog") as log, pytest.raises(TypeError, match=r"cannot be pickled.*shard=rank"):
        pickle.dumps(log)  # as a worker that is spawned has it


@pytest.mark.parametrize(("shard", "error"), [(-1, ValueError), ("0", TypeError), (1.5, TypeError), (True, TypeError)])
def test_a_shard_is_a_whole_number(tmp_path: Path, shard: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="shard is the rank of this process among several, an integer of 0 or more, not"):
        TrainingRecorder(tmp_path / "a.flog", shard=shard)
    assert list(tmp_path.iterdir()) == []


def test_a_shard_of_numpy(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "a.flog", shard=np.int64(3)) as log:  # type: ignore[arg-type]
        log.stats({"a": 1})
    assert trainlog.open(tmp_path / "a.flog" / "3.flog").header.meta["shard"]["rank"] == 3


def test_an_interval_that_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="the interval is a number of seconds, not '5'"):
        TrainingRecorder(tmp_path / "a.flog", sync_every="5")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seconds", [0, math.nan, math.inf, 1e300])
def test_an_interval_that_no_thread_can_wait(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(ValueError, match=r"the interval is more than 0 seconds, and \d+ at most"):
        TrainingRecorder(tmp_path / "a.flog", sync_every=seconds)
    assert list(tmp_path.iterdir()) == []
