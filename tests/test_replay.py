from __future__ import annotations

import copy
import csv
import pickle
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import trainlog
from trainlog import FlogReplay, Frame, Kind, TrainingRecorder
from trainlog.errors import EmptyLog


def log_of(folder: Path, *frames: tuple[float, Kind, dict[str, Any]], **meta: Any) -> FlogReplay:
    path = folder / "run.flog"
    with trainlog.create(path, meta, overwrite=True) as log:
        log.write_all(Frame(*frame) for frame in frames)
    return FlogReplay(path)


def test_what_the_seed_calls_it(tmp_path: Path) -> None:
    replay = log_of(
        tmp_path,
        (0.5, Kind.CREATURE, {"step": 0, "pos": [0.0]}),
        (1.0, Kind.STATS, {"step": 10, "distance": 1.5}),
        (1.5, Kind.EVENT, {"type": "fall", "msg": "oops"}),
        (2.0, Kind.EVOLUTION, {"gen": 0, "best_fitness": 3.0, "avg_fitness": 1.0, "best_distance": 2.0}),
        (2.5, Kind.EVOLUTION, {"gen": 1, "best": 4.0}),
        (3.5, Kind(9), {"x": 1}),
        creature="go2",
        task="walk",
        skill="trot",
    )
    assert (replay.creature, replay.task, replay.skill) == ("go2", "walk", "trot")
    assert (replay.duration_s, replay.total_frames) == (3.5, 6)
    assert (replay.n_physics, replay.n_stats, replay.n_events, replay.n_evolution) == (1, 1, 1, 2)
    assert list(replay.stats_frames()) == [{"timestamp": 1.0, "step": 10, "distance": 1.5}]
    assert list(replay.creature_frames()) == list(replay.physics_frames())
    assert list(replay.events()) == [{"timestamp": 1.5, "type": "fall", "msg": "oops"}]
    first, second = replay.evolution_frames()
    assert (first["best"], first["avg"], first["dist"], first["best_fitness"]) == (3.0, 1.0, 2.0, 3.0)
    assert second == {"timestamp": 2.5, "gen": 1, "best": 4.0}
    text = replay.summary()
    for fact in ("go2", "walk", "3.5 s", "[fall] oops"):
        assert fact in text


def test_a_summary_of_many_events_is_short(tmp_path: Path) -> None:
    replay = log_of(tmp_path, *[(float(n), Kind.EVENT, {"type": "fall", "msg": f"no {n}"}) for n in range(100)])
    text = replay.summary()
    assert "no 0" in text
    assert "no 99" in text
    assert "no 50" not in text
    assert "and 90 more events" in text


def test_a_log_that_says_nothing(tmp_path: Path) -> None:
    replay = log_of(tmp_path)
    assert (replay.creature, replay.task, replay.skill) == ("unknown", "", "")
    assert (replay.duration_s, replay.total_frames) == (0.0, 0)
    assert list(replay.iter_physics()) == []
    assert "0 frames" in replay.summary()
    with pytest.raises(EmptyLog, match="no creature frame has a position"):
        replay.export_physics_npz(tmp_path / "a.npz")
    with pytest.raises(EmptyLog, match="no stats frames"):
        replay.export_stats_csv(tmp_path / "a.csv")
    assert not (tmp_path / "a.npz").exists()


def test_physics_at_a_steady_rate(tmp_path: Path) -> None:
    replay = log_of(
        tmp_path,
        (1.0, Kind.CREATURE, {"step": 0, "pos": [0.0, 10.0], "vel": [1.0], "speed": 0.5}),
        (2.0, Kind.CREATURE, {"step": 10, "pos": [4.0, 14.0], "vel": [3.0], "speed": 1.5}),
        (2.1, Kind.STATS, {"between": 1}),
        (2.5, Kind.CREATURE, {"step": 20, "pos": [0.0, 0.0], "vel": [0.0], "speed": 2.5}),
    )
    states = list(replay.iter_physics(4))
    assert [state["timestamp"] for state in states] == [1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5]
    assert [state["qpos"].tolist() for state in states[:3]] == [[0.0, 10.0], [1.0, 11.0], [2.0, 12.0]]
    assert states[1]["qvel"].tolist() == [1.5]
    assert states[5]["qpos"].tolist() == [2.0, 7.0]
    assert [state["speed"] for state in states] == [0.5, 0.5, 0.5, 0.5, 1.5, 1.5, 2.5]
    assert states[-1]["qpos"].tolist() == [0.0, 0.0]
    assert states[0]["qpos"].dtype == np.float64
    for fps in (0, -1, float("nan"), "30", None):
        with pytest.raises(ValueError, match="above 0"):
            list(replay.iter_physics(fps))


def test_physics_by_a_simulated_clock(tmp_path: Path) -> None:
    """Two episodes of a simulation that ran faster than the clock on the wall."""
    replay = log_of(
        tmp_path,
        *[
            (0.001 * n, Kind.CREATURE, {"pos": [float(n)], "sim_time": float(n % 3), "episode": n // 3})
            for n in range(6)
        ],
    )
    states = list(replay.iter_physics(2, clock="sim_time"))
    assert [(state["episode"], state["sim_time"], state["qpos"][0]) for state in states] == [
        *[(0, 0.0, 0.0), (0, 0.5, 0.5), (0, 1.0, 1.0), (0, 1.5, 1.5), (0, 2.0, 2.0)],
        *[(1, 0.0, 3.0), (1, 0.5, 3.5), (1, 1.0, 4.0), (1, 1.5, 4.5), (1, 2.0, 5.0)],
    ]
    with pytest.raises(KeyError, match="sim"):
        list(replay.iter_physics(2, clock="sim"))
    for clock in ("skill", "qpos"):
        with pytest.raises(ValueError, match=f"'{clock}' is not a number"):
            list(replay.iter_physics(2, clock=clock))


def test_physics_holds_where_states_do_not_fit(tmp_path: Path) -> None:
    replay = log_of(
        tmp_path,
        (0.0, Kind.CREATURE, {"qpos": [0.0], "qvel": [0.0]}),
        (1.0, Kind.CREATURE, {"qpos": [1.0, 2.0]}),
        (0.5, Kind.CREATURE, {"qpos": [5.0, 5.0]}),  # the clock stepped back
        (2.0, Kind.CREATURE, {"qpos": [8.0, 8.0]}),
    )
    states = list(replay.iter_physics(2))
    assert [state["timestamp"] for state in states] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert states[1]["qpos"].tolist() == [0.0]
    assert states[-1]["qpos"].tolist() == [8.0, 8.0]


def test_physics_archive(tmp_path: Path) -> None:
    replay = log_of(
        tmp_path,
        (0.5, Kind.CREATURE, {"step": 7, "pos": [1.0, 2.0], "vel": [3.0]}),
        (1.5, Kind.CREATURE, {"pos": [4.0, 5.0]}),
    )
    replay.export_physics_npz(tmp_path / "out" / "a.npz")
    with np.load(tmp_path / "out" / "a.npz") as arrays:
        assert arrays["qpos"].tolist() == [[1.0, 2.0], [4.0, 5.0]]
        assert np.array_equal(arrays["qvel"], [[3.0], [np.nan]], equal_nan=True)
        assert arrays["timestamps"].tolist() == [0.5, 1.5]
        assert arrays["steps"].tolist() == [7, -1]
    replay = log_of(tmp_path, (0.0, Kind.CREATURE, {"pos": [1.0]}), (1.0, Kind.CREATURE, {"pos": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="'pos' changes"):
        replay.export_physics_npz(tmp_path / "b.npz")
    replay = log_of(tmp_path, *((n, Kind.CREATURE, {"env": [0, 1], "pos": [[1.0], [2.0]]}) for n in (0.0, 1.0)))
    with pytest.raises(ValueError, match=r"'pos' has the shape \(2, 2, 1\), not \(frames, coordinates\); iter_physics"):
        replay.export_physics_npz(tmp_path / "b.npz")
    assert not (tmp_path / "b.npz").exists()


def test_stats_as_csv_keep_the_values_as_logged(tmp_path: Path) -> None:
    replay = log_of(
        tmp_path,
        (0.0, Kind.STATS, {"a": 1, "b": None, "list": [1, 2.0]}),
        (1.0, Kind.CREATURE, {"step": 9, "other": 1}),
        (2.0, Kind.STATS, {"a": 2.5, "step": 7, "timestamp": 3}),
        (3.0, Kind.STATS, {"b": float("nan"), "nested": {"c": True, "d": {}}}),
    )
    replay.export_stats_csv(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes().decode().split("\r\n") == [
        "timestamp,step,a,b,list,nested/c,nested/d",
        '0.0,,1,,"[1, 2.0]",,',
        "2.0,7,2.5,,,,",
        "3.0,,,nan,,True,{}",
        "",
    ]


def test_stats_as_csv(tmp_path: Path) -> None:
    replay = log_of(
        tmp_path,
        (0.1, Kind.STATS, {"reward": 0.1, "step": 0, "gait": {"name": "walk, fast"}}),
        (0.2, Kind.STATS, {"reward": float("inf"), "step": 10, "list": [1, 2], "none": None, "ü": True}),
    )
    replay.export_stats_csv(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["timestamp", "step", "reward", "gait/name", "list", "none", "ü"],
        ["0.1", "0", "0.1", "walk, fast", "", "", ""],
        ["0.2", "10", "inf", "", "[1, 2]", "", "True"],
    ]
    replay.export_stats_csv(tmp_path / "b.csv", ["reward"])
    assert (tmp_path / "b.csv").read_text().splitlines() == ["timestamp,reward", "0.1,0.1", "0.2,inf"]
    with pytest.raises(TypeError, match=r"keys is a list of names, such as \['reward'\]"):
        replay.export_stats_csv(tmp_path / "text.csv", keys="reward")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv", "run.flog"]


ODD = {(1, 2): 5, b"b": 6, None: True}
"""A map with keys that JSON refuses, which msgpack has."""


def test_stats_as_csv_of_keys_and_text_that_json_and_utf8_refuse(tmp_path: Path) -> None:
    replay = log_of(tmp_path, (0.0, Kind.STATS, {"list": [ODD], "text": "a\udcff", "\udcfe": 1}))
    replay.export_stats_csv(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        names, row = csv.reader(file)
    assert names == ["timestamp", "list", "text", "\\udcfe"]
    assert row == ["0.0", '[{"(1, 2)": 5, "b\'b\'": 6, "null": true}]', "a\\udcff", "1"]


def test_the_log_names_its_coordinates(tmp_path: Path) -> None:
    replay = log_of(
        tmp_path,
        (0.0, Kind.CREATURE, {"joints": [1.0], "tick": 3}),
        (0.5, Kind.EVENT, {"what": "fall", "message": "oops"}),
        conventions={"qpos": "joints", "step": "tick", "event_type": "what"},
    )
    assert [state["qpos"].tolist() for state in replay.iter_physics()] == [[1.0]]
    replay.export_physics_npz(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["qpos"].tolist() == [[1.0]]
        assert arrays["steps"].tolist() == [3]
    assert "[fall] oops" in replay.summary()


def states_of(n: int, **more: Any) -> dict[str, Any]:
    return {"pos": [float(n)], "sim_time": 0.25 * (n % 100), "reward": 1.0, **more}


def test_physics_of_three_episodes_has_the_first_and_the_last_state_of_each(tmp_path: Path) -> None:
    frames: list[tuple[float, Kind, dict[str, Any]]] = []
    for episode in range(3):
        frames.append((0.0, Kind.EVENT, {"type": "episode_start"}))
        frames += [(0.0, Kind.CREATURE, states_of(100 * episode + n)) for n in range(4)]
        frames.append((0.0, Kind.EVENT, {"type": "episode_end"}))
    replay = log_of(tmp_path, *frames)
    places = [100.0 * episode + n for episode in range(3) for n in range(4)]
    assert [state["qpos"][0] for state in replay.iter_physics(4, clock="sim_time")] == places
    assert [state["qpos"][0] for state in replay.iter_physics(4)] == places
    ends = [state["qpos"][0] for state in replay.iter_physics(2.5)]
    assert ends == pytest.approx([x + 100 * n for n in range(3) for x in (0, 1.6, 3)])


def test_physics_of_two_environments_in_turns(tmp_path: Path) -> None:
    frames = [(0.0, Kind.CREATURE, states_of(100 * env + n, env=env)) for n in range(3) for env in range(2)]
    replay = log_of(tmp_path, *frames)
    found = [(state["env"], state["qpos"][0]) for state in replay.iter_physics(8)]
    for env in range(2):
        own = [100 * env + n / 2 for n in range(5)]
        assert [place for one, place in found if one == env] == own
        assert [state["qpos"][0] for state in replay.iter_physics(8, env=env)] == own


def test_physics_is_not_the_frames_without_a_position_beside_it(tmp_path: Path) -> None:
    frames: list[tuple[float, Kind, dict[str, Any]]] = []
    for n in range(3):
        frames.append((0.0, Kind.CREATURE, {"env": [0, 1], "step": 2 * n, "reward": [1.0, 2.0]}))
        frames += [(0.0, Kind.CREATURE, states_of(100 * env + n, env=env)) for env in range(2)]
    states = list(log_of(tmp_path, *frames).iter_physics(8, env=1, clock="sim_time"))
    assert [state["qpos"][0] for state in states] == [100.0, 100.5, 101.0, 101.5, 102.0]


def test_physics_of_frames_of_several_environments(tmp_path: Path) -> None:
    frames = [
        (0.0, Kind.CREATURE, {"env": [0, 1 if n else -1], "pos": [[float(n)], [100.0 + n]], "sim_time": [n, n]})
        for n in range(3)
    ]
    replay = log_of(tmp_path, *frames)
    assert [state["qpos"].tolist() for state in replay.iter_physics(1, env=0)] == [[0.0], [1.0], [2.0]]
    assert [state["qpos"].tolist() for state in replay.iter_physics(1, env=1)] == [[101.0], [102.0]]


def test_the_default_clock_of_physics_is_simulated_time(tmp_path: Path) -> None:
    """A run of 286 steps of 0.05 s, logged faster than real time."""
    frames = [(0.0005 * n, Kind.CREATURE, {"pos": [float(n)], "sim_time": 0.05 * n}) for n in range(286)]
    assert len(list(log_of(tmp_path, *frames).iter_physics(20))) == 286
    assert len(list(log_of(tmp_path, *frames).iter_physics(20, clock="timestamp"))) == 4
    frames = [(0.0005 * n, Kind.CREATURE, {"pos": [float(n)], "step": n}) for n in range(286)]
    replay = log_of(tmp_path, *frames, dt=0.05)
    states = list(replay.iter_physics(20))
    assert (len(states), states[-1]["sim_time"], states[-1]["step"]) == (286, pytest.approx(14.25), 285)


def test_physics_has_the_defaults_of_the_original_reader(tmp_path: Path) -> None:
    replay = log_of(tmp_path, (0.0, Kind.CREATURE, {"pos": [1.0], "com": [1, 2, 3]}), (0.0, Kind.STATS, {}))
    (state,) = replay.iter_physics()
    assert (state["speed"], state["step"], state["skill"]) == (0.0, 0, "")
    assert state["com"].dtype == np.float64


def test_an_index_is_right_while_another_thread_reads_another_block(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "run.flog", provenance=False) as log:
        for step in range(600):
            log.stats({"step": step})
    frames = FlogReplay(tmp_path / "run.flog").stats_frames()
    assert len(frames) == 600

    def interrupt(frame: FrameType, event: str, argument: object) -> Any:
        """Do at each line of `__getitem__` what another thread could do there."""
        if frame.f_code.co_name != "__getitem__" or not frame.f_code.co_filename.endswith("lazy_frames.py"):
            return None
        if event == "line":
            frames[599]  # not traced: a trace function is not called inside of itself
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        found = [frames[n]["step"] for n in (3, 300, 4)]
    finally:
        sys.settrace(before)
    assert found == [3, 300, 4]


def test_a_replay_can_be_sent_to_another_process(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "run.flog", "ant", metadata={"dt": 0.5}, provenance=False) as log:
        log.state({"step": 2, "qpos": [1.0]})
    replay = FlogReplay(tmp_path / "run.flog")
    for other in (pickle.loads(pickle.dumps(replay)), copy.deepcopy(replay)):
        assert other.conventions.dt == 0.5
        assert other.conventions.keys == replay.conventions.keys
        assert [state["sim_time"] for state in other.iter_physics()] == [1.0]
