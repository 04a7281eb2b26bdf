"""The API of Weights & Biases and of Trackio, for scripts that use it; nothing leaves the machine.

::

    import trainlog.integrations.wandb as wandb      # was: import wandb, or: import trackio as wandb

A run is the log ``runs/<project>/<name>.flog``. The configuration, including later changes, is its metadata; the values
set in the summary are ``summary`` in the metadata.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainlog import registry
from trainlog.codecs.plain_object import plain_object
from trainlog.errors import ClosedLog, LogExists, LogNotFound
from trainlog.integrations import NotKept, configuration, is_number, numbered
from trainlog.integrations.wandb_objects import Audio, Histogram, Html, Image, Table, Video, parted
from trainlog.media import MediaRecorder
from trainlog.model import EndState
from trainlog.opening import UNNAMED, recording_place
from trainlog.recorder import TrainingRecorder
from trainlog.run_end import ClosedByBlock, ending_of

__all__ = [
    "Artifact",
    "Audio",
    "Config",
    "Histogram",
    "Html",
    "Image",
    "Run",
    "Settings",
    "Summary",
    "Table",
    "Video",
    "alert",
    "define_metric",
    "finish",
    "init",
    "log",
    "log_artifact",
    "login",
    "save",
    "unwatch",
    "watch",
]

if TYPE_CHECKING:
    config: Config
    summary: Summary
    run: Run | None

_current: Run | None = None


class _Values(MutableMapping[str, Any]):
    """A map whose keys are also attributes, and whose changes are passed to the log."""

    def __init__(self, tell: Callable[[Mapping[str, Any]], object] | None, values: Mapping[str, Any]) -> None:
        vars(self).update(_tell=tell, _values=dict(values))

    def __getitem__(self, key: str) -> Any:
        return vars(self)["_values"][key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        del vars(self)["_values"][key]

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self)["_values"])

    def __len__(self) -> int:
        return len(vars(self)["_values"])

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"there is no {key!r} in the {type(self).__name__.lower()}") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __repr__(self) -> str:
        return repr(vars(self)["_values"])

    def update(self, values: Any = (), /, **more: Any) -> None:
        """Set several values, which are passed to the log at once. *allow_val_change* is not a value."""
        more.pop("allow_val_change", None)
        changed = {**_mapping(values), **more}
        if changed and vars(self)["_tell"] is not None:
            vars(self)["_tell"](changed)
        vars(self)["_values"].update(changed)

    def as_dict(self) -> dict[str, Any]:
        """A copy as a dict."""
        return dict(self)


class Config(_Values):
    """The configuration of a run: its metadata, including values that were set later."""


class Summary(_Values):
    """The last value of each logged number, and the values that were set, which are ``summary`` in the metadata."""

    def _logged(self, values: Mapping[str, Any]) -> None:
        vars(self)["_values"].update(values)


class Run(ClosedByBlock):
    """A run; created by `init`.

    Attributes:
        log_file: the path of its log; None for a disabled run.
        name, id, project, group, tags, notes: as they were given, or generated.
        config, summary: see `Config` and `Summary`.
        step: the step of the next frame.

    """

    def __init__(
        self,
        log: TrainingRecorder | None,
        facts: Mapping[str, Any],
        config: Mapping[str, Any],
        summary: Mapping[str, Any],
    ) -> None:
        self._log = log
        self.log_file = None if log is None else Path(log.path)
        self.dir = "" if self.log_file is None else str(self.log_file.parent)
        self.name: str = facts["name"]
        self.id: str = facts["id"]
        self.project: str = facts["project"]
        self.group, self.tags, self.notes = facts.get("group"), tuple(facts.get("tags") or ()), facts.get("notes")
        self.disabled = log is None
        self.url = None
        self.config = Config(None if log is None else log.update_metadata, config)
        self.summary = Summary(None if log is None else log.update_summary, summary)
        self.step = 0
        self.not_kept = NotKept()

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """Record *data* as a stats frame, at once.

        Args:
            data: numbers, text, arrays, or maps of these; images, videos, tables and the like become events. If *data*
                has a key ``step``, it is kept, and the step is stored as ``_step``.
            step: the step; by default one more than that of the previous call. A step below an earlier one is recorded
                as well.
            commit: whether the next call is at the next step; by default if *step* is not given.

        Raises:
            As `trainlog.TrainingRecorder.record_stats_frame`.

        """
        at = self.step if step is None else int(step)
        if self._log is not None:
            now = self._log.now()
            values, objects = parted(data, "")
            frame = {"_step": at, **values} if "step" in values else {"step": at, **values}
            if values or not objects:
                self._log.record_stats_frame(now, frame)
            for tag, one in objects:
                one.record(MediaRecorder(self._log), self._log, now, tag, at)
            self.summary._logged({key: value for key, value in values.items() if is_number(value)})
        self.step = max(self.step, at + (step is None if commit is None else commit))

    def alert(self, title: str, text: str = "", level: Any = "INFO", wait_duration: Any = None) -> None:
        """Record an event ``alert``; no message is sent."""
        if self._log is not None:
            self._log.record_event(None, "alert", {"title": title, "msg": text, "level": str(level), "step": self.step})

    def define_metric(self, *_: Any, **__: Any) -> None:
        """Not kept; warns once."""
        self.not_kept.say("what define_metric says", 4)

    def watch(self, *_: Any, **__: Any) -> None:
        """Not kept; warns once."""
        self.not_kept.say("what watch gives", 4)

    def unwatch(self, *_: Any) -> None:
        """Does nothing, because nothing is watched."""

    def save(self, *_: Any, **__: Any) -> None:
        """Not kept; warns once."""
        self.not_kept.say("the files that save names", 4)

    def log_artifact(self, *_: Any, **__: Any) -> None:
        """Not kept; warns once."""
        self.not_kept.say("the files of log_artifact", 4)

    def log_code(self, *_: Any, **__: Any) -> None:
        """Not kept; warns once."""
        self.not_kept.say("the files of log_code", 4)

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """Close the log; an *exit_code* other than 0 means that the run failed."""
        self.close(*(() if exit_code is None else ending_of(SystemExit(exit_code))))

    def close(self, state: EndState | None = None, reason: str = "") -> None:
        """Close the log; see `trainlog.TrainingRecorder.close`."""
        global _current
        if self._log is not None:
            self._log.close(state, reason)
        if _current is self:
            _current = None


def init(
    project: str | None = None,
    *,
    name: str | None = None,
    config: Any = None,
    dir: str | os.PathLike[str] | None = None,
    id: str | None = None,
    resume: Any = None,
    reinit: Any = None,
    mode: str | None = None,
    entity: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    tags: Sequence[str] | None = None,
    notes: str | None = None,
    **others: Any,
) -> Run:
    """Start a run, the log ``<dir>/<project>/<id or name>.flog``; a number is appended to a name that is taken.

    Args:
        project: the folder of its log; without it, the log is directly in *dir*.
        name: its name; the time and some letters by default.
        config: a map, a namespace or a dataclass: metadata of the log.
        dir: the folder of all runs; ``runs`` by default.
        id: names the log for *resume*.
        resume: ``allow``, ``auto`` or True continue the log of that id or name if it exists, with its configuration and
            summary, ``must`` requires it; ``never``, False and None start another.
        reinit: what happens to a run that was not finished: by default it is returned again; True and
            ``finish_previous`` finish it, ``create_new`` leaves it open.
        mode: ``disabled`` records nothing; all other modes are the same here.
        entity: metadata.
        group: metadata.
        job_type: metadata.
        tags: metadata.
        notes: metadata.
        **others: not kept; warns once.

    Raises:
        LogNotFound: when *resume* is ``must``, and there is no such log.
        TypeError: for a *config* that has no keys.
        As `trainlog.TrainingRecorder`.

    """
    global _current
    if _current is not None and reinit != "create_new":
        if reinit not in (True, "finish_previous"):
            return _current
        _current.finish()
    values = _mapping(config)
    stem = id or name or f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    given: dict[str, Any] = {"entity": entity, "group": group, "job_type": job_type, "notes": notes, "tags": tags}
    facts: dict[str, Any] = {"project": project or "", "name": name or stem, "id": stem}
    facts |= {key: value for key, value in given.items() if value is not None}
    log, step = None, 0
    before: dict[str, Any] = {}  # the metadata of a resumed log
    if mode != "disabled":
        folder = Path("runs" if dir is None else dir, *([_file_name(project)] if project else []))
        path = recording_place(folder / f"{_file_name(stem)}.flog").path
        if resume == "must" and not path.exists():
            raise LogNotFound("there is no run of this id or name to resume", path=path)
        is_resumed = resume in (True, "allow", "must", "auto")
        if is_resumed and path.exists():
            step, before = _next_step(path), {**registry.open(path).header.meta}
            facts["name"] = name or str(before.get("name", stem))
        log = _opened(path, {**facts, **values}, resume=is_resumed)
    summary = before.pop("summary", None)
    config = {key: one for key, one in before.items() if key not in (*facts, *given) and UNNAMED.get(key) != one}
    _current = Run(log, facts, {**config, **values}, summary if isinstance(summary, Mapping) else {})
    _current.step = step
    for key in others:
        _current.not_kept.say(f"what the argument {key} of init asks for")
    return _current


def _opened(path: Path, metadata: Mapping[str, Any], *, resume: bool) -> TrainingRecorder:
    if resume:
        return TrainingRecorder(path, metadata=metadata, resume=True)
    for free in numbered(path):
        with suppress(LogExists):
            return TrainingRecorder(free, metadata=metadata)
    raise AssertionError


def _next_step(path: Path) -> int:
    table = registry.open(path).table("stats")
    steps, own = (table.numbers(key) if key in table else np.full(table.rows, np.nan) for key in ("step", "_step"))
    steps = np.where(np.isfinite(own), own, steps)  # frames whose ``step`` is a key of the script
    return int(np.nanmax(steps)) + 1 if np.isfinite(steps).any() else 0


def _file_name(text: str) -> str:
    return text.replace("/", "-").replace("\\", "-").lstrip(".") or "run"


def _mapping(values: Any) -> Mapping[str, Any]:
    found = {} if values is None else values
    with suppress(TypeError, ValueError):
        found = dict(values) if isinstance(values, list | tuple) else found  # of pairs
        found = found if isinstance(found, Mapping) else plain_object(found)
    if not isinstance(found, Mapping):
        raise TypeError(f"a configuration is a map, a namespace or a dataclass, not {type(values).__name__}")
    return configuration(found)


def _run(call: str) -> Run:
    if _current is None:
        raise ClosedLog(f"there is no run: call init() before {call}")
    return _current


def log(data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
    """Record *data*; see `Run.log`.

    Raises:
        ClosedLog: before `init`, and after `finish`.

    """
    _run("log()").log(data, step, commit)


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """Close the log of the current run, if any; see `Run.finish`."""
    if _current is not None:
        _current.finish(exit_code)


def alert(title: str, text: str = "", level: Any = "INFO", wait_duration: Any = None) -> None:
    """Record an event; see `Run.alert`."""
    _run("alert()").alert(title, text, level)


def define_metric(*args: Any, **settings: Any) -> None:
    """Not kept; warns once."""
    _run("define_metric()").define_metric(*args, **settings)


def watch(*args: Any, **settings: Any) -> None:
    """Not kept; warns once."""
    _run("watch()").watch(*args, **settings)


def unwatch(*_: Any) -> None:
    """Does nothing, because nothing is watched."""


def save(*args: Any, **settings: Any) -> None:
    """Not kept; warns once."""
    _run("save()").save(*args, **settings)


def log_artifact(*args: Any, **settings: Any) -> None:
    """Not kept; warns once."""
    _run("log_artifact()").log_artifact(*args, **settings)


def login(*_: Any, **__: Any) -> bool:
    """Does nothing, because nothing leaves the machine."""
    return True


class Artifact:
    """Accepts the calls to an artifact, whose files are not kept; `log_artifact` warns about it."""

    def __init__(self, name: str, type: str, **_: Any) -> None:
        self.name, self.type = name, type

    def add_file(self, *_: Any, **__: Any) -> None:
        """Does nothing."""

    add_dir = add_reference = add = add_file


class Settings:
    """Accepts the settings of W&B, which have no effect here."""

    def __init__(self, **settings: Any) -> None:
        vars(self).update(settings)


if not TYPE_CHECKING:  # each init changes the run

    def __getattr__(name: str) -> Any:
        if name == "run":
            return _current
        if name in ("config", "summary"):
            return getattr(_run(name), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
