"""The facts about one log: its header and, if requested, a digest of its frames."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trainlog import registry
from trainlog.catalog.digest import Digest, Metric
from trainlog.catalog.facts import LAST, Facts
from trainlog.catalog.states import state_of
from trainlog.codec import Reader
from trainlog.conventions import Conventions, task_of
from trainlog.errors import CodecError, InvalidPosition, TrainlogError, TrainlogWarning, UnknownFormat
from trainlog.find_logs import shard_rank
from trainlog.model import Kind
from trainlog.scan import Batch, Gap, Scan
from trainlog.table.values import flatten

__all__ = ["facts_of", "log_of"]

_SMALL: Final = 1 << 16  # bytes; a smaller log is read frame by frame, and completely after each change
_MEASURED: Final = (Kind.STATS, Kind.EVOLUTION)


def log_of(path: Path) -> tuple[Reader | None, Facts]:
    """The log that *path* belongs to, with the facts of its header; no reader if it is not a log or cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainlogWarning)
            reader = registry.open(path)
    except CodecError:  # a picture
        return None, Facts()
    except TrainlogError as error:
        is_refused = isinstance(error.__cause__, PermissionError) and bool(registry.suffix_of(path))
        if isinstance(error, UnknownFormat) and not is_refused and not registry.is_accepted(path):
            return None, Facts()
        return None, Facts([path.name], "?", state="unreadable", error=error.message)
    header, files = reader.header, [path.name]
    if reader.files != (path,):
        folder = path if path.is_dir() else path.parent
        files = [file.relative_to(folder).as_posix() for file in reader.files if file.is_relative_to(folder)] or files
    meta = {key: value for key, value in flatten(header.meta).items() if key not in ("shard", "variables")}
    facts = Facts(
        files,
        reader.codec_name,
        shard_rank(header),
        meta,
        task_of(meta),
        {key: value for key, value in flatten(header.run).items() if key != "git/patch"},
        phase=header.phase,
    )
    if header.end is not None:
        facts.end, facts.reason = header.end.state, header.end.reason
    return reader, facts


def facts_of(path: Path, *, read: bool, before: tuple[Facts, Digest, str] | None = None) -> tuple[Facts, Digest, str]:
    """All facts about the log at *path*.

    Args:
        path: the log.
        read: whether to read its frames, too.
        before: what was known about it, to read only what was appended since.

    Returns:
        The facts, the digest, and the position up to which the log was read.

    """
    reader, facts = log_of(path)
    if reader is None and not facts.error:
        return facts, Digest(), ""
    stats = [file.stat() for file in ([path] if reader is None else reader.files) if file.is_file()]
    facts.size = sum(one.st_size for one in stats)
    facts.changed = max((one.st_mtime for one in stats), default=0.0)
    if reader is None:
        return facts, Digest(), ""
    digest, position = Digest(), ""
    if read and facts.rank is None:
        try:
            facts.torn, digest, position = _read(reader, facts, before)
        except TrainlogError as error:  # such as a failing disk
            facts.error = error.message
            return facts, digest, ""
    facts.state = state_of(facts, reader.files)
    return facts, digest, position


def _read(reader: Reader, facts: Facts, before: tuple[Facts, Digest, str] | None) -> tuple[bool, Digest, str]:
    """Read the frames into *facts* and a digest; the first result is whether the log ends inside a record."""
    gaps: list[Gap] = []
    if facts.size <= _SMALL:
        digest, position = _of_frames(reader, gaps), ""
    elif before is not None and before[2]:
        known, digest, position = before
        try:
            position = _add(digest, reader, position, gaps)
            facts.holes, facts.damage = known.holes, known.damage
        except InvalidPosition:  # the log was replaced, or training was rewound
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
    facts.last = {f"{LAST}{key}": metric.last for key, metric in metrics.items()}
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
    begin, end = math.inf, max((span[2] for span in digest.spans.values()), default=-math.inf)
    for batch in reader.scan(Scan(after=position, on_damage=gaps.append)):
        if batch.table.rows:
            begin = min(begin, float(batch.table.time[0]))
            digest.add(batch.table)
    if not reader.keeps_order and begin <= end:  # rows of one file can be earlier than known ones of another file
        since = Digest()
        for later in reader.scan(Scan(time=(begin, None), on_damage="ignore")):
            if later.table.rows:
                since.add(later.table)
        digest.end_like(since)
    return position or "" if batch is None else batch.position


def _metrics_of(digest: Digest) -> dict[str, Metric]:
    """The metrics with finite numbers: those of stats, then those of generations that stats do not have."""
    found: dict[str, Metric] = {}
    for kind in _MEASURED:
        for key, metric in digest.kinds.get(int(kind), {}).items():
            if metric.numbers:
                found.setdefault(key, metric)
    return found
