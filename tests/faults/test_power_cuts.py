"""What is left after a power cut, at every system call of small programs: nothing that was synced is lost."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

import trainlog
from faults.counts import FULL, SEED, count
from faults.disk import Disk, State
from faults.preload import read_journal
from faults.processes import Processes
from faults.programs import PROGRAMS, frame, record
from trainlog.errors import LogNotFound, TrainlogError


class Expected(NamedTuple):
    """What was promised of a log before the power cut."""

    alternatives: list[list[int] | None]
    shown: bool


class Wrong(NamedTuple):
    """What is wrong with a state of the disk: what is lost, and what cannot be resumed."""

    lost: list[str]
    refused: list[str]


programs = pytest.mark.parametrize("name", PROGRAMS)


@pytest.fixture(scope="module")
def after_power_cuts(
    processes: Processes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], list[tuple[State, Wrong]]]]:
    """What is wrong in the states after the power cuts of a program, of those where anything is."""
    memory = Path("/dev/shm")  # the states are many, and nothing here needs a real disk
    place = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))

    @functools.cache
    def run(name: str) -> list[tuple[State, Wrong]]:
        folder, journal = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp("journal") / name
        outcome = processes.run(record, name, folder, journal)
        assert (outcome.code, outcome.hung, outcome.errors) == (0, False, "")
        disk = Disk(read_journal(journal), folder)
        states = list(disk.states(SEED))
        if FULL != "full":
            marks = {at for at, op in enumerate(disk.ops) if op.op == "K"}  # a promise, which is new there
            first = [state for state in states if state.at - 1 in marks or state.data == "zeros"]
            states = first + Random(SEED).sample(states, min(count(10, 0), len(states)))
        seen: set[bytes] = set()
        found: list[tuple[State, Wrong]] = []
        for state in states:
            root = place / "root"
            disk.build(state, root)
            promises = _promises(disk, state.at)
            if (key := _key(root, promises)) not in seen:
                seen.add(key)
                found.append((state, _wrong(root, promises)))
            shutil.rmtree(root)
        return found

    yield run
    shutil.rmtree(place)


@programs
def test_nothing_that_was_synced_is_lost(
    after_power_cuts: Callable[[str], list[tuple[State, Wrong]]], name: str
) -> None:
    _none([(state, wrong.lost) for state, wrong in after_power_cuts(name)])


@programs
def test_every_log_can_be_resumed(after_power_cuts: Callable[[str], list[tuple[State, Wrong]]], name: str) -> None:
    _none([(state, wrong.refused) for state, wrong in after_power_cuts(name)])


def _none(found: list[tuple[State, list[str]]]) -> None:
    failed: dict[str, list[State]] = {}
    for state, messages in found:
        for message in messages:
            failed.setdefault(message, []).append(state)
    told = "\n".join(f"{len(states)}, as {states[0]}: {message}" for message, states in failed.items())
    assert not failed, f"of {len(found)} states\n{told}"


def _promises(disk: Disk, at: int) -> dict[str, Expected]:
    marks = (json.loads(op.path) for op in disk.ops[:at] if op.op == "K")
    return {path: Expected(alternatives, shown) for path, alternatives, shown in marks}


def _key(place: Path, promises: dict[str, Expected]) -> bytes:
    """Which states are alike."""
    digest = hashlib.sha256(repr(promises).encode())
    for file in sorted(place.rglob("*")):
        digest.update(f"{file.relative_to(place)}\0".encode())
        digest.update(file.read_bytes() + b"\0" if file.is_file() else b"")
    return digest.digest()


def _wrong(place: Path, promises: dict[str, Expected]) -> Wrong:
    files = [file.relative_to(place) for file in place.rglob("*") if file.is_file()]
    logs = {str(file) for file in files if not any(part.startswith(".") for part in file.parts)}
    wrong = Wrong([], [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in sorted(logs | set(promises)):
            _look(place / name, promises.get(name), wrong)
    return wrong


def _look(path: Path, expected: Expected | None, wrong: Wrong) -> None:
    """Open, read, verify, repair and resume a log."""
    numbers: list[int] | None = None
    shown = expected is not None and expected.shown
    there = f"{path.name}: there are"
    try:
        reader = trainlog.open(path)
        numbers = _numbers(reader, shown)
    except LogNotFound:
        pass
    except TrainlogError as error:
        there = f"{path.name}: cannot be read ({type(error).__name__}: {error.message}); there are"
    if expected is not None and not _holds(numbers, expected):
        wrong.lost.append(f"{there} {numbers}; promised were {expected.alternatives}")
    if numbers is not None:
        for call in (reader.summary, reader.verify, lambda: reader.table("stats"), lambda: list(reader.scan())):
            _typed(call)
        repaired = path.with_name(f"repaired-{path.name}")
        _typed(lambda: trainlog.repair(path, repaired))
        if not repaired.exists() or _numbers(trainlog.open(repaired), shown) != numbers:
            wrong.lost.append(f"{path.name}: frames that can be read are not in its repaired copy")
        repaired.unlink(missing_ok=True)
    if path.is_file() and path.suffix == ".flog":
        try:
            with trainlog.TrainingRecorder(path, resume=True) as log:
                log.record_stats_frame(None, frame(99))
        except TrainlogError as error:
            wrong.refused.append(f"{path.name}: {type(error).__name__}: {error.message}")
        else:
            after = _numbers(trainlog.open(path), shown)
            aside = path.with_name(f"{path.name}.damaged")  # where a log goes whose header is not what was written
            with contextlib.suppress(TrainlogError):
                after = [*_numbers(trainlog.open(aside, codec="flog"), shown), *after]
            aside.unlink(missing_ok=True)
            if after != [*(numbers or []), 99]:
                wrong.lost.append(f"{path.name}: there were {numbers}; after it was resumed, {after}")


def _typed(look: Any) -> None:
    """Errors are those of trainlog; any other fails the test."""
    with contextlib.suppress(TrainlogError):
        look()


def _numbers(reader: trainlog.Reader, shown: bool) -> list[int]:
    reader = reader if shown else reader.with_superseded()
    numbers = [(one.data["n"], one.data) for one in reader.frames("stats") if "n" in one.data]
    return [n for n, data in numbers if data["pad"] == frame(n)["pad"]]


def _holds(numbers: list[int] | None, expected: Expected) -> bool:
    for one in expected.alternatives:
        if one is None or numbers is None:
            if one is numbers:
                return True
        elif [n for n in numbers if n in one] == one:
            return not expected.shown or numbers[: len(one)] == one
    return False
