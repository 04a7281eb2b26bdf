"""The page's JavaScript: its types, as comments declare them, and its addresses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


STATIC = HERE.parents[1] / "src" / "trainlog" / "server" / "static"


def test_all_addresses_are_relative() -> None:
    """A proxy, as Jupyter has one, serves the page at another place than the root."""
    for file in STATIC.iterdir():
        assert not re.search(r"""["'`]/(api|static)/""", file.read_text(encoding="utf-8")), file.name


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
