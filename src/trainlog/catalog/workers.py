"""The same work for many logs, in several processes.

The calling process is one of the workers, so that a few logs do not require starting another. The others are new
interpreters that receive tasks: nothing is forked (a forked Polars can wait for a thread forever), and unlike in the
pools of the standard library, the caller's script is not imported again, so that it needs no guard. Idle workers wait
half a minute for the next call.
"""

from __future__ import annotations

import atexit
import os
import pickle
import queue
import select
import subprocess
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import IO, Any, Final, TypeVar

from trainlog.cores import core_count
from trainlog.errors import TrainlogWarning

__all__ = ["close_idle", "in_order", "run_all", "run_bounded", "serve"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_MOST_WORKERS: Final = 32
_WORTH: Final = 0.4  # seconds of work that are worth another process; starting one takes a quarter of a second
_AHEAD: Final = 2  # tasks queued at each worker process
_KEPT: Final = 30.0  # seconds that an idle worker is kept; on its own, it exits after twice that time
_FAREWELL: Final = 1.0  # seconds in which a worker without a task ends by itself, with all that is done at an exit
# With the caller's `sys.path`, so that both import the same modules.
_START: Final = f"import sys; sys.path[:] = sys.argv[1:]; from {__name__} import serve; serve()"


def run_all(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    seconds: float,
    workers: int | None = None,
    elsewhere: bool = False,
    is_repeated: bool = True,
) -> Iterator[tuple[int, Result]]:
    """Yield the number of each task with ``function(task)``, in the order in which they finish.

    Args:
        function: a function of a module, which another process can import.
        tasks: values that can be pickled.
        seconds: the approximate time of all tasks in one process; others are started only if that is worth it.
        workers: the number of processes, including this one; by default the number of cores.
        elsewhere: whether to leave work that is worth another process to others, as this one has clients to answer.
        is_repeated: whether this process does the tasks of one that ended early, and warns.

    Raises:
        Exception: what *function* raises.
        ChildProcessError: without *is_repeated*, if a process ended early.

    """
    count = min(workers or min(core_count(), _MOST_WORKERS), len(tasks)) if seconds > _WORTH else 1
    todo = deque(range(len(tasks)))
    others: list[_Worker] = []
    done: _Answers = queue.SimpleQueue()
    elsewhere = elsewhere and seconds > _WORTH and bool(sys.executable)
    try:
        for _ in range(count - (not elsewhere) if sys.executable else 0):
            others.append(_idle_worker() or _Worker())
            others[-1].answers = done
        for _ in range(1 if elsewhere else _AHEAD):  # without work of its own, this process answers at once
            for worker in others:
                if elsewhere or len(todo) > 1:  # this process takes one, too
                    worker.give(function, todo, tasks)
        while todo or any(worker.held for worker in others):
            is_held = any(worker.held for worker in others)
            if todo and not (elsewhere and is_held):
                number = todo.popleft()
                yield number, function(tasks[number])
            while not done.empty() or ((elsewhere or not todo) and any(worker.held for worker in others)):
                worker, number, fine, result = done.get()
                if number < 0:  # it died, perhaps because the machine ran out of memory
                    if worker.held and not is_repeated:
                        raise ChildProcessError(result)
                    if worker.held:
                        why = f"a process that reads logs ended early ({result}); this process reads its logs"
                        warnings.warn(TrainlogWarning(why), stacklevel=2)
                    todo.extendleft(sorted(worker.held, reverse=True))
                    worker.held.clear()
                    break
                worker.held.discard(number)
                if not fine:
                    raise result
                worker.give(function, todo, tasks)
                yield number, result
    finally:
        for worker in others:
            worker.release()


def in_order(results: Iterable[tuple[int, Result]]) -> Iterator[Result]:
    """The *results* of `run_all` in the order of the tasks."""
    waiting: dict[int, Result] = {}
    at = 0
    for number, result in results:
        waiting[number] = result
        while at in waiting:
            yield waiting.pop(at)
            at += 1


def run_bounded(function: Callable[[Task], Result], task: Task, *, seconds: float) -> Result:
    """``function(task)`` in another process, which is killed after *seconds*.

    Raises:
        TimeoutError: if that is not enough.
        Exception: what *function* raises.

    """
    worker = _idle_worker() or _Worker()
    worker.answers = queue.SimpleQueue()
    try:
        worker.give(function, deque([0]), [task])
        _, number, is_fine, result = worker.answers.get(timeout=seconds)
        worker.held.clear()
    except queue.Empty:
        raise TimeoutError(f"it took more than {seconds:g} seconds") from None
    finally:
        worker.release()
    if number < 0 or not is_fine:
        raise result if isinstance(result, Exception) else TimeoutError("the process ended early")
    answer: Result = result
    return answer


class _Worker:
    """Another interpreter.

    Attributes:
        held: the numbers of the tasks that it has received but not answered.
        answers: the queue for its answers.
        idle_since: when it was last used, by the monotonic clock.

    """

    answers: _Answers

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.idle_since = 0.0
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C goes to the caller, which ends it
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input: IO[bytes] = self._process.stdin
        self._thread = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._thread.start()

    @property
    def is_usable(self) -> bool:
        """Whether it still waits for this process."""
        is_fresh = time.monotonic() - self.idle_since < _KEPT
        return is_fresh and self._owner == os.getpid() and self._process.poll() is None

    def give(self, function: Callable[[Any], Any], todo: deque[int], tasks: Sequence[Any]) -> None:
        """Send the next task of *todo*."""
        if not todo or self._process.poll() is not None:
            return
        number = todo.popleft()
        self.held.add(number)
        with suppress(BrokenPipeError, ValueError):  # reported by the listening thread
            pickle.dump((number, _folder(), function, tasks[number]), self._input, protocol=5)
            self._input.flush()

    def _listen(self, output: IO[bytes]) -> None:
        try:
            while True:
                answer = pickle.load(output)
                self.answers.put((self, *answer))
        except (EOFError, pickle.UnpicklingError, OSError, ValueError):
            code = self._process.wait()
            if hasattr(self, "answers"):
                self.answers.put((self, -1, False, f"exit code {code}"))

    def release(self) -> None:
        """Keep it for the next call, or end it if it is still working."""
        if self.held or self._process.poll() is not None:
            self.close()
        else:
            self.idle_since = time.monotonic()
            _idle.append(self)

    def close(self) -> None:
        """End it, even if it is still working."""
        if self._owner != os.getpid():
            return
        if self.held:
            self._process.kill()
        with suppress(BrokenPipeError):
            self._input.close()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


_Answers = queue.SimpleQueue[tuple[_Worker, int, bool, Any]]

_idle: list[_Worker] = []


def _idle_worker() -> _Worker | None:
    """An idle worker, if there is one; those that have waited for too long are ended."""
    while _idle:
        with suppress(IndexError):  # another thread took it
            worker = _idle.pop()
            if worker.is_usable:
                return worker
            worker.close()
    return None


@atexit.register
def close_idle() -> None:
    """End all idle workers."""
    while _idle:
        _idle.pop().close()


def _folder() -> str:
    """The current folder, to which paths are relative; empty if it was deleted."""
    try:
        return os.getcwd()  # noqa: PTH109 - a name to send
    except OSError:
        return ""


def _follow_caller() -> None:
    """End this process with its caller, also during a task."""
    caller = select.poll()
    caller.register(sys.stdin.fileno(), 0)  # only the end of its other side
    caller.poll()
    time.sleep(_FAREWELL)
    os._exit(0)


def serve() -> None:
    """Answer tasks from standard input until it ends; a task is a number, a folder, a function and its argument."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends this process
    threading.Thread(target=_follow_caller, daemon=True).start()
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a plug-in prints is not an answer
    while True:
        signal.alarm(round(2 * _KEPT))  # exit if no tasks arrive
        try:
            number, folder, function, task = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        signal.alarm(0)
        try:
            if folder and folder != _folder():
                os.chdir(folder)
            answer = pickle.dumps((number, True, function(task)), protocol=5)
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            answer = pickle.dumps((number, False, error), protocol=5)
        try:
            output.write(answer)
            output.flush()
        except BrokenPipeError:  # the caller has exited; flushing the buffer at exit would fail again
            os._exit(0)
