"""What the moment panel knows of a model, and the way to the 3-D page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mujoco")
pytest.importorskip("mjviser")

import trainlog
from mujoco_runs import MODELS, Run
from trainlog.conventions import SIMULATED_MODEL
from trainlog.model import Frame


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    log = Run(MODELS["half_cheetah"]()).record(tmp_path / "run.flog", 5)
    with trainlog.create(tmp_path / "broken.flog", {}) as writer:
        for frame in trainlog.open(log).frames():
            data = {**frame.data, "mjb": b"no model"} if frame.kind == SIMULATED_MODEL else frame.data
            writer.write(Frame(frame.time, frame.kind, data))
    with trainlog.TrainingRecorder(tmp_path / "plain.flog") as other:
        other.record_creature_frame(None, {"step": 1, "pos": [0.0] * 9})
    return tmp_path


def test_elements_have_names_and_units(serve: Callable[..., Any], folder: Path) -> None:
    site = serve(folder)
    frame = site.run("run.flog", "frame", kind="creature", row=2)
    names = ["rootx", "rootz", "rooty", "bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"]
    assert frame["elements"]["pos"] == {"names": names, "units": ["m", "m", *["rad"] * 7]}
    assert frame["elements"]["ctrl"]["names"] == names[3:]
    assert frame["has_model"] is True
    plain = site.run("plain.flog", "frame", kind="creature", row=0)
    assert (plain["elements"], plain["has_model"]) == ({}, False)


def test_the_link_leads_to_a_page_of_this_machine(serve: Callable[..., Any], folder: Path) -> None:
    site = serve(folder)
    path = f"/api/v1/runs/{site.id('run.flog')}/replay"
    answer = site.get(path, row=3)
    assert answer.status == 303
    assert answer.headers["location"].startswith("http://127.0.0.1:")
    assert site.get(path, row=4).headers["location"] == answer.headers["location"]


def test_another_site_may_not_start_it(serve: Callable[..., Any], folder: Path) -> None:
    site = serve(folder)
    answer = site.get(f"/api/v1/runs/{site.id('run.flog')}/replay", {"sec-fetch-site": "cross-site"})
    assert (answer.status, answer.json["error"]["code"]) == (403, "site")


@pytest.mark.parametrize(("name", "why"), [("broken.flog", "is damaged"), ("plain.flog", "the log holds no model")])
def test_what_cannot_be_shown_is_told(serve: Callable[..., Any], folder: Path, name: str, why: str) -> None:
    site = serve(folder)
    answer = site.get(f"/api/v1/runs/{site.id(name)}/replay")
    assert (answer.status, answer.json["error"]["code"]) == (422, "replay")
    assert why in answer.json["error"]["message"]
    assert str(folder) not in answer.json["error"]["message"]
