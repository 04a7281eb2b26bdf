"""Writers that wrap others: Tee several, ForwardingWriter one; Every writes every n-th frame, Nowhere none."""

from __future__ import annotations

import contextlib
import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from trainlog.codec import Writer
from trainlog.conventions import REWIND, RUN_STATE
from trainlog.errors import raise_together
from trainlog.model import Frame, Kind, KindLike
from trainlog.table.table import Table

__all__ = ["Every", "ForwardingWriter", "Nowhere", "Tee", "WrappingWriter", "first_to_drop", "snapshot"]

_IMMUTABLE: Final = frozenset([float, int, bool, str, bytes, type(None)])
_DEPTH: Final = 300  # nesting of lists and maps


def first_to_drop(count: int, frame_at: Callable[[int], Frame]) -> int | None:
    """The index of the waiting frame to drop when there is no more room; None if none of *count* can be dropped.

    It is the oldest frame that is neither a rewind nor the last state of the run: without the rewinds, frames that
    training has replaced would count. Of two rewinds with nothing between them, the one to the earlier step has the
    effect of both, and a later state repeats everything in an earlier one. The frames are looked up one by one, because
    a signal handler that adds one would end an iteration.
    """
    rewinds: list[tuple[int, float]] = []
    state: int | None = None
    for place in range(count):
        frame = frame_at(place)
        if _is_rewind(frame):
            rewinds.append((place, _step(frame)))
        elif frame.kind != RUN_STATE:
            return place
        elif state is not None:
            return state
        else:
            state = place
    if len(rewinds) < 2:
        return None
    (first, step), (second, next_step), *_ = rewinds
    return second if step <= next_step else first


def _is_rewind(frame: Frame) -> bool:
    return frame.kind == Kind.EVENT and REWIND.items() <= frame.data.items()


def _step(rewind: Frame) -> float:
    step = rewind.data.get("step")
    return step if isinstance(step, int | float) else math.inf


class Tee(Writer):
    """Writes every frame to each of several writers, and closes them all.

    An error of one writer is raised after the others were called.
    """

    def __init__(self, *writers: Writer) -> None:
        self._writers = writers

    def write(self, frame: Frame) -> None:
        """Write *frame* to each."""
        self._for_each(lambda writer: writer.write(frame))

    def flush(self) -> None:
        """Flush each."""
        self._for_each(lambda writer: writer.flush())

    def sync(self) -> None:
        """Sync each."""
        self._for_each(lambda writer: writer.sync())

    def close(self) -> None:
        """Close each."""
        self._for_each(lambda writer: writer.close())

    def _for_each(self, call: Callable[[Writer], None]) -> None:
        errors: list[Exception] = []
        for writer in self._writers:
            try:
                call(writer)
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
        raise_together(errors, "several of the writers failed")


class Nowhere(Writer):
    """Writes nothing."""

    keeps_run_state = True

    def write(self, frame: Frame) -> None:
        """Write nothing."""

    def put(self, time: float, kind: Kind, data: Mapping[Any, Any]) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Do nothing."""


class WrappingWriter(Writer):
    """Wraps another writer. A subclass writes the frames; everything else, with its lock, is forwarded."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.lock = writer.lock
        self.keeps_run_state = writer.keeps_run_state

    @property
    def losses(self) -> Mapping[str, int]:  # type: ignore[override]
        """What the other writer could not hold."""
        return self._writer.losses

    def check(self, frame: Frame) -> None:
        """Raise what the other writer would raise for *frame*."""
        self._writer.check(frame)

    def size(self) -> int | None:
        """The size of the other writer's log."""
        return self._writer.size()

    def flush(self) -> None:
        """Flush the other writer."""
        self._writer.flush()

    def sync(self) -> None:
        """Sync the other writer."""
        self._writer.sync()

    def close(self) -> None:
        """Close the other writer."""
        self._writer.close()


class ForwardingWriter(WrappingWriter):
    """Wraps another writer, and forwards the frames to it as they are."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(writer)
        self.writes_together = writer.writes_together
        self.put = writer.put  # type: ignore[method-assign]  # the hot path of the training loop

    def write(self, frame: Frame) -> None:
        """Write *frame* to the other writer."""
        self._writer.write(frame)

    def put_many(self, frames: Sequence[Frame]) -> None:
        """Write *frames* to the other writer."""
        self._writer.put_many(frames)

    def write_table(self, table: Table) -> None:
        """Write the rows of *table* to the other writer."""
        self._writer.write_table(table)


class Every(WrappingWriter):
    """Writes one of every *n* frames of a kind, beginning with the first, and all frames of other kinds.

    Args:
        writer: the writer that the frames go to.
        n: 1 for every frame.
        kind: the kind that is thinned out; None means every kind, each counted separately.

    """

    def __init__(self, writer: Writer, n: int, kind: KindLike | None = None) -> None:
        if n < 1:
            raise ValueError(f"n is at least 1, not {n}")
        super().__init__(writer)
        self._n = n
        self._kind = None if kind is None else Kind.of(kind)
        self._counts: Counter[Kind] = Counter()

    def write(self, frame: Frame) -> None:
        """Write *frame*, or skip it."""
        if self._kind in (None, frame.kind):
            count = self._counts[frame.kind]
            self._counts[frame.kind] += 1
            if count % self._n:
                return
        self._writer.write(frame)


def snapshot(value: Any, left: int = _DEPTH) -> Any:
    """Copy *value*: simulators and trainers change their arrays, tensors and queues in place at the next step.

    Values that cannot be copied, or are nested deeper than a log can hold, are returned as they are, because the other
    writer raises a better error.
    """
    if type(value) in _IMMUTABLE or not left:
        return value
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.copy()
    if isinstance(value, Mapping):
        return {key: snapshot(item, left - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [snapshot(item, left - 1) for item in value]
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, np.generic):
        return value.copy()  # a record is a view of its array
    if is_tensor := hasattr(value, "__array__") and not isinstance(value, np.ndarray):
        with contextlib.suppress(Exception):  # on a device, with a gradient, of a type that numpy does not have
            return np.array(value)
    try:
        return value.detach().clone() if is_tensor and hasattr(value, "detach") else copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - third-party objects can raise anything
        return value
