"""Ctrl-C, and signals whose handlers log, at every bytecode of the recorder's calls, and at random."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults import interrupts
from faults.counts import FULL, SEED, count, run_all, seeds
from faults.processes import Processes

MODES: dict[str, dict[str, Any]] = {
    "raise": {"on_error": "raise"},
    "warn": {},
    "block": {"background": 4, "when_full": "block"},
    "drop_oldest": {"background": 4, "when_full": "drop_oldest"},
    "spill": {"background": 4, "when_full": "spill"},
}
STRIDE = 1 if FULL == "full" else 11  # bytecodes from one signal to the next


modes = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def run(processes: Processes, tmp_path: Path, mode: str) -> Callable[..., None]:
    """Call a function of `interrupts` in a process with a new log in that mode, and check what it says."""
    numbers = itertools.count()

    def run_and_check(function: Callable[..., None], *arguments: Any) -> None:
        path = tmp_path / f"{next(numbers)}.flog"
        outcome = processes.run(function, path, MODES[mode], *arguments, seconds=30)  # of silence
        last = next((words for words in reversed(outcome.said) if words[0] != "wrong"), None)
        assert not outcome.hung, f"{arguments} hung at {last}:\n{outcome.errors}"
        assert outcome.code == 0, f"{arguments} at {last}: {outcome.errors}"
        wrong = [words[1] for words in outcome.said if words[0] == "wrong"]
        assert not wrong, f"{arguments}: {'; '.join(wrong[:5])}"

    return run_and_check


@modes
def test_ctrl_c_at_every_bytecode_of_record(run: Callable[..., None]) -> None:
    for pad in interrupts.PADS:
        for short in (False, True):
            run(interrupts.records, pad, 1 + SEED, STRIDE, short)


@modes
def test_ctrl_c_at_every_bytecode_of_sync(run: Callable[..., None]) -> None:
    run(interrupts.others, "sync", 1 + SEED, STRIDE)


@modes
def test_ctrl_c_at_every_bytecode_of_flush(run: Callable[..., None]) -> None:
    run(interrupts.others, "flush", 1 + SEED, STRIDE)


@modes
def test_ctrl_c_at_every_bytecode_of_rewind(run: Callable[..., None]) -> None:
    run(interrupts.others, "rewind", 1 + SEED, STRIDE)


@modes
def test_ctrl_c_at_every_bytecode_of_record_many(run: Callable[..., None]) -> None:
    run(interrupts.others, "record_many", 1 + SEED, STRIDE)


@pytest.mark.parametrize("mode", ["raise", "warn"])
def test_ctrl_c_at_every_bytecode_of_keep_last(run: Callable[..., None]) -> None:
    run(interrupts.keeps, 1 + SEED, 1)


@modes
@pytest.mark.parametrize("full", [False, True])
def test_ctrl_c_at_every_bytecode_of_close(run: Callable[..., None], full: bool) -> None:
    run(interrupts.closes, 1 + SEED, STRIDE * 6 if full and STRIDE > 1 else STRIDE, full)


@modes
def test_ctrl_c_in_close_and_the_exit_of_the_interpreter(processes: Processes, tmp_path: Path, mode: str) -> None:
    def case(bytecode: int) -> None:
        path = tmp_path / f"at-{bytecode}.flog"
        outcome = processes.run(interrupts.close_once, path, MODES[mode], bytecode, mode != "raise", seconds=5)
        assert (outcome.hung, outcome.code) == (False, 0), outcome.errors
        assert not (wrong := interrupts.after_exit(path, outcome.said)), wrong

    run_all(range(1 + SEED, 600, STRIDE if FULL == "full" else 97), case)


@modes
@pytest.mark.parametrize("short", [False, True])
def test_ctrl_c_at_random(run: Callable[..., None], short: bool) -> None:
    for seed in seeds(1, 5):
        run(interrupts.at_random, seed, count(200, 2000), short)


@modes
def test_a_handler_that_logs_at_every_bytecode(run: Callable[..., None]) -> None:
    run(interrupts.logging_handler, 1 + SEED, STRIDE)


@modes
@pytest.mark.parametrize("name", ["record", "sync", "flush"])
def test_a_handler_that_closes_at_every_bytecode(run: Callable[..., None], name: str) -> None:
    run(interrupts.closing_handler, 1 + SEED, STRIDE, name)


@modes
def test_a_handler_that_logs_at_random(run: Callable[..., None]) -> None:
    run(interrupts.logging_handler_at_random, SEED, count(200, 5000))
