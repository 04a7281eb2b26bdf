"""Writing RLSimion logs: the bytes, and what happens to what they cannot hold."""

from __future__ import annotations

import gc
import math
import os
import resource
import signal
import struct
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import by_hand_simion as by_hand
import trainlog
from trainlog import Frame, Header, Kind, Variable
from trainlog.codecs.simion import SimionCodec, SimionReader
from trainlog.errors import CodecError, LogExists, LogWriteError, LogWriteWarning, UnsupportedFrame
from trainlog.table.column import ABSENT, VALUE, Column
from trainlog.table.table import Table
from trainlog.testing import CodecContract

COLUMNS = (Variable("x", "state", "m", -3.14, 3.14, key="state/x"), Variable("r", "reward", key="reward/r"))


def start(time: float = 0.0, **more: Any) -> Frame:
    return Frame(time, Kind.EVENT, {"type": "episode_start", "episode_type": "evaluation", **more})


def step(index: int, x: float, r: float = 0.0) -> Frame:
    clocks = {"experiment_real_time": index / 8, "episode_sim_time": index / 4, "episode_real_time": index / 16}
    return Frame(index / 8, Kind.CREATURE, {"step": index, **clocks, "state/x": x, "reward/r": r})


def end(time: float = 0.0) -> Frame:
    return Frame(time, Kind.EVENT, {"type": "episode_end"})


def bytes_of(path: Path) -> bytes:
    return path.with_name(path.name + ".bin").read_bytes()


class TestContract(CodecContract):
    """The events and the statistics of an RLSimion log follow from its steps, so that their frames are given."""

    codec = SimionCodec()
    which = {"episode": 1, "episode_type": "evaluation", "index": 3, "sub_index": 2}  # noqa: RUF012
    frames: Sequence[Frame] = (
        Frame(0.0, Kind.EVENT, {"type": "episode_start", "msg": "evaluation 3.2", **which}),
        step(1, 0.5, -1.0),
        step(3, 1.5, math.inf),
        step(4, 5e-324, 1e300),
    )
    gaps = ()  # every step has every variable
    unsupported = Frame(3.0, Kind.CREATURE, {**step(5, 0.0).data, "state/x": "far"})

    @pytest.fixture(autouse=True)
    def _header(self, tmp_path: Path) -> None:
        path = by_hand.log(tmp_path / "model", by_hand.experiment(3), name="log")
        type(self).header = trainlog.open(path).header  # type: ignore[misc]

    def _path(self, folder: Path) -> Path:
        return folder / "log.simion.log"

    def test_cut_anywhere(self, tmp_path: Path) -> None:
        """The cuts are made in the data file."""
        path = self._written(tmp_path)
        data = path.with_name(path.name + ".bin")
        whole = data.read_bytes()
        counts = []
        for cut in range(len(whole)):
            data.write_bytes(whole[:cut])
            back = list(self.codec.read(data).frames())
            assert back == list(self.frames[: len(back)])
            counts.append(len(back))
        assert counts == sorted(counts)


def test_the_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    path = tmp_path / "a.simion.log"
    with trainlog.create(path, {"scene": "Rain-car.scene"}, variables=COLUMNS) as log:
        log.write_all([start(), step(1, 1.0, 2.0), step(2, 3.0, 4.0), end()])
        log.write_all([start(index=9, sub_index=4, episode_type="training"), step(1, 5.0), end()])
    expected = [by_hand.experiment(2), by_hand.episode()]
    expected += [
        by_hand.step(i, row, real=i / 8, sim=i / 4, since=i / 16) for i, row in ((1, (1.0, 2.0)), (2, (3.0, 4.0)))
    ]
    expected += [by_hand.END, by_hand.episode(1, 9, 2, 4)]
    expected += [by_hand.step(1, (5.0, 0.0), real=1 / 8, sim=1 / 4, since=1 / 16), by_hand.END]
    assert bytes_of(path) == b"".join(expected)
    assert path.read_text() == (
        '<ExperimentLogDescriptor BinaryDataFile="a.simion.log.bin" SceneFile="Rain-car.scene">\n'
        '  <Episode-Type Id="0">Evaluation</Episode-Type>\n'
        '  <Episode-Type Id="1">Training</Episode-Type>\n'
        '  <State-variable Min="-3.14" Max="3.14" Circular="false" Units="m">x</State-variable>\n'
        "  <Reward-variable>r</Reward-variable>\n"
        "</ExperimentLogDescriptor>"
    )
    assert not path.with_name("a.simion.log.functions").exists()


def test_names_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / 'a & "b" <c>.simion.log'
    columns = (Variable('x & "y" <z>', "state", "m & s", 0.0, 1.0), Variable("'r'", "reward"))
    trainlog.create(path, variables=columns).close()
    log = trainlog.open(path)
    assert [(one.name, one.unit) for one in log.header.variables] == [(one.name, one.unit) for one in columns]


def test_the_count_of_episodes_is_right_at_the_end_of_each(tmp_path: Path) -> None:
    path = tmp_path / "a.simion.log"
    with trainlog.create(path, variables=COLUMNS) as log:
        for count in range(1, 4):
            log.write_all([start(), step(1, 1.0)])
            assert struct.unpack_from("<q", bytes_of(path), 16) == (count - 1,)
            log.write(end())
            assert struct.unpack_from("<q", bytes_of(path), 16) == (count,)


def test_a_killed_run_leaves_every_step(tmp_path: Path) -> None:
    path = tmp_path / "a.simion.log"
    code = (
        "import os, sys, signal, trainlog\n"
        "from trainlog import Frame, Kind, Variable\n"
        "log = trainlog.create(sys.argv[1], variables=[Variable('x', 'state'), Variable('r', 'reward')])\n"
        "for i in range(25):\n"
        "    if i % 10 == 0:\n"
        "        log.write(Frame(i, Kind.EVENT, {'type': 'episode_start'}))\n"
        "    log.write(Frame(i, Kind.CREATURE, {'step': i % 10 + 1, 'x': i, 'r': 1.0}))\n"
        "    if i % 10 == 9:\n"
        "        log.write(Frame(i, Kind.EVENT, {'type': 'episode_end'}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    log = trainlog.open(path)
    assert [(one.complete, one.steps.rows) for one in trainlog.episodes(log)] == [(True, 10), (True, 10), (False, 5)]
    assert log.header.meta["episodes_planned"] == 2
    assert log.table("creature")["state/x"].tolist() == list(range(25))


def test_a_log_that_is_emptied_while_it_is_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.simion.log"
    with trainlog.create(path, variables=COLUMNS) as log:
        log.write_all([start(), step(1, 0.5), end()])
        os.truncate(tmp_path / "a.simion.log.bin", 0)
        with pytest.warns(LogWriteWarning, match="was cut while it was written"):
            log.write_all([start(), step(1, 1.5), end()])
    assert trainlog.open(path).table("creature")["state/x"].tolist() == [1.5]


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_log_that_is_gone_while_it_is_written_is_written_again(tmp_path: Path, how: str) -> None:
    path, other = tmp_path / "a.simion.log.bin", b"of another program" * 9
    log = trainlog.create(tmp_path / "a.simion.log", variables=COLUMNS)
    log.write_all([start(), step(1, 0.5), end()])
    whole = path.read_bytes()
    path.rename(tmp_path / "moved")
    if how == "deleted":
        (tmp_path / "moved").unlink()
    if how == "replaced":
        path.write_bytes(other)
    with pytest.warns(LogWriteWarning, match="was deleted|was moved or replaced"):
        log.write_all([start(), step(1, 1.5), end()])
    log.close()
    if how == "replaced":
        assert path.read_bytes() == other
        path = tmp_path / "a.simion.log.1.bin"
    raw = path.read_bytes()
    assert struct.unpack_from("<q", raw, 16) == (2,)
    assert raw[24 : len(whole)] == whole[24:]
    assert len(raw) == 2 * len(whole) - 128


def test_the_repaired_log_of_a_killed_run_is_whole(tmp_path: Path) -> None:
    steps = [(1.0, 2.0)] * 4
    data = by_hand.experiment() + by_hand.episode_of(steps) + by_hand.episode_of(steps)
    log = by_hand.log(tmp_path, data[:-300])
    assert not trainlog.verify(log).whole
    done = trainlog.repair(log, tmp_path / "b.simion.log")
    assert (done.complete, trainlog.verify(tmp_path / "b.simion.log").whole) == (False, True)
    raw = (tmp_path / "b.simion.log.bin").read_bytes()
    assert data.startswith(raw)
    assert len(data) - 300 - len(raw) == done.lost_bytes
    with pytest.raises(CodecError, match=r"is a \.simion\.log file; give it that suffix"):
        trainlog.repair(log, tmp_path / "c.flog")


def test_steps_without_an_episode_are_one(tmp_path: Path) -> None:
    path = tmp_path / "a.simion.log"
    with trainlog.create(path, variables=COLUMNS) as log:
        log.write_all([step(3, 1.0), step(4, 2.0)])
    (episode,) = trainlog.episodes(trainlog.open(path))
    assert (str(episode.type), episode.index, episode.complete) == ("training", 1, True)
    assert episode.steps["step"].tolist() == [3, 4]


def test_what_is_lost_is_counted(tmp_path: Path) -> None:
    frames = [
        Frame(0.0, Kind.EVENT, {"type": "fall"}),
        Frame(0.0, Kind.EVENT, {"type": "episode_end"}),
        Frame(0.0, Kind.EVENT, {"type": "episode_start", "episode_type": "warm-up", "seed": 3}),
        Frame(0.0, Kind.CREATURE, {"state/x": 1.0}),
        Frame(1.0, Kind.STATS, {"reward/r": 0.5, "loss": 1.0}),
        Frame(2.0, Kind.CREATURE, {"state": {"x": 2.0}, "gait": "trot", "step": 7}),
        Frame(3.0, Kind.CREATURE, {"state/x": 3, "step": np.int64(8), "reward/r": True}),
    ]
    path = tmp_path / "a.simion.log"
    with trainlog.create(path, {"creature": "ant", "scene": "flat"}, variables=COLUMNS) as log:
        log.write_all(frames)
    assert dict(log.losses) == {
        "header: creature": 1,
        "event: fall": 1,
        "event: an episode_end without an episode_start": 1,
        "event: episode_type 'warm-up' became training": 1,
        "event: seed of an episode_start": 1,
        "creature: a step without reward/r, NaN was": 1,
        "stats: loss": 1,
        "creature: a step without reward/r, the last value was taken": 1,
        "creature: gait": 1,
    }
    table = trainlog.open(path).table("creature")
    assert table["step"].tolist() == [1, 7, 8]
    assert table["state/x"].tolist() == [1.0, 2.0, 3.0]
    assert np.nan_to_num(table["reward/r"], nan=-1).tolist() == [-1.0, 0.5, 1.0]
    assert table.time.tolist() == [0.0, 2.0, 3.0]
    assert table["episode_sim_time"].tolist() == [0.0, 2.0, 3.0]


def test_what_is_lost_of_a_log_of_another_trainer(tmp_path: Path) -> None:
    end = Frame(9.0, Kind.EVENT, {"type": "episode_end", "msg": "over", "terminated": True})
    variables = [Variable("a\x1bb", "state", low=0.0, key="x"), Variable("x", unit="J", low=0, high=1, circular=True)]
    with trainlog.create(tmp_path / "a.simion.log", variables=variables, phase=2, run={"host": "h"}) as log:
        log.write_all(
            [start(), *(Frame(0.0, Kind.CREATURE, {"step": n, "x": 2**53 + 1}) for n in (0.0, 1.5, "7")), end]
        )
    assert dict(log.losses) == {
        "header: phase": 1,
        "header: run": 1,
        "names with characters that XML cannot hold": 1,
        "header: low of a state variable": 1,
        "header: unit of a stat variable": 1,
        "header: circular of a stat variable": 1,
        "creature: digits of x, beyond double precision": 6,
        "creature: a step that is not a whole number, the next one was taken": 2,
        "event: terminated of an episode_end": 1,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = trainlog.open(tmp_path / "a.simion.log")
    assert [one.name for one in back.header.variables] == ["a\ufffdb", "x"]
    assert back.table("creature")["step"].tolist() == [0, 1, 2]


def test_a_full_disk_leaves_nothing_of_a_conversion(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "a.flog") as log:
        log.write_all(Frame(float(n), Kind.STATS, {"x": float(n)}) for n in range(100))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(LogWriteError, match="cannot write"):
            trainlog.convert(tmp_path / "a.flog", tmp_path / "b.simion.log", variables=[Variable("x", "state")])
        gc.collect()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["a.flog"]


def test_digits_that_are_lost_of_a_table_are_counted(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "a.flog", variables=COLUMNS) as log:
        log.write(start())
        for n in range(3):
            log.write(Frame(0.0, Kind.CREATURE, {**step(n, 0.0).data, "reward/r": 2**53 + n}))
    losses = trainlog.convert(tmp_path / "a.flog", tmp_path / "a.simion.log").losses
    assert losses["creature: digits of reward/r, beyond double precision"] == 1


def test_events_that_only_look_like_those_of_rlsimion_are_counted(tmp_path: Path) -> None:
    origin = {"name": "a.simion.log", "functions": {"declared": [{"name": "V", "shape": [1, 1, 1]}]}}
    with trainlog.create(tmp_path / "a.simion.log", {"simion": origin}, variables=COLUMNS) as log:
        log.write(Frame(0.0, Kind.EVENT, {"type": "function_sample", "id": [0]}))
        log.write(Frame(0.0, Kind.EVENT, {"type": "unfinished", "hex": "zz"}))
        log.write(start(episode_type=b"training"))
    assert dict(log.losses) == {
        "event: function_sample of None, which is not declared": 1,
        "unfinished": 1,
        "event: episode_type b'training' became training": 1,
    }


@pytest.mark.parametrize(
    ("frame", "key"),
    [
        (Frame(0.0, Kind.CREATURE, {**step(1, 0.0).data, "state/x": None}), "state/x"),
        (Frame(0.0, Kind.CREATURE, {**step(1, 0.0).data, "reward/r": "high"}), "reward/r"),
        (Frame(0.0, Kind.CREATURE, {**step(1, 0.0).data, "step": 2**63}), "state/x"),
        (start(index="first"), "index"),
        (start(variables=1e9), "variables"),
        (start(variables=-1), "variables"),
        (start(variables=2**20), "variables"),
    ],
)
def test_a_frame_that_cannot_be_held_is_not_begun(tmp_path: Path, frame: Frame, key: str) -> None:
    path = tmp_path / "a.simion.log"
    with trainlog.create(path, variables=COLUMNS) as log:
        before = bytes_of(path)
        with pytest.raises(UnsupportedFrame) as caught:
            log.write(frame)
        assert caught.value.key == key
        assert bytes_of(path) == before


def test_values_that_no_step_takes_are_counted(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "a.simion.log", variables=COLUMNS) as log:
        for n in range(3):
            for reward in (n + 0.25, n + 0.5):
                log.write(Frame(n, Kind.STATS, {"reward/r": reward}))
            log.write(Frame(n, Kind.CREATURE, {"step": n, "state/x": 1.0, **({"reward/r": 9.0} if n == 1 else {})}))
        log.write(Frame(3, Kind.STATS, {"reward/r": 4.0}))
    assert trainlog.open(tmp_path / "a.simion.log").table("creature")["reward/r"].tolist() == [0.5, 9.0, 2.5]
    assert dict(log.losses) == {
        "creature: a step without reward/r, the last value was taken": 2,
        "stats: reward/r that no step took": 5,
    }


def test_an_item_of_a_list_and_a_key_of_its_name(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "a.flog") as log:
        log.write(Frame(0.0, Kind.CREATURE, {"step": 1, "pos": [1.0, 2.0], "pos/0": 7.0}))
    done = trainlog.convert(tmp_path / "a.flog", tmp_path / "a.simion.log", variables=[Variable("pos", "state")])
    assert done.losses == {"creature: pos/0#2": 1}
    assert trainlog.open(done.target).table("creature")["state/pos/0"].tolist() == [1.0]


def test_headers_that_cannot_be_held(tmp_path: Path) -> None:
    path = tmp_path / "a.simion.log"
    with pytest.raises(UnsupportedFrame, match="only declared columns"):
        trainlog.create(path)
    with pytest.raises(UnsupportedFrame, match="descriptor of 30,000 variables would have"):
        trainlog.create(path, variables=[Variable(f"weights/{n}", "state") for n in range(30_000)])
    for meta in (
        {"version": 5},
        {"episodes": 2**63},
        {"functions": {"declared": [{"shape": [1, 1, 1]}]}},
        {"steps_are": "nonsense"},
    ):
        with pytest.raises(UnsupportedFrame, match="'simion' is not what it should be"):
            trainlog.create(path, {"simion": meta}, variables=COLUMNS)
    assert not list(tmp_path.iterdir())


def test_no_file_of_a_log_is_overwritten(tmp_path: Path) -> None:
    for name in ("a.simion.log", "a.simion.log.bin", "a.simion.log.functions"):
        (tmp_path / name).write_bytes(b"old")
        meta = {"simion": {"functions": {"declared": []}}}
        with pytest.raises(LogExists):
            trainlog.create(tmp_path / "a.simion.log", meta, variables=COLUMNS)
        assert [file.name for file in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_bytes() == b"old"
        trainlog.create(tmp_path / "a.simion.log", meta, variables=COLUMNS, overwrite=True).close()
        for file in tmp_path.iterdir():
            assert file.read_bytes() != b"old"
            file.unlink()


def test_a_table_is_written_as_its_frames_are(tmp_path: Path) -> None:
    frames = [step(i, i * 0.5, -i) for i in range(1, 100)]
    columns = {key: np.array([frame.data[key] for frame in frames]) for key in frames[0].data}
    gaps = np.where(np.arange(99) % 9, VALUE, ABSENT).astype(np.uint8)
    tables: dict[str, dict[str, Any]] = {
        "plain": columns,
        "gaps": {**columns, "reward/r": Column(columns["reward/r"], gaps)},
        "shuffled": dict(reversed(columns.items())),
        "ints": {**columns, "state/x": np.arange(99)},
        "bools": {**columns, "state/x": np.arange(99) % 2 == 0},
        "fewer": {key: column for key, column in columns.items() if key != "reward/r"},
        "float steps": {**columns, "step": columns["step"].astype(float)},
    }
    for name, wanted in tables.items():
        table = Table(Kind.CREATURE, columns["experiment_real_time"], wanted)
        for episode in (True, False):
            paths = [tmp_path / f"{name}-{episode}-{i}.simion.log" for i in range(2)]
            losses = []
            for path, method in zip(paths, ("write_table", "write_all"), strict=True):
                with trainlog.create(path, variables=COLUMNS) as log:
                    if episode:
                        log.write(start())
                    getattr(log, method)(table if method == "write_table" else table.frames())
                    if episode:
                        log.write(end())
                losses.append(log.losses)
            assert bytes_of(paths[0]) == bytes_of(paths[1])
            assert losses[0] == losses[1]


def test_a_log_that_never_was_simion(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "a.flog", {"creature": "ant"}) as log:
        for i in range(4):
            log.write(Frame(i, Kind.CREATURE, {"step": 10 * i, "pos": [i, i + 0.5], "gait": {"phase": i / 4}}))
            log.write(Frame(i, Kind.STATS, {"step": 10 * i, "reward": -i, "name": "x"}))
    target = tmp_path / "b.simion.log"
    named = [Variable("pos", "state"), Variable("gait/phase", "action"), Variable("reward", "reward")]
    with pytest.raises(CodecError, match=r"--state, --action, .* It has step, pos, gait/phase, reward"):
        trainlog.convert(tmp_path / "a.flog", target)
    with pytest.raises(CodecError, match="no key 'rewards'; near it: reward"):
        trainlog.convert(tmp_path / "a.flog", target, variables=[Variable("rewards", "reward")])
    with pytest.raises(CodecError, match="'name' cannot be a column: its values are of type str"):
        trainlog.convert(tmp_path / "a.flog", target, variables=[Variable("name", "stat")])
    assert [path.name for path in tmp_path.iterdir()] == ["a.flog"]
    done = trainlog.convert(tmp_path / "a.flog", target, variables=named)
    assert dict(done.losses) == {
        "header: creature": 1,
        "stats: step": 4,
        "stats: name": 4,
        "creature: a step without reward, NaN was": 1,
        "creature: a step without reward, the last value was taken": 3,
        "stats: reward that no step took": 1,
    }
    back = trainlog.open(target)
    assert [variable.key for variable in back.header.variables] == [
        *("state/pos/0", "state/pos/1", "action/gait/phase", "reward/reward")
    ]
    assert back.table("creature")["state/pos/1"].tolist() == [0.5, 1.5, 2.5, 3.5]
    # A log of nothing but statistics: they are the steps.
    done = trainlog.convert(tmp_path / "a.flog", target, variables=named[2:], overwrite=True)
    assert trainlog.open(target).table("creature")["reward/reward"].tolist() == [0.0, -1.0, -2.0, -3.0]
    assert done.losses["creature: pos/0"] == 4


@given(by_hand.logs())
@pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")
def test_any_log_survives_the_way_through_flog(
    tmp_path_factory: pytest.TempPathFactory, log: tuple[bytes, bytes, bytes | None]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    data, text, learned = log
    path = by_hand.log(folder, data, text, learned)
    assert not trainlog.convert(path, folder / "a.flog").losses
    back = trainlog.convert(folder / "a.flog", folder / "back" / path.name)
    assert not back.losses
    assert bytes_of(back.target) == data
    assert back.target.read_bytes() == text
    copy = back.target.with_name(path.name + ".functions")
    assert (copy.read_bytes() if copy.exists() else None) == learned
    # The plain path gives the same frames as the bulk path.
    reader = trainlog.open(path)
    frames: list[Frame] = []
    for block in reader.contents(lambda gap: None):
        frames += block.frames() if isinstance(block, Table) else [block]
    assert repr(list(trainlog.open(folder / "a.flog"))) == repr(frames)
    assert repr(frames[: len(list(reader))]) == repr(list(reader))
    assert isinstance(reader, SimionReader)


def test_a_header_of_another_program(tmp_path: Path) -> None:
    """What stands under our key need not be ours."""
    with pytest.raises(UnsupportedFrame):
        SimionCodec().write(tmp_path / "a.simion.log", Header({"simion": {"episodes": "many"}}, 0, COLUMNS))
    SimionCodec().write(tmp_path / "a.simion.log", Header({"simion": "yes"}, 0, COLUMNS)).close()
