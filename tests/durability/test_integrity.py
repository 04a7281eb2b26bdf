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
from trainlog.errors import DamagedLogWarning
from trainlog.storage.source import Source


def recorded(path: Path, frames: int = 3, pad: int = 0) -> Path:
    with trainlog.create(path, {"creature": "ant"}) as log:
        for n in range(frames):
            log.write(Frame(n / 10, Kind.STATS, {"n": n, "pad": bytes(pad)}))
    return path


def test_every_flipped_bit_is_seen(tmp_path: Path) -> None:
    raw = recorded(tmp_path / "a.flog").read_bytes()
    assert trainlog.verify(tmp_path / "a.flog").sealed == len(raw)
    path = tmp_path / "b.flog"
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            verdict = trainlog.verify(path)
        except trainlog.TrainlogError:
            assert bit < 8 * 6, "only in the magic and in the version it makes this another file"
        except DamagedLogWarning:
            pass  # warnings are errors here; the metadata are no JSON any more
        else:
            assert not verdict.whole, f"bit {bit % 8} of byte {bit // 8}"


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
        assert last_seal(source, 0) == (end, 0.2, 0)
        assert last_seal(source, end) == (0, 0.0, 0)
