"""The index of a large FLOG file, kept in a small file next to it, which can be deleted at any time.

Anyone who can write it could make rows disappear. So `trainlog.storage.source.read_beside` decides whether it can be
trusted, and it is used only if it can be the index of this file.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np

from trainlog.codecs.flog.index.index import FrameOffsets, Index
from trainlog.errors import TrainlogError
from trainlog.storage.location import RemotePath
from trainlog.storage.replace import atomic_write
from trainlog.storage.source import Source, read_beside

__all__ = ["cache_path", "finish", "load_or_start"]

_VERSION: Final = 3
_WORTH: Final = 8 << 20  # from this size in bytes on, a full read of a log builds an index as a side effect
_PAYS: Final = 256 << 20  # from this size in bytes on, the index of a log is worth a file
_GROWN: Final = 64 << 20  # bytes by which a live log must grow before its index is written again
_SAMPLES: Final = 16
_SAMPLE: Final = 4096
_INT: Final = np.dtype(np.int64)
_FLOAT: Final = np.dtype(np.float64)
_OCTET: Final = np.dtype(np.uint8)
_SHARE: Final = 16  # an index takes at most 1/16 of its log, plus _LEAST; with two kinds it takes a hundredth
_LEAST: Final = 1 << 16


def cache_path(log: Path) -> Path:
    """Where the index of *log* is kept."""
    return log.with_name(f".{log.name}.trainlog-index")


def load_or_start(source: Source, start: int, known: Index | None = None) -> Index | None:
    """The index of the file as far as it exists; None where the file is too small to be worth an index.

    Args:
        source: the file.
        start: where its first frame begins.
        known: an earlier index of it, if there is one.

    """
    if known is not None and known.end <= source.size and known.content == _content(source, known.end):
        return known
    if source.size < _WORTH:
        return None
    return (_load(source) if source.size >= _PAYS else None) or Index.beginning(start)


def finish(source: Source, before: Index, found: Index | None) -> Index | None:
    """Extend *found*, which has grown from *before*, to the end of the file, and keep it for later readers.

    Returns:
        The index; None when the frames of the file are not an unbroken chain.

    """
    if found is not None and found.end != source.size:
        found = found.extended(source)
    if found is None or (found.end == before.end and found.steps is before.steps):
        return found
    found = replace(found, content=_content(source, found.end))
    grown = found.end - before.end >= (_GROWN if before.parts else 1)
    if source.size >= _PAYS and (grown or found.steps is not before.steps):
        _save(source, found)
    return found


def _save(source: Source, index: Index) -> None:
    """Save *index* next to the log, if possible."""
    arrays: dict[str, Any] = {name: getattr(index, name) for name in ("offset", "frames", "low", "high")}
    for kind, (low, high) in index.steps.items():
        arrays[f"steps_{kind}_low"], arrays[f"steps_{kind}_high"] = low, high
    for kind, frames in index.offsets.items():
        arrays |= {f"offsets_{kind}_{name}": column for name, column in frames._asdict().items()}
    stat = source.status
    file = io.BytesIO()
    np.savez(
        file,
        version=np.array(_VERSION),
        kinds=np.array(index.kinds, np.int64),
        stat=np.array([stat.st_size, stat.st_mtime_ns]),
        content=np.frombuffer(index.content, np.uint8),
        **arrays,
    )
    try:
        if file.tell() <= _LEAST + index.end // _SHARE and _is_writable(source.path.parent):
            with atomic_write(cache_path(source.path)) as target:
                target.write(file.getbuffer())
    except TrainlogError:
        pass  # a full disk or no permission: the index is only an optimization


def _is_writable(folder: Path) -> bool:
    return not isinstance(folder, RemotePath) and os.access(folder, os.W_OK)


def _load(source: Source) -> Index | None:
    """The index next to the log, if it can be trusted and matches the content of the log."""
    packed = read_beside(source, cache_path(source.path), _LEAST + source.size // _SHARE)
    if packed is None:
        return None
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as file:
            if any(member.compress_type for member in file.zip.infolist()):
                return None  # compressed data may expand to any size
            if int(file["version"]) != _VERSION:
                return None
            steps = {
                int(name.split("_")[1]): (file[name], file[name.replace("_low", "_high")])
                for name in file.files
                if name.startswith("steps_") and name.endswith("_low")
            }
            offsets = {
                int(name.split("_")[1]): FrameOffsets(
                    *(file[name.removesuffix("offset") + field] for field in FrameOffsets._fields)
                )
                for name in file.files
                if name.startswith("offsets_") and name.endswith("_offset")
            }
            ranges = file["frames"], file["low"], file["high"]
            kinds, content = tuple(file["kinds"].tolist()), file["content"].tobytes()
            index = Index(file["offset"], kinds, *ranges, steps, offsets, content)
            size, changed = file["stat"].tolist()
            if not _is_sound(index):
                return None
    except Exception:  # noqa: BLE001 - zipfile and numpy raise whatever they meet in a damaged archive
        return None
    stat = source.status
    # A log only ever grows. If it has the same size but another modification time, somebody changed it in place.
    touched = stat.st_size == size and stat.st_mtime_ns != changed
    if touched or index.end > source.size or index.content != _content(source, index.end):
        return None
    return index if all(_fits(some, index.end) for some in offsets.values()) else None


def _is_sound(index: Index) -> bool:
    """Whether its arrays have the types and shapes of an index."""
    shape = index.parts, len(index.kinds)
    ranges = [(values, _FLOAT) for values in (index.low, index.high)]
    return (
        index.offset.ndim == 1
        and len(index.offset) > 0
        and index.offset.dtype == _INT
        and bool((np.diff(index.offset) > 0).all())
        and index.offset[0] >= 0
        and index.kinds == tuple(sorted(set(index.kinds)))
        and all(type(kind) is int and 0 <= kind < 256 for kind in (*index.kinds, *index.steps, *index.offsets))
        and all(values.shape == shape and values.dtype == one for values, one in [(index.frames, _INT), *ranges])
        and all(
            low.shape == high.shape == (len(low),) and len(low) <= index.parts and {low.dtype, high.dtype} == {_FLOAT}
            for low, high in index.steps.values()
        )
    )


def _fits(frames: FrameOffsets, end: int) -> bool:
    """Whether these can be frames before byte *end*; a damaged file must not cause large allocations."""
    offset, length, time, kind = frames
    if not offset.shape == length.shape == time.shape == kind.shape == (len(offset),):
        return False
    if {offset.dtype, length.dtype} != {_INT} or (time.dtype, kind.dtype) != (_FLOAT, _OCTET):
        return False
    return not len(offset) or bool(offset.min() >= 0 and length.min() > 0 and (length <= end - offset).all())


def _content(source: Source, end: int) -> bytes:
    """Checksums of samples of the first *end* bytes: at the beginning, at the end, and in between."""
    sample = memoryview(bytearray(min(_SAMPLE, end)))
    offsets = np.linspace(0, end - len(sample), _SAMPLES).astype(np.int64).tolist()
    return b"".join(crc32(sample[: source.fill(sample, offset)]).to_bytes(4, "big") for offset in offsets)
