"""``python -m fuzz TARGET``: until it fails, or for so many seconds. The exit code is 0 when nothing was found."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["trainlog"]):
    from fuzz import targets


def main() -> None:
    parser = argparse.ArgumentParser("python -m fuzz", description="Fuzz trainlog by coverage.")
    parser.add_argument("target", choices=targets.TARGETS)
    parser.add_argument("--seconds", type=int, default=0, help="how long; 0 for ever")
    parser.add_argument("--corpus", type=Path, help="a folder that keeps what was found; a temporary one without")
    parser.add_argument("--again", type=Path, help="run what failed, once more")
    arguments = parser.parse_args()
    target = targets.TARGETS[arguments.target]
    if arguments.again:
        target.run(arguments.again.read_bytes())
        return
    corpus = arguments.corpus or Path(tempfile.mkdtemp(prefix="trainlog-corpus-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for n, seed in enumerate(target.seeds()):
        (corpus / f"seed-{n}").write_bytes(seed)
    limits = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=65536", f"-max_total_time={arguments.seconds}"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, "-print_final_stats=1"], target.run)
    try:
        atheris.Fuzz()
    finally:
        if not arguments.corpus:
            shutil.rmtree(corpus, ignore_errors=True)


if __name__ == "__main__":
    main()
