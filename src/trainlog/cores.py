"""The number of cores available to this process."""

from __future__ import annotations

import os

__all__ = ["core_count"]


def core_count() -> int:
    """How many cores this process can use: fewer than the machine has in a container, or under ``taskset``."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1
