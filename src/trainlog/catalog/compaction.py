"""The rows of many logs as partitioned Parquet files, which any engine reads without trainlog."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import numpy as np

from trainlog import registry
from trainlog.catalog.fragments import Fragment, Member, Schema, arrow_module, item_of, with_floats
from trainlog.catalog.plan import by_bytes
from trainlog.catalog.progress import progress_bar
from trainlog.catalog.workers import run_all
from trainlog.errors import CodecError, ExpressionError, LogExists, LogInUse, LogWriteError
from trainlog.model import Kind, KindLike
from trainlog.scan import Scan
from trainlog.storage.locks import lock, lock_owner
from trainlog.storage.replace import atomic_write, write_errors
from trainlog.strictjson import strict_json
from trainlog.table.arrow import as_lists, extra, utf8
from trainlog.table.column import Column

if TYPE_CHECKING:
    import pyarrow

    from trainlog.catalog.runs import Runs

__all__ = ["Compaction", "compact"]

_MANIFEST: Final = "trainlog-compact.json"
_PART: Final = re.compile(r"part-[0-9a-f]{16}\.parquet")
_PART_BYTES: Final = 64 << 20  # total size of the logs in a part
_LETTERS: Final = 255  # maximum length of a folder name
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(slots=True)
class Compaction:
    """What `compact` did.

    Attributes:
        target: the folder.
        runs: the number of runs that it holds now, by kind.
        written: the number of runs whose rows were written and compared with their logs.
        kept: the number of runs that were there before and whose logs are unchanged or gone.
        rows: the number of rows of all kinds that were written.
        size: the bytes of the Parquet files now.
        damaged: the problems of damaged runs, by name.

    """

    target: Path
    runs: dict[str, int] = field(default_factory=dict)
    written: int = 0
    kept: int = 0
    rows: int = 0
    size: int = 0
    damaged: dict[str, str] = field(default_factory=dict)


class _Task(NamedTuple):
    """A part to write: the fragment of its new rows, and the runs whose rows are taken from the old part."""

    path: Path
    fragment: Fragment
    kept: frozenset[str]
    kind: Kind


class _Part(NamedTuple):
    """A written part: the number of rows of each run that was read, and the problems by run."""

    rows: dict[str, int]
    damaged: dict[str, str]


def compact(
    runs: Runs, target: Path, *, partition_by: str | Sequence[str] = (), kinds: Iterable[KindLike] = ("stats",)
) -> Compaction:
    """Copy the rows of *runs* to Parquet files below *target*, and compare the files with the logs.

    ``target/stats/task=ant/part-….parquet`` has the columns of `Runs.table`; ``target/runs.parquet`` has
    those of `Runs.config`. A second call writes only what has changed: the parts of runs whose logs are new or changed,
    and all parts if the columns are different. Rows of runs whose logs are gone are kept. No log is changed or deleted.

    Args:
        runs: the runs to copy.
        target: a new folder, or that of an earlier call.
        partition_by: keys of the metadata, or ``task`` or ``seed``: one folder for each value.
        kinds: the kinds of frames to copy.

    Raises:
        MissingExtra: without pyarrow.
        LogExists: if *target* is a folder that holds something else, or was created with other partitions.
        LogInUse: if another call is writing to it.
        ExpressionError: if no run has one of *partition_by*.
        LogWriteError: if it cannot be written, or reads back different from the logs.
        CodecError: if columns have changed incompatibly, and the logs of some of their rows are gone.
        DamagedLog: with ``on_error="raise"``, for a damaged log.

    """
    arrow_module()
    keys = [partition_by] if isinstance(partition_by, str) else list(partition_by)
    with _alone(target):
        return _compacted(runs, target, keys, kinds)


def _compacted(runs: Runs, target: Path, keys: list[str], kinds: Iterable[KindLike]) -> Compaction:
    manifest = _load(target, keys)
    members = runs.known.members()
    stamps = runs.known.stamps()
    meta = {one.path: one.meta for one in runs}
    partitions = [_partitions(keys, member, meta[member.path]) for member in members]
    for number, key in enumerate(keys):
        if members and all(values[number] is None for values in partitions):
            raise ExpressionError(f"no run has the key {key!r} in its metadata")
    folders = [_folder(keys, values) for values in partitions]
    done = Compaction(target, damaged=runs.damaged)
    tasks: list[_Task] = []
    schemas: dict[str, Schema] = {}
    for kind in dict.fromkeys(map(Kind.of, kinds)):
        schemas[str(kind)] = runs.schema(kind)
        known = manifest["kinds"].setdefault(str(kind), {"schema": "", "parts": {}})
        tasks += _plan(
            runs,
            target,
            kind,
            schemas[str(kind)],
            known,
            members,
            stamps,
            folders,
            done,
        )
    with progress_bar("compacting", runs.known.progress) as progress:
        seconds = 3 * sum(task.fragment.seconds for task in tasks)
        for count, (number, part) in enumerate(run_all(_write, tasks, seconds=seconds, workers=runs.known.workers), 1):
            task = tasks[number]
            known = manifest["kinds"][str(task.kind)]
            name = task.path.relative_to(target).as_posix()
            before = known["parts"].get(name, {})
            known["parts"][name] = {run: before[run] for run in task.kept} | {run: stamps[run] for run in part.rows}
            if not known["parts"][name]:
                del known["parts"][name]
            done.written += len(part.rows)
            done.rows += sum(part.rows.values())
            done.damaged |= {run: problem for run, problem in part.damaged.items() if run not in done.damaged}
            progress(count, len(tasks))
    for name, schema in schemas.items():
        manifest["kinds"][name]["schema"] = _text(schema)
    if tasks or not (target / _MANIFEST).exists():
        _write_table(runs.config.to_arrow(), target / "runs.parquet")
        with atomic_write(target / _MANIFEST) as file:
            file.write(json.dumps(manifest, indent=1).encode())
    for name, known in manifest["kinds"].items():
        done.runs[name] = sum(map(len, known["parts"].values()))
        done.size += sum((target / part).stat().st_size for part in known["parts"])
    return done


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Let no other call write to *target*, if its file system has locks; remove it if it is new and stays empty."""
    is_new = not target.exists()
    with write_errors("cannot write", target):
        target.mkdir(parents=True, exist_ok=True)
        fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            lock(fd, target)
        except LogInUse:
            who = lock_owner(target) or "another process"
            raise LogInUse(f"{who} is writing to this folder; wait until it has finished", path=target) from None
        yield
    finally:
        os.close(fd)
        if is_new:
            with suppress(OSError):
                target.rmdir()


def _load(target: Path, keys: list[str]) -> dict[str, Any]:
    """The manifest of an earlier call; files that are not in it, left by an interrupted call, are removed."""
    path = target / _MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        if manifest["version"] != 1 or manifest["partition_by"] != keys:
            by = ", ".join(manifest["partition_by"]) or "nothing"
            raise LogExists(f"it is partitioned by {by}; choose another folder for other partitions", path=target)
        for kind in manifest["kinds"].values():  # the rows of a deleted part are written again
            kind["parts"] = {name: held for name, held in kind["parts"].items() if (target / name).exists()}
        parts = {name for kind in manifest["kinds"].values() for name in kind["parts"]}
    except FileNotFoundError:
        if any(one.name != "runs.parquet" and not _is_ours(one) for one in target.iterdir()):
            raise LogExists("this folder holds other files; choose a new one", path=target) from None
        manifest, parts = {"version": 1, "partition_by": keys, "kinds": {}}, set()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LogExists(f"{_MANIFEST} in it cannot be understood ({error})", path=target) from error
    for one in target.glob("*/**/part-*.parquet"):
        if _PART.fullmatch(one.name) and one.relative_to(target).as_posix() not in parts:
            one.unlink()
    return manifest


def _is_ours(path: Path) -> bool:
    """Whether it is a folder with nothing but parts, left by an interrupted call."""
    return path.is_dir() and all(
        _PART.fullmatch(one.name) or one.name.startswith(".part-") for one in path.rglob("*") if not one.is_dir()
    )


def _plan(
    runs: Runs,
    target: Path,
    kind: Kind,
    schema: Schema,
    known: dict[str, Any],
    members: Sequence[Member],
    stamps: Mapping[str, str],
    folders: Sequence[str],
    done: Compaction,
) -> list[_Task]:
    """The parts of *kind* that must be written."""
    parts: dict[str, dict[str, str]] = known["parts"]
    place = {run: name for name, held in parts.items() for run in held}
    other = bool(parts) and known["schema"] != _text(schema)
    reread = other and not _grows(known["schema"], schema)
    changed: dict[str, list[Member]] = {}
    fresh: dict[str, list[Member]] = {}
    dropped: dict[str, set[str]] = {}
    by_run = {member.run: member for member in members}
    for member, folder in zip(members, folders, strict=True):
        name = place.get(member.run)
        start = f"{kind}/{folder}"
        if name is not None and name.rpartition("/")[0] == start.rstrip("/"):
            if reread or parts[name][member.run] != stamps[member.run]:
                changed.setdefault(name, []).append(member)
            continue
        if name is not None:
            dropped.setdefault(name, set()).add(member.run)
        fresh.setdefault(start, []).append(member)
    if reread and (gone := [run for run in place if run not in by_run]):
        raise CodecError(
            f"the columns have changed, so that all logs must be read again, but the logs of {len(gone):,} runs are "
            f"gone, such as {gone[0]}; choose a new folder",
            path=target,
        )
    tasks: list[_Task] = []

    def add(name: str, new: Sequence[Member], kept: Iterable[str]) -> None:
        scan = Scan(kinds=kind, batch_rows=None)
        fragment = Fragment(tuple(new), scan, runs.known.on_error, schema)
        tasks.append(_Task(target / name, fragment, frozenset(kept), kind))

    for name, held in parts.items():
        new = changed.get(name, [])
        kept = held.keys() - {member.run for member in new} - dropped.get(name, set())
        if new or other or name in dropped:
            add(name, new, kept)
        done.kept += len(kept)
    for start, group in fresh.items():
        for some in by_bytes(group, _PART_BYTES):
            digest = hashlib.sha256("\n".join(one.run for one in some).encode("utf-8", "surrogateescape")).hexdigest()
            name = f"{start.rstrip('/')}/part-{digest[:16]}.parquet"
            if name in parts:  # the same runs, which were in another part in between
                name = f"{start.rstrip('/')}/part-{digest[16:32]}.parquet"
            add(name, some, ())
    return tasks


def _partitions(keys: Sequence[str], member: Member, meta: Mapping[str, Any]) -> list[Any]:
    """The value of each key; None if the run has none."""
    own = {"task": member.task, "seed": member.seed}
    return [own[key] if key in own else meta.get(key) for key in keys]


def _folder(keys: Sequence[str], values: Sequence[Any]) -> str:
    parts = [f"{quote(key, safe='')}={_quoted(value)}" for key, value in zip(keys, values, strict=True)]
    for key, part in zip(keys, parts, strict=True):
        if len(part) > _LETTERS:
            raise LogWriteError(f"a value of {key!r} is too long for the name of a folder; partition by other keys")
    return "/".join(parts)


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else strict_json(value)
    return _NO_VALUE if value is None else quote(text, safe=" ")


def _text(schema: Schema) -> str:
    return json.dumps([[field.name, str(field.type)] for field in schema.arrow()])


def _grows(before: str, schema: Schema) -> bool:
    """Whether rows of the schema *before* fit this one, with gaps or with integers as floats."""
    now = {field.name: str(field.type) for field in schema.arrow()}
    numbers = {"int64", "double"}
    for name, one in json.loads(before):
        wider = now.get(name) == "double" and one in numbers
        if now.get(name) not in (one, None) and not wider and one != "null":
            return False
    return all(name in now for name, _ in json.loads(before))


def _write(task: _Task) -> _Part:
    """Write a part, and compare it with the logs."""
    pa, parquet = arrow_module(), extra("pyarrow.parquet", '"trainlog[arrow]"')
    assert task.fragment.schema is not None
    schema = task.fragment.schema.arrow()
    table, rows, damaged = task.fragment.read()
    if task.kept:
        old = parquet.ParquetFile(task.path).read()
        held = pa.array([run in task.kept for run in old["run"].to_pylist()], pa.bool_())
        table = pa.concat_tables([_as(pa, old.filter(held), schema), table])
    if not task.kept and not rows:
        task.path.unlink(missing_ok=True)
        return _Part({}, damaged)
    members = {member.run: member for member in task.fragment.members}
    with atomic_write(task.path) as file:
        labels = [name for name in schema.names if pa.types.is_string(schema.field(name).type)]
        parquet.write_table(table, file, compression="zstd", use_dictionary=labels)
        file.flush()
        back = parquet.ParquetFile(file.name).read()
        first = len(table) - sum(rows.values())
        for run, count in rows.items():
            _compare(back.slice(first, count), members[run], task)
            first += count
    return _Part(rows, damaged)


def _as(pa: Any, table: pyarrow.Table, schema: pyarrow.Schema) -> pyarrow.Table:
    """Rows of an earlier schema as rows of *schema*, which has all of its columns."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _compare(back: pyarrow.Table, member: Member, task: _Task) -> None:
    """Compare rows that were read back with the log, which is read again.

    Raises:
        LogWriteError: if they differ.

    """
    assert task.fragment.schema is not None
    reader = registry.open(member.path)
    (batch,) = reader.scan(Scan(kinds=task.kind, batch_rows=None, on_damage="ignore"))
    table = batch.table
    keys = task.fragment.schema.keys
    columns = {name: table.column(key) if key in table else None for name, key in keys.items()}
    for name, column in {**columns, "time": Column(table.time)}.items():
        is_json = name != "time" and task.fragment.schema.types[name] != {"U"}
        found = back[name].combine_chunks()
        if column is None:
            same = found.null_count == len(found)
        else:  # a log that is being written may have grown since
            same = table.rows >= len(found) and _is_same(found, column.take(slice(len(found))), is_json=is_json)
        if not same:
            raise LogWriteError(
                f"the rows of {member.run} read back differently from the log in {name!r}", path=task.path
            )


def _is_same(found: Any, column: Column, *, is_json: bool) -> bool:
    valid = column.valid
    if not np.array_equal(found.is_valid().to_numpy(zero_copy_only=False), valid):
        return False
    values, present = column.values[valid], found.drop_null()
    if values.dtype != object and values.ndim == 1 and str(found.type) != "string":
        return np.array_equal(present.to_numpy(zero_copy_only=False), values, equal_nan=values.dtype.kind == "f")
    wanted = as_lists(values, None)
    if str(item_of(found.type)) in ("float", "double"):  # ints among floats
        wanted = [*map(with_floats, wanted)]
    if str(found.type) == "string":
        wanted = [strict_json(one) if is_json else utf8(one) for one in wanted]
    return repr(present.to_pylist()) == repr(wanted)


def _write_table(table: pyarrow.Table, path: Path) -> None:
    pa, parquet = arrow_module(), extra("pyarrow.parquet", '"trainlog[arrow]"')
    columns = {
        name: pa.array([None if one is None else strict_json(one) for one in column.to_pylist()], pa.string())
        if _has_empty_map(pa, column.type)
        else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    with atomic_write(path) as file:
        parquet.write_table(pa.table(columns), file, compression="zstd")


def _has_empty_map(pa: Any, one: pyarrow.DataType) -> bool:
    """Whether values of this type contain maps without any keys, which Parquet cannot store."""
    inner = [one.field(place).type for place in range(one.num_fields)]
    return (pa.types.is_struct(one) and not inner) or any(_has_empty_map(pa, each) for each in inner)
