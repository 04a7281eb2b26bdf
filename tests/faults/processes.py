"""A process that forks others, so that thousands of them cost little: ``python -m faults.processes``."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import trainlog

TESTS = Path(__file__).parents[1]


class Outcome(NamedTuple):
    """What became of a process.

    Attributes:
        code: its exit code; minus the number of the signal that ended it.
        hung: it did not end in time, and was killed.
        said: what it said, one value for each `Say` call.
        errors: its standard error, with the stacks of all threads when it hung.

    """

    code: int
    hung: bool
    said: list[Any]
    errors: str


class Processes:
    """Runs functions of this package in processes of their own, with the preloaded library when it is given."""

    def __init__(self, folder: Path, library: Path | None = None) -> None:
        path = os.pathsep.join([str(Path(trainlog.__file__).parents[1]), str(TESTS)])
        environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        if library is not None:
            environment["LD_PRELOAD"] = str(library)
        self._folder = folder
        self._count = 0
        self._server = subprocess.Popen(
            [sys.executable, "-m", "faults.processes"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    def run(self, function: Callable[..., None], *arguments: Any, seconds: float = 30.0) -> Outcome:
        """Call *function* with a `Say` and *arguments* in a new process, which hangs after *seconds* without a word."""
        return self.together(function, [arguments], seconds)[0]

    def together(
        self, function: Callable[..., None], each: list[tuple[Any, ...]], seconds: float = 30.0
    ) -> list[Outcome]:
        """Call *function* in several processes at once, one for each of the tuples of arguments."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        jobs = []
        for arguments in each:
            self._count += 1
            texts = [str(argument) if isinstance(argument, Path) else argument for argument in arguments]
            jobs.append([str(self._folder / f"process-{self._count}"), texts])
        request = [function.__module__, function.__name__, jobs, seconds]
        print(json.dumps(request), file=self._server.stdin, flush=True)
        ends = json.loads(self._server.stdout.readline())
        return [Outcome(*end, *_read(Path(name))) for end, (name, _) in zip(ends, jobs, strict=True)]


def _read(name: Path) -> tuple[list[Any], str]:
    said, errors = name.with_suffix(".said"), name.with_suffix(".errors")
    result = [json.loads(line) for line in said.read_text().splitlines()], errors.read_text()
    said.unlink()
    errors.unlink()
    return result


class Say:
    """Tells the test something, at once: what was said before the process died is kept."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __call__(self, *words: Any) -> None:
        os.write(self._fd, json.dumps(words).encode() + b"\n")


def main() -> None:
    import trainlog.codecs.flog.reader  # so that no process imports them
    import trainlog.codecs.flog.shards.reader
    import trainlog.codecs.flog.writer
    import trainlog.recorder
    import trainlog.verification  # noqa: F401

    for line in sys.stdin:
        module, function, jobs, seconds = json.loads(line)
        call = getattr(importlib.import_module(module), function)
        gc.collect()
        gc.freeze()  # else each process looks at all objects of the modules when it ends, and copies their pages
        gate, opener = os.pipe()
        children = {}
        for n, (name, arguments) in enumerate(jobs):
            if not (pid := os.fork()):
                os.close(opener)
                _child(Path(name), gate, call, arguments)
                return
            children[pid] = n
        os.close(gate)
        os.close(opener)  # all begin now
        print(json.dumps(_wait(children, seconds, [Path(name).with_suffix(".said") for name, _ in jobs])), flush=True)


def _child(name: Path, gate: int, call: Callable[..., None], arguments: list[Any]) -> None:
    os.setsid()  # so that those that it forks end with it
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(null, fd)
    os.dup2(os.open(name.with_suffix(".errors"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    said = os.open(name.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    faulthandler.enable()
    os.read(gate, 1)
    call(Say(said), *arguments)


def _wait(children: dict[int, int], seconds: float, said: list[Path]) -> list[tuple[int, bool]]:
    ends: dict[int, tuple[int, bool]] = {}
    deadline, hung, words = time.monotonic() + seconds, False, 0
    while len(ends) < len(children):
        if not hung and words != (words := sum(file.stat().st_size for file in said if file.exists())):
            deadline = time.monotonic() + seconds
        for pid, n in children.items():
            if n not in ends and (status := os.waitpid(pid, os.WNOHANG))[0]:
                ends[n] = os.waitstatus_to_exitcode(status[1]), hung
        if len(ends) < len(children):
            if time.monotonic() > deadline:
                for pid, n in children.items():
                    if n not in ends:
                        os.killpg(pid, signal.SIGKILL if hung else signal.SIGABRT)  # which shows the stacks
                deadline, hung = time.monotonic() + 1, True
            time.sleep(0.001)
    return [ends[n] for n in range(len(ends))]


if __name__ == "__main__":
    main()
