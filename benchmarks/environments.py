"""The cost of recording environments: a step with each wrapper, as a ratio to the bare environment."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Scale, in_child, scratch
from benchmarks.report import Table, ratio

__all__ = ["batched", "stepped", "tables"]

DISTRIBUTIONS = {"gymnasium", "mujoco"}
_PEER, _OURS = "RecordEpisodeStatistics", "trainlog"
_WRAPPERS = (_PEER, _OURS)
_BLOCK = 50  # steps
# The environment's name in Gymnasium and the number of environments; 0 means one that is not a vector.
_CASES = (("CartPole-v1", 0), ("CartPole-v1", 64), ("HalfCheetah-v5", 0), ("HalfCheetah-v5", 8))


def stepped(name: str, count: int, wrapper: str, folder: str, steps: int) -> dict[str, Any]:
    """Step an environment *steps* times: µs and bytes per step, µs without the wrapper, returns of ended episodes.

    Blocks of steps with and without the wrapper take turns, so that a busy machine slows down both.
    """
    import gymnasium

    import trainlog
    from trainlog.gymnasium import RecordRun, RecordVectorRun

    path = Path(folder) / f"{name}-{count}-{wrapper}.flog"
    log = trainlog.TrainingRecorder(path, overwrite=True)

    def make() -> Any:
        return gymnasium.make_vec(name, num_envs=count, vectorization_mode="sync") if count else gymnasium.make(name)

    bare, env = make(), make()
    if wrapper == _PEER:
        kinds = gymnasium.wrappers.vector if count else gymnasium.wrappers
        env = kinds.RecordEpisodeStatistics(env)
    elif wrapper == _OURS:
        env = RecordVectorRun(env, log) if count else RecordRun(env, log)
    bare.reset(seed=1)
    env.reset(seed=1)
    env.action_space.seed(1)
    actions = [env.action_space.sample() for _ in range(steps)]
    said: list[float] = []

    def run(env: Any, actions: Sequence[Any], *, tells: bool) -> float:
        began = time.perf_counter()
        for action in actions:
            _, _, terminated, truncated, info = env.step(action)
            if not count and (terminated or truncated):
                if tells:
                    said.append(float(info["episode"]["r"]))
                env.reset()
            elif count and tells and (done := terminated | truncated).any():
                said.extend(info["episode"]["r"][done].tolist())
        return (time.perf_counter() - began) / len(actions)

    blocks = [actions[at : at + _BLOCK] for at in range(0, steps, _BLOCK)]
    times = [(run(bare, block, tells=False), run(env, block, tells=wrapper == _PEER)) for block in blocks]
    log.close()
    env.close()
    bare.close()
    if wrapper == _OURS:
        said = [one.total_reward for one in trainlog.episodes(path) if one.complete]
    alone, wrapped = (statistics.median(column) * 1e6 for column in zip(*times, strict=True))
    return {"time": wrapped, "bare": alone, "size": path.stat().st_size / steps, "returns": sorted(said)}


def batched(count: int, folder: str, steps: int) -> dict[str, float]:
    """µs to record a step of *count* environments with 17 numbers each: in one frame, and in a frame for each."""
    import trainlog

    obs, reward, no = np.random.default_rng(1).normal(size=(count, 17)), np.ones(count), np.zeros(count, bool)

    def timed(step: Callable[[], object]) -> float:
        step()
        taken = []
        for _ in range(steps):
            began = time.perf_counter()
            step()
            taken.append(time.perf_counter() - began)
        return statistics.median(taken) * 1e6

    def each() -> None:
        for env in range(count):
            row = {"step": 1, "env": env, "reward": 1.0, "terminated": False, "truncated": False, "obs": obs[env]}
            log.record_creature_frame(None, row)

    with trainlog.TrainingRecorder(Path(folder) / "batched.flog", overwrite=True) as log:
        vector = log.vector(count)
        one = timed(lambda: vector.step(reward, no, no, obs=obs))
        return {"one frame": one, "a frame for each": timed(each)}


def tables(scale: Scale) -> Iterator[Table]:
    """The wrappers, and the batched frame."""
    yield _wrappers(scale)
    yield _batched(scale)


def _wrappers(scale: Scale) -> Table:
    steps = scale.rows // 10
    table = Table(
        "Recording environments with wrappers",
        f"µs per step of the environment, or of the whole vector (sync), {steps:,} random steps in turns with the bare "
        f"environment, each run in a fresh process; the median of blocks of {_BLOCK} steps, and that of {scale.passes} "
        "runs whose ratio *to bare* is the median. trainlog records every step with its observation and action; "
        "Gymnasium's own *RecordEpisodeStatistics*, to bare, keeps only returns and lengths, in memory. *Checked*: the "
        "returns of the episodes that trainlog reads back are those that RecordEpisodeStatistics gives.",
        ["environment", "bare", "with trainlog", "to bare", "RecordEpisodeStatistics", "bytes per step", "checked"],
        words=frozenset([6]),
    )
    for name, count in _CASES:
        label = f"{name}, {count} at once" if count else name
        if find_spec("gymnasium") is None or (name.startswith("Half") and find_spec("mujoco") is None):
            table.rows.append([label, "not installed"])
            continue
        with scratch() as folder:
            where = {"name": name, "count": count, "folder": str(folder), "steps": steps}
            runs = [
                {wrapper: in_child(stepped, wrapper=wrapper, **where) for wrapper in _WRAPPERS}
                for _ in range(scale.passes)
            ]
        peer, ours = (
            sorted((run[wrapper] for run in runs), key=lambda one: one["time"] / one["bare"])[len(runs) // 2]
            for wrapper in _WRAPPERS
        )
        table.rows.append(
            [
                *(label, f"{ours['bare']:.1f}", f"{ours['time']:.1f}", ratio(ours["time"], ours["bare"])),
                *(ratio(peer["time"], peer["bare"]), f"{ours['size']:,.0f}"),
                _checked([(run[_PEER], run[_OURS]) for run in runs]),
            ]
        )
    return table


def _checked(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    if all(peer["returns"] == ours["returns"] for peer, ours in pairs):
        return f"{len(pairs[0][0]['returns']):,} episodes"
    return "failed: the returns differ"


def _batched(scale: Scale) -> Table:
    table = Table(
        "Recording a step of several environments",
        "µs for one step of all environments, each with 17 observed numbers: the median of many.",
        ["environments", "one frame, log.vector", "a frame for each", "to one frame"],
    )
    for count in (8, 64, 512):
        with scratch() as folder:
            took = in_child(batched, count=count, folder=str(folder), steps=scale.rows // 40)
        one, each = took["one frame"], took["a frame for each"]
        table.rows.append([str(count), f"{one:.1f}", f"{each:.1f}", ratio(each, one)])
    return table
