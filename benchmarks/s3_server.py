"""An S3 server on this machine (moto), in a separate process, for benchmarks and tests; and counts of its requests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

__all__ = ["NEEDS", "counted_requests", "missing", "s3_server"]

NEEDS = ("s3fs", "moto", "flask", "flask_cors")
"""The modules that it needs."""

_WAIT = 60.0  # seconds for it to start


def missing() -> list[str]:
    """Those of `NEEDS` that are not installed."""
    return [name for name in NEEDS if find_spec(name) is None]


@contextmanager
def s3_server() -> Iterator[str]:
    """Yield its address; meanwhile the environment names it as the S3 endpoint and has credentials for it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    settings = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }
    before = {name: os.environ.get(name) for name in settings}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + _WAIT
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError("the S3 server does not start")
            time.sleep(0.1)
        os.environ.update(settings)
        _forget_connections()
        yield settings["AWS_ENDPOINT_URL"]
    finally:
        process.kill()
        process.wait()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        _forget_connections()


def _forget_connections() -> None:
    """Drop the file systems that fsspec caches: they use the server that the environment named at their creation."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()


@contextmanager
def counted_requests(fs: Any) -> Iterator[Counter[str]]:
    """Count the requests of s3fs to S3 by operation; *fs* is an s3fs file system."""
    count: Counter[str] = Counter()
    real = type(fs)._call_s3

    async def counting(self: Any, method: str, *args: Any, **settings: Any) -> Any:
        count[method] += 1
        return await real(self, method, *args, **settings)

    type(fs)._call_s3 = counting
    try:
        yield count
    finally:
        type(fs)._call_s3 = real
