"""Logs in an object storage: how it is asked, what comes of networks that fail and of objects that change."""

from __future__ import annotations

import itertools
import pickle
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import trainlog
from made_runs import log_bytes
from trainlog.errors import (
    CorruptLog,
    InvalidPosition,
    LogNotFound,
    LogReadError,
    MissingExtra,
    TrainlogError,
    UnknownFormat,
)
from trainlog.model import Frame, Kind
from trainlog.scan import Scan
from trainlog.storage import remote
from trainlog.storage.location import RemotePath, location
from trainlog.storage.source import Source, SourceFile, follow, growing

if TYPE_CHECKING:
    from faulty_storage import FaultyStorage

URL = "faulty://bucket/run.flog"
KEY = "bucket/run.flog"


def rows(count: int, start: int = 0) -> list[dict[str, float]]:
    return [{"step": n, "reward": n / 4} for n in range(start, start + count)]


def rewards(url: str = URL) -> list[float]:
    column: list[float] = trainlog.open(url).table("stats")["reward"].tolist()
    return column


def big(size: int) -> bytes:
    """A log of at least *size* bytes."""
    return log_bytes(
        {"creature": "ant"}, [{"step": n, "reward": n / 4, "pad": "x" * 4000} for n in range(size // 4000)]
    )


def test_the_last_rows_of_a_large_log_are_read_alone(storage: type[FaultyStorage], tmp_path: Path) -> None:
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        for step in range(3000):
            log.record_stats_frame(step / 10, {"step": step, "pad": "x" * 4000})
    storage.put(KEY, (tmp_path / "run.flog").read_bytes())
    assert trainlog.open(URL).table("stats", keys=["step"], last=2)["step"].tolist() == [2998, 2999]
    assert sum(stop - start for _, start, stop in storage.read) < 3_000_000  # of 12 million


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let *seconds* pass for all that is known of the storage."""
    past = 0.0
    real = remote.time.monotonic
    monkeypatch.setattr(remote.time, "monotonic", lambda: real() + past)

    def pass_by(seconds: float) -> None:
        nonlocal past
        past += seconds

    return pass_by


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes: the first imports of a process may take longer than an answer holds."""
    monkeypatch.setattr(remote.time, "monotonic", lambda: 1e6)


@pytest.fixture
def small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read no more than 1 MiB ahead."""
    monkeypatch.setattr(remote, "_WINDOW", 1 << 20)


# --- requests ---


def test_who_reads_backwards_asks_for_more_and_more(storage: type[FaultyStorage], tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    with trainlog.create(path, {"creature": "ant"}) as writer:
        for n in range(10_000):
            writer.write(Frame(float(n), Kind.STATS, {"step": n, "pad": "x" * 2000}))
    storage.put(KEY, path.read_bytes())
    last = trainlog.open(URL).table("stats", keys=["step"], last=400)
    assert last["step"].tolist() == list(range(9600, 10_000))
    assert storage.requests.total() <= 20
    assert sum(stop - start for _, start, stop in storage.read) < 8_000_000
    storage.requests.clear()
    assert trainlog.open(URL).at(5000.0, "stats").data["step"] == 5000
    assert storage.requests.total() <= 20


@pytest.mark.usefixtures("no_time")
def test_a_small_log_is_one_request(storage: type[FaultyStorage]) -> None:
    storage.put(KEY, log_bytes({"creature": "ant"}, rows(100)))
    reader = trainlog.open(URL)
    assert reader.header.meta["creature"] == "ant"
    assert reader.table("stats")["reward"].tolist() == [n / 4 for n in range(100)]
    assert len(list(reader.frames())) == 100
    assert storage.requests == {"get": 1}


@pytest.mark.usefixtures("no_time")
def test_twenty_small_logs_of_a_folder_are_at_most_24_requests(storage: type[FaultyStorage], tmp_path: Path) -> None:
    for n in range(20):
        storage.put(f"bucket/runs/{n}.flog", log_bytes({"seed": n}, rows(50)))
    runs = trainlog.runs("faulty://bucket/runs", workers=1)
    assert runs.config["seed"].tolist() == list(range(20))
    assert runs.table("stats").rows == 1000
    assert storage.requests.total() <= 24


def test_the_end_of_a_log_by_another_program_is_one_request(storage: type[FaultyStorage]) -> None:
    """As is that of one with checksums, of which less is read."""
    storage.put(KEY, big(5_000_000))
    assert trainlog.open(URL).header.meta == {"creature": "ant"}
    ends = [(start, stop) for _, start, stop in storage.read if start > 1 << 20]
    assert len(ends) == 1
    assert ends[0][1] == len(storage.objects[KEY][0])
    assert storage.requests == {"get": 3, "info": 2}  # the first MiB, a sample of it, and the end


def test_a_log_by_another_program_that_was_resumed_hides_what_a_rewind_superseded(
    storage: type[FaultyStorage], tmp_path: Path
) -> None:
    path = tmp_path / "run.flog"
    path.write_bytes(big(5_000_000))
    with trainlog.TrainingRecorder(path, resume=True) as log:
        log.rewind(1000)
        log.record_stats_frame(None, {"step": 2000, "reward": 1.0})
    storage.put(KEY, path.read_bytes())
    assert trainlog.open(URL).table("stats")["step"].tolist() == [*range(1001), 2000]


def test_no_byte_is_fetched_twice_by_who_reads_on(storage: type[FaultyStorage]) -> None:
    content = big(30_000_000)
    storage.put(KEY, content)
    assert len(rewards()) == 7500
    fetched = np.zeros(len(content), np.int64)
    for _, start, stop in storage.read:
        fetched[start:stop] += 1
    again = int((fetched > 1).sum())
    assert again <= 4096  # a sample, by which a change would be noticed
    assert int((fetched == 0).sum()) == 0


def test_the_bytes_are_those_of_the_object(storage: type[FaultyStorage]) -> None:
    content = random.Random(1).randbytes(5_000_000)
    storage.put(KEY, content)
    draw = random.Random(2)
    with Source(URL) as source:
        assert source.size == len(content)
        for _ in range(200):
            at, size = draw.randrange(len(content)), draw.choice([1, 100, 70_000, 2_000_000])
            assert source.read(at, size) == content[at : at + size]
            block = source.block(at, size)
            assert block == content[at : at + len(block)]
            assert len(block) >= min(size, len(content) - at, Source.CHUNK)
            buffer = bytearray(size)
            count = source.fill(memoryview(buffer), at)
            assert buffer[:count] == content[at : at + size]
        with pytest.raises(CorruptLog, match="became shorter"):
            source.block(len(content) + 1)


def test_what_is_kept_is_bounded(storage: type[FaultyStorage], monkeypatch: pytest.MonkeyPatch) -> None:
    from trainlog.storage import snapshot

    monkeypatch.setattr(snapshot, "_KEPT", 8 << 20)
    monkeypatch.setattr(remote, "_WINDOW", 2 << 20)
    storage.put(KEY, big(30_000_000))
    content = storage.objects[KEY][0]
    with Source(URL) as source:
        for at in range(0, len(content), 1 << 20):
            assert source.read(at, 1 << 20) == content[at : at + (1 << 20)]
        assert snapshot._memory._bytes <= 8 << 20
        assert source.read(0, 1 << 20) == content[: 1 << 20]


def test_several_threads_read_one_log_with_little_memory(
    storage: type[FaultyStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from trainlog.storage import snapshot

    monkeypatch.setattr(snapshot, "_KEPT", 3 << 20)
    monkeypatch.setattr(remote, "_WINDOW", 1 << 20)
    content = random.Random(1).randbytes(9_000_000)
    storage.put(KEY, content)

    def read(seed: int) -> bool:
        draw = random.Random(seed)
        with Source(URL) as source:
            places = [(draw.randrange(len(content)), draw.choice([10, 300_000])) for _ in range(60)]
            return all(source.read(at, size) == content[at : at + size] for at, size in places)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))


@pytest.mark.usefixtures("small_reads")
def test_threads_that_open_a_log_at_the_same_time_ask_once(storage: type[FaultyStorage]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    storage.put(KEY, big(4_000_000))
    storage.put("bucket/small.flog", log_bytes({}, rows(20)))
    storage.hook = lambda what, path: time.sleep(0.02)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: len(rewards("faulty://bucket/small.flog")), range(8))) == [20] * 8
        assert storage.requests == {"get": 1}
        assert list(pool.map(lambda _: len(rewards()), range(8))) == [1000] * 8


def test_a_library_reads_a_file_object(storage: type[FaultyStorage]) -> None:
    storage.put(KEY, b"0123456789")
    with SourceFile(Source(URL)) as file:
        assert file.read(3) == b"012"
        assert file.seek(-2, 2) == 8
        assert file.read() == b"89"
        assert file.read() == b""
        assert file.seek(1) == 1
        assert file.seek(1, 1) == 2
        assert file.read(2) == b"23"


def test_a_local_path_loads_nothing_of_this(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = tmp_path / "run.flog"
    path.write_bytes(log_bytes({}, rows(3)))
    code = (
        "import sys, trainlog; trainlog.open(sys.argv[1]).table('stats'); "
        "print([name for name in sys.modules if name.startswith(('fsspec', 'trainlog.storage.remote'))])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- what is there ---


def test_what_is_not_there_is_not_found(storage: type[FaultyStorage]) -> None:
    storage.put("bucket/runs/a.flog", b"")
    with pytest.raises(LogNotFound, match=r"^faulty://bucket/none\.flog: there is no such file$"):
        trainlog.open("faulty://bucket/none.flog")
    with pytest.raises(UnknownFormat, match="this is a folder"):
        trainlog.open("faulty://bucket")
    with pytest.raises(LogNotFound):
        trainlog.runs("faulty://bucket/nothing")
    assert isinstance(LogNotFound("x"), FileNotFoundError)


def test_an_empty_object_is_a_log_without_frames(storage: type[FaultyStorage]) -> None:
    storage.put(KEY, b"")
    assert list(trainlog.open(URL)) == []


def test_a_folder_of_shards_and_a_pattern_are_one_log(storage: type[FaultyStorage]) -> None:
    for rank in range(3):
        storage.put(f"bucket/run.flog/{rank}.flog", log_bytes({"shard": {"rank": rank, "began": 0.0}}, rows(4)))
        storage.put(f"bucket/all/run-{rank}.flog", log_bytes({}, rows(4)))
    assert trainlog.open("faulty://bucket/run.flog").table("stats").rows == 12
    assert trainlog.open("faulty://bucket/all/run-*.flog").table("stats")["rank"].tolist() == [0, 1, 2] * 4


def test_status_tells_a_file_that_grew_from_another_one(
    storage: type[FaultyStorage], clock: Callable[[float], None]
) -> None:
    content = log_bytes({}, rows(100))
    storage.put(KEY, content[:2000])
    path = location(URL)
    before = path.stat()
    assert before.st_size == 2000
    assert before.st_mtime > 0
    storage.put(KEY, content)
    clock(3)
    grown = path.stat()
    assert (grown.st_size, grown.st_ino) == (len(content), before.st_ino)
    storage.put(KEY, log_bytes({"other": 1}, rows(300)))
    clock(3)
    assert path.stat().st_ino != before.st_ino


def test_a_listing_answers_for_all_below_it(storage: type[FaultyStorage], clock: Callable[[float], None]) -> None:
    storage.put("bucket/runs/a.flog", b"1")
    storage.put("bucket/runs/b/c.flog", b"22")
    root = RemotePath("faulty://bucket/runs").listed()
    storage.requests.clear()
    assert sorted(one.name for one in root.iterdir()) == ["a.flog", "b"]
    assert (root / "a.flog").is_file()
    assert (root / "b").is_dir()
    assert not (root / "x").exists()
    assert (root / "b" / "c.flog").stat().st_size == 2
    assert not storage.requests
    storage.put("bucket/runs/x", b"")
    clock(60)
    assert (root / "x").exists()


def test_a_listed_path_is_pickled_with_what_is_known_of_it(storage: type[FaultyStorage]) -> None:
    storage.put("bucket/runs/a.flog", log_bytes({}, rows(5)))
    path = RemotePath("faulty://bucket/runs").listed() / "a.flog"
    again = pickle.loads(pickle.dumps(path))
    remote.forget()
    storage.requests.clear()
    assert trainlog.open(again).table("stats").rows == 5
    assert storage.requests == {"get": 1}


def test_a_reader_is_pickled(storage: type[FaultyStorage]) -> None:
    storage.put(KEY, log_bytes({}, rows(5)))
    assert pickle.loads(pickle.dumps(trainlog.open(URL))).table("stats").rows == 5


# --- objects that change ---


@pytest.mark.usefixtures("small_reads")
def test_a_log_that_is_replaced_while_it_is_read_is_noticed(storage: type[FaultyStorage]) -> None:
    content = big(8_000_000)
    other = content.replace(b"xxxx", b"yyyy")
    storage.put(KEY, content)
    batches = trainlog.open(URL).scan(Scan(batch_rows=100))
    next(batches)
    storage.put(KEY, other)
    seen: list[str] = []
    with pytest.raises(InvalidPosition, match="was replaced or cut while it was read"):
        seen.extend("".join(batch.table["pad"].tolist()) for batch in batches)
    assert "y" not in "".join(seen)


def outcomes(
    storage: type[FaultyStorage], before: Callable[[], None], change: Callable[[], None], numbers: list[int]
) -> set[str]:
    """What comes of reads that find the content *before*, and meet a *change* of it at the request of each number.

    The letter of the content that was read, old or new and never both, or that the change was noticed.
    """
    found = set()
    for number in numbers:
        remote.forget()
        before()
        asked = 0

        def hook(what: str, path: str, number: int = number) -> None:
            nonlocal asked
            if asked == number:
                change()
            asked += 1

        storage.hook = hook
        try:
            letters = set("".join(trainlog.open(URL).table("stats")["pad"].tolist()))
            assert letters in ({"a"}, {"b"})
            found |= letters
        except (InvalidPosition, LogReadError):
            found.add("noticed")
        finally:
            storage.hook = None
    return found


@pytest.mark.usefixtures("small_reads")
def test_a_log_that_is_replaced_at_any_request_is_never_mixed(storage: type[FaultyStorage]) -> None:
    old, new = (big(4_000_000).replace(b"xxxx", letters) for letters in (b"aaaa", b"bbbb"))

    def put(content: bytes) -> None:
        storage.put(KEY, content)

    assert outcomes(storage, lambda: put(old), lambda: put(new), [*range(12), 99]) == {"a", "b", "noticed"}


@pytest.mark.usefixtures("small_reads")
def test_a_log_that_grows_while_it_is_read_is_read_as_it_was(storage: type[FaultyStorage]) -> None:
    content = big(8_000_000)
    storage.put(KEY, content[:6_000_000])
    rows_then = trainlog.open(URL).table("stats").rows
    remote.forget()
    batches = trainlog.open(URL).scan(Scan(batch_rows=100, on_damage="ignore"))
    first = next(batches).table.rows
    storage.put(KEY, content)
    assert first + sum(batch.table.rows for batch in batches) == rows_then


def test_positions_outlive_growth_and_refuse_another_log(
    storage: type[FaultyStorage], clock: Callable[[float], None]
) -> None:
    raw = [log_bytes({}, rows(count)) for count in (50, 80)]
    storage.put(KEY, raw[0])
    position = next(trainlog.open(URL).scan(Scan(batch_rows=None, kinds="stats"))).position
    storage.put(KEY, raw[1])
    clock(3)
    (batch,) = trainlog.open(URL).scan(Scan(batch_rows=None, kinds="stats", after=position))
    assert batch.table["step"].tolist() == list(range(50, 80))
    storage.put(KEY, log_bytes({}, rows(80, start=7)))
    clock(3)
    with pytest.raises(InvalidPosition):
        list(trainlog.open(URL).scan(Scan(after=position)))


def test_what_was_edited_in_place_is_read_anew(storage: type[FaultyStorage], clock: Callable[[float], None]) -> None:
    """A change in the middle that keeps the size, and the last bytes, of a log that was read as a whole."""
    storage.put(KEY, log_bytes({"seed": 1}, rows(2000)))
    reader = trainlog.open(URL)
    assert reader.table("stats")["reward"][3] == 0.75
    edited = [*rows(2000)]
    edited[3] = {"step": 3, "reward": 1000.25}
    storage.put(KEY, log_bytes({"seed": 1}, edited))
    clock(3)
    assert reader.table("stats")["reward"][3] == 1000.25


def test_a_folder_has_marks_of_folders(storage: type[FaultyStorage]) -> None:
    storage.put("bucket/runs/", b"")
    storage.put("bucket/runs/sub/", b"")
    storage.put("bucket/runs/sub/a.flog", log_bytes({}, rows(2)))
    assert trainlog.runs("faulty://bucket/runs").config["run"].tolist() == ["sub/a.flog"]


def test_a_log_is_followed(storage: type[FaultyStorage], clock: Callable[[float], None]) -> None:
    raw = [log_bytes({}, rows(count)) for count in (3, 5, 9)]
    storage.put(KEY, raw[0])
    looks = iter(raw[1:])

    def wait() -> bool:
        clock(3)
        following = next(looks, None)
        if following is not None:
            storage.put(KEY, following)
        return following is not None

    seen = [frame.data["step"] for frame in trainlog.open(URL).frames(wait=wait)]
    assert seen == list(range(9))


def test_who_follows_is_told_of_another_log(storage: type[FaultyStorage], clock: Callable[[float], None]) -> None:
    storage.put(KEY, log_bytes({}, rows(5)))
    frames = trainlog.open(URL).frames(wait=follow(0.01))
    assert [next(frames).data["step"] for _ in range(5)] == list(range(5))
    storage.put(KEY, log_bytes({"other": True}, rows(50)))
    clock(3)
    with pytest.raises(InvalidPosition):
        next(frames)


def test_who_looks_again_and_again_asks_once_a_second(
    storage: type[FaultyStorage], clock: Callable[[float], None]
) -> None:
    storage.put(KEY, log_bytes({}, rows(5)))
    with Source(URL, growing) as source:
        storage.requests.clear()
        for _ in range(100):
            assert source.size
        assert storage.requests.total() == 0
        storage.put(KEY, log_bytes({}, rows(6)))
        clock(3)
        assert source.size == len(log_bytes({}, rows(6)))


def test_a_storage_without_versions_is_read(storage: type[FaultyStorage]) -> None:
    storage.has_versions = False
    storage.put(KEY, big(5_000_000))
    assert rewards() == [n / 4 for n in range(1250)]


# --- networks ---


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(
    "error", [OSError("500 Internal Server Error"), ConnectionResetError("cut"), TimeoutError(), RuntimeError("odd")]
)
def test_a_request_that_fails_is_a_typed_error(storage: type[FaultyStorage], error: Exception, number: int) -> None:
    storage.put(KEY, big(5_000_000))
    asked = 0

    def fail(what: str, path: str) -> None:
        nonlocal asked
        asked += 1
        if asked == number + 1:
            raise error

    storage.hook = fail
    with pytest.raises(LogReadError, match=rf"^faulty://bucket/run\.flog: cannot read it \({type(error).__name__}"):
        rewards()
    remote.forget()
    assert len(rewards()) == 1250  # the next call asks again


def test_a_refusal_names_the_credentials(storage: type[FaultyStorage]) -> None:
    storage.put(KEY, log_bytes({}, rows(5)))

    def refuse(what: str, path: str) -> None:
        raise PermissionError("Forbidden")

    storage.hook = refuse
    with pytest.raises(LogReadError, match=r"refuses access .*Forbidden.*credentials"):
        trainlog.open(URL)


def test_what_a_storage_says_in_many_lines_is_one(storage: type[FaultyStorage]) -> None:
    def refuse(what: str, path: str) -> None:
        raise ValueError("Validation failed:\n  the name\n" + "of the bucket " * 100)

    storage.hook = refuse
    with pytest.raises(LogReadError, match=r"Validation failed: the name of the bucket") as raised:
        trainlog.open(URL)
    assert len(str(raised.value).splitlines()) == 1
    assert len(str(raised.value)) < 600


def test_an_answer_that_is_cut_is_no_content(storage: type[FaultyStorage]) -> None:
    content = big(5_000_000)
    storage.put(KEY, content)
    trainlog.open(URL)
    storage.hook = lambda what, path: b"short" if what == "get" else None
    with pytest.raises(LogReadError, match="the storage returned 5 of"):
        rewards()


def test_a_server_that_ignores_ranges_is_refused(storage: type[FaultyStorage]) -> None:
    content = big(5_000_000)
    storage.put(KEY, content)
    trainlog.open(URL)
    storage.hook = lambda what, path: content if what == "get" else None
    with pytest.raises(LogReadError, match="returns the whole file for a part of it"):
        rewards()


@pytest.mark.usefixtures("small_reads")
def test_a_log_that_is_deleted_while_it_is_read(storage: type[FaultyStorage]) -> None:
    storage.put(KEY, big(5_000_000))
    batches = trainlog.open(URL).scan(Scan(batch_rows=10))
    next(batches)
    storage.objects.clear()
    with pytest.raises(TrainlogError):
        list(batches)


def test_a_storage_that_fsspec_does_not_know() -> None:
    with pytest.raises(LogReadError, match="Protocol not known: nonsense"):
        trainlog.open("nonsense://bucket/run.flog")


def test_a_storage_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingExtra, match="gs:// needs its own package"):
        trainlog.open("gs://bucket/run.flog")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtra, match=r'pip install "trainlog\[remote\]"'):
        trainlog.open("s3://bucket/run.flog")


# --- parts ---


def put_parts(storage: type[FaultyStorage], content: bytes, *ends: int, key: str = KEY) -> None:
    for start, stop in zip((0, *ends), (*ends, len(content)), strict=True):
        storage.put(f"{key}.parts/{start:020d}", content[start:stop])


@pytest.mark.parametrize("url", [URL, f"{URL}.parts"])
def test_parts_are_one_log(storage: type[FaultyStorage], url: str) -> None:
    put_parts(storage, log_bytes({"creature": "ant"}, rows(500)), 7, 1000, 1001, 9000)
    assert rewards(url) == [n / 4 for n in range(500)]
    assert trainlog.open(url).verify().whole


def test_parts_are_read_at_once(storage: type[FaultyStorage]) -> None:
    content = big(20_000_000)
    put_parts(storage, content, *range(100_000, len(content), 100_000))
    assert rewards() == [n / 4 for n in range(5000)]
    count = len(storage.objects)
    assert storage.requests["get"] <= count + 5
    assert storage.requests["info"] + storage.requests["list"] <= 10


def test_an_object_goes_before_its_parts(storage: type[FaultyStorage]) -> None:
    put_parts(storage, log_bytes({}, rows(5)), 20)
    storage.put(KEY, log_bytes({}, rows(9)))
    assert len(rewards()) == 9


def test_a_part_that_is_not_there_yet_ends_the_log(storage: type[FaultyStorage]) -> None:
    content = log_bytes({}, rows(100))
    put_parts(storage, content, 1000, 2000)
    del storage.objects[f"{KEY}.parts/{1000:020d}"]
    storage.put(f"{KEY}.parts/README", b"not a part")
    assert 0 < len(rewards()) < 100
    assert not trainlog.open(URL).verify().whole


def test_what_is_not_in_the_chain_is_no_part(storage: type[FaultyStorage]) -> None:
    content = log_bytes({}, rows(100))
    put_parts(storage, content, 1000, 2000)
    storage.put(f"{KEY}.parts/{1500:020d}", b"an earlier try")
    storage.put(f"{KEY}.parts/{len(content) + 5:020d}", b"what comes later")
    storage.put(f"{KEY}.parts/{len(content):020d}", b"")
    storage.put(f"{KEY}.parts/.{1000:020d}.tmp", b"half of it")
    assert len(rewards()) == 100


def test_parts_are_followed(storage: type[FaultyStorage], clock: Callable[[float], None]) -> None:
    content = log_bytes({}, rows(100))
    cuts = [0, 900, 1500, len(content)]
    pieces = itertools.pairwise(cuts)

    def upload() -> bool:
        piece = next(pieces, None)
        if piece is not None:
            storage.put(f"{KEY}.parts/{piece[0]:020d}", content[slice(*piece)])
        clock(3)
        return piece is not None

    upload()
    assert [frame.data["step"] for frame in trainlog.open(URL).frames(wait=upload)] == list(range(100))


@pytest.mark.usefixtures("small_reads")
def test_parts_that_are_overwritten_at_any_request_are_never_mixed(storage: type[FaultyStorage]) -> None:
    """By a run of the same program, whose parts have the same names and sizes."""
    old, new = (big(4_000_000).replace(b"xxxx", letters) for letters in (b"aaaa", b"bbbb"))

    def put(content: bytes) -> None:
        put_parts(storage, content, 1_000_000, 2_000_000, 3_000_000)

    assert outcomes(storage, lambda: put(old), lambda: put(new), [*range(12), 99]) == {"a", "b", "noticed"}


@pytest.mark.usefixtures("small_reads")
def test_parts_that_come_faster_than_they_are_read(storage: type[FaultyStorage]) -> None:
    content = big(4_000_000)
    put_parts(storage, content, 1_000_000)
    asked = itertools.count()

    def add_one(what: str, path: str) -> None:
        end = len(content) + next(asked)
        storage.put(f"{KEY}.parts/{end:020d}", b"\xc1")

    storage.hook = add_one
    try:
        assert rewards() == [n / 4 for n in range(1000)]
    finally:
        storage.hook = None


def test_a_tree_with_a_log_in_parts_has_one_run_for_it(storage: type[FaultyStorage]) -> None:
    put_parts(storage, log_bytes({"seed": 1}, rows(30)), 200, key="bucket/runs/a.flog")
    storage.put("bucket/runs/b.flog", log_bytes({"seed": 2}, rows(20)))
    runs = trainlog.runs("faulty://bucket/runs")
    assert runs.config["run"].tolist() == ["a.flog", "b.flog"]
    assert runs.config["frames"].tolist() == [30, 20]
    assert [one.name for one in RemotePath("faulty://bucket/runs").iterdir()] == ["a.flog", "b.flog"]


@pytest.mark.parametrize("name", ["run.flog", "run.flog.parts"])
def test_a_local_folder_of_parts_is_one_log(tmp_path: Path, name: str) -> None:
    content = log_bytes({}, rows(50))
    folder = tmp_path / "run.flog.parts"
    folder.mkdir()
    for start, stop in ((0, 300), (300, 301), (301, len(content))):
        (folder / f"{start:020d}").write_bytes(content[start:stop])
    assert rewards(str(tmp_path / name)) == [n / 4 for n in range(50)]
    assert trainlog.open(tmp_path / name).verify().whole
    assert trainlog.runs(tmp_path).config["frames"].tolist() == [50]
    assert trainlog.runs(tmp_path).config["run"].tolist() == ["run.flog.parts"]
    assert trainlog.runs(tmp_path / name).config["frames"].tolist() == [50]


def test_local_shards_in_parts_are_one_log(tmp_path: Path) -> None:
    content = log_bytes({}, rows(5))
    for rank in range(3):
        folder = tmp_path / "run.flog" / f"{rank}.flog.parts"
        folder.mkdir(parents=True)
        (folder / f"{0:020d}").write_bytes(content)
    (tmp_path / "run.flog" / "2.flog").write_bytes(content)  # goes before its parts
    assert trainlog.open(tmp_path / "run.flog").table("stats")["rank"].tolist() == [0, 1, 2] * 5
    assert trainlog.runs(tmp_path).config["frames"].tolist() == [15]
    assert trainlog.runs(tmp_path).config["run"].tolist() == ["run.flog"]


def test_a_local_folder_whose_name_is_that_of_parts_has_runs(tmp_path: Path) -> None:
    (tmp_path / "robot.parts").mkdir()
    (tmp_path / "robot.parts" / "a.flog").write_bytes(log_bytes({}, rows(5)))
    assert trainlog.runs(tmp_path / "robot.parts").config["run"].tolist() == ["a.flog"]


def test_a_path_that_is_missing_with_no_parts_is_missing(tmp_path: Path) -> None:
    (tmp_path / "run.flog.parts").touch()
    with pytest.raises(LogNotFound):
        trainlog.open(tmp_path / "run.flog")
