"""What a log holds never reaches a terminal as something that it would obey, nor Markdown as markup."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

from handmade import Flog
from trainlog.cli import main
from trainlog.printable import markdown_code, markdown_text, printable

ESC = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\x7f\u202e\r\nforged|[red]`x`<b>"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    folder = tmp_path / "evil\x1b[31m"
    folder.mkdir()
    path = folder / "a\x1b]52;c;eA==\x07\x9b.flog"
    meta = {f"meta{ESC}": ESC, "creature": ESC, "task": ESC, "seed": ESC, "scene": ESC}
    meta["variables"] = [{"name": ESC, "role": "state", "unit": ESC}]
    frames = [
        Flog.frame(float(n), 2, {"step": n, f"key{ESC}": n % 3, f"text{ESC}": ESC, "reward": n / 2, f"flat{ESC}": 1})
        for n in range(30)
    ]
    events = [
        {"type": ESC, "by": "trainlog", "msg": ESC},
        {"type": "dropped", "by": "trainlog", "dropped": {ESC: 1}, "from": 0.0, "to": 1.0, "why": ESC},
        {"type": "resume", "by": "trainlog", "host": ESC, "cut": 1, ESC: ESC},
    ]
    more = [Flog.frame(40.0, 3, event) for event in events] + [
        Flog.frame(41.0, 2, b"\x82\xa3bad\xa2\x80\x9b\xa1a\xc4\x01\x1b")
    ]
    path.write_bytes(Flog.header(meta) + b"".join(frames) + b"\x1b[31m junk" + b"".join(more))
    return path


def outputs(path: Path, folder: Path) -> Iterator[list[str]]:
    log, figures = str(path), ["-o", str(folder / "figures")]
    yield from (["info", log], ["info", "--json", log], ["verify", log], ["verify", "--json", log], ["dump", log])
    yield from (["tail", log], ["watch", "--once", log], ["watch", "--once", "--kind", "creature", log])
    yield from (["plot", log, *figures], ["plot", log, *figures, "-y", ESC], ["plot", log, *figures, "-y", "rewart"])
    yield ["report", log, "-o", str(folder / "report"), "--require", "mean(reward) > 1", "--title", ESC]
    yield ["report", log, "-o", str(folder / "report"), "--require", f'mean("key{ESC}") > 1']
    yield ["report", log, "-o", str(folder / "report"), "--require", "mean(kei) > 1"]
    yield ["repair", log, str(folder / "b\x1b[31m.flog")]
    yield ["convert", log, str(folder / "c\x1b[31m.simion.log"), "--stat", f"key{ESC}"]
    yield ["convert", log, str(folder / "c\x1b[31m.simion.log"), "--stat", "reward"]
    yield ["info", str(folder / ESC.replace("/", ""))]
    yield ["codecs"]


@pytest.mark.filterwarnings("ignore::trainlog.errors.TrainlogWarning")
def test_no_verb_prints_what_a_terminal_obeys(evil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in outputs(evil, tmp_path):
        with pytest.raises(SystemExit):
            main(arguments)
        out, err = capsys.readouterr()
        assert out + err, arguments
        assert OBEYED.findall(out + err) == [], arguments
        assert not re.search("^forged", out + err, re.MULTILINE), arguments
        if "--json" in arguments or arguments[0] in ("dump", "tail"):
            for line in out.splitlines():
                json.loads(line)


@pytest.mark.filterwarnings("ignore::trainlog.errors.TrainlogWarning")
def test_no_file_of_a_report_holds_it(evil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["report", str(evil), "-o", str(tmp_path / "report"), "--require", f'mean("key{ESC}") > 1']
    with pytest.raises(SystemExit):
        main([*arguments, "--baseline", str(evil), "--title", ESC])
    capsys.readouterr()
    files = [
        file for file in (tmp_path / "report").rglob("*") if file.suffix in (".md", ".html", ".xml", ".svg", ".json")
    ]
    assert {file.suffix for file in files} == {".md", ".html", ".xml", ".svg", ".json"}
    for file in files:
        text = file.read_text()
        if file.suffix in (".md", ".json"):
            assert OBEYED.findall(text) == [], file
        if file.suffix in (".xml", ".svg"):
            ElementTree.fromstring(text)
    markdown = (tmp_path / "report" / "report.md").read_text()
    assert "<b>" not in re.sub("(`+) .*? \\1", "", markdown)


def test_what_is_printable_stays(tmp_path: Path) -> None:
    assert printable("größe µ 😀 日本 ▁█ a/b [x]") == "größe µ 😀 日本 ▁█ a/b [x]"
    assert printable("\x1b]52;c;Z" + "\udc80\n") == "\\x1b]52;c;Z\\udc80\\n"
    assert markdown_text("a|b\n*c* \x1b") == r"a\|b \*c\* \\x1b"


@pytest.mark.parametrize(
    "word",
    ["https://evil.example", "x(HTTP://a", "WWW.evil.example", "@team", "a@b.example", "run#7", "$x^2$", "|@`a|\x1b"],
)
def test_a_word_that_would_be_a_link_or_a_notice_is_code(word: str) -> None:
    assert markdown_text(f"*see*\n{word} # 1") == rf"\*see\* {markdown_code(word)} \# 1"


@pytest.mark.parametrize("text", ["a", "`", "``", "a``b```c", "|`|"])
def test_code_ends_where_it_should(text: str) -> None:
    code = markdown_code(text)
    fence = re.match("`+", code)
    assert fence is not None
    inner = code[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall("`+", inner)
    assert inner.strip().replace("\\|", "|") == text
