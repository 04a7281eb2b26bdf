"""`trainlog replay`: its exit codes, and the videos that it renders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from mujoco_runs import MODELS, Run, mujoco, record_vector
from trainlog.model import Frame
from trainlog.mujoco import Replay, StateRecorder
from trainlog.mujoco.state import STATE_STEP
from trainlog.mujoco.video import write_video


def replay(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainlog", "replay", *map(str, arguments)]
    environment = {**os.environ, "MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=100, check=False)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replay")
    return Run(MODELS["half_cheetah"](), nstep=5).record(folder / "run.flog", 40, resets=20)


class TestCheck:
    def test_0_for_the_same(self, log: Path) -> None:
        done = replay(log, "--check")
        said = f"{log}: same, bit for bit: 42 states of 2 episodes, 40 simulated\n"
        assert (done.returncode, done.stdout, done.stderr) == (0, said, "")

    def test_one_environment_alone(self, tmp_path: Path) -> None:
        model = MODELS["half_cheetah"]()
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            runs = [Run(model), Run(model)]
            recorders = [StateRecorder(log, model, run.data, env=n) for n, run in enumerate(runs)]
            for n in range(6):
                for env, (run, recorder) in enumerate(zip(runs, recorders, strict=True)):
                    run.data.qpos[0] += env * (n == 3)  # nobody records that
                    mujoco.mj_step(model, run.data)
                    recorder.step()
        assert replay(tmp_path / "run.flog", "--check").returncode == 1
        assert replay(tmp_path / "run.flog", "--check", "--env", 1).returncode == 1
        done = replay(tmp_path / "run.flog", "--check", "--env", 0)
        assert (done.returncode, "6 states of 1 episodes" in done.stdout) == (0, True)

    def test_1_for_a_divergence_with_its_place(self, log: Path, tmp_path: Path) -> None:
        reader = trainlog.open(log)
        states = 0
        with trainlog.create(tmp_path / "other.flog", {}) as writer:
            for frame in reader.frames():
                data = dict(frame.data)
                if STATE_STEP in data:
                    if states == 23:
                        data["vel"] = [*data["vel"][:3], np.nextafter(data["vel"][3], 9), *data["vel"][4:]]
                    states += 1
                writer.write(Frame(frame.time, frame.kind, data))
        done = replay(tmp_path / "other.flog", "--check")
        assert (done.returncode, done.stderr) == (1, "")
        assert "diverged at frame 23 (" in done.stdout
        assert "the state was changed since it was recorded, its checksum is wrong: vel[3] (bthigh): is " in done.stdout
        assert list(tmp_path.iterdir()) == [tmp_path / "other.flog"]

    def test_2_when_it_cannot_be_known(self, tmp_path: Path) -> None:
        with trainlog.TrainingRecorder(tmp_path / "old.flog") as log:
            log.record_creature_frame(None, {"step": 1, "pos": [0.0] * 9, "vel": [0.0] * 9})
        done = replay(tmp_path / "old.flog", "--check", "--env-id", "HalfCheetah-v5")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        assert "only positions" in done.stderr
        done = replay(tmp_path / "old.flog", "--check")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "--env-id" in done.stderr


def pictures(path: Path, width: int) -> np.ndarray:
    """The pictures of a video, int16, shape (pictures, 240, width, 3)."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    command = [ffmpeg, "-loglevel", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, 240, width, 3).astype(np.int16)


class TestVideo:
    def render(self, log: Path, target: Path, *flags: object, width: int = 320) -> np.ndarray:
        pytest.importorskip("imageio_ffmpeg")
        done = replay(log, "--video", target, "--size", "320x240", *flags)
        if "cannot draw here" in done.stderr:
            pytest.skip(done.stderr)
        assert (done.returncode, done.stderr) == (0, "")
        assert [path.name for path in target.parent.iterdir()] == [target.name]
        return pictures(target, width)

    def test_it_shows_the_robot_moving(self, log: Path, tmp_path: Path) -> None:
        video = self.render(log, tmp_path / "v.mp4", "--fps", 10, "--episode", 1)
        assert len(video) == 11  # a second
        robot = np.argwhere(video[0][..., 0] > video[0][..., 2] + 30)  # nothing else is of that colour
        assert len(robot) > 200
        assert robot.mean(axis=0) == pytest.approx([120, 160], abs=40)
        assert (np.abs(video[0] - video[-1]) > 40).any(axis=2).sum() > 200

    def test_curves_are_beside_the_picture_and_have_a_cursor(self, log: Path, tmp_path: Path) -> None:
        flags = ("--fps", 5, "--with", "reward", "--with", "pos[rootz]", "--speed", 0.5)
        video = self.render(log, tmp_path / "v.mp4", *flags, width=560)
        assert len(video) == 11
        chart = video[0][:, 320:]
        assert (chart.min(axis=2) > 230).mean() > 0.6  # paper
        assert (np.abs(chart - video[-1][:, 320:]) > 40).any()

    @pytest.mark.parametrize("suffix", ["mp4", "webm", "mov", "mkv"])
    def test_every_format(self, suffix: str, log: Path, tmp_path: Path) -> None:
        assert len(self.render(log, tmp_path / f"v.{suffix}", "--fps", 4)) == 5

    @pytest.mark.skipif(sys.platform != "linux", reason="ulimit -f counts in other units")
    def test_a_full_disk_leaves_no_broken_video(self, log: Path, tmp_path: Path) -> None:
        target = tmp_path / "videos" / "v.mp4"
        flags = "--episode all --fps 10"
        self.render(log, target, *flags.split())
        size = target.stat().st_size // 1024
        target.unlink()
        command = f"ulimit -f {size}; exec {sys.executable} -m trainlog replay {log} --video {target} --size 320x240"
        done = subprocess.run(["sh", "-c", f"{command} {flags}"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert f"{target}: " in done.stderr
        assert list(target.parent.iterdir()) == []

    def test_a_place_where_nothing_can_be_written(self, log: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        done = replay(log, "--video", tmp_path / "file" / "v.mp4")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert "cannot write the video: [Errno " in done.stderr

    def test_a_gif(self, log: Path, tmp_path: Path) -> None:
        assert len(self.render(log, tmp_path / "v.gif", "--fps", 4, "--episode", "best")) == 5
        assert (tmp_path / "v.gif").read_bytes().startswith(b"GIF89a")

    def test_all_episodes_one_after_the_other(self, log: Path, tmp_path: Path) -> None:
        assert len(self.render(log, tmp_path / "v.mp4", "--fps", 4, "--episode", "all")) == 10

    def test_positions_only_with_a_model_from_elsewhere(self, tmp_path: Path) -> None:
        with trainlog.TrainingRecorder(tmp_path / "old.flog", metadata={"dt": 0.1}) as log:
            for n in range(11):
                log.record_creature_frame(None, {"step": n, "pos": [n / 5, *[0.1 * n] * 8], "vel": [0.0] * 9})
        target = tmp_path / "videos" / "v.mp4"
        video = self.render(tmp_path / "old.flog", target, "--fps", 5, "--env-id", "HalfCheetah-v5")
        assert len(video) == 6
        assert (np.abs(video[0] - video[-1]) > 40).any(axis=2).sum() > 200

    def test_frames_of_a_vector(self, tmp_path: Path) -> None:
        returns = record_vector(tmp_path / "run.flog", 32, clock=True)
        best = 1 + max(range(3), key=lambda n: returns[1, n])
        flags = ("--env-id", "HalfCheetah-v5", "--env", 1, "--episode", "best", "--with", "reward", "--fps", 20)
        target = tmp_path / "videos" / "v.mp4"
        done = replay(tmp_path / "run.flog", "--video", target, "--size", "320x240", *flags)
        if "cannot draw here" in done.stderr:
            pytest.skip(done.stderr)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"v.mp4: episode {best} of " in done.stdout
        video = pictures(target, 560)
        assert len(video) == 10  # a picture for each step
        assert (np.abs(video[0] - video[-1])[:, :320] > 40).any()

    def test_a_curve_that_an_episode_does_not_have_yet(self, tmp_path: Path) -> None:
        model = MODELS["half_cheetah"]()
        data = mujoco.MjData(model)
        with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
            recorder = StateRecorder(log, model, data)
            recorder.reset()
            for _ in range(4):
                mujoco.mj_step(model, data, nstep=5)
                recorder.step({"reward": 1.0})
            mujoco.mj_resetData(model, data)
            recorder.reset()  # the last episode has a state, and no reward yet
        flags = ("--fps", 20, "--episode", "all", "--with", "reward")
        assert len(self.render(tmp_path / "run.flog", tmp_path / "videos" / "v.mp4", *flags, width=560)) == 5 + 1

    def test_the_best_of_no_reward(self, tmp_path: Path) -> None:
        with trainlog.TrainingRecorder(tmp_path / "old.flog") as log:
            log.record_creature_frame(None, {"step": 1, "pos": [0.0] * 9})
        flags = ("--env-id", "HalfCheetah-v5", "--episode", "best")
        done = replay(tmp_path / "old.flog", "--video", tmp_path / "v.mp4", *flags)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "--episode best: the creature frames have no reward" in done.stderr

    @pytest.mark.parametrize(
        ("flags", "why"),
        [
            (("--episode", 3), "--episode must be last, best, all or a number from 1 to 2, not '3'"),
            (("--camera", "nose"), "the model has no camera 'nose'; there are track"),
            (("--with", "nothing"), "no frame of the episode has the key 'nothing'"),
            (("--model", "none.xml"), "there is no such model"),
            (("--speed", 1e-9), "pictures; choose an episode, or a higher speed"),
            (("--speed", "inf"), "--speed is a number of simulated seconds per second, above 0, not inf"),
            (("--size", "641x480"), "--size is two even numbers of pixels, at most 8,192, not (641, 480)"),
        ],
    )
    def test_wrong_use_is_one_line(self, flags: tuple[object, ...], why: str, log: Path, tmp_path: Path) -> None:
        done = replay(log, "--video", tmp_path / "v.mp4", *flags)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert why in done.stderr
        assert list(tmp_path.iterdir()) == []

    def test_another_suffix(self, log: Path, tmp_path: Path) -> None:
        done = replay(log, "--video", tmp_path / "v.txt")
        assert done.returncode == 2
        assert "a video is .mp4, .webm, .mov, .mkv or .gif" in done.stderr

    def test_an_ffmpeg_that_does_not_work(self, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/bin/false")
        done = replay(log, "--video", tmp_path / "v.mp4", "--size", "160x120")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "ffmpeg does not work here" in done.stderr
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "settings", [{"fps": 0}, {"speed": -1}, {"size": (0, 0)}, {"size": "640x480"}, {"size": (1.5, 2)}]
    )
    def test_numbers_without_a_meaning(self, settings: dict[str, Any], log: Path, tmp_path: Path) -> None:
        one = Replay(log)
        with pytest.raises(ValueError, match=f"{next(iter(settings))} is "):
            write_video(one, tmp_path / "v.mp4", one.episodes, **settings)
        assert list(tmp_path.iterdir()) == []
