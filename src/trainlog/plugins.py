"""Codecs of third parties: the entry points of the group ``trainlog.codecs``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from trainlog.codec import Codec
from trainlog.errors import CodecClash, CodecError, TrainlogWarning

__all__ = ["BUILT_IN", "distribution_of", "load", "plug_ins", "registered"]

GROUP: Final = "trainlog.codecs"
BUILT_IN: Final = "trainlog"  # the distribution of the built-in codecs


def registered(built_in: Iterable[str]) -> list[EntryPoint]:
    """Return the entry points of all plug-ins; *built_in* are names that they must not have.

    Raises:
        CodecClash: when two codecs have one name.

    """
    owners = dict.fromkeys(built_in, BUILT_IN)
    entries = [entry for entry in entry_points(group=GROUP) if distribution_of(entry) != BUILT_IN]
    for entry in entries:
        owner = distribution_of(entry)
        if entry.name in owners:
            raise CodecClash(
                f"two installed distributions have a codec called {entry.name!r}: "
                f"{owners[entry.name]} and {owner}; uninstall one of them"
            )
        owners[entry.name] = owner
    return entries


def plug_ins(built_in: Iterable[str]) -> Iterator[tuple[EntryPoint, Codec]]:
    """Yield every plug-in that can be loaded; a `TrainlogWarning` names each one that cannot.

    Raises:
        CodecClash: when two codecs have one name.

    """
    for entry in registered(built_in):
        try:
            yield entry, load(entry)
        except CodecError as error:
            warnings.warn(TrainlogWarning(str(error)), stacklevel=3)


def load(entry: EntryPoint) -> Codec:
    """Load the codec of *entry*.

    Raises:
        CodecError: when it cannot be imported, is no codec, or has another name.

    """
    subject = f"the codec {entry.name!r} of {distribution_of(entry)}"
    try:
        codec = entry.load()()
    except Exception as error:
        raise CodecError(f"{subject} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(codec, Codec):
        raise CodecError(f"{subject} is no trainlog.Codec but a {type(codec).__name__}")
    if codec.name != entry.name:
        raise CodecError(f"{subject} calls itself {codec.name!r}; the two names must be the same")
    return codec


def distribution_of(entry: EntryPoint) -> str:
    """The name of the distribution that installed *entry*."""
    return entry.dist.name if entry.dist is not None else entry.value
