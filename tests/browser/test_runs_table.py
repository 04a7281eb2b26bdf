"""Many runs on the page, as a person works with them: filter, table, ranges, groups, names, views."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

import trainlog
from made_runs import log_bytes, make_run, sweep
from trainlog.catalog.notes import NAME


def ready(page: Any, count: int, query: str = "") -> None:
    """Open the page when the server has read all runs."""
    page.site.until(lambda: page.site.get("/api/v1/runs", limit=0).json["total"] == count)
    page.site.until(lambda: page.site.get("/api/v1/runs", limit=0).json["unread"] == 0)
    page.open(query)
    page.until(lambda: page.text("#counts"))


def type_filter(page: Any, text: str) -> None:
    page.js(
        "const f = document.querySelector('#filter'); f.value = arguments[0]; f.dispatchEvent(new Event('input'))", text
    )


def listed(page: Any) -> list[str]:
    return list(page.js("return [...document.querySelectorAll('#runs .run .name')].map((one) => one.textContent)"))


def column(page: Any, number: int) -> list[str]:
    code = """return [...document.querySelectorAll('#table .rows .row')]
        .sort((a, b) => a.dataset.place - b.dataset.place)
        .map((row) => row.children[arguments[0]]?.textContent ?? '')"""
    return [text.removesuffix("✎") for text in page.js(code, number)]


def titles(page: Any) -> list[str]:
    code = (
        "return [...document.querySelectorAll('#table .head .cell > button:first-child')].map((one) => one.textContent)"
    )
    return list(page.js(code))


def open_table(page: Any) -> None:
    page.one("#to-table").click()
    page.until(lambda: page.all("#table .rows .row") and len(titles(page)) > 2)


def test_the_box_understands_the_filter_language(page: Any, runs: Path) -> None:
    from selenium.webdriver import Keys

    sweep(runs)
    ready(page, 6)
    page.until(lambda: len(listed(page)) == 6)
    for text, expected in (
        ("algo:sac", 3),
        ("lr=0.0003 seed=1", 2),
        ("reward>105", 2),
        ("-sac", 3),
        ("/^sac.*[12]/", 2),
        ("no-run-is-called-so", 0),
    ):
        type_filter(page, text)
        page.until(lambda expected=expected: len(listed(page)) == expected)
    assert "0 of 6 runs" in page.text("#counts")
    type_filter(page, "lr=")
    page.until(lambda: "a value is missing" in page.text("#counts"))
    type_filter(page, "algo:sac seed>0")
    page.until(lambda: sorted(listed(page)) == ["sac/1.flog", "sac/2.flog"])
    page.until(lambda: "filter=algo:sac+seed" in page.driver.current_url)
    page.driver.refresh()
    page.until(lambda: sorted(listed(page)) == ["sac/1.flog", "sac/2.flog"])
    page.press(Keys.ESCAPE, on=page.one("#filter"))  # the text and the filter go together
    page.until(lambda: len(listed(page)) == 6)
    assert page.js("return document.querySelector('#filter').value") == ""
    # The browser says of each 400 that there was one, also where the list was asked for again by itself.
    assert [text for text in page.complaints() if "filter=lr%3D" not in text] == []


def test_keys_and_values_are_completed(page: Any, runs: Path) -> None:
    from selenium.webdriver import Keys

    sweep(runs)
    ready(page, 6)
    page.until(lambda: len(page.all("#group option")) > 2)  # the columns are known
    box = page.one("#filter")
    box.click()
    page.press("al", on=box)
    page.until(lambda: "algo:" in page.text(".complete"))
    page.press(Keys.ARROW_DOWN, Keys.ENTER, on=box)
    page.until(lambda: "sac" in page.text(".complete"))
    page.press("s", Keys.ARROW_DOWN, Keys.ENTER, on=box)
    assert page.js("return document.querySelector('#filter').value") == "algo:sac "
    page.until(lambda: len(listed(page)) == 3)
    # Where the answer of the completion is late, what was typed so far is asked for, and is no filter yet.
    assert [text for text in page.complaints() if "filter=algo%3A&" not in text] == []


@pytest.mark.parametrize("key", ["learning rate", "or"])
def test_a_completed_key_that_is_no_word_is_quoted(page: Any, runs: Path, key: str) -> None:
    from selenium.webdriver import Keys

    for seed in range(3):
        make_run(runs / f"{seed}.flog", {key: seed}, [{"reward": 1.0}])
    ready(page, 3)
    page.until(lambda: len(page.all("#group option")) > 2)
    box = page.one("#filter")
    box.click()
    page.press(key[:5], on=box)
    page.until(lambda: key in page.text(".complete"))
    page.press(Keys.ARROW_DOWN, Keys.ENTER, "2", on=box)
    page.until(lambda: listed(page) == ["2.flog"])
    assert [text for text in page.complaints() if "filter=" not in text] == []  # unfinished filters


def test_the_state_of_a_run_is_pushed(page: Any, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainlog.catalog.states.LIVE", 0.3)
    monkeypatch.setattr("trainlog.catalog.states._SILENT", 2.0)
    (runs / "killed.flog").write_bytes(log_bytes({}, [{"reward": 1.0}] * 5)[:-3])
    os.utime(runs / "killed.flog", (1e9, 1e9))
    state = "return document.querySelector(`.run[title^='${arguments[0]}'] .state`)?.textContent"
    with trainlog.create(runs / "live.flog", {}) as log:
        rows = itertools.count()

        def is_running() -> bool:
            n = next(rows)
            log.write(trainlog.Frame(float(n), trainlog.Kind.STATS, {"step": n, "reward": 1.0}))
            return bool(page.js(state, "live.flog") == "running")

        assert not is_running()
        ready(page, 2)
        page.until(lambda: page.js(state, "killed.flog") == "killed")
        pulse = "return getComputedStyle(document.querySelector('.state.killed'), '::before').animationName"
        assert page.js(pulse) == "none"
        page.until(is_running)
        page.until(lambda: page.js(state, "live.flog") == "stalled")
    page.until(lambda: page.js(state, "live.flog") == "ended")


def test_the_table(page: Any, runs: Path) -> None:
    from selenium.webdriver import Keys

    sweep(runs)
    ready(page, 6)
    open_table(page)
    page.until(lambda: titles(page)[:3] == ["run", "state", "algo"])
    assert "reward" in titles(page)
    assert "args/lr" not in titles(page)  # all have the same
    assert not page.one("#side").is_displayed()
    page.js("[...document.querySelectorAll('#table .head button')].find((one) => one.textContent === 'reward').click()")
    page.until(lambda: column(page, 0)[0] == "sac/2.flog")
    page.until(lambda: "sort=-last" in page.driver.current_url)
    place = [title.split(" ")[0] for title in titles(page)].index("reward")
    page.until(lambda: column(page, place) == ["120", "110", "100", "20", "10", "0"])
    page.js("document.querySelector('#table .columns').open = true")
    page.until(lambda: page.all("#table .choices label"))
    for name in ("args/lr", "mean/reward"):
        labels = "[...document.querySelectorAll('#table .choices label')]"
        page.js(f"{labels}.find((one) => one.textContent === arguments[0]).click()", name)
        page.until(lambda name=name: name in titles(page))
    page.until(lambda: column(page, titles(page).index("mean/reward"))[0] == "60")
    page.js("document.querySelector('#differs').click()")
    page.until(lambda: "args/lr" not in titles(page))
    page.js("document.querySelector('#differs').click()")
    page.until(lambda: "args/lr" in titles(page))
    page.js("document.querySelector('[data-column=algo] .hide').click()")
    page.until(lambda: "algo" not in titles(page))
    head = page.one("[data-column=seed] button")
    page.js("document.querySelector('#table .columns').open = false; arguments[0].focus()", head)
    before = titles(page).index("seed")
    from selenium.webdriver import ActionChains

    ActionChains(page.driver).key_down(Keys.ALT).send_keys(Keys.ARROW_RIGHT).key_up(Keys.ALT).perform()
    page.until(lambda: titles(page).index("seed") == before + 1)
    shown = titles(page)
    written = "return (new URLSearchParams(location.search).get('columns') ?? '').split(',')"
    names = "return [...document.querySelectorAll('#table [data-column]')].map((one) => one.dataset.column)"
    page.until(lambda: page.js(written) == page.js(names))  # the address is written a moment later
    page.driver.refresh()
    page.until(lambda: titles(page) == shown)
    page.until(lambda: page.js("return document.querySelector('#table .rows .row')?.offsetHeight") == 28)
    page.press("v")
    page.until(lambda: page.one("#side").is_displayed())


def test_columns_with_commas_and_those_that_do_not_differ_are_kept(page: Any, runs: Path) -> None:
    for n in range(2):
        make_run(runs / f"{n}.flog", {"a,b": n, "same": 7, "seed": n}, [{"reward": 1.0}])
    ready(page, 2)
    open_table(page)
    page.js("document.querySelector('#table .columns').open = true")
    labels = "[...document.querySelectorAll('#table .choices label')]"
    page.until(lambda: page.all("#table .choices label"))
    page.js(f"{labels}.find((one) => one.textContent === 'same').click()")
    page.until(lambda: "same" in titles(page))
    page.js("document.querySelector('#differs').click()")
    page.until(lambda: "same" not in titles(page))
    page.js("document.querySelector('[data-column=seed] .hide').click()")
    page.until(lambda: "seed" not in titles(page))
    page.js("document.querySelector('#differs').click()")  # what the choice hid is not gone
    page.until(lambda: "same" in titles(page) and "seed" not in titles(page))
    place = titles(page).index("a,b")
    page.until(lambda: sorted(column(page, place)) == ["0", "1"])
    shown = titles(page)
    page.until(lambda: "same" in page.driver.current_url and "seed" not in page.driver.current_url)
    page.driver.refresh()
    page.until(lambda: titles(page) == shown)
    page.until(lambda: sorted(column(page, place)) == ["0", "1"])


def test_a_table_of_many_runs_has_few_rows_on_the_page(page: Any, runs: Path) -> None:
    raw = log_bytes({"algo": "sac"}, [{"step": 1, "reward": 1.0}])
    for n in range(1200):
        (runs / f"{n:04}.flog").write_bytes(raw)
    ready(page, 1200, "?table=1&sort=run")
    page.until(lambda: column(page, 0)[:2] == ["0000.flog", "0001.flog"])
    assert page.text(".select-all") == "Show the first 1,000 of 1,200"  # curves of more are not drawn
    assert len(page.all("#table .rows .row")) < 80
    page.js("const g = document.querySelector('#table .grid'); g.scrollTop = g.scrollHeight")
    page.until(lambda: "1199.flog" in column(page, 0))
    assert len(page.all("#table .rows .row")) < 80
    page.press("v")
    page.until(lambda: page.all("#runs .run"))
    assert len(page.all("#runs .run")) < 80


@pytest.mark.parametrize("total", [50, 100_000, 1_000_000])
def test_every_row_of_a_list_is_reached(page: Any, runs: Path, total: int) -> None:
    """Also where all of them together are higher than a browser lays out."""
    make_run(runs / "a.flog", {}, [{"step": 1}])
    ready(page, 1)
    seen = """
        const [total] = arguments;
        return import("/static/virtual.js").then(({ VirtualRows }) => {
            const [place, head, list] = [0, 1, 2].map(() => document.createElement("div"));
            place.style.cssText = "position: fixed; inset: 0; height: 400px; overflow: auto";
            head.style.height = "30px";
            list.style.position = "relative";
            place.append(head, list);
            document.body.append(place);
            const rows = new VirtualRows(place, list, 48, (number) => {
                const row = document.createElement("div");
                row.style.cssText = "position: absolute; height: 48px";
                row.textContent = String(number);
                return row;
            });
            rows.setTotal(total);
            const whole = () => [...list.children].filter((row) => {
                const { top, bottom } = row.getBoundingClientRect();
                return top >= 0 && bottom <= place.clientHeight;
            }).map((row) => Number(row.textContent));
            const found = [0, 7, total - 1, 10, Math.floor(total / 2), total - 2].map((number) => {
                rows.show(number);
                return whole().includes(number) ? number : whole();
            });
            place.scrollTop = place.scrollHeight;
            rows.draw();
            const last = whole().at(-1), made = list.children.length;
            place.scrollTop = 0;
            rows.draw();
            const first = whole()[0];
            place.remove();
            return [found, first, last, made];
        });
    """
    found, first, last, made = page.js(seen, total)
    assert found == [0, 7, total - 1, 10, total // 2, total - 2]
    assert (first, last) == (0, total - 1)
    assert made < 40


def test_ranges_and_all_that_fit(page: Any, runs: Path) -> None:
    from selenium.webdriver import ActionChains, Keys

    for n in range(60):
        make_run(
            runs / f"{n:02}.flog",
            {"algo": "sac" if n < 45 else "ppo", "seed": n},
            [{"step": k, "reward": float(n + k)} for k in range(5)],
        )
    ready(page, 60, "?table=1&sort=run")
    page.until(lambda: column(page, 0)[:2] == ["00.flog", "01.flog"])
    row = "#table .row[data-place='{}'] .name"
    page.one(row.format(1)).click()
    ActionChains(page.driver).key_down(Keys.SHIFT).click(page.one(row.format(6))).key_up(Keys.SHIFT).perform()
    page.until(lambda: len(page.all("#table .row[aria-selected=true]")) == 6)
    type_filter(page, "algo:sac")
    page.until(lambda: "45 that match" in page.text(".select-all"))
    page.one(".select-all").click()
    page.until(lambda: "45 shown" in page.text("#table .tools"))
    dots = "return [...document.querySelectorAll('#table .row[aria-selected=true] .dot')]"
    colors = f"{dots}.map((one) => one.style.background)"
    assert len(set(page.js(colors))) == len(page.js(colors)) > 20  # none is there twice
    page.press("v")
    page.until(lambda: len(page.all(".chip")) == 45)
    page.drawn("learning")
    page.until(lambda: page.text("#link") in ("live", "connected"))
    top = page.js("return document.querySelector('[data-card=learning]').getBoundingClientRect().top")
    assert top < 300  # the runs take two lines above it
    page.one(".chip .gone").click()
    page.until(lambda: len(page.all(".chip")) == 44)


def test_a_range_begins_at_the_run_that_was_chosen(page: Any, runs: Path) -> None:
    """Also when the list has another order by then, as it often has while runs grow."""
    from selenium.webdriver import ActionChains, Keys

    for n in range(4):
        make_run(runs / f"{n}.flog", {"seed": n}, [{"step": k, "reward": float(k)} for k in range(5 + n)])
    ready(page, 4, "?sort=run")
    row = "#runs .run[data-place='{}']"
    page.until(lambda: listed(page) == ["0.flog", "1.flog", "2.flog", "3.flog"])
    page.one(row.format(1)).click()
    page.select("#sort", "-frames")
    page.until(lambda: listed(page) == ["3.flog", "2.flog", "1.flog", "0.flog"])
    ActionChains(page.driver).key_down(Keys.SHIFT).click(page.one(row.format(3))).key_up(Keys.SHIFT).perform()
    page.until(lambda: len(page.all("#runs .run[aria-pressed=true]")) > 1)
    chosen = "return [...document.querySelectorAll('#runs [aria-pressed=true] .name')].map((one) => one.textContent)"
    assert page.js(chosen) == ["1.flog", "0.flog"]


def test_groups_of_seeds(page: Any, runs: Path) -> None:
    sweep(runs, seeds=4)
    ids = ready(page, 8) or ",".join(page.site.get("/api/v1/ids").json["ids"])
    page.open(f"?runs={ids}&x=step")
    page.drawn("learning")
    page.until(lambda: len(page.all(".chip")) == 8)
    page.until(lambda: len(page.all("#group option")) > 2)
    page.select("#group", "*")
    chips = "return [...document.querySelectorAll('.chip .name')].map((one) => one.textContent).sort()"
    page.until(lambda: page.js(chips) == ["ppo", "sac"])
    page.drawn("learning")
    page.until(
        lambda: sorted(page.values("learning")) == ["115", "15"]
    )  # the means of 0, 10, 20, 30 and of 100 ... 130
    page.select("#group", "seed")
    page.until(lambda: page.js(chips) == ["seed 0", "seed 1", "seed 2", "seed 3"])
    page.until(lambda: sorted(page.values("learning")) == ["50", "60", "70", "80"])
    assert page.text('[data-card="behavior"] .said') == "Groups have no curves of words."
    page.until(lambda: "group=seed" in page.driver.current_url)
    page.select("#center", "median")
    page.until(lambda: any("center=median" in url and "keys=" in url for url in page.look_at_requests()))
    page.driver.refresh()
    page.until(lambda: page.js(chips) == ["seed 0", "seed 1", "seed 2", "seed 3"])
    page.select("#group", "")
    page.until(lambda: len(page.all(".chip")) == 8)


def test_the_last_choice_of_groups_counts(page: Any, runs: Path) -> None:
    """Also if the answer about an earlier one comes after it."""
    sweep(runs)
    ready(page, 6)
    page.open("?runs=" + ",".join(page.site.get("/api/v1/ids").json["ids"]))
    page.drawn("learning")
    page.until(lambda: len(page.all("#group option")) > 2)
    page.js("""
        const ask = window.fetch, late = new Promise((done) => { window.answer = done; });
        window.fetch = async (place, request) => {
            const found = await ask(place, request);
            if (!String(place).includes("by=seed")) return found;
            await late;
            setTimeout(() => { window.answered = true; }, 200);
            return found;
        };""")
    chips = "return [...document.querySelectorAll('.chip .name')].map((one) => one.textContent).sort()"
    page.select("#group", "seed")
    page.select("#group", "algo")
    page.until(lambda: page.js(chips) == ["ppo", "sac"])
    page.js("window.answer()")
    page.until(lambda: page.js("return window.answered"))
    assert page.js(chips) == ["ppo", "sac"]
    page.drawn("learning")


def test_a_run_that_is_twice_in_an_address_is_shown_once(page: Any, runs: Path) -> None:
    sweep(runs)
    ready(page, 6)
    a, b = page.site.get("/api/v1/ids", filter="ppo seed<2", sort="run").json["ids"]
    page.open(f"?runs={a},{b},{a}:5&group=*")
    page.until(lambda: "2 shown" in page.text("#counts"))
    page.until(lambda: "(n=2)" in page.text('[data-card="learning"] .legend'))


def test_names_tags_notes_and_views_are_kept(page: Any, runs: Path) -> None:
    sweep(runs)
    ready(page, 6, "?filter=sac+seed=1")
    page.until(lambda: listed(page) == ["sac/1.flog"])
    page.drawn("learning")
    page.js("document.querySelector('.about .act').click()")
    for name, text in (("name", "the good one"), ("tags", "keep, paper"), ("note", "seed 1, <b>odd</b>")):
        page.one(f"#notes [name={name}]").send_keys(text)
    page.one("#notes [value=keep]").click()
    page.until(lambda: listed(page) == ["the good one"])
    page.until(lambda: page.text(".about .note") == "seed 1, <b>odd</b>")
    said = {"name": "the good one", "tags": ["keep", "paper"], "note": "seed 1, <b>odd</b>"}
    assert json.loads((runs / NAME).read_text())["runs"] == {"sac/1.flog": said}
    page.one("#views summary").click()
    page.one("#views form input").send_keys("mine\n")
    page.until(lambda: page.text("#views a") == "mine")
    page.open()
    type_filter(page, "tags:paper")
    page.until(lambda: listed(page) == ["the good one"])
    page.one("#views summary").click()
    page.one("#views a").click()
    page.until(lambda: "filter=sac+seed" in page.driver.current_url)
    page.until(lambda: listed(page) == ["the good one"])
    page.drawn("learning")


def name_a_run(page: Any, runs: Path) -> None:
    """Write a name into the dialog of a run, without keeping it yet."""
    sweep(runs)
    ready(page, 6, "?filter=sac+seed=1")
    page.drawn("learning")
    page.js("document.querySelector('.about .act').click()")
    page.one("#notes [name=name]").send_keys("the good one")


def test_notes_are_kept_after_a_restart_of_the_server(page: Any, runs: Path) -> None:
    name_a_run(page, runs)
    page.site.server.config.app._app.state.shared.write_token = "that of the next process"
    page.one("#notes [value=keep]").click()
    page.until(lambda: listed(page) == ["the good one"])


def test_a_dialog_changes_only_what_was_changed_in_it(page: Any, runs: Path) -> None:
    """Another window can have changed the rest while it was open."""
    name_a_run(page, runs)
    (runs / NAME).write_text(json.dumps({"runs": {"sac/1.flog": {"tags": ["keep"], "note": "of another window"}}}))
    page.one("#notes [value=keep]").click()
    page.until(lambda: listed(page) == ["the good one"])
    said = {"name": "the good one", "tags": ["keep"], "note": "of another window"}
    assert json.loads((runs / NAME).read_text())["runs"] == {"sac/1.flog": said}


def test_a_folder_that_is_only_read_says_so(page: Any, runs: Path, serve: Any) -> None:
    sweep(runs)
    page.site = serve(runs, read_only=True)
    ready(page, 6)
    page.one("#views summary").click()
    page.until(lambda: "--read-only" in page.text("#views"))
    page.driver.get("about:blank")
    page.driver.get_log("performance")  # of another server than the fixture's


def test_hyper_parameters_are_on_the_page(page: Any, runs: Path) -> None:
    make_run(
        runs / "a.flog",
        {"algo": "sac", "args": {"lr": 3e-4, "tau": 0.005}},
        [{"step": n, "reward": n} for n in range(3)],
    )
    make_run(
        runs / "b.flog",
        {"algo": "sac", "args": {"lr": 1e-3, "tau": 0.005}},
        [{"step": n, "reward": n} for n in range(3)],
    )
    ready(page, 2)
    page.until(lambda: "Hyper-parameters (3)" in page.text(".metadata summary"))
    page.one(".metadata summary").click()
    page.until(lambda: "args/tau" in page.text(".metadata"))
    page.open("?runs=" + ",".join(page.site.get("/api/v1/ids", sort="run").json["ids"]))
    page.until(lambda: "1 of 3 differ" in page.text(".metadata summary"))
    page.one(".metadata summary").click()
    page.until(lambda: "args/lr" in page.text(".metadata"))
    assert "args/tau" not in page.text(".metadata")
    page.one(".metadata input").click()
    page.until(lambda: "args/tau" in page.text(".metadata"))


def test_hyper_parameters_have_all_digits(page: Any, runs: Path) -> None:
    """Also seeds beyond 2^53, and numbers just below 1."""
    for n, gamma in enumerate((0.9997, 0.9999)):
        make_run(runs / f"{n}.flog", {"gamma": gamma, "seed": 2**62 + n, "lr": 1.2345e-4}, [{"step": 1, "reward": 1.0}])
    ready(page, 2, "?table=1&sort=run&columns=gamma,seed,lr")
    page.until(lambda: column(page, 1) == ["0.9997", "0.9999"])
    seeds = ["4,611,686,018,427,387,904", "4,611,686,018,427,387,905"]
    assert column(page, 2) == seeds
    assert column(page, 3) == ["0.00012345"] * 2
    page.open("?runs=" + ",".join(page.site.get("/api/v1/ids", sort="run").json["ids"]))
    page.until(lambda: "2 of 3 differ" in page.text(".metadata summary"))
    page.one(".metadata summary").click()
    cells = "return [...document.querySelectorAll('.metadata tbody td')].map((one) => one.textContent)"
    page.until(lambda: page.js(cells) == ["gamma", "0.9997", "0.9999", "seed", *seeds])
    page.open("?runs=" + page.site.id("1.flog"))
    page.until(lambda: f"seed {seeds[1]}" in page.text(".about"))


def test_a_click_on_a_group_opens_the_run_that_is_nearest(page: Any, runs: Path) -> None:
    from selenium.webdriver import ActionChains

    sweep(runs, seeds=4)
    ready(page, 8)
    ids = ",".join(page.site.get("/api/v1/ids", filter="ppo", sort="run").json["ids"])
    page.open(f"?runs={ids}&x=step&group=*&band=minmax")
    page.until(lambda: page.values("learning") == ["15"])
    page.point("learning", 0.9)
    page.until(lambda: "0.flog, 1.flog, 2.flog, 3.flog" in page.text(".tip"))
    assert "(n=4)" in page.text(".tip")
    canvas = page.one('[data-card="learning"] canvas')
    height = canvas.size["height"]
    right = canvas.size["width"] / 2 - 14  # of the last step, where the rewards are 0, 10, 20 and 30
    for up, name in ((20, "3.flog"), (height - 26, "0.flog"), (0.36 * height, "2.flog")):
        chain = ActionChains(page.driver, duration=0)
        chain.move_to_element_with_offset(canvas, int(right), int(up - height / 2)).click().perform()
        page.until(lambda name=name: page.text("#moment h2") == name)
        right = page.one('[data-card="learning"] canvas').size["width"] / 2 - 14  # the panel has made it narrower
    page.until(lambda: f"at={page.site.id('ppo/2.flog')}" in page.driver.current_url)
    page.driver.refresh()
    page.until(lambda: page.text("#moment h2") == "2.flog")
    page.until(lambda: not page.one("#moment input[type=range]").is_enabled())
    page.complaints()  # these runs have no path to be shown, of which the browser tells


def test_groups_grow_as_their_runs_do(page: Any, runs: Path) -> None:
    logs = [trainlog.create(runs / f"{seed}.flog", {"algo": "sac", "seed": seed}) for seed in range(2)]

    def write(step: int, *rewards: float) -> None:
        for log, reward in zip(logs, rewards, strict=True):
            log.write(trainlog.Frame(float(step), trainlog.Kind.STATS, {"step": step, "reward": reward}))

    write(0, 1.0, 3.0)
    write(1, 2.0, 4.0)
    ready(page, 2)
    page.open("?x=step&group=*&runs=" + ",".join(page.site.get("/api/v1/ids", sort="run").json["ids"]))
    page.until(lambda: page.values("learning") == ["3"])
    write(2, 50.0, 70.0)
    page.until(lambda: page.values("learning") == ["60"])
    write(3, 500.0, 700.0)
    for log in logs:
        log.close()
    page.until(lambda: page.values("learning") == ["600"])


def test_what_leaves_a_chart_of_groups_is_of_its_runs(page: Any, runs: Path) -> None:
    sweep(runs)
    ready(page, 6)
    ids = ",".join(page.site.get("/api/v1/ids", sort="run").json["ids"])
    page.open(f"?runs={ids}&x=step&group=algo&band=std")
    page.until(lambda: len(page.all('[data-card="learning"] .legend .name')) == 2)
    command = page.menu("learning", "Copy the command").get_attribute("title")
    assert "sac/2.flog" in command
    assert "--by algo --center mean --band std" in command
    assert page.menu("learning", "CSV of 6 runs")
    page.js("URL.createObjectURL = (blob) => { window.kept = blob; return 'blob:x' }")
    page.js("HTMLAnchorElement.prototype.click = () => {}")
    page.choose("learning", "SVG")
    page.until(lambda: page.js("return Boolean(window.kept)"))
    assert "sac" in page.driver.execute_async_script("window.kept.text().then(arguments[0])")


def test_runs_of_a_sweep_have_names_that_tell_them_apart(page: Any, runs: Path) -> None:
    for name in ("a/0.flog", "a/1.flog", "b/0.flog", "b/1.flog", "c/d/log.flog", "c/e/log.flog"):
        make_run(runs / name, {}, [{"step": n, "reward": n} for n in range(3)])
    ready(page, 6)
    page.open("?runs=" + ",".join(page.site.get("/api/v1/ids", sort="run").json["ids"]))
    chips = "return [...document.querySelectorAll('.chip .name')].map((one) => one.textContent)"
    page.until(lambda: page.js(chips) == ["a/0.flog", "a/1.flog", "b/0.flog", "b/1.flog", "d", "e"])


def test_who_asked_for_the_list_first_has_the_newest_one(page: Any, runs: Path) -> None:
    """Else a page that asks twice while it opens would find no run to begin with."""
    sweep(runs)
    ready(page, 6)
    found = page.driver.execute_async_script(
        """const done = arguments[0];
        import("/static/runs.js").then(({Runs}) => {
          const runs = new Runs();
          const first = runs.refresh();
          runs.refresh();
          first.then(() => done([runs.listed, runs.places.length]));
        });"""
    )
    assert found == [True, 6]
