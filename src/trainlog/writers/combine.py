"""Writers made of writers: Tee to several, Every so often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainlog.codec import Writer
from trainlog.model import Frame, Kind, KindLike

__all__ = ["Every", "Tee", "snapshot"]


class Tee(Writer):
    """Writes every frame to each of several writers, and closes them all."""

    def __init__(self, *writers: Writer) -> None:
        self._writers = writers

    def write(self, frame: Frame) -> None:
        """Write *frame* to each; the error of one does not keep it from the others."""
        _each([(writer.write, (frame,)) for writer in self._writers])

    def flush(self) -> None:
        """Flush each."""
        _each([(writer.flush, ()) for writer in self._writers])

    def sync(self) -> None:
        """Sync each."""
        _each([(writer.sync, ()) for writer in self._writers])

    def close(self) -> None:
        """Close each."""
        _each([(writer.close, ()) for writer in self._writers])


def _each(calls: list[tuple[Any, tuple[Any, ...]]]) -> None:
    errors: list[Exception] = []
    for call, arguments in calls:
        try:
            call(*arguments)
        except Exception as error:  # noqa: BLE001 - raised below, when the others had their turn
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup("several of the writers failed", errors)


class Every(Writer):
    """Writes one of every *n* frames of a kind, beginning with the first; frames of other kinds all pass.

    Args:
        writer: where to.
        n: 1 for every frame.
        kind: which kind is thinned; None for each kind by itself.

    """

    def __init__(self, writer: Writer, n: int, kind: KindLike | None = None) -> None:
        if n < 1:
            raise ValueError(f"every how many frames? n is at least 1, not {n}")
        self._writer = writer
        self._n = n
        self._kind = None if kind is None else Kind.of(kind)
        self._seen: Counter[Kind] = Counter()

    def write(self, frame: Frame) -> None:
        """Write *frame* if it is its turn."""
        if self._kind is None or frame.kind == self._kind:
            turn = self._seen[frame.kind] % self._n
            self._seen[frame.kind] += 1
            if turn:
                return
        self._writer.write(frame)

    def flush(self) -> None:
        """Flush the writer beneath."""
        self._writer.flush()

    def sync(self) -> None:
        """Sync the writer beneath."""
        self._writer.sync()

    def close(self) -> None:
        """Close the writer beneath."""
        self._writer.close()


def snapshot(value: Any) -> Any:
    """*value* as it is now: simulators hand out arrays, trainers tensors, that they change at the next step."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, Mapping):
        return {key: snapshot(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [snapshot(item) for item in value]
    if isinstance(value, bytearray):
        return bytes(value)
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        try:
            return np.array(value)
        except Exception:  # noqa: BLE001 - whatever a foreign __array__ raises; the writer will say what is wrong
            return value
    return value
