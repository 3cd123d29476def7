"""Proofs of the error from the weights: right networks pass, and every kind of wrong one is refused."""

import math
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
    extract_polynomials,
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


@pytest.mark.parametrize("f", [sp.asinh(x), sp.sinc(x), sp.sinc(sp.tanh(x)), sp.atanh(x / 2)])
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
