"""The real line, cut at algebraic numbers into points and open intervals with a rational number in each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import flint

from precls_theory.landscape.roots import real_roots, sign_at


@dataclass(frozen=True, eq=False)
class Break:
    """A real algebraic number: a rational, or the root with this index of an irreducible polynomial."""

    polynomial: flint.fmpq_poly
    index: int
    ball: flint.arb

    @property
    def rational(self) -> flint.fmpq | None:
        return -self.polynomial[0] / self.polynomial[1] if self.polynomial.degree() == 1 else None

    def sign_of(self, value: flint.fmpq_poly) -> int:
        return sign_at(value, self.polynomial, self.index)

    def is_root_of(self, value: flint.fmpq_poly) -> bool:
        return not value % self.polynomial

    def equation(self, name: str) -> str:
        if self.rational is not None:
            value = self.rational
            return name if value == 0 else f"{name} - {value}" if value > 0 else f"{name} + {-value}"
        return f"{name} - {float(self.ball.mid()):.6g}…"

    def __str__(self) -> str:
        return str(self.rational) if self.rational is not None else f"{float(self.ball.mid()):.6g}…"


Interval = tuple[Break | None, flint.fmpq, Break | None]


def break_points(lines: Sequence[flint.fmpq_poly]) -> list[Break]:
    """All real roots of some polynomials, each once, in increasing order."""
    factors: dict[str, flint.fmpq_poly] = {}
    for line in lines:
        if line.degree() > 0:
            for factor, _ in line.factor()[1]:
                if factor.degree() > 0:
                    monic = flint.fmpq_poly(factor) / flint.fmpq_poly(factor).leading_coefficient()
                    factors[str(monic)] = monic
    breaks = [
        Break(factor, index, ball) for factor in factors.values() for index, ball in enumerate(real_roots(factor))
    ]
    return sorted(breaks, key=lambda place: float(place.ball.mid()))


def open_intervals(breaks: Sequence[Break]) -> list[Interval]:
    """The open intervals between the breaks, each with a rational number inside, checked by balls."""
    if not breaks:
        return [(None, flint.fmpq(1), None)]
    ends = [Fraction(float(place.ball.mid())) for place in breaks]
    simple = [simplest_between(left, right) for left, right in itertools.pairwise(ends)]
    first, last = Fraction(int(ends[0] // 1) - 1), Fraction(int(ends[-1] // 1) + 2)
    chosen = [flint.fmpq(x.numerator, x.denominator) for x in (first, *simple, last)]
    bounds: list[Break | None] = [None, *breaks, None]
    for left, inside, right in zip(bounds, chosen, bounds[1:], strict=False):
        if (left is not None and not left.ball < flint.arb(inside)) or (
            right is not None and not flint.arb(inside) < right.ball
        ):
            raise ArithmeticError("real roots too close to separate at this precision")
    return list(zip(bounds, chosen, bounds[1:], strict=False))


def simplest_between(left: Fraction, right: Fraction) -> Fraction:
    """A fraction of small denominator strictly between two numbers."""
    middle, width = (left + right) / 2, right - left
    denominator = 1
    while True:
        candidate = Fraction(round(middle * denominator), denominator)
        if left + width / 8 < candidate < right - width / 8:
            return candidate
        denominator += 1 if denominator < 64 else denominator


def inside_interval(place: Break, low: Break | None, high: Break | None) -> bool:
    """Whether a real algebraic number is strictly inside (or cannot be told to be outside) an interval."""
    same = any(
        end is not None and str(end.polynomial) == str(place.polynomial) and end.index == place.index
        for end in (low, high)
    )
    outside = (low is not None and place.ball < low.ball) or (high is not None and place.ball > high.ball)
    return not same and not outside


def univariate(polynomial: flint.fmpq_mpoly | flint.fmpz_mpoly) -> flint.fmpq_poly:
    coefficients = {int(monomial[0]): c for monomial, c in polynomial.to_dict().items()}
    return flint.fmpq_poly([coefficients.get(k, 0) for k in range(max(coefficients, default=0) + 1)])
