"""A chart that grows from left to right."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from trainlog.draw import Drawing
from trainlog.draw.drawing import Box, Clip

__all__ = ["growing"]


def growing(drawing: Drawing, frames: int = 60) -> Iterator[Drawing]:
    """Yield *drawing* with more and more of its curves; the last is all of it.

    Axes, legend and all else are those of the whole from the beginning: what is cut is what lies within the axes.

    Raises:
        ValueError: when *frames* is not positive.

    """
    if frames < 1:
        raise ValueError(f"an animation has at least one frame, not {frames}")
    for n in range(1, frames + 1):
        marks = [_narrowed(mark, n / frames) if isinstance(mark, Clip) else mark for mark in drawing.marks]
        yield dataclasses.replace(drawing, marks=tuple(marks))


def _narrowed(clip: Clip, share: float) -> Clip:
    box = clip.box
    return Clip(Box(box.x, box.y, box.width * share, box.height), clip.marks)
