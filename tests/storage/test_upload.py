from __future__ import annotations

import errno
import os
import random
import select
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

import trainlog
from buckets import FaultyFileSystem, check_prefix, log_in, new_bucket, objects, sometimes
from handmade import Flog
from trainlog import registry
from trainlog.codecs.flog import archive
from trainlog.errors import LogWriteError, MissingExtra, UnknownFormat
from trainlog.storage import parts
from trainlog.storage import upload as module
from trainlog.storage.append import AppendFile
from trainlog.storage.parts import RemoteFolder, split_url
from trainlog.storage.upload import Upload

HEADER = Flog.header({"creature": "ant"})


def frames(count: int, first: int = 0, size: int = 40) -> bytes:
    return b"".join(
        Flog.frame(i + 0.5, 2, {"step": i, "text": "x" * (size + i % 7)}) for i in range(first, first + count)
    )


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "_LARGEST", 1000)
    yield
    FaultyFileSystem.heal()


def upload(folder: Path, url: str, **more: Any) -> Upload:
    return Upload(folder, RemoteFolder(url), registry.frame_end, **more)


def sent(folder: Path, url: str, **more: Any) -> int:
    """Upload all of *folder*, of which nothing waits; how many objects were sent."""
    one = upload(folder, url, **more)
    one.step()
    assert one.waiting == {}
    return sum(each.objects for each in one.sent.values())


@pytest.mark.parametrize("scheme", ["memory", "failing", "file"])
def test_parts_are_the_bytes_of_the_log_and_end_at_frames(tmp_path: Path, scheme: str) -> None:
    runs, url = tmp_path / "runs", f"file://{tmp_path}/away" if scheme == "file" else new_bucket(scheme)
    (runs / "deep").mkdir(parents=True)
    log = HEADER + frames(200)
    (runs / "deep" / "run.flog").write_bytes(log)
    assert sent(runs, url) > 5
    found = objects(f"{url}/deep/run.flog.parts")
    at = 0
    for name, data in found.items():
        assert name == f"{at:020d}"
        assert len(data) <= 1000
        Flog.read(HEADER + data if at else data)
        at += len(data)
        check = Flog.read(b"".join(found.values())[:at])[1]
        assert check[-1][2]["step"] == len(check) - 1
    assert b"".join(found.values()) == log


def test_the_second_time_nothing_is_sent(tmp_path: Path) -> None:
    url = new_bucket()
    (tmp_path / "run.flog").write_bytes(HEADER + frames(50))
    (tmp_path / "note.txt").write_text("a")
    assert sent(tmp_path, url) > 2
    before = {name: fsspec.filesystem("memory").modified(f"{url}/{name}") for name in objects(url)}
    assert sent(tmp_path, url) == 0
    assert {name: fsspec.filesystem("memory").modified(f"{url}/{name}") for name in objects(url)} == before
    with (tmp_path / "run.flog").open("ab") as file:
        file.write(frames(1, 50))
    assert sent(tmp_path, url) == 1
    assert log_in(url, "run.flog") == HEADER + frames(51)


def test_an_unfinished_frame_is_not_sent_until_it_is_whole(tmp_path: Path) -> None:
    url = new_bucket()
    log = HEADER + frames(3)
    for cut in range(len(HEADER), len(log) + 1):
        (tmp_path / "run.flog").write_bytes(log[:cut])
        sent(tmp_path, url)
        assert check_prefix(url, "run.flog", log[:cut], tmp_path.parent) > cut - 80
    assert log_in(url, "run.flog") == log


def test_damage_in_the_middle_is_in_the_copy(tmp_path: Path) -> None:
    url = new_bucket()
    log = HEADER + frames(30) + bytes(300) + frames(30, 30) + b"\xc1" * 77 + frames(5, 60)
    (tmp_path / "run.flog").write_bytes(log + frames(1)[:20])
    sent(tmp_path, url)
    assert log_in(url, "run.flog") == log


def test_a_wrong_length_in_the_middle_holds_nothing_back(tmp_path: Path) -> None:
    url = new_bucket()
    bad = bytearray(frames(30))
    bad[10] = 0xFF  # a length that leads beyond the end of the file
    log = HEADER + bytes(bad)
    (tmp_path / "run.flog").write_bytes(log)
    sent(tmp_path, url)
    assert log_in(url, "run.flog") == log


def test_a_frame_that_is_larger_than_a_part_is_one(tmp_path: Path) -> None:
    url = new_bucket()
    log = HEADER + frames(2) + frames(1, 2, 5000) + frames(2, 3)
    (tmp_path / "run.flog").write_bytes(log)
    sent(tmp_path, url)
    assert log_in(url, "run.flog") == log
    assert max(map(len, objects(url).values())) > 5000


@pytest.mark.parametrize("content", [bytes(500), b"something else"])
def test_a_file_that_is_not_a_log_does_not_hide_the_log_in_the_bucket(tmp_path: Path, content: bytes) -> None:
    url = new_bucket("failing")
    path = tmp_path / "run.flog"
    path.write_bytes(HEADER + frames(100))
    first = upload(tmp_path, url)
    first.step()
    path.write_bytes(content)
    second = upload(tmp_path, url)
    for one in (first, second, second):
        one.step()
        assert one.waiting["run.flog"].failed
        assert "this file is not a log" in one.waiting["run.flog"].why
        assert log_in(url, "run.flog") == HEADER + frames(100)
        assert trainlog.open(f"{url}/run.flog").summary().frames == 100


@pytest.mark.parametrize("change", ["replaced", "cut", "continued otherwise"])
def test_another_log_is_refused_and_never_mixed(tmp_path: Path, change: str) -> None:
    """Whatever happens in between, the bucket has a beginning of the one or of the other."""
    url = new_bucket("failing")
    old = HEADER + frames(100)
    new = {
        "replaced": Flog.header({"creature": "go2"}) + frames(120),
        "cut": old[: len(HEADER) + 10 * len(frames(1))],
        "continued otherwise": HEADER + frames(40) + frames(80, 1000),
    }[change]
    path = tmp_path / "run.flog"
    path.write_bytes(old)
    sent(tmp_path, url)
    path.write_bytes(new)
    for _ in range(2):
        one = upload(tmp_path, url)
        one.step()
        assert "is not the beginning of this one" in one.waiting["run.flog"].why
        assert log_in(url, "run.flog") == old
    seen = []

    def look(what: str, name: str) -> None:
        found = log_in(url, "run.flog")
        seen.append((what, len(found)))
        assert old.startswith(found) or new.startswith(found)

    FaultyFileSystem.after = staticmethod(look)
    dry = upload(tmp_path, url, overwrite=True)
    dry.step(dry=True)
    assert dry.sent
    assert not seen
    sent(tmp_path, url, overwrite=True)
    FaultyFileSystem.heal()
    kept, _ = registry.frame_end(path), None
    assert kept is not None
    assert log_in(url, "run.flog") == new[: kept(0, len(new) * 2)]
    assert {what for what, _ in seen} == {"delete", "write"}
    assert sent(tmp_path, url) == 0


def test_an_overwrite_that_is_interrupted_goes_on(tmp_path: Path) -> None:
    url = new_bucket("failing")
    old, new = HEADER + frames(100), Flog.header({"creature": "go2"}) + frames(100)
    (tmp_path / "run.flog").write_bytes(old)
    sent(tmp_path, url)
    (tmp_path / "run.flog").write_bytes(new)
    for seed in range(200):
        FaultyFileSystem.before = staticmethod(sometimes(0.2, seed))
        FaultyFileSystem.after = staticmethod(sometimes(0.2, seed + 1000))
        one = upload(tmp_path, url, overwrite=True)
        try:
            one.step()
        except LogWriteError:
            continue
        finally:
            FaultyFileSystem.heal()
            found = log_in(url, "run.flog")
            assert old.startswith(found) or new.startswith(found)
        if not one.waiting:
            break
    assert log_in(url, "run.flog") == new


def test_a_log_that_is_replaced_while_it_is_watched(tmp_path: Path) -> None:
    url = new_bucket()
    path = tmp_path / "run.flog"
    path.write_bytes(HEADER + frames(20))
    one = upload(tmp_path, url)
    one.step()
    path.write_bytes(Flog.header({"creature": "go2"}) + frames(50))
    for _ in range(3):
        one.step()
        assert one.waiting["run.flog"].failed
    assert log_in(url, "run.flog") == HEADER + frames(20)


def test_an_object_of_the_same_name_is_not_replaced(tmp_path: Path) -> None:
    url = new_bucket()
    fsspec.filesystem("memory").pipe_file(f"{url}/run.flog", b"somebody else's")
    (tmp_path / "run.flog").write_bytes(HEADER + frames(3))
    one = upload(tmp_path, url)
    one.step()
    assert "an object of that name" in one.waiting["run.flog"].why
    assert objects(url) == {"run.flog": b"somebody else's"}
    sent(tmp_path, url, overwrite=True)
    assert log_in(url, "run.flog") == HEADER + frames(3)
    assert "run.flog" not in objects(url)


def test_a_part_that_is_missing_is_sent_again(tmp_path: Path) -> None:
    url = new_bucket()
    log = HEADER + frames(100)
    (tmp_path / "run.flog").write_bytes(log)
    sent(tmp_path, url)
    names = sorted(objects(url))
    for name in names[3:5]:
        fsspec.filesystem("memory").rm_file(f"{url}/{name}")
    assert sent(tmp_path, url) == 2
    assert log_in(url, "run.flog") == log
    assert sorted(objects(url)) == names


def test_parts_of_another_log_behind_a_gap_are_never_joined(tmp_path: Path) -> None:
    url = new_bucket()
    old, new = HEADER + frames(100), HEADER + frames(20) + frames(80, 1000)
    (tmp_path / "run.flog").write_bytes(old)
    sent(tmp_path, url)
    fsspec.filesystem("memory").rm_file(f"{url}/{sorted(objects(url))[1]}")
    before = objects(url)
    (tmp_path / "run.flog").write_bytes(new)
    one = upload(tmp_path, url)
    one.step()
    assert "after a missing part" in one.waiting["run.flog"].why
    assert objects(url) == before
    sent(tmp_path, url, overwrite=True)
    assert log_in(url, "run.flog") == new


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    url = new_bucket()
    (tmp_path / "run.flog").write_bytes(log := HEADER + frames(100))
    (tmp_path / "note.txt").write_text("a")
    sent(tmp_path, url)
    names = sorted(objects(f"{url}/run.flog.parts"))
    fs = fsspec.filesystem("memory")
    fs.rm_file(f"{url}/run.flog.parts/{names[-1]}")
    fs.pipe_file(f"{url}/run.flog.parts/{7:020d}", b"within")
    fs.pipe_file(f"{url}/run.flog.parts/{10**9:020d}", b"")
    before = objects(url)
    one = upload(tmp_path, url)
    one.step(dry=True)
    assert one.sent == {"run.flog": (1, len(log) - int(names[-1]))}
    assert objects(url) == before
    sent(tmp_path, url)
    assert sorted(objects(f"{url}/run.flog.parts")) == names


def test_an_empty_object_in_the_way_is_replaced(tmp_path: Path) -> None:
    url = new_bucket()
    fsspec.filesystem("memory").pipe_file(f"{url}/run.flog.parts/{0:020d}", b"")
    (tmp_path / "run.flog").write_bytes(HEADER + frames(3))
    sent(tmp_path, url)
    assert log_in(url, "run.flog") == HEADER + frames(3)


def test_a_bucket_that_fails_at_random(tmp_path: Path) -> None:
    """Before a write, and after it, when the answer is lost: the log is always a beginning, and complete at last."""
    url = new_bucket("failing")
    log = HEADER + frames(300)
    one = upload(tmp_path, url)
    rounds = 0
    for seed in range(500):
        size = len(HEADER) + len(frames(min(seed * 10, 300)))
        (tmp_path / "run.flog").write_bytes(log[:size])
        FaultyFileSystem.before = staticmethod(sometimes(0.3, seed))
        FaultyFileSystem.after = staticmethod(sometimes(0.3, seed + 1000, TimeoutError))
        if seed % 5 == 0:
            one = upload(tmp_path, url)
        try:
            one.step()
        except LogWriteError:
            rounds += 1
        FaultyFileSystem.heal()
        check_prefix(url, "run.flog", log, tmp_path.parent)
        if log_in(url, "run.flog") == log:
            break
    assert rounds
    assert log_in(url, "run.flog") == log


@pytest.mark.parametrize("scheme", ["failing", "file"])
def test_uploads_of_one_log_at_once(tmp_path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system whose objects are made exclusively, and on one where they are not."""
    (runs := tmp_path / "runs").mkdir()
    url = f"file://{tmp_path}/away" if scheme == "file" else new_bucket(scheme)
    if scheme == "failing":
        monkeypatch.setattr(parts, "_WHOLE_AT_ONCE", frozenset([scheme]))
    log = HEADER + frames(400)
    path = runs / "run.flog"
    path.write_bytes(HEADER)
    FaultyFileSystem.before = staticmethod(lambda what, name: time.sleep(0.001))
    ended = threading.Event()
    waiting: list[Any] = []

    def run() -> None:
        one = upload(runs, url)
        while not ended.is_set():
            one.step()
            waiting.extend(one.waiting.items())

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    with path.open("ab") as file:
        for i in range(400):
            file.write(frames(1, i))
            file.flush()
            if i % 20 == 0:
                time.sleep(0.01)
                # Bytes that two uploads sent are tidied where objects are not made exclusively.
                assert log.startswith(log_in(url, "run.flog", tidied=scheme == "file"))
    ended.set()
    for thread in threads:
        thread.join()
    assert scheme == "file" or not waiting
    sent(runs, url)
    assert log_in(url, "run.flog") == log
    assert scheme == "file" or b"".join(objects(url).values()) == log  # no byte twice


def test_a_full_disk_leaves_no_torn_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, url = tmp_path / "runs", f"file://{tmp_path}/away"
    runs.mkdir()
    log = HEADER + frames(100)
    (runs / "run.flog").write_bytes(log)
    fs = type(fsspec.filesystem("file"))
    left = 3000

    def pipe_file(self: Any, path: str, value: bytes, **kwargs: Any) -> None:
        nonlocal left
        written, left = value[:left], max(left - len(value), 0)
        Path(path).write_bytes(written)
        if len(written) < len(value):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(fs, "pipe_file", pipe_file)
        one = upload(runs, url)
        one.step()
        assert "No space left" in one.waiting["run.flog"].why
        assert 0 < check_prefix(url, "run.flog", log, tmp_path) <= 3000
        assert all(len(name) == 20 for name in objects(f"{url}/run.flog.parts"))
    sent(runs, url)
    assert log_in(url, "run.flog") == log


def test_other_files_are_copied_when_nobody_writes_them(tmp_path: Path) -> None:
    url = new_bucket()
    (tmp_path / "run.simion.log").write_text("<x/>")
    (tmp_path / "run.simion.log.bin").write_bytes(b"\0" * 5000)
    (tmp_path / ".hidden").write_text("no")
    (tmp_path / "link").symlink_to("run.simion.log")
    one = upload(tmp_path, url)
    one.step()
    assert one.left_out == ["link"]
    assert objects(url) == {"run.simion.log": b"<x/>", "run.simion.log.bin": b"\0" * 5000}
    (tmp_path / "run.simion.log.bin").write_bytes(b"\1" * 5000)
    os.utime(tmp_path / "run.simion.log.bin", (time.time() + 5, time.time() + 5))
    one.step()
    assert objects(url)["run.simion.log.bin"] == b"\1" * 5000
    with (tmp_path / "run.simion.log").open("w") as file:
        file.write("<y/>")
    one.step(finish=False)
    assert "a moment ago" in one.waiting["run.simion.log"].why
    held = AppendFile(tmp_path / "held.txt", b"abc")
    one.step()
    assert "is writing it" in one.waiting["held.txt"].why
    held.close()
    one.step()
    assert one.waiting == {}
    assert objects(url)["held.txt"] == b"abc"


def test_a_file_whose_time_is_in_the_future_is_sent_once(tmp_path: Path) -> None:
    url = new_bucket()
    (tmp_path / "note.txt").write_text("old")
    os.utime(tmp_path / "note.txt", (time.time() + 1e6, time.time() + 1e6))
    one = upload(tmp_path, url)
    one.step()
    assert sent(tmp_path, url) == 0
    (tmp_path / "note.txt").write_text("new")
    one.step()
    assert objects(url) == {"note.txt": b"new"}


@pytest.mark.parametrize("size", [0, 7, len(HEADER) - 1, len(HEADER)])
def test_a_log_whose_header_is_being_written_is_continued(tmp_path: Path, size: int) -> None:
    url = new_bucket()
    (tmp_path / "run.flog").write_bytes(HEADER[:size])
    sent(tmp_path, url)
    (tmp_path / "run.flog").write_bytes(HEADER + frames(3))
    assert sent(tmp_path, url) == 1
    assert log_in(url, "run.flog") == HEADER + frames(3)


def test_an_archive_is_copied_as_a_whole(tmp_path: Path) -> None:
    pytest.importorskip("zstandard")
    url = new_bucket()
    (tmp_path / "a.flog").write_bytes(HEADER + frames(300))
    archive.compact(tmp_path / "a.flog", tmp_path / "a.flog.zst")
    (tmp_path / "a.flog").unlink()
    sent(tmp_path, url)
    assert objects(url) == {"a.flog.zst": (tmp_path / "a.flog.zst").read_bytes()}


def test_parts_beside_their_log_are_not_sent_twice(tmp_path: Path) -> None:
    """A folder that is a bucket itself, into which a log was copied."""
    url = new_bucket()
    (tmp_path / "a.flog").write_bytes(HEADER + frames(3))
    for name in ("a.flog", "b.flog"):
        (tmp_path / f"{name}.parts").mkdir()
        (tmp_path / f"{name}.parts" / f"{0:020d}").write_bytes(HEADER)
    one = upload(tmp_path, url)
    one.step()
    assert one.left_out == ["a.flog.parts"]
    assert objects(url) == {f"a.flog.parts/{0:020d}": HEADER + frames(3), f"b.flog.parts/{0:020d}": HEADER}


def test_small_parts_wait_until_they_are_due_and_are_sent_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE_RATIO", 1e9)
    url = new_bucket()
    path = tmp_path / "run.flog"
    path.write_bytes(HEADER + frames(1))
    one = upload(tmp_path, url)
    one.step(finish=False)
    path.write_bytes(HEADER + frames(3))
    one.step(finish=False)
    assert one.waiting["run.flog"] == (len(frames(2, 1)), "the next part is not due yet", False)
    path.write_bytes(HEADER + frames(40))  # more than a part
    one.step(finish=False)
    assert 1000 < len(log_in(url, "run.flog")) < path.stat().st_size
    one.step()
    assert log_in(url, "run.flog") == path.read_bytes()


def test_when_all_fails_not_everything_is_tried(tmp_path: Path) -> None:
    for i in range(30):
        (tmp_path / f"{i:02d}.flog").write_bytes(HEADER + frames(3))
    tried = []

    def fail(what: str, name: str) -> None:
        if what == "write":
            tried.append(name)
            raise ConnectionError("the network is gone")

    FaultyFileSystem.before = staticmethod(fail)
    one = upload(tmp_path, url := new_bucket("failing"))
    one.step()
    assert len(one.waiting) == 30
    assert "the network is gone" in one.waiting["00.flog"].why
    assert len(tried) < 10
    FaultyFileSystem.heal()
    one.step()
    assert one.waiting == {}
    assert len(objects(url)) == 30


def test_an_upload_that_is_killed_fifty_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system where an object grows while it is written, which is the harder case."""
    runs, url = tmp_path / "runs", f"file://{tmp_path}/away"
    runs.mkdir()
    path, log = runs / "run.flog", HEADER + frames(3000)
    ready, progress = os.pipe()
    allowed, allow = os.pipe()

    def slowly(self: Any, path: str, value: bytes, **kwargs: Any) -> None:
        with Path(path).open("wb", buffering=0) as file:
            for at in range(0, len(value), 200):
                os.read(allowed, 1)
                file.write(value[at : at + 200])
                os.write(progress, b".")

    monkeypatch.setattr(type(fsspec.filesystem("file")), "pipe_file", slowly)
    dice = random.Random(3)
    ends = []
    for n in range(1, 51):
        path.write_bytes(log[: len(log) * n // 50])  # not at a frame
        if not (pid := os.fork()):
            while True:
                upload(runs, url).step()
        pieces = dice.randrange(30)  # of 200 bytes, until it is killed
        os.write(allow, pieces * b".")
        for _ in range(pieces):
            if not select.select([ready], [], [], 1.0)[0]:
                break  # all is sent
            os.read(ready, 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for pipe in (ready, allowed):
            while select.select([pipe], [], [], 0)[0]:
                os.read(pipe, 1 << 16)
        ends.append(check_prefix(url, "run.flog", log, tmp_path))
    for pipe in (ready, progress, allowed, allow):
        os.close(pipe)
    monkeypatch.undo()
    assert ends == sorted(ends)
    assert len(set(ends)) > 10
    sent(runs, url)
    assert log_in(url, "run.flog") == log
    left = [name for name in objects(url) if "/." in name]
    assert left  # of what was killed in the middle
    for name in left:
        os.utime(tmp_path / "away" / name, (1, 1))
    sent(runs, url)
    assert not [name for name in objects(url) if "/." in name]


@pytest.mark.parametrize(
    ("url", "error", "text"),
    [
        ("nothing://bucket/a", UnknownFormat, "an unknown file system"),
        ("https://host/a", UnknownFormat, "can only be read"),
        ("s3:/bucket/a", UnknownFormat, "one slash"),
        ("gs://bucket/a", MissingExtra, "gcsfs"),
    ],
)
def test_an_address_that_cannot_be_written(url: str, error: type[Exception], text: str) -> None:
    if error is MissingExtra:
        try:
            import gcsfs  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("gcsfs is installed")
    with pytest.raises(error, match=text):
        RemoteFolder(url)


def test_an_address_without_a_bucket() -> None:
    pytest.importorskip("s3fs")
    with pytest.raises(UnknownFormat, match="names no bucket"):
        RemoteFolder("s3://")


def test_no_password_is_shown() -> None:
    assert RemoteFolder("memory://me:secret@host/a").url == "memory://host/a"
    assert RemoteFolder("memory://me:s@cr:t@host/a@b").url == "memory://host/a@b"


def test_the_container_of_azure_is_kept() -> None:
    assert RemoteFolder("memory://container@account/a").url == "memory://container@account/a"
    assert split_url("abfs://one@account/a/run.flog") == ("abfs", "one@account/a", "run.flog")
