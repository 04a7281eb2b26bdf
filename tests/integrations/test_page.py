"""What docs/integrations.md shows is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text("utf-8")
EXAMPLES = {
    section.partition("\n")[0]: code
    for section in PAGE.split("\n## ")[1:]
    for code in re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
}
NEEDS = {
    "Stable-Baselines3": "stable_baselines3",
    "rsl_rl: Isaac Lab, mjlab": "rsl_rl",
    "skrl": "skrl",
    "Lightning": "pytorch_lightning",
    "Keras": "keras",
    "TorchRL": "torchrl",
    "Transformers": "transformers",
    "Ray Tune and Ray Train": "ray.tune",
}


SECTIONS = [pytest.param(one, marks=[pytest.mark.nightly] if one in NEEDS else []) for one in EXAMPLES]


@pytest.mark.parametrize("section", SECTIONS)
def test_an_example_runs_and_shows_what_it_logged(tmp_path: Path, section: str) -> None:
    if section in NEEDS and find_spec(NEEDS[section].partition(".")[0]) is None:
        pytest.skip(f"{NEEDS[section]} is not installed")
    task = "skrl_task.py" if section == "skrl" else "rsl_rl_task.py"
    shutil.copy(Path(__file__).parents[1] / task, tmp_path / "my_task.py")
    command = [sys.executable, "-c", EXAMPLES[section]]
    variables = {"KERAS_BACKEND": "jax", **os.environ}  # its default is another than the one that is installed
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=variables)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d", done.stdout)
    training = EXAMPLES[section].partition("\nimport trainlog\n")[0]
    assert len([line for line in training.splitlines() if line]) <= 10
