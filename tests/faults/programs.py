"""Small programs that write logs, whose system calls are recorded for the power cuts.

Each is called with a new folder and a `Promise`, which it tells what must be there from then on, whenever the power
fails. Frames are numbered, and what a frame holds follows from its number.
"""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from faults.preload import Preloaded
from faults.processes import Say

Program = Callable[[Path, "Promise"], None]
PROGRAMS: dict[str, Program] = {}


class Promise:
    """Puts promises into the journal."""

    def __init__(self, folder: Path, faults: Preloaded) -> None:
        self._folder = folder
        self.faults = faults

    def __call__(self, path: Path, *alternatives: Iterable[int] | None, shown: bool = False) -> None:
        """The log at *path* holds the frames of one of the *alternatives*; None when it may be absent.

        *shown*: these are the frames that a reader shows, without superseded ones.
        """
        lists = [None if one is None else list(one) for one in alternatives]
        self.faults.mark(json.dumps([str(path.relative_to(self._folder)), lists, shown]))


def frame(n: int) -> dict[str, Any]:
    """What frame *n* holds: some are longer than a sector, some as long as a checksum's range."""
    size = (40_000, 30, 700, 3)[n % 4] if n >= 1000 else (5, 30, 700, 3)[n % 4]
    return {"n": n, "step": n, "pad": bytes((n + i) % 251 + 1 for i in range(size))}


def record(say: Say, name: str, folder: str, journal: str) -> None:
    """Run a program with a journal."""
    warnings.simplefilter("ignore")
    faults = Preloaded()
    faults.journal(Path(journal), Path(folder))
    PROGRAMS[name](Path(folder), Promise(Path(folder), faults))


def program(function: Program) -> Program:
    PROGRAMS[function.__name__] = function
    return function


def put(log: Any, numbers: Iterable[int]) -> None:
    for n in numbers:
        log.record_stats_frame(float(n), frame(n))


def recorder(path: Path, **options: Any) -> Any:
    from trainlog import TrainingRecorder

    return TrainingRecorder(path, **{"sync_every": None, **options})


def begun(folder: Path, promise: Promise, count: int = 5) -> Path:
    """A log of *count* frames that was closed and synced."""
    path = folder / "a.flog"
    with recorder(path) as log:
        put(log, range(count))
        log.sync()
        promise(path, range(count))
    return path


def _tear(path: Path) -> None:
    """Put a part of a frame behind the others."""
    from trainlog.codecs.flog.wire.layout import FRAME
    from trainlog.codecs.frame_payload import encode

    payload = encode(frame(2))
    with path.open("ab") as file:
        file.write(FRAME.pack(9.0, 2, len(payload)) + payload[:300])


@program
def plain(folder: Path, promise: Promise) -> None:
    path = folder / "a.flog"
    with recorder(path) as log:
        put(log, range(3))
        log.sync()
        promise(path, range(3))
        put(log, range(3, 6))
        log.sync()
        promise(path, range(6))
        put(log, range(6, 8))


@program
def raising(folder: Path, promise: Promise) -> None:
    path = folder / "a.flog"
    with recorder(path, on_error="raise") as log:
        put(log, range(4))
        log.sync()
        promise(path, range(4))
        put(log, range(4, 6))


@program
def sync_every(folder: Path, promise: Promise) -> None:
    path = folder / "a.flog"
    log = recorder(path, sync_every=0.001)
    for n in range(6):
        put(log, [n])
        time.sleep(0.002)
    log.close()
    promise(path, range(6))


@program
def long_frames(folder: Path, promise: Promise) -> None:
    path = folder / "a.flog"
    with recorder(path) as log:
        put(log, range(1000, 1006))
        log.sync()
        promise(path, range(1000, 1006))
        put(log, range(1006, 1009))


@program
def background(folder: Path, promise: Promise) -> None:
    _in_background(folder, promise, "block")


@program
def spill(folder: Path, promise: Promise) -> None:
    _in_background(folder, promise, "spill")


def _in_background(folder: Path, promise: Promise, policy: str) -> None:
    path = folder / "a.flog"
    with recorder(path, background=1, when_full=policy) as log:
        for first in (0, 5):
            put(log, range(first, first + 5))
            log.flush()
            log.sync()
            promise(path, range(first + 5))


@program
def new_folders(folder: Path, promise: Promise) -> None:
    path = folder / "runs" / "ant" / "a.flog"
    with recorder(path) as log:
        put(log, range(3))
        log.sync()
        promise(path, range(3))


@program
def overwrite(folder: Path, promise: Promise) -> None:
    path = begun(folder, promise)
    promise(path, range(5), ())
    with recorder(path, overwrite=True) as log:
        put(log, range(10, 13))
        log.sync()
        promise(path, range(10, 13))


@program
def resume(folder: Path, promise: Promise) -> None:
    path = begun(folder, promise)
    with recorder(path, resume=True) as log:
        put(log, range(5, 8))
        log.sync()
        promise(path, range(8))


@program
def resume_torn(folder: Path, promise: Promise) -> None:
    path = begun(folder, promise)
    _tear(path)
    with recorder(path, resume=True) as log:
        put(log, range(5, 8))
        log.sync()
        promise(path, range(8))


@program
def shards(folder: Path, promise: Promise) -> None:
    path = folder / "a.flog"
    logs = [recorder(path, shard=rank) for rank in range(2)]
    for rank, log in enumerate(logs):
        put(log, range(rank, 6, 2))
        log.sync()
        promise(path / f"{rank}.flog", range(rank, 6, 2))
    for log in logs:
        log.close()


@program
def rewind(folder: Path, promise: Promise) -> None:
    path = folder / "a.flog"
    with recorder(path) as log:
        put(log, range(6))
        log.rewind(2)
        put(log, range(8, 10))
        log.sync()
        promise(path, [0, 1, 2, 8, 9], shown=True)
        put(log, range(10, 13))


@program
def deleted(folder: Path, promise: Promise) -> None:
    path = folder / "runs" / "a.flog"
    path.parent.mkdir()
    with recorder(path) as log:
        put(log, range(3))
        log.sync()
        shutil.rmtree(path.parent)
        put(log, range(3, 6))
        log.sync()
        promise(path, range(6))


@program
def faulty_disk(folder: Path, promise: Promise) -> None:
    path = folder / "a.flog"
    with recorder(path) as log:
        put(log, range(3))
        promise.faults.plan(folder, 1, 500, 3, "write,ftruncate")
        put(log, range(3, 20))
        promise.faults.on(False)
        log.sync()
        promise(path, range(20))


@program
def create(folder: Path, promise: Promise) -> None:
    import trainlog

    path = folder / "a.flog"
    with trainlog.create(path) as log:
        for n in range(4):
            log.write(trainlog.Frame(float(n), trainlog.Kind.STATS, frame(n)))
        log.sync()
        promise(path, range(4))


@program
def convert(folder: Path, promise: Promise) -> None:
    import trainlog

    path, target = begun(folder, promise), folder / "b.flog"
    promise(target, None, range(5))
    trainlog.convert(path, target)
    promise(target, range(5))


@program
def convert_overwrite(folder: Path, promise: Promise) -> None:
    import trainlog

    path, target = begun(folder, promise), folder / "b.flog"
    with recorder(target) as log:
        put(log, range(20, 23))
        log.sync()
    promise(target, range(20, 23), range(5))
    trainlog.convert(path, target, overwrite=True)
    promise(target, range(5))


@program
def repair(folder: Path, promise: Promise) -> None:
    import trainlog

    path, target = begun(folder, promise), folder / "b.flog"
    with path.open("r+b") as file:
        file.seek(0, 2)
        file.write(b"not a frame" * 9)
    promise(target, None, range(5))
    trainlog.repair(path, target)
    promise(target, range(5))


@program
def repair_in_place(folder: Path, promise: Promise) -> None:
    from trainlog import verification

    path = begun(folder, promise)
    _tear(path)
    verification.repair_in_place(path)


@program
def index(folder: Path, promise: Promise) -> None:
    import trainlog
    from trainlog.codecs.flog.index import index_file

    vars(index_file).update(_WORTH=1, _PAYS=1, _GROWN=1)
    path = folder / "a.flog"
    with recorder(path) as log:
        for first in (0, 4, 8):
            put(log, range(first, first + 4))
            log.sync()
            promise(path, range(first + 4))
            trainlog.open(path).table("stats")


@program
def parquet(folder: Path, promise: Promise) -> None:
    import trainlog

    path, target = begun(folder, promise), folder / "b.parquet"
    promise(target, None, range(5))
    trainlog.convert(path, target)
    promise(target, range(5))


@program
def parquet_directly(folder: Path, promise: Promise) -> None:
    import trainlog

    target = folder / "b.parquet"
    promise(target, None, range(4))
    with trainlog.create(target) as log:
        for n in range(4):
            log.write(trainlog.Frame(float(n), trainlog.Kind.STATS, frame(n)))
    promise(target, range(4))
