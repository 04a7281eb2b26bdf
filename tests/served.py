"""A server of our own for a test, on 127.0.0.1, and a client that says exactly what it is told to."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from trainlog.server.app import create_app
from trainlog.server.connections import Server


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        def refuse(name: str) -> Any:
            raise AssertionError(f"{name} is no JSON")

        return json.loads(self.body, parse_constant=refuse)


class Site:
    def __init__(self, app: Any) -> None:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self.server = Server(app, log_level="error")
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        self.until(lambda: self.server.started)

    def get(
        self,
        path: str,
        headers: dict[str, str] | None = None,
        /,
        method: str = "GET",
        body: str | None = None,
        **query: Any,
    ) -> Answer:
        if query:
            path += "?" + urlencode({name.rstrip("_"): value for name, value in query.items()})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def id(self, path: str) -> str:
        found: list[str] = []

        def look() -> bool:
            found[:] = [run["id"] for run in self.get("/api/v1/runs").json["runs"] if run["path"] == path]
            return bool(found)

        self.until(look)
        return found[0]

    def run(self, path: str, what: str = "", **query: Any) -> Any:
        answer = self.get(f"/api/v1/runs/{self.id(path)}{'/' if what else ''}{what}", **query)
        assert answer.status == 200, answer.body
        return answer.json

    def stream(self, headers: dict[str, str] | None = None, **query: Any) -> Stream:
        return Stream(self.port, headers or {}, query)

    def until(self, is_so: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, "that did not come about"
            time.sleep(0.01)

    def close(self) -> None:
        self.server.stop()
        self._thread.join(15)


class Stream:
    """Server-sent events as they come: (id, event, data)."""

    def __init__(self, port: int, headers: dict[str, str], query: dict[str, Any]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._connection.request("GET", "/api/v1/stream?" + urlencode(query, quote_via=quote), headers=headers)
        self.answer = self._connection.getresponse()
        self.status = self.answer.status

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.answer.close()
        self._connection.close()

    def __iter__(self) -> Iterator[tuple[str, str, Any]]:
        fields: dict[str, str] = {}
        while line := self.answer.readline().decode():
            name, colon, value = line.rstrip("\n").partition(": ")
            if colon and name:
                fields[name] = value
            elif not line.strip() and "data" in fields:
                yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
                fields = {}

    def until(self, event: str, is_it: Callable[[Any], bool] = lambda data: True) -> tuple[str, Any]:
        for id, name, data in self:
            if name == event and is_it(data):
                return id, data
        raise AssertionError(f"the stream ended before {event}")


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def start(*roots: Path, **options: Any) -> Site:
        sites.append(Site(create_app(roots, scan_every=0.05, **options)))
        return sites[-1]

    yield start
    for site in sites:
        site.close()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty folder of runs, inside another one that nobody may see."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def simion(real_logs: Path, runs: Path) -> str:
    """A real RLSimion log in the folder of runs: its path there."""
    source = real_logs / "simion" / "02-swingup-sarsa"
    (runs / "pendulum").mkdir()
    for file in source.glob("*.simion.log*"):
        shutil.copyfile(file, runs / "pendulum" / file.name)
    return "pendulum/swingup-pendulum-sarsa-tile-coding.simion.log"
