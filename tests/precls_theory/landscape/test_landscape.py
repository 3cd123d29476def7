"""The parts of the engine on small systems whose answers are known by hand."""

import flint
import numpy as np
import pytest

from precls_theory.landscape.ideals import TooLarge, groebner, vanishing_monomials, varieties
from precls_theory.landscape.positivity import is_never_positive
from precls_theory.landscape.roots import at_root, real_roots, sign_at
from precls_theory.landscape.signature import Signature, elementary_symmetric
from precls_theory.landscape.strata import Graph, Points, strata


def ring(names):
    context = flint.fmpz_mpoly_ctx.get(tuple(names.split()), "degrevlex")
    return context, context.gens()


def all_strata(generators, context):
    return [s for v in varieties(generators, context) if v.no_real_point is None for s in strata(v)]


def test_a_product_splits_and_a_sum_of_squares_has_no_real_point():
    context, (x, y) = ring("x y")
    found = varieties([x * y * (x**2 + 1)], context)
    assert sorted(str(v.basis[0]) for v in found if v.no_real_point is None) == ["x", "y"]
    assert [str(v.no_real_point) for v in found if v.no_real_point is not None] == ["x^2 + 1"]


def test_a_sum_of_squares_of_monomials_is_followed_into_its_real_zeros():
    context, (x, y, z) = ring("x y z")
    (found,) = varieties([x**2 * y**2 + 3 * z**2, x - 1], context)
    assert sorted(map(str, found.basis)) == ["x - 1", "y", "z"]
    mixed = [x**2 - y**2, x**2 + 2 * x * y + 3 * y**2, x**2 + y**2 + 1, x**4]
    assert [len(vanishing_monomials(polynomial)) for polynomial in mixed] == [0, 0, 3, 0]  # 1 is a monomial: no zeros


def test_inconsistent_equations_have_no_varieties():
    context, (x, y) = ring("x y")
    assert varieties([x * y - 1, x], context) == []


def test_points_of_a_circle_and_a_line_are_found_exactly():
    context, (x, y) = ring("x y")
    (found,) = all_strata([x**2 + y**2 - 1, x - y], context)
    assert isinstance(found, Points)
    assert found.modulus.degree() == 2
    values = sorted(at_root(found.values[0], found.modulus, k) for k in range(len(found.roots())))
    assert np.allclose(values, [-(0.5**0.5), 0.5**0.5], atol=1e-15)


def test_multiple_points_are_found_once():
    context, (x, y) = ring("x y")
    (found,) = all_strata([(x - 1) ** 2 * 1 + 0 * y, y**3], context)
    assert found.is_rational
    assert found.rational_point() == {"x": 1, "y": 0}


def test_a_hyperbola_is_a_graph_without_the_zero_of_its_denominator():
    context, (x, y) = ring("x y")
    (graph,) = all_strata([x * y - 1], context)
    assert isinstance(graph, Graph)
    rational = flint.fmpq_mpoly_ctx.get(("x", "y"), "degrevlex")
    assert not graph.substitute(rational.from_dict({(1, 1): 1, (0, 0): -1}))
    assert str(graph.denominator) in ("x", "y")


def test_a_line_over_the_zero_of_a_denominator_is_not_lost():
    context, (x, y, z) = ring("x y z")
    # x z = y and x (y − x) = 0: the graph y = x, z = 1, and over x = 0 the line y = 0 with z free.
    points = all_strata([x * z - y, x * (y - x)], context)
    on_line = [s for s in points if isinstance(s, Graph) and s.point([flint.fmpq(5)])["x"] == 0]
    assert on_line
    assert on_line[0].point([flint.fmpq(5)])["y"] == 0


def test_systems_beyond_the_limits_are_refused(monkeypatch):
    context, (x, y, z) = ring("x y z")
    monkeypatch.setattr("precls_theory.landscape.ideals.LIMITS", (3, 3, 3))
    with pytest.raises(TooLarge):
        groebner([x**3 * y - z**2 + 7, y**3 * z - x + 5, z**3 * x - y**2 + 11], context)


def test_signatures_are_those_of_the_eigenvalues():
    rng = np.random.default_rng(0)
    for _ in range(20):
        size = int(rng.integers(1, 6))
        half = rng.integers(-2, 3, size=(size, int(rng.integers(1, size + 1))))
        matrix = half @ np.diag(rng.choice([-1, 1], half.shape[1])) @ half.T
        entries = np.array([[flint.fmpq(int(e)) for e in row] for row in matrix], dtype=object)
        symmetric = elementary_symmetric(entries, flint.fmpq(1))
        signature = Signature.of_signs([(e > 0) - (e < 0) for e in symmetric])
        eigenvalues = np.linalg.eigvalsh(matrix.astype(float))
        assert signature == Signature(
            int((eigenvalues < -1e-9).sum()), int((abs(eigenvalues) <= 1e-9).sum()), int((eigenvalues > 1e-9).sum())
        )


def test_signs_of_algebraic_numbers_are_exact():
    modulus = flint.fmpq_poly([-2, 0, 1])
    assert [float(root.mid()) for root in real_roots(modulus)] == pytest.approx([-(2**0.5), 2**0.5])
    assert sign_at(flint.fmpq_poly([-2, 0, 1]), modulus, 1) == 0
    tiny = flint.fmpq_poly([flint.fmpq(-14142135623730950488016887242096980785696718753769, 10**49), 1])
    assert sign_at(tiny, modulus, 1) == 1
    assert sign_at(tiny, modulus, 0) == -1


def test_polynomials_that_are_never_positive_are_told_by_their_factors():
    context = flint.fmpq_mpoly_ctx.get(("x", "y"), "degrevlex")
    x, y = context.gens()
    never = [-(x**2) - y**2, -((x - y) ** 2) * (x**2 + 1), (x - y) ** 2 * (-(y**2) - 3), context.constant(-2)]
    sometimes = [x, -x * y, -(x**2) + y**2, (x - y) ** 2, context.constant(0), context.constant(1), -((x - y) ** 3)]
    assert all(is_never_positive(polynomial) for polynomial in never)
    assert not any(is_never_positive(polynomial) for polynomial in sometimes)
