"""What was recorded is what was simulated, to the last bit, and what was changed since is found."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from mujoco_runs import MODELS, Run, mujoco, record_vector
from trainlog import registry
from trainlog.conventions import SIMULATED_MODEL
from trainlog.errors import CodecError, CorruptLog, EmptyLog, LogNotFound
from trainlog.model import Frame, Kind
from trainlog.mujoco import Replay, StateRecorder, check
from trainlog.mujoco.replay import load_model
from trainlog.mujoco.state import CRC, INPUTS, STATE_STEP, StateLayout
from trainlog.mujoco.stored_model import stored_models

pytestmark = pytest.mark.filterwarnings("ignore::trainlog.errors.DamagedLogWarning")


PENDULUM = """
<mujoco>
  <worldbody><body><joint name="swing" axis="0 1 0"/><geom size=".1" pos=".2 0 0"/></body></worldbody>
  <actuator><motor joint="swing"/></actuator>
</mujoco>
"""


BOX = """
<mujoco>
  <worldbody>
    <geom type="plane" size="5 5 .1"/>
    <body pos="0 0 .1"><freejoint/><geom type="box" size=".1 .1 .1"/></body>
  </worldbody>
</mujoco>
"""


def changed(log: Path, target: Path, frame: int, change: Any) -> Path:
    """A copy of *log* in which *change* was done to the data of one state."""
    reader = trainlog.open(log)
    count = -1
    with trainlog.create(target, reader.header.meta) as writer:
        for one in reader.frames():
            data = dict(one.data)
            if STATE_STEP in data:
                count += 1
                if count == frame:
                    change(data)
            writer.write(Frame(one.time, one.kind, data))
    return target


def flip(key: str, element: int, bit: int) -> Any:
    """A change that flips one bit of an element."""

    def change(data: dict[str, Any]) -> None:
        values = np.atleast_1d(np.array(data[key], np.float64))
        values.view(np.uint64)[element] ^= np.uint64(1 << bit)
        data[key] = values.tolist() if isinstance(data[key], list) else float(values[0])

    return change


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("name", MODELS)
def test_a_thousand_steps_are_the_same_again(name: str, every: int, tmp_path: Path) -> None:
    run = Run(MODELS[name](), every)
    log = run.record(tmp_path / "run.flog", 1000, resets=400)
    replay = Replay(log)
    result = check(replay)
    assert result.divergences == []
    assert (result.episodes, result.gaps) == (3, 0)
    assert result.simulated == result.states - 3
    if every == 1:
        assert result.states == len(run.truth) == 1003
        whole = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty_like(run.truth[0])
        for frame in (0, 1, 400, 401, 1002):
            mujoco.mj_getState(run.model, replay.at(frame), state, whole)
            assert (state.view(np.int64) == run.truth[frame].view(np.int64)).all()
    else:
        assert [one.stop - one.first for one in replay.episodes] == [59, 59, 30]  # the last of each is there as well


@pytest.mark.parametrize("name", MODELS)
def test_a_flipped_bit_is_found_where_it_is(name: str, tmp_path: Path) -> None:
    run = Run(MODELS[name]())
    log = run.record(tmp_path / "run.flog", 60)
    layout = StateLayout(run.model)
    names = Replay(log)
    rng = np.random.default_rng(0)
    tried = set()
    for n, part in enumerate(layout.parts):
        if part.optional or part.key == "eq_active":
            continue
        element = int(rng.integers(part.place.stop - part.place.start))
        frame = [0, 31, 60][n % 3]  # the first state has no other before it
        found = check(
            Replay(changed(log, tmp_path / f"{part.key}.flog", frame, flip(part.key, element, 3)))
        ).divergences
        assert [(one.frame, one.element, one.elements, one.is_damage) for one in found] == [
            (frame, names.element(frame, part.place.start + element), 1, True)
        ]
        original = run.truth[frame][part.place.start + element]
        assert (found[0].expected, found[0].recorded != original) == (original, True)
        tried.add(part.key)
    assert {"episode_sim_time", "pos", "vel", "warmstart", "ctrl"} <= tried
    assert name != "mocap" or {"act", "mocap_pos", "mocap_quat", "userdata"} <= tried


@pytest.mark.parametrize(("key", "element"), [("pos", 4), ("vel", 2), ("warmstart", 1)])
def test_without_a_checksum_the_simulation_finds_it(key: str, element: int, tmp_path: Path) -> None:
    log = Run(MODELS["half_cheetah"]()).record(tmp_path / "run.flog", 20)

    def change(data: dict[str, Any]) -> None:
        del data[CRC]
        flip(key, element, 0)(data)

    (found,) = check(Replay(changed(log, tmp_path / "other.flog", 9, change))).divergences
    names = ["rootx", "rootz", "rooty", "bthigh", "bshin"]
    assert (found.frame, found.step, found.element) == (9, 9.0, f"{key}[{element}] ({names[element]})")
    assert (found.elements, found.is_damage) == (1, False)
    assert 0 < found.size < 1e-12
    assert "frame 9 (" in str(found)


def test_another_physics_diverges(tmp_path: Path) -> None:
    run = Run(MODELS["ant"]())
    log = run.record(tmp_path / "run.flog", 30)
    model = MODELS["ant"]()
    model.opt.gravity[2] = -9.8
    (found,) = check(Replay(log, model=model)).divergences
    assert (found.frame, found.is_damage) == (1, False)
    assert found.elements > 1


def test_the_model_that_mujoco_saves_as_xml_drifts_and_the_stored_one_does_not(tmp_path: Path) -> None:
    model = MODELS["ant"]()
    mujoco.mj_saveLastXML(str(tmp_path / "ant.xml"), model)
    log = Run(model).record(tmp_path / "run.flog", 100)
    assert check(Replay(log)).divergences == []
    assert check(Replay(log, model=load_model(tmp_path / "ant.xml"))).divergences != []


def test_steps_between_the_recorded_ones_are_simulated(tmp_path: Path) -> None:
    run = Run(MODELS["mocap"](), every=10)
    replay = Replay(run.record(tmp_path / "run.flog", 45))
    assert replay.steps.tolist() == [0, 10, 20, 30, 40, 45]
    state = np.empty_like(run.truth[0])
    for step in (0, 1, 9, 10, 37, 44, 45):
        mujoco.mj_getState(run.model, replay.at(step=step), state, mujoco.mjtState.mjSTATE_INTEGRATION)
        assert (state.view(np.int64) == run.truth[step].view(np.int64)).all(), step
    (episode,) = replay.episodes
    assert replay.at_second(episode, 13 * 0.008).time == run.truth[13][0]


def test_a_replay_computes_what_follows_from_the_state(tmp_path: Path) -> None:
    run = Run(MODELS["meshes"]())
    replay = Replay(run.record(tmp_path / "run.flog", 10))
    expected = mujoco.MjData(run.model)
    mujoco.mj_setState(run.model, expected, run.truth[-1], mujoco.mjtState.mjSTATE_INTEGRATION)
    mujoco.mj_forward(run.model, expected)
    data = replay.at(10)
    assert (data.xpos == expected.xpos).all()
    assert data.ncon == expected.ncon
    assert (replay.at(time=1e9).qpos == data.qpos).all()
    assert (replay.at(time=-1.0).qpos == run.truth[0][1 : 1 + run.model.nq]).all()
    with pytest.raises(IndexError, match="there are 11"):
        replay.at(11)


def test_what_is_missing_is_a_gap_and_no_divergence(tmp_path: Path) -> None:
    log = Run(MODELS["ant"]()).record(tmp_path / "run.flog", 30)
    reader = trainlog.open(log)
    states = [frame for frame in reader.frames() if STATE_STEP in frame.data]
    with trainlog.create(tmp_path / "holed.flog", {}) as writer:
        writer.write_all(frame for frame in reader.frames() if frame.data not in (states[9].data, states[10].data))
    result = check(Replay(tmp_path / "holed.flog"))
    assert (result.states, result.simulated, result.gaps, result.divergences) == (29, 27, 1, [])


def test_an_episode_whose_first_state_is_missing_is_not_a_part_of_the_one_before(tmp_path: Path) -> None:
    log = Run(MODELS["ant"]()).record(tmp_path / "run.flog", 30, resets=10)
    reader = trainlog.open(log)
    (first,) = (frame for frame in reader.frames() if frame.data.get("step") == 10 and frame.data[STATE_STEP] == 0)
    with trainlog.create(tmp_path / "holed.flog", {}) as writer:
        writer.write_all(frame for frame in reader.frames() if frame.data != first.data)
    replay = Replay(tmp_path / "holed.flog")
    assert [(one.first, one.stop) for one in replay.episodes] == [(0, 11), (11, 21), (21, 32)]
    assert replay.episodes[0].seconds == Replay(log).episodes[0].seconds
    result = check(replay)
    assert (result.states, result.simulated, result.gaps, result.divergences) == (32, 29, 1, [])


def test_missing_states_are_a_gap_if_the_inputs_before_the_next_one_did_not_change(tmp_path: Path) -> None:
    model = mujoco.MjModel.from_xml_string(PENDULUM)
    data = mujoco.MjData(model)
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        recorder = StateRecorder(log, model, data, every=5)
        recorder.reset()
        for n in range(40):
            data.ctrl[0] = n in (12, 13)
            mujoco.mj_step(model, data)
            recorder.step()
    reader = trainlog.open(tmp_path / "run.flog")
    with trainlog.create(tmp_path / "holed.flog", {}) as writer:
        writer.write_all(frame for frame in reader.frames() if frame.data.get(STATE_STEP) not in (10, 15))
    result = check(Replay(tmp_path / "holed.flog"))
    assert (result.states, result.simulated, result.gaps, result.divergences) == (7, 5, 1, [])


def test_steps_between_the_recorded_ones_may_take_different_times(tmp_path: Path) -> None:
    model = mujoco.MjModel.from_xml_string(PENDULUM)
    data = mujoco.MjData(model)
    angles, times = [0.0], [0.0]
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        recorder = StateRecorder(log, model, data, every=10)
        recorder.reset()
        for n in range(35):
            data.ctrl[0] = np.sin(n)
            mujoco.mj_step(model, data, nstep=1 + n % 4)
            recorder.step()
            angles.append(float(data.qpos[0]))
            times.append(data.time)
        recorder.close()
    replay = Replay(tmp_path / "run.flog")
    assert check(replay).simulated == 4
    assert check(replay).divergences == []
    assert [float(replay.at(step=n).qpos[0]) for n in range(36)] == angles
    assert [float(replay.at_second(replay.episodes[0], one).qpos[0]) for one in times] == angles


def test_many_steps_of_mujoco_between_two_states_are_simulated(tmp_path: Path) -> None:
    model = mujoco.MjModel.from_xml_string(PENDULUM)
    model.opt.timestep = 1e-5
    data = mujoco.MjData(model)
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        recorder = StateRecorder(log, model, data, every=2)
        recorder.reset()
        for _ in range(2):
            mujoco.mj_step(model, data, nstep=50_001)
            recorder.step()
    result = check(Replay(tmp_path / "run.flog"))
    assert (result.simulated, result.divergences) == (1, [])


def test_every_frame_before_a_kill_is_replayed(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from mujoco_runs import MODELS, mujoco
import trainlog
from trainlog.mujoco import StateRecorder
model = MODELS["ant"]()
data = mujoco.MjData(model)
log = trainlog.TrainingRecorder(sys.argv[1], "ant", "walk")
recorder = StateRecorder(log, model, data)
recorder.reset()
for n in range(333):
    data.ctrl[:] = n % 3 - 1
    mujoco.mj_step(model, data, nstep=5)
    recorder.step()
print(data.qpos.tolist(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    command = [sys.executable, "-c", code, str(tmp_path / "run.flog")]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with (tmp_path / "run.flog").open("ab") as file:
        file.write(b"\0" * 9)  # a frame that was cut
    replay = Replay(tmp_path / "run.flog")
    assert replay.frames == 334
    assert str(replay.at(333).qpos.tolist()) == done.stdout.strip()
    assert check(replay).divergences == []


class TestTheModel:
    def test_it_is_stored_once_in_a_log_and_its_resumption(self, tmp_path: Path) -> None:
        path = tmp_path / "run.flog"
        run = Run(MODELS["ant"]())
        run.record(path, 5)
        run.record(path, 5, resume=True)
        assert trainlog.open(path).summary().kinds[SIMULATED_MODEL].frames == 1
        assert check(Replay(path)).simulated == 10

    def test_shards_share_it(self, tmp_path: Path) -> None:
        path = tmp_path / "run.flog"
        for rank in range(3):
            Run(MODELS["ant"]()).record(path, 5 + rank, shard=rank)
        frames = [trainlog.open(file).summary().kinds.get(SIMULATED_MODEL) for file in sorted(path.iterdir())]
        assert [span.frames if span else 0 for span in frames] == [1, 0, 0]
        replay = Replay(path)
        assert replay.environments == ("0/0", "1/0", "2/0")  # the process, and its environment
        assert check(replay).simulated == 5 + 6 + 7
        assert Replay(path, env="2/0").frames == 8
        assert check(Replay(path / "2.flog")).simulated == 7  # alone, with the model of its neighbour
        (tmp_path / "copies").mkdir()
        assert check(Replay(shutil.copy(path / "0.flog", tmp_path / "copies" / "a.flog"))).simulated == 5
        with pytest.raises(CodecError, match="the log holds no model"):
            Replay(shutil.copy(path / "2.flog", tmp_path / "copies" / "b.flog"))

    def test_a_changed_one_is_stored_again(self, tmp_path: Path) -> None:
        model = MODELS["ant"]()
        data = mujoco.MjData(model)
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            recorder = StateRecorder(log, model, data)
            recorder.reset()
            for mass in (1.0, 2.0, 2.0):
                model.body_mass[1] = mass
                recorder.model_changed()
                for _ in range(5):
                    mujoco.mj_step(model, data)
                    recorder.step()
        replay = Replay(tmp_path / "run.flog")
        assert [replay.model(one.first).body_mass[1] for one in replay.episodes[1:]] == [1.0, 2.0, 2.0]
        assert trainlog.open(tmp_path / "run.flog").summary().kinds[SIMULATED_MODEL].frames == 3
        assert check(replay).divergences == []

    def test_many_cost_neither_memory_nor_readings_of_the_log(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        model = mujoco.MjModel.from_xml_string(PENDULUM)
        data = mujoco.MjData(model)
        readings: list[Path] = []
        opened = registry.open
        monkeypatch.setattr(registry, "open", lambda path: readings.append(path) or opened(path))
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            recorder = StateRecorder(log, model, data)
            StateRecorder(log, model, data, env=1).reset()
            for mass in range(1, 41):
                model.body_mass[1] = mass
                recorder.model_changed()
                recorder.reset()
                mujoco.mj_step(model, data)
                recorder.step()
        assert len(readings) == 1
        monkeypatch.undo()
        assert trainlog.open(tmp_path / "run.flog").summary().kinds[SIMULATED_MODEL].frames == 41
        replay = Replay(tmp_path / "run.flog")
        models = [weakref.ref(replay.model(frame)) for frame in range(0, replay.frames, 2)]
        assert len(models) == 40
        assert sum(model() is not None for model in models) < 20
        assert replay.model(12).body_mass[1] == 7
        assert check(replay).divergences == []

    def test_a_large_one_is_several_frames(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("trainlog.mujoco.stored_model._PART", 5_000)
        log = Run(MODELS["ant"]()).record(tmp_path / "run.flog", 3)
        frames = list(trainlog.open(log).frames(SIMULATED_MODEL))
        assert len(frames) > 2
        assert all(len(frame.data["mjb"]) <= 5_000 for frame in frames)
        assert check(Replay(log)).divergences == []
        with trainlog.create(tmp_path / "part.flog", {}) as writer:  # the writer was killed between two parts
            writer.write_all(frames[:-1])
        assert stored_models(trainlog.open(tmp_path / "part.flog")) == {}

    @pytest.mark.parametrize(
        ("change", "error", "why"),
        [
            ({"mjb": b"no model"}, CorruptLog, "damaged"),
            ({"hash": "0" * 64}, CorruptLog, "is not in the log"),
            ({"mujoco": "1.2.3"}, CodecError, r"compiled by MuJoCo 1\.2\.3"),
        ],
    )
    def test_one_that_cannot_be_loaded_is_told(
        self, change: dict[str, Any], error: type[Exception], why: str, tmp_path: Path
    ) -> None:
        reader = trainlog.open(Run(MODELS["ant"]()).record(tmp_path / "run.flog", 3))
        with trainlog.create(tmp_path / "other.flog", {}) as writer:
            for frame in reader.frames():
                data = {**frame.data, **change} if frame.kind == SIMULATED_MODEL else frame.data
                writer.write(Frame(frame.time, frame.kind, data))
        with pytest.raises(error, match=why):
            Replay(tmp_path / "other.flog").at(0)

    def test_its_names_and_units_are_in_the_log(self, tmp_path: Path) -> None:
        log = Run(MODELS["mocap"]()).record(tmp_path / "run.flog", 1)
        (frame,) = trainlog.open(log).frames(SIMULATED_MODEL)
        assert frame.data["names"]["pos"][:2] == ["joint 0.x", "joint 0.y"]
        assert frame.data["names"]["pos"][7:] == ["hip", "knee"]
        assert frame.data["units"]["vel"] == ["m/s"] * 3 + ["rad/s"] * 3 + ["rad/s", "m/s"]
        assert frame.data["names"]["ctrl"] == ["slow", "sum", "muscle"]
        assert frame.data["names"]["mocap_pos"] == ["hand.x", "hand.y", "hand.z"]


@pytest.mark.skipif(not hasattr(mujoco.mjtEnableBit, "mjENBL_SLEEP"), reason="this MuJoCo puts nothing to sleep")
def test_of_a_model_that_sleeps_nothing_false_is_reported(tmp_path: Path) -> None:
    model = mujoco.MjModel.from_xml_string(BOX)
    model.opt.enableflags |= int(mujoco.mjtEnableBit.mjENBL_SLEEP)
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, nstep=1000)
    assert data.tree_asleep[0] >= 0
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        recorder = StateRecorder(log, model, data)
        recorder.reset()
        for _ in range(5):
            mujoco.mj_step(model, data)
            recorder.step()
    with pytest.raises(CodecError, match="sleeping is not a part of the state"):
        check(Replay(tmp_path / "run.flog"))
    flipped = changed(tmp_path / "run.flog", tmp_path / "flipped.flog", 1, flip("pos", 0, 3))
    assert check(Replay(flipped)).divergences[0].is_damage


class TestArguments:
    @pytest.fixture
    def log(self, tmp_path: Path) -> Any:
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            yield log

    def test_data_of_another_model_are_refused(self, log: Any) -> None:
        model, other = MODELS["half_cheetah"](), mujoco.MjModel.from_xml_string(PENDULUM)
        for data in (mujoco.MjData(other), mujoco.MjData(MODELS["ant"]())):
            with pytest.raises(ValueError, match="data belongs to another model"):
                StateRecorder(log, model, data)
        StateRecorder(log, model, mujoco.MjData(MODELS["half_cheetah"]()))  # an equal one

    @pytest.mark.parametrize("settings", [{"every": 0}, {"every": 1.5}, {"every": "3"}, {"env": -1}, {"env": [1]}])
    def test_numbers_without_a_meaning(self, settings: dict[str, Any], log: Any) -> None:
        model = mujoco.MjModel.from_xml_string(PENDULUM)
        with pytest.raises((TypeError, ValueError), match=f"{next(iter(settings))} is "):
            StateRecorder(log, model, mujoco.MjData(model), **settings)

    def test_other_types(self, log: Any) -> None:
        model = mujoco.MjModel.from_xml_string(PENDULUM)
        with pytest.raises(TypeError, match="model is an MjModel, not str"):
            StateRecorder(log, "ant.xml", mujoco.MjData(model))
        with pytest.raises(TypeError, match="data is an MjData, not NoneType"):
            StateRecorder(log, model, None)

    def test_no_value_takes_the_place_of_the_state(self, log: Any) -> None:
        model = mujoco.MjModel.from_xml_string(PENDULUM)
        data = mujoco.MjData(model)
        recorder = StateRecorder(log, model, data)
        recorder.reset()
        mujoco.mj_step(model, data)
        with pytest.raises(ValueError, match="'pos', 'vel': the state has these keys"):
            recorder.step({"pos": [0, 0, 0], "vel": 1.0, "reward": 1.0})
        mujoco.mj_step(model, data)
        recorder.step({"reward": 1.0})
        assert check(Replay(log.path)).divergences == []


class TestEnvironments:
    def test_each_has_its_own_states(self, tmp_path: Path) -> None:
        model = MODELS["half_cheetah"]()
        runs = [Run(model) for _ in range(3)]
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            recorders = [StateRecorder(log, model, run.data, env=n) for n, run in enumerate(runs)]
            for recorder in recorders:
                recorder.reset()
            for n in range(20):
                for run, recorder in zip(runs, recorders, strict=True):
                    run.data.ctrl[:] = run.rng.uniform(-1, 1, model.nu) * (1 + runs.index(run))
                    mujoco.mj_step(model, run.data, nstep=2)
                    recorder.step({"step": 3 * n})
        replay = Replay(tmp_path / "run.flog")
        assert replay.environments == ("0", "1", "2")
        assert check(replay).simulated == 60
        assert replay.environment == "0"
        for n, run in enumerate(runs):
            one = Replay(tmp_path / "run.flog", env=str(n))
            assert (one.at(one.frames - 1).qpos == run.data.qpos).all()
            assert one.locate(int(one.orders[4])) == (str(n), 4)
        with pytest.raises(EmptyLog, match="there is no environment '7'; there are '0', '1', '2'"):
            Replay(tmp_path / "run.flog", env="7")
        with pytest.raises(EmptyLog, match="there is no environment '7'"):
            check(replay, env="7")

    def test_those_of_a_vector_beside_its_own_frames(self, tmp_path: Path) -> None:
        gymnasium = pytest.importorskip("gymnasium")
        from trainlog.gymnasium import RecordVectorRun

        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            make = partial(gymnasium.make, "HalfCheetah-v5", max_episode_steps=10)
            envs = gymnasium.vector.SyncVectorEnv([make] * 2)
            wrapped = RecordVectorRun(envs, log)
            own = [env.unwrapped for env in envs.envs]
            states = [StateRecorder(log, one.model, one.data, env=n) for n, one in enumerate(own)]
            wrapped.reset(seed=1)
            wrapped.action_space.seed(1)
            for one in states:
                one.reset()
            rewards = []
            for _ in range(21):
                rewards.append(wrapped.step(wrapped.action_space.sample())[1])
                for one in states:
                    one.step()
            wrapped.close()
        replay = Replay(tmp_path / "run.flog")
        assert replay.environments == ("0", "1")
        assert [one.stop - one.first for one in replay.episodes] == [11, 11]
        found = check(replay)
        assert (found.states, found.simulated, found.divergences) == (44, 40, [])
        last = Replay(tmp_path / "run.flog", env="1")
        assert last.curve("reward", last.episodes[0])[1].tolist()[:9] == [one[1] for one in rewards[:9]]
        assert len(list(trainlog.episodes(trainlog.open(tmp_path / "run.flog")))) == 4

    def test_positions_of_several_in_one_frame(self, tmp_path: Path) -> None:
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            for n in range(6):
                pos = np.array([[n / 10, *[0.1] * 8], [n / 10 + 5, *[0.2] * 8]])
                rows = {"env": [0, 1 if n else -1], "pos": pos, "sim_time": [0.05 * n, 0.05 * n], "reward": [n, -n]}
                log.record_creature_frame(n / 100, {"step": 2 * n, **rows})
        model = load_model(env_id="HalfCheetah-v5")
        first, second = (Replay(tmp_path / "run.flog", model=model, env=env) for env in ("0", "1"))
        assert first.environments == ("0", "1")
        assert (first.frames, second.frames) == (6, 5)
        assert [first.at(n).qpos[0] for n in range(6)] == [n / 10 for n in range(6)]
        assert second.at(step=4).qpos[0] == 5.2
        assert second.curve("reward", second.episodes[0])[1].tolist() == [-1, -2, -3, -4, -5]
        assert second.episodes[0].seconds == pytest.approx(0.2)

    def test_episodes_of_a_vector_are_those_of_its_events(self, tmp_path: Path) -> None:
        returns = record_vector(tmp_path / "run.flog", 32)
        for env in (0, 1):
            replay = Replay(tmp_path / "run.flog", model=load_model(env_id="HalfCheetah-v5"), env=str(env))
            assert [one.stop - one.first for one in replay.episodes] == [10, 10, 10]  # the resets are no states
            assert replay.returns() == pytest.approx([returns[env, n] for n in range(3)], rel=1e-12)
            assert replay.reward_key() == "reward"
            assert len(replay.curve("reward", replay.episodes[1])[1]) == 10
            # step counts both environments, so that it tells no time: that of the log is left
            assert (replay.clock == replay.times).all()
        record_vector(tmp_path / "clock.flog", 32, clock=True)
        replay = Replay(tmp_path / "clock.flog", model=load_model(env_id="HalfCheetah-v5"), env="1")
        assert [one.seconds for one in replay.episodes] == pytest.approx([0.45] * 3)

    def test_the_best_of_sampled_steps_is_that_of_the_whole_returns(self, tmp_path: Path) -> None:
        gymnasium = pytest.importorskip("gymnasium")
        from trainlog.gymnasium import RecordRun

        env, returns = gymnasium.make("HalfCheetah-v5", max_episode_steps=20), []
        env.action_space.seed(3)
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            states = StateRecorder(log, env.unwrapped.model, env.unwrapped.data)
            env = RecordRun(states.wrap(env), log, every=7, extra=states.state)
            for n in range(5):
                env.reset(seed=n)
                returns.append(sum(env.step(env.action_space.sample())[1] for _ in range(20)))
            env.reset(seed=9)  # the last episode has a state, and no reward yet
        replay = Replay(tmp_path / "run.flog")
        assert replay.returns()[:-1] == pytest.approx(returns, rel=1e-12)
        assert np.isnan(replay.returns()[-1])

    def test_a_reward_beside_the_states_is_found(self, tmp_path: Path) -> None:
        run = Run(MODELS["half_cheetah"]())
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            states, vector = StateRecorder(log, run.model, run.data), log.vector(2, autoreset="disabled")
            for total in (1.0, 3.0, 2.0):
                mujoco.mj_resetData(run.model, run.data)
                states.reset()
                vector.reset()
                for n in range(4):
                    mujoco.mj_step(run.model, run.data)
                    states.step()
                    vector.step([total, -total], [n == 3] * 2, [False] * 2)
        replay = Replay(tmp_path / "run.flog")
        assert replay.reward_key() == "reward"
        assert replay.returns().tolist() == [4.0, 12.0, 8.0]

    @pytest.mark.parametrize("ends", [True, False])
    def test_a_return_is_of_the_episode_although_the_next_one_began_before_its_last_frame(
        self, ends: bool, tmp_path: Path
    ) -> None:
        run = Run(MODELS["half_cheetah"]())
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            states, vector = StateRecorder(log, run.model, run.data, every=9), log.vector(1, autoreset="same_step")
            states.reset()
            for total in (1.0, 3.0, 2.0):
                for n in range(4):
                    mujoco.mj_step(run.model, run.data)
                    states.step()
                    if ends and n == 3:  # as within a vector of environments that resets them at once
                        mujoco.mj_resetData(run.model, run.data)
                        states.reset()
                    vector.step([total], [ends and n == 3], [False])
                if not ends:  # killed, and resumed
                    mujoco.mj_resetData(run.model, run.data)
                    states = StateRecorder(log, run.model, run.data, every=9)
                    states.reset()
                    vector.reset()
        assert Replay(tmp_path / "run.flog").returns()[:3].tolist() == [4.0, 12.0, 8.0]

    def test_a_return_is_not_known_if_steps_were_left_out(self, tmp_path: Path) -> None:
        whole = Run(MODELS["half_cheetah"]()).record(tmp_path / "whole.flog", 10, resets=5)
        assert Replay(whole).returns().tolist() == [0 + 1 + 2 + 3 + 4, 5 + 6 + 0 + 1 + 2]
        some = Run(MODELS["half_cheetah"](), every=2).record(tmp_path / "some.flog", 10, resets=5)
        assert np.isnan(Replay(some).returns()).all()

    def test_the_clock_going_back_is_an_episode_without_being_told(self, tmp_path: Path) -> None:
        model = MODELS["half_cheetah"]()
        data = mujoco.MjData(model)
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            recorder = StateRecorder(log, model, data, every=4)
            for n in range(30):
                if n % 10 == 0:
                    mujoco.mj_resetData(model, data)
                data.ctrl[:] = np.sin(n)
                mujoco.mj_step(model, data, nstep=5)
                recorder.step()
        replay = Replay(tmp_path / "run.flog")
        assert [one.stop - one.first for one in replay.episodes] == [4, 4, 3]
        assert check(replay).divergences == []


def test_the_states_may_be_in_the_frames_of_somebody_else(tmp_path: Path) -> None:
    gymnasium = pytest.importorskip("gymnasium")
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        env = gymnasium.make("HalfCheetah-v5", max_episode_steps=25)
        states = StateRecorder(log, env.unwrapped.model, env.unwrapped.data)
        env = states.wrap(env)
        env.action_space.seed(0)
        for seed in range(2):
            env.reset(seed=seed)
            for n in range(25):
                _, reward, *_ = env.step(env.action_space.sample())
                if n % 10 == 0 or n == 24:
                    log.record_creature_frame(None, {"reward": reward, **states.state(env)})
        with pytest.raises(ValueError, match="no step since the last state"):
            states.state()
        env.close()
    replay = Replay(tmp_path / "run.flog")
    assert [replay.state(frame).frame.data[STATE_STEP] for frame in range(10)] == [0, 1, 11, 21, 25] * 2
    assert check(replay).simulated == 8
    assert check(replay).divergences == []


def test_a_clock_that_goes_back_within_an_episode_of_somebody_else_loses_no_step(tmp_path: Path) -> None:
    gymnasium = pytest.importorskip("gymnasium")
    from trainlog.gymnasium import RecordRun

    env = gymnasium.make("HalfCheetah-v5")
    env.action_space.seed(0)
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        states = StateRecorder(log, env.unwrapped.model, env.unwrapped.data)
        env = RecordRun(states.wrap(env), log, every=10, extra=states.state)
        env.reset(seed=0)
        for n in range(30):
            if n == 15:  # MuJoCo does this itself when a simulation is unstable
                mujoco.mj_resetData(env.unwrapped.model, env.unwrapped.data)
            env.step(env.action_space.sample())
        states.close()
    replay = Replay(tmp_path / "run.flog")
    assert [replay.state(frame).frame.data[STATE_STEP] for frame in range(replay.frames)] == [0, 1, 11, 15, 0, 5, 14]
    assert [one.stop - one.first for one in replay.episodes] == [4, 3]
    found = check(replay)
    assert (found.simulated, found.gaps, found.divergences) == (5, 0, [])


class TestPositionsOnly:
    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        with trainlog.TrainingRecorder(tmp_path / "old.flog", metadata={"scene": "HalfCheetah-v5", "dt": 0.05}) as log:
            for n in range(10):
                pos = [n / 10, *[0.1] * 8]
                log.record_creature_frame(n / 100, {"step": n, "pos": pos, "vel": [0.5] * 9, "gen": n // 5})
        return tmp_path / "old.flog"

    def test_they_are_shown_with_a_model_from_elsewhere(self, log: Path) -> None:
        replay = Replay(log, model=load_model(env_id="HalfCheetah-v5"))
        assert (replay.frames, replay.is_complete) == (10, False)
        assert replay.at(step=3).qpos[0] == 0.3
        assert replay.at(3).xpos[1, 0] == pytest.approx(0.3)
        assert [(one.first, one.stop) for one in replay.episodes] == [(0, 5), (5, 10)]
        assert replay.episodes[0].seconds == pytest.approx(0.2)

    def test_without_one_the_error_says_what_to_do(self, log: Path) -> None:
        with pytest.raises(CodecError, match=r"--model model\.xml or --env-id HalfCheetah-v5"):
            Replay(log)

    def test_another_model_does_not_fit(self, log: Path) -> None:
        with pytest.raises(CorruptLog, match="'pos' is 9 numbers and the model has 15"):
            Replay(log, model=load_model(env_id="Ant-v5")).at(0)

    def test_they_cannot_be_checked(self, log: Path) -> None:
        with pytest.raises(CodecError, match="only positions"):
            check(Replay(log, model=load_model(env_id="HalfCheetah-v5")))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data.pop("warmstart"), "has no 'warmstart'"),
        (lambda data: data.update(pos=[1.0]), "'pos' is not 9 numbers"),
        (lambda data: data.update(vel="fast"), "'vel' is not 9 numbers"),
        (lambda data: data.update({INPUTS: {"ctrl": [[1], [2, 3]]}}), "inputs are not numbers"),
        (lambda data: data.update({INPUTS: 7}), "inputs are not numbers"),
    ],
)
def test_a_state_that_is_none_is_told(change: Any, why: str, tmp_path: Path) -> None:
    log = Run(MODELS["half_cheetah"]()).record(tmp_path / "run.flog", 5)
    with pytest.raises(CorruptLog, match=why):
        Replay(changed(log, tmp_path / "other.flog", 2, change)).at(2)


@pytest.mark.parametrize(
    "change", [{STATE_STEP: 10**12, INPUTS: {}}, {"episode_sim_time": 1e300}, {"episode_sim_time": np.nan}]
)
def test_hostile_clocks_end(change: dict[str, Any], tmp_path: Path) -> None:
    log = Run(MODELS["half_cheetah"]()).record(tmp_path / "run.flog", 5)

    def do(data: dict[str, Any]) -> None:
        data.update(change)
        del data[CRC]

    result = check(Replay(changed(log, tmp_path / "other.flog", 3, do)))
    assert result.gaps or result.divergences


def test_a_copy_in_another_format_is_the_same(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    run = Run(MODELS["mocap"](), every=3)
    log = run.record(tmp_path / "run.flog", 40, resets=25)
    trainlog.convert(log, tmp_path / "run.parquet")
    trainlog.convert(tmp_path / "run.parquet", tmp_path / "back.flog")
    results = [check(Replay(tmp_path / name)) for name in ("run.flog", "run.parquet", "back.flog")]
    assert results[0].divergences == []
    assert results[1] == results[2] == results[0]


def test_a_log_without_states_is_told(tmp_path: Path) -> None:
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        log.record_stats_frame(None, {"step": 1})
    with pytest.raises(EmptyLog, match="no creature frame holds a state"):
        Replay(tmp_path / "run.flog")
    with pytest.raises(LogNotFound):
        load_model(tmp_path / "none.xml")
    with pytest.raises(CodecError, match="no MuJoCo model"):
        load_model(env_id="CartPole-v1")


def test_it_follows_a_run(tmp_path: Path) -> None:
    model = MODELS["half_cheetah"]()
    data = mujoco.MjData(model)
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        recorder = StateRecorder(log, model, data)
        recorder.reset()
        replay = Replay(tmp_path / "run.flog")
        assert not replay.refresh()
        for _ in range(300):
            mujoco.mj_step(model, data)
            recorder.step()
        assert replay.refresh()
        assert replay.frames == 301
        assert (replay.at(300).qpos == data.qpos).all()
        log.rewind(100)
        assert replay.refresh()
        assert replay.frames == 101


class TestCurves:
    def test_keys_of_states_and_of_statistics(self, tmp_path: Path) -> None:
        run = Run(MODELS["half_cheetah"]())
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            recorder = StateRecorder(log, run.model, run.data)
            recorder.reset()
            for n in range(10):
                mujoco.mj_step(run.model, run.data)
                recorder.step({"reward": n / 2})
                log.record_stats_frame(None, {"loss": 1.0 / (n + 1)})
        replay = Replay(tmp_path / "run.flog")
        (episode,) = replay.episodes
        x, y = replay.curve("reward", episode)
        assert y.tolist() == [n / 2 for n in range(10)]  # the state after the reset has none
        assert x.tolist() == pytest.approx([0.01 * (n + 1) for n in range(10)])
        assert len(replay.curve("loss", episode)[1]) == 9
        by_name, by_number = replay.curve("pos[rootz]", episode), replay.curve("pos[1]", episode)
        assert by_name[1].tolist() == by_number[1].tolist()
        for wrong in ("nothing", "pos", "pos[99]", "pos[nose]"):
            with pytest.raises(KeyError):
                replay.curve(wrong, episode)

    def test_statistics_are_those_of_the_environment_or_of_all(self, tmp_path: Path) -> None:
        model = mujoco.MjModel.from_xml_string(PENDULUM)
        data = mujoco.MjData(model)
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            recorders = [StateRecorder(log, model, data, env=env) for env in range(2)]
            for n in range(4):
                for env, recorder in enumerate(recorders):
                    recorder.step()
                    log.record_stats_frame(None, {"env": env, "value": 10.0 * env})
                log.record_stats_frame(None, {"env": "Pendulum-v1", "loss": float(n)})
                log.record_creature_frame(None, {"env": 2, "noise": 1.0})
                mujoco.mj_step(model, data)
        for env in range(2):
            replay = Replay(tmp_path / "run.flog", env=str(env))
            assert set(replay.curve("value", replay.episodes[0])[1].tolist()) == {10.0 * env}
            assert replay.curve("loss", replay.episodes[0])[1].tolist() == [0.0, 1.0, 2.0]
            with pytest.raises(KeyError):
                replay.curve("noise", replay.episodes[0])

    def test_the_name_of_a_joint_is_that_of_the_model_of_the_episode(self, tmp_path: Path) -> None:
        joints = '<joint name="{}" axis="0 1 0"/><joint name="{}" axis="1 0 0"/><geom size=".1"/>'
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            for names in (("hip", "knee"), ("knee", "hip")):
                body = joints.format(*names)
                model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody><body>{body}</body></worldbody></mujoco>")
                data = mujoco.MjData(model)
                recorder = StateRecorder(log, model, data)
                data.joint("hip").qpos[:] = 0.5
                for _ in range(3):
                    recorder.step()
                    mujoco.mj_step(model, data)
        replay = Replay(tmp_path / "run.flog")
        assert [replay.curve("pos[hip]", episode)[1][0] for episode in replay.episodes] == [0.5, 0.5]


def test_every_frame_is_read_by_programs_that_know_nothing_of_it(tmp_path: Path) -> None:
    log = Run(MODELS["ant"]()).record(tmp_path / "run.flog", 10)
    replay = trainlog.FlogReplay(log)
    assert replay.n_physics == 11
    assert replay.creature_frames()[0]["pos"][2] == 0.75
    assert trainlog.verify(log).problems == []
    assert trainlog.open(log).table(Kind.CREATURE)["vel"].shape == (11, 14)
