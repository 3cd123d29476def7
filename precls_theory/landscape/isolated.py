"""Isolated stationary points on a slice: rational ones, and classes of conjugate algebraic ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import flint
import numpy as np

from precls_theory.landscape.components import (
    DEGENERATE,
    NO_POINT,
    UNRESOLVED,
    Component,
    Value,
    algebraic_value,
    decimal,
    fraction,
)
from precls_theory.landscape.kinds import kind_of
from precls_theory.landscape.roots import at_root, sign_at
from precls_theory.landscape.signature import Signature, elementary_symmetric
from precls_theory.landscape.slices import Slice
from precls_theory.landscape.strata import Points


def of_points(piece: Slice, points: Points, equations: tuple[str, ...], tangent: int = 0) -> Iterator[Component]:
    orbit = len(piece.chart.units)
    if points.is_rational:
        values = points.rational_point()
        yield at_rational(piece, [values[name] for name in piece.names], orbit, piece.exact_equations(values), tangent)
        return
    roots = points.roots()
    equations = (*equations, f"{points.modulus} has the root x = θ")
    if not roots:
        reason = f"the coordinates generate Q(θ), and {points.modulus} has no real root"
        yield Component(NO_POINT, orbit, None, False, equations, reason=reason)
        return
    matrix = np.empty((len(piece.moving),) * 2, dtype=object)
    for i, j in np.ndindex(*matrix.shape):
        matrix[i, j] = points.substitute(piece.hessian[i][j])
    symmetric = elementary_symmetric(matrix, flint.fmpq_poly([1]), lambda value: value % points.modulus)
    loss = points.substitute(piece.loss)
    for index in range(len(roots)):
        signature = Signature.of_signs([sign_at(value, points.modulus, index) for value in symmetric])
        kind, reason = kind_of(signature, tangent)
        point = piece.full_point(
            {
                name: decimal(at_root(value, points.modulus, index))
                for name, value in zip(piece.names, points.values, strict=True)
            }
        )
        yield Component(
            kind, orbit, algebraic_value(loss, points.modulus, index), True, equations, (), point, signature,
            reason=reason,
        )  # fmt: skip


def at_rational(
    piece: Slice, point: Sequence[flint.fmpq], dimension: int, equations: tuple[str, ...], tangent: int = 0
) -> Component:
    """The component of one rational point, on a stationary manifold of dimension ``tangent`` in the slice."""
    matrix, signature = piece.hessian_at(point)
    kind, reason = kind_of(signature, tangent)
    descent = None
    if kind == UNRESOLVED:
        found = piece.descend(point, matrix)
        if found is not None:
            kind, descent = DEGENERATE, piece.describe(found)
            reason = f"semidefinite Hessian; the loss decreases at order {found.order} along the curve given"
    value = piece.loss(*point)
    return Component(
        kind, dimension, Value(fraction(value)), True, equations, (), piece.full_point(piece.shown(point)), signature,
        descent, reason,
    )  # fmt: skip
