"""An animation of a chart: its curves grow from left to right."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from trainlog.draw import Drawing
from trainlog.draw.drawing import Clip

__all__ = ["growing"]

_FRAMES: Final = 60


def growing(drawing: Drawing) -> Iterator[Drawing]:
    """Yield *drawing* with growing curves; the last frame is complete.

    The axes and the legend do not change; only the marks inside the axes are clipped.
    """
    for n in range(1, _FRAMES + 1):
        marks = [_clipped(mark, n / _FRAMES) if isinstance(mark, Clip) else mark for mark in drawing.marks]
        yield dataclasses.replace(drawing, marks=tuple(marks))


def _clipped(clip: Clip, share: float) -> Clip:
    return clip._replace(box=clip.box._replace(width=clip.box.width * share))
