"""Centring in a network, for a regression with an intercept: columns without their means in, their coefficients out (new).

With the column means m_j and a constant first column of value κ, ``z_j = s_j (a_j − m_j)`` has sum zero, so that the intercept
drops out of the normal equations of the others, and the rest of the design has a condition number that may be a hundred times
smaller. The coefficients of the original columns are ``x_j = s_j y_j`` and ``x_0 = y_0 − Σ_j m_j x_j / κ``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from constructions.algebra.terms import Form, exact, total
from constructions.networks.layouts import Start
from constructions.networks.parameters import Rational


@dataclass(frozen=True)
class Centring:
    """The value of the first column and the factors of the others."""

    constant: Fraction
    scales: tuple[Fraction, ...]

    @classmethod
    def of(cls, n_dims: int, constant: Rational, scales: Sequence[Rational] | None) -> Centring:
        """From what a construction is given; ``ValueError`` for a constant of zero and another number of scales."""
        if n_dims < 2:
            raise ValueError(
                f"there is nothing to centre beside the constant column: n_dims must be at least 2, got {n_dims}"
            )
        made = cls(exact(constant), (Fraction(1),) * (n_dims - 1) if scales is None else tuple(map(exact, scales)))
        if not made.constant or len(made.scales) != n_dims - 1 or not all(made.scales):
            raise ValueError(
                f"the constant must not be zero, and {n_dims - 1} columns take as many nonzero scales, "
                f"got {constant} and {scales}"
            )
        return made

    def columns(self, start: Start, n_points: int) -> tuple[np.ndarray, Form, np.ndarray]:
        """The first layer: centred columns z (the constant one as it is), the target, and the means m."""
        share = Fraction(1, n_points)
        means = [share * total(column) for column in start.a[1:]]
        centred = (s * (column - mean) for s, column, mean in zip(self.scales, start.a[1:], means, strict=True))
        z, b, m = start.builder.layer(
            z=np.array([start.a[0], *centred], dtype=object), b=start.b, m=np.array(means, dtype=object)
        )
        return z, b, m

    def coefficients(self, y: np.ndarray, m: np.ndarray) -> np.ndarray:
        """Those of the original columns, from those of the centred ones and the means."""
        x = [s * value for s, value in zip(self.scales, y[1:], strict=True)]
        first = y[0]
        for mean, value in zip(m, x, strict=True):
            first = first - (1 / self.constant) * mean * value
        return np.array([first, *x], dtype=object)
