"""What a disk may hold after a power cut, from the journal of the system calls before it.

The model is that of ALICE (Pillai and others, *All File Systems Are Not Created Equal: On the Complexity of Crafting
Crash-Consistent Applications*, OSDI 2014), with the crash states of CrashMonkey (Mohan and others, *Finding
Crash-Consistency Bugs with Bounded Black-Box Crash Testing*, OSDI 2018):

- The power may fail after any system call.
- What ``fsync`` or ``fdatasync`` of a file covered is on the disk: its bytes and its size. Of the writes and
  truncations behind that, any may be there or not; of a write, any sectors of 512 bytes, or its first bytes only. Where
  bytes are missing inside of the file's new size there are zeros.
- Names (creation, rename, link, removal, folders) are on the disk when their folder was synced. Of those behind that,
  the first some are there, as a file system with a journal commits them in order; or all but one; or one alone, as one
  without may. Each is atomic. A name may be there without the file's bytes, and the other way round.

What is not modelled: bytes of other files in place of zeros, and damage of bytes that were synced.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from faults.preload import Op

SECTOR = 512
_FOLDER = -1  # in place of a file's number
_NAMES = "CRLUMX"

DATA = ("all", "none", "zeros", "torn", "without one", "sectors")


class State(NamedTuple):
    """One of the states that the disk may be in.

    Attributes:
        at: after how many records of the journal the power failed.
        names: which of the changes of names that were not synced are there: ``all``, ``first`` N, ``without`` the N-th,
            ``only`` the N-th.
        number: that N.
        data: which of the writes that were not synced are there, one of `DATA`.
        file: of which file alone, while the others have all; None for each of them.
        seed: of what is random in it.

    """

    at: int
    names: str
    number: int
    data: str
    file: int | None
    seed: int


class Disk:
    """A disk whose folder *root* was empty, and synced, before the journal began."""

    def __init__(self, journal: Iterable[Op], root: Path) -> None:
        self.ops = list(journal)
        self._root = str(root)
        self._files: list[int] = []  # for each record the number of the file that it speaks of
        self._follow()

    def _follow(self) -> None:
        """Number the files: an inode may be used again, and a rename says only names."""
        by_inode: dict[int, int] = {}
        tree = {self._root: _FOLDER}
        for at, op in enumerate(self.ops):
            number = by_inode.get(op.file, -2)
            if op.op == "C":
                number = by_inode[op.file] = at
            elif op.op in "WTS":
                assert number >= 0, f"a file that was there before the journal: {op}"
            elif op.op == "M":
                number = _FOLDER
            elif op.op in "RLUX":
                number = tree[op.path]
                assert op.op != "R" or number != _FOLDER, "the rename of a folder is not modelled"
            self._files.append(number)
            _apply(tree, op, number)

    def states(self, seed: int = 0) -> Iterator[State]:
        """Yield every state; *seed* decides what is random in them."""
        for at in range(1, len(self.ops) + 1):
            loose = len(self._loose_names(at))
            yield State(at, "all", 0, "all", None, seed)
            for n in range(loose):
                yield from (State(at, names, n, "all", None, seed + at) for names in ("first", "without", "only"))
            dirty = self._dirty(at)
            for data in DATA[1:]:
                for file in [None, *dirty] if len(dirty) > 1 else [None][: len(dirty)]:
                    yield State(at, "all", 0, data, file, seed + at)
                    if loose:
                        yield State(at, "first", (seed + at) % loose, data, file, seed + at)

    def build(self, state: State, target: Path) -> None:
        """Put the files and folders of *state* into the folder *target*."""
        tree = {self._root: _FOLDER}
        loose = self._loose_names(state.at)
        chosen = {
            "all": loose,
            "first": loose[: state.number],
            "without": [at for n, at in enumerate(loose) if n != state.number],
            "only": loose[state.number : state.number + 1],
        }[state.names]
        left_out = set(loose) - set(chosen)
        for at, op in enumerate(self.ops[: state.at]):
            if op.op in _NAMES and at not in left_out:
                _apply(tree, op, self._files[at])
        for path, file in sorted(tree.items()):
            place = target / os.path.relpath(path, self._root)
            if file == _FOLDER:
                place.mkdir(exist_ok=True)
            else:
                data = state.data if state.file in (None, file) else "all"
                place.write_bytes(self._content(file, state.at, data, Random(state.seed + file)))

    def _loose_names(self, end: int) -> list[int]:
        """Which changes of names before *end* are not synced."""
        loose: list[int] = []
        for at, op in enumerate(self.ops[:end]):
            if op.op in _NAMES:
                loose.append(at)
            elif op.op == "D":
                loose = [old for old in loose if op.path not in _folders(self.ops[old])]
        return loose

    def _dirty(self, end: int) -> list[int]:
        """Which files have writes before *end* that are not synced."""
        dirty: dict[int, None] = {}
        for at, op in enumerate(self.ops[:end]):
            if op.op in "WT":
                dirty[self._files[at]] = None
            elif op.op == "S":
                dirty.pop(self._files[at], None)
        return list(dirty)

    def _content(self, file: int, end: int, data: str, draw: Random) -> bytes:
        ops = [op for at, op in enumerate(self.ops[:end]) if self._files[at] == file and op.op in "WTS"]
        synced = max((at + 1 for at, op in enumerate(ops) if op.op == "S"), default=0)
        durable, loose = _written(b"", ops[:synced]), ops[synced:]
        match data:
            case "none":
                return durable
            case "zeros":
                whole = _written(durable, loose)
                return (durable + bytes(len(whole)))[: len(whole)]
            case "torn" if loose:
                size = draw.choice([draw.randrange(len(loose[-1].data) + 1), len(loose[-1].data) // SECTOR * SECTOR])
                last = loose[-1]._replace(data=loose[-1].data[:size])
                return _written(durable, [*loose[:-1], *([last] if last.op != "W" or size else [])])
            case "without one" if loose:
                missing = draw.randrange(len(loose))
                return _written(durable, [op for at, op in enumerate(loose) if at != missing])
            case "sectors":
                whole = _written(durable, loose)
                old = (durable + bytes(len(whole)))[: len(whole)]
                sectors = range(0, len(whole), SECTOR)
                return b"".join(draw.choice([old, whole])[at : at + SECTOR] for at in sectors)
            case _:
                return _written(durable, loose)


def _written(content: bytes, ops: Sequence[Op]) -> bytes:
    result = bytearray(content)
    for op in ops:
        if op.op == "W":
            result.extend(bytes(max(op.number - len(result), 0)))
            result[op.number : op.number + len(op.data)] = op.data
        elif op.op == "T":
            result.extend(bytes(max(op.number - len(result), 0)))
            del result[op.number :]
    return bytes(result)


def _folders(op: Op) -> set[str]:
    """The folders that must be synced for this change of names to be on the disk; either of a rename's will do."""
    return {os.path.dirname(path.decode()) for path in (op.data, op.target) if path}  # noqa: PTH120


def _apply(tree: dict[str, int], op: Op, file: int) -> None:
    """Change the names of *tree* as *op* did; where its folder is not there, nothing is."""
    if op.op not in _NAMES:
        return
    name = (op.target or op.data).decode()
    there = os.path.dirname(name) in tree  # noqa: PTH120
    if op.op in "RUX" and tree.get(op.path) == file:
        del tree[op.path]
        if op.op == "X":  # what was not removed from it before cannot be reached any more
            for path in [path for path in tree if path.startswith(f"{op.path}/")]:
                del tree[path]
    if there and op.op in "CRLM":
        tree[name] = file
