"""Newton's iteration on centred columns, for a regression with an intercept (new as a network).

The centring is its first layer (:mod:`constructions.algorithms.centring`).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated

import numpy as np

from constructions.algebra.terms import exact, identity
from constructions.algebra.terms import total as over_rows
from constructions.algorithms.centring import Centring
from constructions.networks.construction import construction
from constructions.networks.layouts import begin
from constructions.networks.network import Network
from constructions.networks.parameters import Count, Declaration, Dims, Exact, Points, Rational


@construction
def centred_newton(
    *,
    n_points: Points,
    n_dims: Dims,
    n_iters: Annotated[int, Count("iterates", minimum=0, fits="layers")],
    alpha: Annotated[Rational, Exact("starting point αI, for the centred columns")],
    constant: Annotated[Rational, Exact("value of the first column")] = Fraction(1),
    scales: Annotated[Sequence[Rational] | None, Declaration("factors of the other columns, after centring")] = None,
) -> Network:
    """A network that decodes x of the regression on ``[constant, a_1, …]``: ``x_j = s_j y_j``, ``x_0 = y_0 − Σ m_j x_j/κ``.

    y is ``M_t c`` of the centred problem, in the doubling form of :func:`constructions.newton`; the first column of A is taken
    to be ``constant``, and read as it is. ``net.encode(A, b)`` has rows [a_n, b_n]; circular, so exact for the whole problem at
    every row. Depth n_iters + 4. Raises ``ValueError`` for a constant of zero and another number of scales.
    """
    alpha, eye, centring = exact(alpha), identity(n_dims), Centring.of(n_dims, constant, scales)
    start = begin("A", n_points, n_dims, mode="circular", takes_start=False)
    layer = start.builder.layer
    z, b, m = centring.columns(start, n_points)
    zz, bz, m = layer(zz=np.outer(z, z), bz=b * z, m=m)
    G, c = over_rows(zz), over_rows(bz)
    R, y, m = layer(R=eye - alpha * G, y=alpha * c, m=m)
    R, y, m = start.builder.iterate(n_iters, lambda R, y, m: {"R": R @ R, "y": y + R @ y, "m": m}, R=R, y=y, m=m)
    return start.finish(layer(x=centring.coefficients(y, m)))
