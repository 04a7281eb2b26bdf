"""A slow writer does not delay the training, and the log says what that cost."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from test_pipes import Kept, stats
from trainlog import Frame, Kind, TrainingRecorder
from trainlog.cli import main
from trainlog.codecs.flog.writer import FlogWriter
from trainlog.conventions import RUN_STATE
from trainlog.errors import ClosedLog, LogWriteError, LogWriteWarning, UnsupportedFrame
from trainlog.writers.background import Background, Policy
from trainlog.writers.combine import snapshot


def test_background_writes_all_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    qpos = np.zeros(2)
    with Background(trainlog.create(path), size=4) as log:
        for n in range(500):
            qpos += 1  # simulators change their arrays in place
            log.write(Frame(n, Kind.CREATURE, {"pos": qpos, "more": {"list": [qpos, 1]}}))
        log.flush()
        assert len(list(trainlog.open(path))) == 500
    assert trainlog.open(path).table("creature")["pos"][:, 0].tolist() == list(range(1, 501))
    with pytest.raises(ClosedLog):
        log.write(stats(1))


class Tensor:
    """As those of PyTorch: numpy takes it only when it was detached, and its parts share its memory."""

    def __init__(self, values: Any, requires_grad: bool = True) -> None:
        self.values = np.asarray(values)
        self.requires_grad = requires_grad

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.requires_grad:
            raise RuntimeError("cannot call numpy() on a tensor that requires grad")
        return np.array(self.values, dtype) if copy else self.values

    def detach(self) -> Tensor:
        return Tensor(self.values, requires_grad=False)

    def clone(self) -> Tensor:
        return Tensor(self.values.copy(), self.requires_grad)

    def isfinite(self) -> Any:
        return np.isfinite(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, row: int) -> Tensor:
        return Tensor(self.values[row], self.requires_grad)


@dataclasses.dataclass
class Totals:
    episodes: list[int]


def test_what_changes_while_it_waits_is_stored_as_it_was(tmp_path: Path) -> None:
    """Rewards of the last episodes, a set, a parameter that is being trained: the next step changes them in place."""
    last, seen, totals, weights = deque([0], maxlen=2), {0}, Totals([]), Tensor([0.0])
    objects, record = np.array([[0]], dtype=object), np.zeros(1, [("x", np.int64)])
    frames = []
    for n in range(3):
        last.append(n)
        seen.add(n)
        totals.episodes.append(n)
        weights.values[0] = objects[0, 0] = record["x"] = n
        data = {"last": last, "seen": seen, "totals": totals, "weights": weights, "of": objects, "record": record[0]}
        frames.append(Frame(n, Kind.STATS, snapshot(data)))
    with trainlog.create(tmp_path / "a.flog") as log:
        log.write_all(frames)
    found = [frame.data for frame in trainlog.open(tmp_path / "a.flog").frames()]
    assert [data["last"] for data in found] == [[0, 0], [0, 1], [1, 2]]
    assert [data["seen"] for data in found] == [[0], [0, 1], [0, 1, 2]]
    assert [data["totals"] for data in found] == [{"episodes": [0]}, {"episodes": [0, 1]}, {"episodes": [0, 1, 2]}]
    assert [data["weights"] for data in found] == [[0.0], [1.0], [2.0]]
    assert [data["of"] for data in found] == [[[0]], [[1]], [[2]]]
    assert [data["record"] for data in found] == [{"x": 0}, {"x": 1}, {"x": 2}]


@pytest.mark.parametrize("options", [{}, {"background": 10}])
def test_what_is_nested_without_end_is_refused_by_a_sentence(tmp_path: Path, options: dict[str, Any]) -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    round_and_round: dict[str, Any] = {}
    round_and_round["again"] = round_and_round
    with warnings.catch_warnings(), TrainingRecorder(tmp_path / "a.flog", **options) as log:
        warnings.simplefilter("ignore", LogWriteWarning)
        for data in ({"deep": deep}, round_and_round):
            with pytest.raises(UnsupportedFrame, match="nested deeper"):  # noqa: PT012 - in the background by the next
                log.stats(data)
                log.flush()
            with pytest.raises(UnsupportedFrame, match="nested deeper"):
                log.keep_last(frames=3).record(None, data)
        log.stats({"step": 1})
    assert [frame.data for frame in trainlog.open(tmp_path / "a.flog").frames("stats")] == [{"step": 1}]


def test_errors_of_the_background_come_with_the_next_call() -> None:
    kept = Kept(OSError("full"))
    log = Background(kept)
    log.write(stats(1))
    with pytest.raises(OSError, match="full"):
        log.flush()
    kept.error = None
    log.write(stats(2))
    log.close()
    log.close()
    assert kept.frames[:2] == [stats(1), stats(2)], "what the system refused was tried again"
    assert kept.closed == 1
    assert not any(thread.name == "trainlog writer" for thread in threading.enumerate())


def test_close_raises_an_error_that_no_call_has_raised() -> None:
    log = Background(Kept(OSError("full")))
    log.write(stats(1))
    with pytest.warns(LogWriteWarning, match="1 frames could not be written"), pytest.raises(OSError, match="full"):
        log.close()


def test_an_error_costs_no_frame_but_the_bad_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.flog"
    log = TrainingRecorder(path, on_error="raise", background=2000, sync_every=None)
    log.record_stats_frame(0.0, {"n": -1})
    log.flush()
    real, full = os.write, threading.Event()
    full.set()

    def write(fd: int, data: bytes) -> int:
        if full.is_set():
            raise OSError(28, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    accepted, raised = [-1], []
    for n in range(1000):
        try:
            log.record_stats_frame(n, {"n": n} if n != 500 else {"n": object()})
            accepted.append(n)
        except OSError as error:
            raised.append(str(error))
        while not n and log._writer._error is None:  # type: ignore[attr-defined]
            time.sleep(0.001)
    assert raised
    full.clear()
    told = []  # also of an attempt before, which no call has raised yet
    for _ in range(3):
        try:
            log.flush()
        except (LogWriteError, UnsupportedFrame) as error:
            told.append(error)
    assert sum(isinstance(error, UnsupportedFrame) for error in told) == 1
    accepted.remove(500)
    with pytest.warns(LogWriteWarning, match="1 frames could not be written and were dropped, because of errors"):
        log.close()
    frames = [*trainlog.open(path)]
    assert [frame.data["n"] for frame in frames[:-1]] == accepted
    assert frames[-1].data["failed"] == {"stats": 1}


class Slow(Kept):
    """A writer that writes only when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()
        self.began = threading.Event()

    def write(self, frame: Frame) -> None:
        self.began.set()
        assert self.may.wait(30)
        super().write(frame)


def overfull(policy: Policy, size: int = 10, frames: int = 100) -> tuple[Slow, Background]:
    slow = Slow()
    log = Background(slow, size, policy)
    log.write(stats(0))
    assert slow.began.wait(30)  # and is taken out of the queue
    for n in range(1, frames):
        log.write(Frame(n, Kind.STATS, {"n": n, "state": np.full(3, n)}))
    return slow, log


def test_drop_oldest() -> None:
    slow, log = overfull("drop_oldest")
    slow.may.set()
    with pytest.warns(LogWriteWarning, match="89 frames could not be written and were dropped, because the queue was"):
        log.close()
    *frames, event = slow.frames
    assert [frame.time for frame in frames] == [0, *range(90, 100)]
    assert log.dropped == {Kind.STATS: 89}
    assert (event.time, event.kind) == (99, Kind.EVENT)
    assert event.data["dropped"] == {"stats": 89}
    assert event.data["calls"] == 100
    assert 0 < event.data["mean_us"] <= event.data["max_us"] < 10_000_000


def test_a_rewind_is_not_dropped() -> None:
    slow, log = overfull("drop_oldest", frames=5)
    log.write(Frame(5, Kind.EVENT, {"type": "rewind", "by": "trainlog", "step": 3}))
    for n in range(6, 100):
        log.write(stats(n))
    slow.may.set()
    with pytest.warns(LogWriteWarning, match="89 frames could not be written"):
        log.close()
    assert [frame.time for frame in slow.frames[:-1]] == [0, 5, *range(91, 100)]


def test_the_last_state_of_the_run_is_not_dropped() -> None:
    slow, log = overfull("drop_oldest", size=5, frames=2)
    for n in range(3):
        log.write(Frame(n, RUN_STATE, {"trainlog": 1, "meta": {"n": n}}))
    for n in range(2, 100):
        log.write(stats(n))
    slow.may.set()
    with pytest.warns(LogWriteWarning, match="95 frames could not be written"):
        log.close()
    assert [frame.data["meta"] for frame in slow.frames if frame.kind == RUN_STATE] == [{"n": 2}]
    assert log.dropped == {Kind.STATS: 95}


def test_rewinds_that_fill_the_queue_become_one() -> None:
    slow, log = overfull("drop_oldest", size=3, frames=2)
    for step in (9, 4, 7, 5, 6):
        log.write(Frame(step, Kind.EVENT, {"type": "rewind", "by": "trainlog", "step": step}))
    log.write(stats(100))
    slow.may.set()
    with pytest.warns(LogWriteWarning):
        log.close()
    assert [frame.data.get("step") for frame in slow.frames[1:-2]] == [4, 6]


def test_spill() -> None:
    slow, log = overfull("spill")
    slow.may.set()
    log.flush()
    assert [frame.time for frame in slow.frames] == list(range(100))
    assert slow.frames[50].data["state"].tolist() == [50, 50, 50]
    slow.may.clear()
    for n in range(100, 150):
        log.write(stats(n))
    slow.may.set()
    log.close()
    *frames, event = slow.frames
    assert [frame.time for frame in frames] == list(range(150))
    assert event.data["dropped"] == {}
    assert log.spilled == event.data["spilled"] >= 89


def test_spill_onto_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    slow, log = overfull("spill")
    slow.may.set()
    with pytest.warns(LogWriteWarning, match="89 frames could not be written"):
        log.close()
    assert [frame.time for frame in slow.frames][:-1] == list(range(11))
    assert slow.frames[-1].data["dropped"] == {"stats": 89}


def test_spill_where_no_folder_takes_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: object, *arguments: int, open: Callable[..., int] = os.open) -> int:
        if "trainlog-" in str(path):
            raise PermissionError(13, "Permission denied")
        return open(path, *arguments)

    monkeypatch.setattr(os, "open", refused)
    slow, log = overfull("spill")
    slow.may.set()
    with pytest.warns(LogWriteWarning, match="89 frames could not be written"):
        log.close()


def test_spill_after_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    monkeypatch.setenv("TEMP", str(tmp_path))
    slow, log = overfull("spill")
    assert list(tmp_path.iterdir()) == []  # the file has no name, so that nothing stays when the process is killed
    slow.may.set()
    log.close()
    assert log.spilled == 89


def test_spill_while_tempfile_is_locked() -> None:
    """As it is for ever after a Ctrl-C in a bad place."""
    with tempfile._once_lock, pytest.MonkeyPatch.context() as patch:  # type: ignore[attr-defined]
        patch.setattr(tempfile, "tempdir", None)
        slow, log = overfull("spill")
        slow.may.set()
        log.close()
    assert log.spilled == 89


def test_spill_of_what_cannot_be_stored() -> None:
    slow, log = overfull("spill")
    with pytest.raises(UnsupportedFrame):
        log.write(Frame(0, Kind.STATS, {"f": lambda: 0}))
    slow.may.set()
    log.close()


def test_block() -> None:
    slow = Slow()
    log = Background(slow, 1, "block")
    log.write(stats(0))
    assert slow.began.wait(30)
    log.write(stats(1))
    thread = threading.Thread(target=log.write, args=(stats(2),))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    slow.may.set()
    thread.join(30)
    log.close()
    assert [frame.time for frame in slow.frames] == [0, 1, 2, 2]


def test_a_call_that_waits_for_room_raises_when_the_writer_is_closed() -> None:
    slow = Slow()
    log = Background(slow, 1)
    log.write(stats(0))
    assert slow.began.wait(30)
    log.write(stats(1))
    errors: list[Exception] = []

    def write() -> None:
        try:
            log.write(stats(2))
        except ClosedLog as error:
            errors.append(error)

    threads = [threading.Thread(target=write), threading.Thread(target=log.close)]
    for thread in threads:
        thread.start()
        thread.join(0.05)
    slow.may.set()
    for thread in threads:
        thread.join(30)
    assert len(errors) == 1
    assert [frame.time for frame in slow.frames] == [0, 1, 1]


def test_a_queue_that_is_never_empty_can_be_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when other threads record all the time."""
    real = FlogWriter.put

    def put(self: FlogWriter, time: float, kind: Kind, data: Mapping[str, Any]) -> None:
        real(self, time, kind, data)
        if kind == Kind.STATS:
            with contextlib.suppress(ClosedLog):
                log.stats({"n": data["n"] + 1})

    monkeypatch.setattr(FlogWriter, "put", put)
    log = TrainingRecorder(tmp_path / "a.flog", background=10)
    log.stats({"n": 0})
    closing = threading.Thread(target=log.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()
    reader = trainlog.open(tmp_path / "a.flog")
    steps = reader.table("stats")["n"].tolist()
    assert steps == list(range(len(steps)))
    assert reader.end is not None


def test_wrong_use() -> None:
    with pytest.raises(TypeError, match=r"the number of frames in the queue, a whole number, not 1\.5"):
        Background(Kept(), size=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Background(Kept(), 0)
    with pytest.raises(ValueError, match="block, drop_oldest, spill"):
        Background(Kept(), policy="drop")  # type: ignore[arg-type]


def test_a_forked_child_is_refused() -> None:
    log = Background(Kept())
    log.write(stats(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            log.write(stats(1))
        except ClosedLog:
            log.close()
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    log.close()


@pytest.mark.parametrize("end", ["exit", "close"])
def test_a_fork_harms_no_spilled_frame(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.flog"
    log = TrainingRecorder(path, background=10, when_full="spill", sync_every=None)
    for n in range(3000):
        log.record_stats_frame(n, {"n": n, "pad": bytes(300)})
        if n in (500, 1500):
            pid = os.fork()
            if not pid:
                if end == "close":
                    with contextlib.suppress(ClosedLog):
                        log.close()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
    log.close()
    assert trainlog.open(path).table("stats", keys=["n"])["n"].tolist() == list(range(3000))


def test_info_shows_the_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path, background=100, when_full="drop_oldest") as log:
        for n in range(50):
            log.record_stats_frame(None, {"n": n})
    with pytest.raises(SystemExit):
        main(["info", str(path)])
    out = capsys.readouterr().out
    assert "background: 50 log calls, mean " in out
    assert "dropped nothing" in out
    with pytest.raises(SystemExit):
        main(["info", "--json", str(path)])
    (event,) = json.loads(capsys.readouterr().out)["recorder"]
    assert (event["type"], event["calls"], event["policy"]) == ("background", 50, "drop_oldest")


def test_info_shows_no_mean_that_an_older_log_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.flog"
    event = {"type": "background", "by": "trainlog", "calls": 3, "p50_us": 1.0, "p99_us": 2.0, "max_us": 4.5}
    with trainlog.create(path) as log:
        log.write(Frame(1.0, Kind.EVENT, {**event, "dropped": {}, "spilled": 0, "policy": "block"}))
    with pytest.raises(SystemExit):
        main(["info", str(path)])
    out = capsys.readouterr().out
    assert "background: 3 log calls, max 4.5 µs" in out
    assert ", mean" not in out
