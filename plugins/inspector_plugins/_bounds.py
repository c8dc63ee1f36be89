"""Filters that no input can make fire, from the weights and what is known of the layer's input."""

from __future__ import annotations

import numpy as np

from inspector import Array, Filters, Inapplicable, ModelView, Tap

STEPS = 168
"""How many times a run may round beside once for every product that it adds up: 1e-5 of the terms in float32.

A bound must lie further below zero than all of that, relative to the terms that make it up. Where a normalisation is
folded in, terms that cancelled in the bias cannot be seen any more, and a run rounds each of them: so relative to at
least 1, the size that a normalisation gives.
"""

HALF, SINGLE = 65504.0, 3.3e38
"""Largest numbers of float16, and of bfloat16 and float32 (a little less)."""

_FROM_ZERO = ("Clip(0,", "Saturation(0,")


def never_fires(model: ModelView, tap: Tap) -> Array:
    """(C,) True where the value before a rectifier is at most zero for every input: structurally dead.

    With x in [low, high] everywhere (and 0 in it, where the layer pads), the value before the activation is at most

        b[c] + sum over the filter of max(W low, W high).

    False wherever that cannot be said: weights computed at run time, a residual sum in between, a normalisation that
    depends on the input, or an activation whose off side does not begin at zero.
    """
    nothing = np.zeros(tap.channels, bool)
    if tap.shared or not (tap.activation == "Relu" or (tap.activation or "").startswith(_FROM_ZERO)):
        return nothing
    try:
        filters = model.filters(tap.layer, fold_norm=True)
    except Inapplicable:
        return nothing
    if not filters.whole:
        return nothing
    low, high = model.input_range(tap.layer)
    low, high = min(low, 0.0), max(high, 0.0)
    dead = _at_most_zero(filters, low, high)
    return dead & _stays_finite(model.filters(tap.layer), low, high) if filters.folded and dead.any() else dead


def _stays_finite(raw: Filters, low: float, high: float) -> Array:
    """(C,) Whether bounded inputs keep the raw output, before what is folded, within the element type."""
    if not np.isfinite([low, high]).all():
        return np.ones(len(raw.weight), bool)  # then no weight of a dead filter pulls towards firing
    reach = np.abs(raw.weight.reshape(len(raw.weight), -1).astype(np.float64)).sum(1) * max(-low, high)
    kept: Array = reach + np.abs(raw.bias.astype(np.float64)) < (HALF if raw.rounding == 2.0**-11 else SINGLE)
    return kept


def _at_most_zero(filters: Filters, low: float, high: float) -> Array:
    weight = filters.weight.reshape(len(filters.weight), -1).astype(np.float64)
    bias = filters.bias.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        best = np.where(weight == 0, 0.0, np.maximum(weight * low, weight * high)).sum(1)
        # Where no input helps, every term is <= 0 in any order of adding; else rounding needs room.
        certain = (best == 0) & ((bias == 0) | (not filters.folded))
        least = 1.0 if filters.folded else 0.0
        share = (np.count_nonzero(weight, axis=1) + STEPS) * filters.rounding
        room = np.where(certain, 0.0, share * np.maximum(np.abs(bias) + best, least))
        dead: Array = best + bias <= -room
    return dead & np.isfinite(weight).all(1) & np.isfinite(bias)
