"""``trainlog demo``: the example trainer."""

from __future__ import annotations

import runpy
import sys
from importlib import resources
from pathlib import Path

import click


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Train a MuJoCo agent with examples/train_mujoco.py, and record the run. Arguments are passed to that script."""
    previous = sys.argv
    sys.argv = ["trainlog demo", *arguments]
    try:
        with resources.as_file(resources.files("trainlog") / "examples" / "train_mujoco.py") as path:
            if not path.is_file():  # in a source checkout
                path = Path(__file__).parents[3] / "examples" / "train_mujoco.py"
            runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv = previous
