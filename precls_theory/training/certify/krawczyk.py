"""The Krawczyk test: a root of a square system near a point, proved in ball arithmetic (Krawczyk 1969, Rump 2010).

For F: R^n → R^n, a point x, a ball X of radius r about it and any matrix C, let

    K(X) = x − C F(x) + (I − C J(X)) (X − x),

J(X) an enclosure of the Jacobian on X. If K(X) lies in the interior of X, then F has exactly one root in X, and it is in K(X).
C is the inverse of J(x) in floating point: that it is a good one matters for success, not for the proof. Everything else
is Arb's ball arithmetic, whose enclosures are rigorous.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np

from constructions.approximation.ellipses import upper

Map = Callable[[flint.arb_mat], flint.arb_mat]
"""From an ``arb_mat`` (n, 1) to an ``arb_mat``: (n, 1) for F, (n, n) for its Jacobian."""
PRECISION = 256
GROWTH = 2
ATTEMPTS = 40


class NoRootProved(ValueError):
    """The test did not succeed: there may be no root near the point, or the Jacobian is singular there."""


@dataclass(frozen=True)
class Root:
    """Exactly one root within ``radius`` of the point, in the maximum norm, as proved; it lies within ``within`` of it.

    ``within`` ≤ ``radius``, both rational upper bounds.
    """

    radius: Fraction
    within: Fraction


def krawczyk(function: Map, jacobian: Map, point: list[Fraction], radius: Fraction | None = None) -> Root:
    """A root of ``function`` near ``point``, in a ball of ``radius`` (the smallest that succeeds, where left out).

    Raises :class:`NoRootProved` in words. n = len(point) unknowns; O(n³) ball operations.
    """
    n = len(point)
    with flint.ctx.workprec(PRECISION):
        x = flint.arb_mat(n, 1, [flint.arb(flint.fmpq(p.numerator, p.denominator)) for p in point])
        value, slope = function(x), jacobian(x)
        midpoint = np.array([float(entry.mid()) for entry in slope.entries()]).reshape(n, n)
        try:
            inverse = flint.arb_mat(n, n, np.linalg.inv(midpoint).ravel().tolist())
        except np.linalg.LinAlgError as error:
            raise NoRootProved("the Jacobian is singular at the point") from error
        step = inverse * value
        newton = max((upper(abs(entry)) for entry in step.entries()), default=Fraction(0))
        identity = flint.arb_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])
        tried = radius if radius is not None else GROWTH * newton + Fraction(1, 2**200)
        for _ in range(1 if radius is not None else ATTEMPTS):
            ball = flint.arb(0, flint.arb(flint.fmpq(tried.numerator, tried.denominator)).upper())
            box = flint.arb_mat(n, 1, [entry + ball for entry in x.entries()])
            away = flint.arb_mat(n, 1, [ball] * n)
            moved = (identity - inverse * jacobian(box)) * away - step
            within = max((upper(abs(entry)) for entry in moved.entries()), default=Fraction(0))
            if within < tried:
                return Root(tried, within)
            tried *= GROWTH
        raise NoRootProved(
            f"the Krawczyk test fails: from a ball of radius {float(tried):.3g} it is led {float(within):.3g} away, with a "
            f"Newton step of {float(newton):.3g}"
        )
