"""The public names: which they are, that each says what it is, and what importing them costs."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

import inspector

ROOT = Path(inspector.__file__).parent


def test_all_is_sorted_and_without_doubles() -> None:
    assert inspector.__all__ == sorted(set(inspector.__all__))


def test_all_is_exact() -> None:
    not_ours = {"TYPE_CHECKING", "Any", "annotations"}
    held = {n for n, v in vars(inspector).items() if not n.startswith("_") and not isinstance(v, ModuleType)}
    assert held - not_ours | {"Client"} == set(inspector.__all__)


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


def _loaded_after(code: str) -> set[str]:
    """Top-level names of what is loaded after running code in a new interpreter."""
    script = f"{code}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


def test_importing_loads_neither_runtime_nor_grpc_nor_terminal() -> None:
    assert _loaded_after("import inspector").isdisjoint({"onnxruntime", "grpc", "rich", "typer"})


def test_facts_about_a_model_need_no_runtime() -> None:
    code = f"import inspector; inspector.inspect({str(ROOT / 'samples' / 'digits.onnx')!r})"
    assert _loaded_after(code).isdisjoint({"onnxruntime", "grpc"})


def test_the_client_loads_grpc_when_it_is_used() -> None:
    assert "grpc" in _loaded_after("import inspector; inspector.Client")
