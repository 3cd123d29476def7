"""Curves of descent at degenerate stationary points: the order at which the loss first decreases, exactly.

At a stationary point x with positive semidefinite Hessian H, a direction v of its kernel is continued to a curve

    x(t) = x + t v + t² w_2 + t³ w_3 + …,

whose terms w_k, in the range of H, remove the gradient's component in that range order by order (Lyapunov–Schmidt).
The loss along the curve is then a polynomial in t whose coefficients are computed exactly. If its first term after the
constant is negative (or of odd order), the point is no local minimum, whatever led to the curve.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import flint

LONGEST = 6
"""Order at which the search gives up."""


@dataclass(frozen=True)
class Descent:
    """``x(t) = Σ_k t^k curve[k]`` from a stationary point; the loss along it is ``loss − rate·t^order + …``."""

    order: int
    rate: Fraction
    curve: tuple[tuple[flint.fmpq, ...], ...]

    def describe(self, names: Sequence[str]) -> dict[str, str]:
        """Each weight as a polynomial in t."""
        context = flint.fmpq_mpoly_ctx.get(("t",), "lex")
        described = {}
        for index, name in enumerate(names):
            terms = {(k,): coefficient[index] for k, coefficient in enumerate(self.curve) if coefficient[index]}
            described[name] = str(context.from_dict(terms))
        return described


def along(polynomial: flint.fmpq_mpoly, curve: Sequence[Sequence[flint.fmpq]]) -> flint.fmpq_poly:
    """The polynomial along the curve, a polynomial in t."""
    series = [flint.fmpq_poly([point[index] for point in curve]) for index in range(len(curve[0]))]
    total = flint.fmpq_poly([])
    for monomial, coefficient in polynomial.to_dict().items():
        term = flint.fmpq_poly([coefficient])
        for index, exponent in enumerate(map(int, monomial)):
            if exponent:
                term *= series[index] ** exponent
        total += term
    return total


def find_descent(
    polynomial: flint.fmpq_mpoly,
    gradient: Sequence[flint.fmpq_mpoly],
    hessian: flint.fmpq_mat,
    point: Sequence[flint.fmpq],
) -> Descent | None:
    """A curve of descent of least order among those tried, or None. ``hessian`` is the one at ``point``."""
    best = None
    for direction in directions(kernel(hessian)):
        found = follow(polynomial, gradient, hessian, point, direction, best.order if best else LONGEST + 1)
        if found is not None:
            best = found
            if best.order == 3:
                break
    return best


def directions(basis: list[list[flint.fmpq]]) -> Iterator[list[flint.fmpq]]:
    """Small integer combinations of at most four vectors of a basis, simple ones first."""
    size = len(basis)
    for count in range(1, min(size, 4) + 1):
        for chosen in itertools.combinations(range(size), count):
            for weights in itertools.product(*([[1, 2]] + [[1, -1, 2, -2]] * (count - 1))):
                yield [
                    sum((basis[i][k] * weight for i, weight in zip(chosen, weights, strict=True)), flint.fmpq(0))
                    for k in range(len(basis[0]))
                ]


def follow(
    polynomial: flint.fmpq_mpoly,
    gradient: Sequence[flint.fmpq_mpoly],
    hessian: flint.fmpq_mat,
    point: Sequence[flint.fmpq],
    direction: Sequence[flint.fmpq],
    below: int,
) -> Descent | None:
    """The curve from one direction of the kernel, if the loss decreases along it at an order less than ``below``."""
    size = len(point)
    curve: list[list[flint.fmpq]] = [list(point), list(direction)]
    for order in range(3, below):
        change = along(polynomial, curve)
        first = next((k for k in range(1, change.degree() + 1) if change[k] != 0), None)
        # A correction w_k changes the loss at order k+1 at the earliest: lower coefficients are final.
        if first is not None and first <= order:
            rate = change[first]
            if first % 2 == 0 and rate > 0:
                return None
            if first % 2:
                flip = 1 if rate < 0 else -1
                curve = [[value * flip**k for value in term] for k, term in enumerate(curve)]
            return Descent(first, abs(Fraction(int(rate.p), int(rate.q))), tuple(map(tuple, curve)))
        residual = [along(partial, curve)[order - 1] for partial in gradient]
        curve.append(solve_in_range(hessian, [-value for value in residual]) or [flint.fmpq(0)] * size)
    return None


def kernel(matrix: flint.fmpq_mat) -> list[list[flint.fmpq]]:
    """A basis of the kernel."""
    reduced, rank = matrix.rref()
    size = matrix.ncols()
    pivots = [next(j for j in range(size) if reduced[i, j] != 0) for i in range(rank)]
    basis = []
    for free in (j for j in range(size) if j not in pivots):
        vector = [flint.fmpq(0)] * size
        vector[free] = flint.fmpq(1)
        for row, pivot in enumerate(pivots):
            vector[pivot] = -reduced[row, free]
        basis.append(vector)
    return basis


def solve_in_range(matrix: flint.fmpq_mat, right: Sequence[flint.fmpq]) -> list[flint.fmpq] | None:
    """A solution of ``matrix · w = right``, or None when there is none."""
    size = matrix.ncols()
    extended = flint.fmpq_mat(
        size, size + 1, [matrix[i, j] if j < size else right[i] for i in range(size) for j in range(size + 1)]
    )
    reduced, rank = extended.rref()
    solution = [flint.fmpq(0)] * size
    for row in range(rank):
        pivot = next(j for j in range(size + 1) if reduced[row, j] != 0)
        if pivot == size:
            return None
        solution[pivot] = reduced[row, size]
    return solution
