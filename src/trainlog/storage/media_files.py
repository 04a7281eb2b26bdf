"""The files that belong to a log, in a folder next to it; see `trainlog.media`, which records them."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trainlog.storage.location import is_folder, location, named
from trainlog.storage.source import Source

__all__ = ["media_file", "media_folder", "media_folders", "with_image"]

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MOST: Final = 1 << 26  # bytes of an image that is included in a frame


def media_folder(log: str | os.PathLike[str]) -> Path:
    """The folder of the files that belong to the log at that path; a compressed copy next to the log shares it."""
    path = named(location(log))
    return path.with_name(f"{path.name.removesuffix('.zst')}.media")


def media_folders(log: str | os.PathLike[str]) -> list[Path]:
    """The folders of the files that belong to the log at that path: one, or one for each of its processes."""
    path = named(location(log))
    return (sorted(path.glob("*.media")) if is_folder(path) else []) or [media_folder(log)]


def media_file(log: str | os.PathLike[str], event: Mapping[Any, Any]) -> Path:
    """The file that an *event* of the log at that path refers to.

    Raises:
        KeyError: when it refers to none.

    """
    name = Path(str(event["file"])).name
    found = [folder / name for folder in media_folders(log)]
    return next((file for file in found if file.is_file()), found[0])


def with_image(log: str | os.PathLike[str], event: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """*event* with the PNG that it refers to, as ``image``, ``width`` and ``height``; any other event unchanged."""
    if "tag" not in event or "file" not in event or (path := media_file(log, event)).is_symlink() or not path.is_file():
        return event
    if path.stat().st_size > _MOST:
        return event
    with Source(path) as source:
        content = source.read(0, _MOST)
    if not content.startswith(_PNG) or len(content) < 24:
        return event
    width, height = struct.unpack_from(">II", content, 16)
    rest = {key: value for key, value in event.items() if key != "file"}
    return {**rest, "type": "image", "image": content, "width": width, "height": height}
