"""The benchmark of physics runs on a tiny size, and shows again what was simulated. No time is asserted."""

import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("mujoco")

from benchmarks.measure import Killed, Scale, in_child

from benchmarks import physics

TINY = Scale(rows=410, seconds=5.0, passes=1, repeats=1, killed=0, pace=0.0, sizes=())


@pytest.mark.parametrize(("name", "left"), [("trainlog", 250), ("trainlog, every 10", 250), ("numpy", 200)])
def test_what_was_recorded_is_shown_again_and_after_a_kill(name, left, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    found = physics.simulated(name, str(whole), 410, 60.0, kill=False)
    assert found["steps"] == physics.replayed(name, str(whole)) == 410
    killed = tmp_path / "killed"
    killed.mkdir()
    with pytest.raises(Killed):
        in_child(physics.simulated, name=name, folder=str(killed), steps=250, seconds=60.0, kill=True)
    assert physics.replayed(name, str(killed)) == left


def test_a_peer_that_is_missing_is_one_clear_line(monkeypatch):
    missing = physics._Peer(("no_such_module", "json"), "nothing", physics._savez, physics._replay_savez, " (a hint)")
    monkeypatch.setattr(physics, "PEERS", {"numpy": physics.PEERS["numpy"], "Missing": missing})
    monkeypatch.setitem(physics.PEERS, "trainlog", missing)
    (table,) = physics.tables(TINY)
    assert [row[0] for row in table.rows] == ["numpy", "Missing", "trainlog"]
    assert table.rows[1][6] == "not installed: no_such_module (a hint)"
    assert table.rows[0][6] == "410 of 410"
