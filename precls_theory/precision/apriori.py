"""How far k steps of gradient descent in floating point can be from k exact ones: before any data are seen (new).

Let h = η/N, G = AᵀA, 0 ⪯ hG ⪯ I, τ = h·tr G (so τ ≤ D), ω = √h·‖b‖, and ``γ_n = nu/(1 − nu)``. No underflow or overflow;
sums in any order. By Higham's Lemma 3.1 a path of n roundings changes a term by a factor within 1 ± γ_n, so each computed
channel is off by at most γ_n times its *majorant*: the layer with absolute weights on absolute values. With ``n = N + D + 5``:

* **Gram form.** ``‖x̂_k − x_k‖ ≤ 1.06·k·γ_n·(1 + τ)·(‖x_0‖ + 1.5·√k·ω)`` while ``20·k·γ_n·(1 + τ) ≤ 1``.

  Proof. The stored G and c are off by ``γ_{N+1}·‖A‖_F²`` and ``γ_{N+1}·‖A‖_F·‖b‖``. A step has at most D + 4 roundings, and
  ``‖I − hG‖ ≤ 1``. So with ``γ_a + γ_b + γ_a·γ_b ≤ γ_{a+b}`` and ρ = γ_n(1 + τ) the errors satisfy
  ``e_{j+1} ≤ (1 + ρ)·e_j + ρ·‖x_j‖ + γ_n·√τ·ω``, where ``‖x_j‖ ≤ ‖x_0‖ + √j·ω`` and ``√τ ≤ (1 + τ)/2``. Sum k of them; and
  ``(1 + ρ)^k ≤ 1/(1 − kρ) ≤ 20/19 < 1.06``.

* **Doubling form.** ``‖x̂_k − x_k‖ ≤ k·α·(2.2·‖x_0‖ + 3.3·√k·ω)`` while ``20·k·α ≤ 1``, for
  ``α = γ_n·(√D + τ) + 2.1·D·γ_{D+1}``.

  Proof. Let F_j, f_j and e_j be the errors of P_j (Frobenius), q_j and x_j; ``‖P_j‖_F ≤ √D``, ``‖q_j‖ ≤ √j·ω``. From the layers

  | F_2j ≤ 2 F_j + F_j² + γ_{D+1}(√D + F_j)²
  | f_2j ≤ 2 f_j + (F_j + γ_{D+1}(√D + F_j + 1))·(√j·ω + f_j)
  | e_2j ≤ e_j + (F_j + γ_{D+1}(√D + F_j))·(‖x_j‖ + e_j) + (1 + γ_{D+1}) f_j + γ_{D+1}·√j·ω

  follow ``F_j ≤ y/(1 − y)`` with ``y = jα``, ``f_j ≤ (8/3)·α·j^{3/2}·ω`` and the claim, by induction on doublings: the
  constants are checked in rationals (:mod:`precls_theory.theorems.precision.rounding`).

These are worst cases over all data with the given norms, and far above what is measured;
:func:`precls_theory.precision.error_bound` bounds a given run.
What they say is how errors grow: with k·u·N for the Gram form, the power of k only from the size of x_k.
"""

from __future__ import annotations

import math
from fractions import Fraction

from constructions.networks.network import Network
from constructions.networks.parameters import IterationParameters, recorded
from constructions.networks.tasks import Regression

FORMS = ("gram", "doubling")
GRAM = (Fraction(106, 100), Fraction(3, 2))
"""Constants of the Gram form: the factor, and that of √k·ω."""
DOUBLING = (Fraction(22, 10), Fraction(33, 10))
"""Constants of the doubling form: the factors of ‖x_0‖ and of √k·ω."""
ALPHA = Fraction(21, 10)
"""The factor of D·γ_{D+1} in α."""
SMALL = Fraction(1, 20)
"""Beyond this value of k·γ_n·(1 + τ), and of k·α, nothing is claimed."""


def gamma(n: int, u: Fraction) -> Fraction:
    """``nu/(1 − nu)``; ``ValueError`` where nu ≥ 1."""
    if n * u >= 1:
        raise ValueError(f"{n} roundings of relative size {float(u):.2g} have no bound: nu must be below 1")
    return n * u / (1 - n * u)


def n_roundings(n_points: int, n_dims: int) -> int:
    """The most roundings on a path from the data to x_1."""
    return n_points + n_dims + 5


def a_priori_bound(
    network: Network, precision: int, b_norm: float, x_init_norm: float = 0.0, trace: float | None = None
) -> float:
    """An upper bound of ``‖x̂_k − x_k‖₂`` for gradient descent in Gram or doubling form in ``precision`` bits (24, 53).

    ``b_norm`` is ‖b‖₂ and ``x_init_norm`` ‖x_init‖₂; ``trace`` an upper bound of ``(η/N)·tr G``, D unless given. Needs
    ``(η/N)·λ_max(G) ≤ 1``, layout A, and no underflow or overflow. Raises ``ValueError`` for other networks, and where k is too
    large for the theorem to say anything.
    """
    task, form = network.task, network.parameters.get("form")
    if network.algorithm != "gradient_descent" or form not in FORMS or not isinstance(task, Regression):
        raise ValueError(
            f"expected gradient descent in form {' or '.join(FORMS)}, got {network.algorithm}, form {form!r}"
        )
    if task.layout != "A":
        raise ValueError(f"the theorem speaks of layout A, got {task.layout}")
    parameters = recorded(network.parameters, IterationParameters)
    N, D, k, u = task.n_points, task.n_dims, parameters["n_steps"], Fraction(1, 2**precision)
    tau = min(float(D), math.inf if trace is None else trace)
    omega = math.sqrt(float(Fraction(parameters["step_size"])) / N) * b_norm
    first = float(gamma(n_roundings(N, D), u))
    if form == "gram":
        growth, (factor, of_b), of_start = first * (1 + tau), GRAM, Fraction(1)
    else:
        growth = first * (math.sqrt(D) + tau) + float(ALPHA * D * gamma(D + 1, u))
        factor, (of_start, of_b) = Fraction(1), DOUBLING
    if k * growth > SMALL:
        raise ValueError(
            f"{k} steps are too many for an a-priori bound in {precision} bits at N={N}, D={D}: k times {growth:.2g} must be "
            f"at most {float(SMALL):g}"
        )
    bound = k * float(factor) * growth * (float(of_start) * x_init_norm + float(of_b) * math.sqrt(k) * omega)
    return bound * (1 + 1e-9)
