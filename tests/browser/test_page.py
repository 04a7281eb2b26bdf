"""What a person does with the page, done by a real browser against a log that a process is writing at that moment."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import trainlog

SIX = ["ball", "actor", "learning", "cerebellum", "stability", "behavior"]


def test_every_chart_appears(page: Any, writer: Any) -> None:
    writer.steps(60)
    page.open()
    for card in SIX:
        page.show(page.one(f'[data-card="{card}"]').get_attribute("data-card"))
        page.drawn(card)
    titles = [page.text(f'[data-card="{card}"] h3') for card in SIX]
    assert titles == [
        *["Ball distance (m)", "SNN actor vs CPG", "Task PE & reward", "Cerebellum", "Stability & speed"],
        "Behavior timeline",
    ]
    groups = [element.text for element in page.all(".group h2 button")]
    assert [name.lstrip("▾▸ ") for name in groups] == ["loss", "gait", "creature: general"]
    for card in ("stats/loss/policy", "stats/gait_3"):
        page.show(card)
        page.drawn(card)


def test_new_points_are_pushed_to_the_screen(page: Any, writer: Any) -> None:
    writer.steps(20)
    page.open("?x=step")
    page.drawn("learning")
    writer.steps(1, reward=99.0)
    page.until(lambda: page.values("learning")[0] == "99")
    page.look_at_requests()
    asked = len(page.requests)
    for reward in (101.0, 202.0, 303.0):
        before = page.ink("learning")
        writer.steps(1, reward=reward)
        page.until(lambda reward=reward: page.values("learning")[0] == f"{reward:.0f}")
        page.until(lambda before=before: page.ink("learning") != before)
    assert not any("/series" in url for url in page.look_at_requests()[asked:]), "the stream brings them"


def test_a_run_that_begins_is_in_the_list_by_itself(page: Any, runs: Path) -> None:
    page.open()
    page.until(lambda: "No logs here yet" in page.text("#empty"))
    with trainlog.TrainingRecorder(runs / "deep" / "er.flog", "hopper", "hop") as log:
        log.record_stats_frame(None, {"step": 1, "reward": 2.0})
        page.until(lambda: page.text(".run .name") == "deep/er.flog")
        page.until(lambda: page.text(".run .mark") == "running")
        assert "hopper · hop" in page.text(".run .task")
        page.drawn("learning")  # it is opened, too
    page.one(".run").click()
    page.until(lambda: "No run is chosen" in page.text("#empty"))
    trainlog.create(runs / "second.flog", {}).close()
    page.until(lambda: len(page.all(".run")) == 2)
    assert "No run is chosen" in page.text("#empty")


def test_the_first_logs_of_a_folder_may_be_damaged(page: Any, runs: Path) -> None:
    page.open()
    page.until(lambda: "No logs here yet" in page.text("#empty"))
    (runs / "cut.flog").write_bytes(b"FLOG\x01\x00\x00\xff\x00\x00\x00{")
    page.until(lambda: page.text(".run .wrong"))
    page.until(lambda: "No run is chosen" in page.text("#empty"))
    long_run(runs / "whole.flog", 100)
    page.drawn("learning")


def long_run(path: Path, count: int = 30_000) -> None:
    with trainlog.create(path, {"creature": "long"}) as log:
        for n in range(count):
            data = {"step": n, "reward": math.sin(n / 900), "noise": (n * 7919) % 101 / 101}
            log.write(trainlog.Frame(n / 100, trainlog.Kind.STATS, data))


def test_zoom_fetches_the_range_again_at_full_resolution(page: Any, runs: Path) -> None:
    long_run(runs / "long.flog")
    page.open("?x=step")
    page.drawn("stats/noise")
    page.until(lambda: page.text('[data-card="stats/noise"] .note') == "thinned")
    before = page.ink("stats/noise")
    page.drag("learning", 0.5, 0.53)
    page.until(lambda: "zoom=" in page.driver.current_url)
    page.until(lambda: page.text('[data-card="stats/noise"] .note') == "")  # linked, and every row is there
    assert page.ink("stats/noise") != before
    assert any("from=" in url and "noise" in url for url in page.look_at_requests())
    page.press("0")
    page.until(lambda: page.text('[data-card="stats/noise"] .note') == "thinned")
    assert "zoom=" not in page.driver.current_url


def test_hover_is_linked(page: Any, writer: Any) -> None:
    writer.steps(40)
    page.open("?x=step")
    page.drawn("learning")
    page.drawn("actor")
    last = page.values("actor")
    page.point("learning", 0.3)
    page.until(lambda: page.values("actor") not in (last, ["", ""]))
    page.point("learning", 0.9)
    assert page.values("learning")[0] != "–"


def test_smoothing_of_an_older_address_keeps_the_raw_curve(page: Any, writer: Any) -> None:
    writer.steps(40)
    page.open("?x=step")
    page.drawn("learning")
    plain = page.ink("learning")
    page.open("?x=step&smooth=0.9")
    page.until(lambda: page.text('[data-card="learning"] .note') == "exponential mean, 0.9, trailing")
    page.until(lambda: page.ink("learning") not in (0, plain))
    weights = [0.9 ** (39 - n) for n in range(40)]
    mean = sum(w * (5 + n % 7) for n, w in enumerate(weights)) / sum(weights)
    assert abs(float(page.values("learning")[0]) - mean) < 0.01
    page.point("learning", 0.99)
    page.until(lambda: f"({5 + 39 % 7})" in page.text(".tip"))


def test_runs_are_compared(page: Any, writer: Any, runs: Path) -> None:
    from selenium.webdriver import ActionChains, Keys

    writer.steps(30)
    long_run(runs / "other.flog", 300)
    page.open()
    page.until(lambda: len(page.all(".run")) == 2)
    page.drawn("learning")
    other = page.one(".run[aria-pressed=false]")
    ActionChains(page.driver).key_down(Keys.CONTROL).click(other).key_up(Keys.CONTROL).perform()
    page.until(lambda: len(page.all('[data-card="learning"] .legend .name')) == 2)
    names = "return [...document.querySelectorAll('[data-card=learning] .legend .name')].map((one) => one.textContent)"
    shown = page.js(names)
    assert sorted(shown) == ["live.flog", "other.flog"]
    fill = "return [...document.querySelectorAll(arguments[0])].map((one) => getComputedStyle(one).backgroundColor)"
    colors = page.js(fill, ".run[aria-pressed=true] .dot")
    assert len(set(colors)) == 2
    assert set(page.js(fill, "[data-card=learning] .swatch")) == set(colors)
    page.until(lambda: "," in page.driver.current_url.partition("runs=")[2])
    page.driver.refresh()
    page.until(lambda: len(page.all('[data-card="learning"] .legend .name')) == 2)
    page.one(".run[aria-pressed=true]").click()  # this one alone
    page.until(lambda: len(page.all(".run[aria-pressed=true]")) == 1)


def test_the_moment(page: Any, writer: Any) -> None:
    writer.steps(50)
    page.open("?x=step")
    page.drawn("ball")
    page.point("ball", 0.5, click=True)
    page.until(lambda: not page.one("#moment").get_attribute("hidden"))
    page.until(lambda: "pos (qpos), 19 numbers" in page.text("#moment"))
    assert "vel (qvel), 18 numbers" in page.text("#moment")
    assert "step 2" in page.text("#moment")
    page.until(lambda: "at=" in page.driver.current_url)
    slider = page.one("#moment input[type=range]")
    page.until(lambda: slider.get_attribute("max") == "49")
    before = int(slider.get_attribute("value"))
    assert 20 <= before <= 30
    page.js("const s = document.querySelector('#moment select'); s.value = '1'")
    page.js("arguments[0].value = 10; arguments[0].dispatchEvent(new Event('input'))", slider)
    page.until(lambda: "step 100" in page.text("#moment"))
    page.press(" ")
    page.until(lambda: int(slider.get_attribute("value")) > 10)
    page.driver.refresh()  # the address keeps the moment
    page.until(lambda: "pos (qpos)" in page.text("#moment"))
    from selenium.webdriver import Keys

    page.press(Keys.ESCAPE)
    page.until(lambda: page.one("#moment").get_attribute("hidden"))


def test_events_are_marked_with_their_message(page: Any, writer: Any) -> None:
    writer.steps(20)
    writer.write(("event", ["fall", "it fell on its nose"]))
    writer.steps(20)
    page.open("?x=step")
    page.drawn("ball")

    def read() -> bool:
        page.point("ball", 0.5)
        for place in range(480, 560, 4):
            page.point("ball", place / 1000)
            if "it fell on its nose" in page.text(".tip"):
                return True
        return False

    page.until(read)


def test_axes_scale_search_and_keys(page: Any, writer: Any) -> None:
    writer.steps(40)
    page.open()
    page.drawn("learning")
    before = page.ink("learning")
    assert [option.text for option in page.all("#axis option")] == ["step", "episode", "time (s)", "simulated time (s)"]
    for axis in ("time", "episode", "sim_time"):
        page.select("#axis", axis)
        page.until(lambda before=before: page.ink("learning") not in (0, before))
        page.until(lambda axis=axis: f"x={axis}" in page.driver.current_url)
        before = page.ink("learning")
    page.open("?x=sim")  # as an address of an older version has it
    page.drawn("learning")
    assert page.js("return document.querySelector('#axis').value") == "sim_time"
    before = page.ink("learning")
    page.press("l")
    page.until(lambda: page.ink("learning") != before)
    assert page.one("#log").get_attribute("aria-pressed") == "true"
    page.press("/")
    page.press("gait_7", on=page.driver.switch_to.active_element)
    page.until(lambda: [one.text for one in page.all(".card h3") if one.is_displayed()] == ["gait_7"])
    page.drawn("stats/gait_7")
    page.driver.refresh()
    page.until(lambda: [one.text for one in page.all(".card h3") if one.is_displayed()] == ["gait_7"])


def test_a_chart_by_keyboard(page: Any, writer: Any) -> None:
    from selenium.webdriver import Keys

    writer.steps(40)
    page.open("?x=step")
    page.drawn("ball")
    canvas = page.one('[data-card="ball"] canvas')
    page.js("arguments[0].focus()", canvas)
    last = page.values("ball")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, on=canvas)
    page.until(lambda: page.values("ball") != last)
    page.press("+", on=canvas)
    page.until(lambda: "zoom=" in page.driver.current_url)
    page.press(Keys.ENTER, on=canvas)
    page.until(lambda: "pos (qpos)" in page.text("#moment"))
    page.press("?")
    assert page.one("#keys").is_displayed()


def test_downloads(page: Any, writer: Any) -> None:
    writer.steps(30)
    page.open("?x=step")
    page.drawn("ball")
    page.js(
        "window.kept = []; URL.createObjectURL = (blob) => { window.kept.push(blob); return 'blob:x' }; "
        "HTMLAnchorElement.prototype.click = () => {}"
    )
    for place, text in enumerate(("PNG", "SVG")):
        page.menu("ball", text).click()
        page.until(lambda place=place: page.js("return window.kept.length") == place + 1)
    assert page.js("return window.kept.map((blob) => blob.type)") == ["image/png", "image/svg+xml"]
    svg = page.driver.execute_async_script("window.kept[1].text().then(arguments[0])")
    assert svg.startswith("<svg")
    for text in ("ball_dist", "step", "0.5"):
        assert text in svg
    link = page.menu("ball", "CSV").get_attribute("href")
    table = page.site.get(link.partition(str(page.site.port))[2]).body.decode().splitlines()
    assert table[0] == "time,step,ball_dist"
    assert len(table) == 31


def test_lines_of_ones_own_are_kept_in_the_address(page: Any, writer: Any) -> None:
    writer.steps(30)
    page.open("?x=step")
    page.drawn("learning")
    before = page.ink("learning")
    page.menu("learning", "PNG")
    page.one('[data-card="learning"] .line input').send_keys("8.5, -2\n")
    page.until(lambda: page.ink("learning") not in (0, before))
    page.until(lambda: "card=8.5,-2:learning" in page.driver.current_url)
    after = page.ink("learning")
    page.driver.refresh()
    page.until(lambda: page.ink("learning") == after)


def test_charts_off_the_screen_cost_nothing(page: Any, writer: Any) -> None:
    writer.steps(20)
    page.open("?x=step")
    for card in SIX[:3]:
        page.drawn(card)
    assert len(page.all(".card")) > 25
    assert len(page.all(".card canvas:not(.over)")) < 12
    assert not any("gait_23" in url for url in page.look_at_requests())


def test_simion(page: Any, simion: str) -> None:
    page.open()
    page.until(lambda: len(page.all(".episodes button")) == 35)
    page.drawn("episodes-return")
    assert page.text('[data-card="episodes-return"] .legend').startswith("evaluation")
    page.show("creature/state/angle")
    page.drawn("creature/state/angle")
    assert "(rad)" in page.text('[data-card="creature/state/angle"] h3')
    whole = page.ink("creature/state/angle")
    page.js("document.querySelectorAll('.episodes button')[5].click()")
    page.until(lambda: page.ink("creature/state/angle") not in (0, whole))
    page.until(lambda: "episode=" in page.driver.current_url)
    assert "Episode 5, training" in page.text("#board")
    page.js("document.querySelector('.heat').scrollIntoView({block: 'center'})")
    page.until(lambda: "sample 12 of 12" in page.text(".heat"))
    code = "return document.querySelector('.heat canvas').toDataURL()"
    page.until(lambda: page.js("return document.querySelector('.heat canvas').width") == 16)
    last = page.js(code)
    page.js("const s = document.querySelector('.heat input'); s.value = 3; s.dispatchEvent(new Event('input'))")
    page.until(lambda: page.js(code) != last)
    assert "sample 4 of 12" in page.text(".heat")


def test_a_damaged_file_says_what_is_wrong(page: Any, runs: Path) -> None:
    (runs / "cut.flog").write_bytes(b"FLOG\x01\x00\x00\xff\x00\x00\x00{")
    page.open()
    page.until(lambda: page.text(".run .wrong"))
    page.one(".run").click()
    page.until(lambda: "cannot be shown" in page.text(".trouble"))
    assert "metadata" in page.text(".trouble") or "record" in page.text(".trouble")


def test_a_file_that_is_replaced_begins_anew(page: Any, runs: Path) -> None:
    long_run(runs / "x.flog", 500)
    page.open("?x=step")
    page.drawn("learning")
    (runs / "x.flog").unlink()
    with trainlog.TrainingRecorder(runs / "x.flog") as log:
        log.record_stats_frame(None, {"step": 1, "reward": 77.0})
        page.until(lambda: page.values("learning") == ["77"])
    page.complaints()  # between the two there was no file


def test_the_token_of_the_first_address_is_enough(page: Any, writer: Any, serve: Any, runs: Path) -> None:
    writer.steps(20)
    page.open("?q=nothing")
    page.look_at_requests()
    page.site = serve(runs, token="a-token-of-mine")
    page.driver.get(f"http://127.0.0.1:{page.site.port}/?token=a-token-of-mine&x=step")
    page.drawn("ball")
    assert "token" not in page.driver.current_url
    page.until(lambda: page.text("#link") == "live")
    writer.steps(1, reward=404.0)
    page.until(lambda: page.values("learning")[0] == "404")
    page.driver.get("about:blank")
    page.driver.get_log("performance")  # of another server than the fixture's


def test_light_and_dark(page: Any, writer: Any) -> None:
    writer.steps(20)
    page.open()
    page.drawn("ball")
    light, ink = page.one("body").value_of_css_property("background-color"), page.ink("ball")
    page.press("t")
    page.until(lambda: page.one("body").value_of_css_property("background-color") != light)
    page.until(lambda: page.ink("ball") != ink)
    page.js("localStorage.clear()")
    page.scheme("dark")
    page.driver.refresh()
    page.until(lambda: page.js("return document.documentElement.dataset.theme") == "dark")


@pytest.mark.parametrize("width", [880, 1000, 1280])
def test_the_bar_is_one_line(page: Any, writer: Any, width: int) -> None:
    writer.steps(20)
    page.resize(width, 844)
    page.open("?x=step&zoom=20:100")
    page.until(lambda: page.one("#unzoom").is_displayed())
    assert page.one("#bar").size["height"] < 60


def test_a_phones_width(page: Any, writer: Any) -> None:
    writer.steps(20)
    page.resize(390, 844)
    page.open()
    page.drawn("ball")
    assert page.js("return document.documentElement.scrollWidth") <= 390
    assert not page.one(".run").is_displayed()
    page.one("#menu").click()
    page.until(lambda: page.one(".run").is_displayed())
    page.until(lambda: page.js("return document.querySelector('#side').getBoundingClientRect().left") == 0)


def test_keys_work_after_a_click_on_a_button(page: Any, writer: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    writer.steps(60)
    page.open().drawn("learning")
    page.one("#log").click()
    page.until(lambda: page.js("return document.activeElement.id") == "log")
    ActionChains(page.driver).send_keys("l").perform()
    page.until(lambda: "log=1" not in page.driver.current_url and not page.all("#log[aria-pressed=true]"))
    page.one("#log").send_keys(Keys.SPACE)  # which is the button's own key
    page.until(lambda: page.all("#log[aria-pressed=true]"))
    assert not page.one("#moment").is_displayed()


def test_escape_closes_a_menu_and_nothing_else(page: Any, writer: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    writer.steps(60)
    page.open("?x=step&zoom=100:300").drawn("learning")
    page.one("#views summary").click()
    page.one("#views input")
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    page.until(lambda: not page.all("#views[open]"))
    assert "zoom=" in page.driver.current_url
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    page.until(lambda: "zoom=" not in page.driver.current_url)


@pytest.mark.parametrize("slot", ["-1", "0.5", "Infinity", "x"])
def test_an_address_with_a_wrong_colour_has_curves(page: Any, writer: Any, slot: str) -> None:
    writer.steps(60)
    page.open(f"?runs={page.site.id('live.flog')}:{slot}").drawn("learning")
