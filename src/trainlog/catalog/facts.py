"""What is known of one log without keeping any of its frames: header, state, times, and a digest of each metric."""

from __future__ import annotations

import math
import socket
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from trainlog import registry
from trainlog.codec import Reader
from trainlog.conventions import Conventions, task_of
from trainlog.errors import CodecError, InvalidPosition, TrainlogError, TrainlogWarning, UnknownFormat
from trainlog.model import Kind
from trainlog.scan import Batch, Gap, Scan
from trainlog.storage.locks import lock_owner
from trainlog.table.builder import TableBuilder
from trainlog.table.column import Column, SparseColumn
from trainlog.table.table import Table
from trainlog.table.values import flatten, number

__all__ = ["OPEN_STATES", "STATES", "Digest", "Facts", "Metric", "State", "facts_of", "log_of", "state_of"]

State = str
"""One of `STATES`."""

STATES: Final[Mapping[State, str]] = {
    "running": "a process of this machine holds the log open, or it says of no end and grew shortly ago",
    "stalled": "a process holds it open, and has written nothing for five minutes",
    "finished": "it came to its end, by its own word",
    "failed": "an exception, or an exit code, ended it",
    "interrupted": "Ctrl-C, or somebody else, ended it",
    "killed": "nobody writes it, and it says of no end, though its recorder would have; or it ends inside a record",
    "ended": "nobody writes it; how it ended, a log of its kind does not say",
    "unreadable": "its header cannot be read",
}
"""The states of a run."""

OPEN_STATES: Final = frozenset(["running", "stalled"])
"""Those that end without a change of any file."""

LIVE: Final = 20.0  # a log that grew within so many seconds is being written, by another machine perhaps
_LIVE_ELSEWHERE: Final = 600.0  # the same for one that says that another machine writes it: its locks are not seen here
_SILENT: Final = 300.0  # seconds after which the writer of a log that holds it open is said to be stalled
_SMALL: Final = 1 << 16  # bytes of a log that is read as frames, and as a whole after each change
_INT64: Final = 1 << 63
_MAY_BE_NUMBER: Final = frozenset("+-.0123456789 \t\n\r\v\fnNiITF")  # first letters of text that `number` may take
_MOST_METRICS: Final = 4096  # of a kind; in a hostile log every frame has keys of its own
_MEASURED: Final = (Kind.STATS, Kind.EVOLUTION)
_LAST: Final = "last/"  # what the columns of last values begin with
HERE: Final = socket.gethostname()


@dataclass(slots=True)
class Metric:
    """The digest of one column.

    Attributes:
        types: what its values are: letters of numpy's dtypes, with the shape of arrays, such as ``f`` or ``f8(3,)``.
        rows: how many rows have a value.
        first, last: of its finite numbers, and likewise
        low, high, total: the lowest, the highest and the sum of them; NaN without any.
        numbers: how many finite numbers there are.

    """

    types: set[str] = field(default_factory=set)
    rows: int = 0
    first: float = math.nan
    last: float = math.nan
    low: float = math.nan
    high: float = math.nan
    total: float = 0.0
    numbers: int = 0

    def add(self, column: Column) -> None:
        """Count the rows of *column*."""
        values, state = column
        if state is not None:
            values = values[column.valid]
        if not len(values):
            return
        self.rows += len(values)
        self.types |= _types_of(values)
        if values.ndim == 1 and values.dtype.kind == "O":
            values = np.fromiter((number(one) if not isinstance(one, bool) else math.nan for one in values), np.float64)
        if values.ndim > 1 or values.dtype.kind not in "fiub":
            return
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        if not len(values):
            return
        self.first = self.first if self.numbers else float(values[0])
        self.last = float(values[-1])
        self.low = min(float(values.min()), self.low if self.numbers else math.inf)
        self.high = max(float(values.max()), self.high if self.numbers else -math.inf)
        self.total += float(values.sum(dtype=np.float64))
        self.numbers += len(values)

    @property
    def mean(self) -> float:
        """Of its finite numbers; NaN without any."""
        return self.total / self.numbers if self.numbers else math.nan

    @property
    def varies(self) -> bool:
        """Whether it has two different finite numbers."""
        return self.low < self.high

    def packed(self) -> list[Any]:
        """As plain values."""
        return [sorted(self.types), self.rows, self.first, self.last, self.low, self.high, self.total, self.numbers]

    @classmethod
    def unpacked(cls, values: Any) -> Self:
        """The inverse of `packed`; raises TypeError or ValueError for what is none."""
        types, *rest = values
        return cls(set(types), *rest)


def _add_all(kind: str, metrics: list[Metric], values: npt.NDArray[Any]) -> None:
    """`Metric.add` for columns of one dtype together, shape (metrics, rows): most logs are small, and have many."""
    low, high = values.min(axis=1), values.max(axis=1)
    if kind == "f" and not np.isfinite(low + high).all():  # also where the sum alone is not finite
        for metric, one in zip(metrics, values, strict=True):
            metric.add(Column(one))
        return
    numbers = zip(values[:, 0], values[:, -1], low, high, values.sum(axis=1, dtype=np.float64), strict=True)
    for metric, each in zip(metrics, numbers, strict=True):
        first, last, lowest, highest, total = map(float, each)
        metric.rows += values.shape[1]
        metric.types.add(kind)
        known = metric.numbers > 0
        metric.first = metric.first if known else first
        metric.last = last
        metric.low = min(lowest, metric.low) if known else lowest
        metric.high = max(highest, metric.high) if known else highest
        metric.total += total
        metric.numbers += values.shape[1]


def _columns_of(frames: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]:
    """The values of each key, in the order of the frames that have it."""
    keys = tuple(frames[0]) if frames else ()
    if all(tuple(one) == keys for one in frames):  # nearly always, and then it takes a third of the time
        return dict(zip(keys, zip(*(one.values() for one in frames), strict=True), strict=True))
    columns: dict[str, list[Any]] = {}
    for one in frames:
        for key, value in one.items():
            columns.setdefault(key, []).append(value)
    return columns


def _summary(values: Sequence[Any]) -> Metric | None:
    """The digest of these numbers, or words; None for all else."""
    types = set(map(type, values))
    if types == {str}:
        return (
            None
            if any(value[:1] in _MAY_BE_NUMBER or not value.isascii() for value in values)
            else Metric({"U"}, len(values))
        )
    if types not in ({float}, {int}):
        return None
    low, high = min(values), max(values)
    if not -_INT64 <= low <= high < _INT64:  # before the sum, which fsum refuses for infinities and huge numbers
        return None
    total = math.fsum(values) if types == {float} else sum(values)
    if not math.isfinite(total):
        return None
    first, last, total = float(values[0]), float(values[-1]), float(total)
    kind = "f" if types == {float} else "i"
    return Metric({kind}, len(values), first, last, float(low), float(high), total, len(values))


def _types_of(values: npt.NDArray[Any]) -> set[str]:
    if values.dtype.kind == "O":
        found = values.tolist()
        return {_array_type(one) if type(one) is np.ndarray else _OBJECTS.get(type(one), "O") for one in found}
    return {_array_type(values[0])} if values.ndim > 1 else {values.dtype.kind}


def _array_type(one: npt.NDArray[Any]) -> str:
    return f"{one.dtype.str[1:]}{one.shape}".replace(" ", "")


_TEXT: Final = frozenset([str])
_OBJECTS: Final[Mapping[type, str]] = {str: "U", bool: "b", int: "i", float: "f", bytes: "S"}


@dataclass(slots=True)
class Digest:
    """The metrics of a log, by kind and column."""

    kinds: dict[int, dict[str, Metric]] = field(default_factory=dict)
    spans: dict[int, list[float]] = field(default_factory=dict)  # rows, first and last time

    def add(self, table: Table) -> None:
        """Count the rows of *table*. A mean of numbers whose sum is too large for a float is infinite."""
        with np.errstate(over="ignore", invalid="ignore"):
            self._add(table)

    def _add(self, table: Table) -> None:
        span = self.spans.setdefault(int(table.kind), [0, float(table.time[0]), 0.0])
        span[0] += table.rows
        span[2] = float(table.time[-1])
        metrics = self.kinds.setdefault(int(table.kind), {})
        plain: dict[str, list[tuple[Metric, npt.NDArray[Any]]]] = {}
        for key in table:
            if key not in metrics:
                if len(metrics) >= _MOST_METRICS:
                    continue
                metrics[key] = Metric()
            one = table.stored(key)
            column = one.held if isinstance(one, SparseColumn) else one
            if column.state is None and column.values.ndim == 1 and column.values.dtype.kind in "fi" and table.rows:
                plain.setdefault(column.values.dtype.kind, []).append((metrics[key], column.values))
            else:
                metrics[key].add(column)
        for kind, columns in plain.items():
            _add_all(kind, [metric for metric, _ in columns], np.stack([values for _, values in columns]))

    def add_frames(self, kind: Kind, times: Sequence[float], frames: Sequence[Mapping[Any, Any]]) -> None:
        """Count the frames of a small log: the same as `add` of their table, which would take most of the time."""
        columns = _columns_of(frames)
        summaries = {key: _summary(values) for key, values in columns.items()}
        if len(columns) > _MOST_METRICS or None in summaries.values() or not _TEXT.issuperset(map(type, columns)):
            builder = TableBuilder(kind)
            builder.add_frames(times, frames)
            self.add(builder.finish())
            return
        self.spans[int(kind)] = [len(times), times[0], times[-1]]
        self.kinds[int(kind)] = {key: one for key, one in summaries.items() if one is not None}

    def packed(self) -> dict[str, Any]:
        """As plain values."""
        kinds = {str(kind): {key: one.packed() for key, one in metrics.items()} for kind, metrics in self.kinds.items()}
        return {"kinds": kinds, "spans": {str(kind): span for kind, span in self.spans.items()}}

    @classmethod
    def unpacked(cls, values: Any) -> Self:
        """The inverse of `packed`; raises KeyError, TypeError, ValueError or AttributeError for what is none."""
        kinds = {
            int(kind): {key: Metric.unpacked(one) for key, one in metrics.items()}
            for kind, metrics in values["kinds"].items()
        }
        return cls(kinds, {int(kind): [*span] for kind, span in values["spans"].items()})


@dataclass(slots=True)
class Facts:
    """What the catalog keeps of a log.

    Attributes:
        files: names of its files, relative to its own folder.
        format: name of its codec; empty for what is no log.
        rank: of a shard; None for all else.
        meta: the metadata, flattened.
        task: what the run does, by its metadata; empty where they do not say.
        run: where it comes from, flattened, without the patch; see `trainlog.model.Header`.
        end: how it ended by its own word; empty where it does not say.
        reason: what ended it.
        phase: of the header.
        state: see `State`.
        error: why it cannot be read.
        size: bytes of all files.
        changed: when the last of them was, in seconds since 1970.
        frames: of all kinds; None before it was read.
        duration: time of the last frame, in seconds since the run began.
        torn: whether it ends inside a record.
        holes: places of bytes that are no record, and how many bytes that are.
        last: the last finite number of each metric, by the name of the column: ``last/reward``. Bools are 1 and 0.
        reward, step: the metrics that are these, by the log's own conventions; empty for none.
        read: whether all of it was read, so that frames, duration, damage and metrics are known.

    """

    files: list[str] = field(default_factory=list)
    format: str = ""
    rank: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    task: str = ""
    run: dict[str, Any] = field(default_factory=dict)
    end: str = ""
    reason: str = ""
    phase: int = 0
    state: State = "ended"
    error: str = ""
    size: int = 0
    changed: float = 0.0
    frames: int | None = None
    duration: float | None = None
    torn: bool = False
    holes: int = 0
    damage: int = 0
    last: dict[str, float] = field(default_factory=dict)
    reward: str = ""
    step: str = ""
    read: bool = False

    @property
    def problem(self) -> str:
        """What is wrong with it; empty for nothing. An unfinished record at the end is how a killed run ends."""
        if self.error:
            return self.error
        return f"{self.damage:,} bytes that are no record, in {self.holes} places" if self.holes else ""

    def last_of(self, metric: str) -> float | None:
        """The last finite number of a metric."""
        return self.last.get(f"{_LAST}{metric}")

    def packed(self) -> list[Any]:
        """As plain values, in the order of the fields: there are many thousand of them."""
        return [getattr(self, name) for name in self.__slots__]


def log_of(path: Path) -> tuple[Reader | None, Facts]:
    """The log that *path* belongs to, with what its header says; no reader for what is no log, or cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainlogWarning)
            reader = registry.open(path)
    except UnknownFormat as error:
        is_refused = isinstance(error.__cause__, PermissionError) and bool(registry.suffix_of(path))
        if not is_refused and not registry.is_accepted(path):
            return None, Facts()
        return None, Facts([path.name], "?", state="unreadable", error=error.message)
    except CodecError:  # a picture
        return None, Facts()
    except TrainlogError as error:
        return None, Facts([path.name], "?", state="unreadable", error=error.message)
    shard = reader.header.meta.get("shard")
    declared = shard.get("rank") if isinstance(shard, dict) else None
    header, files = reader.header, [path.name]
    if reader.files != (path,):
        folder = path if path.is_dir() else path.parent
        files = [file.relative_to(folder).as_posix() for file in reader.files if file.is_relative_to(folder)] or files
    meta = {key: value for key, value in flatten(header.meta).items() if key not in ("shard", "variables")}
    facts = Facts(
        files,
        reader.codec_name,
        declared if isinstance(declared, int) else None,
        meta,
        task_of(meta),
        {key: value for key, value in flatten(header.run).items() if key != "git/patch"},
        phase=header.phase,
    )
    if header.end is not None:
        facts.end, facts.reason = header.end.state, header.end.reason
    return reader, facts


def facts_of(path: Path, *, read: bool, before: tuple[Facts, Digest, str] | None = None) -> tuple[Facts, Digest, str]:
    """What there is to know of the log at *path*.

    Args:
        path: the log.
        read: whether to read its frames, too.
        before: what was known of it, to read only what was appended since.

    Returns:
        The facts, the digest, and the position until which the log was read.

    """
    reader, facts = log_of(path)
    if reader is None:
        return facts, Digest(), ""
    stats = [file.stat() for file in reader.files if file.exists()]
    facts.size = sum(one.st_size for one in stats)
    facts.changed = max((one.st_mtime for one in stats), default=0.0)
    digest, position = Digest(), ""
    if read and facts.rank is None:
        try:
            facts.torn, digest, position = _read(reader, facts, before)
        except TrainlogError as error:  # such as a disk that fails
            facts.error = error.message
            return facts, digest, ""
    facts.state = state_of(facts, reader.files)
    return facts, digest, position


def state_of(facts: Facts, files: Iterable[Path]) -> State:
    """The state of a log now; what is not running can only become so by a change of its files."""
    if facts.state == "unreadable":
        return facts.state
    age = time.time() - facts.changed
    if any(map(lock_owner, files)):
        return "stalled" if age >= _SILENT else "running"
    if facts.end:
        return facts.end
    is_elsewhere = facts.run.get("host", HERE) != HERE
    if 0 <= age < (_LIVE_ELSEWHERE if is_elsewhere else LIVE):
        return "running"
    return "killed" if facts.torn or facts.run else "ended"


def _read(reader: Reader, facts: Facts, before: tuple[Facts, Digest, str] | None) -> tuple[bool, Digest, str]:
    """Read the frames into *facts* and a digest; whether the log ends inside a record."""
    gaps: list[Gap] = []
    if facts.size <= _SMALL:
        digest, position = _of_frames(reader, gaps), ""
    elif before is not None and before[2]:
        known, digest, position = before
        try:
            position = _add(digest, reader, position, gaps)
            facts.holes, facts.damage = known.holes, known.damage
        except InvalidPosition:  # it was replaced, or training went back
            gaps.clear()
            digest = Digest()
            position = _add(digest, reader, None, gaps)
    else:
        digest = Digest()
        position = _add(digest, reader, None, gaps)
    facts.holes += sum(not gap.torn for gap in gaps)
    facts.damage += sum(gap.size for gap in gaps if not gap.torn)
    facts.frames = int(sum(span[0] for span in digest.spans.values()))
    facts.duration = max((span[2] for span in digest.spans.values()), default=0.0)
    metrics = _metrics_of(digest)
    facts.last = {f"{_LAST}{key}": metric.last for key, metric in metrics.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainlogWarning)
        conventions = Conventions.of(reader.header)
    facts.reward = conventions.reward(metrics) or ""
    facts.step = conventions.find("step", metrics, lambda key: metrics[key].varies or metrics[key].rows == 1) or ""
    facts.read = True
    return any(gap.torn for gap in gaps), digest, position


def _of_frames(reader: Reader, gaps: list[Gap]) -> Digest:
    """The digest of a small log."""
    digest = Digest()
    found: dict[Kind, tuple[list[float], list[Mapping[Any, Any]]]] = {}
    for time_, kind, data in reader.frames(on_damage=gaps.append):
        times, frames = found.setdefault(kind, ([], []))
        times.append(time_)
        frames.append(data)
    for kind, (times, frames) in found.items():
        digest.add_frames(kind, times, frames)
    return digest


def _add(digest: Digest, reader: Reader, position: str | None, gaps: list[Gap]) -> str:
    batch: Batch | None = None
    for batch in reader.scan(Scan(after=position, on_damage=gaps.append)):
        if batch.table.rows:
            digest.add(batch.table)
    return position or "" if batch is None else batch.position


def _metrics_of(digest: Digest) -> dict[str, Metric]:
    """The metrics of stats that have a finite number, and those of generations where stats do not have them."""
    found: dict[str, Metric] = {}
    for kind in _MEASURED:
        for key, metric in digest.kinds.get(int(kind), {}).items():
            if metric.numbers:
                found.setdefault(key, metric)
    return found
