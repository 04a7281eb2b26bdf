"""Parquet: a whole run as one table, for polars, pandas, DuckDB and other readers. Needs the extra ``arrow``.

A row is a frame, in the log's order; docs/formats/parquet.md describes the columns. Parquet needs to know all columns
before the first row. So frames go to a log of another format next to the target (the spool) and become Parquet when the
writer is closed. A killed process leaves the spool behind.
"""

from __future__ import annotations

from pathlib import Path

from trainlog.codec import Codec, Reader, Writer
from trainlog.codecs.parquet.layout import MAGIC
from trainlog.codecs.parquet.reader import ParquetReader
from trainlog.codecs.parquet.writer import open_writer
from trainlog.model import Header

__all__ = ["ParquetCodec"]


class ParquetCodec(Codec):
    """Parquet files that hold a log."""

    name = "parquet"
    suffixes = (".parquet",)
    description = "one table of all frames, for polars, pandas, DuckDB (needs trainlog[arrow])"

    def __init__(self, spool: Codec) -> None:
        """Use *spool* as the format that a log has until it is closed."""
        self._spool = spool

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether the file is a Parquet file."""
        return head.startswith(MAGIC)

    def read(self, path: Path) -> Reader:
        """Open the log at *path*.

        Raises:
            MissingExtra: without pyarrow.
            UnknownFormat: when it is a Parquet file without a log.

        """
        return ParquetReader(path)

    def write(self, path: Path, header: Header) -> Writer:
        """Create a log at *path*; the file appears when the writer is closed.

        Raises:
            MissingExtra: without pyarrow.

        """
        return open_writer(path, header, self._spool)
