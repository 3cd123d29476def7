"""Iterative refinement of the normal equations (new as a network): an inverse M once, then ``x ← x + M (c − G x)``.

M comes from Newton's iteration in the residual form, ``M ← M + R M, R ← R²`` with R = I − MG. From x = 0 the first round gives
``M c``, and r rounds give ``(I − (I − MG)^r) G⁻¹c``: gradient descent with ``r·2^t`` steps of size α. The residual is what
has to be exact, and M need not be: where M is off by so much that ``‖I − MG‖ ≤ ρ``, every round wins a factor ρ.
Sliced (:func:`constructions.sliced`), the residual alone is computed in digits, and M in plain floats: of width Θ(K²D² + D³)
where the sliced doubling form has Θ(K²D³), as long as eps·κ² < 1.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from constructions.algebra.terms import exact, identity
from constructions.networks.construction import construction
from constructions.networks.layouts import begin
from constructions.networks.network import Network
from constructions.networks.parameters import Count, Dims, Exact, Points, Rational


@construction
def gram_refinement(
    *,
    n_points: Points,
    n_dims: Dims,
    n_iters: Annotated[int, Count("iterates", minimum=0, fits="layers")],
    alpha: Annotated[Rational, Exact("starting point αI")],
    refinements: Annotated[int, Count("rounds x ← x + M (c − G x)", minimum=1, fits="layers")],
) -> Network:
    """A network that decodes ``x_r`` with ``x ← x + M_t (c − G x)`` from 0, t = n_iters, r = refinements; layout A.

    ``net.encode(A, b)`` has rows [a_n, b_n]; row n is exact for the first n data points. Depth t + 2r + 2.
    Raises ``ValueError`` for sizes below one and a negative count.
    """
    alpha = exact(alpha)
    start = begin("A", n_points, n_dims, takes_start=False)
    layer, eye = start.builder.layer, identity(n_dims)
    aa, ba = layer(aa=np.outer(start.a, start.a), ba=start.b * start.a)
    G, c = start.accumulate(aa), start.accumulate(ba)
    G, c, R, M = layer(G=G, c=c, R=eye - alpha * G, M=alpha * eye)
    G, c, R, M = start.builder.iterate(
        n_iters, lambda G, c, R, M: {"G": G, "c": c, "R": R @ R, "M": M + R @ M}, G=G, c=c, R=R, M=M
    )
    G, c, M, d = layer(G=G, c=c, M=M, d0=M @ c)
    x: np.ndarray = np.zeros(n_dims, dtype=object)
    for done in range(1, refinements):
        G, c, M, x, r = layer(G=G, c=c, M=M, x=x + d, r=c - G @ (x + d))
        G, c, M, x, d = layer(G=G, c=c, M=M, x=x, **{f"d{done}": M @ r})
    return start.finish(layer(x=x + d))
