"""``trainlog plot`` as a shell sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from made_logs import training, write_log

COMMAND = [sys.executable, "-m", "trainlog"]


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("logs")
    for seed in range(3):
        training(folder / str(seed) / "run.flog", seed, 60)
    return [folder / str(seed) / "run.flog" for seed in range(3)]


def test_without_options(logs: list[Path], tmp_path: Path) -> None:
    done = run("plot", logs[0], cwd=tmp_path)
    assert done.returncode == 0
    written = [Path(line) for line in done.stdout.splitlines()]
    assert written[:4] == [
        Path("figures") / name for name in ("overview.svg", "overview.png", "reward.svg", "reward.png")
    ]
    assert all((tmp_path / path).stat().st_size for path in written)
    assert done.stderr == "never changes, so not drawn: loss_scale\n"
    with Image.open(tmp_path / "figures" / "reward.png") as image:
        assert image.size == (1920, 1080)


def test_metrics_without_a_figure_are_named_with_the_reason(tmp_path: Path) -> None:
    rows = [{"step": n, "reward": n, "loss": float("nan"), "rate": 0.1, "size": n % 2} for n in range(9)]
    write_log(tmp_path / "a.flog", rows)
    write_log(tmp_path / "b.flog", [{**row, "size": 1} for row in rows])
    done = run("plot", tmp_path, "-o", tmp_path, "--format", "svg")
    assert done.stderr == "never changes, so not drawn: rate\nhas no finite value, so not drawn: loss\n"


def test_a_figure_of_scores_says_nothing_about_other_metrics(tmp_path: Path) -> None:
    for name, reward in (("a", 1.0), ("b", 2.0)):
        write_log(tmp_path / f"{name}.flog", [{"step": n, "reward": reward, "rate": 0.1} for n in range(9)])
    done = run("plot", tmp_path, "-o", tmp_path, "--kind", "intervals", "--format", "svg")
    assert (done.returncode, done.stderr) == (0, ""), "the score is drawn, although the reward never changes"


def test_options(logs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["-y", "reward", "-y", "*_loss", "-x", "episode", "--smooth", 5, "--log-y", "--band", "std"]
    looks = ["--theme", "dark", "--size", "400x300", "--format", "svg"]
    done = run("plot", *logs, "-o", out, *options, *looks)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["policy_loss.svg", "reward.svg", "value_loss.svg"]
    text = (out / "reward.svg").read_text()
    for words in (
        'width="400" height="300"',
        "#14181d",
        ">episode<",
        ">mean of 3 seeds<",
        "smoothed, centred mean of 5",
    ):
        assert words in text


def test_an_animation(logs: list[Path], tmp_path: Path) -> None:
    done = run("plot", logs[0], "-y", "reward", "-o", tmp_path, "--format", "gif", "--size", "300x200")
    assert done.returncode == 0
    with Image.open(tmp_path / "reward.gif") as film:
        assert (film.n_frames, film.size) == (60, (300, 200))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-y", "rewrad"], "no log has the metric 'rewrad'; near it: reward"),
        (["--size", "big"], "'big' is not a size; write it like 960x540"),
        (["--format", "svg,tiff"], "there is no format 'tiff'; there are svg, png, pdf, gif"),
        (["--by", "nothing"], "the metadata of 0 has no 'nothing'; it has creature, task, seed"),
        (["--smooth", "2.5"], "smoothing takes a whole number of values"),
        (["--log-y", "--ylim", "0,1"], "the limits of a logarithmic y axis must be above zero, not 0"),
        (["--log-y", "--ylim", ",0"], "the limits of a logarithmic y axis must be above zero, not 0"),
        (["--log-y", "--ylim=-5,1"], "the limits of a logarithmic y axis must be above zero, not -5"),
        (["--line", "nan"], "a horizontal line is at a finite number, not nan"),
        (["--line", "0.5", "--line", "-inf"], "a horizontal line is at a finite number, not -inf"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    logs: list[Path], tmp_path: Path, options: list[str], message: str
) -> None:
    done = run("plot", *logs, "-o", tmp_path / "out", *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_several_tasks_are_not_averaged_silently(tmp_path: Path) -> None:
    for level, task in ((1000, "hopper"), (5000, "ant")):
        for seed in range(3):
            training(tmp_path / task / f"{seed}.flog", seed, 40, level, {"task": task, "algo": "sac"})
    done = run(
        "plot", tmp_path, "--facet", "", "--by", "algo", "-y", "reward", "-o", tmp_path / "out", "--format", "svg"
    )
    note = "averaged over 2 tasks with equal weight, in their own units: compare tasks one by one"
    assert (done.returncode, done.stderr) == (0, f"trainlog: note: sac: {note}\n")
    assert note in (tmp_path / "out" / "reward.svg").read_text()
    arguments = ("-y", "reward", "-o", tmp_path / "iqm", "--format", "svg", "--center", "iqm")
    iqm = run("plot", tmp_path, "--facet", "", "--by", "algo", *arguments)
    assert "the IQM of all runs of 2 tasks together" in iqm.stderr
    assert "the IQM of all runs of 2 tasks together" in (tmp_path / "iqm" / "reward.svg").read_text()
    one_task = run("plot", tmp_path, "--by", "task", "-y", "reward", "-o", tmp_path / "out", "--format", "svg")
    assert (one_task.returncode, one_task.stderr) == (0, "")


@pytest.mark.parametrize("paths", [["seeds"], ["seeds/*.flog"], ["seeds/[0-9].flog", "more"]])
def test_folders_and_patterns_are_runs(tmp_path: Path, paths: list[str]) -> None:
    for seed in range(3):
        training(tmp_path / "seeds" / f"{seed}.flog", seed, 40)
    training(tmp_path / "more" / "3.flog", 3, 40)
    done = run("plot", *paths, "-y", "reward", "--band", "ci", "-o", "out", "--format", "svg", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"mean of {3 if len(paths) == 1 else 4} seeds" in (tmp_path / "out" / "reward.svg").read_text()
