"""Iterative refinement of the normal equations (new as a network): an inverse M once, then ``x ← x + M (c − G x)``.

M comes from Newton's iteration in the residual form, ``M ← M + R M, R ← R²`` with R = I − MG. From x = 0 the first round gives
``M c``, and r rounds give ``(I − (I − MG)^r) G⁻¹c``: gradient descent with ``r·2^t`` steps of size α. The residual is what
has to be exact, and M need not be: where M is off by so much that ``‖I − MG‖ ≤ ρ``, every round wins a factor ρ.
Sliced (:func:`constructions.sliced`), the residual alone is computed in digits, and M in plain floats: of width Θ(K²D² + D³)
where the sliced doubling form has Θ(K²D³), as long as eps·κ² < 1. For a regression with an intercept the columns may be centred
first (:mod:`constructions.algorithms.centring`), and κ is then that of the centred columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated

import numpy as np

from constructions.algebra.terms import Form, exact, identity
from constructions.algorithms.centring import Centring
from constructions.networks.construction import construction
from constructions.networks.layouts import Start, begin
from constructions.networks.network import Network
from constructions.networks.parameters import Count, Declaration, Dims, Exact, Points, Rational

Iterates = Annotated[int, Count("iterates", minimum=0, fits="layers")]
Rounds = Annotated[int, Count("rounds x ← x + M (c − G x)", minimum=1, fits="layers")]


@construction
def gram_refinement(
    *,
    n_points: Points,
    n_dims: Dims,
    n_iters: Iterates,
    alpha: Annotated[Rational, Exact("starting point αI")],
    refinements: Rounds,
) -> Network:
    """A network that decodes ``x_r`` with ``x ← x + M_t (c − G x)`` from 0, t = n_iters, r = refinements; layout A.

    ``net.encode(A, b)`` has rows [a_n, b_n]; row n is exact for the first n data points. Depth t + 2r + 2.
    Raises ``ValueError`` for sizes below one and a negative count.
    """
    start = begin("A", n_points, n_dims, takes_start=False)
    nothing = np.zeros(0, dtype=object)
    x, d, _ = rounds(start, start.a, start.b, nothing, n_iters, exact(alpha), refinements, "x")
    return start.finish(start.builder.layer(x=x + d))


@construction
def centred_refinement(
    *,
    n_points: Points,
    n_dims: Dims,
    n_iters: Iterates,
    alpha: Annotated[Rational, Exact("starting point αI, for the centred columns")],
    refinements: Rounds,
    constant: Annotated[Rational, Exact("value of the first column")] = Fraction(1),
    scales: Annotated[Sequence[Rational] | None, Declaration("factors of the other columns, after centring")] = None,
) -> Network:
    """:func:`gram_refinement` of the centred columns, and the coefficients of the original ones from its own.

    ``x_j = s_j y_j``, ``x_0 = y_0 − Σ m_j x_j/κ``; the rest as in :func:`constructions.centred_newton`. ``net.encode(A, b)`` has
    rows [a_n, b_n]; circular, so exact for the whole problem at every row. Depth t + 2r + 4. Raises ``ValueError`` for a
    constant of zero and another number of scales.
    """
    centring = Centring.of(n_dims, constant, scales)
    start = begin("A", n_points, n_dims, mode="circular", takes_start=False)
    z, b, m = centring.columns(start, n_points)
    y, d, m = rounds(start, z, b, m, n_iters, exact(alpha), refinements, "y")
    y, m = start.builder.layer(y=y + d, m=m)
    return start.finish(start.builder.layer(x=centring.coefficients(y, m)))


def rounds(
    start: Start, a: np.ndarray, b: Form, m: np.ndarray, n_iters: int, alpha: Fraction, refinements: int, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The layers from data rows (a, b) to the iterate of the last round but one, channels ``name``, and the last correction.

    The means m are carried.
    """
    layer, eye = start.builder.layer, identity(len(a))
    aa, ba, m = layer(aa=np.outer(a, a), ba=b * a, m=m)
    G, c = start.accumulate(aa), start.accumulate(ba)
    G, c, R, M, m = layer(G=G, c=c, R=eye - alpha * G, M=alpha * eye, m=m)
    G, c, R, M, m = start.builder.iterate(
        n_iters, lambda G, c, R, M, m: {"G": G, "c": c, "R": R @ R, "M": M + R @ M, "m": m}, G=G, c=c, R=R, M=M, m=m
    )
    G, c, M, d, m = layer(G=G, c=c, M=M, d0=M @ c, m=m)
    x: np.ndarray = np.zeros(len(a), dtype=object)
    for done in range(1, refinements):
        G, c, M, r, m, x = layer(G=G, c=c, M=M, r=c - G @ (x + d), m=m, **{name: x + d})
        G, c, M, m, x, d = layer(G=G, c=c, M=M, m=m, **{name: x, f"d{done}": M @ r})
    return x, d, m
