"""Every format that reads files is read from an object storage by the same bytes, and with few requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import trainlog
from by_hand_simion import declaration, episode_of, experiment, functions, log, sample
from made_logs import training, write_log
from trainlog.codec import Reader
from trainlog.errors import CodecError
from trainlog.model import Frame, Kind
from trainlog.storage.location import location

if TYPE_CHECKING:
    from faulty_storage import FaultyStorage


def upload(storage: type[FaultyStorage], folder: Path, below: str = "bucket/logs") -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            storage.put(f"{below}/{file.relative_to(folder).as_posix()}", file.read_bytes())


def assert_same(one: Reader, other: Reader) -> None:
    assert one.header.meta == other.header.meta
    assert one.header.variables == other.header.variables
    assert [*map(repr, one)] == [*map(repr, other)]
    assert one.table("stats").frames is not None
    for name in (table := one.table("stats")):
        assert repr(table[name].tolist()) == repr(other.table("stats")[name].tolist())
    assert one.summary() == other.summary()
    a, b = one.verify(), other.verify()
    assert (a.whole, a.size, a.kinds, a.problems) == (b.whole, b.size, b.kinds, b.problems)
    assert [file.name for file in one.files] == [file.name for file in other.files]
    rows = next(iter(one.scan())).order[:2].tolist()
    assert [*map(repr, one.take(rows))] == [*map(repr, other.take(rows))]


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("run.flog", None),
        ("run.bin", None),
        ("run.flog.zst", "zstandard"),
        ("run.parquet", "pyarrow"),
        ("events.out.tfevents.1.host", "crc32c"),
    ],
)
def test_a_format_of_one_file(storage: type[FaultyStorage], tmp_path: Path, name: str, package: str | None) -> None:
    if package is not None:
        pytest.importorskip(package)
    training(tmp_path / "own.flog", episodes=100)
    folder = tmp_path / "logs"
    codec = "tensorboard" if "tfevents" in name else "flog" if name == "run.bin" else None
    trainlog.convert(tmp_path / "own.flog", folder / name, codec=codec)
    upload(storage, folder)
    assert_same(trainlog.open(f"faulty://bucket/logs/{name}"), trainlog.open(folder / name))
    assert storage.requests["get"] <= 3


def test_a_large_parquet_file_is_read_by_the_columns_that_are_asked_for(
    storage: type[FaultyStorage], tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    noise = np.random.default_rng(0).normal(size=(9000, 120)).tolist()
    stats = [{"reward": n / 2, **{f"k{k}": one for k, one in enumerate(row)}} for n, row in enumerate(noise)]
    write_log(tmp_path / "a.flog", stats)
    trainlog.convert(tmp_path / "a.flog", tmp_path / "logs" / "a.parquet")
    upload(storage, tmp_path / "logs")
    url = "faulty://bucket/logs/a.parquet"
    assert trainlog.open(url).table("stats", keys=["reward"])["reward"].tolist() == [n / 2 for n in range(9000)]
    fetched = sum(stop - start for _, start, stop in storage.read)
    assert fetched < len(storage.objects["bucket/logs/a.parquet"][0]) / 2


def test_an_rlsimion_log_of_three_files(storage: type[FaultyStorage], tmp_path: Path) -> None:
    rows = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    learned = functions() + declaration() + sample([1.0, 2.0, 3.0, 4.0])
    path = log(tmp_path, experiment() + episode_of(rows), learned=learned)
    upload(storage, tmp_path)
    url = f"faulty://bucket/logs/{path.name}"
    assert_same(trainlog.open(url), trainlog.open(path))
    for file in trainlog.open(path).files:
        assert_same(trainlog.open(f"faulty://bucket/logs/{file.name}"), trainlog.open(file))
    target = tmp_path / "back" / "copy.simion.log"
    trainlog.convert(url, target)
    assert [*map(repr, trainlog.open(target))] == [*map(repr, trainlog.open(path))]


def test_a_folder_of_event_files(storage: type[FaultyStorage], tmp_path: Path) -> None:
    pytest.importorskip("crc32c")
    for n in (1, 2):
        training(tmp_path / f"{n}.flog", seed=n, episodes=20)
        name = tmp_path / "logs" / "run" / f"events.out.tfevents.{n}.host"
        trainlog.convert(tmp_path / f"{n}.flog", name, codec="tensorboard")
    upload(storage, tmp_path / "logs")
    assert_same(trainlog.open("faulty://bucket/logs/run"), trainlog.open(tmp_path / "logs" / "run"))


def test_a_codec_of_a_third_party_gets_a_source(storage: type[FaultyStorage]) -> None:
    from collections.abc import Iterator

    from trainlog.model import Frame, Header, Kind
    from trainlog.simple_codec import SimpleCodec
    from trainlog.storage.source import Source

    class Lines(SimpleCodec):
        name = "lines"
        suffixes = (".lines",)

        def decode(self, source: Source) -> Iterator[Header | Frame]:
            yield Header({"first": source.line().decode()})
            while line := source.line():
                yield Frame(float(line), Kind.STATS, {"n": int(line)})

        def encode(self, record: Header | Frame) -> bytes:
            return b""

    storage.put("bucket/a.lines", b"hello\n1\n2\n")
    reader = Lines().read(location("faulty://bucket/a.lines"))
    assert reader.table("stats")["n"].tolist() == [1, 2]
    assert storage.requests == {"get": 1}


def test_a_codec_that_opens_files_itself_says_what_it_needs(storage: type[FaultyStorage]) -> None:
    storage.put("bucket/a.lines", b"hello")
    with pytest.raises(CodecError, match=r"faulty://bucket/a\.lines: this needs a local file"):
        Path(location("faulty://bucket/a.lines")).read_bytes()


def test_damaged_logs_are_repaired_to_this_machine(storage: type[FaultyStorage], tmp_path: Path) -> None:
    from trainlog.verification import repair, verify

    content = bytearray((training(tmp_path / "own.flog", episodes=50)).path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 30] = b"\xc1" * 30
    storage.put("bucket/run.flog", bytes(content))
    verdict = verify("faulty://bucket/run.flog")
    assert not verdict.whole
    done = repair("faulty://bucket/run.flog", tmp_path / "whole.flog")
    assert done.lost
    assert verify(tmp_path / "whole.flog").whole
    storage.put("bucket/torn.flog", bytes(content[:20]))
    assert not verify("faulty://bucket/torn.flog").whole


def test_frames_that_a_rewind_superseded_are_hidden(storage: type[FaultyStorage], tmp_path: Path) -> None:
    with trainlog.TrainingRecorder(tmp_path / "run.flog", "ant", "walk") as recorder:
        for step in range(20):
            recorder.record_stats_frame(None, {"step": step, "n": step})
        recorder.rewind(step=9)
        for step in range(10, 15):
            recorder.record_stats_frame(None, {"step": step, "n": -step})
    storage.put("bucket/run.flog", (tmp_path / "run.flog").read_bytes())
    near, far = trainlog.open(tmp_path / "run.flog"), trainlog.open("faulty://bucket/run.flog")
    assert far.table("stats")["n"].tolist() == near.table("stats")["n"].tolist()
    assert len(far.table("stats")["n"]) == 15
    assert storage.requests == {"get": 1}


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A compressed log of 9 MB in frames of 1 MB, with 12,000 rows."""
    tmp_path = tmp_path_factory.mktemp("compressed")
    pytest.importorskip("zstandard")
    path = tmp_path / "run.flog"
    noise = np.random.default_rng(1)
    with trainlog.create(path, {"creature": "ant"}) as writer:
        for n in range(12_000):
            writer.write(Frame(float(n), Kind.STATS, {"step": n, "noise": noise.random(100)}))
    trainlog.convert(path, tmp_path / "run.flog.zst")
    content = (tmp_path / "run.flog.zst").read_bytes()
    assert len(content) > 9_000_000
    return content


def test_the_last_rows_of_a_compressed_log_are_read_alone(storage: type[FaultyStorage], compressed: bytes) -> None:
    """The frames of zstd are told by the seek table: no request for the header of each."""
    storage.put("bucket/run.flog.zst", compressed)
    last = trainlog.open("faulty://bucket/run.flog.zst").table("stats", keys=["step"], last=10)
    assert last["step"].tolist() == list(range(11_990, 12_000))
    assert storage.requests["get"] <= 6
    assert sum(stop - start for _, start, stop in storage.read) < 4_000_000


def test_runs_are_counted_without_reading_compressed_logs(
    storage: type[FaultyStorage], compressed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    storage.put("bucket/run.flog.zst", compressed)
    assert len(trainlog.runs("faulty://bucket", workers=1)) == 1
    assert sum(stop - start for _, start, stop in storage.read) < 4_000_000
