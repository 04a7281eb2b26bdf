"""Writing an event file: numbers as scalars, vectors as tensors, events as text."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainlog.codec import Writer
from trainlog.codecs.plain_object import as_array, plain_array
from trainlog.codecs.tensorboard.events import (
    KEPT,
    packed_event,
    packed_scalars,
    packed_session,
    packed_tensor,
    packed_text,
    packed_value,
)
from trainlog.codecs.tensorboard.wire import packed_record
from trainlog.conventions import began_at
from trainlog.model import Frame, Header, Kind
from trainlog.storage.append import AppendFile
from trainlog.strictjson import lenient_json
from trainlog.table.values import flatten, number

__all__ = ["TensorBoardWriter"]


class TensorBoardWriter(Writer):
    """Writer of an event file. `losses` counts what it cannot hold: words and maps of frames, digits of numbers."""

    def __init__(self, path: Path, header: Header) -> None:
        began = began_at(header)
        self._began = time.time() if began is None else began
        self._step = 0
        self.losses: Counter[str] = Counter()
        first = packed_record(packed_event(self._began, version=True))
        meta = {key: value for key, value in header.meta.items() if isinstance(value, str | int | float | bool)}
        if meta:
            first += packed_record(packed_event(self._began, values=[packed_session(meta)]))
        if len(meta) < len(header.meta):
            self.losses["metadata other than numbers, words or bools"] += len(header.meta) - len(meta)
        self.losses.update(f"header: {name}" for name in ("phase", "variables", "run", "end") if getattr(header, name))
        self._file = AppendFile(path, first)
        self.lock = self._file.lock

    def write(self, frame: Frame) -> None:
        """Write one frame; see `trainlog.codec.Writer.write`."""
        self.check(frame)
        losses: Counter[str] = Counter()
        stated = _plain(frame.data.get("step", self._step))
        step = _int_of(stated, self._step)
        if step != stated and frame.kind in (Kind.STATS, Kind.EVENT):
            losses[f"steps that are not whole numbers, of {frame.kind} frames"] += 1
        values = [_event(frame.data, losses)] if frame.kind == Kind.EVENT else _values(frame, losses)
        if not values and not losses:
            losses[f"{frame.kind} frames without values"] += 1
        if values:
            self._file.append(packed_record(packed_event(self._began + float(frame.time), step, values=values)))
        self._step = step
        self.losses.update(losses)

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        self._file.sync()

    def close(self) -> None:
        """Close the file; nothing was held back."""
        self._file.close()


def _int_of(value: Any, otherwise: int) -> int:
    is_number = isinstance(value, int | float | np.integer | np.floating)
    return int(value) if is_number and abs(number(value)) < 2**63 else otherwise


def _plain(value: Any) -> Any:
    """An array, a tensor or a number of numpy as a list or a number; any other *value* as it is."""
    return plain_array(value) if hasattr(value, "__array__") else value


def _event(data: Mapping[Any, Any], losses: Counter[str]) -> bytes:
    """The value of a summary for an event frame; its other keys are counted."""
    data = {key: _plain(value) for key, value in data.items()}
    value = packed_value(data)
    if value is not None:
        kept = KEPT[data["type"]]
    else:
        if "file" in data and "tag" in data:  # as `trainlog.media` records them
            losses[f"files next to the log, of {data.get('type')} events"] += 1
        text = data.get("msg")
        kept = {"msg"} if isinstance(text, str) else set(data)
        if not isinstance(text, str):
            text = lenient_json({str(key): value for key, value in data.items()})
        value = packed_text(f"event/{data.get('type', '')}", text)
    if others := data.keys() - kept - {"type", "step"}:
        losses["keys of events besides their text"] += len(others)
    return value


def _values(frame: Frame, losses: Counter[str]) -> list[bytes]:
    """The numbers of *frame* as scalars and its vectors as tensors; anything else is counted."""
    scalars: list[tuple[str, float]] = []
    tensors: list[bytes] = []
    prefix = "" if frame.kind == Kind.STATS else f"{frame.kind}/"
    with np.errstate(over="ignore"):
        for name, value in flatten(frame.data).items():
            if name == "step" and frame.kind == Kind.STATS:
                continue
            if not isinstance(value, int | float | np.number | np.bool_) or isinstance(value, complex):
                value = as_array(value) if hasattr(value, "__array__") else value
                is_vector = isinstance(value, list | tuple | np.ndarray)
                tensor = packed_tensor(prefix + name, value) if is_vector else None
                if tensor is None:
                    losses[f"values that are not numbers, of {frame.kind} frames"] += 1
                else:
                    tensors.append(tensor)
                continue
            single = float(np.float32(number(value)))
            if single != value and value == value:
                losses["digits beyond single precision, of this many numbers"] += 1
            scalars.append((prefix + name, single))
    return [*packed_scalars(scalars), *tensors]
