"""Signatures of symmetric matrices, exactly: over Q, over a number field at one real place, along a rational graph.

All eigenvalues of a real symmetric matrix are real, so Descartes' rule is an equality: the characteristic polynomial
has as many positive roots as sign changes. With ``e_k`` the k-th elementary symmetric function of the eigenvalues,
``det(λ − H) = Σ (−1)^k e_k λ^{n−k}``, the matrix is positive semidefinite exactly when no e_k is negative, and has rank
r exactly when r is the last k with e_k ≠ 0. So signs of the e_k decide, and these are polynomials in the entries.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import flint
import numpy as np

MatrixEntry: TypeAlias = flint.fmpq_mpoly | flint.fmpq_poly | flint.fmpq
"""An entry of a matrix: an element of a commutative ring that contains Q."""
Reduce = Callable[[MatrixEntry], MatrixEntry]


@dataclass(frozen=True)
class Signature:
    """Numbers of negative, zero and positive eigenvalues."""

    negative: int
    zero: int
    positive: int

    @classmethod
    def of_signs(cls, signs: Sequence[int]) -> Signature:
        """From the signs of e_1, …, e_n."""
        size = len(signs)
        rank = max((k for k, sign in enumerate(signs, start=1) if sign), default=0)
        coefficients = [1, *((-1) ** k * sign for k, sign in enumerate(signs, start=1))]
        positive = sign_changes(coefficients)
        return cls(rank - positive, size - rank, positive)

    @property
    def is_semidefinite(self) -> bool:
        return self.negative == 0

    def __str__(self) -> str:
        return f"({self.negative} negative, {self.zero} zero, {self.positive} positive)"


def sign_changes(signs: Sequence[int]) -> int:
    nonzero = [sign for sign in signs if sign]
    return sum(left != right for left, right in itertools.pairwise(nonzero))


def elementary_symmetric(
    matrix: np.ndarray, one: MatrixEntry, reduce: Reduce = lambda value: value
) -> list[MatrixEntry]:
    """e_1, …, e_n of the eigenvalues of a square matrix over a commutative ring that contains Q (Faddeev–LeVerrier)."""
    size = len(matrix)
    zero = one * 0
    current = [[zero for _ in range(size)] for _ in range(size)]
    coefficient, values = one, []
    for k in range(1, size + 1):
        # current ← H·current + c·I; then c = −tr(H·current)/k
        if k == 1:
            current = [[one if i == j else zero for j in range(size)] for i in range(size)]
        else:
            product = _product(matrix, current, zero, reduce)
            current = [[product[i][j] + (coefficient if i == j else zero) for j in range(size)] for i in range(size)]
        product = _product(matrix, current, zero, reduce)
        trace = zero
        for i in range(size):
            trace = trace + product[i][i]
        coefficient = reduce(trace * flint.fmpq(-1, k))
        values.append(coefficient * (-1) ** k)
    return values


def _product(
    left: np.ndarray, right: list[list[MatrixEntry]], zero: MatrixEntry, reduce: Reduce
) -> list[list[MatrixEntry]]:
    size = len(right)
    result = []
    for i in range(size):
        row = []
        for j in range(size):
            total = zero
            for k in range(size):
                if left[i][k] and right[k][j]:
                    total = total + left[i][k] * right[k][j]
            row.append(reduce(total))
        result.append(row)
    return result
