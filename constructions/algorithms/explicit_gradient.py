"""The task ``explicit_gradient`` of Liu et al. 2025 (§4): the gradient of least squares, in two layers.

Rows are those of layout S: ``[x_init, 0]`` first, then ``[a_n, b_n]``; the answer stands at the last row, N. Layer 1 forms
``a_i a_j`` and ``b a_i`` in every row (in row 0 they are products of x_init, which nobody wants) and brings x_init down by
N rows. Layer 2 sums the products of the last N rows, which at row N are the data rows alone, and multiplies by x_init:

    g_i = (1/N) ( Σ_j (F ⋆ a_i a_j) x_j − F ⋆ b a_i ),   F = [1, …, 1, 0] with N ones.

No mask is needed, so the depth is the least possible: g has degree 3, and one layer has degree at most 2.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np

from constructions.algebra.filters import Filter
from constructions.algebra.terms import channel, channels, convolve, shifted
from constructions.networks.builder import Builder
from constructions.networks.construction import construction
from constructions.networks.network import Network
from constructions.networks.parameters import GramDims, Points
from constructions.networks.tasks import Regression


@construction
def explicit_gradient(*, n_points: Points, n_dims: GramDims) -> Network:
    """``g(x_init) = (1/N) Σ_n (a_n·x_init − b_n) a_n`` at the last row of layout S, in two layers.

    Hidden widths D(D+1)/2 + 2D and D² + D. ``encode(A, b, x_init)``; ``decode`` gives g, shape (..., D).
    Raises ``ValueError`` for sizes below one.
    """
    N, D = n_points, n_dims
    builder = Builder(N + 1, [*(f"a[{i}]" for i in range(D)), "b"])
    a, b = channels("a", D), channel("b")
    upper = np.triu_indices(D)
    aa, ba, x = builder.layer(aa=(np.outer(a, a))[upper], ba=b * a, x=shifted(a, N))

    last = Filter.of((1,) * N, 0)
    G = np.empty((D, D), dtype=object)
    G[upper] = aa
    G.T[upper] = aa
    g = builder.layer(g=(convolve(last, G) @ x - convolve(last, ba)) * Fraction(1, N))
    task = partial(Regression, N, D, "S", n_inputs=len(builder.inputs), last_row=True)
    return builder.build(g, task)
