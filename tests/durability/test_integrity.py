"""Checksums: every flipped byte is seen, and nobody takes them for data."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

import trainlog
from handmade import Flog
from trainlog import Frame, Kind, Table, TrainingRecorder
from trainlog.codecs.flog.integrity.seals import last_seal
from trainlog.errors import CodecError
from trainlog.storage.source import Source


def recorded(path: Path, frames: int = 3, pad: int = 0) -> Path:
    with trainlog.create(path, {"creature": "ant"}) as log:
        for n in range(frames):
            log.write(Frame(n / 10, Kind.STATS, {"n": n, "pad": bytes(pad)}))
    return path


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
def test_every_flipped_bit_is_seen_and_nothing_else_is_lost(tmp_path: Path) -> None:
    original = recorded(tmp_path / "a.flog", frames=6)
    with trainlog.resume(original) as log:  # so that a checksum is in the middle
        log.write(Frame(9.0, Kind.STATS, {"n": 12}))
    raw = original.read_bytes()
    assert trainlog.verify(original).sealed == len(raw)
    frames = list(trainlog.open(original))
    header = len(Flog.header({"creature": "ant"}))
    seals = [n for n in range(len(raw)) if raw.startswith(b"\x84\xa4from", n)]
    in_seals = {n for start in seals for n in range(start - 13, start + 51)}
    path, repaired = tmp_path / "b.flog", tmp_path / "c.flog"
    for bit in range(8 * len(raw)):
        at, where = bit // 8, f"bit {bit % 8} of byte {bit // 8}"
        flipped = bytearray(raw)
        flipped[at] ^= 1 << bit % 8
        path.write_bytes(flipped)
        verdict = trainlog.verify(path)
        assert not verdict.whole, where
        log = trainlog.open(path)
        found = list(log)
        if at < header or at in in_seals:
            assert found == frames, where
            assert at >= 11 or log.header.meta == {"creature": "ant"}, where
        else:
            assert len(found) >= len(frames) - 1, where
            continue
        if at >= header and bit % 8 != at % 8:  # one bit of each byte is enough for what follows
            continue
        for table in (trainlog.open(path).table("stats"), next(iter(trainlog.open(path).scan())).table):
            assert table["n"].tolist()[-1] == 12, where
        repaired.unlink(missing_ok=True)
        done = trainlog.repair(path, repaired)
        assert trainlog.verify(repaired).whole, where
        assert not done.lost or done.lost == {"header": 1}, where
        assert list(trainlog.open(repaired))[: len(frames)] == frames, where
        if at < 11 and at != 6:  # but for the phase, all of the header's eleven bytes can be rebuilt
            assert done.header, where
            assert (done.complete, repaired.read_bytes()[:header]) == (True, raw[:header]), where


@pytest.mark.parametrize("name", ["b.parquet", "b.simion.log", "b.flog.zst"])
def test_a_repaired_log_does_not_get_the_suffix_of_another_format(tmp_path: Path, name: str) -> None:
    recorded(tmp_path / "a.flog")
    with pytest.raises(CodecError, match=r"is a \.flog file; give it that suffix"):
        trainlog.repair(tmp_path / "a.flog", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["a.flog"]
    trainlog.repair(tmp_path / "a.flog", tmp_path / "b")
    assert trainlog.verify(tmp_path / "b").whole


def test_a_byte_is_seen_wherever_in_a_large_log(tmp_path: Path) -> None:
    raw = recorded(tmp_path / "a.flog", frames=400, pad=1000).read_bytes()
    assert raw.count(b"crc32") > 5
    path = tmp_path / "b.flog"
    for at in np.random.default_rng(1).integers(0, len(raw), 25).tolist():
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 255]) + raw[at + 1 :])
        assert not trainlog.verify(path).whole
    for at in np.random.default_rng(2).integers(0, len(raw), 10).tolist():
        path.write_bytes(raw[:at] + raw[at + 1 :])
        assert not trainlog.verify(path).whole


def test_a_frame_that_was_taken_out_is_missed(tmp_path: Path) -> None:
    raw = recorded(tmp_path / "a.flog").read_bytes()
    one = Flog.frame(0.1, 2, {"n": 1, "pad": b""})
    assert raw.count(one) == 1
    (tmp_path / "b.flog").write_bytes(raw.replace(one, b""))
    problems = trainlog.verify(tmp_path / "b.flog").problems
    assert {problem.what for problem in problems if problem.damage} == {"checksum"}


def test_they_are_no_data(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.flog", frames=200, pad=1000)
    log = trainlog.open(path)
    assert {frame.kind for frame in log} == {Kind.STATS}
    assert list(log.summary().kinds) == [Kind.STATS]
    assert log.summary().duration == pytest.approx(19.9)
    assert trainlog.FlogReplay(path).total_frames == 200
    seals = list(log.frames(kind=67))
    assert len(seals) > 2
    assert [seal.data["from"] for seal in seals][1:] == [seal.data["to"] + 4 for seal in seals][:-1]
    assert seals[-1].time == pytest.approx(19.9), "viewers that take the last frame's time for the duration are right"
    trainlog.convert(path, tmp_path / "b.flog")
    assert (tmp_path / "b.flog").read_bytes() == path.read_bytes()


def test_what_others_mean_by_that_kind_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    path.write_bytes(Flog.header() + Flog.frame(0.0, 67, {"mine": 1}))
    assert [tuple(frame) for frame in trainlog.open(path)] == [(0.0, 67, {"mine": 1})]
    assert trainlog.verify(path).whole


def test_whole_tables_several_threads_and_syncs(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    table = Table(Kind.STATS, np.arange(30_000.0), {"x": np.arange(30_000), "y": np.random.rand(30_000, 3)})
    with trainlog.create(path) as log:
        log.write(Frame(0.0, Kind.EVENT, {"type": "a"}))
        log.write_table(table)
        log.sync()
        log.write_table(table.rows_where(slice(0, 3)))
        log.sync()
        log.sync()

        def work() -> None:
            for n in range(500):
                log.write(Frame(n, Kind.STATS, {"pad": "x" * n}))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    verdict = trainlog.verify(path)
    assert verdict.whole
    assert verdict.sealed == path.stat().st_size
    seals = list(trainlog.open(path).frames(67))
    assert seals[-1].data["to"] == path.stat().st_size - 4
    assert 29_999.0 in [seal.time for seal in seals]


def test_what_a_killed_writer_left_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    log = TrainingRecorder(path, sync_every=None)
    log.record_event(0.0, "a")
    log.record_event(0.5, "b")
    verdict = trainlog.verify(path)
    assert verdict.whole
    assert [problem.what for problem in verdict.problems] == ["checksum"]
    assert "killed, or is still writing" in verdict.problems[0].text
    log.sync()
    verdict = trainlog.verify(path)
    assert (verdict.whole, verdict.closed) == (True, False)
    assert [problem.what for problem in verdict.problems] == ["end"]
    log.close()
    assert trainlog.verify(path).problems == []


def test_a_closed_log_that_was_cut_at_a_frame_does_not_look_closed(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.flog", frames=300)
    raw = path.read_bytes()
    assert trainlog.verify(path).closed
    header = raw.index(b"}") + 1
    ends, at = [], header
    while at < len(raw):
        at += 13 + int.from_bytes(raw[at + 9 : at + 13], "little")
        ends.append(at)
    assert (len(ends), ends[-1]) == (303, len(raw))
    for end in ends[1:-1]:  # behind the first frame there is a checksum, with which a log tells that it has them
        (tmp_path / "b.flog").write_bytes(raw[:end])
        verdict = trainlog.verify(tmp_path / "b.flog")
        assert (verdict.whole, verdict.closed) == (True, False)
        assert [problem.what for problem in verdict.problems] in (["end"], ["checksum"])


def test_logs_of_other_programs_have_no_end_mark_and_need_none(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    path.write_bytes(Flog.header() + Flog.frame(0.0, 2, {"a": 1}))
    verdict = trainlog.verify(path)
    assert (verdict.closed, verdict.problems) == (None, [])


@pytest.mark.parametrize("size", [3, 1000, 70_000, 1_100_000])
def test_the_last_one_is_found_from_behind(tmp_path: Path, size: int) -> None:
    path = recorded(tmp_path / "a.flog")
    end = path.stat().st_size
    with path.open("ab") as file:
        file.write(bytes(size))
    with Source(path) as source:
        assert last_seal(source, 0) == (end, 0.2, 0, 0)
        assert last_seal(source, end) == (0, 0.0, 0, 0)
