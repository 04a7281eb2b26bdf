"""``python -m benchmarks``: all topics, or one of them."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import re
import time
from pathlib import Path

from benchmarks.measure import FULL, QUICK
from benchmarks.peers import PEERS
from benchmarks.report import Table, facts

TOPICS = (
    *("imports", "begin", "write", "path", "kill", "read", "grow", "columns", "varying", "simion", "events", "plot"),
    *("environments", "physics", "gate", "runs", "remote", "upload"),
)

_LARGE = 4 * 10**9

_HEAD = """# Benchmarks

Written by `make bench`, never by hand. All figures of a table come from one run, so the ratios can be trusted further
than the times. *To trainlog* is how many times as long as trainlog: above 1 trainlog is faster, below 1 the peer is.
Each benchmark compares the values that it wrote with those that it read, and says what it compared; no figure is given
where they differ.

Ratios travel from machine to machine only where both sides are bound by the same thing. A loop of Python is bound by
the core; columns of numbers, `np.fromfile` and Parquet are bound by memory. On an AMD EPYC with two cores, creature
columns came at 31 to 45 times the speed of the plain loop, and at half the speed of `np.fromfile`; on an Intel Xeon
with two cores at 16 to 17 times, and at 34 to 37 % of it; conversion of RLSimion logs at 11 and at 5.5 times the
packing loop. So the columns are measured beside a floor of the same run: reading all bytes and copying as many numbers.
"""


def main() -> None:
    """Measure, print, and write the report if requested."""
    arguments = _arguments()
    scale = QUICK if arguments.quick else FULL
    if arguments.large:
        scale = dataclasses.replace(scale, sizes=(*scale.sizes, _LARGE))
    began = time.monotonic()
    parts = [] if arguments.only else [str(_who())]
    print(_HEAD, *parts, sep="\n", flush=True)
    distributions = {"numpy", "ormsgpack", "trainlog"}
    for name in [arguments.only] if arguments.only else TOPICS:
        topic = importlib.import_module(f"benchmarks.{name}")
        distributions |= getattr(topic, "DISTRIBUTIONS", {one for peer in PEERS.values() for one in peer.modules})
        for table in topic.tables(scale):
            parts.append(str(table))
            print(parts[-1], flush=True)
    about = f"{facts(distributions)}\n- **Took**: {time.monotonic() - began:.0f} s\n"
    print(about)
    if arguments.write and arguments.only:
        text = arguments.write.read_text(encoding="utf-8")
        arguments.write.write_text(_replaced(text, parts, about), encoding="utf-8")
    elif arguments.write:
        arguments.write.write_text("\n".join([_HEAD, about, *parts]), encoding="utf-8")
    if any("failed: " in part for part in parts):
        raise SystemExit("a benchmark failed; see its table")


def _replaced(text: str, tables: list[str], about: str) -> str:
    """The report *text* with *tables* replacing those of the same titles, or appended at the end."""
    start = re.search(r"^## ", text, re.MULTILINE)
    head, body = (text, "") if start is None else (text[: start.start()], text[start.start() :])
    sections = {one.partition("\n")[0]: one.rstrip() for one in re.split(r"^(?=## )", body, flags=re.MULTILINE) if one}
    sections |= {one.partition("\n")[0]: f"{one}\nMeasured by itself:\n\n{about.rstrip()}" for one in tables}
    return head + "\n\n".join(sections.values()) + "\n"


def _who() -> Table:
    rows = [[one.name, one.usage, one.promise or "no logger: a file for reading"] for one in PEERS.values()]
    return Table("The peers", "", ["peer", "usage", "what is left when the process dies"], rows, frozenset([1, 2]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure trainlog beside its peers.")
    parser.add_argument("--quick", action="store_true", help="small sizes, one run each: to see that it works")
    parser.add_argument("--large", action="store_true", help="also open a file of 4 GB; the disk must hold it")
    parser.add_argument("--only", choices=TOPICS, metavar="NAME", help=f"one topic: {', '.join(TOPICS)}")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write all of it, or the one topic, as Markdown")
    arguments = parser.parse_args()
    if arguments.write and arguments.quick:
        parser.error("--write is for a run without --quick")
    return arguments


if __name__ == "__main__":
    main()
