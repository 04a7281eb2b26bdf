"""How smoothly a chart of many runs moves in headless Chromium: measures what docs/dashboard.md says about it.

python -m benchmarks.pan --runs 100
"""

from __future__ import annotations

import argparse
import math
import os
import random
import tempfile
from pathlib import Path

import trainlog
from benchmarks.dashboard import chromium, settle
from benchmarks.serve import Served, until

_ROWS = 1000

# Moves the range by six pixels per animation frame for five seconds; returns the milliseconds of each frame.
_PAN = """
const done = arguments[0], canvas = document.querySelector('[data-card="learning"] canvas');
canvas.scrollIntoView({block: 'center'});
const box = canvas.getBoundingClientRect(), times = [];
canvas.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + 200, clientY: box.top + 60, bubbles: true}));
let last = 0, begun = 0;
function frame(now) {
  if (begun) times.push(now - last); else begun = now;
  last = now;
  const deltaX = Math.floor(times.length / 40) % 2 ? -6 : 6;
  canvas.dispatchEvent(new WheelEvent('wheel', {deltaX, deltaY: 0, bubbles: true, cancelable: true}));
  if (now - begun < 5000) requestAnimationFrame(frame); else done(times);
}
requestAnimationFrame(frame);
"""


def make(folder: Path, runs: int) -> None:
    """Logs of a noisy reward."""
    for seed in range(runs):
        noise = random.Random(seed)
        with trainlog.create(folder / f"{seed:03}.flog", {"seed": seed}) as log:
            for n in range(_ROWS):
                reward = 10 * (1 - math.exp(-n / 300)) + noise.gauss(seed / 50, 1)
                log.write(trainlog.Frame(n / 10, trainlog.Kind.STATS, {"step": n * 1000, "reward": reward}))


def measure(folder: Path) -> list[float]:
    """The milliseconds of each frame while all runs are moved."""
    count = len(list(folder.iterdir()))
    site = Served(folder)
    try:
        with chromium() as driver:
            until(lambda: site.get("/api/v1/runs?limit=0")[1]["total"] == count)
            ids = site.get("/api/v1/ids")[1]["ids"]
            driver.set_script_timeout(60)
            driver.get(f"http://127.0.0.1:{site.port}/?x=step&zoom=200000:600000&runs={','.join(ids)}")
            driver.implicitly_wait(120)
            driver.find_element("css selector", '[data-card="learning"] .more-runs')
            driver.implicitly_wait(0)  # `settle` looks for elements that should be absent
            settle(driver)
            found: list[float] = driver.execute_async_script(_PAN)
            return found
    finally:
        site.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), chosen.runs)
        times = sorted(measure(Path(folder)))
    rate = 1000 * len(times) / sum(times)
    print(f"{chosen.runs} runs: {rate:.0f} frames a second, median {times[len(times) // 2]:.0f} ms, ", end="")
    print(f"95 % below {times[len(times) * 95 // 100]:.0f} ms; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
