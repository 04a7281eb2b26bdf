"""Descriptors: what people wrote into them, and what an enemy may."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import by_hand_simion as by_hand
import trainlog
from trainlog import Variable
from trainlog.codecs.simion.descriptor import Descriptor, parse, render
from trainlog.errors import CorruptLog, DamagedLogWarning

DATA = by_hand.experiment() + by_hand.episode_of([(1.0, 2.0)])

ROOT = '<ExperimentLogDescriptor BinaryDataFile="a.simion.log.bin" SceneFile="x.scene">'
END = "</ExperimentLogDescriptor>"
LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))


def unescaped(names: list[str]) -> bytes:
    """As the original program writes it."""
    lines = [
        f'  <State-variable Min="0.00" Max="1.00" Circular="false" Units="m">{name}</State-variable>' for name in names
    ]
    return "\n".join([ROOT, *lines, END]).encode()


@pytest.mark.parametrize(
    "name",
    ["a & b", "a < b", "a<b>", "&", "<", "a>b", 'say "x"', "r/(v-'x')", "a&amp", "x]]>y", "1 < 2 & 3", "é&ü"],
)
def test_names_that_are_not_escaped(name: str) -> None:
    found = parse(unescaped([name, "next"]), Path("x"))
    assert [variable.name for variable in found.variables] == [name, "next"]


def test_malformed_xml_is_read_with_a_warning(tmp_path: Path) -> None:
    path = by_hand.log(tmp_path, DATA, unescaped(["a & b", "c < d"]))
    with pytest.warns(DamagedLogWarning, match="malformed XML") as caught:
        log = trainlog.open(path)
    assert len(caught) == 1
    assert list(log.table("creature"))[4:] == ["state/a & b", "state/c < d"]


@pytest.mark.parametrize("binary", ["a & <b>.bin", 'the "best".bin', "a>b.bin", "it's.bin", "&amp.bin"])
def test_file_names_that_are_not_escaped(tmp_path: Path, binary: str) -> None:
    text = f'<ExperimentLogDescriptor BinaryDataFile="{binary}" SceneFile="a & b.scene">\n'
    text += "  <State-variable>x</State-variable>\n  <Reward-variable>r</Reward-variable>\n" + END
    path = by_hand.log(tmp_path, b"", text.encode())
    path.with_name("a.simion.log.bin").unlink()
    (tmp_path / binary).write_bytes(DATA)
    with pytest.warns(DamagedLogWarning, match="malformed"):
        log = trainlog.open(path)
    assert log.table("creature").rows == 1
    assert log.header.meta["scene"] == "a & b.scene"


def test_a_descriptor_that_ends_in_the_middle() -> None:
    whole = unescaped(["one", "two", "three"])
    for cut in range(len(whole)):
        found = parse(whole[:cut], Path("x"))
        names = [variable.name for variable in found.variables]
        assert len(names) <= 3
        assert all(full.startswith(name) for full, name in zip(["one", "two", "three"], names, strict=False))


@pytest.mark.parametrize("numbers", [("nan", "-nan(ind)"), ("nan", "1.00"), ("-inf", "inf")])
def test_limits_that_are_no_numbers_survive_a_round_trip(tmp_path: Path, numbers: tuple[str, str]) -> None:
    text = by_hand.descriptor().decode().replace('Min="-3.14" Max="3.14"', 'Min="{}" Max="{}"'.format(*numbers))
    path = by_hand.log(tmp_path, DATA, text.encode())
    trainlog.convert(path, tmp_path / "a.flog")
    assert trainlog.convert(tmp_path / "a.flog", tmp_path / "back" / path.name).target.read_text() == text


def test_a_comment_before_malformed_xml() -> None:
    found = parse(b"<!-- by hand -->\n" + unescaped(["a & b"]), Path("x"))
    assert (found.data, [variable.name for variable in found.variables]) == ("a.simion.log.bin", ["a & b"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings_are_opened(tmp_path: Path, encoding: str) -> None:
    path = by_hand.log(tmp_path, DATA, f'<?xml version="1.0"?>{by_hand.descriptor().decode()}'.encode(encoding))
    for name in (path, path.with_name("a.simion.log.bin")):
        log = trainlog.open(name)
        assert log.codec_name == "simion"
        assert [variable.name for variable in log.header.variables] == ["x", "r"]


def test_other_encodings_and_line_ends() -> None:
    text = unescaped(["a", "b"]).decode()
    for content in (text.encode("utf-8-sig"), text.encode("utf-16"), text.replace("\n", "\r\n").encode()):
        assert [variable.name for variable in parse(content, Path("x")).variables] == ["a", "b"]
    declared = '<?xml version="1.0" encoding="no-such-thing"?>\n' + text
    assert not parse(declared.encode(), Path("x")).problems


@pytest.mark.parametrize(
    ("evil", "what"),
    [
        (f'<!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}]>{ROOT}<Stat-variable>&l9;</Stat-variable>{END}', "DOCTYPE"),
        (f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>{ROOT}<Stat-variable>&e;</Stat-variable>', "DOCTYPE"),
        (f'<!doctype x SYSTEM "http://127.0.0.1:9/x.dtd">{ROOT}{END}', "DOCTYPE"),
        (f'{ROOT}<!ENTITY e "x">{END}', "ENTITY"),
        (ROOT + " " * (1 << 20) + END, "1,048,576 are the most"),
        ("<Other/>", "root is 'Other'"),
    ],
)
def test_what_is_refused(tmp_path: Path, evil: str, what: str) -> None:
    for text in (evil, f'<?xml version="1.0"?>{evil}'):
        path = by_hand.log(tmp_path, DATA, text.encode())
        with pytest.raises(CorruptLog, match=what) as caught:
            trainlog.open(path, codec="simion")
        assert caught.value.path == path
    with pytest.raises(CorruptLog, match=what):
        parse(evil.encode("utf-16"), path)


def test_entities_are_not_resolved() -> None:
    found = parse(f"{ROOT}<Stat-variable>&nothing;</Stat-variable>{END}".encode(), Path("x"))
    assert [variable.name for variable in found.variables] == ["&nothing;"]


@pytest.mark.parametrize(
    "name",
    [*["../../x", "/etc/passwd", "..", ".", "sub/x.bin", "..\\x.bin", "C:\\x.bin", "C:x.bin", "./a.simion.log.bin"]],
)
@pytest.mark.parametrize("attribute", ["BinaryDataFile", "FunctionsDataFile"])
def test_other_folders_are_refused(tmp_path: Path, name: str, attribute: str) -> None:
    text = f'<ExperimentLogDescriptor {attribute}="{name}"><Stat-variable>a</Stat-variable>{END}'
    path = by_hand.log(tmp_path / "inner" / "most", DATA, text.encode())
    (tmp_path / "x").write_bytes(DATA)
    with pytest.raises(CorruptLog, match=f"{attribute}=.* leads out of the descriptor's folder"):
        trainlog.open(path)


def test_links_to_other_folders_are_refused(tmp_path: Path) -> None:
    path = by_hand.log(tmp_path / "log", DATA)
    elsewhere = tmp_path / "elsewhere.bin"
    data = path.with_name(path.name + ".bin")
    data.rename(elsewhere)
    data.symlink_to(elsewhere)
    with pytest.raises(CorruptLog, match="is a link that leads out"):
        trainlog.open(path)
    assert trainlog.open(data).table("creature").rows == 1, "who names the link itself means it"
    # A folder of logs may be a link itself, and a link may stay in its folder.
    data.unlink()
    elsewhere.rename(tmp_path / "log" / "real.bin")
    data.symlink_to("real.bin")
    (tmp_path / "logs").symlink_to(tmp_path / "log")
    assert trainlog.open(tmp_path / "logs" / path.name).table("creature").rows == 1


def test_unknown_elements_are_one_problem(tmp_path: Path) -> None:
    text = by_hand.descriptor().replace(b"</Exp", b"<Foo/>" * 1000 + b"</Exp")
    (problem,) = parse(text, tmp_path).problems
    assert "an element 'Foo' and 999 more, which" in problem


def test_characters_that_xml_cannot_hold(tmp_path: Path) -> None:
    odd = "a\0b\x1b\udcff\ufffe\rc"
    found = parse(render(Descriptor(odd, scene=odd, variables=(Variable(odd, "state", unit=odd),))), Path("x"))
    text = "a\ufffdb\ufffd\ufffd\ufffd\rc"
    assert not found.problems
    assert (found.data, found.scene, found.variables[0].name, found.variables[0].unit) == (text,) * 4
    unescaped = by_hand.descriptor().replace(b">x<", ">a\ufffeb<".encode())
    assert parse(unescaped, tmp_path).variables[0].name == "a\ufffdb"


names = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), max_size=12)
limits = st.one_of(st.none(), st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2))


@st.composite
def variables(draw: st.DrawFn) -> Variable:
    role = draw(st.sampled_from(["state", "action", "reward", "stat"]))
    low, high = draw(limits) or (None, None) if role != "stat" else (None, None)
    unit = draw(names) if role != "stat" else ""
    circular = draw(st.booleans()) if role != "stat" else False
    return Variable(draw(names), role, unit, low, high, circular)


@given(st.lists(variables(), max_size=6), names)
def test_what_is_written_is_read(columns: list[Variable], file: str) -> None:
    found = parse(render(Descriptor(file, None, file, {0: "Evaluation"}, tuple(columns))), Path("x"))
    assert not found.problems
    assert (found.data, found.functions, found.scene, found.episode_types) == (file, None, file, {0: "Evaluation"})
    facts = [(one.name, one.role, one.unit, one.low, one.high, one.circular) for one in columns]
    assert [(one.name, one.role, one.unit, one.low, one.high, one.circular) for one in found.variables] == facts
    assert len({one.key for one in found.variables}) == len(columns)
