"""The cost of recording the physics of HalfCheetah-v5, and what is left of it when the process is killed."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.measure import Killed, Scale, Unmeasured, in_child, scratch
from benchmarks.report import Table, ratio

__all__ = ["replayed", "simulated", "tables"]

DISTRIBUTIONS: Final = {"gymnasium", "h5py", "imageio-ffmpeg", "minari", "moviepy", "mujoco"}
EPISODE: Final = 200

Step = Callable[[Any], None]
Done = Callable[[], None]


class _Peer(NamedTuple):
    modules: tuple[str, ...]
    usage: str
    record: Callable[
        [Any, Path], tuple[Any, Step, Done]
    ]  # the environment, the function to call after a step, and the one to call at the end
    replay: Callable[[Path], int]  # how many steps can be shown again; raises if they differ from the original
    hint: str = ""  # how to install it, if that is not obvious


def _trainlog(every: int) -> Callable[[Any, Path], tuple[Any, Step, Done]]:
    def record(env: Any, folder: Path) -> tuple[Any, Step, Done]:
        import trainlog
        from trainlog.mujoco import StateRecorder

        log = trainlog.TrainingRecorder(folder / "run.flog", "HalfCheetah", "run")
        recorder = StateRecorder(log, env.unwrapped.model, env.unwrapped.data, every=every)

        def close() -> None:
            recorder.close()
            log.close()

        return env, lambda first: recorder.reset() if first else recorder.step(), close

    return record


def _replay_trainlog(folder: Path) -> int:
    from trainlog.mujoco import Replay, check

    replay = Replay(folder / "run.flog")
    result = check(replay)
    if result.divergences or result.gaps:
        raise ValueError(f"{result.divergences}, {result.gaps} gaps")
    return int(sum(replay.state(one.stop - 1).frame.data["state_step"] for one in replay.episodes))


def _savez(env: Any, folder: Path) -> tuple[Any, Step, Done]:
    """The version written by hand: the complete state in a list, one archive per episode."""
    import mujoco

    model, data, whole = env.unwrapped.model, env.unwrapped.data, int(mujoco.mjtState.mjSTATE_INTEGRATION)
    states: list[Any] = []
    size, files = mujoco.mj_stateSize(model, whole), iter(range(10**9))

    def close() -> None:
        if states:
            np.savez(folder / f"{next(files)}.npz", states=np.array(states))
            states.clear()

    def step(first: bool) -> None:
        if first:
            close()
        state = np.empty(size)
        mujoco.mj_getState(model, data, state, whole)
        states.append(state)

    return env, step, close


def _replay_savez(folder: Path) -> int:
    return sum(len(np.load(path)["states"]) - 1 for path in folder.glob("*.npz"))


def _minari(env: Any, folder: Path) -> tuple[Any, Step, Done]:
    os.environ["MINARI_DATASETS_PATH"] = str(folder)
    from minari import DataCollector

    collector = DataCollector(env, data_format="hdf5")

    def close() -> None:
        collector.create_dataset("bench/half-cheetah-v0", algorithm_name="random", description="a benchmark")

    return collector, lambda first: None, close


def _replay_minari(folder: Path) -> int:
    import h5py

    steps = 0
    for path in folder.rglob("main_data.hdf5"):
        with h5py.File(path, locking=False) as file:
            steps += sum(len(episode["actions"]) for episode in file.values())
    return steps


def _video(env: Any, folder: Path) -> tuple[Any, Step, Done]:
    import warnings

    from gymnasium.wrappers import RecordVideo

    warnings.simplefilter("ignore")
    wrapped = RecordVideo(env, str(folder), episode_trigger=lambda episode: True, disable_logger=True)
    return wrapped, lambda first: None, wrapped.close


def _replay_video(folder: Path) -> int:
    import imageio_ffmpeg

    return sum(imageio_ffmpeg.count_frames_and_secs(str(path))[0] - 1 for path in folder.glob("*.mp4"))


PEERS: Final[dict[str, _Peer]] = {
    "trainlog": _Peer(("mujoco",), "`StateRecorder`: the complete state at every step", _trainlog(1), _replay_trainlog),
    "trainlog, every 10": _Peer(
        ("mujoco",), "`StateRecorder(every=10)`: the steps in between are simulated", _trainlog(10), _replay_trainlog
    ),
    "numpy": _Peer(("mujoco",), "`mj_getState` into a list, `np.savez` after each episode", _savez, _replay_savez),
    "Minari": _Peer(
        ("minari", "h5py", "jax"), "`DataCollector`: observations, actions, rewards; no states", _minari, _replay_minari
    ),
    "RecordVideo": _Peer(
        ("moviepy", "imageio_ffmpeg"),
        "Gymnasium's: pictures of 480 × 480; no numbers",
        _video,
        _replay_video,
        " (beside the Pillow that the 3-D page needs: pip install --no-deps moviepy proglog decorator)",
    ),
}


def simulated(name: str, folder: str, steps: int, seconds: float, kill: bool) -> dict[str, float]:
    """Simulate, record by the peer *name*, and return the cost; or get killed as soon as the last step has returned.

    Episodes with and without the peer take turns, so that a busy machine slows down both.
    """
    if sys.platform == "linux":
        os.environ.setdefault("MUJOCO_GL", "egl")
    import gymnasium

    mode = {"render_mode": "rgb_array"} if name == "RecordVideo" else {}
    bare, own = (
        gymnasium.make("HalfCheetah-v5", max_episode_steps=EPISODE, disable_env_checker=True, **mode) for _ in range(2)
    )
    env, record, close = PEERS[name].record(own, Path(folder))
    actions = np.random.default_rng(0).uniform(-1, 1, (EPISODE, 6)).astype(np.float32)
    alone: list[float] = []
    recorded: list[float] = []
    done, began = 0, time.perf_counter()
    while done < steps and (kill or time.perf_counter() - began < seconds):
        part = actions[: steps - done]
        if not kill:
            alone.append(_episode(bare, part, done, lambda first: None))
        recorded.append(_episode(env, part, done, record))
        done += len(part)
    if kill:
        os.kill(os.getpid(), signal.SIGKILL)
    began = time.perf_counter()
    close()
    closing = (time.perf_counter() - began) / done
    size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    own_time, bare_time = (statistics.median(times) for times in (recorded, alone))
    return {"steps": done, "whole": (own_time + closing) * 1e6, "bare": bare_time * 1e6, "size": size / done}


def _episode(env: Any, actions: Any, seed: int, record: Step) -> float:
    """Seconds per step of an episode."""
    began = time.perf_counter()
    env.reset(seed=seed)
    record(True)
    for action in actions:
        env.step(action)
        record(False)
    return (time.perf_counter() - began) / len(actions)


def replayed(name: str, folder: str) -> int:
    """How many steps the peer's log shows again."""
    return PEERS[name].replay(Path(folder))


def tables(scale: Scale) -> Iterator[Table]:
    """One table."""
    killed = EPISODE * 2 + EPISODE // 2
    table = Table(
        "Physics: recording HalfCheetah-v5",
        f"µs per step, at most {scale.rows:,} steps in episodes of {EPISODE} (fewer if that would take more than "
        f"{4 * scale.seconds:g} s), in turns with episodes of the environment alone, a fresh process each; the median "
        f"of the episodes, and that of {scale.passes} runs whose ratio *to bare* is the median. *Costs*: the time "
        "beyond that of the environment alone, until the file is closed. *To bare*: a recorded step to one of the "
        "environment alone. *Shows again*: steps that can be replayed from the file; for trainlog, simulated from each "
        f"state to the next, equal in every bit. *After SIGKILL*: of {killed:,} steps. The episodes of numpy, Minari "
        "and RecordVideo are in memory until they end.",
        [
            *("peer", "µs per step", "costs", "to trainlog", "to bare", "bytes per step", "shows again"),
            *("after SIGKILL", "usage"),
        ],
        words=frozenset([6, 8]),
    )
    results = {name: _measured(name, scale, killed) for name in PEERS}
    own = results["trainlog"]
    base = float("nan") if isinstance(own, str) else own["whole"] - own["bare"]
    for name, one in PEERS.items():
        found = results[name]
        if isinstance(found, str):
            table.rows.append([name, *["—"] * 5, found, "—", one.usage])
            continue
        cost = found["whole"] - found["bare"]
        row = [name, f"{found['whole']:,.1f}", f"{cost:,.1f}", ratio(cost, base), ratio(found["whole"], found["bare"])]
        row += [f"{found['size']:,.0f}", f"{found['again']:,} of {found['steps']:,}", f"{found['left']:,}", one.usage]
        table.rows.append(row)
    yield table


def _measured(name: str, scale: Scale, killed: int) -> dict[str, Any] | str:
    """The figures of a peer, or why there are none."""
    missing = [module for module in ("gymnasium", *PEERS[name].modules) if find_spec(module) is None]
    if missing:
        return f"not installed: {', '.join(missing)}{PEERS[name].hint}"
    runs = []
    try:
        for _ in range(scale.passes):
            with scratch() as folder:
                where = {"name": name, "folder": str(folder)}
                runs.append(in_child(simulated, **where, steps=scale.rows, seconds=scale.seconds * 4, kill=False))
                runs[-1]["again"] = in_child(replayed, **where)
        found: dict[str, Any] = sorted(runs, key=lambda run: run["whole"] / run["bare"])[len(runs) // 2]
        with scratch() as folder:
            where = {"name": name, "folder": str(folder)}
            try:
                in_child(simulated, **where, steps=killed, seconds=0.0, kill=True)
            except Killed:
                found["left"] = in_child(replayed, **where)
    except Unmeasured as error:
        return f"failed: {error}"
    return found
