"""The run in 3D: a page in the browser that shows the robot of a log at any moment."""

from __future__ import annotations

import copy
import html
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import Any, Final

import numpy as np

from trainlog.draw import downsample
from trainlog.errors import CodecError, MissingExtra, TrainlogError
from trainlog.mujoco.replay import Episode, Replay
from trainlog.mujoco.state import body_names

__all__ = ["Page"]

_HOST: Final = "127.0.0.1"
_TICK: Final = 1 / 30  # seconds between two states while it plays
_REFRESH: Final = 0.5  # seconds between two checks for new frames
_SPEEDS: Final = ("0.1", "0.25", "0.5", "1", "2", "4", "10")
_LISTED: Final = 250  # episodes before and after the current one
_POINTS: Final = 600  # points of a curve
_GHOSTS: Final = ((230, 119, 0), (156, 54, 181), (9, 146, 104), (224, 49, 49))
_TABLES: Final = {"pos": "Position", "vel": "Velocity", "ctrl": "Control", "act": "Activation"}


class Page:
    """A page on 127.0.0.1 with the robot of the first log, those of other logs as ghosts, and controls for the moment.

    A ghost is shown in the episode with the same number, the same number of simulated seconds after its beginning.

    Attributes:
        frame: the number of the state that is shown.
        episode: the episode that it belongs to.

    """

    def __init__(self, replays: Sequence[Replay], *, curves: Sequence[str] = (), port: int = 0) -> None:
        """Serve the page.

        Args:
            replays: the log, and those of the ghosts.
            curves: keys that are drawn below; by default the reward, if the frames have it. See `Replay.curve`.
            port: the port; 0 for any free one.

        Raises:
            MissingExtra: without mjviser.
            ValueError: when *port* is not a number from 0 to 65535.
            CodecError: when nothing can be served at that port.
            TrainlogError: when the log cannot be read.

        """
        try:
            import viser
            from mjviser import ViserMujocoScene
        except ImportError as error:
            raise MissingExtra(f'the page needs mjviser: pip install "trainlog[mujoco]" ({error})') from error
        if not 0 <= port <= 65535:  # viser would wait for such a server forever
            raise ValueError(f"port is a number from 0 to 65535, not {port!r}")
        self._replay, self._ghosts_of = replays[0], replays[1:]
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self.frame = 0
        self.episode = self._replay.episodes[0]
        self._playing, self._second = False, 0.0
        self._curve_keys = list(curves) or self._default_curves()
        model = self._replay.model()  # before the server, because the log may not have it
        with redirect_stdout(None):  # it prints its address even if verbose is off
            self._server: Any = viser.ViserServer(host=_HOST, port=port, label="trainlog", verbose=False)
        if port and self._server.get_port() != port:
            self._server.stop()
            raise CodecError(f"port {port} of {_HOST} is in use; choose another with --port, or none")
        self._scenes: Any = ViserMujocoScene
        self._scene_model: Any = None
        self._scene: Any = None
        self._build_scene(model)
        self._ghosts = [
            _Ghost(self._server, replay, f"/ghost{n}", _GHOSTS[n % len(_GHOSTS)])
            for n, replay in enumerate(self._ghosts_of)
        ]
        self._build_controls()
        self._choose_episode(self._replay.episodes[-1])
        self._thread = threading.Thread(target=self._run, name="trainlog replay", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{_HOST}:{self._server.get_port()}/"

    def wait(self) -> None:
        """Until ``close``."""
        self._stopped.wait()

    def close(self) -> None:
        """Stop serving."""
        self._stopped.set()
        self._thread.join()
        with redirect_stdout(None):
            self._server.stop()

    def seek(self, time: float) -> None:
        """Show the last state that was logged at *time* (s) or before."""
        self.show(self._replay.frame_at(time=time))

    def seek_order(self, order: int) -> None:
        """Show the state at *order* in the log (see `trainlog.scan.Batch`), of any environment."""
        with self._lock:
            environment, frame = self._replay.locate(order)
            if environment != self._replay.environment:
                self._env.value = environment
                self._choose_environment(environment)
            self.show(frame)

    def show(self, frame: int) -> None:
        """Show the state with that number."""
        with self._lock:
            frame = min(max(frame, 0), self._replay.frames - 1)
            if not self.episode.first <= frame < self.episode.stop:
                self._choose_episode(next(one for one in self._replay.episodes if frame < one.stop), frame)
                return
            self.frame = frame
            self._second = float(self._replay.clock[frame] - self._replay.clock[self.episode.first])
            self._place_slider()
            self._draw()

    # --- built once ---

    def _default_curves(self) -> list[str]:
        try:
            return [self._replay.reward_key()]
        except KeyError:
            return []

    def _build_scene(self, model: Any) -> None:
        if self._scene is not None:
            self._server.scene.reset()
        self._scene_model = model
        self._scene = self._scenes(self._server, copy.copy(model), num_envs=1)  # the scene changes the model's colours

    def _build_controls(self) -> None:
        gui = self._server.gui
        path = self._replay.reader.path
        ghosts = "".join(
            f"<br><span style='color:rgb{color}'>●</span> {html.escape(str(replay.reader.path))}"
            for replay, color in zip(self._ghosts_of, _GHOSTS * len(self._ghosts_of), strict=False)
        )
        gui.add_html(f"<div style='padding:0 1em;font-size:.85em'><b>{html.escape(str(path))}</b>{ghosts}</div>")
        self._env = gui.add_dropdown(
            "Environment", self._replay.environments, initial_value=self._replay.environment, visible=False
        )
        self._env.on_update(lambda event: self._from_client(event, lambda: self._choose_environment(self._env.value)))
        self._list_environments()
        self._episodes = gui.add_dropdown("Episode", ("1",), initial_value="1")
        self._episodes.on_update(lambda event: self._from_client(event, self._episode_chosen))
        self._slider = gui.add_slider("Frame", min=0, max=1, step=1, initial_value=0)
        self._slider.on_update(lambda event: self._from_client(event, self._slid))
        self._play = gui.add_button("Play", hint="Space")
        self._play.on_click(lambda _: self._guarded(self._toggle))
        steps = gui.add_button_group("Step", ("|◀", "◀", "▶", "▶|"))
        moves: dict[str, Callable[[], None]] = {
            "|◀": lambda: self.show(self.episode.first),
            "◀": lambda: self.show(self.frame - 1),
            "▶": lambda: self.show(self.frame + 1),
            "▶|": lambda: self.show(self.episode.stop - 1),
        }
        steps.on_click(lambda _: self._guarded(moves[steps.value]))
        for label, key, move in (
            ("Play or pause", "space", self._toggle),
            ("First frame", "home", moves["|◀"]),
            ("Frame before", "arrowleft", moves["◀"]),
            ("Next frame", "arrowright", moves["▶"]),
            ("Last frame", "end", moves["▶|"]),
        ):
            gui.add_command(label, hotkey=key).on_trigger(lambda _, move=move: self._guarded(move))
        self._speed = gui.add_dropdown("Speed", _SPEEDS, initial_value="1")
        self._follow = gui.add_checkbox("Follow the run", initial_value=False, hint="Show the newest state.")
        self._facts = gui.add_markdown("")
        self._plots: list[tuple[Any, Any]] = []  # a chart and its points, or a text and None
        self._plot_folder = gui.add_folder("Curves") if self._curve_keys else None
        with gui.add_folder("Joints and bodies", expand_by_default=False):
            self._table = gui.add_html("")
        with gui.add_folder("View", expand_by_default=False):
            distance = 3 * self._replay.subject(self.frame)[1]
            self._scene.create_scene_gui(camera_distance=distance, camera_azimuth=90.0, camera_elevation=12.0)

    # --- choosing what is shown; all under the lock ---

    def _guarded(self, do: Callable[..., object], *arguments: Any) -> None:
        """Call *do*; errors of the log are shown on the page."""
        with self._lock:
            try:
                do(*arguments)
            except (TrainlogError, KeyError) as error:
                self._playing = False
                self._facts.content = f"**{error.args[0]}**"

    def _from_client(self, event: Any, do: Callable[[], object]) -> None:
        if event.client_id is not None:  # not a change that was made here
            self._guarded(do)

    def _list_environments(self) -> None:
        environments = self._replay.environments
        if self._env.options != environments:
            self._env.options = environments
        self._env.visible = len(environments) > 1

    def _choose_environment(self, name: str) -> None:
        self._replay.environment = name
        self._choose_episode(self._replay.episodes[-1])

    def _episode_chosen(self) -> None:
        number = int(self._episodes.value.split(" ")[0])
        self._choose_episode(self._replay.episodes[number - 1])

    def _choose_episode(self, episode: Episode, frame: int | None = None) -> None:
        self.episode = episode
        self._list_episodes()
        self._draw_curves()
        self.show(episode.first if frame is None else frame)

    def _list_episodes(self) -> None:
        first = max(self.episode.number - _LISTED, 0)
        near = self._replay.episodes[first : self.episode.number + _LISTED]
        labels = tuple(f"{one.number} · {one.seconds:.2f} s" for one in near)
        if self._episodes.options != labels:
            self._episodes.options = labels
        label = labels[self.episode.number - 1 - first]
        if self._episodes.value != label:
            self._episodes.value = label

    def _slid(self) -> None:
        self._playing = self._playing and not self._follow.value
        self.show(self.episode.first + int(self._slider.value))

    def _place_slider(self) -> None:
        last = max(self.episode.stop - 1 - self.episode.first, 1)
        if self._slider.max != last:
            self._slider.max = last
        if self._slider.value != self.frame - self.episode.first:
            self._slider.value = self.frame - self.episode.first

    def _toggle(self) -> None:
        self._playing = not self._playing
        self._play.label = "Pause" if self._playing else "Play"
        if self._playing and self.frame == self.episode.stop - 1:
            self.show(self.episode.first)

    # --- drawing ---

    def _draw(self) -> None:
        replay = self._replay
        model = replay.model(self.frame)
        if model is not self._scene_model:
            self._build_scene(model)
            for ghost in self._ghosts:
                ghost.forget()
        data = replay.at(self.frame)
        self._scene.update_from_mjdata(data)
        offset = np.array(self._scene.fixed_bodies_frame.position)  # the scene moves where the camera follows the robot
        for ghost in self._ghosts:
            ghost.show(self.episode.number, self._second, offset)
        self._write_facts(data)
        for plot, (x, y) in ((plot, points) for plot, points in self._plots if points is not None):
            plot.data = _with_cursor(x, y, self._second)

    def _write_facts(self, data: Any) -> None:
        replay, frame = self._replay, self.frame
        step = f" · step {replay.steps[frame]:,.0f}" if np.isfinite(replay.steps[frame]) else ""
        self._facts.content = (
            f"state {frame:,} of 0 to {replay.frames - 1:,}{step}  \n"
            f"{self._second:.3f} s of the episode · logged at {replay.times[frame]:.3f} s"
        )
        all_names, all_units = replay.names(frame)
        arrays = {"pos": data.qpos, "vel": data.qvel, "ctrl": data.ctrl, "act": data.act}
        tables = {}
        for key, title in _TABLES.items():
            names, units = all_names.get(key, []), all_units.get(key, [])
            tables[title] = [
                (*((names[n], units[n]) if n < min(len(names), len(units)) else (f"{key}[{n}]", "")), f"{value:.4f}")
                for n, value in enumerate(arrays[key].tolist())
            ]
        places = ("  ".join(f"{value:.3f}" for value in place) for place in data.xpos.tolist())
        named = zip(body_names(replay.model(frame)), places, strict=True)
        tables["Position of the body (x, y, z)"] = [(name, "m", place) for name, place in named][1:]  # not the world
        rows = [
            row
            for title, table in tables.items()
            for row in (
                f"<tr><th colspan=3 style='text-align:left'>{title}</th></tr>" if table else "",
                *(
                    f"<tr><td>{html.escape(name)}</td><td style='text-align:right;white-space:pre'>{value}</td>"
                    f"<td>{html.escape(unit)}</td></tr>"
                    for name, unit, value in table
                ),
            )
        ]
        self._table.content = f"<table style='font-size:.8em;padding:0 1em;width:100%'>{''.join(rows)}</table>"

    def _draw_curves(self) -> None:
        if self._plot_folder is None:
            return
        for plot, _ in self._plots:
            plot.remove()
        self._plots = []
        with self._plot_folder:
            for key in self._curve_keys:
                try:
                    x, y = self._replay.curve(key, self.episode)
                except KeyError as error:
                    self._plots.append((self._server.gui.add_markdown(error.args[0]), None))
                    continue
                x, y = downsample(x, y, _POINTS)
                if len(x) < 2:
                    continue
                plain = {"points": {"show": False}}
                lines = ({"label": key, "stroke": "#1c7ed6", **plain}, {"label": "now", "stroke": "#e03131", **plain})
                plot = self._server.gui.add_uplot(
                    _with_cursor(x, y, self._second),
                    ({"label": "s"}, *lines),
                    title=key,
                    scales={"x": {"time": False}},
                    legend={"show": False},
                    aspect=1.8,
                )
                self._plots.append((plot, (x, y)))

    # --- the thread that plays and follows ---

    def _run(self) -> None:
        before, looked = time.monotonic(), 0.0
        while not self._stopped.wait(_TICK):
            now = time.monotonic()
            if self._playing:
                self._guarded(self._advance, now - before)
            if now - looked > _REFRESH:
                looked = now
                self._guarded(self._look)
            before = now

    def _advance(self, seconds: float) -> None:
        """Play on by *seconds* of wall clock time."""
        self._second += seconds * float(self._speed.value)
        clock = self._replay.clock[self.episode.first : self.episode.stop]
        place = int(np.searchsorted(clock, clock[0] + self._second, "right")) - 1
        second = self._second
        if place != self.frame - self.episode.first:
            self.show(self.episode.first + place)
            self._second = second
        if place >= len(clock) - 1:
            self._toggle()

    def _look(self) -> None:
        """Check for new frames."""
        grown = self._replay.refresh()
        for replay in self._ghosts_of:
            replay.refresh()
        if not grown:
            return
        self._list_environments()
        episodes = self._replay.episodes
        self.episode = episodes[min(self.episode.number, len(episodes)) - 1]
        if self._follow.value:
            self._choose_episode(episodes[-1], self._replay.frames - 1)
        else:
            self._list_episodes()
            self._place_slider()
            self._draw_curves()


class _Ghost:
    """The robot of another log, in one translucent colour."""

    def __init__(self, server: Any, replay: Replay, name: str, color: tuple[int, int, int]) -> None:
        self._server, self._replay, self._name, self._color = server, replay, name, color
        self.forget()

    def forget(self) -> None:
        """Know that the scene holds nothing of it any more."""
        self._model: Any = None  # whose bodies are in the scene
        self._bodies: list[tuple[int, Any]] = []

    def _build(self, model: Any) -> None:
        """Add the visible geometry of each moving body of *model* to the scene, in place of what it holds."""
        from mjviser.conversions import is_fixed_body, merge_geoms

        for _, handle in self._bodies:
            handle.remove()
        self._model, self._bodies = model, []
        for body in range(model.nbody):
            geoms = [
                geom
                for geom in np.flatnonzero(model.geom_bodyid == body).tolist()
                if model.geom_group[geom] < 3 and model.geom_rgba[geom, 3] > 0
            ]
            if not geoms or is_fixed_body(model, body):
                continue
            mesh = merge_geoms(model, geoms)
            handle = self._server.scene.add_mesh_simple(
                f"{self._name}/{body}", mesh.vertices, mesh.faces, color=self._color, opacity=0.35, cast_shadow=False
            )
            self._bodies.append((body, handle))

    def show(self, episode: int, second: float, offset: Any) -> None:
        """Show it *second* seconds after the beginning of its episode with that number, or of its last episode."""
        episodes = self._replay.episodes
        shown = episodes[min(episode, len(episodes)) - 1]
        model, data = self._replay.model(shown.first), self._replay.at_second(shown, second)
        with self._server.atomic():
            if model is not self._model:
                self._build(model)
            for body, handle in self._bodies:
                handle.position = data.xpos[body] + offset
                handle.wxyz = data.xquat[body]


def _with_cursor(x: Any, y: Any, second: float) -> tuple[Any, Any, Any]:
    """The data of a chart: x, y, and a line at its bottom with a spike at *second*."""
    place = int(np.searchsorted(x, second))
    line = np.insert(np.full(len(x), y.min()), place, [y.min(), y.max(), y.min()])
    return np.insert(x, place, [second] * 3), np.insert(y, place, [np.interp(second, x, y)] * 3), line
