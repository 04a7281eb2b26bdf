"""The interface of every peer."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.frames import SCALARS, WIDTHS, Columns, Kind

__all__ = ["Peer", "Row", "gathered", "plain", "widths"]

Row = dict[str, Any]


class Peer(ABC):
    """One library, used in one way.

    Attributes:
        name: its name in the tables.
        modules: the modules that it imports, by the name of the distribution that provides them.
        usage: how it is used, if there is a choice.
        promise: what it promises about rows whose call has returned when the process is killed.
        writes, reads: the kinds of rows that it is measured on.
        precision: the precision of the numbers that it keeps.
        folder: the folder where it logs.

    """

    name: ClassVar[str]
    modules: ClassVar[dict[str, str]] = {}
    usage: ClassVar[str] = ""
    promise: ClassVar[str] = ""
    writes: ClassVar[tuple[Kind, ...]] = ("creature", "scalars")
    reads: ClassVar[tuple[Kind, ...]] = ("creature", "scalars")
    precision: ClassVar[type] = np.float64

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "log"

    @classmethod
    def missing(cls) -> str:
        """The distributions that are not installed, as text; empty if all are."""
        # Only the first part: find_spec imports the parents of a dotted name, which may not exist.
        return ", ".join(name for name, module in cls.modules.items() if find_spec(module.split(".")[0]) is None)

    def load(self) -> None:
        """Import what the peer needs."""
        for module in self.modules.values():
            importlib.import_module(module)

    @abstractmethod
    def open(self, kind: Kind) -> None:
        """Start a log for rows of *kind*."""

    def creature(self, now: float, row: Row) -> None:
        """Log one creature frame."""
        self.scalars(now, row)

    @abstractmethod
    def scalars(self, now: float, row: Row) -> None:
        """Log one step of scalars."""

    @abstractmethod
    def close(self) -> None:
        """Finish the log."""

    @abstractmethod
    def read(self, kind: Kind) -> Columns:
        """All rows of the log as columns."""

    def survivors(self, kind: Kind) -> int:
        """How many rows can be read from a log whose writer was killed."""
        return len(self.read(kind)["step"])

    def size(self) -> int:
        """Bytes of all files of the log."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def plain(row: Row) -> Row:
    """*row* in types that msgpack and JSON know."""
    return {key: value.tolist() if type(value) is np.ndarray else value for key, value in row.items()}


def gathered(rows: list[Row]) -> Columns:
    """The columns of *rows*."""
    return {key: np.array([row[key] for row in rows]) for key in (rows[0] if rows else ())}


def widths(kind: Kind) -> dict[str, int]:
    """The columns of *kind*, and how many numbers a row has in each."""
    return WIDTHS if kind == "creature" else dict.fromkeys(SCALARS, 1)
