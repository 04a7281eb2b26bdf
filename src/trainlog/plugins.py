"""Third-party codecs: the entry points of the group ``trainlog.codecs``."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

from trainlog.codec import Codec
from trainlog.errors import CodecClash, CodecError, TrainlogWarning

__all__ = ["BUILT_IN", "accepts", "distribution_of", "find", "load", "names", "plug_ins"]

GROUP: Final = "trainlog.codecs"
BUILT_IN: Final = "trainlog"  # the distribution of the built-in codecs


def find(name: str) -> Codec | None:
    """Load the plug-in called *name*; None when there is none.

    Raises:
        CodecClash: when two distributions have one of that name.
        CodecError: as `load`.

    """
    entries = _by_name().get(name, [])
    if len(entries) > 1:
        raise CodecClash(_clash(name, entries))
    return load(entries[0]) if entries else None


def names() -> list[str]:
    """The names of all plug-ins, without importing them."""
    return list(_by_name())


def plug_ins(built_in: Collection[str]) -> Iterator[tuple[EntryPoint, Codec]]:
    """Yield every plug-in that can be used; a `TrainlogWarning` names each one that cannot.

    A plug-in cannot be used if it cannot be loaded, or has one of the names *built_in* or that of another plug-in.
    """
    for name, entries in _by_name().items():
        if name in built_in:
            owners = " and ".join(map(distribution_of, entries))
            _warn(f"the codec {name!r} of {owners} has the name of a codec of {BUILT_IN} itself, and is not used")
            continue
        if len(entries) > 1:
            _warn(f"{_clash(name, entries)}; until then neither is used")
            continue
        try:
            yield entries[0], load(entries[0])
        except CodecError as error:
            _warn(str(error))


def _by_name() -> dict[str, list[EntryPoint]]:
    """The plug-ins by name; all distributions are read again when one may have been installed or removed."""
    return _installed(tuple((place, _changed(place)) for place in sys.path))


def _changed(place: str) -> int:
    try:
        return os.stat(place or os.curdir).st_mtime_ns  # noqa: PTH116 - runs for every file that is not a log
    except OSError:
        return 0


@lru_cache(1)
def _installed(places: tuple[tuple[str, int], ...]) -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        if distribution_of(entry) != BUILT_IN:
            found.setdefault(entry.name, []).append(entry)
    return found


def _clash(name: str, entries: Sequence[EntryPoint]) -> str:
    owners = " and ".join(map(distribution_of, entries))
    return f"two installed distributions have a codec called {name!r}: {owners}; uninstall one of them"


def accepts(codec: Codec, owner: str, path: Path, head: bytes) -> bool:
    """Whether the *codec* of the distribution *owner* accepts a file; False, with a `TrainlogWarning`, if it fails."""
    try:
        return codec.accepts(path, head)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - third-party code can raise anything
        _warn(f"the codec {codec.name!r} of {owner} fails at {path.name}: {_described(error)}")
        return False


def load(entry: EntryPoint) -> Codec:
    """Load the codec of *entry*.

    Raises:
        CodecError: when it cannot be imported, is not a codec, or has another name.

    """
    subject = f"the codec {entry.name!r} of {distribution_of(entry)}"
    try:
        codec = entry.load()()
    except (Exception, SystemExit) as error:
        raise CodecError(f"{subject} cannot be loaded: {_described(error)}") from error
    if not isinstance(codec, Codec):
        raise CodecError(f"{subject} is not a trainlog.Codec but a {type(codec).__name__}")
    if getattr(codec, "name", None) != entry.name:
        raise CodecError(f"{subject} calls itself {getattr(codec, 'name', None)!r}; the two names must be the same")
    suffixes = getattr(codec, "suffixes", None)
    if not isinstance(suffixes, tuple) or not all(isinstance(suffix, str) for suffix in suffixes):
        raise CodecError(f"{subject} has no suffixes, a tuple of strings")
    return codec


def distribution_of(entry: EntryPoint) -> str:
    """The name of the distribution that installed *entry*."""
    return entry.dist.name if entry.dist is not None else entry.value


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _warn(text: str) -> None:
    warnings.warn(TrainlogWarning(text), stacklevel=3)
