r"""One layer of linear attention is least at one step of gradient descent, with an explicit step size.

*Proof for every n and d* (a_i, a_q ~ N(0, Λ), w ~ N(0, I), noise of variance σ²). By :mod:`precls_theory.landscape.attention`
the loss is F(M), F convex, so it is enough that F'(M*) = 0, where M* has p = e_b and q = (A; 0): the prediction is
``a_qᵀ A x``, ``x = (1/n) Σ b_i a_i``. The derivative in M_ijk is ``2 E (prediction − w·a_q) G_ij (a_q)_k``. Under (w, ε) →
−(w, ε) the first factor is odd, and G_ij is even for i, j both in a, or both b: these derivatives vanish. For (i, b):
``E (A x − w)ᵀ… = 0`` says ``(E Σ̂² + σ²Λ/n) A = E Σ̂ = Λ`` with ``Σ̂ = (1/n) Σ a_i a_iᵀ`` and, by Isserlis,
``E Σ̂² = ((n+1) Λ² + tr(Λ) Λ)/n``. Hence ``A = n ((n+1)Λ + (tr Λ + σ²) I)^{-1}``; for Λ = I one step of gradient descent from
zero on the mean square error, of size ``η = n/(n + d + 1 + σ²)``. ∎

*k layers, restricted to k steps of sizes η_1 … η_k* (d = 1, no noise): the error factor is ``Π(1 − η_j s)``, s = Σ̂, so the best
step sizes are the reciprocals of the roots of the polynomial r of degree k with r(0) = 1 and least ``E r(s)²``: the Laguerre
polynomial ``L_k^{(n/2)}(ns/2)``, normalised, for s has a Gamma law and r is orthogonal to lower degrees under s dμ(s). The
steps are distinct: repeating the best single step is not best. (That no other two-layer weights are better is not shown.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import flint
import sympy

from precls_theory.landscape import attention as prompts
from precls_theory.landscape.attention import Law, attention_loss, attention_problem, best_steps, pairs
from precls_theory.landscape.classification import classify
from precls_theory.landscape.components import GLOBAL, SADDLE
from precls_theory.landscape.moments import Gaussian, is_positive_semidefinite
from precls_theory.registry import Evidence, Refuted, Size, theorem

Steps = Callable[..., list[Fraction]]
ONE, TWO = Fraction(1), Fraction(2)


class Lighter(Gaussian):
    """Gaussian moments, but ``E x⁴ = 2 (E x²)²`` in place of 3: inputs with lighter tails."""

    def moment(self, exponents: tuple[int, ...]) -> Fraction:
        fourth = sum(degree == 4 for degree in exponents)
        return super().moment(exponents) * Fraction(2, 3) ** fourth


def prove_moments(law: Law = Gaussian, of_points: Callable[[int, int], Fraction] | None = None) -> None:
    """The moments that the theorem rests on, from the generating function ``E exp(t·x) = exp(tᵀΣt/2)``.

    ``E x^α = α! [t^α] (tᵀΣt/2)^{|α|/2} / (|α|/2)!`` for all α of degree up to 6 in two correlated variables, and
    ``E s^k`` by expanding ``s = (1/n) Σ a_i²``, for n, k ≤ 3.
    """
    of_points = of_points or prompts.moment
    covariance = [[ONE, ONE / 2], [ONE / 2, TWO]]
    t = sympy.symbols("t:2")
    form = sum(sympy.Rational(str(covariance[i][j])) * t[i] * t[j] for i in range(2) for j in range(2)) / 2
    given = law(covariance)
    for half in range(4):
        series = sympy.Poly(sympy.expand(form**half) / sympy.factorial(half), *t)
        for first in range(2 * half + 1):
            alpha = (first, 2 * half - first)
            expected = series.coeff_monomial(alpha) * sympy.factorial(alpha[0]) * sympy.factorial(alpha[1])
            if sympy.Rational(str(given.moment(alpha))) != expected:
                raise Refuted(f"E x^{alpha[0]} y^{alpha[1]} is {expected}, not {given.moment(alpha)}")
    for n_points in (1, 2, 3):
        context = flint.fmpq_mpoly_ctx.get(tuple(f"a{i}" for i in range(n_points)), "lex")
        s = sum((a**2 for a in context.gens()), context.constant(0)) / n_points
        points = law([[Fraction(int(i == j)) for j in range(n_points)] for i in range(n_points)])
        for degree in (1, 2, 3):
            total = sum(
                (
                    Fraction(int(c.p), int(c.q)) * points.moment(tuple(map(int, m)))
                    for m, c in (s**degree).to_dict().items()
                ),
                Fraction(0),
            )
            if total != of_points(n_points, degree):
                raise Refuted(f"E s^{degree} at n = {n_points} is {total}, not {of_points(n_points, degree)}")


def doubled_second(n_points: int, degree: int) -> Fraction:
    """``E s²``, which holds the fourth moments of the points, twice too large."""
    return prompts.moment(n_points, degree) * (2 if degree == 2 else 1)


def prove_minimiser(
    n_points: int, variances: Sequence[Fraction], noise: Fraction, steps: Steps = best_steps, law: Law = Gaussian
) -> Fraction:
    """F'(M*) = 0 and F convex at this size; returns the least loss."""
    n_dims = len(variances)
    loss = attention_loss(n_points, n_dims, variances, noise, law=law)
    eta = steps(n_points, variances, noise)
    point = dict.fromkeys(loss.names, Fraction(0))
    for index, (i, j) in enumerate(pairs(n_dims)):
        if j == n_dims and i < n_dims:
            point[f"M_{index}_{i}"] = eta[i] / 2  # the pair (i, b) is counted twice
    for name, slope in zip(loss.names, loss.gradient_at(point), strict=True):
        if slope != 0:
            raise Refuted(
                f"n={n_points}, variances {[str(v) for v in variances]}, σ²={noise}: the derivative in {name} is {slope}",
                {"steps": [str(value) for value in eta]},
            )
    hessian = [[constant(entry) for entry in row] for row in loss.hessian]
    if not is_positive_semidefinite(hessian):
        raise Refuted("F is not convex")
    return loss.at(point)


def prove_no_spurious(n_points: int) -> None:
    """d = 1, all weights: the local minima are global, of loss 2/(n + 2); the other stationary points are strict saddles."""
    value = prove_minimiser(n_points, [ONE], Fraction(0))
    problem = attention_problem(n_points)
    assert problem.least is not None
    if value != problem.least[0]:
        raise Refuted(f"the least loss is {value}, not {problem.least[0]}")
    result = classify(problem)
    kinds = {component.kind for component in result.real}
    if not result.complete or kinds != {GLOBAL, SADDLE}:
        raise Refuted(f"n={n_points}: complete {result.complete}, kinds {sorted(kinds)}")


def constant(entry: flint.fmpq_mpoly) -> Fraction:
    value = entry.leading_coefficient() if entry else flint.fmpq(0)
    return Fraction(int(value.p), int(value.q))


def prove_factored(n_points: int, n_dims: int) -> None:
    """The loss in p and q is F at ``sym(p ⊗ q)``, identically."""
    form = attention_loss(n_points, n_dims)
    factored = attention_loss(n_points, n_dims, factored=True)
    context = factored.polynomial.context()
    weights = dict(zip(factored.names, context.gens(), strict=True))
    half = flint.fmpq(1, 2)
    entries = []
    for i, j in pairs(n_dims):
        for k in range(n_dims):
            product = weights[f"p_{i}"] * weights[f"q_{j}_{k}"] + weights[f"p_{j}"] * weights[f"q_{i}_{k}"]
            entries.append(product * half)
    if form.polynomial.compose(*entries, ctx=context) != factored.polynomial:
        raise Refuted("the loss in p and q is not F(sym(p ⊗ q))")


def prove_laguerre(n_steps: int, shift: int | sympy.Expr = 0) -> None:
    """For every n: the normalised ``L_k^{(n/2 + shift)}(ns/2)`` is orthogonal to 1, …, s^{k−1} under s dμ(s), d = 1."""
    n, s = sympy.symbols("n s", positive=True)
    polynomial = sympy.Poly(sympy.expand(sympy.assoc_laguerre(n_steps, n / 2 + shift, n * s / 2)), s)

    def symbolic(degree: int) -> sympy.Expr:
        found = sympy.prod([(n + 2 * i) / n for i in range(degree)])
        for points in (1, 2, 3):
            if found.subs(n, points) != sympy.Rational(str(prompts.moment(points, degree))):
                raise Refuted(f"E s^{degree} at n = {points} is not {found}")
        return found

    for power in range(n_steps):
        product = sum(coefficient * symbolic(exponent + power + 1) for (exponent,), coefficient in polynomial.terms())
        if sympy.cancel(product) != 0:
            raise Refuted(f"k={n_steps}: not orthogonal to s^{power}: {sympy.factor(product)}")
    roots = sympy.Poly(polynomial.as_expr().subs(n, 4), s)
    if len(set(sympy.real_roots(roots))) != n_steps:
        raise Refuted("the roots are not real and distinct at n = 4")


def other_step(n_points: int, variances: Sequence[Fraction], noise: Fraction = Fraction(0)) -> list[Fraction]:
    """The step without the 1 in n + d + 1."""
    total = sum(variances, Fraction(0)) + noise
    return [n_points / (n_points * variance + total) for variance in variances]


def quiet_step(n_points: int, variances: Sequence[Fraction], noise: Fraction = Fraction(0)) -> list[Fraction]:
    """The best step, the noise forgotten."""
    return best_steps(n_points, variances)


@theorem(
    id="landscape-linear-attention",
    title="The best single layer of linear attention is one step of gradient descent of size n/(n + d + 1 + σ²)",
    statement=r"\arg\min L:\ \hat y=a_q^\top A\,\tfrac1n\sum_i b_ia_i,\quad "
    r"A=n\,\bigl((n+1)\Lambda+(\mathrm{tr}\Lambda+\sigma^2)I\bigr)^{-1}",
    hypotheses=("a_i, a_q ~ N(0, Λ), w ~ N(0, I), b = w·a + noise of variance σ²", "one layer, no softmax"),
    source="Mahankali et al. 2024; Ahn et al. 2023; the exact proof and the k-step polynomial new in this form",
    covers="every n and d, argued in the module; executed at n ≤ 3, d ≤ 2, of these one with noise, one with unequal "
    "variances, one with both; d = 1, n = 1, 2, 5: all stationary points; k steps of best sizes for d = 1, every n, k ≤ 3, "
    "from E s^k, which is executed for n, k ≤ 3",
    controls={
        "the step n/(n + d)": {"steps": other_step},
        "the noise forgotten": {"steps": quiet_step},
        "Laguerre with another parameter": lambda: prove_laguerre(2, 1),
        "points with a fourth moment of 2, not 3": lambda: prove_minimiser(2, [ONE], Fraction(0), law=Lighter),
        "a law with other fourth moments": {"law": Lighter},
        "E s² twice too large": lambda: prove_moments(of_points=doubled_second),
    },
)
def linear_attention(size: Size, steps: Steps = best_steps, law: Law = Gaussian) -> Evidence:
    prove_moments(law)
    cases = [
        (1, [ONE], Fraction(0)), (2, [ONE], Fraction(0)), (3, [ONE], Fraction(0)), (2, [ONE], Fraction(1, 2)),
        (1, [ONE, ONE], Fraction(0)), (2, [ONE, ONE], Fraction(0)), (3, [ONE, ONE], Fraction(0)),
        (1, [ONE, TWO], Fraction(0)), (2, [ONE, TWO], Fraction(1, 2)),
    ]  # fmt: skip
    least = {}
    for n_points, variances, noise in cases:
        name = f"n={n_points}, Λ=diag({', '.join(map(str, variances))}), σ²={noise}"
        least[name] = str(prove_minimiser(n_points, variances, noise, steps, law))
    for n_points in (1, 2, 5):
        prove_no_spurious(n_points)
    prove_factored(2, 1)
    prove_factored(1, 2)
    for k in (1, 2, 3):
        prove_laguerre(k)
    return Evidence(
        "executed: the moments, up to degree six, from the generating function; "
        f"F'(M*) = 0 and F convex at {len(cases)} sizes; L(p, q) = F(sym(p ⊗ q)) at two; no "
        "spurious minimum at d = 1, n = 1, 2, 5; the k-step polynomials "
        "for every n, k ≤ 3, d = 1, real and distinct roots at n = 4. Argued: every n, d, Λ, σ²; E s^k for every n, k",
        "Q[M], Q(n)[s]",
        "python-flint; SymPy for Laguerre polynomials",
        least,
    )
