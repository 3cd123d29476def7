r"""One layer of linear attention on random regressions: its population loss, exactly.

A prompt has n points ``(a_i, b_i)``, ``b_i = w·a_i + ε_i``, and a query a_q; the weights that matter for the prediction are
p ∈ R^{d+1} (the values' row) and q ∈ R^{(d+1)×d} (keys against queries), and with z_i = (a_i, b_i)

    prediction = Σ_{ijk} p_i G_ij q_jk (a_q)_k,   G = (1/n) Σ_i z_i z_iᵀ.

It is linear in the symmetric part of ``M_ijk = p_i q_jk`` in (i, j), so the loss ``E (prediction − w·a_q)²`` is F(M) for a convex
quadratic F: a point where F'(M) = 0 is a global minimum for *all* weights (Ahn et al. 2023, Mahankali et al. 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from precls_theory.landscape.moments import Gaussian
from precls_theory.landscape.population_loss import Loss, SymbolicModel, population_loss
from precls_theory.landscape.problems import Problem
from precls_theory.proofs.symbolic import array_of


def pairs(n_dims: int) -> list[tuple[int, int]]:
    """The entries (i, j), i ≤ j, of the symmetric part."""
    return [(i, j) for i in range(n_dims + 1) for j in range(i, n_dims + 1)]


def attention_loss(
    n_points: int,
    n_dims: int,
    variances: Sequence[Fraction] | None = None,
    noise: Fraction = Fraction(0),
    factored: bool = False,
) -> Loss:
    """The loss in the entries ``M`` (pairs × d), or with ``factored`` in p and q; a ~ N(0, diag(variances)), w ~ N(0, I).

    ``noise`` is the variance of ε. Raises ``ValueError`` when ``variances`` has another length than d.
    """
    variances = list(variances) if variances is not None else [Fraction(1)] * n_dims
    if len(variances) != n_dims:
        raise ValueError(f"expected {n_dims} variances, one a dimension, got {len(variances)}")
    count = n_points * n_dims + n_points + 2 * n_dims
    scales = [*(variances * n_points), *([noise] * n_points), *([Fraction(1)] * n_dims), *variances]
    covariance = [[scales[i] if i == j else Fraction(0) for j in range(count)] for i in range(count)]

    def apply(weights: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
        row = u[0]
        a = row[: n_points * n_dims].reshape(n_points, n_dims)
        errors = row[n_points * n_dims : n_points * (n_dims + 1)]
        w, query = row[-2 * n_dims : -n_dims], row[-n_dims:]
        total = row[0] * 0
        for i, point in enumerate(a):
            b = errors[i]
            for slope, value in zip(w, point, strict=True):
                b = b + slope * value
            z = [*point, b]
            for index, (j, k) in enumerate(pairs(n_dims)):
                for d in range(n_dims):
                    if factored:
                        weight = weights["p"][j] * weights["q"][k, d]
                        if j != k:
                            weight = weight + weights["p"][k] * weights["q"][j, d]
                    else:
                        weight = weights["M"][index, d] * (1 if j == k else 2)
                    total = total + weight * z[j] * z[k] * query[d]
        target = row[0] * 0
        for slope, value in zip(w, query, strict=True):
            target = target + slope * value
        return array_of([total / n_points - target], (1,))

    shapes: dict[str, tuple[int, ...]] = (
        {"p": (n_dims + 1,), "q": (n_dims + 1, n_dims)} if factored else {"M": (len(pairs(n_dims)), n_dims)}
    )
    model = SymbolicModel(shapes, 1, count, apply)
    return population_loss(model, lambda u: array_of([u[0, 0] * 0], (1,)), Gaussian(covariance))


def best_steps(n_points: int, variances: Sequence[Fraction], noise: Fraction = Fraction(0)) -> list[Fraction]:
    """The minimiser's preconditioned step: ``n / ((n + 1) λ_k + Σλ + σ²)`` in direction k; ``n/(n + d + 1)`` for λ = 1."""
    total = sum(variances, Fraction(0)) + noise
    return [n_points / ((n_points + 1) * variance + total) for variance in variances]


def attention_problem(n_points: int) -> Problem:
    """All weights p and q of the layer for d = 1, with the scaling (sp, q/s): to be classified.

    Its least loss is ``2/(n + 2)``, that of the step n/(n + 2).
    """
    loss = attention_loss(n_points, 1, factored=True)
    family = (
        tuple(name for name in loss.names if name.startswith("p")),
        tuple(n for n in loss.names if n.startswith("q")),
    )
    return Problem("linear attention", loss, (family,), least=(Fraction(2, n_points + 2), "landscape-linear-attention"))
