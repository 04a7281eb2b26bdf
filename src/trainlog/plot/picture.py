"""A figure and the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy.typing as npt

from trainlog.draw import Figure, layout
from trainlog.plot.save import encode

__all__ = ["Block", "Picture"]


class Block(NamedTuple):
    """The numbers of one curve.

    Attributes:
        label: the label of the curve.
        columns: by name, each of shape (n,): first the x values, then the y values.

    """

    label: str
    columns: Mapping[str, npt.NDArray[Any]]


class Picture(NamedTuple):
    """A figure that can be saved.

    Attributes:
        name: the path of its file, without a suffix and with ``/``.
        title: a description for lists.
        figure: the chart, scene or grid.
        group: the group of its metric; empty without one.
        blocks: the numbers of its curves; empty for a sheet, because each of its figures is also a picture.
        columns, rows: how many figures are side by side and below each other on a sheet.

    """

    name: str
    title: str
    figure: Figure
    group: str = ""
    blocks: tuple[Block, ...] = ()
    columns: int = 1
    rows: int = 1

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The size of the picture in pixels, for single figures of *width* by *height*; a sheet is larger."""
        if self.columns == self.rows == 1:
            return width, height
        across, down = max(0.5 * self.columns, 1.0), 0.5 * self.rows + 0.1
        # A row of charts is lower than a chart, and a figure has at least 80 pixels; see `trainlog.draw.layout`.
        return min(round(width * across), 16384), min(max(round(height * down), 80), 16384)

    def _repr_svg_(self) -> str:
        """The picture as shown in a notebook."""
        return encode(layout(self.figure, *self.size(640, 360), whole=True), "svg").decode()
