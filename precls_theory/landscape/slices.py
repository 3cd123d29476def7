"""One slice of the scalings: the loss, its gradient and its Hessian there, and how its points are written.

See :mod:`precls_theory.landscape.classification` for what the kinds mean and why slices are enough.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import flint

from precls_theory.landscape.components import DescentRecord, Value
from precls_theory.landscape.descent import Descent, find_descent
from precls_theory.landscape.ideals import Variety, integral
from precls_theory.landscape.problems import Problem
from precls_theory.landscape.roots import sign
from precls_theory.landscape.signature import Signature


@dataclass(frozen=True, eq=False)
class Chart:
    """A slice: ``fixed`` weights are 0 or 1; ``units`` are those set to 1, one for each scaling that acts freely."""

    fixed: dict[str, int]
    units: tuple[str, ...]


class Slice:
    """One chart of a problem: its variables, the gradient and the Hessian there."""

    def __init__(self, problem: Problem, chart: Chart) -> None:
        self.problem, self.chart = problem, chart
        loss = problem.loss
        self.names = tuple(name for name in loss.names if name not in chart.fixed)
        self.moving = tuple(name for name in loss.names if name not in chart.units)
        self.context = flint.fmpq_mpoly_ctx.get(self.names, "degrevlex")
        self.integral_context = flint.fmpz_mpoly_ctx.get(self.names, "degrevlex")
        self.keep = [index for index, name in enumerate(loss.names) if name not in chart.fixed]
        self.values = [chart.fixed.get(name) for name in loss.names]
        self.loss = self.restrict(loss.polynomial)
        self.gradient = [self.restrict(partial) for partial in loss.gradient]
        extra = [] if problem.squares is None else problem.squares.equations
        self.equations = [*self.gradient, *map(self.restrict, extra)]
        """What vanishes at every real stationary point of the slice, and nowhere else there."""
        places = [loss.names.index(name) for name in self.moving]
        self.hessian = [[self.restrict(loss.hessian[i, j]) for j in places] for i in places]

    def restrict(self, polynomial: flint.fmpq_mpoly) -> flint.fmpq_mpoly:
        """The polynomial on the slice."""
        terms: dict[tuple[int, ...], flint.fmpq] = {}
        for monomial, coefficient in polynomial.to_dict().items():
            exponents = tuple(map(int, monomial))
            if any(e and value == 0 for e, value in zip(exponents, self.values, strict=True)):
                continue
            key = tuple(exponents[index] for index in self.keep)
            terms[key] = terms.get(key, flint.fmpq(0)) + coefficient
        return self.context.from_dict({key: c for key, c in terms.items() if c})

    @property
    def gauge(self) -> tuple[str, ...]:
        return tuple(name if value == 0 else f"{name} - 1" for name, value in self.chart.fixed.items())

    def loss_on(self, variety: Variety) -> Value | None:
        """The loss where it is the constant 0 on a variety that was not parametrised, else None."""
        return Value(Fraction(0)) if variety.contains(integral(self.loss, self.integral_context)) else None

    def exact_equations(self, values: dict[str, flint.fmpq]) -> tuple[str, ...]:
        def equation(name: str, value: flint.fmpq) -> str:
            return name if value == 0 else f"{name} - {value}" if value > 0 else f"{name} + {-value}"

        return (*self.gauge, *(equation(name, values[name]) for name in self.names))

    def hessian_at(self, point: Sequence[flint.fmpq]) -> tuple[flint.fmpq_mat, Signature]:
        size = len(self.moving)
        entries = [self.hessian[i][j](*point) for i in range(size) for j in range(size)]
        matrix = flint.fmpq_mat(size, size, entries)
        coefficients = matrix.charpoly().coeffs()  # constant term first: (−1)^n e_n, …, −e_1, 1
        signs = [(-1) ** k * sign(coefficients[size - k]) for k in range(1, size + 1)]
        return matrix, Signature.of_signs(signs)

    def descend(self, point: Sequence[flint.fmpq], matrix: flint.fmpq_mat) -> Descent | None:
        """A curve of descent in the moving weights: the slice's, and those set to zero."""
        loss = self.problem.loss
        places = [index for index, name in enumerate(loss.names) if name in self.moving]
        context = flint.fmpq_mpoly_ctx.get(self.moving, "degrevlex")

        def open_up(polynomial: flint.fmpq_mpoly) -> flint.fmpq_mpoly:
            terms: dict[tuple[int, ...], flint.fmpq] = {}
            for monomial, coefficient in polynomial.to_dict().items():
                key = tuple(int(monomial[index]) for index in places)
                terms[key] = terms.get(key, flint.fmpq(0)) + coefficient
            return context.from_dict({key: c for key, c in terms.items() if c})

        gradient = [open_up(loss.gradient[index]) for index in places]
        full = dict(zip(self.names, point, strict=True))
        start = [full.get(name, flint.fmpq(0)) for name in self.moving]
        return find_descent(open_up(loss.polynomial), gradient, matrix, start)

    def describe(self, found: Descent) -> DescentRecord:
        curve = found.describe(self.moving) | dict.fromkeys(self.chart.units, "1")
        return {"order": found.order, "rate": str(found.rate), "curve": curve}

    def shown(self, point: Sequence[flint.fmpq]) -> dict[str, str]:
        return {name: str(value) for name, value in zip(self.names, point, strict=True)}

    def full_point(self, shown: dict[str, str]) -> dict[str, str]:
        return {
            name: str(self.chart.fixed[name]) if name in self.chart.fixed else shown[name]
            for name in self.problem.loss.names
        }


def charts(problem: Problem) -> Iterator[Chart]:
    """Slices that meet every orbit: of each scaling's first family the first nonzero weight is 1, or all are 0."""
    options = []
    for family, _ in problem.scalings:
        slices = [Chart({**dict.fromkeys(family[:k], 0), name: 1}, (name,)) for k, name in enumerate(family)]
        options.append([*slices, Chart(dict.fromkeys(family, 0), ())])
    for chosen in itertools.product(*options):
        fixed = {name: value for chart in chosen for name, value in chart.fixed.items()}
        yield Chart(fixed, tuple(name for chart in chosen for name in chart.units))
