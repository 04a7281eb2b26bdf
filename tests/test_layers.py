"""Each package imports only from those before it, and heavy dependencies only where they are used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "trainlog"

# The packages in their order, as docs/architecture.md has them: each may import from those above it, and from itself.
ARCHITECTURE = (SOURCE.parents[1] / "docs" / "architecture.md").read_text("utf-8")
ORDER = [*re.findall(r"^\| `([a-z_]+)/?` \|", ARCHITECTURE.partition("## The packages")[2], re.MULTILINE), "__main__"]

# Modules that must not be imported at the top of a file, as not everybody has them or needs them.
LAZY = {
    *("lxml", "PIL", "click", "rich", "starlette", "uvicorn", "pyarrow", "pandas", "polars"),
    *("duckdb", "ray", "dask", "pyspark", "fsspec"),
    *("gymnasium", "mujoco", "imageio_ffmpeg", "mjviser", "trimesh", "viser"),
    *("torch", "stable_baselines3", "rsl_rl", "lightning", "pytorch_lightning", "transformers", "matplotlib"),
    *("keras", "torchrl", "mlflow"),
}
LAZY_MAY_BE_AT_THE_TOP_OF = {
    "cli": {"click"},
    "server": {"starlette", "uvicorn"},
    "gymnasium": {"gymnasium"},
    "spark": {"pyspark"},
    "integrations": {
        *("stable_baselines3", "rsl_rl", "lightning", "pytorch_lightning", "transformers", "ray", "keras", "torchrl"),
    },
}


def package_of(module: str) -> str | None:
    """The package that a dotted name below ``trainlog`` belongs to; None for the package itself."""
    path = "/".join(module.split(".")[1:])
    packages = [one for one in ORDER if path == one or path.startswith(f"{one}/")]
    return max(packages, key=len, default=None)


def imports(tree: ast.AST, *, only_top: bool = False) -> Iterator[str]:
    """Dotted names that are imported; those below ``if TYPE_CHECKING`` are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            base = node.module or ""
            yield from (f"{base}.{alias.name}" if base.startswith("trainlog") else base for alias in node.names)
        elif not only_top or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(node, only_top=only_top)


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_one_way(path: Path) -> None:
    own = package_of("trainlog." + ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"))
    assert own is not None, f"{path} is in no package of docs/architecture.md"
    for name in imports(ast.parse(path.read_text())):
        if name.startswith("trainlog.") and (package := package_of(name)) is not None:
            assert ORDER.index(package) <= ORDER.index(own), f"{path} imports {name}, which stands after {own}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_format_is_imported_outside_of_the_codecs(path: Path) -> None:
    """They are found by name, in the registry; what is imported is what several of them share."""
    shared = ("frame_payload", "plain_object", "spool", "chosen_values")
    if "codecs" not in path.relative_to(SOURCE).parts:
        for name in imports(ast.parse(path.read_text())):
            package = name.removeprefix("trainlog.codecs.").partition(".")[0]
            assert not name.startswith("trainlog.codecs.") or package in shared, f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_optional_and_heavy_imports_are_lazy(path: Path) -> None:
    package = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    allowed = LAZY_MAY_BE_AT_THE_TOP_OF.get(package, set())
    top = {name.split(".")[0] for name in imports(ast.parse(path.read_text()), only_top=True)}
    assert not (top & LAZY) - allowed


def test_import_trainlog_loads_nothing_heavy() -> None:
    heavy = sorted(LAZY | {"numpy", "msgpack", "ormsgpack"})
    code = f"import sys, trainlog; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_recording_and_reading_load_nothing_that_they_do_not_need(tmp_path: Path) -> None:
    """As docs/architecture.md says of the dependencies."""
    code = """
import sys, trainlog
with trainlog.TrainingRecorder(sys.argv[1], "ant", "walk") as log:
    log.record_stats_frame(None, {"step": 1, "reward": 0.5})
assert trainlog.open(sys.argv[1]).table("stats")["reward"].tolist() == [0.5]
print([name for name in sys.argv[2:] if name in sys.modules])
"""
    command = [sys.executable, "-c", code, str(tmp_path / "run.flog"), *sorted(LAZY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
