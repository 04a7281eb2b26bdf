"""The header of a FLOG file; a damaged header is rebuilt, as the frames show where it ends.

The eleven bytes of a header are known beforehand, except for the phase and the length of the metadata. The metadata are
one JSON object, which ends where the first frame begins.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from trainlog.codecs.flog.scanning.walk import is_frame_at, next_frame
from trainlog.codecs.flog.wire.header import header_of, parse_fixed_header
from trainlog.codecs.flog.wire.layout import HEADER, MAGIC, MAX_PAYLOAD, VERSION, VERSIONS
from trainlog.errors import DamagedLogWarning, TrainlogError, TruncatedLog
from trainlog.model import Header
from trainlog.storage.source import Source

__all__ = ["FoundHeader", "find_header", "looks_damaged", "take_header"]

_KNOWN: Final = tuple(HEADER.pack(MAGIC, version, 0, 0)[:6] for version in VERSIONS)  # magic and version


class FoundHeader(NamedTuple):
    """The header of a file.

    Attributes:
        header: its content.
        start: where the first frame begins.
        raw: its bytes, rebuilt where they are damaged.
        problem: what is wrong with it, in words; empty when nothing is.
        is_rebuilt: whether ``raw`` differs from the bytes in the file.

    """

    header: Header
    start: int
    raw: bytes
    problem: str = ""
    is_rebuilt: bool = False


def take_header(source: Source) -> tuple[Header, int]:
    """The result of `find_header`: header, offset of the first frame; a `DamagedLogWarning` says what is wrong."""
    found = find_header(source)
    if found.problem:
        warnings.warn(DamagedLogWarning(f"{source.path}: {found.problem}; the frames are read"), stacklevel=3)
    return found.header, found.start


def looks_damaged(head: bytes, *, named_so: bool) -> bool:
    """Whether a file that begins with *head* may be a FLOG file with a damaged header.

    This is a file with one wrong byte in magic and version; or a file that is named like a FLOG file and begins with
    zeros, as a power cut leaves it.
    """
    if len(head) < HEADER.size:
        return False
    wrong = min(sum(map(int.__ne__, head, known)) for known in _KNOWN)
    return wrong <= 1 or (named_so and not any(head[: HEADER.size]))


def find_header(source: Source) -> FoundHeader:
    """The header of *source*; a damaged one is rebuilt as far as possible. An empty file has an empty header.

    Raises:
        CorruptLog: when the file begins with something else and contains no frame.
        TruncatedLog: when it ends inside the header.
        UnknownFormat: for a version of the format that this library does not know.

    """
    source.offset = 0
    head = source.take(min(HEADER.size, source.size))
    failed: TrainlogError | None = None
    try:
        phase, start = parse_fixed_header(head, source.path)
        if start > source.size:
            failed = TruncatedLog("the file ends inside its metadata", path=source.path, offset=HEADER.size)
    except TruncatedLog:
        raise
    except TrainlogError as error:
        failed = error
    if failed is None:
        raw = source.read(0, start)
        try:
            return FoundHeader(header_of(raw[HEADER.size :], phase), start, raw)
        except ValueError as error:
            no_json = f"the metadata are not a JSON object ({error})"
            # If the length is wrong and all frames have one size, there may be a frame at *start* by chance.
            ends_before = any(at < start and is_frame_at(source, at) for at in _by_json(source))
            if is_frame_at(source, start) and not ends_before:
                return FoundHeader(Header({}, phase), start, raw, no_json)
    if head.startswith(MAGIC) or looks_damaged(head, named_so=True):
        found = _rebuilt(source, head)
        if found is not None:
            return found
    if failed is not None:
        raise failed
    return FoundHeader(Header({}, phase), start, raw, no_json)


def _rebuilt(source: Source, head: bytes) -> FoundHeader | None:
    """The header as it must have been before *head* was damaged; None when no frame in the file shows its end."""
    magic, version, phase, length = HEADER.unpack(head)
    wrong = [] if magic == MAGIC else [f"begins with {magic!r}"]
    wrong += [] if version in VERSIONS else [f"says version {version}"]
    known = version if version in VERSIONS else VERSION
    for find in (_by_length(length), _by_json, _by_search):
        for start in find(source):
            # An unknown version may be a later one, and a length that is too large may be that of a header that was
            # cut off: only a frame rules this out.
            is_end = start == source.size and start == HEADER.size + length and version in VERSIONS
            if not is_end and not is_frame_at(source, start):
                continue
            text = source.read(HEADER.size, start - HEADER.size)
            try:
                header = header_of(text, phase)
            except ValueError:
                if find is not _by_search:
                    continue
                text, header, wrong = b"{}", Header({}, phase), [*wrong, "has no readable metadata"]
            if len(text) != length and find is not _by_search:
                wrong.append(f"says that its metadata have {length:,} bytes, but they have {len(text):,}")
            raw = HEADER.pack(MAGIC, known, phase, len(text)) + text
            return FoundHeader(header, start, raw, f"its header is damaged: it {', '.join(wrong)}", is_rebuilt=True)
    return None


def _by_length(length: int) -> Callable[[Source], Iterator[int]]:
    """Where the header ends according to its own length."""

    def find(source: Source) -> Iterator[int]:
        if length <= min(MAX_PAYLOAD, source.size - HEADER.size):
            yield HEADER.size + length

    return find


def _by_json(source: Source) -> Iterator[int]:
    """Where the JSON object of the metadata ends, if it ends in the first megabyte."""
    text = source.block(HEADER.size).decode("latin-1")
    try:
        yield HEADER.size + json.JSONDecoder().raw_decode(text)[1]
    except (ValueError, RecursionError):
        return


def _by_search(source: Source) -> Iterator[int]:
    """Where the first frame is found."""
    found = next_frame(source, HEADER.size)
    if found is not None:
        yield found
