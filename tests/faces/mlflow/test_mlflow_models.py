"""From a logged model to its ONNX file: only a file of the model itself, with what lies beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import onnx
import pytest
import yaml
from mlflow_nets import NET

from inspector import InspectorError, load
from inspector.faces.mlflow.model_file import fetch


@pytest.fixture
def edited(log: Callable[[bytes], str]) -> Callable[[Any], Any]:
    """A logged model whose onnx flavour names another file, loaded."""

    def edit(name: Any) -> Any:
        uri = log(NET)
        file = Path(mlflow.artifacts.download_artifacts(uri)) / "MLmodel"  # where it lies, in this store
        content = yaml.safe_load(file.read_text())
        content["flavors"]["onnx"]["data"] = name
        file.write_text(yaml.safe_dump(content))
        return mlflow.pyfunc.load_model(uri)

    return edit


def test_the_file_is_a_copy_of_what_was_logged_with_the_data_beside_it(net: str, tmp_path: Path) -> None:
    file = fetch(mlflow.pyfunc.load_model(net), tmp_path)
    assert file.is_relative_to(tmp_path)
    stored = Path(mlflow.artifacts.download_artifacts(net)) / "model.onnx"
    assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(stored.read_bytes()).digest()
    assert [layer.name for layer in load(file).layers] == ["/block/c1/Conv", "/block/c2/Conv"]


def test_a_model_may_have_been_logged_outside_of_any_run(store: Path, tmp_path: Path) -> None:
    info = mlflow.onnx.log_model(onnx.load_from_string(NET), name="net", pip_requirements=[])
    model = mlflow.pyfunc.load_model(info.model_uri)
    assert (bool(model.metadata.run_id), bool(model.metadata.model_id)) == (False, True)
    assert fetch(model, tmp_path).is_file()


def has_data_files(file: Path) -> bool:
    weights = onnx.load(file, load_external_data=False).graph.initializer
    return any(weight.data_location == onnx.TensorProto.EXTERNAL for weight in weights)


def test_weights_in_data_files_come_along(store: Path, tmp_path: Path) -> None:
    with mlflow.start_run():
        info = mlflow.onnx.log_model(
            onnx.load_from_string(NET), name="net", pip_requirements=[], save_as_external_data=True, size_threshold=0
        )
    if not has_data_files(Path(mlflow.artifacts.download_artifacts(info.model_uri)) / "model.onnx"):
        pytest.skip("this MLflow keeps small weights in the model's file")
    file = fetch(mlflow.pyfunc.load_model(info.model_uri), tmp_path)
    assert has_data_files(file)
    whole = load(NET).filters("/block/c1/Conv").weight
    assert (load(file).filters("/block/c1/Conv").weight == whole).all()


@pytest.mark.parametrize("name", ["../../../../../../etc/passwd", "/etc/passwd", "", None, ["model.onnx"], 3])
def test_a_flavour_that_points_out_of_the_model_is_refused(
    edited: Callable[[Any], Any], tmp_path: Path, name: Any
) -> None:
    with pytest.raises(InspectorError, match="names no file of it"):
        fetch(edited(name), tmp_path)


def test_a_file_that_is_missing_is_named(edited: Callable[[Any], Any], tmp_path: Path) -> None:
    with pytest.raises(InspectorError, match=r"its file is missing; expected other\.onnx"):
        fetch(edited("other.onnx"), tmp_path)


def test_a_model_that_is_no_onnx_model_is_refused_by_its_flavours(store: Path, tmp_path: Path) -> None:
    class Same(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: list[str]) -> list[str]:
            return model_input

    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(name="same", python_model=Same(), pip_requirements=[])
    with pytest.raises(InspectorError, match="it is no ONNX model; expected the flavour 'onnx', found python_function"):
        fetch(mlflow.pyfunc.load_model(info.model_uri), tmp_path)


def test_a_model_that_was_never_logged_says_not_where_it_lies(store: Path, tmp_path: Path) -> None:
    mlflow.onnx.save_model(onnx.load_from_string(NET), tmp_path / "plain", pip_requirements=[])
    with pytest.raises(InspectorError, match="nothing says where its files are"):
        fetch(mlflow.pyfunc.load_model(str(tmp_path / "plain")), tmp_path / "copy")
