"""The one evaluator: a network run over any ring, vectorised over rows and batch.

Cost: one ring multiplication for each nonzero weight different from one and for each hidden channel, at every
row and batch entry, and as many additions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from constructions.algebra.filters import Filter
from constructions.algebra.rings import Ring, ring_of
from constructions.networks.base import check_input_shape
from constructions.networks.layer import Layer, SparseMap
from constructions.networks.stack import LayerStack


def evaluate(network: LayerStack, u: np.ndarray, ring: Ring | None = None) -> np.ndarray:
    """Output of ``network`` on ``u`` of shape (..., n_rows, n_channels), all rows: (..., n_rows, n_outputs).

    ``ring`` is that of the entries of ``u`` unless given (:class:`constructions.algebra.rings.Residues` must be given).
    Raises ``ValueError`` for a wrong shape and ``TypeError`` for entries of no known ring.
    """
    *_, state = states(network, np.asarray(u), ring)
    return np.moveaxis(state, (0, 1), (-1, -2))


def states(network: LayerStack, u: np.ndarray, ring: Ring | None = None) -> Iterator[np.ndarray]:
    """The channels (channels, n_rows, ...) before the first layer and after each."""
    check_input_shape(u, network.n_rows, len(network.inputs))
    ring = ring or ring_of(u)
    state = np.moveaxis(ring.coerce(u), (-1, -2), (0, 1)).copy()
    if network.positions:
        for (row, channel), weight in network.positions.items():
            at = state[channel : channel + 1, row]
            state[channel : channel + 1, row] = ring.reduce(at + ring.elements([weight]))
    yield state
    for layer in network.layers:
        state = evaluate_layer(layer, state, ring, network.mode)
        yield state


def evaluate_layer(layer: Layer, state: np.ndarray, ring: Ring, mode: str) -> np.ndarray:
    """One layer on ``state`` of shape (channels, rows, ...)."""
    state = np.concatenate([state, ring.full((1, *state.shape[1:]), 1)])
    conv = apply_map(layer.conv, state, ring)
    for index, filter in enumerate(layer.filters):
        if not filter.is_identity:
            chosen = layer.filter_index == index
            conv[chosen] = convolved(filter, conv[chosen], ring, mode)
    hidden = ring.reduce(conv * apply_map(layer.gate, state, ring))
    ones = ring.full((1, *hidden.shape[1:]), 1)
    return apply_map(layer.out, np.concatenate([hidden, ones]), ring)


def apply_map(sparse: SparseMap, state: np.ndarray, ring: Ring) -> np.ndarray:
    """The affine map of ``state`` (whose last channel is the constant 1): gather, scale, sum by output."""
    gathered: np.ndarray = state[sparse.columns]
    scaled = np.flatnonzero(sparse.weights != 1)  # a fraction compares with an integer faster than with a fraction
    if len(scaled):
        weights = ring.elements(sparse.weights[scaled])
        gathered[scaled] = ring.reduce(weights.reshape(-1, *([1] * (state.ndim - 1))) * gathered[scaled])
    rows, starts = np.unique(sparse.rows, return_index=True)
    if len(rows) == len(sparse.rows) == sparse.n_out:
        return gathered
    out = ring.zeros((sparse.n_out, *state.shape[1:]))
    if len(rows):
        out[rows] = ring.reduce(np.add.reduceat(gathered, starts, axis=0))
    return out


def convolved(filter: Filter, u: np.ndarray, ring: Ring, mode: str) -> np.ndarray:
    """``filter ⋆ u`` along axis 1, directly: shifts for the leading taps, a prefix sum (or total) for the tail."""
    n_rows = u.shape[1]
    if mode == "circular" and filter.head and filter.tail:
        filter = Filter.of(filter.taps(n_rows), 0)
    out = ring.zeros(u.shape)
    if filter.tail:
        lag = len(filter.head)
        if mode == "circular":
            sums = np.broadcast_to(np.add.reduce(u, axis=1, keepdims=True), u.shape)
            out = ring.reduce(ring.elements([filter.tail]) * ring.reduce(sums))
        elif lag < n_rows:
            sums = ring.reduce(np.add.accumulate(u[:, : n_rows - lag], axis=1))
            out[:, lag:] = ring.reduce(ring.elements([filter.tail]) * sums) if filter.tail != 1 else sums
    for lag, tap in enumerate(filter.head[:n_rows]):
        if not tap:
            continue
        moved = ring.reduce(ring.elements([tap]) * u) if tap != 1 else u
        if mode == "circular":
            out = ring.reduce(out + np.roll(moved, lag, axis=1))
        else:
            out[:, lag:] = ring.reduce(out[:, lag:] + moved[:, : n_rows - lag])
    return out
