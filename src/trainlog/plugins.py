"""Codecs of third parties: what installed distributions name in the entry point group ``trainlog.codecs``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from trainlog.codec import Codec
from trainlog.errors import CodecClash, CodecError, TrainlogWarning

__all__ = ["OURS", "load", "plug_ins", "registered", "whose"]

GROUP: Final = "trainlog.codecs"
OURS: Final = "trainlog"


def registered(ours: Iterable[str]) -> list[EntryPoint]:
    """The entry points of all plug-ins; *ours* are the names that are taken.

    Raises:
        CodecClash: when two codecs have one name.

    """
    owners = dict.fromkeys(ours, OURS)
    entries = [entry for entry in entry_points(group=GROUP) if whose(entry) != OURS]
    for entry in entries:
        if entry.name in owners:
            raise CodecClash(
                f"two installed distributions bring a codec called {entry.name!r}: "
                f"{owners[entry.name]} and {whose(entry)}; uninstall one of them"
            )
        owners[entry.name] = whose(entry)
    return entries


def plug_ins(ours: Iterable[str]) -> Iterator[tuple[EntryPoint, Codec]]:
    """Every plug-in that can be loaded; a `TrainlogWarning` tells of one that cannot.

    Raises:
        CodecClash: when two codecs have one name.

    """
    for entry in registered(ours):
        try:
            yield entry, load(entry)
        except CodecError as error:
            warnings.warn(TrainlogWarning(str(error)), stacklevel=3)


def load(entry: EntryPoint) -> Codec:
    """The codec that *entry* names.

    Raises:
        CodecError: when it cannot be imported, is no codec, or has another name.

    """
    what = f"the codec {entry.name!r} of {whose(entry)}"
    try:
        codec = entry.load()()
    except Exception as error:
        raise CodecError(f"{what} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(codec, Codec):
        raise CodecError(f"{what} is no trainlog.Codec but a {type(codec).__name__}")
    if codec.name != entry.name:
        raise CodecError(f"{what} calls itself {codec.name!r}; the two names must be the same")
    return codec


def whose(entry: EntryPoint) -> str:
    """The name of the distribution that brings *entry*."""
    return entry.dist.name if entry.dist is not None else entry.value
