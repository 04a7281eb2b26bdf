from __future__ import annotations

from pathlib import Path

import pytest

import trainlog
from trainlog import Frame, Kind, Writer
from trainlog.errors import UnsupportedFrame
from trainlog.writers.combine import Every, Tee


class Kept(Writer):
    """A writer that keeps what it is given; fails where it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.frames: list[Frame] = []
        self.closed = 0
        self.flushed = 0
        self.error = error

    def write(self, frame: Frame) -> None:
        if self.error is not None:
            raise self.error
        self.frames.append(frame)

    def flush(self) -> None:
        self.flushed += 1

    def close(self) -> None:
        self.closed += 1


def stats(n: float) -> Frame:
    return Frame(n, Kind.STATS, {"n": n})


def test_tee_writes_to_each() -> None:
    a, b = Kept(), Kept()
    with Tee(a, b) as tee:
        tee.write(stats(1))
        tee.flush()
    assert a.frames == b.frames == [stats(1)]
    assert (a.flushed, a.closed, b.flushed, b.closed) == (1, 1, 1, 1)


def test_tee_goes_on_when_one_fails() -> None:
    broken, whole = Kept(OSError("full")), Kept()
    with pytest.raises(OSError, match="full"):
        Tee(broken, whole).write(stats(1))
    assert whole.frames == [stats(1)]
    with pytest.raises(ExceptionGroup, match="several of the writers"):
        Tee(broken, Kept(OSError("also full")), whole).write(stats(2))
    assert whole.frames == [stats(1), stats(2)]


def test_every_thins_one_kind_or_each() -> None:
    events = [Frame(n, Kind.EVENT, {}) for n in range(3)]
    mixed = [frame for n in range(3) for frame in (stats(n), events[n])]
    kept = Kept()
    Every(kept, 2, "stats").write_all(mixed)
    assert kept.frames == [stats(0), events[0], events[1], stats(2), events[2]]
    kept = Kept()
    with Every(kept, 2) as every:
        every.write_all(mixed)
        every.flush()
    assert kept.frames == [stats(0), events[0], stats(2), events[2]]
    assert (kept.flushed, kept.closed) == (1, 1)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Every(kept, 0)


def test_a_writer_around_another_has_its_lock_and_its_size(tmp_path: Path) -> None:
    """Two locks for one file would let a thread and a signal handler wait for each other."""
    inner = trainlog.create(tmp_path / "a.flog")
    with Every(inner, 2) as thinned:
        assert inner.lock is not None
        assert thinned.lock is inner.lock
        before = thinned.size()
        for n in range(4):
            thinned.write(Frame(n, Kind.STATS, {"n": n}))
        assert before is not None
        assert thinned.size() == inner.size() > before
        with pytest.raises(UnsupportedFrame):
            thinned.check(Frame("now", Kind.STATS, {}))  # type: ignore[arg-type]
    assert [frame.data["n"] for frame in trainlog.open(tmp_path / "a.flog")] == [0, 2]
