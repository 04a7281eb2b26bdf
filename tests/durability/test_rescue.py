"""verify says what is wrong with a log, and repair keeps all that is whole."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import by_hand_simion
import trainlog
from handmade import Flog
from trainlog import Frame, Header, Kind, SimpleCodec, verification
from trainlog.cli import main
from trainlog.errors import CodecError, LogInUse
from trainlog.storage.source import Source
from trainlog.verification import repair_in_place

Make = Callable[[Sequence[bytes] | bytes], Path]


def stats(start: int, stop: int) -> list[bytes]:
    return [Flog.frame(n / 10, 2, {"step": n, "reward": n * 0.5}) for n in range(start, stop)]


ORPHANS = [struct.pack("<dBI", 6.0 + n / 100, kind, 40) for n, kind in enumerate([4, 4, 2, 4, 4, 3])]


@pytest.fixture
def full_disk(make: Make) -> Path:
    """What the original writer left when the disk filled up and then had room again."""
    return make([Flog.header({"creature": "go2"}), *stats(0, 61), *ORPHANS, *stats(61, 173)])


def run(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out + err


def test_the_log_of_a_disk_that_filled_up(full_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = full_disk.read_bytes()
    hole = sum(map(len, [Flog.header({"creature": "go2"}), *stats(0, 61)]))
    code, out = run("verify", full_disk, "--json", capsys=capsys)
    facts = json.loads(out)
    assert code == 1
    assert facts["verdict"] == "damaged"
    assert facts["kinds"] == {"stats": 173}
    assert [(one["what"], one["offset"], one["size"]) for one in facts["problems"]] == [("hole", hole, 78)]

    target = tmp_path / "b.flog"
    code, out = run("repair", full_disk, target, capsys=capsys)
    assert code == 3
    assert out.splitlines() == [
        f"{target}: kept 173 stats",
        "  lost 4 creature, 1 stats, 1 event: 78 bytes that are not a whole frame",
    ]
    assert full_disk.read_bytes() == before
    *frames, told = trainlog.open(target).frames(on_damage="raise")
    assert [frame.data["step"] for frame in frames] == list(range(173))
    assert told.data["type"] == "repaired"
    assert told.data["lost"] == {"creature": 4, "stats": 1, "event": 1}
    assert run("verify", target, capsys=capsys)[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([full_disk.name, "b.flog"])


def test_whole_frames_are_copied_as_they_are(make: Make, tmp_path: Path) -> None:
    odd = [
        Flog.frame(0.0, 2, b'{"json": 1}'),
        Flog.frame(1.0, 200, {b"\xff": [2**64 - 1]}),
        Flog.frame(2.0, 3, b"\x80"),
    ]
    path = make([Flog.header(b'{"a":  1}', phase=7), *odd])
    done = trainlog.repair(path, tmp_path / "b.flog")
    assert done.complete
    assert done.kept == {Kind.STATS: 1, Kind.EVENT: 1, Kind(200): 1}
    raw = path.read_bytes()
    raw += Flog.seal(2.0, raw)
    assert (tmp_path / "b.flog").read_bytes() == raw + Flog.seal(2.0, raw, len(raw)), "and the end mark"


def test_large_logs(make: Make, tmp_path: Path) -> None:
    frames = [Flog.frame(n, 4, {"step": n, "pad": bytes(n % 700)}) for n in range(3000)]
    path = make([Flog.header(), *frames[:1500], b"junk", *frames[1500:]])
    done = trainlog.repair(path, tmp_path / "b.flog")
    assert (done.kept, done.lost, done.lost_bytes) == ({Kind.CREATURE: 3000}, {"unknown": 1}, 4)
    assert trainlog.verify(tmp_path / "b.flog").whole
    assert [frame.time for frame in trainlog.open(tmp_path / "b.flog").frames("creature")] == list(range(3000))


def test_a_torn_tail_at_every_byte(make: Make) -> None:
    raw = b"".join([Flog.header(), *stats(0, 3)])
    start = len(Flog.header())
    ends = {start + len(b"".join(stats(0, n))): n for n in range(4)}
    for size in range(start, len(raw)):
        path = make(raw[:size])
        whole = max(end for end in ends if end <= size)
        verdict = trainlog.verify(path)
        assert verdict.kinds.total() == ends[whole]
        assert verdict.whole == (size in ends)
        assert [(one.what, one.offset, one.size) for one in verdict.problems] == [
            ("torn tail", whole, size - whole) for _ in [0] if size not in ends
        ]
        done = repair_in_place(path)
        assert path.read_bytes() == raw[:whole]
        assert (done.complete, done.lost_bytes) == (size in ends, size - whole)


def test_only_a_torn_tail_is_repaired_in_place(full_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = full_disk.read_bytes()
    code, out = run("repair", "--in-place", full_disk, capsys=capsys)
    assert (code, "more than its tail is damaged" in out) == (2, True)
    assert full_disk.read_bytes() == before
    assert "either a TARGET" in run("repair", full_disk, capsys=capsys)[1]


def test_a_log_that_is_being_written_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with trainlog.create(path):
        with path.open("ab") as file:
            file.write(b"half a fra")
        with pytest.raises(LogInUse):
            repair_in_place(path)


@pytest.mark.parametrize("left", [10, 600, -3])
def test_a_compressed_log_is_not_cut(tmp_path: Path, left: int) -> None:
    """The places of its damage count the bytes of the log, not those of the file."""
    pytest.importorskip("zstandard")
    with trainlog.create(tmp_path / "a.flog") as log:
        log.write_all(Frame(float(n), Kind.STATS, {"step": n, "noise": random.randbytes(20)}) for n in range(2000))
    trainlog.convert(tmp_path / "a.flog", tmp_path / "a.flog.zst")
    for name in ("b.flog.zst", "b.flog"):
        raw = (tmp_path / "a.flog.zst").read_bytes()[:left]
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(CodecError, match="a compressed log is repaired into another file"):
            repair_in_place(tmp_path / name)
        assert (tmp_path / name).read_bytes() == raw


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_the_torn_tail_of_a_log_of_several_files(tmp_path: Path, cut: int) -> None:
    """The descriptor, which is the log's path, is not what is torn."""
    data = by_hand_simion.experiment() + by_hand_simion.episode_of([(1.0, 2.0)] * 9)
    path = by_hand_simion.log(tmp_path, data[:-cut])
    text = path.read_bytes()
    (torn,) = trainlog.verify(path).damage
    done = repair_in_place(path)
    assert path.read_bytes() == text
    assert (torn.file, done.lost_bytes) == ("a.simion.log.bin", torn.size)
    assert (tmp_path / torn.file).read_bytes() == data[: torn.offset]
    assert trainlog.verify(path).whole


def test_a_log_that_has_grown_since_it_was_looked_at_is_not_cut(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make([Flog.header(), *stats(0, 3)[:-1], stats(0, 3)[-1][:-2]])
    found = verification.verify(path)
    path.write_bytes(path.read_bytes() + stats(0, 3)[-1][-2:] + stats(3, 5)[0])
    before = path.read_bytes()
    monkeypatch.setattr(verification, "verify", lambda path: found)
    with pytest.raises(LogInUse, match="written meanwhile"):
        repair_in_place(path)
    assert path.read_bytes() == before


def test_what_is_wrong_is_named(make: Make) -> None:
    good = stats(0, 2)
    broken = Flog.frame(1.0, 2, b"\x82\xa1a\xc1\xa1b\x01")
    long = struct.pack("<dBI", 1.0, 4, 4_000_000_000) + b"\x81\xa1a\x01"
    path = make([Flog.header(), *good, broken, *good, long, *good, bytes(50), *good])
    problems = trainlog.verify(path).problems
    assert [one.what for one in problems if one.damage] == ["payload", "length", "hole"]
    texts = [one.text for one in problems if one.damage]
    assert texts[0].startswith("a stats frame from byte")
    assert "4,000,000,000 bytes of payload" in texts[1]
    (note,) = [one for one in problems if not one.damage]
    assert (note.what, "steps back 3 times" in note.text) == ("time", True)


def test_times_that_step_back_are_no_damage(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    path = make([Flog.header(), Flog.frame(5.0, 2, {}), Flog.frame(2.0, 2, {}), Flog.frame(3.0, 2, {})])
    code, out = run("verify", path, capsys=capsys)
    assert code == 0
    assert "whole: 3 stats" in out
    assert "without checksums" in out
    assert "note: time: the time steps back 1 times, first at byte" in out


def test_a_flipped_byte_is_kept_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.flog"
    with trainlog.create(path) as log:
        log.write(trainlog.Frame(0.0, Kind.STATS, {"reward": 1.0}))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(struct.pack(">d", 1.0), struct.pack(">d", 2.0)))
    code, out = run("repair", path, tmp_path / "b.flog", capsys=capsys)
    assert code == 3
    end = len(raw) - 64  # where the end mark begins
    assert f"doubtful: {end:,} bytes from byte 0 have a wrong checksum" in out
    frame, told = trainlog.open(tmp_path / "b.flog")
    assert frame.data == {"reward": 2.0}
    assert told.data["doubtful"] == [[0, end]]


def test_exit_codes(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = make([Flog.header(), *stats(0, 2)])
    torn = make([Flog.header(), *stats(0, 2), b"half"])
    head = make(Flog.header()[:-1])
    alien = tmp_path / "notes.txt"
    alien.write_text("no log")
    assert run("verify", whole, capsys=capsys)[0] == 0
    assert run("verify", whole, torn, capsys=capsys)[0] == 1
    assert run("verify", head, capsys=capsys)[0] == 1
    assert run("verify", torn, alien, whole, capsys=capsys)[0] == 2
    assert run("verify", tmp_path / "none.flog", capsys=capsys)[0] == 2
    code, out = run("verify", "--json", alien, capsys=capsys)
    assert (code, json.loads(out)["verdict"]) == (2, "no log")
    assert run("repair", whole, tmp_path / "c.flog", capsys=capsys)[0] == 0
    code, out = run("repair", torn, tmp_path / "c.flog", capsys=capsys)
    assert (code, "never overwritten" in out) == (2, True)
    code, out = run("repair", "--json", torn, tmp_path / "d.flog", capsys=capsys)
    assert (code, json.loads(out)["lost"], json.loads(out)["lost_bytes"]) == (3, {"unknown": 1}, 4)


class Numbers(SimpleCodec):
    """One number on each line."""

    name = "numbers"
    suffixes = (".numbers",)

    def decode(self, source: Source) -> Iterator[Header | Frame]:
        yield Header()
        while line := source.line():
            yield Frame(float(line), Kind.STATS, {})

    def encode(self, record: Header | Frame) -> bytes:
        return b""


def test_formats_without_a_repair_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.numbers"
    path.write_bytes(b"1\n2\n3")
    reader = Numbers().read(path)
    verdict = reader.verify()
    assert [(one.what, one.offset, one.size) for one in verdict.problems] == [("torn tail", 4, 1)]
    done = trainlog.repair(reader, tmp_path / "b.flog")
    assert (done.kept, done.complete, done.lost_bytes) == ({Kind.STATS: 2}, False, 1)
    assert [frame.time for frame in trainlog.open(tmp_path / "b.flog")] == [1, 2]


HEADER = Flog.header({"creature": "go2"})
WITHOUT_CHECKSUMS = {
    "magic": (b"FLXG" + HEADER[4:], {"creature": "go2"}),
    "a version and a length": (b"FLOG\x05\x00\x00\xff\xff\xff\xff" + HEADER[11:], {"creature": "go2"}),
    "a length too short": (HEADER[:7] + b"\x03" + HEADER[8:], {"creature": "go2"}),
    "zeros, as a power cut leaves them": (bytes(len(HEADER)), {}),
    "zeros and a whole page of them": (bytes(4096), {}),
    "magic, and what was JSON": (b"FLO\x00" + HEADER[4:12] + b"\xff" + HEADER[13:], {}),
}


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
@pytest.mark.parametrize("name", WITHOUT_CHECKSUMS)
def test_a_damaged_header_is_rebuilt_and_told(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    header, meta = WITHOUT_CHECKSUMS[name]
    path = make([header, *stats(0, 5)])
    with pytest.warns(trainlog.TrainlogWarning, match="its header is damaged"):
        log = trainlog.open(path)
    assert log.header.meta == meta
    assert [frame.data["step"] for frame in log] == list(range(5))
    assert log.table("stats")["step"].tolist() == list(range(5))
    code, out = run("verify", path, capsys=capsys)
    assert (code, "header: its header is damaged" in out) == (1, True)
    code, out = run("repair", path, tmp_path / "b.flog", capsys=capsys)
    assert (code, "lost 1 header" in out, "header: its header is damaged" in out) == (3, True, True)
    *frames, told = trainlog.open(tmp_path / "b.flog").frames(on_damage="raise")
    assert [frame.data["step"] for frame in frames] == list(range(5))
    assert (told.data["type"], told.data["lost"]) == ("repaired", {"header": 1})
    assert trainlog.open(tmp_path / "b.flog").header.meta == meta
    assert trainlog.verify(tmp_path / "b.flog").whole


@pytest.mark.parametrize("bit", range(12))
def test_a_wrong_length_of_the_metadata_that_leads_to_a_later_frame(make: Make, bit: int) -> None:
    frames = [Flog.frame(1.0 + n, 2, {"step": n, "pad": "x" * (7 if n < 128 else 6)}) for n in range(150)]
    assert {len(frame) for frame in frames} == {32}
    header = bytearray(Flog.header({"creature": "ant"}))
    header[7 + bit // 8] ^= 1 << bit % 8
    path = make([bytes(header), *frames])
    with pytest.warns(trainlog.TrainlogWarning, match="its header is damaged"):
        log = trainlog.open(path)
    assert log.header.meta == {"creature": "ant"}
    assert [frame.data["step"] for frame in log] == list(range(150))
    assert not log.verify().whole


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
def test_metadata_that_cannot_be_read_are_not_in_the_repaired_log(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make([Flog.header(b'{"c\x86": 1}', phase=3), *stats(0, 5)])
    code, out = run("repair", path, tmp_path / "b.flog", capsys=capsys)
    assert (code, "lost 1 header" in out, "the metadata are not a JSON object" in out) == (3, True, True)
    *kept, told = trainlog.open(tmp_path / "b.flog").frames(on_damage="raise")
    assert [frame.data["step"] for frame in kept] == list(range(5))
    assert told.data["lost"] == {"header": 1}
    assert trainlog.open(tmp_path / "b.flog").header.phase == 3
    assert not trainlog.verify(tmp_path / "b.flog").problems


def test_a_header_is_not_rebuilt_where_no_frame_shows_it(make: Make) -> None:
    for header in (Flog.header(version=3), b"FLXG" + Flog.header()[4:7] + b"\xff" + Flog.header()[8:], bytes(5000)):
        with pytest.raises(trainlog.TrainlogError):
            trainlog.open(make(header))
