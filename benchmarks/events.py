"""TensorBoard's event files: reading and writing them, compared with TensorBoard itself, tbparse and tensorboardX."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import frames
from benchmarks.frames import SCALARS, Columns
from benchmarks.measure import Scale, Unmeasured, held_memory, in_child, median_time, peak_memory, scratch
from benchmarks.peers import PEERS
from benchmarks.peers.base import Row
from benchmarks.report import Table, ratio

__all__ = ["DISTRIBUTIONS", "READERS", "WRITERS", "read", "tables", "written"]

DISTRIBUTIONS = {"crc32c", "msgpack", "numpy", "ormsgpack", "pandas", "protobuf", "tbparse", "tensorboard"}
DISTRIBUTIONS |= {"tensorboardX", "trainlog"}

_TAGS = SCALARS[1:]
_FILES = ("tensorboardX", "trainlog")  # the writers of the files that are read

Work = Callable[[], None]


def _read_by_trainlog(path: str) -> Columns:
    import trainlog

    return dict(trainlog.open(path).table("stats"))


def _converted_to_flog(path: str) -> Columns:
    import trainlog

    return dict(trainlog.open(_to_flog(path)).table("stats"))


def _to_flog(path: str) -> str:
    import trainlog

    target = Path(path).with_suffix(".flog")
    target.unlink(missing_ok=True)
    trainlog.convert(path, target)
    return str(target)


def _read_by_loader(path: str) -> Columns:
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    columns: dict[str, list[float]] = {tag: [] for tag in ("step", *_TAGS)}
    for event in LegacyEventFileLoader(path).Load():
        if event.HasField("summary") and event.summary.value[0].HasField("simple_value"):
            if not columns["step"] or event.step != columns["step"][-1]:
                columns["step"].append(event.step)
            for value in event.summary.value:
                columns[value.tag].append(value.simple_value)
    return {tag: np.array(values) for tag, values in columns.items()}


def _read_by_accumulator(path: str) -> Columns:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(path, size_guidance={"scalars": 0})
    accumulator.Reload()
    columns = {tag: np.array([one.value for one in accumulator.Scalars(tag)]) for tag in _TAGS}
    return {"step": np.array([one.step for one in accumulator.Scalars(_TAGS[0])]), **columns}


def _read_by_tbparse(path: str) -> Columns:
    from tbparse import SummaryReader

    long = SummaryReader(path, event_types={"scalars"}).scalars
    wide = long.pivot(index="step", columns="tag", values="value")
    return {"step": wide.index.to_numpy(), **{tag: wide[tag].to_numpy() for tag in _TAGS}}


# For each reader, the function that is timed, and the one that returns columns for the comparison of values.
READERS: dict[str, tuple[Callable[[str], object], Callable[[str], Columns]]] = {
    "trainlog": (_read_by_trainlog, _read_by_trainlog),
    "trainlog.convert, to FLOG": (_to_flog, _converted_to_flog),
    "TensorBoard's loader, values in lists": (_read_by_loader, _read_by_loader),
    "TensorBoard's EventAccumulator": (_read_by_accumulator, _read_by_accumulator),
    "tbparse, pivoted by pandas": (_read_by_tbparse, _read_by_tbparse),
}


def _by_trainlog(folder: Path, times: Sequence[float], rows: Sequence[Row]) -> Work:
    import trainlog

    def write() -> None:
        with trainlog.create(folder / "run.tfevents") as writer:
            for now, row in zip(times, rows, strict=True):
                writer.put(now, trainlog.Kind.STATS, row)

    return write


def _by_convert(folder: Path, times: Sequence[float], rows: Sequence[Row]) -> Work:
    import trainlog

    source = folder / "source" / "run.flog"
    with trainlog.TrainingRecorder(source, provenance=False) as log:
        for now, row in zip(times, rows, strict=True):
            log.record_stats_frame(now, row)
    return lambda: trainlog.convert(source, folder / "run.tfevents") and None


def _by_tensorboard(folder: Path, times: Sequence[float], rows: Sequence[Row]) -> Work:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    def write() -> None:
        writer = EventFileWriter(str(folder))
        for now, row in zip(times, rows, strict=True):
            values = [Summary.Value(tag=tag, simple_value=row[tag]) for tag in _TAGS]
            writer.add_event(Event(wall_time=now, step=row["step"], summary=Summary(value=values)))
        writer.close()

    return write


def _by_tensorboardx(folder: Path, times: Sequence[float], rows: Sequence[Row]) -> Work:
    from tensorboardX import SummaryWriter

    def write() -> None:
        with SummaryWriter(str(folder)) as writer:
            for now, row in zip(times, rows, strict=True):
                for tag in _TAGS:
                    writer.add_scalar(tag, row[tag], row["step"], now)

    return write


# Each returns the function that is timed, after the parts that are not: imports, and the log to be converted.
WRITERS: dict[str, Callable[[Path, Sequence[float], Sequence[Row]], Work]] = {
    "trainlog": _by_trainlog,
    "trainlog.convert, of a FLOG file": _by_convert,
    "TensorBoard's EventFileWriter": _by_tensorboard,
    "tensorboardX": _by_tensorboardx,
}


def written(name: str, folder: str, count: int) -> dict[str, float]:
    """Write *count* steps by the writer *name* into *folder*: seconds until the file is closed, and its size."""
    truth = frames.columns("scalars", count)
    work = WRITERS[name](Path(folder), frames.times(count), frames.rows(truth))
    began = time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - began, "size": Path(_event_file(folder)).stat().st_size}


def _event_file(folder: str) -> str:
    (path,) = (one for one in Path(folder).iterdir() if "tfevents" in one.name and one.suffix != ".flog")
    return str(path)


def read(name: str, folder: str, count: int, repeats: int) -> dict[str, Any]:
    """Read the event file of *count* steps in *folder* by the reader *name* several times, and compare its values."""
    path = _event_file(folder)
    reader, columns = READERS[name]
    before = held_memory()
    reader(path)
    peak = peak_memory() - before
    note = frames.same(frames.columns("scalars", count), columns(path), np.float32)
    return {"seconds": median_time(lambda: reader(path), repeats), "peak": peak, "note": note}


def tables(scale: Scale) -> Iterator[Table]:
    """Reading a file of each of two writers, and writing."""
    count = max(scale.rows // 5, 100)
    missing = PEERS["tensorboardX"].missing() or PEERS["trainlog, event files"].missing()
    for author in _FILES:
        yield _reading(author, scale, count, missing)
    yield _writing(scale, count, missing)


def _reading(author: str, scale: Scale, count: int, missing: str) -> Table:
    a_record = "one number in each record" if author == "tensorboardX" else "one step in each record"
    table = Table(
        f"Event files of TensorBoard: reading one by {author}",
        f"{count:,} steps of {len(_TAGS)} scalars, {a_record}, in the page cache; the median of {scale.passes} fresh "
        "processes. All but the conversion end with a column of numbers for each tag. *Peak*: the most memory that the "
        "first reading added to the process, including its imports. (tensorboardX has no reader.)",
        ["reader", "ms", "µs per number", "to trainlog", "MB/s", "peak MB", "checked"],
        words=frozenset([6]),
    )
    base = float("nan")
    with scratch() as folder:
        try:
            size = 0 if missing else in_child(written, name=author, folder=str(folder), count=count)["size"]
        except Unmeasured as error:
            missing = f"failed: {error}"
        for name in READERS:
            where: dict[str, Any] = {"name": name, "folder": str(folder), "count": count, "repeats": scale.repeats}
            try:
                runs = [] if missing else [in_child(read, **where) for _ in range(scale.passes)]
                why = missing
            except Unmeasured as error:
                runs, why = [], f"failed: {error}"
            if not runs:
                table.rows.append([name, *["—"] * 5, why])
                continue
            seconds = statistics.median(run["seconds"] for run in runs)
            base = seconds if name == "trainlog" else base
            peak = statistics.median(run["peak"] for run in runs)
            cells = [f"{seconds * 1e3:,.1f}", f"{seconds / count / len(_TAGS) * 1e6:,.2f}", ratio(seconds, base)]
            table.rows.append([name, *cells, f"{size / seconds / 1e6:,.1f}", f"{peak / 1e6:,.0f}", runs[0]["note"]])
    return table


def _writing(scale: Scale, count: int, missing: str) -> Table:
    table = Table(
        "Event files of TensorBoard: writing",
        f"{count:,} steps of {len(_TAGS)} scalars, until the file is closed; the median of {scale.passes} fresh "
        "processes. trainlog and EventFileWriter put a step into one record, tensorboardX a number. The operating "
        "system has trainlog's records when each call returns; the others' wait in a queue, which a thread writes. "
        "*Checked*: what TensorBoard's EventAccumulator and trainlog read back.",
        ["writer", "ms", "µs per number", "to trainlog", "bytes per number", "checked"],
        words=frozenset([5]),
    )
    base = float("nan")
    for name in WRITERS:
        try:
            runs = [] if missing else [_checked(name, count) for _ in range(scale.passes)]
            why = missing
        except Unmeasured as error:
            runs, why = [], f"failed: {error}"
        if not runs:
            table.rows.append([name, *["—"] * 4, why])
            continue
        seconds, numbers = statistics.median(run["seconds"] for run in runs), count * len(_TAGS)
        base = seconds if name == "trainlog" else base
        cells = [f"{seconds * 1e3:,.1f}", f"{seconds / numbers * 1e6:,.2f}", ratio(seconds, base)]
        table.rows.append([name, *cells, f"{runs[0]['size'] / numbers:,.1f}", runs[0]["note"]])
    return table


def _checked(name: str, count: int) -> dict[str, Any]:
    """Write once, and compare what two readers return."""
    with scratch() as folder:
        run: dict[str, Any] = in_child(written, name=name, folder=str(folder), count=count)
        for reader in ("TensorBoard's EventAccumulator", "trainlog"):
            run["note"] = in_child(read, name=reader, folder=str(folder), count=count, repeats=1)["note"]
    return run
