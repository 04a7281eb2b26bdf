"""Servers for tests, and folders for them to serve."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from served import Site
from trainlog.server.app import create_app


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def start(*roots: Path, **options: Any) -> Site:
        sites.append(Site(create_app(roots, scan_every=0.05, **options)))
        return sites[-1]

    yield start
    for site in sites:
        site.close()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty folder of runs, inside another one that nobody may see."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def simion(real_logs: Path, runs: Path) -> str:
    """A real RLSimion log in the folder of runs: its path there."""
    source = real_logs / "simion" / "02-swingup-sarsa"
    (runs / "pendulum").mkdir()
    for file in source.glob("*.simion.log*"):
        shutil.copyfile(file, runs / "pendulum" / file.name)
    return "pendulum/swingup-pendulum-sarsa-tile-coding.simion.log"
