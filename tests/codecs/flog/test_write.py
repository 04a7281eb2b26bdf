"""What FLOG files that we write promise."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from handmade import Flog
from trainlog import Frame, Header, Kind, TrainingRecorder
from trainlog.errors import ClosedLog, LogExists, LogWriteError, UnsupportedFrame
from trainlog.testing import same


def test_the_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with trainlog.create(path, {"creature": "ant"}, phase=2) as log:
        log.write(Frame(0.5, Kind.STATS, {"reward": 1.5}))
        log.write(Frame(1.5, Kind(9), {}))
    raw = Flog.header({"creature": "ant"}, version=2, phase=2) + Flog.frame(0.5, 2, {"reward": 1.5})
    raw += Flog.seal(0.5, raw)
    sealed, raw = len(raw), raw + Flog.frame(1.5, 9, {})
    raw += Flog.seal(1.5, raw, sealed)
    assert path.read_bytes() == raw + Flog.seal(1.5, raw, len(raw)), "and the end mark"


def test_the_plain_loop_of_the_format_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    state: dict[str, Any] = {"step": np.int64(10), "pos": np.arange(4.0)[::2], "vel": np.zeros(2, "f4"), "ok": np.True_}
    with TrainingRecorder(path, "ant", "walk", metadata={"lr": np.float32(0.5), "seed": np.int64(1)}) as log:
        log.record_creature_frame(0.5, state)
        log.record_event(1.0, "fall", "on its back")
    meta, frames = Flog.read(path.read_bytes())
    assert meta.pop("trainlog")["run"]["pid"] == os.getpid()
    assert meta == {"creature": "ant", "task": "walk", "lr": 0.5, "seed": 1}
    assert [frame for frame in frames if frame[1] <= 4] == [
        (0.5, 4, {"step": 10, "pos": [0.0, 2.0], "vel": [0.0, 0.0], "ok": True}),
        (1.0, 3, {"type": "fall", "msg": "on its back"}),
    ]
    checksums = [frame for frame in frames if frame[1] == 67]
    assert [time for time, _, _ in checksums] == [0.5, 1.0, 1.0]
    assert all(isinstance(data, dict) for _, _, data in checksums)


def test_every_frame_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    real = os.write

    def counting(fd: int, data: bytes) -> int:
        sizes.append(len(data))
        return real(fd, data)

    monkeypatch.setattr(os, "write", counting)
    path = tmp_path / "a.flog"
    with trainlog.create(path) as log:
        log.write(Frame(0, Kind.STATS, {"n": 0}))
        assert len(sizes) == 3, "the header before, the first checksum behind"
        for n in range(5):
            before = path.stat().st_size
            log.write(Frame(n, Kind.STATS, {"n": n}))
            assert path.stat().st_size - before == sizes[-1]
        assert len(sizes) == 8
    assert len(sizes) == 10, "a checksum and the end mark"


def test_never_overwrites_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    trainlog.create(path, {"run": 1}).close()
    for again in (trainlog.create, TrainingRecorder):
        with pytest.raises(LogExists, match="never overwritten"):
            again(path)
    assert trainlog.open(path).header.meta == {"run": 1}
    trainlog.create(path, {"run": 2}, overwrite=True).close()
    assert trainlog.open(path).header.meta == {"run": 2}


def test_a_frame_that_cannot_be_stored_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with trainlog.create(path) as log:
        log.write(Frame(1.0, Kind.STATS, {"a": 1}))
        before = path.read_bytes()
        for bad in (
            Frame(1.0, Kind.STATS, {"a": object()}),
            Frame("now", Kind.STATS, {}),  # type: ignore[arg-type]
            Frame(1.0, 256, {}),  # type: ignore[arg-type]
            Frame(1.0, Kind.STATS, None),  # type: ignore[arg-type]
        ):
            with pytest.raises(UnsupportedFrame):
                log.write(bad)
        assert path.read_bytes() == before
        log.write(Frame(2.0, Kind.STATS, {"a": 2}))
    assert len(list(trainlog.open(path).frames(on_damage="raise"))) == 2


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (Header({"a": object()}), "a object cannot be stored"),
        (Header({}, 256), "0 to 255"),
        (Header({}, "x"), "0 to 255"),  # type: ignore[arg-type]
    ],
)
def test_a_header_that_cannot_be_stored_makes_no_file(tmp_path: Path, header: Header, why: str) -> None:
    with pytest.raises(UnsupportedFrame, match=why):
        trainlog.create(tmp_path / "a.flog", header.meta, phase=header.phase)
    assert list(tmp_path.iterdir()) == []


def test_metadata_as_trainers_have_them(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    meta = {"lr": np.float32(0.5), "shape": np.zeros(2), "out": Path("runs/a"), "of": {"b", "a"}, "nan": float("nan")}
    trainlog.create(path, meta).close()
    expected = {"lr": 0.5, "shape": [0.0, 0.0], "out": "runs/a", "of": ["a", "b"], "nan": float("nan")}
    assert same(dict(trainlog.open(path).header.meta), expected)


def test_several_threads(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with TrainingRecorder(path) as log:

        def work(worker: int) -> None:
            for n in range(500):
                log.record_stats_frame(None, {"worker": worker, "n": n, "pad": "x" * (n % 300)})

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    frames = [frame.data for frame in trainlog.open(path).frames(on_damage="raise")]
    for worker in range(8):
        assert [data["n"] for data in frames if data["worker"] == worker] == list(range(500))


def run(code: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def test_a_forked_child_does_not_write_into_its_parents_log(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    code = """
import os, sys, trainlog
log = trainlog.TrainingRecorder(sys.argv[1])
log.record_event(0.0, "parent")
if (child := os.fork()) == 0:
    try:
        log.record_event(1.0, "child")
    except trainlog.errors.ClosedLog as error:
        print(error, flush=True)
    sys.exit(0)  # and the exit handlers of the child do the log no harm
assert os.waitpid(child, 0)[1] == 0
log.record_event(2.0, "parent")
"""
    done = run(code, path)
    assert "belongs to the process that this one was forked from" in done.stdout, done.stderr
    assert [frame.data["type"] for frame in trainlog.open(path).frames(on_damage="raise")] == ["parent", "parent"]


def test_closes_at_interpreter_exit_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    code = """
import sys, trainlog
log = trainlog.TrainingRecorder(sys.argv[1])
for n in range(100):
    log.record_stats_frame(None, {"n": n})
"""
    done = run(code, path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(trainlog.open(path).frames(on_damage="raise"))) == 100


def test_a_full_disk_leaves_whole_frames(tmp_path: Path) -> None:
    """The limit on a file's size stands for a full disk: the system takes a part of a frame, then none of it."""
    path = tmp_path / "a.flog"
    code = """
import resource, sys, trainlog
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 20_000))
log = trainlog.create(sys.argv[1])
count = 0
try:
    while True:
        log.write(trainlog.Frame(count, trainlog.Kind.STATS, {"n": count, "pad": "x" * 70}))
        count += 1
except trainlog.errors.LogWriteError as error:
    print(count, isinstance(error, OSError), error)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
log.write(trainlog.Frame(-1.0, trainlog.Kind.EVENT, {"type": "there is room again"}))
"""
    done = run(code, path)
    assert done.returncode == 0, done.stderr
    count, is_os_error, message = done.stdout.split(maxsplit=2)
    assert is_os_error == "True"
    assert "cannot write: File too large" in message
    frames = list(trainlog.open(path).frames(on_damage="raise"))
    assert [frame.time for frame in frames] == [*range(int(count)), -1.0]


@pytest.mark.parametrize("name", ["", "file/a.flog", "folder", "x" * 300 + ".flog"])
def test_places_where_no_log_can_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises((LogWriteError, LogExists)):
        trainlog.create(tmp_path / name, codec="flog")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LogWriteError, match="Permission denied"):
        trainlog.create(tmp_path / "a.flog")


def test_closed_means_closed(tmp_path: Path) -> None:
    log = TrainingRecorder(tmp_path / "a.flog")
    log.close()
    log.close()
    with pytest.raises(ClosedLog, match="was closed"):
        log.record_event(None, "late")


def test_what_the_caller_changes_later_is_not_what_was_logged(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    qpos = np.zeros(3)
    with TrainingRecorder(path) as log:
        for n in range(3):
            qpos += 1
            log.record_creature_frame(n, {"pos": qpos})
    assert trainlog.open(path).table("creature")["pos"][:, 0].tolist() == [1.0, 2.0, 3.0]


TRAINER = """
import sys, numpy as np, trainlog
log = trainlog.TrainingRecorder(sys.argv[1], "ant", "be killed")
n = 0
while True:
    log.record_creature_frame(None, {"n": n, "pos": np.random.rand(26), "vel": np.random.rand(24)})
    n += 1
    sys.stdout.buffer.raw.write(n.to_bytes(8, "little"))  # only now does the parent know of this frame
"""


@pytest.mark.parametrize("turn", range(20))
def test_sigkill_loses_no_frame_whose_call_had_returned(tmp_path: Path, turn: int) -> None:
    path = tmp_path / "a.flog"
    with subprocess.Popen([sys.executable, "-c", TRAINER, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        acknowledged = child.stdout.read(8)  # it is up and logging
        pipe = child.stdout
        rest: list[bytes] = []
        reader = threading.Thread(target=lambda: rest.append(pipe.read()))
        reader.start()
        time.sleep(random.uniform(0, 0.1))
        child.send_signal(signal.SIGKILL)
        reader.join()
    data = acknowledged + rest[0]
    returned = int.from_bytes(data[len(data) // 8 * 8 - 8 : len(data) // 8 * 8], "little")
    kept = [frame.data["n"] for frame in trainlog.open(path).frames()]
    assert kept == list(range(len(kept)))
    assert len(kept) in (returned, returned + 1)
