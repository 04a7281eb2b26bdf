"""The click, and what it shows: the exact frame, two runs in step, episodes, learned functions."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainlog
from trainlog import Frame, Kind, Variable


def robot(path: Path, steps: int = 20_000, height: float = 0.0) -> None:
    """Statistics each 500 steps, a frame of the creature each 10; the clock runs unevenly."""
    with trainlog.create(path, {"creature": "go2"}) as log:
        for n in range(0, steps, 10):
            time = (n / 1000) ** 2
            vector = [n + i / 8 for i in range(5)]
            log.write(Frame(time, Kind.CREATURE, {"step": n, "x": n / 100, "y": height, "pos": vector}))
            if n % 500 == 0:
                log.write(Frame(time, Kind.STATS, {"step": n, "reward": height + n / steps}))


def at_pixels(page: Any, card: str, x: float, y: float) -> None:
    """Click into a chart, from its left and its top."""
    from selenium.webdriver import ActionChains

    canvas = page.one(f'[data-card="{card}"] canvas')
    size = canvas.size
    chain = ActionChains(page.driver, duration=0)
    chain.move_to_element_with_offset(canvas, int(x - size["width"] / 2), int(y - size["height"] / 2)).click().perform()


def part_of_axis(page: Any, card: str, x: float) -> float:
    """How far along its axis a place of a chart is; the chart is narrower when the panel is open."""
    left, right = 50, 12
    return float((x - left) / (page.one(f'[data-card="{card}"] canvas').size["width"] - left - right))


def step_shown(page: Any) -> int:
    words = page.text("#moment .dim").replace(",", "").split()
    return int(words[words.index("step") + 1]) if "step" in words else -1


def test_a_click_shows_the_nearest_frame_of_the_creature(page: Any, runs: Path) -> None:
    robot(runs / "a.flog")
    page.open("?x=step")
    page.drawn("learning")
    for x in (100, 231, 377, 305):
        meant = part_of_axis(page, "learning", x) * 19_500
        at_pixels(page, "learning", x, 60)
        page.until(lambda meant=meant: abs(step_shown(page) - meant) <= 30)  # a pixel is about 40 steps
        shown = step_shown(page)
        assert shown % 10 == 0
        page.until(lambda shown=shown: f"at={page.site.id('a.flog')}:" in page.driver.current_url)


def test_the_address_has_the_moment_of_one_environment(page: Any, runs: Path) -> None:
    """Of several with frames at the same time."""
    with trainlog.create(runs / "a.flog") as log:
        for n in range(60):
            for env in range(4):
                log.write(Frame(n / 10, Kind.CREATURE, {"env": env, "step": n, "x": n / 9, "y": 0.0}))
            log.write(Frame(n / 10, Kind.STATS, {"step": n, "reward": n / 2}))
    page.open(f"?x=step&at={page.site.id('a.flog')}:2.5")  # an address without a frame: the first at that time
    page.until(lambda: "creature frame 101 of 240" in page.text("#moment .dim"))
    for env in (1, 2):
        page.press(".")
        page.until(lambda env=env: f"creature frame {101 + env} of 240" in page.text("#moment .dim"))
    page.until(lambda: "102" in page.driver.current_url.partition("at=")[2])
    page.driver.refresh()
    page.until(lambda: "creature frame 103 of 240" in page.text("#moment .dim"))


def test_the_path_says_whose_it_is(page: Any, runs: Path) -> None:
    """Of several environments one path is shown, and the panel says so."""
    with trainlog.create(runs / "a.flog") as log:
        for n in range(60):
            log.write(
                Frame(n / 10, Kind.CREATURE, {"env": n % 2, "step": n, "x": math.cos(n / 9), "y": math.sin(n / 9)})
            )
            log.write(Frame(n / 10, Kind.STATS, {"step": n, "reward": n / 2}))
    page.open("?x=step")
    page.drawn("learning")
    at_pixels(page, "learning", 231, 60)
    said = "The path of the creature, seen from above, environment 1 of several"
    page.until(lambda: page.one("#moment canvas").get_attribute("aria-label") == said)


def test_a_click_opens_the_run_whose_curve_is_nearest(page: Any, runs: Path) -> None:
    robot(runs / "low.flog", height=0.0)
    robot(runs / "high.flog", height=10.0)
    ids = {name: page.site.id(f"{name}.flog") for name in ("low", "high")}
    page.open(f"?x=step&runs={ids['low']}:0,{ids['high']}:1")
    page.drawn("learning")
    page.until(lambda: len(page.all('[data-card="learning"] .legend .name')) == 2)
    tall = page.one('[data-card="learning"] canvas').size["height"]
    for y, name in ((25, "high"), (tall - 35, "low"), (25, "high")):
        at_pixels(page, "learning", 200, y)
        page.until(lambda name=name: page.text("#moment h2") == f"{name}.flog")


def test_frame_by_frame(page: Any, runs: Path) -> None:
    robot(runs / "a.flog")
    page.open("?x=step")
    page.drawn("learning")
    at_pixels(page, "learning", 200, 60)
    page.until(lambda: step_shown(page) > 0)
    step = step_shown(page)
    page.press(".")
    page.until(lambda: step_shown(page) == step + 10)
    page.press(",", ",")
    page.until(lambda: step_shown(page) == step - 10)
    before = step - 10
    page.one("#moment [aria-label='Next frame']").click()
    page.until(lambda: step_shown(page) == before + 10)
    page.until(lambda: f"{((before + 10) / 1000) ** 2:.10g}" in page.driver.current_url)
    page.driver.refresh()
    page.until(lambda: step_shown(page) == before + 10)


def test_whole_numbers_have_all_their_digits(page: Any, runs: Path) -> None:
    with trainlog.create(runs / "a.flog", {}) as log:
        log.write(Frame(0.0, Kind.STATS, {"step": 1, "reward": 1.0}))
        data = {"step": 2**53 + 1, "seed": 2**64 - 1, "far": math.inf, "deep": {"none": math.nan}, "third": 1 / 3}
        log.write(Frame(0.0, Kind.CREATURE, data))
    page.open(f"?at={page.site.id('a.flog')}:0&runs={page.site.id('a.flog')}:0")
    page.until(lambda: "9,007,199,254,740,993" in page.text("#moment table"))
    table = page.text("#moment table")
    assert "18,446,744,073,709,551,615" in table
    assert "farinf" in table
    assert "deep/nonenan" in table
    assert page.js(
        "return [...document.querySelectorAll('#moment td')].some((one) => one.title === arguments[0])", str(1 / 3)
    )


def test_two_runs_side_by_side_in_step(page: Any, runs: Path) -> None:
    robot(runs / "a.flog", height=1.0)
    with trainlog.create(runs / "b.flog", {"creature": "go2"}) as log:  # of another pace
        for n in range(0, 20_000, 7):
            log.write(Frame(n / 3, Kind.CREATURE, {"step": n, "x": n / 50, "y": 2.0, "pos": [1.0] * 5}))
            if n % 700 == 0:
                log.write(Frame(n / 3, Kind.STATS, {"step": n, "reward": 1.0}))
    ids = {name: page.site.id(f"{name}.flog") for name in ("a", "b")}
    page.open(f"?x=step&runs={ids['a']}:0,{ids['b']}:1&at={ids['a']}:100")
    page.until(lambda: step_shown(page) == 10_000)
    page.js(
        "const s = document.querySelector('#moment .beside select'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('change'))",
        ids["b"],
    )
    cells = (
        "return [...document.querySelectorAll('#moment table tr')]"
        ".map((row) => [...row.cells].map((one) => one.textContent))"
    )
    nearest = min(range(0, 20_000, 7), key=lambda step: abs(step - 10_000))
    page.until(lambda: ["step", "10,000", f"{nearest:,}", f"{nearest - 10_000:+}"] in page.js(cells))
    assert ["", "a.flog", "b.flog", "difference"] in page.js(cells)
    assert ["y", "1", "2", "+1"] in page.js(cells)
    assert ["2", "10,000", "1", "-9999"] in page.js(cells)  # of pos, 10000.25
    page.press(".")
    nearest = min(range(0, 20_000, 7), key=lambda step: abs(step - 10_010))
    page.until(lambda: any(row[:3] == ["step", "10,010", f"{nearest:,}"] for row in page.js(cells)))


def test_the_help_lists_every_key(page: Any, runs: Path) -> None:
    robot(runs / "a.flog")
    page.open("?x=step")
    page.drawn("learning")
    page.press("?")
    listed = set(
        page.js("return [...document.querySelectorAll('#keys dt')].flatMap((one) => one.textContent.split(' '))")
    )
    static = Path(trainlog.__file__).parent / "server" / "static"
    signs = {"ArrowLeft": "←", "ArrowRight": "→", "ArrowUp": "↑", "ArrowDown": "↓", " ": "space", "-": "−", "=": "+"}
    heard = set()
    for file in static.glob("*.js"):
        code = file.read_text(encoding="utf-8")
        heard |= set(re.findall(r'event\.key [!=]== "([^"]+)"', code))
        if "event.key" in code:
            heard |= set(re.findall(r'\["([A-Z]\w+|\S)", (?:\(\)|\[|-?\w)', code))
        if file.name == "main.js":
            own = code.partition('listen($("keys"), {')[2].partition("\n});")[0]
            heard |= {a or b for a, b in re.findall(r'^  (?:"(.)"|(\w+)): \[', own, re.MULTILINE)}
    assert {"/", "v", "ArrowLeft", "PageUp", "Tab", "e"} <= heard
    assert {signs.get(key, key) for key in heard} <= listed


def test_an_episodes_point_opens_it(page: Any, simion: str, runs: Path) -> None:
    rows = [frame.data for frame in trainlog.open(runs / simion).frames("stats")]
    page.open()
    page.drawn("episodes-return")
    assert page.js("return document.querySelector('#axis').value") == "episode"
    canvas = page.one('[data-card="episodes-return"] canvas')
    left, right, wide = 46, 12, canvas.size["width"]
    for number in (20, 7):
        x = left + (number - 1) / 33 * (wide - left - right)
        at_pixels(page, "episodes-return", x, canvas.size["height"] * 0.8)
        page.until(lambda number=number: f"Episode {number}, training" in page.text("#board"))
        length = rows[number - 1]["length"]
        page.until(lambda number=number: f"of episode {number}" in page.text("#moment"))
        assert step_shown(page) == length
        page.until(lambda number=number: f"episode={page.site.id(simion)}:{number}" in page.driver.current_url)


def test_the_variables_of_an_episode_are_over_its_steps(page: Any, simion: str) -> None:
    page.open(f"?runs={page.site.id(simion)}:0&episode={page.site.id(simion)}:5")
    page.until(lambda: "Episode 5" in page.text("#board"))
    page.show("creature/state/angle")
    page.drawn("creature/state/angle")
    meant = part_of_axis(page, "creature/state/angle", 200) * 1000
    at_pixels(page, "creature/state/angle", 200, 50)
    page.until(lambda: "of episode 5, " in page.text("#moment"))
    assert abs(step_shown(page) - meant) < 30


@pytest.fixture
def functions(runs: Path) -> np.ndarray[Any, Any]:
    """Samples (sample, z, y, x) of a function over two variables."""
    values = np.arange(3 * 2 * 4 * 4, dtype=float).reshape(3, 2, 4, 4)
    variables = (
        Variable("a", "state", key="state/a", unit="rad", low=-3.0, high=3.0),
        Variable("b", "state", key="state/b", unit="m", low=0.0, high=6.0),
    )
    with trainlog.create(runs / "f.flog", {}, variables=variables) as log:
        for n, sample in enumerate(values):
            grid = {"shape": list(sample.shape), "values": sample.ravel().tolist()}
            known = {"type": "function_sample", "function": "V(a,b)", "id": 0, "step": n, "experiment_step": 100 * n}
            log.write(Frame(float(n), Kind.EVENT, {**known, **grid}))
            log.write(Frame(float(n), Kind.STATS, {"step": n, "reward": 1.0}))
    return values


_SET = (
    "const [selector, value] = arguments; const one = document.querySelector(selector);"
    "if (one.type === 'checkbox') one.checked = value; else one.value = value;"
    "one.dispatchEvent(new Event(one.type === 'checkbox' ? 'change' : 'input'))"
)


def test_a_learned_function_is_read_cell_by_cell(page: Any, functions: np.ndarray[Any, Any]) -> None:
    from selenium.webdriver import ActionChains, Keys

    page.open()
    page.js("arguments[0].scrollIntoView({block: 'center'})", page.one(".heat"))
    page.until(lambda: page.js("return document.querySelector('.heat .map canvas')?.width") == 4)
    figure = page.text(".heat figure")
    for text in ("V(a,b)", "a (rad)", "b (m)", "-3", "sample 3 of 3", "slice 1 of 2"):
        assert text in figure, text
    ends = "return [...document.querySelectorAll('.heat .ends span')].map((one) => one.textContent)"
    assert page.js(ends) == ["95", "47.5", "0"]
    canvas = page.one(".heat .map canvas")

    def read(x: int, y: int) -> str:
        cell = canvas.size["width"] / 4
        chain = ActionChains(page.driver, duration=0)
        chain.move_to_element_with_offset(canvas, int((x - 1.5) * cell), int((1.5 - y) * cell)).perform()
        return page.text(".heat .read")

    assert read(3, 0) == f"a 3 rad, b 0 m: {functions[2, 0, 0, 3]:.0f}"
    assert read(1, 2) == f"a -1 rad, b 4 m: {functions[2, 0, 2, 1]:.0f}"
    page.js(_SET, ".heat [aria-label^='Slice']", 1)
    page.until(lambda: read(1, 2).endswith(f": {functions[2, 1, 2, 1]:.0f}"))
    page.js(_SET, ".heat [aria-label='Sample of V(a,b)']", 0)
    page.until(lambda: read(3, 3).endswith(f": {functions[0, 1, 3, 3]:.0f}"))
    assert page.js(ends) == ["95", "47.5", "0"]  # one scale for all samples
    page.js(_SET, ".heat [aria-label='Sample of V(a,b)']", 2)
    page.js(_SET, ".heat [type=checkbox]", True)
    page.until(lambda: read(0, 0).endswith(f": {functions[2, 1, 0, 0] - functions[0, 1, 0, 0]:.0f}"))
    assert page.js(ends) == ["95", "0", "-95"]
    page.js("arguments[0].focus()", canvas)
    page.press(Keys.ARROW_RIGHT, on=canvas)
    page.until(lambda: page.text(".heat .read").startswith("a -1 rad, b 0 m: "))


def test_the_moment_fits_a_phone(page: Any, runs: Path) -> None:
    robot(runs / "a.flog")
    robot(runs / "b.flog", height=2.0)
    page.resize(390, 844)
    ids = [page.site.id(f"{name}.flog") for name in "ab"]
    page.open(f"?x=step&runs={ids[0]}:0,{ids[1]}:1&at={ids[0]}:100")
    page.until(lambda: step_shown(page) == 10_000)
    page.js(
        "const s = document.querySelector('#moment .beside select'); s.selectedIndex = 1;"
        "s.dispatchEvent(new Event('change'))"
    )
    page.until(lambda: "difference" in page.text("#moment"))
    wide = (
        "const one = document.querySelector('#moment');"
        "return [one.scrollWidth, one.clientWidth, document.documentElement.scrollWidth]"
    )
    inside, panel, whole = page.js(wide)
    assert inside <= panel
    assert whole <= 390
    assert page.one("#moment [aria-label='Next frame']").is_displayed()


def test_the_address_of_a_moment_leads_to_the_same_frame(page: Any, runs: Path) -> None:
    """Also if the times of the log are those since 1970, of which ten digits are whole seconds."""
    with trainlog.create(runs / "a.flog", {}) as log:
        for n in range(300):
            log.write(Frame(1.7e9 + n / 100, Kind.CREATURE, {"step": n, "speed": n / 10}))
            log.write(Frame(1.7e9 + n / 100, Kind.STATS, {"step": n, "reward": n}))
    page.open("?x=time").drawn("learning")
    page.point("learning", 0.6, click=True)
    page.until(lambda: step_shown(page) > 0)
    step = step_shown(page)
    page.until(lambda: "at=" in page.driver.current_url)
    page.drag("learning", 0.55, 0.7)
    page.until(lambda: "zoom=" in page.driver.current_url)
    zoom = page.js("return new URL(location).searchParams.get('zoom').split(':').map(Number)")
    assert 0 < zoom[1] - zoom[0] < 0.9
    page.driver.refresh()
    page.until(lambda: step_shown(page) > 0)
    assert step_shown(page) == step


def test_keys_of_a_frame_may_be_names_that_javascript_has(page: Any, runs: Path) -> None:
    frame = {"step": 1, "constructor": 1.5, "toString": [2.0, 3.0], "valueOf": [1.0, 2.0, 3.0, 4.0]}
    with trainlog.create(runs / "a.flog", {}) as log:
        log.write(Frame(0.0, Kind.CREATURE, frame))
        log.write(Frame(0.0, Kind.STATS, {"step": 1, "reward": 1.0}))
    page.open().drawn("learning")
    page.point("learning", 0.5, click=True)
    page.until(lambda: step_shown(page) == 1)
    lines = "return [...document.querySelectorAll('#moment tr')].map((one) => one.innerText.split(/\\s+/).join(' '))"
    page.until(lambda: page.js(lines))
    assert page.js(lines) == ["step 1", "constructor 1.5", "toString 2, 3"]
    assert page.text("#moment h3") == "valueOf, 4 numbers"


def test_the_moment_is_of_a_shown_run(page: Any, runs: Path) -> None:
    for name in "ab":
        robot(runs / f"{name}.flog", 2000)
    page.open("?runs=" + page.site.id("a.flog")).drawn("learning")
    page.point("learning", 0.5, click=True)
    page.until(lambda: step_shown(page) > 0)
    page.one(".run[title^='b.flog'] .dot").click()
    page.until(lambda: len(page.all(".chip")) == 2)
    assert page.one("#moment").is_displayed()
    page.one(".run[title^='b.flog']").click()
    page.until(lambda: page.text("#about b") == "b.flog")
    page.until(lambda: not page.one("#moment").is_displayed())


def test_the_range_of_an_episodes_steps_is_left(page: Any, simion: str) -> None:
    """By the key for the whole range, and by another axis, on which its numbers mean something else."""
    card = "creature/state/angle"
    page.open(f"?runs={page.site.id(simion)}:0&episode={page.site.id(simion)}:5&x=step")
    page.until(lambda: "Episode 5" in page.text("#board"))
    page.show(card)
    page.drawn(card)
    whole = page.ink(card)
    page.drag(card, 0.5, 0.7)
    page.until(lambda: page.ink(card) != whole)
    page.press("0")
    page.until(lambda: page.ink(card) == whole)
    page.drag(card, 0.5, 0.7)
    page.until(lambda: page.ink(card) != whole)
    page.select("#axis", "time")
    page.until(lambda: " over time " in page.one(f'[data-card="{card}"] canvas').get_attribute("aria-label"))
    page.drawn(card)
