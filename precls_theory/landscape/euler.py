r"""Weights that can be scaled away: equations that hold at every real stationary point, from an identity.

Let weights z enter a loss only through ``E(y, z) = Σ c_i s_i(y, z)²``, c_i > 0, each s_i homogeneous in z of a degree
d_i ≥ 1, so that ``L(y, z) = L(y, 0) + E(y, z)``. Then ``z·∂_z L = Σ 2 d_i c_i s_i²`` (Euler), and at a real stationary
point the left-hand side is zero: every s_i is. These s_i may be added to the gradient's equations; no real stationary
point is lost, and the complex ones that only make Gröbner bases large are.

*Channels that the target does not see* (Read in a layer, two rows, channels d ≥ 1). With ``x = f_0 in``, ``y = f_1 in``
the two taps, m the mean of the two rows' constants of the convolution and δ half their difference, e = (1, 0, …):

    L = 2(|x|²|g|² + (x·g)²) + 2|q x + m g − e/2|² + |y|²|g|² + |q y − e|² + 2|δ g − e/2|² + 2 q²δ²,

and with a prime for the channels d ≥ 1, z = (in', g'),

    E = 2|x_0 g' + g_0 x'|² + 2|q x' + m g'|² + |y_0 g'|² + |g_0 y'|² + |q y'|² + 2|δ g'|²
        + 2(|x'|²|g'|² + (x'·g')²) + |y'|²|g'|².
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import flint

from precls_theory.landscape.population_loss import Loss


@dataclass(frozen=True, eq=False)
class Squares:
    """``Σ_{i ∈ weights} w_i ∂_i L = Σ c s²`` over the terms (c, s), c > 0: at real stationary points every s is 0."""

    weights: tuple[str, ...]
    terms: tuple[tuple[int, flint.fmpq_mpoly], ...]

    @property
    def equations(self) -> list[flint.fmpq_mpoly]:
        """Polynomials that vanish at every real stationary point."""
        return [square for _, square in self.terms if square]

    def check(self, loss: Loss) -> None:
        """The identity, expanded; ``ArithmeticError`` where it is not one or a coefficient is not positive."""
        if any(coefficient <= 0 for coefficient, _ in self.terms):
            raise ArithmeticError("a sum of squares needs positive coefficients")
        context = loss.polynomial.context()
        generators = dict(zip(loss.names, context.gens(), strict=True))
        slopes = dict(zip(loss.names, loss.gradient, strict=True))
        left, right = context.constant(0), context.constant(0)
        for name in self.weights:
            left += generators[name] * slopes[name]
        for coefficient, square in self.terms:
            right += coefficient * square**2
        if left != right:
            raise ArithmeticError(f"the derivative along {', '.join(self.weights)} is not that sum of squares")


def unseen_channels(loss: Loss, channels: int) -> Squares:
    """The identity of the module for Read in a layer of one unit at two rows; checked."""
    w = dict(zip(loss.names, loss.polynomial.context().gens(), strict=True))
    half = flint.fmpq(1, 2)
    now, before, b, q = w["filter_0_0"], w["filter_0_1"], w["b_0"], w["q_0"]
    m, delta = w["c_0"] + (now + before * half) * b, before * b * half
    x, y = ([tap * w[f"in_0_{d}"] for d in range(channels)] for tap in (now, before))
    g = [w[f"gate_0_{d}"] for d in range(channels)]
    rest = range(1, channels)
    terms: list[tuple[int, flint.fmpq_mpoly]] = []
    for d in rest:
        terms += [(4, x[0] * g[d] + g[0] * x[d]), (4, q * x[d] + m * g[d]), (2, y[0] * g[d]), (2, g[0] * y[d])]
        terms += [(2, q * y[d]), (4, delta * g[d])]
    terms += [(8, x[i] * g[j]) for i in rest for j in rest] + [(4, y[i] * g[j]) for i in rest for j in rest]
    terms.append((8, inner([x[d] for d in rest], [g[d] for d in rest])))
    found = Squares(tuple(f"{family}_0_{d}" for family in ("in", "gate") for d in rest), tuple(terms))
    found.check(loss)
    return found


def inner(left: Sequence[flint.fmpq_mpoly], right: Sequence[flint.fmpq_mpoly]) -> flint.fmpq_mpoly:
    """``Σ left_i right_i``."""
    first, *rest = (a * b for a, b in zip(left, right, strict=True))
    for term in rest:
        first = first + term
    return first
