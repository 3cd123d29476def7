"""All stationary points on a slice: varieties, their strata, and the kinds along rational graphs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import flint
import numpy as np

from precls_theory.landscape.components import LOCAL, NO_POINT, SADDLE, UNRESOLVED, Component, Value, fraction
from precls_theory.landscape.curves import of_curve
from precls_theory.landscape.ideals import TooLarge, Variety, integral, varieties
from precls_theory.landscape.isolated import of_points
from precls_theory.landscape.positivity import is_positive, negative_minor
from precls_theory.landscape.signature import Signature, elementary_symmetric
from precls_theory.landscape.slices import Slice
from precls_theory.landscape.strata import Graph, Points, Unresolved, strata
from precls_theory.landscape.surfaces import of_surface

Decompose = Callable[[Sequence[flint.fmpz_mpoly], flint.fmpz_mpoly_ctx], list[Variety]]
"""The zeros of some polynomials of a context as a union of varieties; :func:`precls_theory.landscape.ideals.varieties`."""


def components(piece: Slice, decompose: Decompose = varieties) -> Iterator[Component]:
    """All stationary points on a slice; ``decompose`` writes the zeros of the gradient as a union of varieties."""
    generators = [integral(equation, piece.integral_context) for equation in piece.equations]
    try:
        parts = decompose(generators, piece.integral_context)
    except TooLarge as error:
        yield Component(UNRESOLVED, -1, None, True, piece.gauge, reason=str(error))
        return
    for variety in parts:
        yield from of_variety(piece, variety)


def of_variety(piece: Slice, variety: Variety) -> Iterator[Component]:
    orbit = len(piece.chart.units)
    if variety.no_real_point is not None:
        # A leaf with a witness need not be a Gröbner basis: its dimension is then an upper bound.
        reason = f"{variety.no_real_point} is not zero at any real point"
        equations = (*piece.gauge, *variety.equations())
        yield Component(NO_POINT, variety.dimension() + orbit, None, False, equations, reason=reason)
        return
    yield from of_strata(piece, variety, None)


def of_strata(piece: Slice, variety: Variety, tangent: int | None) -> Iterator[Component]:
    """The strata of a variety, in a stationary manifold of dimension ``tangent`` where that is more than their own."""
    orbit = len(piece.chart.units)
    equations = (*piece.gauge, *variety.equations())
    for stratum in strata(variety):
        if isinstance(stratum, Unresolved):
            loss = piece.loss_on(stratum.variety)
            yield Component(UNRESOLVED, stratum.dimension + orbit, loss, True, equations, reason=stratum.reason)
        elif isinstance(stratum, Points):
            yield from of_points(piece, stratum, equations, tangent or 0)
        else:
            yield from of_graph(piece, stratum, equations, variety, tangent or stratum.dimension)


def of_graph(
    piece: Slice, graph: Graph, equations: tuple[str, ...], variety: Variety, tangent: int
) -> Iterator[Component]:
    """The kinds along a graph that lies in a stationary manifold of dimension ``tangent`` (its own, or a larger)."""
    orbit, dimension = len(piece.chart.units), graph.dimension
    loss = constant_loss(piece, graph)
    nonzero = () if graph.denominator.is_constant() else (f"{graph.denominator} != 0",)
    if loss.rational == 0:
        shown, _ = at_sample(piece, graph)
        yield Component(LOCAL, dimension + orbit, loss, True, equations, nonzero, shown, reason="the loss is 0")
        return
    size = len(piece.moving)
    matrix = np.empty((size, size), dtype=object)
    degree = even_degree(piece.hessian)
    for i, j in np.ndindex(size, size):
        matrix[i, j] = graph.substitute(piece.hessian[i][j], degree)
    symmetric: list[flint.fmpq_mpoly] = []
    minor = negative_minor(matrix)
    if minor is None:
        symmetric = elementary_symmetric(matrix, graph.context.constant(1))
        negative = next((k for k, value in enumerate(symmetric, start=1) if is_positive(-value)), None)
        reason = None if negative is None else f"e_{negative} of the Hessian's eigenvalues is negative everywhere"
    else:
        moving = ", ".join(piece.moving[i] for i in minor)
        reason = f"the {len(minor)}×{len(minor)} minor of the Hessian at {moving} is negative everywhere"
    if reason is not None:
        shown, signature = at_sample(piece, graph)
        yield Component(SADDLE, dimension + orbit, loss, True, equations, nonzero, shown, signature, reason=reason)
    elif dimension == 1:
        yield from of_curve(piece, graph, equations, loss, symmetric, tangent)
    else:
        yield from of_surface(piece, graph, equations, loss, symmetric, variety, tangent, partial(of_strata, piece))


def constant_loss(piece: Slice, graph: Graph) -> Value:
    """The loss along the graph, which is constant: the graph is connected by stationary points piece by piece."""
    numerator = graph.substitute(piece.loss)
    degree = max((sum(map(int, m)) for m in piece.loss.to_dict()), default=0)
    power = graph.denominator**degree
    value = numerator.leading_coefficient() / power.leading_coefficient() if numerator else flint.fmpq(0)
    if numerator != power * value:
        raise ArithmeticError("the loss is not constant along a set of stationary points: this cannot be")
    return Value(fraction(value))


def at_sample(piece: Slice, graph: Graph) -> tuple[dict[str, str], Signature | None]:
    """A point of the graph and the signature of the Hessian there; nothing where no small values are admissible."""
    values = sample(graph)
    if values is None:
        return {}, None
    point = [graph.point(values)[name] for name in piece.names]
    return piece.full_point(piece.shown(point)), piece.hessian_at(point)[1]


def sample(graph: Graph) -> list[flint.fmpq] | None:
    candidates = [flint.fmpq(n, d) for n, d in ((1, 1), (2, 1), (-1, 1), (1, 2), (3, 1), (0, 1), (-2, 1), (-1, 2))]
    for values in itertools.product(candidates, repeat=graph.dimension):
        if graph.denominator(*values) != 0:
            return list(values)
    return None


def even_degree(matrix: Sequence[Sequence[flint.fmpq_mpoly]]) -> int:
    """An even number no less than the degree of any entry: multiplying by an even power keeps signs."""
    degree = max((sum(map(int, m)) for row in matrix for entry in row for m in entry.to_dict()), default=0)
    return degree + degree % 2
