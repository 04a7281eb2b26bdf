"""What is given any bytes, what may come of it, and what it is begun with.

A target returns quietly, or something is wrong: an exception that is no `TrainlogError`, a check that fails, more than
ten seconds or two gigabytes.
"""

from __future__ import annotations

import resource
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

import trainlog
from handmade import Flog
from trainlog import Frame, Kind, TrainlogError
from trainlog.codecs.flog import FlogCodec
from trainlog.codecs.flog.index import index as index_module
from trainlog.codecs.flog.index import index_file
from trainlog.codecs.flog.index.index_file import cache_path
from trainlog.codecs.simion import SimionCodec
from trainlog.codecs.tensorboard.events import packed_event, packed_scalars, packed_text
from trainlog.codecs.tensorboard.wire import packed_record
from trainlog.plot import Run, runs_of
from trainlog.report.evaluate import Gate, judge, measure
from trainlog.report.language import parse
from trainlog.table.builder import table_of
from trainlog.testing import same

__all__ = ["TARGETS", "Target"]

DATA = Path(__file__).parents[1] / "data"
_MOST_ROWS = 1000
_MOST_MEMORY = 4 << 30
_folder = Path(tempfile.mkdtemp(prefix="trainlog-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))


class Target(NamedTuple):
    """Something to be fuzzed."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]


def _tables_are_those_of_the_frames(log: trainlog.Reader) -> None:
    frames = list(log.frames())
    for kind in {frame.kind for frame in frames}:
        if sum(map(len, (frame.data for frame in frames))) > _MOST_ROWS:
            return
        rows = [(frame.time, frame.data) for frame in log.frames(kind)]
        fast, plain = log.table(kind), table_of(kind, rows)
        assert list(fast) == list(plain)
        assert same(fast.time, plain.time)
        for key in plain:
            assert fast[key].dtype == plain[key].dtype
            assert same(fast[key], plain[key])


def flog(data: bytes) -> None:
    """A FLOG file is read in every way; what is whole of it is repaired, and is whole then."""
    path = _folder / "a.flog"
    path.write_bytes(data)
    try:
        log = FlogCodec().read(path)
    except TrainlogError:
        return
    _is_repaired(log, path)


def _is_repaired(log: trainlog.Reader, path: Path) -> None:
    target = _folder / "b.flog"
    shown = log.with_superseded().summary()
    _tables_are_those_of_the_frames(log)
    verdict = trainlog.verify(path)
    assert shown.frames == sum(verdict.kinds.values())
    target.unlink(missing_ok=True)
    done = trainlog.repair(log, target)
    assert done.kept == dict(verdict.kinds)
    try:
        for _ in log.frames(on_damage="raise"):
            pass
    except TrainlogError:
        assert log.summary().gaps
    again = trainlog.verify(target)
    assert sum(again.kinds.values()) == sum(verdict.kinds.values()) + (not done.complete)


def simion(data: bytes) -> None:
    """The three files of an RLSimion log; two bytes of each length come first."""
    first = int.from_bytes(data[:2], "little")
    second = first + int.from_bytes(data[2:4], "little")
    rest = data[4:]
    path = _folder / "a.simion.log"
    path.write_bytes(rest[:first])
    path.with_name("a.simion.log.bin").write_bytes(rest[first:second])
    path.with_name("a.simion.log.functions").write_bytes(rest[second:])
    try:
        log = SimionCodec().read(path)
        log.summary()
        _tables_are_those_of_the_frames(log)
    except TrainlogError:
        pass


def expression(data: bytes) -> None:
    """A gate of a report, which is evaluated in a log."""
    text = data.decode("utf-8", "replace")
    with suppress(TrainlogError):
        parse(text)
    for evaluate in (judge, measure):
        with suppress(TrainlogError):
            evaluate(Gate.of(text), _run_of_seeds())


def header(data: bytes) -> None:
    """A FLOG file's header and what follows it, before frames that are whole."""
    flog(data + _frames())


def seals(data: bytes) -> None:
    """A sealed log with changed bytes: two of each four say where, the others what is there then."""
    raw = bytearray(_sealed())
    for at in range(0, len(data) - 3, 4):
        place = int.from_bytes(data[at : at + 2], "little") % (len(raw) - 1)
        raw[place : place + 2] = data[at + 2 : at + 4]
    flog(bytes(raw))


def index(data: bytes) -> None:
    """The file of an index beside a log: of its arrays one is another, of any type and shape."""
    path = _indexed()
    with np.load(cache_path(path)) as kept:
        arrays = dict(kept)
    if len(data) > 2:
        name, dtype = sorted(arrays)[data[0] % len(arrays)], _INDEX_TYPES[data[1] % len(_INDEX_TYPES)]
        size = len(data[2:]) // np.dtype(dtype).itemsize * np.dtype(dtype).itemsize
        arrays[name] = np.frombuffer(data[2 : 2 + size], dtype)
        if data[1] > 127 and arrays[name].size == np.prod(kept_shape := _index_shapes()[name]):
            arrays[name] = arrays[name].reshape(kept_shape)
    whole = cache_path(path).read_bytes()
    try:
        with cache_path(path).open("wb") as file:
            np.savez(file, **arrays)
        for limits in ({"time": (1.0, 3.0)}, {"steps": (2, 9)}, {"last": 3}, {}):
            for kind in (2, 4):
                with suppress(TrainlogError):
                    trainlog.open(path).table(kind, **limits)
    finally:
        cache_path(path).write_bytes(whole)


def archive(data: bytes) -> None:
    """A compressed FLOG file, with its seek table."""
    path = _folder / "a.flog.zst"
    path.write_bytes(data)
    with suppress(TrainlogError):
        _is_repaired(FlogCodec().read(path), path)


def parquet(data: bytes) -> None:
    """A Parquet file, with what trainlog puts into its metadata.

    Damaged levels of a list make pyarrow ask for 16 GB, which must be refused to be an error; see docs/durability.md.
    """
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, resource.RLIM_INFINITY))
    path = _folder / "a.parquet"
    path.write_bytes(data)
    with suppress(TrainlogError):
        log = trainlog.open(path, codec="parquet")
        log.summary()
        list(log.take(range(0, 100, 7)))
        for kind in (2, 4):
            log.table(kind, steps=(0, 3))
        list(log.frames())


def events(data: bytes) -> None:
    """An event file of TensorBoard: its bytes or, behind a zero, messages with right checksums, by their lengths."""
    path = _folder / "a.tfevents"
    first = packed_record(packed_event(1.0, version=True))
    if data[:1] == b"\0":
        records, rest = [first], data[1:]
        while rest:
            records.append(packed_record(rest[1 : 1 + rest[0]]))
            rest = rest[1 + rest[0] :]
        data = b"".join(records)
    path.write_bytes(data)
    with suppress(TrainlogError):
        log = trainlog.open(path, codec="tensorboard")
        assert log.summary().frames == len(list(log.frames()))
        _tables_are_those_of_the_frames(log)
        log.verify()


def _flog_seeds() -> Iterator[bytes]:
    for path in sorted((DATA / "flog").glob("*.flog")):
        yield path.read_bytes()
    path = _folder / "seed.flog"
    with trainlog.TrainingRecorder(path, overwrite=True, sync_every=None) as log:
        for turn in range(2):
            for step in range(6):
                log.record_stats_frame(step / 2, {"step": step, "reward": 0.5 * step, "done": turn == 1})
                log.record_creature_frame(step / 2, {"step": step, "pos": [1.0, 2.0, float(step)]})
            log.rewind(3)
    yield path.read_bytes()


def _simion_seeds() -> Iterator[bytes]:
    base = DATA / "simion" / "raincar.simion.log"
    parts = [base.with_name(base.name + suffix).read_bytes() for suffix in ("", ".bin", ".functions")]
    parts = [part[:20_000] for part in parts]
    yield len(parts[0]).to_bytes(2, "little") + len(parts[1]).to_bytes(2, "little") + b"".join(parts)


def _expression_seeds() -> Iterator[bytes]:
    for text in (
        "mean(reward[-100:]) >= 200",
        "max(stats.'loss/actor') < 1e3 and not (last(reward) == min(reward))",
        "reward[10%:] / 2 + -3 ** 2 > .5 or `a b`.x != 1_000",
        "count(events('fall')) == 0 and 1 < quantile(creature.speed[-10 % : 5], 9 ** 9 ** 9) <= 1e999",
    ):
        yield text.encode()


@cache
def _frames() -> bytes:
    return b"".join(Flog.frame(float(n), 2, {"step": n}) for n in range(3))


@cache
def _sealed() -> bytes:
    path = _folder / "sealed.flog"
    with trainlog.create(path, {"a": 1}) as log:
        log.write(Frame(0.0, Kind.STATS, {"step": 1}))
        log.sync()
        log.write(Frame(0.0, Kind.EVENT, {"type": "rewind", "by": "trainlog", "step": 0}))
        log.sync()
        log.write(Frame(1.0, Kind.CREATURE, {"step": 1, "pos": [1.0, 2.0]}))
    return path.read_bytes()


_INDEX_TYPES = ("<i8", "<f8", "u1", "<i4", "S3", "<c16", "<M8[s]", "?")


@cache
def _indexed() -> Path:
    """A log that is worth an index, though it is small."""
    index_file._PAYS, index_file._WORTH, index_module._PART, index_module._APART = 0, 0, 400, 300
    path = _folder / "indexed.flog"
    rows = (Flog.frame(n / 8, 2 if n % 9 == 0 else 4, {"step": n, "pos": [1.0, n]}) for n in range(60))
    path.write_bytes(Flog.header() + b"".join(rows))
    trainlog.open(path).table(4, steps=(2, 9))
    assert cache_path(path).exists()
    return path


@cache
def _index_shapes() -> dict[str, tuple[int, ...]]:
    with np.load(cache_path(_indexed())) as kept:
        return {name: kept[name].shape for name in kept.files}


@cache
def _run_of_seeds() -> Run:
    path = _folder / "run.flog"
    rows = (
        Flog.frame(float(n), 2, {"step": n, "reward": n % 3 - 1.0, "loss/actor": 1.0, "odd": "x"}) for n in range(9)
    )
    path.write_bytes(Flog.header() + b"".join(rows) + Flog.frame(9.0, 3, {"type": "fall"}))
    return runs_of([trainlog.open(path)])[0]


def _header_seeds() -> Iterator[bytes]:
    for meta in ({}, {"creature": "ant", "variables": [{"name": "a", "role": "state"}]}):
        yield Flog.header(meta)
        yield Flog.header(meta, version=3)
        yield b"FL0G" + Flog.header(meta)[4:]
    yield bytes(20)
    yield Flog.header(b"[1]")


def _seal_seeds() -> Iterator[bytes]:
    yield b""
    for place in range(13, len(_sealed()), 11):
        yield place.to_bytes(2, "little") + b"\x01\x81"


def _index_seeds() -> Iterator[bytes]:
    with np.load(cache_path(_indexed())) as kept:
        for number, name in enumerate(sorted(kept.files)):
            yield bytes([number, 128 if kept[name].dtype.kind == "i" else 129]) + kept[name].tobytes()


def _event_seeds() -> Iterator[bytes]:
    messages = b"\0"
    for values in (packed_scalars([("loss", 0.5), ("a/b", 1.0)]), [packed_text("text", "# a")]):
        message = packed_event(2.0, 10, values=values)
        messages += bytes([len(message)]) + message
    yield messages
    for path in sorted((DATA / "flog").glob("[pv]*.flog")):
        target = _folder / "seed.tfevents"
        trainlog.convert(path, target, overwrite=True)
        yield target.read_bytes()


def _archive_seeds() -> Iterator[bytes]:
    for n, raw in enumerate(_flog_seeds()):
        path, target = _folder / f"seed-{n}.flog", _folder / "seed.flog.zst"
        path.write_bytes(raw)
        trainlog.convert(path, target, overwrite=True)
        yield target.read_bytes()


def _parquet_seeds() -> Iterator[bytes]:
    for path in sorted((DATA / "flog").glob("[pv]*.flog")):
        target = _folder / "seed.parquet"
        trainlog.convert(path, target, overwrite=True)
        yield target.read_bytes()


def _with_corpus(name: str, seeds: Callable[[], Iterator[bytes]]) -> Callable[[], Iterator[bytes]]:
    """*seeds* and what was found before, which is kept in ``tests/data/fuzz``."""

    def all_seeds() -> Iterator[bytes]:
        yield from seeds()
        for path in sorted((DATA / "fuzz" / name).glob("*")):
            yield path.read_bytes()

    return all_seeds


TARGETS = {
    name: Target(run, _with_corpus(name, seeds))
    for name, run, seeds in (
        ("flog", flog, _flog_seeds),
        ("header", header, _header_seeds),
        ("seals", seals, _seal_seeds),
        ("index", index, _index_seeds),
        ("archive", archive, _archive_seeds),
        ("parquet", parquet, _parquet_seeds),
        ("events", events, _event_seeds),
        ("simion", simion, _simion_seeds),
        ("expression", expression, _expression_seeds),
    )
}

warnings.simplefilter("ignore", trainlog.TrainlogWarning)
