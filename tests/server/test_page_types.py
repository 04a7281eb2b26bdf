"""The types of the page's JavaScript, as its comments declare them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_the_types_of_the_page_fit() -> None:
    """Of all its files, strictly; `make page-tools` installs the compiler."""
    own = HERE.parents[1] / ".page-tools" / "node_modules" / ".bin" / "tsc"
    compiler = os.environ.get("TRAINLOG_TSC") or (str(own) if own.exists() else shutil.which("tsc"))
    if compiler is None:
        pytest.skip("there is no TypeScript compiler here (make page-tools)")
    done = subprocess.run(
        [compiler, "-p", str(HERE / "tsconfig.json")], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout
