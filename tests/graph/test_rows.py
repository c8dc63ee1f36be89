"""Rows of many layers leave a model together: whose they are, what may not join, and what it takes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from models import SAME, model, numbers
from reference import values

from inspector import Array, Ops, TapKind
from inspector.contract.measures import TAPPED
from inspector.graph.instrument import Instrumented, Request, instrument
from inspector.graph.load import load
from inspector.graph.rewriting import rows as rows_module
from inspector.graph.view import OnnxView
from inspector.runtime.devices import runtime
from inspector.runtime.session import Fidelity, open_session

op = Ops()
ROWS = (op.max(TAPPED), op.min(TAPPED), op.mean(TAPPED), op.count(op.greater(TAPPED, 0)), op.positions(TAPPED))
X = np.random.default_rng(5).normal(size=(3, 3, 6, 5)).astype(np.float32)
WIDTHS = (4, 6, 1, 8)
"""Channels of a chain's layers."""


def chain(inputs: str = "float[N,3,6,5] x", outputs: str = "float[N,C,H,W] y") -> bytes:
    """Convolutions of different widths, each with its Relu; pooling halves the maps in the middle."""
    widths = (3, *WIDTHS)
    pool = "MaxPool <kernel_shape=[2,2], strides=[2,2], ceil_mode=0>"
    body = [
        f"[c0] a0 = Conv {SAME} (x, w0) r0 = Relu(a0)",
        f"[c1] a1 = Conv {SAME} (r0, w1) r1 = Relu(a1)",
        f"p = {pool} (r1) [c2] a2 = Conv {SAME} (p, w2) r2 = Relu(a2)",
        f"[c3] a3 = Conv {SAME} (r2, w3) y = Relu(a3)",
    ]
    weights = {f"w{i}": numbers(widths[i + 1], widths[i], 3, 3) for i in range(4)}
    return model(" ".join(body), inputs=inputs, outputs=outputs, weights=weights)


TENSORS = [f"a{i}" for i in range(4)] + ["r0", "r1", "r2", "y"]


def requests(view: OnnxView) -> list[Request]:
    return [
        Request(tap.tensor, row) for kind in (TapKind.ACT, TapKind.CONV) for tap in view.taps(kind=kind) for row in ROWS
    ]


def run(written: Instrumented, x: Array = X, fidelity: Fidelity = "exact") -> dict[Request, Array]:
    with open_session(written.model, weights=written.weights, device="cpu", fidelity=fidelity) as session:
        return written.rows(session.run({"x": x}))


def check(found: dict[Request, Array], maps: dict[str, Array]) -> None:
    """Against NumPy on the maps of the ONNX reference implementation."""
    for tensor, wanted in maps.items():
        high, low, mean, above, positions = (found[Request(tensor, row)] for row in ROWS)
        np.testing.assert_allclose(high, wanted.max((2, 3)), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(low, wanted.min((2, 3)), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(mean, wanted.mean((2, 3)), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(above, (wanted > 0).sum((2, 3)))
        assert positions.tolist() == [[wanted[0, 0].size]] * len(wanted)


@pytest.mark.parametrize("fidelity", ["exact", "fast"])
@pytest.mark.parametrize("most", [1, 2, 3, 128])
def test_rows_of_layers_of_different_widths_leave_as_one_and_are_told_apart(
    most: int, fidelity: Fidelity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "_MOST_GROUPS", most)
    view = load(chain())
    written = instrument(view, requests(view))
    assert len(written.names) == 2  # float32, and the positions
    check(run(written, fidelity=fidelity), values(chain(), {"x": X}, TENSORS))


def test_rows_come_as_arrays_of_their_own() -> None:
    """What keeps one row must not keep those of all layers."""
    view = load(chain())
    for row in run(instrument(view, requests(view))).values():
        assert row.flags.c_contiguous
        assert row.base is None or row.base.nbytes == row.nbytes


@pytest.mark.parametrize("axes", [1, 4])
def test_where_nobody_says_how_long_the_batch_is_rows_leave_alone(axes: int) -> None:
    data = onnx.load_from_string(chain())
    for dim in data.graph.input[0].type.tensor_type.shape.dim[:axes]:
        dim.Clear()
    view = load(data.SerializeToString())
    written = instrument(view, requests(view))
    assert len(written.names) == len(requests(view))
    check(run(written), values(chain(), {"x": X}, TENSORS))


def wrong(data: bytes, *, output: bool) -> bytes:
    """The chain with maps of another size declared: of its output, or of a value within."""
    proto = onnx.load_from_string(data)
    told = proto.graph.output[0] if output else proto.graph.value_info.add(name="r0")
    del told.type.tensor_type.shape.dim[:]
    told.type.tensor_type.elem_type = 1
    told.type.tensor_type.shape.dim.extend(
        onnx.TensorShapeProto.Dimension(dim_value=size) for size in (3, 8 if output else 4, 2, 9)
    )
    return proto.SerializeToString()


@pytest.mark.parametrize("output", [True, False], ids=["output", "value"])
def test_sizes_that_a_file_declares_wrongly_are_no_part_of_any_number(output: bool) -> None:
    view = load(wrong(chain(), output=output))
    check(run(instrument(view, requests(view))), values(chain(), {"x": X}, TENSORS))


def test_pooling_that_says_it_does_not_round_up_keeps_the_cheap_way_to_count() -> None:
    """Exporters write `ceil_mode=0`; what follows has a size that is known."""
    view = load(chain())
    written = instrument(view, [Request("y", op.count(op.greater(TAPPED, 0)))])
    assert "Greater" not in [node.op_type for node in onnx.load_from_string(written.model).graph.node]


def test_watching_all_taps_takes_the_memory_of_the_plain_model_and_its_rows() -> None:
    """Every map is measured before the next but one is made."""
    depth = 12
    body = " ".join(f"[c{i}] a{i} = Conv {SAME} (v{i}, w) v{i + 1} = Relu(a{i})" for i in range(depth))
    data = model(
        f"v0 = Identity(x) {body} y = Neg(v{depth})", inputs="float[N,4,16,16] x", weights={"w": numbers(4, 4, 3, 3)}
    )
    view = load(data)
    asked = [Request(tap.tensor, row) for tap in view.taps() for row in ROWS]
    plain = instrument(view, (), keep_outputs=True)
    watched = instrument(view, asked)
    maps, all_rows = 4 * 16 * 16 * 4, depth * len(ROWS) * 4 * 8
    for batch in (1, 8):
        most = plain.footprint.part(plain.names).peak(batch) + batch * (3 * maps + 2 * all_rows)
        assert watched.footprint.part(watched.names).peak(batch) <= most


def test_the_runtime_takes_nodes_in_the_order_that_frees_maps_early(tmp_path: Path) -> None:
    """By its own profile: a map is measured before the next convolution but one."""
    view = load(chain())
    written = instrument(view, [Request(tap.tensor, op.max(TAPPED)) for tap in view.taps()])
    options = runtime().SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "p")
    session = runtime().InferenceSession(written.model, options, providers=["CPUExecutionProvider"])
    session.run(None, {"x": X})
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    ran = [e["args"]["op_name"] for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time")]
    measured = [name == "GlobalMaxPool" for name in ran if name in ("Conv", "FusedConv", "GlobalMaxPool")]
    assert measured.count(True) == measured.count(False) == len(WIDTHS)
    assert all(measured[:at].count(False) - measured[:at].count(True) <= 2 for at in range(len(measured)))


def test_the_message_of_a_view_stays_what_it_was() -> None:
    view = load(chain())
    before = view.source.message.SerializeToString(deterministic=True)
    for shapes in ({}, {"x": (3, 6, 5)}, {"x": (3, 9, 7)}):
        instrument(view, requests(view), shapes=shapes, keep_outputs=True)
    assert view.source.message.SerializeToString(deterministic=True) == before
