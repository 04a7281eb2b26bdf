"""Episodes: the steps of one environment between an episode's start and its end, and their return and means.

Works on every log whose events mark episodes: RLSimion logs, logs converted from them, logs written by environment
recorders, and any log with events of the types ``episode_start`` and ``episode_end``.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog import registry
from trainlog.codec import Reader
from trainlog.conventions import RANK, Conventions
from trainlog.environment_rows import (
    EnvironmentKey,
    EnvironmentRows,
    dense_table,
    episode_marks,
    steps_by_environment,
    together,
)
from trainlog.episode_summary import AVERAGED, EpisodeType, Tally, is_averaged, weights_of
from trainlog.errors import TrainlogWarning
from trainlog.model import Header, Kind, Variable
from trainlog.scan import OnDamage, Scan, stretches
from trainlog.table.builder import TableBuilder, table_of
from trainlog.table.html import facts_html
from trainlog.table.table import Table
from trainlog.table.values import Range, check_range, in_range

__all__ = ["Episode", "EpisodeType", "episode_table", "episodes"]

_OBS: Final = "obs"
SIM_TIME: Final = "episode_sim_time"

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode of a log.

    Attributes:
        number: its number in the log, in the order of episode starts, from 1.
        type: evaluation or training.
        index: its number among the episodes of its type; for an evaluation, the number of the evaluation.
        sub_index: its number among the episodes of one evaluation; 1 if there is only one.
        complete: whether it has a start and an end.
        steps: its records: ``step``, the clocks, every variable; ``time`` is seconds since the run began.
        variables: the declared columns.
        averaged: each record is the mean of the steps since the previous record, not a single sample.
        env: the environment, None in logs that do not name any.
        rank: the process that recorded it, in logs of several processes; otherwise None.
        start, end: the data of the two events; *end* is empty when the event is missing.
        began: time of the start, seconds.
        missing: why it has no end; empty when it has one.
        by_step: ``step`` counts the steps of the episode, as in RLSimion logs, and so gives the number of steps that a
            record stands for. Otherwise each record is one step.

    """

    number: int
    type: EpisodeType
    index: int
    sub_index: int
    complete: bool
    steps: Table
    variables: tuple[Variable, ...] = ()
    averaged: bool = False
    env: Any = None
    rank: Any = None
    start: Mapping[str, Any] = field(default_factory=dict)
    end: Mapping[str, Any] = field(default_factory=dict)
    began: float = math.nan
    missing: str = ""
    by_step: bool = False

    @property
    def weights(self) -> Floats:
        """How many steps each record stands for: float64, shape (records,); all 1 for single samples."""
        if not self.averaged or "step" not in self.steps:
            return np.ones(self.steps.rows)
        return weights_of(self.steps["step"])

    @property
    def every(self) -> int:
        """N if one step in N was recorded, according to the start event; 1 if it does not say."""
        every = self.start.get("every", 1)
        return every if isinstance(every, int) and every > 1 else 1

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with it or cannot be known, one sentence each; empty when all is well."""
        found = [self.missing] if self.missing else []
        if self.every > 1:
            known = "" if self.length is not None else ", so that its length and return are not known"
            found.append(f"one step in {self.every} was recorded{known}")
        elif not self.by_step and isinstance(said := self.end.get("length"), int) and said != self.length:
            found.append(f"its end reports {said:,} steps, but {self.length:,} are recorded")
        return tuple(found)

    @property
    def length(self) -> int | None:
        """How many steps the episode had: the number of recorded steps.

        When only some steps were recorded, it is the length in the end event, and None without an end, because it
        cannot be known. If any record has a reward, records without one are not steps.
        """
        if self.by_step:
            return self._tally().length
        return self._logged("length") if self.every > 1 else int(self._are_steps().sum())

    @property
    def reward(self) -> float:
        """Mean reward per step, summed over the reward variables."""
        if self.by_step:
            return self._tally().reward
        length = self.length
        return self.total_reward / length if length else math.nan

    @property
    def total_reward(self) -> float:
        """The return: the sum of the rewards of all steps.

        NaN when there is no reward, or when only some steps were recorded and the end event has no return.
        """
        if self.by_step:
            tally = self._tally()
            return tally.reward * tally.length
        if self.every > 1:
            total = self._logged("return")
            return math.nan if total is None else float(total)
        keys = [key for key in self._reward_keys() if key in self.steps]
        if not keys or not self.steps.rows:
            return math.nan
        # Added in order, as in a training loop: numpy's sum rounds differently.
        parts = [np.where(self.steps.column(key).valid, self.steps.numbers(key), 0.0) for key in keys]
        with np.errstate(invalid="ignore", over="ignore"):
            return float(sum(parts[1:], parts[0]).cumsum()[-1])

    @property
    def terminated(self) -> bool | None:
        """Whether it reached a terminal state; None if the log does not say."""
        return self._flag("terminated")

    @property
    def truncated(self) -> bool | None:
        """Whether it was cut off; None if the log does not say."""
        return self._flag("truncated")

    @property
    def final_obs(self) -> Any:
        """The last observation: an array, or a map of arrays by key; None if it was not recorded."""
        if not self.complete or not self.steps.rows:
            return None
        parts = {key: self.steps.column(key) for key in self.steps if key == _OBS or key.startswith(f"{_OBS}/")}
        found = {key: column.values[-1] for key, column in parts.items() if column.valid[-1]}
        return found.get(_OBS, {key.partition("/")[2]: one for key, one in found.items()} or None)

    def means(
        self, *, circular: bool = True, weighted: bool = True, clock: str = SIM_TIME, between: Range | None = None
    ) -> dict[str, float]:
        """The mean of every variable over the steps.

        Args:
            circular: the mean of an angle is that of its directions. Otherwise it is that of the plain numbers, as in
                RLSimion and Badger. Within an averaged record it is always the latter, which cannot be undone.
            weighted: each record is weighted by the number of steps it stands for, which gives the mean over all
                steps, as RLSimion reports for an evaluation. Otherwise all records weigh the same, as in Badger's
                reports.
            clock: the clock of *between*, such as ``step``.
            between: the first value of *clock*, and the one to stop before; None for an open end. Without records in
                the range the means are NaN. In Badger these are the time offset and end time, where the end is
                included.

        Raises:
            KeyError: when *between* is given, and the steps have no *clock*.

        """
        inside = None if between is None else self._between(clock, between)
        return self._tally(inside, weighted=weighted).means(circular=circular)

    def resampled(self, count: int, *, clock: str = SIM_TIME, between: Range | None = None) -> dict[str, Floats]:
        """Every variable at *count* evenly spaced values of *clock*, linearly interpolated, as Badger does.

        This allows episodes of different lengths or rates to be averaged; each has its own first and last value of
        *clock*. Angles are interpolated as plain numbers.

        Returns:
            float64 arrays of shape (count,) by key, *clock* first.

        Raises:
            KeyError: when the steps have no *clock*.
            ValueError: when *count* is below 2, or no record is *between*.

        """
        inside = self._between(clock, between)
        if count < 2 or not inside.any():
            raise ValueError(
                f"{self!r} cannot be resampled: {'count is 2 or more' if count < 2 else 'it has no steps'}"
            )
        at = self.steps.numbers(clock)[inside]
        grid = np.linspace(at.min(), at.max(), count)
        found = {clock: grid}
        for key in (one.key for one in self.variables if one.key in self.steps and one.key != clock):
            there = self.steps.valid(key)[inside]
            values = self.steps.numbers(key)[inside][there]
            found[key] = np.interp(grid, at[there], values) if len(values) else np.full(count, np.nan)
        return found

    def _between(self, clock: str, between: Range | None) -> npt.NDArray[np.bool_]:
        if clock not in self.steps:
            raise KeyError(f"{self!r} has no {clock!r}; its keys are {', '.join(self.steps)}")
        check_range("between", between)
        return in_range(self.steps.numbers(clock), between)

    def summary(self) -> dict[str, Any]:
        """The summary of the episode, as one flat record for tables and reports.

        Keys: ``episode``, ``episode_type``, ``index``, ``sub_index``, ``complete``, those of `Tally.summary`, and the
        clocks of the last record; ``env``, ``rank``, ``terminated`` and ``truncated`` if the log has them.
        """
        clocks = [key for key in self.steps if key.endswith("_time")] if self.steps.rows else []
        return {
            **self._facts(),
            "mean": self.means(),
            **{key: float(self.steps[key][-1]) for key in clocks},
            **self._origin(),
        }

    def _facts(self) -> dict[str, Any]:
        return {
            "episode": self.number,
            "episode_type": str(self.type),
            "index": self.index,
            "sub_index": self.sub_index,
            "complete": self.complete,
            "length": self.length,
            "records": self.steps.rows,
            "return": self.total_reward,
            "reward": self.reward,
        }

    def _origin(self) -> dict[str, Any]:
        own = {"env": self.env, RANK: self.rank, "terminated": self.terminated, "truncated": self.truncated}
        return {key: value for key, value in own.items() if value is not None}

    def _logged(self, key: str) -> Any:
        value = self.end.get(key)
        return value if isinstance(value, int | float) else None

    def _flag(self, key: str) -> bool | None:
        value = self.end.get(key)
        if value is None and self.complete and self.steps.rows and key in self.steps:
            value = self.steps[key].tolist()[-1]
        return value if isinstance(value, bool) else None

    def _reward_keys(self) -> list[str]:
        return [variable.key for variable in self.variables if variable.role == "reward"]

    def _are_steps(self) -> npt.NDArray[np.bool_]:
        """Which records are steps: bools, shape (records,)."""
        rewarded = [self.steps.column(key).present for key in self._reward_keys() if key in self.steps]
        return np.any(rewarded, axis=0) if np.any(rewarded) else np.ones(self.steps.rows, np.bool_)

    def _tally(self, inside: npt.NDArray[np.bool_] | None = None, *, weighted: bool = True) -> Tally:
        """The tally of the records *inside*, by default of all."""
        counted = np.ones(self.steps.rows, np.bool_) if self.by_step else self._are_steps()
        counted = counted if inside is None else counted & inside
        steps = self.steps if counted.all() else self.steps.rows_where(counted)
        rows = steps.rows
        numbered = self.by_step and "step" in steps
        step = steps["step"] if numbered else np.arange(1, rows + 1)
        first = int(counted.argmax()) if numbered and rows else 0
        before = int(self.steps["step"][first - 1]) if first else 0
        tally = Tally(self.variables, averaged=self.averaged and weighted, before=before)
        values = np.full((rows, len(self.variables)), np.nan)
        there = np.ones(values.shape, np.bool_)
        for n, variable in enumerate(self.variables):
            if (key := variable.key) in steps:
                values[:, n] = steps.numbers(key)
                # The return is computed from the mean reward, so it is unknown when a step has no reward.
                if not (self.by_step and variable.role == "reward"):
                    there[:, n] = steps.valid(key)
        tally.add(step, values, there)
        return tally

    def _repr_html_(self) -> str:
        """The facts of the episode, for notebooks."""
        facts = {**self._facts(), **self._origin()}
        return facts_html(repr(self), ((key, value) for key, value in facts.items() if value is not None))

    def __repr__(self) -> str:
        which = f"{self.type} {self.index}" + (f".{self.sub_index}" if self.sub_index > 1 else "")
        where = "" if self.env is None else f", env {self.env}"
        where += "" if self.rank is None else f", rank {self.rank}"
        end = "" if self.complete else ", incomplete"
        return f"<Episode {self.number}: {which}{where}, {self.steps.rows} records{end}>"


def episodes(
    log: Reader | str | os.PathLike[str], *, env: Any = None, on_damage: OnDamage = "warn"
) -> Iterator[Episode]:
    """Yield the episodes of *log* in the order in which they end; those without an end come last.

    The steps of an episode are the frames of kind ``creature`` between an event of type ``episode_start`` and one of
    type ``episode_end`` that belong to the same environment: they have the same ``env`` and, in a log of several
    processes, the same ``rank``. A frame or event whose ``env`` is a list holds several environments, and its other
    lists of that length have one value for each; a number below 0 in ``env`` marks a row that is not a step.
    ``docs/environments.md`` has an example.

    The start's ``episode_type``, ``index`` and ``sub_index`` identify the episode; without them it is taken to be a
    training episode, and is numbered. A log without such events has no episodes. A missing end and other defects of
    an episode are listed in its ``problems``.

    Args:
        log: a log from `trainlog.open`, or a path.
        env: only the episodes of this environment.
        on_damage: what to do about bytes that are not a record, see `trainlog.scan.OnDamage`.

    Raises:
        LogNotFound, UnknownFormat, DamagedLog: as `trainlog.open`, for a path.

    Warns:
        TrainlogWarning: for an end without a start; the steps before it are in no episode.
        DamagedLogWarning: for bytes that are not a record, unless *on_damage* says otherwise.

    """
    return _episodes(_reader_of(log), env, None, on_damage)


def _reader_of(log: Reader | str | os.PathLike[str]) -> Reader:
    return log if isinstance(log, Reader) else registry.open(log)


def episode_table(log: Reader | str | os.PathLike[str], *, env: Any = None, on_damage: OnDamage = "warn") -> Table:
    """The episodes of *log* as a table of stats, one row per episode, in the order of their starts.

    Its columns: ``episode``, ``env`` and ``rank`` (if the log has them), ``episode_type``, ``index``, ``sub_index``,
    ``complete``, ``length`` (absent when it cannot be known), ``records``, ``return``, ``reward``, ``terminated``
    and ``truncated`` (if the log has them), ``began`` (s), ``problems`` (text). The time of a row is that of the
    last record. Only the columns needed for this are read. See `episodes` for the arguments and the warnings.
    """
    log = _reader_of(log)
    conventions = Conventions.of(log.header)
    keys = [*conventions.keys["env"], RANK, *conventions.keys["event_type"], "step", "episode_type", "index"]
    keys += ["sub_index", "every", "length", "return", "terminated", "truncated"]
    rewards = [variable.key for variable in log.header.variables if variable.role == "reward"]
    keys += rewards or _step_rewards(conventions)
    found = sorted(_episodes(log, env, list(dict.fromkeys(keys)), on_damage), key=lambda episode: episode.number)
    return table_of(Kind.STATS, (_table_row(episode) for episode in found))


def _table_row(episode: Episode) -> tuple[float, dict[str, Any]]:
    last = float(episode.steps.time[-1]) if episode.steps.rows else episode.began
    facts = {key: value for key, value in episode._facts().items() if value is not None}
    return last, {**facts, **episode._origin(), "began": episode.began, "problems": "; ".join(episode.problems)}


@dataclass(slots=True)
class _Open:
    """An episode that has started and not ended."""

    number: int
    key: EnvironmentKey
    start: Mapping[str, Any]
    time: float
    order: int  # its steps come after this order, in the stretch that is read
    parts: list[Table] = field(default_factory=list)


def _episodes(log: Reader, env: Any, columns: Sequence[str] | None, on_damage: OnDamage) -> Iterator[Episode]:
    conventions = Conventions.of(log.header)
    number = 0
    opened: dict[EnvironmentKey, _Open] = {}
    rewards, others = _step_rewards(conventions), {*conventions.keys["env"], RANK, "step"}
    finish = partial(_episode, header=log.header, rewards=rewards, others=others)
    scan = Scan(kinds={Kind.EVENT, Kind.CREATURE}, columns=columns, on_damage=on_damage)
    for batches in stretches(log.scan(scan)):
        creatures = batches.get(Kind.CREATURE)
        steps = {} if creatures is None else steps_by_environment(creatures.table, creatures.order, conventions)
        events = batches.get(Kind.EVENT)
        for mark in () if events is None else episode_marks(events.table, events.order, conventions):
            number += mark.begins
            if env is not None and mark.key.env != env:
                continue
            one = opened.pop(mark.key, None)
            if one is not None:
                _take(steps, one, mark.order)
                if mark.begins:
                    yield finish(one, {}, "it has no end: the next episode began before one")
                else:
                    yield finish(one, mark.data, "")
            elif not mark.begins:
                where = "" if mark.key.env is None else f" of environment {mark.key.env}"
                message = f"{log.path}: the end of an episode{where} at {mark.time:g} s has no start; it is left out"
                warnings.warn(TrainlogWarning(message), stacklevel=2)
            if mark.begins:
                opened[mark.key] = _Open(number, mark.key, mark.data, mark.time, mark.order)
        for one in opened.values():
            _take(steps, one, None)
            one.order = -1
    for one in sorted(opened.values(), key=lambda one: one.number):
        yield finish(one, {}, "it has no end: the log ends before one")


def _take(steps: Mapping[EnvironmentKey, list[EnvironmentRows]], one: _Open, end: int | None) -> None:
    """Add to *one* its steps before the order *end*."""
    if (found := together(steps.get(one.key, ()), one.order, end)) is not None:
        one.parts.append(found[1])


def _episode(
    one: _Open,
    end: Mapping[str, Any],
    missing: str,
    header: Header,
    rewards: Sequence[str],
    others: Collection[str],
) -> Episode:
    steps = dense_table(_copied(one.parts))
    start = one.start
    return Episode(
        one.number,
        _type_of(start.get("episode_type")),
        _int_of(start.get("index"), one.number),
        _int_of(start.get("sub_index"), 1),
        not missing,
        steps,
        header.variables or _undeclared(steps, rewards, others),
        is_averaged(header),
        one.key.env,
        one.key.rank,
        start,
        end,
        one.time,
        missing,
        AVERAGED in header.meta,
    )


def _copied(parts: Sequence[Table]) -> Table:
    """The rows of *parts* as one table that keeps no batch in memory, without columns that are absent in every row."""
    if len(parts) == 1 and all(parts[0].column(key).state is None for key in parts[0]):
        columns = {key: parts[0].column(key).values.copy() for key in parts[0]}
        return Table(Kind.CREATURE, parts[0].time.copy(), columns)
    builder = TableBuilder(Kind.CREATURE)
    for part in parts:
        builder.add_table(part)
    steps = builder.finish()
    return steps.select([key for key in steps if steps.column(key).present.any()])


def _int_of(value: Any, default: int) -> int:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else default


def _type_of(value: Any) -> EpisodeType:
    try:
        return EpisodeType.of(value)
    except (ValueError, AttributeError):  # another program uses that key for something else
        return EpisodeType.TRAINING


def _step_rewards(conventions: Conventions) -> list[str]:
    """The possible names of the reward of a step: those that the log declares, or `reward`."""
    known = Conventions().keys["reward"]
    return [*(key for key in conventions.keys["reward"] if key not in known), "reward"]


def _undeclared(steps: Table, rewards: Sequence[str], others: Collection[str]) -> tuple[Variable, ...]:
    """The numeric columns of a log that declares no variables: the reward, and those not among the *others*."""
    reward = next((key for key in rewards if key in steps), None)
    return tuple(
        Variable(key, "reward" if key == reward else "stat")
        for key, column in ((key, steps.column(key).values) for key in steps)
        if column.ndim == 1 and column.dtype.kind in "biuf" and key not in others
    )
