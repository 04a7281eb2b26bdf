"""Reading a log in Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainlog.codec import OnDamage, Reader
from trainlog.codecs.frame_payload import decode
from trainlog.codecs.parquet.layout import GROUP, column_name, header_of, pyarrow_modules, typed
from trainlog.model import Frame, Kind, KindLike
from trainlog.storage.source import Wait, never

__all__ = ["ParquetReader"]


class ParquetReader(Reader):
    """A log in Parquet; see `trainlog.codec.Reader` for what its methods do."""

    def __init__(self, path: Path) -> None:
        pa, parquet = pyarrow_modules()
        with typed(pa, path):
            schema = parquet.read_schema(path)
        super().__init__(path, header_of(schema, path))

    def frames(
        self, kind: KindLike | None = None, *, wait: Wait = never, on_damage: OnDamage = "warn"
    ) -> Iterator[Frame]:
        """Yield the frames; the file is complete, so that there is nothing to wait for."""
        wanted = None if kind is None else Kind.of(kind)
        pa, parquet = pyarrow_modules()
        with typed(pa, self.path), parquet.ParquetFile(self.path) as file:
            names = file.schema_arrow.names
            if wanted is not None:
                names = [name for name in names if "/" not in name or name.startswith(column_name(wanted, ""))]
            for batch in file.iter_batches(GROUP // 8, None, names):
                yield from _frames_of(batch, None if wanted is None else str(wanted))


def _frames_of(batch: Any, wanted: str | None) -> Iterator[Frame]:
    times, kinds, raw = (batch.column(name).to_pylist() for name in ("time", "kind", "frame"))
    data: list[dict[Any, Any]] = [{} for _ in times]
    rows = {kind: [row for row, one in enumerate(kinds) if one == kind] for kind in set(kinds)}
    for name in batch.schema.names:
        kind, found, key = name.partition("/")
        if found and kind in rows:
            values = batch.column(name).take(rows[kind]).to_pylist()
            for row, value in zip(rows[kind], values, strict=True):
                if value is not None:
                    data[row][key] = value
    for time, kind, packed, one in zip(times, kinds, raw, data, strict=True):
        if wanted is None or kind == wanted:
            yield Frame(time, Kind.of(kind), one if packed is None else decode(packed))
