"""Methods that take one gradient a step, in Gram form: width Θ(D²), k+1 layers for k steps.

Layer 1 forms ``a_n a_nᵀ``, ``b_n a_n`` and spreads x_init; layer 2 prefix-sums them in the convolution branch and
multiplies by x in the gate branch, which is the first step already; every further layer is one step.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import partial
from itertools import groupby

import numpy as np

from constructions.networks.layouts import begin
from constructions.networks.network import Network
from constructions.networks.tasks import LayoutName


def gram_form(n_points: int, n_dims: int, steps: Iterable[tuple[Fraction, Fraction]], layout: LayoutName) -> Network:
    """``x_{k+1} = x_k + momentum_k (x_k − x_{k−1}) − step_k g(x_k)`` for the given pairs (step_k, momentum_k).

    ``x_{−1} = x_0``. Depth k+1 in layouts A and E, k+2 in S; exact at every row for that row's prefix problem.
    """
    start = begin(layout, n_points, n_dims)
    layer = start.builder.layer
    aa, ba, x = layer(aa=np.outer(start.a, start.a), ba=start.b * start.a, x=start.spread)
    G, c, previous = start.accumulate(aa), start.accumulate(ba), x

    def one_step(
        step: Fraction, momentum: Fraction, *, G: np.ndarray, c: np.ndarray, previous: np.ndarray, x: np.ndarray
    ) -> dict[str, np.ndarray]:
        gradient = (G @ x - c) * Fraction(1, n_points)
        return {"G": G, "c": c, "previous": x, "x": x + momentum * (x - previous) - step * gradient}

    for coefficients, equal in groupby(steps):
        times = sum(1 for _ in equal)
        G, c, previous, x = start.builder.iterate(
            times, partial(one_step, *coefficients), G=G, c=c, previous=previous, x=x
        )
    return start.finish(x)
