"""Where the time of one call goes: the layers that a creature frame passes on its way to the kernel, step by step."""

from __future__ import annotations

import os
import random
import statistics
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import trainlog
from benchmarks import frames
from benchmarks.measure import Scale, Unmeasured, in_child, scratch
from benchmarks.peers import peer
from benchmarks.report import Table, ratio
from trainlog import Kind
from trainlog.codecs.flog.integrity.sealed_file import SealedFile
from trainlog.codecs.flog.writer import FlogWriter
from trainlog.codecs.frame_payload import encode
from trainlog.model import Header
from trainlog.storage.append import AppendFile
from trainlog.writers.retrying import RetryingWriter

__all__ = ["tables", "timed"]

Call = Callable[[float, dict[str, Any]], object]

_LEAST = "packed and written, nothing else"
_OURS = "`TrainingRecorder.record_creature_frame`"
_MANY = 50  # frames that are recorded at once
_PLAIN = ("plain FLOG loop", "plain FLOG loop, flushed", "original FLOG recorder")
_AT_ONCE = 1000  # calls between two looks at the clock; then another step takes its turn


class Step(NamedTuple):
    """A part of the way, or the whole way.

    Attributes:
        call: does it for one frame.
        close: ends it.
        log: the log that it wrote, if that is a whole log.

    """

    call: Call
    close: Callable[[], object] = lambda: None
    log: Path | None = None


def _steps(folder: Path) -> dict[str, Step]:
    import ormsgpack

    pack, packb, option = struct.Struct("<dBI").pack, ormsgpack.packb, ormsgpack.OPT_SERIALIZE_NUMPY
    row = frames.rows(frames.columns("creature", 1))[0]
    record = pack(0.0, 4, len(encode(row))) + encode(row)
    raw = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    least = folder / "least.flog"
    least.write_bytes(struct.pack("<4sHBI", b"FLOG", 1, 0, 2) + b"{}")
    fd = os.open(least, os.O_WRONLY | os.O_APPEND)

    def written(now: float, row: dict[str, Any]) -> None:
        payload = packb(row, None, option)
        os.write(fd, pack(now, 4, len(payload)) + payload)

    def flog(name: str, **meta: Any) -> tuple[FlogWriter, Path]:
        path = folder / name
        return FlogWriter(path, Header(meta)), path

    plain, sealed = AppendFile(folder / "append"), SealedFile(folder / "sealed")
    (bare, bare_path), (full, full_path), (under, under_path) = (
        flog("bare.flog", checksums=False),
        flog("full.flog"),
        flog("under.flog"),
    )
    spool = RetryingWriter(under)
    recorder = trainlog.TrainingRecorder(folder / "recorder.flog", "benchmark")
    creature = Kind.CREATURE
    many = trainlog.TrainingRecorder(folder / "many.flog", "benchmark")
    waiting: list[tuple[float | None, Kind, dict[str, Any]]] = []

    def record_many(now: float, row: dict[str, Any]) -> None:
        waiting.append((now, creature, row))
        if len(waiting) == _MANY:
            many.record_many(waiting)
            waiting.clear()

    def close_many() -> None:
        many.record_many(waiting)
        many.close()

    steps = {
        "a call that does nothing": Step(lambda now, row: None),
        "`ormsgpack.packb`, arrays as they are": Step(lambda now, row: packb(row, None, option)),
        "`encode`: a look at each value's type before it": Step(lambda now, row: encode(row)),
        "`os.write` of the bytes of one frame": Step(lambda now, row: os.write(raw, record), lambda: os.close(raw)),
        "`AppendFile.append` of them: a lock, what is cut off put right": Step(
            lambda now, row: plain.append(record), plain.close
        ),
        "`SealedFile.append` of them: a checksum in every 64 KB": Step(
            lambda now, row: sealed.append(record), sealed.leave
        ),
        _LEAST: Step(written, lambda: os.close(fd), least),
        "`FlogWriter.put` without checksums": Step(
            lambda now, row: bare.put(now, creature, row), bare.close, bare_path
        ),
        "`FlogWriter.put`": Step(lambda now, row: full.put(now, creature, row), full.close, full_path),
        "all that it does in one function": _in_one_function(folder / "one.flog"),
        "`RetryingWriter.put`, for disks that are full": Step(
            lambda now, row: spool.put(now, creature, row), spool.close, under_path
        ),
        _OURS: Step(recorder.record_creature_frame, recorder.close, folder / "recorder.flog"),
        f"`TrainingRecorder.record_many`, {_MANY} at once": Step(record_many, close_many, folder / "many.flog"),
    }
    for name in _PLAIN:
        home = folder / name.replace(" ", "-")
        home.mkdir()
        one = peer(name, str(home))
        one.open("creature")
        steps[name] = Step(one.creature, one.close, one.path)
    return steps


def _in_one_function(path: Path) -> Step:
    """What `FlogWriter.put` does for a frame of numbers and arrays, without calls into trainlog: the cost of layers."""
    import ormsgpack

    from trainlog.codecs.frame_payload.depth import NO_NUMPY

    writer = FlogWriter(path, Header())
    file: Any = writer._file
    pack, packb, numpy = struct.Struct("<dBI").pack, ormsgpack.packb, NO_NUMPY | ormsgpack.OPT_SERIALIZE_NUMPY
    ndarray, float64, creature, write = np.ndarray, np.dtype(np.float64), Kind.CREATURE, os.write

    def put(now: float, row: dict[str, Any]) -> None:
        options = NO_NUMPY
        for value in row.values():
            kind = type(value)
            if kind is float or kind is int:
                continue
            if kind is not ndarray or value.dtype is not float64:
                raise TypeError
            options = numpy
        payload = packb(row, None, options)
        record = pack(now, creature, len(payload)) + payload
        with file.lock:
            if file._record is not None:
                file._recover()
            file._record = record
            written = write(file._fd, record)
            if written != len(record) or file._record is not record:
                raise OSError
            file._end += written
            file._record = None
            file._last = record
            if file._end >= file._due:
                file._look_after()

    return Step(put, writer.close, path)


def timed(folder: str, count: int, turns: int) -> dict[str, dict[str, Any]]:
    """Microseconds of one call of each step: the median of *turns* of *count* calls, and what was checked."""
    steps = _steps(Path(folder))
    rows, times = frames.rows(frames.columns("creature", count)), frames.times(count)
    taken: dict[str, list[float]] = {name: [] for name in steps}
    order, chance = list(steps), random.Random(0)
    for _ in range(turns):
        for first in range(0, count, _AT_ONCE):
            some = list(zip(times, rows, strict=True))[first : first + _AT_ONCE]
            chance.shuffle(order)  # the first one finds the frames in no cache
            for name in order:
                call = steps[name].call
                began = time.perf_counter()
                for now, row in some:
                    call(now, row)
                taken[name].append((time.perf_counter() - began) / len(some))
    for step in steps.values():
        step.close()
    found: dict[str, dict[str, Any]] = {}
    for name, step in steps.items():
        median = statistics.median(taken[name][len(taken[name]) // turns :])
        found[name] = {"us": median * 1e6, "note": _checked(step.log, count, turns)}
    return found


def _checked(log: Path | None, count: int, turns: int) -> str:
    if log is None:
        return "a part of the way"
    truth = {name: np.concatenate([column] * turns) for name, column in frames.columns("creature", count).items()}
    return frames.same(truth, trainlog.open(log, codec="flog").table("creature"))


def tables(scale: Scale) -> Iterator[Table]:
    """One table."""
    turns, count = 2 * scale.repeats, scale.rows // 4
    table = Table(
        "Writing: where the time of one call goes",
        f"µs for one creature frame as above, in one process, {_AT_ONCE:,} calls of each in turns, in varying order; "
        f"the median of {(turns - 1) * count // _AT_ONCE} turns, and of {scale.passes} processes. "
        f"*{_LEAST.capitalize()}*: the least that a frame costs if the kernel has it when the call returns. "
        "*Checked*: what is in the log, equal to what was logged.",
        ["what", "µs", "to the plain loop", "to the original recorder", "checked"],
        words=frozenset([4]),
    )
    runs = []
    try:
        for _ in range(scale.passes):
            with scratch() as folder:
                runs.append(in_child(timed, folder=str(folder), count=count, turns=turns))
    except Unmeasured as error:
        table.rows.append(["all", *["—"] * 3, f"failed: {error}"])
        yield table
        return
    medians = {name: statistics.median(run[name]["us"] for run in runs) for name in runs[0]}
    for name, value in medians.items():
        whole = runs[0][name]["note"] != "a part of the way"
        against = [ratio(value, medians[one]) if whole else "" for one in (_PLAIN[0], _PLAIN[2])]
        table.rows.append([name, f"{value:.2f}", *against, runs[0][name]["note"]])
    yield table
