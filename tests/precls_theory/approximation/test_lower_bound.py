"""Lower bounds of the error of polynomials: against cases that are known exactly, and never above an error attained."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

import constructions as C
from precls_theory.approximation.lower_bound import best_error_below, excludes_depth

x = sp.Symbol("x")
UNIT = (Fraction(-1), Fraction(1))


@pytest.mark.parametrize("degree", [0, 1, 2, 5, 9])
def test_the_next_power_is_missed_by_what_chebyshev_says(degree: int) -> None:
    # The best polynomial of degree d misses x^(d+1) by exactly 2^-d.
    found = best_error_below(x ** (degree + 1), x, UNIT, degree)
    exact = Fraction(1, 2**degree)
    assert exact * (1 - Fraction(1, 2**50)) < found <= exact


def test_polynomials_of_that_degree_are_not_excluded() -> None:
    for expr in (sp.Integer(3), x**4 - x / 3, (x - 1) ** 6):
        assert best_error_below(expr, x, (Fraction(-2), Fraction(5)), 6) < Fraction(1, 10**60)


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4))
def test_no_polynomial_does_better(coefficients: list[float]) -> None:
    below = best_error_below(sp.exp(x), x, UNIT, 3)
    points = np.linspace(-1, 1, 4001)
    best = np.polynomial.chebyshev.chebinterpolate(np.exp, 3) + 1e-3 * np.array(coefficients)
    miss = np.abs(np.polynomial.chebyshev.chebval(points, best) - np.exp(points)).max()
    assert float(below) <= miss * (1 + 1e-6)
    assert float(below) > 0.98 * 0.005474  # the second coefficient after the last: 2 I_4(1) = 0.005474…


def test_even_functions_are_bounded_through_the_next_degree() -> None:
    assert best_error_below(sp.cos(x), x, UNIT, 4) > Fraction(1, 10**5)  # λ_5 of an even function is zero, λ_6 is not
    assert best_error_below(sp.cos(x), x, UNIT, 4) == best_error_below(sp.cos(x), x, UNIT, 5)


def test_a_network_is_never_below_the_bound_of_its_degree() -> None:
    f = sp.exp(sp.sin(3 * x))
    network = C.approximate(f, {x: UNIT}, 1e-6)
    assert network.error_bound >= best_error_below(f, x, UNIT, network.degree)


def test_depth_is_excluded_only_where_the_degree_of_the_layers_is_too_low() -> None:
    f, error = sp.exp(sp.sin(3 * x)), Fraction(1, 10**12)
    network = C.approximate(f, {x: UNIT}, error)
    assert excludes_depth(f, x, UNIT, network.depth - 1, error)
    assert not excludes_depth(f, x, UNIT, network.depth, error)


def test_other_intervals_and_bad_input() -> None:
    half = best_error_below(x**3, x, (Fraction(0), Fraction(1)), 2)
    assert math.isclose(half, 1 / 32)  # 2^-2 · (1/2)^3
    for degree, interval in ((-1, UNIT), (3, (Fraction(1), Fraction(1)))):
        with pytest.raises(ValueError, match="low < high"):
            best_error_below(x, x, interval, degree)
    with pytest.raises(ValueError, match="could not be enclosed"):
        best_error_below(1 / x, x, UNIT, 3)
