"""What the how-to shows is run, and comes out as it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import trainlog
from trainlog import Frame, Kind

HOWTO = Path(__file__).parents[3] / "docs" / "howto" / "simion-to-flog.md"


@pytest.fixture
def folder(tmp_path: Path, goldens: Path) -> Path:
    shutil.copytree(goldens / "simion", tmp_path / "runs")
    with trainlog.create(tmp_path / "run.flog", {"creature": "ant"}) as log:
        for i in range(3):
            log.write(Frame(i, Kind.CREATURE, {"pos": [i, i], "torque": 1.0, "reward": -i, "gait": "trot"}))
    scripts = tmp_path / "bin"
    scripts.mkdir()
    (scripts / "trainlog").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m trainlog "$@"\n')
    (scripts / "trainlog").chmod(0o755)
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    path = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_howto_shows(folder: Path) -> None:
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", HOWTO.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ran = 0
    for (language, text), (following, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language == "python":
            assert following == "text"
            assert run([sys.executable, "-c", text], folder) == shown
            ran += 1
        elif language == "console":
            for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                assert run(["sh", "-c", command], folder) == output
                ran += 1
    assert ran == 10
