"""The search: every candidate computes the polynomials, in the least depth."""

from fractions import Fraction

import sympy as sp

from constructions.compiler.polynomials import expand, polynomial_terms
from constructions.compiler.search import circuits

x, y, z = sp.symbols("x y z")


def test_every_candidate_of_the_search_is_exact():
    exprs = [sp.expand((x + y) ** 5 * z**2 - x * y * z + (x - z) ** 7), x**6 + y**3 * z**4]
    polynomials = [{tuple(e): Fraction(w) for e, w in polynomial_terms(expr, [x, y, z])} for expr in exprs]
    found = circuits(polynomials, ["x", "y", "z"], keep=1_000)
    assert len(found) > 5
    for _, outputs in found:
        assert [{tuple(e): Fraction(w) for e, w in terms} for terms in expand(outputs)] == polynomials
        assert max(wire.depth for wire in outputs) <= 3
