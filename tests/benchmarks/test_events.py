"""The benchmarks of event files run on a tiny size, and all sides of them agree. No time is asserted."""

import dataclasses

import pytest
from benchmarks.measure import QUICK

from benchmarks import events

pytest.importorskip("crc32c")
pytest.importorskip("tensorboardX")
pytest.importorskip("tensorboard")


@pytest.mark.parametrize("writer", events.WRITERS)
def test_each_reader_reads_what_each_writer_wrote(writer, tmp_path):
    assert events.written(writer, str(tmp_path), 20)["size"] > 20 * 19 * 8
    for reader in events.READERS:
        if reader.startswith("tbparse"):
            continue  # its use of pandas warns; the tables have it
        assert events.read(reader, str(tmp_path), 20, 1)["note"] == "400 values (as float32)"


def test_values_that_differ_are_seen(tmp_path):
    events.written("trainlog", str(tmp_path), 20)
    with pytest.raises(AssertionError, match="shape"):
        events.read("trainlog", str(tmp_path), 21, 1)


@pytest.mark.filterwarnings("ignore")  # of pandas, by tbparse
def test_the_tables(monkeypatch):
    pytest.importorskip("tbparse")
    monkeypatch.setattr(events, "in_child", lambda function, **arguments: function(**arguments))
    tables = list(events.tables(dataclasses.replace(QUICK, rows=100, repeats=1)))
    assert [len(table.rows) for table in tables] == [5, 5, 4]
    assert "failed" not in "".join(map(str, tables))
