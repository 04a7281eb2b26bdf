"""Train a MuJoCo creature to run, and record the training.

    pip install "trainlog[mujoco]"
    python examples/train_mujoco.py                        # HalfCheetah-v5, about 45 seconds
    python examples/train_mujoco.py --env Hopper-v5 --seed 3 --iterations 300

The learner is augmented random search, version 2 (Mania, Guy and Recht, 2018): a linear policy over normalised
observations, moved along the random directions with the best returns. It is plain numpy and uses no gradient.

The same seed gives the same log, except for its times.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from functools import wraps
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, NoReturn, cast

import numpy as np
import numpy.typing as npt

import trainlog
from trainlog.draw import Band, Chart, Line, StateTimeline, layout, moving_average, png, svg
from trainlog.mujoco import StateRecorder
from trainlog.plot import PlotOptions, runs_of, save_picture
from trainlog.plot import pictures as figures

FloatArray = npt.NDArray[np.float64]


def flag(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Args:
    env: str = flag("HalfCheetah-v5", "any Gymnasium MuJoCo environment with Box actions")
    seed: int = flag(0, "the same seed gives the same training")
    iterations: int = flag(180, "generations; the step size shrinks over them")
    horizon: int = flag(200, "maximum number of steps of a rollout; the environment may end it earlier")
    directions: int = flag(16, "random directions in a generation; each is tried forwards and backwards")
    elite: int = flag(8, "how many of the directions, the best, move the policy")
    step_size: float = flag(0.04, "how far a generation moves the policy, at first")
    noise: float = flag(0.05, "how far from the policy its variations are tried (sigma)")
    log_every: int = flag(10, "record the state every N steps of an evaluation; the others can be simulated from it")
    out: str = flag("", "folder for the log and the pictures; by default runs/demo-<env>-s<seed>-<time>")
    dashboard: bool = flag(True, "show the run in the browser while it trains; needs trainlog[server]")
    video: bool = flag(True, "render the best evaluation; needs OpenGL, and is skipped without it")

    def __post_init__(self) -> None:
        for each in fields(self):
            value, least = getattr(self, each.name), 0 if each.name == "seed" else 1
            if isinstance(value, int) and not isinstance(value, bool) and value < least:
                raise WrongUse(f"--{each.name.replace('_', '-')} is at least {least}, not {value}")
            if isinstance(value, float) and not 0 < value < np.inf:
                raise WrongUse(f"--{each.name.replace('_', '-')} is a number above 0, not {value}")
        if self.elite > self.directions:
            raise WrongUse(f"--elite chooses among --directions: {self.elite} of {self.directions} is too many")


class WrongUse(Exception):
    """An error that the user can correct; only its message is shown."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise WrongUse(f"{message} (--help lists the flags)")


def parse(argv: Sequence[str] | None) -> Args:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for each in fields(Args):
        name, shown = "--" + each.name.replace("_", "-"), each.metadata["help"]
        if isinstance(each.default, bool):
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=each.default, help=shown)
        else:
            shown += f" (default: {each.default})" if each.default != "" else ""
            parser.add_argument(name, type=type(each.default), default=each.default, help=shown)
    return Args(**vars(parser.parse_args(argv)))


# --- the creature -----------------------------------------------------------------------------------------------------


TASKS = {
    "HalfCheetah": "run forward",
    "Hopper": "hop forward",
    "Walker2d": "walk forward",
    "Ant": "walk forward",
    "Humanoid": "walk forward",
    "HumanoidStandup": "stand up",
    "Swimmer": "swim forward",
    "Reacher": "reach the target",
    "Pusher": "push the object to its goal",
    "InvertedPendulum": "balance the pole",
    "InvertedDoublePendulum": "balance both poles",
}

TORSO = 1  # body 0 is the world; the first body in it carries all the others of a creature
FLIPPED = 0.25  # a creature less upright than this lies on its back
GAITS = (("backward", -0.1), ("stand", 0.1), ("walk", 0.7), ("trot", 1.6), ("run", np.inf))


class Creature:
    """A Gymnasium MuJoCo environment, and measurements of the body in it."""

    def __init__(self, env_id: str, **options: Any) -> None:
        graphics = os.environ.pop("MUJOCO_GL", None)  # MuJoCo would load it now and may fail; nothing is drawn here
        try:
            import gymnasium
            import mujoco
        except ImportError as error:
            raise WrongUse(f'this needs Gymnasium and MuJoCo: pip install "trainlog[mujoco]" ({error})') from error
        finally:
            if graphics is not None:
                os.environ["MUJOCO_GL"] = graphics
        self.warnings: list[str] = []
        if hasattr(mujoco, "set_mju_user_warning"):  # else they go to a file MUJOCO_LOG.TXT in the current folder
            mujoco.set_mju_user_warning(self.warnings.append)
        try:
            self.env = gymnasium.make(env_id, disable_env_checker=True, **options)
        except (gymnasium.error.Error, ImportError) as error:
            raise WrongUse(f"--env {env_id}: {error}") from error
        self.warnings.clear()  # so far they were about the model's file

        self.simulation = cast(Any, self.env.unwrapped)
        spaces: tuple[Any, ...] = (self.env.observation_space, self.env.action_space)
        vectors = all(isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1 for space in spaces)
        if not vectors or not isinstance(getattr(self.simulation, "model", None), mujoco.MjModel):
            raise WrongUse(f"--env {env_id}: no MuJoCo environment with Box observations and actions")
        self.name = self.env.spec.name if self.env.spec else env_id
        self.inputs = int(spaces[0].shape[0])
        self.low, self.high = spaces[1].low.astype(np.float64), spaces[1].high.astype(np.float64)
        self.model, self.data, self.dt = self.simulation.model, self.simulation.data, float(self.simulation.dt)
        self._mujoco, self._copy = mujoco, mujoco.MjData(self.model)
        mujoco.mj_forward(self.model, self._copy)
        self.height = max(float(self._copy.xpos[TORSO, 2]), 0.1)

    def pose(self) -> dict[str, Any]:
        """The state as the data of a creature frame. Computed on a copy, so that it does not change the simulation."""
        self._copy.qpos[:], self._copy.qvel[:] = self.data.qpos, self.data.qvel
        self._mujoco.mj_forward(self.model, self._copy)
        velocity = np.zeros(6)  # angular, then linear
        frame = self._mujoco.mjtObj.mjOBJ_XBODY  # at the origin of the body, as x and y are
        self._mujoco.mj_objectVelocity(self.model, self._copy, frame, TORSO, velocity, 0)
        turn = self._copy.xmat[TORSO].reshape(3, 3)
        return {
            "pos": self._copy.qpos,
            "vel": self._copy.qvel,
            "com": self._copy.subtree_com[TORSO],
            "heading": np.arctan2(turn[1, 0], turn[0, 0]),
            "speed": np.hypot(velocity[3], velocity[4]),
            "x": self._copy.xpos[TORSO, 0],
            "y": self._copy.xpos[TORSO, 1],
            "upright": (1 + turn[2, 2]) / 2,
        }

    def behavior(self, velocity: float, upright: float) -> str:
        """A word for the gait. Animals of every size change their gait at the same speed over sqrt(g · height)."""
        pace = velocity / np.sqrt(9.81 * self.height)
        return "flipped" if upright < FLIPPED else next(gait for gait, limit in GAITS if pace < limit)


# --- the learner ------------------------------------------------------------------------------------------------------


Policy = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Rollout:
    reward: float
    distance: float  # of the torso along x, in metres
    steps: int
    terminated: bool
    observations: FloatArray


def rollout(creature: Creature, policy: Policy, start: int, env: Any = None) -> Rollout:
    """One episode from the random state *start*, in the creature's environment, or in *env*, a wrapper of it."""
    env = env or creature.env
    seen: list[Any] = []
    observation, _ = env.reset(seed=start)
    origin, reward, terminated, truncated = float(creature.data.xpos[TORSO, 0]), 0.0, False, False
    while not (terminated or truncated):
        seen.append(observation)
        observation, earned, terminated, truncated, _ = env.step(policy(observation))
        reward += float(earned)
    distance = float(creature.data.xpos[TORSO, 0]) - origin
    return Rollout(reward, distance, len(seen), terminated, np.array(seen))


class RandomSearch:
    def __init__(self, args: Args, creature: Creature, rng: np.random.Generator) -> None:
        self.args, self.creature, self.rng = args, creature, rng
        self.weights = np.zeros((len(creature.low), creature.inputs))
        self.directions = np.empty((0, *self.weights.shape))
        # Statistics of all observations so far. A small prior keeps the first deviations from being zero.
        self.count, self.mean = 0.01, np.zeros(creature.inputs)
        self.squares = np.full(creature.inputs, 0.01)
        self.step_size, self.update = args.step_size, 0.0
        bounded = np.isfinite(creature.low) & np.isfinite(creature.high)
        with np.errstate(invalid="ignore"):
            self.middle = np.where(bounded, (creature.high + creature.low) / 2, 0.0)
            self.unit = np.where(bounded, (creature.high - creature.low) / 2, 1.0)

    def policy(self, offset: FloatArray | float = 0.0) -> Policy:
        """The linear policy at *offset* from the current one, with the normalisation folded into its weights."""
        std = np.sqrt(self.squares / self.count)
        gain = self.unit[:, None] * (self.weights + offset) / np.where(std > 1e-7, std, np.inf)
        bias, low, high = self.middle - gain @ self.mean, self.creature.low, self.creature.high
        return lambda observation: np.minimum(np.maximum(gain @ observation + bias, low), high)

    def explore(self) -> list[Rollout]:
        """Try every direction both ways from the same start, so that the two differ only in the direction."""
        self.directions = self.rng.standard_normal((self.args.directions, *self.weights.shape))
        starts = self.rng.integers(2**31, size=len(self.directions)).tolist()
        return [
            rollout(self.creature, self.policy(sign * self.args.noise * direction), start)
            for direction, start in zip(self.directions, starts, strict=True)
            for sign in (1, -1)
        ]

    def learn(self, population: list[Rollout]) -> None:
        returns = np.array([each.reward for each in population]).reshape(-1, 2)
        elite = np.argsort(-returns.max(axis=1), kind="stable")[: self.args.elite]
        gains = (returns[elite, 0] - returns[elite, 1]) / (len(elite) * (returns[elite].std() + 1e-8))
        move = self.step_size * np.tensordot(gains, self.directions[elite], axes=1)
        self.weights, self.update = self.weights + move, float(np.linalg.norm(move))

        # Chan's formula: mean and squared deviations of two sets together, from those of each.
        seen = np.concatenate([each.observations for each in population])
        total, shift = self.count + len(seen), seen.mean(axis=0) - self.mean
        self.squares = self.squares + seen.var(axis=0) * len(seen) + shift**2 * (self.count * len(seen) / total)
        self.count, self.mean = total, self.mean + shift * (len(seen) / total)

    def stats(self) -> dict[str, Any]:
        return {
            "sigma": self.args.noise,
            "step_size": self.step_size,
            "update_norm": self.update,
            "weights_norm": np.linalg.norm(self.weights),
            "obs_std": np.sqrt(self.squares / self.count).mean(),
        }


# --- training, recorded -----------------------------------------------------------------------------------------------


class Evaluation:
    """An episode that is recorded with the states of the simulation, and its measurements of how the creature moved."""

    def __init__(
        self, log: trainlog.TrainingRecorder, states: StateRecorder, creature: Creature, every: int, gen: int, step: int
    ) -> None:
        from trainlog.gymnasium import RecordRun

        self.log, self.creature, self.gen, self.step, self.states = log, creature, gen, step, states
        self.uprights: list[float] = []
        self.fallen = False
        # Observations and actions are already in the states.
        kept: dict[str, Any] = {"observations": False, "actions": False, "stats": False, "episode_type": "evaluation"}
        self.env = RecordRun(states.wrap(creature.env), log, every=every, extra=self.extra, step=step, **kept)

    def extra(self, env: Any) -> dict[str, Any]:
        """More keys for a recorded frame."""
        pose, steps = self.creature.pose(), round(self.creature.data.time / self.creature.dt)
        self.uprights.append(pose["upright"])
        if pose["upright"] < FLIPPED:
            self.fall("flipped on its back", steps)
        return self.states.state() | pose | {"sim_time": (self.step + steps) * self.creature.dt, "gen": self.gen}

    def fall(self, how: str, steps: int) -> None:
        if not self.fallen:
            self.fallen, after = True, steps * self.creature.dt
            event = {"msg": f"{how} after {after:.1f} s", "after": after, "step": self.step + steps, "gen": self.gen}
            self.log.record_event(None, "fall", event)

    def stats(self, done: Rollout) -> dict[str, Any]:
        velocity, upright = done.distance / (done.steps * self.creature.dt), float(np.mean(self.uprights))
        return {
            "reward": done.reward,
            "distance": done.distance,
            "velocity": velocity,
            "upright": upright,
            "is_fallen": self.fallen,
            "episode_length": done.steps,
            "behavior": self.creature.behavior(velocity, upright),
        }


class Best(NamedTuple):
    value: float  # the return of an evaluation
    gen: int


@dataclass
class Result:
    step: int = 0
    returns: list[float] = field(default_factory=list)
    best: Best | None = None
    interrupted: bool = False


def train(args: Args, creature: Creature, log: trainlog.TrainingRecorder) -> Result:
    rng, result = np.random.default_rng(args.seed), Result()
    search = RandomSearch(args, creature, rng)
    states = StateRecorder(log, creature.model, creature.data)
    plan = f"{args.env}, seed {args.seed}: {args.iterations} generations of {2 * args.directions} rollouts"
    log.record_event(None, "start", {"msg": plan, "step": 0})
    try:
        for gen in range(args.iterations):
            # What has been learned so far, without noise: this is what the creature frames show.
            policy, start = search.policy(), int(rng.integers(2**31))
            watch = Evaluation(log, states, creature, args.log_every, gen, result.step)
            greedy = rollout(creature, policy, start, watch.env)
            step = result.step = result.step + greedy.steps
            if greedy.terminated:
                watch.fall("fell", greedy.steps)
            result.returns.append(greedy.reward)
            if result.best is None or greedy.reward > result.best.value:
                result.best = Best(greedy.reward, gen)
                event = {"msg": f"return {greedy.reward:.1f}", "return": greedy.reward, "step": step, "gen": gen}
                log.record_event(None, "new_best", event)

            search.step_size = args.step_size * (1 - 0.8 * gen / args.iterations)  # smaller steps settle the gait
            population = search.explore()
            search.learn(population)
            result.step += sum(each.steps for each in population)

            returns = np.array([each.reward for each in population])
            distances = np.array([each.distance for each in population])
            stats = {
                "step": step,
                "sim_time": step * creature.dt,
                "episode": gen,
                **watch.stats(greedy),
                "reward_train_mean": returns.mean(),
                "reward_train_std": returns.std(),
                "reward_train_best": returns.max(),
                **search.stats(),
            }
            generation = {
                "gen": gen,
                "best": returns.max(),
                "avg": returns.mean(),
                "pop": len(population),
                "dist": distances.max(),
                "stage": stats["behavior"],
                "diversity": distances.std(),
            }
            log.record_stats_frame(None, stats)
            log.record_evolution_frame(None, generation)
            if creature.warnings:
                event = {"msg": creature.warnings[0], "count": len(creature.warnings), "step": result.step}
                log.record_event(None, "warning", event)
                creature.warnings.clear()
            if gen % max(1, args.iterations // 20) == 0 or gen == args.iterations - 1:
                show_progress(args, stats, result.best.value, log.now())
    except KeyboardInterrupt:
        result.interrupted = True
        states.close()
    best = result.best.value if result.best else float("nan")
    event = {"msg": f"best return {best:.1f} after {result.step:,} steps", "return": best, "step": result.step}
    log.record_event(None, "interrupted" if result.interrupted else "finished", event)
    return result


def show_progress(args: Args, stats: Mapping[str, Any], best: float, seconds: float) -> None:
    generation = f"{stats['episode'] + 1:>{len(str(args.iterations))}}/{args.iterations}"
    print(
        f"generation {generation}  step {stats['step']:>9,}  return {stats['reward']:8.1f}  best {best:8.1f}"
        f"  {stats['velocity']:5.2f} m/s  {stats['behavior']:<8}  {seconds:5.1f} s",
        flush=True,
    )


# --- results from the log ---------------------------------------------------------------------------------------------


class Stopwatch:
    """Times every call of a recorder, to report the cost of logging."""

    def __init__(self, log: trainlog.TrainingRecorder) -> None:
        self.calls, self.seconds = 0, 0.0
        for name in ("creature_frame", "stats_frame", "evolution_frame", "event"):
            setattr(log, f"record_{name}", self._timed(getattr(log, f"record_{name}")))

    def _timed(self, record: Callable[..., None]) -> Callable[..., None]:
        @wraps(record)
        def timed(*values: Any) -> None:
            began = perf_counter()
            record(*values)
            self.seconds += perf_counter() - began
            self.calls += 1

        return timed

    def report(self, run: float) -> str:
        each = self.seconds / max(self.calls, 1) * 1e6
        return f"Logging cost {each:.1f} µs per call: {self.calls:,} calls, {self.seconds / run:.3%} of {run:.1f} s"


def draw_rewards(args: Args, log: Path, smooth: int = 10) -> list[Path]:
    """Draw the reward curve next to *log*, as SVG and PNG, and every other figure that `trainlog plot` would draw."""
    stats = trainlog.open(log).table("stats")
    if not stats.rows:
        return []
    step, reward, mean, std = (stats[key] for key in ("step", "reward", "reward_train_mean", "reward_train_std"))
    chart = Chart(
        title=f"{args.env}, seed {args.seed}",
        x_label="environment steps",
        y_label=f"return of {args.horizon} steps",
        marks=[
            Band(step, mean - std, mean + std, label="population, mean ± std"),
            Line(step, reward, label="policy", opacity=0.35),
            Line(step, moving_average(reward, smooth), label=f"policy, mean of {smooth}, trailing"),
            StateTimeline(step, stats["behavior"], label="behavior"),
        ],
    )
    drawing = layout(chart, width=960, height=540, theme="light")
    pictures: Mapping[str, bytes] = {"reward.svg": svg(drawing).encode(), "reward.png": png(drawing, scale=2)}
    for name, picture in pictures.items():
        log.with_name(name).write_bytes(picture)
    for figure in figures(runs_of([trainlog.open(log)]), PlotOptions()):
        save_picture(figure, log.with_name("figures"))
    return [log.with_name(name) for name in pictures]


def replay(log: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run ``trainlog replay``, in a separate process, because OpenGL may end it."""
    command = [sys.executable, "-m", "trainlog", "replay", str(log), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def render(log: Path, best: Best) -> str:
    """Render the best evaluation from the log, with its reward next to it, and return a line about the outcome."""
    video, size = log.with_name("best.mp4"), "480x360"
    done = replay(log, "--video", str(video), "--episode", str(best.gen + 1), "--with", "reward", "--size", size)
    return f"Video:   {video}" if done.returncode == 0 else f"No video: {done.stderr.strip()}"


@contextmanager
def dashboard(folder: Path) -> Iterator[str | None]:
    """The address of a dashboard of *folder*, served by a separate process; None without the extra for it."""
    if not all(map(importlib.util.find_spec, ("starlette", "uvicorn"))):
        yield None
        return
    command = [sys.executable, "-m", "trainlog", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            yield server.stderr.readline().strip().removeprefix("trainlog: ") or None
        finally:
            server.terminate()


def run(args: Args) -> int:
    creature = Creature(args.env, max_episode_steps=args.horizon)
    now = datetime.now().astimezone()
    safe = re.sub(r"[^\w.-]+", "-", args.env)
    folder = Path(args.out or f"runs/demo-{safe}-s{args.seed}-{now:%Y%m%d-%H%M%S}")
    path = folder / "training_log.flog"
    metadata = {
        "scene": args.env,
        "seed": args.seed,
        "steps": args.iterations * (2 * args.directions + 1) * args.horizon,
        "device": "cpu",
        "version": trainlog.__version__,
        "started": now.isoformat(timespec="seconds"),
        "dt": creature.dt,
        "nq": creature.model.nq,
        "nv": creature.model.nv,
        "learner": "ARS V2",
        "args": {key: value for key, value in asdict(args).items() if key not in ("out", "video", "dashboard")},
    }
    task = TASKS.get(creature.name, "maximise the return")
    with ExitStack() as stack:
        log = stack.enter_context(trainlog.TrainingRecorder(path, creature.name, task, phase=0, metadata=metadata))
        print(f"{creature.name} learns to {task}; log: {path}", flush=True)
        watched = stack.enter_context(dashboard(folder)) if args.dashboard else None
        if watched:
            print(f"Watch it live: {watched}", flush=True)
        price = Stopwatch(log)
        result = train(args, creature, log)
        seconds = log.now()
        if result.interrupted:
            log.close("interrupted", "KeyboardInterrupt")
    creature.env.close()

    pictures = draw_rewards(args, path)
    print(f"\n{trainlog.FlogReplay(path).summary()}\n")
    if result.best:
        first, last = result.returns[0], result.returns[-1]
        print(f"Return:  {first:.1f} untrained, {last:.1f} at the end, {result.best.value:.1f} at best")
    print(price.report(seconds))
    print(f"Log:     {path}")
    for picture in pictures:
        print(f"Curve:   {picture}")
    print(f"Figures: {folder / 'figures'}")
    if args.video and result.best:
        print(render(path, result.best))
    checked = replay(path, "--check")
    print(f"Check:   {(checked.stdout or checked.stderr).strip().removeprefix(f'{path}: ')}")
    beside = Path(sys.executable).with_name("trainlog")
    command = "trainlog" if shutil.which("trainlog") or not beside.exists() else os.path.relpath(beside)
    print(f"\nNext:    {command} replay {path}\n         {command} serve {folder.parent}")
    return 130 if result.interrupted else checked.returncode


def main(argv: Sequence[str] | None = None) -> int:
    try:
        return run(parse(argv))
    except (WrongUse, trainlog.TrainlogError, OSError, MemoryError) as error:
        message = " ".join(str(error).split())
        print(f"train_mujoco: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("train_mujoco: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
