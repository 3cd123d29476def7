"""Spurious local minima of the population loss, as explicit weights: what Thm. 4.1 must exclude.

Each is certified apart from the classification engine: the gradient vanishes on a family of points of
dimension d, the Hessian at the point is positive semidefinite with a kernel of dimension d (Morse–Bott: the loss grows
quadratically across the family), and the loss there is positive while 0 is its infimum.

* A. Square, a layer with one unit (iu + p)(gu + q): i = g = 0 and pq > 1, loss 2.
* B. Square, operator, two rows: W = H = 0, B1_n B2_n = 1, |B1_0| ≠ |B1_1|, loss 4.
* C. Linear, operator, target u_1 + c u_2: W = B2 = 0, B1 H = 1, loss c²; a minimum for c² < 2/3, a strict saddle for c² > 2/3.
* D. Multiply, a layer with one unit: ((u_1 + u_2)/2 + β)((u_1 + u_2)/2 − β) for β² > 1/2, loss 1/2.
* E. Multiply, operator, two rows (new): W = H_0 = 0, B1 = (1, 0), B2_0 = 0 and H_1² + B2_1² > 4, loss 2: one row's gate
  and the other's convolution are shut.
* F. Square of two channels, a layer of width 2 with shared units (new): unit 1 is (iu_0 + p)(−(q/p)iu_0 + q), which sees u_0
  alone, unit 0 is u_0², and Out makes u_0² and a constant of them, loss 2, at pq = 3, i = 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import flint
import numpy as np
import sympy
from sympy.polys.domains import FractionField
from sympy.polys.fields import FracElement

from precls_theory.landscape import targets
from precls_theory.landscape.moments import Gaussian
from precls_theory.landscape.population_loss import Loss, SymbolicModel, population_loss
from precls_theory.landscape.problems import landscape, without_bias
from precls_theory.proofs.symbolic import array_of
from precls_theory.registry import Evidence, Refuted, Size, theorem

R = sympy.Rational
Scalar: TypeAlias = int | sympy.Expr


@dataclass(frozen=True, eq=False)
class Family:
    """Points of a loss, weight by weight in parameters, and the parameters at which the Hessian is taken."""

    name: str
    loss: Loss
    parameters: tuple[sympy.Symbol, ...]
    point: dict[str, sympy.Expr]
    at: dict[sympy.Symbol, Scalar]


def prove_minimum(family: Family) -> Fraction:
    """A local minimum at positive loss; returns the loss. :class:`Refuted` says what fails."""
    rationals = sympy.QQ.frac_field(*family.parameters)
    values = [rationals.from_sympy(family.point[name]) for name in family.loss.names]
    for name, slope in zip(family.loss.names, family.loss.gradient, strict=True):
        value = substitute(slope, values, rationals)
        if value:
            raise Refuted(f"{family.name}: the derivative in {name} is {value} on the family, not 0")
    along = rationals.to_sympy(substitute(family.loss.polynomial, values, rationals))
    if along.free_symbols or not along > 0:
        raise Refuted(f"{family.name}: the loss is {along}, not a positive constant")
    full = [sympy.Rational(family.point[name].subs(family.at)) for name in family.loss.names]
    jacobian = sympy.Matrix([
        [sympy.diff(family.point[name], parameter).subs(family.at) for parameter in family.parameters]
        for name in family.loss.names
    ])  # fmt: skip
    dimension = jacobian.rank()
    shown = {"point": {name: str(value) for name, value in zip(family.loss.names, full, strict=True)}}
    at = [flint.fmpq(int(value.p), int(value.q)) for value in full]
    size = len(at)
    hessian = flint.fmpq_mat(size, size, [entry(*at) for entry in family.loss.hessian.flat])
    coefficients = hessian.charpoly().coeffs()[::-1]  # 1, −e_1, e_2, …
    symmetric = [(-1) ** k * value for k, value in enumerate(coefficients)][1:]
    rank = max((k for k, value in enumerate(symmetric, start=1) if value != 0), default=0)
    if any(value < 0 for value in symmetric):
        raise Refuted(f"{family.name}: the Hessian has a negative eigenvalue", shown)
    if size - rank != dimension:
        raise Refuted(
            f"{family.name}: the kernel of the Hessian has dimension {size - rank}, the family {dimension}", shown
        )
    return Fraction(int(along.p), int(along.q))


def substitute(polynomial: flint.fmpq_mpoly, values: Sequence[FracElement], rationals: FractionField) -> FracElement:
    """A polynomial of python-flint at rational functions."""
    total = rationals.zero
    for monomial, coefficient in polynomial.to_dict().items():
        term = rationals.from_sympy(sympy.Rational(int(coefficient.p), int(coefficient.q)))
        for value, exponent in zip(values, map(int, monomial), strict=True):
            if exponent:
                term = term * value**exponent
        total = total + term
    return total


def of(loss: Loss) -> tuple[sympy.Expr, dict[str, sympy.Symbol], tuple[sympy.Symbol, ...]]:
    symbols = tuple(sympy.Symbol(name) for name in loss.names)
    return loss.sympy(), dict(zip(loss.names, symbols, strict=True)), symbols


def family(
    name: str,
    loss: Loss,
    point: Mapping[str, Scalar],
    parameters: Sequence[sympy.Symbol],
    at: dict[sympy.Symbol, Scalar],
) -> Family:
    """A family in the weights of a loss; weights that are not named are zero."""
    full = {key: sympy.sympify(point.get(key, 0)) for key in loss.names}
    return Family(name, loss, tuple(parameters), full, at)


s, p, q, b, c, i, k, m, n = sympy.symbols("s p q b c i k m n")
TWO_THIRDS = R(2, 3)


def case_a(pq: int | Fraction = 3) -> Family:
    (problem,) = landscape("square", "layer").parts
    return family(
        "A", problem.loss, {"p_0": p, "q_0": q}, (p, q), {p: 1, q: R(Fraction(pq).numerator, Fraction(pq).denominator)}
    )


def case_b(second: int = 2) -> Family:
    (problem,) = landscape("square", rows=2).parts
    point = {"B1_0": p, "B2_0": 1 / p, "B1_1": q, "B2_1": 1 / q}
    return family("B", problem.loss, point, (p, q), {p: 1, q: second})


def case_c(coefficient: Fraction = Fraction(4, 5)) -> Family:
    problem = landscape("linear", channels=2, coefficient=coefficient).parts[0]
    return family("C", problem.loss, {"B1_0": p, "H_0": 1 / p}, (p,), {p: 1})


def case_d(beta: Scalar = 1) -> Family:
    """β and the scaling s are the parameters."""
    (problem,) = landscape("multiply", "layer", channels=2).parts
    half = R(1, 2)
    point = {
        "in_0_0": s * half, "in_0_1": s * half, "p_0": s * b,
        "gate_0_0": half / s, "gate_0_1": half / s, "q_0": -b / s,
    }  # fmt: skip
    return family("D", problem.loss, point, (s, b), {s: 1, b: beta})


def case_e(shift: Scalar = 3) -> Family:
    problem = landscape("multiply", channels=2, rows=2).parts[1]
    return family("E", problem.loss, {"B1_0": s, "H_1": m, "B2_1": n}, (s, m, n), {s: 1, m: 0, n: shift})


def shared_square() -> Loss:
    """Square of two channels by a layer of width 2, one row, Out included, both output biases at their best values."""

    def apply(w: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
        hidden = []
        for h in range(2):
            left = w["in"][h][0] * u[0, 0] + w["in"][h][1] * u[0, 1] + w["p"][h]
            right = w["gate"][h][0] * u[0, 0] + w["gate"][h][1] * u[0, 1] + w["q"][h]
            hidden.append(left * right)
        outputs = [w["out"][k][0] * hidden[0] + w["out"][k][1] * hidden[1] + w["bias"][k] for k in range(2)]
        return array_of(outputs, (1, 2))

    shapes = {"out": (2, 2), "in": (2, 2), "p": (2,), "gate": (2, 2), "q": (2,), "bias": (2,)}
    loss = population_loss(SymbolicModel(shapes, 1, 2, apply), targets.square, Gaussian())
    return without_bias(without_bias(loss, "bias_0"), "bias_1")


def case_f(constant: Scalar = 3) -> Family:
    """Eight parameters: s, b, k of unit 0, i, p, q of unit 1, and Out (m, n) of unit 1; the rest of Out follows."""
    minus = -q * i / p
    point = {
        "in_0_0": s, "gate_0_0": b, "p_0": k, "q_0": -b * k / s,
        "in_1_0": i, "gate_1_0": minus, "p_1": p, "q_1": q,
        "out_0_1": m, "out_1_1": n, "out_0_0": (1 - m * i * minus) / (s * b), "out_1_0": -n * i * minus / (s * b),
    }  # fmt: skip
    at = {s: 1, b: 1, k: 0, i: 1, p: 1, q: constant, m: 0, n: 1}
    return family("F", shared_square(), point, (s, b, k, i, p, q, m, n), at)


def prove_threshold_c(threshold: Scalar = TWO_THIRDS) -> None:
    """At case C's point the Hessian, for every c, is indefinite for c² above the threshold and definite (off the scaling) below.

    In the slice B1 = 1 the eigenvalues' elementary symmetric functions are polynomials in c²; the last is the
    determinant, and below its zero all are positive.
    """
    base = landscape("linear", channels=2, coefficient=Fraction(1)).parts[0].loss
    zero = landscape("linear", channels=2, coefficient=Fraction(0)).parts[0].loss
    expression, symbols, weights = of(base)
    # The loss is quadratic in the target's coefficient c, with c² E u_2² = c²: interpolate between c = 0 and c = 1.
    at_zero = zero.sympy()
    loss = sympy.expand(at_zero + c * (expression - at_zero - 1) + c**2)
    slice_weights = [weight for weight in weights if str(weight) != "B1_0"]
    point = {symbol: int(key in ("B1_0", "H_0")) for key, symbol in symbols.items()}
    hessian = sympy.hessian(loss, slice_weights).subs(point)
    x = sympy.Symbol("x")
    symmetric = [sympy.expand((-1) ** k * value) for k, value in enumerate(hessian.charpoly(x).all_coeffs())][1:]
    square = sympy.Symbol("C", nonnegative=True)
    in_square = [sympy.Poly(sympy.expand(value).subs(c, sympy.sqrt(square)), square) for value in symmetric]
    determinant = in_square[-1]
    if determinant.degree() != 1 or sympy.solve(determinant.as_expr(), square) != [threshold]:
        raise Refuted(
            f"the determinant of the Hessian is {determinant.as_expr()} in C = c², zero elsewhere than at {threshold}"
        )
    if determinant.eval(0) <= 0:
        raise Refuted("the determinant is not positive below the threshold")
    for value in in_square:
        if any(sympy.Interval.Ropen(0, threshold).contains(root) == True for root in sympy.real_roots(value)):  # noqa: E712
            raise Refuted(f"{value.as_expr()} changes its sign below the threshold")
        if value.eval(0) <= 0:
            raise Refuted(f"{value.as_expr()} is not positive at c = 0")


@theorem(
    id="landscape-spurious",
    title="Spurious local minima exist for Square, Linear and Multiply: six families of explicit weights",
    statement=r"L=2\ (A),\ 4\ (B),\ c^2\text{ for }c^2<\tfrac23\ (C),\ \tfrac12\ (D),\ 2\ (E),\ 2\ (F)",
    hypotheses=("u ~ N(0, I)", "the sizes named in the module"),
    source="new: the points that a hypothesis of Thm. 4.1 of Liu et al. 2025 must exclude",
    covers="each family at one point by its exact Hessian, C's threshold for every c",
    controls={
        "A with pq = 1/2": lambda: prove_minimum(case_a(Fraction(1, 2))),
        "A at the border pq = 1": lambda: prove_minimum(case_a(1)),
        "B with equal rows": lambda: prove_minimum(case_b(1)),
        "C with c = 9/10": lambda: prove_minimum(case_c(Fraction(9, 10))),
        "C's threshold at 1/2": lambda: prove_threshold_c(R(1, 2)),
        "D with β = 1/2": lambda: prove_minimum(case_d(R(1, 2))),
        "E with B2_1 = 1": lambda: prove_minimum(case_e(1)),
        "F with pq = −3": lambda: prove_minimum(case_f(-3)),
    },
)
def spurious_minima(size: Size) -> Evidence:
    expected = {"A": 2, "B": 4, "C": Fraction(16, 25), "D": Fraction(1, 2), "E": 2, "F": 2}
    losses = {}
    for case in (case_a(), case_b(), case_c(), case_d(), case_e(), case_f()):
        losses[case.name] = prove_minimum(case)
        if losses[case.name] != expected[case.name]:
            raise Refuted(f"case {case.name} has loss {losses[case.name]}, not {expected[case.name]}")
    prove_threshold_c()
    return Evidence(
        "executed: gradient on each family with its parameters symbols, exact Hessian at one point of each, the threshold "
        "of C for every c. Argued: Morse–Bott (semidefinite, kernel = tangent space, hence a local minimum)",
        "Q[parameters]",
        "python-flint; SymPy for rational functions and C's threshold",
        {name: str(value) for name, value in losses.items()},
    )
