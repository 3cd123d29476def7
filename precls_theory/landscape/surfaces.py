"""Stationary sets of several parameters: a rational graph, divided by a wall where the Hessian loses rank."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import flint

from precls_theory.landscape.components import DEGENERATE, LOCAL, SADDLE, UNRESOLVED, Component, Value
from precls_theory.landscape.ideals import Variety, integral, renamed, varieties
from precls_theory.landscape.kinds import ACCUMULATE, kind_of
from precls_theory.landscape.positivity import (
    indefinite_part,
    is_never_positive,
    is_positive,
    is_square_sum,
)
from precls_theory.landscape.roots import sign
from precls_theory.landscape.signature import Signature
from precls_theory.landscape.slices import Slice
from precls_theory.landscape.strata import Graph

Rest = Callable[[Variety, int | None], Iterator[Component]]
"""Classifies a smaller variety, in a stationary manifold of this dimension."""


def of_surface(
    piece: Slice, graph: Graph, equations: tuple[str, ...], loss: Value, symmetric: list[flint.fmpq_mpoly], variety: Variety,
    tangent: int, rest: Rest,
) -> Iterator[Component]:  # fmt: skip
    """A graph over several variables, divided by the zeros of the last e_k that is not identically zero there.

    With n moving weights, f = e_{n−tangent} is the product of the eigenvalues off the tangent space. Where f ≠ 0
    the signature is constant on connected pieces; where f has a smooth zero of odd order it changes sign, hence
    every such zero is a limit of strict saddles. Other zeros of f are varieties of their own. Where some e_k is nowhere
    positive, the points with e_k ≠ 0 are strict saddles, and those with e_k = 0 limits of them (:func:`limits`).
    """
    orbit, dimension = len(piece.chart.units), graph.dimension
    leading = symmetric[len(symmetric) - tangent - 1]
    below = next((value for value in symmetric if is_never_positive(value)), None)
    if not leading and below is None:
        shown, signature = first(piece, graph)
        yield Component(
            UNRESOLVED, dimension + orbit, loss, True, equations, (), shown, signature,
            reason="the Hessian has a larger kernel than the tangent space along a set of several parameters",
        )  # fmt: skip
        return
    if below is not None:
        shown, signature = {}, None
        for values in points(graph):
            if below(*values) != 0:
                point = [graph.point(values)[name] for name in piece.names]
                shown, signature = piece.full_point(piece.shown(point)), piece.hessian_at(point)[1]
                break
        yield Component(
            SADDLE, dimension + orbit, loss, True, equations, (f"{indefinite_part(-below)} != 0",), shown, signature,
            reason="an elementary symmetric function of the Hessian's eigenvalues is negative there",
        )  # fmt: skip
        zeros = [[factor] for factor, _ in below.factor()[1] if not (is_positive(factor) or is_positive(-factor))]
        yield from limits(piece, graph, zeros, variety, rest)
        return
    walls, others = divide(leading, graph)
    kinds = samples(graph, symmetric, tangent)
    indefinite = [value for value in symmetric[: len(symmetric) - tangent] if not is_positive(value)]
    polynomials = [indefinite_part(value) for value in indefinite]
    for kind, (values, signature) in kinds.items():
        point = [graph.point(values)[name] for name in piece.names]
        positive = tuple(f"{polynomial} > 0" for polynomial in polynomials)
        conditions = positive if kind == LOCAL else (f"one of these is negative: {', '.join(polynomials)}",)
        yield Component(
            kind, dimension + orbit, loss, True, equations, conditions, piece.full_point(piece.shown(point)),
            signature, reason=kind_of(signature, tangent)[1],
        )  # fmt: skip
    if LOCAL not in kinds:
        shown, signature = first(piece, graph)
        yield Component(
            UNRESOLVED, dimension + orbit, loss, True, equations, (), shown, signature,
            reason="all samples are saddles, but that no point is a minimum is not proved",
        )  # fmt: skip
        return
    if SADDLE not in kinds and polynomials:
        # The samples are a grid: that they show minima alone does not say that there is nothing else.
        yield Component(
            UNRESOLVED, dimension + orbit, loss, True, equations,
            (f"one of these is negative: {', '.join(polynomials)}",),
            reason="all samples are minima, but that no point is a saddle is not proved",
        )  # fmt: skip
    for wall in walls:
        yield Component(
            DEGENERATE, dimension - 1 + orbit, loss, True, (*equations, str(wall)),
            ("where the Hessian is semidefinite",), on_wall(piece, graph, wall, symmetric), reason=ACCUMULATE,
        )  # fmt: skip
    for part in parts(others, graph, variety):
        # Over zeros of the denominator the graph, and with it the tangent space, may not be there.
        yield from rest(part, tangent if graph.denominator.is_constant() else None)


def limits(
    piece: Slice, graph: Graph, zeros: list[list[flint.fmpq_mpoly]], variety: Variety, rest: Rest
) -> Iterator[Component]:
    """The points of a graph that are limits of strict saddles on it: saddles, strict ones or degenerate.

    The zeros of a polynomial that is not identically zero have no interior in the space of the free variables, so near
    every one of them there are points of the graph where it is not zero; these have the same loss.
    """
    for part in parts(zeros, graph, variety):
        for component in rest(part, None):
            if component.kind == LOCAL and graph.denominator.is_constant():
                raise ArithmeticError("a local minimum is a limit of strict saddles of the same loss: this cannot be")
            if component.kind == UNRESOLVED and component.dimension >= 0 and graph.denominator.is_constant():
                component = replace(component, kind=DEGENERATE, reason=ACCUMULATE, conditions=(
                    *component.conditions, "where the Hessian is semidefinite"))  # fmt: skip
            yield component


def parts(zeros: list[list[flint.fmpq_mpoly]], graph: Graph, variety: Variety) -> Iterator[Variety]:
    """The varieties on which one of these lists of polynomials of the free variables vanishes."""
    small = flint.fmpz_mpoly_ctx.get(graph.free, "degrevlex")
    for members in zeros:
        extra = [renamed(integral(member, small), variety.context) for member in members if member]
        for part in varieties([*variety.basis, *extra], variety.context):
            if part.no_real_point is None:
                yield part


def on_wall(piece: Slice, graph: Graph, wall: flint.fmpq_mpoly, symmetric: list[flint.fmpq_mpoly]) -> dict[str, str]:
    """A rational point with semidefinite Hessian where ``wall`` is zero, if a small one is found."""
    candidates = [flint.fmpq(n, d) for n, d in itertools.product(range(-6, 7), (1, 2))]
    for values in itertools.product(candidates, repeat=graph.dimension):
        if wall(*values) == 0 and graph.denominator(*values) != 0:
            signature = Signature.of_signs([sign(flint.fmpq(value(*values))) for value in symmetric])
            if signature.is_semidefinite:
                return piece.full_point(piece.shown([graph.point(values)[name] for name in piece.names]))
    return {}


def points(graph: Graph) -> Iterator[list[flint.fmpq]]:
    """Small admissible values of the free variables."""
    candidates = [flint.fmpq(n, d) for n, d in ((1, 1), (3, 1), (-3, 1), (1, 2), (0, 1), (-1, 2))]
    for values in itertools.product(candidates, repeat=graph.dimension):
        if graph.denominator(*values) != 0:
            yield list(values)


def first(piece: Slice, graph: Graph) -> tuple[dict[str, str], Signature | None]:
    """A small rational point of the graph and the signature of the Hessian there, where the graph has a small point."""
    for values in points(graph):
        point = [graph.point(values)[name] for name in piece.names]
        return piece.full_point(piece.shown(point)), piece.hessian_at(point)[1]
    return {}, None


def samples(
    graph: Graph, symmetric: list[flint.fmpq_mpoly], tangent: int
) -> dict[str, tuple[list[flint.fmpq], Signature]]:
    """For each kind that the signature decides somewhere on a grid, a point of it."""
    seen: dict[str, tuple[list[flint.fmpq], Signature]] = {}
    for values in points(graph):
        signature = Signature.of_signs([sign(flint.fmpq(value(*values))) for value in symmetric])
        kind = kind_of(signature, tangent)[0]
        if kind != UNRESOLVED:
            seen.setdefault(kind, (values, signature))
    return seen


def divide(leading: flint.fmpq_mpoly, graph: Graph) -> tuple[list[flint.fmpq_mpoly], list[list[flint.fmpq_mpoly]]]:
    """(smooth zeros of odd order, other real zeros) of a polynomial, by its factors; the others as lists of equations."""
    walls, others = [], []
    context = flint.fmpz_mpoly_ctx.get(graph.free, "degrevlex")
    for factor, multiplicity in leading.factor()[1]:
        if is_positive(factor) or is_positive(-factor):
            continue
        slopes = [factor.derivative(index) for index in range(len(graph.free))]
        if is_square_sum(factor) or is_square_sum(-factor):
            others.append([factor, *slopes])  # zero only where it is least (or greatest)
        elif multiplicity % 2:
            walls.append(factor)  # at its smooth points; the others:
            if real_parts([integral(p, context) for p in (factor, *slopes) if p], context):
                others.append([factor, *slopes])
        else:
            others.append([factor])
    return walls, others


def real_parts(generators: list[flint.fmpz_mpoly], context: flint.fmpz_mpoly_ctx) -> list[Variety]:
    """The parts of a zero set that are not known to be without real points."""
    return [part for part in varieties(generators, context) if part.no_real_point is None]
