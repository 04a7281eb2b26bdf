"""RLSimion files made by hand, from the format's tables."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from hypothesis import strategies as st


def words(*values: float, size: int = 16) -> bytes:
    """Ints as i64 and floats as f64, padded with zeros to *size* words."""
    packed = b"".join(struct.pack("<d" if isinstance(value, float) else "<q", value) for value in values)
    return packed.ljust(8 * size, b"\0")


def experiment(episodes: int = 1, version: int = 2) -> bytes:
    return words(1, version, episodes)


def episode(kind: int = 0, index: int = 1, variables: int = 2, sub_index: int = 1) -> bytes:
    return words(2, kind, index, variables, sub_index)


def step(index: int, values: Sequence[float], *, real: float = 0.0, sim: float = 0.0, since: float = 0.0) -> bytes:
    return words(3, index, float(real), float(sim), float(since)) + struct.pack(f"<{len(values)}d", *values)


END = words(4)


def episode_of(rows: Sequence[Sequence[float]], *, kind: int = 0, index: int = 1, sub_index: int = 1) -> bytes:
    """A whole episode whose steps are 1, 2, 3, ..."""
    steps = [step(i + 1, row, real=i / 8, sim=i / 4, since=i / 16) for i, row in enumerate(rows)]
    return b"".join([episode(kind, index, len(rows[0]) if rows else 2, sub_index), *steps, END])


def functions(count: int = 1) -> bytes:
    return words(4321, 1, count, size=3)


def declaration(number: int = 0, name: bytes = b"V(x,y)\0", shape: tuple[int, int, int] = (2, 2, 1)) -> bytes:
    return words(5432, number, size=2) + name.ljust(128, b"\0") + words(*shape, size=3)


def sample(values: Sequence[float], *, number: int = 0, episode: int = 1, step: int = 1, total: int = 1) -> bytes:
    return words(6543, episode, step, total, number, size=5) + struct.pack(f"<{len(values)}d", *values)


def descriptor(
    names: Sequence[tuple[str, str]] = (("State", "x"), ("Reward", "r")), binary: str = "a.simion.log.bin"
) -> bytes:
    lines = [f'<ExperimentLogDescriptor BinaryDataFile="{binary}" SceneFile="Rain-car.scene">']
    lines += ['  <Episode-Type Id="0">Evaluation</Episode-Type>', '  <Episode-Type Id="1">Training</Episode-Type>']
    for role, name in names:
        limits = "" if role == "Stat" else ' Min="-3.14" Max="3.14" Circular="false" Units="m"'
        lines.append(f"  <{role}-variable{limits}>{escape(name)}</{role}-variable>")
    return "\n".join([*lines, "</ExperimentLogDescriptor>"]).encode()


def log(folder: Path, data: bytes, text: bytes | None = None, learned: bytes | None = None, name: str = "a") -> Path:
    """Write the files of a log, and return its descriptor's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.simion.log"
    path.write_bytes(descriptor(binary=f"{name}.simion.log.bin") if text is None else text)
    path.with_name(path.name + ".bin").write_bytes(data)
    if learned is not None:
        path.with_name(path.name + ".functions").write_bytes(learned)
    return path


any_float = st.floats(width=64, allow_nan=True)


@st.composite
def logs(draw: st.DrawFn) -> tuple[bytes, bytes, bytes | None]:
    """A log of any shape, as its three files."""
    width = draw(st.integers(0, 3))
    parts = [experiment(draw(st.integers(-1, 5)), draw(st.sampled_from([1, 2])))]
    for _ in range(draw(st.integers(0, 4))):
        one = draw(st.integers(0, 3)) if draw(st.booleans()) else width
        parts.append(episode(draw(st.integers(-3, 3)), draw(st.integers(-1, 99)), one, draw(st.integers(0, 3))))
        for _ in range(draw(st.integers(0, 4))):
            clocks = [draw(any_float) for _ in range(3)]
            values = [draw(any_float) for _ in range(one)]
            index = draw(st.integers(-(2**63), 2**63 - 1))
            parts.append(struct.pack("<qq3d88x", 3, index, *clocks) + struct.pack(f"<{one}d", *values))
        if draw(st.integers(0, 3)):
            parts.append(END)
    names = [(draw(st.sampled_from(["State", "Action", "Reward", "Stat"])), draw(st.sampled_from("abc")))]
    text = descriptor([*names] * width)
    learned = None
    if draw(st.booleans()):
        declared = draw(st.integers(0, 2))
        shapes = [draw(st.tuples(*[st.integers(0, 3)] * 3)) for _ in range(declared)]
        made = [functions(declared)]
        made += [declaration(i, draw(st.binary(max_size=128)), shape) for i, shape in enumerate(shapes)]
        for _ in range(draw(st.integers(0, 3)) if declared else 0):
            number = draw(st.integers(0, declared - 1))
            size = math.prod(shapes[number])
            values = [draw(any_float) for _ in range(size)]
            made.append(sample(values, number=number, episode=draw(st.integers(0, 5)), total=draw(st.integers(0, 9))))
        learned = b"".join(made)
        learned = learned[: draw(st.integers(0, len(learned)))] if draw(st.booleans()) else learned
    data = b"".join(parts)
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data, text, learned
