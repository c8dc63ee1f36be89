"""From a model that MLflow has loaded to its ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import mlflow

from inspector.errors import InputError, ModelError, NotFoundError

FLAVOUR: Final = "onnx"


def fetch(model: Any, folder: Path) -> Path:
    """Downloads a logged model into a folder; gives its ONNX file, with whatever belongs to it beside it.

    `model` is what MLflow hands to evaluators: a `mlflow.pyfunc.PyFuncModel`.

    Raises:
        ModelError: the model has no `onnx` flavour, or that says nothing of use.
        InputError: it was never logged, so that nothing says where its files are.
        NotFoundError: its file is missing.
    """
    found = _flavour(model)
    info = model.metadata
    if not (info.run_id or info.model_id):
        raise InputError(
            "model",
            "nothing says where its files are",
            expected="a model that was logged, as runs:/… or models:/…",
            remedy="Log it with mlflow.onnx.log_model, or run `inspector audit` on its file.",
        )
    uri = info.get_model_info().model_uri
    root = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder))).resolve()
    return _inside(root, found.get("data"), uri)


def _flavour(model: Any) -> Mapping[str, Any]:
    flavours: Mapping[str, Any] = getattr(getattr(model, "metadata", None), "flavors", None) or {}
    found = flavours.get(FLAVOUR)
    if not isinstance(found, Mapping):
        raise ModelError(
            "model",
            "it is no ONNX model",
            expected=f"the flavour {FLAVOUR!r}",
            found=", ".join(map(str, flavours)) or "none",
            remedy="Log it with mlflow.onnx.log_model.",
        )
    return found


def _inside(root: Path, name: object, uri: str) -> Path:
    """The file that the flavour names, which has to be one of the model's."""
    path = (root / name).resolve() if isinstance(name, str) and name else None
    if path is None or not path.is_relative_to(root):
        expected = "a path inside of the model's folder"
        raise ModelError(f"model {uri}", "its flavour names no file of it", expected=expected, found=repr(name)[:200])
    if not path.is_file():
        raise NotFoundError(
            f"model {uri}", "its file is missing", expected=str(name), remedy="Log the model again, with all its files."
        )
    return path
