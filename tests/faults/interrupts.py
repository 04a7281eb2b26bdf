"""Processes that are interrupted inside the calls of a recorder: by Ctrl-C, or by a signal whose handler logs.

At every bytecode: the preloaded library sends a signal before the n-th bytecode of a call, for every n, so that
nothing is left to chance. The interpreter handles it where it would handle one from outside: after a call, at a jump
backwards, at the begin of a function. At random: an interval timer sends it after some microseconds.

A call that was interrupted may have written its frame or not. `_check` holds all others to the contract: those that
returned are there, once, in their order; ``verify`` finds nothing; rewinds hide what they should.
"""

from __future__ import annotations

import itertools
import re
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from faults.preload import Preloaded
from faults.processes import Say

PADS = {"small": 10, "middle": 3_000, "large": 66_000}  # bytes; checksums are written every 65,536


class Calls:
    """Which of the numbered calls returned, and which were interrupted."""

    def __init__(self, log: Any, pad: int) -> None:
        self._log = log
        self._pad = b"x" * pad
        self.returned: list[int] = []
        self.refused: list[int] = []
        self.tried = 0

    def record(self) -> None:
        """Record the next frame; an error that the recorder raises is noted."""
        n = self.tried
        self.tried += 1
        try:
            self._log.record_stats_frame(None, {"n": n, "step": n, "pad": self._pad})
        except OSError:
            self.refused.append(n)
        else:
            self.returned.append(n)

    def record_many(self) -> None:
        """Record the next three frames at once."""
        from trainlog import Kind

        numbers = range(self.tried, self.tried + 3)
        self.tried += 3
        frames = [(None, Kind.STATS, {"n": n, "step": n, "pad": self._pad}) for n in numbers]
        try:
            self._log.record_many(frames)
        except OSError:
            self.refused += numbers
        else:
            self.returned += numbers


def interrupt(faults: Preloaded, bytecode: int, call: Callable[[], object]) -> tuple[bool, bool]:
    """Call *call* with a Ctrl-C before that bytecode; whether it returned, and whether the Ctrl-C came before that."""
    returned = False
    try:
        faults.signal_at(bytecode, signal.SIGINT)
        call()
        returned = True
        faults.stop()
    except KeyboardInterrupt:
        pass
    return returned, faults.stop()


def records(say: Say, path: str, options: dict[str, Any], pad: str, first: int, stride: int, short: bool) -> None:
    """Record with a Ctrl-C before each bytecode of the call, and go on."""
    faults, log = _open(path, options)
    if short:
        faults.plan(Path(path).parent, first, 300, 1, "write")
    calls = Calls(log, PADS[pad])
    for bytecode in itertools.count(first, stride):
        say("bytecode", bytecode)
        _, sent = interrupt(faults, bytecode, calls.record)
        calls.record()
        if not sent:
            break
    faults.on(False)
    _rewind_and_close(say, path, log, calls)


def others(say: Say, path: str, options: dict[str, Any], name: str, first: int, stride: int) -> None:
    """Call ``sync``, ``flush``, ``rewind`` or ``record_many`` with a Ctrl-C before each bytecode, and go on."""
    faults, log = _open(path, options)
    calls = Calls(log, PADS["middle"])
    hidden: list[int] = []
    for bytecode in itertools.count(first, stride):
        say("bytecode", bytecode)
        calls.record()
        calls.record()
        last = calls.tried - 1
        call = {
            "sync": log.sync,
            "flush": log.flush,
            "rewind": lambda last=last: log.rewind(last - 1),
            "record_many": calls.record_many,
        }[name]
        returned, sent = interrupt(faults, bytecode, call)
        if name == "rewind" and returned:
            hidden.append(last)
        if not sent:
            break
    _rewind_and_close(say, path, log, calls, None if name == "rewind" else 3)
    visible = _numbers(path)
    say("wrong", f"rewinds that returned are ignored: {hidden}") if set(hidden) & set(visible) else None


def keeps(say: Say, path: str, options: dict[str, Any], first: int, stride: int) -> None:
    """Write what ``keep_last`` keeps with a Ctrl-C before each bytecode, and again with the next frames."""
    faults, log = _open(path, options)
    calls = Calls(log, 0)
    dense = log.keep_last(frames=8, kind="stats")
    for bytecode in itertools.count(first, stride):
        say("bytecode", bytecode)
        for _ in range(3):
            dense.record(None, {"n": calls.tried, "step": calls.tried})
            calls.returned.append(calls.tried)
            calls.tried += 1
        _, sent = interrupt(faults, bytecode, lambda: dense.write("fall"))
        if not sent:
            break
        if bytecode // stride % 2:  # else they are kept until there are more of them
            dense.write("fall")
    _rewind_and_close(say, path, log, calls)


def closes(say: Say, path: str, options: dict[str, Any], first: int, stride: int, full: bool) -> None:
    """Close a log with a Ctrl-C before each bytecode, and once more; each time a log of its own.

    *full*: the disk is full until the first ``close`` was interrupted.
    """
    for bytecode in itertools.count(first, stride):
        say("bytecode", bytecode)
        log, calls, sent = _close_once(path, options, bytecode, full)
        log.close()
        _check(say, path, calls)
        Path(path).unlink()
        if not sent:
            break


def close_once(say: Say, path: str, options: dict[str, Any], bytecode: int, full: bool) -> None:
    """Close with a Ctrl-C before that bytecode, and leave the rest to the exit of the interpreter."""
    log, calls, _ = _close_once(path, options, bytecode, full)
    say("returned", calls.returned)
    for text in _told:
        say("warning", text)
    warnings.showwarning = lambda message, *rest: say("warning", str(message))
    _kept.append(log)


def _close_once(path: str, options: dict[str, Any], bytecode: int, full: bool) -> tuple[Any, Calls, bool]:
    faults, log = _open(path, options)
    if full:
        faults.plan(Path(path).parent, 1, 1000, 10**6, "write")
    calls = Calls(log, PADS["small"])
    for _ in range(12):
        calls.record()
    _, sent = interrupt(faults, bytecode, log.close)
    faults.on(False)
    return log, calls, sent


_told: list[str] = []  # the warnings since the log was opened
_kept: list[Any] = []  # until the interpreter exits


def at_random(say: Say, path: str, options: dict[str, Any], seed: int, count: int, short: bool) -> None:
    """Record in a tight loop with *count* Ctrl-Cs at random moments."""
    faults, log = _open(path, options)
    if short:
        faults.plan(Path(path).parent, seed, 200, 1, "write")
    draw = Random(seed)
    calls = Calls(log, PADS["middle"])
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for n in range(count):
        if not n % 50:
            say("interrupt", n)
        try:
            signal.setitimer(signal.ITIMER_REAL, draw.choice([1e-5, 5e-5, 2e-4, 1e-3]) * (draw.random() + 0.01))
            while True:
                calls.record()
        except KeyboardInterrupt:
            pass
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    faults.on(False)
    _rewind_and_close(say, path, log, calls)


def logging_handler(say: Say, path: str, options: dict[str, Any], first: int, stride: int) -> None:
    """Record with a signal before each bytecode, whose handler logs, too."""
    faults, log = _open(path, options)
    events = _handle(signal.SIGUSR1, log)
    calls = Calls(log, PADS["middle"])
    for bytecode in itertools.count(first, stride):
        say("bytecode", bytecode)
        faults.signal_at(bytecode, signal.SIGUSR1)
        (calls.record, calls.record, log.sync, log.flush)[bytecode // stride % 4]()
        if not faults.stop():
            break
    _rewind_and_close(say, path, log, calls)
    _check_events(say, path, events)


def closing_handler(say: Say, path: str, options: dict[str, Any], first: int, stride: int, name: str) -> None:
    """Call with a signal before each bytecode, whose handler logs, closes the log, and ends the training."""
    for bytecode in itertools.count(first, stride):
        say("bytecode", bytecode)
        faults, log = _open(path, {"sync_every": 0.001, **options})
        calls = Calls(log, PADS["middle"])
        for _ in range(8):
            calls.record()

        def handler(number: int, frame: FrameType | None, log: Any = log) -> None:
            log.record_event(None, "preempted", {"count": 0})
            log.close()
            raise KeyboardInterrupt

        signal.signal(signal.SIGINT, handler)
        call = {"record": calls.record, "sync": log.sync, "flush": log.flush}[name]
        _, sent = interrupt(faults, bytecode, call)
        log.close()
        _check(say, path, calls)
        _check_events(say, path, [0] * sent)
        Path(path).unlink()
        if not sent:
            break


def logging_handler_at_random(say: Say, path: str, options: dict[str, Any], seed: int, count: int) -> None:
    """Record in a tight loop with *count* signals at random moments, whose handler logs, too."""
    _, log = _open(path, options)
    draw = Random(seed)
    events = _handle(signal.SIGALRM, log)
    calls = Calls(log, PADS["middle"])
    while len(events) < count:
        before = len(events)
        signal.setitimer(signal.ITIMER_REAL, draw.choice([1e-5, 5e-5, 2e-4]) * (draw.random() + 0.01))
        if not before % 50:
            say("signal", before)
        while len(events) == before:
            calls.record()
    _rewind_and_close(say, path, log, calls)
    _check_events(say, path, events)


def _handle(number: int, log: Any) -> list[int]:
    events: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        log.record_event(None, "preempted", {"count": len(events)})
        events.append(len(events))

    signal.signal(number, handler)
    return events


def _check_events(say: Say, path: str, events: list[int]) -> None:
    import trainlog

    logged = [frame.data for frame in trainlog.open(path).with_superseded().frames("event")]
    found = [event["count"] for event in logged if event["type"] == "preempted"]
    dropped = sum(Counter(event["dropped"]).total() for event in logged if event["type"] == "background")
    if len(found) + dropped < len(events) or sorted(set(found)) != found:
        say("wrong", f"{len(events)} events were logged by the handler, {len(found)} are in the log")


def _open(path: str, options: dict[str, Any]) -> tuple[Preloaded, Any]:
    import trainlog

    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("always")
    _told.clear()
    warnings.showwarning = lambda message, *rest: _told.append(str(message))
    return Preloaded(), trainlog.TrainingRecorder(path, **{"sync_every": None, **options})


def _rewind_and_close(say: Say, path: str, log: Any, calls: Calls, to: int | None = 3) -> None:
    """Close the log, and check it; at first rewind to a step, so that only those before it may be seen."""
    if to is not None:
        log.rewind(to)
    log.close()
    _check(say, path, calls)
    visible = _numbers(path)
    if to is not None and any(n > to for n in visible):
        say("wrong", f"the rewind is ignored: {len(visible)} frames are shown")


def _numbers(path: str, superseded: bool = False) -> list[int]:
    import trainlog

    reader = trainlog.open(path)
    reader = reader.with_superseded() if superseded else reader
    return [frame.data["n"] for frame in reader.frames("stats")]


def told_lost(warnings: Iterable[str]) -> int:
    """How many frames *warnings* say that were lost."""
    counts = (re.match(r"([\d,]+) frames? could not be written", text) for text in warnings)
    return sum(int(match[1].replace(",", "")) for match in counts if match)


def _check(say: Say, path: str, calls: Calls) -> None:
    import trainlog

    found = _numbers(path, superseded=True)
    if found != sorted(set(found)):
        say("wrong", f"frames are there twice, or in another order: {found[:100]}")
    events = [frame.data for frame in trainlog.open(path).with_superseded().frames("event")]
    dropped = sum(Counter(event["dropped"]).total() for event in events if event["type"] == "background")
    dropped += sum(Counter(event["frames"]).total() for event in events if event["type"] == "dropped")
    missing = sorted(set(calls.returned) - set(found))
    if len(missing) > dropped + told_lost(_told):
        say("wrong", f"{len(missing)} frames are lost whose call had returned, from {missing[0]} on")
    if back := set(calls.refused) & set(found):
        say("wrong", f"frames are there whose call raised an error: {back}")
    if untrue := [text for text in _told if "while it was written" in text]:
        say("wrong", f"nobody touched the file, and a warning says: {untrue[0]}")
    # Times may step back where a handler logs inside of a call, which has its time already.
    if problems := [problem for problem in trainlog.verify(path).problems if problem.what != "time"]:
        say("wrong", f"verify: {problems[0].text}, and {len(problems) - 1} more")


def after_exit(path: Path, said: list[Any]) -> str:
    """What is wrong with the log of a process that ran `close_once`."""
    import trainlog

    returned = next(words[1] for words in said if words[0] == "returned")
    found = _numbers(str(path))
    lost = told_lost(words[1] for words in said if words[0] == "warning")
    events = [frame.data for frame in trainlog.open(path).frames("event")]
    lost += sum(Counter(event["dropped"]).total() for event in events if event["type"] == "background")
    if found != sorted(set(found)) or len(set(returned) - set(found)) > lost:
        return f"of {returned} there are {found}, and {lost} are told"
    return "; ".join(problem.text for problem in trainlog.verify(path).problems)
