"""Reading an RLSimion log."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from trainlog.codec import Gap, OnDamage, Reader
from trainlog.codecs.simion.columns import table_of_steps
from trainlog.codecs.simion.descriptor import MAX_SIZE, Descriptor, decoded, parse
from trainlog.codecs.simion.frames import FrameConverter, Spare, frames_of_steps, keys_for, spare_of, unfinished
from trainlog.codecs.simion.functions import Cursor, FunctionsHead, take_head
from trainlog.codecs.simion.layout import HEAD, Magic
from trainlog.codecs.simion.log_files import Parts, descriptor_of, parts_of
from trainlog.codecs.simion.provenance import KEY, LearnedFunctions, Origin
from trainlog.codecs.simion.walk import Experiment, Steps, episode_of, take_experiment, walk
from trainlog.episode import AVERAGED
from trainlog.errors import DamagedLog, DamagedLogWarning, LogNotFound, TruncatedLog, UnknownFormat
from trainlog.model import Frame, Header, Kind, KindLike, Variable
from trainlog.scan import damage_handler
from trainlog.storage.source import Source, Wait, never
from trainlog.table.table import Table

__all__ = ["SimionReader"]


class SimionReader(Reader):
    """An RLSimion log: descriptor, data and functions; see `trainlog.codec.Reader` for what its methods do.

    A step is a creature frame: ``step``, the clocks (seconds), and every variable under its `Variable.key`. The start
    and the end of an episode, and the samples of functions, are events; before an episode's end comes a stats frame
    with what the episode comes to.

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
        path = Path(path)
        descriptor_path = descriptor_of(path)
        content = None if descriptor_path is None else _content(descriptor_path)
        descriptor = Descriptor(problems=("there is no descriptor beside it; the columns are numbered",))
        if content is not None and descriptor_path is not None:
            descriptor = parse(content, descriptor_path)
        self.parts: Parts = parts_of(path, descriptor_path, descriptor)
        problems = list(descriptor.problems)
        assert self.parts.data is not None
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
        on_gap = damage_handler(on_damage, self.path)
        for item in self._told(wait, on_gap, tallied=wanted in (None, Kind.STATS)):
            if isinstance(item, Steps):
                if wanted in (None, Kind.CREATURE):
                    yield from frames_of_steps(item, self._keys)
            elif wanted in (None, item.kind):
                yield item

    def contents(self, on_damage: OnDamage = "warn") -> Iterator[Frame | Table]:
        """Yield the frames, runs of steps as tables.

        After the last come, for a run that was killed, the summary of its unfinished episode, and the bytes of the
        unfinished record as an event, so that a copy can be turned back into the very same files.
        """
        for item in self._told(never, damage_handler(on_damage, self.path), closing=True):
            yield table_of_steps(item, self._keys) if isinstance(item, Steps) else item

    def _size(self) -> int:
        return sum(part.stat().st_size for part in self.parts if part is not None)

    def _told(
        self, wait: Wait, on_gap: Callable[[Gap], object], *, tallied: bool = True, closing: bool = False
    ) -> Iterator[Frame | Steps]:
        """The log from its beginning to its end: frames, and runs of steps as they lie in the file."""
        gaps: list[Gap] = []

        def keep(gap: Gap) -> None:
            gaps.append(gap)
            if not (closing and gap.torn):
                on_gap(gap)

        assert self.parts.data is not None
        with ExitStack() as stack:
            source = stack.enter_context(Source(self.parts.data, wait))
            cursor = None if self.parts.functions is None else stack.enter_context(Cursor(self.parts.functions))
            story = FrameConverter(self.header, cursor, tallied=tallied)
            spare, first = 0, 0
            for record in walk(source, keep):
                if closing and (found := spare_of(record)):
                    first = first or record.offset
                    spare += found
                if isinstance(record, Steps):
                    yield record
                yield from story.after(record)
            yield from story.rest()
            if self._unread is not None and closing:
                on_gap(self._unread)
            if cursor is not None and (gap := cursor.gap()) is not None:
                keep(gap)
            if closing:
                if spare:
                    on_gap(Spare(first, 0, records=spare))
                yield from story.closing()
                for gap in gaps:
                    if gap.torn:
                        path = self.parts.functions if gap.file else self.parts.data
                        assert path is not None
                        yield unfinished(path, gap, story.time, "functions" if gap.file else "data")


def _content(descriptor: Path) -> bytes:
    try:
        with descriptor.open("rb") as file:
            return file.read(MAX_SIZE + 1)
    except OSError as error:
        raise LogNotFound(f"cannot read it: {error.strerror}", path=descriptor) from error


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
            return None, ""
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
    assert parts.data is not None
    name = (parts.descriptor or parts.data).name
    stem = name.removesuffix(".bin").removesuffix(".log").removesuffix(".simion")
    learned = None
    if parts.functions is not None:
        learned = LearnedFunctions(functions.count, functions.declarations) if functions else LearnedFunctions(None)
    origin = Origin(
        experiment.version if experiment else None,
        experiment.episodes if experiment else None,
        name,
        parts.data.name,
        None if content is None else decoded(content),
        learned,
    )
    meta: dict[str, Any] = {
        "creature": (descriptor.scene or "unknown").removesuffix(".scene"),
        "task": stem,
        "scene": descriptor.scene or "",
        "episode_types": {str(number): name for number, name in descriptor.episode_types.items()},
        "episodes_planned": experiment.episodes if experiment else 0,
        AVERAGED: experiment is not None and experiment.version >= 2,
        "checksums": False,  # a FLOG file made of this log holds frames of the four kinds and no others
        KEY: origin.as_json(),
    }
    return Header(meta, 0, variables)
