"""However a bound is written and of whatever type it is, what lies at it is counted; and no bound is made up."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from inspector_plugins._activation_bounds import is_nonnegative, saturation
from models import SAME, W, model

from inspector import Array, Report, Tap, TapKind, Zeros, service
from inspector.graph.load import load

HIGH = 0.1234567
TYPES = {"float16": np.float16, "float": np.float32}
WRITTEN = {
    "Clip": "y = Clip(a, zero, high)",
    "Min of Max": "r = Max(a, zero) y = Min(r, high)",
    "Max of Min": "r = Min(a, high) y = Max(r, zero)",
    "Min of Relu": "r = Relu(a) y = Min(high, r)",
    "Where": "g = Greater(a, high) u = Where(g, high, a) y = Relu(u)",
    "shifted": "s = Sub(i, high) r = Min(s, zero) u = Add(r, high) y = Relu(u)",
}


def built(nodes: str, kind: str = "float", opset: int = 17, high: float = HIGH) -> bytes:
    dtype = TYPES[kind]
    weights = {"w": W.astype(dtype)} | {n: np.array(v, dtype) for n, v in (("zero", 0), ("high", high)) if n in nodes}
    return model(
        f"[c] a = Conv {SAME} (x, w) {'i = Identity(a) ' * ('(i' in nodes)}{nodes}", weights=weights, opset=opset,
        inputs=f"{kind}[N,3,6,5] x", outputs=f"{kind}[N,C,H,W] y", ir=4 if opset < 10 else 8,
    )  # fmt: skip


def pictures(kind: str = "float") -> Array:
    return np.random.default_rng(0).normal(size=(8, 3, 6, 5)).astype(TYPES[kind])


def numbers(report: Report, name: str) -> list[float]:
    (found,) = (m.values for m in report.result("distribution").metrics if m.name == name)
    return np.asarray(found).tolist()  # type: ignore[no-any-return]


def at_bound(report: Report) -> list[float]:
    return numbers(report, "channel_saturated_share")


@pytest.mark.parametrize("fidelity", ["exact", "fast"])
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("nodes", WRITTEN.values(), ids=WRITTEN)
def test_what_lies_at_a_bound_of_many_digits_is_counted(nodes: str, kind: str, fidelity: str) -> None:
    data, x = built(nodes, kind), pictures(kind)
    maps = service.activations(data, x, ["c:act"])["c:act"]
    assert np.isclose(maps.max(), HIGH, rtol=1e-3)
    report = service.audit(data, x, ["distribution"], fidelity=fidelity)  # type: ignore[arg-type]
    expected = (maps == maps.max()).mean((0, 2, 3))
    assert expected.min() > 0.2
    assert at_bound(report) == expected.tolist()


def test_a_bound_of_a_double_is_counted_at_too() -> None:
    """Its own float32 is above it."""
    body = f"[c] e = Conv {SAME} (x, w) a = Cast <to=11> (e) r = Relu(a) y = Min(r, high)"
    weights = {"w": W, "high": np.array(0.1)}
    data, x = model(body, weights=weights, outputs="double[N,C,H,W] y"), pictures()
    maps = service.activations(data, x, ["c:act"])["c:act"]
    assert maps.max() == 0.1 < float(np.float32(0.1))
    assert at_bound(service.audit(data, x, ["distribution"])) == (maps == 0.1).mean((0, 2, 3)).tolist()


@pytest.mark.parametrize("kind", TYPES)
def test_a_bound_that_is_an_attribute_is_what_its_element_type_makes_of_it(kind: str) -> None:
    data, x = built("y = Clip <min=0.0, max=0.1> (a)", kind, opset=10), pictures(kind)
    assert load(data).layers[0].activation == f"Clip(0,{'0.1' if kind == 'float' else '0.099975586'})"
    maps = service.activations(data, x, ["c:act"])["c:act"]
    assert at_bound(service.audit(data, x, ["distribution"])) == (maps == maps.max()).mean((0, 2, 3)).tolist()


@pytest.mark.parametrize("nodes", [n for n in WRITTEN.values() if "zero" in n and "(i" not in n])
def test_bounds_of_a_bfloat16_have_its_digits(nodes: str) -> None:
    dtype = ml_dtypes.bfloat16
    weights = {"w": W.astype(dtype)} | {n: np.array(v, dtype) for n, v in (("zero", 0), ("high", 0.1)) if n in nodes}
    types = {"inputs": "bfloat16[N,3,6,5] x", "outputs": "bfloat16[N,C,H,W] y"}
    data = model(f"[c] a = Conv {SAME} (x, w) {nodes}", weights=weights, **types)  # type: ignore[arg-type]
    assert load(data).layers[0].activation == "Clip(0,0.100097656)"


@pytest.mark.parametrize("kind", TYPES)
def test_a_bound_that_is_a_difference_is_the_one_that_its_element_type_rounds_to(kind: str) -> None:
    body = f"[c] a = Conv {SAME} (x, w) i = Identity(a) s = Add(i, k) r = Clip(s, z, h) y = Sub(r, k)"
    numbers = {"w": W, "k": np.array(0.123), "z": np.array(0), "h": np.array(0.4567)}
    types = {"inputs": f"{kind}[N,3,6,5] x", "outputs": f"{kind}[N,C,H,W] y"}
    data = model(body, weights={n: v.astype(TYPES[kind]) for n, v in numbers.items()}, **types)  # type: ignore[arg-type]
    maps = service.activations(data, pictures(kind), ["c:act"])["c:act"]
    name = load(data).layers[0].activation or ""
    assert [float(np.float32(b)) for b in name[5:-1].split(",")] == [float(maps.min()), float(maps.max())]


@pytest.mark.parametrize(("low", "high"), [(0.0, HIGH), (-HIGH, 0.0), (-HIGH, HIGH), (0.25, 0.5), (1.0, -1.0)])
def test_a_fused_clip_is_one_that_stands_by_itself(low: float, high: float) -> None:
    carried = f'<pads=[1,1,1,1], activation="Clip", activation_params=[{low}, {high}]>'
    fused = model(f"[c] y = com.microsoft.FusedConv {carried} (x, w)", weights={"w": W})
    bounds = {"l": np.array(low, np.float32), "h": np.array(high, np.float32)}
    alone = model(f"[c] a = Conv {SAME} (x, w) y = Clip(a, l, h)", weights={"w": W} | bounds)
    a, b = (load(data).layers[0].taps[TapKind.ACT] for data in (fused, alone))
    assert (a.activation, a.zeros) == (b.activation, b.zeros)
    assert (a.zeros is Zeros.EXACT) == (0 in (low, high))
    if low < high:
        one, two = (at_bound(service.audit(data, pictures(), ["distribution"])) for data in (fused, alone))
        assert one == two
        assert min(one) > 0.1


def test_bounds_the_wrong_way_round_make_everything_the_upper_one() -> None:
    data = built("y = Clip(a, zero, high)", high=-1.0)
    tap = load(data).layers[0].taps[TapKind.ACT]
    assert (tap.activation, tap.zeros) == ("Clip(-1,-1)", Zeros.NOT_MEANINGFUL)
    assert (service.activations(data, pictures(), ["c:act"])["c:act"] == -1).all()
    assert numbers(service.audit(data, pictures(), ["distribution"]), "channel_score") == [1.0] * 4


def tap_of(activation: str) -> Tap:
    return Tap("c", TapKind.ACT, "y", 4, activation)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("Clip(0,6)", True), ("Clip(0,inf)", True), ("Clip(0.5,1)", True), ("Clip(0,computed)", False),
        ("Clip(computed,6)", False), ("Clip(-1,-1)", False), ("Clip(-1,1)", False), ("Clip(0,-1)", False),
        ("Saturation(0,7.65)", True), ("Tanh", False),
    ],
)  # fmt: skip
def test_nothing_below_zero_is_promised_only_where_both_bounds_say_so(activation: str, expected: bool) -> None:
    assert is_nonnegative(tap_of(activation)) is expected


def test_a_bound_that_is_computed_is_no_bound_to_count_at() -> None:
    assert saturation(tap_of("Clip(0,computed)"), 0.01) is None
    found = saturation(tap_of("Clip(computed,6)"), 0.01)
    assert found is not None
    assert (found.below, found.where) == (None, "at 6")


@pytest.mark.parametrize("activation", ["Clip(2,2)", "Clip(3,1)"])
def test_what_a_clip_leaves_one_value_of_is_not_saturated(activation: str) -> None:
    assert saturation(tap_of(activation), 0.01) is None
