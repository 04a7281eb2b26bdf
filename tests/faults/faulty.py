"""A process that records while system calls fail, return short or are interrupted, and says what each call returned.

`check` compares the file with what was said. What is true of each mode:

- ``raise``: the file holds the frames whose call returned, and no frame whose call raised.
- ``warn``: as well those that waited in memory; those that could not be written at the end are counted by a warning.
- ``background``: ``block`` and ``spill`` lose nothing; ``drop_oldest`` counts what it drops in its last event. With
  ``raise``, each error that a later call raises stands for at most one frame.
- SIGKILL: frames that wait in memory or in a queue are lost. They are the last ones.
- A constructor that raises leaves the log that was there.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import signal
import sys
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from faults.interrupts import told_lost
from faults.preload import Preloaded
from faults.processes import Outcome, Say

CALLS = ("write", "ftruncate", "fsync", "open", "flock", "mkdir", "unlink", "rename", "link")


@dataclasses.dataclass(frozen=True)
class Session:
    """What one process does; all of it follows from the seed."""

    seed: int
    opening: str  # create, resume, overwrite
    on_error: str
    background: int | None
    when_full: str
    shard: int | None
    sync_every: float | None
    calls: int
    rate: int  # of system calls, in a thousand
    burst: int
    faulty: str  # which system calls
    faulty_start: bool  # also while the log is opened
    end: str  # close, faulty close, exit, drop (the recorder is deleted without a close), kill

    @classmethod
    def of(cls, seed: int, first: bool, **fixed: Any) -> Session:
        """The session of a seed; the *first* one of a log does not replace one. *fixed* is what is not random."""
        draw = Random(seed)
        drawn = cls(
            seed=seed,
            opening=draw.choice(["create", "resume"] if first else ["resume", "resume", "overwrite", "create"]),
            on_error=draw.choice(["raise", "warn"]),
            background=draw.choice([None, None, 1, 3, 20]),
            when_full=draw.choice(["block", "drop_oldest", "spill"]),
            shard=None,
            sync_every=draw.choice([None, 0.0005, 5.0]),
            calls=draw.choice([3, 30, 60]),
            rate=draw.choice([0, 30, 300, 900]),
            burst=draw.choice([1, 5, 50]),
            faulty=draw.choice(["write", "write,ftruncate", "write,ftruncate,fsync", ",".join(CALLS)]),
            faulty_start=False,
            end=draw.choice(["close", "close", "faulty close", "exit", "kill"]),
        )
        return dataclasses.replace(drawn, **fixed)


def record(say: Say, path: str, first: int, session: dict[str, Any]) -> None:
    """Record some frames, whose numbers begin with *first*."""
    from trainlog import TrainingRecorder
    from trainlog.writers import background

    vars(background).update(_LONGEST_PAUSE=0.01)  # a disk that fails a hundred times in a row costs no minutes
    it = Session(**session)
    faults = Preloaded()
    draw = Random(it.seed + 1)
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *rest: say("warning", type(message).__name__, str(message))
    faults.plan(Path(path).parent, it.seed, it.rate, it.burst, it.faulty)
    faults.on(it.faulty_start)
    try:
        log = TrainingRecorder(
            path,
            overwrite=it.opening == "overwrite",
            resume=it.opening == "resume",
            on_error=it.on_error,  # type: ignore[arg-type]
            background=it.background,
            when_full=it.when_full,  # type: ignore[arg-type]
            shard=it.shard,
            sync_every=it.sync_every,
        )
    except Exception as error:  # noqa: BLE001 - the test says which are allowed
        say("not opened", *_classes(error), str(error))
        return
    say("opened")
    faults.on(True)
    for n in range(first, first + it.calls):
        _one_call(say, log, n, draw)
        if it.end == "kill" and draw.random() < 0.03:
            break
    if it.end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    faults.on(it.end == "faulty close")
    if it.end == "exit":
        _kept.append(log)
    elif it.end == "drop":
        del log
        gc.collect()  # exceptions hold frames, which hold the recorder
    else:
        while True:
            try:
                log.close()
                break
            except OSError as error:
                say("raised", None, *_classes(error), str(error))
    say("faults", faults.count())
    sys.stderr.flush()


_kept: list[Any] = []  # until the interpreter exits


def _one_call(say: Say, log: Any, n: int, draw: Random) -> None:
    size = draw.choice([1, 10, 300, 300, 30_000])
    data = {"n": n, "pad": draw.randbytes(size)}
    say("calls", n)
    try:
        match draw.randrange(8):
            case 0:
                log.sync()
                say("returned", None)
            case 1:
                log.flush()
                say("returned", None)
            case 2:
                log.record_event(None, "fall", data)
                say("returned", n)
            case 3:
                log.record_creature_frame(float(n), data)
                say("returned", n)
            case 4:
                log.record_evolution_frame(0.0, data)
                say("returned", n)
            case _:
                log.record_stats_frame(None, data)
                say("returned", n)
    except Exception as error:  # noqa: BLE001 - the test says which are allowed
        say("raised", n, *_classes(error), str(error))


def _classes(error: BaseException) -> tuple[str, bool]:
    from trainlog.errors import TrainlogError

    return type(error).__name__, isinstance(error, TrainlogError)


@dataclasses.dataclass
class Log:
    """What the sessions so far make a reader expect of a log."""

    path: Path
    frames: list[int] = dataclasses.field(default_factory=list)
    records: int = 0  # with those that trainlog wrote itself
    torn: bool = False  # its last process was killed, or could not cut a torn tail off

    def after(self, session: Session, outcome: Outcome) -> None:
        """Compare the file with what *session* said; raises AssertionError."""
        assert not outcome.hung, outcome.errors
        assert outcome.code == (-signal.SIGKILL if ["opened"] in outcome.said and session.end == "kill" else 0)
        told_at_exit = session.on_error == "raise" and session.end in ("exit", "drop")
        assert not outcome.errors or (told_at_exit and "LogWriteError" in outcome.errors), outcome.errors
        words = [tuple(said) for said in outcome.said]
        untyped = [said for said in words if said[0] in ("raised", "not opened") and not said[-2]]
        assert not untyped, f"untyped: {untyped}"
        file = self.path / f"{session.shard}.flog" if session.shard is not None else self.path
        if words[0][0] == "not opened":
            assert words[0][1] != "LogInUse", "nobody else has it"
            if words[0][1] == "LogExists":
                assert session.opening == "create"
            found, _ = self._read(file)
            assert found == self.frames, "the old log is gone, although the new one was not begun"
            return
        if session.opening == "overwrite":
            self.frames, self.records = [], 0
        accepted = [said[1] for said in words if said[0] == "returned" and said[1] is not None]
        refused = {said[1] for said in words if said[0] == "raised"}
        found, events = self._read(file)
        old, new = found[: len(self.frames)], found[len(self.frames) :]
        assert old == self.frames
        assert not refused & set(new), "frames are there whose call raised"
        tried = words[-1][1] if words[-1][0] == "calls" else None
        if new and new[-1] == tried:
            new.pop()  # its process was killed inside the call
        missing = [n for n in accepted if n not in set(new)]
        assert [n for n in accepted if n not in set(missing)] == new, "frames are out of order, twice or invented"
        errors = sum(said[0] == "raised" and "cannot write" in said[-1] for said in words)
        errors += "LogWriteError" in outcome.errors
        self._check_missing(session, words, accepted, missing, events, errors)
        self.frames = found
        self.torn = session.end in ("kill", "faulty close")
        self._check_verdict(file)

    def _check_missing(
        self,
        session: Session,
        words: list[tuple[Any, ...]],
        accepted: list[int],
        missing: list[int],
        events: list[dict[str, Any]],
        errors: int,
    ) -> None:
        told = [said[2] for said in words if said[0] == "warning"]
        last = accepted[len(accepted) - len(missing) :]
        waits = [text for text in told if "wait in memory" in text or "can be written again" in text]
        if session.background is None and session.end == "kill":
            assert missing == last, f"not the last ones are missing: {missing}"
            waiting = session.on_error == "warn" and "wait in memory" in "".join(waits[-1:])
            assert waiting or not missing, "frames are missing whose call had returned before the process was killed"
            return
        if session.end == "kill":
            inside = [n for n in missing if n not in last]
            allowed = errors + 1 if session.on_error == "raise" else 0
            assert session.when_full == "drop_oldest" or len(inside) <= allowed, f"not the last ones: {missing}"
            return
        lost = told_lost(text for text in told if "dropped" not in text)
        dropped = told_lost(text for text in told if "dropped" in text)
        if session.background is not None:
            final = [event for event in events if event["type"] == "background"][-1:]
            counts = [Counter(final[0][key]).total() for key in ("dropped", "failed")] if final else []
            lost += max(dropped, sum(counts))  # a warning may say the same as the event
            if session.on_error == "raise":
                assert len(missing) <= lost + errors, f"{len(missing)} are lost, {lost} dropped, {errors} errors"
                return
            # The last event of the background writer may be one of those that cannot be written.
            assert len(missing) <= lost <= len(missing) + (not final), f"{missing=}, {told=}, {final=}"
            return
        assert len(missing) == lost, f"{len(missing)} are missing, {lost} are told: {told}"
        assert missing == last, f"not the last ones are missing: {missing}"

    def _read(self, file: Path) -> tuple[list[int], list[dict[str, Any]]]:
        import trainlog

        if not file.exists() or (self.torn_header(file)):
            return [], []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames = list(trainlog.open(file).with_superseded().frames())
        numbered = [frame.data["n"] for frame in frames if "n" in frame.data]
        events = [dict(frame.data) for frame in frames[self.records :] if "n" not in frame.data]
        self.records = len(frames)
        return numbered, events

    @staticmethod
    def torn_header(file: Path) -> bool:
        return file.stat().st_size == 0

    def _check_verdict(self, file: Path) -> None:
        import trainlog

        problems = trainlog.verify(file).damage
        if self.torn:
            assert all(problem.what == "torn tail" for problem in problems), problems
            assert len(problems) <= 1
        else:
            assert not problems
