"""How many cases of a harness run, from which seed on, and which of them fail.

``TRAINLOG_FAULTS=full`` runs all (``make faults``), a number that many times the cases of the tests.
``TRAINLOG_FAULTS_SEED`` is the first seed: that of a failed case runs it again, first of all.
"""

from __future__ import annotations

import os
from collections.abc import Callable

FULL = os.environ.get("TRAINLOG_FAULTS", "1")
SEED = int(os.environ.get("TRAINLOG_FAULTS_SEED", "0"))


def count(tests: int, full: int) -> int:
    """How many: *tests* in the tests, *full* in a full run."""
    return full if FULL == "full" else max(int(tests * float(FULL)), 1)


def seeds(tests: int, full: int) -> range:
    """The seeds of that many cases."""
    return range(SEED, SEED + count(tests, full))


def run_all(cases: range, case: Callable[[int], object]) -> None:
    """Call *case* with each seed; fail with the seeds of all that failed."""
    failed: dict[str, list[int]] = {}
    for seed in cases:
        try:
            case(seed)
        except AssertionError as error:
            failed.setdefault(str(error).strip(), []).append(seed)
    total = sum(map(len, failed.values()))
    told = "\n".join(f"seeds {seeds[:20]}: {message}" for message, seeds in failed.items())
    assert not failed, f"{total} of {len(cases)} cases failed:\n{told}"
