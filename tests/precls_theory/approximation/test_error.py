"""Proofs of the error from the weights: right networks pass, and every kind of wrong one is refused."""

import itertools
import math
import random
import re
from dataclasses import replace
from fractions import Fraction

import flint
import numpy as np
import pytest
import sympy as sp
from flint import arb

import constructions as C
from constructions.approximation import ellipses as chebyshev_bounds
from constructions.approximation.ball_functions import BallFunction
from constructions.approximation.chebyshev_network import chebyshev_polynomial
from constructions.approximation.ellipses import interpolate, prove_ellipse
from constructions.networks.layer import SparseMap
from constructions.networks.network import Network
from precls_theory.approximation import error
from precls_theory.approximation.error import (
    NoSeriesError,
    chebyshev_error,
    errors_at,
    exact_values,
    extract_polynomials,
    function_task,
    measure,
    monomials_to_chebyshev,
    sample_points,
    series,
    taylor_error,
)
from precls_theory.checking.check import check
from precls_theory.checking.prove import prove_network
from precls_theory.proofs.residues import Unequal
from precls_theory.registry import Refuted, Size
from precls_theory.theorems.compilers.universal_approximation import (
    check_approximation,
    check_degree,
    reciprocal_newton,
    universal_approximation,
)

x, y = sp.symbols("x y")
F = sp.exp(sp.sin(3 * x))


@pytest.fixture(scope="module")
def network() -> Network:
    return C.approximate(F, {x: (-1, 1)}, 1e-8)


def changed(network: Network, layer: int, part: str, entry: int, factor: Fraction) -> Network:
    """The network with one weight multiplied by ``factor``."""
    old: SparseMap = getattr(network.layers[layer], part)
    weights = old.weights.copy()
    weights[entry] *= factor
    layers = list(network.layers)
    layers[layer] = replace(layers[layer], **{part: replace(old, weights=weights)})
    return replace(network, layers=tuple(layers))


def test_both_proofs_agree_with_the_bound_and_the_measurement(network: Network) -> None:
    bound = network.error_bound
    from_weights, taylor = chebyshev_error(network, [F]), taylor_error(network, F)
    assert measure(network, [F])["exact"] <= min(float(from_weights), float(taylor))
    assert max(from_weights, taylor) <= bound
    assert bound < 2 * from_weights


@pytest.mark.parametrize("part", ["conv", "gate", "out"])
def test_one_wrong_weight_is_refused(network: Network, part: str) -> None:
    for layer in range(network.depth):
        entry = getattr(network.layers[layer], part).n_nonzero // 2
        for factor in (Fraction(-1), Fraction(1_000_001, 1_000_000)):
            wrong = changed(network, layer, part, entry, factor)
            with pytest.raises(Refuted, match="the weights prove only"):
                check_approximation(wrong, [F], Fraction(1, 10**8))
            assert taylor_error(wrong, F, max_parts=64) > network.error_bound
            with pytest.raises(Unequal):
                prove_network(wrong)


def test_a_bound_that_is_too_good_is_refused(network: Network) -> None:
    task = replace(network.task, error_bound=network.error_bound / 4)
    boast = replace(network, task=task)
    with pytest.raises(Refuted, match="the weights prove only"):
        check_approximation(boast, [F], Fraction(1, 10**8))
    with pytest.raises(Refuted, match="is above"):
        check_approximation(network, [F], Fraction(1, 10**9))
    with pytest.raises(Refuted, match="the weights prove only"):
        check_approximation(network, [F + sp.Rational(1, 10**8) * x], Fraction(1, 10**8))


def test_a_network_that_is_too_deep_is_refused(network: Network) -> None:
    shallow = replace(network, task=replace(network.task, degree=16))
    with pytest.raises(Refuted, match="depth"):
        check_approximation(shallow, [F], Fraction(1, 10**8))
    wasteful = replace(network, task=replace(network.task, degree=10**4))
    with pytest.raises(Refuted, match="the theorem needs"):
        check_degree(wasteful, F, Fraction(1, 10**8))


def test_the_approximation_theorem_refuses_a_wrong_network(monkeypatch: pytest.MonkeyPatch) -> None:
    right = C.approximate
    monkeypatch.setattr(C, "approximate", lambda *args: changed(right(*args), 1, "out", 0, Fraction(99, 100)))
    with pytest.raises(Refuted, match="the weights prove only"):
        universal_approximation(Size())


def test_the_reciprocal_theorem_refuses_another_start() -> None:
    with pytest.raises(Refuted, match="x y_t = 1"):
        reciprocal_newton(Size(), lambda **how: changed(C.reciprocal(**how), 0, "out", 0, Fraction(99, 100)))


def test_extraction_is_exact() -> None:
    network = C.approximate(x * y**2 + y / 4, {x: (0, 2), y: (-1, 1)}, 1e-3)
    (coefficients,) = extract_polynomials(network)
    point = [Fraction(3, 2), Fraction(1, 3)]
    value = sum(
        Fraction(int(c.p), int(c.q)) * (point[0] - 1) ** i * point[1] ** j for (i, j), c in np.ndenumerate(coefficients)
    )
    assert value == network.decode(network.evaluate(network.encode(point)))[0]


def test_monomials_to_chebyshev_is_that_of_numpy() -> None:
    source = np.random.default_rng(0)
    matrix = source.integers(-9, 9, size=(6, 4))
    exact = np.frompyfunc(lambda value: flint.fmpq(int(value)), 1, 1)(matrix)
    expected = np.apply_along_axis(np.polynomial.chebyshev.poly2cheb, 0, matrix.astype(float))
    expected = np.apply_along_axis(np.polynomial.chebyshev.poly2cheb, 1, expected)
    found = np.frompyfunc(lambda c: float(Fraction(int(c.p), int(c.q))), 1, 1)(monomials_to_chebyshev(exact))
    assert np.allclose(found.astype(float), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "f",
    [sp.exp(x) * sp.sin(x), 1 / (2 + x) ** 2, sp.sqrt(x + 2), (x + 2) ** sp.Rational(5, 3), sp.erf(x), sp.tanh(x),
     sp.log(x + 2) * sp.pi, sp.E + sp.cosh(x), sp.atan(x) / sp.sqrt(3 + x)],
)  # fmt: skip
def test_series_are_those_of_sympy(f: sp.Expr) -> None:
    at = sp.Rational(1, 3)
    coefficients = series(f, x, arb(1) / 3, 5).coeffs()
    for k in range(5):
        expected = f.diff(x, k).subs(x, at).evalf(30) / math.factorial(k)
        assert float(coefficients[k].mid()) == pytest.approx(float(expected), rel=1e-9, abs=1e-9)


def test_series_that_do_not_exist() -> None:
    with pytest.raises(NoSeriesError, match="use chebyshev_error"):
        series(sp.sinc(x), x, arb(1), 4)


def test_one_variable_at_a_time(network: Network) -> None:
    two = C.approximate(x * y, {x: (0, 1), y: (0, 1)}, 1e-2)
    with pytest.raises(ValueError, match="one variable"):
        taylor_error(two, x * y)
    with pytest.raises(ValueError, match="1 outputs, got 2"):
        chebyshev_error(network, [F, F])
    with pytest.raises(ValueError, match="built by approximate"):
        chebyshev_error(C.linear(weight=[[1]], n_rows=1), [x])


def test_samples_hold_the_corners_and_repeat() -> None:
    network = C.approximate(x * y, {x: (0, 2), y: (-1, 1)}, 1e-2)
    points = sample_points(network, 50)
    corners = {(Fraction(a), Fraction(b)) for a in (0, 2) for b in (-1, 1)}
    assert corners <= set(map(tuple, points))
    assert (points == sample_points(network, 50)).all()
    assert np.abs(errors_at(network, [x * y], points)).max() <= float(network.error_bound)
    measured = measure(network, [x * y], 50)
    assert set(measured) == {"exact", "float64", "float32"}


@pytest.mark.parametrize("f", [x**15, x**30, sp.sin(x**15), sp.exp(-100 * x**2)])
def test_taylor_expansions_see_the_high_order_terms(f: sp.Expr) -> None:
    """Series that stop after 10 terms, as python-flint's do by itself, would prove x to be x + x^15."""
    network = chebyshev_polynomial(
        variables=["x"], domain=[(-1, 1)], order=[0], factors=[{"shape": [1], "polynomials": [[(1, 1)]]}],
        error_bound="1/2",
    )  # fmt: skip
    before = flint.ctx.cap
    proved = taylor_error(network, x + f, max_parts=50)
    assert proved >= Fraction(math.nextafter(max(float(f.subs(x, 0)), float(f.subs(x, 1))), 0))
    assert flint.ctx.cap == before


def test_what_was_proved_near_the_largest_degree_can_be_proved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chebyshev_bounds, "MAX_INTERPOLATION_DEGREE", 100)
    network = C.approximate(1 / (sp.Rational(102, 100) - x), {x: (-1, 1)}, "1e-2")
    domain, fine = network.task.domain, network.error_bound / 1000
    with pytest.raises(ValueError, match="the limit is degree 100"):
        chebyshev_bounds.interpolate(1 / (sp.Rational(102, 100) - x), [x], domain, fine)
    assert check(network).ok


def test_polynomials_in_the_chebyshev_basis() -> None:
    for shape in ((1,), (2,), (7,), (4, 5), (3, 1, 6)):
        entries = np.random.default_rng(0).integers(-9, 10, size=shape)
        monomials = np.frompyfunc(lambda value: flint.fmpq(int(value), 7), 1, 1)(entries)
        found = monomials_to_chebyshev(monomials).astype(str).astype(object)
        expected = entries.astype(float) / 7
        for axis in range(len(shape)):
            expected = np.apply_along_axis(
                lambda c, size=shape[axis]: np.pad(np.polynomial.chebyshev.poly2cheb(c), (0, size))[:size],
                axis,
                expected,
            )
        values = np.frompyfunc(lambda text: float(Fraction(text)), 1, 1)(found).astype(float)
        assert np.allclose(values, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("f", [sp.asinh(x), sp.sinc(x), sp.sinc(sp.tanh(x)), sp.atanh(x / 2), sp.besselj(0, x)])
def test_functions_without_a_series_are_named(f: sp.Expr) -> None:
    with pytest.raises(NoSeriesError, match=f"{f.func.__name__} has no Taylor series"):
        series(f, x, arb(0), 5)


def test_hyperbolic_functions_are_rewritten_one_by_one() -> None:
    f = sp.tanh(sp.sinh(x)) + sp.sech(sp.cosh(x) * x)
    found = series(f, x, arb(0), 4).coeffs()
    expected = sp.series(f, x, 0, 4).removeO()
    assert [float(c.mid()) for c in found] == pytest.approx([float(expected.coeff(x, k)) for k in range(4)])


@pytest.mark.parametrize(
    ("f", "low", "high"), [(sp.sec(x), -1, 1), (sp.csc(x), 1, 2), (sp.cot(x), 1, 2), (sp.cot(2 * x + 1), 0, 1)]
)
def test_reciprocals_of_trigonometric_functions(f: sp.Expr, low: int, high: int) -> None:
    """Rewritten by exponentials they were complex, and taylor_error failed."""
    network = C.approximate(f, {x: (low, high)}, Fraction(1, 10**6))
    assert 0 < taylor_error(network, f) <= network.error_bound
    coefficients = series(f, x, arb(4) / 5, 4).coeffs()
    for k in range(4):
        expected = f.diff(x, k).subs(x, sp.Rational(4, 5)).evalf(30) / math.factorial(k)
        assert float(coefficients[k].mid()) == pytest.approx(float(expected), rel=1e-9)


def test_the_error_holds_where_a_function_is_large_on_the_left() -> None:
    """exp(−5x): a maximum over the right half of the ellipse claimed 3e-8 for an error of 56."""
    f = sp.exp(-5 * x)
    domain = ((Fraction(-1), Fraction(1)),)
    ellipse = prove_ellipse(BallFunction(f, [x]), domain, 0, Fraction(2))
    assert ellipse is not None
    assert float(ellipse.maximum) >= math.exp(5 * 1.25)  # the left end of the ellipse with ρ = 2 is −5/4
    for g in (f, sp.exp(5 * x), 1 / (x + 2), 1 / (2 - x)):
        network = C.approximate(g, {x: (-1, 1)}, Fraction(1, 10**6))
        worst = np.abs(errors_at(network, [g], sample_points(network, 40))).max()
        assert worst <= float(network.error_bound)
        assert taylor_error(network, g) <= network.error_bound


def test_erfc_is_not_erf() -> None:
    network = C.approximate(sp.erfc(x), {x: (-1, 2)}, Fraction(1, 10**3))
    values = network.decode(
        network.evaluate(np.array([[[Fraction(-1)]], [[Fraction(0)]], [[Fraction(2)]]], dtype=object))
    )
    for value, at in zip(values[:, 0], (-1, 0, 2), strict=True):
        assert float(value) == pytest.approx(math.erfc(at), abs=float(network.error_bound))
    assert taylor_error(network, sp.erfc(x)) <= network.error_bound
    assert taylor_error(network, sp.erf(x)) > 1


def test_the_interpolation_term_is_part_of_the_chebyshev_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Σ |c_k − p_k| alone is no bound: what the interpolant itself misses must be added."""
    network = C.approximate(sp.exp(x), {x: (-1, 1)}, Fraction(1, 10**3))
    alone = chebyshev_error(network, [sp.exp(x)])
    missed = Fraction(1, 50)

    def coarser(*arguments: object, **named: object) -> object:
        return replace(interpolate(*arguments, **named), error=missed)  # type: ignore[arg-type]

    monkeypatch.setattr(error, "interpolate", coarser)
    found = chebyshev_error(network, [sp.exp(x)])
    assert missed <= found <= alone + missed


# --- Errors that are known exactly -------------------------------------------------------------------------------------


def polynomial(*coefficients: int | str, domain: tuple[int, int] = (-1, 1), bound: Fraction | str = "1/2") -> Network:
    """The network of ``Σ c_k T_k`` of one variable."""
    factor = {"shape": [1], "polynomials": [list(enumerate(coefficients))]}
    return chebyshev_polynomial(variables=["x"], domain=[domain], order=[0], factors=[factor], error_bound=bound)


@pytest.mark.parametrize(("max_parts", "proved"), [(1, "3/8"), (2, "1/4"), (3, "1/4"), (4, "5/32")])
def test_taylor_bounds_of_a_parabola_by_hand(max_parts: int, proved: str) -> None:
    """x²/4 − 1/8 on parts of [−1, 1]: value, slope and curvature at the middle of the worst, all exact in binary."""
    missed = x**2 / 4 - sp.Rational(1, 8)
    assert taylor_error(polynomial(0, 1), x + missed, Fraction(1, 100), max_parts) == Fraction(proved)


def test_taylor_expansions_end_when_the_claim_is_reached() -> None:
    missed = x**2 / 4 - sp.Rational(1, 8)
    assert taylor_error(polynomial(0, 1), x + missed, Fraction(1, 4)) == Fraction(1, 4)
    assert taylor_error(polynomial(0, 1, bound="1/4"), x + missed) == Fraction(1, 4)
    assert taylor_error(polynomial(0, 1, bound="3/8"), x + missed) == Fraction(3, 8)
    assert taylor_error(polynomial(0, 1, bound=0), x, max_parts=1) == 0


def test_taylor_bounds_are_in_the_variable_of_the_network() -> None:
    moved = polynomial(0, 1, domain=(2, 6))
    assert taylor_error(moved, (x - 4) / 2 + (x - 4) ** 2 / 64) == Fraction(1, 16)
    assert taylor_error(moved, (x - 4) / 2 + (x - 3) / 16, max_parts=1) == Fraction(3, 16)
    assert taylor_error(polynomial(0, 0, 0, 1), x, max_parts=1) == 8  # 4x³ − 4x
    assert taylor_error(polynomial(0, 1), 5 * x**9, max_parts=1) == 6


@pytest.mark.parametrize(("f", "low", "high"), [(x**24 * (1 - x / 25), 2, "2.001"), (x**24 * (1 + x / 25), 2, "2.001"),
                                               (x**23, 1, 1), (x**24, 1, "1.001"), (x**25, 25, "25.001"),
                                               (x**23 + x**24, 2, "2.001")])  # fmt: skip
def test_the_remainder_of_a_taylor_expansion_is_that_of_the_whole_part(f: sp.Expr, low: int, high: str | int) -> None:
    """x^24 (1 − x/25) has 1 − x at order 24: nothing at the right end, where its error is 26/25 at the left."""
    assert low <= taylor_error(polynomial(0, 1), x + f, Fraction(1, 100), max_parts=1) <= Fraction(high)


@pytest.mark.parametrize("f", [1 / (x - sp.Rational(14, 3)), sp.tan(x - sp.Rational(14, 3) + sp.pi / 2)])
def test_a_pole_in_the_domain_is_said_and_where(f: sp.Expr) -> None:
    moved = polynomial(0, 1, domain=(2, 6))
    for max_parts, near in ((1, "2"), (2, "4"), (3, "4.5|4"), (4, "4.5"), (5, "4.625|4.5"), (6, "4.625")):
        with pytest.raises(ValueError, match=f"could not be expanded near ({near})$"):
            taylor_error(moved, f, max_parts=max_parts)


def test_a_network_of_two_outputs_has_no_one_taylor_error() -> None:
    two = C.approximate([x, x**2], {x: (-1, 1)}, 1e-2)
    with pytest.raises(
        ValueError, match=r"^taylor_error takes a network of one variable and one output: use chebyshev_error$"
    ):
        taylor_error(two, x)


@pytest.mark.parametrize(
    ("coefficients", "domain", "f", "exact"),
    [
        ((0, 1), (-1, 1), x + (4 * x**3 - 3 * x) / 8, "1/8"), ((0, 0, 0, 0, 0, 1), (-1, 1), x, 2),
        ((0, 1), (1, 3), sp.Abs(x) - 2 + sp.Rational(1, 8), "1/8"), ((0, 1), (2, 6), (x - 4) / 2 + (x - 4) ** 2 / 64, "1/16"),
        ((1,), (-1, 1), x, 2), ((0, 0, 1), (0, 4), (x - 2) ** 2 / 2 - sp.Rational(3, 2), "1/2"),
    ],
)  # fmt: skip
def test_chebyshev_bounds_by_hand(coefficients: tuple, domain: tuple, f: sp.Expr, exact: str | int) -> None:
    found = chebyshev_error(polynomial(*coefficients, domain=domain, bound="1/50"), [f])
    assert 0 <= found - Fraction(exact) <= Fraction(1, 25_000)


def test_the_worst_output_counts_and_variables_keep_their_places() -> None:
    two = C.approximate([x * y / 4, y - x / 2], {x: (-1, 1), y: (0, 2)}, 1e-2)
    right = [x * y / 4, y - x / 2]
    off = sp.Rational(1, 8)
    for functions, exact in (
        ([right[0] + off, right[1]], off), ([right[0], right[1] - off], off), ([right[0] + off, right[1] - 2 * off], 2 * off),
        ([right[0] - 2 * off, right[1] + off], 2 * off), ([right[0] + x / 8, right[1]], off), (right[::-1], None),
    ):  # fmt: skip
        found = chebyshev_error(two, functions)
        assert found > 1 if exact is None else 0 <= found - Fraction(str(exact)) <= Fraction(1, 10**4)


@pytest.mark.parametrize(
    ("bound", "claimed", "fine"), [("1/2", None, "1/2000"), ("1/2", "1/7", "1/7000"), (0, None, None)]
)
def test_interpolants_are_a_thousand_times_as_fine(
    bound: str | int, claimed: str | None, fine: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def recorded(*arguments: object, **named: object) -> object:
        asked.append((arguments[3], named))
        return interpolate(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(error, "interpolate", recorded)
    chebyshev_error(polynomial(0, 1, bound=bound), [x], None if claimed is None else Fraction(claimed))
    assert asked == [(Fraction(1, 10**33) if fine is None else Fraction(fine), {"effort": 2})]


@pytest.mark.parametrize(
    "f", [sp.exp(x), 1 / (x + 2), sp.sqrt(x + 2), sp.cbrt(x + 2), 3**x, sp.exp(x) ** 2, x**-3 + sp.E * sp.pi, sp.csc(x)]
)
def test_series_of_many_terms_to_twenty_digits(f: sp.Expr) -> None:
    """As many terms as asked for, not the ten that python-flint keeps by itself."""
    at = sp.Rational(3, 4)
    with flint.ctx.workprec(160):
        found = series(f, x, arb(3) / 4, 14).coeffs()
        assert len(found) == 14
        for k in (0, 1, 2, 3):
            expected = arb(str((f.diff(x, k).subs(x, at) / math.factorial(k)).evalf(40)))
            assert abs(found[k] - expected) < abs(expected) * arb("1e-20")


def test_a_late_term_of_a_series() -> None:
    with flint.ctx.workprec(160):
        assert abs(series(sp.exp(2 * x), x, arb(0), 20).coeffs()[19] * math.factorial(19) - 2**19) < arb("1e-20")
        assert [c.mid() for c in series(1 / (1 - x), x, arb(0), 15).coeffs()] == [1] * 15


def test_samples_are_a_grid_and_as_many_random_points() -> None:
    source = random.Random(5)
    expected = [
        Fraction(2),
        Fraction(4),
        Fraction(6),
        *(2 + 4 * Fraction(source.getrandbits(40), 2**40) for _ in range(3)),
    ]
    found = sample_points(polynomial(0, 1, domain=(2, 6)), 3, seed=5)
    assert found[:, 0].tolist() == expected
    assert len(sample_points(polynomial(0, 1), 1)) == 4
    assert (
        sample_points(polynomial(0, 1), 4)[:, 0].tolist() == sample_points(polynomial(0, 1), 4, seed=0)[:, 0].tolist()
    )
    two = C.approximate(x * y, {x: (0, 2), y: (-1, 1)}, 1e-2)
    assert [len(sample_points(two, count)) for count in (4, 5, 9)] == [8, 18, 18]


def test_exact_values_have_the_digits_asked_for() -> None:
    points = np.array(
        [[Fraction(1, 3), Fraction(2)], [Fraction(1), Fraction(5)], [Fraction(0), Fraction(1)]], dtype=object
    )
    for digits, low, high in ((60, "1e-66", "1e-55"), (200, "1e-210", "1e-195")):
        found = exact_values([sp.pi * x + y, y - x], ["x", "y"], points, digits)
        assert found.shape == (3, 2)
        with flint.ctx.workprec(1000):
            expected = [[arb.pi() / 3 + 2, arb(5) / 3], [arb.pi() + 5, arb(4)], [arb(1), arb(1)]]
            assert all(abs(a - b) < arb(high) for a, b in zip(found.flat, itertools.chain(*expected), strict=True))
        assert arb(low) < found[0, 0].rad() < arb(high)
    assert arb("1e-66") < exact_values([sp.pi * x], ["x", "y"], points)[0, 0].rad() < arb("1e-55")


def test_errors_are_taken_to_as_many_digits_as_they_need() -> None:
    network = polynomial(0, 1, domain=(0, 2), bound=Fraction(1, 10**90))
    points = np.array([[Fraction(1)], [Fraction(1, 3)]], dtype=object)
    found = errors_at(network, [x - 1 + sp.pi / sp.Integer(10) ** 80], points)
    assert found.tolist() == [[pytest.approx(-math.pi * 1e-80, rel=1e-14, abs=0)]] * 2
    near = polynomial(
        0, 1, domain=(0, 2), bound=Fraction(1, 10**60)
    )  # 60 digits are 1e-61 or so, and not a thousandth of it
    found = errors_at(near, [x - 1 + sp.pi / sp.Integer(10) ** 62], points)
    assert found.tolist() == [[pytest.approx(-math.pi * 1e-62, rel=1e-9, abs=0)]] * 2
    with pytest.raises(ValueError, match=r"could not be computed to within its bound, even in 7680 digits"):
        errors_at(polynomial(0, 1), [x + sp.exp(10**5)], points)


def test_measured_errors_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def recorded(*arguments: object) -> np.ndarray:
        asked.append(arguments)
        return sample_points(arguments[0], 3)  # type: ignore[arg-type]

    monkeypatch.setattr(error, "sample_points", recorded)
    network = polynomial(0, 1)
    measured = measure(network, [x + sp.Rational(1, 8)], 7, 9)
    assert measured == {"exact": 0.125, "float64": 0.125, "float32": pytest.approx(0.125, abs=1e-7)}
    assert measured["float32"] != 0.125  # a random point of 40 bits, rounded
    measure(network, [x])
    assert asked == [(network, 7, 9), (network, 500, 0)]
    large = measure(polynomial(0, 10**39), [10**39 * x], 3)
    assert (large["exact"], large["float32"]) == (0, math.inf)
    assert large["float64"] < 1e24


@pytest.mark.parametrize("slope", [Fraction(1, 3), Fraction(3**200 + 1, 3**200)])
def test_tiny_errors_of_weights_of_any_digits_are_proved(slope: Fraction) -> None:
    """At 128 bits alone neither proof would be below 1e-38."""
    network = polynomial(0, str(slope), bound=Fraction(1, 10**90))
    f, tiny = sp.Rational(str(slope)) * x + sp.Rational(1, 10**85), Fraction(1, 10**85)
    for proved in (chebyshev_error(network, [f]), taylor_error(network, f, max_parts=1)):
        assert tiny <= proved <= tiny * (1 + Fraction(1, 10**5))


def test_the_outputs_are_counted() -> None:
    for functions in ([], [x, x]):
        with pytest.raises(ValueError, match=f"^the network has 1 outputs, got {len(functions)} functions$"):
            chebyshev_error(polynomial(0, 1), functions)


def test_other_networks_are_refused_by_name() -> None:
    linear, network = C.linear(weight=[[1]], n_rows=1), polynomial(0, 1)
    for other in (linear, replace(network, task=replace(network.task, domain=None))):
        with pytest.raises(
            ValueError, match=f"^expected a network built by approximate, got {re.escape(repr(other))}$"
        ):
            function_task(other)


def test_the_network_that_is_zero() -> None:
    (nothing,) = extract_polynomials(polynomial(0))
    assert nothing.tolist() == [0]
    assert taylor_error(polynomial(0), x, max_parts=1) == 1
    assert extract_polynomials(polynomial(0, 0, 3))[0].tolist() == [-3, 0, 6]


def test_high_powers_in_the_chebyshev_basis_do_not_overflow() -> None:
    """t^70 = 2^−69 (C(70, 35)/2 + Σ C(70, 35 − j) T_2j), binomials beyond 2^63."""
    power = np.full(71, flint.fmpq(0), dtype=object)
    power[70] = flint.fmpq(1)
    expected = [flint.fmpq(math.comb(70, 35 - k // 2) if k % 2 == 0 else 0, 2**69) for k in range(71)]
    assert monomials_to_chebyshev(power).tolist() == [expected[0] / 2, *expected[1:]]


@pytest.mark.parametrize("f", [sp.tan(2 * x), sp.log(x), sp.log(x + sp.Rational(1, 3))])
def test_a_part_that_could_not_be_enclosed_does_not_count_as_right(f: sp.Expr) -> None:
    """These have series of balls that are not finite, and raise nothing."""
    for max_parts in (1, 2, 7):
        with pytest.raises(ValueError, match="could not be expanded near"):
            taylor_error(polynomial(0, 1), f, max_parts=max_parts)


def test_signs_are_those_on_the_domain() -> None:
    away = polynomial(0, 1, domain=(1, 3))
    assert taylor_error(away, sp.Abs(x) - 2 + sp.Rational(1, 8), max_parts=1) == Fraction(1, 8)
