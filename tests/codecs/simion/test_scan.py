"""Scans of RLSimion logs: columns, batches, and positions that a scan goes on from."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import by_hand_simion as by_hand
import trainlog
from trainlog import Frame, Kind
from trainlog.codec import Batch, Gap, Position, Reader, Scan
from trainlog.codecs.simion import SimionCodec
from trainlog.errors import CorruptLog, DamagedLogWarning, InvalidPosition, LogNotFound, TruncatedLog
from trainlog.model import Header, Variable
from trainlog.storage.source import Source
from trainlog.table.values import flatten
from trainlog.testing import assert_same_table

pytestmark = pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")

Rows = dict[Kind, list[tuple[int, str]]]


def text_of(frame: Frame) -> str:
    """The frame, for comparisons in which NaN equals itself, and the order of keys does not matter."""
    return repr((frame.time, frame.kind, sorted(flatten(frame.data).items())))


def rows_of(batches: Iterable[Batch]) -> Rows:
    """For each kind the rows, as frames, with their order."""
    rows: Rows = defaultdict(list)
    for batch in batches:
        assert batch.order.dtype == np.int64
        frames = [text_of(frame) for frame in batch.table.frames()]
        rows[batch.table.kind] += zip(batch.order.tolist(), frames, strict=True)
    return {kind: found for kind, found in rows.items() if found}


def frames_of(log: Reader) -> Rows:
    rows: Rows = defaultdict(list)
    for number, frame in enumerate(log.frames(on_damage="ignore")):
        rows[frame.kind].append((number, text_of(frame)))
    return dict(rows)


def made(data: bytes, folder: Path, learned: bytes | None = None, text: bytes | None = None) -> Reader:
    return trainlog.open(by_hand.log(folder, data, text, learned))


def samples_of(episodes: Sequence[int], totals: Sequence[int] | None = None) -> bytes:
    totals = totals or [1] * len(episodes)
    records = [
        by_hand.sample((float(i), 0.0, 0.5, 1.0), episode=episode, total=total)
        for i, (episode, total) in enumerate(zip(episodes, totals, strict=True))
    ]
    return by_hand.functions() + by_hand.declaration() + b"".join(records)


def evaluations(lengths: Sequence[int], *, kind: int = 0) -> bytes:
    """Episodes of so many steps, all of whose values differ."""
    values = itertools.count()
    parts = [by_hand.experiment(len(lengths))]
    for index, length in enumerate(lengths, 1):
        steps = [by_hand.step(i * 3 + 1, (next(values) / 7, 0.5), real=next(values) / 3) for i in range(length)]
        parts += [by_hand.episode(kind, index), *steps, by_hand.END]
    return b"".join(parts)


BATCH_ROWS = [1, 3, None]
LIMITS = st.none() | st.tuples(*[st.none() | st.sampled_from([-1.0, 0, 0.5, 1, 2, 3.0, 50])] * 2)
KINDS = st.none() | st.sets(st.sampled_from([Kind.CREATURE, Kind.EVENT, Kind.STATS, Kind(9)]), max_size=3)
COLUMNS = ["step", "state/a", "reward/b", "stat/column 2", "episode_sim_time", "type", "mean/state/a", "none"]


@given(
    by_hand.logs(),
    st.builds(
        dict,
        kinds=KINDS,
        time=LIMITS,
        steps=LIMITS,
        last=st.none() | st.integers(0, 9),
        columns=st.none() | st.lists(st.sampled_from(COLUMNS), max_size=4),
    ),
)
def test_scan_is_made_of_the_frames(
    tmp_path_factory: pytest.TempPathFactory, log: tuple[bytes, bytes, bytes | None], question: dict[str, Any]
) -> None:
    """The plain way of the base class gives the same tables."""
    data, text, learned = log
    reader = made(data, tmp_path_factory.mktemp("any"), learned, text)
    scan = Scan(**question, batch_rows=None)
    found, expected = list(reader.scan(scan)), list(Reader.scan(reader, scan))
    if question["last"] == 0:
        assert rows_of(found) == rows_of(expected) == {}
        return
    assert [batch.more for batch in found] == [batch.more for batch in expected]
    for batch, other in zip(found, expected, strict=True):
        assert_same_table(batch.table, other.table)
        for key in batch.table:
            assert batch.table.valid(key).tolist() == other.table.valid(key).tolist()
        assert batch.order.tolist() == other.order.tolist()
    assert rows_of(reader.scan(Scan(**question, batch_rows=2))) == rows_of(expected)


@given(by_hand.logs(), KINDS, st.sampled_from(BATCH_ROWS))
def test_what_follows_a_position_is_the_rest(
    tmp_path_factory: pytest.TempPathFactory,
    log: tuple[bytes, bytes, bytes | None],
    kinds: set[Kind] | None,
    batch_rows: int | None,
) -> None:
    data, text, learned = log
    reader = made(data, tmp_path_factory.mktemp("any"), learned, text)
    batches = list(reader.scan(Scan(kinds=kinds, batch_rows=batch_rows)))
    assert not batches[-1].more
    for i, batch in enumerate(batches, 1):
        assert len(batch.position) < 250
        for again in BATCH_ROWS:
            after = Scan(kinds=kinds, batch_rows=again, after=batch.position)
            assert rows_of(reader.scan(after)) == rows_of(batches[i:])


@given(by_hand.logs(), KINDS, st.lists(st.sampled_from(BATCH_ROWS), min_size=1, max_size=3))
def test_every_batch_by_a_scan_of_its_own(
    tmp_path_factory: pytest.TempPathFactory,
    log: tuple[bytes, bytes, bytes | None],
    kinds: set[Kind] | None,
    batch_rows: list[int | None],
) -> None:
    """Batches of other kinds of the same stretch are still to come behind most of the positions."""
    data, text, learned = log
    reader = made(data, tmp_path_factory.mktemp("any"), learned, text)
    batches, position = [], None
    for rows in itertools.cycle(batch_rows):
        batch = next(reader.scan(Scan(kinds=kinds, batch_rows=rows, after=position)))
        batches.append(batch)
        if batch.position == position:
            break
        position = batch.position
    assert rows_of(batches) == rows_of(reader.scan(Scan(kinds=kinds)))


@given(by_hand.logs(), st.sets(st.integers(0, 40)))
def test_take_finds_frames_by_their_order(
    tmp_path_factory: pytest.TempPathFactory, log: tuple[bytes, bytes, bytes | None], orders: set[int]
) -> None:
    data, text, learned = log
    reader = made(data, tmp_path_factory.mktemp("any"), learned, text)
    frames = list(reader.frames(on_damage="ignore"))
    expected = [frames[order] for order in sorted(orders) if order < len(frames)]
    assert repr(list(reader.take(iter(sorted(orders))))) == repr(expected)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("lengths", [[3] * 40, [1, 2] * 9, [5] * 9 + [0, 2] + [4] * 9])
def test_equal_episodes_with_samples_between_them(tmp_path: Path, lengths: list[int], kind: int) -> None:
    """Episodes are passed at once up to the one that a sample belongs to."""
    numbers = [1, 1, 2, 7, 8, 15, 16, 99]
    learned = samples_of(numbers, [number * 5 for number in numbers])
    text = by_hand.descriptor().replace(b'  <Episode-Type Id="1">Training</Episode-Type>\n', b"" if kind == 0 else b" ")
    log = made(evaluations(lengths, kind=kind), tmp_path, learned, text)
    expected = frames_of(log)
    for batch_rows in (1, 3, 7, 50, None):
        batches = list(log.scan(Scan(kinds="creature", batch_rows=batch_rows)))
        assert rows_of(batches) == {Kind.CREATURE: expected[Kind.CREATURE]}
        assert all(batch.table.rows <= (batch_rows or 1000) for batch in batches)
        for i, batch in enumerate(batches, 1):
            assert rows_of(log.scan(Scan(kinds="creature", after=batch.position))) == rows_of(batches[i:])
        assert rows_of(log.scan(Scan(batch_rows=batch_rows))) == expected
    frames = list(log.frames())
    for frame in frames[:: max(len(frames) // 20, 1)]:
        assert log.at(frame.time, frame.kind).time == frame.time
    assert list(log.slice(3.0, 9.0)) == [frame for frame in frames if 3.0 <= frame.time < 9.0]


def test_validity_of_episodes_of_different_width(tmp_path: Path) -> None:
    parts = [by_hand.episode_of([tuple(map(float, range(width)))] * 2) for width in (2, 1, 1, 3, 2)]
    log = made(by_hand.experiment() + b"".join(parts), tmp_path)
    (batch,) = log.scan(Scan(kinds="creature", columns=["stat/column 3", "reward/r", "step"], batch_rows=None))
    assert list(batch.table) == ["stat/column 3", "reward/r", "step"]
    assert batch.table.valid("reward/r").tolist() == [True] * 2 + [False] * 4 + [True] * 4
    assert batch.table.column("reward/r").present.tolist() == batch.table.valid("reward/r").tolist()
    assert batch.table.valid("stat/column 3").tolist() == [False] * 6 + [True] * 2 + [False] * 2
    assert batch.table.valid("step").all()
    assert batch.size == sum(2 * (128 + 8 * width) for width in (2, 1, 1, 3, 2))


def test_sizes_are_the_bytes_of_the_records(tmp_path: Path) -> None:
    data, learned = evaluations([3, 0, 4]), samples_of([1, 3])
    summary = made(data + b"\0" * 200, tmp_path, learned + b"x").summary()
    sizes = {kind: span.size for kind, span in summary.kinds.items()}
    assert sizes == {Kind.STATS: 0, Kind.EVENT: 6 * 128 + 2 * 72, Kind.CREATURE: 7 * 144}
    gaps = sum(gap.size for gap in summary.gaps)
    assert (len(summary.gaps), gaps) == (2, 201)
    heads = 128 + 24 + 168 + len(by_hand.descriptor())
    assert summary.size == sum(sizes.values()) + gaps + heads


class Follower:
    """Scans a log after the last position, again and again."""

    def __init__(
        self, log: Reader, kinds: Any = None, batch_rows: int | None = 2, most_batches: int | None = None
    ) -> None:
        self.log, self.kinds, self.batch_rows, self.most_batches = log, kinds, batch_rows, most_batches
        self.position: Position | None = None
        self.batches: list[Batch] = []

    def poll(self) -> None:
        scan = Scan(kinds=self.kinds, after=self.position, batch_rows=self.batch_rows, on_damage="ignore")
        for batch in itertools.islice(self.log.scan(scan), self.most_batches):
            self.position = batch.position
            self.batches.append(batch)

    def frames(self) -> list[Frame]:
        return sorted((frame for batch in self.batches for frame in batch.table.frames()), key=repr)


def is_sample(frame: Frame) -> bool:
    return frame.data.get("type") == "function_sample"


def grow(path: Path, whole: bytes, size: int) -> None:
    """Append to the file at *path* until it is the first *size* bytes of *whole*."""
    with path.open("ab") as file:
        file.write(whole[file.tell() : size])


@pytest.mark.parametrize("kinds", [None, "creature", ("stats", "event")])
@pytest.mark.parametrize(("stride", "most_batches"), [(1, None), (7, 1), (299, 1)])
@pytest.mark.parametrize("functions", ["before", "with", "after"])
def test_a_growing_log(tmp_path: Path, kinds: Any, stride: int, most_batches: int | None, functions: str) -> None:
    """Nothing is lost and nothing is given twice, wherever in a record the writer is; summaries are the same."""
    data = evaluations([3, 1, 2, 2, 2]) + by_hand.episode(0, 6) + by_hand.step(1, (0.1, 0.2))
    learned = samples_of([1, 2, 2, 4, 9])
    path = by_hand.log(tmp_path, data[:128], learned=learned if functions == "before" else None)
    follower = Follower(trainlog.open(path), kinds, 2 if stride < 100 else None, most_batches)
    steps, samples = (path.with_name(path.name + suffix) for suffix in (".bin", ".functions"))
    for cut in range(129, len(data) + 1, stride):
        grow(steps, data, cut)
        if functions == "with" and cut > 700:
            grow(samples, learned, (cut - 700) * len(learned) // (len(data) - 700))
        follower.poll()
    grow(steps, data, len(data))
    grow(samples, learned, len(learned))
    for _ in range(100):
        follower.poll()
    (*batches,) = trainlog.open(path).scan(Scan(kinds=kinds))
    expected = sorted((frame for batch in batches for frame in batch.table.frames()), key=repr)
    found = follower.frames()
    assert [frame for frame in found if not is_sample(frame)] == [frame for frame in expected if not is_sample(frame)]
    values = sorted(frame.data["values"] for frame in expected if is_sample(frame))
    assert sorted(frame.data["values"] for frame in found if is_sample(frame)) == values
    orders = sorted(order for batch in follower.batches for order in batch.order.tolist())
    assert len(set(orders)) == len(orders)
    if kinds is None:
        assert orders == list(range(len(expected)))
        for kind in (Kind.CREATURE, Kind.STATS):
            mine = [frame for batch in follower.batches if batch.table.kind == kind for frame in batch.table.frames()]
            theirs = [frame for batch in batches if batch.table.kind == kind for frame in batch.table.frames()]
            assert mine == theirs


def test_a_position_behind_one_kind_of_a_stretch(tmp_path: Path) -> None:
    """The rows of the kinds that were given are passed, also where the log has grown since."""
    data, learned = evaluations([3, 2, 2, 2]), samples_of([1, 2, 2, 3])
    cut = 128 + 128 + 3 * 144 + 128 + 128 + 144
    path = by_hand.log(tmp_path, data[:cut], learned=learned[: 24 + 168 + 72])
    log = trainlog.open(path)
    first = list(log.scan(Scan(batch_rows=None)))
    assert [batch.more for batch in first] == [True, True, False]
    path.with_name(path.name + ".bin").write_bytes(data)
    path.with_name(path.name + ".functions").write_bytes(learned)
    whole = frames_of(log)[Kind.EVENT]
    for i, batch in enumerate(first, 1):
        rows = rows_of([*first[:i], *log.scan(Scan(after=batch.position))])
        for kind, expected in frames_of(log).items():
            if kind != Kind.EVENT:
                assert [frame for _, frame in rows[kind]] == [frame for _, frame in expected]
        # The second sample of the second evaluation came late, but it came.
        assert len(rows[Kind.EVENT]) == len(whole)


@pytest.mark.parametrize("kinds", [None, "stats"])
def test_summary_of_an_episode_that_was_read_in_parts(tmp_path: Path, kinds: Any) -> None:
    """Its sums are the same to the last bit, although they are floats."""
    chance = np.random.default_rng(3)
    steps = [by_hand.step(i + 1, tuple(row), real=i / 8) for i, row in enumerate(chance.standard_normal((9000, 2)))]
    data = by_hand.experiment() + by_hand.episode() + b"".join(steps) + by_hand.END
    path = by_hand.log(tmp_path, data[:128])
    follower = Follower(trainlog.open(path), kinds, batch_rows=1000)
    for cut in (500, 100_000, 777_777, 1_200_000, len(data) - 128, len(data) - 127, len(data)):
        grow(path.with_name(path.name + ".bin"), data, cut)
        follower.poll()
    (expected,) = trainlog.open(path).frames("stats")
    (found,) = (frame for frame in follower.frames() if frame.kind == Kind.STATS)
    assert found == Frame(expected.time, Kind.STATS, flatten(expected.data))


def test_only_the_open_episode_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = evaluations([50] * 200)
    path = by_hand.log(tmp_path, data[:-7300])
    log = trainlog.open(path)
    *_, before = log.scan(Scan())
    path.with_name(path.name + ".bin").write_bytes(data)
    seen: list[int] = []
    for name in ("block", "fill"):
        original = getattr(Source, name)

        def spy(self: Source, *args: Any, original: Any = original) -> Any:
            seen.extend(arg for arg in args if isinstance(arg, int))
            return original(self, *args)

        monkeypatch.setattr(Source, name, spy)
    rows = rows_of(log.scan(Scan(after=before.position)))
    assert len(rows[Kind.STATS]) == 1
    assert min(offset for offset in seen if offset > 4096) > len(data) - 3 * 7300


def test_a_log_that_its_own_writer_is_writing(tmp_path: Path) -> None:
    """The writer counts episodes in the file's header, which does not make another log of it."""
    header = Header({"scene": "a"}, 0, (Variable("x", "state", key="state/x"),))
    with SimionCodec().write(tmp_path / "a.simion.log", header) as writer:
        follower = Follower(trainlog.open(tmp_path / "a.simion.log"))
        for episode in range(30):
            writer.write(Frame(episode, Kind.EVENT, {"type": "episode_start"}))
            follower.poll()
            writer.write(Frame(episode + 0.5, Kind.CREATURE, {"step": 1, "state/x": float(episode)}))
            follower.poll()
            writer.write(Frame(episode + 1, Kind.EVENT, {"type": "episode_end"}))
            follower.poll()
    assert rows_of(follower.batches) == frames_of(trainlog.open(tmp_path / "a.simion.log"))


def test_positions_of_another_log_are_refused(tmp_path: Path) -> None:
    data, learned = evaluations([3, 2, 2]), samples_of([1, 2])
    log = made(data, tmp_path, learned)
    (*batches,) = log.scan(Scan(batch_rows=3))
    *_, last = log.scan(Scan())
    path = log.path.with_name(log.path.name + ".bin")
    functions = log.path.with_name(log.path.name + ".functions")

    def refused(position: str, match: str) -> None:
        with pytest.raises(InvalidPosition, match=match):
            list(log.scan(Scan(after=position)))

    for text in ("", "0", "0-", "nonsense", "12-deadbeef", last.position + "0", f"9.{last.position}", "1+2:3-00"):
        refused(text, "is not a position in an RLSimion log")
    path.write_bytes(data[:-1])
    refused(last.position, "shorter")
    assert len(rows_of(log.scan(Scan(after=batches[0].position)))) == 3
    path.write_bytes(data[:-1] + b"1")
    refused(last.position, "not the one that was read")
    path.write_bytes(data)
    functions.write_bytes(learned[:-1])
    refused(last.position, "shorter")
    functions.write_bytes(learned[:-1] + b"1")
    refused(last.position, "not the one that was read")
    functions.unlink()
    with pytest.raises(LogNotFound):
        list(log.scan(Scan(after=last.position)))
    log = trainlog.open(log.path)
    refused(last.position, "shorter")
    path.write_bytes(by_hand.experiment())
    refused(batches[0].position, "shorter")
    (empty,) = log.scan(Scan())
    assert rows_of(log.scan(Scan(after=empty.position))) == {}
    path.write_bytes(data)
    assert rows_of(log.scan(Scan(after=empty.position))) == frames_of(log)


def test_a_position_whose_open_episode_is_none_is_refused(tmp_path: Path) -> None:
    log = made(evaluations([3, 2]), tmp_path)
    *_, batch = itertools.islice(log.scan(Scan(kinds="creature", batch_rows=1)), 2)
    assert ".128." in batch.position
    with pytest.raises(InvalidPosition, match="not the one that was read"):
        list(log.scan(Scan(after=batch.position.replace(".128.", ".256."))))


def test_functions_that_appear_later_and_are_none(tmp_path: Path) -> None:
    log = made(evaluations([3]), tmp_path)
    *_, batch = log.scan(Scan())
    log.path.with_name(log.path.name + ".functions").write_bytes(b"x" * 300)
    gaps: list[Gap] = []
    assert rows_of(log.scan(Scan(after=batch.position, on_damage=gaps.append))) == {}
    assert [(gap.offset, gap.size, gap.file) for gap in gaps] == [(0, 300, "a.simion.log.functions")]


def test_damage_is_told(tmp_path: Path) -> None:
    data = evaluations([3]) + b"?" * 100 + evaluations([2])[128:]
    log = made(data + by_hand.episode()[:50], tmp_path)
    with pytest.warns(DamagedLogWarning, match="skipped 100 bytes"):
        assert log.table("creature").rows == 5
    gaps: list[Gap] = []
    rows = rows_of(log.scan(Scan(on_damage=gaps.append)))
    assert [(gap.size, gap.torn) for gap in gaps] == [(100, False), (50, True)]
    assert rows == frames_of(log)
    with pytest.raises(CorruptLog, match="100 bytes"):
        list(log.scan(Scan(on_damage="raise")))
    with pytest.raises(TruncatedLog, match="50 bytes"):
        list(made(by_hand.experiment() + by_hand.episode()[:50], tmp_path / "b").scan(Scan(on_damage="raise")))


def test_episodes_that_claim_too_many_steps_do_not_overflow(tmp_path: Path) -> None:
    one = by_hand.episode() + by_hand.step(2**48 - 1, (0.0, 1.0)) + by_hand.END
    two = by_hand.episode(1) + by_hand.step(-(2**63), (0.0, 1.0)) + by_hand.step(2**63 - 1, (0.0, 1.0)) + by_hand.END
    log = made(by_hand.experiment() + one * 100 + two * 5, tmp_path, samples_of([1, 2], [2**63 - 1, 8]))
    assert rows_of(log.scan(Scan())) == frames_of(log)
    assert rows_of(log.scan(Scan(kinds="creature"))) == {Kind.CREATURE: frames_of(log)[Kind.CREATURE]}
