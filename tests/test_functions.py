"""What an agent has learned, as arrays and as pictures."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import by_hand_simion as by_hand
import trainlog
from handmade import Flog
from trainlog import Frame, Kind
from trainlog.cli import main
from trainlog.errors import DamagedLogWarning, EmptyLog
from trainlog.functions import LearnedFunction, draw_function, function_axes, learned_functions

RUBBISH = b"V(x,u)\0RV\0\0what the memory held"


def learned(folder: Path) -> Path:
    values = np.arange(12.0)
    data = by_hand.experiment() + by_hand.episode_of([(1.0, 2.0)])
    functions = by_hand.functions(3)
    functions += by_hand.declaration(0, RUBBISH, (3, 2, 1)) + by_hand.declaration(1, b"V(x,u)\0", (2, 1, 1))
    functions += by_hand.declaration(2, b"deep\0", (3, 2, 2))
    for i in range(4):
        functions += by_hand.sample(values[:6] - 3 * i, number=0, episode=i // 2, step=1, total=1 + 100 * i)
        functions += by_hand.sample(values[:2], number=1, episode=i // 2, step=1, total=1 + 100 * i)
    functions += by_hand.sample(values, number=2)
    text = by_hand.descriptor([("State", "x"), ("Action", "u")])
    return by_hand.log(folder, data, text, functions)


@pytest.mark.parametrize(("name", "depth"), [("V(x,u,speed)", "speed"), ("deep", "z")])
def test_the_caption_says_which_layer_is_drawn(name: str, depth: str) -> None:
    zeros = np.zeros(1, np.int64)
    axes = function_axes(name, ())
    function = LearnedFunction(name, np.arange(12.0).reshape(1, 2, 2, 3), zeros, zeros, zeros + 1, axes)
    assert function.figure().caption == f"sample 1 of 1, after 0 steps; {depth}: layer 1 of 2"


@pytest.mark.parametrize("suffix", ["", ".bin", ".functions", "flog"])
def test_functions_are_arrays(tmp_path: Path, suffix: str) -> None:
    path = learned(tmp_path)
    if suffix == "flog":
        path = trainlog.convert(path, tmp_path / "a.flog").target
    else:
        path = path.with_name(path.name + suffix)
    functions = learned_functions(trainlog.open(path))
    assert list(functions) == ["V(x,u)", "V(x,u)#2", "deep"]
    first = functions["V(x,u)"]
    assert (first.name, first.samples, first.values.shape) == ("V(x,u)", 4, (4, 2, 3))
    assert first.values[0].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert first.episode.tolist() == [0, 0, 1, 1]
    assert first.step.tolist() == [1, 1, 1, 1]
    assert first.experiment_step.tolist() == [1, 101, 201, 301]
    assert [(axis.name, axis.role, axis.low) for axis in first.axes] == [("x", "state", -3.14), ("u", "action", -3.14)]
    assert functions["V(x,u)#2"].values.shape == (4, 1, 2)
    assert functions["deep"].values.shape == (1, 2, 2, 3)


@pytest.mark.parametrize("names", [[b"V", b"V", b"V#2"], [b"V#2", b"V", b"V"], [b"V", b"V#2", b"V", b"V"]])
def test_a_name_that_looks_numbered_hides_no_function(tmp_path: Path, names: list[bytes]) -> None:
    functions = by_hand.functions(len(names))
    functions += b"".join(by_hand.declaration(i, name + b"\0", (2, 1, 1)) for i, name in enumerate(names))
    functions += b"".join(by_hand.sample(np.full(2, float(i)), number=i) for i in range(len(names)))
    path = by_hand.log(tmp_path, by_hand.experiment(), by_hand.descriptor([("State", "x")]), functions)
    found = learned_functions(trainlog.open(path))
    assert [one.values[0, 0, 0] for one in found.values()] == [*range(len(names))]
    assert [*found] == [one.name for one in found.values()]


def test_bytes_after_the_name_are_kept_and_not_shown(tmp_path: Path) -> None:
    path = learned(tmp_path)
    trainlog.convert(path, tmp_path / "a.flog")
    back = trainlog.convert(tmp_path / "a.flog", tmp_path / "back" / path.name).target
    assert not any("memory" in str(frame.data) for frame in trainlog.open(path).frames("event"))
    copy = back.with_name(back.name + ".functions").read_bytes()
    assert b"what the memory held" in copy
    assert copy == path.with_name(path.name + ".functions").read_bytes()


def test_cuts_of_a_function_log(tmp_path: Path) -> None:
    path = learned(tmp_path)
    file = path.with_name(path.name + ".functions")
    whole = file.read_bytes()
    expected = [frame.data for frame in trainlog.open(path).frames("event") if "values" in frame.data]
    for cut in [*range(0, 600, 7), *range(600, len(whole), 29)]:
        file.write_bytes(whole[:cut])
        log = trainlog.open(path)
        found = [frame.data for frame in log.frames("event") if "values" in frame.data]
        assert found == expected[: len(found)]
        trainlog.convert(log, tmp_path / "a.flog", overwrite=True)
        back = trainlog.convert(tmp_path / "a.flog", tmp_path / "back" / path.name, overwrite=True)
        assert not back.losses
        assert back.target.with_name(file.name).read_bytes() == whole[:cut]


@pytest.mark.parametrize(
    ("functions", "why"),
    [
        (b"x" * 100, "not a function log"),
        (by_hand.words(4321, 2, 1, size=3), "a function log of version 2; only 1 is known"),
        (by_hand.functions() + b"x" * 168, "expected the declaration of a function"),
        (by_hand.functions() + by_hand.declaration(shape=(2**40, 2**40, 1)), "the most possible is"),
        (by_hand.functions() + by_hand.declaration(shape=(-1, 1, 1)), "the most possible is"),
    ],
)
def test_functions_that_cannot_be_read_leave_the_steps(tmp_path: Path, functions: bytes, why: str) -> None:
    data = by_hand.experiment() + by_hand.episode_of([(1.0, 2.0)])
    path = by_hand.log(tmp_path, data, learned=functions)
    with pytest.warns(DamagedLogWarning, match=why):
        log = trainlog.open(path)
    assert learned_functions(log) == {}
    assert log.table("creature").rows == 1
    done = trainlog.convert(log, tmp_path / "a.flog")
    assert list(done.losses) == [
        f"{len(functions)} bytes that are not a record, from byte 0 to {len(functions)} of a.simion.log.functions"
    ]
    with pytest.raises(trainlog.TrainlogError, match=why):
        trainlog.open(path.with_name(path.name + ".functions"), codec="simion")


def test_a_claimed_count_is_not_believed(tmp_path: Path) -> None:
    for count in (2**60, -1, 0):
        functions = by_hand.functions(count) + by_hand.declaration()
        path = by_hand.log(tmp_path, by_hand.experiment(), learned=functions, name=f"a{count}")
        log = trainlog.open(path)
        assert learned_functions(log) == {}
        assert [gap.file for gap in log.summary().gaps] == ([] if count == 2**60 else [f"{path.name}.functions"])


def test_pictures(tmp_path: Path) -> None:
    functions = learned_functions(trainlog.open(learned(tmp_path)))
    for name, function in functions.items():
        svg, png, gif = draw_function(function, tmp_path / "out", width=320, height=240)
        root = ElementTree.fromstring(svg.read_text(encoding="utf-8"))
        assert root.get("width") == "320"
        assert function.name in svg.read_text(encoding="utf-8")
        with Image.open(png) as picture, Image.open(gif) as animation:
            assert picture.size == (640, 480)
            assert 1 <= animation.n_frames <= function.samples, name
    assert len(list((tmp_path / "out").iterdir())) == 9


def test_functions_whose_names_differ_by_a_sign_have_their_own_files(tmp_path: Path) -> None:
    functions = by_hand.functions(2)
    for n, name in enumerate((b"V(x,u)\0", b"V(x u)\0")):
        functions += by_hand.declaration(n, name, (2, 1, 1))
    for n in range(2):
        functions += by_hand.sample(np.arange(2.0) + n, number=n, episode=0, step=1, total=1)
    log = by_hand.log(tmp_path, by_hand.experiment() + by_hand.episode_of([(1.0, 2.0)]), learned=functions)
    with pytest.raises(SystemExit) as ended:
        main(["plot", str(log), "--function", "all", "-o", str(tmp_path / "out")])
    assert ended.value.code == 0
    assert len(list((tmp_path / "out").iterdir())) == 6


def test_all_samples_have_one_scale_and_zero_is_in_the_middle(tmp_path: Path) -> None:
    function = learned_functions(trainlog.open(learned(tmp_path)))["V(x,u)"]
    for i in range(function.samples):
        figure = function.figure(i)
        assert figure.value_range == (-9.0, 9.0)
        assert figure.color_map == "diverging"
        assert figure.caption == f"sample {i + 1} of 4, after {100 * i} steps"
    # The samples were taken from one end of the range to the other: they are in the middle of their cells.
    assert figure.x_range == pytest.approx((-3.14 - 1.57, 3.14 + 1.57))
    assert (figure.x_label, figure.y_label, figure.x_unit) == ("x", "u", "m")


@pytest.mark.parametrize("values", [np.full((2, 3, 3), np.nan), np.zeros((2, 3, 3)), np.full((1, 1, 4), -1.5)])
def test_odd_values_make_pictures(tmp_path: Path, values: np.ndarray) -> None:
    counts = np.arange(len(values))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = draw_function(LearnedFunction("f[1]/x", values, counts, counts, counts), tmp_path)
    assert [path.name for path in paths] == ["f_1_x.svg", "f_1_x.png", "f_1_x.gif"]


def test_a_function_without_values(tmp_path: Path) -> None:
    none = np.empty(0, np.int64)
    with pytest.raises(EmptyLog, match="'f' has no values"):
        draw_function(LearnedFunction("f", np.empty((0, 2, 2)), none, none, none), tmp_path)


def test_functions_of_another_trainer(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "a.flog") as log:
        for i in range(3):
            data = {"type": "function_sample", "function": "q", "shape": [1, 2, 2], "values": [i] * 4}
            log.write(Frame(i, Kind.EVENT, data))
        log.write(Frame(9, Kind.EVENT, {"type": "function_sample"}))
    (function,) = learned_functions(trainlog.open(tmp_path / "a.flog")).values()
    assert function.values.tolist() == [[[i, i], [i, i]] for i in range(3)]
    assert function.axes == ()


def test_a_shape_of_fewer_axes(tmp_path: Path) -> None:
    with trainlog.create(tmp_path / "a.flog") as log:
        for name, shape in (("curve", [4]), ("map", [2, 2])):
            data = {"type": "function_sample", "function": name, "shape": shape, "values": [1.0, 2.0, 3.0, 4.0]}
            log.write(Frame(0.0, Kind.EVENT, data))
    curve, plane = learned_functions(trainlog.open(tmp_path / "a.flog")).values()
    assert (curve.values.tolist(), plane.values.tolist()) == ([[[1, 2, 3, 4]]], [[[1, 2], [3, 4]]])
    assert len(draw_function(curve, tmp_path)) == len(draw_function(plane, tmp_path)) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [1, 2**31, 2**31]},
        {"shape": "odd"},
        {"shape": [1, 2, 3, 4]},
        {"shape": [1, 1, 2, 2]},
        {"values": ["x"] * 4},
        {"values": None},
        {"id": [1]},
        {"step": "x"},
        {"episode": 2**80},
    ],
    ids=str,
)
def test_a_sample_without_a_grid_of_values_is_left_out(tmp_path: Path, change: dict[str, Any]) -> None:
    sample = {
        "type": "function_sample",
        "function": "f(a)",
        "shape": [1, 2, 2],
        "values": [1.0, 2.0, 3.0, 4.0],
        "step": 5,
    }
    path = tmp_path / "a.flog"
    odd = json.dumps({**sample, **change}).encode()
    path.write_bytes(Flog.header() + Flog.frame(0.0, 3, sample) + Flog.frame(1.0, 3, odd) + Flog.frame(2.0, 3, sample))
    with pytest.warns(DamagedLogWarning, match="the sample of a function at 1.0 s has no grid of values"):
        functions = learned_functions(trainlog.open(path))
    assert functions["f(a)"].values.tolist() == [[[1.0, 2.0], [3.0, 4.0]]] * 2
    assert functions["f(a)"].step.tolist() == [5, 5]
