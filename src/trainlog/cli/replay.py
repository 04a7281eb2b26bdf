"""``trainlog replay``: show recorded physics in 3-D or as a video, or simulate them again."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainlog.cli.output import LogPath, OutputPath, echo, progress
from trainlog.cli.plot import SizeType
from trainlog.errors import TrainlogError

if TYPE_CHECKING:
    from trainlog.mujoco import Episode, Replay


@click.command
@click.argument("logs", nargs=-1, required=True, type=LogPath(), metavar="LOG [GHOST]...")
@click.option(
    "--check", "checks", is_flag=True, help="Simulate from each state to the next; exit code 0: same, 1: diverged."
)
@click.option("--video", type=OutputPath(), help="Render to this file: .mp4, .webm, .gif.")
@click.option("--fps", type=click.FloatRange(0, 1000, min_open=True), default=30, show_default=True)
@click.option(
    "--speed", type=click.FloatRange(0, min_open=True), default=1, show_default=True, help="The speed of the video."
)
@click.option("--episode", help="A number, last, best, or all.  [default: last]")
@click.option("--env", help="The environment, if the log has several.  [default: the first; with --check all]")
@click.option("--camera", help="Name or number of a camera of the model.  [default: one that follows the robot]")
@click.option("--size", type=SizeType(), default="640x480", show_default=True, help="The size of the video in pixels.")
@click.option("--with", "curves", multiple=True, metavar="KEY", help="Also draw this curve: reward, pos[2].")
@click.option("--model", type=click.Path(path_type=Path), help="The model (MJCF, MJB), if the log has none.")
@click.option("--env-id", help="The Gymnasium environment with the model, if the log has none.")
@click.option("--at", type=float, help="Start at this time of the log, in seconds.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="The port of the page; 0 for any free one.")
@click.option("--open", "opening", is_flag=True, help="Open the page in the browser.")
@click.option("--controlled", is_flag=True, hidden=True, help="Seek to the orders that arrive on standard input.")
def command(
    logs: tuple[Path, ...], checks: bool, video: Path | None, model: Path | None, env_id: str | None, **options: Any
) -> int:
    """Show the robot of a log in the browser, as it moved; other logs are shown as ghosts next to it.

    With --check or --video, no page is opened. --check verifies that the simulation reproduces the run, bit for bit.
    """
    from trainlog.mujoco.video import choose_graphics

    choose_graphics(draws=video is not None and not checks)
    from trainlog.mujoco.replay import Replay, load_model
    from trainlog.mujoco.state import import_mujoco

    # Warnings would go to a file in the current folder, and those of the recorded run are not new.
    import_mujoco().set_mju_user_warning(lambda message: None)

    if model is not None and env_id is not None:
        raise click.UsageError("give --model or --env-id, not both")
    given = None if model is None and env_id is None else load_model(model, env_id)
    replays = [Replay(log, model=given, env=options["env"] if n == 0 else None) for n, log in enumerate(logs)]
    if checks:
        return max(_check(replay, options["env"] if n == 0 else None) for n, replay in enumerate(replays))
    if video is not None:
        if len(replays) > 1:
            raise click.UsageError("a video shows only one log")
        _write_video(replays[0], video, options)
        return 0
    return _show(replays, options)


def _check(replay: Replay, env: str | None) -> int:
    """Print what a check found; return 1 if something diverged."""
    from trainlog.mujoco.check import check

    total = 0
    for environment in replay.environments if env is None else [env]:
        replay.environment = environment
        total += replay.frames
    with progress(f"check {replay.reader.path.name}", total) as update:
        result = check(replay, env, update)
    path = replay.reader.path
    for divergence in result.divergences:
        echo(f"{path}: diverged at {divergence}")
    gaps = f", {result.gaps:,} after missing frames not simulated" if result.gaps else ""
    same = "" if result.divergences else "same, bit for bit: "
    echo(
        f"{path}: {same}{result.states:,} states of {result.episodes:,} episodes, {result.simulated:,} simulated{gaps}"
    )
    return 1 if result.divergences else 0


def _write_video(replay: Replay, path: Path, options: dict[str, Any]) -> None:
    from trainlog.mujoco.video import count_pictures, write_video

    chosen = _episodes(replay, options["episode"])
    settings = {name: options[name] for name in ("fps", "speed", "size", "camera", "curves")}
    total = count_pictures(chosen, options["fps"], options["speed"])
    try:
        with progress(f"render {path.name}", total) as update:
            count = write_video(replay, path, chosen, progress=update, **settings)
    except KeyError as error:
        raise click.UsageError(f"--with: {error.args[0]}") from error
    except TrainlogError:
        raise
    except ValueError as error:  # an odd size, or a number that is not finite
        raise click.UsageError(f"--{error.args[0]}") from error
    which = f"episode {chosen[0].number}" if len(chosen) == 1 else f"{len(chosen)} episodes"
    echo(f"{path}: {which} of {replay.reader.path}, {count:,} pictures, {count / options['fps']:.1f} s")


def _episodes(replay: Replay, which: str | None) -> list[Episode]:
    """The requested episodes."""
    import numpy as np

    episodes = replay.episodes
    if which is None or which == "last":
        return episodes[-1:]
    if which == "all":
        return episodes
    if which == "best":
        try:
            returns = replay.returns()
        except KeyError as error:
            raise click.UsageError(f"--episode best: {error.args[0]}") from error
        if np.isnan(returns).all():
            raise click.UsageError(
                "--episode best: no episode has a known return, as not all of its steps are in the log"
            )
        return [episodes[int(np.nanargmax(returns))]]
    if not which.isdecimal() or not 1 <= int(which) <= len(episodes):
        raise click.UsageError(
            f"--episode must be last, best, all or a number from 1 to {len(episodes)}, not {which!r}"
        )
    return [episodes[int(which) - 1]]


def _show(replays: list[Replay], options: dict[str, Any]) -> int:
    from trainlog.mujoco.page import Page

    page = Page(replays, curves=options["curves"], port=options["port"])
    try:
        if options["episode"] is not None:
            page.show(_episodes(replays[0], options["episode"])[0].first)
        if options["at"] is not None:
            page.seek(options["at"])
        echo(f"trainlog: {page.url}", err=True)
        if options["opening"]:
            webbrowser.open(page.url)
        if not options["controlled"]:
            page.wait()
            return 0
        for line in sys.stdin:  # the dashboard sends positions, and closes the stream to end this process
            try:
                page.seek_order(int(line))
            except (ValueError, TrainlogError) as error:
                echo(f"trainlog: {error}", err=True)
    except KeyboardInterrupt:
        pass  # Ctrl-C ends it
    finally:
        page.close()
    return 0
