"""What is left of a log when the training process is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from benchmarks import frames
from benchmarks.frames import Kind
from benchmarks.measure import Killed, Scale, Unmeasured, in_child, scratch
from benchmarks.peers import PEERS, Peer, peer
from benchmarks.report import Table

__all__ = ["killed", "survivors", "tables"]


def killed(name: str, kind: Kind, folder: str, count: int, pace: float) -> None:
    """Log *count* rows, one every *pace* seconds, and get killed as soon as the last call has returned."""
    one = peer(name, folder)
    rows, times = frames.rows(frames.columns(kind, count)), frames.times(count)
    one.open(kind)
    log = getattr(one, kind)
    began = time.perf_counter()
    for i, (now, row) in enumerate(zip(times, rows, strict=True)):
        while (rest := began + i * pace - time.perf_counter()) > 0:
            time.sleep(rest)
        log(now, row)
    helpers = Path(f"/proc/self/task/{os.getpid()}/children")
    if helpers.exists():
        (Path(folder) / "helpers").write_text(helpers.read_text())
    os.kill(os.getpid(), signal.SIGKILL)


def survivors(name: str, kind: Kind, folder: str) -> int:
    """How many rows the peer's own reader finds."""
    return peer(name, folder).survivors(kind)


def tables(scale: Scale) -> Iterator[Table]:
    """One table: rows kept, for both kinds of row."""
    table = Table(
        "After SIGKILL",
        f"Rows that the peer's own reader finds after the process was killed as soon as the call that logged row "
        f"{scale.killed:,} had returned; one row every {scale.pace * 1e3:g} ms. If the peer has another process, its "
        "work is waited for. *Promise*: which rows whose call has returned the usage keeps when the process dies.",
        ["peer", "creature frames kept", "steps of 20 scalars kept", "promise"],
        words=frozenset([3]),
    )
    for one in PEERS.values():
        if one.writes:
            kept = ["not installed" if one.missing() else _kept(one, kind, scale) for kind in one.writes]
            table.rows.append([one.name, *kept, one.promise])
    yield table


def _kept(one: type[Peer], kind: Kind, scale: Scale) -> str:
    with scratch() as folder:
        try:
            in_child(killed, name=one.name, kind=kind, folder=str(folder), count=scale.killed, pace=scale.pace)
        except Killed:
            _end_helpers(folder / "helpers")
        except Unmeasured as error:
            return f"failed: {error}"
        try:
            kept = in_child(survivors, name=one.name, kind=kind, folder=str(folder))
        except Unmeasured as error:
            return f"0 ({error})"
        broken = one.promise == "every row" and kept < scale.killed
        return f"failed: {kept:,}" if broken else f"{kept:,}"


def _end_helpers(pids: Path) -> None:
    """Wait for the processes that the killed one had started, as they may still write; kill those that stay."""
    helpers = [int(pid) for pid in pids.read_text().split()] if pids.exists() else []
    deadline = time.monotonic() + 15
    while (helpers := [pid for pid in helpers if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in helpers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    pids.unlink(missing_ok=True)
