"""Newton's iteration on centred columns, for a regression with an intercept (new as a network): the centring is its first layer.

With the column means m_j and a constant first column of value κ, ``z_j = s_j (a_j − m_j)`` has sum zero, so that the intercept
drops out of the normal equations of the others, and the rest of the design has a condition number that may be a hundred times
smaller. The coefficients of the original columns are ``x_j = s_j y_j`` and ``x_0 = y_0 − Σ_j m_j x_j / κ``.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated

import numpy as np

from constructions.algebra.terms import exact, identity
from constructions.algebra.terms import total as over_rows
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
    if n_dims < 2:
        raise ValueError(
            f"there is nothing to centre beside the constant column: n_dims must be at least 2, got {n_dims}"
        )
    alpha, constant = exact(alpha), exact(constant)
    factors = [Fraction(1)] * (n_dims - 1) if scales is None else [exact(scale) for scale in scales]
    if not constant or len(factors) != n_dims - 1 or not all(factors):
        raise ValueError(
            f"the constant must not be zero, and {n_dims - 1} columns take as many nonzero scales, got {constant} and {scales}"
        )
    start = begin("A", n_points, n_dims, mode="circular", takes_start=False)
    layer, eye = start.builder.layer, identity(n_dims)
    share = Fraction(1, n_points)
    means = [share * over_rows(column) for column in start.a[1:]]
    centred = [start.a[0], *(s * (column - mean) for s, column, mean in zip(factors, start.a[1:], means, strict=True))]
    z, b, m = layer(z=np.array(centred, dtype=object), b=start.b, m=np.array(means, dtype=object))
    zz, bz, m = layer(zz=np.outer(z, z), bz=b * z, m=m)
    G, c = over_rows(zz), over_rows(bz)
    R, y, m = layer(R=eye - alpha * G, y=alpha * c, m=m)
    R, y, m = start.builder.iterate(n_iters, lambda R, y, m: {"R": R @ R, "y": y + R @ y, "m": m}, R=R, y=y, m=m)
    x = [s * value for s, value in zip(factors, y[1:], strict=True)]
    first = y[0]
    for mean, value in zip(m, x, strict=True):
        first = first - (1 / constant) * mean * value
    return start.finish(layer(x=np.array([first, *x], dtype=object)))
