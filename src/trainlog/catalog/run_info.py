"""One of many runs: as the catalog knows it, as users see it, and as a row of the table of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from trainlog import registry
from trainlog.catalog.digest import Digest
from trainlog.catalog.facts import Facts, State
from trainlog.catalog.filter import FACTS, PREFIXES
from trainlog.catalog.fragments import Member
from trainlog.catalog.index import Catalog
from trainlog.catalog.notes import PREFIX
from trainlog.catalog.store import Entry
from trainlog.codec import Reader
from trainlog.conventions import Conventions, seed_of
from trainlog.model import Kind
from trainlog.table.values import column_name

__all__ = ["KnownRun", "RunInfo", "of_metric", "row_of"]

_OWN: Final = frozenset(["run", "state", "task", "reason", "error", *FACTS])
_OTHERS: Final = tuple(f"{prefix}/" for prefix in (*PREFIXES, PREFIX, "run"))


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One of many runs, as the catalog knows it.

    Attributes:
        name: the path below the requested folder, which is unique among the runs.
        path: the path of the log.
        meta: the metadata, nested keys joined by ``/``.
        state: see `trainlog.catalog.states.STATES`.
        task: the task in its metadata, or None.
        reason: what ended it, in words; empty if that is not recorded.
        run: the provenance, nested keys joined by ``/``; see docs/provenance.md.

    """

    name: str
    path: Path
    meta: Mapping[str, Any]
    state: State
    task: str | None
    reason: str = ""
    run: Mapping[str, Any] = field(default_factory=dict)

    def open(self) -> Reader:
        """Open the log; raises as `trainlog.open`."""
        return registry.open(self.path)


class KnownRun(NamedTuple):
    """A run, and the catalog that knows it."""

    catalog: Catalog
    entry: Entry

    @property
    def facts(self) -> Facts:
        """What the catalog stores about it."""
        return self.entry.facts

    @property
    def path(self) -> Path:
        """The path of the log."""
        return self.catalog.path(self.entry.path)

    def info(self, name: str) -> RunInfo:
        """The run as users see it, under *name*."""
        facts = self.facts
        return RunInfo(name, self.path, facts.meta, facts.state, facts.task or None, facts.reason, facts.run)

    def member(self, name: str) -> Member:
        """The log as a member of a fragment, under *name*."""
        facts = self.facts
        return Member(self.path, name, facts.task or None, seed_of(facts.meta, facts.run), facts.size)


@lru_cache(1 << 16)
def _column_of(key: str) -> str:
    """The column of a metadata key, never one that the catalog itself uses, even if that has no value yet.

    So it is the same before and after a log was read, and no key is mistaken for a metric, a note or the provenance.
    """
    if key in _OWN:
        return f"{key}#2"
    return f"meta/{key}" if key.startswith(_OTHERS) else key


def row_of(name: str, facts: Facts, notes: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """The row of a run in `Runs.config`, with the *notes* of users; values that the run lacks are left out."""
    row: dict[str, Any] = {"run": name, "state": facts.state, "task": facts.task}
    if facts.read:
        row["duration"] = facts.duration
        row["frames"] = facts.frames
    row["size"] = facts.size
    row["changed"] = facts.changed
    if facts.read:
        row["damage"] = facts.damage
    if facts.reason:
        row["reason"] = facts.reason
    if facts.error:
        row["error"] = facts.error
    meta = facts.meta
    if isinstance(said := meta.get("task"), str) and said in facts.task:
        meta = {key: value for key, value in meta.items() if key != "task"}
    for key, value in meta.items():
        row[column_name(_column_of(key), row)] = value
    for key, said in notes.items():
        row[f"{PREFIX}/{key}"] = ", ".join(said) if isinstance(said, list) else said
    row |= facts.last
    return row


def of_metric(digest: Digest, prefix: str, name: str) -> float | None:
    """A number of a metric in the digest: of stats, or else of generations; None if there is none."""
    found = (digest.kinds.get(int(kind), {}).get(name) for kind in (Kind.STATS, Kind.EVOLUTION))
    metric = next((one for one in found if one is not None and one.numbers), None)
    if metric is None:
        return None
    if prefix == "best":
        prefix = "min" if Conventions.lower_is_better(name) else "max"
    return {"first": metric.first, "min": metric.low, "max": metric.high, "mean": metric.mean}[prefix]
