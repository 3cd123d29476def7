"""Curves of descent: found where there is one, not where there is none, at the order and rate that they have."""

from __future__ import annotations

from fractions import Fraction

import flint
import pytest

from precls_theory.landscape.descent import Descent, along, find_descent, kernel, solve_in_range

CONTEXT = flint.fmpq_mpoly_ctx.get(("x", "y"), "degrevlex")
X, Y = CONTEXT.gens()


def found(polynomial: flint.fmpq_mpoly) -> Descent | None:
    """From the origin, where the gradient vanishes."""
    gradient = [polynomial.derivative(index) for index in range(2)]
    entries = [slope.derivative(index)(0, 0) for slope in gradient for index in range(2)]
    return find_descent(polynomial, gradient, flint.fmpq_mat(2, 2, entries), [flint.fmpq(0)] * 2)


@pytest.mark.parametrize(
    ("polynomial", "order"),
    [
        (X**3 + Y**2, 3), (Y**2 - X**4, 4), (Y**2 - X**5, 5), (X**2 * Y - Y**3 + X**4, 3),
        (Y**2 + Y * X**2 + X**4 / 5, 4),  # along y = 0 it grows: the curve must bend to y = −x²/2
    ],
)  # fmt: skip
def test_a_descent_is_a_descent(polynomial: flint.fmpq_mpoly, order: int) -> None:
    curve = found(polynomial)
    assert curve is not None
    assert curve.order == order
    change = along(polynomial, curve.curve)
    assert [change[k] for k in range(order)] == [0] * order
    assert Fraction(int(change[order].p), int(change[order].q)) == -curve.rate < 0


@pytest.mark.parametrize("polynomial", [X**4 + Y**2, Y**2 + Y * X**2 + X**4 / 3, X**2 + Y**2])
def test_a_minimum_has_none(polynomial: flint.fmpq_mpoly) -> None:
    assert found(polynomial) is None


def test_a_curve_is_shown_weight_by_weight() -> None:
    curve = found(Y**2 + Y * X**2 + X**4 / 5)
    assert curve is not None
    assert curve.describe(["x", "y"]) == {"x": "t", "y": "-1/2*t^2"}


def test_kernels_and_solutions() -> None:
    matrix = flint.fmpq_mat(2, 2, [1, 2, 2, 4])
    (vector,) = kernel(matrix)
    assert vector == [-2, 1]
    assert solve_in_range(matrix, [flint.fmpq(3), flint.fmpq(6)]) == [3, 0]
    assert solve_in_range(matrix, [flint.fmpq(3), flint.fmpq(7)]) is None
