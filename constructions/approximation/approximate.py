"""Networks for smooth functions, with a proven error: a Chebyshev interpolant, shortened, in the least depth.

Universal approximation with explicit constants (Thm. 4.2, Props. D.43 and D.44 of Liu et al. 2025): the error bound of
:mod:`constructions.approximation.ellipses`, the exact loss of :mod:`constructions.approximation.separated`, and the networks of
:mod:`constructions.approximation.chebyshev_network`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from numbers import Rational

import numpy as np
import sympy as sp
from flint import arb

from constructions.algebra.rationals import check_exponent
from constructions.approximation.ball_functions import Box, exact_numbers, resolve_signs
from constructions.approximation.chebyshev_network import (
    LABEL_SEPARATOR,
    Approximation,
    ChebyshevParameters,
    chebyshev_polynomial,
    narrowest_level,
)
from constructions.approximation.ellipses import Interpolant, interpolate
from constructions.approximation.expressions import as_expressions, as_symbols, unknown_symbols
from constructions.approximation.parser import parse_expression
from constructions.approximation.separated import separate

INTERPOLATION_SHARE = Fraction(1, 16)
"""Part of the tolerance spent on interpolation; the rest pays for dropping and rounding coefficients."""


def approximate(
    f: sp.Expr | str | Sequence[sp.Expr | str],
    domain: Mapping[sp.Symbol | str, tuple[object, object]],
    tolerance: Fraction | int | float | str,
    *,
    basis_level: int | None = None,
) -> Approximation:
    """A network that computes ``f`` on a box to within ``tolerance``, with the proven error in ``error_bound``.

    ``f`` is a SymPy expression of one to three variables (or text for
    :func:`~constructions.approximation.parser.parse_expression`), or a list of them; ``domain`` maps each variable to
    its interval ``(low, high)``. ``net.encode([value, …])`` takes the variables in the order of ``domain``, shape
    (..., n_variables); ``net.decode`` gives the functions in the order of ``f``, shape (..., n_functions).

    Depth: max(1, ⌈log2 d⌉) for one variable, at most ⌈log2 d⌉ + ⌈log2 n⌉ for n variables,
    d the largest degree. ``basis_level`` trades width: see :mod:`constructions.approximation.chebyshev_network`.

    Raises ``ValueError`` for a function that is not analytic on the domain (with the place and the reason), for complex
    or undefined expressions, for a bad domain or tolerance, and when the degree needed is above the limits.
    """
    given = as_expressions(f)
    variables, box = _read_domain(domain, given)
    bound = _read_tolerance(tolerance)
    expressions = _read_functions(given, variables)
    expressions = [resolve_signs(expression, variables, box) for expression in expressions]
    interpolants = [interpolate(expression, variables, box, bound * INTERPOLATION_SHARE) for expression in expressions]
    # The variable of the highest degree goes first: it is multiplied last, and has a layer more to be ready.
    degrees = np.array([interpolant.degrees for interpolant in interpolants]).max(axis=0)
    order = sorted(range(len(variables)), key=lambda axis: (-degrees[axis], axis))
    error = max(interpolant.error for interpolant in interpolants)
    separated, loss = separate(_stack(interpolants).transpose(*order, -1), bound - error)
    polynomial = ChebyshevParameters(
        variables=[str(variable) for variable in variables], domain=box, order=order, factors=separated.parameters()
    )
    network = chebyshev_polynomial(
        **polynomial,
        basis_level=narrowest_level(**polynomial) if basis_level is None else basis_level,
        error_bound=min(bound, round_up(error + loss)),
        label=LABEL_SEPARATOR.join(map(str, expressions)),
    )
    assert isinstance(network, Approximation)
    return network


def round_up(value: Fraction, digits: int = 6) -> Fraction:
    """The least decimal number of ``digits`` significant digits that is at least ``value``, and 10^−300 for less."""
    if value <= 0:
        return Fraction(0)
    value = max(value, Fraction(1, 10**300))
    exponent = digits - 1 - math.floor(math.log10(value.numerator) - math.log10(value.denominator))
    unit = Fraction(10) ** -exponent
    return math.ceil(value / unit) * unit


def _stack(interpolants: Sequence[Interpolant]) -> np.ndarray:
    """Coefficients of all functions in one array, shape (d_1+1, …, n_functions), padded with zeros."""
    shape = tuple(np.array([interpolant.coefficients.shape for interpolant in interpolants]).max(axis=0))
    stacked: np.ndarray = np.full((*shape, len(interpolants)), arb(0), dtype=object)
    for index, interpolant in enumerate(interpolants):
        place: tuple[slice | int, ...] = (*(slice(0, size) for size in interpolant.coefficients.shape), index)
        stacked[place] = interpolant.coefficients
    return stacked


def _read_domain(
    domain: Mapping[sp.Symbol | str, tuple[object, object]], expressions: Sequence[object]
) -> tuple[list[sp.Symbol], Box]:
    if not isinstance(domain, Mapping) or not 1 <= len(domain) <= 3:
        raise ValueError(f"domain must map one to three variables to intervals, as in {{x: (-1, 1)}}, got {domain!r}")
    for key in domain:
        if not isinstance(key, sp.Symbol | str) or not str(key).isidentifier():
            raise ValueError(f"the keys of domain must be symbols or names, got {key!r}")
    variables = as_symbols(list(domain), expressions)
    box = []
    for variable, ends in zip(variables, domain.values(), strict=True):
        if not isinstance(ends, tuple | list) or len(ends) != 2:
            raise ValueError(f"the domain of {variable} must be a pair (low, high), got {ends!r}")
        low, high = (_exact(f"the domain of {variable}", end) for end in ends)
        if low >= high:
            problem = "empty" if low == high else "reversed"
            raise ValueError(f"the domain of {variable} is {problem}: expected low < high, got ({low}, {high})")
        box.append((low, high))
    return variables, tuple(box)


def _exact(what: str, value: object) -> Fraction:
    """A finite real number as the rational that it is (a float as its binary value); ``ValueError`` otherwise."""
    if isinstance(value, str) or (isinstance(value, sp.Float) and value.is_finite):
        check_exponent(what, str(value))
    if isinstance(value, sp.Expr):
        if not value.is_Rational and not value.is_Float:
            raise ValueError(f"{what} must be a finite rational number, got {value}")
        value = Fraction(int(sp.Rational(value).p), int(sp.Rational(value).q))
    if isinstance(value, complex | np.complexfloating):
        raise ValueError(f"{what} must be a real number, got the complex number {value}")
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        raise ValueError(f"{what} must be finite, got {value}")
    if isinstance(value, bool) or not isinstance(value, Rational | float | np.floating | str):
        raise ValueError(f"{what} must be a number, got {value!r}")
    try:
        return Fraction(value if isinstance(value, str | Rational) else float(value))
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{what} must be a number, got {value!r}") from error


def _read_tolerance(tolerance: object) -> Fraction:
    value = _exact("tolerance", tolerance)
    if value <= 0:
        raise ValueError(f"tolerance must be above zero, got {tolerance}")
    if not Fraction(1, 10**200) <= value <= 10**200:
        raise ValueError(f"tolerance must be at least 1e-200 and at most 1e200, got {tolerance}")
    return value


def _read_functions(given: Sequence[object], variables: Sequence[sp.Symbol]) -> list[sp.Expr]:
    if not given:
        raise ValueError("f is an empty list: give at least one expression")
    expressions = [_read_function(item, variables) for item in given]
    missing = sorted({name for e in expressions if (name := unknown_symbols(e, variables))})
    if missing:
        raise ValueError(f"no domain is given for {', '.join(missing)}: expected an interval for every variable of f")
    used = set().union(*(expression.free_symbols for expression in expressions))
    unused = ", ".join(sorted(map(str, set(variables) - used)))
    if unused and used:
        raise ValueError(f"the domain names {unused}, which does not occur in f: leave it out")
    return expressions


def _read_function(item: object, variables: Sequence[sp.Symbol]) -> sp.Expr:
    expression = parse_expression(item, variables) if isinstance(item, str) else item
    if isinstance(expression, int | float | Fraction) and not isinstance(expression, bool):
        number = _exact("f", expression)
        expression = sp.Rational(number.numerator, number.denominator)
    if not isinstance(expression, sp.Expr):
        raise ValueError(f"f must be a SymPy expression or a list of them, got {type(item).__name__}: {item!r}")
    undefined = [number for number in (sp.nan, sp.zoo, sp.oo, -sp.oo) if expression.has(number)]
    if undefined:
        raise ValueError(f"f is not a number anywhere: {expression} contains {undefined[0]}")
    if expression.has(sp.I):
        raise ValueError(f"f must be real, but {expression} contains the imaginary unit I")
    return exact_numbers(expression)
