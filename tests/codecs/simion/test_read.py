"""Reading RLSimion data files that were made by hand."""

from __future__ import annotations

import math
import struct
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import by_hand_simion as by_hand
import trainlog
from trainlog import Kind
from trainlog.episode import EpisodeType
from trainlog.errors import CorruptLog, DamagedLogWarning, LogNotFound, TruncatedLog, UnknownFormat
from trainlog.testing import FramesOnly, assert_same_table

TWO = by_hand.episode_of([(1.0, 2.0), (3.0, 4.0)]) + by_hand.episode_of([(5.0, 6.0)], kind=1)


def values(path: Path) -> list[list[float]]:
    return [[frame.data["state/x"], frame.data["reward/r"]] for frame in trainlog.open(path).frames("creature")]


def test_frames_of_two_episodes(tmp_path: Path) -> None:
    log = trainlog.open(by_hand.log(tmp_path, by_hand.experiment(2) + TWO))
    assert {file.suffix for file in log.files} == {".log", ".bin"}
    assert log.summary().size == sum(file.stat().st_size for file in tmp_path.iterdir())
    frames = list(log.frames(on_damage="raise"))
    assert [(frame.kind, frame.data.get("type")) for frame in frames] == [
        (Kind.EVENT, "episode_start"),
        (Kind.CREATURE, None),
        (Kind.CREATURE, None),
        (Kind.STATS, None),
        (Kind.EVENT, "episode_end"),
        (Kind.EVENT, "episode_start"),
        (Kind.CREATURE, None),
        (Kind.STATS, None),
        (Kind.EVENT, "episode_end"),
    ]
    assert frames[2] == (
        0.125,
        Kind.CREATURE,
        {
            "step": 2,
            "experiment_real_time": 0.125,
            "episode_sim_time": 0.25,
            "episode_real_time": 0.0625,
            "state/x": 3.0,
            "reward/r": 4.0,
        },
    )
    assert frames[5].data == {
        "type": "episode_start",
        "msg": "training 1",
        "episode": 2,
        "episode_type": "training",
        "index": 1,
        "sub_index": 1,
    }
    assert frames[3].data["mean"] == {"state/x": 2.0, "reward/r": 3.0}
    assert frames[3].data["return"] == 6.0
    for kind in Kind:
        assert list(log.frames(kind)) == [frame for frame in frames if frame.kind == kind]
    assert log.summary().frames == len(frames)
    assert dict(log.summary().kinds[Kind.CREATURE].keys) == dict.fromkeys(frames[2].data, 3)


@pytest.mark.parametrize(
    "which",
    [
        {"time": (0.1, None)},
        {"time": (None, 0.1), "keys": ["reward/r"]},
        {"steps": (2, 3)},
        {"steps": (1, 2), "last": 1},
        {"last": 2, "keys": ["step", "state/x"]},
        {"last": 0},
        {"last": 9},
        {"time": (5.0, 6.0), "keys": ["state/x"]},
    ],
)
def test_some_rows_of_a_table(tmp_path: Path, which: dict[str, Any]) -> None:
    """As by the plain way over frames."""
    log = trainlog.open(by_hand.log(tmp_path, by_hand.experiment(2) + TWO))
    assert_same_table(log.table("creature", **which), FramesOnly(log).table("creature", **which))
    with pytest.raises(KeyError, match="no creature frame has the key 'state/y'; near it: state/x"):
        log.table("creature", keys=["state/y"], last=1)


CLOCKS = st.sampled_from([0.0, 0.5, 1.0, 2.5, -1.0, math.nan, math.inf])
STEPS = st.sampled_from([0, 1, 2, 3, 50, 2**53 + 1])
LIMITS = st.none() | st.tuples(*[st.none() | st.sampled_from([-1.0, 0, 0.5, 1, 2.5, 3, 50, math.inf])] * 2)


@given(
    episodes=st.lists(st.lists(st.tuples(STEPS, CLOCKS), max_size=5), max_size=4),
    repeated=st.integers(1, 4),
    time=LIMITS,
    steps=LIMITS,
    last=st.none() | st.integers(0, 12),
    keys=st.none() | st.lists(st.sampled_from(["step", "state/x", "reward/r", "episode_sim_time"]), max_size=3),
)
def test_any_rows_of_any_steps(
    tmp_path_factory: pytest.TempPathFactory, episodes: list[list[tuple[int, float]]], repeated: int, **which: Any
) -> None:
    """Clocks that step back or are no number, steps in any order, and episodes that are alike."""
    parts = [by_hand.experiment()]
    for rows in episodes:
        block = [by_hand.step(step, (step / 3, clock), real=clock, sim=clock / 2) for step, clock in rows]
        parts += [by_hand.episode(), *block, by_hand.END] * repeated
    log = trainlog.open(by_hand.log(tmp_path_factory.mktemp("any"), b"".join(parts)))
    assert_same_table(log.table("creature", **which), FramesOnly(log).table("creature", **which))


def test_the_last_rows_do_not_keep_the_others(tmp_path: Path) -> None:
    log = trainlog.open(by_hand.log(tmp_path, by_hand.experiment() + by_hand.episode_of([(1.0, 2.0)] * 1000)))
    base = log.table("creature", last=2)["state/x"].base
    assert base is not None
    assert base.nbytes < 1000


def test_names_that_come_twice_are_kept_apart(tmp_path: Path) -> None:
    names = [("State", "beta"), ("Action", "beta"), ("Stat", "a/b"), ("Stat", "a/b"), ("Stat", "a/b#2")]
    data = by_hand.experiment() + by_hand.episode_of([(1.0, 2.0, 3.0, 4.0, 5.0)])
    log = trainlog.open(by_hand.log(tmp_path, data, by_hand.descriptor(names)))
    frame = next(log.frames("creature"))
    assert {key: value for key, value in frame.data.items() if "/" in key} == {
        "state/beta": 1.0,
        "action/beta": 2.0,
        "stat/a/b": 3.0,
        "stat/a/b#2": 4.0,
        "stat/a/b#2#2": 5.0,
    }


@pytest.mark.parametrize("size", [0, 1, 8, 50, 127, 128])
def test_a_run_that_was_killed_at_once(tmp_path: Path, size: int) -> None:
    path = by_hand.log(tmp_path, by_hand.experiment(331)[:size])
    for name in (path, path.with_name(path.name + ".bin")):
        log = trainlog.open(name)
        assert list(log) == []
        assert log.table("creature").rows == 0
        assert list(trainlog.episodes(log)) == []
        assert [gap.size for gap in log.summary().gaps] == ([size] if size % 128 else [])
    assert log.header.meta["episodes_planned"] == (331 if size == 128 else 0)


def test_version_1(tmp_path: Path) -> None:
    """Other names, single samples, no limits, no sub-indices."""
    rows = [by_hand.step(1, (1.0, 0.0)), by_hand.step(26, (2.0, 1.0)), by_hand.step(51, (4.0, 2.0))]
    data = by_hand.experiment(version=1) + by_hand.episode(sub_index=0) + b"".join(rows) + by_hand.END
    (tmp_path / "experiment-log.bin").write_bytes(data)
    (tmp_path / "experiment-log.xml").write_text(
        '<ExperimentLogDescriptor BinaryDataFile="experiment-log.bin"><State-variable>x</State-variable>'
        "<Reward-variable>r</Reward-variable></ExperimentLogDescriptor>"
    )
    for name in ("experiment-log.bin", "experiment-log.xml"):
        log = trainlog.open(tmp_path / name)
        (episode,) = trainlog.episodes(log)
        assert (episode.sub_index, episode.length, episode.averaged) == (0, 51, False)
        assert episode.means() == {"state/x": 7 / 3, "reward/r": 1.0}
        trainlog.convert(log, tmp_path / "a.flog", overwrite=True)
        back = trainlog.convert(tmp_path / "a.flog", tmp_path / "back.simion.log", overwrite=True).target
        assert back.with_name("back.simion.log.bin").read_bytes() == data


def test_version_2_of_before_the_limits_has_single_samples(tmp_path: Path) -> None:
    rows = [by_hand.step(1, (1.0, 0.0)), by_hand.step(26, (2.0, 1.0)), by_hand.step(51, (4.0, 2.0))]
    data = by_hand.experiment() + by_hand.episode() + b"".join(rows) + by_hand.END
    text = by_hand.descriptor().replace(b' Min="-3.14" Max="3.14" Circular="false" Units="m"', b"")
    path = by_hand.log(tmp_path, data, text)
    (episode,) = trainlog.episodes(path)
    assert (episode.averaged, episode.length, episode.means()["state/x"]) == (False, 51, 7 / 3)
    (episode,) = trainlog.episodes(by_hand.log(tmp_path / "later", data))
    assert (episode.averaged, episode.means()["state/x"]) == (True, (1 + 25 * 2 + 25 * 4) / 51)


def test_the_data_files_name_may_be_wrong(tmp_path: Path) -> None:
    text = by_hand.descriptor(binary="elative.simion.log.bin")
    path = by_hand.log(tmp_path, by_hand.experiment() + TWO, text, name="relative")
    assert len(values(path)) == 3
    (tmp_path / "elative.simion.log.bin").write_bytes(by_hand.experiment())
    assert values(path) == []
    assert len(values(path.with_name("relative.simion.log.bin"))) == 3


def test_no_data_and_no_descriptor(tmp_path: Path) -> None:
    path = by_hand.log(tmp_path, by_hand.experiment() + TWO)
    path.unlink()
    data = tmp_path / "a.simion.log.bin"
    with pytest.warns(DamagedLogWarning, match="no descriptor"):
        log = trainlog.open(data)
    assert [variable.key for variable in log.header.variables] == ["stat/column 1", "stat/column 2"]
    assert log.table("creature")["stat/column 2"].tolist() == [2.0, 4.0, 6.0]
    back = trainlog.convert(log, tmp_path / "b.simion.log").target
    assert trainlog.open(back).header.variables == log.header.variables
    path.write_bytes(by_hand.descriptor())
    data.unlink()
    with pytest.raises(LogNotFound, match=r"no 'a.simion.log.bin' next to it"):
        trainlog.open(path)


def test_more_and_fewer_values_than_the_descriptor_names(tmp_path: Path) -> None:
    for count in (1, 3):
        row = tuple(map(float, range(count)))
        path = by_hand.log(tmp_path, by_hand.experiment() + by_hand.episode_of([row]), name=str(count))
        with pytest.warns(DamagedLogWarning, match=f"names 2 variables, but a step has {count} values"):
            log = trainlog.open(path)
        (frame,) = log.frames("creature")
        assert list(frame.data)[4:] == ["state/x", "reward/r", "stat/column 3"][:count]
        table = log.table("creature")
        assert [table[key].tolist() for key in list(table)[4:]] == [[float(i)] for i in range(count)]


def test_episodes_of_different_width(tmp_path: Path) -> None:
    data = by_hand.experiment() + TWO + by_hand.episode_of([(7.0, 8.0, 9.0)]) + by_hand.episode_of([(10.0,)])
    log = trainlog.open(by_hand.log(tmp_path, data))
    table = log.table("creature")
    assert table["state/x"].tolist() == [1.0, 3.0, 5.0, 7.0, 10.0]
    assert np.nan_to_num(table["stat/column 3"], nan=-1.0).tolist() == [-1.0, -1.0, -1.0, 9.0, -1.0]
    trainlog.convert(log, tmp_path / "a.flog")
    back = trainlog.convert(tmp_path / "a.flog", tmp_path / "b.simion.log")
    assert not back.losses
    assert (tmp_path / "b.simion.log.bin").read_bytes() == data


def test_many_episodes_of_one_shape_and_of_others(tmp_path: Path) -> None:
    """The table's reader takes alike episodes at once; blocks end anywhere in them."""
    chance = np.random.default_rng(1)
    parts = [by_hand.experiment()]
    expected: list[list[float]] = []
    for length in [3] * 2000 + [*chance.integers(0, 6, 500)] + [40_000] + [2] * 7 + [0, 0, 0, 1]:
        rows = chance.random((int(length), 2))
        expected += rows.tolist()
        words = np.zeros((int(length), 18))
        words[:, 16:] = rows
        words.view(np.int64)[:, 0] = 3
        words.view(np.int64)[:, 1] = np.arange(1, int(length) + 1)
        parts += [by_hand.episode(), words.tobytes(), by_hand.END]
    log = trainlog.open(by_hand.log(tmp_path, b"".join(parts)))
    table = log.table("creature")
    assert np.stack([table["state/x"], table["reward/r"]], axis=1).tolist() == expected
    assert sum(episode.steps.rows for episode in trainlog.episodes(log)) == len(expected)
    assert log.summary().kinds[Kind.CREATURE].frames == len(expected)


def test_an_episode_without_an_end(tmp_path: Path) -> None:
    data = by_hand.experiment(9) + TWO + by_hand.episode(1, 2) + by_hand.step(1, (7.0, 8.0))
    log = trainlog.open(by_hand.log(tmp_path, data + by_hand.step(2, (9.0, 9.0))[:100]))
    *whole, last = trainlog.episodes(log)
    assert [episode.complete for episode in whole] == [True, True]
    assert (last.complete, last.type, last.index, last.steps.rows) == (False, EpisodeType.TRAINING, 2, 1)
    assert "incomplete" in repr(last)
    with pytest.raises(TruncatedLog, match="100 bytes") as caught:
        list(log.frames(on_damage="raise"))
    assert caught.value.offset == len(data)
    # An episode that begins before another one has ended.
    again = by_hand.log(tmp_path, data + TWO, name="b")
    assert [episode.complete for episode in trainlog.episodes(trainlog.open(again))] == [True, True, False, True, True]


@pytest.mark.parametrize("garbage", [b"\0" * 128, b"\xff" * 999, b"x", bytes(range(2, 250)), struct.pack("<q", 3) * 40])
def test_bytes_that_are_no_record_are_skipped(tmp_path: Path, garbage: bytes) -> None:
    first = by_hand.experiment() + TWO
    path = by_hand.log(tmp_path, first + garbage + TWO)
    with pytest.warns(DamagedLogWarning, match=f"skipped {len(garbage):,} bytes"):
        assert values(path) == values(by_hand.log(tmp_path, by_hand.experiment() + TWO + TWO, name="b"))
    with pytest.raises(CorruptLog) as caught:
        list(trainlog.open(path).frames(on_damage="raise"))
    assert caught.value.offset == len(first)
    conversion = trainlog.convert(path, tmp_path / "a.flog")
    assert [f"{len(garbage):,} bytes that are not a record" in loss for loss in conversion.losses] == [True]


def test_garbage_inside_of_an_episode_and_at_the_end(tmp_path: Path) -> None:
    steps = [by_hand.step(i, (float(i), 0.0)) for i in range(1, 6)]
    steps[2] = b"?" * len(steps[2])
    data = by_hand.experiment() + by_hand.episode() + b"".join(steps) + by_hand.END
    path = by_hand.log(tmp_path, data + b"\0" * 500)
    with pytest.warns(DamagedLogWarning, match=r"skipped .* bytes") as caught:
        assert [row[0] for row in values(path)] == [1.0, 2.0, 4.0, 5.0]
    assert len(caught) == 2
    assert [(gap.size, gap.torn) for gap in trainlog.open(path).summary().gaps] == [(144, False), (500, False)]


@pytest.mark.parametrize("count", [2**60, -1, 2**63 - 1, 65_537])
def test_a_number_of_values_that_cannot_be(tmp_path: Path, count: int) -> None:
    path = by_hand.log(tmp_path, by_hand.experiment() + by_hand.episode(variables=count))
    with pytest.raises(CorruptLog, match=f"{count:,} values each; possible are 0 to 65,536") as caught:
        trainlog.open(path)
    assert caught.value.offset == 128
    later = trainlog.open(
        by_hand.log(tmp_path, by_hand.experiment() + TWO + by_hand.episode(variables=count), name="b")
    )
    frames = later.frames("creature")
    assert [next(frames).data["state/x"] for _ in range(3)] == [1.0, 3.0, 5.0]
    with pytest.raises(CorruptLog, match="values each"):
        next(frames)
    with pytest.raises(CorruptLog, match="values each"):
        later.table("creature")


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(CorruptLog, match="not an RLSimion data file"):
        trainlog.open(by_hand.log(tmp_path, b"x" * 300))
    with pytest.raises(UnknownFormat, match="version 3; versions 1 and 2"):
        trainlog.open(by_hand.log(tmp_path, by_hand.experiment(version=3)))
    (tmp_path / "text.log").write_text("just some text")
    with pytest.raises(UnknownFormat):
        trainlog.open(tmp_path / "text.log")


def test_an_unknown_type_of_episode_is_kept(tmp_path: Path) -> None:
    data = by_hand.experiment() + by_hand.episode_of([(1.0, 2.0)], kind=7)
    log = trainlog.open(by_hand.log(tmp_path, data))
    (episode,) = trainlog.episodes(log)
    assert (episode.type, str(episode.type)) == (7, "type_7")
    trainlog.convert(log, tmp_path / "a.flog")
    trainlog.convert(tmp_path / "a.flog", tmp_path / "b.simion.log")
    assert (tmp_path / "b.simion.log.bin").read_bytes() == data


def test_padding_that_is_not_zero_is_a_loss(tmp_path: Path) -> None:
    step = bytearray(by_hand.step(1, (1.0, 2.0)))
    step[100] = 1
    data = by_hand.experiment() + by_hand.episode() + step + by_hand.END[:50] + b"1" + by_hand.END[51:]
    path = by_hand.log(tmp_path, data)
    assert values(path) == [[1.0, 2.0]]
    conversion = trainlog.convert(path, tmp_path / "a.flog")
    assert list(conversion.losses) == ["the padding of 2 records is not zero, the first at byte 256"]


def test_follows_a_growing_log(tmp_path: Path) -> None:
    data = by_hand.experiment(3) + TWO + TWO
    learned = by_hand.functions() + by_hand.declaration() + by_hand.sample((1.0, 2.0, 3.0, 4.0))
    path = by_hand.log(tmp_path, b"", learned=b"")
    done = threading.Event()
    seen: list[trainlog.Frame] = []
    log = trainlog.open(path)
    thread = threading.Thread(target=lambda: seen.extend(log.frames(wait=trainlog.follow(0.001, until=done.is_set))))
    thread.start()
    with path.with_name(path.name + ".functions").open("ab", buffering=0) as file:
        for start in range(0, len(learned), 50):
            file.write(learned[start : start + 50])
    with path.with_name(path.name + ".bin").open("ab", buffering=0) as file:
        for start in range(0, len(data), 70):
            file.write(data[start : start + 70])
            time.sleep(0.001)
    done.set()
    thread.join(30)
    whole = list(trainlog.open(path).frames())
    steps = [frame.data["step"] for frame in whole if frame.kind == Kind.CREATURE]
    assert [frame.data["step"] for frame in seen if frame.kind == Kind.CREATURE] == steps == [1, 2, 1] * 2
    assert [frame.data["values"] for frame in seen if "values" in frame.data] == [[1.0, 2.0, 3.0, 4.0]]
    assert len(seen) == len(whole)


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    """Windows writes its own code page; the bytes survive a round trip."""
    text = by_hand.descriptor([("State", "posici\u00f3n"), ("Reward", "r")]).decode().encode("cp1252")
    path = by_hand.log(tmp_path, by_hand.experiment() + TWO, text)
    assert [variable.name for variable in trainlog.open(path).header.variables] == ["posición", "r"]
    trainlog.convert(path, tmp_path / "a.flog")
    assert trainlog.convert(tmp_path / "a.flog", tmp_path / "b" / path.name).target.read_bytes() == text


def test_reading_gives_no_warning_of_its_own(tmp_path: Path) -> None:
    path = by_hand.log(tmp_path, by_hand.experiment() + by_hand.episode_of([(float("inf"), float("nan"))] * 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (episode,) = trainlog.episodes(trainlog.open(path))
        assert np.isnan(episode.reward)
        list(trainlog.open(path))
