"""The API of MLflow Tracking, for scripts that use it; without a server, and nothing leaves the machine.

::

    import trainlog.integrations.mlflow as mlflow      # was: import mlflow

A run is the log ``runs/<experiment>/<run name or id>.flog``. Parameters are its configuration, and tags are ``tags`` in
that; see `trainlog.integrations.wandb`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Final, Self

from trainlog import registry
from trainlog.integrations import NotKept, wandb
from trainlog.media import MediaRecorder
from trainlog.recorder import TrainingRecorder
from trainlog.run_end import Ending

__all__ = [
    "ActiveRun",
    "active_run",
    "autolog",
    "end_run",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "set_experiment",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "start_run",
]

# By MLflow's names; every other name is a failure.
_ENDS: Final[Mapping[str, Ending]] = {"FINISHED": ("finished", ""), "KILLED": ("interrupted", "KILLED")}

_experiment = ""
_folder: Path | None = None
_runs: list[ActiveRun] = []
_not_kept = NotKept()


class ActiveRun:
    """A run, which ends with its ``with`` block, as failed if that raises.

    Attributes:
        info: ``run_id`` and ``run_name``, which name the log, and ``status``.
        tags: what `set_tags` set.
        run: the `trainlog.integrations.wandb.Run` that records it.

    """

    def __init__(self, run: wandb.Run) -> None:
        self.run = run
        self.tags: dict[str, Any] = {}
        id = run.id if run.log_file is None else run.log_file.stem  # has a number if the name was taken
        self.info = SimpleNamespace(run_id=id, run_name=run.name, status="RUNNING")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self in _runs:
            _runs.remove(self)
            self.info.status = "FINISHED" if kind is None else "FAILED"
            self.run.__exit__(kind, value, trace)


def set_tracking_uri(uri: str | os.PathLike[str]) -> None:
    """Set the folder of all runs, if *uri* is a folder or a ``file:`` URI; ``runs`` if it is that of a server."""
    global _folder
    text = os.fspath(uri).removeprefix("file://").removeprefix("file:")
    _folder = None if "://" in text or not text else Path(text)


def set_experiment(experiment_name: str | None = None, **_: Any) -> None:
    """Set the folder of the runs that are started from now on."""
    global _experiment
    _experiment = experiment_name or ""


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    **_: Any,
) -> ActiveRun:
    """Start a run, or continue the one with *run_id*.

    Raises:
        RuntimeError: when a run is active already, and this one is not *nested*.
        LogNotFound: when there is no run with that id.

    """
    if _runs and not nested:
        raise RuntimeError(f"run {_runs[-1].info.run_id} is active: call end_run(), or start_run(nested=True)")
    parent = {"parent": _runs[-1].info.run_id} if _runs else {}
    config = {**parent, **({"tags": dict(tags)} if tags and not run_id else {})}
    run = wandb.init(
        _experiment or None,
        name=run_name,
        id=run_id,
        resume="must" if run_id else None,
        config=config,
        dir=_folder,
        notes=description,
        reinit="create_new",
    )
    begun = ActiveRun(run)
    _runs.append(begun)
    if run_id and run.log_file is not None:
        before = registry.open(run.log_file).header.meta.get("tags")
        begun.tags.update(before if isinstance(before, Mapping) else {})
        if tags:
            set_tags(tags)
    else:
        begun.tags.update(tags or {})
    return begun


def active_run() -> ActiveRun | None:
    """The run that is being recorded, or None."""
    return _runs[-1] if _runs else None


def end_run(status: str = "FINISHED") -> None:
    """Record how the run ended and close its log, if there is a run; the one that it is nested in continues."""
    if _runs:
        ended = _runs.pop()
        ended.info.status = status
        ended.run.close(*_ENDS.get(status, ("failed", status)))


def _current() -> ActiveRun:
    return _runs[-1] if _runs else start_run()


class _File(wandb.Html):
    """A file, as bytes."""

    def record(self, media: MediaRecorder, log: TrainingRecorder, now: float, tag: str, step: int) -> None:
        """Record it as an event, and as a file next to the log."""
        media.file(now, "file", tag, self.data, Path(tag).suffix, step)


def log_metric(key: str, value: Any, step: int | None = None, timestamp: int | None = None, **_: Any) -> None:
    """Record a number at *step*, 0 by default; starts a run if there is none. The time is now."""
    log_metrics({key: value}, step)


def log_metrics(metrics: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
    """Record several numbers, as one frame."""
    _current().run.log(metrics, 0 if step is None else step, commit=False)


def log_param(key: str, value: Any, **_: Any) -> Any:
    """Record a parameter, which keeps its type, and return it."""
    log_params({key: value})
    return value


def log_params(params: Mapping[str, Any], **_: Any) -> None:
    """Record parameters."""
    _current().run.config.update(params)


def set_tag(key: str, value: Any, **_: Any) -> None:
    """Record a tag."""
    set_tags({key: value})


def set_tags(tags: Mapping[str, Any], **_: Any) -> None:
    """Record tags."""
    run = _current()
    run.tags.update(tags)
    run.run.config.update({"tags": run.tags})


def log_text(text: str, artifact_file: str, **_: Any) -> None:
    """Record a text as a file next to the log."""
    _current().run.log({artifact_file: _File(text.encode())}, 0, commit=False)


def log_dict(dictionary: Mapping[str, Any], artifact_file: str, **_: Any) -> None:
    """Record a map as a JSON file next to the log, whatever its suffix."""
    log_text(json.dumps(dictionary, indent=2, default=str), artifact_file)


def log_image(
    image: Any, artifact_file: str | None = None, key: str | None = None, step: int | None = None, **_: Any
) -> None:
    """Record an image: an array (H, W) or (H, W, C), or a Pillow image."""
    _current().run.log({key or artifact_file or "image": wandb.Image(image)}, step or 0, commit=False)


def log_figure(figure: Any, artifact_file: str, **_: Any) -> None:
    """Record a Matplotlib figure."""
    _current().run.log({artifact_file: figure}, 0, commit=False)


def log_table(data: Any, artifact_file: str, **_: Any) -> None:
    """Record a table, given as columns by name or a pandas DataFrame, as an event."""
    if hasattr(data, "columns"):
        table = wandb.Table(dataframe=data)
    else:
        columns = [one if isinstance(one, list | tuple) else [one] for one in data.values()]
        table = wandb.Table(list(data), zip(*columns, strict=True))
    _current().run.log({artifact_file: table}, 0, commit=False)


def log_artifact(local_path: Any, artifact_path: Any = None, **_: Any) -> None:
    """Not kept; warns once."""
    _not_kept.say("the files of log_artifact")


def log_artifacts(local_dir: Any, artifact_path: Any = None, **_: Any) -> None:
    """Not kept; warns once."""
    _not_kept.say("the files of log_artifacts")


def autolog(*_: Any, **__: Any) -> None:
    """Not kept; warns once. Other libraries are not watched."""
    _not_kept.say("what autolog finds")
