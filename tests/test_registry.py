"""Which codec for which file, and codecs of third parties."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainlog
from trainlog import Frame, Header, Kind, plugins, registry
from trainlog.cli import main
from trainlog.errors import (
    CodecClash,
    CodecError,
    CorruptLog,
    DamagedLogWarning,
    LogExists,
    LogNotFound,
    LogWriteError,
    LogWriteWarning,
    UnknownFormat,
    UnsupportedFrame,
)
from trainlog.scan import Gap
from trainlog.storage.source import Source

GOLDEN = Path(__file__).parent / "data" / "flog"
PLUG_IN = '''
import json
import trainlog

class Lines(trainlog.SimpleCodec):
    """One JSON list for each frame, on a line of its own."""

    name = "lines"
    suffixes = (".lines",)

    def decode(self, source):
        if not (line := source.line()):
            return
        yield trainlog.Header(json.loads(line))
        while line := source.line():
            time, kind, data = json.loads(line)
            yield trainlog.Frame(time, trainlog.Kind(kind), data)

    def encode(self, record):
        if isinstance(record, trainlog.Header):
            return json.dumps(dict(record.meta)).encode() + b"\\n"
        return json.dumps([record.time, int(record.kind), dict(record.data)]).encode() + b"\\n"
'''


class Site:
    """A folder of installed distributions, as pip leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, entry_points: str, **modules: str) -> None:
        info = self.folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[trainlog.codecs]\n{entry_points}\n")
        for name, text in modules.items():
            (self.folder / f"{name}.py").write_text(text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield Site(folder)
    for file in folder.glob("*.py"):
        sys.modules.pop(file.stem, None)


def test_a_full_disk_leaves_no_log_of_a_third_partys_codec(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> int:
        raise OSError(28, os.strerror(28))

    site.install("lines-for-trainlog", "lines = lines_plugin:Lines", lines_plugin=PLUG_IN)
    path = tmp_path / "a.lines"
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(LogWriteError, match="No space left on device"):
            trainlog.create(path)
    with trainlog.create(path, {"creature": "ant"}) as log:
        log.write(Frame(0.5, Kind.STATS, {"reward": 1.5}))
        os.truncate(path, 0)
        log.write(Frame(1.0, Kind.STATS, {"reward": 2.5}))
        with pytest.warns(LogWriteWarning, match="was cut while it was written"):
            log.sync()
    assert trainlog.open(path).header.meta == {"creature": "ant"}
    assert trainlog.open(path).table("stats")["reward"].tolist() == [2.5]


def test_a_third_partys_codec_is_one_class_and_one_entry_point(site: Site, tmp_path: Path) -> None:
    site.install("lines-for-trainlog", "lines = lines_plugin:Lines", lines_plugin=PLUG_IN)
    path = tmp_path / "a.lines"
    frames = [Frame(0.5, Kind.STATS, {"reward": 1.5}), Frame(1.0, Kind.EVENT, {"type": "fall"})]
    with trainlog.create(path, {"creature": "ant"}) as log:
        log.write_all(frames)
    log = trainlog.open(path)
    assert list(log) == frames
    assert log.header.meta == {"creature": "ant"}
    assert log.table("stats")["reward"].tolist() == [1.5]
    conversion = trainlog.convert(path, tmp_path / "a.flog")
    assert (conversion.frames, dict(conversion.losses)) == (2, {})
    assert list(trainlog.open(tmp_path / "a.flog")) == frames
    assert trainlog.FlogReplay(path).total_frames == 2
    assert [(one.codec.name, one.distribution) for one in trainlog.list_codecs()][-1] == ("lines", "lines-for-trainlog")


def test_a_third_partys_codec_passes_the_contract(site: Site, tmp_path: Path) -> None:
    """The test-suite that we ship, as a plug-in's author runs it: in a project of its own."""
    site.install("lines-for-trainlog", "lines = lines_plugin:Lines", lines_plugin=PLUG_IN)
    test = "import trainlog\nfrom lines_plugin import Lines\nfrom trainlog.testing import CodecContract\n\n\n"
    test += "class TestLines(CodecContract):\n    codec = Lines()\n    unsupported = None\n"
    test += "    header = trainlog.Header({'creature': 'ant'})\n"
    (tmp_path / "test_lines.py").write_text(test)
    code = "import sys, pytest; sys.path.insert(0, sys.argv[1]); sys.exit(pytest.main(['-q', 'test_lines.py']))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(site.folder)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "2 skipped" in done.stdout


def test_a_log_says_which_of_two_codecs_of_one_package_reads_it(site: Site, tmp_path: Path) -> None:
    others = (
        PLUG_IN
        + """

class Others(Lines):
    name = "others"
    suffixes = (".others",)
"""
    )
    site.install("two", "lines = two_codecs:Lines\nothers = two_codecs:Others", two_codecs=others)
    for name in ("lines", "others"):
        path = tmp_path / f"run.{name}"
        with trainlog.create(path) as writer:
            writer.write(Frame(0.0, Kind.STATS, {"step": 1}))
        assert trainlog.open(path).codec_name == name


def test_plug_ins_are_not_looked_for_when_a_built_in_matches(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("broken", "broken = nowhere:Nothing")

    def never(**_: object) -> None:
        raise AssertionError("entry points were read")

    monkeypatch.setattr("trainlog.plugins.entry_points", never)
    trainlog.create(tmp_path / "a.flog").close()
    assert list(trainlog.open(tmp_path / "a.flog")) == []


def test_distributions_are_looked_at_once_for_many_files_that_are_no_logs(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    real = plugins.entry_points
    monkeypatch.setattr(plugins, "entry_points", lambda **settings: (looked.append(1), real(**settings))[1])
    for n in range(20):
        (tmp_path / f"{n}.lines").write_text("{}\n")
        with pytest.raises(UnknownFormat):
            trainlog.open(tmp_path / f"{n}.lines")
    assert len(looked) <= 1
    site.install("lines-for-trainlog", "lines = lines_plugin:Lines", lines_plugin=PLUG_IN)
    assert trainlog.open(tmp_path / "0.lines").header.meta == {}  # in the same process


def test_two_codecs_of_one_name(site: Site, tmp_path: Path) -> None:
    site.install("first-lines", "lines = lines_plugin:Lines", lines_plugin=PLUG_IN)
    site.install("second-lines", "lines = lines_plugin:Lines")
    (tmp_path / "a.lines").write_text("{}\n")
    with pytest.raises(CodecClash, match="'lines': first-lines and second-lines; uninstall one"):
        trainlog.open(tmp_path / "a.lines", codec="lines")
    said = "first-lines and second-lines; uninstall one of them; until then neither is used"
    with pytest.warns(trainlog.TrainlogWarning, match=said):
        assert {one.distribution for one in trainlog.list_codecs()} == {"trainlog"}
    with pytest.warns(trainlog.TrainlogWarning, match=said), pytest.raises(UnknownFormat, match="no codec accepts"):
        trainlog.open(tmp_path / "a.lines")


def test_a_plug_in_with_the_name_of_a_built_in_is_named_and_not_used(site: Site) -> None:
    site.install("evil-flog", "flog = evil:Flog", evil="raise SystemExit('imported')")
    with pytest.warns(trainlog.TrainlogWarning, match="'flog' of evil-flog has the name of a codec of trainlog itself"):
        assert {one.distribution for one in trainlog.list_codecs()} == {"trainlog"}
    assert type(trainlog.open(GOLDEN / "plain.flog", codec="flog")).__name__ == "FlogReader"
    assert "evil" not in sys.modules


EVIL = {
    "exits": "raise SystemExit(7)",
    "fails": "raise RuntimeError('no licence')",
    "exits when it is made": PLUG_IN + "\n\ndef Lines():\n    raise SystemExit(7)\n",
    "exits when it is asked": PLUG_IN.replace(
        "def decode", "def accepts(self, *_):\n        exit(7)\n\n    def decode"
    ),
    "has no name": PLUG_IN.replace("name = ", "other = "),
    "has odd suffixes": PLUG_IN.replace('(".lines",)', '".lines"'),
}


@pytest.mark.parametrize("module", EVIL.values(), ids=EVIL)
def test_a_plug_in_that_does_harm_ends_nothing(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], module: str
) -> None:
    site.install("evil-lines", "lines = evil_lines:Lines", evil_lines=module)
    for verb in (["info"], ["info", "--json"], ["verify"], ["dump"]):
        with pytest.raises(SystemExit) as ended:
            main([*verb, str(GOLDEN / "plain.flog")])
        assert ended.value.code == 0
    trainlog.convert(GOLDEN / "plain.flog", tmp_path / "a.flog")
    assert "evil_lines" not in sys.modules, "a plug-in is not run for built-in formats"
    alien = tmp_path / "a.lines"
    alien.write_text("{}\n")
    with pytest.warns(trainlog.TrainlogWarning, match="evil-lines"), pytest.raises(UnknownFormat):
        trainlog.open(alien)
    capsys.readouterr()
    warnings.simplefilter("ignore")
    with pytest.raises(SystemExit) as ended:
        main(["codecs"])
    assert ended.value.code == 0
    assert "parquet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("entry", "module", "why"),
    [
        ("broken = plug_in:Nothing", "", "cannot be loaded: AttributeError"),
        ("broken = plug_in:Thing", "1 / 0", "cannot be loaded: ZeroDivisionError"),
        ("broken = plug_in:Thing", "Thing = dict", "is not a trainlog.Codec but a dict"),
        ("broken = plug_in:Lines", PLUG_IN, "calls itself 'lines'"),
    ],
)
def test_a_broken_plug_in_does_not_stop_the_others(
    site: Site, tmp_path: Path, entry: str, module: str, why: str
) -> None:
    site.install("broken-thing", entry, plug_in=module)
    site.install("lines-for-trainlog", "lines = lines_plugin:Lines", lines_plugin=PLUG_IN)
    (tmp_path / "a.lines").write_text("{}\n")
    with pytest.warns(trainlog.TrainlogWarning, match="of broken-thing") as caught:
        assert list(trainlog.open(tmp_path / "a.lines")) == []
    assert why in str(caught[0].message)
    with pytest.raises(CodecError, match="broken-thing"):
        trainlog.open(tmp_path / "a.lines", codec="broken")


def test_unknown_names_say_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.flog"
    trainlog.create(path).close()
    with pytest.raises(UnknownFormat, match=r"no codec called 'flag'; installed are flog"):
        trainlog.open(path, codec="flag")
    with pytest.raises(UnknownFormat, match=r"suffixes are \.flog, \.bin"):
        trainlog.create(tmp_path / "a.xyz")


def test_convert_is_complete_or_absent(tmp_path: Path) -> None:
    source, target = tmp_path / "a.flog", tmp_path / "out" / "b.flog"
    with trainlog.create(source, {"creature": "ant"}) as log:
        log.write_all(Frame(n, Kind.STATS, {"n": n}) for n in range(5000))
    done: list[int] = []
    assert trainlog.convert(source, target, progress=done.append).frames == 5000
    assert done == sorted(done)
    assert target.read_bytes() == source.read_bytes()
    with pytest.raises(LogExists):
        trainlog.convert(source, target)
    trainlog.convert(source, target, overwrite=True)

    class Failing(trainlog.Reader):
        def frames(self, *_: object, **__: object) -> Iterator[Frame]:
            yield Frame(0.0, Kind.STATS, {"n": 0})
            yield Frame(0.0, Kind.STATS, {"n": object()})

    with pytest.raises(UnsupportedFrame):
        trainlog.convert(Failing(source, trainlog.Header()), tmp_path / "out" / "c.flog")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.flog"]
    with pytest.raises(LogNotFound):
        trainlog.convert(tmp_path / "nowhere.flog", tmp_path / "d.flog")
    with pytest.raises(UnknownFormat):
        trainlog.convert(source, tmp_path / "d.xyz")


def test_suffixes_are_known_without_an_import() -> None:
    for name, built_in in registry._BUILT_IN.items():
        codec = built_in.load()
        assert (codec.name, codec.suffixes) == (name, built_in.suffixes)


def test_a_recorder_of_flog_loads_nothing_of_other_formats(tmp_path: Path) -> None:
    code = """
import sys, trainlog
trainlog.TrainingRecorder(sys.argv[1]).record_event(None, "first")
list(trainlog.open(sys.argv[1]))
shared = tuple("trainlog.codecs." + name for name in ("flog", "frame_payload", "plain_object", "chosen_values"))
print([name for name in sys.modules if name.startswith("trainlog.codecs.") and not name.startswith(shared)])
print([name for name in ("importlib.metadata", "lxml", "ssl") if name in sys.modules])
"""
    command = [sys.executable, "-c", code, str(tmp_path / "a.flog")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]


def test_a_missing_log_with_a_name_that_is_nearly_too_long(tmp_path: Path) -> None:
    with pytest.raises(LogNotFound):
        trainlog.open(tmp_path / f"{'x' * 249}.flog")  # the name of its folder of parts would be too long


def test_damage_of_a_log_of_a_third_party_costs_no_frame_before_it(tmp_path: Path) -> None:
    class Numbers(trainlog.SimpleCodec):
        name = "numbers"
        suffixes = (".numbers",)

        def decode(self, source: Source) -> Iterator[Header | Frame]:
            source.take(1)
            yield Header()
            while line := source.line():
                if not line.strip().isdigit():
                    raise CorruptLog("this is not a number", path=source.path, offset=source.offset)
                yield Frame(float(line), Kind.STATS, {})

        def encode(self, record: Header | Frame) -> bytes:
            return b"N" if isinstance(record, Header) else b"%d\n" % record.time

    path = tmp_path / "run.numbers"
    path.write_bytes(b"N1\n2\nthree\n4\n")
    reader = Numbers().read(path)
    gaps: list[Gap] = []
    assert [frame.time for frame in reader.frames(on_damage=gaps.append)] == [1.0, 2.0]
    assert gaps == [Gap(5, 8)]
    assert [frame.time for frame in reader.frames(on_damage="ignore")] == [1.0, 2.0]
    with pytest.warns(DamagedLogWarning, match="8 bytes that are not a record, from byte 5"):
        assert reader.table("stats").time.tolist() == [1.0, 2.0]
    with pytest.raises(CorruptLog, match="this is not a number"):
        list(reader.frames(on_damage="raise"))
    (problem,) = reader.verify().problems
    assert (problem.what, problem.offset, problem.size) == ("hole", 5, 8)
