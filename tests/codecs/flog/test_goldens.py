"""Golden logs: a small binary beside its meaning. They never write themselves; a missing one fails."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

import trainlog
from trainlog import TrainlogError
from trainlog.errors import DamagedLogWarning
from trainlog.testing import same

NAMES = [
    *["empty", "header_only", "hole", "json", "phase", "plain", "strings_for_numbers", "torn_header", "torn_payload"],
    *["unknown_kinds", "values"],
]


def meaning(path: Path) -> dict[str, Any]:
    def floats(pairs: list[tuple[str, Any]]) -> Any:
        return float(pairs[0][1]) if [key for key, _ in pairs] == ["float"] else dict(pairs)

    golden: dict[str, Any] = json.loads(path.with_suffix(".json").read_text("utf-8"), object_pairs_hook=floats)
    return golden


def read(path: Path) -> list[tuple[float, int, dict[Any, Any]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedLogWarning)
        return [(frame.time, int(frame.kind), dict(frame.data)) for frame in trainlog.open(path)]


def test_the_list_is_complete(goldens: Path) -> None:
    assert sorted(path.stem for path in (goldens / "flog").glob("*.flog")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_means_what_it_says(goldens: Path, name: str) -> None:
    path = goldens / "flog" / f"{name}.flog"
    expected = meaning(path)
    log = trainlog.open(path)
    assert log.header.meta == expected["meta"]
    assert log.header.phase == expected["phase"]
    assert same(read(path), expected["frames"])


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_cut_at_every_byte(goldens: Path, tmp_path: Path, name: str) -> None:
    """The cut log gives a prefix of the frames, or a typed error; and a longer one never gives fewer."""
    source = goldens / "flog" / f"{name}.flog"
    whole, expected = source.read_bytes(), meaning(source)["frames"]
    path = tmp_path / "cut.flog"
    most = 0
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        try:
            frames = read(path)
        except TrainlogError:
            assert most == 0
            continue
        assert same(frames, expected[: len(frames)]), f"cut at byte {cut}"
        assert len(frames) >= most
        most = len(frames)
