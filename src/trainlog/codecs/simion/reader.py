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
    """An RLSimion log: descriptor, data and functions; see `trainlog.codec.Reader` for the methods.

    A step is a creature frame with ``step``, the clocks (seconds), and every variable under its `Variable.key`. The
    start and the end of an episode and the samples of functions are events. A stats frame with the episode's summary
    comes before the end of the episode.

    Attributes:
        parts: the paths of its files.

    """

    def __init__(self, path: Path) -> None:
        """Open a log; *path* can be any of its files.

        Raises:
            LogNotFound: when the data file is missing.
            CorruptLog: when a file is something else, or would make this program read other files or exhaust memory.
            UnknownFormat: for a version that this library does not know.

        """
        path = location(path)
        descriptor_path = descriptor_of(path)
        content = None if descriptor_path is None else _content(descriptor_path)
        descriptor = Descriptor(problems=("there is no descriptor next to it; the columns are numbered",))
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
            CorruptLog: when the number of values per step in an episode's header is negative or too large.

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
        """Yield the rows that *scan* asks for; see `trainlog.codec.Reader.scan`.

        Steps are read as blocks, not one by one; their columns are views of one array where the episodes have the same
        number of variables. A scan after a position begins with the open episode, whose summary needs all its steps.
        ``order`` is the number of the frame in the log.

        While a log grows, a sample of a function may be written after the steps that it belongs before. The next scan
        then returns it; until that scan, the frames in between have numbers lower by one.
        """
        with self._opened() as (source, functions):
            on_gap = damage_handler(scan.on_damage, self.path)
            yield from LogScan(self.header, self._keys, source, functions, scan).batches(on_gap)

    def take(self, orders: Iterable[int]) -> Iterator[Frame]:
        """Yield the frames at *orders*, which must be ascending; see `trainlog.codec.Reader.take`."""
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
        """Yield the frames, with runs of steps as tables.

        For a run that was killed, the summary of its unfinished episode and an event with the bytes of the unfinished
        record come last, so that a copy can be turned back into exactly the same files.
        """
        on_gap = damage_handler(on_damage, self.path)
        unfinished: list[Gap] = []
        padding: list[tuple[int, int]] = []  # offset and number of headers

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
        """Read the whole log and report what is wrong with it, and in which file."""
        verdict = super().verify(progress)
        data = self.parts.data.name
        verdict.problems = [replace(one, file=one.file or data) for one in verdict.problems]
        return verdict

    @contextmanager
    def _opened(self, wait: Wait = never) -> Iterator[tuple[Source, FunctionSamples | None]]:
        """The open files. A function log that did not exist when this log was opened may exist by now."""
        path = self.parts.functions
        if path is None and self._unread is None:
            path = parts_of(self.path, self.parts.descriptor, self._descriptor).functions
        with ExitStack() as stack:
            source = stack.enter_context(Source(self.parts.data, wait))
            yield source, None if path is None else stack.enter_context(FunctionSamples(path))

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of the descriptor, the data and the functions that exist."""
        return tuple(part for part in self.parts if part is not None)


def _content(descriptor: Path) -> bytes:
    with Source(descriptor) as source:
        return source.read(0, MAX_SIZE + 1)


def _begin(data: Path) -> tuple[Experiment | None, int | None]:
    """The file's header, and the number of values per step of the first episode; None for either that is missing."""
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
    """What the function log declares, or why it cannot be read."""
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
    """The header of the run."""
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
        "checksums": False,  # a FLOG file made from this log holds only frames of the four kinds
        KEY: origin.as_json(),
    }
    return Header(meta, 0, variables)


def _has_ranges(descriptor: Descriptor) -> bool:
    """Whether the variables have the attributes Min and Max; RLSimion without them logged single samples."""
    ranged = [variable for variable in descriptor.variables if variable.role != "stat"]
    return not ranged or any(variable.low is not None for variable in ranged)
