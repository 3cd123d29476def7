"""Polynomials multiplied out by FLINT: the terms that SymPy finds, in its order, and their number before anything is built."""

from __future__ import annotations

import pytest
import sympy as sp

import constructions as C
from constructions.compiler.expansion import MAX_TERMS, polynomial_terms, size_bound

x, y, z, w = sp.symbols("x y z w")


@pytest.mark.parametrize(
    "expr",
    [
        sp.Integer(0),
        sp.Rational(-2, 3),
        (x + y) ** 5 - (x - y) ** 5,
        (x / 3 - 1) * (y + 2) * (x + y * z / 7) ** 3 - x * (x + 1),
        sp.Add(*((i + 1) * x**i * y ** (7 - i) for i in range(8))),
        (sp.sqrt(2) + x) * (sp.sqrt(2) - x),
        sp.Mul(x, x + y, sp.Pow(y, 2, evaluate=False), evaluate=False),
    ],
)
def test_terms_are_those_of_sympy(expr: sp.Expr) -> None:
    poly = sp.Poly(expr, x, y, z)
    expected = [(list(exponents), str(weight)) for exponents, weight in poly.terms() if weight]
    found = polynomial_terms(expr, [x, y, z])
    assert found == expected
    degree, n_terms = size_bound(expr)
    assert all(sum(exponents) <= degree for exponents, _ in found)
    assert len(found) <= n_terms


def test_too_many_terms_are_counted_and_refused_at_once() -> None:
    """SymPy multiplied these out for a minute, and then they were refused."""
    with pytest.raises(
        ValueError, match=f"has 176851 terms when expanded, the limit is {MAX_TERMS}: write it as a circuit"
    ):
        C.compile_polynomials(["(x+y+z+w)**100"])
    assert size_bound((x + y + z + w) ** 100) == (100, 176851)
