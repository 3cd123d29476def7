"""Real points of a variety, exactly: rational parametrisations and algebraic numbers.

A variety of dimension d ≥ 1 is written as a graph: d free variables S, every other variable a rational function of
them with a common denominator δ(S), read off a lexicographic Gröbner basis and checked by substitution. Points with
δ = 0 are a smaller variety, treated on its own, so the strata together are the whole variety. A variety of dimension 0
is split until a linear form θ of the variables has an irreducible minimal polynomial f and every variable is a
polynomial in θ; its real points are the real roots of f, isolated by Arb.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import flint

from precls_theory.landscape.ideals import TooLarge, Variety, eliminate, integral, renamed, varieties
from precls_theory.landscape.quotient import Algebra, Quotient, at_matrix
from precls_theory.landscape.roots import real_roots


@dataclass(frozen=True, eq=False)
class Points:
    """Conjugate isolated points: variable i is ``values[i](θ)`` for the roots θ of the irreducible ``modulus``."""

    names: tuple[str, ...]
    modulus: flint.fmpq_poly
    values: tuple[flint.fmpq_poly, ...]

    dimension = 0

    @property
    def is_rational(self) -> bool:
        return self.modulus.degree() == 1

    def roots(self, precision: int = 128) -> list[flint.arb]:
        """The real roots of the modulus, in disjoint balls of about this precision."""
        return real_roots(self.modulus, precision)

    def substitute(self, polynomial: flint.fmpq_mpoly | flint.fmpz_mpoly) -> flint.fmpq_poly:
        """The value of a polynomial in the variables, an element of Q(θ)."""
        total = flint.fmpq_poly([])
        powers: dict[tuple[int, int], flint.fmpq_poly] = {}
        for monomial, coefficient in polynomial.to_dict().items():
            term = flint.fmpq_poly([coefficient])
            for index, exponent in enumerate(map(int, monomial)):
                if exponent:
                    if (index, exponent) not in powers:
                        powers[index, exponent] = pow(self.values[index], exponent) % self.modulus
                    term = term * powers[index, exponent] % self.modulus
            total += term
        return total

    def rational_point(self) -> dict[str, flint.fmpq]:
        root = -self.modulus[0] / self.modulus[1]
        return {name: value(root) for name, value in zip(self.names, self.values, strict=True)}


@dataclass(frozen=True, eq=False)
class Graph:
    """A rational graph: variable i is ``numerators[i]/denominator`` of the free variables, where that is not zero."""

    names: tuple[str, ...]
    free: tuple[str, ...]
    context: flint.fmpq_mpoly_ctx
    numerators: tuple[flint.fmpq_mpoly, ...]
    denominator: flint.fmpq_mpoly
    slopes: tuple[flint.fmpq_mpoly, ...]
    """Where one of these polynomials of the free variables is zero, the equations that were solved do not determine."""

    @property
    def dimension(self) -> int:
        return len(self.free)

    def substitute(
        self, polynomial: flint.fmpq_mpoly | flint.fmpz_mpoly, degree: int | None = None
    ) -> flint.fmpq_mpoly:
        """``δ^degree`` times the polynomial along the graph; the degree is the polynomial's own unless given."""
        terms = {monomial: flint.fmpq(coefficient) for monomial, coefficient in polynomial.to_dict().items()}
        own = max((sum(map(int, monomial)) for monomial in terms), default=0)
        degree = own if degree is None else degree
        if degree < own:
            raise ValueError(f"a polynomial of degree {own} needs at least that power of the denominator")
        total = self.context.constant(0)
        for monomial, coefficient in terms.items():
            term = self.context.constant(1) * coefficient
            for index, exponent in enumerate(map(int, monomial)):
                if exponent:
                    term = term * self.numerators[index] ** exponent
            total += term * self.denominator ** (degree - sum(map(int, monomial)))
        return total

    def point(self, values: Sequence[flint.fmpq]) -> dict[str, flint.fmpq]:
        """The point over these values of the free variables."""
        denominator = self.denominator(*values)
        return {
            name: numerator(*values) / denominator for name, numerator in zip(self.names, self.numerators, strict=True)
        }


@dataclass(frozen=True, eq=False)
class Unresolved:
    """A variety for which no rational parametrisation was found: nothing is claimed about its real points."""

    variety: Variety
    reason: str

    @property
    def dimension(self) -> int:
        return self.variety.dimension()


Stratum = Points | Graph | Unresolved


def strata(variety: Variety) -> Iterator[Stratum]:
    """The variety as a union of strata: isolated points, graphs over their free variables, and what is not resolved."""
    if variety.no_real_point is not None:
        return
    try:
        if variety.dimension() == 0:
            yield from points(variety)
            return
        graph = parametrise(variety)
    except TooLarge as error:
        yield Unresolved(variety, str(error))
        return
    if graph is None:
        yield Unresolved(variety, "no rational parametrisation over a set of free variables was found")
        return
    yield graph
    for smaller in exceptions(variety, graph):
        yield from strata(smaller)


def exceptions(variety: Variety, graph: Graph) -> list[Variety]:
    """The part of the variety that the graph may lack: over zeros of what was divided by, unless it is on the graph."""
    small = flint.fmpz_mpoly_ctx.get(graph.free, "degrevlex")
    factors: dict[str, flint.fmpq_mpoly] = {}
    for slope in graph.slopes:
        for factor, _ in slope.factor()[1]:
            factors[str(factor)] = factor
    inside = graph_equations(variety, graph)
    found = []
    for factor in factors.values():
        member = renamed(integral(factor, small), variety.context)
        for part in varieties([*variety.basis, member], variety.context):
            if not (graph.denominator.is_constant() and all(part.contains(equation) for equation in inside)):
                found.append(part)
    return found


def graph_equations(variety: Variety, graph: Graph) -> list[flint.fmpz_mpoly]:
    """``δ·x_i − numerator_i``, in the variety's variables."""
    context = flint.fmpq_mpoly_ctx.get(variety.names, "degrevlex")
    generators = dict(zip(variety.names, context.gens(), strict=True))
    equations = []
    for name, numerator in zip(graph.names, graph.numerators, strict=True):
        top, bottom = (renamed(part, context) for part in (numerator, graph.denominator))
        equations.append(integral(bottom * generators[name] - top, variety.context))
    return equations


def parametrise(variety: Variety) -> Graph | None:
    """The variety as a graph over some of its variables, or None where the basis does not show one."""
    dimension, names = variety.dimension(), variety.names
    for free in itertools.combinations(names, dimension):
        dependent = [name for name in names if name not in free]
        basis, context = eliminate(variety, [*dependent, *free])
        found = _graph(basis, context, dependent, free, names)
        if found is not None and all(not found.substitute(member) for member in variety.basis):
            return found
    return None


def _graph(
    basis: list[flint.fmpz_mpoly],
    context: flint.fmpz_mpoly_ctx,
    dependent: list[str],
    free: tuple[str, ...],
    names: tuple[str, ...],
) -> Graph | None:
    small = flint.fmpz_mpoly_ctx.get(free, "degrevlex")
    order = list(context.names())
    if any(_confined(member, order, free) for member in basis):
        return None  # the free variables satisfy an equation: they are not free
    slopes: list[flint.fmpz_mpoly] = []
    solved: dict[str, tuple[flint.fmpz_mpoly, flint.fmpz_mpoly]] = {
        name: (generator, small.constant(1)) for name, generator in zip(free, small.gens(), strict=True)
    }
    for name in reversed(dependent):
        position = order.index(name)
        candidates = []
        for member in basis:
            used = {order[i] for i, e in enumerate(member.degrees()) if e}
            if name in used and int(member.degrees()[position]) == 1 and used <= {name, *solved}:
                slope = member.derivative(position)
                rest = member - slope * context.gens()[position]
                top, top_denominator = _rational(slope, order, solved, small)
                bottom, bottom_denominator = _rational(rest, order, solved, small)
                if top:
                    numerator, denominator = -bottom * top_denominator, top * bottom_denominator
                    common = numerator.gcd(denominator)
                    candidates.append((numerator / common, denominator / common, top))
        if not candidates:
            return None
        best = min(candidates, key=lambda found: (len(found[2]), len(found[1]), len(found[0])))
        solved[name] = best[:2]
        slopes.append(best[2])
    denominator = small.constant(1)
    for _, own in solved.values():
        denominator = denominator * own / denominator.gcd(own)
    rational = flint.fmpq_mpoly_ctx.get(free, "degrevlex")
    numerators = (solved[name][0] * (denominator / solved[name][1]) for name in names)
    over_q = [rational.from_dict(dict(member.to_dict())) for member in (*numerators, denominator, *slopes)]
    size = len(names)
    return Graph(names, tuple(free), rational, tuple(over_q[:size]), over_q[size], tuple(over_q[size + 1 :]))


def _confined(member: flint.fmpz_mpoly, order: list[str], free: tuple[str, ...]) -> bool:
    return {order[i] for i, e in enumerate(member.degrees()) if e} <= set(free)


def _rational(
    polynomial: flint.fmpz_mpoly,
    order: list[str],
    solved: dict[str, tuple[flint.fmpz_mpoly, flint.fmpz_mpoly]],
    small: flint.fmpz_mpoly_ctx,
) -> tuple[flint.fmpz_mpoly, flint.fmpz_mpoly]:
    """Numerator and denominator of a polynomial at rational functions."""
    numerator, denominator = small.constant(0), small.constant(1)
    for monomial, coefficient in polynomial.to_dict().items():
        top, bottom = small.constant(1) * coefficient, small.constant(1)
        for index, exponent in enumerate(map(int, monomial)):
            if exponent:
                top, bottom = top * solved[order[index]][0] ** exponent, bottom * solved[order[index]][1] ** exponent
        numerator, denominator = numerator * bottom + top * denominator, denominator * bottom
        common = numerator.gcd(denominator)
        if common:
            numerator, denominator = numerator / common, denominator / common
    return numerator, denominator


def points(variety: Variety) -> Iterator[Points | Unresolved]:
    """The points of a variety of dimension zero, by conjugacy classes.

    In the algebra Q[x]/I a linear form whose minimal polynomial has several factors, or a multiple one, splits it; when
    the forms tried (the variables first) all have an irreducible one, a form that generates the algebra gives the
    points, which are checked by substitution in the equations.
    """
    for values, modulus in _points(Quotient(variety).algebra()):
        if values is None:
            yield Unresolved(variety, "no linear form separates the points")
            continue
        found = Points(variety.names, modulus, tuple(value % modulus for value in values))
        if any(found.substitute(member) for member in variety.basis):
            raise ArithmeticError("a point of the algebra does not satisfy the equations that it came from")
        yield found


def _points(algebra: Algebra) -> Iterator[tuple[list[flint.fmpq_poly] | None, flint.fmpq_poly]]:
    count = len(algebra.matrices)
    if algebra.size == 0:
        return
    axes = [[int(i == j) for j in range(count)] for i in range(count)]
    mixed = [[1 + (seed * (position + 1) ** 2) % 11 for position in range(count)] for seed in range(1, 8)]
    for weights in axes + mixed:
        form = algebra.linear_form(weights)
        lowest = form.minpoly()
        _, factors = lowest.factor()
        if len(factors) > 1 or factors[0][1] > 1:
            for factor, _ in factors:
                yield from _points(algebra.modulo(at_matrix(flint.fmpq_poly(factor), form)))
            return
        values = algebra.in_powers_of(form)
        if values is not None:
            yield values, lowest
            return
    yield None, flint.fmpq_poly([0, 1])
