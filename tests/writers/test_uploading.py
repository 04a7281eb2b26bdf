from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import trainlog
from buckets import FaultyFileSystem, check_prefix, log_in, new_bucket, objects
from trainlog import TrainingRecorder, registry
from trainlog.errors import LogExists, LogWriteError, LogWriteWarning, MissingExtra, UnknownFormat
from trainlog.media import MediaRecorder
from trainlog.model import Frame, Kind
from trainlog.storage import upload as module
from trainlog.writers import uploading


@pytest.fixture(autouse=True)
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TRAINLOG_DIR", str(tmp_path / "local"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(uploading.UploadingWriter.__init__, "__defaults__", (0.02, 2.0))  # seconds
    yield tmp_path / "local"
    FaultyFileSystem.heal()


def record(log: TrainingRecorder, count: int, first: int = 0) -> None:
    for i in range(first, first + count):
        log.record_stats_frame(float(i), {"step": i, "reward": i / 2})


def test_a_run_is_in_the_bucket_byte_for_byte(local: Path) -> None:
    url = new_bucket()
    with TrainingRecorder(f"{url}/runs/a.flog", "ant", metadata={"seed": 1}) as log:
        assert log.path == local / "memory" / url.partition("://")[2] / "runs" / "a.flog"
        assert log.uploader is not None
        assert log.uploader.url == f"{url}/runs/a.flog"
        assert repr(log) == f"TrainingRecorder('{url}/runs/a.flog', local='{log.path}')"
        record(log, 100)
        assert log.uploader.wait(10)
        assert log_in(f"{url}/runs", "a.flog") == Path(log.path).read_bytes()
        record(log, 100, 100)
    assert log.uploader.wait(0)
    assert log_in(f"{url}/runs", "a.flog") == Path(log.path).read_bytes()
    assert trainlog.open(log.path).table("stats")["step"].tolist() == list(range(200))
    assert trainlog.verify(log.path).whole


def test_a_url_without_a_folder_is_shown_as_it_was_typed(local: Path, request: pytest.FixtureRequest) -> None:
    url = f"{new_bucket()}.flog"
    request.addfinalizer(lambda: MemoryFileSystem().rm(f"{url}.parts", recursive=True))
    with TrainingRecorder(url) as log:
        record(log, 10)
        assert log.uploader is not None
        assert log.uploader.url == url
    with pytest.raises(LogExists, match=f"already at {url}"):
        TrainingRecorder(url, local=local / "elsewhere" / url.partition("://")[2])
    assert trainlog.open(url).table("stats").rows == 10
    runs = trainlog.runs(url)
    assert runs.config["run"].tolist() == [url.partition("://")[2]]
    assert [str(run.path) for run in runs] == [url]


def test_a_reader_midway_sees_whole_rows(tmp_path: Path) -> None:
    url = new_bucket()
    seen = set()
    with TrainingRecorder(f"{url}/a.flog") as log:
        for i in range(300):
            log.record_creature_frame(None, {"step": i, "pos": np.zeros(15)})
            if i % 10 == 0:
                time.sleep(0.005)
                seen.add(check_prefix(url, "a.flog", Path(log.path).read_bytes(), tmp_path))
    assert len(seen) > 3


def test_the_local_file_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TrainingRecorder(f"{new_bucket()}/a.flog", local=tmp_path / "disk" / "a.flog") as log:
        assert log.path == tmp_path / "disk" / "a.flog"
    assert (tmp_path / "disk" / "a.flog").exists()
    monkeypatch.delenv("TRAINLOG_DIR")
    url = new_bucket()
    with TrainingRecorder(f"{url}/a.flog") as log:
        assert log.path == Path.cwd().joinpath("trainlog-runs", "memory", url.partition("://")[2], "a.flog")
    with pytest.raises(ValueError, match="is not a URL"):
        TrainingRecorder("a.flog", local="b.flog")
    with pytest.raises(ValueError, match=r"called 'a\.flog'"):
        TrainingRecorder(f"{url}/a.flog", local="b.flog")
    assert not Path("b.flog").exists()


def test_a_path_of_another_library_is_an_address_too(local: Path) -> None:
    """That of universal_pathlib: its text has both slashes."""

    class Remote:
        def __init__(self, url: str) -> None:
            self._url = url

        def __fspath__(self) -> str:
            return self._url

        __str__ = __fspath__

    url = new_bucket()
    with TrainingRecorder(Remote(f"{url}/a.flog")) as log:
        record(log, 1)
    assert log_in(url, "a.flog") == Path(log.path).read_bytes()


def test_a_close_that_is_interrupted_goes_on(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = new_bucket("failing")
    log = TrainingRecorder(f"{url}/a.flog")
    record(log, 10)
    assert log.uploader is not None
    for place, name in ((log.uploader._writer, "close"), (log.uploader, "wait")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, _interrupt)
            with pytest.raises(KeyboardInterrupt):
                log.close()
    log.close()
    assert log_in(url, "a.flog") == Path(log.path).read_bytes()
    assert trainlog.verify(log.path).whole


def _interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["link.flog", ".hidden.flog"])
def test_a_log_that_is_a_link_or_hidden_is_uploaded(local: Path, name: str) -> None:
    url = new_bucket()
    local.mkdir()
    (local / "link.flog").symlink_to(local / "scratch.flog")
    TrainingRecorder(local / "scratch.flog", "ant").close()
    with TrainingRecorder(f"{url}/{name}", "ant", local=local / name, resume=True) as log:
        record(log, 3)
        assert log.uploader is not None
        assert log.uploader.wait(10)
        assert log_in(url, name) == Path(log.path).read_bytes()


def test_a_local_file_that_is_missing_is_not_in_the_bucket(local: Path) -> None:
    writer = trainlog.create(f"{new_bucket()}/a.flog.zst")  # a format whose file is there when it is closed
    assert isinstance(writer, uploading.UploadingWriter)
    assert not writer.wait(0.2)
    writer.close()
    assert writer.wait(0)


def test_create_and_resume() -> None:
    url = new_bucket()
    with trainlog.create(f"{url}/a.flog", {"seed": 3}) as writer:
        writer.write(Frame(1.0, Kind.STATS, {"a": 1}))
    with trainlog.resume(f"{url}/a.flog") as writer:
        assert writer.resumed_at == 1.0
        writer.write_all([Frame(2.0, Kind.STATS, {"a": 2})])
        writer.put_many([Frame(3.0, Kind.STATS, {"a": 3})])
        assert isinstance(writer, uploading.UploadingWriter)
    assert log_in(url, "a.flog") == writer.local.read_bytes()
    assert trainlog.open(writer.local).table("stats")["a"].tolist() == [1, 2, 3]


def test_a_log_in_the_bucket_is_never_overwritten_by_default(local: Path) -> None:
    url = new_bucket()
    with TrainingRecorder(f"{url}/a.flog") as log:
        record(log, 50)
    old = log_in(url, "a.flog")
    Path(log.path).unlink()
    with pytest.raises(LogExists, match="there is a log already"):
        TrainingRecorder(f"{url}/a.flog")
    assert not Path(log.path).exists()
    assert log_in(url, "a.flog") == old
    with TrainingRecorder(f"{url}/a.flog", overwrite=True) as log:
        record(log, 3)
    assert log_in(url, "a.flog") == Path(log.path).read_bytes()
    assert len(trainlog.open(log.path).table("stats")["step"]) == 3


def test_resumed_on_another_machine(local: Path) -> None:
    """The local file is gone, or older: what the bucket has is fetched first."""
    url = new_bucket()
    sizes = []
    for n in range(3):
        with TrainingRecorder(f"{url}/a.flog", resume=True) as log:
            record(log, 20, 20 * n)
        sizes.append(Path(log.path).stat().st_size)
        if n == 0:
            Path(log.path).unlink()
        else:
            with Path(log.path).open("r+b") as file:
                file.truncate(sizes[0])
    assert sizes == sorted(sizes)
    Path(log.path).unlink()
    with TrainingRecorder(f"{url}/a.flog", resume=True) as log:
        pass
    assert trainlog.open(log.path).table("stats")["step"].tolist() == list(range(60))


@pytest.mark.parametrize("resume", [False, True])
def test_what_a_killed_upload_left_is_no_log(local: Path, tmp_path: Path, resume: bool) -> None:
    leftover = tmp_path / "away" / "a.flog.parts" / f".{0:020d}.1.x"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half of a part")
    with TrainingRecorder(f"file://{tmp_path}/away/a.flog", "ant", resume=resume) as log:
        record(log, 3)
    assert trainlog.open(tmp_path / "away" / "a.flog").table("stats").rows == 3


def test_the_url_of_a_file_is_the_same_for_writing_and_reading(local: Path, tmp_path: Path) -> None:
    path = tmp_path / "a b" / "50 %41.flog"
    for url in (path.as_uri(), path.as_uri().replace("file://", "file://localhost")):
        with TrainingRecorder(url, "ant", resume=True) as log:
            record(log, 3)
            assert log.path == Path(f"{local}/file{path}")
        assert trainlog.open(url).summary().frames == trainlog.open(path).summary().frames > 2
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a b", "local"]


def test_another_local_file_is_not_resumed(local: Path) -> None:
    url = new_bucket()
    with TrainingRecorder(f"{url}/a.flog", "ant") as log:
        record(log, 50)
    path = Path(log.path)
    path.unlink()
    with TrainingRecorder(path, "go2"):
        pass
    before = path.read_bytes()
    with pytest.raises(LogExists, match="is not the same log"):
        TrainingRecorder(f"{url}/a.flog", resume=True)
    assert path.read_bytes() == before
    path.unlink()
    with TrainingRecorder(path, "go2") as log:
        record(log, 500)
    before = path.read_bytes()
    with pytest.raises(LogExists, match="is not the beginning of this one"):
        TrainingRecorder(f"{url}/a.flog", resume=True)
    assert path.read_bytes() == before


def test_of_two_runs_that_begin_at_once_one_is_uploaded(tmp_path: Path) -> None:
    """On two machines, which do not see each other's files."""
    url = f"{new_bucket()}/a.flog"
    paths = [tmp_path / name / "a.flog" for name in ("one", "two")]
    both = [uploading.begin_upload(url, path, registry.frame_end) for path in paths]
    for path in paths:
        with TrainingRecorder(path, path.parent.name) as log:
            record(log, 10)
    for upload in both:
        upload.step()
    assert both[0].waiting == {}
    assert "is not the beginning of this one" in both[1].waiting["a.flog"].why
    assert both[1].waiting["a.flog"].size == paths[1].stat().st_size  # none of it is there
    assert log_in(*url.rsplit("/", 1)) == paths[0].read_bytes()


def test_media_and_other_formats_are_uploaded(local: Path) -> None:
    url = new_bucket()
    with TrainingRecorder(f"{url}/a.flog") as log:
        MediaRecorder(log).image(None, "camera", np.zeros((4, 4, 3), np.uint8))
    names = sorted(objects(url))
    assert len([name for name in names if name.startswith("a.flog.media/")]) == 1
    with TrainingRecorder(f"{url}/b.parquet") as log:
        record(log, 5)
    assert objects(url)["b.parquet"] == Path(log.path).read_bytes()


def test_what_the_format_cannot_hold_is_counted_in_a_bucket_too(local: Path) -> None:
    with trainlog.create(f"{new_bucket()}/a.tfevents", {"list": [1]}) as log:
        log.write(Frame(0.0, Kind.STATS, {"word": "x"}))
        assert log.losses == {
            "metadata other than numbers, words or bools": 1,
            "values that are not numbers, of stats frames": 1,
        }


def test_shards_have_parts_of_their_own(local: Path) -> None:
    url = new_bucket()
    for rank in range(2):
        with TrainingRecorder(f"{url}/run.flog", shard=rank) as log:
            record(log, 5)
        assert log_in(f"{url}/run.flog", f"{rank}.flog") == Path(log.path).read_bytes()
    assert Path(log.path).parent.name == "run.flog"


def test_a_network_that_is_gone_is_told_once_and_loses_nothing(local: Path) -> None:
    url = new_bucket("failing")

    def fail(what: str, path: str) -> None:
        raise ConnectionError("no route to host")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log = TrainingRecorder(f"{url}/a.flog", local=local / "my runs" / "a.flog")
        assert log.uploader is not None
        FaultyFileSystem.before = staticmethod(fail)
        record(log, 100)
        assert not log.uploader.wait(0.3)
        assert "no route to host" in log.uploader.error
        assert [str(one.message) for one in caught if "cannot upload" in str(one.message)]
        FaultyFileSystem.heal()
        assert log.uploader.wait(10)
        assert log.uploader.error == ""
        assert log_in(url, "a.flog") == Path(log.path).read_bytes()
        FaultyFileSystem.before = staticmethod(fail)
        record(log, 100, 100)
        log.close()
        assert not log.uploader.wait(0)
    told = [str(one.message) for one in caught]
    assert sum("cannot upload" in text for text in told) == 2  # of each outage
    assert "bytes of it are not at" in told[-1]
    assert f"`trainlog sync '{log.path}' {url}`" in told[-1]
    assert len(trainlog.open(log.path).table("stats")["step"]) == 200
    FaultyFileSystem.heal()


def test_a_network_that_hangs_holds_no_call_up(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading.UploadingWriter.__init__, "__defaults__", (0.02, 0.2))
    url = new_bucket("failing")
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(what: str, path: str) -> None:
        hangs.set()
        goes_on.wait(60)

    log = TrainingRecorder(f"{url}/a.flog")
    FaultyFileSystem.before = staticmethod(hang)
    record(log, 10)
    assert hangs.wait(10)
    record(log, 1000, 10)
    log.flush()
    log.sync()
    with pytest.warns(LogWriteWarning, match=r"[1-9][\d,]+ bytes of it are not at"):
        log.close()
    assert not goes_on.is_set()
    assert len(trainlog.open(log.path).table("stats")["step"]) == 1010
    goes_on.set()


def test_warnings_that_are_errors_come_when_all_is_closed(local: Path) -> None:
    url = new_bucket("failing")
    log = TrainingRecorder(f"{url}/a.flog")
    FaultyFileSystem.before = staticmethod(lambda what, path: (_ for _ in ()).throw(ConnectionError("gone")))
    record(log, 10)
    assert log.uploader is not None
    assert not log.uploader.wait(0.2)
    record(log, 10, 10)  # never in this call
    with pytest.raises(LogWriteWarning, match="gone"):
        log.close()
    log.close()
    FaultyFileSystem.heal()
    assert len(trainlog.open(log.path).table("stats")["step"]) == 20
    assert trainlog.verify(log.path).whole


def test_a_log_that_is_emptied_while_it_is_recorded_is_not_mixed(local: Path) -> None:
    """As logrotate's copytruncate does; the file goes on with what is written since."""
    url = new_bucket()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log = TrainingRecorder(f"{url}/a.flog", overwrite=True)
        record(log, 50)
        assert log.uploader is not None
        assert log.uploader.wait(10)
        old = log_in(url, "a.flog")
        os.truncate(log.path, 0)
        record(log, 100, 50)
        assert not log.uploader.wait(0.3)
        log.close()
    assert log_in(url, "a.flog") == old
    assert any("is not the beginning of this one" in str(one.message) for one in caught)


def test_a_writer_that_is_dropped_ends_its_thread(local: Path) -> None:
    writer = trainlog.create(f"{new_bucket()}/a.flog")
    assert isinstance(writer, uploading.UploadingWriter)
    thread = writer._thread
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        del writer
        thread.join(10)
        gc.collect()
    assert not thread.is_alive()
    assert any("was not closed" in str(one.message) for one in caught)


def test_what_waits_in_memory_is_written_at_the_end_of_the_process(tmp_path: Path) -> None:
    """The disk was full, and nobody closes the recorder."""
    code = """
import resource, sys, signal, warnings, trainlog
warnings.simplefilter("ignore")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = trainlog.TrainingRecorder(sys.argv[1])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
for i in range(200):
    log.record_stats_frame(None, {"step": i})
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(log.path)
"""
    url = f"file://{tmp_path}/away"
    environment = {**os.environ, "PYTHONPATH": str(Path(trainlog.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code, f"{url}/a.flog"], env=environment, capture_output=True, text=True, check=True
    )
    path = Path(done.stdout.strip())
    assert trainlog.open(path).table("stats")["step"].tolist() == list(range(200))
    assert log_in(url, "a.flog") == path.read_bytes()


def test_a_forked_child_uploads_nothing(local: Path) -> None:
    url = new_bucket()
    with TrainingRecorder(f"{url}/a.flog") as log:
        record(log, 10)
        assert log.uploader is not None
        assert log.uploader.wait(10)
        if not (pid := os.fork()):
            code = 4
            try:
                log.close()
                code = 3 if log.uploader.wait(1) else 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        record(log, 10, 10)
    assert log_in(url, "a.flog") == Path(log.path).read_bytes()


@pytest.mark.parametrize(
    ("url", "error", "text"),
    [
        ("nothing://bucket/a.flog", UnknownFormat, "an unknown file system"),
        ("https://host/a.flog", UnknownFormat, "can only be read"),
        ("S3://bucket/a.flog", UnknownFormat, "an unknown file system"),
        ("simplecache::s3://bucket/a.flog", UnknownFormat, "in a row"),
        ("s3://a.flog", UnknownFormat, "is not the address of a log"),
        ("memory://bucket/", UnknownFormat, "is not the address of a log"),
        ("memory://bucket/../a.flog", UnknownFormat, "is not the address of a log"),
        ("memory://bucket/a.nothing", UnknownFormat, "no codec"),
    ],
)
def test_addresses_that_are_none(local: Path, url: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        TrainingRecorder(url)
    with pytest.raises(error, match=text):
        trainlog.create(url)
    assert not local.exists()


def test_a_bucket_that_cannot_be_reached_is_said_before_the_training(local: Path) -> None:
    FaultyFileSystem.before = staticmethod(lambda what, path: (_ for _ in ()).throw(PermissionError("no such key")))
    with pytest.raises(LogWriteError, match="no such key"):
        TrainingRecorder(f"{new_bucket('failing')}/a.flog")
    assert not local.exists()


def test_without_fsspec_the_extra_is_named(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtra, match=r"trainlog\[remote\]"):
        TrainingRecorder("memory://bucket/a.flog")


_TRAIN = """
import sys, trainlog
log = trainlog.TrainingRecorder(sys.argv[1], resume=True)
print(log.path, flush=True)
i = 0
while True:
    log.record_stats_frame(None, {"step": i, "text": "x" * 100})
    i += 1
"""


def test_a_training_that_is_killed_is_completed_by_sync(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/away"
    environment = {**os.environ, "PYTHONPATH": str(Path(trainlog.__file__).parents[1])}
    for n in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _TRAIN, f"{url}/a.flog"], env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            path = Path(process.stdout.readline().strip())
            time.sleep(0.1 * (n + 1))
            process.send_signal(signal.SIGKILL)
        check_prefix(url, "a.flog", path.read_bytes(), tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "trainlog", "sync", str(path), url], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = log_in(url, "a.flog")
    assert len(path.read_bytes()) - len(found) < 200  # an unfinished frame at most
    check_prefix(url, "a.flog", path.read_bytes(), tmp_path)


def test_a_log_that_nobody_closes_is_uploaded_at_the_end_of_the_process(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/away"
    code = _TRAIN.replace("while True:", "while i < 100:")
    environment = {**os.environ, "PYTHONPATH": str(Path(trainlog.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code, f"{url}/a.flog"], env=environment, capture_output=True, text=True, check=True
    )
    assert log_in(url, "a.flog") == Path(done.stdout.strip()).read_bytes()


def test_a_long_run_has_few_parts(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_RATIO", 1e9)
    url = new_bucket()
    with TrainingRecorder(f"{url}/a.flog") as log:
        for i in range(100):
            record(log, 1, i)
            time.sleep(0.002)
    assert len(objects(url)) < 4
    assert log_in(url, "a.flog") == Path(log.path).read_bytes()
