"""What the keys of a log mean: which are steps, rewards, positions, clocks; which matter most, which belong together.

The names are those of Stable-Baselines3, CleanRL, RLlib, Lightning, Brax, rsl_rl and mjlab, RLSimion, and the first
FLOG trainer. A log can name its own keys in its metadata::

    {"conventions": {"reward": "my_return", "step": ["env_frames"], "position": ["base_x", "base_y"]}}

These keys take precedence over the known ones. ``docs/conventions.md`` has a table of all of them.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, get_args

from trainlog.errors import TrainlogWarning
from trainlog.model import Header, Kind

__all__ = [
    "AXES",
    "AXIS_ALIASES",
    "EPISODE_END",
    "EPISODE_START",
    "EVOLUTION_NAMES",
    "FUNCTION_SAMPLE",
    "RANK",
    "REWIND",
    "RUN_STATE",
    "SEED_KEYS",
    "SIMULATED_MODEL",
    "SUMMARY",
    "Usable",
    "WALL",
    "AxisKey",
    "AxisName",
    "Conventions",
    "Event",
    "Meaning",
    "began_at",
    "hyperparameters_in",
    "seed_of",
    "task_of",
]

AxisName = Literal["step", "episode", "time", "sim_time"]

AXES: Final[tuple[AxisName, ...]] = get_args(AxisName)
"""The axes that metrics can be shown over; ``time`` is the time of the frames themselves, and has no key."""

AXIS_ALIASES: Final[Mapping[str, AxisName]] = MappingProxyType({"sim": "sim_time"})
"""Old names of axes, which programs written for an older version still send."""

Meaning = Literal[
    "step",
    "episode",
    "env",
    "sim_time",
    "clock",
    "reward",
    "length",
    "important",
    "position",
    "qpos",
    "qvel",
    "heading",
    "speed",
    "behavior",
    "objects",
    "event_type",
    "event_message",
    "quiet_events",
]

EPISODE_START: Final = "episode_start"
EPISODE_END: Final = "episode_end"
FUNCTION_SAMPLE: Final = "function_sample"

SIMULATED_MODEL: Final = Kind.of(77)
"""The kind of the frames with a simulated model, and the names of its elements."""

RUN_STATE: Final = Kind.of(82)
"""The kind of the frames in which a recorder stores what it learns about the run after the header was written:
``{"trainlog": 1, "meta": {...}, "end": {...}}``. They are not frames of the run: readers merge the last one into the
header."""

REWIND: Final = {"type": "rewind", "by": "trainlog"}
"""The event with which a recorder records that training went back to the checkpoint of its ``step``."""

RANK: Final = "rank"
"""The key of the process that wrote a frame, in logs of several processes."""

SUMMARY: Final = "summary"
"""The key in the metadata of the results that the run itself recorded."""

WALL: Final = "wall"
"""The key of a wall time, in seconds since 1970. In the metadata, or in the recorder's own facts: when the run began;
in the event of a resumed log: when it was resumed."""

SEED_KEYS: Final = ("seed", "args/seed", "config/seed")
"""The keys of the seed in the metadata of a run; nested keys are joined by ``/``."""

_HYPERPARAMETERS: Final = "hyperparameters", ["|param|value|", "|-|-|"]  # the tag of CleanRL's table, and its head
_WORDS: Final[Mapping[str, bool | None]] = MappingProxyType({"True": True, "False": False, "None": None})
_TASK_KEYS: Final[tuple[tuple[str, ...], ...]] = (("creature", "task"), ("env_id",), ("env",))

EVOLUTION_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"best_fitness": "best", "avg_fitness": "avg", "best_distance": "dist"}
)
"""The names in an evolution frame: the FLOG format's own, and those that its first trainer writes."""

# The keys of each meaning, the best first. Position is not among them, because it takes one key or two.
_KEYS: Final[Mapping[Meaning, tuple[str, ...]]] = MappingProxyType(
    {
        "step": (
            *("step", "global_step", "trainer/global_step", "env_step", "env_steps", "total_steps"),
            *("timesteps", "total_timesteps", "time/total_timesteps", "timesteps_total"),
            *("num_env_steps_sampled_lifetime", "env_runners/num_env_steps_sampled_lifetime", "num_env_steps_sampled"),
            *("agent_timesteps_total", "num_steps", "tot_timesteps", "experiment_step"),
        ),
        "episode": (
            *("episode", "episodes", "time/episodes", "episodes_total", "env_runners/num_episodes_lifetime"),
            *("ball_episode", "gen", "generation", "iteration", "iterations", "it", "time/iterations"),
            *("training_iteration", "epoch"),
        ),
        "env": ("env",),
        "sim_time": ("sim_time", "simulation_time", "simulated_time", "experiment_sim_time", "episode_sim_time"),
        # Wall clocks and counters: they are neither axes nor metrics.
        "clock": (
            *("time", "timestamp", "walltime", "wall_time", "time_elapsed", "time/time_elapsed", "time_total_s"),
            *("tot_time", "training/walltime", "eval/walltime", "experiment_real_time", "episode_real_time"),
            *("index", "sub_index", "n_updates", "train/n_updates", "state_step", "state_crc"),
        ),
        # Returns of whole episodes, then what can be the reward of a step or an average, then evolution.
        "reward": (
            *("return", "episode_return", "episode_reward", "episodic_return", "charts/episodic_return"),
            *("ep_rew_mean", "rollout/ep_rew_mean", "episode_reward_mean", "env_runners/episode_return_mean"),
            *("episode_return_mean", "env_runners/episode_reward_mean", "sampler_results/episode_reward_mean"),
            *("Train/mean_reward", "eval/episode_reward", "episode/sum_reward", "eval/mean_reward"),
            *("eval/episodic_return", "reward", "mean_reward", "reward_mean", "avg_reward", "score"),
            *("best_fitness", "best", "fitness"),
        ),
        "length": (
            *("length", "episode_length", "ep_len_mean", "rollout/ep_len_mean", "eval/mean_ep_length"),
            *("episodic_length", "charts/episodic_length", "episode_len_mean", "env_runners/episode_len_mean"),
            *("sampler_results/episode_len_mean", "Train/mean_episode_length", "eval/avg_episode_length"),
            "episode/length",
        ),
        "important": (),
        "qpos": ("pos", "qpos"),
        "qvel": ("vel", "qvel"),
        "heading": ("heading", "yaw"),
        "speed": ("speed", "vel_mps", "velocity"),
        "behavior": (
            *("behavior", "behaviour", "skill", "phase", "stage", "gait", "mode", "posture_state", "state", "action"),
        ),
        "objects": (),
        "event_type": ("type",),
        "event_message": ("msg", "message"),
        "quiet_events": (EPISODE_START, EPISODE_END, FUNCTION_SAMPLE),
    }
)
# Generalized coordinates begin with a place only if the first joint is free, so the centre of mass goes first.
_POSITIONS: Final[tuple[tuple[str, ...], ...]] = (("x", "y"), ("com",), ("pos",), ("qpos",))
_STATE_MEANINGS: Final[tuple[Meaning, ...]] = ("qpos", "qvel", "heading", "speed", "behavior")

_CLOCK_ENDS: Final = ("real_time", "sim_time", "timestamp", "walltime", "_lifetime", "_since_restore")
_OBJECT_END: Final = "_pos"
_NO_OBJECTS: Final = frozenset({"joint_pos", "dof_pos", "motor_pos"})

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_GOAL: Final = frozenset(
    {"reward", "rewards", "rew", "return", "returns", "ret", "score", "success", "fitness", "best"}
)
_MEAN: Final = frozenset({"episode", "episodic", "ep", "mean", "avg", "average", "total", "sum", "cumulative", "rate"})
_CONDUCT: Final = frozenset(
    {"distance", "dist", "velocity", "vel", "speed", "upright", "falls", "length", "steps", "solved"}
)
_LEARNING: Final = frozenset(
    {"loss", "losses", "entropy", "kl", "lr", "epsilon", "grad", "error", "accuracy", "acc", "learning", "norm"}
)
_VALIDATION: Final = frozenset({"val", "valid", "validation", "test", "testing"})
_MEASURES: Final = frozenset({"loss", "losses", "error", "accuracy", "acc"})
_COST: Final = frozenset({"loss", "losses", "error"})
# What the dashboard of the first FLOG trainer shows in addition to the reward and the behaviour of the robot.
_FLOG_LEARNING: Final = frozenset(
    {"actor_competence", "cpg_weight", "task_pe", "pred_error", "pf_pkc_weight", "correction_mag", "grc_sparseness"}
)
_FEWEST: Final = 3  # keys with the same first word that make a group

Usable = Callable[[str], bool]


def task_of(meta: Mapping[str, Any]) -> str:
    """The creature and the task in the metadata, or else the environment; empty if there is none."""
    for keys in _TASK_KEYS:
        if named := [str(meta[key]) for key in keys if meta.get(key) not in (None, "", "unknown")]:
            return ": ".join(named)
    return ""


def hyperparameters_in(tag: str, text: str) -> dict[str, Any]:
    """The hyperparameters in the table that CleanRL's scripts log as a text; empty for any other text.

    A value that spells a finite number, a bool or None is that; any other is text.
    """
    name, head = _HYPERPARAMETERS
    lines = text.split("\n")
    if tag.partition("/")[0] != name or lines[:2] != head:
        return {}
    rows = [line[1:-1].partition("|") for line in lines[2:] if line.startswith("|") and line.endswith("|")]
    return {key: _value_of(value) for key, _, value in rows}


def _value_of(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        with suppress(ValueError):
            value = kind(text)
            if math.isfinite(value) and "_" not in text:
                return value
    return text


def seed_of(meta: Mapping[str, Any], run: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """The seed of a run from its metadata, nested or flattened, or else from its command line; None if unknown."""
    for key in SEED_KEYS:
        outer, _, inner = key.partition("/")
        nested = meta.get(outer)
        found = meta.get(key, nested.get(inner) if inner and isinstance(nested, Mapping) else None)
        if found is not None:
            return found
    return run.get("seed")


def began_at(header: Header) -> float | None:
    """When the run began, in seconds since 1970; None if its log does not say."""
    found: Any = header.meta.get(WALL, header.run.get(WALL))
    return float(found) if _is_number(found) and math.isfinite(found) else None


class AxisKey(NamedTuple):
    """Where the values of an axis are.

    Attributes:
        key: the key of the column.
        factor: what its values are multiplied by: seconds per step for simulated time, otherwise 1.

    """

    key: str
    factor: float = 1.0


class Event(NamedTuple):
    """The parts of an event's frame.

    Attributes:
        type: what happened; empty if the frame does not say.
        message: a text for people; empty if there is none.
        data: everything else.

    """

    type: str
    message: str
    data: Mapping[str, Any]


def _always(key: str) -> bool:
    return True


@dataclass(frozen=True, slots=True, eq=False)
class Conventions:
    """What the keys of a log mean.

    Attributes:
        keys: the keys of each meaning except ``position``, the best first.
        positions: the positions that this log declares: one key of a vector, or the two keys of x and y, best first.
        dt: seconds of simulated time per step, or None.

    """

    keys: Mapping[Meaning, tuple[str, ...]] = field(default_factory=lambda: _KEYS)
    positions: tuple[tuple[str, ...], ...] = ()
    dt: float | None = None
    _clocks: frozenset[str] = field(init=False, repr=False)
    _ranks: Mapping[str, tuple[int, int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        clocks = {key for meaning in ("step", "episode", "env", "sim_time", "clock") for key in self.keys[meaning]}
        ranks = dict.fromkeys(self.keys["length"], (1, 0)) | dict.fromkeys(_FLOG_LEARNING, (3, 0))
        goals = (*self.keys["reward"], *self.keys["important"])
        ranks |= {key: (0, place) for place, key in reversed(list(enumerate(goals)))}
        object.__setattr__(self, "_clocks", frozenset(clocks))
        object.__setattr__(self, "_ranks", ranks)

    def __reduce__(self) -> tuple[type[Conventions], tuple[Any, ...]]:
        return type(self), (dict(self.keys), self.positions, self.dt)  # a read-only map cannot be pickled

    @classmethod
    def of(cls, header: Header) -> Conventions:
        """The conventions of a log: those of its metadata first, then its declared variables, then the known ones.

        Invalid conventions in the metadata are ignored with a `TrainlogWarning`.
        """
        dt: Any = header.meta.get("dt")
        dt = float(dt) if _is_number(dt) and 0 < dt < math.inf else None
        if not header.variables and header.meta.get("conventions") is None:
            return _known_alone(dt)
        keys, positions = _with_declared(header)
        for meaning, own in _overrides(header.meta.get("conventions")):
            if meaning == "position":
                positions = (own, *positions)
            else:
                keys[meaning] = tuple(dict.fromkeys((*own, *keys[meaning])))
        return cls(MappingProxyType(keys), positions, dt)

    def find(self, meaning: Meaning, keys: Iterable[str], is_usable: Usable = _always) -> str | None:
        """The best of *keys* that has the meaning and is usable."""
        there = frozenset(keys)
        return next((key for key in self.keys[meaning] if key in there and is_usable(key)), None)

    # --- axes ---

    def axis(self, name: AxisName, keys: Iterable[str], is_usable: Usable = _always) -> AxisKey | None:
        """Where *keys* have the axis of that name; None if they do not have it, and for the time of the frames."""
        if name == "time":
            return None
        keys = frozenset(keys)
        if (key := self.find(name, keys, is_usable)) is not None:
            return AxisKey(key)
        if name == "sim_time" and self.dt is not None and (step := self.find("step", keys, is_usable)) is not None:
            return AxisKey(step, self.dt)
        return None

    @property
    def axis_keys(self) -> tuple[str, ...]:
        """Every key that `axis` can return."""
        return tuple(key for name in AXES if name != "time" for key in self.keys[name])

    @staticmethod
    def axis_order(*, summaries: bool = False) -> tuple[AxisName, ...]:
        """The axes that metrics are shown over by default, the best first.

        Args:
            summaries: whether each frame describes a whole episode.

        """
        return ("episode", "step", "time") if summaries else ("step", "episode", "time")

    @staticmethod
    def restarts(key: str) -> bool:
        """Whether a clock restarts with each episode."""
        return key.startswith("episode_")

    def is_clock(self, key: str) -> bool:
        """Whether a key is a clock or a counter: metrics are shown over it, and it is not a metric itself."""
        return key in self._clocks or key.endswith(_CLOCK_ENDS)

    # --- metrics ---

    @staticmethod
    def is_numeric(numbers: int, words: int, different: int) -> bool:
        """Whether a column of numbers and words is numeric, so that the words are gaps, like ``n/a``.

        It is a column of words, which name states, when it has at least two different words, and more words than
        numbers.

        Args:
            numbers: how many frames have a number, or a text that spells one; NaN does not count.
            words: how many have another text that is not empty.
            different: how many different words there are.

        """
        return numbers > 0 and (different < 2 or words <= numbers)

    def reward(self, keys: Iterable[str], is_usable: Usable = _always) -> str | None:
        """The key of the return or reward: the best known one, or else the first whose name says so."""
        keys = list(keys)
        known = self.find("reward", keys, is_usable)
        return known or next((key for key in keys if _is_goal(key) and is_usable(key)), None)

    def tier(self, kind: Kind, key: str) -> int:
        """How much a metric matters.

        0 is what the training is about, 1 how the robot behaves, 2 what is close to the goal (terms of the reward),
        3 the learning itself, 4 everything else, 5 the physical state.
        """
        if kind == Kind.CREATURE:
            return 5
        if key in self._ranks:
            return self._ranks[key][0]
        last = _words(key.rpartition("/")[2]) or [key]
        if _is_goal(key):
            return 2 if "/" in key else 0
        if last[0] in _CONDUCT or last[-1] in _CONDUCT:
            return 2 if "/" in key else 1
        words = {*last, *_words(key)}
        return 2 if words & _GOAL else 3 if words & _LEARNING else 4

    def rank(self, kind: Kind, key: str) -> tuple[int, int, int]:
        """The sort key of metrics: the tier, the better known reward or a validation, the shorter name."""
        tier, words = self.tier(kind, key), _words(key)
        place = 0
        if tier in (0, 3):
            unknown = len(self._ranks) if tier == 0 else _learning_place(words)
            place = self._ranks[key][1] if key in self._ranks else unknown
        return tier, place, len(words) if tier < 4 else 0

    @staticmethod
    def lower_is_better(key: str) -> bool:
        """Whether a metric is a loss or an error."""
        return not _COST.isdisjoint(_words(key))

    @staticmethod
    def is_evaluation(name: str) -> bool:
        """Whether a name, of a metric or of a type of episodes, is that of evaluations: ``eval/x``, ``TestEpRet``."""
        return any(word in _VALIDATION or word.startswith("eval") for word in _words(name))

    @staticmethod
    def groups(keys: Iterable[str]) -> dict[str, str]:
        """The group of each key, ``""`` for none.

        The part before the first ``/`` is the trainer's own group. Other keys form a group when at least three begin
        with the same word.
        """
        firsts = {key: key.partition("/")[0] if "/" in key else re.split(r"[_.]", key, maxsplit=1)[0] for key in keys}
        counts = Counter(firsts.values())
        return {
            key: first if "/" in key or (first != key and counts[first] >= _FEWEST) else ""
            for key, first in firsts.items()
        }

    # --- the physical state ---

    def position(self, sample: Mapping[str, Any]) -> tuple[str, ...]:
        """The keys of the position of the robot: those of x and y, or that of a vector that begins with them.

        ``pos`` and ``qpos`` are generalized coordinates. They count when they begin with the coordinates of a free
        joint (a place and a unit quaternion); ``pos`` also when it has only two or three numbers.

        Args:
            sample: a frame of physical state: numbers, and lists of numbers.

        Returns:
            one key or two; none if the frame has no position.

        """
        for keys in self.positions:  # the log says so, and is taken at its word
            if self.coordinates(sample, keys) is not None:
                return keys
        for keys in _POSITIONS:
            if self.coordinates(sample, keys) is not None and _is_place(keys[0], sample[keys[0]]):
                return keys
        return ()

    @property
    def all_positions(self) -> tuple[tuple[str, ...], ...]:
        """Everything that `position` can return, the best first."""
        return (*self.positions, *_POSITIONS)

    @property
    def position_keys(self) -> frozenset[str]:
        """Every key that `position` can return."""
        return frozenset(key for keys in self.all_positions for key in keys)

    @staticmethod
    def coordinates(sample: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[float, float] | None:
        """The x and y that *keys*, from `position`, have in a frame; None if it lacks them."""
        values: list[Any] = [sample.get(key) for key in keys]
        if len(values) == 1 and isinstance(values[0], Sequence):
            values = list(values[0][:2])
        return (float(values[0]), float(values[1])) if len(values) == 2 and all(map(_is_number, values)) else None

    def qpos(self, keys: Iterable[str], is_usable: Usable = _always) -> str | None:
        """The key of the generalized positions, ``qpos`` of MuJoCo."""
        return self.find("qpos", keys, is_usable)

    def qvel(self, keys: Iterable[str], is_usable: Usable = _always) -> str | None:
        """The key of the generalized velocities, ``qvel`` of MuJoCo."""
        return self.find("qvel", keys, is_usable)

    def behavior(self, keys: Iterable[str], is_usable: Usable = _always) -> str | None:
        """The key that describes in words what the robot does."""
        return self.find("behavior", keys, is_usable)

    def objects(self, sample: Mapping[str, Any]) -> dict[str, str]:
        """The other objects whose position is in a frame: its key by name, for vectors of two or three numbers."""
        positions = self.position_keys
        return {
            key.removesuffix(_OBJECT_END): key
            for key, value in sample.items()
            if (key in self.keys["objects"] or (key.endswith(_OBJECT_END) and key not in positions | _NO_OBJECTS))
            and self.coordinates(sample, (key,)) is not None
            and len(value) <= 3
        }

    # --- events ---

    def event(self, data: Mapping[Any, Any]) -> Event:
        """The type, the message and the other data of an event's frame."""
        keys = [key for key in data if isinstance(key, str)]
        kind, message = self.find("event_type", keys), self.find("event_message", keys)
        rest = {str(key): value for key, value in data.items() if key not in (kind, message)}
        return Event(_text(data.get(kind)), _text(data.get(message)), rest)

    def event_type(self, keys: Iterable[str]) -> str | None:
        """The key of an event's type."""
        return self.find("event_type", keys)

    def is_quiet(self, event_type: str) -> bool:
        """Whether events of that type are left out of charts, as they are shown elsewhere or are not news."""
        return event_type in self.keys["quiet_events"]

    # --- for other programs ---

    def as_json(self) -> dict[str, Any]:
        """Everything except the rules, for programs not in Python: names of axes, and the keys of each meaning."""
        return {
            "axes": list(AXES),
            "axis_order": list(self.axis_order()),
            "axis_aliases": dict(AXIS_ALIASES),
            "keys": {meaning: list(keys) for meaning, keys in self.keys.items()},
            "positions": [list(keys) for keys in self.all_positions],
            "dt": self.dt,
        }

    def describe(self, kind: Kind, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What a page needs to know about each of *keys*, the most important first.

        Returns:
            by key: ``clock``, whether it is one; ``tier``; ``group``, see `groups`.

        """
        keys = list(keys)
        groups = self.groups(key for key in keys if not self.is_clock(key))
        return {
            key: {"clock": self.is_clock(key), "tier": self.tier(kind, key), "group": groups.get(key, "")}
            for key in sorted(keys, key=lambda key: self.rank(kind, key))
        }


def _words(key: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(key)]


def _is_goal(key: str) -> bool:
    """Whether the last part of a key only says that it is a reward: ``mean_reward``, ``agent/return``."""
    words = set(_words(key.rpartition("/")[2]))
    return bool(words & _GOAL) and words <= _GOAL | _MEAN


def _learning_place(words: Sequence[str]) -> int:
    """Validation is 0, other losses and accuracies 1, everything else 2: learning rates, entropy."""
    return 0 if not _VALIDATION.isdisjoint(words) else 1 if not _MEASURES.isdisjoint(words) else 2


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_place(key: str, value: Any) -> bool:
    """Whether generalized coordinates begin with a place: with three coordinates and a unit quaternion."""
    if key not in ("pos", "qpos") or (key == "pos" and len(value) <= 3):
        return True
    turn = value[3:7]
    return len(turn) == 4 and all(map(_is_number, turn)) and abs(math.hypot(*turn) - 1) < 1e-2


def _text(value: Any) -> str:
    return "" if value is None else str(value)


@lru_cache(16)
def _known_alone(dt: float | None) -> Conventions:
    """The conventions of a log that says nothing about its keys."""
    return Conventions(dt=dt)


def _with_declared(header: Header) -> tuple[dict[Meaning, tuple[str, ...]], tuple[tuple[str, ...], ...]]:
    """The known keys, and those of declared variables that are rewards, or states with the name of a known one."""
    keys = dict(_KEYS)
    rewards = [variable.key for variable in header.variables if variable.role == "reward"]
    if rewards:  # they are rewards of a step, like `reward`; returns of episodes go before
        place = keys["reward"].index("reward")
        keys["reward"] = tuple(dict.fromkeys((*keys["reward"][:place], *rewards, *keys["reward"][place:])))
    states = {variable.name: variable.key for variable in header.variables if variable.role in ("state", "stat")}
    for meaning in _STATE_MEANINGS:
        own = [states[name] for name in keys[meaning] if name in states]
        keys[meaning] = tuple(dict.fromkeys((*own, *keys[meaning])))
    named = [names for names in _POSITIONS if states.keys() >= set(names) and names[0] not in ("pos", "qpos")]
    return keys, tuple(tuple(states[name] for name in names) for names in named)


def _overrides(said: Any) -> Iterable[tuple[Meaning, tuple[str, ...]]]:
    """The conventions in the metadata, as far as they are valid."""
    if said is None:
        return
    if not isinstance(said, Mapping):
        _warn(f"conventions are a mapping from meanings to keys, not {said!r:.80}")
        return
    meanings: tuple[Meaning, ...] = get_args(Meaning)
    for name, value in said.items():
        keys = [value] if isinstance(value, str) else value
        if name not in meanings:
            _warn(f"{name!r:.80} is not a meaning of a key; meanings are {', '.join(meanings)}")
        elif not (isinstance(keys, list | tuple) and keys and all(isinstance(key, str) and key for key in keys)):
            _warn(f"the keys of {name!r} are a name or a list of names, not {value!r:.80}")
        elif name == "position" and len(keys) > 2:
            _warn(f"a position is the key of a vector, or the two keys of x and y, not {value!r:.80}")
        else:
            yield name, tuple(keys)


def _warn(message: str) -> None:
    warnings.warn(f"metadata of the log: {message}; this is ignored", TrainlogWarning, stacklevel=4)
