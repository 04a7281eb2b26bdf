"""What scripts hold beside numbers and text is stored the same in frames and in metadata."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import math
import types
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from trainlog.errors import UnsupportedFrame


class Gait(enum.Enum):
    TROT = "trot"


class Mode(str, enum.Enum):  # noqa: UP042 - whose str() is not its value
    EVAL = "eval"


@dataclasses.dataclass
class Args:
    out: Path
    gait: Gait
    inner: Any = None


class Tensor:
    """The protocol of a tensor of PyTorch that requires a gradient and lies on a device."""

    def __init__(self, values: Any, ready: bool = False) -> None:
        self.values, self.ready = values, ready

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return Tensor(self.values, ready=True)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if not self.ready:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        return np.array(self.values)


ZONE = datetime.timezone(datetime.timedelta(hours=2))
CASES: list[tuple[Any, Any]] = [
    (Path("runs/a"), "runs/a"),
    (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=ZONE), "2026-01-02T03:04:05+02:00"),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.time(3, 4), "03:04:00"),
    (datetime.timedelta(seconds=90), 90.0),
    (Gait.TROT, "trot"),
    (Mode.EVAL, "eval"),
    (Args(Path("a"), Gait.TROT, Args(Path("b"), Gait.TROT)), None),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset(["a", 1]), ["a", 1]),
    (argparse.Namespace(lr=0.1, out=Path("a")), {"lr": 0.1, "out": "a"}),
    (types.SimpleNamespace(a={1}), {"a": [1]}),
    (uuid.UUID(int=1), str(uuid.UUID(int=1))),
    (np.dtype("f4"), "float32"),
    (Tensor([1.0, 2.0]), [1.0, 2.0]),
    (decimal.Decimal("0.1"), 0.1),
    (decimal.Decimal("Infinity"), math.inf),
    (fractions.Fraction(1, 4), 0.25),
    (1 + 2j, [1.0, 2.0]),
    (np.complex128(1 + 2j), [1.0, 2.0]),
    (np.longdouble(0.5), 0.5),
    (np.datetime64(1, "ns"), 1e-9),
    (np.ma.array([1, 2], mask=[False, True]), [1, None]),
    (np.array([(1, 0.5)], [("a", "i4"), ("b", "f8")]), [{"a": 1, "b": 0.5}]),
    (range(3, -1, -2), [3, 1]),
    (range(-(10**30)), []),
    (collections.deque([1, Path("a")], maxlen=2), [1, "a"]),
    ({"a": 1}.values(), [1]),
    ({"a": 1}.keys(), ["a"]),
    (types.MappingProxyType({"a": {1}}), {"a": [1]}),
    ([Gait.TROT, {Path("a")}], ["trot", ["a"]]),
]
CASES[7] = (CASES[7][0], {"out": "a", "gait": "trot", "inner": {"out": "b", "gait": "trot", "inner": None}})


@pytest.mark.parametrize(("value", "expected"), CASES, ids=[type(value).__name__ for value, _ in CASES])
def test_frames_and_metadata_hold_the_same(tmp_path: Path, value: Any, expected: Any) -> None:
    with trainlog.TrainingRecorder(tmp_path / "run.flog", metadata={"value": value}) as log:
        log.record_stats_frame(0, {"value": value, "array": np.zeros(2)})
    reader = trainlog.open(tmp_path / "run.flog")
    (frame,) = reader.frames()
    assert frame.data["value"] == expected
    assert reader.header.meta["value"] == expected


def test_real_tensors(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    values = {
        "grad": torch.tensor([1.5, 2.5], requires_grad=True),
        "bf16": torch.tensor([1.5, -2.0], dtype=torch.bfloat16, requires_grad=True),
        "one": torch.tensor(3),
        "parameter": torch.nn.Parameter(torch.ones(1, 2)),
    }
    with trainlog.TrainingRecorder(tmp_path / "run.flog", metadata=values) as log:
        log.record_stats_frame(0, values)
    reader = trainlog.open(tmp_path / "run.flog")
    expected = {"grad": [1.5, 2.5], "bf16": [1.5, -2.0], "one": 3, "parameter": [[1.0, 1.0]]}
    assert next(reader.frames()).data == expected
    assert {key: reader.header.meta[key] for key in values} == expected


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_tensors_that_numpy_does_not_take(tmp_path: Path) -> None:
    """Those whose numbers stand elsewhere are stored; of those that have none, one sentence says so."""
    torch = pytest.importorskip("torch")
    pair = torch.tensor([1 + 2j, 3 - 4j])
    values = {
        "conjugate": pair.conj(),
        "negative": pair.conj().imag,
        "sparse": torch.tensor([[0.0, 2.0], [0.0, 0.0]]).to_sparse(),
        "rows": torch.eye(2).to_sparse_csr(),
        "dtype": torch.bfloat16,
        "device": torch.device("cpu"),
        "shape": torch.Size([2, 3]),
    }
    with trainlog.TrainingRecorder(tmp_path / "run.flog", metadata=values) as log:
        log.record_stats_frame(0, values)
        log.update_metadata({"late": pair.conj()})
        for none, why in [
            (torch.zeros(2, device="meta"), "no array"),
            (torch.sparse_coo_tensor([[0], [0]], [1.0], (10**6, 10**6), check_invariants=True), "1,000,000,000,000 n"),
        ]:
            with pytest.raises(UnsupportedFrame, match=why):
                log.record_stats_frame(0, {"value": none})
            with pytest.raises(UnsupportedFrame, match=why):
                log.update_metadata({"value": none})
    reader = trainlog.open(tmp_path / "run.flog")
    expected = {
        "conjugate": [[1.0, -2.0], [3.0, 4.0]],
        "negative": [-2.0, 4.0],
        "sparse": [[0.0, 2.0], [0.0, 0.0]],
        "rows": [[1.0, 0.0], [0.0, 1.0]],
        "dtype": "torch.bfloat16",
        "device": "cpu",
        "shape": [2, 3],
    }
    (frame,) = reader.frames("stats")
    assert frame.data == expected
    assert {key: reader.header.meta[key] for key in values} == expected
    assert reader.header.meta["late"] == expected["conjugate"]


def test_bfloat16_of_jax(tmp_path: Path) -> None:
    """JAX gives numpy arrays of the dtypes of ml_dtypes."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    with trainlog.TrainingRecorder(tmp_path / "run.flog", metadata={"a": array}) as log:
        log.record_stats_frame(0, {"a": array, "one": array[0]})
    reader = trainlog.open(tmp_path / "run.flog")
    assert next(reader.frames()).data == {"a": [1.5, -2.0], "one": 1.5}
    assert reader.header.meta["a"] == [1.5, -2.0]


def test_small_whole_numbers_of_jax_are_whole(tmp_path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        log.record_stats_frame(0, {"a": np.array([1, -2], ml_dtypes.int4), "one": ml_dtypes.uint4(15)})
    assert trainlog.open(tmp_path / "run.flog").table("stats")["a"].dtype == np.int64
    assert trainlog.open(tmp_path / "run.flog").table("stats")["one"].tolist() == [15]


def test_a_tracer_is_refused_by_one_line(tmp_path: Path) -> None:
    class Tracer:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise RuntimeError("a traced array has no numbers\nThe error occurred while tracing the function f")

    with (
        trainlog.TrainingRecorder(tmp_path / "run.flog") as log,
        pytest.raises(UnsupportedFrame, match=r"^[^\n]*no numbers\)$"),
    ):
        log.record_stats_frame(0, {"loss": Tracer()})


def test_arrays_of_jax(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    values = {
        "bf16": jax.numpy.array([1.5, -2.0], jax.numpy.bfloat16),
        "one": jax.numpy.float32(0.5),
        "matrix": jax.numpy.arange(4).reshape(2, 2),
        "dtype": jax.numpy.zeros(1).dtype,
    }
    with trainlog.TrainingRecorder(tmp_path / "run.flog", metadata=values) as log:
        log.record_stats_frame(0, values)
        for record in (lambda one: log.record_stats_frame(0, one), log.update_metadata):
            with pytest.raises(UnsupportedFrame, match="no array"):
                record({"key": jax.random.key(0)})
    reader = trainlog.open(tmp_path / "run.flog")
    expected = {"bf16": [1.5, -2.0], "one": 0.5, "matrix": [[0, 1], [2, 3]], "dtype": "float32"}
    (frame,) = reader.frames("stats")
    assert frame.data == expected
    assert {key: reader.header.meta[key] for key in values} == expected


def test_a_dataclass_that_holds_itself_is_refused(tmp_path: Path) -> None:
    args = Args(Path("a"), Gait.TROT)
    args.inner = args
    with (
        trainlog.TrainingRecorder(tmp_path / "run.flog") as log,
        pytest.raises(UnsupportedFrame, match="nested deeper"),
    ):
        log.record_stats_frame(0, {"args": args})


def test_a_dataclass_without_one_of_its_values_is_refused(tmp_path: Path) -> None:
    empty = Args.__new__(Args)
    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        for record in (lambda one: log.record_stats_frame(0, one), log.update_metadata):
            with pytest.raises(UnsupportedFrame, match="a field of it was never set"):
                record({"args": empty})
