"""What the tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from faulty_storage import FaultyStorage

hypothesis.settings.register_profile(
    "trainlog", deadline=None, max_examples=60, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("trainlog")

HERE = Path(__file__).parent

# The logs of the tests are alike, whatever is changed in the working folder; also those of processes that they start.
os.environ["TRAINLOG_PROVENANCE"] = "no-patch"
for name in ("TRAINLOG_MODE", "TRAINLOG_DIR"):
    os.environ.pop(name, None)

# The threads of BLAS take a third of the time in which numpy is imported, and the tests start hundreds of processes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Where the tests run in the background of a shell, this signal is ignored, also by the processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("TRAINLOG_NIGHTLY"):
        for item in items:
            if item.get_closest_marker("nightly"):
                item.add_marker(pytest.mark.skip(reason="it starts a heavy engine; TRAINLOG_NIGHTLY=1 runs it"))


@pytest.fixture(scope="session")
def real_logs() -> Path:
    """A folder of real logs by the original programs, with their ground truth; not part of this project."""
    folder = Path(os.environ.get("TRAINLOG_REAL_LOGS", HERE.parents[1] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("there are no real logs here; TRAINLOG_REAL_LOGS names their folder")
    return folder


@pytest.fixture(scope="session")
def goldens() -> Path:
    return HERE / "data"


@pytest.fixture
def make(tmp_path: Path) -> Callable[[Sequence[bytes] | bytes], Path]:
    """Write bytes to a new file that is named like a FLOG file."""
    count = 0

    def write(parts: Sequence[bytes] | bytes) -> Path:
        nonlocal count
        count += 1
        path = tmp_path / f"made-{count}.flog"
        path.write_bytes(parts if isinstance(parts, bytes) else b"".join(parts))
        return path

    return write


@pytest.fixture
def storage() -> Iterator[type[FaultyStorage]]:
    """An empty object storage, ``faulty://``, and nothing known of any."""
    pytest.importorskip("fsspec")
    from faulty_storage import FaultyStorage
    from trainlog.storage.remote import forget

    FaultyStorage.reset()
    forget()
    yield FaultyStorage
    FaultyStorage.reset()
    forget()
