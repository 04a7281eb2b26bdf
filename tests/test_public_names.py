"""The names of ``import trainlog``: the same for Python and for type checkers; former ones warn."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest

import trainlog
from trainlog.errors import LogNotFound
from trainlog.plot.options import PlotChoice, PlotOptions
from trainlog.simple_codec import SimpleCodec
from trainlog.writers.retrying import RetryingWriter

INIT = Path(__file__).parents[1] / "src" / "trainlog" / "__init__.py"


def test_every_public_name_is_there() -> None:
    for name in trainlog.__all__:
        assert getattr(trainlog, name) is not None
    assert dir(trainlog) == sorted(trainlog.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        trainlog.nothing  # noqa: B018


def test_names_for_python_and_for_type_checkers_are_the_same() -> None:
    block = next(node for node in ast.parse(INIT.read_text("utf-8")).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    typed = {alias.asname: node.module for node in imports for alias in node.names}
    named = trainlog._MODULE_OF | trainlog._OF_THE_RUN
    assert typed.pop("errors") == "trainlog"  # the documents write trainlog.errors.LogNotFound
    assert typed == {name: f"trainlog.{module}" for name, module in named.items()}


def test_no_module_has_the_name_of_something_else() -> None:
    """Whoever imports it would put it in the place of what the name means."""
    modules = {path.stem for path in INIT.parent.glob("*") if path.name != "__pycache__"}
    assert not modules & (
        {*trainlog._MODULE_OF, *trainlog._OF_THE_RUN, *trainlog._DEPRECATED} - {*trainlog._MODULE_OF.values()}
    )


def test_modules_of_public_names_are_attributes() -> None:
    """mypy takes `trainlog.errors` for loaded; Python must not contradict it."""
    code = "import trainlog; print(trainlog.errors.LogNotFound.__name__, trainlog.model.Kind.STATS.name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["LogNotFound", "STATS"]


@pytest.mark.parametrize("name", trainlog._DEPRECATED)
def test_a_former_name_warns_and_is_the_same_object(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"^trainlog\.{name} will be removed in .*: use `from ") as caught:
        value = getattr(trainlog, name)
    (warning,) = caught
    assert warning.filename == __file__
    statement = str(warning.message).split("`")[1]
    names: dict[str, object] = {}
    exec(statement, names)  # which gives no warning: it would be an error here
    assert names[statement.split()[-1]] is value
    assert name not in trainlog.__all__
    assert name not in dir(trainlog)


def test_each_use_of_a_former_name_warns_where_it_stands() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        from trainlog import LogNotFound as First
        from trainlog import LogNotFound as Second
    assert First is Second is LogNotFound
    assert [warning.filename for warning in caught] == [__file__, __file__]
    assert caught[0].lineno + 1 == caught[1].lineno


def test_former_names_can_be_subclassed_and_asked_for() -> None:
    with pytest.warns(DeprecationWarning, match="use `from trainlog import SimpleCodec`"):

        class Mine(trainlog.StreamCodec):
            name = "mine"

    assert issubclass(Mine, SimpleCodec)
    with pytest.warns(DeprecationWarning, match="import RetryingWriter"):
        assert issubclass(RetryingWriter, trainlog.Spool)
    with pytest.raises(LogNotFound) as raised:
        trainlog.open("nothing.flog")
    with pytest.warns(DeprecationWarning, match="import LogNotFound"):
        assert isinstance(raised.value, trainlog.LogNotFound)


def test_misspelt_names_are_type_errors(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("mypy")
    path = tmp_path / "snippet.py"
    path.write_text(
        textwrap.dedent("""\
        import trainlog
        from trainlog import FlogReplay, TraningRecorder
        trainlog.TraningRecorder("run.flog")
        trainlog.TrainingRecorder("run.flog")
        trainlog.LogNotFound
        trainlog.errors.LogNotFound
        trainlog.__version__
        """)
    )
    found = _type_errors(path, request, INIT)
    assert [(line, "no attribute" in message or message) for line, message in found] == [
        (2, True),
        (3, True),
        (5, True),
    ]


def test_misspelt_options_of_figures_are_type_errors(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("mypy")
    path = tmp_path / "snippet.py"
    path.write_text(
        textwrap.dedent("""\
        from trainlog.catalog.runs import Runs
        from trainlog.codec import Reader
        def draw(log: Reader, runs: Runs) -> None:
            log.plot("reward", smooth=5, log_y=True, together="values")
            log.plot("reward", smoth=5)
            log.plot("reward", kind="interval")
            log.plot(log_y="yes")
            runs.plot(y=("reward",), by="algo", center="iqm")
            runs.plot(colours={})
            log.plot(theme="drak")
        """)
    )
    root = INIT.parent
    modules = ["codec.py", "catalog/runs.py", "plot/options.py", "draw/theme.py"]
    found = _type_errors(path, request, *(root / module for module in modules))
    assert [line for line, _ in found] == [5, 6, 7, 9, 10], found
    assert 'Unexpected keyword argument "smoth"' in found[0][1]


def test_recorders_are_typed_as_the_documents_use_them(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("mypy")
    path = tmp_path / "snippet.py"
    path.write_text(
        textwrap.dedent("""\
        from trainlog.curves.animation import EpisodeAnimationRecorder
        from trainlog.curves.recorder import TrainingCurveRecorder
        from trainlog.recorder import TrainingRecorder
        def record(log: TrainingRecorder) -> str:
            EpisodeAnimationRecorder("runs/7/animations", prefix="ant")
            TrainingCurveRecorder("runs/7", prefix="ant", log=log)
            log.vector(3, autoreset="same_step")
            log.vector(3, autoreset="sane_step")
            return log.path.name
        """)
    )
    modules = ["recorder.py", "opening.py", "environments.py", "curves/recorder.py", "curves/animation.py"]
    found = _type_errors(path, request, *(INIT.parent / module for module in modules))
    assert [line for line, _ in found] == [8], found


def test_the_options_of_figures_have_one_list() -> None:
    fields = PlotOptions.__dataclass_fields__
    assert {name: field.type for name, field in fields.items()} == {
        name: one.__forward_arg__ for name, one in PlotChoice.__annotations__.items()
    }


def _type_errors(snippet: Path, request: pytest.FixtureRequest, *modules: Path) -> list[tuple[int, str]]:
    """The lines of *snippet* with a type error, and what is wrong.

    Only *modules* are read, not what they import: that takes a second, all of trainlog and numpy ten.
    """
    options = ["--strict", "--follow-imports=skip", "--config-file=", "--no-error-summary"]
    kept = getattr(request.config, "cache", None)  # there is none with -p no:cacheprovider
    cache = kept.mkdir("mypy") if kept else snippet.parent
    command = [sys.executable, "-m", "mypy", *options, f"--cache-dir={cache}", *map(str, modules), str(snippet)]
    done = subprocess.run(command, cwd=snippet.parent, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    lines = [line.split(":", 3) for line in done.stdout.splitlines()]
    errors = [(file, int(line), message.strip()) for file, line, severity, message in lines if "error" in severity]
    return [(line, message) for file, line, message in errors if Path(file).name == snippet.name]
