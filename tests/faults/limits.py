"""Every reader and every verb on one file, in a process that may take only so much memory and processor time."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import os
import resource
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

import trainlog
import trainlog.cli.codecs
import trainlog.cli.compact
import trainlog.cli.convert
import trainlog.cli.diff
import trainlog.cli.dump
import trainlog.cli.info
import trainlog.cli.plot
import trainlog.cli.repair
import trainlog.cli.replay
import trainlog.cli.report
import trainlog.cli.tail
import trainlog.cli.verify
import trainlog.cli.watch
import trainlog.codecs.parquet
import trainlog.codecs.simion
import trainlog.mujoco
import trainlog.storage.compressed
from faults.processes import Say
from trainlog.cli import main
from trainlog.codecs.flog.index import index_file
from trainlog.episode import episode_table
from trainlog.errors import TrainlogError
from trainlog.functions import learned_functions
from trainlog.replay import FlogReplay
from trainlog.server.app import create_app

# Imported once, before the fork, and not by each process.
for name in ("mujoco", "pandas", "PIL.ImageDraw", "rich.live", "anyio._backends._asyncio"):
    if importlib.util.find_spec(name.partition(".")[0]):
        importlib.import_module(name)

MEGABYTES = 512
"""Of memory that a reader or a verb may take beside what the program takes that has read nothing."""

SECONDS = 10
"""Of processor time that each of them may take."""

MOST_SENT = 64 << 20
"""Bytes of one answer of the server."""


def read_in_every_way(say: Say, path: str, small: str, folder: str) -> None:
    """Read *path*; *small* is a log that nothing is wrong with; *folder* is a new one, for what verbs write."""
    log, out = Path(path), Path(folder)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    main_folder = out / "served"
    main_folder.mkdir()
    (main_folder / log.name).hardlink_to(log)
    _run(["info", small])  # what is imported and allocated once
    most = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + (MEGABYTES << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    warnings.simplefilter("ignore")
    for name, call in {**_readers(log), **_verbs(log, Path(small), out), "serve": lambda: _serve(main_folder)}.items():
        began = resource.getrusage(resource.RUSAGE_SELF)
        spent = int(began.ru_utime + began.ru_stime) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (spent + SECONDS, resource.RLIM_INFINITY))
        say("begins", name)
        try:
            call()
        except TrainlogError:
            pass
        except BaseException as error:  # noqa: BLE001 - the test says what was wrong
            say("wrong", name, f"{type(error).__name__}: {str(error)[:300]}", traceback.format_exc()[-1500:])
        ended = resource.getrusage(resource.RUSAGE_SELF)
        seconds = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
        say("took", name, round(seconds, 2), ended.ru_maxrss >> 10)


def _readers(path: Path) -> dict[str, Callable[[], object]]:
    def frames() -> None:
        for log in (trainlog.open(path), trainlog.open(path).with_superseded()):
            for kind in (None, 2, 3):
                for _ in log.frames(kind):
                    pass

    def tables() -> None:
        log = trainlog.open(path)
        for kind in log.summary().kinds:
            log.table(kind)
            for limits in ({"last": 3}, {"time": (0.5, 2.5)}, {"steps": (1, 3)}):
                log.table(kind, **limits)  # type: ignore[arg-type]
            log.at(1.0, kind)

    def index() -> None:
        vars(index_file).update(_WORTH=1, _PAYS=1, _GROWN=1)
        tables()
        vars(index_file).update(_WORTH=1 << 28, _PAYS=1 << 28, _GROWN=1 << 28)

    def batches() -> None:
        log, after = trainlog.open(path), None
        for batch in log.scan(trainlog.Scan(batch_rows=100)):
            after = batch.position
        for _ in log.scan(trainlog.Scan(after=after)):
            pass

    def episodes() -> None:
        log = trainlog.open(path)
        for episode in trainlog.episodes(log):
            assert episode.problems is not None
        episode_table(log)
        learned_functions(log)

    def replay() -> None:
        log = FlogReplay(path)
        log.summary()
        sum(1 for _, _ in zip(range(10_000), log.iter_physics(), strict=False))
        log.export_stats_csv(path.with_suffix(".csv"))
        log.export_physics_npz(path.with_suffix(".npz"))

    calls = (frames, tables, index, batches, episodes, replay)
    return {f"the reader's {call.__name__}": call for call in calls}


def _verbs(path: Path, small: Path, out: Path) -> dict[str, Callable[[], object]]:
    lines: list[list[Any]] = [
        ["info", path],
        ["info", "--json", path],
        ["dump", path],
        ["tail", path],
        ["watch", "--once", path],
        ["verify", path],
        ["repair", path, out / "repaired.flog"],
        ["convert", path, out / "a.parquet"],
        ["convert", path, out / "a.flog"],
        ["convert", path, out / "a.simion.log", "--reward", "r"],
        ["info", out / "a.parquet"],
        ["compact", path, "--out", out],
        ["diff", path, small],
        ["diff", "--exact", path, path],
        ["replay", "--check", path],
        ["plot", path, "-o", out / "plot"],
        ["report", path, "-o", out / "report", "--require", "mean(r[-10%:]) > 0", "--format", "svg"],
    ]
    return {" ".join(map(str, line)): lambda line=line: _run(line) for line in lines}


def _run(arguments: list[Any]) -> None:
    code: object = None
    with open(os.devnull, "w") as null, redirect_stdout(null), redirect_stderr(io.StringIO()) as errors:
        try:
            main(list(map(str, arguments)))
        except SystemExit as ended:
            code = ended.code
    assert code in (0, 1, 2, 3), f"exit code {code}: {errors.getvalue()[-1000:]}"
    assert "Traceback" not in errors.getvalue(), errors.getvalue()[-1000:]


_PAGES = ("", "/series?keys=r", "/rows", "/rows.csv", "/events", "/frame?kind=stats", "/path", "/functions")


def _serve(folder: Path) -> None:
    """Ask a server for all that it tells of the logs in *folder*."""

    async def ask() -> None:
        app = create_app([folder])._app
        async with app.router.lifespan_context(app):  # type: ignore[attr-defined]
            catalog = app.state.shared.catalog  # type: ignore[attr-defined]
            for id, entry in list(catalog.entries.items()):
                until = time.monotonic() + 10
                while (
                    not (catalog.entries[id].facts.read or catalog.entries[id].facts.error) and time.monotonic() < until
                ):
                    await asyncio.sleep(0.01)
                pages = [f"/api/v1/runs/{id}{page}" for page in _PAGES]
                for page in [*pages, "/api/v1/runs", "/api/flog/list", f"/api/flog/analyze?path={entry.name}"]:
                    status, size = await _get(app, page)
                    assert status < 500, f"{page}: {status}"
                    assert size <= MOST_SENT, f"{page}: {size:,} bytes"

    asyncio.run(ask())


async def _get(app: Any, address: str) -> tuple[int, int]:
    """The status, and the bytes of the answer."""
    path, _, query = address.partition("?")
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode()}
    scope |= {"headers": [(b"host", b"localhost")], "http_version": "1.1", "scheme": "http", "root_path": ""}
    scope |= {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}
    status = size = 0

    messages = [{"type": "http.request"}]

    async def receive() -> dict[str, Any]:
        while not messages:  # for the client stays
            await asyncio.sleep(60)
        return messages.pop()

    async def send(message: Any) -> None:
        nonlocal status, size
        status = message.get("status", status)
        size += len(message.get("body", b""))

    await app(scope, receive, send)
    return status, size
