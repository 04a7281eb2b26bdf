"""The values of frames that share no shape: numpy steps through all frames together, one entry at a time.

Each frame is a map whose entries follow one another: key, value, key, value. One step of the walk reads the next entry
of all frames together. So frames whose keys change from one frame to the next cost a few array operations per entry,
not a dict per frame. Keys are distinguished by a hash of all their bytes.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainlog.codecs.flog.columns.record_shape import LENGTHS, WIDTHS
from trainlog.codecs.flog.columns.values import overlapping, put_numbers, values_at
from trainlog.codecs.flog.wire.layout import FRAME
from trainlog.codecs.frame_payload import decode_list
from trainlog.table.builder import Rows, TableBuilder, pick_rows
from trainlog.table.values import LONGEST_PREFIX

__all__ = ["FoundValues", "ValueWalk", "map_sizes"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Octets = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_HEAD: Final = FRAME.size
_WIDTHS: Final = np.frombuffer(WIDTHS, np.uint8).astype(np.int64)
_KEY_SIZES: Final = np.full(256, 1 << 40)  # by marker; markers that cannot begin a key get a size beyond any frame
_KEY_SIZES[0xA0:0xC0], _KEY_SIZES[0xD9] = np.arange(32), 0
_IS_LIST: Final = np.zeros(256, np.bool_)
_IS_LIST[0x80] = _IS_LIST[0x90:0xA0] = _IS_LIST[0xDC] = True  # an empty map as well

# A key's hash is the sum of its words, each multiplied by two odd numbers of its own. So keys that differ in one word
# always have different hashes. The numbers are secret, so that nobody can construct a log whose keys all have the same
# hash. Between the two multiplications, high bits are mixed into low ones: 2**63 times any odd number is 2**63, so two
# such words would cancel out.
_LONGEST_KEY: Final = 255
_WORDS: Final = 32  # words of the longest key
_ROOT: Final = 1  # the hash of the frame itself; 0 will not do, as the hash of a key "" in a map of hash 0 is 0
_BYTES: Final = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
# Which bytes of each word belong to a key, by the size of the key.
_LAST_BYTES: Final = ~_BYTES[8 - np.minimum(np.arange(256), 8)]
_OF_KEY: Final = _BYTES[np.clip(np.arange(256) - 8 * np.arange(_WORDS)[:, None], 0, 8)]

_DEEPEST: Final = 8
_LONGEST: Final = LONGEST_PREFIX // _DEEPEST  # bytes of a map's name, so that the names of nested maps are never cut
_MOST_STEPS: Final = 2048
_MOST_LISTS: Final = 16  # different sizes of lists that one step handles
_MOST_KEYS: Final = 1 << 14
_MOST_TARGETS: Final = 64
_MOST_SLASHES: Final = 5
_COMPARED: Final = 12  # up to this many hashes are compared one by one


class _Cursors(NamedTuple):
    """The place of the walk in each frame that it has not finished."""

    row: Array
    at: Array
    stop: Array
    left: Array  # remaining entries of the current map
    within: Array  # the hash of that map; _ROOT for the frame itself
    depth: Array

    def take(self, which: Mask) -> _Cursors:
        return self if which.all() else _Cursors(*(column[which] for column in self))


class _Keys(NamedTuple):
    """The next key of each frame."""

    start: Array
    end: Array  # where its value begins
    within: Array  # the hash of the map that holds it
    hash: Array

    @classmethod
    def at(cls, block: Octets, end: Array, size: Array, within: Array) -> _Keys:
        return cls(end - size, end, within, _hashes(block, end - size, size, within))

    def take(self, which: Mask) -> _Keys:
        return _Keys(*(column[which] for column in self))


class _Targets(NamedTuple):
    """The requested keys, and those of the maps that hold them."""

    hashes: Hashes
    tails: Hashes  # their last eight bytes

    def may_be(self, block: Octets, end: Array, size: Array) -> Mask:
        """Which of the keys that end at the bytes *end*, and have *size* bytes, may be among them."""
        if len(self.tails) > _COMPARED:
            return np.ones(len(end), np.bool_)
        tail = overlapping(block, "<u8")[end - 8] & _LAST_BYTES[size]
        found = np.zeros(len(end), np.bool_)
        for one in self.tails:
            found |= tail == one
        return found


class _Entries(NamedTuple):
    """Values and their places."""

    row: Ints
    key: Ints  # the number of the key; -1 for a key whose column has the same name as that of another key
    place: Ints  # of the value's marker
    end: Ints  # -1 for a map that has values of its own

    def take(self, which: Any) -> _Entries:
        return _Entries(*(column[which] for column in self))


class FoundValues:
    """The values of some frames, by their keys; the values of one key are adjacent, in the frames' order."""

    def __init__(self, block: Octets, offset: Ints, names: list[str], ends: Ints, entries: _Entries) -> None:
        self._block = block
        self._offset = offset
        self._names = names
        self._ends = ends
        self._entries = entries

    def __len__(self) -> int:
        return len(self._offset)

    def _by_name(self) -> Iterator[tuple[str, slice]]:
        begin = 0
        for name, end in zip(self._names, self._ends.tolist(), strict=True):
            yield name, slice(begin, end)
            begin = end

    @property
    def firsts(self) -> list[tuple[int, tuple[str, ...]]]:
        """Each key with the first frame that has it, in the order of the frames and their keys."""
        begins = np.concatenate([[0], self._ends])[:-1]
        row, place = self._entries.row[begins].tolist(), self._entries.place[begins]
        return [(row[i], (self._names[i],)) for i in np.argsort(place).tolist()]

    def take(self, chosen: Mask) -> FoundValues:
        """Only the *chosen* frames."""
        keep = chosen[self._entries.row]
        entries = self._entries.take(keep)
        entries = entries._replace(row=(np.cumsum(chosen) - 1)[entries.row])
        ends = np.concatenate([[0], np.cumsum(keep)])[self._ends]
        some = np.diff(ends, prepend=0) > 0
        names = [name for name, has in zip(self._names, some.tolist(), strict=True) if has]
        return FoundValues(self._block, self._offset[chosen], names, ends[some], entries)

    def add_to(self, builder: TableBuilder, rows: Rows) -> None:
        """Set *rows* of a table to the frames' values."""
        builder.time.put(rows, overlapping(self._block, "<f8")[self._offset])
        wanted = set(builder.names(self._names))
        for name, which in self._by_name():
            if name not in wanted:
                continue
            column, some = builder.columns[name], self._entries.take(which)
            marker = self._block[some.place]
            lists = _IS_LIST[marker]
            if lists.any():
                these = some.take(lists)
                spans = zip(these.place.tolist(), these.end.tolist(), strict=True)
                values = [decode_list(self._block[place:end].tobytes()) for place, end in spans]
                column.extend(pick_rows(rows, these.row), values)
                some, marker = some.take(~lists), marker[~lists]
            column.put_pieces(pick_rows(rows, some.row), values_at(self._block, some.place, marker))

    def numbers(self, key: str) -> npt.NDArray[np.float64]:
        """The number that each frame has under *key*; NaN for none."""
        found = np.full(len(self), np.nan)
        for name, which in self._by_name():
            if name == key:
                some = self._entries.take(which)
                put_numbers(found, some.row, values_at(self._block, some.place, self._block[some.place]))
        return found


class ValueWalk:
    """Finds values, and remembers the keys that it has seen."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._names: dict[str, None] = {}
        self._numbers: dict[int, int] = {}  # of the keys, by their hashes
        self._hashes = np.array([0], np.uint64)  # the same hashes, ascending
        self._order = np.array([-1])
        self._targets_of: dict[frozenset[str], _Targets] = {}
        self._maps = {_ROOT: ""}  # the prefix of the keys of a map, by the map's hash

    def find(
        self, block: Octets, offset: Ints, length: Ints, wanted: frozenset[str] | None = None
    ) -> tuple[FoundValues, Mask]:
        """Find the values of the frames that begin at *offset* of *block*, which has SLACK bytes after the last frame.

        Args:
            block: holds the frames.
            offset: where the header of each frame begins.
            length: bytes of each frame, including its header.
            wanted: only the values of these columns; None for all.

        Returns:
            The values, and a mask of the frames that they are from. The other frames hold something that the walk
            does not handle (keys that are not short strings, lists of anything but numbers of one width, ext types, or
            the same key twice), or they are not frames.

        """
        if len(self._names) > _MOST_KEYS:
            self._forget()
        targets = self._targets(wanted)
        entries, whole = self._walk(block, offset, length, targets)
        order = np.argsort(_short(entries.row, len(offset)), kind="stable")
        entries = entries.take(order[np.argsort(_short(entries.key[order], len(self._names)), kind="stable")])
        twice = entries.row[1:][(np.diff(entries.key) == 0) & (np.diff(entries.row) == 0)]
        whole[np.concatenate([twice, entries.row[entries.key < 0]])] = False
        keep = whole[entries.row] & (entries.end >= 0)
        if not (whole.all() and keep.all()):
            entries = entries.take(keep)
            entries = entries._replace(row=(np.cumsum(whole) - 1)[entries.row])
        counts = np.bincount(entries.key, minlength=len(self._names))
        names = [name for name, count in zip(self._names, counts.tolist(), strict=True) if count]
        return FoundValues(block, offset[whole], names, np.cumsum(counts[counts > 0]), entries), whole

    def _targets(self, wanted: frozenset[str] | None) -> _Targets | None:
        """The keys that may belong to the *wanted* columns; None for all."""
        # Where two keys give the same name, the second column is numbered with "#": finding that needs all keys.
        if wanted is None or any("#" in name or name.count("/") > _MOST_SLASHES for name in wanted):
            return None
        if wanted not in self._targets_of:
            if len(self._targets_of) >= _MOST_TARGETS:
                self._targets_of.clear()
            paths = [
                [key.encode("utf-8", "surrogateescape") for key in path] for name in wanted for path in _paths(name)
            ]
            paths = [path for path in paths if max(map(len, path)) <= _LONGEST_KEY]
            paths = [path[:end] for path in paths for end in range(1, len(path) + 1)]  # maps that may be there twice
            tails = {int.from_bytes(path[-1][-8:].rjust(8, b"\0"), "little") for path in paths}
            hashes = [_hash_of(path) for path in paths]
            self._targets_of[wanted] = _Targets(np.array(hashes, np.uint64), np.array([*tails], np.uint64))
        return self._targets_of[wanted]

    def _walk(self, block: Octets, offset: Ints, length: Ints, targets: _Targets | None) -> tuple[_Entries, Mask]:
        """The entries of all frames, or only those of *targets*, and a mask of the frames that were read completely."""
        count = len(offset)
        whole = np.zeros(count, np.bool_)
        found = [_Entries(*[np.empty(0, np.int64)] * 4)]
        at, stop = offset + _HEAD, offset + length
        left, head = map_sizes(block, at)
        cursors = _Cursors(
            np.arange(count), at + head, stop, left, np.full(count, _ROOT, np.uint64), np.zeros(count, np.int64)
        )
        cursors = cursors.take((left >= 0) & (at + head <= stop))
        outer = np.zeros((_DEEPEST, count, 2), np.int64)  # of the enclosing maps: remaining entries, hash
        for _ in range(_MOST_STEPS):
            cursors = self._left_maps(cursors, outer, whole)
            if not len(cursors.row):
                break
            cursors = self._step(block, cursors, outer, found, targets)
        return _Entries(*map(np.concatenate, zip(*found, strict=True))), whole

    @staticmethod
    def _left_maps(cursors: _Cursors, outer: npt.NDArray[np.int64], whole: Mask) -> _Cursors:
        """Leave the maps that end here; frames that end here are *whole* if this is where they should end."""
        while not cursors.left.all():
            row, at, stop, left, within, depth = cursors
            over = left == 0
            ended = over & (depth == 0)
            whole[row[ended]] = at[ended] == stop[ended]
            inner = over & (depth > 0)
            depth[inner] -= 1
            left[inner] = outer[depth[inner], row[inner], 0]
            within = within.copy()  # the original is shared with the entries that were found
            within[inner] = outer[depth[inner], row[inner], 1].view(np.uint64)
            cursors = _Cursors(row, at, stop, left, within, depth).take(~ended)
        return cursors

    def _step(
        self,
        block: Octets,
        cursors: _Cursors,
        outer: npt.NDArray[np.int64],
        found: list[_Entries],
        targets: _Targets | None,
    ) -> _Cursors:
        """Read one entry of each frame, and add them to *found*; frames whose entry cannot be read are dropped."""
        marker = block[cursors.at]
        size = _KEY_SIZES[marker]
        place = cursors.at + size + 1
        if (long := marker == 0xD9).any():
            size[long] = block[cursors.at[long] + 1]
            place[long] += size[long] + 1
        inside = place < cursors.stop
        if not inside.all():
            cursors, size, place = cursors.take(inside), size[inside], place[inside]
        marker = block[place]
        end = place + _WIDTHS[marker]
        good, maps = end <= cursors.stop, None
        if (special := end == place).any():
            end[special] = _ends_of(block, place[special], marker[special], cursors.stop[special])
            maps = special.copy()
            maps[special] = map_sizes(block, place[special])[0] > 0
            good = (end <= cursors.stop) & ((end > place) | (maps & (cursors.depth < _DEEPEST) & (size < _LONGEST)))
        if not good.all():
            cursors, size, place, end = cursors.take(good), size[good], place[good], end[good]
            maps = None if maps is None else maps[good]
        row, _, stop, left, within, depth = cursors
        hits: Any = slice(None) if targets is None else targets.may_be(block, place, size)
        keys = _Keys.at(block, place[hits], size[hits], within[hits])
        if targets is not None and len(keys.hash):
            which = np.isin(keys.hash, targets.hashes)
            hits, keys = np.flatnonzero(hits)[which], keys.take(which)
        if len(keys.hash):
            found.append(_Entries(row[hits], self._numbered(block, keys), keys.end, end[hits]))
        left = left - 1
        if maps is not None and maps.any():
            inner = _Keys.at(block, place[maps], size[maps], within[maps])
            for one, name in self._named(block, inner, self._maps):
                self._maps[one] = f"{name}/"
            depth, within, end = depth.copy(), within.copy(), end.copy()
            outer[depth[maps], row[maps], 0] = left[maps]
            outer[depth[maps], row[maps], 1] = within[maps].view(np.int64)
            depth[maps] += 1
            within[maps] = inner.hash
            left[maps], heads = map_sizes(block, inner.end)
            end[maps] = inner.end + heads
        return _Cursors(row, end, stop, left, within, depth)

    def _numbered(self, block: Octets, keys: _Keys) -> Ints:
        """The numbers of *keys*; -1 for a key whose column has the same name as that of another key."""
        place = np.searchsorted(self._hashes, keys.hash)
        unknown = self._hashes[np.minimum(place, len(self._hashes) - 1)] != keys.hash
        if unknown.any():
            for one, name in self._named(block, keys.take(unknown), self._numbers):
                self._numbers[one] = -1 if name in self._names else len(self._names)
                self._names.setdefault(name)
            self._hashes = np.array(sorted(self._numbers), np.uint64)
            self._order = np.array([self._numbers[one] for one in self._hashes.tolist()], np.int64)
            place = np.searchsorted(self._hashes, keys.hash)
        return self._order[place]

    def _named(self, block: Octets, keys: _Keys, known: Container[int]) -> Iterator[tuple[int, str]]:
        """Yield the hash and the column of those of *keys* that are not *known*, each key once."""
        hashes, first = np.unique(keys.hash, return_index=True)
        for one, i in zip(hashes.tolist(), first.tolist(), strict=True):
            if one not in known:
                text = block[keys.start[i] : keys.end[i]].tobytes().decode("utf-8", "surrogateescape")
                yield one, self._maps[int(keys.within[i])] + text


def _short(values: Ints, limit: int) -> npt.NDArray[Any]:
    """*values* in a type that numpy sorts fast, if that type can hold all numbers below *limit*."""
    return values.astype(np.int16) if limit <= 1 << 15 else values


@cache
def _odd_factors() -> Hashes:
    """Random odd numbers, two each for every word, the map and the size; they differ in each process."""
    return np.frombuffer(os.urandom(16 * (_WORDS + 2)), np.uint64).reshape(-1, 2) | np.uint64(1)


def _mixed(values: Hashes, odd: Hashes) -> Hashes:
    """Mix the hashes *values* in place with two odd numbers, and return them; different values stay different."""
    values *= odd[0]
    values ^= values >> np.uint64(32)
    values *= odd[1]
    return values


def _hashes(block: Octets, start: Ints, size: Ints, within: Hashes) -> Hashes:
    """The hashes of the keys of *size* bytes at *start*, in the maps with the hashes *within*."""
    words, odd = overlapping(block, "<u8"), _odd_factors()
    found = _mixed(within.copy(), odd[-1])
    found += size.view(np.uint64) * odd[-2, 0]
    for i in range(-(-int(size.max(initial=0)) // 8)):
        word = words[np.minimum(start, len(words) - 1)]
        word &= _OF_KEY[i][size]
        found += _mixed(word, odd[i])
        start = start + 8
    return found


def _hash_of(path: Sequence[bytes]) -> int:
    """The hash of the last key of *path*, in nested maps under the keys before it."""
    found: Hashes = np.full(1, _ROOT, np.uint64)
    for key in path:
        block = np.frombuffer(key + bytes(16), np.uint8)
        found = _hashes(block, np.zeros(1, np.int64), np.array([len(key)]), found)
    return int(found[0])


def _paths(name: str) -> Iterator[tuple[str, ...]]:
    """Yield every path of keys through nested maps whose column has this name."""
    yield (name,)
    for i, letter in enumerate(name):
        if letter == "/":
            yield from ((name[:i], *rest) for rest in _paths(name[i + 1 :]))


def map_sizes(block: Octets, at: Ints) -> tuple[Ints, Ints]:
    """The number of entries of the maps at the bytes *at*, -1 where there is no map, and the sizes of their heads."""
    marker = block[at]
    size = np.where((marker & 0xF0) == 0x80, (marker & 0x0F).astype(np.int64), -1)
    head = np.ones(len(at), np.int64)
    if (long := marker == 0xDE).any():
        size[long] = overlapping(block, ">u2")[at[long] + 1]
        head[long] = 3
    return size, head


def _ends_of(block: Octets, at: Ints, marker: Octets, stop: Ints) -> Ints:
    """The ends of values at the bytes *at* whose markers do not give their widths; -1 for values that are refused."""
    end = np.full(len(at), -1)
    for one in np.unique(marker).tolist():
        which = marker == one
        places, stops = at[which], stop[which]
        if one in LENGTHS:
            width = LENGTHS[one]
            end[which] = places + 1 + width + overlapping(block, f">u{width}")[places + 1].astype(np.int64)
        elif one == 0xDC:
            end[which] = _list_ends(block, places + 3, overlapping(block, ">u2")[places + 1].astype(np.int64), stops)
        elif 0x90 <= one < 0xA0:
            end[which] = _list_ends(block, places + 1, np.full(len(places), one & 0x0F), stops)
        elif one == 0x80:
            end[which] = places + 1
    return end


def _list_ends(block: Octets, at: Ints, size: Ints, stop: Ints) -> Ints:
    """The ends of lists whose values begin at the bytes *at*; -1 for lists whose values are not all of one width."""
    width = _WIDTHS[block[at]] * (size > 0)
    end = at + size * width
    end[(end > stop) | ((width == 0) & (size > 0))] = -1
    shapes = np.unique(np.stack([size, width])[:, end > at], axis=1).T
    for n, w in shapes[:_MOST_LISTS].tolist():
        which = np.flatnonzero((size == n) & (width == w) & (end > at))
        values = overlapping(block, f"V{n * w}")[at[which]].view(np.uint8).reshape(-1, n, w)
        end[which[(_WIDTHS[values[:, :, 0]] != w).any(axis=1)]] = -1
    for n, w in shapes[_MOST_LISTS:].tolist():
        end[(size == n) & (width == w)] = -1
    return end
