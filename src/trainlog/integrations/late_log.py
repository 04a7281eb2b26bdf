"""A log that is started when there is something to record, and can be continued after it was closed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from trainlog.integrations import configuration, settings_with
from trainlog.model import EndState
from trainlog.recorder import TrainingRecorder

__all__ = ["LateLog"]


class LateLog:
    """A recorder, or a path where the first use creates one, with the metadata that are known by then."""

    def __init__(self, log: str | os.PathLike[str] | TrainingRecorder, settings: Mapping[str, Any]) -> None:
        self._given = log
        self._settings = settings
        self._facts: Mapping[str, Any] = {}
        self._open = log if isinstance(log, TrainingRecorder) else None
        self._has_begun = self._open is not None

    def recorder(self) -> TrainingRecorder:
        """The open recorder."""
        if self._open is None:
            settings = settings_with(self._facts, self._settings, again=self._has_begun)
            self._open = TrainingRecorder(os.fspath(self._given), **settings)  # type: ignore[arg-type]
            self._has_begun = True
        return self._open

    def hyperparameters(self, values: Mapping[str, Any]) -> None:
        """Add metadata to the log, which may have been started; those of the settings precede them."""
        values = configuration(values)
        if not self._has_begun:
            self._facts = values
            self.recorder()
            return
        given = self._settings.get("metadata") or {}
        self.recorder().update_metadata({key: one for key, one in values.items() if key not in given})

    def close(self, state: EndState | None = None, reason: str = "") -> None:
        """Close the log, unless it was given as a recorder; see `trainlog.TrainingRecorder.close`."""
        if self._open is not None and self._open is not self._given:
            self._open.close(state, reason)
            self._open = None
