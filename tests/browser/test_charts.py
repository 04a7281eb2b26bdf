"""Charts as a person sees them: gaps and words, what is at the pointer, order and size, what leaves a chart."""

from __future__ import annotations

import itertools
import math
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trainlog
from trainlog.draw import centered_average
from trainlog.model import Kind


def write(path: Path, rows: list[dict[str, Any]], *, events: dict[int, str] | None = None, **meta: Any) -> None:
    """A log of *rows*, one every tenth of a second, with events before some of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with trainlog.create(path, meta) as log:
        for n, row in enumerate(rows):
            if events and n in events:
                log.write(trainlog.Frame(n / 10, Kind.EVENT, {"type": events[n], "message": f"at row {n}"}))
            log.write(trainlog.Frame(n / 10, Kind.STATS, row))


def steps(count: int, /, **columns: Callable[[int], Any]) -> list[dict[str, Any]]:
    return [{"step": n * 10, "episode": n // 10, **{key: of(n) for key, of in columns.items()}} for n in range(count)]


def columns_with_ink(page: Any, card: str) -> list[bool]:
    """For each pixel column of the upper canvas, whether a coloured pixel is in it."""
    return list(
        page.js(
            """
            const canvas = document.querySelector(`[data-card="${arguments[0]}"] canvas`);
            const copy = new OffscreenCanvas(canvas.width, canvas.height);
            const pen = copy.getContext("2d");
            pen.drawImage(canvas, 0, 0);
            const {data, width, height} = pen.getImageData(0, 0, canvas.width, canvas.height);
            return Array.from({length: width}, (_, x) => {
              for (let y = 14; y < height - 24; y++) {
                const [r, g, b, a] = data.slice((y * width + x) * 4, (y * width + x) * 4 + 4);
                if (a > 60 && Math.max(r, g, b) - Math.min(r, g, b) > 60) return true;
              }
              return false;
            });""",
            card,
        )
    )


def longest_hole(ink: list[bool]) -> int:
    """How many columns without ink there are between two with ink."""
    inside = [n for n, is_inked in enumerate(ink) if is_inked]
    return max((b - a - 1 for a, b in itertools.pairwise(inside)), default=0)


# --- values ---


def test_numbers_beyond_53_bits_are_drawn(page: Any, runs: Path) -> None:
    write(
        runs / "x.flog",
        steps(100, big=lambda n: 2**53 + 2 * n, huge=lambda n: 1.7e308 * (-1) ** n, count=lambda n: 12_800_000 + n),
    )
    page.open("?x=step")
    for card in ("stats/big", "stats/huge", "stats/count"):
        page.one(f'[data-card="{card}"]')
        page.show(card)
        page.drawn(card)
    assert page.values("stats/big") == ["9,007,199,254,741,190"]
    assert page.values("stats/count") == ["12,800,099"]


def test_a_nan_is_a_gap_and_counted(page: Any, runs: Path) -> None:
    nan = math.nan
    rows = steps(300, some=lambda n: nan if 100 <= n < 150 else 1.0, none=lambda n: nan)
    for row in rows[:100]:
        row["absent"] = 1.0
    for row in rows[150:]:
        row["absent"] = 1.0
    write(runs / "x.flog", rows)
    page.open("?x=step")
    page.drawn("stats/some")
    assert longest_hole(columns_with_ink(page, "stats/some")) > 40
    page.until(lambda: page.text('[data-card="stats/some"] .note') == "50 NaN")
    page.show("stats/none")
    page.until(lambda: page.text('[data-card="stats/none"] .said') == "All 300 values are NaN.")
    page.show("stats/absent")
    page.drawn("stats/absent")
    assert longest_hole(columns_with_ink(page, "stats/absent")) < 5, "what a frame lacks is no gap"


def test_a_thinned_curve_has_its_gaps(page: Any, runs: Path) -> None:
    write(runs / "x.flog", steps(20_000, some=lambda n: math.nan if 8000 <= n < 9000 else math.sin(n)))
    page.open("?x=step")
    page.drawn("stats/some")
    page.until(lambda: page.text('[data-card="stats/some"] .note') == "thinned · 1,000 NaN")
    assert longest_hole(columns_with_ink(page, "stats/some")) > 10


def test_extreme_values_have_a_logarithmic_axis(page: Any, runs: Path) -> None:
    """Also values that no number is twice or half of: the range around them froze the page."""
    keys = {"huge": lambda n: 1e308, "tiny": lambda n: 5e-324, "wide": lambda n: 1.7e308 if n % 2 else 5e-324}
    write(runs / "x.flog", steps(40, **keys))
    page.open("?x=step&log=1")
    for key in keys:
        page.one(f'[data-card="stats/{key}"]')
        page.show(f"stats/{key}")
        page.drawn(f"stats/{key}")


def test_a_logarithmic_axis_says_what_it_does_not_show(page: Any, runs: Path) -> None:
    write(runs / "x.flog", steps(90, mixed=lambda n: n - 30.0, low=lambda n: -1.0 - n))
    page.open("?x=step&log=1")
    page.drawn("stats/mixed")
    page.until(lambda: page.text('[data-card="stats/mixed"] .note') == "31 ≤ 0 not drawn")
    page.until(lambda: page.text('[data-card="stats/low"] .said').startswith("No value is above 0"))
    page.press("l")
    page.until(lambda: page.text('[data-card="stats/mixed"] .note') == "")


def test_without_a_ball_there_is_a_sentence(page: Any, runs: Path) -> None:
    write(runs / "x.flog", steps(50, ball_dist=lambda n: -1.0, reward=lambda n: n))
    page.open("?x=step")
    page.until(lambda: page.text('[data-card="ball"] .said') == "There was no ball: all 50 values are below 0.")
    assert page.one('[data-card="ball"]').size["height"] < 90


def test_keys_of_any_name(page: Any, runs: Path) -> None:
    names = ["a,b", "__proto__", "constructor", "[list]", "toString", 'quote"d', "<b>bold</b>"]
    write(runs / "x.flog", [{"step": n, **dict.fromkeys(names, n)} for n in range(30)])
    page.open("?x=step")
    page.until(lambda: page.all(".card"))
    titles = page.js("return [...document.querySelectorAll('.card h3')].map((one) => one.textContent)")
    assert sorted(titles) == sorted(names)
    for name in names:
        card = f"stats/{name}".replace('"', '\\"')
        page.show(card)
        page.drawn(card)


def test_keys_beyond_the_limit_are_found_by_their_name(page: Any, runs: Path) -> None:
    rows = [{"step": n, **{f"k{key:05}": n + key for key in range(4200)}} for n in range(3)]
    write(runs / "x.flog", rows)
    page.open("?x=step&q=k0419")
    page.until(lambda: "105 more keys" in page.text("[data-group=left-out] h2"), 60)
    page.until(lambda: page.all('[data-card="stats/k04199"]'))
    page.show("stats/k04199")
    page.until(lambda: page.values("stats/k04199") == ["4,201"])
    assert page.values("stats/k04190") in ([], ["4,192"])


def test_escape_clears_the_text_and_the_filter(page: Any, runs: Path) -> None:
    from selenium.webdriver import Keys

    write(runs / "x.flog", steps(20, reward=lambda n: n, other=lambda n: n))
    page.open("?x=step")
    page.drawn("stats/other")
    page.press("/")
    field = page.driver.switch_to.active_element
    page.press("other", on=field)
    page.until(lambda: [one.text for one in page.all(".card h3") if one.is_displayed()] == ["other"])
    page.press(Keys.ESCAPE, on=field)
    page.until(lambda: sum(one.is_displayed() for one in page.all(".card h3")) == 2)
    assert field.get_attribute("value") == ""
    page.until(lambda: "q=" not in page.driver.current_url)


def test_a_search_opens_groups_only_while_it_lasts(page: Any, runs: Path) -> None:
    write(runs / "x.flog", steps(20, **{"loss/a": lambda n: n, "loss/b": lambda n: n}))
    page.open("?x=step")
    page.drawn("stats/loss/a")
    title = page.one("[data-group=stats-loss] h2 button")
    title.click()

    def state() -> tuple[str, str, bool]:
        card = page.one('[data-card="stats/loss/a"]')
        return title.text, title.get_attribute("aria-expanded"), card.is_displayed()

    assert state() == ("▸ loss", "false", False)
    search = "const f = document.querySelector('#find'); f.value = arguments[0]; f.dispatchEvent(new Event('input'))"
    page.js(search, "loss")
    assert state() == ("▾ loss", "true", True)
    page.js(search, "")
    assert state() == ("▸ loss", "false", False)


def test_the_range_stays_finite(page: Any, runs: Path) -> None:
    write(runs / "x.flog", steps(20, reward=lambda n: n))
    page.open("?x=step")
    page.drawn("learning")
    key = """
        const canvas = document.querySelector('[data-card="learning"] canvas');
        for (let n = 0; n < 2000; n++) canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "-" }));"""
    page.js(key)
    page.until(lambda: re.search(r"zoom=-[0-9.]+e%2B307:[0-9.]+e%2B307", page.driver.current_url))
    page.until(lambda: any("to=1" in url and "e%2B308" in url for url in page.look_at_requests()))
    assert page.text('[data-card="learning"] .note') == ""


# --- the pointer, the legend ---


def test_the_pointer_tells_every_axis_and_the_highest_first(page: Any, runs: Path) -> None:
    for n, name in enumerate(["b", "a", "c"]):
        write(runs / f"{name}.flog", steps(100, reward=lambda i, n=n: float((n * 7) % 5) + i / 1000), dt=0.5)
    page.open()
    page.until(lambda: len(page.all(".run")) == 3)
    ids = [page.site.id(f"{name}.flog") for name in "abc"]
    page.open(f"?x=step&runs={ids[0]}:0,{ids[1]}:1,{ids[2]}:2")
    page.until(lambda: len(page.all('[data-card="learning"] .legend .name')) == 3)
    before = page.one('[data-card="learning"] canvas').rect
    page.point("learning", 0.5)
    page.until(lambda: page.all(".tip"))
    where = page.text(".tip .where").split("  ·  ")
    names = ["step", "episode", "time", "simulated time"]
    assert all(part.startswith(f"{name} ") for part, name in zip(where, names, strict=True))
    step = int(where[0].split()[1].replace(",", ""))
    assert where[1] == f"episode {step // 100}"
    assert where[2] == f"time {step / 100:g} s"
    rows = page.js("return [...document.querySelectorAll('.tip .rows span')].map((one) => one.textContent)")
    assert rows == ["c.flog", "a.flog", "b.flog"]
    assert page.one('[data-card="learning"] canvas').rect == before
    page.point("learning", 0.9)
    assert page.one('[data-card="learning"] canvas').rect == before, "the chart does not move"


def test_a_legend_of_two_lines(page: Any, runs: Path) -> None:
    for n in range(32):
        write(runs / f"run-with-a-name-{n:02}.flog", steps(20, reward=lambda i, n=n: n + i))
    page.open()
    page.until(lambda: page.text("#counts").startswith("32 runs"))
    ids = [page.site.id(f"run-with-a-name-{n:02}.flog") for n in range(32)]
    page.open("?x=step&runs=" + ",".join(f"{id}:{n}" for n, id in enumerate(ids)))
    page.until(lambda: page.all('[data-card="learning"] .more-runs'), 60)

    def hidden() -> int:
        return 32 - len(page.all('[data-card="learning"] .legend .name'))

    page.until(lambda: page.text('[data-card="learning"] .more-runs') == f"+{hidden()}")
    assert page.one('[data-card="learning"] .legend').size["height"] <= 40
    page.js("document.querySelector('[data-card=learning] .more-runs').click()")
    assert len(page.all('[data-card="learning"] .all .name')) == 32
    page.resize(700, 1000)  # fewer have room, and the rest stays in reach
    below = "const of = (s) => document.querySelector(`[data-card=learning] ${s}`).getBoundingClientRect().bottom;"
    page.until(lambda: page.js(f"{below} return of('.more-runs') <= of('.legend')"))
    assert page.text('[data-card="learning"] .more-runs') == f"+{hidden()}"


def test_words_of_many_runs_are_lanes_beside_each_other(page: Any, runs: Path) -> None:
    for n in range(32):
        write(runs / f"{n:02}.flog", steps(20, behavior=lambda i: "walk"))
    page.open()
    page.until(lambda: page.text("#counts").startswith("32 runs"))
    ids = [page.site.id(f"{n:02}.flog") for n in range(32)]

    def full() -> int:
        """How many pixels of a line from the top to the bottom have their whole colour."""
        return int(
            page.js("""
            const canvas = document.querySelector('[data-card="behavior"] canvas');
            const copy = new OffscreenCanvas(canvas.width, canvas.height);
            const pen = copy.getContext("2d", {willReadFrequently: true});
            pen.drawImage(canvas, 0, 0);
            const {data} = pen.getImageData(canvas.width / 2, 0, 1, canvas.height);
            return data.filter((value, i) => i % 4 === 3 && value > 250).length;""")
        )

    for count in (2, 20, 32):
        page.open("?x=step&runs=" + ",".join(ids[:count]))
        page.until(lambda count=count: re.fullmatch(rf"32 runs(, \d+ running)?, {count} shown", page.text("#counts")))
        page.drawn("behavior")
        page.until(lambda: full() > 50)


def test_more_words_than_can_be_told_apart_are_counted(page: Any, runs: Path) -> None:
    write(runs / "x.flog", steps(300, some=lambda n: f"word {n % 9}", many=lambda n: f"word {n}"))
    page.open("?x=step")
    page.until(lambda: page.text('[data-card="stats/many"] .note') == "only the first 256 texts")
    page.drawn("stats/some")
    assert page.text('[data-card="stats/some"] .note') == ""


def test_a_page_without_charts_says_why(page: Any, runs: Path) -> None:
    from selenium.webdriver import Keys

    trainlog.create(runs / "x.flog", {}).close()
    page.open()
    page.until(lambda: "No metrics yet" in page.text("#empty"))
    page.press("t")
    assert "No metrics yet" in page.text("#empty")
    write(runs / "y.flog", steps(20, reward=float))
    page.until(lambda: page.text("#counts").startswith("2 runs"))
    page.open(f"?runs={page.site.id('y.flog')}")
    page.drawn("learning")
    assert not page.all("#empty")
    page.one("#find").send_keys("nothing like it")
    page.until(lambda: "No metric matches" in page.text("#empty"))
    page.press(Keys.ESCAPE, on=page.one("#find"))
    page.until(lambda: not page.all("#empty"))
    page.one(".run[aria-pressed=true]").click()
    page.until(lambda: "No run is chosen" in page.text("#empty"))
    page.press("t")
    assert "No run is chosen" in page.text("#empty")


def test_events_are_lines_or_a_rug_and_damage_is_hatched(page: Any, runs: Path) -> None:
    path = runs / "x.flog"
    write(path, steps(400, reward=lambda n: math.sin(n / 30)), events=dict.fromkeys(range(0, 400, 10), "push"))
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + b"\xff" * 900 + whole[half + 900 :])
    page.open("?x=step")
    page.drawn("learning")
    page.until(lambda: "damaged" in page.text('[data-card="learning"] .note'))

    def read() -> bool:
        for place in range(500, 580, 6):
            page.point("learning", place / 1000)
            if "the log is damaged here" in page.text(".tip"):
                return True
        return False

    page.until(read)
    page.point("learning", 0.13)
    page.until(
        lambda: "push: at row" in page.text(".tip") or page.point("learning", 0.135) or page.point("learning", 0.14)
    )


def test_a_line_of_a_group_has_its_band_and_members(page: Any, runs: Path) -> None:
    write(runs / "x.flog", steps(20, reward=lambda n: n))
    page.open("?x=step")
    page.drawn("learning")
    found = page.driver.execute_async_script(
        """const done = arguments[0];
        const modules = ["chart", "hub", "legend"].map((name) => import(`/static/${name}.js`));
        Promise.all(modules).then(([{Chart}, {Hub}, {Legend}]) => {
          const plot = Object.assign(document.createElement("div"), {className: "plot"});
          plot.style.cssText = "position: fixed; left: 0; top: 0; width: 400px; height: 200px; z-index: 9";
          document.body.append(plot);
          const hub = new Hub({onZoom() {}, onMoment() {}});
          const chart = new Chart(plot, hub, {title: "reward", series: []});
          const x = Float64Array.from({length: 50}, (_, i) => i), of = (y) => Float64Array.from(x, (i) => y + i / 50);
          const members = ["a", "b"].map((name) => ({id: name, name}));
          const style = {name: "sac", label: "", color: "#1c7ed6", dash: 0};
          const group = {...style, x, y: of(1), n: 5, runs: x.map(() => 4), members};
          const inked = () => {
            const pen = new OffscreenCanvas(400, 200).getContext("2d", {willReadFrequently: true});
            pen.drawImage(chart.canvas, 0, 0);
            return pen.getImageData(0, 0, 400, 200).data.filter((v, i) => i % 4 === 3 && v).length;
          };
          chart.series = [{...group, band: {low: of(0), high: of(2)}}];
          chart.draw();
          const withBand = inked();
          chart.series[0].band.low.fill(NaN, 0, 25);
          chart.draw();
          const withHalf = inked();
          hub.hovered = chart;
          hub.hover = 40;
          chart.point();
          const tip = document.querySelector(".tip").textContent;
          const legend = new Legend({});
          document.body.append(legend.element);
          legend.fill(chart.series, 1);
          chart.series = [{...group, band: {low: of(0), high: of(2).fill(1e6, 40), fit: Array.from(x, (i) => i < 40)}}];
          chart.draw();
          chart.destroy();
          done([withBand, withHalf, tip, legend.element.textContent, chart.ranges.all.high]);
        });"""
    )
    with_band, with_half, tip, legend, highest = found
    assert with_band > with_half * 1.3
    assert "sac (n=4)" in tip  # of those that are there
    assert "1.8 [0.8, 2.8]" in tip
    assert tip.endswith("a, b")
    assert "sac (n=5)" in legend
    assert highest < 4  # few runs have the rest of the band


# --- smoothing ---


def test_smoothing_is_that_of_the_figures(page: Any, runs: Path) -> None:
    noise = [math.sin(n * n) + n / 200 for n in range(600)]
    write(runs / "x.flog", steps(600, reward=lambda n: noise[n], **{"eval/return": lambda n: noise[n]}))
    page.open("?x=step&smooth=auto")
    page.drawn("learning")
    page.until(lambda: page.text('[data-card="learning"] .note') == "centred mean of 21")
    page.show("stats/eval/return")
    page.drawn("stats/eval/return")
    assert page.text('[data-card="stats/eval/return"] .note') == "", "evaluations are not smoothed"
    page.select("#smooth", "101")
    page.until(lambda: page.text('[data-card="learning"] .note') == "centred mean of 101")
    page.until(lambda: page.text('[data-card="stats/eval/return"] .note') == "centred mean of 101")
    page.until(lambda: "smooth=101" in page.driver.current_url)
    assert float(page.values("learning")[0]) == pytest.approx(centered_average(noise, 101)[-1], abs=0.001)


# --- several keys, order, size ---


def test_keys_are_added_and_normalised(page: Any, runs: Path) -> None:
    write(runs / "x.flog", steps(100, small=lambda n: n / 1e6, large=lambda n: 1e6 - n))
    page.open("?x=step")
    page.drawn("stats/small")
    page.menu("stats/small", "Table")
    page.js(
        """const field = [...document.querySelectorAll('[data-card="stats/small"] .line input')].at(-1);
        field.value = 'large'; field.dispatchEvent(new Event('change'));"""
    )
    page.until(lambda: len(page.values("stats/small")) == 2)
    page.menu("stats/small", "Table")
    page.js(
        """const field = [...document.querySelectorAll('[data-card="stats/small"] .line input')].at(-1);
        field.value = 'nothing'; field.dispatchEvent(new Event('change'));"""
    )
    page.until(lambda: page.text('[data-card="stats/small"] .note') == "none of the shown runs has nothing")
    width = page.one('[data-card="stats/small"] canvas').get_attribute("width")
    page.resize(1200, 1000)
    page.until(lambda: page.one('[data-card="stats/small"] canvas').get_attribute("width") != width)
    assert page.text('[data-card="stats/small"] .note') == "none of the shown runs has nothing"  # drawn again
    page.until(lambda: page.ink("stats/small"))
    plain = page.ink("stats/small")
    page.choose("stats/small", "Normalised")
    page.until(lambda: page.text('[data-card="stats/small"] .note') == "normalised")
    page.until(lambda: page.ink("stats/small") != plain)
    assert page.values("stats/small") == ["9.9e-5", "999,901"]
    page.until(lambda: "card=;n;klarge:stats/small" in page.driver.current_url.replace("%2F", "/").replace("%3B", ";"))
    page.driver.refresh()
    page.until(lambda: page.text('[data-card="stats/small"] .note') == "normalised")


def test_cards_are_pinned_hidden_moved_and_sized(page: Any, runs: Path) -> None:
    from selenium.webdriver import ActionChains

    write(runs / "x.flog", steps(30, one=lambda n: n, two=lambda n: n, three=lambda n: n))

    def order() -> list[str]:
        return list(page.js("return [...document.querySelectorAll('.card')].map((one) => one.dataset.card.slice(6))"))

    page.open("?x=step")
    page.until(lambda: len(order()) == 3)
    first = order()
    page.drawn(f"stats/{first[0]}")
    page.choose(f"stats/{first[0]}", "Move behind")
    page.until(lambda: order() == [first[1], first[0], first[2]])
    heads = {name: page.one(f'[data-card="stats/{name}"] h3') for name in first}
    chain = ActionChains(page.driver, duration=50)
    chain.drag_and_drop(heads[first[2]], heads[first[1]]).perform()
    page.until(lambda: order() == [first[2], first[1], first[0]])
    page.choose(f"stats/{first[0]}", "Pin")
    page.until(lambda: page.text("[data-group=pinned] h3") == first[0])
    page.choose(f"stats/{first[1]}", "Hide")
    page.until(lambda: len(order()) == 2)
    grip = page.one(f'[data-card="stats/{first[0]}"] .grip')
    height = page.one(f'[data-card="stats/{first[0]}"] .plot').size["height"]
    ActionChains(page.driver, duration=50).drag_and_drop_by_offset(grip, 0, 60).perform()
    page.until(lambda: page.one(f'[data-card="stats/{first[0]}"] .plot').size["height"] == height + 60)
    page.until(lambda: ";h" in page.driver.current_url.replace("%3B", ";"))
    page.driver.refresh()
    page.until(lambda: len(order()) == 2)
    assert page.text("[data-group=pinned] h3") == first[0]
    page.until(lambda: page.one(f'[data-card="stats/{first[0]}"] .plot').size["height"] == height + 60)
    page.one(".hidden-cards button").click()
    page.until(lambda: len(order()) == 3)


def test_a_chart_is_kept_whose_key_has_two_lines(page: Any, runs: Path) -> None:
    write(runs / "x.flog", steps(20, **{"two\nlines": lambda n: n, "one": lambda n: n}))
    page.open("?x=step")
    page.drawn("stats/one")
    page.choose("stats/two\\a lines", "Pin")
    page.until(lambda: "card=" in page.driver.current_url)
    page.driver.refresh()
    page.until(lambda: page.text("[data-group=pinned] h3") == "two\nlines")


# --- what leaves a chart ---


def kept(page: Any, card: str, text: str) -> str:
    """What an entry of the menu would save, as text."""
    page.js(
        "window.kept = null; URL.createObjectURL = (blob) => { window.kept = blob; return 'blob:x' }; "
        "HTMLAnchorElement.prototype.click = () => {}"
    )
    page.choose(card, text)
    page.until(lambda: page.js("return window.kept !== null"), 60)
    return str(page.driver.execute_async_script("window.kept.text().then(arguments[0])"))


def test_a_figure_is_that_of_the_command(page: Any, runs: Path, tmp_path: Path) -> None:
    for name in ("a", "b c"):
        write(runs / f"{name}.flog", steps(150, reward=lambda n: math.sin(n * n) + n / 50, task_pe=lambda n: n / 100))
    page.open()
    page.until(lambda: len(page.all(".run")) == 2)
    ids = [page.site.id(f"{name}.flog") for name in ("a", "b c")]
    page.open(f"?x=step&runs={ids[0]}:0,{ids[1]}:1&smooth=11&zoom=100:1200&card=0.5:learning")
    page.until(lambda: len(page.all('[data-card="learning"] .legend .name')) == 2)
    page.until(lambda: "centred mean of 11" in page.text('[data-card="learning"] .note'))
    svg = kept(page, "learning", "SVG")
    for text in ("reward", "task_pe", "step", "0.5"):
        assert f">{text}" in svg or text in svg
    title = page.menu("learning", "Copy the command").get_attribute("title")
    command = shlex.split(title.partition("\n")[2])
    assert command[:2] == ["trainlog", "plot"]
    subprocess.run(
        [sys.executable, "-c", "from trainlog.cli import main; main()", *command[1:], "-o", str(tmp_path / "out")],
        check=True,
        cwd=runs,
        capture_output=True,
    )
    (drawn,) = (tmp_path / "out").glob("*.svg")
    assert drawn.read_text(encoding="utf-8") == svg


def test_the_rows_of_all_runs_are_one_table(page: Any, runs: Path) -> None:
    import csv

    write(runs / "a.flog", steps(30, reward=lambda n: n, task_pe=lambda n: -n))
    write(runs / "b,c.flog", steps(20, reward=lambda n: 2 * n))
    page.open()
    page.until(lambda: len(page.all(".run")) == 2)
    ids = [page.site.id(name) for name in ("a.flog", "b,c.flog")]
    page.open(f"?x=step&runs={ids[0]}:0,{ids[1]}:1")
    page.until(lambda: len(page.all('[data-card="learning"] .legend .name')) == 2)
    table = list(csv.reader(kept(page, "learning", "CSV of 2 runs").splitlines()))
    assert table[0] == ["run", "time", "step", "reward", "task_pe"]
    assert len(table) == 51
    assert table[3] == ["a.flog", "0.2", "20.0", "2", "-2"]
    assert table[-1] == ["b,c.flog", "1.9", "190.0", "38", ""]


# --- for everybody ---


def test_a_chart_is_a_table_and_is_read_out(page: Any, runs: Path) -> None:
    from selenium.webdriver import Keys

    write(runs / "x.flog", steps(20, reward=lambda n: n * 1.5))
    page.open("?x=step")
    page.drawn("learning")
    canvas = page.one('[data-card="learning"] canvas')
    assert canvas.get_attribute("aria-label").startswith("Reward: a curve over step from 0 to 190.")
    page.js("arguments[0].focus()", canvas)
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, on=canvas)
    page.until(lambda: "step 110" in page.text("#readout") or "step 100" in page.text("#readout"))
    assert "episode" in page.text("#readout")
    assert page.js("return document.querySelector('#readout').getAttribute('aria-live')") == "polite"
    page.choose("learning", "Table")
    page.until(lambda: len(page.all('[data-card="learning"] .table tbody tr')) == 20)
    assert page.text('[data-card="learning"] .table tbody tr:nth-child(3)') == "203"


def test_less_motion_for_those_who_ask(page: Any, runs: Path) -> None:
    write(runs / "x.flog", steps(20, reward=lambda n: n))
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page.open("?x=step")
    page.until(lambda: page.all(".run .mark"))
    moving = """return [...document.querySelectorAll('*')]
        .flatMap((one) => ['', '::before'].map((part) => getComputedStyle(one, part)))
        .filter((style) => style.animationName !== 'none' || parseFloat(style.transitionDuration) > 0).length"""
    assert page.js(moving) == 0


def test_a_double_click_shows_the_whole_range_and_no_moment(page: Any, runs: Path) -> None:
    from selenium.webdriver import ActionChains

    write(runs / "run.flog", steps(200, small=float))
    page.open("?zoom=5:10")
    page.until(lambda: page.ink("stats/small"))
    assert page.one("#unzoom").is_displayed()
    canvas = page.one('[data-card="stats/small"] canvas')
    ActionChains(page.driver, duration=20).double_click(canvas).perform()
    page.until(lambda: not page.one("#unzoom").is_displayed())
    page.js("return new Promise((done) => setTimeout(done, 600))")
    assert not page.one("#moment").is_displayed()
    page.point("stats/small", 0.5, click=True)
    page.until(lambda: page.one("#moment").is_displayed())
    page.until(lambda: any("/path?" in text for text in page.complaints()))  # it has no creature, and so no path


def test_a_run_that_cannot_be_read_does_not_hide_the_others(page: Any, runs: Path) -> None:
    for name in ("good", "bad"):
        write(runs / f"{name}.flog", steps(50, small=float))
    good, bad = (page.site.id(f"{name}.flog") for name in ("good", "bad"))
    page.open(f"?runs={good},{bad}&x=step")
    page.until(lambda: "bad" in page.text('[data-card="stats/small"] .legend'))
    page.js(
        """const real = window.fetch, bad = `${arguments[0]}/series`;
        const broken = () => Promise.resolve(new Response('{"error": {"message": "it is broken"}}', {status: 422}));
        window.fetch = (place, ...more) => (String(place).includes(bad) ? broken() : real(place, ...more))""",
        bad,
    )
    page.select("#axis", "time")
    page.until(lambda: "bad.flog: it is broken" in page.text('[data-card="stats/small"] .note'))
    assert "good" in page.text('[data-card="stats/small"]')
    assert page.colored("stats/small")


@pytest.mark.parametrize(("low", "high"), [(2.5, 4.2), (0.12, 0.19), (5.6, 18.0), (1.0, 5000.0), (3e-7, 2e9)])
def test_a_logarithmic_axis_has_numbers(page: Any, low: float, high: float) -> None:
    page.open()
    code = """const [low, high, done] = arguments;
        import("/static/format.js").then(({logTicks}) => done(logTicks(low, high)));"""
    found = page.driver.execute_async_script(code, low, high)
    assert len(found) > 1
    assert found == sorted(set(found))
    assert all(0.99 * low <= value <= 1.01 * high for value in found)


def test_long_names_at_the_pointer_keep_their_ends(page: Any, runs: Path) -> None:
    """Runs of a sweep begin alike; more than a hundred of them are named by their whole paths."""
    folder = runs / "-".join(["long"] * 20)
    for seed in range(101):
        write(folder / f"seed{seed}" / "log.flog", [{"step": n, "reward": float(seed)} for n in range(3)])
    page.site.until(lambda: page.site.get("/api/v1/runs", limit=0).json["total"] == 101)
    page.open("?runs=" + ",".join(page.site.get("/api/v1/ids").json["ids"])).drawn("learning")
    page.point("learning", 0.5)
    page.one(".tip .rows .near")
    end = """const name = document.querySelector(".tip .near"), range = document.createRange();
        range.selectNodeContents(name);
        return [range.getBoundingClientRect().right, name.getBoundingClientRect().right];"""
    text, place = page.js(end)
    assert text <= place + 1
