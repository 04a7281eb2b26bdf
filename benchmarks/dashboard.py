"""Pictures of the dashboard in headless Chromium, of generated logs: those of docs/dashboard.md, or many for review.

python -m benchmarks.dashboard docs/images           # those of the docs
python -m benchmarks.dashboard --all OUT             # 1, 5, 20 and 200 runs; light and dark; wide, laptop and phone
python -m benchmarks.dashboard --all OUT --only dark # of those whose names have the word
"""

from __future__ import annotations

import argparse
import io
import math
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import trainlog
from benchmarks.serve import Served, until
from trainlog import Frame, Kind, Variable

_SIZES = {"laptop": (1366, 768), "wide": (1920, 1080), "phone": (390, 844)}
_CHOOSE = "const s = document.querySelector(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'))"
_SHOW = "document.querySelector(arguments[0]).scrollIntoView({block: 'start'})"
_OPEN = "document.querySelector(arguments[0]).open = true"
_POINT = """
const canvas = document.querySelector(arguments[0] + ' canvas'), box = canvas.getBoundingClientRect();
const place = {clientX: box.left + box.width * arguments[1], clientY: box.top + box.height * arguments[2]};
canvas.dispatchEvent(new PointerEvent('pointermove', {...place, pointerId: 1, bubbles: true}));
"""


# --- logs ---


def walk(path: Path, *, seed: int = 7, count: int = 300) -> None:
    """One run of a robot that plays with a ball: statistics, creature frames, events, words."""
    rng = random.Random(seed)
    words = ("stand", "walk", "trot", "chase", "sniff", "play")
    x = y = heading = 0.0
    behavior = words[0]
    meta = {"creature": "go2", "task": "plays with a ball", "seed": seed, "dt": 0.005, "lr": 3e-4}
    with trainlog.create(path, meta) as log:
        for n in range(count * 10):
            heading += rng.gauss(0, 0.06)
            x, y = x + 0.02 * math.cos(heading), y + 0.02 * math.sin(heading)
            state = {"pos": [x, y, 0.27, *(round(rng.gauss(0, 0.5), 4) for _ in range(16))], "speed": 0.4}
            log.write(
                Frame(n / 5, Kind.CREATURE, {"step": n * 10, "x": x, "y": y, "ball_pos": [3.0, 1.0, 0.1], **state})
            )
            if n % 10:
                continue
            part = n / count / 10
            behavior = rng.choice(words) if rng.random() < 0.12 else behavior
            row = {
                "step": n * 10,
                "episode": n // 200,
                "ball_dist": abs(1.6 * math.sin(9 * part) * (1 - part / 2)) + 0.1 + rng.random() / 20,
                "actor_competence": 1 - math.exp(-6 * part) + rng.gauss(0, 0.02),
                "cpg_weight": 0.4 + 0.5 * math.exp(-8 * part),
                "reward": 8 * (1 - math.exp(-4 * part)) + rng.gauss(0, 0.7),
                "task_pe": -rng.random() * (1 - part),
                "pred_error": 0.5 * math.exp(-5 * part) + rng.random() / 20,
                "pf_pkc_weight": 0.4 * part**0.5,
                "correction_mag": 0.05 + rng.random() / 50,
                "grc_sparseness": 0.2 + rng.gauss(0, 0.004),
                "upright": 1 - 0.3 * math.exp(-9 * part) * rng.random(),
                "vel_mps": 0.4 * (1 - math.exp(-5 * part)) + rng.gauss(0, 0.03),
                "behavior": behavior,
                "loss/policy": math.exp(-3 * part) + rng.gauss(0, 0.04),
                "loss/value": 2 * math.exp(-5 * part) + rng.random() / 10,
            }
            if rng.random() < 0.02:
                log.write(Frame(n / 5, Kind.EVENT, {"type": "fall", "message": "it fell"}))
            log.write(Frame(n / 5, Kind.STATS, row))


def sweep(folder: Path, count: int, rows: int = 250) -> None:
    """Runs of four algorithms with two learning rates and many seeds, in folders as a sweep leaves them."""
    for n in range(count):
        rng = random.Random(n)
        algo = ("sac", "ppo", "td3", "dreamer")[n % 4]
        lr, seed = (1e-3, 3e-4)[n // 4 % 2], n // 8
        top = {"sac": 90, "ppo": 70, "td3": 80, "dreamer": 100}[algo] * (1 if lr < 5e-4 else 0.8) + rng.gauss(0, 5)
        path = folder / f"{algo}-lr{lr:g}" / f"seed{seed:02}.flog"
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = {"creature": "hopper", "task": "hop", "algo": algo, "seed": seed, "args": {"lr": lr, "gamma": 0.99}}
        with trainlog.create(path, meta) as log:
            for k in range(rows):
                part = k / rows
                row = {
                    "step": 4000 * k,
                    "episode": 4 * k,
                    "reward": top * (1 - math.exp(-(3 + n % 3) * part)) + rng.gauss(0, 4),
                    "upright": 1 - 0.4 * math.exp(-6 * part) * rng.random(),
                    "loss/policy": math.exp(-3 * part) + rng.gauss(0, 0.03),
                    "loss/value": 3 * math.exp(-4 * part) + rng.random() / 5,
                    "entropy": 2 - part + rng.gauss(0, 0.05),
                    "fps": 900 + rng.gauss(0, 30),
                }
                log.write(Frame(12.0 * k, Kind.STATS, row))


def episodes(path: Path, count: int = 40, steps: int = 60) -> None:
    """Episodes of training and evaluation of a pendulum, with samples of a learned function."""
    rng = random.Random(3)
    variables = (
        Variable("angle", "state", key="state/angle", unit="rad", low=-math.pi, high=math.pi),
        Variable("velocity", "state", key="state/velocity", unit="rad/s", low=-8.0, high=8.0),
        Variable("torque", "action", key="action/torque", unit="Nm", low=-2.0, high=2.0),
    )
    time = 0.0
    with trainlog.create(path, {"task": "swing up", "creature": "pendulum"}, variables=variables) as log:
        for number in range(1, count + 1):
            kind, skill = ("evaluation" if number % 4 == 1 else "training"), number / count
            angle, velocity, total = math.pi * (1 - 2 * rng.random()), 0.0, 0.0
            for step in range(steps):
                torque = max(-2.0, min(2.0, -3 * skill * angle + rng.gauss(0, 1 - skill / 2)))
                velocity = 0.9 * velocity + 0.3 * (math.sin(angle) + torque)
                angle = (angle + 0.1 * velocity + math.pi) % (2 * math.pi) - math.pi
                total -= abs(angle) / 10
                time += 0.05
                values = {"state/angle": angle, "state/velocity": velocity, "action/torque": torque}
                log.write(Frame(time, Kind.CREATURE, {"step": step + 1, "episode": number, **values}))
            row = {"episode": number, "episode_type": kind, "index": number, "sub_index": 0, "complete": True}
            row |= {"length": steps, "return": total, "reward": total / steps}
            log.write(Frame(time, Kind.STATS, row))
            if number % 8 == 1:
                grid = [
                    -skill * (0.4 * (x - 10) ** 2 + (y - 10) ** 2 + 0.9 * (x - 10) * (y - 10)) / 20 + rng.gauss(0, 0.4)
                    for y in range(21)
                    for x in range(21)
                ]
                sample = {"type": "function_sample", "function": "V(angle,velocity)", "id": 0, "step": 0}
                sample |= {"experiment_step": number * steps, "shape": [1, 21, 21], "values": grid}
                log.write(Frame(time, Kind.EVENT, sample))


# --- the browser ---


class View(NamedTuple):
    """A picture: its name, the folder, the address (``{all}`` stands for the runs), and the actions that follow."""

    name: str
    folder: str
    query: str
    size: tuple[int, int] = _SIZES["laptop"]
    theme: str = "light"
    acts: tuple[tuple[Any, ...], ...] = ()


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1366,768"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def take(driver: Any, site: Served, view: View) -> bytes:
    """A picture of the page once nothing on it is loading."""
    ids = site.get("/api/v1/ids?sort=run")[1]["ids"]
    width, height = view.size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = [
        {"name": "prefers-color-scheme", "value": view.theme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    shown = ",".join(f"{id}:{n}" for n, id in enumerate(ids))
    driver.get(
        f"http://127.0.0.1:{site.port}/?{view.query.replace('{all}', shown).replace('{first}', ids[0] if ids else '')}"
    )
    settle(driver)
    for code, *values in view.acts:
        driver.execute_script(code, *values)
        settle(driver)
    raw: bytes = driver.get_screenshot_as_png()
    return raw


def settle(driver: Any) -> None:
    """Wait until the page sends no requests and looks the same twice."""
    before, quiet = b"", 0
    end = time.monotonic() + 30
    while quiet < 2 and time.monotonic() < end:
        time.sleep(0.3)
        now = driver.get_screenshot_as_png()
        quiet = quiet + 1 if now == before and not driver.find_elements("css selector", ".progress, .loading") else 0
        before = now


def small(raw: bytes) -> bytes:
    """The same picture with 256 colours."""
    from PIL import Image

    buffer = io.BytesIO()
    picture = Image.open(io.BytesIO(raw)).convert("RGB")
    picture.quantize(256, kmeans=1, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


# --- which pictures ---

_TABLE = "table=1&sort=-last/reward"
_DOCS = (
    View("dashboard-live", "1", "x=step", (1300, 940)),
    View(
        "dashboard-compare",
        "5",
        "x=step&smooth=auto&runs={all}",
        theme="dark",
        acts=((_POINT, "[data-card=learning]", 0.6, 0.4),),
    ),
    View("dashboard-table", "200", f"{_TABLE}&filter=lr=0.0003", (1300, 520)),
    View(
        "dashboard-groups",
        "20",
        "x=step&group=algo&runs={all}",
        (1300, 620),
        acts=((_POINT, "[data-card=learning]", 0.6, 0.3),),
    ),
    View("dashboard-moment", "1", "x=step&at={first}:300"),
    View("dashboard-simion", "episodes", "", (1366, 900), acts=((_SHOW, "[data-group=functions]"),)),
    View("dashboard-phone", "1", "x=step", _SIZES["phone"]),
)


def _all() -> Iterator[View]:
    for folder in ("1", "5", "20", "200"):
        yield View(f"{folder}-light", folder, "x=step&runs={all}")
    for size in ("wide", "phone"):
        for folder in ("1", "20", "200"):
            yield View(f"{folder}-{size}", folder, "x=step&runs={all}", _SIZES[size])
    yield View("20-dark", "20", "x=step&runs={all}", theme="dark", acts=((_POINT, "[data-card=learning]", 0.5, 0.5),))
    yield View("20-smooth", "20", "x=step&smooth=auto&runs={all}")
    for theme in ("light", "dark"):
        yield View(f"table-200-{theme}", "200", f"{_TABLE}&runs={{all}}", theme=theme)
        yield View(f"groups-20-{theme}", "20", "x=step&group=*&runs={all}", theme=theme)
        yield View(f"moment-{theme}", "1", "x=step&at={first}:300", theme=theme)
        yield View(
            f"menu-{theme}", "5", "x=step&runs={all}", theme=theme, acts=((_OPEN, "[data-card=learning] .more"),)
        )
        yield View(f"help-{theme}", "5", "x=step", theme=theme, acts=(("document.querySelector('#help').click()",),))
        yield View(f"simion-{theme}", "episodes", "", theme=theme, acts=((_SHOW, "[data-group=functions]"),))
    yield View("table-200-wide", "200", _TABLE, _SIZES["wide"])
    yield View("table-200-phone", "200", _TABLE, _SIZES["phone"])
    yield View("groups-200", "200", "x=step&group=algo&runs={all}", acts=((_POINT, "[data-card=learning]", 0.5, 0.5),))
    yield View("groups-200-phone", "200", "x=step&group=algo&runs={all}", _SIZES["phone"])
    yield View("columns", "20", _TABLE, acts=((_OPEN, "#table .columns"),))
    yield View("metadata", "5", "x=step&runs={all}", acts=((_OPEN, ".metadata"),))
    yield View("legend", "200", "x=step&runs={all}", acts=(("document.querySelector('.more-runs').click()",),))
    yield View("side-phone", "20", "x=step", _SIZES["phone"], acts=(("document.querySelector('#menu').click()",),))
    yield View("moment-phone", "1", "x=step&at={first}:300", _SIZES["phone"])
    yield View("simion-episodes", "episodes", "")
    yield View("empty", "empty", "")
    yield View("none", "5", "x=step", acts=(("document.querySelector('.run[aria-pressed=true]').click()",),))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--all", action="store_true", help="pictures to be looked at, not those of the docs")
    parser.add_argument("--only", default="", help="those whose names have this word")
    chosen = parser.parse_args()
    views = [view for view in (_all() if chosen.all else _DOCS) if chosen.only in view.name]
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, chromium() as driver:
        for folder in dict.fromkeys(view.folder for view in views):
            root = Path(name, folder)
            root.mkdir()
            if folder == "1":
                walk(root / "go2-ball.flog")
            elif folder == "episodes":
                episodes(root / "swing-up.flog")
            elif folder != "empty":
                sweep(root, int(folder))
            for n, log in enumerate(sorted(root.rglob("*.flog"))):  # nobody writes them anymore
                os.utime(log, (time.time() - 900 - 600 * n,) * 2)
            site = Served(root)
            try:
                until(lambda site=site: site.get("/api/v1/runs?limit=0")[1]["unread"] == 0)
                for view in views:
                    if view.folder == folder:
                        (chosen.out / f"{view.name}.png").write_bytes(small(take(driver, site, view)))
                        print(view.name, flush=True)
            finally:
                site.close()


if __name__ == "__main__":
    main()
