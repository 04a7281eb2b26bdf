"""Files that were made to do harm: no crash, no hang, no more memory than is said."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import trainlog
from handmade import Flog
from trainlog import Frame, Kind
from trainlog.codecs.flog.wire.layout import MAX_PAYLOAD
from trainlog.errors import CorruptLog, UnsupportedFrame

# Reads a log in every way, and says how much memory that took at most beside what the program itself needs.
READ = """
import sys, warnings, trainlog
warnings.simplefilter("ignore")

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM"))

trainlog.open(sys.argv[2]).table("stats")
before = peak()
log = trainlog.open(sys.argv[1])
print([frame.time for frame in log], log.table("stats").time.tolist(), log.summary().frames)
trainlog.verify(sys.argv[1])
print(peak() - before)
"""


def read(path: Path, megabytes: int) -> str:
    small = path.with_name("small.flog")
    small.write_bytes(Flog.header() + Flog.frame(0.0, 2, {"a": 1}))
    command = [sys.executable, "-c", READ, str(path), str(small)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found, peak = done.stdout.splitlines()
    assert int(peak) <= megabytes
    return found


pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux tells how much memory was used"
)


@pytest.mark.parametrize("claim", [None, 1 << 20, MAX_PAYLOAD + 1, 2**32 - 1])
def test_ten_gigabytes_of_nothing(tmp_path: Path, claim: int | None) -> None:
    path = tmp_path / "a.flog"
    with path.open("wb") as file:
        file.write(Flog.header() + Flog.frame(0.0, 2, {"n": 0}))
        if claim is not None:
            file.write(struct.pack("<dBI", 0.5, 2, claim) + b"\x81\xa1n\xdd\xff\xff\xff\xff")
        try:
            file.seek(10 * 2**30)
            file.write(Flog.frame(1.0, 2, {"n": 1}) + Flog.frame(2.0, 2, {"n": 2}))
        except OSError:
            pytest.skip("files here cannot have holes")
    if path.stat().st_blocks > 10_000:
        pytest.skip("files here cannot have holes")
    assert read(path, 64) == "[0.0, 1.0, 2.0] [0.0, 1.0, 2.0] 3"


def bombs() -> dict[str, bytes]:
    many = b"\xff\xff\xff\xff"
    return {
        "a list of four billion": b"\x81\xa1a\xdd" + many,
        "a map of four billion": b"\xdf" + many + b"\xa1a\x01",
        "a string of four gigabytes": b"\x81\xa1a\xdb" + many,
        "lists in lists without end": b"\x81\xa1a" + b"\x91" * 500_000 + b"\x01",
        "maps in maps without end": b"\x81\xa1a" * 300_000 + b"\x01",
        "lists that all claim much": b"\x81\xa1a" + b"\xdd\x00\x0f\x00\x00" * 50_000,
        "JSON without end": b'{"a":' * 200_000,
        "a number of a million digits": b'{"a":' + b"9" * 1_000_000 + b"}",
        "an ext of four gigabytes": b"\x81\xa1a\xc9" + many + b"\x01",
        "keys that are lists": b"\x81" + b"\x91" * 10_000 + b"\x01\x01",
    }


@pytest.mark.parametrize("name", bombs())
def test_bombs(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.flog"
    before, after = Flog.frame(0.0, 2, {"n": 0}), Flog.frame(2.0, 2, {"n": 2}) + Flog.frame(3.0, 2, {"n": 3})
    path.write_bytes(Flog.header() + before + Flog.frame(1.0, 2, bombs()[name]) + after)
    assert read(path, 128) == "[0.0, 2.0, 3.0] [0.0, 2.0, 3.0] 3"


def test_metadata_of_four_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    path.write_bytes(b"FLOG" + struct.pack("<HBI", 1, 0, 2**32 - 1) + b"{}")
    with pytest.raises(CorruptLog, match="metadata claim 4,294,967,295 bytes"):
        trainlog.open(path)


def test_what_is_too_large_to_be_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    with trainlog.create(path) as log, pytest.raises(UnsupportedFrame, match="at most 268,435,456 bytes"):
        log.write(Frame(0.0, Kind.STATS, {"replay buffer": np.zeros(MAX_PAYLOAD + 1, np.uint8).tobytes()}))
    assert trainlog.open(path).summary().frames == 0
    with pytest.raises(UnsupportedFrame, match="metadata"):
        trainlog.create(tmp_path / "b.flog", {"a": "x" * (MAX_PAYLOAD + 1)})
