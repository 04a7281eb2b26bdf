"""The compiled model in the log: stored once, compressed, with its hash and the names of its elements.

It is an MJB, MuJoCo's own format for a compiled model, because an MJCF written from one (``mj_saveLastXML``) rounds its
numbers, and a simulation of that drifts. The frames have their own kind, so that readers of events or statistics never
decode a model; other programs skip them, as FLOG allows.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np

from trainlog import registry
from trainlog.codec import Reader
from trainlog.conventions import SIMULATED_MODEL
from trainlog.errors import CodecError, CorruptLog, TrainlogError
from trainlog.model import Frame
from trainlog.mujoco.state import Names, element_names, import_mujoco
from trainlog.recorder import TrainingRecorder
from trainlog.scan import Scan
from trainlog.storage.locks import one_at_a_time

__all__ = ["Names", "StoredModel", "element_names_of", "store_model", "stored_models"]

_PART: Final = 1 << 27  # bytes per frame; FLOG allows twice as many
_MOST: Final = 1 << 31  # largest size of a decompressed model, in bytes
_DIGITS: Final = 16

_KNOWN: Final = WeakKeyDictionary[TrainingRecorder, set[str]]()  # the models that each open log has


@dataclass(frozen=True, slots=True, eq=False)
class StoredModel:
    """A model of a log.

    Attributes:
        id: the first 16 hexadecimal digits of ``hash``, which the frames of its states name.
        hash: SHA-256 of the MJB.
        mujoco: the version of MuJoCo that compiled it, which is the only one that can load it.
        names, units: those of the elements of each key of the state; see `trainlog.mujoco.state.element_names`.

    """

    id: str
    hash: str
    mujoco: str
    names: Mapping[str, list[str]]
    units: Mapping[str, list[str]]
    _parts: list[bytes]

    def load(self, path: Path) -> Any:
        """The ``MjModel``, bit for bit as it was recorded; errors name the log *path*.

        Raises:
            CorruptLog: when the log does not hold all of it, or holds other bytes.
            CodecError: when another version of MuJoCo compiled it.

        """
        mujoco = import_mujoco()
        unpacker = zlib.decompressobj()
        try:
            mjb = unpacker.decompress(b"".join(self._parts), _MOST)
        except zlib.error as error:
            raise CorruptLog(f"the model {self.id} is damaged: {error}", path=path) from error
        if hashlib.sha256(mjb).hexdigest() != self.hash:
            raise CorruptLog(f"the model {self.id} is damaged: its hash differs", path=path)
        if mujoco.__version__ != self.mujoco:
            raise CodecError(
                f"the model was compiled by MuJoCo {self.mujoco}, and this is {mujoco.__version__}: "
                f"install mujoco=={self.mujoco}, or give a model (--model, --env-id)",
                path=path,
            )
        try:
            return mujoco.MjModel.from_binary_path("model.mjb", {"model.mjb": mjb})
        except (ValueError, mujoco.FatalError) as error:
            raise CorruptLog(f"MuJoCo cannot load the model {self.id}: {error}", path=path) from error


def stored_models(reader: Reader) -> dict[str, StoredModel]:
    """The complete models of a log by id; for a shard, also those of the other shards, if they are next to it."""
    found = _models(reader)
    if "shard" in reader.header.meta:
        with suppress(TrainlogError):  # a copy of it alone
            found = {**_models(registry.open(reader.path.parent)), **found}
    return found


def _models(reader: Reader) -> dict[str, StoredModel]:
    parts: dict[str, dict[int, bytes]] = {}
    found: dict[str, StoredModel] = {}
    for batch in reader.scan(Scan(kinds=SIMULATED_MODEL, superseded=True, on_damage="ignore", columns=())):
        for frame in reader.with_superseded().take(batch.order.tolist()):
            data = frame.data
            hash, mjb, part = data.get("hash"), data.get("mjb"), data.get("part")
            if not (isinstance(hash, str) and isinstance(mjb, bytes) and isinstance(part, int)):
                continue
            parts.setdefault(hash, {})[part] = mjb
            if data.get("parts") == part + 1 == len(parts[hash]) == max(parts[hash]) + 1 and min(parts[hash]) == 0:
                id, version = hash[:_DIGITS], str(data.get("mujoco"))
                pieces = [parts[hash][n] for n in range(part + 1)]
                found[id] = StoredModel(id, hash, version, *_names(data), pieces)
    return found


def element_names_of(frames: Iterable[Frame]) -> dict[str, Names]:
    """By model: the names and units in the *frames* of models."""
    return {str(frame.data["hash"])[:_DIGITS]: _names(frame.data) for frame in frames if "hash" in frame.data}


def _names(data: Mapping[Any, Any]) -> Names:
    """The names and units of a model's frame, those that are lists of texts."""
    names, units = (data[key] if isinstance(data.get(key), dict) else {} for key in ("names", "units"))
    return _texts(names), _texts(units)


def _texts(lists: Mapping[Any, Any]) -> dict[str, list[str]]:
    return {
        str(key): value
        for key, value in lists.items()
        if isinstance(value, list) and all(isinstance(text, str) for text in value)
    }


def store_model(log: TrainingRecorder, model: Any) -> str:
    """Store *model* in *log*, unless it or another shard of the same log has it already; returns its id."""
    mujoco = import_mujoco()
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    mjb = buffer.tobytes()
    hash = hashlib.sha256(mjb).hexdigest()
    id = hash[:_DIGITS]
    known = _KNOWN.setdefault(log, set())
    if id in known:
        return id
    with one_at_a_time(Path(log.path).parent):  # so that no two shards store the same model
        if not known:  # the log is read once, and not again for each change of the model
            known.update(_already(log))
        if id in known:
            return id
        packed = zlib.compress(mjb, 6)
        pieces = [packed[at : at + _PART] for at in range(0, len(packed), _PART)]
        for part, piece in enumerate(pieces):
            frame = {"hash": hash, "mujoco": mujoco.__version__, "part": part, "parts": len(pieces), "mjb": piece}
            if part == len(pieces) - 1:
                frame["names"], frame["units"] = element_names(model)
            log.record(None, SIMULATED_MODEL, frame)
        log.flush()
        known.add(id)
    return id


def _already(log: TrainingRecorder) -> dict[str, StoredModel]:
    """The models that are in the log; none if its format cannot be read while it is written."""
    try:
        return stored_models(registry.open(log.path))
    except TrainlogError:
        return {}
