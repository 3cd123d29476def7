"""Bernstein ellipses by hand: bounds that are known exactly, and functions whose poles lie just inside or just outside."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from flint import arb

from constructions.approximation import ellipses
from constructions.approximation.ball_functions import BallFunction
from constructions.approximation.ellipses import (
    EXPONENT_LIMIT,
    Ellipse,
    best_ellipse,
    chebyshev_coefficients,
    check_domain,
    interpolate,
    is_moderate,
    lebesgue_bound,
    log2_above,
    prove_ellipse,
    upper,
)

x, y, z = sp.symbols("x y z")
UNIT = ((Fraction(-1), Fraction(1)),)


@pytest.mark.parametrize(
    ("rho", "maximum", "degree", "error"),
    [("2", "3", 5, "3/8"), ("2", "1", 1, "2"), ("3/2", "1", 2, "32/9"), ("5", "7", 3, "7/125"), ("2", "0", 4, "0")],
)
def test_the_bound_of_an_ellipse(rho: str, maximum: str, degree: int, error: str) -> None:
    """4 M ρ^−n / (ρ − 1), rounded up by less than one part in 10^15."""
    found, exact = Ellipse(Fraction(rho), Fraction(maximum)).error(degree), Fraction(error)
    assert exact <= found <= exact * (1 + Fraction(1, 10**15))


@pytest.mark.parametrize("rho", ["1025/1024", "9/8", "2", "10", "513"])
@pytest.mark.parametrize("maximum", ["1/7", "1", "1000", str(10**400)])
def test_the_degree_for_a_tolerance_is_the_least(rho: str, maximum: str) -> None:
    ellipse = Ellipse(Fraction(rho), Fraction(maximum))
    for tolerance in (Fraction(1, 1000), Fraction(3, 10**30), Fraction(1, 10**400)):
        degree = ellipse.degree_for(tolerance)
        assert ellipse.error(degree) <= tolerance < ellipse.error(degree - 1)
    assert ellipse.degree_for(Fraction(10**500)) == 1
    assert Ellipse(Fraction(2), Fraction(0)).degree_for(Fraction(1, 1000)) == 12  # as of 1


def test_what_can_be_written_down() -> None:
    limit = arb(2) ** EXPONENT_LIMIT
    assert is_moderate(limit / 2)
    assert is_moderate(-limit / 2)
    assert not is_moderate(limit)
    assert not is_moderate(-2 * limit)
    assert not is_moderate(arb.nan())
    assert upper(1 / limit) == Fraction(1, 2**EXPONENT_LIMIT) == upper(1 / (8 * limit))
    assert upper(2 / limit) == Fraction(2, 2**EXPONENT_LIMIT)
    assert upper(-3 / limit) == -Fraction(3, 2**EXPONENT_LIMIT)
    assert upper(arb(3, 0.25)) >= Fraction(13, 4)
    with pytest.raises(
        ValueError, match=f"^a quantity that must be bounded could not be enclosed below 2\\^{EXPONENT_LIMIT}$"
    ):
        upper(limit * 2)
    for value in map(Fraction, ("1", "2", "3", "1/3", "1023/1024", "1025/1024", "7/2")):
        assert math.log2(value) <= log2_above(value) <= math.log2(value) + 2


@pytest.mark.parametrize("degree", [1, 2, 7, 100])
def test_the_norm_of_interpolation_is_rounded_up(degree: int) -> None:
    exact = 1 + 2 / sp.pi * sp.log(degree + 1)
    assert 0 <= sp.Rational(str(lebesgue_bound(degree))) - exact.evalf(40) < sp.Rational(1, 10**12)


POLES = {"right": (1, 0.0), "left": (-1, 0.0), "top": (0, 1.0), "upper left": (-0.6, 0.8), "upper right": (0.6, 0.8)}


@pytest.mark.parametrize("domain", [(-1, 1), (2, 6)])
@pytest.mark.parametrize("where", POLES)
def test_poles_inside_an_ellipse_are_met_and_outside_bound_the_maximum(where: str, domain: tuple[int, int]) -> None:
    """Of 1/((u − p)² + q²) with u on [−1, 1]: the ellipse ρ = 2 reaches to 5/4 and 3/4 i."""
    across, along = POLES[where]
    low, high = map(Fraction, domain)
    u = (x - (low + high) / 2) * 2 / (high - low)
    for scale, holds in ((0.94, False), (1.1, True)):
        p, q = (Fraction(round(1000 * scale * t), 1000) for t in (1.25 * across, 0.75 * along))
        f = 1 / ((u - sp.Rational(str(p))) ** 2 + sp.Rational(str(q)) ** 2)
        found = prove_ellipse(BallFunction(f, [x]), ((low, high),), 0, Fraction(2))
        assert (found is not None) is holds
        if found is not None:
            angles = np.linspace(0, math.pi, 400)
            at = 1.25 * np.cos(angles) + 0.75j * np.sin(angles)
            largest = np.abs(1 / ((at - float(p)) ** 2 + float(q) ** 2)).max()
            assert largest * (1 - 1e-6) <= found.maximum <= 17 * largest
            assert found.rho == 2


@pytest.mark.parametrize(
    ("f", "largest"),
    [(sp.exp(3 * x), math.exp(3.75)), (sp.exp(-3 * x), math.exp(3.75)),
     (sp.exp(3 * x) / 10**4, math.exp(3.75) / 10**4), (sp.cos(5 * x), math.cosh(3.75)),
     (x, 1.25), (sp.Integer(3) + 0 * x, 3), (x**2 + 1 + sp.exp(x) / 10, 1.25**2 + 1 + math.exp(1.25) / 10)],
)  # fmt: skip
def test_the_maximum_on_an_ellipse_is_that_of_its_worst_end(f: sp.Expr, largest: float) -> None:
    found = prove_ellipse(BallFunction(f, [x]), UNIT, 0, Fraction(2))
    assert found is not None
    assert largest * (1 - 1e-12) <= float(found.maximum) <= 16.5 * largest


def test_one_variable_at_a_time_is_complex() -> None:
    """The other variable is real, and anywhere in its interval: 1/(x + y − 4), and functions largest at either end."""
    function = BallFunction(1 / (x + y - 4), [x, y])
    box = ((Fraction(0), Fraction(2)), (Fraction(-1), Fraction(1)))
    # x = 1 + u, so u + y = 3: with y ≤ 1 the poles in u begin at 2, and so do those in y
    for axis in (0, 1):
        edge = 2 + math.sqrt(3)
        inside, outside = (prove_ellipse(function, box, axis, Fraction(edge * t)) for t in (0.9, 1.05))
        assert outside is None
        assert inside is not None
        reach = (edge * 0.9 + 1 / (edge * 0.9)) / 2
        assert 1 / (2 - reach) * 0.999 <= inside.maximum <= 17 / (2 - reach)
    for sign in (1, -1):
        uneven = BallFunction(sp.exp(x + 4 * sign * y), [x, y])
        for axis, exponent in ((0, 1 + 1.25 + 4), (1, 2 + 5)):
            found = prove_ellipse(uneven, box, axis, Fraction(2))
            assert found is not None
            assert math.exp(exponent) * 0.999 <= found.maximum <= 17 * math.exp(exponent)


def test_the_bound_of_an_interpolant_is_the_sum_over_its_variables() -> None:
    f, tolerance = sp.exp(x) * sp.cos(y) + z, Fraction(1, 100)
    box = ((Fraction(-1), Fraction(1)), (Fraction(0), Fraction(1)), (Fraction(-1), Fraction(2)))
    found = interpolate(f, [x, y, z], box, tolerance)
    total, norm = Fraction(0), Fraction(1)
    for ellipse, degree in zip(found.ellipses, found.degrees, strict=True):
        assert norm * ellipse.error(degree) <= tolerance / 3
        total += norm * ellipse.error(degree)
        norm *= lebesgue_bound(degree)
    assert total == found.error <= tolerance
    flat = interpolate(sp.exp(y), [x, y], box[:2], tolerance)
    assert flat.degrees[0] == 1
    assert flat.error == flat.ellipses[1].error(flat.degrees[1])
    assert all(abs(c) < arb("1e-9") for c in flat.coefficients[1])


def test_coefficients_of_a_product_of_chebyshev_polynomials() -> None:
    """T_3(u) T_2(v) on [0, 2] × [−2, 2], and what is above the degree folds back: T_5 in the points of degree 3 is T_1."""
    u, v = x - 1, y / 2
    function = BallFunction((4 * u**3 - 3 * u) * (2 * v**2 - 1), [x, y])
    box = ((Fraction(0), Fraction(2)), (Fraction(-2), Fraction(2)))
    for degrees in ((3, 2), (4, 5)):
        found = chebyshev_coefficients(function, box, degrees)
        assert found.shape == (degrees[0] + 1, degrees[1] + 1)
        for (i, j), ball in np.ndenumerate(found):
            assert ball.contains(int((i, j) == (3, 2)))
            assert ball.rad() < arb("1e-10")
    folded = chebyshev_coefficients(BallFunction(sp.expand(sp.chebyshevt(5, x)), [x]), UNIT, [3])
    assert [round(float(c.mid()), 9) for c in folded] == [0, 1, 0, 0]


def test_coefficients_are_far_finer_than_the_tolerance() -> None:
    for tolerance in (Fraction(1, 100), Fraction(1, 10**80)):
        found = interpolate(sp.exp(x), [x], UNIT, tolerance).coefficients
        assert sum(ball.rad() for ball in found) * 2**40 < arb(tolerance.numerator) / tolerance.denominator


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (
            1 / (x - sp.Rational(1, 3)),
            r"^1/\(x - 1/3\) is not analytic on the domain: near x = 0\.333.*denominator.*removable",
        ),
        (sp.log(x), r"^log\(x\) is not analytic on the domain: near x = (?!.*removable)"),
    ],
)
def test_a_domain_on_which_a_function_is_not_analytic_is_refused_with_the_place(f: sp.Expr, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_domain(BallFunction(f, [x]), UNIT)
    check_domain(BallFunction(f, [x]), ((Fraction(1), Fraction(2)),))


def test_ellipses_that_need_too_much_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    runge = 1 / (1 + 25 * x**2)
    with pytest.raises(
        ValueError,
        match=r"^an error of 0\.001 needs degree \d+ \(rho = 1\.\d+\) for 1/\(25\*x\*\*2 \+ 1\) in x: a singularity lies too "
        r"close to the domain, or the domain is too wide; the limit is degree 20\. Use a narrower domain or a larger tolerance$",
    ):
        best_ellipse(BallFunction(runge, [x]), UNIT, 0, Fraction(1, 1000), 20)
    near = 1 / (1 + 10**10 * x**2)
    with pytest.raises(ValueError, match=r"^an error of 0\.001 could not be proved for .*limit is degree 4096\. Use"):
        best_ellipse(BallFunction(near, [x]), UNIT, 0, Fraction(1, 1000))
    monkeypatch.setattr(ellipses, "MAX_POINTS", 30)
    box = (UNIT[0], UNIT[0])
    with pytest.raises(
        ValueError,
        match=r"needs degrees (\d+) × \1, that is \d+ interpolation points; the limit is 30\. Use a narrower",
    ):
        interpolate(sp.exp(x + y), [x, y], box, Fraction(1, 1000))
    assert interpolate(sp.exp(x + y), [x, y], box, Fraction(1, 1000), effort=2).error <= Fraction(1, 1000)


@pytest.mark.parametrize("f", [1 / (1 + 25 * x**2), sp.exp(x), sp.exp(-5 * x), 1 / (sp.Rational(102, 100) - x)])
def test_the_best_ellipse_is_no_worse_than_any_power_of_two(f: sp.Expr) -> None:
    function, tolerance = BallFunction(f, [x]), Fraction(1, 1000)
    best = best_ellipse(function, UNIT, 0, tolerance)
    tried = [prove_ellipse(function, UNIT, 0, 1 + Fraction(2) ** size) for size in range(-5, 6)]
    assert best.degree_for(tolerance) <= min(found.degree_for(tolerance) for found in tried if found is not None)


def test_the_constant_and_the_last_coefficient_are_not_doubled() -> None:
    for degree in (1, 2, 5):
        f = 7 + 3 * sp.expand(sp.chebyshevt(degree, x))
        found = chebyshev_coefficients(BallFunction(f, [x]), UNIT, [degree])
        assert all(ball.contains({0: 7, degree: 3}.get(k, 0)) for k, ball in enumerate(found))


def test_numbers_too_large_are_refused_and_not_refined_for_ever() -> None:
    with pytest.raises(
        ValueError, match=r"^the values of .* on the domain are too large, or cancel too much, for an error of 0\.001\."
    ):
        ellipses._accurate_coefficients(BallFunction(sp.exp(10**5 * x), [x]), UNIT, [4], Fraction(1, 1000))
    assert prove_ellipse(BallFunction(sp.exp(10**5 * x), [x]), UNIT, 0, Fraction(2)) is None
