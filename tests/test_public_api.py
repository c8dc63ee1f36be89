"""The public names: which they are, that each says what it is, and what importing them costs."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest

import inspector
from inspector import errors
from inspector.faces.grpc import errors as grpc_errors

ROOT = Path(inspector.__file__).parent


def test_all_is_sorted_and_without_doubles() -> None:
    assert inspector.__all__ == sorted(set(inspector.__all__))


def test_all_is_exact() -> None:
    not_ours = {"TYPE_CHECKING", "Any", "annotations", "import_module", "version"}
    held = {n for n, v in vars(inspector).items() if not n.startswith("_") and not isinstance(v, ModuleType)}
    assert held - not_ours | set(inspector._LATE) == set(inspector.__all__)


def test_dir_has_the_public_names_and_the_version() -> None:
    assert set(dir(inspector)) == {*inspector.__all__, "__version__"}
    assert inspector.__version__ == version("onnx-inspector")


def test_every_error_that_is_raised_on_purpose_is_public() -> None:
    kinds = {kind for module in (errors, grpc_errors) for kind in vars(module).values() if isinstance(kind, type)}
    raised = {kind.__name__ for kind in kinds if issubclass(kind, inspector.InspectorError)}
    assert raised - set(inspector.__all__) == set()


VERBS = [value for name in inspector.__all__ if inspect.isfunction(value := getattr(inspector, name))]
METHODS = [value for name, value in vars(inspector.Client).items() if not name.startswith("_") and callable(value)]
SHOWN_AS = {"OnnxView": "ModelView"}
"""A class that has no public name, and the public one of what users may rely on."""


def classes_of(hint: Any) -> Iterator[type]:
    """All classes that an annotation names."""
    if isinstance(hint, type) and not get_args(hint):
        yield hint
    for inner in get_args(hint):
        yield from [c for part in inner for c in classes_of(part)] if isinstance(inner, list) else classes_of(inner)


@pytest.mark.parametrize("verb", [*VERBS, *METHODS], ids=lambda verb: verb.__qualname__)
def test_what_a_function_takes_and_gives_is_public(verb: Callable[..., Any]) -> None:
    hints = get_type_hints(verb)
    ours = {c.__name__ for h in hints.values() for c in classes_of(h) if c.__module__.startswith("inspector")}
    private = {name for name in ours - set(inspector.__all__) if SHOWN_AS.get(name) not in inspector.__all__}
    assert private - {"Policy"} == set()  # what a file holds; users give the file


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_help_on_a_function_is_short_and_names_nothing_private(verb: Callable[..., Any]) -> None:
    assert len(str(inspect.signature(verb))) < 1000
    named = re.findall(r"`(?:inspector\.)?([A-Z]\w+)", verb.__doc__ or "")
    assert [name for name in named if name not in inspector.__all__] == []
    assert "inspector.runtime" not in (verb.__doc__ or "")
    assert "inspector.graph" not in (verb.__doc__ or "")


def test_what_a_prompt_shows_of_a_value_is_short() -> None:
    model = inspector.load(ROOT / "samples" / "digits.onnx")
    report = inspector.inspect(model)
    assert repr(model) == f"<model 'digits': 3 layers, sha256 {model.sha256[:12]}>"
    assert repr(report).startswith("<Report on 'digits': Passed")
    assert [len(repr(value)) < 400 for value in (*report.results, *inspector.plugins())].count(False) == 0
    assert repr(inspector.Limits()) == "Limits()"
    assert repr(inspector.Limits(nodes=3)) == "Limits(nodes=3)"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'Clint'"):
        _ = inspector.Clint


@pytest.mark.parametrize("name", inspector.__all__)
def test_a_public_name_says_what_it_is(name: str) -> None:
    value: Any = getattr(inspector, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert (value.__doc__ or "").strip().partition("\n")[0].endswith((".", ":", ";")), name
        assert not (value.__doc__ or "").startswith(f"{name}("), "this is what dataclasses write by themselves"
    else:
        assert name in _documented_aliases() or all(a.__doc__ for a in get_args(value)), name


def _documented_aliases() -> set[str]:
    """Names that are assigned in the contract with a text right below."""
    found: set[str] = set()
    for path in (ROOT / "contract").glob("*.py"):
        body = ast.parse(path.read_text("utf-8")).body
        for statement, after in pairwise(body):
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(statement, ast.Assign) and isinstance(text, ast.Constant) and isinstance(text.value, str):
                found |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return found


OF_A_MODEL = {"onnx", "onnx_ir", "sympy", "onnxruntime", "fsspec"}
"""What is loaded to read a model or to run it, and takes longer than all the rest."""


def _loaded_after(code: str) -> set[str]:
    """Top-level names of what is loaded after running code in a new interpreter."""
    script = f"{code}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


def test_every_module_but_those_of_mlflow_can_be_imported_without_any_extra() -> None:
    code = """
import importlib, pkgutil, sys
import inspector, inspector_plugins
sys.modules.update(dict.fromkeys(EXTRAS))
failed = set()
for package in (inspector, inspector_plugins):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=failed.add):
        try:
            module.name.endswith("__main__") or importlib.import_module(module.name)
        except ImportError:
            failed.add(module.name)
print(*failed)
"""
    extras = [
        "onnxruntime",
        "pyarrow",
        "ray",
        "aiohttp",
        "mlflow",
        "pandas",
        "sklearn",
        "matplotlib",
        "sqlalchemy",
        "alembic",
    ]
    code = code.replace("EXTRAS", repr(extras))
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    failed = answer.stdout.split()
    assert [name for name in failed if not name.startswith("inspector.faces.mlflow.")] == []
    assert "inspector.faces.mlflow.evaluator" in failed  # what has to fail without MLflow does: the others were tried


def test_importing_loads_neither_runtime_nor_grpc_nor_terminal() -> None:
    assert _loaded_after("import inspector").isdisjoint({*OF_A_MODEL, "grpc", "rich", "typer"})


@pytest.mark.parametrize("arguments", [["--help"], ["audit", "--help"], ["plugins"], ["compare", "a.json", "a.json"]])
def test_a_command_without_a_model_does_not_wait_for_what_reads_models(arguments: list[str], tmp_path: Path) -> None:
    inspector.write_report(inspector.inspect(ROOT / "samples" / "digits.onnx"), json=tmp_path / "a.json")
    code = f"""
import contextlib, io, os
from inspector.faces.cli import main
os.chdir({str(tmp_path)!r})
with contextlib.redirect_stdout(io.StringIO()):
    assert main({arguments!r}) == 0
"""
    assert _loaded_after(code).isdisjoint({*OF_A_MODEL, "grpc"})


def test_facts_about_a_model_need_no_runtime() -> None:
    code = f"import inspector; inspector.inspect({str(ROOT / 'samples' / 'digits.onnx')!r})"
    assert _loaded_after(code).isdisjoint({"onnxruntime", "grpc"})


def test_the_client_loads_grpc_when_it_is_used() -> None:
    assert "grpc" in _loaded_after("import inspector; inspector.Client")
