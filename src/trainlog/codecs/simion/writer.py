"""Writing an RLSimion log that the original program's reader opens."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import nan
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.codec import Writer
from trainlog.codecs.simion.declare_columns import leaves, number
from trainlog.codecs.simion.descriptor import MAX_SIZE, can_hold, parse
from trainlog.codecs.simion.frames import FUNCTION_SAMPLE, UNFINISHED, keys_for
from trainlog.codecs.simion.functions import Sample, SampleHead
from trainlog.codecs.simion.layout import (
    CLOCKS,
    EPISODE,
    EPISODE_END,
    EPISODES_AT,
    EXPERIMENT,
    HEAD_WORDS,
    MAX_VARIABLES,
    STEP,
    STEP_CLOCKS,
    STEP_INDEX,
    STEP_KEYS,
    Magic,
)
from trainlog.codecs.simion.log_files import names_of
from trainlog.codecs.simion.provenance import KEY, Origin
from trainlog.conventions import EPISODE_END as END
from trainlog.conventions import EPISODE_START as START
from trainlog.episode_summary import EpisodeType, is_summary
from trainlog.errors import LogWriteError, UnsupportedFrame
from trainlog.model import Frame, Header, Kind
from trainlog.storage.append import AppendFile
from trainlog.table.table import Table

__all__ = ["SimionWriter"]

_MOST_INT: Final = 1 << 53  # doubles hold all ints up to this one
_OF_AN_EPISODE: Final = frozenset(["type", "msg", "episode", "episode_type", "index", "sub_index", "variables"])


@dataclass(slots=True)
class _Open:
    """The episode that is being written."""

    began: float
    keys: tuple[str, ...]
    last: int = 0  # the last step
    is_implied: bool = False  # no event started it, so none will end it


class SimionWriter(Writer):
    """Writer of a new RLSimion log.

    Creature frames become steps, with the values of the header's variables by their keys. Events of the types
    ``episode_start`` (with ``episode_type``, ``index``, ``sub_index``), ``episode_end`` and ``function_sample`` become
    the records of those names. Each record is written at once, and the file's count of episodes is updated at the end
    of each episode, so that a killed run leaves a readable log.

    What such a log cannot hold is not written but counted in ``losses``. A step that comes before any episode starts
    a training episode, which ends with the log. Where a step lacks a value, the last one from another frame is used,
    or NaN; both cases are counted.
    """

    def __init__(self, path: Path, header: Header) -> None:
        """Create the files.

        Raises:
            LogExists: when one of them already exists.
            LogWriteError: when they cannot be created.
            UnsupportedFrame: when the header declares no variables, too many for a descriptor, or functions that no
                function log can hold.

        """
        self._origin = Origin.of(header)
        if not header.variables and not self._origin.is_simion:
            raise UnsupportedFrame(
                "an RLSimion log has only declared columns: name the keys for state, action, reward and statistics"
            )
        self.losses: Counter[str] = Counter()
        if not self._origin.is_simion:
            self.losses.update(f"header: {key}" for key in header.meta if key not in ("scene", KEY))
        self.losses.update(f"header: {name}" for name in ("phase", "run", "end") if getattr(header, name))
        texts = [str(header.meta.get("scene", "")), *(one.name + one.unit for one in header.variables)]
        if odd := sum(not can_hold(text) for text in texts):
            self.losses["names with characters that XML cannot hold"] += odd
        self._keys = tuple(variable.key for variable in header.variables)
        self._known = frozenset((*STEP_KEYS, *self._keys))
        self._values = _getter(self._keys)
        self._latest: dict[str, float] = {}
        self._unused: dict[str, Kind] = {}  # keys whose latest value is in no step so far, and the kind of its frame
        self._open: _Open | None = None
        self._started: Counter[int] = Counter()
        self._ended = 0
        functions = self._origin.functions
        self._declared = {one.id: one for one in functions.declared} if functions else {}
        self._functions: AppendFile | None = None
        self._begin(names_of(path), header)

    def _begin(self, names: tuple[Path, Path, Path], header: Header) -> None:
        path, data, learned = names
        text = self._origin.descriptor_for(header, *names)
        if len(text) > MAX_SIZE:
            raise UnsupportedFrame(
                f"the descriptor of {len(header.variables):,} variables would have {len(text):,} bytes; "
                f"{MAX_SIZE:,} are the most"
            )
        for variable, kept in zip(header.variables, parse(text, path).variables, strict=False):
            facts = {fact: getattr(variable, fact) for fact in ("unit", "low", "high", "circular")}
            self.losses.update(
                f"header: {fact} of a {variable.role} variable"
                for fact, value in facts.items()
                if value == value and getattr(kept, fact) != value
            )
        version, episodes = self._origin.version, self._origin.episodes
        first = b"" if version is None else EXPERIMENT.pack(Magic.EXPERIMENT, version, episodes or 0)
        self._data = AppendFile(data, first)
        self.lock = self._data.lock
        self._files = [self._data]
        try:
            if self._origin.functions is not None:
                self._functions = AppendFile(learned, self._origin.functions.pack())
                self._files.append(self._functions)
            self._files.append(AppendFile(path, text))
        except BaseException:
            for file in self._files:
                file.close()
                file.path.unlink(missing_ok=True)
            raise

    def write(self, frame: Frame) -> None:
        """Write one frame; see `trainlog.codec.Writer.write`."""
        if frame.kind == self._origin.steps_are:
            self._write_step(frame)
        elif frame.kind == Kind.EVENT:
            self._write_event(frame)
        elif frame.kind != Kind.STATS or not is_summary(frame.data):
            self._leave_out(frame)

    def write_table(self, table: Table) -> None:
        """Write the rows of *table*; steps with exactly the declared variables are written all at once."""
        keys = self._open.keys if self._open else ()
        is_plain = all(table.column(name).state is None for name in table)
        is_plain = is_plain and all(one.ndim == 1 and (name == "step" or _fits(one)) for name, one in table.items())
        if self._open is None or not is_plain or [*table] != [*STEP_KEYS, *keys] or table["step"].dtype.kind != "i":
            super().write_table(table)
            return
        words = np.zeros((table.rows, HEAD_WORDS + len(keys)), "<i8")
        doubles = words.view("<f8")
        words[:, 0] = Magic.STEP
        words[:, STEP_INDEX] = table["step"]
        for places, names in ((STEP_CLOCKS.start, CLOCKS), (HEAD_WORDS, keys)):
            for place, name in enumerate(names, places):
                doubles[:, place] = table[name]
        self._data.append(words.tobytes())
        if table.rows:
            self._open.last = int(words[-1, STEP_INDEX])

    def _write_step(self, frame: Frame) -> None:
        data = frame.data
        keys = self._open.keys if self._open else self._keys
        began = self._open.began if self._open else frame.time
        values = self._values(data) if data.keys() == self._known else self._values_of(frame, keys)
        step = data.get("step")
        if type(step) is not int:
            whole = _whole(step)
            if whole is None and step is not None:
                self.losses[f"{frame.kind}: a step that is not a whole number, the next one was taken"] += 1
            step = (self._open.last if self._open else 0) + 1 if whole is None else whole
        real = data.get(CLOCKS[0], frame.time)
        sim = data.get(CLOCKS[1], frame.time - began)
        since = data.get(CLOCKS[2], frame.time - began)
        try:
            record = STEP.pack(Magic.STEP, step, real, sim, since) + struct.pack(f"<{len(values)}d", *values)
        except (struct.error, TypeError, OverflowError) as error:
            raise _unsupported(frame, (*keys, *STEP_KEYS)) from error
        episode = self._open or self._start(frame, {})
        self._data.append(record)
        episode.last = step
        for key, value in zip(keys, values, strict=True):
            if type(value) is int and float(value) != value:
                self.losses[f"{frame.kind}: digits of {key}, beyond double precision"] += 1

    def _values_of(self, frame: Frame, keys: tuple[str, ...]) -> list[Any]:
        """The values of a step whose frame holds keys other than the declared ones, or nested keys."""
        flat = leaves(frame.data)
        for key in flat.keys() - self._known - set(keys):
            self.losses[f"{frame.kind}: {key}"] += 1
        values: list[Any] = []
        for key in keys:
            if key not in flat:
                instead = "the last value was taken" if key in self._latest else "NaN was"
                self.losses[f"{frame.kind}: a step without {key}, {instead}"] += 1
                self._unused.pop(key, None)
            values.append(flat.get(key, self._latest.get(key, nan)))
        return values

    def _leave_out(self, frame: Frame) -> None:
        """Count what is lost from a frame that makes no step; its declared keys are kept for the steps that follow."""
        for key, value in leaves(frame.data).items():
            as_number = number(value)
            if key in self._keys and as_number is not None:
                self._count_unused(key)
                self._latest[key], self._unused[key] = as_number, frame.kind
            else:
                self.losses[f"{frame.kind}: {key}"] += 1

    def _count_unused(self, key: str) -> None:
        if (kind := self._unused.pop(key, None)) is not None:
            self.losses[f"{kind}: {key} that no step took"] += 1

    def _write_event(self, frame: Frame) -> None:
        what = frame.data.get("type")
        if what == START:
            self._start(frame, frame.data)
        elif what == END:
            self._end(frame)
        elif what == FUNCTION_SAMPLE:
            self._write_sample(frame)
        elif what == UNFINISHED and self._origin.is_simion:
            self._write_tail(frame)
        else:
            self.losses[f"{frame.kind}: {what}"] += 1

    def _start(self, frame: Frame, data: Mapping[Any, Any]) -> _Open:
        name = data.get("episode_type", str(EpisodeType.TRAINING))
        try:
            kind = EpisodeType.of(name)
        except (ValueError, TypeError, AttributeError):
            kind = EpisodeType.TRAINING
            self.losses[f"{frame.kind}: episode_type {name!r} became {kind}"] += 1
        self.losses.update(f"{frame.kind}: {key} of an {START}" for key in data.keys() - _OF_AN_EPISODE)
        width = data.get("variables", len(self._keys))
        index = data.get("index", self._started[kind] + 1)
        sub_index = data.get("sub_index", 0 if self._origin.version == 1 else 1)
        try:
            record = EPISODE.pack(Magic.EPISODE, kind, index, width, sub_index)
        except struct.error as error:
            raise _unsupported(frame, ("index", "sub_index", "variables"), "int") from error
        if not 0 <= width <= MAX_VARIABLES:
            refused = UnsupportedFrame(f"an episode has 0 to {MAX_VARIABLES:,} variables, not {width:,}")
            refused.key = "variables"
            raise refused
        self._data.append(record)
        self._started[kind] += 1
        self._open = _Open(frame.time, keys_for(self._keys, width), is_implied=not data)
        return self._open

    def _end(self, frame: Frame) -> None:
        if self._open is None:
            self.losses[f"{frame.kind}: an {END} without an {START}"] += 1
        else:
            self.losses.update(f"{frame.kind}: {key} of an {END}" for key in frame.data.keys() - _OF_AN_EPISODE)
            self._finish()

    def _finish(self) -> None:
        self._data.append(EPISODE_END.pack(Magic.EPISODE_END))
        self._open = None
        self._ended += 1
        if not self._origin.is_simion and self._ended > (self._origin.episodes or 0):
            self._data.overwrite(EPISODES_AT, struct.pack("<q", self._ended))

    def _write_sample(self, frame: Frame) -> None:
        data = frame.data
        which = data.get("id")
        function = self._declared.get(which) if isinstance(which, int) else None
        if function is None or self._functions is None:
            self.losses[f"{frame.kind}: {FUNCTION_SAMPLE} of {data.get('function')!r}, which is not declared"] += 1
            return
        try:
            values = np.asarray(data["values"], np.float64).ravel()
            if values.size != function.size:
                raise ValueError(f"{values.size} values instead of {function.size}")
            head = SampleHead(function, data["episode"], data["step"], data["experiment_step"])
            record = Sample(head, values).pack()
        except (KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
            raise _unsupported(frame, ("episode", "step", "experiment_step", "values"), "int") from error
        self._functions.append(record)

    def _write_tail(self, frame: Frame) -> None:
        """Write the bytes of the unfinished record at the end of the original log; nothing comes after them."""
        file = self._functions if frame.data.get("part") == "functions" else self._data
        try:
            tail = bytes.fromhex(str(frame.data.get("hex", "")))
        except ValueError:
            tail = b""
        if file is None or not tail:
            self.losses[str(frame.data.get("msg", UNFINISHED))] += 1
        else:
            file.append(tail)

    def close(self) -> None:
        """Close the files; an episode that an event started and none ended stays without an end.

        Raises:
            LogWriteError: when the end cannot be written. The files are closed nevertheless.

        """
        for key in [*self._unused]:
            self._count_unused(key)
        try:
            if self._open is not None and self._open.is_implied:
                self._finish()
        except LogWriteError:
            self._open = None
            self._close_files()
            raise
        self._close_files()

    def _close_files(self) -> None:
        with ExitStack() as stack:
            for file in reversed(self._files):
                stack.callback(file.close)


def _getter(keys: Sequence[str]) -> Callable[[Mapping[Any, Any]], Sequence[Any]]:
    """A function that takes the values of *keys* from a mapping; it raises KeyError when one is missing."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda data: [data[key] for key in keys]


def _fits(column: npt.NDArray[Any]) -> bool:
    """Whether doubles hold all values of *column*."""
    if column.dtype.kind != "i":
        return column.dtype.kind == "f"
    return not len(column) or bool(column.min() >= -_MOST_INT and column.max() <= _MOST_INT)


def _whole(value: Any) -> int | None:
    """*value* as a step number if it can be one, otherwise None."""
    as_number = number(value)
    return int(as_number) if as_number is not None and 0 <= as_number < 2**63 and as_number % 1 == 0 else None


def _unsupported(frame: Frame, keys: Sequence[str], kind: str = "double") -> UnsupportedFrame:
    """The error that says which of the values *keys* of *frame* cannot be stored as a number of that kind."""
    flat = leaves(frame.data)
    for key in keys:
        if key in flat:
            try:
                struct.pack("<d" if kind == "double" else "<q", flat[key])
            except (struct.error, TypeError, OverflowError):
                what = f"its type is {type(flat[key]).__name__}, not {kind}"
                error = UnsupportedFrame(f"the value of {key!r} cannot be stored: {what}")
                error.key = key
                return error
    error = UnsupportedFrame(f"{', '.join(keys)}: one of these is out of range in this {frame.kind} frame, or missing")
    error.key = keys[0]
    return error
