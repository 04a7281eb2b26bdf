"""Small files that claim or bring much: every reader and every verb, under a limit of memory and of processor time.

Of address space a process of 1 GB is given, most of which libraries take that are never touched, and 60 seconds of
processor for all of it together.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from handmade import Flog

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

MEGABYTES = 1024
SECONDS = 60

# Every way to read a log that is there, one after another; what is no error of the library's own ends it.
READ = """
import os, resource, sys, warnings
from pathlib import Path

limit = int(sys.argv[2]) << 20
path, out = Path(sys.argv[1]), Path(sys.argv[1] + ".out")
import numpy, pyarrow.parquet
import trainlog
from trainlog.cli import main
from trainlog.errors import TrainlogError
pyarrow.set_cpu_count(1)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[3]), int(sys.argv[3])))
warnings.simplefilter("ignore")

def table():
    log = trainlog.open(path)
    for kind in log.summary().kinds:
        log.table(kind)
        log.table(kind, last=3)
        log.table(kind, time=(0.5, 2.5))
        log.table(kind, steps=(1, 3))

def pages():
    from trainlog.server.log import Log
    log = Log("a", "a", path, ())
    while log.advance(float("inf")):
        pass

def in_parquet():
    trainlog.convert(path, out.with_suffix(".parquet"), overwrite=True)
    log = trainlog.open(out.with_suffix(".parquet"))
    log.summary()
    sum(1 for _ in log)
    for kind in log.summary().kinds:
        log.table(kind, last=3)

def verb(*arguments):
    def call():
        try:
            main(list(map(str, arguments)))
        except SystemExit as ended:
            assert ended.code in (0, 1, 2, 3), ended.code
    call.__name__ = arguments[0]
    return call

verbs = [verb("info", path), verb("info", "--json", path), verb("watch", "--once", path), verb("verify", path),
         verb("tail", path), verb("plot", path, "-o", out), verb("report", path, "-o", out, "--require", "mean(r) > 0"),
         verb("repair", path, out.with_suffix(".repaired.flog"))]
sys.stdout = open(os.devnull, "w")
sys.stderr = open(os.devnull, "w")
for read in (lambda: sum(1 for _ in trainlog.open(path)), table, *verbs, pages, in_parquet):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    try:
        read()
    except TrainlogError as error:
        print(type(error).__name__, file=sys.__stdout__)
    done = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{read.__name__} {done.ru_utime - before:.1f} s {done.ru_maxrss >> 10} MB", file=sys.__stdout__, flush=True)
"""


def rows(count: int, more: Callable[[int], dict[str, object]], kind: int = 2) -> bytes:
    frames = (Flog.frame(n / 10, kind, {"step": n, "r": n % 5 / 2, **more(n)}) for n in range(count))
    return Flog.header() + b"".join(frames)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a key of half a megabyte": lambda: rows(3, lambda n: {"k" * 500_000: n, "text": "v" * 500_000}),
    "metadata nested deep": lambda: Flog.header(b'{"a":' * 5_000 + b"1" + b"}" * 5_000) + rows(3, lambda n: {})[13:],
    "headers alone": lambda: Flog.header() + struct.pack("<dBI", 1.0, 2, 1 << 20) * 60_000,
    "zeros": lambda: Flog.header() + bytes(1 << 20) + Flog.frame(1.0, 2, {"step": 1}),
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", HOSTILE)
def test_memory_and_time_are_bounded(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.flog"
    path.write_bytes(HOSTILE[name]())
    assert path.stat().st_size < 4 << 20
    command = [sys.executable, "-c", READ, str(path), str(MEGABYTES), str(SECONDS)]
    threads = dict.fromkeys(["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "ARROW_IO_THREADS", "MALLOC_ARENA_MAX"], "1")
    done = subprocess.run(command, env={**os.environ, **threads}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
