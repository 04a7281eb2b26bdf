"""The walk over the records of a data file that may be damaged, and may still be growing.

Steps come in runs, as blocks of words that are examined in place; there is no Python loop per step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codec import Gap
from trainlog.codecs.simion.layout import EPISODE, EXPERIMENT, HEAD, HEAD_WORDS, MAX_VARIABLES, WORD, Magic
from trainlog.errors import CorruptLog, TruncatedLog, UnknownFormat
from trainlog.storage.source import Source

__all__ = [
    "EpisodeEnd",
    "EpisodeStart",
    "Experiment",
    "Record",
    "Steps",
    "episode_of",
    "take_experiment",
    "walk",
]

Ints = npt.NDArray[np.int64]

_INT: Final = np.dtype("<i8")
# Plain ints: looking up a member of an enumeration takes as long as everything else that a short episode needs.
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
    """Successive steps of the open episode, or of whole successive episodes with equal numbers of steps and variables.

    Attributes:
        offset: the offset of the first record.
        words: int64, shape (episodes, steps, 16 + variables), little-endian; valid until the next record is requested.
        starts: headers of the episodes, int64, shape (episodes, 16); None for steps of the open episode.
        samples: how many frames of learned functions come before the steps of each episode; None means none.

    """

    offset: int
    words: Ints
    starts: Ints | None = None
    samples: Ints | None = None

    @property
    def doubles(self) -> npt.NDArray[np.float64]:
        """The same memory as float64."""
        return self.words.view(np.float64)

    @property
    def step_size(self) -> int:
        """The size of one step in bytes."""
        return int(self.words.shape[2]) * WORD

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return self.offset + self.words.nbytes + (0 if self.starts is None else 2 * self.starts.nbytes)

    @property
    def frames(self) -> int:
        """The number of frames of these records, including the samples among them."""
        count, steps = map(int, self.words.shape[:2])
        samples = 0 if self.samples is None else int(self.samples.sum())
        return count * (steps if self.starts is None else steps + 3) + samples

    def orders(self, number: int) -> Ints:
        """The frame numbers of the steps, shape (episodes, steps); *number* is that of the first frame of all."""
        count, steps, _ = self.words.shape
        if self.starts is None:
            return np.arange(number, number + steps)[None]
        firsts = number + 1 + (steps + 3) * np.arange(count)
        if self.samples is not None:
            firsts += np.cumsum(self.samples)
        orders: Ints = np.add.outer(firsts, np.arange(steps))
        return orders

    def split(self, count: int) -> tuple[Steps, Steps]:
        """The first *count* steps of the open episode, and the others."""
        first = Steps(self.offset, self.words[:, :count])
        return first, Steps(first.end, self.words[:, count:])


class EpisodeEnd(NamedTuple):
    """The end of an episode."""

    offset: int
    is_padded: bool  # with zeros


Record = EpisodeStart | Steps | EpisodeEnd


def take_experiment(source: Source) -> Experiment | None:
    """Read the header of the file; None for an empty file, as left by a run that was killed before its first write.

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
        raise CorruptLog(f"this is not an RLSimion data file: it begins with {head[:8]!r}", path=source.path, offset=0)
    if version not in (1, 2):
        raise UnknownFormat(f"this is RLSimion version {version}; versions 1 and 2 are known", path=source.path)
    return Experiment(version, episodes)


def episode_of(head: bytes | memoryview, source: Source, offset: int) -> EpisodeStart:
    """Parse the header of an episode.

    Raises:
        CorruptLog: when its number of values per step is negative or larger than possible.

    """
    _, kind, index, variables, sub_index = EPISODE.unpack(head)
    if not 0 <= variables <= MAX_VARIABLES:
        raise CorruptLog(
            f"an episode claims that its steps have {variables:,} values each; possible are 0 to {MAX_VARIABLES:,}",
            path=source.path,
            offset=offset,
        )
    return EpisodeStart(offset, kind, index, sub_index, variables, bytes(head[5 * WORD :]) == bytes(11 * WORD))


def walk(
    source: Source, on_gap: Callable[[Gap], object], start: int = 0, at_once: Callable[[Steps], int] | None = None
) -> Iterator[Record]:
    """Yield the records from byte *start* on, with steps in runs; each is valid until the next is requested.

    ``source.wait`` is called when the next record is incomplete; when it returns false, the walk ends.

    Args:
        source: the data file.
        on_gap: called with the bytes that are not a record, in the file's order, and with the unfinished record at the
            end (``torn``).
        start: an offset where a record begins and no episode is open; 0 means the file's header.
        at_once: returns how many of the given whole episodes may come as one block (0 for none); None means never.

    Raises:
        CorruptLog: when the file is not an RLSimion data file, or the number of values per step cannot be right.

    """
    if not start:
        try:
            if take_experiment(source) is None:
                return
        except TruncatedLog:
            on_gap(Gap(0, source.size, torn=True))
            return
    at = base = started = start or HEAD
    variables: int | None = None  # of the open episode
    shape = 0, 0  # steps and variables of the previous episode
    # Everything is read into the same memory, which then stays in the cache; a small file gets no more than it needs.
    memory = block = memoryview(b"")
    guess = episodes_ahead = _FIRST_GUESS
    while True:
        have = len(block) - (at - base)
        need = HEAD
        magic = int.from_bytes(block[at - base : at - base + WORD], "little") if have >= WORD else 0
        if magic == _STEP and variables is not None:
            need = HEAD + WORD * variables
        if have < need:
            left = source.size - at
            if left >= need or have < WORD <= left:
                if len(memory) < (size := min(left, 4 * Source.CHUNK)):
                    memory = np.empty(size, np.uint8).data
                block, base = memory[: source.fill(memory, at)], at
                continue
            if magic and not _is_due(magic, variables):
                need = 0  # it is useless to wait for the rest of this
            elif source.wait(at):
                continue
            else:
                if left:
                    on_gap(Gap(at, left, torn=True))
                return
        if magic == _STEP and variables is not None:
            run = _run(block, at - base, HEAD_WORDS + variables, guess)
            guess = max(len(run), _FIRST_GUESS)
            yield Steps(at, run[None])
            at += run.nbytes
        elif magic == _EPISODE:
            if at_once is not None and (episodes := _equal_episodes(block, at - base, *shape, episodes_ahead)).size:
                steps = episodes[:, HEAD_WORDS:-HEAD_WORDS].reshape(len(episodes), shape[0], -1)
                count = at_once(Steps(at, steps, episodes[:, :HEAD_WORDS]))
                episodes_ahead = 2 * count + 2  # examine about as many as are likely to be taken
                if count:
                    yield Steps(at, steps[:count], episodes[:count, :HEAD_WORDS])
                    at += count * episodes[0].nbytes
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
                # More records may still come: a writer that is alive did not write these bytes.
                on_gap(Gap(at, source.size - at))
                return
            on_gap(Gap(at, found - at))
            at = base = found
            block = memory[:0]


def _is_due(magic: int, variables: int | None) -> bool:
    return magic == _EPISODE or (variables is not None and magic in (_STEP, _END))


def _run(block: memoryview, start: int, words: int, guess: int) -> Ints:
    """The consecutive steps of *words* words each in *block* from byte *start* on; at least one.

    Episodes often have the same length, so the previous length is tried first, then twice that, and so on.
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


def _equal_episodes(block: memoryview, start: int, steps: int, variables: int, most: int) -> Ints:
    """The consecutive whole episodes of that shape in *block* from byte *start* on, at most *most*.

    They are returned as words, shape (episodes, words of an episode). A single episode counts as none.
    """
    step = HEAD_WORDS + variables
    size = 2 * HEAD_WORDS + steps * step
    count = min((len(block) - start) // (size * WORD), most) if steps else 0
    words = np.frombuffer(block, _INT, max(count, 0) * size, start).reshape(-1, size)
    if len(words) < 2 or words[1, 0] != _EPISODE or words[1, -HEAD_WORDS] != _END:
        return words[:0]
    good = (words[:, 0] == _EPISODE) & (words[:, 3] == variables) & (words[:, -HEAD_WORDS] == _END)
    good &= (words[:, HEAD_WORDS:-HEAD_WORDS:step] == _STEP).all(axis=1)
    return words if good.all() else words[: int(good.argmin())]


# Words 5 to 15 of an episode and of a step are zero, and so are all but the first of an end; no other bytes look so.
_CANDIDATE: Final = re.compile(rb"[\x02-\x04]\0{7}")


def _next_record(source: Source, start: int, variables: int | None) -> int | None:
    """The first offset from *start* on where a complete record is followed by another or by the end of the file."""
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
