"""An index in memory of the states and episodes of a log, by environment, which follows the log."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codec import Reader
from trainlog.conventions import RANK, Conventions
from trainlog.environment_rows import episode_marks, steps_by_environment, together
from trainlog.errors import InvalidPosition
from trainlog.model import Kind
from trainlog.mujoco.state import CLOCK, STATE_STEP, Floats
from trainlog.scan import Position, Scan
from trainlog.table.table import Table

__all__ = ["Episode", "StateIndex", "States"]

Ints = npt.NDArray[np.int64]


class Episode(NamedTuple):
    """States between two resets of one environment.

    Attributes:
        number: its number among the episodes of its environment, from 1.
        first, stop: its states: those from the number ``first`` to before ``stop``.
        seconds: simulated time from its first state to its last.

    """

    number: int
    first: int
    stop: int
    seconds: float


class States(NamedTuple):
    """The states of one environment, and the facts about each that the index holds: shape (states,) each.

    Attributes:
        order: its order in the log, as in `trainlog.scan.Batch`.
        time: when it was logged, seconds since the run began.
        step: its ``step``; NaN if there is none.
        clock: simulated seconds; the time if there are none.
        counter: the number of steps in the episode; the number of episodes, if the log has only positions.

    """

    order: Ints
    time: Floats
    step: Floats
    clock: Floats
    counter: Floats

    def extended(self, other: States) -> States:
        """These states, followed by those of *other*."""
        return States(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


class StateIndex:
    """The states of a log, with 40 bytes of memory for each.

    Attributes:
        by_name: the states of each environment; one without a number is ``""``.
        reads: how often the log was read from its beginning, which changes the numbers of the states.

    """

    def __init__(self, reader: Reader, *, is_complete: bool) -> None:
        """Create the index; *is_complete* if `StateRecorder` wrote the log. Otherwise its frames have ``pos``."""
        self.by_name: dict[str, States] = {}
        self.reads = 0
        self._reader = reader
        self._conventions = Conventions.of(reader.header)
        self._is_complete = is_complete
        self._episodes: dict[str, list[Episode]] = {}
        self._marks: dict[str, list[int]] = {}  # by environment: where episodes begin or end, by the log's events
        self._position: Position | None = None

    def refresh(self) -> bool:
        """Read the frames written since; returns whether there are any."""
        if "shards" in self._reader.header.meta:  # the orders of shards are valid within one scan
            self._position = None
        before = {name: len(states.order) for name, states in self.by_name.items()}
        try:
            self._scan()
        except InvalidPosition:  # the log was replaced, or training went back
            self._position = None
            self._scan()
        return before != {name: len(states.order) for name, states in self.by_name.items()}

    def _scan(self) -> None:
        keys = self._conventions.keys
        columns = [*keys["env"], RANK, STATE_STEP, *keys["step"], *keys["sim_time"]]
        if not self._is_complete:
            columns += [*keys["qpos"], *keys["episode"]]
        if self._position is None:
            self.reads += 1
            for known in (self.by_name, self._episodes, self._marks):
                known.clear()
        kinds = {Kind.CREATURE} if self._is_complete else {Kind.CREATURE, Kind.EVENT}
        if Kind.EVENT in kinds:
            columns += keys["event_type"]
        scan = Scan(kinds=kinds, columns=list(dict.fromkeys(columns)), after=self._position)
        for batch in self._reader.scan(scan):
            self._position = batch.position
            if batch.table.kind == Kind.CREATURE:
                self._add(batch.table, batch.order)
                continue
            for mark in episode_marks(batch.table, batch.order, self._conventions):
                self._marks.setdefault(str(mark.key), []).append(mark.order)

    def _add(self, table: Table, order: Ints) -> None:
        wanted = STATE_STEP if self._is_complete else self._conventions.qpos(table)
        if wanted is None or wanted not in table:
            return
        rows = np.flatnonzero(table.valid(wanted))
        table, order = table.rows_where(rows), order[rows]
        axis = None if CLOCK in table else self._conventions.axis("sim_time", table)
        key = STATE_STEP if self._is_complete else self._conventions.find("episode", table)
        for name, own, places, alone in self.by_environment(table, order):
            clock = own.numbers(CLOCK) if CLOCK in own else own.time
            # The step of a frame of several environments counts the steps of all of them.
            if axis is not None and axis.key in own and (alone or axis.factor == 1):
                clock = own.numbers(axis.key) * axis.factor
            step = self._conventions.find("step", own)
            steps = np.full(own.rows, np.nan) if step is None else own.numbers(step)
            counter = np.zeros(own.rows) if key is None else np.nan_to_num(own.numbers(key), nan=-1.0)
            old, new = self.by_name.get(name), States(places, own.time, steps, clock, counter)
            self.by_name[name] = new if old is None else old.extended(new)

    def by_environment(self, table: Table, order: Ints) -> Iterator[tuple[str, Table, Ints, bool]]:
        """Yield the rows of each environment, their orders, and whether all frames hold only this environment."""
        for key, several in steps_by_environment(table, order, self._conventions).items():
            if (found := together(several)) is not None:
                yield str(key), found[1], found[0], all(part.place is None for part in several)

    def environments(self) -> tuple[str, ...]:
        """The names of the environments, in order."""
        return tuple(sorted(self.by_name, key=_by_number))

    def episodes(self, environment: str) -> list[Episode]:
        """The episodes of an environment, in the order of the log."""
        states, known = self.by_name[environment], self._episodes.get(environment, [])
        if not known or known[-1].stop != len(states.order):
            bounds = [*np.flatnonzero(self._starts(environment)).tolist(), len(states.order)]
            known = self._episodes[environment] = [
                Episode(number, first, stop, float(states.clock[stop - 1] - states.clock[first]))
                for number, (first, stop) in enumerate(pairwise(bounds), 1)
            ]
        return known

    def _starts(self, environment: str) -> npt.NDArray[np.bool_]:
        """Which states begin an episode."""
        states = self.by_name[environment]
        if self._is_complete:
            # Not only where the counter is 0, because the first states of an episode can be missing.
            starts = np.append(True, states.counter[1:] <= states.counter[:-1])
        else:
            marks = np.searchsorted(self._marks.get(environment, []), states.order)
            starts = (np.diff(states.clock, prepend=0) < 0) | (np.diff(states.counter, prepend=0) != 0)
            starts |= np.diff(marks, prepend=0) != 0
        starts[0] = True
        return np.asarray(starts)

    def locate(self, order: int) -> tuple[str, int]:
        """The environment and the number of the state at *order* in the log, or else of the last state before it."""
        places = {name: int(np.searchsorted(one.order, order, "right")) - 1 for name, one in self.by_name.items()}
        name = max(places, key=lambda name: int(self.by_name[name].order[places[name]]) if places[name] >= 0 else -1)
        return name, max(places[name], 0)


def _by_number(name: str) -> list[tuple[bool, int, str]]:
    """The sort key of the name of an environment."""
    return [(False, int(one), "") if one.isdecimal() else (True, 0, one) for one in name.split("/")]
