"""The dashboard in a notebook: a server of its own, a frame that a notebook may have, Jupyter's launcher."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

import trainlog
from trainlog.errors import LogNotFound, TrainlogError
from trainlog.notebook import Dashboard, jupyter_server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with trainlog.TrainingRecorder(tmp_path / "a.flog", "go2") as log:
        log.record_stats_frame(None, {"step": 1, "reward": 2.5})
    return tmp_path


@pytest.fixture
def shown(folder: Path) -> Iterator[Dashboard]:
    one = trainlog.show(folder, height=500)
    yield one
    one.close()


def get(url: str, headers: dict[str, str] | None = None) -> tuple[int, Any, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, ""


def test_a_notebook_gets_a_frame_with_the_page(shown: Dashboard, folder: Path) -> None:
    text = shown._repr_html_()
    found = re.fullmatch(
        r'<iframe title="trainlog" src="(http://localhost:\d+/)" width="100%" height="500" .*></iframe>', text
    )
    assert found is not None
    status, headers, body = get(found[1])
    assert (status, "trainlog" in body) == (200, True)
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'self' http://localhost:*" in policy
    assert "x-frame-options" not in headers
    while '"path":"a.flog"' not in get(f"{found[1]}api/v1/runs")[2].replace(" ", ""):
        time.sleep(0.05)
    assert trainlog.show(folder) is shown  # the same logs are served once
    assert shown.height == 720


def test_it_ends_when_it_is_closed_and_can_be_shown_again(shown: Dashboard, folder: Path) -> None:
    shown.close()
    assert not shown.is_running
    with pytest.raises(OSError):
        urllib.request.urlopen(shown.url, timeout=5)
    again = trainlog.show(folder)
    assert get(again.url)[0] == 200
    again.close()


def test_it_ends_with_the_process_that_showed_it(folder: Path) -> None:
    code = "import os, sys, trainlog; one = trainlog.show(sys.argv[1]); print(one.url, flush=True); os._exit(1)"
    url = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    ).stdout.strip()
    assert url.startswith("http://localhost:")
    end = time.monotonic() + 15
    while is_served(url):
        assert time.monotonic() < end
        time.sleep(0.05)


def is_served(url: str) -> bool:
    try:
        return get(url)[0] == 200
    except OSError:
        return False


def test_behind_a_proxy_the_frame_has_its_address(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/me/")
    one = trainlog.show(folder)
    port = one.url.rpartition(":")[2].strip("/")
    assert f'src="/user/me/proxy/{port}/"' in one._repr_html_()
    assert f'src="https://x/{port}?a=&quot;"' in trainlog.show(folder, proxy='https://x/{port}?a="')._repr_html_()
    one.close()


def test_what_cannot_be_shown(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(LogNotFound, match="no such file"):
        trainlog.show(tmp_path / "nothing")
    with pytest.raises(TrainlogError, match="port"):
        trainlog.show(folder, port=70_000)


def test_the_page_is_in_nobodys_frame_unless_it_is_said(folder: Path) -> None:
    from click.testing import CliRunner

    from trainlog.cli.serve import command

    for wrong in ("https://x.org; script-src *", "a b", "*", "https://x.org\nx: y"):
        assert CliRunner().invoke(command, [str(folder), f"--framed-by={wrong}"]).exit_code == 2


def test_jupyters_proxy_starts_a_server_that_only_it_can_ask(folder: Path) -> None:
    declared = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    entry = declared["project"]["entry-points"]["jupyter_serverproxy_servers"]
    assert entry == {"trainlog": "trainlog.notebook:jupyter_server"}
    about = jupyter_server()
    assert Path(about["launcher_entry"]["icon_path"]).is_file()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [word.replace("{port}", str(port)) for word in about["command"]]
    env = {**os.environ, **about["environment"]}
    headers = {name: text.replace("{port}", str(port)) for name, text in about["request_headers_override"].items()}
    with subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        server.stderr.readline()
        url = f"http://127.0.0.1:{port}/"
        while True:
            try:
                assert get(url)[0] == 401
                break
            except urllib.error.URLError:
                time.sleep(0.05)
        status, answered, body = get(url, headers)
        assert (status, "frame-ancestors 'self'" in answered["content-security-policy"]) == (200, True)
        assert not re.search(r'(?:src|href)="/', body)  # it stands at some other place than the root
        server.terminate()
        server.stderr.read()
