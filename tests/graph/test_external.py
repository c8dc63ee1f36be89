"""Data files beside a model: what is legal loads to the same facts and bits; nothing else is ever opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from models import ZOO

from inspector import service
from inspector.errors import InspectorError, LimitError, ModelError
from inspector.graph.load import Limits, load


def saved(folder: Path, name: str = "chain", *, one_file: bool = True) -> Path:
    """A net of the zoo as onnx itself saves it with all its numbers outside."""
    path = folder / "net.onnx"
    onnx.save_model(
        onnx.load_from_string(ZOO[name].data), path, save_as_external_data=True, size_threshold=0,
        all_tensors_to_one_file=one_file, location="net.data" if one_file else None,
    )  # fmt: skip
    return path


def entries(path: Path, **changes: str | None) -> None:
    """Says something else of where the numbers of the first tensor are."""
    proto = onnx.load(path, load_external_data=False)
    tensor = proto.graph.initializer[0]
    merged: Mapping[str, str | None] = {e.key: e.value for e in tensor.external_data} | changes
    del tensor.external_data[:]
    for key, value in merged.items():
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())


@pytest.mark.parametrize("least", [0, 1 << 20])
@pytest.mark.parametrize("one_file", [True, False])
@pytest.mark.parametrize("name", ["chain", "float16_7", "grouped", "in_a_branch", "weight_reshape"])
def test_a_model_with_data_files_is_the_model_without(
    name: str, one_file: bool, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspector.graph.load.APART", least)
    monkeypatch.setattr("inspector.graph.loading.weights.APART", least)
    path, case = saved(tmp_path, name, one_file=one_file), ZOO[name]
    beside, whole = load(path), load(case.data)
    assert (beside.layers, beside.inputs, beside.outputs) == (whole.layers, whole.inputs, whole.outputs)
    for layer in whole.layers:
        np.testing.assert_array_equal(beside.filters(layer.name).weight, whole.filters(layer.name).weight)
    for file in beside.data_files:
        file.path.unlink()  # nothing is read a second time
    x = case.inputs(2)
    expected, found = service.activations(whole, x, device="cpu"), service.activations(beside, x, device="cpu")
    assert expected.keys() == found.keys()
    for tap, maps in expected.items():
        np.testing.assert_array_equal(found[tap], maps)


def test_numbers_in_attributes_may_lie_outside_too(tmp_path: Path) -> None:
    proto = onnx.load_from_string(ZOO["weight_constant"].data)
    constant = proto.graph.node[0].attribute[0].t
    constant.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(constant)))
    path = tmp_path / "net.onnx"
    onnx.save_model(proto, path, save_as_external_data=True, size_threshold=0, location="data", convert_attribute=True)
    view = load(path)
    assert [file.path for file in view.data_files] == [tmp_path / "data"]
    expected = load(ZOO["weight_constant"].data).filters(view.layers[0].name).weight
    np.testing.assert_array_equal(view.filters(view.layers[0].name).weight, expected)


def test_the_hash_is_of_the_file_and_of_every_tensor(tmp_path: Path) -> None:
    path = saved(tmp_path)
    proto = onnx.load_from_string(ZOO["chain"].data)
    raw = [onnx.numpy_helper.to_array(t).tobytes() for t in proto.graph.initializer]
    parts = [path.read_bytes(), *raw]
    view = load(path)
    assert view.sha256 == hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
    assert view.facts["bytes"] == str(sum(len(part) for part in parts))
    data = bytearray((tmp_path / "net.data").read_bytes())
    data[0] ^= 1
    (tmp_path / "net.data").write_bytes(data)
    assert load(path).sha256 != view.sha256


def test_tensors_may_share_bytes(tmp_path: Path) -> None:
    data = ZOO["chain"].data
    path = saved(tmp_path)
    proto = onnx.load(path, load_external_data=False)
    first, second = proto.graph.initializer[0], proto.graph.initializer.add()
    second.CopyFrom(first)
    second.name = "another"
    path.write_bytes(proto.SerializeToString())
    assert int(load(path).facts["bytes"]) > len(data) - 200
    assert load(path).layers == load(data).layers


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            ({"location": location}, "a file that it may not name; expected the plain name")
            for location in ("../net.data", "/etc/passwd", "a/net.data", "", ".", "..", "a\\b", "c:net.data", "*/x/*")
        ),
        ({"location": None}, "does not say properly where"),
        ({"basepath": "/etc"}, "does not say properly where"),
        ({"__class__": "x"}, "does not say properly where"),
        ({"location": "absent"}, "cannot be opened.*No such file"),
        ({"location": "n" * 5000}, "cannot be opened"),
        ({"offset": "-1"}, "its offset is none; expected up to 18 decimal digits, found '-1'"),
        ({"offset": "1e3"}, "its offset is none"),
        ({"offset": "\u0661"}, "its offset is none"),
        ({"offset": "9" * 18}, "is too short"),
        ({"offset": "1000000"}, "data file 'net.data' is too short"),
        ({"length": "431"}, "its length does not fit its shape and element type; expected 432 bytes, found 431"),
        ({"length": "9" * 19}, "its length is none"),
    ],
    ids=str,
)
def test_a_reference_that_is_not_allowed_or_does_not_fit_is_refused(
    changes: dict[str, str | None], message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path)
    entries(path, **changes)
    with pytest.raises(InspectorError, match=f"net.onnx.*{message}"):
        load(path)


def test_a_key_may_not_be_there_twice(tmp_path: Path) -> None:
    path = saved(tmp_path)
    proto = onnx.load(path, load_external_data=False)
    proto.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=r"at most one each.*found location, offset, length, location"):
        load(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda data, other: data.symlink_to(other),
            "cannot be opened; .*model's folder, no link",
        ),
        (lambda data, other: data.hardlink_to(other), "expected a regular file with one name, found 2 names"),
        (lambda data, _: data.mkdir(), "expected a regular file with one name"),
        (lambda data, _: os.mkfifo(data), "expected a regular file with one name"),
        (lambda _, __: None, "cannot be opened.*No such file"),
    ],
    ids=["link", "hard link", "folder", "pipe", "nothing"],
)
def test_only_a_regular_file_of_its_own_is_read(
    make: Callable[[Path, Path], object], message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path)
    data = tmp_path / "net.data"
    data.rename(tmp_path / "other")
    make(data, tmp_path / "other")
    with pytest.raises(ModelError, match=f"data file 'net.data'.*{message}"):
        load(path)


@pytest.mark.parametrize(
    ("dims", "kind", "error", "message"),
    [
        ([1 << 40], 1, LimitError, f"expected at most {1 << 34} bytes"),
        ([1 << 62] * 8, 1, LimitError, "hold too much"),
        ([1 << 30], 1, ModelError, "is too short"),
        ([1] * 33, 1, ModelError, "cannot lie in a data file"),
        ([-1, -4, 27], 1, ModelError, "cannot lie in a data file"),
        ([4], 8, ModelError, "cannot lie in a data file"),
        ([4], 0, ModelError, "cannot lie in a data file"),
        ([4], 999, ModelError, "cannot lie in a data file"),
    ],
)
def test_sizes_are_checked_before_memory_is_taken(
    dims: list[int], kind: int, error: type[InspectorError], message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path)
    entries(path, length=None)
    proto = onnx.load(path, load_external_data=False)
    proto.graph.initializer[0].dims[:] = dims
    proto.graph.initializer[0].data_type = kind
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(error, match=message):
        load(path)


def test_the_bytes_of_all_tensors_together_are_limited(tmp_path: Path) -> None:
    path = saved(tmp_path)
    size = (tmp_path / "net.data").stat().st_size
    load(path, limits=Limits(external=size))
    with pytest.raises(LimitError, match="its data files hold too much"):
        load(path, limits=Limits(external=99))
