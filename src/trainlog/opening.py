"""How the log of a recorder is begun: new, in the place of another, resumed, or not at all."""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from trainlog import registry
from trainlog.codec import Writer
from trainlog.errors import DamagedLog, LogExists, LogNotFound, LogWriteWarning, UnknownFormat
from trainlog.model import Frame, Header, Kind
from trainlog.storage.append import set_aside

__all__ = ["Begun", "begin", "is_switched_off", "recording_path"]

# Schemes that are no folders; a Path has made one slash of the two.
_ADDRESS: Final = re.compile(r"(s3|s3a|gs|gcs|az|abfss?|adl|hdfs|hf|r2|https?|ftp|sftp|ssh|file):/{1,3}[^/]")


class Begun(NamedTuple):
    """A log that was begun.

    Attributes:
        writer: of the log.
        elapsed: seconds since the run began.
        meta: all metadata, where they are not those that were given: of a resumed log; else None.

    """

    writer: Writer
    elapsed: float = 0.0
    meta: Mapping[str, Any] | None = None


def is_switched_off() -> bool:
    """Whether the variable ``TRAINLOG_MODE`` says that nothing is to be recorded.

    Raises:
        ValueError: when it says something that has no meaning.

    """
    mode = os.environ.get("TRAINLOG_MODE", "")
    if mode.lower() not in ("", "on", "off"):
        raise ValueError(f"TRAINLOG_MODE is 'on' or 'off', not {mode!r}")
    return mode.lower() == "off"


def recording_path(path: str | os.PathLike[str]) -> Path:
    """Where a log is recorded at *path*: a relative path is below the folder that ``TRAINLOG_DIR`` names.

    Raises:
        ValueError: when *path* is the address of a bucket or a server.

    """
    if address := _ADDRESS.match(os.fspath(path)):
        raise ValueError(
            f"{os.fspath(path)!r} is an address of {address[1]}, and a log is written to a file: give a local path"
        )
    return Path(os.environ.get("TRAINLOG_DIR", ""), path)


def begin(path: Path, header: Header, *, overwrite: bool, resume: bool) -> Begun:
    """Begin the log at *path*; see `trainlog.TrainingRecorder`."""
    if not resume:
        return Begun(_created(path, header, overwrite=overwrite))
    while True:  # other processes may create, replace or remove it meanwhile
        size = _size(path)
        try:
            if size:
                return _resumed(path, header)
            return Begun(_created(path, header, overwrite=size == 0))
        except LogExists:
            if size == 0 or not path.is_file():
                raise
        except LogNotFound:
            pass
        except (DamagedLog, UnknownFormat) as error:
            if isinstance(error, UnknownFormat) and any(_head(path)):
                raise
            aside = set_aside(path)
            text = f"{path}: {error.message}; the file is {aside.name} now, and the log was begun anew"
            warnings.warn(LogWriteWarning(text), stacklevel=4)
            writer = _created(path, header)
            writer.write(Frame(0.0, Kind.EVENT, {"type": "begun_anew", "by": "trainlog", "msg": text}))
            return Begun(writer)


def _created(path: Path, header: Header, *, overwrite: bool = False) -> Writer:
    return registry.create(path, header.meta, phase=header.phase, run=header.run, overwrite=overwrite)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _head(path: Path) -> bytes:
    """The bytes with which the file begins; all zero where a power cut came before they were on the disk."""
    with path.open("rb") as file:
        return file.read(8)


def _resumed(path: Path, header: Header) -> Begun:
    old = registry.open(path).header.meta
    changed = {key: value for key, value in header.meta.items() if key != "shard" and str(value) != str(old.get(key))}
    note = {"metadata": changed} if changed else {}
    if len(header.run) > 1:
        note["run"] = _without_patch(header.run)
    writer = registry.resume(path, note=note)
    shard = old.get("shard")
    began = shard.get("began") if isinstance(shard, dict) else None
    elapsed = writer.resumed_at
    if "shard" in header.meta and isinstance(began, int | float):
        # The shards are merged by the time since each began: a pause counts, as it does for the others.
        elapsed = max(elapsed, time.time() - began)
    return Begun(writer, elapsed, old)


def _without_patch(run: Mapping[str, Any]) -> dict[str, Any]:
    git = {key: value for key, value in run.get("git", {}).items() if key != "patch"}
    return {**run, "git": git} if git else dict(run)
