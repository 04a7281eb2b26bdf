"""Uploads to a real S3 server on the loopback (moto), behind a proxy that cuts, delays and refuses."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from benchmarks.s3_server import NEEDS, s3_server

import trainlog
from buckets import check_prefix, log_in, objects
from handmade import Flog
from trainlog.errors import LogWriteWarning

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]

LOG = Flog.header({"creature": "ant"}) + b"".join(
    Flog.frame(i + 0.5, 2, {"step": i, "text": "x" * (300 + i % 7)}) for i in range(2000)
)

# `trainlog sync` with small parts, so that there are many moments at which it can be killed.
_SYNC = "from trainlog.storage import upload; upload._LARGEST = 10_000; from trainlog.cli import main; main()"


class Proxy:
    """Forwards connections to *port*; what becomes of each is one of *fates*: 'pass', 'slow', 'cut', '500', 'lost'."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._dice = random.Random(5)
        self.fates: tuple[str, ...] = ("pass",)
        self.seen: set[str] = set()
        self._came = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def wait_for_one(self) -> None:
        """Wait until somebody connects."""
        self._came.clear()
        assert self._came.wait(60)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self._came.set()
                fate = self._dice.choice(self.fates)
                self.seen.add(fate)
                threading.Thread(target=self._serve, args=(client, fate), daemon=True).start()

    def _serve(self, client: socket.socket, fate: str) -> None:
        with suppress(OSError), client:
            if fate == "500":
                client.recv(65536)
                body = b"<Error><Code>InternalError</Code><Message>try again</Message></Error>"
                client.sendall(b"HTTP/1.1 500 x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                return
            with socket.create_connection(("127.0.0.1", self._to)) as server:
                back = threading.Thread(target=self._copy, args=(server, client, fate == "lost", 0.0), daemon=True)
                back.start()
                most = self._dice.randrange(100, 15_000) if fate == "cut" else None
                self._copy(client, server, False, 0.02 if fate == "slow" else 0.0, most)
                back.join(0.2 if fate != "pass" else 30)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket, lost: bool, pause: float, most: int | None = None) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                time.sleep(pause)
                if lost:
                    break
                if most is not None and (most := most - len(data)) < 0:
                    break
                target.sendall(data)
            for one in (source, target):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    for package in NEEDS:
        pytest.importorskip(package)
    with s3_server() as address:
        yield int(address.rpartition(":")[2])


@pytest.fixture
def proxy(server: int) -> Iterator[Proxy]:
    one = Proxy(server)
    yield one
    one.close()


_buckets = iter(range(1000))


@pytest.fixture
def bucket(proxy: Proxy) -> str:
    import boto3

    name = f"bucket-{next(_buckets)}"
    client = boto3.client("s3")
    client.create_bucket(Bucket=name)
    client.close()
    return f"s3://{name}"


def environment(proxy: Proxy, **more: str) -> dict[str, str]:
    """Of a process whose requests go through the proxy."""
    path = str(Path(trainlog.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": path, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}", **more}


def sync(proxy: Proxy, *arguments: object, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _SYNC, "sync", *map(str, arguments)],
        env=environment(proxy, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_sync_that_is_killed_fifty_times(tmp_path: Path, proxy: Proxy, bucket: str) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    proxy.fates = ("slow",)
    dice = random.Random(1)
    ends = []
    for n in range(1, 51):
        (runs / "run.flog").write_bytes(LOG[: len(LOG) * n // 50])
        process = sync(proxy, runs, bucket, "--watch", "--every", "0.1")
        proxy.wait_for_one()  # a busy machine takes seconds to start an interpreter
        time.sleep(dice.uniform(0, 1.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        ends.append(check_prefix(bucket, "run.flog", LOG, tmp_path))
    assert ends == sorted(ends)
    assert len(set(ends)) > 10
    proxy.fates = ("pass",)
    process = sync(proxy, runs, bucket)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert log_in(bucket, "run.flog") == LOG
    assert b"".join(objects(bucket).values()) == LOG


def test_a_network_with_faults(tmp_path: Path, proxy: Proxy, bucket: str) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    code = 1
    for n in range(1, 21):
        proxy.fates = ("pass", "slow", "cut", "500", "lost")
        (runs / "run.flog").write_bytes(LOG[: len(LOG) * min(n, 10) // 10])
        process = sync(proxy, runs, bucket, AWS_MAX_ATTEMPTS="2")
        _, errors = process.communicate(timeout=120)
        code = process.returncode
        check_prefix(bucket, "run.flog", LOG, tmp_path)
        assert code in (0, 1), errors
        if n >= 10 and code == 0:
            break
    assert code == 0
    assert log_in(bucket, "run.flog") == LOG
    assert proxy.seen == {"pass", "slow", "cut", "500", "lost"}


def test_syncs_at_once(tmp_path: Path, proxy: Proxy, bucket: str) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    for n in range(5):
        (runs / f"{n}.flog").write_bytes(LOG)
    processes = [sync(proxy, runs, bucket) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
    for n in range(5):
        assert b"".join(objects(f"{bucket}/{n}.flog.parts").values()) == LOG


def test_a_run_is_recorded_into_a_bucket(
    tmp_path: Path, proxy: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINLOG_DIR", str(tmp_path / "local"))
    code = """
import sys, time, trainlog
log = trainlog.TrainingRecorder(sys.argv[1], "ant", resume=True)
print(log.path, flush=True)
for i in range(1000):
    log.record_stats_frame(None, {"step": i})
    time.sleep(0.002)
"""  # closed at the end of the process
    for fates in (("pass",), ("pass", "500", "cut")):
        proxy.fates = fates
        done = subprocess.run(
            [sys.executable, "-c", code, f"{bucket}/a.flog"], env=environment(proxy), capture_output=True, text=True
        )
        path = Path(done.stdout.strip())
        check_prefix(bucket, "a.flog", path.read_bytes(), tmp_path)
    proxy.fates = ("pass",)
    process = sync(proxy, path, bucket)
    process.communicate()
    assert process.returncode == 0
    assert log_in(bucket, "a.flog") == path.read_bytes()
    assert len(trainlog.open(path).table("stats")["step"]) == 2000


def test_a_server_that_is_gone_is_said_and_nothing_is_lost(
    tmp_path: Path, proxy: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINLOG_DIR", str(tmp_path / "local"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LogWriteWarning)
        log = trainlog.TrainingRecorder(f"{bucket}/gone.flog")
        proxy.close()
        proxy.fates = ("500",)
        for i in range(100):
            log.record_stats_frame(None, {"step": i})
        assert log.uploader is not None
        log.uploader._patience = 2.0
        assert not log.uploader.wait(3)
        log.close()
    assert any("nothing is lost" in str(one.message) for one in caught)
    assert len(trainlog.open(log.path).table("stats")["step"]) == 100
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    ("more", "where", "text"),
    [
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"},
            "",
            "credentials",
        ),
        ({"AWS_PROFILE": "no-such-profile"}, "", "no-such-profile"),
        ({}, "no-such-bucket", "does not exist"),
    ],
)
def test_no_credentials_and_no_bucket_are_exit_code_2(
    tmp_path: Path, proxy: Proxy, bucket: str, more: dict[str, str], where: str, text: str
) -> None:
    (tmp_path / "run.flog").write_bytes(LOG)
    process = sync(proxy, tmp_path, f"s3://{where}" if where else bucket, HOME=str(tmp_path), **more)
    out, errors = process.communicate(timeout=100)
    assert (process.returncode, out) == (2, "")
    assert len(errors.splitlines()) == 1
    assert text in errors
