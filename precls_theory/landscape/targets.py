"""What the population losses of Thm. 4.1 ask for: Square, Linear, Multiply, Read, as maps of u (N, D).

They are written out here on their own, entry by entry, and share nothing with the constructions or with the networks'
references: a loss of zero says that a model and this text agree as polynomials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import flint
import numpy as np

from constructions.algebra.rationals import as_fraction
from precls_theory.landscape.moments import ExactLike


def square(u: np.ndarray) -> np.ndarray:
    """``u[n, d]²``."""
    return u * u


def linear(
    matrix: Sequence[Sequence[ExactLike]], bias: Sequence[ExactLike] | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """``u A + c``: ``matrix`` (D, D') and ``bias`` (D',) of rationals."""
    entries = [[as_fraction("matrix", entry) for entry in row] for row in matrix]
    offset = [as_fraction("bias", entry) for entry in (bias if bias is not None else [0] * len(entries[0]))]

    def target(u: np.ndarray) -> np.ndarray:
        out = np.empty((len(u), len(entries[0])), dtype=object)
        for row, column in np.ndindex(*out.shape):
            total = u[row, 0] * 0 + _number(offset[column])
            for channel, weights in enumerate(entries):
                total = total + u[row, channel] * _number(weights[column])
            out[row, column] = total
        return out

    return target


def multiply(left: int, right: int, target: int) -> Callable[[np.ndarray], np.ndarray]:
    """Channel ``target`` becomes the product of channels ``left`` and ``right``; the others are unchanged."""

    def run(u: np.ndarray) -> np.ndarray:
        out = u.copy()
        for row in range(len(u)):
            out[row, target] = u[row, left] * u[row, right]
        return out

    return run


def read(source: int, target: int) -> Callable[[np.ndarray], np.ndarray]:
    """Row ``target`` becomes a copy of row ``source``; the others are unchanged."""

    def run(u: np.ndarray) -> np.ndarray:
        out = u.copy()
        for channel in range(u.shape[1]):
            out[target, channel] = u[source, channel]
        return out

    return run


def _number(value: Fraction) -> flint.fmpq:
    return flint.fmpq(value.numerator, value.denominator)
