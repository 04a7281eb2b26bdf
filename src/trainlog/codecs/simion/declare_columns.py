"""What an RLSimion log needs from a log of another format: which keys are columns, and which frames are steps."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from trainlog.codec import Reader
from trainlog.codecs.simion.provenance import KEY, Origin
from trainlog.errors import CodecError
from trainlog.model import Header, Kind, Variable
from trainlog.table.values import column_name, flatten

__all__ = ["declare_columns", "leaves", "number"]

_SHOWN: Final = 1000  # frames that are read to list the keys of a log


def leaves(data: Mapping[Any, Any]) -> dict[str, Any]:
    """Flatten *data*: maps as in tables (``gait/phase``), and lists by index (``pos/0``); repetitions are numbered."""
    flat: dict[str, Any] = {}
    for key, value in flatten(data).items():
        found = {key: value}
        if isinstance(value, list | tuple | np.ndarray):
            found = leaves({f"{key}/{i}": item for i, item in enumerate(value)})
        flat |= found if flat.keys().isdisjoint(found) else {column_name(one, flat): found[one] for one in found}
    return flat


def number(value: Any) -> float | None:
    """*value* as a double if it is a number or a bool, otherwise None."""
    if isinstance(value, int | float | np.number | np.bool_):
        try:
            return float(value)
        except (OverflowError, TypeError):
            return None
    return None


def declare_columns(header: Header, reader: Reader) -> Header:
    """Return *header* with a column for each number under its variables, and with the kind of frame that is a step.

    A key whose values are lists becomes one column per item: ``pos/0``, ``pos/1``, ...

    Raises:
        CodecError: when no keys are named, or when one of them is not in the log or holds anything but numbers.

    """
    origin = Origin.of(header)
    if origin.is_simion:
        return header
    if not header.variables:
        raise CodecError(
            "this log declares no columns, and an RLSimion log has no others: name its keys as --state, --action, "
            f"--reward or --stat (in Python, variables=[...]). It has {_shortened(_keys(reader))}",
            path=reader.path,
        )
    variables: list[Variable] = []
    kinds: list[Kind] = []
    for variable, (kind, value) in zip(header.variables, _values(reader, header.variables), strict=True):
        kinds.append(kind)
        for key, leaf in leaves({variable.key: value}).items():
            if number(leaf) is None:
                what = type(leaf).__name__
                raise CodecError(f"{key!r} cannot be a column: its values are of type {what}", path=reader.path)
            name = variable.name + key.removeprefix(variable.key)
            variables.append(dataclasses.replace(variable, name=name, key=key))
    steps_are = Kind.CREATURE if Kind.CREATURE in kinds else max(kinds, key=kinds.count)
    meta = {**header.meta, KEY: dataclasses.replace(origin, steps_are=steps_are).as_json()}
    return dataclasses.replace(header, meta=meta, variables=tuple(variables))


def _values(reader: Reader, variables: tuple[Variable, ...]) -> Iterator[tuple[Kind, Any]]:
    """For each variable, the kind of the first frame that has it, and its value there."""
    missing = {variable.key for variable in variables}
    found: dict[str, tuple[Kind, Any]] = {}
    for frame in reader.frames():
        if frame.kind == Kind.EVENT:
            continue
        flat = flatten(frame.data)
        if missing.isdisjoint(flat):
            flat = leaves(frame.data)
        for key in missing & flat.keys():
            if flat[key] is not None:
                found[key] = frame.kind, flat[key]
                missing.remove(key)
        if not missing:
            break
    for variable in variables:
        if variable.key not in found:
            keys = _keys(reader)
            near = difflib.get_close_matches(variable.key, keys, 3, 0.5)
            has = f"near it: {', '.join(near)}" if near else f"it has {_shortened(keys)}"
            raise CodecError(f"this log has no key {variable.key!r}; {has}", path=reader.path)
        yield found[variable.key]


def _keys(reader: Reader) -> list[str]:
    keys: dict[str, None] = {}
    for frame in itertools.islice(reader.frames(), _SHOWN):
        if frame.kind != Kind.EVENT:
            keys |= dict.fromkeys(flatten(frame.data))
    return list(keys)


def _shortened(keys: list[str], most: int = 20) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return (", ".join(keys[:most]) or "no keys") + more
