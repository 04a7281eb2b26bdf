"""Ranges of rows, as every codec has them by itself; tests/codecs/flog/test_index.py has those through an index."""

from __future__ import annotations

import contextlib
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainlog import Frame, Header, Kind, Reader, Scan
from trainlog.errors import EmptyLog, InvalidPosition
from trainlog.model import KindLike
from trainlog.scan import OnDamage
from trainlog.storage.source import Wait, never


class Told(Reader):
    """A reader that brings nothing but its frames."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        super().__init__(Path("told"), Header())
        self._told = frames

    def frames(
        self, kind: KindLike | None = None, *, wait: Wait = never, on_damage: OnDamage = "warn"
    ) -> Iterator[Frame]:
        return (frame for frame in self._told if kind is None or frame.kind == Kind.of(kind))


def stats(*rows: tuple[float, Any]) -> Reader:
    return Told([Frame(time, Kind.STATS, data) for time, data in rows])


LOG = stats(
    (0.0, {"step": 0, "a": 1}),
    (1.0, {"step": 10, "a": 2, "b": "x"}),
    (2.0, {"step": 20.5, "a": 3}),
    (3.0, {"step": "30", "a": 4}),
    (1.5, {"step": 40, "a": 5, "c": 1.5}),
    (4.0, {"a": 6}),
)


@pytest.mark.parametrize(
    ("ranges", "rows"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"time": (1, 2)}, [2, 5]),
        ({"time": (None, 1.5)}, [1, 2]),
        ({"time": (2, None)}, [3, 4, 6]),
        ({"time": (None, None)}, [1, 2, 3, 4, 5, 6]),
        ({"time": (5, 9)}, []),
        ({"time": (2, 1)}, []),
        ({"steps": (10, 40)}, [2, 3, 4]),
        ({"steps": (None, None)}, [1, 2, 3, 4, 5]),
        ({"steps": (20.5, None)}, [3, 4, 5]),
        ({"last": 2}, [5, 6]),
        ({"last": 0}, []),
        ({"last": 100}, [1, 2, 3, 4, 5, 6]),
        ({"steps": (0, 40), "last": 2}, [3, 4]),
        ({"time": (1, 3), "steps": (10, None), "last": 2}, [3, 5]),
    ],
)
def test_the_rows_that_are_chosen(ranges: dict[str, Any], rows: list[int]) -> None:
    table = LOG.table("stats", **ranges)
    assert table.rows == len(rows)
    assert (table["a"].tolist() if rows else []) == rows


def test_a_table_is_made_of_the_chosen_rows_alone() -> None:
    assert list(LOG.table("stats", time=(1, 2))) == ["step", "a", "b", "c"]
    assert list(LOG.table("stats", last=1)) == ["a"]
    assert LOG.table("stats", steps=(0, 11))["step"].dtype == int
    with pytest.raises(KeyError, match="no stats frame has the key 'b'"):
        LOG.table("stats", keys=["b"], last=2)
    assert LOG.table("stats", keys=["b"], last=0)["b"].shape == (0,)


@pytest.mark.parametrize(
    "ranges",
    [{"time": 5}, {"time": (1,)}, {"time": (float("nan"), 2)}, {"steps": ("a", None)}, {"last": -1}],
)
def test_ranges_that_are_none(ranges: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(ranges))):
        LOG.table("stats", **ranges)


def test_slice() -> None:
    assert [frame.data["a"] for frame in LOG.slice(1, 2)] == [2, 5]
    assert [frame.data["a"] for frame in LOG.slice(stop=1.5, kind="stats")] == [1, 2]
    assert list(LOG.slice(0, 9, "event")) == []
    assert len(list(LOG.slice())) == 6
    with pytest.raises(ValueError, match="time is a pair"):
        LOG.slice(float("nan"))


def test_at() -> None:
    assert LOG.at(0, "stats").data["a"] == 1
    assert LOG.at(0.99, "stats").data["a"] == 1
    # The clock stepped back: what was written last is the state of that time.
    assert LOG.at(1.9, "stats").data["a"] == 5
    assert LOG.at(1e9, "stats").data["a"] == 6
    with pytest.raises(EmptyLog, match="no stats frame up to -1 s"):
        LOG.at(-1, "stats")
    with pytest.raises(EmptyLog):
        LOG.at(1)
    with pytest.raises(ValueError, match="number of seconds"):
        LOG.at(float("nan"))


def test_the_document_says_what_is_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("pyarrow", "polars", "pandas"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "docs" / "howto" / "tables.md").read_text("utf-8")
    pairs = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert len(pairs) == 3
    for code, expected in pairs:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, "tables.md", "exec"), {})
        assert out.getvalue() == expected


def test_a_position_knows_all_numbers_of_long_arrays() -> None:
    """``repr`` leaves out the middle of an array, and digits of each number."""

    def frames(value: float) -> list[Frame]:
        array = np.zeros(2000)
        array[1000] = value
        return [Frame(0.0, Kind.STATS, {"a": array})]

    position = list(Told(frames(1.0)).scan(Scan()))[-1].position
    assert sum(batch.table.rows for batch in Told(frames(1.0)).scan(Scan(after=position))) == 0
    with pytest.raises(InvalidPosition):
        list(Told(frames(1.0 + 1e-12)).scan(Scan(after=position)))


def test_steps_of_a_log_whose_step_has_another_name() -> None:
    log = stats((0.0, {"timesteps": 0}), (1.0, {"timesteps": 5}))
    with pytest.raises(
        KeyError, match="no stats frame has the key 'step', which steps= selects by; their step is 'timesteps'"
    ):
        log.table("stats", steps=(0, 10))
    assert stats((0.0, {"loss": 0})).table("stats", steps=(0, 10)).rows == 0
    assert log.table("stats", time=(0, 1)).rows == 1


def test_limits_are_numbers_of_python_or_numpy() -> None:
    for limits in ((np.int64(10), np.float32(21)), (10, 21), (10.0, 21.0)):
        assert LOG.table("stats", steps=limits)["a"].tolist() == [2, 3]
    for wrong in (("10", 21), (math.nan, 21), (10, 10**400), (10,)):
        with pytest.raises(ValueError, match="steps is a pair"):
            LOG.table("stats", steps=wrong)  # type: ignore[arg-type]
