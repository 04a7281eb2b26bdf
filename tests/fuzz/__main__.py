"""``python -m fuzz [TARGET...]``: each target until it fails, or for a number of seconds.

The exit code is 0 if nothing is found.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["trainlog"]):
    from fuzz import targets


def main() -> None:
    parser = argparse.ArgumentParser("python -m fuzz", description="Fuzz trainlog by coverage.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(targets.TARGETS)}; by default all")
    parser.add_argument("--seconds", type=int, default=0, help="for each target; 0 means forever")
    parser.add_argument("--corpus", type=Path, help="a folder that keeps what was found; a temporary one without")
    parser.add_argument("--again", type=Path, help="run what failed, once more")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(targets.TARGETS):
        parser.error(f"there is no target {min(unknown)}")
    if arguments.again:
        targets.TARGETS[arguments.targets[0]].run(arguments.again.read_bytes())
        return
    for name in arguments.targets or targets.TARGETS:
        # Atheris exits when a target is done. A fork costs less than instrumenting all modules again.
        if child := os.fork():
            if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
                sys.exit(f"{name} failed with exit code {code}")
        else:
            fuzz(targets.TARGETS[name], arguments.seconds, arguments.corpus)
            os._exit(0)


def fuzz(target: targets.Target, seconds: int, kept: Path | None) -> None:
    corpus = kept or Path(tempfile.mkdtemp(prefix="trainlog-corpus-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for n, seed in enumerate(target.seeds()):
        (corpus / f"seed-{n}").write_bytes(seed)
    limits = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=65536", f"-max_total_time={seconds}"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, "-print_final_stats=1"], target.run)
    try:
        atheris.Fuzz()
    finally:
        if not kept:
            shutil.rmtree(corpus, ignore_errors=True)


if __name__ == "__main__":
    main()
