"""Lightning itself trains; the log has what its own CSV file has."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from trainlog.media import media_file

pytestmark = [pytest.mark.nightly, pytest.mark.filterwarnings("default")]  # Lightning warns of small data sets


@pytest.fixture(scope="module")
def lightning() -> Any:
    pytest.importorskip("torch")
    return pytest.importorskip("pytorch_lightning")


def trainer(lightning: Any, folder: Path, *loggers: Any) -> Any:
    return lightning.Trainer(
        default_root_dir=folder,
        logger=list(loggers),
        max_epochs=2,
        log_every_n_steps=1,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def model(lightning: Any) -> tuple[Any, Any]:
    from pytorch_lightning.demos.boring_classes import DemoModel, RandomDataset
    from torch.utils.data import DataLoader

    class Model(DemoModel):  # type: ignore[misc]
        def __init__(self, lr: float = 0.1, out: Path = Path("models")) -> None:
            super().__init__()
            self.save_hyperparameters()

        def training_step(self, batch: Any, index: int) -> Any:
            loss = self(batch).square().mean()
            self.log("loss", loss)
            self.log("each", loss * 2, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", self(batch).mean())

    return Model(), DataLoader(RandomDataset(32, 64), batch_size=16)


def merged(rows: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for row in rows:
        found.setdefault(int(row["step"]), {}).update({key: float(one) for key, one in row.items() if one != ""})
    return found


def test_the_log_has_the_values_of_the_csv_file(lightning: Any, tmp_path: Path) -> None:
    from pytorch_lightning.loggers import CSVLogger

    from trainlog.integrations.lightning import TrainlogLogger

    ours, theirs = TrainlogLogger(tmp_path / "run.flog"), CSVLogger(tmp_path, "csv")
    module, loader = model(lightning)
    trainer(lightning, tmp_path, ours, theirs).fit(module, loader, loader)
    with open(tmp_path / "csv" / "version_0" / "metrics.csv", newline="") as file:
        rows = merged(list(csv.DictReader(file)))
    reader = trainlog.open(tmp_path / "run.flog")
    found = merged([dict(frame.data) for frame in reader.frames("stats")])
    assert len(rows) > 6
    assert found == rows
    assert (reader.header.meta["lr"], reader.header.meta["out"]) == (0.1, "models")
    assert (reader.end is not None and reader.end.state) == "finished"


def test_the_log_goes_on_with_a_test_and_checkpoints_stand_beside_it(lightning: Any, tmp_path: Path) -> None:
    from trainlog.integrations.lightning import TrainlogLogger

    logger = TrainlogLogger(tmp_path / "run.flog")
    module, loader = model(lightning)
    run = trainer(lightning, tmp_path, logger)
    run.fit(module, loader)
    run.validate(module, loader, verbose=False)
    table = trainlog.open(tmp_path / "run.flog").table("stats")
    assert np.isfinite(table["val_loss"]).sum() == 1
    assert list((tmp_path / "run").rglob("*.ckpt"))


def test_hyperparameters_that_arrive_late(lightning: Any, tmp_path: Path) -> None:
    from trainlog.integrations.lightning import TrainlogLogger

    logger = TrainlogLogger(tmp_path / "run.flog", task="digits")
    logger.log_hyperparams(argparse.Namespace(lr=0.1))
    logger.log_metrics({"loss": 0.5}, step=1)
    logger.log_hyperparams({"seed": 3})
    logger.experiment.record_creature_frame(None, {"x": 1})
    logger.media.image(None, "digits", np.zeros((2, 2)), axes="HW", step=1)
    logger.finalize("failed")
    reader = trainlog.open(tmp_path / "run.flog")
    assert (reader.header.meta["task"], reader.header.meta["lr"]) == ("digits", 0.1)
    assert reader.table("creature")["x"].tolist() == [1]
    (image,) = (frame.data for frame in reader.frames("event"))
    assert reader.header.meta["seed"] == 3
    assert media_file(reader.path, image).exists()
    assert (reader.end is not None and reader.end.state) == "failed"


def test_a_recorder_that_is_given_stays_open(lightning: Any, tmp_path: Path) -> None:
    from trainlog.integrations.lightning import TrainlogLogger

    with trainlog.TrainingRecorder(tmp_path / "run.flog") as log:
        logger = TrainlogLogger(log)
        logger.log_metrics({"loss": 1.0}, step=1)
        logger.finalize("success")
        log.record_stats_frame(None, {"loss": 2.0})
    assert trainlog.open(tmp_path / "run.flog").table("stats")["loss"].tolist() == [1, 2]
