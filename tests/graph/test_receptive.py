"""Receptive fields against what units really read: measured by impulses, and worked out from definitions."""

from __future__ import annotations

from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given
from receptive_twin import Net1, Unit, enlarge, join, slide, spread

from inspector.graph.receptive.fields import ReceptiveField

SIZE = 37
Draw = st.DrawFn


def convolved(net: Net1, x: str, geometry: tuple[int, int, int], pads: tuple[int, int]) -> str:
    """`geometry`: kernel, stride, dilation."""
    kernel, stride, dilation = geometry
    weight = net.weight(1, net.channels[x], kernel)
    text = f"Conv <strides=[{stride}], dilations=[{dilation}], pads=[{pads[0]},{pads[1]}]>"
    return net.put(text, [x, weight], slide(net.units[x], kernel, stride, dilation, pads), 1)


def keeping(draw: Draw, net: Net1, x: str) -> str:
    """A convolution that keeps the number of units, with all of its padding anywhere."""
    kernel, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    total = dilation * (kernel - 1)
    before = draw(st.integers(0, total))
    return convolved(net, x, (kernel, 1, dilation), (before, total - before))


def conv(draw: Draw, net: Net1, x: str) -> str:
    pads = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    return convolved(net, x, draw(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))), pads)


def same(draw: Draw, net: Net1, x: str) -> str:
    """Padding that the runtime works out: ceil(size / stride) units."""
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    mode = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER"]))
    size = len(net.units[x])
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    less, more = total // 2, total - total // 2
    pads = (less, more) if mode == "SAME_UPPER" else (more, less)
    text = f'Conv <strides=[{stride}], auto_pad="{mode}">'
    weight = net.weight(1, net.channels[x], kernel)
    return net.put(text, [x, weight], slide(net.units[x], kernel, stride, 1, pads), 1)


def pooled(draw: Draw, net: Net1, x: str) -> str:
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    pads = draw(st.tuples(st.integers(0, kernel - 1), st.integers(0, kernel - 1)))
    op = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    text = f"{op} <kernel_shape=[{kernel}], strides=[{stride}], pads=[{pads[0]},{pads[1]}]>"
    return net.put(text, [x], slide(net.units[x], kernel, stride, 1, pads), net.channels[x])


def branched(draw: Draw, net: Net1, x: str) -> str:
    """Two or three chains from one value that meet again."""
    ends = [x] if draw(st.booleans()) else []
    for _ in range(2):
        y = x
        for _ in range(draw(st.integers(1, 2))):
            y = keeping(draw, net, y)
        ends.append(y)
    units = join(*(net.units[e] for e in ends))
    if draw(st.booleans()):
        return net.put("Concat <axis=1>", ends, units, sum(net.channels[e] for e in ends))
    return net.put("Sum", ends, units, max(net.channels[e] for e in ends))


def padded(draw: Draw, net: Net1, x: str) -> str:
    before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    pads = net.constant([0, 0, before, 0, 0, after], "int64")
    return net.put("Pad", [x, pads], slide(net.units[x], 1, 1, 1, (before, after)), net.channels[x])


def transposed(draw: Draw, net: Net1, x: str) -> str:
    kernel, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    span = dilation * (kernel - 1) + 1
    before, after = draw(st.integers(0, span - 1)), draw(st.integers(0, span - 1))
    more = draw(st.integers(0, stride - 1))
    weight = net.weight(net.channels[x], 1, kernel)
    text = (
        f"ConvTranspose <strides=[{stride}], dilations=[{dilation}], pads=[{before},{after}], output_padding=[{more}]>"
    )
    units = spread(net.units[x], kernel, stride, dilation, (before, after - more))
    assume(units)
    return net.put(text, [x, weight], units, 1)


def resized(draw: Draw, net: Net1, x: str) -> str:
    factor, mode = draw(st.integers(1, 3)), draw(st.sampled_from(["nearest", "linear"]))
    text = f'Resize <mode="{mode}">'
    scales = net.constant([1, 1, factor], "float32")
    return net.put(text, [x, '""', scales], enlarge(net.units[x], factor, mode), net.channels[x])


DOWN = (conv, same, pooled, branched, padded)
UP = (transposed, resized, branched, keeping)


@st.composite
def nets(draw: Draw, *phases: tuple[object, ...]) -> Net1:
    """Every phase is a choice of operators; one to three of each phase follow each other."""
    net, x = Net1(SIZE, fixed=draw(st.booleans())), "x"
    for phase in phases:
        for _ in range(draw(st.integers(1, 3))):
            x = draw(st.sampled_from(phase))(draw, net, x)  # type: ignore[operator]
            assume(len(net.units[x]) > 1)
    return net


def first_and_last(field: ReceptiveField, unit: int) -> tuple[int, int]:
    (interval,) = field.interval((unit,))
    assert interval is not None
    return interval


@given(nets((*DOWN, *UP), (*DOWN, *UP)))
def test_units_read_what_the_definitions_of_their_operators_say(net: Net1) -> None:
    """The twin itself, against impulses sent through onnxruntime."""
    for name, measured in net.impulses().items():
        assert measured == [unit.pixels for unit in net.units[name]]


@given(nets((*DOWN, *UP), (*DOWN, *UP)))
def test_no_unit_reads_a_pixel_outside_of_its_interval(net: Net1) -> None:
    for name, field in net.fields().items():
        if field.offset[0] is None:
            assert not net.fixed
            assert "depends on the size" in field.reason
            continue
        for u, unit in enumerate(net.units[name]):
            first, last = first_and_last(field, u)
            assert all(first <= pixel <= last for pixel in unit.pixels)


def tight(field: ReceptiveField, units: list[Unit]) -> None:
    """Both ends of the interval are read, by every unit that nothing is missing for."""
    for u, unit in enumerate(units):
        if unit.whole:
            assert (min(unit.pixels), max(unit.pixels)) == first_and_last(field, u)


@given(nets(DOWN, DOWN))
def test_intervals_are_no_longer_than_they_must_be(net: Net1) -> None:
    for name, field in net.fields().items():
        if field.offset[0] is not None:
            tight(field, net.units[name])
        elif field.size[0] is not None:
            assert len({max(u.pixels) - min(u.pixels) + 1 for u in net.units[name] if u.whole} - {field.size[0]}) == 0


@given(nets(DOWN, UP))
def test_after_upsampling_intervals_are_the_union_over_all_kinds_of_units(net: Net1) -> None:
    for name, field in net.fields().items():
        stride, offset, size = field.stride[0], field.offset[0], field.size[0]
        if stride is None or offset is None or size is None:
            continue
        whole = [(u, unit) for u, unit in enumerate(net.units[name]) if unit.whole and unit.pixels]
        if len(whole) > 4 * stride.denominator:
            assert min(min(unit.pixels) - u * stride for u, unit in whole) == offset
            assert max(max(unit.pixels) - u * stride for u, unit in whole) == offset + size - 1


def same_centres(branches: list[list[Unit]]) -> bool | None:
    """Of the units at one place, where nothing is missing for any of them; None where there is no such place."""
    places = [units for units in zip(*branches, strict=True) if all(u.whole for u in units)]
    if not places:
        return None
    return all(len({min(u.pixels) + max(u.pixels) for u in units}) == 1 for units in places)


@given(nets((branched, same, conv), (branched, same)))
def test_aligned_means_that_all_branches_share_one_centre(net: Net1) -> None:
    expected: dict[str, bool | None] = {"x": True}
    fields = net.fields()
    for name, inputs in net.inputs.items():
        verdicts = [expected[i] for i in inputs] + [same_centres([net.units[i] for i in inputs])]
        expected[name] = False if False in verdicts else None if None in verdicts else True
        if expected[name] is not None:
            assert fields[name].aligned in (expected[name], None)
            assert fields[name].aligned is not None or fields[name].offset[0] is None


@pytest.mark.parametrize("size", [None, 40])
def test_a_stack_of_strided_layers_follows_the_published_formulas(size: int | None) -> None:
    """Size 1 + sum (k - 1) jump, stride prod s, padding sum p jump, with dilated kernels d (k - 1) + 1."""
    net, x = Net1(40, fixed=size is not None), "x"
    length, jump, padding = 1, 1, 0
    for kernel, stride, dilation, before in ((3, 2, 1, 1), (2, 1, 3, 2), (5, 3, 1, 0)):
        x = convolved(net, x, (kernel, stride, dilation), (before, 1))
        length += dilation * (kernel - 1) * jump
        padding += before * jump
        jump *= stride
    field = net.fields()[x]
    assert field == ReceptiveField((2,), (Fraction(length),), (Fraction(jump),), (Fraction(-padding),), True, False, "")
