"""Events as values, and back: scalars, text, images, histograms, tensors and hyperparameters."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from trainlog.codecs.tensorboard.wire import VERSION, field, fields, numbers, varint, varint_at

__all__ = [
    *("KEPT", "Event", "EventParser", "packed_event", "packed_scalars", "packed_session", "packed_tensor"),
    *("packed_text", "packed_value", "wall_of"),
]

_HEAD: Final = struct.Struct("<BdB")  # the keys of time and step, and the time between them
_unpack_head = _HEAD.unpack_from
_HPARAMS: Final = "hparams"
_SESSION: Final = "_hparams_/session_start_info"
_TENSOR_VALUES: Final = {  # by dtype of a TensorProto: the numpy dtype, the field of the values, how they are packed
    1: ("<f4", 5, "<f4"),
    2: ("<f8", 6, "<f8"),
    3: ("<i4", 7, "varint"),
    4: ("u1", 7, "varint"),
    5: ("<i2", 7, "varint"),
    6: ("i1", 7, "varint"),
    9: ("<i8", 10, "varint"),
    10: ("?", 11, "varint"),
    17: ("<u2", 7, "varint"),
    19: ("<f2", 13, "varint"),
    22: ("<u4", 16, "varint"),
    23: ("<u8", 17, "varint"),
}
_STRING: Final = 7
_WRITTEN: Final = {"b": (10, "?"), "i": (9, "<i8"), "u": (23, "<u8"), "f": (2, "<f8")}  # by kind of a numpy dtype
_MOST_ELEMENTS: Final = 1 << 24
_LARGEST_INT: Final = 1 << 53  # doubles hold all ints up to this one
_MOST_KNOWN: Final = 1 << 14  # tags
_MOST_REMEMBERED: Final = 16 << 20  # bytes of events
_ENTRY: Final = 512  # about the bytes that remembering an event takes beyond its own
_MOST_SHAPES: Final = 8  # of events with equally many bytes


class Event(NamedTuple):
    """The contents of an event.

    Attributes:
        wall: seconds since 1970.
        step: the step; 0 if the event has none.
        tags: of the numbers, in the event's order.
        numbers: as many.
        others: everything else, as the data of event frames.

    """

    wall: float
    step: int
    tags: Sequence[str]
    numbers: Sequence[float]
    others: list[dict[str, Any]]


class EventParser:
    """Parses events, and remembers the bytes around the numbers of those that hold only numbers.

    Most events are of this kind, and the same bytes occur again and again.
    """

    def __init__(self) -> None:
        self._shapes: dict[int, list[struct.Struct]] = {}  # of events, by their bytes after the step
        self._tags: dict[tuple[bytes, ...], Sequence[str]] = {}  # by the bytes around the numbers
        self._room = _MOST_REMEMBERED

    def parse(self, message: bytes) -> Event:
        """The event in *message*.

        Raises:
            ValueError: when it is not an event.

        """
        wall, step, at = 0.0, 0, 0
        if len(message) >= _HEAD.size:
            before_wall, found, before_step = _unpack_head(message)
            if before_wall == 0x09:
                wall, at = found, 9
                if before_step == 0x10:
                    step, at = varint_at(message, 10)
        for shape in self._shapes.get(len(message) - at, ()):
            parts = shape.unpack_from(message, at)
            tags = self._tags.get(parts[::2])
            if tags is not None:
                return Event(wall, _signed(step), tags, parts[1::2], [])
        try:
            event = _parsed(message)
        except OverflowError as error:  # of a tensor that claims more values than possible
            raise ValueError(str(error)) from error
        if event.tags and not event.others:
            self._remember(event.tags, message[at:])
        return event

    def _remember(self, tags: Sequence[str], rest: bytes) -> None:
        """Remember an event whose bytes after the step are *rest*, if these are numbers with *tags* in a usual form."""
        cost = 2 * len(rest) + _ENTRY
        if cost > self._room:
            return
        around = []
        for tag in tags:
            before = _before_number(tag)
            around.append(b"\x0a" + varint(len(before) + 4) + before)
        around[0] = b"\x2a" + varint(sum(map(len, around)) + 4 * len(tags)) + around[0]
        if sum(map(len, around)) + 4 * len(tags) != len(rest):
            return
        shape = struct.Struct("<" + "".join(f"{len(part)}sf" for part in around))
        if shape.unpack(rest)[::2] != tuple(around):
            return
        shapes = self._shapes.get(len(rest), [])
        if shape.format not in (one.format for one in shapes):
            if len(shapes) == _MOST_SHAPES:
                return
            self._shapes[len(rest)] = [*shapes, shape]
        self._tags[tuple(around)] = tags
        self._room -= cost


def wall_of(message: bytes, otherwise: float) -> float:
    """The time of an event that cannot be parsed, in seconds since 1970; *otherwise* if it does not begin with it."""
    if len(message) < 9 or message[0] != 0x09:
        return otherwise
    return float(struct.unpack_from("<d", message, 1)[0])


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _parsed(message: bytes) -> Event:
    wall, step = 0.0, 0
    scalars: list[tuple[str, float]] = []
    others: list[dict[str, Any]] = []
    for number, value in fields(message):
        if number == 1:
            wall = float(value)
        elif number == 2:
            step = _signed(_integer(value))
        elif number == 5:
            for inner, one in fields(_bytes(value)):
                if inner == 1:
                    _add_value(_bytes(one), scalars, others)
        elif number not in (3, 10):  # the version, and who wrote it
            others.append({"type": "not kept", "msg": _EVENTS.get(number, f"field {number} of an event")})
    for other in others:
        other["step"] = step
    return Event(wall, step, [tag for tag, _ in scalars], [number for _, number in scalars], others)


_EVENTS: Final = {4: "a graph", 6: "a log message", 7: "a session log", 8: "run metadata", 9: "a meta graph"}


def _integer(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError("expected a whole number")
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("expected a message, not a number")
    return value


def _text(value: Any) -> str:
    return _bytes(value).decode("utf-8", "surrogateescape")


def _add_value(message: bytes, scalars: list[tuple[str, float]], others: list[dict[str, Any]]) -> None:
    """Add one value of a summary."""
    parts = dict(fields(message))
    tag = _text(parts.get(1, b""))
    plugin = _plugin(_bytes(parts.get(9, b"")))
    if 2 in parts:
        scalars.append((tag, float(parts[2])))
    elif plugin[0] == _HPARAMS:
        others.append({"type": "hparams", "tag": tag, **_hparams(plugin[1])})
    elif 4 in parts:
        image = dict(fields(_bytes(parts[4])))
        size = {"height": image.get(1, 0), "width": image.get(2, 0), "colorspace": image.get(3, 0)}
        others.append({"type": "image", "tag": tag, **size, "image": _bytes(image.get(4, b""))})
    elif 5 in parts:
        others.append({"type": "histogram", "tag": tag, **_histogram(_bytes(parts[5]))})
    elif 8 in parts:
        tensor = _tensor(_bytes(parts[8]))
        if isinstance(tensor, float | int | bool):
            scalars.append((tag, tensor))
        elif plugin[0] == "text":
            texts = tensor if isinstance(tensor, list) else [tensor]
            others.append({"type": "text", "tag": tag, "msg": "\n".join(map(_as_text, texts))})
        elif plugin[0] == "images" and isinstance(tensor, list) and len(tensor) == 3:
            size = {"height": int(tensor[1]), "width": int(tensor[0]), "colorspace": 0}
            others.append({"type": "image", "tag": tag, **size, "image": tensor[2]})
        elif plugin[0] == "histograms" and isinstance(tensor, list) and all(isinstance(row, list) for row in tensor):
            low, high, counts = zip(*tensor, strict=True) if tensor else ((), (), ())
            found = {"lows": list(low), "limits": list(high), "counts": list(counts)}
            others.append({"type": "histogram", "tag": tag, **found})
        elif tensor is None:
            others.append({"type": "not kept", "msg": "a tensor of another type", "tag": tag})
        else:
            others.append({"type": "tensor", "tag": tag, "plugin": plugin[0], "values": tensor})
    else:
        others.append({"type": "not kept", "msg": "audio" if 6 in parts else "a value of another type", "tag": tag})


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _plugin(metadata: bytes) -> tuple[str, bytes]:
    data = dict(fields(_bytes(dict(fields(metadata)).get(1, b""))))
    return _text(data.get(1, b"")), _bytes(data.get(2, b""))


def _histogram(message: bytes) -> dict[str, Any]:
    repeated: dict[int, list[Any]] = {6: [], 7: []}
    found: dict[str, Any] = dict.fromkeys(("min", "max", "num", "sum", "sum_squares"), 0.0)
    names = list(found)
    for number, value in fields(message):
        if number in repeated:
            repeated[number].append(value)
        elif 1 <= number <= len(names):
            found[names[number - 1]] = float(value)
    return {**found, "limits": numbers(repeated[6], "<f8"), "counts": numbers(repeated[7], "<f8")}


def _tensor(message: bytes) -> Any:
    """A TensorProto as a number, a string of bytes, or a list of them; None for types that are not read."""
    parts: dict[int, list[Any]] = {}
    for number, value in fields(message):
        parts.setdefault(number, []).append(value)
    dtype = parts.get(1, [0])[0]
    shape = []
    for number, value in fields(_bytes(parts.get(2, [b""])[0])):
        if number == 2:
            shape.append(_signed(dict(fields(_bytes(value))).get(1, 0)))
    count = int(np.prod(shape, dtype=np.float64)) if shape else 1
    if not 0 <= count <= _MOST_ELEMENTS:
        raise ValueError("a tensor of more elements than possible")
    if dtype == _STRING:
        texts = [_bytes(one) for one in parts.get(8, [])]
        return texts[0] if not shape and texts else texts
    if dtype not in _TENSOR_VALUES:
        return None
    kind, values_in, packing = _TENSOR_VALUES[dtype]
    if 4 in parts:
        values = np.frombuffer(_bytes(parts[4][0]), kind)
    else:
        found = numbers(parts.get(values_in, []), packing)
        if kind == "<f2":
            values = np.array(found, np.uint16).view(np.float16)
        else:
            values = np.array([_signed(one) if np.dtype(kind).kind == "i" else one for one in found], kind)
        if 0 < len(values) < count:  # the last one stands for all the missing ones
            values = np.concatenate([values, np.full(count - len(values), values[-1])])
    if len(values) != count:
        raise ValueError("the number of values of a tensor does not match its shape")
    return values.reshape(shape).tolist()


def _hparams(content: bytes) -> dict[str, Any]:
    """The contents of the plug-in's data: the hyperparameters of a session, or the news that it ended."""
    found: dict[str, Any] = {}
    for number, value in fields(content):
        if number == 3:
            values: dict[str, Any] = {}
            for inner, one in fields(_bytes(value)):
                if inner == 1:
                    entry = dict(fields(_bytes(one)))
                    values[_text(entry.get(1, b""))] = _json_value(_bytes(entry.get(2, b"")))
            found["hparams"] = values
        elif number == 4:
            found["status"] = dict(fields(_bytes(value))).get(1, 0)
    return found


def _json_value(message: bytes) -> Any:
    """A protobuf Value: a number, a string, a bool, or None."""
    for number, value in fields(message):
        if number == 2:
            return float(value)
        if number == 3:
            return _text(value)
        if number == 4:
            return bool(value)
    return None


def packed_event(wall: float, step: int = 0, *, values: Iterable[bytes] = (), version: bool = False) -> bytes:
    """An event of summary *values*, or the event at the start of a file."""
    content = field(3, VERSION) if version else field(5, b"".join(field(1, value) for value in values))
    return field(1, float(wall)) + (field(2, step) if step else b"") + content


def packed_scalars(scalars: Iterable[tuple[str, float]]) -> list[bytes]:
    """Values of a summary that are single-precision numbers."""
    return [_before_number(tag) + struct.pack("<f", number) for tag, number in scalars]


@lru_cache(_MOST_KNOWN)
def _before_number(tag: str) -> bytes:
    return field(1, tag) + b"\x15"


def packed_text(tag: str, text: str) -> bytes:
    """A value of a summary that is a text."""
    value = packed_tensor(tag, [text], "text")
    assert value is not None
    return value


def packed_tensor(tag: str, values: Any, plugin: str = "") -> bytes | None:
    """A value of a summary that is a tensor, of whole numbers, doubles, bools or strings; None for anything else.

    *values* are one of them, an array, or lists of one shape.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind in "SUO":
            array = np.asarray(values, object)  # keeps trailing zero bytes
    except ValueError:  # lists of several lengths
        return None
    shape = field(2, b"".join(field(2, field(1, size)) for size in array.shape))
    if array.dtype.kind in _WRITTEN:
        code, dtype = _WRITTEN[array.dtype.kind]
        tensor = field(1, code) + shape + (field(4, array.astype(dtype).tobytes()) if array.size else b"")
    elif array.dtype == object and all(isinstance(one, str | bytes) for one in array.flat):
        tensor = field(1, _STRING) + shape + b"".join(field(8, one) for one in array.flat)
    else:
        return None
    return field(1, tag) + field(8, tensor) + (field(9, field(1, field(1, plugin))) if plugin else b"")


KEPT: Final = {
    "text": {"tag", "msg"},
    "image": {"tag", "image", "height", "width", "colorspace"},
    "histogram": {"tag", "lows", "limits", "counts", "num", "sum", "min", "max", "sum_squares"},
    "hparams": {"tag", "hparams"},
    "tensor": {"tag", "values", "plugin"},
}
"""The keys that `packed_value` writes, by the type of the event."""


def packed_value(data: Mapping[Any, Any]) -> bytes | None:
    """The value of a summary that became the event frame *data*; None for any other frame."""
    try:
        return _packed_value(data)
    except (ValueError, TypeError, OverflowError):  # it has the keys of a histogram, but not its numbers
        return None


def _packed_value(data: Mapping[Any, Any]) -> bytes | None:
    tag = str(data.get("tag", ""))
    match data:
        case {"type": "text", "tag": _, "msg": str(text)}:
            return packed_text(tag, text)
        case {"type": "image", "image": bytes(image), "height": int(height), "width": int(width)}:
            size = field(1, height) + field(2, width) + field(3, int(data.get("colorspace", 3)) or 3)
            return field(1, tag) + field(4, size + field(4, image))
        case {"type": "histogram", "limits": [*limits], "counts": [*counts], "num": num}:
            ends = [float(data.get(name, 0.0)) for name in ("min", "max")]
            sums = [float(num), *(float(data.get(name, 0.0)) for name in ("sum", "sum_squares"))]
            found = b"".join(field(i, value) for i, value in enumerate([*ends, *sums], 1))
            return field(1, tag) + field(5, found + field(6, limits) + field(7, counts))
        case {"type": "histogram", "lows": [*lows], "limits": [*limits], "counts": [*counts]}:  # of TensorFlow 2
            return packed_tensor(tag, list(zip(lows, limits, counts, strict=True)), "histograms")
        case {"type": "hparams", "hparams": Mapping() as values}:
            return packed_session(values)
        case {"type": "tensor", "tag": _, "values": values}:
            return packed_tensor(tag, values, str(data.get("plugin", "")))
    return None


def packed_session(values: Mapping[Any, Any]) -> bytes:
    """The value of a summary that holds the hyperparameters of a session."""
    entries = b"".join(field(1, field(1, str(key)) + field(2, _packed_json(value))) for key, value in values.items())
    plugin = field(1, _HPARAMS) + field(2, field(1, 0) + field(3, entries))
    return field(1, _SESSION) + field(9, field(1, plugin))


def _packed_json(value: Any) -> bytes:
    if value is None:
        return field(1, 0)
    if isinstance(value, bool):
        return field(4, int(value))
    if isinstance(value, int) and abs(value) > _LARGEST_INT:
        return field(3, str(value))  # as a double, a seed of 64 bits would lose digits
    return field(2, float(value)) if isinstance(value, int | float) else field(3, str(value))
