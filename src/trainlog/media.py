"""Images, videos, sounds, figures and files that belong to a log, in a folder next to it; histograms, in the log.

::

    media = MediaRecorder(log)
    media.image(None, "camera", pixels, step=1000)

    frame = next(trainlog.open("run.flog").frames("event"))
    Image.open(media_file("run.flog", frame.data))

A file is named by its content, so that the same picture is stored once. Its frame in the log is an event: ``type``,
``tag``, ``step``, ``file``, its name in the folder ``<log>.media``, and its size in pixels or seconds. A histogram is
an event with the keys of a TensorBoard histogram: ``min``, ``max``, ``num``, ``sum``, ``sum_squares``, ``counts`` and
``limits``, the upper ends of the bins.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import wave
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from trainlog.codecs.plain_object import as_array
from trainlog.storage.media_files import media_file, media_folder
from trainlog.storage.replace import atomic_write

__all__ = ["MediaRecorder", "bins_of_tensorboard", "histogram_of", "media_file", "media_folder"]

Pixels = npt.NDArray[np.uint8]


class Log(Protocol):
    """The methods of a recorder that are used here."""

    @property
    def path(self) -> str | os.PathLike[str]: ...

    def record_event(
        self, timestamp: float | None, event_type: str, data: Mapping[str, Any] | str | None = None, /
    ) -> None: ...


class MediaRecorder:
    """Records images, videos, sounds, figures, files and histograms.

    Times are those of `trainlog.TrainingRecorder`; ``step`` is optional.
    """

    def __init__(self, log: Log) -> None:
        self._log = log

    def file(
        self, time: float | None, kind: str, tag: str, content: bytes, suffix: str, step: Any = None, **facts: Any
    ) -> Path:
        """Record *content* as a file, with an event of the type *kind* and the keys *facts*; returns its path.

        Raises:
            LogWriteError: when the file cannot be written; the log gets no event then.
            As `trainlog.TrainingRecorder.record_event`.

        """
        path = media_folder(self._log.path) / f"{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
        if getattr(self._log, "is_recording", True) and not path.exists():
            with atomic_write(path) as file:
                file.write(content)
        self._event(time, kind, tag, step, {"file": path.name, **facts})
        return path

    def image(self, time: float | None, tag: str, image: Any, *, axes: str = "HWC", step: Any = None) -> None:
        """Record an image as PNG, which is lossless.

        Args:
            time: seconds since the run began, None for now.
            tag: its name.
            image: integers from 0 to 255, or floats from 0 to 1; values outside are clipped. With an axis N, each of
                the images is recorded, as ``tag/0``, ``tag/1``, ...
            axes: the axes of *image*: H, W, C (1, 3 or 4 channels) and N in any order; all except H and W can be
                missing.
            step: its step.

        Raises:
            ValueError: when *image* has other axes.

        """
        for name, one in _named(tag, _arranged(image, axes, "NHWC"), "N" in axes):
            facts = {"height": one.shape[0], "width": one.shape[1], "colorspace": one.shape[2]}
            self.file(time, "image", name, _png([one]), ".png", step, **facts)

    def video(
        self, time: float | None, tag: str, frames: Any, *, fps: float = 4, axes: str = "THWC", step: Any = None
    ) -> None:
        """Record a video as animated PNG, which is lossless and works in browsers; see `image`.

        Args:
            time: seconds since the run began, None for now.
            tag: its name.
            frames: the pictures, with an axis T.
            fps: pictures per second.
            axes: the axes of *frames*.
            step: its step.

        Raises:
            ValueError: when *frames* has other axes or is empty, and when *fps* is not greater than 0.

        """
        if not 0 < fps < math.inf:
            raise ValueError(f"fps is a rate in pictures per second, a number above 0, not {fps!r}")
        for name, one in _named(tag, _arranged(frames, axes, "NTHWC"), "N" in axes):
            if not len(one):
                raise ValueError(f"the video {tag!r} has no frames")
            facts = {"height": one.shape[1], "width": one.shape[2], "frames": len(one), "fps": float(fps)}
            self.file(time, "video", name, _png(one, fps), ".png", step, **facts)

    def figure(self, time: float | None, tag: str, figure: Any, *, step: Any = None) -> None:
        """Record a Matplotlib figure as PNG, or a figure with ``to_html`` (Plotly) as an HTML page.

        Raises:
            TypeError: for any other object.

        """
        if hasattr(figure, "savefig"):
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png")
            self.file(time, "figure", tag, buffer.getvalue(), ".png", step)
        elif hasattr(figure, "to_html"):
            self.file(time, "figure", tag, figure.to_html().encode(), ".html", step)
        else:
            raise TypeError(f"a figure offers savefig or to_html, which a {type(figure).__name__} does not")

    def sound(self, time: float | None, tag: str, samples: Any, rate: int, *, step: Any = None) -> None:
        """Record a mono sound, numbers from -1 to 1, as 16-bit WAV.

        Raises:
            ValueError: when *rate*, in hertz, is less than 1.

        """
        if not 1 <= rate < 1 << 31:  # the limit of the file format
            raise ValueError(f"the rate of a sound is a number of samples per second, 1 or more, not {rate!r}")
        values = np.clip(np.nan_to_num(as_array(samples).astype(np.float64).ravel()), -1, 1)
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(int(rate))
            file.writeframes(np.rint(values * 32767).astype("<i2").tobytes())
        self.file(time, "audio", tag, buffer.getvalue(), ".wav", step, rate=int(rate), seconds=len(values) / rate)

    def histogram(self, time: float | None, tag: str, values: Any, *, bins: Any = 64, step: Any = None) -> None:
        """Record the distribution of *values*; *bins* are those of `numpy.histogram`. NaN is not counted."""
        self._event(time, "histogram", tag, step, histogram_of(values, bins))

    def _event(self, time: float | None, kind: str, tag: str, step: Any, data: Mapping[str, Any]) -> None:
        at = {} if step is None else {"step": step}
        self._log.record_event(time, kind, {"tag": tag, **at, **data})


def histogram_of(values: Any, bins: Any = 64) -> dict[str, Any]:
    """The event of a histogram of the finite numbers among *values*; empty bins at both ends are left out.

    Numbers for which there are no such bins, because they differ only in the last bits, are in one bin.

    Raises:
        ValueError: when there are none.

    """
    given = as_array(values).astype(np.float64).ravel()
    numbers = given[np.isfinite(given)]
    if not len(numbers):
        raise ValueError("a histogram needs at least one finite number")
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            counts, edges = np.histogram(numbers, bins)
    except (ValueError, IndexError):  # they are too close together or too far apart for bins of the same width
        np.histogram([0.0, 1.0], bins)  # raises if *bins* is the reason
        counts, edges = np.histogram(numbers, [numbers.min(), numbers.max()])
    filled = np.flatnonzero(counts)
    first, last = (filled[0], filled[-1]) if len(filled) else (0, 0)
    with np.errstate(over="ignore", invalid="ignore"):  # of sums that are too large for a float
        sums = {"sum": numbers.sum(), "sum_squares": numbers @ numbers}
    facts = {"min": numbers.min(), "max": numbers.max(), "num": len(numbers), **sums}
    found = {key: float(value) for key, value in facts.items()}
    if len(numbers) < len(given):
        found["not_finite"] = len(given) - len(numbers)
    # An empty bin in front marks where the first one begins.
    bounds = {"limits": edges[first : last + 2].tolist(), "counts": [0.0, *counts[first : last + 1].tolist()]}
    return {**found, **bounds}


@cache
def bins_of_tensorboard() -> Sequence[float]:
    """The ends of the bins that TensorBoard's writers use: each is a tenth larger than the last, from 1e-12."""
    count = int(np.log(1e32) / np.log(1.1)) + 1
    positive = np.multiply.accumulate(np.array([1e-12, *[1.1] * count]))
    positive = positive[positive < 1e20]
    ends: list[float] = np.concatenate([-positive[::-1], [0.0], positive]).tolist()
    return ends


def _named(tag: str, parts: Any, several: bool) -> list[tuple[str, Any]]:
    return [(f"{tag}/{i}" if several else tag, part) for i, part in enumerate(parts)]


def _arranged(values: Any, axes: str, wanted: str) -> Pixels:
    """*values*, whose axes are *axes*, with the axes *wanted*, as bytes."""
    array, axes = as_array(values), axes.upper()
    if array.ndim != len(axes) or len({*axes}) < len(axes) or not {"H", "W"} <= {*axes} <= {*wanted}:
        raise ValueError(f"the axes {axes!r} do not fit an array of the shape {array.shape}")
    missing = [one for one in wanted if one not in axes]
    array = array.reshape(*array.shape, *[1] * len(missing)).transpose(
        [(axes + "".join(missing)).index(one) for one in wanted]
    )
    if array.shape[-1] not in (1, 3, 4):
        raise ValueError(f"a picture has 1, 3 or 4 channels, not {array.shape[-1]}: its axes are {axes!r}")
    if array.dtype.kind in "bf":
        array = np.clip(np.nan_to_num(array.astype(np.float64)), 0, 1) * 255
    pixels: Pixels = np.clip(array, 0, 255).astype(np.uint8)
    return pixels


def _png(pictures: Any, fps: float = 1) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    first, *others = [Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one) for one in pictures]
    more = {"save_all": True, "append_images": others, "duration": 1000 / fps, "loop": 0} if others else {}
    first.save(buffer, "PNG", **more)
    return buffer.getvalue()
