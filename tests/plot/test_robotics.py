"""Pictures of a robot's motion, from logs whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from trainlog import Frame, Kind
from trainlog.draw import Chart, Grid, Scene, StateTimeline, layout
from trainlog.draw.color import rgb
from trainlog.draw.drawing import Clip, Polyline
from trainlog.draw.theme import ThemeName
from trainlog.plot import Picture, PlotOptions, pictures, runs_of


def walking(path: Path, frames: int = 200, **meta: Any) -> dict[str, Picture]:
    """A robot with a free joint, two hinges and two feet, which walks to a ball."""
    with trainlog.create(path, meta) as log:
        for n in range(frames):
            x, angle = 0.01 * n, np.sin(n / 5)
            log.write(
                Frame(
                    0.02 * n,
                    Kind.CREATURE,
                    {
                        "step": n,
                        "pos": np.array([x, 0.1 * x * x, 0.3, 1, 0, 0, 0, angle, -angle]),
                        "vel": np.array([0.5, 0, 0, 0, 0, 0, np.cos(n / 5), -np.cos(n / 5)]),
                        "ball_pos": np.array([3.0, 0, 0.1]),
                        "contact_left": bool(n // 10 % 2),
                        "contact_right": not n // 10 % 2,
                    },
                )
            )
    return {picture.name: picture for picture in pictures(runs_of([trainlog.open(path)]))}


def test_a_footfall_diagram_has_a_row_for_each_foot(tmp_path: Path) -> None:
    chart = walking(tmp_path / "run.flog")["footfalls"].figure
    assert isinstance(chart, Chart)
    strips = [mark for mark in chart.marks if isinstance(mark, StateTimeline)]
    assert [strip.label for strip in strips] == ["contact_left", "contact_right"]
    assert strips[0].x[:3].tolist() == [0, 10, 20]
    assert strips[0].category[:3].tolist() == [-1, 0, -1]


def test_joints_have_the_names_of_the_log(tmp_path: Path) -> None:
    found = walking(tmp_path / "run.flog", joint_names=["hip", "knee"])
    for name in ("joints", "phases"):
        grid = found[name].figure
        assert isinstance(grid, Grid)
        assert [panel.title for panel in grid.figures] == ["hip", "knee"]
    hip = found["phases"].figure.figures[0].marks[0]  # type: ignore[union-attr]
    assert np.hypot(hip.x, hip.y).tolist() == [1.0] * 200 or np.allclose(np.hypot(hip.x, hip.y), 1)
    plain = walking(tmp_path / "plain.flog")["joints"].figure
    assert [panel.title for panel in plain.figures] == ["pos[7]", "pos[8]"]  # type: ignore[union-attr]


def test_joints_have_the_names_of_the_recorded_model(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    from mujoco_runs import MODELS, Run

    log = Run(MODELS["ant"](), nstep=5).record(tmp_path / "run.flog", 60)
    found = {picture.name: picture.figure for picture in pictures(runs_of([trainlog.open(log)]))}
    legs = [f"{part}_{n}" for n in range(1, 5) for part in ("hip", "ankle")]
    for name in ("joints", "phases"):
        assert [panel.title for panel in found[name].figures] == legs  # type: ignore[union-attr]


def test_a_long_motion_shows_its_end_and_says_so(tmp_path: Path) -> None:
    grid = walking(tmp_path / "run.flog", 1000)["joints"].figure
    assert isinstance(grid, Grid)
    assert grid.caption == "the last 300 of 1,000 frames"


def test_the_path_shows_time_and_direction(tmp_path: Path) -> None:
    scene = walking(tmp_path / "run.flog")["trajectory"].figure
    assert isinstance(scene, Scene)
    assert scene.by_time
    assert "dark to bright" in scene.caption


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_caption_of_a_path_says_in_which_order_its_colors_are(tmp_path: Path, theme: ThemeName) -> None:
    walking(tmp_path / "run.flog")
    found = pictures(runs_of([trainlog.open(tmp_path / "run.flog")]), PlotOptions(theme=theme))
    scene = next(picture.figure for picture in found if picture.name == "trajectory")
    assert isinstance(scene, Scene)
    marks = next(mark.marks for mark in layout(scene, theme=theme).marks if isinstance(mark, Clip))
    first, *_, last = (sum(rgb(mark.color)) for mark in marks if isinstance(mark, Polyline))
    assert f"from {'dark to bright' if first < last else 'bright to dark'} in time" in scene.caption


def test_the_approach_to_a_ball(tmp_path: Path) -> None:
    picture = walking(tmp_path / "run.flog")["approach"]
    (block,) = picture.blocks
    assert block.label == "ball"
    assert block.columns["distance"][0] == 3
    assert block.columns["distance"].argmin() == 199


def circling(path: Path, *, vector: bool) -> dict[str, Picture]:
    """Two robots, whose paths and joints are far from each other; each goes on a circle twice, in an episode each."""
    frames = []
    for episode in (0, 1):
        marks = {"env": [0, 1], "step": 200 * episode}
        frames.append(Frame(2.0 * episode, Kind.EVENT, {"type": "episode_start", **marks}))
        for n in range(100):
            angle = np.array([n / 16, -n / 16])
            x, y = np.cos(angle) + np.array([0, 50]), np.sin(angle)
            pos = np.stack([x, y, *np.stack([[0.3] * 2, [1] * 2, [0] * 2, [0] * 2, [0] * 2]), angle], axis=1)
            frame = {"step": 200 * episode + 2 * n, "env": [0, 1], "x": x, "y": y, "pos": pos}
            parts = [frame] if vector else [{**frame, "env": e, "x": x[e], "y": y[e], "pos": pos[e]} for e in (0, 1)]
            frames += [Frame(2.0 * episode + 0.02 * n, Kind.CREATURE, part) for part in parts]
    with trainlog.create(path, {"dt": 0.02, "joint_names": ["hip"]}) as log:
        for frame in frames:
            log.write(frame)
    return {picture.name: picture for picture in pictures(runs_of([trainlog.open(path)]))}


@pytest.mark.parametrize("vector", [True, False])
def test_a_motion_is_that_of_one_environment_and_one_episode(tmp_path: Path, vector: bool) -> None:
    found = circling(tmp_path / "run.flog", vector=vector)
    env = 0 if vector else 1  # the one of the last frame
    joints = found["joints"].figure
    assert isinstance(joints, Grid)
    assert [panel.title for panel in joints.figures] == ["hip"]
    every = "a frame every 2 steps" if vector else "a frame every 0.04 s; from 4 s on"
    assert joints.caption == f"environment {env} of 2; the last 100 of 200 frames; {every}"
    (line,) = joints.figures[0].marks  # type: ignore[union-attr]
    assert line.y.tolist() == ((-1) ** env * np.arange(100) / 16).tolist()
    path = found["trajectory"].figure
    assert isinstance(path, Scene)
    assert path.caption.startswith(f"environment {env} of 2; the last of 2 episodes; ")
    assert path.x.mean() == pytest.approx(50 * env, abs=0.2)
    assert np.hypot(path.x - 50 * env, path.y) == pytest.approx(np.ones(100))


def test_joints_have_the_names_of_the_model_of_their_frames(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    from mujoco_runs import MODELS, mujoco
    from trainlog.mujoco import StateRecorder

    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        for name in ("ant", "half_cheetah"):
            model = MODELS[name]()
            data = mujoco.MjData(model)
            recorder = StateRecorder(log, model, data, env=0 if name == "ant" else 1)
            recorder.reset()
            for _ in range(40):
                mujoco.mj_step(model, data, nstep=5)
                recorder.step()
    found = {picture.name: picture.figure for picture in pictures(runs_of([trainlog.open(tmp_path / "run.flog")]))}
    titles = [panel.title for panel in found["joints"].figures]  # type: ignore[union-attr]
    assert titles[-6:] == ["bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"]


def test_a_motion_whose_last_episode_just_began_is_that_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    steps = [*range(1, 101), *range(1, 101), *range(1, 21)]
    with trainlog.create(path) as writer:
        for n, step in enumerate(steps):
            pose = np.array([*np.zeros(3), 1.0, 0, 0, 0, np.sin(n / 5), n % 7])
            writer.write(trainlog.Frame(n * 0.1, Kind.CREATURE, {"step": step, "qpos": pose}))
            if n in (0, 99, 199):  # at the time of the last frame of the episode before
                writer.write(trainlog.Frame(n * 0.1, Kind.EVENT, {"type": "episode_start"}))
    grid = {picture.name: picture for picture in pictures(runs_of([trainlog.open(path)]))}["joints"].figure
    assert isinstance(grid, Grid)
    assert grid.caption == "frames 101 to 200 of 220"
    (hip,) = grid.figures[0].marks  # type: ignore[union-attr]
    assert np.allclose(hip.y, np.sin(np.arange(100, 200) / 5))  # type: ignore[union-attr]


def test_a_motion_of_which_one_frame_alone_has_a_place_on_the_axis(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    with trainlog.create(path) as writer:
        for n in range(100):
            pose = np.array([*np.zeros(3), 1.0, 0, 0, 0, np.sin(n / 5), n % 7])
            step = {"step": n} if n in (0, 99) else {}
            writer.write(trainlog.Frame(n * 0.1, Kind.CREATURE, {**step, "qpos": pose}))
    grid = {picture.name: picture for picture in pictures(runs_of([trainlog.open(path)]))}["joints"].figure
    assert isinstance(grid, Grid)
    assert "every" not in grid.caption
