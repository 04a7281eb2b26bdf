"""How the log of a recorder is begun: new, in the place of another, resumed, or not at all."""

from __future__ import annotations

import operator
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex

from trainlog import registry
from trainlog.codec import Writer
from trainlog.codecs.frame_payload import storable
from trainlog.errors import DamagedLog, LogExists, LogNotFound, LogWriteError, LogWriteWarning, UnknownFormat
from trainlog.model import Frame, Header, Kind
from trainlog.storage.append import set_aside
from trainlog.storage.location import is_folder, is_url, local_path, written_path
from trainlog.storage.source import Source

if TYPE_CHECKING:
    from trainlog.writers.uploading import UploadingWriter

__all__ = ["OpenedLog", "RecordingPlace", "begin", "is_switched_off", "rank_of", "recording_place"]


class OpenedLog(NamedTuple):
    """A log that was opened for writing.

    Attributes:
        writer: of the log.
        elapsed: seconds since the run began.
        meta: all metadata, where they are not those that were given: of a resumed log; else None.
        uploader: the same writer, where it uploads the log; else None.

    """

    writer: Writer
    elapsed: float = 0.0
    meta: Mapping[str, Any] | None = None
    uploader: UploadingWriter | None = None


def is_switched_off() -> bool:
    """Whether the variable ``TRAINLOG_MODE`` says that nothing is to be recorded.

    Raises:
        ValueError: when it says something that has no meaning.

    """
    mode = os.environ.get("TRAINLOG_MODE", "")
    if mode.lower() not in ("", "on", "off"):
        raise ValueError(f"TRAINLOG_MODE is 'on' or 'off', not {mode!r}")
    return mode.lower() == "off"


class RecordingPlace(NamedTuple):
    """Where a log is recorded.

    Attributes:
        path: the file.
        url: where it is uploaded to; None for nowhere.

    """

    path: Path
    url: str | None = None


def recording_place(
    path: str | os.PathLike[str], local: str | os.PathLike[str] | None = None, shard: int | None = None
) -> RecordingPlace:
    """Where a log is recorded at *path*: a relative path is below the folder that ``TRAINLOG_DIR`` names.

    It is made absolute, as a program may change its working folder.

    Args:
        path: a file or a URL; of the log of several processes a folder.
        local: the file of a log at a URL.
        shard: the rank of this process among several.

    Raises:
        CodecError: when *path* was a URL until a `Path` was made of it.
        ValueError, TypeError: when *local* is given and *path* is no URL, and for a *shard* that is no rank.
        UnknownFormat: when *path* is a URL that cannot be written to.

    """
    url = str(path) if is_url(path) else None
    if local is not None and url is None:
        raise ValueError(f"local is the local file of a log at a URL, and {os.fspath(path)!r} is none")
    if url is None:
        place: Path | None = written_path(Path(os.environ.get("TRAINLOG_DIR", ""), local_path(path)))
    else:
        place = None if local is None else written_path(local)
    if shard is not None:
        name = f"{rank_of(shard)}{Path(path).suffix}"
        url, place = url and f"{url}/{name}", place and place / name
    if place is None:
        from trainlog.writers.uploading import local_file

        place = local_file(str(url))
    return RecordingPlace(place, url)


def rank_of(shard: object) -> int:
    """The rank of a process that *shard* is.

    Raises:
        TypeError, ValueError: when it is no whole number from 0 on.

    """
    why = f"shard is the rank of this process among several, a whole number from 0 on, not {shard!r}"
    if isinstance(shard, bool) or not isinstance(shard, SupportsIndex):
        raise TypeError(why)
    rank = operator.index(shard)
    if rank < 0:
        raise ValueError(why)
    return rank


def begin(place: RecordingPlace, header: Header, *, overwrite: bool, resume: bool) -> OpenedLog:
    """Begin the log at *place*; see `trainlog.TrainingRecorder`."""
    if place.url is None:
        return _opened(place.path, header, overwrite=overwrite, resume=resume)
    from trainlog.writers.uploading import UploadingWriter, begin_upload

    upload = begin_upload(place.url, place.path, registry.frame_end, overwrite=overwrite, resume=resume)
    opened = _opened(place.path, header, overwrite=overwrite, resume=resume)
    uploader = UploadingWriter(opened.writer, upload)
    return opened._replace(writer=uploader, uploader=uploader)


def _opened(path: Path, header: Header, *, overwrite: bool, resume: bool) -> OpenedLog:
    if not resume:
        return OpenedLog(_created(path, header, overwrite=overwrite))
    while True:  # other processes may create, replace or remove it meanwhile
        if is_folder(path):
            raise LogWriteError("this is a folder; the log of one of several processes is resumed by shard=", path=path)
        size = _size(path)
        try:
            if size:
                return _resumed(path, header)
            return OpenedLog(_created(path, header, overwrite=size == 0))
        except LogExists:
            if size == 0 or not path.is_file():
                raise
        except LogNotFound:
            pass
        except (DamagedLog, UnknownFormat) as error:
            if isinstance(error, UnknownFormat) and any(_head(path)):
                raise
            aside = set_aside(path)
            text = f"{path}: {error.message}; the file is {aside.name} now, and the log was started anew"
            warnings.warn(LogWriteWarning(text), stacklevel=4)
            writer = _created(path, header)
            writer.write(Frame(0.0, Kind.EVENT, {"type": "begun_anew", "by": "trainlog", "msg": text}))
            return OpenedLog(writer)


def _created(path: Path, header: Header, *, overwrite: bool = False) -> Writer:
    return registry.create(path, header.meta, phase=header.phase, run=header.run, overwrite=overwrite)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _head(path: Path) -> bytes:
    """The bytes with which the file begins; all zero where a power cut came before they were on the disk."""
    with Source(path) as source:
        return source.read(0, 8)


def _resumed(path: Path, header: Header) -> OpenedLog:
    old = registry.open(path).header.meta
    changed = {key: value for key, value in header.meta.items() if key != "shard" and str(value) != str(old.get(key))}
    note = {"metadata": storable(changed)} if changed else {}
    if len(header.run) > 1:
        note["run"] = _without_patch(header.run)
    writer = registry.resume(path, note=note)
    shard = old.get("shard")
    began = shard.get("began") if isinstance(shard, dict) else None
    elapsed = writer.resumed_at
    if "shard" in header.meta and isinstance(began, int | float):
        # The shards are merged by the time since each began: a pause counts, as it does for the others.
        elapsed = max(elapsed, time.time() - began)
    return OpenedLog(writer, elapsed, old)


def _without_patch(run: Mapping[str, Any]) -> dict[str, Any]:
    git = {key: value for key, value in run.get("git", {}).items() if key != "patch"}
    return {**run, "git": git} if git else dict(run)
