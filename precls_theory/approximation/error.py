"""Proofs of the error of a network that approximates functions, from its weights alone.

The construction computes a bound on the way to the weights. Here the weights are taken as they are: the polynomials
that the network computes are extracted exactly, and their distance from the functions is enclosed anew.

* :func:`taylor_error` (one variable): Taylor expansions with remainder on a subdivision of the interval, in balls;
  it shares nothing with the construction but the network.
* :func:`chebyshev_error` (one to three variables): Chebyshev coefficients of the difference, the function replaced by
  an interpolant of higher degree whose error is proved on Bernstein ellipses.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction

import flint
import numpy as np
import sympy as sp
import torch
from flint import acb, arb, arb_poly, arb_series

from constructions.approximation.ball_functions import BallFunction, exact_numbers, rational, resolve_signs
from constructions.approximation.ellipses import interpolate, is_moderate, log2_above, upper
from constructions.networks.base import ExactNetwork
from constructions.networks.function_task import Domain, FunctionTask
from constructions.networks.stack import LayerStack

DEFAULT_TARGET = Fraction(1, 10**30)
"""To within how much an error is enclosed for a network that claims to have none."""


def function_task(network: ExactNetwork) -> tuple[FunctionTask, Domain]:
    """The task and domain of an approximating network; ``ValueError`` when it is another kind of network."""
    task = network.task
    if not isinstance(task, FunctionTask) or task.domain is None:
        raise ValueError(f"expected a network built by approximate, got {network!r}")
    return task, task.domain


def extract_polynomials(network: LayerStack) -> list[np.ndarray]:
    """What the network computes, exactly: for each output the coefficients of monomials in the variables on [−1, 1].

    Each array has shape (d_1+1, …, d_n+1), entries ``fmpq``; variable v is ``middle_v + half_v · t_v``.
    """
    task, domain = function_task(network)
    n = len(domain)
    context = flint.fmpq_mpoly_ctx.get([f"t{index}" for index in range(n)], "lex")
    point = np.empty((1, n), dtype=object)
    for index, (t, (low, high)) in enumerate(zip(context.gens(), domain, strict=True)):
        point[0, index] = rational((high - low) / 2) * t + rational((high + low) / 2)
    outputs = network.evaluate(point)[0, list(task.columns)]
    arrays = []
    for polynomial in outputs:
        terms = polynomial.to_dict()
        degrees = [max((exponents[axis] for exponents in terms), default=0) for axis in range(n)]
        array = np.full([degree + 1 for degree in degrees], flint.fmpq(0), dtype=object)
        for exponents, coefficient in terms.items():
            array[tuple(int(exponent) for exponent in exponents)] = coefficient
        arrays.append(array)
    return arrays


def monomials_to_chebyshev(coefficients: np.ndarray) -> np.ndarray:
    """The same polynomial in the Chebyshev basis, exactly, by ``2t T_j = T_{j+1} + T_{|j−1|}``; entries ``fmpq``."""
    for axis in range(coefficients.ndim):
        monomials = np.moveaxis(coefficients, axis, 0)
        total = np.full(monomials.shape, flint.fmpq(0), dtype=object)
        power = np.array([1], dtype=object)  # (2t)^k, its coefficients of T_{k mod 2}, T_{k mod 2 + 2}, …, T_k
        for k, monomial in enumerate(monomials):
            total[k % 2 : k + 1 : 2] += np.multiply.outer(power, monomial / flint.fmpz(2) ** k)
            if k % 2:
                power = np.append(power, 0) + np.append(0, power)
            else:
                first = power[0]
                power = power + np.append(power[1:], 0)
                power[0] += first  # 2t T_0 = 2 T_1
        coefficients = np.moveaxis(total, 0, axis)
    return coefficients


def chebyshev_error(network: LayerStack, functions: Sequence[sp.Expr], claimed: Fraction | None = None) -> Fraction:
    """A proved bound of ``max |network − functions|`` on the network's domain: ``Σ_k |c_k − p_k|`` plus interpolation.

    ``functions`` are in the network's variables and in the order of its outputs. The interpolants are proved to within
    a thousandth of the claimed bound (that of the network by default).
    """
    task, domain = function_task(network)
    if len(functions) != len(task.columns):
        raise ValueError(f"the network has {len(task.columns)} outputs, got {len(functions)} functions")
    bound = task.error_bound if claimed is None else claimed
    variables = [sp.Symbol(name) for name in task.variables]
    fine = (bound or DEFAULT_TARGET) / 1000
    worst = Fraction(0)
    for function, monomials in zip(functions, extract_polynomials(network), strict=True):
        smooth = resolve_signs(exact_numbers(function), variables, domain)
        interpolant = interpolate(smooth, variables, domain, fine, effort=2)
        polynomial = monomials_to_chebyshev(monomials)
        shape = tuple(np.maximum(polynomial.shape, interpolant.coefficients.shape))
        difference: np.ndarray = np.full(shape, arb(0), dtype=object)
        difference[tuple(slice(0, size) for size in interpolant.coefficients.shape)] = interpolant.coefficients
        bits = max(int(c.p).bit_length() + int(c.q).bit_length() for c in polynomial.flat)
        with flint.ctx.workprec(128 + bits + max(0, log2_above(1 / fine))):
            corner = tuple(slice(0, size) for size in polynomial.shape)
            difference[corner] = difference[corner] - polynomial
            worst = max(worst, interpolant.error + upper(arb(sum(abs(ball) for ball in difference.flat))))
    return worst


class NoSeriesError(ValueError):
    """A function whose Taylor series python-flint does not have."""


_SERIES: Mapping[sp.FunctionClass, Callable[[arb_series], arb_series]] = {
    sp.exp: arb_series.exp, sp.sin: arb_series.sin, sp.cos: arb_series.cos, sp.log: arb_series.log,
    sp.erf: arb_series.erf, sp.erfc: arb_series.erfc, sp.tan: arb_series.tan, sp.atan: arb_series.atan,
    sp.asin: arb_series.asin, sp.acos: arb_series.acos,
}  # fmt: skip


_QUOTIENTS: Mapping[sp.FunctionClass, tuple[sp.FunctionClass | None, sp.FunctionClass]] = {
    sp.sec: (None, sp.cos),
    sp.csc: (None, sp.sin),
    sp.cot: (sp.cos, sp.sin),
}
"""Quotients of functions that have a series (None is 1): by exponentials they would be complex."""


@contextmanager
def _terms_kept(length: int) -> Iterator[None]:
    """python-flint cuts every series at ``ctx.cap`` terms (10 unless told), whatever its own precision says."""
    before = flint.ctx.cap
    flint.ctx.cap = length
    try:
        yield
    finally:
        flint.ctx.cap = before


def series(expression: sp.Expr, variable: sp.Symbol, at: arb, length: int) -> arb_series:
    """The Taylor coefficients of ``expression`` at every point of the ball ``at``, enclosed: an ``arb_series``.

    Raises :class:`NoSeriesError` for a function that has none here; hyperbolic functions are rewritten by exponentials.
    """
    known: dict[sp.Expr, arb_series] = {variable: arb_series([at, 1], length)}

    def build(e: sp.Expr) -> arb_series:
        if e not in known:
            known[e] = compute(e)
        return known[e]

    def compute(e: sp.Expr) -> arb_series:
        if e.is_Rational:
            return arb_series([arb(rational(e))], length)
        if e is sp.pi:
            return arb_series([arb.pi()], length)
        if e.is_Add:
            return sum((build(a) for a in e.args[1:]), build(e.args[0]))
        if e.is_Mul:
            return math.prod((build(a) for a in e.args[1:]), start=build(e.args[0]))
        if e.is_Pow and e.exp.is_Integer:
            power = build(e.base) ** abs(int(e.exp))
            return power if e.exp > 0 else 1 / power
        if e.is_Pow and e.base is not sp.E:
            return build(e.base).sqrt() if e.exp == sp.Rational(1, 2) else (build(e.exp) * build(e.base).log()).exp()
        if isinstance(e, sp.exp) or (e.is_Pow and e.base is sp.E):
            return build(e.exp if e.is_Pow else e.args[0]).exp()
        if e is sp.E:
            return arb_series([arb(1).exp()], length)
        if e.func in _SERIES:
            return _SERIES[e.func](build(e.args[0]))
        if e.func in _QUOTIENTS:
            above, below = (1 if part is None else _SERIES[part](build(e.args[0])) for part in _QUOTIENTS[e.func])
            return above / below
        argument = sp.Dummy()
        rewritten = e.func(argument).rewrite(sp.exp) if len(e.args) == 1 else e
        if any(part.func is not sp.exp for part in rewritten.atoms(sp.Function)):
            raise NoSeriesError(f"{e.func.__name__} has no Taylor series here: use chebyshev_error")
        return build(rewritten.xreplace({argument: e.args[0]}))

    with _terms_kept(length):
        return build(expression)


def taylor_error(
    network: LayerStack, function: sp.Expr, claimed: Fraction | None = None, max_parts: int = 4000
) -> Fraction:
    """A proved bound of ``|network − function|`` for one variable: at most ``claimed`` if that could be shown.

    On [c − r, c + r] the error is ``Σ_{k<m} a_k h^k + A_m h^m``, with a_k the Taylor coefficients at c and A_m those
    over the whole part, so at most ``Σ |a_k| r^k + |A_m| r^m``. The part with the largest bound is halved until all are
    below ``claimed`` (the network's own bound by default), or ``max_parts`` are reached.
    """
    task, domain = function_task(network)
    if len(domain) != 1 or len(task.columns) != 1:
        raise ValueError("taylor_error takes a network of one variable and one output: use chebyshev_error")
    target = (task.error_bound if claimed is None else claimed) or DEFAULT_TARGET
    (low, high) = domain[0]
    middle, half = (low + high) / 2, (high - low) / 2
    variable = sp.Symbol(task.variables[0])
    t = sp.Dummy("t")
    unit = resolve_signs(exact_numbers(function), [variable], domain).xreplace(
        {variable: sp.Rational(str(middle)) + sp.Rational(str(half)) * t}
    )
    coefficients = list(extract_polynomials(network)[0])
    bits = 96 + 2 * len(coefficients) + max(int(c.p).bit_length() + int(c.q).bit_length() for c in coefficients)
    bits += max(0, log2_above(1 / target))
    order = 24

    def part(a: Fraction, b: Fraction) -> tuple[bool, Fraction, Fraction, Fraction]:
        """(bounded, minus the bound, a, b): the worst part is the least."""
        center, radius = (a + b) / 2, (b - a) / 2
        shifted = flint.fmpq_poly(coefficients)(flint.fmpq_poly([rational(center), 1]))
        r = arb(rational(radius))
        # the series of a polynomial may be shorter than asked for: what is missing is zero
        try:
            at_center = series(unit, t, arb(rational(center)), order).coeffs()
            around = series(unit, t, arb(rational(center)) + arb(0, 1) * r, order + 1).coeffs()
        except NoSeriesError:
            raise
        except ValueError:  # a denominator that may vanish on so large a part
            return False, Fraction(0), a, b
        polynomial = [arb(c) for c in shifted.coeffs()]
        difference = arb_poly(at_center) - arb_poly(polynomial)
        total = sum((abs(c) * r**k for k, c in enumerate(difference.coeffs())), arb(0))
        if len(around) > order:
            total += abs(around[order]) * r**order
        return (True, -upper(total), a, b) if is_moderate(total) else (False, Fraction(0), a, b)

    with flint.ctx.workprec(bits):
        parts = [part(Fraction(-1), Fraction(1))]
        while len(parts) < max_parts and (not parts[0][0] or -parts[0][1] > target):
            _, _, a, b = heapq.heappop(parts)
            for ends in ((a, (a + b) / 2), ((a + b) / 2, b)):
                heapq.heappush(parts, part(*ends))
    if not parts[0][0]:
        raise ValueError(f"{function} could not be expanded near {float(middle + half * parts[0][2]):.6g}")
    return -parts[0][1]


def sample_points(network: LayerStack, n_points: int, seed: int = 0) -> np.ndarray:
    """A grid of the domain with its ends, and as many random points: shape (≥ n_points, n_variables), of Fractions."""
    _, domain = function_task(network)
    per_axis = max(2, math.ceil(n_points ** (1 / len(domain)) - 1e-9))
    unit = [Fraction(i, per_axis - 1) for i in range(per_axis)]
    source = random.Random(seed)
    grid = list(itertools.product(unit, repeat=len(domain)))
    grid += [tuple(Fraction(source.getrandbits(40), 2**40) for _ in domain) for _ in grid]
    points = np.empty((len(grid), len(domain)), dtype=object)
    for axis, (low, high) in enumerate(domain):
        points[:, axis] = [low + (high - low) * point[axis] for point in grid]
    return points


def exact_values(
    functions: Sequence[sp.Expr], names: Sequence[str], points: np.ndarray, digits: int = 60
) -> np.ndarray:
    """The functions at rational points, shape (n_points, n_functions), of ``arb`` with about ``digits`` digits."""
    variables = [sp.Symbol(name) for name in names]
    with flint.ctx.workprec(int(digits * 3.4)):
        compiled = [BallFunction(exact_numbers(function), variables) for function in functions]
        inputs = [[acb(rational(value)) for value in point] for point in points]
        values = np.empty((len(inputs), len(compiled)), dtype=object)
        for row, point in enumerate(inputs):
            for column, function in enumerate(compiled):
                values[row, column] = function(point).real
    return values


def errors_at(network: LayerStack, functions: Sequence[sp.Expr], points: np.ndarray) -> np.ndarray:
    """``network − functions`` at rational points (n_points, n_variables): shape (n_points, n_functions).

    In balls of 60 digits, and of more until their radius is far below the bound that the network claims.
    """
    task, _ = function_task(network)
    enough = arb(rational(task.error_bound or DEFAULT_TARGET)) / 1000
    for digits in (60 * 2**i for i in range(8)):
        reference = exact_values(functions, task.variables, points, digits)
        with flint.ctx.workprec(int(digits * 3.4)):
            balls = np.frompyfunc(lambda value: arb(rational(value)), 1, 1)(points)
            errors = network.evaluate(balls[:, None, :])[:, 0, list(task.columns)] - reference
        if all(error.rad() < enough for error in errors.flat):
            return np.frompyfunc(lambda error: float(error.mid()), 1, 1)(errors).astype(float)
    raise ValueError(f"the error of {network!r} could not be computed to within its bound, even in {digits} digits")


def measure(network: LayerStack, functions: Sequence[sp.Expr], n_points: int = 500, seed: int = 0) -> dict[str, float]:
    """The largest ``|network − functions|`` on :func:`sample_points` in ``exact`` arithmetic, ``float64``, ``float32``.

    In floating point the network is given the rounded point; the error is against the function at the unrounded one,
    as a user sees it, and infinite where numbers overflow; reference values have 60 digits.
    """
    task, _ = function_task(network)
    points = sample_points(network, n_points, seed)
    measured = {"exact": float(np.abs(errors_at(network, functions, points)).max())}
    reference = exact_values(functions, task.variables, points)
    for dtype in (torch.float64, torch.float32):
        output = _floating_point(network, points, dtype)
        with flint.ctx.workprec(204):
            errors = np.frompyfunc(lambda a, b: float(abs(arb(a) - b).mid()), 2, 1)(output, reference).astype(float)
        measured[str(dtype).removeprefix("torch.")] = float(np.nan_to_num(errors, nan=math.inf).max())
    return measured


def _floating_point(network: LayerStack, points: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """The network at the rounded points (n_points, n_functions), in float64; NaN when a weight overflows ``dtype``."""
    inputs = torch.tensor(points.astype(float), dtype=dtype)
    try:
        with torch.no_grad():
            return network.decode(network.to_torch(dtype=dtype)(network.encode(inputs))).double().numpy()
    except OverflowError:
        return np.full((len(points), len(network.task.columns)), math.nan)
