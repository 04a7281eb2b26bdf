"""A figure, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy.typing as npt

if TYPE_CHECKING:
    from trainlog.draw import Figure

__all__ = ["Block", "Picture"]


class Block(NamedTuple):
    """Numbers behind one curve.

    Attributes:
        label: of the curve.
        columns: by name, each of shape (n,): first what is drawn over, then what is drawn.

    """

    label: str
    columns: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A figure that can be saved.

    Attributes:
        name: path of its file, without suffix and with ``/``.
        title: what it shows, for lists.
        figure: what is drawn.
        group: what it belongs to; empty where it stands for itself.
        blocks: the numbers behind it; none for a sheet of figures that are there by themselves.
        columns: of figures, on a sheet.
        rows: of figures, on a sheet.

    """

    name: str
    title: str
    figure: Figure
    group: str = ""
    blocks: tuple[Block, ...] = ()
    columns: int = 1
    rows: int = 1

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Pixels of the picture where single figures have *width* by *height*: sheets are larger."""
        if self.columns == self.rows == 1:
            return width, height
        across, down = max(0.5 * self.columns, 1.0), 0.5 * self.rows + 0.1
        return min(round(width * across), 16384), min(round(height * down), 16384)
