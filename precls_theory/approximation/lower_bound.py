"""How near a polynomial of a given degree can come to a function: a proof from below, hence a least depth.

*Theorem* (new as a bound of depth; the functional is Chebyshev's). For n > d let ``x_j = cos(πj/n)`` on [−1, 1], and

    λ_n(f) = (1/n) · Σ''_{j=0..n} (−1)^j f(x_j),      Σ'' halving the first and the last term.

Every polynomial p of degree at most d has ``max |f − p| ≥ |λ_n(f)|``. *Proof.* ``(−1)^j = T_n(x_j)``, so λ_n(T_k) = 0 for
k < n by discrete orthogonality, hence λ_n(p) = 0; and the absolute weights of λ_n add up to 1, so
``|λ_n(f)| = |λ_n(f − p)| ≤ max |f − p|``. ∎

L layers compute polynomials of degree at most 2^L, so where this bound at d = 2^L is above ε no network of L layers,
of any width and any weights, is within ε of f. The functional is evaluated in balls.
"""

from __future__ import annotations

from fractions import Fraction

import sympy as sp
from flint import acb, arb, ctx

from constructions.approximation.ball_functions import BallFunction, exact_numbers, rational

PRECISION = 256
"""Bits: the terms of the functional cancel."""


def best_error_below(
    function: sp.Expr, variable: sp.Symbol, interval: tuple[Fraction, Fraction], degree: int
) -> Fraction:
    """A proved lower bound of ``max |function − p|`` over the interval, for every polynomial p of degree at most
    ``degree``.

    The better of n = d + 1 and n = d + 2: one of the two vanishes where the function is even or odd. Zero when nothing
    is proved. Raises ``ValueError`` for a negative degree, an empty interval, and where the function is not finite.
    """
    low, high = interval
    if degree < 0 or low >= high:
        raise ValueError(f"expected a degree of at least 0 and low < high, got degree {degree} on [{low}, {high}]")
    compiled = BallFunction(exact_numbers(function), [variable])
    with ctx.workprec(PRECISION):
        middle, half = arb(rational((low + high) / 2)), arb(rational((high - low) / 2))
        return max(_functional(compiled, middle, half, n) for n in (degree + 1, degree + 2))


def _functional(function: BallFunction, middle: arb, half: arb, n: int) -> Fraction:
    """``|λ_n(function)|``, rounded down to a short rational."""
    total = arb(0)
    for j in range(n + 1):
        value = function([acb(middle + half * (arb.pi() * j / n).cos())]).real
        total += (-1) ** j * value / (2 if j in (0, n) else 1)
    bound = abs(total / n)
    if not bound.is_finite():
        raise ValueError(f"{function.expression} could not be enclosed at {n + 1} points of the interval")
    below = bound.lower()
    if not below > 0:
        return Fraction(0)
    # A short rational: 60 bits from the leading one on.
    exponent = 60 - (int(float(below.log() / arb(2).log())) - 1)
    scaled = (below * arb(2) ** exponent).floor().unique_fmpz()
    if scaled is None:
        raise ValueError(f"the bound {below} could not be rounded down")
    return max(Fraction(int(scaled)) / Fraction(2) ** exponent, Fraction(0))


def excludes_depth(
    function: sp.Expr, variable: sp.Symbol, interval: tuple[Fraction, Fraction], depth: int, error: Fraction
) -> bool:
    """Whether it is proved that no network of ``depth`` layers is within ``error`` of the function; ``False`` decides
    nothing."""
    return best_error_below(function, variable, interval, 2**depth) > error
