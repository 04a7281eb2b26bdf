"""Processes in which system calls fail, return short or are interrupted: the file is what the API said."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from faults import faulty
from faults.counts import run_all, seeds
from faults.processes import Processes

SESSIONS = 3  # processes for each log, one after the other

_FULL: dict[str, Any] = {"rate": 900, "burst": 50, "faulty": "write", "calls": 60}

MODES: dict[str, dict[str, Any]] = {
    "raise": {"on_error": "raise", "background": None},
    "warn": {"on_error": "warn", "background": None},
    "block": {"on_error": "warn", "background": 5, "when_full": "block"},
    "drop_oldest": {"on_error": "warn", "background": 5, "when_full": "drop_oldest", "end": "close"},
    "spill": {"on_error": "warn", "background": 5, "when_full": "spill"},
    "raise in the background": {"on_error": "raise", "background": 5},
    "while it is opened": {"faulty_start": True, "on_error": "warn", "rate": 300, "faulty": ",".join(faulty.CALLS)},
    "dropped without close": {
        "end": "drop",
        "on_error": "warn",
        "background": None,
        **_FULL,
        "rate": 1000,
        "burst": 1000,
    },
    "drop_oldest, disk full at the end": {
        "on_error": "warn",
        "background": 1,
        "when_full": "drop_oldest",
        "end": "faulty close",
        **_FULL,
    },
}


@pytest.mark.parametrize("mode", MODES)
def test_the_file_is_what_the_api_said(processes: Processes, tmp_path: Path, mode: str) -> None:
    def case(seed: int) -> None:
        shard = seed % 3 if seed % 4 == 3 else None
        log = faulty.Log(tmp_path / f"{seed}.flog")
        for n in range(SESSIONS):
            session = faulty.Session.of(SESSIONS * seed + n, first=not n, shard=shard, **MODES[mode])
            log.after(session, processes.run(faulty.record, log.path, 1000 * n, dataclasses.asdict(session)))

    run_all(seeds(4, 84), case)
