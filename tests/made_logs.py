"""Logs of made-up trainings, for tests of figures and reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import trainlog
from trainlog import Frame, Kind, Reader


def write_log(
    path: Path,
    stats: Iterable[Mapping[str, Any]],
    meta: Mapping[str, Any] | None = None,
    *,
    events: Mapping[float, Mapping[str, Any]] | None = None,
    creature: Iterable[Mapping[str, Any]] = (),
) -> Reader:
    """One stats frame a second, creature frames ten times a second, events at their times."""
    frames = [Frame(float(n), Kind.STATS, row) for n, row in enumerate(stats)]
    frames += [Frame(n / 10, Kind.CREATURE, row) for n, row in enumerate(creature)]
    frames += [Frame(time, Kind.EVENT, event) for time, event in (events or {}).items()]
    with trainlog.create(path, meta or {}) as writer:
        writer.write_all(sorted(frames, key=lambda frame: frame.time))
    return trainlog.open(path)


def training(
    path: Path, seed: int = 0, episodes: int = 200, goal: float = 100.0, meta: Mapping[str, Any] | None = None
) -> Reader:
    """A reward that rises to *goal* with noise, a loss that falls, words, and some events."""
    rng = np.random.default_rng(seed)
    stats = [
        {
            "step": n * 10,
            "episode": n,
            "reward": float(goal * (1 - np.exp(-n / 40)) + rng.normal() * 5),
            "policy_loss": float(np.exp(-n / 50)),
            "value_loss": float(2 * np.exp(-n / 60)),
            "loss_scale": 1.0,
            "behavior": "walk" if n % 50 < 30 else "run",
        }
        for n in range(episodes)
    ]
    facts = {"creature": "ant", "task": "run forward", "seed": seed, **(meta or {})}
    return write_log(path, stats, facts, events={20.0: {"type": "new_best", "step": 200}, 50.0: {"type": "fall"}})
