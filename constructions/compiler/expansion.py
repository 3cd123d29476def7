"""SymPy polynomials multiplied out: exponents and coefficients, or the reason why an expression is no polynomial over Q.

FLINT multiplies out, over the tree of the expression: tens of thousands of terms in a fraction of a second, where SymPy's
``Poly`` takes a minute. How many there can be is known before (:func:`size_bound`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Rational
from typing import TYPE_CHECKING

import flint

from constructions.algebra.rationals import as_fraction

if TYPE_CHECKING:
    import sympy as sp

Term = tuple[Sequence[int], str]
"""``[[exponents], "p/q"]``: a term of a polynomial as data."""
MAX_POLYNOMIAL_DEGREE = 1_024
MAX_TERMS = 20_000
"""Most terms of all polynomials together."""


def polynomial_terms(expr: sp.Expr | Rational, symbols: Sequence[sp.Symbol]) -> list[Term]:
    """``[[exponents], "p/q"]`` of a SymPy polynomial, or the reason why it is none, as
    :func:`constructions.compiler.polynomials.compile_polynomials` raises it."""
    import sympy as sp

    from constructions.approximation.expressions import unknown_symbols

    if isinstance(expr, bool) or not isinstance(expr, Rational | sp.Expr):
        raise TypeError(f"expected a SymPy polynomial or an exact number, got {type(expr).__name__}: {expr!r}")
    if not isinstance(expr, sp.Expr):
        expr = sp.Rational(int(expr.numerator), int(expr.denominator))
    if floats := expr.atoms(sp.Float):
        raise TypeError(f"{floats.pop()} is a float, in {_short(expr)}: write an exact number such as Rational(1, 10)")
    if unknown := unknown_symbols(expr, symbols):
        names = ", ".join(map(str, symbols)) or "none"
        raise ValueError(f"{unknown} in {_short(expr)} is not one of the variables ({names})")
    if not expr.is_polynomial(*symbols):
        raise ValueError(f"{_short(expr)} is not a polynomial in {', '.join(map(str, symbols))}: {_reason(expr)}")
    degree, n_terms = size_bound(expr)
    if degree > MAX_POLYNOMIAL_DEGREE:
        raise ValueError(f"the degree must be at most {MAX_POLYNOMIAL_DEGREE}, {_short(expr)} has up to {degree}")
    if n_terms > 10 * MAX_TERMS:
        raise ValueError(
            f"{_short(expr)} may have {n_terms} terms when expanded, the limit is {MAX_TERMS}: "
            "write it as a circuit (constructions.wires)"
        )
    if not all(map(_is_rational_step, sp.preorder_traversal(expr))):
        return _terms_by_sympy(expr, symbols)
    poly = _multiplied_out(expr, symbols)
    if len(poly) > MAX_TERMS:
        raise ValueError(
            f"{_short(expr)} has {len(poly)} terms when expanded, the limit is {MAX_TERMS}: "
            "write it as a circuit (constructions.wires)"
        )
    return [
        (list(map(int, exponents[: len(symbols)])), str(as_fraction("a coefficient", weight)))
        for exponents, weight in poly.to_dict().items()
    ]


def _is_rational_step(part: sp.Expr) -> bool:
    """Is this node of an expression one that :func:`_multiplied_out` takes?"""
    power: bool = part.is_Pow and part.exp.is_Integer and part.exp >= 0
    return power or part.is_Symbol or part.is_Rational or part.is_Add or part.is_Mul


def _multiplied_out(expr: sp.Expr, symbols: Sequence[sp.Symbol]) -> flint.fmpq_mpoly:
    """The polynomial that ``expr`` is, of rational numbers and ``symbols``."""
    names = [f"x{index}" for index in range(max(1, len(symbols)))]
    context = flint.fmpq_mpoly_ctx.get(names, flint.Ordering.lex)
    generators = dict(zip(symbols, context.gens(), strict=False))

    def over(part: sp.Expr) -> flint.fmpq_mpoly:
        if part.is_Symbol:
            return generators[part]
        if part.is_Rational:
            return context.constant(flint.fmpq(int(part.p), int(part.q)))
        if part.is_Pow:
            return over(part.base) ** int(part.exp)
        values = [over(argument) for argument in part.args]
        if part.is_Mul:
            return math.prod(values, start=context.constant(1))
        return _sum(values)

    return over(expr)


def _sum(values: list[flint.fmpq_mpoly]) -> flint.fmpq_mpoly:
    """The sum, halves first: one value after another would copy what is there for every term."""
    while len(values) > 1:
        values = [left + right for left, right in zip(values[::2], values[1::2], strict=False)] + values[
            len(values) & ~1 :
        ]
    return values[0]


def _terms_by_sympy(expr: sp.Expr, symbols: Sequence[sp.Symbol]) -> list[Term]:
    """The terms where numbers such as √2 stand in the expression, which may leave none in its coefficients."""
    import sympy as sp

    # A dummy generator keeps constants within Poly when there are no variables.
    poly = sp.Poly(expr, *(symbols or [sp.Dummy()]))
    if not all(weight.is_Rational for weight in poly.coeffs()):
        weight = next(weight for weight in poly.coeffs() if not weight.is_Rational)
        raise ValueError(f"the coefficient {_short(weight)} in {_short(expr)} is not rational")
    return [
        ([int(e) for e in exponents][: len(symbols)], str(as_fraction("a coefficient", weight)))
        for exponents, weight in poly.terms()
        if weight
    ]


def size_bound(expr: sp.Expr) -> tuple[int, int]:
    """At most these (degree, terms) when expanded, without expanding."""
    import sympy as sp

    if not expr.free_symbols:
        return 0, 1
    parts = [size_bound(part) for part in expr.args if isinstance(part, sp.Expr)]
    if isinstance(expr, sp.Add):
        degree, terms = max(d for d, _ in parts), sum(t for _, t in parts)
    elif isinstance(expr, sp.Mul):
        degree, terms = sum(d for d, _ in parts), math.prod(t for _, t in parts)
    elif isinstance(expr, sp.Pow):
        exponent = int(expr.exp)
        degree = parts[0][0] * exponent
        terms = math.comb(parts[0][1] + exponent - 1, exponent) if degree <= MAX_POLYNOMIAL_DEGREE else 1
    else:
        return 1, 1
    if degree > MAX_POLYNOMIAL_DEGREE:
        return degree, terms
    n_symbols = len(expr.free_symbols)
    return degree, min(terms, math.comb(n_symbols + degree, min(n_symbols, degree)))


def _reason(expr: sp.Expr) -> str:
    import sympy as sp

    for part in sp.preorder_traversal(expr):
        if isinstance(part, sp.Pow) and part.free_symbols:
            if part.exp.free_symbols:
                return f"{_short(part)} has a variable in its exponent"
            if part.exp.is_negative:
                return f"it divides by {_short(part.base)}"
            if not part.exp.is_Integer:
                return f"{_short(part)} is a root"
        elif isinstance(part, sp.Function):
            return f"{_short(part)} is a function (see constructions.approximation.approximate)"
    return "it has other operations than + and ×"


def _short(expr: object) -> str:
    text = str(expr)
    return text if len(text) <= 60 else text[:57] + "…"
