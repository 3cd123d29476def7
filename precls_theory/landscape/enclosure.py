"""How far a numerical point is at most from a listed stationary set, proved: interval arithmetic with outward rounding.

A listed graph has an exact stationary point over *every* choice of its free weights and of the scalings, floats
included. For a numerical point x take both from x itself, evaluate the graph's rational functions in intervals (one
``nextafter`` outward an operation, so that the exact value is inside), and bound ``|x − exact point|`` from above: then
the ball of that radius about x contains a stationary point of that very component, whatever the rounding errors were.
Isolated algebraic points enter by their enclosures from Arb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np
from numpy.typing import ArrayLike

from precls_theory.landscape.numerical import ListedSet
from precls_theory.landscape.roots import at_root
from precls_theory.landscape.strata import Graph, Points

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Interval:
    """Arrays of intervals ``[low, high]``; an operation's result contains every result of members of its operands."""

    low: Array
    high: Array

    @classmethod
    def exactly(cls, values: ArrayLike) -> Interval:
        """Floats as they are."""
        floats = np.asarray(values, dtype=float)
        return cls(floats, floats)

    @classmethod
    def about(cls, value: Fraction | float) -> Interval:
        """A rational number; or a real number within two units in the last place of a float."""
        middle = np.asarray(float(value))
        if isinstance(value, Fraction) and Fraction(float(value)) == value:
            return cls(middle, middle)
        return widened(*widen(middle, middle))

    def __add__(self, other: Interval) -> Interval:
        return widened(self.low + other.low, self.high + other.high)

    def __mul__(self, other: Interval) -> Interval:
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return widened(np.minimum.reduce(np.broadcast_arrays(*ends)), np.maximum.reduce(np.broadcast_arrays(*ends)))

    def __truediv__(self, other: Interval) -> Interval:
        """NaN where the divisor contains zero."""
        usable = np.where((other.low > 0) | (other.high < 0), 1.0, np.nan)
        return self * widened(usable / other.high, usable / other.low)

    def __pow__(self, exponent: int) -> Interval:
        result = Interval.exactly(1.0)
        for _ in range(exponent):
            result = result * self
        return result

    def farthest(self, x: Array) -> Array:
        """An upper bound of ``|x − member|``."""
        low, high = np.nextafter(x - self.low, np.inf), np.nextafter(self.high - x, np.inf)
        return np.maximum(np.maximum(low, high), 0.0)


def widen(low: Array, high: Array) -> tuple[Array, Array]:
    return np.nextafter(low, -np.inf), np.nextafter(high, np.inf)


def widened(low: Array, high: Array) -> Interval:
    return Interval(*widen(low, high))


def value(polynomial: flint.fmpq_mpoly, at: Sequence[Interval]) -> Interval:
    """A polynomial over Q at intervals."""
    total = Interval.exactly(0.0)
    for monomial, coefficient in polynomial.to_dict().items():
        term = Interval.about(Fraction(int(coefficient.p), int(coefficient.q)))
        for place, exponent in zip(at, map(int, monomial), strict=True):
            if exponent:
                term = term * place**exponent
        total = total + term
    return total


def exact_points(listed: ListedSet, x: Array) -> list[list[Interval]]:
    """Stationary points of the set near x (n, batch), each as intervals weight by weight; NaN where there is none."""
    names = list(listed.problem.loss.names)
    scale = [Interval.exactly(np.ones(x.shape[1])) for _ in names]
    for unit in listed.chart.units:
        pair = next(pair for pair in listed.problem.scalings if unit in pair[0])
        s = Interval.exactly(x[names.index(unit)])
        for family, factor in zip(pair, (s, Interval.exactly(1.0) / s), strict=True):
            for name in family:
                scale[names.index(name)] = scale[names.index(name)] * factor
    if isinstance(listed.stratum, Points):
        choices = [
            {name: Interval.about(at_root(v, listed.stratum.modulus, index)) for name, v in
             zip(listed.stratum.names, listed.stratum.values, strict=True)}
            for index in range(len(listed.stratum.roots()))
        ]  # fmt: skip
    else:
        choices = [over(listed.stratum, names, x, scale)]
    found = []
    for choice in choices:
        fixed = {name: Interval.exactly(float(number)) for name, number in listed.chart.fixed.items()}
        reduced = {**choice, **fixed}
        found.append([reduced[name] * factor for name, factor in zip(names, scale, strict=True)])
    return found


def over(graph: Graph, names: Sequence[str], x: Array, scale: Sequence[Interval]) -> dict[str, Interval]:
    """The graph over the free weights of x, as floats: any floats do, they choose the point."""
    free = []
    for name in graph.free:
        place = names.index(name)
        free.append(Interval.exactly(x[place] / scale[place].low))
    denominator = value(graph.denominator, free)
    return {
        name: value(numerator, free) / denominator
        for name, numerator in zip(graph.names, graph.numerators, strict=True)
    }


def radii(sets: Sequence[ListedSet], x: Array) -> tuple[Array, Array]:
    """For each point of x (n, batch) a radius within which a listed set has a point, proved, and that set's index.

    Infinity and −1 where no set has an admissible point.
    """
    best, which = np.full(x.shape[1], np.inf), np.full(x.shape[1], -1)
    with np.errstate(all="ignore"):
        for index, listed in enumerate(sets):
            for point in exact_points(listed, x):
                total = Interval.exactly(np.zeros(x.shape[1]))
                for coordinate, place in zip(x, point, strict=True):
                    far = place.farthest(coordinate)
                    total = total + Interval(far, far) * Interval(far, far)
                radius = np.nextafter(np.sqrt(total.high), np.inf)
                closer = radius < best  # false for NaN
                best, which = np.where(closer, radius, best), np.where(closer, index, which)
    return best, which
