"""A real browser, headless; a process that writes a log when it is told to; a server."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from served import runs, serve, simion

__all__ = ["runs", "serve", "simion"]

# The one without windows draws the same in two thirds of the processor time.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
DRIVER = shutil.which("chromedriver")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def make_chrome() -> Callable[..., Any]:
    """Starts a browser with more flags."""
    selenium = importlib.util.find_spec("selenium")
    missing = "Chromium" if CHROMIUM is None else "chromedriver" if DRIVER is None else "" if selenium else "selenium"
    if missing and os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"there is no {missing}, and in CI the tests of the page may not be skipped")
    if missing:
        pytest.skip(f"the page is not tested: there is no {missing} here (Debian: apt-get install chromium-driver)")
    from selenium import webdriver

    def make(*more: str) -> Any:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (
            *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000"),
            *("--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync"),
            *("--hide-scrollbars", "--force-device-scale-factor=1", *more),
        ):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        driver.set_script_timeout(120)
        return driver

    return make


@pytest.fixture(scope="session")
def chrome(make_chrome: Callable[..., Any]) -> Iterator[Any]:
    driver = make_chrome("--disable-gpu")
    yield driver
    driver.quit()


# The pixels of the chart of a card, its name being the first argument; 0 is returned while it is empty.
_PIXELS = """
    const canvas = document.querySelector(`[data-card="${arguments[0]}"] canvas`);
    if (!canvas || !canvas.width) return 0;
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const pen = copy.getContext("2d", {willReadFrequently: true});
    pen.drawImage(canvas, 0, 0);
    const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data;
"""


class Page:
    """The dashboard in a browser. Nothing here knows how the page is made, beyond what is written on it."""

    def __init__(self, driver: Any, site: Any) -> None:
        self.driver = driver
        self.site = site
        self.requests: list[str] = []
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.resize(1400, 1000)
        self.scheme("light")

    def open(self, query: str = "") -> Page:
        self.driver.get(f"http://127.0.0.1:{self.site.port}/{query}")
        return self

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def scheme(self, value: str) -> None:
        feature = {"name": "prefers-color-scheme", "value": value}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def js(self, code: str, *values: Any) -> Any:
        return self.driver.execute_script(code, *values)

    def one(self, selector: str) -> Any:
        self.until(lambda: self.all(selector))
        return self.all(selector)[0]

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def text(self, selector: str) -> str:
        return str(self.js("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def until(self, is_so: Callable[[], Any], seconds: float = 60) -> None:
        """Wait for what a slow machine shows late; nothing is waited for that is there."""
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, "that was not seen on the page"
            time.sleep(0.02)

    def ink(self, card: str) -> int:
        """A number that changes with every pixel of a chart; 0 while it is empty."""
        return int(
            self.js(
                _PIXELS
                + """
                let sum = 0;
                for (let i = 0; i < pixels.length; i++) sum = (sum * 31 + pixels[i]) % 1000000007;
                return sum;""",
                card,
            )
        )

    def colored(self, card: str) -> int:
        """How many pixels of a chart are neither ground nor grey."""
        return int(
            self.js(
                _PIXELS
                + """
                let count = 0;
                for (let i = 0; i < pixels.length; i += 4) {
                  const [r, g, b, a] = pixels.slice(i, i + 4);
                  if (a > 60 && Math.max(r, g, b) - Math.min(r, g, b) > 60) count++;
                }
                return count;""",
                card,
            )
        )

    def drawn(self, card: str) -> None:
        self.until(lambda: self.colored(card) > 20)

    def values(self, card: str) -> list[str]:
        code = (
            'return [...document.querySelectorAll(`[data-card="${arguments[0]}"] .legend b`)].map((b) => b.textContent)'
        )
        return list(self.js(code, card))

    def menu(self, card: str, text: str) -> Any:
        """Open the menu of a card, and find an entry that begins with *text*."""
        self.js(
            'const m = document.querySelector(`[data-card="${arguments[0]}"] .more`); m.open = false; m.open = true',
            card,
        )
        found: list[Any] = []

        def look() -> bool:
            entries = self.all(f'[data-card="{card}"] .more button, [data-card="{card}"] .more a')
            found[:] = [one for one in entries if one.text.startswith(text)]
            return bool(found)

        self.until(look)
        return found[0]

    def choose(self, card: str, text: str) -> None:
        """Take that entry of the menu."""
        self.js("arguments[0].click()", self.menu(card, text))

    def select(self, selector: str, value: str) -> None:
        """Choose from a list of the page, as a person does."""
        code = "const one = document.querySelector(arguments[0]); one.value = arguments[1];"
        self.js(f"{code} one.dispatchEvent(new Event('change'))", selector, value)

    def show(self, card: str) -> None:
        self.js("document.querySelector(`[data-card=\"${arguments[0]}\"]`).scrollIntoView({block: 'center'})", card)

    def drag(self, card: str, start: float, end: float) -> None:
        from selenium.webdriver import ActionChains

        canvas = self.one(f'[data-card="{card}"] canvas')
        width = canvas.size["width"]
        chain = ActionChains(self.driver, duration=20)
        chain.move_to_element_with_offset(canvas, int((start - 0.5) * width), 0).click_and_hold()
        chain.move_by_offset(int((end - start) / 2 * width), 3).move_by_offset(int((end - start) / 2 * width), 0)
        chain.release().perform()

    def point(self, card: str, where: float, *, click: bool = False) -> None:
        from selenium.webdriver import ActionChains

        canvas = self.one(f'[data-card="{card}"] canvas')
        chain = ActionChains(self.driver, duration=20)
        chain.move_to_element_with_offset(canvas, int((where - 0.5) * canvas.size["width"]), 0)
        (chain.click() if click else chain).perform()

    def press(self, *keys: str, on: Any = None) -> None:
        (on or self.one("body")).send_keys(*keys)

    def look_at_requests(self) -> list[str]:
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
        return self.requests

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.fixture
def page(chrome: Any, serve: Callable[..., Any], runs: Path) -> Iterator[Page]:
    """The page of the folder of runs; in the end nothing has gone wrong in it, and nobody else was asked."""
    chrome.get("about:blank")
    chrome.get_log("performance")
    chrome.get_log("browser")
    site = serve(runs)
    page = Page(chrome, site)
    origin = {"origin": f"http://127.0.0.1:{site.port}", "storageTypes": "local_storage"}
    chrome.execute_cdp_cmd("Storage.clearDataForOrigin", origin)
    yield page
    assert page.complaints() == []
    own = (f"http://127.0.0.1:{site.port}/", "data:", "blob:", "about:", "chrome:")
    assert [url for url in page.look_at_requests() if not url.startswith(own)] == []
    chrome.get("about:blank")


class Writer:
    """A process that records a run, frame by frame, as it is told."""

    CODE = """
import json, sys, time, trainlog
with trainlog.TrainingRecorder(sys.argv[1], "go2", "plays with a ball", metadata={"dt": 0.005}) as log:
    print("ready", flush=True)
    for line in sys.stdin:
        for kind, data in json.loads(line):
            getattr(log, f"record_{kind}")(None, data) if kind != "event" else log.record_event(None, *data)
        print(time.time(), flush=True)
"""

    def __init__(self, path: Path) -> None:
        self.step = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.CODE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def write(self, *records: tuple[str, Any]) -> float:
        """Record, and say when that was done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(records) + "\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def steps(self, count: int, **more: Any) -> float:
        records: list[tuple[str, Any]] = []
        for _ in range(count):
            n = self.step
            self.step += 1
            place = [n * 0.02, 0.3 * (n % 40) / 40, 0.27]
            creature = {"step": n * 10, "pos": [*place, *[0.1] * 16], "vel": [0.2] * 18, "com": place, "speed": 0.4}
            records.append(("creature_frame", {**creature, "ball_pos": [2.0, 0.0, 0.12], "x": place[0], "y": place[1]}))
            stats = {
                "step": n * 10,
                "episode": n // 20,
                "ball_dist": 1.5 - (n % 50) / 50,
                "actor_competence": min(n / 60, 1.0),
                "cpg_weight": max(1 - n / 60, 0.1),
                "reward": 5.0 + n % 7,
                "task_pe": -(n % 3) / 3,
                "pred_error": 0.5 / (n + 1),
                "pf_pkc_weight": n / 100,
                "correction_mag": 0.1,
                "grc_sparseness": 0.2,
                "upright": 0.98,
                "vel_mps": 0.3 + (n % 5) / 10,
                "behavior": ["walk", "trot", "chase", "sniff", "play", "alert"][n // 10 % 6],
                "loss/policy": 1 / (n + 1),
                "loss/value": n % 11,
                **{f"gait_{leg}": n % (leg + 2) for leg in range(24)},
                **more,
            }
            records.append(("stats_frame", stats))
        return self.write(*records)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def writer(runs: Path) -> Iterator[Writer]:
    one = Writer(runs / "live.flog")
    yield one
    one.close()
