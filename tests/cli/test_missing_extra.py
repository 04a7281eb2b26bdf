"""What a verb says when the extra that it needs is not installed: one line with the command that installs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import trainlog
from trainlog import Frame, Kind
from trainlog.cli import main


@pytest.mark.parametrize(
    ("module", "arguments", "install"),
    [
        ("uvicorn", ["serve", "."], 'pip install "trainlog[server]"'),
        ("zstandard", ["compact", "run.flog"], 'pip install "trainlog[zstd]"'),
        ("pyarrow", ["convert", "run.flog", "run.parquet"], 'pip install "trainlog[arrow]"'),
    ],
)
def test_a_missing_extra_is_one_line_and_exit_code_2(
    module: str,
    arguments: list[str],
    install: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with trainlog.create(tmp_path / "run.flog") as log:
        log.write(Frame(0.0, Kind.STATS, {"reward": 1.0}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "trainlog.server.connections", raising=False)  # it imports uvicorn
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("trainlog: ")
    assert install in line
    assert not (tmp_path / "run.parquet").exists()
