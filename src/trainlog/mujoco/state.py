"""The complete state of a MuJoCo simulation as keys of a frame, and the names of their elements.

The state is ``mjSTATE_INTEGRATION``, which is everything that the next step depends on. Each of its parts is a separate
key, so that tools that know nothing about MuJoCo find ``pos`` and ``vel`` where other trainers put them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.errors import CorruptLog, MissingExtra, SettingError

__all__ = [
    *("CLOCK", "CRC", "INPUTS", "MODEL", "STATE_STEP"),
    *("Floats", "Names", "Part", "StateLayout", "body_names", "crc_of", "element_names", "flipped_bit"),
    "import_mujoco",
]

STATE_STEP: Final = "state_step"  # steps of the environment since the episode began; 0 for its first state
CRC: Final = "state_crc"
INPUTS: Final = "inputs"  # the inputs before each step since the last recorded state, except the last step
MODEL: Final = "model"  # the first digits of the hash of the model

CLOCK: Final = "episode_sim_time"  # the time in the state of the simulation, in seconds
_KEYS: Final = {"time": CLOCK, "qpos": "pos", "qvel": "vel"}
_LEFT_OUT: Final = frozenset({"qfrc_applied", "xfrc_applied"})  # if all of them are zero, which is nearly always

_MOST_SEARCHED: Final = 1 << 14  # largest state, in bytes, to search for a flipped bit; each takes microseconds

Floats = npt.NDArray[np.float64]
Names = tuple[dict[str, list[str]], dict[str, list[str]]]  # and units, both by key of the state


def import_mujoco() -> ModuleType:
    """The package ``mujoco``.

    Raises:
        MissingExtra: when it is not installed.
        SettingError: when MuJoCo does not know the value of ``MUJOCO_GL``.

    """
    try:
        import mujoco
    except RuntimeError as error:
        raise SettingError(f"MuJoCo does not start: {error}") from error
    except ImportError as error:
        raise MissingExtra(f'this needs MuJoCo: pip install "trainlog[mujoco]" ({error})') from error
    module: ModuleType = mujoco
    return module


class Part(NamedTuple):
    """One part of the state.

    Attributes:
        key: its key in the frame.
        place: its slice of the vector of the whole state.
        is_input: whether the user sets it, and the simulation does not change it.
        optional: whether frames lack it when all its values are zero.

    """

    key: str
    place: slice
    is_input: bool
    optional: bool

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(self.place.stop - self.place.start)


class StateLayout:
    """The parts of the state of a model, in the order of the vector that ``mj_getState`` returns.

    Attributes:
        whole: ``mjSTATE_INTEGRATION``.
        inputs: the bits of ``whole`` that the user sets.
        size: the length of the vector.
        parts: the parts that are not empty.
        input_places: int64, shape (n,): the indices of the inputs in the vector.

    """

    def __init__(self, model: Any) -> None:
        mujoco = import_mujoco()
        self.whole = int(mujoco.mjtState.mjSTATE_INTEGRATION)
        self.inputs = int(mujoco.mjtState.mjSTATE_USER) & self.whole
        self.size: int = mujoco.mj_stateSize(model, self.whole)
        self.parts: list[Part] = []
        at = 0
        bits = {int(bit): name for name, bit in mujoco.mjtState.__members__.items() if name.startswith("mjSTATE_")}
        for bit, name in sorted(bits.items()):
            if bit & self.whole != bit or bit & (bit - 1):
                continue  # a combination of others
            if size := mujoco.mj_stateSize(model, bit):
                name = name.removeprefix("mjSTATE_").lower()
                key = _KEYS.get(name, name)
                self.parts.append(Part(key, slice(at, at + size), bool(bit & self.inputs), name in _LEFT_OUT))
                at += size
        assert at == self.size
        places = np.arange(self.size)
        self.input_places = np.concatenate([places[part.place] for part in self.parts if part.is_input] or [places[:0]])

    def vector(self, data: Mapping[str, Any], where: str) -> Floats:
        """The state that a frame holds: float64, shape (size,).

        Raises:
            CorruptLog: when a part is missing, or has another length than the model needs; the message says *where*.

        """
        vector = np.zeros(self.size)
        for part in self.parts:
            if part.key not in data:
                if part.optional:
                    continue
                raise CorruptLog(f"{where}: the state has no {part.key!r}")
            try:
                vector[part.place] = np.asarray(data[part.key], np.float64).reshape(part.size)
            except (TypeError, ValueError):
                raise CorruptLog(f"{where}: {part.key!r} is not {part.size} numbers, as the model needs") from None
        return vector

    def part_of(self, element: int) -> Part:
        """The part that *element* of the vector belongs to."""
        return next(part for part in self.parts if element < part.place.stop)


def crc_of(vector: Floats) -> int:
    """The checksum of a state: CRC-32 of its bytes, little-endian."""
    return zlib.crc32(np.ascontiguousarray(vector, "<f8").tobytes())


def flipped_bit(vector: Floats, crc: int) -> tuple[int, Floats] | None:
    """The element in which one bit must be flipped for the checksum to be *crc*, and the state with it flipped.

    None if there is no such bit. A CRC is linear: a flipped bit changes it by a value that depends only on its
    position, and for fewer than 2**31 bits no two positions have the same value.
    """
    state = bytearray(np.ascontiguousarray(vector, "<f8").tobytes())
    if len(state) > _MOST_SEARCHED:
        return None
    for place in range(len(state)):
        for bit in range(8):
            state[place] ^= 1 << bit
            if zlib.crc32(state) == crc:
                return place // 8, np.frombuffer(state, "<f8").astype(np.float64)
            state[place] ^= 1 << bit
    return None


# --- names ---

_FREE: Final = ("x", "y", "z", "qw", "qx", "qy", "qz")
_TURNS: Final = ("wx", "wy", "wz")
_FORCES: Final = (*((f"f{axis}", "N") for axis in "xyz"), *((f"t{axis}", "N·m") for axis in "xyz"))


def _names(model: Any, kind: str, count: int) -> list[str]:
    """The names of the objects of a kind; those without a name get their number."""
    mujoco = import_mujoco()
    code = getattr(mujoco.mjtObj, f"mjOBJ_{kind.upper()}")
    return [mujoco.mj_id2name(model, code, i) or f"{kind} {i}" for i in range(count)]


def body_names(model: Any) -> list[str]:
    """The names of the bodies of *model*; a body without a name is named by its number, ``body 3``."""
    return _names(model, "body", model.nbody)


def element_names(model: Any) -> Names:
    """The names and the units of the elements of the state of *model*, both by key of the state.

    A joint without a name is named by its number, ``joint 3``. Only parts with names are included.
    """
    joints, bodies = _names(model, "joint", model.njnt), body_names(model)
    actuators = _names(model, "actuator", model.nu)
    pos: list[tuple[str, str]] = []
    dofs: list[tuple[str, str]] = []  # their names, and the unit of length of each
    for joint, kind in zip(joints, model.jnt_type.tolist(), strict=True):
        pos += _coordinates(joint, kind)
        dofs += _velocities(joint, kind)
    mocap = sorted((int(i), bodies[body]) for body, i in enumerate(model.body_mocapid) if i >= 0)
    activations = [
        (actuators[i] if count == 1 else f"{actuators[i]}[{n}]", "")
        for i, count in enumerate(model.actuator_actnum.tolist())
        for n in range(count)
    ]
    force = {"m": "N", "rad": "N·m"}
    all_names: dict[str, list[tuple[str, str]]] = {
        "pos": pos,
        "vel": [(name, f"{unit}/s") for name, unit in dofs],
        "warmstart": [(name, f"{unit}/s²") for name, unit in dofs],
        "qfrc_applied": [(name, force[unit]) for name, unit in dofs],
        "act": activations,
        "ctrl": [(name, "") for name in actuators],
        "xfrc_applied": [(f"{body}.{axis}", unit) for body in bodies for axis, unit in _FORCES],
        "eq_active": [(name, "") for name in _names(model, "equality", model.neq)],
        "mocap_pos": [(f"{body}.{axis}", "m") for _, body in mocap for axis in "xyz"],
        "mocap_quat": [(f"{body}.{part}", "") for _, body in mocap for part in _FREE[3:]],
    }
    sizes = {part.key: part.size for part in StateLayout(model).parts}
    kept = {key: pairs for key, pairs in all_names.items() if pairs and sizes.get(key) == len(pairs)}
    names = {key: [name for name, _ in pairs] for key, pairs in kept.items()}
    return names, {key: [unit for _, unit in pairs] for key, pairs in kept.items()}


def _coordinates(joint: str, kind: int) -> Iterator[tuple[str, str]]:
    """Names and units of the generalized coordinates of a joint: free, ball, slide or hinge."""
    if kind == 0:
        yield from ((f"{joint}.{part}", "m" if part in "xyz" else "") for part in _FREE)
    elif kind == 1:
        yield from ((f"{joint}.{part}", "") for part in _FREE[3:])
    else:
        yield joint, "m" if kind == 2 else "rad"


def _velocities(joint: str, kind: int) -> Iterator[tuple[str, str]]:
    """Names of the degrees of freedom of a joint, and the unit of the coordinate whose speed they are."""
    if kind == 0:
        yield from ((f"{joint}.v{axis}", "m") for axis in "xyz")
    if kind in (0, 1):
        yield from ((f"{joint}.{axis}", "rad") for axis in _TURNS)
    else:
        yield joint, "m" if kind == 2 else "rad"
