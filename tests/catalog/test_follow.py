"""Trees that are followed: what comes, grows and goes, at the cost of what is new."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from handmade import Flog
from made_runs import log_bytes, make_run, sweep
from trainlog.catalog import index as index_module
from trainlog.catalog import inspection
from trainlog.catalog.digest import Digest
from trainlog.catalog.follow import CatalogFollower
from trainlog.catalog.index import Catalog
from trainlog.catalog.notes import NAME, Notes
from trainlog.catalog.store import Entry
from trainlog.catalog.workers import run_bounded
from trainlog.errors import LogNotFound, LogWriteError
from trainlog.storage.locks import one_at_a_time
from trainlog.storage.replace import atomic_write


def settle(folder: Path) -> None:
    for path in folder.rglob("*.flog"):
        os.utime(path, (1e9, 1e9))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree whose files are trusted at once, although their inodes were touched just now."""
    monkeypatch.setattr("trainlog.catalog.index._RACE", -1)
    path = tmp_path.resolve() / "runs"
    sweep(path)
    settle(path)
    return path


def all_read(follower: CatalogFollower) -> dict[str, Entry]:
    found = follower.look()
    while more := follower.read():
        found |= more
    return found


def test_runs_come_grow_and_go(folder: Path) -> None:
    follower = CatalogFollower(folder)
    assert len(all_read(follower)) == 6
    make_run(folder / "deep" / "new.flog", {"algo": "td3"}, [{"reward": 3.0}])
    assert "deep/new.flog" in follower.look()
    assert follower.read()["deep/new.flog"].facts.last == {"last/reward": 3.0}
    with (folder / "sac/0.flog").open("ab") as file:
        file.write(Flog.frame(9.0, 2, {"reward": 77.0}))
    grown = follower.look()["sac/0.flog"].facts
    assert (grown.state, grown.frames) == ("running", 5)  # the frames are those of the last read
    assert follower.read()["sac/0.flog"].facts.last["last/reward"] == 77.0
    assert follower.look()["sac/0.flog"].facts.frames == 6
    (folder / "sac/1.flog").unlink()
    assert "sac/1.flog" not in follower.look()
    (folder / "sac/2.flog").write_bytes(log_bytes({"algo": "other"}, [{"reward": 1.0}]))
    assert follower.look()["sac/2.flog"].facts.meta == {"algo": "other"}


def test_nothing_is_opened_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = CatalogFollower(folder)
    before = all_read(follower)
    opened: list[str] = []
    real = inspection.log_of
    monkeypatch.setattr(inspection, "log_of", lambda path: opened.append(path.name) or real(path))
    assert follower.look().keys() == before.keys()
    assert follower.read() == {}
    assert CatalogFollower(folder).look().keys() == before.keys()  # the next process knows them, too
    assert opened == []


def test_a_grown_log_is_read_from_where_it_was_read_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_run(folder / "large.flog", {}, [{"reward": float(n), "text": "x" * 100} for n in range(1000)])
    settle(folder)
    all_read(CatalogFollower(folder))
    with path.open("ab") as file:
        file.write(Flog.frame(2000.0, 2, {"reward": -1.0}))
    rows: list[int] = []
    real = Digest.add
    monkeypatch.setattr(Digest, "add", lambda self, table: rows.append(table.rows) or real(self, table))
    found = all_read(CatalogFollower(folder))  # also by another process, which finds it grown
    assert found["large.flog"].facts.frames == 1001
    assert sum(rows) == 1


def test_what_another_process_has_read_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_SMALL", 0)
    follower = CatalogFollower(folder)
    all_read(follower)
    with (folder / "sac/0.flog").open("ab") as file:
        file.write(b"\xc1" * 20 + Flog.frame(9.0, 2, {"reward": 77.0}))
    settle(folder)
    assert Catalog(folder).entries(read=True)["sac/0.flog"].facts.damage == 20
    assert follower.look()["sac/0.flog"].facts.last["last/reward"] == 100.0
    assert Catalog(folder).entries(read=True)["sac/0.flog"].facts.last["last/reward"] == 77.0
    facts = follower.read()["sac/0.flog"].facts
    assert (facts.damage, facts.frames, facts.last["last/reward"]) == (20, 6, 77.0)


def test_an_empty_file_that_becomes_no_log_is_no_run(folder: Path) -> None:
    path = folder / "model.bin"
    path.touch()
    settle(folder)
    follower = CatalogFollower(folder)
    assert "model.bin" in all_read(follower)
    path.write_bytes(b"weights")
    all_read(follower)
    assert "model.bin" not in follower.look()
    path.write_bytes(log_bytes({}, [{"reward": 1.0}]))
    assert all_read(follower)["model.bin"].facts.frames == 1


def test_links_that_lead_out_are_no_runs(folder: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "secret.flog", {}, [{"reward": 1.0}])
    (folder / "out.flog").symlink_to(tmp_path / "secret.flog")
    (folder / "in.flog").symlink_to(folder / "sac/0.flog")
    assert {"in.flog"} == CatalogFollower(folder).look().keys() - {
        f"{a}/{n}.flog" for a in ("sac", "ppo") for n in range(3)
    }


def test_an_empty_folder_and_one_log(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    follower = CatalogFollower((tmp_path / "empty").resolve())
    assert follower.look() == {}
    (tmp_path / "empty" / "notes.txt").write_text("no log")
    assert follower.look() == {}
    assert follower.look() == {}
    single = CatalogFollower(folder / "sac/0.flog")
    assert list(all_read(single)) == ["0.flog"]
    with pytest.raises(LogNotFound):
        CatalogFollower(folder / "nothing")


def test_a_reader_that_fails_costs_its_own_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = index_module.facts_of

    def facts_of(path: Path, **options: object) -> object:
        if path.name == "1.flog":
            raise RuntimeError("a mistake in a plug-in")
        return real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(index_module, "facts_of", facts_of)
    found = CatalogFollower(folder).look()
    assert found["sac/1.flog"].facts.error == "RuntimeError: a mistake in a plug-in"
    assert found["sac/0.flog"].facts.error == ""


def test_too_many_files_are_said(folder: Path) -> None:
    follower = CatalogFollower(folder, most=4)
    assert len(follower.look()) <= 4
    assert follower.left_out


def test_notes_of_a_folder(tmp_path: Path) -> None:
    notes, other = Notes(tmp_path), Notes(tmp_path)
    notes.annotate("a.flog", {"name": " A ", "tags": ["x", "x", " y "], "note": ""})
    other.refresh()
    assert other.runs == {"a.flog": {"name": "A", "tags": ["x", "y"]}}
    other.keep_view("best", "sort=-reward")
    notes.annotate("a.flog", {"name": "", "tags": []})  # keeps what the other one wrote
    assert (notes.runs, notes.views) == ({}, {"best": "sort=-reward"})
    with pytest.raises(ValueError, match="a view needs a name"):
        notes.keep_view("  ", "x")
    with pytest.raises(LogWriteError, match="read-only"):
        Notes(tmp_path, read_only=True).keep_view("a", "b")
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("{}")
    with pytest.raises(LogWriteError, match="cannot be read"):
        Notes(tmp_path).keep_view("a", "b")
    assert (tmp_path / "elsewhere").read_text() == "{}"


def test_two_servers_that_keep_notes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes, other = Notes(tmp_path), Notes(tmp_path)
    second = threading.Thread(target=lambda: other.annotate("b.flog", {"name": "B"}))

    def write_between(path: Path) -> Any:
        monkeypatch.undo()
        second.start()
        second.join(0.1)  # it has to wait
        return atomic_write(path)

    monkeypatch.setattr("trainlog.catalog.notes.atomic_write", write_between)
    notes.annotate("a.flog", {"name": "A"})
    second.join()
    assert Notes(tmp_path).runs == {"a.flog": {"name": "A"}, "b.flog": {"name": "B"}}


def test_notes_of_a_folder_that_somebody_has_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainlog.storage.locks._LONGEST_WAIT", 0.05)
    with one_at_a_time(tmp_path):
        Notes(tmp_path).annotate("a.flog", {"name": "A"})
    assert Notes(tmp_path).runs == {"a.flog": {"name": "A"}}


def _endless(task: int) -> int:
    while True:
        task += 1


def test_what_takes_too_long_is_ended() -> None:
    with pytest.raises(TimeoutError, match="more than 1"):
        run_bounded(_endless, 0, seconds=1.5)
    assert run_bounded(abs, -3, seconds=20.0) == 3
