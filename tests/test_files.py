from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from trainlog.errors import CorruptLog, LogNotFound, LogWriteError, TruncatedLog, UnknownFormat
from trainlog.storage.replace import atomic_write
from trainlog.storage.source import Source, follow


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a"
    path.write_bytes(b"one\ntwo\nthr")
    return path


def test_take(path: Path) -> None:
    with Source(path) as source:
        assert source.take(4) == b"one\n"
        assert source.offset == 4
        assert source.take(3) == b"two"
        with pytest.raises(TruncatedLog) as caught:
            source.take(5)
        assert caught.value.offset == 7
        assert source.take(4) == b"\nthr"
        assert source.take(1) == b""
        assert source.take(2**62) == b""


def test_line(path: Path) -> None:
    with Source(path) as source:
        assert [source.line(), source.line()] == [b"one\n", b"two\n"]
        with pytest.raises(TruncatedLog):
            source.line()
        assert source.take(3) == b"thr"
        assert source.line() == b""


def test_goes_back_when_told(path: Path) -> None:
    with Source(path) as source:
        assert source.take(8) == b"one\ntwo\n"
        source.offset = 4
        assert source.line() == b"two\n"
        source.offset = 1
        assert source.take(2) == b"ne"
        with Source(path) as other:
            other.offset = 4
            assert other.take(3) == b"two"
            other.offset = 0
            assert other.line() == b"one\n"


def test_lines_and_bytes_across_chunks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Source, "CHUNK", 2)
    path.write_bytes(b"".join(b"%d\n" % n for n in range(50)))
    with Source(path) as source:
        for n in range(50):
            line = b"%d\n" % n
            assert (source.line() if n % 2 else source.take(len(line))) == line
        assert source.line() == b""
    path.write_bytes(b"x" * 100)
    with Source(path) as source, pytest.raises(CorruptLog, match="no line ends within 10 bytes"):
        source.line(limit=10)


def test_waits_for_what_is_not_there(path: Path) -> None:
    pieces: Iterator[bytes] = iter([b"ee", b"\nfour", b"\n"])

    def wait() -> bool:
        piece = next(pieces, None)
        if piece is not None:
            with path.open("ab") as file:
                file.write(piece)
        return piece is not None

    with Source(path, wait) as source:
        assert source.take(8) == b"one\ntwo\n"
        assert [source.line(), source.line()] == [b"three\n", b"four\n"]
        assert source.line() == b""


def test_places_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LogNotFound):
        Source(tmp_path / "nothing")
    with pytest.raises(UnknownFormat, match="folder"):
        Source(tmp_path)


def test_follow_looks_once_more_when_it_is_over() -> None:
    turns = iter([False, False, True])
    wait = follow(0.0, until=lambda: next(turns))
    assert [wait(), wait(), wait(), wait()] == [True, True, True, False]


def test_atomic_write_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a"
    with atomic_write(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"two")
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"one"
    assert [one.name for one in path.parent.iterdir()] == ["a"]
    with pytest.raises(LogWriteError, match="cannot write"), atomic_write(path / "below a file"):
        pass
