"""What a run says of itself after its header was written: found at the end of a log, whatever became of it."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import msgpack
import pytest

import trainlog
from trainlog import Frame, Kind, TrainingRecorder
from trainlog.conventions import RUN_STATE
from trainlog.model import End
from trainlog.storage import source as storage

Make = Callable[[Sequence[bytes] | bytes], Path]


def header(meta: dict[str, Any]) -> bytes:
    text = json.dumps(meta).encode()
    return b"FLOG" + struct.pack("<HBI", 1, 0, len(text)) + text


def frame(time: float, kind: int, data: dict[str, Any]) -> bytes:
    payload = msgpack.packb(data)
    return struct.pack("<dBI", time, kind, len(payload)) + payload


def seal(before: bytes, start: int) -> bytes:
    """The checksum of what is before it from byte *start* on, as docs/formats/flog.md has it."""
    head = struct.pack("<dBI", 1.0, 67, 51)
    to = len(before) + 13 + 47
    keys = b"\x84\xa4from\xcf" + struct.pack(">Q", start) + b"\xa2to\xcf" + struct.pack(">Q", to)
    keys += b"\xa7rewinds\xce" + struct.pack(">I", 0) + b"\xa5crc32\xce"
    return head + keys + struct.pack(">I", crc32(before[start:] + head + keys))


def pointer(at: int) -> bytes:
    payload = b"\x82\xa8trainlog\x02\xa5state\xcf" + struct.pack(">Q", at)
    return struct.pack("<dBI", 1.0, 82, len(payload)) + payload


def state(meta: dict[str, Any], **more: Any) -> bytes:
    return frame(1.0, 82, {"trainlog": 1, "meta": meta, **more})


END = {"state": "interrupted", "reason": "KeyboardInterrupt", "time": 2.0, "wall": 1.7e9}


def test_a_pointer_leads_to_it(make: Make) -> None:
    parts = header({"lr": 1, "seed": 7}) + frame(0.0, 2, {"step": 0})
    at = len(parts)
    parts += state({"lr": 2}, end=END)
    parts += b"".join(frame(float(n), 2, {"step": n, "pad": "x" * 1000}) for n in range(500))
    parts += pointer(at)
    parts += seal(parts, 0)
    reader = trainlog.open(make(parts))
    assert reader.header.meta == {"lr": 2, "seed": 7}
    assert reader.end == End("interrupted", "KeyboardInterrupt", 2.0, 1.7e9)
    assert reader.table("stats").rows == len(list(reader)) == 501
    assert list(reader.summary().kinds) == [Kind.STATS]
    assert trainlog.verify(reader.path).kinds == {Kind.STATS: 501}
    assert not [one for one in trainlog.verify(reader.path).problems if one.damage]


def test_one_behind_the_last_checksum_is_later(make: Make) -> None:
    parts = header({}) + state({"lr": 1})
    parts += pointer(len(header({})))
    parts += seal(parts, 0) + frame(2.0, 2, {"step": 0}) + state({"lr": 2}) + frame(2.0, 2, {"step": 1})[:20]
    reader = trainlog.open(make(parts))
    assert (reader.header.meta, reader.end) == ({"lr": 2}, None)


@pytest.mark.parametrize("at", [0, 5, 12, 40, 10**6, 2**63])
def test_a_pointer_that_leads_astray_costs_a_search(make: Make, at: int) -> None:
    parts = header({}) + state({"lr": 1}) + frame(2.0, 2, {"step": 0}) + pointer(at)
    parts += seal(parts, 0)
    expected = {"lr": 1} if 0 < at < len(parts) else {}  # one that cannot be is none
    assert trainlog.open(make(parts)).header.meta == expected


@pytest.mark.parametrize(
    "said",
    [
        {"meta": 3, "end": 4},
        {"meta": {"a": 1}, "end": {"state": "well"}},
        {"end": {"state": "failed", "time": "x", "wall": [], "reason": {}}},
        {"meta": None},
    ],
)
def test_what_cannot_be_understood_is_left_out(make: Make, said: dict[str, Any]) -> None:
    parts = header({"lr": 1}) + frame(1.0, 82, {"trainlog": 1, **said})
    parts += pointer(len(header({"lr": 1})))
    parts += seal(parts, 0)
    reader = trainlog.open(make(parts))
    assert reader.header.meta["lr"] == 1
    assert reader.end is None or reader.end == End("failed", "{}")


@pytest.mark.parametrize("data", [{"trainlog": 5, "x": 1}, {"x": 1, "trainlog": 1}, {"trainlog": 1}, {"x": 1}])
def test_kind_82_is_hidden_from_all_or_none(make: Make, data: dict[str, Any]) -> None:
    log = trainlog.open(make(header({}) + frame(0.0, 2, {"step": 0}) + frame(1.0, 82, data) + frame(2.0, 2, {})))
    kinds = {int(one.kind) for one in log.frames()}
    assert (
        kinds
        == {int(batch.table.kind) for batch in log.scan() if batch.table.rows}
        == set(map(int, log.summary().kinds))
    )


def test_kind_82_of_others_is_theirs(make: Make) -> None:
    path = make(header({}) + frame(1.0, 82, {"a": 1}) + frame(1.0, 82, {"trainlog": "x"}))
    reader = trainlog.open(path)
    assert [one.data for one in reader] == [{"a": 1}, {"trainlog": "x"}]
    assert reader.table(82).rows == 2


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Kind.EVENT, {"trainlog": "0.1.0", "type": "versions"}),
        (Kind.EVENT, {"trainlog": 1}),
        (82, {"trainlog": "mine"}),
    ],
)
def test_a_key_of_that_name_moves_no_frame(tmp_path: Path, kind: int, data: dict[str, Any]) -> None:
    path, copy = tmp_path / "a.flog", tmp_path / "b.flog"
    with TrainingRecorder(path, provenance=False) as log:
        log.record_stats_frame(1.0, {"step": 1})
        log.record(9.0, kind, data)
    trainlog.convert(path, copy)
    for one in (path, copy):
        assert [frame for frame in trainlog.open(one) if frame.kind == kind] == [Frame(9.0, Kind(kind), data)]


def test_a_large_log_is_not_read_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with trainlog.create(tmp_path / "a.flog") as writer:
        writer.write(Frame(0.0, RUN_STATE, {"trainlog": 1, "meta": {"late": 1}}))
        for n in range(2000):
            writer.write(Frame(float(n), Kind.STATS, {"pad": "x" * 10_000}))
    read = 0
    plain = storage.Source.block, storage.Source.fill

    def block(self: Any, *args: Any, **most: Any) -> bytes:
        nonlocal read
        found = plain[0](self, *args, **most)
        read += len(found)
        return found

    def fill(self: Any, buffer: memoryview, offset: int) -> int:
        nonlocal read
        count = plain[1](self, buffer, offset)
        read += count
        return count

    monkeypatch.setattr(storage.Source, "block", block)
    monkeypatch.setattr(storage.Source, "fill", fill)
    assert trainlog.open(tmp_path / "a.flog").header.meta == {"late": 1}
    assert read < 1 << 20
    assert (tmp_path / "a.flog").stat().st_size > 20e6


def test_a_log_cut_anywhere_has_what_was_said_until_there(tmp_path: Path) -> None:
    path, cut = tmp_path / "a.flog", tmp_path / "cut.flog"
    ends = []
    with trainlog.create(path, {"n": -1}) as writer:
        for n in range(8):
            writer.write(Frame(float(n), RUN_STATE, {"trainlog": 1, "meta": {"n": n}}))
            ends.append(path.stat().st_size if n else 0)
            writer.write(Frame(float(n), Kind.STATS, {"pad": "x" * 40}))
            if n % 3 == 2:
                writer.sync()
    raw = path.read_bytes()
    first = raw.index(b"\xa8trainlog\x01") - 14
    for size in range(first, len(raw) + 1):
        cut.write_bytes(raw[:size])
        found = trainlog.open(cut).header.meta["n"]
        known = [n for n, end in enumerate(ends) if n and end <= size]
        assert found in {known[-1] if known else found, (known or [-1])[-1] + 1}, size
        if size in ends:
            assert found == ends.index(size)


def test_a_resumed_log_has_not_ended_and_keeps_what_was_said(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path, metadata={"lr": 1}) as log:
        log.record_stats_frame(5.0, {"step": 1})
        log.update_metadata({"late": 1})
        log.update_summary({"best": 1})
    assert trainlog.open(path).end is not None
    with trainlog.resume(path):
        assert trainlog.open(path).end is None
        assert trainlog.open(path).header.meta["late"] == 1
    log = TrainingRecorder(path, metadata={"lr": 2}, resume=True)
    assert log.now() >= 5.0
    log.update_summary({"worst": 0})
    reader = trainlog.open(path)
    assert (reader.header.meta["lr"], reader.header.meta["summary"]) == (2, {"best": 1, "worst": 0})
    assert reader.end is None
    log.close()
    assert trainlog.open(path).end is not None
    assert trainlog.verify(path).whole


def test_a_rewind_takes_nothing_of_it_back(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "a.flog") as log:
        for step in range(10):
            log.record_stats_frame(None, {"step": step})
        log.update_metadata({"late": 1})
        log.record_stats_frame(None, {"step": 10})
        log.rewind(5)
    reader = trainlog.open(tmp_path / "a.flog")
    assert reader.header.meta["late"] == 1
    assert reader.table("stats")["step"].tolist() == [0, 1, 2, 3, 4, 5]
    assert len(list(reader.frames("event"))) == 1


@pytest.mark.parametrize("suffix", ["flog", "flog.zst", "parquet"])
def test_copies_have_it(tmp_path: Path, suffix: str) -> None:
    with TrainingRecorder(tmp_path / "a.flog", metadata={"lr": 1}) as log:
        log.record_stats_frame(None, {"step": 1})
        log.update_metadata({"lr": 2, "late": [1]})
    reader = trainlog.open(tmp_path / "a.flog")
    trainlog.convert(reader, tmp_path / f"b.{suffix}")
    copy = trainlog.open(tmp_path / f"b.{suffix}")
    assert copy.header == reader.header
    assert [one.data for one in copy] == [{"step": 1}]
    trainlog.convert(copy, tmp_path / "c.flog")
    assert trainlog.open(tmp_path / "c.flog").header == reader.header
    with trainlog.resume(tmp_path / "c.flog"):
        assert trainlog.open(tmp_path / "c.flog").end is None


@pytest.mark.parametrize("suffix", ["flog.zst", "parquet"])
def test_recorders_of_other_formats_keep_it(tmp_path: Path, suffix: str) -> None:
    with TrainingRecorder(tmp_path / f"a.{suffix}") as log:
        log.record_stats_frame(None, {"step": 1})
        log.update_metadata({"late": 1})
    reader = trainlog.open(tmp_path / f"a.{suffix}")
    assert (reader.header.meta["late"], reader.end and reader.end.state) == (1, "finished")
    assert reader.header.run["pid"] == os.getpid()


def test_a_repaired_copy_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path) as log:
        for n in range(300):
            log.record_stats_frame(None, {"step": n, "pad": "x" * 1000})
            if n == 10:
                log.update_metadata({"late": 1})
    raw = bytearray(path.read_bytes())
    raw[200_000:200_400] = bytes(400)
    path.write_bytes(raw)
    trainlog.repair(path, tmp_path / "b.flog")
    reader = trainlog.open(tmp_path / "b.flog")
    assert (reader.header.meta["late"], reader.end and reader.end.state) == (1, "finished")
    assert trainlog.verify(reader.path).whole


def test_several_processes_end_as_the_worst_of_them(tmp_path: Path) -> None:
    for rank, state_ in enumerate(["finished", "failed", "finished"]):
        with TrainingRecorder(tmp_path / "run.flog", shard=rank) as log:
            log.record_stats_frame(None, {"step": rank})
            log.update_metadata({"rank": rank})
            log.close(state_, "why")  # type: ignore[arg-type]
    reader = trainlog.open(tmp_path / "run.flog")
    assert reader.end is not None
    assert (reader.end.state, reader.header.meta["rank"], len(list(reader))) == ("failed", 0, 3)
    assert "command" in reader.header.run
    with TrainingRecorder(tmp_path / "run.flog", shard=3):
        assert trainlog.open(tmp_path / "run.flog").end == reader.end
    (tmp_path / "run.flog" / "1.flog").unlink()
    assert (end := trainlog.open(tmp_path / "run.flog").end) is not None
    assert end.state == "finished"
    trainlog.create(tmp_path / "run.flog" / "1.flog").close()
    assert trainlog.open(tmp_path / "run.flog").end is None
