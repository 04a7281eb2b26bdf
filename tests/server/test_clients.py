"""Clients that cost something and take nothing: idle ones, those that stall, half a request, another protocol."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import logging
import math
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handmade import Flog
from trainlog.server.app import create_app
from trainlog.server.app_state import Limits
from trainlog.server.connections import Server
from trainlog.server.responses import one_line

STATS = 2


def big_log(path: Path, rows: int = 20_000, keys: int = 60) -> Path:
    noise = {f"k{n}": n / 7 for n in range(keys)}
    with path.open("wb") as file:
        file.write(Flog.header({"creature": "go2"}))
        for n in range(rows):
            file.write(Flog.frame(n / 10, STATS, {"step": n, "reward": math.sin(n), **noise}))
    return path


@pytest.fixture
def process(runs: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """``trainlog serve`` as a person starts it."""
    command = [sys.executable, "-m", "trainlog", "serve", str(runs), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        found = re.search(r":(\d+)/", server.stderr.readline())
        assert found is not None
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield server, int(found[1])
        server.terminate()


def ask(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def connect(port: int, text: str = "") -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.settimeout(30)
    one.connect(("127.0.0.1", port))
    one.sendall(text.encode())
    return one


def resident(process: subprocess.Popen[str]) -> float:
    """Megabytes, the most there were."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_hundreds_of_stalled_and_idle_clients_cost_little(runs: Path, process: tuple[Any, int]) -> None:
    big_log(runs / "big.flog")
    server, port = process
    while not json.loads(ask(port, "/api/v1/runs")[1])["runs"]:
        time.sleep(0.05)
    run = json.loads(ask(port, "/api/v1/runs")[1])["runs"][0]["id"]
    while json.loads(ask(port, f"/api/v1/runs/{run}")[1])["progress"] < 1:
        time.sleep(0.05)
    paths = [
        *(f"/api/v1/runs/{run}/rows.csv", f"/api/v1/runs/{run}/rows?points=50"),
        *("/api/flog/analyze?path=big.flog", "/api/flog/watch?path=big.flog&since=0"),
    ]
    request = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for n in range(400):
            stack.enter_context(connect(port, request.format(paths[n % 4])))
        for n in range(500):
            stack.enter_context(connect(port, "GET /api/v1/ru" if n % 2 else ""))
        time.sleep(3)
        status, body = ask(port, "/api/v1/runs")
        assert (status, json.loads(body)["runs"][0]["path"]) == (200, "big.flog")
        assert resident(server) < 300


@pytest.fixture
def port(runs: Path) -> Iterator[int]:
    """A server that is less patient than the one of `trainlog serve`."""
    big_log(runs / "big.flog", 5000)
    app = create_app([runs], scan_every=0.05)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = Server(app, patience=0.5, stalled=0.5, log_level="error")
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listening.getsockname()[1]
    server.stop()
    thread.join(15)


def is_closed(one: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError):
        while data := one.recv(1 << 16):
            if b"\r\n\r\n" in data[-4:]:
                continue
    return True


HALF_A_BODY = (
    "POST /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    'Content-Length: 99\r\n\r\n{"ru'
)


@pytest.mark.parametrize("text", ["", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\nX: ", HALF_A_BODY])
def test_half_a_request_does_not_stay_for_ever(port: int, text: str) -> None:
    with connect(port, text) as one:
        assert is_closed(one)


def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_mistake_of_the_server(
    serve: Callable[..., Any], runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = serve(runs)
    with connect(site.port, HALF_A_BODY):
        site.until(lambda: bool(site.server.server_state.tasks))
    site.until(lambda: not site.server.server_state.tasks)
    assert not capsys.readouterr().err


def test_a_head_request_takes_no_place_of_a_stream(serve: Callable[..., Any], runs: Path) -> None:
    site = serve(runs, limits=Limits(streams=1))
    head = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    with contextlib.closing(head):
        for _ in range(2):
            head.request("HEAD", "/api/v1/stream")
            answer = head.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
            assert "event-stream" in answer.headers["content-type"]
        with site.stream() as stream:
            stream.until("hello")


def test_a_request_of_single_letters_gets_no_more_time(port: int) -> None:
    with connect(port) as one:

        def dribble() -> None:
            for letter in "GET / HTTP/1.1\r\n" + "x" * 400:
                one.sendall(letter.encode())
                time.sleep(0.02)

        with pytest.raises(OSError):
            dribble()
        assert ask(port, "/api/v1/runs")[0] == 200


def test_a_client_that_stalls_is_let_go_and_a_slow_one_gets_all(port: int) -> None:
    run = json.loads(ask(port, "/api/v1/runs")[1])["runs"][0]["id"]
    whole = ask(port, f"/api/v1/runs/{run}/rows.csv")[1]
    request = f"GET /api/v1/runs/{run}/rows.csv HTTP/1.1\r\nHost: localhost\r\n\r\n"
    slow = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with connect(port, request) as stalled, contextlib.closing(slow):
        slow.request("GET", f"/api/v1/runs/{run}/rows.csv")
        answer, found = slow.getresponse(), b""
        while data := answer.read(1 << 16):
            found += data
            time.sleep(0.03)
        assert found == whole
        time.sleep(1.5)
        with contextlib.suppress(ConnectionResetError):
            lost = b""
            while data := stalled.recv(1 << 16):
                lost += data
        assert len(lost) < len(whole)


@pytest.mark.parametrize("change", ["cut", "emptied", "written over"])
def test_a_log_that_changes_while_it_is_downloaded_breaks_the_download(runs: Path, change: str) -> None:
    """The client sees that it has not all, and the server says why in one line."""
    log = big_log(runs / "big.flog", 3000)
    command = [sys.executable, "-m", "trainlog", "serve", str(runs), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        found = re.search(r":(\d+)/", server.stderr.readline())
        assert found is not None
        port = int(found[1])
        try:
            while not (listed := json.loads(ask(port, "/api/v1/runs")[1])["runs"]):
                time.sleep(0.05)
            address = f"/api/v1/runs/{listed[0]['id']}/rows.csv"
            assert ask(port, address)[1].count(b"\n") == 3001
            with connect(port, f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
                begun = client.recv(1024)
                assert b" 200 OK" in begun
                size = log.stat().st_size
                with log.open("r+b") as file:
                    file.truncate(size if change == "written over" else size // 2 if change == "cut" else 0)
                    file.write(bytes(size) if change == "written over" else b"")
                while data := client.recv(1 << 16):
                    begun = begun[-100:] + data
            assert not begun.endswith(b"\r\n0\r\n\r\n")  # the last chunk of an answer that is complete
        finally:
            server.terminate()
            _, said = server.communicate(timeout=30)
    line, stopped = said.splitlines()
    assert stopped == "trainlog: stopped"
    assert "a download was ended early, as its log changed while it was sent: " in line
    assert "big.flog" in line


@pytest.mark.parametrize("turns", range(6))
def test_a_client_that_connects_while_the_server_stops_is_not_waited_for(
    runs: Path, caplog: pytest.LogCaptureFixture, turns: int
) -> None:
    """Whatever the event loop has done for the connection by then."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = Server(create_app([runs]))
    clients: list[socket.socket] = []

    async def stop_when_a_client_connects(counter: int) -> bool:
        clients.append(connect(listening.getsockname()[1]))
        for _ in range(turns):
            await asyncio.sleep(0)
        server.stop()
        return True

    server.on_tick = stop_when_a_client_connects  # type: ignore[method-assign]
    server.run(sockets=[listening])
    with clients[0]:
        assert is_closed(clients[0])
    gc.collect()  # a connection that was left open is a warning here
    assert not caplog.messages


def test_an_answer_that_the_end_of_the_server_cuts_off_is_one_line() -> None:
    try:
        raise asyncio.CancelledError("Task cancelled, timeout graceful shutdown exceeded")
    except asyncio.CancelledError:
        record = logging.LogRecord(
            "uvicorn.error", logging.ERROR, "", 0, "Exception in ASGI application\n", (), sys.exc_info()
        )
    assert one_line(record)
    assert logging.Formatter().format(record) == "an answer was cut off, because the server exits"


def test_a_stream_goes_on_although_its_client_says_nothing(port: int) -> None:
    with connect(port, "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n") as one:
        time.sleep(1.5)
        assert b"event: hello" in one.recv(1 << 16)
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            is_closed(one)


def test_a_websocket_is_refused(serve: Callable[..., Any], runs: Path) -> None:
    site = serve(runs)
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for path in ("/", "/api/v1/stream", "/nothing"):
        assert 400 <= site.get(path, headers).status < 500


SITES = [
    ({"Sec-Fetch-Site": "same-origin"}, 200),
    ({"Sec-Fetch-Site": "none"}, 200),
    ({}, 200),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "https://hub.example"}, 200),  # a proxy says another Host
    ({"Sec-Fetch-Site": "cross-site", "Origin": "https://hub.example"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403),
]


@pytest.mark.parametrize(("headers", "status"), SITES)
def test_only_its_own_pages_make_the_server_forget_a_log(
    serve: Callable[..., Any], runs: Path, headers: dict[str, str], status: int
) -> None:
    big_log(runs / "a.flog", 10)
    site = serve(runs)
    answer = site.get("/api/flog/watch/reset", headers, path="a.flog")
    assert answer.status == status
    if status == 200:
        assert answer.json == {"ok": True}
    own = site.get("/api/flog/watch/reset", {"Origin": f"http://127.0.0.1:{site.port}"}, path="a.flog")
    assert own.status == 200
