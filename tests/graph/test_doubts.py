"""Sizes that count: those that the runtime gives, whatever inference thinks, or none."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from models import model, numbers

from inspector.contract.measures import TAPPED, Ops
from inspector.errors import RunError
from inspector.graph.instrument import Request, instrument
from inspector.graph.load import load
from inspector.runtime.session import open_session

op = Ops()
small, side = st.integers(1, 4), st.integers(3, 40)
OPSETS = (11, 13, 17, 18, 19, 21, 22)


def pair(each: st.SearchStrategy[int], size: int = 2) -> st.SearchStrategy[list[int]]:
    return st.lists(each, min_size=size, max_size=size)


def assert_agree(body: str, weights: Mapping[str, np.ndarray], shape: list[int], opset: int) -> None:
    """What is counted is what is there; sizes that are told are those of the run."""
    data = model(
        f"{body} [c] a = Conv(q, w) y = Relu(a)",
        inputs=f"float[N,3,{shape[0]},{shape[1]}] x",
        weights={"w": numbers(2, 3, 1, 1), **weights},
        opset=opset,
    )
    view = load(data)
    slots = [Request("y", m) for m in (op.positions(TAPPED), op.keep(TAPPED), op.count(op.greater(TAPPED, 0)))]
    written = instrument(view, slots)
    x = np.random.default_rng(0).normal(size=(2, 3, *shape)).astype(np.float32)
    with open_session(written.model, weights=written.weights, device="cpu", fidelity="exact") as session:
        positions, maps, above = written.rows(session.run({"x": x})).values()
    area = int(np.prod(maps.shape[2:]))
    assert positions.ravel().tolist() == [area] * 2
    np.testing.assert_array_equal(above, (maps > 0).sum((2, 3)))
    cost = view.cost("c")
    assert cost.macs in {None, 6 * area}
    assert cost.activation_bytes in {None, 8 * area}


@given(
    st.sampled_from(["MaxPool", "AveragePool", "LpPool"]), st.sampled_from(OPSETS), pair(side), pair(small),
    pair(small), pair(small), pair(st.integers(0, 3), 4), st.sampled_from([0, 1]),
    st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]),
)  # fmt: skip
@settings(max_examples=120)
def test_pooling(  # noqa: PLR0917 - all that decides
    kind: str, opset: int, shape: list[int], kernel: list[int], strides: list[int], dilations: list[int],
    pads: list[int], up: int, mode: str,
) -> None:  # fmt: skip
    dilated = kind == "MaxPool" or (opset >= 19 if kind == "AveragePool" else opset >= 18)
    fits = all(d * (k - 1) + 1 <= size for d, k, size in zip(dilations, kernel, shape, strict=True))
    assume(fits and all(p < k for p, k in zip(pads, kernel * 2, strict=True)))  # a runtime refuses it otherwise
    assume(kind != "LpPool" or opset >= 18)  # before, it has no rounding up, and no dilation
    body = f"q = {kind} <kernel_shape={kernel}, strides={strides}, ceil_mode={up}"
    body += f", dilations={dilations}" if dilated else ""
    body += f", pads={pads}" if mode == "NOTSET" else f', auto_pad="{mode}"'
    assert_agree(body + "> (x)", {}, shape, opset)


@given(
    st.sampled_from(OPSETS), pair(side), st.sampled_from([0.7, 0.9, 1.3, 1.9, 2.3, 2.0, 0.5, 1 / 3, 2 / 3, 1.25]),
    st.floats(0.375, 3, width=32), st.sampled_from(["nearest", "linear"]),
)  # fmt: skip
@settings(max_examples=60)
def test_resizing_by_scales(opset: int, shape: list[int], one: float, other: float, mode: str) -> None:
    assert_agree(f'q = Resize <mode="{mode}"> (x, , s)' if opset >= 13 else "q = Resize (x, r, s)",
          {"s": np.array([1, 1, one, other], np.float32)} | ({} if opset >= 13 else {"r": np.zeros(0, np.float32)}),
          shape, opset)  # fmt: skip


@pytest.mark.parametrize("opset", [18, 19])
@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
@pytest.mark.parametrize("sizes", [(7, 5), (30, 11), (20, 20)])
def test_resizing_to_sizes(sizes: tuple[int, int], policy: str, opset: int) -> None:
    body = f'q = Resize <mode="nearest", axes=[2,3], keep_aspect_ratio_policy="{policy}"> (x, , , s)'
    assert_agree(body, {"s": np.array(sizes)}, [13, 10], opset)


@given(st.sampled_from([0.7, 1.3, 1.9, 2.0, 2.8]), st.floats(1, 3, width=32), pair(side))
@settings(max_examples=30)
def test_upsampling(one: float, other: float, shape: list[int]) -> None:
    assert_agree("q = Upsample(x, s)", {"s": np.array([1, 1, max(one, 1), other], np.float32)}, shape, 9)


@given(
    st.sampled_from(OPSETS), pair(st.integers(3, 12)), pair(small), pair(small), pair(st.integers(1, 3)),
    st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]), pair(st.integers(0, 2)),
)  # fmt: skip
@settings(max_examples=80)
def test_transposed_convolutions(  # noqa: PLR0917 - all that decides
    opset: int, shape: list[int], kernel: list[int], strides: list[int], dilations: list[int], mode: str,
    extra: list[int],
) -> None:  # fmt: skip
    extra = [min(e, max(s, d) - 1) for e, s, d in zip(extra, strides, dilations, strict=True)]
    body = f'q = ConvTranspose <strides={strides}, dilations={dilations}, auto_pad="{mode}", output_padding={extra}>'
    with contextlib.suppress(RunError):  # padding may leave nothing of a map
        assert_agree(body + " (x, v)", {"v": numbers(3, 3, *kernel)}, shape, opset)


def test_what_is_in_doubt_stays_so_behind_it_and_what_is_not_is_known() -> None:
    """Scale 0.7 of 10 is 7 for a runtime, and 6 for inference."""
    body = "p = Resize (x, , s) [c] a = Conv(p, w) r = Relu(a) z = Add(a, r) [d] y = Conv(z, v)"
    for scale, known in ((0.7, False), (0.75, True)):
        weights = {"w": numbers(4, 3, 1, 1), "v": numbers(2, 4, 1, 1), "s": np.array([1, 1, scale, scale], np.float32)}
        view = load(model(body, inputs="float[N,3,10,10] x", opset=13, weights=weights))
        assert [view.cost(name).macs is not None for name in ("c", "d")] == [known, known]
