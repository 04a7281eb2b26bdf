"""Many windows of one browser on one server, which a browser opens six connections to at most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def windows(page: Any) -> Iterator[Any]:
    """Opens windows; in the end only the first one is left."""
    first = page.driver.current_window_handle

    def opened(query: str) -> str:
        page.driver.switch_to.new_window("window")
        page.resize(900, 700)
        page.open(query)
        return str(page.driver.current_window_handle)

    yield opened
    for handle in page.driver.window_handles:
        if handle != first:
            page.driver.switch_to.window(handle)
            page.driver.close()
    page.driver.switch_to.window(first)


def test_the_tenth_window_shows_what_the_first_does(page: Any, writer: Any, windows: Any) -> None:
    writer.steps(20)
    page.open("?x=step")
    handles = [page.driver.current_window_handle, *(windows("?x=step") for _ in range(9))]
    for handle in handles:
        page.driver.switch_to.window(handle)
        page.drawn("learning")
    page.until(lambda: page.text("#link") == "live")
    writer.steps(1, reward=4321.0)
    for handle in handles:
        page.driver.switch_to.window(handle)
        assert page.js("return document.hidden") is False
        page.until(lambda: page.values("learning")[:1] == ["4,321"])


def test_a_window_hears_of_its_own_runs_and_misses_nothing(page: Any, writer: Any, windows: Any, runs: Any) -> None:
    import trainlog

    writer.steps(20)
    with trainlog.TrainingRecorder(runs / "other.flog", "ant") as log:
        log.record_stats_frame(None, {"step": 1, "reward": 5.0})
        ids = {name: page.site.id(name) for name in ("live.flog", "other.flog")}
        page.open(f"?x=step&runs={ids['live.flog']}:0")
        page.drawn("learning")
        first = page.driver.current_window_handle
        page.until(lambda: page.text("#link") == "live")
        second = windows(f"?x=step&runs={ids['other.flog']}:1")
        page.until(lambda: page.values("learning") == ["5"])
        log.record_stats_frame(None, {"step": 2, "reward": 66.0})
        writer.steps(1, reward=777.0)
        page.until(lambda: page.values("learning") == ["66"])
        page.driver.switch_to.window(first)
        page.until(lambda: page.values("learning")[:1] == ["777"])
        page.driver.switch_to.window(second)
        page.driver.close()
        page.driver.switch_to.window(first)
        third = windows(f"?x=step&runs={ids['live.flog']}:0")
        page.until(lambda: page.values("learning")[:1] == ["777"])
        writer.steps(1, reward=888.0)
        for handle in (first, third):
            page.driver.switch_to.window(handle)
            page.until(lambda: page.values("learning")[:1] == ["888"])


def test_without_shared_workers_each_window_has_a_stream(page: Any, writer: Any) -> None:
    writer.steps(20)
    code = "delete globalThis.SharedWorker"
    made = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": code})
    try:
        page.open("?x=step")
        page.drawn("learning")
        page.until(lambda: page.text("#link") == "live")
        writer.steps(1, reward=999.0)
        page.until(lambda: page.values("learning")[:1] == ["999"])
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)
