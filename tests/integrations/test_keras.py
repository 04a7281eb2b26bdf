"""Keras itself trains; the log has what its own CSV file has."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog

pytestmark = [
    pytest.mark.nightly,
    # Keras 3.15 makes an array of its learning rate as numpy 1 had it.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def model() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    made = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)], name="line")
    made.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return made


def data() -> tuple[Any, Any]:
    x = np.random.default_rng(0).normal(size=(64, 3))
    return x, x @ [[1.0], [2.0], [3.0]]


def test_the_log_has_the_values_of_the_csv_file(model: Any, tmp_path: Path) -> None:
    from keras.callbacks import CSVLogger

    from trainlog.integrations.keras import TrainlogCallback

    x, y = data()
    callbacks = [CSVLogger(str(tmp_path / "log.csv")), TrainlogCallback(tmp_path / "run.flog", task="line")]
    model.fit(x, y, batch_size=16, epochs=3, validation_split=0.25, callbacks=callbacks, verbose=0)
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    log = trainlog.open(tmp_path / "run.flog")
    frames = [dict(frame.data) for frame in log.frames("stats")]
    assert [frame.pop("step") for frame in frames] == [3, 6, 9]
    assert frames == rows
    assert set(frames[0]) == {"epoch", "loss", "mae", "val_loss", "val_mae"}
    meta = log.header.meta
    assert (meta["model"], meta["task"], meta["epochs"], meta["optimizer"]["name"]) == ("line", "line", 3, "adam")


def test_batches_and_a_second_training(model: Any, tmp_path: Path) -> None:
    from trainlog.integrations.keras import TrainlogCallback

    x, y = data()
    callback = TrainlogCallback(tmp_path / "run.flog", every=2)
    for epochs in (1, 2):
        model.fit(x, y, batch_size=16, epochs=epochs, callbacks=[callback], verbose=0)
    table = trainlog.open(tmp_path / "run.flog").table("stats")
    assert table["step"].tolist() == [2, 4, 4, 6, 8, 8, 10, 12, 12]
    assert np.isfinite(table["batch/loss"]).tolist() == [True, True, False] * 3
    with pytest.raises(ValueError, match="every is a number of batches"):
        TrainlogCallback(tmp_path / "b.flog", every=-1)


def test_a_step_that_runs_several_batches_counts_them_all(model: Any, tmp_path: Path) -> None:
    import keras

    from trainlog.integrations.keras import TrainlogCallback

    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch runs one batch at a time")
    several = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    several.compile("sgd", "mse", steps_per_execution=3)  # of four batches: three, and then one
    x, y = data()
    several.fit(x, y, batch_size=16, epochs=2, callbacks=[TrainlogCallback(tmp_path / "run.flog", every=2)], verbose=0)
    table = trainlog.open(tmp_path / "run.flog").table("stats")
    assert int(several.optimizer.iterations.value) == 8
    assert table["step"].tolist() == [3, 4, 4, 7, 8, 8]
    assert np.isfinite(table["batch/loss"]).tolist() == [True, True, False] * 2
