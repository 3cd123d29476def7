"""Gradient descent in doubling form (new): 2^m steps in m+2 layers.

One step is affine, ``x ↦ P x + q`` with ``P = I − (η/N) G`` and ``q = (η/N) c``. Composing the map of j steps with itself
gives that of 2j steps, ``P ← P², q ← P q + q``; while a layer squares the map it also applies it to x. Layer l ≥ 2
holds the map of j = 2^{l−2} steps and x after 2^{l−2} steps.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from constructions.algebra.terms import identity
from constructions.networks.layouts import begin
from constructions.networks.network import Network
from constructions.networks.tasks import LayoutName


def doubling_form(n_points: int, n_dims: int, n_steps: int, step_size: Fraction, layout: LayoutName) -> Network:
    """2^m steps in m+2 layers (m+3 in layout S), Θ(D³) hidden channels; exact at every row for its prefix problem."""
    if n_steps & (n_steps - 1):
        raise ValueError(
            f"doubling takes a number of steps that is a power of two, got n_steps={n_steps}: "
            "use form='tight' (any number, the same depth) or form='gram'"
        )
    start = begin(layout, n_points, n_dims)
    layer, accumulate = start.builder.layer, start.accumulate
    step = step_size / n_points
    aa, ba, x = layer(aa=np.outer(start.a, start.a), ba=start.b * start.a, x=start.spread)
    P, q = identity(n_dims) - step * accumulate(aa), step * accumulate(ba)
    P, q, x = layer(P=P, q=q, x=x - step * (accumulate(aa) @ x) + q)
    P, q, x = start.builder.iterate(
        n_steps.bit_length() - 1, lambda P, q, x: {"P": P @ P, "q": P @ q + q, "x": P @ x + q}, P=P, q=q, x=x
    )
    return start.finish(x)
