"""The ring buffer, and many frames by one call."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import trainlog
from test_background import Tensor
from trainlog import Kind, TrainingRecorder
from trainlog.errors import ClosedLog, UnsupportedFrame


def times(path: Path) -> list[float]:
    return [frame.time for frame in trainlog.open(path).frames("creature")]


def test_nothing_is_written_until_something_happens(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path) as log, log.keep_last(seconds=1.0) as dense:
        qpos = np.zeros(3)
        for n in range(1000):
            qpos[0] = n
            dense.record(n / 100, {"qpos": qpos})
        size = path.stat().st_size
        assert times(path) == []
        assert dense.write("fall", {"height": 0.1}) == 101
        assert path.stat().st_size > size
        assert dense.write("fall") == 0
    frames = list(trainlog.open(path).frames("creature"))
    assert [frame.data["qpos"][0] for frame in frames] == list(range(899, 1000)), "copies, not the array of the end"
    first, second = trainlog.open(path).frames("event")
    assert first.data == {
        "type": "fall",
        "by": "keep_last",
        "height": 0.1,
        "kept": 101,
        "from": 8.99,
        "to": 9.99,
    }
    assert second.data["kept"] == 0


def test_a_nan_writes_what_was_before_it_once(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path) as log:
        dense = log.keep_last(frames=5)
        for n in range(20):
            dense.record(n, {"qvel": np.array([0.0, np.nan if n in (10, 11, 12) else 1.0]), "n": n})
    assert times(path) == [6, 7, 8, 9, 10]
    (event,) = trainlog.open(path).frames("event")
    assert (event.data["type"], event.data["keys"]) == ("nan", ["qvel"])


@pytest.mark.parametrize(
    "value",
    [
        *(float("inf"), [1.0, [float("nan")]], {"a": np.float32("nan")}, complex(0, float("nan"))),
        *(np.array([[1.0], [np.nan, 2.0]], object), np.array([(1, np.nan)], [("n", "i4"), ("x", "f8")])),
    ],
)
def test_what_is_a_nan(tmp_path: Path, value: object) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path) as log:
        log.keep_last(frames=5).record(0.0, {"x": value})
        log.keep_last(frames=5, on_nan=False).record(0.0, {"x": value})
    assert times(path) == [0.0]


def test_a_tensor_that_numpy_does_not_take(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    weights = Tensor([0.0])
    with TrainingRecorder(path) as log:
        dense = log.keep_last(frames=5)
        for value in (1.0, np.nan, 3.0):
            weights.values[0] = value
            dense.record(value if value == value else 2.0, {"weights": weights})
    frames = [frame.data["weights"] for frame in trainlog.open(path).frames("creature")]
    assert [str(value) for value in frames] == ["[1.0]", "[nan]"]


def test_a_masked_nan_is_none(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "a.flog") as log:
        log.keep_last(frames=5).record(0.0, {"x": np.ma.array([1.0, np.nan], mask=[False, True])})
    assert list(trainlog.open(tmp_path / "a.flog").frames()) == []


def test_a_nan_of_a_type_that_numpy_has_not(tmp_path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    path = tmp_path / "a.flog"
    with TrainingRecorder(path) as log:
        dense = log.keep_last(frames=5)
        dense.record(0.0, {"x": np.array([1, 2], ml_dtypes.int4)})
        dense.record(1.0, {"x": np.array([1.0, np.nan], ml_dtypes.bfloat16)})
    assert times(path) == [0.0, 1.0]


def test_a_time_that_is_no_float(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "a.flog") as log:
        dense = log.keep_last(seconds=5)
        for time in ("now", 10**400):
            with pytest.raises(UnsupportedFrame, match="a time in seconds"):
                dense.record(time, {"x": 1})  # type: ignore[arg-type]
        assert not dense.frames


def test_a_clock_that_is_an_array(tmp_path: Path) -> None:
    """A simulator may advance its time in place, while frames wait."""
    clock = np.zeros(())
    with TrainingRecorder(tmp_path / "a.flog", background=100) as log:
        dense = log.keep_last(seconds=2, kind=Kind.EVOLUTION)
        for n in range(10):
            clock[...] = n
            dense.record(clock, {"n": n})  # type: ignore[arg-type]
            log.record(clock, Kind.CREATURE, {"n": n})  # type: ignore[arg-type]
        dense.write("fall")
    assert times(tmp_path / "a.flog") == list(range(10))
    assert [frame.time for frame in trainlog.open(tmp_path / "a.flog").frames("evolution")] == [7, 8, 9]


def test_an_exception_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with (  # noqa: PT012 - the exception is that of the loop
        TrainingRecorder(path) as log,
        pytest.raises(ZeroDivisionError),
        log.keep_last(frames=3, kind="stats") as dense,
    ):
        for n in range(10):
            dense.record(None, {"n": n})
        raise ZeroDivisionError("boom")
    assert [frame.data["n"] for frame in trainlog.open(path).frames("stats")] == [7, 8, 9]
    (event,) = trainlog.open(path).frames("event")
    assert (event.data["type"], event.data["exception"], event.data["msg"]) == (
        "exception",
        "ZeroDivisionError",
        "boom",
    )


def test_times_that_step_back_at_a_reset(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path) as log, log.keep_last(seconds=2) as dense:
        for episode in range(50):
            for step in range(9):  # of simulated time, which begins anew
                dense.record(step / 2, {"n": 9 * episode + step})
            assert len(dense.frames) <= 6
        dense.record(float("inf"), {"n": -1})
        dense.record(0.0, {"n": 450})
        dense.record(float("nan"), {"n": 451})
        dense.record(0.5, {"n": 452})
        assert dense.write("fall") <= 6
        for step in range(100):
            dense.record(step / 2, {"n": step})
        assert len(dense.frames) == 5


def test_the_last_seconds_before_a_reset_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path) as log, log.keep_last(seconds=1) as dense:
        for time in (7.0, 7.5, 8.0, 8.5, 0.0, 0.25):
            dense.record(time, {"n": 1})
        dense.write("fall")
    assert [frame.time for frame in trainlog.open(path).with_superseded().frames("creature")] == [8.0, 8.5, 0.0, 0.25]


def test_it_is_written_while_it_drops_what_is_too_old(tmp_path: Path) -> None:
    """By a signal handler, or by another thread."""

    class Limit(float):
        def __rsub__(self, other: float) -> float:
            if other > 5:
                dense.write("look")
            return other - float(self)

    with TrainingRecorder(tmp_path / "a.flog") as log:
        dense = log.keep_last(seconds=Limit(5))
        for time in (0, 1, 10):
            dense.record(time, {"x": 1})
    assert times(tmp_path / "a.flog") == [0, 1, 10]


def test_a_fork_while_another_thread_records(tmp_path: Path) -> None:
    class Limit(float):
        def __rsub__(self, other: float) -> float:
            recording.set()
            assert forked.wait(30)
            return other - float(self)

    recording, forked = threading.Event(), threading.Event()
    with TrainingRecorder(tmp_path / "a.flog") as log:
        dense = log.keep_last(seconds=Limit(5))
        thread = threading.Thread(target=dense.record, args=(0.0, {"x": 1}))
        thread.start()
        assert recording.wait(30)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
            child = os.fork()
        forked.set()
        if not child:
            signal.alarm(10)
            dense.record(1.0, {"x": 2})
            os._exit(0)
        thread.join()
        assert os.waitpid(child, 0)[1] == 0


def test_wrong_use(tmp_path: Path) -> None:
    log = TrainingRecorder(tmp_path / "a.flog")
    for limits in ({}, {"seconds": 0.0}, {"frames": 0}):
        with pytest.raises(ValueError, match=r"seconds|frames"):
            log.keep_last(**limits)  # type: ignore[arg-type]
    dense = log.keep_last(frames=2)
    with pytest.raises(UnsupportedFrame):
        dense.record(0.0, {"x": object()})
    dense.record(0.0, {"x": 1})
    with pytest.raises(TypeError, match="the type of an event is text, not dict"):
        dense.write({"height": 1})  # type: ignore[arg-type]
    log.close()
    with pytest.raises(ClosedLog):
        dense.write("late")
    assert len(dense.frames) == 1


def test_many_frames_are_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path, sync_every=None) as log:
        log.record_event(0.0, "begin")
        sizes = []
        real = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: sizes.append(len(data)) or real(fd, data))
        log.record_many([(1.0, Kind.STATS, {"env": n}) for n in range(64)])
        assert len(sizes) == 1
        assert len(list(trainlog.open(path).frames("stats"))) == 64
        with pytest.raises(UnsupportedFrame):
            log.record_many([(None, Kind.STATS, {"a": 1}), (None, Kind.STATS, {"a": object()})])
        log.record_many([])
        log.record_many(
            [(None, Kind.STATS, {"a": 1}), (None, Kind.EVENT, {"type": "rewind", "by": "trainlog", "step": 3})]
        )
    assert len(list(trainlog.open(path).frames("stats"))) == 65
    assert trainlog.verify(path).closed


@pytest.mark.parametrize("options", [{"background": 10}, {"on_error": "raise"}])
def test_many_frames_in_all_modes(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path, **options) as log:  # type: ignore[arg-type]
        for first in range(0, 300, 3):
            log.record_many((n, Kind.CREATURE, {"n": n}) for n in range(first, first + 3))
    assert times(path) == list(range(300))
