"""The fourth order across a curve of stationary points whose Hessian has one null direction too many.

Let x(τ) be stationary points with semidefinite Hessians whose kernels have dimension two: the tangent, and v(τ). Fix
the free weight of the graph at τ; in the remaining weights the kernel is a line, spanned by v(τ), and by the splitting
lemma with parameters (Gromoll–Meyer) the loss is, in coordinates that depend smoothly on τ, a nondegenerate quadratic
form plus a function φ(τ, s) = a_3(τ) s³ + a_4(τ) s⁴ + O(s⁵), uniformly near each τ. With a_3 = 0 for all τ, the points
are local minima where a_4 > 0 and saddles where a_4 < 0. Both are read off the curve

    x + s v + s² w,   H w = −½ ∇³L(v, v) in those weights,

which SymPy computes over Q(τ).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flint
import sympy

from precls_theory.landscape.population_loss import as_sympy
from precls_theory.landscape.strata import Graph

if TYPE_CHECKING:
    from precls_theory.landscape.slices import Slice


def normal_quartic(piece: Slice, graph: Graph) -> tuple[flint.fmpq_poly, flint.fmpq_poly] | None:
    """a_4(τ) as numerator and denominator, or None unless the kernel is one line for generic τ and a_3 vanishes."""
    (free,) = graph.free
    tau, s = sympy.Symbol(free), sympy.Symbol("s_")
    moving = [sympy.Symbol(name) for name in piece.moving if name != free]
    denominator = as_sympy(graph.denominator)
    at = {
        sympy.Symbol(name): as_sympy(numerator) / denominator
        for name, numerator in zip(graph.names, graph.numerators, strict=True)
        if name != free
    }
    fixed = {sympy.Symbol(name): value for name, value in piece.chart.fixed.items()}
    base = {symbol: sympy.cancel(at.get(symbol, fixed.get(symbol, 0))) for symbol in moving}
    units = {sympy.Symbol(name): 1 for name in piece.chart.units}
    loss = piece.problem.loss.sympy().subs(units)
    hessian = sympy.hessian(loss, moving).subs(base).applyfunc(sympy.cancel)
    kernel = hessian.nullspace(simplify=True)
    if len(kernel) != 1:
        return None
    direction = kernel[0].applyfunc(sympy.cancel)

    def along(correction: sympy.Matrix) -> sympy.Poly:
        place = {symbol: base[symbol] + s * direction[i] + s**2 * correction[i] for i, symbol in enumerate(moving)}
        return sympy.Poly(sympy.expand(loss.subs(place, simultaneous=True)), s)

    straight = {symbol: base[symbol] + s * direction[i] for i, symbol in enumerate(moving)}
    gradient = sympy.Matrix([
        sympy.cancel(sympy.Poly(sympy.expand(loss.diff(symbol).subs(straight, simultaneous=True)), s).coeff_monomial(s**2))
        for symbol in moving
    ])  # fmt: skip
    if sympy.cancel((direction.T * gradient)[0]) != 0:
        return None  # a cubic term
    unknown = sympy.symbols(f"w_:{len(moving)}")
    solutions = sympy.linsolve((hessian, -gradient), *unknown)
    if not solutions:
        return None
    solution = next(iter(solutions)).subs(dict.fromkeys(unknown, 0))
    series = along(sympy.Matrix(solution))
    if sympy.cancel(series.coeff_monomial(s**3)) != 0:
        return None
    top, bottom = sympy.fraction(sympy.cancel(series.coeff_monomial(s**4)))
    # Where v has a pole its direction is another one there, and a_4 says nothing, finite or not: a root of the denominator.
    poles = sympy.prod([sympy.fraction(entry)[1] for entry in direction]) ** 2
    return _poly(sympy.expand(top * poles), tau), _poly(sympy.expand(bottom * poles), tau)


def _poly(expression: sympy.Expr, tau: sympy.Symbol) -> flint.fmpq_poly:
    coefficients = sympy.Poly(expression, tau).all_coeffs()[::-1]
    return flint.fmpq_poly([flint.fmpq(int(c.p), int(c.q)) for c in map(sympy.Rational, coefficients)])
