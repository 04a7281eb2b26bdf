"""Trees of logs, of bytes made by hand, for tests of many runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handmade import Flog

STATS = 2


def log_bytes(meta: Any, rows: list[dict[str, Any]], kind: int = STATS) -> bytes:
    return Flog.header(meta) + b"".join(Flog.frame(float(n), kind, row) for n, row in enumerate(rows))


def make_run(path: Path, meta: Any, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(log_bytes(meta, rows))
    return path


def sweep(folder: Path, seeds: int = 3, rows: int = 5) -> dict[str, list[dict[str, Any]]]:
    """Runs of two algorithms with their rows, by name; the last reward is 10 times the seed, for sac 100 more."""
    made = {}
    for algo in ("ppo", "sac"):
        for seed in range(seeds):
            end = 10.0 * seed + (100.0 if algo == "sac" else 0.0)
            own = [{"step": 10 * n, "reward": end * n / (rows - 1), "mode": "walk"} for n in range(rows)]
            name = f"{algo}/{seed}.flog"
            meta = {"creature": "ant", "task": "run", "algo": algo, "seed": seed, "args": {"lr": 3e-4}}
            make_run(folder / name, meta, own)
            made[name] = own
    return made


def damage(path: Path) -> None:
    """Overwrite the middle of a log by what is no record."""
    raw = path.read_bytes()
    middle = len(raw) // 2
    path.write_bytes(raw[:middle] + b"\xc1" * 20 + raw[middle + 20 :])
