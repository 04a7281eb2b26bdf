"""Reading FLOG files that are made by hand, byte by byte."""

from __future__ import annotations

import json
import math
import pickle
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trainlog
from handmade import Flog
from trainlog import Frame, Kind
from trainlog.errors import CorruptLog, DamagedLogWarning, InvalidPosition, LogNotFound, TruncatedLog, UnknownFormat
from trainlog.testing import same

Make = Callable[[Sequence[bytes] | bytes], Path]

FRAMES = [
    (0.25, 3, {"type": "start", "msg": "go"}),
    (0.5, 4, {"step": 0, "pos": [0.5, -1.5], "heading": -3.1}),
    (1.0, 2, {"step": 10, "reward": math.nan, "best": math.inf, "flag": "True"}),
    (0.75, 4, {"step": 10, "pos": [1.5, -2.5], "heading": 0.0}),
    (2.0, 1, {"gen": 0, "best_fitness": 1.5}),
    (2.5, 9, {"of": "a kind that nobody knows"}),
]


def made(frames: Sequence[tuple[float, int, Any]] = FRAMES) -> list[bytes]:
    return [Flog.header({"creature": "ant"}), *(Flog.frame(*frame) for frame in frames)]


def plain(frames: Any) -> list[tuple[float, int, Any]]:
    return [(frame.time, int(frame.kind), dict(frame.data)) for frame in frames]


def test_every_frame_of_a_whole_file(make: Make) -> None:
    log = trainlog.open(make(made()))
    assert same(plain(log.frames(on_damage="raise")), FRAMES)
    assert log.header.meta == {"creature": "ant"}
    assert [str(frame.kind) for frame in log] == ["event", "creature", "stats", "creature", "evolution", "kind_9"]
    assert isinstance(next(iter(log)), Frame)


def test_the_magic_decides_not_the_name(make: Make, tmp_path: Path) -> None:
    other = make(made()).rename(tmp_path / "run.of.someone.else")
    assert len(list(trainlog.open(other))) == len(FRAMES)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 9, 5])
def test_only_one_kind_is_decoded(make: Make, kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0

    def counting(payload: bytes) -> Any:
        nonlocal decoded
        decoded += 1
        return msgpack.unpackb(payload)

    path = make(made())
    monkeypatch.setattr("trainlog.codecs.flog.scanning.walk.decode", counting)
    expected = [frame for frame in FRAMES if frame[1] == kind]
    assert same(plain(trainlog.open(path).frames(kind)), expected)
    assert decoded == len(expected)


def test_a_torn_tail_ends_quietly_or_strictly_raises(make: Make) -> None:
    whole = b"".join(made())
    last = len(Flog.frame(*FRAMES[-1]))
    for cut in range(1, last):
        path = make(whole[:-cut])
        log = trainlog.open(path)
        assert len(list(log.frames())) == len(FRAMES) - 1
        with pytest.raises(TruncatedLog) as caught:
            list(log.frames(on_damage="raise"))
        assert caught.value.path == path
        assert caught.value.offset == len(whole) - last
        (gap,) = log.summary().gaps
        assert (gap.offset, gap.size, gap.torn) == (len(whole) - last, last - cut, True)


def test_a_hole_is_passed_and_told(make: Make) -> None:
    """What the original writer leaves when the disk was full: headers without payloads."""
    before, after = made()[:4], made()[4:]
    orphans = b"".join(struct.pack("<dBI", 1.0 + n, 4, 596) for n in range(6))
    path = make([*before, orphans, *after])
    log = trainlog.open(path)
    start = len(b"".join(before))
    with pytest.warns(
        DamagedLogWarning, match=f"78 bytes that are not a record, from byte {start:,} to {start + 78:,}"
    ):
        assert same(plain(log.frames()), FRAMES)
    with pytest.raises(CorruptLog) as caught:
        list(log.frames(on_damage="raise"))
    assert caught.value.offset == start
    (gap,) = log.summary().gaps
    assert (gap.offset, gap.size, gap.torn) == (start, 78, False)


def test_holes_with_headers_that_swallow_what_follows(make: Make) -> None:
    many = [(n / 10, 4 if n % 7 else 2, {"step": n, "pos": [n * 0.5] * 20}) for n in range(300)]
    frames = [Flog.frame(*frame) for frame in many]
    orphan = struct.pack("<dBI", 7.0, 4, len(frames[1]) - 13)
    path = make([Flog.header(), *frames[:100], orphan * 3, *frames[100:200], orphan[:9], *frames[200:]])
    log = trainlog.open(path)
    with pytest.warns(DamagedLogWarning):
        assert same(plain(log.frames()), many)
    assert [gap.size for gap in log.summary().gaps] == [39, 9]
    for kind in (2, 4):
        with pytest.warns(DamagedLogWarning):
            assert same(plain(log.frames(kind)), [frame for frame in many if frame[1] == kind])


@pytest.mark.parametrize("length", [2**32 - 1, 2**31, 10**6])
@pytest.mark.parametrize("at", [0, 2, 5])
def test_a_hostile_length_allocates_nothing_and_hides_nothing(make: Make, length: int, at: int) -> None:
    parts = [Flog.frame(*frame) for frame in FRAMES]
    parts[at] = struct.pack("<dBI", *FRAMES[at][:2], length) + parts[at][13:]
    path = make([Flog.header(), *parts])
    expected = FRAMES[:at] + FRAMES[at + 1 :]
    tracemalloc.start()
    try:
        if at < len(FRAMES) - 1:
            with pytest.warns(DamagedLogWarning):
                assert same(plain(trainlog.open(path)), expected)
        else:
            assert same(plain(trainlog.open(path)), expected)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_a_length_beyond_the_end_far_from_the_end_hides_nothing_of_any_kind(make: Make) -> None:
    """There is more behind it than is searched at once, and the frames before it were passed undecoded."""
    many = [(n / 10, 4 if n % 50 else 2, {"step": n, "pos": [n * 0.5] * 100}) for n in range(3000)]
    parts = [Flog.frame(*frame) for frame in many]
    parts[120] = struct.pack("<dBI", *many[120][:2], 10**8) + parts[120][13:]
    path = make([Flog.header(), *parts])
    assert sum(map(len, parts[121:])) > 2 << 20
    for kind in (2, 4):
        with pytest.warns(DamagedLogWarning):
            back = plain(trainlog.open(path).frames(kind))
        assert same(back, [frame for n, frame in enumerate(many) if frame[1] == kind and n != 120])


def test_a_payload_that_is_no_msgpack_is_skipped_alone(make: Make) -> None:
    parts = made()
    parts[3] = Flog.frame(1.0, 2, b"\x82\xa1a\x01\xa1b\xc1")
    path = make(parts)
    with pytest.warns(DamagedLogWarning, match="20 bytes"):
        assert same(plain(trainlog.open(path)), FRAMES[:2] + FRAMES[3:])
    assert same(plain(trainlog.open(path).frames("creature")), [FRAMES[1], FRAMES[3]])


def test_rubbish_at_the_end(make: Make) -> None:
    path = make([*made(), b"\x00" * 100])
    with pytest.warns(DamagedLogWarning, match="100 bytes"):
        assert len(list(trainlog.open(path))) == len(FRAMES)
    with pytest.raises(CorruptLog):
        list(trainlog.open(path).frames(on_damage="raise"))


def test_json_payloads(make: Make) -> None:
    path = make([Flog.header(), *(Flog.frame(t, k, json.dumps(d).encode()) for t, k, d in FRAMES)])
    assert same(plain(trainlog.open(path).frames(on_damage="raise")), FRAMES)
    assert trainlog.open(path).table("stats")["best"].tolist() == [math.inf]


def test_json_and_msgpack_in_one_file(make: Make) -> None:
    parts = made()
    parts[2] = Flog.frame(FRAMES[1][0], 4, json.dumps(FRAMES[1][2]).encode())
    assert same(plain(trainlog.open(make(parts)).frames(on_damage="raise")), FRAMES)


def test_numbers_as_strings_are_kept_and_coerced_when_asked(make: Make) -> None:
    path = make([Flog.header(), *(Flog.frame(0, 2, {"x": x}) for x in ("1.25", "7", "True", "walk", 3))])
    table = trainlog.open(path).table("stats")
    assert table["x"].tolist() == ["1.25", "7", "True", "walk", 3]
    assert same(table.numbers("x").tolist(), [1.25, 7.0, 1.0, math.nan, 3.0])


def test_empty_and_header_only_files(make: Make, tmp_path: Path) -> None:
    for path in (make(b""), make(Flog.header({"creature": "ant"})), tmp_path / "training_log.bin"):
        path.touch()
        log = trainlog.open(path)
        assert list(log.frames(on_damage="raise")) == []
        assert log.summary().frames == 0
        assert log.table("stats").rows == 0
    assert trainlog.open(make(Flog.header({"creature": "ant"}))).header.meta == {"creature": "ant"}


def test_a_file_that_ends_in_its_header(make: Make) -> None:
    whole = Flog.header({"creature": "ant"})
    for cut in range(4, len(whole)):
        with pytest.raises(TruncatedLog):
            trainlog.open(make(whole[:cut]))
    tracemalloc.start()
    try:
        with pytest.raises(TruncatedLog, match="ends inside its metadata"):
            trainlog.open(make(b"FLOG" + struct.pack("<HBI", 1, 0, 2**28) + b"{}"))
        with pytest.raises(CorruptLog, match="claim 4,294,967,295 bytes"):
            trainlog.open(make(b"FLOG" + struct.pack("<HBI", 1, 0, 2**32 - 1) + b"{}"))
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("meta", [b"{", b"[1]", b"\xff", b"7", b'{"a":' * 5000])
def test_metadata_that_are_no_json_object_do_not_hide_the_frames(make: Make, meta: bytes) -> None:
    path = make([Flog.header(meta), *made()[1:]])
    with pytest.warns(DamagedLogWarning, match="the metadata are not a JSON object"):
        frames = list(trainlog.open(path))
    assert len(frames) == len(FRAMES)


def test_version_2_has_the_same_frames(make: Make) -> None:
    log = trainlog.open(make([Flog.header({"creature": "go2"}, version=2), *made()[1:]]))
    assert log.header.meta == {"creature": "go2"}
    assert len(list(log)) == len(FRAMES)


def test_another_version_is_refused(make: Make) -> None:
    with pytest.raises(UnknownFormat, match="FLOG version 3; versions 1 and 2 are known"):
        trainlog.open(make(Flog.header(version=3)))


def test_what_is_no_flog_file(make: Make, tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat, match="no codec accepts this file"):
        trainlog.open(make(b"PNG nothing of that kind"))
    with pytest.raises(CorruptLog, match="this is not a FLOG file"):
        trainlog.open(make(b"PNG nothing of that kind"), codec="flog")
    with pytest.raises(LogNotFound):
        trainlog.open(tmp_path / "nowhere.flog")
    with pytest.raises(UnknownFormat, match="folder"):
        trainlog.open(tmp_path)


def test_a_foreign_variables_key_stays_in_the_metadata(make: Make) -> None:
    for meta in ({"variables": 3}, {"variables": [1]}, {"variables": [{"name": "v"}]}):
        log = trainlog.open(make(Flog.header(meta)))
        assert log.header.meta == meta
        assert log.header.variables == ()


def test_follows_a_file_that_grows_by_single_bytes(make: Make) -> None:
    whole = b"".join(made())
    path = make(whole[:4])
    rest = iter(range(5, len(whole) + 1))

    def grow() -> bool:
        size = next(rest, None)
        if size is None:
            return False
        path.write_bytes(whole[:size])
        return True

    # The header is not there yet: opening says so, following waits for it.
    with pytest.raises(TruncatedLog):
        trainlog.open(path)
    path.write_bytes(b"")
    log = trainlog.open(path)
    assert same(plain(log.frames(wait=grow)), FRAMES)


def test_follows_across_a_hole(make: Make) -> None:
    parts = made()
    orphan = struct.pack("<dBI", 7.0, 4, 300)
    pieces = iter([*parts[:3], orphan, orphan, *parts[3:]])
    path = make(b"")

    def grow() -> bool:
        piece = next(pieces, None)
        if piece is not None:
            with path.open("ab") as file:
                file.write(piece)
        return piece is not None

    log = trainlog.open(path)
    with pytest.warns(DamagedLogWarning):
        assert same(plain(log.frames(wait=grow)), FRAMES)


def test_a_file_that_shrinks_while_it_is_followed(make: Make) -> None:
    path = make(made())

    def shrink() -> bool:
        path.write_bytes(b"")
        return True

    with pytest.raises(InvalidPosition, match="cut or overwritten while it was followed; read it again"):
        list(trainlog.open(path).frames(wait=shrink))


def test_a_reader_holds_no_file(make: Make) -> None:
    path = make(made())
    log = pickle.loads(pickle.dumps(trainlog.open(path)))
    frames = log.frames()
    next(frames)
    frames.close()
    path.unlink()
    with pytest.raises(LogNotFound):
        next(log.frames())


def test_memory_stays_flat(make: Make) -> None:
    """A file of 200 MB is read within the 60 MB that Python and numpy take, and a few of ours."""
    block = b"".join(Flog.frame(n, 4, {"step": n, "pos": [0.5] * 100}) for n in range(1000))
    path = make(Flog.header())
    with path.open("ab") as file:
        for _ in range(200_000_000 // len(block)):
            file.write(block)
    code = """
import resource, sys, trainlog
log = trainlog.open(sys.argv[1])
next(log.frames())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in log.frames())
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    count, grown = map(int, done.stdout.split())
    assert count == 200_000_000 // len(block) * 1000
    assert grown < 20
    path.unlink()


@given(data=st.data())
def test_damage_never_adds_or_reorders_frames(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Cut something out of a file, or put something into it: the frames that it did not touch are all there."""
    frames = [(n * 0.5, 2 + n % 3, {"step": n, "pos": [n * 1.5] * (n % 5)}) for n in range(1, 12)]
    parts = [Flog.frame(*frame) for frame in frames]
    where = data.draw(st.integers(0, len(parts) - 1))
    part = parts[where]
    match data.draw(st.sampled_from(["cut", "insert", "flip"])):
        case "cut":
            keep = data.draw(st.integers(0, len(part) - 1))
            parts[where] = part[:keep]
        case "insert":
            parts[where] = data.draw(st.binary(min_size=1, max_size=60)) + part
        case "flip":
            bit = data.draw(st.integers(8 * 8, 8 * len(part) - 1))
            changed = bytearray(part)
            changed[bit // 8] ^= 1 << bit % 8
            parts[where] = bytes(changed)
    path = tmp_path_factory.mktemp("damage") / "a.flog"
    path.write_bytes(b"".join([Flog.header(), *parts]))
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedLogWarning)
        back = plain(trainlog.open(path))
        # A frame that is left out undecoded is passed by its length alone; should that, of a frame that was cut, end
        # exactly where a later one begins, then nothing shows that another one was passed with it.
        begins = {len(b"".join(parts[:n])) for n in range(len(parts))}
        unseen = len(parts[where]) < len(part) and len(b"".join(parts[:where])) + len(part) in begins
        for kind in () if unseen else (2, 3, 4):
            assert same(plain(trainlog.open(path).frames(kind)), [frame for frame in back if frame[1] == kind])
    for n, frame in enumerate(frames):
        if n != where:
            assert any(same(frame, one) for one in back), f"frame {n} is gone"
    assert len(back) <= len(frames)


def test_kinds_of_frames_are_shared_objects(make: Make) -> None:
    assert {frame.kind for frame in trainlog.open(make(made()))} >= {Kind.STATS, Kind(9)}


def test_a_frame_between_two_broken_ones_is_read_by_every_question(make: Make) -> None:
    broken = bytearray(Flog.frame(0, 4, {"pos": None, "mode": 7}))
    broken[-1] = 0xC1
    other = bytearray(Flog.frame(2, 2, {"x": 2}))
    other[13] = 0xC1
    whole = [Flog.frame(time, 2, {"x": time}) for time in (1, 3)]
    reader = trainlog.open(make([Flog.header(), bytes(broken), whole[0], bytes(other), whole[1]]))
    with pytest.warns(DamagedLogWarning):
        assert [frame.data["x"] for frame in reader.frames()] == [1, 3]
    with pytest.warns(DamagedLogWarning):
        assert [frame.data["x"] for frame in reader.frames("stats")] == [1, 3]
    with pytest.warns(DamagedLogWarning):
        assert reader.table("stats")["x"].tolist() == [1, 3]
