"""Processes that open one log at the same time, and processes that fork while they record."""

from __future__ import annotations

import gc
import os
import time
import warnings
from pathlib import Path
from random import Random
from typing import Any

from faults.interrupts import PADS, Calls
from faults.preload import Preloaded
from faults.processes import Say

HOW: dict[str, dict[str, Any]] = {
    "create": {},
    "resume": {"resume": True},
    "overwrite": {"overwrite": True},
}
AFTER_FORK = ("nothing", "record", "flush", "sync", "close", "delete")


def open_together(say: Say, path: str, how: str, rank: int, count: int, seed: int) -> None:
    """Open the log; who has it waits until all *count* processes have tried, and records three frames."""
    from trainlog import TrainingRecorder

    tried = Path(path).with_name("tried")
    until = time.perf_counter() + Random(seed).random() * 5e-4
    while time.perf_counter() < until:
        pass
    try:
        log = TrainingRecorder(path, sync_every=None, **HOW[how])
    except Exception as error:  # noqa: BLE001 - the test says which are allowed
        say(type(error).__name__, str(error))
        log = None
    (tried / str(rank)).touch()
    deadline = time.monotonic() + 20
    while len(list(tried.iterdir())) < count and time.monotonic() < deadline:
        time.sleep(0.001)
    if log is not None:
        with log:
            for n in range(3):
                log.record_stats_frame(None, {"n": 100 * (rank + 1) + n})
        say("recorded", how)


def fork(say: Say, path: str, options: dict[str, Any], seed: int, full: bool) -> None:
    """Record, and fork now and then; each child uses the recorder and ends. *full*: the disk is, for some time."""
    from trainlog import TrainingRecorder
    from trainlog.errors import ClosedLog

    warnings.simplefilter("ignore")
    draw = Random(seed)
    faults = Preloaded()
    with TrainingRecorder(path, **options) as log:
        faults.slow(Path(path).parent, 300)
        if full:
            faults.plan(Path(path).parent, seed, 1000, 10**6, "write")
        calls = Calls(log, PADS["middle"])
        for what in draw.sample(AFTER_FORK, len(AFTER_FORK)):
            for _ in range(draw.choice([1, 20, 60])):
                calls.record()
            if not (pid := os.fork()):
                try:
                    if what == "record":
                        log.record_stats_frame(None, {"n": -1})
                        say("wrong", "the child recorded a frame")
                    elif what == "delete":
                        del log, calls
                        gc.collect()
                    elif what != "nothing":
                        getattr(log, what)()
                except ClosedLog:
                    pass
                return  # and the interpreter exits, as that of any program
            if os.waitpid(pid, 0)[1]:
                say("wrong", f"the child failed, which called: {what}")
        faults.on(False)
    say("returned", calls.returned)
