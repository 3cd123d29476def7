"""Scalar Square: three stationary sets, in the open.

For ``(wu + b₁)(hu + b₂)`` and u ~ N(0, 1) the error is ``(wh − 1)(u² − 1) + (wb₂ + hb₁) u + (wh − 1 + b₁b₂)``, whose
three parts are orthogonal, with mean squares 2, 1, 1. Hence the loss, and from its gradient three sets: the weights
that are Square (loss 0), the constant models of the right value (loss 2), the origin (loss 3). This is what the
hypothesis of Thm. 4.1 must exclude. The proof here is SymPy's alone; the engine of :mod:`precls_theory.landscape` must
find the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import sympy

from precls_theory.landscape import classify, landscape, operator_model, population_loss, targets
from precls_theory.registry import Evidence, Refuted, Size, theorem

W, H, B1, B2 = sympy.symbols("w h b1 b2")
LOSS = 3 * (W * H - 1) ** 2 + (W * B2 + H * B1) ** 2 + B1**2 * B2**2 + 2 * (W * H - 1) * B1 * B2
SETS: tuple[tuple[tuple[sympy.Expr, ...], int], ...] = (
    ((W * H - 1, B1, B2), 0),
    ((W, H, B1 * B2 - 1), 2),
    ((W, H, B1, B2), 3),
)
LONGEST_POWER = 4


def prove_loss(formula: sympy.Expr = LOSS) -> None:
    """The population loss of the operator on Square is this formula."""
    names = {"W_0_0": W, "H_0_0": H, "B1_0_0": B1, "B2_0_0": B2}
    found = population_loss(operator_model(1, 1), targets.square).sympy().subs(names)
    if sympy.expand(found - formula) != 0:
        raise Refuted(f"the loss is {sympy.factor(found)}, not {formula}", {"loss": str(sympy.expand(found))})


def prove_sets(
    loss: sympy.Expr, symbols: Sequence[sympy.Symbol], sets: Sequence[tuple[Sequence[sympy.Expr], sympy.Expr]]
) -> None:
    """The stationary points of a polynomial are the union of these sets, with these values; over C.

    Every derivative is in the ideal of each set, and the loss is its value modulo it. Conversely every product of one
    equation from each set has a power in the ideal of the derivatives, so where these vanish one set's equations all
    do: if each set had an equation that is not zero at a stationary point, their product would not be.
    """
    gradient = [sympy.diff(loss, symbol) for symbol in symbols]
    for equations, value in sets:
        basis = sympy.groebner(list(equations), *symbols, order="grevlex")
        for name, member in [*zip(symbols, gradient, strict=True), ("loss", loss - value)]:
            rest = basis.reduce(sympy.expand(member))[1]
            if rest != 0:
                raise Refuted(f"on {equations} the {name} (derivative, or loss − {value}) is {rest}, not 0")
    ideal = sympy.groebner(gradient, *symbols, order="grevlex")
    for chosen in itertools.product(*(equations for equations, _ in sets)):
        product = sympy.Mul(*dict.fromkeys(chosen))
        if not any(ideal.contains(sympy.expand(product**power)) for power in range(1, LONGEST_POWER + 1)):
            raise Refuted(
                f"no power up to {LONGEST_POWER} of {product} is in the ideal of the derivatives: "
                "there may be stationary points outside these sets",
                {"product": str(product)},
            )


def prove_descent(order: int = 4, rate: int = 6) -> None:
    """From w = h = 0, b₁b₂ = 1: along ``w = t b₁, h = t b₂, b₂ → b₂(1 − 3t²)`` the loss is ``2 − 6t⁴ + …``."""
    t, b = sympy.symbols("t b", nonzero=True)
    along = LOSS.subs({W: t * b, H: t / b, B1: b, B2: (1 - 3 * t**2) / b}, simultaneous=True)
    change = sympy.Poly(sympy.expand(along - 2), t)
    first = min(monomial[0] for monomial in change.monoms())
    if (first, change.coeff_monomial(t**first)) != (order, -rate):
        raise Refuted(f"the loss along the curve is 2 + {change.as_expr()}", {"change": str(change.as_expr())})


def prove_engine(expected: Sequence[tuple[str, int, int]]) -> None:
    """The classification finds (kind, dimension, loss) as listed, and calls itself complete."""
    (problem,) = landscape("square").parts
    result = classify(problem)
    found = sorted((c.kind, c.dimension, str(c.loss)) for c in result.components)
    wanted = sorted((kind, dimension, str(loss)) for kind, dimension, loss in expected)
    if found != wanted or not result.complete:
        raise Refuted(
            f"the classification is {found}, complete: {result.complete}", {"found": [list(f) for f in found]}
        )


KINDS = (("global minimum", 1, 0), ("degenerate saddle", 1, 2), ("saddle", 0, 3))


@theorem(
    id="landscape-square",
    title="Scalar Square has three stationary sets: loss 0, 2 and 3",
    statement=r"L=3(wh-1)^2+(wb_2+hb_1)^2+b_1^2b_2^2+2(wh-1)b_1b_2;\quad \nabla L=0\iff"
    r"\{wh=1,b=0\}\cup\{w=h=0,b_1b_2=1\}\cup\{0\}",
    hypotheses=("one channel, one row, u ~ N(0,1)", "operator form"),
    source="Liu et al. 2025, Thm. 4.1, whose statement needs a hypothesis that excludes the last two sets: new",
    covers="all complex stationary points; kinds of the real ones; the middle set is a degenerate saddle, 2 − 6t⁴ + …",
    controls={
        "the constant models left out": {"sets": (SETS[0], SETS[2])},
        "the origin left out": {"sets": SETS[:2]},
        "a loss without the cross term": {"formula": LOSS - 2 * (W * H - 1) * B1 * B2},
        "the middle set a strict saddle": lambda: prove_engine((KINDS[0], ("saddle", 1, 2), KINDS[2])),
        "descent of order two": lambda: prove_descent(order=2),
    },
)
def scalar_square(
    size: Size, sets: Sequence[tuple[Sequence[sympy.Expr], sympy.Expr]] = SETS, formula: sympy.Expr = LOSS
) -> Evidence:
    prove_loss(formula)
    prove_sets(LOSS, (W, H, B1, B2), sets)
    prove_descent()
    prove_engine(KINDS)
    return Evidence(
        "executed: the loss, all complex stationary points (ideal membership of powers of products), the descent curve; "
        "the engine's classification agrees",
        "Q[w, h, b1, b2]",
        "SymPy (Gröbner bases); python-flint for the engine",
    )
