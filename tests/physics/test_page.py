"""The 3-D page without a browser: where it goes, and who can reach it. tests/browser looks at it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("mujoco")
pytest.importorskip("mjviser")

import trainlog
from mujoco_runs import MODELS, mujoco, record_vector
from trainlog.errors import CodecError
from trainlog.mujoco import Replay, StateRecorder
from trainlog.mujoco.page import Page


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    model = MODELS["half_cheetah"]()
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        runs = [mujoco.MjData(model) for _ in range(2)]
        recorders = [StateRecorder(log, model, data, env=env) for env, data in enumerate(runs)]
        for n in range(30):
            for data, recorder in zip(runs, recorders, strict=True):
                if n % 10 == 0:
                    mujoco.mj_resetData(model, data)
                    recorder.reset()
                mujoco.mj_step(model, data)
                recorder.step()
    return Replay(tmp_path / "run.flog")


@pytest.fixture
def page(replay: Replay) -> Iterator[Page]:
    one = Page([replay])
    yield one
    one.close()


def test_it_goes_to_any_state_of_any_environment(page: Page, replay: Replay) -> None:
    page.show(13)
    assert (replay.environment, page.frame, page.episode.number) == ("0", 13, 2)
    other = Replay(replay.reader.path, env="1")
    page.seek_order(int(other.orders[25]))
    assert (replay.environment, page.frame, page.episode.number) == ("1", 25, 3)
    page.seek(0.0)
    assert page.frame == 0
    page.show(10**6)
    assert page.frame == replay.frames - 1


def test_an_environment_that_comes_later_is_shown(tmp_path: Path) -> None:
    model = MODELS["half_cheetah"]()
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        StateRecorder(log, model, mujoco.MjData(model)).reset()
        replay = Replay(tmp_path / "run.flog")
        page = Page([replay])
        try:
            assert not page._env.visible
            StateRecorder(log, model, mujoco.MjData(model), env=1).reset()
            with page._lock:
                page._look()
                page.seek_order(int(Replay(tmp_path / "run.flog", env="1").orders[0]))
            assert (page._env.visible, page._env.options, page._env.value) == (True, ("0", "1"), "1")
            assert (replay.environment, page.frame) == ("1", 0)
        finally:
            page.close()


def test_frames_of_a_vector_are_shown_by_environment(tmp_path: Path) -> None:
    record_vector(tmp_path / "run.flog", 32)
    replay = Replay(tmp_path / "run.flog", model=MODELS["half_cheetah"](), env="1")
    page = Page([replay])
    try:
        page.show(13)
        assert (replay.environment, page.frame, page.episode.number) == ("1", 13, 2)
        assert page._curve_keys == ["reward"]
        assert len(page._plots[0][1][0]) == 10
        page.seek_order(int(replay.orders[25]))
        assert (page.frame, page.episode.number) == (25, 3)
    finally:
        page.close()


def test_the_models_of_a_run_and_of_its_ghost_may_change(tmp_path: Path) -> None:
    body = "<body><freejoint/><geom size='.1'/></body>"
    for name, counts in (("run", (1, 3, 2)), ("ghost", (3, 1, 2))):
        with trainlog.TrainingRecorder(tmp_path / f"{name}.flog") as log:
            for count in counts:
                model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{body * count}</worldbody></mujoco>")
                recorder = StateRecorder(log, model, mujoco.MjData(model))
                recorder.reset()
    page = Page([Replay(tmp_path / "run.flog"), Replay(tmp_path / "ghost.flog")])
    try:
        for frame in (2, 1, 0, 1, 2):
            page.show(frame)
            assert page.episode.number == frame + 1
    finally:
        page.close()


def test_a_port_that_there_is_not(replay: Replay) -> None:
    for port in (-1, 70000):
        with pytest.raises(ValueError, match="port is a number from 0 to 65535"):
            Page([replay], port=port)


def test_it_is_served_on_this_machine_only(page: Page, replay: Replay) -> None:
    port = int(page.url.rpartition(":")[2].strip("/"))
    assert page.url == f"http://127.0.0.1:{port}/"
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1"}:
        with pytest.raises(OSError), socket.create_connection((address, port), timeout=2):
            pass
    with pytest.raises(CodecError, match=f"port {port} of 127.0.0.1 is in use"):
        Page([replay], port=port)
