"""The three files of a log: its descriptor, its data, its functions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from trainlog.codecs.simion.descriptor import Descriptor
from trainlog.errors import CorruptLog, LogNotFound

__all__ = ["SUFFIXES", "Parts", "names_of", "parts_of"]

DATA: Final = ".bin"
FUNCTIONS: Final = ".functions"
# The longest suffix that matches decides, so that x.simion.log.bin belongs to this format rather than to another.
SUFFIXES: Final = (
    ".simion.log",
    ".simion.log.bin",
    ".simion.log.functions",
)


class Parts(NamedTuple):
    """The files of a log. A missing file is None."""

    descriptor: Path | None
    data: Path
    functions: Path | None


def names_of(path: Path) -> tuple[Path, Path, Path]:
    """The conventional names of the descriptor, the data and the functions of a log, given any of the three."""
    base = path
    if path.name.lower().endswith((DATA, FUNCTIONS)) and path.stem:
        base = path.with_suffix("")
    if base.suffix.lower() == ".xml" or (base == path.with_suffix("") and base.name.endswith("-log") and base != path):
        # Version 1: experiment-log.xml next to experiment-log.bin.
        return base.with_suffix(".xml"), base.with_suffix(DATA), base.with_suffix(FUNCTIONS)
    return base, base.with_name(base.name + DATA), base.with_name(base.name + FUNCTIONS)


def descriptor_of(path: Path) -> Path | None:
    """The descriptor of the log that the file *path* belongs to, if it exists."""
    descriptor = names_of(path)[0]
    return descriptor if descriptor.is_file() else None


def parts_of(path: Path, descriptor_path: Path | None, descriptor: Descriptor) -> Parts:
    """The files of the log that the file *path* belongs to.

    The descriptor is trusted only for names of files in its own folder. Where it names a file that does not exist
    (the original drops the first letter when it was started without a folder), the conventional name is tried.

    Raises:
        CorruptLog: when the descriptor names a file outside its folder.
        LogNotFound: when there is no data file.

    """
    _, data, functions = names_of(path)
    # A caller that opens the data or the functions by name means that very file.
    opens_functions = path.name.lower().endswith(FUNCTIONS)
    opens_data = path != descriptor_path and not opens_functions
    if opens_data:
        data = path
    elif descriptor_path is not None:
        data = _named(descriptor_path, descriptor.data, data, "BinaryDataFile")
    if opens_functions:
        functions = path
    elif descriptor_path is not None:
        functions = _named(descriptor_path, descriptor.functions, functions, "FunctionsDataFile")
    if not data.is_file():
        raise LogNotFound(
            f"the data of this log are missing: there is no {data.name!r} next to it"
            + (f", and its descriptor names {descriptor.data!r}" if descriptor.data not in (None, data.name) else ""),
            path=path,
        )
    return Parts(descriptor_path, data, functions if functions.is_file() else None)


def _named(descriptor: Path, name: str | None, by_rule: Path, attribute: str) -> Path:
    folder = descriptor.parent
    if name is not None and re.search(r"[/\\\0]|^[A-Za-z]:|^\.\.?$", name):
        raise CorruptLog(
            f"{attribute}={name!r} leads out of the descriptor's folder, or into another one, and is not followed; "
            "put the file next to the descriptor, and write only the file's name into it",
            path=descriptor,
        )
    chosen = folder / name if name and _is_file(folder / name) else by_rule
    if chosen.is_symlink() and chosen.resolve().parent not in (folder.resolve(), descriptor.resolve().parent):
        raise CorruptLog(
            f"{chosen.name!r} is a link that leads out of the descriptor's folder, and is not followed; "
            "if you trust it, open that file itself",
            path=descriptor,
        )
    return chosen


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a damaged name may be longer than any file's
        return False
