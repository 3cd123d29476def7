"""Gradient descent in residual form: width Θ(D), 2k+1 layers for k steps.

A circular all-ones convolution is the sum over all rows. The sum that ends one step and the residual that
begins the next share a layer, because ``r_n = a_n · x' − b_n`` is linear in each summand of x'.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from constructions.algebra.terms import Form, total
from constructions.networks.layouts import begin
from constructions.networks.network import Network
from constructions.networks.tasks import LayoutName


def residual_form(n_points: int, n_dims: int, n_steps: int, step_size: Fraction, layout: LayoutName) -> Network:
    """k steps in 2k+1 layers (layout A) or 2k+2 (E, S: a masking layer first); every row holds x_k."""
    start = begin(layout, n_points, n_dims, mode="circular")
    layer, a, b = start.builder.layer, start.a, start.b
    step = step_size / n_points
    a, b, x, r = layer(a=a, b=b, x=start.spread, r=start.spread @ a - b)

    def one_step(a: np.ndarray, b: Form, x: np.ndarray, r: Form) -> tuple[np.ndarray, Form, np.ndarray, Form]:
        a, b, x, ra = layer(a=a, b=b, x=x, ra=r * a)
        stepped = x - step * total(ra)
        return layer(a=a, b=b, x=stepped, r=stepped @ a - b)  # type: ignore[no-any-return]

    _, _, x, _ = start.builder.repeat(n_steps, one_step, a, b, x, r)
    return start.finish(x)
