"""Parquet: a whole run as one table, for polars, pandas, DuckDB and all others that read it. The extra ``arrow``.

A row is a frame, in the log's order; docs/formats/parquet.md says what its columns are. As Parquet wants to know all
columns before the first row, frames go to a log of another format beside the target (the spool), which a killed process
leaves behind, and become Parquet when the writer is closed.
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

    def __init__(self, spool: Codec) -> None:
        """*spool* is the format that a log has until it is closed."""
        self._spool = spool

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
        return ParquetWriter(path, header, self._spool)
