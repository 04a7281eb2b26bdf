"""What fuzzing by coverage has found, and some seconds more of it; `make fuzz` is for longer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TARGETS = 9
SECONDS = os.environ.get("TRAINLOG_FUZZ_SECONDS", "3")

# Without atheris, and in a process of its own, as targets change limits and constants.
CORPUS = """
from fuzz.targets import DATA, TARGETS
for name, target in TARGETS.items():
    files = sorted((DATA / "fuzz" / name).iterdir())
    assert files, name
    for file in files:
        print(file, flush=True)
        target.run(file.read_bytes())
"""


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_nothing_is_found_in_the_corpus(tmp_path: Path) -> None:
    for module in ("pyarrow", "zstandard", "crc32c"):
        pytest.importorskip(module)
    done = run("-c", CORPUS, folder=tmp_path)
    assert done.returncode == 0, f"{done.stdout[-300:]}\n{done.stderr[-4000:]}"


@pytest.mark.timeout(600)
def test_nothing_is_found(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed (the dependency group fuzz)")
    done = run("-m", "fuzz", "--seconds", SECONDS, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("Done ") == TARGETS
