"""Every benchmark runs on a tiny size, and both sides of it agree. No time is asserted."""

import dataclasses
import importlib
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from benchmarks.measure import QUICK, Killed, Unmeasured, in_child
from benchmarks.peers import PEERS, Peer, PlainFlog, Trainlog, peer
from benchmarks.report import Table, facts, ratio

from benchmarks import __main__ as command
from benchmarks import frames, grow, imports, kill, read, write
from trainlog.codecs.flog.integrity.seals import SEAL
from trainlog.codecs.flog.wire.layout import FRAME, HEADER
from trainlog.codecs.flog.wire.run_state import STATE

_KIND_AT = 8  # in a frame

TINY = dataclasses.replace(QUICK, rows=250, seconds=0.01, repeats=1, killed=150, sizes=(20_000,))


class Absent(PlainFlog):
    name = "absent"
    modules = {"nowhere": "a_module_that_is_nowhere"}  # noqa: RUF012


def installed(one: type[Peer]) -> type[Peer]:
    if one.missing():
        pytest.skip(f"not installed: {one.missing()}")
    return one


READS = [(one, kind) for one in PEERS.values() for kind in one.reads]


@pytest.mark.parametrize(("one", "kind"), READS, ids=[f"{one.name}, {kind}" for one, kind in READS])
def test_a_peer_reads_back_what_it_wrote(one, kind, tmp_path):
    where = {"name": installed(one).name, "kind": kind, "folder": str(tmp_path), "count": 250}
    logged = in_child(write.written, **where, seconds=0.01)["rows"]
    assert 200 <= logged <= 250
    result = in_child(read.read, **where, logged=logged, repeats=1)
    assert result["note"].startswith(f"{logged * (56 if kind == 'creature' else 20):,} values")
    assert result["size"] > 0


@pytest.mark.parametrize("one", [one for one in PEERS.values() if one.promise == "every row"], ids=lambda one: one.name)
def test_who_promises_every_row_keeps_every_row(one, tmp_path):
    where = {"name": installed(one).name, "kind": "creature", "folder": str(tmp_path)}
    with pytest.raises(Killed):
        in_child(kill.killed, **where, count=150, pace=0.0)
    assert kill.survivors(**where) == 150


def test_values_that_differ_are_seen():
    truth = frames.columns("creature", 10)
    assert frames.same(truth, truth) == "560 values"
    near = truth["pos"] + 1e-12
    assert frames.same(truth, truth | {"pos": near}, np.float32) == "560 values (as float32)"
    with pytest.raises(AssertionError, match="'pos' came back with other values"):
        frames.same(truth, truth | {"pos": near})
    with pytest.raises(AssertionError, match="shape"):
        frames.same(truth, truth | {"vel": truth["vel"][1:]})
    with pytest.raises(AssertionError, match="'com' did not come back"):
        frames.same(truth, {key: column for key, column in truth.items() if key != "com"})


def test_rows_are_what_a_trainer_holds():
    row = frames.rows(frames.columns("creature", 2))[1]
    assert [type(value) for value in row.values()] == [int, np.ndarray, np.ndarray, np.ndarray, float, float]
    steps = frames.rows(frames.columns("scalars", 2))[1]
    assert len(steps) == 20
    assert {type(value) for value in steps.values()} == {int, float}


@pytest.mark.parametrize("name", grow.READERS)
def test_each_reader_of_a_growing_file_reads_all_of_it(name, tmp_path):
    path = str(tmp_path / "a.flog")
    count = grow.make(path, 3_000_000)  # more rows than differ, so that the check must take them up anew
    result = in_child(grow.measured, name=name, path=path, count=count)
    whole = "table" in name or "plain" in name
    assert result["note"] == (f"{count * 56:,} values" if whole else "")


def test_the_plain_loop_and_trainlog_write_the_same_bytes(tmp_path):
    written = []
    for one in (Trainlog, PlainFlog):
        folder = tmp_path / one.name
        folder.mkdir()
        write.written(one.name, "creature", str(folder), 20, 10.0)
        (path,) = folder.iterdir()
        written.append(path.read_bytes())
    ours, plain = map(_frames, written)
    assert [frame for frame in ours if frame[_KIND_AT] not in (SEAL, STATE)] == plain
    kinds = [frame[_KIND_AT] for frame in ours]
    assert kinds.count(SEAL) == 3, "behind the first frame, at the end, and the end mark"
    assert kinds.count(STATE) == 2, "how the run ended, and where that is said"


def _frames(data: bytes) -> list[bytes]:
    """The frames of a FLOG file, with their headers."""
    found, at = [], HEADER.size + HEADER.unpack_from(data)[-1]
    while at < len(data):
        end = at + FRAME.size + FRAME.unpack_from(data, at)[2]
        found.append(data[at:end])
        at = end
    return found


def test_the_tables_name_every_peer_and_those_that_are_not_installed(monkeypatch):
    few = {one.name: one for one in (Trainlog, PlainFlog, Absent)}
    for topic in (write, read, kill):
        monkeypatch.setattr(topic, "PEERS", few)
    monkeypatch.setattr(imports, "_STATEMENTS", {"import numpy": "numpy", "import nothing": "a_module_that_is_nowhere"})
    for topic in (write, read, kill, imports):
        tables = list(topic.tables(TINY))
        assert tables
        for table in tables:
            text = str(table)
            assert "failed" not in text
            assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1
            if topic in (write, read, kill):
                assert all(name in text for name in few)
            assert "not installed" in text


def test_a_child_that_fails_says_why():
    with pytest.raises(Unmeasured, match="KeyError: 'nobody'"):
        in_child(kill.survivors, name="nobody", kind="creature", folder=os.devnull)


def test_the_report_is_written_with_the_machine_and_the_versions(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "TOPICS", ("grow",))
    monkeypatch.setattr(command, "FULL", TINY)
    path = tmp_path / "benchmarks.md"
    monkeypatch.setattr("sys.argv", ["benchmarks", "--write", str(path)])
    command.main()
    report = path.read_text()
    assert report.startswith("# Benchmarks\n")
    assert "cores" in report
    assert f"numpy {np.__version__}" in report
    assert "## How it grows" in report
    assert "failed" not in report
    for section in report.split("\n## "):
        assert len({line.count("|") for line in section.splitlines() if line.startswith("|")}) <= 1
    assert "How it grows" in capsys.readouterr().out


def test_the_topics_are_the_modules_that_have_tables():
    names = [path.stem for path in Path(command.__file__).parent.glob("*.py") if path.stem != "__main__"]
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    assert sorted(command.TOPICS) == sorted(name for name, module in modules.items() if hasattr(module, "tables"))


def test_a_topic_replaces_its_tables_and_leaves_the_others(tmp_path, monkeypatch):
    path = tmp_path / "benchmarks.md"
    path.write_text("# Benchmarks\n\nA head.\n\n## First\n\nold\n\n## Other\n\nkept\n")
    topic = SimpleNamespace(tables=lambda scale: iter([Table(title, "new", ["who"]) for title in ("First", "Third")]))
    monkeypatch.setattr("sys.argv", ["benchmarks", "--only", "grow", "--write", str(path)])
    monkeypatch.setattr(command.importlib, "import_module", lambda name: topic)
    for _ in range(2):  # and the second time it is the same
        command.main()
    head, first, other, third = path.read_text().split("\n\n## ")
    assert head == "# Benchmarks\n\nA head."
    assert first.startswith("First\n\nnew\n\n| who |")
    assert "Measured by itself:\n\n- **Machine**" in first
    assert other == "Other\n\nkept"
    assert third.startswith("Third\n\nnew")


def test_a_quick_run_is_no_report(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["benchmarks", "--quick", "--write", str(tmp_path / "a.md")])
    with pytest.raises(SystemExit):
        command.main()
    assert not list(tmp_path.iterdir())


def test_a_table_is_aligned():
    table = Table("T", "about", ["who", "ms", "why"], [["a", "1", "x"], ["long name", "12.5"]], frozenset([2]))
    assert str(table) == (
        "## T\n\nabout\n\n"
        "| who       |   ms | why |\n"
        "| --------- | ---: | --- |\n"
        "| a         |    1 | x   |\n"
        "| long name | 12.5 |     |\n"
    )


def test_ratios_have_two_figures_or_more():
    assert [ratio(value, 2.0) for value in (1.0, 30.0, 0.0091)] == ["0.50 ×", "15 ×", "0.005 ×"]
    assert ratio(float("nan"), 1.0) == "—"


def test_facts_name_what_is_not_installed():
    assert "nowhere-at-all (not installed)" in facts(["nowhere-at-all"])


def test_every_reader_of_a_peer_is_one_of_its_writers_or_a_file_for_reading():
    assert all(set(one.reads) <= set(one.writes) or not one.writes for one in PEERS.values())
    assert isinstance(peer("trainlog", os.curdir), Trainlog)
