from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codecs.flog.conftest import make_small
from tests.codecs.flog.test_columns import assert_same, creature, files, same
from tests.handmade import Flog

import trainlog
from trainlog import Frame, Kind, TrainlogError
from trainlog.codecs.flog.index import index
from trainlog.codecs.flog.index import index_file as cache
from trainlog.codecs.flog.index.index_file import cache_path
from trainlog.codecs.flog.reader import FlogReader
from trainlog.errors import EmptyLog
from trainlog.model import KindLike
from trainlog.storage import source
from trainlog.storage.source import Source
from trainlog.testing import FramesOnly

Make = Callable[[Sequence[bytes] | bytes], Path]


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Small parts, so that a short file has many, and an index on the disk for files above 4 KB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "_PART", 400)
        patch.setattr(index, "_APART", 300)
        patch.setattr(index, "_TOGETHER", 3)
        patch.setattr(cache, "_WORTH", 0)
        patch.setattr(cache, "_SAMPLE", 64)
        patch.setattr(source, "_SAMPLE", 64)
        patch.setattr(cache, "_PAYS", 4096)
        patch.setattr(cache, "_GROWN", 2000)
        make_small(patch)
        yield


def log_of(steps: Sequence[int], times: Sequence[float] | None = None) -> list[bytes]:
    parts = [Flog.header()]
    for i, step in enumerate(steps):
        time = i / 10 if times is None else times[i]
        parts.append(Flog.frame(time, 4, creature(step)))
        if i % 7 == 3:
            parts.append(Flog.frame(time, 2, {"step": step, "reward": step / 3, f"key_{i % 3}": i}))
    return parts


def frames_of(path: Path) -> list[Frame]:
    return list(trainlog.open(path, codec="flog").frames())


class OneKind(FramesOnly):
    """The frames of one kind, those of others passed undecoded, as scans pass them: damage in one may stay unseen."""

    def __init__(self, reader: trainlog.Reader, kind: int) -> None:
        super().__init__(reader)
        self._kind = Kind(kind)

    def frames(self, kind: KindLike | None = None, **options: Any) -> Iterator[Frame]:
        return super().frames(self._kind, **options)


def check(path: Path, kind: int, **ranges: Any) -> None:
    """What is found through the index is what the generic way finds."""
    reader = trainlog.open(path, codec="flog")
    generic = OneKind(reader, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):  # the second time, the reader knows its index
            assert_same(reader.table(kind, **ranges), generic.table(kind, **ranges))
        if "time" in ranges:
            limits = ranges["time"]
            for one, oracle in ((kind, generic), (None, FramesOnly(reader))):
                given = list(reader.slice(*limits, one))
                expected = list(oracle.slice(*limits, one))
                assert [(frame.time, frame.kind) for frame in given] == [(f.time, f.kind) for f in expected]
                assert all(same(dict(a.data), dict(b.data)) for a, b in zip(given, expected, strict=True))
            for time in limits:
                if time is not None:
                    try:
                        state = generic.at(time, kind)
                    except EmptyLog:
                        with pytest.raises(EmptyLog):
                            reader.at(time, kind)
                    else:
                        assert reader.at(time, kind).time == state.time
                        assert same(dict(reader.at(time, kind).data), dict(state.data))


@pytest.mark.parametrize("kind", [2, 4, 3])
@pytest.mark.parametrize(
    "ranges",
    [
        {"time": (3.0, 7.25)},
        {"time": (None, 0.35)},
        {"time": (29, None)},
        {"time": (100, 200)},
        {"steps": (100, 300)},
        {"steps": (None, 5)},
        {"last": 1},
        {"last": 33},
        {"last": 0},
        {"last": 10**6},
        {"time": (5, 20), "steps": (110, None), "last": 7},
    ],
)
def test_ranges(make: Make, kind: int, ranges: dict[str, Any]) -> None:
    check(make(log_of(range(0, 600, 2))), kind, **ranges)
    if kind != 3 and ranges.get("time") != (100, 200):
        check(make(log_of(range(0, 600, 2))), kind, keys=["step"], **ranges)


def test_clock_that_steps_back(make: Make) -> None:
    times = [i / 10 for i in range(200)] + [i / 10 for i in range(120, 300)] + [-5.0, 3.0, 400.0]
    path = make(log_of(range(len(times)), times))
    for limits in ((11, 15), (None, 1), (2.95, 3.05), (-10, 0), (350, None), (19, 31)):
        check(path, 4, time=limits)
        check(path, 2, time=limits)
    assert trainlog.open(path).at(15.0).data["step"] == 381  # the frame of time 3.0 came last
    assert trainlog.open(path).at(-1.0).data["step"] == 380


def test_steps_that_start_again(make: Make) -> None:
    path = make(log_of([*range(200), *range(150, 300)]))
    check(path, 4, steps=(160, 170))
    check(path, 2, steps=(160, 210), last=5)


def test_steps_that_are_missing(make: Make) -> None:
    parts = [Flog.header()]
    for i in range(300):
        step: Any = {0: i, 1: str(i), 2: None, 3: [i], 4: float("nan")}[i % 5]
        parts.append(Flog.frame(i, 4, {"step": step} if i % 11 else {"x": i}))
    path = make(parts)
    check(path, 4, steps=(50, 90))
    check(path, 4, steps=(None, None))
    parts = [Flog.header(), *(Flog.frame(i, 4, {"x": i}) for i in range(300))]
    check(make(parts), 4, steps=(50, 90))
    check(make(parts), 4, steps=(50, 90), keys=["y"])


def test_what_cannot_be_decoded_is_in_no_index(make: Make) -> None:
    """A header that a killed writer left: what it takes for its payload, which begins as JSON, is the next frame's."""
    alone = struct.pack("<dBI", 1.0, 2, 8)
    (time,) = struct.unpack("<d", b"{\0\0\0\0\0\0@")
    path = make([Flog.header(), Flog.frame(0.0, 2, {"x": 0.5}), alone, Flog.frame(time, 4, {"x": 2})])
    reader = trainlog.open(path, codec="flog")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [reader.table(kind).rows for kind in (2, 4, 2, 4)] == [1, 1, 1, 1]


@given(
    raw=files(),
    limits=st.tuples(st.none() | st.integers(-1, 45), st.none() | st.integers(-1, 45)),
    last=st.none() | st.integers(0, 9),
    steps=st.none() | st.tuples(st.none() | st.integers(0, 70_000), st.none() | st.integers(0, 70_000)),
)
@settings(max_examples=150)
def test_any_whole_file(raw: bytes, limits: Any, last: Any, steps: Any, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("any") / "any.flog"
    path.write_bytes(raw)
    for kind in (2, 4):
        check(path, kind)
        check(path, kind, time=limits)
        check(path, kind, last=last)
        check(path, kind, time=limits, last=last, steps=steps)


@given(
    raw=files(),
    hits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=30), st.booleans()), min_size=1),
    kinds=st.permutations([2, 4, 3]),
)
@settings(max_examples=150)
def test_any_damaged_file(raw: bytes, hits: Any, kinds: Any, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("any") / "any.flog"
    damaged = bytearray(raw)
    for where, octets, inserted in hits:
        at = int(where * len(damaged))
        damaged[at : at if inserted else at + len(octets)] = octets
    path.write_bytes(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            reader = trainlog.open(path, codec="flog")
        except TrainlogError:
            return
        for _ in range(2):  # what one reading made known serves the next one
            for kind in kinds:
                assert_same(reader.table(kind), FramesOnly(reader).table(kind))


def test_frames_that_are_few_are_read_by_themselves(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(log_of(range(5600)))
    reader = trainlog.open(path)
    reader.table("creature")
    read: list[int] = []
    fill = Source.fill

    def counted(source: Any, buffer: Any, offset: int) -> int:
        read.append(fill(source, buffer, offset))
        return read[-1]

    monkeypatch.setattr(Source, "fill", counted)
    stats = reader.table("stats", keys=["step"])
    assert stats.rows == 800
    assert sum(read) < path.stat().st_size / 5
    read.clear()
    assert reader.table("stats", last=3)["step"].tolist() == stats["step"][-3:].tolist()
    assert reader.table("stats", time=(100, 101))["step"].tolist() == [1004]
    assert sum(read) < path.stat().st_size / 20


def test_a_reader_that_is_kept_notices_another_log(make: Make) -> None:
    path = make(log_of(range(300)))
    reader = trainlog.open(path)
    before = reader.table("stats")
    reader.table("creature")
    path.write_bytes(b"".join(log_of(range(5000, 5700))))
    for _ in range(2):
        for kind in ("stats", "creature"):
            assert_same(reader.table(kind), FramesOnly(reader).table(kind))
    assert reader.table("stats").rows > before.rows


def test_a_log_that_grows_by_little_has_few_parts(make: Make) -> None:
    parts = log_of(range(300))
    path = make(parts[:10])
    reader = trainlog.open(path, codec="flog")
    assert isinstance(reader, FlogReader)
    for part in parts[10:]:
        with path.open("ab") as file:
            file.write(part)
        assert reader.table("creature", last=1).rows == 1
    assert reader._index is not None
    assert reader._index.parts <= 2 * path.stat().st_size / 200
    assert list(reader._index.offsets) == [2], "creatures came one by one, but are not few"
    check(path, 4, steps=(100, 103))
    assert_same(reader.table("creature", time=(3, 7)), FramesOnly(reader).table("creature", time=(3, 7)))


def test_torn_tail(make: Make) -> None:
    raw = b"".join(log_of(range(300)))
    for cut in (1, 5, 13, 14, 40, 100):
        path = make(raw[:-cut])
        check(path, 4, last=3)
        check(path, 2, time=(20, None))
    path = make(raw + Flog.frame(1.0, 2, {"a": 1})[:13])
    check(path, 2, last=2)


def test_damaged_files_are_read_as_ever(make: Make) -> None:
    parts = log_of(range(300))
    path = make([*parts[:100], b"\x07" * 50, *parts[100:]])
    check(path, 4, time=(5, 20))
    check(path, 2, last=30)
    broken = bytearray(parts[150])
    broken[13] = 0x8F  # the header is sound, the payload is not
    path = make([*parts[:150], bytes(broken), *parts[151:]])
    check(path, 4, time=(None, 20))
    check(path, 4, steps=(0, 250))


def test_the_index_is_kept_beside_large_logs_only(make: Make) -> None:
    small = make(log_of(range(10)))
    assert trainlog.open(small).table("creature", last=1).rows == 1
    assert not cache_path(small).exists()
    for ranges in ({"last": 1}, {}):  # whether the index is needed, or comes by the way
        large = make(log_of(range(300)))
        trainlog.open(large).table("creature", **ranges)
        assert cache_path(large).exists()
        assert cache_path(large).stat().st_size < large.stat().st_size / 2
    open_only = make(log_of(range(300)))
    assert len(list(trainlog.open(open_only).frames("stats"))) == 43
    assert not cache_path(open_only).exists()


class Counting:
    """Counts the bytes that an index is built from."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        follow = index.Chain.follow

        def counted(chain: Any, block: Any, stop: int) -> Any:
            self.bytes += stop
            return follow(chain, block, stop)

        patch.setattr(index.Chain, "follow", counted)

    def of(self, work: Callable[[], object]) -> int:
        self.bytes = 0
        work()
        return self.bytes


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(monkeypatch)


def last_step(path: Path) -> int:
    return int(next(iter(trainlog.open(path).slice(29.75, None, "creature"))).data["step"])


def test_a_kept_index_is_used(make: Make, counting: Counting) -> None:
    path = make(log_of(range(300)))
    assert counting.of(lambda: last_step(path)) > 20_000
    assert counting.of(lambda: last_step(path)) < 1000  # the part that holds it
    reader = trainlog.open(path)
    reader.at(5.0)
    assert counting.of(lambda: reader.slice(3.0, 4.0)) == 0
    assert counting.of(lambda: list(reader.slice(3.0, 4.0))) < 3000
    table = reader.table("creature", steps=(100, 110))
    again = trainlog.open(path)
    assert_same(again.table("creature", steps=(100, 110)), table)


@pytest.mark.parametrize("look", [lambda reader: reader.at(29.0), lambda reader: next(reader.slice(29.0, 30.0))])
def test_the_reader_keeps_an_index_of_which_one_frame_was_asked_for(
    make: Make, counting: Counting, monkeypatch: pytest.MonkeyPatch, look: Callable[[trainlog.Reader], Frame]
) -> None:
    monkeypatch.setattr(cache, "_PAYS", 1 << 30)  # there is no file of it
    reader = trainlog.open(make(log_of(range(300))))
    assert counting.of(lambda: look(reader)) > 20_000
    assert counting.of(lambda: look(reader)) < 3000


def test_an_index_grows_with_the_log(make: Make, counting: Counting) -> None:
    parts = log_of(range(400))
    path = make(parts[:300])
    reader = trainlog.open(path)
    first = reader.table("creature", last=2)
    written = cache_path(path).read_bytes()
    with path.open("ab") as file:
        file.write(b"".join(parts[300:310]) + parts[310][:20])
    for one in (reader, trainlog.open(path)):
        assert counting.of(lambda one=one: one.table("creature", last=2)) < 5000
        check(path, 4, last=3)
    assert cache_path(path).read_bytes() == written  # not worth writing anew
    assert reader.table("creature", last=2)["step"][1] > first["step"][1]
    with path.open("ab") as file:
        file.write(parts[310][20:] + b"".join(parts[311:]))
    check(path, 4, last=30)
    check(path, 2, steps=(390, None))
    assert cache_path(path).read_bytes() != written


_MISFITS = (
    *("another log", "changed in place", "cut"),
    *("index of nonsense", "index cut", "places beyond the end", "old"),
)


@pytest.mark.parametrize("how", _MISFITS)
def test_an_index_that_does_not_fit_is_not_used(make: Make, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(log_of(range(300)))
    check(path, 4, time=(5, 9))
    kept = cache_path(path)
    match how:
        case "another log":
            path.write_bytes(b"".join(log_of(range(1000, 1400), [i / 3 for i in range(400)])))
        case "changed in place":
            raw = bytearray(path.read_bytes())
            raw[-1000:-900] = b"\x07" * 100
            path.write_bytes(raw)
            os.utime(path, ns=(5, 5))
        case "cut":
            path.write_bytes(path.read_bytes()[:9000])
        case "index of nonsense":
            kept.write_bytes(b"nonsense")
        case "index cut":
            kept.write_bytes(kept.read_bytes()[:-300])
        case "places beyond the end":
            with np.load(kept) as file:
                arrays = dict(file)
            assert "offsets_2_length" in arrays
            arrays["offsets_2_length"] += 10**12
            with kept.open("wb") as target:
                np.savez(target, **arrays)
        case "old":
            monkeypatch.setattr(cache, "_VERSION", 99)
    check(path, 2)
    for limits in ((5, 9), (29, None), (100, None)):
        check(path, 4, time=limits)
    check(path, 4, last=5)


def test_parts_without_the_kind_are_not_read(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [Flog.frame(3.0, 3, {"msg": "a"}), Flog.frame(9.0, 3, {"msg": "b"})]
    parts = log_of(range(300))
    torn = Flog.frame(9.0, 2, {"a": 1})
    path = make([*parts[:50], events[0], *parts[50:], events[1], torn[:13]])
    read = 0
    fill = Source.fill

    def counted(source: Any, buffer: Any, offset: int) -> int:
        nonlocal read
        count = fill(source, buffer, offset)
        read += count
        return count

    monkeypatch.setattr(Source, "fill", counted)
    reader = trainlog.open(path)
    first = reader.table("event")
    before, read = read, 0
    reader.at(5.0)
    read = 0
    again = reader.table("event")
    assert read < before / 5
    assert_same(again, first)
    assert again["msg"].tolist() == ["a", "b"]
    with path.open("ab") as file:
        file.write(torn[13:] + b"".join(parts[1:9]) + events[0])
    check(path, 3)
    assert_same(reader.table("event"), FramesOnly(reader).table("event"))


def test_a_folder_that_cannot_be_written(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(log_of(range(300)))
    before = set(path.parent.iterdir())
    monkeypatch.setattr(os, "access", lambda *args: False)
    check(path, 4, last=5)
    assert set(path.parent.iterdir()) == before

    def full(*args: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "access", lambda *args: True)
    monkeypatch.setattr(Path, "replace", full)
    check(path, 4, last=5)
    assert set(path.parent.iterdir()) == before


def test_index_of_parts(make: Make) -> None:
    path = make(log_of(range(300)))
    reader = trainlog.open(path)
    assert isinstance(reader, FlogReader)
    reader.table("stats", steps=(0, 10))
    found = reader._index
    assert found is not None
    assert found.kinds == (2, 4)
    assert found.count(4) == 300
    assert found.count(9) == 0
    assert found.end == path.stat().st_size
    assert found.parts > 20
    assert (np.diff(found.offset) > 0).all()
    few = found.having(4, time=(10.0, 10.3))
    assert 1 <= few.sum() <= 3
    assert found.having(2, steps=(0, 10)).sum() <= 4
    assert found.spans(found.having(4)) == [(int(found.offset[0]), found.end)]


def test_a_reader_with_an_index_is_a_value(make: Make) -> None:
    path = make(log_of(range(300)))
    reader = trainlog.open(path)
    reader.at(3.0)
    copy = pickle.loads(pickle.dumps(reader))
    assert copy.at(3.0).data == reader.at(3.0).data


def test_empty_files(make: Make) -> None:
    for raw in (b"", Flog.header(), Flog.header() + b"\0" * 7):
        check(make(raw), 4, time=(0, 5))
        check(make(raw), 4, last=5)
        check(make(raw), 4, steps=(0, 5))


def test_kinds_that_are_named(make: Make) -> None:
    path = make(log_of(range(50)))
    assert trainlog.open(path).at(2.0, "stats").kind is Kind.STATS
    assert {frame.kind for frame in trainlog.open(path).slice(0, 5, 2)} == {Kind.STATS}
    with pytest.raises(ValueError, match="time is a pair"):
        trainlog.open(path).slice(float("nan"), 2)


def planted(path: Path, save: Callable[..., None] = np.savez, **more: Any) -> Path:
    """An index of that log that leads to nothing, as somebody may have put it there."""
    check(path, 4, time=(5, 9))
    kept = cache_path(path)
    with np.load(kept) as file:
        arrays = dict(file)
    arrays["low"], arrays["high"] = arrays["low"] + 1e6, arrays["high"] + 1e6
    for name in [name for name in arrays if name.startswith("offsets_")]:
        del arrays[name]
    kept.unlink()
    with kept.open("wb") as target:
        save(target, **{**arrays, **more})
    return kept


def test_a_planted_index_would_make_rows_vanish(make: Make) -> None:
    path = make(log_of(range(300)))
    planted(path)
    assert trainlog.open(path).table("creature", time=(5, 9)).rows == 0, "or the next tests test nothing"


def owned_by_another(kept: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(kept, 12345, 12345)


def behind_a_link(kept: Path) -> None:
    kept.symlink_to(kept.rename(kept.with_name("elsewhere")))


def a_pipe(kept: Path) -> None:
    kept.unlink()
    os.mkfifo(kept)


def a_folder(kept: Path) -> None:
    kept.unlink()
    kept.mkdir()


def too_long(kept: Path) -> None:
    with kept.open("ab") as file:
        file.truncate(1 << 20)


def one_bit_flipped(kept: Path) -> None:
    raw = bytearray(kept.read_bytes())
    raw[raw.index(b"high.npy") + 200] ^= 1
    kept.write_bytes(raw)


_UNTRUSTED: dict[str, Callable[[Path], object]] = {
    "owned by another": owned_by_another,
    "anybody may write it": lambda kept: kept.chmod(0o666),
    "a link": behind_a_link,
    "a pipe": a_pipe,
    "a folder": a_folder,
    "too long": too_long,
    "one bit flipped": one_bit_flipped,
}


@pytest.mark.parametrize("how", _UNTRUSTED)
def test_an_index_that_is_not_to_be_trusted_is_not_used(make: Make, how: str) -> None:
    path = make(log_of(range(300)))
    path.chmod(0o644)
    _UNTRUSTED[how](planted(path))
    expected = FramesOnly(trainlog.open(path)).table("creature", time=(5, 9))
    assert expected.rows > 0
    assert_same(trainlog.open(path).table("creature", time=(5, 9)), expected)


def test_an_index_that_expands_is_not_used(make: Make) -> None:
    path = make(log_of(range(300)))
    kept = planted(path, np.savez_compressed, bomb=np.zeros(1 << 24))
    assert kept.stat().st_size < 1 << 18
    tracemalloc.start()
    assert trainlog.open(path).table("creature", time=(5, 9)).rows > 0
    assert tracemalloc.get_traced_memory()[1] < 1 << 23
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["offset", "frames", "low", "high", "kinds"])
@pytest.mark.parametrize("odd", [np.zeros((2, 2)), np.zeros(0, np.int64), np.array("x"), np.arange(5.0)], ids=repr)
def test_arrays_that_are_no_index(make: Make, name: str, odd: Any) -> None:
    path = make(log_of(range(300)))
    planted(path, **{name: odd})
    check(path, 4, time=(5, 9))
    check(path, 2, last=3)


def test_a_broken_frame_of_another_kind_is_passed_by_its_header(make: Make) -> None:
    """What stands in it is no frame of the log, though it looks like one."""
    inside = Flog.frame(5.0, 2, {"step": 5})
    path = make([Flog.header(), Flog.frame(0.0, 2, {"step": 0}), Flog.frame(1.0, 4, b"\x82\xa1a" + inside)])
    check(path, 2)
    assert trainlog.open(path).table("stats")["step"].tolist() == [0]


def test_hidden_frames_are_not_counted_among_the_last(make: Make) -> None:
    """A program may use the kind of checksums for frames of its own."""
    raw = Flog.header() + b"".join(Flog.frame(0, 67, {"step": step}) for step in range(3))
    for step in range(50):
        raw += Flog.frame(step / 10, 4, creature(step))
        raw += Flog.seal(step / 10, raw)
    reader = trainlog.open(make(raw))
    for _ in range(2):
        found = {batch.table.kind: batch.table for batch in reader.scan(trainlog.Scan(last=2))}
        assert found[Kind(67)]["step"].tolist() == [1, 2]
