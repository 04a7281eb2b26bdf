"""TensorBoard's calls, beside the writers that have them: one script, and the same values."""

from __future__ import annotations

import subprocess
import sys
import warnings
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import trainlog
from trainlog.errors import TrainlogWarning, UnsupportedFrame
from trainlog.integrations.torch import SummaryWriter
from trainlog.media import media_file


def real_writer(module: str) -> Any:
    pytest.importorskip("crc32c")
    if module == "torch.utils.tensorboard":
        pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(module).SummaryWriter


def train(writer_class: Callable[[str], Any], folder: Path) -> None:
    """What CleanRL's and skrl's scripts call."""
    rng = np.random.default_rng(0)
    writer = writer_class(f"{folder}/ant__ppo__1")
    writer.add_text("hyperparameters", "|param|value|\n|-|-|\n|lr|0.1|")
    for step in range(0, 500, 50):
        writer.add_scalar("charts/episodic_return", rng.normal(), step)
        writer.add_scalar("charts/SPS", int(rng.integers(1000)), step)
        writer.add_scalar("losses/value_loss", np.float32(rng.normal()), global_step=step)
    writer.add_scalar("with/time", np.array([2.5]), 500, walltime=1_700_000_000.0)
    writer.add_histogram("weights", rng.normal(size=1000), 7)
    writer.add_image("camera", np.arange(48, dtype=np.uint8).reshape(3, 4, 4), 8)
    writer.add_image("light", np.linspace(0, 1, 16).reshape(4, 4), 9, dataformats="HW")
    writer.flush()
    writer.close()


@pytest.mark.parametrize("module", ["tensorboardX", "torch.utils.tensorboard"])
def test_the_log_has_the_values_of_the_event_file(tmp_path: Path, module: str) -> None:
    train(real_writer(module), tmp_path / "theirs")
    train(SummaryWriter, tmp_path / "ours")
    theirs = trainlog.open(tmp_path / "theirs" / "ant__ppo__1")
    ours = trainlog.open(tmp_path / "ours" / "ant__ppo__1" / "run.flog")
    assert scalars(ours) == scalars(theirs)
    assert len(scalars(ours)) == 31
    began = ours.header.run["wall"]
    assert [began + frame.time for frame in ours.frames("stats")][-1] == pytest.approx(1_700_000_000, abs=0.1)
    own, other = events(ours), events(theirs)
    assert [event["type"] for event in own] == [event["type"] for event in other]
    text, histogram, *images = zip(own, other, strict=True)
    assert text[0]["msg"] == text[1]["msg"]
    assert histogram[0]["step"] == histogram[1]["step"] == 7
    for key in ("min", "max", "num", "sum", "sum_squares", "limits", "counts"):
        np.testing.assert_allclose(histogram[0][key], histogram[1][key], rtol=1e-12, err_msg=key)
    for mine, its in images:
        (tmp_path / "its.png").write_bytes(its["image"])
        with Image.open(media_file(ours.path, mine)) as one, Image.open(tmp_path / "its.png") as two:
            np.testing.assert_array_equal(np.asarray(one.convert("RGB")), np.asarray(two.convert("RGB")))
        assert (mine["step"], mine["height"], mine["width"]) == (its["step"], 4, 4)


def scalars(reader: trainlog.Reader) -> list[tuple[int, str, float]]:
    """Event files hold single precision."""
    frames = [frame.data for frame in reader.frames("stats")]
    return [(row["step"], key, float(np.float32(row[key]))) for row in frames for key in row if key != "step"]


def events(reader: trainlog.Reader) -> list[dict[Any, Any]]:
    return [dict(frame.data) for frame in reader.frames("event")]


def test_numbers_keep_their_precision_and_groups_are_one_frame(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path / "run.flog") as writer:
        writer.add_scalar("loss", 0.1)
        writer.add_scalars("speed", {"mean": 1, "max": np.float64(2.5)}, 3)
        writer.add_scalar("step", 9, 4)
        writer.add_tensor("qpos", np.ones(3), 5)
    assert [dict(frame.data) for frame in trainlog.open(tmp_path / "run.flog").frames("stats")] == [
        {"loss": 0.1},
        {"step": 3, "speed/mean": 1, "speed/max": 2.5},
        {"step": 4, "step#2": 9},
        {"step": 5, "qpos": [1.0, 1.0, 1.0]},
    ]


@pytest.mark.parametrize("value", [None, "high", [1, 2], np.ones(2), {}])
def test_what_is_no_number_is_refused_as_a_scalar(tmp_path: Path, value: Any) -> None:
    with SummaryWriter(tmp_path) as writer, pytest.raises(UnsupportedFrame, match="'loss' must be one number"):
        writer.add_scalar("loss", value, 1)
    assert not list(trainlog.open(tmp_path / "run.flog").frames())


def test_hyperparameters(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_hparams(
            {"lr": 0.1, "env": "ant", "out": Path("a")}, {"hparam/score": 5}, run_name="a", global_step=3
        )
    reader = trainlog.open(tmp_path / "run.flog")
    assert reader.header.meta["a"] == {"lr": 0.1, "env": "ant", "out": "a"}
    assert next(reader.frames("stats")).data == {"step": 3, "hparam/score": 5}


def test_videos_images_and_sounds_are_files_beside_the_log(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    video = rng.integers(0, 256, (1, 5, 3, 6, 8), dtype=np.uint8)
    batch = rng.random((2, 3, 4, 5))
    with SummaryWriter(tmp_path) as writer:
        writer.add_video("walk", video, 1, fps=10)
        writer.add_images("batch", batch, 2)
        writer.add_image("again", batch[0], 3)
        writer.add_audio("beep", np.sin(np.arange(800)), 4, sample_rate=8000)
    path = tmp_path / "run.flog"
    walk, first, second, again, beep = events(trainlog.open(path))
    assert (walk["tag"], walk["frames"], walk["fps"], walk["width"], walk["height"]) == ("walk/0", 5, 10, 8, 6)
    with Image.open(media_file(path, walk)) as film:
        assert film.n_frames == 5
        for i in range(5):
            film.seek(i)
            np.testing.assert_array_equal(np.asarray(film.convert("RGB")), video[0, i].transpose(1, 2, 0))
    assert [first["tag"], second["tag"]] == ["batch/0", "batch/1"]
    assert again["file"] == first["file"] != second["file"]  # the same picture is stored once
    assert (beep["seconds"], beep["rate"], media_file(path, beep).suffix) == (0.1, 8000, ".wav")
    assert len(list((tmp_path / "run.flog.media").iterdir())) == 4
    assert trainlog.open(path).summary().frames == 5


def test_figures(tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    axes.plot([1, 2])
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("curve", figure, 3)
        with pytest.raises(TypeError, match="savefig"):
            writer.add_figure("curve", [1], 3, close=False)
    assert not pyplot.fignum_exists(figure.number)
    (event,) = events(trainlog.open(tmp_path / "run.flog"))
    with Image.open(media_file(tmp_path / "run.flog", event)) as image:
        assert image.width == 640


@pytest.mark.parametrize(
    ("image", "axes"),
    [(np.zeros((4, 4)), "HWC"), (np.zeros((2, 4, 4)), "CHW"), (np.zeros((4, 4, 4)), "HWT"), (np.zeros((4, 4)), "HH")],
)
def test_pictures_of_another_shape_are_refused(tmp_path: Path, image: Any, axes: str) -> None:
    with SummaryWriter(tmp_path) as writer, pytest.raises(ValueError, match="axes"):
        writer.add_image("a", image, 1, dataformats=axes)
    assert not (tmp_path / "run.flog.media").exists()


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_rates_that_are_none_are_refused(tmp_path: Path, rate: Any) -> None:
    with SummaryWriter(tmp_path) as writer:
        with pytest.raises(ValueError, match=f"fps is .*, a number above 0, not {rate}"):
            writer.add_video("camera", np.zeros((1, 2, 3, 4, 4), np.uint8), 1, fps=rate)
        with pytest.raises(ValueError, match=f"the rate of a sound is .*, 1 or more, not {rate}"):
            writer.add_audio("steps", np.zeros(8), 1, sample_rate=rate)
    assert not list(trainlog.open(tmp_path / "run.flog").frames("event"))


def test_what_a_log_has_no_place_for_is_said_once(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            writer.add_graph(object())
            writer.add_embedding(np.zeros((2, 2)), tag="a")
    assert [str(one.message) for one in caught] == [
        "a log of trainlog does not keep what add_graph gives",
        "a log of trainlog does not keep what add_embedding gives",
    ]
    assert {(one.category, one.filename) for one in caught} == {(TrainlogWarning, __file__)}


def test_values_that_are_not_finite_are_counted_by_histograms(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("w", np.array([1.0, np.nan, 2.0, np.inf]), 1, bins=2)
        with pytest.raises(ValueError, match="finite"):
            writer.add_histogram("w", np.array([np.nan]), 1)
    (event,) = events(trainlog.open(tmp_path / "run.flog"))
    assert (event["num"], event["not_finite"], event["sum"]) == (2, 2, 3)
    assert (event["limits"], event["counts"]) == ([1.0, 1.5, 2.0], [0, 1, 1])


def test_numbers_of_any_size_warn_of_nothing(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("w", np.array([1.0, 1e200]), 1)
        writer.add_audio("s", np.array([0.5, np.nan, np.inf]), 1)
        writer.add_image("i", np.full((3, 2, 2), np.inf), 1)
    histogram, sound, _ = events(trainlog.open(tmp_path / "run.flog"))
    assert (histogram["sum"], histogram["sum_squares"]) == (1e200, np.inf)
    with wave.open(str(media_file(tmp_path / "run.flog", sound))) as file:
        assert np.frombuffer(file.readframes(3), "<i2").tolist() == [16384, 0, 32767]


@pytest.mark.parametrize(("low", "high"), [(0.1, np.nextafter(0.1, 1)), (1e300, 1e300), (-1.7e308, 1.7e308)])
def test_numbers_that_no_even_bins_separate_are_in_one_bin(tmp_path: Path, low: float, high: float) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("w", np.array([low, low, high]), 1, bins=64)
        with pytest.raises(ValueError, match="bins"):
            writer.add_histogram("w", np.array([low, high]), 1, bins=0)
    (event,) = events(trainlog.open(tmp_path / "run.flog"))
    assert (event["limits"], event["counts"], event["num"]) == ([low, high], [0, 3], 3)


def test_a_folder_goes_on_with_its_log_and_purges(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for step in range(4):
            writer.add_scalar("loss", step, step)
    writer.add_scalar("loss", 4, 4)  # opens it again
    writer.close()
    with SummaryWriter(tmp_path, purge_step=2) as writer:
        writer.add_scalar("loss", 20, 2)
    assert trainlog.open(tmp_path / "run.flog").table("stats")["loss"].tolist() == [0, 1, 20]


@pytest.mark.parametrize("end", ["", ".flog"])
def test_the_name_of_a_run_is_not_its_task(tmp_path: Path, end: str) -> None:
    for seed in range(2):
        with SummaryWriter(tmp_path / f"ant__ppo__{seed}{end}") as writer:
            writer.add_hparams({"env_id": "Ant-v5"}, {"return": seed})
    assert {run.task for run in trainlog.runs(tmp_path)} == {"Ant-v5"}


def test_two_writers_of_one_folder_have_a_log_each(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as one, SummaryWriter(tmp_path) as two:
        one.add_scalar("a", 1, 1)
        two.add_scalar("a", 2, 1)
    assert trainlog.open(tmp_path / "run.flog").table("stats")["a"].tolist() == [1]
    assert trainlog.open(tmp_path / "run-2.flog").table("stats")["a"].tolist() == [2]


@pytest.mark.parametrize("settings", [{"overwrite": True}, {"overwrite": True, "resume": False}, {"resume": False}])
def test_a_writer_that_is_opened_again_replaces_nothing(tmp_path: Path, settings: dict[str, Any]) -> None:
    with SummaryWriter(tmp_path) as old:
        old.add_scalar("a", 0, 0)
    if "overwrite" not in settings:
        (tmp_path / "run.flog").unlink()
    writer = SummaryWriter(tmp_path, **settings)
    for step in range(1, 4):
        writer.add_scalar("a", step, step)
        writer.close()
    assert trainlog.open(tmp_path / "run.flog").table("stats")["a"].tolist() == [1, 2, 3]


def test_a_writer_beside_another_is_opened_again_where_it_was(tmp_path: Path) -> None:
    one, two = SummaryWriter(tmp_path), SummaryWriter(tmp_path)
    one.close()
    two.add_scalar("a", 1, 1)
    two.close()
    two.add_scalar("a", 2, 2)
    two.close()
    assert trainlog.open(tmp_path / "run-2.flog").table("stats")["a"].tolist() == [1, 2]
    assert not list(trainlog.open(tmp_path / "run.flog").frames("stats"))


def test_a_killed_script_has_all_that_it_added(tmp_path: Path) -> None:
    code = f"""
import os, signal
from trainlog.integrations.torch import SummaryWriter
writer = SummaryWriter({str(tmp_path)!r})
for step in range(100):
    writer.add_scalar("loss", 1 / (step + 1), step)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert trainlog.open(tmp_path / "run.flog").table("stats")["loss"].tolist() == [1 / (n + 1) for n in range(100)]


def test_it_needs_neither_torch_nor_tensorboard(tmp_path: Path) -> None:
    code = """
import sys
from trainlog.integrations.torch import SummaryWriter
with SummaryWriter(sys.argv[1]) as writer:
    writer.add_scalar("a", 1, 1)
print([name for name in ("torch", "tensorboard", "crc32c", "PIL", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_converted_log_has_tensorboards_histograms_and_texts(tmp_path: Path) -> None:
    pytest.importorskip("crc32c")
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("w", np.arange(100.0), 1)
        writer.add_text("note", "words", 2)
    (tmp_path / "tb").mkdir()
    trainlog.convert(tmp_path / "run.flog", tmp_path / "tb" / "run.tfevents")
    histogram, text = events(trainlog.open(tmp_path / "tb" / "run.tfevents"))
    original, _ = events(trainlog.open(tmp_path / "run.flog"))
    assert {key: histogram[key] for key in original} == original
    assert (text["tag"], text["msg"]) == ("note", "words")
