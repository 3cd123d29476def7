r"""One and two layers of linear attention on random regressions: its population loss, exactly.

A prompt has n points ``(a_i, b_i)``, ``b_i = w·a_i + ε_i``, and a query a_q; the weights that matter for the prediction are
p ∈ R^{d+1} (the values' row) and q ∈ R^{(d+1)×d} (keys against queries), and with z_i = (a_i, b_i)

    prediction = Σ_{ijk} p_i G_ij q_jk (a_q)_k,   G = (1/n) Σ_i z_i z_iᵀ.

It is linear in the symmetric part of ``M_ijk = p_i q_jk`` in (i, j), so the loss ``E (prediction − w·a_q)²`` is F(M) for a convex
quadratic F: a point where F'(M) = 0 is a global minimum for *all* weights (Ahn et al. 2023, Mahankali et al. 2024).
Two layers, d = 1: losses ``E r(s)²`` in the step sizes and in what the first layer does to the points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import flint
import numpy as np

from precls_theory.landscape.moments import Gaussian, Moments
from precls_theory.landscape.population_loss import Loss, SymbolicModel, fmpq, population_loss
from precls_theory.landscape.problems import Problem
from precls_theory.proofs.symbolic import array_of

Law = Callable[[Sequence[Sequence[Fraction]]], Moments]
"""The moments of inputs with a covariance."""


def pairs(n_dims: int) -> list[tuple[int, int]]:
    """The entries (i, j), i ≤ j, of the symmetric part."""
    return [(i, j) for i in range(n_dims + 1) for j in range(i, n_dims + 1)]


def attention_loss(
    n_points: int,
    n_dims: int,
    variances: Sequence[Fraction] | None = None,
    noise: Fraction = Fraction(0),
    factored: bool = False,
    law: Law = Gaussian,
) -> Loss:
    """The loss in the entries ``M`` (pairs × d), or with ``factored`` in p and q; a ~ N(0, diag(variances)), w ~ N(0, I).

    ``noise`` is the variance of ε; ``law`` makes the moments from the covariance of all inputs.
    Raises ``ValueError`` when ``variances`` has another length than d.
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
    return population_loss(model, lambda u: array_of([u[0, 0] * 0], (1,)), law(covariance))


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


def moment(n_points: int, degree: int) -> Fraction:
    """``E s^degree`` for ``s = (1/n) Σ a_i²``, a_i ~ N(0, 1)."""
    result = Fraction(1)
    for index in range(degree):
        result *= Fraction(n_points + 2 * index, n_points)
    return result


Residual = Callable[..., flint.fmpq_mpoly]
"""``residual(s, **weights)``, a polynomial."""


def residual_problem(name: str, n_points: int, names: Sequence[str], residual: Residual) -> Problem:
    """The loss ``E r(s)²`` of a prediction whose error is ``−w a_q r(s)``; ``residual(s, **weights)`` is a polynomial."""
    context = flint.fmpq_mpoly_ctx.get((*names, "s"), "degrevlex")
    *weights, s = context.gens()
    square = residual(s, **dict(zip(names, weights, strict=True))) ** 2
    small = flint.fmpq_mpoly_ctx.get(tuple(names), "degrevlex")
    terms: dict[tuple[int, ...], flint.fmpq] = {}
    for monomial, coefficient in square.to_dict().items():
        *key, degree = map(int, monomial)
        terms[tuple(key)] = terms.get(tuple(key), flint.fmpq(0)) + coefficient * fmpq(moment(n_points, degree))
    return Problem(name, Loss(small.from_dict({key: c for key, c in terms.items() if c})), ())


def two_steps(n_points: int) -> Problem:
    """Two layers, each a step of gradient descent, d = 1: ``r = (1 − η_1 s)(1 − η_2 s)``; its least loss is a theorem."""
    problem = residual_problem("two steps", n_points, ("eta_1", "eta_2"), steps_residual)
    least = Fraction(8, (n_points + 2) * (n_points + 4)), "landscape-attention-layers"
    return replace(problem, least=least)


def two_layers(n_points: int) -> Problem:
    """Two layers of which the first also moves the points, ``a ← (1 − γ s) a``: GD++ of von Oswald et al. 2023, d = 1."""
    return residual_problem("two layers", n_points, ("eta_1", "eta_2", "gamma"), layers_residual)


def two_layers_at_infinity(n_points: int) -> Problem:
    """The limits of :func:`two_layers` as γ → ∞ with ``η_2 γ² = c``: ``r = (1 − η_1 s)(1 − c s³)``."""
    return residual_problem(
        "at infinity", n_points, ("eta_1", "c"), lambda s, eta_1, c: (1 - eta_1 * s) * (1 - c * s**3)
    )


def steps_residual(s: flint.fmpq_mpoly, eta_1: flint.fmpq_mpoly, eta_2: flint.fmpq_mpoly) -> flint.fmpq_mpoly:
    return (1 - eta_1 * s) * (1 - eta_2 * s)


def layers_residual(
    s: flint.fmpq_mpoly, eta_1: flint.fmpq_mpoly, eta_2: flint.fmpq_mpoly, gamma: flint.fmpq_mpoly
) -> flint.fmpq_mpoly:
    return (1 - eta_1 * s) * (1 - eta_2 * s * (1 - gamma * s) ** 2)


def attend(P: np.ndarray, Q: np.ndarray, tokens: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One layer, no softmax: ``z ← z + (1/n) Σ_i P z_i (z_i · Q z)`` for each of the tokens (n, 2) and the query (2,)."""
    count = len(tokens)

    def moved(z: np.ndarray) -> np.ndarray:
        total = z
        for token in tokens:
            total = total + (P @ token) * array_of([token @ (Q @ z)], (1,)) / count
        return total

    return array_of([entry for token in tokens for entry in moved(token)], tokens.shape), moved(query)
