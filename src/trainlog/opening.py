"""Opening the log of a recorder: a new one, a replacement, a resumed one, or none at all."""

from __future__ import annotations

import operator
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, SupportsIndex

from trainlog import registry
from trainlog.codec import Writer
from trainlog.codecs.frame_payload import storable
from trainlog.codecs.plain_object import plain_metadata
from trainlog.errors import DamagedLog, LogExists, LogNotFound, LogWriteError, LogWriteWarning, UnknownFormat
from trainlog.model import Frame, Header, Kind
from trainlog.storage.append import set_aside
from trainlog.storage.location import is_folder, is_url, local_path, written_path
from trainlog.storage.source import Source

if TYPE_CHECKING:
    from trainlog.writers.uploading import UploadingWriter

__all__ = ["UNNAMED", "OpenedLog", "RecordingPlace", "begin", "is_switched_off", "rank_of", "recording_place"]

UNNAMED: Final = {"creature": "unknown", "task": ""}
"""What the metadata of a log say when its recorder was given no names."""


class OpenedLog(NamedTuple):
    """A log that was opened for writing.

    Attributes:
        writer: the writer of the log.
        elapsed: seconds since the run began.
        meta: the metadata of a resumed log; None for a new log, whose metadata are those that were given.
        changed: those of the given metadata that replace the ones of a resumed log.
        uploader: the same writer, if it uploads the log; otherwise None.

    """

    writer: Writer
    elapsed: float = 0.0
    meta: Mapping[str, Any] | None = None
    changed: Mapping[str, Any] = MappingProxyType({})
    uploader: UploadingWriter | None = None


def is_switched_off() -> bool:
    """Whether the variable ``TRAINLOG_MODE`` turns recording off.

    Raises:
        ValueError: when its value is invalid.

    """
    mode = os.environ.get("TRAINLOG_MODE", "")
    if mode.lower() not in ("", "on", "off"):
        raise ValueError(f"TRAINLOG_MODE is 'on' or 'off', not {mode!r}")
    return mode.lower() == "off"


class RecordingPlace(NamedTuple):
    """Where a log is recorded.

    Attributes:
        path: the local file.
        url: the URL that it is uploaded to, or None.

    """

    path: Path
    url: str | None = None


def recording_place(
    path: str | os.PathLike[str], local: str | os.PathLike[str] | None = None, shard: int | None = None
) -> RecordingPlace:
    """The place where the log at *path* is recorded. A relative path is resolved against ``TRAINLOG_DIR``.

    The path is made absolute, because a program can change its working folder.

    Args:
        path: a file or a URL; a folder for the log of several processes.
        local: the local file of a log at a URL.
        shard: the rank of this process among several.

    Raises:
        CodecError: when *path* is a URL that was turned into a `Path`.
        ValueError, TypeError: when *local* is given and *path* is not a URL, and for a *shard* that is not a rank.
        UnknownFormat: when *path* is a URL that cannot be written to, or the log of several processes cannot have this
            format.

    """
    url = str(path) if is_url(path) else None
    if local is not None and url is None:
        raise ValueError(f"local is the local file of a log at a URL, and {os.fspath(path)!r} is not a URL")
    if url is None:
        place: Path | None = written_path(Path(os.environ.get("TRAINLOG_DIR", ""), local_path(path)))
    else:
        place = None if local is None else written_path(local)
    if shard is not None:
        codec = registry.codec_for_writing(Path(path), None)
        if not codec.reads_folders:
            text = f"several processes cannot record one {codec.name} log; record run.flog, and convert it"
            raise UnknownFormat(text, path=path)
        name = f"{rank_of(shard)}{Path(path).suffix}"
        url, place = url and f"{url}/{name}", place and place / name
    if place is None:
        from trainlog.writers.uploading import local_file

        place = local_file(str(url))
    return RecordingPlace(place, url)


def rank_of(shard: object) -> int:
    """*shard* as the rank of a process.

    Raises:
        TypeError, ValueError: when it is not an integer of 0 or more.

    """
    why = f"shard is the rank of this process among several, an integer of 0 or more, not {shard!r}"
    if isinstance(shard, bool) or not isinstance(shard, SupportsIndex):
        raise TypeError(why)
    rank = operator.index(shard)
    if rank < 0:
        raise ValueError(why)
    return rank


def begin(place: RecordingPlace, header: Header, *, overwrite: bool, resume: bool) -> OpenedLog:
    """Create, replace or resume the log at *place*; see `trainlog.TrainingRecorder`."""
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
            if not size or (isinstance(error, UnknownFormat) and any(_head(path))):
                raise
            aside = set_aside(path)
            text = f"{path}: {error.message}; the file is {aside.name} now, and a new log was started"
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
    """The first bytes of the file; all zero if a power cut came before they reached the disk."""
    with Source(path) as source:
        return source.read(0, 8)


def _resumed(path: Path, header: Header) -> OpenedLog:
    old = registry.open(path).header.meta
    changed = _changed_metadata(old, header.meta)
    note: dict[str, Any] = {"metadata": changed} if changed else {}
    if len(header.run) > 1:
        note["run"] = _without_patch(header.run)
    writer = registry.resume(path, note=note)
    shard = old.get("shard")
    began = shard.get("began") if isinstance(shard, dict) else None
    elapsed = writer.resumed_at
    if "shard" in header.meta and isinstance(began, int | float):
        # Shards are merged by the time since each began, so a pause counts here as it does for the other shards.
        elapsed = max(elapsed, time.time() - began)
    return OpenedLog(writer, elapsed, old, changed)


def _changed_metadata(old: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the *given* metadata that replace the *old* ones of a resumed log, as a frame holds them.

    The defaults of a recorder replace nothing. A header can hold values that no frame can, such as an int of more than
    64 bits; these become text.

    Raises:
        UnsupportedFrame: when they cannot be stored.

    """
    values = {key: one for key, one in plain_metadata(given).items() if key != "shard" and UNNAMED.get(key) != one}
    return {key: storable(one) for key, one in values.items() if key not in old or old[key] != one}


def _without_patch(run: Mapping[str, Any]) -> dict[str, Any]:
    git = {key: value for key, value in run.get("git", {}).items() if key != "patch"}
    return {**run, "git": git} if git else dict(run)
