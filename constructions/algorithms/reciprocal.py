"""1/x by Newton's iteration ``y ← y (2 − x y)``: a polynomial, hence an exact network.

With e = 1 − x y the iteration is ``y ← y + y e, e ← e²``: one layer an iterate, after one that forms e_0. The start
y_0 = 8(s − x)/(s² + 4ab), with s = a + b on [a, b], is the affine function for which e_0 is a multiple of the Chebyshev
polynomial T_2 there: |e_0| ≤ q = (b−a)²/(a² + 6ab + b²). So ``|1/x − y_t| = |e_0|^{2^t} / x ≤ q^{2^t} / a``, exactly.

*Proof.* x y_0 is a parabola with its vertex 1 + q at s/2 and the value 1 − q at both ends.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Annotated, TypedDict

import numpy as np

from constructions.algebra.rationals import power
from constructions.algebra.rings import Ring
from constructions.algebra.terms import channel, exact
from constructions.approximation.chebyshev_network import Approximation
from constructions.networks.builder import Builder
from constructions.networks.construction import construction
from constructions.networks.function_task import FunctionTask
from constructions.networks.network import Network
from constructions.networks.parameters import Count, Exact, Rational, recorded


class ReciprocalParameters(TypedDict):
    """What :func:`reciprocal` records."""

    low: Rational
    high: Rational
    n_iters: int


@construction
def reciprocal(
    *,
    low: Annotated[Rational, Exact("lower end of the interval")],
    high: Annotated[Rational, Exact("upper end of the interval")],
    n_iters: Annotated[int, Count("iterates", minimum=0, fits="layers")],
) -> Network:
    """The network of ``n_iters`` Newton iterates for 1/x on [low, high], 0 < low < high, in ``n_iters`` + 1 layers.

    ``net.encode([x])``, ``net.decode`` of shape (..., 1); ``net.error_bound`` is q^(2^t)/low, which is attained.
    The depth is the least possible, ⌈log2 d⌉ for the degree d = 2^(t+1) − 1. Raises ``ValueError`` for other
    intervals, and where the digits of the error would fill the memory (:func:`constructions.algebra.rationals.power`).
    """
    a, b = exact(low), exact(high)
    if not 0 < a < b:
        raise ValueError(f"expected 0 < low < high (1/x has a pole at 0), got [{a}, {b}]")
    error_bound = power(f"the proven error of {n_iters} iterates", contraction(a, b), 2**n_iters) / a
    builder = Builder(1, ["x"])
    x = channel("x")
    scale = 8 / (a * a + 6 * a * b + b * b)
    y = scale * (a + b - x)
    y, e = builder.layer(y=y, e=1 - x * y)
    for _ in range(n_iters):
        y, e = builder.layer(y=y + y * e, e=e * e)
    degree = 2 ** (n_iters + 1) - 1
    task = partial(FunctionTask, variables=("x",), domain=((a, b),), degree=degree, error_bound=error_bound)
    return Approximation.of(builder.build([y], task))


def contraction(low: Fraction, high: Fraction) -> Fraction:
    """q = (b−a)²/(a² + 6ab + b²), the largest |1 − x y_0| on [a, b]; 1/17 on [1, 2]."""
    return (high - low) ** 2 / (low * low + 6 * low * high + high * high)


def reference(network: Network, u: np.ndarray, ring: Ring) -> np.ndarray:
    """The iteration as Newton wrote it, ``y ← y (2 − x y)``: shape (..., 1, 1)."""
    parameters = recorded(network.parameters, ReciprocalParameters)
    a, b = Fraction(parameters["low"]), Fraction(parameters["high"])
    x = ring.coerce(u)
    scale = 8 / (a * a + 6 * a * b + b * b)
    y = ring.reduce(ring.elements([scale * (a + b)]) - ring.reduce(ring.elements([scale]) * x))
    for _ in range(parameters["n_iters"]):
        y = ring.reduce(y * ring.reduce(ring.elements([2]) - ring.reduce(x * y)))
    return y
