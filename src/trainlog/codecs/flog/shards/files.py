"""The files of a log of several files, one per process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, Final

from trainlog.codecs.flog.reader import FlogReader
from trainlog.conventions import RANK
from trainlog.storage.location import PARTS, location

__all__ = ["Shard", "is_several", "shard_files"]

_SUFFIXES: Final = (".flog", ".bin")


def is_several(path: Path) -> bool:
    """Whether *path* is a folder or a pattern."""
    return path.is_dir() or ("*" in path.name and not path.exists())


def shard_files(path: Path) -> list[Path]:
    """The files of the log, sorted by the numbers in their names."""
    found = [location(file) for file in (path.iterdir() if path.is_dir() else path.parent.glob(path.name))]
    whole = {file.name for file in found if not file.name.endswith(PARTS)}
    files = [
        file
        for file in found
        if file.name in whole or file.name.removesuffix(PARTS) not in whole
        if file.name.removesuffix(PARTS).endswith(_SUFFIXES) and not file.name.startswith(".") and file.is_file()
    ]
    return sorted(files, key=lambda file: ([int(number) for number in re.findall(r"\d+", file.stem)], file.name))


class Shard:
    """One of the files.

    Attributes:
        reader: its reader.
        rank: the number of its writer.
        began: when the writer began, in seconds since 1970; 0.0 when the file does not say.

    """

    def __init__(self, reader: FlogReader, position: int) -> None:
        self.reader = reader
        declared = reader.header.meta.get("shard")
        shard: Mapping[str, Any] = declared if isinstance(declared, dict) else {}
        number = re.findall(r"\d+", reader.path.stem)
        self.rank = shard.get(RANK, int(number[-1]) if number else position)
        began = shard.get("began", 0.0)
        self.began = began if isinstance(began, int | float) else 0.0

    def with_rank(self, data: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """The *data* of a frame, with the rank added if it has none."""
        return data if RANK in data else {**data, RANK: self.rank}

    def with_superseded(self) -> Shard:
        """The same file with superseded frames; see `trainlog.codec.Reader.with_superseded`."""
        other = copy(self)
        other.reader = self.reader.with_superseded()
        return other
