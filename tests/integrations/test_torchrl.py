"""TorchRL's own logger of CSV and ours, called by the same lines."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import trainlog
from trainlog.media import media_file

pytestmark = pytest.mark.nightly


def test_the_log_has_the_values_of_the_csv_files(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    loggers = pytest.importorskip("torchrl.record.loggers.csv")
    from trainlog.integrations.torchrl import TrainlogLogger

    def train(logger: Any) -> None:
        logger.log_hparams({"lr": 0.1, "device": torch.device("cpu")})
        for step in range(5):
            logger.log_scalar("train/reward", torch.tensor(step / 3), step)
            logger.log_metrics({"train/loss": torch.tensor(1.0 / (step + 1)), "lr": 0.1}, step)

    own = loggers.CSVLogger("first", str(tmp_path / "csv"))
    ours = TrainlogLogger("first", tmp_path / "runs")
    for logger in (own, ours):
        train(logger)
    ours.log_video("view", torch.zeros((1, 2, 3, 4, 5), dtype=torch.uint8), 4)
    ours.log_histogram("weights", torch.arange(10.0), step=4)
    for logger in (own, ours):
        logger.close()
    log = trainlog.open(tmp_path / "runs" / "first" / "run.flog")
    table = log.table("stats")
    for name in ("train/reward", "train/loss", "lr"):
        with (tmp_path / "csv" / "first" / "scalars" / f"{name}.csv").open() as file:
            rows = [(int(step), float(value)) for step, value in csv.reader(file)]
        known = table.valid(name)
        found = list(zip(table["step"][known].tolist(), table[name][known].tolist(), strict=True))
        assert found == [(step, pytest.approx(value, rel=1e-6)) for step, value in rows]
    events = {frame.data["type"]: frame.data for frame in log.frames("event")}
    assert media_file(log.path, events["video"]).exists()
    assert events["histogram"]["num"] == 10
    assert "cpu" in repr([events.get("hparams"), dict(log.header.meta)])
    again = TrainlogLogger("first", tmp_path / "runs")
    again.log_scalar("train/reward", 1.0, 5)
    again.close()
    assert trainlog.open(log.path).table("stats")["step"].max() == 5
