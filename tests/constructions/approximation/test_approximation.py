"""Approximation at the limits of numbers: values too large for floats, tolerances far below them, wide domains."""

from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
import sympy as sp
from flint import arb

import constructions as C
from constructions.approximation.approximate import round_up
from constructions.approximation.ellipses import EXPONENT_LIMIT, log2_above, upper
from precls_theory.approximation.error import chebyshev_error, taylor_error
from precls_theory.checking.check import check

x, y = sp.symbols("x y")


@pytest.mark.parametrize(
    ("f", "domain", "tolerance"),
    [
        (sp.exp(x), {x: (1000, 1001)}, "1e-3"),
        (x**1000, {x: (-2, 2)}, "1e-3"),
        (sp.exp(300) * sp.exp(x + y), {x: (-1, 1), y: (0, 2)}, "1e-3"),
        (sp.exp(700), {x: (-1, 1)}, "1e-3"),
        (sp.exp(sp.sin(3 * x)), {x: (-1, 1)}, "1e-60"),
        (1 / (10**100 + x), {x: (-1, 1)}, "1e-150"),
        (sp.log(10**100 + x), {x: (-1, 1)}, "1e-150"),
        (sp.exp(-(10**30)) * sp.exp(x), {x: (-1, 1)}, "1e-3"),
        (sp.exp(x), {x: (0, 1e-320)}, "1e-3"),
    ],
)  # fmt: skip
def test_large_values_and_small_tolerances_are_proved_twice(f: sp.Expr, domain: dict, tolerance: str) -> None:
    network = C.approximate(f, domain, tolerance)
    assert network.error_bound <= Fraction(tolerance)
    assert chebyshev_error(network, [f]) <= network.error_bound
    assert check(network).ok
    points = [Fraction(i, 7) for i in range(8)]
    at = np.array([[low + t * (high - low) for low, high in network.task.domain] for t in points], dtype=object)
    values = network.decode(network.evaluate(network.encode(at)))[:, 0]
    function = sp.lambdify(list(domain), f, "mpmath")
    with mpmath.workdps(700):
        for point, value in zip(at, map(Fraction, values), strict=True):
            exact = function(*(mpmath.mpf(t.numerator) / t.denominator for t in point))
            error = abs(mpmath.mpf(value.numerator) / value.denominator - exact)
            assert error <= mpmath.mpf(network.error_bound.numerator) / network.error_bound.denominator


def test_taylor_expansions_prove_tiny_bounds() -> None:
    network = C.approximate(sp.exp(x), {x: (-1, 1)}, "1e-45")
    assert taylor_error(network, sp.exp(x)) <= network.error_bound


@pytest.mark.parametrize("domain", [(0, 10**30), (-1e308, 1e308)])
def test_numbers_too_large_to_write_down_are_refused(domain: tuple) -> None:
    """FLINT ends the process when a rational of 10^30 bits is asked for."""
    with pytest.raises(ValueError, match=r"too wide|too large"):
        C.approximate(sp.exp(x), {x: domain}, 1e-3)
    with pytest.raises(ValueError, match="too large"):
        C.approximate(sp.exp(10**30), {x: (0, 1)}, 1e-3)


def test_upper_ends_far_out() -> None:
    huge, tiny = arb(10**30).exp(), arb(-(10**30)).exp()
    with pytest.raises(ValueError, match="could not be enclosed"):
        upper(huge)
    with pytest.raises(ValueError, match="could not be enclosed"):
        upper(arb.nan())
    assert upper(tiny) == Fraction(1, 2**EXPONENT_LIMIT)
    assert upper(arb(0)) == 0
    assert upper(arb(flint.fmpq(-3, 4))) == Fraction(-3, 4)


def test_logarithms_and_rounding_beyond_floats() -> None:
    assert log2_above(Fraction(1, 2**5000)) == -4999
    assert log2_above(Fraction(3, 2)) == 1
    assert round_up(Fraction(1, 10**5000)) == Fraction(1, 10**300)
