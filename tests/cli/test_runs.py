"""``trainlog list``, ``compare`` and ``compact`` of a tree."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import pytest

import trainlog
from made_runs import damage, make_run, sweep
from trainlog.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_list_shows_what_differs_and_the_last_reward(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(tmp_path, seeds=2)
    code, out, err = run(capsys, "list", tmp_path)
    lines = [line.split() for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert lines[0] == ["run", "state", "algo", "seed", "step", "reward", "duration", "size"]
    assert [line[0] for line in lines[1:]] == ["ppo/0.flog", "ppo/1.flog", "sac/0.flog", "sac/1.flog"]
    assert lines[4][1:6] == ["running", "sac", "1", "40", "110"]
    assert "args/lr" not in out  # it is the same in all


def test_names_of_any_script_are_aligned_and_numbers_on_the_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"12": 5, "3": 1000, "走る 🤖": 7, "e\u0301": 8}
    for name, seed in names.items():
        make_run(tmp_path / f"{name}.flog", {"seed": seed}, [])
    _, out, _ = run(capsys, "list", tmp_path, "--columns", "run,seed,state", "--sort", "seed")
    assert out.splitlines() == [
        "run           seed  state",
        "12.flog          5  running",
        "走る 🤖.flog     7  running",
        "e\u0301.flog           8  running",
        "3.flog        1000  running",
    ]


def test_the_reward_is_that_of_the_own_conventions_of_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conventions = {"reward": "profit", "step": "env_frames"}
    rows = [{"env_frames": 8 * n, "step": n, "profit": n + 20.0, "reward": 0.5 * n} for n in range(5)]
    make_run(tmp_path / "own.flog", {"conventions": conventions}, rows)
    _, out, _ = run(capsys, "list", tmp_path)
    assert [line.split()[:4] for line in out.splitlines()] == [
        ["run", "state", "env_frames", "profit"],
        ["own.flog", "running", "32", "24"],
    ]
    _, out, _ = run(capsys, "compare", tmp_path)
    assert out.split()[:3] == ["runs", "last", "profit"]


def test_list_filters_sorts_limits_and_chooses_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(tmp_path)
    make_run(tmp_path / "other.flog", {"algo": "sac"}, [])
    code, out, err = run(
        capsys,
        "list",
        tmp_path,
        "--filter",
        "sac",
        "--columns",
        "run,seed,best/reward",
        "--sort",
        "-reward",
        "--limit",
        3,
    )
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["run", "seed", "best/reward"],
        ["sac/2.flog", "2", "120"],
        ["sac/1.flog", "1", "110"],
        ["sac/0.flog", "0", "100"],
    ]
    assert err == "and 1 more\n"
    code, out, _ = run(capsys, "list", tmp_path, "--filter", "sac", "--sort", "reward", "--columns", "run")
    assert out.split() == ["run", "sac/0.flog", "sac/1.flog", "sac/2.flog", "other.flog"]
    code, out, _ = run(capsys, "list", tmp_path, "--filter", "algo:td3")
    assert (code, out.split()[:2]) == (0, ["run", "state"])


def test_list_sorts_an_integer_beyond_all_floats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, n in (("a", 1), ("b", 10**400), ("c", 2)):
        make_run(tmp_path / f"{name}.flog", {"n": n}, [])
    code, out, _ = run(capsys, "list", tmp_path, "--sort", "-n", "--columns", "run")
    assert (code, out.split()) == (0, ["run", "b.flog", "c.flog", "a.flog"])


def test_list_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(tmp_path)
    code, out, _ = run(capsys, "list", tmp_path, "--json", "--sort", "-reward")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert rows[0]["run"] == "sac/2.flog"
    assert rows[0]["args/lr"] == 3e-4
    assert rows[0]["last/reward"] == 120.0
    make_run(tmp_path / "a.flog", {}, [])
    code, out, _ = run(capsys, "list", tmp_path, "--json", "--columns", "run,reward", "--limit", 1)
    assert json.loads(out) == {"run": "a.flog", "reward": None}


def test_list_counts_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(tmp_path)
    damage(tmp_path / "ppo" / "0.flog")
    code, out, err = run(capsys, "list", tmp_path)
    assert code == 0
    assert len(out.splitlines()) == 7
    assert "ppo/0.flog: " in err
    assert "bytes that are not a record, in 1 place\n" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "{}", "--filter", "lr="], "column 4: a value is missing after '='"),
        (["list", "{}", "--filter", "sede=1"], "no run has the key 'sede'; near it: seed"),
        (["list", "{}", "--columns", "run,rewrad"], "no run has the key 'rewrad'; near it: reward"),
        (["list", "{}", "--sort", "-rewrad"], "no run has the key 'rewrad'; near it: reward"),
        (["list", "{}/nothing"], "there is no such file or folder"),
        (["list", "{}/empty"], "there are no logs in this folder"),
        (["compare", "{}", "--metrics", "rewrad"], "no run has the key 'last/rewrad'; near it: reward"),
        (["compare", "{}", "--by", "sede"], "no run has the key 'sede'"),
        (["compare", "{}", "--filter", "algo:td3"], "no run matches this filter"),
        (["compact", "{}", "{}", "--by", "algo"], "this folder holds other files"),
        (["compact", "{}/ppo/0.flog", "--by", "algo"], "--filter and --by are for a tree"),
        (["compact", "{}", "{}/all", "--kinds", "statistics"], "is not a kind of frame"),
    ],
)
def test_wrong_use_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    sweep(tmp_path)
    (tmp_path / "empty").mkdir()
    code, out, err = run(capsys, *(one.format(tmp_path) for one in arguments))
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_names_from_logs_cannot_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "a.flog", {"algo": "\x1b[2Jx"}, [{"reward\x1b[2J": 1.0}])
    make_run(tmp_path / "b.flog", {"algo": "y"}, [])
    for arguments in (
        ["list", tmp_path],
        ["list", tmp_path, "--json"],
        ["compare", tmp_path, "--metrics", "reward\x1b[2J"],
    ):
        _, out, err = run(capsys, *arguments)
        assert "\x1b" not in out + err


def test_compare_shows_groups_of_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(tmp_path, seeds=5)
    code, out, err = run(capsys, "compare", tmp_path)
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["algo", "runs", "last", "reward", "(iqm)"]
    assert lines[1].split()[:3] == ["sac", "5", "120"]  # the best first
    assert lines[2].split()[:3] == ["ppo", "5", "20"]
    assert "[" in lines[1]
    assert "95 % interval of the iqm" in err
    code, out, _ = run(capsys, "compare", tmp_path, "--of", "mean", "--center", "mean", "--json", "--by", "algo")
    groups = [json.loads(line) for line in out.splitlines()]
    assert groups[0]["group"] == {"algo": "sac"}
    assert groups[0]["metrics"][0]["value"] == 60.0
    assert groups[0]["metrics"][0]["low"] < 60 < groups[0]["metrics"][0]["high"]


def test_compare_keeps_infinite_nan_and_absent_values_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, clip in enumerate([math.inf, math.nan, None, math.inf, math.nan, None, -math.inf]):
        meta = {"seed": seed, "clip": clip, "same": math.nan}
        make_run(tmp_path / f"{seed}.flog", meta, [{"reward": float(seed)}])
    _, out, _ = run(capsys, "compare", tmp_path, "--center", "mean")
    groups = [line.split()[:3] for line in out.splitlines()[1:]]
    assert groups == [["-inf", "1", "6"], ["2", "3.5", "[−15.56,"], ["nan", "2", "2.5"], ["inf", "2", "1.5"]]


def test_compare_says_of_how_many_runs_a_value_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, reward in enumerate([1.0, 2.0, float("nan"), 3.0]):
        make_run(tmp_path / f"{seed}.flog", {"seed": seed, "algo": "sac"}, [{"reward": reward, "loss": 1.0}])
    _, out, _ = run(capsys, "compare", tmp_path, "--by", "algo", "--metrics", "reward,loss")
    assert "] (of 3)" in out
    assert out.count("(of ") == 1


def test_compare_says_when_tasks_are_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for task in ("ant", "hopper"):
        for seed in range(2):
            make_run(
                tmp_path / f"{task}-{seed}.flog", {"task": task, "seed": seed}, [{"reward": float(seed), "loss": 1.0}]
            )
    _, out, err = run(capsys, "compare", tmp_path, "--by", "seed")
    assert "the IQM of all runs of 2 tasks together" in err
    assert "equal weight" not in err
    assert (
        "averaged over 2 tasks with equal weight"
        in run(capsys, "compare", tmp_path, "--by", "seed", "--center", "mean")[2]
    )
    assert len(out.splitlines()) == 3


def test_compact_of_a_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    sweep(tmp_path / "runs")
    code, out, err = run(capsys, "compact", tmp_path / "runs", tmp_path / "all", "--by", "algo", "--filter", "seed<2")
    assert (code, err) == (0, "")
    assert "stats of 4 runs" in out
    assert "4 written (20 rows) and compared with their logs, which are kept; 0 unchanged" in out
    code, out, _ = run(capsys, "compact", tmp_path / "runs", tmp_path / "all", "--by", "algo")
    assert "2 written (10 rows)" in out
    damage(tmp_path / "runs" / "ppo" / "0.flog")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, err = run(capsys, "compact", tmp_path / "runs", tmp_path / "all", "--by", "algo")
    assert code == 1
    assert "note: 1 of 6 logs are damaged: ppo/0.flog" in err


def test_a_key_that_has_a_comma_is_given_in_a_json_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(2):
        for layers in ("64,64", "256"):
            meta = {"layers,units": layers, "[x]": 1, "seed": seed}
            make_run(tmp_path / f"{layers}-{seed}.flog", meta, [{"reward": 1.0, "a,b": float(seed)}])
    names = json.dumps(["layers,units", "seed"])
    code, out, _ = run(capsys, "compare", tmp_path, "--by", names, "--metrics", '["a,b"]', "--json")
    groups = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert sorted(tuple(group["group"].values()) for group in groups) == [
        ("256", 0),
        ("256", 1),
        ("64,64", 0),
        ("64,64", 1),
    ]
    assert all(list(group["group"]) == ["layers,units", "seed"] for group in groups)
    assert {group["metrics"][0]["metric"] for group in groups} == {"last/a,b"}
    _, out, _ = run(capsys, "list", tmp_path, "--columns", names, "--json", "--limit", 1)
    assert json.loads(out) == {"layers,units": "64,64", "seed": 0}
    _, out, _ = run(capsys, "list", tmp_path, "--columns", "[x], seed", "--json", "--limit", 1)
    assert json.loads(out) == {"[x]": 1, "seed": 0}
    code, _, err = run(capsys, "compare", tmp_path, "--by", "layers,units")
    assert (code, err) == (2, "trainlog: no run has the key 'layers' in its metadata\n")


def test_runs_that_differ_in_keys_that_look_like_metrics_are_no_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, meta in enumerate([{"max": {"steps": 10}}, {"max": {"steps": 20}}, {"run": {"dir": "x"}}]):
        make_run(tmp_path / f"{number}.flog", meta, [{"reward": float(number)}])
    code, out, _ = run(capsys, "compare", tmp_path, "--json")
    assert code == 0
    assert [json.loads(line)["runs"] for line in out.splitlines()] == [1, 1, 1]
    code, out, _ = run(capsys, "list", tmp_path, "--filter", "max/steps=20", "--columns", "run", "--json")
    assert [json.loads(line) for line in out.splitlines()] == [{"run": "1.flog"}]


def test_runs_that_nothing_distinguishes_are_not_pooled_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ppo", "sac"):
        with trainlog.TrainingRecorder(tmp_path / f"{name}.flog") as log:
            log.stats({"reward": 1.0})
    code, out, err = run(capsys, "compare", tmp_path)
    assert (code, out.split("\n")[1].split()[0]) == (0, "2")
    assert "nothing in the metadata distinguishes these 2 runs" in err
    code, out, err = run(capsys, "compare", tmp_path, "--by", "run")
    assert (code, len(out.splitlines()), "distinguishes" in err) == (0, 3, False)
