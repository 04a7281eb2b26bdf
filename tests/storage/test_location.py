"""What is a URL and what a path, and what a URL answers in the place of a path."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import trainlog
from made_logs import training
from trainlog.errors import CodecError
from trainlog.storage.location import RemotePath, fixed_part, local_path, location

if TYPE_CHECKING:
    from faulty_storage import FaultyStorage


@pytest.mark.parametrize("text", ["run.flog", "/data/run.flog", "runs/a:b/run.flog", "a::b.flog", "s3/run.flog", ""])
def test_a_path_stays_a_path(text: str) -> None:
    assert location(text) == Path(text)
    assert type(location(Path(text))) is type(Path())


def test_a_url_keeps_its_slashes_in_messages_and_values() -> None:
    path = location("s3://bucket/runs/run.flog")
    assert str(path) == "s3://bucket/runs/run.flog"
    assert (path.name, path.stem, path.suffix) == ("run.flog", "run", ".flog")
    assert str(path.parent) == "s3://bucket/runs"
    assert [str(one) for one in path.parents] == ["s3://bucket/runs", "s3://bucket", "s3://"]
    assert str(path.with_name("a.flog")) == "s3://bucket/runs/a.flog"
    assert str(path.with_suffix(".bin")) == "s3://bucket/runs/run.bin"
    assert str(path.parent / "b" / "c.flog") == "s3://bucket/runs/b/c.flog"
    assert path.relative_to(location("s3://bucket")).as_posix() == "runs/run.flog"
    assert path == location("s3://bucket/runs/run.flog/")
    assert path != location("s3://bucket/runs/other.flog")
    with pytest.raises(ValueError, match="not below"):
        path.relative_to(location("s3://bucket/run"))


def test_keys_that_no_file_system_has_stay_as_they_are() -> None:
    assert str(location("s3://bucket/a//b/../c.flog").parent) == "s3://bucket/a//b/.."


def test_the_end_of_a_url_is_no_part_of_its_name() -> None:
    signed = location("https://host/a/run.flog?key=1/2.x")
    assert (signed.name, str(signed.parent)) == ("run.flog", "https://host/a?key=1/2.x")
    inside = location("zip://a/run.flog::s3://bucket/all.zip")
    assert (inside.name, str(inside.with_name("b"))) == ("run.flog", "zip://a/b::s3://bucket/all.zip")
    cached = location("simplecache::s3://bucket/a/run.flog")
    assert str(cached.parent) == "simplecache::s3://bucket/a"


def test_what_has_no_folder() -> None:
    path = location("zip://run.flog::s3://bucket/all.zip")
    assert str(path.with_name("b.flog")) == "zip://b.flog::s3://bucket/all.zip"
    root = location("zip://::s3://bucket/all.zip")
    assert path.parent == root
    assert root.parent == root
    assert path.relative_to(root).as_posix() == "run.flog"
    assert root / "run.flog" == path


def test_a_url_of_a_file_is_a_path() -> None:
    assert location("file:///tmp/a%20b.flog") == Path("/tmp/a b.flog")
    assert location("file://localhost/tmp/a.flog") == Path("/tmp/a.flog")


def test_what_needs_a_file_of_this_machine_says_so() -> None:
    with pytest.raises(CodecError, match=r"s3://bucket/run\.flog: this needs a local file"):
        os.fspath(location("s3://bucket/run.flog"))


def test_a_url_is_pickled_with_its_options() -> None:
    path = RemotePath("s3://bucket/run.flog", {"anon": True})
    again = pickle.loads(pickle.dumps(path))
    assert again == path
    assert again.options == {"anon": True}
    assert again != RemotePath("s3://bucket/run.flog")


@pytest.mark.parametrize(
    ("pattern", "root"),
    [
        ("s3://b/runs/*/run.flog", "s3://b/runs"),
        ("s3://b/*", "s3://b"),
        ("memory://*", "memory://"),
        ("runs/*.flog", "runs"),
        ("/a/b*/c", "/a"),
    ],
)
def test_the_fixed_part_of_a_pattern(pattern: str, root: str) -> None:
    assert str(fixed_part(location(pattern))) == root


@pytest.mark.parametrize(
    "pattern", ["run[^1]", "run[]1]", "run[!]]", "run[a\\-z]", "run[z-a]", "run[[]", "run[1&&2]", "*[!1]", "run["]
)
def test_a_pattern_matches_what_it_matches_on_this_machine(
    storage: type[FaultyStorage], tmp_path: Path, pattern: str
) -> None:
    for end in "12^]-![\\&":
        storage.put(f"runs/run{end}", b"1")
        (tmp_path / f"run{end}").touch()
    there = location("faulty://runs").glob(pattern)
    assert sorted(one.name for one in there) == sorted(one.name for one in tmp_path.glob(pattern))


def test_patterns_below_a_folder(storage: type[FaultyStorage]) -> None:
    for name in ("a.flog", "b/a.flog", "b/c/a.flog", "b/c/x.bin", "b/.hidden/a.flog"):
        storage.put(f"runs/{name}", b"1")

    def found(pattern: str) -> list[str]:
        root = location("faulty://runs")
        return sorted(one.relative_to(root).as_posix() for one in root.glob(pattern))

    assert found("*.flog") == ["a.flog"]
    assert found("*/*.flog") == ["b/a.flog"]
    assert found("**/*.flog") == ["a.flog", "b/a.flog", "b/c/a.flog"]
    assert found("b/**") == ["b/a.flog", "b/c", "b/c/a.flog", "b/c/x.bin"]
    assert found("b/c/[!a].bin") == ["b/c/x.bin"]
    assert found("b/?/a.flog") == ["b/c/a.flog"]


def test_paths_of_universal_pathlib(storage: type[FaultyStorage], tmp_path: Path) -> None:
    upath = pytest.importorskip("upath")
    remote = location(upath.UPath("memory://bucket/run.flog"))
    assert isinstance(remote, RemotePath)
    assert str(remote) == "memory://bucket/run.flog"
    assert location(upath.UPath("s3://bucket/run.flog", anon=True)).options == {"anon": True}
    assert type(location(upath.UPath(tmp_path))) is not RemotePath
    assert os.fspath(location(upath.UPath(tmp_path / "a"))) == str(tmp_path / "a")


@pytest.mark.parametrize("url", ["s3://bucket/run.flog", "gs://b/run.flog", "memory://run.flog", "https://h/run.flog"])
def test_no_write_path_makes_a_folder_of_a_url(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainlog.plot import PlotOptions, pictures, runs_of, save_pictures
    from trainlog.verification import repair, repair_in_place

    monkeypatch.chdir(tmp_path)
    drawn = pictures(runs_of([training(Path("own.flog"))]), PlotOptions())
    writes = [
        lambda: trainlog.TrainingRecorder(Path(url), "ant", "walk"),
        lambda: trainlog.create(Path(url)),
        lambda: trainlog.convert("own.flog", url, codec="flog"),
        lambda: trainlog.runs(".").to_parquet(url),
        lambda: repair("own.flog", url),
        lambda: repair_in_place(url),
        lambda: list(save_pictures(drawn, url)),
    ]
    for write in writes:
        with pytest.raises(CodecError, match="is a URL, and this is only written to a local file"):
            write()
    assert {one.name for one in tmp_path.iterdir()} <= {"own.flog", ".trainlog-catalog.sqlite"}


def test_local_path_takes_what_is_local(tmp_path: Path) -> None:
    assert local_path(f"file://{tmp_path}/a") == tmp_path / "a"
    assert local_path("a.flog") == Path("a.flog")
