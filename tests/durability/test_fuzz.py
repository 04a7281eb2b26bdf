"""Some seconds of fuzzing by coverage; `make fuzz` is for longer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris", reason="atheris is not installed (the dependency group fuzz)")

ROOT = Path(__file__).parents[1]
SECONDS = os.environ.get("TRAINLOG_FUZZ_SECONDS", "3")


@pytest.mark.parametrize("target", ["flog", "header", "seals", "index", "archive", "parquet", "simion", "expression"])
def test_nothing_is_found(target: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fuzz", target, "--seconds", SECONDS]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
