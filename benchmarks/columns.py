"""Columns of a FLOG file, against the plain loop over its frames and against `np.fromfile`.

``python -m benchmarks.columns`` makes a file of some 122 MB in a temporary folder, measures all in turns, so that the
machine's moods fall on everybody, and prints medians and ratios. All sides are checked to have read the same values.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

import trainlog

FLOATS = {"pos": 26, "vel": 24}
EVERY = 100  # creature frames between two of stats
STAGES = 8  # in which the trainer logs more keys, from 20 to 130
MODES = ("walk", "run", "stand still", "fall")


def make(path: Path, frames: int) -> None:
    """Write the file; its bytes come from msgpack and struct, not from us."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(struct.pack("<4sHBI", b"FLOG", 1, 0, 2) + b"{}")

        def put(seconds: float, kind: int, data: dict[str, Any]) -> None:
            payload = msgpack.packb(data)
            file.write(struct.pack("<dBI", seconds, kind, len(payload)) + payload)

        for step in range(frames):
            values = rng.standard_normal(57).tolist()
            put(
                step / 100,
                4,
                {
                    "step": step,
                    "pos": values[:26],
                    "vel": values[26:50],
                    "com": values[50:53],
                    "heading": values[53],
                    "speed": values[54],
                    "x": values[55],
                    "y": values[56],
                },
            )
            if step % EVERY == EVERY - 1:
                keys = 20 + 110 * (STAGES * step // frames) // (STAGES - 1)
                stats: dict[str, Any] = {"step": step, "reward": values[0], "mode": MODES[step // EVERY % 3]}
                stats["fallen"] = values[1] > 1.5
                stats |= {f"metric_{i:03d}": value for i, value in enumerate(rng.standard_normal(keys - 4).tolist())}
                put(step / 100, 2, stats)


def plain(path: Path, *, keep: bool = True) -> list[dict[str, Any]]:
    """The loop that the format's note gives: every frame as a dict."""
    frames = []
    with path.open("rb") as file:
        size = struct.unpack("<4sHBI", file.read(11))[3]
        file.read(size)
        while len(head := file.read(13)) == 13:
            seconds, kind, size = struct.unpack("<dBI", head)
            data = msgpack.unpackb(file.read(size), raw=False)
            data["timestamp"], data["kind"] = seconds, kind
            if keep:
                frames.append(data)
    return frames


def check(path: Path) -> None:
    """Both sides hold the same values: every key of every frame."""
    frames = plain(path)
    reader = trainlog.open(path)
    for kind in (4, 2):
        rows = [frame for frame in frames if frame["kind"] == kind]
        table = reader.table(kind)
        assert table.rows == len(rows)
        assert table.time.tolist() == [row["timestamp"] for row in rows]
        keys = dict.fromkeys(key for row in rows for key in row)
        assert list(table) == [key for key in keys if key not in ("timestamp", "kind")]
        for key, column in table.items():
            for value, row in zip(column.tolist(), rows, strict=True):
                assert value == row[key] if key in row else value != value, key
    some = reader.table(2, keys=["reward", "step"])
    assert (some["reward"] == reader.table(2)["reward"]).all()
    assert reader.table(4, last=1000)["step"].tolist() == [row["step"] for row in frames if row["kind"] == 4][-1000:]


def measure(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median time of each, in seconds, taken in turns; the first turn is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            if name.startswith("plain") and turn > 4:
                continue
            began = time.perf_counter()
            result = work()
            seconds = time.perf_counter() - began
            del result
            if turn:
                taken[name].append(seconds)
    return {name: statistics.median(times) for name, times in taken.items()}


def profile(path: Path) -> None:
    """Show how often functions are called while the creature table is read: none of them once for each frame."""
    reader = trainlog.open(path)
    rows = reader.table("creature").rows
    profiler = cProfile.Profile()
    profiler.runcall(reader.table, "creature")
    stats = pstats.Stats(profiler)
    calls = sorted(((entry[1], place) for place, entry in stats.stats.items()), reverse=True)  # type: ignore[attr-defined]
    print(f"\n{rows:,} frames; {sum(count for count, _ in calls):,} calls in all. The most frequent:")
    for count, (file, line, name) in calls[:6]:
        print(f"  {count:>9,}  {name}  {Path(file).name}:{line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.flog"
        make(path, options.frames)
        check(path)
        size = path.stat().st_size
        reader, indexed = trainlog.open(path), trainlog.open(path)
        end = options.frames / 100

        def kinds() -> list[object]:
            return [reader.table(kind) for kind in (4, 2)]

        def first(**ranges: Any) -> object:
            return trainlog.open(path).table("creature", **ranges)

        works: dict[str, Callable[[], object]] = {
            "plain loop, dicts kept": lambda: plain(path),
            "plain loop, dicts dropped": lambda: plain(path, keep=False),
            "np.fromfile": lambda: np.fromfile(path, np.uint8),
            "creature": lambda: reader.table("creature"),
            "creature, one key": lambda: reader.table("creature", keys=["speed"]),
            "stats": lambda: reader.table("stats"),
            "stats, two keys": lambda: reader.table("stats", keys=["reward", "step"]),
            "creature and stats": kinds,
            "creature, file opened anew": first,
            "last 1,000, opened anew": lambda: first(last=1000),
            "last 1,000, index known": lambda: indexed.table("creature", last=1000),
            "one second, index known": lambda: indexed.table("creature", time=(end / 2, end / 2 + 1)),
            "state at a time, index known": lambda: indexed.at(end / 3),
        }
        taken = measure(works, options.repeats)
        loop, raw = taken["plain loop, dicts kept"], taken["np.fromfile"]
        print(f"{size / 1e6:.0f} MB, {options.frames:,} creature frames, {options.frames // EVERY:,} of stats\n")
        print(f"{'':<30}{'ms':>10}{'MB/s':>10}{'x loop':>10}{'of fromfile':>13}")
        for name, seconds in taken.items():
            row = f"{name:<30}{seconds * 1e3:>10.2f}{size / seconds / 1e6:>10,.0f}"
            print(f"{row}{loop / seconds:>10.1f}{raw / seconds:>13.1%}")
        both = taken["creature and stats"]
        print(f"\ntwo keys of stats: {taken['stats, two keys'] / loop:.1%} of the plain loop,", end=" ")
        print(f"{taken['stats, two keys'] / both:.1%} of all columns of both kinds")
        profile(path)


if __name__ == "__main__":
    main()
