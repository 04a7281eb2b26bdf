"""Whatever a file holds, and wherever it stands: one frame is lost or one sentence said, never an untyped error."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import trainlog
from handmade import Flog
from trainlog import Frame, Kind, TrainlogError
from trainlog.cli import main
from trainlog.errors import DamagedLogWarning, InvalidPosition, LogExists, LogReadError, UnknownFormat, UnsupportedFrame

Make = Callable[[Sequence[bytes] | bytes], Path]
STEPS = [Flog.frame(float(n), 2, {"step": n, "r": n % 2 + 0.5}) for n in range(6)]


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def read_in_every_way(path: Path, folder: Path) -> list[Frame]:
    log = trainlog.open(path)
    frames = list(log)
    assert log.summary().frames == len(frames)
    for kind in log.summary().kinds:
        assert log.table(kind).rows == sum(frame.kind == kind for frame in frames)
    trainlog.verify(path)
    for verb in (["info"], ["info", "--json"], ["watch", "--once"], ["dump"], ["tail"]):
        assert run(*verb, path) == 0
    assert run("plot", path, "-o", folder / "figures") == 0
    assert run("report", path, "-o", folder / "report") == (0 if trainlog.verify(path).whole else 1)
    return frames


@pytest.mark.parametrize("step", ["1e309", "-1e309", "9" * 400, "null", '"x"', "[1]", "{}", "true"])
@pytest.mark.parametrize("event", [False, True])
def test_a_step_that_is_no_step_beside_a_rewind(make: Make, tmp_path: Path, step: str, event: bool) -> None:
    json = b'{"step": %s%s}' % (step.encode(), b', "type": "rewind", "by": "trainlog"' if event else b"")
    rewind = Flog.frame(7.0, 3, {"type": "rewind", "by": "trainlog", "step": 99 if event else 2})
    path = make([Flog.header(), *STEPS, Flog.frame(6.0, 3, json), rewind, Flog.frame(8.0, 2, {"step": 3, "r": 0.25})])
    frames = read_in_every_way(path, tmp_path)
    assert frames[-1].data == {"step": 3, "r": 0.25}
    assert ([frame.data["step"] for frame in frames[:3]], len(frames)) == ([0, 1, 2], 9 if event else 5)


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
@pytest.mark.parametrize("depth", [255, 990, 1000, 1020, 5000])
@pytest.mark.parametrize("level", [b"\x91", b"\x81\xa1a", b"\x92\x01", '{"a":'], ids=["list", "map", "pairs", "JSON"])
def test_a_frame_that_is_nested_deep(make: Make, tmp_path: Path, depth: int, level: bytes | str) -> None:
    if isinstance(level, str):
        deep = level.encode() * (depth + 1) + b"1" + b"}" * (depth + 1)
    else:
        deep = b"\x81\xa1a" + level * depth + b"\x01"
    path = make([Flog.header(), *STEPS, Flog.frame(6.0, 2, deep), *STEPS])
    assert len(read_in_every_way(path, tmp_path)) == 12
    (problem,) = trainlog.verify(path).damage
    assert problem.what == "payload"


INNERMOST = {
    "a number": (0, 1.0),
    "a list": (1, list(range(300))),
    "a map with odd keys": (1, {1: 2}),
    "a scalar of numpy": (0, np.float32(1)),
    "an array of many dimensions": (30, np.zeros((1,) * 30)),
    "a big-endian array of many dimensions": (30, np.zeros((1,) * 30, ">f8")),
}


@pytest.mark.parametrize("inner", INNERMOST)
@pytest.mark.parametrize("level", ["list", "map", "tuple", "pairs"])
def test_what_is_written_is_not_too_deep_to_be_read(tmp_path: Path, inner: str, level: str) -> None:
    def nested(depth: int) -> object:
        levels, value = INNERMOST[inner]
        for n in range(depth - levels):
            value = {"list": [value], "map": {"a": value}, "tuple": (value,), "pairs": [n, value]}[level]
        return value

    with trainlog.create(tmp_path / "a.flog") as log:
        log.write(Frame(0.0, Kind.STATS, {"r": 1.0, "a": nested(254)}))
        for depth in (255, 270, 1100):
            with pytest.raises(UnsupportedFrame, match="nested deeper than 254"):
                log.write(Frame(0.0, Kind.STATS, {"r": 1.0, "a": nested(depth)}))
    assert len(list(trainlog.open(tmp_path / "a.flog"))) == 1


@pytest.mark.parametrize("level", [b"\x91", b"\x81\xa1a", b"\x92\x01"], ids=["list", "map", "pairs"])
def test_a_frame_that_is_nested_as_deep_as_may_be(make: Make, tmp_path: Path, level: bytes) -> None:
    deep = b"\x81\xa1a" + level * 254 + b"\x01"
    path = make([Flog.header(), *STEPS, Flog.frame(6.0, 2, deep), Flog.frame(6.0, 3, deep), *STEPS])
    assert len(read_in_every_way(path, tmp_path)) == 14
    assert trainlog.verify(path).whole


@pytest.mark.parametrize(
    "event",
    [
        {"type": "background"},
        {"type": "dropped", "dropped": [1]},
        {"type": "resume", "time": "x"},
        {"type": "resume", "host": 1, "cut": "y"},
        {"type": "rewind", "step": "x"},
        {"type": "repaired", "lost": 5},
        {"type": ["odd"], "time": None},
    ],
    ids=str,
)
def test_events_of_the_recorder_that_say_nothing(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], event: dict[str, object]
) -> None:
    path = make([Flog.header(), *STEPS, Flog.frame(6.0, 3, {**event, "by": "trainlog"})])
    read_in_every_way(path, tmp_path)
    assert "an event that lacks what such an event must have" in capsys.readouterr().out


GATES = [
    "mean(r[1e999%:]) > 0",
    "mean(r[-1e999%:]) > 0",
    "r[1e999] > 0",
    "smooth(r, 1e300)[0] > 0",
    "mean(r[1e300:]) > 0",
]


@pytest.mark.parametrize("gate", GATES)
def test_gates_with_numbers_without_end(make: Make, tmp_path: Path, gate: str) -> None:
    assert run("report", make([Flog.header(), *STEPS]), "-o", tmp_path / "report", "--require", gate) in (0, 1, 2)


def test_names_as_long_as_they_can_be(make: Make, tmp_path: Path) -> None:
    path = make([Flog.header(), *STEPS]).rename(tmp_path / f"{'x' * 250}.flog")
    assert len(read_in_every_way(path, tmp_path)) == 6
    for target in (f"{'y' * 250}.flog", f"{'y' * 247}.parquet", f"{'y' * 251}.svg"):
        trainlog.convert(path, tmp_path / target)
    trainlog.repair(path, tmp_path / f"{'z' * 250}.flog")
    assert [file for file in tmp_path.iterdir() if file.name.startswith(".")] == []
    for call in (trainlog.open, trainlog.verify, trainlog.create, lambda name: trainlog.convert(path, name)):
        with pytest.raises(TrainlogError, match="too long"):
            call(tmp_path / f"{'x' * 251}.flog")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_log_does_not_replace_a_folder(make: Make, tmp_path: Path, overwrite: bool) -> None:
    path, folder = make([Flog.header(), *STEPS]), tmp_path / "folder.flog"
    folder.mkdir()
    with pytest.raises(LogExists, match="folder of that name"):
        trainlog.convert(path, folder, overwrite=overwrite)
    assert sorted(tmp_path.iterdir()) == sorted([path, folder])


@pytest.mark.parametrize("verb", ["info", "verify", "dump", "tail", "watch", "plot", "report", "repair", "convert"])
def test_pipes_and_devices_are_no_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    pipe, link = tmp_path / "pipe.flog", tmp_path / "zero.flog"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    target = {"plot": ["-o", "x"], "report": ["-o", "x"], "repair": ["x.flog"], "convert": ["x.parquet"]}
    monkeypatch.chdir(tmp_path)
    for path in (pipe, link, Path("/dev/zero")):
        assert run(verb, path, *target.get(verb, [])) == (
            1 if verb == "report" else 2
        )  # it reports what it cannot read
        printed = capsys.readouterr()
        assert "a pipe, a socket or a device, not a log" in printed.err + printed.out


def test_a_pipe_among_the_files_of_a_log(tmp_path: Path) -> None:
    folder = tmp_path / "run.flog"
    folder.mkdir()
    (folder / "0.flog").write_bytes(Flog.header() + b"".join(STEPS))
    os.mkfifo(folder / "1.flog")
    assert len(list(trainlog.open(folder))) == 6


class BadDisk:
    """Every read of some bytes of one file fails."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bad: range = range(0)
        self._inode = path.stat().st_ino
        self._pread, self._preadv = os.pread, os.preadv
        monkeypatch.setattr(os, "pread", self.pread)
        monkeypatch.setattr(os, "preadv", self.preadv)

    def _check(self, fd: int, size: int, offset: int) -> None:
        if os.fstat(fd).st_ino == self._inode and offset < self.bad.stop and self.bad.start < offset + size:
            raise OSError(errno.EIO, "Input/output error")

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self._check(fd, size, offset)
        return self._pread(fd, size, offset)

    def preadv(self, fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        self._check(fd, sum(map(len, buffers)), offset)
        return self._preadv(fd, buffers, offset)


@pytest.fixture
def long_log(make: Make) -> Path:
    values = np.arange(100.0)
    return make([Flog.header(), *(Flog.frame(n, 4, {"step": n, "pos": (values + n).tolist()}) for n in range(200))])


@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
@pytest.mark.parametrize("bad", [range(50_000, 50_001), range(90_000, 100_000), range(12, 13), range(181_000, 190_000)])
def test_a_page_that_the_disk_cannot_give(long_log: Path, monkeypatch: pytest.MonkeyPatch, bad: range) -> None:
    expected = list(trainlog.open(long_log))
    disk = BadDisk(long_log, monkeypatch)
    disk.bad = bad
    lost = range(bad.start - bad.start % 4096, -(-bad.stop // 4096) * 4096)
    ends = np.cumsum([len(Flog.header()), *(len(Flog.frame(*frame)) for frame in expected)])
    kept = [f for f, a, b in zip(expected, ends, ends[1:], strict=False) if not (a < lost.stop and lost.start < b)]
    assert 0 < len(kept) < len(expected)
    if bad.start == 12:
        with pytest.raises(TrainlogError):
            list(trainlog.open(long_log))
        return
    log = trainlog.open(long_log)
    assert [frame.data["step"] for frame in log] == [frame.data["step"] for frame in kept]
    assert list(log) == kept
    assert log.table("creature")["step"].tolist() == [frame.data["step"] for frame in kept]
    assert np.array_equal(log.table("creature")["pos"], [frame.data["pos"] for frame in kept])
    assert log.summary().frames == len(kept)
    problems = trainlog.verify(long_log).damage
    assert problems[0].text.startswith("the disk cannot read all bytes from")


def test_a_disk_that_gives_nothing(long_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = trainlog.open(long_log)
    disk = BadDisk(long_log, monkeypatch)
    disk.bad = range(1 << 40)
    with pytest.raises(LogReadError, match="cannot read"):
        list(log)
    with pytest.raises(LogReadError):
        log.table("creature")


@pytest.mark.parametrize(
    "read",
    [
        lambda path: sum(1 for _ in trainlog.open(path)),
        lambda path: trainlog.open(path).table("stats").rows,
        lambda path: trainlog.open(path).summary().frames,
        lambda path: trainlog.verify(path).kinds.total(),
    ],
    ids=["frames", "table", "summary", "verify"],
)
def test_a_plain_read_ends_where_the_log_ended_when_it_began(
    make: Make, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], int]
) -> None:
    """However fast it is, the writer is faster: with every look at the file, that has grown by more than was read."""
    path = make([Flog.header(), *STEPS])
    pread, preadv, looks = os.pread, os.preadv, 0

    def grow() -> None:
        nonlocal looks
        looks += 1
        assert looks < 100, "it follows the writer"
        with path.open("ab") as file:
            file.write(b"".join(STEPS) * 15_000)

    monkeypatch.setattr(os, "pread", lambda *a: (pread(*a), grow())[0])
    monkeypatch.setattr(os, "preadv", lambda *a: (preadv(*a), grow())[0])
    assert read(path) % 6 == 0


def frame_at(n: int) -> bytes:
    return Flog.frame(float(n), 2, {"n": n})


def followed(path: Path, *changes: Callable[[], object]) -> Iterator[int]:
    pending = list(changes)

    def wait() -> bool:
        if not pending:
            return False
        pending.pop(0)()
        return True

    for frame in trainlog.open(path).frames(wait=wait):
        yield frame.data["n"]


def replace(path: Path, content: bytes) -> None:
    path.with_name("new").write_bytes(content)
    path.with_name("new").replace(path)


def test_a_log_that_is_replaced_while_it_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    first = Flog.header({"run": 1}) + b"".join(map(frame_at, range(5)))
    other = Flog.header({"run": 2}) + b"".join(map(frame_at, range(100, 110)))
    for change in (
        lambda: replace(path, other),
        lambda: replace(path, other[:60]),
        lambda: path.write_bytes(other),
        lambda: path.write_bytes(b""),
        lambda: path.write_bytes(first[:60]),
    ):
        path.write_bytes(first)
        seen: list[int] = []
        with pytest.raises(InvalidPosition, match="while it was followed; read it again"):
            deque(map(seen.append, followed(path, lambda: None, change, lambda: None)), maxlen=0)
        assert seen == [0, 1, 2, 3, 4]


def test_a_log_that_is_written_anew_is_followed_in_its_new_file(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    first = Flog.header({"run": 1}) + b"".join(map(frame_at, range(5)))
    more = first + b"".join(map(frame_at, range(5, 8)))
    path.write_bytes(first)
    copying = [lambda: replace(path, first[:50]), lambda: path.write_bytes(first), lambda: path.write_bytes(more)]
    assert list(followed(path, *copying, lambda: None)) == list(range(8))
    path.write_bytes(first)
    gone = [path.unlink, lambda: None, lambda: path.write_bytes(more)]
    assert list(followed(path, *gone, lambda: None)) == list(range(8))


def test_a_shard_that_is_replaced_while_all_are_followed(tmp_path: Path) -> None:
    folder = tmp_path / "run.flog"
    folder.mkdir()
    for rank in range(2):
        (folder / f"{rank}.flog").write_bytes(Flog.header() + b"".join(map(frame_at, range(3))))
    change = lambda: replace(folder / "1.flog", Flog.header({"a": 1}) + frame_at(7))  # noqa: E731
    with pytest.raises(InvalidPosition, match="replaced by another"):
        list(followed(folder, lambda: None, change, lambda: None))


def test_errors_of_reading_are_typed(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    path.write_bytes(Flog.header())
    with pytest.raises(UnknownFormat):
        trainlog.open(tmp_path)
    assert issubclass(LogReadError, OSError)
    assert issubclass(DamagedLogWarning, trainlog.TrainlogWarning)
