"""Chebyshev interpolants with a proven error: Bernstein ellipses, enclosed by Arb balls.

**Theorem** (Bernstein; Trefethen, *Approximation Theory and Approximation Practice*, Thms. 8.1, 8.2). Let f be analytic
and |f| ≤ M on the closed ellipse E_ρ with foci ±1 and semi-axes (ρ ± 1/ρ)/2, ρ > 1. Then the Chebyshev coefficients
of f satisfy |c_k| ≤ 2Mρ^{−k}, and the interpolant p_n in the n+1 Chebyshev points cos(jπ/n) satisfies
``|f − p_n| ≤ 4Mρ^{−n}/(ρ−1)`` on [−1, 1].
*Proof of the second part from the first.* At those points each T_k with k > n equals some T_j with j ≤ n, hence
f − p_n = Σ_{k>n} c_k (T_k − T_j(k)), and each difference is at most 2.

**Several variables.** With I_v the interpolation in variable v and Λ_n ≤ 1 + (2/π) log(n+1) its norm (ibid.,
Thm. 15.2), f − I_1 I_2 I_3 f = (f − I_1 f) + I_1 (f − I_2 f) + I_1 I_2 (f − I_3 f), so that the error is at most
``e_1 + Λ_1 e_2 + Λ_1 Λ_2 e_3``, with e_v the bound above for f in variable v alone, the other variables *real* in their
intervals. So f is enclosed on a product of one ellipse and intervals, never on a product of ellipses.

The hypothesis is proved, not assumed: balls cover the filled ellipse and must stay finite, which shows that no pole
and no branch cut is met; balls over a subdivision of the boundary bound M (maximum principle). By symmetry,
f(z̄) = conj f(z), the upper half suffices.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import flint
import numpy as np
import sympy as sp
from flint import acb, arb

from constructions.approximation.ball_functions import (
    BallFunction,
    Box,
    cover_real_domain,
    describe_point,
    interval,
    rational,
)

Rectangle = tuple[tuple[float, float], ...]

MAX_INTERPOLATION_DEGREE = 4096
MAX_POINTS = 60_000
"""Largest number of interpolation points (all variables together)."""
EXPONENT_LIMIT = 10_000
"""Values of more bits than this are too large, and those below 2^−this count as that: FLINT would build the integer."""
PRECISION_LIMIT = 200_000
"""Most bits in which a function is evaluated."""


@dataclass(frozen=True)
class Ellipse:
    """A Bernstein ellipse for one variable on which f is proved analytic, with |f| ≤ ``maximum`` proved."""

    rho: Fraction
    maximum: Fraction

    def error(self, degree: int) -> Fraction:
        """The bound ``4 M ρ^{−n} / (ρ − 1)``, as an upper bound that is exact."""
        with flint.ctx.workprec(64):
            value = 4 * arb(rational(self.maximum)) / arb(rational(self.rho)) ** degree / (arb(rational(self.rho)) - 1)
            return upper(value)

    def degree_for(self, tolerance: Fraction) -> int:
        """The least degree, about, whose error is at most ``tolerance``."""
        log_rho = math.log1p(float(self.rho - 1))
        logs = [
            math.log(value.numerator) - math.log(value.denominator)
            for value in (self.maximum or Fraction(1), tolerance)
        ]
        return max(1, math.ceil((math.log(4) + logs[0] - logs[1] - math.log(float(self.rho - 1))) / log_rho))


@dataclass(frozen=True)
class Interpolant:
    """Tensor Chebyshev coefficients in balls, shape (d_1+1, …, d_n+1), and the proven error of interpolation."""

    coefficients: np.ndarray
    error: Fraction
    ellipses: tuple[Ellipse, ...]

    @property
    def degrees(self) -> tuple[int, ...]:
        return tuple(size - 1 for size in self.coefficients.shape)


def is_moderate(ball: arb) -> bool:
    """Whether a real ball is finite and below 2^:data:`EXPONENT_LIMIT` in absolute value."""
    return bool(abs(ball) < arb(2) ** EXPONENT_LIMIT)


def upper(ball: arb) -> Fraction:
    """An upper bound of a real ball as an exact rational: its upper end, or a power of two where that is tiny.

    Raises ``ValueError`` when the ball is not finite or too large to write down.
    """
    end = ball.upper()
    if not is_moderate(end):
        raise ValueError(f"a quantity that must be bounded could not be enclosed below 2^{EXPONENT_LIMIT}")
    if abs(end) < arb(2) ** -EXPONENT_LIMIT:
        return Fraction(1, 2**EXPONENT_LIMIT) if end != 0 else Fraction(0)
    value = end.fmpq()
    return Fraction(int(value.p), int(value.q))


def log2_above(value: Fraction) -> int:
    """An integer above log2 of a positive number, by at most 2; of numbers that no float can hold, too."""
    return value.numerator.bit_length() - value.denominator.bit_length() + 1


def lebesgue_bound(degree: int) -> Fraction:
    """``1 + (2/π) log(d+1)``, rounded up: the norm of interpolation in d+1 Chebyshev points."""
    return upper(1 + 2 / arb.pi() * arb(degree + 1).log())


def check_domain(function: BallFunction, domain: Box) -> None:
    """Prove that the function is analytic on the (real) domain; ``ValueError`` with the place and the reason if not."""
    box = cover_real_domain(function, domain, lambda ball: ball.is_finite())
    if box is None:
        return
    found = function.failure([acb(interval(*side)) for side in box])
    expression, reason = found if found is not None else (function.expression, "it could not be enclosed")
    removable = ""
    if "denominator" in reason:
        removable = ". If the singularity is removable, write the function without it (sinc(x) for sin(x)/x)"
    raise ValueError(
        f"{function.expression} is not analytic on the domain: near {describe_point(function.variables, box)}, in "
        f"{expression}, {reason}{removable}"
    )


class _Ellipses:
    """Boxes of one complex variable on an ellipse and real others, mapped to the domain and evaluated."""

    def __init__(self, function: BallFunction, domain: Box, axis: int, rho: Fraction) -> None:
        self.function, self.axis = function, axis
        with flint.ctx.workprec(64):
            r = arb(rational(rho))
            self.semi_axes = (r + 1 / r) / 2, (r - 1 / r) / 2
        self.scale = [(arb(rational((a + b) / 2)), arb(rational((b - a) / 2))) for a, b in domain]
        self.others: Rectangle = ((-1.0, 1.0),) * (len(domain) - 1)

    def value(self, z: acb, others: Rectangle) -> acb:
        """f on the box: ``z`` a ball in the complex plane, ``others`` real intervals, all in [−1, 1] coordinates."""
        point = [acb(arb(low).union(arb(high))) for low, high in others]
        point.insert(self.axis, z)
        return self.function([middle + half * w for (middle, half), w in zip(self.scale, point, strict=True)])

    def is_analytic(self, budget: int) -> bool:
        """Balls over rectangles that cover the upper half of the filled ellipse, all finite."""
        a, b = (float(upper(axis)) * (1 + 1e-9) for axis in self.semi_axes)
        todo: list[tuple[int, Rectangle]] = [(0, ((-a, a), (0.0, b), *self.others))]
        deepest = 12 * (len(self.others) + 2)
        while todo:
            depth, box = todo.pop()
            (x0, x1), (y0, y1) = box[:2]
            nearest = 0.0 if x0 <= 0 <= x1 else min(abs(x0), abs(x1))
            if (nearest / a) ** 2 + (y0 / b) ** 2 > 1 + 1e-9:
                continue
            budget -= 1
            if self.value(acb(interval(x0, x1), interval(y0, y1)), box[2:]).is_finite():
                continue
            if depth == deepest or budget < 0:
                return False
            widths = [high - low for low, high in box]
            todo += [(depth + 1, half) for half in _halves(box, widths.index(max(widths)))]
        return True

    def maximum(self, budget: int) -> arb:
        """An upper bound of |f| on the boundary, the largest part refined until it is within a factor of 16."""

        def modulus(box: Rectangle) -> tuple[arb, arb]:
            angle = interval(*box[0])
            x, y = self.semi_axes
            ball = self.value(acb(x * angle.cos(), y * angle.sin()), box[1:])
            return (ball.abs_upper(), ball.abs_lower()) if ball.is_finite() else (arb.pos_inf(), arb(0))

        order: Iterator[int] = itertools.count()
        below = arb(0)
        queue: list[tuple[float, int, arb, Rectangle]] = []

        def push(box: Rectangle) -> None:
            nonlocal below
            high, low = modulus(box)
            below = below.max(low)
            size = float(high.log()) if high > 0 else -math.inf
            heapq.heappush(queue, (-size, next(order), high, box))

        push(((0.0, 3.1415926536), *self.others))
        for _ in range(budget):
            if queue[0][2] < 16 * below:
                break
            _, _, _, box = heapq.heappop(queue)
            widths = [high - low for low, high in box]
            for half in _halves(box, widths.index(max(widths))):
                push(half)
        return queue[0][2]


def _halves(box: Rectangle, axis: int) -> list[Rectangle]:
    low, high = box[axis]
    middle = (low + high) / 2
    return [(*box[:axis], half, *box[axis + 1 :]) for half in ((low, middle), (middle, high))]


def prove_ellipse(function: BallFunction, domain: Box, axis: int, rho: Fraction, budget: int = 4000) -> Ellipse | None:
    """The ellipse with parameter ``rho`` in variable ``axis``, or ``None`` when f could not be proved bounded on it."""
    return _proved(
        function.expression, function.variables, tuple(map(tuple, domain)), axis, rho, budget, flint.ctx.prec
    )


@lru_cache(maxsize=1024)
def _proved(
    expression: sp.Expr, variables: tuple[sp.Symbol, ...], domain: Box, axis: int, rho: Fraction, budget: int, bits: int
) -> Ellipse | None:
    """Kept: the same ellipse is asked for by the search, by the interpolant and by the proof of a network's error."""
    function = BallFunction(expression, variables)
    with flint.ctx.workprec(bits):
        region = _Ellipses(function, domain, axis, rho)
        if function.may_fail and not region.is_analytic(budget):
            return None
        maximum = region.maximum(budget // 4)
    return Ellipse(rho, upper(maximum)) if is_moderate(maximum) else None


def best_ellipse(
    function: BallFunction, domain: Box, axis: int, tolerance: Fraction, max_degree: int = MAX_INTERPOLATION_DEGREE
) -> Ellipse:
    """The ellipse that needs the lowest degree for ``tolerance``: doubling ρ − 1, then bisection.

    Raises ``ValueError`` when no ellipse, or none that needs at most ``max_degree``, could be proved.
    """
    tried: dict[float, Ellipse | None] = {}

    def degree(size: float) -> float:
        """The degree that rho = 1 + 2^size needs, infinite when it could not be proved."""
        if size not in tried:
            tried[size] = prove_ellipse(function, domain, axis, Fraction(1 + 2.0**size))
        found = tried[size]
        return math.inf if found is None else found.degree_for(tolerance)

    size, step = -3.0, 1.0
    while size > -10 and degree(size) == math.inf:
        size -= step
    while size < 9 and degree(size + step) <= degree(size) < math.inf:
        size += step
    # between the last radius that helped and the next: a singularity, or the minimum of a unimodal function
    for _ in range(4 if len(domain) == 1 else 2):
        step /= 2
        size = min((size, size + step, size - step), key=degree)
    best = tried[size]
    needed = None if best is None else best.degree_for(tolerance)
    if best is None or needed is None or needed > max_degree:
        name = function.variables[axis]
        proved = "could not be proved" if best is None else f"needs degree {needed} (rho = {float(best.rho):.6g})"
        raise ValueError(
            f"an error of {float(tolerance):.3g} {proved} for {function.expression} in {name}: a singularity lies too "
            f"close to the domain, or the domain is too wide; the limit is degree {max_degree}. "
            "Use a narrower domain or a larger tolerance"
        )
    return best


def interpolate(
    expression: sp.Expr, variables: Sequence[sp.Symbol], domain: Box, tolerance: Fraction, effort: int = 1
) -> Interpolant:
    """The Chebyshev interpolant of ``expression`` on the box ``domain`` whose proven error is at most ``tolerance``.

    Coefficients are enclosures in balls, of radius far below the tolerance. ``effort`` multiplies the largest degree
    allowed: 2 is enough to prove again, more finely, what was proved with 1. Raises ``ValueError`` when the expression
    is not analytic on the domain or when the degree would be too high.
    """
    function = BallFunction(expression, variables)
    check_domain(function, domain)
    ellipses: list[Ellipse] = []
    degrees: list[int] = []
    error, norm = Fraction(0), Fraction(1)
    for axis, variable in enumerate(variables):
        if variable not in expression.free_symbols:
            ellipses.append(Ellipse(Fraction(2), Fraction(0)))
            degrees.append(1)
            continue
        share = tolerance / len(variables) / norm
        ellipse = best_ellipse(function, domain, axis, share, effort * MAX_INTERPOLATION_DEGREE)
        degree = ellipse.degree_for(share)
        while ellipse.error(degree) > share:
            degree += 1
        error += norm * ellipse.error(degree)
        norm *= lebesgue_bound(degree)
        ellipses.append(ellipse)
        degrees.append(degree)
    points = math.prod(degree + 1 for degree in degrees)
    most = effort ** len(variables) * MAX_POINTS
    if points > most:
        raise ValueError(
            f"an error of {float(tolerance):.3g} for {expression} needs degrees {' × '.join(map(str, degrees))}, "
            f"that is {points} interpolation points; the limit is {most}. Use a narrower domain or a larger "
            "tolerance"
        )
    return Interpolant(_accurate_coefficients(function, domain, degrees, tolerance), error, tuple(ellipses))


def _accurate_coefficients(
    function: BallFunction, domain: Box, degrees: Sequence[int], tolerance: Fraction
) -> np.ndarray:
    """:func:`chebyshev_coefficients` in a precision at which their radii together are far below the tolerance."""
    bits = 128 + 2 * max(0, log2_above(1 / tolerance)) + 8 * max(degrees).bit_length()
    while bits <= PRECISION_LIMIT:
        with flint.ctx.workprec(bits):
            coefficients = chebyshev_coefficients(function, domain, degrees)
            if not all(map(is_moderate, coefficients.flat)):
                break
            if sum(ball.rad() for ball in coefficients.flat) < arb(rational(tolerance)) / 2**40:
                return coefficients
        bits *= 2
    raise ValueError(
        f"the values of {function.expression} on the domain are too large, or cancel too much, for an error of "
        f"{float(tolerance):.3g}. Use a narrower domain or a larger tolerance"
    )


def chebyshev_coefficients(function: BallFunction, domain: Box, degrees: Sequence[int]) -> np.ndarray:
    """Enclosures (``arb``) of the coefficients of the tensor interpolant in the points cos(jπ/d): shape (d_1+1, …)."""
    grids = []
    for (low, high), degree in zip(domain, degrees, strict=True):
        middle, half = arb(rational((low + high) / 2)), arb(rational((high - low) / 2))
        grids.append([acb(middle + half * arb.cos_pi_fmpq(flint.fmpq(j, degree))) for j in range(degree + 1)])
    values = np.empty([degree + 1 for degree in degrees], dtype=object)
    for index, point in zip(np.ndindex(values.shape), itertools.product(*grids), strict=True):
        values[index] = function(point).real
    for axis in range(values.ndim):
        values = np.apply_along_axis(_discrete_cosine, axis, values)
    return values


def _discrete_cosine(values: np.ndarray) -> np.ndarray:
    """Chebyshev coefficients from values at cos(jπ/n), j = 0 … n: a DFT of the even extension."""
    n = len(values) - 1
    transform = acb.dft([*values, *values[n - 1 : 0 : -1]])
    out = np.empty(n + 1, dtype=object)
    out[:] = [transform[k].real / n for k in range(n + 1)]
    out[0], out[n] = out[0] / 2, out[n] / 2
    return out
