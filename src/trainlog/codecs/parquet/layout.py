"""What the writer and the reader of Parquet files agree on: names of columns, the header, row groups."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from trainlog.errors import CorruptLog, LogNotFound, TrainlogError, UnknownFormat
from trainlog.model import End, Header, Kind, Variable
from trainlog.table.arrow import extra

__all__ = ["column_name", "header_of", "packed", "pyarrow_modules", "typed"]

MAGIC: Final = b"PAR1"
METADATA: Final = b"trainlog"
# A list of the columns that do not tell all of their values exactly, and of the kinds with keys that have no column.
INEXACT: Final = b"trainlog.inexact"
FRAME: Final = "frame"  # the column of whole frames
GROUP: Final = 1 << 15  # frames in a row group
MOST_CELLS: Final = 1 << 26  # rows times columns of a row group that is read: half a gigabyte of numbers


def pyarrow_modules() -> tuple[Any, Any]:
    """Pyarrow and pyarrow.parquet.

    Raises:
        MissingExtra: when they are not installed.

    """
    return extra("pyarrow", '"trainlog[arrow]"'), extra("pyarrow.parquet", '"trainlog[arrow]"')


def column_name(kind: Kind, key: str) -> str:
    """The column of a key of one kind."""
    return f"{kind}/{key}"


def packed(header: Header) -> bytes:
    """*header* as the schema's metadata have it."""
    said = {
        "version": 1,
        "meta": header.meta,
        "phase": header.phase,
        "variables": [dataclasses.asdict(variable) for variable in header.variables],
        "run": header.run,
        "end": None if header.end is None else dataclasses.asdict(header.end),
    }
    return json.dumps(said).encode()


def header_of(schema: Any, path: Path) -> Header:
    """The header of a log with this *schema*.

    Raises:
        UnknownFormat: when it is no log.
        CorruptLog: when the header cannot be understood, or a column is not as trainlog writes it.

    """
    said_packed = (schema.metadata or {}).get(METADATA)
    if said_packed is None:
        raise UnknownFormat("this Parquet file holds no log: its metadata do not say `trainlog`", path=path)
    _check_types(schema, path)
    try:
        said = json.loads(said_packed)
        variables = tuple(Variable(**variable) for variable in said["variables"])
        return Header(said["meta"], said["phase"], variables, said.get("run", {}), End.of(said.get("end")))
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptLog(f"the header in its metadata cannot be understood ({error})", path=path) from error


def _check_types(schema: Any, path: Path) -> None:
    """Refuse a file whose columns are not of the types that trainlog writes, or of what others make of these.

    Raises:
        CorruptLog: when one is not.

    """
    pa, _ = pyarrow_modules()
    types = pa.types

    def is_text(one: Any) -> bool:
        return (
            is_text(one.value_type) if types.is_dictionary(one) else types.is_string(one) or types.is_large_string(one)
        )

    known = {"time": types.is_float64, "kind": is_text, FRAME: lambda one: one in (pa.binary(), pa.large_binary())}
    for name, is_known in known.items():
        if schema.names.count(name) != 1 or not is_known(schema.field(name).type):
            raise CorruptLog(f"its column {name!r} is missing, or is not what it is in a log", path=path)
    for field in schema:
        one = field.type
        while types.is_list(one) or types.is_large_list(one) or types.is_fixed_size_list(one):
            one = one.value_type
        if one.num_fields:
            raise CorruptLog(f"its column {field.name!r} is {field.type}, which no value in a log is", path=path)


@contextmanager
def typed(pa: Any, path: Path) -> Iterator[None]:
    """Errors of pyarrow as those of trainlog."""
    try:
        yield
    except FileNotFoundError as error:
        raise LogNotFound("there is no such file", path=path) from error
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        if isinstance(error, TrainlogError):
            raise
        raise CorruptLog(f"this is no whole Parquet file ({error})", path=path) from error
