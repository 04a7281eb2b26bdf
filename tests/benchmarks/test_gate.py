"""The simulation of the gate: what docs/ci.md states of it."""

import dataclasses
import re
from pathlib import Path

from benchmarks.measure import QUICK

from benchmarks import gate

DOCUMENT = (Path(__file__).parents[2] / "docs" / "ci.md").read_text("utf-8")


def rows_of(text, columns):
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    found = [line for line in lines if len(line) == columns and re.fullmatch(r"\d+", line[1])]
    return {(name, int(n)): [float(cell) for cell in cells] for name, n, *cells in found}


def test_the_document_has_a_row_for_all_that_is_simulated():
    cases = {(name, n) for name in gate.RETURNS for n in (3, 5, 10, 20)}
    assert set(rows_of(DOCUMENT, 9)) == set(rows_of(DOCUMENT, 6)) == cases


def test_alarms_are_at_most_what_is_stated_and_intervals_hold():
    for (name, n), (strict, tolerant, coverage, _, _, _, lost) in rows_of(DOCUMENT, 9).items():
        assert strict <= 3
        assert tolerant <= 1.5
        if n >= 5:
            assert min(coverage, lost) >= (93 if name.startswith("normal") else 90)
        if name.startswith("normal") and n >= 5:
            assert max(coverage, lost) <= 97
    for (name, n), (mean, iqm, *_) in rows_of(DOCUMENT, 6).items():
        if name.startswith("normal") and n >= 5:
            assert min(mean, iqm) >= 92.5
            assert max(mean, iqm) <= 97
        if name == "lognormal, σ 0.5":
            assert min(mean, iqm) >= 90


def test_a_small_simulation_gives_about_the_same():
    one, two = gate.tables(dataclasses.replace(QUICK, rows=1000))
    documented = rows_of(DOCUMENT, 9)
    for key, cells in rows_of(str(one), 9).items():
        assert abs(cells[2] - documented[key][2]) < 8  # of 200 comparisons
    assert set(rows_of(str(two), 6)) == set(documented)
