"""Transformers itself trains; the log has what its own ``log_history`` has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import trainlog

pytestmark = [pytest.mark.nightly, pytest.mark.filterwarnings("default")]


def test_the_log_has_the_values_of_the_trainers_state(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from trainlog.integrations.transformers import TrainlogCallback

    data = [{"input_ids": torch.tensor([1, 2, n % 8]), "labels": torch.tensor(n % 2)} for n in range(32)]
    sizes = dict.fromkeys(["vocab_size", "hidden_size", "intermediate_size"], 8)
    config = transformers.BertConfig(num_hidden_layers=1, num_attention_heads=1, **sizes)
    trainer = transformers.Trainer(
        transformers.BertForSequenceClassification(config),
        transformers.TrainingArguments(
            output_dir=str(tmp_path / "out"),
            logging_steps=1,
            num_train_epochs=2,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
            eval_strategy="epoch",
            save_strategy="epoch",
        ),
        train_dataset=data,
        eval_dataset=data[:8],
        callbacks=[TrainlogCallback(tmp_path / "run.flog", task="bert")],
    )
    trainer.train()
    trainer.evaluate()
    trainer.save_state()
    state = json.loads((tmp_path / "out" / "trainer_state.json").read_text())
    reader = trainlog.open(tmp_path / "run.flog")
    ours: list[dict[str, Any]] = [dict(frame.data) for frame in reader.frames("stats")]
    theirs = [{key: one for key, one in row.items() if key != "step"} for row in state["log_history"]]
    assert len(ours) > 8
    for own, other in zip(ours, state["log_history"], strict=True):
        assert own["step"] == other["step"]
        assert {key: own[key] for key in other} == other
    assert len(theirs) == len(ours)
    assert (reader.header.meta["task"], reader.header.meta["num_train_epochs"]) == ("bert", 2)
    events = [frame.data for frame in reader.frames("event")]
    assert [event["step"] for event in events if event["type"] == "checkpoint"] == [4, 8]
