"""Parquet: a whole run as one table, for polars, pandas, DuckDB and all others that read it. The extra ``arrow``.

A row is a frame, in the log's order. The columns:

- ``time``: float64, seconds since the run began;
- ``kind``: what the frame tells of, as a string (``stats``, ``creature``, ``kind_9``);
- one for each key of each kind, ``stats/reward``, nested ones flattened: ``stats/gait/phase``. It is null in the
  rows of other kinds, and where the frame has no such key. Its type is the one that most of its values have: double,
  int64, bool, string, binary, lists of fixed size (or of any, where their sizes differ) of numbers or bools;
- ``frame``: the whole frame's data as msgpack, for frames that hold anything that their columns cannot tell: ``None``,
  nested maps, an int among floats, a string among numbers. Null for all others.

The header is in the schema's metadata, under ``trainlog``, as JSON. So nothing is lost: read back as a log, every
frame is what it was (its keys may come in another order).

As Parquet wants to know all columns before the first row, frames go to a FLOG file beside the target, which a killed
process leaves behind, and become Parquet when the writer is closed.
"""

from __future__ import annotations

from pathlib import Path

from trainlog.codec import Codec, Reader, Writer
from trainlog.codecs.parquet.layout import MAGIC
from trainlog.codecs.parquet.reader import ParquetReader
from trainlog.codecs.parquet.writer import ParquetWriter
from trainlog.model import Header

__all__ = ["ParquetCodec"]


class ParquetCodec(Codec):
    """Parquet files that hold a log."""

    name = "parquet"
    suffixes = (".parquet",)
    description = "one table of all frames, for polars, pandas, DuckDB (needs trainlog[arrow])"

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether it is a Parquet file."""
        return head.startswith(MAGIC)

    def read(self, path: Path) -> Reader:
        """Open the log at *path*.

        Raises:
            MissingExtra: without pyarrow.
            UnknownFormat: when it is a Parquet file that holds no log.

        """
        return ParquetReader(path)

    def write(self, path: Path, header: Header) -> Writer:
        """Begin a log at *path*, which is there when the writer is closed.

        Raises:
            MissingExtra: without pyarrow.

        """
        return ParquetWriter(path, header)
