"""CodecContract: the tests that every codec passes, built-in or a third party's.

::

    class TestMyCodec(CodecContract):
        codec = MyCodec()

Needs pytest. Tests that do not apply, because the codec only reads or only writes, are left out.
"""

from __future__ import annotations

import itertools
import math
import pickle
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from trainlog.codec import Codec, Reader
from trainlog.conventions import RUN_STATE
from trainlog.errors import (
    ClosedLog,
    CodecError,
    EmptyLog,
    InvalidPosition,
    LogExists,
    TrainlogError,
    UnsupportedFrame,
)
from trainlog.model import End, Frame, Header, Kind, Variable
from trainlog.scan import Position, Scan
from trainlog.storage.source import follow
from trainlog.table.builder import table_of
from trainlog.table.table import Table
from trainlog.verification import FramesOnly

__all__ = ["CodecContract", "FramesOnly", "assert_same_table", "same"]


def same(a: Any, b: Any) -> bool:
    """Whether two values of frames are equal, NaN being equal to itself."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return same(np.asarray(a).tolist(), np.asarray(b).tolist())
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _assert_same_frames(frames: Iterable[Frame], expected: Iterable[Frame]) -> None:
    frames, expected = list(frames), list(expected)
    assert [(frame.time, frame.kind) for frame in frames] == [(frame.time, frame.kind) for frame in expected]
    for frame, other in zip(frames, expected, strict=True):
        assert same(dict(frame.data), dict(other.data)), f"{frame} is not {other}"


def assert_same_table(table: Table, expected: Table) -> None:
    """Fail unless *table* is *expected*: its rows, and its columns in their order, with their dtypes and values."""
    assert table.kind == expected.kind
    assert list(table) == list(expected)
    np.testing.assert_array_equal(table.time, expected.time)
    for key, column in expected.items():
        given = table[key]
        if given.dtype == np.float32 and given.ndim > 1:  # frames do not record the width of the floats in a list
            given = given.astype(np.float64)
        assert (given.dtype, given.shape) == (column.dtype, column.shape), key
        np.testing.assert_array_equal(table.valid(key), expected.valid(key), key)
        np.testing.assert_array_equal(table.column(key).present, expected.column(key).present, key)
        values, others = given.tolist(), column.tolist()
        assert list(map(type, values)) == list(map(type, others)), key
        assert same(values, others), key


class CodecContract:
    """Subclass this in a test module, and set these attributes.

    Attributes:
        codec: the codec under test.
        header: a header that it can hold; the default has metadata, a phase, and declared variables.
        frames: frames that it can hold, at least three; the default has all four kinds.
        gaps: stats frames whose ``reward`` is a number, absent, None and NaN; empty for a format that lacks one of
            these.
        live: False for a format whose frames are in the log only after the writer is closed.
        unsupported: a frame that it cannot hold, or None.
        max_cuts: a log of more bytes than this is cut at this many places instead of at every byte.

    """

    codec: ClassVar[Codec]
    header: ClassVar[Header] = Header(
        {"creature": "ant", "seed": 7},
        phase=3,
        variables=(
            Variable("reward", "reward", unit="1/s", low=-1.0, high=1.0),
            Variable("angle", "state", unit="rad", low=-3.14, high=3.14, circular=True, key="pos"),
        ),
    )
    frames: ClassVar[Sequence[Frame]] = (
        Frame(0.0, Kind.EVENT, {"type": "start", "msg": "naïve ☂"}),
        Frame(0.5, Kind.CREATURE, {"step": 0, "pos": [0.0, 0.25, -1.5], "speed": 0.0}),
        Frame(1.0, Kind.STATS, {"step": 10, "reward": -0.5, "fallen": False, "phase": "walk"}),
        Frame(1.5, Kind.CREATURE, {"step": 10, "pos": [1e300, 5e-324, 0.1], "speed": math.inf}),
        Frame(2.0, Kind.STATS, {"step": 20, "reward": math.nan, "fallen": True, "phase": "trot"}),
        Frame(2.5, Kind.EVOLUTION, {"gen": 0, "best": 1.5, "genome": {"freq": [1, 2]}}),
    )
    gaps: ClassVar[Sequence[Frame]] = (
        Frame(0.0, Kind.STATS, {"step": 0, "reward": 1.5}),
        Frame(0.5, Kind.STATS, {"step": 1}),
        Frame(1.0, Kind.STATS, {"step": 2, "reward": None}),
        Frame(1.5, Kind.STATS, {"step": 3, "reward": math.nan}),
    )
    live: ClassVar[bool] = True
    unsupported: ClassVar[Frame | None] = Frame(3.0, Kind.STATS, {"outer": {"bad": object()}})
    max_cuts: ClassVar[int] = 2000

    @property
    def _reads(self) -> bool:
        return type(self.codec).read is not Codec.read

    @property
    def _writes(self) -> bool:
        return type(self.codec).write is not Codec.write

    def _path(self, folder: Path) -> Path:
        return folder / f"log{self.codec.suffixes[0]}"

    def _written(self, folder: Path, frames: Sequence[Frame] | None = None) -> Path:
        """The path of a log in *folder* with *frames*, by default those of the test."""
        if not self._writes:
            pytest.skip(f"{self.codec.name} does not write")
        path, frames = self._path(folder), self.frames if frames is None else frames
        with self.codec.write(path, self.header) as writer:
            assert writer.write_all(frames) == len(frames)
        return path

    def _round_trip(self, folder: Path, frames: Sequence[Frame] | None = None) -> Reader:
        self._need_both()
        return self.codec.read(self._written(folder, frames))

    def _need_both(self, *, live: bool = False) -> None:
        """Skip the test if the codec does not both read and write, or does so only after the writer is closed."""
        if not (self._reads and self._writes):
            pytest.skip(f"{self.codec.name} does not both read and write")
        if live and not self.live:
            pytest.skip(f"{self.codec.name} does not write as frames come")

    def test_names_itself(self) -> None:
        """It has a name, and suffixes in lower case that begin with a dot."""
        assert self.codec.name.isidentifier()
        assert self.codec.suffixes
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in self.codec.suffixes)
        assert self._reads or self._writes

    def test_says_what_it_cannot_do(self, tmp_path: Path) -> None:
        """A direction that it does not support is a typed error."""
        if not self._reads:
            with pytest.raises(CodecError):
                self.codec.read(self._path(tmp_path))
        if not self._writes:
            with pytest.raises(CodecError):
                self.codec.write(self._path(tmp_path), self.header)

    def test_reads_what_it_wrote(self, tmp_path: Path) -> None:
        """Every frame comes back, in order, with its time, kind and data; so do the metadata."""
        reader = self._round_trip(tmp_path)
        _assert_same_frames(reader.frames(on_damage="raise"), self.frames)
        assert same(dict(reader.header.meta), dict(self.header.meta))
        assert reader.header.phase == self.header.phase
        assert reader.header.variables == self.header.variables

    def test_keeps_what_a_run_says_later(self, tmp_path: Path) -> None:
        """If the writer supports it, the last metadata and end that it got are in the header, and add no frames."""
        path = self._path(tmp_path)
        meta = {**self.header.meta, "late": 1}
        end = End("failed", "ValueError: naïve ☂", 2.5, 1_700_000_000.5)
        with self.codec.write(path, replace(self.header, run={"trainlog": "1", "git": {"dirty": True}})) as writer:
            if not (self._reads and writer.keeps_run_state):
                pytest.skip(f"{self.codec.name} has no place for what a run says later")
            for n, frame in enumerate(self.frames):
                writer.write(frame)
                writer.write(Frame(frame.time, RUN_STATE, {"trainlog": 1, "meta": {"late": n, "summary": {"n": n}}}))
            state = {"trainlog": 1, "meta": {"late": 1, "summary": {"best": 1.5}}, "end": asdict(end)}
            writer.write(Frame(self.frames[-1].time, RUN_STATE, state))
        reader = self.codec.read(path)
        assert same(dict(reader.header.meta), {**meta, "summary": {"best": 1.5}})
        assert reader.end == end
        assert reader.header.run == {"trainlog": "1", "git": {"dirty": True}}
        assert [(frame.time, frame.kind) for frame in reader] == [(frame.time, frame.kind) for frame in self.frames]
        assert sum(batch.table.rows for batch in reader.scan()) == len(self.frames)

    def test_accepts_its_own_file(self, tmp_path: Path) -> None:
        """The codec knows its own files."""
        path = self._round_trip(tmp_path).path
        assert self.codec.accepts(path, path.read_bytes()[:4096])

    def test_reader_is_a_value(self, tmp_path: Path) -> None:
        """It can be iterated again, in nested loops, and after it was pickled."""
        reader = self._round_trip(tmp_path)
        pairs = [(outer.time, inner.time) for outer in reader for inner in reader]
        assert len(pairs) == len(self.frames) ** 2
        copy: Reader = pickle.loads(pickle.dumps(reader))
        assert [frame.time for frame in copy] == [frame.time for frame in self.frames]

    def test_frames_of_one_kind(self, tmp_path: Path) -> None:
        """``frames(kind)`` is all frames with the others left out, however the kind is named."""
        reader = self._round_trip(tmp_path)
        for kind in {frame.kind for frame in self.frames} | {Kind.EVENT, Kind(9)}:
            expected = [frame.time for frame in self.frames if frame.kind == kind]
            assert [frame.time for frame in reader.frames(kind)] == expected
            assert [frame.time for frame in reader.frames(str(kind))] == expected

    def test_table_is_the_frames(self, tmp_path: Path) -> None:
        """``table(kind)`` holds the same values as the frames."""
        reader = self._round_trip(tmp_path)
        for kind in {frame.kind for frame in self.frames} | {Kind(9)}:
            expected = table_of(kind, ((frame.time, frame.data) for frame in reader.frames(kind)))
            assert_same_table(reader.table(kind), expected)

    def test_table_of_some_rows_and_columns(self, tmp_path: Path) -> None:
        """With keys and ranges, ``table`` equals what `trainlog.codec.Reader` makes of the frames."""
        reader = self._round_trip(tmp_path)
        oracle = FramesOnly(reader)
        for kind in {frame.kind for frame in self.frames} | {Kind(9)}:
            keys = list(oracle.table(kind))
            for rows in self._choices(kind):
                has = list(oracle.table(kind, **rows))
                for some in (None, [], keys[::-1], *([key] for key in keys), has[::-1], [*has, *has[:1]]):
                    if some is None or set(some) <= set(has) or not has:
                        assert_same_table(reader.table(kind, keys=some, **rows), oracle.table(kind, keys=some, **rows))
                    else:
                        with pytest.raises(KeyError):
                            reader.table(kind, keys=some, **rows)

    def test_table_of_an_unknown_key(self, tmp_path: Path) -> None:
        """A key that no chosen frame has is a KeyError that names it; without chosen frames, it is an empty column."""
        reader = self._round_trip(tmp_path)
        for kind in {frame.kind for frame in self.frames}:
            with pytest.raises(KeyError, match="no such key"):
                reader.table(kind, keys=["no such key"])
            with pytest.raises(KeyError, match="no such key"):
                reader.table(kind, keys=["no such key"], last=1)
            table = reader.table(kind, keys=["no such key"], last=0)
            assert (list(table), table["no such key"].shape) == (["no such key"], (0,))

    @pytest.mark.parametrize(
        "rows",
        [
            {"time": 5},
            {"time": (1.0,)},
            {"time": (math.nan, 2.0)},
            {"time": ("a", None)},
            {"steps": (1, 2, 3)},
            {"steps": (None, math.nan)},
            {"last": -1},
        ],
    )
    def test_ranges_that_are_none(self, tmp_path: Path, rows: dict[str, Any]) -> None:
        """A range that is not a pair of numbers, or a *last* below 0, is a ValueError that names the argument."""
        reader = self._round_trip(tmp_path)
        for kind in {frame.kind for frame in self.frames} | {Kind(9)}:
            with pytest.raises(ValueError, match=next(iter(rows))):
                reader.table(kind, **rows)

    def test_slice_is_the_frames_between(self, tmp_path: Path) -> None:
        """``slice`` yields the frames from one time to before another, in the log's order."""
        reader = self._round_trip(tmp_path)
        oracle = FramesOnly(reader)
        for kind in (None, *{frame.kind for frame in self.frames}, Kind(9)):
            for start, stop in self._time_ranges():
                _assert_same_frames(reader.slice(start, stop, kind), oracle.slice(start, stop, kind))
        with pytest.raises(ValueError, match="time"):
            list(reader.slice(math.nan))

    def test_at_is_the_last_frame_until_then(self, tmp_path: Path) -> None:
        """``at`` returns the last frame of a kind in the log that is not later; EmptyLog if there is none."""
        reader = self._round_trip(tmp_path)
        times = [frame.time for frame in self.frames]
        for kind in {frame.kind for frame in self.frames} | {Kind(9)}:
            for time in (*times, *(time - 0.01 for time in times), -math.inf, math.inf):
                until = [frame for frame in reader.frames(kind) if frame.time <= time]
                if until:
                    _assert_same_frames([reader.at(time, kind)], until[-1:])
                else:
                    with pytest.raises(EmptyLog):
                        reader.at(time, kind)
            with pytest.raises(ValueError, match="time"):
                reader.at(math.nan, kind)

    def _time_ranges(self) -> Iterator[tuple[float | None, float | None]]:
        """Ranges that begin at the time of a frame, which includes it, or end at one, which excludes it."""
        times = [frame.time for frame in self.frames]
        yield from [(None, None), (times[-1], times[0]), (times[-1] + 1.0, None), (-math.inf, math.inf)]
        for time in times:
            yield from [(time, None), (None, time), (times[1], time)]

    def _choices(self, kind: Kind) -> Iterator[dict[str, Any]]:
        """Choices of rows for ``table``."""
        steps = [frame.data["step"] for frame in self.frames if frame.kind == kind and "step" in frame.data]
        times = list(self._time_ranges())
        yield {}
        yield from ({"last": count} for count in (0, 1, 2, 100))
        yield from ({"time": limits} for limits in times)
        for limits in [(None, None), *((step, None) for step in steps), *((None, step + 0.5) for step in steps)]:
            yield {"steps": limits}
            yield {"steps": limits, "last": 1}
            yield {"steps": limits, "time": times[-1]}
        yield from ({"time": limits, "last": 1} for limits in times)

    def _rows(self, reader: Reader, scan: Scan) -> dict[Kind, list[tuple[int, Frame]]]:
        """The rows that a scan gives, by kind, each with its order."""
        found: dict[Kind, list[tuple[int, Frame]]] = {}
        for batch in reader.scan(scan):
            rows = list(zip(batch.order.tolist(), batch.table.frames(), strict=True))
            assert [order for order, _ in rows] == sorted({order for order, _ in rows}), "orders do not rise"
            if rows:
                found.setdefault(batch.table.kind, []).extend(rows)
        return found

    def test_scan_goes_on_after_any_position(self, tmp_path: Path) -> None:
        """After the position of any batch a scan yields the rows that are left, no more and no less."""
        reader = self._round_trip(tmp_path)
        for kinds in (None, *({frame.kind} for frame in self.frames), {Kind.STATS, Kind.CREATURE}):
            every = self._rows(reader, Scan(kinds=kinds))
            assert sum(map(len, every.values())) == sum(kinds is None or frame.kind in kinds for frame in self.frames)
            for size in (1, 2, None):
                given: dict[Kind, int] = {}
                for batch in reader.scan(Scan(kinds=kinds, batch_rows=size)):
                    given[batch.table.kind] = given.get(batch.table.kind, 0) + batch.table.rows
                    copy: Reader = pickle.loads(pickle.dumps(reader))
                    rest = self._rows(copy, Scan(kinds=kinds, after=str(batch.position), batch_rows=size))
                    for kind, rows in every.items():
                        left = rows[given.get(kind, 0) :]
                        assert [order for order, _ in rest.get(kind, [])] == [order for order, _ in left]
                        assert same(
                            [dict(frame.data) for _, frame in rest.get(kind, [])], [dict(f.data) for _, f in left]
                        )

    def test_scans_of_one_batch_each(self, tmp_path: Path) -> None:
        """Scans that stop after one batch, each resuming after the position of the previous one, give all rows."""
        reader = self._round_trip(tmp_path)
        for sizes in ((1,), (2, 1), (None, 1), (1, None)):
            seen: list[int] = []
            position: Position | None = None
            for size in sizes * (2 * len(self.frames) + 2):
                batch = next(reader.scan(Scan(after=position, batch_rows=size)))
                seen += batch.order.tolist()
                position = batch.position
            assert sorted(seen) == sorted(order for rows in self._rows(reader, Scan()).values() for order, _ in rows)

    def test_take_finds_the_frames_of_a_scan(self, tmp_path: Path) -> None:
        """``take`` yields the whole frames at the orders that a scan gave."""
        reader = self._round_trip(tmp_path)
        orders = sorted(order for rows in self._rows(reader, Scan(columns=())).values() for order, _ in rows)
        for step in (1, 2):
            _assert_same_frames(reader.take(orders[::step]), self.frames[::step])
        assert list(reader.take([])) == []

    def test_scan_follows_a_growing_log(self, tmp_path: Path) -> None:
        """Scans after a position, again and again while the log grows, give every row once."""
        self._need_both(live=True)
        path = self._path(tmp_path)
        position: Position | None = None
        seen: list[tuple[int, float]] = []
        with self.codec.write(path, self.header) as writer:
            reader = self.codec.read(path)
            for frame in (*self.frames, None):
                for batch in reader.scan(Scan(after=position, batch_rows=1)):
                    seen += zip(batch.order.tolist(), batch.table.time.tolist(), strict=True)
                    position = batch.position
                if frame is not None:
                    writer.write(frame)
        assert [time for _, time in sorted(seen)] == [frame.time for frame in self.frames]

    def test_a_position_of_another_log_is_refused(self, tmp_path: Path) -> None:
        """A log that was replaced or cut refuses a position, and every log refuses bytes that are not a position."""
        reader = self._round_trip(tmp_path)
        (*_, last) = reader.scan()
        others = {
            "order": (*self.frames[:1], *self.frames[2:], self.frames[1]),
            "short": self.frames[:1],
            "values": self._with_other_values(),
        }
        for name, frames in others.items():
            with pytest.raises(InvalidPosition):
                list(self._round_trip(tmp_path / name, frames).scan(Scan(after=last.position)))
        for nonsense in ("", "x", "1" * 400, "-1-"):
            with pytest.raises(InvalidPosition):
                list(reader.scan(Scan(after=nonsense)))

    def _with_other_values(self) -> list[Frame]:
        """The frames, with the data of two of the same kind swapped."""
        frames = list(self.frames)
        one, two = next(
            (one, two)
            for one, two in itertools.combinations(range(len(frames)), 2)
            if frames[one].kind == frames[two].kind and frames[one].data != frames[two].data
        )
        first, second = frames[one], frames[two]
        frames[one] = Frame(first.time, first.kind, second.data)
        frames[two] = Frame(second.time, second.kind, first.data)
        return frames

    def test_absent_null_and_nan_are_three_things(self, tmp_path: Path) -> None:
        """A column knows which rows have a value, which are null, and which lack the key."""
        if not self.gaps:
            pytest.skip(f"{self.codec.name} has no gaps")
        table = self._round_trip(tmp_path, self.gaps).table("stats")
        assert table.valid("reward").tolist() == [True, False, False, True]
        assert table.column("reward").present.tolist() == [True, False, True, True]
        assert same(table["reward"].tolist(), [1.5, math.nan, math.nan, math.nan])
        assert same([dict(frame.data) for frame in table.frames()], [dict(frame.data) for frame in self.gaps])

    def test_summary_counts_every_frame(self, tmp_path: Path) -> None:
        """``summary()`` counts what ``frames()`` yields, and finds no damage."""
        reader = self._round_trip(tmp_path)
        summary = reader.summary()
        assert summary.frames == len(self.frames)
        assert not summary.gaps
        assert summary.duration == self.frames[-1].time

    def test_log_without_frames(self, tmp_path: Path) -> None:
        """A log that was closed at once can be read."""
        self._need_both()
        path = self._path(tmp_path)
        self.codec.write(path, self.header).close()
        assert list(self.codec.read(path).frames(on_damage="raise")) == []

    def test_never_overwrites(self, tmp_path: Path) -> None:
        """An existing log stays as it is."""
        path = self._written(tmp_path)
        before = path.read_bytes()
        with pytest.raises(LogExists):
            self.codec.write(path, self.header)
        assert path.read_bytes() == before

    def test_closed_log_takes_no_frames(self, tmp_path: Path) -> None:
        """``close`` can be called again, ``write`` cannot."""
        if not self._writes:
            pytest.skip(f"{self.codec.name} does not write")
        writer = self.codec.write(self._path(tmp_path), self.header)
        writer.close()
        writer.close()
        with pytest.raises(ClosedLog):
            writer.write(self.frames[0])

    def test_unsupported_value_leaves_the_log_whole(self, tmp_path: Path) -> None:
        """A value that cannot be stored is an error that names its key; the other frames are there."""
        if self.unsupported is None or not (self._reads and self._writes):
            pytest.skip("there is nothing that it cannot hold")
        path = self._path(tmp_path)
        with self.codec.write(path, self.header) as writer:
            writer.write(self.frames[0])
            with pytest.raises(UnsupportedFrame) as caught:
                writer.write(self.unsupported)
            assert caught.value.key
            writer.write(self.frames[1])
        assert [frame.time for frame in self.codec.read(path).frames(on_damage="raise")] == [
            frame.time for frame in self.frames[:2]
        ]

    def test_cut_anywhere(self, tmp_path: Path) -> None:
        """In a log that ends too early, the whole frames before the cut are read, or the error is a typed one."""
        path = self._round_trip(tmp_path).path
        whole = path.read_bytes()
        ends = self._ends_of_frames(tmp_path / "again", whole)
        cuts: Sequence[int] = range(len(whole))
        if len(whole) > self.max_cuts:
            cuts = sorted(random.Random(0).sample(cuts, self.max_cuts))
        counts = []
        for cut in cuts:
            path.write_bytes(whole[:cut])
            promised = sum(end <= cut for end in ends)
            try:
                reader = self.codec.read(path)
                back = list(reader.frames())
                rows = sum(batch.table.rows for batch in reader.scan())
            except TrainlogError:
                assert not promised, f"the first {cut} bytes hold {promised} whole frames"
                continue
            assert rows == len(back) >= promised, f"the first {cut} bytes hold {promised} whole frames"
            _assert_same_frames(back[: len(self.frames)], self.frames[: len(back)])
            counts.append(len(back))
        assert counts == sorted(counts), "a longer file gave fewer frames"

    def test_pieces_of_a_file_hold_whole_frames(self, tmp_path: Path) -> None:
        """As `Reader.frame_end` says, if it is supported; these pieces of a growing log are what is uploaded."""
        reader = self._round_trip(tmp_path / "log")
        path = reader.path
        whole, at = path.read_bytes() if path.is_file() else b"", 0
        for count in itertools.count():
            end = reader.frame_end(at, 1)
            if end is None or end == at:
                break
            piece = tmp_path / "pieces" / str(count) / path.name
            piece.parent.mkdir(parents=True)
            piece.write_bytes(whole[:end])
            found = list(self.codec.read(piece).frames(on_damage="raise"))
            assert same([frame.data for frame in found], [frame.data for frame in reader][: len(found)])
            at = end
        assert end is None or at == len(whole) == reader.frame_end(0, len(whole))

    def _ends_of_frames(self, folder: Path, whole: bytes) -> list[int]:
        """How long the file was after each frame, as far as it was a prefix of the *whole* file."""
        path = self._path(folder)
        ends: list[int] = []
        with self.codec.write(path, self.header) as writer:
            for frame in self.frames:
                writer.write(frame)
                if path.exists() and whole.startswith(path.read_bytes()):
                    ends.append(path.stat().st_size)
        assert ends or not self.live, "no frame was in the file when its write had returned"
        return ends if self.live else []

    def test_follows_a_growing_log(self, tmp_path: Path) -> None:
        """A reader sees each frame that is written while it waits, and ends when waiting ends."""
        self._need_both(live=True)
        path = self._path(tmp_path)
        done = threading.Event()
        seen: list[float] = []
        with self.codec.write(path, self.header) as writer:
            writer.write(self.frames[0])
            reader = self.codec.read(path)

            def read() -> None:
                seen.extend(frame.time for frame in reader.frames(wait=follow(0.001, until=done.is_set)))

            thread = threading.Thread(target=read)
            thread.start()
            for frame in self.frames[1:]:
                writer.write(frame)
        done.set()
        thread.join(30)
        assert not thread.is_alive()
        assert seen == [frame.time for frame in self.frames]
