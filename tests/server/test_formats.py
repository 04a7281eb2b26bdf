"""A codec of a third party in the dashboard: followed live, at the speed of its scan, with cursors that last."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import trainlog
from trainlog import registry
from trainlog.codec import Reader
from trainlog.errors import InvalidPosition
from trainlog.live_log import log as log_module
from trainlog.live_log.cursor import START, Cursor
from trainlog.live_log.log import Log
from trainlog.model import Frame, Kind
from trainlog.scan import Batch, Scan

DOCUMENT = Path(__file__).parents[2] / "docs" / "writing-a-codec.md"


def lines_codec() -> Any:
    """The codec of the document, made from its very text."""
    code = re.search(r"^```python\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    return names["Lines"]()


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The codec of the document, installed."""
    codec = lines_codec()
    built_in = registry.list_codecs()
    installed = registry.Installed(codec, "lines-for-trainlog", reads=True, writes=True)
    monkeypatch.setattr(registry, "list_codecs", lambda: [*built_in, installed])
    real = registry.codec_of
    monkeypatch.setattr(
        registry, "codec_of", lambda path, name: codec if str(path).endswith(".lines") else real(path, name)
    )
    return codec


class Growing:
    """A log of lines that is written while somebody looks."""

    def __init__(self, codec: Any, path: Path, creature: str = "ant") -> None:
        self._codec = codec
        self.path = path
        path.write_bytes(codec.encode(trainlog.Header({"creature": creature})))
        self.step = 0

    def line(self, kind: Kind = Kind.STATS, **data: Any) -> bytes:
        n, self.step = self.step, self.step + 1
        line: bytes = self._codec.encode(Frame(n / 10, kind, {"step": n, "reward": float(n), **data}))
        return line

    def write(self, *lines: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(b"".join(lines))

    def grow(self, count: int, kind: Kind = Kind.STATS) -> None:
        self.write(*(self.line(kind) for _ in range(count)))


@pytest.fixture
def log_of_lines(codec: Any, runs: Path) -> Growing:
    return Growing(codec, runs / "x.lines")


def rewards(stream: Any, until: float) -> list[float]:
    """The rewards of the stats rows that come, until one is *until*; each row comes once, in order."""
    found: list[float] = []
    first = None
    for _, name, data in stream:
        if name == "reset":
            raise AssertionError("the stream began anew")
        if name == "rows" and data["kind"] == "stats":
            assert first in (None, data["from"])
            first = data["to"]
            found += data["columns"]["reward"]
            if found[-1] == until:
                return found
    raise AssertionError("the stream ended")


def test_rows_appear_as_they_are_written(serve: Callable[..., Any], log_of_lines: Growing) -> None:
    log_of_lines.grow(3)
    site = serve(log_of_lines.path.parent)
    id = site.id("x.lines")
    run = site.run("x.lines")
    assert (run["codec"], run["creature"], run["progress"]) == ("lines", "ant", 1)
    assert site.run("x.lines", "series", keys="reward", x="step")["series"]["reward"]["y"] == [0, 1, 2]
    with site.stream(runs=id, cursors=f"{id}:{run['cursor']}") as stream:
        stream.until("hello")
        for n in range(3, 8):
            began = time.monotonic()
            log_of_lines.grow(1)
            assert rewards(stream, n) == [n]
            assert time.monotonic() - began < 1
    site.until(lambda: site.get("/api/v1/runs").json["runs"][0]["reward"] == 7)
    listed = site.get("/api/v1/runs").json["runs"][0]
    assert (listed["frames"], listed["step"], listed["duration"]) == (8, 7, 0.7)
    assert site.run("x.lines", "frame", kind="stats", at=0.45)["data"] == {"step": 4, "reward": 4.0}


def test_a_torn_line_that_is_completed_later_is_not_lost(serve: Callable[..., Any], log_of_lines: Growing) -> None:
    log_of_lines.grow(2)
    site = serve(log_of_lines.path.parent)
    id = site.id("x.lines")
    with site.stream(runs=id, cursors=f"{id}:{site.run('x.lines')['cursor']}") as stream:
        stream.until("hello")
        line = log_of_lines.line()
        for i in range(len(line)):
            log_of_lines.write(line[i : i + 1])
            time.sleep(0.004)
        log_of_lines.grow(1)
        assert rewards(stream, 3) == [2, 3]
    assert site.run("x.lines")["damage"] == []


def test_a_cursor_lasts_longer_than_the_server(serve: Callable[..., Any], log_of_lines: Growing) -> None:
    log_of_lines.grow(5)
    folder = log_of_lines.path.parent
    first = serve(folder)
    id = first.id("x.lines")
    with first.stream(runs=id, cursors=f"{id}:{first.run('x.lines')['cursor']}") as stream:
        log_of_lines.grow(2)
        assert rewards(stream, 6) == [5, 6]
        place, _ = stream.until("cursor")
    first.close()
    log_of_lines.grow(4)
    with serve(folder).stream({"Last-Event-ID": place}, runs=id) as stream:
        assert rewards(stream, 10) == [7, 8, 9, 10]


@pytest.mark.parametrize("while_away", [True, False])
@pytest.mark.parametrize("how", ["replaced", "cut", "written anew"])
def test_another_file_begins_anew(
    serve: Callable[..., Any], log_of_lines: Growing, codec: Any, how: str, while_away: bool
) -> None:
    log_of_lines.grow(20)
    path = log_of_lines.path
    site = serve(path.parent)
    id = site.id("x.lines")
    cursor = site.run("x.lines")["cursor"]

    def replace() -> None:
        if how == "cut":
            path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
            return
        other = Growing(codec, path.with_name("aside"), "beetle")
        other.grow(30)
        if how == "replaced":
            other.path.rename(path)
        else:
            with path.open("r+b") as file:
                file.write(other.path.read_bytes())
            other.path.unlink()

    if while_away:
        site.close()
        replace()
        site = serve(path.parent)
    with site.stream(runs=id, cursors=f"{id}:{cursor}") as stream:
        stream.until("hello")
        if not while_away:
            time.sleep(0.2)
            replace()
        _, data = stream.until("reset")
        assert data["run"] == id
        assert rewards(stream, 2 if how == "cut" else 29)[:3] == [0, 1, 2]


def test_a_cursor_that_somebody_made_up_begins_anew(serve: Callable[..., Any], log_of_lines: Growing) -> None:
    log_of_lines.grow(5)
    site = serve(log_of_lines.path.parent)
    id = site.id("x.lines")
    cursor = Cursor.parse(site.run("x.lines")["cursor"])
    mark = cursor.marks[0]
    for wrong in (
        cursor._replace(identity="00000000"),
        cursor._replace(marks=cursor.marks[:1]),
        cursor._replace(marks=(mark._replace(position="nonsense"), cursor.marks[1])),
        cursor._replace(marks=(mark._replace(position="7" + mark.position), cursor.marks[1])),
        cursor._replace(marks=(mark._replace(position=""), cursor.marks[1])),
    ):
        with site.stream(runs=id, cursors=f"{id}:{wrong}") as stream:
            stream.until("reset")
            assert rewards(stream, 4) == [0, 1, 2, 3, 4]
    log_of_lines.grow(1)
    with site.stream(runs=id, cursors=f"{id}:{cursor}") as stream:
        assert rewards(stream, 5) == [5]


def test_two_readers_lose_and_repeat_nothing_after_a_restart_amid_a_long_log(
    serve: Callable[..., Any], log_of_lines: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is ahead of the server, which has only begun to read the log again."""
    log_of_lines.grow(3000)
    site = serve(log_of_lines.path.parent)
    id = site.id("x.lines")
    site.until(lambda: site.run("x.lines")["progress"] == 1)
    cursor = site.run("x.lines")["cursor"]
    site.close()
    log_of_lines.grow(5)
    monkeypatch.setattr("trainlog.live_log.log._MOST_ROWS", 256)
    monkeypatch.setattr("trainlog.server.log_poller.SLICE", 0)
    with serve(log_of_lines.path.parent).stream(runs=id, cursors=f"{id}:{cursor}") as stream:
        assert rewards(stream, 3004) == [3000, 3001, 3002, 3003, 3004]


# --- the parts ---


class Counting(Reader):
    """A reader by frames alone, which counts what is asked of it."""

    def __init__(self, log: Growing) -> None:
        super().__init__(log.path, trainlog.Header())
        self._real = registry.open(log.path)
        self.scans: list[Scan] = []
        self.frames_read = 0

    def frames(self, *arguments: Any, **options: Any) -> Iterator[Frame]:
        for frame in self._real.frames(*arguments, **options):
            self.frames_read += 1
            yield frame

    def scan(self, scan: Scan = Scan()) -> Iterator[Batch]:  # noqa: B008 - it is frozen
        self.scans.append(scan)
        return super().scan(scan)


@pytest.fixture
def counted(log_of_lines: Growing) -> tuple[Growing, Log, Counting]:
    log = Log("x", "x", log_of_lines.path)
    log.reader = reader = Counting(log_of_lines)
    return log_of_lines, log, reader


def read_all(log: Log) -> None:
    while log.advance(time.monotonic() + 1):
        pass


def test_creatures_are_read_by_their_times_until_somebody_wants_more(counted: Any) -> None:
    lines, log, reader = counted
    for _ in range(400):
        lines.grow(1, Kind.STATS)
        lines.grow(2, Kind.CREATURE)
    read_all(log)
    creature, stats = log.rows[Kind.CREATURE], log.rows[Kind.STATS]
    assert (len(creature), creature.columns.rows, stats.columns.rows) == (800, 0, 400)
    clocks = (*log.conventions.axis_keys, "env", "rank")
    assert all(scan.columns == clocks for scan in reader.scans if Kind.CREATURE in scan.kinds)
    before = log.cursor()
    log.want({Kind.CREATURE})
    assert not log.is_complete({Kind.CREATURE})
    assert log.is_complete({Kind.STATS}, times={Kind.CREATURE})
    log.advance(0)  # one stretch of them
    assert 0 < creature.columns.rows < len(creature) == 800
    assert log.settled().marks[1] < before.marks[1] == log.cursor().marks[1]
    assert 0 < log.progress({Kind.CREATURE}) < 1
    lines.grow(3, Kind.CREATURE)
    read_all(log)
    time.sleep(0.05)
    log._parts[0]._not_before = log._parts[1]._not_before = 0
    read_all(log)
    assert len(creature) == creature.columns.rows == len(creature.time) == len(creature.order) == 803
    table = registry.open(lines.path).table("creature")
    assert creature.time.read().tolist() == table.time.tolist()
    assert creature.columns.numbers("reward", 0, 803).tolist() == table["reward"].tolist()
    assert [one.data["step"] for one in log.frames(Kind.CREATURE, [0, 800, 802])] == [1, 1200, 1202]
    assert log.row_after(Kind.CREATURE, before) == 800


def test_a_costly_look_is_not_repeated_at_once(counted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that passes all that comes before a position must not do that all the time."""
    lines, log, reader = counted
    # A frame takes a millisecond to read, and nothing else takes any time.
    monkeypatch.setattr(log_module, "time", SimpleNamespace(monotonic=lambda: reader.frames_read / 1000))
    lines.grow(20_000)
    read_all(log)
    read = reader.frames_read
    assert read <= 3 * 20_000 + 3 * 256  # the values, the times; and where the rows of a batch became more
    for _ in range(20):
        assert not log.advance(math.inf)
    assert reader.frames_read == read, "nothing is new"
    looks = []
    for _ in range(10):
        lines.grow(1)
        log.advance(math.inf)
        looks.append(reader.frames_read - read)
    assert looks[0] == looks[-1] >= 20_000
    assert log.is_complete({Kind.STATS})


def test_an_idle_look_costs_next_to_nothing(counted: Any) -> None:
    lines, log, _ = counted
    lines.grow(2000)
    read_all(log)
    began = time.perf_counter()
    for _ in range(1000):
        log.advance(time.monotonic() + 1)
    assert (time.perf_counter() - began) / 1000 < 1e-3


def test_a_growing_log_costs_what_is_new_in_it(codec: Any, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Growing(codec, runs / "x.lines")
    lines.grow(20_000)
    log = Log("x", "x", lines.path)
    read_all(log)
    decoded = []
    real = type(codec).decode

    def decode(self: Any, source: Any) -> Iterator[Any]:
        for record in real(self, source):
            decoded.append(record)
            yield record

    monkeypatch.setattr(type(codec), "decode", decode)
    lines.grow(3)
    log._parts[0]._not_before = log._parts[1]._not_before = 0
    read_all(log)
    assert log.rows[Kind.STATS].columns.rows == 20_003
    assert len(decoded) <= 2 * (1 + 3)  # for the values and the times: the header, and what is new


def test_a_position_that_does_not_fit_any_more_ends_the_log(counted: Any) -> None:
    lines, log, _ = counted
    lines.grow(10)
    read_all(log)
    assert log.holds(log.cursor())
    assert log.holds(log.beginning())
    raw = lines.path.read_bytes()
    with lines.path.open("r+b") as file:  # not shorter, and the same file
        file.write(raw.replace(b"[0.5, ", b"[0.6, ") + b"\n" * 9)
    log._parts[0]._not_before = 0
    with pytest.raises(InvalidPosition):
        read_all(log)
    assert not Log("x", "x", lines.path).holds(log.cursor())


def test_what_is_sparse_is_missing_and_not_nan(counted: Any) -> None:
    lines, log, _ = counted
    lines.write(lines.line(v=1), lines.line(v=None), lines.line(), lines.line(v=float("nan")), lines.line(v=2))
    read_all(log)
    values = log.rows[Kind.STATS].columns.numbers("v", 0, 5)
    np.testing.assert_equal(values, [1, np.nan, np.nan, np.nan, 2])
    from trainlog.live_log.column_file import is_nan

    assert is_nan(values).tolist() == [False, False, False, True, False]
    assert START == (0, "")


def test_a_folder_of_event_files_is_one_run_that_goes_on(serve: Callable[..., Any], runs: Path) -> None:
    """As a trainer leaves it that is started again: its second file comes while somebody looks."""
    pytest.importorskip("crc32c")
    folder = runs / "ppo"
    folder.mkdir()

    def add(writer: trainlog.Writer, *steps: int) -> None:
        for step in steps:
            writer.write(Frame(step / 10, Kind.STATS, {"step": step, "reward": float(step)}))

    header = {"wall": 1_700_000_000.0}
    with trainlog.create(folder / "1.tfevents", header) as writer:
        add(writer, 0, 2)
        site = serve(runs)
        (listed,) = site.get("/api/v1/runs").json["runs"]
        run = site.run("ppo")
        assert run["codec"] == "tensorboard"
        with site.stream(runs=listed["id"], cursors=f"{listed['id']}:{run['cursor']}") as stream:
            stream.until("hello")
            add(writer, 4)
            assert rewards(stream, 4)[-1] == 4
            with trainlog.create(folder / "2.tfevents", header) as second:
                add(second, 6)
                assert rewards(stream, 6)[-1] == 6
    assert site.run("ppo", "series", keys="reward", x="step")["series"]["reward"]["y"] == [0, 2, 4, 6]
    site.until(lambda: site.get("/api/v1/runs").json["runs"][0]["reward"] == 6)
    assert serve(folder).run("ppo")["codec"] == "tensorboard"
    assert serve(folder, runs).run("ppo")["codec"] == "tensorboard"
