"""Each sentence of docs/dashboard.md on who may see what."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from click.testing import CliRunner

import trainlog
from handmade import Flog
from served import Site
from trainlog.server.app import create_app
from trainlog.server.app_state import Limits
from trainlog.server.security import is_loopback, new_token

LOG = Flog.header({"creature": "go2"}) + Flog.frame(0.5, 2, {"step": 1, "reward": 2.0})
SECRET = Flog.header({"creature": "secret"}) + Flog.frame(0.5, 2, {"step": 1, "secret": 7.0})

OUTSIDE = [
    *["../secret.flog", "../../etc/passwd", "x/../../secret.flog", "/etc/passwd", "..\\secret.flog"],
    *["%2e%2e/secret.flog", "....//secret.flog", "./../secret.flog", "file:///etc/passwd", "~/secret.flog", ".", ""],
]


@pytest.fixture
def site(serve: Callable[..., Any], runs: Path) -> Any:
    """A site of one's own, where files may be changed."""
    (runs / "good.flog").write_bytes(LOG)
    (runs.parent / "secret.flog").write_bytes(SECRET)
    return serve(runs)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One site for all tests that only ask."""
    folder = tmp_path_factory.mktemp("still")
    (folder / "runs").mkdir()
    (folder / "runs" / "good.flog").write_bytes(LOG)
    (folder / "secret.flog").write_bytes(SECRET)
    site = Site(create_app([folder / "runs"], scan_every=0.05))
    yield site
    site.close()


def refused(answer: Any, *statuses: int) -> None:
    assert answer.status in (statuses or (400, 404)), answer.body
    error = answer.json["error"]
    assert set(error) == {"code", "message"}
    assert "Traceback" not in error["message"]
    assert b"secret" not in answer.body or answer.status >= 400


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("page", ["analyze", "watch", "watch/reset"])
def test_no_path_leads_out_of_the_served_folder(still: Any, path: str, page: str) -> None:
    answer = still.get(f"/api/flog/{page}?path=" + quote(path, safe="%"))
    if page == "watch/reset":
        assert answer.json == {"ok": True}  # of a log that is not there nothing is known, and nothing is told
        return
    refused(answer)


@pytest.mark.parametrize("path", OUTSIDE)
def test_an_id_is_no_path(still: Any, path: str) -> None:
    for what in ("", "/series", "/frame", "/rows.csv"):
        refused(still.get(f"/api/v1/runs/{quote(path, safe='%')}{what}"), 400, 404)
        refused(still.get(f"/api/v1/runs/{quote(path, safe='')}{what}"), 400, 404)


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/../../etc/passwd", "/static//etc/passwd"]
)
def test_the_pages_own_files_are_known_by_name(still: Any, path: str) -> None:
    refused(still.get(path), 404)


def test_an_absolute_path_of_a_served_file_is_refused_too(site: Any, runs: Path) -> None:
    refused(site.get("/api/flog/analyze", path=str(runs / "good.flog")), 400)


def test_links_that_lead_out_are_not_followed(serve: Callable[..., Any], runs: Path) -> None:
    (runs / "good.flog").write_bytes(LOG)
    outside = runs.parent / "outside"
    outside.mkdir()
    (outside / "secret.flog").write_bytes(SECRET)
    (runs / "file.flog").symlink_to(outside / "secret.flog")
    (runs / "folder").symlink_to(outside)
    (runs / "within.flog").symlink_to(runs / "good.flog")
    listed = [run["path"] for run in serve(runs).get("/api/v1/runs").json["runs"]]
    assert sorted(listed) == ["good.flog", "within.flog"]


def test_a_log_of_several_files_reads_none_that_leads_out(serve: Callable[..., Any], runs: Path) -> None:
    pytest.importorskip("crc32c")
    folder = runs / "board"
    for path, value in ((folder / "1.tfevents", 1.0), (runs.parent / "secret.tfevents", 4711.0)):
        path.parent.mkdir(exist_ok=True)
        with trainlog.create(path, {}) as log:
            log.write(trainlog.Frame(0.0, trainlog.Kind.STATS, {"step": 0, "reward": value}))
    site = serve(runs)
    (folder / "elsewhere").symlink_to(runs.parent)  # no file of the log, which stays one
    id = site.id("board")
    assert site.get(f"/api/v1/runs/{id}").status == 200
    (folder / "2.tfevents").symlink_to(runs.parent / "secret.tfevents")
    site.until(lambda: [run["path"] for run in site.get("/api/v1/runs").json["runs"]] == ["board/1.tfevents"])
    refused(site.get(f"/api/v1/runs/{id}"), 404)
    assert b"4711" not in site.get("/api/v1/runs").body


def test_a_file_that_becomes_a_link_is_not_followed(site: Any, runs: Path) -> None:
    (runs / "turns.flog").write_bytes(LOG)
    id = site.id("turns.flog")
    (runs / "turns.flog").unlink()
    (runs / "turns.flog").symlink_to(runs.parent / "secret.flog")
    answer = site.get(f"/api/v1/runs/{id}")
    refused(answer, 404, 409)
    site.until(lambda: not any(run["path"] == "turns.flog" for run in site.get("/api/v1/runs").json["runs"]))


def test_a_descriptor_does_not_lead_out(serve: Callable[..., Any], simion: str, runs: Path) -> None:
    descriptor = runs / simion
    data = descriptor.with_name(descriptor.name + ".bin")
    shutil.move(data, runs.parent / "elsewhere.bin")
    text = descriptor.read_text().replace(data.name, "../../elsewhere.bin")
    descriptor.write_text(text)
    site = serve(runs)
    refused(site.get(f"/api/v1/runs/{site.id(simion)}"), 404, 422)
    data.symlink_to(runs.parent / "elsewhere.bin")
    os.utime(descriptor)
    refused(site.get(f"/api/v1/runs/{site.id(simion)}"), 404, 422)


def test_no_answer_tells_where_on_the_machine_the_logs_are(site: Any, runs: Path) -> None:
    (runs / "broken.flog").write_bytes(LOG[:20])
    id = site.id("broken.flog")
    for answer in (site.get("/api/v1/runs"), site.get(f"/api/v1/runs/{id}"), site.get("/api/flog/list")):
        assert str(runs.parent).encode() not in answer.body


def test_a_single_file_is_served_alone(serve: Callable[..., Any], runs: Path) -> None:
    (runs / "one.flog").write_bytes(LOG)
    (runs / "two.flog").write_bytes(LOG)
    assert [run["path"] for run in serve(runs / "one.flog").get("/api/v1/runs").json["runs"]] == ["one.flog"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:99", 200),
        ("[::1]:5050", 200),
        ("evil.example", 421),
        ("", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
def test_only_its_own_names_are_answered(still: Any, host: str, status: int) -> None:
    for path in ("/", "/api/v1/runs", "/api/flog/list"):
        answer = still.get(path, {"Host": host})
        assert answer.status == status
        if status != 200:
            refused(answer, status)


def test_a_token_is_demanded_in_a_header_a_cookie_or_the_first_address(serve: Callable[..., Any], runs: Path) -> None:
    (runs / "good.flog").write_bytes(LOG)
    token = new_token()
    site = serve(runs, token=token)
    for path in ("/", "/static/main.js", "/api/v1/runs", "/api/flog/list", "/api/v1/stream", "/nothing"):
        refused(site.get(path), 401)
        refused(site.get(path, {"Authorization": f"Bearer {token}x"}), 401)
        refused(site.get(path, {"Cookie": "trainlog_token=nonsense"}), 401)
        refused(site.get(path, token="ü"), 401)
    assert site.get("/api/v1/runs", {"Authorization": f"Bearer {token}"}).status == 200
    assert site.get("/api/v1/runs", token=token).status == 200
    first = site.get("/", token=token, runs="abc:0")
    assert first.status == 303
    assert first.headers["location"] == "./?runs=abc%3A0"
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert site.get("/", {"Cookie": cookie.partition(";")[0]}).status == 200


def test_the_first_address_keeps_all_charts_of_a_shared_view(serve: Callable[..., Any], runs: Path) -> None:
    first = serve(runs, token="a-token-of-mine").get("/?token=a-token-of-mine&card=w:stats/a&q=&card=l:stats/b")
    assert first.headers["location"] == "./?card=w%3Astats%2Fa&q=&card=l%3Astats%2Fb"


def test_the_address_without_the_token_is_below_that_of_a_proxy(serve: Callable[..., Any], runs: Path) -> None:
    site = serve(runs, token="a-token-of-mine")
    for path, query in (("/", ""), ("/", "&x=step"), ("/static/main.js", ""), ("/a/b/", "")):
        to = site.get(f"{path}?token=a-token-of-mine{query}").headers["location"]
        assert urljoin(f"https://hub/proxy/5050{path}", to) == f"https://hub/proxy/5050/{query.replace('&', '?')}"


def test_cookies_of_other_servers_lock_nobody_out(serve: Callable[..., Any], runs: Path) -> None:
    token = new_token()
    site = serve(runs, token=token)
    cookie = site.get("/", token=token).headers["set-cookie"].partition(";")[0]
    for other in ("a:b=1", "user@host=x", "[id]=1", "no cookie", 'open="'):
        assert site.get("/", {"Cookie": f"{other}; {cookie}"}).status == 200, other
        assert site.get("/", {"Cookie": f"{cookie}; {other}"}).status == 200, other
        refused(site.get("/", {"Cookie": other}), 401)


def test_the_token_is_compared_in_constant_time(serve: Callable[..., Any], runs: Path, monkeypatch: Any) -> None:
    import hmac

    seen: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: seen.append((a, b)) or compare(a, b))
    serve(runs, token="a-token-of-mine").get("/", {"Authorization": "Bearer guess"})
    assert (b"guess", b"a-token-of-mine") in seen


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.3.2.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_the_command_listens_on_loopback_and_makes_a_token_elsewhere(runs: Path, monkeypatch: Any) -> None:
    import uvicorn

    from trainlog.cli.serve import command

    heard: list[str] = []
    monkeypatch.setattr(
        uvicorn.Server, "run", lambda self, sockets: heard.append(sockets[0].getsockname()[0]) or sockets[0].close()
    )
    runner = CliRunner()
    plain = runner.invoke(command, [str(runs), "--port", "0"], catch_exceptions=False)
    assert "token" not in plain.output
    everywhere = runner.invoke(command, [str(runs), "--port", "0", "--host", "0.0.0.0"], catch_exceptions=False)
    assert "/?token=" in everywhere.output
    bracketed = runner.invoke(command, [str(runs), "--port", "0", "--host", "[::1]"], catch_exceptions=False)
    assert "http://[::1]:" in bracketed.output
    assert "token" not in bracketed.output
    assert heard == ["127.0.0.1", "0.0.0.0", "::1"]
    short = runner.invoke(command, [str(runs), "--token", "abc"])
    assert short.exit_code == 2


def test_nobody_else_may_read_the_answers(still: Any) -> None:
    for path in ("/", "/api/v1/runs", "/static/main.js", "/nothing"):
        answer = still.get(path, {"Origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert still.get("/api/v1/runs", method="OPTIONS").status == 405


def test_the_page_runs_no_inline_script_and_knows_no_other_host(still: Any) -> None:
    answer = still.get("/")
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert not any(word in answer.headers["content-security-policy"] for word in ("unsafe", "http", "*"))
    assert b"<script>" not in answer.body
    assert b"style=" not in answer.body
    static = Path(__file__).parents[2] / "src" / "trainlog" / "server" / "static"
    for file in static.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, file
        assert "https:" not in text, file
        assert "eval(" not in text, file
        assert "innerHTML" not in text, file


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_can_only_be_read(still: Any, method: str) -> None:
    refused(still.get("/api/v1/runs", method=method), 405)


WRONG = [
    *[
        "kind=nonsense",
        "kind=kind_999",
        "x=nonsense",
        "points=0",
        "points=99999999",
        "points=x",
        "points=1e3",
        "points=-1",
    ],
    *["from=x", "from=nan", "to=inf", "smooth=1", "smooth=-1", "smooth=x", "where=x", "where=:x", "where=nothing:x"],
    *[
        "span=1",
        "span=x:y",
        "span=nan:1",
        "keys=",
        "keys=,",
        "keys=[]",
        "keys=nothing",
        "unknown=1",
        "kind=stats&kind=stats",
    ],
    *["keys=" + ",".join(f"k{n}" for n in range(201)), "where=" + "x" * 400 + ":y", "kind=" + "x" * 50, "keys=%00"],
]


@pytest.mark.parametrize("query", WRONG)
def test_wrong_parameters_are_refused_with_a_reason(still: Any, query: str) -> None:
    keys = "" if "keys=" in query else "&keys=reward"
    refused(still.get(f"/api/v1/runs/{still.id('good.flog')}/series?{query}{keys}"), 400, 404)


@pytest.mark.parametrize(
    "path",
    [
        *[
            "/api/flog/watch?path=good.flog&since=x",
            "/api/flog/watch?since=0",
        ],
        *["/api/flog/watch?path=good.flog&since=" + "9" * 40, "/api/flog/analyze", "/api/flog/analyze?path=%ff%fe"],
        *[
            "/api/v1/runs/000000000000",
            "/api/v1/nothing",
            "/api",
            "/static/",
            "/static/nothing.js",
        ],
        *[
            "/api/v1/stream?runs=nothing",
            "/api/v1/stream?kinds=nonsense",
            "/api/v1/stream?cursors=nonsense",
            "/api/v1/stream?cursors=a:1",
        ],
    ],
)
def test_wrong_addresses_are_refused_with_a_reason(still: Any, path: str) -> None:
    refused(still.get(path), 400, 404)


@pytest.mark.parametrize(
    ("what", "query"),
    [
        *[("figure", one) for one in ("log=yes", "log=2", "where=behavior:walk", "span=1:2")],
        ("runs/{id}/events", "kind=stats"),
        *[("groups", one) for one in ("where=walk", "where=behavior:walk", "where=episode_type:")],
    ],
)
def test_a_parameter_that_would_do_nothing_is_refused(still: Any, what: str, query: str) -> None:
    id = still.id("good.flog")
    more = {"figure": f"&runs={id}&keys=reward", "groups": "&keys=reward"}.get(what, "")
    address = f"/api/v1/{what.format(id=id)}?"
    assert still.get(address + more).status == 200
    refused(still.get(address + query + more), 400)


def test_every_parameter_has_a_longest_length(still: Any) -> None:
    refused(still.get("/api/flog/analyze", path="x" * 2000), 400)
    refused(still.get("/api/v1/runs?x=" + "y" * 40_000), 414)


def test_more_runs_than_can_be_shown_are_refused_in_words(still: Any) -> None:
    many = [*map(str, range(1001))]
    addresses = ("runs", "stream", "groups?keys=reward", "figure?keys=reward")
    answers = [still.get(f"/api/v1/{one}{'&' if '?' in one else '?'}runs={','.join(many)}") for one in addresses]
    body = json.dumps({"runs": dict.fromkeys(many)})
    answers.append(still.get("/api/v1/stream", {"content-type": "application/json"}, "POST", body))
    for answer in answers:
        refused(answer, 400)
        assert answer.json["error"]["message"] == "1,001 runs are too many: at most 1,000 at a time; narrow the filter"


def test_a_moment_that_is_not_there(still: Any) -> None:
    run = f"/api/v1/runs/{still.id('good.flog')}"
    refused(still.get(f"{run}/frame", kind="creature", at=1), 404)
    refused(still.get(f"{run}/frame", kind="stats", x="sim", at=1), 400)
    refused(still.get(f"{run}/path"), 404)
    refused(still.get(f"{run}/function", row=0), 404)


def test_an_answer_holds_no_more_points_than_is_allowed(serve: Callable[..., Any], runs: Path) -> None:
    frames = [Flog.frame(n / 100, 2, {"step": n, "reward": float(n * 7919 % 997)}) for n in range(5000)]
    (runs / "long.flog").write_bytes(Flog.header() + b"".join(frames))
    site = serve(runs, limits=Limits(points=500, values=900))
    site.until(lambda: site.run("long.flog")["progress"] == 1)
    run = f"/api/v1/runs/{site.id('long.flog')}"
    refused(site.get(f"{run}/series", keys="reward", points=501), 400)
    refused(site.get(f"{run}/series", keys="reward,step", points=500), 400)
    assert len(site.get(f"{run}/series", keys="reward", points=500).json["series"]["reward"]["y"]) <= 500
    assert len(site.get(f"{run}/rows", points=500).json["row"]) <= 450


def test_no_more_streams_than_are_allowed(serve: Callable[..., Any], runs: Path) -> None:
    site = serve(runs, limits=Limits(streams=2))
    with site.stream() as first, site.stream() as second:
        first.until("hello")
        second.until("hello")
        refused(site.get("/api/v1/stream"), 503)

    def is_free() -> bool:
        with site.stream() as third:
            return bool(third.status == 200)

    site.until(is_free)


def test_a_file_full_of_lies_is_a_4xx(serve: Callable[..., Any], runs: Path) -> None:
    (runs / "version.flog").write_bytes(Flog.header(version=9))
    (runs / "cut.flog").write_bytes(LOG[:15])
    (runs / "garbage.flog").write_bytes(Flog.header() + os.urandom(5000))
    (runs / "bomb.flog").write_bytes(Flog.header() + Flog.frame(0, 2, {str(n): n for n in range(6000)}))
    site = serve(runs)
    for name, fine in [("version", False), ("cut", False), ("garbage", True), ("bomb", True)]:
        answer = site.get(f"/api/v1/runs/{site.id(f'{name}.flog')}")
        assert answer.status == (200 if fine else 422), answer.body
        assert answer.json
    assert len(site.run("bomb.flog")["kinds"]["stats"]["keys"]) == 4096
