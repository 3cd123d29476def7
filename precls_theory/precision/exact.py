"""Exact values of a network, layer by layer, as balls: only the rows that later layers read, in as many bits as needed.

The one evaluator runs on Arb balls. A layer without filters is evaluated on the rows wanted alone; one with filters on the
rows that it sums (from the first on in a causal network, all in a circular one).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import flint
import numpy as np

from constructions.algebra.rings import BALLS, Ring
from constructions.algebra.types import RingElement
from constructions.lowering.context import rows_needed
from constructions.networks.evaluate import evaluate_layer
from constructions.networks.network import Network

MAX_BITS = 2**14
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


def exact_results(network: Network, u: np.ndarray, least_bits: int = 192) -> list[Fraction]:
    """The results of a network on one input (rows, channels), each within 2^−``least_bits`` of its size (or of one)."""
    bits = 2 * least_bits
    while bits <= MAX_BITS:
        with flint.ctx.workprec(bits):
            last = layer_values(network, to_ring(u[None], BALLS), network.task.readout_rows, BALLS)[-1]
            found = [last[column, -1, 0] for column in network.task.columns]
            sharp = all(
                ball.is_finite() and ball.rad() <= (abs(ball.mid()) + 1) * flint.arb(2) ** -least_bits for ball in found
            )
            if sharp:
                parts = [ball.mid().man_exp() for ball in found]
                return [Fraction(int(man)) * Fraction(2) ** int(exp) for man, exp in parts]
        bits *= 2
    raise ArithmeticError(f"the results are not known to {least_bits} bits in {MAX_BITS} bits")


def to_ring(u: np.ndarray, ring: Ring) -> np.ndarray:
    """Floats as exact ring elements."""
    make: Callable[[float], RingElement] = (
        flint.arb if ring is BALLS else lambda value: flint.fmpq(*float(value).as_integer_ratio())
    )
    return np.fromiter((make(float(value)) for value in u.flat), object, u.size).reshape(u.shape)
