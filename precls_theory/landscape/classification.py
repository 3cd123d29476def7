"""The real stationary points of a population loss: all of them, and what kind each is.

For every choice of slices of the scalings (:func:`charts`), the stationary points are the zeros of the gradient on the
slice; :mod:`ideals` splits them into varieties, :mod:`strata` into rational graphs and algebraic points, and here each
stratum is split by the signature of the Hessian in the slice:

* a negative eigenvalue: a **saddle** (strict);
* semidefinite, and the kernel no larger than the tangent space of the stationary set at that point (Morse–Bott): the
  loss grows quadratically across the set, which is therefore a set of local minima: **global minimum** or **spurious
  minimum**;
* semidefinite with a larger kernel: a **degenerate saddle**, where an explicit curve descends (:mod:`descent`) or
  where strict saddles of the same loss accumulate: the loss is constant along a connected set of stationary points,
  and there are lower values next to each strict saddle, hence as near as one likes.

Whatever falls under none of these is reported as ``unresolved`` and the classification as not complete.

Slices are enough: the scaling group acts freely on the points of a chart, whose coordinates together with s are
coordinates of all weights, and the loss does not depend on s. A point of the chart where one weight is set to 1 stands
for its orbit, of one dimension more. Zeros in the weights *before* that one cut the chart's points out of the set, but
they stay directions of the Hessian. The conclusion "global" needs the least value of the loss: it is 0, or attained.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import flint
import numpy as np

from precls_theory.landscape.descent import Descent, find_descent
from precls_theory.landscape.ideals import Polynomial, TooLarge, Variety, integral, renamed, varieties
from precls_theory.landscape.problems import Landscape, Problem
from precls_theory.landscape.signature import Signature, elementary_symmetric, sign, sign_at
from precls_theory.landscape.strata import Graph, Points, Unresolved, at_root, real_roots, strata

GLOBAL, SPURIOUS, SADDLE, DEGENERATE = "global minimum", "spurious minimum", "saddle", "degenerate saddle"
LOCAL, UNRESOLVED, NO_POINT = "local minimum", "unresolved", "no real point"


@dataclass(frozen=True)
class Value:
    """A value of the loss: a rational number, or a root of a polynomial over Q with a decimal approximation."""

    rational: Fraction | None
    coefficients: tuple[int, ...] = ()
    approximately: float = 0.0

    @property
    def polynomial(self) -> flint.fmpz_poly:
        """The minimal polynomial, primitive."""
        if self.rational is not None:
            return flint.fmpz_poly([-self.rational.numerator, self.rational.denominator])
        return flint.fmpz_poly(list(self.coefficients))

    def to_json(self) -> Any:
        if self.rational is not None:
            return str(self.rational)
        return {"minimal_polynomial": str(self.polynomial), "approximately": self.approximately}

    def __add__(self, other: Value) -> Value:
        if self.rational is not None and other.rational is not None:
            return Value(self.rational + other.rational)
        context = flint.fmpz_mpoly_ctx.get(("x", "y"), "lex")
        x, y = context.gens()
        left = sum((c * y**k for k, c in enumerate(self.polynomial.coeffs())), context.constant(0))
        right = sum((c * (x - y) ** k for k, c in enumerate(other.polynomial.coeffs())), context.constant(0))
        resultant = univariate(left.resultant(right, "y"))
        total = float(self) + float(other)
        best = min(
            (abs(float(ball.mid()) - total), str(factor), factor)
            for factor, _ in resultant.factor()[1]
            for ball in real_roots(flint.fmpq_poly(factor))
        )
        factor = flint.fmpq_poly(best[2]).numer()
        if factor.degree() == 1:
            return Value(Fraction(-int(factor[0]), int(factor[1])))
        return Value(None, tuple(int(c) for c in factor.coeffs()), total)

    def __float__(self) -> float:
        return float(self.rational) if self.rational is not None else self.approximately

    def __str__(self) -> str:
        return str(self.rational) if self.rational is not None else f"{self.approximately:.6g}"


@dataclass(frozen=True, eq=False)
class Component:
    """A set of stationary points of one loss and one kind.

    ``equations`` (each = 0, weights set to 1 are representatives of a scaling) and ``conditions`` describe it;
    ``dimension`` counts the scalings; ``point`` is one of its points, exact where it is rational; ``signature`` is that
    of the Hessian in the slice at ``point``; ``reason`` says what the kind rests on.
    """

    kind: str
    dimension: int
    loss: Value | None
    real: bool
    equations: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    point: dict[str, str] = field(default_factory=dict)
    signature: Signature | None = None
    descent: dict[str, Any] | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "dimension": self.dimension,
            "loss": None if self.loss is None else self.loss.to_json(),
            "real": self.real,
            "kind": self.kind,
            "equations": list(self.equations),
            "conditions": list(self.conditions),
            "point": self.point,
            "signature": None if self.signature is None else vars(self.signature),
            "descent": self.descent,
            "reason": self.reason,
        }


@dataclass(frozen=True, eq=False)
class Chart:
    """A slice: ``fixed`` weights are 0 or 1; ``units`` are those set to 1, one for each scaling that acts freely."""

    fixed: dict[str, int]
    units: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Classification:
    """All components of one problem; ``complete`` says that nothing was left open."""

    problem: Problem
    components: tuple[Component, ...]
    complete: bool
    infimum: str

    @property
    def real(self) -> tuple[Component, ...]:
        return tuple(component for component in self.components if component.real)


def charts(problem: Problem) -> Iterator[Chart]:
    """Slices that meet every orbit: of each scaling's first family the first nonzero weight is 1, or all are 0."""
    options = []
    for family, _ in problem.scalings:
        slices = [Chart({**dict.fromkeys(family[:k], 0), name: 1}, (name,)) for k, name in enumerate(family)]
        options.append([*slices, Chart(dict.fromkeys(family, 0), ())])
    for chosen in itertools.product(*options):
        fixed = {name: value for chart in chosen for name, value in chart.fixed.items()}
        yield Chart(fixed, tuple(name for chart in chosen for name in chart.units))


def classify(problem: Problem, report: Callable[[str], None] = lambda text: None) -> Classification:
    """Every real stationary point of the problem's loss, by kind. ``report`` hears of each chart that is begun."""
    found: list[Component] = []
    for chart in charts(problem):
        report(", ".join(f"{name}={value}" for name, value in chart.fixed.items()))
        found.extend(Slice(problem, chart).components())
    least, attained = infimum(problem, found)
    named = tuple(by_theorem(with_name(component, least), problem, least) for component in found)
    order = {GLOBAL: 0, SPURIOUS: 1, LOCAL: 2, DEGENERATE: 3, SADDLE: 4, UNRESOLVED: 5, NO_POINT: 6}
    named = tuple(sorted(named, key=lambda c: (order[c.kind], -1 if c.loss is None else float(c.loss), -c.dimension)))
    complete = all(component.kind not in (UNRESOLVED, LOCAL) for component in named)
    return Classification(problem, named, complete, attained)


def with_name(component: Component, least: Fraction | None) -> Component:
    """A component at the least value of the loss is a global minimum, whatever its Hessian; other minima are spurious."""
    if least is None or component.loss is None:
        return component
    if component.real and component.loss.rational == least:
        return replace(component, kind=GLOBAL, descent=None, reason=f"the loss is {least}, its greatest lower bound")
    return replace(component, kind=SPURIOUS) if component.kind == LOCAL else component


def by_theorem(component: Component, problem: Problem, least: Fraction | None) -> Component:
    """What a registered theorem says of every stationary point above the least loss, where the engine did not decide."""
    above = component.loss is not None and component.loss.rational is not None and component.loss.rational != least
    if component.kind == UNRESOLVED and above and problem.others_are_saddles and least is not None:
        return replace(component, kind=SADDLE, reason=f"theorem {problem.others_are_saddles}")
    return component


def infimum(problem: Problem, components: Sequence[Component]) -> tuple[Fraction | None, str]:
    """The greatest lower bound of the loss and what it rests on, or None where this engine cannot tell."""
    if any(c.real and c.loss is not None and c.loss.rational == 0 for c in components):
        return Fraction(0), "0, attained (a mean square is not negative)"
    if problem.vanishing is not None:
        value = loss_along(problem, problem.vanishing)
        if min(value) > 0:
            return Fraction(0), "0, not attained: the loss is " + show_powers(value) + " along a curve to infinity"
    return None, "not determined"


def loss_along(problem: Problem, curve: dict[str, dict[int, Fraction]]) -> dict[int, Fraction]:
    """The loss along a curve of Laurent polynomials in ε, as ``{power: coefficient}``."""
    total: dict[int, Fraction] = {}
    for monomial, coefficient in problem.loss.polynomial.to_dict().items():
        term = {0: Fraction(int(coefficient.p), int(coefficient.q))}
        for name, exponent in zip(problem.loss.names, map(int, monomial), strict=True):
            for _ in range(exponent):
                product: dict[int, Fraction] = {}
                for (a, x), (b, y) in itertools.product(term.items(), curve[name].items()):
                    product[a + b] = product.get(a + b, Fraction(0)) + x * y
                term = product
        for power, value in term.items():
            total[power] = total.get(power, Fraction(0)) + value
    return {power: value for power, value in total.items() if value} or {0: Fraction(0)}


def show_powers(value: dict[int, Fraction]) -> str:
    return " + ".join(f"{c}·ε^{power}" if c != 1 else f"ε^{power}" for power, c in sorted(value.items()))


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
            point = self.full_point({
                name: decimal(at_root(value, points.modulus, index))
                for name, value in zip(self.names, points.values, strict=True)
            })
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
            point = {} if sample is None else self.full_point(self.shown([graph.point(sample)[n] for n in self.names]))
            yield Component(LOCAL, dimension + orbit, loss, True, equations, nonzero, point, reason="the loss is 0")
            return
        size = len(self.moving)
        matrix = np.empty((size, size), dtype=object)
        degree = even_degree(self.hessian)
        for i, j in np.ndindex(size, size):
            matrix[i, j] = graph.substitute(self.hessian[i][j], degree)
        minor = negative_minor(matrix)
        if minor is not None:
            sample = self.sample(graph)
            point = None if sample is None else [graph.point(sample)[name] for name in self.names]
            yield Component(
                SADDLE, dimension + orbit, loss, True, equations, nonzero,
                {} if point is None else self.full_point(self.shown(point)),
                None if point is None else self.hessian_at(point)[1],
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
        from precls_theory.landscape.quartic import normal_quartic

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
                    yield from self.of_strata(part, tangent)

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
        return SADDLE, f"the Hessian has {signature.negative} negative eigenvalue{'s' if signature.negative > 1 else ''}"
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


# The real line, cut at algebraic numbers.


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
    simple = [simplest_between(left, right) for left, right in zip(ends, ends[1:], strict=False)]
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


def univariate(polynomial: Any) -> flint.fmpq_poly:
    coefficients = {int(monomial[0]): c for monomial, c in polynomial.to_dict().items()}
    return flint.fmpq_poly([coefficients.get(k, 0) for k in range(max(coefficients, default=0) + 1)])


def fraction(value: flint.fmpq) -> Fraction:
    return Fraction(int(value.p), int(value.q))


def decimal(value: float) -> str:
    return f"{value:.15g}"


def algebraic_value(value: flint.fmpq_poly, modulus: flint.fmpq_poly, root: int) -> Value:
    """An element of Q(θ) as a value: rational, or by its minimal polynomial."""
    value = value % modulus
    if value.degree() <= 0:
        return Value(fraction(value[0]))
    size = modulus.degree()
    columns = [(value * flint.fmpq_poly([0] * k + [1])) % modulus for k in range(size)]
    matrix = flint.fmpq_mat(size, size, [columns[j][i] for i in range(size) for j in range(size)])
    return Value(None, tuple(int(c) for c in matrix.minpoly().numer().coeffs()), at_root(value, modulus, root))


def classify_all(whole: Landscape, report: Callable[[str], None] = lambda text: None) -> list[Classification]:
    """The parts of a landscape, each classified."""
    return [classify(part, lambda text, part=part: report(f"{part.name}: {text}")) for part in whole.parts]  # type: ignore[misc]
