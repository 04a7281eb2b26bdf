"""The processes that the tests of this folder run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.preload import build
from faults.processes import Processes


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Processes with the preloaded library."""
    folder = tmp_path_factory.mktemp("processes")
    with Processes(folder, build(folder)) as running:
        yield running
