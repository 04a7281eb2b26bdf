"""Real logs by the original program, against an independent reading of them."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from handmade import Flog
from trainlog import FlogReplay, TrainlogError
from trainlog.errors import DamagedLogWarning, TruncatedLog
from trainlog.scan import Scan
from trainlog.testing import FramesOnly, assert_same_table

PARTS = ("", ".bin", ".functions")


OURS = "the one beside these tests"


@pytest.fixture(params=[OURS, "01-double-pendulum-cacla", "02-swingup-sarsa", "09-raincar-special-name", "10d-sigkill"])
def real(request: pytest.FixtureRequest, goldens: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    folder = goldens / "simion"
    if request.param != OURS:
        real_logs: Path = request.getfixturevalue("real_logs")
        folder = next((real_logs / "simion").glob(f"{request.param}*"))
    with warnings.catch_warnings():
        if request.param == OURS or "special-name" in request.param:
            warnings.simplefilter("ignore", DamagedLogWarning)
        yield next(folder.glob("*.log")), json.loads((folder / "groundtruth.json").read_text())


def test_episodes_are_the_truth(real: tuple[Path, dict[str, Any]]) -> None:
    path, truth = real
    log = trainlog.open(path)
    found = list(trainlog.episodes(log))
    assert len(found) == truth["bin"]["episodesPresent"]
    assert sum(episode.complete for episode in found) == truth["bin"]["completeEpisodes"]
    for episode, expected in zip(found, truth["bin"]["episodes"], strict=True):
        assert (episode.type, episode.index, episode.sub_index, episode.complete, episode.steps.rows) == tuple(
            expected[key] for key in ("type", "index", "subIndex", "complete", "numSteps")
        )
        keys = [variable.key for variable in log.header.variables]
        for row, name in ((0, "firstStep"), (-1, "lastStep")):
            step = expected[name]
            assert episode.steps["step"][row] == step["stepIndex"]
            assert episode.steps["experiment_real_time"][row] == episode.steps.time[row] == step["experimentRealTime"]
            assert episode.steps["episode_sim_time"][row] == step["episodeSimTime"]
            assert episode.steps["episode_real_time"][row] == step["episodeRealTime"]
            assert [episode.steps[key][row] for key in keys] == step["values"]
        gaps, counts = np.unique(np.diff(episode.steps["step"]), return_counts=True)
        assert {str(gap): count for gap, count in zip(gaps, counts, strict=True)} == expected["stepIndexGaps"]
        for statistic, which in ((np.mean, "means"), (np.min, "mins"), (np.max, "maxs")):
            np.testing.assert_allclose([statistic(episode.steps[key]) for key in keys], expected[which], rtol=1e-12)
        means = episode.means(circular=False)
        assert list(means) == keys
        np.testing.assert_allclose(list(means.values()), expected["stepWeightedMeans"], rtol=1e-12, atol=1e-15)
        plain = episode.means(circular=False, weighted=False)
        np.testing.assert_allclose(list(plain.values()), expected["means"], rtol=1e-12, atol=1e-15)


def test_header_and_descriptor_are_the_truth(real: tuple[Path, dict[str, Any]]) -> None:
    path, truth = real
    said = truth["descriptor"]
    for part in PARTS:
        header = trainlog.open(path.with_name(path.name + part)).header
        assert header.meta["scene"] == said["SceneFile"]
        assert header.meta["episodes_planned"] == truth["bin"]["header"]["numEpisodes"]
        assert [
            (variable.role, variable.name, variable.unit, variable.low, variable.circular)
            for variable in header.variables
        ] == [
            (
                one["kind"].lower(),
                one["name"],
                one.get("units", ""),
                float(one["min"]) if "min" in one else None,
                one.get("circular") == "true",
            )
            for one in said["variables"]
        ]
        assert len({variable.key for variable in header.variables}) == said["numVariables"]


def test_summary_says_what_is_unfinished(real: tuple[Path, dict[str, Any]]) -> None:
    path, truth = real
    summary = trainlog.open(path).summary()
    tail = truth["bin"]["trailingBytes"]
    assert summary.kinds[trainlog.Kind.CREATURE].frames == truth["bin"]["totalSteps"]
    assert [(gap.offset, gap.size, gap.torn) for gap in summary.gaps] == (
        [(truth["bin"]["size"] - tail, tail, True)] if tail else []
    )
    if tail:
        with pytest.raises(TruncatedLog) as caught:
            list(trainlog.open(path).frames(on_damage="raise"))
        assert caught.value.offset == truth["bin"]["size"] - tail


def test_table_is_the_frames(real: tuple[Path, dict[str, Any]]) -> None:
    log = trainlog.open(real[0])
    table = log.table("creature")
    frames = list(log.frames("creature"))
    assert table.time.tolist() == [frame.time for frame in frames]
    assert list(table) == list(frames[0].data)
    for key in table:
        assert table[key].tolist() == [frame.data[key] for frame in frames]
    assert [frame for frame in log.frames() if frame.kind == trainlog.Kind.CREATURE] == frames
    some = log.table("creature", keys=[list(table)[4], "step"])
    assert list(some) == [list(table)[4], "step"]
    assert all((some[key] == table[key]).all() for key in some)
    assert (some.time == table.time).all()


def test_some_rows_and_columns_are_those_of_the_frames(real: tuple[Path, dict[str, Any]]) -> None:
    log = trainlog.open(real[0])
    whole = log.table("creature")
    early, late = np.quantile(whole.time, [0.4, 0.5]).tolist()
    key = list(whole)[-1]
    for rows in (
        {"time": (early, late)},
        {"steps": (2, int(np.median(whole["step"]))), "keys": [key, "step"]},
        {"time": (early, None), "last": 7, "keys": [key]},
    ):
        assert_same_table(log.table("creature", **rows), FramesOnly(log).table("creature", **rows))


def test_batches_and_positions_are_those_of_the_frames(real: tuple[Path, dict[str, Any]]) -> None:
    """Each batch is read by a scan after the one before."""
    log = trainlog.open(real[0])
    expected: dict[trainlog.Kind, list[tuple[int, float]]] = {}
    for number, frame in enumerate(log.frames()):
        expected.setdefault(frame.kind, []).append((number, frame.time))
    for batch_rows in (1000, 20_000):
        found: dict[trainlog.Kind, list[tuple[int, float]]] = {}
        position, count = None, -1
        while sum(map(len, found.values())) > count:
            count = sum(map(len, found.values()))
            batch = next(log.scan(Scan(after=position, batch_rows=batch_rows)))
            position = batch.position
            rows = zip(batch.order.tolist(), batch.table.time.tolist(), strict=True)
            found.setdefault(batch.table.kind, []).extend(rows)
        assert found == expected


def test_function_samples_are_the_truth(real: tuple[Path, dict[str, Any]]) -> None:
    path, truth = real
    told = [frame.data for frame in trainlog.open(path).frames("event") if frame.data["type"] == "function_sample"]
    expected = truth["functions"].get("samples", [])
    assert len(told) == len(expected)
    for data, one in zip(told, expected, strict=True):
        assert (data["id"], data["episode"], data["step"], data["experiment_step"]) == (
            *(one[key] for key in ("id", "episode", "step", "experimentStep")),
        )
        values = np.array(data["values"])
        assert (values.size, values[0], values[-1], values.min(), values.max()) == (
            *(one[key] for key in ("numValues", "first", "last", "min", "max")),
        )


def test_through_flog_and_back_to_the_same_bytes(real: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    path, truth = real
    there = trainlog.convert(path, tmp_path / "a.flog")
    assert not there.losses
    for source, folder in ((tmp_path / "a.flog", "back"), (path, "copied")):
        again = trainlog.convert(source, tmp_path / folder / path.name)
        assert not again.losses
        for part in PARTS:
            copy = tmp_path / folder / (path.name + part)
            assert copy.read_bytes() == path.with_name(path.name + part).read_bytes()
    renamed = trainlog.convert(tmp_path / "a.flog", tmp_path / "b.simion.log").target
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log = trainlog.open(renamed)
    assert log.header.variables == trainlog.open(path).header.variables
    assert (tmp_path / "b.simion.log.bin").read_bytes() == path.with_name(path.name + ".bin").read_bytes()
    replay = FlogReplay(tmp_path / "a.flog")
    _, frames = Flog.read((tmp_path / "a.flog").read_bytes())
    assert {kind for _, kind, _ in frames} == {2, 3, 4}
    assert len(frames) == there.frames == again.frames
    assert (replay.n_physics, replay.n_stats) == (truth["bin"]["totalSteps"], truth["bin"]["episodesPresent"])
    assert replay.creature == truth["descriptor"]["SceneFile"].removesuffix(".scene")
    ours, theirs = (list(trainlog.episodes(trainlog.open(one))) for one in (path, tmp_path / "a.flog"))
    assert [episode.summary() for episode in ours] == [episode.summary() for episode in theirs]
    assert [frame["return"] for frame in replay.stats_frames()] == [episode.total_reward for episode in ours]


def test_cut_anywhere(real: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """A bounded version; the full one cuts at every byte of the first 3 KB and at 500 places after them."""
    path, _ = real
    whole = {part: path.with_name(path.name + part).read_bytes() for part in PARTS}
    expected = list(trainlog.open(path).frames("creature"))
    chance = random.Random(0)
    for part, content in whole.items():
        cuts = chance.sample(range(min(3000, len(content))), min(25, len(content)))
        cuts += [chance.randrange(len(content)) for _ in range(4)] if content else []
        for cut in cuts:
            copy = tmp_path / "a.simion.log"
            for name, bytes_ in whole.items():
                copy.with_name(copy.name + name).write_bytes(bytes_[:cut] if name == part else bytes_)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DamagedLogWarning)
                try:
                    found = list(trainlog.open(copy).frames("creature"))
                except TrainlogError:
                    continue
            assert len(found) <= len(expected)
            ours = [list(frame.data.values()) for frame in found]
            assert ours == [list(frame.data.values()) for frame in expected[: len(found)]]
            if part != ".bin":
                assert len(found) == len(expected)
