"""Heavy ball and the Chebyshev semi-iteration: gradient descent's kin with one more term, in Gram form."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from constructions.algebra.terms import exact
from constructions.algorithms.descent.gram import gram_form
from constructions.networks.construction import construction
from constructions.networks.network import Network
from constructions.networks.parameters import Count, Exact, GramDims, Points, Rational, StepSize
from constructions.networks.tasks import LayoutName


@construction
def heavy_ball(
    *,
    n_points: Points,
    n_dims: GramDims,
    n_steps: Annotated[int, Count("steps", fits="layers")],
    step_size: StepSize,
    momentum: Annotated[Rational, Exact("momentum β")],
    layout: LayoutName = "A",
) -> Network:
    """Polyak's heavy ball ``x_{k+1} = x_k − η g(x_k) + β (x_k − x_{k−1})`` with x_{−1} = x_0.

    Depth n_steps + 1 (one more in layout S).
    Raises ``ValueError`` for sizes below one or an unknown layout.
    """
    return gram_form(n_points, n_dims, [(exact(step_size), exact(momentum))] * n_steps, layout)


@construction
def chebyshev(
    *,
    n_points: Points,
    n_dims: GramDims,
    n_steps: Annotated[int, Count("steps", fits="layers")],
    lower: Annotated[Rational, Exact("least eigenvalue of G/N")],
    upper: Annotated[Rational, Exact("largest eigenvalue of G/N")],
    layout: LayoutName = "A",
) -> Network:
    """The Chebyshev semi-iteration for eigenvalues of G/N in [lower, upper], in n_steps + 1 layers (one more in S).

    ``x_{k+1} = x_k + (ω_{k+1} − 1)(x_k − x_{k−1}) − (ω_{k+1}/d) g(x_k)`` with d = (lower + upper)/2,
    ρ = (upper − lower)/(upper + lower), ω_1 = 1, ω_2 = 1/(1 − ρ²/2), ω_{k+1} = 1/(1 − ρ²ω_k/4) (Golub & Varga 1961). Its
    error polynomial is ``T_k((d − λ)/(ρd)) / T_k(1/ρ)``, the smallest possible on the interval.
    Raises ``ValueError`` unless 0 < lower < upper.
    """
    low, high = exact(lower), exact(upper)
    if not 0 < low < high:
        raise ValueError(f"the eigenvalue bounds must satisfy 0 < lower < upper, got lower={low}, upper={high}")
    centre, rho_squared = (low + high) / 2, ((high - low) / (high + low)) ** 2
    omega, steps = Fraction(1), []
    for k in range(n_steps):
        steps.append((omega / centre, omega - 1))
        omega = 1 / (1 - rho_squared / 2) if k == 0 else 1 / (1 - rho_squared * omega / 4)
    return gram_form(n_points, n_dims, steps, layout)
