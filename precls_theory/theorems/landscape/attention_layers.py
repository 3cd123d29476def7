r"""Two layers of linear attention, d = 1, as far as it goes: steps of gradient descent, and what is better than steps.

Data: a_i ~ N(0, 1), b_i = w a_i, ``s = (1/n) Σ a_i²``. A layer moves tokens and query, ``z ← z + (1/n) Σ_i P z_i (z_iᵀQ z)``.
With ``Q = diag(1, 0)`` and ``P = diag(−γ, −η)`` it multiplies each a by 1 − γs and each residual label by 1 − ηs, and the
prediction after two layers (γ in the first) is wrong by ``−w a_q r(s)``,

    r = (1 − η_1 s)(1 − η_2 s (1 − γ s)²),      loss E r(s)², moments ``E s^k = Π_{i<k} (n + 2i)/n``.                     (*)

**γ = 0: two steps of gradient descent.** The least loss is ``8/((n+2)(n+4))`` for every n, at the two orders of the reciprocal
roots of a Laguerre polynomial r*: it is orthogonal to s·{1, s}, and r* − 1 is in their span, so ``E r*² = E r*``. At n = 1, 2, 5
there is one more stationary point, a strict saddle at two equal steps.

**γ free (GD++, von Oswald et al. 2023).** The two best steps are *not* stationary, for any n: there ``∂L/∂γ = −4 η_1 η_2 E
r* s³`` (for ``E r* s² = 0``), and ``E r* s³ = 8/n²``. So two layers beat two steps. At n = 2 all real stationary points are
three local minima, of losses 0.2001, 0.2005, 0.2168 (two steps: 1/3), and three strict saddles: **two layers have spurious
minima**, one layer has none (``attention.py``, d = 1). The least of the three is global: (A, B, C) = (η_2, η_2γ, η_2γ²)
fills the closed cone B² = AC but for A = B = 0, C ≠ 0. On the cone E r² is coercive: where it is bounded so are the
coefficients of r, hence its reciprocal roots (r(0) = 1), among them η_1, hence A, B, C. And on A = B = 0 all stationary
points have losses above 0.47.

Not shown: that weights outside this family (16 at d = 1) are not better. By the signs of w and of the a's, P and Q off their
diagonals have zero derivatives here; keys from labels (Q_bb) are left out.
"""

from __future__ import annotations

from fractions import Fraction

import sympy

from precls_theory.landscape.attention import (
    Residual,
    attend,
    layers_residual,
    steps_residual,
    two_layers,
    two_layers_at_infinity,
    two_steps,
)
from precls_theory.landscape.classification import classify
from precls_theory.landscape.components import GLOBAL, LOCAL, SADDLE
from precls_theory.proofs.symbolic import array_of, flint_variables, require_equal
from precls_theory.registry import Evidence, Refuted, Size, theorem


def prove_residual(n_points: int, residual: Residual = layers_residual) -> None:
    """(*): the network's prediction is ``w a_q (1 − r(s))``, all of a, w, a_q, η_1, η_2, γ symbols."""
    v = flint_variables(a=(n_points,), w=(1,), query=(1,), eta=(2,), gamma=(1,))
    a, w, query, gamma = v["a"], v["w"][0], v["query"][0], v["gamma"][0]
    eta_1, eta_2 = v["eta"]
    zero, one = v.zeros(1)[0], v.constant(1)[0]
    tokens = array_of([entry for x in a for entry in (x, w * x)], (n_points, 2))
    asked = array_of([query, zero], (2,))
    keys = array_of([one, zero, zero, zero], (2, 2))
    for move, step in ((gamma, eta_1), (zero, eta_2)):
        values = array_of([-move, zero, zero, -step], (2, 2))
        tokens, asked = attend(values, keys, tokens, asked)
    s = (a @ a) * v.constant(Fraction(1, n_points))[0]
    expected = w * query * (1 - residual(s, eta_1, eta_2, gamma))
    require_equal(array_of([-asked[1]], (1,)), array_of([expected], (1,)), f"prediction, n={n_points}", v.ring)


n, s_ = sympy.symbols("n s", positive=True)


def best_residual(shift: int | sympy.Expr = 0) -> sympy.Poly:
    """r*: the Laguerre polynomial ``L_2^{(n/2)}(ns/2)``, 1 at s = 0."""
    polynomial = sympy.expand(sympy.assoc_laguerre(2, n / 2 + shift, n * s_ / 2))
    return sympy.Poly(sympy.cancel(polynomial / polynomial.subs(s_, 0)), s_)


def expectation(polynomial: sympy.Poly) -> sympy.Expr:
    """E of a polynomial of s, for every n."""
    total = sum(
        coefficient * sympy.prod([(n + 2 * i) / n for i in range(degree)])
        for (degree,), coefficient in polynomial.terms()
    )
    return sympy.factor(sympy.cancel(total))


def prove_every_n(shift: int | sympy.Expr = 0, least: sympy.Expr = 8 / ((n + 2) * (n + 4))) -> sympy.Expr:
    """r* is orthogonal to s, s², its mean square is ``8/((n+2)(n+4))``, and ``E r* s³ > 0``; returns the last."""
    best = best_residual(shift)
    power = sympy.Poly(s_, s_)
    for degree in (1, 2):
        if expectation(best * power**degree) != 0:
            raise Refuted(f"r* is not orthogonal to s^{degree}: {expectation(best * power**degree)}")
    if sympy.cancel(expectation(best * best) - least) != 0:
        raise Refuted(f"the least loss is {expectation(best * best)}, not {least}")
    third = expectation(best * power**3)
    top, bottom = sympy.fraction(sympy.together(third))
    if not all(c > 0 for part in (top, bottom) for c in sympy.Poly(sympy.expand(part), n).coeffs()):
        raise Refuted(f"E r* s³ = {third} is not positive for every n > 0 by its coefficients")
    return third


def prove_slope() -> None:
    """∂(E r²)/∂γ at γ = 0 is ``4 η_2 E r s² (1 − η_1 s)``: with ``E r* s² = 0`` it is ``−4 η_1 η_2 E r* s³``."""
    eta_1, eta_2, gamma = sympy.symbols("eta_1 eta_2 gamma")
    r = layers_residual(s_, eta_1, eta_2, gamma)
    slope = sympy.diff(r**2, gamma).subs(gamma, 0)
    straight = steps_residual(s_, eta_1, eta_2)
    if sympy.expand(slope - 4 * eta_2 * straight * s_**2 * (1 - eta_1 * s_)) != 0:
        raise Refuted(f"the slope is {sympy.factor(slope)}")


def prove_steps(n_points: int) -> None:
    """All stationary points of two steps: two global minima and a strict saddle."""
    result = classify(two_steps(n_points))
    kinds = [component.kind for component in result.real]
    if not result.complete or kinds != [GLOBAL, GLOBAL, SADDLE]:
        raise Refuted(f"n={n_points}: complete {result.complete}, kinds {kinds}")


def prove_layers(n_points: int, minima: int = 3) -> dict[str, object]:
    """All stationary points with γ: three minima, of different losses below that of two steps, and three saddles."""
    result = classify(two_layers(n_points))
    found = [component for component in result.real if component.kind == LOCAL]
    losses = sorted(float(component.loss) for component in found if component.loss is not None)
    saddles = [component for component in result.real if component.kind == SADDLE]
    if len(losses) != minima or len(found) + len(saddles) != len(result.real):
        raise Refuted(f"n={n_points}: the kinds are {[component.kind for component in result.real]}")
    if not losses[0] < losses[-1] < 8 / ((n_points + 2) * (n_points + 4)):
        raise Refuted(f"n={n_points}: the minima have the losses {losses}")
    outside = classify(two_layers_at_infinity(n_points))
    beyond = [float(component.loss) for component in outside.real if component.loss is not None]
    if len(beyond) != len(outside.real) or not losses[0] < min(beyond):
        raise Refuted(f"n={n_points}: at infinity the losses are {beyond}, not above {losses[0]}")
    shown = {f"{float(c.loss):.6g}": {name: text[:9] for name, text in c.point.items()} for c in found if c.loss}
    return {"minima": shown, "least at infinity": f"{min(beyond):.6g}"}


@theorem(
    id="landscape-attention-layers",
    title="Two layers of linear attention beat two steps of gradient descent, and have spurious minima",
    statement=r"\min_{\gamma=0}L=\frac{8}{(n+2)(n+4)};\quad \partial_\gamma L=-4\eta_1\eta_2\,\mathbf E\,r^*s^3\ne0;\quad "
    r"r=(1-\eta_1s)(1-\eta_2s(1-\gamma s)^2)",
    hypotheses=(
        "d = 1, a_i, a_q, w ~ N(0, 1), no noise",
        "Q = diag(1, 0), P = diag(−γ, −η_1) in the first layer, diag(0, −η_2) in the second",
    ),
    source="GD++: von Oswald et al. 2023; the losses and the classification new",
    covers="every n: the least loss of two steps, and that it is not stationary with γ; n = 1, 2, 5: all stationary points "
    "of two steps; n = 2: all those with γ; other weights of the two layers are not covered",
    controls={
        "Laguerre with another parameter": lambda: prove_every_n(1),
        "the least loss of one step": lambda: prove_every_n(0, 2 / (n + 2)),
        "the first layer's γ once": {"residual": lambda s, one, two, c: (1 - one * s) * (1 - two * s * (1 - c * s))},
    },
)
def attention_layers(size: Size, residual: Residual = layers_residual) -> Evidence:
    for n_points in (1, 2, 3):
        prove_residual(n_points, residual)
    third = prove_every_n()
    prove_slope()
    for n_points in (1, 2, 5):
        prove_steps(n_points)
    found = prove_layers(2)
    return Evidence(
        f"executed: the residual of the network with all weights symbols, n ≤ 3; for every n the least loss of two steps and "
        f"E r*s³ = {third}; all stationary points of two steps at n = 1, 2, 5, and with γ at n = 2. Argued: E s^k for every n; "
        "that r*, orthogonal to s and s², has the least mean square; coercive on the closed cone, hence the least of the "
        "listed minima is global",
        "Q[a, w, η, γ], Q(n)[s]",
        "python-flint; SymPy for every n",
        found,
    )
