"""Exact values of a network, layer by layer, as balls: only the rows that later layers read, in as many bits as needed.

The one evaluator runs on Arb balls. A layer without filters is evaluated on the rows wanted alone; one with filters on the
rows that it sums (from the first on in a causal network, all in a circular one).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flint
import numpy as np

from constructions.algebra.rings import BALLS, Ring
from constructions.lowering.context import rows_needed
from constructions.networks.evaluate import evaluate_layer
from constructions.networks.network import Network

CHUNK = 16
"""Samples evaluated at once: larger arrays of balls leave the cache."""


def layer_values(network: Network, u: np.ndarray, kept: tuple[int, ...], ring: Ring) -> list[np.ndarray]:
    """The outputs of each layer at the rows that the lowering keeps, (channels, rows, batch), for u (batch, rows, channels)."""
    rows = [kept]
    for layer in reversed(network.layers):
        rows.insert(0, rows_needed(layer, rows[0], network.n_rows, network.mode))
    state = np.moveaxis(ring.coerce(u), (-1, -2), (0, 1)).copy()
    for (row, channel), weight in network.positions.items():
        state[channel, row] = state[channel, row] + ring.element(weight)
    held: tuple[int, ...] = tuple(range(network.n_rows))
    found = []
    for layer, wanted in zip(network.layers, rows[1:], strict=True):
        filtered = any(not filter.is_identity for filter in layer.filters)
        read = tuple(range(network.n_rows if network.mode == "circular" else max(wanted) + 1))
        needed = read if filtered else wanted
        state = evaluate_layer(layer, state[:, [held.index(row) for row in needed]], ring, network.mode)
        state = state[:, [needed.index(row) for row in wanted]]
        held = wanted
        found.append(state)
    return found


def to_ring(u: np.ndarray, ring: Ring) -> np.ndarray:
    """Floats as exact ring elements."""
    make: Callable[[float], Any] = (
        flint.arb if ring is BALLS else lambda value: flint.fmpq(*float(value).as_integer_ratio())
    )
    return np.fromiter((make(float(value)) for value in u.flat), object, u.size).reshape(u.shape)
