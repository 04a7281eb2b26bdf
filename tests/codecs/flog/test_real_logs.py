"""Real logs by the original trainer, against what the original reader says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from trainlog import FlogReplay, Kind
from trainlog.errors import TruncatedLog
from trainlog.testing import same

KINDS = {"evolution": Kind.EVOLUTION, "training": Kind.STATS, "event": Kind.EVENT, "creature": Kind.CREATURE}
TYPES = {int: "int", float: "float", str: "str", bool: "bool", list: "list", dict: "dict", type(None): "NoneType"}


def logs(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    found = sorted((folder / "flog").glob("*.truth.json"))
    assert found
    return [(path.with_name(path.name.replace(".truth.json", ".bin")), json.loads(path.read_text())) for path in found]


def test_each_reads_to_its_truth(real_logs: Path) -> None:
    for path, truth in logs(real_logs):
        log = trainlog.open(path)
        framing = truth["framing"]
        assert log.header.meta == truth["meta"]
        assert log.header.phase == framing["phase"]
        summary = log.summary()
        assert summary.size == truth["size"]
        assert summary.frames == truth["total_frames"] == framing["complete_frames"]
        assert {str(int(kind)): (span.frames, span.size) for kind, span in summary.kinds.items()} == {
            kind: (sizes["n"], sizes["sum"]) for kind, sizes in framing["payload_size"].items()
        }
        torn = framing["tail_bytes"]
        assert [(gap.offset, gap.size, gap.torn) for gap in summary.gaps] == (
            [(framing["end_of_last_complete_frame"], torn, True)] if torn else []
        )
        for name, kind in KINDS.items():
            frames = list(log.frames(kind))
            expected = truth["types"].get(name, {"count": 0})
            assert len(frames) == expected["count"]
            if not frames:
                continue
            for frame, key in ((frames[0], "first"), (frames[-1], "last")):
                assert frame.time == expected[key]["timestamp"]
                assert same(dict(frame.data), expected[key]["data"])
            keys = list(dict.fromkeys(key for frame in frames for key in frame.data))
            assert keys == expected["keys_first_seen_order"]
            for key, types in expected["value_types"].items():
                got: dict[str, int] = {}
                for frame in frames:
                    if key in frame.data:
                        spelt = TYPES[type(frame.data[key])]
                        got[spelt] = got.get(spelt, 0) + 1
                bare: dict[str, int] = {}
                for spelt, count in types.items():  # the truth says more: list[float], float:inf
                    one = spelt.split("[")[0].split(":")[0]
                    bare[one] = bare.get(one, 0) + count
                assert got == bare, (path, key)


def test_replay_says_what_the_original_says(real_logs: Path) -> None:
    for path, truth in logs(real_logs):
        replay = FlogReplay(path)
        names = ["creature", "task", "skill", "total_frames", "n_physics", "n_stats", "n_events", "n_evolution"]
        assert {name: getattr(replay, name) for name in names} == {name: truth[name] for name in names}
        assert replay.duration_s == truth["duration_s"]


def test_the_original_servers_answer_can_be_made_of_it(real_logs: Path) -> None:
    answer = json.loads((real_logs / "flog" / "a_go2_ball.analyze.json").read_text())
    replay = FlogReplay(real_logs / "flog" / "a_go2_ball.bin")
    for row, expected in zip(replay.stats_frames(), answer["stats"], strict=True):
        assert expected.keys() <= row.keys()
        for key, value in expected.items():  # the server rounds
            assert row[key] == (pytest.approx(value, abs=1e-3) if isinstance(value, float) else value), key
    table = replay.reader.table("creature")
    assert answer["physics_summary"]["count"] == table.rows
    assert np.isclose(table["speed"].max(), answer["physics_summary"]["max_speed"], atol=1e-3)


def test_the_killed_one_ends_quietly_and_strictly_says_where(real_logs: Path) -> None:
    path = real_logs / "flog" / "c_go2_hilly_sigkill.bin"
    with pytest.raises(TruncatedLog) as caught:
        list(trainlog.open(path).frames(on_damage="raise"))
    assert (caught.value.path, caught.value.offset) == (path, 507_870)
