"""The algebra of a zero-dimensional ideal: its dimension is the number of zeros, its multiplication is that of the ring."""

from __future__ import annotations

import flint
import pytest

from precls_theory.landscape.ideals import Variety, groebner
from precls_theory.landscape.quotient import Quotient, at_matrix

CONTEXT = flint.fmpz_mpoly_ctx.get(("x", "y"), "degrevlex")
X, Y = CONTEXT.gens()
RATIONAL = flint.fmpq_mpoly_ctx.get(("x", "y"), "degrevlex")
A, B = RATIONAL.gens()


def quotient(*generators: flint.fmpz_mpoly) -> Quotient:
    return Quotient(Variety(tuple(groebner(list(generators), CONTEXT)), CONTEXT))


@pytest.mark.parametrize(
    ("generators", "zeros"),
    [((X**2 + Y**2 - 5, X * Y - 2), 4), ((X - 3, Y + 1), 1), ((X**3 - 2, Y - X), 3), ((X**2, Y), 2), ((CONTEXT.constant(1),), 0)],
)  # fmt: skip
def test_the_dimension_counts_zeros_with_multiplicity(generators: tuple[flint.fmpz_mpoly, ...], zeros: int) -> None:
    assert quotient(*generators).algebra().size == zeros


def test_multiplication_is_that_of_the_ring() -> None:
    algebra = quotient(X**2 + Y**2 - 5, X * Y - 2).algebra()
    x, y = algebra.matrices
    zero = flint.fmpq_mat(4, 4)
    identity = at_matrix(flint.fmpq_poly([1]), x)
    assert x * y == y * x
    assert x * x + y * y - identity * flint.fmpq(5) == zero
    assert x * y - identity * flint.fmpq(2) == zero
    assert at_matrix(flint.fmpq_poly([4, 0, -5, 0, 1]), x) == zero  # x⁴ − 5x² + 4: x is ±1 or ±2


def test_normal_forms_know_the_ideal() -> None:
    found = quotient(X**2 + Y**2 - 5, X * Y - 2)
    assert found.normal_form(A**2 + B**2 - 5) == [0] * 4
    assert found.normal_form(A**3 * B) == found.normal_form(2 * A**2)
    assert found.normal_form(A) != found.normal_form(B)


def test_a_form_that_separates_gives_every_variable() -> None:
    algebra = quotient(X**2 + Y**2 - 5, X * Y - 2).algebra()
    values = algebra.in_powers_of(algebra.linear_form([1, 0]))
    assert values is not None
    for root in (1, -1, 2, -2):
        assert [value(flint.fmpq(root)) for value in values] == [root, flint.fmpq(2, root)]
    assert algebra.in_powers_of(algebra.linear_form([1, 1])) is None  # 3 at (1, 2) and at (2, 1)


def test_curves_have_no_such_algebra() -> None:
    with pytest.raises(ValueError, match="not of dimension zero"):
        quotient(X * Y - 2)
