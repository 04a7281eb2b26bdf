"""Pictures of trainlog next to those that matplotlib draws from the same data, for review by a person.

::

    python -m benchmarks.pictures pairs OUT    # OUT/<name>-<theme>-<scale>x.png, ours left, matplotlib's right

``svg`` instead of ``pairs`` writes ours as SVG, for viewing in a browser. This is not a topic of the report: the time
that both take is measured by `benchmarks.plot`.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trainlog.draw import (
    Band,
    Chart,
    Figure,
    Grid,
    Heatmap,
    HLine,
    Line,
    Scatter,
    Scene,
    StateTimeline,
    VLine,
    layout,
    moving_average,
    png,
    svg,
)

WIDTH, HEIGHT = 960, 540
Pair = tuple[Figure, Callable[[Any], None]]


def learning_curve() -> Pair:
    rng = np.random.default_rng(1)
    steps = np.arange(1500) * 2048
    reward = 5200 * (1 - np.exp(-steps / 1.1e6)) + rng.normal(0, 300, len(steps)) * (0.4 + steps / 2e6) - 300
    mean = moving_average(reward, 100)

    def theirs(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot(steps, reward, alpha=0.35, label="episode reward")
        axes.plot(steps, mean, lw=2.5, label="mean of 100 episodes")
        axes.axhline(4800, ls="--", color="gray", label="solved")
        for n, x in enumerate((1e6, 2e6)):
            axes.axvline(x, ls=":", color="gray", label="checkpoint" if not n else None)
        axes.set(title="HalfCheetah-v5, PPO", xlabel="step", ylabel="reward")
        axes.legend()
        axes.grid()

    ours = Chart(
        title="HalfCheetah-v5, PPO",
        x_label="step",
        y_label="reward",
        marks=[
            Line(steps, reward, "episode reward", opacity=0.35),
            Line(steps, mean, "mean of 100 episodes", width=2.5),
            HLine(4800, "solved"),
            VLine([1e6, 2e6], "checkpoint"),
        ],
    )
    return ours, theirs


def seeds() -> Pair:
    rng = np.random.default_rng(2)
    time_s = np.linspace(0, 3.4 * 3600, 300)
    runs = {
        name: top * (1 - np.exp(-time_s / tau)) + rng.normal(0, 18, (5, 300)).cumsum(axis=1) / 4
        for name, top, tau in (("PPO", 300, 3000), ("SAC", 380, 5000), ("TD3", 250, 1800))
    }

    def theirs(figure: Any) -> None:
        axes = figure.subplots()
        for name, values in runs.items():
            axes.plot(time_s, values.mean(axis=0), label=name)
            axes.fill_between(time_s, values.min(axis=0), values.max(axis=0), alpha=0.2)
        axes.set(title="Mean over five seeds", xlabel="time (s)", ylabel="return")
        axes.legend()
        axes.grid()

    marks: list[Any] = []
    for name, values in runs.items():
        marks.append(Line(time_s, values.mean(axis=0), name, width=2))
        marks.append(Band(time_s, values.min(axis=0), values.max(axis=0), f"{name}, min–max"))
    chart = Chart(title="Mean over five seeds", x_label="time", x_unit="s", y_label="return", marks=marks)
    return chart, theirs


def log_axes() -> Pair:
    rng = np.random.default_rng(3)
    steps = np.logspace(1, 6.3, 400)
    loss = 30 / steps**0.6 * np.exp(rng.normal(0, 0.25, 400))
    loss[60:80] = 0
    rate = 3e-4 * 0.5 ** (steps / 4e5)

    def theirs(figure: Any) -> None:
        axes = figure.subplots()
        axes.loglog(steps, loss, label="value loss")
        axes.loglog(steps, rate, label="learning rate")
        axes.set(title="Optimisation", xlabel="gradient step", ylabel="loss")
        axes.legend()
        axes.grid(which="both", alpha=0.3)

    lines = [Line(steps, loss, "value loss"), Line(steps, rate, "learning rate")]
    chart = Chart(title="Optimisation", x_label="gradient step", y_label="loss", x_log=True, y_log=True, marks=lines)
    return chart, theirs


def broken() -> Pair:
    rng = np.random.default_rng(4)
    y = np.cumsum(rng.normal(0, 1, 400)) - 40
    y[40:60] = np.nan
    y[100::37] = np.nan
    y[[150, 300]] = np.inf
    y[220] = -np.inf

    def theirs(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot(y, label="critic loss")
        axes.set(title="NaN and infinities", xlabel="update", ylabel="critic loss")
        axes.legend()

    chart = Chart(
        title="NaN and infinities", x_label="update", y_label="critic loss", marks=[Line(None, y, "critic loss")]
    )
    return chart, theirs


def dense() -> Pair:
    rng = np.random.default_rng(5)
    y = np.sin(np.linspace(0, 12, 1_000_000)) * 3 + rng.normal(0, 1, 1_000_000)
    y[123_456] = 14
    y[765_432] = -11
    smooth = moving_average(y, 10_000)

    def theirs(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot(y, lw=0.8, label="torque")
        axes.plot(smooth, lw=2.5, label="mean of 10,000")
        axes.set(title="A million points", xlabel="physics step", ylabel="torque (N m)")
        axes.legend()

    lines = [Line(None, y, "torque", width=1, opacity=0.6), Line(None, smooth, "mean of 10,000", width=2.5)]
    chart = Chart(title="A million points", x_label="physics step", y_label="torque", y_unit="N m", marks=lines)
    return chart, theirs


def behaviour() -> Pair:
    rng = np.random.default_rng(6)
    t = np.linspace(0, 180, 900)
    height = 0.3 + 0.05 * np.sin(t * 2) + 0.1 * (t > 60) - 0.22 * ((t > 95) & (t < 110))
    begins = [0, 20, 60, 95, 110, 118, 150]
    names = ["stand", "walk", "run", "fall", "stand", "run", "walk"]
    speed = np.where(t > 60, 1.5, 0.6) + rng.normal(0, 0.05, 900)

    def theirs(figure: Any) -> None:
        top, lane = figure.subplots(2, 1, sharex=True, height_ratios=[6, 1])
        top.plot(t, height, label="body height")
        top.plot(t, speed, label="forward speed")
        top.set(title="Go2 on hilly ground", ylabel="m, m/s")
        top.legend()
        colors = dict(zip(dict.fromkeys(names), ("C2", "C3", "C4", "C5"), strict=True))
        for left, right, name in zip(begins, [*begins[1:], 180], names, strict=True):
            lane.axvspan(left, right, color=colors[name])
        lane.set(xlabel="time (s)", yticks=[])

    marks: list[Any] = [
        Line(t, height, "body height"),
        Line(t, speed, "forward speed"),
        StateTimeline(begins, names, label="gait"),
        StateTimeline([0, 42, 130], ["flat", "uphill", "flat"], label="terrain"),
    ]
    chart = Chart(title="Go2 on hilly ground", x_label="time", x_unit="s", y_label="m, m/s", marks=marks)
    return chart, theirs


def trajectory() -> Pair:
    rng = np.random.default_rng(7)
    angle = np.cumsum(rng.normal(0, 0.08, 4000))
    x, y = np.cumsum(np.cos(angle)) / 50, np.cumsum(np.sin(angle)) / 50
    goals = rng.uniform(-3, 3, (12, 2)) + np.array([x.mean(), y.mean()])

    def theirs(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot(x, y, label="path")
        axes.scatter(*goals.T, color="C1", label="goals")
        axes.plot(x[0], y[0], "o", mfc="none", label="start")
        axes.plot(x[-1], y[-1], "o", label="end")
        axes.set(title="Top view", xlabel="x (m)", ylabel="y (m)", aspect="equal")
        axes.legend()

    scene = Scene(
        x,
        y,
        title="Top view",
        x_unit="m",
        y_unit="m",
        label="path",
        highlight=2500,
        marks=[Scatter(goals[:, 0], goals[:, 1], "goals", size=8)],
    )
    return scene, theirs


def heat() -> Pair:
    rows, columns = np.mgrid[0:30, 0:60]
    values = np.sin(columns / 9) * np.cos(rows / 6) * 240
    values[10:13, 20:24] = np.nan

    def theirs(figure: Any) -> None:
        axes = figure.subplots()
        image = axes.imshow(values, origin="lower", aspect="auto", extent=(-1.2, 0.6, -0.07, 0.07))
        figure.colorbar(image, label="Q")
        axes.set(title="Mountain car, greedy value", xlabel="position", ylabel="velocity")

    ours = Heatmap(
        values,
        title="Mountain car, greedy value",
        x_label="position",
        y_label="velocity",
        x_range=(-1.2, 0.6),
        y_range=(-0.07, 0.07),
        label="Q",
    )
    return ours, theirs


def multiples() -> Pair:
    rng = np.random.default_rng(8)
    names = ["reward/total", "reward/energy", "loss/policy", "entropy", "episode length", "learning rate"]
    scale = [3000, -0.02, 1e-4, 5, 1000, 3e-4]
    data = {name: s * (1 + np.cumsum(rng.normal(0, 0.05, 300))) for name, s in zip(names, scale, strict=True)}

    def theirs(figure: Any) -> None:
        for axes, (name, y) in zip(figure.subplots(2, 3).flat, data.items(), strict=True):
            axes.plot(y, alpha=0.4, label="raw")
            axes.plot(moving_average(y, 30), label="smooth")
            axes.set(title=name, xlabel="update")
        figure.tight_layout()

    charts = [
        Chart(
            title=name,
            x_label="update",
            marks=[Line(None, y, "raw", opacity=0.4), Line(None, moving_average(y, 30), "smooth")],
        )
        for name, y in data.items()
    ]
    return Grid(charts, columns=3, title="Humanoid-v5"), theirs


def crowded() -> Pair:
    rng = np.random.default_rng(9)
    lines = [
        (f"{'a rather long name for a ' if n % 3 == 0 else ''}run {n}", rng.normal(0, 1, 200).cumsum())
        for n in range(12)
    ]

    def theirs(figure: Any) -> None:
        axes = figure.subplots()
        for name, y in lines:
            axes.plot(y, label=name)
        axes.set(title="Twelve runs " * 8, xlabel="step", ylabel="a long label of the y axis " * 3)
        axes.legend()

    marks = [Line(None, y, name) for name, y in lines]
    return Chart(
        title="Twelve runs " * 8, x_label="step", y_label="a long label of the y axis " * 3, marks=marks
    ), theirs


def fine_range() -> Pair:
    y = 1e6 + 0.001 * np.sin(np.linspace(0, 9, 500))

    def theirs(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot(np.arange(500) + 123456000, y)
        axes.set(title="A tiny range far from zero", xlabel="step", ylabel="energy (J)")

    x = np.arange(500) + 123456000
    return Chart(
        title="A tiny range far from zero", x_label="step", y_label="energy", y_unit="J", marks=[Line(x, y)]
    ), theirs


def cloud() -> Pair:
    rng = np.random.default_rng(10)
    a, b = rng.normal(0, 1, (2, 60_000))
    c, d = rng.normal(3, 0.5, (2, 300))

    def theirs(figure: Any) -> None:
        axes = figure.subplots()
        axes.scatter(a, b + a / 2, s=6, alpha=0.4, label="60,000 transitions")
        axes.scatter(c, d, s=20, label="successes")
        axes.set(title="Scatter", xlabel="first component", ylabel="second")
        axes.legend()

    marks = [Scatter(a, b + a / 2, "60,000 transitions", size=2.5, opacity=0.5), Scatter(c, d, "successes")]
    return Chart(title="Scatter", x_label="first component", y_label="second", marks=marks), theirs


PAIRS: dict[str, Callable[[], Pair]] = {
    pair.__name__: pair
    for pair in (
        learning_curve,
        seeds,
        log_axes,
        broken,
        dense,
        behaviour,
        trajectory,
        heat,
        multiples,
        crowded,
        fine_range,
        cloud,
    )
}


def side_by_side(name: str, theme: str, scale: int) -> bytes:
    import matplotlib.style
    from matplotlib.figure import Figure as TheirFigure
    from PIL import Image

    ours, theirs = PAIRS[name]()
    left = Image.open(io.BytesIO(png(layout(ours, WIDTH, HEIGHT, theme), scale)))
    with matplotlib.style.context("dark_background" if theme == "dark" else "default"):
        figure = TheirFigure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100 * scale)
        theirs(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    right = Image.open(buffer).convert("RGB")
    both = Image.new("RGB", (left.width + right.width + 8, left.height), "#ff00ff")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + 8, 0))
    file = io.BytesIO()
    both.save(file, "PNG")
    return file.getvalue()


def main(arguments: list[str]) -> None:
    match arguments:
        case ["pairs", out, *names]:
            folder = Path(out)
            folder.mkdir(parents=True, exist_ok=True)
            for name in names or PAIRS:
                for theme in ("light", "dark"):
                    for scale in (1, 2):
                        (folder / f"{name}-{theme}-{scale}x.png").write_bytes(side_by_side(name, theme, scale))
        case ["svg", out, *names]:
            folder = Path(out)
            folder.mkdir(parents=True, exist_ok=True)
            for name in names or PAIRS:
                for theme in ("light", "dark"):
                    drawing = layout(PAIRS[name]()[0], WIDTH, HEIGHT, theme)
                    (folder / f"{name}-{theme}.svg").write_text(svg(drawing), encoding="utf-8")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
