"""Frozen facts about one ONNX model, read from its graph. Nothing here changes the graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import onnx_ir as ir

from inspector.contract import Array, Filters, Layer, Tap, TapKind, TensorInfo
from inspector.errors import Inapplicable, ModelError, NotFoundError
from inspector.graph.batching import Batch
from inspector.graph.bodies import Nesting
from inspector.graph.constants import Constants
from inspector.graph.convolutions import as_numbers, input_of, stored_numbers
from inspector.graph.costs import Cost, layer_costs
from inspector.graph.data_files import DataFile
from inspector.graph.folding import fold, rounding
from inspector.graph.layers import Site, find_layers
from inspector.graph.layout import Layout
from inspector.graph.ranges import Ranges
from inspector.graph.receptive.fields import ReceptiveField, ReceptiveFields, receptive_fields
from inspector.graph.skeleton import Skeleton
from inspector.graph.taps import find_taps, input_taps
from inspector.graph.writing import PREFIX
from inspector.origin import many
from inspector.several import several

_COARSE: Final = frozenset(
    kind
    for kind in ir.DataType
    if kind not in {ir.DataType.UNDEFINED, ir.DataType.STRING, ir.DataType.BOOL} and kind.bitwidth < 32
)


@dataclass(frozen=True, slots=True, eq=False)
class Watchable:
    """A value that can be watched, one of its taps, how maps lie in it, and C, None where that is open."""

    value: ir.Value
    tap: Tap
    layout: Layout
    channels: int | None


class OnnxView:
    """The facts of one loaded model; see `inspector.ModelView` for what each member means.

    `model` is the graph they were read from, `nesting` all that is in it, `source` what a rewrite starts from.
    `left_out` says which convolutions are not watched, and why; `data_files` where other numbers came from. `alone` are
    the inputs that have no batch axis in the file and were given one, `unclear` those that may have none.
    """

    def __init__(
        self,
        model: ir.Model,
        source: Skeleton,
        nesting: Nesting,
        *,
        name: str,
        sha256: str,
        facts: Mapping[str, str],
        data_files: tuple[DataFile, ...] = (),
        alone: tuple[str, ...] = (),
        unclear: tuple[str, ...] = (),
    ) -> None:
        self.model: Final = model
        self.source: Final = source
        self.name: Final = name
        self.sha256: Final = sha256
        self.facts: Final = facts
        self.data_files: Final = data_files
        self.alone: Final = alone
        self.unclear: Final = unclear
        self._nesting: Final = nesting
        self._constants: Final = Constants()
        self._ranges: Final = Ranges(self._constants)
        sites, self.left_out = find_layers(nesting, self._constants)
        if not sites:
            raise ModelError(
                f"model {name!r}",
                "it holds no convolution that can be watched",
                expected="at least one Conv, ConvTranspose or other convolution node",
                found=_operators(model),
                remedy="; ".join(self.left_out[:3]),
            )
        self._sites: Final[dict[str, Site]] = {site.layer.name: site for site in sites}
        self.layers: Final[tuple[Layer, ...]] = tuple(site.layer for site in sites)
        self.inputs: Final = tuple(_info(v) for v in model.graph.inputs if not v.is_initializer())
        self.input_taps: Final = input_taps(self.inputs)
        self.outputs: Final = tuple(_info(v) for v in model.graph.outputs)

    def __repr__(self) -> str:
        return f"<model {self.name!r}: {many(len(self.layers), 'layer')}, sha256 {self.sha256[:12]}>"

    def layer(self, name: str) -> Layer:
        """The layer of that name."""
        return self._site(name).layer

    def taps(self, patterns: str | Sequence[str] = ("*",), kind: TapKind = TapKind.ACT) -> tuple[Tap, ...]:
        """Taps by pattern, in layer order, each once."""
        return find_taps(self.layers, several(patterns, "taps", str, expected="a pattern, as text"), kind)

    def filters(self, layer: str, *, fold_norm: bool = False) -> Filters:
        """Weights and bias of a layer, output channel first."""
        site = self._site(layer)
        numbers = stored_numbers(site.node, site.form, self._constants)
        if numbers is None:
            which = "weights" if self._constants(input_of(site.node, site.form.weight)) is None else "bias or scales"
            raise Inapplicable(
                f"layer {layer!r}",
                f"its {which} are computed while the model runs, so that its filters have no value of their own",
            )
        weight, bias = numbers
        channels = site.layer.out_channels
        if bias is not None and bias.shape != (channels,):
            raise ModelError(
                f"layer {layer!r}", "its bias has another shape", expected=f"({channels},)", found=str(bias.shape)
            )
        filters = Filters(
            _output_first(_as_float(weight, layer), site),
            np.zeros(channels, np.float32) if bias is None else _as_float(bias, layer),
            whole=not site.path.steps,
            rounding=rounding(_computed(site)),
        )
        return fold(filters, site.path.steps, site.layout, self._constants) if fold_norm else filters

    def input_range(self, layer: str) -> tuple[float, float]:
        """Bounds of every element the layer can read."""
        return self._ranges.read_by(self._site(layer).node)

    def receptive_fields(self, layer: str) -> dict[str, ReceptiveField]:
        """What a unit of the layer's raw output reads of every image that is fed, by the name of that input."""
        return self._fields.of(str(self._site(layer).node.outputs[0].name))

    def decided_by_data(self, tensors: Collection[str]) -> tuple[str, ...]:
        """The nodes before or around these values that go by all inputs of a run together, as an If may."""
        values = [v for node in self._nesting.nodes for v in node.outputs if v.name in tensors]
        return self._nesting.decided_by_data(values, self._constants)

    def cost(self, layer: str) -> Cost:
        """Parameters, multiply-accumulates and bytes of the raw output, for one input."""
        return self._costs[self.layer(layer).name]

    @property
    def all_taps(self) -> tuple[Tap, ...]:
        """Those of inputs, then those of the layers, in order."""
        return (*self.input_taps, *(tap for layer in self.layers for tap in layer.taps.values()))

    @cached_property
    def watchable(self) -> Mapping[str, Watchable]:
        """Every value that can be watched, by name; of several layers' taps what the last one says."""
        fed = {v.name: v for v in self.model.graph.inputs}
        found = {t.tensor: _fed(t, fed[t.tensor]) for t in self.input_taps}
        for site in self._sites.values():
            path, channels = site.path, site.layer.out_channels
            raw = (site.node.outputs[0], site.layout)
            values = (raw, (path.norm, path.norm_layout), (path.act, path.act_layout))
            of = {tap.tensor: tap for tap in site.layer.taps.values()}
            found.update(
                (n, Watchable(v, of[n], axes, channels))
                for v, axes in values
                if v is not None and (n := str(v.name)) in of
            )
        return found

    @cached_property
    def is_coarse(self) -> bool:
        """Whether nodes give numbers of fewer than 32 bits, in which a little difference can become a larger one."""
        return any(v.dtype in _COARSE for node in self._nesting.nodes for v in node.outputs)

    @cached_property
    def is_half(self) -> bool:
        """Whether nodes give float16, whatever the model takes and gives."""
        return any(v.dtype == ir.DataType.FLOAT16 for node in self._nesting.nodes for v in node.outputs)

    @cached_property
    def reserved(self) -> str:
        """A name in the model that a rewrite needs for itself; empty where there is none."""
        return next((v.name for v in self._nesting.values() if v.name and v.name.startswith(PREFIX)), "")

    @cached_property
    def _fields(self) -> ReceptiveFields:
        return receptive_fields(self.model, self._constants)

    @cached_property
    def _costs(self) -> dict[str, Cost]:
        return layer_costs(self._sites.values(), Batch(self.inputs, self.source.message, self.source.kinds).copies)

    def _site(self, name: str) -> Site:
        if name not in self._sites:
            raise NotFoundError.among("layer", name, self._sites)
        return self._sites[name]


def _fed(tap: Tap, value: ir.Value) -> Watchable:
    return Watchable(value, tap, Layout(0 if value.shape is None else len(value.shape)), tap.channels or None)


def _computed(site: Site) -> list[ir.Value | None]:
    """The values from what the layer reads to what its activation gives."""
    return [*site.node.inputs[:1], *(v for n in (site.node, *site.path.steps) for v in n.outputs[:1]), site.path.act]


def _output_first(weight: Array, site: Site) -> Array:
    """(C, M/g, *k) of a ConvTranspose -> (M, C/g, *k); a Conv's weight is that already."""
    if not site.form.transposed:
        return weight
    layer = site.layer
    g, kernel = layer.groups, layer.kernel
    grouped = weight.reshape(g, layer.in_channels // g, layer.out_channels // g, *kernel)
    return np.swapaxes(grouped, 1, 2).reshape(layer.out_channels, layer.in_channels // g, *kernel)


def _as_float(array: Array, layer: str) -> Array:
    if as_numbers(array[:0]) is None:
        raise ModelError(f"layer {layer!r}", "its weights are no numbers", found=array.dtype.name)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _info(value: ir.Value) -> TensorInfo:
    shape = None if value.shape is None else tuple(_dim(d) for d in value.shape)
    known = value.dtype not in (None, ir.DataType.UNDEFINED)
    dtype = value.dtype.numpy().name if known and value.dtype is not None else "unknown"
    return TensorInfo(str(value.name), dtype, shape)


def _dim(dim: int | ir.SymbolicDim) -> int | str | None:
    return dim if isinstance(dim, int) else dim.value


def _operators(model: ir.Model) -> str:
    kinds = sorted({node.op_type for node in model.graph})
    return f"{many(len(model.graph), 'node')}: " + (", ".join(kinds[:6]) + (", …" if len(kinds) > 6 else "") or "none")
