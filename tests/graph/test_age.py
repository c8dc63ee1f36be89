"""Files of every age load, with the facts they had; what cannot be run any more says so."""

from __future__ import annotations

import onnx
import onnxruntime
import pytest
from models import NEWEST, SAME, B, W, model, numbers

import inspector
from inspector.errors import ModelError, RunError
from inspector.graph.load import load

BODY = f"[c] a = Conv {SAME} (x, w, b) y = Relu(a)"
INPUTS = numbers(2, 3, 6, 5)


def aged(ir_version: int, opset: int | None, *, listed: bool) -> bytes:
    """A file as it was written then. `listed`: its weights are inputs as well, as the standard asked for."""
    proto = onnx.load_from_string(model(BODY, weights={"w": W, "b": B}, opset=opset or 7))
    proto.ir_version = ir_version
    del proto.opset_import[1:]
    if opset is None:
        proto.ClearField("opset_import")
    if ir_version == 1:
        for attribute in proto.graph.node[0].attribute:
            attribute.ClearField("type")
    if listed:
        for name, array in (("w", W), ("b", B)):
            value = proto.graph.input.add(name=name)
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            for size in array.shape:
                value.type.tensor_type.shape.dim.add().dim_value = size
    return proto.SerializeToString()


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(("ir_version", "opset"), [(1, None), (2, None), (3, 6), (3, 7), (3, 8), (4, 9), (14, NEWEST)])
def test_a_file_of_any_age_has_its_facts(ir_version: int, opset: int | None, *, listed: bool) -> None:
    view = load(aged(ir_version, opset, listed=listed))
    (layer,) = view.layers
    assert (layer.name, layer.activation, layer.pads, layer.kernel) == ("c", "Relu", (1, 1, 1, 1), (3, 3))
    assert [value.name for value in view.inputs] == ["x"]
    assert (view.filters("c").weight == W).all()
    assert (view.facts["ir_version"], view.facts["opsets"]) == (str(ir_version), f"ai.onnx {opset or 1}")


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("opset", [7, 8])
def test_a_file_whose_weights_are_no_inputs_runs_though_the_checker_of_its_time_refused_it(
    opset: int, *, listed: bool
) -> None:
    old, new = (
        inspector.activations(data, INPUTS)
        for data in (aged(3, opset, listed=listed), model(BODY, weights={"w": W, "b": B}))
    )
    assert (old["c:act"] == new["c:act"]).all()


@pytest.mark.parametrize("ir_version", [1, 2])
def test_operators_that_are_too_old_to_run_are_refused_by_their_version(ir_version: int) -> None:
    with pytest.raises(ModelError, match=r"too old; expected opset 7 or newer, found opset 1.*version_converter"):
        inspector.activations(aged(ir_version, None, listed=True), INPUTS)
    with pytest.raises(ModelError, match=r"found opset 6"):
        inspector.activations(aged(3, 6, listed=True), INPUTS)


def test_a_file_from_the_future_is_refused_by_its_version() -> None:
    newest = onnx.defs.onnx_opset_version()
    with pytest.raises(ModelError, match=rf"newer than the standard known here.*opset {newest}, found opset 99"):
        load(aged(8, 99, listed=False))
    with pytest.raises(ModelError, match=r"up to IR version \d+, found IR version 99"):
        load(aged(99, 17, listed=False))


def test_operators_that_only_a_newer_runtime_knows_are_refused_by_their_version() -> None:
    newest = aged(8, onnx.defs.onnx_opset_version(), listed=False)
    try:
        onnxruntime.InferenceSession(newest, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - whatever it says
        with pytest.raises(RunError, match="operators are newer than this onnxruntime"):
            inspector.activations(newest, INPUTS)
    else:  # it is not behind onnx
        assert inspector.activations(newest, INPUTS)["c:act"].any()


@pytest.mark.parametrize(("second", "right"), [(17, True), (13, False)])
def test_a_set_of_operators_that_is_named_twice_must_be_of_one_version(second: int, *, right: bool) -> None:
    proto = onnx.load_from_string(model(BODY, weights={"w": W, "b": B}))
    proto.opset_import.add(domain="ai.onnx", version=second)
    if right:
        assert load(proto.SerializeToString()).facts["opsets"].startswith("ai.onnx 17")
    else:
        with pytest.raises(ModelError, match=r"two versions of the operators 'ai.onnx'; expected one, found 17 and 13"):
            load(proto.SerializeToString())
