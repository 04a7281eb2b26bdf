"""Which metrics a person looks at first, and which belong together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from trainlog.model import Kind
from trainlog.plot.run import Metric

__all__ = ["IMPORTANT", "groups_by_prefix", "ranked", "tier"]

_GOAL: Final = frozenset({"reward", "return", "score", "success", "fitness", "best", "rew", "returns", "rewards"})
_CONDUCT: Final = frozenset(
    {"distance", "velocity", "vel", "speed", "upright", "falls", "length", "steps", "dist", "solved"}
)
_LEARNING: Final = frozenset(
    {"loss", "losses", "entropy", "kl", "lr", "epsilon", "grad", "error", "accuracy", "learning", "norm"}
)
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_LEAST: Final = 3  # metrics that make a group

IMPORTANT: Final = 3
"""Metrics of this tier and those before it are what a training is about."""


def tier(metric: Metric) -> int:
    """0 for the goal itself, then conduct, what is close to the goal, learning, all else; the creature's state last."""
    words = [word.lower() for word in _WORDS.findall(metric.key.rpartition("/")[2])] or [metric.key]
    if metric.kind == Kind.CREATURE:
        return 5
    if set(words) <= _GOAL or metric.key in ("avg_reward", "ep_rew_mean", "success_rate"):
        return 0 if "/" not in metric.key else 2
    if words[0] in _CONDUCT or words[-1] in _CONDUCT:
        return 1 if "/" not in metric.key else 2
    if set(words) & _GOAL:
        return 2
    return 3 if set(words) & _LEARNING else 4


def ranked(metrics: Sequence[Metric]) -> list[Metric]:
    """*metrics*, the most important first; those of one rank as they are."""
    return sorted(
        metrics, key=lambda metric: (tier(metric), len(_WORDS.findall(metric.key)) if tier(metric) < 4 else 0)
    )


def groups_by_prefix(metrics: Sequence[Metric]) -> dict[Metric, str]:
    """The group of each metric: what its name begins with, where several begin so; otherwise ``""``.

    Metrics of generations and of the creature are groups by themselves.
    """
    prefixes = {metric: _prefix(metric.key) for metric in metrics}
    counts = Counter((metric.kind, prefix) for metric, prefix in prefixes.items())
    groups = {}
    for metric, prefix in prefixes.items():
        shared = prefix != metric.key and counts[metric.kind, prefix] >= _LEAST
        outer = "" if metric.kind == Kind.STATS else str(metric.kind)
        groups[metric] = "/".join(part for part in (outer, prefix if shared else "") if part)
    return groups


def _prefix(key: str) -> str:
    return re.split(r"[/_.]", key, maxsplit=1)[0] or key
