"""``trainlog tail`` prints the last of what ``trainlog dump`` prints, of any log, and what comes then."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

import by_hand_simion
import trainlog
from handmade import Flog
from trainlog import Frame, Kind
from trainlog.cli import main
from trainlog.errors import TrainlogWarning

KINDS = [Kind.STATS, Kind.CREATURE, Kind.CREATURE, Kind.EVENT, Kind(9)]


def frames(count: int, blob: int = 0) -> Iterator[Frame]:
    """Of all kinds in turn; *blob* bytes in each that is no stats frame."""
    for n in range(count):
        kind = KINDS[3 * n % 11 % 5]
        data = {"step": n, "type": "e", "gait": {"phase": n / 4}, "blob": bytes(blob * (kind != Kind.STATS))}
        yield Frame(float(n), kind, data)


def created(path: Path, count: int = 60, blob: int = 0) -> Path:
    with trainlog.create(path, {"creature": "ant"}) as writer:
        writer.write_all(frames(count, blob))
    return path


def rewound(folder: Path) -> Path:
    with trainlog.TrainingRecorder(folder / "run.flog", "ant", "walk") as log:
        for n in range(40):
            log.record_stats_frame(None, {"step": n})
            log.record_creature_frame(None, {"step": n})
        log.rewind(step=30)
        log.record_stats_frame(None, {"step": 31})
    return folder / "run.flog"


def damaged(folder: Path) -> Path:
    path = created(folder / "run.flog")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 40] = bytes(40)
    path.write_bytes(bytes(raw[:-9]))
    return path


def broken_at_the_end(folder: Path) -> Path:
    path = created(folder / "run.flog", 3000, 6000)
    path.write_bytes(path.read_bytes() + Flog.frame(9e3, 2, b"\x81\xa1") + bytes(50))
    return path


def shards(folder: Path) -> Path:
    (folder / "run.flog").mkdir()
    for rank in range(3):
        header = Flog.header({"shard": {"rank": rank, "began": 100.0 + rank}})
        body = b"".join(Flog.frame(n / 3, 2 + n * rank % 3, {"step": n}) for n in range(20 + rank))
        (folder / "run.flog" / f"run-{rank}.flog").write_bytes(header + body)
    return folder / "run.flog"


def converted(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        trainlog.convert(created(folder / "run.flog"), folder / name)
        return folder / name

    return make


def simion(folder: Path) -> Path:
    data = by_hand_simion.experiment(2)
    for number in (1, 2):
        data += by_hand_simion.episode_of([(n, n / 2) for n in range(8)], index=number)
    return by_hand_simion.log(folder, data)


LOGS: dict[str, Callable[[Path], Path]] = {
    "flog": lambda folder: created(folder / "run.flog"),
    "empty": lambda folder: created(folder / "run.flog", 0),
    "large": lambda folder: created(folder / "run.flog", 3000, 6000),
    "rewound": rewound,
    "damaged": damaged,
    "broken at the end": broken_at_the_end,
    "shards": shards,
    "parquet": converted("run.parquet"),
    "flog.zst": converted("run.flog.zst"),
    "tensorboard": converted("run.tfevents"),
    "simion": simion,
}


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainlogWarning)
        with pytest.raises(SystemExit) as exited:
            main(list(map(str, arguments)))
    assert exited.value.code == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", LOGS)
def test_the_last_frames_are_those_of_dump(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = LOGS[name](tmp_path)
    for options in ([], ["--kind", "stats"], ["--kind", "event", "--keys", "step,gait/phase"], ["--kind", "77"]):
        every = printed(capsys, "dump", log, *options)
        for count in (0, 1, 3, 10, 10**6, sys.maxsize):
            last = printed(capsys, "tail", log, "-n", count, *options)
            assert last == every[max(len(every) - count, 0) :], (options, count)


class Followed:
    """A running ``trainlog tail -f``."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output

    def steps(self, count: int) -> list[Any]:
        """The steps of the next frames."""
        return [json.loads(line)["data"].get("step") for line in itertools.islice(self._output, count)]


@contextmanager
def following(log: Path, *options: str, notes: str = "") -> Iterator[Followed]:
    command = [sys.executable, "-m", "trainlog", "tail", "-f", str(log), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield Followed(process.stdout)
        finally:
            process.terminate()
            _, err = process.communicate(timeout=30)
        assert notes in err
        assert err.count("\n") == bool(notes) + err.count("stopped")


@pytest.mark.parametrize("blob", [0, 6000])
def test_new_frames_follow_the_last_ones(tmp_path: Path, blob: int) -> None:
    path = tmp_path / "run.flog"
    with trainlog.create(path) as writer:
        writer.write_all(frames(2000, blob))
        with following(path, "-n", "3") as tail:
            assert tail.steps(3) == [1997, 1998, 1999]
            for n in range(2000, 2010):
                writer.write(Frame(float(n), Kind.STATS, {"step": n}))
                assert tail.steps(1) == [n]


def test_new_frames_of_one_kind(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "run.flog") as writer:
        writer.write_all(frames(50))
        with following(tmp_path / "run.flog", "-n", "1", "--kind", "event") as tail:
            (last,) = tail.steps(1)
            assert last == max(frame.data["step"] for frame in frames(50) if frame.kind == Kind.EVENT)
            writer.write(Frame(60.0, Kind.STATS, {"step": 60}))
            writer.write(Frame(61.0, Kind.EVENT, {"step": 61}))
            assert tail.steps(1) == [61]


def test_training_that_goes_back_while_it_is_followed(tmp_path: Path) -> None:
    with trainlog.TrainingRecorder(tmp_path / "run.flog", "ant", "walk") as log:
        for n in range(10):
            log.record_stats_frame(None, {"step": n})
        with following(tmp_path / "run.flog", "-n", "2") as tail:
            assert tail.steps(2) == [8, 9]
            log.rewind(step=4)
            assert tail.steps(1) == [4]  # the event that says so
            log.record_stats_frame(None, {"step": 5})
            assert tail.steps(1) == [5]


def test_another_log_in_its_place_is_followed_from_its_beginning(tmp_path: Path) -> None:
    path = created(tmp_path / "run.flog")
    with following(path, "-n", "1", notes="its frames follow from the beginning") as tail:
        assert tail.steps(1) == [59]
        whole = created(tmp_path / "other.flog", 2).read_bytes()
        (tmp_path / "begun.flog").write_bytes(whole[:5])
        (tmp_path / "begun.flog").replace(path)
        time.sleep(0.3)  # it looks, and finds no whole header
        path.write_bytes(whole)
        assert tail.steps(2) == [0, 1]


def test_a_log_that_is_deleted_and_written_anew_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    with trainlog.create(path) as writer:
        writer.write_all(frames(5))
        with following(path, "-n", "1") as tail:
            assert tail.steps(1) == [4]
            path.unlink()
            writer.write(Frame(5.0, Kind.STATS, {"step": 5}))
            with pytest.warns(TrainlogWarning, match="was deleted"):
                writer.sync()
            assert tail.steps(1) == [5]


def test_an_empty_file_that_becomes_a_log(tmp_path: Path) -> None:
    (tmp_path / "run.flog").touch()
    whole = created(tmp_path / "whole.flog", 3).read_bytes()
    with following(tmp_path / "run.flog") as tail, open(tmp_path / "run.flog", "ab", buffering=0) as file:
        for n in range(0, len(whole), 7):
            file.write(whole[n : n + 7])
        assert tail.steps(3) == [0, 1, 2]


def test_shards_are_followed(tmp_path: Path) -> None:
    log = shards(tmp_path)
    with following(log, "-n", "2") as tail:
        tail.steps(2)
        with open(log / "run-1.flog", "ab", buffering=0) as file:
            file.write(Flog.frame(99.0, 2, {"step": 99}))
        assert tail.steps(1) == [99]


def test_a_shard_whose_header_has_still_to_come_is_waited_for(tmp_path: Path) -> None:
    log = shards(tmp_path)
    whole = Flog.header({"creature": "ant"}) + Flog.frame(0.0, 2, {"step": 0})
    with following(log, "-n", "1") as tail:
        tail.steps(1)
        (log / "run-9.flog").write_bytes(whole[:20])
        with open(log / "run-1.flog", "ab", buffering=0) as other:
            other.write(Flog.frame(99.0, 2, {"step": 99}))
        assert tail.steps(1) == [99], "of a look that met half a header"
        (log / "run-9.flog").write_bytes(whole)
        assert tail.steps(1) == [0]


def test_a_log_that_cannot_be_read_for_a_while_goes_on(tmp_path: Path) -> None:
    path = created(tmp_path / "run.flog", 2)
    with following(path, "-n", "1", notes="waiting until it can be read again") as tail:
        assert tail.steps(1) == [1]
        path.replace(tmp_path / "away.flog")
        path.mkdir()  # as good as a permission that is taken away, which root does not notice
        time.sleep(0.3)
        path.rmdir()
        (tmp_path / "away.flog").replace(path)
        with path.open("ab") as file:
            file.write(Flog.frame(70.0, 2, {"step": 70}))
        assert tail.steps(1) == [70]


def test_a_finished_log_that_cannot_grow_ends_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parquet = converted("run.parquet")(tmp_path)
    assert printed(capsys, "tail", "-f", "-n", 3, parquet) == printed(capsys, "tail", "-n", 3, parquet)
