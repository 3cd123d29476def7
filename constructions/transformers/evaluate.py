"""Exact Transformers over any ring, vectorised over rows and batch.

Cost: one ring multiplication for each nonzero weight different from one and for each product, at every row and batch
entry; key-value sums come first, so no rows × rows scores are formed.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from constructions.algebra.rings import Ring, ring_of
from constructions.networks.base import check_input_shape
from constructions.networks.evaluate import apply_map
from constructions.networks.layer import Mask
from constructions.transformers.blocks import Block, BlockStack, require_even_parts_cancel


def evaluate(network: BlockStack, u: np.ndarray, ring: Ring | None = None) -> np.ndarray:
    """Output channels of all rows, (..., n_rows, n_outputs), for ``u`` of shape (..., n_rows, n_inputs), over its ring.

    Raises ``ValueError`` for a wrong shape, ``TypeError`` for entries of no known ring, and
    :class:`~constructions.transformers.blocks.EvenPartRemains` when an MLP is not a polynomial whatever the even part of
    its activation.
    """
    *_, state = states(network, u, ring)
    return read(network, state)


def read(network: BlockStack, state: np.ndarray) -> np.ndarray:
    """The output (..., n_rows, n_outputs) of a state (channels, n_rows, ...)."""
    return np.moveaxis(state[list(network.reads)], (0, 1), (-1, -2))


def states(network: BlockStack, u: np.ndarray, ring: Ring | None = None) -> Iterator[np.ndarray]:
    """The channels (channels, n_rows, ...) before the first block and after each."""
    u = np.asarray(u)
    check_input_shape(u, network.n_rows, network.n_inputs)
    ring = ring or ring_of(u)
    given = np.moveaxis(ring.coerce(u), (-1, -2), (0, 1))
    state = np.concatenate([given, ring.zeros((network.width - network.n_inputs, *given.shape[1:]))])
    for (row, index), weight in network.positions.items():
        at = state[index : index + 1, row]
        state[index : index + 1, row] = ring.reduce(at + ring.elements([weight]))
    yield state
    for block in network.blocks:
        state = gated_mlp(network, block, attend(network, block, state, ring), ring)
        yield state


def attend(network: BlockStack, block: Block, state: np.ndarray, ring: Ring) -> np.ndarray:
    """Key-value sums first, so that no rows × rows scores are formed."""
    u, out = with_one(state, ring), state.copy()
    for head in block.heads:
        value = apply_map(head.value, u, ring)
        if head.query is None or head.key is None:
            seen = [network.n_rows if network.mask == "full" else n + 1 for n in range(network.n_rows)]
            means = ring.elements([Fraction(1, n) for n in seen]).reshape(-1, *[1] * (value.ndim - 2))
            update = ring.reduce(means * visible_sum(value, network.mask, ring))
        else:
            key = apply_map(head.key, u, ring)
            sums = visible_sum(np.swapaxes(ring.reduce(key[:, None] * value[None, :]), 0, 2), network.mask, ring, 0)
            products = ring.reduce(apply_map(head.query, u, ring)[:, None] * np.swapaxes(sums, 0, 2))
            update = np.add.reduce(products, axis=0)
        out[head.targets] = ring.reduce(out[head.targets] + update)
    return out


def gated_mlp(network: BlockStack, block: Block, state: np.ndarray, ring: Ring) -> np.ndarray:
    if block.mlp is None:
        return state
    u, mlp = with_one(state, ring), block.mlp
    if network.gate != "bilinear":
        require_even_parts_cancel(mlp, network.channels)
    products = ring.reduce(apply_map(mlp.gate, u, ring) * apply_map(mlp.up, u, ring))
    if network.gate != "bilinear":
        products = ring.reduce(ring.elements([Fraction(1, 2)]) * products)
    out = state.copy()
    out[mlp.targets] = ring.reduce(out[mlp.targets] + apply_map(mlp.down, with_one(products, ring), ring))
    return out


def with_one(state: np.ndarray, ring: Ring) -> np.ndarray:
    """The channels with a last channel that is constantly 1, for the constants of affine maps."""
    return np.concatenate([state, ring.full((1, *state.shape[1:]), 1)])


def visible_sum(values: np.ndarray, mask: Mask, ring: Ring, axis: int = 1) -> np.ndarray:
    """For each row the sum over the rows that it sees, along the axis of the rows."""
    if mask == "full":
        total = np.add.reduce(values, axis=axis, keepdims=True)
        return np.broadcast_to(ring.reduce(total), values.shape)
    sums = ring.reduce(np.add.accumulate(values, axis=axis))
    if mask == "causal":
        return sums
    shifted = np.roll(sums, 1, axis=axis)
    np.moveaxis(shifted, axis, 0)[:1] = ring.zeros((1, *np.delete(shifted.shape, axis)))
    return shifted
