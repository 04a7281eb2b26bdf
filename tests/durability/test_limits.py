"""Small files that claim or bring much: what every reader and every verb takes of memory and processor time."""

from __future__ import annotations

import io
import itertools
import json
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from handmade import Flog

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pytest.importorskip("starlette", reason="starlette is not installed")
zstandard = pytest.importorskip("zstandard", reason="zstandard is not installed")
if not sys.platform.startswith("linux"):
    pytest.skip("limits of memory are those of Linux", allow_module_level=True)

from faults import limits  # noqa: E402 - it imports what may not be installed
from faults.processes import Processes  # noqa: E402

LARGEST = 4 << 20  # of a hostile file, bytes
SOUND = [Flog.frame(n / 2, 2, {"step": n, "r": n % 5 / 2}) for n in range(6)]
STEPS = b"".join(SOUND)


def log(*frames: bytes | Iterable[bytes], meta: Any = None) -> bytes:
    return Flog.header(meta) + b"".join(one if isinstance(one, bytes) else b"".join(one) for one in frames)


def rows(count: int, data: Callable[[int], dict[Any, Any]], kind: int = 2) -> Iterator[bytes]:
    return (Flog.frame(n / 10, kind, data(n)) for n in range(count))


def nested(depth: int, inner: Any) -> Any:
    for _ in range(depth):
        inner = {"k": inner}
    return inner


def tree(depth: int) -> Any:
    """Nested maps of 2**depth values that have only depth + 1 names."""
    return {"": tree(depth - 1), "/": tree(depth - 1)} if depth else 1


def payload(raw: bytes) -> bytes:
    return log(STEPS, Flog.frame(3.0, 2, raw), STEPS)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a list of four billion": lambda: payload(b"\x81\xa1a\xdd\xff\xff\xff\xff"),
    "lists that all claim much": lambda: payload(b"\x81\xa1a" + b"\xdd\x00\x0f\x00\x00" * 50_000),
    "lists without end": lambda: payload(b"\x81\xa1a" + b"\x91" * 80_000 + b"\x01"),
    "a number of many digits": lambda: payload(b'{"step":' + b"9" * 200_000 + b"}"),
    "empty maps": lambda: payload(b"\x81\xa1a\xdd\x00\x00\x4e\x20" + b"\x80" * 20_000),
    "metadata nested deep": lambda: Flog.header(b'{"a":' * 50_000 + b"1" + b"}" * 50_000) + STEPS,
    "metadata of many names": lambda: log(STEPS, meta={f"{n}" * 50: "x" * 100 for n in range(3_000)}),
    "declared variables": lambda: log(
        STEPS, meta={"variables": [{"name": f"v{n}", "role": "state"} for n in range(5_000)]}
    ),
    "headers alone": lambda: log(struct.pack("<dBI", 1.0, 2, 1 << 20) * 20_000),
    "zeros": lambda: log(bytes(1 << 19), Flog.frame(1.0, 2, {"step": 1})),
    "noise": lambda: log(STEPS, Random(1).randbytes(1 << 17), STEPS),
    "a key of half a megabyte": lambda: log(rows(3, lambda n: {"step": n, "k" * 500_000: n, "text": "v" * 500_000})),
    "long names before many": lambda: log(
        rows(3, lambda n: {"step": n, "k" * 200_000: {f"k{i}": i for i in range(1_000)}})
    ),
    "names in names": lambda: log(rows(40, lambda n: nested(200, {"step": n, **{f"k{i}" * 20: i for i in range(50)}}))),
    "few names for many values": lambda: log(rows(1, lambda n: {"step": n, "x": tree(14)})),
    "new keys in each frame": lambda: log(rows(120, lambda n: {f"{n}-{i}": i for i in range(20)})),
    "many keys": lambda: log(rows(4, lambda n: {"step": n, **{f"k{i}": i / 2 for i in range(1_000)}})),
    "a longer list in each frame": lambda: log(rows(600, lambda n: {"step": n, "x": [0.5] * n})),
    "lists of all lengths": lambda: log(rows(3_000, lambda n: {"step": n, "x": [0.5] * (1 if n % 2 else 100)})),
    "empty lists": lambda: log(rows(3, lambda n: {"step": n, "x": [[]] * 10_000})),
    "all kinds": lambda: log(
        Flog.frame(n / 10, n % 256, {"step": n, f"k{n % 3}": n}) for n in range(1, 1_200) if n % 256 not in (0, 67)
    ),
    "times without measure": lambda: log(
        Flog.frame(time, kind, {"step": step, "r": step, "pos": [step] * 3})
        for time, step in zip(
            itertools.cycle([1e308, -1e308, 5e-324, float("nan"), float("inf"), 2.0**40, -(2.0**40), 0.0]),
            [1e308, -1e308, 1e300, 2**63 - 1, -(2**63), 5e-324, 0, 1] * 50,
            strict=False,
        )
        for kind in (2, 4)
    ),
    "rewinds": lambda: log(
        frame
        for n in range(800)
        for frame in (
            Flog.frame(n, 2, {"step": n % 50}),
            Flog.frame(n, 3, {"type": "rewind", "by": "trainlog", "step": n % 50 // 2}),
        )
    ),
    "environments": lambda: log(rows(3, lambda n: {"step": n, "env": list(range(8_000)), "reward": [0.5] * 8_000})),
    "an environment for each step": lambda: log(rows(5_000, lambda n: {"step": n, "env": n, "reward": 1.0}, 4)),
    "episodes": lambda: log(
        Flog.frame(n, 3, {"type": ("episode_start", "episode_end")[n % 2], "episode": n // 2}) for n in range(4_000)
    ),
    "events of all types": lambda: log(rows(4_000, lambda n: {"type": f"t{n}", "msg": "m" * 50}, 3)),
    "long texts in events": lambda: log(rows(20, lambda n: {"type": "x" * 90_000, "msg": ["y" * 90_000]}, 3)),
    "a function without end": lambda: log(
        rows(3, lambda n: {"type": "function_sample", "function": "f", "shape": [1, 2**31, 2**31], "values": [1]}, 3)
    ),
    "models that are none": lambda: log(
        rows(3, lambda n: {"mjb": b"\xff" * 300_000, "model": "a", "sha256": "a"}, 77),
        rows(3, lambda n: {"model": "a", "state": [1.0]}, 4),
    ),
    "a seal that claims all": lambda: log(
        STEPS, Flog.frame(3.0, 67, {"from": 0, "to": 2**64 - 1, "rewinds": 2**32 - 1, "crc32": 1}) * 10_000
    ),
}


def compressed(text: bytes, times: int) -> bytes:
    """A zstd frame of *times* as many bytes as *text*."""
    out = io.BytesIO()
    with zstandard.ZstdCompressor(level=3).stream_writer(out, closefd=False) as stream:
        for _ in range(times):
            stream.write(text)
    return out.getvalue()


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "two gigabytes of zeros": lambda: compressed(log(STEPS), 1) + compressed(bytes(1 << 20), 2_000),
    "two gigabytes of one frame": lambda: (
        compressed(log(STEPS), 1) + compressed(Flog.frame(3.0, 2, {"a": b"\0" * ((1 << 20) - 20)}), 2_000)
    ),
    "a window without end": lambda: b"\x28\xb5\x2f\xfd\x00\xff" + b"\x01\x00\x10" * 1000,
}


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("processes")) as running:
        yield running


@pytest.mark.parametrize("name", [*HOSTILE, *ARCHIVES])
def test_memory_and_time_are_bounded(processes: Processes, tmp_path: Path, name: str) -> None:
    path, small, out = tmp_path / f"a.flog{'.zst' * (name in ARCHIVES)}", tmp_path / "small.flog", tmp_path / "out"
    path.write_bytes({**HOSTILE, **ARCHIVES}[name]())
    small.write_bytes(log(STEPS))
    out.mkdir()
    assert path.stat().st_size < LARGEST
    outcome = processes.run(limits.read_in_every_way, path, small, out, seconds=60)
    began = [words[1] for words in outcome.said if words[0] == "begins"]
    assert not outcome.hung, f"{began[-1]} hangs:\n{outcome.errors}"
    assert outcome.code == 0, f"{began[-1]} ended with {outcome.code}: {outcome.errors[-2000:]}"
    wrong = [words[1:] for words in outcome.said if words[0] == "wrong"]
    assert not wrong, json.dumps(wrong, indent=1)
    slow = [words[1:] for words in outcome.said if words[0] == "took" and words[2] > limits.SECONDS]
    assert not slow, slow
