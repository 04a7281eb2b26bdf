"""Event files of TensorBoard: read on bytes that are built by hand, and beside TensorBoard's own reader."""

from __future__ import annotations

import io
import json
import math
import struct
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture

import trainlog
from handmade import Flog
from trainlog import Frame, Kind, TrainingRecorder
from trainlog.cli import main
from trainlog.codec import Scan
from trainlog.codecs.tensorboard.events import EventParser, packed_event, packed_scalars
from trainlog.errors import CorruptLog, DamagedLogWarning, InvalidPosition, MissingExtra, TruncatedLog, UnknownFormat
from trainlog.integrations.torch import SummaryWriter
from trainlog.media import MediaRecorder, media_file
from trainlog.scan import Gap

pytest.importorskip("crc32c")

BEGAN = 1_700_000_000.0


def crc32c(data: bytes) -> int:
    """Castagnoli's polynomial, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + masked(length) + message + masked(message)


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    return (bytes([number & 0x7F | 0x80]) + varint(number >> 7)) if number > 0x7F else bytes([number])


def part(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def event(seconds: float, step: int, content: bytes) -> bytes:
    return record(b"\x09" + struct.pack("<d", BEGAN + seconds) + b"\x10" + varint(step) + content)


def scalar(seconds: float, step: int, tag: str, number: float) -> bytes:
    value = part(1, tag.encode()) + b"\x15" + struct.pack("<f", number)
    return event(seconds, step, part(5, part(1, value)))


FIRST = record(b"\x09" + struct.pack("<d", BEGAN) + part(3, b"brain.Event:2"))
THREE = [scalar(1, 10, "loss", 0.5), scalar(1.25, 10, "reward", -2), scalar(2, 20, "loss", 0.25)]


def written(folder: Path, *records: bytes, name: str = "events.out.tfevents.1700000000.host") -> Path:
    path = folder / name
    path.write_bytes(FIRST + b"".join(records))
    return path


def rows(path: Path) -> list[tuple[float, dict[Any, Any]]]:
    return [(frame.time, dict(frame.data)) for frame in trainlog.open(path).frames("stats")]


def test_an_event_with_keys_that_json_refuses_is_written(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "a.tfevents") as writer:
        writer.write(Frame(0.0, Kind.EVENT, {"type": "odd", "map": {(1, 2): 5, b"b": float("nan")}}))
    (frame,) = trainlog.open(tmp_path / "a.tfevents").frames("event")
    assert frame.data["msg"] == '{"type": "odd", "map": {"(1, 2)": 5, "b\'b\'": NaN}}'


def test_text_that_utf8_cannot_spell_is_written(tmp_path: Path) -> None:
    """A payload in JSON may hold it."""
    text = b'{"type": "odd", "msg": "a\\ud800"}'
    (tmp_path / "a.flog").write_bytes(Flog.header({"task": "\ud800"}) + Flog.frame(0.0, 3, text))
    trainlog.convert(tmp_path / "a.flog", tmp_path / "a.tfevents")
    log = trainlog.open(tmp_path / "a.tfevents")
    assert [frame.data["msg"] for frame in log.frames("event")] == ["a\\ud800"]
    assert log.header.meta["task"] == "\\ud800"


def test_scalars_of_one_step_are_one_frame(tmp_path: Path) -> None:
    path = written(tmp_path, *THREE)
    assert rows(path) == [(1, {"step": 10, "loss": 0.5, "reward": -2}), (2, {"step": 20, "loss": 0.25})]
    table = trainlog.open(path).table("stats")
    assert table["step"].tolist() == [10, 20]
    assert table["reward"][0] == -2
    assert np.isnan(table["reward"][1])
    assert trainlog.open(path).header.meta["wall"] == BEGAN


def test_a_tag_that_comes_again_begins_a_frame(tmp_path: Path) -> None:
    path = written(tmp_path, *(scalar(0, 5, tag, number) for number, tag in enumerate("abaab")))
    assert [row for _, row in rows(path)] == [
        {"step": 5, "a": 0, "b": 1},
        {"step": 5, "a": 2},
        {"step": 5, "a": 3, "b": 4},
    ]


def test_negative_and_absent_steps_and_a_tag_named_step(tmp_path: Path) -> None:
    value = part(1, b"x") + b"\x15" + struct.pack("<f", 1.5)
    bare = record(b"\x09" + struct.pack("<d", BEGAN) + part(5, part(1, value)))
    path = written(tmp_path, bare, scalar(0, -3, "step", 7))
    assert [row for _, row in rows(path)] == [{"step": 0, "x": 1.5}, {"step": -3, "step#2": 7}]


def test_a_file_cut_anywhere_gives_its_whole_records(tmp_path: Path) -> None:
    whole = FIRST + b"".join(THREE)
    ends = [len(FIRST), *(len(FIRST) + sum(map(len, THREE[:n])) for n in (1, 2, 3))]
    for size in range(len(FIRST), len(whole) + 1):
        path = tmp_path / "events.out.tfevents.1"
        path.write_bytes(whole[:size])
        gaps: list[Gap] = []
        found = list(trainlog.open(path).frames(on_damage=gaps.append))
        count = sum(size >= end for end in ends) - 1
        assert sum(len(frame.data) - 1 for frame in found) == count
        assert [(gap.offset, gap.torn) for gap in gaps] == ([] if size in ends else [(ends[count], True)])
    path.write_bytes(whole[:-1])
    with pytest.raises(TruncatedLog):
        list(trainlog.open(path).frames(on_damage="raise"))


@pytest.mark.parametrize("at", [0, 5, 9, 12, 20, 30, -2])
def test_a_flipped_bit_costs_one_record(tmp_path: Path, at: int) -> None:
    """TensorBoard's reader stops at it."""
    damaged = bytearray(THREE[1])
    damaged[at] ^= 4
    path = written(tmp_path, THREE[0], bytes(damaged), THREE[2])
    with pytest.warns(DamagedLogWarning):
        assert [row for _, row in rows(path)] == [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}]
    verdict = trainlog.open(path).verify()
    assert [(problem.offset, problem.size) for problem in verdict.problems] == [
        (len(FIRST) + len(THREE[0]), len(THREE[1]))
    ]
    with pytest.raises(CorruptLog):
        list(trainlog.open(path).frames(on_damage="raise"))


def test_a_repaired_log_has_every_whole_record_as_it_was(tmp_path: Path) -> None:
    """Also what a conversion cannot keep: graphs, doubles, histograms of TensorFlow 2."""
    double = event(4, 40, part(5, part(1, part(1, b"x") + part(8, b"\x08\x02" + part(6, struct.pack("<d", 0.1))))))
    records = [*THREE, event(3, 30, part(4, b"a graph")), double]
    folder = tmp_path / "run"
    folder.mkdir()
    written(folder, *records, THREE[0][:-1])
    written(folder, b"\xff" * 99, *THREE, name="events.out.tfevents.1700000900.host").chmod(0o640)
    done = trainlog.repair(folder, tmp_path / "b.tfevents")
    assert (done.complete, done.lost_bytes) == (False, len(THREE[0]) - 1 + 99)
    assert (tmp_path / "b.tfevents").read_bytes() == FIRST + FIRST + b"".join(records) + FIRST + b"".join(THREE)
    assert (tmp_path / "b.tfevents").stat().st_mode & 0o111 == 0
    assert trainlog.verify(tmp_path / "b.tfevents").whole
    frames = list(trainlog.open(tmp_path / "b.tfevents"))
    assert frames == list(trainlog.open(folder).frames(on_damage="ignore"))
    assert dict(done.kept) == Counter(frame.kind for frame in frames)


def test_a_folder_is_one_log_in_the_order_of_its_files(tmp_path: Path) -> None:
    written(tmp_path, THREE[2], name="events.out.tfevents.1700000900.host")
    written(tmp_path, *THREE[:2], name="events.out.tfevents.1700000001.host")
    (tmp_path / "notes.txt").write_text("no log")
    assert [row["step"] for _, row in rows(tmp_path)] == [10, 20]
    assert trainlog.open(tmp_path).summary().kinds[Kind.STATS].frames == 2


@pytest.mark.parametrize("other", [FIRST[:20], FIRST[:30] + b"?" + FIRST[31:] + THREE[0], b"notes"])
def test_a_file_without_its_first_record_does_not_hide_the_others(tmp_path: Path, other: bytes) -> None:
    written(tmp_path, *THREE[:2])
    (tmp_path / "events.out.tfevents.1700000009.host").write_bytes(other)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedLogWarning)
        found = rows(tmp_path)
    assert found[0] == (1.0, {"step": 10, "loss": 0.5, "reward": -2.0})
    assert len(found) == 1 + (THREE[0] in other)
    (problem,) = trainlog.verify(tmp_path).problems
    assert (problem.damage, problem.file) == (True, "events.out.tfevents.1700000009.host")


def test_a_scan_goes_on_behind_any_position(tmp_path: Path) -> None:
    path = written(tmp_path, *(scalar(n / 3, n // 3, "abc"[n % 3], n) for n in range(30)))
    reader = trainlog.open(tmp_path)
    whole = list(reader.scan(Scan(kinds="stats", batch_rows=1)))
    assert sum(batch.table.rows for batch in whole) == 10
    for i, batch in enumerate(whole):
        rest = list(reader.scan(Scan(kinds="stats", batch_rows=None, after=batch.position)))
        assert sum(one.table.rows for one in rest) == 9 - i
    assert [frame.data["a"] for frame in reader.take(int(batch.order[0]) for batch in whole)] == list(range(0, 30, 3))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InvalidPosition):
        list(reader.scan(Scan(after=whole[-1].position)))


def test_what_is_written_later_and_a_second_file_are_read_behind_a_position(tmp_path: Path) -> None:
    path = written(tmp_path, *THREE[:2])
    reader = trainlog.open(tmp_path)
    (batch,) = reader.scan(Scan())
    with path.open("ab") as file:
        file.write(THREE[2])
    written(tmp_path, scalar(9, 30, "loss", 8), name="events.out.tfevents.1700000900.host")
    (more,) = reader.scan(Scan(after=batch.position))
    assert more.table["loss"].tolist() == [0.25, 8]
    assert more.table.time.tolist() == [2, 9]


def test_several_writers_of_one_folder_are_followed(tmp_path: Path) -> None:
    one = written(tmp_path, *THREE[:2])
    two = written(tmp_path, scalar(2, 0, "eval", 1), name="events.out.tfevents.1700000001.host")
    added = [(one, scalar(3, 30, "loss", 8)), (two, scalar(4, 10, "eval", 2)), (one, scalar(5, 40, "loss", 9))]

    def wait() -> bool:
        if not added:
            return False
        path, more = added.pop(0)
        with path.open("ab") as file:
            file.write(more)
        return True

    found = [frame.data for frame in trainlog.open(tmp_path).frames(wait=wait)]
    assert [data["step"] for data in found] == [10, 0, 30, 10, 40]
    assert [data.get("loss") for data in found] == [0.5, None, 8, None, 9]


def test_all_that_is_no_number_is_an_event(tmp_path: Path) -> None:
    text = part(1, b"note") + part(8, b"\x08\x07" + part(8, "naïve ☂".encode())) + part(9, part(1, part(1, b"text")))
    image = part(1, b"view") + part(4, b"\x08\x02\x10\x03\x18\x03" + part(4, b"PNG"))
    limits, counts = struct.pack("<2d", 0.5, 1), struct.pack("<2d", 3, 1)
    histogram = part(1, b"w") + part(5, b"\x19" + struct.pack("<d", 4) + part(6, limits) + part(7, counts))
    audio = part(1, b"sound") + part(6, b"")
    path = written(tmp_path, *(event(1, 7, part(5, part(1, one))) for one in (text, image, histogram, audio)))
    found = [dict(frame.data) for frame in trainlog.open(path)]
    assert found[0] == {"type": "text", "tag": "note", "msg": "naïve ☂", "step": 7}
    assert found[1]["image"] == b"PNG"
    assert (found[1]["height"], found[1]["width"]) == (2, 3)
    assert (found[2]["limits"], found[2]["counts"], found[2]["num"]) == ([0.5, 1], [3, 1], 4)
    assert found[3] == {"type": "not kept", "tag": "sound", "msg": "audio", "step": 7}


def test_one_event_of_numbers_and_more_is_found_again(tmp_path: Path) -> None:
    number = part(1, b"loss") + b"\x15" + struct.pack("<f", 2)
    audio = part(1, b"sound") + part(6, b"")
    path = written(tmp_path, THREE[0], event(3, 9, part(5, part(1, audio) + part(1, number) + part(1, audio))))
    reader = trainlog.open(path)
    orders = sorted(int(order) for batch in reader.scan() for order in batch.order)
    assert [frame.kind for frame in reader.take(orders)] == [2, 2, 3, 3]
    assert [next(reader.take([order])) for order in orders] == list(reader)


def test_a_scan_goes_on_in_the_middle_of_an_event(tmp_path: Path) -> None:
    number = part(1, b"loss") + b"\x15" + struct.pack("<f", 2)
    sounds = [part(1, b"sound %d" % n) + part(6, b"") for n in range(3)]
    many = event(3, 9, part(5, b"".join(part(1, one) for one in (number, *sounds))))
    written(tmp_path, THREE[0], many, many, scalar(4, 10, "loss", 1))
    reader = trainlog.open(tmp_path)
    total = len(list(reader))
    whole = list(reader.scan(Scan(batch_rows=1)))
    assert sum(batch.table.rows for batch in whole) == total == 10
    for i, batch in enumerate(whole):
        rest = list(reader.scan(Scan(after=batch.position)))
        assert sum(one.table.rows for one in rest) == total - 1 - i


@pytest.mark.parametrize(
    ("dtype", "content", "number"),
    [
        (1, part(4, struct.pack("<f", 1.5)), 1.5),
        (2, part(6, struct.pack("<d", 0.1)), 0.1),
        (9, part(10, varint(-5)), -5),
        (10, b"\x58\x01", True),
        (3, b"\x38" + varint(-2), -2),
    ],
)
def test_tensors_of_one_number_are_scalars(tmp_path: Path, dtype: int, content: bytes, number: float) -> None:
    path = written(tmp_path, event(0, 1, part(5, part(1, part(1, b"x") + part(8, b"\x08" + varint(dtype) + content)))))
    assert rows(path) == [(0, {"step": 1, "x": number})]


def test_hostile_messages_are_told(tmp_path: Path) -> None:
    shape = part(2, part(2, b"\x08" + varint(1 << 40)))
    huge = part(5, part(1, part(1, b"x") + part(8, b"\x08\x01" + shape)))
    bad = [event(0, 1, huge), record(b"\x09abc"), record(b"\xff" * 40), event(0, 2, b"\x2b"), record(b"")]
    found = [frame.data["type"] for frame in trainlog.open(written(tmp_path, *bad))]
    assert found == ["not kept"] * 4


def test_an_event_that_cannot_be_read_has_its_time(tmp_path: Path) -> None:
    reader = trainlog.open(written(tmp_path, *THREE, event(5, 1, b"\x2b"), record(b"\xff" * 40)))
    assert [frame.time for frame in reader] == [1, 2, 5, 0]
    orders = sorted(int(order) for batch in reader.scan() for order in batch.order)
    assert [next(reader.take([order])) for order in orders] == list(reader)


@pytest.mark.parametrize("rows", [[(0.0, 1.0, 3.0), (1.0, 2.5, 4.0)], []])
def test_a_histogram_of_tensorflow_2_stays_one(tmp_path: Path, rows: list[tuple[float, ...]]) -> None:
    shape = b"".join(part(2, b"\x08" + varint(size)) for size in (len(rows), 3))
    tensor = b"\x08\x02" + part(2, shape) + part(4, np.array(rows).tobytes())
    value = part(1, b"w") + part(8, tensor) + part(9, part(1, part(1, b"histograms")))
    path = written(tmp_path, event(1, 7, part(5, part(1, value))))
    trainlog.convert(path, tmp_path / "a.flog")
    assert trainlog.convert(tmp_path / "a.flog", tmp_path / "b.tfevents").losses == {}
    (frame,) = trainlog.open(tmp_path / "b.tfevents")
    assert (frame,) == tuple(trainlog.open(path))
    assert list(zip(*(frame.data[key] for key in ("lows", "limits", "counts")), strict=True)) == rows


def test_what_is_no_event_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(b"\0" * 100)
    with pytest.raises(UnknownFormat):
        trainlog.open(path)
    with pytest.raises(UnknownFormat):
        trainlog.open(tmp_path, codec="tensorboard")


def test_without_the_extra_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, *THREE)
    monkeypatch.setitem(sys.modules, "crc32c", None)
    with pytest.raises(MissingExtra, match=r"trainlog\[tensorboard\]"):
        trainlog.open(path)


SCALARS = st.lists(st.tuples(st.text(max_size=5), st.floats(width=32)), min_size=1, max_size=4)


@given(st.lists(st.tuples(st.integers(-5, 1 << 40), SCALARS), min_size=1, max_size=20))
def test_a_parser_that_remembers_says_the_same(events: Sequence[tuple[int, list[tuple[str, float]]]]) -> None:
    parser = EventParser()
    for step, scalars in events * 2:
        message = packed_event(BEGAN, step, values=packed_scalars(scalars))
        found = parser.parse(message)
        assert (found.wall, found.step, found.others) == (BEGAN, step, [])
        again = EventParser().parse(message)
        assert (found.step, list(found.tags), repr(list(found.numbers))) == (step, again.tags, repr(again.numbers))
        assert repr(list(zip(found.tags, found.numbers, strict=True))) == repr(scalars)


def test_a_flog_file_and_back_again(tmp_path: Path) -> None:
    log = tmp_path / "run.flog"
    with trainlog.create(log, {"lr": 0.5, "algo": "ppo", "wall": BEGAN}) as writer:
        writer.write(Frame(0.5, Kind.STATS, {"step": 10, "loss": 0.5, "gait": {"phase": 0.25}}))
        writer.write(Frame(0.75, Kind.EVENT, {"type": "text", "tag": "note", "msg": "hello", "step": 10}))
        writer.write(Frame(1.0, Kind.STATS, {"step": 20, "loss": 0.1, "words": "walk"}))
    target = tmp_path / "run.tfevents"
    assert dict(trainlog.convert(log, target).losses) == {
        "digits beyond single precision, of this many numbers": 1,
        "values that are not numbers, of stats frames": 1,
    }
    back = trainlog.open(target)
    assert {key: back.header.meta[key] for key in ("lr", "algo", "wall")} == {"lr": 0.5, "algo": "ppo", "wall": BEGAN}
    first, note, last = back
    assert first == Frame(0.5, Kind.STATS, {"step": 10, "loss": 0.5, "gait/phase": 0.25})
    assert note == Frame(0.75, Kind.EVENT, {"type": "text", "tag": "note", "msg": "hello", "step": 10})
    assert last.data == {"step": 20, "loss": float(np.float32(0.1))}


def test_tensorboard_reads_what_is_written_and_says_the_same(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with trainlog.create(tmp_path / "run.tfevents", {"lr": 0.5}) as writer:
        for step in range(50):
            writer.write(Frame(step / 10, Kind.STATS, {"step": step, "loss": step / 3, "ok": step % 2 == 0}))
        writer.write(Frame(6, Kind.EVENT, {"type": "fall", "msg": "it fell"}))
    found = accumulator.EventAccumulator(str(tmp_path), size_guidance={"scalars": 0})
    found.Reload()
    assert [(one.step, one.value) for one in found.Scalars("loss")] == [(n, np.float32(n / 3)) for n in range(50)]
    assert [one.value for one in found.Scalars("ok")] == [1.0, 0.0] * 25
    assert found.Tensors("event/fall")[0].tensor_proto.string_val == [b"it fell"]


def test_tbparse_reads_every_value_that_is_written(tmp_path: Path) -> None:
    """Scalars, tensors, histograms, text, hyperparameters and images, out of the calls of TensorBoard's writer."""
    parse = pytest.importorskip("tbparse")
    pixels = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    with SummaryWriter(tmp_path / "run", metadata={"algo": "ppo", "gamma": 0.99, "dense": True}) as writer:
        for step in range(5):
            writer.add_scalar("loss", step / 3, step)
            writer.add_scalars("return", {"min": -step, "max": step}, step)
            writer.add_tensor("pos", np.arange(6.0).reshape(2, 3) / 3 + step, step)
            writer.add_tensor("contacts", np.array([step, 2**40]), step)
            writer.add_histogram("weights", np.arange(10.0) + step, step, bins=np.arange(21.0))
            writer.add_text("note", f"größer ☂ {step}", step)
            writer.add_image("view", pixels + step, step)
        writer.add_hparams({"lr": 0.5, "net": "64,64"}, {"score": 1.5})
    done = trainlog.convert(tmp_path / "run" / "run.flog", tmp_path / "out" / "run.tfevents")
    assert set(done.losses) == {"digits beyond single precision, of this many numbers", "header: run", "header: end"}
    with warnings.catch_warnings():  # of its own use of pandas
        warnings.simplefilter("ignore")
        found = parse.SummaryReader(str(tmp_path / "out"), extra_columns={"min", "max", "num", "sum", "sum_squares"})
        tables = {name: getattr(found, name) for name in ("scalars", "tensors", "histograms", "text", "hparams")}
        images = found.children["run.tfevents"].get_raw_events("images", "view")

    def values(table: str, tag: str) -> list[tuple[int, Any]]:
        rows = tables[table]
        return [(row.step, row.value) for row in rows[rows.tag == tag].itertuples()]

    assert values("scalars", "loss") == [(step, np.float32(step / 3)) for step in range(5)]
    assert values("scalars", "return/min") == [(step, -step) for step in range(5)]
    assert values("scalars", "score") == [(4, 1.5)]
    for tag, expected in [
        ("pos", [np.arange(6.0).reshape(2, 3) / 3 + step for step in range(5)]),
        ("contacts", [np.array([step, 2**40]) for step in range(5)]),
    ]:
        steps, tensors = zip(*values("tensors", tag), strict=True)
        assert steps == tuple(range(5))
        for one, other in zip(tensors, expected, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    assert values("text", "note") == [(step, f"größer ☂ {step}") for step in range(5)]
    hparams = dict(zip(tables["hparams"].tag, tables["hparams"].value, strict=True))
    assert {key: hparams[key] for key in ("lr", "net", "algo", "gamma", "dense")} == {
        "lr": 0.5,
        "net": "64,64",
        "algo": "ppo",
        "gamma": 0.99,
        "dense": True,
    }
    for step, row in enumerate(tables["histograms"].itertuples()):
        numbers = np.arange(10.0) + step
        sums = (step, 10, numbers.min(), numbers.max(), numbers.sum(), numbers @ numbers)
        assert (row.step, row.num, row.min, row.max, row.sum, row.sum_squares) == sums
        counted = {limit: count for limit, count in zip(row.limits, row.counts, strict=True) if count}
        assert sum(counted.values()) == 10
        assert set(counted) == set(numbers + 1)
    assert [image.step for image in images] == list(range(5))
    for step, image in enumerate(images):
        picture = np.asarray(Picture.open(io.BytesIO(image.encoded_image_string)))
        np.testing.assert_array_equal(picture, (pixels + step).transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("values", "back"),
    [
        ([[1, 2], [3, 2**40]], None),
        ([0.1, float("inf")], None),
        ([True, False], None),
        ([], None),
        ([[], []], None),
        ([2**64 - 1], None),
        (["walk", "größer"], [b"walk", "größer".encode()]),
        ([b"\0a\0", b""], None),
    ],
)
def test_tensors_are_written_as_they_are_read(tmp_path: Path, values: Any, back: Any) -> None:
    event = {"type": "tensor", "tag": "x", "plugin": "mesh", "values": values, "step": 3}
    with trainlog.create(tmp_path / "run.tfevents") as writer:
        writer.write(Frame(1.0, Kind.EVENT, event))
    (frame,) = trainlog.open(tmp_path / "run.tfevents")
    assert frame.data == {**event, "values": values if back is None else back}
    assert not writer.losses


@pytest.mark.parametrize("values", [[[1], [2, 3]], [None, 1.0], [1 + 2j], [{"a": 1}], {"a": 1}])
def test_values_that_are_no_tensor_are_counted(tmp_path: Path, values: Any) -> None:
    with trainlog.create(tmp_path / "run.tfevents") as writer:
        writer.write(Frame(1.0, Kind.STATS, {"step": 1, "x": [values]}))
    assert writer.losses["values that are not numbers, of stats frames"] == 1


def test_a_recorder_takes_arrays_and_tensors(tmp_path: Path) -> None:
    class Tensor:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.arange(3.0)

    data = {"shown": np.array(1.5), "all": np.arange(2000), "inner": {"a": [np.float32(0.5), np.arange(2)]}}
    with TrainingRecorder(tmp_path / "a.tfevents") as log:
        log.stats({"step": np.array(5), "reward": np.array(2.5), "pos": Tensor()})
        log.stats({"step": np.array([6, 7]), "reward": 3.0})
        log.event("seen", data)
    rows = [dict(frame.data) for frame in trainlog.open(tmp_path / "a.tfevents")]
    assert rows[0] == {"step": 5, "reward": 2.5}
    assert (rows[1]["tag"], rows[1]["values"]) == ("pos", [0.0, 1.0, 2.0])
    assert rows[2] == {"step": 5, "reward": 3.0}
    plain = {"type": "seen", "shown": 1.5, "all": [*range(2000)], "inner": {"a": [0.5, [0, 1]]}}
    assert json.loads(rows[3]["msg"]) == plain


def test_what_an_event_file_has_no_place_for_is_counted(tmp_path: Path) -> None:
    columns = [trainlog.Variable("x", "state")]
    with trainlog.create(tmp_path / "a.tfevents", phase=3, variables=columns, run={"host": "h"}) as writer:
        for step in (1.5, "7", None, float("nan"), 2**63):
            writer.write(Frame(0.0, Kind.STATS, {"step": step, "loss": 0.5}))
        writer.write(Frame(0.0, Kind.STATS, {"step": 9}))
        writer.write(Frame(0.0, Kind.EVENT, {"type": "fall", "msg": "it fell", "step": 9, "height": 0.5, "by": "wind"}))
        writer.write(Frame(0.0, Kind.EVENT, {"type": "text", "tag": "note", "msg": "hello", "author": "me"}))
    assert dict(writer.losses) == {
        "header: phase": 1,
        "header: variables": 1,
        "header: run": 1,
        "steps that are not whole numbers, of stats frames": 5,
        "stats frames without values": 1,
        "keys of events besides their text": 3,
    }


def test_odd_values_do_not_end_a_conversion(tmp_path: Path) -> None:
    """A payload in JSON may hold ints beyond all doubles, and an event may look like a histogram."""
    big = b"1" + b"0" * 400
    stats = b'{"step": 1%b, "loss": 1%b, "pos": [1%b]}' % (big, big, big)
    histogram = b'{"type": "histogram", "limits": ["a"], "counts": [1], "num": 1}'
    frames = Flog.frame(0.0, 2, stats) + Flog.frame(0.0, 3, histogram)
    (tmp_path / "a.flog").write_bytes(Flog.header({"seed": int(big), "other": 2**63 + 1}) + frames)
    done = trainlog.convert(tmp_path / "a.flog", tmp_path / "a.tfevents")
    log = trainlog.open(done.target)
    assert (log.header.meta["seed"], log.header.meta["other"]) == (big.decode(), str(2**63 + 1))
    first, second = log.frames()
    assert first.data == {"step": 0, "loss": math.inf}
    assert second.data["msg"] == '{"type": "histogram", "limits": ["a"], "counts": [1], "num": 1}'
    assert dict(done.losses) == {
        "steps that are not whole numbers, of stats frames": 1,
        "digits beyond single precision, of this many numbers": 1,
        "values that are not numbers, of stats frames": 1,
    }


def test_the_time_of_an_event_that_is_not_a_number_is_not_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "a.tfevents"
    first = record(b"\x09" + struct.pack("<d", math.nan) + part(3, b"brain.Event:2"))
    path.write_bytes(first + b"".join(THREE))
    assert [time for time, _ in rows(path)] == [0.0, 1.0]


def test_tensorboard_shows_the_pictures_of_a_log(tmp_path: Path) -> None:
    """Images and videos beside the log, histograms, text and hyperparameters, each as TensorBoard's own."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pixels = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    with SummaryWriter(tmp_path / "run") as writer:
        writer.add_image("view", pixels, 2)
        writer.add_video("film", np.zeros((1, 3, 3, 6, 8), np.uint8), 3)
        writer.add_audio("sound", np.zeros(100), 3, 8000)
        writer.add_histogram("weights", np.arange(10.0), 4)
        writer.add_text("note", "hello", 5)
        writer.add_hparams({"lr": 0.5}, {"score": 1.5})
    log = tmp_path / "run" / "run.flog"
    (tmp_path / "run" / "run.flog.media" / "link.png").symlink_to("/etc/passwd")
    done = trainlog.convert(log, tmp_path / "out" / "run.tfevents")
    assert dict(done.losses) == {
        "files next to the log, of audio events": 1,
        "keys of events besides their text": 2,  # the frame rate and the number of frames of the video
        "header: run": 1,
        "header: end": 1,
    }
    found = accumulator.EventAccumulator(str(tmp_path / "out"), size_guidance={"histograms": 0, "tensors": 0})
    found.Reload()
    (view,), (film,) = found.Images("view"), found.Images("film/0")
    assert (view.step, view.width, view.height, film.step, film.width, film.height) == (2, 5, 4, 3, 8, 6)
    assert (np.asarray(Picture.open(io.BytesIO(view.encoded_image_string))) == pixels.transpose(1, 2, 0)).all()
    histogram = found.Histograms("weights")[0].histogram_value
    assert (histogram.num, histogram.min, histogram.max, histogram.sum) == (10, 0, 9, 45)
    assert sum(histogram.bucket) == 10
    assert found.Tensors("note")[0].tensor_proto.string_val == [b"hello"]
    assert found.Scalars("score")[0].value == 1.5
    back = trainlog.convert(tmp_path / "out" / "run.tfevents", tmp_path / "back.flog")
    images = [frame.data for frame in trainlog.open(back.target).frames("event") if frame.data["type"] == "image"]
    assert [image["image"] for image in images] == [view.encoded_image_string, film.encoded_image_string]
    assert dict(trainlog.convert(log, tmp_path / "copy.flog").losses) == {
        "files in run.flog.media, which stay there": 4
    }


def test_a_compressed_copy_has_the_pictures_of_its_log(tmp_path: Path) -> None:
    pytest.importorskip("zstandard")
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("view", np.zeros((3, 4, 5), np.uint8), 2)
    done = trainlog.convert(tmp_path / "run.flog", tmp_path / "run.flog.zst")
    assert not done.losses
    (event,) = trainlog.open(done.target).frames("event")
    assert media_file(done.target, event.data).exists()


def test_the_pictures_of_several_processes_are_found_and_converted(tmp_path: Path) -> None:
    for rank in range(2):
        with trainlog.TrainingRecorder(tmp_path / "run.flog", shard=rank) as log:
            MediaRecorder(log).image(0.0, "view", np.full((3, 4, 3), 100 * rank, np.uint8), step=2)
    reader = trainlog.open(tmp_path / "run.flog")
    pictures = [media_file(reader.path, event.data).read_bytes() for event in reader.frames("event")]
    done = trainlog.convert(reader, tmp_path / "out" / "run.tfevents")
    images = [event.data["image"] for event in trainlog.open(done.target).frames("event")]
    assert sorted(images) == sorted(pictures)
    assert len({*images}) == 2
    left = trainlog.convert(reader, tmp_path / "copy.flog").losses
    assert dict(left) == {f"files in {rank}.flog.media, which stay there": 1 for rank in range(2)}


def test_what_tensorboardx_writes_is_read_as_tensorboard_reads_it(tmp_path: Path) -> None:
    writers = pytest.importorskip("tensorboardX")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with writers.SummaryWriter(str(tmp_path)) as writer:
        for step in range(40):
            for tag in "abc":
                writer.add_scalar(tag, step * len(tag) / 7, step)
        writer.add_text("note", "hello", 3)
        writer.add_histogram("weights", np.arange(20.0), 4)
        writer.add_image("view", np.zeros((3, 4, 5), np.uint8), 5)
    found = accumulator.EventAccumulator(str(tmp_path), size_guidance={"scalars": 0})
    found.Reload()
    table = trainlog.open(tmp_path).table("stats")
    for tag in "abc":
        assert [(one.step, one.value) for one in found.Scalars(tag)] == list(
            zip(table["step"], table[tag], strict=True)
        )
    types = [frame.data["type"] for frame in trainlog.open(tmp_path).frames("event")]
    assert types == ["text", "histogram", "image"]


@pytest.mark.parametrize("module", ["tensorboardX", "trainlog.integrations.torch"])
def test_the_table_of_cleanrl_is_metadata(tmp_path: Path, module: str) -> None:
    writers = pytest.importorskip(module)
    for seed in (1, 2):
        facts = {"exp_name": "ppo", "env_id": "Ant-v5", "seed": seed, "learning_rate": 2.5e-4, "anneal_lr": True}
        facts |= {"target_kl": None, "layers": [64, 64], "note": "a|b", "wandb_entity": ""}
        with writers.SummaryWriter(str(tmp_path / f"Ant-v5__ppo__{seed}")) as writer:
            rows = "\n".join(f"|{key}|{value}|" for key, value in facts.items())
            writer.add_text("hyperparameters", f"|param|value|\n|-|-|\n{rows}")
            writer.add_scalar("charts/episodic_return", seed, 1)
    runs = trainlog.runs(tmp_path)
    assert {run.task for run in runs} == {"Ant-v5"}
    log = trainlog.open(runs[1].path)
    assert {key: log.header.meta[key] for key in facts} == facts | {"layers": "[64, 64]"}
    (text,) = log.frames("event")
    assert text.data["msg"].startswith("|param|value|")


@pytest.mark.parametrize("text", ["", "|param|value|", "lr = 0.1", "|key|value|\n|-|-|\n|a|1|"])
def test_another_text_of_hyperparameters_is_a_text(tmp_path: Path, text: str) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_text("hyperparameters", text)
    assert "a" not in trainlog.open(writer.log.path).header.meta


def test_the_command_line_takes_a_folder_of_event_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "tb"
    folder.mkdir()
    written(folder, *(scalar(n, n, "reward", n) for n in range(20)))
    with pytest.raises(SystemExit, match="0"):
        main(["info", str(folder)])
    assert "reward" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["convert", str(folder), str(tmp_path / "run.flog")])
    assert trainlog.open(tmp_path / "run.flog").table("stats")["reward"].tolist() == list(range(20))
    with pytest.raises(SystemExit, match="0"):
        main(["plot", str(folder), "-y", "reward", "-o", str(tmp_path / "out"), "--format", "svg"])
    assert (tmp_path / "out" / "reward.svg").exists()


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
def test_a_step_that_is_no_whole_number_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.1"
    wrong = record(b"\x09" + struct.pack("<d", BEGAN) + b"\x11" + struct.pack("<d", math.inf))
    scalar = part(5, part(1, part(1, b"loss") + b"\x15" + struct.pack("<f", 0.5)))
    path.write_bytes(FIRST + wrong + event(1.0, 3, scalar))
    assert trainlog.open(path).table("stats")["loss"].tolist() == [0.5]
