"""One slice of the scalings: its stationary points, divided by the signature of the Hessian.

See :mod:`precls_theory.landscape.classification` for what the kinds mean and why slices are enough.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import flint
import numpy as np

from precls_theory.landscape.components import (
    DEGENERATE,
    LOCAL,
    NO_POINT,
    SADDLE,
    UNRESOLVED,
    Component,
    Value,
    algebraic_value,
    decimal,
    fraction,
)
from precls_theory.landscape.descent import Descent, find_descent
from precls_theory.landscape.ideals import Polynomial, TooLarge, Variety, integral, renamed, varieties
from precls_theory.landscape.line import Break, Interval, break_points, inside_interval, open_intervals, univariate
from precls_theory.landscape.problems import Problem
from precls_theory.landscape.quartic import normal_quartic
from precls_theory.landscape.signature import Signature, elementary_symmetric, sign, sign_at
from precls_theory.landscape.strata import Graph, Points, Unresolved, at_root, strata


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
        places = [loss.names.index(name) for name in self.moving]
        self.hessian = [[self.restrict(loss.hessian[i, j]) for j in places] for i in places]

    def restrict(self, polynomial: Any) -> Any:
        """The polynomial on the slice."""
        terms: dict[tuple[int, ...], Any] = {}
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

    def components(self) -> Iterator[Component]:
        generators = [integral(partial, self.integral_context) for partial in self.gradient]
        try:
            parts = varieties(generators, self.integral_context)
        except TooLarge as error:
            yield Component(UNRESOLVED, -1, None, True, self.gauge, reason=str(error))
            return
        for variety in parts:
            yield from self.of_variety(variety)

    def of_variety(self, variety: Variety) -> Iterator[Component]:
        orbit = len(self.chart.units)
        if variety.no_real_point is not None:
            reason = f"{variety.no_real_point} is not zero at any real point"
            equations = (*self.gauge, *variety.equations())
            yield Component(NO_POINT, variety_dimension(variety) + orbit, None, False, equations, reason=reason)
            return
        yield from self.of_strata(variety, None)

    def of_strata(self, variety: Variety, tangent: int | None) -> Iterator[Component]:
        """The strata of a variety, in a stationary manifold of dimension ``tangent`` where that is more than their own."""
        orbit = len(self.chart.units)
        equations = (*self.gauge, *variety.equations())
        for stratum in strata(variety):
            if isinstance(stratum, Unresolved):
                loss = self.loss_on(stratum.variety)
                yield Component(UNRESOLVED, stratum.dimension + orbit, loss, True, equations, reason=stratum.reason)
            elif isinstance(stratum, Points):
                yield from self.of_points(stratum, equations, tangent or 0)
            else:
                yield from self.of_graph(stratum, equations, variety, tangent or stratum.dimension)

    def loss_on(self, variety: Variety) -> Value | None:
        """The loss where it is the constant 0 on a variety that was not parametrised, else None."""
        return Value(Fraction(0)) if variety.contains(integral(self.loss, self.integral_context)) else None

    # Isolated points.

    def of_points(self, points: Points, equations: tuple[str, ...], tangent: int = 0) -> Iterator[Component]:
        orbit = len(self.chart.units)
        if points.is_rational:
            values = points.rational_point()
            yield self.at_rational([values[name] for name in self.names], orbit, self.exact_equations(values), tangent)
            return
        roots = points.roots()
        equations = (*equations, f"{points.modulus} has the root x = θ")
        if not roots:
            reason = f"the coordinates generate Q(θ), and {points.modulus} has no real root"
            yield Component(NO_POINT, orbit, None, False, equations, reason=reason)
            return
        matrix = np.empty((len(self.moving),) * 2, dtype=object)
        for i, j in np.ndindex(*matrix.shape):
            matrix[i, j] = points.substitute(self.hessian[i][j])
        symmetric = elementary_symmetric(matrix, flint.fmpq_poly([1]), lambda value: value % points.modulus)
        loss = points.substitute(self.loss)
        for index in range(len(roots)):
            signature = Signature.of_signs([sign_at(value, points.modulus, index) for value in symmetric])
            kind, reason = kind_of(signature, tangent)
            point = self.full_point(
                {
                    name: decimal(at_root(value, points.modulus, index))
                    for name, value in zip(self.names, points.values, strict=True)
                }
            )
            yield Component(
                kind, orbit, algebraic_value(loss, points.modulus, index), True, equations, (), point, signature,
                reason=reason,
            )  # fmt: skip

    def exact_equations(self, values: dict[str, flint.fmpq]) -> tuple[str, ...]:
        def equation(name: str, value: flint.fmpq) -> str:
            return name if value == 0 else f"{name} - {value}" if value > 0 else f"{name} + {-value}"

        return (*self.gauge, *(equation(name, values[name]) for name in self.names))

    def at_rational(
        self, point: Sequence[flint.fmpq], dimension: int, equations: tuple[str, ...], tangent: int = 0
    ) -> Component:
        """The component of one rational point, on a stationary manifold of dimension ``tangent`` in the slice."""
        matrix, signature = self.hessian_at(point)
        kind, reason = kind_of(signature, tangent)
        descent = None
        if kind == UNRESOLVED:
            found = self.descend(point, matrix)
            if found is not None:
                kind, descent = DEGENERATE, self.describe(found)
                reason = f"semidefinite Hessian; the loss decreases at order {found.order} along the curve given"
        value = self.loss(*point)
        return Component(
            kind, dimension, Value(fraction(value)), True, equations, (), self.full_point(self.shown(point)), signature,
            descent, reason,
        )  # fmt: skip

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

        def open_up(polynomial: Any) -> Any:
            terms: dict[tuple[int, ...], Any] = {}
            for monomial, coefficient in polynomial.to_dict().items():
                key = tuple(int(monomial[index]) for index in places)
                terms[key] = terms.get(key, flint.fmpq(0)) + coefficient
            return context.from_dict({key: c for key, c in terms.items() if c})

        gradient = [open_up(loss.gradient[index]) for index in places]
        full = dict(zip(self.names, point, strict=True))
        start = [full.get(name, flint.fmpq(0)) for name in self.moving]
        return find_descent(open_up(loss.polynomial), gradient, matrix, start)

    def describe(self, found: Descent) -> dict[str, Any]:
        curve = found.describe(self.moving) | dict.fromkeys(self.chart.units, "1")
        return {"order": found.order, "rate": str(found.rate), "curve": curve}

    def shown(self, point: Sequence[flint.fmpq]) -> dict[str, str]:
        return {name: str(value) for name, value in zip(self.names, point, strict=True)}

    def full_point(self, shown: dict[str, str]) -> dict[str, str]:
        return {
            name: str(self.chart.fixed[name]) if name in self.chart.fixed else shown[name]
            for name in self.problem.loss.names
        }

    # Graphs over free variables.

    def of_graph(self, graph: Graph, equations: tuple[str, ...], variety: Variety, tangent: int) -> Iterator[Component]:
        """The kinds along a graph that lies in a stationary manifold of dimension ``tangent`` (its own, or a larger)."""
        orbit, dimension = len(self.chart.units), graph.dimension
        loss = self.constant_loss(graph)
        nonzero = () if graph.denominator.is_constant() else (f"{graph.denominator} != 0",)
        if loss.rational == 0:
            sample = self.sample(graph)
            shown = {} if sample is None else self.full_point(self.shown([graph.point(sample)[n] for n in self.names]))
            yield Component(LOCAL, dimension + orbit, loss, True, equations, nonzero, shown, reason="the loss is 0")
            return
        size = len(self.moving)
        matrix = np.empty((size, size), dtype=object)
        degree = even_degree(self.hessian)
        for i, j in np.ndindex(size, size):
            matrix[i, j] = graph.substitute(self.hessian[i][j], degree)
        minor = negative_minor(matrix)
        if minor is not None:
            sample = self.sample(graph)
            point = [] if sample is None else [graph.point(sample)[name] for name in self.names]
            yield Component(
                SADDLE, dimension + orbit, loss, True, equations, nonzero,
                self.full_point(self.shown(point)) if point else {},
                self.hessian_at(point)[1] if point else None,
                reason=f"the 2×2 minor of the Hessian at {', '.join(self.moving[i] for i in minor)} is negative everywhere",
            )  # fmt: skip
            return
        symmetric = elementary_symmetric(matrix, graph.context.constant(1))
        if any(is_positive(-value) for value in symmetric):
            k = next(k for k, value in enumerate(symmetric, start=1) if is_positive(-value))
            sample = self.sample(graph)
            point = [] if sample is None else [graph.point(sample)[name] for name in self.names]
            yield Component(
                SADDLE, dimension + orbit, loss, True, equations, nonzero,
                self.full_point(self.shown(point)) if point else {}, self.hessian_at(point)[1] if point else None,
                reason=f"e_{k} of the Hessian's eigenvalues is negative everywhere",
            )  # fmt: skip
        elif dimension == 1:
            yield from self.of_curve(graph, equations, loss, symmetric, tangent)
        else:
            yield from self.of_surface(graph, equations, loss, symmetric, variety, tangent)

    def constant_loss(self, graph: Graph) -> Value:
        """The loss along the graph, which is constant: the graph is connected by stationary points piece by piece."""
        numerator = graph.substitute(self.loss)
        degree = max((sum(map(int, m)) for m in self.loss.to_dict()), default=0)
        power = graph.denominator**degree
        value = numerator.leading_coefficient() / power.leading_coefficient() if numerator else flint.fmpq(0)
        if numerator != power * value:
            raise ArithmeticError("the loss is not constant along a set of stationary points: this cannot be")
        return Value(fraction(value))

    def sample(self, graph: Graph) -> list[flint.fmpq] | None:
        candidates = [flint.fmpq(n, d) for n, d in ((1, 1), (2, 1), (-1, 1), (1, 2), (3, 1), (0, 1), (-2, 1), (-1, 2))]
        for values in itertools.product(candidates, repeat=graph.dimension):
            if graph.denominator(*values) != 0:
                return list(values)
        return None

    def of_curve(
        self, graph: Graph, equations: tuple[str, ...], loss: Value, symmetric: list[Any], tangent: int
    ) -> Iterator[Component]:
        """A graph over one variable: the line falls into intervals and points at the real roots of the e_k and of δ."""
        orbit = len(self.chart.units)
        name = graph.free[0]
        lines = [univariate(value) for value in symmetric]
        denominator = univariate(graph.denominator)
        breaks = break_points([*lines, denominator])
        intervals = open_intervals(breaks)
        cells: list[Cell] = []
        for index, interval in enumerate(intervals):
            signature = Signature.of_signs([sign(line(interval[1])) for line in lines])
            kind, reason = kind_of(signature, tangent)
            cells.append(Cell(kind, reason, signature, interval, None))
            if index < len(breaks) and not breaks[index].is_root_of(denominator):
                signature = Signature.of_signs([breaks[index].sign_of(line) for line in lines])
                kind, reason = kind_of(signature, tangent)
                cells.append(Cell(kind, reason, signature, None, breaks[index]))
        for index, cell in enumerate(cells):
            if cell.place is not None and cell.place.rational is not None and cell.kind == UNRESOLVED:
                exact = self.at_rational([graph.point([cell.place.rational])[n] for n in self.names], 0, (), tangent)
                cells[index] = cell = replace(cell, kind=exact.kind, reason=exact.reason)
            beside = [cells[j].kind for j in (index - 1, index + 1) if 0 <= j < len(cells)]
            if cell.place is not None and cell.kind == UNRESOLVED and SADDLE in beside:
                cells[index] = replace(cell, kind=DEGENERATE, reason=ACCUMULATE)
        if tangent == 1 and any(cell.kind == UNRESOLVED for cell in cells):
            cells = self.by_quartic(graph, cells, loss)
        for kind in dict.fromkeys(cell.kind for cell in cells):
            members = [cell for cell in cells if cell.kind == kind]
            shown = max(members, key=lambda cell: cell.interval is not None)
            whole = all(cell.kind == kind for cell in cells) and denominator.degree() <= 0
            point, descent, reason = self.on_curve(graph, shown.place, shown.interval), None, shown.reason
            if shown.interval is None and shown.place is not None and shown.place.rational is not None:
                exact = self.at_rational([graph.point([shown.place.rational])[n] for n in self.names], 0, (), tangent)
                descent, reason = exact.descent, exact.reason if exact.kind == kind else reason
            yield Component(
                kind, int(shown.interval is not None) + orbit, loss, True, equations,
                () if whole else (show_cells(name, cells, kind),), point, shown.signature, descent, reason,
            )  # fmt: skip

    def on_curve(self, graph: Graph, place: Break | None, interval: Interval | None) -> dict[str, str]:
        """The point over a rational number in the interval or at the break, exact where that is rational."""
        inside = interval[1] if interval is not None else place.rational if place is not None else None
        if inside is not None:
            return self.full_point(self.shown([graph.point([inside])[name] for name in self.names]))
        assert place is not None
        bottom = at_root(univariate(graph.denominator), place.polynomial, place.index)
        values = [at_root(univariate(top), place.polynomial, place.index) / bottom for top in graph.numerators]
        return self.full_point({name: decimal(value) for name, value in zip(self.names, values, strict=True)})

    def by_quartic(self, graph: Graph, cells: list[Cell], loss: Value) -> list[Cell]:
        """Cells whose Hessian has one more zero than the set has dimensions, decided by the fourth order; see there."""
        quartic = normal_quartic(self, graph)
        if quartic is None:
            return cells
        result = []
        for cell in cells:
            if cell.kind == UNRESOLVED and cell.interval is not None and cell.signature.zero == 2:
                low, inside, high = cell.interval
                roots = [b for factor in quartic for b in break_points([factor])]
                if not any(inside_interval(b, low, high) for b in roots):
                    value = quartic[0](inside) * quartic[1](inside)
                    if value > 0:
                        cell = replace(cell, kind=LOCAL, reason=QUARTIC)
                    elif value < 0:
                        cell = replace(cell, kind=DEGENERATE, reason="the loss decreases at order 4 across the set")
            result.append(cell)
        return result

    def of_surface(
        self, graph: Graph, equations: tuple[str, ...], loss: Value, symmetric: list[Any], variety: Variety,
        tangent: int,
    ) -> Iterator[Component]:  # fmt: skip
        """A graph over several variables, divided by the zeros of the last e_k that is not identically zero there.

        With n moving weights, f = e_{n−tangent} is the product of the eigenvalues off the tangent space. Where f ≠ 0
        the signature is constant on connected pieces; where f has a smooth zero of odd order it changes sign, hence
        every such zero is a limit of strict saddles. Other zeros of f are varieties of their own.
        """
        orbit, dimension = len(self.chart.units), graph.dimension
        leading = symmetric[len(symmetric) - tangent - 1]
        if not leading:
            yield Component(
                UNRESOLVED, dimension + orbit, loss, True, equations,
                reason="the Hessian has a larger kernel than the tangent space along a set of several parameters",
            )  # fmt: skip
            return
        walls, others = divide(leading, graph)
        samples = self.samples(graph, symmetric, tangent)
        indefinite = [value for value in symmetric[: len(symmetric) - tangent] if not is_positive(value)]
        polynomials = [indefinite_part(value) for value in indefinite]
        for kind, (values, signature) in samples.items():
            point = [graph.point(values)[name] for name in self.names]
            positive = tuple(f"{polynomial} > 0" for polynomial in polynomials)
            conditions = positive if kind == LOCAL else (f"one of these is negative: {', '.join(polynomials)}",)
            yield Component(
                kind, dimension + orbit, loss, True, equations, conditions, self.full_point(self.shown(point)),
                signature, reason=kind_of(signature, tangent)[1],
            )  # fmt: skip
        if LOCAL not in samples and not is_negative_somewhere_always(symmetric[: len(symmetric) - tangent]):
            yield Component(
                UNRESOLVED, dimension + orbit, loss, True, equations,
                reason="all samples are saddles, but that no point is a minimum is not proved",
            )  # fmt: skip
        for wall in walls:
            if LOCAL in samples:
                yield Component(
                    DEGENERATE, dimension - 1 + orbit, loss, True, (*equations, str(wall)),
                    ("where the Hessian is semidefinite",), self.on_wall(graph, wall, symmetric), reason=ACCUMULATE,
                )  # fmt: skip
        small = flint.fmpz_mpoly_ctx.get(graph.free, "degrevlex")
        for members in others:
            extra = [renamed(integral(member, small), variety.context) for member in members]
            for part in varieties([*variety.basis, *extra], variety.context):
                if part.no_real_point is None:
                    # Over zeros of the denominator the graph, and with it the tangent space, may not be there.
                    yield from self.of_strata(part, tangent if graph.denominator.is_constant() else None)

    def on_wall(self, graph: Graph, wall: Any, symmetric: list[Any]) -> dict[str, str]:
        """A rational point with semidefinite Hessian where ``wall`` is zero, if a small one is found."""
        candidates = [flint.fmpq(n, d) for n, d in itertools.product(range(-6, 7), (1, 2))]
        for values in itertools.product(candidates, repeat=graph.dimension):
            if wall(*values) == 0 and graph.denominator(*values) != 0:
                signature = Signature.of_signs([sign(flint.fmpq(value(*values))) for value in symmetric])
                if signature.is_semidefinite:
                    return self.full_point(self.shown([graph.point(values)[name] for name in self.names]))
        return {}

    def samples(
        self, graph: Graph, symmetric: list[Any], tangent: int
    ) -> dict[str, tuple[list[flint.fmpq], Signature]]:
        """For each kind that the signature decides somewhere on a grid, a point of it."""
        seen: dict[str, tuple[list[flint.fmpq], Signature]] = {}
        candidates = [flint.fmpq(n, d) for n, d in ((1, 1), (3, 1), (-3, 1), (1, 2), (0, 1), (-1, 2))]
        for values in itertools.product(candidates, repeat=graph.dimension):
            if graph.denominator(*values) == 0:
                continue
            signature = Signature.of_signs([sign(flint.fmpq(value(*values))) for value in symmetric])
            kind = kind_of(signature, tangent)[0]
            if kind != UNRESOLVED:
                seen.setdefault(kind, (list(values), signature))
        return seen


def divide(leading: Any, graph: Graph) -> tuple[list[Any], list[list[Any]]]:
    """(smooth zeros of odd order, other real zeros) of a polynomial, by its factors; the others as lists of equations."""
    walls, others = [], []
    context = flint.fmpz_mpoly_ctx.get(graph.free, "degrevlex")
    for factor, multiplicity in leading.factor()[1]:
        if is_positive(factor) or is_positive(-factor):
            continue
        slopes = [factor.derivative(index) for index in range(len(graph.free))]
        if is_square_sum(factor) or is_square_sum(-factor):
            others.append([factor, *slopes])  # zero only where it is least (or greatest)
        elif multiplicity % 2 and not real_parts([integral(p, context) for p in (factor, *slopes) if p], context):
            walls.append(factor)
        else:
            others.append([factor])
    return walls, others


def real_parts(generators: list[Polynomial], context: Any) -> list[Variety]:
    """The parts of a zero set that are not known to be without real points."""
    return [part for part in varieties(generators, context) if part.no_real_point is None]


def is_negative_somewhere_always(symmetric: Sequence[Any]) -> bool:
    """Whether some e_k is at no point positive: then nowhere is the Hessian positive definite off the tangent space."""
    return any(is_positive(-value) or is_square_sum(-value) for value in symmetric)


def is_square_sum(polynomial: Any) -> bool:
    """Whether all monomials are squares with positive coefficients: nowhere negative."""
    return all(c > 0 and all(int(e) % 2 == 0 for e in m) for m, c in polynomial.to_dict().items())


def indefinite_part(polynomial: Any) -> str:
    """The polynomial without its factors that have one sign everywhere: of the same sign and with the same zeros."""
    constant, factors = polynomial.factor()
    result = polynomial.context().constant(1 if constant > 0 else -1)
    for factor, multiplicity in factors:
        if is_positive(-factor):
            result = -result if multiplicity % 2 else result
        elif not is_positive(factor):
            result = result * factor**multiplicity
    return str(result)


@dataclass(frozen=True, eq=False)
class Cell:
    """An open interval of the line, or one of its break points, with what is known there."""

    kind: str
    reason: str
    signature: Signature
    interval: Interval | None
    place: Break | None


QUARTIC = (
    "the Hessian is semidefinite with one null direction across the set, along which the loss has no cubic term and a "
    "positive quartic one, the other directions at their best"
)


ACCUMULATE = "semidefinite Hessian; strict saddles of the same loss come arbitrarily near, and lower values with them"


def kind_of(signature: Signature, tangent: int) -> tuple[str, str]:
    """The kind that a signature decides, on a stationary manifold of dimension ``tangent``."""
    if signature.negative:
        return (
            SADDLE,
            f"the Hessian has {signature.negative} negative eigenvalue{'s' if signature.negative > 1 else ''}",
        )
    if signature.zero == tangent:
        manifold = "positive definite" if tangent == 0 else f"its kernel is the tangent space, of dimension {tangent}"
        return LOCAL, f"the Hessian is semidefinite and {manifold}" if tangent else "the Hessian is positive definite"
    return UNRESOLVED, f"the Hessian is semidefinite, its kernel has dimension {signature.zero}"


def variety_dimension(variety: Variety) -> int:
    """Dimension over C; a leaf with a witness may not be a Gröbner basis, and then it is only an upper bound."""
    return variety.dimension()


def even_degree(matrix: Sequence[Sequence[Any]]) -> int:
    """An even number no less than the degree of any entry: multiplying by an even power keeps signs."""
    degree = max((sum(map(int, m)) for row in matrix for entry in row for m in entry.to_dict()), default=0)
    return degree + degree % 2


def negative_minor(matrix: np.ndarray) -> tuple[int, ...] | None:
    """Indices of a principal minor of size 1 or 2 that is negative at every real point, as minus a positive form."""
    size = len(matrix)
    for i in range(size):
        if is_positive(-matrix[i, i]):
            return (i,)
    for i in range(size):
        for j in range(i):
            if is_positive(matrix[i, j] ** 2 - matrix[i, i] * matrix[j, j]):
                return (j, i)
    return None


def is_positive(polynomial: Polynomial) -> bool:
    """Whether all monomials are squares with positive coefficients, a constant among them: positive everywhere."""
    terms = polynomial.to_dict()
    constant = (0,) * polynomial.context().nvars()
    return constant in terms and all(
        coefficient > 0 and all(int(e) % 2 == 0 for e in monomial) for monomial, coefficient in terms.items()
    )


def show_cells(name: str, cells: Sequence[Cell], kind: str) -> str:
    """Where on the line the cells of this kind are, neighbours joined."""
    runs: list[list[Cell]] = []
    for before, cell in zip([None, *cells], cells, strict=False):
        if cell.kind == kind:
            joined = before is not None and before.kind == kind and (before.place is None) != (cell.place is None)
            if joined:
                runs[-1].append(cell)
            else:
                runs.append([cell])
    return " or ".join(show_run(name, run) for run in runs)


def show_run(name: str, run: Sequence[Cell]) -> str:
    first, last = run[0], run[-1]
    if len(run) == 1 and first.place is not None:
        return f"{name} = {first.place}"
    low = None if first.interval is None else first.interval[0]
    high = None if last.interval is None else last.interval[2]
    left = f"{first.place} <= " if first.place is not None else f"{low} < " if low is not None else ""
    right = f" <= {last.place}" if last.place is not None else f" < {high}" if high is not None else ""
    if left and not right:
        sign_ = ">=" if first.place is not None else ">"
        return f"{name} {sign_} {first.place if first.place is not None else low}"
    return f"{left}{name}{right}" if left or right else f"{name} real"
