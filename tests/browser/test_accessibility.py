"""What axe says of the page: of each of its views, in light and in dark."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

import trainlog
from trainlog import Frame, Kind, Variable

_AXE = """const done = arguments[0];
const told = (node) => node.html.slice(0, 200) + node.failureSummary;
axe.run(document, {resultTypes: ['violations']}).then((found) => done(
  found.violations.map(({id, nodes}) => [id, nodes.slice(0, 5).map(told)])))"""


def record(path: Path, reward: float, seed: int) -> None:
    """A run with words, events, a ball that is not there, and creature frames with a path."""
    meta = {"creature": "go2", "task": "walk", "algo": path.stem[0], "seed": seed}
    with trainlog.create(path, meta) as log:
        for n in range(40):
            place = {"x": n / 10, "y": (n % 7) / 10, "pos": [n / 10, 0.0, 0.3, 1.0]}
            log.write(Frame(float(n), Kind.CREATURE, {"step": n, **place}))
            row = {"step": n, "reward": reward + n, "upright": 1.0, "ball_dist": -1.0, "gait/phase": n % 5}
            log.write(Frame(float(n), Kind.STATS, {**row, "behavior": "walk" if n < 20 else "trot"}))
        log.write(Frame(20.0, Kind.EVENT, {"type": "fall", "message": "it fell"}))


def learn(path: Path) -> None:
    """A run of two episodes, with a sample of a function."""
    variable = Variable("angle", "state", key="state/angle", unit="rad", low=-3.0, high=3.0)
    summary = {"index": 0, "sub_index": 0, "complete": True, "length": 10, "return": 1.0, "reward": 0.1}
    with trainlog.create(path, {"task": "swing up"}, variables=(variable,)) as log:
        for episode, type in ((1, "evaluation"), (2, "training")):
            for step in range(10):
                log.write(Frame(episode + step / 20, Kind.CREATURE, {"step": step + 1, "state/angle": step / 5}))
            row = {"episode": episode, "episode_type": type, **summary}
            log.write(Frame(episode + 0.5, Kind.STATS, row))
        sample = {"type": "function_sample", "function": "V(angle)", "id": 0, "step": 0, "experiment_step": 20}
        log.write(Frame(3.0, Kind.EVENT, {**sample, "shape": [1, 1, 4], "values": [0.0, 1.0, 2.0, 3.0]}))


def test_axe_finds_nothing(page: Any, runs: Path) -> None:
    package = importlib.util.find_spec("axe_playwright_python")  # not imported, which would need Playwright
    if package is None or not package.submodule_search_locations:
        pytest.skip("axe-playwright-python is not installed; it is in the group test")
    axe = (Path(package.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")
    wrong: dict[str, Any] = {}

    def look(view: str) -> None:
        page.js(f"if (!window.axe) {{ {axe} }}")
        for scheme in ("dark", "light"):
            page.scheme(scheme)
            page.until(lambda scheme=scheme: page.js("return document.documentElement.dataset.theme") == scheme)
            found = page.driver.execute_async_script(_AXE)
            if found:
                wrong[f"{view}, {scheme}"] = found

    page.open()
    page.until(lambda: page.all("#empty"))
    look("an empty folder")
    for n, name in enumerate(("a0", "a1", "b0", "b1")):
        record(runs / f"{name}.flog", 10.0 * n, n % 2)
    learn(runs / "c.flog")
    (runs / "damaged.flog").write_bytes(b"FLOG\x01\x00\x00\xff\x00\x00\x00{")
    page.site.until(lambda: page.site.get("/api/v1/runs", limit=0).json["total"] == 6)
    page.site.until(lambda: page.site.get("/api/v1/runs", limit=0).json["unread"] == 0)
    ids = {name: page.site.id(f"{name}.flog") for name in ("a0", "a1", "b0", "b1", "c")}
    four = ",".join(f"{ids[name]}:{n}" for n, name in enumerate(("a0", "a1", "b0", "b1")))

    page.open(f"?x=step&runs={four}&card=;t:learning")
    page.until(lambda: len(page.all('[data-card="learning"] .legend .name')) == 4)
    page.js("document.querySelector('.metadata').open = true")
    page.menu("stability", "PNG")
    look("charts, a table of values, a menu, hyper-parameters")
    page.point("learning", 0.5)
    page.until(lambda: page.all(".tip"))
    look("the pointer")
    page.open(f"?x=step&runs={four}&at={ids['a0']}:20")
    page.until(lambda: "pos" in page.text("#moment"))
    page.select("#moment .beside select", ids["b0"])
    page.until(lambda: "difference" in page.text("#moment"))
    look("the moment")
    page.open(f"?x=step&runs={four}&group=algo")
    page.until(lambda: len(page.all(".chip")) == 2)
    page.drawn("learning")
    look("groups")
    page.press("?")
    page.until(lambda: page.one("#keys").is_displayed())
    look("the keys")
    page.open(f"?runs={four}&table=1")
    page.until(lambda: len(page.all("#table .row[aria-selected=true]")) == 4)
    look("the table")
    page.js("document.querySelector('#table .columns').open = true")
    page.until(lambda: page.all("#table .choices label"))
    look("the columns")
    page.js("document.querySelector('#table .columns').open = false")
    page.press("al", on=page.one("#filter"))
    page.until(lambda: "algo" in page.text(".complete"))
    look("proposals")
    page.js("document.querySelector('#table .row .act').click()")
    page.until(lambda: page.one("#notes").is_displayed())
    look("notes")
    page.open(f"?runs={ids['c']}:0&episode={ids['c']}:2")
    page.until(lambda: "Episode 2" in page.text("#board"))
    page.until(lambda: page.all(".heat .ends span"))
    page.one("#views summary").click()
    page.until(lambda: page.all("#views form"))
    look("episodes, a learned function, saved views")
    page.resize(390, 844)
    page.open(f"?x=step&runs={four}")
    page.drawn("learning")
    look("a phone")
    page.one("#menu").click()
    page.until(lambda: page.one(".run").is_displayed())
    look("a phone, the list")
    assert not wrong, json.dumps(wrong, indent=1)
