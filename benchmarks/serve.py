"""The dashboard with a log of gigabytes, and with many clients: measures what docs/dashboard.md promises.

python -m benchmarks.serve                 # a file of 2 GB in a temporary folder, which is removed again
python -m benchmarks.serve --size 0.2 --clients 10 --seconds 10 --no-browser
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack

import trainlog

_KEYS = 150


def make(path: Path, size: float) -> tuple[int, int]:
    """Write a log like those of the first trainer, of *size* bytes: 100 creature frames per frame of 150 statistics."""
    meta = json.dumps({"creature": "go2", "task": "plays with a ball", "dt": 0.005}).encode()
    stats = creature = 0
    with path.open("wb") as file:
        file.write(b"FLOG" + struct.pack("<HBI", 1, 0, len(meta)) + meta)
        written = file.tell()
        while written < size:
            parts = []
            for n in range(creature, creature + 100):
                place = [n * 0.001, (n % 997) / 997, 0.27]
                data = {"heading": 1.0, "speed": 0.3, "step": n * 10, "x": place[0], "y": place[1]}
                data |= {"ball_pos": [1.5, 0.0, 0.1], "pos": place * 8, "vel": place * 8, "com": place}
                payload = msgpack.packb(data)
                parts.append(struct.pack("<dBI", n * 0.05, 4, len(payload)) + payload)
            creature += 100
            row: dict[str, Any] = {f"group{k % 12}_key{k}": (stats * (k + 1) % 1009) / 1009 for k in range(_KEYS)}
            row |= {
                "step": stats * 1000,
                "ball_dist": (stats % 313) / 200,
                "reward": (stats % 101) / 10,
                "behavior": "walk",
            }
            row |= {"actor_competence": 0.5, "cpg_weight": 0.4, "task_pe": 0.1, "pred_error": 0.01, "upright": 1.0}
            payload = msgpack.packb(row)
            parts.append(struct.pack("<dBI", creature * 0.05, 2, len(payload)) + payload)
            stats += 1
            block = b"".join(parts)
            written += len(block)
            file.write(block)
    return stats, creature


class Served:
    """``trainlog serve`` in a separate process."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "trainlog", "serve", str(folder), "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        found = re.search(r"localhost:(\d+)", self.process.stderr.readline())
        assert found is not None
        self.port = int(found[1])
        while True:
            try:
                self.get("/api/v1/openapi.json")
                break
            except OSError:
                time.sleep(0.01)

    def get(self, path: str) -> tuple[float, Any]:
        """The seconds that it took, and the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        began = time.perf_counter()
        connection.request("GET", path)
        body = connection.getresponse().read()
        took = time.perf_counter() - began
        connection.close()
        return took, json.loads(body)

    def memory(self, which: str = "VmRSS") -> float:
        """Megabytes now (VmRSS) or at most (VmHWM)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{which}:\s+(\d+) kB", text)
        return int(found[1]) / 1000 if found else 0.0

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stderr is not None
        self.process.stderr.close()


def until(is_so: Callable[[], Any], seconds: float = 300) -> float:
    """Wait for it, and return how long it took."""
    began = time.perf_counter()
    while not is_so():
        if time.perf_counter() - began > seconds:
            raise TimeoutError
        time.sleep(0.05)
    return time.perf_counter() - began


def large(folder: Path, size: float, *, browser: bool) -> list[tuple[str, str]]:
    path = folder / "large.flog"
    stats, creature = make(path, size * 1e9)
    rows = [("file", f"{path.stat().st_size / 1e9:.2f} GB: {creature:,} creature frames, {stats:,} of statistics")]
    served = Served(folder)
    try:
        rows.append(("list, first time, frames not counted yet", f"{served.get('/api/v1/runs')[0] * 1e3:.0f} ms"))
        took = until(lambda: served.get("/api/v1/runs")[1]["runs"][0]["frames"])
        rows.append(("until all frames were counted", f"{took:.1f} s"))
        rows.append(("list, once seen (median of 20)", f"{median(lambda: served.get('/api/v1/runs')):.1f} ms"))
        run = served.get("/api/v1/runs")[1]["runs"][0]["id"]
        if browser:
            rows += [("first charts on the screen, file never looked at", f"{first_charts(served, run):.2f} s")]
        took = until(lambda: served.get(f"/api/v1/runs/{run}")[1]["progress"] == 1)
        rows.append(("until all statistics were read" + (", from then" if browser else ""), f"{took:.1f} s"))
        if browser:
            rows += [("first charts on the screen, once seen", f"{first_charts(served, run):.2f} s")]
        curve = f"/api/v1/runs/{run}/series?keys=reward&x=step&points=4000"
        rows.append(("a curve of the whole run", f"{median(lambda: served.get(curve), 5):.0f} ms"))
        rows.append(
            ("the frame at a moment", f"{median(lambda: served.get(f'/api/v1/runs/{run}/frame?at=50000'), 5):.1f} ms")
        )
        rows.append(
            (
                "the way of the creature, 2,000 places",
                f"{median(lambda: served.get(f'/api/v1/runs/{run}/path?points=2000'), 5):.0f} ms",
            )
        )
        poll = f"/api/flog/watch?path=large.flog&since={stats}"
        rows.append(("a poll with nothing new (median of 50)", f"{median(lambda: served.get(poll), 50):.2f} ms"))
        rows.append(
            ("memory of the server, and the most it had", f"{served.memory():.0f} MB, {served.memory('VmHWM'):.0f} MB")
        )
    finally:
        served.close()
        path.unlink()
    return rows


def median(ask: Callable[[], tuple[float, Any]], times: int = 20) -> float:
    """In milliseconds."""
    return statistics.median(ask()[0] for _ in range(times)) * 1e3


def first_charts(served: Served, run: str) -> float:
    """Seconds from opening the address until the main chart has a curve, in headless Chromium."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1400,1000",
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    code = """return [...document.querySelectorAll('.legend b')].filter((value) => value.textContent).length >= 4"""
    try:
        driver.get("about:blank")
        began = time.perf_counter()
        driver.get(f"http://127.0.0.1:{served.port}/?runs={run}:0")
        until(lambda: driver.execute_script(code))
        return time.perf_counter() - began
    finally:
        driver.quit()


def many(folder: Path, clients: int, seconds: float) -> list[tuple[str, str]]:
    served = Served(folder)
    path = folder / "live.flog"
    written: list[float] = []
    lags: list[float] = []
    got: list[dict[int, float]] = [{} for _ in range(clients)]
    try:
        with trainlog.TrainingRecorder(path, "go2") as log:
            log.record_stats_frame(None, {"step": 0, "reward": 0.0})
            until(lambda: served.get("/api/v1/runs")[1]["runs"])
            run = served.get("/api/v1/runs")[1]["runs"][0]["id"]
            cursor = "00000000.0."  # of another file: the stream reports it and begins at the first row
            total = int(seconds * 50)

            def follow(mine: dict[int, float]) -> None:
                connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=seconds + 60)
                connection.request("GET", f"/api/v1/stream?runs={run}&cursors={run}:{cursor}")
                answer = connection.getresponse()
                while len(mine) < total:
                    line = answer.readline()
                    if line.startswith(b'data: {"run"') and b'"kind":"stats"' in line:
                        data = json.loads(line[6:])
                        mine |= dict(zip(range(data["from"], data["to"]), data["columns"]["reward"], strict=True))
                        if data["from"] < len(written):
                            lags.append(
                                time.perf_counter() - written[data["to"] - 1 if data["to"] <= len(written) else -1]
                            )
                connection.close()

            threads = [threading.Thread(target=follow, args=(mine,)) for mine in got]
            for thread in threads:
                thread.start()
            began = time.perf_counter()
            written.append(began)
            for n in range(1, total):
                time.sleep(max(0.0, began + n / 50 - time.perf_counter()))
                written.append(time.perf_counter())
                log.record_stats_frame(
                    None, {"step": n, "reward": float(n), **{f"key{k}": k * n for k in range(_KEYS)}}
                )
            for thread in threads:
                thread.join(60)
        whole = sum(mine == {n: float(n) for n in range(total)} for mine in got)
        ordered = sorted(lags)
        return [
            (
                f"{clients} clients, {seconds:.0f} s, 50 rows of {_KEYS + 2} keys a second",
                f"{whole} of them have all {total:,} points",
            ),
            (
                "from written to received, median and 99 %",
                f"{ordered[len(ordered) // 2] * 1e3:.0f} ms, {ordered[int(len(ordered) * 0.99)] * 1e3:.0f} ms",
            ),
            ("memory of the server", f"{served.memory():.0f} MB"),
        ]
    finally:
        served.close()


def crowd(folder: Path, idle: int = 2000, stalled: int = 400) -> list[tuple[str, str]]:
    """Clients that send no request or half of one, and clients that do not read their answers."""
    rows, _ = make(folder / "run.flog", 200e6)
    served = Served(folder)
    opened: list[socket.socket] = []

    def connect(text: str) -> None:
        one = socket.create_connection(("127.0.0.1", served.port))
        opened.append(one)
        one.sendall(text.encode())

    try:
        until(lambda: served.get("/api/v1/runs")[1]["runs"])
        run = f"/api/v1/runs/{served.get('/api/v1/runs')[1]['runs'][0]['id']}"
        until(lambda: served.get(run)[1]["progress"] == 1)
        until(lambda: served.get(f"{run}/series?kind=creature&keys=speed")[1]["progress"] == 1)
        wanted = [f"{run}/rows.csv?kind=creature", "/api/flog/analyze?path=run.flog", "/api/flog/watch?path=run.flog"]
        for n in range(stalled):
            connect(f"GET {wanted[n % 3]} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for n in range(idle):
            connect("GET /api/v1/ru" if n % 2 else "")
        time.sleep(3)
        curve = f"{run}/series?keys=reward"
        assert served.get(curve)[1]["rows"] == rows
        what = f"with {idle:,} idle and {stalled} stalled clients"
        return [
            (f"a list {what}", f"{median(lambda: served.get('/api/v1/runs')):.1f} ms"),
            (f"a curve {what}", f"{median(lambda: served.get(curve)):.1f} ms"),
            (f"memory of the server {what}", f"{served.memory('VmHWM'):.0f} MB"),
        ]
    finally:
        for one in opened:
            one.close()
        served.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=2.0, help="gigabytes of the large log")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--no-browser", action="store_true")
    arguments = parser.parse_args()
    browser = not arguments.no_browser and shutil.which("chromedriver") is not None
    folder = Path(tempfile.mkdtemp(prefix="trainlog-serve-"))
    try:
        (folder / "large").mkdir()
        (folder / "many").mkdir()
        (folder / "crowd").mkdir()
        rows = large(folder / "large", arguments.size, browser=browser)
        rows += many(folder / "many", arguments.clients, arguments.seconds)
        rows += crowd(folder / "crowd")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}\n\n| what | measured |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
