"""Any order of writing, being killed, tearing, going on, going back, and reading."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import trainlog
from trainlog import Kind, Table


class Log(RuleBasedStateMachine):
    """The model is two lists of steps: all of them, and those that count."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="trainlog-machine-"))
        self.path = self.folder / "a.flog"
        self.reader: trainlog.Reader | None = None
        self.log: trainlog.TrainingRecorder | None = None
        self.all: list[int] = []
        self.valid: list[int] = []
        self.torn = 0
        self.closed: bool | None = None

    def teardown(self) -> None:
        if self.log is not None:
            self.log.close()
        shutil.rmtree(self.folder)

    @precondition(lambda self: self.log is None)
    @rule()
    def begin_or_go_on(self) -> None:
        self.log = trainlog.TrainingRecorder(self.path, resume=True, sync_every=None)
        if self.torn:
            (*_, event) = trainlog.open(self.path).frames("event")
            assert event.data["cut"] == self.torn
            self.torn = 0

    @precondition(lambda self: self.log is not None)
    @rule(steps=st.lists(st.integers(0, 20), min_size=1, max_size=5), pad=st.sampled_from([0, 10, 70_000]))
    def write(self, steps: list[int], pad: int) -> None:
        assert self.log is not None
        for step in steps:
            self.log.record_stats_frame(None, {"step": step, "pad": bytes(pad)})
        self.all += steps
        self.valid += steps

    @precondition(lambda self: self.log is not None)
    @rule(rows=st.integers(1, 3000), first=st.integers(0, 20))
    def write_table(self, rows: int, first: int) -> None:
        assert self.log is not None
        steps = np.arange(first, first + rows)
        writer = self.log._writer._writer  # type: ignore[attr-defined]
        writer.write_table(Table(Kind.STATS, np.full(rows, self.log.now()), {"step": steps}))
        self.all += steps.tolist()
        self.valid += steps.tolist()

    @precondition(lambda self: self.log is not None)
    @rule(step=st.integers(0, 25))
    def rewind(self, step: int) -> None:
        assert self.log is not None
        self.log.rewind(step)
        first = next((i for i, one in enumerate(self.valid) if one > step), len(self.valid))
        del self.valid[first:]

    @precondition(lambda self: self.log is not None)
    @rule()
    def sync(self) -> None:
        assert self.log is not None
        self.log.sync()

    @precondition(lambda self: self.log is not None)
    @rule()
    def close(self) -> None:
        assert self.log is not None
        self.log.close()
        self.log = None
        self.closed = True

    @precondition(lambda self: self.log is not None)
    @rule(torn=st.one_of(st.just(0), st.integers(1, 40)))
    def kill(self, torn: int) -> None:
        """What is left of the file is what the kernel had, and perhaps a part of a last frame."""
        assert self.log is not None
        self.log._writer._writer._file.leave()  # type: ignore[attr-defined]
        self.log.close()
        self.log = None
        with self.path.open("ab") as file:
            file.write(b"\x00\x00\x00\x00\x00\x00\xf0?\x02\xe8\x03\x00\x00\x81\xa1a\xc5".ljust(40, b"x")[:torn])
        self.torn = torn
        self.closed = trainlog.verify(self.path).closed and False

    @precondition(lambda self: self.path.exists())
    @rule()
    def copy(self) -> None:
        trainlog.convert(self.path, self.folder / "b.flog", overwrite=True)
        assert [frame.data["step"] for frame in trainlog.open(self.folder / "b.flog").frames("stats")] == self.valid

    @precondition(lambda self: self.path.exists())
    @rule()
    def repair(self) -> None:
        done = trainlog.repair(self.path, self.folder / "c.flog")
        assert done.complete == (not self.torn)
        assert done.kept.get(Kind.STATS, 0) == len(self.all)
        assert [frame.data["step"] for frame in trainlog.open(self.folder / "c.flog").frames("stats")] == self.valid
        (self.folder / "c.flog").unlink()

    @invariant()
    def the_log_is_what_was_written(self) -> None:
        if not self.path.exists():
            return
        fresh = trainlog.open(self.path)
        self.reader = self.reader or fresh
        for reader in (fresh, self.reader):
            assert [frame.data["step"] for frame in reader.frames("stats")] == self.valid
        assert fresh.table("stats").rows == len(self.valid)
        if self.valid:
            assert fresh.table("stats", keys=["step"])["step"].tolist() == self.valid
        assert [frame.data["step"] for frame in fresh.with_superseded().frames("stats")] == self.all
        times = [frame.time for frame in fresh.with_superseded().frames("event")]
        assert times == sorted(times)
        verdict = trainlog.verify(self.path)
        assert [problem.what for problem in verdict.problems if problem.damage] == ["torn tail"] * bool(self.torn)
        if self.log is None and not self.torn:
            assert verdict.whole
            assert verdict.closed == self.closed


class TestLog(Log.TestCase):
    settings = settings(max_examples=50, stateful_step_count=15)
