"""Pictures of a robot's motion: footfalls, joint angles, phases of joints, the approach to a ball."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from trainlog.conventions import SIMULATED_MODEL, AxisName
from trainlog.draw import Chart, Grid, Line, StateTimeline, VLine
from trainlog.draw.theme import find_theme
from trainlog.model import Kind
from trainlog.plot.axes import Axis, Floats
from trainlog.plot.behavior import episode_rows
from trainlog.plot.picture import Block, Picture
from trainlog.plot.run import Run

__all__ = ["motion_pictures"]

_CONTACT: Final = re.compile(r"(^|[/_.])(foot|feet|contacts?|touch)([/_.]|$)", re.IGNORECASE)
_FRAMES: Final = 300  # of a motion, so that single strides are visible
_PAUSE: Final = 10  # times the usual distance between two frames
_MAX_FEET: Final = 8
_RARE: Final = 8  # contacts logged more rarely than once in this many states show no strides
_MAX_JOINTS: Final = 24
_COLUMNS: Final = 4
_FREE_POSITION, _FREE_VELOCITY = 7, 6  # coordinates of a free joint


def motion_pictures(run: Run, title: str, theme: str) -> Iterator[Picture]:
    """Yield the pictures that the log has data for, of the last frames of a single episode."""
    run = run.one_environment
    for picture in (_footfalls(run, title, theme), *_joints(run, title, theme), _approach(run, title, theme)):
        if picture is not None:
            yield picture


def _axis(run: Run, kind: Kind) -> Axis:
    """Simulated time if it was logged, otherwise steps."""
    order: tuple[AxisName, ...] = ("sim_time", "step", "time")
    known = [name for name in order if run.has_axis(kind, name)]
    return run.axis(kind, known[0])


def _last_frames(run: Run, kind: Kind, axis: Axis) -> tuple[slice, Floats, str]:
    """The last frames without a pause in the last episode that is long enough, their places on the axis, and a note."""
    x = run.axis_values(kind, axis.name)
    rows = len(x)
    keys = run.conventions.position(run.columns(kind).sample) if kind == Kind.CREATURE else ()
    starts = episode_rows(run, *(run.place(keys) if keys else ())) if kind == Kind.CREATURE else [0]
    episodes = list(itertools.pairwise([*starts, rows]))
    enough = min(_FRAMES // 4, max(stop - first for first, stop in episodes))
    first, stop = next((first, stop) for first, stop in reversed(episodes) if stop - first >= enough)
    start = max(stop - _FRAMES, first)
    known = start + np.flatnonzero(np.isfinite(x[start:stop]))
    steps = np.diff(x[known])
    if len(steps) and len(breaks := known[1:][(steps < 0) | (steps > _PAUSE * np.median(steps))]):
        start = int(breaks[-1])
    x = x[start:stop]
    which = f"the last {stop - start:,} of {rows:,} frames"
    if stop < rows:
        which = f"frames {start + 1:,} to {stop:,} of {rows:,}"
    notes = [run.part, which if stop - start < rows else ""]
    distances = np.diff(x)
    if len(distances := distances[np.isfinite(distances)]):
        distance = f"{np.median(distances):,.4g}"
        notes.append(f"a frame every {distance} {'s' if axis.unit == 's' else 'steps'}" if distance != "1" else "")
    if axis.unit == "s" and len(x) and x[0]:
        notes.append(f"from {x[0]:,.6g} s on")
        x = x - x[0]
    return slice(start, stop), x, "; ".join(filter(None, notes))


def _footfalls(run: Run, title: str, theme: str) -> Picture | None:
    """The footfall diagram of Hildebrand, "Symmetrical Gaits of Horses", 1965: bars while a foot is on the ground."""
    for kind in (Kind.CREATURE, Kind.STATS):
        often = run.columns(kind).table.rows * _RARE >= run.columns(Kind.CREATURE).table.rows
        if often and (feet := _contacts(run, kind)):
            axis = _axis(run, kind)
            rows, x, caption = _last_frames(run, kind, axis)
            marks, blocks = [], []
            for name, values in list(feet.items())[:_MAX_FEET]:
                words = np.array([("down" if value else None) if np.isfinite(value) else "unknown" for value in values])
                colors = {"down": find_theme(theme).text, "unknown": find_theme(theme).missing}
                marks.append(StateTimeline(x, words[rows], colors, name))
                blocks.append(Block(name, {axis.name: x, "value": values[rows]}))
            notes = [caption, "shorter contacts than that of a frame cannot be seen"]
            chart = Chart(
                title=title,
                x_label=axis.label,
                x_unit=axis.unit,
                marks=marks,
                caption="; ".join(filter(None, notes)),
            )
            return Picture("footfalls", "feet on the ground", chart, blocks=tuple(blocks))
    return None


def _contacts(run: Run, kind: Kind) -> dict[str, Floats]:
    """The contact of each foot, 1 or 0, by its name; empty if fewer than two feet are known."""
    columns, found = run.columns(kind), dict[str, Floats]()
    for key in columns.table:
        if not _CONTACT.search(key):
            continue
        values: dict[str, Floats] = {}
        if (stored := columns.table[key]).ndim == 2:
            values = {f"{key}[{n}]": columns.numbers(key, n) for n in range(min(stored.shape[1], _MAX_FEET))}
        elif columns.is_number(key):
            values = {key: columns.numbers(key)}
        for name, column in values.items():
            finite = column[np.isfinite(column)]
            if len(finite) and ((finite == 0) | (finite == 1)).all():
                found[name] = column
    return found if len(found) > 1 and any(np.nanmax(one) > np.nanmin(one) for one in found.values()) else {}


class _Joint(NamedTuple):
    name: str
    angle: Floats
    velocity: Floats | None


def _joints(run: Run, title: str, theme: str) -> Iterator[Picture | None]:
    """The angle of each joint over time, and its velocity over its angle."""
    kind, color = Kind.CREATURE, find_theme(theme).palette[0]
    joints = list(_joints_of(run))
    if not joints:
        return
    axis = _axis(run, kind)
    rows, x, caption = _last_frames(run, kind, axis)
    hidden = len(joints) - _MAX_JOINTS
    notes = [caption, f"{hidden} joints are not shown" if hidden > 0 else ""]
    shown = [joint for joint in joints[:_MAX_JOINTS] if np.ptp(joint.angle[rows][np.isfinite(joint.angle[rows])]) > 0]
    if not shown:
        return
    columns = min(_COLUMNS, len(shown))
    size = columns, -(-len(shown) // columns)
    text = "; ".join(filter(None, notes))
    angles = [
        Chart(
            title=joint.name,
            x_label=axis.label,
            x_unit=axis.unit,
            marks=_unwrapped(x, joint.angle[rows], joint.angle[rows], color, 1.75),
        )
        for joint in shown
    ]
    blocks = [Block(joint.name, {axis.name: x, "angle": joint.angle[rows]}) for joint in shown]
    grid = Grid(angles, columns, f"{title}: joint positions", caption=text)
    yield Picture("joints", "joint positions", grid, "", tuple(blocks), *size)
    if all(joint.velocity is not None for joint in shown):
        phases = [
            Chart(
                title=joint.name,
                x_label="position",
                y_label="velocity",
                marks=_unwrapped(joint.angle[rows], joint.velocity[rows], joint.angle[rows], color, 1.0),
            )
            for joint in shown
            if joint.velocity is not None
        ]
        grid = Grid(phases, columns, f"{title}: phases of the joints", caption=text)
        yield Picture("phases", "phases of the joints", grid, "", (), *size)


def _unwrapped(x: Floats, y: Floats, angle: Floats, color: str, width: float) -> list[Line]:
    """A path in parts, without a line where the angle jumps by more than half a turn, from one end to the other."""
    breaks = np.flatnonzero(np.abs(np.diff(angle)) > np.pi) + 1
    if len(breaks) > len(x) // 4:  # not an angle in radians
        breaks = breaks[:0]
    parts = itertools.pairwise([0, *breaks.tolist(), len(x)])
    return [Line(x[a:b], y[a:b], "", color, width) for a, b in parts]


def _joints_of(run: Run) -> Iterator[_Joint]:
    """The joints, with their names in the log, or else their numbers."""
    columns = run.columns(Kind.CREATURE)
    position = run.conventions.qpos(columns.table, lambda key: columns.parts(key) > 0)
    if position is None:
        yield from _declared_joints(run)
        return
    velocity = run.conventions.qvel(columns.table, lambda key: columns.parts(key) > 0)
    count, moves = columns.parts(position), columns.parts(velocity) if velocity else 0
    sample = columns.sample.get(position, [])
    values = sample if isinstance(sample, list) else []
    first, first_move = (_FREE_POSITION, _FREE_VELOCITY) if _is_turn(values[3:7]) else (0, 0)
    if first and count - first != moves - first_move and _is_turn(values[-4:]):  # of another thing, such as a ball
        count, moves = count - _FREE_POSITION, moves - _FREE_VELOCITY
    pairs = velocity is not None and count - first == moves - first_move  # else some joints have several coordinates
    names = _names(run, position)
    for n in range(first, count):
        name = names[n] if n < len(names) else f"{position}[{n}]"
        speed = columns.numbers(velocity, n - first + first_move) if velocity is not None and pairs else None
        yield _Joint(name, columns.numbers(position, n), speed)


def _is_turn(values: Sequence[float]) -> bool:
    """Whether numbers are a unit quaternion."""
    return len(values) == 4 and abs(float(np.linalg.norm(values)) - 1) < 1e-2


def _declared_joints(run: Run) -> Iterator[_Joint]:
    """The angles that the header declares, each with the velocity of the same name."""
    columns = run.columns(Kind.CREATURE)
    states = {variable.name: variable.key for variable in run.reader.header.variables if variable.role == "state"}
    for name, key in states.items():
        if not name.startswith("angle") or key not in columns.table or not columns.is_number(key):
            continue
        words = (f"angular-{name}", f"angular-velocity-{name}", name.replace("angle", "angular-velocity", 1))
        speed = next((states[word] for word in words if word in states), None)
        known = speed is not None and speed in columns.table
        yield _Joint(name, columns.numbers(key), columns.numbers(speed) if speed and known else None)


def _names(run: Run, key: str) -> list[str]:
    """The names of the elements of a vector: from the last frame's model, or ``joint_names`` of the metadata."""
    from trainlog.mujoco.state import MODEL
    from trainlog.mujoco.stored_model import element_names_of

    table = run.columns(Kind.CREATURE).table
    if MODEL in table:
        names, _ = element_names_of(run.reader.frames(SIMULATED_MODEL)).get(str(table[MODEL].tolist()[-1]), ({}, {}))
        if key in names:
            return names[key]
    named = run.reader.header.meta.get("joint_names")
    count = run.columns(Kind.CREATURE).parts(key)
    return [""] * (count - len(named)) + list(map(str, named)) if isinstance(named, list) else []


def _approach(run: Run, title: str, theme: str) -> Picture | None:
    """The distance of the robot to each other object over time."""
    columns = run.columns(Kind.CREATURE)
    sample = columns.sample
    keys, objects = run.conventions.position(sample), run.conventions.objects(sample)
    if not keys or not objects:
        return None
    axis = run.axis(Kind.CREATURE, "step" if run.has_axis(Kind.CREATURE, "step") else "time")
    x = run.axis_values(Kind.CREATURE, axis.name)
    marks: list[Line | VLine] = []
    blocks: list[Block] = []
    place, palette = run.place(keys), find_theme(theme).palette
    episodes = list(itertools.pairwise([*episode_rows(run, *place), len(x)]))
    for name, key in objects.items():
        distance = np.hypot(*(np.subtract(a, b) for a, b in zip(place, run.place((key,)), strict=True)))
        color = palette[len(blocks) % len(palette)]
        marks += [Line(x[a:b], distance[a:b], name, color) for a, b in episodes]
        blocks.append(Block(name, {axis.name: x, "distance": distance}))
    if len(starts := run.episode_starts) > 1:
        marks.append(VLine(run.at(starts[1:], Kind.CREATURE, axis.name), "episode"))
    chart = Chart(
        title=title,
        x_label=axis.label,
        x_unit=axis.unit,
        y_label=f"distance to the {next(iter(objects))}" if len(objects) == 1 else "distance",
        y_unit="m",
        y_range=(0.0, None),
        marks=marks,
        caption=run.part,
    )
    return Picture("approach", "distance to other things", chart, blocks=tuple(blocks))
