"""The example trainer, run as a person runs it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import trainlog
from trainlog import Kind

SCRIPT = Path(__file__).parents[2] / "examples" / "train_mujoco.py"
SMALL = ("--iterations", "4", "--directions", "3", "--elite", "2", "--horizon", "60", "--no-video", "--no-dashboard")

absent = [name for name in ("gymnasium", "mujoco") if importlib.util.find_spec(name) is None]
needs_mujoco = pytest.mark.skipif(bool(absent), reason=f"needs trainlog[mujoco]: {', '.join(absent)} not installed")


def demo(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *flags], cwd=folder, capture_output=True, encoding="utf-8", timeout=100
    )


def content(log: Path) -> list[tuple[Kind, str]]:
    """All that was logged but the times. As text, since NaN is not equal to itself."""
    return [(frame.kind, repr(frame.data)) for frame in trainlog.open(log).frames(on_damage="raise")]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of one small run, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    done = demo(folder, *SMALL, "--seed", "7", "--out", "first")
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in folder.iterdir()] == ["first"], "it writes nothing beside its folder"
    return folder / "first", done.stdout


@needs_mujoco
class TestASmallRun:
    def test_each_evaluation_is_an_episode_with_every_tenth_step(self, small: tuple[Path, str]) -> None:
        reader = trainlog.open(small[0] / "training_log.flog")
        creature = reader.table("creature")
        state = {"pos", "vel", "ctrl", "warmstart", "com", "heading", "speed", "x", "y", "upright"}
        assert set(creature) >= {"step", "sim_time", "gen", "reward", "truncated", *state}
        assert creature["state_step"].tolist() == [0, 1, 11, 21, 31, 41, 51, 60] * 4
        seen = creature["state_step"] > 0  # the state after a reset is no step
        np.testing.assert_allclose(creature["sim_time"][seen], creature["step"][seen] * 0.05)
        assert creature["gen"][seen].tolist() == [gen for gen in range(4) for _ in range(7)]
        starts = [gen * (1 + 2 * 3) * 60 for gen in range(4)]  # the rollouts between are not recorded
        assert (creature["step"][seen] - creature["state_step"][seen]).tolist() == np.repeat(starts, 7).tolist()
        episodes = list(trainlog.episodes(reader))
        assert [(str(one.type), one.complete, one.steps.rows) for one in episodes] == [("evaluation", True, 7)] * 4

    def test_the_state_is_that_of_a_half_cheetah(self, small: tuple[Path, str]) -> None:
        reader = trainlog.open(small[0] / "training_log.flog")
        creature = reader.table("creature")
        assert creature["pos"].shape == creature["vel"].shape == (32, reader.header.meta["nq"]) == (32, 9)
        creature = creature.rows_where(creature["state_step"] > 0)
        assert np.stack(creature["com"]).shape == (28, 3)
        # The first two joints of its root slide along x and z, and its torso begins 0.7 m above the ground.
        np.testing.assert_allclose(creature["x"], creature["pos"][:, 0])
        assert (np.abs(np.stack(creature["com"])[:, 2] - creature["pos"][:, 1] - 0.6) < 0.4).all()
        np.testing.assert_allclose(creature["speed"], np.abs(creature["vel"][:, 0]), atol=1e-12)
        assert ((creature["upright"] >= 0) & (creature["upright"] <= 1)).all()
        assert creature["upright"][0] > 0.98
        assert (np.abs(creature["heading"]) <= np.pi).all()

    def test_statistics_come_once_a_generation(self, small: tuple[Path, str]) -> None:
        reader = trainlog.open(small[0] / "training_log.flog")
        stats, evolution = reader.table("stats"), reader.table("evolution")
        assert stats["episode"].tolist() == evolution["gen"].tolist() == [0, 1, 2, 3]
        assert stats["step"].tolist() == [60, 480, 900, 1320]
        assert set(evolution["pop"]) == {6}
        np.testing.assert_array_equal(stats["reward_train_mean"], evolution["avg"])
        np.testing.assert_array_equal(stats["reward_train_best"], evolution["best"])
        assert (evolution["best"] > evolution["avg"]).all()
        np.testing.assert_allclose(stats["velocity"], stats["distance"] / (60 * reader.header.meta["dt"]))
        assert set(stats["behavior"]) <= {"backward", "stand", "walk", "trot", "run", "flipped"}
        assert stats["step_size"].tolist() == pytest.approx([0.04, 0.032, 0.024, 0.016])
        assert (stats["update_norm"] > 0).all()

    def test_the_first_policy_knows_nothing_and_stands(self, small: tuple[Path, str]) -> None:
        stats = trainlog.open(small[0] / "training_log.flog").table("stats")
        assert stats["behavior"][0] == "stand"
        assert abs(stats["reward"][0]) < 10

    def test_events_tell_the_story(self, small: tuple[Path, str]) -> None:
        log = trainlog.FlogReplay(small[0] / "training_log.flog")
        events = list(log.events())
        assert [events[0]["type"], events[-1]["type"]] == ["start", "finished"]
        returns = [event["return"] for event in events if event["type"] == "episode_end"]
        assert returns == pytest.approx([frame["reward"] for frame in log.stats_frames()])
        best = [event["return"] for event in events if event["type"] == "new_best"]
        rewards = [frame["reward"] for frame in log.stats_frames()]
        assert best == sorted(set(best))
        assert best[-1] == max(rewards) == events[-1]["return"]
        assert (log.creature, log.task, log.meta["seed"]) == ("HalfCheetah", "run forward", 7)

    def test_it_says_what_it_did(self, small: tuple[Path, str]) -> None:
        folder, said = small
        assert len(re.findall(r"^generation \d/4  step .* return .* m/s ", said, re.MULTILINE)) == 4
        shown = Path("first/training_log.flog")
        summary = trainlog.FlogReplay(folder / "training_log.flog").summary()
        assert summary.partition("\n")[2] in said
        assert re.search(r"Logging cost [\d.]+ µs per call: \d+ calls, [\d.]+% of [\d.]+ s", said)
        assert re.search(rf"^Next: .*trainlog replay {shown}$", said, re.MULTILINE)

    def test_the_curve_is_drawn_beside_the_log(self, small: tuple[Path, str]) -> None:
        folder, said = small
        picture = ElementTree.parse(folder / "reward.svg").getroot()
        words = "".join(picture.itertext())
        assert picture.tag.endswith("svg")
        assert "HalfCheetah-v5, seed 7" in words
        assert "environment steps" in words
        assert (folder / "reward.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert "first/reward.svg" in said
        assert "first/reward.png" in said


@needs_mujoco
class TestTheSeed:
    def test_the_same_seed_gives_the_same_log(self, small: tuple[Path, str], tmp_path: Path) -> None:
        assert demo(tmp_path, *SMALL, "--seed", "7", "--out", "again").returncode == 0
        again = tmp_path / "again" / "training_log.flog"
        assert content(again) == content(small[0] / "training_log.flog")
        metas = [dict(trainlog.open(log).header.meta) for log in (again, small[0] / "training_log.flog")]
        for meta in metas:
            del meta["started"]
        assert metas[0] == metas[1]

    def test_another_seed_gives_another_one(self, small: tuple[Path, str], tmp_path: Path) -> None:
        assert demo(tmp_path, *SMALL, "--seed", "8", "--out", "other").returncode == 0
        other = trainlog.open(tmp_path / "other" / "training_log.flog").table("stats")
        assert set(other["reward"]).isdisjoint(trainlog.open(small[0] / "training_log.flog").table("stats")["reward"])


@needs_mujoco
def test_a_creature_that_can_fall_falls(tmp_path: Path) -> None:
    done = demo(tmp_path, *SMALL, "--env", "Hopper-v5", "--horizon", "200")
    assert (done.returncode, done.stderr) == (0, "")
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"demo-Hopper-v5-s0-\d{8}-\d{6}", folder.name)
    log = trainlog.FlogReplay(folder / "training_log.flog")
    falls = [event for event in log.events() if event["type"] == "fall"]
    for stats in log.stats_frames():
        fall = next((event for event in falls if event["gen"] == stats["episode"]), None)
        assert (fall is not None) == stats["is_fallen"]
        if fall:
            assert stats["episode_length"] < 200
            assert fall["after"] == pytest.approx(stats["episode_length"] * log.meta["dt"])
    assert falls


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell that runs the tests in the background lets its children ignore SIGINT; undo that for a child of ours."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@needs_mujoco
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_leaves_a_whole_log(tmp_path: Path) -> None:
    flags = ("--iterations", "100000", "--directions", "3", "--elite", "2", "--horizon", "60", "--out", "cut")
    command = [sys.executable, str(SCRIPT), *flags]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, encoding="utf-8") as running:
        guard = threading.Timer(60, running.kill)
        guard.start()
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("generation"):
                break
        running.send_signal(signal.SIGINT)
        said = running.stdout.read()
        assert running.wait() == 130
        guard.cancel()
    reader = trainlog.open(tmp_path / "cut" / "training_log.flog")
    frames = list(reader.frames(on_damage="raise"))
    assert frames[-1].kind is Kind.EVENT
    assert frames[-1].data["type"] == "interrupted"
    assert reader.summary().gaps == []
    assert reader.table("stats").rows > 0
    assert "[interrupted]" in said
    assert reader.end is not None
    assert (reader.end.state, reader.end.reason) == ("interrupted", "KeyboardInterrupt")
    assert (tmp_path / "cut" / "reward.svg").exists()


class TestWrongUse:
    """One line that says what is wrong, and exit code 2."""

    def refused(self, folder: Path, *flags: str) -> str:
        done = demo(folder, *flags)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        return done.stderr

    @needs_mujoco
    def test_an_unknown_environment(self, tmp_path: Path) -> None:
        said = self.refused(tmp_path, "--env", "HalfCheeta-v5")
        assert said.startswith("train_mujoco: --env HalfCheeta-v5: ")
        assert "Did you mean" in said
        assert list(tmp_path.iterdir()) == []

    @needs_mujoco
    def test_more_directions_than_fit_into_memory(self, tmp_path: Path) -> None:
        done = demo(tmp_path, "--directions", "1000000000000")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "train_mujoco: Unable to allocate" in done.stderr

    @needs_mujoco
    def test_an_environment_without_mujoco(self, tmp_path: Path) -> None:
        said = self.refused(tmp_path, "--env", "CartPole-v1")
        assert said == "train_mujoco: --env CartPole-v1: no MuJoCo environment with Box observations and actions\n"

    @needs_mujoco
    def test_a_log_that_is_there_is_not_overwritten(self, tmp_path: Path) -> None:
        there = tmp_path / "training_log.flog"
        there.write_bytes(b"precious")
        said = self.refused(tmp_path, *SMALL, "--out", ".")
        assert "training_log.flog" in said
        assert there.read_bytes() == b"precious"

    @pytest.mark.parametrize(
        ("flags", "why"),
        [
            (("--iterations", "0"), "--iterations is at least 1, not 0"),
            (("--seed", "-1"), "--seed is at least 0, not -1"),
            (("--noise", "nan"), "--noise is a number above 0, not nan"),
            (("--elite", "20"), "--elite chooses among --directions: 20 of 16 is too many"),
            (("--horizon", "long"), "invalid int value: 'long'"),
            (("--nosie", "1"), "unrecognized arguments: --nosie"),
        ],
    )
    def test_a_wrong_flag(self, tmp_path: Path, flags: tuple[str, ...], why: str) -> None:
        assert why in self.refused(tmp_path, *flags)

    def test_mujoco_is_not_installed(self, tmp_path: Path) -> None:
        (tmp_path / "gymnasium.py").write_text("raise ImportError('No module named gymnasium')\n")
        path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [sys.executable, str(SCRIPT)],
            env={**os.environ, "PYTHONPATH": path},
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        assert 'pip install "trainlog[mujoco]"' in done.stderr


def test_help_needs_no_mujoco_and_names_every_flag(tmp_path: Path) -> None:
    done = demo(tmp_path, "--help")
    assert done.returncode == 0
    for flag in ("--env", "--seed", "--iterations", "--out", "--log-every", "--no-video"):
        assert flag in done.stdout
    assert "(default: HalfCheetah-v5)" in done.stdout


@needs_mujoco
def test_it_can_be_watched_while_it_trains(tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    command = [sys.executable, str(SCRIPT), "--no-video", "--iterations", "500", "--out", "live"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, encoding="utf-8") as trainer:
        assert trainer.stdout is not None
        try:
            said = trainer.stdout.readline() + trainer.stdout.readline()
            found = re.search(r"^Watch it live: (http://localhost:\d+/)$", said, re.MULTILINE)
            assert found, said
            with urllib.request.urlopen(f"{found[1]}api/flog/list", timeout=20) as answer:
                (run,) = json.load(answer)
        finally:
            trainer.send_signal(signal.SIGINT)
            trainer.stdout.read()
    assert (run["creature"], run["task"]) == ("HalfCheetah", "run forward")
    with pytest.raises(OSError):
        urllib.request.urlopen(found[1], timeout=5)


@needs_mujoco
def test_no_video_without_opengl_but_all_the_rest(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), *SMALL, "--iterations", "1", "--out", "dark", "--video"]
    environment = {**os.environ, "MUJOCO_GL": "no-such-graphics"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^No video: .*MUJOCO_GL: no-such-graphics$", done.stdout, re.MULTILINE)
    assert "Check:   same, bit for bit" in done.stdout
    assert (tmp_path / "dark" / "reward.png").exists()
    assert not list((tmp_path / "dark").glob("*.mp4"))
    assert (tmp_path / "dark" / "figures" / "overview.svg").exists()


@needs_mujoco
def test_the_video_comes_out_of_the_log(tmp_path: Path) -> None:
    done = demo(tmp_path, *SMALL, "--iterations", "2", "--horizon", "20", "--out", "seen", "--video")
    assert (done.returncode, done.stderr) == (0, "")
    if "No video" in done.stdout:
        pytest.skip(next(line for line in done.stdout.splitlines() if line.startswith("No video")))
    assert "Video:   seen/best.mp4" in done.stdout
    assert (tmp_path / "seen" / "best.mp4").read_bytes()[4:8] == b"ftyp"


@needs_mujoco
def test_the_recorded_physics_is_the_same_again(small: tuple[Path, str]) -> None:
    from trainlog.mujoco import Replay, check

    folder, said = small
    assert re.search(r"^Check:   same, bit for bit: 32 states of 4 episodes, 28 simulated$", said, re.MULTILINE)
    replay = Replay(folder / "training_log.flog")
    assert check(replay).divergences == []
    states = [replay.state(frame).frame.data for frame in range(replay.frames)]
    assert ["reward" in state for state in states] == [False, *[True] * 7] * 4
    # The steps between two frames are simulated from the first of them, with what the policy did at each.
    assert [replay.at(step=step).time for step in (1, 7, 11, 59)] == pytest.approx([0.05, 0.35, 0.55, 2.95])
