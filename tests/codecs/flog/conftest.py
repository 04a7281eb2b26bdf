"""What the tests of FLOG share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trainlog.codecs.flog.columns import scanner, sorter
from trainlog.codecs.flog.scanning import chain


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Small blocks, and layouts for few frames: so that a short file goes all the ways that a long one does."""
    patch.setattr(chain, "_BLOCK", 300)
    patch.setattr(chain, "_LARGEST", 3000)
    patch.setattr(scanner, "_ENOUGH", 8)
    patch.setattr(scanner, "_FULL", 900)
    patch.setattr(sorter, "_MANY", 4)
    patch.setattr(sorter, "_MANY_UNLIKE", 8)
    patch.setattr(sorter, "_FEW", 2)
    patch.setattr(sorter, "_WALKED", 1)


@pytest.fixture(scope="module", params=["as it is", "small"])
def sizes(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "small":
            make_small(patch)
        yield
