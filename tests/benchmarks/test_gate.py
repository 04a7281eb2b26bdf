"""The simulations: what docs/ci.md states of the gate, and docs/plot.md of scores over tasks and of two runs."""

import dataclasses
import re
from pathlib import Path

from benchmarks.measure import QUICK

from benchmarks import gate

DOCUMENT, PLOT = ((Path(__file__).parents[2] / "docs" / name).read_text("utf-8") for name in ("ci.md", "plot.md"))


def rows_of(text, columns):
    found = [line for line in cells_of(text) if len(line) == columns and re.fullmatch(r"\d+", line[1])]
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
    one, two, scores, alarms = gate.tables(dataclasses.replace(QUICK, rows=1000))
    documented = rows_of(DOCUMENT, 9)
    for key, cells in rows_of(str(one), 9).items():
        assert abs(cells[2] - documented[key][2]) < 8  # of 200 comparisons
    assert set(rows_of(str(two), 6)) == set(documented)
    for table, slack in ((scores, 20), (alarms, 1)):  # of 75 simulations; the pairs of curves are the same
        stated = {name: list(map(int, cells)) for name, *cells in cells_of(PLOT) if name in dict(names_of(table))}
        assert list(stated) == [name for name, _ in names_of(table)]
        for name, cells in names_of(table):
            assert all(abs(cell - known) <= slack for cell, known in zip(cells, stated[name], strict=True)), name


def names_of(table):
    return [(name, list(map(int, cells))) for name, *cells in table.rows]


def cells_of(text):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
