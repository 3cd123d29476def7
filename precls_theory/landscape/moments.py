"""Moments of the input distribution: what turns an expectation of a polynomial into a rational number.

A population loss is ``E p(u)`` for a polynomial p, hence a sum of coefficients times moments ``E Π u_i^{k_i}``. For a
Gaussian these are Isserlis' sums over pairings (Wick's theorem),

    E[x_i Π_{j∈J} x_j] = Σ_{j∈J} Σ_ij E[Π_{J∖j} x],

which the recursion below runs on exponents, not on lists of factors, so that a monomial of degree 2k in few variables
costs a few states and not (2k−1)!! pairings.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Protocol, TypeAlias

import flint

from constructions.algebra.rationals import as_fraction

Exponents = tuple[int, ...]
ExactLike: TypeAlias = "int | str | Fraction | flint.fmpq"
"""What :func:`constructions.algebra.rationals.as_fraction` takes."""


class Moments(Protocol):
    """A distribution of the inputs, all entries of u in row-major order, by its moments."""

    def moment(self, exponents: Exponents) -> Fraction:
        """``E Π_i u_i^{exponents[i]}``."""


class Independent:
    """Independent entries of one symmetric distribution, by its even moments; odd ones are zero."""

    def _even(self, degree: int) -> Fraction:
        raise NotImplementedError

    def moment(self, exponents: Exponents) -> Fraction:
        result = Fraction(1)
        for degree in exponents:
            if degree % 2:
                return Fraction(0)
            result *= self._even(degree)
        return result

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Rademacher(Independent):
    """Entries ±1 with equal chances."""

    def _even(self, degree: int) -> Fraction:
        return Fraction(1)


class Uniform(Independent):
    """Entries uniform on [−bound, bound]: ``E u^{2k} = bound^{2k}/(2k+1)``. The default bound is 1."""

    def __init__(self, bound: ExactLike = 1) -> None:
        self.bound = as_fraction("bound", bound)
        if self.bound <= 0:
            raise ValueError(f"the bound of a uniform distribution must be positive, got {self.bound}")

    def _even(self, degree: int) -> Fraction:
        return self.bound**degree / (degree + 1)

    def __repr__(self) -> str:
        return f"Uniform({self.bound})"


class Gaussian(Independent):
    """Gaussian entries of mean zero: independent of variance one, or with this ``covariance`` of all entries.

    ``covariance`` is a symmetric positive semidefinite matrix of rationals over the entries of u in row-major order.
    Raises ``ValueError`` when it is not square, symmetric or positive semidefinite.
    """

    def __init__(self, covariance: Sequence[Sequence[ExactLike]] | None = None) -> None:
        self.covariance: tuple[tuple[Fraction, ...], ...] | None = None
        if covariance is None:
            return
        matrix = tuple(tuple(as_fraction("covariance", entry) for entry in row) for row in covariance)
        size = len(matrix)
        if not size or any(len(row) != size for row in matrix):
            raise ValueError(f"a covariance is a square matrix, got rows of lengths {[len(row) for row in matrix]}")
        if any(matrix[i][j] != matrix[j][i] for i in range(size) for j in range(i)):
            raise ValueError("a covariance is symmetric; this one is not")
        if not is_positive_semidefinite(matrix):
            raise ValueError("a covariance is positive semidefinite; this one has a negative eigenvalue")
        self.covariance = matrix
        self._cached = lru_cache(maxsize=None)(self._isserlis)

    def _even(self, degree: int) -> Fraction:
        double_factorial = 1
        for factor in range(degree - 1, 1, -2):
            double_factorial *= factor
        return Fraction(double_factorial)

    def moment(self, exponents: Exponents) -> Fraction:
        if self.covariance is None:
            return super().moment(exponents)
        if len(exponents) != len(self.covariance):
            raise ValueError(
                f"the covariance is of {len(self.covariance)} entries, the input has {len(exponents)}: give one row and "
                "column to every entry of u, row by row"
            )
        return self._cached(tuple(exponents)) if sum(exponents) % 2 == 0 else Fraction(0)

    def _isserlis(self, exponents: Exponents) -> Fraction:
        assert self.covariance is not None
        first = next((i for i, degree in enumerate(exponents) if degree), None)
        if first is None:
            return Fraction(1)
        rest = list(exponents)
        rest[first] -= 1
        total = Fraction(0)
        for other, count in enumerate(rest):
            if count and self.covariance[first][other]:
                rest[other] -= 1
                total += count * self.covariance[first][other] * self._cached(tuple(rest))
                rest[other] += 1
        return total

    def __repr__(self) -> str:
        return "Gaussian()" if self.covariance is None else f"Gaussian({len(self.covariance)} correlated entries)"


def is_positive_semidefinite(matrix: Sequence[Sequence[Fraction]]) -> bool:
    """Whether a symmetric rational matrix has no negative eigenvalue.

    Its eigenvalues are real, so none is negative exactly when ``det(λ + A)`` has no negative coefficient (Descartes).
    """
    entries = [[flint.fmpq(-entry.numerator, entry.denominator) for entry in row] for row in matrix]
    return all(coefficient >= 0 for coefficient in flint.fmpq_mat(entries).charpoly().coeffs())
