"""Gradient descent in tight form (new): any k ≥ 1 steps in ⌊log2 k⌋ + 2 layers, the least depth possible.

Row n carries the increments ``W_n = P_n^j − P_{n−1}^j`` and ``v_n = q_n − q_{n−1}`` of the map of j steps. The convolution
branch sums them, ``T = P^j − I``, so a layer can apply the map to x *and* square it. With the midpoint filter
H = [½, 1, 1, …] (the mean of the inclusive and the exclusive sum) the increments of the squared map are

    W ← 2W + (H⋆W) W + W (H⋆W),    v ← 2v + (H⋆W) v + W (H⋆v),

because ``P_n² − P_{n−1}² = ½[(P_n + P_{n−1})(P_n − P_{n−1}) + (P_n − P_{n−1})(P_n + P_{n−1})]``. The layer of j applies the
map or not by the binary digit of k. Layout E differs only in the sum seen by x, which leaves out the last row.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from constructions.algebra.terms import midpoint
from constructions.networks.builder import same_channels
from constructions.networks.layouts import begin
from constructions.networks.network import Network
from constructions.networks.tasks import LayoutName


def tight_form(n_points: int, n_dims: int, n_steps: int, step_size: Fraction, layout: LayoutName) -> Network:
    """k steps in ⌊log2 k⌋ + 2 layers (one more in layout S); exact at every row for its prefix problem."""
    start = begin(layout, n_points, n_dims)
    layer, accumulate = start.builder.layer, start.accumulate
    step = step_size / n_points
    W, v, x = layer(W=-step * np.outer(start.a, start.a), v=step * start.b * start.a, x=start.spread)
    digits = [int(digit) for digit in reversed(f"{n_steps:b}")]
    written: dict[int, int] = {}
    for digit in digits[:-1]:
        if digit in written:
            start.builder.again(written[digit])
            continue
        T, q, H = accumulate(W), accumulate(v), midpoint(W)
        before = W, v, x
        W, v, x = layer(
            W=2 * W + H @ W + W @ H,
            v=2 * v + H @ v + W @ midpoint(v),
            x=x + digit * (T @ x + q),
        )
        if all(map(same_channels, (W, v, x), before)):
            written[digit] = len(start.builder.layers) - 1
    x = layer(x=x + accumulate(W) @ x + accumulate(v))  # the leading digit is 1, and nobody reads W and v after it
    return start.finish(x)
