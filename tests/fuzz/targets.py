"""What is given any bytes, what may come of it, and what it is begun with.

A target returns quietly, or something is wrong: an exception that is no `TrainlogError`, a check that fails, more than
ten seconds or two gigabytes.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import trainlog
from trainlog import TrainlogError
from trainlog.codecs.flog import FlogCodec
from trainlog.codecs.simion import SimionCodec
from trainlog.report.language import parse
from trainlog.table.builder import table_of
from trainlog.testing import same

__all__ = ["TARGETS", "Target"]

DATA = Path(__file__).parents[1] / "data"
_MOST_ROWS = 1000
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
    path, target = _folder / "a.flog", _folder / "b.flog"
    path.write_bytes(data)
    try:
        log = FlogCodec().read(path)
    except TrainlogError:
        return
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
    """A gate of a report."""
    with suppress(TrainlogError):
        parse(data.decode("utf-8", "replace"))


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


TARGETS = {
    "flog": Target(flog, _flog_seeds),
    "simion": Target(simion, _simion_seeds),
    "expression": Target(expression, _expression_seeds),
}

warnings.simplefilter("ignore", trainlog.TrainlogWarning)
