"""Conversion of a FLOG file's header to and from `trainlog.model.Header`."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

from trainlog.codecs.flog.wire.layout import HEADER, MAGIC, MAX_PAYLOAD, VERSION, VERSIONS
from trainlog.codecs.plain_object import json_value
from trainlog.errors import CorruptLog, TruncatedLog, UnknownFormat, UnsupportedFrame
from trainlog.model import End, Header, Variable

__all__ = ["header_of", "pack_header", "parse_fixed_header"]

# The metadata hold declared columns under this key, as a list of objects with the fields of `Variable`.
_VARIABLES = "variables"

# What the recorder collected by itself, and how the run ended: {"run": {...}, "end": {...}}.
_OURS = "trainlog"


def parse_fixed_header(head: bytes, path: Path) -> tuple[int, int]:
    """The phase, and the offset of the first frame, from the first bytes of a file; for an empty file both are 0.

    Raises:
        CorruptLog: when the file begins with something else.
        TruncatedLog: when it ends inside the fixed header.
        UnknownFormat: for a version of the format that this library does not know.

    """
    if not head:
        return 0, 0
    if len(head) < HEADER.size:
        raise TruncatedLog("the file ends inside its header", path=path, offset=0)
    magic, version, phase, size = HEADER.unpack(head)
    if magic != MAGIC:
        raise CorruptLog(f"this is not a FLOG file: it begins with {magic!r} instead of {MAGIC!r}", path=path)
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise UnknownFormat(f"this is FLOG version {version}; versions {known} are known", path=path)
    if size > MAX_PAYLOAD:
        raise CorruptLog(f"its metadata claim {size:,} bytes; the limit is {MAX_PAYLOAD:,}", path=path, offset=7)
    return phase, HEADER.size + size


def header_of(text: bytes, phase: int) -> Header:
    """The header with the metadata *text*.

    Raises:
        ValueError: when they are not a JSON object.

    """
    try:
        meta = json.loads(text) if text else {}
    except RecursionError as error:
        raise ValueError("they are nested too deeply") from error
    if not isinstance(meta, dict):
        raise ValueError(f"they are a {type(meta).__name__}")
    variables = _variables_of(meta.get(_VARIABLES))
    if variables:
        del meta[_VARIABLES]
    ours = meta.get(_OURS)
    if not (isinstance(ours, dict) and isinstance(ours.get("run"), dict)):
        return Header(meta, phase, variables)
    del meta[_OURS]
    return Header(meta, phase, variables, ours["run"], End.of(ours.get("end")))


def _variables_of(entries: Any) -> tuple[Variable, ...]:
    """The declared columns; none when another program uses that key for something else."""
    if not isinstance(entries, list):
        return ()
    names = {field.name for field in dataclasses.fields(Variable)}
    for entry in entries:
        if not (isinstance(entry, dict) and {"name", "role"} <= entry.keys() <= names):
            return ()
        if not isinstance(entry["name"], str) or entry["role"] not in ("state", "action", "reward", "stat"):
            return ()
    return tuple(Variable(**entry) for entry in entries)


def pack_header(header: Header) -> bytes:
    """The bytes of *header*.

    Raises:
        UnsupportedFrame: when the metadata cannot be stored as JSON, or the phase does not fit in a byte.

    """
    meta = dict(header.meta)
    if header.variables:
        meta[_VARIABLES] = [dataclasses.asdict(variable) for variable in header.variables]
    if header.run or header.end:
        end = {} if header.end is None else {"end": dataclasses.asdict(header.end)}
        meta.setdefault(_OURS, {"run": header.run, **end})
    try:
        text = json.dumps(meta, default=json_value).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedFrame(f"the metadata cannot be stored as JSON: {error}") from error
    if len(text) > MAX_PAYLOAD:
        raise UnsupportedFrame(f"the metadata take {len(text):,} bytes; the limit is {MAX_PAYLOAD:,}")
    try:
        return HEADER.pack(MAGIC, VERSION, header.phase, len(text)) + text
    except struct.error as error:
        raise UnsupportedFrame(f"the phase is a number from 0 to 255, not {header.phase!r}") from error
