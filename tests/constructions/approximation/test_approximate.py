"""Approximation: no bound below the error, nothing that is not smooth, the depth of the theorem."""

import math
import random
from fractions import Fraction
from pathlib import Path

import flint
import mpmath
import numpy as np
import pytest
import sympy as sp
import torch
from flint import acb, arb
from hypothesis import given
from hypothesis import strategies as st

import constructions as C
from constructions.approximation.approximate import round_up
from constructions.approximation.ball_functions import BallFunction, cover_real_domain, interval, resolve_signs
from constructions.approximation.chebyshev_network import Approximation, chebyshev_polynomial, levels, split
from constructions.approximation.ellipses import (
    MAX_INTERPOLATION_DEGREE,
    Ellipse,
    interpolate,
    lebesgue_bound,
    prove_ellipse,
)
from constructions.approximation.separated import separate
from constructions.networks.construction import rebuild
from precls_theory.approximation.error import sample_points
from precls_theory.approximation.gallery import GALLERY
from precls_theory.checking.check import check

x, y, z = sp.symbols("x y z")
coefficient = st.fractions(min_value=-4, max_value=4, max_denominator=16)


def chebyshev_value(polynomial: dict[int, Fraction], t: Fraction) -> Fraction:
    """Σ c_k T_k(t), by the three-term recurrence."""
    total, before, now = polynomial.get(0, Fraction(0)), Fraction(1), t
    for k in range(1, max(polynomial, default=0) + 1):
        total += polynomial.get(k, Fraction(0)) * now
        before, now = now, 2 * t * now - before
    return total


# --- The claim: proven bounds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GALLERY)
def test_no_bound_is_below_the_error_at_50_digits(name: str) -> None:
    entry = GALLERY[name]
    network = C.approximate(list(entry.expressions), entry.domain, entry.tolerance)
    assert isinstance(network.error_bound, Fraction)
    assert 0 < network.error_bound <= entry.tolerance
    points = sample_points(network, {1: 300, 2: 200, 3: 64}[len(entry.domain)], seed=1)
    values = network.decode(network.evaluate(network.encode(points)))
    functions = [sp.lambdify(list(entry.domain), f, "mpmath") for f in entry.expressions]
    with mpmath.workdps(50):
        for point, row in zip(points, values, strict=True):
            arguments = [mpmath.mpf(t.numerator) / t.denominator for t in point]
            for function, value in zip(functions, row, strict=True):
                value = Fraction(value)
                error = abs(mpmath.mpf(value.numerator) / value.denominator - function(*arguments))
                assert error <= mpmath.mpf(network.error_bound.numerator) / network.error_bound.denominator


@pytest.mark.parametrize("name", GALLERY)
def test_depth_is_that_of_the_theorem(name: str) -> None:
    entry = GALLERY[name]
    network = C.approximate(list(entry.expressions), entry.domain, entry.tolerance * 10)
    n = len(entry.domain)
    assert network.depth <= math.ceil(math.log2(network.degree)) + math.ceil(math.log2(n))
    if n == 1:
        assert network.depth == math.ceil(math.log2(network.degree))


def test_exp_sin_reaches_1e_minus_12_in_8_layers() -> None:
    network = C.approximate(sp.exp(sp.sin(3 * x)), {x: (-1, 1)}, 1e-12)
    assert network.depth <= 8
    assert network.error_bound <= Fraction(1e-12)
    assert network.width < 10


@given(st.integers(0, 10**6), st.sampled_from([sp.exp, sp.sin, sp.cos, sp.erf, sp.atan, sp.tanh]))
def test_bounds_hold_for_random_functions(seed: int, outer: sp.Function) -> None:
    source = random.Random(seed)
    a, b, c = (sp.Rational(source.randint(-9, 9), source.randint(1, 4)) for _ in range(3))
    f = outer(a * x + b) * x + c / (x**2 + 1)
    low = Fraction(source.randint(-8, 4), 4)
    high = low + Fraction(source.randint(1, 8), 4)
    network = C.approximate(f, {x: (low, high)}, Fraction(1, 10 ** source.randint(1, 12)))
    points = [low + (high - low) * Fraction(i, 40) for i in range(41)]
    values = network.decode(network.evaluate(network.encode(np.array(points, dtype=object)[:, None])))[:, 0]
    function = sp.lambdify(x, f, "mpmath")
    with mpmath.workdps(50):
        for point, value in zip(points, map(Fraction, values), strict=True):
            exact = function(mpmath.mpf(point.numerator) / point.denominator)
            error = abs(mpmath.mpf(value.numerator) / value.denominator - exact)
            assert error <= mpmath.mpf(network.error_bound.numerator) / network.error_bound.denominator


def test_tolerances_far_below_float64() -> None:
    network = C.approximate(sp.exp(x), {x: (-1, 1)}, "1e-60")
    value = Fraction(network.decode(network.evaluate(network.encode([Fraction(1, 3)])))[0])
    with mpmath.workdps(80):
        error = abs(mpmath.mpf(value.numerator) / value.denominator - mpmath.exp(mpmath.mpf(1) / 3))
    assert error < 1e-60
    assert network.depth == math.ceil(math.log2(network.degree))


# --- The hypothesis: analytic on an ellipse ----------------------------------------------------------------------


def test_an_ellipse_that_holds_a_pole_is_refused() -> None:
    runge = BallFunction(1 / (1 + 25 * x**2), [x])
    unit = ((Fraction(-1), Fraction(1)),)
    pole = (1 + math.sqrt(26)) / 5
    assert prove_ellipse(runge, unit, 0, Fraction(pole * 0.99)) is not None
    assert prove_ellipse(runge, unit, 0, Fraction(pole * 1.01)) is None


@pytest.mark.parametrize(
    ("f", "singularity"),
    [(sp.atan(x), 1j), (sp.log(2 + x), -2), (sp.sqrt(2 - x), 2), (sp.asin(x / 2), 2), (sp.acosh(x + 3), -2),
     (sp.tanh(x), 0.5j * math.pi), (sp.atanh(x / 2), -2), (sp.asinh(x), 1j), ((2 + x) ** sp.Rational(1, 3), -2)],
)  # fmt: skip
def test_branch_cuts_and_poles_are_met(f: sp.Expr, singularity: complex) -> None:
    function = BallFunction(f, [x])
    largest = max(
        abs(singularity + root)
        for root in (np.sqrt(complex(singularity**2 - 1)), -np.sqrt(complex(singularity**2 - 1)))
    )
    unit = ((Fraction(-1), Fraction(1)),)
    assert prove_ellipse(function, unit, 0, Fraction(1 + 0.9 * (largest - 1))) is not None
    assert prove_ellipse(function, unit, 0, Fraction(1 + 1.1 * (largest - 1))) is None


def test_the_bound_of_the_maximum_is_a_bound() -> None:
    function = BallFunction(sp.exp(sp.sin(3 * x)), [x])
    ellipse = prove_ellipse(function, ((Fraction(-1), Fraction(1)),), 0, Fraction(2))
    assert ellipse is not None
    angles = np.linspace(0, 2 * np.pi, 2001)
    points = (2 * np.exp(1j * angles) + np.exp(-1j * angles) / 2) / 2
    assert float(ellipse.maximum) >= np.abs(np.exp(np.sin(3 * points))).max()


@pytest.mark.parametrize("degree", [1, 2, 5, 12])
def test_the_lebesgue_bound_is_a_bound(degree: int) -> None:
    nodes = np.cos(np.pi * np.arange(degree + 1) / degree)
    t = np.linspace(-1, 1, 4001)
    total = np.zeros_like(t)
    for j in range(degree + 1):
        others = np.delete(nodes, j)
        total += np.abs(np.prod((t[:, None] - others) / (nodes[j] - others), axis=1))
    assert total.max() <= float(lebesgue_bound(degree)) + 1e-12


def test_interpolation_error_is_that_of_the_theorem() -> None:
    ellipse = Ellipse(Fraction(2), Fraction(3))
    assert ellipse.error(10) >= Fraction(4 * 3, 2**10)
    assert float(ellipse.error(10)) == pytest.approx(12 / 2**10)
    assert ellipse.error(ellipse.degree_for(Fraction(1, 1000)) + 1) < Fraction(1, 1000)


def test_coefficients_are_those_of_numpy() -> None:
    interpolant = interpolate(sp.exp(x), [x], ((Fraction(-1), Fraction(1)),), Fraction(1, 10**10))
    degree = interpolant.degrees[0]
    expected = np.polynomial.chebyshev.chebinterpolate(np.exp, degree)
    assert [float(c.mid()) for c in interpolant.coefficients] == pytest.approx(expected.tolist(), abs=1e-9)


def test_constants_are_rounded_at_the_precision_of_the_call() -> None:
    third = BallFunction(sp.Rational(1, 3) + x, [x])
    with flint.ctx.workprec(400):
        assert third([acb(0)]).real.rad() < arb(2) ** -390


# --- Nothing that is not smooth ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "domain", "reason"),
    [
        (1 / x, (-1, 1), "near x = 0, in 1/x, the denominator x vanishes"),
        (sp.sin(x) / x, (-1, 1), "sinc"),
        (sp.log(x), (0, 1), "argument x of log"),
        (sp.log(x), (-2, -1), "argument x of log"),
        (sp.sqrt(x), (0, 1), "base x of a fractional power"),
        (sp.sqrt(1 - x**2), (-1, 1), "fractional power"),
        (sp.tan(2 * x), (-1, 1), "pole"),
        (sp.exp(1 / x), (-1, 1), "denominator"),
        (sp.asin(x), (-1, 1), "argument x of asin"),
        (sp.Abs(x), (-1, 1), r"Jackson's theorem proves only an error of 1.571/\(d\+1\)"),
        (sp.Max(x, 0), (-1, 1), "not smooth"),
        (sp.sign(x), (-1, 1), "not smooth"),
        (sp.sqrt(sp.Abs(x)), (-1, 1), "not smooth"),
        (sp.Piecewise((x, x > 0), (0, True)), (-1, 1), "not smooth"),
        (sp.floor(x), (0, 1), "floor is not supported"),
        (sp.Function("g")(x), (0, 1), "g is not supported"),
        (sp.nan * x, (0, 1), "not a number"),
        (x + sp.oo, (0, 1), "not a number"),
        (x / sp.S.Zero, (0, 1), "not a number"),
        (sp.I * x, (0, 1), "imaginary"),
        (sp.sin(10**5 * x), (-1, 1), f"limit is degree {MAX_INTERPOLATION_DEGREE}"),
        (1 / (x**2 + sp.Rational(1, 10**8)), (-1, 1), "singularity lies too close"),
    ],
)
def test_refuses(f: sp.Expr, domain: tuple[int, int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        C.approximate(f, {x: domain}, 1e-6)


@pytest.mark.parametrize(
    ("f", "domain", "tolerance", "reason"),
    [
        (sp.exp(x), {x: (1, -1)}, 1e-3, "reversed"),
        (sp.exp(x), {x: (1, 1)}, 1e-3, "empty"),
        (sp.exp(x), {x: (0, math.inf)}, 1e-3, "finite"),
        (sp.exp(x), {x: (math.nan, 1)}, 1e-3, "finite"),
        (sp.exp(x), {x: (0, sp.oo)}, 1e-3, "finite"),
        (sp.exp(x), {x: (0, sp.pi)}, 1e-3, "rational"),
        (sp.exp(x), {x: (0, 1j)}, 1e-3, "complex"),
        (sp.exp(x), {x: (0, True)}, 1e-3, "must be a number"),
        (sp.exp(x), {x: (0, "one")}, 1e-3, "must be a number"),
        (sp.exp(x), {x: 1}, 1e-3, "a pair"),
        (sp.exp(x), {x: (0, 1, 2)}, 1e-3, "a pair"),
        (sp.exp(x), {}, 1e-3, "one to three variables"),
        (sp.exp(x), (0, 1), 1e-3, "one to three variables"),
        (sp.exp(x), {1: (0, 1)}, 1e-3, "symbols or names"),
        (sp.exp(x), {x: (0, 1), "x": (0, 1)}, 1e-3, "distinct names"),
        (sp.exp(x), {x: (0, 1), y: (0, 1)}, 1e-3, "names y"),
        (sp.exp(x * y), {x: (0, 1)}, 1e-3, "no domain is given for y"),
        (sp.exp(x), {x: (0, 1)}, 0, "above zero"),
        (sp.exp(x), {x: (0, 1)}, -1, "above zero"),
        (sp.exp(x), {x: (0, 1)}, math.nan, "finite"),
        (sp.exp(x), {x: (0, 1)}, None, "must be a number"),
        (sp.exp(x), {x: (0, 1)}, "1e-300", "at least 1e-200"),
        (math.exp, {x: (0, 1)}, 1e-3, "SymPy expression"),
        ([], {x: (0, 1)}, 1e-3, "empty list"),
        ("__import__('os')", {x: (0, 1)}, 1e-3, "not a known function"),
    ],
)
def test_refuses_bad_arguments(f: object, domain: object, tolerance: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        C.approximate(f, domain, tolerance)  # type: ignore[arg-type]


def test_pieces_that_do_not_meet_are_resolved() -> None:
    unit = ((Fraction(-1), Fraction(1)),)
    assert resolve_signs(sp.Abs(x + 2) + sp.Max(x, 3) + sp.sign(x - 2) + sp.Heaviside(x + 2), [x], unit) == x + 5
    assert resolve_signs(sp.Abs(sp.Min(x, 2) - 3), [x], unit) == 3 - x
    network = C.approximate(sp.Abs(sp.sin(x)), {x: (1, 2)}, 1e-6)
    assert network.error_bound <= Fraction(1e-6)


@pytest.mark.parametrize(
    ("condition", "domain", "piece"),
    [
        (x > 0, (1, 2), x),
        (x > 0, (-2, -1), x**3),
        ((x >= 0) & (x < 5), (1, 2), x),
        ((x > 3) | (x < -3), (-1, 1), x**3),
        (sp.Not(sp.sin(x) > 2), (-1, 1), x),
        (sp.Eq(x, 0), (1, 2), x**3),
        (sp.Ne(x, 0), (1, 2), x),
        (sp.Abs(x + 2) < 9, (-1, 1), x),
    ],
)
def test_a_piece_that_holds_everywhere_is_taken(condition: sp.Basic, domain: tuple[int, int], piece: sp.Expr) -> None:
    box = ((Fraction(domain[0]), Fraction(domain[1])),)
    assert resolve_signs(sp.Piecewise((x, condition), (x**3, True)), [x], box) == piece


@pytest.mark.parametrize("condition", [x > 0, sp.Eq(x, 0), (x > 0) & (x < 5), sp.Symbol("x") >= 0])
def test_pieces_that_meet_are_refused(condition: sp.Basic) -> None:
    with pytest.raises(ValueError, match="not smooth"):
        C.approximate(sp.Piecewise((x, condition), (-x, True)), {x: (-1, 1)}, 1e-3)


def test_real_domains_are_covered_to_the_end() -> None:
    function = BallFunction(1 / (x - sp.Rational(1, 3)), [x])
    box = cover_real_domain(function, ((Fraction(0), Fraction(1)),), lambda ball: ball.is_finite())
    assert box is not None
    assert box[0][0] <= Fraction(1, 3) <= box[0][1]
    assert interval(Fraction(1, 3), Fraction(1, 2)).contains(arb(1) / 3)


# --- The network is the polynomial -------------------------------------------------------------------------------


def polynomial_strategy(max_degree: int) -> st.SearchStrategy[dict[int, Fraction]]:
    return st.dictionaries(st.integers(0, max_degree), coefficient, max_size=12)


@given(polynomial_strategy(40).filter(lambda p: any(k > 1 and c for k, c in p.items())), st.integers(0, 8))
def test_splitting_is_exact(p: dict[int, Fraction], at: int) -> None:
    m = 2 ** (levels([p]) - 1)
    q, r = split(p, max(m, 1))
    t = Fraction(at, 7) - Fraction(1, 2)
    power = chebyshev_value({m: Fraction(1)}, t)
    assert chebyshev_value(q, t) * power + chebyshev_value(r, t) == chebyshev_value(p, t)
    assert max(q, default=0) <= m
    assert max(r, default=0) < m


@given(st.lists(polynomial_strategy(70), min_size=1, max_size=3), st.one_of(st.none(), st.integers(0, 7)))
def test_one_variable_is_exact_at_every_basis_level(polynomials: list[dict[int, Fraction]], level: int | None) -> None:
    network = chebyshev_polynomial(
        variables=["x"], domain=[("-1/2", 3)], order=[0], basis_level=level,
        factors=[{"shape": [len(polynomials)], "polynomials": [list(p.items()) for p in polynomials]}],
    )  # fmt: skip
    assert isinstance(network, Approximation)
    degree = max((k for p in polynomials for k, c in p.items() if c), default=0)
    assert network.depth == max(1, math.ceil(math.log2(max(degree, 1))))
    for point in (Fraction(-1, 2), Fraction(1, 3), Fraction(2)):
        t = (2 * point - Fraction(5, 2)) / Fraction(7, 2)
        values = network.decode(network.evaluate(network.encode([point])))
        assert list(values) == [chebyshev_value(p, t) for p in polynomials]


@given(st.randoms(use_true_random=False), st.integers(2, 3), st.integers(1, 2))
def test_several_variables_are_exact(source: random.Random, n: int, n_outputs: int) -> None:
    ranks = [source.randint(1, 3) for _ in range(n - 1)]
    shapes = [[rank] for rank in ranks] + [[*reversed(ranks), n_outputs]]
    factors = []
    for shape in shapes:
        degree = source.choice([0, 1, 3, 6, 17])
        entries = [
            [(k, Fraction(source.randint(-5, 5), source.randint(1, 3))) for k in range(degree + 1)]
            for _ in range(math.prod(shape))
        ]
        factors.append({"shape": shape, "polynomials": entries})
    order = source.sample(range(n), n)
    names = ["x", "y", "z"][:n]
    network = chebyshev_polynomial(variables=names, domain=[(-1, 1)] * n, order=order, factors=factors)
    point = [Fraction(source.randint(-9, 9), 9) for _ in range(n)]
    found = network.decode(network.evaluate(network.encode(point)))
    values = []
    for axis, factor in zip(order, factors, strict=True):
        flat = [chebyshev_value(dict(p), point[axis]) for p in factor["polynomials"]]
        values.append(np.array(flat, dtype=object).reshape(factor["shape"]))
    expected = values[0] @ (values[1] if n == 2 else np.tensordot(values[1], values[2], axes=1))
    assert list(found) == list(expected)
    degree = max([k for f in factors for p in f["polynomials"] for k, c in p if c] + [1])
    assert network.depth <= max(1, (degree - 1).bit_length() + (n - 1).bit_length())


def test_width_grows_like_the_square_root_of_the_degree() -> None:
    widths = []
    for degree in (64, 256):
        factor = {"shape": [1], "polynomials": [[(k, Fraction(1, k + 1)) for k in range(degree + 1)]]}
        arguments = {"variables": ["x"], "domain": [(-1, 1)], "order": [0], "factors": [factor]}
        narrow = chebyshev_polynomial(**arguments)
        doubling = chebyshev_polynomial(**arguments, basis_level=20)
        assert narrow.depth == doubling.depth == int(math.log2(degree))
        assert doubling.width >= degree // 2
        widths.append(narrow.width)
    assert widths[1] <= 2.5 * widths[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"order": [1]}, "expected one to three variables"),
        ({"domain": [(1, 1)]}, "low end below"),
        ({"factors": [{"shape": [2, 1], "polynomials": [[], []]}]}, "shapes"),
        ({"factors": [{"shape": [1], "polynomials": [[(10**6, 1)]]}]}, "degree is above"),
        ({"factors": [{"shape": [1], "polynomials": [[(-1, 1)]]}]}, "degree must be"),
        ({"error_bound": -1}, "error_bound"),
        ({"basis_level": -1}, "basis_level"),
    ],
)
def test_polynomials_that_do_not_fit(change: dict[str, object], reason: str) -> None:
    arguments = {"variables": ["x"], "domain": [(0, 1)], "order": [0],
                 "factors": [{"shape": [1], "polynomials": [[(1, 1)]]}]}  # fmt: skip
    chebyshev_polynomial(**arguments)
    with pytest.raises(ValueError, match=reason):
        chebyshev_polynomial(**(arguments | change))


@given(st.randoms(use_true_random=False), st.integers(1, 3))
def test_separation_keeps_its_word(source: random.Random, n: int) -> None:
    shape = [source.randint(1, 5) + 1 for _ in range(n)] + [source.randint(1, 2)]
    balls = np.empty(shape, dtype=object)
    for index in np.ndindex(*shape):
        balls[index] = arb(source.uniform(-1, 1) * 2.0 ** -sum(index[:-1]), 1e-12)
    tolerance = Fraction(1, 10 ** source.randint(1, 8))
    separated, error = separate(balls, tolerance)
    assert error <= tolerance
    exact = separated.coefficients()
    total = np.zeros(shape[-1])
    for index in np.ndindex(*shape):
        inside = all(i < s for i, s in zip(index, exact.shape, strict=True))
        total[index[-1]] += abs(float(balls[index].mid()) - float(exact[index] if inside else 0))
    assert total.max() <= float(error)


def test_coefficients_that_are_too_vague_are_refused() -> None:
    vague = np.array([[arb(1, 0.1)], [arb(0, 0.1)]], dtype=object)
    with pytest.raises(ValueError, match="tolerance is too small"):
        separate(vague, Fraction(1, 1000))


@given(st.fractions(min_value="1/1000000000000", max_value=10**6, max_denominator=10**15))
def test_rounding_up(value: Fraction) -> None:
    rounded = round_up(value)
    assert value <= rounded <= value * Fraction(100_001, 100_000)


# --- Encoding, decoding, files -----------------------------------------------------------------------------------


def test_encode_and_decode() -> None:
    network = C.approximate([x * sp.exp(y), sp.sin(x - y)], {x: (-1, 1), y: (0, "1/2")}, 1e-8)
    module = network.to_torch(dtype=torch.float64)
    points = torch.rand(7, 3, 2, dtype=torch.float64) * torch.tensor([2.0, 0.5]) - torch.tensor([1.0, 0.0])
    expected = torch.stack([points[..., 0] * points[..., 1].exp(), (points[..., 0] - points[..., 1]).sin()], dim=-1)
    for values in (points, [points[..., 0], points[..., 1]]):
        found = network.decode(module(network.encode(values)))
        assert found.shape == (7, 3, 2)
        assert (found - expected).abs().max() <= float(network.error_bound) + 1e-14
    single = network.decode(module(network.encode(points[0, 0])))
    assert single.shape == (2,)
    assert torch.allclose(single, found[0, 0], rtol=0, atol=1e-14)
    arrays = network.decode(network.evaluate(network.encode([points[..., 0].numpy(), points[..., 1].numpy()])))
    assert np.abs(arrays - expected.numpy()).max() <= float(network.error_bound) + 1e-14
    exact = network.decode(network.evaluate(network.encode([Fraction(1, 3), Fraction(1, 4)])))
    assert exact.shape == (2,)
    assert abs(float(exact[1]) - math.sin(1 / 12)) <= float(network.error_bound) + 1e-15
    symbolic = network.evaluate(network.encode([flint.fmpq_poly([0, 1]), flint.fmpq_poly([flint.fmpq(1, 10), 1])]))
    assert (
        network.decode(symbolic)[0](flint.fmpq(1, 5))
        == network.decode(network.evaluate(network.encode([flint.fmpq(1, 5), flint.fmpq(3, 10)])))[0]
    )


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([Fraction(2)], "outside"),
        ([1.01], "outside"),
        (torch.tensor([[0.5], [-1.5]]), "x = -1.5 lies outside"),
        (torch.tensor([math.nan]), "NaN"),
        (np.array([[0.1, 0.2]]), "expected 1 values"),
        ([Fraction(0), Fraction(0)], "expected 1 values"),
        (torch.tensor([1]), "floating-point"),
    ],
)
def test_encode_refuses(values: object, reason: str) -> None:
    network = C.approximate(sp.exp(x), {x: (-1, 1)}, 1e-3)
    network.encode([Fraction(1)])
    with pytest.raises(ValueError, match=reason):
        network.encode(values)


def test_rounded_ends_of_the_domain_are_inside() -> None:
    network = C.approximate(sp.exp(x), {x: ("1/10", "7/10")}, 1e-3)
    network.encode(torch.tensor([[0.1], [0.7]], dtype=torch.float32))


def test_save_and_load(tmp_path) -> None:  # type: ignore[no-untyped-def]
    network = C.approximate(sp.exp(x * y), {x: (-1, 1), y: (0, 1)}, 1e-4)
    network.save(tmp_path / "exp.safetensors")
    loaded = C.load(tmp_path / "exp.safetensors")
    assert isinstance(loaded, Approximation)
    assert (loaded.error_bound, loaded.degree, loaded.depth) == (network.error_bound, network.degree, network.depth)
    point = [Fraction(1, 7), Fraction(2, 5)]
    assert list(loaded.evaluate(loaded.encode(point)).flat) == list(network.evaluate(network.encode(point)).flat)
    assert "exp" not in str(loaded.parameters["factors"])


def test_constants_and_affine_functions() -> None:
    constant = C.approximate(3, {x: (0, 1)}, 1e-3)
    assert constant.depth == 1
    assert constant.decode(constant.evaluate(constant.encode([Fraction(1, 2)])))[0] == 3
    affine = C.approximate(x / 4 + 1, {x: (0, 1)}, 1e-3)
    assert (affine.depth, affine.degree) == (1, 1)
    assert C.approximate(2 * x * y, {x: (0, 1), y: (-1, 1)}, 1e-3).depth == 1


def test_the_order_of_the_domain_is_the_order_of_the_inputs() -> None:
    for order in ((x, y, z), (z, x, y), (y, z, x)):
        network = C.approximate(sp.exp(x) + y * z, dict.fromkeys(order, (0, 1)), 1e-4)
        values = {x: Fraction(1, 2), y: Fraction(1, 3), z: Fraction(1, 5)}
        found = network.decode(network.evaluate(network.encode([values[v] for v in order])))[0]
        assert abs(float(found) - math.exp(0.5) - 1 / 15) < 1e-4


@pytest.mark.parametrize(
    "f", [sp.sec(x), sp.erfi(x), sp.coth(x + 3), sp.csch(x + 3), sp.Abs(x + 2), sp.exp(sp.sqrt(2) * x) * 2**x * sp.E,
          (x + 3) ** sp.pi, sp.Float(0.1) * sp.exp(x), sp.Integer(3), sum(sp.sin(i * x + 1) for i in range(100))],
)  # fmt: skip
def test_functions_are_saved_whole_and_proved_again(f: sp.Expr, tmp_path: Path) -> None:
    network = C.approximate(f, {x: (-1, 1)}, 1e-3)
    network.save(tmp_path / "f.safetensors")
    loaded = C.load(tmp_path / "f.safetensors")
    assert isinstance(loaded, Approximation)
    assert loaded.error_bound == network.error_bound
    result = check(loaded)
    assert result.ok
    assert "the error bound is proved again" in result.message


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (x**2000 + sp.exp(x), "exponent is above"),
        (sp.sin(sp.Symbol("lambda")), "cannot read the expression"),
        (sum(sp.sin(sp.Rational(i, 9**9) * x + i) for i in range(1, 800)), "characters, the limit is 20000"),
    ],
)
def test_functions_that_could_not_be_read_back_are_not_saved(f: sp.Expr, reason: str, tmp_path: Path) -> None:
    (variable,) = f.free_symbols
    network = C.approximate(f, {variable: (0, 1)}, 10)
    with pytest.raises(ValueError, match=reason):
        network.save(tmp_path / "f.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("claim", ["0", "1/1000000000"])
def test_a_bound_that_is_too_good_is_refused_even_where_it_is_zero(claim: str) -> None:
    network = C.approximate(sp.exp(x), {x: (-1, 1)}, 1e-6)
    boast = rebuild(network.algorithm, {**network.parameters, "error_bound": claim})
    result = check(boast)
    assert not result.ok
    assert "the weights are proved to within" in result.message
