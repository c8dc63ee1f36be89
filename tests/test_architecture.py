"""What every file has to keep: layers, sizes, a test for every analysis, and a map that is the territory."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import files, packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MAP = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 60
SOURCES = sorted(
    path
    for folder in ("inspector", "plugins", "tests", "tools", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "_proto" not in path.parts
)
SHIPPED = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in ("inspector", "plugins")]


def named_in_tree() -> Iterator[str]:
    """Paths of the tree that ARCHITECTURE.md draws; two spaces of indentation a level."""
    (tree,) = re.findall(r"^```text\n(.*?)^```$", MAP, re.DOTALL | re.MULTILINE)
    above: list[str] = []
    for line in tree.splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()  # type: ignore[union-attr]
        above[len(indent) // 2 :] = [name]
        yield "".join(above)


def test_layers_point_one_way() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_not_too_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_function_is_too_long_and_the_module_says_what_it_is_for(path: Path) -> None:
    module = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(module)
    functions = [n for n in ast.walk(module) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {f.name: (f.end_lineno or 0) - f.lineno + 1 for f in functions}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES_OF_A_FUNCTION} == {}


def imported(path: Path) -> Iterator[str]:
    """First parts of the names of modules that a file imports, wherever in it; two below `google`, which many share."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (top_of(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield top_of(node.module)


def top_of(name: str) -> str:
    """The shortest name that belongs to one distribution."""
    return ".".join(name.split(".")[: 2 if name.startswith("google.") else 1])


def providers_of(name: str) -> set[str]:
    """The distributions that a module comes from, as pyproject.toml writes them."""
    first, *below = name.split(".")
    found = packages_distributions().get(first, [])
    if below:
        folder = name.replace(".", "/") + "/"
        found = [d for d in found if any(str(file).startswith(folder) for file in files(d) or ())]
    return {distribution.lower().replace("_", "-") for distribution in found}


def test_what_is_shipped_imports_only_what_an_installation_brings() -> None:
    extras = PROJECT["optional-dependencies"]
    asked = [
        *PROJECT["dependencies"],
        *(text for name in ("cpu", "parquet", "http", "ray", "mlflow") for text in extras[name]),
    ]
    declared = {re.split(r"[\[<>=~! ]", text)[0].lower().replace("_", "-") for text in asked}
    foreign = {name for path in SHIPPED for name in imported(path)} - sys.stdlib_module_names
    undeclared = {
        name: providers
        for name in foreign - {"inspector", "inspector_plugins"}
        if declared.isdisjoint(providers := providers_of(name))
    }
    runtimes = {"onnxruntime"}  # whichever of its two distributions is here
    assert undeclared.keys() - runtimes == set(), f"not in pyproject.toml: {undeclared}"


def test_every_analysis_has_a_test_file() -> None:
    names = PROJECT["entry-points"]["inspector.plugins"]
    assert [n for n in names if not (ROOT / "tests" / "plugins" / f"test_{n}.py").exists()] == []


def test_every_path_of_the_map_exists() -> None:
    assert [path for path in named_in_tree() if not (ROOT / path).exists()] == []


def test_the_map_names_every_package_and_every_file_that_is_shipped() -> None:
    named = set(named_in_tree())
    packages = {f"{path.parent.relative_to(ROOT).as_posix()}/" for path in SHIPPED}
    files = {path.relative_to(ROOT).as_posix() for path in SHIPPED}
    missing = sorted((packages | files) - named)
    assert missing == [], f"add a line to the tree of ARCHITECTURE.md for: {', '.join(missing)}"


def test_the_map_names_every_folder_that_holds_code() -> None:
    tops = {f"{path.relative_to(ROOT).parts[0]}/" for path in SOURCES}
    assert [top for top in sorted(tops) if not any(name.startswith(top) for name in named_in_tree())] == []


def test_the_map_gives_the_orders_of_layers_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    checked = [c["layers"] for c in contracts if c["type"] == "layers"]
    assert len(checked) == 2
    for layers in checked:
        assert f"    {' → '.join(layers).replace('inspector.graph.', '').replace('inspector.', '')}\n" in MAP
