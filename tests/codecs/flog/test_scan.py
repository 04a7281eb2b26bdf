"""Scans of FLOG files: batches, positions, live logs, rewinds, arrays of single precision and arrays that are few."""

from __future__ import annotations

import itertools
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codecs.flog.test_columns import creature, files
from tests.handmade import Flog

import trainlog
from trainlog import TrainingRecorder
from trainlog.codec import Batch, Reader
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.errors import InvalidPosition
from trainlog.scan import Scan

pytestmark = pytest.mark.usefixtures("sizes")

Make = Callable[[Sequence[bytes] | bytes], Path]
Rows = list[tuple[int, int, float]]


def rows_in(batch: Batch) -> Rows:
    kind = int(batch.table.kind)
    return [(order, kind, time) for order, time in zip(batch.order.tolist(), batch.table.time.tolist(), strict=True)]


def rows_of(reader: Reader, scan: Scan) -> Rows:
    """Order, kind and time of every row, in the log's order."""
    found: Rows = []
    for batch in reader.scan(scan):
        kind = int(batch.table.kind)
        found += [
            (order, kind, time) for order, time in zip(batch.order.tolist(), batch.table.time.tolist(), strict=True)
        ]
    return sorted(found)


def one_batch_at_a_time(reader: Reader, kinds: Any, batch_rows: Sequence[int | None]) -> Rows:
    """The same by scans of which only the first batch is taken, each after the position of the one before."""
    found: Rows = []
    position = None
    idle = 0
    sizes = itertools.cycle(batch_rows)
    while idle <= len(batch_rows):
        batch = next(reader.scan(Scan(kinds=kinds, after=position, batch_rows=next(sizes))))
        found += rows_in(batch)
        idle = 0 if batch.table.rows else idle + 1
        position = batch.position
    return sorted(found)


def bits(rows: Rows) -> list[tuple[int, int, bytes]]:
    return [(order, kind, np.float64(time).tobytes()) for order, kind, time in rows]


@given(raw=files(), batch_rows=st.lists(st.none() | st.integers(1, 9), min_size=1, max_size=3))
@settings(max_examples=150)
def test_any_file_one_batch_at_a_time(raw: bytes, batch_rows: list[int | None], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("any") / "any.flog"
    path.write_bytes(raw)
    reader = trainlog.open(path, codec="flog")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frames = [(int(frame.kind), np.float64(frame.time).tobytes()) for frame in reader.frames()]
        for kinds in (None, {2}, {2, 4}, {9}):
            every = rows_of(reader, Scan(kinds=kinds))
            assert bits(one_batch_at_a_time(reader, kinds, batch_rows)) == bits(every)
            if kinds is None:
                assert [(kind, np.float64(time).tobytes()) for _, kind, time in every] == frames
                taken = [(int(frame.kind), frame.time) for frame in reader.take([order for order, _, _ in every])]
                assert bits([(0, *one) for one in taken]) == bits([(0, kind, time) for _, kind, time in every])


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
def test_no_row_is_lost_behind_a_damaged_frame_that_was_passed(make: Make) -> None:
    """A stretch of two kinds, given one batch at a time, ends at the same frame for both."""
    frames = [FRAME.pack(i, 2, 8) + b'{"x": %d}' % i for i in range(10)]
    frames[5] = Flog.frame(5.0, 4, {"x": 5})
    frames[6] = FRAME.pack(6.0, 200, 8) + b'{"x":6}'  # a byte was lost, and it is of no kind that is asked for
    reader = trainlog.open(make(Flog.header() + b"".join(frames)), codec="flog")
    kinds = frozenset([2, 4])
    assert one_batch_at_a_time(reader, kinds, [1]) == rows_of(reader, Scan(kinds=kinds))


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
@pytest.mark.parametrize("kinds", [{2}, {2, 4}])
def test_no_row_is_lost_behind_a_frame_that_reaches_into_it(make: Make, kinds: set[int]) -> None:
    """The last byte of a frame of another kind is missing; the next frame's first byte, 0, is as good a number."""
    before = Flog.header() + Flog.frame(1.0, 4, {"x": 1}) + Flog.frame(2.0, 2, {"x": 2})
    whole = before + Flog.frame(3.0, 200, {"x": 3})[:-1]
    whole += b"".join(Flog.frame(i, 2 if i % 2 else 4, {"x": i}) for i in range(4, 9))
    every = rows_of(trainlog.open(make(whole)), Scan(kinds=kinds))
    assert [time for _, _, time in every] == [time for time in (1, 2, 4, 5, 6, 7, 8) if 4 in kinds or time in (2, 5, 7)]
    for cut in range(len(before), len(whole)):
        first = next(trainlog.open(make(whole[:cut])).scan(Scan(kinds=kinds)))
        found, position, more = rows_in(first), first.position, True
        reader = trainlog.open(make(whole))
        while more:
            batch = next(reader.scan(Scan(kinds=kinds, after=position)))
            found, position, more = found + rows_in(batch), batch.position, batch.table.rows > 0
        assert sorted(found) == every, cut


@given(raw=files(), cuts=st.lists(st.floats(0, 1), max_size=6), kinds=st.sampled_from([None, frozenset([2])]))
@settings(max_examples=100)
def test_a_log_that_grows(raw: bytes, cuts: list[float], kinds: Any, tmp_path_factory: Any) -> None:
    """Scans of a file that ends anywhere, then of more of it, give every row once that stands in whole frames."""
    path = tmp_path_factory.mktemp("any") / "any.flog"
    header = len(Flog.header())
    parts = [Flog.frame(i, kind, {"a": i, "b": [0.5] * (i % 5)}) for i, kind in enumerate([2, 4, 4, 2, 3, 4, 2, 2] * 4)]
    whole = Flog.header() + b"".join(parts)
    found: Rows = []
    position = None
    for cut in (*sorted(cuts), 1.0):
        path.write_bytes(whole[: header + int(cut * (len(whole) - header))])
        reader = trainlog.open(path, codec="flog")
        for batch in reader.scan(Scan(kinds=kinds, after=position, batch_rows=3)):
            found += rows_in(batch)
            position = batch.position
    assert sorted(found) == rows_of(reader, Scan(kinds=kinds))


def test_a_log_that_went_back_refuses_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    with TrainingRecorder(path, sync_every=None) as log:
        for step in range(10):
            log.record_stats_frame(None, {"step": step})
        reader = trainlog.open(path)
        positions = [batch.position for batch in reader.scan(Scan(batch_rows=1))]
        log.rewind(5)
        log.record_stats_frame(None, {"step": 6})
        for one in (reader, trainlog.open(path)):
            assert one.table("stats")["step"].tolist() == [0, 1, 2, 3, 4, 5, 6]
            with pytest.raises(InvalidPosition, match="checkpoint"):
                list(one.scan(Scan(after=positions[-1])))
            (batch,) = one.scan(Scan(kinds="stats", after=positions[-1], superseded=True))
            assert batch.table["step"].tolist() == [6]
        (*_, last) = reader.scan()
        log.record_stats_frame(None, {"step": 7})
        (batch,) = reader.scan(Scan(after=last.position))
        assert batch.table["step"].tolist() == [7]
        assert [frame.data["step"] for frame in reader.take(batch.order.tolist())] == [7]


def test_a_scan_ends_where_the_log_ended_when_it_began(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    with TrainingRecorder(path, sync_every=None) as log:
        for step in range(100):
            log.record_stats_frame(None, {"step": step})
        batches = trainlog.open(path).scan(Scan(batch_rows=10))
        rows = next(batches).table.rows
        for step in range(100, 200):
            log.record_stats_frame(None, {"step": step})
        rows += sum(batch.table.rows for batch in batches)
    assert rows == 100


def test_float32_arrays_stay_float32(make: Make) -> None:
    """Also beside what has to be decoded frame by frame, and where some frames have none; scalars are float64."""
    for extra in ({}, {"names": ["a", "b"]}, {"names": [1, "b"]}):
        frames = [
            {"x": np.full((2, 3), i, np.float32), "y": np.float32(i), **(extra if i % 3 else {})} for i in range(60)
        ]
        path = make([Flog.header(), *(Flog.frame(i, 4, trainlog_payload(data)) for i, data in enumerate(frames))])
        table = trainlog.open(path).table("creature")
        assert (table["x"].dtype, table["x"].shape) == (np.float32, (60, 2, 3))
        assert table["x"][59].tolist() == [[59.0] * 3] * 2
        assert table["y"].dtype == np.float64
    mixed = [{"x": np.zeros(3, np.float32)}, {"x": np.zeros(3)}, {}]
    path = make([Flog.header(), *(Flog.frame(i, 4, trainlog_payload(data)) for i, data in enumerate(mixed))])
    assert trainlog.open(path).table("creature")["x"].dtype == np.float64
    path = make([Flog.header(), *(Flog.frame(i, 4, trainlog_payload(data)) for i, data in enumerate(mixed[::2]))])
    table = trainlog.open(path).table("creature")
    assert table["x"].dtype == np.float32
    assert table.valid("x").tolist() == [True, False]


def trainlog_payload(data: dict[str, Any]) -> bytes:
    """The bytes that the writer makes of *data*: it stores np.float32 in four bytes."""
    from trainlog.codecs.frame_payload import encode

    return encode(data)


FEW_IMAGES = """
    import resource, sys
    import numpy as np
    import trainlog
    from pathlib import Path

    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    table = trainlog.open(sys.argv[1]).table("stats")
    assert table.rows == 100_000 and table["reward"].dtype == np.float64
    images = table["image"]
    assert images.dtype == object and table.valid("image").sum() == 1
    assert images[50_000].shape == (84, 84, 3) and images[50_000].sum() == 84 * 84 * 3
    assert np.isnan(images[0])
    if len(sys.argv) > 2:
        from trainlog.cli import cli
        kept = table.to_arrow()["image"]
        assert kept.null_count == 99_999 and kept[50_000].as_py() == images[50_000].tolist()
        cli(["convert", sys.argv[1], sys.argv[2] + ".parquet"], standalone_mode=False)
        back = trainlog.open(sys.argv[2] + ".parquet").table("stats")["image"]
        assert np.array_equal(back[50_000], images[50_000]) and np.isnan(back[0])
        for verb in ("plot", "report"):
            cli([verb, sys.argv[1], "-o", sys.argv[2] + verb], standalone_mode=False)
        trainlog.TrainingCurveRecorder.from_log(sys.argv[1], sys.argv[2]).save()
"""


def test_one_image_among_many_scalars_costs_one_image(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    with TrainingRecorder(path, sync_every=None) as log:
        for step in range(100_000):
            more = {"image": np.ones((84, 84, 3), np.uint8)} if step == 50_000 else {}
            log.record_stats_frame(step / 10, {"step": step, "reward": float(step % 7), **more})
    command = [sys.executable, "-c", textwrap.dedent(FEW_IMAGES), str(path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_stats_beside_creatures_by_one_scan(make: Make) -> None:
    """Batches of several kinds are each of one kind, and take no row twice."""
    parts = [Flog.header()]
    for step in range(300):
        parts.append(Flog.frame(step / 10, 4, creature(step)))
        if step % 7 == 3:
            parts.append(Flog.frame(step / 10, 2, {"step": step}))
    reader = trainlog.open(make(parts))
    tables: dict[int, list[int]] = {}
    for batch in reader.scan(Scan(columns=["step"], batch_rows=50)):
        tables.setdefault(int(batch.table.kind), []).extend(batch.table["step"].tolist())
    assert tables == {4: list(range(300)), 2: list(range(3, 300, 7))}
