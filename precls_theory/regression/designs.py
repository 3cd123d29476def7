"""A regression as networks are given it, and the design whose normal equations they solve: the columns as they are, or centred.

An error ε of the largest entries of αG spreads to coefficient j as ``‖e_jᵀ(αG)⁻¹‖·‖y‖·ε``. Where columns are centred, the
coefficients of the original ones are ``x_j = s_j y_j`` and ``x_0 = y_0 − Σ m_j x_j/κ``, and their errors add up accordingly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

SMALLEST = 1e-8
"""Coefficients below this part of the largest are judged as if they were this large."""


@dataclass(frozen=True)
class Problem:
    """``A x ≈ b`` over Q with columns of norm about one, and about its solution in float64; is the first column constant?"""

    A: np.ndarray
    b: np.ndarray
    near: np.ndarray
    intercept: bool

    @property
    def n_points(self) -> int:
        return len(self.A)

    @property
    def n_dims(self) -> int:
        return len(self.near)

    @cached_property
    def design(self) -> Design:
        """The columns as they are."""
        return Design(self, self.A, None)

    @cached_property
    def centred(self) -> Design | None:
        """The columns without their means, scaled by powers of two to norms of about one; None without an intercept."""
        if not self.intercept or self.n_dims < 2:
            return None
        means = [Fraction(0), *(sum(column) / self.n_points for column in self.A.T[1:])]
        moved = self.A - np.array(means, dtype=object)
        scales = [Fraction(1), *(Fraction(2) ** -norm_exponent(column) for column in moved.T[1:])]
        return Design(self, moved * np.array(scales, dtype=object), (tuple(means), tuple(scales)))


@dataclass(frozen=True)
class Design:
    """Columns Z of a problem; ``moved`` holds means and factors where they are centred (0 and 1 for the constant column)."""

    problem: Problem
    Z: np.ndarray
    moved: tuple[tuple[Fraction, ...], tuple[Fraction, ...]] | None

    @cached_property
    def near(self) -> np.ndarray:
        """About the coefficients of Z."""
        x = self.problem.near
        if self.moved is None:
            return x
        means, scales = (np.array(values, dtype=float) for values in self.moved)
        y: np.ndarray = x / scales
        y[0] = x[0] + float(means @ x) / float(self.problem.A[0, 0])
        return y

    @cached_property
    def _svd(self) -> tuple[np.ndarray, np.ndarray]:
        _, sigma, right = np.linalg.svd(self.Z.astype(float), full_matrices=False)
        return sigma, right

    @property
    def condition_number(self) -> float:
        """Of Z."""
        sigma = self._svd[0]
        return float(sigma[0] / sigma[-1]) if sigma[-1] > 0 else math.inf

    @cached_property
    def alpha(self) -> Fraction:
        """The power of two between half and all of 1/λ_max of G = ZᵀZ."""
        return Fraction(2) ** -math.ceil(math.log2(float(self._svd[0][0]) ** 2 * (1 + 1e-9)))

    @property
    def contraction(self) -> float:
        """αλ_min: a step of gradient descent takes the slowest error to 1 − αλ_min of it."""
        return float(self.alpha) * float(self._svd[0][-1]) ** 2

    @property
    def size(self) -> float:
        """About the norm of the coefficients of Z."""
        return float(np.linalg.norm(self.near))

    @property
    def spread(self) -> float:
        """log10 of the largest over the smallest coefficient that is looked at."""
        sizes = np.abs(self.near)
        return math.log10(sizes.max() / max(sizes.min(), SMALLEST * self.size))

    @cached_property
    def digits_lost(self) -> float:
        """log10 of the relative error of a coefficient, at its largest, over the error ε of the entries of αG."""
        sigma, right = self._svd
        inverse = (right.T / (float(self.alpha) * sigma**2)) @ right
        errors = np.linalg.norm(inverse, axis=1) * self.size
        x = np.abs(self.problem.near)
        if self.moved is not None:
            means, scales = (np.array(values, dtype=float) for values in self.moved)
            errors = errors * scales
            errors[0] += float(np.abs(means) @ errors) / abs(float(self.problem.A[0, 0]))
        return float(np.log10(errors / np.maximum(x, SMALLEST * float(np.linalg.norm(x)))).max())

    @cached_property
    def gram(self) -> tuple[float, float]:
        """About the largest entries of G = ZᵀZ and of c = Zᵀb."""
        Z = self.Z.astype(float)
        return float(np.abs(Z.T @ Z).max()), float(np.abs(Z.T @ self.problem.b.astype(float)).max())


def norm_exponent(column: np.ndarray) -> int:
    """The integer e with 2^e nearest to the Euclidean norm of an exact column (0 for a zero column)."""
    square = sum((value * value for value in column), Fraction(0))
    return round(log2(square) / 2) if square else 0


def log2(value: Fraction) -> float:
    """log2 of a positive rational of any size."""
    shift = value.numerator.bit_length() - value.denominator.bit_length()
    return shift + math.log2(value / Fraction(2) ** shift)


def largest(values: np.ndarray) -> Fraction:
    """The largest magnitude of exact numbers (1 where all are zero)."""
    return max((abs(Fraction(value)) for value in values.flat), default=Fraction(0)) or Fraction(1)


def power_above(value: float) -> Fraction:
    """A power of two at least as large, and at least 2^-20."""
    return Fraction(2) ** math.ceil(math.log2(max(value * (1 + 1e-9), 2.0**-20)))
