"""The base classes of every format: Codec, Reader, Writer."""

from __future__ import annotations

import importlib
import math
import os
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, Unpack

import numpy as np

from trainlog.conventions import Conventions
from trainlog.errors import CodecError, DamagedLog, EmptyLog, TruncatedLog, UnsupportedFrame
from trainlog.log_summary import Span, Summary
from trainlog.model import End, Frame, Header, Kind, KindLike
from trainlog.scan import Batch, FrameCounter, Gap, OnDamage, Place, Position, Scan, batches_of, stretches
from trainlog.storage.location import location
from trainlog.storage.locks import check_unused
from trainlog.storage.replace import temporary_beside
from trainlog.storage.source import Wait, never
from trainlog.table.table import Table
from trainlog.table.values import BATCH, STEP, Range, flatten, unknown_key

if TYPE_CHECKING:
    from trainlog.plot import Picture
    from trainlog.plot.options import PlotChoice
    from trainlog.verify_report import Repair, Verdict, What

__all__ = ["Archive", "Batch", "Codec", "Gap", "OnDamage", "Position", "Reader", "Scan", "Span", "Summary", "Writer"]

_SUMMARY_ROWS = 8192  # rows of a batch, limited because every frame of a hostile log may have its own keys


class Reader(ABC):
    """A log that can be read: a value made of a path and a header.

    It holds no open file, so that it can be iterated many times, in nested loops and from several threads, and can be
    pickled. A codec must implement ``frames``. Everything else is built on ``scan``, which is built on ``frames``
    unless the codec implements a faster one.

    Attributes:
        path: the log.
        header: the facts about the whole run that the log held when it was opened.
        codec_name: the name of the format, when `trainlog.open` returned the reader.
        keeps_order: whether a scan after a position gives frames the same orders as a scan from the beginning, however
            the log has grown in the meantime; `take` needs the orders of the latter.

    """

    path: Path
    header: Header
    codec_name: str = ""
    keeps_order: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike[str], header: Header) -> None:
        self.path = location(path)
        self.header = header

    @property
    def files(self) -> tuple[Path, ...]:
        """The existing files of the log; a codec whose logs have several files overrides this."""
        return (self.path,)

    @property
    def end(self) -> End | None:
        """How the run ended, according to the log; None where the log does not say, see `trainlog.model.Header`."""
        return self.header.end

    @abstractmethod
    def frames(
        self, kind: KindLike | None = None, *, wait: Wait = never, on_damage: OnDamage = "warn"
    ) -> Iterator[Frame]:
        """Yield the frames in the file's order.

        Args:
            kind: only frames of this kind; others are skipped undecoded where the format allows it.
            wait: called when the next frame is not there yet. True means that it is worth trying again (the function
                may sleep first, see ``follow``); False ends the iteration.
            on_damage: what to do about bytes that are not a record, see `trainlog.scan.OnDamage`. The iteration
                continues after them.

        Raises:
            TruncatedLog: with ``on_damage="raise"``, when the file ends inside a record.
            CorruptLog: with ``on_damage="raise"``, when bytes are not a record.

        """

    def scan(self, scan: Scan = Scan()) -> Iterator[Batch]:  # noqa: B008 - it is frozen
        """Yield the answer to *scan* in batches of columns, each with the position after it.

        A scan of one kind with ``batch_rows=None`` yields one batch.

        Raises:
            InvalidPosition: when ``scan.after`` does not fit the log, or no longer does.
            TruncatedLog, CorruptLog: with ``on_damage="raise"``, as ``frames``.

        """
        reader = self.with_superseded() if scan.superseded else self
        place = Place.parse(scan.after)
        counter = FrameCounter(reader.frames(on_damage=scan.on_damage), place, self.path)
        return batches_of(counter, scan, place, counter.check)

    def take(self, orders: Iterable[int]) -> Iterator[Frame]:
        """Yield the complete frames at *orders*: ascending values of `Batch.order` of this log, of any kinds.

        *orders* may be an iterator; it is advanced as the frames are taken. Frames that no longer exist are left out.
        """
        wanted = iter(orders)
        order = next(wanted, None)
        if order is None:
            return
        for number, frame in enumerate(self.frames(on_damage="ignore")):
            if number == order:
                yield frame
                order = next(wanted, None)
                if order is None:
                    return

    def table(
        self,
        kind: KindLike,
        *,
        keys: Sequence[str] | None = None,
        time: Range | None = None,
        steps: Range | None = None,
        last: int | None = None,
    ) -> Table:
        """Frames of one kind as numpy columns, without ever holding them as dicts; see `trainlog.Table`.

        Only the selected rows determine the table: a key that only other rows have is not a column of it.

        Args:
            kind: the kind of frames.
            keys: only these columns, in this order; a nested one by its flattened name (``gait/phase``).
            time: only frames in this range of seconds, a pair (from, to): *from* is included, *to* is not, and None
                leaves that end open.
            steps: the same for the frames' ``step``; a frame without a step, or whose step is not a number, is left
                out.
            last: of those, at most the last N.

        Raises:
            KeyError: for a key that none of these frames has, and for *steps* where the step has another name.
            ValueError: for a range that is not a pair of numbers, or *last* below 0.

        """
        kind = Kind.of(kind)
        (batch,) = self.scan(Scan(kinds=kind, columns=keys, time=time, steps=steps, last=last, batch_rows=None))
        if batch.table.rows:
            for key in keys or ():
                if key not in batch.table:
                    first = next(self.scan(Scan(kinds=kind, on_damage="ignore", batch_rows=BATCH)))
                    raise KeyError(unknown_key(key, first.table, kind))
        elif steps is not None:
            first = next(self.scan(Scan(kinds=kind, on_damage="ignore", batch_rows=BATCH)))
            other = Conventions.of(self.header).find("step", first.table)
            if other is not None and STEP not in first.table:
                raise KeyError(f"no {kind} frame has the key 'step', which steps= selects by; their step is {other!r}")
        return batch.table.select(keys)

    def slice(
        self, start: float | None = None, stop: float | None = None, kind: KindLike | None = None
    ) -> Iterator[Frame]:
        """Yield the frames from time *start* to before *stop*, in the log's order; None leaves that end open.

        Raises:
            ValueError: when one of them is not a number.

        """
        return self.take(self._orders(Scan(kinds=kind, columns=(), time=(start, stop))))

    def at(self, time: float, kind: KindLike = Kind.CREATURE) -> Frame:
        """The state at a *time* in seconds: the last frame of *kind* in the log that is not later.

        Raises:
            EmptyLog: when there is no such frame.
            ValueError: when *time* is not a number.

        """
        kind = Kind.of(kind)
        if not time == time:
            raise ValueError(f"time is a number of seconds, not {time!r}")
        until = None if time == math.inf else math.nextafter(time, math.inf)
        scan = Scan(kinds=kind, columns=(), time=(None, until), last=1, on_damage="ignore")
        found = next(self.take(self._orders(scan)), None)
        if found is None:
            raise EmptyLog(f"there is no {kind} frame up to {time:g} s", path=self.path)
        return found

    def _orders(self, scan: Scan) -> Iterator[int]:
        """Yield the places of the rows of *scan*, those of all kinds together, ascending."""
        for batches in stretches(self.scan(scan)):
            yield from np.sort(np.concatenate([batch.order for batch in batches.values()])).tolist()

    def contents(self, on_damage: OnDamage = "warn") -> Iterator[Frame | Table]:
        """Yield everything that a copy of this log must hold, in its order; consecutive frames may come as a `Table`.

        Each row of such a table is one frame, see `trainlog.Table.frames`. A codec overrides this where it makes a copy
        faster, or where a copy needs more than ``frames`` yields.
        """
        return self.frames(on_damage=on_damage)

    def summary(self, progress: Callable[[int], object] | None = None) -> Summary:
        """Read the whole log once and report what it holds; *progress* is called with the number of bytes done."""
        summary = Summary(size=sum(file.stat().st_size for file in self.files))
        done, end = 0, -1
        for batch in self.scan(Scan(on_damage=summary.gaps.append, batch_rows=_SUMMARY_ROWS)):
            if batch.table.rows:
                summary.kinds.setdefault(batch.table.kind, Span()).add(batch)
                if batch.order[-1] > end:
                    end, summary.duration = int(batch.order[-1]), float(batch.table.time[-1])
            done += batch.size
            if progress is not None:
                progress(done)
        summary.kinds = dict(sorted(summary.kinds.items()))
        if progress is not None:
            progress(summary.size)
        return summary

    def with_superseded(self) -> Reader:
        """The same log with its superseded frames, which are hidden otherwise.

        ``TrainingRecorder.rewind(step=N)`` supersedes the frames before it, from the first one on whose ``step`` is
        above N. Formats that cannot record a rewind hide nothing.
        """
        return self

    def verify(self, progress: Callable[[int], object] | None = None) -> Verdict:
        """Read the whole log and report its problems; *progress* as in `summary`."""
        from trainlog.verify_report import Problem, Verdict

        summary = self.summary(progress)
        verdict = Verdict(self.path, summary.size, Counter({kind: span.frames for kind, span in summary.kinds.items()}))
        for gap in summary.gaps:
            what: What = "torn tail" if gap.torn else "hole"
            verdict.problems.append(Problem(what, gap.offset, gap.size, str(gap), file=gap.file))
        if not verdict.problems:
            try:
                for _ in self.frames(on_damage="raise"):
                    pass
            except DamagedLog as error:
                offset = error.offset or 0
                what = "torn tail" if isinstance(error, TruncatedLog) else "hole"
                verdict.problems.append(Problem(what, offset, summary.size - offset, error.message))
        return verdict

    def frame_end(self, start: int, most: int) -> int | None:
        """Where a piece of the file that begins at byte *start* should end, so that it holds only whole frames.

        For copies of a log that is still being written: the pieces together are the file's bytes. They include damage
        in the middle, but not an unfinished frame at the end.

        Args:
            start: 0, or the result of an earlier call.
            most: the largest size of the piece in bytes; it is exceeded when the first frame is larger.

        Returns:
            The offset; *start* when there is no whole frame after it yet. None where a log is not one file that only
            grows.

        """
        return None

    def salvage(self, target: Path) -> Repair | None:
        """Write the whole frames into the new log *target*; None where converting the log does the same."""
        return None

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def plot(self, metric: str | None = None, **options: Unpack[PlotChoice]) -> Picture:
        """The figure of a metric (``reward``, ``creature:speed``), or the overview without one; notebooks show it.

        *options* are those of `trainlog.plot.PlotOptions`; `trainlog.plot.save_picture` writes the picture.

        Raises:
            PlotError: when the log lacks something that is named, or has nothing to draw.

        """
        plot = importlib.import_module("trainlog.plot")  # by name, as trainlog.plot depends on readers
        chosen = plot.PlotOptions(**options, **({} if metric is None else {"y": (metric,)}))
        picture: Picture = plot.pictures(plot.runs_of([self], chosen.y), chosen)[0]
        return picture

    def _repr_html_(self) -> str:
        """The facts of the run for a notebook; no frames are read."""
        from trainlog.table.html import facts_html

        facts = [(key, value) for key, value in flatten(self.header.meta).items() if value not in ("", "unknown")]
        facts += [(key, self.header.run[key]) for key in ("began", "host", "command") if key in self.header.run]
        if self.end is not None:
            facts.append((self.end.state, self.end.reason))
        return facts_html(str(self.path), facts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"


class Writer(ABC):
    """A log that is being written. Use it in a ``with`` statement; a codec implements ``write`` and ``close``.

    Attributes:
        losses: what the format could not hold: counts by a short description. A value that must not be lost raises
            instead, see ``write``.
        resumed_at: for a resumed log, the time of its last frame in seconds, if finite, or of one before it; else 0.0.
        lock: held while the file is changed, if there is one; a writer that wraps this one uses the same lock, so that
            two threads and a signal handler cannot deadlock.
        keeps_run_state: whether the format can store late metadata and how the run ended. These are frames of the kind
            `trainlog.conventions.RUN_STATE`; the last one counts, and the reader merges it into the header.
        writes_together: whether ``put_many`` writes all of its frames or none.

    """

    losses: Mapping[str, int] = MappingProxyType({})
    keeps_run_state: bool = False
    writes_together: bool = False
    resumed_at: float = 0.0
    lock: threading.RLock | None = None

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Write one frame; when this returns, the operating system has the frame.

        Raises:
            UnsupportedFrame: for a value that the format cannot hold; the log stays as it was.
            ClosedLog: after ``close``, and in a forked child of the process that made this writer.
            LogWriteError: when the system does not accept the bytes; everything written before is whole.

        """

    def put(self, time: float, kind: Kind, data: Mapping[Any, Any]) -> None:
        """``write(Frame(time, kind, data))``; a codec that is called in a training loop may do without the `Frame`."""
        self.write(Frame(time, kind, data))

    def put_many(self, frames: Sequence[Frame]) -> None:
        """Write these frames; a codec may use one system call for them. Raises as ``write``."""
        for frame in frames:
            self.write(frame)

    def check(self, frame: Frame) -> None:
        """Raise what ``write`` would raise for a *frame* that the format cannot hold, without writing anything.

        Raises:
            UnsupportedFrame: for a time that is not a number; a codec adds its own checks.

        """
        try:
            float(frame.time)
        except (TypeError, ValueError, OverflowError) as error:
            raise UnsupportedFrame(f"a frame has a time in seconds, not {frame.time!r}") from error

    def size(self) -> int | None:
        """The current size of the log in bytes, if the writer knows it: it shows whether an interrupted call wrote."""
        return None

    def flush(self) -> None:
        """Make sure that everything written so far survives the death of the process."""
        return

    def sync(self) -> None:
        """Make sure that everything written so far survives a power cut, where the format can; may take long.

        Can be called from another thread than the one that writes, and does not block that thread.

        Raises:
            LogWriteError: when the disk failed.

        """
        return

    @abstractmethod
    def close(self) -> None:
        """Finish the log; can be called more than once."""

    def write_all(self, frames: Iterable[Frame]) -> int:
        """Write each of *frames*, and return how many there were."""
        count = 0
        for frame in frames:
            self.write(frame)
            count += 1
        return count

    def write_table(self, table: Table) -> None:
        """Write the rows of *table* as frames; a codec may do it for all of them at once.

        Raises:
            UnsupportedFrame, ClosedLog, LogWriteError: as ``write``.

        """
        for frame in table.frames():
            self.write(frame)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Archive(NamedTuple):
    """The result of `Codec.compact`: the file, the size of the log, and the size of the file, in bytes."""

    path: Path
    size: int
    packed: int


class Codec(ABC):
    """One format of logs. A third party subclasses this, and names the class in an entry point of the group
    ``trainlog.codecs``; see docs/writing-a-codec.md.

    Attributes:
        name: the name of the format, for example ``flog``; unique among the installed codecs.
        suffixes: of the files that it writes, each with a dot, for example ``(".flog",)``; the longest match wins.
        description: one line for ``trainlog codecs``.
        embeds_images: whether an event frame with ``image``, the bytes of a PNG, is kept as an image; if so, a
            conversion puts the image files next to the log into the frames.
        archive_suffix: the suffix of the compressed logs that ``compact`` makes; empty where it makes none.
        reads_folders: whether a folder of its files is read as one log, such as that of several processes.

    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    description: ClassVar[str] = ""
    embeds_images: ClassVar[bool] = False
    archive_suffix: ClassVar[str] = ""
    reads_folders: ClassVar[bool] = False

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether *path*, which begins with the bytes *head* (at most 4096), is a log of this format."""
        return path.name.lower().endswith(self.suffixes)

    def read(self, path: Path) -> Reader:
        """Open the log at *path*, which may be a URL (`trainlog.storage.location.RemotePath`); `Source` reads both.

        Raises:
            CodecError: when this format can only be written.
            DamagedLog: when it is not a log of this format, or ends inside its header.

        """
        raise CodecError(f"{self.name} is a format that can only be written", path=path)

    def write(self, path: Path, header: Header) -> Writer:
        """Create a new log at *path*, where there is no file yet.

        Raises:
            CodecError: when this format can only be read.
            LogExists: when there is a file after all.
            UnsupportedFrame: when the format cannot hold *header*.

        """
        raise CodecError(f"{self.name} is a format that can only be read", path=path)

    def replace(self, path: Path, header: Header) -> Writer:
        """Replace the log at *path* with a new one; when this fails, the old log is unchanged. Raises as ``write``.

        Raises:
            LogInUse: when another process is writing it.

        """
        old = [file for file in self.files(path) if file.is_file()]
        check_unused(old)
        aside = {file: temporary_beside(file, ".old") for file in old}
        try:
            for file, place in aside.items():
                file.rename(place)
            writer = self.write(path, header)
        except BaseException:
            for file, place in aside.items():
                if place.exists():
                    place.replace(file)
            raise
        for place in aside.values():
            place.unlink()
        return writer

    def resume(self, path: Path, note: Mapping[str, Any]) -> Writer:
        """Resume the log at *path* after its last whole frame.

        Args:
            path: the log.
            note: more keys for the event that records the resume in the log.

        Raises:
            CodecError: when logs of this format cannot be resumed.
            LogInUse: when another process is writing it.
            DamagedLog, LogWriteError: see their docstrings.

        """
        raise CodecError(f"a log of the format {self.name} cannot be resumed", path=path)

    def compact(
        self,
        log: Path,
        target: Path,
        *,
        level: int = 3,
        overwrite: bool = False,
        progress: Callable[[int], object] | None = None,
    ) -> Archive:
        """Compress the finished *log* into *target*, and verify the result against it. The log is not changed.

        Args:
            log: a log of this format.
            target: the archive; it is complete or absent.
            level: 1 (fast) to 22 (small).
            overwrite: replace an existing file. Otherwise an existing file is an error.
            progress: called with the number of bytes compressed so far.

        Raises:
            CodecError: when this format has no compressed logs.
            DamagedLog, LogInUse, LogExists, LogWriteError: see their docstrings.

        """
        raise CodecError(f"a log of the format {self.name} cannot be compressed", path=log)

    def files(self, path: Path) -> tuple[Path, ...]:
        """Every file that a log written at *path* can consist of; *path* is the first."""
        return (path,)

    def declare_columns(self, header: Header, reader: Reader) -> Header:
        """*header* as this format needs it for a copy of *reader*, with the facts that its frames cannot hold.

        Raises:
            CodecError: when the caller must provide more, for example which keys should be columns.
            EmptyLog: when the log does not hold these facts.

        """
        return header
