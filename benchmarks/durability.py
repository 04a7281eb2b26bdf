"""The same faults for trainlog and its peers: ``python -m benchmarks.durability``; --write updates the document."""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import frames
from benchmarks.kill import survivors
from benchmarks.measure import Killed, Unmeasured, in_child, scratch
from benchmarks.peers import PEERS, peer
from benchmarks.report import Table, facts

WHO = ("trainlog", "mpacklog", "MCAP", "tensorboardX", "h5py", "JSON lines, orjson, flushed")
ROWS = 1_850
FLIPS = 40
CUTS = 20
_PATIENCE = 40  # seconds until a hanging child is killed
_MARK = "<!-- the table below is written by `python -m benchmarks.durability --write` -->\n"


def log(name: str, folder: str, fault: str) -> dict[str, int]:
    """Log all rows while a fault occurs; return how many calls raised, including ``close``."""
    signal.alarm(_PATIENCE)
    one = peer(name, folder)
    one.open("scalars")
    rows = frames.rows(frames.columns("scalars", ROWS))
    raised = 0
    for i, (now, row) in enumerate(zip(frames.times(ROWS), rows, strict=True)):
        if fault == "full" and i == ROWS // 4:
            _limit(max(path.stat().st_size for path in Path(folder).rglob("*")) + 1000)
        if fault == "full" and i == ROWS // 2:
            _limit(resource.RLIM_INFINITY)
        if fault == "removed" and i == ROWS // 2:
            shutil.rmtree(folder)
        try:
            one.scalars(now, row)
        except Exception:  # noqa: BLE001 - whatever it is, a training loop would have ended
            raised += 1
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        one.close()
    except Exception:  # noqa: BLE001
        raised += 1
    return {"raised": raised}


def _limit(size: int) -> None:
    """Let no file grow beyond *size*, like a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def flip(name: str, folder: str) -> dict[str, int]:
    """Change one byte of the log and read it; return the outcomes for many bytes."""
    signal.alarm(_PATIENCE)
    path = max((path for path in Path(folder).rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    raw = path.read_bytes()
    truth = _columns(name, folder)
    chosen = random.Random(7)
    outcomes: Counter[str] = Counter()
    for _ in range(FLIPS):
        at = chosen.randrange(len(raw))
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << chosen.randrange(8)]) + raw[at + 1 :])
        try:
            outcomes[_outcome(name, folder, path, truth)] += 1
        except Exception:  # noqa: BLE001 - it was noticed, if by chance
            outcomes["noticed"] += 1
    return dict(outcomes)


def _outcome(name: str, folder: str, path: Path, truth: Any) -> str:
    if name == "trainlog":
        import trainlog

        return "noticed" if not trainlog.verify(path).whole else "unnoticed"
    found = _columns(name, folder)
    if found.keys() != truth.keys() or any(len(found[key]) != len(truth[key]) for key in truth):
        return "noticed"
    return "harmless" if all(np.array_equal(found[key], truth[key]) for key in truth) else "unnoticed"


def _columns(name: str, folder: str) -> Any:
    return dict(peer(name, folder).read("scalars"))


def cut(name: str, folder: str) -> dict[str, float]:
    """Truncate the log at many places; return the share of rows before the cut that is read, and any invented rows."""
    signal.alarm(_PATIENCE)
    path = max((path for path in Path(folder).rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    raw = path.read_bytes()
    truth = _columns(name, folder)
    kept, made_up = 0.0, 0
    for n in range(1, CUTS + 1):
        path.write_bytes(raw[: len(raw) * n // (CUTS + 1)])
        rows = 0
        with suppress(Exception):
            rows = peer(name, folder).survivors("scalars")
        with suppress(Exception):  # if its usual reader accepts the file at all, the values are checked
            found = _columns(name, folder)
            right = np.all([found[key] == truth[key][: len(found[key])] for key in truth], axis=0)
            rows = int(right.sum())
            made_up += len(right) - rows
        kept += min(1.0, rows / (ROWS * n // (CUTS + 1))) / CUTS
    return {"kept": kept, "made up": made_up}


def table() -> Table:
    """Faults by peers."""
    names = [name for name in WHO if not PEERS[name].missing()]
    columns = [_column(name) for name in names]
    rows = [[fault, *(column[fault] for column in columns)] for fault in columns[0]]
    return Table(
        "Faults tried, beside other loggers",
        f"{ROWS:,} steps of 20 scalars, logged by each library as it is meant to be used (see "
        "[benchmarks](benchmarks.md)) and read by its own reader. *Raised*: calls that ended a training loop without a "
        "`try` around each. *Wrong*: rows that are returned as data but are not, or only partly, what was logged. MCAP "
        "survives the full disk because it writes nothing in that quarter of the run: its chunk of 1 MB is in memory.",
        ["fault", *names],
        rows,
        words=frozenset(range(len(names) + 1)),
    )


def _column(name: str) -> dict[str, str]:
    found = {}
    for fault, title in {
        "killed": "SIGKILL after the last call",
        "full": "disk full for a quarter of the run",
        "removed": "folder removed halfway",
    }.items():
        with scratch() as folder:
            more = ""
            try:
                raised = in_child(log, name=name, folder=str(folder), fault=fault)["raised"]
                more = f"; {raised:,} raised" if raised else ""
            except Killed:
                pass
            except Unmeasured:
                more = f"; it hung for {_PATIENCE} s and was ended"
            lost = ROWS - _rows(name, folder)
            found[title] = ("nothing lost" if not lost else f"{lost:,} of {ROWS:,} rows lost") + more
    for function, title in {cut: f"file cut at {CUTS} places", flip: f"one bit flipped, {FLIPS} times"}.items():
        with scratch() as folder:
            in_child(log, name=name, folder=str(folder), fault="none")
            try:
                found[title] = _words(in_child(function, name=name, folder=str(folder)))
            except Unmeasured as error:
                found[title] = f"its reader ends: {error}"
    return found


def _rows(name: str, folder: Path) -> int:
    if not folder.exists():
        return 0
    try:
        return int(in_child(survivors, name=name, kind="scalars", folder=str(folder)))
    except (Unmeasured, Killed):
        return 0


def _words(answer: Any) -> str:
    if "kept" in answer:
        more = f"; {answer['made up']:,} rows wrong" if answer["made up"] else ""
        return f"{answer['kept']:.0%} of the rows before the cut read{more}"
    return ", ".join(f"{answer[word]} {word}" for word in ("noticed", "harmless", "unnoticed") if word in answer)


def main() -> None:
    """Measure, print, and put the table into the document if requested."""
    parser = argparse.ArgumentParser("python -m benchmarks.durability", description="Try faults on trainlog's peers.")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table at the end of this document")
    arguments = parser.parse_args()
    about = facts({module for name in WHO for module in PEERS[name].modules})
    text = f"{table()}\n{about}\n"
    print(text)
    if arguments.write:
        before = arguments.write.read_text("utf-8").split(_MARK)[0].rstrip()
        arguments.write.write_text(f"{before}\n\n{_MARK}{text}", "utf-8")


if __name__ == "__main__":
    from benchmarks import durability

    durability.main()  # not the one of __main__, which the children could not import
