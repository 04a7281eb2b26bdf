"""The 3-D page in Chromium: the slider moves the robot, a live run is followed, the dashboard leads to it."""

from __future__ import annotations

import contextlib
import ctypes.util
import importlib.util
import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("mjviser")
pytest.importorskip("PIL")

from PIL import Image

import trainlog
from mujoco_runs import MODELS, Run, mujoco
from trainlog.mujoco import Replay, StateRecorder
from trainlog.mujoco.page import Page

assert importlib.util.find_spec("trainlog")


@pytest.fixture(scope="module")
def webgl(make_chrome: Callable[..., Any]) -> Iterator[Any]:
    # Mesa, which MuJoCo's pictures need too, starts a scene in a third of the time that SwiftShader takes.
    mesa, own = ("gl-egl", "--ignore-gpu-blocklist"), ("swiftshader", "--enable-unsafe-swiftshader")
    angle, allowed = mesa if ctypes.util.find_library("EGL") else own
    driver = make_chrome(f"--use-angle={angle}", allowed, "--window-size=900,700")
    yield driver
    driver.quit()


class View:
    """The page as somebody sees it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, url: str) -> View:
        self.driver.get(url)
        self.until(lambda: "state" in self.text and self.robot() > 500, 90)
        return self

    @property
    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))

    def picture(self) -> Any:
        """The part where the scene is, without the panel on the right and the notice above."""
        image = Image.open(io.BytesIO(self.screenshot())).convert("RGB")
        return np.asarray(image, np.int16)[170:560, 0:540]

    def screenshot(self) -> bytes:
        """The window; a processor that draws all of WebGL may need more than the ten seconds that the driver waits."""
        from selenium.common.exceptions import TimeoutException

        for _ in range(5):
            with contextlib.suppress(TimeoutException):
                return bytes(self.driver.get_screenshot_as_png())
        return bytes(self.driver.get_screenshot_as_png())

    def robot(self) -> int:
        """How many pixels have the robot's colour."""
        picture = self.picture()
        return int((picture[..., 0] > picture[..., 2] + 40).sum())

    def changed(self, before: Any) -> int:
        """How many pixels of the scene are others than *before*."""
        return int((np.abs(self.picture() - before) > 40).any(axis=2).sum())

    def settled(self) -> Any:
        """The picture, once it does not change any more."""
        before = self.picture()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.3)
            now = self.picture()
            if (np.abs(now - before) > 8).mean() < 1e-4:
                return now
            before = now
        raise AssertionError("the scene never settled")

    def slider(self) -> Any:
        return self.driver.find_elements("css selector", "[role=slider]")[0]

    def until(self, is_so: Callable[[], Any], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, f"that was not seen on the page: {self.text}"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def serve_page() -> Iterator[Callable[..., Page]]:
    pages: list[Page] = []

    def serve(*logs: Path, **settings: Any) -> Page:
        pages.append(Page([Replay(log) for log in logs], **settings))
        return pages[-1]

    yield serve
    with ThreadPoolExecutor() as pool:  # viser takes seconds to stop
        list(pool.map(Page.close, pages))


def test_the_slider_and_the_keys_move_the_robot(webgl: Any, serve_page: Callable[..., Page], tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    log = Run(MODELS["ant"](), nstep=5).record(tmp_path / "run.flog", 60, resets=40)
    page = serve_page(log)
    page.show(0)
    assert page.url.startswith("http://127.0.0.1:")
    view = View(webgl).open(page.url)
    view.until(lambda: "state 0 of 0 to 61 · step 0" in view.text)
    before = view.settled()
    slider = view.slider()
    slider.send_keys(Keys.ARROW_RIGHT * 25)
    view.until(lambda: "state 0 " not in view.text)
    view.until(lambda: slider.get_attribute("aria-valuenow") in view.text)
    view.until(lambda: view.changed(before) > 300)
    moved = view.settled()
    slider.send_keys(Keys.HOME)
    view.until(lambda: "state 0 of 0 to 61" in view.text)
    view.until(lambda: view.changed(moved) > 300)
    assert "reward" in view.text.lower()


def test_a_ghost_is_shown_beside_the_robot(webgl: Any, serve_page: Callable[..., Page], tmp_path: Path) -> None:
    first = Run(MODELS["half_cheetah"](), nstep=5).record(tmp_path / "a.flog", 30)
    other = Run(MODELS["half_cheetah"](), nstep=5)
    other.rng = np.random.default_rng(99)
    second = other.record(tmp_path / "b.flog", 30)
    page = serve_page(first, second)
    page.show(25)
    view = View(webgl).open(page.url)
    assert "b.flog" in view.text
    view.settled()
    with_ghost = view.robot()
    page = serve_page(first)
    page.show(25)
    view.open(page.url)
    view.settled()
    assert with_ghost > view.robot() + 500


def test_a_live_run_is_followed(webgl: Any, serve_page: Callable[..., Page], tmp_path: Path) -> None:
    model = MODELS["ant"]()
    data = mujoco.MjData(model)
    with trainlog.TrainingRecorder(tmp_path / "live.flog") as log:
        recorder = StateRecorder(log, model, data)
        recorder.reset()
        view = View(webgl).open(serve_page(tmp_path / "live.flog").url)
        view.until(lambda: "state 0 of 0 to 0" in view.text)
        follow = webgl.find_elements("xpath", "//*[text()='Follow the run']/ancestor::*[.//input[@type='checkbox']][1]")
        follow[-1].find_element("css selector", "input[type=checkbox]").click()
        before = view.settled()
        for n in range(50):
            data.ctrl[:] = n % 3 - 1
            mujoco.mj_step(model, data, nstep=5)
            recorder.step()
        view.until(lambda: "state 50 of 0 to 50" in view.text)
        view.until(lambda: view.changed(before) > 300)


def test_joints_and_bodies_are_listed_by_name(webgl: Any, serve_page: Callable[..., Page], tmp_path: Path) -> None:
    log = Run(MODELS["half_cheetah"](), nstep=5).record(tmp_path / "run.flog", 20)
    page = serve_page(log)
    page.show(20)
    view = View(webgl).open(page.url)
    folder = webgl.find_elements("xpath", "//*[text()='Joints and bodies']")[-1]
    webgl.execute_script("arguments[0].scrollIntoView({block: 'center'})", folder)
    folder.click()
    data = Replay(log).at(20)
    view.until(lambda: f"bthigh\t{data.qpos[3]:.4f}\trad" in view.text)
    assert f"rootx\t{data.qvel[0]:.4f}\tm/s" in view.text
    x, y, z = data.body("ffoot").xpos
    assert f"ffoot\t{x:.3f}  {y:.3f}  {z:.3f}\tm" in view.text


def test_the_link_of_the_dashboards_moment_leads_to_the_same_state(
    webgl: Any, serve: Callable[..., Any], tmp_path: Path
) -> None:
    Run(MODELS["half_cheetah"](), nstep=5).record(tmp_path / "run.flog", 30)
    site = serve(tmp_path)
    run = site.id("run.flog")
    frame = site.run("run.flog", "frame", kind="creature", row=17)
    view = View(webgl)

    def panel() -> str:
        return str(webgl.execute_script("return document.querySelector('#moment').innerText"))

    def follow_the_link(state: int) -> str:
        dashboard = webgl.current_window_handle
        webgl.find_element("css selector", "#moment a.scene").click()
        view.until(lambda: len(webgl.window_handles) == 2)
        webgl.switch_to.window(next(one for one in webgl.window_handles if one != dashboard))
        view.until(lambda: webgl.current_url.startswith("http://127.0.0.1:"), 60)
        assert str(site.port) not in webgl.current_url
        view.until(lambda: f"state {state} of 0 to 30" in view.text and view.robot() > 500, 60)
        url = str(webgl.current_url)
        webgl.close()
        webgl.switch_to.window(dashboard)
        return url

    webgl.get(f"http://127.0.0.1:{site.port}/?at={run}:{frame['time']}")
    view.until(lambda: "creature frame 18 of 31" in panel())
    words = panel().split()
    assert "bthigh" in words
    assert "rad/s" in words
    assert f"{frame['data']['pos'][3]:.3f}" in words
    first = follow_the_link(17)
    slider = webgl.find_element("css selector", "#moment input[type=range]")
    webgl.execute_script("arguments[0].value = 3; arguments[0].dispatchEvent(new Event('input'))", slider)
    view.until(lambda: "creature frame 4 of 31" in panel())
    assert follow_the_link(3) == first  # the same page
