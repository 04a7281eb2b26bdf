from __future__ import annotations

from benchmarks.durability import FLIPS, _column


def test_trainlog_keeps_its_promises_under_the_faults_of_the_table() -> None:
    assert _column("trainlog") == {
        "SIGKILL after the last call": "nothing lost",
        "disk full for a quarter of the run": "nothing lost",
        "folder removed halfway": "nothing lost",
        "file cut at 20 places": "100% of the rows before the cut read",
        "one bit flipped, 40 times": f"{FLIPS} noticed",
    }
