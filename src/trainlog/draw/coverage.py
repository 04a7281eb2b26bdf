"""The share of each pixel that a shape covers.

A shape is cut into vertical slices, a few for each column of pixels. In the middle of a slice it is a set of exact
intervals: the union of what the segments of a line and their round ends cover, or the inside of a polygon. Shares of
pixels are sums over the ends of these intervals, so that the work grows with the outline of a shape and with the pixels
that it covers, not with the number of slices.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainlog.draw.drawing import Box, FloatArray, IntArray

__all__ = ["FULL", "Tile", "polygon_tiles", "stroke_tiles"]

FULL: Final = 256
"""The coverage of a fully covered pixel."""

_TILE: Final = 64  # pixel columns
_CHUNK: Final = 1 << 18  # slices of segments that are processed together
_NEVER_ZERO: Final = 1e-12
_UNIT: Final = 1 << 16  # the coverage of a full pixel while it is summed up


class Tile(NamedTuple):
    """The coverage of a part of a picture.

    Attributes:
        x, y: the place of its upper left pixel.
        coverage: from 0 to `FULL`, uint16 of shape (height, width).

    """

    x: int
    y: int
    coverage: NDArray[np.uint16]


class _Ends(NamedTuple):
    """Where the shape begins (sign 1) and ends (sign -1) in slices, with y downwards; each of shape (n,)."""

    slice: IntArray
    y: FloatArray
    sign: IntArray


def stroke_tiles(
    lines: Sequence[FloatArray], width: float, clip: Box, slices: int, is_round: bool = True
) -> Iterator[Tile]:
    """The coverage of a stroke through points (n, 2) of each line, in pixels, within *clip*.

    Args:
        lines: lines of one point or more; a single point is a disc.
        width: the width of the stroke in pixels.
        clip: the visible part.
        slices: the number of slices per column of pixels.
        is_round: whether the ends are round; joints always are.

    """
    if lines:
        yield from _tiles(_stroke_ends(lines, width / 2, clip, slices, is_round), clip, slices)


def polygon_tiles(rings: Sequence[FloatArray], clip: Box, slices: int) -> Iterator[Tile]:
    """The coverage of the inside of rings of points (n, 2), in pixels, which close by themselves, within *clip*."""
    if not rings:
        return
    begin = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    first, last = (np.ceil(np.fmin(np.fmax(part[:, 0], clip.x), clip.right) * slices - 0.5) for part in (begin, end))
    counts = np.abs(last - first).astype(np.intp)
    edge = np.repeat(np.arange(len(counts)), counts)
    place = np.minimum(first, last).astype(np.intp)[edge] + _places(counts)
    run = end - begin
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = run[:, 1] / run[:, 0]
    y = begin[edge, 1] + ((place + 0.5) / slices - begin[edge, 0]) * slope[edge]
    order = np.argsort(place, kind="stable")
    sign = np.where(last > first, 1, -1)[edge]
    yield from _tiles(_Ends(place[order], y[order], sign[order]), clip, slices)


def _places(counts: IntArray) -> IntArray:
    """0, 1, ... for each count, one after another."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def _stroke_ends(lines: Sequence[FloatArray], radius: float, clip: Box, slices: int, is_round: bool) -> _Ends:
    points = np.concatenate(lines)
    is_last = np.zeros(len(points), np.bool_)
    is_last[np.cumsum([len(line) for line in lines]) - 1] = True
    step = np.diff(points, axis=0, append=points[-1:])
    step[is_last] = 0.0
    is_disc = np.ones(len(points), np.bool_)
    if not is_round:  # those inside a line remain
        is_disc = ~is_last
        is_disc[1:] &= ~is_last[:-1]
        is_disc[0] = False
    # A run goes to the right or to the left. It covers one interval of a slice.
    direction = np.sign(step[:, 0])
    known = np.maximum.accumulate(np.where((direction != 0) | is_last, np.arange(len(points)), 0))
    turns = direction[known[1:]] * direction[known[:-1]] < 0
    run = np.concatenate(([0], np.cumsum(turns | is_last[:-1])))
    left = points[:, 0] + np.minimum(step[:, 0], 0.0) - radius
    right = points[:, 0] + np.maximum(step[:, 0], 0.0) + radius
    first = np.ceil(np.clip(left, clip.x, clip.right) * slices - 0.5).astype(np.intp)
    counts = np.ceil(np.clip(right, clip.x, clip.right) * slices - 0.5).astype(np.intp) - first
    bounds = np.searchsorted(np.cumsum(counts), np.arange(0, counts.sum(), _CHUNK), side="right")
    found = []
    for begin, end in itertools.pairwise([*bounds.tolist(), len(points)]):
        part = slice(begin, end)
        capsules = _capsules(points[part], step[part], radius, is_disc[part], first[part], counts[part], slices)
        found.append(_united(*_joined(run[part] - run[begin], first[part], counts[part], *capsules)))
    if not found:
        return _Ends(np.empty(0, np.intp), np.empty(0), np.empty(0, np.intp))
    place, top, bottom = _united(*map(np.concatenate, zip(*found, strict=True)))
    ends = np.stack((top, bottom), axis=1).reshape(-1)
    return _Ends(np.repeat(place, 2).astype(np.intp), ends, np.tile(np.array([1, -1]), len(top)))


def _capsules(
    points: FloatArray,
    step: FloatArray,
    radius: float,
    is_disc: NDArray[np.bool_],
    first: IntArray,
    counts: IntArray,
    slices: int,
) -> tuple[FloatArray, FloatArray]:
    """The top and the bottom of each segment, and of the disc around its first point, in each of its slices.

    If a slice has no part of a segment, they are infinite, and the top is below the bottom.
    """
    length = np.hypot(step[:, 0], step[:, 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.where(length[:, None] > 0, step / length[:, None], 0.0)
    along = np.where(np.abs(along) < _NEVER_ZERO, _NEVER_ZERO, along)
    # The band between two lines parallel to the segment, and the band between the lines across its ends.
    slope, reach = along[:, 1] / along[:, 0], radius / np.abs(along[:, 0])
    across, extent = -along[:, 0] / along[:, 1], length / along[:, 1]
    nearer, farther = np.minimum(extent, 0.0), np.maximum(extent, 0.0)
    offset = (np.repeat(first, counts) + _places(counts) + 0.5) / slices - np.repeat(points[:, 0], counts)

    def each(values: FloatArray) -> FloatArray:
        return np.repeat(values, counts)

    middle, cut, reach = offset * each(slope), offset * each(across), each(reach)
    top = np.maximum(middle - reach, cut + each(nearer))
    bottom = np.minimum(middle + reach, cut + each(farther))
    empty = top >= bottom
    top[empty], bottom[empty] = np.inf, -np.inf
    half = np.sqrt(np.maximum(radius**2 - offset**2, 0.0))
    half[(half == 0) | ~np.repeat(is_disc, counts)] = -np.inf
    y = np.repeat(points[:, 1], counts)
    return np.minimum(top, -half) + y, np.maximum(bottom, half) + y


def _joined(
    run: IntArray, first: IntArray, counts: IntArray, top: FloatArray, bottom: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """One interval for each run and slice, instead of one for each segment and slice."""
    begins = np.flatnonzero(np.diff(run, prepend=-1))
    lowest = np.minimum.reduceat(first, begins)
    sizes = np.maximum.reduceat(first + counts, begins) - lowest
    offset = np.cumsum(sizes) - sizes
    key = np.repeat((offset - lowest)[run] + first, counts) + _places(counts)
    tops, bottoms = np.full(sizes.sum(), np.inf), np.full(sizes.sum(), -np.inf)
    np.minimum.at(tops, key, top)
    np.maximum.at(bottoms, key, bottom)
    kept = tops < bottoms
    place = np.repeat(lowest, sizes) + _places(sizes)
    return place[kept], tops[kept], bottoms[kept]


def _united(place: IntArray, top: FloatArray, bottom: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """The intervals merged so that no two of a slice overlap, sorted by slice."""
    if not len(place) or (place[1:] > place[:-1]).all():
        return place, top, bottom
    lowest = top.min()
    apart = bottom.max() - lowest + 1  # each slice is moved below the previous one
    move = (place - place.min()) * apart - lowest
    order = np.argsort(top + move, kind="stable")
    place, move, top = place[order], move[order], top[order]
    reached = np.maximum.accumulate(bottom[order] + move)
    begins = np.flatnonzero(np.concatenate(([True], top[1:] + move[1:] > reached[:-1])))
    ends = np.append(begins[1:], len(place)) - 1
    return place[begins], top[begins], reached[ends] - move[ends]


def _tiles(ends: _Ends, clip: Box, slices: int) -> Iterator[Tile]:
    """The coverage of a shape given by its begins and ends in slices, which are sorted."""
    if not len(ends.slice):
        return
    y = np.clip(ends.y, clip.y, clip.bottom)
    column, row = ends.slice // slices, np.floor(y).astype(np.intp)
    tile = (column - column[0]) // _TILE
    begins = np.flatnonzero(np.diff(tile, prepend=-1))
    of_tile = np.cumsum(np.diff(tile, prepend=-1) > 0) - 1
    left, right = column[begins], column[np.append(begins[1:], len(column)) - 1] + 1
    top, bottom = np.minimum.reduceat(row, begins), np.ceil(np.maximum.reduceat(y, begins)).astype(np.intp)
    # The sums of all columns of all tiles, one after another. Each column ends with zero, and an end at the lower
    # edge of a tile counts in the two rows below it.
    height, width = bottom - top + 2, right - left
    offset = np.cumsum(width * height) - width * height
    sums = np.zeros(int(offset[-1] + width[-1] * height[-1]) + 1, np.int32)
    place = offset[of_tile] + (column - left[of_tile]) * height[of_tile] + row - top[of_tile]
    unit = _UNIT // slices
    below = np.rint((y - row) * unit).astype(np.int32)  # how much less this row is covered than the next
    sign = ends.sign.astype(np.int32)
    np.add.at(sums, place, (unit - below) * sign)
    np.add.at(sums, place + 1, below * sign)
    np.cumsum(sums, out=sums)
    np.abs(sums, out=sums)
    sums += FULL // 2
    np.minimum(sums, _UNIT, out=sums)
    sums >>= 8
    coverage = sums.astype(np.uint16)
    bounds = zip(*(one.tolist() for one in (left, top, width, height, offset)), strict=True)
    for x, first, across, down, start in bounds:
        if down > 2:  # otherwise it is above or below the visible part, or on the edge
            yield Tile(x, first, coverage[start : start + across * down].reshape(across, down).T[:-2])
