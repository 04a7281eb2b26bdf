"""Scripts of MH-FLOCKE, of which only the import is changed: what they call, and what their own programs read."""

from __future__ import annotations

import csv
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from handmade import Flog
from trainlog import Frame, Kind
from trainlog.errors import EmptyLog, LogNotFound, TrainlogWarning
from trainlog.mhflocke import FlogReplay, TrainingLogReader, TrainingRecorder, flog_to_assemble


def as_the_original_reads(path: Path) -> tuple[dict[str, Any], list[tuple[int, dict[str, Any]]]]:
    """The metadata, and kind and data of each frame of the original's kinds."""
    meta, frames = Flog.read(path.read_bytes())
    return meta, [(kind, data) for _, kind, data in frames if kind <= 4]


class Thing:
    def __str__(self) -> str:
        return "a thing"


def test_the_calls_of_the_real_trainers(tmp_path: Path) -> None:
    path = tmp_path / "creatures" / "go2" / "v001" / "training_log.bin"
    recorder = TrainingRecorder(str(path), meta={"creature": "go2", "task": "walk", "made_of": Thing(), 7: 1})
    recorder._version_id = "v001"  # type: ignore[attr-defined]  # as its store of creatures does
    recorder.record_evolution(1, 0.5, 0.25, 50, best_distance=1.5, curriculum_stage="stand", best_genome={"hip": 1.0})
    recorder.record_training(
        10, np.arange(500) % 7, {"da": np.float64(0.5)}, "motor", {"joy": 0.1}, consciousness_level=3, reward=1.5
    )
    recorder.record_training(11, spikes=[1, 0, 1])
    recorder.record_creature(
        joint_positions=np.arange(3.0),
        joint_velocities=(0.5, 0.25),
        contacts=[1, 0],
        center_of_mass=np.zeros(3),
        heading=-0.5,
        speed=0.1,
        step=10,
        ball_pos=[1.0, 2.0, 3.0],
    )
    recorder.record_creature(contacts=np.zeros(0))
    recorder.record_event("skill_start", "Skill trot: größer", skill="trot")
    recorder.record_training_stats({"step": 1000, "distance": 1.5, "phase": "level15", "consciousness_level": 2})
    recorder.log_frame({"gen": 3, "best_fitness": 1.5, "avg": 0.5, "pop": 20, "dist": 2.5, "phase": "cpg_evolution"})
    recorder.log_frame({"generation": 4, "best_distance": 3.5, "stood": True})
    recorder.log_frame({"phase": "snn_training", "lr": 0.1})
    recorder.log_frame({"type": "note", "msg": "hi"})
    assert recorder.frame_count == 11
    assert recorder.path == path
    recorder.close()
    recorder.close()

    meta, frames = as_the_original_reads(path)
    assert meta == {"creature": "go2", "task": "walk", "made_of": "a thing", "7": 1} | meta
    none = {"gwt": "", "c_level": 0, "pci": 0.0, "spike_count": 0}
    spikes = [int(n) % 7 for n in np.linspace(0, 499, 200, dtype=int)]
    evolution = {"gen": 1, "best": 0.5, "avg": 0.25, "pop": 50, "dist": 1.5, "stage": "stand", "diversity": 0.0}
    assert frames == [
        (1, {**evolution, "genome": {"hip": 1.0}}),
        (
            2,
            {
                **none,
                "step": 10,
                "gwt": "motor",
                "c_level": 3,
                "reward": 1.5,
                "spikes": spikes,
                "neuromod": {"da": 0.5},
                "emotions": {"joy": 0.1},
            },
        ),
        (2, {**none, "step": 11, "spikes": [1, 0, 1]}),
        (
            4,
            {
                "heading": -0.5,
                "speed": 0.1,
                "step": 10,
                "ball_pos": [1.0, 2.0, 3.0],
                "pos": [0.0, 1.0, 2.0],
                "vel": [0.5, 0.25],
                "contacts": [1, 0],
                "com": [0.0, 0.0, 0.0],
            },
        ),
        (4, {"heading": 0.0, "speed": 0.0}),
        (3, {"type": "skill_start", "msg": "Skill trot: größer", "skill": "trot"}),
        (2, {**none, "step": 1000, "distance": 1.5, "phase": "level15", "c_level": 2}),
        (1, {**evolution, "gen": 3, "best": 1.5, "avg": 0.5, "pop": 20, "dist": 2.5, "stage": "cpg_evolution"}),
        (
            1,
            {
                "gen": 4,
                "best": 0,
                "avg": 0,
                "pop": 0,
                "dist": 3.5,
                "stage": "",
                "diversity": 0.0,
                "stood": True,
            },
        ),
        (2, {**none, "step": 0, "phase": "snn_training", "lr": 0.1}),
        (3, {"type": "note", "msg": "hi"}),
    ]


def test_a_generation_with_the_names_of_the_other_method(tmp_path: Path) -> None:
    path = tmp_path / "run.flog"
    with TrainingRecorder(path) as recorder:
        recorder.log_frame({"gen": 1, "population_size": 50, "curriculum_stage": "walk", "phase": "cpg_evolution"})
        recorder.log_frame({"gen": 2, "pop": 20, "curriculum_stage": "run", "population_diversity": 0.5})
    first, second = as_the_original_reads(path)[1]
    none = {"best": 0, "avg": 0, "dist": 0}
    assert first == (1, none | {"gen": 1, "pop": 50, "stage": "walk", "diversity": 0.0, "phase": "cpg_evolution"})
    assert second == (1, none | {"gen": 2, "pop": 20, "stage": "run", "diversity": 0.5})


def test_what_the_import_is_the_switch_for(tmp_path: Path) -> None:
    path = tmp_path / "run.bin"
    first = TrainingRecorder(path)
    first.record_event("first", "")
    itself: list[Any] = []
    itself.append(itself)
    with TrainingRecorder(path) as recorder:  # replaces the log, and closes its forerunner
        with pytest.warns(TrainlogWarning, match="closed; what is recorded now is dropped"):
            first.record_event("lost", "")
        assert first.frame_count == 1
        recorder.log_frame({"thing": Thing(), "list": [Thing(), 1], "big": 2**70, "map": {1: Thing()}, "me": itself})
        recorder.log_frame({"float32": np.float32(0.5), "int64": np.int64(3), "bool": np.bool_(True)})
    frames = as_the_original_reads(path)[1]
    assert frames[0][1]["me"] is not None
    assert {key: one for key, one in frames[0][1].items() if key != "me"} == {
        "thing": "a thing",
        "list": ["a thing", 1],
        "big": str(2**70),
        "map": {"1": "a thing"},
    }
    assert frames[1] == (3, {"float32": 0.5, "int64": 3, "bool": True})
    with pytest.raises(trainlog.TrainlogError), trainlog.TrainingRecorder(tmp_path / "own.flog") as log:
        log.record_stats_frame(None, {"thing": Thing()})
    with pytest.raises(TypeError, match=r"trainlog\.mhflocke"):
        trainlog.TrainingRecorder(path, {"creature": "go2"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        {1: 2},
        {"deep": {"map": {1: 2}}},
        {"list": [{None: 1}]},
        {"text": "\udcff"},
        {"\udcff": 1},
        {"text": chr(0xD800)},
    ],
    ids=repr,
)
def test_what_the_original_cannot_read_is_said_once(tmp_path: Path, data: dict[Any, Any]) -> None:
    with TrainingRecorder(tmp_path / "run.bin") as recorder:
        with pytest.warns(TrainlogWarning, match="the original program cannot read"):
            recorder.log_frame(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            recorder.log_frame(data)
            recorder.log_frame({"text": "größer", "map": {1: 2}, "bytes": b"\xff", "list": [1.0, {"a": None}]})
    stored = [frame["data"] for frame in TrainingLogReader(tmp_path / "run.bin").events()]
    assert stored[0] == ({"text": "\\ud800"} if data == {"text": chr(0xD800)} else data)
    assert stored[2]["map"] == {"1": 2}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log as the original wrote it, byte by byte: no checksums, times of its own."""
    frames = [
        *((0.25 * n, 4, {"pos": [n, 0.0, 0.5], "vel": [2.0 * n], "com": [n, 0, 0], "speed": n}) for n in range(601)),
        (10.0, 1, {"gen": 0, "best": 2.0, "avg": 1.0, "dist": 3.0}),
        (20.0, 2, {"step": 10, "distance": 0.1 + 0.2, "emotion": 'joy, "big"', "other": 1, "falls": None}),
        (30.0, 2, {"step": 20, "upright": True}),
        (40.0, 3, {"type": "fall", "msg": "oops", "where": [1, 2]}),
    ]
    path = tmp_path / "training_log.bin"
    header = Flog.header({"creature": "go2", "task": "walk", "nested": {"a": [1]}})
    path.write_bytes(header + b"".join(Flog.frame(*frame) for frame in frames))
    return path


def test_the_calls_of_the_original_server(log: Path) -> None:
    replay = FlogReplay(flog_path=str(log))
    frames = replay.physics_frames()
    assert frames
    speeds = [frame.get("speed", 0) or 0 for frame in frames]
    assert (sum(speeds) / max(len(speeds), 1), max(speeds)) == (300.0, 600)
    assert [frames[n].get("com")[0] for n in range(0, len(frames), 50)] == list(range(0, 601, 50))
    assert frames[-1]["timestamp"] == 150.0
    assert [frame["speed"] for frame in frames[10:0:-5]] == [10, 5]
    assert [frame["speed"] for frame in frames[-2:]] == [599, 600]
    with pytest.raises(IndexError):
        frames[601]
    assert not FlogReplay(log).events()[1:]
    assert [len(replay.stats_frames()), replay.n_stats, replay.total_frames] == [2, 2, 605]
    answer = json.loads(json.dumps({"meta": replay.meta, "events": replay.events(), "gens": replay.evolution_frames()}))
    assert answer["meta"]["nested"] == {"a": [1]}
    assert answer["events"] == [{"timestamp": 40.0, "type": "fall", "msg": "oops", "where": [1, 2]}]
    assert answer["gens"][0]["best"] == 2.0
    with pytest.raises(FileNotFoundError):
        FlogReplay(log.with_name("none.bin"))
    with pytest.raises(LogNotFound):
        TrainingLogReader(log.with_name("none.bin"))


def test_the_original_reader_of_frames(log: Path) -> None:
    reader = TrainingLogReader(str(log))
    assert (len(reader), reader.duration_s, reader.meta["creature"]) == (605, 40.0, "go2")
    assert reader.frames[601] == {
        "timestamp": 10.0,
        "type": 1,
        "data": {"gen": 0, "best": 2.0, "avg": 1.0, "dist": 3.0},
    }
    assert [frame["data"]["step"] for frame in reader.training_frames()] == [10, 20]
    counts = [len(reader.creature_frames()), len(reader.evolution_frames()), len(reader.events())]
    assert counts == [601, 1, 1]
    assert [frame["type"] for frame in reader.frames][-3:] == [2, 2, 3]


def test_frames_that_come_later_are_not_among_those_that_were_counted(tmp_path: Path) -> None:
    with TrainingRecorder(tmp_path / "run.bin") as recorder:
        recorder.log_frame({"step": 1})
        replay = FlogReplay(tmp_path / "run.bin")
        frames = replay.stats_frames()
        assert len(frames) == 1
        recorder.log_frame({"step": 2})
        assert [frame["step"] for frame in frames] == [1]
        assert [frame["step"] for frame in replay.stats_frames()] == [1, 2]


def test_the_files_of_a_log_with_keys_and_text_that_json_and_utf8_refuse(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "a.flog") as writer:
        writer.write(Frame(0.0, Kind.EVENT, {"type": "odd", "map": {(1, 2): 5}}))
        writer.write(Frame(0.0, Kind.STATS, {"step": 1, "skill": "a\udcff"}))
        writer.write(Frame(0.0, Kind.CREATURE, {"pos": [1.0]}))
    files = flog_to_assemble(tmp_path / "a.flog", tmp_path / "out")
    assert json.loads(Path(files["events_json"]).read_text())[0]["map"] == {"(1, 2)": 5}
    assert "a\\udcff" in Path(files["stats_csv"]).read_text(encoding="utf-8")


def test_the_files_of_the_original_exports(log: Path, tmp_path: Path) -> None:
    files = flog_to_assemble(str(log), str(tmp_path / "out"))
    assert {key: Path(file).name for key, file in files.items()} == {
        "physics_npz": "physics.npz",
        "stats_csv": "stats.csv",
        "events_json": "events.json",
    }
    with np.load(files["physics_npz"]) as arrays:
        assert (arrays["qpos"].shape, arrays["qvel"].shape, arrays["qpos"].dtype) == ((601, 3), (601, 1), np.float64)
        assert arrays["steps"].dtype == np.int32
        assert arrays["steps"].tolist() == list(range(0, 6010, 10))
        assert arrays["timestamps"][-1] == 150.0
    with Path(files["stats_csv"]).open(newline="") as file:
        names, *rows = csv.reader(file)
    assert names[:3] == ["step", "timestamp", "distance"]
    assert names[-1] == "episode"
    assert len(names) == 25
    first = dict(zip(names, rows[0], strict=True))
    assert {key: one for key, one in first.items() if one} == {
        "step": "10",
        "timestamp": "20.000",
        "distance": "0.30000000000000004",
        "emotion": 'joy, "big"',
    }
    assert dict(zip(names, rows[1], strict=True))["upright"] == "True"
    assert json.loads(Path(files["events_json"]).read_text())[0]["msg"] == "oops"

    replay = FlogReplay(log)
    replay.export_physics_npz(tmp_path / "phys")  # numpy adds the suffix
    assert (tmp_path / "phys.npz").exists()
    replay.export_stats_csv(tmp_path / "some.csv", ["other"])
    assert (tmp_path / "some.csv").read_text().splitlines()[0] == "timestamp,other"


def test_an_export_of_nothing_is_a_note(tmp_path: Path) -> None:
    TrainingRecorder(tmp_path / "run.bin").close()
    replay = FlogReplay(tmp_path / "run.bin")
    with pytest.warns(TrainlogWarning, match="there are no physics frames"):
        replay.export_physics_npz(tmp_path / "a.npz")
    with pytest.warns(TrainlogWarning, match="there are no stats frames"):
        replay.export_stats_csv(tmp_path / "a.csv")
    assert list(replay.iter_physics()) == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.bin"]
    with pytest.raises(EmptyLog):
        trainlog.FlogReplay(tmp_path / "run.bin").export_stats_csv(tmp_path / "a.csv")
    with TrainingRecorder(tmp_path / "still.bin") as recorder:
        recorder.record_creature(speed=1.0)
    FlogReplay(tmp_path / "still.bin").export_physics_npz(tmp_path / "still.npz")
    with np.load(tmp_path / "still.npz") as arrays:
        assert arrays["qpos"].tolist() == [[0.0]]


def test_physics_by_the_rule_of_the_original(tmp_path: Path) -> None:
    """From time 0 to the last frame, whatever the episode, and no state before or behind what was logged."""
    frames = [(0.5 + n, 4, {"pos": [float(n)], "com": [n, 0, 0], "sim_time": 0.1, "episode": n}) for n in range(3)]
    (tmp_path / "run.bin").write_bytes(Flog.header() + b"".join(Flog.frame(*frame) for frame in frames))
    states = list(FlogReplay(tmp_path / "run.bin").iter_physics(2))
    assert [(state["timestamp"], state["qpos"][0]) for state in states[:-1]] == [
        *[(0.0, 0.0), (0.5, 0.0), (1.0, 0.5), (1.5, 1.0), (2.0, 1.5), (2.5, 2.0)],
    ][: len(states) - 1]
    assert states[-1]["qpos"].tolist() == [2.0]
    assert states[2]["com"].dtype == np.float64
    assert (states[2]["speed"], states[2]["step"], states[2]["skill"]) == (0.0, 0, "")
    with pytest.raises(ValueError, match="above 0"):
        next(FlogReplay(tmp_path / "run.bin").iter_physics(-1))
    own = list(FlogReplay(tmp_path / "run.bin").iter_physics(2, clock="timestamp"))
    assert own[0]["timestamp"] == 0.5
