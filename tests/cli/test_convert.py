"""``trainlog convert`` and ``trainlog plot --function`` as a shell sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import by_hand_simion as by_hand
import trainlog
from trainlog import Frame, Kind

DATA = by_hand.experiment(2) + by_hand.episode_of([(1.0, 2.0), (3.0, 4.0)]) + by_hand.episode_of([(5.0, 6.0)], kind=1)
LEARNED = by_hand.functions() + by_hand.declaration(name=b"V(x,r)\0") + by_hand.sample((0.0, 1.0, 2.0, 3.0)) * 2


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainlog", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done


def test_there_and_back(tmp_path: Path) -> None:
    path = by_hand.log(tmp_path, DATA, learned=LEARNED)
    done = run("convert", path, "a.flog", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a.flog: 11 frames\n", "")
    done = run("convert", "a.flog", "back/a.simion.log", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for part in ("", ".bin", ".functions"):
        name = path.name + part
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_many_at_a_time(tmp_path: Path) -> None:
    logs = [by_hand.log(tmp_path / "runs" / part, DATA, name=f"r{i}") for i, part in enumerate(["", "x", "x/y", "x/z"])]
    (tmp_path / "runs" / "notes.txt").write_text("no log")
    for jobs, out in ((1, "one"), (2, "two")):
        done = run("convert", "runs/**/*.log", "--out", out, "--jobs", jobs, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        made = sorted(path.relative_to(tmp_path / out).as_posix() for path in (tmp_path / out).rglob("*.*"))
        assert made == ["r0.flog", "x/r1.flog", "x/y/r2.flog", "x/z/r3.flog"]
        assert list(trainlog.open(tmp_path / out / "r0.flog")) == list(trainlog.open(logs[0]))
    done = run("convert", "one/**/*.flog", "--out", "back", "--to", "simion", cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "back" / "x" / "z" / "r3.simion.log.bin").read_bytes() == DATA
    (tmp_path / "folder").mkdir()
    done = run("convert", logs[0], logs[1], "folder", cwd=tmp_path)
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["r0.flog", "r1.flog"]


def test_names_of_folders_and_event_files_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("crc32c")
    for name in ("lr_0.001", "lr_0.002"):
        (tmp_path / name).mkdir()
        trainlog.create(tmp_path / name / "a.tfevents").close()
        (tmp_path / name / "a.tfevents").rename(tmp_path / name / "events.out.tfevents.1700000000.host.12.1")
    done = run("convert", "lr_0.001", "lr_0.002", "lr_0.001/*.1", "out/", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("events.out.tfevents.1700000000.host.12.1.flog", "lr_0.001.flog", "lr_0.002.flog")
    ]


def test_the_folder_where_one_is(tmp_path: Path) -> None:
    pytest.importorskip("crc32c")
    run_folder = tmp_path / "ppo_1"
    (run_folder / "inner").mkdir(parents=True)
    trainlog.create(run_folder / "a.tfevents").close()
    for source, cwd in ((".", run_folder), ("..", run_folder / "inner")):
        for target in (["../a.flog"], ["--out", "logs"]):
            done = run("convert", source, *target, "--overwrite", cwd=cwd)
            assert (done.returncode, done.stderr) == (0, "")
        assert (cwd / "logs" / "ppo_1.flog").is_file()


def test_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    good = by_hand.log(tmp_path, DATA, name="good")
    bad = by_hand.log(tmp_path, by_hand.experiment() + by_hand.episode(variables=2**60), name="bad")
    done = run("convert", good, bad, "nothing.log", "--out", "out", "--report", "json", cwd=tmp_path)
    assert done.returncode == 2
    report = json.loads(done.stdout)
    assert [entry["source"] for entry in report] == [str(good), str(bad), "nothing.log"]
    assert report[0]["frames"] == 9
    assert "values each" in report[1]["error"]
    assert "no such file" in report[2]["error"]
    assert len(done.stderr.splitlines()) == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.flog"]


def test_what_is_lost_is_listed(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "a.flog", {"creature": "ant"}) as log:
        for i in range(3):
            log.write(Frame(i, Kind.CREATURE, {"pos": [i, i], "reward": -i, "gait": "trot"}))
    done = run("convert", "a.flog", "b.simion.log", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--state, --action, --reward or --stat" in done.stderr
    assert "pos, reward, gait" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.flog"]
    keys = ("--state", "pos", "--reward", "reward")
    done = run("convert", "a.flog", "b.simion.log", *keys, "--report", "json", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout) == [
        {
            "source": "a.flog",
            "target": "b.simion.log",
            "frames": 3,
            "losses": {"header: creature": 1, "creature: gait": 3},
            "notes": [],
        }
    ]
    done = run("convert", "a.flog", "b.simion.log", *keys, "--overwrite", cwd=tmp_path)
    assert done.stdout.split("\n")[1:4] == [
        "  not converted:",
        "            1 × header: creature",
        "            3 × creature: gait",
    ]
    (episode,) = trainlog.episodes(trainlog.open(tmp_path / "b.simion.log"))
    assert episode.steps["state/pos/1"].tolist() == [0.0, 1.0, 2.0]


def test_a_malformed_descriptor_is_noted(tmp_path: Path) -> None:
    path = by_hand.log(tmp_path, DATA, by_hand.descriptor().replace(b">x<", b">a & b<"))
    done = run("convert", path, "a.flog", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.startswith("trainlog: note: ")
    assert "malformed XML" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["a.simion.log"], "say where to"),
        (["a.simion.log", "b.txt"], "no codec writes files of this name"),
        (["nothing.log", "b.flog"], "nothing.log: there is no such file"),
        (["*.nope", "--out", "x"], "no file matches '*.nope'"),
        (["a.simion.log", "there.flog"], "there is a file already"),
        (["a.simion.log", "a.simion.log.bin", "b.flog"], "2 logs cannot become one file"),
        (["a.simion.log", "a.simion.log.bin", "--out", "x"], "would both become"),
        (["there.flog", "--out", "x"], "is already a .flog file"),
        (["a.simion.log", "--out", "x", "--to", "nope"], "no codec called 'nope'"),
        (["a.simion.log", "x.flog", "--jobs", "0"], "--jobs"),
        (["a.simion.log", "there.flog/x.flog"], "there.flog"),
    ],
)
def test_wrong_use_is_one_line_and_2(tmp_path: Path, arguments: list[str], why: str) -> None:
    by_hand.log(tmp_path, DATA)
    trainlog.create(tmp_path / "there.flog").close()
    before = sorted(tmp_path.iterdir())
    done = run("convert", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(path for path in tmp_path.iterdir() if path.name != "x") == before


def test_learned_functions_are_drawn(tmp_path: Path) -> None:
    path = by_hand.log(tmp_path, DATA, learned=LEARNED)
    names = [f"out/V_x_r.{suffix}" for suffix in ("svg", "png", "gif")]
    for name in ("V", "V(x,r)", "all"):
        done = run("plot", path, "--function", name, "-o", "out", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split() == names
        assert all((tmp_path / made).stat().st_size for made in names)
    done = run("plot", path, "--function", "W", cwd=tmp_path)
    assert done.returncode == 2
    assert "which function is 'W'? There are V(x,r)" in done.stderr
    other = by_hand.log(tmp_path / "other", DATA)
    done = run("plot", other, "--function", "V", cwd=tmp_path)
    assert done.returncode == 2
    assert "has no samples of learned functions" in done.stderr
