"""Logs in S3, of a server on this machine: by s3fs, as users have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.s3_server import NEEDS, counted_requests, s3_server

import trainlog
from made_runs import log_bytes, sweep
from trainlog.errors import LogNotFound, LogReadError
from trainlog.scan import Scan
from trainlog.storage.remote import forget

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server; it is a process of its own."""
    for package in NEEDS:
        pytest.importorskip(package)
    with s3_server() as address:
        yield address


@pytest.fixture
def s3(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The file system with an empty bucket; credentials and address are the environment's, as for users."""
    import fsspec

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fs = fsspec.filesystem("s3")
    fs.mkdir("bucket")
    forget()
    yield fs
    fs.invalidate_cache()
    if fs.exists("bucket"):
        fs.rm("bucket", recursive=True)
    forget()


@pytest.fixture
def requests(s3: Any) -> Iterator[Counter[str]]:
    """How often S3 is asked for what."""
    with counted_requests(s3) as count:
        yield count


def rows(count: int) -> list[dict[str, Any]]:
    return [{"step": n, "reward": n / 2} for n in range(count)]


def test_twenty_small_logs_take_at_most_1_2_requests_each(s3: Any, requests: Counter[str]) -> None:
    for n in range(20):
        s3.pipe_file(f"bucket/runs/{n}.flog", log_bytes({"seed": n}, rows(50)))
    requests.clear()
    for n in range(20):
        assert trainlog.open(f"s3://bucket/runs/{n}.flog").table("stats").rows == 50
    assert requests.total() == 20
    forget()
    requests.clear()
    assert trainlog.runs("s3://bucket/runs").config["seed"].tolist() == list(range(20))
    assert requests.total() <= 24


def test_a_large_log_is_the_same_as_the_file(s3: Any, tmp_path: Path, requests: Counter[str]) -> None:
    noise = np.random.default_rng(0).normal(size=(60_000, 12))
    path = tmp_path / "run.flog"
    path.write_bytes(log_bytes({}, [{f"k{i}": value for i, value in enumerate(row)} for row in noise.tolist()]))
    assert path.stat().st_size > 6_000_000
    s3.put_file(str(path), "bucket/run.flog")
    near, far = trainlog.open(path), trainlog.open("s3://bucket/run.flog")
    for name in (table := near.table("stats")):
        assert np.array_equal(table[name], far.table("stats")[name])
    assert far.verify().whole
    assert requests["get_object"] <= 6


def test_an_empty_object_a_folder_and_nothing(s3: Any) -> None:
    s3.pipe_file("bucket/empty.flog", b"")
    assert list(trainlog.open("s3://bucket/empty.flog")) == []
    with pytest.raises(LogNotFound):
        trainlog.open("s3://bucket/none.flog")
    with pytest.raises((LogNotFound, LogReadError)):
        trainlog.open("s3://nobucket/none.flog")
    assert trainlog.runs("s3://bucket").config.rows == 1


def test_several_processes_read_the_runs(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainlog.catalog import workers

    monkeypatch.setattr(workers, "_WORTH", 0.0)
    sweep(tmp_path / "sweep")
    s3.put(str(tmp_path / "sweep"), "bucket/sweep", recursive=True)
    near, far = trainlog.runs(tmp_path / "sweep"), trainlog.runs("s3://bucket/sweep", workers=2)
    assert far.table("stats")["reward"].tolist() == near.table("stats")["reward"].tolist()
    assert far.filter("algo:sac").config["run"].tolist() == near.filter("algo:sac").config["run"].tolist()


def test_growth_and_parts(s3: Any) -> None:
    content = log_bytes({}, rows(400))
    s3.pipe_file("bucket/run.flog", content[:5000])
    reader = trainlog.open("s3://bucket/run.flog")
    (batch,) = reader.scan(Scan(kinds="stats", batch_rows=None, on_damage="ignore"))
    s3.pipe_file("bucket/run.flog", content)
    forget()
    (more,) = reader.scan(Scan(kinds="stats", batch_rows=None, after=batch.position))
    assert [*batch.table["step"].tolist(), *more.table["step"].tolist()] == list(range(400))
    for start, stop in ((0, 10), (10, 3000), (3000, len(content))):
        s3.pipe_file(f"bucket/parts.flog.parts/{start:020d}", content[start:stop])
    assert trainlog.open("s3://bucket/parts.flog").table("stats").rows == 400
    assert trainlog.runs("s3://bucket").config["run"].tolist() == ["parts.flog", "run.flog"]


def test_paths_of_universal_pathlib_bring_their_options(s3: Any, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upath = pytest.importorskip("upath")
    s3.pipe_file("bucket/run.flog", log_bytes({}, rows(5)))
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "ENDPOINT_URL"):
        monkeypatch.delenv(f"AWS_{name}")
    path = upath.UPath("s3://bucket/run.flog", key="a", secret="b", client_kwargs={"endpoint_url": server})
    assert trainlog.open(path).table("stats").rows == 5
    assert trainlog.runs(path.parent).config.rows == 1


def test_obstore_takes_the_place_of_s3fs_where_it_is_registered(
    s3: Any, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    import fsspec
    from fsspec.registry import _registry
    from obstore.fsspec import register

    sweep(tmp_path / "sweep")
    s3.put(str(tmp_path / "sweep"), "bucket/sweep", recursive=True)
    content = log_bytes({}, [{"step": n, "pad": "x" * 4000} for n in range(1500)])
    s3.pipe_file("bucket/large.flog", content)
    s3.pipe_file(f"bucket/parts.flog.parts/{0:020d}", content[:5000])
    s3.pipe_file(f"bucket/parts.flog.parts/{5000:020d}", content[5000:])
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    before = _registry.get("s3")
    register("s3")
    try:
        assert type(fsspec.filesystem("s3")) is not type(s3)
        assert trainlog.open("s3://bucket/large.flog").table("stats").rows == 1500
        assert trainlog.open("s3://bucket/parts.flog").table("stats").rows == 1500
        near, far = trainlog.runs(tmp_path / "sweep"), trainlog.runs("s3://bucket/sweep")
        assert far.config["run"].tolist() == near.config["run"].tolist()
        assert far.table("stats")["reward"].tolist() == near.table("stats")["reward"].tolist()
        with pytest.raises(LogNotFound):
            trainlog.open("s3://bucket/none.flog")
    finally:
        fsspec.register_implementation("s3", before, clobber=True)


def test_wrong_credentials_and_a_server_that_is_gone(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    upath = pytest.importorskip("upath")
    options = {"key": "a", "secret": "b", "config_kwargs": {"retries": {"max_attempts": 1}}}
    gone = upath.UPath("s3://bucket/run.flog", client_kwargs={"endpoint_url": "http://127.0.0.1:9"}, **options)
    with pytest.raises(LogReadError, match=r"s3://bucket/run\.flog: cannot read it"):
        trainlog.open(gone)
