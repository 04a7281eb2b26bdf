"""An animation of a chart: its curves grow from left to right."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from trainlog.draw import Drawing
from trainlog.draw.drawing import Box, Clip

__all__ = ["growing"]


def growing(drawing: Drawing, frames: int = 60) -> Iterator[Drawing]:
    """Yield *drawing* with growing curves; the last frame is complete.

    The axes and the legend do not change; only the marks inside the axes are clipped.

    Raises:
        ValueError: when *frames* is not positive.

    """
    if frames < 1:
        raise ValueError(f"an animation needs at least one frame, not {frames}")
    for n in range(1, frames + 1):
        marks = [_clipped(mark, n / frames) if isinstance(mark, Clip) else mark for mark in drawing.marks]
        yield dataclasses.replace(drawing, marks=tuple(marks))


def _clipped(clip: Clip, share: float) -> Clip:
    box = clip.box
    return Clip(Box(box.x, box.y, box.width * share, box.height), clip.marks)
