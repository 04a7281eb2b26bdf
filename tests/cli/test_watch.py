"""``trainlog watch``."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from handmade import Flog
from trainlog import registry
from trainlog.cli.watch import _MAX_MEANS, _Curve, _View, command
from trainlog.errors import UnknownFormat
from trainlog.model import Kind


def test_numbers_and_curves_of_a_log(tmp_path: Path) -> None:
    frames = [Flog.frame(n, 2, {"step": n, "other": n % 3, "reward": float(n), "behavior": "trot"}) for n in range(9)]
    (tmp_path / "x.flog").write_bytes(Flog.header({"creature": "go2", "task": "walk [home]"}) + b"".join(frames))
    done = CliRunner().invoke(command, [str(tmp_path / "x.flog"), "--once"], catch_exceptions=False)
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert "go2 · walk [home]" in lines[0]
    assert "step 8" in lines[0]
    assert lines[2].split() == ["reward", "8", "0", "8", "▁▂▃▄▅▆▇██"]
    assert lines[3].split() == ["behavior", "trot"]
    assert "other" in lines[4]


def test_a_terminal_that_cannot_move_its_cursor_shows_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.flog").write_bytes(Flog.header() + Flog.frame(0.0, 2, {"reward": 8.5}))
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80, _environ={"TERM": "dumb"})
    monkeypatch.setattr("trainlog.cli.watch.output_console", lambda *_: console)
    monkeypatch.setattr("time.sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    CliRunner().invoke(command, [str(tmp_path / "x.flog")], catch_exceptions=False)
    assert "8.5" in shown.getvalue()


def test_a_nan_is_the_value_now(tmp_path: Path) -> None:
    """A run that diverged does not show its last good value as the present one."""
    rows: list[dict[str, object]] = [{"reward": 1.0, "loss": 2.0, "entropy": math.nan, "kept": 3.0}]
    rows += [{"reward": math.nan, "loss": math.inf, "entropy": math.nan}] * 3
    frames = [Flog.frame(n, 2, row) for n, row in enumerate(rows)]
    (tmp_path / "x.flog").write_bytes(Flog.header() + b"".join(frames))
    lines = CliRunner().invoke(command, [str(tmp_path / "x.flog"), "--once"], catch_exceptions=False).output
    shown = {line.split()[0]: line.split()[1:4] for line in lines.splitlines()[2:6]}
    assert shown["reward"] == ["nan", "1", "1"]
    assert shown["loss"] == ["inf", "2", "2"]
    assert shown["entropy"] == ["nan"]
    assert shown["kept"] == ["3", "3", "3"]  # frames without the key say nothing


def test_the_most_important_keys_of_a_trainer_come_first(tmp_path: Path) -> None:
    row = {"time/iterations": 3, "time/total_timesteps": 6144, "train/std": 0.9, "train/loss": 0.1}
    row["rollout/ep_rew_mean"] = 12.0
    (tmp_path / "x.flog").write_bytes(Flog.header() + Flog.frame(0, 2, row))
    lines = CliRunner().invoke(command, [str(tmp_path / "x.flog"), "--once"]).output.splitlines()
    assert "step 6,144  iterations 3" in lines[0]
    assert [line.split()[0] for line in lines[2:5]] == ["rollout/ep_rew_mean", "train/loss", "train/std"]
    assert "time/" not in "".join(lines[2:])


def test_only_chosen_keys_and_kinds(tmp_path: Path) -> None:
    frames = [Flog.frame(0, 2, {"a": 1, "b": {"c": 2}}), Flog.frame(0, 1, {"best": 7.0})]
    (tmp_path / "x.flog").write_bytes(Flog.header() + b"".join(frames))
    one = CliRunner().invoke(command, [str(tmp_path / "x.flog"), "--once", "--keys", "b/c"])
    assert "b/c" in one.output
    assert " a " not in one.output
    other = CliRunner().invoke(command, [str(tmp_path / "x.flog"), "--once", "--kind", "evolution"])
    assert "best" in other.output


def test_a_curve_of_a_long_run_stays_small() -> None:
    curve = _Curve()
    values = np.arange(100_000, dtype=float)
    values[5::10] = math.nan
    for part in np.array_split(np.append(values, math.inf), 1001):
        curve.extend(part)
    assert len(curve._means) < _MAX_MEANS
    assert (curve.low, curve.high) == (0, 99_999)
    bars = curve.bars(40)
    assert len(bars) == 40
    assert list(bars) == sorted(bars)
    assert _Curve().bars(10) == ""


def test_a_log_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.flog").write_bytes(Flog.header() + Flog.frame(0, 2, {"a": 1}))
    opened: list[object] = []
    plain = registry.open
    monkeypatch.setattr(registry, "open", lambda path: opened.append(path) or plain(path))
    assert CliRunner().invoke(command, [str(tmp_path / "x.flog"), "--once"]).exit_code == 0
    assert opened == [tmp_path / "x.flog"]


def shown(view: _View) -> str:
    while view.look(math.inf):
        pass
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(view.render(100, 24))
    return console.export_text().splitlines()[0]


def test_a_log_that_cannot_be_read_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.flog"
    path.write_bytes(Flog.header() + Flog.frame(0, 2, {"a": 1}))
    view = _View(path, Kind.STATS, None)
    assert "1 frames" in shown(view)

    def refuse(*_: object, **__: object) -> None:
        raise UnknownFormat("cannot read it: Permission denied", path=path)

    with path.open("ab") as file:
        file.write(Flog.frame(1, 2, {"a": 2}))
    with monkeypatch.context() as context:
        context.setattr("trainlog.codecs.flog.reader.open_source", refuse)
        for _ in range(2):
            assert "Permission denied" in (line := shown(view))
            assert "1 frames" in line
    assert "2 frames" in (line := shown(view))
    assert "denied" not in line


def test_a_file_that_fits_a_pattern_later_joins(tmp_path: Path) -> None:
    for rank in range(2):
        (tmp_path / f"run-{rank}.flog").write_bytes(Flog.header() + Flog.frame(0, 2, {"a": 1}))
        if rank == 0:
            view = _View(tmp_path / "run-*.flog", Kind.STATS, None)
        assert f"{rank + 1} frames" in (line := shown(view))
        assert "deleted" not in line
