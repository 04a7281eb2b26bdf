"""skrl, from version 2 on, whose agents create their own writer.

::

    from trainlog.integrations.skrl import record_agents

    record_agents()     # before training an agent
"""

from __future__ import annotations

import os
import sys
from typing import Any

from trainlog.errors import MissingExtra
from trainlog.integrations import torch as tensorboard

try:
    from skrl.utils import tensorboard as library
except ImportError as error:
    raise MissingExtra(f'this needs skrl from version 2 on: pip install "trainlog[skrl]" ({error})') from error

__all__ = ["TrainlogWriter", "record_agents"]


_settings: dict[str, Any] = {}  # the arguments of `record_agents`


class TrainlogWriter(tensorboard.SummaryWriter):
    """Writes ``<log_dir>/run.flog`` with the API of skrl's own writer; the numbers of a step are one frame each."""

    def __init__(self, log_dir: str | os.PathLike[str], *, queue_size: int = 10, flush_seconds: int = 120) -> None:
        """Create or continue the log; the other arguments are ignored, because nothing is buffered."""
        super().__init__(log_dir, **_settings)

    def add_scalar(self, tag: str, value: Any, timestep: int) -> None:  # type: ignore[override]
        """Record a number; raises as `trainlog.integrations.torch.SummaryWriter.add_scalar`."""
        super().add_scalar(tag, value, timestep)


def record_agents(**settings: Any) -> None:
    """Make agents that are trained from now on write ``run.flog`` in their experiment's folder, not an event file.

    Args:
        **settings: arguments of `trainlog.TrainingRecorder`.

    """
    _settings.clear()
    _settings.update(settings)
    theirs = library.SummaryWriter
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "skrl"]
    for module in modules:  # the modules of agents import it by that name
        if getattr(module, "SummaryWriter", None) is theirs:
            module.SummaryWriter = TrainlogWriter  # type: ignore[attr-defined]
