"""Compressed FLOG files: the same log, also where the archive is damaged, cut, or made to deceive."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.handmade import Flog

import trainlog
from trainlog.cli import main
from trainlog.codecs.flog import FlogCodec, archive
from trainlog.codecs.flog.archive import FlogArchiveCodec, compact
from trainlog.errors import CodecError, CorruptLog, LogExists, LogInUse, TrainlogError, UnknownFormat
from trainlog.scan import Gap
from trainlog.storage.compressed import CompressedSource
from trainlog.storage.source import Source
from trainlog.testing import CodecContract

ROWS = 400


class TestArchives(CodecContract):
    codec = FlogArchiveCodec(FlogCodec())
    live = False
    max_cuts = 60


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of which each zstd frame holds a few dozen frames."""
    monkeypatch.setattr(archive, "_USUAL", 1500)
    path = tmp_path / "run.flog"
    frames = [Flog.frame(i + 1, 2, {"step": i, "text": "x" * (i % 50)}) for i in range(ROWS)]
    path.write_bytes(Flog.header() + b"".join(frames))
    return path


def packed(log: Path) -> Path:
    return compact(log, log.with_suffix(".flog.zst")).path


def zstd_frames(raw: bytes) -> list[tuple[int, int]]:
    """Where each zstd frame is, by the seek table at the end."""
    (count,) = struct.unpack_from("<I", raw, len(raw) - 9)
    table = raw[-9 - 8 * count : -9]
    ends = [0]
    for i in range(count):
        ends.append(ends[-1] + struct.unpack_from("<II", table, 8 * i)[0])
    return list(itertools.pairwise(ends))


def steps(path: Path) -> tuple[list[int], list[Gap]]:
    gaps: list[Gap] = []
    found = [frame.data["step"] for frame in trainlog.open(path).frames(on_damage=gaps.append)]
    tables = [batch.table for batch in trainlog.open(path).scan(trainlog.scan.Scan(on_damage="ignore"))]
    assert [int(step) for table in tables if table.rows for step in table["step"]] == found
    return found, gaps


def test_any_zstd_gives_the_log_back(log: Path) -> None:
    target = packed(log)
    with zstandard.ZstdDecompressor().stream_reader(target.read_bytes(), read_across_frames=True) as stream:
        assert stream.read() == log.read_bytes()
    assert len(zstd_frames(target.read_bytes())) > 10


def test_it_is_read_as_any_log(log: Path) -> None:
    one, other = trainlog.open(log), trainlog.open(packed(log))
    assert list(one.frames()) == list(other.frames())
    assert one.table("stats", last=3)["step"].tolist() == other.table("stats", last=3)["step"].tolist()
    assert one.table("stats", time=(50, 60))["step"].tolist() == other.table("stats", time=(50, 60))["step"].tolist()
    assert other.verify().whole
    (first, *_) = other.scan(trainlog.scan.Scan(batch_rows=100))
    rest = [batch.table.rows for batch in other.scan(trainlog.scan.Scan(after=first.position))]
    assert first.table.rows + sum(rest) == ROWS


@pytest.mark.parametrize("with_table", [True, False])
def test_damage_costs_one_block(log: Path, with_table: bool) -> None:
    raw = bytearray(packed(log).read_bytes())
    begin, end = zstd_frames(raw)[5]
    before, _ = steps(log)
    if not with_table:
        raw = raw[: zstd_frames(raw)[-1][1]]
    raw[(begin + end) // 2] ^= 0xFF
    damaged = log.with_name("damaged.flog.zst")
    damaged.write_bytes(raw)
    found, gaps = steps(damaged)
    lost = sorted(set(before) - set(found))
    assert found == [step for step in before if step not in lost]
    assert 0 < len(lost) < 80
    assert lost == list(range(lost[0], lost[-1] + 1))
    assert len(gaps) == 1
    assert not trainlog.open(damaged).verify().whole


@pytest.mark.parametrize("with_table", [True, False])
def test_a_block_without_its_header(log: Path, with_table: bool) -> None:
    raw = bytearray(packed(log).read_bytes())
    begin, end = zstd_frames(raw)[5]
    if not with_table:
        raw = raw[: zstd_frames(raw)[-1][1]]
    raw[begin:end] = bytes(end - begin)
    damaged = log.with_name("damaged.flog.zst")
    damaged.write_bytes(raw)
    found, gaps = steps(damaged)
    assert found[0] == 0
    assert found[-1] == ROWS - 1
    assert len(found) > ROWS - 80
    assert len(gaps) == 1


@pytest.mark.parametrize("with_table", [True, False])
def test_any_bit_of_the_header_of_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_table: bool) -> None:
    """Also where it makes the block claim more than any may hold, or end elsewhere."""
    monkeypatch.setattr(archive, "_USUAL", 80_000)
    path = tmp_path / "run.flog"
    noise = random.Random(1).randbytes
    path.write_bytes(Flog.header() + b"".join(Flog.frame(i, 2, {"step": i, "b": noise(7000)}) for i in range(50)))
    raw = packed(path).read_bytes()
    frames = zstd_frames(raw)
    if not with_table:
        raw = raw[: frames[-1][1]]
    damaged = path.with_name("damaged.flog.zst")
    for bit in range(8 * 4, 8 * 10):
        changed = bytearray(raw)
        changed[frames[2][0] + bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(changed)
        found, gaps = steps(damaged)
        assert found in (list(range(50)), [*range(11), *range(22, 50)])
        assert gaps or len(found) == 50


@pytest.mark.parametrize("kind", ["plain", "archive"])
def test_a_log_that_shrinks_while_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """At any moment: it is read, or refused with an error of this library."""
    raw = Flog.header() + b"".join(Flog.frame(i, 2, {"step": i, "b": bytes(8000)}) for i in range(110))
    if kind == "archive":
        (tmp_path / "whole.flog").write_bytes(raw)
        monkeypatch.setattr(archive, "_USUAL", 50_000)
        raw = packed(tmp_path / "whole.flog").read_bytes()
        begin, end = zstd_frames(raw)[1]
        raw = raw[:begin] + bytes(end - begin) + raw[end : zstd_frames(raw)[-1][1]]
    path = tmp_path / "run.flog"
    fstat, calls, left = os.fstat, 0, 0

    def shrink(fd: int) -> os.stat_result:
        nonlocal calls
        calls -= 1
        if not calls:
            os.truncate(path, left)
        return fstat(fd)

    monkeypatch.setattr(os, "fstat", shrink)
    for size, moment in itertools.product((0, 60, len(raw) // 10), range(1, 30)):
        calls = 0
        path.write_bytes(raw)
        calls, left = moment, size
        with contextlib.suppress(TrainlogError):
            trainlog.open(path)


def test_an_archive_that_was_cut(log: Path) -> None:
    raw = packed(log).read_bytes()
    cut = log.with_name("cut.flog.zst")
    ends = [end for _, end in zstd_frames(raw)]
    for size in range(ends[0] + 4, len(raw), 97):
        cut.write_bytes(raw[:size])
        found, _ = steps(cut)
        assert found == list(range(len(found)))
        assert bool(found) == (size >= ends[1])


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_bytes_are_refused_or_read(data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("any")
    log = folder / "a.flog"
    log.write_bytes(Flog.header() + b"".join(Flog.frame(i, 2, {"step": i}) for i in range(40)))
    raw = bytearray(compact(log, folder / "a.flog.zst").path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(4, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=6))
    (folder / "b.flog.zst").write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = [frame.data.get("step") for frame in trainlog.open(folder / "b.flog.zst")]
        except TrainlogError:
            return
    assert found == sorted(found)


def footer(sizes: list[tuple[int, int]], count: int | None = None) -> bytes:
    entries = b"".join(struct.pack("<II", *one) for one in sizes)
    body = entries + struct.pack("<IBI", len(sizes) if count is None else count, 0, 0x8F92EAB1)
    return struct.pack("<II", 0x184D2A5E, len(body)) + body


@pytest.mark.parametrize("change", ["contents", "places", "count", "huge"])
def test_a_seek_table_that_lies_is_not_believed(log: Path, change: str) -> None:
    raw = packed(log).read_bytes()
    frames = zstd_frames(raw)
    sizes = [(end - begin, 1500) for begin, end in frames]
    count = None
    if change == "places":
        sizes = [(sizes[0][0] + 7, 1500), (sizes[1][0] - 7, 1500), *sizes[2:]]
    elif change == "count":
        count = 0xFFFFFFFF
    elif change == "huge":
        sizes = [(size, 0xFFFFFFFF) for size, _ in sizes]
    path = log.with_name("lies.flog.zst")
    path.write_bytes(raw[: frames[-1][1]] + footer(sizes, count))
    assert steps(path) == (list(range(ROWS)), [])


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    frame = zstandard.ZstdCompressor(level=19).compress(bytes(16 << 20))
    path = tmp_path / "bomb.flog.zst"
    path.write_bytes(frame * 100)
    with pytest.raises(CorruptLog, match="claims to hold"):
        trainlog.open(path)


def test_one_frame_of_everything_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "one.flog.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(bytes(17 << 20)))
    with pytest.raises(UnknownFormat, match="zstd -d"):
        trainlog.open(path)
    path.write_bytes(zstandard.ZstdCompressor().compress(Flog.header()) + path.read_bytes())
    with pytest.raises(UnknownFormat, match="zstd -d"):
        trainlog.open(path)
    path.write_bytes(zstandard.ZstdCompressor(write_content_size=False).compress(Flog.header()))
    with pytest.raises(UnknownFormat, match="zstd -d"):
        trainlog.open(path)


def test_an_ordinary_small_zst_is_read(log: Path) -> None:
    path = log.with_name("ordinary.flog.zst")
    path.write_bytes(zstandard.ZstdCompressor().compress(log.read_bytes()))
    assert steps(path) == (list(range(ROWS)), [])


def test_memory_holds_a_few_blocks_only(log: Path) -> None:
    with CompressedSource(Source(packed(log))) as source:
        for at in range(0, source.size, 500):
            source.read(at, 10)
            assert len(source._kept) <= 4


def test_frames_larger_than_a_block(tmp_path: Path) -> None:
    path = tmp_path / "large.flog"
    path.write_bytes(Flog.header() + b"".join(Flog.frame(i + 1, 2, {"step": i, "b": bytes(3 << 20)}) for i in range(3)))
    assert steps(packed(path)) == ([0, 1, 2], [])


def test_damage_in_the_log_is_kept_as_it_is(log: Path) -> None:
    raw = log.read_bytes()
    log.write_bytes(raw[:3000] + b"\xff" * 50 + raw[3000:-5])
    assert [(gap.offset, gap.size) for gap in steps(packed(log))[1]] == [
        (gap.offset, gap.size) for gap in steps(log)[1]
    ]


def test_what_is_refused(log: Path) -> None:
    target = packed(log)
    with pytest.raises(LogExists):
        compact(log, target)
    with pytest.raises(UnknownFormat, match="already"):
        compact(target, log.with_name("twice.flog.zst"))
    with pytest.raises(CodecError, match="resumed"):
        trainlog.resume(target)
    (log.parent / "no.flog").write_bytes(b"something else")
    with pytest.raises(CorruptLog):
        compact(log.parent / "no.flog", log.parent / "no.flog.zst")
    assert sorted(path.name for path in log.parent.iterdir()) == ["no.flog", "run.flog", "run.flog.zst"]


def test_a_log_that_is_written_is_refused(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "live.flog"), pytest.raises(LogInUse):
        compact(tmp_path / "live.flog", tmp_path / "live.flog.zst")


def test_the_verb(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["compact", str(log)])
    assert done.value.code == 0
    assert "times smaller; compared with the log, which is kept" in capsys.readouterr().out
    assert log.exists()
    with pytest.raises(SystemExit) as done:
        main(["compact", str(log)])
    assert done.value.code == 2
    assert "never overwritten" in capsys.readouterr().err


def test_convert_there_and_back(log: Path) -> None:
    trainlog.convert(log, log.with_name("c.flog.zst"))
    trainlog.convert(log.with_name("c.flog.zst"), log.with_name("d.flog"))
    assert list(trainlog.open(log)) == list(trainlog.open(log.with_name("d.flog")))


def test_without_zstandard_the_extra_is_named(log: Path) -> None:
    target = packed(log)
    code = "import sys; sys.modules['zstandard'] = None; from trainlog.cli import main; main(['info', sys.argv[1]])"
    done = subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "trainlog[zstd]" in done.stderr
    assert "Traceback" not in done.stderr
