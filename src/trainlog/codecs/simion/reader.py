"""Reading an RLSimion log."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainlog.codec import Gap, OnDamage, Reader
from trainlog.codecs.simion.columns import table_of_steps
from trainlog.codecs.simion.descriptor import MAX_SIZE, Descriptor, decoded, parse
from trainlog.codecs.simion.frames import (
    NonZeroPadding,
    count_non_zero_padding,
    frames_of_steps,
    keys_for,
    unfinished_record,
)
from trainlog.codecs.simion.functions import FunctionSamples, FunctionsHead, take_head
from trainlog.codecs.simion.layout import HEAD, Magic
from trainlog.codecs.simion.log_files import Parts, descriptor_of, parts_of
from trainlog.codecs.simion.provenance import KEY, Origin
from trainlog.codecs.simion.reading import Reading
from trainlog.codecs.simion.scanning import LogScan
from trainlog.codecs.simion.walk import Experiment, Record, Steps, episode_of, take_experiment
from trainlog.episode_summary import AVERAGED
from trainlog.errors import DamagedLog, DamagedLogWarning, TruncatedLog, UnknownFormat
from trainlog.model import Frame, Header, Kind, KindLike, Variable
from trainlog.scan import Batch, Scan, damage_handler
from trainlog.storage.location import location
from trainlog.storage.source import Source, Wait, never
from trainlog.table.table import Table

if TYPE_CHECKING:
    from trainlog.verify_report import Verdict

__all__ = ["SimionReader"]


class SimionReader(Reader):
    """An RLSimion log: descriptor, data and functions; see `trainlog.codec.Reader` for what its methods do.

    A step is a creature frame: ``step``, the clocks (seconds), and every variable under its `Variable.key`. The start
    and the end of an episode, and the samples of functions, are events; before an episode's end comes a stats frame
    with the episode's summary.

    Attributes:
        parts: the paths of its files.

    """

    def __init__(self, path: Path) -> None:
        """Open the log that *path*, any of its files, belongs to.

        Raises:
            LogNotFound: when the data are missing.
            CorruptLog: when a file is something else, or would have this program read or fill what it must not.
            UnknownFormat: for a version that this library does not know.

        """
        path = location(path)
        descriptor_path = descriptor_of(path)
        content = None if descriptor_path is None else _content(descriptor_path)
        descriptor = Descriptor(problems=("there is no descriptor beside it; the columns are numbered",))
        if content is not None and descriptor_path is not None:
            descriptor = parse(content, descriptor_path)
        self.parts: Parts = parts_of(path, descriptor_path, descriptor)
        problems = list(descriptor.problems)
        experiment, width = _begin(self.parts.data)
        variables = _columns(descriptor, width)
        if width is not None and descriptor_path is not None and width != len(descriptor.variables):
            problems.append(
                f"the descriptor names {len(descriptor.variables)} variables, but a step has {width} values"
            )
        functions, problem = _functions(self.parts.functions, strict=path == self.parts.functions)
        self._unread: Gap | None = None
        if problem and self.parts.functions is not None:
            problems.append(problem)
            self._unread = Gap(0, self.parts.functions.stat().st_size, file=self.parts.functions.name)
            self.parts = self.parts._replace(functions=None)
        self._descriptor = descriptor
        for problem in problems:
            warnings.warn(DamagedLogWarning(f"{path}: {problem}"), stacklevel=2)
        super().__init__(path, _header(self.parts, descriptor, content, experiment, variables, functions))
        self._keys = tuple(variable.key for variable in variables)

    def frames(
        self, kind: KindLike | None = None, *, wait: Wait = never, on_damage: OnDamage = "warn"
    ) -> Iterator[Frame]:
        """Yield the frames in the file's order; see `trainlog.codec.Reader.frames`.

        Raises:
            CorruptLog: when an episode's header says that its steps have less values than none, or too many.

        """
        wanted = None if kind is None else Kind.of(kind)
        with self._opened(wait) as (source, functions):
            reading = Reading(self.header, source, functions, wants=lambda one: wanted in (None, one))
            for _, item in reading.items(damage_handler(on_damage, self.path)):
                if isinstance(item, Frame):
                    yield item
                elif item is not None and wanted in (None, Kind.CREATURE):
                    yield from frames_of_steps(item.words[0], self._keys)

    def scan(self, scan: Scan = Scan()) -> Iterator[Batch]:  # noqa: B008 - it is frozen
        """Yield what *scan* asks for; see `trainlog.codec.Reader.scan`.

        Steps are read as blocks, not one by one; their columns are views of one array where the episodes have as many
        variables each. A scan after a position begins with the open episode, whose summary needs all its steps.
        ``order`` is the number of the frame in the log.

        While a log grows, a sample of a function may be written after the steps that it belongs before. It comes with
        the next scan then, and the frames between are numbered one less until that.
        """
        with self._opened() as (source, functions):
            on_gap = damage_handler(scan.on_damage, self.path)
            yield from LogScan(self.header, self._keys, source, functions, scan).batches(on_gap)

    def take(self, orders: Iterable[int]) -> Iterator[Frame]:
        """Yield the frames at *orders*, which rise; see `trainlog.codec.Reader.take`."""
        wanted = iter(orders)
        order = next(wanted, None)
        with self._opened() as (source, functions):
            reading = Reading(self.header, source, functions)

            def episodes_before(episodes: Steps) -> int:
                return ((order or 0) - reading.state.frames) // int(episodes.words.shape[1] + 3)

            for number, item in reading.items(lambda _: None, episodes_before):
                rows: list[int] = []
                while order is not None and order < reading.state.frames:
                    if order >= number:
                        rows.append(order - number)
                    order = next(wanted, None)
                if rows and item is not None:
                    yield from frames_of_steps(item.words[0, rows], self._keys) if isinstance(item, Steps) else (item,)
                if order is None:
                    return

    def contents(self, on_damage: OnDamage = "warn") -> Iterator[Frame | Table]:
        """Yield the frames, runs of steps as tables.

        After the last come, for a run that was killed, the summary of its unfinished episode, and the bytes of the
        unfinished record as an event, so that a copy can be turned back into the very same files.
        """
        on_gap = damage_handler(on_damage, self.path)
        unfinished: list[Gap] = []
        padding: list[tuple[int, int]] = []  # offsets, and numbers of headers

        def check_padding(record: Record) -> None:
            if count := count_non_zero_padding(record):
                padding.append((record.offset, count))

        with self._opened() as (source, functions):
            reading = Reading(self.header, source, functions)
            tell = lambda gap: unfinished.append(gap) if gap.torn else on_gap(gap)  # noqa: E731
            for _, item in reading.items(tell, seen=check_padding):
                if isinstance(item, Frame):
                    yield item
                elif item is not None:
                    yield table_of_steps(item.words[0].copy(), self._keys)
            if self._unread is not None:
                on_gap(self._unread)
            if padding:
                on_gap(NonZeroPadding(padding[0][0], 0, records=sum(count for _, count in padding)))
            yield from reading.unfinished()
            for gap in unfinished:
                file, part = (source.path, "data") if not gap.file else (source.path.with_name(gap.file), "functions")
                yield unfinished_record(file, gap, reading.state.time, part)

    def verify(self, progress: Callable[[int], object] | None = None) -> Verdict:
        """Read all of the log, and say what is wrong with it, and in which file."""
        verdict = super().verify(progress)
        data = self.parts.data.name
        verdict.problems = [replace(one, file=one.file or data) for one in verdict.problems]
        return verdict

    @contextmanager
    def _opened(self, wait: Wait = never) -> Iterator[tuple[Source, FunctionSamples | None]]:
        """The files, opened. A function log that was not there when this log was opened may be there by now."""
        path = self.parts.functions
        if path is None and self._unread is None:
            path = parts_of(self.path, self.parts.descriptor, self._descriptor).functions
        with ExitStack() as stack:
            source = stack.enter_context(Source(self.parts.data, wait))
            yield source, None if path is None else stack.enter_context(FunctionSamples(path))

    @property
    def files(self) -> tuple[Path, ...]:
        """The descriptor, the data and the functions, as far as they are there."""
        return tuple(part for part in self.parts if part is not None)


def _content(descriptor: Path) -> bytes:
    with Source(descriptor) as source:
        return source.read(0, MAX_SIZE + 1)


def _begin(data: Path) -> tuple[Experiment | None, int | None]:
    """The file's header, and the number of values of a step of the first episode; None for what is not there."""
    with Source(data) as source:
        try:
            experiment = take_experiment(source)
            head = source.take(HEAD) if experiment else b""
        except TruncatedLog:
            return (None, None) if source.offset < HEAD else (experiment, None)
        if not head or int.from_bytes(head[:8], "little") != Magic.EPISODE:
            return experiment, None
        return experiment, episode_of(head, source, HEAD).variables


def _columns(descriptor: Descriptor, width: int | None) -> tuple[Variable, ...]:
    """The declared variables, and numbered ones for values that the descriptor does not name."""
    named = descriptor.variables
    more = keys_for([variable.key for variable in named], width or 0)[len(named) :]
    return named + tuple(Variable(key.removeprefix("stat/"), "stat", key=key) for key in more)


def _functions(path: Path | None, *, strict: bool) -> tuple[FunctionsHead | None, str]:
    """What the function log declares, and why it cannot be read."""
    if path is None:
        return None, ""
    with Source(path) as source:
        try:
            return take_head(source), ""
        except TruncatedLog:
            return FunctionsHead(None), ""
        except (DamagedLog, UnknownFormat) as error:
            if strict:
                raise
            return None, f"its functions are not read: {error}"


def _header(
    parts: Parts,
    descriptor: Descriptor,
    content: bytes | None,
    experiment: Experiment | None,
    variables: tuple[Variable, ...],
    functions: FunctionsHead | None,
) -> Header:
    """What is true of the run."""
    name = (parts.descriptor or parts.data).name
    stem = name.removesuffix(".bin").removesuffix(".log").removesuffix(".simion")
    origin = Origin(
        experiment.version if experiment else None,
        experiment.episodes if experiment else None,
        name,
        parts.data.name,
        None if content is None else decoded(content),
        functions,
    )
    meta: dict[str, Any] = {
        "creature": (descriptor.scene or "unknown").removesuffix(".scene"),
        "task": stem,
        "scene": descriptor.scene or "",
        "episode_types": {str(number): name for number, name in descriptor.episode_types.items()},
        "episodes_planned": experiment.episodes if experiment else 0,
        AVERAGED: experiment is not None and experiment.version >= 2 and _has_ranges(descriptor),
        "checksums": False,  # a FLOG file made of this log holds frames of the four kinds and no others
        KEY: origin.as_json(),
    }
    return Header(meta, 0, variables)


def _has_ranges(descriptor: Descriptor) -> bool:
    """Whether variables have the attributes Min and Max, without which RLSimion logged single samples."""
    ranged = [variable for variable in descriptor.variables if variable.role != "stat"]
    return not ranged or any(variable.low is not None for variable in ranged)
