"""Thm. 4.1 with hypotheses that make it true, and Read, for which no hypothesis would.

The paper says roughly that a zero population gradient recovers Square and Linear. It does not (``square.py``,
``spurious.py``). For the operator ``(uW + B1) ⊙ (H⋆u + B2)``, u ~ N(0, I):

* *Square and Multiply* (the channel that multiplies): a stationary point with ``H_0 ≠ 0``, the filter's first tap, has
  loss 0. What the hypothesis excludes are constants in u, or products in which the row's own value has no part.
* *Linear* needs more than stationarity: there are saddles with all weights nonzero and irrational losses (1/√3 for the
  identity). A stationary point with ``W ≠ 0`` and *no negative curvature* has loss 0.
* *Read in a layer* with one unit has the least loss 1/2, attained: a unit cannot copy row 0 and keep it (new; the proof
  is the identity of :func:`prove_half`).
* *Read* (row 0 into row 1) has no operator with loss 0, but operators with loss as small as one likes: its infimum is
  not attained, so gradient descent that approaches it sends weights to infinity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import sympy

from precls_theory.landscape.classification import classify, infimum, loss_along
from precls_theory.landscape.components import NO_POINT, SADDLE, Component
from precls_theory.landscape.euler import unseen_channels
from precls_theory.landscape.problems import Problem, TargetName, landscape
from precls_theory.registry import Evidence, Refuted, Size, theorem

Hypothesis = Callable[[Component], bool]
"""Whether a component may have points that satisfy the hypothesis."""


def anything(component: Component) -> bool:
    return True


def first_tap(component: Component) -> bool:
    """``H_0 ≠ 0`` is possible: H_0 is not among the equations."""
    return "H_0" not in component.equations


def curvature(component: Component) -> bool:
    """No negative curvature, and W ≠ 0 is possible."""
    inputs = {name for name in component.point if name.startswith("W_")}
    return component.kind != SADDLE and not inputs <= set(component.equations)


def stationary_with_input(component: Component) -> bool:
    """W ≠ 0 is possible, curvature not asked for."""
    inputs = {name for name in component.point if name.startswith("W_")}
    return not inputs <= set(component.equations)


def is_exact(component: Component) -> bool:
    return component.loss is not None and component.loss.rational == 0


def prove_recovery(
    name: str, problem: Problem, hypothesis: Hypothesis, listed: Hypothesis = anything
) -> dict[str, object]:
    """Every real component on which the hypothesis can hold has loss 0, and there is one: the exact weights.

    Says how many are excluded, with one point. ``listed`` leaves components out, as a faulty classification would.
    """
    result = classify(problem)
    if not result.complete:
        raise Refuted(f"{name}: the classification is not complete")
    components = [component for component in result.components if component.kind != NO_POINT and listed(component)]
    if not any(is_exact(component) and hypothesis(component) for component in components):
        raise Refuted(f"{name}: no component of loss 0 satisfies the hypothesis, and the exact weights do")
    excluded = []
    for component in components:
        if is_exact(component):
            continue
        if hypothesis(component):
            raise Refuted(
                f"{name}: a stationary point of loss {component.loss} satisfies the hypothesis",
                {"kind": component.kind, "point": component.point, "loss": str(component.loss)},
            )
        excluded.append({"kind": component.kind, "loss": str(component.loss), "point": component.point})
    return {"excluded": excluded}


@theorem(
    id="landscape-recovery",
    title="Thm. 4.1 with its hypotheses: when a zero gradient recovers Square, Multiply and Linear",
    statement=r"\nabla L=0,\ H_0\ne0\Rightarrow L=0\ (\text{Square, Multiply});\quad "
    r"\nabla L=0,\ \nabla^2L\succeq0,\ W\ne0\Rightarrow L=0\ (\text{Linear})",
    hypotheses=(
        "operator form, causal, u ~ N(0, I), one output channel at a time: of Multiply the one that multiplies",
        "Square, Multiply: H_0 ≠ 0",
        "Linear: W ≠ 0 and no negative curvature",
    ),
    source="Liu et al. 2025, Thm. 4.1, corrected",
    covers="Square and Multiply with up to two rows and two channels; Linear with two rows, or two channels and target "
    "u_0 + u_1/2; all real stationary points, by the classification",
    controls={
        "no hypothesis": {"product": anything},
        "Linear without the second-order hypothesis": {"line": stationary_with_input},
        "Linear with curvature alone": {"line": lambda component: component.kind != SADDLE},
        "a classification that loses the minima": lambda: prove_recovery(
            "Square", landscape("square").parts[0], first_tap, listed=lambda component: not is_exact(component)
        ),
    },
)
def recovery(size: Size, product: Hypothesis = first_tap, line: Hypothesis = curvature) -> Evidence:
    cases: list[tuple[str, Problem, Hypothesis]] = []
    # Linear first: its controls are then refused soonest.
    for options in ({}, {"channels": 2}, {"rows": 2}):
        cases.append((f"Linear {options}", landscape("linear", **options).parts[0], line))  # type: ignore[arg-type]
    for channels, rows in ((1, 1), (2, 1), (1, 2), (2, 2)):
        cases.append(
            (f"Square D={channels}, N={rows}", landscape("square", "operator", channels, rows).parts[0], product)
        )
    for rows in (1, 2):
        cases.append((f"Multiply N={rows}", landscape("multiply", "operator", 2, rows).parts[1], product))
    found = {name: prove_recovery(name, problem, hypothesis) for name, problem, hypothesis in cases}
    return Evidence(
        f"executed: all real stationary points of {', '.join(found)}; the excluded points are in the detail. Argued: "
        "nothing, so other sizes are open",
        "Q[weights]",
        "python-flint: Gröbner bases, Sturm-type signs by Arb; engine of precls_theory.landscape",
        found,
    )


W, H0, H1, B10, B11, B20, B21 = READ_WEIGHTS = sympy.symbols("W_0 H_0 H_1 B1_0 B1_1 B2_0 B2_1")
HALF = sympy.Rational(1, 2)
READ_ERROR = (
    # Row 0: (W u0 + B1_0)(H_0 u0 + B2_0) − u0; row 1: (W u1 + B1_1)(H_0 u1 + H_1 u0 + B2_1) − u0, by monomials of u.
    W * H0, W * B20 + B10 * H0 - 1, B10 * B20,
    W * H0, W * H1, B11 * H0 + W * B21, B11 * H1 - 1, B11 * B21,
)  # fmt: skip


def prove_never_zero(error: tuple[sympy.Expr, ...] = READ_ERROR) -> None:
    """The coefficients of the error have no common zero, not even a complex one: 1 is in their ideal."""
    basis = sympy.groebner(error, *READ_WEIGHTS, order="grevlex")
    if basis.exprs != [1]:
        raise Refuted(f"the error vanishes where {basis.exprs} do", {"basis": [str(e) for e in basis.exprs]})


def prove_vanishing(curve: Mapping[str, dict[int, Fraction]] | None = None) -> None:
    """Along the curve the loss is ε²."""
    (problem,) = landscape("read", rows=2).parts
    assert problem.vanishing is not None
    value = loss_along(problem, dict(curve) if curve is not None else problem.vanishing)
    if value != {2: Fraction(1)}:
        raise Refuted(f"the loss along the curve is {value}, not ε²", {str(k): str(v) for k, v in value.items()})
    if infimum(problem, ())[0] != 0:
        raise Refuted("the infimum is not recognised")


def prove_error_is_the_loss() -> None:
    """The loss vanishes exactly where these coefficients do: it is a positive combination of their squares' spans.

    By orthogonality of Hermite polynomials: u² = (u² − 1) + 1, so row 0 gives 2 (W H_0)² + (linear)² + (W H_0 + constant)².
    """
    (problem,) = landscape("read", rows=2).parts
    a, b, c, d, e, f, g, h = READ_ERROR
    expected = 2 * a**2 + b**2 + (a + c) ** 2 + 2 * d**2 + e**2 + f**2 + g**2 + (d + h) ** 2
    if sympy.expand(problem.loss.sympy() - expected) != 0:
        raise Refuted("the loss of Read is not this sum of squares", {"loss": str(problem.loss.sympy())})


def detached() -> dict[str, dict[int, Fraction]]:
    """The curve with W = 0 instead of ε: row 0 is then lost."""
    (problem,) = landscape("read", rows=2).parts
    assert problem.vanishing is not None
    return problem.vanishing | {"W_0": {0: Fraction(0)}}


@theorem(
    id="landscape-read",
    title="Read in one operator: the loss has the infimum 0 and no zero",
    statement=r"\inf L=0,\quad L>0;\qquad W=\varepsilon,\ B_{2,0}=1/\varepsilon,\ B_{1,1}=H_1=1:\ L=\varepsilon^2",
    hypotheses=("operator form, two rows, one channel, u ~ N(0, I)", "row 0 is read into row 1"),
    source="new",
    covers="all weights: no zero by Gröbner basis, the infimum by an explicit curve",
    controls={
        "row 1 not read": {"error": (*READ_ERROR[:6], READ_ERROR[6] + 1, READ_ERROR[7])},
        "W = 0 on the curve": lambda: prove_vanishing(detached()),
    },
)
def read_infimum(size: Size, error: tuple[sympy.Expr, ...] = READ_ERROR) -> Evidence:
    prove_error_is_the_loss()
    prove_never_zero(error)
    prove_vanishing()
    return Evidence(
        "executed: the loss as a sum of squares, 1 in the ideal of what is squared, the loss ε² along the curve",
        "Q[weights], Q[ε, 1/ε]",
        "SymPy; python-flint",
    )


A0, A1, P0, P, G, Q = sympy.symbols("a0 a1 p0 P g q")
"""A unit of a layer at two rows, folded: taps times In, the first row's bias, how much less the second's is, the gate."""


def layer_loss() -> sympy.Expr:
    """The loss of Read for one unit with In, filter and biases multiplied out: ``in = 1, b = −P/a1, c = p0 − a0 b``."""
    (problem,) = landscape("read", "layer", rows=2).parts
    names = {name: sympy.Symbol(name) for name in problem.loss.names}
    bias = -P / A1
    values = {
        "in_0_0": 1,
        "b_0": bias,
        "filter_0_0": A0,
        "filter_0_1": A1,
        "c_0": P0 - A0 * bias,
        "gate_0_0": G,
        "q_0": Q,
    }
    found = problem.loss.sympy().subs({names[name]: value for name, value in values.items()}, simultaneous=True)
    return sympy.expand(found)


def prove_half(least: sympy.Expr = HALF) -> None:
    """``(g² + q²)(L − 1/2)`` is a sum of squares, identically, and L = 1/2 is attained.

    Where a1 ≠ 0 or f_1 b = 0 the folded weights describe every unit; they are dense, and L is continuous. Where g = q = 0
    the output is a constant and L = 2.
    """
    loss = layer_loss()
    norm = G**2 + Q**2
    squares = (
        norm * (4 * (A0 * G) ** 2 + (2 * A0 * Q + 2 * P0 * G - 1 - P * G) ** 2 / 2)
        + (P * norm - G) ** 2 / 2 + (A1 * norm - Q) ** 2 + G**2 / 2
    )  # fmt: skip
    if sympy.expand(norm * (loss - least) - squares) != 0:
        raise Refuted(f"(g² + q²)(L − {least}) is not that sum of squares", {"loss": str(loss)})
    (problem,) = landscape("read", "layer", rows=2).parts
    point = dict.fromkeys(problem.loss.names, Fraction(0))
    point |= {"in_0_0": Fraction(1), "filter_0_0": Fraction(1, 2), "filter_0_1": Fraction(1), "q_0": Fraction(1)}
    if problem.loss.at(point) != least:
        raise Refuted(f"the loss is {problem.loss.at(point)} at {point}, not {least}")
    if any(problem.loss.at(dict.fromkeys(problem.loss.names, Fraction(0)) | {"c_0": Fraction(k)}) != 2 for k in (0, 1)):
        raise Refuted("a gate that is zero has not the loss 2")


def prove_channels(channels: int, target: TargetName = "read") -> None:
    """Channels that Read does not see: without them the loss is that of one channel, with them it is no lower.

    With z the weights of these channels, ``z·∂_z L`` is a sum of squares (:mod:`precls_theory.landscape.euler`), so L does
    not decrease as z grows from 0 along a ray; and L at z = 0 is the loss of one channel.
    """
    (problem,) = landscape(target, "layer", channels, 2).parts
    (alone,) = landscape(target, "layer", 1, 2).parts
    try:
        unseen = unseen_channels(problem.loss, channels)
    except ArithmeticError as error:
        raise Refuted(str(error)) from error
    context = alone.loss.polynomial.context()
    generators = dict(zip(alone.loss.names, context.gens(), strict=True))
    at = [context.constant(0) if name in unseen.weights else generators[name] for name in problem.loss.names]
    if problem.loss.polynomial.compose(*at, ctx=context) != alone.loss.polynomial:
        raise Refuted(f"{channels} channels: the loss without the others is not that of one channel")


@theorem(
    id="landscape-read-layer",
    title="Read in a layer with one unit: the least loss is 1/2, attained, at any number of channels",
    statement=r"(g^2+q^2)\,(L-\tfrac12)=\textstyle\sum(\dots)^2,\quad z\cdot\partial_zL=\sum(\dots)^2,\qquad \min L=\tfrac12",
    hypotheses=(
        "a layer with one hidden unit, two rows, u ~ N(0, I)",
        "the output bias at its best value",
    ),
    source="new",
    covers="all weights: an identity of polynomials, density of the folded weights argued; more channels by an identity "
    "executed at two and three",
    controls={
        "1/3": {"least": sympy.Rational(1, 3)},
        "1": {"least": sympy.Integer(1)},
        "channels that the target sees": lambda: prove_channels(2, "linear"),
    },
)
def read_in_a_layer(size: Size, least: sympy.Expr = HALF) -> Evidence:
    prove_half(least)
    for channels in (2, 3):
        prove_channels(channels)
    return Evidence(
        "executed: the identities at one, two and three channels, for folded weights, and the loss 1/2 at a point. Argued: "
        "more channels; that folded weights are dense among all, and the loss continuous",
        "Q[weights]",
        "SymPy; python-flint",
    )
