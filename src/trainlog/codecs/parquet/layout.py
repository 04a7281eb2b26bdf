"""The layout that the writer and the reader of Parquet files share: names of columns, the header, row groups."""

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
VERSION: Final = 1
METADATA: Final = b"trainlog"
# A list of the columns that do not hold all of their values exactly, and of the kinds with keys that have no column.
INEXACT: Final = b"trainlog.inexact"
FRAME: Final = "frame"  # the column of whole frames
GROUP: Final = 1 << 15  # frames in a row group
MOST_CELLS: Final = 1 << 26  # rows times columns of a row group to be read: half a gigabyte of numbers


def pyarrow_modules() -> tuple[Any, Any]:
    """Import pyarrow and pyarrow.parquet.

    Raises:
        MissingExtra: when they are not installed.

    """
    return extra("pyarrow", '"trainlog[arrow]"'), extra("pyarrow.parquet", '"trainlog[arrow]"')


def column_name(kind: Kind, key: str) -> str:
    """The column name of a key of one kind."""
    return f"{kind}/{key}"


def packed(header: Header) -> bytes:
    """*header* as it is stored in the schema's metadata."""
    said = {
        "version": VERSION,
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
        UnknownFormat: when it is not a log, or one of a later version.
        CorruptLog: when the header cannot be understood, or a column is not as trainlog writes it.

    """
    said_packed = (schema.metadata or {}).get(METADATA)
    if said_packed is None:
        raise UnknownFormat("this Parquet file holds no log: its metadata have no `trainlog`", path=path)
    _check_types(schema, path)
    try:
        said = json.loads(said_packed)
        if (version := said["version"]) != VERSION:
            raise UnknownFormat(f"this log in Parquet has version {version!r}; {VERSION} is known", path=path)
        variables = tuple(Variable(**variable) for variable in said["variables"])
        header = Header(said["meta"], said["phase"], variables, said.get("run", {}), End.of(said.get("end")))
        if not isinstance(header.meta, dict) or not isinstance(header.run, dict) or type(header.phase) is not int:
            raise TypeError("a field of another type than in a log")
        return header
    except UnknownFormat:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptLog(f"the header in its metadata cannot be understood ({error})", path=path) from error


def _check_types(schema: Any, path: Path) -> None:
    """Refuse a file with a column that has neither a type that trainlog writes nor one that other tools turn it into.

    Raises:
        CorruptLog: when there is such a column.

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
            raise CorruptLog(f"its column {name!r} is missing, or has another type than in a log", path=path)
    for field in schema:
        one = field.type
        while types.is_list(one) or types.is_large_list(one) or types.is_fixed_size_list(one):
            one = one.value_type
        if one.num_fields:
            raise CorruptLog(f"its column {field.name!r} is {field.type}, a type that no value in a log has", path=path)


@contextmanager
def typed(pa: Any, path: Path) -> Iterator[None]:
    """Turn errors of pyarrow into those of trainlog."""
    try:
        yield
    except FileNotFoundError as error:
        raise LogNotFound("there is no such file", path=path) from error
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        if isinstance(error, TrainlogError):
            raise
        raise CorruptLog(f"this is not a complete Parquet file, or not a log ({error})", path=path) from error
