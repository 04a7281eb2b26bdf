"""The objects other than numbers and text that W&B calls log: each becomes an event, with a file next to the log."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainlog.codecs.plain_object import as_array
from trainlog.integrations import number
from trainlog.media import MediaRecorder
from trainlog.recorder import TrainingRecorder

__all__ = ["Audio", "Histogram", "Html", "Image", "LoggedObject", "Table", "Video", "parted"]


class LoggedObject(ABC):
    """An object other than numbers and text that `log` accepts."""

    def __init__(self, data_or_path: Any, caption: str | None = None, **settings: Any) -> None:
        self.data = data_or_path
        self.caption = caption
        self.settings = settings

    @abstractmethod
    def record(self, media: MediaRecorder, log: TrainingRecorder, now: float, tag: str, step: int) -> None:
        """Record it as an event."""


class _Media(LoggedObject):
    """Data, or the path of a file with the data."""

    _kind: str

    def record(self, media: MediaRecorder, log: TrainingRecorder, now: float, tag: str, step: int) -> None:
        """Record it as an event; a file given by its path is copied next to the log."""
        if isinstance(self.data, str | os.PathLike):
            path = Path(self.data)
            facts = {} if self.caption is None else {"caption": self.caption}
            media.file(now, self._kind, tag, path.read_bytes(), path.suffix, step, **facts)
        else:
            self._record(media, now, tag, step)
            if self.caption is not None:
                log.record_event(now, "text", {"tag": f"{tag}/caption", "msg": self.caption, "step": step})

    @abstractmethod
    def _record(self, media: MediaRecorder, now: float, tag: str, step: int) -> None: ...


class Image(_Media):
    """An image: an array (H, W) or (H, W, C), a tensor (C, H, W), a Pillow image, a figure, or a path."""

    _kind = "image"

    def _record(self, media: MediaRecorder, now: float, tag: str, step: int) -> None:
        if hasattr(self.data, "savefig"):
            media.figure(now, tag, self.data, step=step)
            return
        picture = self.data.convert("RGBA") if getattr(self.data, "mode", "RGB") in ("P", "LA", "CMYK") else self.data
        array = as_array(picture)
        axes = "HW" if array.ndim == 2 else "CHW" if hasattr(self.data, "detach") else "HWC"
        if array.dtype.kind == "f" and array.size and np.nanmax(array) > 1:
            array = np.clip(np.nan_to_num(array), 0, 255).astype(np.uint8)
        media.image(now, tag, array, axes=axes, step=step)


class Video(_Media):
    """A video: an array (T, C, H, W) or (N, T, C, H, W), or a path."""

    _kind = "video"

    def _record(self, media: MediaRecorder, now: float, tag: str, step: int) -> None:
        axes = "NTCHW" if np.ndim(self.data) == 5 else "TCHW"
        media.video(now, tag, self.data, fps=self.settings.get("fps") or 4, axes=axes, step=step)


class Audio(_Media):
    """A mono sound, numbers from -1 to 1, or a path; ``sample_rate`` is in hertz."""

    _kind = "audio"

    def _record(self, media: MediaRecorder, now: float, tag: str, step: int) -> None:
        media.sound(now, tag, self.data, self.settings.get("sample_rate") or 44100, step=step)


class Html(LoggedObject):
    """A page, as text."""

    def record(self, media: MediaRecorder, log: TrainingRecorder, now: float, tag: str, step: int) -> None:
        """Record it as a file."""
        media.file(now, "html", tag, str(self.data).encode(), ".html", step)


class Histogram(LoggedObject):
    """The distribution of numbers: the numbers, or counts and edges as ``np_histogram``."""

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = 64) -> None:
        super().__init__(sequence, np_histogram=np_histogram, num_bins=num_bins)

    def record(self, media: MediaRecorder, log: TrainingRecorder, now: float, tag: str, step: int) -> None:
        """Record it as an event."""
        counted = self.settings["np_histogram"]
        if counted is None:
            media.histogram(now, tag, self.data, bins=self.settings["num_bins"], step=step)
            return
        counts, limits = (as_array(one).tolist() for one in counted)
        data = {"num": float(sum(counts)), "min": limits[0], "max": limits[-1], "limits": limits}
        log.record_event(now, "histogram", {"tag": tag, "step": step, **data, "counts": [0, *counts]})


class Table:
    """Rows of values; recorded as an event with ``columns`` and ``rows``."""

    def __init__(self, columns: Sequence[str] | None = None, data: Any = None, dataframe: Any = None, **_: Any) -> None:
        if dataframe is None and hasattr(data, "columns"):
            dataframe = data
        if dataframe is not None:
            columns, data = list(dataframe.columns), dataframe.to_numpy().tolist()
        self.columns = list(columns or ())
        self.data = [list(row) for row in (() if data is None else data)]

    def add_data(self, *row: Any) -> None:
        """Add a row."""
        self.data.append(list(row))

    def record(self, media: MediaRecorder, log: TrainingRecorder, now: float, tag: str, step: int) -> None:
        """Record it; images and the like in its cells are recorded as separate events."""
        rows = [list(row) for row in self.data]
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                if isinstance(cell, LoggedObject):
                    row[j] = f"{tag}/{i}/{j}"
                    cell.record(media, log, now, row[j], step)
        log.record_event(now, "table", {"tag": tag, "step": step, "columns": self.columns, "rows": rows})


def parted(data: Mapping[str, Any], prefix: str) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """Split *data* into the values of a frame and the objects that become events, by tag prefixed with *prefix*."""
    values: dict[str, Any] = {}
    objects: list[tuple[str, Any]] = []
    for key, value in data.items():
        if isinstance(value, LoggedObject | Table):
            objects.append((f"{prefix}{key}", value))
        elif isinstance(value, list | tuple) and value and all(isinstance(one, LoggedObject) for one in value):
            objects += [(f"{prefix}{key}/{i}", one) for i, one in enumerate(value)]
        elif isinstance(value, Mapping):
            inner, more = parted(value, f"{prefix}{key}/")
            if inner or not value:
                values[key] = inner
            objects += more
        elif hasattr(value, "savefig"):  # a figure, or the pyplot module
            objects.append((f"{prefix}{key}", Image(value.gcf() if hasattr(value, "gcf") else value)))
        else:
            values[key] = number(value)
    return values, objects
