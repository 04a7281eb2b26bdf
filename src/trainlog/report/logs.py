"""The logs of a report: which ones can be read, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainlog import registry
from trainlog.errors import TrainlogError
from trainlog.model import Kind
from trainlog.plot import Run
from trainlog.plot.run import log_names

__all__ = ["LogCheck", "Verdict", "check", "open_runs"]

Verdict = Literal["whole", "damaged", "empty", "unreadable"]
_MAX_PROBLEMS = 5  # problems of a log that are listed


@dataclass(frozen=True, slots=True)
class LogCheck:
    """The verdict of `trainlog verify` on a log.

    Attributes:
        log: its name.
        verdict: ``whole``; ``damaged``, where the other frames still count; ``empty``, without frames; or
            ``unreadable``.
        problems: sentences; empty for a whole log.

    """

    log: str
    verdict: Verdict
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the log is whole."""
        return self.verdict == "whole"


def open_runs(paths: Sequence[Path]) -> tuple[list[Run], list[LogCheck]]:
    """Open logs; the second list has those that cannot be opened.

    Args:
        paths: see `trainlog.find_logs.find_logs`.

    """
    runs, failed = [], []
    for path, name in zip(paths, log_names(paths), strict=True):
        try:
            runs.append(Run(registry.open(path), name))
        except TrainlogError as error:
            failed.append(_unreadable(name, error))
    return runs, failed


def check(run: Run) -> LogCheck:
    """Read a whole log, and verify it."""
    try:
        verdict = run.reader.verify()
        rows = sum(run.columns(kind).table.rows for kind in Kind)
    except TrainlogError as error:
        return _unreadable(run.label, error)
    problems = [problem.text for problem in verdict.damage]
    if len(problems) > _MAX_PROBLEMS:
        problems[_MAX_PROBLEMS:] = [f"and {len(problems) - _MAX_PROBLEMS} more problems"]
    if not rows:
        return LogCheck(run.label, "empty", (*problems, "it has no frames"))
    return LogCheck(run.label, "whole" if verdict.whole else "damaged", tuple(problems))


def _unreadable(name: str, error: TrainlogError) -> LogCheck:
    message = error.message  # without the path, which differs from machine to machine
    if error.path is not None:
        message = message.replace(str(error.path), error.path.name)
    return LogCheck(name, "unreadable", (message,))
