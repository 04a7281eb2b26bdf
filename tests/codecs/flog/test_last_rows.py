"""The last rows of a log that has checksums are found from its end, without reading what is before them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codecs.flog.test_columns import assert_same

import trainlog
from trainlog import Frame, Kind, Scan
from trainlog.errors import CorruptLog, DamagedLogWarning
from trainlog.testing import FramesOnly

BLOB = bytes(range(256)) * 16  # so that a seal comes after every sixteenth frame


def write(path: Path, kinds: list[int], *, rest: int = 0) -> Path:
    """A log of frames of these *kinds*; those behind the last *rest* bytes of it are torn off."""
    with trainlog.create(path, overwrite=True) as log:
        for step, kind in enumerate(kinds):
            log.write(Frame(step / 10, Kind(kind), {"step": step, "blob": BLOB, f"key_{step % 3}": step / 2}))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) - rest])
    return path


def asked(reader: trainlog.Reader, **scan: Any) -> dict[Kind, trainlog.Table]:
    return {batch.table.kind: batch.table for batch in reader.scan(Scan(**scan))}


def bytes_read(work: Callable[[], object]) -> int:
    """How many bytes *work* asked the system for."""

    def so_far() -> int:
        return int(Path("/proc/self/io").read_text("ascii").split()[1])

    before = so_far()
    work()
    return so_far() - before


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.sampled_from([2, 4, 4, 4, 9]), min_size=1, max_size=200),
    wanted=st.sets(st.sampled_from([2, 4, 9, 7]), min_size=1),
    last=st.integers(0, 40),
    rest=st.sampled_from([0, 1, 64, 100, 4000]),
    limits=st.none() | st.tuples(st.none() | st.floats(0, 20), st.none() | st.floats(0, 20)),
    steps=st.none() | st.tuples(st.none() | st.integers(0, 200), st.none()),
)
def test_they_are_those_of_the_generic_path(tmp_path_factory: pytest.TempPathFactory, **drawn: Any) -> None:
    path = write(tmp_path_factory.mktemp("log") / "run.flog", drawn["kinds"], rest=drawn["rest"])
    reader = trainlog.open(path)
    scan = {"kinds": drawn["wanted"], "last": drawn["last"], "time": drawn["limits"], "steps": drawn["steps"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = asked(FramesOnly(reader), **scan)
        for _ in range(2):
            found = asked(reader, **scan)
            assert found.keys() == expected.keys()
            for kind, table in found.items():
                assert_same(table, expected[kind])


def test_what_is_before_them_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "run.flog", [2 if step % 100 == 0 else 4 for step in range(3000)])  # 12 MB
    assert bytes_read(lambda: trainlog.open(path).table("creature", keys=["step"], last=1)) < 1_000_000
    assert bytes_read(lambda: trainlog.open(path).at(1e9)) < 1_000_000
    assert bytes_read(lambda: trainlog.open(path).table("stats", keys=["step"], last=1)) < 3_000_000
    assert trainlog.open(path).table("stats", keys=["step"], last=2)["step"].tolist() == [2800, 2900]


def test_a_scan_goes_on_behind_them(tmp_path: Path) -> None:
    path = write(tmp_path / "run.flog", [4] * 100)
    reader = trainlog.open(path)
    (batch,) = reader.scan(Scan(kinds="creature", columns=["step"], last=2))
    with trainlog.resume(path) as log:
        log.write(Frame(50.0, Kind.CREATURE, {"step": 1000}))
    (batch,) = reader.scan(Scan(kinds="creature", columns=["step"], after=batch.position))
    assert batch.table["step"].tolist() == [1000]


def test_damage_before_them_is_told_of_when_that_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "run.flog", [4] * 300)
    raw = bytearray(path.read_bytes())
    raw[100_000:105_000] = bytes(5000)
    path.write_bytes(raw)
    reader = trainlog.open(path)
    assert reader.table("creature", keys=["step"], last=2)["step"].tolist() == [298, 299]  # warnings are errors here
    with pytest.raises(CorruptLog):
        asked(reader, kinds="creature", last=2, on_damage="raise")
    gaps: list[trainlog.codec.Gap] = []
    asked(reader, kinds="creature", last=2, on_damage=gaps.append)
    assert gaps


@pytest.mark.parametrize("place", [-20, -5000, -60_000])
def test_damage_among_them_is_told_of(tmp_path: Path, place: int) -> None:
    path = write(tmp_path / "run.flog", [4] * 300)
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
    reader = trainlog.open(path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = reader.table("creature", last=30)
    with warnings.catch_warnings(record=True) as expected:
        warnings.simplefilter("always")
        assert_same(found, FramesOnly(reader).table("creature", last=30))
    assert [str(one.message) for one in told] == [str(one.message) for one in expected]
    assert all(isinstance(one.message, DamagedLogWarning) for one in told)
