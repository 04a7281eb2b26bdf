"""A video of a recording, rendered from the states of the log."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainlog.draw import Chart, Grid, Line, VLine, layout
from trainlog.draw.raster import rasterize
from trainlog.errors import CodecError, LogWriteError, MissingExtra
from trainlog.mujoco.replay import Episode, Replay
from trainlog.mujoco.state import Floats, import_mujoco
from trainlog.replay import check_fps
from trainlog.storage.location import local_path

__all__ = ["choose_graphics", "pictures", "write_video"]

Picture = npt.NDArray[np.uint8]

_LARGEST: Final = 8192  # width or height of a picture, in pixels
_MOST_PICTURES: Final = 10_000_000
_GIF: tuple[str, ...] = (
    "-vf",
    "split[a][b];[a]palettegen=max_colors=128[p];[b][p]paletteuse=dither=none:diff_mode=rectangle",
)
_WEBM: tuple[str, ...] = ("-crf", "30", "-b:v", "0", "-deadline", "realtime", "-cpu-used", "6")


def choose_graphics(*, draws: bool) -> None:
    """Set ``MUJOCO_GL``, before MuJoCo is imported, so that it draws without a display, or not at all."""
    if not draws:
        os.environ["MUJOCO_GL"] = "disable"  # nothing that is not needed can fail
    elif sys.platform == "linux":
        os.environ.setdefault("MUJOCO_GL", "egl")


def write_video(
    replay: Replay,
    path: str | os.PathLike[str],
    episodes: Sequence[Episode],
    *,
    fps: float = 30.0,
    speed: float = 1.0,
    size: tuple[int, int] = (640, 480),
    camera: str | None = None,
    curves: Sequence[str] = (),
    progress: Callable[[int], object] | None = None,
) -> int:
    """Render *episodes* into a video; returns the number of pictures in it.

    Args:
        replay: the log.
        path: the file; its suffix decides the format: .mp4, .webm, .mov, .mkv, or .gif.
        episodes: the episodes, shown one after the other.
        fps: pictures per second of the video.
        speed: simulated seconds per second of the video.
        size: width and height of the picture in pixels; even numbers. The curves are next to it.
        camera: the name or number of a camera of the model; by default one that follows the first moving body.
        curves: keys that are drawn next to the picture, see `Replay.curve`.
        progress: called with the number of pictures that are done.

    Raises:
        MissingExtra: without imageio-ffmpeg.
        CodecError: when the model has no such camera, this machine cannot draw, or its ffmpeg does not work.
        KeyError: when there is no such curve.
        ValueError: when *fps* or *speed* is not a positive number, or *size* is not two even numbers.
        LogWriteError: when the file cannot be written.

    """
    check_fps(fps)
    if not (speed > 0 and np.isfinite(speed)):
        raise ValueError(f"speed is a number of simulated seconds per second, above 0, not {speed!r}")
    lengths: Sequence[int] = size
    if len(lengths) != 2 or not all(0 < length <= _LARGEST and length % 2 == 0 for length in lengths):
        raise ValueError(f"size is two even numbers of pixels, at most {_LARGEST:,}, not {size!r}")
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise MissingExtra(f'videos need imageio-ffmpeg: pip install "trainlog[mujoco]" ({error})') from error
    path = local_path(path)
    if path.suffix.lower() not in (".mp4", ".webm", ".mov", ".mkv", ".gif"):
        raise CodecError(f"a video is .mp4, .webm, .mov, .mkv or .gif, not {path.suffix!r}", path=path)
    options: dict[str, Any] = {"fps": fps, "macro_block_size": 2, "quality": 7, "ffmpeg_log_level": "quiet"}
    if path.suffix.lower() == ".gif":
        options |= {"codec": "gif", "pix_fmt_out": "pal8", "output_params": list(_GIF), "quality": None}
    if path.suffix.lower() == ".webm":
        options |= {"codec": "libvpx-vp9", "output_params": list(_WEBM), "quality": None}
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    count, encoder = 0, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()  # so that an unwritable path is reported before anything is rendered
        for picture in pictures(replay, episodes, fps=fps, speed=speed, size=size, camera=camera, curves=curves):
            if encoder is None:
                encoder = imageio_ffmpeg.write_frames(str(partial), (picture.shape[1], picture.shape[0]), **options)
                try:
                    encoder.send(None)
                except (RuntimeError, IndexError) as error:  # there is none, or its list of encoders cannot be read
                    raise CodecError(
                        f"ffmpeg does not work here ({error}); IMAGEIO_FFMPEG_EXE names another"
                    ) from error
            encoder.send(np.ascontiguousarray(picture))
            count += 1
            if progress is not None:
                progress(count)
        if encoder is not None:
            encoder.close()
            if _count_written(partial) != count:
                raise LogWriteError("the encoder did not write all pictures; is the disk full?", path=path)
            partial.replace(path)
    except OSError as error:
        said = str(error).partition("\n")[0]  # the command of ffmpeg follows
        raise LogWriteError(f"cannot write the video: {said}", path=path) from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return count


def _count_written(path: Path) -> int:
    """How many pictures a video has; 0 if it cannot be read. An encoder that fails at the end reports no error."""
    import imageio_ffmpeg

    try:
        return int(imageio_ffmpeg.count_frames_and_secs(str(path))[0])
    except RuntimeError:
        return 0


def count_pictures(episodes: Sequence[Episode], fps: float, speed: float) -> int:
    """How many pictures the video of *episodes* has.

    Raises:
        CodecError: when there are more than a video can have.

    """
    total = sum(max(episode.seconds, 0.0) / speed * fps for episode in episodes)
    if not total < _MOST_PICTURES:
        raise CodecError(f"that would be {total:,.0f} pictures; choose an episode, or a higher speed")
    return sum(math.floor(max(episode.seconds, 0.0) / speed * fps + 1e-6) + 1 for episode in episodes)


def pictures(
    replay: Replay,
    episodes: Sequence[Episode],
    *,
    fps: float,
    speed: float = 1.0,
    size: tuple[int, int] = (640, 480),
    camera: str | None = None,
    curves: Sequence[str] = (),
) -> Iterator[Picture]:
    """Yield the pictures of a video: uint8, shape (height, width, 3); see `write_video`."""
    width, height = size
    lines_of = [_curves(replay, key, episodes) for key in curves]
    drawn: Any = None  # the model of the renderer; only one has a renderer at a time, which holds an OpenGL context
    with ExitStack() as stack:
        for place, episode in enumerate(episodes):
            model = replay.model(episode.first)
            if model is not drawn:
                stack.close()
                renderer, view, drawn = _renderer(model, width, height), _camera(replay, episode.first, camera), model
                stack.callback(renderer.close)
            lines = [(key, *several[place]) for key, several in zip(curves, lines_of, strict=True)]
            for n in range(count_pictures([episode], fps, speed)):
                second = n * speed / fps
                renderer.update_scene(replay.at_second(episode, second), view)
                picture: Picture = renderer.render()
                yield np.hstack([picture, _chart(lines, second, height)]) if lines else picture


def _curves(replay: Replay, key: str, episodes: Sequence[Episode]) -> list[tuple[Floats, Floats]]:
    """The curve of *key* in each episode; one that has only the state after a reset may lack what the others have.

    Raises:
        KeyError: when no episode has it.

    """
    found: list[tuple[Floats, Floats]] = []
    missing: list[KeyError] = []
    for episode in episodes:
        try:
            found.append(replay.curve(key, episode))
        except KeyError as error:
            missing.append(error)
            found.append((np.empty(0), np.empty(0)))
    if episodes and len(missing) == len(episodes):
        raise missing[0]
    return found


def _renderer(model: Any, width: int, height: int) -> Any:
    mujoco = import_mujoco()
    model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
    model.vis.global_.offheight = max(height, model.vis.global_.offheight)
    try:
        return mujoco.Renderer(model, height, width)
    except Exception as error:  # a missing OpenGL can raise nearly any error
        how = os.environ.get("MUJOCO_GL", "")
        raise CodecError(
            f"MuJoCo cannot draw here with MUJOCO_GL={how or '(not set)'} ({type(error).__name__}: {error}); "
            "on Debian without a display: apt-get install libegl1, and MUJOCO_GL=egl"
        ) from error


def _camera(replay: Replay, frame: int, name: str | None) -> Any:
    mujoco, model = import_mujoco(), replay.model(frame)
    if name is not None:
        kind = mujoco.mjtObj.mjOBJ_CAMERA
        number = int(name) if name.isdecimal() else mujoco.mj_name2id(model, kind, name)
        if not 0 <= number < model.ncam:
            there = ", ".join(mujoco.mj_id2name(model, kind, i) or str(i) for i in range(model.ncam)) or "none"
            raise CodecError(f"the model has no camera {name!r}; there are {there}", path=replay.reader.path)
        return number
    view = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, view)
    body, reach = replay.subject(frame)
    if body:
        view.type, view.trackbodyid = mujoco.mjtCamera.mjCAMERA_TRACKING, body
        view.azimuth, view.elevation, view.distance = 90.0, -12.0, 3 * reach
    return view


def _chart(lines: Sequence[tuple[str, Floats, Floats]], second: float, height: int) -> Picture:
    """The curves with a cursor, one above the other."""
    charts = [
        Chart(title=key, x_label="s" if n == len(lines) - 1 else "", marks=[Line(x, y), VLine([second])])
        for n, (key, x, y) in enumerate(lines)
    ]
    width = height // 2 * 2
    figure = charts[0] if len(charts) == 1 else Grid(charts, columns=1)
    return rasterize(layout(figure, width=max(width, 120), height=height))
