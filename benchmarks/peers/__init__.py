"""The peers: each logs the same rows in its own natural way, and reads them back with its own reader.

All have the same methods. ``creature`` and ``scalars`` log one row, ``read`` returns the columns, and ``survivors`` the
number of rows that the peer's own reader finds in a log whose writer was killed. A peer's library is imported by
``load``, so that only that peer pays for the import.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.base import Peer
from benchmarks.peers.files import (
    Hdf5,
    JsonLines,
    Mcap,
    Mpacklog,
    MpacklogEach,
    OrjsonLines,
    OrjsonLinesFlushed,
    Parquet,
    ParquetPolars,
)
from benchmarks.peers.flog import FlushedFlog, OriginalRecorder, PlainFlog, Trainlog, TrainlogArchive, TrainlogEvents
from benchmarks.peers.trackers import TensorboardX, Trackio, Wandb

__all__ = ["PEERS", "Peer", "PlainFlog", "Trainlog", "peer"]


PEERS: dict[str, type[Peer]] = {
    one.name: one
    for one in (
        *(Trainlog, TrainlogArchive, PlainFlog, FlushedFlog, OriginalRecorder, Mpacklog, MpacklogEach, Mcap),
        *(
            TrainlogEvents,
            TensorboardX,
            Wandb,
            Trackio,
            Hdf5,
            JsonLines,
            OrjsonLines,
            OrjsonLinesFlushed,
            Parquet,
            ParquetPolars,
        ),
    )
}


def peer(name: str, folder: str) -> Peer:
    """The peer of that name, ready to log into *folder* or to read what it logged there."""
    one = PEERS[name](Path(folder))
    one.load()
    return one
