"""The dashboard with thousands of generated runs: times of the first list, a filter and a group; the server's memory.

python -m benchmarks.serve_runs                 # 10,000 runs in a temporary folder, which is removed again
python -m benchmarks.serve_runs --count 1000
"""

from __future__ import annotations

import argparse
import json
import math
import struct
import tempfile
import time
from pathlib import Path
from statistics import median
from urllib.parse import quote

import msgpack

from benchmarks.serve import Served, until

_FILTERS = ("a", "algo:sac", "algo:sac lr=0.001", "reward>150", "-td3 walk", "state:running or state:ended")


def make(folder: Path, count: int) -> int:
    """Write runs of 40 rows with 20 keys; return how many of them are of sac."""
    for n in range(count):
        algo = ("sac", "ppo", "td3", "dqn")[n % 4]
        meta = {
            "task": ("walk", "run")[n // 120 % 2],
            "algo": algo,
            "seed": n // 4 % 10,
            "lr": (1e-3, 1e-4)[n // 40 % 2],
        }
        header = json.dumps(meta).encode()
        parts = [b"FLOG" + struct.pack("<HBI", 1, 0, len(header)) + header]
        for k in range(40):
            row = {
                "step": 1000 * k,
                "reward": 180 * (1 - math.exp(-k / 10)),
                **{f"m{j}": (n * k + j) % 97 for j in range(18)},
            }
            payload = msgpack.packb(row)
            parts.append(struct.pack("<dBI", float(k), 2, len(payload)) + payload)
        (folder / f"{algo}-{n:05}.flog").write_bytes(b"".join(parts))
    return len(range(0, count, 4))


def measure(folder: Path, count: int, sac: int) -> list[tuple[str, str]]:
    """The measurements of one start of the server."""
    began = time.perf_counter()
    served = Served(folder)
    try:
        until(lambda: served.get("/api/v1/runs?limit=1")[1]["total"] == count)
        rows = [("from the start of the process to the first list", f"{time.perf_counter() - began:.1f} s")]
        until(lambda: served.get("/api/v1/runs?limit=0")[1]["unread"] == 0)
        rows.append(("until all frames were read", f"{time.perf_counter() - began:.1f} s"))
        took = [served.get(f"/api/v1/runs?limit=100&filter={quote(text)}")[0] for text in _FILTERS]
        assert served.get("/api/v1/runs?limit=1&filter=algo:sac")[1]["matching"] == sac
        rows.append(("a filter, median and slowest", f"{1000 * median(took):.0f} ms, {1000 * max(took):.0f} ms"))
        rows.append(("memory of the server, the most it had", f"{served.memory('VmHWM'):.0f} MB"))
        return rows
    finally:
        served.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as name:
        sac = make(Path(name), count)
        for title in ("no catalog yet", "with the catalog"):
            print(f"{count:,} runs, {title}")
            for what, value in measure(Path(name), count, sac):
                print(f"  {what}: {value}")


if __name__ == "__main__":
    main()
