"""The walk over the records of a data file that may be damaged, and may still be growing.

Steps come in runs, as blocks of words that are looked at where they lie; there is no Python loop per step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codec import Gap
from trainlog.codecs.simion.layout import EPISODE, EXPERIMENT, HEAD, HEAD_WORDS, MAX_VARIABLES, WORD, Magic
from trainlog.errors import CorruptLog, TruncatedLog, UnknownFormat
from trainlog.storage.source import Source

__all__ = [
    "EpisodeEnd",
    "EpisodeStart",
    "EqualEpisodes",
    "Experiment",
    "Record",
    "Steps",
    "episode_of",
    "read_start",
    "take_experiment",
    "walk",
]

_INT: Final = np.dtype("<i8")
# As plain ints: looking a member of an enumeration up takes as long as all else that is done for a short episode.
_EPISODE, _STEP, _END = int(Magic.EPISODE), int(Magic.STEP), int(Magic.EPISODE_END)
_FIRST_GUESS: Final = 64


class Experiment(NamedTuple):
    """The header of the file."""

    version: int
    episodes: int  # planned


class EpisodeStart(NamedTuple):
    """The header of an episode."""

    offset: int
    type: int
    number: int  # the format's index
    sub_number: int
    variables: int
    is_padded: bool  # with zeros


class Steps(NamedTuple):
    """Successive steps of one episode: int64, shape (steps, 16 + variables), little-endian, read-only."""

    offset: int
    words: npt.NDArray[Any]

    @property
    def doubles(self) -> npt.NDArray[Any]:
        """The same memory as float64."""
        return self.words.view("<f8")

    def rows(self, chosen: list[int]) -> Steps:
        """Some of the steps."""
        return Steps(self.offset, self.words[chosen])

    def split(self, count: int) -> tuple[Steps, Steps]:
        """The first *count* steps, and the others."""
        first, rest = self.words[:count], self.words[count:]
        return Steps(self.offset, first), Steps(self.offset + first.nbytes, rest)


class EpisodeEnd(NamedTuple):
    """The end of an episode."""

    offset: int
    is_padded: bool  # with zeros


class EqualEpisodes(NamedTuple):
    """Successive whole episodes of as many steps and variables each: int64, shape (episodes, words of an episode)."""

    offset: int
    words: npt.NDArray[Any]
    variables: int

    @property
    def starts(self) -> npt.NDArray[Any]:
        """The headers of the episodes: shape (episodes, 16)."""
        return self.words[:, :HEAD_WORDS]

    @property
    def steps(self) -> npt.NDArray[Any]:
        """Their steps: shape (episodes, steps, 16 + variables)."""
        return self.words[:, HEAD_WORDS:-HEAD_WORDS].reshape(len(self.words), -1, HEAD_WORDS + self.variables)

    def split(self, count: int) -> tuple[EqualEpisodes, EqualEpisodes]:
        """The first *count* episodes, and the others."""
        first, rest = self.words[:count], self.words[count:]
        return self._replace(words=first), self._replace(offset=self.offset + first.nbytes, words=rest)

    def records(self) -> Iterator[Record]:
        """The records of the first episode."""
        head, end = self.words[0, :HEAD_WORDS], self.words[0, -HEAD_WORDS:]
        yield _start_of(head.tobytes(), self.offset)
        yield Steps(self.offset + HEAD, self.steps[0])
        yield EpisodeEnd(self.offset + self.words[0].nbytes - HEAD, not end[1:].any())


Record = EpisodeStart | Steps | EpisodeEnd | EqualEpisodes


def take_experiment(source: Source) -> Experiment | None:
    """The header of the file; None when the file is empty, as that of a run killed before its first write is.

    Raises:
        CorruptLog: when the file begins with something else.
        TruncatedLog: when it ends inside the header.
        UnknownFormat: for a version of the format that this library does not know.

    """
    head = source.take(HEAD)
    if not head:
        return None
    magic, version, episodes = EXPERIMENT.unpack(head)
    if magic != Magic.EXPERIMENT:
        raise CorruptLog(f"these are no RLSimion data: they begin with {head[:8]!r}", path=source.path, offset=0)
    if version not in (1, 2):
        raise UnknownFormat(f"this is RLSimion version {version}; versions 1 and 2 are known", path=source.path)
    return Experiment(version, episodes)


def episode_of(head: bytes | memoryview, source: Source, offset: int) -> EpisodeStart:
    """The header of an episode.

    Raises:
        CorruptLog: when it says that a step has less than none, or more values than can be.

    """
    start = _start_of(head, offset)
    if not 0 <= start.variables <= MAX_VARIABLES:
        raise CorruptLog(
            f"an episode says that its steps have {start.variables:,} values each; 0 to {MAX_VARIABLES:,} can be",
            path=source.path,
            offset=offset,
        )
    return start


def _start_of(head: bytes | memoryview, offset: int) -> EpisodeStart:
    _, kind, index, variables, sub_index = EPISODE.unpack(head)
    return EpisodeStart(offset, kind, index, sub_index, variables, bytes(head[5 * WORD :]) == bytes(11 * WORD))


def read_start(source: Source, offset: int) -> EpisodeStart | None:
    """The header of an episode at *offset*; None when something else is there."""
    head = memoryview(bytearray(HEAD))
    if source.fill(head, offset) < HEAD or int.from_bytes(head[:WORD], "little") != _EPISODE:
        return None
    return episode_of(head, source, offset)


def walk(
    source: Source,
    on_gap: Callable[[Gap], object],
    start: int = 0,
    variables: int | None = None,
    *,
    together: bool = False,
) -> Iterator[Record]:
    """Yield the records from byte *start* on, steps in runs.

    ``source.wait`` is asked when the next record is not all there; when it says no, the walk is over.

    Args:
        source: the data file.
        on_gap: called with the bytes that are no record, in the file's order, and with the unfinished record at the
            end (``torn``).
        start: where a record begins; 0 for the file's header.
        variables: of the episode that is open there; None when none is.
        together: episodes of as many steps as the one before come all at once, as `EqualEpisodes`. All is read into
            the same memory then: what is yielded is valid until the next is asked for.

    Raises:
        CorruptLog: when the file is no RLSimion data file, or the number of values of a step cannot be right.

    """
    if not start:
        try:
            if take_experiment(source) is None:
                return
        except TruncatedLog:
            on_gap(Gap(0, source.size, torn=True))
            return
    at = started = start or HEAD
    shape: tuple[int, int] | None = None  # steps and variables of the episode before
    block: bytes | memoryview = b""
    base = at
    take = _Buffer(source, at).block if together else source.block
    guess = _FIRST_GUESS
    while True:
        have = len(block) - (at - base)
        need = HEAD
        magic = int.from_bytes(block[at - base : at - base + WORD], "little") if have >= WORD else 0
        if magic == _STEP and variables is not None:
            need = HEAD + WORD * variables
        if have < need:
            if source.size - at >= need or (have < WORD <= source.size - at):
                block, base = take(at, need), at
                continue
            if magic and not _is_due(magic, variables):
                need = 0  # there is no use in waiting for the rest of this
            elif source.wait():
                continue
            else:
                if left := source.size - at:
                    on_gap(Gap(at, left, torn=True))
                return
        if magic == _STEP and variables is not None:
            run = _run(block, at - base, HEAD_WORDS + variables, guess)
            guess = max(len(run), _FIRST_GUESS)
            yield Steps(at, run)
            at += run.nbytes
        elif magic == _EPISODE:
            if together and shape is not None and (words := _equal_episodes(block, at - base, *shape)) is not None:
                yield EqualEpisodes(at, words, shape[1])
                at += words.nbytes
                variables = None
                continue
            episode = episode_of(block[at - base : at - base + HEAD], source, at)
            variables = episode.variables
            yield episode
            at = started = at + HEAD
        elif magic == _END and variables is not None:
            yield EpisodeEnd(at, bytes(block[at - base + WORD : at - base + HEAD]) == bytes(15 * WORD))
            shape = (at - started) // (HEAD + WORD * variables), variables
            variables = None
            at += HEAD
        else:
            found = _next_record(source, at + 1, variables)
            if found is None:
                # What follows may still come: a writer that is alive is not the one that wrote this.
                on_gap(Gap(at, source.size - at))
                return
            on_gap(Gap(at, found - at))
            at = found
            block, base = take(at, HEAD), at


class _Buffer:
    """Takes blocks of a file into the same memory again and again, which the processor has in its cache then."""

    def __init__(self, source: Source, start: int) -> None:
        self._source = source
        self._memory = memoryview(bytearray(max(min(4 * Source.CHUNK, source.size - start), 0)))

    def block(self, offset: int, need: int) -> memoryview:
        """As `Source.block`; valid until the next call."""
        if need > len(self._memory):
            self._memory = memoryview(bytearray(min(need, self._source.size)))
        return self._memory[: self._source.fill(self._memory, offset)]


def _is_due(magic: int, variables: int | None) -> bool:
    return magic == _EPISODE or (variables is not None and magic in (_STEP, _END))


def _run(block: bytes | memoryview, start: int, words: int, guess: int) -> npt.NDArray[Any]:
    """The steps of *words* words each that stand one after another in *block* from byte *start* on; one at least.

    Episodes are often of one length, so the length of the one before is tried first; then twice that, and so on.
    """
    count = (len(block) - start) // (words * WORD)
    records = np.frombuffer(block, _INT, count * words, start).reshape(count, words)
    done = 1
    while done < count:
        ahead = records[done : done + guess, 0] == _STEP
        if not ahead.all():
            done += int(ahead.argmin())
            break
        done += len(ahead)
        guess = done
    return records[:done]


def _equal_episodes(block: bytes | memoryview, start: int, steps: int, variables: int) -> npt.NDArray[Any] | None:
    """The whole episodes of that shape that stand one after another in *block* from byte *start* on, two at least.

    As words: int64, shape (episodes, words of an episode).
    """
    step = HEAD_WORDS + variables
    size = 2 * HEAD_WORDS + steps * step
    count = (len(block) - start) // (size * WORD)
    if count < 2 or not steps:
        return None
    words = np.frombuffer(block, _INT, count * size, start).reshape(count, size)
    if words[1, 0] != _EPISODE or words[1, -HEAD_WORDS] != _END:
        return None
    good = (words[:, 0] == _EPISODE) & (words[:, 3] == variables) & (words[:, -HEAD_WORDS] == _END)
    good &= (words[:, HEAD_WORDS:-HEAD_WORDS:step] == _STEP).all(axis=1)
    count = count if good.all() else int(good.argmin())
    return words[:count] if count >= 2 else None


# Words 5 to 15 of an episode and of a step are zero, and so are all but the first of an end: nothing else is like it.
_CANDIDATE: Final = re.compile(rb"[\x02-\x04]\0{7}")


def _next_record(source: Source, start: int, variables: int | None) -> int | None:
    """The first offset from *start* on where a whole record is followed by another, or by the end of the file."""
    total = source.size
    while total - start >= HEAD:
        block = source.block(start)

        def peek(at: int, size: int, block: bytes = block, start: int = start) -> bytes:
            if at + size > start + len(block):
                block, start = source.block(at, size), at
            return block[at - start : at - start + size]

        for match in _CANDIDATE.finditer(block):
            at = start + match.start()
            if _is_record(peek(at, HEAD), variables) and _is_followed(peek, at, total, variables):
                return at
        start += max(len(block) - WORD + 1, 1)
    return None


def _is_record(head: bytes, variables: int | None) -> bool:
    if len(head) < HEAD or not _is_due(head[0], variables):
        return False
    if head[0] == _END:
        return not any(head[WORD:])
    if any(head[5 * WORD :]):
        return False
    number: int
    index: int
    count: int
    _, number, index, count, _ = EPISODE.unpack(head)
    if head[0] == _EPISODE:
        return 0 <= count <= MAX_VARIABLES and 0 <= number < 256 and index >= 0
    return number >= 0


def _is_followed(peek: Callable[[int, int], bytes], at: int, total: int, variables: int | None) -> bool:
    head = peek(at, HEAD)
    size = HEAD
    if head[0] == _STEP:
        size += WORD * (variables or 0)
    else:
        variables = EPISODE.unpack(head)[3] if head[0] == _EPISODE else None
    if at + size > total:
        return False
    after = peek(at + size, WORD)
    return len(after) < WORD or _is_due(int.from_bytes(after, "little"), variables)
