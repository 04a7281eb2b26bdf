"""Simultaneous opens of one log, and forks: one process writes, and loses nothing."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.handmade import Flog

import trainlog
from faults import opens
from faults.counts import run_all, seeds
from faults.processes import Processes
from trainlog import TrainingRecorder

PROCESSES = 4
FORKING: dict[str, dict[str, Any]] = {
    "raise": {"on_error": "raise"},
    "warn": {},
    "sync_every": {"sync_every": 0.0005},
    "block": {"background": 20, "when_full": "block"},
    "drop_oldest": {"background": 20, "when_full": "drop_oldest"},
    "spill": {"background": 20, "when_full": "spill"},
}


@pytest.mark.parametrize("before", ["nothing", "an empty file", "a log", "a torn log"])
def test_one_of_several_processes_gets_the_log(processes: Processes, tmp_path: Path, before: str) -> None:
    def case(seed: int) -> None:
        path = tmp_path / str(seed) / "a.flog"
        (path.parent / "tried").mkdir(parents=True)
        old = _begin(path, before)
        draw = Random(seed)
        how = [draw.choice([*opens.HOW, "resume"]) for _ in range(PROCESSES)]
        arguments = [(path, one, rank, PROCESSES, 100 * seed + rank) for rank, one in enumerate(how)]
        outcomes = processes.together(opens.open_together, arguments)
        for outcome in outcomes:
            assert (outcome.hung, outcome.code, outcome.errors) == (False, 0, "")
        said = [outcome.said[-1] for outcome in outcomes]
        writers = [rank for rank, words in enumerate(said) if words[0] == "recorded"]
        others = Counter(words[0] for words in said if words[0] != "recorded")
        assert set(others) <= {"LogInUse", "LogExists"}, f"errors: {others}"
        wanted = 1 if before == "nothing" or set(how) != {"create"} else 0
        assert len(writers) == wanted, f"{len(writers)} processes write"
        kept = [] if "overwrite" in (how[rank] for rank in writers) else old
        new = [100 * (rank + 1) + n for rank in writers for n in range(3)]
        if old or writers:
            found = [frame.data["n"] for frame in trainlog.open(path).frames("stats")]
            assert found == kept + new, "frames are lost"
            assert trainlog.verify(path).whole or not writers

    run_all(seeds(4, 500), case)


def _begin(path: Path, before: str) -> list[int]:
    if before == "nothing":
        return []
    if before == "an empty file":
        path.touch()
        return []
    with TrainingRecorder(path, sync_every=None) as log:
        for n in range(3):
            log.record_stats_frame(None, {"n": n})
    if before == "a torn log":
        with path.open("ab") as file:
            file.write(Flog.frame(1.0, 2, {"n": 3})[:-2])
    return [0, 1, 2]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("mode", FORKING)
def test_a_fork_changes_nothing(processes: Processes, tmp_path: Path, mode: str, full: bool) -> None:
    def case(seed: int) -> None:
        path = tmp_path / str(seed) / "a.flog"
        path.parent.mkdir()
        outcome = processes.run(opens.fork, path, FORKING[mode], seed, full, seconds=20)
        assert not outcome.hung, outcome.errors
        assert (outcome.code, outcome.errors) == (0, "")
        wrong = [words[1] for words in outcome.said if words[0] == "wrong"]
        assert not wrong, "; ".join(wrong)
        returned = outcome.said[-1][1]
        frames = list(trainlog.open(path).frames())
        dropped = sum(
            Counter(frame.data["dropped"]).total() for frame in frames if frame.data.get("type") == "background"
        )
        found = [frame.data["n"] for frame in frames if "n" in frame.data]
        assert found == sorted(set(found)), "frames are there twice, or in another order"
        missing = len(set(returned) - set(found))
        assert missing == dropped, f"{missing} of {len(returned)} frames are lost, {dropped} are told"
        assert set(found) <= set(returned)
        assert trainlog.verify(path).whole

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_all(seeds(2, 40), case)
