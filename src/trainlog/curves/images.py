"""Frames of an episode as images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["to_images"]


def to_images(frames: Sequence[Any]) -> list[Image]:
    """*frames* as RGB images of the same size.

    A frame is a PIL image, or an array of any numeric type with the shape (height, width), (height, width, 1), (…, 3)
    or (…, 4): gray, RGB, RGBA, on a white background. Integers, and floats in general, are levels from 0 to 255, and
    are clipped to that range. Floats are levels from 0 to 1 if none in any frame is below 0 or above 1. Bools are black
    and white, and NaN is black.

    Raises:
        ValueError: for a frame with another shape or type, or with another size than the first.

    """
    from PIL import Image

    arrays = [None if isinstance(frame, Image.Image) else _checked_array(frame, n) for n, frame in enumerate(frames)]
    is_unit = _is_unit_range([array for array in arrays if array is not None])
    images = []
    for n, (frame, array) in enumerate(zip(frames, arrays, strict=True)):
        image = frame if array is None else Image.fromarray(_to_levels(array, is_unit))
        if image.has_transparency_data:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        images.append(image.convert("RGB"))
        if images[n].size != images[0].size:
            sizes = " and ".join("{} x {}".format(*images[i].size) for i in (n, 0))
            raise ValueError(f"all frames must be of one size: frame {n} and frame 0 are {sizes} pixels")
    return images


def _checked_array(frame: Any, n: int) -> npt.NDArray[Any]:
    array = np.asarray(frame)
    if array.dtype.kind not in "buif" or not array.size:
        raise ValueError(f"frame {n} is not a picture: it holds {array.dtype} of the shape {array.shape}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise ValueError(
            f"frame {n} has the shape {array.shape}; a picture is (height, width), or (height, width, 3 or 4 colours)"
        )
    return array


def _is_unit_range(arrays: Sequence[npt.NDArray[Any]]) -> bool:
    """Whether floats are levels from 0 to 1. All frames are needed: a dark one can have levels from 0 to 255."""
    floats = [array for array in arrays if array.dtype.kind == "f"]
    with np.errstate(invalid="ignore"):
        return bool(floats) and not any((array < 0).any() or (array > 1).any() for array in floats)


def _to_levels(array: npt.NDArray[Any], is_unit: bool) -> npt.NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f":
        array = np.nan_to_num(np.asarray(array, np.float64), nan=0.0, posinf=255, neginf=0)
        array = np.floor(array * 255 + 0.5) if is_unit else array
    levels: npt.NDArray[np.uint8] = np.clip(array, 0, 255).astype(np.uint8)
    return levels
